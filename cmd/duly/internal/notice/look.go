package notice

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/target"
)

const (
	leastLook = time.Second
	mostLook  = time.Minute
	pageLook  = 256
	pagesLook = 16 // in one look: the next one goes on behind them
	asksLook  = 64 // tasks of which is asked why, in one look
)

// every is how often it is looked at what is due and has not begun.
func (t *teller) every() time.Duration { return min(max(t.o.Late/2, leastLook), mostLook) }

// look looks for a task that is due for too long and has not begun, and makes it the next message. What is held back is not counted: if it
// still waits it is seen again, and if it begins the history tells.
func (t *teller) look(ctx context.Context, now time.Time) {
	t.lookAt = now.Add(t.every())
	t.state.forget(now, t.o.Interval)
	clk, err := t.o.Scheduler.Store().Clock(ctx)
	if err != nil {
		return // whoever reads the history says so
	}
	until := clk.Now.Add(-t.o.Late)
	asks := 0
	for range pagesLook {
		page, err := t.o.Scheduler.Store().Due(ctx, store.DueQuery{After: t.looking, Until: until, Limit: pageLook})
		if err != nil {
			return
		}
		for _, task := range page.Tasks {
			if len(t.state.Told) >= t.o.Limit || asks == asksLook {
				return
			}
			t.looking = store.Cursor{At: task.Position(), Key: task.Key}
			n := t.overdue(task, until, clk.Now)
			if n == nil || t.state.judge(n, now, t.o.Interval, t.o.Limit) != tell {
				continue
			}
			asks++
			if n.Why = t.why(ctx, task.Key); n.Why != "" {
				n.Text += ": " + n.Why
				t.slot = &message{Notice: n, begun: now}
				t.lookAt = now
				return
			}
		}
		if !page.More {
			t.looking = store.Cursor{}
			return
		}
	}
}

// overdue tells of a task something of which has been due since until, or before, and has not begun; nil if nothing has.
func (t *teller) overdue(task *store.Task, until, now store.Instant) *Notice {
	if task.Paused() {
		return nil
	}
	due, run, attempt := store.Never, store.RunID{Key: task.Key}, 0
	if !task.Next.None() && !task.Ended {
		due, run.Generation, run.For, attempt = task.Next.Due, task.Generation, task.Next.For, 1
	}
	for i := range task.Runs {
		if r := &task.Runs[i]; r.State == store.Pending && r.Due < due {
			due, run, attempt = r.Due, r.ID(task.Key), int(r.Attempt)+1
		}
	}
	since := store.At(t.since(task.Key, due.Time()))
	if due == store.Never || since > until {
		return nil
	}
	lateness := target.Duration(now.Sub(since))
	return &Notice{
		ID: lateID(run.String(), attempt), What: Late, Daemon: t.o.Daemon, Namespace: task.Namespace, Name: task.Name, Kind: task.Kind, RunID: run.String(),
		ScheduledFor: instant(run.For.Time()), DueAt: instant(due.Time()), At: now.Time().UTC(), Attempts: attempt - 1, Lateness: &lateness,
		Text: fmt.Sprintf("%s has not begun %v after it was due", strconv.Quote(shortName(task.Namespace, task.Name)), lateness),
	}
}

// waiting are the reasons for which what is due has not begun, and should have.
var waiting = []duly.WhyCode{
	duly.WhyNoHandler, duly.WhyNotAtWork, duly.WhyKeyLimit, duly.WhyKindLimit, duly.WhyWorkers, duly.WhySuspect, duly.WhyStore, duly.WhyElsewhere,
	duly.WhyStarting,
}

// why says what a task waits for; "" if that is what it is meant to, or if it has begun.
func (t *teller) why(ctx context.Context, key store.Key) string {
	w, err := t.o.Scheduler.In(key.Namespace).WhyNot(ctx, key.Name)
	if err != nil {
		return ""
	}
	if slices.Contains(waiting, w.Code) {
		return t.shown(w.Text)
	}
	return ""
}
