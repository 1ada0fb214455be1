package storetest

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
)

// faulty returns a memory store with faults to come.
func faulty(t *testing.T, faults ...Fault) *Faulty {
	t.Helper()
	s := memory.New(memory.Options{Clock: clock.NewManual(start)})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return NewFaulty(s, faults...)
}

// faultyHome keeps a store in memory behind a Faulty one.
type faultyHome struct {
	clk clock.Clock
	s   *memory.Store
}

func (h *faultyHome) Open() (store.Store, error) {
	if h.s == nil {
		h.s = memory.New(memory.Options{Clock: h.clk})
	}
	s := h.s
	return &closing{NewFaulty(s), h}, nil
}

func (h *faultyHome) Kill() { h.s.Restart() }

// closing lets its home forget the store that was closed.
type closing struct {
	*Faulty
	home *faultyHome
}

func (s *closing) Close() error { s.home.s = nil; return s.Faulty.Close() }

// TestRun_Faulty: with no faults to come the wrapper is the store in it.
func TestRun_Faulty(t *testing.T) {
	Run(t, Options{Forgets: true, New: func(_ testing.TB, clk clock.Clock) Home { return &faultyHome{clk: clk} }})
}

func TestFaulty_Which(t *testing.T) {
	for _, c := range []struct {
		name   string
		faults []Fault
		want   string // of six calls, Put and Stats in turn: x fails, . does not
	}{
		{"none", nil, "......"},
		{"the first of any", []Fault{{}}, "x....."},
		{"the fourth of any", []Fault{{N: 4}}, "...x.."},
		{"from the fourth of any", []Fault{{N: 4, Always: true}}, "...xxx"},
		{"the second Put", []Fault{{Method: "Put", N: 2}}, "..x..."},
		{"all Stats", []Fault{{Method: "Stats", Always: true}}, ".x.x.x"},
		{"two faults", []Fault{{Method: "Put"}, {Method: "Stats", N: 3}}, "x....x"},
		{"another method", []Fault{{Method: "Claim", Always: true}}, "......"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := faulty(t, c.faults...)
			var got strings.Builder
			for i := range 6 {
				var err error
				if i%2 == 0 {
					_, err = f.Put(t.Context(), []store.Put{once(strconv.Itoa(i), at(1))})
				} else {
					_, err = f.Stats(t.Context())
				}
				mark := "."
				if err != nil {
					mark = "x"
					if !errors.Is(err, store.ErrBroken) {
						t.Errorf("call %d: %v, want ErrBroken", i, err)
					}
				}
				got.WriteString(mark)
			}
			if got.String() != c.want {
				t.Errorf("calls %s, want %s", got.String(), c.want)
			}
			if n := [3]int{f.Calls(""), f.Calls("Put"), f.Calls("Claim")}; n != [3]int{6, 3, 0} {
				t.Errorf("calls, those of Put, those of Claim: %v", n)
			}
		})
	}
}

// written returns the names that the store in f has.
func written(t *testing.T, f *Faulty) []string {
	t.Helper()
	p, err := f.inner.List(t.Context(), store.Query{})
	if err != nil {
		t.Fatal(err)
	}
	return names(p.Tasks)
}

func TestFaulty_FailWritesNothing(t *testing.T) {
	f := faulty(t, Fault{Err: store.ErrNoSpace})
	if _, err := f.Put(t.Context(), []store.Put{once("a", at(1))}); !errors.Is(err, store.ErrNoSpace) || errors.Is(err, store.ErrUnknown) {
		t.Errorf("Put: %v, want ErrNoSpace alone", err)
	}
	if got := written(t, f); len(got) != 0 {
		t.Errorf("written: %q", got)
	}
}

func TestFaulty_TearWritesAndDoesNotSay(t *testing.T) {
	f := faulty(t, Fault{Kind: Tear, Always: true})
	if res, err := f.Put(t.Context(), []store.Put{once("a", at(1))}); !errors.Is(err, store.ErrUnknown) || res != nil {
		t.Errorf("Put: %v, error %v; want ErrUnknown", res, err)
	}
	if _, err := f.Get(t.Context(), []store.Key{key("a")}); err == nil || errors.Is(err, store.ErrUnknown) {
		t.Errorf("Get: %v, want an error that is not ErrUnknown", err)
	}
	if got := written(t, f); !slices.Equal(got, []string{"a"}) {
		t.Errorf("written: %q", got)
	}
	f.Heal()
	if res, err := f.Put(t.Context(), []store.Put{once("a", at(1))}); err != nil || res[0].Outcome != store.Unchanged {
		t.Errorf("Put again: %v, error %v", res, err)
	}
}

func TestFaulty_HangEndsWithTheContext(t *testing.T) {
	f := faulty(t, Fault{Kind: Hang, Always: true})
	why := errors.New("enough")
	ctx, end := context.WithCancelCause(t.Context())
	errs := make(chan error)
	go func() { _, err := f.Put(ctx, []store.Put{once("a", at(1))}); errs <- err }()
	if err := f.WaitHanging(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	go func() { _, err := f.Due(ctx, store.DueQuery{}); errs <- err }()
	if err := f.WaitHanging(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	end(why)
	unknown := 0
	for range 2 {
		err := <-errs
		if !errors.Is(err, why) {
			t.Errorf("error %v, want the context's cause", err)
		}
		if errors.Is(err, store.ErrUnknown) {
			unknown++
		}
	}
	if unknown != 1 {
		t.Errorf("%d of a write and a read are unknown, want the write", unknown)
	}
	if err := f.WaitHanging(ctx, 1); !errors.Is(err, why) {
		t.Errorf("WaitHanging when nothing hangs any more: %v", err)
	}
	if got := written(t, f); len(got) != 0 {
		t.Errorf("written: %q", got)
	}
}

// TestFaulty_ReachesEveryMethod: the wrapper has forgotten none.
func TestFaulty_ReachesEveryMethod(t *testing.T) {
	for _, kind := range []FaultKind{Fail, Tear} {
		f := faulty(t, Fault{Kind: kind, Always: true})
		all := calls(t.Context(), f)
		for name, err := range all {
			if err == nil {
				t.Errorf("%v: %s succeeded", kind, name)
			}
			if f.Calls(name) != 1 {
				t.Errorf("%v: %d calls of %s, want 1", kind, f.Calls(name), name)
			}
		}
		if diff := cmp.Diff(len(all), f.Calls("")); diff != "" {
			t.Errorf("%v: calls of all (-want +got):\n%s", kind, diff)
		}
	}
}

// mute hides that a store gives hints and keeps notes.
type mute struct{ store.Store }

// TestFaulty_HintsOfAMuteStore: nothing is told, and the channel ends with the store, or by stop, and not before.
func TestFaulty_HintsOfAMuteStore(t *testing.T) {
	f := NewFaulty(mute{memory.New(memory.Options{Clock: clock.NewManual(start)})})
	left, _ := f.Hints()
	stopped, stop := f.Hints()
	wantOpen := func(what string, ch <-chan store.Hint, want bool) {
		t.Helper()
		is := true
		select {
		case _, is = <-ch:
			if is {
				t.Errorf("%s: a hint", what)
			}
		default:
		}
		if is != want {
			t.Errorf("%s: open %t, want %t", what, is, want)
		}
	}
	wantOpen("at first", left, true)
	stop()
	wantOpen("stopped", stopped, false)
	wantOpen("beside one that is stopped", left, true)
	if err := f.SetNote(t.Context(), "a", "1"); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("SetNote of a store that keeps none: %v, want ErrInvalid", err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	wantOpen("of a closed store", left, false)
}
