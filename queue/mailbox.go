package queue

import (
	"context"
	"sync"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/internal/park"
	"github.com/dulyhq/duly/timer"
)

// A Mailbox is what one goroutine, or a few, receive messages from that many send. Sending never blocks. Receiving takes the
// oldest message, or the oldest that the receiver wants now: the others stay, in their order. The zero Mailbox has no limit;
// [NewMailbox] makes one that has.
//
// Receivers that take any message are served in the order in which they came, and before those that choose: these see what
// stays in the mailbox.
type Mailbox[T any] struct {
	// Engine is where timeouts are deadlines; nil is a default engine, shared by all.
	Engine *timer.Engine

	mu       sync.Mutex
	capacity int
	msgs     letters[T]
	takers   park.List // Receive
	choosers park.List // ReceiveIf, which look again
	closed   bool
}

// NewMailbox makes a mailbox that holds capacity messages; 0 is no limit. A negative capacity panics.
func NewMailbox[T any](capacity int) *Mailbox[T] {
	if capacity < 0 {
		panic("queue: NewMailbox: capacity is negative, want 0 for no limit, or more")
	}
	return &Mailbox[T]{capacity: capacity}
}

// Send puts a message into the mailbox and never blocks. It fails with ErrFull if the mailbox holds as much as it may, and with
// ErrClosed if it was closed.
func (m *Mailbox[T]) Send(v T) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	for w := m.takers.Front(); w != nil; w = m.takers.Front() {
		slotOf[T](w).v = v
		if w.Grant() {
			return nil
		}
	}
	if m.capacity > 0 && m.msgs.n >= m.capacity {
		return ErrFull
	}
	m.msgs.push(v)
	m.rouse()
	return nil
}

// Receive takes the oldest message out, and blocks while there is none and ctx lets it. It fails with the cause of a context
// that has ended, or with ErrClosed once a closed mailbox is empty.
func (m *Mailbox[T]) Receive(ctx context.Context) (T, error) { return m.receive(park.Until(ctx)) }

// ReceiveFor is Receive with a timeout: after d it fails with ErrTimeout. With a d of zero or less it does not block.
func (m *Mailbox[T]) ReceiveFor(d time.Duration) (T, error) { return m.receive(park.For(d)) }

// TryReceive takes the oldest message out if there is one. It is false if the mailbox is empty, closed or not;
// ReceiveFor(0) tells which.
func (m *Mailbox[T]) TryReceive() (v T, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.msgs.first()
	if l == nil {
		return v, false
	}
	return m.msgs.take(l), true
}

func (m *Mailbox[T]) receive(l park.Limit) (none T, err error) {
	if err = l.Err(); err != nil {
		return none, err
	}
	m.mu.Lock()
	if first := m.msgs.first(); first != nil {
		v := m.msgs.take(first)
		m.mu.Unlock()
		return v, nil
	}
	if m.closed {
		m.mu.Unlock()
		return none, ErrClosed
	}
	if l.Spent() {
		m.mu.Unlock()
		return none, ErrTimeout
	}
	w, s := park.New(), &slot[T]{}
	w.Value = s
	m.takers.Push(w)
	m.mu.Unlock()
	if err = m.wait(w, &m.takers, &l); err != nil {
		return none, err
	}
	return s.v, s.err
}

func (m *Mailbox[T]) wait(w *park.Waiter, list *park.List, l *park.Limit) error {
	err := w.Wait(m.Engine, l)
	if err != nil {
		m.mu.Lock()
		list.Remove(w)
		m.mu.Unlock()
	}
	w.Value = nil
	w.Release()
	return err
}

// ReceiveIf takes out the oldest message for which pred is true, and blocks while there is none and ctx lets it. The others
// stay in their order. It fails with the cause of a context that has ended, or with ErrClosed once the mailbox is closed and
// none that is left will do.
//
// pred is called on the caller's goroutine, without a lock: it may take its time, and use the mailbox. It is called once
// for each message that it is shown, oldest first, and may be shown one that another receiver then takes. If it panics, nothing
// was taken.
func (m *Mailbox[T]) ReceiveIf(ctx context.Context, pred func(T) bool) (T, error) {
	return m.receiveIf(&chooser[T]{pred: pred, limit: park.Until(ctx)})
}

// ReceiveIfFor is ReceiveIf with a timeout: after d it fails with ErrTimeout. With a d of zero or less it looks at what is
// there.
//
// d counts from the call: the time that pred takes is part of it. What was there when the call began, or when it was woken in
// time, is looked at even so; messages that arrive while it looks do not prolong it.
func (m *Mailbox[T]) ReceiveIfFor(d time.Duration, pred func(T) bool) (T, error) {
	c := &chooser[T]{pred: pred, limit: park.For(d), timed: true}
	if d > 0 {
		now := m.now()
		c.end = now + d
		if c.end < now { // overflowed
			c.end = time.Duration(never)
		}
	}
	return m.receiveIf(c)
}

// TryReceiveIf takes out the oldest message for which pred is true, if there is one.
func (m *Mailbox[T]) TryReceiveIf(pred func(T) bool) (T, bool) {
	v, err := m.ReceiveIfFor(0, pred)
	return v, err == nil
}

// now is a reading of the timeline of timeouts, only to be compared with others of this place.
func (m *Mailbox[T]) now() time.Duration {
	e := m.Engine
	if e == nil {
		if park.Bubbled() {
			return time.Duration(clock.System().Read().Wall)
		}
		e = park.Default()
	}
	return e.Elapsed()
}

// ReceiveAll takes all messages out, oldest first, without blocking; nil if there are none.
func (m *Mailbox[T]) ReceiveAll() []T {
	m.mu.Lock()
	defer m.mu.Unlock()
	var vs []T
	if m.msgs.n > 0 {
		vs = make([]T, 0, m.msgs.n)
	}
	for l := m.msgs.first(); l != nil; l = m.msgs.first() {
		vs = append(vs, m.msgs.take(l))
	}
	return vs
}

// Len returns the number of messages in the mailbox.
func (m *Mailbox[T]) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.msgs.n
}

// Cap returns the capacity, 0 if there is no limit.
func (m *Mailbox[T]) Cap() int { return m.capacity }

// Waiting returns how many receivers block.
func (m *Mailbox[T]) Waiting() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.takers.Len() + m.choosers.Len()
}

// Close ends the mailbox: nothing more is sent, and receivers get what is left and then ErrClosed. A second Close does
// nothing.
func (m *Mailbox[T]) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	release(&m.takers, func(w *park.Waiter) { slotOf[T](w).err = ErrClosed })
	m.rouse()
}
