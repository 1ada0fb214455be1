package timer_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/timer"
)

// Each test here holds a flaw of the five documents' own code out of the engine.

// Time passes between the driver's decision to sleep and its sleep: the deadline that it then sets is past, and wakes it.
func TestClockMovesBetweenCheckAndSleep(t *testing.T) {
	rows2Manual(t, timer.Options{}, func(t *testing.T, e *timer.Engine, m *clock.Manual) {
		tr := rows2ManualTrace(m)
		held := func(what string, act func()) {
			t.Helper()
			rows2Advance(t, m, time.Second) // no alarm is left from before
			trap := m.Trap(clock.CallSet)
			defer trap.Close()
			go act()
			h, err := trap.Wait(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if move := m.Advance(time.Minute); move.Left != 0 { // beyond what is about to be set
				t.Errorf("%s: the clock stopped at a deadline of %d alarms", what, move.Woken)
			}
			rows2Is(t, what, h.Release(t.Context()), nil)
			trap.Close()
			synctest.Wait()
		}
		held("by a caller", func() { _, _ = e.Put("delay", schedule.After(time.Second), tr.run(0)) })
		tr.want(t, "delay@1m1s")
		held("by a caller", func() { _, _ = e.Put("instant", schedule.At(epoch.Add(90*time.Second)), tr.run(0)) })
		tr.want(t, "instant@2m2s")

		rows2Advance(t, m, time.Second)
		rows2Put(t, e, "first", schedule.After(time.Second), tr.run(0))
		rows2Put(t, e, "second", schedule.After(2*time.Second), tr.run(0))
		trap := m.Trap(clock.CallSet)
		move := m.Advance(time.Second) // the driver takes the first and is held when it sets the alarm for the second
		h, err := trap.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		m.Advance(time.Minute)
		rows2Is(t, "by the driver", h.Release(t.Context()), nil)
		trap.Close()
		rows2Is(t, "move", move.Wait(t.Context()), nil)
		synctest.Wait()
		if got := tr.take(); len(got) != 2 || got[1] != "second@3m4s" {
			t.Errorf("what ran: got %q, want first, then second at 3m4s", got)
		}
	})
}

func TestEmptyThenAdd(t *testing.T) {
	rows2Bubble(t, timer.Options{}, func(t *testing.T, e *timer.Engine) {
		for i := range 1000 {
			sleep(time.Duration(i%20) * time.Hour) // nothing is pending
			if s := e.Stats(); s.Pending != 0 || s.Goroutines != 0 {
				t.Fatalf("round %d: %d pending, %d goroutines, want none", i, s.Pending, s.Goroutines)
			}
			tr := rows2NewTrace()
			if i%2 == 0 {
				rows2Put(t, e, "task", schedule.After(time.Duration(i)*time.Millisecond), tr.run(0))
			} else {
				e.AfterFunc(time.Duration(i)*time.Millisecond, func() { tr.note("task") })
			}
			sleep(time.Second)
			tr.want(t, "task@"+(time.Duration(i)*time.Millisecond).String())
		}
	})
}

// Close stops what is pending; it does not wait until that is due. contract: K1.
func TestStopStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, e := rows2NewTrace(), timer.New()
		rows2Put(t, e, "one-off", schedule.After(time.Hour), tr.run(0))
		rows2Put(t, e, "recurs", schedule.Every(time.Minute), tr.run(0))
		rows2Put(t, e, "instant", schedule.At(tr.start.Add(time.Hour)), tr.run(0))
		e.AfterFunc(time.Hour, func() { tr.note("timer") })
		sleep(90 * time.Second)
		tr.want(t, "recurs@1m0s")
		left, err := e.Close(t.Context())
		tr.note("closed")
		rows2Is(t, "close", err, nil)
		if diff := cmp.Diff([]string{"instant", "one-off", "recurs"}, rows2Names(left.NotRun())); diff != "" || left.Timers() != 1 {
			t.Errorf("%d timers, want 1; given back (-want +got):\n%s", left.Timers(), diff)
		}
		sleep(2 * time.Hour)
		tr.want(t, "closed@1m30s")
	})
}

