package dulyprom_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store/memory"
	"github.com/dulyhq/duly/store/storetest"
	dulyprom "github.com/dulyhq/duly/telemetry/prometheus"
)

// newScheduler makes one on a store that can be told to fail.
func newScheduler(t *testing.T) (*duly.Scheduler, *storetest.Faulty) {
	t.Helper()
	st := storetest.NewFaulty(memory.New(memory.Options{}))
	s, err := duly.New(duly.Options{Store: st, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.Close(context.WithoutCancel(t.Context())), st.Close()); err != nil {
			t.Error(err)
		}
	})
	return s, st
}

// run lets a scheduler work until the test ends.
func run(t *testing.T, s *duly.Scheduler) {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func put[T any](t *testing.T, k *duly.Kind[T], name string, payload T, s schedule.Schedule, opts ...duly.PutOption) {
	t.Helper()
	if _, err := k.Put(t.Context(), name, payload, s, opts...); err != nil {
		t.Fatal(err)
	}
}

// quiet is a collector that logs nothing.
func quiet(s *duly.Scheduler, opts ...dulyprom.Option) *dulyprom.Collector {
	return dulyprom.New(s, append(opts, dulyprom.Logger(slog.New(slog.DiscardHandler)))...)
}

// values returns what a collector exports but histograms, by name and labels, without duly_ and without what is 0.
func values(t *testing.T, c prometheus.Collector) map[string]float64 {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(c)
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range all {
		for _, m := range f.GetMetric() {
			name := []string{strings.TrimPrefix(f.GetName(), "duly_")}
			for _, l := range m.GetLabel() {
				name = append(name, l.GetValue())
			}
			if v := m.GetCounter().GetValue() + m.GetGauge().GetValue(); v != 0 {
				got[strings.Join(name, " ")] = v
			}
		}
	}
	return got
}

func wantValues(t *testing.T, c prometheus.Collector, want map[string]float64) {
	t.Helper()
	if diff := cmp.Diff(want, values(t, c)); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

func TestCollect_Outcomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newScheduler(t)
		good := duly.Handle(s, "good", func(context.Context, *duly.Attempt[int]) error { return nil })
		sleepy := duly.Handle(s, "sleepy", func(_ context.Context, a *duly.Attempt[int]) error {
			if a.Number < 3 {
				return duly.Snooze(time.Minute)
			}
			return nil
		})
		weak := duly.Handle(s, "weak", func(_ context.Context, a *duly.Attempt[int]) error {
			if a.Number == 1 {
				return errors.New("not yet")
			}
			return nil
		})
		bad := duly.Handle(s, "bad", func(context.Context, *duly.Attempt[int]) error { return duly.Permanent(errors.New("never")) })
		long := duly.Handle(s, "long", func(ctx context.Context, _ *duly.Attempt[int]) error { <-ctx.Done(); return ctx.Err() })
		run(t, s)
		for _, k := range []*duly.Kind[int]{good, sleepy, weak, bad, long} {
			put(t, k, k.Name(), 0, schedule.After(time.Second))
		}
		put(t, good, "later", 0, schedule.After(240*time.Hour))
		put(t, good, "paused", 0, schedule.After(240*time.Hour))
		if _, err := s.Pause(t.Context(), duly.Query{Names: []string{"paused"}}, "for the test"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		wantValues(t, quiet(s), map[string]float64{
			"up": 1, "shards": 256, "tasks": 3, "tasks_paused": 1, "tasks_running": 1, "tasks_near": 1, "dead_runs": 1, "history_entries": 8,
			"attempts_started_total good": 1, "runs_succeeded_total good": 1,
			"attempts_started_total sleepy": 3, "attempts_snoozed_total sleepy": 2, "runs_succeeded_total sleepy": 1,
			"attempts_started_total weak": 2, "attempts_failed_total weak": 1, "runs_succeeded_total weak": 1,
			"attempts_started_total bad": 1, "runs_dead_total bad": 1,
			"attempts_started_total long": 1, "attempts_running long": 1,
		})
	})
}

