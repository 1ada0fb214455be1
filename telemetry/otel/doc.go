// Package dulyotel shows OpenTelemetry what a [duly.Scheduler] does: [Middleware] makes a span of each attempt and two histograms,
// [Observe] tells what the scheduler has counted. It imports OpenTelemetry's API only, so that nothing happens until the program sets
// a provider. It is not for log records, which slog's bridges carry, nor for Prometheus without OpenTelemetry: that is
// telemetry/prometheus. There is no central type; [Option] is what its two functions share.
//
// What each span, attribute and instrument means is in docs/telemetry.md.
//
// # Whose trace it is
//
// The span of an attempt is the root of a trace. A task has no place for the context of the trace it was put in, and is not to have
// one: putting the same task again has to change nothing, and it could never be the same. A payload may carry one, and the handler
// make a link of it; the package's example shows how.
//
// # On failure
//
// A store that fails, or that does not answer in time, is no error of a collection, because a reader then throws away what all
// others have told. duly.up is 0, and what the scheduler counts by itself is told if it can be had.
package dulyotel
