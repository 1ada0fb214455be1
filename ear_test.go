package duly_test

import (
	"context"
	"errors"
	"slices"
	"sync"
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

// fickle is a store whose hints end after a while, each time after another; the last ones do not.
type fickle struct {
	*memory.Store

	mu    sync.Mutex
	begun time.Time
	lasts []time.Duration
	asked []time.Duration
	left  int
}

func (s *fickle) Hints() (hints <-chan store.Hint, stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := make(chan store.Hint)
	if n := len(s.asked); n < len(s.lasts) {
		time.AfterFunc(s.lasts[n], func() { close(ch) })
	}
	s.asked = append(s.asked, time.Since(s.begun))
	return ch, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.left++
	}
}

// Who listened for a minute listens again at once, as if that had been the first time; after less than that it waits, twice as long each time, for
// a minute at most. contract: C6.
func TestRun_HintsThatEndNowAndThen(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		what         string
		lasts, asked []time.Duration
	}{
		{"after a minute", []time.Duration{60 * s, 60 * s, 60 * s, 61 * s}, []time.Duration{0, 60 * s, 120 * s, 180 * s, 241 * s}},
		{"earlier", []time.Duration{60*s - 1, 60*s - 1, 60*s - 1}, []time.Duration{0, 60*s - 1, 121*s - 2, 183*s - 3}},
		{"at once", make([]time.Duration, 9), []time.Duration{0, 0, 1 * s, 3 * s, 7 * s, 15 * s, 31 * s, 63 * s, 123 * s, 183 * s}},
		{"at once, and then after a minute", []time.Duration{0, 0, 0, 60 * s, 0, 0, 0}, []time.Duration{0, 0, 1 * s, 3 * s, 63 * s, 63 * s, 64 * s, 66 * s}},
	} {
		synctest.Test(t, func(t *testing.T) {
			st := &fickle{Store: memory.New(memory.Options{}), begun: time.Now(), lasts: tt.lasts}
			d, err := duly.New(duly.Options{Store: st})
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error)
			go func() { ended <- d.Run(t.Context()) }()
			time.Sleep(time.Hour)
			synctest.Wait()
			if !slices.Equal(st.asked, tt.asked) || st.left != len(st.asked)-1 {
				t.Errorf("hints that end %s: asked for after %v, %d left; want %v, and all but the last", tt.what, st.asked, st.left, tt.asked)
			}
			if err := errors.Join(d.Close(t.Context()), <-ended, st.Close()); err != nil {
				t.Error(err)
			}
		})
	}
}
