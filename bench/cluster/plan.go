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
	callers int           // that call at a time, each again when it is answered
	rate    int           // tasks that come due each second; 0 of a line without due times
	length  time.Duration // for how long
	lead    time.Duration // from the first put to the first of them
	tasks   int           // of a line without due times
	theirs  int           // the same of a peer; 0: as many
	quick   int           // tasks of a -quick run
	logged  bool          // the server writes down each statement
	figures []figure
	work    func(*cell) values // in the child
}

// A figure is one number of a sample that the table shows.
type figure struct {
	key    string
	title  string
	unit   string
	digits int
	ratios map[string]float64 // that ours has to be at least of a peer's
	most   *goal
}

// A goal is a target for our figure alone: at most the limit.
type goal struct {
	text  string // the target as the table shows it
	limit float64
}

// values are the numbers of one sample. Keys that no figure names are for the checks.
type values = runs.Values

// Keys that a sample may have.
const (
	keyRate    = "per_s"
	keyClient  = "client_us"
	keyServer  = "server_us"
	keyCall50  = "call_p50_ms"
	keyCall99  = "call_p99_ms"
	keyP50     = "late_p50_ms"
	keyP99     = "late_p99_ms"
	keyP999    = "late_p999_ms"
	keyMax     = "late_max_ms"
	keyEarly   = "early"
	keyStmts   = "statements_per_s"
	keyXacts   = "transactions_per_s"
	keyIdle    = "client_percent"
	keyServes  = "server_percent"
	keyFetch50 = "fetch_p50_ms"
	keyFetch99 = "fetch_p99_ms"
	keyAll50   = "all_p50_ms"
	keyRan     = "ran"    // attempts
	keyTwice   = "twice"  // of these, those of a task that had begun already
	keyWant    = "want"   // tasks that must have begun, or be there
	keyLeft    = "left"   // of these, those that had not or were not
	keyRushed  = "rushed" // tasks whose put ended more than hintLate too late
)

const (
	day     = 24 * time.Hour
	putters = 4 // callers of what puts many at a time
)

