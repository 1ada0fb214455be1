package timer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/timer"
)

// rows2Await waits for a channel on the real clock, for as long as only a hang takes.
func rows2Await(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		buf := make([]byte, 1<<20)
		t.Fatalf("%s: hangs\n%s", what, buf[:runtime.Stack(buf, true)])
	}
}

// A callback may call everything of its own engine: no lock is held while it runs. On the real clock, so that a deadlock
// is told from waiting.
func TestReentrantFromCallback(t *testing.T) {
	var e *timer.Engine
	var other timer.Task
	var unnamed timer.Timer
	everything := func(t *testing.T, ctx context.Context, self string) {
		day := schedule.After(24 * time.Hour)
		for _, name := range []string{self, self + "/other"} {
			task := rows2Put(t, e, name, day, rows2Nothing, timer.OnConflict(timer.Keep))
			_, _ = e.PutRunnable(timer.Func(name, rows2Nothing), day, timer.OnConflict(timer.KeepTime))
			_ = e.Move(name, schedule.Every(time.Hour))
			_ = task.Move(day)
			_, _ = e.Find(name)
			_, _ = e.Pause(timer.Named(name), "why")
			_, _ = e.Resume(timer.Named(name))
			_ = []any{task.Name(), task.State(), task.Err(), task.Runs(), task.Next(), task.Period(), task.Generation(), task.Info(), task.Done()}
			task.CancelRunning()
		}
		_, _ = e.RunNow(timer.Prefix(self+"/"), "")
		for info := range e.Tasks(timer.AllTasks()) {
			_, _ = e.Put(info.Name+"/again", day, rows2Nothing) // also while the listing goes on
			e.Cancel(info.Name + "/again")
		}
		e.AfterFunc(0, func() {})
		unnamed.Reset(time.Hour)
		unnamed.Stop()
		_, _ = e.NextDue()
		_ = []any{e.Stats(), e.Name(), e.Err(), e.Start()}
		e.Cancel(self)
		e.Cancel(self + "/other")
		other.Cancel()
		ended, cancel := context.WithCancel(ctx)
		cancel()
		_ = e.Wait(ended, timer.AllTasks())
		_ = other.Wait(ended)
		_, _ = other.CancelWait(ended)
	}
	check := func(name string, o timer.Options, arm func(t *testing.T, called func(context.Context))) {
		t.Run(name, func(t *testing.T) {
			done := make(chan struct{})
			var once sync.Once
			called := func(ctx context.Context) {
				once.Do(func() {
					defer close(done)
					everything(t, ctx, "self")
				})
			}
			o := o
			switch name {
			case "hook":
				o.Hooks.Started = func(timer.Event) { called(t.Context()) }
			case "panic handler":
				o.OnPanic = func(timer.Panic) { called(t.Context()) }
			case "logger":
				o.Logger = slog.New(slog.NewTextHandler(rows2Writer(func() { called(t.Context()) }), nil))
			}
			e = timer.New(o)
			other = rows2Put(t, e, "pending", schedule.After(time.Hour), rows2Nothing)
			unnamed = e.AfterFunc(time.Hour, func() {})
			arm(t, called)
			rows2Await(t, name, done)
			rows2Close(t, e)
		})
	}
	task := func(opts ...timer.Option) func(*testing.T, func(context.Context)) {
		return func(t *testing.T, called func(context.Context)) {
			t.Helper()
			rows2Put(t, e, "self", schedule.Every(time.Millisecond), func(ctx context.Context) error { called(ctx); return nil }, opts...)
		}
	}
	panics := func(t *testing.T, _ func(context.Context)) {
		t.Helper()
		rows2Put(t, e, "self", schedule.After(0), func(context.Context) error { panic("of a test") })
	}
	check("task", timer.Options{}, task())
	check("task of a single worker", timer.Options{Workers: 1}, task())
	check("task with everything", timer.Options{MaxPending: 100}, task(timer.Key("k", 1), timer.Timeout(time.Hour), timer.Overlap(timer.CancelOther)))
	check("unnamed timer", timer.Options{}, func(t *testing.T, called func(context.Context)) { e.AfterFunc(0, func() { called(t.Context()) }) })
	check("hook", timer.Options{}, task())
	check("panic handler", timer.Options{}, panics)
	check("logger", timer.Options{}, panics)

	t.Run("ends", func(t *testing.T) { // Drain and Close from a handler do not wait for it
		done := make(chan struct{})
		e := timer.New()
		rows2Put(t, e, "self", schedule.After(0), func(ctx context.Context) error {
			defer close(done)
			_, err := e.Drain(ctx)
			rows2Is(t, "drain", err, timer.ErrSelfWait)
			_, err = e.Close(ctx)
			rows2Is(t, "close", err, timer.ErrSelfWait)
			_, err = e.Put("more", schedule.After(0), rows2Nothing)
			rows2Is(t, "put", err, timer.ErrClosed)
			return nil
		})
		rows2Await(t, "close", done)
		rows2Close(t, e)
	})
}

