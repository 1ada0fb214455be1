package storetest

import (
	"time"

	"github.com/dulyhq/duly/store"
)

var conflictCases = []Case{
	{"ReplaceSwaps", "B1", "two tasks of one name, or the old one's instant under the new one's payload", replaceSwaps},
	{"KeepKeeps", "B1", "what was to be kept is overwritten", keepKeeps},
	{"FailFails", "B1", "a task that exists is overwritten although that was to be an error", failFails},
	{"KeepTimeKeepsTheInstant", "B1", "a new payload postpones the task", keepTimeKeepsTheInstant},
	{"EarliestTakesTheEarlier", "B1", "a later wish postpones an earlier one", earliestTakesTheEarlier},
	{"DebounceCollects", "B1", "every call of a burst makes a run, or the burst's last one does not count", debounceCollects},
	{"DebounceHasABound", "B1", "a burst that never ends postpones the task for ever", debounceHasABound},
	{"IfGeneration", "B4", "a change that was made meanwhile is overwritten", ifGeneration},
	{"IfAbsent", "B4", "two callers who both looked first both create", ifAbsent},
	{"IfPending", "B4", "a task that runs is replaced although that was not wanted", ifPending},
	{"ReplaceWhileItRuns", "B2", "the attempt that runs is fenced, or overlaps its successor", replaceWhileItRuns},
	{"ReplacedAttemptIsNotRetried", "B2", "what was replaced comes back", replacedAttemptIsNotRetried},
	{"ReplacedTwiceWhileItRuns", "B2", "a replacement of a replacement is lost, or an attempt of it is fenced", replacedTwiceWhileItRuns},
	{"ReplaceWhileARetryWaits", "B1", "the old payload is tried again beside the new one", replaceWhileARetryWaits},
	{"ReplaceKeepsThePause", "B1", "a deployment ends a pause that an operator made", replaceKeepsThePause},
	{"EndedNamesAreFree", "B3", "a name that ended once can never be used again", endedNamesAreFree},
	{"DeadNeverBlocks", "B3", "one dead run keeps its schedule or its name from ever running again", deadNeverBlocks},
}

var onceCases = []Case{
	{"OneOffRunsOnce", "A5", "a program that declares its one-offs at every start runs them at every start", oneOffRunsOnce},
	{"OneOffRunsAgainIfItDiffers", "A5", "a one-off that never ran is taken for one that did", oneOffRunsAgainIfItDiffers},
	{"OneOffRunsOnceByAnyClock", "H3", "a clock that is set back makes everything that is declared run again", oneOffRunsOnceByAnyClock},
	{"OneOffRunsOnceWhateverWasDone", "A5", "a one-off that was paused or redriven on its way runs once more", oneOffRunsOnceWhateverWasDone},
	{"OneOffRunsAgainWhenForgotten", "A5", "the promise outlasts the history that it is read from, or does not last as long", oneOffRunsAgainWhenForgotten},
}

func replaceSwaps(e *env) {
	old := e.put(once("a", at(e.later(time.Minute))))
	p := once("a", at(e.later(time.Hour)))
	p.Payload = []byte("new")
	r := e.puts(p)[0]
	is(e, "outcome", r.Outcome, store.Replaced)
	e.each(func(when string) {
		got := e.must("a")
		sameTask(e, "put and Get "+when, r.Task, got)
		is(e, "payload "+when, string(got.Payload), "new")
		is(e, "next "+when, got.Next, occ(p.When.Resolve(0).For))
	})
	e.wantMoves("a", "pending>cancelled put")
	v := e.history("a")[0]
	is(e, "generation in the history", v.Generation, old.Generation)
	e.until(old.Next.Due)
	e.wantErr("claim of what was replaced", e.tryClaim(next(old, 0)).Err, store.ErrChanged, "")
	if got := e.due(e.now()); len(got) != 0 {
		e.Errorf("due at the old instant: %q", names(got))
	}
}

