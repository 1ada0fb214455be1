package queue_test

import (
	"runtime"
	"testing"

	"github.com/dulyhq/duly/queue"
)

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
