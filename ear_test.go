package duly_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
)

// deafStore is a store whose hints have always ended already.
type deafStore struct {
	store.Store
	asked atomic.Int32
	left  atomic.Int32 // how often it was told that nobody listens any more
}

func (s *deafStore) Hints() (hints <-chan store.Hint, stop func()) {
	ch := make(chan store.Hint)
	if s.asked.Add(1) < 1000 { // whoever spins is to stop some time, and be seen
		close(ch)
	}
	return ch, func() { s.left.Add(1) }
}

// TestRun_HintsThatHaveEnded: a store whose channel of hints is closed, whenever it is asked for one, is asked now and then, and what
// another has written to it is found by that. contract: C6.
func TestRun_HintsThatHaveEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memory.New(memory.Options{})
		st := &deafStore{Store: mem}
		s, err := duly.New(duly.Options{Store: st})
		if err != nil {
			t.Fatal(err)
		}
		ran := 0
		duly.Handle(s, "k", func(context.Context, *duly.Attempt[string]) error { ran++; return nil })
		ended := make(chan error)
		go func() { ended <- s.Run(t.Context()) }()
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := st.asked.Load(); n < 10 || n > 100 {
			t.Errorf("the store was asked for hints %d times in an hour, want about once a minute", n)
		}
		other, err := duly.New(duly.Options{Store: mem})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := duly.Declare[string](other, "k").Put(t.Context(), "a", "", schedule.After(0)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if ran != 1 {
			t.Errorf("what another had put ran %d times, want once", ran)
		}
		if asked, left := st.asked.Load(), st.left.Load(); left != asked {
			t.Errorf("the store was asked for hints %d times, and told %d times that it need give no more", asked, left)
		}
		if err := errors.Join(s.Close(t.Context()), <-ended, other.Close(t.Context()), mem.Close()); err != nil {
			t.Error(err)
		}
	})
}
