package contract

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
)

var cancelCases = []Case{
	{
		"CancelInEveryState", "E1 E2", "the answer to a cancel is wrong, and the caller undoes what was done, or not what was",
		func(e *env) {
			e.mail(func(ctx context.Context, a *duly.Attempt[[]byte]) error {
				switch a.Name {
				case "dead":
					return duly.Permanent(errOops)
				case "retries":
					return duly.RetryAfter(time.Minute, errOops)
				case "snoozes":
					return duly.Snooze(time.Minute)
				case "runs":
					return e.sleep(ctx, 10*time.Second)
				case "runs, fails":
					_ = e.sleep(ctx, 10*time.Second)
					return errOops
				}
				return nil
			})
			e.work()
			for _, name := range []string{"done", "dead", "retries", "snoozes", "runs", "runs, fails"} {
				e.put(name, schedule.After(0))
			}
			e.put("pending", once(time.Minute))
			e.put("expired", once(time.Millisecond), duly.StartWithin(time.Microsecond))
			e.put("every", schedule.Every(time.Minute))
			e.pass(time.Second)
			for name, want := range map[string]duly.Outcome{
				"nobody": duly.Unknown, "done": duly.Finished, "dead": duly.Finished, "retries": duly.Cancelled, "snoozes": duly.Cancelled,
				"runs": duly.Running, "runs, fails": duly.Running, "pending": duly.Cancelled, "every": duly.Cancelled, "expired": duly.Finished,
			} {
				is(e, "cancel of "+name, e.cancel(name), want)
				again := want
				if want == duly.Cancelled {
					again = duly.Finished
				}
				is(e, "cancel of "+name+" again", e.cancel(name), again)
			}
			e.pass(time.Hour)
			e.wantMoves("runs", "running>running cancel", "running>done settle")
			e.wantMoves("runs, fails", "running>running cancel", "running>cancelled settle")
			e.wantMoves("retries", "running>pending retry", "pending>cancelled cancel")
			e.wantMoves("snoozes", "running>pending snooze", "pending>cancelled cancel")
			e.wantMoves("pending", "pending>cancelled cancel")
			e.wantMoves("every", "pending>cancelled cancel")
			is(e, "attempts", len(e.rec.of("")), 7)
			e.wantWhy("pending", duly.WhyCancelled)
		},
	},
	{
		"CancelAndStartRace", "E1", "a task was cancelled, and the mail was sent all the same",
		func(e *env) {
			e.work()
			const n = 400
			for i := range n {
				e.put(fmt.Sprint("t", i), once(10*time.Second))
			}
			e.pass(10*time.Second - 1)
			outcomes := make([]duly.Outcome, n)
			gens := make([]int64, n)
			for i := range n {
				gens[i] = e.find(fmt.Sprint("t", i)).Generation
			}
			e.clk.Advance(1)
			for i := range n {
				go func() {
					var err error
					if outcomes[i], err = e.d.Cancel(e.ctx, fmt.Sprint("t", i)); err != nil {
						e.Errorf("Cancel: %v", err)
					}
				}()
			}
			synctest.Wait()
			e.pass(time.Minute)
			for i := range n {
				ran := len(e.rec.of(fmt.Sprint("t", i)))
				if (outcomes[i] == duly.Cancelled) == (ran > 0) || outcomes[i] == duly.Unknown || ran > 1 {
					e.Errorf("t%d: %v, and %d attempts", i, outcomes[i], ran)
				}
			}
		},
	},
	{
		"CancelWithinTheHandler", "E1 E2", "a task that cancels itself deadlocks, or comes again",
		func(e *env) {
			e.mail(func(ctx context.Context, a *duly.Attempt[[]byte]) error {
				out, err := e.d.Cancel(ctx, a.Name)
				if err != nil {
					return err
				}
				is(e, "cancel of "+a.Name, out, map[string]duly.Outcome{"once": duly.Running, "every": duly.Cancelled, "pace": duly.Cancelled}[a.Name])
				return errOops
			})
			e.put("once", once(10*time.Second))
			e.put("every", schedule.Every(10*time.Second))
			e.put("pace", schedule.Pace(10*time.Second))
			e.work()
			e.pass(time.Hour)
			for _, name := range []string{"once", "every", "pace"} {
				e.wantRan(name, "10s for 10s")
				e.gone(name, duly.ErrFinished)
			}
		},
	},
	{
		"CancelRunning", "E3", "what is asked to stop does not hear it, or the caller cannot wait until it has stopped",
		func(e *env) {
			e.mail(func(ctx context.Context, _ *duly.Attempt[[]byte]) error {
				<-ctx.Done()
				_ = e.sleep(context.Background(), 3*time.Second)
				return ctx.Err()
			})
			e.work()
			e.put("a", schedule.After(0))
			e.put("retried", schedule.After(0), duly.Retry(duly.RetryPolicy{Attempts: 5}))
			for _, name := range []string{"a", "retried"} {
				is(e, "cancel", e.cancelBy(name, e.d.CancelRunning), duly.Running)
			}
			var awaited atomic.Bool
			go func() {
				e.wantErr("Await", e.d.Await(e.ctx, "a"), nil)
				awaited.Store(true)
			}()
			e.pass(3*time.Second - 1)
			is(e, "Await has returned", awaited.Load(), false)
			is(e, "cause", e.rec.of("a")[0].cause, duly.ErrStopped)
			e.pass(1)
			is(e, "Await has returned", awaited.Load(), true)
			e.wantErr("Await of what is gone", e.d.Await(e.ctx, "a"), nil)
			e.pass(time.Hour)
			e.wantRan("retried", "0s for 0s")
			e.wantMoves("a", "running>running cancel", "running>cancelled settle")
			is(e, "cancelled, as counted", e.stats().Cancelled, 2)
			e.wantErr("error", e.rec.of("a")[0].err, context.Canceled)
		},
	},
	{
		"CancelRunningElsewhere", "E3", "a run on another process cannot be stopped",
		func(e *env) {
			h := func(ctx context.Context, _ *duly.Attempt[[]byte]) error {
				<-ctx.Done()
				return context.Cause(ctx)
			}
			end := e.beside(h)
			defer end()
			e.put("a", schedule.After(0))
			e.pass(time.Second)
			is(e, "attempts", len(e.rec.of("a")), 1)
			is(e, "cancel", e.cancelBy("a", e.d.CancelRunning), duly.Running)
			var awaited atomic.Bool
			go func() {
				e.wantErr("Await", e.d.Await(e.ctx, "a"), nil)
				awaited.Store(true)
			}()
			e.pass(8 * time.Second)
			told := error(nil)
			if e.o.Shared {
				told = duly.ErrStopped
			}
			is(e, "cause before the lease is renewed", e.rec.of("a")[0].cause, told)
			e.pass(2 * time.Second)
			is(e, "cause", e.rec.of("a")[0].cause, duly.ErrStopped)
			is(e, "Await has returned", awaited.Load(), true)
			e.gone("a", duly.ErrFinished)
		},
	},
	{
		"AwaitEndsWithItsContext", "E3", "waiting for a run that never ends never ends",
		func(e *env) {
			e.mail(e.takes(time.Hour))
			e.work()
			e.put("a", schedule.After(0))
			ctx, cancel := context.WithCancelCause(e.ctx)
			got := make(chan error, 1)
			go func() { got <- e.d.Await(ctx, "a") }()
			e.pass(time.Minute)
			cancel(errOops)
			e.wantErr("Await", <-got, errOops)
		},
	},
	{
		"CancelARecurringTask", "E4", "a cancelled schedule goes on, or the run under way is stopped with it",
		func(e *env) {
			e.mail(e.takes(5 * time.Second))
			e.put("idle", schedule.Every(10*time.Second))
			e.put("runs", schedule.Every(9*time.Second))
			e.put("pace", schedule.Pace(9*time.Second))
			e.put("stopped", schedule.Every(9*time.Second))
			e.work()
			e.until(10*time.Second - 1)
			is(e, "cancel while it waits", e.cancel("idle"), duly.Cancelled)
			is(e, "cancel while it runs", e.cancel("runs"), duly.Cancelled)
			is(e, "cancel of a pace that runs", e.cancel("pace"), duly.Cancelled)
			is(e, "stop", e.cancelBy("stopped", e.d.CancelRunning), duly.Cancelled)
			t := e.get("runs")
			is(e, "ended", t.Ended, true)
			is(e, "runs under way", len(t.Runs), 1)
			e.gone("idle", duly.ErrFinished)
			e.pass(time.Minute)
			e.wantRan("idle")
			e.wantRan("runs", "9s for 9s")
			e.wantRan("pace", "9s for 9s")
			e.wantMoves("runs", "pending>cancelled cancel", "running>running cancel", "running>done settle")
			is(e, "cause of what was stopped", e.rec.of("stopped")[0].cause, duly.ErrStopped)
			is(e, "put again", e.put("runs", schedule.Every(10*time.Second)).Outcome, duly.Created)
		},
	},
}