// contract: E1, B1.
func TestCancelReAddRunsNewOnlyOnce(t *testing.T) {
	for _, first := range []time.Duration{200 * time.Millisecond, 300 * time.Millisecond, 400 * time.Millisecond} {
		rows2Bubble(t, timer.Options{}, func(t *testing.T, e *timer.Engine) {
			tr := rows2NewTrace()
			old := rows2Put(t, e, "task", schedule.After(first), func(context.Context) error { tr.note("OLD"); return nil })
			if c := e.Cancel("task"); c != timer.Cancelled {
				t.Errorf("cancel: got %v, want cancelled", c)
			}
			rows2Put(t, e, "task", schedule.After(300*time.Millisecond), func(context.Context) error { tr.note("NEW"); return nil })
			if c := old.Cancel(); c != timer.Finished {
				t.Errorf("cancel by the old handle: got %v, want finished", c)
			}
			sleep(time.Second)
			tr.want(t, "NEW@300ms")
		})
	}
}

// A second Put of a name does what it was told to; whichever comes due first, none vanishes. contract: B1.
func TestDuplicateNamePolicy(t *testing.T) {
	const early, late = 10 * time.Second, 20 * time.Second
	tests := []struct {
		name          string
		opts          []timer.Option
		first, second time.Duration // the second is put at 5 s
		want          string
		err           error
	}{
		{"default", nil, early, late, "new@25s", nil},
		{"default", nil, late, early, "new@15s", nil},
		{"Replace", []timer.Option{timer.OnConflict(timer.Replace)}, early, late, "new@25s", nil},
		{"Keep", []timer.Option{timer.OnConflict(timer.Keep)}, early, late, "old@10s", nil},
		{"Keep", []timer.Option{timer.OnConflict(timer.Keep)}, late, 0, "old@20s", nil},
		{"Fail", []timer.Option{timer.OnConflict(timer.Fail)}, early, late, "old@10s", timer.ErrExists},
		{"KeepTime", []timer.Option{timer.OnConflict(timer.KeepTime)}, early, late, "new@10s", nil},
		{"EarliestDue", []timer.Option{timer.OnConflict(timer.EarliestDue)}, early, late, "new@10s", nil},
		{"EarliestDue", []timer.Option{timer.OnConflict(timer.EarliestDue)}, late, early, "new@15s", nil},
		{"Debounce", []timer.Option{timer.OnConflict(timer.Debounce(time.Minute))}, early, late, "new@25s", nil},
		{"Debounce, at its limit", []timer.Option{timer.OnConflict(timer.Debounce(12 * time.Second))}, early, late, "new@12s", nil},
		{"IfAbsent", []timer.Option{timer.IfAbsent()}, early, late, "old@10s", timer.ErrExists},
		{"IfPending", []timer.Option{timer.IfPending()}, early, late, "new@25s", nil},
		{"IfGeneration of another", []timer.Option{timer.IfGeneration(1 << 40)}, early, late, "old@10s", timer.ErrCondition},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			rows2Bubble(t, timer.Options{}, func(t *testing.T, e *timer.Engine) {
				tr := rows2NewTrace()
				var opts []timer.Option
				if strings.HasPrefix(test.name, "Debounce") { // the burst begins with the first that says so
					opts = test.opts
				}
				rows2Put(t, e, "task", schedule.After(test.first), func(context.Context) error { tr.note("old"); return nil }, opts...)
				sleep(5 * time.Second)
				_, err := e.Put("task", schedule.After(test.second), func(context.Context) error { tr.note("new"); return nil }, test.opts...)
				rows2Is(t, "put", err, test.err)
				if n := e.Stats().Pending; n != 1 {
					t.Errorf("%d pending under one name, want 1", n)
				}
				sleep(time.Minute)
				tr.want(t, test.want)
			})
		})
	}
}

// rows2Payload is a task that cannot be compared, and panics as a map's key.
type rows2Payload struct {
	name string
	m    map[string]int
	f    func()
	s    []int
}

func (p rows2Payload) Name() string              { return p.name }
func (p rows2Payload) Run(context.Context) error { p.f(); return nil }

