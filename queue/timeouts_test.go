package queue_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/internal/park/parktest"
	"github.com/dulyhq/duly/queue"
	"github.com/dulyhq/duly/timer"
)

// requirement: F25. The part of this package: each method that takes a context has a form that takes a time.
func TestEveryBlockingOpHasTimeout(t *testing.T) {
	iterators := map[string]bool{"Queue.All": true, "Call.Serve": true} // loops; what they wait with has both forms
	context := reflect.TypeFor[context.Context]()
	checked := 0
	for _, typ := range []reflect.Type{
		reflect.TypeFor[*queue.Queue[int]](), reflect.TypeFor[*queue.Mailbox[int]](),
		reflect.TypeFor[*queue.Call[int, int]](), reflect.TypeFor[*queue.Delay[int]](),
	} {
		kind, _, _ := strings.Cut(typ.Elem().Name(), "[")
		for m := range typ.Methods() {
			if name := kind + "." + m.Name; m.Type.NumIn() > 1 && m.Type.In(1) == context && !iterators[name] {
				checked++
				twin, has := typ.MethodByName(m.Name + "For")
				if !has || twin.Type.In(1) != reflect.TypeFor[time.Duration]() || twin.Type.NumIn() != m.Type.NumIn() {
					t.Errorf("%s has no %sFor(d, ...)", name, m.Name)
				}
			}
		}
	}
	if checked != 9 {
		t.Errorf("%d methods with a context were checked", checked)
	}
	t.Run("each times out", eachTimesOut)
}

func eachTimesOut(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		full := filled(t, &queue.Queue[int]{Engine: v.Engine}, 1)
		empty := &queue.Queue[int]{Engine: v.Engine}
		bounded := filled(t, queue.New[int](1), 1)
		bounded.Engine = v.Engine
		m := &queue.Mailbox[int]{Engine: v.Engine}
		c := &queue.Call[int, int]{Engine: v.Engine}
		d := &queue.Delay[int]{Engine: v.Engine}
		h := must[queue.Delayed[int]](t)(d.Put(1, time.Hour))
		ok(t, m.Send(1))
		for name, f := range map[string]func(time.Duration) error{
			"Queue.PutFor":         func(d time.Duration) error { return bounded.PutFor(d, 2) },
			"Queue.GetFor":         func(d time.Duration) error { _, err := empty.GetFor(d); return err },
			"Queue.JoinFor":        full.JoinFor,
			"Queue.ProcessFor":     func(d time.Duration) error { return empty.ProcessFor(d, func(int) {}) },
			"Mailbox.ReceiveIfFor": func(d time.Duration) error { _, err := m.ReceiveIfFor(d, func(int) bool { return false }); return err },
			"Call.CallFor":         func(d time.Duration) error { _, err := c.CallFor(d, 1); return err },
			"Call.ReceiveFor":      func(d time.Duration) error { _, err := c.ReceiveFor(d); return err },
			"Delay.GetFor":         func(timeout time.Duration) error { _, err := d.GetFor(timeout); return err },
			"Mailbox.ReceiveFor": func(d time.Duration) error {
				_, err := (&queue.Mailbox[int]{Engine: v.Engine}).ReceiveFor(d)
				return err
			},
		} {
			for _, dur := range []time.Duration{-1, 0, time.Second} {
				r := act(func() error { return f(dur) })
				if dur > 0 {
					v.Pass(dur - 1)
					open(t, name, r)
					v.Pass(1)
				}
				if err := (<-r).err; !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s(%v): %v", name, dur, err)
				}
			}
		}
		clients, served, servers := c.Waiting()
		if clients+served+servers+m.Waiting()+d.Waiting() != 0 || m.Len() != 1 || d.Len() != 1 || !h.Remove() {
			t.Error("something has changed")
		}
	})
}

// Whoever blocks with a timeout is an entry of the engine and nothing else: 10,000 of each kind wake it when they are due, and
// not before.
func TestTenThousandWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := timer.New()
		empty, full := &queue.Queue[int]{Engine: e}, filled(t, queue.New[int](1), 1)
		full.Engine = e
		m, c, d := &queue.Mailbox[int]{Engine: e}, &queue.Call[int, int]{Engine: e}, &queue.Delay[int]{Engine: e}
		far := put(t, d, 1, 24*time.Hour)
		never := func(int) bool { return false }
		kinds := []func(time.Duration) error{
			func(d time.Duration) error { _, err := empty.GetFor(d); return err },
			func(d time.Duration) error { return full.PutFor(d, 1) },
			full.JoinFor,
			func(d time.Duration) error { _, err := m.ReceiveFor(d); return err },
			func(d time.Duration) error { _, err := m.ReceiveIfFor(d, never); return err },
			func(d time.Duration) error { _, err := c.CallFor(d, 1); return err },
			func(timeout time.Duration) error { _, err := d.GetFor(timeout); return err },
		}
		n := parktest.Rounds(10_000)
		var calls []<-chan result[bool]
		for range n {
			for _, f := range kinds {
				calls = append(calls, act(func() error { return f(time.Hour) }))
			}
		}
		synctest.Wait()
		before := e.Stats()
		if want := len(calls) + 1; before.Pending != want { // and the Delay's own
			t.Errorf("%d deadlines are pending, want %d", before.Pending, want)
		}
		time.Sleep(time.Hour - 1)
		synctest.Wait()
		if s := e.Stats(); s.Expired != before.Expired || s.Wakeups-before.Wakeups > 20 {
			t.Errorf("%d were told, and the engine woke %d times, before anything was due", s.Expired-before.Expired, s.Wakeups-before.Wakeups)
		}
		time.Sleep(time.Nanosecond)
		for _, r := range calls {
			if err := (<-r).err; !errors.Is(err, queue.ErrTimeout) {
				t.Fatal(err)
			}
		}
		if s := e.Stats(); s.Expired-before.Expired != uint64(len(calls)) {
			t.Errorf("%d were told of %d", s.Expired-before.Expired, len(calls))
		}
		far.Remove()
		parktest.CloseEngine(t, e)
	})
}
