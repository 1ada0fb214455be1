package wait_test

import (
	"fmt"
	"time"

	"github.com/dulyhq/duly/wait"
)

// A server counts itself as up when all of its parts are.
func ExampleLatch() {
	parts := []string{"cache", "database", "listener"}
	up := wait.NewLatch(len(parts))
	for range parts {
		go up.CountDown()
	}
	if err := up.WaitFor(time.Minute); err != nil {
		fmt.Println("not up:", up.Count(), "parts are missing")
		return
	}
	fmt.Println("up")
	fmt.Println("one more part:", up.Add(1))
	// Output:
	// up
	// one more part: false
}
