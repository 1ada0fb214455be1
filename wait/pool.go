package wait

import (
	"container/heap"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/dulyhq/duly/internal/park"
	"github.com/dulyhq/duly/timer"
)

// A Pool calls functions on a bounded number of goroutines, its workers, and keeps a bounded number of others in a queue until a
// worker is free. Make one with NewPool. It must not be copied, and all methods and functions are safe from several goroutines.
//
// What is given to it with [Submit] is answered by a [Future]: with the result, with the panic, or with why it was not called. Each
// is begun once or not at all. Of what waits, higher priorities go first, and among equals what was accepted first. Workers are
// goroutines while there is something to do; an idle pool has none, and needs no Close.
//
// A function that waits for others in the same pool keeps a worker from them. When all workers do that none goes on.
type Pool struct {
	// Engine keeps the deadlines. Nil is one that all share. It is to be set before first use.
	Engine *timer.Engine

	size, places int

	mu         sync.Mutex
	closed     bool // nothing is accepted any more
	stopping   bool // and what runs is asked to end
	seq        uint64
	workers    int
	open       int // what was accepted and is not answered; taken off after the answer
	queue      itemHeap
	running    map[*item]struct{}
	submitters park.List // calls that wait for a place; Value is their *item, or the error they are sent away with
	joiners    park.List
	own        *timer.Engine // in a bubble

	lapsed struct { // what the engine's driver leaves behind; this lock is taken last
		mu      sync.Mutex
		items   []*item
		reaping bool
	}
}

// PoolOptions are what NewPool takes besides the size.
type PoolOptions struct {
	// Queue is how many may wait for a worker before Submit blocks. 0 is 1,024; negative is none: then Submit blocks until a
	// worker is free.
	Queue int
}

const defaultPlaces = 1024

// NewPool makes a pool of at most size workers. A size of 0 or less panics, and so do several PoolOptions.
func NewPool(size int, opts ...PoolOptions) *Pool {
	if size <= 0 {
		panic(fmt.Sprintf("wait: NewPool: size is %d, want 1 or more workers", size))
	}
	if len(opts) > 1 {
		panic("wait: NewPool takes at most one PoolOptions")
	}
	p := &Pool{size: size, places: defaultPlaces, running: make(map[*item]struct{})}
	if len(opts) == 1 && opts[0].Queue != 0 {
		p.places = max(opts[0].Queue, 0)
	}
	return p
}

// A SubmitOption changes how a pool treats one function.
type SubmitOption func(*item)

// Priority lets a function go before others in the queue; higher goes first. Without it, 0. Calls that wait for a place in the
// queue are first come, first served.
func Priority(p int) SubmitOption { return func(it *item) { it.priority = p } }

// StartWithin answers a function with ErrTimeout, and never calls it, if it waits in the queue for d without being begun. With a d
// of 0 or less it is begun at once or not at all. Waiting for a place in the queue does not count.
func StartWithin(d time.Duration) SubmitOption {
	return func(it *item) { it.within, it.timed = d, true }
}

// Submit gives f to the pool and returns the future of its result. It blocks while the queue is full, until ctx ends; then it
// returns the context's cause. After Drain or Close it returns ErrClosed. With an error there is no future, and f is not called.
//
// The context is f's, too: what f is given ends when ctx does, and when the pool is closed. A nil ctx is context.Background(). If
// ctx ends while f is in the queue, f is not called and the future holds the context's cause. The future's Cancel takes f out of
// the queue.
func Submit[T any](ctx context.Context, p *Pool, f func(context.Context) (T, error), opts ...SubmitOption) (*Future[T], error) {
	c := newCall(ctx, p, f, opts)
	if err := p.put(&c.item, park.Until(ctx)); err != nil { //nolint:contextcheck // the item has it
		return nil, err
	}
	return &c.fut, nil
}

// SubmitFor is Submit that also gives up when it has waited for d, and then returns ErrTimeout. With a d of 0 or less it does
// not wait.
func SubmitFor[T any](ctx context.Context, d time.Duration, p *Pool, f func(context.Context) (T, error), opts ...SubmitOption) (*Future[T], error) {
	c := newCall(ctx, p, f, opts)
	if err := p.put(&c.item, park.UntilFor(ctx, d)); err != nil { //nolint:contextcheck // the item has it
		return nil, err
	}
	return &c.fut, nil
}