var moveCases = []Case{
	{
		"MoveInEveryState", "E5", "a reminder that was put off comes at the old time, or twice",
		func(e *env) {
			e.mail(func(ctx context.Context, a *duly.Attempt[[]byte]) error {
				switch {
				case a.Name == "runs":
					return e.sleep(ctx, 10*time.Second)
				case a.Name == "dead":
					return duly.Permanent(errOops)
				case a.Name == "retries" && a.ScheduledFor.Equal(at(0)):
					return duly.RetryAfter(time.Minute, errOops)
				}
				return nil
			})
			e.work()
			for _, name := range []string{"done", "dead", "retries", "runs"} {
				e.put(name, schedule.After(0))
			}
			e.put("later", once(10*time.Second))
			e.put("earlier", once(10*time.Hour))
			e.put("now", once(10*time.Hour))
			e.put("delay", schedule.After(10*time.Hour))
			e.pass(time.Second)
			for name, c := range map[string]struct {
				to  schedule.Schedule
				err error
			}{
				"nobody": {once(5 * time.Second), duly.ErrNotFound}, "done": {once(5 * time.Second), duly.ErrFinished},
				"dead": {once(5 * time.Second), duly.ErrFinished}, "runs": {once(5 * time.Second), duly.ErrRunning},
				"retries": {once(5 * time.Second), nil}, "later": {once(20 * time.Second), nil}, "earlier": {once(5 * time.Second), nil},
				"now": {schedule.After(0), nil}, "delay": {schedule.After(4 * time.Second), nil},
			} {
				was := e.find(name)
				entry, err := e.d.Move(e.ctx, name, c.to)
				e.wantErr("Move of "+name, err, c.err)
				if c.err == nil && entry.Generation <= was.Generation {
					e.Errorf("Move of %s: generation %d after %d", name, entry.Generation, was.Generation)
				}
			}
			e.pass(time.Minute)
			e.wantRan("retries", "0s for 0s", "5s for 5s") // with all its attempts anew
			e.wantRan("later", "20s for 20s")
			e.wantRan("earlier", "5s for 5s")
			e.wantRan("now", "1s for 1s")
			e.wantRan("delay", "5s for 5s")
			e.wantRan("runs", "0s for 0s")
			_, err := e.d.Move(e.ctx, "x", schedule.Every(time.Second))
			e.wantInvalid("Move to what recurs", err, "schedule")
			_, err = e.d.Move(e.ctx, "x", schedule.Schedule{})
			e.wantErr("Move to nothing", err, duly.ErrInvalid)
		},
	},
	{
		"ChangeThePayload", "E5 G1", "another payload moves the task, or another's change is undone",
		func(e *env) {
			var mu sync.Mutex
			var got []string
			e.mail(func(_ context.Context, a *duly.Attempt[[]byte]) error {
				mu.Lock()
				defer mu.Unlock()
				got = append(got, a.Name+" "+string(a.Payload))
				if a.Name == "fails" && a.Number == 1 {
					return duly.RetryAfter(3*time.Second, errOops)
				}
				return nil
			})
			e.work()
			e.put("every", schedule.Every(10*time.Second))
			e.put("fails", once(time.Second))
			e.pass(2 * time.Second)
			was := e.find("every")
			_, err := e.d.Change(e.ctx, "every", duly.Change{Payload: []byte("no"), IfGeneration: was.Generation + 1})
			e.wantErr("Change of another generation", err, duly.ErrCondition)
			_, err = e.d.Change(e.ctx, "every", duly.Change{Payload: []byte("no"), Kind: "another"})
			e.wantErr("Change of another kind", err, duly.ErrKindMismatch)
			_, err = e.d.Change(e.ctx, "every", duly.Change{})
			e.wantInvalid("Change of nothing", err, "change")
			_, err = e.d.Change(e.ctx, "every", duly.Change{Payload: []byte("no"), To: schedule.Every(time.Hour)})
			e.wantInvalid("Change to what recurs", err, "schedule")
			_, err = e.d.Change(e.ctx, "nobody", duly.Change{Payload: []byte("no")})
			e.wantErr("Change of nothing", err, duly.ErrNotFound)
			entry, err := e.d.Change(e.ctx, "every", duly.Change{Payload: []byte("new"), Kind: kind, IfGeneration: was.Generation})
			e.wantErr("Change", err, nil)
			is(e, "scheduled for", store.At(entry.ScheduledFor), was.Next.For)
			if entry.Generation <= was.Generation {
				e.Errorf("generation %d after %d", entry.Generation, was.Generation)
			}
			_, err = e.d.Change(e.ctx, "fails", duly.Change{Payload: []byte("new")})
			e.wantErr("Change while it waits for a retry", err, nil)
			e.pass(20 * time.Second)
			_, err = e.d.Change(e.ctx, "every", duly.Change{Payload: []byte("last"), To: once(25 * time.Second)})
			e.wantErr("Change of both", err, nil)
			e.pass(9 * time.Second)
			e.wantRan("every", "10s for 10s", "20s for 20s", "25s for 25s", "30s for 30s") // on the grid of the first Put
			mu.Lock()
			defer mu.Unlock()
			want := []string{"fails ", "fails new", "every new", "every new", "every last", "every last"}
			if !slices.Equal(got, want) {
				e.Errorf("payloads: %q, want %q", got, want)
			}
		},
	},
	{
		"MoveTheNextOccurrence", "E5 G1", "moving one occurrence moves the whole schedule, or it runs twice",
		func(e *env) {
			e.mail(e.takes(3 * time.Second))
			e.put("later", schedule.Every(10*time.Second))
			e.put("earlier", schedule.Every(10*time.Second))
			e.put("while it runs", schedule.Every(10*time.Second))
			e.put("far", schedule.Every(10*time.Second))
			e.work()
			for name, to := range map[string]time.Duration{"later": 14 * time.Second, "earlier": 4 * time.Second, "far": 36 * time.Second} {
				_, err := e.d.Move(e.ctx, name, once(to))
				e.wantErr("Move of "+name, err, nil)
			}
			e.pass(11 * time.Second)
			_, err := e.d.Move(e.ctx, "while it runs", once(26*time.Second))
			e.wantErr("Move while it runs", err, nil)
			e.pass(34 * time.Second)
			e.wantRan("later", "14s for 14s", "20s for 20s", "30s for 30s", "40s for 40s")
			e.wantRan("earlier", "4s for 4s", "10s for 10s", "20s for 20s", "30s for 30s", "40s for 40s")
			e.wantRan("while it runs", "10s for 10s", "26s for 26s", "30s for 30s", "40s for 40s")
			e.wantRan("far", "36s for 36s", "40s for 40s")
		},
	},
	{
		"MoveAndStartRace", "E5 E1", "a task that was moved runs at the old time as well",
		func(e *env) {
			e.work()
			const n = 200
			for i := range n {
				e.put(fmt.Sprint("t", i), once(10*time.Second))
			}
			e.pass(10*time.Second - 1)
			e.clk.Advance(1)
			var moved atomic.Int32
			for i := range n {
				go func() {
					if _, err := e.d.Move(e.ctx, fmt.Sprint("t", i), once(20*time.Second)); err == nil {
						moved.Add(1)
					}
				}()
			}
			e.pass(time.Minute)
			is(e, "attempts", len(e.rec.of("")), n)
			late := 0
			for _, s := range e.rec.of("") {
				if s.at == 20*time.Second {
					late++
				}
			}
			is(e, "attempts at the new time", late, int(moved.Load()))
		},
	},
	{
		"RunNow", "E5 G1", "asking for a run now changes the schedule, or comes too late",
		func(e *env) {
			e.work()
			e.put("once", once(time.Hour))
			e.put("every", schedule.Every(10*time.Second))
			e.put("pace", schedule.Pace(10*time.Second))
			e.pass(3 * time.Second)
			for _, name := range []string{"once", "every", "pace"} {
				e.wantErr("RunNow", e.d.RunNow(e.ctx, name), nil)
			}
			e.wantErr("RunNow of nobody", e.d.RunNow(e.ctx, "nobody"), duly.ErrNotFound)
			e.pass(20 * time.Second)
			e.wantErr("RunNow of what is done", e.d.RunNow(e.ctx, "once"), duly.ErrFinished)
			e.wantRan("once", "3s for 3s")
			e.wantRan("every", "3s for 3s extra", "10s for 10s", "20s for 20s")
			e.wantRan("pace", "3s for 3s extra", "10s for 10s", "20s for 20s")
		},
	},
	{
		"RunNowWaitsForTheRunUnderWay", "B2 G2", "asking for a run now makes a name overlap itself",
		func(e *env) {
			e.mail(e.takes(6 * time.Second))
			e.put("every", schedule.Every(10*time.Second))
			e.work()
			e.pass(12 * time.Second)
			for range 2 {
				e.wantErr("RunNow", e.d.RunNow(e.ctx, "every"), nil)
				e.pass(time.Microsecond)
			}
			e.pass(40 * time.Second)
			all := e.rec.ran("every")
			if len(all) < 4 || all[1] != "16s for 12s extra" || all[2] != "22s for 12.000001s extra" {
				e.Errorf("ran %q, want the extra runs at 16 and 22 s", all)
			}
		},
	},
	{
		"Backfill", "G1 G3", "the runs of last week are made up wrongly, or the schedule forgets where it is",
		func(e *env) {
			e.work()
			e.put("every", schedule.Every(10*time.Minute))
			e.put("cron", schedule.Cron("0 3 * * *").In("Europe/Berlin"))
			e.put("once", once(time.Hour))
			e.put("pace", schedule.Pace(time.Minute))
			n, err := e.d.Backfill(e.ctx, "every", at(-30*time.Minute), at(0))
			is(e, "backfilled", n, 3)
			e.wantErr("Backfill", err, nil)
			n, err = e.d.Backfill(e.ctx, "cron", time.Date(2031, 3, 1, 0, 0, 0, 0, time.UTC), time.Date(2031, 3, 4, 2, 0, 0, 0, time.UTC))
			is(e, "backfilled", n, 3)
			e.wantErr("Backfill", err, nil)
			_, err = e.d.Backfill(e.ctx, "once", at(-time.Hour), at(0))
			e.wantInvalid("Backfill of a one-off", err, "schedule")
			_, err = e.d.Backfill(e.ctx, "pace", at(-time.Hour), at(0))
			e.wantInvalid("Backfill of a pace", err, "schedule")
			_, err = e.d.Backfill(e.ctx, "every", at(-1000*time.Hour), at(0))
			e.wantInvalid("Backfill of too much", err, "occurrences")
			e.pass(11 * time.Minute)
			e.wantRan("every", "0s for -30m0s extra", "0s for -20m0s extra", "0s for -10m0s extra", "10m0s for 10m0s")
			var days []string
			for _, s := range e.rec.of("cron") {
				days = append(days, s.ScheduledFor.Format("Jan 2 15:04"))
			}
			is(e, "cron", fmt.Sprint(days), "[Mar 1 02:00 Mar 2 02:00 Mar 3 02:00]")
		},
	},
}
