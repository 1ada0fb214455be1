package main

import (
	"fmt"
	"strings"

	"github.com/dulyhq/duly/bench/figures"
	"github.com/dulyhq/duly/bench/runs"
)

// report is everything measured in one run.
type report struct {
	runs.Run

	opts    options
	results []*result
}

// row is one line of a printed table: one figure of ours beside one peer's.
type row struct {
	row, n, what, ours, peer, theirs, ratio, target, verdict string
}

// write writes the report to a file.
func (r report) write(path string) error { return figures.WriteReport(path, r.markdown()) }

// markdown gives the report for a file, but for its Observations.
func (r report) markdown() string {
	w := new(strings.Builder)
	w.WriteString(r.Head("The embedded store beside its peers", "bench-store` or `make bench-store-large"))
	r.settingsTo(w)
	r.versionsTo(w)
	r.summaryTo(w)
	for _, l := range plan() {
		rows := r.rowsOf(l)
		if len(rows) == 0 {
			continue
		}
		fmt.Fprintf(w, "## Row %s: %s\n\n", l.row, l.title)
		if l.note != "" {
			fmt.Fprintf(w, "%s\n\n", l.note)
		}
		w.WriteString(tableOf(rows).Markdown())
	}
	return w.String()
}

func (r report) settingsTo(w *strings.Builder) {
	fmt.Fprint(w, "## Machine and settings\n\n")
	w.WriteString(r.Settings([][]string{
		{"samples", fmt.Sprintf("%d, of a peer that has to be filled %d, of 10 M tasks 1; medians, in brackets the least and the most", r.opts.count, r.opts.peers)},
		{"budget of a peer", r.opts.budget.String() + " for filling, half of that for firing; its sample is cut where that ends"},
	}...).Markdown())
	fmt.Fprint(w, "Each sample is taken in a process of its own, in a new directory; the engines take turns. A task is 235 bytes of the "+
		"user's: a random name of 22, a kind and a schedule of 6 each, and a payload of 201, JSON with 53 random hexadecimal digits "+
		"in it. Instants are random within an hour that is a day ahead. Every acknowledgement comes after a sync, and the history "+
		"is written, by the peers without the index by name that ours has. Disk is what the directory's files take after a close, in "+
		"blocks. Written is write_bytes of /proc/self/io, all of the process until after its close: the kernel counts a page when it becomes "+
		"dirty, so a page that is written and synced twice counts twice. Compactions that are not done at the close are in neither. CPU is user and system "+
		"time. Ratios count; absolute figures are orientation.\n\n")
}

func (r report) versionsTo(w *strings.Builder) {
	fmt.Fprint(w, "| engine | version | settings |\n|---|---|---|\n")
	said := map[string]string{
		engineDuly: "the zero Options: every write synced, a block cache of 32 MiB",
		engineSQLite: "WAL, synchronous=FULL, a cache of 128 MiB, a checkpoint each 64 MiB; prepared statements; one writer, which puts all that wait into " +
			"one transaction; table task (name primary key, ...), index (due), table history",
		engineBolt: "buckets name, due, history; calls that wait share a transaction (DB.Batch of as many as there are callers); free pages as a map and not in the file",
	}
	for _, e := range engines() {
		version := r.Machine.Modules[e.module]
		if e.name == engineDuly {
			version = "commit " + r.Machine.Commit + ", Pebble " + version
		}
		fmt.Fprintf(w, "| %s | %s | %s |\n", e.title, version, said[e.name])
	}
	fmt.Fprintln(w)
}

// summaryTo lists every target with its verdict.
func (r report) summaryTo(w *strings.Builder) {
	fmt.Fprint(w, "## Targets\n\n| row | line | N | figure | duly | target | verdict |\n|---|---|---|---|---|---|---|\n")
	for _, l := range plan() {
		for _, x := range r.rowsOf(l) {
			if x.verdict != "" {
				fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s |\n", x.row, l.name, x.n, x.what, x.ours, x.target, x.verdict)
			}
		}
	}
	fmt.Fprintln(w)
}

var columns = []string{"row", "N", "figure", "duly", "peer", "peer's", "ratio", "target", "verdict"}

func (x row) cells() []string {
	return []string{x.row, x.n, x.what, x.ours, x.peer, x.theirs, x.ratio, x.target, x.verdict}
}

func tableOf(rows []row) figures.Table {
	t := figures.Table{columns}
	for _, x := range rows {
		t = append(t, x.cells())
	}
	return t
}

// tables gives the report for a terminal.
func (r report) tables() string {
	w := new(strings.Builder)
	for _, l := range plan() {
		rows := r.rowsOf(l)
		if len(rows) == 0 {
			continue
		}
		fmt.Fprintf(w, "row %s, %s: %s\n", l.row, l.name, l.title)
		w.WriteString(tableOf(rows).Aligned())
	}
	return w.String()
}
