package wait_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/internal/park/parktest"
	"github.com/dulyhq/duly/timer"
	"github.com/dulyhq/duly/wait"
)

func newPool(e *timer.Engine, size, places int) *wait.Pool {
	p := wait.NewPool(size, wait.PoolOptions{Queue: places})
	p.Engine = e
	return p
}

// value is a function that returns v.
func value[T any](v T) func(context.Context) (T, error) {
	return func(context.Context) (T, error) { return v, nil }
}

// mustSubmit submits what has to be accepted at once.
func mustSubmit[T any](t *testing.T, p *wait.Pool, f func(context.Context) (T, error), opts ...wait.SubmitOption) *wait.Future[T] {
	t.Helper()
	fut, ok := wait.TrySubmit(t.Context(), p, f, opts...)
	if !ok {
		t.Fatal("not accepted")
	}
	return fut
}

// hold keeps one worker busy until what it returns is called.
func hold(t *testing.T, p *wait.Pool) (release func()) {
	t.Helper()
	begun, end := make(chan struct{}), make(chan struct{})
	f := mustSubmit(t, p, func(context.Context) (int, error) { close(begun); <-end; return 0, nil })
	<-begun
	return func() {
		close(end)
		_, _ = f.Get(t.Context())
	}
}

// A pool of a size takes functions with their arguments, answers each, waits for all of them when it is drained, and takes none
// after that.
// requirement: P15
func TestPoolSubmitAndClose(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		p := newPool(v.Engine, 2, 0)
		ctx := t.Context()
		var inside, most, ran atomic.Int32
		square := func(n int) func(context.Context) (int, error) {
			return func(context.Context) (int, error) {
				most.Store(max(most.Load(), inside.Add(1)))
				nap(v, time.Second)
				inside.Add(-1)
				ran.Add(1)
				return n * n, nil
			}
		}
		var fs []*wait.Future[int]
		for n := range 5 {
			f, err := wait.Submit(ctx, p, square(n))
			if err != nil {
				t.Error(err)
			}
			f.Engine = v.Engine
			fs = append(fs, f)
		}
		synctest.Wait()
		if p.Running() != 2 || p.Queued() != 3 {
			t.Errorf("%d run and %d wait, want 2 and 3", p.Running(), p.Queued())
		}
		drained := call(func() error { return p.Drain(ctx) })
		v.Pass(time.Second) // in steps, since what naps begins its next nap from the clock as it is then
		v.Pass(time.Second)
		v.Pass(time.Second - 1)
		if err, ok := returned(drained); ok {
			t.Errorf("drained before the end: %v", err)
		}
		v.Pass(1)
		if err, ok := returned(drained); !ok || err != nil || ran.Load() != 5 || most.Load() != 2 {
			t.Errorf("drained: %v, %v; %d ran, %d at a time", ok, err, ran.Load(), most.Load())
		}
		vs, err := wait.All(fs...).GetFor(0)
		if diff := cmp.Diff([]int{0, 1, 4, 9, 16}, vs); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		for name, submit := range map[string]func() (*wait.Future[int], error){
			"Submit":    func() (*wait.Future[int], error) { return wait.Submit(ctx, p, square(1)) },
			"SubmitFor": func() (*wait.Future[int], error) { return wait.SubmitFor(ctx, time.Hour, p, square(1)) },
		} {
			if f, err := submit(); !errors.Is(err, wait.ErrClosed) || f != nil {
				t.Errorf("%s after Drain: %v, %v", name, f, err)
			}
		}
		if _, ok := wait.TrySubmit(ctx, p, square(1)); ok {
			t.Error("TrySubmit after Drain")
		}
		if err := errors.Join(p.Drain(ctx), p.Close(ctx), p.DrainFor(0), p.CloseFor(0), p.Join(ctx), p.JoinFor(0)); err != nil {
			t.Error(err)
		}
	})
}

// nap lets a function of a test take some of the venue's time.
func nap(v parktest.Venue, d time.Duration) {
	var never wait.Event
	never.Engine = v.Engine
	_ = never.WaitFor(d)
}

