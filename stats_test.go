package duly_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
)

// A run whose place the next occurrence takes is cancelled, and not dead: one that is under way, and one that waits for its retry.
func TestStats_CancelOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		b := newBench(t, func(ctx context.Context, a *duly.Attempt[string]) error {
			if a.ScheduledFor.Sub(begun) == 10*time.Second {
				return takes(time.Hour)(ctx, a)
			}
			return duly.RetryAfter(time.Hour, errors.New("not now"))
		})
		if _, err := b.kind.Put(t.Context(), "a", "", schedule.Every(10*time.Second), duly.Overlap(duly.CancelOther)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(35 * time.Second)
		synctest.Wait()
		st, err := b.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		k := st.Kinds["k"]
		if k.Started != 3 || k.Cancelled != 1 || k.Failed != 2 || k.Dead != 0 || k.Skipped != 0 || k.Lost != 0 || st.Store.Dead != 0 {
			t.Errorf("%d started, %d cancelled, %d failed, %d dead, %d skipped, %d lost, %d dead in the store; want 3, 1, 2 and 0",
				k.Started, k.Cancelled, k.Failed, k.Dead, k.Skipped, k.Lost, st.Store.Dead)
		}
	})
}
