package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/clock"
)

// The problems with which a daemon goes on. docs/daemon.md says what each means and what to do about it.
const (
	noSpace       = "no-space"
	noOutput      = "output"
	noDescriptors = "descriptors"
	noProcesses   = "processes"
	clockWasSet   = "clock"
	notTold       = "notices"
	storeFails    = "store"
)

// problemSlugs are all of them, in the order in which they are told.
var problemSlugs = [...]string{storeFails, noSpace, noOutput, noDescriptors, noProcesses, clockWasSet, notTold}

const (
	spareDescriptors = 8                // with fewer left something will fail
	forgetProcesses  = 10 * time.Minute // without a command or callback that is started, or could not be
	leastStep        = time.Second / 2  // of a clock, to be worth a word
	forgetStep       = time.Hour
	lookAgain        = time.Second // for descriptors
	looking          = time.Second // how long the disk has to say how much of it is free
)

// A health is what keeps the daemon from a part of its work, as far as it was noticed. What can be looked at is looked at when somebody
// asks, so that a daemon that nobody asks does not poll.
type health struct {
	log *slog.Logger
	clk clock.Clock

	mu    sync.Mutex
	found map[string]finding
	alarm clock.Alarm // wakes when the wall clock is set
	drift int64       // of the wall clock against time that is measured, when last looked at
	off   int64       // by how much it was set, in all, since the finding began
	deafs []string    // the settings of receivers that take no notices

	opens   func(name string) (*os.File, error)
	opening sync.Mutex // held by the one who looks for descriptors
	opened  int64      // when that was done last, by Reading.Boot; 0 is never

	wants map[string]string // what could not be done for want of processes or memory, and what the system said
}

type finding struct {
	detail string
	since  time.Time
	last   int64 // when it was noticed last, by Reading.Boot
}

func newHealth(log *slog.Logger) *health {
	h := &health{log: log, clk: clock.System(), found: map[string]finding{}, opens: os.Open, wants: map[string]string{}}
	r := h.clk.Read()
	h.drift = r.Wall - r.Boot
	if runtime.GOOS != "linux" {
		return h // there the time that is measured may stand still in suspend, which looks the same
	}
	h.alarm = h.clk.NewAlarm(h.look)
	h.alarm.Set(clock.Never, clock.Never-1) // it does not come, but whoever waits for an instant is told of steps
	return h
}

func (h *health) close() {
	if h.alarm != nil {
		h.alarm.Close()
	}
}

// note notes that there is a problem.
func (h *health) note(slug, detail string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.noteLocked(slug, detail)
}

func (h *health) noteLocked(slug, detail string) {
	r := h.clk.Read()
	f, known := h.found[slug]
	if !known {
		f.since = time.Unix(0, r.Wall).UTC()
		h.log.Warn("there is a problem", "problem", slug, "detail", detail)
	}
	f.detail, f.last = detail, r.Boot
	h.found[slug] = f
}

// clear notes that there is none.
func (h *health) clear(slug string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clearLocked(slug)
}

func (h *health) clearLocked(slug string) {
	if _, known := h.found[slug]; known {
		delete(h.found, slug)
		h.log.Info("the problem is over", "problem", slug)
	}
}

// What a machine may have nothing left for.
const (
	unstarted = "a command could not be started"
	unsent    = "a callback could not be sent"
)

