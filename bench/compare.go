package main

import (
	"fmt"

	"github.com/dulyhq/duly/bench/figures"
)

// comparing: which figures of ours stand beside which of a peer's, and whether a target is met.

// rowsOf gives the table of one line: for each size and figure, ours beside every peer's.
func (r report) rowsOf(l line) []row {
	var out []row
	for _, n := range r.sizesOf(l) {
		ours := r.find(l, engineDuly, n)
		for _, f := range l.figures {
			first := len(out)
			met := make(map[int]bool) // goals of f already shown
			for _, name := range l.engines {
				if name == engineDuly {
					continue
				}
				theirs := r.find(l, name, n)
				if theirs == nil {
					continue
				}
				out = append(out, compareOne(f, n, ours, theirs, met))
			}
			if len(out) == first && ours != nil {
				out = append(out, row{n: sizeOf(ours), what: f.title, ours: cellText(f, ours)})
			}
			if ours != nil {
				out = withAbsolute(out, first, f, n, ours)
			}
		}
	}
	return out
}

// compareOne sets one peer's figure beside ours, with the goal that names this peer.
func compareOne(f figure, n int, ours, theirs *result, shown map[int]bool) row {
	x := row{n: sizeOf(theirs), what: f.title, peer: theirs.engine.title, theirs: cellText(f, theirs)}
	if theirs.engine.name == engineEmpty {
		x.peer = "(" + x.peer + ")"
	}
	if ours == nil {
		x.ours = "-"
		return x
	}
	x.ours = cellText(f, ours)
	a, okA := figures.SpreadOf(ours.Samples, f.key)
	b, okB := figures.SpreadOf(theirs.Samples, f.key)
	if !okA || !okB || b.Median <= 0 || theirs.engine.name == engineEmpty {
		return x
	}
	ratio := a.Median / b.Median
	x.ratio = ratioText(ratio)
	for i, g := range f.goals {
		if g.peer == theirs.engine.name && (g.size == 0 || g.size == n) && !shown[i] {
			shown[i] = true
			x.target, x.verdict = g.text, verdict(ratio <= g.limit)
		}
	}
	return x
}

// withAbsolute writes goals that name no peer into the first line of the figure.
func withAbsolute(rows []row, first int, f figure, n int, ours *result) []row {
	s, ok := figures.SpreadOf(ours.Samples, f.key)
	for _, g := range f.goals {
		if !ok || g.peer != "" || g.size != 0 && g.size != n || first >= len(rows) {
			continue
		}
		rows[first].target, rows[first].verdict = g.text, verdict(s.Median <= g.limit)
	}
	return rows
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "missed"
}

func ratioText(ratio float64) string {
	if ratio < 0.01 {
		return fmt.Sprintf("%.4fx", ratio)
	}
	return fmt.Sprintf("%.2fx", ratio)
}

// cellText writes a figure of a cell: the median and the ends.
func cellText(f figure, r *result) string {
	s, ok := figures.SpreadOf(r.Samples, f.key)
	switch {
	case !ok && r.Problem != "":
		return "no result: " + r.Problem
	case !ok:
		return "not all fired"
	}
	text := s.Text(f.digits, f.unit)
	if r.cut() {
		text += fmt.Sprintf(" (cut at %s)", figures.Number(float64(r.pending), 0))
	}
	return text
}

func sizeOf(r *result) string { return figures.Size(r.n) }

func (r report) find(l line, engine string, n int) *result {
	for _, res := range r.results {
		if res.line.name == l.name && res.engine.name == engine && res.n == n {
			return res
		}
	}
	return nil
}

// sizesOf gives the sizes that the line was measured at, in the order they ran.
func (r report) sizesOf(l line) []int {
	var out []int
	seen := make(map[int]bool)
	for _, res := range r.results {
		if res.line.name == l.name && !seen[res.n] {
			seen[res.n] = true
			out = append(out, res.n)
		}
	}
	return out
}

// problems lists what must not happen on any engine that is ours or the standard library's: it makes the run fail.
func (r report) problems() []string {
	var out []string
	for _, res := range r.results {
		at := fmt.Sprintf("%s on %s with %s", res.line.name, res.engine.name, figures.Size(res.n))
		if res.Problem != "" {
			out = append(out, at+": "+res.Problem)
		}
		if len(res.Samples) == 0 && res.Problem == "" {
			out = append(out, at+": no sample")
		}
		if res.engine.heavy {
			continue // their promises are theirs
		}
		for _, v := range res.Samples {
			if text := checkSample(v); text != "" {
				out = append(out, at+": "+text)
				break
			}
		}
	}
	return out
}

// checkSample says what is wrong with a sample's counts, or nothing.
func checkSample(v values) string {
	if added, ok := v[keyAdded]; ok && v[keyFired] != added {
		return fmt.Sprintf("%.0f fired of %.0f added", v[keyFired], added)
	}
	if v[keyEarly] > 0 {
		return fmt.Sprintf("%.0f fired early", v[keyEarly])
	}
	if lost, ok := v[keyLost]; ok && v[keyFired] != lost {
		return fmt.Sprintf("%.0f cancels came too late but %.0f fired", lost, v[keyFired])
	}
	return ""
}
