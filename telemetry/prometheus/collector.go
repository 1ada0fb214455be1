package dulyprom

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/scrape"
)

// A Collector is a [prometheus.Collector] over the Stats of one scheduler. All methods are safe for concurrent use.
type Collector struct{ asker scrape.Asker }

// An Option changes a Collector.
type Option func(*Collector)

// Timeout is how long a scrape waits for the store; without it, and with a d of 0 or less, 5 s. It is to be less than the scrape's own
// timeout. When it has passed the call to the store is cancelled, and the scrape waits a tenth more for what the scheduler can tell then.
func Timeout(d time.Duration) Option { return func(c *Collector) { c.asker.Timeout = d } }

// Logger is told when the store begins to fail, and when it answers again; without it, slog.Default().
func Logger(l *slog.Logger) Option { return func(c *Collector) { c.asker.Logger = l } }

// New returns a collector for a scheduler, which need not run. It starts nothing and is not to be closed.
func New(s *duly.Scheduler, opts ...Option) *Collector {
	c := &Collector{asker: scrape.Asker{Stats: s.Stats}}
	for _, o := range opts {
		o(c)
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for i := range families {
		ch <- families[i].desc
	}
}

// Collect implements prometheus.Collector. It returns within the timeout and a tenth of it, whatever the store does.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	s := sample{ch: ch, Answer: c.asker.Ask()}
	for i := range families {
		families[i].collect(&s, families[i].desc)
	}
}
