package wait

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/dulyhq/duly/internal/park"
	"github.com/dulyhq/duly/timer"
)

// ErrCancelled is the error of a future whose Cancel came before its work.
var ErrCancelled = errors.New("cancelled before it began")

var errNothing = errors.New("none of no futures")

// A Promise is the writing end of a [Future]: who makes it says, once, what the future holds. The zero Promise is ready for
// use. It must not be copied after first use, and all methods are safe from several goroutines.
type Promise[T any] struct{ f Future[T] }

// Future returns the promise's future, the same one each time.
func (p *Promise[T]) Future() *Future[T] { return &p.f }

// Begin says that the work has begun, and that a Cancel comes too late from now on. It returns false if the future was
// cancelled or resolved, or had begun before: then there is nothing to do. A promise that nobody may cancel needs no Begin.
func (p *Promise[T]) Begin() bool { return p.f.claim() }

// Resolve gives the future its value and error, and returns true; or false if it has one already, because it was resolved or
// cancelled before, and nothing changes.
func (p *Promise[T]) Resolve(v T, err error) bool {
	p.f.claim()
	return p.f.settle(v, err)
}

// A Future is a value that is still to come, or an error in its place. It is had from a [Promise], from [Go], or from a
// [Pool]. It must not be copied, and all methods are safe from several goroutines.
//
// Once it holds something that is final, and every Get returns the same. That a Get gives up does nothing to the work. A panic
// of the work is its error, a *[timer.PanicError] with the stack, and so is runtime.Goexit, [timer.ErrGoexit]; a future that
// nobody asks keeps them to itself.
//
// A work that asks its own future waits for itself, until its limit.
type Future[T any] struct {
	// Engine keeps the deadlines of GetFor. Nil is one that all share.
	Engine *timer.Engine

	g       gate
	claimed atomic.Bool // by the one who does the work, or cancels it
	holder  holder      // what holds the work while nobody has claimed it; may be nil
	v       T
	err     error
}

// A holder holds work that was not begun, and is told when it is cancelled.
type holder interface {
	drop()     // it was claimed, and is about to be answered
	answered() // it was answered
}

// claim decides between those who begin the work and those who call it off. Only who wins may settle the future.
func (f *Future[T]) claim() bool { return f.claimed.CompareAndSwap(false, true) }

func (f *Future[T]) settle(v T, err error) bool {
	f.g.mu.Lock()
	if f.g.open.Load() {
		f.g.mu.Unlock()
		return false
	}
	f.v, f.err = v, err
	f.g.open.Store(true)
	hooks := f.g.releaseLocked()
	f.g.mu.Unlock()
	runAll(hooks)
	return true
}

// run calls work and settles the future with what comes of it.
func (f *Future[T]) run(ctx context.Context, work func(context.Context) (T, error)) {
	var v T
	var err error
	returned := false
	defer func() {
		if !returned {
			err = contained(recover())
		}
		f.settle(v, err)
	}()
	if err = cause(ctx); err == nil {
		v, err = work(ctx)
	}
	returned = true
}

func cause(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return context.Cause(ctx)
}

// contained makes an error of what recover returned in a function that did not return.
func contained(v any) error {
	if v == nil {
		return timer.ErrGoexit
	}
	return &timer.PanicError{Value: v, Stack: debug.Stack()}
}

// Get blocks until the future holds something, and returns that. It gives up when ctx ends, and then returns the zero T and the
// context's cause.
func (f *Future[T]) Get(ctx context.Context) (T, error) { return f.get(park.Until(ctx)) }

// GetFor is Get that gives up when it has waited for d, and then returns ErrTimeout. With a d of 0 or less it does not wait. The
// work may have failed with an ErrTimeout of its own; TryGet tells one from the other.
func (f *Future[T]) GetFor(d time.Duration) (T, error) { return f.get(park.For(d)) }

func (f *Future[T]) get(l park.Limit) (v T, err error) {
	if err := f.g.pass(f.Engine, l); err != nil {
		return v, err
	}
	return f.v, f.err
}

// TryGet returns what the future holds, and true; or zero values and false if it holds nothing yet.
func (f *Future[T]) TryGet() (v T, ok bool, err error) {
	if !f.g.open.Load() {
		return v, false, nil
	}
	return f.v, true, f.err
}

// Done returns a channel that is closed when the future holds something.
func (f *Future[T]) Done() <-chan struct{} { return f.g.doneChan() }

// Then calls then with what the future holds, once and on a goroutine of its own, when there is something; at once, if there
// is. A panic of then ends the program, as in any goroutine. A nil then panics here.
//
// The function that it returns takes that back. It returns true if then will not be called; false if it was called, or is
// about to be, or was taken back before. It does not wait for then.
func (f *Future[T]) Then(then func(T, error)) (stop func() bool) {
	if then == nil {
		panic("wait: Future.Then: then is nil, want a function")
	}
	return f.g.onOpen(func() { go then(f.v, f.err) })
}

