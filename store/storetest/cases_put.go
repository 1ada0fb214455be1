package storetest

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly/store"
)

var putCases = []Case{
	{"PutIsKept", "A1", "a task that was acknowledged and is not there afterwards is never run", putIsKept},
	{"PutKeepsWholeSpec", "Store.Put", "a handler gets another payload, or a policy is lost", putKeepsWholeSpec},
	{"DelayIsResolvedByTheStore", "A3", "a caller whose clock is wrong makes tasks early or late", delayIsResolvedByTheStore},
	{"DelayIsResolvedOnce", "A3", "a delay begins anew whenever the store is opened", delayIsResolvedOnce},
	{"PastMeansAtOnce", "A6", "a task whose instant has passed is refused or never runs", pastMeansAtOnce},
	{"FarInstants", "A4", "a far instant wraps around and the task runs now", farInstants},
	{"JitterIsKept", "words: due", "jitter is forgotten or applied twice", jitterIsKept},
	{"IdenticalPutIsNoOp", "A5", "every process that declares a schedule at its start resets it, and it never runs", identicalPutIsNoOp},
	{"IdenticalOneOff", "A5", "the instant is a part of what a one-off is", identicalOneOff},
	{"AnyDifferenceReplaces", "B1", "a changed declaration is taken for the old one and has no effect", anyDifferenceReplaces},
	{"AcceptedAtIsKept", "Put.AcceptedAt", "the phase of a grid is lost", acceptedAtIsKept},
	{"CallerMayReuseItsSlices", "Store", "a task changes after it was accepted", callerMayReuseItsSlices},
	{"GenerationsRise", "words: generation", "a cancel or claim meant for an old task hits the new one", generationsRise},
	{"KindMismatch", "A7", "two programs that use one name for different things destroy each other's tasks", kindMismatch},
	{"NamespacesAreApart", "A7", "tenants see each other's tasks", namespacesAreApart},
	{"NamesAreChecked", "A7", "names that cannot be shown, listed or addressed", namesAreChecked},
	{"OddNames", "A7", "names that are legal and unusual are mixed up or lost", oddNames},
	{"Limits", "Put.Check", "one huge task takes the store's memory, or one that is just legal is refused", limits},
	{"MostPayload", "MaxPayload", "the largest payload that is allowed comes back short", mostPayload},
}

func putIsKept(e *env) {
	due := e.later(time.Hour)
	now := e.now()
	r := e.puts(once("a", at(due)))[0]
	is(e, "outcome", r.Outcome, store.Created)
	is(e, "error", r.Err, nil)
	if r.Task == nil {
		e.Fatal("Put returned no task")
	}
	is(e, "next", r.Task.Next, occ(due))
	is(e, "accepted at", r.Task.AcceptedAt, now)
	is(e, "state", r.Task.State(), store.Pending)
	e.each(func(when string) {
		sameTask(e, "the task put and the task "+when, r.Task, e.get("a"))
		if got := e.get("b"); got != nil {
			e.Errorf("Get of a name that has no task, %s: %s", when, show(got))
		}
	})
}

func putKeepsWholeSpec(e *env) {
	spec := store.Spec{
		Kind: "k ind", Schedule: "every 5m\nof it", Policy: []byte{0, 1, 0xff}, Payload: []byte("\x00\xff\n\""), LimitKey: "l/k",
		Tags: []string{"b", "a", "b"}, Priority: -7, Recurring: true,
	}
	e.put(store.Put{Key: key("ns/full"), Spec: spec, When: at(e.later(time.Hour))})
	e.put(store.Put{Key: key("empty"), Spec: store.Spec{Kind: "k", Priority: math.MinInt32}, When: at(e.later(time.Hour))})
	e.each(func(when string) {
		if got := e.must("ns/full"); !got.Equal(&spec) {
			e.Errorf("spec %s: %+v, want %+v", when, got.Spec, spec)
		}
		got := e.must("empty")
		if got.Priority != math.MinInt32 || len(got.Payload)+len(got.Policy)+len(got.Tags) != 0 || got.Recurring || got.Schedule != "" {
			e.Errorf("spec %s: %+v, want nothing but the kind and the priority", when, got.Spec)
		}
	})
}

func delayIsResolvedByTheStore(e *env) {
	p := once("a", store.In(time.Minute, 5*time.Second))
	e.advance(10 * time.Second) // between the wish and its arrival
	now := e.now()
	e.put(p)
	is(e, "next", e.must("a").Next, store.Occurrence{For: now.Add(time.Minute), Due: now.Add(65 * time.Second)})
}

