package wait

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/dulyhq/duly/internal/park"
	"github.com/dulyhq/duly/timer"
)

// errLapsed is what StartWithin answers.
var errLapsed = fmt.Errorf("not begun in time: %w", ErrTimeout)

// A call is a function in a pool, with the future of its result.
type call[T any] struct {
	item

	fut Future[T]
	f   func(context.Context) (T, error)
}

func newCall[T any](ctx context.Context, p *Pool, f func(context.Context) (T, error), opts []SubmitOption) *call[T] {
	c := &call[T]{f: f}
	c.fut.Engine = p.Engine
	c.fut.holder = &c.item
	c.work = c
	c.pool, c.ctx, c.at = p, orBackground(ctx), -1
	for _, o := range opts {
		o(&c.item)
	}
	return c
}

// work is what the pool knows of a call. Who wins the claim either runs it or fails it.
type work interface {
	claim() bool
	claimed() bool
	run(ctx context.Context)
	fail(err error)
}

func (c *call[T]) claim() bool   { return c.fut.claim() }
func (c *call[T]) claimed() bool { return c.fut.claimed.Load() }

func (c *call[T]) run(ctx context.Context) {
	f := c.f
	c.f = nil
	c.fut.run(ctx, f)
}

func (c *call[T]) fail(err error) {
	var none T
	c.f = nil
	c.fut.settle(none, err)
}

// An item is a call without its type.
type item struct {
	work

	pool     *Pool
	ctx      context.Context //nolint:containedctx // it is the function's, and lives as long
	priority int
	within   time.Duration
	timed    bool

	seq    uint64                  // the order of acceptance; this and what follows is guarded by pool.mu
	at     int                     // its index in the queue, or -1
	cancel context.CancelCauseFunc // while it runs

	mu     sync.Mutex
	over   bool // it does not wait any more
	expiry timer.Expiry
	unbind func() bool // from ctx
	err    error       // why it lapsed; written by who has claimed it
}

// arm sees to it that an item that waits in the queue is called off by its context or its deadline.
func (it *item) arm() error {
	if it.claimed() {
		return nil
	}
	var expiry timer.Expiry
	if it.timed {
		if it.within <= 0 {
			it.abandon(errLapsed)
			return nil
		}
		e := it.pool.engine()
		at := e.Elapsed() + it.within
		if at < it.within { // overflowed: never
			at = math.MaxInt64
		}
		var err error
		if expiry, err = e.Expire(at, it); err != nil {
			if it.claim() {
				it.answer(err)
				return err
			}
			return nil
		}
	}
	var unbind func() bool
	if it.ctx.Done() != nil {
		unbind = context.AfterFunc(it.ctx, func() { it.abandon(context.Cause(it.ctx)) })
	}
	it.mu.Lock()
	it.expiry, it.unbind = expiry, unbind
	over := it.over
	it.mu.Unlock()
	if over {
		it.disarm()
	}
	return nil
}

func (it *item) disarm() {
	it.mu.Lock()
	expiry, unbind := it.expiry, it.unbind
	it.over, it.expiry, it.unbind = true, timer.Expiry{}, nil
	it.mu.Unlock()
	expiry.Stop()
	if unbind != nil {
		unbind()
	}
}

// abandon calls an item off, unless it was begun.
func (it *item) abandon(err error) {
	if it.claim() {
		it.answer(err)
	}
}

// answer takes an item that was claimed, but not to be run, out of the queue and fails it.
func (it *item) answer(err error) {
	defer it.answered()
	it.drop()
	it.fail(err)
}

// drop implements holder, for Future.Cancel, which answers the future itself: its place is free before anybody hears of it.
func (it *item) drop() {
	it.disarm()
	it.pool.leave(it)
}

// answered implements holder. Until then the pool is not idle, so that after a Join the answer is there.
func (it *item) answered() { it.pool.answered() }

// Expire implements timer.Expirer. It decides that the item is not begun; a goroutine does the rest.
func (it *item) Expire(err error) {
	p := it.pool
	p.lapsed.mu.Lock()
	defer p.lapsed.mu.Unlock()
	if !it.claim() {
		return
	}
	if it.err = err; err == nil {
		it.err = errLapsed
	}
	p.lapsed.items = append(p.lapsed.items, it)
	if !p.lapsed.reaping {
		p.lapsed.reaping = true
		go p.reap()
	}
}

// engine returns the engine that keeps the deadlines of what is queued. In a bubble that is one of the pool's own, which follows the
// bubble's time and holds no goroutine.
func (p *Pool) engine() *timer.Engine {
	if p.Engine != nil {
		return p.Engine
	}
	if !park.Bubbled() {
		return park.Default()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.own == nil {
		p.own = timer.New()
	}
	return p.own
}

// An itemHeap is a queue by priority, and among equals by seq.
type itemHeap []*item

// Len and the others implement heap.Interface.
func (h *itemHeap) Len() int { return len(*h) }

func (h *itemHeap) Less(i, j int) bool {
	a, b := (*h)[i], (*h)[j]
	if a.priority != b.priority {
		return a.priority > b.priority
	}
	return a.seq < b.seq
}

func (h *itemHeap) Swap(i, j int) {
	s := *h
	s[i], s[j] = s[j], s[i]
	s[i].at, s[j].at = i, j
}

func (h *itemHeap) Push(x any) {
	it, _ := x.(*item)
	it.at = len(*h)
	*h = append(*h, it)
}

func (h *itemHeap) Pop() any {
	last := len(*h) - 1
	it := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	it.at = -1
	return it
}
