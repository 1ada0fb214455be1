package dulyotel

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/scrape"
)

// Observe makes instruments that tell what the scheduler has counted, whenever a reader asks. The scheduler need not run. They hold
// nothing but the scheduler; Unregister of what is returned takes them away. An error says that the provider refuses an instrument,
// and then there are none.
func Observe(s *duly.Scheduler, opts ...Option) (metric.Registration, error) {
	return observe(s.Stats, opts)
}

func observe(stats func(context.Context) (duly.Stats, error), opts []Option) (metric.Registration, error) {
	set := settingsOf(opts)
	in := &instruments{meter: set.meters.Meter(scope), attrs: set.attrs}
	in.byKind()
	in.ofScheduler()
	in.ofStore()
	if err := errors.Join(in.errs...); err != nil {
		return nil, err
	}
	asker := &scrape.Asker{Stats: stats, Timeout: set.timeout, Logger: set.log}
	return in.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		a := asker.Ask() //nolint:contextcheck // all who ask share the call; it has a time of its own
		for _, tell := range in.tell {
			tell(o, &a)
		}
		return nil // an error would cost everybody's values
	}, in.all...)
}

// instruments are being made.
type instruments struct {
	meter metric.Meter
	attrs []attribute.KeyValue
	all   []metric.Observable
	tell  []func(o metric.Observer, a *scrape.Answer)
	errs  []error
}

// with returns the attributes of a value.
func (in *instruments) with(more ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributes(append(more, in.attrs...)...)
}

// made notes an instrument, and what tells it.
func (in *instruments) made(i metric.Observable, err error, tell func(o metric.Observer, a *scrape.Answer)) {
	in.all, in.errs, in.tell = append(in.all, i), append(in.errs, err), append(in.tell, tell)
}

// counter makes one that has a value for each kind.
func (in *instruments) counter(name, unit, what string, value func(k *duly.KindStats) uint64) {
	c, err := in.meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(what))
	in.made(c, err, func(o metric.Observer, a *scrape.Answer) {
		for kind, k := range a.Kinds {
			o.ObserveInt64(c, int64(value(&k)), in.with(keyKind.String(kind)))
		}
	})
}

func (in *instruments) byKind() {
	in.counter("duly.attempts.started", "{attempt}", "Attempts that have started.",
		func(k *duly.KindStats) uint64 { return k.Started })
	in.counter("duly.attempts.failed", "{attempt}", "Attempts that have failed and are followed by another.",
		func(k *duly.KindStats) uint64 { return k.Failed })
	in.counter("duly.attempts.snoozed", "{attempt}", "Attempts whose handler asked to be called again later.",
		func(k *duly.KindStats) uint64 { return k.Snoozed })
	in.counter("duly.attempts.fenced", "{attempt}", "Attempts whose outcome came after their lease was lost.",
		func(k *duly.KindStats) uint64 { return k.Fenced })
	in.counter("duly.attempts.early", "{attempt}", "Attempts that began before they were due: always 0.",
		func(k *duly.KindStats) uint64 { return k.Early })
	in.counter("duly.leases.lost", "{lease}", "Leases that ended without an outcome.",
		func(k *duly.KindStats) uint64 { return k.Lost })
	in.counter("duly.runs.succeeded", "{run}", "Runs that are done.",
		func(k *duly.KindStats) uint64 { return k.Succeeded })
	in.counter("duly.runs.dead", "{run}", "Runs that are not tried again.",
		func(k *duly.KindStats) uint64 { return k.Dead })
	in.counter("duly.runs.cancelled", "{run}", "Runs that were cancelled while they ran, and have ended.",
		func(k *duly.KindStats) uint64 { return k.Cancelled })
	in.counter("duly.occurrences.skipped", "{occurrence}", "Occurrences that were passed by, as a policy says.",
		func(k *duly.KindStats) uint64 { return k.Skipped })
	in.counter("duly.occurrences.expired", "{occurrence}", "Occurrences that could not start in the time they had for it.",
		func(k *duly.KindStats) uint64 { return k.Expired })

	running, err := in.meter.Int64ObservableUpDownCounter("duly.attempts.running", metric.WithUnit("{attempt}"),
		metric.WithDescription("Attempts that run now."))
	in.made(running, err, func(o metric.Observer, a *scrape.Answer) {
		for kind, k := range a.Kinds {
			o.ObserveInt64(running, k.Running, in.with(keyKind.String(kind)))
		}
	})
	late, err := in.meter.Float64ObservableCounter("duly.lateness.time", metric.WithUnit("s"),
		metric.WithDescription("How late attempts have begun, all added up, by part: wake, slot, claim."))
	in.made(late, err, func(o metric.Observer, a *scrape.Answer) {
		for kind, k := range a.Kinds {
			o.ObserveFloat64(late, k.Wake.Sum.Seconds(), in.with(keyKind.String(kind), keyPart.String("wake")))
			o.ObserveFloat64(late, k.Slot.Sum.Seconds(), in.with(keyKind.String(kind), keyPart.String("slot")))
			o.ObserveFloat64(late, k.Claim.Sum.Seconds(), in.with(keyKind.String(kind), keyPart.String("claim")))
		}
	})
}

