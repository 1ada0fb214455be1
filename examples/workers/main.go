// A pool of three workers serves calls that have a deadline each: some are answered in time, one takes too long, and one waits
// too long for a worker and is never begun.
package main

import (
	"context"
	"errors"
	"io"
	"log"
	"os"
	"time"

	"github.com/dulyhq/duly/wait"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// A call is some work, and how long its caller waits for the answer.
type call struct {
	name     string
	work     time.Duration
	deadline time.Duration
}

func run(ctx context.Context, w io.Writer) error {
	out := log.New(w, "", 0)
	pool := wait.NewPool(3)
	calls := []call{
		{"quick", 20 * time.Millisecond, 100 * time.Millisecond},
		{"slow", 300 * time.Millisecond, 100 * time.Millisecond},
		{"patient", 300 * time.Millisecond, time.Second},
		{"next", 20 * time.Millisecond, 100 * time.Millisecond},
		{"last", 400 * time.Millisecond, time.Second},
		{"too late", 20 * time.Millisecond, 50 * time.Millisecond},
	}

	// Each call is given to the pool. What no worker has begun within the call's time is answered and never runs.
	futures := make([]*wait.Future[string], len(calls))
	for i, c := range calls {
		f, err := wait.Submit(ctx, pool, func(ctx context.Context) (string, error) {
			if err := wait.Sleep(ctx, c.work); err != nil {
				return "", err
			}
			return "the answer to " + c.name, nil
		}, wait.StartWithin(c.deadline))
		if err != nil {
			return err
		}
		futures[i] = f
	}

	// Each caller waits no longer than it wants to. The work that it gave up may go on.
	for i, c := range calls {
		answer, err := futures[i].GetFor(c.deadline)
		_, over, _ := futures[i].TryGet()
		switch {
		case errors.Is(err, wait.ErrTimeout) && over:
			out.Printf("%s: not begun within %v", c.name, c.deadline)
		case errors.Is(err, wait.ErrTimeout):
			out.Printf("%s: no answer within %v", c.name, c.deadline)
		case err != nil:
			return err
		default:
			out.Print(answer)
		}
	}
	return pool.Drain(ctx)
}