func keepKeeps(e *env) {
	old := e.put(once("a", at(e.later(time.Minute))))
	p := once("a", at(e.later(time.Hour)))
	p.OnConflict = store.Keep
	r := e.puts(p)[0]
	is(e, "outcome", r.Outcome, store.Kept)
	sameTask(e, "the answer and what was there", r.Task, old)
	e.until(old.Next.Due)
	c := e.claim(next(old, 0))
	is(e, "outcome while it runs", e.puts(p)[0].Outcome, store.Kept)
	e.settle(again2(c), store.Pending)
	is(e, "outcome while a retry waits", e.puts(p)[0].Outcome, store.Kept)
	e.cancel(store.Cancel{Key: old.Key})
	is(e, "outcome when the name is free", e.puts(p)[0].Outcome, store.Created)
}

func failFails(e *env) {
	old := e.put(once("a", at(e.later(time.Minute))))
	p := once("a", at(e.later(time.Hour)))
	p.OnConflict = store.Fail
	r := e.puts(p)[0]
	e.wantErr("put", r.Err, store.ErrExists, "")
	if r.Task != nil {
		e.Errorf("the answer of a refused Put has a task: %s", show(r.Task))
	}
	sameTask(e, "what was there before and after", old, e.get("a"))
	e.cancel(store.Cancel{Key: old.Key})
	is(e, "outcome when the name is free", e.puts(p)[0].Outcome, store.Created)
}

func keepTimeKeepsTheInstant(e *env) {
	p := once("a", store.In(time.Minute, 0))
	p.OnConflict = store.KeepTime
	old := e.put(p)
	e.advance(10 * time.Second)
	p.Payload = []byte("new")
	r := e.puts(p)[0]
	is(e, "outcome", r.Outcome, store.Replaced)
	is(e, "next", r.Task.Next, old.Next)
	is(e, "payload", string(r.Task.Payload), "new")
	if r.Task.Generation <= old.Generation {
		e.Errorf("generation %d, want one after %d", r.Task.Generation, old.Generation)
	}
	e.until(old.Next.Due)
	c := e.claim(next(r.Task, 0))
	retryAt := e.settle(again(c, store.VerbRetry, store.In(time.Minute, 0)), store.Pending).Task.Runs[0].Due
	p.Payload = []byte("newest")
	is(e, "due while a retry waits", e.put(p).Next.Due, retryAt)
}

func earliestTakesTheEarlier(e *env) {
	p := once("a", at(e.later(time.Hour)))
	p.OnConflict = store.Earliest
	early, late := e.later(time.Minute), e.later(2*time.Hour)
	e.put(p)
	p.When = at(early)
	is(e, "next after an earlier wish", e.put(p).Next, occ(early))
	p.When, p.Payload = at(late), []byte("new")
	t := e.put(p)
	is(e, "next after a later wish", t.Next, occ(early))
	is(e, "payload after a later wish", string(t.Payload), "new")
}

func debounceCollects(e *env) {
	p := once("a", store.In(10*time.Second, 0))
	p.OnConflict = store.Debounce
	for range 5 {
		e.put(p)
		e.advance(7 * time.Second)
		if got := e.due(e.now()); len(got) != 0 {
			e.Fatalf("due within the burst: %q", names(got))
		}
	}
	e.advance(3 * time.Second)
	c := e.claim(next(e.must("a"), 0))
	e.settle(ended(c, store.Done), store.Done)
	if t := e.get("a"); t != nil {
		e.Errorf("after its run: %s", show(t))
	}
	runs := 0
	for _, v := range e.history("a") {
		if v.To == store.Done {
			runs++
		}
	}
	is(e, "runs of the burst", runs, 1)
}

func debounceHasABound(e *env) {
	p := once("a", store.In(10*time.Second, 0))
	p.OnConflict, p.MaxWait = store.Debounce, 25*time.Second
	bound := e.later(p.MaxWait)
	for i := range 4 {
		got := e.put(p).Next
		if want := min(e.later(10*time.Second), bound); got.Due != want {
			e.Errorf("put %d of the burst: due at %v, want %v", i, got.Due, want)
		}
		e.advance(7 * time.Second)
		if i == 1 {
			e.kill() // the burst's beginning is a part of the task
		}
	}
	e.settle(ended(e.claim(next(e.must("a"), 0)), store.Done), store.Done)
	is(e, "due in the next burst", e.put(p).Next.Due, e.later(10*time.Second))
}

