package timer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/timer"
)

// contract: E1, E4. What Cancel answers in every state, by name and by handle, and what runs afterwards.
func TestContract_E1_CancelInEveryState(t *testing.T) {
	const (
		un = timer.Unknown
		ca = timer.Cancelled
		cs = timer.CancelledStillRuns
		ru = timer.Running
		fi = timer.Finished
	)
	want := map[string]struct {
		name, handle timer.CancelResult // two calls of each
		again        timer.CancelResult
		ran          string
	}{
		"absent":          {un, fi, un, ""},
		"plain":           {ca, ca, un, ""},
		"tracked":         {ca, ca, un, ""},
		"paused":          {ca, ca, un, ""},
		"ready":           {ca, ca, un, ""},
		"keyed":           {ca, ca, un, ""},
		"held":            {ca, ca, un, ""},
		"running":         {ru, ru, ru, ""},
		"recurring":       {ca, ca, un, ""},
		"recurring, runs": {cs, cs, un, ""},
		"pace, runs":      {cs, cs, un, ""},
		"last, runs":      {ru, ru, ru, ""},
		"cancelled, runs": {un, fi, un, ""},
		"done":            {un, fi, un, ""},
		"dead":            {un, fi, un, ""},
		"cancelled":       {un, fi, un, ""},
		"expired":         {un, fi, un, ""},
	}
	for _, st := range ctStates {
		for _, by := range []string{"name", "handle"} {
			t.Run(st.name+" by "+by, func(t *testing.T) {
				ctBubble(t, st.opts, func(t *testing.T, w *ct) {
					c, ok := want[st.name]
					if !ok {
						t.Fatal("no such row")
					}
					st.bring(w)
					w.pass(time.Until(w.t0.Add(10 * time.Second)))
					w.told()
					task, _ := w.Find("a")
					answer, again := c.name, c.again
					cancel := func() timer.CancelResult { return w.Cancel("a") }
					if by == "handle" {
						answer, again, cancel = c.handle, c.again, task.Cancel
						if again == un {
							again = fi
						}
					}
					ctEqual(t, "cancel", cancel(), answer)
					ctEqual(t, "again", cancel(), again)
					w.pass(5 * time.Minute)
					ctEqual(t, "ran", strings.Join(w.told(), ", "), c.ran)
					ctEqual(t, "after the end, by name", w.Cancel("a"), un)
					ctEqual(t, "after the end, by handle", task.Cancel(), fi)
					ctEqual(t, "pending", w.Stats().Pending, 0)
				})
			})
		}
	}
}

// contract: E1. Invariant 5. Of Cancel and start exactly one wins, however close they come; four kinds of tasks.
func TestContract_E1_OneOfCancelAndStartWins(t *testing.T) {
	e := timer.New()
	const rounds = 3000
	var started, prevented, late atomic.Int64
	var group sync.WaitGroup
	for i := range rounds {
		name := fmt.Sprint("t", i)
		var begun atomic.Int64
		fn := func(context.Context) error {
			begun.Add(1)
			started.Add(1)
			return nil
		}
		s, opts := schedule.After(time.Duration(i%7)*50*time.Microsecond), []timer.Option(nil)
		switch i % 4 {
		case 1:
			opts = []timer.Option{timer.Track()}
		case 2:
			opts = []timer.Option{timer.Key("k", 2)}
		case 3:
			s = schedule.Every(time.Duration(1+i%5) * 50 * time.Microsecond).Times(1)
		}
		task, err := e.Put(name, s, fn, opts...)
		if err != nil {
			t.Fatal(err)
		}
		group.Go(func() {
			time.Sleep(time.Duration(i%5) * 50 * time.Microsecond) // any moment will do
			c := task.Cancel()
			if c.Prevented() {
				prevented.Add(1)
			} else {
				late.Add(1)
			}
			_ = task.Wait(t.Context())
			if n := begun.Load(); (n == 1) == (c == timer.Cancelled) || n > 1 {
				t.Errorf("cancel said %v, and %d runs began", c, n)
			}
		})
	}
	group.Wait()
	_, err := e.Close(t.Context())
	ctIs(t, "close", err, nil)
	ctEqual(t, "started or prevented", started.Load()+prevented.Load(), int64(rounds))
	ctEqual(t, "too late", late.Load(), started.Load())
}

