package queue_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/internal/park/parktest"
	"github.com/dulyhq/duly/queue"
)

type request = queue.Request[int, int]

func received(t *testing.T, c *queue.Call[int, int]) *request {
	t.Helper()
	return must[*request](t)(c.Receive(t.Context()))
}

// requirement: F26. Each reply goes to the caller whose request it answers, in whatever order the replies come.
func TestCall_RepliesAreTagged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c queue.Call[int, int]
		refused := errors.New("refused")
		var calls []<-chan result[int]
		for i := range 4 {
			calls = append(calls, call(func() (int, error) { return c.Call(t.Context(), i) }))
			synctest.Wait()
		}
		look := func(want [3]int) {
			t.Helper()
			clients, served, servers := c.Waiting()
			if got := [3]int{clients, served, servers}; got != want {
				t.Errorf("waiting %v, want %v", got, want)
			}
		}
		look([3]int{4, 0, 0})
		var rs []*request
		for i := range 4 {
			rs = append(rs, received(t, &c))
			if rs[i].Req != i {
				t.Errorf("request %d came at place %d", rs[i].Req, i)
			}
		}
		look([3]int{0, 4, 0})
		for i := range 3 {
			if !rs[3-i].Reply(10*(3-i), nil) {
				t.Errorf("the reply to %d was dropped", 3-i)
			}
		}
		if !rs[0].Reply(7, refused) || rs[0].Reply(8, nil) {
			t.Error("one reply counts")
		}
		for i, ch := range calls[1:] {
			if r := <-ch; r.v != 10*(i+1) || r.err != nil {
				t.Errorf("call %d: %v, %v", i+1, r.v, r.err)
			}
		}
		if r := <-calls[0]; r.v != 7 || !errors.Is(r.err, refused) {
			t.Errorf("call 0: %v, %v", r.v, r.err)
		}
		look([3]int{0, 0, 0})
		server := call(func() (*request, error) { return c.Receive(t.Context()) })
		synctest.Wait()
		look([3]int{0, 0, 1})
		again := call(func() (int, error) { return c.Call(t.Context(), 9) })
		(<-server).v.Reply(90, nil)
		if r := <-again; r.v != 90 {
			t.Errorf("%v, %v", r.v, r.err)
		}
	})
}

// requirement: F26.
func TestCall_LateReplyIsDropped(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		c := &queue.Call[int, int]{Engine: v.Engine}
		timed := call(func() (int, error) { return c.CallFor(time.Second, 1) })
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		r := received(t, c)
		cancelled := call(func() (int, error) { return c.Call(ctx, 2) })
		r2 := received(t, c)
		if r.Context().Err() != nil || r2.Context().Err() != nil {
			t.Error("a context has ended too early")
		}
		v.Pass(time.Second - 1)
		open(t, "CallFor", timed)
		v.Pass(1)
		if err := (<-timed).err; !errors.Is(err, queue.ErrTimeout) {
			t.Error(err)
		}
		if r.Reply(10, nil) {
			t.Error("a late reply was taken")
		}
		if !errors.Is(context.Cause(r.Context()), queue.ErrTimeout) {
			t.Errorf("the request's context: %v", context.Cause(r.Context()))
		}
		cancel(cause)
		if err := (<-cancelled).err; !errors.Is(err, cause) {
			t.Error(err)
		}
		if r2.Reply(20, nil) || !errors.Is(context.Cause(r2.Context()), cause) {
			t.Errorf("a late reply was taken, or the context says %v", context.Cause(r2.Context()))
		}

		// A request that nobody has received is taken back.
		unseen := call(func() (int, error) { return c.CallFor(time.Second, 3) })
		v.Pass(time.Second)
		if err := (<-unseen).err; !errors.Is(err, queue.ErrTimeout) {
			t.Error(err)
		}
		if r, has := c.TryReceive(); has {
			t.Errorf("received %v", r.Req)
		}
		if _, err := c.CallFor(0, 4); !errors.Is(err, queue.ErrTimeout) {
			t.Error(err)
		}
		if _, err := c.Call(ctx, 4); !errors.Is(err, cause) {
			t.Error(err)
		}
		if _, err := c.Receive(ctx); !errors.Is(err, cause) {
			t.Error(err)
		}
		if r, has := c.TryReceive(); has {
			t.Errorf("received %v", r.Req)
		}
	})
}

