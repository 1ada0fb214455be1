package queue_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dulyhq/duly/internal/park/parktest"
	"github.com/dulyhq/duly/queue"
	"github.com/dulyhq/duly/timer"
)

// The races of hand-over and give-up, with real goroutines and the default engine.

// impatient makes one call of three: blocking, timed and soon given up, or cancelled at about the moment of the hand-over.
func impatient(ctx context.Context, r *rand.Rand, op func(context.Context) error, opFor func(time.Duration) error) error {
	switch r.IntN(4) {
	case 0:
		return op(ctx)
	case 1:
		return opFor(time.Duration(r.IntN(30)) * time.Microsecond)
	case 2:
		return opFor(0)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func(spins int) {
		for range spins {
			runtime.Gosched()
		}
		cancel()
	}(r.IntN(3))
	return op(ctx)
}

// gaveUp says whether an error is one of a call that gave up.
func gaveUp(err error) bool {
	return errors.Is(err, queue.ErrTimeout) || errors.Is(err, context.Canceled)
}

// No value is lost, none is doubled, and what one producer put one after the other a consumer gets in that order.
func TestStorm_QueueHandOver(t *testing.T) {
	for _, capacity := range []int{0, 1, 3} {
		q := queue.New[[2]int](capacity)
		const producers, consumers = 4, 4
		each := parktest.Rounds(20_000)
		var put, got [producers]atomic.Int64 // sums of what was put and got, by producer
		var counts [producers]atomic.Int64
		var makers, takers sync.WaitGroup
		ctx := t.Context()
		for p := range producers {
			makers.Go(func() {
				r := rand.New(rand.NewPCG(uint64(p), 1))
				for i := 1; i <= each; i++ {
					v := [2]int{p, i}
					err := impatient(ctx, r, func(ctx context.Context) error { return q.Put(ctx, v) },
						func(d time.Duration) error { return q.PutFor(d, v) })
					switch {
					case err == nil:
						put[p].Add(int64(i))
						counts[p].Add(1)
					case !gaveUp(err):
						t.Error(err)
					}
				}
			})
		}
		for c := range consumers {
			takers.Go(func() {
				r := rand.New(rand.NewPCG(uint64(c), 2))
				var last [producers]int
				for {
					var v [2]int
					err := impatient(ctx, r, func(ctx context.Context) (err error) { v, err = q.Get(ctx); return err },
						func(d time.Duration) (err error) { v, err = q.GetFor(d); return err })
					if errors.Is(err, queue.ErrClosed) {
						return
					}
					if err != nil {
						continue
					}
					if v[1] <= last[v[0]] {
						t.Errorf("producer %d's %d came after its %d", v[0], v[1], last[v[0]])
					}
					last[v[0]] = v[1]
					got[v[0]].Add(int64(v[1]))
					counts[v[0]].Add(-1)
					q.Done()
				}
			})
		}
		makers.Wait()
		ok(t, q.Join(ctx))
		q.Close()
		takers.Wait()
		for p := range producers {
			if put[p].Load() != got[p].Load() || counts[p].Load() != 0 {
				t.Errorf("capacity %d, producer %d: put %d, got %d, %d values are missing", capacity, p, put[p].Load(), got[p].Load(), counts[p].Load())
			}
		}
		if g, p := q.Waiting(); g+p+q.Len()+q.Unfinished() != 0 {
			t.Error("something is left")
		}
	}
}

// The same for a mailbox, whose receivers also choose.
func TestStorm_Mailbox(t *testing.T) {
	var m queue.Mailbox[int]
	n := parktest.Rounds(20_000)
	seen := make([]atomic.Int32, 4*n)
	var senders, receivers sync.WaitGroup
	for s := range 4 {
		senders.Go(func() {
			for i := range n {
				ok(t, m.Send(4*i+s))
				for m.Len() > 50 { // what is not wanted is looked at again and again
					runtime.Gosched()
				}
			}
		})
	}
	ctx := t.Context()
	for c := range 4 {
		receivers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(c), 3))
			var last [4]int
			for s := range last {
				last[s] = -1
			}
			mine := func(v int) bool { return v%4 == c }
			for {
				var v int
				err := impatient(ctx, r,
					func(ctx context.Context) (err error) { v, err = m.ReceiveIf(ctx, mine); return err },
					func(d time.Duration) (err error) {
						if c == 0 {
							v, err = m.ReceiveFor(d) // and anybody's
						} else {
							v, err = m.ReceiveIfFor(d, mine)
						}
						return err
					})
				if errors.Is(err, queue.ErrClosed) {
					return
				}
				if err != nil {
					continue
				}
				if v <= last[v%4] {
					t.Errorf("%d came after %d", v, last[v%4])
				}
				last[v%4] = v
				seen[v].Add(1)
			}
		})
	}
	senders.Wait()
	m.Close()
	receivers.Wait()
	for _, v := range m.ReceiveAll() {
		seen[v].Add(1)
	}
	for v := range seen {
		if k := seen[v].Load(); k != 1 {
			t.Fatalf("%d was received %d times", v, k)
		}
	}
}