// contract: E2. Cancel of a run under way changes nothing about it.
func TestContract_E2_CancelOfARunIsIgnored(t *testing.T) {
	boom := errors.New("boom")
	epoch := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // when bubbles begin
	for _, c := range []struct {
		name string
		s    schedule.Schedule
		err  error
		want timer.State
		last error
	}{
		{"success", schedule.After(0), nil, timer.StateDone, nil},
		{"failure", schedule.After(0), boom, timer.StateDead, boom},
		{"recurring, success", schedule.Every(time.Minute).From(epoch), nil, timer.StateCancelled, timer.ErrCancelled},
		{"recurring, failure", schedule.Every(time.Minute).From(epoch), boom, timer.StateCancelled, boom},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctBubble(t, timer.Options{}, func(t *testing.T, w *ct) {
				task := w.put("a", c.s, func(ctx context.Context) error {
					w.note("ran")
					time.Sleep(10 * time.Second)
					if ctx.Err() != nil {
						t.Errorf("the run was asked to stop: %v", context.Cause(ctx))
					}
					return c.err
				}, timer.Track())
				w.pass(time.Second)
				task.Cancel()
				ctEqual(t, "while it runs", task.State(), timer.StateRunning)
				ctIs(t, "wait", task.Wait(t.Context()), nil)
				ctEqual(t, "waited", w.now(), 10*time.Second)
				ctEqual(t, "state", task.State(), c.want)
				ctEqual(t, "error", task.Err(), c.last)
				w.pass(time.Hour)
				w.want("0s ran")
			})
		})
	}
}

// contract: E3. CancelRunning ends the context of the runs under way, and of nothing else.
func TestContract_E3_CancelRunning(t *testing.T) {
	for _, c := range []struct {
		name  string
		err   func(ctx context.Context) error
		state timer.State
	}{
		{"heeds it", context.Cause, timer.StateCancelled},
		{"heeds it without an error", func(context.Context) error { return nil }, timer.StateDone},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctBubble(t, timer.Options{}, func(t *testing.T, w *ct) {
				task := w.put("a", schedule.After(time.Second), func(ctx context.Context) error {
					select {
					case <-ctx.Done():
						w.note(context.Cause(ctx).Error())
						return c.err(ctx)
					case <-time.After(time.Hour):
						return nil
					}
				}, timer.Track())
				ctEqual(t, "nothing runs", task.CancelRunning(), 0)
				w.pass(2 * time.Second)
				ctEqual(t, "asked", task.CancelRunning(), 1)
				w.pass(time.Second)
				ctEqual(t, "state", task.State(), c.state)
				w.want("2s " + timer.ErrCancelled.Error())
				ctEqual(t, "nothing runs any more", task.CancelRunning(), 0)
			})
		})
	}
}

// contract: E3. A run that ignores its context goes on, and the call can wait for it; the schedule is not touched.
func TestContract_E3_CancelRunningIsBestEffort(t *testing.T) {
	ctBubble(t, timer.Options{}, func(t *testing.T, w *ct) {
		task := w.put("a", schedule.Every(20*time.Second).Times(2), w.takes("ran", 10*time.Second))
		w.pass(21 * time.Second)
		ctEqual(t, "asked", task.CancelRunning(), 1)
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		result, err := task.CancelWait(short)
		ctEqual(t, "cancel", result, timer.CancelledStillRuns)
		ctIs(t, "a wait that ends first", err, context.DeadlineExceeded)
		result, err = task.CancelWait(t.Context())
		ctEqual(t, "cancel", result, timer.Finished)
		ctIs(t, "wait", err, nil)
		ctEqual(t, "waited until", w.now(), 30*time.Second)
		w.pass(time.Minute)
		w.want("20s ran")
	})
	ctBubble(t, timer.Options{}, func(t *testing.T, w *ct) { // the schedule goes on
		task := w.put("a", schedule.Every(20*time.Second).Times(2), func(ctx context.Context) error {
			w.note("ran")
			<-ctx.Done()
			return ctx.Err()
		})
		w.pass(21 * time.Second)
		task.CancelRunning()
		w.pass(20 * time.Second)
		task.CancelRunning()
		w.pass(time.Minute)
		w.want("20s ran", "40s ran")
		ctEqual(t, "state", task.State(), timer.StateDone)
	})
}

