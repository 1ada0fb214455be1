package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// report is everything measured in one run.
type report struct {
	machine machine
	opts    options
	args    []string
	started time.Time
	took    time.Duration
	results []*result
}

// observations is the heading from which on a report file belongs to the people who read the figures.
const observations = "## Observations"

// row is one line of a printed table: one figure of ours beside one peer's.
type row struct {
	n, what, ours, peer, theirs, ratio, target, verdict string
}

// writeFile writes the report as Markdown and keeps what the file has under Observations.
func (r report) writeFile(path string) error {
	kept := observations + "\n\nNone yet.\n"
	if old, err := os.ReadFile(path); err == nil {
		if i := bytes.Index(old, []byte(observations+"\n")); i >= 0 {
			kept = string(old[i:])
		}
	}
	var b strings.Builder
	r.markdown(&b)
	b.WriteString(kept)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make folder of report: %w", err)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func (r report) markdown(w *strings.Builder) {
	fmt.Fprint(w, "# The in-process engine beside its peers\n\n")
	if r.opts.quick {
		fmt.Fprint(w, "**A quick run: it checks the harness; the figures mean nothing.**\n\n")
	}
	fmt.Fprintf(w, "Written by `make bench` (module `bench`, arguments: %s) on %s in %s. Everything above Observations is "+
		"replaced by the next run.\n\n", r.arguments(), r.started.UTC().Format("2006-01-02 15:04 UTC"),
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
		writeRows(w, rows)
	}
}

// arguments gives those that change what is measured, so not where the report goes.
func (r report) arguments() string {
	var args []string
	for i := 0; i < len(r.args); i++ {
		flag := strings.TrimLeft(r.args[i], "-")
		switch {
		case flag == "out":
			i++ // and its value
		case !strings.HasPrefix(flag, "out="):
			args = append(args, r.args[i])
		}
	}
	if len(args) == 0 {
		return "(none)"
	}
	return strings.Join(args, " ")
}

func (r report) settingsTo(w *strings.Builder) {
	m := r.machine
	fmt.Fprint(w, "## Machine and settings\n\n| what | value |\n|---|---|\n")
	for _, kv := range [][2]string{
		{"CPU", fmt.Sprintf("%s, %d cores, shared", orUnknown(m.cpu), m.cores)},
		{"system", m.system + ", kernel " + orUnknown(m.kernel)},
		{"transparent huge pages", orUnknown(m.hugePages)},
		{"load average at the start", orUnknown(m.load)},
		{"Go", fmt.Sprintf("%s, GOMAXPROCS %s, GOGC %s", m.goVersion, m.gomaxprocs, m.gogc)},
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
			fmt.Fprintf(w, "| %s | commit %s |\n", e.title, orUnknown(r.machine.commit))
		case e.module == "":
			fmt.Fprintf(w, "| %s | %s |\n", e.title, r.machine.goVersion)
		default:
			fmt.Fprintf(w, "| %s | %s |\n", e.title, orUnknown(r.machine.modules[e.module]))
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

func writeRows(w *strings.Builder, rows []row) {
	fmt.Fprint(w, "| N | figure | duly | peer | peer's | ratio | target | verdict |\n|---|---|---|---|---|---|---|---|\n")
	for _, x := range rows {
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s | %s |\n", x.n, x.what, x.ours, x.peer, x.theirs, x.ratio, x.target, x.verdict)
	}
	fmt.Fprintln(w)
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
		cells := [][]string{{"N", "figure", "duly", "peer", "peer's", "ratio", "target", "verdict"}}
		for _, x := range rows {
			cells = append(cells, []string{x.n, x.what, x.ours, x.peer, x.theirs, x.ratio, x.target, x.verdict})
		}
		alignTo(w, cells)
		fmt.Fprintln(w)
	}
	return w.String()
}

func alignTo(w *strings.Builder, cells [][]string) {
	widths := make([]int, len(cells[0]))
	for _, line := range cells {
		for i, text := range line {
			widths[i] = max(widths[i], len(text))
		}
	}
	for _, line := range cells {
		var b strings.Builder
		for i, text := range line {
			fmt.Fprintf(&b, "%-*s  ", widths[i], text)
		}
		fmt.Fprintln(w, " ", strings.TrimRight(b.String(), " "))
	}
}
