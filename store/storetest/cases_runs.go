package storetest

import (
	"errors"
	"slices"
	"time"

	"github.com/dulyhq/duly/store"
)

var extraCases = []Case{
	{"ExtraRun", "VerbRun", "running a schedule once by hand shifts it or uses its next occurrence up", extraRun},
	{"ExtraRunsHaveIDsOfTheirOwn", "words: run", "an extra run is taken for the occurrence of the same instant, and one of them never runs", extraRunsHaveIDsOfTheirOwn},
	{"ExtraRunOfAOneOff", "VerbRun", "a one-off that is run by hand runs a second time at its instant", extraRunOfAOneOff},
	{"ExtraRunsAreApart", "VerbRun", "two extra runs of one moment are one, and the second settles the first", extraRunsAreApart},
	{"ExtraRunsAreBounded", "MaxRuns", "a loop that asks for extra runs, or redrives many that are dead, fills the store with one task", extraRunsAreBounded},
}

var buryCases = []Case{
	{"RescueTakesALostLease", "D5", "a run whose process died never comes back", rescueTakesALostLease},
	{"RescueWaitsForTheLease", "D1", "a run is taken from a process that still works on it", rescueWaitsForTheLease},
	{"RescueIsFenced", "D3", "two rescuers both make an attempt", rescueIsFenced},
	{"RescueCanBury", "D5", "a task that kills its process kills one after another", rescueCanBury},
	{"DeathCanEndTheSchedule", "F3", "a schedule that was to stop at its first failure goes on when that was a crash", deathCanEndTheSchedule},
	{"RescueAfterCancel", "E2", "a cancelled task comes back because its process died", rescueAfterCancel},
	{"LeasesIgnoreTheWallClock", "H3", "setting the clock ends leases, and everything runs twice", leasesIgnoreTheWallClock},
	{"BuryEndsARun", "VerbBury", "what nobody may try any more is lost instead of kept", buryEndsARun},
	{"BuryPassesANextBy", "VerbBury", "an occurrence nobody can run stops the whole schedule", buryPassesANextBy},
	{"RedriveRunsAgain", "F3", "a dead run can't be tried again, or only with its spent budget", redriveRunsAgain},
	{"RedriveBesideAMove", "E5", "a run that was redriven vanishes when the task beside it is moved", redriveBesideAMove},
	{"RedriveBesideTheSchedule", "VerbRedrive", "redriving a dead occurrence takes the schedule's place", redriveBesideTheSchedule},
	{"RedriveOfATakenName", "VerbRedrive", "redriving overwrites another task", redriveOfATakenName},
	{"StopAsks", "E3", "an attempt is not asked to stop, or tried again after it", stopAsks},
	{"StopGivesUpWhatWaits", "E3", "what was stopped between two attempts runs again", stopGivesUpWhatWaits},
}

func extraRun(e *env) {
	t := e.put(every("a", at(e.later(time.Hour))))
	got := e.edited(store.Edit{Verb: store.VerbRun, Key: t.Key, Reason: "by hand"})
	is(e, "next", got.Next, t.Next)
	is(e, "generation", got.Generation, t.Generation)
	is(e, "runs", len(got.Runs), 1)
	r := got.Runs[0]
	if !r.Extra || r.State != store.Pending || r.Due > e.now() {
		e.Fatalf("the extra run: %s; want it pending and due now", show(got))
	}
	e.kill()
	e.wantNames("due", e.due(e.now()), "a")
	c := e.claim(retry(got, &r))
	is(e, "attempt", c.Task.Run(r.Generation, r.For).Attempt, 1)
	e.wantErr("a second claim of it", e.tryClaim(retry(got, &r)).Err, store.ErrChanged, "")
	e.settle(again2(c), store.Pending)
	e.advance(time.Second)
	e.settle(ended(e.claim(retry(got, &r)), store.Done), store.Done)
	is(e, "next after it", e.must("a").Next, t.Next)
	e.wantMoves("a", "none>pending run", "running>pending retry", "running>done settle")
}

func extraRunsHaveIDsOfTheirOwn(e *env) {
	due := e.now()
	t := e.put(every("a", at(due)))
	then := e.later(time.Minute)
	seen := map[store.RunID]bool{}
	run := func(c store.ClaimResult) {
		e.Helper()
		if seen[c.RunID] {
			e.Errorf("a second run has the id %s", c.RunID)
		}
		seen[c.RunID] = true
		e.settle(ended(c, store.Done), store.Done)
	}
	run(e.claim(next(t, then)))
	for _, w := range []store.When{at(due), at(due), at(then), {}, {}} { // one that has run, one that is to come, and now
		got := e.edited(store.Edit{Verb: store.VerbRun, Key: t.Key, When: w})
		is(e, "generation of the task", got.Generation, t.Generation)
		e.until(got.Runs[0].Due)
		run(e.claim(retry(got, &got.Runs[0])))
	}
	run(e.claim(next(e.must("a"), e.later(time.Minute))))
	is(e, "runs", len(seen), 7)
}

