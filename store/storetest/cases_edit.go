package storetest

import (
	"time"

	"github.com/dulyhq/duly/store"
)

var editCases = []Case{
	{"MoveGivesAnotherInstant", "E5", "a task that was moved runs at its old instant, or twice", moveGivesAnotherInstant},
	{"MoveBeginsAnew", "E5", "a task that was moved has already used up its attempts", moveBeginsAnew},
	{"MoveOnlyWhatWaits", "E5", "an attempt that runs is duplicated by a move", moveOnlyWhatWaits},
	{"MovePayload", "VerbMove", "another payload moves the task, gives it its attempts back, or is lost", movePayload},
	{"MoveRecurring", "E5", "moving one occurrence changes the schedule, or fences an attempt", moveRecurring},
	{"PauseStopsClaims", "G5", "a paused task runs", pauseStopsClaims},
	{"PauseIsNoState", "semantics: paused is a flag", "pausing fences or forgets what runs or waits", pauseIsNoState},
	{"ResumeSkips", "G5", "all that fell while it was paused runs at once", resumeSkips},
	{"ResumeGoesForward", "H3", "a resume sets a task to an occurrence that has run", resumeGoesForward},
	{"PauseTwice", "VerbPause", "a second pause overwrites when the first one began", pauseTwice},
	{"SkipPassesBy", "G3", "an occurrence that was passed by runs after all, or is not on record", skipPassesBy},
	{"SkipOfWhatHasChanged", "VerbSkip", "a decision made on what a task was hits what it is", skipOfWhatHasChanged},
	{"SkipExpires", "G4", "a task whose start deadline has passed runs, or vanishes without a trace", skipExpires},
	{"EditsAreChecked", "Edit.Check", "an edit that makes no sense damages a task", editsAreChecked},
	{"EditOfNothing", "EditResult", "a caller cannot tell a mistyped name from one that has ended", editOfNothing},
	{"EditsInOneBatch", "Store", "rows of one key take effect in another order than that of the batch", editsInOneBatch},
}

func moveGivesAnotherInstant(e *env) {
	old := e.put(once("a", at(e.later(time.Minute))))
	to := e.later(time.Hour)
	t := e.edited(store.Edit{Verb: store.VerbMove, Key: old.Key, When: at(to), Reason: "later"})
	is(e, "next", t.Next, occ(to))
	if t.Generation <= old.Generation {
		e.Errorf("generation %d, want one after %d", t.Generation, old.Generation)
	}
	e.until(old.Next.Due)
	e.wantErr("claim at the old instant", e.tryClaim(next(old, 0)).Err, store.ErrChanged, "")
	e.wantErr("claim before the new one", e.tryClaim(next(t, 0)).Err, store.ErrNotDue, "")
	e.each(func(when string) {
		sameTask(e, "the answer and Get "+when, t, e.get("a"))
		e.wantNames("due by the old instant "+when, e.due(old.Next.Due))
	})
	same := e.edited(store.Edit{Verb: store.VerbMove, Key: old.Key, When: at(to)})
	sameTask(e, "moved to where it stands", same, t)
	e.wantMoves("a", "pending>pending move")
	t = e.edited(store.Edit{Verb: store.VerbMove, Key: old.Key, When: store.In(time.Second, 0), Schedule: "at once"})
	is(e, "next", t.Next, occ(e.later(time.Second)))
	is(e, "schedule", t.Schedule, "at once")
	e.until(t.Next.Due)
	e.settle(ended(e.claim(next(t, 0)), store.Done), store.Done)
}

func moveBeginsAnew(e *env) {
	t := e.put(once("a", at(e.now())))
	c := e.claim(next(t, 0))
	e.settle(again2(c), store.Pending)
	t = e.edited(store.Edit{Verb: store.VerbMove, Key: t.Key, When: at(e.now())})
	is(e, "runs", len(t.Runs), 0)
	e.wantErr("claim of the old retry", e.tryClaim(store.Claim{RunID: c.RunID, Lease: lease}).Err, store.ErrChanged, "")
	c2 := e.claim(next(t, 0))
	is(e, "attempt", c2.Task.Runs[0].Attempt, 1)
	if c2.Fence <= c.Fence {
		e.Errorf("fence %d, want one after %d", c2.Fence, c.Fence)
	}
}

