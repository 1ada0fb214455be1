package storetest

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dulyhq/duly/store"
)

var settleCases = []Case{
	{"DoneEndsAOneOff", "semantics: states", "what is done is run again, or its name stays taken", doneEndsAOneOff},
	{"DeadIsKept", "F3", "a run that failed for good vanishes with its payload", deadIsKept},
	{"RetryIsTheSameRun", "F2", "a retry is a new run, and its attempts never add up", retryIsTheSameRun},
	{"RetryByTheStoresClock", "A3", "a worker whose clock is wrong makes retries early or late", retryByTheStoresClock},
	{"SnoozeDoesNotCount", "F1", "waiting uses the attempts up", snoozeDoesNotCount},
	{"StaleFence", "D3", "a worker that lost its lease writes over what its successor did", staleFence},
	{"SettleIsOnce", "D3", "one attempt ends twice", settleIsOnce},
	{"SettleAfterTheLease", "D3", "an attempt nobody took over is thrown away because it was slow", settleAfterTheLease},
	{"SettleLooksAtTheFenceAlone", "Store.Settle", "moving or pausing a task makes its attempt fail", settleLooksAtTheFenceAlone},
	{"FixedDelay", "G1", "a fixed delay counts from the start, or ends after one run", fixedDelay},
	{"FixedDelayGoesOn", "F3", "a schedule ends without a word because one of its runs was stopped, lost or buried", fixedDelayGoesOn},
	{"EndStopsTheSchedule", "F3", "a schedule that was to end on an error goes on", endStopsTheSchedule},
	{"LastOccurrence", "G1", "a schedule that is over stays in the store for ever", lastOccurrence},
	{"SettleReason", "Settlement.Reason", "nobody knows how an attempt ended, or a long error is refused and the attempt hangs", settleReason},
	{"SettlementsAreChecked", "Settlement.Check", "a settlement that makes no sense loses a run", settlementsAreChecked},
	{"RenewProlongs", "D2", "a long attempt loses its lease although it renews it", renewProlongs},
	{"RenewIsFenced", "D3", "a holder that lost its lease takes it back", renewIsFenced},
}

func doneEndsAOneOff(e *env) {
	due := e.now()
	t := e.put(once("a", at(due)))
	e.advance(time.Second)
	c := e.claim(next(t, 0))
	e.advance(time.Second)
	s := e.settle(ended(c, store.Done), store.Done)
	is(e, "at", s.At, e.now())
	e.each(func(when string) {
		if s.Task != nil || e.get("a") != nil {
			e.Fatalf("after it was done, %s: %s", when, show(e.get("a")))
		}
		all := e.history("a")
		if len(all) != 1 {
			e.Fatalf("history %s: %d entries, want 1", when, len(all))
		}
		v := all[0]
		if v.Identity == (store.Identity{}) {
			e.Errorf("history %s: no identity, so that it could be told from another one-off", when)
		}
		v.Seq, v.Identity = 0, store.Identity{}
		want := store.Event{
			At: s.At, Key: t.Key, Kind: kind, Generation: t.Generation, For: due, Due: due, Verb: store.VerbSettle, From: store.Running, To: store.Done,
			Attempt: 1, Fence: c.Fence, AcceptedAt: t.AcceptedAt, StartedAt: c.At, Owner: "me",
		}
		if v != want {
			e.Errorf("history %s: %s, want %s", when, showEvent(&v), showEvent(&want))
		}
	})
}

