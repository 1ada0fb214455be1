package dulyotel_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	dulyotel "github.com/dulyhq/duly/telemetry/otel"
)

func TestMiddleware_Span(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var inside trace.SpanContext
		var fences []string
		k := duly.Handle(w.In("shop"), "remind", func(ctx context.Context, a *duly.Attempt[int]) error {
			inside = trace.SpanContextFromContext(ctx)
			fences = append(fences, strconv.FormatInt(a.Fence, 10))
			time.Sleep(2 * time.Second)
			if a.Number == 1 {
				return errors.New("not yet")
			}
			return nil
		})
		begun := time.Now().UTC()
		put(t, k, "tea", schedule.After(time.Minute), duly.Tags("hot"), duly.Retry(duly.RetryPolicy{Attempts: 2}))
		w.run(t, time.Hour)

		spans := w.spans.GetSpans()
		if len(spans) != 2 {
			t.Fatalf("%d spans, want one per attempt, 2", len(spans))
		}
		for i, s := range spans {
			if s.Name != "duly remind" || s.SpanKind != trace.SpanKindConsumer || s.Parent.IsValid() {
				t.Errorf("span %d is %q, %v, of %v; want the root of a trace", i, s.Name, s.SpanKind, s.Parent)
			}
			if got, want := s.EndTime.Sub(s.StartTime), 2*time.Second; got != want {
				t.Errorf("span %d took %s, want %s", i, got, want)
			}
		}
		if spans[0].SpanContext.TraceID() == spans[1].SpanContext.TraceID() {
			t.Error("both attempts are of one trace")
		}
		if got, want := inside.SpanID(), spans[1].SpanContext.SpanID(); got != want {
			t.Errorf("the handler's context has span %v, want %v", got, want)
		}
		due := begun.Add(time.Minute).Format(time.RFC3339Nano)
		first := attrs(spans[0].Attributes)
		id := first["duly.run.id"]
		if id == "" {
			t.Error("the span does not tell the run's id")
		}
		want := map[string]string{
			"duly.task.kind": "remind", "duly.task.namespace": "shop", "duly.task.name": "tea", "duly.task.tags": `["hot"]`, "duly.run.id": id,
			"duly.run.scheduled_for": due, "duly.attempt.number": "1", "duly.attempt.fence": fences[0], "duly.attempt.due": due,
			"duly.attempt.lateness": "0", "duly.outcome": "failed",
		}
		if diff := cmp.Diff(want, first); diff != "" {
			t.Errorf("first attempt (-want +got):\n%s", diff)
		}
		second := attrs(spans[1].Attributes)
		want["duly.attempt.number"], want["duly.attempt.fence"], want["duly.attempt.failed"], want["duly.outcome"] = "2", fences[1], "1", "succeeded"
		want["duly.attempt.due"] = spans[1].StartTime.UTC().Format(time.RFC3339Nano)
		if diff := cmp.Diff(want, second); diff != "" {
			t.Errorf("second attempt (-want +got):\n%s", diff)
		}
	})
}

// told is what a span says of how its attempt ended.
type told struct {
	Outcome string
	Cause   string
	Status  sdktrace.Status
	Events  string
}

