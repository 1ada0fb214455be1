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
	soak    *soak // nil if the lines were measured
}

// write writes the report to a file.
func (r report) write(path string) error { return figures.WriteReport(path, r.text()) }

// text is the report for a file.
func (r report) text() string {
	if r.soak != nil {
		return r.soakText()
	}
	w := new(strings.Builder)
	w.WriteString("# The daemon over HTTP\n\n")
	w.WriteString(r.Began("bench-http"))
	fmt.Fprint(w, "## Machine and settings\n\n")
	w.WriteString(r.settings([]string{"samples", fmt.Sprintf("%d, of a line that says so 1; medians, in brackets the least and the most", r.opts.count)}).Markdown())
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

// settings are the lines of a table about the machine.
func (r report) settings(more ...[]string) figures.Table {
	return r.Settings(append([][]string{{"duly", "commit " + r.Machine.Commit + ", Pebble " + r.Machine.Modules["github.com/cockroachdb/pebble/v2"]}}, more...)...)
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
	a, okA := figures.SpreadOf(res.Samples, f.key)
	b, okB := figures.SpreadOf(first.Samples, f.key)
	if !f.ratio || !okA || !okB || b.Median == 0 {
		return ""
	}
	return figures.Number(a.Median/b.Median, 2) + "x"
}

// cellText writes a figure of a cell: the median and the ends.
func cellText(f figure, r *result) string {
	s, ok := figures.SpreadOf(r.Samples, f.key)
	switch {
	case r.Problem != "":
		return "no result"
	case !ok:
		return ""
	}
	return s.Text(f.digits, f.unit)
}

// verdict says whether the worst sample meets the target.
func verdict(f figure, r *result) string {
	s, ok := figures.SpreadOf(r.Samples, f.key)
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
		if res.Problem != "" {
			out = append(out, at+": "+res.Problem)
			continue
		}
		if len(res.Samples) == 0 {
			out = append(out, at+": no sample")
		}
		for _, v := range res.Samples {
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
