package wait_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/internal/park/parktest"
	"github.com/dulyhq/duly/timer"
	"github.com/dulyhq/duly/wait"
)

// What waits is let go by Set.
// requirement: P03
func TestEventWaitSet(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		e := &wait.Event{Engine: v.Engine}
		plain := call(func() error { e.Wait(); return nil })
		withContext := call(func() error { return e.WaitContext(t.Context()) })
		timed := call(func() error { return e.WaitFor(2 * time.Hour) })
		selected := call(func() error { <-e.Done(); return nil })
		all := []<-chan error{plain, withContext, timed, selected}
		v.Pass(time.Hour)
		for i, c := range all {
			if _, ok := returned(c); ok {
				t.Errorf("%d returned before Set", i)
			}
		}
		if n := e.Waiting(); n != 3 {
			t.Errorf("%d wait, want 3", n)
		}
		e.Set()
		for i, c := range all {
			if err := <-c; err != nil {
				t.Errorf("%d: %v", i, err)
			}
		}
	})
}

// Set is sticky, and may be repeated.
// requirement: P04
func TestEventSticky(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		e := &wait.Event{Engine: v.Engine}
		e.Set()
		e.Set()
		for range 100 {
			e.Wait()
			if err := errors.Join(e.WaitContext(t.Context()), e.WaitFor(0), e.WaitFor(-1), e.WaitFor(time.Hour)); err != nil {
				t.Fatal(err)
			}
			<-e.Done()
		}
		if !e.IsSet() {
			t.Error("not set")
		}
		e.Clear()
		e.Clear()
		if e.IsSet() || !errors.Is(e.WaitFor(0), wait.ErrTimeout) {
			t.Error("set after Clear")
		}
	})
}

// A wait with a time tells which it was, to the instant, and IsSet agrees.
// requirement: P05
func TestEventWaitTimeout(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		e := &wait.Event{Engine: v.Engine}
		got := call(func() error { return e.WaitFor(2 * time.Second) })
		v.Pass(2*time.Second - 1)
		if err, ok := returned(got); ok {
			t.Errorf("early: %v", err)
		}
		v.Pass(1)
		if err, ok := returned(got); !ok || !errors.Is(err, wait.ErrTimeout) || e.IsSet() {
			t.Errorf("at 2 s: %v, %v, set: %v", ok, err, e.IsSet())
		}
		got = call(func() error { return e.WaitFor(2 * time.Second) })
		v.Pass(time.Second)
		e.Set()
		if err := <-got; err != nil || !e.IsSet() {
			t.Errorf("set after 1 s: %v, set: %v", err, e.IsSet())
		}
		if n := e.Waiting(); n != 0 {
			t.Errorf("%d wait", n)
		}
	})
}

// A context gives its cause, and one that has ended fails even if the event is set.
func TestEvent_Context(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		e := &wait.Event{Engine: v.Engine}
		enough := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		got := call(func() error { return e.WaitContext(ctx) })
		v.Pass(time.Second)
		cancel(enough)
		if err := <-got; !errors.Is(err, enough) {
			t.Errorf("got %v, want the cause", err)
		}
		e.Set()
		if err := e.WaitContext(ctx); !errors.Is(err, enough) {
			t.Errorf("set, with an ended context: %v", err)
		}
	})
}

// A channel of Done is for the next Set alone.
func TestEvent_Done(t *testing.T) {
	var e wait.Event
	first := e.Done()
	if e.Done() != first {
		t.Error("another channel before the event was set")
	}
	isClosed := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	if isClosed(first) {
		t.Error("closed before Set")
	}
	e.Set()
	if !isClosed(first) || !isClosed(e.Done()) {
		t.Error("not closed by Set")
	}
	e.Clear()
	second := e.Done()
	if isClosed(second) || !isClosed(first) {
		t.Error("Clear has changed the first channel, or not the second")
	}
	e.Pulse()
	if !isClosed(second) || isClosed(e.Done()) {
		t.Error("a pulse closes what waits, and nothing later")
	}
}

// What was given to a bubble's caller is the bubble's, and a global event survives that.
func TestEvent_AcrossBubbles(t *testing.T) {
	var e wait.Event
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			c := e.Done()
			go e.Set()
			<-c
			<-e.Done()
			if err := e.WaitFor(time.Hour); err != nil {
				t.Error(err)
			}
			e.Clear()
			if err := e.WaitFor(time.Hour); !errors.Is(err, wait.ErrTimeout) {
				t.Error(err)
			}
			e.Set()
		})
		<-e.Done()
		e.Clear()
	}
}

