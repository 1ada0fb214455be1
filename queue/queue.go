package queue

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/dulyhq/duly/internal/park"
	"github.com/dulyhq/duly/timer"
)

// A Queue hands values from those who put to those who get, and keeps account of what is not done yet. It may have a capacity:
// then a Put into a full queue blocks. The zero Queue has none and is first in, first out; [New], [NewLIFO] and [NewPriority]
// make others.
//
// Getters are served in the order in which they came, and so are putters. A value for which a getter waits goes to it
// directly. The value of a putter that blocks is in the queue only when the putter is let in: Len does not count it, and a
// putter that gives up leaves nothing behind.
//
// A value that was got is unfinished until [Queue.Done] is called for it; [Queue.Join] waits until nothing is unfinished. Who
// never joins need not call Done. [Queue.Process] does both, get and Done.
//
// [Queue.Close] ends a queue in order: nothing more is put, and getters get what is left and then ErrClosed, so that no value
// has to be kept aside to mean the end. [Queue.CloseNow] ends it at once and returns what was left.
type Queue[T any] struct {
	// Engine is where timeouts are deadlines; nil is a default engine, shared by all.
	Engine *timer.Engine

	mu       sync.Mutex
	capacity int // 0 is none
	last     bool
	ring     ring[T]
	heap     heap[T] // used if it has a less

	working int // got and not done
	getters park.List
	putters park.List
	joiners park.List
	closed  bool
	broken  bool // by CloseNow
	dropped bool // something was left then
}

// New makes a queue that is first in, first out and holds capacity values; 0 is no limit. A negative capacity panics.
func New[T any](capacity int) *Queue[T] {
	if capacity < 0 {
		panic("queue: New: capacity is negative, want 0 for no limit, or more")
	}
	return &Queue[T]{capacity: capacity}
}

// NewLIFO is New for a queue that gives out the newest value first.
func NewLIFO[T any](capacity int) *Queue[T] {
	q := New[T](capacity)
	q.last = true
	return q
}

// NewPriority is New for a queue that gives out the least value first, and of equal values the one that came first.
//
// less must be quick, always answer the same for the same two values, and not use the queue: it is called while the queue is
// locked. If it panics, the queue is as it was before, and the panic reaches the goroutine whose value or call it was; only
// GetAll and CloseNow may lose what they were about to return.
func NewPriority[T any](capacity int, less func(a, b T) bool) *Queue[T] {
	if less == nil {
		panic("queue: NewPriority: less is nil, want a function")
	}
	q := New[T](capacity)
	q.heap.less = less
	return q
}

// A slot is what a blocked call brings with it, or what it is given. The queue's lock guards it until the grant.
type slot[T any] struct {
	v     T
	err   error
	raise any // a panic of less about v
}

func slotOf[T any](w *park.Waiter) *slot[T] {
	return w.Value.(*slot[T]) //nolint:forcetypeassert // the lists of this package hold nothing else
}

// Put puts v in, and blocks while the queue is full and ctx lets it. After an error v is not in the queue: the cause of a
// context that has ended, or ErrClosed.
func (q *Queue[T]) Put(ctx context.Context, v T) error { return q.put(park.Until(ctx), v) }

// PutFor is Put with a timeout: after d it fails with ErrTimeout. With a d of zero or less it does not block.
func (q *Queue[T]) PutFor(d time.Duration, v T) error { return q.put(park.For(d), v) }

// TryPut puts v in if there is room. It is false if the queue is full or closed; PutFor(0, v) tells which.
func (q *Queue[T]) TryPut(v T) bool {
	l := park.For(0)
	_, err := q.enter(v, &l)
	return err == nil
}

func (q *Queue[T]) put(l park.Limit, v T) error {
	if err := l.Err(); err != nil {
		return err
	}
	w, err := q.enter(v, &l)
	if w == nil {
		return err
	}
	s := slotOf[T](w)
	if err = q.wait(w, &q.putters, &l); err != nil {
		return err
	}
	if s.raise != nil {
		panic(s.raise)
	}
	return s.err
}

// enter puts v in. If there is no room it makes a waiter that will bring it in, or returns ErrTimeout if there is no time to
// wait.
func (q *Queue[T]) enter(v T, l *park.Limit) (*park.Waiter, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil, ErrClosed
	}
	for w := q.getters.Front(); w != nil; w = q.getters.Front() {
		slotOf[T](w).v = v
		if w.Grant() {
			q.working++
			return nil, nil //nolint:nilnil // done, and nobody has to wait
		}
	}
	if q.room() {
		q.store(v, q.place(v))
		return nil, nil //nolint:nilnil // done, and nobody has to wait
	}
	if l.Spent() {
		return nil, ErrTimeout
	}
	w := park.New()
	w.Value = &slot[T]{v: v}
	q.putters.Push(w)
	return w, nil
}