// Receivers that take any message and that give up at the moment of the hand-over.
func TestStorm_MailboxHandOver(t *testing.T) {
	var m queue.Mailbox[int]
	n := parktest.Rounds(20_000)
	var sent, received atomic.Int64
	var senders, receivers sync.WaitGroup
	ctx := t.Context()
	for range 2 {
		senders.Go(func() {
			for i := range n {
				for m.Len() > 0 || m.Waiting() == 0 { // so that each message meets somebody who waits
					runtime.Gosched()
				}
				ok(t, m.Send(i))
				sent.Add(int64(i))
			}
		})
	}
	for c := range 3 {
		receivers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(c), 8))
			for {
				var v int
				err := impatient(ctx, r, func(ctx context.Context) (err error) { v, err = m.Receive(ctx); return err },
					func(d time.Duration) (err error) { v, err = m.ReceiveFor(d); return err })
				if errors.Is(err, queue.ErrClosed) {
					return
				}
				if err == nil {
					received.Add(int64(v))
				}
			}
		})
	}
	senders.Wait()
	m.Close()
	receivers.Wait()
	for _, v := range m.ReceiveAll() {
		received.Add(int64(v))
	}
	if sent.Load() != received.Load() {
		t.Errorf("sent %d, received %d", sent.Load(), received.Load())
	}
}

// A reply is given to its caller, or dropped with both sides agreeing on that.
func TestStorm_Call(t *testing.T) {
	var c queue.Call[int, int]
	n := parktest.Rounds(20_000)
	var answered, taken atomic.Int64
	var clients, servers sync.WaitGroup
	ctx := t.Context()
	for s := range 3 {
		servers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(s), 4))
			for {
				var req *queue.Request[int, int]
				err := impatient(ctx, r, func(ctx context.Context) (err error) { req, err = c.Receive(ctx); return err },
					func(d time.Duration) (err error) { req, err = c.ReceiveFor(d); return err })
				if errors.Is(err, queue.ErrClosed) {
					return
				}
				if err != nil {
					continue
				}
				for range r.IntN(3) {
					runtime.Gosched()
				}
				if r.IntN(4) == 0 {
					req.Context()
				}
				if req.Reply(-req.Req, nil) {
					answered.Add(1)
				}
				if req.Reply(0, nil) {
					t.Error("two replies")
				}
			}
		})
	}
	for k := range 4 {
		clients.Go(func() {
			r := rand.New(rand.NewPCG(uint64(k), 5))
			for i := range n {
				v := 4*i + k
				var rep int
				err := impatient(ctx, r, func(ctx context.Context) (err error) { rep, err = c.Call(ctx, v); return err },
					func(d time.Duration) (err error) { rep, err = c.CallFor(d, v); return err })
				switch {
				case err == nil && rep != -v:
					t.Errorf("%d was answered with %d", v, rep)
				case err == nil:
					taken.Add(1)
				case !gaveUp(err):
					t.Error(err)
				}
			}
		})
	}
	clients.Wait()
	c.Close()
	servers.Wait()
	if answered.Load() != taken.Load() || taken.Load() == 0 {
		t.Errorf("%d replies were given, %d taken", answered.Load(), taken.Load())
	}
	if a, b, d := c.Waiting(); a+b+d != 0 {
		t.Error("somebody waits")
	}
}