// Pulse lets go exactly those who wait, is never seen as set, and whoever comes next waits: each waiter passes once a round.
// requirement: P06 X50
func TestEventPulseAtomic(t *testing.T) {
	t.Run("one after the other", func(t *testing.T) {
		parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
			e := &wait.Event{Engine: v.Engine}
			e.Pulse() // nobody: lost
			first := call(func() error { return e.WaitFor(time.Hour) })
			second := call(func() error { return e.WaitFor(time.Hour) })
			v.Pass(time.Minute)
			e.Pulse()
			late := call(func() error { return e.WaitFor(time.Hour) })
			if err := errors.Join(<-first, <-second); err != nil || e.IsSet() {
				t.Errorf("%v, set: %v", err, e.IsSet())
			}
			v.Pass(time.Hour)
			if err := <-late; !errors.Is(err, wait.ErrTimeout) {
				t.Errorf("who came after the pulse: %v", err)
			}
			e.Set()
			e.Pulse()
			if e.IsSet() {
				t.Error("a pulse leaves the event clear")
			}
		})
	})
	t.Run("at the same time", func(t *testing.T) {
		const waiters = 4
		n := parktest.Rounds(100_000)
		var e wait.Event
		var passed, seen atomic.Int64
		var stop atomic.Bool
		var wg sync.WaitGroup
		for i := range waiters {
			wg.Go(func() {
				for range n {
					if i%2 == 0 {
						e.Wait()
					} else if err := e.WaitContext(t.Context()); err != nil {
						t.Error(err)
					}
					passed.Add(1)
					if e.IsSet() {
						seen.Add(1)
					}
				}
			})
		}
		for round := range n {
			for e.Waiting() < waiters {
				runtime.Gosched()
			}
			if got := passed.Load(); got != int64(waiters*round) {
				t.Errorf("after %d pulses %d have passed, want %d", round, got, waiters*round)
				stop.Store(true)
				break
			}
			e.Pulse()
		}
		if stop.Load() {
			e.Set()
		}
		wg.Wait()
		if passed.Load() != int64(waiters*n) || seen.Load() != 0 {
			t.Errorf("%d have passed, want %d; %d saw it set", passed.Load(), waiters*n, seen.Load())
		}
	})
}

// A function that waits for an event or a future runs once when that comes, and not at all if it was taken back before.
// requirement: D20
func TestDeferUntilEvent(t *testing.T) {
	kinds := map[string]func() (on func(func()) func() bool, happen func()){
		"Event.OnSet, Set": func() (func(func()) func() bool, func()) {
			e := new(wait.Event)
			return e.OnSet, e.Set
		},
		"Event.OnSet, Pulse": func() (func(func()) func() bool, func()) {
			e := new(wait.Event)
			return e.OnSet, e.Pulse
		},
		"Future.Then": func() (func(func()) func() bool, func()) {
			var p wait.Promise[int]
			on := func(f func()) func() bool {
				return p.Future().Then(func(int, error) { f() })
			}
			return on, func() { p.Resolve(1, nil) }
		},
	}
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				on, happen := kind()
				var kept, taken atomic.Int32
				stopKept := on(func() { kept.Add(1) })
				stopTaken := on(func() { taken.Add(1) })
				third := on(func() { kept.Add(1) })
				synctest.Wait()
				if kept.Load() != 0 {
					t.Error("ran before")
				}
				if !stopTaken() || stopTaken() {
					t.Error("taken back once: want true, then false")
				}
				happen()
				happen()
				synctest.Wait()
				if kept.Load() != 2 || taken.Load() != 0 {
					t.Errorf("kept ran %d times, want 2; taken back ran %d times, want 0", kept.Load(), taken.Load())
				}
				if stopKept() || third() || stopTaken() {
					t.Error("a stop afterwards says that it prevented something")
				}
			})
		})
		t.Run(name+", race of stop", func(t *testing.T) {
			for range parktest.Rounds(20_000) {
				on, happen := kind()
				var ran atomic.Int32
				done := make(chan struct{})
				stop := on(func() { ran.Add(1); close(done) })
				var wg sync.WaitGroup
				wg.Go(happen)
				stopped := stop()
				wg.Wait()
				if !stopped {
					<-done
				}
				if got := ran.Load() == 1; got == stopped {
					t.Fatalf("ran: %v, stopped: %v", got, stopped)
				}
			}
		})
	}
	t.Run("at once if it has come", func(t *testing.T) {
		var e wait.Event
		e.Set()
		done := make(chan struct{})
		if stop := e.OnSet(func() { close(done) }); stop() {
			t.Error("taken back after the start")
		}
		<-done
	})
	t.Run("no function", func(t *testing.T) {
		parktest.MustPanic(t, func() { new(wait.Event).OnSet(nil) })
		parktest.MustPanic(t, func() { new(wait.Promise[int]).Future().Then(nil) })
	})
}

