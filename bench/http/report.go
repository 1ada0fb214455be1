package main

import (
	"cmp"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/dulyhq/duly/bench/figures"
)

// report is everything measured in one run.
type report struct {
	machine figures.Machine
	mount   string // the file system that is measured on
	disk    figures.Disk
	opts    options
	args    []string
	started time.Time
	took    time.Duration
	results []*result
	soak    *soak // nil if the lines were measured
}

// text is the report for a file.
func (r report) text() string {
	if r.soak != nil {
		return r.soakText()
	}
	w := new(strings.Builder)
	w.WriteString("# The daemon over HTTP\n\n")
	w.WriteString(r.began("bench-http"))
	fmt.Fprint(w, "## Machine and settings\n\n")
	w.WriteString(append(figures.Table(r.settings()),
		[]string{"samples", fmt.Sprintf("%d, of a line that says so 1; medians, in brackets the least and the most", r.opts.count)}).Markdown())
	fmt.Fprint(w, "Each sample has a new `duly serve` with a directory of its own and its defaults, on TCP on loopback with its token, and a process of its own that asks it; engines take turns. "+
		"All of them share the machine's cores: what the callers and the sink use, the daemon does not have, so their CPU is beside its own. A task is some 235 bytes of the user's: a name of 22, a "+
		"payload of 201. A target holds for the worst of the samples.\n\n")
	w.WriteString(r.summary())
	for _, l := range plan() {
		if t := r.tableOf(l); len(t) > 1 {
			fmt.Fprintf(w, "## %s%s\n\n%s\n\n", strings.ToUpper(l.title[:1]), l.title[1:], l.note)
			w.WriteString(t.Markdown())
		}
	}
	return w.String()
}

// began says when the figures were taken, and how.
func (r report) began(target string) string {
	text := ""
	if r.opts.quick {
		text = "**A quick run: it checks the harness; the figures mean nothing.**\n\n"
	}
	return text + fmt.Sprintf("Written by `make %s` (module `bench`, program `http`, arguments: %s) on %s in %s. The next run replaces it.\n\n",
		target, figures.Arguments(r.args), r.started.UTC().Format("2006-01-02 15:04 UTC"), r.took.Round(time.Second))
}

// settings are the lines of a table about the machine.
func (r report) settings() [][]string {
	m := r.machine
	return [][]string{
		{"what", "value"},
		{"CPU", fmt.Sprintf("%s, %d cores, shared", cmp.Or(m.CPU, runtime.GOARCH), m.Cores)},
		{"system", m.System + ", kernel " + figures.OrUnknown(m.Kernel)},
		{"file system", r.mount},
		{"a sync of the disk", r.disk.String()},
		{"load average at the start", figures.OrUnknown(m.Load)},
		{"Go", fmt.Sprintf("%s, GOMAXPROCS %s, GOGC default", m.GoVersion, m.GOMAXPROCS)},
		{"duly", "commit " + m.Commit + ", Pebble " + m.Modules["github.com/cockroachdb/pebble/v2"]},
	}
}

// summary lists every target with its verdict.
func (r report) summary() string {
	t := figures.Table{{"line", "tasks", "figure", "duly", "target", "verdict"}}
	for _, l := range plan() {
		for _, f := range l.figures {
			if f.goal.text == "" {
				continue
			}
			if res := r.find(l.name, l.engines[0]); res != nil {
				t = append(t, []string{l.name, figures.Size(res.n), f.title, cellText(f, res), f.goal.text, verdict(f, res)})
			}
		}
	}
	return "## Targets\n\n" + t.Markdown()
}

// tableOf is the table of a line: a column for each engine, and how it compares with the first.
func (r report) tableOf(l line) figures.Table {
	var found []*result
	for _, name := range l.engines {
		if res := r.find(l.name, name); res != nil {
			found = append(found, res)
		}
	}
	if len(found) == 0 {
		return nil
	}
	head := []string{"figure"}
	ratios := false
	for _, f := range l.figures {
		ratios = ratios || f.ratio
	}
	for i, res := range found {
		if len(found) == 1 {
			head = append(head, figures.Size(res.n)+" tasks")
			break
		}
		head = append(head, fmt.Sprintf("%s, %s tasks", engineTitles[res.engine], figures.Size(res.n)))
		if i > 0 && ratios {
			head = append(head, "ratio")
		}
	}
	if len(found) == 1 {
		head = append(head, "target", "verdict")
	}
	t := figures.Table{head}
	for _, f := range l.figures {
		row := []string{f.title}
		for i, res := range found {
			row = append(row, cellText(f, res))
			if i > 0 && ratios {
				row = append(row, ratioText(f, res, found[0]))
			}
		}
		if len(found) == 1 {
			row = append(row, f.goal.text, verdict(f, found[0]))
		}
		t = append(t, row)
	}
	return t
}

func ratioText(f figure, res, first *result) string {
	a, okA := figures.SpreadOf(res.samples, f.key)
	b, okB := figures.SpreadOf(first.samples, f.key)
	if !f.ratio || !okA || !okB || b.Median == 0 {
		return ""
	}
	return figures.Number(a.Median/b.Median, 2) + "x"
}

// cellText writes a figure of a cell: the median and the ends.
func cellText(f figure, r *result) string {
	s, ok := figures.SpreadOf(r.samples, f.key)
	switch {
	case r.problem != "":
		return "no result"
	case !ok:
		return ""
	}
	return s.Text(f.digits, f.unit)
}

// verdict says whether the worst sample meets the target.
func verdict(f figure, r *result) string {
	s, ok := figures.SpreadOf(r.samples, f.key)
	switch {
	case f.goal.text == "":
		return ""
	case !ok || s.High > f.goal.limit:
		return "missed"
	}
	return "met"
}

func (r report) find(l, engine string) *result {
	for _, res := range r.results {
		if res.line.name == l && res.engine == engine {
			return res
		}
	}
	return nil
}

// tables gives the report for a terminal.
func (r report) tables() string {
	w := new(strings.Builder)
	for _, l := range plan() {
		if t := r.tableOf(l); len(t) > 1 {
			fmt.Fprintf(w, "%s: %s\n", l.name, l.title)
			w.WriteString(t.Aligned())
		}
	}
	if r.soak != nil {
		for _, t := range r.soak.tables() {
			w.WriteString(t.Aligned())
		}
	}
	return w.String()
}

// problems lists what must not happen: it makes the run fail. That something is slow is a figure.
func (r report) problems() (out []string) {
	for _, res := range r.results {
		at := fmt.Sprintf("%s on %s", res.line.name, res.engine)
		if res.problem != "" {
			out = append(out, at+": "+res.problem)
			continue
		}
		if len(res.samples) == 0 {
			out = append(out, at+": no sample")
		}
		for _, v := range res.samples {
			if v[keyLeft] != 0 || v[keyTwice] != 0 || v[keyEarly] != 0 {
				out = append(out, fmt.Sprintf("%s: of %.0f tasks %.0f are missing, %.0f came twice, %.0f early", at, v[keyWant], v[keyLeft], v[keyTwice], v[keyEarly]))
			}
		}
	}
	if r.soak != nil {
		out = append(out, r.soak.problems()...)
	}
	return out
}
