package wait_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/dulyhq/duly/wait"
)

// A budget of memory, of which large requests take more than small ones. Nobody waits for it longer than a caller would.
func ExampleSemaphore() {
	budget := wait.NewSemaphore(100) // MiB
	render := func(ctx context.Context, mib int64) error {
		if err := budget.Acquire(ctx, mib); err != nil {
			return fmt.Errorf("render %d MiB: %w", mib, err)
		}
		defer budget.Release(mib)
		fmt.Println("rendering with", budget.Held(), "of", budget.Size(), "MiB in use")
		return nil
	}
	fmt.Println(render(context.Background(), 60))

	_ = budget.Acquire(context.Background(), 60) // somebody else's
	fmt.Println(budget.TryAcquire(60))
	fmt.Println(budget.AcquireFor(time.Millisecond, 60))
	budget.Release(60)

	fmt.Println(render(context.Background(), 101))
	// Output:
	// rendering with 60 of 100 MiB in use
	// <nil>
	// false
	// timeout
	// render 101 MiB: wait: acquire: n is 101, want at most the size, which is 100: more permits than there are
}

// A hundred downloads, three at a time: those that wait their turn cost no goroutine.
func ExampleSemaphore_AcquireFunc() {
	slots := wait.NewSemaphore(3)
	var pages sync.WaitGroup
	var mu sync.Mutex
	got := 0
	for range 100 {
		pages.Add(1)
		slots.AcquireFunc(1, func() {
			defer pages.Done()
			defer slots.Release(1)
			mu.Lock()
			defer mu.Unlock()
			got++ // a download
		})
	}
	pages.Wait()
	fmt.Println(got, "pages")
	// Output: 100 pages
}

// A limit that follows the load.
func ExampleSemaphore_Resize() {
	slots := wait.NewSemaphore(1)
	slots.TryAcquire(1)
	fmt.Println(slots.TryAcquire(1))
	slots.Resize(2)
	fmt.Println(slots.TryAcquire(1))
	slots.Resize(1) // what is held stays held
	fmt.Println(slots.Held(), "of", slots.Size())
	// Output:
	// false
	// true
	// 2 of 1
}