func extraRunOfAOneOff(e *env) {
	t := e.put(once("a", at(e.later(time.Hour))))
	got := e.edited(store.Edit{Verb: store.VerbRun, Key: t.Key})
	is(e, "next", got.Next, occ(e.now()))
	e.settle(ended(e.claim(next(got, 0)), store.Done), store.Done)
	e.advance(2 * time.Hour)
	if t := e.get("a"); t != nil {
		e.Errorf("after its run: %s", show(t))
	}
}

func extraRunsAreApart(e *env) {
	t := e.put(every("a", at(e.now())))
	x := store.Edit{Verb: store.VerbRun, Key: t.Key, When: at(t.Next.For)}
	res, err := e.s.Edit(e.ctx, []store.Edit{x, x, x})
	answered(e, "Edit", 3, len(res), err)
	got := e.must("a")
	is(e, "runs", len(got.Runs), 3)
	first := e.claim(next(got, e.later(time.Hour)))
	for i := range got.Runs {
		e.wantErr("claim beside another attempt", e.tryClaim(retry(got, &got.Runs[i])).Err, store.ErrBusy, "")
	}
	e.settle(ended(first, store.Done), store.Done)
	for i := range got.Runs {
		e.settle(ended(e.claim(retry(got, &got.Runs[i])), store.Done), store.Done)
	}
	is(e, "runs at the end", len(e.must("a").Runs), 0)
}

func extraRunsAreBounded(e *env) {
	t := e.put(every("a", at(e.now())))
	dead := e.claim(next(t, e.later(time.Hour)))
	e.settle(ended(dead, store.Dead), store.Dead)
	// Some at a time: each copies those that there are, and a store may end a transaction in which nothing comes for long.
	xs := slices.Repeat([]store.Edit{{Verb: store.VerbRun, Key: t.Key}}, 120) // so that the limit is reached within a call
	for n := 0; n < store.MaxRuns+2; n += len(xs) {
		res, err := e.s.Edit(e.ctx, xs)
		answered(e, "Edit", len(xs), len(res), err)
		for i := range res {
			if over := n+i >= store.MaxRuns; over != errors.Is(res[i].Err, store.ErrInvalid) || !over && res[i].Err != nil {
				e.Fatalf("extra run %d: error %v", n+i, res[i].Err)
			}
		}
	}
	e.kill()
	t = e.must("a")
	is(e, "runs", len(t.Runs), store.MaxRuns)
	e.wantErr("redrive of one more", e.edit(redrive(dead.RunID)).Err, store.ErrInvalid, "runs")
	is(e, "dead", counted(e, e.s).Dead, 1)
	e.edited(store.Edit{Verb: store.VerbStop, Key: t.Key, Generation: t.Runs[0].Generation, For: t.Runs[0].For})
	e.edited(redrive(dead.RunID))
	is(e, "runs with the redriven one", len(e.must("a").Runs), store.MaxRuns)
}

// rescue takes an attempt from a holder that is gone.
func rescue(c store.ClaimResult, as store.State) store.Edit {
	return store.Edit{Verb: store.VerbRescue, Key: c.RunID.Key, Generation: c.RunID.Generation, For: c.RunID.For, Fence: c.Fence, State: as}
}

func rescueTakesALostLease(e *env) {
	c := e.claim(next(e.put(once("a", at(e.now()))), 0))
	e.advance(lease)
	t := e.edited(rescue(c, store.Pending))
	r := t.Run(c.RunID.Generation, c.RunID.For)
	if r == nil || r.State != store.Pending || r.Lost != 1 || r.Attempt != 1 || r.Reason != "lost" {
		e.Fatalf("after the rescue: %s; want it pending, with one of one attempts lost", show(t))
	}
	e.wantErr("the old holder", e.trySettle(ended(c, store.Done)).Err, store.ErrFenced, "")
	e.wantErr("the old holder's renewal", e.renew(store.Renewal{RunID: c.RunID, Fence: c.Fence, Lease: lease}).Err, store.ErrFenced, "")
	c2 := e.claim(retry(t, r))
	if c2.Fence <= c.Fence {
		e.Errorf("fence %d, want one after %d", c2.Fence, c.Fence)
	}
	e.wantErr("the old holder beside the new", e.trySettle(ended(c, store.Done)).Err, store.ErrFenced, "")
	e.advance(lease)
	x := rescue(c2, store.Pending)
	x.When, x.Reason = store.In(time.Minute, 0), "host went away"
	r = &e.edited(x).Runs[0]
	is(e, "lost", r.Lost, 2)
	is(e, "due", r.Due, e.later(time.Minute))
	is(e, "reason", r.Reason, "host went away")
	e.wantMoves("a", "running>pending rescue", "running>pending rescue")
}