// contract: E3. A timeout is a failure, not somebody's wish.
func TestContract_E3_ATimeoutIsAFailure(t *testing.T) {
	ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
		task := w.put("a", schedule.After(0), func(ctx context.Context) error {
			<-ctx.Done()
			w.note(ctx.Err().Error())
			return context.Cause(ctx)
		}, timer.Timeout(3*time.Second))
		w.pass(time.Minute)
		w.want("3s " + context.DeadlineExceeded.Error())
		ctEqual(t, "state", task.State(), timer.StateDead)
		ctEqual(t, "error", task.Err(), timer.ErrTimeout)
		ctEqual(t, "error", task.Err(), context.DeadlineExceeded)
	})
}

// contract: E4. After the cancel of a recurring name, the name is free, and a new task of it waits for the run under way.
func TestContract_E4_CancelEndsTheSchedule(t *testing.T) {
	for _, s := range []schedule.Schedule{
		schedule.Every(10 * time.Second), schedule.Pace(10 * time.Second), schedule.PaceFromStart(10 * time.Second),
	} {
		t.Run(s.String(), func(t *testing.T) {
			ctBubble(t, timer.Options{}, func(t *testing.T, w *ct) {
				w.put("a", s, w.takes("old", 5*time.Second))
				w.pass(12 * time.Second)
				ctEqual(t, "cancel", w.Cancel("a"), timer.CancelledStillRuns)
				ctEqual(t, "again", w.Cancel("a"), timer.Unknown)
				_, found := w.Find("a")
				ctEqual(t, "found", found, false)
				w.put("a", schedule.After(0), w.logs("new"))
				ctEqual(t, "cancel the new one", w.Cancel("a"), timer.Cancelled)
				w.put("a", schedule.After(0), w.logs("new"))
				w.pass(time.Minute)
				w.want("10s old", "15s new")
			})
		})
	}
}

// contract: E5. Move in every state: what it says, and when the old handler then runs.
func TestContract_E5_MoveInEveryState(t *testing.T) {
	want := map[string]struct {
		name, handle error
		ran          string
	}{
		"absent":          {timer.ErrUnknown, timer.ErrFinished, ""},
		"plain":           {nil, nil, "30s old"},
		"tracked":         {nil, nil, "30s old"},
		"paused":          {nil, nil, ""},
		"ready":           {nil, nil, "30s old"},
		"keyed":           {nil, nil, "30s old"},
		"held":            {nil, nil, "30s old"},
		"running":         {timer.ErrRunning, timer.ErrRunning, ""},
		"recurring":       {nil, nil, "30s old"},
		"recurring, runs": {nil, nil, "30s old"},
		"pace, runs":      {nil, nil, "30s old"},
		"last, runs":      {timer.ErrRunning, timer.ErrRunning, ""},
		"cancelled, runs": {timer.ErrUnknown, timer.ErrFinished, ""},
		"done":            {timer.ErrUnknown, timer.ErrFinished, ""},
		"dead":            {timer.ErrUnknown, timer.ErrFinished, ""},
		"cancelled":       {timer.ErrUnknown, timer.ErrFinished, ""},
		"expired":         {timer.ErrUnknown, timer.ErrFinished, ""},
	}
	for _, st := range ctStates {
		for _, by := range []string{"name", "handle"} {
			t.Run(st.name+" by "+by, func(t *testing.T) {
				ctBubble(t, st.opts, func(t *testing.T, w *ct) {
					c, ok := want[st.name]
					if !ok {
						t.Fatal("no such row")
					}
					st.bring(w)
					w.pass(time.Until(w.t0.Add(10 * time.Second)))
					w.told()
					task, found := w.Find("a")
					gen, before := task.Generation(), w.ctBooks()
					var err error
					if by == "handle" {
						err = task.Move(schedule.After(20 * time.Second))
						ctIs(t, "move", err, c.handle)
					} else {
						err = w.Move("a", schedule.After(20*time.Second))
						ctIs(t, "move", err, c.name)
					}
					if err != nil {
						ctEqual(t, "books", w.ctBooks(), before)
					} else if found {
						ctEqual(t, "a new generation", task.Generation() > gen, true)
						ctEqual(t, "next", task.Next(), w.wall(30*time.Second))
						now, _ := w.Find("a")
						ctEqual(t, "the same task", now.Generation(), task.Generation())
					}
					w.pass(5 * time.Minute)
					ctEqual(t, "ran", strings.Join(w.told(), ", "), c.ran)
				})
			})
		}
	}
}