func deadIsKept(e *env) {
	p := every("ns/a", at(e.now()))
	p.Tags, p.Policy = []string{"x"}, []byte("q")
	t := e.put(p)
	c := e.claim(next(t, e.later(time.Hour)))
	x := ended(c, store.Dead)
	x.Reason = "no such address"
	s := e.settle(x, store.Dead)
	is(e, "runs", len(s.Task.Runs), 0)
	e.each(func(when string) {
		dead := allListed(e, e.s, store.Query{Namespace: "ns", State: store.Dead})
		if len(dead) != 1 {
			e.Fatalf("dead %s: %q, want one", when, names(dead))
		}
		d := dead[0]
		if !d.Equal(&p.Spec) || d.Generation != t.Generation {
			e.Errorf("dead %s: %s; want it with all that was declared of it", when, show(d))
		}
		r := d.Runs[0]
		if r.For != c.RunID.For || r.State != store.Dead || r.Attempt != 1 || r.Fence != c.Fence || r.Reason != x.Reason || r.Owner != "me" {
			e.Errorf("dead %s: %s; want the run as it ended", when, show(d))
		}
		is(e, "counted as dead "+when, counted(e, e.s).Dead, 1)
		e.wantErr("another attempt "+when, e.tryClaim(store.Claim{RunID: c.RunID, Lease: lease}).Err, store.ErrChanged, "")
	})
	is(e, "next", e.must("ns/a").Next, s.Task.Next)
	e.wantMoves("ns/a", "running>dead settle")
}

func retryIsTheSameRun(e *env) {
	c := e.claim(next(e.put(every("a", at(e.now()))), e.later(time.Hour)))
	first := c.RunID
	began := c.At
	for n := int32(1); n <= 4; n++ {
		x := again(c, store.VerbRetry, store.In(time.Second, time.Second))
		x.Reason = "try " + string('0'+n)
		s := e.settle(x, store.Pending)
		r := s.Task.Run(first.Generation, first.For)
		if r == nil || r.State != store.Pending || r.Attempt != n || r.Due != e.later(2*time.Second) || r.Reason != x.Reason || r.Fence != c.Fence {
			e.Fatalf("after attempt %d: %s; want it to wait for 2 s, with its reason", n, show(s.Task))
		}
		e.kill()
		e.until(r.Due)
		was := c.Fence
		c = e.claim(store.Claim{RunID: first, Lease: lease})
		is(e, "run id", c.RunID, first)
		is(e, "begun at", c.Task.Run(first.Generation, first.For).BegunAt, began)
		if c.Fence <= was {
			e.Errorf("fence %d after %d", c.Fence, was)
		}
	}
	e.settle(ended(c, store.Done), store.Done)
	all := e.history("a")
	for i, v := range all {
		is(e, "attempt in the history", v.Attempt, int32(i+1))
	}
	is(e, "entries", len(all), 5)
}

func retryByTheStoresClock(e *env) {
	c := e.claim(next(e.put(once("a", at(e.now()))), 0))
	x := again(c, store.VerbRetry, store.In(time.Minute, 0))
	e.advance(10 * time.Second) // between the wish and its arrival
	is(e, "due", e.settle(x, store.Pending).Task.Runs[0].Due, e.later(time.Minute))
	e.advance(time.Minute)
	c = e.claim(store.Claim{RunID: c.RunID, Lease: lease})
	due := e.later(time.Hour)
	is(e, "due at an instant", e.settle(again(c, store.VerbRetry, at(due)), store.Pending).Task.Runs[0].Due, due)
}

func snoozeDoesNotCount(e *env) {
	c := e.claim(next(e.put(once("a", at(e.now()))), 0))
	for i, verb := range []store.Verb{store.VerbSnooze, store.VerbRelease, store.VerbRetry, store.VerbSnooze} {
		r := e.settle(again(c, verb, store.In(0, 0)), store.Pending).Task.Runs[0]
		is(e, "attempts", r.Attempt, int32(i+1))
		is(e, "of these not to count", r.Snoozed, [...]int32{1, 2, 2, 3}[i])
		e.kill()
		c = e.claim(store.Claim{RunID: c.RunID, Lease: lease})
	}
	e.settle(ended(c, store.Done), store.Done)
	e.wantMoves("a", "running>pending snooze", "running>pending release", "running>pending retry", "running>pending snooze", "running>done settle")
}