func rescueWaitsForTheLease(e *env) {
	c := e.claim(next(e.put(once("a", at(e.now()))), 0))
	e.advance(lease - time.Microsecond)
	e.wantErr("rescue a microsecond before the end", e.edit(rescue(c, store.Pending)).Err, store.ErrRunning, "")
	is(e, "renewal", e.renew(store.Renewal{RunID: c.RunID, Fence: c.Fence, Lease: 2 * lease}).Err, nil)
	e.advance(2*lease - time.Microsecond)
	e.wantErr("rescue a microsecond before the renewed end", e.edit(rescue(c, store.Dead)).Err, store.ErrRunning, "")
	e.advance(time.Microsecond + e.o.Coarse)
	e.edited(rescue(c, store.Pending))
}

func rescueIsFenced(e *env) {
	c := e.claim(next(e.put(once("a", at(e.now()))), 0))
	e.advance(lease)
	bad := c
	bad.Fence++
	e.wantErr("rescue with another fence", e.edit(rescue(bad, store.Pending)).Err, store.ErrFenced, "")
	bad = c
	bad.RunID.For++
	e.wantErr("rescue of another run", e.edit(rescue(bad, store.Pending)).Err, store.ErrFenced, "")
	t := e.edited(rescue(c, store.Pending))
	e.wantErr("the second rescue", e.edit(rescue(c, store.Pending)).Err, store.ErrFenced, "")
	e.claim(retry(t, &t.Runs[0]))
	e.wantErr("the second rescue, of the next attempt", e.edit(rescue(c, store.Dead)).Err, store.ErrFenced, "")
}

func rescueCanBury(e *env) {
	t := e.put(every("a", at(e.now())))
	then := e.later(time.Minute)
	c := e.claim(next(t, then))
	e.advance(lease)
	got := e.edited(rescue(c, store.Dead))
	is(e, "next", got.Next, occ(then))
	is(e, "runs", len(got.Runs), 0)
	e.kill()
	dead := allListed(e, e.s, store.Query{State: store.Dead})
	if len(dead) != 1 || dead[0].Runs[0].ID(dead[0].Key) != c.RunID || dead[0].Runs[0].Lost != 1 || dead[0].Runs[0].Reason != "lost" {
		e.Errorf("dead: %q; want the run, lost", names(dead))
	}
	e.wantMoves("a", "running>dead rescue")
}

func deathCanEndTheSchedule(e *env) {
	now := e.now()
	for _, name := range []string{"rescued", "buried", "only rescued"} {
		t := e.put(every(name, at(now)))
		x := store.Edit{Verb: store.VerbBury, Key: t.Key, Generation: t.Generation, For: t.Next.For, When: at(now.Add(time.Hour)), End: true}
		want := []string{"pending>dead bury", "pending>cancelled settle"}
		if name != "buried" {
			c := e.claim(next(t, now.Add(time.Hour)))
			x = store.Edit{Verb: store.VerbRescue, Key: t.Key, Generation: t.Generation, For: t.Next.For, Fence: c.Fence, State: store.Dead, End: true}
			want[0] = "running>dead rescue"
			if name == "only rescued" { // it is tried again, and the schedule goes on
				x.State, want = store.Pending, []string{"running>pending rescue"}
			}
			e.advance(lease + time.Second)
		}
		e.edited(x)
		e.wantMoves(name, want...)
		if is, wanted := e.get(name) != nil, name == "only rescued"; is != wanted {
			e.Errorf("%s is there afterwards: %v, want %v", name, is, wanted)
		}
	}
}

func rescueAfterCancel(e *env) {
	c := e.claim(next(e.put(once("a", at(e.now()))), 0))
	e.cancel(store.Cancel{Key: key("a")})
	d := e.claim(next(e.put(once("b", at(e.now()))), 0))
	e.put(once("b", at(e.later(time.Hour))))
	e.advance(lease)
	if t := e.edited(rescue(c, store.Pending)); t != nil {
		e.Errorf("after the rescue: %s; want it gone", show(t))
	}
	if t := e.edited(rescue(d, store.Pending)); t == nil || len(t.Runs) != 0 {
		e.Errorf("after the rescue of what was replaced: %s; want the new one alone", show(t))
	}
	e.wantMoves("a", "running>running cancel", "running>cancelled rescue")
}

