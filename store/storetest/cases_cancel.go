package storetest

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dulyhq/duly/store"
)

var cancelCases = []Case{
	{"CancelledNeverBegins", "E1", "what a user called off happens all the same", cancelledNeverBegins},
	{"CancelOfNothing", "E1", "a caller cannot tell a mistyped name from one that has ended", cancelOfNothing},
	{"CancelWhileItRuns", "E1", "an attempt is fenced or forgotten because somebody cancelled", cancelWhileItRuns},
	{"CancelMeansNoRetry", "E2", "a task that was cancelled while it ran comes back", cancelMeansNoRetry},
	{"CancelWhileARetryWaits", "E2", "a task between two attempts can't be stopped", cancelWhileARetryWaits},
	{"CancelRecurring", "E4", "one occurrence is cancelled and the schedule goes on", cancelRecurring},
	{"CancelRecurringWhileItRuns", "E4", "the schedule goes on, or its attempt is lost", cancelRecurringWhileItRuns},
	{"CancelAsksToStop", "E3", "a run away attempt does not hear that it should stop", cancelAsksToStop},
	{"CancelPaused", "E1", "what is paused can't be cancelled", cancelPaused},
	{"CancelledRunKeepsItsName", "E1", "the attempts of a cancelled task are lost when it is cancelled again, or its process dies", cancelledRunKeepsItsName},
	{"CancelReason", "Cancel.Reason", "nobody knows why it was cancelled, or a long reason is refused", cancelReason},
	{"CancelInOneBatch", "Store", "rows of one key take effect in another order than that of the batch", cancelInOneBatch},
}

func cancelledNeverBegins(e *env) {
	t := e.put(once("a", at(e.later(time.Minute))))
	u := e.put(once("b", at(e.now())))
	for _, k := range []store.Key{t.Key, u.Key} {
		r := e.cancel(store.Cancel{Key: k})
		if r.Outcome != store.CancelCancelled || r.Task != nil || r.Err != nil {
			e.Errorf("cancel: outcome %v, %s, error %v; want it cancelled and gone", r.Outcome, show(r.Task), r.Err)
		}
	}
	e.advance(time.Hour)
	e.each(func(when string) {
		for _, x := range []*store.Task{t, u} {
			e.wantErr("claim "+when, e.tryClaim(next(x, 0)).Err, store.ErrChanged, "")
		}
		if got := e.due(store.Never); len(got) != 0 {
			e.Errorf("due %s: %q", when, names(got))
		}
		is(e, "another cancel "+when, e.cancel(store.Cancel{Key: t.Key}).Outcome, store.CancelFinished)
	})
	e.wantMoves("a", "pending>cancelled cancel")
}

func cancelOfNothing(e *env) {
	is(e, "cancel of a name that never was", e.cancel(store.Cancel{Key: key("a")}).Outcome, store.CancelUnknown)
	e.wantErr("cancel of a generation of it", e.cancel(store.Cancel{Key: key("a"), IfGeneration: 1}).Err, store.ErrCondition, "")
	e.settle(ended(e.claim(next(e.put(once("a", at(e.now()))), 0)), store.Done), store.Done)
	e.each(func(when string) {
		is(e, "cancel of what is done, "+when, e.cancel(store.Cancel{Key: key("a")}).Outcome, store.CancelFinished)
		is(e, "cancel in another namespace, "+when, e.cancel(store.Cancel{Key: key("x/a")}).Outcome, store.CancelUnknown)
		is(e, "cancel of a longer name, "+when, e.cancel(store.Cancel{Key: key("aa")}).Outcome, store.CancelUnknown)
	})
	e.settle(ended(e.claim(next(e.put(once("d", at(e.now()))), 0)), store.Dead), store.Dead)
	is(e, "cancel of what is dead", e.cancel(store.Cancel{Key: key("d")}).Outcome, store.CancelFinished)
}