// Drain and Close return when what runs has ended, or with the context's cause while it still runs. The pool's half of
// requirement: P21
func TestPool_ShutdownWaitsForRunning(t *testing.T) {
	ends := map[string]struct {
		end func(p *wait.Pool, d time.Duration) error
		ctx func(p *wait.Pool, ctx context.Context) error
	}{
		"Drain": {(*wait.Pool).DrainFor, (*wait.Pool).Drain},
		"Close": {(*wait.Pool).CloseFor, (*wait.Pool).Close},
	}
	for name, end := range ends {
		parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
			p := newPool(v.Engine, 1, 0)
			release := hold(t, p)
			queued := mustSubmit(t, p, value(1))
			timed := call(func() error { return end.end(p, time.Second) })
			enough := errors.New("enough")
			ctx, cancel := context.WithCancelCause(t.Context())
			cancelled := call(func() error { return end.ctx(p, ctx) })
			patient := call(func() error { return end.ctx(p, t.Context()) })
			v.Pass(time.Second)
			cancel(enough)
			if err := <-timed; !errors.Is(err, wait.ErrTimeout) || p.Running() != 1 {
				t.Errorf("%s: %v, %d run", name, err, p.Running())
			}
			if err := <-cancelled; !errors.Is(err, enough) {
				t.Errorf("%s: %v", name, err)
			}
			if err := end.ctx(p, ctx); !errors.Is(err, enough) {
				t.Errorf("%s with an ended context, while something runs: %v", name, err)
			}
			release()
			if err := <-patient; err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if err := end.ctx(p, ctx); err != nil {
				t.Errorf("%s with an ended context, and nothing left: %v", name, err)
			}
			got, err := queued.GetFor(0)
			if name == "Drain" && (got != 1 || err != nil) || name == "Close" && !errors.Is(err, wait.ErrClosed) {
				t.Errorf("%s: what was queued got %v, %v", name, got, err)
			}
		})
	}
}

// Close asks what runs to end, answers what is queued, and sends away who waits for a place. It may follow a Drain.
func TestPool_CloseAnswersAll(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		p := newPool(v.Engine, 2, 3)
		asked := func(ctx context.Context) (int, error) { <-ctx.Done(); return 1, context.Cause(ctx) }
		type key struct{}
		withValue := context.WithValue(t.Context(), key{}, 42)
		running1, _ := wait.Submit(withValue, p, func(ctx context.Context) (int, error) {
			if ctx.Value(key{}) != 42 {
				t.Error("the context's values are lost")
			}
			return asked(ctx)
		})
		running2 := mustSubmit(t, p, asked)
		queued := []*wait.Future[int]{mustSubmit(t, p, value(1)), mustSubmit(t, p, value(2), wait.StartWithin(time.Hour)), mustSubmit(t, p, value(3))}
		var blocked []<-chan error
		for range 3 {
			blocked = append(blocked, call(func() error { _, err := wait.Submit(t.Context(), p, value(4)); return err }))
		}
		v.Pass(time.Minute)
		drained := call(func() error { return p.DrainFor(time.Second) })
		v.Pass(time.Second)
		if err := <-drained; !errors.Is(err, wait.ErrTimeout) {
			t.Error(err)
		}
		for _, b := range blocked {
			if err, ok := returned(b); !ok || !errors.Is(err, wait.ErrClosed) {
				t.Errorf("who waits for a place, after Drain: %v, %v", ok, err)
			}
		}
		if p.Queued() != 3 {
			t.Errorf("%d queued after Drain, want 3", p.Queued())
		}
		joined := call(func() error { return p.Join(t.Context()) })
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-joined; err != nil {
			t.Error(err)
		}
		for i, f := range append(queued, running1, running2) {
			if _, err := f.GetFor(0); !errors.Is(err, wait.ErrClosed) {
				t.Errorf("%d: %v", i, err)
			}
		}
	})
}

// Panics, errors and Goexit are the future's, and the worker goes on.
func TestPool_PanicsContained(t *testing.T) {
	p := wait.NewPool(1)
	for range 3 {
		release := hold(t, p)
		panicked := mustSubmit(t, p, thePanicOfTheWork)
		exited := mustSubmit(t, p, func(context.Context) (int, error) { runtime.Goexit(); return 1, nil })
		failed := mustSubmit(t, p, func(context.Context) (int, error) { return 1, io.EOF })
		none := mustSubmit[string](t, p, nil)
		after := mustSubmit(t, p, value("after"))
		release()
		_, err := panicked.Get(t.Context())
		checkPanic(t, err, "thePanicOfTheWork")
		if _, err := exited.Get(t.Context()); !errors.Is(err, timer.ErrGoexit) {
			t.Error(err)
		}
		if v, err := failed.Get(t.Context()); v != 1 || !errors.Is(err, io.EOF) {
			t.Errorf("%v, %v", v, err)
		}
		if _, err := none.Get(t.Context()); err == nil {
			t.Error("no function, and no error")
		}
		if v, err := after.Get(t.Context()); v != "after" || err != nil {
			t.Errorf("%v, %v", v, err)
		}
	}
	last := mustSubmit(t, p, func(context.Context) (int, error) { runtime.Goexit(); return 1, nil })
	if err := p.Drain(t.Context()); err != nil || p.Running() != 0 {
		t.Errorf("%v, %d run", err, p.Running())
	}
	if _, ok, _ := last.TryGet(); !ok {
		t.Error("drained before the last was answered")
	}
}