// TrySubmit is Submit that does not wait: it returns false, and f is not called, if the queue is full, the pool is closed, or ctx
// has ended.
func TrySubmit[T any](ctx context.Context, p *Pool, f func(context.Context) (T, error), opts ...SubmitOption) (*Future[T], bool) {
	fut, err := SubmitFor(ctx, 0, p, f, opts...)
	return fut, err == nil
}

// put brings an item into the pool.
func (p *Pool) put(it *item, l park.Limit) error {
	if err := l.Err(); err != nil {
		return err
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return ErrClosed
	}
	if p.enterLocked(it) {
		p.mu.Unlock()
		return it.arm()
	}
	if l.Spent() {
		p.mu.Unlock()
		return ErrTimeout
	}
	w := park.New()
	w.Value = it
	p.submitters.Push(w)
	p.mu.Unlock()
	err := w.Wait(p.Engine, &l)
	if err == nil {
		err, _ = w.Value.(error)
	} else {
		p.mu.Lock()
		p.submitters.Remove(w)
		p.mu.Unlock()
	}
	w.Release()
	if err != nil {
		return err
	}
	return it.arm()
}

// enterLocked takes an item in: it is begun if a worker is free, which means that nothing is queued, and queued if there is a
// place, which means that nobody waits for one.
func (p *Pool) enterLocked(it *item) bool {
	switch {
	case p.workers < p.size:
		it.claim()
		p.workers++
		p.open++
		p.running[it] = struct{}{}
		go p.work(it)
	case len(p.queue) < p.places:
		p.queueLocked(it)
	default:
		return false
	}
	return true
}

func (p *Pool) queueLocked(it *item) {
	p.open++
	p.seq++
	it.seq = p.seq
	heap.Push(&p.queue, it)
}

// admitLocked queues the item of the call that has waited longest, and lets that go on.
func (p *Pool) admitLocked() bool {
	for w := p.submitters.Front(); w != nil; w = p.submitters.Front() {
		it, _ := w.Value.(*item) // it is the caller's once it is granted
		if w.Grant() {
			p.queueLocked(it)
			return true
		}
	}
	return false
}

func (p *Pool) refillLocked() {
	for len(p.queue) < p.places && p.admitLocked() {
		continue
	}
}

// work is a worker: it begins with an item that was claimed, and leaves when there is none.
func (p *Pool) work(it *item) {
	defer func() {
		if it == nil {
			return
		}
		// The function called runtime.Goexit, which ends this goroutine. Another takes its place.
		if it = p.next(it); it != nil {
			go p.work(it)
		}
	}()
	for it != nil {
		p.run(it)
		it = p.next(it)
	}
}

func (p *Pool) run(it *item) {
	it.disarm()
	ctx, cancel := context.WithCancelCause(it.ctx)
	defer cancel(nil)
	p.mu.Lock()
	it.cancel = cancel
	stopping := p.stopping
	p.mu.Unlock()
	if stopping {
		cancel(ErrClosed)
	}
	it.run(ctx)
}

// next ends an item and gives its worker another, or nil: then the worker must leave.
func (p *Pool) next(it *item) *item {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.running, it)
	p.open--
	for len(p.queue) > 0 || p.admitLocked() {
		it := heap.Pop(&p.queue).(*item) //nolint:forcetypeassert // it holds nothing else
		p.refillLocked()
		if it.claim() {
			p.running[it] = struct{}{}
			return it
		}
	}
	p.workers--
	p.quietLocked()
	return nil
}

// leave takes an item that is called off out of the queue, if it is in there, and lets another in.
func (p *Pool) leave(it *item) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if it.at >= 0 {
		heap.Remove(&p.queue, it.at)
		p.refillLocked()
	}
}

// answered counts off an item that was called off, now that its future says so.
func (p *Pool) answered() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open--
	p.quietLocked()
}

