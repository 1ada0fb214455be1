package wait_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/internal/park/parktest"
	"github.com/dulyhq/duly/timer"
	"github.com/dulyhq/duly/wait"
)

// A signal races with a waiter that gives up, tens of thousands of times: exactly one call returns nil for it, this one or the next
// in line.
func TestCond_SignalNeverLostToGivingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		c := wait.NewCond(&mu)
		locked := func(f func() error) <-chan error {
			return call(func() error { mu.Lock(); defer mu.Unlock(); return f() })
		}
		var toFirst int
		n := parktest.Rounds(20_000)
		for range n {
			ctx, cancel := context.WithCancel(t.Context())
			first := locked(func() error { return c.WaitContext(ctx) })
			synctest.Wait()
			second := locked(func() error { c.Wait(); return nil })
			synctest.Wait()
			if rand.IntN(2) == 0 {
				go c.Signal()
				cancel()
			} else {
				go cancel()
				c.Signal()
			}
			synctest.Wait()
			err := <-first
			if _, ok := returned(second); ok == (err == nil) {
				t.Fatalf("the first got %v, the second went on: %v", err, ok)
			}
			if err == nil {
				toFirst++
				c.Signal()
				synctest.Wait()
			}
			cancel()
		}
		t.Logf("%d of %d signals went to the one that gave up", toFirst, n)
	})
}

// The same with a deadline, which the engine's driver tells before the waiter runs: a signal right after it goes to the next.
func TestCond_SignalNeverLostToADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hand := clock.NewManual(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
		e := timer.New(timer.Options{Clock: hand})
		defer parktest.CloseEngine(t, e)
		var mu sync.Mutex
		c := &wait.Cond{Engine: e, L: &mu}
		locked := func(f func() error) <-chan error {
			return call(func() error { mu.Lock(); defer mu.Unlock(); return f() })
		}
		for i := range parktest.Rounds(5_000) {
			first := locked(func() error { return c.WaitFor(time.Second) })
			synctest.Wait()
			second := locked(func() error { c.Wait(); return nil })
			synctest.Wait()
			if i%2 == 0 {
				hand.Advance(time.Second)
				c.Signal()
			} else {
				go hand.Advance(time.Second)
				c.Signal()
			}
			synctest.Wait()
			err := <-first
			if _, ok := returned(second); ok == (err == nil) {
				t.Fatalf("the first got %v, the second went on: %v", err, ok)
			}
			if err == nil {
				c.Signal()
				synctest.Wait()
			}
		}
	})
}

// The same with deadlines of the engine, on the real clock: as many calls return nil as signals were given to somebody.
func TestCond_SignalsConserved(t *testing.T) {
	const waiters = 8
	var mu sync.Mutex
	c := wait.NewCond(&mu)
	tokens, taken := 0, 0
	var left atomic.Int64
	left.Store(waiters)
	var wg sync.WaitGroup
	for range waiters {
		wg.Go(func() {
			defer left.Add(-1)
			for range parktest.Rounds(4_000) {
				mu.Lock()
				if err := c.WaitUntilFor(time.Duration(rand.IntN(50))*time.Microsecond, func() bool { return tokens > 0 }); err == nil {
					tokens--
					taken++
				}
				mu.Unlock()
			}
		})
	}
	given := 0
	for left.Load() > 0 {
		mu.Lock()
		tokens++
		given++
		c.Signal()
		mu.Unlock()
		time.Sleep(time.Microsecond)
	}
	wg.Wait()
	if given != taken+tokens || c.Waiting() != 0 || taken == 0 {
		t.Errorf("%d given, %d taken and %d left; %d wait", given, taken, tokens, c.Waiting())
	}
}

// A counted lock says how often those who waited woke: each wake-up takes the lock again.
type countedLock struct {
	sync.Mutex

	n atomic.Int64
}

func (l *countedLock) Lock() {
	l.n.Add(1)
	l.Mutex.Lock()
}

// 16,000 waiters of one Cond are cancelled one by one: there are 16,000 wake-ups, each of the one that is cancelled. What stands in
// for this with sync.Cond, a Broadcast when a context ends, wakes everybody each time.
func TestCond_CancelWakesOnlyTheCancelled(t *testing.T) {
	const n = 16_000
	synctest.Test(t, func(t *testing.T) {
		var mu countedLock
		c := wait.NewCond(&mu)
		cancels := make([]context.CancelFunc, n)
		var ended atomic.Int64
		for i := range cancels {
			ctx, cancel := context.WithCancel(t.Context())
			cancels[i] = cancel
			go func() {
				mu.Lock()
				defer mu.Unlock()
				if err := c.WaitUntil(ctx, func() bool { return false }); errors.Is(err, context.Canceled) {
					ended.Add(1)
				}
			}()
		}
		synctest.Wait()
		if c.Waiting() != n || mu.n.Load() != n {
			t.Fatalf("%d wait, want %d; %d lockings", c.Waiting(), n, mu.n.Load())
		}
		for i, cancel := range cancels {
			cancel()
			if i%1000 == 0 {
				synctest.Wait()
				if got := ended.Load(); got != int64(i+1) {
					t.Fatalf("after %d cancels %d have returned", i+1, got)
				}
			}
		}
		synctest.Wait()
		if wakeups := mu.n.Load() - n; wakeups != n || ended.Load() != n || c.Waiting() != 0 {
			t.Errorf("%d wake-ups, want %d; %d returned, %d wait", wakeups, n, ended.Load(), c.Waiting())
		}
	})
}