func leasesIgnoreTheWallClock(e *env) {
	c := e.claim(next(e.put(once("a", at(e.now()))), 0))
	for _, d := range []time.Duration{24 * time.Hour, -48 * time.Hour, 24 * time.Hour} {
		e.step(d)
		e.wantErr("rescue after the clock was set", e.edit(rescue(c, store.Pending)).Err, store.ErrRunning, "")
		is(e, "renewal after the clock was set", e.renew(store.Renewal{RunID: c.RunID, Fence: c.Fence, Lease: lease}).Err, nil)
	}
	e.step(-48 * time.Hour)
	e.advance(lease)
	e.edited(rescue(c, store.Dead))
}

func buryEndsARun(e *env) {
	c := e.claim(next(e.put(once("a", at(e.now()))), 0))
	x := store.Edit{Verb: store.VerbBury, Key: c.RunID.Key, Generation: c.RunID.Generation, For: c.RunID.For, Reason: "nobody knows its kind"}
	e.wantErr("bury while it runs", e.edit(x).Err, store.ErrRunning, "")
	e.settle(again2(c), store.Pending)
	if t := e.edited(x); t != nil {
		e.Errorf("after it was buried: %s; want it gone", show(t))
	}
	e.each(func(when string) {
		dead := allListed(e, e.s, store.Query{State: store.Dead})
		if len(dead) != 1 || dead[0].Runs[0].Attempt != 1 || dead[0].Runs[0].Reason != x.Reason || string(dead[0].Payload) != "p" {
			e.Errorf("dead %s: %q; want the run, whole, with its reason", when, names(dead))
		}
	})
	e.wantErr("bury it again", e.edit(x).Err, store.ErrFinished, "")
	e.wantMoves("a", "running>pending retry", "pending>dead bury")
}

func buryPassesANextBy(e *env) {
	t := e.put(every("a", at(e.now())))
	then := e.later(time.Minute)
	x := store.Edit{Verb: store.VerbBury, Key: t.Key, Generation: t.Generation, For: t.Next.For, When: at(then)}
	bad := x
	bad.For++
	e.wantErr("bury another instant", e.edit(bad).Err, store.ErrChanged, "")
	got := e.edited(x)
	is(e, "next", got.Next, occ(then))
	is(e, "last", got.Last, t.Next.For)
	y := store.Edit{Verb: store.VerbBury, Key: t.Key, Generation: t.Generation, For: then, When: at(then)}
	e.wantErr("bury and go on with what is buried", e.edit(y).Err, store.ErrInvalid, "when")
	e.wantErr("claim of what is buried", e.tryClaim(next(t, 0)).Err, store.ErrChanged, "")
	is(e, "dead", counted(e, e.s).Dead, 1)
}

// redrive makes a dead run pending again.
func redrive(id store.RunID) store.Edit {
	return store.Edit{Verb: store.VerbRedrive, Key: id.Key, Generation: id.Generation, For: id.For}
}

func redriveRunsAgain(e *env) {
	c := e.claim(next(e.put(once("a", at(e.now()))), 0))
	e.settle(again2(c), store.Pending)
	e.advance(time.Second)
	c = e.claim(store.Claim{RunID: c.RunID, Lease: lease})
	e.settle(ended(c, store.Dead), store.Dead)
	bad := c.RunID
	bad.For++
	e.wantErr("redrive of another run", e.edit(redrive(bad)).Err, store.ErrNotFound, "")
	e.kill()
	x := redrive(c.RunID)
	x.When = store.In(time.Minute, 0)
	t := e.edited(x)
	if len(t.Runs) != 1 || t.Runs[0].Attempt != 0 || t.Runs[0].State != store.Pending || t.Runs[0].Due != e.later(time.Minute) {
		e.Fatalf("after the redrive: %s; want its run, pending and due in a minute, with all its attempts", show(t))
	}
	is(e, "payload", string(t.Payload), "p")
	is(e, "dead", counted(e, e.s).Dead, 0)
	e.wantErr("a second redrive", e.edit(x).Err, store.ErrNotFound, "")
	e.wantErr("claim before it is due", e.tryClaim(retry(t, &t.Runs[0])).Err, store.ErrNotDue, "")
	e.kill()
	e.until(t.Runs[0].Due)
	c2 := e.claim(retry(t, &t.Runs[0]))
	if c2.Fence <= c.Fence || c2.RunID.For != c.RunID.For {
		e.Errorf("the new attempt is of %s with fence %d; want the run for %v and a fence after %d", c2.RunID, c2.Fence, c.RunID.For, c.Fence)
	}
	if s := e.settle(ended(c2, store.Done), store.Done); s.Task != nil {
		e.Errorf("after it: %s; want it gone", show(s.Task))
	}
	e.wantMoves("a", "running>pending retry", "running>dead settle", "dead>pending redrive", "running>done settle")
}

