package storetest

import (
	"math"
	"strings"
	"time"

	"github.com/dulyhq/duly/store"
)

var claimCases = []Case{
	{"NeverEarly", "C1", "a reminder comes before its time", neverEarly},
	{"NeverEarlyByLessThanAMicrosecond", "C1", "rounding makes tasks early", neverEarlyByRounding},
	{"ClockSetBack", "H3", "a task runs before the instant that the clock shows", clockSetBack},
	{"ClockSetForward", "H3", "what was passed is lost instead of late", clockSetForward},
	{"ClaimIsOnce", "D1", "two workers run one occurrence", claimIsOnce},
	{"ClaimTellsAll", "ClaimResult", "the worker can't tell the handler what it is running", claimTellsAll},
	{"ClaimRecordsWhatIsNext", "semantics: states", "a crash between claiming and planning loses the schedule", claimRecordsWhatIsNext},
	{"ClaimIsConditional", "D1", "a decision made on what a task was runs what it is", claimIsConditional},
	{"NoOverlap", "B2", "a schedule overlaps itself", noOverlap},
	{"OverlapIfAsked", "B2", "a schedule that may overlap doesn't", overlapIfAsked},
	{"StartDeadline", "G4", "a task starts after the last moment at which it made sense", startDeadline},
	{"ClaimsAreChecked", "Claim.Check", "a claim that makes no sense loses occurrences", claimsAreChecked},
	{"FencesRise", "D3", "a writer that was paused for an hour overwrites what others did since", fencesRise},
	{"FirstStart", "Claim.FirstStart", "a task that may be tried once at most is tried twice", firstStart},
	{"HighWater", "H3", "what has run runs again", highWater},
}

var foldCases = []Case{
	{"FoldingRunsTheLast", "G3", "after an hour's downtime every missed minute runs", foldingRunsTheLast},
	{"FoldedNeverFires", "G3", "a folded occurrence runs all the same", foldedNeverFires},
	{"FoldingIsNotEarly", "C1", "an occurrence that is not due is claimed in the place of one that is", foldingIsNotEarly},
}

func neverEarly(e *env) {
	t := e.put(once("a", at(e.later(time.Minute))))
	for _, d := range []time.Duration{0, time.Second, 58 * time.Second, 999 * time.Millisecond, 999 * time.Microsecond} {
		e.advance(d)
		e.wantErr("claim at "+e.now().String(), e.tryClaim(next(t, 0)).Err, store.ErrNotDue, "")
	}
	e.until(t.Next.Due)
	c := e.claim(next(t, 0))
	if c.At < t.Next.Due {
		e.Errorf("claimed at %v, due at %v", c.At, t.Next.Due)
	}
}

func neverEarlyByRounding(e *env) {
	t := e.put(once("a", at(e.later(time.Second))))
	left := time.Unix(0, int64(t.Next.Due)*1000).Sub(time.Unix(0, e.clk.Now().Wall))
	e.advance(left - time.Nanosecond)
	e.wantErr("claim a nanosecond early", e.tryClaim(next(t, 0)).Err, store.ErrNotDue, "")
	e.advance(time.Nanosecond + e.o.Coarse)
	e.claim(next(t, 0))
}

func clockSetBack(e *env) {
	t := e.put(every("a", at(e.now())))
	then := e.later(time.Minute)
	e.settle(ended(e.claim(next(t, then)), store.Done), store.Done)
	e.step(-time.Hour)
	t = e.must("a")
	is(e, "next", t.Next, occ(then))
	e.wantErr("claim after the clock was set back", e.tryClaim(next(t, 0)).Err, store.ErrNotDue, "")
	if got := e.due(e.now()); len(got) != 0 {
		e.Errorf("due after the clock was set back: %q", names(got))
	}
	u := e.put(once("b", store.In(time.Minute, 0)))
	is(e, "an instant by the clock as it was set", u.Next.Due, e.later(time.Minute))
	e.advance(time.Hour + time.Minute)
	e.claim(next(t, 0))
	e.claim(next(u, 0))
}

func clockSetForward(e *env) {
	t := e.put(once("a", store.In(time.Hour, 0)))
	u := e.put(once("b", at(e.later(time.Hour))))
	e.step(2 * time.Hour)
	e.wantNames("due", e.due(e.now()), "a", "b")
	e.claim(next(t, 0))
	e.claim(next(u, 0))
}

