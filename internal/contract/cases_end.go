package contract

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store/storetest"
)

// slow is a handler that ignores its context for a time.
func (e *env) slow(d time.Duration) func(ctx context.Context, a *duly.Attempt[[]byte]) error {
	return func(ctx context.Context, _ *duly.Attempt[[]byte]) error {
		if err := e.sleep(context.Background(), d); err != nil { //nolint:contextcheck // it ignores its own, as some do
			return err
		}
		return ctx.Err()
	}
}

// later calls something that blocks, and returns where its answer will be.
func later(do func() error) chan error {
	got := make(chan error, 1)
	go func() { got <- do() }()
	synctest.Wait()
	return got
}

// notYet fails the test if there is an answer already.
func (e *env) notYet(what string, got chan error) {
	e.Helper()
	synctest.Wait()
	select {
	case err := <-got:
		e.Errorf("%s has returned already, with error %v", what, err)
		got <- err
	default:
	}
}

// ends fails the test unless there is an answer, whatever it is.
func (e *env) ends(got chan error) {
	e.Helper()
	synctest.Wait()
	select {
	case err := <-got:
		e.Logf("returned with error %v", err)
	default:
		e.Error("it has not returned")
	}
}

var endCases = []Case{
	{
		"DrainLetsRunsFinish", "K1", "a deployment cuts tasks off in the middle",
		func(e *env) {
			e.mail(e.takes(20 * time.Second))
			e.work()
			e.put("a", schedule.After(0))
			e.put("next", once(10*time.Second))
			e.pass(5 * time.Second)
			drained := later(func() error { return e.d.Drain(e.ctx) })
			e.pass(15*time.Second - 1)
			e.notYet("Drain", drained)
			is(e, "cause", e.rec.of("a")[0].cause, nil)
			e.pass(1)
			e.wantErr("Drain", <-drained, nil)
			e.wantErr("Run", <-e.works, nil)
			e.works = nil
			e.wantMoves("a", "running>done settle")
			e.pass(time.Hour)
			e.wantRan("next")
			e.boot()
			e.work()
			is(e, "runs of next, by the scheduler after it", len(e.rec.of("next")), 1)
		},
	},
	{
		"CloseAsksToStop", "K1 E3", "the end of a program waits for its longest task",
		func(e *env) {
			e.mail(func(ctx context.Context, a *duly.Attempt[[]byte]) error {
				if a.Number > 1 {
					return nil
				}
				if err := e.sleep(ctx, time.Hour); err == nil {
					return nil
				}
				_ = e.sleep(context.Background(), time.Second)
				return ctx.Err()
			})
			e.work()
			e.put("a", schedule.After(0), duly.Retry(duly.RetryPolicy{Attempts: 1}))
			closed := later(func() error { return e.d.Close(e.ctx) })
			is(e, "cause", e.rec.of("a")[0].cause, duly.ErrClosing)
			e.pass(time.Second - 1)
			e.notYet("Close", closed)
			e.pass(1)
			e.wantErr("Close", <-closed, nil)
			e.wantErr("Run", <-e.works, nil)
			e.works = nil
			e.boot()
			e.work() // who was asked to stop, and did, has not failed
			e.wantRan("a", "0s for 0s", "1s for 0s #2")
			e.wantMoves("a", "running>pending snooze", "running>done settle")
		},
	},
	{
		"CloseOfAtMostOnce", "K1 C4", "what must not be done twice is done again by the process that follows",
		func(e *env) {
			e.with(func(o *duly.Options) { o.OnDead = e.died })
			e.mail(func(ctx context.Context, a *duly.Attempt[[]byte]) error {
				if a.Number > 1 || e.sleep(ctx, time.Hour) == nil {
					return nil
				}
				if a.Name == "not begun" {
					return duly.Snooze(0)
				}
				return context.Cause(ctx)
			})
			e.work()
			e.put("begun", schedule.After(0), duly.AtMostOnce())
			e.put("not begun", schedule.After(0), duly.AtMostOnce())
			e.put("repeated", schedule.After(0))
			e.rest()
			e.boot()
			e.work()
			e.wantRan("begun", "0s for 0s")
			e.wantMoves("begun", "running>dead settle")
			e.wantRan("not begun", "0s for 0s", "0s for 0s #2")
			e.wantRan("repeated", "0s for 0s", "0s for 0s #2")
			e.wantDied("begun: " + duly.ErrClosing.Error())
		},
	},
	{
		"CloseDoesNotWaitForEver", "K1", "a handler that hangs keeps the program from ending",
		func(e *env) {
			e.mail(e.slow(time.Hour))
			e.work()
			e.put("a", schedule.After(0))
			ctx, cancel := context.WithCancel(e.ctx)
			closed := later(func() error { return e.d.Close(ctx) })
			e.pass(time.Minute)
			e.notYet("Close", closed)
			cancel()
			err := <-closed
			var u *duly.UnfinishedError
			if !errors.As(err, &u) || len(u.Running) != 1 || u.Running[0].Name != "a" {
				e.Errorf("Close: error %v, want an UnfinishedError that names a", err)
			}
			e.pass(time.Hour)
			e.ends(e.works)
			e.works = nil
			e.next(e.takes(0))
			e.boot()
			e.work() // its lease is over
			e.pass(time.Minute)
			is(e, "attempts", len(e.rec.of("a")), 2)
		},
	},
	{
		"RunEndsWithItsContextAfterDrain", "K1", "whoever has drained in vain cannot end Run any more",
		func(e *env) {
			e.with(func(o *duly.Options) { o.DrainTimeout = 10 * time.Second })
			e.mail(e.takes(time.Hour))
			ctx, cancel := context.WithCancel(e.ctx)
			e.works = later(func() error { return e.d.Run(ctx) })
			e.put("a", schedule.After(0))
			given, giveUp := context.WithCancel(e.ctx)
			drained := later(func() error { return e.d.Drain(given) })
			e.pass(time.Second)
			giveUp()
			if err := <-drained; !errors.As(err, new(*duly.UnfinishedError)) {
				e.Errorf("Drain: error %v, want an UnfinishedError", err)
			}
			e.pass(time.Minute)
			e.notYet("Run", e.works)
			cancel()
			e.pass(10*time.Second - 1)
			e.notYet("Run", e.works)
			is(e, "cause", e.rec.of("a")[0].cause, nil)
			e.pass(1)
			e.wantErr("Run", <-e.works, nil)
			e.works = nil
			is(e, "cause", e.rec.of("a")[0].cause, duly.ErrClosing)
			e.wantMoves("a", "running>pending snooze")
		},
	},
	{
		"RunEndsWithItsContext", "K1", "the context of Run is not heard, or cuts off what runs",
		func(e *env) {
			e.with(func(o *duly.Options) { o.DrainTimeout = 10 * time.Second })
			e.mail(func(ctx context.Context, a *duly.Attempt[[]byte]) error {
				switch a.Name {
				case "short":
					return e.sleep(ctx, 5*time.Second)
				case "long":
					if a.Number > 1 {
						return nil
					}
					return e.sleep(ctx, time.Hour)
				}
				return e.sleep(context.Background(), time.Minute)
			})
			ctx, cancel := context.WithCancel(e.ctx)
			run := later(func() error { return e.d.Run(ctx) })
			e.put("short", schedule.After(0))
			e.put("long", schedule.After(0))
			e.put("next", once(time.Second))
			cancel()
			e.pass(5 * time.Second)
			e.notYet("Run", run)
			is(e, "cause of long", e.rec.of("long")[0].cause, nil)
			e.pass(5 * time.Second)
			is(e, "cause of long", e.rec.of("long")[0].cause, duly.ErrClosing)
			e.wantErr("Run", <-run, nil)
			e.wantMoves("short", "running>done settle")
			e.wantMoves("long", "running>pending snooze")
			e.wantRan("next")
			// It can run again, and one that hears nothing is named.
			ctx, cancel = context.WithCancel(e.ctx)
			run = later(func() error { return e.d.Run(ctx) })
			e.pass(0)
			is(e, "attempts at next", len(e.rec.of("next")), 1)
			cancel()
			e.pass(10 * time.Second)
			e.notYet("Run", run)
			e.pass(time.Second)
			var u *duly.UnfinishedError
			if err := <-run; !errors.As(err, &u) || len(u.Running) != 1 || u.Running[0].Name != "next" {
				e.Errorf("Run: error %v, want an UnfinishedError that names next", err)
			}
			e.pass(time.Minute)
			e.next(e.takes(0))
			e.boot()
			e.work()
			e.pass(time.Minute)
			e.wantWhy("next", duly.WhyDone)
		},
	},
	{
		"OneRunAtATime", "K1", "a scheduler that is run twice runs everything twice",
		func(e *env) {
			e.work()
			e.wantErr("a second Run", e.d.Run(e.ctx), duly.ErrActive)
			e.wantErr("Close", e.d.Close(e.ctx), nil)
			e.wantErr("Close again", e.d.Close(e.ctx), nil)
			e.wantErr("Drain after Close", e.d.Drain(e.ctx), nil)
			e.wantErr("Run", <-e.works, nil)
			e.works = nil
			e.wantErr("Run after Close", e.d.Run(e.ctx), duly.ErrClosed)
			_, err := e.try("a", schedule.After(0))
			e.wantErr("Put after Close", err, duly.ErrClosed)
			_, err = e.d.Cancel(e.ctx, "a")
			e.wantErr("Cancel after Close", err, duly.ErrClosed)
		},
	},
	{
		"NothingStartsAfterTheEnd", "K1", "a handler is called after Close has returned, on what the program has torn down",
		func(e *env) {
			e.mail(func(context.Context, *duly.Attempt[[]byte]) error { return nil }) // whatever Close says, so that none is run again
			for round := range 20 {
				e.work()
				for i := range 20 {
					e.put(fmt.Sprintf("t%d-%d", round, i), schedule.After(time.Duration(i%3)*time.Millisecond))
				}
				e.clk.Advance(time.Duration(round%3) * time.Millisecond)
				e.wantErr("Close", e.d.Close(e.ctx), nil)
				n := len(e.rec.of(""))
				e.wantErr("Run", <-e.works, nil)
				e.works = nil
				e.pass(time.Second)
				is(e, "attempts after Close", len(e.rec.of("")), n)
				e.boot()
			}
			e.work()
			e.pass(0)
			is(e, "attempts", len(e.rec.of("")), 400)
		},
	},
	{
		"CloseWithinAHandler", "K1", "a program that ends itself from a task deadlocks",
		func(e *env) {
			var got error
			e.mail(func(ctx context.Context, a *duly.Attempt[[]byte]) error {
				if a.Number > 1 {
					return nil
				}
				got = e.d.Close(ctx)
				return ctx.Err()
			})
			e.work()
			e.put("a", schedule.After(0))
			var u *duly.UnfinishedError
			if err := <-e.works; err != nil && !errors.As(err, &u) {
				e.Errorf("Run: error %v, want none, or that the handler still ran", err)
			}
			e.works = nil
			if got == nil {
				e.Error("Close within a handler returned nil, though the handler ran")
			}
			e.boot()
			e.work()
			e.pass(31 * time.Second) // what it came to may not have been written
			is(e, "attempts", len(e.rec.of("a")), 2)
		},
	},
	{
		"CloseOfAHungStore", "K1", "a store that hangs keeps the program from ending",
		func(e *env) {
			for _, method := range []string{"Claim", "Due", "Clock", "Settle", "Trim", "Renew"} {
				e.store.Plant(storetest.Fault{Kind: storetest.Hang, Method: method, Always: true})
				e.work()
				_, err := e.raw.Put(e.ctx, nil)
				e.wantErr("Put", err, nil)
				e.put(method, schedule.After(0))
				e.pass(time.Second)
				ctx, cancel := context.WithCancel(e.ctx)
				closed := later(func() error { return e.d.Close(ctx) })
				e.pass(time.Second)
				cancel()
				e.ends(closed)
				e.pass(10 * time.Minute)
				e.ends(e.works)
				if e.Failed() {
					e.Fatalf("that was ten minutes after Close gave up on a store whose %s hangs", method)
				}
				e.works = nil
				e.boot()
			}
			e.work()
			e.pass(10 * time.Minute)
			for _, name := range []string{"Claim", "Due", "Clock", "Settle", "Trim", "Renew"} {
				e.wantWhy(name, duly.WhyDone)
			}
		},
	},
	{
		"EveryWaiterIsAnswered", "K1", "somebody waits for ever for a scheduler that has ended",
		func(e *env) {
			e.mail(e.takes(time.Hour))
			e.work()
			e.put("a", schedule.After(0))
			await := later(func() error { return e.d.Await(e.ctx, "a") })
			var n atomic.Int32
			ctx, cancel := context.WithCancelCause(e.ctx)
			events := later(func() error {
				for _, err := range e.d.Events(ctx, 0) {
					if err != nil {
						return err
					}
					n.Add(1)
				}
				return nil
			})
			e.wantErr("Close", e.shut(e.d.Close), nil)
			e.wantErr("Run", <-e.works, nil)
			e.works = nil
			e.pass(2 * time.Second)
			e.wantErr("Await", <-await, nil)
			cancel(errOops)
			e.wantErr("Events", <-events, errOops)
			is(e, "events", n.Load(), 1)
			e.boot()
			is(e, "cancel", e.cancel("a"), duly.Cancelled)
		},
	},
}
