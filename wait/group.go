package wait

import (
	"context"
	"sync"
	"time"

	"github.com/dulyhq/duly/internal/park"
	"github.com/dulyhq/duly/timer"
)

// A Group is functions that run at the same time, to one end: it has the shape of golang.org/x/sync/errgroup, and what waits
// can end in time. The zero Group has no limit and no context. It must not be copied after first use, and all methods are safe
// from several goroutines.
//
// The first error is the group's. A panic is an error, a *[timer.PanicError] with the stack, and so is runtime.Goexit,
// [timer.ErrGoexit]: neither ends the program nor keeps Wait waiting.
//
// Waiting for a group does not stop it: after a WaitFor that gave up its functions run on, and may be waited for again. To stop
// them there is the context of [WithContext].
type Group struct {
	// Engine keeps the deadlines of WaitFor and GoFor. Nil is one that all share.
	Engine *timer.Engine

	cancel context.CancelCauseFunc // nil without a context

	mu       sync.Mutex
	limited  bool
	limit    int
	active   int
	err      error
	starters park.List // calls of Go that wait for the limit
	joiners  park.List
}

// WithContext returns a group and a context for its functions, which ends with the first error, that error being its cause, or
// when a Wait returns because all of them have. A nil ctx is context.Background().
func WithContext(ctx context.Context) (*Group, context.Context) {
	ctx, cancel := context.WithCancelCause(orBackground(ctx))
	return &Group{cancel: cancel}, ctx
}

// SetLimit lets at most n functions run at a time; a negative n, any number. It may be changed while functions run: more of
// those that wait start at once, or none until enough have ended.
func (g *Group) SetLimit(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limited, g.limit = n >= 0, n
	g.admitLocked()
}

// Go calls f on a goroutine of its own. It blocks while as many functions run as the limit allows.
func (g *Group) Go(f func() error) { _ = g.start(park.Limit{}, f) }

// GoContext is Go that gives up when ctx ends, and then returns its cause; f was not called then. What happens to ctx later is
// for f to see.
func (g *Group) GoContext(ctx context.Context, f func() error) error {
	return g.start(park.Until(ctx), f)
}

// GoFor is Go that gives up when it has waited for d, and then returns ErrTimeout; f was not called then. With a d of 0 or less
// it does not wait.
func (g *Group) GoFor(d time.Duration, f func() error) error { return g.start(park.For(d), f) }

// TryGo is Go that does not wait: it returns false, and f is not called, while as many functions run as the limit allows.
func (g *Group) TryGo(f func() error) bool {
	g.mu.Lock()
	free := g.takeLocked()
	g.mu.Unlock()
	if free {
		go g.run(f)
	}
	return free
}

func (g *Group) start(l park.Limit, f func() error) error {
	if err := l.Err(); err != nil {
		return err
	}
	g.mu.Lock()
	if g.takeLocked() { // then nobody waits: who ends hands its place over
		g.mu.Unlock()
		go g.run(f)
		return nil
	}
	if l.Spent() {
		g.mu.Unlock()
		return ErrTimeout
	}
	w := park.New()
	g.starters.Push(w)
	g.mu.Unlock()
	err := g.block(w, &g.starters, &l)
	if err == nil {
		go g.run(f)
	}
	return err
}

// block waits, and if that is in vain leaves the list. Whoever leaves has kept nobody out.
func (g *Group) block(w *park.Waiter, list *park.List, l *park.Limit) error {
	err := w.Wait(g.Engine, l)
	if err != nil {
		g.mu.Lock()
		list.Remove(w)
		g.mu.Unlock()
	}
	w.Release()
	return err
}

func (g *Group) takeLocked() bool {
	if g.limited && g.active >= g.limit {
		return false
	}
	g.active++
	return true
}

func (g *Group) admitLocked() {
	for w := g.starters.Front(); w != nil && g.takeLocked(); w = g.starters.Front() {
		if !w.Grant() {
			g.active--
		}
	}
}

func (g *Group) run(f func() error) {
	var err error
	returned := false
	defer func() {
		if !returned {
			err = contained(recover())
		}
		g.end(err)
	}()
	err = f()
	returned = true
}

// end ends a function. The context has ended before anybody hears of that.
func (g *Group) end(err error) {
	g.mu.Lock()
	first := err != nil && g.err == nil
	if first {
		g.err = err
	}
	g.mu.Unlock()
	if first && g.cancel != nil {
		g.cancel(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.active--
	g.admitLocked()
	if g.active > 0 {
		return
	}
	for w := g.joiners.Front(); w != nil; w = g.joiners.Front() {
		w.Grant()
	}
}

// Wait blocks until all functions have ended that were started, and returns the first error of any. Calls of Go that wait for the
// limit, while nothing runs, it does not wait for.
func (g *Group) Wait() error { return g.wait(park.Limit{}) }

// WaitContext is Wait that gives up when ctx ends, and then returns its cause. The functions run on.
func (g *Group) WaitContext(ctx context.Context) error { return g.wait(park.Until(ctx)) }

// WaitFor is Wait that gives up when it has waited for d, and then returns ErrTimeout. With a d of 0 or less it does not wait.
// The functions run on.
func (g *Group) WaitFor(d time.Duration) error { return g.wait(park.For(d)) }

func (g *Group) wait(l park.Limit) error {
	if err := l.Err(); err != nil {
		return err
	}
	g.mu.Lock()
	if g.active > 0 {
		if l.Spent() {
			g.mu.Unlock()
			return ErrTimeout
		}
		w := park.New()
		g.joiners.Push(w)
		g.mu.Unlock()
		if err := g.block(w, &g.joiners, &l); err != nil {
			return err
		}
		g.mu.Lock()
	}
	err := g.err
	g.mu.Unlock()
	if g.cancel != nil {
		g.cancel(err)
	}
	return err
}

// Running returns how many functions run.
func (g *Group) Running() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.active
}
