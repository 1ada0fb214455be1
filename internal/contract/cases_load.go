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
	"github.com/dulyhq/duly/store/storetest"
)

// A gauge counts how many run at once.
type gauge struct{ now, most atomic.Int32 }

func (g *gauge) run(do func() error) error {
	n := g.now.Add(1)
	for m := g.most.Load(); n > m && !g.most.CompareAndSwap(m, n); m = g.most.Load() {
	}
	defer g.now.Add(-1)
	return do()
}

var loadCases = []Case{
	{
		"Backlogs", "C2 C5", "tasks are overdue, or wait for somebody who handles them, and no number says so",
		func(e *env) {
			e.mail(e.takes(100*time.Second, time.Second), duly.Limit(1))
			none := func(when string) {
				e.Helper()
				s, err := e.d.Stats(e.ctx)
				e.wantErr("Stats", err, nil)
				is(e, "overdue "+when, s.Overdue, duly.Backlog{})
				is(e, "unhandled "+when, s.Unhandled, duly.Backlog{})
			}
			is(e, "kinds before anything was counted", e.stats(), duly.KindStats{})
			duly.Declare[[]byte](e.d, "declared")
			s, err := e.d.Stats(e.ctx)
			e.wantErr("Stats", err, nil)
			for _, name := range []string{kind, "declared"} {
				if _, ok := s.Kinds[name]; !ok {
					e.Errorf("nothing is told of the kind %s before it has run: %v", name, s.Kinds)
				}
			}
			e.work()
			none("at first")
			strange := duly.Declare[[]byte](e.d, "strange")
			for i := range 5 {
				e.put(fmt.Sprint("a", i), once(10*time.Second))
				_, err := e.tryWith(strange, fmt.Sprint("b", i), "", once(time.Duration(20+i)*time.Second))
				e.wantErr("Put", err, nil)
			}
			e.put("later", schedule.After(time.Hour))
			none("before they are due")
			e.pass(50 * time.Second)
			s, err = e.d.Stats(e.ctx)
			e.wantErr("Stats", err, nil)
			is(e, "overdue", s.Overdue, duly.Backlog{Tasks: 4, Oldest: 40 * time.Second})
			is(e, "unhandled", s.Unhandled, duly.Backlog{Tasks: 5, Oldest: 30 * time.Second})
			_, err = e.d.Cancel(e.ctx, "b0")
			e.wantErr("Cancel", err, nil)
			_, err = e.d.Pause(e.ctx, duly.Query{Names: []string{"b1"}}, "for the test")
			e.wantErr("Pause", err, nil)
			_, err = e.raw.Cancel(e.ctx, []store.Cancel{{Key: store.Key{Name: "b2"}}}) // that nobody hears of here
			e.wantErr("Cancel of another's", err, nil)
			synctest.Wait()
			s, err = e.d.Stats(e.ctx)
			e.wantErr("Stats", err, nil)
			is(e, "unhandled of what is left", s.Unhandled, duly.Backlog{Tasks: 2, Oldest: 27 * time.Second})
			e.handle("strange", e.takes(0))
			e.pass(0)
			s, err = e.d.Stats(e.ctx)
			e.wantErr("Stats", err, nil)
			is(e, "unhandled since somebody handles it", s.Unhandled, duly.Backlog{})
			e.store.Plant(storetest.Fault{Kind: storetest.Fail, Method: "Claim", Always: true})
			e.put("b9", schedule.After(0), duly.Priority(1))
			e.pass(2 * time.Minute) // the limit is free, and the store fails
			s, err = e.d.Stats(e.ctx)
			e.wantErr("Stats", err, nil)
			is(e, "overdue while the store fails", s.Overdue, duly.Backlog{Tasks: 5, Oldest: 160 * time.Second})
			e.store.Heal()
			e.pass(time.Minute)
			_, err = e.d.Resume(e.ctx, duly.Query{Names: []string{"b1"}})
			e.wantErr("Resume", err, nil)
			synctest.Wait()
			none("in the end")
		},
	},
	{
		"JitterIsFixed", "J1", "the preview shows other instants than those at which tasks run, or each restart moves them",
		func(e *env) {
			s := map[string]schedule.Schedule{
				"every": schedule.Every(time.Minute).Jitter(30 * time.Second), "cron": schedule.Cron("H/5 * * * *"),
				"at": once(time.Minute).Jitter(time.Minute), "after": schedule.After(time.Minute).Jitter(time.Minute),
			}
			for name, s := range s {
				e.put(name, s)
			}
			e.work()
			e.pass(10 * time.Minute)
			e.kill()
			e.pass(10 * time.Minute)
			offset := s["every"].Bind("every", start).Offset()
			if offset == 0 {
				e.Fatal("no jitter")
			}
			for i, x := range e.rec.of("every") {
				is(e, "scheduled for", x.ScheduledFor.Sub(start), time.Duration(i+1)*time.Minute)
				is(e, "due", x.Due.Sub(x.ScheduledFor), offset.Truncate(time.Microsecond)+roundUp(offset))
				is(e, "began", x.Started, x.Due)
			}
			is(e, "runs", len(e.rec.of("every")), 19)
			r := s["cron"].Bind("cron", start)
			at := start
			for _, x := range e.rec.of("cron") {
				at = r.Next(at)
				is(e, "cron", x.ScheduledFor, at)
			}
			for _, name := range []string{"at", "after"} {
				x := e.rec.of(name)[0]
				if x.Due.Sub(x.ScheduledFor) <= 0 || x.Due.Sub(x.ScheduledFor) > time.Minute {
					e.Errorf("%s: jitter %v", name, x.Due.Sub(x.ScheduledFor))
				}
			}
		},
	},
	{
		"Workers", "J2", "a thousand tasks that are due at once run a thousand at once",
		func(e *env) {
			e.with(func(o *duly.Options) { o.Workers = 7 })
			var g gauge
			h := func(ctx context.Context, _ *duly.Attempt[[]byte]) error {
				return g.run(func() error { return e.sleep(ctx, time.Second) })
			}
			e.mail(h)
			e.handle("other", h)
			e.work()
			for i := range 70 {
				_, err := e.tryWith(e.kinds[[]string{kind, "other"}[i%2]], fmt.Sprint("t", i), "", once(time.Second))
				e.wantErr("Put", err, nil)
			}
			e.pass(2 * time.Second)
			n := 0
			for i := range 70 {
				if w, err := e.d.WhyNot(e.ctx, fmt.Sprint("t", i)); err == nil && w.Code == duly.WhyWorkers {
					n++
				}
			}
			is(e, "those that wait for a worker", n, 70-2*7)
			e.pass(9 * time.Second)
			is(e, "at once", g.most.Load(), 7)
			is(e, "runs", len(e.rec.of("")), 70)
			is(e, "last", e.rec.of("")[69].at, 10*time.Second)
		},
	},
	{
		"KindLimit", "J2", "a kind that is slow takes all workers",
		func(e *env) {
			var g gauge
			e.mail(func(ctx context.Context, _ *duly.Attempt[[]byte]) error {
				return g.run(func() error { return e.sleep(ctx, time.Second) })
			}, duly.Limit(3))
			e.handle("other", e.takes(0))
			e.work()
			for i := range 300 {
				e.put(fmt.Sprint("t", i), once(time.Second))
			}
			_, err := e.tryWith(e.kinds["other"], "other", "", once(1500*time.Millisecond))
			e.wantErr("Put", err, nil)
			e.pass(2*time.Second - 1)
			e.wantRan("other", "1.5s for 1.5s")
			e.kill() // what runs is lost, the others wait still
			e.pass(200 * time.Second)
			is(e, "at once", g.most.Load(), 3)
			is(e, "runs", len(e.rec.of("")), 304)
		},
	},
	{
		"KeyLimit", "J2", "one customer's thousand tasks hold up those of all others",
		func(e *env) {
			gauges := map[string]*gauge{"slow": {}, "two": {}}
			h := func(ctx context.Context, a *duly.Attempt[[]byte]) error {
				return gauges[string(a.Payload)].run(func() error { return e.sleep(ctx, time.Second) })
			}
			e.mail(h)
			e.handle("other", h)
			e.work()
			for i := range 200 {
				_, err := e.tryWith(e.kinds[[]string{kind, "other"}[i%2]], fmt.Sprint("slow", i), "slow", once(time.Second), duly.Key("slow", 1))
				e.wantErr("Put", err, nil)
			}
			for i := range 20 {
				e.putWith(fmt.Sprint("two", i), "two", once(time.Second), duly.Key("two", 2))
			}
			e.pass(1500 * time.Millisecond)
			is(e, "attempts", len(e.rec.of("")), 3)
			n := 0
			for i := range 200 {
				if w, err := e.d.WhyNot(e.ctx, fmt.Sprint("slow", i)); err == nil && w.Code == duly.WhyKeyLimit {
					n++
				}
			}
			is(e, "those that wait for their key", n, 199)
			e.pass(9700 * time.Millisecond)
			for i := range 20 {
				is(e, "two", len(e.rec.of(fmt.Sprint("two", i))), 1)
			}
			e.pass(200 * time.Second)
			is(e, "slow at once", gauges["slow"].most.Load(), 1)
			is(e, "two at once", gauges["two"].most.Load(), 2)
			is(e, "attempts", len(e.rec.of("")), 220)
			is(e, "last", e.rec.of("")[219].at, 200*time.Second)
		},
	},
	{
		"DifferentLimitsOfOneKey", "J2", "a task that wants to be alone runs beside others of its key",
		func(e *env) {
			e.mail(e.takes(10 * time.Second))
			e.work()
			e.put("a", once(time.Second), duly.Key("k", 3))
			e.put("b", once(2*time.Second), duly.Key("k", 3))
			e.put("alone", once(3*time.Second), duly.Key("k", 1))
			e.put("c", once(20*time.Second), duly.Key("k", 2))
			e.put("d", once(21*time.Second), duly.Key("k", 2))
			e.pass(time.Minute)
			e.wantRan("a", "1s for 1s")
			e.wantRan("b", "2s for 2s")
			e.wantRan("alone", "12s for 3s")
			e.wantRan("c", "20s for 20s")
			e.wantRan("d", "22s for 21s")
		},
	},
	{
		"HangingHandlersOfOneKey", "J2 C2", "a thousand handlers that hang make all other tasks late",
		func(e *env) {
			free := make(chan struct{})
			e.mail(func(_ context.Context, a *duly.Attempt[[]byte]) error {
				if a.Name[0] == 'h' {
					<-free
				}
				return nil
			})
			e.work()
			n := e.many(1000)
			for i := range n {
				e.put(fmt.Sprint("h", i), once(time.Second), duly.Key("hangs", 1000))
				e.put(fmt.Sprint("i", i), once(2*time.Second+time.Duration(i)*time.Millisecond), duly.Key(fmt.Sprint("k", i%10), 1))
			}
			e.pass(10 * time.Second)
			for i := range n {
				s := e.rec.of(fmt.Sprint("i", i))
				is(e, "runs", len(s), 1)
				is(e, "lateness", s[0].Started.Sub(s[0].Due), 0)
			}
			e.pass(time.Minute)
			is(e, "attempts", len(e.rec.of("")), 2*n)
			close(free)
		},
	},
	{
		"LimitsAcrossRetries", "J2 F2 D6", "a task that waits for its retry holds a place that others wait for",
		func(e *env) {
			e.mail(func(_ context.Context, a *duly.Attempt[[]byte]) error {
				if a.Number == 1 {
					return duly.RetryAfter(time.Minute, errOops)
				}
				return nil
			}, duly.Limit(1))
			e.work()
			for _, name := range []string{"a", "b", "c"} {
				e.put(name, once(time.Second), duly.Key("k", 1))
			}
			e.pass(5 * time.Second)
			for _, name := range []string{"a", "b", "c"} {
				e.wantRan(name, "1s for 1s")
				e.wantWhy(name, duly.WhyRetry)
			}
			is(e, "cancel of one", e.cancel("b"), duly.Cancelled)
			e.pass(time.Hour)
			for _, name := range []string{"a", "c"} {
				e.wantRan(name, "1s for 1s", "1m1s for 1s #2")
			}
		},
	},
	{
		"CancelledWhileWaitingForAPlace", "J2 E1 E5", "who gives up waiting takes its place in the line with it",
		func(e *env) {
			e.mail(e.takes(10*time.Second), duly.Limit(1))
			e.work()
			for i := range 9 {
				e.put(fmt.Sprint("t", i), once(time.Second+time.Duration(i)*time.Millisecond))
			}
			e.pass(5 * time.Second)
			is(e, "cancel", e.cancel("t1"), duly.Cancelled)
			_, err := e.d.Move(e.ctx, "t2", once(time.Hour))
			e.wantErr("Move", err, nil)
			_, err = e.d.Pause(e.ctx, duly.Query{Names: []string{"t3"}}, "")
			e.wantErr("Pause", err, nil)
			e.putWith("t4", "new", once(time.Second))
			e.pass(time.Minute)
			e.wantRan("t1")
			e.wantRan("t2")
			e.wantRan("t3")
			_, err = e.d.Resume(e.ctx, duly.Query{})
			e.wantErr("Resume", err, nil)
			e.pass(2 * time.Hour)
			is(e, "attempts", len(e.rec.of("")), 8)
			is(e, "t4", len(e.rec.of("t4")), 1)
		},
	},
	{
		"NoSpace", "J3 A1", "a full disk loses what was accepted, or the error says nothing",
		func(e *env) {
			e.work()
			e.put("a", once(10*time.Second))
			e.store.Plant(storetest.Fault{Kind: storetest.Fail, Method: "Put", Always: true, Err: store.ErrNoSpace})
			_, err := e.try("b", once(10*time.Second))
			e.wantErr("Put", err, duly.ErrNoSpace)
			entries, err := e.kinds[kind].PutMany(e.ctx, func(yield func(duly.Item[[]byte]) bool) { yield(duly.Item[[]byte]{Name: "c", Schedule: once(0)}) })
			e.wantErr("PutMany", err, duly.ErrNoSpace)
			is(e, "entries", len(entries), 0)
			e.pass(10 * time.Second)
			e.wantRan("a", "10s for 10s")
			e.gone("b", duly.ErrNotFound)
			e.store.Heal()
			e.put("b", once(20*time.Second))
			e.pass(10 * time.Second)
			e.wantRan("b", "20s for 20s")
		},
	},
}

