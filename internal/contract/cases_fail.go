package contract

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
)

var failCases = []Case{
	{
		"TenAttempts", "F1", "a task that failed once is given up, or hammers what it calls for ever",
		func(e *env) {
			e.with(func(o *duly.Options) { o.OnDead = e.died })
			e.mail(fails(1000))
			e.work()
			e.put("a", schedule.After(0))
			e.pass(24 * time.Hour)
			all := e.rec.of("a")
			is(e, "attempts", len(all), 10)
			most := time.Second
			for i := 1; i < len(all); i++ {
				wait := all[i].Started.Sub(at(all[i-1].until))
				if wait < time.Millisecond || wait > most+time.Microsecond {
					e.Errorf("attempt %d came %v after the one before ended, want up to %v", i+1, wait, most)
				}
				is(e, "number", all[i].Number, i+1)
				is(e, "failed before", all[i].Failed, i)
				is(e, "run id", all[i].RunID, all[0].RunID)
				most = min(2*most, time.Hour)
			}
			e.wantDied("a: oops")
			w := e.wantWhy("a", duly.WhyDead)
			if !strings.Contains(w.Text, "after attempt 10: oops") {
				e.Errorf("WhyNot: %q, want the attempt and the error", w.Text)
			}
			is(e, "dead, as counted", e.stats().Dead, 1)
			is(e, "failed, as counted", e.stats().Failed, 9)
		},
	},
	{
		"BackoffIsSpread", "F1", "what failed together is tried again together",
		func(e *env) {
			e.mail(func(_ context.Context, a *duly.Attempt[[]byte]) error {
				if a.Number == 1 {
					return errOops
				}
				return nil
			})
			e.work()
			for i := range 200 {
				e.put(fmt.Sprint("t", i), schedule.After(0), duly.Retry(duly.RetryPolicy{Backoff: 10 * time.Second}))
			}
			e.pass(10 * time.Second)
			halves := [2]int{}
			for _, s := range e.rec.of("") {
				if s.Number == 2 {
					halves[int(s.Started.Sub(start)/(5*time.Second))%2]++
				}
			}
			if halves[0] < 60 || halves[1] < 60 || halves[0]+halves[1] != 200 {
				e.Errorf("second attempts in the first and second half of the backoff: %v, want about as many in either, and all", halves)
			}
		},
	},
	{
		"RetryPolicies", "F1", "a budget of attempts or of time is not kept",
		func(e *env) {
			e.mail(fails(100_000))
			e.work()
			for name, c := range map[string]struct {
				r    duly.RetryPolicy
				want int
			}{
				"one": {duly.RetryPolicy{Attempts: 1}, 1}, "three": {duly.RetryPolicy{Attempts: 3}, 3},
				"fast": {duly.RetryPolicy{Attempts: 50, Backoff: time.Nanosecond, MaxBackoff: time.Millisecond}, 50},
			} {
				e.put(name, schedule.After(0), duly.Retry(c.r))
				defer func() { is(e, "attempts at "+name, len(e.rec.of(name)), c.want) }()
			}
			e.put("elapsed", schedule.After(0), duly.Retry(duly.RetryPolicy{Attempts: 1_000_000, Backoff: time.Second, MaxBackoff: time.Second, MaxElapsed: time.Minute}))
			e.pass(3 * time.Hour)
			all := e.rec.of("elapsed")
			last := all[len(all)-1]
			if last.at > time.Minute || last.at < 50*time.Second || len(all) < 60 {
				e.Errorf("with a minute in all the last of %d attempts began after %v", len(all), last.at)
			}
			e.wantWhy("elapsed", duly.WhyDead)
		},
	},
	{
		"WhatAHandlerAsksFor", "F1", "a handler that knows better is not heard",
		func(e *env) {
			e.mail(func(_ context.Context, a *duly.Attempt[[]byte]) error {
				switch a.Name {
				case "permanent":
					return fmt.Errorf("wrapped: %w", duly.Permanent(errOops))
				case "retry after":
					if a.Number < 3 {
						return duly.RetryAfter(90*time.Minute, errOops)
					}
				case "retry at once":
					if a.Number < 3 {
						return duly.RetryAfter(-time.Hour, errOops)
					}
				case "too often":
					return duly.RetryAfter(time.Minute, errOops)
				case "snooze":
					is(e, "failed before", a.Failed, max(a.Number-20, 0))
					if a.Number < 20 {
						return duly.Snooze(time.Minute)
					}
					return errOops
				}
				return nil
			})
			e.work()
			for _, name := range []string{"permanent", "retry after", "retry at once", "too often", "snooze"} {
				e.put(name, schedule.After(0), duly.Retry(duly.RetryPolicy{Attempts: 3, MaxBackoff: time.Second}))
			}
			e.pass(19*time.Minute - 1)
			e.wantRan("too often", "0s for 0s", "1m0s for 0s #2", "2m0s for 0s #3")
			e.wantRan("permanent", "0s for 0s")
			e.wantRan("retry at once", "0s for 0s", "0s for 0s #2", "0s for 0s #3")
			is(e, "attempts at what snoozes", len(e.rec.of("snooze")), 19)
			is(e, "snoozed, as the store has it", e.get("snooze").Runs[0].Snoozed, 19)
			e.pass(3 * time.Hour)
			e.wantRan("retry after", "0s for 0s", "1h30m0s for 0s #2", "3h0m0s for 0s #3")
			is(e, "attempts at what snoozes, then fails", len(e.rec.of("snooze")), 22)
			e.wantWhy("permanent", duly.WhyDead)
			e.wantWhy("too often", duly.WhyDead)
			e.wantErr("error of permanent", e.rec.of("permanent")[0].err, errOops)
		},
	},
	{
		"Timeout", "F1 E3", "a handler that hangs holds its task for ever",
		func(e *env) {
			e.mail(func(ctx context.Context, a *duly.Attempt[[]byte]) error {
				is(e, "Timeout", a.Timeout, 90*time.Second)
				if a.Number == 1 {
					<-ctx.Done()
					return ctx.Err()
				}
				return nil
			})
			e.work()
			e.put("a", schedule.After(0), duly.Timeout(90*time.Second), duly.Retry(duly.RetryPolicy{Backoff: time.Millisecond}))
			e.pass(90*time.Second - 1)
			is(e, "cause", e.rec.of("a")[0].cause, nil)
			e.pass(time.Second)
			all := e.rec.of("a")
			is(e, "attempts", len(all), 2)
			is(e, "cause", all[0].cause, duly.ErrTimeout)
			is(e, "ended", all[0].until, 90*time.Second)
			evs, err := e.d.History(e.ctx, duly.HistoryQuery{Name: "a"})
			e.wantErr("History", err, nil)
			if !strings.Contains(evs[0].Reason, duly.ErrTimeout.Error()) {
				e.Errorf("reason %q, want the timeout", evs[0].Reason)
			}
		},
	},
	{
		"BadPayload", "F1 A5", "a payload that cannot be read is tried again and again",
		func(e *env) {
			type order struct{ N int }
			k := duly.Handle(e.d, "order", func(_ context.Context, a *duly.Attempt[order]) error {
				is(e, "N", a.Payload.N, 7)
				return nil
			})
			raw := duly.Declare[[]byte](e.d, "order")
			e.work()
			_, err := k.Put(e.ctx, "good", order{7}, schedule.After(0))
			e.wantErr("Put", err, nil)
			_, err = raw.Put(e.ctx, "bad", []byte("{"), schedule.After(0))
			e.wantErr("Put", err, nil)
			_, err = duly.Declare[chan int](e.d, "order").Put(e.ctx, "none", nil, schedule.After(0))
			e.wantErr("Put of what has no JSON", err, duly.ErrInvalid)
			e.pass(time.Second)
			e.wantMoves("good", "running>done settle")
			e.wantMoves("bad", "running>dead settle")
			words := duly.Handle(e.d, "words", func(_ context.Context, a *duly.Attempt[string]) error {
				is(e, "payload", a.Payload, "as it is")
				is(e, "raw", string(a.Raw), "as it is")
				return nil
			}, duly.WithCodec[string](words{}))
			_, err = words.Put(e.ctx, "words", "as it is", schedule.After(0))
			e.wantErr("Put", err, nil)
			e.pass(0)
			e.wantMoves("words", "running>done settle")
		},
	},
}

