package wait_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/internal/park/parktest"
	"github.com/dulyhq/duly/timer"
	"github.com/dulyhq/duly/wait"
)

// A lock is what a Mutex, either side of an RWMutex's writers, and a semaphore of one permit have in common.
type lock interface {
	sync.Locker
	TryLock() bool
	LockContext(ctx context.Context) error
	LockFor(d time.Duration) error
}

// through locks and unlocks.
func through(l sync.Locker) {
	l.Lock()
	defer l.Unlock()
}

// binary is a semaphore of one permit as a lock.
type binary struct{ *wait.Semaphore }

func (b binary) Lock()                                 { _ = b.Acquire(context.Background(), 1) }
func (b binary) Unlock()                               { b.Release(1) }
func (b binary) TryLock() bool                         { return b.TryAcquire(1) }
func (b binary) LockContext(ctx context.Context) error { return b.Acquire(ctx, 1) }
func (b binary) LockFor(d time.Duration) error         { return b.AcquireFor(d, 1) }

func newBinary(e *timer.Engine) lock {
	s := wait.NewSemaphore(1)
	s.Engine = e
	return binary{s}
}

// locks are the kinds of lock, each of which passes the same table.
var locks = map[string]func(e *timer.Engine) lock{
	"Mutex":     func(e *timer.Engine) lock { return &wait.Mutex{Engine: e} },
	"RWMutex":   func(e *timer.Engine) lock { return &wait.RWMutex{Engine: e} },
	"Semaphore": newBinary,
}

// lockTable is what every lock does: CPython's tests of lock types and the JSR-166 TCK's of mutual exclusion, in our words.
var lockTable = map[string]func(t *testing.T, v parktest.Venue, l lock){
	"is free at first and after each unlock": func(t *testing.T, _ parktest.Venue, l lock) {
		for range 3 {
			if !l.TryLock() {
				t.Error("not free")
			}
			l.Unlock()
			through(l)
		}
	},
	"try fails while it is held": func(t *testing.T, _ parktest.Venue, l lock) {
		l.Lock()
		if l.TryLock() || <-call(l.TryLock) {
			t.Error("locked twice")
		}
		l.Unlock()
	},
	"is unlocked by another": func(t *testing.T, v parktest.Venue, l lock) {
		l.Lock()
		got := call(func() error { return l.LockFor(time.Hour) })
		v.Pass(time.Minute)
		<-call(func() bool { l.Unlock(); return true })
		if err := <-got; err != nil {
			t.Error(err)
		}
		l.Unlock()
	},
	"hands over in order": func(t *testing.T, v parktest.Venue, l lock) {
		const n = 20
		var got, want []int
		l.Lock()
		for i := range n {
			go func() {
				l.Lock()
				got = append(got, i)
				l.Unlock()
			}()
			want = append(want, i)
			synctest.Wait()
		}
		l.Unlock()
		v.Pass(0)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	},
	"is not barged into": func(t *testing.T, _ parktest.Venue, l lock) {
		l.Lock()
		waiter := call(func() error { return l.LockFor(time.Hour) })
		synctest.Wait()
		l.Unlock() // the waiter has it, though it need not run yet
		if l.TryLock() || l.LockFor(0) == nil {
			t.Error("a newcomer took what was handed over")
		}
		if err := <-waiter; err != nil {
			t.Error(err)
		}
		l.Unlock()
	},
	"times out when it should": func(t *testing.T, v parktest.Venue, l lock) {
		l.Lock()
		for _, d := range []time.Duration{-time.Hour, 0} {
			if err := l.LockFor(d); !errors.Is(err, wait.ErrTimeout) {
				t.Errorf("for %v: %v", d, err)
			}
		}
		for _, d := range []time.Duration{1, 50 * time.Millisecond, time.Hour} {
			got := call(func() error { return l.LockFor(d) })
			synctest.Wait()
			v.Pass(d - 1)
			if err, ok := returned(got); ok {
				t.Errorf("for %v: early: %v", d, err)
			}
			v.Pass(1)
			if err, ok := returned(got); !ok || !errors.Is(err, wait.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("for %v: returned %t, %v", d, ok, err)
			}
		}
		l.Unlock()
	},
	"is whole after a timeout": func(t *testing.T, v parktest.Venue, l lock) {
		l.Lock()
		got := call(func() error { return l.LockFor(time.Second) })
		v.Pass(time.Second)
		if err := <-got; !errors.Is(err, wait.ErrTimeout) {
			t.Error(err)
		}
		if l.TryLock() {
			t.Error("who timed out has unlocked it")
		}
		l.Unlock()
		if l.TryLock() {
			if l.TryLock() {
				t.Error("locked twice")
			}
			l.Unlock()
		} else {
			t.Error("who timed out has locked it")
		}
	},
	"is locked for a time if it is free": func(t *testing.T, v parktest.Venue, l lock) {
		for _, d := range []time.Duration{-1, 0, time.Hour} {
			if err := l.LockFor(d); err != nil {
				t.Errorf("for %v: %v", d, err)
			}
			l.Unlock()
		}
		if !v.Now().Equal(v.Start) {
			t.Error("it waited")
		}
	},
	"is given up with the context": func(t *testing.T, v parktest.Venue, l lock) {
		ctx, cancel := context.WithCancelCause(t.Context())
		l.Lock()
		got := call(func() error { return l.LockContext(ctx) })
		next := call(func() error { return l.LockFor(time.Hour) })
		v.Pass(time.Minute)
		cancel(errEnough)
		if err := <-got; !errors.Is(err, errEnough) {
			t.Error(err)
		}
		l.Unlock()
		if err := <-next; err != nil {
			t.Errorf("who came behind: %v", err)
		}
		l.Unlock()
		if err := l.LockContext(ctx); !errors.Is(err, errEnough) {
			t.Errorf("free, with a context that has ended: %v", err)
		}
		if !l.TryLock() {
			t.Error("a call that failed has locked it")
		}
		l.Unlock()
	},
	"unlocking what is not locked panics": func(t *testing.T, _ parktest.Venue, l lock) {
		parktest.MustPanic(t, l.Unlock)
		through(l)
		parktest.MustPanic(t, l.Unlock)
		if !l.TryLock() || l.TryLock() {
			t.Error("it is not whole after that")
		}
		l.Unlock()
	},
}