func roundUp(d time.Duration) time.Duration {
	if d%time.Microsecond > 0 {
		return time.Microsecond
	}
	return 0
}

var rateCases = []Case{
	{
		"Rate", "J2", "a rate of ten a second becomes a hundred at once, or nine",
		func(e *env) {
			e.mail(e.takes(0), duly.Rate(10, 3))
			e.work()
			for i := range 20 {
				e.put(fmt.Sprintf("t%02d", i), once(time.Second))
			}
			e.pass(5 * time.Second)
			all := e.rec.of("")
			is(e, "attempts", len(all), 20)
			for i := range all { // a burst of 3, and then one in 100 ms
				is(e, "attempt", all[i].at, time.Second+time.Duration(max(i-2, 0))*100*time.Millisecond)
				if i >= 3 {
					is(e, "name", all[i].Name, fmt.Sprintf("t%02d", i))
				}
			}
			for i := range 5 { // after a pause the bucket holds 3 again, and no more
				e.put(fmt.Sprintf("u%02d", i), once(time.Hour))
			}
			e.pass(time.Hour)
			for i := range 5 {
				e.wantRan(fmt.Sprintf("u%02d", i), fmt.Sprintf("%v for 1h0m0s", time.Hour+time.Duration(max(i-2, 0))*100*time.Millisecond))
			}
		},
	},
	{
		"SlowRate", "J2", "a rate of less than one a second never lets anything pass",
		func(e *env) {
			e.mail(e.takes(0), duly.Rate(1.0/3600, 1))
			e.work()
			for i := range 4 {
				e.put(fmt.Sprint("t", i), once(time.Second))
			}
			e.pass(time.Minute)
			w := e.wantWhy("t1", duly.WhyKindLimit)
			if w.Text == "" {
				e.Error("no text")
			}
			e.pass(4 * time.Hour)
			for i := range 4 {
				e.wantRan(fmt.Sprint("t", i), fmt.Sprintf("%v for 1s", time.Duration(i)*time.Hour+time.Second))
			}
		},
	},
	{
		"RateAndLimit", "J2", "what waits for a place uses up the rate, or what waits for the rate a place",
		func(e *env) {
			var g gauge
			e.mail(func(ctx context.Context, _ *duly.Attempt[[]byte]) error {
				return g.run(func() error { return e.sleep(ctx, time.Second) })
			}, duly.Rate(10, 1), duly.Limit(2))
			e.work()
			for i := range 10 {
				e.put(fmt.Sprintf("t%d", i), once(time.Second))
			}
			e.pass(20 * time.Second)
			all := e.rec.of("")
			is(e, "attempts", len(all), 10)
			is(e, "at once", g.most.Load(), 2)
			for i := range all { // two by two, 100 ms apart
				is(e, "attempt", all[i].at, time.Second+time.Duration(i/2)*time.Second+time.Duration(i%2)*100*time.Millisecond)
			}
		},
	},
	{
		"RateOfRetries", "J2 F1", "retries do not count for the rate",
		func(e *env) {
			e.mail(func(_ context.Context, a *duly.Attempt[[]byte]) error {
				if a.Number < 3 {
					return duly.RetryAfter(0, errOops)
				}
				return nil
			}, duly.Rate(1, 1))
			e.work()
			e.put("a", once(time.Second))
			e.put("b", once(time.Second))
			e.pass(10 * time.Second)
			all := e.rec.of("")
			is(e, "attempts", len(all), 6)
			for i := range all {
				is(e, "attempt", all[i].at, time.Duration(i+1)*time.Second)
			}
		},
	},
	{
		"ManyBehindAGate", "J2 C4", "what waits for a limit and is not in memory is forgotten",
		func(e *env) {
			e.mail(e.takes(100*time.Millisecond), duly.Limit(10))
			e.work()
			n := e.many(3000)
			_, err := e.kinds[kind].PutMany(e.ctx, func(yield func(duly.Item[[]byte]) bool) {
				for i := range n {
					if !yield(duly.Item[[]byte]{Name: fmt.Sprintf("t%04d", i), Schedule: once(time.Second + time.Duration(i)*time.Microsecond), Options: opts(duly.Key(fmt.Sprint("k", i%3), 4))}) {
						return
					}
				}
			})
			e.wantErr("PutMany", err, nil)
			synctest.Wait()
			e.pass(10 * time.Second)
			e.kill()
			e.pass(2 * time.Minute)
			ids := map[string]bool{}
			for _, s := range e.rec.of("") {
				ids[s.RunID] = true
			}
			is(e, "runs", len(ids), n)
		},
	},
}