// requirement: F26. A server that calls itself, or comes back to itself through another, is told so.
func TestCall_ToOneselfIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a, b queue.Call[int, int]
		ends := make(chan error, 2)
		go func() {
			ends <- a.Serve(t.Context(), func(ctx context.Context, n int) (int, error) {
				if n == 0 {
					return a.Call(ctx, 1)
				}
				return b.Call(ctx, n)
			})
		}()
		go func() {
			ends <- b.Serve(t.Context(), func(ctx context.Context, n int) (int, error) {
				if n == 1 {
					return a.Call(ctx, 2)
				}
				return 100 * n, nil
			})
		}()
		for n, want := range map[int]error{0: queue.ErrSelfCall, 1: queue.ErrSelfCall, 2: nil} {
			if got, err := a.Call(t.Context(), n); !errors.Is(err, want) || (err == nil && got != 200) {
				t.Errorf("%d: %d, %v", n, got, err)
			}
		}
		a.Close()
		b.Close()
		for range 2 {
			if err := <-ends; !errors.Is(err, queue.ErrClosed) {
				t.Error(err)
			}
		}
	})
}

// The request's context carries the client's values, and ends with the reply.
func TestCall_RequestContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		var c queue.Call[int, int]
		done := call(func() (int, error) { return c.Call(context.WithValue(t.Context(), key{}, "v"), 1) })
		r := received(t, &c)
		ctx := r.Context()
		if ctx.Value(key{}) != "v" || ctx.Err() != nil || ctx != r.Context() {
			t.Errorf("%v, %v", ctx.Value(key{}), ctx.Err())
		}
		r.Reply(2, nil)
		if !errors.Is(ctx.Err(), context.Canceled) {
			t.Error("it has not ended with the reply")
		}
		<-done
		done = call(func() (int, error) { return c.Call(t.Context(), 1) })
		r = received(t, &c)
		r.Reply(2, nil)
		if r.Context().Err() == nil {
			t.Error("it has not ended with the reply, although it was made later")
		}
		<-done
		// A nil context is the background.
		done = call(func() (int, error) { return c.Call(nil, 1) }) //nolint:staticcheck // that is what is tested
		r = received(t, &c)
		if r.Context().Err() != nil {
			t.Error("it has ended")
		}
		r.Reply(2, nil)
		<-done
	})
}

// requirement: F26, P26.
func TestCall_CloseAnswersEverybody(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		c := &queue.Call[int, int]{Engine: v.Engine}
		var calls []<-chan result[int]
		for i := range 10 {
			calls = append(calls, call(func() (int, error) { return c.Call(t.Context(), i) }),
				call(func() (int, error) { return c.CallFor(time.Hour, i) }))
		}
		var taken []*request
		for range 5 {
			taken = append(taken, received(t, c))
		}
		ctx := taken[0].Context()
		v.Pass(time.Second)
		c.Close()
		for _, ch := range calls {
			if err := (<-ch).err; !errors.Is(err, queue.ErrClosed) {
				t.Error(err)
			}
		}
		for _, r := range taken {
			if r.Reply(1, nil) || !errors.Is(context.Cause(r.Context()), queue.ErrClosed) {
				t.Errorf("a reply was taken, or the context says %v", context.Cause(r.Context()))
			}
		}
		if ctx.Err() == nil {
			t.Error("the context has not ended")
		}
		if _, err := c.Receive(t.Context()); !errors.Is(err, queue.ErrClosed) {
			t.Error(err)
		}

		c = &queue.Call[int, int]{Engine: v.Engine}
		servers := []<-chan result[*request]{
			call(func() (*request, error) { return c.Receive(t.Context()) }),
			call(func() (*request, error) { return c.ReceiveFor(time.Hour) }),
		}
		v.Pass(time.Second)
		c.Close()
		c.Close()
		for _, s := range servers {
			if r := <-s; r.v != nil || !errors.Is(r.err, queue.ErrClosed) {
				t.Errorf("%v, %v", r.v, r.err)
			}
		}
	})
}