func cancelWhileItRuns(e *env) {
	c := e.claim(next(e.put(once("a", at(e.now()))), 0))
	r := e.cancel(store.Cancel{Key: key("a")})
	is(e, "outcome", r.Outcome, store.CancelRunning)
	if r.Task == nil || !r.Task.Ended || r.Task.Running() != 1 || !r.Task.Runs[0].Final {
		e.Fatalf("the answer's task: %s; want it ended, with its attempt, the last", show(r.Task))
	}
	e.each(func(when string) { sameTask(e, "the answer and Get "+when, dead(r.Task, e), dead(e.get("a"), e)) })
	if x := e.renew(store.Renewal{RunID: c.RunID, Fence: c.Fence, Lease: lease}); x.Err != nil || x.Stop {
		e.Errorf("renewal: stop %v, error %v; want the attempt to go on", x.Stop, x.Err)
	}
	is(e, "cancel again", e.cancel(store.Cancel{Key: key("a")}).Outcome, store.CancelRunning)
	if s := e.settle(ended(c, store.Done), store.Done); s.Task != nil {
		e.Errorf("after it succeeded: %s", show(s.Task))
	}
	e.wantMoves("a", "running>running cancel", "running>done settle")
	is(e, "cancel of what has succeeded", e.cancel(store.Cancel{Key: key("a")}).Outcome, store.CancelFinished)
}

// dead returns a task without the ends of its leases, which the death of a process changes.
func dead(t *store.Task, e *env) *store.Task {
	e.Helper()
	if t == nil {
		return nil
	}
	n := *t
	n.Runs = append([]store.Run(nil), t.Runs...)
	for i := range n.Runs {
		n.Runs[i].Lease = 0
	}
	return &n
}

func cancelMeansNoRetry(e *env) {
	for _, verb := range []store.Verb{store.VerbRetry, store.VerbSnooze, store.VerbRelease, store.VerbSettle} {
		p := once("a", at(e.now()))
		p.Policy = []byte{byte(verb)}
		c := e.claim(next(e.put(p), 0))
		e.cancel(store.Cancel{Key: key("a")})
		e.kill()
		s := again(c, verb, store.In(0, 0))
		if verb == store.VerbSettle {
			s = ended(c, store.Dead)
		}
		if r := e.settle(s, store.Cancelled); r.Task != nil {
			e.Errorf("after %v: %s; want it gone", verb, show(r.Task))
		}
		e.wantErr("another attempt", e.tryClaim(store.Claim{RunID: c.RunID, Lease: lease}).Err, store.ErrChanged, "")
	}
	if p, err := e.s.List(e.ctx, store.Query{State: store.Dead}); err != nil || len(p.Tasks) != 0 {
		e.Errorf("dead: %q, error %v; want none of what was cancelled", names(p.Tasks), err)
	}
}

func cancelWhileARetryWaits(e *env) {
	c := e.claim(next(e.put(once("a", at(e.now()))), 0))
	e.settle(again2(c), store.Pending)
	r := e.cancel(store.Cancel{Key: key("a")})
	if r.Outcome != store.CancelCancelled || r.Task != nil {
		e.Errorf("cancel: outcome %v, %s; want it cancelled and gone", r.Outcome, show(r.Task))
	}
	e.advance(time.Minute)
	e.kill()
	e.wantErr("the next attempt", e.tryClaim(store.Claim{RunID: c.RunID, Lease: lease}).Err, store.ErrChanged, "")
	e.wantMoves("a", "running>pending retry", "pending>cancelled cancel")
}

func cancelRecurring(e *env) {
	t := e.put(every("a", at(e.now())))
	then := e.later(time.Minute)
	e.settle(ended(e.claim(next(t, then)), store.Done), store.Done)
	r := e.cancel(store.Cancel{Key: t.Key})
	if r.Outcome != store.CancelCancelled || r.Task != nil {
		e.Errorf("cancel: outcome %v, %s; want it cancelled and gone", r.Outcome, show(r.Task))
	}
	e.advance(time.Hour)
	x := store.Claim{RunID: store.RunID{Key: t.Key, Generation: t.Generation, For: then}, Lease: lease}
	e.wantErr("claim of the next occurrence", e.tryClaim(x).Err, store.ErrChanged, "")
}

func cancelRecurringWhileItRuns(e *env) {
	t := e.put(every("a", at(e.now())))
	then := e.later(time.Minute)
	c := e.claim(next(t, then))
	r := e.cancel(store.Cancel{Key: t.Key})
	is(e, "outcome", r.Outcome, store.CancelCancelled)
	if r.Task == nil || r.Task.Running() != 1 || !r.Task.Next.None() || !r.Task.Ended {
		e.Fatalf("the answer's task: %s; want the attempt that runs and no occurrence to come", show(r.Task))
	}
	is(e, "cancel again", e.cancel(store.Cancel{Key: t.Key}).Outcome, store.CancelRunning)
	s := ended(c, store.Done)
	s.Next = store.In(time.Second, 0) // as a fixed delay would say
	if got := e.settle(s, store.Done); got.Task != nil {
		e.Errorf("after its attempt ended: %s; want it gone", show(got.Task))
	}
	e.wantMoves("a", "pending>cancelled cancel", "running>running cancel", "running>done settle")
}

