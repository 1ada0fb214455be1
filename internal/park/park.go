// Package park is how a call blocks until it is let go, its context ends or its time is up: the one list of waiters and the
// one race behind everything in duly that waits.
//
// A primitive keeps its state and a [List] of waiters under a lock of its own. A call that cannot go on makes a [Waiter],
// puts it into the list under that lock, and calls [Waiter.Wait] without it. Whoever changes the state lets waiters go, also
// under the lock, with [Waiter.Grant]. Of a grant, the end of the context and the timeout exactly one wins, by one
// compare-and-swap: a grant that was given is never taken back, and one that comes too late says so, so that it can be
// given to the next.
//
// A timeout is a deadline of an engine: it costs an entry there and no timer of the runtime, it comes on the engine's driver,
// and it only unblocks. Inside a testing/synctest bubble the runtime's own timer is used, and a waiter that is never used
// again, so that nothing crosses the bubble's edge.
//
// The package is not for locks, queues and the rest of what waits: they are built on it.
package park

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dulyhq/duly/timer"
)

// ErrTimeout is what a call returns whose time is up. It is a net.Error whose Timeout is true, and errors.Is says that it is
// context.DeadlineExceeded and os.ErrDeadlineExceeded.
var ErrTimeout error = &timeoutError{}

// ErrClosed is what a call returns on something that was closed.
var ErrClosed = errors.New("closed")

type timeoutError struct{}

func (*timeoutError) Error() string   { return "timeout" }
func (*timeoutError) Timeout() bool   { return true }
func (*timeoutError) Temporary() bool { return true }

func (*timeoutError) Is(target error) bool {
	return target == context.DeadlineExceeded || target == os.ErrDeadlineExceeded
}

// A Limit is how long a call may block: until its context ends, or a time is up, or for ever. The time runs from when the call
// first blocks, and is absolute from then on: however often a call blocks on its way, its end stays where it is. The zero
// Limit is none.
type Limit struct {
	ctx    context.Context //nolint:containedctx // it lives as long as one call
	d      time.Duration
	t      time.Time // an instant of the wall clock, in place of d
	done   <-chan struct{}
	timed  bool
	begun  bool
	at     time.Duration // on the engine's clock
	wallAt time.Time     // in a bubble
}

// Until blocks as long as ctx lets it. A nil ctx is context.Background().
func Until(ctx context.Context) Limit { return Limit{ctx: ctx} }

// For blocks for d at most; not at all if d is not positive. What can be had without blocking is had all the same.
func For(d time.Duration) Limit { return Limit{d: d, timed: true} }

// UntilFor blocks as long as ctx lets it, and for d at most.
func UntilFor(ctx context.Context, d time.Duration) Limit { return Limit{ctx: ctx, d: d, timed: true} }

// UntilAt blocks as long as ctx lets it, and until the wall clock shows t, also when it is set, at most. The zero time has
// passed.
func UntilAt(ctx context.Context, t time.Time) Limit {
	if t.IsZero() {
		return UntilFor(ctx, 0)
	}
	return Limit{ctx: ctx, t: t.Round(0), timed: true}
}

// Err returns the cause of a context that has ended: a call fails with it even if what it wants is free. Every call begins with
// it, without the primitive's lock: whatever a context of the user's own does, it does before anything is held.
func (l *Limit) Err() error {
	if l.ctx == nil {
		return nil
	}
	if l.ctx.Err() != nil {
		return context.Cause(l.ctx)
	}
	l.done = l.ctx.Done()
	return nil
}

// Spent says whether the limit leaves no time to block in: a call that cannot have what it wants at once must then not even join
// those who wait, where it would keep others out for a moment.
func (l *Limit) Spent() bool { return l.timed && l.t.IsZero() && l.d <= 0 }

// The states of a waiter. All but the first are final.
const (
	waiting uint32 = iota
	granted
	expired
	cancelled
)

// A Waiter is one blocked call. It is in one list at most. Not to be copied.
type Waiter struct {
	// Want and Value are the primitive's: how much the call waits for, what it is given. The primitive's lock guards them
	// until the waiter is granted; from then on they are the caller's.
	Want  int64
	Value any

	list       *List
	prev, next *Waiter
	state      atomic.Uint32
	err        error         // why the deadline came early; written before state
	wake       chan struct{} // holds one
	expiry     timer.Expiry
	std        *time.Timer // in a bubble
	bubbled    bool        // made in a bubble
	stale      bool        // an engine may still refer to it
}

var pool = sync.Pool{New: func() any { return &Waiter{wake: make(chan struct{}, 1)} }}

// New makes a waiter for one call, which ends with Release.
func New() *Waiter {
	if Bubbled() {
		return &Waiter{wake: make(chan struct{}, 1), bubbled: true}
	}
	return pool.Get().(*Waiter) //nolint:forcetypeassert // the pool holds nothing else
}

// Release ends the use of a waiter that is in no list.
func (w *Waiter) Release() {
	if !w.bubbled && !w.stale {
		w.Want, w.Value, w.err, w.expiry = 0, nil, nil, timer.Expiry{}
		w.state.Store(waiting)
		pool.Put(w)
	}
}

// Bubbled says whether the caller is inside of a testing/synctest bubble, where the runtime gives no monotonic reading.
func Bubbled() bool {
	t := time.Now()
	return t == t.Round(0) //nolint:staticcheck // not whether the instants are equal: whether there is a monotonic reading
}

