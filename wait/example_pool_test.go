package wait_test

import (
	"context"
	"fmt"
	"time"

	"github.com/dulyhq/duly/wait"
)

// A pool of two workers squares numbers, and is drained before the end.
func ExamplePool() {
	ctx := context.Background()
	pool := wait.NewPool(2, wait.PoolOptions{Queue: 100})
	var squares []*wait.Future[int]
	for n := range 5 {
		f, err := wait.Submit(ctx, pool, func(context.Context) (int, error) { return n * n, nil })
		if err != nil {
			fmt.Println(err)
			return
		}
		squares = append(squares, f)
	}
	fmt.Println(wait.All(squares...).GetFor(time.Minute))
	fmt.Println(pool.Drain(ctx))
	_, err := wait.Submit(ctx, pool, func(context.Context) (int, error) { return 0, nil })
	fmt.Println(err)
	// Output:
	// [0 1 4 9 16] <nil>
	// <nil>
	// closed
}

// A request that no worker takes up in time is not worth being served any more: it is answered at once, and never runs.
func ExampleStartWithin() {
	ctx := context.Background()
	pool := wait.NewPool(1)
	end := make(chan struct{})
	busy := func(context.Context) (string, error) { <-end; return "done", nil }
	first, _ := wait.Submit(ctx, pool, busy)
	second, _ := wait.Submit(ctx, pool, busy, wait.StartWithin(10*time.Millisecond))
	_, err := second.Get(ctx)
	fmt.Println(err)
	close(end)
	fmt.Println(first.Get(ctx))
	// Output:
	// not begun in time: timeout
	// done <nil>
}