// A handler that panics, or ends its goroutine, leaves nobody waiting.
func TestCall_ServeAnswersAlsoOnPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c queue.Call[int, int]
		var panics []any
		serve := func(f func()) {
			go func() {
				defer func() { panics = append(panics, recover()) }()
				_ = c.Serve(t.Context(), func(context.Context, int) (int, error) { f(); return 0, nil })
			}()
		}
		serve(func() { panic("broken") })
		if _, err := c.Call(t.Context(), 1); !errors.Is(err, queue.ErrNoReply) {
			t.Error(err)
		}
		synctest.Wait()
		serve(runtime.Goexit)
		if _, err := c.Call(t.Context(), 1); !errors.Is(err, queue.ErrNoReply) {
			t.Error(err)
		}
		synctest.Wait()
		if d := cmp.Diff([]any{"broken", nil}, panics); d != "" {
			t.Error(d)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.Serve(ctx, nil); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// requirement: F26. Whoever keeps what a request's context knows may call again once the request was replied to, and not before.
func TestCall_ToOneselfOnlyWhileUnanswered(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		c := &queue.Call[int, int]{Engine: v.Engine}
		answered := func(ctx context.Context, what string) {
			t.Helper()
			again := call(func() (int, error) { return c.Call(ctx, 7) })
			v.Pass(0)
			r, has := c.TryReceive()
			if !has {
				t.Errorf("%s: %v", what, (<-again).err)
				return
			}
			if _, err := c.Call(r.Context(), 8); !errors.Is(err, queue.ErrSelfCall) { //nolint:contextcheck // that is what is tested
				t.Errorf("%s, from inside of the next: %v", what, err)
			}
			r.Reply(70, nil)
			if got := <-again; got.v != 70 || got.err != nil {
				t.Errorf("%s: %v, %v", what, got.v, got.err)
			}
		}
		refused := func(ctx context.Context, what string) {
			t.Helper()
			again := call(func() (int, error) { return c.Call(ctx, 7) })
			v.Pass(0)
			if r, has := c.TryReceive(); has {
				t.Errorf("%s: the call was made", what)
				r.Reply(0, nil)
			}
			if got := <-again; !errors.Is(got.err, queue.ErrSelfCall) {
				t.Errorf("%s: %v", what, got.err)
			}
		}
		first := call(func() (int, error) { return c.Call(t.Context(), 1) })
		r := received(t, c)
		kept := context.WithoutCancel(r.Context())
		refused(kept, "while it is worked on")
		r.Reply(10, nil)
		<-first
		answered(kept, "after the reply")
		answered(context.WithoutCancel(r.Context()), "of a request that was replied to")

		// Asked for only then.
		first = call(func() (int, error) { return c.Call(t.Context(), 2) })
		r = received(t, c)
		r.Reply(20, nil)
		<-first
		answered(context.WithoutCancel(r.Context()), "made after the reply")

		// The client has given up, but the server is still at it.
		timed := call(func() (int, error) { return c.CallFor(time.Second, 3) })
		r = received(t, c)
		kept = context.WithoutCancel(r.Context())
		v.Pass(time.Second)
		<-timed
		refused(kept, "while it is worked on for nobody")
		r.Reply(30, nil)
		answered(kept, "after a late reply")

		timed = call(func() (int, error) { return c.CallFor(time.Second, 4) })
		r = received(t, c)
		v.Pass(time.Second)
		<-timed
		refused(context.WithoutCancel(r.Context()), "made while it is worked on for nobody")
		timed = call(func() (int, error) { return c.CallFor(time.Second, 5) })
		r = received(t, c)
		v.Pass(time.Second)
		<-timed
		r.Reply(50, nil)
		answered(context.WithoutCancel(r.Context()), "made after a late reply")
	})
}
