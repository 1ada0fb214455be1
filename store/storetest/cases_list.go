package storetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dulyhq/duly/store"
)

var listCases = []Case{
	{"ListByNamespace", "Query", "one tenant is shown another's tasks", listByNamespace},
	{"ListByPrefix", "Query.Prefix", "names that begin alike are missed, above all at the end of the alphabet", listByPrefix},
	{"ListByFields", "Query", "a filter hides what it should show", listByFields},
	{"ListByState", "Query.State", "what runs can't be found", listByState},
	{"ListByDue", "Query.DueFrom", "what is due in a span can't be found", listByDue},
	{"ListDead", "Query.State", "dead runs can't be found and redriven", listDead},
	{"ListPages", "Page.Cursor", "a task at the edge of a page is missed or shown twice", listPages},
	{"ListPagesOfBytes", "PageBytes", "a page of large payloads fills the memory", listPagesOfBytes},
	{"ListPagesUnderChange", "Page.Cursor", "tasks nobody touched are missed while others come and go", listPagesUnderChange},
	{"ListAfterNonsense", "Store", "a cursor that somebody made up ends the process", listAfterNonsense},
	{"GetInOrder", "Store.Get", "answers are taken for those of other names", getInOrder},
}

// list returns what a query selects, over all pages.
func (e *env) list(q store.Query) []*store.Task {
	e.Helper()
	return allListed(e, e.s, q)
}

func listByNamespace(e *env) {
	for _, name := range []string{"b", "a", "n/b", "n/a", "n2/a", "m/z"} {
		e.put(once(name, at(e.later(time.Hour))))
	}
	e.each(func(when string) {
		e.wantNames("no namespace "+when, e.list(store.Query{}), "a", "b")
		e.wantNames("n "+when, e.list(store.Query{Namespace: "n"}), "n/a", "n/b")
		e.wantNames("none "+when, e.list(store.Query{Namespace: "x"}))
		e.wantNames("all "+when, e.list(store.Query{AllNamespaces: true}), "a", "b", "m/z", "n/a", "n/b", "n2/a")
	})
	e.wantNames("a in all", e.list(store.Query{AllNamespaces: true, Prefix: "a"}), "a", "n/a", "n2/a")
}

func listByPrefix(e *env) {
	all := []string{"a", "a.b", "ab", "abc", "b", "é", "éa", "ê", "\U0010ffff", "\U0010ffffx", "~"}
	for _, name := range all {
		e.put(once(name, at(e.later(time.Hour))))
	}
	e.put(once("ab/abd", at(e.later(time.Hour))))
	for prefix, want := range map[string][]string{
		"":            {"a", "a.b", "ab", "abc", "b", "~", "é", "éa", "ê", "\U0010ffff", "\U0010ffffx"},
		"a":           {"a", "a.b", "ab", "abc"},
		"ab":          {"ab", "abc"},
		"abcd":        nil,
		"é":           {"é", "éa"},
		"\xc3":        {"é", "éa", "ê"}, // half a character: prefixes are of bytes
		"\U0010ffff":  {"\U0010ffff", "\U0010ffffx"},
		"\xf4\x8f":    {"\U0010ffff", "\U0010ffffx"},
		"\xff":        nil,
		"\xff\xff":    nil,
		"\x00":        nil,
		"a\x00":       nil,
		"\U0010fffff": nil,
	} {
		e.wantNames(fmt.Sprintf("prefix %q", prefix), e.list(store.Query{Prefix: prefix}), want...)
		if want != nil {
			p, err := e.s.List(e.ctx, store.Query{Prefix: prefix, Limit: 1})
			if err != nil || len(p.Tasks) > 1 {
				e.Errorf("a page of one with prefix %q: %q, error %v", prefix, names(p.Tasks), err)
			}
		}
	}
}

func listByFields(e *env) {
	for i, f := range []struct {
		name, kind string
		tags       []string
		paused     bool
	}{
		{"a", "x", nil, false}, {"b", "x", []string{"t", "u"}, false}, {"c", "y", []string{"u"}, true}, {"ca", "y", []string{"uu"}, false},
	} {
		p := every(f.name, at(e.later(time.Duration(i)*time.Second)))
		p.Kind, p.Tags = f.kind, f.tags
		e.put(p)
		if f.paused {
			e.edited(store.Edit{Verb: store.VerbPause, Key: p.Key})
		}
	}
	e.each(func(when string) {
		e.wantNames("kind "+when, e.list(store.Query{Kind: "x"}), "a", "b")
		e.wantNames("kind of nothing "+when, e.list(store.Query{Kind: "z"}))
		e.wantNames("tag "+when, e.list(store.Query{Tag: "u"}), "b", "c")
		e.wantNames("paused "+when, e.list(store.Query{Paused: true}), "c")
		e.wantNames("prefix and kind "+when, e.list(store.Query{Prefix: "c", Kind: "y"}), "c", "ca")
		e.wantNames("prefix and tag "+when, e.list(store.Query{Prefix: "c", Tag: "u"}), "c")
		e.wantNames("kind and tag "+when, e.list(store.Query{Kind: "x", Tag: "uu"}))
	})
}

