package duly_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
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

// What is passed by is counted as skipped, each occurrence, and what nobody started in time as expired, apart from each other.
func TestStats_SkippedAndExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := duly.New()
		if err != nil {
			t.Fatal(err)
		}
		long := duly.Handle(s, "long", func(ctx context.Context, a *duly.Attempt[string]) error {
			return takes(35*time.Second)(ctx, a)
		})
		narrow := duly.Handle(s, "narrow", func(ctx context.Context, a *duly.Attempt[string]) error {
			return takes(time.Minute)(ctx, a)
		}, duly.Limit(1))
		ended := make(chan error)
		go func() { ended <- s.Run(t.Context()) }()
		if _, err := long.Put(t.Context(), "overlaps", "", schedule.Every(10*time.Second), duly.Overlap(duly.Skip)); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"starts", "is too late"} {
			if _, err := narrow.Put(t.Context(), name, "", schedule.After(time.Second), duly.StartWithin(5*time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(89 * time.Second) // overlaps runs for 10 and for 50, and in between 20, 30 and 40 are skipped; so are 60, 70 and 80
		synctest.Wait()
		st, err := s.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]duly.KindStats{
			"long": {Started: 2, Succeeded: 2, Skipped: 6}, "narrow": {Started: 1, Succeeded: 1, Expired: 1},
		} {
			k := st.Kinds[name]
			k.Wake, k.Slot, k.Claim, k.Total = duly.Histogram{}, duly.Histogram{}, duly.Histogram{}, duly.Histogram{}
			if k != want {
				t.Errorf("%s: %+v, want %+v", name, k, want)
			}
		}
		if err := errors.Join(s.Close(t.Context()), <-ended); err != nil {
			t.Error(err)
		}
	})
}

// That a store takes long to grant claims is no wait for a worker, also for occurrences that are caught up one after another.
func TestStats_SlowClaimsAreNoWaitForAWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &slowClaims{Store: memory.New(memory.Options{}), by: 100 * time.Millisecond}
		s, err := duly.New(duly.Options{Store: st})
		if err != nil {
			t.Fatal(err)
		}
		k := duly.Handle(s, "k", func(ctx context.Context, a *duly.Attempt[string]) error { return takes(time.Minute)(ctx, a) })
		if _, err := k.Put(t.Context(), "a", "", schedule.Every(10*time.Second).Times(4), duly.Overlap(duly.Allow), duly.CatchUp(duly.All(10))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		ended := make(chan error)
		go func() { ended <- s.Run(t.Context()) }()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		all, err := s.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if l := all.Kinds["k"]; l.Started != 4 || l.Slot.Sum != 0 || l.Claim.Sum != 0 || l.Wake.Sum != (50+40+30+20)*time.Second+(1+2+3)*st.by {
			t.Errorf("%d started, which have waited %v to be seen, %v for a worker and %v for the store; want 4, and no wait for a worker", l.Started, l.Wake.Sum, l.Slot.Sum, l.Claim.Sum)
		}
		if err := errors.Join(s.Close(t.Context()), <-ended, st.Close()); err != nil {
			t.Error(err)
		}
	})
}

