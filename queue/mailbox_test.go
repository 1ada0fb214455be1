package queue_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/internal/park/parktest"
	"github.com/dulyhq/duly/queue"
)

func even(n int) bool { return n%2 == 0 }

func sent(t *testing.T, m *queue.Mailbox[int], vs ...int) *queue.Mailbox[int] {
	t.Helper()
	for _, v := range vs {
		ok(t, m.Send(v))
	}
	return m
}

// requirement: F26.
func TestMailbox_SendAndReceive(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		m := sent(t, &queue.Mailbox[int]{Engine: v.Engine}, 1, 2, 3)
		for want := 1; want <= 3; want++ {
			if got := must[int](t)(m.Receive(t.Context())); got != want {
				t.Errorf("received %d, want %d", got, want)
			}
		}
		if _, has := m.TryReceive(); has {
			t.Error("received from an empty mailbox")
		}
		first := call(func() (int, error) { return m.Receive(t.Context()) })
		v.Pass(0)
		second := call(func() (int, error) { return m.ReceiveFor(time.Minute) })
		v.Pass(time.Second)
		if n := m.Waiting(); n != 2 {
			t.Errorf("%d wait", n)
		}
		sent(t, m, 4, 5)
		if a, b := <-first, <-second; a.v != 4 || b.v != 5 || a.err != nil || b.err != nil {
			t.Errorf("first %v, second %v", a, b)
		}
		start := v.Now()
		late := call(func() (int, error) { return m.ReceiveFor(time.Second) })
		v.Pass(time.Second)
		if r := <-late; !errors.Is(r.err, queue.ErrTimeout) || v.Now().Sub(start) != time.Second {
			t.Errorf("%v after %v", r.err, v.Now().Sub(start))
		}
		sent(t, m, 6)
		if got, has := m.TryReceive(); got != 6 || !has {
			t.Errorf("the receiver that gave up has taken something: %v, %v", got, has)
		}
	})
}

// requirement: F26.
func TestMailbox_ReceiveIfKeepsOrder(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		m := sent(t, &queue.Mailbox[int]{Engine: v.Engine}, 1, 3, 4, 5, 6, 7)
		if got := must[int](t)(m.ReceiveIf(t.Context(), even)); got != 4 {
			t.Errorf("received %d", got)
		}
		if got, has := m.TryReceiveIf(func(n int) bool { return n > 100 }); has {
			t.Errorf("received %d", got)
		}
		if got := must[int](t)(m.ReceiveIfFor(0, even)); got != 6 {
			t.Errorf("received %d", got)
		}
		var shown []int
		c := call(func() (int, error) {
			return m.ReceiveIfFor(time.Hour, func(n int) bool { shown = append(shown, n); return even(n) })
		})
		v.Pass(time.Second)
		sent(t, m, 9)
		v.Pass(time.Second)
		open(t, "ReceiveIfFor", c)
		sent(t, m, 10, 11)
		if r := <-c; r.v != 10 || r.err != nil {
			t.Errorf("received %d, %v", r.v, r.err)
		}
		if d := cmp.Diff([]int{1, 3, 5, 7, 9, 10}, shown); d != "" {
			t.Errorf("each message is shown once, in order: %s", d)
		}
		if d := cmp.Diff([]int{1, 3, 5, 7, 9, 11}, m.ReceiveAll()); d != "" {
			t.Errorf("left: %s", d)
		}
		if m.ReceiveAll() != nil || m.Len() != 0 {
			t.Error("something is left")
		}
	})
}

// requirement: F26. Several choose at a time: each message goes to one, and they do not get into each other's way.
func TestMailbox_ManyChoose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &queue.Mailbox[int]{}
		const n = 50
		got := make([]<-chan result[int], n)
		for i := range n {
			got[i] = call(func() (int, error) { return m.ReceiveIf(t.Context(), func(v int) bool { return v == i }) })
		}
		synctest.Wait()
		for i := range 2 * n {
			sent(t, m, 2*n-1-i)
		}
		for i := range n {
			if r := <-got[i]; r.v != i || r.err != nil {
				t.Errorf("%d: %d, %v", i, r.v, r.err)
			}
		}
		left := m.ReceiveAll()
		if len(left) != n || left[0] != 2*n-1 || left[n-1] != n {
			t.Errorf("left: %v", left)
		}
	})
}

