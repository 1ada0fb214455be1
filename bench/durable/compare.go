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
			out = append(out, row{n: figures.Size(ours.n), what: f.title, ours: cellText(f, ours)})
		}
		if s, ok := figures.SpreadOf(ours.Samples, f.key); ok && f.goal.text != "" {
			out[first].target, out[first].verdict = f.goal.text, "missed"
			if s.Median <= f.goal.limit {
				out[first].verdict = "met"
			}
		}
	}
	return out
}

// compareOne sets one peer's figure beside ours.
func compareOne(f figure, ours, theirs *result) row {
	x := row{n: figures.Size(theirs.n), what: f.title, peer: theirs.engine.title, theirs: cellText(f, theirs), ours: "-"}
	if ours == nil {
		return x
	}
	x.ours = cellText(f, ours)
	a, okA := figures.SpreadOf(ours.Samples, f.key)
	b, okB := figures.SpreadOf(theirs.Samples, f.key)
	if okA && okB && b.Median > 0 {
		x.ratio = fmt.Sprintf("%.4fx", a.Median/b.Median)
	}
	return x
}

// cellText writes a figure of a cell: the median and the ends, and how many had not begun when it was cut.
func cellText(f figure, r *result) string {
	s, ok := figures.SpreadOf(r.Samples, f.key)
	switch {
	case r.Absent != "":
		return "**NOT ON THIS MACHINE**"
	case !ok && r.Problem != "":
		return "no result"
	case !ok:
		return "not measured"
	}
	text := s.Text(f.digits, f.unit)
	if left, ok := figures.SpreadOf(r.Samples, keyLeft); ok && left.High > 0 {
		text += fmt.Sprintf(" (%s never began)", figures.Number(left.High, 0))
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

// problems lists what must not happen: it makes the run fail. Of a peer only that it gave no figures; that it is early or too slow is a
// figure.
func (r report) problems() (out []string) {
	for _, res := range r.results {
		at := fmt.Sprintf("%s on %s", res.line.name, res.engine.name)
		switch {
		case res.Absent != "":
			continue
		case res.Problem != "":
			out = append(out, at+": "+res.Problem)
			continue
		case len(res.Samples) == 0:
			out = append(out, at+": no sample")
		}
		for _, v := range res.Samples {
			if res.engine.name == engineDuly && (v[keyLeft] != 0 || v[keyTwice] != 0 || v[keyEarly] != 0) {
				out = append(out, fmt.Sprintf("%s: of %.0f tasks %.0f never began, %.0f began twice, %.0f early", at, v[keyWant], v[keyLeft], v[keyTwice], v[keyEarly]))
			}
		}
	}
	if r.hour != nil {
		out = append(out, r.hour.problems()...)
	}
	return out
}
