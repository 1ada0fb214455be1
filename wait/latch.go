package wait

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/dulyhq/duly/internal/park"
	"github.com/dulyhq/duly/timer"
)

// A Latch is shut until it was counted down as often as it was made for, and then open for ever. The zero Latch is open. It
// must not be copied after first use, and all methods are safe from several goroutines.
//
// It is a sync.WaitGroup whose Wait can end in time, and which is used once: what has opened stays open, so that an Add that
// comes too late is refused instead of shutting it again.
type Latch struct {
	// Engine keeps the deadlines of WaitFor. Nil is one that all share.
	Engine *timer.Engine

	g gate
	n int // guarded by g.mu
}

// NewLatch returns a latch that opens after n calls of CountDown; one of 0 is open. A negative n panics.
func NewLatch(n int) *Latch {
	if n < 0 {
		panic(fmt.Sprintf("wait: NewLatch: n is %d, want 0 or more", n))
	}
	return &Latch{n: n}
}

// CountDown takes one off the count, and opens the latch if that was the last. Beyond that it changes nothing. What comes
// before a CountDown in one goroutine comes before the return of every Wait that it opens.
func (l *Latch) CountDown() {
	l.g.mu.Lock()
	if l.n--; l.n > 0 {
		l.g.mu.Unlock()
		return
	}
	l.n = 0
	l.g.open.Store(true)
	hooks := l.g.releaseLocked()
	l.g.mu.Unlock()
	runAll(hooks)
}

// Add adds n to the count, and returns true; if the latch is open it changes nothing and returns false. A negative n panics, and
// so does a count that does not fit into an int.
func (l *Latch) Add(n int) bool {
	if n < 0 {
		panic(fmt.Sprintf("wait: Latch.Add: n is %d, want 0 or more", n))
	}
	l.g.mu.Lock()
	defer l.g.mu.Unlock()
	if l.n == 0 {
		return false
	}
	if n > math.MaxInt-l.n {
		panic(fmt.Sprintf("wait: Latch.Add: n is %d, want at most %d", n, math.MaxInt-l.n))
	}
	l.n += n
	return true
}

// Count returns how many calls of CountDown are missing; 0 if the latch is open.
func (l *Latch) Count() int {
	l.g.mu.Lock()
	defer l.g.mu.Unlock()
	return l.n
}

// Wait blocks until the latch is open.
func (l *Latch) Wait() { _ = l.gate().pass(l.Engine, park.Limit{}) }

// WaitContext is Wait that gives up when ctx ends, and then returns its cause.
func (l *Latch) WaitContext(ctx context.Context) error {
	return l.gate().pass(l.Engine, park.Until(ctx))
}

// WaitFor is Wait that gives up when it has waited for d, and then returns ErrTimeout. With a d of 0 or less it does not wait.
func (l *Latch) WaitFor(d time.Duration) error { return l.gate().pass(l.Engine, park.For(d)) }

// Done returns a channel that is closed when the latch is open.
func (l *Latch) Done() <-chan struct{} { return l.gate().doneChan() }

// gate returns the gate, open if nothing was ever to be counted.
func (l *Latch) gate() *gate {
	if !l.g.open.Load() {
		l.g.mu.Lock()
		if l.n == 0 {
			l.g.open.Store(true)
		}
		l.g.mu.Unlock()
	}
	return &l.g
}