// Values that are put, removed and got at the same time: each ends in one of the three ways, and none is early.
func TestStorm_Delay(t *testing.T) {
	e := timer.New()
	d := &queue.Delay[int]{Engine: e}
	n := parktest.Rounds(20_000)
	type fate struct {
		due time.Duration // on the engine's timeline
		end atomic.Int32
	}
	fates := make([]fate, 4*n)
	var putters, getters sync.WaitGroup
	ctx := t.Context()
	for p := range 4 {
		putters.Go(func() {
			r := rand.New(rand.NewPCG(uint64(p), 6))
			for i := range n {
				v := 4*i + p
				after := time.Duration(r.IntN(2000)) * time.Microsecond
				fates[v].due = e.Elapsed() + after
				h, err := d.Put(v, after)
				ok(t, err)
				if r.IntN(3) == 0 && h.Remove() {
					fates[v].end.Add(1)
				}
				if i%16 == 0 {
					runtime.Gosched()
				}
			}
		})
	}
	for g := range 4 {
		getters.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 7))
			for {
				var v int
				err := impatient(ctx, r, func(ctx context.Context) (err error) { v, err = d.Get(ctx); return err },
					func(timeout time.Duration) (err error) { v, err = d.GetFor(timeout); return err })
				if errors.Is(err, queue.ErrClosed) {
					return
				}
				if err != nil {
					continue
				}
				fates[v].end.Add(1)
				if now := e.Elapsed(); now < fates[v].due {
					t.Errorf("%d came %v early", v, fates[v].due-now)
				}
			}
		})
	}
	putters.Wait()
	d.Close()
	getters.Wait()
	for v := range fates {
		if k := fates[v].end.Load(); k != 1 {
			t.Fatalf("%d ended %d times", v, k)
		}
	}
	parktest.CloseEngine(t, e)
}

// Closed at any moment, by one of those who use it: what was accepted comes out or is handed back, and everybody is answered.
func TestStorm_QueueCloses(t *testing.T) {
	ctx := t.Context()
	for round := range parktest.Rounds(1600) {
		q := queue.New[int](1 + round%3)
		var put, got, count atomic.Int64
		var all sync.WaitGroup
		shut := func() {
			if round%2 == 0 {
				q.Close()
				return
			}
			for _, v := range q.CloseNow() {
				got.Add(int64(v))
			}
		}
		for k := range 3 {
			all.Go(func() {
				for q.Put(ctx, k+1) == nil {
					put.Add(int64(k + 1))
				}
			})
			all.Go(func() {
				for q.Process(ctx, func(v int) {
					got.Add(int64(v))
					if count.Add(1) == int64(round%20) {
						go shut()
						runtime.Gosched() // on one processor the others would hand over to each other for a time slice first
					}
				}) == nil {
				}
			})
		}
		all.Go(func() { _ = q.JoinFor(time.Minute) })
		if round%20 == 0 {
			shut()
		}
		all.Wait()
		for q.Unfinished() != 0 || put.Load() != got.Load() { // until CloseNow has told what was left
			if runtime.Gosched(); count.Add(1) > 1e6 {
				t.Fatalf("round %d: put %d, got %d", round, put.Load(), got.Load())
			}
		}
	}
}
