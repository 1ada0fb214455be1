package sim_test

import (
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
)

// A dice is what a world is drawn with.
type dice struct{ *rand.Rand }

func newDice(seed uint64, of ...any) dice {
	h := fnv.New64a()
	for _, x := range of {
		switch x := x.(type) {
		case string:
			_, _ = h.Write([]byte(x))
		case int64:
			_, _ = h.Write([]byte(strconv.FormatInt(x, 10)))
		}
		_, _ = h.Write([]byte{0})
	}
	return dice{rand.New(rand.NewPCG(seed, h.Sum64()))}
}

// one says yes once in n times.
func (d dice) one(n int) bool { return d.IntN(n) == 0 }

// span is between least and most, more often near least.
func (d dice) span(least, most time.Duration) time.Duration {
	f := d.Float64()
	return least + time.Duration(f*f*float64(most-least)).Round(time.Millisecond)
}

// fine is span, to the nanosecond.
func (d dice) fine(least, most time.Duration) time.Duration {
	return d.span(least, most) + time.Duration(d.IntN(int(time.Millisecond)))
}

// upTo is anything below most.
func (d dice) upTo(most time.Duration) time.Duration {
	return time.Duration(d.Int64N(int64(most))).Round(time.Millisecond)
}

func pick[T any](d dice, of ...T) T { return of[d.IntN(len(of))] }

// rates are how many of a hundred calls of the store go wrong.
type rates struct{ slow, fail, tear, late, hang float64 }

// A plan is a world before it begins.
type plan struct {
	seed    uint64
	shared  bool // two processes on the store
	lease   time.Duration
	workers int
	drain   time.Duration
	busy    time.Duration // how long producers and faults are at work
	ops     int
	names   int
	rates   rates
	calm    bool // handlers only succeed
	faults  []fault
	lie     string // what the store does wrong and must be found, see lies; "" is nothing
}

// A fault is one that strikes at an instant.
type fault struct {
	kind string
	at   time.Duration
	by   time.Duration // how far, or for how long
}

// faultKinds are all that a run over many seeds must have seen.
var faultKinds = []string{
	"step forward", "step back", "suspend", "pause", "crash", "deploy", "outage", "storm",
	"slow", "fail", "tear", "late", "hang",
	"error", "permanent", "panic", "goexit", "hanging handler", "deaf handler", "snooze",
}

func draw(seed uint64) *plan {
	d := newDice(seed, "plan")
	p := &plan{
		seed: seed, shared: d.one(3), lease: pick(d, time.Second, 3*time.Second, 10*time.Second, 30*time.Second),
		workers: pick(d, 0, 0, 1, 2, 5), drain: d.span(time.Second, 20*time.Second), busy: d.span(30*time.Second, 4*time.Minute),
		ops: 10 + d.IntN(70), names: 2 + d.IntN(12), calm: d.one(5),
	}
	if d.one(3) {
		p.rates = rates{slow: d.Float64() * 10, fail: d.Float64() * 5, tear: d.Float64() * 5, late: d.Float64() * 3, hang: d.Float64() * 2}
	}
	for range d.IntN(7) {
		f := fault{kind: pick(d, "step forward", "step back", "suspend", "pause", "crash", "crash", "deploy", "outage", "storm"), at: d.upTo(p.busy)}
		switch f.kind {
		case "step forward", "step back":
			f.by = d.span(time.Millisecond, pick(d, 2*time.Second, 3*time.Minute))
		case "suspend":
			f.by = d.span(time.Second, pick(d, 2*p.lease, 3*time.Minute, 50*time.Hour))
		case "pause":
			f.by = d.span(time.Second, 3*p.lease)
		case "outage", "storm":
			f.by = d.span(100*time.Millisecond, 2*p.lease)
		}
		p.faults = append(p.faults, f)
	}
	if d.one(40) {
		p.faults = append(p.faults, fault{kind: "suspend", at: p.busy, by: 20 * 24 * time.Hour})
	}
	return p
}

// The kinds of tasks. The one that is rare is handled by some processes only.
var taskKinds = []string{"plain", "plain", "plain", "limited", "rated", "rare"}

const kindLimit = 2

// limits are those of the keys.
var limits = map[string]int{"one": 1, "two": 2}

// A wish is what somebody wants put.
type wish struct {
	kind     string
	s        schedule.Schedule
	opts     []duly.PutOption
	text     string // of the options
	once     bool   // AtMostOnce
	attempts int
	key      string
	times    int

	overlap       string // "skip", "buffer one", "buffer", "cancel other", "allow"
	buffer        int
	catchUp       string // "latest", "oldest", "all", "none"
	all           int
	window, grace time.Duration // 0 is the default
	resumeMissed  bool
	stopOnError   bool
	within        time.Duration // 0 is for ever
	timeout       time.Duration // 0 is none
}

func (w *wish) allow() bool { return w.overlap == "allow" }