// Grant lets the waiter's call go on, and takes it out of its list, under the primitive's lock. It is false if the call has
// given up: then nothing was given, and the next one may have it.
func (w *Waiter) Grant() bool {
	if w.list != nil {
		w.list.Remove(w)
	}
	return w.end(granted)
}

func (w *Waiter) end(state uint32) bool {
	if !w.state.CompareAndSwap(waiting, state) {
		return false
	}
	w.wake <- struct{}{}
	return true
}

// Expire implements timer.Expirer.
func (w *Waiter) Expire(err error) {
	if err != nil { // nobody else writes it, and it is read only if this call wins
		w.err = err
	}
	w.end(expired)
}

// Wait blocks until the waiter is granted, and returns nil then; or until the limit is reached. It is called without the
// primitive's lock. After an error the caller takes the waiter out of its list, under the lock, and lets in whom it kept out.
// A nil engine is the default one.
func (w *Waiter) Wait(e *timer.Engine, l *Limit) error {
	if err := w.arm(e, l); err != nil {
		if !w.state.CompareAndSwap(waiting, cancelled) {
			<-w.wake
			return nil
		}
		return err
	}
	if l.done == nil && l.ctx != nil { // nobody asked Err
		l.done = l.ctx.Done()
	}
	select {
	case <-w.wake:
	case <-w.bell():
		if w.state.CompareAndSwap(waiting, expired) {
			return ErrTimeout
		}
		<-w.wake
	case <-l.done:
		err := cause(l.ctx)
		if w.state.CompareAndSwap(waiting, cancelled) {
			w.disarm()
			return err
		}
		<-w.wake
	}
	if w.state.Load() == granted {
		w.disarm()
		return nil
	}
	if w.err != nil {
		return w.err
	}
	return ErrTimeout
}

// cause is context.Cause for the middle of a wait, where a context that panics must not leave the waiter behind in its list.
func cause(ctx context.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the context ended and panicked when asked why: %v", v)
		}
	}()
	return context.Cause(ctx)
}

// arm sets the deadline of a limit that has one.
func (w *Waiter) arm(e *timer.Engine, l *Limit) (err error) {
	defer func() {
		if v := recover(); v != nil {
			w.stale = true // it may have been told of the deadline before
			err = fmt.Errorf("the engine's clock panicked: %v", v)
		}
	}()
	switch {
	case !l.timed:
		return nil
	case l.Spent():
		return ErrTimeout
	case e == nil && w.bubbled:
		return w.armInBubble(l)
	case e == nil:
		e = Default()
	}
	if !l.t.IsZero() {
		w.expiry, err = e.ExpireAt(l.t, w)
		return err
	}
	if !l.begun {
		l.begun, l.at = true, e.Elapsed()+l.d
		if l.at < 0 { // overflowed: never
			l.at = math.MaxInt64
		}
	}
	w.expiry, err = e.Expire(l.at, w)
	return err
}

// armInBubble takes the runtime's timer; nobody sets a bubble's clock.
func (w *Waiter) armInBubble(l *Limit) error {
	at := l.t
	if at.IsZero() {
		if !l.begun {
			l.begun, l.wallAt = true, time.Now().Add(l.d)
		}
		at = l.wallAt
	}
	d := time.Until(at)
	if d <= 0 {
		return ErrTimeout
	}
	w.std = time.NewTimer(d)
	return nil
}

// bell rings when the time is up in a bubble.
func (w *Waiter) bell() <-chan time.Time {
	if w.std == nil {
		return nil
	}
	return w.std.C
}

// disarm takes the deadline back. If the engine is just now telling it, the waiter must not be used for another call.
func (w *Waiter) disarm() {
	if w.std != nil {
		w.std.Stop()
		return
	}
	if w.expiry != (timer.Expiry{}) && !w.expiry.Stop() {
		w.stale = true
	}
	w.expiry = timer.Expiry{}
}

var defaultEngine struct {
	once sync.Once
	e    *timer.Engine
}

// Default returns the engine behind everything that was not given one. It is made on first use, holds no goroutine while
// nothing waits for a time, and is never closed.
func Default() *timer.Engine {
	defaultEngine.once.Do(func() { defaultEngine.e = timer.New(timer.Options{Name: "default"}) })
	return defaultEngine.e
}

// A List is a queue of waiters, first in, first out. The zero List is empty. The primitive's lock guards it.
type List struct {
	head, tail *Waiter
	n          int
}

// Len returns the number of waiters.
func (l *List) Len() int { return l.n }

// Front returns the waiter that came first, or nil.
func (l *List) Front() *Waiter { return l.head }

// Next returns the waiter behind this one, or nil.
func (w *Waiter) Next() *Waiter { return w.next }

// Push puts a waiter at the end.
func (l *List) Push(w *Waiter) {
	w.list, w.prev, w.next = l, l.tail, nil
	if l.tail == nil {
		l.head = w
	} else {
		l.tail.next = w
	}
	l.tail = w
	l.n++
}

// PushFront puts a waiter before all others.
func (l *List) PushFront(w *Waiter) {
	w.list, w.prev, w.next = l, nil, l.head
	if l.head == nil {
		l.tail = w
	} else {
		l.head.prev = w
	}
	l.head = w
	l.n++
}

// Remove takes a waiter out, in constant time; one that is not in the list stays where it is. It says whether it was there.
func (l *List) Remove(w *Waiter) bool {
	if w.list != l {
		return false
	}
	if w.prev == nil {
		l.head = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		l.tail = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.list, w.prev, w.next = nil, nil, nil
	l.n--
	return true
}
