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

// A swarm uses one of everything on an engine that is closed meanwhile, and counts what goes in and out.
type swarm struct {
	q *queue.Queue[int]
	m queue.Mailbox[int]
	c queue.Call[int, int]
	d queue.Delay[int]

	queued, mailed, delayed atomic.Int64 // in less out
	asked, answered         atomic.Int64
	makers, takers          sync.WaitGroup
}

// expected says whether an error is one that a call of a swarm may end with.
func expected(err error) bool {
	return gaveUp(err) || errors.Is(err, queue.ErrClosed) || errors.Is(err, timer.ErrClosed)
}

// make lets producers and clients do n calls of each kind.
func (s *swarm) make(t *testing.T, r *rand.Rand, n int) {
	ctx := t.Context()
	s.makers.Go(func() {
		for v := range n {
			if err := impatient(ctx, r, func(ctx context.Context) error { return s.q.Put(ctx, v) },
				func(d time.Duration) error { return s.q.PutFor(d, v) }); err == nil {
				s.queued.Add(1)
			} else if !expected(err) {
				t.Error(err)
			}
			if s.m.Send(v) == nil {
				s.mailed.Add(1)
			}
			h, err := s.d.Put(v, time.Duration(r.IntN(100))*time.Microsecond)
			ok(t, err)
			if s.delayed.Add(1); r.IntN(4) == 0 && h.Remove() {
				s.delayed.Add(-1)
			}
			if err := impatient(ctx, r, func(ctx context.Context) error { _, err := s.c.Call(ctx, v); return err },
				func(d time.Duration) error { _, err := s.c.CallFor(d, v); return err }); err == nil {
				s.asked.Add(1)
			} else if !expected(err) {
				t.Error(err)
			}
			_ = s.q.JoinFor(time.Microsecond)
		}
	})
}

// take lets getters and servers work until everything is closed.
func (s *swarm) take(t *testing.T, r *rand.Rand) {
	loop := func(r *rand.Rand, op func(context.Context) error, opFor func(time.Duration) error, end func(error) bool) {
		s.takers.Go(func() {
			for {
				switch err := impatient(t.Context(), r, op, opFor); {
				case err != nil && end(err):
					return
				case err != nil && !expected(err):
					t.Error(err)
					return
				}
			}
		})
	}
	closed := func(err error) bool { return errors.Is(err, queue.ErrClosed) }
	random := func() *rand.Rand { return rand.New(rand.NewPCG(r.Uint64(), r.Uint64())) }
	count := func(n *atomic.Int64, err error) error {
		if err == nil {
			n.Add(-1)
		}
		return err
	}
	done := func(int) { s.queued.Add(-1) }
	loop(random(), func(ctx context.Context) error { return s.q.Process(ctx, done) },
		func(d time.Duration) error { return s.q.ProcessFor(d, done) }, closed)
	loop(random(), func(ctx context.Context) error { _, err := s.m.ReceiveIf(ctx, even); return count(&s.mailed, err) },
		func(d time.Duration) error { _, err := s.m.ReceiveFor(d); return count(&s.mailed, err) }, closed)
	answer := func(q *queue.Request[int, int], err error) error {
		if err == nil && q.Reply(0, nil) {
			s.answered.Add(1)
		}
		return err
	}
	loop(random(), func(ctx context.Context) error { return answer(s.c.Receive(ctx)) },
		func(d time.Duration) error { return answer(s.c.ReceiveFor(d)) }, closed)
	loop(random(), func(ctx context.Context) error { _, err := s.d.Get(ctx); return count(&s.delayed, err) },
		func(d time.Duration) error { _, err := s.d.GetFor(d); return count(&s.delayed, err) },
		func(err error) bool { return closed(err) || errors.Is(err, timer.ErrClosed) })
}

// Engines that are closed in the middle of everything: everybody is answered, nothing is lost and nothing doubled.
func TestStorm_EngineCloses(t *testing.T) {
	for round := range parktest.Rounds(400) {
		e := timer.New()
		s := &swarm{q: queue.New[int](2 * (round % 2))}
		s.q.Engine, s.m.Engine, s.c.Engine, s.d.Engine = e, e, e, e
		for k := range 2 {
			s.make(t, rand.New(rand.NewPCG(uint64(round), uint64(k))), 60)
			s.take(t, rand.New(rand.NewPCG(uint64(round), uint64(k+2))))
		}
		for range round * 20 % 2000 {
			runtime.Gosched()
		}
		if _, err := e.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		s.makers.Wait()
		s.q.Close()
		s.m.Close()
		s.c.Close()
		left := len(s.d.CloseNow())
		s.takers.Wait()
		if q, m, d := s.queued.Load(), s.mailed.Load()-int64(s.m.Len()), s.delayed.Load()-int64(left); q != 0 || m != 0 || d != 0 {
			t.Fatalf("round %d: %d in the queue, %d in the mailbox and %d in the Delay are missing", round, q, m, d)
		}
		if a, b := s.asked.Load(), s.answered.Load(); a != b {
			t.Fatalf("round %d: %d got an answer of %d", round, a, b)
		}
		getters, putters := s.q.Waiting()
		clients, served, servers := s.c.Waiting()
		if getters+putters+clients+served+servers+s.m.Waiting()+s.d.Waiting()+s.q.Unfinished() != 0 {
			t.Fatalf("round %d: somebody waits, or something is unfinished", round)
		}
	}
}
