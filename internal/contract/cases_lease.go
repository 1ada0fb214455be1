package contract

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/storetest"
)

// beside makes a second scheduler on the same store work, as another process's, and returns what ends it.
func (e *env) beside(h func(ctx context.Context, a *duly.Attempt[[]byte]) error) (end func()) {
	e.Helper()
	d := e.another(e.raw, duly.Options{Owner: "you", Logger: e.opts.Logger})
	duly.Handle(d, kind, h)
	works := make(chan error, 1)
	go func() { works <- d.Run(context.WithoutCancel(e.ctx)) }()
	synctest.Wait()
	return func() {
		e.Helper()
		e.wantErr("Close of the second", d.Close(e.ctx), nil)
		e.wantErr("Run of the second", <-works, nil)
	}
}

// rawPut puts a task that is due, without a scheduler.
func (e *env) rawPut(name string) *store.Task {
	e.Helper()
	p := store.Put{Key: store.Key{Name: name}, Spec: store.Spec{Kind: kind, Schedule: "in 0s"}, When: store.In(0, 0)}
	res, err := e.raw.Put(e.ctx, []store.Put{p})
	if err != nil || res[0].Err != nil {
		e.Fatalf("Put %q into the store: %v, %+v", name, err, res)
	}
	return res[0].Task
}

// drowsy is a store of a machine that sleeps once, after the clock was read and before the answer is there.
type drowsy struct {
	store.Store
	clk  *clock.Manual
	naps time.Duration
}

func (s *drowsy) Clock(ctx context.Context) (store.Clock, error) {
	c, err := s.Store.Clock(ctx)
	if d := s.naps; d > 0 {
		s.naps = 0
		s.clk.Suspend(d)
	}
	return c, err
}

