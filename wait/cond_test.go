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

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/internal/park/parktest"
	"github.com/dulyhq/duly/wait"
)

// condLocks are locks that a Cond may have.
var condLocks = map[string]func() sync.Locker{
	"sync.Mutex": func() sync.Locker { return new(sync.Mutex) },
	"Mutex":      func() sync.Locker { return new(wait.Mutex) },
	"RWMutex":    func() sync.Locker { return new(wait.RWMutex) },
}

// A condition goes from one to the other and back, with any lock.
// requirement: P07
func TestCond_PingPong(t *testing.T) {
	for name, lock := range condLocks {
		t.Run(name, func(t *testing.T) {
			c := wait.NewCond(lock())
			turn := 0
			var wg sync.WaitGroup
			for me := range 2 {
				wg.Go(func() {
					for range 1000 {
						c.L.Lock()
						if err := c.WaitUntil(t.Context(), func() bool { return turn == me }); err != nil {
							t.Error(err)
						}
						turn = 1 - me
						c.Broadcast()
						c.L.Unlock()
					}
				})
			}
			wg.Wait()
		})
	}
}

// Readers wait with a reader's lock, as long as what they wait for is changed by a writer.
// requirement: P07
func TestCond_ReadersWait(t *testing.T) {
	var rw wait.RWMutex
	c := wait.NewCond(rw.RLocker())
	generation := 0
	n := parktest.Rounds(2_000)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			rw.RLock()
			defer rw.RUnlock()
			for seen := 0; seen < n; seen = generation {
				if err := c.WaitUntil(t.Context(), func() bool { return generation > seen }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range n {
		rw.Lock()
		generation++
		c.Broadcast()
		rw.Unlock()
	}
	wg.Wait()
}

// Waits end by signal, time or context, to the instant, and say which.
// requirement: P07
func TestCond_Limits(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		var mu sync.Mutex
		c := &wait.Cond{Engine: v.Engine, L: &mu}
		locked := func(f func() error) <-chan error {
			return call(func() error { mu.Lock(); defer mu.Unlock(); return f() })
		}
		enough := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		never := func() bool { return false }
		waits := []struct {
			name string
			got  <-chan error
			want error
			at   int // the second at which it ends
		}{
			{"WaitFor 0", locked(func() error { return c.WaitFor(0) }), wait.ErrTimeout, 0},
			{"WaitFor -1", locked(func() error { return c.WaitFor(-1) }), wait.ErrTimeout, 0},
			{"WaitUntilFor 0", locked(func() error { return c.WaitUntilFor(0, never) }), wait.ErrTimeout, 0},
			{"WaitUntilFor 0, true", locked(func() error { return c.WaitUntilFor(0, func() bool { return true }) }), nil, 0},
			{"WaitFor", locked(func() error { return c.WaitFor(2 * time.Second) }), wait.ErrTimeout, 2},
			{"WaitUntilFor", locked(func() error { return c.WaitUntilFor(3*time.Second, never) }), wait.ErrTimeout, 3},
			{"WaitContext", locked(func() error { return c.WaitContext(ctx) }), enough, 4},
			{"WaitUntil", locked(func() error { return c.WaitUntil(ctx, never) }), enough, 4},
			{"Wait", locked(func() error { c.Wait(); return nil }), nil, 5},
			{"WaitFor, signalled", locked(func() error { return c.WaitFor(time.Hour) }), nil, 5},
			{"WaitFor, for ever", locked(func() error { return c.WaitFor(1<<63 - 1) }), nil, 5},
		}
		v.Pass(0)
		for second := range 6 {
			switch second {
			case 4:
				cancel(enough)
			case 5:
				c.Broadcast()
			}
			synctest.Wait()
			for _, w := range waits {
				if second == w.at {
					if err, ok := returned(w.got); !ok || !errors.Is(err, w.want) {
						t.Errorf("%s at %d s: returned: %v, %v, want %v", w.name, second, ok, err, w.want)
					}
				} else if err, ok := returned(w.got); ok && second < w.at {
					t.Errorf("%s at %d s: early: %v", w.name, second, err)
				}
			}
			v.Pass(time.Second)
		}
		if n := c.Waiting(); n != 0 {
			t.Errorf("%d wait", n)
		}
		if err := <-locked(func() error { return c.WaitContext(ctx) }); !errors.Is(err, enough) {
			t.Errorf("an ended context: %v", err)
		}
		asked := false
		if err := <-locked(func() error { return c.WaitUntil(ctx, func() bool { asked = true; return true }) }); !errors.Is(err, enough) || asked {
			t.Errorf("an ended context: %v, asked: %v", err, asked)
		}
	})
}

