package park

import (
	"context"
	"time"
)

// Within returns a context that ends with cause when d has passed, by the engine that all waits of this process share, and with ctx. stop
// releases it; the context has ended afterwards.
func Within(ctx context.Context, d time.Duration, cause error) (limited context.Context, stop func()) {
	limited, cancel := context.WithCancelCause(ctx)
	t := Default().AfterFunc(d, func() { cancel(cause) })
	return limited, func() {
		t.Stop()
		cancel(context.Canceled)
	}
}