// ofScheduler makes those that are told without the store. A scheduler of which nothing at all is known has no Kinds.
func (in *instruments) ofScheduler() {
	up, err := in.meter.Int64ObservableGauge("duly.up", metric.WithDescription("Whether the store has answered in time: 1 or 0."))
	in.made(up, err, func(o metric.Observer, a *scrape.Answer) { o.ObserveInt64(up, number(a.Up), in.with()) })
	failures, err := in.meter.Int64ObservableCounter("duly.collect.failures", metric.WithUnit("{collection}"),
		metric.WithDescription("Collections that the store has not answered, or not in time."))
	in.made(failures, err, func(o metric.Observer, a *scrape.Answer) { o.ObserveInt64(failures, int64(a.Failures), in.with()) })

	known := func(a *scrape.Answer) bool { return a.Up || a.Kinds != nil }
	near, err := in.meter.Int64ObservableUpDownCounter("duly.tasks.near", metric.WithUnit("{task}"),
		metric.WithDescription("Tasks in memory: due soon, or running."))
	in.made(near, err, func(o metric.Observer, a *scrape.Answer) {
		if known(a) {
			o.ObserveInt64(near, int64(a.Near), in.with())
		}
	})
	in.backlog("duly.tasks.overdue", "Tasks that are due and have not begun: they wait for a worker, their key, their kind or the store.",
		known, func(a *scrape.Answer) duly.Backlog { return a.Overdue })
	in.backlog("duly.tasks.unhandled", "Tasks that are due and whose kind nobody here handles.",
		known, func(a *scrape.Answer) duly.Backlog { return a.Unhandled })
	errs, err := in.meter.Int64ObservableCounter("duly.store.errors", metric.WithUnit("{call}"),
		metric.WithDescription("Calls of the running scheduler that the store has failed."))
	in.made(errs, err, func(o metric.Observer, a *scrape.Answer) {
		if known(a) {
			o.ObserveInt64(errs, int64(a.StoreErrors), in.with())
		}
	})
	offset, err := in.meter.Float64ObservableGauge("duly.clock.offset", metric.WithUnit("s"),
		metric.WithDescription("How far the store's clock is ahead of this machine's."))
	in.made(offset, err, func(o metric.Observer, a *scrape.Answer) {
		if known(a) {
			o.ObserveFloat64(offset, a.ClockOffset.Seconds(), in.with())
		}
	})
	uncertainty, err := in.meter.Float64ObservableGauge("duly.clock.uncertainty", metric.WithUnit("s"),
		metric.WithDescription("How far that may be off."))
	in.made(uncertainty, err, func(o metric.Observer, a *scrape.Answer) {
		if known(a) {
			o.ObserveFloat64(uncertainty, a.Uncertainty.Seconds(), in.with())
		}
	})
	shards, err := in.meter.Int64ObservableUpDownCounter("duly.shards", metric.WithUnit("{shard}"),
		metric.WithDescription("Shards of the store that are this process's, of 256."))
	in.made(shards, err, func(o metric.Observer, a *scrape.Answer) {
		if known(a) {
			o.ObserveInt64(shards, int64(a.Shards), in.with())
		}
	})
}

// backlog makes two: how many tasks there are, and the age of the oldest.
func (in *instruments) backlog(name, what string, known func(a *scrape.Answer) bool, value func(a *scrape.Answer) duly.Backlog) {
	tasks, err := in.meter.Int64ObservableUpDownCounter(name, metric.WithUnit("{task}"), metric.WithDescription(what))
	in.made(tasks, err, func(o metric.Observer, a *scrape.Answer) {
		if known(a) {
			o.ObserveInt64(tasks, int64(value(a).Tasks), in.with())
		}
	})
	oldest, err := in.meter.Float64ObservableGauge(name+".age", metric.WithUnit("s"), metric.WithDescription("For how long the oldest of them has been due."))
	in.made(oldest, err, func(o metric.Observer, a *scrape.Answer) {
		if known(a) {
			o.ObserveFloat64(oldest, value(a).Oldest.Seconds(), in.with())
		}
	})
}

// level makes one that the store knows the value of.
func (in *instruments) level(name, unit, what string, value func(a *scrape.Answer) int64) {
	l, err := in.meter.Int64ObservableUpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(what))
	in.made(l, err, func(o metric.Observer, a *scrape.Answer) {
		if a.Up {
			o.ObserveInt64(l, value(a), in.with())
		}
	})
}

func (in *instruments) ofStore() {
	in.level("duly.tasks.stored", "{task}", "Tasks in the store.", func(a *scrape.Answer) int64 { return a.Store.Tasks })
	in.level("duly.tasks.paused", "{task}", "Tasks in the store that are paused.", func(a *scrape.Answer) int64 { return a.Store.Paused })
	in.level("duly.tasks.running", "{task}", "Tasks in the store that run, whoever runs them.",
		func(a *scrape.Answer) int64 { return a.Store.Running })
	in.level("duly.runs.kept", "{run}", "Dead runs that the store keeps.", func(a *scrape.Answer) int64 { return a.Store.Dead })
	in.level("duly.history.entries", "{entry}", "Entries of the history that the store keeps.",
		func(a *scrape.Answer) int64 { return a.Store.History })

	counting, err := in.meter.Int64ObservableGauge("duly.store.counting",
		metric.WithDescription("Whether the store still counts after a crash, and its numbers are incomplete: 1 or 0."))
	in.made(counting, err, func(o metric.Observer, a *scrape.Answer) {
		if a.Up {
			o.ObserveInt64(counting, number(a.Store.Counting), in.with())
		}
	})
}

func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