func ifGeneration(e *env) {
	p := once("a", at(e.later(time.Minute)))
	p.IfGeneration = 12345
	e.wantErr("put, the name is free", e.puts(p)[0].Err, store.ErrCondition, "")
	p.IfGeneration = 0
	t := e.put(p)
	p.When = at(e.later(time.Hour))
	for _, g := range []int64{t.Generation - 1, t.Generation + 1, -1} {
		if g == 0 {
			continue // asks nothing
		}
		p.IfGeneration = g
		r := e.puts(p)[0]
		e.wantErr("put for another generation", r.Err, store.ErrCondition, "")
		e.wantErr("cancel of another generation", e.cancel(store.Cancel{Key: t.Key, IfGeneration: g}).Err, store.ErrCondition, "")
		e.wantErr("pause of another generation", e.edit(store.Edit{Verb: store.VerbPause, Key: t.Key, IfGeneration: g}).Err, store.ErrCondition, "")
	}
	sameTask(e, "the task before and after", t, e.get("a"))
	p.IfGeneration = t.Generation
	is(e, "outcome for this generation", e.puts(p)[0].Outcome, store.Replaced)
	e.wantErr("the same again", e.puts(p)[0].Err, store.ErrCondition, "")
	g := e.must("a").Generation
	is(e, "cancel of this generation", e.cancel(store.Cancel{Key: t.Key, IfGeneration: g}).Outcome, store.CancelCancelled)
	e.wantErr("cancel of what is gone", e.cancel(store.Cancel{Key: t.Key, IfGeneration: g}).Err, store.ErrCondition, "")
}

func ifAbsent(e *env) {
	p := once("a", at(e.now()))
	p.IfAbsent = true
	t := e.put(p)
	e.wantErr("put of what is there", e.puts(p)[0].Err, store.ErrCondition, "")
	c := e.claim(next(t, 0))
	e.wantErr("put while it runs", e.puts(p)[0].Err, store.ErrCondition, "")
	e.cancel(store.Cancel{Key: t.Key})
	p.Payload = []byte("new")
	is(e, "outcome after it was cancelled while it runs", e.puts(p)[0].Outcome, store.Created)
	e.settle(ended(c, store.Done), store.Done)
	is(e, "payload of what is there", string(e.must("a").Payload), "new")
}

func ifPending(e *env) {
	p := once("a", at(e.now()))
	p.IfPending = true
	e.wantErr("put, the name is free", e.puts(p)[0].Err, store.ErrCondition, "")
	p.IfPending = false
	e.put(p)
	p.IfPending, p.Payload = true, []byte("new")
	t := e.put(p)
	is(e, "payload", string(t.Payload), "new")
	c := e.claim(next(t, 0))
	p.Payload = []byte("newer")
	e.wantErr("put while it runs", e.puts(p)[0].Err, store.ErrCondition, "")
	e.settle(again2(c), store.Pending)
	is(e, "outcome while a retry waits", e.puts(p)[0].Outcome, store.Replaced)
}