// requirement: F26. Any receiver goes before those that choose, and what it is given they never see.
func TestMailbox_TakersBeforeChoosers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &queue.Mailbox[int]{}
		chooser := call(func() (int, error) { return m.ReceiveIf(t.Context(), even) })
		synctest.Wait()
		taker := call(func() (int, error) { return m.Receive(t.Context()) })
		synctest.Wait()
		sent(t, m, 2, 4)
		if a, b := <-taker, <-chooser; a.v != 2 || b.v != 4 {
			t.Errorf("taker %v, chooser %v", a, b)
		}
	})
}

// requirement: F26. pred runs without a lock: it may use the mailbox, take away what it was shown, and panic.
func TestMailbox_PredMayUseTheMailbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := sent(t, &queue.Mailbox[int]{}, 1, 2, 3)
		got := must[int](t)(m.ReceiveIf(t.Context(), func(n int) bool {
			if n < 3 {
				sent(t, m, 10*n)
			}
			return n == 20
		}))
		if d := cmp.Diff([]int{1, 2, 3, 10}, m.ReceiveAll()); got != 20 || d != "" {
			t.Errorf("received %d, left: %s", got, d)
		}

		sent(t, m, 1, 2, 3)
		got = must[int](t)(m.ReceiveIf(t.Context(), func(n int) bool {
			if n == 1 {
				m.ReceiveAll() // what it was shown, too
				sent(t, m, 4)
			}
			return true
		}))
		if got != 4 || m.Len() != 0 {
			t.Errorf("received %d, %d left", got, m.Len())
		}

		sent(t, m, 1, 2, 3)
		_, has := m.TryReceiveIf(func(n int) bool {
			if n == 1 {
				_, inner := m.TryReceiveIf(func(n int) bool { return n == 2 })
				return !inner
			}
			return false
		})
		if d := cmp.Diff([]int{1, 3}, m.ReceiveAll()); has || d != "" {
			t.Errorf("received: %v, left: %s", has, d)
		}

		sent(t, m, 1, 2, 3)
		if v := parktest.MustPanic(t, func() { m.TryReceiveIf(func(n int) bool { panic(n) }) }); v != 1 {
			t.Errorf("the panic became %v", v)
		}
		if d := cmp.Diff([]int{1, 2, 3}, m.ReceiveAll()); d != "" {
			t.Errorf("after a panic: %s", d)
		}
		sent(t, m, 7) // nothing was left behind that a next receiver would run into
		if got := must[int](t)(m.Receive(t.Context())); got != 7 {
			t.Errorf("received %d", got)
		}
	})
}

// requirement: F26.
func TestMailbox_Bounded(t *testing.T) {
	m := queue.NewMailbox[int](2)
	sent(t, m, 1, 2)
	if err := m.Send(3); !errors.Is(err, queue.ErrFull) {
		t.Error(err)
	}
	if m.Cap() != 2 || m.Len() != 2 {
		t.Errorf("%d of %d", m.Len(), m.Cap())
	}
	m.TryReceiveIf(even)
	sent(t, m, 4)
	if d := cmp.Diff([]int{1, 4}, m.ReceiveAll()); d != "" {
		t.Error(d)
	}
	parktest.MustPanic(t, func() { queue.NewMailbox[int](-1) })
}

// requirement: F26, P26.
func TestMailbox_Close(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		m := &queue.Mailbox[int]{Engine: v.Engine}
		calls := []<-chan result[int]{
			call(func() (int, error) { return m.Receive(t.Context()) }),
			call(func() (int, error) { return m.ReceiveFor(time.Hour) }),
			call(func() (int, error) { return m.ReceiveIf(t.Context(), even) }),
			call(func() (int, error) { return m.ReceiveIfFor(time.Hour, even) }),
		}
		v.Pass(time.Second)
		m.Close()
		m.Close()
		for i, c := range calls {
			if err := (<-c).err; !errors.Is(err, queue.ErrClosed) {
				t.Errorf("%d: %v", i, err)
			}
		}

		m = sent(t, &queue.Mailbox[int]{Engine: v.Engine}, 1, 2, 3)
		m.Close()
		if got := must[int](t)(m.ReceiveIf(t.Context(), even)); got != 2 {
			t.Errorf("received %d", got)
		}
		if _, err := m.ReceiveIf(t.Context(), even); !errors.Is(err, queue.ErrClosed) {
			t.Error(err)
		}
		if d := cmp.Diff([]int{1, 3}, m.ReceiveAll()); d != "" {
			t.Error(d)
		}
		if _, err := m.ReceiveFor(0); !errors.Is(err, queue.ErrClosed) {
			t.Error(err)
		}
	})
}