func staleFence(e *env) {
	c := e.claim(next(e.put(once("a", at(e.now()))), 0))
	e.advance(lease)
	e.edited(rescue(c, store.Pending))
	c2 := e.claim(store.Claim{RunID: c.RunID, Lease: lease})
	bad := c2
	bad.Fence++
	worse := c2
	worse.RunID.For++
	other := c2
	other.RunID.Generation++
	before := e.get("a")
	for what, x := range map[string]store.Settlement{
		"done with the old fence":    ended(c, store.Done),
		"dead with the old fence":    ended(c, store.Dead),
		"retry with the old fence":   again(c, store.VerbRetry, store.In(0, 0)),
		"done with another fence":    ended(bad, store.Done),
		"done of another run":        ended(worse, store.Done),
		"done of another generation": ended(other, store.Done),
		"done of another task":       {RunID: store.RunID{Key: key("b"), Generation: 1, For: 1}, Fence: c2.Fence, Verb: store.VerbSettle, State: store.Done},
		"done without a fence":       {RunID: c2.RunID, Verb: store.VerbSettle, State: store.Done},
	} {
		r := e.trySettle(x)
		e.wantErr(what, r.Err, store.ErrFenced, "")
		if r.State != store.None || r.Task != nil {
			e.Errorf("%s: state %v, %s; want none", what, r.State, show(r.Task))
		}
	}
	sameTask(e, "before and after", before, e.get("a"))
	e.settle(ended(c2, store.Done), store.Done)
	e.wantMoves("a", "running>pending rescue", "running>done settle")
}

func settleIsOnce(e *env) {
	c := e.claim(next(e.put(every("a", at(e.now()))), e.later(time.Hour)))
	x := ended(c, store.Done)
	res, err := e.s.Settle(e.ctx, []store.Settlement{x, x, again2(c)})
	answered(e, "Settle", 3, len(res), err)
	is(e, "the first", res[0].Err, nil)
	e.wantErr("the second in the batch", res[1].Err, store.ErrFenced, "")
	e.wantErr("the third in the batch", res[2].Err, store.ErrFenced, "")
	e.kill()
	e.wantErr("another", e.trySettle(x).Err, store.ErrFenced, "")
	e.wantMoves("a", "running>done settle")
}

func settleAfterTheLease(e *env) {
	c := e.claim(next(e.put(once("a", at(e.now()))), 0))
	e.advance(10 * lease)
	is(e, "renewal after the end", e.renew(store.Renewal{RunID: c.RunID, Fence: c.Fence, Lease: lease}).Err, nil)
	e.wantErr("rescue after it", e.edit(rescue(c, store.Pending)).Err, store.ErrRunning, "")
	e.advance(10 * lease)
	e.settle(ended(c, store.Done), store.Done)
	d := e.claim(next(e.put(once("b", at(e.now()))), 0))
	e.kill()
	e.settle(ended(d, store.Done), store.Done)
}

func settleLooksAtTheFenceAlone(e *env) {
	t := e.put(every("a", at(e.now())))
	c := e.claim(next(t, e.later(time.Minute)))
	e.edited(store.Edit{Verb: store.VerbMove, Key: t.Key, When: at(e.later(time.Hour))})
	e.edited(store.Edit{Verb: store.VerbPause, Key: t.Key})
	e.edited(store.Edit{Verb: store.VerbRun, Key: t.Key})
	p := every("a", at(e.later(2*time.Hour)))
	p.Priority = 2
	e.put(p)
	s := e.settle(ended(c, store.Done), store.Done)
	is(e, "paused", s.Task.Paused(), true)
	is(e, "next", s.Task.Next, occ(e.later(2*time.Hour)))
	is(e, "priority", s.Task.Priority, 2)
}

func fixedDelay(e *env) {
	t := e.put(every("a", at(e.now())))
	for range 3 {
		c := e.claim(next(t, 0))
		if !c.Task.Next.None() {
			e.Fatalf("while it runs: %s; want no occurrence to come", show(c.Task))
		}
		e.advance(7 * time.Second)
		x := again2(c)
		x.Next = store.In(time.Minute, 0) // it is not over yet
		r := e.settle(x, store.Pending)
		is(e, "next while a retry waits", r.Task.Next, store.Occurrence{})
		e.advance(time.Second)
		c = e.claim(store.Claim{RunID: c.RunID, Lease: lease})
		e.advance(3 * time.Second)
		x = ended(c, store.Done)
		x.Next = store.In(time.Minute, time.Second)
		t = e.settle(x, store.Done).Task
		is(e, "next", t.Next, store.Occurrence{For: e.later(time.Minute), Due: e.later(61 * time.Second)})
		e.kill()
		e.until(t.Next.Due)
	}
	c := e.claim(next(t, 0))
	x := ended(c, store.Dead)
	x.Next = store.In(time.Minute, 0)
	is(e, "next after a dead run", e.settle(x, store.Dead).Task.Next, occ(e.later(time.Minute)))
	is(e, "starts", e.must("a").Starts, 4)

	u := e.put(every("rate", at(e.now())))
	c = e.claim(next(u, e.later(time.Second)))
	x = ended(c, store.Done)
	x.Next = store.In(time.Hour, 0)
	is(e, "next of what is known already", e.settle(x, store.Done).Task.Next, c.Task.Next)
}