var leaseCases = []Case{
	{
		"TwoSchedulersOneStart", "D1 C4", "two processes start one occurrence",
		func(e *env) {
			h := e.takes(3 * time.Second)
			e.mail(h)
			for i := range 100 {
				e.put(fmt.Sprint("once", i), once(10*time.Second))
			}
			for i := range 10 {
				e.put(fmt.Sprint("every", i), schedule.Every(10*time.Second))
			}
			e.work()
			end := e.beside(h)
			e.pass(55 * time.Second)
			end()
			is(e, "attempts", len(e.rec.of("")), 100+10*5)
			ids := map[string]bool{}
			for _, s := range e.rec.of("") {
				ids[s.RunID] = true
			}
			is(e, "runs", len(ids), 100+10*5)
			e.pass(10 * time.Second)
			is(e, "attempts once the other has gone", len(e.rec.of("")), 100+10*6)
		},
	},
	{
		"SuspendWhileTheClockIsRead", "D2 H2", "what a process that is gone has leased is blocked for as long again as the machine slept",
		func(e *env) {
			e.mail(e.takes(0))
			t := e.rawPut("a")
			claim := store.Claim{RunID: store.RunID{Key: t.Key, Generation: t.Generation, For: t.Next.For}, Lease: 2 * time.Hour, Owner: "gone"}
			res, err := e.raw.Claim(e.ctx, []store.Claim{claim})
			e.wantErr("Claim", err, nil)
			e.wantErr("the claim", res[0].Err, nil)
			d := e.another(&drowsy{Store: e.raw, clk: e.clk, naps: time.Hour}, e.opts)
			e.tells[kind](d)
			works := make(chan error, 1)
			go func() { works <- d.Run(context.WithoutCancel(e.ctx)) }()
			e.pass(59 * time.Minute)
			is(e, "attempts before the lease has ended", len(e.rec.of("a")), 0)
			e.pass(2 * time.Minute)
			is(e, "attempts after it", len(e.rec.of("a")), 1)
			e.wantErr("Close", d.Close(e.ctx), nil)
			e.wantErr("Run", <-works, nil)
		},
	},
	{
		"LeasesAreRenewed", "D2", "a long run is taken for lost while it works",
		func(e *env) {
			e.mail(func(ctx context.Context, a *duly.Attempt[[]byte]) error {
				for range 10 {
					if err := e.sleep(ctx, 30*time.Second); err != nil {
						return err
					}
					if err := a.Heartbeat(ctx); err != nil {
						return err
					}
				}
				return nil
			})
			e.work()
			e.put("a", schedule.After(0))
			end := e.beside(e.takes(0)) // it would take what is lost
			defer end()
			e.pass(10 * time.Minute)
			e.wantRan("a", "0s for 0s")
			e.wantMoves("a", "running>done settle")
			if n := e.store.Calls("Renew"); n < 20 || n > 10+35 {
				e.Errorf("%d renewals in five minutes, want one in ten seconds and the heartbeats", n)
			}
		},
	},
	{
		"LeaseIsLost", "D2 D3 D4", "who has lost its lease goes on as if it had it, and overwrites what its successor did",
		func(e *env) {
			var beat error
			e.mail(func(ctx context.Context, a *duly.Attempt[[]byte]) error {
				if a.Number > 1 {
					return e.sleep(ctx, 5*time.Second)
				}
				_ = e.sleep(context.Background(), 29*time.Second) // it does not look at its context
				beat = a.Heartbeat(ctx)
				_ = e.sleep(context.Background(), 11*time.Second)
				return nil
			})
			e.work()
			e.store.Plant(storetest.Fault{Kind: storetest.Hang, Method: "Renew", Always: true})
			e.put("a", schedule.After(0))
			e.pass(27*time.Second - 1)
			is(e, "cause", e.rec.of("a")[0].cause, nil)
			e.pass(time.Second)
			is(e, "cause", e.rec.of("a")[0].cause, duly.ErrLeaseLost)
			e.store.Heal()
			e.pass(time.Minute)
			e.wantRan("a", "0s for 0s", "30s for 0s #2")
			e.wantErr("heartbeat", beat, duly.ErrLeaseLost)
			e.wantMoves("a", "running>pending rescue", "running>done settle")
			k := e.stats()
			is(e, "lost", k.Lost, 1)
			is(e, "fenced", k.Fenced, 1)
			is(e, "succeeded", k.Succeeded, 1)
			is(e, "running", k.Running, 0)
			is(e, "lost, as the second attempt sees it", e.rec.of("a")[1].Lost, 1)
			if !e.log.has("lease was lost") {
				e.Error("nothing was logged of the attempt that ended too late")
			}
		},
	},
	{
		"LeaseIsCountedFromTheLastRenewal", "D2", "an attempt goes on when its lease may have been given to another",
		func(e *env) {
			e.mail(func(ctx context.Context, a *duly.Attempt[[]byte]) error {
				if a.Number > 1 {
					return nil
				}
				<-ctx.Done()
				return e.sleep(context.Background(), 10*time.Second)
			})
			e.work()
			e.put("a", schedule.After(0))
			e.pass(15 * time.Second) // renewed at 10 s
			e.store.Plant(storetest.Fault{Kind: storetest.Fail, Method: "Renew", Always: true})
			e.pass(22*time.Second - 1)
			is(e, "cause", e.rec.of("a")[0].cause, nil)
			e.pass(1) // 37 s
			is(e, "cause", e.rec.of("a")[0].cause, duly.ErrLeaseLost)
			e.store.Heal()
			e.pass(3 * time.Second)
			e.pass(10 * time.Second)
			e.wantRan("a", "0s for 0s", "40s for 0s #2")
		},
	},
	{
		"StaleWritersAreFenced", "D3", "a process that was thought dead settles what another one runs",
		func(e *env) {
			e.mail(e.takes(time.Hour))
			e.work()
			e.put("a", schedule.After(0))
			e.kill()
			all := e.rec.of("a")
			is(e, "attempts", len(all), 2)
			t := e.find("a")
			id := t.Runs[0].ID(t.Key)
			res, err := e.raw.Settle(e.ctx, []store.Settlement{{RunID: id, Fence: all[0].Fence, Verb: store.VerbSettle, State: store.Done}})
			e.wantErr("Settle", err, nil)
			e.wantErr("Settle with the old fence", res[0].Err, store.ErrFenced)
			ren, err := e.raw.Renew(e.ctx, []store.Renewal{{RunID: id, Fence: all[0].Fence, Lease: time.Hour}})
			e.wantErr("Renew", err, nil)
			e.wantErr("Renew with the old fence", ren[0].Err, store.ErrFenced)
			e.pass(time.Hour)
			e.wantMoves("a", "running>pending rescue", "running>done settle")
		},
	},
	{
		"TheFenceReachesTheHandler", "D4", "a handler cannot tell the stale attempt from the one that counts",
		func(e *env) {
			e.mail(func(_ context.Context, a *duly.Attempt[[]byte]) error {
				t := e.find("a")
				is(e, "fence", a.Fence, t.Runs[0].Fence)
				is(e, "run id", a.RunID, t.Runs[0].ID(t.Key).String())
				is(e, "owner", t.Runs[0].Owner, "me")
				is(e, "generation", a.Generation, t.Generation)
				is(e, "number", a.Number, int(t.Runs[0].Attempt))
				if a.Number < 3 {
					return duly.RetryAfter(time.Second, errOops)
				}
				return nil
			})
			e.work()
			e.put("a", schedule.After(0))
			e.pass(3 * time.Second)
			e.wantRan("a", "0s for 0s", "1s for 0s #2", "2s for 0s #3")
			e.put("a", schedule.After(0))
			e.pass(3 * time.Second)
			all := e.rec.of("a")
			for i := range all[1:] {
				if all[i+1].Fence <= all[i].Fence {
					e.Errorf("fence %d after %d", all[i+1].Fence, all[i].Fence)
				}
			}
		},
	},
	{
		"WaitingHoldsNoLease", "D6 J2", "a lease runs out while its holder still waits for its turn",
		func(e *env) {
			e.handle("limited", e.takes(5*time.Minute), duly.Limit(1))
			e.mail(e.takes(5 * time.Minute))
			e.work()
			for _, name := range []string{"a", "b", "c"} {
				e.put("key "+name, schedule.After(0), duly.Key("k", 1))
				_, err := e.tryWith(e.kinds["limited"], "kind "+name, "", schedule.After(0))
				e.wantErr("Put", err, nil)
			}
			e.pass(time.Minute)
			st, err := e.raw.Stats(e.ctx)
			e.wantErr("Stats", err, nil)
			is(e, "leases", st.Running, 2)
			e.pass(20 * time.Minute)
			is(e, "attempts", len(e.rec.of("")), 6)
			is(e, "lost", e.stats().Lost, 0)
		},
	},
}