// wish draws a task, where the wall clock shows now.
func (d dice) wish(now time.Time) *wish {
	w := &wish{kind: pick(d, taskKinds...), attempts: 10, overlap: "skip", catchUp: "latest"}
	opt := func(text string, o duly.PutOption) {
		w.opts = append(w.opts, o)
		w.text += " " + text
	}
	recurs := d.one(2)
	if recurs {
		w.s = d.recurring(now, w)
		d.recurringOptions(opt, w)
	} else {
		w.s = d.once(now)
		if d.one(6) {
			w.within = d.span(100*time.Millisecond, 20*time.Second)
			opt("within "+w.within.String(), duly.StartWithin(w.within))
		}
	}
	if d.one(3) {
		w.attempts = 1 + d.IntN(4)
		opt("attempts "+strconv.Itoa(w.attempts), duly.Retry(duly.RetryPolicy{Attempts: w.attempts, Backoff: time.Millisecond, MaxBackoff: time.Millisecond}))
	} else {
		opt("backoff 1ms", duly.Retry(duly.RetryPolicy{Backoff: time.Millisecond, MaxBackoff: time.Millisecond}))
	}
	if d.one(5) {
		w.timeout = d.span(200*time.Millisecond, 10*time.Second)
		opt("timeout "+w.timeout.String(), duly.Timeout(w.timeout))
	}
	if d.one(10) {
		w.once = true
		opt("at most once", duly.AtMostOnce())
	}
	if d.one(4) {
		w.key = pick(d, "one", "two")
		opt("key "+w.key, duly.Key(w.key, limits[w.key]))
	}
	if d.one(4) {
		n := d.IntN(5) - 2
		opt("priority "+strconv.Itoa(n), duly.Priority(n))
	}
	if d.one(4) {
		opt("tag t", duly.Tags("t"))
	}
	switch d.IntN(12) {
	case 0:
		opt("keep", duly.OnConflict(duly.Keep))
	case 1:
		opt("fail", duly.OnConflict(duly.Fail))
	case 2:
		opt("keep time", duly.OnConflict(duly.KeepTime))
	case 3:
		opt("earliest", duly.OnConflict(duly.Earliest))
	case 4:
		opt("debounce", duly.OnConflict(duly.Debounce(d.span(0, 30*time.Second))))
	case 5:
		opt("if absent", duly.IfAbsent())
	case 6:
		opt("if pending", duly.IfPending())
	}
	if !d.one(8) {
		opt("any kind", duly.AnyKind())
	}
	w.text = strings.TrimSpace(w.text)
	return w
}

func (d dice) once(now time.Time) schedule.Schedule {
	switch d.IntN(6) {
	case 0:
		return schedule.After(0)
	case 1:
		return schedule.At(now.Add(d.fine(0, 2*time.Minute) - 20*time.Second).Truncate(pick(d, time.Second, time.Nanosecond)))
	case 2:
		s := schedule.After(d.fine(0, time.Minute))
		return s.Jitter(d.span(time.Millisecond, 5*time.Second))
	default:
		return schedule.After(d.fine(0, 2*time.Minute))
	}
}

func (d dice) recurring(now time.Time, w *wish) schedule.Schedule {
	period := pick(d, time.Second, 2*time.Second, 5*time.Second, 7*time.Second, 10*time.Second, 30*time.Second, 90*time.Second)
	var s schedule.Schedule
	switch d.IntN(8) {
	case 0:
		s = schedule.Pace(period)
	case 1:
		s = schedule.PaceFromStart(period)
	case 2:
		s = schedule.Cron(pick(d, "* * * * *", "*/10 * * * * *", "*/7 * * * * *", "5,25,50 * * * * *"))
	default:
		if s = schedule.Every(period); d.one(4) {
			s = s.AlignTo(time.Unix(3, 0))
		}
	}
	if d.one(6) {
		w.times = 1 + d.IntN(6)
		s = s.Times(w.times)
	}
	switch d.IntN(6) {
	case 0:
		s = s.Until(now.Add(max(period, time.Minute) + d.span(2*time.Second, 3*time.Minute)).Truncate(time.Second))
	case 1:
		s = s.From(now.Add(d.span(0, time.Minute) - 10*time.Second).Truncate(time.Second))
	}
	if d.one(5) {
		s = s.Jitter(d.span(time.Millisecond, min(3*time.Second, period-time.Millisecond)))
	}
	return s
}

func (d dice) recurringOptions(opt func(string, duly.PutOption), w *wish) {
	switch d.IntN(6) {
	case 0:
		w.overlap = "buffer one"
		opt(w.overlap, duly.Overlap(duly.BufferOne))
	case 1:
		w.overlap, w.buffer = "buffer", 1+d.IntN(3)
		opt("buffer "+strconv.Itoa(w.buffer), duly.Overlap(duly.BufferAll(w.buffer)))
	case 2:
		w.overlap = "cancel other"
		opt(w.overlap, duly.Overlap(duly.CancelOther))
	case 3:
		w.overlap = "allow"
		opt(w.overlap, duly.Overlap(duly.Allow))
	}
	switch d.IntN(5) {
	case 0:
		w.catchUp = "oldest"
		opt(w.catchUp, duly.CatchUp(duly.Oldest))
	case 1:
		w.catchUp, w.all = "all", 1+d.IntN(4)
		opt("all "+strconv.Itoa(w.all), duly.CatchUp(duly.All(w.all)))
	case 2:
		w.catchUp = "none"
		opt(w.catchUp, duly.CatchUp(duly.None))
	}
	if d.one(4) {
		w.window = d.span(time.Second, 2*time.Minute)
		opt("window "+w.window.String(), duly.Window(w.window))
	}
	if d.one(4) {
		w.grace = d.span(10*time.Millisecond, 10*time.Second)
		opt("grace "+w.grace.String(), duly.Grace(w.grace))
	}
	if d.one(8) {
		w.stopOnError = true
		opt("stop on error", duly.OnError(duly.Stop))
	}
	if d.one(4) {
		w.resumeMissed = true
		opt("resume missed", duly.ResumeMissed())
	}
}
