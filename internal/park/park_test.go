package park_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/internal/park"
	"github.com/dulyhq/duly/timer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gate lets n calls through at a time: the smallest thing that waits.
type gate struct {
	e    *timer.Engine
	mu   sync.Mutex
	free int
	list park.List
}

func (g *gate) enter(l park.Limit) error {
	if err := l.Err(); err != nil {
		return err
	}
	g.mu.Lock()
	if g.free > 0 && g.list.Len() == 0 {
		g.free--
		g.mu.Unlock()
		return nil
	}
	w := park.New()
	defer w.Release()
	g.list.Push(w)
	g.mu.Unlock()
	err := w.Wait(g.e, &l)
	if err != nil {
		g.mu.Lock()
		g.list.Remove(w)
		g.mu.Unlock()
	}
	return err
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for w := g.list.Front(); w != nil; w = g.list.Front() {
		if w.Grant() {
			return
		}
	}
	g.free++
}

func TestErrTimeout(t *testing.T) {
	var n net.Error
	if !errors.As(park.ErrTimeout, &n) || !n.Timeout() {
		t.Error("no net.Error that is a timeout")
	}
	if !errors.Is(park.ErrTimeout, context.DeadlineExceeded) || !errors.Is(park.ErrTimeout, os.ErrDeadlineExceeded) || errors.Is(park.ErrTimeout, context.Canceled) {
		t.Error("not what errors.Is has to say")
	}
}

func TestWait_Limits(t *testing.T) {
	check := func(t *testing.T, e *timer.Engine, advance func(time.Duration)) {
		t.Helper()
		g := &gate{e: e}
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		errs := make(chan error, 1)
		for _, d := range []time.Duration{-1, 0} {
			if err := g.enter(park.For(d)); !errors.Is(err, park.ErrTimeout) {
				t.Errorf("For(%v): %v", d, err)
			}
		}
		go func() { errs <- g.enter(park.For(time.Hour)) }()
		advance(time.Hour - 1)
		select {
		case err := <-errs:
			t.Errorf("early: %v", err)
		default:
		}
		advance(1)
		if err := <-errs; !errors.Is(err, park.ErrTimeout) {
			t.Errorf("after an hour: %v", err)
		}
		go func() { errs <- g.enter(park.Until(ctx)) }()
		advance(time.Hour)
		cancel(cause)
		if err := <-errs; !errors.Is(err, cause) {
			t.Errorf("cancelled: %v", err)
		}
		g.leave()
		if err := g.enter(park.Until(ctx)); !errors.Is(err, cause) {
			t.Errorf("with an ended context: %v", err)
		}
		if err := g.enter(park.For(0)); err != nil {
			t.Errorf("what is free, in no time: %v", err)
		}
		go func() { errs <- g.enter(park.Limit{}) }()
		go func() { errs <- g.enter(park.For(1<<63 - 1)) }()
		advance(1000 * time.Hour)
		g.leave()
		g.leave()
		for range 2 {
			if err := <-errs; err != nil {
				t.Errorf("granted: %v", err)
			}
		}
	}
	t.Run("in a bubble", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			check(t, nil, func(d time.Duration) {
				time.Sleep(d)
				synctest.Wait()
			})
		})
	})
	t.Run("an engine in a bubble", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			e := timer.New()
			check(t, e, func(d time.Duration) {
				time.Sleep(d)
				synctest.Wait()
			})
			if _, err := e.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("by hand", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			hand := clock.NewManual(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
			e := timer.New(timer.Options{Clock: hand})
			check(t, e, func(d time.Duration) {
				synctest.Wait()
				hand.Advance(d)
				synctest.Wait()
			})
			if _, err := e.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	})
}

// An engine that is closed answers those who wait for a time on it.
func TestWait_EngineCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := timer.New()
		g := &gate{e: e}
		errs := make(chan error, 1)
		go func() { errs <- g.enter(park.For(time.Hour)) }()
		synctest.Wait()
		if _, err := e.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-errs; !errors.Is(err, timer.ErrClosed) {
			t.Errorf("got %v", err)
		}
		if err := g.enter(park.For(time.Hour)); !errors.Is(err, timer.ErrClosed) {
			t.Errorf("after that: %v", err)
		}
	})
}

// Whatever way calls end, no grant is lost and none doubled.
func TestWait_Conserves(t *testing.T) {
	const callers, rounds, places = 50, 200, 3
	g := &gate{free: places}
	var inside, most, granted int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range rounds {
				ctx, cancel := context.WithCancel(t.Context())
				l := park.Until(ctx)
				switch rand.IntN(3) {
				case 0:
					l = park.For(time.Duration(rand.IntN(200)) * time.Microsecond)
				case 1:
					go cancel()
				}
				if g.enter(l) == nil {
					mu.Lock()
					inside++
					granted++
					most = max(most, inside)
					mu.Unlock()
					if rand.IntN(4) == 0 {
						time.Sleep(20 * time.Microsecond)
					}
					mu.Lock()
					inside--
					mu.Unlock()
					g.leave()
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if g.free != places || g.list.Len() != 0 || most > places || granted == 0 {
		t.Errorf("%d free, %d waiting, %d at a time, %d granted", g.free, g.list.Len(), most, granted)
	}
	if n := park.Default().Stats().Pending; n != 0 {
		t.Errorf("%d deadlines are left", n)
	}
}

// A list against a slice.
func TestList(t *testing.T) {
	var l park.List
	a, b, c := park.New(), park.New(), park.New()
	l.Push(b)
	l.Push(c)
	l.PushFront(a)
	if l.Len() != 3 || l.Front() != a || a.Next() != b || b.Next() != c || c.Next() != nil {
		t.Error("order")
	}
	var other park.List
	if other.Remove(a) || !l.Remove(b) || l.Remove(b) || l.Front().Next() != c {
		t.Error("remove")
	}
	if !l.Remove(a) || !l.Remove(c) || l.Len() != 0 || l.Front() != nil {
		t.Error("empty")
	}
}