// A wait in line has a place before its lock is given up: no signal made under the lock is lost, a million times over. To wait
// without the lock is answered by the lock, and leaves nobody in line.
// requirement: P08
func TestCondAtomicRelease(t *testing.T) {
	n := parktest.Rounds(1_000_000)
	var mu sync.Mutex
	c := wait.NewCond(&mu)
	turn := 0
	var wg sync.WaitGroup
	for me := range 2 {
		wg.Go(func() {
			mu.Lock()
			defer mu.Unlock()
			for range n / 2 {
				for turn != me {
					c.Wait()
				}
				turn = 1 - me
				c.Signal()
			}
		})
	}
	wg.Wait()

	unheld := wait.NewCond(new(wait.Mutex))
	parktest.MustPanic(t, unheld.Wait)
	parktest.MustPanic(t, func() { _ = unheld.WaitFor(time.Hour) })
	if n := unheld.Waiting(); n != 0 {
		t.Errorf("%d wait", n)
	}
}

// A signal that falls on a wait that then panics goes to the next.
func TestCond_SignalDuringAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		panics := make(chan struct{})
		var unlocks atomic.Int32
		c := wait.NewCond(hooked{unlock: func() {
			if unlocks.Add(1) == 1 {
				<-panics
				panic("not locked")
			}
		}})
		first := call(func() any { return parktest.MustPanic(t, c.Wait) })
		synctest.Wait()
		second := call(func() error { return c.WaitFor(time.Hour) })
		synctest.Wait()
		third := call(func() error { return c.WaitFor(time.Hour) })
		synctest.Wait()
		c.Signal() // for the first, which is about to panic
		if n := c.Waiting(); n != 2 {
			t.Errorf("%d wait, want 2", n)
		}
		close(panics)
		if v := <-first; v != "not locked" {
			t.Errorf("panic: %v", v)
		}
		if err := <-second; err != nil {
			t.Error(err)
		}
		if err := <-third; !errors.Is(err, wait.ErrTimeout) {
			t.Errorf("one signal has let go two: %v", err)
		}
	})
}

// A hooked lock excludes nobody, and unlocks as a test wants.
type hooked struct{ unlock func() }

func (h hooked) Lock()   {}
func (h hooked) Unlock() { h.unlock() }

// The lock is held when a wait returns, whatever it returns.
// requirement: P09
func TestCondReacquiresAlways(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		mu := &wait.Mutex{Engine: v.Engine}
		c := &wait.Cond{Engine: v.Engine, L: mu}
		ended, cancelled := context.WithCancel(t.Context())
		cancelled()
		yes, no := func() bool { return true }, func() bool { return false }
		ways := map[string]func(ctx context.Context) error{
			"signal":          func(context.Context) error { go c.Signal(); c.Wait(); return nil },
			"broadcast":       func(context.Context) error { go c.Broadcast(); return c.WaitFor(time.Hour) },
			"timeout":         func(context.Context) error { return c.WaitFor(time.Millisecond) },
			"no time":         func(context.Context) error { return c.WaitFor(0) },
			"cancel":          func(ctx context.Context) error { return c.WaitContext(ctx) },
			"ended context":   func(context.Context) error { return c.WaitContext(ended) },
			"until, true":     func(ctx context.Context) error { return c.WaitUntil(ctx, yes) },
			"until, timeout":  func(context.Context) error { return c.WaitUntilFor(time.Millisecond, no) },
			"until, cancel":   func(ctx context.Context) error { return c.WaitUntil(ctx, no) },
			"until, ended":    func(context.Context) error { return c.WaitUntil(ended, yes) },
			"until, no time":  func(context.Context) error { return c.WaitUntilFor(-1, no) },
			"until, a panic":  func(ctx context.Context) error { return c.WaitUntil(ctx, func() bool { panic("pred") }) },
			"until, in panic": func(ctx context.Context) error { return c.WaitUntil(ctx, panicsSecondTime()) },
		}
		for name, way := range ways {
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				defer func() { _ = recover() }()
				mu.Lock()
				defer func() {
					if mu.TryLock() {
						t.Errorf("%s: not held", name)
					}
					mu.Unlock()
				}()
				_ = way(ctx)
			}()
			v.Pass(time.Second)
			c.Signal() // for who still waits
			cancel()
			v.Pass(time.Second)
			if mu.TryLock() {
				mu.Unlock()
			} else {
				t.Errorf("%s: still held", name)
			}
		}
	})
}

