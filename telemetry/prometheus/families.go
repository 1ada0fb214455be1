package dulyprom

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/scrape"
)

// A sample is one answer of the scheduler, on its way to Prometheus.
type sample struct {
	scrape.Answer
	ch chan<- prometheus.Metric
}

// A family is what is exported under one name.
type family struct {
	desc    *prometheus.Desc
	collect func(s *sample, d *prometheus.Desc)
}

// families are all that is exported, in the order of docs/telemetry.md, which a test compares with them.
var families = []family{
	always("duly_up", "Whether the store has answered this scrape in time: 1 or 0.", prometheus.GaugeValue,
		func(s *sample) float64 { return number(s.Up) }),
	always("duly_scrape_failures_total", "Scrapes that the store has not answered, or not in time.", prometheus.CounterValue,
		func(s *sample) float64 { return float64(s.Failures) }),

	byKind("duly_attempts_started_total", "Attempts that have started.", prometheus.CounterValue,
		func(k *duly.KindStats) float64 { return float64(k.Started) }),
	byKind("duly_attempts_running", "Attempts that run now.", prometheus.GaugeValue,
		func(k *duly.KindStats) float64 { return float64(k.Running) }),
	byKind("duly_attempts_failed_total", "Attempts that have failed and are followed by another.", prometheus.CounterValue,
		func(k *duly.KindStats) float64 { return float64(k.Failed) }),
	byKind("duly_attempts_snoozed_total", "Attempts whose handler asked to be called again later.", prometheus.CounterValue,
		func(k *duly.KindStats) float64 { return float64(k.Snoozed) }),
	byKind("duly_attempts_fenced_total", "Attempts whose outcome came after their lease was lost.", prometheus.CounterValue,
		func(k *duly.KindStats) float64 { return float64(k.Fenced) }),
	byKind("duly_attempts_early_total", "Attempts that began before they were due: always 0.", prometheus.CounterValue,
		func(k *duly.KindStats) float64 { return float64(k.Early) }),
	byKind("duly_leases_lost_total", "Leases that ended without an outcome.", prometheus.CounterValue,
		func(k *duly.KindStats) float64 { return float64(k.Lost) }),
	byKind("duly_runs_succeeded_total", "Runs that are done.", prometheus.CounterValue,
		func(k *duly.KindStats) float64 { return float64(k.Succeeded) }),
	byKind("duly_runs_dead_total", "Runs that are not tried again.", prometheus.CounterValue,
		func(k *duly.KindStats) float64 { return float64(k.Dead) }),
	byKind("duly_runs_cancelled_total", "Runs that were cancelled while they ran, and have ended.", prometheus.CounterValue,
		func(k *duly.KindStats) float64 { return float64(k.Cancelled) }),
	byKind("duly_occurrences_skipped_total", "Occurrences that were passed by, as a policy says.", prometheus.CounterValue,
		func(k *duly.KindStats) float64 { return float64(k.Skipped) }),
	byKind("duly_occurrences_expired_total", "Occurrences that could not start in the time they had for it.", prometheus.CounterValue,
		func(k *duly.KindStats) float64 { return float64(k.Expired) }),
	{
		desc: prometheus.NewDesc("duly_lateness_seconds", "How long after it was due an attempt began.", []string{"kind"}, nil),
		collect: func(s *sample, d *prometheus.Desc) {
			for kind, k := range s.Kinds {
				s.histogram(d, &k.Total, fine, kind)
			}
		},
	},
	{
		desc: prometheus.NewDesc("duly_lateness_part_seconds",
			"Lateness in its parts: until the scheduler saw that it was due (wake), a place was free (slot), the store had granted the lease (claim).",
			[]string{"kind", "part"}, nil),
		collect: func(s *sample, d *prometheus.Desc) {
			for kind, k := range s.Kinds {
				s.histogram(d, &k.Wake, coarse, kind, "wake")
				s.histogram(d, &k.Slot, coarse, kind, "slot")
				s.histogram(d, &k.Claim, coarse, kind, "claim")
			}
		},
	},

	local("duly_tasks_near", "Tasks in memory: due soon, or running.", prometheus.GaugeValue,
		func(s *duly.Stats) float64 { return float64(s.Near) }),
	local("duly_tasks_overdue", "Tasks that are due and have not begun: they wait for a worker, their key, their kind or the store.", prometheus.GaugeValue,
		func(s *duly.Stats) float64 { return float64(s.Overdue.Tasks) }),
	local("duly_tasks_overdue_seconds", "For how long the oldest of them has been due.", prometheus.GaugeValue,
		func(s *duly.Stats) float64 { return s.Overdue.Oldest.Seconds() }),
	local("duly_tasks_unhandled", "Tasks that are due and whose kind nobody here handles.", prometheus.GaugeValue,
		func(s *duly.Stats) float64 { return float64(s.Unhandled.Tasks) }),
	local("duly_tasks_unhandled_seconds", "For how long the oldest of them has been due.", prometheus.GaugeValue,
		func(s *duly.Stats) float64 { return s.Unhandled.Oldest.Seconds() }),
	local("duly_store_errors_total", "Calls of the running scheduler that the store has failed.", prometheus.CounterValue,
		func(s *duly.Stats) float64 { return float64(s.StoreErrors) }),
	local("duly_clock_offset_seconds", "How far the store's clock is ahead of this machine's.", prometheus.GaugeValue,
		func(s *duly.Stats) float64 { return s.ClockOffset.Seconds() }),
	local("duly_clock_uncertainty_seconds", "How far that may be off.", prometheus.GaugeValue,
		func(s *duly.Stats) float64 { return s.Uncertainty.Seconds() }),
	local("duly_shards", "Shards of the store that are this process's, of 256.", prometheus.GaugeValue,
		func(s *duly.Stats) float64 { return float64(s.Shards) }),

	stored("duly_tasks", "Tasks in the store.",
		func(s *duly.Stats) float64 { return float64(s.Store.Tasks) }),
	stored("duly_tasks_paused", "Tasks in the store that are paused.",
		func(s *duly.Stats) float64 { return float64(s.Store.Paused) }),
	stored("duly_tasks_running", "Tasks in the store that run, whoever runs them.",
		func(s *duly.Stats) float64 { return float64(s.Store.Running) }),
	stored("duly_dead_runs", "Dead runs that the store keeps.",
		func(s *duly.Stats) float64 { return float64(s.Store.Dead) }),
	stored("duly_history_entries", "Entries of the history that the store keeps.",
		func(s *duly.Stats) float64 { return float64(s.Store.History) }),
	stored("duly_store_counting", "Whether the store still counts after a crash, and the numbers before this one are incomplete: 1 or 0.",
		func(s *duly.Stats) float64 { return number(s.Store.Counting) }),
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// always is a family that every scrape has.
func always(name, help string, t prometheus.ValueType, value func(*sample) float64) family {
	return family{
		desc:    prometheus.NewDesc(name, help, nil, nil),
		collect: func(s *sample, d *prometheus.Desc) { s.value(d, t, value(s)) },
	}
}

// byKind is a family with a metric for each kind.
func byKind(name, help string, t prometheus.ValueType, value func(*duly.KindStats) float64) family {
	return family{
		desc: prometheus.NewDesc(name, help, []string{"kind"}, nil),
		collect: func(s *sample, d *prometheus.Desc) {
			for kind, k := range s.Kinds {
				s.value(d, t, value(&k), kind)
			}
		},
	}
}

// local is a family that the scheduler knows without its store. A scheduler that has told nothing at all has no Kinds.
func local(name, help string, t prometheus.ValueType, value func(*duly.Stats) float64) family {
	return family{
		desc: prometheus.NewDesc(name, help, nil, nil),
		collect: func(s *sample, d *prometheus.Desc) {
			if s.Up || s.Kinds != nil {
				s.value(d, t, value(&s.Stats))
			}
		},
	}
}

// stored is a gauge that the store knows.
func stored(name, help string, value func(*duly.Stats) float64) family {
	return family{
		desc: prometheus.NewDesc(name, help, nil, nil),
		collect: func(s *sample, d *prometheus.Desc) {
			if s.Up {
				s.value(d, prometheus.GaugeValue, value(&s.Stats))
			}
		},
	}
}

// value sends a metric on. One that cannot be made is sent as the error that it is: Prometheus reports it.
func (s *sample) value(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
	m, err := prometheus.NewConstMetric(d, t, v, labels...)
	if err != nil {
		m = prometheus.NewInvalidMetric(d, err)
	}
	s.ch <- m
}

// Which of the scheduler's buckets become buckets of Prometheus: from 128 us to 71 minutes, where each is twice as long as the one
// before (26 of them), or four times (13), so that the parts cost less than they explain.
const (
	firstBound = 7
	lastBound  = 32
	fine       = 1
	coarse     = 2
)

// histogram sends a histogram on, with each step-th of its buckets. Prometheus counts what is no longer than a bound, the scheduler what
// is shorter: what is as long as a bound to the microsecond counts for the next one.
func (s *sample) histogram(d *prometheus.Desc, h *duly.Histogram, step int, labels ...string) {
	buckets := make(map[float64]uint64, lastBound-firstBound+1)
	var sum uint64
	for i, n := range h.Buckets {
		if sum += n; i >= firstBound && i <= lastBound && (i-firstBound)%step == 0 {
			buckets[seconds(h.Bound(i))] = sum
		}
	}
	m, err := prometheus.NewConstHistogram(d, h.Count, h.Sum.Seconds(), buckets, labels...)
	if err != nil {
		m = prometheus.NewInvalidMetric(d, err)
	}
	s.ch <- m
}

// seconds is d in seconds, rounded to the microsecond where it is one: 0.000128, not 0.00012800000000000002.
func seconds(d time.Duration) float64 { return float64(d/time.Microsecond) / 1e6 }