func replaceWhileItRuns(e *env) {
	old := e.put(once("a", at(e.now())))
	c := e.claim(next(old, 0))
	p := once("a", at(e.now()))
	p.Payload = []byte("new")
	t := e.put(p)
	is(e, "attempts that run", t.Running(), 1)
	r := t.Run(old.Generation, c.RunID.For)
	if r == nil || !r.Final || r.Fence != c.Fence {
		e.Fatalf("the replaced task: %s; want the attempt in it, the last of its run", show(t))
	}
	e.wantErr("claim of the new while the old one runs", e.tryClaim(next(t, 0)).Err, store.ErrBusy, "")
	if x := e.renew(store.Renewal{RunID: c.RunID, Fence: c.Fence, Lease: lease}); x.Err != nil || x.Stop {
		e.Errorf("renewal of the attempt: stop %v, error %v; want it to go on", x.Stop, x.Err)
	}
	s := e.settle(ended(c, store.Done), store.Done)
	if s.Task == nil || s.Task.Generation != t.Generation || s.Task.Next.None() {
		e.Errorf("after the old one ended: %s; want the new one to wait", show(s.Task))
	}
	c2 := e.claim(next(t, 0))
	if c2.Fence <= c.Fence {
		e.Errorf("fence %d, want one after %d", c2.Fence, c.Fence)
	}
	is(e, "payload of the new", string(c2.Task.Payload), "new")
	e.settle(ended(c2, store.Done), store.Done)

	t = e.put(once("b", at(e.now())))
	c = e.claim(next(t, 0))
	p.Key = key("b")
	x := next(e.put(p), 0)
	x.Overlap = true
	e.settle(ended(e.claim(x), store.Done), store.Done)
	e.settle(ended(c, store.Done), store.Done)
}

func replacedAttemptIsNotRetried(e *env) {
	for _, verb := range []store.Verb{store.VerbRetry, store.VerbSnooze, store.VerbRelease} {
		c := e.claim(next(e.put(once("a", at(e.now()))), 0))
		p := once("a", at(e.later(time.Hour)))
		p.Payload = []byte(verb.String())
		t := e.put(p)
		if s := e.settle(again(c, verb, store.In(0, 0)), store.Cancelled); s.Task == nil || len(s.Task.Runs) != 0 {
			e.Errorf("after %v of what was replaced: %s; want the new one alone", verb, show(s.Task))
		}
		e.wantErr("another attempt at it", e.tryClaim(store.Claim{RunID: c.RunID, Lease: lease}).Err, store.ErrChanged, "")
		e.cancel(store.Cancel{Key: t.Key})
	}
	c := e.claim(next(e.put(once("b", at(e.now()))), 0))
	e.put(once("b", at(e.later(time.Hour))))
	e.settle(ended(c, store.Dead), store.Cancelled)
	if p, err := e.s.List(e.ctx, store.Query{State: store.Dead}); err != nil || len(p.Tasks) != 0 {
		e.Errorf("dead: %q, error %v; want none of what was replaced", names(p.Tasks), err)
	}
	e.wantMoves("b", "running>running put", "running>cancelled settle")
}

func replacedTwiceWhileItRuns(e *env) {
	c := e.claim(next(e.put(every("a", at(e.now()))), e.later(time.Hour)))
	for i := range 3 {
		p := every("a", at(e.now()))
		p.Priority = int32(i + 1)
		e.put(p)
	}
	e.kill()
	t := e.must("a")
	is(e, "runs", len(t.Runs), 1)
	is(e, "priority", t.Priority, 3)
	s := ended(c, store.Done)
	s.Next, s.End = store.In(time.Second, 0), true // says nothing of what has replaced it
	e.settle(s, store.Done)
	got := e.must("a")
	is(e, "next", got.Next, t.Next)
	e.claim(next(got, 0))
}

func replaceWhileARetryWaits(e *env) {
	t := e.put(once("a", at(e.now())))
	c := e.claim(next(t, 0))
	e.settle(again2(c), store.Pending)
	p := once("a", at(e.now()))
	p.Payload = []byte("new")
	got := e.put(p)
	is(e, "runs", len(got.Runs), 0)
	e.advance(time.Minute)
	e.wantErr("claim of the old retry", e.tryClaim(store.Claim{RunID: c.RunID, Lease: lease}).Err, store.ErrChanged, "")
	e.wantMoves("a", "running>pending retry", "pending>cancelled put")
	c2 := e.claim(next(got, 0))
	is(e, "attempt", c2.Task.Runs[0].Attempt, 1)
}

