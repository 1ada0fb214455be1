package duly_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
)

// What the simulation has found, one test each.

// bench is a scheduler at work in a bubble, whose one kind notes what is run.
type bench struct {
	*duly.Scheduler
	kind *duly.Kind[string]
	mu   sync.Mutex
	runs []string // seconds since the beginning, in order
}

func newBench(t *testing.T, handler func(ctx context.Context, a *duly.Attempt[string]) error) *bench {
	t.Helper()
	s, err := duly.New()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{Scheduler: s}
	begun := time.Now()
	b.kind = duly.Handle(s, "k", func(ctx context.Context, a *duly.Attempt[string]) error {
		b.mu.Lock()
		b.runs = append(b.runs, a.ScheduledFor.Sub(begun).String())
		b.mu.Unlock()
		return handler(ctx, a)
	})
	ended := make(chan error)
	go func() { ended <- s.Run(t.Context()) }()
	t.Cleanup(func() {
		if err := errors.Join(s.Close(context.Background()), <-ended); err != nil { //nolint:usetesting // the test's own has ended
			t.Error(err)
		}
	})
	return b
}

// A dead run that is tried again does not bring the schedule back that was cancelled since. contract: E4.
func TestRegress_RedriveOfWhatWasCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fail := true
		b := newBench(t, func(context.Context, *duly.Attempt[string]) error {
			if fail {
				return duly.Permanent(errors.New("no"))
			}
			return nil
		})
		if _, err := b.kind.Put(t.Context(), "pace", "", schedule.Pace(time.Minute)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(90 * time.Second)
		synctest.Wait()
		if _, err := b.Cancel(t.Context(), "pace"); err != nil {
			t.Fatal(err)
		}
		fail = false
		if n, err := b.Redrive(t.Context(), duly.Query{}); n != 1 || err != nil {
			t.Fatalf("Redrive: %d, %v; want 1", n, err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if want := []string{"1m0s", "1m0s"}; !slices.Equal(b.runs, want) {
			t.Errorf("runs for %q, want %q", b.runs, want)
		}
	})
}

// What counts from its runs and is handled by nobody is dead once in 14 days, and not once a period of them. contract: C5.
func TestRegress_UnresolvedPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(context.Context, *duly.Attempt[string]) error { return nil })
		other := duly.Declare[string](b.Scheduler, "other")
		for name, s := range map[string]schedule.Schedule{"pace": schedule.Pace(time.Hour), "start": schedule.PaceFromStart(time.Hour)} {
			if _, err := other.Put(t.Context(), name, "", s); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(15 * 24 * time.Hour)
		synctest.Wait()
		dead := 0
		for _, err := range b.List(t.Context(), duly.Query{State: duly.Dead}) {
			if err != nil {
				t.Fatal(err)
			}
			dead++
		}
		if dead != 2 {
			t.Errorf("%d runs are dead, want one of each task", dead)
		}
	})
}

// A recurring task whose next occurrence is moved to before its last one does not have what was recorded again: it runs once more,
// at once, and goes on with the grid. contract: E5, G1, H3.
func TestRegress_MoveBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(context.Context, *duly.Attempt[string]) error { return nil })
		if _, err := b.kind.Put(t.Context(), "a", "", schedule.Every(10*time.Second), duly.CatchUp(duly.All(10))); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		time.Sleep(35 * time.Second)
		e, err := b.Move(t.Context(), "a", schedule.At(begun.Add(5*time.Second)))
		if err != nil {
			t.Fatal(err)
		}
		if now := time.Now(); !e.ScheduledFor.Equal(now) || !e.Due.Equal(now) {
			t.Errorf("moved to %v, due at %v, want %v", e.ScheduledFor, e.Due, now)
		}
		var seen []string
		for f, err := range b.Simulate(t.Context(), time.Now(), begun.Add(55*time.Second)) {
			if err != nil {
				t.Fatal(err)
			}
			seen = append(seen, f.ScheduledFor.Sub(begun).String())
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if want := []string{"10s", "20s", "30s", "35s", "40s", "50s"}; !slices.Equal(b.runs, want) {
			t.Errorf("ran for %v, want %v", b.runs, want)
		}
		if want := []string{"35s", "40s", "50s"}; !slices.Equal(seen, want) && !slices.Equal(seen, want[1:]) { // it may have begun by then
			t.Errorf("Simulate foresaw %v, want %v", seen, want)
		}
	})
}

