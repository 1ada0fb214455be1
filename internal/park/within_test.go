package park_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/internal/park"
)

func TestWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := errors.New("late")
		ctx, stop := park.Within(t.Context(), time.Minute, late)
		defer stop()
		time.Sleep(time.Minute - 1)
		if err := ctx.Err(); err != nil {
			t.Errorf("ended early: %v", err)
		}
		<-ctx.Done()
		if got := context.Cause(ctx); !errors.Is(got, late) {
			t.Errorf("cause %v, want %v", got, late)
		}

		ctx, stop = park.Within(t.Context(), time.Minute, late)
		stop()
		if got := context.Cause(ctx); !errors.Is(got, context.Canceled) {
			t.Errorf("after stop: cause %v, want that it was cancelled", got)
		}
		stop()

		outer, end := context.WithCancelCause(t.Context())
		ctx, stop = park.Within(outer, time.Minute, late)
		defer stop()
		over := errors.New("over")
		end(over)
		if got := context.Cause(ctx); !errors.Is(got, over) {
			t.Errorf("after the end of what it was made of: cause %v, want %v", got, over)
		}
	})
}