// reap answers what has waited too long. It runs while there is such, on a goroutine of its own, as the engine's driver must
// not do that.
func (p *Pool) reap() {
	for {
		p.mu.Lock()
		p.lapsed.mu.Lock()
		items := p.lapsed.items
		p.lapsed.items = nil
		p.lapsed.reaping = len(items) > 0
		p.lapsed.mu.Unlock()
		if len(items) == 0 {
			p.quietLocked()
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		for _, it := range items {
			it.answer(it.err)
		}
	}
}

// idleLocked says whether there is nothing to do and nothing to be answered. While no worker is there nothing is queued.
func (p *Pool) idleLocked() bool {
	p.lapsed.mu.Lock()
	defer p.lapsed.mu.Unlock()
	return p.workers == 0 && p.open == 0 && !p.lapsed.reaping
}

func (p *Pool) quietLocked() {
	if !p.idleLocked() {
		return
	}
	for w := p.joiners.Front(); w != nil; w = p.joiners.Front() {
		w.Grant()
	}
}

// Join blocks until nothing is queued, nothing runs and every future is answered, if only for a moment when others submit
// meanwhile. It gives up when ctx ends, and then returns its cause.
func (p *Pool) Join(ctx context.Context) error {
	l := park.Until(ctx)
	if err := l.Err(); err != nil {
		return err
	}
	return p.join(l)
}

// JoinFor is Join that gives up when it has waited for d, and then returns ErrTimeout. With a d of 0 or less it does not wait.
func (p *Pool) JoinFor(d time.Duration) error { return p.join(park.For(d)) }

// join waits, unless there is nothing to wait for, even if the context has ended.
func (p *Pool) join(l park.Limit) error {
	ended := l.Err()
	if ended == nil && l.Spent() {
		ended = ErrTimeout
	}
	p.mu.Lock()
	if idle := p.idleLocked(); idle || ended != nil {
		p.mu.Unlock()
		if idle {
			return nil
		}
		return ended
	}
	w := park.New()
	p.joiners.Push(w)
	p.mu.Unlock()
	err := w.Wait(p.Engine, &l)
	if err != nil {
		p.mu.Lock()
		p.joiners.Remove(w)
		p.mu.Unlock()
	}
	w.Release()
	return err
}

// Drain accepts nothing any more, answers calls that wait for a place with ErrClosed, and blocks until all that was accepted has
// run and is answered. It gives up when ctx ends, and then returns its cause, while the rest goes on: wait for it by another
// Drain, or end it by Close. It returns nil if nothing is left, though ctx may have ended.
//
// After nil the pool has no goroutine. From inside of the pool's own functions Drain, Close and Join wait for themselves.
func (p *Pool) Drain(ctx context.Context) error {
	p.end(false)
	return p.join(park.Until(ctx))
}

// DrainFor is Drain that gives up when it has waited for d, and then returns ErrTimeout.
func (p *Pool) DrainFor(d time.Duration) error {
	p.end(false)
	return p.join(park.For(d))
}

// Close is Drain that hurries: what is queued is not called but answered with ErrClosed, and the contexts of the functions that
// run end, with ErrClosed as their cause. It returns when they have returned.
func (p *Pool) Close(ctx context.Context) error {
	p.end(true)
	return p.join(park.Until(ctx))
}

// CloseFor is Close that gives up when it has waited for d, and then returns ErrTimeout.
func (p *Pool) CloseFor(d time.Duration) error {
	p.end(true)
	return p.join(park.For(d))
}

func (p *Pool) end(stop bool) {
	var dropped []*item
	var cancels []context.CancelCauseFunc
	p.mu.Lock()
	p.closed = true
	for w := p.submitters.Front(); w != nil; w = p.submitters.Front() {
		w.Value = ErrClosed
		w.Grant()
	}
	if stop {
		p.stopping = true
		for _, it := range p.queue {
			it.at = -1
			if it.claim() {
				dropped = append(dropped, it)
			}
		}
		p.queue = nil
		for it := range p.running {
			if it.cancel != nil { // or it sees that the pool is stopping
				cancels = append(cancels, it.cancel)
			}
		}
	}
	p.mu.Unlock()
	for _, cancel := range cancels {
		cancel(ErrClosed)
	}
	for _, it := range dropped {
		it.answer(ErrClosed)
	}
}

// Queued returns how many functions wait for a worker.
func (p *Pool) Queued() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue)
}

// Running returns how many functions run, or are about to.
func (p *Pool) Running() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.running)
}