// Set, Clear and waits that give up, at random: a wait that returned nil was let go by a Set, and nobody is left behind.
func TestEvent_SetAgainstGivingUp(t *testing.T) {
	var e wait.Event
	var wg sync.WaitGroup
	var stop atomic.Bool
	for i := range 8 {
		wg.Go(func() {
			for range parktest.Rounds(8_000) {
				ctx, cancel := context.WithCancel(t.Context())
				if i%2 == 0 {
					go cancel()
					if err := e.WaitContext(ctx); err != nil && !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
				} else if err := e.WaitFor(time.Duration(i) * time.Microsecond); err != nil && !errors.Is(err, wait.ErrTimeout) {
					t.Error(err)
				}
				cancel()
			}
		})
	}
	setting := call(func() bool {
		for !stop.Load() {
			e.Set()
			e.Clear()
			e.Pulse()
			runtime.Gosched()
		}
		return true
	})
	wg.Wait()
	stop.Store(true)
	<-setting
	if n := e.Waiting(); n != 0 {
		t.Errorf("%d wait", n)
	}
}

// Ten thousand calls of each kind that wait for a time cost their engine no wake-up while nothing comes due.
func TestSignals_NoPolling(t *testing.T) {
	const n = 10_000
	kinds := map[string]func(t *testing.T, e *timer.Engine) (block func() error, release func()){
		"Event": func(t *testing.T, e *timer.Engine) (func() error, func()) {
			x := &wait.Event{Engine: e}
			return func() error { return x.WaitFor(time.Hour) }, x.Set
		},
		"Cond": func(t *testing.T, e *timer.Engine) (func() error, func()) {
			var mu sync.Mutex
			x := &wait.Cond{Engine: e, L: &mu}
			return func() error { mu.Lock(); defer mu.Unlock(); return x.WaitFor(time.Hour) }, x.Broadcast
		},
		"Latch": func(t *testing.T, e *timer.Engine) (func() error, func()) {
			x := wait.NewLatch(1)
			x.Engine = e
			return func() error { return x.WaitFor(time.Hour) }, x.CountDown
		},
		"Future": func(t *testing.T, e *timer.Engine) (func() error, func()) {
			var p wait.Promise[int]
			p.Future().Engine = e
			return func() error { _, err := p.Future().GetFor(time.Hour); return err }, func() { p.Resolve(1, nil) }
		},
		"Group": func(t *testing.T, e *timer.Engine) (func() error, func()) {
			x := &wait.Group{Engine: e}
			end := make(chan struct{})
			x.Go(func() error { <-end; return nil })
			return func() error { return x.WaitFor(time.Hour) }, func() { close(end) }
		},
		"Pool": func(t *testing.T, e *timer.Engine) (func() error, func()) {
			x := wait.NewPool(1)
			x.Engine = e
			end := make(chan struct{})
			if _, ok := wait.TrySubmit(t.Context(), x, func(context.Context) (int, error) { <-end; return 0, nil }); !ok {
				t.Error("not submitted")
			}
			return func() error { return x.JoinFor(time.Hour) }, func() { close(end) }
		},
	}
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := timer.New()
				defer parktest.CloseEngine(t, e)
				block, release := kind(t, e)
				errs := make(chan error, n)
				for range n {
					go func() { errs <- block() }()
				}
				time.Sleep(time.Second)
				synctest.Wait()
				before := e.Stats()
				if before.Pending != n {
					t.Errorf("%d deadlines, want %d", before.Pending, n)
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if woke := e.Stats().Wakeups - before.Wakeups; woke != 0 {
					t.Errorf("%d wake-ups in 2 s", woke)
				}
				release()
				for range n {
					if err := <-errs; err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}
