package storetest

import (
	"fmt"
	"time"

	"github.com/dulyhq/duly/store"
)

var crashCases = []Case{
	{"DeathLosesNothing", "A1", "what was acknowledged is gone after the process died", deathLosesNothing},
	{"EmptyStoreIsOpenedAgain", "Home", "a store that was opened and never used can't be opened again", emptyStoreIsOpenedAgain},
	{"LeasesAreOverAfterDeath", "D5", "runs of a dead process wait for leases that nobody holds", leasesAreOverAfterDeath},
	{"LeasesAreOverAfterClose", "D5", "runs that a stopped process left wait for leases that nobody holds", leasesAreOverAfterClose},
	{"DeathAgainAndAgain", "A1", "what one crash spared the next one takes", deathAgainAndAgain},
	{"TakenAnswersStayTrue", "Store", "a task that was handed out changes under its reader", takenAnswersStayTrue},
	{"PowerCutLosesNothing", "A1", "what was acknowledged is gone after the machine lost its power", powerCutLosesNothing},
	{"PowerCutAfterClaim", "Store: what is written", "a lost claim takes its task with it, or its fence is given out again", powerCutAfterClaim},
	{"PowerCutAfterFirstStart", "C4", "a task that may be tried once at most is tried twice", powerCutAfterFirstStart},
}

// snapshot is all that a store shows.
type snapshot struct {
	tasks, dead []*store.Task
	events      []store.Event
}

func (e *env) snapshot() snapshot {
	e.Helper()
	return snapshot{
		tasks:  e.list(store.Query{AllNamespaces: true}),
		dead:   e.list(store.Query{AllNamespaces: true, State: store.Dead}),
		events: allEvents(e, e.s),
	}
}

// wantSnapshot compares all that the store shows with what it showed, but for the ends of leases.
func (e *env) wantSnapshot(when string, want snapshot) {
	e.Helper()
	got := e.snapshot()
	for what, pair := range map[string][2][]*store.Task{"tasks": {got.tasks, want.tasks}, "dead runs": {got.dead, want.dead}} {
		if !equal(names(pair[0]), names(pair[1])) {
			e.Errorf("%s %s: %q, want %q", what, when, names(pair[0]), names(pair[1]))
			continue
		}
		for i := range pair[0] {
			sameTask(e, what+" "+when, dead(pair[0][i], e), dead(pair[1][i], e))
		}
	}
	if !equal(got.events, want.events) {
		e.Errorf("history %s: %d entries, want the same %d", when, len(got.events), len(want.events))
	}
}

// some does some of everything and leaves tasks in all states. The names begin with prefix.
func (e *env) some(prefix string) {
	e.Helper()
	e.life(prefix + "ended")
	e.put(once(prefix+"far", at(e.later(time.Hour))))
	e.put(once(prefix+"cancelled", at(e.later(time.Hour))))
	e.cancel(store.Cancel{Key: key(prefix + "cancelled")})
	e.put(every(prefix+"paused", at(e.now())))
	e.edited(store.Edit{Verb: store.VerbPause, Key: key(prefix + "paused"), Reason: "why"})
	c := e.claim(next(e.put(every(prefix+"retries", at(e.now()))), e.later(time.Minute)))
	e.settle(again2(c), store.Pending)
	c = e.claim(next(e.put(once(prefix+"dead", at(e.now()))), 0))
	e.settle(ended(c, store.Dead), store.Dead)
	e.claim(next(e.put(every(prefix+"runs", at(e.now()))), e.later(time.Minute)))
	e.claim(next(e.put(once(prefix+"replaced", at(e.now()))), 0))
	e.put(once(prefix+"replaced", at(e.later(time.Hour))))
	e.claim(next(e.put(once(prefix+"stopped", at(e.now()))), 0))
	e.cancel(store.Cancel{Key: key(prefix + "stopped"), Stop: true})
}

func deathLosesNothing(e *env) {
	e.some("")
	want := e.snapshot()
	e.kill()
	e.wantSnapshot("after the process died", want)
	e.some("again-")
	want = e.snapshot()
	e.reopen()
	e.wantSnapshot("after it was opened again", want)
	e.kill()
	e.wantSnapshot("after another death", want)
}

func emptyStoreIsOpenedAgain(e *env) {
	for range 3 {
		e.kill()
		e.reopen()
	}
	is(e, "tasks", len(e.due(store.Never)), 0)
	e.put(once("a", at(e.now())))
}

// overAfter holds leases to being over after the process is gone.
func overAfter(e *env, gone func()) {
	e.Helper()
	c := e.claim(next(e.put(once("a", at(e.now()))), 0))
	e.renew(store.Renewal{RunID: c.RunID, Fence: c.Fence, Lease: time.Hour})
	gone()
	if e.o.Shared {
		e.wantErr("rescue before the lease is over", e.edit(rescue(c, store.Pending)).Err, store.ErrRunning, "")
		e.advance(time.Hour)
	}
	e.wantNames("due", e.due(e.now()), "a")
	t := e.edited(rescue(c, store.Pending))
	is(e, "lost", t.Runs[0].Lost, 1)
	c2 := e.claim(retry(t, &t.Runs[0]))
	if c2.Fence <= c.Fence {
		e.Errorf("fence %d after %d", c2.Fence, c.Fence)
	}
	e.wantErr("rescue of a lease of the new process", e.edit(rescue(c2, store.Pending)).Err, store.ErrRunning, "")
	e.advance(lease)
	e.edited(rescue(c2, store.Dead))
}

