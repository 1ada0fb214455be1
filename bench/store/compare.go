package main

import (
	"fmt"

	"github.com/dulyhq/duly/bench/figures"
)

// comparing: which figures of ours stand beside which of a peer's, and whether a target is met.

// rowsOf gives the table of one line: for each figure, ours beside every peer's.
func (r report) rowsOf(l line) (out []row) {
	ours := r.find(l, engineDuly)
	for _, f := range l.figures {
		first := len(out)
		for _, name := range l.engines {
			if theirs := r.find(l, name); theirs != nil && name != engineDuly {
				out = append(out, compareOne(f, ours, theirs))
			}
		}
		if ours == nil {
			continue
		}
		if len(out) == first {
			out = append(out, row{ours: cellText(f, ours)})
		}
		x := &out[first]
		if s, ok := figures.SpreadOf(ours.Samples, f.key); ok && f.goal.holds(ours.n) {
			x.target, x.verdict = f.goal.text, "missed"
			if f.goal.met(s.Median) {
				x.verdict = "met"
			}
		}
		for i := first; i < len(out); i++ {
			out[i].row, out[i].n, out[i].what = l.rowOf(f), figures.Size(ours.n), f.title
		}
	}
	return out
}

// compareOne sets one peer's figure beside ours.
func compareOne(f figure, ours, theirs *result) row {
	x := row{row: theirs.line.rowOf(f), n: figures.Size(theirs.n), what: f.title, peer: theirs.engine.title, theirs: cellText(f, theirs), ours: "-"}
	if ours == nil {
		return x
	}
	x.ours = cellText(f, ours)
	a, okA := figures.SpreadOf(ours.Samples, f.key)
	b, okB := figures.SpreadOf(theirs.Samples, f.key)
	if okA && okB && b.Median > 0 {
		x.ratio = fmt.Sprintf("%.2fx", a.Median/b.Median)
	}
	return x
}

// cellText writes a figure of a cell: the median and the ends, and where it was cut.
func cellText(f figure, r *result) string {
	s, ok := figures.SpreadOf(r.Samples, f.key)
	switch {
	case !ok && r.Problem != "":
		return "no result"
	case !ok:
		return "not measured"
	}
	text := s.Text(f.digits, f.unit)
	if n, ok := figures.SpreadOf(r.Samples, keyTasks); ok && int(n.Low) < r.n {
		text += fmt.Sprintf(" (cut at %s)", figures.Number(n.Low, 0))
	}
	return text
}

func (r report) find(l line, engine string) *result {
	for _, res := range r.results {
		if res.line.name == l.name && res.engine.name == engine {
			return res
		}
	}
	return nil
}

// problems lists what must not happen: it makes the run fail.
func (r report) problems() (out []string) {
	for _, res := range r.results {
		at := fmt.Sprintf("%s on %s with %s", res.line.name, res.engine.name, figures.Size(res.n))
		switch {
		case res.Problem != "":
			out = append(out, at+": "+res.Problem)
		case len(res.Samples) == 0:
			out = append(out, at+": no sample")
		}
		for _, v := range res.Samples {
			if v[keyPending] != v[keyWant] {
				out = append(out, fmt.Sprintf("%s: %.0f tasks are there, want %.0f", at, v[keyPending], v[keyWant]))
			}
		}
	}
	return out
}
