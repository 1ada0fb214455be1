package dulyotel_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	dulyotel "github.com/dulyhq/duly/telemetry/otel"
)

// until lets a scheduler work until done is closed.
func until(s *duly.Scheduler, done <-chan struct{}) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		<-done
		stop()
	}()
	if err := s.Run(ctx); err != nil {
		fmt.Println(err)
	}
}

func ExampleMiddleware() {
	spans := tracetest.NewInMemoryExporter() // a program has an exporter of OTLP here
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))

	s, err := duly.New(duly.Options{Middleware: []duly.Middleware{dulyotel.Middleware(dulyotel.TracerProvider(tracers))}})
	if err != nil {
		fmt.Println(err)
		return
	}
	done := make(chan struct{})
	remind := duly.Handle(s, "remind", func(_ context.Context, a *duly.Attempt[string]) error {
		if a.Number == 1 {
			return duly.RetryAfter(time.Millisecond, errors.New("nobody is in"))
		}
		close(done)
		return nil
	})
	if _, err := remind.Put(context.Background(), "tea", "it is ready", schedule.After(0)); err != nil {
		fmt.Println(err)
	}
	until(s, done)

	for _, span := range spans.GetSpans() {
		fmt.Printf("%s: %v %q\n", span.Name, span.Status.Code, span.Status.Description)
		for _, kv := range span.Attributes {
			if kv.Key == "duly.task.name" || kv.Key == "duly.attempt.number" || kv.Key == "duly.outcome" {
				fmt.Println(" ", kv.Key, kv.Value.Emit())
			}
		}
	}
	// Output:
	// duly remind: Error "nobody is in"
	//   duly.task.name tea
	//   duly.attempt.number 1
	//   duly.outcome failed
	// duly remind: Unset ""
	//   duly.task.name tea
	//   duly.attempt.number 2
	//   duly.outcome succeeded
}

// The order that a request has placed links to the request's trace: it is carried in the payload. Each such task differs from any other,
// so putting it twice replaces it.
func ExampleMiddleware_link() {
	type order struct {
		ID    int
		Trace propagation.MapCarrier
	}
	spans := tracetest.NewInMemoryExporter()
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	s, err := duly.New(duly.Options{Middleware: []duly.Middleware{dulyotel.Middleware(dulyotel.TracerProvider(tracers))}})
	if err != nil {
		fmt.Println(err)
		return
	}
	w3c := propagation.TraceContext{}
	done := make(chan struct{})
	ship := duly.Handle(s, "ship", func(ctx context.Context, a *duly.Attempt[order]) error {
		defer close(done)
		from := trace.SpanContextFromContext(w3c.Extract(ctx, a.Payload.Trace))
		if from.IsRemote() { // else the payload has none
			trace.SpanFromContext(ctx).AddLink(trace.Link{SpanContext: from})
		}
		return nil
	})

	ctx, request := tracers.Tracer("shop").Start(context.Background(), "POST /orders")
	o := order{ID: 42, Trace: propagation.MapCarrier{}}
	w3c.Inject(ctx, o.Trace)
	if _, err := ship.Put(ctx, "order-42", o, schedule.After(0)); err != nil {
		fmt.Println(err)
	}
	request.End()
	until(s, done)

	for _, span := range spans.GetSpans() {
		for _, l := range span.Links {
			fmt.Println(span.Name, "links to the request:", l.SpanContext.TraceID() == request.SpanContext().TraceID())
		}
	}
	// Output: duly ship links to the request: true
}

func ExampleObserve() {
	reader := sdkmetric.NewManualReader() // a program has a periodic one, with an exporter
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))

	s, err := duly.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	reg, err := dulyotel.Observe(s, dulyotel.MeterProvider(meters))
	if err != nil {
		fmt.Println(err)
		return
	}
	remind := duly.Declare[string](s, "remind")
	for _, name := range []string{"tea", "cake"} {
		if _, err := remind.Put(context.Background(), name, "", schedule.After(time.Hour)); err != nil {
			fmt.Println(err)
		}
	}

	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &all); err != nil {
		fmt.Println(err)
	}
	for _, m := range all.ScopeMetrics[0].Metrics {
		if m.Name == "duly.tasks.stored" {
			fmt.Println(m.Name, m.Data.(metricdata.Sum[int64]).DataPoints[0].Value)
		}
	}
	if err := reg.Unregister(); err != nil {
		fmt.Println(err)
	}
	// Output: duly.tasks.stored 2
}
