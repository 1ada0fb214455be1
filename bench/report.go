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
	n, what, ours, peer, theirs, ratio, target, verdict string
}

// write writes the report to a file.
func (r report) write(path string) error { return figures.WriteReport(path, r.markdown()) }

// markdown gives the report for a file, but for its Observations.
func (r report) markdown() string {
	w := new(strings.Builder)
	w.WriteString(r.Head("The in-process engine beside its peers", "bench"))
	r.settingsTo(w)
	r.versionsTo(w)
	r.summaryTo(w)
	for _, l := range plan() {
		rows := r.rowsOf(l)
		if len(rows) == 0 {
			continue
		}
		fmt.Fprintf(w, "## Row %d: %s\n\n", l.row, l.title)
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
		{"transparent huge pages", figures.OrUnknown(r.Machine.HugePages)},
		{"samples", fmt.Sprintf("%d of %v, medians, in brackets the least and the most", r.opts.count, r.opts.sample)},
		{"budget for filling a cell", r.opts.budget.String()},
	}...).Markdown())
	fmt.Fprint(w, "Each engine runs in a process of its own at each size. The processes of one line and size live side by "+
		"side and take turns sample by sample; those that wait have nothing to do. CPU is user and system time of the process by "+
		"getrusage, the collector's and the engine's goroutines included. A collection runs before each sample. Deadlines that "+
		"pend are spread over an hour. Ratios count; absolute figures are orientation.\n\n")
}

func (r report) versionsTo(w *strings.Builder) {
	fmt.Fprint(w, "| engine | version |\n|---|---|\n")
	for _, e := range engines() {
		switch {
		case e.name == engineEmpty:
		case e.name == engineDuly:
			fmt.Fprintf(w, "| %s | commit %s |\n", e.title, figures.OrUnknown(r.Machine.Commit))
		case e.module == "":
			fmt.Fprintf(w, "| %s | %s |\n", e.title, r.Machine.GoVersion)
		default:
			fmt.Fprintf(w, "| %s | %s |\n", e.title, figures.OrUnknown(r.Machine.Modules[e.module]))
		}
	}
	fmt.Fprint(w, "\nRussellLuo/timingwheel, which earlier comparisons had, could not be obtained when this was written and is "+
		"not in the tables.\n\n")
}

// summaryTo lists every target with its verdict.
func (r report) summaryTo(w *strings.Builder) {
	fmt.Fprint(w, "## Targets\n\n| row | line | N | figure | duly | ratio | target | verdict |\n|---|---|---|---|---|---|---|---|\n")
	for _, l := range plan() {
		for _, x := range r.rowsOf(l) {
			if x.verdict != "" {
				fmt.Fprintf(w, "| %d | %s | %s | %s | %s | %s | %s | %s |\n", l.row, l.name, x.n, x.what, x.ours, x.ratio, x.target, x.verdict)
			}
		}
	}
	fmt.Fprintln(w)
}

func tableOf(rows []row) figures.Table {
	t := figures.Table{{"N", "figure", "duly", "peer", "peer's", "ratio", "target", "verdict"}}
	for _, x := range rows {
		t = append(t, []string{x.n, x.what, x.ours, x.peer, x.theirs, x.ratio, x.target, x.verdict})
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
		fmt.Fprintf(w, "row %d, %s: %s\n", l.row, l.name, l.title)
		w.WriteString(tableOf(rows).Aligned())
	}
	return w.String()
}
