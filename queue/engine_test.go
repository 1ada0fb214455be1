package queue_test

import (
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/queue"
	"github.com/dulyhq/duly/timer"
)

// What happens to those who wait on an engine that ends under them.

// failing is a clock that cannot be read any more on the driver's goroutine, once it is told so.
type failing struct {
	clock.Clock
	fails  atomic.Bool
	waking atomic.Bool
}

func (c *failing) NewAlarm(wake func()) clock.Alarm {
	return c.Clock.NewAlarm(func() {
		c.waking.Store(true)
		defer c.waking.Store(false)
		wake()
	})
}

func (c *failing) Read() clock.Reading {
	if c.fails.Load() && c.waking.Load() {
		panic("the clock has stopped")
	}
	return c.Clock.Read()
}

// A stage has one of everything, on one engine, and something blocked on each in each way.
type stage struct {
	empty, busy queue.Queue[int]
	bounded     *queue.Queue[int]
	m           queue.Mailbox[int]
	asked, idle queue.Call[int, int]
	d           queue.Delay[int]

	timed, free map[string]<-chan result[bool] // calls with a timeout, and without
}

func newStage(t *testing.T, e *timer.Engine) *stage {
	t.Helper()
	s := &stage{bounded: queue.New[int](1)}
	s.empty.Engine, s.busy.Engine, s.bounded.Engine = e, e, e
	s.m.Engine, s.asked.Engine, s.idle.Engine, s.d.Engine = e, e, e, e
	filled(t, s.bounded, 1)
	filled(t, &s.busy, 1)
	put(t, &s.d, 1, 3*time.Hour)
	must[queue.Delayed[int]](t)(s.d.PutAt(2, e.Now().Add(4*time.Hour)))
	never := func(int) bool { return false }
	s.timed = each(map[string]func() error{
		"GetFor":          func() error { _, err := s.empty.GetFor(2 * time.Hour); return err },
		"PutFor":          func() error { return s.bounded.PutFor(2*time.Hour, 2) },
		"JoinFor":         func() error { return s.busy.JoinFor(2 * time.Hour) },
		"ProcessFor":      func() error { return s.empty.ProcessFor(2*time.Hour, func(int) {}) },
		"ReceiveFor":      func() error { _, err := s.m.ReceiveFor(2 * time.Hour); return err },
		"ReceiveIfFor":    func() error { _, err := s.m.ReceiveIfFor(2*time.Hour, never); return err },
		"CallFor":         func() error { _, err := s.asked.CallFor(2*time.Hour, 1); return err },
		"Call.ReceiveFor": func() error { _, err := s.idle.ReceiveFor(2 * time.Hour); return err },
		"Delay.GetFor":    func() error { _, err := s.d.GetFor(2 * time.Hour); return err },
		"Delay.Get":       func() error { _, err := s.d.Get(t.Context()); return err }, // waits for a due time
	})
	s.free = each(map[string]func() error{
		"Get":          func() error { _, err := s.empty.Get(t.Context()); return err },
		"Put":          func() error { return s.bounded.Put(t.Context(), 3) },
		"Join":         func() error { return s.busy.Join(t.Context()) },
		"Receive":      func() error { _, err := s.m.Receive(t.Context()); return err },
		"ReceiveIf":    func() error { _, err := s.m.ReceiveIf(t.Context(), even); return err },
		"Call":         func() error { _, err := s.asked.Call(t.Context(), 1); return err },
		"Call.Receive": func() error { _, err := s.idle.Receive(t.Context()); return err },
	})
	synctest.Wait()
	return s
}

func each(fs map[string]func() error) map[string]<-chan result[bool] {
	calls := map[string]<-chan result[bool]{}
	for name, f := range fs {
		calls[name] = act(f)
	}
	return calls
}

