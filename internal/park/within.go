package park

import (
	"context"
	"time"
)

// Within returns a context that ends with cause when d has passed, by the engine that all waits of this process share, and with ctx. stop
// releases it; the context has ended afterwards. In a bubble it is by the bubble's own timer, as the engine may be outside.
func Within(ctx context.Context, d time.Duration, cause error) (limited context.Context, stop func()) {
	limited, cancel := context.WithCancelCause(ctx)
	late := func() { cancel(cause) }
	var t interface{ Stop() bool }
	if Bubbled() {
		t = time.AfterFunc(d, late)
	} else {
		t = Default().AfterFunc(d, late)
	}
	return limited, func() {
		t.Stop()
		cancel(context.Canceled)
	}
}