func delayIsResolvedOnce(e *env) {
	due := e.put(once("a", store.In(time.Minute, 0))).Next
	e.each(func(when string) {
		e.advance(time.Second)
		is(e, "next "+when, e.must("a").Next, due)
	})
}

func pastMeansAtOnce(e *env) {
	now := e.now()
	for i, w := range []store.When{store.In(-time.Hour, 0), store.In(0, 0), store.In(math.MinInt64, -1), at(now), at(now - 1), at(1), at(-1), at(-62e15)} {
		name := fmt.Sprintf("p%d", i)
		t := e.put(once(name, w))
		if t.Next.Due > now {
			e.Errorf("%s is due at %v, after now, %v", name, t.Next.Due, now)
		}
		if got := e.due(now); len(got) != 1 || got[0].Name != name {
			e.Errorf("due now: %q, want %q", names(got), name)
		}
		e.settle(ended(e.claim(next(t, 0)), store.Done), store.Done)
	}
}

func farInstants(e *env) {
	limit := store.At(time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC))
	e.put(once("never", at(store.Never)))
	e.put(once("last", at(limit)))
	e.put(once("longest", store.In(math.MaxInt64, 0)))
	e.put(once("longest-jitter", store.In(math.MaxInt64, math.MaxInt64)))
	e.put(once("first", at(store.At(time.Date(-9000, 1, 1, 0, 0, 0, 0, time.UTC)))))
	now := e.now()
	e.each(func(when string) {
		is(e, "never is due "+when, e.must("never").Next.Due, store.Never)
		is(e, "the year 9999 "+when, e.must("last").Next.Due, limit)
		if got := e.must("longest").Next.Due; got <= now.Add(math.MaxInt64/2) {
			e.Errorf("the longest delay is due at %v %s", got, when)
		}
		e.wantNames("due now "+when, e.due(e.now()), "first")
		e.wantNames("all "+when, e.due(store.Never), "first", "longest", "longest-jitter", "last", "never")
	})
	for _, name := range []string{"never", "last", "longest"} {
		e.wantErr("claim of "+name, e.tryClaim(next(e.must(name), 0)).Err, store.ErrNotDue, "")
	}
	for _, o := range []store.Occurrence{occ(limit + 1), occ(-limit - 2), {For: 5, Due: 4}, occ(store.Over)} {
		e.wantErr(fmt.Sprintf("put on %d, due %d", o.For, o.Due), e.puts(once("x", store.On(o)))[0].Err, store.ErrInvalid, "when")
	}
	e.wantErr("put without an instant", e.puts(once("x", store.When{}))[0].Err, store.ErrInvalid, "when")
}

func jitterIsKept(e *env) {
	o := store.Occurrence{For: e.later(time.Minute), Due: e.later(time.Minute + 3*time.Second)}
	t := e.put(once("a", store.On(o)))
	e.each(func(when string) { is(e, "next "+when, e.must("a").Next, o) })
	e.until(o.For)
	e.wantErr("claim at the nominal instant", e.tryClaim(next(t, 0)).Err, store.ErrNotDue, "")
	e.until(o.Due)
	is(e, "the run's nominal instant", e.claim(next(t, 0)).RunID.For, o.For)
}

func identicalPutIsNoOp(e *env) {
	first := e.put(every("a", store.In(time.Minute, 0)))
	again := func(when string) {
		for range 3 {
			e.advance(time.Second)
			r := e.puts(every("a", store.In(time.Minute, 0)))[0]
			is(e, "outcome "+when, r.Outcome, store.Unchanged)
			sameTask(e, "the first and the repeated Put "+when, first, r.Task)
			sameTask(e, "the first Put and Get "+when, first, e.get("a"))
		}
	}
	e.each(again)
	p := every("a", at(e.later(5*time.Hour)))
	p.AcceptedAt = e.now()
	is(e, "outcome at another instant", e.puts(p)[0].Outcome, store.Unchanged)
	sameTask(e, "the first Put and Get", first, e.get("a"))
	e.wantMoves("a")

	e.until(first.Next.Due)
	c := e.claim(next(first, e.later(time.Minute)))
	r := e.puts(every("a", store.In(time.Minute, 0)))[0]
	is(e, "outcome while it runs", r.Outcome, store.Unchanged)
	is(e, "final while it runs", r.Task.Runs[0].Final, false)
	e.settle(again2(c), store.Pending)
	is(e, "outcome while a retry waits", e.puts(every("a", store.In(time.Minute, 0)))[0].Outcome, store.Unchanged)
}

