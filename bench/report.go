package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/dulyhq/duly/bench/figures"
)

// report is everything measured in one run.
type report struct {
	machine figures.Machine
	opts    options
	args    []string
	started time.Time
	took    time.Duration
	results []*result
}

// row is one line of a printed table: one figure of ours beside one peer's.
type row struct {
	n, what, ours, peer, theirs, ratio, target, verdict string
}

// markdown gives the report for a file, but for its Observations.
func (r report) markdown() string {
	w := new(strings.Builder)
	fmt.Fprint(w, "# The in-process engine beside its peers\n\n")
	if r.opts.quick {
		fmt.Fprint(w, "**A quick run: it checks the harness; the figures mean nothing.**\n\n")
	}
	fmt.Fprintf(w, "Written by `make bench` (module `bench`, arguments: %s) on %s in %s. Everything above Observations is "+
		"replaced by the next run.\n\n", figures.Arguments(r.args), r.started.UTC().Format("2006-01-02 15:04 UTC"),
		r.took.Round(time.Second))
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
	m := r.machine
	fmt.Fprint(w, "## Machine and settings\n\n| what | value |\n|---|---|\n")
	for _, kv := range [][2]string{
		{"CPU", fmt.Sprintf("%s, %d cores, shared", figures.OrUnknown(m.CPU), m.Cores)},
		{"system", m.System + ", kernel " + figures.OrUnknown(m.Kernel)},
		{"transparent huge pages", figures.OrUnknown(m.HugePages)},
		{"load average at the start", figures.OrUnknown(m.Load)},
		{"Go", fmt.Sprintf("%s, GOMAXPROCS %s, GOGC %s", m.GoVersion, m.GOMAXPROCS, m.GOGC)},
		{"samples", fmt.Sprintf("%d of %v, medians, in brackets the least and the most", r.opts.count, r.opts.sample)},
		{"budget for filling a cell", r.opts.budget.String()},
	} {
		fmt.Fprintf(w, "| %s | %s |\n", kv[0], kv[1])
	}
	fmt.Fprint(w, "\nEach engine runs in a process of its own at each size. The processes of one line and size live side by "+
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
			fmt.Fprintf(w, "| %s | commit %s |\n", e.title, figures.OrUnknown(r.machine.Commit))
		case e.module == "":
			fmt.Fprintf(w, "| %s | %s |\n", e.title, r.machine.GoVersion)
		default:
			fmt.Fprintf(w, "| %s | %s |\n", e.title, figures.OrUnknown(r.machine.Modules[e.module]))
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