var deadCases = []Case{
	{
		"PanicsAndGoexit", "F3", "one handler that panics takes the program or the scheduler with it",
		func(e *env) {
			e.with(func(o *duly.Options) {
				o.OnDead = func(ctx context.Context, d duly.Death) {
					e.died(ctx, d)
					panic("in the hook")
				}
			})
			e.mail(func(_ context.Context, a *duly.Attempt[[]byte]) error {
				switch a.Name {
				case "panic":
					panic("whoops")
				case "panic with an error":
					panic(errOops)
				case "nil":
					panic(nil)
				case "goexit":
					runtime.Goexit()
				}
				return nil
			})
			e.work()
			for _, name := range []string{"panic", "panic with an error", "nil", "goexit", "good"} {
				e.put(name, schedule.Every(10*time.Second), duly.Retry(duly.RetryPolicy{Attempts: 1}))
			}
			e.pass(25 * time.Second)
			for _, name := range []string{"panic", "panic with an error", "nil", "goexit", "good"} {
				e.wantRan(name, "10s for 10s", "20s for 20s")
			}
			is(e, "deaths", len(e.deaths), 8)
			for _, s := range []string{"whoops", "cases_fail.go", "Goexit", "OnDead has panicked", "in the hook"} {
				if !e.log.has(s) {
					e.Errorf("the log has no %q", s)
				}
			}
			evs, err := e.d.History(e.ctx, duly.HistoryQuery{Name: "panic"})
			e.wantErr("History", err, nil)
			if !strings.Contains(evs[0].Reason, "whoops") || !strings.Contains(evs[0].Reason, "cases_fail.go") {
				e.Errorf("reason %q, want the panic with its stack", evs[0].Reason)
			}
		},
	},
	{
		"OnErrorStop", "F3", "a schedule that was to stop at its first failure goes on, or one that was not stops",
		func(e *env) {
			e.mail(func(_ context.Context, a *duly.Attempt[[]byte]) error {
				if a.ScheduledFor.Equal(at(20 * time.Second)) {
					return errOops
				}
				return nil
			})
			e.work()
			stop := duly.OnError(duly.Stop)
			once := duly.Retry(duly.RetryPolicy{Attempts: 1})
			e.put("stops", schedule.Every(10*time.Second), stop, once)
			e.put("goes on", schedule.Every(10*time.Second), once)
			e.put("retries first", schedule.Every(10*time.Second), stop, duly.Retry(duly.RetryPolicy{Attempts: 3, Backoff: time.Millisecond}))
			e.put("pace stops", schedule.Pace(10*time.Second), stop, once)
			e.pass(45 * time.Second)
			e.wantRan("stops", "10s for 10s", "20s for 20s")
			e.wantRan("pace stops", "10s for 10s", "20s for 20s")
			e.wantRan("goes on", "10s for 10s", "20s for 20s", "30s for 30s", "40s for 40s")
			is(e, "attempts at the one that retries first", len(e.rec.of("retries first")), 4)
			e.gone("stops", duly.ErrFinished)
			is(e, "put again", e.put("stops", schedule.Every(10*time.Second)).Outcome, duly.Created)
		},
	},
	{
		"OnErrorStopWhenLost", "F3 D5", "a schedule that was to stop at its first failure goes on when that was a crash",
		func(e *env) {
			e.mail(e.takes(time.Hour))
			e.put("a", schedule.Every(10*time.Second), duly.OnError(duly.Stop), duly.AtMostOnce())
			e.work()
			e.pass(12 * time.Second)
			e.kill()
			e.pass(time.Minute)
			e.wantRan("a", "10s for 10s")
			e.gone("a", duly.ErrFinished)
		},
	},
	{
		"DeadIsKeptAndRedriven", "F3 K2", "what has failed for good is gone, or cannot be tried again once the cause is mended",
		func(e *env) {
			mended := false
			e.mail(func(context.Context, *duly.Attempt[[]byte]) error {
				if mended {
					return nil
				}
				return duly.Permanent(errOops)
			})
			e.work()
			for _, name := range []string{"a", "b", "c", "taken"} {
				e.putWith(name, "payload of "+name, schedule.After(0), duly.Tags("x"))
			}
			e.put("every", schedule.Every(10*time.Second), duly.Tags("x"))
			e.pass(25 * time.Second)
			e.kill()
			mended = true
			dead := map[string]int{}
			for t, err := range e.d.List(e.ctx, duly.Query{State: duly.Dead}) {
				if err != nil {
					e.Fatalf("List: %v", err)
				}
				dead[t.Name]++
				is(e, "state", t.State, duly.Dead)
				is(e, "runs", len(t.Runs), 1)
				is(e, "reason", t.Runs[0].Reason, "oops")
			}
			is(e, "dead", fmt.Sprint(dead), "map[a:1 b:1 c:1 every:2 taken:1]")
			e.putWith("taken", "another", once(time.Hour))
			n, err := e.d.Redrive(e.ctx, duly.Query{Names: []string{"a", "taken"}})
			is(e, "redriven by name", n, 1)
			e.wantErr("Redrive", err, duly.ErrExists)
			n, err = e.d.Redrive(e.ctx, duly.Query{Tag: "nobody's"})
			is(e, "redriven by a tag that nobody has", n, 0)
			e.wantErr("Redrive", err, nil)
			e.pass(0)
			e.wantRan("a", "0s for 0s", "25s for 0s")
			is(e, "payload", string(e.rec.of("a")[1].Raw), "payload of a")
			is(e, "number", e.rec.of("a")[1].Number, 1)
			n, err = e.d.Redrive(e.ctx, duly.Query{Prefix: "every"})
			is(e, "redriven by prefix", n, 2)
			e.wantErr("Redrive", err, nil)
			e.pass(10 * time.Second)
			is(e, "attempts at every", len(e.rec.of("every")), 5)
			e.cancel("every")
			e.pass(100 * 24 * time.Hour)
			e.noHistory = true
			left := 0
			for _, err := range e.d.List(e.ctx, duly.Query{State: duly.Dead}) {
				e.wantErr("List", err, nil)
				left++
			}
			is(e, "dead after 90 days", left, 0)
		},
	},
	{
		"MiddlewareInOrder", "F1", "middleware is called in another order than it is given in, or not for each attempt",
		func(e *env) {
			var order []string
			mw := func(name string) duly.Middleware {
				return func(next duly.HandlerFunc) duly.HandlerFunc {
					return func(ctx context.Context, a *duly.AttemptInfo) error {
						order = append(order, "into "+name)
						err := next(ctx, a)
						order = append(order, "out of "+name)
						if name == "4" && err != nil {
							return nil // it may change the outcome
						}
						return err
					}
				}
			}
			e.with(func(o *duly.Options) { o.Middleware = []duly.Middleware{mw("1"), mw("2")} })
			e.mail(func(context.Context, *duly.Attempt[[]byte]) error { return errOops }, duly.Use(mw("3"), mw("4")))
			e.work()
			e.put("a", schedule.After(0))
			is(e, "order", strings.Join(order, ", "), "into 1, into 2, into 3, into 4, out of 4, out of 3, out of 2, out of 1")
			e.wantMoves("a", "running>done settle")
		},
	},
	{
		"Defaults", "F1", "the defaults of a kind are overlooked, or win against the task's own options",
		func(e *env) {
			e.mail(fails(1000), duly.Defaults(duly.Retry(duly.RetryPolicy{Attempts: 2, Backoff: time.Millisecond}), duly.Priority(3)))
			e.work()
			e.put("by default", schedule.After(0))
			e.put("its own", schedule.After(0), duly.Retry(duly.RetryPolicy{Attempts: 1}))
			e.put("priority", once(time.Hour))
			e.pass(time.Minute)
			is(e, "by default", len(e.rec.of("by default")), 2)
			is(e, "its own", len(e.rec.of("its own")), 1)
			is(e, "priority", e.get("priority").Priority, 3)
		},
	},
	{
		"ErrorsAreKept", "F3 K2", "nobody can say why a task failed last night",
		func(e *env) {
			long := errors.New(strings.Repeat("x", 10_000))
			e.mail(func(_ context.Context, a *duly.Attempt[[]byte]) error {
				switch a.Name {
				case "long":
					return duly.Permanent(long)
				case "empty":
					return duly.Permanent(errors.New(""))
				}
				return duly.Permanent(fmt.Errorf("call the bank: %w", errOops))
			})
			e.work()
			for _, name := range []string{"long", "empty", "wrapped"} {
				e.put(name, schedule.After(0))
			}
			reason := func(name string) string {
				evs, err := e.d.History(e.ctx, duly.HistoryQuery{Name: name})
				e.wantErr("History", err, nil)
				is(e, "entries", len(evs), 1)
				return evs[0].Reason
			}
			is(e, "wrapped", reason("wrapped"), "call the bank: oops")
			if n := len(reason("long")); n < 1000 || n > 4096 {
				e.Errorf("%d bytes of a reason of 10,000 are kept, want up to 4 KiB", n)
			}
			if reason("empty") == "" {
				e.Error("an error without a text leaves no trace")
			}
		},
	},
}
