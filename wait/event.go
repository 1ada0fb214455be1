package wait

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dulyhq/duly/internal/park"
	"github.com/dulyhq/duly/timer"
)

// An Event is a flag that can be waited for. The zero Event is clear. It must not be copied after first use, and all methods
// are safe from several goroutines.
//
// Set is sticky: who comes later passes too, until Clear. To let go only those who wait at this moment there is Pulse; a Set
// followed by a Clear is no substitute, as who comes between the two passes as well.
//
// That Wait has returned says that the event was set, or pulsed, while the call waited, not that it still is. For an event that
// happens once, and is waited for without a limit, a channel that is closed is simpler.
type Event struct {
	// Engine keeps the deadlines of WaitFor. Nil is one that all share.
	Engine *timer.Engine

	g gate
}

// Set sets the event and lets everybody go who waits for it. Setting one that is set changes nothing.
func (e *Event) Set() {
	e.g.mu.Lock()
	if e.g.open.Load() {
		e.g.mu.Unlock()
		return
	}
	e.g.open.Store(true)
	hooks := e.g.releaseLocked()
	e.g.mu.Unlock()
	runAll(hooks)
}

// Clear clears the event: from now on calls wait. Those that were let go by an earlier Set stay so.
func (e *Event) Clear() {
	e.g.mu.Lock()
	defer e.g.mu.Unlock()
	e.g.open.Store(false)
}

// Pulse lets go exactly those who wait at this moment, channels of Done and functions of OnSet included, and leaves the event
// clear, in one step: IsSet is never true because of it, and whoever comes later waits.
func (e *Event) Pulse() {
	e.g.mu.Lock()
	e.g.open.Store(false)
	hooks := e.g.releaseLocked()
	e.g.mu.Unlock()
	runAll(hooks)
}

// IsSet says whether the event is set.
func (e *Event) IsSet() bool { return e.g.open.Load() }

// Waiting returns how many calls wait.
func (e *Event) Waiting() int {
	e.g.mu.Lock()
	defer e.g.mu.Unlock()
	return e.g.list.Len()
}

// Wait blocks until the event is set or pulsed, and not at all if it is set.
func (e *Event) Wait() { _ = e.g.pass(e.Engine, park.Limit{}) }

// WaitContext is Wait that gives up when ctx ends, and then returns its cause.
func (e *Event) WaitContext(ctx context.Context) error { return e.g.pass(e.Engine, park.Until(ctx)) }

// WaitFor is Wait that gives up when it has waited for d, and then returns ErrTimeout. With a d of 0 or less it does not wait.
func (e *Event) WaitFor(d time.Duration) error { return e.g.pass(e.Engine, park.For(d)) }

// Done returns a channel that is closed when the event is next set or pulsed; it is closed already if the event is set. After
// that the channel stays closed: for the time after a Clear or a Pulse ask for another.
func (e *Event) Done() <-chan struct{} { return e.g.doneChan() }

// OnSet calls f, once and on a goroutine of its own, when the event is next set or pulsed; at once, if it is set. A panic of f
// ends the program, as in any goroutine. A nil f panics here.
//
// The function that it returns takes that back. It returns true if f will not be called; false if f was called, or is about to
// be, or was taken back before. It does not wait for f.
func (e *Event) OnSet(f func()) (stop func() bool) {
	if f == nil {
		panic("wait: Event.OnSet: f is nil, want a function")
	}
	return e.g.onOpen(func() { go f() })
}

// A gate is what Event, Latch and Future have in common: it is shut or open, and while it is shut calls, a channel and
// functions wait for it. The zero gate is shut.
type gate struct {
	mu    sync.Mutex
	open  atomic.Bool // changed under mu
	list  park.List
	done  chan struct{} // made on first use; closed, and forgotten, when the gate opens
	hooks []*hook
}

// A hook is a function that waits. It is called by whoever opens the gate, without the lock, and must be short.
type hook struct {
	f  func()
	at int // its index among the gate's hooks, -1 when it is none of them any more
}

func runAll(hooks []*hook) {
	for _, h := range hooks {
		h.f()
	}
}

// pass waits until the gate is open.
func (g *gate) pass(e *timer.Engine, l park.Limit) error {
	if err := l.Err(); err != nil {
		return err
	}
	if g.open.Load() {
		return nil
	}
	g.mu.Lock()
	if g.open.Load() {
		g.mu.Unlock()
		return nil
	}
	if l.Spent() {
		g.mu.Unlock()
		return ErrTimeout
	}
	w := park.New()
	g.list.Push(w)
	g.mu.Unlock()
	err := w.Wait(e, &l)
	if err != nil {
		g.mu.Lock()
		g.list.Remove(w)
		g.mu.Unlock()
	}
	w.Release()
	return err
}

// releaseLocked lets go all that waits. The hooks are for the caller to run, without the lock.
func (g *gate) releaseLocked() []*hook {
	for w := g.list.Front(); w != nil; w = g.list.Front() {
		w.Grant()
	}
	if g.done != nil {
		close(g.done)
		g.done = nil
	}
	hooks := g.hooks
	g.hooks = nil
	for _, h := range hooks {
		h.at = -1
	}
	return hooks
}

// closedChan is what there is to wait for when a gate is open. It belongs to no bubble.
var closedChan = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func (g *gate) doneChan() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open.Load() {
		return closedChan
	}
	if g.done == nil {
		g.done = make(chan struct{})
	}
	return g.done
}

// onOpen has f called when the gate opens; at once, by the caller, if it is open.
func (g *gate) onOpen(f func()) (stop func() bool) {
	g.mu.Lock()
	if g.open.Load() {
		g.mu.Unlock()
		f()
		return func() bool { return false }
	}
	h := &hook{f: f, at: len(g.hooks)}
	g.hooks = append(g.hooks, h)
	g.mu.Unlock()
	return func() bool { return g.unhook(h) }
}

func (g *gate) unhook(h *hook) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if h.at < 0 {
		return false
	}
	last := len(g.hooks) - 1
	g.hooks[h.at] = g.hooks[last]
	g.hooks[h.at].at = h.at
	g.hooks[last] = nil
	g.hooks = g.hooks[:last]
	h.at = -1
	return true
}
