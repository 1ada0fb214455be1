package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/dulyhq/duly/bench/figures"
	"github.com/dulyhq/duly/bench/runs"
)

// report is everything measured in one run.
type report struct {
	runs.Run

	server  string // what it says of its version
	opts    options
	results []*result
}

// write writes the report to a file.
func (r report) write(path string) error { return figures.WriteReport(path, r.text()) }

// text is the report for a file.
func (r report) text() string {
	w := new(strings.Builder)
	w.WriteString(r.Head("Tasks in PostgreSQL, beside River", "bench-cluster"))
	m := r.Machine
	fmt.Fprint(w, "## Machine and settings\n\n")
	w.WriteString(r.Settings([][]string{
		{"server", r.server + ", its defaults, synchronous_commit on, a Unix socket"},
		{"duly", "commit " + m.Commit + ", pgx " + m.Modules["github.com/jackc/pgx/v5"]},
		{"samples", fmt.Sprintf("%d, of a peer %d; medians, in brackets the least and the most", r.opts.count, r.opts.peers)},
		{"patience", r.opts.budget.String() + " after the last instant; what has not begun by then is counted as left"},
	}...).Markdown())
	fmt.Fprint(w, "One server is started for the run, on the same machine. Each sample is taken in a process of its own, in a new database, after a checkpoint; the "+
		"engines take turns. A task is some 235 bytes of the user's: a name of 22, a payload of 201. CPU is user and system time: of the process that puts and "+
		"works, and of the server with all its processes. Where two numbers of tasks stand, the second is the peer's. Ratios count; absolute figures are "+
		"orientation.\n\n")
	t := figures.Table{{"engine", "version", "settings"}}
	for _, e := range allEngines() {
		t = append(t, []string{e.title, cmp.Or(m.Modules[e.module], "this commit"), e.said})
	}
	w.WriteString(t.Markdown())
	w.WriteString(r.summary())
	for _, l := range plan() {
		if rows := r.rowsOf(l); len(rows) > 0 {
			fmt.Fprintf(w, "## %s\n\n%s\n\n", title(l.title), l.note)
			w.WriteString(tableOf(rows).Markdown())
		}
	}
	return w.String()
}

// title begins with a capital.
func title(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// summary lists every target with its verdict.
func (r report) summary() string {
	t := figures.Table{{"line", "figure", "duly", "peer", "peer's", "ratio", "target", "verdict"}}
	for _, l := range plan() {
		for _, x := range r.rowsOf(l) {
			if x.target != "" {
				t = append(t, []string{l.name, x.what, x.ours, x.peer, x.theirs, x.ratio, x.target, x.verdict})
			}
		}
	}
	return "## Targets\n\n" + t.Markdown()
}

func tableOf(rows []row) figures.Table {
	t := figures.Table{{"figure", "tasks", "duly", "peer", "peer's", "ratio", "target", "verdict"}}
	for _, x := range rows {
		t = append(t, []string{x.what, x.n, x.ours, x.peer, x.theirs, x.ratio, x.target, x.verdict})
	}
	return t
}

// tables gives the report for a terminal.
func (r report) tables() string {
	w := new(strings.Builder)
	for _, l := range plan() {
		if rows := r.rowsOf(l); len(rows) > 0 {
			fmt.Fprintf(w, "%s: %s\n", l.name, l.title)
			w.WriteString(tableOf(rows).Aligned())
		}
	}
	return w.String()
}