func cancelAsksToStop(e *env) {
	t := e.put(every("a", at(e.now())))
	c := e.claim(next(t, e.later(time.Minute)))
	renewal := store.Renewal{RunID: c.RunID, Fence: c.Fence, Lease: lease}
	is(e, "stop before", e.renew(renewal).Stop, false)
	e.cancel(store.Cancel{Key: t.Key, Stop: true, Reason: "enough"})
	is(e, "stop", e.renew(renewal).Stop, true)
	e.reopen()
	is(e, "stop in the store that was opened again", e.must("a").Runs[0].Stop, true)
	e.settle(ended(c, store.Cancelled), store.Cancelled)

	c = e.claim(next(e.put(once("b", at(e.now()))), 0))
	e.cancel(store.Cancel{Key: key("b")})
	renewal = store.Renewal{RunID: c.RunID, Fence: c.Fence, Lease: lease}
	is(e, "stop after a cancel that does not ask for it", e.renew(renewal).Stop, false)
	e.cancel(store.Cancel{Key: key("b"), Stop: true})
	is(e, "stop after one that does", e.renew(renewal).Stop, true)
	e.settle(ended(c, store.Done), store.Done)
}

func cancelPaused(e *env) {
	t := e.put(every("a", at(e.now())))
	e.edited(store.Edit{Verb: store.VerbPause, Key: t.Key})
	r := e.cancel(store.Cancel{Key: t.Key})
	if r.Outcome != store.CancelCancelled || r.Task != nil {
		e.Errorf("cancel: outcome %v, %s; want it cancelled and gone", r.Outcome, show(r.Task))
	}
}

func cancelledRunKeepsItsName(e *env) {
	c := e.claim(next(e.put(once("a", at(e.now()))), 0))
	e.cancel(store.Cancel{Key: key("a")})
	e.kill()
	e.cancel(store.Cancel{Key: key("a")})
	e.kill()
	t := e.must("a")
	e.wantNames("due", e.due(e.now()), "a")
	e.advance(lease)
	r := e.edit(store.Edit{Verb: store.VerbRescue, Key: t.Key, Generation: c.RunID.Generation, For: c.RunID.For, Fence: c.Fence, State: store.Dead})
	if r.Err != nil || r.State != store.Cancelled {
		e.Errorf("the rescue is answered %v, error %v; want it cancelled, and not dead as was asked for", r.State, r.Err)
	}
	if t := e.get("a"); t != nil {
		e.Errorf("after the rescue: %s; want it gone, because it was cancelled", show(t))
	}
	e.wantMoves("a", "running>running cancel", "running>cancelled rescue")
}

func cancelReason(e *env) {
	e.put(once("a", at(e.later(time.Hour))))
	e.cancel(store.Cancel{Key: key("a"), Reason: "changed my mind"})
	e.put(once("b", at(e.later(time.Hour))))
	e.cancel(store.Cancel{Key: key("b"), Reason: strings.Repeat("ä", store.MaxReason)})
	e.each(func(when string) {
		is(e, "reason "+when, e.history("a")[0].Reason, "changed my mind")
		if why := e.history("b")[0].Reason; len(why) > store.MaxReason || len(why) < store.MaxReason-4 || !utf8.ValidString(why) {
			e.Errorf("a long reason %s: %d bytes, valid UTF-8: %v; want it cut between two characters to at most %d", when, len(why), utf8.ValidString(why), store.MaxReason)
		}
	})
}

func cancelInOneBatch(e *env) {
	e.put(once("a", at(e.later(time.Hour))))
	c := e.claim(next(e.put(once("r", at(e.now()))), 0))
	res, err := e.s.Cancel(e.ctx, []store.Cancel{{Key: key("a")}, {Key: key("r")}, {Key: key("a")}, {Key: key("x")}, {Key: key("r")}})
	answered(e, "Cancel", 5, len(res), err)
	for i, want := range []store.CancelOutcome{store.CancelCancelled, store.CancelRunning, store.CancelFinished, store.CancelUnknown, store.CancelRunning} {
		is(e, "row "+string(rune('0'+i)), res[i].Outcome, want)
	}
	e.settle(ended(c, store.Done), store.Done)
}
