package wait_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dulyhq/duly/wait"
)

func ExampleMutex() {
	var mu wait.Mutex // guards balance
	balance := 100

	withdraw := func(ctx context.Context, amount int) error {
		if err := mu.LockContext(ctx); err != nil {
			return fmt.Errorf("withdraw %d: %w", amount, err)
		}
		defer mu.Unlock()
		balance -= amount
		return nil
	}
	fmt.Println(withdraw(context.Background(), 30), balance)

	mu.Lock() // somebody is slow
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	fmt.Println(withdraw(ctx, 30))
	mu.Unlock()
	// Output:
	// <nil> 70
	// withdraw 30: context deadline exceeded
}

func ExampleMutex_LockFor() {
	var mu wait.Mutex
	mu.Lock()
	err := mu.LockFor(time.Millisecond)
	fmt.Println(err, errors.Is(err, wait.ErrTimeout), errors.Is(err, context.DeadlineExceeded))
	mu.Unlock()
	// Output: timeout true true
}

// Do unlocks however the function ends.
func ExampleMutex_Do() {
	var mu wait.Mutex
	func() {
		defer func() { fmt.Println("recovered:", recover()) }()
		mu.Do(func() { panic("half-way") })
	}()
	fmt.Println("free:", mu.TryLock())
	// Output:
	// recovered: half-way
	// free: true
}

// A table that is read often and replaced now and then. Readers would rather have no answer than a late one.
func ExampleRWMutex() {
	var mu wait.RWMutex // guards routes
	routes := map[string]string{"/": "home"}

	lookUp := func(path string) (string, error) {
		if err := mu.RLockFor(time.Second); err != nil {
			return "", fmt.Errorf("look up %s: %w", path, err)
		}
		defer mu.RUnlock()
		return routes[path], nil
	}
	replace := func(ctx context.Context, with map[string]string) error {
		if err := mu.LockContext(ctx); err != nil {
			return fmt.Errorf("replace routes: %w", err)
		}
		defer mu.Unlock()
		routes = with
		return nil
	}
	fmt.Println(lookUp("/"))
	fmt.Println(replace(context.Background(), map[string]string{"/": "new home"}))
	fmt.Println(lookUp("/"))
	// Output:
	// home <nil>
	// <nil>
	// new home <nil>
}