func moveOnlyWhatWaits(e *env) {
	c := e.claim(next(e.put(once("a", at(e.now()))), 0))
	e.wantErr("move while it runs", e.edit(store.Edit{Verb: store.VerbMove, Key: key("a"), When: at(1)}).Err, store.ErrRunning, "")
	e.wantErr("run while it runs", e.edit(store.Edit{Verb: store.VerbRun, Key: key("a")}).Err, store.ErrRunning, "")
	e.settle(ended(c, store.Done), store.Done)
	e.wantErr("move of what has ended", e.edit(store.Edit{Verb: store.VerbMove, Key: key("a"), When: at(1)}).Err, store.ErrFinished, "")
}

func movePayload(e *env) {
	t := e.put(every("a", at(e.now())))
	c := e.claim(next(t, e.later(time.Minute)))
	e.settle(again2(c), store.Pending)
	old := e.must("a")
	stale := store.Edit{Verb: store.VerbMove, Key: t.Key, Payload: []byte("never"), IfGeneration: old.Generation + 1}
	e.wantErr("the payload of another generation", e.edit(stale).Err, store.ErrCondition, "")
	got := e.edited(store.Edit{Verb: store.VerbMove, Key: t.Key, Payload: []byte("other"), IfGeneration: old.Generation})
	e.each(func(when string) {
		sameTask(e, "the answer and Get "+when, got, e.get("a"))
	})
	is(e, "payload", string(got.Payload), "other")
	is(e, "next", got.Next, old.Next)
	is(e, "accepted at", got.AcceptedAt, old.AcceptedAt)
	is(e, "starts", got.Starts, old.Starts)
	is(e, "attempts of the run that waits", got.Runs[0].Attempt, old.Runs[0].Attempt)
	if got.Generation <= old.Generation {
		e.Errorf("generation %d, want one after %d", got.Generation, old.Generation)
	}
	same := e.edited(store.Edit{Verb: store.VerbMove, Key: t.Key, Payload: []byte("other")})
	sameTask(e, "the same payload again", same, got)
}

func moveRecurring(e *env) {
	t := e.put(every("a", at(e.now())))
	c := e.claim(next(t, e.later(time.Minute)))
	to := e.later(time.Hour)
	got := e.edited(store.Edit{Verb: store.VerbMove, Key: t.Key, When: at(to)})
	is(e, "next", got.Next, occ(to))
	is(e, "schedule", got.Schedule, t.Schedule)
	is(e, "runs", got.Running(), 1)
	is(e, "renewal of the attempt", e.renew(store.Renewal{RunID: c.RunID, Fence: c.Fence, Lease: lease}).Err, nil)
	e.settle(again2(c), store.Pending)
	e.advance(time.Second)
	c = e.claim(store.Claim{RunID: c.RunID, Lease: lease})
	is(e, "attempt", c.Task.Run(c.RunID.Generation, c.RunID.For).Attempt, 2)
	e.settle(ended(c, store.Done), store.Done)
	is(e, "next after it", e.must("a").Next, occ(to))
}

