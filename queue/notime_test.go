package queue_test

import (
	"errors"
	"testing"
	"time"

	"github.com/dulyhq/duly/internal/park/parktest"
	"github.com/dulyhq/duly/queue"
)

// A call that has no time to wait in does not join those who wait, where others would see it and a Delay would set a deadline
// for it: it makes no waiter, and so allocates nothing.
func TestNoTime_DoesNotJoin(t *testing.T) {
	var empty, one queue.Queue[int]
	full := filled(t, queue.New[int](1), 1)
	filled(t, &one, 1)
	var m queue.Mailbox[int]
	var c queue.Call[int, int]
	var d queue.Delay[int]
	put(t, &d, 1, time.Hour)
	for name, f := range map[string]func(d time.Duration) error{
		"Queue.GetFor":       func(d time.Duration) error { _, err := empty.GetFor(d); return err },
		"Queue.PutFor":       func(d time.Duration) error { return full.PutFor(d, 2) },
		"Queue.JoinFor":      one.JoinFor,
		"Queue.ProcessFor":   func(d time.Duration) error { return empty.ProcessFor(d, nil) },
		"Mailbox.ReceiveFor": func(d time.Duration) error { _, err := m.ReceiveFor(d); return err },
		"Call.ReceiveFor":    func(d time.Duration) error { _, err := c.ReceiveFor(d); return err },
		"Call.CallFor":       func(d time.Duration) error { _, err := c.CallFor(d, 1); return err },
		"Delay.GetFor":       func(timeout time.Duration) error { _, err := d.GetFor(timeout); return err },
	} {
		for _, dur := range []time.Duration{0, -1} {
			if n := testing.AllocsPerRun(20, func() {
				if err := f(dur); !errors.Is(err, queue.ErrTimeout) {
					t.Errorf("%s(%v): %v", name, dur, err)
				}
			}); n != 0 {
				t.Errorf("%s(%v) allocates %v times", name, dur, n)
			}
		}
	}
}

// A Delay sets no deadline, of which its engine would have to be told, for a getter that does not wait.
func TestNoTime_SetsNoDeadline(t *testing.T) {
	parktest.ByHand(t, func(t *testing.T, v parktest.Venue) {
		d := &queue.Delay[int]{Engine: v.Engine}
		put(t, d, 1, time.Hour)
		must[queue.Delayed[int]](t)(d.PutAt(2, v.Now().Add(time.Hour)))
		v.Hand.TakeSets()
		for range 10 {
			if _, err := d.GetFor(0); !errors.Is(err, queue.ErrTimeout) {
				t.Error(err)
			}
		}
		if sets := v.Hand.TakeSets(); len(sets) != 0 {
			t.Errorf("the alarm was set: %v", sets)
		}
	})
}

// What closed or has room for it is told and done also by a call that has no time.
func TestNoTime_AnswersBeforeTimeout(t *testing.T) {
	q := queue.New[int](1)
	ok(t, q.JoinFor(0))
	ok(t, q.PutFor(0, 1))
	if v, err := q.GetFor(0); v != 1 || err != nil {
		t.Errorf("%v, %v", v, err)
	}
	q.Close()
	var m queue.Mailbox[int]
	m.Close()
	var c queue.Call[int, int]
	c.Close()
	var d queue.Delay[int]
	d.Close()
	for name, f := range map[string]func() error{
		"Queue.GetFor":         func() error { _, err := q.GetFor(0); return err },
		"Queue.PutFor":         func() error { return q.PutFor(0, 2) },
		"Mailbox.ReceiveFor":   func() error { _, err := m.ReceiveFor(0); return err },
		"Mailbox.ReceiveIfFor": func() error { _, err := m.ReceiveIfFor(0, even); return err },
		"Call.ReceiveFor":      func() error { _, err := c.ReceiveFor(0); return err },
		"Call.CallFor":         func() error { _, err := c.CallFor(0, 1); return err },
		"Delay.GetFor":         func() error { _, err := d.GetFor(0); return err },
	} {
		if err := f(); !errors.Is(err, queue.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
