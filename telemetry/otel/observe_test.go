package dulyotel_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store/storetest"
	dulyotel "github.com/dulyhq/duly/telemetry/otel"
)

// observed is what the scheduler tells but histograms, by instrument and attributes, without what is 0.
func (w *world) observed(t *testing.T) map[string]float64 {
	t.Helper()
	got := map[string]float64{}
	for name, in := range w.collect(t) {
		for at, v := range in.Values {
			if v != 0 && in.Type != "histogram" {
				if at != "" {
					at = " " + at
				}
				got[name+at] = v
			}
		}
	}
	return got
}

func (w *world) wantObserved(t *testing.T, want map[string]float64) {
	t.Helper()
	if diff := cmp.Diff(want, w.observed(t)); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

func TestObserve(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		reg, err := dulyotel.Observe(w.Scheduler, w.opts...)
		if err != nil {
			t.Fatal(err)
		}
		good := duly.Handle(w.Scheduler, "good", func(context.Context, *duly.Attempt[int]) error { time.Sleep(3 * time.Second); return nil }, duly.Limit(1))
		bad := duly.Handle(w.Scheduler, "bad", func(context.Context, *duly.Attempt[int]) error { return duly.Permanent(errors.New("never")) })
		put(t, good, "a", schedule.After(time.Second))
		put(t, good, "b", schedule.After(time.Second))
		put(t, good, "c", schedule.After(time.Hour))
		put(t, bad, "d", schedule.After(time.Second))
		w.run(t, time.Minute)
		want := map[string]float64{
			"duly.up": 1, "duly.tasks.stored": 1, "duly.runs.kept": 1, "duly.history.entries": 3,
			"duly.attempts.started good": 2, "duly.runs.succeeded good": 2, "duly.lateness.time slot good": 3,
			"duly.attempts.started bad": 1, "duly.runs.dead bad": 1,
		}
		w.wantObserved(t, want)

		w.store.Plant(storetest.Fault{Kind: storetest.Hang, Method: "Stats", Always: true})
		begun := time.Now()
		fails := map[string]float64{
			"duly.collect.failures": 1, "duly.attempts.started good": 2, "duly.runs.succeeded good": 2, "duly.lateness.time slot good": 3,
			"duly.attempts.started bad": 1, "duly.runs.dead bad": 1,
		}
		w.wantObserved(t, fails)
		if got, want := time.Since(begun), 2*time.Second; got != want {
			t.Errorf("collecting took %s, want %s", got, want)
		}
		w.store.Heal()
		want["duly.collect.failures"] = 1
		w.wantObserved(t, want)

		if err := reg.Unregister(); err != nil {
			t.Fatal(err)
		}
		w.wantObserved(t, map[string]float64{})
	}, dulyotel.Timeout(2*time.Second))
}
