package wait_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/internal/park/parktest"
	"github.com/dulyhq/duly/timer"
	"github.com/dulyhq/duly/wait"
)

// Wait returns when all have ended, with the first error; panics and Goexit are errors.
func TestGroup_Errors(t *testing.T) {
	var g wait.Group
	if err := errors.Join(g.Wait(), g.WaitFor(0), g.WaitContext(t.Context())); err != nil {
		t.Errorf("nothing was started: %v", err)
	}
	var ended atomic.Int32
	for range 10 {
		g.Go(func() error { ended.Add(1); return nil })
	}
	if err := g.Wait(); err != nil || ended.Load() != 10 || g.Running() != 0 {
		t.Errorf("%v, %d have ended", err, ended.Load())
	}
	first := make(chan struct{})
	g.Go(func() error { <-first; return io.ErrShortWrite })
	g.Go(func() error { defer close(first); return nil })
	if err := g.Wait(); !errors.Is(err, io.ErrShortWrite) {
		t.Error(err)
	}
	g.Go(func() error { return io.EOF })
	if err := g.Wait(); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("the first error is kept: %v", err)
	}

	var panicked wait.Group
	panicked.Go(func() error { _, err := thePanicOfTheWork(t.Context()); return err })
	checkPanic(t, panicked.Wait(), "thePanicOfTheWork")
	var exited wait.Group
	exited.Go(func() error { runtime.Goexit(); return nil })
	if err := exited.Wait(); !errors.Is(err, timer.ErrGoexit) {
		t.Error(err)
	}
	var none wait.Group
	none.Go(nil)
	if none.Wait() == nil {
		t.Error("no function, and no error")
	}
}

// The context ends with the first error, or with the Wait; a Wait that gives up does not end it.
func TestGroup_Context(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		g, ctx := wait.WithContext(t.Context())
		g.Engine = v.Engine
		g.Go(func() error { <-ctx.Done(); return context.Cause(ctx) })
		got := call(func() error { return g.WaitFor(time.Second) })
		v.Pass(time.Second)
		if err := <-got; !errors.Is(err, wait.ErrTimeout) || ctx.Err() != nil {
			t.Errorf("%v, context: %v", err, ctx.Err())
		}
		g.Go(func() error { return io.EOF })
		if err := g.Wait(); !errors.Is(err, io.EOF) || !errors.Is(context.Cause(ctx), io.EOF) {
			t.Errorf("%v, cause: %v", err, context.Cause(ctx))
		}
		g, ctx = wait.WithContext(t.Context())
		g.Go(func() error { return nil })
		if err := g.Wait(); err != nil || !errors.Is(ctx.Err(), context.Canceled) {
			t.Errorf("%v, context: %v", err, ctx.Err())
		}
	})
}

// Wait can time out, to the instant, and be called again.
func TestGroup_WaitAgain(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		g := &wait.Group{Engine: v.Engine}
		end := make(chan struct{})
		g.Go(func() error { <-end; return io.EOF })
		if err := g.WaitFor(0); !errors.Is(err, wait.ErrTimeout) {
			t.Error(err)
		}
		for range 3 {
			got := call(func() error { return g.WaitFor(time.Second) })
			v.Pass(time.Second - 1)
			if err, ok := returned(got); ok {
				t.Errorf("early: %v", err)
			}
			v.Pass(1)
			if err := <-got; !errors.Is(err, wait.ErrTimeout) {
				t.Error(err)
			}
		}
		enough := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		got := call(func() error { return g.WaitContext(ctx) })
		v.Pass(time.Second)
		cancel(enough)
		if err := <-got; !errors.Is(err, enough) {
			t.Error(err)
		}
		all := []<-chan error{call(g.Wait), call(g.Wait), call(func() error { return g.WaitFor(time.Hour) })}
		v.Pass(time.Second)
		close(end)
		for _, c := range all {
			if err := <-c; !errors.Is(err, io.EOF) {
				t.Error(err)
			}
		}
		if err := g.WaitContext(ctx); !errors.Is(err, enough) {
			t.Errorf("all have ended, but so has the context: %v", err)
		}
	})
}

