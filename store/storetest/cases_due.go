package storetest

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/dulyhq/duly/store"
)

var dueCases = []Case{
	{"DueIsInOrder", "C3", "the oldest task waits behind younger ones", dueIsInOrder},
	{"DueEndsAtUntil", "Store.Due", "what is not due yet is handed out, or what is due now is left until later", dueEndsAtUntil},
	{"DueTellsWhatIsNext", "DuePage.Next", "an engine sleeps past the next task, or wakes for nothing", dueTellsWhatIsNext},
	{"DuePages", "Store.Due", "a task at the edge of a page is missed or handed out twice", duePages},
	{"DuePagesOfLargePayloads", "PageBytes", "a page that is short because its payloads are large is taken for the end", duePagesOfLargePayloads},
	{"DuePagesUnderChange", "Store.Due", "tasks nobody touched are missed while others are claimed", duePagesUnderChange},
	{"DueByShard", "DueQuery.Shards", "two owners see the same task, or nobody sees it", dueByShard},
	{"DueByKind", "C5 DueQuery.Kinds", "a task whose shard is another's waits for ever for somebody who handles its kind, or two have it", dueByKind},
	{"DueIsWhole", "Store.Due", "each task that is due costs another read", dueIsWhole},
	{"RunningStaysWhereItWas", "Task.Position", "an attempt that a crash left behind is found only when its lease has ended, or never", runningStaysWhereItWas},
	{"RetryStandsAtItsInstant", "Task.Position", "a retry is looked at before its time, or not at all", retryStandsAtItsInstant},
	{"ReplacedMovesInTheOrder", "Store.Due", "a task stands at its old and its new place", replacedMovesInTheOrder},
	{"ManyAreDue", "Store.Due", "a burst is cut off at the size of a page", manyAreDue},
}

func dueIsInOrder(e *env) {
	base := e.now()
	for i, d := range []store.Instant{50, 10, 30, -20, 10, 0, -2e12, 40, 10} {
		e.put(once(fmt.Sprintf("t%d", i), at(base+d*1000)))
	}
	e.put(once("z/t0", at(base)))
	e.put(once("y/t9", at(base)))
	want := []string{"t6", "t3", "t5", "y/t9", "z/t0", "t1", "t4", "t8", "t2", "t7", "t0"}
	e.each(func(when string) { e.wantNames("due "+when, e.due(base.Add(time.Hour)), want...) })
	e.put(once("t3", at(base.Add(35*time.Millisecond))))
	e.cancel(store.Cancel{Key: key("t1")})
	e.wantNames("due after changes", e.due(base.Add(time.Hour)), "t6", "t5", "y/t9", "z/t0", "t4", "t8", "t2", "t3", "t7", "t0")
}

// page asks for one page.
func (e *env) page(q store.DueQuery) store.DuePage {
	e.Helper()
	p, err := e.s.Due(e.ctx, q)
	if err != nil {
		e.Fatalf("Due %+v: %v", q, err)
	}
	return p
}

func dueEndsAtUntil(e *env) {
	due := e.later(time.Minute)
	e.put(once("b", at(due)))
	e.put(once("a", at(due+1)))
	for _, c := range []struct {
		until store.Instant
		want  []string
	}{{due - 1, nil}, {due, []string{"b"}}, {due + 1, []string{"b", "a"}}, {store.Never, []string{"b", "a"}}, {-1, nil}, {0, nil}} {
		e.wantNames("due until "+c.until.String(), e.page(store.DueQuery{Until: c.until}).Tasks, c.want...)
	}
}

func dueTellsWhatIsNext(e *env) {
	is(e, "next of an empty store", e.page(store.DueQuery{Until: e.now()}).Next, store.Never)
	due := e.later(time.Minute)
	e.put(once("a", at(due)))
	e.put(once("b", at(due.Add(time.Second))))
	e.put(once("c", at(store.Never)))
	is(e, "next", e.page(store.DueQuery{Until: due - 1}).Next, due)
	is(e, "next behind the first", e.page(store.DueQuery{Until: due}).Next, due.Add(time.Second))
	is(e, "next behind the last", e.page(store.DueQuery{Until: due.Add(time.Second)}).Next, store.Never)
	p := e.page(store.DueQuery{Until: due, Limit: 1})
	if len(p.Tasks) != 1 || p.More && len(e.page(store.DueQuery{Until: due, After: p.Cursor}).Tasks) != 0 {
		e.Errorf("a page that is just full: %q, more: %v", names(p.Tasks), p.More)
	}
	e.edited(store.Edit{Verb: store.VerbPause, Key: key("a")})
	is(e, "next when the first is paused", e.page(store.DueQuery{Until: due - 1}).Next, due.Add(time.Second))
	e.cancel(store.Cancel{Key: key("b")})
	is(e, "next when the second is cancelled", e.page(store.DueQuery{Until: due - 1}).Next, store.Never)
}

