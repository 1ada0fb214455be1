package wait_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/timer"
)

// rounds is n, or an eighth of it under the race detector.
func rounds(n int) int {
	if underRace {
		return (n + 7) / 8
	}
	return n
}

// A venue is a place where time passes, and what has been given to whatever waits there.
type venue struct {
	engine *timer.Engine
	start  time.Time           // the wall clock's first reading
	now    func() time.Time    // the wall clock
	pass   func(time.Duration) // lets time pass, and what that leads to happen
}

// venues runs a check in a bubble with the zero engine, in a bubble with an engine of its own, and by a clock moved by hand.
func venues(t *testing.T, check func(t *testing.T, v venue)) {
	t.Helper()
	sleep := func(d time.Duration) {
		time.Sleep(d)
		synctest.Wait()
	}
	t.Run("zero engine in a bubble", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			check(t, venue{start: time.Now(), now: time.Now, pass: sleep})
		})
	})
	t.Run("engine in a bubble", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			e := timer.New()
			defer closeEngine(t, e)
			check(t, venue{engine: e, start: time.Now(), now: time.Now, pass: sleep})
		})
	})
	t.Run("clock moved by hand", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
			hand := clock.NewManual(start)
			e := timer.New(timer.Options{Clock: hand})
			defer closeEngine(t, e)
			check(t, venue{
				engine: e, start: start,
				now: func() time.Time { return time.Unix(0, hand.Now().Wall) },
				pass: func(d time.Duration) {
					synctest.Wait()
					if err := hand.Run(t.Context(), d); err != nil {
						t.Error(err)
					}
					synctest.Wait()
				},
			})
		})
	})
}

// closeEngine closes an engine on which nothing may be left.
func closeEngine(t *testing.T, e *timer.Engine) {
	t.Helper()
	if n := e.Stats().Pending; n != 0 {
		t.Errorf("%d deadlines are left", n)
	}
	if _, err := e.Close(t.Context()); err != nil {
		t.Errorf("close the engine: %v", err)
	}
}

// call runs f on a goroutine of its own; what it returns is in the channel when it has.
func call[T any](f func() T) <-chan T {
	c := make(chan T, 1)
	go func() { c <- f() }()
	return c
}

// returned says whether a call has returned, and what.
func returned[T any](c <-chan T) (v T, ok bool) {
	select {
	case v = <-c:
		return v, true
	default:
		return v, false
	}
}

// mustPanic returns what f panics with.
func mustPanic(t *testing.T, f func()) (v any) {
	t.Helper()
	defer func() {
		if v = recover(); v == nil {
			t.Error("no panic")
		}
	}()
	f()
	return nil
}