func leasesAreOverAfterDeath(e *env) { overAfter(e, e.kill) }

func leasesAreOverAfterClose(e *env) { overAfter(e, e.reopen) }

func deathAgainAndAgain(e *env) {
	for i := range 20 {
		t := e.put(once(fmt.Sprintf("t%02d", i), at(e.now())))
		if i%3 == 0 {
			e.kill()
		}
		c := e.claim(next(t, 0))
		if i%3 == 1 {
			e.kill()
		}
		if i%4 != 0 {
			e.settle(ended(c, store.Done), store.Done)
		}
		e.kill()
		is(e, "tasks left", len(e.due(store.Never)), i/4+1)
	}
	is(e, "entries of the history", len(allEvents(e, e.s)), 15)
}

func takenAnswersStayTrue(e *env) {
	e.some("")
	before := e.snapshot()
	lines := func(s snapshot) (all []string) {
		for _, t := range append(append([]*store.Task(nil), s.tasks...), s.dead...) {
			all = append(all, show(t)+string(t.Payload))
		}
		return all
	}
	was := lines(before)
	e.advance(time.Hour)
	for _, t := range before.tasks {
		e.edit(store.Edit{Verb: store.VerbPause, Key: t.Key})
		e.edit(store.Edit{Verb: store.VerbRun, Key: t.Key})
		for i := range t.Runs {
			r := &t.Runs[i]
			c := store.ClaimResult{RunID: r.ID(t.Key), Fence: r.Fence}
			e.renew(store.Renewal{RunID: c.RunID, Fence: c.Fence, Lease: lease})
			e.trySettle(again2(c))
		}
		e.cancel(store.Cancel{Key: t.Key})
	}
	e.kill()
	if got := lines(before); !equal(got, was) {
		e.Errorf("tasks that were handed out, after writes:\n%q\nbefore:\n%q", got, was)
	}
}

// powerCuts runs a case at each share of unsynced data that stays.
func (e *env) powerCuts(run func(prefix string, cut func())) {
	e.Helper()
	p, ok := e.home.(PowerCutter)
	if !ok {
		e.Skip("the store's home can't cut the power")
	}
	for _, keep := range []int{0, 50, 100} {
		run(fmt.Sprintf("%d%%-", keep), func() {
			p.PowerCut(keep)
			e.open()
		})
	}
}

func powerCutLosesNothing(e *env) {
	e.powerCuts(func(prefix string, cut func()) {
		c := e.claim(next(e.put(once(prefix+"done", at(e.now()))), 0))
		e.settle(ended(c, store.Done), store.Done)
		e.put(once(prefix+"put", at(e.later(time.Hour))))
		e.put(once(prefix+"cancelled", at(e.later(time.Hour))))
		e.cancel(store.Cancel{Key: key(prefix + "cancelled")})
		e.put(every(prefix+"paused", at(e.later(time.Hour))))
		e.edited(store.Edit{Verb: store.VerbPause, Key: key(prefix + "paused")})
		cut()
		is(e, prefix+"done", e.get(prefix+"done"), nil)
		e.wantMoves(prefix+"done", "running>done settle")
		e.must(prefix + "put")
		is(e, prefix+"cancelled", e.get(prefix+"cancelled"), nil)
		is(e, prefix+"paused", e.must(prefix+"paused").Paused(), true)
		Invariants(e, e.s)
	})
}

func powerCutAfterClaim(e *env) {
	e.powerCuts(func(prefix string, cut func()) {
		var last int64
		t := e.put(every(prefix+"a", at(e.now())))
		then := e.later(time.Hour)
		for range 5 {
			id := store.RunID{Key: t.Key, Generation: t.Generation, For: t.Next.For}
			x := store.Claim{RunID: id, Lease: lease, Next: occ(then)}
			now := e.must(prefix + "a")
			if r := now.Run(id.Generation, id.For); r != nil {
				if r.State == store.Running {
					if e.o.Shared {
						e.advance(lease)
					}
					e.edited(store.Edit{Verb: store.VerbRescue, Key: t.Key, Generation: id.Generation, For: id.For, Fence: r.Fence, State: store.Pending})
				}
			} else if now.Next != t.Next {
				e.Fatalf("after the power was cut: %s; want either the run or the occurrence it came from", show(now))
			}
			c := e.claim(x)
			if c.Fence <= last {
				e.Fatalf("fence %d after %d; want them to rise although the claim was lost", c.Fence, last)
			}
			last = c.Fence
			cut()
		}
		Invariants(e, e.s)
	})
}

func powerCutAfterFirstStart(e *env) {
	e.powerCuts(func(prefix string, cut func()) {
		x := next(e.put(once(prefix+"a", at(e.now()))), 0)
		x.FirstStart = true
		c := e.claim(x)
		cut()
		if t := e.must(prefix + "a"); t.Running() != 1 || t.Runs[0].Fence != c.Fence {
			e.Errorf("after the power was cut: %s; want the start on record", show(t))
		}
	})
}
