package wait_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dulyhq/duly/wait"
)

// Functions that run at the same time, of which the first error stops the others; the end of all is waited for with a limit.
func ExampleGroup() {
	g, ctx := wait.WithContext(context.Background())
	g.SetLimit(4)
	g.Go(func() error { return errors.New("part 1 is missing") })
	g.Go(func() error {
		<-ctx.Done() // would go on for ever
		return ctx.Err()
	})
	switch err := g.WaitFor(time.Minute); {
	case errors.Is(err, wait.ErrTimeout):
		fmt.Println("still at it:", g.Running())
	default:
		fmt.Println(err)
	}
	// Output: part 1 is missing
}