func claimIsOnce(e *env) {
	t := e.put(once("a", at(e.now())))
	res, err := e.s.Claim(e.ctx, []store.Claim{next(t, 0), next(t, 0)})
	answered(e, "Claim", 2, len(res), err)
	is(e, "the first", res[0].Err, nil)
	e.wantErr("the second in the batch", res[1].Err, store.ErrChanged, "")
	if res[1].Task != nil || res[1].Fence != 0 {
		e.Errorf("the answer of a refused claim: fence %d, %s", res[1].Fence, show(res[1].Task))
	}
	x := next(t, 0)
	x.Overlap = true
	e.wantErr("another, that may overlap", e.tryClaim(x).Err, store.ErrChanged, "")
	e.settle(ended(res[0], store.Done), store.Done)
	e.wantErr("another after its end", e.tryClaim(next(t, 0)).Err, store.ErrChanged, "")
}

func claimTellsAll(e *env) {
	due := e.now()
	t := e.put(every("a", at(due)))
	e.advance(90 * time.Second)
	clk := e.clock()
	x := next(t, e.later(time.Minute))
	x.Owner = "host-7"
	c := e.claim(x)
	is(e, "run id", c.RunID, store.RunID{Key: t.Key, Generation: t.Generation, For: due})
	is(e, "at", c.At, clk.Now)
	is(e, "starts", c.Task.Starts, 1)
	is(e, "last", c.Task.Last, due)
	if len(c.Task.Runs) != 1 || c.Fence <= 0 {
		e.Fatalf("claimed with fence %d: %s; want one run", c.Fence, show(c.Task))
	}
	is(e, "run", c.Task.Runs[0], store.Run{
		Generation: t.Generation, For: due, Due: due, State: store.Running, Attempt: 1, Fence: c.Fence, Owner: "host-7",
		BegunAt: clk.Now, StartedAt: clk.Now, Lease: clk.Mono.Add(lease),
	})
	sameTask(e, "the answer and Get", c.Task, e.get("a"))
	is(e, "state", c.Task.State(), store.Running)
	is(e, "counted as running", counted(e, e.s).Running, 1)

	e.settle(again(c, store.VerbRetry, store.In(time.Second, 0)), store.Pending)
	e.advance(time.Second)
	c2 := e.claim(store.Claim{RunID: c.RunID, Lease: time.Second, Owner: "host-8"})
	is(e, "the second attempt", c2.Task.Runs[0], store.Run{
		Generation: t.Generation, For: due, Due: c.At.Add(time.Second), State: store.Running, Attempt: 2, Fence: c2.Fence, Owner: "host-8",
		BegunAt: clk.Now, StartedAt: c2.At, Lease: e.clock().Mono.Add(time.Second),
	})
	is(e, "starts after the second attempt", c2.Task.Starts, 1)
}

func claimRecordsWhatIsNext(e *env) {
	t := e.put(every("a", at(e.now())))
	then := store.Occurrence{For: e.later(time.Minute), Due: e.later(61 * time.Second)}
	x := next(t, 0)
	x.Next = then
	c := e.claim(x)
	e.each(func(when string) {
		got := e.must("a")
		is(e, "next "+when, got.Next, then)
		is(e, "run "+when, got.Runs[0].ID(got.Key), c.RunID)
		is(e, "last "+when, got.Last, c.RunID.For)
	})
	e.settle(ended(c, store.Done), store.Done)
	is(e, "next after it ended", e.must("a").Next, then)
}

func claimIsConditional(e *env) {
	t := e.put(every("a", at(e.now())))
	for what, change := range map[string]func(x *store.Claim){
		"another generation": func(x *store.Claim) { x.Generation++ },
		"no generation":      func(x *store.Claim) { x.Generation = 0 },
		"another instant":    func(x *store.Claim) { x.For-- },
		"another name":       func(x *store.Claim) { x.Name = "b" },
		"another namespace":  func(x *store.Claim) { x.Namespace = "b" },
	} {
		x := next(t, 0)
		change(&x)
		e.wantErr("claim of "+what, e.tryClaim(x).Err, store.ErrChanged, "")
	}
	sameTask(e, "before and after", t, e.get("a"))
}

