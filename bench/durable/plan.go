package main

import (
	"cmp"
	"fmt"
	"time"

	"github.com/dulyhq/duly/bench/runs"
)

// A line is one thing measured: what a child does, and the figures that it gives.
type line struct {
	name    string // unique; what -lines takes
	title   string
	note    string // what a reader of the table must know
	engines []string
	rate    int           // tasks that come due each second; 0 of a line without due times
	length  time.Duration // for how long
	lead    time.Duration // from the first put to the first of them
	tasks   int           // of a line without due times
	quick   int           // tasks of a -quick run
	figures []figure
	work    func(*cell) values // in the child
}

// A figure is one number of a sample that the table shows.
type figure struct {
	key    string
	title  string
	unit   string
	digits int
	goal   goal
}

// A goal is a target for our figure: at most the limit.
type goal struct {
	text  string // the target as the table shows it; empty: there is none
	limit float64
}

// values are the numbers of one sample. Keys that no figure names are for the checks.
type values = runs.Values

// Keys that a sample may have.
const (
	keyP50    = "late_p50_ms"
	keyP99    = "late_p99_ms"
	keyP999   = "late_p999_ms"
	keyMax    = "late_max_ms"
	keyEarly  = "early"
	keyCPU    = "cpu_us"
	keyRate   = "per_s"
	keyCall50 = "call_p50_ms"
	keyCall99 = "call_p99_ms"
	keyRan    = "ran"   // attempts
	keyTwice  = "twice" // of these, those of a task that had begun already
	keyWant   = "want"  // tasks that must have begun
	keyLeft   = "left"  // of these, those that had not when the sample was cut
)

// rowLateness is the row of the targets that all lines belong to.
const rowLateness = "19"

// plan lists all lines in the order in which they run.
func plan() []line {
	everyone := []string{engineDuly, engineRiver, engineAsynq, engineAsynqAlways}
	return []line{
		{
			name: "late-500", title: "lateness with 500 tasks due a second", engines: everyone,
			note: "One-offs are put in batches from 4 callers, with the engine at work, in an order that is not that of their instants; these are spread evenly, " +
				"and the first comes 5 s after the first put. The handler reads the clock and returns: lateness is what it reads less the instant, early what is before it.",
			rate: 500, length: 20 * time.Second, lead: 5 * time.Second, quick: 100, work: workLate, figures: lateness(2),
		},
		{
			name: "late-10k", title: "lateness with 10,000 tasks due a second", engines: []string{engineDuly, engineAsynq},
			note: "The same with twenty times as many, the first 12 s after the first put. River works 1,000 a second with its defaults, and asynq less than 10,000 when Redis " +
				"syncs each write, so they are not asked.",
			rate: 10_000, length: 10 * time.Second, lead: 12 * time.Second, quick: 2000, work: workLate, figures: lateness(5),
		},
		{
			name: "backlog", title: "fires per second of a backlog", engines: []string{engineDuly},
			note:  "All tasks are due when the scheduler begins to run; the handler does nothing. Until the last outcome is written.",
			tasks: 300_000, quick: 2000, work: workBacklog,
			figures: []figure{{key: keyRate, title: "fires per second"}, {key: keyCPU, title: "CPU per fire", unit: "us", digits: 1}},
		},
		{
			name: "put", title: "64 callers put, one task a call", engines: []string{engineDuly},
			note:  "Through Kind.Put, with the scheduler running; instants are a day ahead.",
			tasks: 300_000, quick: 2000, work: workPut,
			figures: []figure{
				{key: keyRate, title: "puts per second"},
				{key: keyCPU, title: "CPU per put, the callers' included", unit: "us", digits: 1},
				{key: keyCall50, title: "call p50", unit: "ms", digits: 2},
				{key: keyCall99, title: "call p99", unit: "ms", digits: 2},
			},
		},
	}
}

// lateness gives the figures of a line of lateness; p99 is the target in milliseconds.
func lateness(p99 float64) []figure {
	return []figure{
		{key: keyP50, title: "lateness p50", unit: "ms", digits: 2},
		{key: keyP99, title: "lateness p99", unit: "ms", digits: 2, goal: goal{text: fmt.Sprintf("p99 <= %.0f ms", p99), limit: p99}},
		{key: keyP999, title: "lateness p99.9", unit: "ms", digits: 2},
		{key: keyMax, title: "lateness max", unit: "ms", digits: 1},
		{key: keyEarly, title: "early", goal: goal{text: "0"}},
		{key: keyCPU, title: "CPU per task, a server's not included", unit: "us", digits: 1},
	}
}

// sizeFor gives the tasks of the line.
func (l line) sizeFor(o options) int {
	switch {
	case o.quick:
		return l.quick
	case o.n > 0:
		return o.n
	}
	return cmp.Or(l.tasks, l.rate*int(l.length/time.Second))
}

func findLine(name string) (line, bool) {
	for _, l := range plan() {
		if l.name == name {
			return l, true
		}
	}
	return line{}, false
}
