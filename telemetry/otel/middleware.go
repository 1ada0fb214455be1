package dulyotel

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/clock"
)

// The attributes. The kind and the outcome are those of the histograms, too.
const (
	keyKind         = attribute.Key("duly.task.kind")
	keyNamespace    = attribute.Key("duly.task.namespace")
	keyName         = attribute.Key("duly.task.name")
	keyTags         = attribute.Key("duly.task.tags")
	keyRunID        = attribute.Key("duly.run.id")
	keyScheduledFor = attribute.Key("duly.run.scheduled_for")
	keyMissed       = attribute.Key("duly.run.missed")
	keyExtra        = attribute.Key("duly.run.extra")
	keyNumber       = attribute.Key("duly.attempt.number")
	keyFailed       = attribute.Key("duly.attempt.failed")
	keyLost         = attribute.Key("duly.attempt.lost")
	keyFence        = attribute.Key("duly.attempt.fence")
	keyDue          = attribute.Key("duly.attempt.due")
	keyLateness     = attribute.Key("duly.attempt.lateness")
	keyOutcome      = attribute.Key("duly.outcome")
	keyCause        = attribute.Key("duly.cause")
	keyPart         = attribute.Key("duly.lateness.part")
)

// The outcomes of an attempt, as far as its handler decides them. What the store makes of a failure, another attempt or a dead run, is
// not known before the handler has returned.
const (
	succeeded = "succeeded"
	failed    = "failed"
	snoozed   = "snoozed"   // it wants to be called again, or made way for the scheduler's end
	cancelled = "cancelled" // it was asked to stop, and did not succeed
	panicked  = "panicked"  // or it has called runtime.Goexit
)

// bounds are those of the histograms, in seconds, unless a view says otherwise.
var bounds = []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600}

// middleware is what the handlers of one scheduler share.
type middleware struct {
	tracer   trace.Tracer
	lateness metric.Float64Histogram
	duration metric.Float64Histogram
	attrs    []attribute.KeyValue
	clk      clock.Clock
}

// Middleware returns what makes a span of each attempt, and records how late it began and how long it took. It belongs into
// [duly.Options].Middleware, or [duly.Use] for a single kind, and not into both. What it lies inside of is not in the span.
//
// An error that the handler returns is recorded, and so is a panic, which goes on. A snooze is no error.
func Middleware(opts ...Option) duly.Middleware {
	set := settingsOf(opts)
	meter := set.meters.Meter(scope)
	m := &middleware{tracer: set.tracers.Tracer(scope), attrs: set.attrs, clk: clock.System()}
	var errs [2]error
	m.lateness, errs[0] = meter.Float64Histogram("duly.attempt.lateness", metric.WithUnit("s"),
		metric.WithDescription("How long after it was due an attempt began."), metric.WithExplicitBucketBoundaries(bounds...))
	m.duration, errs[1] = meter.Float64Histogram("duly.attempt.duration", metric.WithUnit("s"),
		metric.WithDescription("How long a handler took."), metric.WithExplicitBucketBoundaries(bounds...))
	if err := errors.Join(errs[:]...); err != nil {
		otel.Handle(err) // an instrument that came with an error can be used all the same
	}
	return func(next duly.HandlerFunc) duly.HandlerFunc {
		return func(ctx context.Context, a *duly.AttemptInfo) error { return m.attempt(ctx, a, next) }
	}
}

// attempt calls the handler within a span.
func (m *middleware) attempt(ctx context.Context, a *duly.AttemptInfo, next duly.HandlerFunc) (err error) {
	late := max(a.Started.Sub(a.Due), 0)
	ctx, span := m.tracer.Start(ctx, "duly "+a.Kind, trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(m.attrs...),
		trace.WithAttributes(attributesOf(a, late)...))
	defer span.End() // called by defer itself, it sees a panic and records it
	begun := m.clk.Read().Boot
	outcome := panicked
	defer func() { m.ended(ctx, span, a, outcome, err, late, time.Duration(m.clk.Read().Boot-begun)) }()
	err = next(ctx, a)
	outcome = outcomeOf(ctx, a, err)
	return err
}

func attributesOf(a *duly.AttemptInfo, late time.Duration) []attribute.KeyValue {
	attrs := []attribute.KeyValue{
		keyKind.String(a.Kind), keyName.String(a.Name), keyRunID.String(a.RunID), keyScheduledFor.String(instant(a.ScheduledFor)),
		keyNumber.Int(a.Number), keyFence.Int64(a.Fence), keyDue.String(instant(a.Due)), keyLateness.Float64(late.Seconds()),
	}
	if a.Namespace != "" {
		attrs = append(attrs, keyNamespace.String(a.Namespace))
	}
	if len(a.Tags) > 0 {
		attrs = append(attrs, keyTags.StringSlice(a.Tags))
	}
	if a.Missed > 0 {
		attrs = append(attrs, keyMissed.Int64(a.Missed))
	}
	if a.Extra {
		attrs = append(attrs, keyExtra.Bool(true))
	}
	if a.Failed > 0 {
		attrs = append(attrs, keyFailed.Int(a.Failed))
	}
	if a.Lost > 0 {
		attrs = append(attrs, keyLost.Int(a.Lost))
	}
	return attrs
}

func instant(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// outcomeOf says what the scheduler makes of an error.
func outcomeOf(ctx context.Context, a *duly.AttemptInfo, err error) string {
	if err == nil {
		return succeeded
	}
	if _, ok := duly.Snoozed(err); ok {
		return snoozed
	}
	switch cause := context.Cause(ctx); {
	case (errors.Is(err, duly.ErrClosing) || errors.Is(cause, duly.ErrClosing) && errors.Is(err, context.Canceled)) && !a.AtMostOnce:
		return snoozed
	case errors.Is(cause, duly.ErrStopped):
		return cancelled
	}
	return failed
}

// ended completes the span, and records.
func (m *middleware) ended(
	ctx context.Context, span trace.Span, a *duly.AttemptInfo, outcome string, err error, late, took time.Duration,
) {
	span.SetAttributes(keyOutcome.String(outcome))
	if cause := context.Cause(ctx); cause != nil {
		span.SetAttributes(keyCause.String(cause.Error()))
	}
	switch outcome {
	case failed:
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
	case panicked:
		span.SetStatus(codes.Error, "the handler did not return")
	}
	kind := append([]attribute.KeyValue{keyKind.String(a.Kind)}, m.attrs...)
	m.lateness.Record(ctx, late.Seconds(), metric.WithAttributes(kind...))
	m.duration.Record(ctx, took.Seconds(), metric.WithAttributes(append(kind, keyOutcome.String(outcome))...))
}