func noOverlap(e *env) {
	t := e.put(every("a", at(e.now())))
	then := e.now() + 1
	c := e.claim(next(t, then))
	e.advance(time.Second)
	x := next(c.Task, e.later(time.Minute))
	e.wantErr("claim of the next occurrence", e.tryClaim(x).Err, store.ErrBusy, "")
	e.kill()
	e.wantErr("claim after the process died, its run not rescued", e.tryClaim(x).Err, store.ErrBusy, "")
	e.settle(again(c, store.VerbRetry, store.In(time.Minute, 0)), store.Pending)
	c2 := e.claim(x)
	e.advance(time.Minute)
	e.wantErr("the retry beside the next occurrence", e.tryClaim(store.Claim{RunID: c.RunID, Lease: lease}).Err, store.ErrBusy, "")
	e.settle(ended(c2, store.Done), store.Done)
	e.claim(store.Claim{RunID: c.RunID, Lease: lease})
}

func overlapIfAsked(e *env) {
	t := e.put(every("a", at(e.now())))
	var all []store.ClaimResult
	for range 3 {
		x := next(t, e.now()+1)
		x.Overlap = true
		c := e.claim(x)
		all, t = append(all, c), c.Task
		e.advance(time.Millisecond)
	}
	is(e, "attempts that run", t.Running(), 3)
	is(e, "counted as running", counted(e, e.s).Running, 3)
	e.kill()
	for i := range all {
		if i > 0 && all[i].Fence <= all[i-1].Fence {
			e.Errorf("fence %d after %d", all[i].Fence, all[i-1].Fence)
		}
	}
	for _, i := range []int{1, 0, 2} {
		e.settle(ended(all[i], store.Done), store.Done)
	}
	is(e, "runs at the end", len(e.must("a").Runs), 0)
}

func startDeadline(e *env) {
	t := e.put(once("a", at(e.now())))
	x := next(t, 0)
	x.NotAfter = e.later(time.Minute)
	e.until(x.NotAfter)
	c := e.claim(x)
	e.settle(again(c, store.VerbRetry, store.In(0, 0)), store.Pending)
	r := store.Claim{RunID: c.RunID, Lease: lease, NotAfter: x.NotAfter}
	e.advance(time.Microsecond)
	e.wantErr("a later attempt that asks the same", e.tryClaim(r).Err, store.ErrTooLate, "")
	r.NotAfter = 0
	e.claim(r)
}

func claimsAreChecked(e *env) {
	t := e.put(every("a", at(e.now())))
	one := e.put(once("one", at(e.now())))
	for _, c := range []struct {
		field string
		with  func(x *store.Claim)
	}{
		{"lease", func(x *store.Claim) { x.Lease = 0 }},
		{"lease", func(x *store.Claim) { x.Lease = math.MinInt64 }},
		{"owner", func(x *store.Claim) { x.Owner = strings.Repeat("x", store.MaxName+1) }},
		{"as", func(x *store.Claim) { x.As = occ(x.For - 1) }},
		{"as", func(x *store.Claim) { x.As = store.Occurrence{For: x.For + 2, Due: x.For + 1} }},
		{"next", func(x *store.Claim) { x.Next = occ(x.For) }},
		{"next", func(x *store.Claim) { x.Next = occ(x.For - 1) }},
		{"next", func(x *store.Claim) { x.As, x.Next = occ(x.For+5), occ(x.For+5) }},
		{"next", func(x *store.Claim) { x.Next = store.Occurrence{For: x.For + 9, Due: x.For + 8} }},
		{"missed", func(x *store.Claim) { x.Missed = -1 }},
	} {
		x := next(t, 0)
		c.with(&x)
		e.wantErr("claim", e.tryClaim(x).Err, store.ErrInvalid, c.field)
	}
	e.wantErr("claim of a one-off with another after it", e.tryClaim(next(one, e.later(time.Hour))).Err, store.ErrInvalid, "next")
	sameTask(e, "before and after", t, e.get("a"))
	x := next(t, 0)
	x.Lease = math.MaxInt64
	e.settle(ended(e.claim(x), store.Done), store.Done)
}

func fencesRise(e *env) {
	var last int64
	took := func(c store.ClaimResult) {
		e.Helper()
		if c.Fence <= last {
			e.Fatalf("fence %d after %d; want them to rise", c.Fence, last)
		}
		last = c.Fence
	}
	for i := range 12 {
		t := e.put(once("a", store.In(time.Duration(i), 0)))
		e.advance(time.Millisecond)
		c := e.claim(next(t, 0))
		took(c)
		e.settle(again(c, store.VerbRetry, store.In(0, 0)), store.Pending)
		switch i % 4 {
		case 1:
			e.reopen()
		case 2:
			e.kill()
		}
		r := store.Claim{RunID: c.RunID, Lease: lease}
		c = e.claim(r)
		took(c)
		e.advance(lease)
		e.edited(rescue(c, store.Pending))
		c = e.claim(r)
		took(c)
		if i%2 == 0 {
			e.settle(ended(c, store.Dead), store.Dead)
		} else {
			e.cancel(store.Cancel{Key: t.Key})
			e.settle(ended(c, store.Done), store.Done)
		}
		if i%4 == 3 {
			e.kill()
		}
	}
}