// again2 fails an attempt, to be tried again in a second.
func again2(c store.ClaimResult) store.Settlement {
	return again(c, store.VerbRetry, store.In(time.Second, 0))
}

func identicalOneOff(e *env) {
	due := e.later(time.Hour)
	first := e.put(once("a", at(due)))
	e.advance(time.Second)
	r := e.puts(once("a", at(due)))[0]
	is(e, "outcome at the same instant", r.Outcome, store.Unchanged)
	sameTask(e, "the first and the repeated Put", first, r.Task)
	r = e.puts(once("a", at(due+1)))[0]
	is(e, "outcome a microsecond later", r.Outcome, store.Replaced)
	e.put(once("b", store.In(time.Minute, 0)))
	is(e, "outcome of the same delay at the same moment", e.puts(once("b", store.In(time.Minute, 0)))[0].Outcome, store.Unchanged)
	e.advance(time.Second)
	is(e, "outcome of the same delay later", e.puts(once("b", store.In(time.Minute, 0)))[0].Outcome, store.Replaced)

	e.until(due + 1)
	c := e.claim(next(e.must("a"), 0))
	is(e, "outcome while it runs", e.puts(once("a", at(due+1)))[0].Outcome, store.Unchanged)
	e.settle(again2(c), store.Pending)
	is(e, "outcome while its retry waits", e.puts(once("a", at(due+1)))[0].Outcome, store.Unchanged)

	was := e.claim(next(e.put(once("c", at(e.now()))), 0))
	e.settle(ended(was, store.Dead), store.Dead)
	then := e.later(time.Second)
	e.put(once("c", at(then)))
	e.edited(redrive(was.RunID))
	e.until(then)
	e.claim(next(e.must("c"), 0))
	is(e, "outcome while it runs beside a run that is tried again", e.puts(once("c", at(then)))[0].Outcome, store.Unchanged)
}

func anyDifferenceReplaces(e *env) {
	p := every("a", at(e.later(time.Hour)))
	p.Tags, p.Policy = []string{"x", "y"}, []byte("q")
	last := e.put(p)
	for _, c := range []struct {
		name string
		with func()
	}{
		{"kind", func() { p.Kind, p.AnyKind = "other", true }},
		{"schedule", func() { p.Schedule = "other" }},
		{"policy", func() { p.Policy = []byte("r") }},
		{"payload", func() { p.Payload = nil }},
		{"limit key", func() { p.LimitKey = "l" }},
		{"order of tags", func() { p.Tags = []string{"y", "x"} }},
		{"number of tags", func() { p.Tags = []string{"y"} }},
		{"priority", func() { p.Priority = 1 }},
		{"recurring", func() { p.Recurring = false }},
	} {
		c.with()
		r := e.puts(p)[0]
		if r.Err != nil || r.Outcome != store.Replaced || r.Task.Generation <= last.Generation {
			e.Fatalf("another %s: outcome %v, %s, error %v; want it replaced, of a generation after %d", c.name, r.Outcome, show(r.Task), r.Err, last.Generation)
		}
		if !r.Task.Equal(&p.Spec) {
			e.Errorf("another %s: spec %+v, want %+v", c.name, r.Task.Spec, p.Spec)
		}
		last = r.Task
	}
}

func acceptedAtIsKept(e *env) {
	p := every("a", at(e.later(time.Hour)))
	p.AcceptedAt = e.now() - 12_345_678
	e.put(p)
	e.each(func(when string) { is(e, "accepted at "+when, e.must("a").AcceptedAt, p.AcceptedAt) })
}

func callerMayReuseItsSlices(e *env) {
	ps := []store.Put{once("a", at(e.later(time.Hour))), once("b", at(e.later(time.Hour)))}
	ps[0].Payload, ps[0].Policy, ps[0].Tags = []byte("payload"), []byte("policy"), []string{"tag"}
	want := ps[0].Spec
	want.Payload, want.Policy, want.Tags = []byte("payload"), []byte("policy"), []string{"tag"}
	e.puts(ps...)
	ps[0].Payload[0], ps[0].Policy[0], ps[0].Tags[0] = 'X', 'X', "X"
	ps[0], ps[1] = store.Put{}, store.Put{}
	e.each(func(when string) {
		if got := e.must("a"); !got.Equal(&want) {
			e.Errorf("spec %s: %+v, want %+v", when, got.Spec, want)
		}
		e.must("b")
	})
}