// requirement: F26.
func TestMailbox_ContextEnds(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		m := &queue.Mailbox[int]{Engine: v.Engine}
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		a := call(func() (int, error) { return m.Receive(ctx) })
		b := call(func() (int, error) { return m.ReceiveIf(ctx, even) })
		v.Pass(time.Hour)
		cancel(cause)
		if err := (<-a).err; !errors.Is(err, cause) {
			t.Error(err)
		}
		if err := (<-b).err; !errors.Is(err, cause) {
			t.Error(err)
		}
		sent(t, m, 2)
		if _, err := m.Receive(ctx); !errors.Is(err, cause) {
			t.Errorf("although something is there: %v", err)
		}
		if _, err := m.ReceiveIf(ctx, even); !errors.Is(err, cause) {
			t.Errorf("although something is there: %v", err)
		}
		if m.Len() != 1 || m.Waiting() != 0 {
			t.Errorf("%d messages, %d wait", m.Len(), m.Waiting())
		}
	})
}

// requirement: F26. The synchronous call between two that have mailboxes.
func TestMailbox_Call(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		c := &queue.Call[int, int]{Engine: v.Engine}
		server := call(func() (int, error) {
			return 0, c.Serve(t.Context(), func(_ context.Context, n int) (int, error) { return 2 * n, nil })
		})
		if got := must[int](t)(c.Call(t.Context(), 21)); got != 42 {
			t.Errorf("the reply is %d", got)
		}
		if got := must[int](t)(c.CallFor(time.Second, 4)); got != 8 {
			t.Errorf("the reply is %d", got)
		}
		c.Close()
		if err := (<-server).err; !errors.Is(err, queue.ErrClosed) {
			t.Error(err)
		}
	})
}

// requirement: X42. One end: the time that pred takes before the call first blocks is part of its time.
func TestMailbox_ReceiveIfForHasOneEnd(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		m := sent(t, &queue.Mailbox[int]{Engine: v.Engine}, 1, 3)
		start := v.Now()
		c := call(func() (int, error) {
			return m.ReceiveIfFor(time.Second, func(int) bool {
				if v.Hand != nil {
					v.Hand.Advance(400 * time.Millisecond)
				} else {
					time.Sleep(400 * time.Millisecond)
				}
				return false
			})
		})
		for v.Pass(0); v.Now().Sub(start) < 800*time.Millisecond; {
			v.Pass(100 * time.Millisecond)
		}
		v.Pass(200*time.Millisecond - 1)
		open(t, "ReceiveIfFor", c)
		v.Pass(1)
		select {
		case r := <-c:
			if !errors.Is(r.err, queue.ErrTimeout) {
				t.Errorf("%v, %v", r.v, r.err)
			}
		default:
			t.Error("it goes on after a second")
			m.Close()
			<-c
		}
		// What was there is looked at also by a pred that takes longer than there is time.
		sent(t, m, 4)
		got, err := m.ReceiveIfFor(time.Second, func(n int) bool {
			if v.Hand != nil {
				v.Hand.Advance(time.Second)
			} else {
				time.Sleep(time.Second)
			}
			return even(n)
		})
		if got != 4 || err != nil {
			t.Errorf("%v, %v", got, err)
		}
		// The end of what is too long does not overflow.
		c = call(func() (int, error) { return m.ReceiveIfFor(math.MaxInt64, even) })
		v.Pass(time.Hour)
		open(t, "ReceiveIfFor", c)
		sent(t, m, 6)
		if r := <-c; r.v != 6 || r.err != nil {
			t.Errorf("%v, %v", r.v, r.err)
		}
		c = call(func() (int, error) {
			return m.ReceiveIfFor(math.MaxInt64, func(n int) bool {
				if n == 7 {
					sent(t, m, 8) // comes while it looks
				}
				return even(n)
			})
		})
		v.Pass(0)
		sent(t, m, 7)
		if r := <-c; r.v != 8 || r.err != nil {
			t.Errorf("%v, %v", r.v, r.err)
		}
	})
}

// A message that wakes a chooser before its time is up is looked at, however late the chooser comes to that.
func TestMailbox_WokenInTime(t *testing.T) {
	parktest.ByHand(t, func(t *testing.T, v parktest.Venue) {
		m := &queue.Mailbox[int]{Engine: v.Engine}
		for range 200 {
			c := call(func() (int, error) { return m.ReceiveIfFor(time.Second, even) })
			v.Pass(time.Second - 1)
			sent(t, m, 2)
			v.Hand.Advance(time.Hour) // at once; the chooser may not have run
			if r := <-c; r.v != 2 || r.err != nil {
				t.Fatalf("%v, %v", r.v, r.err)
			}
		}
	})
}
