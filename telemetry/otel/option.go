package dulyotel

import (
	"log/slog"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// scope names what makes the spans and instruments.
const scope = "github.com/dulyhq/duly/telemetry/otel"

// settings are what Options write to.
type settings struct {
	tracers trace.TracerProvider
	meters  metric.MeterProvider
	attrs   []attribute.KeyValue
	timeout time.Duration
	log     *slog.Logger
}

// An Option changes what Middleware or Observe does.
type Option func(*settings)

func settingsOf(opts []Option) *settings {
	s := &settings{tracers: otel.GetTracerProvider(), meters: otel.GetMeterProvider()}
	for _, o := range opts {
		o(s)
	}
	return s
}

// TracerProvider is where Middleware's spans go; without it, the one that otel.SetTracerProvider has set, or will set.
func TracerProvider(p trace.TracerProvider) Option {
	return func(s *settings) {
		if p != nil {
			s.tracers = p
		}
	}
}

// MeterProvider is where the instruments are; without it, the one that otel.SetMeterProvider has set, or will set.
func MeterProvider(p metric.MeterProvider) Option {
	return func(s *settings) {
		if p != nil {
			s.meters = p
		}
	}
}

// Attributes are put on every span and every value: a name for the scheduler, where a process has several.
func Attributes(attrs ...attribute.KeyValue) Option {
	return func(s *settings) { s.attrs = append(s.attrs, attrs...) }
}

// Timeout is for how long Observe waits for the store when it is asked; without it, and with a d of 0 or less, 5 s. It is to be less
// than the reader's own.
func Timeout(d time.Duration) Option { return func(s *settings) { s.timeout = d } }

// Logger is told when the store begins to fail Observe, and when it answers again; without it, slog.Default().
func Logger(l *slog.Logger) Option { return func(s *settings) { s.log = l } }