func TestMiddleware_Outcomes(t *testing.T) {
	once := duly.Retry(duly.RetryPolicy{Attempts: 1})
	tests := []struct {
		name    string
		handler func(ctx context.Context, a *duly.AttemptInfo) error
		opts    []duly.PutOption
		during  func(t *testing.T, w *world)
		want    told
	}{
		{
			name:    "succeeds",
			handler: func(context.Context, *duly.AttemptInfo) error { return nil },
			want:    told{Outcome: "succeeded"},
		},
		{
			name:    "fails",
			handler: func(context.Context, *duly.AttemptInfo) error { return errors.New("no tea") },
			want:    told{Outcome: "failed", Status: sdktrace.Status{Code: codes.Error, Description: "no tea"}, Events: "exception: no tea"},
		},
		{
			name:    "fails for good",
			handler: func(context.Context, *duly.AttemptInfo) error { return duly.Permanent(errors.New("no tea")) },
			want:    told{Outcome: "failed", Status: sdktrace.Status{Code: codes.Error, Description: "no tea"}, Events: "exception: no tea"},
		},
		{
			name:    "snoozes",
			handler: func(context.Context, *duly.AttemptInfo) error { return fmt.Errorf("later: %w", duly.Snooze(time.Hour)) },
			want:    told{Outcome: "snoozed"},
		},
		{
			name:    "panics",
			handler: func(context.Context, *duly.AttemptInfo) error { panic("spilt") },
			want: told{
				Outcome: "panicked", Status: sdktrace.Status{Code: codes.Error, Description: "the handler did not return"}, Events: "exception: spilt",
			},
		},
		{
			name:    "ends its goroutine",
			handler: func(context.Context, *duly.AttemptInfo) error { runtime.Goexit(); return nil },
			want:    told{Outcome: "panicked", Status: sdktrace.Status{Code: codes.Error, Description: "the handler did not return"}},
		},
		{
			name:    "takes too long",
			handler: func(ctx context.Context, _ *duly.AttemptInfo) error { <-ctx.Done(); return ctx.Err() },
			opts:    []duly.PutOption{duly.Timeout(time.Second)},
			want: told{
				Outcome: "failed", Cause: "the task's timeout has passed", Status: sdktrace.Status{Code: codes.Error, Description: "context canceled"},
				Events: "exception: context canceled",
			},
		},
		{
			name:    "is asked to stop",
			handler: func(ctx context.Context, _ *duly.AttemptInfo) error { <-ctx.Done(); return ctx.Err() },
			during: func(t *testing.T, w *world) {
				if _, err := w.CancelRunning(t.Context(), "a"); err != nil {
					t.Error(err)
				}
			},
			want: told{Outcome: "cancelled", Cause: "the attempt is asked to stop"},
		},
		{
			name:    "makes way",
			handler: func(ctx context.Context, _ *duly.AttemptInfo) error { <-ctx.Done(); return ctx.Err() },
			want:    told{Outcome: "snoozed", Cause: "the scheduler is being closed"}, // Run's end, and the drain's
		},
		{
			name:    "must not begin again",
			handler: func(ctx context.Context, _ *duly.AttemptInfo) error { <-ctx.Done(); return ctx.Err() },
			opts:    []duly.PutOption{duly.AtMostOnce()},
			want: told{
				Outcome: "failed", Cause: "the scheduler is being closed", Status: sdktrace.Status{Code: codes.Error, Description: "context canceled"},
				Events: "exception: context canceled",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				k := duly.Handle(w.Scheduler, "k", func(ctx context.Context, a *duly.Attempt[int]) error { return tt.handler(ctx, a.AttemptInfo) })
				put(t, k, "a", schedule.After(time.Second), append(tt.opts, once)...)
				if tt.during != nil {
					time.AfterFunc(time.Minute, func() { tt.during(t, w) })
				}
				w.run(t, 2*time.Minute)
				spans := w.spans.GetSpans()
				if len(spans) != 1 {
					t.Fatalf("%d spans, want 1", len(spans))
				}
				a := attrs(spans[0].Attributes)
				got := told{Outcome: a["duly.outcome"], Cause: a["duly.cause"], Status: spans[0].Status}
				for _, e := range spans[0].Events {
					got.Events += e.Name + ": " + attrs(e.Attributes)["exception.message"]
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("span (-want +got):\n%s", diff)
				}
				if got := w.collect(t)["duly.attempt.duration"].Values[tt.want.Outcome+" k"]; got != 1 {
					t.Errorf("duration is recorded %v times with the outcome, want 1", got)
				}
			})
		})
	}
}

// TestMiddleware_Panic: the scheduler sees the panic that the span has recorded.
func TestMiddleware_Panic(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		k := duly.Handle(w.Scheduler, "k", func(context.Context, *duly.Attempt[int]) error { panic("spilt") })
		put(t, k, "a", schedule.After(time.Second), duly.Retry(duly.RetryPolicy{Attempts: 1}))
		w.run(t, time.Minute)
		for task, err := range w.List(t.Context(), duly.Query{State: duly.Dead}) {
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(task.Runs[0].Reason, "panic: spilt\n") {
				t.Errorf("the run died of %q, want the panic", task.Runs[0].Reason)
			}
			return
		}
		t.Error("no run is dead")
	})
}

// TestMiddleware_Lateness: the histogram has what the scheduler says, and not how long the handler took.
//
// contract: C2.
func TestMiddleware_Lateness(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		k := duly.Handle(w.Scheduler, "k", func(context.Context, *duly.Attempt[int]) error { time.Sleep(3 * time.Second); return nil }, duly.Limit(1))
		put(t, k, "a", schedule.After(time.Second))
		put(t, k, "b", schedule.After(time.Second)) // waits for its slot for 3 s
		w.run(t, time.Minute)
		all := w.collect(t)
		if diff := cmp.Diff(map[string]float64{"k": 2, "k sum": 3}, all["duly.attempt.lateness"].Values); diff != "" {
			t.Errorf("lateness (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(map[string]float64{"succeeded k": 2, "succeeded k sum": 6}, all["duly.attempt.duration"].Values); diff != "" {
			t.Errorf("duration (-want +got):\n%s", diff)
		}
	})
}

func TestAttributes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		if _, err := dulyotel.Observe(w.Scheduler, w.opts...); err != nil {
			t.Fatal(err)
		}
		k := duly.Handle(w.Scheduler, "k", func(context.Context, *duly.Attempt[int]) error { return nil })
		put(t, k, "a", schedule.After(time.Second))
		w.run(t, time.Minute)
		for name, in := range w.collect(t) {
			for at := range in.Values {
				if !strings.HasSuffix(strings.TrimSuffix(at, " sum"), "mail") {
					t.Errorf("%s has a value at %q, without the attribute", name, at)
				}
			}
		}
		if got := attrs(w.spans.GetSpans()[0].Attributes)["scheduler"]; got != "mail" {
			t.Errorf("the span's scheduler is %q, want mail", got)
		}
	}, dulyotel.Attributes(attribute.String("scheduler", "mail")))
}