func duePages(e *env) {
	base := e.now()
	var want []string
	var puts []store.Put
	for i := range 60 {
		name := fmt.Sprintf("t%02d", i)
		puts = append(puts, once(name, at(base.Add(time.Duration(i/7)*time.Second)))) // seven at each instant
		want = append(want, name)
	}
	e.puts(puts...)
	for _, limit := range []int{1, 2, 7, 8, 59, 60, 61} {
		var got []string
		q := store.DueQuery{Until: base.Add(time.Hour), Limit: limit}
		for {
			p := e.page(q)
			if len(p.Tasks) > limit {
				e.Fatalf("a page of %d, want at most %d", len(p.Tasks), limit)
			}
			got = append(got, names(p.Tasks)...)
			if !p.More {
				is(e, "next", p.Next, store.Never)
				break
			}
			q.After = p.Cursor
		}
		if !equal(got, want) {
			e.Errorf("pages of %d: %q, want %q", limit, got, want)
		}
	}
	p := e.page(store.DueQuery{Until: base.Add(time.Hour), After: store.Cursor{At: base, Key: key("t03")}})
	e.wantNames("behind a cursor made by hand", p.Tasks, want[4:]...)
	p = e.page(store.DueQuery{Until: base.Add(time.Hour), After: store.Cursor{At: base, Key: key("t03x")}})
	e.wantNames("behind a place where nothing stands", p.Tasks, want[4:]...)
}

func duePagesOfLargePayloads(e *env) {
	base := e.now()
	var want []string
	for i := range 12 {
		p := once(fmt.Sprintf("t%02d", i), at(base.Add(time.Duration(i/5)*time.Microsecond)))
		if p.Payload = []byte{byte(i)}; i < 7 {
			p.Payload = bytes.Repeat(p.Payload, store.PageBytes/4-1) // so that a page has five
		}
		e.put(p)
		want = append(want, p.Name)
	}
	next := base.Add(time.Hour)
	e.put(once("later", at(next)))
	e.each(func(when string) {
		for _, limit := range []int{0, 7, 12} {
			var got []string
			for q := (store.DueQuery{Until: base.Add(time.Minute), Limit: limit}); ; {
				p := e.page(q)
				size := 0
				for _, t := range p.Tasks {
					if size >= store.PageBytes {
						e.Errorf("a page goes on behind payloads of %d bytes", size)
					}
					size += len(t.Payload)
					if n := len(got); n < 7 && len(t.Payload) != store.PageBytes/4-1 || t.Payload[0] != byte(n) {
						e.Errorf("%s has another payload, of %d bytes", t.Name, len(t.Payload))
					}
					got = append(got, t.Name)
				}
				if !p.More {
					is(e, "next "+when, p.Next, next)
					break
				}
				if q.After = p.Cursor; q.After == (store.Cursor{}) {
					e.Fatalf("a page of %d says that there is more, but not where", len(p.Tasks))
				}
			}
			if !equal(got, want) {
				e.Errorf("pages of %d %s: %q, want %q", limit, when, got, want)
			}
		}
	})
}

func duePagesUnderChange(e *env) {
	base := e.now()
	var puts []store.Put
	for i := range 60 {
		puts = append(puts, once(fmt.Sprintf("t%02d", i), at(base.Add(time.Duration(i)*time.Microsecond))))
	}
	e.puts(puts...)
	e.advance(time.Second)
	seen := map[string]int{}
	q := store.DueQuery{Until: base.Add(time.Second / 2), Limit: 9}
	for n := 0; ; n++ {
		p := e.page(q)
		for i, t := range p.Tasks {
			seen[t.Name]++
			switch i % 3 {
			case 0:
				e.settle(ended(e.claim(next(t, 0)), store.Done), store.Done)
			case 1:
				e.settle(again(e.claim(next(t, 0)), store.VerbRetry, at(e.later(time.Hour))), store.Pending)
			}
		}
		e.put(once(fmt.Sprintf("new%d", n), at(base.Add(time.Hour))))
		e.cancel(store.Cancel{Key: p.Tasks[len(p.Tasks)-1].Key})
		if !p.More {
			break
		}
		q.After = p.Cursor
	}
	for _, p := range puts {
		if seen[p.Name] != 1 {
			e.Errorf("%s was seen %d times, want once", p.Name, seen[p.Name])
		}
	}
}

