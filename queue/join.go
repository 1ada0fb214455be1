package queue

import (
	"context"
	"time"

	"github.com/dulyhq/duly/internal/park"
)

// Done tells that one value that was got has been processed. It panics if it is called more often than values were got.
func (q *Queue[T]) Done() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.working == 0 {
		panic("queue: Done was called more often than values were got")
	}
	q.working--
	if q.unfinished() == 0 {
		release(&q.joiners, nil)
	}
}

// release lets all waiters of a list go on. They have slots for the error if it is not nil.
func release(list *park.List, answer func(w *park.Waiter)) {
	for w := list.Front(); w != nil; w = list.Front() {
		if answer != nil {
			answer(w)
		}
		w.Grant()
	}
}

// Join blocks until nothing is unfinished: every value that was put has been got, and Done was called for it. It may be called
// at any time, also on a closed queue, and by many. It fails with the cause of a context that has ended; and with ErrClosed,
// without blocking, if CloseNow left something unfinished.
func (q *Queue[T]) Join(ctx context.Context) error { return q.join(park.Until(ctx)) }

// JoinFor is Join with a timeout: after d it fails with ErrTimeout. With a d of zero or less it does not block.
func (q *Queue[T]) JoinFor(d time.Duration) error { return q.join(park.For(d)) }

func (q *Queue[T]) join(l park.Limit) error {
	if err := l.Err(); err != nil {
		return err
	}
	q.mu.Lock()
	if q.broken || q.unfinished() == 0 {
		err := q.joined()
		q.mu.Unlock()
		return err
	}
	if l.Spent() {
		q.mu.Unlock()
		return ErrTimeout
	}
	w, s := park.New(), &slot[T]{}
	w.Value = s
	q.joiners.Push(w)
	q.mu.Unlock()
	if err := q.wait(w, &q.joiners, &l); err != nil {
		return err
	}
	return s.err
}

// joined is the answer to those whose waiting has an end.
func (q *Queue[T]) joined() error {
	if q.dropped || q.unfinished() != 0 {
		return ErrClosed
	}
	return nil
}

// Unfinished returns how many values were put and not done: those in the queue and those that were got and are still worked
// on.
func (q *Queue[T]) Unfinished() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.unfinished()
}

func (q *Queue[T]) unfinished() int { return q.size() + q.working }

// Process gets one value as Get does, calls fn with it, and then Done, also if fn panics or calls runtime.Goexit, which go
// on after that. A worker is a loop around it:
//
//	for q.Process(ctx, fn) == nil {
//	}
//
// Its error is that of Get; fn has not been called then.
func (q *Queue[T]) Process(ctx context.Context, fn func(T)) error {
	return q.process(park.Until(ctx), fn)
}

// ProcessFor is Process with a timeout for the wait, not for fn.
func (q *Queue[T]) ProcessFor(d time.Duration, fn func(T)) error { return q.process(park.For(d), fn) }

func (q *Queue[T]) process(l park.Limit, fn func(T)) error {
	v, err := q.get(l)
	if err != nil {
		return err
	}
	defer q.Done()
	fn(v)
	return nil
}

// Close ends the queue: nothing more is put, blocked putters fail with ErrClosed, and getters get what is left and then
// ErrClosed. Join goes on to wait for what is unfinished; if nobody gets what is left, that is for as long as its limit, or
// until CloseNow. A second Close does nothing.
//
// Who wants to lose nothing but not to wait for it either has two ways. CloseNow returns what is left and waits for nobody: nor
// does Join after that, which says ErrClosed as long as something is worked on, and for ever if something was left. To wait for
// what is being worked on, and for nothing else: Close, GetAll, call Done for each value, and Join.
func (q *Queue[T]) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.close()
}

func (q *Queue[T]) close() {
	q.closed = true
	closed := func(w *park.Waiter) { slotOf[T](w).err = ErrClosed }
	release(&q.putters, closed)
	release(&q.getters, closed) // who waits, waits because there is nothing
}

// CloseNow closes the queue, takes out what is left and returns it, in the order in which Get would. It answers everybody who
// is blocked: putters and getters with ErrClosed, and so joiners, unless nothing was unfinished. What was got before is still
// worked on, and Done may still be called.
func (q *Queue[T]) CloseNow() []T {
	vs, ranks := q.closeNow()
	if ranks != nil {
		vs = q.heap.sorted(ranks) // without the lock
	}
	return vs
}

func (q *Queue[T]) closeNow() ([]T, []ranked[T]) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.close()
	q.broken, q.dropped = true, q.dropped || q.size() > 0
	vs, ranks := q.empty()
	err := q.joined()
	release(&q.joiners, func(w *park.Waiter) { slotOf[T](w).err = err })
	return vs, ranks
}
