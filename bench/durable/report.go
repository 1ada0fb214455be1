package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/dulyhq/duly/bench/figures"
	"github.com/dulyhq/duly/bench/runs"
	"github.com/dulyhq/duly/bench/servers"
)

// report is everything measured in one run.
type report struct {
	runs.Run

	servers map[string]string // what they say of their versions
	opts    options
	results []*result
	hour    *hour // of the endurance run; nil if the lines were measured
}

// row is one line of a printed table: one figure of ours beside one peer's.
type row struct {
	n, what, ours, peer, theirs, ratio, target, verdict string
}

const endurance = "## Endurance\n"

// write writes the report to a file. What the run did not measure, the lines or the endurance, stays as the file has it.
func (r report) write(path string) error {
	head, hour := "", ""
	if old, err := os.ReadFile(path); err == nil {
		text, _, _ := strings.Cut(string(old), "## Observations\n")
		if i := strings.Index(text, endurance); i >= 0 {
			head, hour = text[:i], text[i:]
		} else {
			head = text
		}
	}
	if r.hour != nil {
		hour = r.enduranceText()
	} else {
		head = r.linesText()
	}
	if head == "" {
		head = title
	}
	return figures.WriteReport(path, head+hour)
}

const title = "# Durable tasks beside their peers\n\n"

// settings are the lines of a table about the machine.
func (r report) settings(more ...[]string) figures.Table {
	return r.Settings(append([][]string{{"duly", "commit " + r.Machine.Commit + ", Pebble " + r.Machine.Modules["github.com/cockroachdb/pebble/v2"]}}, more...)...)
}

// linesText is the report of the lines, for a file.
func (r report) linesText() string {
	w := new(strings.Builder)
	w.WriteString(title)
	w.WriteString(r.Began("bench-durable"))
	fmt.Fprint(w, "## Machine and settings\n\n")
	w.WriteString(r.settings(
		[]string{"samples", fmt.Sprintf("%d, of a peer %d; medians, in brackets the least and the most", r.opts.count, r.opts.peers)},
		[]string{"patience", r.opts.budget.String() + " after the last instant; what has not begun by then is counted as left"}).Markdown())
	fmt.Fprint(w, "Each sample is taken in a process of its own, in a new directory or on a new server, on the same machine; the engines take turns. "+
		"A task is some 235 bytes of the user's: a name of 22, a payload of 201. Instants are those of the machine's clock, for all. "+
		"CPU is user and system time of the process that puts and works, not of a server. Ratios count; absolute figures are orientation.\n\n")
	t := figures.Table{{"engine", "version", "settings"}}
	for _, e := range allEngines() {
		t = append(t, []string{e.title, figures.OrUnknown(r.Machine.Modules[e.module]) + r.servers[e.server], e.said})
	}
	w.WriteString(t.Markdown())
	w.WriteString(r.summary())
	for _, l := range plan() {
		rows := r.rowsOf(l)
		if len(rows) == 0 {
			continue
		}
		fmt.Fprintf(w, "## Row %s: %s\n\n%s\n\n", rowLateness, l.title, l.note)
		w.WriteString(tableOf(rows).Markdown())
	}
	return w.String()
}

// serverVersions says which servers the engines are measured on.
func serverVersions(ctx context.Context) map[string]string {
	versions := make(map[string]string)
	for _, e := range allEngines() {
		if e.server == "" {
			continue
		}
		version, err := servers.Version(ctx, e.server)
		if err != nil {
			version = fmt.Sprintf("**%s is %v**", e.server, err)
		}
		versions[e.server] = "; " + version
	}
	return versions
}

// summary lists every target with its verdict.
func (r report) summary() string {
	t := figures.Table{{"row", "line", "tasks", "figure", "duly", "target", "verdict"}}
	for _, l := range plan() {
		for _, x := range r.rowsOf(l) {
			if x.verdict != "" {
				t = append(t, []string{rowLateness, l.name, x.n, x.what, x.ours, x.target, x.verdict})
			}
		}
	}
	return "## Targets\n\n" + t.Markdown()
}

func tableOf(rows []row) figures.Table {
	t := figures.Table{{"tasks", "figure", "duly", "peer", "peer's", "ratio", "target", "verdict"}}
	for _, x := range rows {
		t = append(t, []string{x.n, x.what, x.ours, x.peer, x.theirs, x.ratio, x.target, x.verdict})
	}
	return t
}

