package wait_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dulyhq/duly/wait"
)

// A buffer that is filled by one goroutine and emptied by another, which waits with a limit.
func ExampleCond() {
	var mu sync.Mutex
	filled := wait.NewCond(&mu)
	var buffer []string

	put := func(s string) {
		mu.Lock()
		defer mu.Unlock()
		buffer = append(buffer, s)
		filled.Signal()
	}
	take := func(ctx context.Context) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		if err := filled.WaitUntil(ctx, func() bool { return len(buffer) > 0 }); err != nil {
			return "", fmt.Errorf("take from the buffer: %w", err)
		}
		s := buffer[0]
		buffer = buffer[1:]
		return s, nil
	}

	go put("tea")
	s, err := take(context.Background())
	fmt.Println(s, err)

	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("the shop is closed"))
	_, err = take(ctx)
	fmt.Println(err)
	// Output:
	// tea <nil>
	// take from the buffer: the shop is closed
}

// The time of WaitUntilFor is one for all signals that come in between.
func ExampleCond_WaitUntilFor() {
	var mu sync.Mutex
	changed := wait.NewCond(&mu)
	level := 0

	mu.Lock()
	defer mu.Unlock()
	err := changed.WaitUntilFor(10*time.Millisecond, func() bool { return level > 3 })
	fmt.Println(err)
	// Output: timeout
}
