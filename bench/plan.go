package main

import "github.com/dulyhq/duly/bench/runs"

// A line is one thing measured: a set-up, a sample that can be taken again and again, and the figures that a sample gives.
type line struct {
	row     int    // of the targets
	name    string // unique; what -lines takes
	title   string
	note    string // what a reader of the table must know
	engines []string
	sizes   []int // pending timers
	heavy   []int // sizes for the heavy engines
	quick   []int // sizes of a -quick run, for all engines
	maxRuns int   // most samples of a cell; 0 is what -count says
	fresh   bool  // every sample needs a new process
	fires   bool  // timers fire in it
	workers int   // cap on workers asked of the engine
	figures []figure
	setup   func(*cell) // before the first sample; fills the engine
	sample  func(*cell) values
}

// A figure is one number of a sample that the table shows.
type figure struct {
	key    string
	title  string
	unit   string
	digits int
	goals  []goal
}

// A goal is a target for our figure: at most limit, or at most limit times the peer's figure.
type goal struct {
	size  int    // the size it holds for; 0 is every size
	peer  string // empty for an absolute limit
	limit float64
	text  string // the target as the table shows it
}

// values are the numbers of one sample. Keys that no figure names are for the checks.
type values = runs.Values

// Keys that more than one line uses.
const (
	keyCPU     = "cpu_ns_per_op"
	keyWall    = "wall_ns_per_op"
	keyOps     = "ops"
	keyLost    = "lost"    // cancellations that came too late
	keyFired   = "fired"   // callbacks that ran
	keyAdded   = "added"   // timers that had to fire
	keyEarly   = "early"   // callbacks that ran before they were due
	keyP50     = "p50_ms"  // lateness
	keyP99     = "p99_ms"  // lateness
	keyMax     = "max_ms"  // lateness
	keyPeak    = "peak_go" // most goroutines seen, above those at the start
	keyPending = "pending" // timers that the cell really holds
)

// plan lists all lines in the order of the targets.
func plan() []line {
	var all []line
	for _, part := range [][]line{
		hotLines(), churnLines(), handleLines(), memoryLines(), gcLines(),
		latenessLines(), burstLines(), idleLines(), producerLines(),
	} {
		all = append(all, part...)
	}
	return all
}

func findLine(name string) (line, bool) {
	for _, l := range plan() {
		if l.name == name {
			return l, true
		}
	}
	return line{}, false
}

// sizesFor gives the sizes that a line is run at on an engine.
func (l line) sizesFor(e engineSpec, o options) []int {
	sizes := l.sizes
	if e.heavy {
		sizes = l.heavy
	}
	if o.quick && len(sizes) > 0 {
		sizes = l.quick
	}
	if o.maxN == 0 {
		return sizes
	}
	var kept []int
	for _, n := range sizes {
		if n <= o.maxN {
			kept = append(kept, n)
		}
	}
	return kept
}

// costFigures are what every line of operations shows, with the goals on the CPU time.
func costFigures(goals ...goal) []figure {
	return []figure{
		{key: keyCPU, title: "CPU per operation", unit: "ns", goals: goals},
		{key: keyWall, title: "wall per operation", unit: "ns"},
	}
}

const (
	thousand = 1000
	million  = 1000 * thousand
)