func TestTiesNeverComparePayload(t *testing.T) {
	rows2Bubble(t, timer.Options{Workers: 1}, func(t *testing.T, e *timer.Engine) {
		at := schedule.At(time.Now().Add(time.Second))
		ran := []string{}
		want := []string{}
		for i := range 200 {
			name := fmt.Sprint("task", i%100) // each twice: the second is put in the place of the first
			p := rows2Payload{name: name, m: map[string]int{}, f: func() { ran = append(ran, name) }, s: []int{i}}
			opts := []timer.Option{}
			if i%3 == 0 {
				opts = append(opts, timer.Track(), timer.Tags("t"))
			}
			if _, err := e.PutRunnable(p, at, opts...); err != nil {
				t.Fatal(err)
			}
			if i < 100 {
				want = append(want, name)
			}
		}
		if n := e.Stats().Pending; n != 100 {
			t.Errorf("%d pending, want 100", n)
		}
		sleep(time.Second)
		slices.Sort(ran)
		slices.Sort(want)
		if diff := cmp.Diff(want, ran); diff != "" {
			t.Errorf("what ran (-want +got):\n%s", diff)
		}
	})
}

func TestFailedAddLeavesNoTrace(t *testing.T) {
	tests := []struct {
		name string
		want error
		add  func(*timer.Engine) error
	}{
		{"bad option", timer.ErrInvalid, func(e *timer.Engine) error {
			_, err := e.Put("new", schedule.After(1), rows2Nothing, timer.Timeout(-1))
			return err
		}},
		{"bad schedule", timer.ErrInvalid, func(e *timer.Engine) error { _, err := e.Put("new", schedule.Every(0), rows2Nothing); return err }},
		{"nil", timer.ErrInvalid, func(e *timer.Engine) error { _, err := e.Put("new", schedule.After(1), nil); return err }},
		{"full, plain", timer.ErrFull, func(e *timer.Engine) error { _, err := e.Put("new", schedule.After(1), rows2Nothing); return err }},
		{"full, tracked", timer.ErrFull, func(e *timer.Engine) error {
			_, err := e.Put("new", schedule.After(1), rows2Nothing, timer.Track())
			return err
		}},
		{"exists", timer.ErrExists, func(e *timer.Engine) error {
			_, err := e.Put("old", schedule.After(1), rows2Nothing, timer.IfAbsent())
			return err
		}},
		{"condition", timer.ErrCondition, func(e *timer.Engine) error {
			_, err := e.Put("new", schedule.After(1), rows2Nothing, timer.IfPending())
			return err
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			rows2Bubble(t, timer.Options{MaxPending: 1}, func(t *testing.T, e *timer.Engine) {
				tr := rows2NewTrace()
				old := rows2Put(t, e, "old", schedule.After(time.Hour), tr.run(0))
				before := old.Info()
				for range 100 {
					rows2Is(t, "put", test.add(e), test.want)
				}
				if _, found := e.Find("new"); found || e.Stats().Pending != 1 || old.Generation() != before.Generation || !old.Next().Equal(before.ScheduledFor) {
					t.Errorf("found the refused: %v, %d pending; the other is now %+v, was %+v", found, e.Stats().Pending, old.Info(), before)
				}
				sleep(2 * time.Hour)
				rows2Put(t, e, "new", schedule.After(time.Second), tr.run(0)) // the name, and the place, are free
				sleep(time.Minute)
				tr.want(t, "old@1h0m0s", "new@2h0m1s")
			})
		})
	}
}

// contract: A7.
func TestNilRejectedAtAdd(t *testing.T) {
	rows2Bubble(t, timer.Options{Logger: rows2Discard()}, func(t *testing.T, e *timer.Engine) {
		tr := rows2NewTrace()
		var typed *rows2Payload
		var fn timer.Handler
		now := schedule.After(0)
		for i, add := range []func() error{
			func() error { _, err := e.Put("nil", now, nil); return err },
			func() error { _, err := e.Put("nil", now, fn, timer.Track()); return err },
			func() error { _, err := e.Put("nil", now, timer.Plain(nil)); return err },
			func() error { _, err := e.PutRunnable(nil, now); return err },
			func() error { _, err := e.PutRunnable(typed, now); return err },
			func() error { _, err := e.PutRunnable(timer.Func("nil", nil), now); return err },
			func() error { return e.AfterFunc(0, nil).Err() },
		} {
			rows2Is(t, fmt.Sprint("add ", i), add(), timer.ErrInvalid)
		}
		// What is empty is not nil.
		_, err := e.PutRunnable(rows2Empty{}, now)
		rows2Is(t, "an empty struct", err, nil)
		_, err = e.PutRunnable(rows2Slice{}, now)
		rows2Is(t, "an empty slice", err, nil)
		sleep(0)
		if f := e.Stats().Fires; f != 2 || e.Stats().Pending != 0 {
			t.Errorf("%d ran, %d pending, want 2 and 0", f, e.Stats().Pending)
		}
		tr.want(t)
	})
}

