package dulyotel_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store/memory"
	"github.com/dulyhq/duly/store/storetest"
	dulyotel "github.com/dulyhq/duly/telemetry/otel"
)

// A world is a scheduler on a store that can be told to fail, with all that is told of it kept in memory.
type world struct {
	*duly.Scheduler
	store  *storetest.Faulty
	spans  *tracetest.InMemoryExporter
	reader *sdkmetric.ManualReader
	opts   []dulyotel.Option
}

// inWorld runs a test in a bubble.
func inWorld(t *testing.T, f func(t *testing.T, w *world), opts ...dulyotel.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			store: storetest.NewFaulty(memory.New(memory.Options{})), spans: tracetest.NewInMemoryExporter(), reader: sdkmetric.NewManualReader(),
		}
		w.opts = append([]dulyotel.Option{
			dulyotel.TracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSyncer(w.spans))),
			dulyotel.MeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(w.reader))),
			dulyotel.Logger(slog.New(slog.DiscardHandler)),
		}, opts...)
		var err error
		w.Scheduler, err = duly.New(duly.Options{
			Store: w.store, Logger: slog.New(slog.DiscardHandler), Middleware: []duly.Middleware{dulyotel.Middleware(w.opts...)},
		})
		if err != nil {
			t.Fatal(err)
		}
		f(t, w)
		if err := errors.Join(w.Close(t.Context()), w.store.Close()); err != nil {
			t.Error(err)
		}
	})
}

// run lets the scheduler work for a time, and lets what then runs finish.
func (w *world) run(t *testing.T, d time.Duration) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	time.Sleep(d)
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func put(t *testing.T, k *duly.Kind[int], name string, s schedule.Schedule, opts ...duly.PutOption) {
	t.Helper()
	if _, err := k.Put(t.Context(), name, 0, s, opts...); err != nil {
		t.Fatal(err)
	}
}

// attrs returns attributes as text.
func attrs(list []attribute.KeyValue) map[string]string {
	m := map[string]string{}
	for _, kv := range list {
		m[string(kv.Key)] = kv.Value.Emit()
	}
	return m
}

// An instrument is what a reader sees of one.
type instrument struct {
	Type   string // counter, updowncounter, gauge, histogram
	Unit   string
	Attrs  []string           // their keys, sorted
	Values map[string]float64 // by the values of the attributes; of a histogram the counts, and the sums with " sum" behind
}

// collect asks the reader.
func (w *world) collect(t *testing.T) map[string]instrument {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := w.reader.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	all := map[string]instrument{}
	for _, sm := range rm.ScopeMetrics {
		for _, m := range sm.Metrics {
			in := instrument{Unit: m.Unit, Values: map[string]float64{}}
			switch d := m.Data.(type) {
			case metricdata.Sum[int64]:
				in.Type = sumType(d.IsMonotonic)
				points(&in, d.DataPoints)
			case metricdata.Sum[float64]:
				in.Type = sumType(d.IsMonotonic)
				points(&in, d.DataPoints)
			case metricdata.Gauge[int64]:
				in.Type = "gauge"
				points(&in, d.DataPoints)
			case metricdata.Gauge[float64]:
				in.Type = "gauge"
				points(&in, d.DataPoints)
			case metricdata.Histogram[float64]:
				in.Type = "histogram"
				for _, p := range d.DataPoints {
					at := in.at(p.Attributes)
					in.Values[at], in.Values[at+" sum"] = float64(p.Count), p.Sum
				}
			default:
				t.Errorf("%s is a %T", m.Name, m.Data)
			}
			all[m.Name] = in
		}
	}
	return all
}

func sumType(monotonic bool) string {
	if monotonic {
		return "counter"
	}
	return "updowncounter"
}

func points[N int64 | float64](in *instrument, ps []metricdata.DataPoint[N]) {
	for _, p := range ps {
		in.Values[in.at(p.Attributes)] = float64(p.Value)
	}
}

// at notes the keys of a value's attributes, and returns their values.
func (in *instrument) at(set attribute.Set) (where string) {
	in.Attrs = nil
	for _, kv := range set.ToSlice() {
		in.Attrs = append(in.Attrs, string(kv.Key))
		if where != "" {
			where += " "
		}
		where += kv.Value.Emit()
	}
	return where
}