// TestCollect_StoreFails: what the scheduler has counted by itself is there, also while the store can't be asked.
func TestCollect_StoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, st := newScheduler(t)
		k := duly.Handle(s, "good", func(context.Context, *duly.Attempt[int]) error { return nil })
		run(t, s)
		put(t, k, "a", 0, schedule.After(time.Second))
		time.Sleep(time.Minute)
		synctest.Wait()
		c := quiet(s)
		up := map[string]float64{"up": 1, "shards": 256, "history_entries": 1, "attempts_started_total good": 1, "runs_succeeded_total good": 1}
		wantValues(t, c, up)

		for _, method := range []string{"Stats", "Clock"} {
			st.Plant(storetest.Fault{Method: method, Always: true})
			before := values(t, c)["scrape_failures_total"]
			wantValues(t, c, map[string]float64{
				"scrape_failures_total": before + 1, "shards": 256, "attempts_started_total good": 1, "runs_succeeded_total good": 1,
			})
			st.Heal()
			up["scrape_failures_total"] = before + 1
			wantValues(t, c, up)
		}
	})
}

// TestCollect_StoreHangs: a scrape ends in time, and the scrapes of a store that hangs do not pile up.
func TestCollect_StoreHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, st := newScheduler(t)
		c := quiet(s, dulyprom.Timeout(2*time.Second))
		st.Plant(storetest.Fault{Kind: storetest.Hang, Method: "Stats", Always: true})
		begun := time.Now()
		wantValues(t, c, map[string]float64{"scrape_failures_total": 1})
		if got, want := time.Since(begun), 2*time.Second; got != want {
			t.Errorf("the scrape took %s, want %s: the store gives up when it is asked to", got, want)
		}
		st.Heal()
		wantValues(t, c, map[string]float64{"up": 1, "scrape_failures_total": 1})
	})
}

// TestCollect_StoreIsClosed: a scheduler that has ended is no reason to panic, nor one to fail the scrape of others.
func TestCollect_StoreIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := duly.New()
		if err != nil {
			t.Fatal(err)
		}
		c := quiet(s)
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantValues(t, c, map[string]float64{"scrape_failures_total": 1})
	})
}

// TestCollect_Lateness compares the split with what the store makes an attempt wait.
//
// contract: C2.
func TestCollect_Lateness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newScheduler(t)
		k := duly.Handle(s, "one", func(context.Context, *duly.Attempt[int]) error { time.Sleep(3 * time.Second); return nil }, duly.Limit(1))
		run(t, s)
		put(t, k, "a", 0, schedule.After(time.Second))
		put(t, k, "b", 0, schedule.After(time.Second)) // waits for its slot for 3 s
		time.Sleep(time.Minute)
		synctest.Wait()
		got := map[string]float64{}
		reg := prometheus.NewPedanticRegistry()
		reg.MustRegister(quiet(s))
		all, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range all {
			for _, m := range f.GetMetric() {
				if h := m.GetHistogram(); h != nil {
					part := m.GetLabel()[len(m.GetLabel())-1].GetValue()
					got[part+" count"] += float64(h.GetSampleCount())
					got[part+" sum"] += h.GetSampleSum()
				}
			}
		}
		want := map[string]float64{
			"one count": 2, "one sum": 3, "wake count": 2, "wake sum": 0, "slot count": 2, "slot sum": 3, "claim count": 2, "claim sum": 0,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("lateness (-want +got):\n%s", diff)
		}
	})
}

func TestCollect_Lint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newScheduler(t)
		k := duly.Handle(s, "good", func(context.Context, *duly.Attempt[int]) error { return nil })
		run(t, s)
		put(t, k, "a", 0, schedule.After(time.Second))
		time.Sleep(time.Minute)
		synctest.Wait()
		problems, err := testutil.CollectAndLint(quiet(s))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	})
}