func generationsRise(e *env) {
	var last int64
	for i := range 30 {
		t := e.put(once("a", at(e.later(time.Duration(i)*time.Second))))
		if t.Generation <= last {
			e.Fatalf("generation %d in round %d, want one after %d", t.Generation, i, last)
		}
		last = t.Generation
		switch i % 6 {
		case 1:
			is(e, "cancel", e.cancel(store.Cancel{Key: t.Key}).Outcome, store.CancelCancelled)
		case 2:
			e.until(t.Next.Due)
			e.settle(ended(e.claim(next(t, 0)), store.Done), store.Done)
		case 3:
			e.reopen()
		case 4:
			e.cancel(store.Cancel{Key: t.Key})
			e.kill()
		case 5:
			e.kill()
		}
	}
}

func kindMismatch(e *env) {
	due := e.later(time.Hour)
	t := e.put(once("a", at(due)))
	p := once("a", at(due))
	p.Kind = "other"
	e.wantErr("put under another kind", e.puts(p)[0].Err, store.ErrKindMismatch, "")
	sameTask(e, "the task before and after", t, e.get("a"))
	for _, on := range []store.Conflict{store.Keep, store.KeepTime, store.Earliest, store.Debounce, store.Fail} {
		p.OnConflict = on
		e.wantErr("put under another kind", e.puts(p)[0].Err, store.ErrKindMismatch, "")
	}
	p.OnConflict, p.AnyKind = store.Replace, true
	is(e, "outcome where it was asked for", e.puts(p)[0].Outcome, store.Replaced)
	is(e, "kind", e.must("a").Kind, "other")
	e.cancel(store.Cancel{Key: t.Key})
	is(e, "outcome when the name is free", e.puts(once("a", at(due)))[0].Outcome, store.Created)
}

func namespacesAreApart(e *env) {
	due := e.later(time.Hour)
	all := []string{"n", "a/n", "ab/n", "a/bn", "b/n"}
	for i, name := range all {
		p := once(name, at(due))
		p.Payload = []byte(name)
		r := e.puts(p)[0]
		is(e, "outcome of "+name, r.Outcome, store.Created)
		is(e, "key of "+name, r.Task.Key, key(name))
		for _, other := range all[:i+1] {
			if got := e.must(other); string(got.Payload) != other {
				e.Errorf("payload of %s: %q", other, got.Payload)
			}
		}
	}
	is(e, "cancel", e.cancel(store.Cancel{Key: key("a/n")}).Outcome, store.CancelCancelled)
	for _, name := range all {
		if got := e.get(name); (got == nil) != (name == "a/n") {
			e.Errorf("after a/n was cancelled: %s is %s", name, show(got))
		}
	}
}

func namesAreChecked(e *env) {
	long := strings.Repeat("x", store.MaxName)
	when := at(e.later(time.Hour))
	bad := []string{"", ".", "..", long + "x", "a\x00b", "a\nb", "\x7f", "\u0085", "a\xffb", "\xc3"}
	for _, name := range bad {
		k := store.Key{Name: name}
		p := store.Put{Key: k, When: when, Spec: store.Spec{Kind: kind}}
		e.wantErr(fmt.Sprintf("put of the name %.20q", name), e.puts(p)[0].Err, store.ErrInvalid, "name")
		e.wantErr(fmt.Sprintf("cancel of the name %.20q", name), e.cancel(store.Cancel{Key: k}).Err, store.ErrInvalid, "name")
		e.wantErr(fmt.Sprintf("pause of the name %.20q", name), e.edit(store.Edit{Verb: store.VerbPause, Key: k}).Err, store.ErrInvalid, "name")
		e.tryClaim(store.Claim{RunID: store.RunID{Key: k}, Lease: lease}) // must be answered
		if name == "" {
			continue
		}
		p.Key = store.Key{Namespace: name, Name: "a"}
		e.wantErr(fmt.Sprintf("put of the namespace %.20q", name), e.puts(p)[0].Err, store.ErrInvalid, "namespace")
		p.Key, p.LimitKey = key("a"), name
		e.wantErr(fmt.Sprintf("put of the limit key %.20q", name), e.puts(p)[0].Err, store.ErrInvalid, "limit key")
		p.LimitKey, p.Kind = "", name
		e.wantErr(fmt.Sprintf("put of the kind %.20q", name), e.puts(p)[0].Err, store.ErrInvalid, "kind")
		p.Kind, p.Tags = kind, []string{"good", name}
		e.wantErr(fmt.Sprintf("put of the tag %.20q", name), e.puts(p)[0].Err, store.ErrInvalid, "tag")
	}
	if got := e.due(store.Never); len(got) != 0 {
		e.Errorf("after nothing but refusals there are %q", names(got))
	}
	e.put(store.Put{Key: store.Key{Namespace: long, Name: long}, When: when, Spec: store.Spec{Kind: long, LimitKey: long, Tags: []string{long}}})
}