func pauseStopsClaims(e *env) {
	t := e.put(every("a", at(e.now())))
	got := e.edited(store.Edit{Verb: store.VerbPause, Key: t.Key, Reason: "holiday"})
	is(e, "paused at", got.PausedAt, e.now())
	is(e, "why", got.PausedWhy, "holiday")
	e.each(func(when string) {
		e.advance(time.Minute)
		e.wantErr("claim "+when, e.tryClaim(next(e.must("a"), 0)).Err, store.ErrPaused, "")
		if due := e.due(e.now()); len(due) != 0 {
			e.Errorf("due %s: %q; want what is paused to stand at never", when, names(due))
		}
		e.wantNames("all "+when, e.due(store.Never), "a")
		is(e, "counted as paused "+when, counted(e, e.s).Paused, 1)
	})
	got = e.edited(store.Edit{Verb: store.VerbResume, Key: t.Key})
	is(e, "paused", got.Paused(), false)
	is(e, "next", got.Next, t.Next)
	e.wantMoves("a", "pending>pending pause", "pending>pending resume")
	e.settle(ended(e.claim(next(got, 0)), store.Done), store.Done)
}

func pauseIsNoState(e *env) {
	t := e.put(every("a", at(e.now())))
	c := e.claim(next(t, e.later(time.Minute)))
	got := e.edited(store.Edit{Verb: store.VerbPause, Key: t.Key})
	is(e, "attempts that run", got.Running(), 1)
	is(e, "renewal", e.renew(store.Renewal{RunID: c.RunID, Fence: c.Fence, Lease: lease}).Err, nil)
	e.wantNames("due, because of the attempt", e.due(e.now()), "a")
	e.settle(again2(c), store.Pending)
	e.advance(time.Hour)
	e.wantErr("claim of the retry", e.tryClaim(store.Claim{RunID: c.RunID, Lease: lease}).Err, store.ErrPaused, "")
	if due := e.due(e.now()); len(due) != 0 {
		e.Errorf("due while the retry is paused: %q", names(due))
	}
	e.edited(store.Edit{Verb: store.VerbResume, Key: t.Key})
	c = e.claim(store.Claim{RunID: c.RunID, Lease: lease})
	e.edited(store.Edit{Verb: store.VerbPause, Key: t.Key})
	e.settle(ended(c, store.Done), store.Done)
	is(e, "still paused", e.must("a").Paused(), true)
}

func resumeSkips(e *env) {
	t := e.put(every("a", at(e.now())))
	e.edited(store.Edit{Verb: store.VerbPause, Key: t.Key})
	e.advance(10 * time.Minute)
	to := e.later(time.Minute)
	got := e.edited(store.Edit{Verb: store.VerbResume, Key: t.Key, When: at(to), Missed: 10})
	is(e, "next", got.Next, occ(to))
	e.wantMoves("a", "pending>pending pause", "pending>pending resume", "pending>skipped resume")
	is(e, "missed", e.history("a")[2].Missed, 10)
	e.wantErr("claim of what was skipped", e.tryClaim(store.Claim{RunID: store.RunID{Key: t.Key, Generation: got.Generation, For: t.Next.For}, Lease: lease}).Err, store.ErrChanged, "")
}

func resumeGoesForward(e *env) {
	t := e.put(every("a", at(e.now())))
	e.edited(store.Edit{Verb: store.VerbPause, Key: t.Key})
	e.advance(time.Hour)
	through := e.later(-time.Minute)
	x := store.Edit{Verb: store.VerbResume, Key: t.Key, Missed: 60, Through: through, When: at(through)}
	e.wantErr("resume to what is passed by", e.edit(x).Err, store.ErrInvalid, "when")
	is(e, "paused still", e.must("a").Paused(), true)
	x.When = at(e.now())
	got := e.edited(x)
	is(e, "last", got.Last, through)
	is(e, "next", got.Next, occ(e.now()))

	c := e.claim(next(e.put(once("b", at(e.now()))), 0))
	e.edited(store.Edit{Verb: store.VerbPause, Key: key("b")})
	got = e.edited(store.Edit{Verb: store.VerbResume, Key: key("b"), When: at(e.later(time.Hour))})
	is(e, "next of a one-off that runs", got.Next, store.Occurrence{})
	e.settle(ended(c, store.Done), store.Done)
	is(e, "the one-off after its end", e.get("b"), nil)
}