func listByState(e *env) {
	e.put(once("waits", at(e.later(time.Hour))))
	c := e.claim(next(e.put(once("runs", at(e.now()))), 0))
	d := e.claim(next(e.put(every("retries", at(e.now()))), e.later(time.Hour)))
	e.settle(again2(d), store.Pending)
	x := e.claim(next(e.put(once("ended", at(e.now()))), 0))
	e.cancel(store.Cancel{Key: key("ended")})
	e.each(func(when string) {
		e.wantNames("pending "+when, e.list(store.Query{State: store.Pending}), "retries", "waits")
		e.wantNames("running "+when, e.list(store.Query{State: store.Running}), "ended", "runs")
		e.wantNames("both "+when, e.list(store.Query{}), "ended", "retries", "runs", "waits")
		e.wantNames("dead "+when, e.list(store.Query{State: store.Dead}))
	})
	e.settle(ended(c, store.Done), store.Done)
	e.settle(ended(x, store.Done), store.Done)
	e.wantNames("running after they ended", e.list(store.Query{State: store.Running}))
}

func listByDue(e *env) {
	base := e.later(time.Hour)
	for i := range 5 {
		e.put(once(fmt.Sprintf("t%d", i), at(base.Add(time.Duration(i)*time.Second))))
	}
	s := time.Second
	e.wantNames("from", e.list(store.Query{DueFrom: base.Add(3 * s)}), "t3", "t4")
	e.wantNames("until", e.list(store.Query{DueUntil: base.Add(s)}), "t0", "t1")
	e.wantNames("both", e.list(store.Query{DueFrom: base.Add(s), DueUntil: base.Add(2 * s)}), "t1", "t2")
	e.wantNames("an empty span", e.list(store.Query{DueFrom: base.Add(2 * s), DueUntil: base.Add(s)}))
}

func listDead(e *env) {
	due := e.now()
	var all []string
	for _, name := range []string{"b", "a", "n/a"} {
		t := e.put(every(name, at(due)))
		for range 3 {
			c := e.claim(next(t, e.now()+1))
			t = e.settle(ended(c, store.Dead), store.Dead).Task
			e.advance(time.Second)
		}
	}
	p := once("other", at(e.now()))
	p.Kind, p.Tags = "k", []string{"t"}
	e.settle(ended(e.claim(next(e.put(p), 0)), store.Dead), store.Dead)
	e.each(func(when string) {
		dead := e.list(store.Query{State: store.Dead})
		e.wantNames("dead "+when, dead, "a", "a", "a", "b", "b", "b", "other")
		for i := 1; i < len(dead); i++ {
			if a, b := dead[i-1].Runs[0].ID(dead[i-1].Key), dead[i].Runs[0].ID(dead[i].Key); a.Compare(b) >= 0 {
				e.Errorf("dead %s: %s before %s; want the order of keys, then of runs", when, a, b)
			}
		}
		e.wantNames("dead in all "+when, e.list(store.Query{State: store.Dead, AllNamespaces: true}), "a", "a", "a", "b", "b", "b", "other", "n/a", "n/a", "n/a")
		e.wantNames("dead of a kind "+when, e.list(store.Query{State: store.Dead, Kind: "k"}), "other")
		e.wantNames("dead of a tag "+when, e.list(store.Query{State: store.Dead, Tag: "t"}), "other")
		e.wantNames("dead of a prefix "+when, e.list(store.Query{State: store.Dead, Prefix: "b"}), "b", "b", "b")
		e.wantNames("dead by when they were due "+when, e.list(store.Query{State: store.Dead, DueUntil: due}), "a", "b")
		all = nil
		q := store.Query{State: store.Dead, Limit: 2, AllNamespaces: true}
		for {
			page, err := e.s.List(e.ctx, q)
			if err != nil || len(page.Tasks) > 2 {
				e.Fatalf("List %+v: %q, error %v", q, names(page.Tasks), err)
			}
			all = append(all, names(page.Tasks)...)
			if q.After = page.Cursor; q.After == "" {
				break
			}
		}
		is(e, "dead in pages of two "+when, len(all), 10)
	})
}

