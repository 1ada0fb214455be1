package wait_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dulyhq/duly/wait"
)

func ExampleSleep() {
	ctx, cancel := context.WithCancelCause(context.Background())
	if err := wait.Sleep(ctx, time.Millisecond); err == nil {
		fmt.Println("slept well")
	}
	cancel(errors.New("the house is on fire"))
	fmt.Println(wait.Sleep(ctx, 8*time.Hour))
	// Output:
	// slept well
	// the house is on fire
}

func ExampleSleepUntil() {
	// Unlike a duration, an instant is met also if the clock is set meanwhile.
	tomorrow := time.Now().Add(20 * time.Millisecond)
	if err := wait.SleepUntil(context.Background(), tomorrow); err != nil {
		fmt.Println(err)
	}
	fmt.Println(time.Now().Before(tomorrow))
	// Output: false
}

// A poller that looks every minute, and at once when it is told to. An Interrupt that comes while it looks is kept for its
// next nap, so that none is missed.
func ExampleNapper() {
	var poller wait.Napper
	var done sync.WaitGroup
	looked := make(chan bool)
	done.Go(func() {
		for range 2 {
			looked <- poller.Nap(time.Minute)
		}
	})
	poller.Interrupt()
	fmt.Println("interrupted:", <-looked)
	poller.Interrupt()
	fmt.Println("interrupted:", <-looked)
	done.Wait()
	// Output:
	// interrupted: true
	// interrupted: true
}
