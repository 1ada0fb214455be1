package contract

import (
	"context"
	"fmt"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/storetest"
)

// methods are those that a scheduler at work calls.
var methods = []string{"Clock", "Due", "Claim", "Renew", "Settle", "Edit", "Get", "Trim"}

// busy puts tasks that use every method of the store within a minute: runs, retries, what is skipped, what is renewed.
func (e *env) busy(prefix string) {
	e.Helper()
	t := e.since()
	for i := range 10 {
		e.put(fmt.Sprint(prefix, "once", i), once(t+time.Duration(i)*3*time.Second))
	}
	e.put(prefix+"retries", once(t+2*time.Second), duly.Retry(duly.RetryPolicy{Attempts: 100, Backoff: time.Second}))
	e.put(prefix+"long", once(t+time.Second))
	e.put(prefix+"skips", schedule.Every(2*time.Second).Times(4))
	e.put(prefix+"all", schedule.Every(3*time.Second).Times(8), duly.CatchUp(duly.All(100)), duly.Window(time.Hour), duly.Overlap(duly.BufferAll(100)))
	e.put(prefix+"pace", schedule.Pace(4*time.Second).Times(3))
}

// busyHandler is for what busy puts.
func (e *env) busyHandler(ctx context.Context, a *duly.Attempt[[]byte]) error {
	switch a.Name[1:] {
	case "retries":
		if a.Failed < 3 {
			return errOops
		}
	case "long":
		return e.sleep(ctx, 25*time.Second)
	case "skips":
		return e.sleep(ctx, 5*time.Second)
	}
	return nil
}

// allDone fails the test unless each of what busy has put came to a good end.
func (e *env) allDone(prefix string) {
	e.Helper()
	done := map[string]int{}
	for _, v := range e.events() {
		if v.To == store.Done {
			done[v.Name]++
		}
	}
	for i := range 10 {
		is(e, fmt.Sprint(prefix, "once", i, " done"), done[fmt.Sprint(prefix, "once", i)], 1)
	}
	for name, n := range map[string]int{"retries": 1, "long": 1, "skips": 4, "all": 8, "pace": 3} {
		is(e, prefix+name+" done", done[prefix+name], n)
	}
}

// faults are the kinds of faults that a case goes through. A call that fails has not reached the store, and shows the same on any: where calls
// take longer it is left out.
func (e *env) faults() []storetest.FaultKind {
	if e.o.Shared {
		return []storetest.FaultKind{storetest.Tear}
	}
	return []storetest.FaultKind{storetest.Fail, storetest.Tear}
}