var crashCases = []Case{
	{
		"LostRunsAreTriedAgain", "D5 C4", "a task whose process died waits for a lease that nobody holds",
		func(e *env) {
			e.mail(e.takes(20 * time.Second))
			e.work()
			e.put("a", schedule.After(0))
			e.put("every", schedule.Every(15*time.Second))
			e.pass(5 * time.Second)
			e.kill()
			e.wantRan("a", "0s for 0s", "5s for 0s #2")
			e.pass(14 * time.Second) // at 15 s the other one begins
			e.kill()
			e.pass(2 * time.Minute)
			e.wantMoves("a", "running>pending rescue", "running>pending rescue", "running>done settle")
			for _, s := range e.rec.of("a")[1:] {
				is(e, "lost before", s.Lost, s.Number-1)
				is(e, "failed before", s.Failed, 0)
			}
		},
	},
	{
		"PoisonIsDead", "D5 F3", "a task that kills its process kills it for ever",
		func(e *env) {
			e.with(func(o *duly.Options) { o.OnDead = e.died })
			e.mail(func(ctx context.Context, a *duly.Attempt[[]byte]) error {
				if a.Name == "poison" {
					<-ctx.Done()
				}
				return ctx.Err()
			})
			e.work()
			e.put("poison", schedule.After(0), duly.Retry(duly.RetryPolicy{Attempts: 100}))
			e.put("later", once(time.Minute))
			for range duly.MaxLost {
				e.pass(time.Second)
				e.kill()
			}
			e.pass(time.Hour)
			e.wantRan("poison", "0s for 0s", "1s for 0s #2", "2s for 0s #3")
			e.wantMoves("poison", "running>pending rescue", "running>pending rescue", "running>dead rescue")
			e.wantDied("poison: lost")
			e.wantRan("later", "1m0s for 1m0s")
			e.wantWhy("poison", duly.WhyDead)
		},
	},
	{
		"SuspectsLetOthersOverlap", "D5 G2", "a schedule whose runs may overlap waits for what ran beside it when the process died",
		func(e *env) {
			e.mail(func(ctx context.Context, a *duly.Attempt[[]byte]) error {
				if a.Name == "long" || a.Lost == 0 && a.Number == 1 && e.since() < 15*time.Second {
					return e.sleep(ctx, time.Hour)
				}
				return nil
			})
			e.work()
			e.overlapping["every"] = true
			e.put("long", schedule.After(0))
			e.put("every", schedule.Every(10*time.Second), duly.Overlap(duly.Allow))
			e.pass(12 * time.Second)
			e.kill()
			e.pass(29 * time.Second)
			e.wantRan("every", "10s for 10s", "20s for 20s", "30s for 30s", "40s for 40s")
			e.wantWhy("every", duly.WhySuspect)
			e.pass(time.Hour)
			is(e, "rescues and ends", len(e.moves("every")), 1+364)
		},
	},
	{
		"SuspectsRunOneAtATime", "D5", "what ran beside the task that killed the process is taken for guilty too",
		func(e *env) {
			var running, most atomic.Int32
			e.mail(func(ctx context.Context, a *duly.Attempt[[]byte]) error {
				if a.Lost > 0 {
					if n := running.Add(1); n > most.Load() {
						most.Store(n)
					}
					defer running.Add(-1)
				}
				return e.sleep(ctx, 10*time.Second)
			})
			e.work()
			for i := range 5 {
				e.put(fmt.Sprint("s", i), schedule.After(0))
			}
			e.put("new", once(2*time.Second))
			e.pass(time.Second)
			e.kill()
			e.pass(time.Second)
			e.wantRan("new", "2s for 2s") // it waits for nobody
			n := 0
			for i := range 5 {
				if w, err := e.d.WhyNot(e.ctx, fmt.Sprint("s", i)); err == nil && w.Code == duly.WhySuspect {
					n++
				}
			}
			is(e, "suspects that wait", n, 4)
			for _, name := range []string{"first of a key", "second of it"} { // that no loss is held against
				e.put(name, schedule.After(0), duly.Key("the key", 1))
				e.pass(0)
			}
			e.wantWhy("second of it", duly.WhyKeyLimit)
			e.pass(time.Minute)
			is(e, "suspects at once", most.Load(), 1)
			for i := range 5 {
				e.wantMoves(fmt.Sprint("s", i), "running>pending rescue", "running>done settle")
			}
		},
	},
	{
		"NeighboursOutliveManyPoisons", "D5", "a long run beside which one task after another kills the process ends as dead for what it never did",
		func(e *env) {
			e.mail(func(ctx context.Context, a *duly.Attempt[[]byte]) error {
				switch {
				case a.Name == "long":
					return e.sleep(ctx, 3*time.Second)
				case a.Number == 1:
					return e.sleep(ctx, time.Hour)
				}
				return nil
			})
			e.work()
			e.put("long", schedule.After(0))
			var want []string
			for i := range duly.MaxLost + 1 {
				e.put(fmt.Sprint("poison", i), schedule.After(500*time.Millisecond))
				e.pass(time.Second)
				e.kill()
				want = append(want, "running>pending rescue")
			}
			e.pass(time.Minute)
			e.wantMoves("long", append(want, "running>done settle")...)
		},
	},
	{
		"CancelledRunsAreNotRescued", "D5 E2", "a task that was cancelled while it ran is started again after a crash",
		func(e *env) {
			e.mail(e.takes(time.Hour))
			e.work()
			e.put("cancelled", schedule.After(0))
			e.put("replaced", schedule.After(0))
			e.pass(time.Second)
			is(e, "cancel", e.cancel("cancelled"), duly.Running)
			e.putWith("replaced", "new", once(time.Minute))
			e.kill()
			e.pass(10 * time.Second)
			e.wantRan("cancelled", "0s for 0s")
			e.wantMoves("cancelled", "running>running cancel", "running>cancelled rescue")
			e.wantRan("replaced", "0s for 0s")
			e.pass(time.Minute)
			e.wantRan("replaced", "0s for 0s", "1m0s for 1m0s")
		},
	},
	{
		"LostAndFailedHaveTheirOwnBudgets", "D5 F1", "two crashes use up the attempts that were for failures",
		func(e *env) {
			e.mail(func(ctx context.Context, a *duly.Attempt[[]byte]) error {
				switch a.Number {
				case 1, 3:
					return duly.RetryAfter(time.Second, errOops)
				case 2, 4:
					return e.sleep(ctx, time.Hour)
				}
				is(e, "failed before", a.Failed, 2)
				is(e, "lost before", a.Lost, 2)
				return nil
			})
			e.work()
			e.put("a", schedule.After(0), duly.Retry(duly.RetryPolicy{Attempts: 3}))
			for range 2 {
				e.pass(2 * time.Second)
				e.kill()
			}
			e.pass(2 * time.Second)
			e.wantMoves("a", "running>pending retry", "running>pending rescue", "running>pending retry", "running>pending rescue", "running>done settle")
		},
	},
	{
		"AtMostOnceThatRecurs", "C4 D5 F3", "a schedule whose runs must not be repeated ends with the first that is lost",
		func(e *env) {
			e.mail(e.takes(5 * time.Second))
			e.put("a", schedule.Every(10*time.Second), duly.AtMostOnce())
			e.put("pace", schedule.Pace(10*time.Second), duly.AtMostOnce())
			e.work()
			e.pass(12 * time.Second)
			e.kill()
			e.pass(21 * time.Second)
			e.wantRan("a", "10s for 10s", "20s for 20s", "30s for 30s")
			e.wantRan("pace", "10s for 10s", "22s for 22s")
			e.wantMoves("a", "running>dead rescue", "running>done settle")
		},
	},
	{
		"HeartbeatTellsOfAStop", "E3 D2", "a handler that asks before its last step is not told that it was cancelled",
		func(e *env) {
			var before, after error
			e.mail(func(ctx context.Context, a *duly.Attempt[[]byte]) error {
				before = a.Heartbeat(ctx)
				_ = e.sleep(context.Background(), 5*time.Second)
				after = a.Heartbeat(context.WithoutCancel(ctx))
				return nil
			})
			e.work()
			e.put("a", schedule.After(0))
			e.pass(time.Second)
			is(e, "cancel", e.cancelBy("a", e.d.CancelRunning), duly.Running)
			e.pass(10 * time.Second)
			e.wantErr("heartbeat before", before, nil)
			e.wantErr("heartbeat after", after, duly.ErrStopped)
			e.wantMoves("a", "running>running cancel", "running>done settle")
		},
	},
	{
		"KilledAgainAndAgain", "A1 C4 D5", "something is lost when a process dies at an unlucky moment",
		func(e *env) {
			var mu sync.Mutex
			done := map[string]int{}
			e.mail(func(ctx context.Context, a *duly.Attempt[[]byte]) error {
				if err := e.sleep(ctx, time.Duration(len(a.Name))*100*time.Millisecond); err != nil {
					return err
				}
				mu.Lock()
				defer mu.Unlock()
				done[a.Name]++
				return nil
			})
			e.work()
			const n = 60
			for i := range n {
				e.put(fmt.Sprintf("%0*d", 1+i%7, i), once(time.Duration(i)*700*time.Millisecond))
			}
			e.put("every", schedule.Every(3*time.Second).Times(10), duly.CatchUp(duly.All(100)))
			for i := range 12 {
				e.pass(time.Duration(i%5)*900*time.Millisecond + time.Millisecond)
				e.kill()
			}
			e.pass(10 * time.Minute)
			is(e, "names", len(done), n+1)
			for name, times := range done {
				if want := 1; name != "every" && times != want {
					e.Errorf("%s was done %d times, want once: its handler ended before the process died", name, times)
				}
			}
			is(e, "every", done["every"], 10)
		},
	},
}