// Cancel calls the work off if it has not begun: it will not be done, the future holds ErrCancelled, and Cancel returns true. If
// the work has begun or is over Cancel changes nothing and returns false; what is under way is to be stopped by its context.
func (f *Future[T]) Cancel() bool {
	if !f.claim() {
		return false
	}
	if f.holder != nil {
		defer f.holder.answered()
		f.holder.drop()
	}
	var none T
	return f.settle(none, ErrCancelled)
}

// orBackground is the context that a nil one stands for.
func orBackground(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background()
	}
	return ctx
}

// mustBeThere panics if there is nothing to wait for in one of fs, before anything is done to the others.
func mustBeThere[T any](op string, fs []*Future[T]) {
	for i, f := range fs {
		if f == nil {
			panic(fmt.Sprintf("wait: %s: future %d of %d is nil, want a future", op, i, len(fs)))
		}
	}
}

// Go calls work on a goroutine of its own and returns the future of its result. If ctx ends before work was called it is not,
// and the future holds the context's cause. A nil ctx is context.Background().
func Go[T any](ctx context.Context, work func(context.Context) (T, error)) *Future[T] {
	ctx = orBackground(ctx)
	f := new(Future[T])
	go func() {
		if f.claim() {
			f.run(ctx, work)
		}
	}()
	return f
}

// All returns the future of the values of all fs, in their order, which comes when the last of them does; or of the first error
// among them, which comes at once. Of no futures it holds no values. To cancel it cancels none of fs. A nil future panics.
func All[T any](fs ...*Future[T]) *Future[[]T] {
	mustBeThere("All", fs)
	out := new(Future[[]T])
	if len(fs) == 0 {
		out.settle([]T{}, nil)
		return out
	}
	out.Engine = fs[0].Engine
	vs := make([]T, len(fs))
	var missing atomic.Int64
	missing.Store(int64(len(fs)))
	collect(fs, out, func(i int, v T, err error) {
		if err != nil {
			out.settle(nil, err)
			return
		}
		vs[i] = v
		if missing.Add(-1) == 0 {
			out.settle(vs, nil)
		}
	})
	return out
}

// Any returns the future of the first value among those of fs; if all of them fail, of their errors, joined in the order of fs.
// Of no futures it holds an error. To cancel it cancels none of fs. For the first that ends, be it with an error, range over
// [AsCompleted]. A nil future panics.
func Any[T any](fs ...*Future[T]) *Future[T] {
	mustBeThere("Any", fs)
	out := new(Future[T])
	var none T
	if len(fs) == 0 {
		out.settle(none, errNothing)
		return out
	}
	out.Engine = fs[0].Engine
	errs := make([]error, len(fs))
	var missing atomic.Int64
	missing.Store(int64(len(fs)))
	collect(fs, out, func(i int, v T, err error) {
		if err == nil {
			out.settle(v, nil)
			return
		}
		errs[i] = err
		if missing.Add(-1) == 0 {
			out.settle(none, errors.Join(errs...))
		}
	})
	return out
}

// collect calls each with what the futures hold, as they come, until out holds something; then nothing of it is left in them.
func collect[T, U any](fs []*Future[T], out *Future[U], each func(i int, v T, err error)) {
	stops := make([]func() bool, 0, len(fs))
	for i, f := range fs {
		stops = append(stops, f.g.onOpen(func() { each(i, f.v, f.err) }))
	}
	out.g.onOpen(func() {
		for _, stop := range stops {
			stop()
		}
	})
}

// AsCompleted returns an iterator over fs in the order in which they come to hold something; those that do when the range
// begins come first, in their order among fs. It blocks for the next one until ctx ends: then the range ends, and the context
// says why. A range that is left early leaves no goroutine and nothing in the futures. A nil ctx is
// context.Background(). A nil future panics, at the call.
func AsCompleted[T any](ctx context.Context, fs ...*Future[T]) iter.Seq[*Future[T]] {
	mustBeThere("AsCompleted", fs)
	ctx = orBackground(ctx)
	return func(yield func(*Future[T]) bool) {
		ready := make(chan *Future[T], len(fs))
		stops := make([]func() bool, 0, len(fs))
		defer func() {
			for _, stop := range stops {
				stop()
			}
		}()
		for _, f := range fs {
			stops = append(stops, f.g.onOpen(func() { ready <- f }))
		}
		for range fs {
			if ctx.Err() != nil {
				return
			}
			select {
			case <-ctx.Done():
				return
			case f := <-ready:
				if !yield(f) {
					return
				}
			}
		}
	}
}
