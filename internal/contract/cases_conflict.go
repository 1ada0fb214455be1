package contract

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
)

var conflictCases = []Case{
	{
		"SameNameAgain", "B1", "two reminders come instead of one, or the older one wins",
		func(e *env) {
			e.work()
			for name, c := range map[string]struct {
				c       duly.Conflict
				at      time.Duration // of the second; the first is put for 10 s
				err     error
				outcome duly.PutOutcome
				payload string
				ran     string
			}{
				"replace":            {duly.Replace, 20 * time.Second, nil, duly.Replaced, "new", "20s for 20s"},
				"replace, earlier":   {duly.Replace, 5 * time.Second, nil, duly.Replaced, "new", "5s for 5s"},
				"keep":               {duly.Keep, 5 * time.Second, nil, duly.Kept, "old", "10s for 10s"},
				"fail":               {duly.Fail, 5 * time.Second, duly.ErrExists, 0, "old", "10s for 10s"},
				"keep time":          {duly.KeepTime, 5 * time.Second, nil, duly.Replaced, "new", "10s for 10s"},
				"earliest, earlier":  {duly.Earliest, 5 * time.Second, nil, duly.Replaced, "new", "5s for 5s"},
				"earliest, later":    {duly.Earliest, 20 * time.Second, nil, duly.Replaced, "new", "10s for 10s"},
				"debounce":           {duly.Debounce(0), 20 * time.Second, nil, duly.Replaced, "new", "20s for 20s"},
				"debounce, too long": {duly.Debounce(15 * time.Second), 20 * time.Second, nil, duly.Replaced, "new", "15s for 15s"},
			} {
				k := e.handle(name, func(_ context.Context, a *duly.Attempt[[]byte]) error {
					is(e, name+": payload", string(a.Payload), c.payload)
					return nil
				})
				first, err := e.tryWith(k, name, "old", once(10*time.Second), duly.OnConflict(c.c))
				e.wantErr("first Put", err, nil)
				is(e, name+": first outcome", first.Outcome, duly.Created)
				second, err := e.tryWith(k, name, "new", once(c.at), duly.OnConflict(c.c))
				e.wantErr(name, err, c.err)
				is(e, name+": outcome", second.Outcome, c.outcome)
				if c.outcome == duly.Replaced && second.Generation <= first.Generation {
					e.Errorf("%s: generation %d after %d", name, second.Generation, first.Generation)
				}
				defer e.wantRan(name, c.ran)
			}
			e.pass(30 * time.Second)
		},
	},
	{
		"Debounce", "B1", "a burst of changes reindexes again and again, or never",
		func(e *env) {
			e.work()
			for _, name := range []string{"bounded", "free"} {
				wait := map[string]time.Duration{"bounded": 25 * time.Second}[name]
				k := e.kinds[kind]
				defer func() {
					want := map[string][]string{"bounded": {"25s for 25s", "34s for 34s"}, "free": {"42s for 42s"}}[name]
					e.wantRan(name, want...)
				}()
				_, err := e.tryWith(k, name, "", schedule.After(10*time.Second), duly.OnConflict(duly.Debounce(wait)))
				e.wantErr("Put", err, nil)
			}
			for range 4 { // at 8, 16, 24 and 32
				e.pass(8 * time.Second)
				for _, name := range []string{"bounded", "free"} {
					wait := map[string]time.Duration{"bounded": 25 * time.Second}[name]
					d := 10 * time.Second
					if name == "bounded" && e.since() == 32*time.Second {
						d = 2 * time.Second // another burst, since the first has run
					}
					e.put(name, schedule.After(d), duly.OnConflict(duly.Debounce(wait)))
				}
			}
			e.pass(30 * time.Second)
		},
	},
	{
		"DebounceWhileItRuns", "B1 B2", "a change that comes while the index is built is not in it, and nothing builds it again",
		func(e *env) {
			e.mail(e.takes(20 * time.Second))
			e.work()
			put := func() { e.put("a", schedule.After(5*time.Second), duly.OnConflict(duly.Debounce(time.Minute))) }
			put()
			e.pass(10 * time.Second) // runs since 5 s
			put()
			e.pass(2 * time.Second)
			put() // for 17 s, and it waits until 25 s
			e.pass(time.Minute)
			e.wantRan("a", "5s for 5s", "25s for 17s")
		},
	},
	{
		"SameRecurringNameAgain", "B1 G1", "changing a schedule loses its phase where it was to be kept, or keeps it where not",
		func(e *env) {
			e.work()
			for name, c := range map[string]struct {
				c   duly.Conflict
				ran []string
			}{
				"replace":   {duly.Replace, []string{"9s for 9s", "14s for 14s", "19s for 19s"}},
				"keep":      {duly.Keep, []string{"10s for 10s", "20s for 20s"}},
				"keep time": {duly.KeepTime, []string{"10s for 10s", "14s for 14s", "19s for 19s"}},
				"earliest":  {duly.Earliest, []string{"9s for 9s", "14s for 14s", "19s for 19s"}},
			} {
				e.strange[store.Key{Name: name}] = true // its first occurrence may be another schedule's
				e.put(name, schedule.Every(10*time.Second))
				defer e.wantRan(name, c.ran...)
			}
			e.pass(4 * time.Second)
			for name, c := range map[string]duly.Conflict{"replace": duly.Replace, "keep": duly.Keep, "keep time": duly.KeepTime, "earliest": duly.Earliest} {
				_, err := e.try(name, schedule.Every(5*time.Second), duly.OnConflict(c))
				e.wantErr("Put", err, nil)
			}
			e.pass(17 * time.Second)
		},
	},
	{
		"PutWhileRunning", "B2", "a new version starts beside the old one, or stops it, or is lost",
		func(e *env) {
			for name, c := range map[string]struct {
				opts  []duly.PutOption
				fails bool
				ran   []string
				moves []string
			}{
				"replaced": {nil, false, []string{"0s for 0s", "10s for 3s"}, []string{"running>running put", "running>done settle", "running>done settle"}},
				"fails":    {nil, true, []string{"0s for 0s", "10s for 3s"}, []string{"running>running put", "running>cancelled settle", "running>done settle"}},
				"kept":     {opts(duly.OnConflict(duly.Keep)), false, []string{"0s for 0s"}, []string{"running>done settle"}},
			} {
				var n atomic.Int32
				k := e.handle(name, func(ctx context.Context, _ *duly.Attempt[[]byte]) error {
					if n.Add(1) > 1 {
						return nil
					}
					if err := e.sleep(ctx, 10*time.Second); err != nil || !c.fails {
						return err
					}
					return errOops
				})
				if e.works == nil {
					e.work()
				}
				_, err := e.tryWith(k, name, "old", schedule.After(0))
				e.wantErr("Put", err, nil)
				defer func() {
					e.wantRan(name, c.ran...)
					e.wantMoves(name, c.moves...)
				}()
			}
			e.pass(3 * time.Second)
			for name, o := range map[string][]duly.PutOption{"replaced": nil, "fails": nil, "kept": opts(duly.OnConflict(duly.Keep))} {
				_, err := e.tryWith(e.kinds[name], name, "new", schedule.After(0), o...)
				e.wantErr("Put", err, nil)
			}
			e.wantWhy("replaced", duly.WhyOverlap)
			e.pass(30 * time.Second)
		},
	},
	{
		"PutWhileRunningToOverlap", "B2", "a name overlaps itself though what is put now does not allow it, or waits though it does",
		func(e *env) {
			e.mail(e.takes(10 * time.Second))
			e.work()
			overlap := func(allowed bool) []duly.PutOption {
				if allowed {
					return opts(duly.Overlap(duly.Allow))
				}
				return nil
			}
			for i := range 4 {
				name, before, now := fmt.Sprint("a", i), i&1 != 0, i&2 != 0
				e.overlapping[name] = now
				e.putWith(name, "old", schedule.After(0), overlap(before)...)
				e.pass(3 * time.Second)
				e.putWith(name, "new", schedule.After(time.Second), overlap(now)...)
				e.pass(time.Second)
				is(e, fmt.Sprintf("runs, allowed by the old one %t, by the new one %t", before, now), len(e.rec.of(name)), map[bool]int{false: 1, true: 2}[now])
				e.pass(30 * time.Second)
				is(e, "runs in the end", len(e.rec.of(name)), 2)
				e.wantMoves(name, "running>running put", "running>done settle", "running>done settle")
			}
		},
	},
	{
		"ReplacedWhileRetrying", "B2 F2", "the retries of what was replaced go on beside the new one",
		func(e *env) {
			e.mail(func(_ context.Context, a *duly.Attempt[[]byte]) error {
				if string(a.Payload) == "old" {
					return duly.RetryAfter(10*time.Second, errOops)
				}
				return nil
			})
			e.work()
			e.putWith("a", "old", schedule.After(0))
			e.pass(time.Second)
			is(e, "outcome", e.putWith("a", "new", once(30*time.Second)).Outcome, duly.Replaced)
			e.pass(40 * time.Second)
			e.wantRan("a", "0s for 0s", "30s for 30s")
			e.wantMoves("a", "running>pending retry", "pending>cancelled put", "running>done settle")
		},
	},
	{
		"ManyReplacements", "B2", "a name overlaps itself when it is put again and again while it runs",
		func(e *env) {
			var running, most atomic.Int32
			e.mail(func(ctx context.Context, _ *duly.Attempt[[]byte]) error {
				if n := running.Add(1); n > most.Load() {
					most.Store(n)
				}
				defer running.Add(-1)
				return e.sleep(ctx, 7*time.Second)
			})
			e.work()
			for i := range 40 {
				e.putWith("a", string(rune('A'+i)), schedule.After(0))
				e.pass(time.Second)
			}
			e.pass(20 * time.Second)
			is(e, "at once", most.Load(), 1)
			all := e.rec.of("a")
			is(e, "runs", len(all), 7)
			is(e, "last payload", string(all[6].Raw), string(rune('A'+39)))
		},
	},
	{
		"WhatHasEndedNeverBlocks", "B3", "a name cannot be used again after its task has failed once",
		func(e *env) {
			var dead atomic.Bool
			e.mail(func(context.Context, *duly.Attempt[[]byte]) error {
				if dead.Load() {
					return duly.Permanent(errOops)
				}
				return nil
			})
			e.work()
			for _, state := range []string{"done", "dead", "cancelled", "expired", "never there"} {
				dead.Store(state == "dead")
				switch state {
				case "done", "dead":
					e.put("a", schedule.After(0))
				case "cancelled":
					e.put("a", schedule.After(time.Hour))
					e.cancel("a")
				case "expired":
					e.put("a", schedule.After(time.Second), duly.StartWithin(time.Second))
					e.down(time.Minute)
				}
				dead.Store(false)
				n := len(e.rec.of("a"))
				for _, c := range []duly.Conflict{duly.Replace, duly.Keep, duly.Fail, duly.KeepTime, duly.Earliest, duly.Debounce(0)} {
					entry := e.putWith("a", state, schedule.After(time.Second), duly.OnConflict(c), duly.IfAbsent())
					is(e, state+": outcome", entry.Outcome, duly.Created)
					e.pass(time.Second)
					n++
					is(e, state+": runs", len(e.rec.of("a")), n)
				}
			}
		},
	},
	{
		"DeadOccurrencesNeverBlock", "B3 F3", "a schedule ends, or stands still, because one of its runs is dead",
		func(e *env) {
			e.mail(func(context.Context, *duly.Attempt[[]byte]) error { return duly.Permanent(errOops) })
			e.put("every", schedule.Every(10*time.Second))
			e.put("pace", schedule.Pace(10*time.Second))
			e.put("start", schedule.PaceFromStart(10*time.Second))
			e.work()
			e.pass(35 * time.Second)
			for _, name := range []string{"every", "pace", "start"} {
				e.wantRan(name, "10s for 10s", "20s for 20s", "30s for 30s")
			}
			n := 0
			for _, err := range e.d.List(e.ctx, duly.Query{State: duly.Dead}) {
				e.wantErr("List", err, nil)
				n++
			}
			is(e, "dead runs", n, 9)
		},
	},
	{
		"CompareAndSwap", "B4", "two that change one task at once both think that they did",
		func(e *env) {
			e.mail(e.takes(10 * time.Second))
			e.work()
			_, err := e.try("a", once(20*time.Second), duly.IfPending())
			e.wantErr("IfPending of none", err, duly.ErrCondition)
			_, err = e.try("a", once(20*time.Second), duly.IfGeneration(1))
			e.wantErr("IfGeneration of none", err, duly.ErrCondition)
			first, err := e.try("a", once(20*time.Second), duly.IfAbsent())
			e.wantErr("IfAbsent of none", err, nil)
			_, err = e.try("a", once(25*time.Second), duly.IfAbsent())
			e.wantErr("IfAbsent of one that is there", err, duly.ErrCondition)
			second, err := e.try("a", once(25*time.Second), duly.IfGeneration(first.Generation), duly.IfPending())
			e.wantErr("IfGeneration", err, nil)
			_, err = e.try("a", once(5*time.Second), duly.IfGeneration(first.Generation))
			e.wantErr("IfGeneration of the old one", err, duly.ErrCondition)
			e.pass(26 * time.Second)
			e.wantRan("a", "25s for 25s")
			_, err = e.try("a", once(27*time.Second), duly.IfPending())
			e.wantErr("IfPending while it runs", err, duly.ErrCondition)
			_, err = e.try("a", once(27*time.Second), duly.IfGeneration(second.Generation))
			e.wantErr("IfGeneration while it runs", err, nil)
			e.pass(time.Minute)
			e.wantRan("a", "25s for 25s", "35s for 27s")
		},
	},
	{
		"OneOfManyCompareAndSwaps", "B4", "several of those who swap at once succeed",
		func(e *env) {
			e.work()
			g := e.put("a", once(time.Hour)).Generation
			var won atomic.Int32
			for i := range 32 {
				go func() {
					_, err := e.kinds[kind].Put(e.ctx, "a", []byte{byte(i)}, once(time.Second), duly.IfGeneration(g))
					if err == nil {
						won.Add(1)
					}
				}()
			}
			synctest.Wait()
			is(e, "won", won.Load(), 1)
			e.pass(time.Second)
			is(e, "runs", len(e.rec.of("a")), 1)
		},
	},
}
