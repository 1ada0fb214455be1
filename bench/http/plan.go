package main

import (
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
	samples int // 0 is as many as -count says
	n       int // tasks
	quick   int // tasks of a -quick run
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
	ratio  bool // of each engine to the first
}

// A goal is a target: at most the limit, in the worst sample.
type goal struct {
	text  string // the target as the table shows it; empty: there is none
	limit float64
}

// values are the numbers of one sample. Keys that no figure names are for the checks.
type values = runs.Values

// The ways to put.
const (
	engineLibrary = "library"
	engineClient  = "client"
	engineRaw     = "raw"
	engineBatches = "batches"
	engineStream  = "stream"
)

// engineTitles are what the tables call them.
var engineTitles = map[string]string{
	engineLibrary: "the library",
	engineClient:  "package client",
	engineRaw:     "bare connections",
	engineBatches: "package client, 4 callers",
	engineStream:  "one request",
}

// Keys that a sample may have.
const (
	keyRate     = "per_s"
	keyCall50   = "call_p50_ms"
	keyCall99   = "call_p99_ms"
	keyOwnCPU   = "own_cpu_us"
	keyCPU      = "cpu_us"
	keySinkCPU  = "sink_cpu_us"
	keyResident = "resident_mib"
	keyDisk     = "disk_mib"
	keyOpen     = "open_files"
	keyRoutines = "goroutines"
	keyAll      = "all_s"
	keySettled  = "settled_s"
	keyLate50   = "late_p50_s"
	keyConns    = "connections"
	keyAPI50    = "api_p50_ms"
	keyAPI99    = "api_p99_ms"
	keyAPIMax   = "api_max_ms"
	keyAPICalls = "api_calls"
	keyPut99    = "put_p99_ms"
	keyGet99    = "get_p99_ms"
	keyList99   = "list_p99_ms"
	keyEarly    = "early"
	keyTwice    = "twice"
	keyLost     = "lost"
	keyWarnings = "warnings"
	keyWant     = "want" // tasks that there must be
	keyLeft     = "left" // of these, those that are not there
)

const (
	callers     = 64
	burstLength = time.Second
	burstGoal   = 10 * time.Second
)

// plan lists all lines in the order in which they run.
func plan() []line {
	return []line{
		{
			name: "put", title: "single puts from 64 connections", engines: []string{engineLibrary, engineClient, engineRaw},
			note: "One task a call, each of 64 callers waits for its answer before it puts the next one; instants are a day ahead. The library is Kind.Put on store/pebble " +
				"in the callers' own process, with its defaults, which are those of the daemon: every put is synced before it is answered. Package client and the bare " +
				"connections send PUT /v1/tasks/{name} with a token, and keep their 64 connections. Bare connections write requests as they are and look at the status and the length of the " +
				"answer, no more: what they cost less than package client is what a client can save.",
			n: 100_000, quick: 500, work: workPut,
			figures: []figure{
				{key: keyRate, title: "puts per second", ratio: true},
				{key: keyCall50, title: "call p50", unit: "ms", digits: 2, ratio: true},
				{key: keyCall99, title: "call p99", unit: "ms", digits: 2, ratio: true},
				{key: keyCPU, title: "CPU of the daemon per put", unit: "us", digits: 1},
				{key: keyOwnCPU, title: "CPU of the callers per put", unit: "us", digits: 1},
				{key: keyResident, title: "resident set of the daemon, most", unit: "MiB"},
			},
		},
		{
			name: "batch", title: "a million tasks by POST /v1/tasks:batch", engines: []string{engineBatches, engineStream}, samples: 1,
			note: "Package client sends batches of 1,000 lines, from 4 callers; the one request has all lines and is written and read at the same time.",
			n:    1_000_000, quick: 5000, work: workBatch,
			figures: []figure{
				{key: keyRate, title: "tasks per second"},
				{key: keyCPU, title: "CPU of the daemon per task", unit: "us", digits: 1},
				{key: keyOwnCPU, title: "CPU of the callers per task", unit: "us", digits: 1},
				{key: keyResident, title: "resident set of the daemon, most", unit: "MiB"},
				{key: keyDisk, title: "its directory", unit: "MiB"},
			},
		},
		{
			name: "burst", title: "100,000 callbacks due in one second", engines: []string{engineClient},
			note: fmt.Sprintf("The callbacks, with a body of 201 bytes, go to a sink on loopback that answers each at once, a process of its own: it notes when each came first, and how often. Their "+
				"instants are spread evenly over one second. From a second before until the last has come, a client puts %d tasks, reads %d and lists pages of 100 %d times a second, from an open loop: a call's "+
				"time counts from when it was to be made. The daemon has its defaults, and --allow-private.", apiRates[0], apiRates[1], apiRates[2]),
			n: 100_000, quick: 500, work: workBurst,
			figures: []figure{
				{key: keyAll, title: "from the first instant to the last arrival", unit: "s", digits: 2, goal: goal{"<= 10 s", burstGoal.Seconds()}},
				{key: keySettled, title: "to the last outcome written", unit: "s", digits: 2},
				{key: keyLate50, title: "arrival after its instant, p50", unit: "s", digits: 2},
				{key: keyEarly, title: "early", goal: goal{text: "0"}},
				{key: keyTwice, title: "sent twice", goal: goal{text: "0"}},
				{key: keyLost, title: "lost", goal: goal{text: "0"}},
				{key: keyAPI99, title: "API meanwhile p99", unit: "ms", digits: 1, goal: goal{"<= 100 ms", 100}},
				{key: keyAPI50, title: "API meanwhile p50", unit: "ms", digits: 1},
				{key: keyAPIMax, title: "API meanwhile most", unit: "ms", digits: 1},
				{key: keyPut99, title: "puts p99", unit: "ms", digits: 1},
				{key: keyGet99, title: "reads p99", unit: "ms", digits: 1},
				{key: keyList99, title: "lists p99", unit: "ms", digits: 1},
				{key: keyAPICalls, title: "API calls"},
				{key: keyResident, title: "resident set of the daemon, most", unit: "MiB", goal: goal{"<= 1,024 MiB", 1024}},
				{key: keyOpen, title: "open descriptors of the daemon, most"},
				{key: keyRoutines, title: "goroutines of the daemon, most that were seen"},
				{key: keyConns, title: "connections that were made to the sink"},
				{key: keyWarnings, title: "warnings in the daemon's log", goal: goal{text: "0"}},
				{key: keyCPU, title: "CPU of the daemon per callback", unit: "us", digits: 1},
				{key: keySinkCPU, title: "CPU of the sink per callback", unit: "us", digits: 1},
				{key: keyOwnCPU, title: "CPU of the client per callback", unit: "us", digits: 1},
			},
		},
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
	return l.n
}

// count gives the samples of each cell of the line.
func (l line) count(o options) int {
	if l.samples > 0 {
		return l.samples
	}
	return o.count
}

func findLine(name string) (line, bool) {
	for _, l := range plan() {
		if l.name == name {
			return l, true
		}
	}
	return line{}, false
}
