package wait_test

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dulyhq/duly/internal/park/parktest"
	"github.com/dulyhq/duly/wait"
)

// A latch opens at the last CountDown, for all who wait in whatever way, and stays open.
func TestLatch_Opens(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		l := wait.NewLatch(3)
		l.Engine = v.Engine
		all := []<-chan error{
			call(func() error { l.Wait(); return nil }),
			call(func() error { return l.WaitContext(t.Context()) }),
			call(func() error { return l.WaitFor(time.Hour) }),
			call(func() error { <-l.Done(); return nil }),
		}
		for want := 3; want > 0; want-- {
			v.Pass(time.Second)
			if n := l.Count(); n != want {
				t.Errorf("count is %d, want %d", n, want)
			}
			for i, c := range all {
				if _, ok := returned(c); ok {
					t.Errorf("%d returned at count %d", i, want)
				}
			}
			l.CountDown()
		}
		for i, c := range all {
			if err := <-c; err != nil {
				t.Errorf("%d: %v", i, err)
			}
		}
		l.CountDown() // changes nothing
		if l.Count() != 0 || l.Add(1) || l.Count() != 0 {
			t.Error("an open latch was changed")
		}
		l.Wait()
		<-l.Done()
		if err := errors.Join(l.WaitFor(0), l.WaitFor(-1), l.WaitContext(t.Context())); err != nil {
			t.Error(err)
		}
	})
}

func TestLatch_GivesUp(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		l := wait.NewLatch(1)
		l.Engine = v.Engine
		if err := l.WaitFor(0); !errors.Is(err, wait.ErrTimeout) {
			t.Error(err)
		}
		enough := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		timed := call(func() error { return l.WaitFor(time.Minute) })
		cancelled := call(func() error { return l.WaitContext(ctx) })
		v.Pass(time.Minute - 1)
		if _, ok := returned(timed); ok {
			t.Error("early")
		}
		v.Pass(1)
		if err, ok := returned(timed); !ok || !errors.Is(err, wait.ErrTimeout) {
			t.Errorf("after a minute: %v, %v", ok, err)
		}
		cancel(enough)
		if err := <-cancelled; !errors.Is(err, enough) {
			t.Error(err)
		}
		l.CountDown()
		if err := l.WaitContext(ctx); !errors.Is(err, enough) {
			t.Errorf("open, with an ended context: %v", err)
		}
	})
}

func TestLatch_Values(t *testing.T) {
	var zero wait.Latch
	zero.Wait()
	<-zero.Done()
	zero.CountDown()
	if zero.Add(1) || zero.Count() != 0 || zero.WaitFor(0) != nil {
		t.Error("the zero latch is not open")
	}
	none := wait.NewLatch(0)
	<-none.Done()
	if none.Add(2) || none.WaitFor(0) != nil {
		t.Error("a latch of nothing is not open")
	}
	l := wait.NewLatch(1)
	if !l.Add(2) || !l.Add(0) || l.Count() != 3 {
		t.Errorf("count is %d, want 3", l.Count())
	}
	parktest.MustPanic(t, func() { l.Add(-1) })
	parktest.MustPanic(t, func() { l.Add(math.MaxInt) })
	parktest.MustPanic(t, func() { wait.NewLatch(-1) })
	if l.Count() != 3 {
		t.Errorf("count is %d after what panics, want 3", l.Count())
	}
}

// What comes before a CountDown is seen after the Wait, and an Add races with the last CountDown: either it is refused, or the
// latch waits for it.
func TestLatch_Races(t *testing.T) {
	for range parktest.Rounds(20_000) {
		l := wait.NewLatch(2)
		var parts [2]int
		var added atomic.Bool
		var wg sync.WaitGroup
		for i := range parts {
			wg.Go(func() {
				parts[i] = 1
				l.CountDown()
			})
		}
		wg.Go(func() {
			if l.Add(1) {
				added.Store(true)
				l.CountDown()
			}
		})
		if err := l.WaitFor(time.Minute); err != nil || parts != [2]int{1, 1} {
			t.Fatalf("%v, %v", err, parts)
		}
		wg.Wait()
		if l.Count() != 0 {
			t.Fatalf("count is %d, added: %v", l.Count(), added.Load())
		}
	}
}
