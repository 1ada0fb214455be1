package schedule

import (
	"iter"
	"math"
	"time"
)

// Occurrence is one nominal instant of a schedule, as a preview tells it. It will grow fields; write literals with names.
type Occurrence struct {
	At  time.Time // the nominal instant
	Due time.Time // At plus jitter
}

// Preview yields the occurrences not before from, in order, until the schedule ends, by Until, by Times or with the year
// 9999, or the caller stops.
//
// It tells what will be if every occurrence is run on time: Times is counted from the first occurrence of all, and for
// Pace and PaceFromStart each run is taken to start when due and to last no time, so that the pace counts from there.
func (r Rule) Preview(from time.Time) iter.Seq[Occurrence] {
	return func(yield func(Occurrence) bool) {
		last := lastInstant()
		at, n := r.seek(from)
		for ; !at.IsZero() && (r.times == 0 || n < int64(r.times)); n = addOne(n) {
			due := at.Add(r.offset)
			if due.After(last) || !yield(Occurrence{At: at, Due: due}) {
				return
			}
			at = r.Next(due) // moves a pace by the jitter; a grid stays, since its jitter is less than a period
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
	case r.first.IsZero() || from.After(r.end):
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