// Higher priorities go first, and among equals who came first, whatever is cancelled in between.
func TestPool_Priorities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := wait.NewPool(1)
		release := hold(t, p)
		type id struct{ Priority, N int }
		var got, want []id
		priorities := []int{0, 5, -3, 0, 5, 1 << 30, 0, -3, 5, 1}
		for n, priority := range priorities {
			f := mustSubmit(t, p, func(context.Context) (int, error) {
				got = append(got, id{priority, n})
				return 0, nil
			}, wait.Priority(priority))
			if n%4 == 3 && !f.Cancel() {
				t.Error("not cancelled")
			}
		}
		for _, priority := range []int{1 << 30, 5, 1, 0, -3} {
			for n, other := range priorities {
				if other == priority && n%4 != 3 {
					want = append(want, id{priority, n})
				}
			}
		}
		release()
		if err := p.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// What waits longer than it may is answered then, never runs, and makes room.
func TestPool_StartWithin(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		p := newPool(v.Engine, 1, 2)
		if f := mustSubmit(t, p, value(1), wait.StartWithin(0)); true {
			if got, err := f.Get(t.Context()); got != 1 || err != nil {
				t.Errorf("a worker is free: %v, %v", got, err)
			}
		}
		synctest.Wait()
		release := hold(t, p)
		never := func(context.Context) (int, error) { t.Error("called"); return 1, nil }
		for _, d := range []time.Duration{0, -1} {
			if _, err := mustSubmit(t, p, never, wait.StartWithin(d)).GetFor(0); !errors.Is(err, wait.ErrTimeout) {
				t.Errorf("no worker is free: %v", err)
			}
		}
		lapses := mustSubmit(t, p, never, wait.StartWithin(time.Second))
		runs := mustSubmit(t, p, value(2), wait.StartWithin(time.Hour))
		blocked := call(func() error {
			f, err := wait.Submit(t.Context(), p, value(3), wait.StartWithin(1<<63-1))
			if err == nil {
				_, err = f.Get(t.Context())
			}
			return err
		})
		v.Pass(time.Second - 1)
		if _, ok, _ := lapses.TryGet(); ok || p.Queued() != 2 {
			t.Errorf("early, or not queued: %d", p.Queued())
		}
		v.Pass(1)
		if _, ok, err := lapses.TryGet(); !ok || !errors.Is(err, wait.ErrTimeout) {
			t.Errorf("after a second: %v, %v", ok, err)
		}
		if p.Queued() != 2 {
			t.Errorf("%d queued: nobody has got the place", p.Queued())
		}
		if lapses.Cancel() {
			t.Error("cancelled what has lapsed")
		}
		release()
		if err := <-blocked; err != nil {
			t.Error(err)
		}
		if got, err := runs.Get(t.Context()); got != 2 || err != nil {
			t.Errorf("in time: %v, %v", got, err)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A deadline needs its engine.
func TestPool_StartWithinOnAClosedEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := timer.New()
		p := newPool(e, 1, 0)
		release := hold(t, p)
		pending := mustSubmit(t, p, value(1), wait.StartWithin(time.Hour))
		closeIt := func() {
			if _, err := e.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
		closeIt()
		if _, err := pending.Get(t.Context()); !errors.Is(err, timer.ErrClosed) {
			t.Errorf("pending: %v", err)
		}
		if _, err := wait.Submit(t.Context(), p, value(1), wait.StartWithin(time.Hour)); !errors.Is(err, timer.ErrClosed) || p.Queued() != 0 {
			t.Errorf("later: %v, %d queued", err, p.Queued())
		}
		untimed := mustSubmit(t, p, value(2))
		release()
		if v, err := untimed.Get(t.Context()); v != 2 || err != nil {
			t.Errorf("without a deadline: %v, %v", v, err)
		}
	})
}