func fixedDelayGoesOn(e *env) {
	then := store.In(time.Minute, 0)
	start := func(name string) (store.ClaimResult, store.Edit) {
		c := e.claim(next(e.put(every(name, at(e.now()))), 0))
		return c, store.Edit{Key: c.RunID.Key, Generation: c.RunID.Generation, For: c.RunID.For, Next: then}
	}
	goesOn := func(what, name string) {
		e.Helper()
		if t := e.get(name); t == nil || len(t.Runs) != 0 || t.Next.Due != e.later(time.Minute) {
			e.Errorf("after %s: %s; want an occurrence in a minute", what, show(t))
		}
	}
	c, x := start("stopped")
	x.Verb, x.Next = store.VerbStop, store.When{}
	e.edited(x)
	s := ended(c, store.Done)
	s.Next = then
	e.settle(s, store.Done)
	goesOn("an attempt that was asked to stop", "stopped")

	c, x = start("given-up")
	e.settle(again(c, store.VerbRetry, store.In(time.Hour, 0)), store.Pending)
	x.Verb = store.VerbStop
	e.edited(x)
	goesOn("a run that was given up", "given-up")

	c, x = start("buried")
	e.settle(again(c, store.VerbRetry, store.In(time.Hour, 0)), store.Pending)
	x.Verb = store.VerbBury
	e.edited(x)
	goesOn("a run that was buried", "buried")

	c, x = start("lost")
	e.advance(lease)
	x.Verb, x.Fence, x.State = store.VerbRescue, c.Fence, store.Dead
	e.edited(x)
	goesOn("a run that was lost", "lost")
}

func endStopsTheSchedule(e *env) {
	c := e.claim(next(e.put(every("a", at(e.now()))), e.later(time.Minute)))
	x := ended(c, store.Dead)
	x.End = true
	if s := e.settle(x, store.Dead); s.Task != nil {
		e.Errorf("after the end: %s", show(s.Task))
	}
	e.advance(time.Hour)
	if got := e.due(store.Never); len(got) != 0 {
		e.Errorf("due after the end: %q", names(got))
	}
	e.wantMoves("a", "running>dead settle", "pending>cancelled settle")

	c = e.claim(next(e.put(every("b", at(e.now()))), 0))
	x = ended(c, store.Done)
	x.End, x.Next = true, store.In(time.Second, 0)
	if s := e.settle(x, store.Done); s.Task != nil {
		e.Errorf("after the end of a fixed delay: %s", show(s.Task))
	}
}

func lastOccurrence(e *env) {
	c := e.claim(next(e.put(every("a", at(e.now()))), 0))
	e.settle(again2(c), store.Pending)
	e.advance(time.Second)
	c = e.claim(store.Claim{RunID: c.RunID, Lease: lease})
	if s := e.settle(ended(c, store.Done), store.Done); s.Task != nil {
		e.Errorf("after its last occurrence: %s", show(s.Task))
	}
	is(e, "cancel", e.cancel(store.Cancel{Key: key("a")}).Outcome, store.CancelFinished)
}