// wait blocks a call whose waiter is in the list, until it is granted.
func (q *Queue[T]) wait(w *park.Waiter, list *park.List, l *park.Limit) error {
	err := w.Wait(q.Engine, l)
	if err != nil {
		q.mu.Lock()
		list.Remove(w) // it kept nobody out: each wants one value, or one place
		q.mu.Unlock()
	}
	w.Value = nil
	w.Release()
	return err
}

// Get takes the next value out, and blocks while there is none and ctx lets it. It fails with the cause of a context that has
// ended, or with ErrClosed once a closed queue is empty.
func (q *Queue[T]) Get(ctx context.Context) (T, error) { return q.get(park.Until(ctx)) }

// GetFor is Get with a timeout: after d it fails with ErrTimeout. With a d of zero or less it does not block.
func (q *Queue[T]) GetFor(d time.Duration) (T, error) { return q.get(park.For(d)) }

// TryGet takes the next value out if there is one. It is false if the queue is empty, closed or not; GetFor(0) tells which.
func (q *Queue[T]) TryGet() (T, bool) {
	l := park.For(0)
	v, _, err := q.leave(&l)
	return v, err == nil
}

func (q *Queue[T]) get(l park.Limit) (none T, err error) {
	if err = l.Err(); err != nil {
		return none, err
	}
	v, w, err := q.leave(&l)
	if w == nil {
		return v, err
	}
	s := slotOf[T](w)
	if err = q.wait(w, &q.getters, &l); err != nil {
		return none, err
	}
	return s.v, s.err
}

// leave takes a value out. If there is none it makes a waiter that will be given one, or returns ErrTimeout if there is no time
// to wait.
func (q *Queue[T]) leave(l *park.Limit) (v T, w *park.Waiter, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.size() > 0:
		if q.heap.less != nil {
			v = q.heap.pop()
		} else {
			v = q.ring.pop(q.last)
		}
		q.working++
		q.fill()
		return v, nil, nil
	case q.closed:
		return v, nil, ErrClosed
	case l.Spent():
		return v, nil, ErrTimeout
	}
	w = park.New()
	w.Value = &slot[T]{}
	q.getters.Push(w)
	return v, w, nil
}

// GetAll takes out all that is there, in the order in which Get would, without blocking; nil if there is nothing. Done is to
// be called for each value.
func (q *Queue[T]) GetAll() []T {
	vs, ranks := q.takeAll()
	if ranks != nil {
		vs = q.heap.sorted(ranks) // without the lock
	}
	return vs
}

func (q *Queue[T]) takeAll() ([]T, []ranked[T]) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.working += q.size()
	vs, ranks := q.empty()
	q.fill()
	return vs, ranks
}

// empty takes out all values; those of a heap come in no order.
func (q *Queue[T]) empty() ([]T, []ranked[T]) {
	if q.heap.less != nil {
		return nil, q.heap.take()
	}
	vs := q.ring.take()
	if q.last {
		for i, j := 0, len(vs)-1; i < j; i, j = i+1, j-1 {
			vs[i], vs[j] = vs[j], vs[i]
		}
	}
	return vs, nil
}

// All returns an iterator that gets value after value, and blocks in between. It ends when the queue is closed and empty, or
// when ctx ends: ask ctx which it was. The body calls Done, if anybody joins.
func (q *Queue[T]) All(ctx context.Context) iter.Seq[T] {
	return func(yield func(T) bool) {
		for {
			v, err := q.Get(ctx)
			if err != nil || !yield(v) {
				return
			}
		}
	}
}

// fill lets in the putters for which there is room, in the order in which they came.
func (q *Queue[T]) fill() {
	for q.room() {
		w := q.putters.Front()
		if w == nil {
			return
		}
		s := slotOf[T](w)
		v := s.v
		at, raise := q.tryPlace(v)
		s.raise = raise
		if w.Grant() && raise == nil {
			q.store(v, at)
		}
	}
}

// tryPlace is place, with a panic of less as its result: it is the putter's whose value it is about.
func (q *Queue[T]) tryPlace(v T) (at int, raise any) {
	if q.heap.less == nil {
		return 0, nil
	}
	defer func() { raise = recover() }()
	return q.place(v), nil
}

func (q *Queue[T]) place(v T) int {
	if q.heap.less == nil {
		return 0
	}
	return q.heap.place(v)
}

func (q *Queue[T]) store(v T, at int) {
	if q.heap.less == nil {
		q.ring.push(v)
	} else {
		q.heap.insert(v, at)
	}
}

func (q *Queue[T]) room() bool { return q.capacity == 0 || q.size() < q.capacity }
func (q *Queue[T]) size() int  { return q.ring.n + len(q.heap.items) }

// Len returns the number of values in the queue.
func (q *Queue[T]) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.size()
}

// Cap returns the capacity, 0 if there is no limit.
func (q *Queue[T]) Cap() int { return q.capacity }

// Waiting returns how many calls block: to get and to put.
func (q *Queue[T]) Waiting() (getters, putters int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.getters.Len(), q.putters.Len()
}
