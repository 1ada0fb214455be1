package queue_test

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/internal/park/parktest"
	"github.com/dulyhq/duly/queue"
)

// requirement: P17, X57.
func TestQueueCloseInsteadOfSentinel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue.New[int](0)
		var mu sync.Mutex
		var got []int
		var ends []error
		for range 3 {
			go func() {
				for {
					v, err := q.Get(t.Context())
					mu.Lock()
					if err != nil {
						ends = append(ends, err)
						mu.Unlock()
						return
					}
					got = append(got, v)
					mu.Unlock()
				}
			}()
		}
		synctest.Wait()
		for i := range 100 {
			ok(t, q.Put(t.Context(), i))
		}
		q.Close() // with what is left in it
		synctest.Wait()
		if len(got) != 100 {
			t.Errorf("%d of 100 came out", len(got))
		}
		if want := []error{queue.ErrClosed, queue.ErrClosed, queue.ErrClosed}; !cmp.Equal(ends, want, cmp.Comparer(same)) {
			t.Errorf("the consumers ended with %v", ends)
		}

		// A value that means the end still works for who compares it.
		type item struct{ n int }
		end := &item{}
		p := filled(t, &queue.Queue[*item]{}, &item{1}, &item{2}, end, &item{3})
		n := 0
		for it := range p.All(t.Context()) {
			if it == end {
				break
			}
			n += it.n
		}
		if n != 3 || p.Len() != 1 {
			t.Errorf("sum %d, %d left", n, p.Len())
		}
	})
}

func same(a, b error) bool { return errors.Is(a, b) }

// requirement: P18.
func TestQueueProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue.New[string](2)
		type state struct{ Len, Unfinished, Getters, Putters int }
		look := func(want state) {
			t.Helper()
			synctest.Wait()
			g, p := q.Waiting()
			if d := cmp.Diff(want, state{q.Len(), q.Unfinished(), g, p}); d != "" {
				t.Error(d)
			}
		}
		if q.Cap() != 2 {
			t.Errorf("capacity %d", q.Cap())
		}
		look(state{})
		g := call(func() (string, error) { return q.Get(t.Context()) })
		look(state{Getters: 1})
		ok(t, q.Put(t.Context(), "a")) // goes to the getter, which works on it now
		<-g
		look(state{Unfinished: 1})
		filled(t, q, "b", "c")
		p := act(func() error { return q.Put(t.Context(), "d") })
		look(state{Len: 2, Unfinished: 3, Putters: 1})
		q.Done()
		look(state{Len: 2, Unfinished: 2, Putters: 1})
		must[string](t)(q.Get(t.Context()))
		ok(t, (<-p).err)
		look(state{Len: 2, Unfinished: 3})
		q.Done()
		for range q.GetAll() {
			q.Done()
		}
		look(state{})
	})
}

// requirement: P22.
func TestQueueTaskDoneJoin(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		q := &queue.Queue[int]{Engine: v.Engine}
		ok(t, q.Join(t.Context())) // nothing was put
		filled(t, q, 1, 2, 3)
		parktest.MustPanic(t, q.Done) // nothing was got
		join := act(func() error { return q.Join(t.Context()) })
		late := act(func() error { return q.JoinFor(time.Second) })
		for range 3 {
			must[int](t)(q.Get(t.Context()))
		}
		v.Pass(time.Second - 1)
		open(t, "JoinFor", late)
		v.Pass(1)
		if err := (<-late).err; !errors.Is(err, queue.ErrTimeout) {
			t.Errorf("JoinFor: %v", err)
		}
		for range 2 {
			q.Done()
		}
		v.Pass(0)
		open(t, "Join", join)
		q.Done()
		ok(t, (<-join).err)
		ok(t, q.JoinFor(0))
		got := parktest.MustPanic(t, q.Done)
		if s, isText := got.(string); !isText || !strings.Contains(s, "Done was called more often") {
			t.Errorf("the panic says %v", got)
		}
		if q.Unfinished() != 0 {
			t.Error("the Done that was too many was counted")
		}
	})
}

// requirement: P24.
func TestQueueTimeouts(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		q := queue.New[int](1)
		q.Engine = v.Engine
		timesOut := func(what string, d time.Duration, f func() error) {
			t.Helper()
			start := v.Now()
			c := act(f)
			if d > 0 {
				v.Pass(d - 1)
				open(t, what, c)
				v.Pass(1)
			}
			err := (<-c).err
			if !errors.Is(err, queue.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: %v", what, err)
			}
			if got := v.Now().Sub(start); got != max(d, 0) {
				t.Errorf("%s: after %v", what, got)
			}
		}
		get := func(d time.Duration) func() error {
			return func() error { _, err := q.GetFor(d); return err }
		}
		put := func(d time.Duration) func() error { return func() error { return q.PutFor(d, 2) } }
		timesOut("GetFor", time.Second, get(time.Second))
		timesOut("GetFor 0", 0, get(0))
		timesOut("GetFor -1", 0, get(-1))
		ok(t, q.PutFor(0, 1)) // what is free is had in no time
		timesOut("PutFor", time.Second, put(time.Second))
		timesOut("PutFor 0", 0, put(0))
		timesOut("PutFor -1", 0, put(-1))
		timesOut("JoinFor 0", 0, func() error { return q.JoinFor(0) })
		if q.Len() != 1 {
			t.Errorf("%d values after puts that failed", q.Len())
		}
		if got := must[int](t)(q.GetFor(-1)); got != 1 {
			t.Errorf("got %d", got)
		}
		// Those who gave up eat no wake-up.
		timesOut("GetFor", time.Second, get(time.Second))
		next := call(func() (int, error) { return q.Get(t.Context()) })
		v.Pass(0)
		ok(t, q.PutFor(0, 3))
		if got := must[int](t)((<-next).v, nil); got != 3 {
			t.Errorf("got %d", got)
		}
	})
}

