package contract

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
)

var fireCases = []Case{
	{
		"NeverEarly", "C1", "a reminder comes before the hour that was asked for",
		func(e *env) {
			e.work()
			rng := rand.New(rand.NewPCG(3, 4))
			want := map[string]time.Duration{}
			for i := range 300 {
				d := time.Duration(rng.Int64N(int64(3 * time.Minute)))
				name := fmt.Sprint("t", i)
				e.put(name, once(d))
				want[name] = (d + time.Microsecond - 1).Truncate(time.Microsecond) // rounded up
				if i%50 == 0 {
					e.pass(time.Duration(rng.Int64N(int64(time.Second))))
				}
			}
			e.pass(2 * time.Minute)
			e.kill()
			e.pass(2 * time.Minute)
			for _, s := range e.rec.of("") {
				if d := s.Started.Sub(start); d < want[s.Name] {
					e.Errorf("%s began at %v, due at %v", s.Name, d, want[s.Name])
				}
			}
			is(e, "runs", len(e.rec.of("")), 300)
		},
	},
	{
		"NoneIsLostInARush", "C1 C4 A1", "a task that is put while others are looked for is overlooked until something else comes due",
		func(e *env) {
			e.work()
			var wg sync.WaitGroup
			for g := range 16 {
				wg.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(g), 5))
					for i := range 25 {
						d := e.since() + time.Duration(rng.Int64N(int64(20*time.Second)))
						if i%3 == 0 {
							d += time.Hour
						}
						if _, err := e.kinds[kind].Put(e.ctx, fmt.Sprintf("t%d-%d", g, i), nil, once(d)); err != nil {
							e.Errorf("Put: %v", err)
						}
						_ = e.sleep(e.ctx, time.Duration(rng.Int64N(int64(time.Second))))
					}
				})
			}
			e.pass(2 * time.Hour)
			wg.Wait()
			is(e, "runs", len(e.rec.of("")), 16*25)
			for _, s := range e.rec.of("") {
				if late := s.Started.Sub(s.Due); late > 2*time.Second {
					e.Errorf("%s began %v late", s.Name, late)
				}
			}
		},
	},
	{
		"LatenessInParts", "C2", "nobody can say whether it is the store, the clock or the workers that make tasks late",
		func(e *env) {
			e.with(func(o *duly.Options) { o.Workers = 1 })
			e.mail(e.takes(5 * time.Second))
			e.work()
			e.put("a", once(10*time.Second))
			e.put("b", once(11*time.Second))
			e.pass(20 * time.Second)
			k := e.stats()
			is(e, "started", k.Started, 2)
			is(e, "slot", k.Slot.Sum, 4*time.Second)
			is(e, "wake", k.Wake.Sum, 0)
			is(e, "claim", k.Claim.Sum, 0)
			is(e, "total", k.Total.Sum, 4*time.Second)
			is(e, "early", k.Early, 0)
			e.put("c", once(25*time.Second))
			e.rest()
			e.down(10 * time.Second)
			e.pass(time.Second)
			is(e, "wake after downtime", e.stats().Wake.Sum, 5*time.Second)
		},
	},
	{
		"Order", "C3", "what is urgent waits behind what is not, or the oldest waits for ever",
		func(e *env) {
			e.with(func(o *duly.Options) { o.Workers = 1 })
			e.mail(e.takes(time.Second))
			e.work()
			e.put("first", schedule.After(0))
			for _, c := range []struct {
				name string
				at   int // in milliseconds
				prio int
			}{
				{"c", 300, 0},
				{"b", 200, 0},
				{"a", 100, 0},
				{"tie 1", 400, 0},
				{"tie 2", 400, 0},
				{"tie 3", 400, 0},
				{"urgent late", 500, 2},
				{"urgent early", 150, 2},
				{"least", 1, -1},
				{"most", 600, 9},
			} {
				e.put(c.name, once(time.Duration(c.at)*time.Millisecond), duly.Priority(c.prio))
			}
			e.pass(20 * time.Second)
			is(e, "order", strings.Join(e.rec.order(), ", "), "first, most, urgent early, urgent late, a, b, c, tie 1, tie 2, tie 3, least")
		},
	},
	{
		"OrderWithinAName", "C3 G2", "occurrences of one name run in another order than they are due",
		func(e *env) {
			e.with(func(o *duly.Options) { o.Workers = 2 })
			e.mail(e.takes(7 * time.Second))
			e.put("a", schedule.Every(3*time.Second).Times(9), duly.Overlap(duly.BufferAll(100)))
			e.put("b", schedule.Every(2*time.Second).Times(9), duly.Overlap(duly.BufferAll(100)))
			e.work()
			e.pass(10 * time.Minute)
			for _, name := range []string{"a", "b"} {
				all := e.rec.of(name)
				for i := range all[1:] {
					if all[i+1].ScheduledFor.Before(all[i].ScheduledFor) {
						e.Errorf("%s: %v after %v", name, all[i+1].ScheduledFor, all[i].ScheduledFor)
					}
				}
				is(e, name+": last", all[len(all)-1].ScheduledFor.Sub(start), map[string]time.Duration{"a": 27 * time.Second, "b": 18 * time.Second}[name])
			}
		},
	},
	{
		"AtMostOnce", "C4 D5", "what must not be done twice is done twice",
		func(e *env) {
			e.with(func(o *duly.Options) { o.OnDead = e.died })
			e.mail(func(ctx context.Context, a *duly.Attempt[[]byte]) error {
				switch a.Name {
				case "fails":
					return errOops
				case "snoozes":
					if a.Number == 1 {
						return duly.Snooze(time.Second)
					}
					return nil
				case "done":
					return nil
				}
				return e.sleep(ctx, time.Hour)
			})
			e.work()
			for _, name := range []string{"fails", "lost", "done", "snoozes"} {
				e.put(name, schedule.After(0), duly.AtMostOnce(), duly.Retry(duly.RetryPolicy{Attempts: 5}))
			}
			e.pass(3 * time.Second)
			e.kill()
			e.pass(time.Hour)
			e.wantRan("fails", "0s for 0s")
			e.wantRan("lost", "0s for 0s")
			e.wantRan("done", "0s for 0s")
			e.wantRan("snoozes", "0s for 0s", "1s for 0s #2")
			e.wantMoves("lost", "running>dead rescue")
			e.wantMoves("fails", "running>dead settle")
			e.wantDied("fails: oops", "lost: lost")
		},
	},
	{
		"AtLeastOnce", "C4 D5", "a task whose process died is forgotten",
		func(e *env) {
			e.mail(e.takes(time.Minute))
			e.work()
			for i := range 20 {
				e.put(fmt.Sprint("t", i), once(time.Duration(i)*time.Second))
			}
			e.pass(10 * time.Second)
			e.kill()
			e.pass(5 * time.Second)
			e.kill()
			e.pass(2 * time.Hour)
			done := 0
			for _, v := range e.events() {
				if v.To == store.Done {
					done++
				}
			}
			is(e, "done", done, 20)
		},
	},
}