// The queue is bounded; who waits for a place is served in order, and can give up.
func TestPool_Bounded(t *testing.T) {
	for _, places := range []int{-1, 1, 3} {
		parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
			p := newPool(v.Engine, 1, places)
			release := hold(t, p)
			var got, want []int
			note := func(n int) func(context.Context) (int, error) {
				return func(context.Context) (int, error) { got = append(got, n); return n, nil }
			}
			for n := range max(places, 0) {
				want = append(want, n)
				mustSubmit(t, p, note(n))
			}
			ctx, cancel := context.WithCancel(t.Context())
			if _, ok := wait.TrySubmit(ctx, p, note(-1)); ok {
				t.Error("more than there are places")
			}
			if _, err := wait.SubmitFor(ctx, 0, p, note(-1)); !errors.Is(err, wait.ErrTimeout) {
				t.Error(err)
			}
			timed := call(func() error { _, err := wait.SubmitFor(ctx, time.Second, p, note(-1)); return err })
			cancelled := call(func() error { _, err := wait.Submit(ctx, p, note(-1)); return err })
			v.Pass(time.Millisecond)
			var blocked []<-chan error
			for n := 10; n < 15; n++ {
				want = append(want, n)
				blocked = append(blocked, call(func() error { _, err := wait.Submit(t.Context(), p, note(n)); return err }))
				v.Pass(time.Millisecond)
			}
			v.Pass(time.Second)
			cancel()
			if err := <-timed; !errors.Is(err, wait.ErrTimeout) {
				t.Error(err)
			}
			if err := <-cancelled; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			if _, err := wait.Submit(ctx, p, note(-1)); !errors.Is(err, context.Canceled) {
				t.Errorf("an ended context: %v", err)
			}
			release()
			for _, b := range blocked {
				if err := <-b; err != nil {
					t.Error(err)
				}
			}
			if err := p.Join(t.Context()); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%d places (-want +got):\n%s", places, diff)
			}
		})
	}
}

// A place is free as soon as a worker has taken something out of the queue.
func TestPool_PlaceIsFreeWhenWorkBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(nil, 1, 1)
		release := hold(t, p)
		end := make(chan struct{})
		mustSubmit(t, p, func(context.Context) (int, error) { <-end; return 0, nil })
		blocked := call(func() error { _, err := wait.Submit(t.Context(), p, value(1)); return err })
		synctest.Wait()
		if _, ok := returned(blocked); ok {
			t.Error("more than there are places")
		}
		release()
		if err := <-blocked; err != nil || p.Queued() != 1 || p.Running() != 1 {
			t.Errorf("%v; %d queued and %d running, want 1 and 1", err, p.Queued(), p.Running())
		}
		close(end)
		if err := p.Drain(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// What is queued is called off by its context and by Cancel, at once; both make room.
func TestPool_CalledOff(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		p := newPool(v.Engine, 1, 2)
		release := hold(t, p)
		never := func(context.Context) (int, error) { t.Error("called"); return 1, nil }
		enough := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		byContext, _ := wait.Submit(ctx, p, never, wait.StartWithin(time.Hour))
		byCancel := mustSubmit(t, p, never, wait.StartWithin(time.Hour))
		var blocked []<-chan error
		for range 2 {
			blocked = append(blocked, call(func() error { _, err := wait.Submit(t.Context(), p, value(1)); return err }))
		}
		v.Pass(time.Second)
		cancel(enough)
		if _, err := byContext.Get(t.Context()); !errors.Is(err, enough) {
			t.Error(err)
		}
		if !byCancel.Cancel() || byCancel.Cancel() {
			t.Error("cancelled once: want true, then false")
		}
		if _, err := byCancel.Get(t.Context()); !errors.Is(err, wait.ErrCancelled) {
			t.Error(err)
		}
		for _, b := range blocked {
			if err := <-b; err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		if p.Queued() != 2 {
			t.Errorf("%d queued, want 2", p.Queued())
		}
		release()
		if err := p.Drain(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Join waits until there is nothing to do, and can be called again.
func TestPool_Join(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		p := newPool(v.Engine, 2, 0)
		if err := errors.Join(p.Join(t.Context()), p.JoinFor(0)); err != nil {
			t.Errorf("idle: %v", err)
		}
		for range 3 {
			release := hold(t, p)
			timed := call(func() error { return p.JoinFor(time.Second) })
			patient := call(func() error { return p.Join(t.Context()) })
			v.Pass(time.Second)
			if err := <-timed; !errors.Is(err, wait.ErrTimeout) {
				t.Error(err)
			}
			if err := p.JoinFor(0); !errors.Is(err, wait.ErrTimeout) {
				t.Error(err)
			}
			release()
			if err := <-patient; err != nil {
				t.Error(err)
			}
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := p.Join(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("idle, with an ended context: %v", err)
		}
	})
}

// A pool that is idle has no goroutine, though it was not closed.
func TestPool_IdleHoldsNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // a bubble ends only when its goroutines have
		p := wait.NewPool(4)
		for range 100 {
			mustSubmit(t, p, value(1), wait.StartWithin(time.Hour))
		}
		if err := p.Join(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestNewPool_Refuses(t *testing.T) {
	parktest.MustPanic(t, func() { wait.NewPool(0) })
	parktest.MustPanic(t, func() { wait.NewPool(-1) })
	parktest.MustPanic(t, func() { wait.NewPool(1, wait.PoolOptions{}, wait.PoolOptions{}) })
}