func settleReason(e *env) {
	c := e.claim(next(e.put(once("a", at(e.now()))), 0))
	x := again2(c)
	x.Reason = "half a \xff character"
	e.settle(x, store.Pending)
	e.advance(time.Second)
	x = ended(e.claim(store.Claim{RunID: c.RunID, Lease: lease}), store.Dead)
	x.Reason = "x" + strings.Repeat("語", store.MaxReason)
	e.settle(x, store.Dead)
	e.each(func(when string) {
		all := e.history("a")
		if !strings.HasPrefix(all[0].Reason, "half a ") {
			e.Errorf("reason %s: %q", when, all[0].Reason)
		}
		dead := allListed(e, e.s, store.Query{State: store.Dead})
		for _, why := range []string{all[1].Reason, dead[0].Runs[0].Reason} {
			if len(why) > store.MaxReason || len(why) < store.MaxReason-8 || !utf8.ValidString(why) || !strings.HasPrefix(x.Reason, why) {
				e.Errorf("a long reason %s: %d bytes; want it cut between two characters to at most %d", when, len(why), store.MaxReason)
			}
		}
	})
}

func settlementsAreChecked(e *env) {
	c := e.claim(next(e.put(once("a", at(e.now()))), 0))
	before := e.get("a")
	for _, x := range []struct {
		field string
		with  func(s *store.Settlement)
	}{
		{"verb", func(s *store.Settlement) { s.Verb = 0 }},
		{"verb", func(s *store.Settlement) { s.Verb = store.VerbPut }},
		{"verb", func(s *store.Settlement) { s.Verb = 255 }},
		{"state", func(s *store.Settlement) { s.State = store.Pending }},
		{"state", func(s *store.Settlement) { s.State = store.Expired }},
		{"state", func(s *store.Settlement) { s.State = 0 }},
		{"when", func(s *store.Settlement) { s.Verb = store.VerbRetry }},
		{"when", func(s *store.Settlement) {
			s.Verb, s.When = store.VerbSnooze, store.On(store.Occurrence{For: 9, Due: 8})
		}},
		{"next", func(s *store.Settlement) { s.Next = store.On(store.Occurrence{For: 9, Due: 8}) }},
	} {
		s := ended(c, store.Done)
		x.with(&s)
		e.wantErr("settle", e.trySettle(s).Err, store.ErrInvalid, x.field)
	}
	e.wantErr("renewal", e.renew(store.Renewal{RunID: c.RunID, Fence: c.Fence}).Err, store.ErrInvalid, "lease")
	sameTask(e, "before and after", before, e.get("a"))
}

func renewProlongs(e *env) {
	c := e.claim(next(e.put(once("a", at(e.now()))), 0))
	for range 5 {
		e.advance(lease - time.Second)
		x := e.renew(store.Renewal{RunID: c.RunID, Fence: c.Fence, Lease: lease})
		is(e, "renewal", x.Err, nil)
		is(e, "stop", x.Stop, false)
		is(e, "end of the lease", e.must("a").Runs[0].Lease, e.clock().Mono.Add(lease))
	}
	e.renew(store.Renewal{RunID: c.RunID, Fence: c.Fence, Lease: time.Second}) // shorter is a choice as well
	e.advance(time.Second)
	e.edited(rescue(c, store.Pending))
	e.wantMoves("a", "running>pending rescue")
}

func renewIsFenced(e *env) {
	c := e.claim(next(e.put(once("a", at(e.now()))), 0))
	x := store.Renewal{RunID: c.RunID, Fence: c.Fence, Lease: lease}
	bad, other := x, x
	bad.Fence++
	other.Name = "b"
	res, err := e.s.Renew(e.ctx, []store.Renewal{bad, x, other})
	answered(e, "Renew", 3, len(res), err)
	e.wantErr("another fence", res[0].Err, store.ErrFenced, "")
	is(e, "the right one", res[1].Err, nil)
	e.wantErr("another name", res[2].Err, store.ErrFenced, "")
	e.settle(again2(c), store.Pending)
	e.wantErr("after a retry", e.renew(x).Err, store.ErrFenced, "")
	e.advance(time.Second)
	c2 := e.claim(store.Claim{RunID: c.RunID, Lease: lease})
	e.wantErr("beside the next attempt", e.renew(x).Err, store.ErrFenced, "")
	e.settle(ended(c2, store.Done), store.Done)
	x.Fence = c2.Fence
	e.wantErr("after the end", e.renew(x).Err, store.ErrFenced, "")
}