func listPages(e *env) {
	var want []string
	for i := range 250 {
		want = append(want, fmt.Sprintf("t%03d", i))
	}
	var puts []store.Put
	for _, name := range want {
		puts = append(puts, once(name, at(e.later(time.Hour))))
	}
	slices.Reverse(puts)
	e.puts(puts...)
	p, err := e.s.List(e.ctx, store.Query{})
	if err != nil || len(p.Tasks) > 100 {
		e.Errorf("a page that nobody bounded: %d, error %v; want at most 100", len(p.Tasks), err)
	}
	for _, limit := range []int{0, 1, 3, 249, 250, 251} {
		q := store.Query{Limit: limit, Prefix: "t"}
		e.wantNames(fmt.Sprintf("pages of %d", limit), e.list(q), want...)
	}
}

// listPagesOfBytes holds pages to what their payloads have, those of tasks and of dead runs.
func listPagesOfBytes(e *env) {
	const large = store.PageBytes/4 - 1 // so that five are more than a page has, and four are not
	var want []string
	for i := range 12 {
		p := once(fmt.Sprintf("t%02d", i), at(e.now()))
		if p.Payload = []byte{1}; i < 7 {
			p.Payload = make([]byte, large)
		}
		e.put(p)
		want = append(want, p.Name)
	}
	e.put(once("u", at(e.later(time.Hour)))) // of another prefix
	pages := func(what string, q store.Query) {
		e.Helper()
		var lens []int
		var all []string
		for {
			p, err := e.s.List(e.ctx, q)
			if err != nil {
				e.Fatalf("%s: List: %v", what, err)
			}
			lens, all = append(lens, len(p.Tasks)), append(all, names(p.Tasks)...)
			if q.After = p.Cursor; q.After == "" {
				break
			}
		}
		is(e, what+": tasks on the pages", fmt.Sprint(lens), "[5 7]")
		is(e, what+": tasks", fmt.Sprint(all), fmt.Sprint(want))
	}
	pages("tasks", store.Query{Prefix: "t", Limit: 50})
	pages("tasks as many as there may be", store.Query{Prefix: "t", Limit: 7})
	pages("tasks of a state", store.Query{Prefix: "t", Limit: 50, State: store.Pending})
	for _, t := range e.list(store.Query{Prefix: "t"}) {
		e.settle(ended(e.claim(next(t, 0)), store.Dead), store.Dead)
	}
	pages("dead runs", store.Query{State: store.Dead, Limit: 50})
}

func listPagesUnderChange(e *env) {
	for i := range 40 {
		e.put(once(fmt.Sprintf("t%02d", i), at(e.now())))
	}
	seen := map[string]int{}
	q := store.Query{Limit: 7}
	for n := 0; ; n++ {
		p, err := e.s.List(e.ctx, q)
		if err != nil {
			e.Fatalf("List: %v", err)
		}
		for _, t := range p.Tasks {
			seen[t.Name]++
			if t.Name[0] == 't' && (t.Name[2]-'0')%3 == 0 {
				e.cancel(store.Cancel{Key: t.Key})
			}
		}
		e.put(once(fmt.Sprintf("a%02d", n), at(e.now()))) // before every cursor
		if q.After = p.Cursor; q.After == "" {
			break
		}
	}
	for i := range 40 {
		if name := fmt.Sprintf("t%02d", i); seen[name] != 1 {
			e.Errorf("%s was seen %d times, want once", name, seen[name])
		}
	}
}

func listAfterNonsense(e *env) {
	e.put(once("a", at(e.now())))
	e.settle(ended(e.claim(next(e.put(once("d", at(e.now()))), 0)), store.Dead), store.Dead)
	for _, after := range []string{"a", "\x00", "\xff\xff", "zzz", "a\x00b", "AAAA====", "\x00\x00\x00", "0", string(make([]byte, 5000))} {
		for _, state := range []store.State{store.None, store.Dead} {
			if _, err := e.s.List(e.ctx, store.Query{After: after, State: state}); err != nil && !errors.Is(err, store.ErrInvalid) {
				e.Errorf("List after %.20q: error %v; want none, or one that says it is no cursor", after, err)
			}
		}
	}
}

func getInOrder(e *env) {
	for _, name := range []string{"a", "b", "n/a"} {
		p := once(name, at(e.later(time.Hour)))
		p.Payload = []byte(name)
		e.put(p)
	}
	keys := []store.Key{key("b"), key("x"), key("n/a"), key("a"), key("b"), {}, {Name: "\xff"}, {Name: "a", Namespace: "\x00"}, key("n/b")}
	got, err := e.s.Get(e.ctx, keys)
	answered(e, "Get", len(keys), len(got), err)
	for i, want := range []string{"b", "", "n/a", "a", "b", "", "", "", ""} {
		if (want == "") != (got[i] == nil) || want != "" && string(got[i].Payload) != want {
			e.Errorf("answer %d: %s, want %q", i, show(got[i]), want)
		}
	}
}
