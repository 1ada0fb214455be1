package contract

import (
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
)

// noteGrid notes what recurs on a grid, so that it can be walked when the case has ended.
func (e *env) noteGrid(k store.Key, s schedule.Schedule) {
	e.Helper()
	switch s.Kind() {
	case schedule.KindAfter, schedule.KindAt, schedule.KindPace, schedule.KindPaceFromStart:
		return
	default:
	}
	ts, err := e.raw.Get(e.ctx, []store.Key{k})
	if err != nil || ts[0] == nil || ts[0].Schedule != s.String() {
		return
	}
	if e.grids[k] == nil {
		e.grids[k] = map[store.Instant]schedule.Rule{}
	}
	e.grids[k][ts[0].AcceptedAt] = s.Bind(k.String(), ts[0].AcceptedAt.Time())
}

// A span is a number of occurrences from one on.
type span struct {
	n   int64
	why string
}

// A walk is over the occurrences of one grid.
type walk struct {
	ran   map[store.Instant]bool
	spans map[store.Instant][]span
	end   store.Instant // the first that nothing is known of yet; Never if all that was is known
	stop  bool          // the schedule was ended: what comes after the last that is known is not asked for
}

// gridsAreWhole is invariant 6: each nominal instant has exactly one of ran, skipped, folded into another.
func (e *env) gridsAreWhole(all []seen, events []store.Event) {
	e.Helper()
	for k, rules := range e.grids {
		for accepted, rule := range rules {
			if !e.strange[k] {
				e.walk(k, accepted, rule, e.known(k, accepted, all, events))
			}
		}
	}
}

// known collects what is known of the occurrences of a grid.
func (e *env) known(k store.Key, accepted store.Instant, all []seen, events []store.Event) *walk {
	w := &walk{ran: map[store.Instant]bool{}, spans: map[store.Instant][]span{}, end: store.Never, stop: true}
	extra := map[int64]bool{}
	generations := map[int64]bool{}
	for i := range events {
		v := &events[i]
		if v.Key != k || v.AcceptedAt != accepted {
			continue
		}
		switch {
		case v.Verb == store.VerbRun:
			extra[v.Generation] = true
		case v.Verb == store.VerbMove, v.Verb == store.VerbAlign:
			e.strange[k] = true // its occurrences are not the grid's
		case v.To == store.Skipped:
			w.spans[v.For] = append(w.spans[v.For], span{max(v.Missed, 1), v.Verb.String() + ": " + v.Reason})
		case v.From == store.Running && !extra[v.Generation], v.Verb == store.VerbBury && !extra[v.Generation]:
			w.ran[v.For] = true
			generations[v.Generation] = true
		}
	}
	ts, err := e.raw.Get(e.ctx, []store.Key{k})
	if err != nil {
		e.Fatalf("Get %v: %v", k, err)
	}
	if t := ts[0]; t != nil && t.AcceptedAt == accepted {
		for i := range t.Runs {
			if r := &t.Runs[i]; !r.Extra && !extra[r.Generation] {
				w.ran[r.For] = true
			}
		}
		if !t.Ended {
			w.stop = false
			if !t.Next.None() {
				w.end = t.Next.For
			}
		}
	}
	for i := range all {
		if s := &all[i]; s.Namespace == k.Namespace && s.Name == k.Name && generations[s.Generation] && !s.Extra && !w.ran[store.At(s.ScheduledFor)] {
			e.Errorf("invariant 6: %s ran, and the history does not say so", s.RunID)
		}
	}
	return w
}

// walk walks over the occurrences of a grid.
func (e *env) walk(k store.Key, accepted store.Instant, rule schedule.Rule, w *walk) {
	e.Helper()
	if e.strange[k] {
		return
	}
	occ, left := rule.First(), len(w.ran)+len(w.spans)
	for !occ.IsZero() && store.At(occ) < w.end {
		i := store.At(occ)
		spans, ran := w.spans[i], w.ran[i]
		switch {
		case len(spans) > 1:
			e.Errorf("invariant 6: %v of %v was passed by twice: %v", occ, k, spans)
			return
		case !ran && len(spans) == 0 && w.stop && left == 0:
			return
		case !ran && len(spans) == 0:
			if w.end == store.Never && left == 0 {
				return // it had a limit
			}
			e.Errorf("invariant 6: of %v of %v nothing is known: not ran, skipped or folded", occ, k)
			return
		}
		if ran {
			left--
			occ = rule.Next(occ) // those folded into an occurrence that ran are behind it
		}
		if len(spans) == 0 {
			continue
		}
		left--
		for range spans[0].n {
			if w.ran[store.At(occ)] {
				e.Errorf("invariant 6: %v of %v ran and was passed by: %v", occ, k, spans[0])
			}
			occ = rule.Next(occ)
		}
	}
	if left > 0 {
		e.Errorf("invariant 6: %v accepted at %v: %d of what the history knows are no occurrences of its grid, or come after its next, %v", k, accepted, left, w.end)
	}
}