func redriveBesideAMove(e *env) {
	p := once("a", at(e.now()))
	c := e.claim(next(e.put(p), 0))
	e.settle(ended(c, store.Dead), store.Dead)
	p.When = at(e.later(time.Minute))
	e.put(p)
	e.edited(redrive(c.RunID))
	to := e.later(time.Hour)
	got := e.edited(store.Edit{Verb: store.VerbMove, Key: p.Key, When: at(to)})
	is(e, "next", got.Next, occ(to))
	if r := got.Run(c.RunID.Generation, c.RunID.For); r == nil {
		e.Fatalf("after the move: %s; want the redriven run in it", show(got))
	}
	e.settle(ended(e.claim(store.Claim{RunID: c.RunID, Lease: lease}), store.Done), store.Done)
	is(e, "next after it", e.must("a").Next, occ(to))
}

func redriveBesideTheSchedule(e *env) {
	t := e.put(every("a", at(e.now())))
	then := e.later(time.Minute)
	c := e.claim(next(t, then))
	e.settle(ended(c, store.Dead), store.Dead)
	got := e.edited(redrive(c.RunID))
	is(e, "next", got.Next, occ(then))
	is(e, "runs", len(got.Runs), 1)
	e.until(then)
	first := e.claim(next(got, e.later(time.Minute)))
	e.wantErr("the redriven run beside the scheduled one", e.tryClaim(retry(got, &got.Runs[0])).Err, store.ErrBusy, "")
	e.settle(ended(first, store.Done), store.Done)
	e.settle(ended(e.claim(retry(got, &got.Runs[0])), store.Done), store.Done)
}

func redriveOfATakenName(e *env) {
	c := e.claim(next(e.put(once("a", at(e.now()))), 0))
	e.settle(ended(c, store.Dead), store.Dead)
	p := once("a", at(e.later(time.Hour)))
	p.Payload = []byte("other")
	t := e.put(p)
	e.wantErr("redrive", e.edit(redrive(c.RunID)).Err, store.ErrExists, "")
	sameTask(e, "the new task before and after", t, e.get("a"))
	is(e, "dead", counted(e, e.s).Dead, 1)
	e.cancel(store.Cancel{Key: t.Key})
	e.edited(redrive(c.RunID))
	is(e, "payload of what was redriven", string(e.must("a").Payload), "p")
}

func stopAsks(e *env) {
	c := e.claim(next(e.put(every("a", at(e.now()))), e.later(time.Minute)))
	x := store.Edit{Verb: store.VerbStop, Key: c.RunID.Key, Generation: c.RunID.Generation, For: c.RunID.For, Reason: "enough"}
	bad := x
	bad.For++
	e.wantErr("stop of another run", e.edit(bad).Err, store.ErrChanged, "")
	t := e.edited(x)
	if len(t.Runs) != 1 || !t.Runs[0].Stop || t.Next.None() {
		e.Errorf("after stop: %s; want the attempt asked, and the schedule to go on", show(t))
	}
	is(e, "stop", e.renew(store.Renewal{RunID: c.RunID, Fence: c.Fence, Lease: lease}).Stop, true)
	e.edited(x) // a second time does nothing
	e.wantMoves("a", "running>running stop")
	e.settle(again2(c), store.Cancelled)
	is(e, "next", e.must("a").Next, t.Next)
}

func stopGivesUpWhatWaits(e *env) {
	c := e.claim(next(e.put(every("a", at(e.now()))), e.later(time.Minute)))
	e.settle(again2(c), store.Pending)
	t := e.edited(store.Edit{Verb: store.VerbStop, Key: c.RunID.Key, Generation: c.RunID.Generation, For: c.RunID.For})
	is(e, "runs", len(t.Runs), 0)
	is(e, "next", t.Next, occ(e.later(time.Minute)))
	e.advance(time.Second)
	e.wantErr("another attempt", e.tryClaim(store.Claim{RunID: c.RunID, Lease: lease}).Err, store.ErrChanged, "")
	e.wantMoves("a", "running>pending retry", "pending>cancelled stop")
}