// tables gives the report for a terminal.
func (r report) tables() string {
	w := new(strings.Builder)
	for _, l := range plan() {
		if rows := r.rowsOf(l); len(rows) > 0 {
			fmt.Fprintf(w, "row %s, %s: %s\n", rowLateness, l.name, l.title)
			w.WriteString(tableOf(rows).Aligned())
		}
	}
	if r.hour != nil {
		w.WriteString(r.hour.table().Aligned())
		w.WriteString(r.hour.spanTable().Aligned())
	}
	return w.String()
}

// enduranceText is the report of the endurance run, for a file.
func (r report) enduranceText() string {
	h := r.hour
	w := new(strings.Builder)
	w.WriteString(endurance + "\n")
	w.WriteString(r.Began("bench-endurance"))
	w.WriteString(r.settings().Markdown())
	fmt.Fprintf(w, "The directory is filled with %s tasks, of which %s come due each second, one after the other; for each, another is put at the end, so that as "+
		"many pend all the time, and none is due before it was pending for %v. A journal outside the store notes each beginning. In the middle the process is killed (SIGKILL), "+
		"and another goes on at once. Tasks due from %v before the kill until %v after it are looked at on their own.\n\n",
		figures.Size(h.n), figures.Number(float64(h.rate), 0), (time.Duration(h.n) * time.Second / time.Duration(h.rate)).Round(time.Second),
		restart.before, restart.after)
	w.WriteString(h.table().Markdown())
	fmt.Fprint(w, "By the minute, or a 60th of the run; the resident set of the process and what the directory takes, at its end; the tasks without those due around the restart:\n\n")
	w.WriteString(h.spanTable().Markdown())
	return w.String()
}

func msText(d time.Duration) string { return figures.Number(figures.Millis(d), 2) + " ms" }

// table is what the endurance run came to.
func (h *hour) table() figures.Table {
	verdict := func(ok bool) string {
		if ok {
			return "met"
		}
		return "missed"
	}
	most := int64(0)
	for _, s := range h.spans {
		most = max(most, s.resident)
	}
	number := func(n int) string { return figures.Number(float64(n), 0) }
	since := func(t time.Time) string { return figures.Number(max(t.Sub(h.killed), 0).Seconds(), 2) + " s" }
	return figures.Table{
		{"figure", "duly", "target", "verdict"},
		{"tasks due outside of the restart", number(h.total.n), "", ""},
		{"lateness p50", msText(h.total.p50), "", ""},
		{"lateness p99", msText(h.total.p99), "", ""},
		{"lateness p99.9", msText(h.total.p999), "<= 20 ms", verdict(h.total.p999 <= enduranceGoal)},
		{"lateness max", msText(h.total.max), "", ""},
		{"due and never begun", number(h.lost), "0", verdict(h.lost == 0)},
		{"early", number(h.early), "0", verdict(h.early == 0)},
		{"begun twice, not around the restart", number(h.astray), "0", verdict(h.astray == 0)},
		{"begun twice, around it", number(h.twice), "", ""},
		{"store open again after the kill", since(h.opened), "", ""},
		{"first task begun after the kill", since(h.first), "", ""},
		{"the last that was later than 20 ms, after the kill", since(h.caught), "", ""},
		{"lateness max around the restart", msText(h.again.max), "", ""},
		{"resident set, most of the minutes'", figures.Number(mib(most), 0) + " MiB", "", ""},
		{"time to fill", h.filled.Round(time.Second).String(), "", ""},
	}
}

// spanTable is the endurance run minute by minute.
func (h *hour) spanTable() figures.Table {
	t := figures.Table{{"from", "tasks", "p50", "p99", "p99.9", "max", "resident", "disk"}}
	for _, s := range h.spans {
		cells := []string{s.from.String(), figures.Number(float64(s.late.n), 0)}
		for _, d := range []time.Duration{s.late.p50, s.late.p99, s.late.p999, s.late.max} {
			if s.late.n == 0 { // all were due around the restart
				cells = append(cells, "-")
				continue
			}
			cells = append(cells, msText(d))
		}
		t = append(t, append(cells, figures.Number(mib(s.resident), 0)+" MiB", figures.Number(mib(s.disk), 0)+" MiB"))
	}
	return t
}
