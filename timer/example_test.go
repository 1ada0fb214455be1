package timer_test

import (
	"context"
	"fmt"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/timer"
)

// An engine needs nothing but timer.New(). Here time is moved by hand, so that five minutes take none.
func ExampleEngine_AfterFunc() {
	ctx := context.Background()
	m := clock.NewManual(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	e := timer.New(timer.Options{Clock: m})

	hello := func() { fmt.Println("hello") }
	e.AfterFunc(5*time.Minute, hello)
	reminder := e.AfterFunc(10*time.Minute, hello)
	fmt.Println("stopped in time:", reminder.Stop())

	_ = m.Run(ctx, 5*time.Minute)
	_, _ = e.Drain(ctx, timer.RunPending) // waits for what has come due to have run
	// Output:
	// stopped in time: true
	// hello
}

// Four callbacks, put in the order A, B, C, D, run in the order in which they are due. With one worker that order is exact
// also where several are due at the same time or late.
func Example_deferredCallbacks() {
	ctx := context.Background()
	m := clock.NewManual(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	e := timer.New(timer.Options{Clock: m, Workers: 1})
	start := time.Unix(0, m.Now().Wall)

	say := func(ctx context.Context) error {
		task, _ := timer.TaskFrom(ctx)
		fmt.Printf("%s, due after %v\n", task.Name, task.Due.Sub(start))
		return nil
	}
	for _, c := range []struct {
		name  string
		delay time.Duration
	}{{"A", 3 * time.Second}, {"B", 2 * time.Second}, {"C", time.Second}, {"D", 7 * time.Second}} {
		if _, err := e.Put(c.name, schedule.After(c.delay), say); err != nil {
			fmt.Println(err)
		}
	}

	_ = m.Run(ctx, 7*time.Second)
	_, _ = e.Drain(ctx, timer.RunPending)
	// Output:
	// C, due after 1s
	// B, due after 2s
	// A, due after 3s
	// D, due after 7s
}

// printLater is a task as an object: it has a name, by which it can be cancelled, and it can run.
type printLater struct{ name, text string }

func (p printLater) Name() string { return p.name }

func (p printLater) Run(context.Context) error {
	fmt.Println(p.text)
	return nil
}

// Of two tasks, one in five seconds and one in two, the first is cancelled by its name before it has started.
func Example_cancelled() {
	ctx := context.Background()
	m := clock.NewManual(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	e := timer.New(timer.Options{Clock: m, Workers: 1})

	_, _ = e.PutRunnable(printLater{"task 1", "This msg could get cancelled!"}, schedule.After(5*time.Second))
	_, _ = e.PutRunnable(printLater{"task 2", "Hello, world!"}, schedule.After(2*time.Second))
	fmt.Println("task 1:", e.Cancel("task 1"))

	_ = m.Run(ctx, time.Minute)
	_, _ = e.Drain(ctx, timer.RunPending)
	// Output:
	// task 1: cancelled
	// Hello, world!
}

// The same without the cancel: both run, the one that is due first going first.
func Example_notCancelled() {
	ctx := context.Background()
	m := clock.NewManual(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	e := timer.New(timer.Options{Clock: m, Workers: 1})

	_, _ = e.PutRunnable(printLater{"task 1", "This msg could get cancelled!"}, schedule.After(5*time.Second))
	_, _ = e.PutRunnable(printLater{"task 2", "Hello, world!"}, schedule.After(2*time.Second))

	_ = m.Run(ctx, time.Minute)
	_, _ = e.Drain(ctx, timer.RunPending)
	// Output:
	// Hello, world!
	// This msg could get cancelled!
}