func dueByShard(e *env) {
	var puts []store.Put
	for i := range 300 {
		puts = append(puts, once(fmt.Sprintf("t%d", i), at(e.now())))
	}
	e.puts(puts...)
	seen := map[string]int{}
	for part := range 3 {
		var shards store.Shards
		for s := range 256 {
			if s%3 == part {
				shards.Add(uint8(s))
			}
		}
		q := store.DueQuery{Until: e.now(), Shards: &shards, Limit: 40}
		for {
			p := e.page(q)
			for _, t := range p.Tasks {
				seen[t.Name]++
				if !shards.Has(t.Shard()) {
					e.Errorf("%s of shard %d was not asked for", t.Name, t.Shard())
				}
			}
			if !p.More {
				break
			}
			q.After = p.Cursor
		}
	}
	for _, p := range puts {
		if seen[p.Name] != 1 {
			e.Errorf("%s was seen %d times by owners of all shards, want once", p.Name, seen[p.Name])
		}
	}
	if p := e.page(store.DueQuery{Until: store.Never, Shards: &store.Shards{}}); len(p.Tasks) != 0 || p.More || p.Next != store.Never {
		e.Errorf("due in no shard: %q, more %v, next %v", names(p.Tasks), p.More, p.Next)
	}
}

func dueByKind(e *env) {
	kinds := []string{"all", "some", "none", "part"}
	var puts []store.Put
	for i := range 300 {
		p := once(fmt.Sprintf("t%d", i), at(e.now()))
		p.Kind = kinds[i%len(kinds)]
		puts = append(puts, p)
	}
	e.puts(puts...)
	every := store.Shards{math.MaxUint64, math.MaxUint64, math.MaxUint64, math.MaxUint64}
	odd := store.Shards{0xaaaaaaaaaaaaaaaa, 0xaaaaaaaaaaaaaaaa, 0xaaaaaaaaaaaaaaaa, 0xaaaaaaaaaaaaaaaa}
	of := map[string]store.Shards{"all": every, "none": {}, "part": {1 << 7, 0, 0xff << 32, 1 << 63}, "of no task": every}
	for _, shards := range []*store.Shards{nil, {}, &odd} {
		want := map[string]bool{}
		for _, p := range puts {
			in, other := of[p.Kind]
			if other && in.Has(p.Shard()) || !other && shards.Has(p.Shard()) {
				want[p.Name] = true
			}
		}
		got := 0
		for q := (store.DueQuery{Until: e.now(), Shards: shards, Kinds: of, Limit: 7}); ; {
			p := e.page(q)
			for _, t := range p.Tasks {
				if got++; !want[t.Name] {
					e.Errorf("%s of kind %s in shard %d was not asked for, or was seen before", t.Name, t.Kind, t.Shard())
				}
				delete(want, t.Name)
			}
			if !p.More {
				break
			}
			q.After = p.Cursor
		}
		if len(want) != 0 || got == 0 {
			e.Errorf("%d were seen, %d were not that were asked for", got, len(want))
		}
	}
	due := e.now().Add(2 * time.Hour)
	later, last := once("later", at(due-1)), once("last", at(due))
	later.Kind, last.Kind = "none", "all"
	e.puts(later, last)
	p := e.page(store.DueQuery{Until: e.now().Add(time.Minute), Shards: &store.Shards{}, Kinds: of})
	if len(p.Tasks) == 0 || p.Next != due {
		e.Errorf("due in no shard, but for some kinds: %d tasks, then at %v; want some, and what is next at %v", len(p.Tasks), p.Next, due)
	}
}