// died is a hook that notes deaths.
func (e *env) died(_ context.Context, d duly.Death) {
	e.rec.mu.Lock()
	defer e.rec.mu.Unlock()
	e.deaths = append(e.deaths, d)
}

// wantDied compares the deaths that the hook was told, sorted by name, as "name: reason".
func (e *env) wantDied(want ...string) {
	e.Helper()
	synctest.Wait()
	e.rec.mu.Lock()
	var got []string
	for _, d := range e.deaths {
		got = append(got, d.Name+": "+d.Reason)
	}
	e.rec.mu.Unlock()
	wantSame(e, "deaths", got, want)
}

var waitCases = []Case{
	{
		"UnknownKindWaits", "C5", "a task is lost because its handler was deployed a minute later",
		func(e *env) {
			k := duly.Declare[[]byte](e.d, "other")
			for name, s := range map[string]schedule.Schedule{"once": schedule.After(0), "every": schedule.Every(time.Hour), "soon": once(10 * time.Second)} {
				_, err := e.tryWith(k, name, "", s)
				e.wantErr("Put", err, nil)
			}
			e.work()
			e.put("known", schedule.After(0))
			is(e, "known", len(e.rec.of("known")), 1)
			e.pass(5 * time.Hour)
			e.wantWhy("once", duly.WhyNoHandler)
			e.wantWhy("every", duly.WhyNoHandler)
			calls := e.store.Calls("") - e.store.Calls("Trim")
			e.pass(24 * time.Hour)
			if n := e.store.Calls("") - e.store.Calls("Trim") - calls; n > 2*24 {
				e.Errorf("%d calls to the store in a day in which nothing is to be done", n)
			}
			e.handle("other", e.takes(0))
			synctest.Wait()
			e.pass(0)
			e.wantRan("once", "29h0m0s for 0s")
			e.wantRan("soon", "29h0m0s for 10s")
			e.wantRan("every", "29h0m0s for 29h0m0s missed 28")
		},
	},
	{
		"ReplacedIsNoDeath", "C4 B1 D5", "somebody is woken for the death of what is on record as replaced",
		func(e *env) {
			e.with(func(o *duly.Options) { o.OnDead = e.died })
			e.mail(func(ctx context.Context, _ *duly.Attempt[[]byte]) error { return e.sleep(ctx, time.Hour) })
			e.work()
			e.put("a", schedule.After(0), duly.AtMostOnce())
			e.pass(time.Second)
			e.put("a", schedule.After(10*time.Hour), duly.AtMostOnce())
			e.kill()
			e.pass(5 * time.Hour)
			e.wantMoves("a", "running>running put", "running>cancelled rescue")
			e.wantDied()
			is(e, "dead", e.stats().Dead, 0)
		},
	},
	{
		"UnknownKindIsDeadAfterTwoWeeks", "C5", "a task that nobody can run is kept for ever, and nobody is told",
		func(e *env) {
			e.noHistory = true
			e.with(func(o *duly.Options) { o.OnDead = e.died })
			k := duly.Declare[[]byte](e.d, "other")
			_, err := e.tryWith(k, "once", "", once(time.Hour))
			e.wantErr("Put", err, nil)
			_, err = e.tryWith(k, "every", "", schedule.Every(24*time.Hour))
			e.wantErr("Put", err, nil)
			_, err = e.tryWith(k, "late", "", once(-20*24*time.Hour)) // it has its two weeks from now
			e.wantErr("Put", err, nil)
			e.work()
			e.pass(14*24*time.Hour - time.Second)
			if w := e.wantWhy("late", duly.WhyNoHandler); !w.Until.Equal(at(14 * 24 * time.Hour)) {
				e.Errorf("WhyNot: until %v, want two weeks after it was put", w.Until)
			}
			e.pass(time.Second)
			e.wantWhy("late", duly.WhyDead)
			e.pass(time.Hour - time.Second)
			e.wantWhy("once", duly.WhyNoHandler)
			e.pass(time.Second)
			w := e.wantWhy("once", duly.WhyDead)
			if !strings.Contains(w.Text, "nobody has handled the kind other") {
				e.Errorf("WhyNot: %q, want what nobody has handled", w.Text)
			}
			e.wantWhy("every", duly.WhyNoHandler)
			e.pass(40 * 24 * time.Hour)
			e.wantWhy("every", duly.WhyNoHandler) // the schedule goes on
			if len(e.deaths) < 4 {
				e.Errorf("%d deaths, want one of each two weeks and those of the one-offs", len(e.deaths))
			}
			e.handle("other", e.takes(0))
			e.pass(24 * time.Hour)
			all := e.rec.of("every")
			if len(all) == 0 || all[len(all)-1].Started.Sub(all[len(all)-1].Due) != 0 {
				e.Errorf("once it is handled it runs %q", e.rec.ran("every"))
			}
			n, err := e.d.Redrive(e.ctx, duly.Query{Names: []string{"once"}})
			is(e, "redriven", n, 1)
			e.wantErr("Redrive", err, nil)
			e.pass(0)
			is(e, "runs of it", len(e.rec.of("once")), 1)
		},
	},
	{
		"NoPolling", "C6", "a sleeping program wakes the machine again and again, and the database is asked every second",
		func(e *env) {
			e.with(func(o *duly.Options) { o.Retention = duly.Retention{History: -1, Dead: -1} })
			e.work()
			e.put("far", once(30*24*time.Hour))
			e.put("near", once(time.Second))
			e.put("waits", once(time.Second), duly.Retry(duly.RetryPolicy{}))
			e.pass(time.Minute)
			calls := e.store.Calls("") - e.store.Calls("Trim")
			e.pass(29 * 24 * time.Hour)
			is(e, "calls while nothing is near", e.store.Calls("")-e.store.Calls("Trim")-calls, 0)
			e.pass(2 * 24 * time.Hour)
			e.wantRan("far", "720h0m0s for 720h0m0s")
			if n := e.store.Calls("") - e.store.Calls("Trim") - calls; n > 6 {
				e.Errorf("%d calls for one task that came due, want one to read, one to claim, one to settle, and those of hints", n)
			}
		},
	},
	{
		"AnEarlierArrivalWakes", "C6", "a task that is due sooner waits for the one that was put before it",
		func(e *env) {
			e.work()
			e.put("later", once(30*time.Minute))
			e.pass(time.Minute)
			e.put("sooner", once(5*time.Minute))
			e.put("now", schedule.After(0))
			e.wantRan("now", "1m0s for 1m0s")
			e.pass(30 * time.Minute)
			e.wantRan("sooner", "5m0s for 5m0s")
			e.wantRan("later", "30m0s for 30m0s")
		},
	},
	{
		"OutsidersAreNoticed", "C6 D1", "what another program wrote into the store is seen an hour later, or never",
		func(e *env) {
			e.work()
			spec := store.Spec{Kind: kind, Schedule: "at x"}
			put := func(name string, d time.Duration) {
				res, err := e.raw.Put(e.ctx, []store.Put{{Key: store.Key{Name: name}, Spec: spec, When: store.In(d, 0)}})
				if err != nil || res[0].Err != nil {
					e.Fatalf("Put behind its back: %v, %v", res, err)
				}
				synctest.Wait()
			}
			put("now", 0)
			e.pass(0)
			e.wantRan("now", "0s for 0s")
			put("soon", 3*time.Second)
			put("later", 10*time.Minute)
			put("moved", time.Hour)
			put("cancelled", 2*time.Minute)
			e.pass(time.Minute)
			_, err := e.raw.Cancel(e.ctx, []store.Cancel{{Key: store.Key{Name: "cancelled"}}})
			e.wantErr("Cancel behind its back", err, nil)
			_, err = e.raw.Edit(e.ctx, []store.Edit{{Verb: store.VerbMove, Key: store.Key{Name: "moved"}, When: store.In(time.Second, 0)}})
			e.wantErr("Edit behind its back", err, nil)
			e.pass(time.Hour)
			e.wantRan("soon", "3s for 3s")
			e.wantRan("later", "10m0s for 10m0s")
			e.wantRan("moved", "1m1s for 1m1s")
			e.wantRan("cancelled")
		},
	},
	{
		"AStoreWithoutHints", "C6 A1", "without hints from the store a task that is put while nothing is near is never seen",
		func(e *env) {
			type plain struct{ store.Store }
			d := e.another(plain{e.raw}, e.opts)
			k := duly.Handle(d, kind, e.takes(0))
			run := later(func() error { return d.Run(e.ctx) })
			put := func(name string, s schedule.Schedule) {
				_, err := k.Put(e.ctx, name, nil, s)
				e.wantErr("Put", err, nil)
				synctest.Wait()
			}
			put("now", schedule.After(0))
			put("far", once(time.Hour))
			e.pass(time.Minute)
			put("near", once(2*time.Minute))
			put("moved", once(3*time.Hour))
			_, err := d.Move(e.ctx, "moved", once(90*time.Second))
			e.wantErr("Move", err, nil)
			e.pass(2 * time.Hour)
			e.wantRan("now", "0s for 0s")
			e.wantRan("near", "2m0s for 2m0s")
			e.wantRan("moved", "1m30s for 1m30s")
			e.wantRan("far", "1h0m0s for 1h0m0s")
			e.wantErr("Close", d.Close(e.ctx), nil)
			e.wantErr("Run", <-run, nil)
		},
	},
	{
		"AThousandAtOnce", "C1 C3 C4", "what is more than the window holds is forgotten",
		func(e *env) {
			e.mail(e.takes(0), duly.Limit(50))
			n := e.many(17_000) // the window is the same on any store; 1,700 are some pages of it
			_, err := e.kinds[kind].PutMany(e.ctx, func(yield func(duly.Item[[]byte]) bool) {
				for i := range n {
					if !yield(duly.Item[[]byte]{Name: fmt.Sprintf("t%05d", i), Schedule: once(10 * time.Second)}) {
						return
					}
				}
			})
			e.wantErr("PutMany", err, nil)
			e.work()
			e.pass(10 * time.Second)
			is(e, "runs", len(e.rec.of("")), n)
		},
	},
}