// A predicate that does not return has not used the signal that had it asked: that goes to the next. One that was asked without
// a signal gives none away.
func TestCond_PredicatePanicsAfterASignal(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		mu := &wait.Mutex{Engine: v.Engine}
		c := &wait.Cond{Engine: v.Engine, L: mu}
		begin := func(pred func() bool) <-chan error {
			got := make(chan error, 1)
			go func() {
				defer close(got) // also after a panic or a Goexit
				defer func() { _ = recover() }()
				mu.Lock()
				defer mu.Unlock()
				got <- c.WaitUntilFor(time.Hour, pred)
			}()
			synctest.Wait()
			return got
		}
		second := func(f func()) func() bool {
			asked := 0
			return func() bool {
				if asked++; asked == 2 {
					f()
				}
				return false
			}
		}
		ready := false
		is := func() bool { return ready }
		panics, exits := begin(second(func() { panic("pred") })), begin(second(runtime.Goexit))
		next, last := begin(is), begin(is)
		begin(func() bool { panic("at once") })
		if n := c.Waiting(); n != 4 {
			t.Errorf("%d wait, want 4", n)
		}
		mu.Do(func() { ready = true })
		c.Signal()
		synctest.Wait()
		for name, got := range map[string]<-chan error{"panic": panics, "Goexit": exits} {
			select {
			case err, ok := <-got:
				if ok {
					t.Errorf("%s: returned %v", name, err)
				}
			default:
				t.Errorf("%s: not signalled", name)
			}
		}
		if err, ok := returned(next); !ok || err != nil {
			t.Errorf("the next in line: returned %t, %v", ok, err)
		}
		if _, ok := returned(last); ok || c.Waiting() != 1 {
			t.Errorf("one signal has let go two; %d wait", c.Waiting())
		}
		c.Signal()
		if err := <-last; err != nil {
			t.Error(err)
		}
	})
}

func panicsSecondTime() func() bool {
	asked := 0
	return func() bool {
		if asked++; asked == 2 {
			panic("pred")
		}
		return false
	}
}

// A wait that gave up takes the lock again however long that takes, and then asks its predicate once more.
func TestCond_GivesUpWhileTheLockIsHeld(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		var mu wait.Mutex
		mu.Engine = v.Engine
		c := &wait.Cond{Engine: v.Engine, L: &mu}
		ready := false
		until := func(f func() error) <-chan error {
			return call(func() error { mu.Lock(); defer mu.Unlock(); return f() })
		}
		plain := until(func() error { return c.WaitFor(time.Second) })
		pred := until(func() error { return c.WaitUntilFor(time.Second, func() bool { return ready }) })
		v.Pass(time.Millisecond)
		mu.Lock()
		v.Pass(time.Hour)
		if _, ok := returned(plain); ok {
			t.Error("returned without the lock")
		}
		c.Signal() // too late: they have given up
		ready = true
		mu.Unlock()
		if err := <-plain; !errors.Is(err, wait.ErrTimeout) {
			t.Errorf("WaitFor: %v", err)
		}
		if err := <-pred; err != nil {
			t.Errorf("WaitUntilFor: %v, although the predicate holds", err)
		}
	})
}

