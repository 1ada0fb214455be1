package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dulyhq/duly/bench/figures"
	"github.com/dulyhq/duly/bench/runs"
)

// The soak, from outside of its load: what is looked at, and the rule by which it is judged.

const (
	mostSoakRate = 1000
	soakHistory  = "1h"    // the daemon's history, which a soak of hours sees the end of
	soakOutput   = "16MiB" // and of what attempts print, which a soak of minutes does
)

// A sample is what the daemon takes at an instant.
type sample struct {
	at         time.Duration // since the load began
	goroutines float64
	open       float64 // descriptors
	heap       float64 // MiB in use when garbage was collected
	resident   float64 // MiB
	disk       float64 // MiB
	came       int64   // callbacks until then
}

// A rule says what is flat: the median of the last third of the samples is at most that of the second, and so much more. The first third
// is for caches and pools to fill.
type rule struct {
	what  string
	of    func(sample) float64
	share float64
	more  float64
	unit  string
}

var rules = []rule{
	{"goroutines", func(s sample) float64 { return s.goroutines }, 0.1, 20, ""},
	{"open descriptors", func(s sample) float64 { return s.open }, 0.1, 20, ""},
	{"heap in use after a collection", func(s sample) float64 { return s.heap }, 0.1, 4, " MiB"},
}

// atRest says how much more may be there when the load has ended than before it began: goroutines, and descriptors, of which the store has
// some for its files.
const atRest = 32

// medians of the second and the last third.
func (r rule) medians(all []sample) (second, last float64) {
	median := func(some []sample) float64 {
		values := make([]float64, len(some))
		for i, s := range some {
			values[i] = r.of(s)
		}
		slices.Sort(values)
		return figures.Quantile(values, 0.5)
	}
	third := len(all) / 3
	return median(all[third : 2*third]), median(all[2*third:])
}

// most is what the last third's median may be.
func (r rule) most(second float64) float64 { return second*(1+r.share) + r.more }

func (r rule) flat(all []sample) bool {
	second, last := r.medians(all)
	return last <= r.most(second)
}

func (r rule) text() string {
	return fmt.Sprintf("<= %.0f%% of the second's + %.0f%s", 100*(1+r.share), r.more, r.unit)
}

// A soak is a daemon under a mixed load, and what became of it.
type soak struct {
	length   time.Duration
	rate     int
	quick    bool
	samples  []sample
	before   sample // at rest
	after    sample
	took     time.Duration // of all, until the last outcome
	load     load
	warnings int
	came     int64
	attempts int64 // that the daemon has begun
	faults   []fault
}

// A fault is what must not happen, and how often it did.
type fault struct {
	what string
	n    int
	say  string // the first of them
}

// soakAll keeps a daemon under load and looks at what became of it.
func (b *bench) soakAll(ctx context.Context, out runs.Progress) (s *soak, err error) {
	s = &soak{length: b.o.soak, rate: b.o.rate, quick: b.o.quick}
	dir := filepath.Join(b.root, "soak")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	to, err := startSink(ctx, (b.o.rate+1)*(int(b.o.soak.Seconds())+10))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, to.stop()) }()
	d, err := startDaemon(b.daemon, dir, "--allow-private", "--history-age", soakHistory, "--output-bytes", soakOutput)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.kill()) }()
	pause(ctx, s.soon())
	if s.before, err = s.sample(ctx, d, to, 0); err != nil {
		return nil, err
	}
	out.Printf("soak: %v, %d callbacks a second\n", b.o.soak, b.o.rate)
	if err := s.run(ctx, d, to, dir, out); err != nil {
		return nil, errors.Join(err, errors.New(d.said()))
	}
	if err := d.stop(); err != nil {
		return nil, err
	}
	s.warnings = s.load.strange(d.log)
	if s.warnings > 0 {
		out.Printf("the daemon's log:\n%s\n", d.said())
	}
	return s, ctx.Err()
}

// soon is within what time callbacks come due.
func (s *soak) soon() time.Duration {
	if s.quick {
		return 200 * time.Millisecond
	}
	return time.Second
}

