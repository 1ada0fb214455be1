package clock

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// Call names a call that a Trap can hold.
type Call string

// The calls of a Manual clock, and of its alarms, that a trap can hold.
const (
	CallRead     Call = "Read"
	CallNewAlarm Call = "NewAlarm"
	CallSet      Call = "Set"
)

// Trap holds calls of a Manual clock before they do anything, so that a test
// can move time, or do something else, at exactly that moment.
type Trap struct {
	clock *Manual
	calls []Call
	held  chan *Held
	done  chan struct{}
	close sync.Once
}

// Held is a call that a trap holds.
type Held struct {
	// Call says which method was called.
	Call Call
	// Alarm is the number of the alarm in a call of Set, else -1.
	Alarm int
	// Boot and Wall are the arguments of a call of Set, else 0.
	Boot, Wall int64

	let      chan struct{} // closed when it may go on
	release  sync.Once
	returned chan struct{} // closed when the clock has done the call
}

// Trap begins to hold every call of the kinds named; of every kind if none is.
// A call that several traps want is held by each in the order they were made.
// Its own callers, Advance and so on, are not held. Close the trap in the end.
func (m *Manual) Trap(calls ...Call) *Trap {
	if len(calls) == 0 {
		calls = []Call{CallRead, CallNewAlarm, CallSet}
	}
	t := &Trap{clock: m, calls: calls, held: make(chan *Held), done: make(chan struct{})}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.traps = append(m.traps, t)
	return t
}

// Wait waits until a call is held and returns it. Each held call is returned
// once. It returns the context's cause if ctx ends first.
func (t *Trap) Wait(ctx context.Context) (*Held, error) {
	select {
	case h := <-t.held:
		return h, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a trapped call of %v: %w", t.calls, context.Cause(ctx))
	}
}

// Close lets every call go on that the trap holds, and holds no more. It may be
// called again.
func (t *Trap) Close() {
	t.close.Do(func() {
		m := t.clock
		m.mu.Lock()
		m.traps = slices.DeleteFunc(m.traps, func(o *Trap) bool { return o == t })
		m.mu.Unlock()
		close(t.done)
	})
}

// Release lets the call go on and waits until the clock has done it, or until
// ctx ends and then returns its cause. Another trap may hold the call
// meanwhile. Release may be called again.
func (h *Held) Release(ctx context.Context) error {
	h.release.Do(func() { close(h.let) })
	select {
	case <-h.returned:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("release the call of %s: %w", h.Call, context.Cause(ctx))
	}
}

// enter holds a call as long as traps want and returns what to call when it is
// done.
func (m *Manual) enter(c Call, alarm int, boot, wall int64) func() {
	m.mu.Lock()
	var traps []*Trap
	for _, t := range m.traps {
		if slices.Contains(t.calls, c) {
			traps = append(traps, t)
		}
	}
	m.mu.Unlock()
	if len(traps) == 0 {
		return func() {}
	}
	returned := make(chan struct{})
	for _, t := range traps {
		h := &Held{Call: c, Alarm: alarm, Boot: boot, Wall: wall, let: make(chan struct{}), returned: returned}
		select {
		case t.held <- h:
		case <-t.done:
			continue
		}
		select {
		case <-h.let:
		case <-t.done:
		}
	}
	return func() { close(returned) }
}