func testLock(t *testing.T, newLock func(e *timer.Engine) lock) {
	t.Helper()
	for what, check := range lockTable {
		t.Run(what, func(t *testing.T) {
			parktest.Venues(t, func(t *testing.T, v parktest.Venue) { check(t, v, newLock(v.Engine)) })
		})
	}
}

func TestLocks(t *testing.T) {
	for name, newLock := range locks {
		t.Run(name, func(t *testing.T) { testLock(t, newLock) })
	}
}

// requirement: P13.
func TestBinarySemaphore(t *testing.T) { testLock(t, newBinary) }

// requirement: P01.
func TestMutexExcludes(t *testing.T) {
	for name, newLock := range locks {
		t.Run(name, func(t *testing.T) {
			const each = 100_000
			l, n := newLock(nil), 0 // the race detector would see two at it
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() {
					for range each {
						l.Lock()
						n++
						l.Unlock()
					}
				})
			}
			wg.Wait()
			if n != 2*each {
				t.Errorf("counted %d, want %d", n, 2*each)
			}
		})
	}
}

// requirement: P02, X49.
func TestScopedLockReleasesOnPanic(t *testing.T) {
	var m wait.Mutex
	free := func(what string) {
		t.Helper()
		if !m.TryLock() {
			t.Errorf("%s: still locked", what)
			return
		}
		m.Unlock()
	}
	dos := map[string]func(f func()) error{
		"Do":        func(f func()) error { m.Do(f); return nil },
		"DoContext": func(f func()) error { return m.DoContext(t.Context(), f) },
		"DoFor":     func(f func()) error { return m.DoFor(time.Hour, f) },
	}
	for name, do := range dos {
		ran := false
		if err := do(func() { ran = !m.TryLock() }); err != nil || !ran {
			t.Errorf("%s: %v, ran with the lock held: %t", name, err, ran)
		}
		free(name)
		if v := parktest.MustPanic(t, func() { _ = do(func() { panic("mine") }) }); v != "mine" {
			t.Errorf("%s: the panic goes on as %v", name, v)
		}
		free(name + " and a panic")
		var wg sync.WaitGroup
		wg.Go(func() { _ = do(runtime.Goexit) })
		wg.Wait()
		free(name + " and runtime.Goexit")
	}

	m.Lock()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errEnough)
	never := func() { t.Error("called without the lock") }
	if err := m.DoContext(ctx, never); !errors.Is(err, errEnough) {
		t.Errorf("DoContext: %v", err)
	}
	if err := m.DoFor(0, never); !errors.Is(err, wait.ErrTimeout) {
		t.Errorf("DoFor: %v", err)
	}
	m.Unlock()
}

