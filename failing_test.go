package duly_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
	"github.com/dulyhq/duly/store/storetest"
)

// still is a scheduler that does not run, on a store that fails when it is told to. There are two tasks that wait, two that are paused, two
// dead runs, and one task that is done.
type still struct {
	*duly.Scheduler
	kind  *duly.Kind[string]
	store *storetest.Faulty
	begun time.Time
}

func newStill(t *testing.T) *still {
	t.Helper()
	mem := memory.New(memory.Options{})
	w := &still{store: storetest.NewFaulty(mem), begun: time.Now()}
	made := func(s store.Store) (*duly.Scheduler, *duly.Kind[string]) {
		s0, err := duly.New(duly.Options{Store: s, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return s0, duly.Handle(s0, "k", func(_ context.Context, a *duly.Attempt[string]) error {
			if a.Name == "done" {
				return nil
			}
			return duly.Permanent(errors.New("no"))
		})
	}
	s, k := made(mem)
	ended := make(chan error)
	go func() { ended <- s.Run(t.Context()) }()
	for _, p := range []struct {
		name string
		when schedule.Schedule
	}{
		{"dead 1", schedule.After(0)},
		{"dead 2", schedule.After(0)},
		{"done", schedule.After(0)},
		{"every", schedule.Every(time.Hour)},
		{"once", schedule.After(time.Hour)},
		{"paused 1", schedule.Every(time.Hour)},
		{"paused 2", schedule.After(time.Hour)},
	} {
		if _, err := k.Put(t.Context(), p.name, "", p.when); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.Pause(t.Context(), duly.Query{Prefix: "paused"}, "for a rest"); n != 2 || err != nil {
		t.Fatalf("Pause: %d, %v; want 2", n, err)
	}
	synctest.Wait()
	if err := errors.Join(s.Close(t.Context()), <-ended); err != nil {
		t.Fatal(err)
	}
	w.Scheduler, w.kind = made(w.store)
	t.Cleanup(func() {
		w.store.Heal()
		if err := errors.Join(w.Close(context.Background()), mem.Close()); err != nil { //nolint:usetesting // the test's own has ended
			t.Error(err)
		}
	})
	return w
}

func many(n int) []duly.Item[string] { return items(n, time.Hour) }

// Whatever call of the store fails on which a call of a scheduler depends, the caller is told, and has the answer as far as it is true:
// how many have been edited before, the batches that were put, what this process has counted itself.
func TestStoreFails_CallersAreTold(t *testing.T) {
	for _, c := range []struct {
		call string
		do   func(ctx context.Context, w *still) (any, error)
		want []string // by which call of the store fails
	}{
		{"Get", func(ctx context.Context, w *still) (any, error) {
			x, err := w.Get(ctx, "done")
			if errors.Is(err, duly.ErrFinished) {
				return x, nil
			}
			return x, err
		}, []string{"Get 1: nothing", "History 1: nothing"}},
		{"Cancel", func(ctx context.Context, w *still) (any, error) { return w.Cancel(ctx, "once") }, []string{"Cancel 1: nothing"}},
		{"CancelRunning", func(ctx context.Context, w *still) (any, error) { return w.CancelRunning(ctx, "once") }, []string{"Cancel 1: nothing"}},
		{"Await", func(ctx context.Context, w *still) (any, error) { return nil, w.Await(ctx, "once") }, []string{"Get 1: nothing"}},
		{"Put", func(ctx context.Context, w *still) (any, error) {
			return w.kind.Put(ctx, "new", "", schedule.Every(time.Hour))
		}, []string{"Clock 1: nothing", "Put 1: nothing"}},
		{"PutMany", func(ctx context.Context, w *still) (any, error) {
			all, err := w.kind.PutMany(ctx, slices.Values(many(2001)))
			return len(all), err
		}, []string{"Put 1: nothing", "Put 2: 1000", "Put 3: 2000"}},
		{"Move", func(ctx context.Context, w *still) (any, error) {
			return w.Move(ctx, "once", schedule.After(time.Minute))
		}, []string{"Clock 1: nothing", "Edit 1: nothing", "Get 1: nothing"}},
		{"Change", func(ctx context.Context, w *still) (any, error) {
			return w.Change(ctx, "every", duly.Change{Payload: []byte(`"x"`)})
		}, []string{"Clock 1: nothing", "Edit 1: nothing", "Get 1: nothing"}},
		{"RunNow", func(ctx context.Context, w *still) (any, error) { return nil, w.RunNow(ctx, "every") }, []string{"Edit 1: nothing", "Get 1: nothing"}},
		{"Backfill", func(ctx context.Context, w *still) (any, error) {
			return w.Backfill(ctx, "every", w.begun.Add(-3*time.Hour), w.begun)
		}, []string{"Edit 1: nothing", "Get 1: nothing"}},
		{"Pause", func(ctx context.Context, w *still) (any, error) { return w.Pause(ctx, duly.Query{}, "") }, []string{"Edit 1: nothing", "Edit 2: 1", "List 1: nothing"}},
		{"Pause of names", func(ctx context.Context, w *still) (any, error) {
			return w.Pause(ctx, duly.Query{Names: []string{"every", "once"}}, "")
		}, []string{"Edit 1: nothing", "Edit 2: 1", "Get 1: nothing", "Get 2: 1"}},
		{"Resume", func(ctx context.Context, w *still) (any, error) { return w.Resume(ctx, duly.Query{}) }, []string{"Clock 1: nothing", "Edit 1: nothing", "Edit 2: 1", "List 1: nothing"}},
		{"Redrive", func(ctx context.Context, w *still) (any, error) { return w.Redrive(ctx, duly.Query{}) }, []string{"Edit 1: nothing", "Edit 2: 1", "List 1: nothing"}},
		{"List", func(ctx context.Context, w *still) (any, error) {
			n := 0
			for _, err := range w.List(ctx, duly.Query{}) {
				if err != nil {
					return n, err
				}
				n++
			}
			return n, nil
		}, []string{"List 1: nothing"}},
		{"ListPage", func(ctx context.Context, w *still) (any, error) {
			all, cursor, err := w.ListPage(ctx, duly.Query{Limit: 2})
			return len(all) + len(cursor), err
		}, []string{"List 1: nothing"}},
		{"History", func(ctx context.Context, w *still) (any, error) {
			all, err := w.History(ctx, duly.HistoryQuery{})
			return len(all), err
		}, []string{"History 1: nothing"}},
		{"Events", func(ctx context.Context, w *still) (any, error) {
			n := 0
			for _, err := range w.Events(ctx, 0) {
				if err != nil {
					return n, err
				}
				n++
				if n == 5 {
					return n, nil
				}
			}
			return n, nil
		}, []string{"History 1: nothing"}},
		{"Simulate", func(ctx context.Context, w *still) (any, error) {
			n := 0
			for _, err := range w.Simulate(ctx, w.begun, w.begun.Add(2*time.Hour)) {
				if err != nil {
					return n, err
				}
				n++
			}
			return n, nil
		}, []string{"Due 1: nothing"}},
		{"WhyNot", func(ctx context.Context, w *still) (any, error) { return w.WhyNot(ctx, "once") }, []string{"Clock 1: nothing", "Get 1: nothing"}},
		{"WhyNot of what has ended", func(ctx context.Context, w *still) (any, error) { return w.WhyNot(ctx, "done") }, []string{"Get 1: nothing", "History 1: nothing"}},
		{"Stats", func(ctx context.Context, w *still) (any, error) {
			st, err := w.Stats(ctx)
			return fmt.Sprintf("%d kinds, %d dead", len(st.Kinds), st.Store.Dead), err
		}, []string{"Clock 1: 1 kinds, 0 dead", "Clock 2: 1 kinds, 0 dead", "Stats 1: 1 kinds, 0 dead"}},
	} {
		t.Run(c.call, func(t *testing.T) {
			calls := map[string]int{}
			synctest.Test(t, func(t *testing.T) {
				w := newStill(t)
				if _, err := c.do(t.Context(), w); err != nil {
					t.Fatal(err)
				}
				for _, m := range []string{"Cancel", "Clock", "Due", "Edit", "Get", "History", "List", "Put", "Stats"} {
					calls[m] = w.store.Calls(m)
				}
			})
			var got []string
			for _, m := range slices.Sorted(maps.Keys(calls)) {
				for n := range calls[m] {
					synctest.Test(t, func(t *testing.T) {
						w := newStill(t)
						w.store.Plant(storetest.Fault{Method: m, N: n + 1})
						has, err := c.do(t.Context(), w)
						if !errors.Is(err, store.ErrBroken) {
							t.Errorf("the %d. %s fails: %v, %v; want ErrBroken", n+1, m, has, err)
						}
						if v := reflect.ValueOf(has); !v.IsValid() || v.IsZero() {
							has = "nothing"
						}
						got = append(got, fmt.Sprintf("%s %d: %v", m, n+1, has))
					})
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("what the caller has (-want +got):\n%s", diff)
			}
		})
	}
}