// requirement: P25, X56.
func TestStopWakesBlockedGet(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		q := &queue.Queue[int]{Engine: v.Engine}
		cause := errors.New("stopped")
		ctx, cancel := context.WithCancelCause(t.Context())
		c := call(func() (int, error) { return q.Get(ctx) })
		v.Pass(time.Hour)
		open(t, "Get", c)
		start := v.Now()
		cancel(cause)
		if err := (<-c).err; !errors.Is(err, cause) {
			t.Errorf("stopped by the context: %v", err)
		}
		c = call(func() (int, error) { return q.GetFor(time.Hour) })
		v.Pass(0)
		q.Close()
		if err := (<-c).err; !errors.Is(err, queue.ErrClosed) {
			t.Errorf("stopped by Close: %v", err)
		}
		if got := v.Now().Sub(start); got != 0 {
			t.Errorf("it took %v", got)
		}
		if _, err := q.Get(ctx); !errors.Is(err, cause) {
			t.Errorf("with a context that has ended: %v", err)
		}
		if err := q.Put(ctx, 1); !errors.Is(err, cause) {
			t.Errorf("with a context that has ended: %v", err)
		}
		if err := q.Join(ctx); !errors.Is(err, cause) {
			t.Errorf("with a context that has ended: %v", err)
		}
	})
}

// requirement: P26.
func TestCloseReleasesAllWaiters(t *testing.T) {
	const n = 1000
	closers := map[string]func(q *queue.Queue[int]){"Close": (*queue.Queue[int]).Close, "CloseNow": func(q *queue.Queue[int]) { q.CloseNow() }}
	for name, shut := range closers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				empty, full := queue.New[int](1), filled(t, queue.New[int](1), 0)
				var calls []<-chan result[bool]
				for i := range n {
					calls = append(calls, act(func() error {
						if i%2 == 0 {
							_, err := empty.GetFor(time.Hour)
							return err
						}
						_, err := empty.Get(t.Context())
						return err
					}), act(func() error {
						if i%2 == 0 {
							return full.PutFor(time.Hour, i)
						}
						return full.Put(t.Context(), i)
					}))
				}
				var joins []<-chan result[bool]
				for range n {
					joins = append(joins, act(func() error { return full.Join(t.Context()) }))
				}
				synctest.Wait()
				shut(empty)
				shut(full)
				synctest.Wait()
				for _, c := range calls {
					if err := (<-c).err; !errors.Is(err, queue.ErrClosed) {
						t.Fatal(err)
					}
				}
				want := queue.ErrClosed
				if name == "Close" { // what is left is still to be done
					open(t, "Join", joins[0])
					must[int](t)(full.Get(t.Context()))
					full.Done()
					want = nil
				}
				for _, c := range joins {
					if err := (<-c).err; !errors.Is(err, want) {
						t.Fatal(err)
					}
				}
			})
		})
	}
}

// requirement: X42.
func TestTimeoutIsAbsoluteDeadline(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		// Two receivers want the same messages. Each Send wakes both, one takes it, and the other was woken for nothing.
		m := &queue.Mailbox[int]{Engine: v.Engine}
		start := v.Now()
		loser := call(func() (int, error) { return m.ReceiveIfFor(time.Second, func(n int) bool { return n < 0 }) })
		v.Pass(0)
		for i := range 9 {
			winner := call(func() (int, error) { return m.ReceiveIfFor(time.Minute, func(n int) bool { return n == i }) })
			v.Pass(100 * time.Millisecond)
			ok(t, m.Send(i))
			if r := <-winner; r.v != i || r.err != nil {
				t.Errorf("%d: %v, %v", i, r.v, r.err)
			}
		}
		v.Pass(100*time.Millisecond - 1)
		open(t, "ReceiveIfFor", loser)
		v.Pass(1)
		if r := <-loser; !errors.Is(r.err, queue.ErrTimeout) {
			t.Errorf("%v, %v", r.v, r.err)
		}
		if got := v.Now().Sub(start); got != time.Second {
			t.Errorf("after %v", got)
		}
	})
}