// check says what is left when those with a timeout have been told why.
func (s *stage) check(t *testing.T, why error) {
	t.Helper()
	for name, c := range s.timed {
		if r := <-c; !errors.Is(r.err, why) || errors.Is(r.err, queue.ErrTimeout) {
			t.Errorf("%s: %v, want %v", name, r.err, why)
		}
	}
	synctest.Wait()
	for name, c := range s.free {
		open(t, name, c)
	}
	type counts struct{ Getters, Putters, Mailbox, Clients, Served, Servers, Delay int }
	var got counts
	got.Getters, _ = s.empty.Waiting()
	_, got.Putters = s.bounded.Waiting()
	got.Clients, got.Served, _ = s.asked.Waiting()
	_, _, got.Servers = s.idle.Waiting()
	got.Mailbox, got.Delay = s.m.Waiting(), s.d.Waiting()
	if diff := cmp.Diff(counts{Getters: 1, Putters: 1, Mailbox: 2, Clients: 1, Servers: 1}, got); diff != "" {
		t.Errorf("who still waits (-want +got):\n%s", diff)
	}
	// What was there is still there, and everybody who needs no time goes on as ever.
	if got := must[int](t)(s.bounded.GetFor(0)); got != 1 {
		t.Errorf("got %d", got)
	}
	ok(t, (<-s.free["Put"]).err)
	if got := must[int](t)(s.bounded.Get(t.Context())); got != 3 {
		t.Errorf("got %d from the putter that waited", got)
	}
	filled(t, &s.empty, 5)
	ok(t, (<-s.free["Get"]).err)
	sent(t, &s.m, 7, 8) // the first goes to the taker
	ok(t, (<-s.free["Receive"]).err)
	ok(t, (<-s.free["ReceiveIf"]).err)
	must[int](t)(s.busy.GetFor(0))
	s.busy.Done()
	ok(t, (<-s.free["Join"]).err)
	r, has := s.asked.TryReceive()
	if !has || !r.Reply(1, nil) {
		t.Error("the call without a timeout is lost")
	}
	ok(t, (<-s.free["Call"]).err)
	s.idle.Close()
	if r := <-s.free["Call.Receive"]; !errors.Is(r.err, queue.ErrClosed) {
		t.Error(r.err)
	}
	if diff := cmp.Diff([]int{1, 2}, s.d.CloseNow()); diff != "" {
		t.Errorf("the Delay's values: %s", diff)
	}
}

// requirement: P26. Everybody who needs the engine is told, and nobody else.
func TestEngineEnds(t *testing.T) {
	t.Run("closed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			e := timer.New()
			s := newStage(t, e)
			if _, err := e.Close(t.Context()); err != nil {
				t.Error(err)
			}
			s.check(t, timer.ErrClosed)
			if _, err := s.empty.GetFor(time.Hour); !errors.Is(err, timer.ErrClosed) {
				t.Errorf("after that: %v", err)
			}
		})
	})
	t.Run("broken", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := &failing{Clock: clock.System()}
			e := timer.New(timer.Options{Clock: c, Logger: slog.New(slog.DiscardHandler)})
			s := newStage(t, e)
			c.fails.Store(true)
			time.Sleep(2 * time.Hour) // the first deadline is the driver's last
			synctest.Wait()
			if err := e.Err(); !errors.Is(err, timer.ErrBroken) {
				t.Fatalf("the engine works: %v", err)
			}
			if _, err := s.empty.GetFor(time.Hour); !errors.Is(err, timer.ErrBroken) {
				t.Errorf("a new call: %v", err)
			}
			c.fails.Store(false)
			if _, err := e.Close(t.Context()); err != nil { // at the latest by this those who wait are told
				t.Error(err)
			}
			s.check(t, timer.ErrBroken)
		})
	})
	t.Run("not made by New", func(t *testing.T) {
		e := &timer.Engine{}
		q, m, c, d := &queue.Queue[int]{Engine: e}, &queue.Mailbox[int]{Engine: e}, &queue.Call[int, int]{Engine: e}, &queue.Delay[int]{Engine: e}
		put(t, d, 1, time.Hour)
		for name, f := range map[string]func() error{
			"GetFor":       func() error { _, err := q.GetFor(time.Hour); return err },
			"ReceiveFor":   func() error { _, err := m.ReceiveFor(time.Hour); return err },
			"ReceiveIfFor": func() error { _, err := m.ReceiveIfFor(time.Hour, even); return err },
			"CallFor":      func() error { _, err := c.CallFor(time.Hour, 1); return err },
			"Delay.GetFor": func() error { _, err := d.GetFor(time.Hour); return err },
			"Delay.Get":    func() error { _, err := d.Get(t.Context()); return err },
		} {
			if err := f(); err == nil || errors.Is(err, queue.ErrTimeout) {
				t.Errorf("%s: %v", name, err)
			}
		}
		getters, putters := q.Waiting()
		clients, served, servers := c.Waiting()
		if getters+putters+clients+served+servers+m.Waiting()+d.Waiting() != 0 {
			t.Error("somebody waits who has been answered")
		}
	})
}
