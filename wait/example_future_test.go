package wait_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dulyhq/duly/wait"
)

// A result is asked for with a limit; that the time is up does nothing to the work, and it can be asked again.
func ExampleGo() {
	ctx := context.Background()
	proceed := make(chan struct{})
	answer := wait.Go(ctx, func(context.Context) (int, error) {
		<-proceed
		return 42, nil
	})
	if _, err := answer.GetFor(10 * time.Millisecond); errors.Is(err, wait.ErrTimeout) {
		fmt.Println("not yet")
	}
	close(proceed)
	v, err := answer.Get(ctx)
	fmt.Println(v, err)
	// Output:
	// not yet
	// 42 <nil>
}

// A reply that comes from elsewhere, such as a connection's reader, resolves a promise; those who asked hold its future.
func ExamplePromise() {
	var reply wait.Promise[string]
	done := make(chan struct{})
	reply.Future().Then(func(s string, err error) {
		fmt.Println("then:", s, err)
		close(done)
	})
	fmt.Println("first:", reply.Resolve("pong", nil))
	fmt.Println("second:", reply.Resolve("late", nil))
	<-done
	// Unordered output:
	// first: true
	// second: false
	// then: pong <nil>
}

// Three mirrors are asked; the first that answers well is enough.
func ExampleAny() {
	ctx := context.Background()
	down := func(context.Context) (string, error) { return "", errors.New("mirror is down") }
	up := func(context.Context) (string, error) { return "contents", nil }
	s, err := wait.Any(wait.Go(ctx, down), wait.Go(ctx, up), wait.Go(ctx, down)).GetFor(time.Minute)
	fmt.Println(s, err)
	// Output: contents <nil>
}

// Results in the order in which they come.
func ExampleAsCompleted() {
	ctx := context.Background()
	var slow, fast wait.Promise[string]
	fast.Resolve("fast", nil)
	for f := range wait.AsCompleted(ctx, slow.Future(), fast.Future()) {
		s, _ := f.Get(ctx)
		fmt.Println(s)
		slow.Resolve("slow", nil)
	}
	// Output:
	// fast
	// slow
}