// Signals go to those who have waited longest, as many as are signalled.
// requirement: P10
func TestCondNotifyN(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		var mu sync.Mutex
		c := &wait.Cond{Engine: v.Engine, L: &mu}
		var order []int
		for i := range 10 {
			go func() {
				mu.Lock()
				defer mu.Unlock()
				if i%2 == 0 {
					c.Wait()
				} else if err := c.WaitFor(time.Hour); err != nil {
					t.Error(err)
				}
				order = append(order, i)
			}()
			v.Pass(time.Millisecond)
		}
		check := func(what string, signal func(), want ...int) {
			t.Helper()
			mu.Lock()
			order = nil
			signal()
			mu.Unlock()
			v.Pass(time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			got := make(map[int]bool)
			for _, i := range order {
				got[i] = true
			}
			wanted := make(map[int]bool)
			for _, i := range want {
				wanted[i] = true
			}
			if diff := cmp.Diff(wanted, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
		check("SignalN(0)", func() { c.SignalN(0) })
		check("SignalN(-1)", func() { c.SignalN(-1) })
		check("Signal", c.Signal, 0)
		check("SignalN(3)", func() { c.SignalN(3) }, 1, 2, 3)
		check("Signal twice", func() { c.Signal(); c.Signal() }, 4, 5)
		check("Broadcast", c.Broadcast, 6, 7, 8, 9)
		check("Broadcast, nobody", c.Broadcast)
		check("SignalN(5), nobody", func() { c.SignalN(5) })
		late := call(func() error { mu.Lock(); defer mu.Unlock(); return c.WaitFor(time.Second) })
		v.Pass(time.Second)
		if err := <-late; !errors.Is(err, wait.ErrTimeout) {
			t.Errorf("signals were kept for later: %v", err)
		}
	})
}

// With a fair lock they also return in the order in which they came.
func TestCond_ReturnsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu wait.Mutex
		c := wait.NewCond(&mu)
		var order, want []int
		for i := range 20 {
			want = append(want, i)
			go mu.Do(func() {
				c.Wait()
				order = append(order, i)
			})
			synctest.Wait()
		}
		for range 20 {
			c.Signal()
			synctest.Wait()
		}
		if diff := cmp.Diff(want, order); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// WaitUntil returns nil only when the predicate holds, with the lock held, whatever signals come; its time is one for all of them.
// requirement: D14 X51
func TestCondPredicateLoop(t *testing.T) {
	t.Run("signals for nothing", func(t *testing.T) {
		var mu sync.Mutex
		c := wait.NewCond(&mu)
		ready := false
		got := call(func() error {
			mu.Lock()
			defer mu.Unlock()
			err := c.WaitUntil(t.Context(), func() bool { return ready })
			if !ready {
				t.Error("returned although the predicate does not hold")
			}
			return err
		})
		for range 10_000 {
			c.Broadcast()
			if err, ok := returned(got); ok {
				t.Fatalf("returned: %v", err)
			}
		}
		mu.Lock()
		ready = true
		mu.Unlock()
		c.Broadcast()
		if err := <-got; err != nil {
			t.Error(err)
		}
	})
	t.Run("true before the wait", func(t *testing.T) {
		// A signal that came before the wait is gone; the predicate is not.
		var mu sync.Mutex
		c := wait.NewCond(&mu)
		c.Signal()
		mu.Lock()
		defer mu.Unlock()
		if err := errors.Join(c.WaitUntil(t.Context(), func() bool { return true }), c.WaitUntilFor(0, func() bool { return true })); err != nil {
			t.Error(err)
		}
	})
	t.Run("one time for all", func(t *testing.T) {
		parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
			var mu sync.Mutex
			c := &wait.Cond{Engine: v.Engine, L: &mu}
			asked := 0
			got := call(func() error {
				mu.Lock()
				defer mu.Unlock()
				return c.WaitUntilFor(time.Minute, func() bool { asked++; return false })
			})
			for range 59 {
				v.Pass(time.Second)
				c.Broadcast()
			}
			v.Pass(time.Second - 1)
			if err, ok := returned(got); ok {
				t.Errorf("early: %v", err)
			}
			v.Pass(1)
			if err, ok := returned(got); !ok || !errors.Is(err, wait.ErrTimeout) {
				t.Errorf("after a minute: %v, %v", ok, err)
			}
			if asked != 61 {
				t.Errorf("asked %d times, want 61: at first, at 59 signals, and at the end", asked)
			}
		})
	})
	t.Run("stolen", func(t *testing.T) {
		// Consumers that come late take what others were signalled for; every item is consumed once all the same.
		n := parktest.Rounds(40_000)
		var mu sync.Mutex
		c := wait.NewCond(&mu)
		items, consumed := 0, 0
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range n / 4 {
					mu.Lock()
					if err := c.WaitUntil(t.Context(), func() bool { return items > 0 }); err != nil || items <= 0 {
						t.Errorf("%v, %d items", err, items)
					}
					items--
					consumed++
					mu.Unlock()
				}
			})
		}
		for range n / 4 * 4 {
			mu.Lock()
			items++
			mu.Unlock()
			c.Signal()
		}
		wg.Wait()
		if items != 0 || consumed != n/4*4 {
			t.Errorf("%d left, %d consumed", items, consumed)
		}
	})
}

// Who was signalled does not return before the signaller unlocks. The flag is guarded by the lock alone, for the race detector.
// requirement: D15
func TestSignalHandoffAfterUnlock(t *testing.T) {
	for name, lock := range condLocks {
		t.Run(name, func(t *testing.T) {
			c := wait.NewCond(lock())
			inside := false
			n := parktest.Rounds(20_000)
			done := call(func() bool {
				c.L.Lock()
				defer c.L.Unlock()
				for range n {
					c.Wait()
					if inside {
						t.Error("returned before the signaller unlocked")
					}
				}
				return true
			})
			for range n {
				for c.Waiting() == 0 {
					runtime.Gosched()
				}
				c.L.Lock()
				inside = true
				c.Signal()
				for range 100 { // long enough for the other to run, if it could
					inside = !inside
				}
				inside = false
				c.L.Unlock()
			}
			<-done
		})
	}
}