// run loads the daemon and samples it.
func (s *soak) run(ctx context.Context, d *daemon, to *sink, dir string, out runs.Progress) error {
	began := time.Now()
	loading, end := context.WithTimeout(ctx, s.length)
	defer end()
	s.load = load{d: d, to: to, rate: s.rate, soon: s.soon(), marks: filepath.Join(dir, "marks"), began: began}
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		s.load.run(loading)
	}()
	defer func() { end(); <-loaded }()
	every := min(max(s.length/120, 200*time.Millisecond), time.Minute)
	for i := 1; time.Duration(i)*every <= s.length; i++ {
		pause(ctx, time.Until(began.Add(time.Duration(i)*every)))
		if err := ctx.Err(); err != nil {
			return err
		}
		x, err := s.sample(ctx, d, to, time.Since(began))
		if err != nil {
			return err
		}
		s.samples = append(s.samples, x)
		if i%12 == 0 {
			out.Printf("soak: %v, %d callbacks, %.0f goroutines, %.0f descriptors, heap %.0f MiB, resident %.0f MiB, disk %.0f MiB\n",
				x.at.Round(time.Second), x.came, x.goroutines, x.open, x.heap, x.resident, x.disk)
		}
	}
	<-loaded
	return s.finish(ctx, d, to, began)
}

// finish waits for the last outcomes, and for the daemon to come to rest.
func (s *soak) finish(ctx context.Context, d *daemon, to *sink, began time.Time) error {
	if err := s.load.settled(ctx); err != nil {
		return err
	}
	s.took = time.Since(began)
	r, err := to.ask("all")
	if err != nil {
		return err
	}
	s.came = r.Seen
	if s.faults, s.attempts, err = s.load.look(ctx, r); err != nil {
		return err
	}
	s.load.close()
	const patience, every = 3 * time.Minute, time.Second // the daemon keeps connections that nobody uses for up to two
	for end := time.Now().Add(patience); ; pause(ctx, every) {
		if s.after, err = s.sample(ctx, d, to, time.Since(began)); err != nil {
			return err
		}
		if s.quick || s.rested() || time.Now().After(end) {
			return nil
		}
	}
}

func (s *soak) rested() bool {
	return s.after.goroutines <= s.before.goroutines+atRest && s.after.open <= s.before.open+atRest
}

// sample looks at the daemon.
func (s *soak) sample(ctx context.Context, d *daemon, to *sink, at time.Duration) (x sample, err error) {
	heap, err := d.heap(ctx)
	if err != nil {
		return x, err
	}
	routines, err := d.goroutines(ctx)
	if err != nil {
		return x, err
	}
	r, err := to.ask("counts")
	if err != nil {
		return x, err
	}
	now, _, _ := figures.Resident(d.pid())
	return sample{
		at: at, goroutines: float64(routines), open: float64(d.openFiles()), heap: mib(heap), resident: mib(now), disk: treeMiB(d.data), came: r.Seen,
	}, nil
}

// problems lists what must not be.
func (s *soak) problems() (out []string) {
	for _, f := range s.faults {
		if f.n > 0 {
			out = append(out, fmt.Sprintf("soak: %s: %d, the first: %s", f.what, f.n, f.say))
		}
	}
	if s.warnings > 0 {
		out = append(out, fmt.Sprintf("soak: %d warnings in the daemon's log that nothing of the load explains", s.warnings))
	}
	if s.quick {
		return out // too short for anything to be flat
	}
	for _, r := range rules {
		if second, last := r.medians(s.samples); !r.flat(s.samples) {
			out = append(out, fmt.Sprintf("soak: %s are not flat: %.1f in the last third, %.1f in the second", r.what, last, second))
		}
	}
	if !s.rested() {
		out = append(out, fmt.Sprintf("soak: at rest there are %.0f goroutines and %.0f descriptors, and there were %.0f and %.0f before",
			s.after.goroutines, s.after.open, s.before.goroutines, s.before.open))
	}
	return out
}

