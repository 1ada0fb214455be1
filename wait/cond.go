package wait

import (
	"context"
	"sync"
	"time"

	"github.com/dulyhq/duly/internal/park"
	"github.com/dulyhq/duly/timer"
)

// A Cond is where goroutines wait for a change of what a lock guards. Set L before first use, to a *Mutex, a *sync.Mutex, or
// another sync.Locker that keeps out whoever changes the condition while it is looked at. A Cond must not be copied after first
// use, and all methods are safe from several goroutines.
//
// Wait for a predicate, with WaitUntil: a signal says that something has changed, not that it is still so when the waiter has
// the lock again, and a signal that nobody waits for is gone. WaitUntil looks before it waits and after.
//
// Every call that waits is made with L held, and returns with L held, whatever it returns. In between it waits in line before
// it gives L up, so that no signal made after that is lost. It takes L again by a plain Lock, which the context or the time
// does not limit: who was let go returns when the signaller, and all who came for L before it, have unlocked.
//
// Signals go to those who have waited longest, one each. One that gives up takes none away: of its signal and the end of its
// time exactly one wins, and if the latter does the signal goes to the next. A call that was signalled first returns nil
// although its context may have ended by then.
//
// To wait when L is not held is a mistake, which a Mutex answers with a panic and a sync.Mutex with the end of the program.
type Cond struct {
	// Engine keeps the deadlines of WaitFor and WaitUntilFor. Nil is one that all share.
	Engine *timer.Engine
	// L is held when the condition is looked at or changed.
	L sync.Locker

	mu   sync.Mutex
	list park.List
}

// NewCond returns a Cond whose lock is l.
func NewCond(l sync.Locker) *Cond { return &Cond{L: l} }

// Wait blocks until it is signalled. It is for those who look at the condition themselves, in a loop.
func (c *Cond) Wait() { _ = c.wait(&park.Limit{}) }

// WaitContext is Wait that gives up when ctx ends, and then returns its cause. L is held in any case.
func (c *Cond) WaitContext(ctx context.Context) error {
	l := park.Until(ctx)
	return c.wait(&l)
}

// WaitFor is Wait that gives up when it has waited for d, and then returns ErrTimeout; at once, if d is 0 or less, but L was
// given up for a moment. L is held in any case. In a loop each call has the whole of d; WaitUntilFor has it once.
func (c *Cond) WaitFor(d time.Duration) error {
	l := park.For(d)
	return c.wait(&l)
}

// WaitUntil blocks until pred is true, which it asks at once and whenever it was signalled, always with L held. It returns nil
// if pred was true the last time it was asked, with L held since. It gives up when ctx ends: then it asks once more, and returns
// the context's cause if the answer is no. A context that has ended before the call fails it unasked. A panic of pred is the
// caller's, with L held, and the signal that had it asked goes to the next in line.
func (c *Cond) WaitUntil(ctx context.Context, pred func() bool) error {
	return c.waitUntil(park.Until(ctx), pred)
}

// WaitUntilFor is WaitUntil that gives up when it has waited for d, however often it was signalled in between, and then returns
// ErrTimeout. With a d of 0 or less it asks once and does not give L up.
func (c *Cond) WaitUntilFor(d time.Duration, pred func() bool) error {
	return c.waitUntil(park.For(d), pred)
}

func (c *Cond) waitUntil(l park.Limit, pred func() bool) error {
	if err := l.Err(); err != nil {
		return err
	}
	signalled := false // and pred has not answered to that
	defer func() {
		if signalled {
			c.Signal()
		}
	}()
	for !pred() {
		signalled = false
		if l.Spent() {
			return ErrTimeout
		}
		if err := c.wait(&l); err != nil {
			if pred() {
				return nil
			}
			return err
		}
		signalled = true
	}
	signalled = false
	return nil
}

func (c *Cond) wait(l *park.Limit) error {
	if err := l.Err(); err != nil {
		return err
	}
	if l.Spent() { // nor is it in line for a signal; who polls lets others at L all the same
		c.L.Unlock()
		c.L.Lock()
		return ErrTimeout
	}
	w := park.New()
	c.mu.Lock()
	c.list.Push(w)
	c.mu.Unlock()
	c.unlock(w)
	err := w.Wait(c.Engine, l)
	if err != nil {
		c.mu.Lock()
		c.list.Remove(w)
		c.mu.Unlock()
	}
	w.Release()
	c.L.Lock()
	return err
}

// unlock gives up L. If that panics, because L is not held, w does not stay in line, nor keep a signal.
func (c *Cond) unlock(w *park.Waiter) {
	done := false
	defer func() {
		if done {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.list.Remove(w) {
			c.signalLocked(1)
		}
	}()
	c.L.Unlock()
	done = true
}

// Signal lets go the one that has waited longest, if anybody waits. L may be held, and mostly is; then the other returns after
// it was unlocked.
func (c *Cond) Signal() { c.SignalN(1) }

// SignalN lets go the n that have waited longest, or all if fewer wait; nobody, if n is 0 or less.
func (c *Cond) SignalN(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.signalLocked(n)
}

// Broadcast lets go all who wait at this moment.
func (c *Cond) Broadcast() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.signalLocked(c.list.Len())
}

func (c *Cond) signalLocked(n int) {
	for w := c.list.Front(); w != nil && n > 0; w = c.list.Front() {
		if w.Grant() {
			n--
		}
	}
}

// Waiting returns how many calls wait.
func (c *Cond) Waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.list.Len()
}
