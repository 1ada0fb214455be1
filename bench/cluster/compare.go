package main

import (
	"fmt"

	"github.com/dulyhq/duly/bench/figures"
)

// comparing: which figures of ours stand beside which of a peer's, and whether a target is met.

// row is one line of a printed table: one figure of ours beside one peer's.
type row struct {
	what, n, ours, peer, theirs, ratio, target, verdict string
}

// rowsOf gives the table of one line: for each figure, ours beside every peer's. A target for ours alone stands in the first of them.
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
			out = append(out, row{what: f.title, n: figures.Size(ours.n), ours: cellText(f, ours)})
		}
		if s, ok := figures.SpreadOf(ours.Samples, f.key); ok && f.most != nil {
			out[first].target, out[first].verdict = f.most.text, verdict(s.Median <= f.most.limit)
		}
	}
	return out
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "missed"
}

// compareOne sets one peer's figure beside ours.
func compareOne(f figure, ours, theirs *result) row {
	x := row{what: f.title, peer: theirs.engine.title, theirs: cellText(f, theirs), ours: "-"}
	if ours == nil {
		x.n = figures.Size(theirs.n)
		return x
	}
	x.n, x.ours = figures.Size(ours.n), cellText(f, ours)
	if ours.n != theirs.n {
		x.n += ", " + figures.Size(theirs.n)
	}
	a, okA := figures.SpreadOf(ours.Samples, f.key)
	b, okB := figures.SpreadOf(theirs.Samples, f.key)
	least, aimed := f.ratios[theirs.engine.name]
	if aimed {
		x.target = fmt.Sprintf(">= %gx", least)
	}
	if okA && okB && b.Median > 0 {
		ratio := a.Median / b.Median
		if x.ratio = fmt.Sprintf("%.2fx", ratio); ratio < 0.1 {
			x.ratio = fmt.Sprintf("%.4fx", ratio)
		}
		if aimed {
			x.verdict = verdict(ratio >= least)
		}
	}
	return x
}

// cellText writes a figure of a cell: the median and the ends, and how many had not begun when it was cut.
func cellText(f figure, r *result) string {
	s, ok := figures.SpreadOf(r.Samples, f.key)
	switch {
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
		case res.Problem != "":
			out = append(out, at+": "+res.Problem)
			continue
		case len(res.Samples) == 0:
			out = append(out, at+": no sample")
		}
		for _, v := range res.Samples {
			if res.engine.name == engineDuly && (v[keyLeft] != 0 || v[keyTwice] != 0 || v[keyEarly] != 0) {
				out = append(out, fmt.Sprintf("%s: of %.0f tasks %.0f never began or are not as they should be, %.0f began twice, %.0f early",
					at, v[keyWant], v[keyLeft], v[keyTwice], v[keyEarly]))
			}
		}
	}
	return out
}
