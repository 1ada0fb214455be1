package duly_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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

// items are so many one-offs due in the same time.
func items(n int, in time.Duration) []duly.Item[string] {
	all := make([]duly.Item[string], n)
	for i := range all {
		all[i] = duly.Item[string]{Name: fmt.Sprint("t", i), Schedule: schedule.After(in)}
	}
	return all
}

// However many tasks are due soon, those in memory are no more than fit there.
//
// contract: K2
func TestStats_NearIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 16_384
		s, err := duly.New()
		if err != nil {
			t.Fatal(err)
		}
		k := duly.Handle(s, "k", func(context.Context, *duly.Attempt[string]) error { return nil })
		ended := make(chan error)
		go func() { ended <- s.Run(t.Context()) }()
		if _, err := k.PutMany(t.Context(), slices.Values(items(most+2000, 7*time.Second))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		st, err := s.Stats(t.Context())
		if err != nil || st.Near > most || st.Near < most/2 || st.Store.Tasks != most+2000 {
			t.Errorf("%d of %d tasks are in memory, %v; want at most %d", st.Near, st.Store.Tasks, err, most)
		}
		if err := errors.Join(s.Close(t.Context()), <-ended); err != nil {
			t.Error(err)
		}
	})
}

// brokenLeases is a store that does not prolong leases while it is broken, takes long to read, and notes how much is read by one call.
type brokenLeases struct {
	*memory.Store

	broken atomic.Bool
	most   atomic.Int64
	got    atomic.Int64
}

func (s *brokenLeases) Renew(ctx context.Context, xs []store.Renewal) ([]store.RenewResult, error) {
	if s.broken.Load() {
		return nil, store.ErrBroken
	}
	return s.Store.Renew(ctx, xs)
}

func (s *brokenLeases) Get(ctx context.Context, keys []store.Key) ([]*store.Task, error) {
	time.Sleep(time.Second)
	s.most.Store(max(s.most.Load(), int64(len(keys))))
	s.got.Add(int64(len(keys)))
	return s.Store.Get(ctx, keys)
}

// However many leases are lost at once, what has become of the tasks is read a page at a time.
func TestRun_ManyLeasesLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const tasks, page = 700, 512
		st := &brokenLeases{Store: memory.New(memory.Options{})}
		s, err := duly.New(duly.Options{Store: st, Workers: 2 * tasks, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		var lost atomic.Int64
		k := duly.Handle(s, "k", func(ctx context.Context, a *duly.Attempt[string]) error {
			if a.Number > 1 {
				return nil
			}
			<-ctx.Done()
			if errors.Is(context.Cause(ctx), duly.ErrLeaseLost) {
				lost.Add(1)
			}
			return ctx.Err()
		})
		ended := make(chan error)
		go func() { ended <- s.Run(t.Context()) }()
		if _, err := k.PutMany(t.Context(), slices.Values(items(tasks, 0))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		st.broken.Store(true)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if lost.Load() != tasks {
			t.Errorf("%d leases are lost, want %d", lost.Load(), tasks)
		}
		if st.got.Load() < tasks || st.most.Load() > page {
			t.Errorf("%d tasks were read, up to %d by one call; want %d or more, and at most %d", st.got.Load(), st.most.Load(), tasks, page)
		}
		if n, err := s.Stats(t.Context()); err != nil || n.Store.Tasks != 0 {
			t.Errorf("%d tasks are left, %v", n.Store.Tasks, err)
		}
		if err := errors.Join(s.Close(t.Context()), <-ended, st.Close()); err != nil {
			t.Error(err)
		}
	})
}