var brokenCases = []Case{
	{
		"NothingIsLostWhileTheStoreFails", "A1 C4 D3", "an hour in which the disk fails loses tasks, or runs them twice",
		func(e *env) {
			e.mail(e.busyHandler)
			e.work()
			prefix := 'a'
			failing := append([]string{""}, methods...)
			if e.o.Shared { // the others fail in the next case, each now and then
				failing = []string{"", "Claim", "Renew", "Settle"}
				if UnderRace {
					failing = failing[:1]
				}
			}
			for _, method := range failing {
				for _, k := range e.faults() {
					p := string(prefix)
					prefix++
					e.busy(p)
					e.pass(500 * time.Millisecond)
					if method == "" { // all but what the case itself asks
						for _, m := range methods {
							e.store.Plant(storetest.Fault{Kind: k, Method: m, Always: true})
						}
					} else {
						e.store.Plant(storetest.Fault{Kind: k, Method: method, Always: true})
					}
					e.pass(20 * time.Second)
					e.store.Heal()
					e.pass(15 * time.Minute)
					e.allDone(p)
					if e.Failed() {
						e.Fatalf("that was with %v of %q", k, method)
					}
				}
			}
		},
	},
	{
		"TheNthCallFails", "A1 C4 D3", "one failing call at an unlucky moment loses a task",
		func(e *env) {
			e.mail(e.busyHandler)
			e.work()
			prefix := 'a'
			for _, method := range methods {
				for _, k := range e.faults() {
					p := string(prefix)
					prefix++
					for n := 1; n < 30; n += 3 {
						if k == storetest.Tear && method == "Claim" && n > 7 {
							break // a claim whose answer is lost is a lost attempt, and of those a run has three
						}
						e.store.Plant(storetest.Fault{Kind: k, Method: method, N: n})
					}
					e.busy(p)
					e.pass(15 * time.Minute)
					e.store.Heal()
					e.pass(time.Second)
					e.allDone(p)
					if e.Failed() {
						e.Fatalf("that was with %v of %q", k, method)
					}
				}
			}
		},
	},
	{
		"StartsAgainSoon", "C1 C2", "once the store works again it is minutes before anything starts",
		func(e *env) {
			e.work()
			e.put("a", once(10*time.Second))
			for _, m := range methods {
				e.store.Plant(storetest.Fault{Kind: storetest.Fail, Method: m, Always: true})
			}
			e.pass(10 * time.Minute)
			e.wantRan("a")
			if n := e.store.Calls(""); n > 10*60*4 {
				e.Errorf("%d calls in ten minutes to a store that fails", n)
			}
			if !e.log.has("the store fails") {
				e.Error("nothing was logged")
			}
			st, err := e.raw.Stats(e.ctx)
			e.wantErr("Stats", err, nil)
			is(e, "tasks", st.Tasks, 1)
			e.store.Heal()
			e.pass(2 * time.Second)
			is(e, "attempts", len(e.rec.of("a")), 1)
			if !e.log.has("the store works again") {
				e.Error("nothing was logged of the end of it")
			}
		},
	},
	{
		"BacksOffThoughReadsWork", "C6", "a store that takes no writes is asked a hundred times a second, and the log is full of it",
		func(e *env) {
			e.work()
			for _, method := range []string{"Claim", "Settle"} {
				e.store.Plant(storetest.Fault{Kind: storetest.Fail, Method: method, Always: true})
				e.put(method, schedule.After(0))
				calls := e.store.Calls("")
				e.pass(time.Minute)
				if n := e.store.Calls("") - calls; n > 120 {
					e.Errorf("%d calls in a minute in which %s fails", n, method)
				}
				e.store.Heal()
				e.pass(5 * time.Second)
				e.wantWhy(method, duly.WhyDone)
			}
			if n := e.log.count("the store works again"); n > 4 {
				e.Errorf("the log says %d times that the store works again, want about as often as it did", n)
			}
		},
	},
	{
		"OutcomesWaitForTheStore", "D3 K1", "the outcome of a run is lost because the store failed when it ended",
		func(e *env) {
			e.mail(e.takes(5 * time.Second))
			e.work()
			e.put("a", schedule.After(0))
			e.put("b", schedule.After(0))
			e.store.Plant(storetest.Fault{Kind: storetest.Fail, Method: "Settle", Always: true})
			e.pass(time.Minute)
			is(e, "runs under way", e.stats().Running, 2)
			e.wantRan("a", "0s for 0s")
			e.store.Heal()
			e.pass(3 * time.Second)
			e.wantMoves("a", "running>done settle")
			e.wantMoves("b", "running>done settle")
			is(e, "fenced", e.stats().Fenced, 0)
		},
	},
	{
		"AnAnswerThatIsLost", "D3 A1", "the echo of a success is taken for a failure",
		func(e *env) {
			e.with(func(o *duly.Options) { o.OnDead = e.died })
			e.mail(func(_ context.Context, a *duly.Attempt[[]byte]) error {
				if a.Name == "dead" {
					return duly.Permanent(errOops)
				}
				return nil
			})
			e.work()
			e.store.Plant(storetest.Fault{Kind: storetest.Tear, Method: "Settle", N: 1}, storetest.Fault{Kind: storetest.Tear, Method: "Settle", N: 2})
			e.put("done", schedule.After(0))
			e.pass(10 * time.Second)
			e.store.Plant(storetest.Fault{Kind: storetest.Tear, Method: "Settle", N: 1})
			e.put("dead", schedule.After(0))
			e.pass(10 * time.Second)
			e.wantMoves("done", "running>done settle")
			e.wantMoves("dead", "running>dead settle")
			e.wantDied("dead: oops")
			k := e.stats()
			is(e, "fenced", k.Fenced, 0)
			is(e, "succeeded", k.Succeeded, 1)
			is(e, "dead", k.Dead, 1)
		},
	},
	{
		"AClaimWhoseAnswerIsLost", "D5 D1 C4", "a lease that nobody uses blocks its task for its whole time, and counts as a death of the process",
		func(e *env) {
			e.mail(fails(0))
			e.work()
			for name, o := range map[string][]duly.PutOption{"a": nil, "once": opts(duly.AtMostOnce())} {
				e.store.Plant(storetest.Fault{Kind: storetest.Tear, Method: "Claim", N: 1})
				e.put(name, schedule.After(0), o...)
				e.pass(time.Second)
				e.wantMoves(name, "running>pending release", "running>done settle")
				is(e, "attempts", len(e.rec.of(name)), 1)
				at := e.rec.of(name)[0]
				is(e, "lost before", at.Lost, 0)
				is(e, "failed before", at.Failed, 0)
			}
			is(e, "lost", e.stats().Lost, 0)
		},
	},
	{
		"AClaimOfARetryWhoseAnswerIsLost", "D5 D1", "the next attempt at what has failed comes 30 s late",
		func(e *env) {
			e.mail(func(_ context.Context, a *duly.Attempt[[]byte]) error {
				if a.Failed == 0 {
					return duly.RetryAfter(time.Second, errOops)
				}
				return nil
			})
			e.work()
			e.put("a", schedule.Every(time.Hour))
			e.pass(time.Hour)
			e.store.Plant(storetest.Fault{Kind: storetest.Tear, Method: "Claim", N: 1})
			e.pass(3 * time.Second)
			e.wantMoves("a", "running>pending retry", "running>pending release", "running>done settle")
		},
	},
	{
		"AClaimIsGivenBackAtTheEnd", "D5 K1", "what a scheduler was claiming when it ended is blocked for the time of a lease",
		func(e *env) {
			e.work()
			e.store.Plant(storetest.Fault{Kind: storetest.Tear, Method: "Claim", N: 1})
			e.put("a", schedule.After(0))
			e.rest() // before it has looked
			is(e, "running", e.find("a").Running(), 0)
			e.boot()
			e.work()
			e.wantMoves("a", "running>pending release", "running>done settle")
		},
	},
	{
		"AnothersLeaseIsNotGivenBack", "D1 D5", "a scheduler whose claim failed takes the run from another one that has it",
		func(e *env) {
			e.mail(e.takes(20 * time.Second))
			e.work()
			e.put("a", once(10*time.Second))
			e.pass(9 * time.Second)
			e.store.Plant(storetest.Fault{Kind: storetest.Fail, Method: "Claim", N: 1, Err: store.ErrUnknown})
			e.store.Plant(storetest.Fault{Kind: storetest.Fail, Method: "Get", N: 1})
			end := e.beside(e.takes(20 * time.Second))
			e.pass(time.Minute)
			e.wantMoves("a", "running>done settle")
			is(e, "attempts", len(e.rec.of("a")), 1)
			end()
		},
	},
}
