package duly_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
)

// A slowTrimmer forgets 10,000 entries at a time.
type slowTrimmer struct {
	store.Store

	left, calls int64
}

func (s *slowTrimmer) Trim(context.Context, store.Retention) (int64, error) {
	s.calls++
	n := min(s.left, 10_000)
	s.left -= n
	return n, nil
}

// TestRun_TrimsOnUntilAllIsForgotten: a store that forgets a part at a time is asked again, and one that has forgotten all is not.
//
// contract: K2.
func TestRun_TrimsOnUntilAllIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &slowTrimmer{Store: memory.New(memory.Options{}), left: 25_000}
		s, err := duly.New(duly.Options{Store: st, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
		if st.left != 0 || st.calls != 3 {
			t.Errorf("%d entries are left after %d calls, want none after 3", st.left, st.calls)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
}