func dueIsWhole(e *env) {
	p := every("ns/a", at(e.now()))
	p.Policy, p.Tags, p.LimitKey = []byte("q"), []string{"x"}, "l"
	c := e.claim(next(e.put(p), e.later(time.Hour)))
	e.settle(again(c, store.VerbRetry, store.In(0, 0)), store.Pending)
	e.each(func(when string) {
		due := e.due(e.now())
		if len(due) != 1 || !due[0].Equal(&p.Spec) || len(due[0].Runs) != 1 {
			e.Fatalf("due %s: %q; want the task, whole", when, names(due))
		}
		sameTask(e, "Due and Get "+when, due[0], e.get("ns/a"))
	})
}

func runningStaysWhereItWas(e *env) {
	due := e.now()
	t := e.put(every("a", at(due)))
	e.put(once("b", at(due+1)))
	e.advance(time.Second)
	c := e.claim(next(t, e.later(time.Hour)))
	e.each(func(when string) {
		got := e.due(e.now())
		e.wantNames("due "+when, got, "a", "b")
		is(e, "position "+when, got[0].Position(), due)
	})
	e.renew(store.Renewal{RunID: c.RunID, Fence: c.Fence, Lease: time.Hour})
	e.wantNames("due after a renewal", e.due(e.now()), "a", "b")
	e.settle(ended(c, store.Done), store.Done)
	e.wantNames("due after it ended", e.due(e.now()), "b")
	e.wantNames("all after it ended", e.due(store.Never), "b", "a")
}

func retryStandsAtItsInstant(e *env) {
	c := e.claim(next(e.put(once("a", at(e.now()))), 0))
	to := e.later(time.Minute)
	e.settle(again(c, store.VerbRetry, at(to)), store.Pending)
	if got := e.due(to - 1); len(got) != 0 {
		e.Errorf("due before the retry: %q", names(got))
	}
	e.wantNames("due at the retry", e.due(to), "a")
	is(e, "next", e.page(store.DueQuery{Until: e.now()}).Next, to)
	r := e.must("a").Runs[0]
	e.until(to - 1)
	e.wantErr("claim before the retry", e.tryClaim(retry(e.must("a"), &r)).Err, store.ErrNotDue, "")
	e.until(to)
	e.claim(retry(e.must("a"), &r))
}

func replacedMovesInTheOrder(e *env) {
	base := e.later(time.Minute)
	for i := range 20 {
		e.put(once("a", at(base.Add(time.Duration(i*7%20)*time.Second))))
		if all := e.due(store.Never); len(all) != 1 {
			e.Fatalf("after %d puts of one name: %q", i+1, names(all))
		}
	}
	e.kill()
	if all := e.due(store.Never); len(all) != 1 || all[0].Position() != base.Add(13*time.Second) {
		e.Fatalf("after the last: %q", names(all))
	}
}

func manyAreDue(e *env) {
	n := 5000
	if testing.Short() {
		n = 1500
	}
	puts := make([]store.Put, n)
	for i := range puts {
		puts[i] = once(fmt.Sprintf("t%04d", i), at(e.now()))
	}
	for i, r := range e.puts(puts...) {
		if r.Outcome != store.Created || r.Err != nil || r.Task.Key != puts[i].Key {
			e.Fatalf("row %d: outcome %v of %v, error %v", i, r.Outcome, r.Task, r.Err)
		}
	}
	p := e.page(store.DueQuery{Until: e.now()})
	is(e, "the page that nobody bounded", len(p.Tasks), 1000)
	is(e, "there is more", p.More, true)
	got := names(e.due(e.now()))
	if len(got) != n || !slices.IsSorted(got) {
		e.Errorf("due: %d, sorted: %v; want %d, in the order of keys", len(got), slices.IsSorted(got), n)
	}
	e.kill()
	claims := make([]store.Claim, n)
	for i, r := range e.due(e.now()) {
		claims[i] = next(r, 0)
	}
	res, err := e.s.Claim(e.ctx, claims)
	answered(e, "Claim", n, len(res), err)
	done := make([]store.Settlement, n)
	for i, r := range res {
		if r.Err != nil || r.RunID.Key != claims[i].Key {
			e.Fatalf("claim %d: %s, error %v", i, r.RunID, r.Err)
		}
		done[i] = ended(r, store.Done)
	}
	out, err := e.s.Settle(e.ctx, done)
	answered(e, "Settle", n, len(out), err)
	if got := e.due(store.Never); len(got) != 0 {
		e.Errorf("after all ended: %d", len(got))
	}
	is(e, "entries of the history", counted(e, e.s).History, int64(n))
}
