package dulyotel

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/store"
)

// TestObserve_Values: each instrument tells its own number of Stats in which no two are the same.
func TestObserve_Values(t *testing.T) {
	st := duly.Stats{
		Kinds: map[string]duly.KindStats{"k": {
			Started: 1, Succeeded: 2, Failed: 3, Snoozed: 4, Dead: 5, Cancelled: 6, Lost: 7, Fenced: 8, Skipped: 9, Expired: 10, Early: 11, Running: 12,
			Wake: duly.Histogram{Sum: 20 * time.Second}, Slot: duly.Histogram{Sum: 21 * time.Second}, Claim: duly.Histogram{Sum: 22 * time.Second},
		}},
		StoreErrors: 13, Near: 14, Overdue: duly.Backlog{Tasks: 30, Oldest: 31 * time.Second},
		Unhandled: duly.Backlog{Tasks: 32, Oldest: 33 * time.Second}, Store: store.Stats{Tasks: 15, Paused: 16, Running: 17, Dead: 18, History: 19, Counting: true},
		ClockOffset: -1500 * time.Millisecond, Uncertainty: 250 * time.Millisecond, Shards: 40,
	}
	reader := sdkmetric.NewManualReader()
	meters := MeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	if _, err := observe(func(context.Context) (duly.Stats, error) { return st, nil }, []Option{meters}); err != nil {
		t.Fatal(err)
	}
	var rm metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, m := range rm.ScopeMetrics[0].Metrics {
		switch d := m.Data.(type) {
		case metricdata.Sum[int64]:
			note(got, m.Name, d.DataPoints)
		case metricdata.Sum[float64]:
			note(got, m.Name, d.DataPoints)
		case metricdata.Gauge[int64]:
			note(got, m.Name, d.DataPoints)
		case metricdata.Gauge[float64]:
			note(got, m.Name, d.DataPoints)
		}
	}
	want := map[string]float64{
		"duly.attempts.started k": 1, "duly.runs.succeeded k": 2, "duly.attempts.failed k": 3, "duly.attempts.snoozed k": 4, "duly.runs.dead k": 5,
		"duly.runs.cancelled k": 6, "duly.leases.lost k": 7, "duly.attempts.fenced k": 8, "duly.occurrences.skipped k": 9,
		"duly.occurrences.expired k": 10, "duly.attempts.early k": 11, "duly.attempts.running k": 12, "duly.store.errors": 13, "duly.tasks.near": 14,
		"duly.tasks.overdue": 30, "duly.tasks.overdue.age": 31, "duly.tasks.unhandled": 32, "duly.tasks.unhandled.age": 33,
		"duly.tasks.stored": 15, "duly.tasks.paused": 16, "duly.tasks.running": 17, "duly.runs.kept": 18, "duly.history.entries": 19,
		"duly.store.counting": 1, "duly.clock.offset": -1.5, "duly.clock.uncertainty": 0.25, "duly.shards": 40, "duly.up": 1, "duly.collect.failures": 0,
		"duly.lateness.time wake k": 20, "duly.lateness.time slot k": 21, "duly.lateness.time claim k": 22,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

func note[N int64 | float64](got map[string]float64, name string, points []metricdata.DataPoint[N]) {
	for _, p := range points {
		key := []string{name}
		for _, kv := range p.Attributes.ToSlice() {
			key = append(key, kv.Value.Emit())
		}
		got[strings.Join(key, " ")] = float64(p.Value)
	}
}