// contract: E5. A recurring task that was moved to a single instant while it runs has a start ahead: it can be cancelled,
// moved, kept and asked about.
func TestContract_E5_MoveOfARunningScheduleToOneInstant(t *testing.T) {
	ctBubble(t, timer.Options{}, func(t *testing.T, w *ct) {
		task := w.put("a", schedule.Every(10*time.Second), w.takes("ran", 5*time.Second))
		w.pass(11 * time.Second)
		ctIs(t, "move", task.Move(schedule.After(time.Minute)), nil)
		ctIs(t, "move again", task.Move(schedule.After(2*time.Second)), nil)
		ctEqual(t, "next", task.Next(), w.wall(13*time.Second))
		w.put("a", schedule.After(0), w.takes("kept", time.Second), timer.OnConflict(timer.KeepTime))
		w.pass(time.Minute)
		w.want("10s ran", "15s kept")
		task = w.put("a", schedule.Every(10*time.Second), w.takes("again", 5*time.Second))
		w.pass(11 * time.Second)
		ctIs(t, "move", task.Move(schedule.After(time.Minute)), nil)
		ctEqual(t, "cancel", task.Cancel().Prevented(), true)
		w.pass(time.Hour)
		ctEqual(t, "runs", len(w.told()), 1)
	})
}

// Timeouts end contexts, hold for each run, are no pending tasks, and leave nothing behind.
func TestContract_Timeouts(t *testing.T) {
	ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
		gate := make(chan struct{})
		task := w.put("a", schedule.Every(time.Minute).Times(2), func(ctx context.Context) error {
			deadline, ok := ctx.Deadline()
			w.note(fmt.Sprint("until ", deadline.Sub(w.t0), " ", ok))
			select {
			case <-ctx.Done():
				w.note(fmt.Sprint(ctx.Err(), ", ", errors.Is(context.Cause(ctx), timer.ErrTimeout)))
				return context.Cause(ctx)
			case <-gate:
				return nil
			}
		}, timer.Timeout(10*time.Second))
		w.pass(time.Minute)
		w.want("1m0s until 1m10s true")
		next, ok := w.NextDue()
		ctEqual(t, "due next is a task, not a timeout", []any{next, ok, w.Stats().Pending}, []any{time.Time{}, false, 1})
		w.pass(10*time.Second - 1)
		w.want()
		w.pass(1)
		w.want("1m10s context deadline exceeded, true")
		next, ok = w.NextDue()
		ctEqual(t, "due next", []any{next, ok, w.Stats().Pending}, []any{w.wall(2 * time.Minute), true, 1})
		close(gate)
		w.pass(time.Minute)
		w.want("2m0s until 2m10s true")
		ctEqual(t, "state", task.State(), timer.StateDone)
		ctEqual(t, "pending", w.Stats().Pending, 0)
	})
	ctBubble(t, timer.Options{}, func(t *testing.T, w *ct) { // a handler that ignores it runs on, and holds its place
		task := w.put("a", schedule.After(0), w.takes("a", time.Minute), timer.Timeout(time.Second), timer.Key("k", 1))
		w.pass(time.Second)
		w.put("b", schedule.After(0), w.logs("b"), timer.Key("k", 1))
		w.pass(time.Second)
		ctEqual(t, "pending", w.Stats().Pending, 1)
		w.pass(time.Hour)
		w.want("0s a", "1m0s b")
		ctEqual(t, "nothing was reported as an error", []any{task.State(), task.Err()}, []any{timer.StateDone, nil})
	})
}

