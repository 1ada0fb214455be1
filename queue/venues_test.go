package queue_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/queue"
	"github.com/dulyhq/duly/timer"
)

// rounds is n, or an eighth of it under the race detector.
func rounds(n int) int {
	if underRace {
		return (n + 7) / 8
	}
	return n
}

// A venue is a place where time passes, and the engine for what waits there.
type venue struct {
	engine *timer.Engine
	hand   *clock.Manual       // where the clock is moved by hand
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
		synctest.Test(t, func(t *testing.T) { check(t, venue{now: time.Now, pass: sleep}) })
	})
	t.Run("engine in a bubble", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			e := timer.New()
			defer closeEngine(t, e)
			check(t, venue{engine: e, now: time.Now, pass: sleep})
		})
	})
	t.Run("clock moved by hand", func(t *testing.T) { byHand(t, check) })
}

func byHand(t *testing.T, check func(t *testing.T, v venue)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		hand := clock.NewManual(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
		e := timer.New(timer.Options{Clock: hand})
		defer closeEngine(t, e)
		check(t, venue{engine: e, hand: hand, now: e.Now, pass: func(d time.Duration) {
			synctest.Wait()
			if err := hand.Run(t.Context(), d); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}})
	})
}

// closeEngine closes an engine on which nothing may be left.
func closeEngine(t *testing.T, e *timer.Engine) {
	t.Helper()
	if n := e.Stats().Pending; n != 0 {
		t.Errorf("%d deadlines are left", n)
	}
	if _, err := e.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Errorf("close the engine: %v", err)
	}
}

// A result is what a call returned.
type result[T any] struct {
	v   T
	err error
}

// call runs f on a goroutine of its own; what it returns is in the channel when it has.
func call[T any](f func() (T, error)) <-chan result[T] {
	c := make(chan result[T], 1)
	go func() {
		v, err := f()
		c <- result[T]{v, err}
	}()
	return c
}

// act is call for what returns an error only.
func act(f func() error) <-chan result[bool] {
	return call(func() (bool, error) {
		err := f()
		return err == nil, err
	})
}

// open says that a call has not returned.
func open[T any](t *testing.T, what string, c <-chan result[T]) {
	t.Helper()
	select {
	case r := <-c:
		t.Errorf("%s has returned: %v, %v", what, r.v, r.err)
	default:
	}
}

// must is f's result where there must be no error.
func must[T any](t *testing.T) func(v T, err error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Errorf("unexpected error: %v", err)
		}
		return v
	}
}

// ok fails for an error.
func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("unexpected error: %v", err)
	}
}

// panicOf returns what f panics with.
func panicOf(t *testing.T, f func()) (v any) {
	t.Helper()
	defer func() {
		if v = recover(); v == nil {
			t.Error("no panic")
		}
	}()
	f()
	return nil
}

// filled puts values into a queue.
func filled[T any](t *testing.T, q *queue.Queue[T], vs ...T) *queue.Queue[T] {
	t.Helper()
	for _, v := range vs {
		if !q.TryPut(v) {
			t.Fatalf("no room for %v", v)
		}
	}
	return q
}

// waitFor waits, with real goroutines, for what is about to happen.
func waitFor(t *testing.T, cond func() bool) {
	t.Helper()
	for range 10_000_000 {
		if cond() {
			return
		}
		runtime.Gosched()
	}
	t.Fatal("it does not happen")
}