// lateStore keeps the answer to its first Get back until it is let go.
type lateStore struct {
	store.Store
	asked, free chan struct{}
}

func (s *lateStore) Get(ctx context.Context, keys []store.Key) ([]*store.Task, error) {
	ts, err := s.Store.Get(ctx, keys)
	if s.asked != nil {
		close(s.asked)
		s.asked = nil
		<-s.free
	}
	return ts, err
}

// Who waits for an attempt that ends with the scheduler is told that it has ended, also if the scheduler was closed while it was looked
// at. contract: K1.
func TestRegress_AwaitWhatEndsWithTheScheduler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &lateStore{Store: memory.New(memory.Options{})}
		s, err := duly.New(duly.Options{Store: st})
		if err != nil {
			t.Fatal(err)
		}
		k := duly.Handle(s, "k", func(ctx context.Context, _ *duly.Attempt[string]) error { <-ctx.Done(); return ctx.Err() })
		ended := make(chan error)
		go func() { ended <- s.Run(context.WithoutCancel(t.Context())) }()
		if _, err := k.Put(t.Context(), "a", "", schedule.After(0)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		asked := make(chan struct{})
		st.asked, st.free = asked, make(chan struct{})
		awaited := make(chan error, 1)
		go func() { awaited <- s.Await(t.Context(), "a") }()
		<-asked
		if err := errors.Join(s.Close(t.Context()), <-ended); err != nil {
			t.Error(err)
		}
		close(st.free)
		if err := <-awaited; err != nil {
			t.Errorf("Await: %v, want nil", err)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
}

// lateClaims is a store whose first grant of a claim is heard of late, as over a network that stalls.
type lateClaims struct {
	*memory.Store
	by    time.Duration
	fence int64 // of the first grant
}

func (s *lateClaims) Claim(ctx context.Context, claims []store.Claim) ([]store.ClaimResult, error) {
	res, err := s.Store.Claim(ctx, claims)
	if s.fence == 0 && err == nil {
		s.fence = res[0].Fence
		time.Sleep(s.by)
	}
	return res, err
}

// A lease that is over when its grant is heard of is nobody's to begin under: another process may have the run by then. contract: D2.
func TestRegress_GrantHeardOfLate(t *testing.T) {
	const lease = 2 * time.Second
	for _, tt := range []struct {
		by    time.Duration
		first bool // it begins under the first grant, and else under another
	}{{lease / 2, true}, {2 * lease, false}} {
		synctest.Test(t, func(t *testing.T) {
			st := &lateClaims{Store: memory.New(memory.Options{}), by: tt.by}
			s, err := duly.New(duly.Options{Store: st, Lease: lease})
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			var fences []int64
			k := duly.Handle(s, "k", func(_ context.Context, a *duly.Attempt[string]) error {
				if d := time.Since(began); d != tt.by || (a.Fence == st.fence) != tt.first {
					t.Errorf("late by %v: an attempt begins after %v with fence %d; the first was %d", tt.by, d, a.Fence, st.fence)
				}
				fences = append(fences, a.Fence)
				return nil
			})
			ended := make(chan error)
			go func() { ended <- s.Run(t.Context()) }()
			if _, err := k.Put(t.Context(), "a", "", schedule.After(0)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			if len(fences) != 1 {
				t.Errorf("late by %v: attempts with fences %v, want one", tt.by, fences)
			}
			if err := errors.Join(s.Drain(t.Context()), <-ended, st.Close()); err != nil {
				t.Error(err)
			}
		})
	}
}