// Hooks come in the order in which things happened; a slow one delays hooks and nothing else; one that panics ends nothing.
func TestContract_Hooks(t *testing.T) {
	var w *ct
	hook := func(ev timer.Event) {
		time.Sleep(100 * time.Second) // of the bubble's time, in which the tasks run as well
		w.mu.Lock()
		w.lines = append(w.lines, strings.TrimSpace(fmt.Sprint(ev.At.Sub(w.t0), " ", ev.Kind, " ", ev.Name, " ", ev.Reason)))
		w.mu.Unlock()
		panic("hooks may")
	}
	o := timer.Options{Hooks: timer.Hooks{Scheduled: hook, Started: hook, Finished: hook, Failed: hook, Skipped: hook, Cancelled: hook}}
	ctBubble(t, o, func(t *testing.T, world *ct) {
		w = world
		var ran []time.Duration
		runs := func(err error) timer.Handler {
			return func(context.Context) error { ran = append(ran, w.now()); return err }
		}
		w.put("a", schedule.After(time.Second), runs(nil))
		w.put("a", schedule.After(2*time.Second), runs(nil), timer.Track()) // replaced
		w.put("b", schedule.After(3*time.Second), runs(errors.New("no")))
		w.put("c", schedule.Every(4*time.Second), func(context.Context) error { time.Sleep(5 * time.Second); return nil })
		w.put("d", schedule.After(time.Hour), runs(nil))
		ctIs(t, "move", w.Move("d", schedule.After(2*time.Hour)), nil)
		w.pass(10 * time.Second)
		w.Cancel("c")
		w.Cancel("d")
		ctEqual(t, "tasks ran on time", ran, []time.Duration{2 * time.Second, 3 * time.Second})
		w.pass(time.Hour)
		w.want("0s scheduled a", "0s cancelled a replaced", "0s scheduled a", "0s scheduled b", "0s scheduled c", "0s scheduled d",
			"0s scheduled d moved", "2s started a", "2s finished a", "3s started b", "3s failed b", "4s started c",
			"9s finished c", "9s skipped c overlap", "10s cancelled c", "10s cancelled d")
	})
}

// Hooks are told of plain tasks what they are told of others: replaced, cancelled, dropped by Close.
func TestContract_HooksOfPlainTasks(t *testing.T) {
	for _, opts := range [][]timer.Option{nil, {timer.Track()}} {
		var mu sync.Mutex
		var got []string
		hook := func(ev timer.Event) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, strings.TrimSpace(fmt.Sprint(ev.Kind, " ", ev.Name, " ", ev.Reason)))
		}
		o := timer.Options{Workers: 1, Hooks: timer.Hooks{Scheduled: hook, Started: hook, Finished: hook, Cancelled: hook}}
		ctByHand(t, o, func(_ *testing.T, w *ct) {
			w.put("a", schedule.After(time.Second), w.logs("a"), opts...)
			w.put("a", schedule.After(2*time.Second), w.logs("a"), opts...)
			w.put("b", schedule.After(time.Minute), w.logs("b"), opts...)
			w.Cancel("b")
			w.put("c", schedule.After(time.Hour), w.logs("c"), opts...)
			w.pass(time.Minute)
		})
		ctEqual(t, "told", got, []string{
			"scheduled a", "cancelled a replaced", "scheduled a", "scheduled b", "cancelled b", "scheduled c", "started a",
			"finished a", "cancelled c closed",
		})
	}
}