func oddNames(e *env) {
	odd := []string{"...", " ", "a ", " a", "a", "A", "ä", "a\u0308", "%00", "../x", "a\\b", "*", "\U0001F525", "\u202e", "\ufffd", "'; --", "a:b", "a@1@2", "\u00ff", "~"}
	for _, name := range odd {
		p := store.Put{Key: store.Key{Namespace: name, Name: name}, When: at(e.later(time.Hour)), Spec: store.Spec{Kind: name, Payload: []byte(name)}}
		is(e, "outcome of "+name, e.puts(p)[0].Outcome, store.Created)
	}
	slash := store.Key{Namespace: "a/b", Name: "c"}
	other := store.Key{Namespace: "a", Name: "b/c"}
	e.puts(store.Put{Key: slash, When: at(1), Spec: store.Spec{Kind: "1"}}, store.Put{Key: other, When: at(1), Spec: store.Spec{Kind: "2"}})
	e.each(func(when string) {
		for _, name := range odd {
			ts, err := e.s.Get(e.ctx, []store.Key{{Namespace: name, Name: name}})
			if err != nil || ts[0] == nil || string(ts[0].Payload) != name || ts[0].Kind != name {
				e.Errorf("Get of %q %s: %v, error %v", name, when, ts, err)
			}
		}
		ts, err := e.s.Get(e.ctx, []store.Key{slash, other})
		if err != nil || ts[0] == nil || ts[1] == nil || ts[0].Kind != "1" || ts[1].Kind != "2" {
			e.Errorf("Get of keys that print alike, %s: %v, error %v", when, ts, err)
		}
	})
}

func limits(e *env) {
	base := once("a", at(e.later(time.Hour)))
	tags := make([]string, store.MaxTags+1)
	for i := range tags {
		tags[i] = strconv.Itoa(i)
	}
	for _, c := range []struct {
		field string
		with  func(p *store.Put, more int)
	}{
		{"schedule", func(p *store.Put, more int) { p.Schedule = strings.Repeat("s", store.MaxSchedule+more) }},
		{"policy", func(p *store.Put, more int) { p.Policy = make([]byte, store.MaxPolicy+more) }},
		{"payload", func(p *store.Put, more int) { p.Payload = make([]byte, store.MaxPayload+more) }},
		{"tags", func(p *store.Put, more int) { p.Tags = tags[:store.MaxTags+more] }},
		{"max wait", func(p *store.Put, more int) { p.MaxWait = time.Duration(-more) }},
		{"on conflict", func(p *store.Put, more int) { p.OnConflict = store.Debounce + store.Conflict(more) }},
	} {
		p := base
		c.with(&p, 1)
		e.wantErr("put beyond the limit of "+c.field, e.puts(p)[0].Err, store.ErrInvalid, c.field)
		p = base
		c.with(&p, 0)
		if r := e.puts(p)[0]; r.Err != nil {
			e.Errorf("put at the limit of %s: %v", c.field, r.Err)
		}
	}
}

func mostPayload(e *env) {
	p := once("a", at(e.now()))
	p.Payload = bytes.Repeat([]byte("0123456789abcdef"), store.MaxPayload/16)
	e.put(p)
	e.put(once("b", at(e.now())))
	e.each(func(when string) {
		if got := e.must("a"); !bytes.Equal(got.Payload, p.Payload) {
			e.Errorf("payload %s: %d bytes that are not those put", when, len(got.Payload))
		}
		if got := e.due(e.now()); len(got) != 2 || !bytes.Equal(got[0].Payload, p.Payload) {
			e.Errorf("due %s: %q, want two, whole", when, names(got))
		}
	})
	c := e.claim(next(e.must("a"), 0))
	if !bytes.Equal(c.Task.Payload, p.Payload) {
		e.Errorf("payload of the claim: %d bytes that are not those put", len(c.Task.Payload))
	}
	e.settle(again2(c), store.Pending)
	if got := e.must("a"); !bytes.Equal(got.Payload, p.Payload) {
		e.Errorf("payload after a retry: %d bytes that are not those put", len(got.Payload))
	}
}
