package queue_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/dulyhq/duly/queue"
)

// requirement: P19.
func TestQueueNoRetention(t *testing.T) {
	type big struct{ _ [1 << 16]byte }
	order := func(a, b *big) bool { return false }
	kinds := map[string]func(capacity int) *queue.Queue[*big]{
		"fifo": queue.New[*big], "lifo": queue.NewLIFO[*big],
		"priority": func(n int) *queue.Queue[*big] { return queue.NewPriority(n, order) },
	}
	for name, fresh := range kinds {
		t.Run(name, func(t *testing.T) {
			q := fresh(3)
			p := &big{}
			filled(t, q, p)
			if got, _ := q.TryGet(); got != p {
				t.Fatal("not the pointer that was put")
			}
			var gone []weak.Pointer[big]
			send := func() *big {
				p := &big{}
				gone = append(gone, weak.Make(p))
				return p
			}
			func() { // by TryGet, GetAll and CloseNow, and by a putter and a getter that were blocked
				filled(t, q, send(), send(), send())
				blocked := act(func() error { return q.Put(t.Context(), send()) })
				waitFor(t, func() bool { _, putters := q.Waiting(); return putters == 1 })
				if err := q.PutFor(1, send()); !errors.Is(err, queue.ErrTimeout) {
					t.Errorf("into a full queue: %v", err)
				}
				q.TryGet()
				ok(t, (<-blocked).err)
				q.TryGet()
				q.GetAll()
				getter := call(func() (*big, error) { return q.Get(t.Context()) })
				waitFor(t, func() bool { getters, _ := q.Waiting(); return getters == 1 })
				filled(t, q, send())
				<-getter
				filled(t, q, send())
			}()
			q.CloseNow()
			for i, p := range gone {
				collected(t, i, p)
			}
			if q.Unfinished() == 0 {
				t.Error("the queue was not in use any more")
			}
		})
	}
	t.Run("mailbox", func(t *testing.T) {
		var m queue.Mailbox[*big]
		var gone []weak.Pointer[big]
		func() {
			for range 3 {
				p := &big{}
				gone = append(gone, weak.Make(p))
				ok(t, m.Send(p))
			}
			m.TryReceiveIf(func(p *big) bool { return weak.Make(p) == gone[1] })
			m.TryReceive()
			m.ReceiveAll()
		}()
		for i, p := range gone {
			collected(t, i, p)
		}
		runtime.KeepAlive(&m)
	})
	t.Run("delay", func(t *testing.T) {
		var d queue.Delay[*big]
		var gone []weak.Pointer[big]
		var handles []queue.Delayed[*big]
		func() {
			for range 3 {
				p := &big{}
				gone = append(gone, weak.Make(p))
				handles = append(handles, must[queue.Delayed[*big]](t)(d.Put(p, 0)))
			}
			d.TryGet()
			handles[1].Remove()
			d.CloseNow()
		}()
		for i, p := range gone {
			collected(t, i, p)
		}
		runtime.KeepAlive(handles) // a handle does not keep the value
	})
}

// collected says that nothing refers to what p points to.
func collected[T any](t *testing.T, i int, p weak.Pointer[T]) {
	t.Helper()
	for range 10 {
		runtime.GC()
		if p.Value() == nil {
			return
		}
	}
	t.Errorf("value %d is still referred to", i)
}

// worker owns a goroutine that refers to the worker itself.
type worker struct {
	q    queue.Queue[int]
	sum  int
	done chan struct{}
}

func (w *worker) run() {
	defer close(w.done)
	for w.q.Process(context.Background(), func(n int) { w.sum += n }) == nil {
	}
}

// requirement: X60.
func TestExplicitLifecycle(t *testing.T) {
	made := func() (*worker, weak.Pointer[worker]) {
		w := &worker{done: make(chan struct{})}
		go w.run()
		return w, weak.Make(w)
	}
	// The end is a call and not something the collector finds out: the goroutine keeps its worker alive.
	w, alive := made()
	filled(t, &w.q, 1, 2, 3)
	ok(t, w.q.Join(t.Context()))
	done := w.done
	w.q.Close()
	<-done
	if w.sum != 6 {
		t.Errorf("the sum is %d", w.sum)
	}
	collected(t, 0, alive) // and once it has ended, nothing does
	// What nobody waits on is just forgotten: there is nothing to close.
	forgotten := weak.Make(filled(t, queue.New[int](0), 1, 2, 3))
	collected(t, 1, forgotten)
}

// Neither a call's ends, nor a context that is kept, nor a wait that was given up keep a value.
func TestNoRetention_WaitsAndCalls(t *testing.T) {
	type big struct{ _ [1 << 16]byte }
	var gone []weak.Pointer[big]
	fresh := func() *big {
		p := &big{}
		gone = append(gone, weak.Make(p))
		return p
	}
	var c queue.Call[*big, *big]
	var m queue.Mailbox[*big]
	var d queue.Delay[*big]
	full := queue.New[*big](1)
	var kept []context.Context
	func() {
		for _, end := range []func(*queue.Request[*big, *big]){
			func(r *queue.Request[*big, *big]) { r.Reply(fresh(), nil) },
			func(*queue.Request[*big, *big]) {}, // the client gives up
		} {
			ctx, cancel := context.WithCancel(t.Context())
			answer := call(func() (*big, error) { return c.Call(ctx, fresh()) })
			r, err := c.Receive(t.Context())
			ok(t, err)
			kept = append(kept, context.WithoutCancel(r.Context()))
			end(r)
			cancel()
			<-answer
		}
		_, err := c.CallFor(1, fresh()) // that nobody receives
		timedOut(t, err)
		server := call(func() (bool, error) { r, err := c.Receive(t.Context()); return r.Reply(fresh(), nil), err })
		_, err = c.Call(t.Context(), fresh())
		ok(t, err)
		<-server

		taker := call(func() (*big, error) { return m.Receive(t.Context()) })
		waitFor(t, func() bool { return m.Waiting() == 1 })
		ok(t, m.Send(fresh()))
		<-taker
		chooser := call(func() (*big, error) { return m.ReceiveIf(t.Context(), func(*big) bool { return true }) })
		waitFor(t, func() bool { return m.Waiting() == 1 })
		ok(t, m.Send(fresh()))
		<-chooser

		getter := call(func() (*big, error) { return d.Get(t.Context()) })
		put(t, &d, fresh(), time.Millisecond)
		<-getter
		_, err = d.PutAt(fresh(), time.Time{})
		ok(t, err)
		_, err = d.Get(t.Context())
		ok(t, err)

		filled(t, full, (*big)(nil))
		timedOut(t, full.PutFor(1, fresh()))
		ctx, cancel := context.WithCancel(t.Context())
		putter := act(func() error { return full.Put(ctx, fresh()) })
		waitFor(t, func() bool { _, putters := full.Waiting(); return putters == 1 })
		cancel()
		<-putter
	}()
	for i, p := range gone {
		collected(t, i, p)
	}
	if len(gone) != 12 {
		t.Errorf("%d values were looked at", len(gone))
	}
	runtime.KeepAlive([]any{&c, &m, &d, full, kept})
}

func timedOut(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, queue.ErrTimeout) {
		t.Errorf("got %v, want a timeout", err)
	}
}