func pauseTwice(e *env) {
	t := e.put(every("a", at(e.later(time.Hour))))
	e.edited(store.Edit{Verb: store.VerbResume, Key: t.Key, When: at(1)}) // it is not paused: nothing happens
	sameTask(e, "before and after a resume of what is not paused", t, e.get("a"))
	got := e.edited(store.Edit{Verb: store.VerbPause, Key: t.Key, Reason: "first"})
	e.advance(time.Second)
	sameTask(e, "after the first and the second pause", got, e.edited(store.Edit{Verb: store.VerbPause, Key: t.Key, Reason: "second"}))
	sameTask(e, "after the first pause and Get", got, e.get("a"))
	e.wantMoves("a", "pending>pending pause")
}

func skipPassesBy(e *env) {
	t := e.put(every("a", at(e.now())))
	through, then := e.later(time.Minute), e.later(2*time.Minute)
	x := store.Edit{
		Verb: store.VerbSkip, Key: t.Key, For: t.Next.For, State: store.Skipped, Missed: 6, Through: through, When: at(then), Reason: "still running",
	}
	got := e.edited(x)
	is(e, "next", got.Next, occ(then))
	is(e, "last", got.Last, through)
	is(e, "generation", got.Generation, t.Generation)
	e.kill()
	e.wantErr("claim of what was skipped", e.tryClaim(next(t, 0)).Err, store.ErrChanged, "")
	e.wantErr("the same skip again", e.edit(x).Err, store.ErrChanged, "")
	e.wantMoves("a", "pending>skipped skip")
	v := e.history("a")[0]
	is(e, "missed", v.Missed, 6)
	is(e, "for", v.For, t.Next.For)
	is(e, "reason", v.Reason, "still running")
	e.until(then)
	e.settle(ended(e.claim(next(got, 0)), store.Done), store.Done)
}

func skipOfWhatHasChanged(e *env) {
	t := e.put(every("a", at(e.now())))
	x := store.Edit{Verb: store.VerbSkip, Key: t.Key, For: t.Next.For + 1, State: store.Skipped, When: at(e.later(time.Minute))}
	e.wantErr("skip of another instant", e.edit(x).Err, store.ErrChanged, "")
	x.For, x.Generation = t.Next.For, t.Generation+1
	e.wantErr("skip of another generation", e.edit(x).Err, store.ErrChanged, "")
	x.Generation, x.When = 0, at(t.Next.For)
	e.wantErr("skip to what is skipped", e.edit(x).Err, store.ErrInvalid, "when")
	sameTask(e, "before and after", t, e.get("a"))
	c := e.claim(next(t, 0))
	x.When = at(e.later(time.Minute))
	e.wantErr("skip of what runs", e.edit(x).Err, store.ErrChanged, "")
	e.settle(ended(c, store.Done), store.Done)
}

func skipExpires(e *env) {
	t := e.put(once("a", at(e.now())))
	e.advance(time.Minute)
	x := next(t, 0)
	x.NotAfter = t.Next.Due.Add(time.Minute - time.Microsecond)
	e.wantErr("claim after the start deadline", e.tryClaim(x).Err, store.ErrTooLate, "")
	if got := e.edited(store.Edit{Verb: store.VerbSkip, Key: t.Key, For: t.Next.For, State: store.Expired}); got != nil {
		e.Errorf("after it expired: %s; want it gone", show(got))
	}
	e.wantMoves("a", "pending>expired skip")
	is(e, "cancel", e.cancel(store.Cancel{Key: t.Key}).Outcome, store.CancelFinished)
}