func firstStart(e *env) {
	x := next(e.put(once("a", at(e.now()))), 0)
	x.FirstStart = true
	c := e.claim(x)
	e.kill()
	if t := e.must("a"); t.Running() != 1 || t.Runs[0].Fence != c.Fence || t.Runs[0].Attempt != 1 {
		e.Errorf("after the process died: %s; want the start on record", show(t))
	}
}

func highWater(e *env) {
	t := e.put(every("a", at(e.now())))
	first := t.Next.For
	c := e.claim(next(t, first+10))
	e.settle(ended(c, store.Done), store.Done)
	e.step(-time.Hour)
	e.kill()
	got := e.must("a")
	is(e, "last", got.Last, first)
	e.wantErr("claim of what has run", e.tryClaim(next(t, 0)).Err, store.ErrChanged, "")
	is(e, "outcome of the same declaration", e.puts(every("a", at(first)))[0].Outcome, store.Unchanged)
	is(e, "next", e.must("a").Next, occ(first+10))
}

// folded claims a task's next occurrence as the one at as, with n folded into it.
func folded(t *store.Task, as store.Instant, n int64, then store.Instant) store.Claim {
	x := next(t, then)
	x.As, x.Missed = occ(as), n
	return x
}

func foldingRunsTheLast(e *env) {
	t := e.put(every("a", at(e.now())))
	e.advance(time.Hour)
	as, then := e.later(-time.Second), e.later(time.Minute)
	c := e.claim(folded(t, as, 59, then))
	is(e, "run id", c.RunID, store.RunID{Key: t.Key, Generation: t.Generation, For: as})
	is(e, "missed", c.Task.Runs[0].Missed, 59)
	is(e, "last", c.Task.Last, as)
	is(e, "starts", c.Task.Starts, 1)
	is(e, "next", c.Task.Next, occ(then))
	e.wantMoves("a", "pending>skipped claim")
	v := e.history("a")[0]
	is(e, "missed in the history", v.Missed, 59)
	is(e, "for in the history", v.For, t.Next.For)
	e.kill()
	e.settle(ended(c, store.Done), store.Done)
	is(e, "missed in the run's entry", e.history("a")[1].Missed, 59)
}

func foldedNeverFires(e *env) {
	t := e.put(every("a", at(e.now())))
	e.advance(time.Hour)
	as := e.later(-time.Second)
	c := e.claim(folded(t, as, 59, e.later(time.Minute)))
	x := next(t, 0)
	x.Overlap = true
	e.wantErr("the first that was folded, while it runs", e.tryClaim(x).Err, store.ErrChanged, "")
	e.settle(ended(c, store.Done), store.Done)
	e.each(func(when string) {
		e.wantErr("the first that was folded, "+when, e.tryClaim(x).Err, store.ErrChanged, "")
		x.For = as
		e.wantErr("the one that ran, "+when, e.tryClaim(x).Err, store.ErrChanged, "")
		x.For = as.Add(-time.Minute)
		e.wantErr("one between, "+when, e.tryClaim(x).Err, store.ErrChanged, "")
		x.For = t.Next.For
		is(e, "next "+when, len(e.due(e.now())), 0)
	})
}

func foldingIsNotEarly(e *env) {
	t := e.put(every("a", at(e.now())))
	e.advance(time.Minute)
	as := e.now() + 1
	e.wantErr("claim as one that is not due", e.tryClaim(folded(t, as, 1, e.later(time.Hour))).Err, store.ErrNotDue, "")
	sameTask(e, "before and after", t, e.get("a"))
	e.wantMoves("a")
	u := e.put(every("b", at(e.later(time.Minute))))
	e.wantErr("claim of what is not due, as one before it", e.tryClaim(folded(u, e.now(), 0, 0)).Err, store.ErrInvalid, "as")
	e.until(as)
	e.claim(folded(t, as, 1, e.later(time.Hour)))
}
