package contract

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
)

var historyCases = []Case{
	{
		"EveryMoveIsOnRecord", "K2", "what happened to a task last night cannot be told",
		func(e *env) {
			e.mail(func(_ context.Context, a *duly.Attempt[[]byte]) error {
				switch {
				case a.Name == "every" || a.Number == 3:
					return nil
				case a.Number == 2:
					return duly.Snooze(time.Second)
				}
				return duly.RetryAfter(time.Second, errOops)
			})
			e.work()
			e.put("a", once(10*time.Second))
			_, err := e.d.Move(e.ctx, "a", once(20*time.Second))
			e.wantErr("Move", err, nil)
			_, err = e.d.Pause(e.ctx, duly.Query{}, "for a test")
			e.wantErr("Pause", err, nil)
			_, err = e.d.Resume(e.ctx, duly.Query{})
			e.wantErr("Resume", err, nil)
			e.pass(30 * time.Second)
			e.wantMoves("a", "pending>pending move", "pending>pending pause", "pending>pending resume", "running>pending retry", "running>pending snooze", "running>done settle")
			evs, err := e.d.History(e.ctx, duly.HistoryQuery{Name: "a"})
			e.wantErr("History", err, nil)
			is(e, "reason", evs[1].Reason, "for a test")
			for i, at := range []time.Duration{0, 0, 0, 20 * time.Second, 21 * time.Second, 22 * time.Second} {
				is(e, "at", evs[i].At.Sub(start), at)
				is(e, "accepted", evs[i].AcceptedAt.Sub(start), 0)
				if i >= 3 {
					is(e, "started", evs[i].StartedAt.Sub(start), at)
					is(e, "attempt", evs[i].Attempt, i-2)
					is(e, "fence", evs[i].Fence, e.rec.of("a")[i-3].Fence)
					is(e, "owner", evs[i].Owner, "me")
				}
				if i > 0 && evs[i].Seq <= evs[i-1].Seq {
					e.Errorf("Seq %d after %d", evs[i].Seq, evs[i-1].Seq)
				}
			}
			newest, err := e.d.History(e.ctx, duly.HistoryQuery{Name: "a", Newest: true, Limit: 2})
			e.wantErr("History", err, nil)
			is(e, "newest", newest[0].Seq, evs[5].Seq)
			is(e, "second newest", newest[1].Seq, evs[4].Seq)
			since, err := e.d.History(e.ctx, duly.HistoryQuery{Since: at(21 * time.Second)})
			e.wantErr("History", err, nil)
			is(e, "entries since", len(since), 2)
			all, err := e.d.History(e.ctx, duly.HistoryQuery{After: evs[2].Seq, Before: evs[5].Seq})
			e.wantErr("History", err, nil)
			is(e, "entries between", len(all), 2)
		},
	},
	{
		"Retention", "K2", "history grows without bound, or is forgotten at once",
		func(e *env) {
			e.noHistory = true
			e.with(func(o *duly.Options) { o.Retention = duly.Retention{History: 24 * time.Hour, Dead: 48 * time.Hour} })
			e.mail(func(_ context.Context, a *duly.Attempt[[]byte]) error {
				if a.Name == "dead" {
					return duly.Permanent(errOops)
				}
				return nil
			})
			e.put("every", schedule.Every(time.Hour))
			e.put("dead", once(time.Hour))
			e.work()
			most := 0
			for range 10 {
				e.pass(24 * time.Hour)
				evs, err := e.d.History(e.ctx, duly.HistoryQuery{Limit: 1000})
				e.wantErr("History", err, nil)
				most = max(most, len(evs))
			}
			if most < 24 || most > 24+3 {
				e.Errorf("up to %d entries of an hourly task, want those of a day, and up to an hour's more", most)
			}
			evs, err := e.d.History(e.ctx, duly.HistoryQuery{Name: "dead"})
			e.wantErr("History", err, nil)
			is(e, "entries of what died nine days ago", len(evs), 0)
			st, err := e.raw.Stats(e.ctx)
			e.wantErr("Stats", err, nil)
			is(e, "dead runs", st.Dead, 0)
			e.gone("dead", duly.ErrNotFound)
		},
	},
	{
		"RetentionByCount", "K2", "a busy hour fills the disk before history is old enough to be forgotten",
		func(e *env) {
			e.noHistory = true
			e.with(func(o *duly.Options) { o.Retention = duly.Retention{MaxHistory: 100} })
			e.put("every", schedule.Every(time.Second))
			e.work()
			span := time.Duration(max(18, e.many(60))) * time.Minute
			e.pass(span)
			st, err := e.raw.Stats(e.ctx)
			e.wantErr("Stats", err, nil)
			if st.History < 100 || st.History > 100+3600/20 {
				e.Errorf("%d entries, want 100 and those of a few minutes", st.History)
			}
			newest, err := e.d.History(e.ctx, duly.HistoryQuery{Newest: true, Limit: 1})
			e.wantErr("History", err, nil)
			is(e, "the newest", newest[0].ScheduledFor.Sub(start), span)
		},
	},
	{
		"EventsStream", "K2", "who follows the events misses some after a break, or sees them twice",
		func(e *env) {
			e.work()
			var mu sync.Mutex
			var got []string
			follow := func(after int64, most int) (last int64, err error) {
				ctx, cancel := context.WithCancel(e.ctx)
				defer cancel()
				n := 0
				for ev, err := range e.d.Events(ctx, after) {
					if err != nil {
						return last, err
					}
					mu.Lock()
					got = append(got, ev.Name+" "+ev.To.String())
					mu.Unlock()
					last = ev.Seq
					if n++; n == most {
						break
					}
				}
				return last, nil
			}
			for i := range 3 {
				e.put(fmt.Sprint("before", i), schedule.After(0))
			}
			done := make(chan int64, 1)
			go func() {
				last, err := follow(0, 5)
				e.wantErr("Events", err, nil)
				done <- last
			}()
			synctest.Wait()
			mu.Lock()
			is(e, "events at once", len(got), 3)
			mu.Unlock()
			e.put("live", schedule.After(time.Minute))
			e.pass(time.Minute)
			e.put("cancelled", once(time.Hour))
			e.cancel("cancelled")
			last := <-done
			e.put("missed", schedule.After(0)) // while nobody listens
			e.kill()
			go func() {
				last, err := follow(last, 2)
				e.wantErr("Events", err, nil)
				done <- last
			}()
			synctest.Wait()
			e.put("after", schedule.After(0))
			e.pass(0)
			<-done
			is(e, "events", strings.Join(got[3:], ", "), "live done, cancelled cancelled, missed done, after done")
		},
	},
	{
		"StatsCountWhatHappened", "C2 K2", "the counters on the dashboard are wrong",
		func(e *env) {
			e.mail(func(ctx context.Context, a *duly.Attempt[[]byte]) error {
				switch a.Name {
				case "dead":
					return duly.Permanent(errOops)
				case "retried", "snoozed":
					if a.Number > 1 {
						return nil
					}
					if a.Name == "snoozed" {
						return duly.Snooze(time.Second)
					}
					return duly.RetryAfter(time.Second, errOops)
				case "cancelled":
					<-ctx.Done()
					return ctx.Err()
				case "runs":
					return e.sleep(ctx, time.Minute)
				}
				return nil
			})
			e.work()
			for _, name := range []string{"done", "dead", "retried", "snoozed", "cancelled", "runs"} {
				e.put(name, schedule.After(0))
			}
			e.put("pending", once(time.Hour))
			e.put("skips", schedule.Every(time.Second).Times(2).From(at(10*time.Second)), duly.Window(time.Millisecond))
			is(e, "cancel", e.cancelBy("cancelled", e.d.CancelRunning), duly.Running)
			e.pass(2 * time.Second)
			k := e.stats()
			is(e, "started", k.Started, 8)
			is(e, "succeeded", k.Succeeded, 3)
			is(e, "failed", k.Failed, 1)
			is(e, "snoozed", k.Snoozed, 1)
			is(e, "dead", k.Dead, 1)
			is(e, "cancelled", k.Cancelled, 1)
			is(e, "running", k.Running, 1)
			is(e, "early", k.Early, 0)
			is(e, "lateness that was counted", k.Total.Count, 8)
			st, err := e.d.Stats(e.ctx)
			e.wantErr("Stats", err, nil)
			is(e, "tasks", st.Store.Tasks, 3)
			is(e, "dead, as the store counts", st.Store.Dead, 1)
			is(e, "store errors", st.StoreErrors, 0)
			e.pass(time.Hour)
			is(e, "running", e.stats().Running, 0)
		},
	},
}