// What finds the lock free allocates nothing, whatever limit it has.
func TestUncontended_AllocatesNothing(t *testing.T) {
	if parktest.UnderRace {
		t.Skip("the race detector allocates")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var m wait.Mutex
	var rw wait.RWMutex
	s := wait.NewSemaphore(3)
	var n wait.Napper
	check := func(what string, f func()) {
		t.Helper()
		if got := testing.AllocsPerRun(100, f); got != 0 {
			t.Errorf("%s: %v allocations", what, got)
		}
	}
	check("Mutex.Lock", func() { through(&m) })
	check("Mutex.TryLock", func() { m.TryLock(); m.Unlock() })
	check("Mutex.LockContext", func() { _ = m.LockContext(ctx); m.Unlock() })
	check("Mutex.LockFor", func() { _ = m.LockFor(time.Hour); m.Unlock() })
	check("Mutex.Do", func() { m.Do(func() {}) })
	check("RWMutex.Lock", func() { through(&rw) })
	check("RWMutex.LockContext", func() { _ = rw.LockContext(ctx); rw.Unlock() })
	check("RWMutex.LockFor", func() { _ = rw.LockFor(time.Hour); rw.Unlock() })
	check("RWMutex.RLock", func() { rw.RLock(); defer rw.RUnlock() })
	check("RWMutex.RLockContext", func() { _ = rw.RLockContext(ctx); rw.RUnlock() })
	check("RWMutex.RLockFor", func() { _ = rw.RLockFor(time.Hour); rw.RUnlock() })
	check("RWMutex.TryRLock", func() { rw.TryRLock(); rw.RUnlock() })
	check("RWMutex.RLocker", func() { through(rw.RLocker()) })
	check("Semaphore.Acquire", func() { _ = s.Acquire(ctx, 2); s.Release(2) })
	check("Semaphore.AcquireFor", func() { _ = s.AcquireFor(time.Hour, 2); s.Release(2) })
	check("Semaphore.TryAcquire", func() { s.TryAcquire(2); s.Release(2) })
	check("Napper.Nap", func() { n.Interrupt(); n.Nap(time.Hour) })
	check("Napper.NapContext", func() { n.Interrupt(); _, _ = n.NapContext(ctx, time.Hour) })
	check("Sleep", func() { _ = wait.Sleep(ctx, 0) })
}

// Ten thousand calls that are blocked for a time wake nobody until somebody lets them go, and leave no deadline behind.
//
// requirement: F06.
func TestLocks_NoPolling(t *testing.T) {
	const calls = 10_000
	kinds := map[string]func(e *timer.Engine) (block func() error, free func()){
		"Napper": func(e *timer.Engine) (func() error, func()) {
			n := &wait.Napper{Engine: e}
			block := func() error {
				defer n.Interrupt()
				if !n.Nap(2 * time.Hour) {
					return wait.ErrTimeout
				}
				return nil
			}
			return block, func() { n.Interrupt() }
		},
		"RWMutex, readers": func(e *timer.Engine) (func() error, func()) {
			rw := &wait.RWMutex{Engine: e}
			rw.Lock()
			return func() error { return rw.RLockFor(2 * time.Hour) }, rw.Unlock
		},
	}
	for name, newLock := range locks {
		kinds[name] = func(e *timer.Engine) (func() error, func()) {
			l := newLock(e)
			l.Lock()
			block := func() error {
				err := l.LockFor(2 * time.Hour)
				l.Unlock()
				return err
			}
			return block, l.Unlock
		}
	}
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hand := clock.NewManual(time.Unix(0, 0))
				e := timer.New(timer.Options{Clock: hand})
				defer parktest.CloseEngine(t, e)
				block, free := kind(e)
				var wg sync.WaitGroup
				for range calls {
					wg.Go(func() {
						if err := block(); err != nil {
							t.Error(err)
						}
					})
				}
				synctest.Wait()
				before := e.Stats()
				hand.Advance(time.Hour)
				synctest.Wait()
				after := e.Stats()
				if before.Pending != calls || after.Pending != calls {
					t.Errorf("%d, then %d deadlines are pending, want %d", before.Pending, after.Pending, calls)
				}
				if n := after.Wakeups - before.Wakeups; n != 0 {
					t.Errorf("%d wake-ups in an hour of waiting", n)
				}
				free()
				wg.Wait()
				if s := e.Stats(); s.Expired != 0 {
					t.Errorf("%d deadlines came", s.Expired)
				}
			})
		})
	}
}