type (
	rows2Empty struct{}
	rows2Slice []int
)

func (rows2Empty) Name() string              { return "empty struct" }
func (rows2Empty) Run(context.Context) error { return nil }
func (rows2Slice) Name() string              { return "empty slice" }
func (rows2Slice) Run(context.Context) error { return nil }

// contract: E1, E4.
func TestCancelRunningReturnsFalse(t *testing.T) {
	rows2Bubble(t, timer.Options{}, func(t *testing.T, e *timer.Engine) {
		for _, opts := range [][]timer.Option{nil, {timer.Track()}} {
			var ended error
			task := rows2Put(t, e, "once", schedule.After(0), func(ctx context.Context) error {
				time.Sleep(time.Second)
				ended = ctx.Err()
				return ended
			}, opts...)
			sleep(500 * time.Millisecond)
			for _, c := range []timer.CancelResult{e.Cancel("once"), task.Cancel(), e.Cancel("once")} {
				if c != timer.Running || c.Prevented() {
					t.Errorf("cancel of a running task: got %v, prevented %v, want running, false", c, c.Prevented())
				}
			}
			sleep(time.Second)
			if ended != nil {
				t.Errorf("the cancel reached the handler's context: %v", ended)
			}
			if byName, byHandle := e.Cancel("once"), task.Cancel(); byName != timer.Unknown || byHandle != timer.Finished {
				t.Errorf("cancel afterwards: got %v and %v, want unknown and finished", byName, byHandle)
			}
		}
		runs := 0
		task := rows2Put(t, e, "recurs", schedule.Every(time.Second), func(context.Context) error { runs++; time.Sleep(time.Second / 2); return nil })
		sleep(1250 * time.Millisecond)
		if c := task.Cancel(); c != timer.CancelledStillRuns || !c.Prevented() {
			t.Errorf("cancel of a recurring task in its run: got %v, want cancelled, still runs", c)
		}
		sleep(time.Minute)
		if _, found := e.Find("recurs"); found || e.Stats().Pending != 0 {
			t.Errorf("after its last run the cancelled is found: %v, %d pending, want neither", found, e.Stats().Pending)
		}
		rows2Is(t, "wait", task.Wait(t.Context()), nil)
		if runs != 1 || task.State() != timer.StateCancelled {
			t.Errorf("%d runs, %v, want 1, cancelled", runs, task.State())
		}
	})
}

// contract: B2, B3.
func TestReAddInsideRunSurvives(t *testing.T) {
	for _, opts := range [][]timer.Option{nil, {timer.Track()}, {timer.Key("k", 1)}} {
		rows2Bubble(t, timer.Options{}, func(t *testing.T, e *timer.Engine) {
			tr, n := rows2NewTrace(), 0
			var handler timer.Handler
			handler = func(context.Context) error {
				tr.note("task")
				if n++; n < 4 {
					rows2Put(t, e, "task", schedule.After(time.Second), handler, opts...)
				}
				time.Sleep(time.Duration(n) * 600 * time.Millisecond) // the later runs outlast the new task's delay
				return nil
			}
			rows2Put(t, e, "task", schedule.After(time.Second), handler, opts...)
			sleep(1900 * time.Millisecond) // the first run has ended
			if task, ok := e.Find("task"); !ok || task.State() != timer.StatePending || e.Stats().Pending != 1 {
				t.Errorf("found %v, %d pending, want the new task", ok, e.Stats().Pending)
			}
			sleep(time.Minute)
			tr.want(t, "task@1s", "task@2s", "task@3.2s", "task@5s")
			if n := e.Stats().Pending; n != 0 {
				t.Errorf("%d pending, want 0", n)
			}
		})
	}
}
