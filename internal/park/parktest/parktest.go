// Package parktest is where what blocks is tested: in a testing/synctest bubble, and by a clock moved by hand, with the real
// engine in each. Its central type is [Venue].
//
// It is for tests only, and not for what one kind of wait alone has to show; that stays with its own tests.
package parktest

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/timer"
)

// A Venue is a place where time passes, and the engine for what waits there.
type Venue struct {
	Engine *timer.Engine       // nil is the zero engine
	Hand   *clock.Manual       // where the clock is moved by hand, else nil
	Start  time.Time           // the wall clock's first reading
	Now    func() time.Time    // the wall clock
	Pass   func(time.Duration) // lets time pass, and what that leads to happen
}

// Venues runs a check in a bubble with the zero engine, in a bubble with an engine of its own, and by a clock moved by hand.
func Venues(t *testing.T, check func(t *testing.T, v Venue)) {
	t.Helper()
	sleep := func(d time.Duration) {
		time.Sleep(d)
		synctest.Wait()
	}
	t.Run("zero engine in a bubble", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			check(t, Venue{Start: time.Now(), Now: time.Now, Pass: sleep})
		})
	})
	t.Run("engine in a bubble", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			e := timer.New()
			defer CloseEngine(t, e)
			check(t, Venue{Engine: e, Start: time.Now(), Now: time.Now, Pass: sleep})
		})
	})
	t.Run("clock moved by hand", func(t *testing.T) { ByHand(t, check) })
}

// ByHand runs a check by a clock moved by hand.
func ByHand(t *testing.T, check func(t *testing.T, v Venue)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		hand := clock.NewManual(start)
		e := timer.New(timer.Options{Clock: hand})
		defer CloseEngine(t, e)
		check(t, Venue{
			Engine: e, Hand: hand, Start: start,
			Now: func() time.Time { return time.Unix(0, hand.Now().Wall).UTC() },
			Pass: func(d time.Duration) {
				synctest.Wait()
				if err := hand.Run(t.Context(), d); err != nil {
					t.Error(err)
				}
				synctest.Wait()
			},
		})
	})
}

// CloseEngine closes an engine on which nothing may be left.
func CloseEngine(t *testing.T, e *timer.Engine) {
	t.Helper()
	if n := e.Stats().Pending; n != 0 {
		t.Errorf("%d deadlines are left", n)
	}
	if _, err := e.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Errorf("close the engine: %v", err)
	}
}

// Rounds is n, or an eighth of it under the race detector.
func Rounds(n int) int {
	if UnderRace {
		return (n + 7) / 8
	}
	return n
}

// MustPanic returns what f panics with.
func MustPanic(t *testing.T, f func()) (v any) {
	t.Helper()
	defer func() {
		if v = recover(); v == nil {
			t.Error("no panic")
		}
	}()
	f()
	return nil
}