// scarce returns what is told of each command, or of each callback, what the machine had left for it. That there was enough for one sort
// says nothing of the other: a callback needs no process.
func (h *health) scarce(what string) func(err error) {
	return func(err error) {
		if outOfDescriptors(err) {
			h.note(noDescriptors, "what was due could not be started: "+syscall.EMFILE.Error())
			return
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		if _, wanted := h.wants[what]; err == nil && !wanted {
			return
		}
		if err == nil {
			delete(h.wants, what)
		} else {
			h.wants[what] = cause(err)
		}
		if len(h.wants) == 0 {
			h.clearLocked(noProcesses)
			return
		}
		var details []string
		for _, w := range slices.Sorted(maps.Keys(h.wants)) {
			details = append(details, w+", it is tried again later: "+h.wants[w])
		}
		h.noteLocked(noProcesses, strings.Join(details, "; "))
	}
}

// deaf notes of a receiver of notices, by its setting, whether it does not take them.
func (h *health) deaf(setting string, fails bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deafs = slices.DeleteFunc(h.deafs, func(s string) bool { return s == setting })
	if fails {
		h.deafs = append(h.deafs, setting)
	}
	if len(h.deafs) == 0 {
		h.clearLocked(notTold)
		return
	}
	slices.Sort(h.deafs)
	h.noteLocked(notTold, "what went wrong is not told by "+strings.Join(h.deafs, " and by ")+", it is tried again")
}

func outOfDescriptors(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// cause is what the system said, without whose command it was.
func cause(err error) string {
	if no, ok := errors.AsType[syscall.Errno](err); ok {
		return no.Error()
	}
	return "the daemon's log says why"
}

// look looks at the clock. Nothing else moves wall time and measured time against each other than somebody who sets the clock.
func (h *health) look() {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.clk.Read()
	by := time.Duration(r.Wall - r.Boot - h.drift)
	if by.Abs() < leastStep {
		return
	}
	h.drift = r.Wall - r.Boot
	h.log.Warn("the clock was set", "by", by)
	h.off += int64(by)
	if off := time.Duration(h.off); off.Abs() < leastStep {
		h.off = 0
		h.clearLocked(clockWasSet)
	} else if off > 0 {
		h.noteLocked(clockWasSet, fmt.Sprintf("it was set forward by %v: what was passed is late", off.Round(time.Second)))
	} else {
		h.noteLocked(clockWasSet, fmt.Sprintf("it was set back by %v: what is due waits for it", (-off).Round(time.Second)))
	}
}

// problems tells what stands. Whoever asks may be anybody, so that no names and no paths are in it.
func (d *Daemon) problems(ctx context.Context) (all []api.HealthProblem) {
	h := d.health
	h.descriptors()
	d.lookAtDisk(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.clk.Read().Boot
	if f, ok := h.found[noProcesses]; ok && now-f.last > int64(forgetProcesses) {
		clear(h.wants)
		h.clearLocked(noProcesses)
	}
	if f, ok := h.found[clockWasSet]; ok && now-f.last > int64(forgetStep) {
		h.off = 0
		h.clearLocked(clockWasSet)
	}
	for _, slug := range problemSlugs {
		if f, ok := h.found[slug]; ok {
			all = append(all, api.HealthProblem{Slug: slug, Detail: f.detail, Since: f.since})
		}
	}
	return all
}

// descriptors looks whether enough are left. It takes some itself, and whoever asks may be anybody, at any number of connections: one looks
// at a time, and what was found holds for a while.
func (h *health) descriptors() {
	h.opening.Lock()
	defer h.opening.Unlock()
	now := h.clk.Read().Boot
	if h.opened != 0 && now-h.opened < int64(lookAgain) {
		return
	}
	h.opened = now
	var err error
	var files [spareDescriptors]*os.File
	for i := range files {
		if files[i], err = h.opens(os.DevNull); err != nil {
			break
		}
	}
	for _, f := range files {
		if f != nil {
			_ = f.Close() // nothing was written to it
		}
	}
	switch {
	case err == nil:
		h.clear(noDescriptors)
	case outOfDescriptors(err):
		detail := fmt.Sprintf("fewer than %d descriptors are left", spareDescriptors)
		if limit := descriptorLimit(); limit > 0 {
			detail = fmt.Sprintf("fewer than %d of %d descriptors are left", spareDescriptors, limit)
		}
		h.note(noDescriptors, detail)
	}
}

// lookAtDisk looks at what only the disk can say. Of one that hangs nothing is asked, and for one that does not come back nobody waits for
// long: whoever asks is told what was known before. Only one looks at a time, so that no more than that hangs with it.
func (d *Daemon) lookAtDisk(ctx context.Context) {
	if err := d.disk.check(); err != nil {
		d.health.note(storeFails, err.Error())
		return
	}
	d.health.clear(storeFails)
	asked, stop := within(ctx, looking)
	defer stop()
	select {
	case d.looks <- struct{}{}:
	case <-asked.Done():
		return
	}
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		defer func() { <-d.looks }()
		d.space()
		d.output()
	}()
	select {
	case <-looked:
	case <-asked.Done():
	}
}

// space looks whether new tasks are taken, where they need room in the directory.
func (d *Daemon) space() {
	if d.shared != nil {
		return
	}
	u, err := d.usage(d.config.Data)
	if err != nil {
		return // a file system that does not say limits nothing
	}
	least := d.config.MinFree
	if least == 0 {
		least = nothing
	}
	if free := int64(min(u.AvailBytes, 1<<62)); free < least {
		d.health.note(noSpace, fmt.Sprintf("%s are free, want %s: no new tasks are taken", roughly(free), roughly(least)))
	} else {
		d.health.clear(noSpace)
	}
}

// output looks whether what attempts print can be kept.
func (d *Daemon) output() {
	if err := d.outputs.Failing(); err != nil {
		d.health.note(noOutput, "what commands print and callbacks are answered is not kept: "+cause(err))
	} else {
		d.health.clear(noOutput)
	}
}

// A problemMetric is duly_problem: which problems stand, for Prometheus.
type problemMetric struct {
	d    *Daemon
	desc *prometheus.Desc
}

func newProblemMetric(d *Daemon) *problemMetric {
	return &problemMetric{d, prometheus.NewDesc("duly_problem", "1 while a problem stands, else 0.", []string{"slug"}, nil)}
}

// Describe implements prometheus.Collector.
func (m *problemMetric) Describe(to chan<- *prometheus.Desc) { to <- m.desc }

// Collect implements prometheus.Collector.
func (m *problemMetric) Collect(to chan<- prometheus.Metric) {
	stands := map[string]float64{}
	for _, p := range m.d.problems(m.d.streams) {
		stands[p.Slug] = 1
	}
	if m.d.answers(m.d.streams) != nil { // which has its own limit
		stands[storeFails] = 1
	}
	for _, slug := range problemSlugs {
		to <- prometheus.MustNewConstMetric(m.desc, prometheus.GaugeValue, stands[slug], slug)
	}
}