// plan lists all lines in the order in which they run.
func plan() []line {
	both := []string{engineDuly, engineRiver}
	return []line{
		{
			name: "put-16", title: "16 callers put, one task a call", engines: both, callers: 16,
			note:  "Through Kind.Put and River's Insert, due in a day, by a process that works on nothing meanwhile.",
			tasks: 100_000, theirs: 20_000, quick: 500, work: workPut, figures: called("put", 5),
		},
		{
			name: "put-256", title: "256 callers put, one task a call", engines: both, callers: 256,
			note:  "The same.",
			tasks: 200_000, theirs: 20_000, quick: 500, work: workPut, figures: called("put", 10),
		},
		{
			name: "bulk", title: "4 callers put, 1,000 tasks a call", engines: []string{engineDuly, engineRiver, engineUnique},
			note:  "Through Kind.PutMany, which names each task; River's InsertManyFast, which is COPY and can't; and River's InsertMany of jobs that are unique by their arguments.",
			tasks: 400_000, theirs: 200_000, quick: 5000, work: workBulk,
			figures: rated("task", map[string]float64{engineRiver: 1.8, engineUnique: 4}),
		},
		{
			name: "work", title: "no-op work of a backlog", engines: []string{engineDuly, engineRiver, engineTuned},
			note: "All tasks are due when the process begins to work; the handler does nothing. Until the last outcome is written. Each start is written before the handler is " +
				"called, by all.",
			tasks: 200_000, theirs: 40_000, quick: 1000, work: workBacklog,
			figures: rated("task", map[string]float64{engineTuned: 3}),
		},
		{
			name: "cancel", title: "16 callers cancel, one task a call", engines: both, callers: 16,
			note:  "By name; River's JobCancel by the number that it has given to the job.",
			tasks: 60_000, theirs: 20_000, quick: 500, work: workCancel, figures: called("cancel", 5),
		},
		{
			name: "late-500", title: "lateness with 500 tasks due a second", engines: []string{engineDuly, engineRiver, engineTuned},
			note: "Tasks are put in batches from 4 callers, with the engine at work, in an order that is not that of their instants; these are spread evenly, and the first comes " +
				"6 s after the first put. The handler reads the clock and returns: lateness is what it reads less the instant, early what is before it. The clocks are one machine's.",
			rate: 500, length: 20 * time.Second, lead: 6 * time.Second, quick: 200, work: workLate, figures: lateness(),
		},
		{
			name: "late-5k", title: "lateness with 5,000 tasks due a second", engines: []string{engineDuly, engineTuned},
			note: "The same with ten times as many, the first 8 s after the first put. River works less than that with its defaults.",
			rate: 5000, length: 10 * time.Second, lead: 8 * time.Second, quick: 1000, work: workLate, figures: lateness(),
		},
		{
			name: "hint", title: "a task put 1 s ahead by another process", engines: both,
			note:  "One process works, another puts a task each 50 ms that is due 1 s later.",
			tasks: 400, quick: 20, work: workHint,
			figures: []figure{
				{key: keyP50, title: "lateness p50", unit: "ms", digits: 2},
				{key: keyP99, title: "lateness p99", unit: "ms", digits: 2, most: &goal{"< 20 ms", 20}},
				{key: keyMax, title: "lateness max", unit: "ms", digits: 2},
				{key: keyEarly, title: "early", most: &goal{"0", 0}},
				{key: keyRushed, title: "put less than 0.9 s ahead"},
			},
		},
		{
			name: "idle", title: "a node with nothing due", engines: both,
			note: "1,000 tasks are due in a day, and the process works, alone. Counted over 30 s from 12 s after its start, in a database of its own: the statements that the server " +
				"logs as executed (log_min_duration_statement is 0 for this database), and pg_stat_database's transactions, of which several statements sent at once are one.",
			tasks: 1000, quick: 100, logged: true, work: workIdle,
			figures: []figure{
				{key: keyStmts, title: "statements per second", digits: 2, most: &goal{"<= 8", 8}},
				{key: keyXacts, title: "transactions per second", digits: 2},
				{key: keyIdle, title: "CPU of the process", unit: "% of a core", digits: 2},
				{key: keyServes, title: "CPU of the server", unit: "% of a core", digits: 2},
			},
		},
		{
			name: "snapshot", title: "fetch while a snapshot is held over 1 M dead rows", engines: both,
			note: "A transaction reads and stays open. Then as many tasks are put, due before all others, and finished: cancelled in batches; of River by one statement that marks " +
				"them completed. Then what a node reads of the next 4 s is read 1,000 times, 512 tasks at most each time, of 4,000 that come due in 8 s; from the very beginning is what " +
				"it reads when it starts or takes over. River's fetch, which writes, is called 200 times for 100 jobs each; its dead rows are fewer, because it takes minutes to make them.",
			tasks: 1_000_000, theirs: 200_000, quick: 2000, work: workSnapshot,
			figures: []figure{
				{key: keyFetch50, title: "fetch p50", unit: "ms", digits: 2},
				{key: keyFetch99, title: "fetch p99", unit: "ms", digits: 2, most: &goal{"< 10 ms", 10}},
				{key: keyAll50, title: "from the very beginning p50", unit: "ms", digits: 2},
			},
		},
	}
}

// rated gives the figures of a line that is a rate, which has to be so many times a peer's.
func rated(what string, ratios map[string]float64) []figure {
	return []figure{
		{key: keyRate, title: what + "s per second", ratios: ratios},
		{key: keyClient, title: "CPU of the process per " + what, unit: "us", digits: 1},
		{key: keyServer, title: "CPU of the server per " + what, unit: "us", digits: 1},
	}
}

// called gives those of a line of calls, of which there have to be so many times River's.
func called(what string, ratio float64) []figure {
	return append(rated(what, map[string]float64{engineRiver: ratio}),
		figure{key: keyCall50, title: "call p50", unit: "ms", digits: 2}, figure{key: keyCall99, title: "call p99", unit: "ms", digits: 2})
}

func lateness() []figure {
	return []figure{
		{key: keyP50, title: "lateness p50", unit: "ms", digits: 2},
		{key: keyP99, title: "lateness p99", unit: "ms", digits: 2, most: &goal{"< 10 ms", 10}},
		{key: keyP999, title: "lateness p99.9", unit: "ms", digits: 2},
		{key: keyMax, title: "lateness max", unit: "ms", digits: 1},
		{key: keyEarly, title: "early", most: &goal{"0", 0}},
		{key: keyClient, title: "CPU of the process per task", unit: "us", digits: 1},
		{key: keyServer, title: "CPU of the server per task", unit: "us", digits: 1},
	}
}

// sizeFor gives the tasks of the line on an engine.
func (l line) sizeFor(o options, engine string) int {
	switch {
	case o.quick:
		return l.quick
	case engine != engineDuly && l.theirs > 0:
		return l.theirs
	}
	return cmp.Or(l.tasks, l.rate*int(l.length/time.Second))
}

func findLine(name string) (line, error) {
	for _, l := range plan() {
		if l.name == name {
			return l, nil
		}
	}
	return line{}, fmt.Errorf("no line %q", name)
}