func replaceKeepsThePause(e *env) {
	t := e.put(every("a", at(e.now())))
	e.edited(store.Edit{Verb: store.VerbPause, Key: t.Key, Reason: "by hand"})
	p := every("a", at(e.now()))
	p.Priority = 9
	got := e.put(p)
	is(e, "paused", got.Paused(), true)
	is(e, "why", got.PausedWhy, "by hand")
	e.wantErr("claim", e.tryClaim(next(got, 0)).Err, store.ErrPaused, "")
	e.cancel(store.Cancel{Key: t.Key})
	is(e, "paused when the name had been free", e.put(p).Paused(), false)
}

func endedNamesAreFree(e *env) {
	var last int64
	for i, end := range []func(t *store.Task){
		func(t *store.Task) { e.settle(ended(e.claim(next(t, 0)), store.Done), store.Done) },
		func(t *store.Task) { e.settle(ended(e.claim(next(t, 0)), store.Dead), store.Dead) },
		func(t *store.Task) { e.settle(ended(e.claim(next(t, 0)), store.Cancelled), store.Cancelled) },
		func(t *store.Task) { e.cancel(store.Cancel{Key: t.Key}) },
		func(t *store.Task) {
			e.edited(store.Edit{Verb: store.VerbSkip, Key: t.Key, For: t.Next.For, State: store.Expired})
		},
		func(t *store.Task) {
			e.edited(store.Edit{Verb: store.VerbBury, Key: t.Key, Generation: t.Generation, For: t.Next.For})
		},
	} {
		p := once("a", at(e.now()))
		p.Priority, p.OnConflict, p.IfAbsent = int32(i), store.Fail, true
		r := e.puts(p)[0]
		if r.Err != nil || r.Outcome != store.Created || r.Task.Generation <= last {
			e.Fatalf("put %d: outcome %v, %s, error %v; want it created, of a generation after %d", i, r.Outcome, show(r.Task), r.Err, last)
		}
		last = r.Task.Generation
		end(r.Task)
		if t := e.get("a"); t != nil {
			e.Fatalf("end %d left %s", i, show(t))
		}
	}
}

func deadNeverBlocks(e *env) {
	t := e.put(every("a", at(e.now())))
	then := e.later(time.Minute)
	e.settle(ended(e.claim(next(t, then)), store.Dead), store.Dead)
	got := e.must("a")
	is(e, "next after a dead run", got.Next, occ(then))
	e.until(then)
	e.settle(ended(e.claim(next(got, e.later(time.Minute))), store.Done), store.Done)
	p := every("a", at(e.now()))
	p.Priority = 3
	is(e, "outcome beside a dead run", e.puts(p)[0].Outcome, store.Replaced)
	is(e, "cancel beside a dead run", e.cancel(store.Cancel{Key: t.Key}).Outcome, store.CancelCancelled)
	is(e, "outcome after it", e.puts(every("a", at(e.now())))[0].Outcome, store.Created)
	if dead, err := e.s.List(e.ctx, store.Query{State: store.Dead}); err != nil || len(dead.Tasks) != 1 {
		e.Errorf("dead: %q, error %v; want the one run", names(dead.Tasks), err)
	}
}

func oneOffRunsOnce(e *env) {
	p := once("a", at(e.now()))
	e.settle(ended(e.claim(next(e.put(p), 0)), store.Done), store.Done)
	e.each(func(when string) {
		e.advance(time.Second)
		r := e.puts(p)[0]
		if r.Outcome != store.AlreadyRan || r.Task != nil || r.Err != nil {
			e.Fatalf("put %s: outcome %v, %s, error %v; want it to have run already", when, r.Outcome, show(r.Task), r.Err)
		}
		if t := e.get("a"); t != nil {
			e.Errorf("task %s: %s", when, show(t))
		}
	})
	for _, on := range []store.Conflict{store.Keep, store.Fail, store.KeepTime, store.Earliest} {
		p.OnConflict = on
		is(e, "outcome by another policy", e.puts(p)[0].Outcome, store.AlreadyRan)
	}
}

