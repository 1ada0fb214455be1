package duly_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
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

// slowReads is a store that tells nobody of what is written, and takes long to hand out what it has read of what is due.
type slowReads struct {
	store.Store

	reading atomic.Bool
}

func (s *slowReads) Due(ctx context.Context, q store.DueQuery) (store.DuePage, error) {
	page, err := s.Store.Due(ctx, q)
	s.reading.Store(true)
	time.Sleep(time.Second)
	s.reading.Store(false)
	return page, err
}

// What is put while what is due is being read, and is due later than that reaches, runs in time, in whichever order it was put.
func TestRun_PutWhileReading(t *testing.T) {
	for _, in := range [][]int{{1, 2, 3}, {3, 2, 1}, {2, 1, 3}} {
		t.Run(fmt.Sprint(in), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem := memory.New(memory.Options{})
				st := &slowReads{Store: mem}
				s, err := duly.New(duly.Options{Store: st})
				if err != nil {
					t.Fatal(err)
				}
				var late []time.Duration
				k := duly.Handle(s, "k", func(_ context.Context, a *duly.Attempt[string]) error {
					late = append(late, time.Since(a.ScheduledFor))
					return nil
				})
				ended := make(chan error)
				go func() { ended <- s.Run(t.Context()) }()
				synctest.Wait()
				if !st.reading.Load() {
					t.Fatal("nothing is read when Run begins")
				}
				for _, hours := range in {
					if _, err := k.Put(t.Context(), strconv.Itoa(hours), "", schedule.After(time.Duration(hours)*time.Hour)); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(4 * time.Hour)
				synctest.Wait()
				if !slices.Equal(late, []time.Duration{0, 0, 0}) {
					t.Errorf("ran late by %v, want three runs in time", late)
				}
				if err := errors.Join(s.Close(t.Context()), <-ended, mem.Close()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// Memory is filled to its bound and no further, by what is put and due so soon that it need not be read again.
//
// contract: K2
func TestStats_NearIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 16_384
		mem := memory.New(memory.Options{})
		s, err := duly.New(duly.Options{Store: &slowReads{Store: mem}})
		if err != nil {
			t.Fatal(err)
		}
		k := duly.Handle(s, "k", func(context.Context, *duly.Attempt[string]) error { return nil })
		ended := make(chan error)
		go func() { ended <- s.Run(t.Context()) }()
		time.Sleep(2 * time.Second) // by then it has been read that there is nothing
		if _, err := k.PutMany(t.Context(), slices.Values(items(most+100, 3*time.Second))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if st, err := s.Stats(t.Context()); err != nil || st.Near != most {
			t.Errorf("%d tasks are in memory, %v; want %d", st.Near, err, most)
		}
		if err := errors.Join(s.Close(t.Context()), <-ended, mem.Close()); err != nil {
			t.Error(err)
		}
	})
}
