package daemon

import (
	"context"
	"time"

	"github.com/dulyhq/duly/internal/park"
)

// within returns a context that ends when d has passed, by the engine that all waits of this process share.
func within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	t := park.Default().AfterFunc(d, func() { cancel(context.DeadlineExceeded) })
	return ctx, func() {
		t.Stop()
		cancel(context.Canceled)
	}
}