// What each call finds in each state, and what it leaves. contract: E1, E4, E5, B3.
func TestStateMachine(t *testing.T) {
	hour := schedule.After(time.Hour)
	short := func(err error) string { // the last of the wrapped texts
		if err == nil {
			return "ok"
		}
		for errors.Unwrap(err) != nil {
			err = errors.Unwrap(err)
		}
		return err.Error()
	}
	calls := []struct {
		name string
		call func(*timer.Engine, timer.Task) string
	}{
		{"cancel", func(_ *timer.Engine, task timer.Task) string { return task.Cancel().String() }},
		{"by name", func(e *timer.Engine, _ timer.Task) string { return e.Cancel("task").String() }},
		{"move", func(_ *timer.Engine, task timer.Task) string { return short(task.Move(hour)) }},
		{"put", func(e *timer.Engine, _ timer.Task) string {
			_, err := e.Put("task", schedule.After(2*time.Hour), rows2Nothing)
			return short(err)
		}},
		{"run now", func(e *timer.Engine, _ timer.Task) string {
			n, err := e.RunNow(timer.Named("task"), "")
			return fmt.Sprint(n, " ", short(err))
		}},
		{"fire", func(*timer.Engine, timer.Task) string { time.Sleep(90 * time.Minute); return "" }},
	}
	blocks := func(ctx context.Context) error { <-ctx.Done(); return nil }
	fails := func(context.Context) error { return errRows2 }
	state := func(s schedule.Schedule, fn timer.Handler, then func(*timer.Engine, timer.Task), opts ...timer.Option) func(*testing.T, *timer.Engine) timer.Task {
		return func(t *testing.T, e *timer.Engine) timer.Task {
			t.Helper()
			task := rows2Put(t, e, "task", s, fn, append(opts, timer.Track())...)
			sleep(0)
			if then != nil {
				then(e, task)
			}
			return task
		}
	}
	now, every := schedule.After(0), schedule.Every(time.Hour)
	tests := []struct {
		state string
		make  func(*testing.T, *timer.Engine) timer.Task
		want  string
	}{
		{"virgin", func(*testing.T, *timer.Engine) timer.Task { return timer.Task{} }, `
cancel: finished -> finished
by name: unknown -> finished
move: the task has ended -> finished
put: ok -> finished
run now: 0 no task of this name -> finished
fire:  -> finished`},
		{"pending", state(hour, rows2Nothing, nil), `
cancel: cancelled -> cancelled
by name: cancelled -> cancelled
move: ok -> pending
put: ok -> cancelled
run now: 1 ok -> done
fire:  -> done`},
		{"pending, recurring", state(every, rows2Nothing, nil), `
cancel: cancelled -> cancelled
by name: cancelled -> cancelled
move: ok -> pending
put: ok -> cancelled
run now: 1 ok -> pending
fire:  -> pending`},
		{"running", state(now, blocks, nil), `
cancel: running -> running
by name: running -> running
move: the task has started -> running
put: ok -> running
run now: 0 ok -> running
fire:  -> running`},
		{"running, recurring", state(every, blocks, func(*timer.Engine, timer.Task) { sleep(time.Hour) }), `
cancel: cancelled, still runs -> running
by name: cancelled, still runs -> running
move: ok -> running
put: ok -> running
run now: 0 ok -> running
fire:  -> running`},
		{"done", state(now, rows2Nothing, nil), `
cancel: finished -> done
by name: unknown -> done
move: the task has ended -> done
put: ok -> done
run now: 0 no task of this name -> done
fire:  -> done`},
		{"dead", state(now, fails, nil), `
cancel: finished -> dead
by name: unknown -> dead
move: the task has ended -> dead
put: ok -> dead
run now: 0 no task of this name -> dead
fire:  -> dead`},
		{"cancelled", state(hour, rows2Nothing, func(_ *timer.Engine, task timer.Task) { task.Cancel() }), `
cancel: finished -> cancelled
by name: unknown -> cancelled
move: the task has ended -> cancelled
put: ok -> cancelled
run now: 0 no task of this name -> cancelled
fire:  -> cancelled`},
		{"expired", state(hour, rows2Nothing, func(e *timer.Engine, _ timer.Task) {
			_, _ = e.Pause(timer.Named("task"), "")
			sleep(2 * time.Hour)
			_, _ = e.Resume(timer.Named("task"))
		}, timer.StartWithin(time.Minute)), `
cancel: finished -> expired
by name: unknown -> expired
move: the task has ended -> expired
put: ok -> expired
run now: 0 no task of this name -> expired
fire:  -> expired`},
	}
	for _, test := range tests {
		t.Run(test.state, func(t *testing.T) {
			var got strings.Builder
			for _, c := range calls {
				rows2Bubble(t, timer.Options{}, func(t *testing.T, e *timer.Engine) {
					task := test.make(t, e)
					sleep(0)
					result := c.call(e, task)
					sleep(0)
					fmt.Fprintf(&got, "\n%s: %s -> %s", c.name, result, task.State())
				})
			}
			if diff := cmp.Diff(test.want, got.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// An engine without tasks that nobody has any more leaves nothing behind, though nobody closed it.
func TestAutoStop(t *testing.T) {
	before := goleak.IgnoreCurrent()
	p := func() weak.Pointer[timer.Engine] {
		e := timer.New()
		done := make(chan struct{}, 3)
		task := rows2Put(t, e, "named", schedule.After(0), timer.Plain(func() { done <- struct{}{} }))
		rows2Put(t, e, "instant", schedule.At(epoch.AddDate(-1, 0, 0)), timer.Plain(func() { done <- struct{}{} }))
		e.AfterFunc(time.Microsecond, func() { done <- struct{}{} })
		for range 3 {
			<-done
		}
		rows2Is(t, "wait", task.Wait(patient(t)), nil)
		return weak.Make(e)
	}()
	goleak.VerifyNone(t, before)
	deadline := time.After(patience)
	for tick := time.Tick(time.Millisecond); p.Value() != nil; <-tick {
		select {
		case <-deadline:
			t.Fatal("an engine that is not used any more is not collected")
		default:
			runtime.GC()
		}
	}
}

// The alarm may be left as it is when the head is cancelled; it then wakes once for nothing, is set for the new head, and
// Close does not wait for it.
func TestCancelledHeadRearms(t *testing.T) {
	rows2Manual(t, timer.Options{}, func(t *testing.T, e *timer.Engine, m *clock.Manual) {
		tr := rows2ManualTrace(m)
		head := rows2Put(t, e, "head", schedule.After(10*time.Second), tr.run(0))
		unnamed := e.AfterFunc(11*time.Second, func() { tr.note("unnamed") })
		rows2Put(t, e, "next", schedule.After(20*time.Second), tr.run(0))
		rows2Put(t, e, "last", schedule.After(time.Hour), tr.run(0))
		if boot, _ := m.Armed(); boot != int64(10*time.Second) {
			t.Errorf("armed for %v, want 10s", time.Duration(boot))
		}
		if c := head.Cancel(); c != timer.Cancelled || !unnamed.Stop() {
			t.Errorf("cancel: got %v, want cancelled, and the timer stopped", c)
		}
		rows2Advance(t, m, 12*time.Second)
		if boot, _ := m.Armed(); boot != int64(20*time.Second) {
			t.Errorf("after the cancelled head's time, armed for %v, want 20s", time.Duration(boot))
		}
		rows2Advance(t, m, 10*time.Second)
		tr.want(t, "next@20s")
		if n := e.Stats().Wakeups; n > 4 {
			t.Errorf("%d wake-ups, want at most one for each time that was once the earliest, and one more", n)
		}
		e.Cancel("last")
		rows2Close(t, e) // while the clock stands
	})
	synctest.Test(t, func(t *testing.T) {
		start, e := time.Now(), timer.New()
		rows2Put(t, e, "head", schedule.After(time.Hour), rows2Nothing).Cancel()
		rows2Close(t, e)
		if took := time.Since(start); took != 0 {
			t.Errorf("Close waited %v behind a cancelled head", took)
		}
	})
}

// A one-off has started before its handler is called, so that its name is free for the next. contract: B2, B3.
func TestNameReusableInsideRun(t *testing.T) {
	for _, opts := range [][]timer.Option{nil, {timer.Track()}} {
		rows2Bubble(t, timer.Options{}, func(t *testing.T, e *timer.Engine) {
			tr := rows2NewTrace()
			var states []timer.State
			var second timer.Task
			first := rows2Put(t, e, "task", schedule.After(time.Second), func(ctx context.Context) error {
				a, _ := timer.TaskFrom(ctx)
				tr.note("first")
				states = append(states, a.Task.State())
				second = rows2Put(t, e, "task", schedule.After(0), tr.run(time.Second), opts...)
				states = append(states, a.Task.State(), second.State())
				time.Sleep(2 * time.Second)
				return nil
			}, opts...)
			sleep(2 * time.Second)
			if c := first.Cancel(); c != timer.Running {
				t.Errorf("cancel of a run whose name another has: got %v, want running", c)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			rows2Is(t, "wait for a run whose name another has", first.Wait(ctx), context.DeadlineExceeded)
			cancel()
			states = append(states, first.State(), second.State())
			sleep(1500 * time.Millisecond)
			states = append(states, first.State(), second.State())
			sleep(time.Second)
			states = append(states, second.State())
			tr.want(t, "first@1s", "task@3s")
			pending, running, done := timer.StatePending, timer.StateRunning, timer.StateDone
			ended := done
			if opts == nil { // how a plain task has ended is not kept
				ended = timer.StateFinished
			}
			want := []timer.State{running, running, pending, running, pending, ended, running, done}
			if diff := cmp.Diff(want, states); diff != "" {
				t.Errorf("states (-want +got):\n%s", diff)
			}
		})
	}
}

// contract: E3, K1.
func TestCauseIsPropagated(t *testing.T) {
	rows2Bubble(t, timer.Options{}, func(t *testing.T, e *timer.Engine) {
		causes := make(map[string]error)
		var mu sync.Mutex
		catch := func(ctx context.Context) error {
			a, _ := timer.TaskFrom(ctx)
			derived, cancel := context.WithCancel(ctx)
			defer cancel()
			after := make(chan struct{})
			context.AfterFunc(ctx, func() { close(after) })
			<-derived.Done()
			<-after
			mu.Lock()
			defer mu.Unlock()
			causes[a.Name] = context.Cause(derived)
			if ctx.Err() == nil || derived.Err() == nil {
				t.Errorf("%s: the context has ended and its error is %v, the derived one's %v", a.Name, ctx.Err(), derived.Err())
			}
			return causes[a.Name]
		}
		asked := rows2Put(t, e, "asked", schedule.After(0), catch, timer.Track())
		timedOut := rows2Put(t, e, "timed out", schedule.After(0), catch, timer.Timeout(time.Second))
		rows2Put(t, e, "overlapped", schedule.Every(time.Second).Times(2), catch, timer.Overlap(timer.CancelOther))
		closed := rows2Put(t, e, "closed", schedule.After(0), catch, timer.Track())
		sleep(1500 * time.Millisecond)
		if n := asked.CancelRunning(); n != 1 {
			t.Errorf("CancelRunning: got %d, want 1", n)
		}
		sleep(time.Second)
		mu.Lock()
		rows2Is(t, "overlapped", causes["overlapped"], timer.ErrOverlapped)
		mu.Unlock()

		mine := errors.New("the caller's own cause")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(mine)
		rows2Is(t, "wait for a task", closed.Wait(ctx), mine)
		rows2Is(t, "wait for all", e.Wait(ctx, timer.AllTasks()), mine)
		_, err := closed.CancelWait(ctx)
		rows2Is(t, "cancel and wait", err, mine)
		_, err = e.Drain(ctx)
		rows2Is(t, "drain", err, mine)
		rows2Close(t, e)
		for name, want := range map[string]error{"asked": timer.ErrCancelled, "timed out": timer.ErrTimeout, "overlapped": timer.ErrClosed, "closed": timer.ErrClosed} {
			rows2Is(t, name, causes[name], want)
		}
		for task, want := range map[timer.Task]timer.State{asked: timer.StateCancelled, timedOut: timer.StateDead, closed: timer.StateCancelled} {
			if s := task.State(); s != want {
				t.Errorf("%s: got %v, want %v", task.Name(), s, want)
			}
		}
	})
}

// contract: F3.
func TestPanicIsolated(t *testing.T) {
	var nilMap map[string]int
	tests := []struct {
		name   string
		how    func()
		value  string
		target error
		goexit bool
	}{
		{"an error", func() { panic(errRows2) }, "the test's error", errRows2, false},
		{"a string", func() { panic("words") }, "words", nil, false},
		{"nil", func() { panic(nil) }, fmt.Sprint(new(runtime.PanicNilError)), nil, false}, //nolint:govet // the case
		{"Goexit", rows2Goexit, "<nil>", timer.ErrGoexit, true},
		{"nil map", func() { nilMap["x"] = 1 }, "assignment to entry in nil map", nil, false},
	}
	for _, test := range tests {
		for _, workers := range []int{0, 1} {
			t.Run(fmt.Sprint(test.name, ", workers ", workers), func(t *testing.T) {
				var mu sync.Mutex
				var told []timer.Panic
				o := timer.Options{Name: "e", Workers: workers, OnPanic: func(p timer.Panic) {
					mu.Lock()
					defer mu.Unlock()
					told = append(told, p)
				}}
				rows2Bubble(t, o, func(t *testing.T, e *timer.Engine) {
					tr := rows2NewTrace()
					first := rows2Put(t, e, "first", schedule.After(time.Second), timer.Plain(test.how), timer.Track())
					e.AfterFunc(time.Second, test.how)
					recurs := rows2Put(t, e, "recurs", schedule.Every(time.Second), timer.Plain(test.how))
					for i := range 99 {
						rows2Put(t, e, fmt.Sprint("task", i), schedule.After(time.Second+time.Duration(i)), timer.Plain(func() { tr.note("ran") }))
					}
					sleep(1500 * time.Millisecond)
					if n := len(tr.take()); n != 99 {
						t.Errorf("%d of 99 others ran", n)
					}
					rows2Put(t, e, "later", schedule.After(time.Second), tr.run(0))
					sleep(time.Second)
					tr.want(t, "later@2.5s")

					var pe *timer.PanicError
					if err := first.Err(); test.goexit != errors.Is(err, timer.ErrGoexit) || test.goexit == errors.As(err, &pe) {
						t.Errorf("the task's error is %v", err)
					}
					if test.target != nil {
						rows2Is(t, "the task's error", first.Err(), test.target)
					}
					if s, r := first.State(), recurs.State(); s != timer.StateDead || r != timer.StatePending || recurs.Runs() != 2 {
						t.Errorf("the one-off is %v, the recurring one %v after %d runs, want dead, pending, 2", s, r, recurs.Runs())
					}
					mu.Lock()
					defer mu.Unlock()
					names := map[string]int{}
					for _, p := range told {
						names[p.Task]++
						if got := fmt.Sprint(p.Value); got != test.value || p.Goexit != test.goexit || p.Engine != "e" || !bytes.Contains(p.Stack, []byte("_test.go")) {
							t.Errorf("told of %q, Goexit %v, engine %q, with the stack\n%s", got, p.Goexit, p.Engine, p.Stack)
						}
					}
					if diff := cmp.Diff(map[string]int{"first": 1, "": 1, "recurs": 2}, names); diff != "" || e.Stats().Panics != 4 {
						t.Errorf("%d panics counted, want 4; told of (-want +got):\n%s", e.Stats().Panics, diff)
					}
				})
			})
		}
	}
	t.Run("a panic handler that panics", func(t *testing.T) {
		var log bytes.Buffer
		o := timer.Options{Logger: slog.New(slog.NewTextHandler(&log, nil)), OnPanic: func(timer.Panic) { panic("in turn") }}
		rows2Bubble(t, o, func(t *testing.T, e *timer.Engine) {
			tr := rows2NewTrace()
			rows2Put(t, e, "bad", schedule.After(0), timer.Plain(func() { panic("at first") }))
			rows2Put(t, e, "good", schedule.After(1), tr.run(0))
			sleep(time.Second)
			tr.want(t, "good@1ns")
			if !strings.Contains(log.String(), "in turn") {
				t.Errorf("the log lacks the handler's panic:\n%s", log.String())
			}
		})
	})
}

func TestLongTaskDoesNotDelay(t *testing.T) {
	long := func(context.Context) error { time.Sleep(10 * time.Second); return nil }
	for _, n := range []int{1, 100} {
		rows2Bubble(t, timer.Options{}, func(t *testing.T, e *timer.Engine) {
			tr := rows2NewTrace()
			for i := range n {
				rows2Put(t, e, fmt.Sprint("long", i), schedule.After(0), long)
				e.AfterFunc(0, func() { time.Sleep(10 * time.Second) })
			}
			tr.round = 5 * time.Millisecond
			rows2Put(t, e, "short", schedule.After(20*time.Millisecond), tr.run(0))
			e.AfterFunc(20*time.Millisecond, func() { tr.note("unnamed") })
			rows2Put(t, e, "beat", schedule.Every(4*time.Second), tr.run(0))
			sleep(9 * time.Second)
			tr.want(t, "short@20ms", "unnamed@20ms", "beat@4s", "beat@8s")
		})
	}
	rows2Bubble(t, timer.Options{Workers: 1}, func(t *testing.T, e *timer.Engine) { // waiting is bounded by choice, and reported
		tr := rows2NewTrace()
		rows2Put(t, e, "long", schedule.After(0), long)
		short := rows2Put(t, e, "short", schedule.After(20*time.Millisecond), tr.run(0))
		e.AfterFunc(20*time.Millisecond, func() { tr.note("unnamed") }) // never waits for a limit
		sleep(9 * time.Second)
		tr.want(t, "unnamed@20ms")
		if s := short.State(); s != timer.StatePending {
			t.Errorf("a task that waits for its worker is %v, want pending", s)
		}
		sleep(2 * time.Second)
		tr.want(t, "short@10s")
		if s, want := e.Stats(), 9980*time.Millisecond; s.Slot.Max != want || s.Wake.Max != 0 {
			t.Errorf("waited up to %v for a worker and %v for the driver, want %v and 0s", s.Slot.Max, s.Wake.Max, want)
		}
	})
}
