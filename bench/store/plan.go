package main

import "github.com/dulyhq/duly/bench/runs"

// A line is one thing measured: what a child does, and the figures that it gives.
type line struct {
	row     string // of the targets
	name    string // unique; what -lines takes
	title   string
	note    string // what a reader of the table must know
	engines []string
	size    int // tasks
	quick   int // tasks of a -quick run
	start   bool
	figures []figure
	work    func(*cell) values // in the child
}

// A figure is one number of a sample that the table shows.
type figure struct {
	row    string // of the targets, where it is another than the line's
	key    string
	title  string
	unit   string
	digits int
	goal   goal
}

// A goal is a target for our figure.
type goal struct {
	text  string // the target as the table shows it; empty: there is none
	limit float64
	least bool // at least the limit; else at most
	from  int  // it holds from this many tasks on
	to    int  // and up to this many; 0 is without end
}

func (g goal) holds(n int) bool { return g.text != "" && n >= g.from && (g.to == 0 || n <= g.to) }

func (g goal) met(x float64) bool { return g.least && x >= g.limit || !g.least && x <= g.limit }

// values are the numbers of one sample. Keys that no figure names are for the checks.
type values = runs.Values

// Keys that a sample may have.
const (
	keyRate       = "per_s"
	keyCPU        = "cpu_us"
	keyP50        = "p50_ms"
	keyP99        = "p99_ms"
	keyMax        = "max_ms"
	keyDisk       = "disk_B"
	keyWritten    = "written_B"
	keyRSS        = "rss_MiB"
	keyPeak       = "peak_MiB"
	keyFires      = "fires_per_s"
	keyFireCPU    = "fire_cpu_us"
	keyMixedFires = "mixed_fires_per_s"
	keyMixedPuts  = "mixed_puts_per_s"
	keyMixedP99   = "mixed_p99_ms"
	keyFire       = "fire_s"
	keyOpened     = "opened_s"
	keyTasks      = "tasks"   // put, before the budget ended
	keyWant       = "want"    // tasks that must be there at the end
	keyPending    = "pending" // and are
)

const (
	thousand = 1000
	million  = 1000 * thousand
	gib      = 1024.0 // in MiB
)

var everyEngine = []string{engineDuly, engineSQLite, engineBolt}

// plan lists all lines in the order of the targets.
func plan() []line {
	weight := []figure{
		{row: "17", key: keyDisk, title: "disk per task, after close", unit: "B", goal: goal{text: "<= 500 B", limit: 500, from: million}},
		{row: "17", key: keyWritten, title: "written per task, close included", unit: "B", goal: goal{text: "<= 1.5 kB", limit: 1500, from: million}},
	}
	put := []figure{
		{key: keyCPU, title: "CPU per schedule, the callers' included", unit: "us", digits: 1},
		{key: keyP50, title: "call p50", unit: "ms", digits: 2},
		{key: keyP99, title: "call p99", unit: "ms", digits: 2},
		{key: keyMax, title: "call max", unit: "ms", digits: 1},
	}
	rate := func(text string, limit float64) figure {
		return figure{key: keyRate, title: "schedules per second", goal: goal{text: text, limit: limit, least: true}}
	}
	return []line{
		{
			row: "14", name: "calls", title: "64 callers schedule, one task a call", engines: everyEngine,
			size: million, quick: 2000, work: workCalls,
			figures: append(append([]figure{rate(">= 70k/s", 70_000)}, put...), weight...),
		},
		{
			row: "15", name: "batch", title: "4 callers schedule in batches of 1,000", engines: everyEngine,
			note: "The resident set is read at the end, with all tasks pending and nothing collected for the occasion; the most is that of the " +
				"whole run. Of bbolt it holds the pages of its file.",
			size: million, quick: 3000, work: workBatch,
			figures: append(append(append([]figure{rate(">= 100k/s", 100_000)}, put...), weight...),
				figure{row: "17", key: keyRSS, title: "resident set", unit: "MiB", goal: goal{text: "< 0.6 GiB", limit: 0.6 * gib, from: 10 * million, to: 10 * million}},
				figure{row: "17", key: keyPeak, title: "most of it", unit: "MiB", goal: goal{text: "< 1 GiB", limit: gib, from: 10*million + 1}}),
		},
		fireLine(), startLine("clean"), startLine("killed"),
		{
			row: "18b", name: "slow-sync", title: "64 callers schedule, one task a call, and every sync takes 2 ms more",
			note: "The 2 ms pass, with the thread blocked, in Sync and SyncData of every file and directory, before the disk's own. One sync for 64 calls would be " +
				"64 / 2 ms = 32k/s at best. The peers' syncs can't be reached from outside.",
			engines: []string{engineDuly}, size: 200 * thousand, quick: 640, work: workSlow,
			figures: []figure{
				{key: keyRate, title: "schedules per second", goal: goal{text: ">= 25k/s", limit: 25_000, least: true}},
				{key: keyCPU, title: "CPU per schedule, the callers' included", unit: "us", digits: 1},
				{key: keyP50, title: "call p50", unit: "ms", digits: 2},
				{key: keyP99, title: "call p99", unit: "ms", digits: 2, goal: goal{text: "p99 <= 8 ms", limit: 8}},
				{key: keyMax, title: "call max", unit: "ms", digits: 1},
			},
		},
	}
}

