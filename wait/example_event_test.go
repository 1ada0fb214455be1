package wait_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/dulyhq/duly/wait"
)

// A service says when it is ready, and callers wait for that, but not for ever.
func ExampleEvent() {
	var ready wait.Event
	if err := ready.WaitFor(10 * time.Millisecond); errors.Is(err, wait.ErrTimeout) {
		fmt.Println("not ready yet")
	}
	go ready.Set()
	if err := ready.WaitFor(time.Minute); err == nil {
		fmt.Println("ready")
	}
	ready.Wait() // and it stays so
	// Output:
	// not ready yet
	// ready
}

// Something is to be done once when an event comes, unless it is not wanted any more by then.
func ExampleEvent_OnSet() {
	var shutdown wait.Event
	flushed := make(chan struct{})
	shutdown.OnSet(func() { close(flushed) })
	stop := shutdown.OnSet(func() { fmt.Println("never") })
	fmt.Println("taken back:", stop())
	shutdown.Set()
	<-flushed
	fmt.Println("flushed")
	// Output:
	// taken back: true
	// flushed
}