func oneOffRunsAgainIfItDiffers(e *env) {
	p := once("a", at(e.now()))
	run := func(as store.State) {
		e.settle(ended(e.claim(next(e.must("a"), 0)), as), as)
	}
	e.put(p)
	run(store.Dead)
	is(e, "outcome when it died", e.puts(p)[0].Outcome, store.Created)
	run(store.Cancelled)
	is(e, "outcome when it was cancelled", e.puts(p)[0].Outcome, store.Created)
	run(store.Done)
	q := p
	q.Payload = []byte("other")
	is(e, "outcome with another payload", e.puts(q)[0].Outcome, store.Created)
	run(store.Done)
	q = p
	q.When = at(e.now() - 5)
	is(e, "outcome at another instant", e.puts(q)[0].Outcome, store.Created)
	run(store.Done)
	q = p
	q.Key = key("other/a")
	is(e, "outcome in another namespace", e.puts(q)[0].Outcome, store.Created)
	is(e, "outcome of the first", e.puts(p)[0].Outcome, store.AlreadyRan)
	for range 2 {
		is(e, "outcome of a delay", e.puts(once("b", store.In(0, 0)))[0].Outcome, store.Created)
		e.settle(ended(e.claim(next(e.must("b"), 0)), store.Done), store.Done)
	}
	for range 2 {
		r := every("c", at(p.When.Resolve(0).For))
		is(e, "outcome of a recurring one", e.puts(r)[0].Outcome, store.Created)
		e.settle(ended(e.claim(next(e.must("c"), 0)), store.Done), store.Done)
	}
}

func oneOffRunsAgainWhenForgotten(e *env) {
	p := once("a", at(e.now()))
	e.settle(ended(e.claim(next(e.put(p), 0)), store.Done), store.Done)
	e.advance(72 * time.Hour)
	e.trim(store.Retention{HistoryFrom: e.later(-96 * time.Hour)})
	is(e, "outcome while the history is kept", e.puts(p)[0].Outcome, store.AlreadyRan)
	e.trim(store.Retention{HistoryFrom: e.later(-24 * time.Hour)})
	is(e, "outcome when it is not", e.puts(p)[0].Outcome, store.Created)
}

func oneOffRunsOnceByAnyClock(e *env) {
	p := once("a", at(e.now()))
	e.settle(ended(e.claim(next(e.put(p), 0)), store.Done), store.Done)
	q := once("b", at(e.now()))
	c := e.claim(next(e.put(q), 0))
	e.step(-time.Hour)
	e.settle(ended(c, store.Done), store.Done)
	e.each(func(when string) {
		is(e, "outcome when the clock was set back after its end, "+when, e.puts(p)[0].Outcome, store.AlreadyRan)
		is(e, "outcome when the clock was set back before its end, "+when, e.puts(q)[0].Outcome, store.AlreadyRan)
	})
	e.advance(2 * time.Hour)
	is(e, "outcome when that instant comes again", e.puts(p)[0].Outcome, store.AlreadyRan)
	is(e, "outcome of the other", e.puts(q)[0].Outcome, store.AlreadyRan)
}

func oneOffRunsOnceWhateverWasDone(e *env) {
	p := once("a", at(e.now()))
	c := e.claim(next(e.put(p), 0))
	e.edited(store.Edit{Verb: store.VerbPause, Key: p.Key})
	e.edited(store.Edit{Verb: store.VerbResume, Key: p.Key})
	e.settle(ended(c, store.Dead), store.Dead)
	e.edited(redrive(c.RunID))
	c = e.claim(store.Claim{RunID: c.RunID, Lease: lease})
	e.settle(ended(c, store.Done), store.Done)
	is(e, "outcome", e.puts(p)[0].Outcome, store.AlreadyRan)
}

func (e *env) trim(r store.Retention) int64 {
	e.Helper()
	n, err := e.s.Trim(e.ctx, r)
	if err != nil {
		e.Fatalf("Trim %+v: %v", r, err)
	}
	return n
}