// As many run as the limit allows; who waits for it is served in order, and can give up.
func TestGroup_Limit(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		g := &wait.Group{Engine: v.Engine}
		g.SetLimit(2)
		end := make(chan struct{})
		var order []int
		var mu sync.Mutex
		work := func(i int) func() error {
			return func() error {
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				<-end
				return nil
			}
		}
		never := func() error { t.Error("called"); return nil }
		g.Go(work(0))
		v.Pass(0)
		if !g.TryGo(work(1)) || g.TryGo(never) {
			t.Error("TryGo does not keep to the limit")
		}
		v.Pass(0)
		ended, cancel := context.WithCancel(t.Context())
		if err := g.GoFor(0, never); !errors.Is(err, wait.ErrTimeout) {
			t.Error(err)
		}
		timed := call(func() error { return g.GoFor(time.Second, never) })
		v.Pass(1)
		cancelled := call(func() error { return g.GoContext(ended, never) })
		v.Pass(1)
		third := call(func() error { return g.GoContext(t.Context(), work(2)) })
		v.Pass(1)
		fourth := call(func() error { g.Go(work(3)); return nil })
		v.Pass(time.Second)
		cancel()
		if err := <-timed; !errors.Is(err, wait.ErrTimeout) {
			t.Error(err)
		}
		if err := <-cancelled; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := g.GoContext(ended, never); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		end <- struct{}{}
		v.Pass(0)
		if err := <-third; err != nil || g.Running() != 2 {
			t.Errorf("%v, %d run", err, g.Running())
		}
		g.SetLimit(0)
		end <- struct{}{}
		end <- struct{}{}
		v.Pass(0)
		if _, ok := returned(fourth); ok || g.Running() != 0 {
			t.Error("started under a limit of 0")
		}
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		g.SetLimit(-1)
		if err := <-fourth; err != nil {
			t.Error(err)
		}
		close(end)
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]int{0, 1, 2, 3}, order); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// Calls that wait for the limit give up at random: those that returned nil have run, never more than the limit at a time.
func TestGroup_LimitUnderGivingUp(t *testing.T) {
	const limit = 3
	var g wait.Group
	g.SetLimit(limit)
	var started, ran, inside, most atomic.Int64
	work := func() error {
		for n := inside.Add(1); ; {
			if m := most.Load(); n <= m || most.CompareAndSwap(m, n) {
				break
			}
		}
		runtime.Gosched()
		inside.Add(-1)
		ran.Add(1)
		return nil
	}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range parktest.Rounds(2_000) {
				ok := false
				switch rand.IntN(4) {
				case 0:
					ok = g.TryGo(work)
				case 1:
					ok = g.GoFor(time.Duration(rand.IntN(50))*time.Microsecond, work) == nil
				case 2:
					ctx, cancel := context.WithCancel(t.Context())
					go cancel()
					ok = g.GoContext(ctx, work) == nil
				case 3:
					g.Go(work)
					ok = true
				}
				if ok {
					started.Add(1)
				}
				if rand.IntN(8) == 0 {
					_ = g.WaitFor(time.Duration(rand.IntN(20)) * time.Microsecond)
				}
			}
		})
	}
	wg.Wait()
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	if started.Load() != ran.Load() || most.Load() > limit || g.Running() != 0 {
		t.Errorf("%d started, %d ran, %d at a time, %d run", started.Load(), ran.Load(), most.Load(), g.Running())
	}
}

// Who starts a function from inside of another is waited for as well.
func TestGroup_Nested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g wait.Group
		var n atomic.Int32
		var grow func(depth int) func() error
		grow = func(depth int) func() error {
			return func() error {
				n.Add(1)
				if depth > 0 {
					g.Go(grow(depth - 1))
					g.Go(grow(depth - 1))
				}
				return nil
			}
		}
		g.Go(grow(9))
		if err := g.Wait(); err != nil || n.Load() != 1023 {
			t.Errorf("%v, %d have run", err, n.Load())
		}
	})
}
