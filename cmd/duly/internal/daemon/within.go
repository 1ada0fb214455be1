package daemon

import (
	"context"
	"time"

	"github.com/dulyhq/duly/internal/park"
)

// within returns a context that ends when d has passed, by the engine that all waits of this process share.
func within(ctx context.Context, d time.Duration) (context.Context, func()) {
	return park.Within(ctx, d, context.DeadlineExceeded)
}