// How long a task waits for a worker counts from when it was seen to be due, also if it is changed while it waits.
func TestStats_ChangedWhileItWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := duly.New(duly.Options{Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		busy := duly.Handle(s, "busy", func(ctx context.Context, a *duly.Attempt[string]) error { return takes(time.Minute)(ctx, a) })
		k := duly.Handle(s, "k", func(context.Context, *duly.Attempt[string]) error { return nil })
		ended := make(chan error)
		go func() { ended <- s.Run(t.Context()) }()
		if _, err := busy.Put(t.Context(), "first", "", schedule.After(0)); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Put(t.Context(), "waits", "", schedule.After(10*time.Second)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		if _, err := s.Change(t.Context(), "waits", duly.Change{Payload: []byte(`"other"`)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		all, err := s.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if l := all.Kinds["k"]; l.Started != 1 || l.Wake.Sum != 0 || l.Slot.Sum != 50*time.Second || l.Claim.Sum != 0 {
			t.Errorf("%d started, which has waited %v to be seen, %v for a worker and %v for the store; want 1, and 50s for a worker", l.Started, l.Wake.Sum, l.Slot.Sum, l.Claim.Sum)
		}
		if err := errors.Join(s.Close(t.Context()), <-ended); err != nil {
			t.Error(err)
		}
	})
}

// Of more tasks that nobody handles than are looked at each time, the oldest is not told of any more once it is gone.
func TestStats_OldestOfManyUnhandledIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const tasks = 2000
		st := memory.New(memory.Options{})
		s, err := duly.New(duly.Options{Store: st})
		if err != nil {
			t.Fatal(err)
		}
		k := duly.Declare[string](s, "nobody's")
		ended := make(chan error)
		go func() { ended <- s.Run(t.Context()) }()
		if _, err := k.Put(t.Context(), "oldest", "", schedule.After(time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := k.PutMany(t.Context(), slices.Values(items(tasks, 2*time.Second))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if all, err := s.Stats(t.Context()); err != nil || all.Unhandled != (duly.Backlog{Tasks: tasks + 1, Oldest: 9 * time.Second}) {
			t.Errorf("unhandled are %+v, %v; want %d for up to 9s", all.Unhandled, err, tasks+1)
		}
		// behind the scheduler's back, as another process does it
		if _, err := st.Cancel(t.Context(), []store.Cancel{{Key: store.Key{Name: "oldest"}}}); err != nil {
			t.Fatal(err)
		}
		if all, err := s.Stats(t.Context()); err != nil || all.Unhandled != (duly.Backlog{Tasks: tasks, Oldest: 8 * time.Second}) {
			t.Errorf("unhandled are %+v, %v; want %d for up to 8s", all.Unhandled, err, tasks)
		}
		if err := errors.Join(s.Close(t.Context()), <-ended, st.Close()); err != nil {
			t.Error(err)
		}
	})
}

// noClock is a store that does everything but tell the time, once it is broken.
type noClock struct {
	*memory.Store

	broken bool
}

func (s *noClock) Clock(ctx context.Context) (store.Clock, error) {
	if s.broken {
		return store.Clock{}, store.ErrBroken
	}
	return s.Store.Clock(ctx)
}

// Stats tells that the store does not tell the time, although it counts.
func TestStats_StoreWithoutClock(t *testing.T) {
	st := &noClock{Store: memory.New(memory.Options{})}
	s, err := duly.New(duly.Options{Store: st})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stats(t.Context()); err != nil {
		t.Error(err)
	}
	st.broken = true
	if _, err := s.Stats(t.Context()); !errors.Is(err, store.ErrBroken) {
		t.Errorf("got %v of a store without a clock, want ErrBroken", err)
	}
	if err := errors.Join(s.Close(t.Context()), st.Close()); err != nil {
		t.Error(err)
	}
}

// A run whose retry waits for a worker is overdue since that was due, and neither since its first attempt nor longer.
func TestStats_OverdueRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := duly.New(duly.Options{Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		k := duly.Handle(s, "k", func(ctx context.Context, a *duly.Attempt[string]) error {
			if a.Name == "fails" {
				return duly.RetryAfter(10*time.Second, errors.New("not now"))
			}
			return takes(time.Minute)(ctx, a)
		})
		ended := make(chan error)
		go func() { ended <- s.Run(t.Context()) }()
		for name, in := range map[string]time.Duration{"fails": 0, "is in its way": time.Second} {
			if _, err := k.Put(t.Context(), name, "", schedule.After(in)); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []duly.Backlog{{}, {Tasks: 1, Oldest: 20 * time.Second}} {
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if st, err := s.Stats(t.Context()); err != nil || st.Overdue != want {
				t.Errorf("overdue are %+v, %v; want %+v", st.Overdue, err, want)
			}
			time.Sleep(20 * time.Second)
		}
		if err := errors.Join(s.Close(t.Context()), <-ended); err != nil {
			t.Error(err)
		}
	})
}

// failingReads is a store that reads no task when it is told so.
type failingReads struct {
	*memory.Store

	fails atomic.Bool
}

func (s *failingReads) Get(ctx context.Context, keys []store.Key) ([]*store.Task, error) {
	if s.fails.Load() {
		return nil, store.ErrBroken
	}
	return s.Store.Get(ctx, keys)
}

// Where it can't be read whether somebody else has run what nobody handles here, the caller is told, and has what was counted here.
func TestStats_UnhandledThatCantBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &failingReads{Store: memory.New(memory.Options{})}
		s, err := duly.New(duly.Options{Store: st})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error)
		go func() { ended <- s.Run(t.Context()) }()
		if _, err := duly.Declare[string](s, "nobody's").Put(t.Context(), "a", "", schedule.After(0)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		st.fails.Store(true)
		all, err := s.Stats(t.Context())
		if !errors.Is(err, store.ErrBroken) || all.Shards != 256 || all.Unhandled != (duly.Backlog{Tasks: 1, Oldest: time.Second}) || len(all.Kinds) != 1 || all.Store != (store.Stats{}) {
			t.Errorf("%+v, %v; want one that nobody handles, and ErrBroken", all, err)
		}
		st.fails.Store(false)
		if err := errors.Join(s.Close(t.Context()), <-ended, st.Close()); err != nil {
			t.Error(err)
		}
	})
}