// tables are what the soak came to: the verdicts, the faults, and the samples.
func (s *soak) tables() []figures.Table {
	word := func(ok bool) string {
		if ok {
			return "met"
		}
		return "missed"
	}
	t := figures.Table{{"what", "second third", "last third", "rule", "verdict"}}
	for _, r := range rules {
		second, last := r.medians(s.samples)
		number := func(x float64) string { return figures.Number(x, 1) + r.unit }
		t = append(t, []string{r.what, number(second), number(last), r.text(), word(r.flat(s.samples))})
	}
	rest := figures.Table{{"at rest", "before", "after", "rule", "verdict"}}
	for _, r := range rules[:2] {
		before, after := r.of(s.before), r.of(s.after)
		rest = append(rest, []string{r.what, figures.Number(before, 0), figures.Number(after, 0), fmt.Sprintf("<= before + %d", atRest), word(after <= before+atRest)})
	}
	f := figures.Table{{"what must not happen", "times", "verdict"}}
	for _, x := range s.faults {
		f = append(f, []string{x.what, figures.Number(float64(x.n), 0), word(x.n == 0)})
	}
	f = append(f, []string{"warnings in the daemon's log that nothing of the load explains", strconv.Itoa(s.warnings), word(s.warnings == 0)})
	return []figures.Table{t, rest, f, s.load.table(), s.sampleTable()}
}

// sampleTable is the soak from its beginning to its end, in some twenty lines.
func (s *soak) sampleTable() figures.Table {
	t := figures.Table{{"at", "callbacks", "goroutines", "descriptors", "heap after a collection", "resident", "disk"}}
	const most = 24
	step := max(len(s.samples)/most, 1)
	for i := step - 1; i < len(s.samples); i += step {
		x := s.samples[i]
		number := func(v float64) string { return figures.Number(v, 0) }
		t = append(t, []string{
			x.at.Round(time.Second).String(), number(float64(x.came)), number(x.goroutines), number(x.open), figures.Number(x.heap, 1) + " MiB", number(x.resident) + " MiB",
			number(x.disk) + " MiB",
		})
	}
	return t
}

// soakText is the report of the soak, for a file.
func (r report) soakText() string {
	s := r.soak
	w := new(strings.Builder)
	w.WriteString("# The daemon under a mixed load\n\n")
	w.WriteString(r.Began("soak"))
	w.WriteString(r.settings().Markdown())
	fmt.Fprintf(w, "A daemon with its defaults but for `--allow-private --history-age %s --output-bytes %s` was under load for %v, from one process and at one sink. Each second %d one-off callbacks come "+
		"due, of which one in twenty is answered with 500 at first, one hangs until its timeout of 1 s and again, one is answered after %v, one is moved before it is due and one cancelled. Beside them %d tasks "+
		"recur every 2 s, and %d commands a second write a line to a file. Clients read, list and follow events for some seconds; others send half a request, or half a body, or never read the events "+
		"that they asked for; the daemon is told to reload every %v.\n\n", soakHistory, soakOutput, s.length, s.rate, slowAnswer, recurring, commandsEach, reloadEvery)
	perDay := float64(s.attempts) / (24 * time.Hour).Seconds()
	fmt.Fprintf(w, "It began %s attempts, as many as a day with %s a second, %s streams of events came and went, and it was told to reload %s times. What attempts print was kept up to its size and then "+
		"deleted, the history up to its age only if this took longer than %s. It does not stand for what a day has beside that: its changes of clocks, what is kept for days, what grows by less than the "+
		"rule notices.\n\n", figures.Number(float64(s.attempts), 0), figures.Number(perDay, 2), s.load.streams.text(), s.load.reloads.text(), soakHistory)
	fmt.Fprint(w, "The rule was there before the run: samples are taken at equal intervals, each after a garbage collection; the first third is for caches and pools to fill, and the median of the "+
		"last third may not be above that of the second by more than the rule says.\n\n")
	for _, t := range s.tables() {
		w.WriteString(t.Markdown())
	}
	return w.String()
}

// count is a number that goroutines add to.
type count struct{ atomic.Int64 }

func (c *count) text() string { return figures.Number(float64(c.Load()), 0) }