// requirement: X42. Messages that keep coming while the receiver looks at them do not prolong its time either.
func TestTimeoutIsAbsoluteDeadline_Flood(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		if v.Hand != nil {
			return // pred lets time pass, and with a clock moved by hand it cannot
		}
		m := &queue.Mailbox[int]{Engine: v.Engine}
		ok(t, m.Send(0))
		start := v.Now()
		_, err := m.ReceiveIfFor(time.Second, func(n int) bool {
			time.Sleep(100 * time.Millisecond)
			ok(t, m.Send(n+1)) // there is always another one
			return false
		})
		if got := v.Now().Sub(start); !errors.Is(err, queue.ErrTimeout) || got != time.Second {
			t.Errorf("%v after %v", err, got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		_, err = m.ReceiveIf(ctx, func(n int) bool {
			if n == 15 {
				cancel()
			}
			ok(t, m.Send(n+1))
			return false
		})
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// requirement: X58.
func TestJoinReturnsOnClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := filled(t, &queue.Queue[int]{}, 1, 2, 3)
		must[int](t)(q.Get(t.Context())) // and it is never done
		join := act(func() error { return q.Join(t.Context()) })
		synctest.Wait()
		if d := cmp.Diff([]int{2, 3}, q.CloseNow()); d != "" {
			t.Error(d)
		}
		if err := (<-join).err; !errors.Is(err, queue.ErrClosed) {
			t.Error(err)
		}
		if err := q.Join(t.Context()); !errors.Is(err, queue.ErrClosed) {
			t.Errorf("afterwards: %v", err)
		}
		q.Done()
		if err := q.Join(t.Context()); !errors.Is(err, queue.ErrClosed) {
			t.Errorf("two were never done, but %v", err)
		}
		if vs := q.CloseNow(); vs != nil {
			t.Errorf("left for a second CloseNow: %v", vs)
		}

		// Closed in order, and only what was begun is waited for.
		q = filled(t, &queue.Queue[int]{}, 1, 2, 3)
		must[int](t)(q.Get(t.Context()))
		q.Close()
		for range q.GetAll() {
			q.Done()
		}
		join = act(func() error { return q.Join(t.Context()) })
		synctest.Wait()
		open(t, "Join", join)
		q.Done()
		ok(t, (<-join).err)
		q.CloseNow()
		ok(t, q.Join(t.Context())) // everything was done
	})
}

// requirement: X59.
func TestProcessMarksDoneOnPanic(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		q := filled(t, &queue.Queue[int]{Engine: v.Engine}, 1, 2, 3, 4)
		if got := parktest.MustPanic(t, func() { _ = q.Process(t.Context(), func(int) { panic("broken") }) }); got != "broken" {
			t.Errorf("the panic became %v", got)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = q.Process(t.Context(), func(int) { runtime.Goexit() })
			t.Error("Goexit did not go on")
		}()
		<-ended
		if n := q.Unfinished(); n != 2 {
			t.Errorf("%d unfinished of four, of which two have ended", n)
		}
		var got []int
		ok(t, q.Process(t.Context(), func(v int) { got = append(got, v) }))
		ok(t, q.ProcessFor(0, func(v int) {
			got = append(got, v)
			if q.Unfinished() != 1 {
				t.Error("done before it is")
			}
		}))
		if d := cmp.Diff([]int{3, 4}, got); d != "" {
			t.Error(d)
		}
		ok(t, q.JoinFor(0))
		if err := q.ProcessFor(0, func(int) { t.Error("nothing to process") }); !errors.Is(err, queue.ErrTimeout) {
			t.Error(err)
		}
		q.Close()
		if err := q.Process(t.Context(), func(int) { t.Error("nothing to process") }); !errors.Is(err, queue.ErrClosed) {
			t.Error(err)
		}
	})
}

// requirement: X61.
func TestPutAfterCloseErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, shut := range map[string]func(q *queue.Queue[int]){"Close": (*queue.Queue[int]).Close, "CloseNow": func(q *queue.Queue[int]) { q.CloseNow() }} {
			q := queue.New[int](1)
			shut(q)
			if err := q.Put(t.Context(), 1); !errors.Is(err, queue.ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
			if err := q.PutFor(time.Hour, 1); !errors.Is(err, queue.ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
			if q.TryPut(1) {
				t.Errorf("%s: TryPut has put", name)
			}
			if q.Len() != 0 || q.Unfinished() != 0 {
				t.Errorf("%s: something was put", name)
			}
			if _, err := q.GetFor(0); !errors.Is(err, queue.ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
			shut(q) // again
		}
		var m queue.Mailbox[int]
		m.Close()
		if err := m.Send(1); !errors.Is(err, queue.ErrClosed) {
			t.Error(err)
		}
		var c queue.Call[int, int]
		c.Close()
		if _, err := c.Call(t.Context(), 1); !errors.Is(err, queue.ErrClosed) {
			t.Error(err)
		}
		if _, err := c.CallFor(0, 1); !errors.Is(err, queue.ErrClosed) {
			t.Error(err)
		}
		var d queue.Delay[int]
		d.Close()
		if _, err := d.Put(1, time.Hour); !errors.Is(err, queue.ErrClosed) {
			t.Error(err)
		}
		if _, err := d.PutAt(1, time.Now()); !errors.Is(err, queue.ErrClosed) {
			t.Error(err)
		}
	})
}
