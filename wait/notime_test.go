package wait_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/internal/park/parktest"
	"github.com/dulyhq/duly/wait"
)

// A call that has no time to wait does not even join those who wait: while many of them fail, nobody else is kept out by them,
// is counted among those who wait, or is told that it was woken.
func TestNoTime_KeepsNobodyOut(t *testing.T) {
	var rw wait.RWMutex
	rw.RLock()
	sem, unequal := wait.NewSemaphore(2), wait.NewSemaphore(2)
	if !sem.TryAcquire(1) || !unequal.TryAcquire(1) {
		t.Fatal("a permit is not free")
	}
	var event wait.Event
	var napper wait.Napper
	cond := wait.NewCond(new(sync.Mutex))
	free := func(ok bool, back func()) bool {
		if ok {
			back()
		}
		return ok
	}
	tests := map[string]struct {
		inVain func() error // in a loop of its own, beside probe
		probe  func() bool
	}{
		"RWMutex, TryRLock": {
			func() error { return rw.LockFor(0) },
			func() bool { return free(rw.TryRLock(), rw.RUnlock) },
		},
		"RWMutex, RLockFor": {
			func() error { return rw.LockFor(-1) },
			func() bool { return free(rw.RLockFor(0) == nil, rw.RUnlock) },
		},
		"Semaphore, TryAcquire": {
			func() error { return sem.AcquireFor(0, 2) },
			func() bool { return free(sem.TryAcquire(1), func() { sem.Release(1) }) },
		},
		"Semaphore, Waiting": {
			func() error { return unequal.AcquireFor(-1, 2) },
			func() bool { return unequal.Waiting() == 0 },
		},
		"Event, Waiting": {
			func() error { return event.WaitFor(0) },
			func() bool { return event.Waiting() == 0 },
		},
		"Cond, Waiting": {
			func() error {
				cond.L.Lock()
				defer cond.L.Unlock()
				return cond.WaitFor(0)
			},
			func() bool { return cond.Waiting() == 0 },
		},
		"Napper, Interrupt": {
			func() error { napper.Nap(0); return wait.ErrTimeout },
			func() bool { return !napper.Interrupt() },
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var over atomic.Bool
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() {
					for !over.Load() {
						if err := test.inVain(); !errors.Is(err, wait.ErrTimeout) {
							t.Errorf("in no time: %v", err)
							return
						}
					}
				})
			}
			n, failed := parktest.Rounds(100_000), 0
			for range n {
				if !test.probe() {
					failed++
				}
			}
			over.Store(true)
			wg.Wait()
			if failed > 0 {
				t.Errorf("%d of %d failed for those that have no time", failed, n)
			}
		})
	}
}

// What is free is had in no time, and what is not fails in none, with ErrTimeout and without a trace; in the order of the checks
// an argument that cannot be is told before the time that is not there.
func TestNoTime_Answers(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		var group wait.Group
		group.Engine = v.Engine
		group.SetLimit(1)
		p := newPool(v.Engine, 1, -1)
		var promise wait.Promise[int]
		fut := promise.Future()
		fut.Engine = v.Engine
		latch := wait.NewLatch(1)
		latch.Engine = v.Engine
		work := func(context.Context) (int, error) { return 1, nil }
		ways := map[string]func(d time.Duration) error{
			"Group.GoFor":   func(d time.Duration) error { return group.GoFor(d, func() error { return nil }) },
			"Group.WaitFor": group.WaitFor,
			"SubmitFor":     func(d time.Duration) error { _, err := wait.SubmitFor(t.Context(), d, p, work); return err },
			"Pool.JoinFor":  p.JoinFor,
			"Future.GetFor": func(d time.Duration) error { _, err := fut.GetFor(d); return err },
			"Latch.WaitFor": latch.WaitFor,
		}
		release := make(chan struct{})
		group.Go(func() error { <-release; return nil })
		mustSubmit(t, p, func(context.Context) (int, error) { <-release; return 0, nil })
		for name, way := range ways {
			for _, d := range []time.Duration{-1, 0} {
				if err := way(d); !errors.Is(err, wait.ErrTimeout) {
					t.Errorf("%s(%v): %v", name, d, err)
				}
			}
		}
		if _, ok := wait.TrySubmit(t.Context(), p, work); ok {
			t.Error("TrySubmit: no place, and yet")
		}
		close(release)
		synctest.Wait()
		promise.Resolve(1, nil)
		latch.CountDown()
		for _, d := range []time.Duration{-1, 0} {
			for name, way := range ways {
				if err := way(d); err != nil {
					t.Errorf("%s(%v), free: %v", name, d, err)
				}
				synctest.Wait()
			}
		}
		sem := wait.NewSemaphore(1)
		if err := sem.AcquireFor(0, 2); !errors.Is(err, wait.ErrTooMany) {
			t.Errorf("more than there are, in no time: %v", err)
		}
		if err := p.DrainFor(0); err != nil {
			t.Error(err)
		}
		if _, err := wait.SubmitFor(t.Context(), 0, p, work); !errors.Is(err, wait.ErrClosed) {
			t.Errorf("a pool that is closed, in no time: %v", err)
		}
	})
}

// A Cond's WaitFor that has no time gives its lock up for a moment, so that a loop of it keeps nobody out; WaitUntilFor asks and
// keeps it.
func TestNoTime_CondAndItsLock(t *testing.T) {
	unlocked, asked := 0, 0
	c := wait.NewCond(hooked{unlock: func() { unlocked++ }})
	for _, d := range []time.Duration{-1, 0} {
		if err := c.WaitFor(d); !errors.Is(err, wait.ErrTimeout) {
			t.Errorf("WaitFor(%v): %v", d, err)
		}
		if unlocked != 1 {
			t.Errorf("WaitFor(%v) gave the lock up %d times, want once", d, unlocked)
		}
		unlocked = 0
		if err := c.WaitUntilFor(d, func() bool { asked++; return false }); !errors.Is(err, wait.ErrTimeout) {
			t.Errorf("WaitUntilFor(%v): %v", d, err)
		}
		if err := c.WaitUntilFor(d, func() bool { return true }); err != nil {
			t.Errorf("WaitUntilFor(%v), true: %v", d, err)
		}
		if unlocked != 0 {
			t.Errorf("WaitUntilFor(%v) gave the lock up", d)
		}
	}
	if asked != 2 {
		t.Errorf("the predicate was asked %d times, want 2", asked)
	}
}