func editsAreChecked(e *env) {
	t := e.put(every("a", at(e.later(time.Hour))))
	long := string(make([]byte, store.MaxSchedule+1))
	for _, c := range []struct {
		field string
		x     store.Edit
	}{
		{"verb", store.Edit{}},
		{"verb", store.Edit{Verb: store.VerbPut}},
		{"verb", store.Edit{Verb: store.VerbRelease}},
		{"verb", store.Edit{Verb: store.VerbAlign + 1}},
		{"when", store.Edit{Verb: store.VerbAlign, For: t.Next.For}},
		{"verb", store.Edit{Verb: 255}},
		{"when", store.Edit{Verb: store.VerbMove}},
		{"when", store.Edit{Verb: store.VerbMove, When: store.On(store.Occurrence{For: 9, Due: 8})}},
		{"schedule", store.Edit{Verb: store.VerbMove, When: at(1), Schedule: long}},
		{"payload", store.Edit{Verb: store.VerbMove, Payload: make([]byte, store.MaxPayload+1)}},
		{"missed", store.Edit{Verb: store.VerbResume, Missed: -1}},
		{"state", store.Edit{Verb: store.VerbSkip, For: t.Next.For}},
		{"state", store.Edit{Verb: store.VerbSkip, For: t.Next.For, State: store.Done}},
		{"state", store.Edit{Verb: store.VerbRescue}},
		{"state", store.Edit{Verb: store.VerbRescue, State: 200}},
	} {
		c.x.Key = t.Key
		e.wantErr(c.x.Verb.String(), e.edit(c.x).Err, store.ErrInvalid, c.field)
	}
	sameTask(e, "before and after", t, e.get("a"))
}

func editOfNothing(e *env) {
	e.settle(ended(e.claim(next(e.put(once("old", at(e.now()))), 0)), store.Done), store.Done)
	for _, x := range []store.Edit{
		{Verb: store.VerbMove, When: at(1)},
		{Verb: store.VerbPause},
		{Verb: store.VerbResume},
		{Verb: store.VerbRun},
		{Verb: store.VerbSkip, State: store.Skipped},
		{Verb: store.VerbRescue, State: store.Pending, Fence: 1},
		{Verb: store.VerbBury},
		{Verb: store.VerbStop},
	} {
		x.Key = key("never")
		e.wantErr(x.Verb.String()+" of what never was", e.edit(x).Err, store.ErrNotFound, "")
		x.Key = key("old")
		e.wantErr(x.Verb.String()+" of what has ended", e.edit(x).Err, store.ErrFinished, "")
	}
	e.wantErr("redrive of what never was", e.edit(store.Edit{Verb: store.VerbRedrive, Key: key("never")}).Err, store.ErrNotFound, "")
	t := e.put(once("ending", at(e.now())))
	e.claim(next(t, 0))
	e.cancel(store.Cancel{Key: t.Key})
	e.wantErr("move of what was cancelled while it runs", e.edit(store.Edit{Verb: store.VerbMove, Key: t.Key, When: at(e.now())}).Err, store.ErrFinished, "")
}

func editsInOneBatch(e *env) {
	t := e.put(every("a", at(e.now())))
	res, err := e.s.Edit(e.ctx, []store.Edit{
		{Verb: store.VerbPause, Key: t.Key},
		{Verb: store.VerbMove, Key: t.Key},
		{Verb: store.VerbMove, Key: t.Key, When: at(5)},
		{Verb: store.VerbPause, Key: key("b")},
		{Verb: store.VerbResume, Key: t.Key},
		{Verb: store.VerbMove, Key: t.Key, When: at(6)},
	})
	answered(e, "Edit", 6, len(res), err)
	e.wantErr("row 1", res[1].Err, store.ErrInvalid, "when")
	e.wantErr("row 3", res[3].Err, store.ErrNotFound, "")
	for i, paused := range map[int]bool{0: true, 2: true, 4: false, 5: false} {
		if res[i].Err != nil || res[i].Task == nil || res[i].Task.Paused() != paused {
			e.Errorf("row %d: %s, error %v; want paused to be %v", i, show(res[i].Task), res[i].Err, paused)
		}
	}
	is(e, "next", e.must("a").Next, occ(6))
	e.wantMoves("a", "pending>pending pause", "pending>pending move", "pending>pending resume", "pending>pending move")
}
