package schedule

import (
	"iter"
	"math"
	"strings"
	"time"
)

// Occurrence is one nominal instant of a schedule, as a preview tells it. It will grow fields; write literals with names.
type Occurrence struct {
	At    time.Time // the nominal instant
	Due   time.Time // At plus jitter
	Marks Marks     // what is special about it
}

// Marks say what is special about an occurrence: a set of bits.
type Marks uint8

// The marks.
const (
	MarkGap      Marks = 1 << iota // its time of day does not exist on that day: clocks are put forward over it
	MarkFold                       // its time of day comes for the second time: clocks were put back
	MarkJitter                     // it is due later than its nominal instant
	MarkExcluded                   // it is left out and never runs
)

// Has reports whether all of o are among m.
func (m Marks) Has(o Marks) bool { return m&o == o }

// Strings returns the words for the marks: gap-moved, fold-second, jittered, excluded.
func (m Marks) Strings() []string {
	var words []string
	for i, w := range [...]string{"gap-moved", "fold-second", "jittered", "excluded"} {
		if m>>i&1 == 1 {
			words = append(words, w)
		}
	}
	return words
}

// String joins the words with commas.
func (m Marks) String() string { return strings.Join(m.Strings(), ",") }

// Preview yields the occurrences not before from, in order, until the schedule ends, by Until, by Times or with the year
// 9999, or the caller stops.
//
// It tells what will be if every occurrence is run on time: Times is counted from the first occurrence of all, and for
// Pace and PaceFromStart each run is taken to start when due and to last no time, so that the pace counts from there.
// Occurrences that Except leaves out are told, too, marked so; they count for nothing.
func (r Rule) Preview(from time.Time) iter.Seq[Occurrence] {
	if r.set != nil {
		return r.previewSet(from)
	}
	return func(yield func(Occurrence) bool) {
		last := lastInstant()
		at, n := r.seek(from)
		for ; !at.IsZero() && (r.times == 0 || n < int64(r.times)); n = addOne(n) {
			due := at.Add(r.offset)
			if due.After(last) || !yield(Occurrence{At: at, Due: due, Marks: r.jitterMark()}) {
				return
			}
			at = r.Next(due) // moves a pace by the jitter; a grid stays, since its jitter is less than a period
		}
	}
}

func (r Rule) jitterMark() Marks {
	if r.offset > 0 {
		return MarkJitter
	}
	return 0
}

// previewSet is Preview for a calendar.
func (r Rule) previewSet(from time.Time) iter.Seq[Occurrence] {
	return func(yield func(Occurrence) bool) {
		n, at := int64(0), r.set.base(from.Add(-1), true)
		if r.times > 0 && at.After(r.first) {
			n = r.Count(r.first.Add(-1), at.Add(-1))
		}
		last := lastInstant()
		for !at.IsZero() && !at.After(r.end) && (r.times == 0 || n < int64(r.times)) {
			due, marks := at.Add(r.offset), r.set.marks(at)|r.jitterMark()
			if at.Before(r.first) && !marks.Has(MarkExcluded) { // before it was accepted
				if p := r.set.prev(r.first.Add(-1)); p.After(at) {
					at = p
				}
				at = r.set.base(at, true)
				continue
			}
			if due.After(last) || !yield(Occurrence{At: at, Due: due, Marks: marks}) {
				return
			}
			if !marks.Has(MarkExcluded) {
				n = addOne(n)
			}
			at = r.set.base(at, true)
		}
	}
}

// seek finds the first occurrence of a preview not before from, and how many came before it.
func (r Rule) seek(from time.Time) (at time.Time, n int64) {
	step := r.d
	if r.kind != KindEvery {
		step += r.offset
	}
	switch {
	case r.first.IsZero():
		return time.Time{}, 0
	case !from.After(r.first):
		return r.first, 0
	case r.kind == KindAfter || r.kind == KindAt:
		return time.Time{}, 0
	case step < 0: // wrapped: a step is longer than 292 years, so there are few
		for at = r.first; !at.IsZero() && at.Before(from); n++ {
			at = r.Next(at.Add(r.offset))
		}
		return at, n
	}
	at = gridFrom(bare(from), r.first, step)
	if at.After(r.end) {
		return time.Time{}, 0
	}
	return at, steps(at, r.first, step)
}

// addOne counts on, up to the largest number there is.
func addOne(n int64) int64 {
	if n == math.MaxInt64 {
		return n
	}
	return n + 1
}