func fireLine() line {
	return line{
		row: "16", name: "fire", title: "tasks that are due are claimed durably, handled by nothing, and settled", engines: everyEngine,
		note: "Of N tasks a third is due: one goroutine reads pages of 256, four workers claim a page, call a handler that does nothing, and " +
			"settle it. Then another third, while 64 callers schedule as many more, one task a call: whoever is ahead waits for the other. " +
			"The last third pends. Written is what the fires of the first part have written, by then.",
		size: million, quick: 3000, work: workFire,
		figures: []figure{
			{key: keyFires, title: "fires per second", goal: goal{text: ">= 80k/s", limit: 80_000, least: true}},
			{key: keyFireCPU, title: "CPU per fire", unit: "us", digits: 1},
			{key: keyWritten, title: "written per fire", unit: "B"},
			{key: keyMixedFires, title: "mixed: fires per second", goal: goal{text: ">= 35k/s", limit: 35_000, least: true}},
			{key: keyMixedPuts, title: "mixed: schedules per second", goal: goal{text: ">= 35k/s", limit: 35_000, least: true}},
			{key: keyMixedP99, title: "mixed: call p99", unit: "ms", digits: 2},
		},
	}
}

func startLine(how string) line {
	l := line{
		row: "18", name: "start-" + how, engines: everyEngine, start: true,
		note: "From just before the process is started to the call of the handler of a task that is due: the program begins, opens the " +
			"directory, reads what is due, claims it. The operating system's cache is warm.",
		size: million, quick: 2000, work: workStart,
	}
	first := figure{key: keyFire, title: "first due fire after", unit: "s", digits: 3}
	opened := figure{key: keyOpened, title: "of which until the store was open", unit: "s", digits: 3}
	if how == "clean" {
		l.title = "from start to the first due fire, after a close"
		first.goal = goal{text: "<= 0.5 s", limit: 0.5}
		l.figures = []figure{first, opened, {row: "17", key: keyRSS, title: "resident set 3 s later", unit: "MiB"}}
		return l
	}
	l.title = "from start to the first due fire, after kill -9"
	l.note += " Before it was killed, 64 callers moved tasks for some seconds, and were at it."
	first.goal = goal{text: "<= 1 s", limit: 1}
	l.figures = []figure{first, opened}
	return l
}

// figureRows gives the rows of the targets that the line's figures belong to.
func (l line) figureRows() (rows []string) {
	for _, f := range l.figures {
		rows = append(rows, l.rowOf(f))
	}
	return rows
}

func (l line) rowOf(f figure) string {
	if f.row != "" {
		return f.row
	}
	return l.row
}

// in says whether the options leave the line in.
func (l line) in(o options) bool {
	if o.lines != nil && !o.lines[l.name] {
		return false
	}
	if o.rows == nil || o.rows[l.row] {
		return true
	}
	for _, row := range l.figureRows() {
		if o.rows[row] && !l.start {
			return true
		}
	}
	return false
}

// sizeFor gives the tasks of the line.
func (l line) sizeFor(o options) int {
	switch {
	case o.n > 0:
		return o.n
	case o.quick:
		return l.quick
	}
	return l.size
}

func findLine(name string) (line, bool) {
	for _, l := range plan() {
		if l.name == name {
			return l, true
		}
	}
	return line{}, false
}
