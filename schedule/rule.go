package schedule

import (
	"math"
	"time"
)

// Rule is a Schedule bound to a task: its phase comes from the instant of acceptance, its jitter from the task's name. It
// is a pure value: the same arguments give the same answer on every machine; it may be used from several goroutines. Its
// methods allocate nothing (Preview aside), take few steps whatever the distance, and never wrap: what would lie
// beyond the year 9999 is never. The zero Rule has no occurrence.
//
// All instants are nominal, in UTC and without a monotonic reading. An occurrence is due at its nominal instant plus
// [Rule.Offset]. [Schedule.Times] counts starts, which a pure rule cannot know: only Preview heeds it.
type Rule struct {
	kind   Kind
	pinned bool   // the first instant was given by From: a pace does not come before it
	times  uint32 // 0: no limit, or one that no preview reaches
	d      time.Duration
	offset time.Duration
	set    *set      // of a calendar, and of a grid that leaves something out
	first  time.Time // zero: no occurrence at all; for KindEvery also the anchor of the grid
	end    time.Time // no occurrence after it
}

// Bind makes the rule of the task name, accepted at the given instant. That of an invalid schedule has no occurrence, so
// ask [Schedule.Err] first.
func (s Schedule) Bind(name string, accepted time.Time) Rule {
	if s.Err() != nil {
		return Rule{}
	}
	accepted = bare(accepted)
	if accepted.Before(time.Time{}) {
		accepted = time.Time{}
	}
	r := Rule{kind: s.kind, d: s.d, end: lastInstant()}
	if m := s.more; m != nil {
		r.offset = spread(name, m.jitter)
		if int64(m.times) <= math.MaxUint32 {
			r.times = uint32(m.times)
		}
		if !m.until.IsZero() {
			r.end = m.until
		}
		r.pinned = !m.from.IsZero()
	}
	if r.set = s.bindSet(name, accepted); r.set != nil && !r.set.until.IsZero() && r.set.until.Before(r.end) {
		r.end = r.set.until
	}
	switch {
	case r.set != nil && r.pinned:
		r.first = r.set.next(s.more.from.Add(-1))
	case r.set != nil:
		r.first = r.set.next(accepted)
	case s.kind == KindAfter:
		r.first = accepted.Add(max(s.d, 0))
	case s.kind == KindAt:
		r.first = s.at
	case r.pinned:
		r.first = s.firstFrom()
	case s.more != nil && !s.more.align.IsZero():
		r.first = gridAfter(accepted, s.more.align, s.d)
	default:
		r.first = accepted.Add(s.d)
	}
	if r.first.After(r.end) {
		r.first = time.Time{}
	}
	return r
}

// First returns the first nominal occurrence; the zero time means that there is none. It may lie before the instant of
// acceptance: At or From can name the past.
func (r Rule) First() time.Time { return r.first }

// Spacing returns the time from t, taken to be an occurrence, to the next one: of a calendar, whose occurrences are not
// equally far apart, the answer differs from one to the other. It is at most 292 years, and 0 if there is no next one.
func (r Rule) Spacing(t time.Time) time.Duration {
	n := r.Next(t)
	if n.IsZero() {
		return 0
	}
	return n.Sub(t)
}

// Offset returns the jitter of the task, the same for each of its occurrences: at least 0 and less than the limit given to
// [Schedule.Jitter]. due = Next + Offset. It is the 64-bit FNV-1a hash of the name's bytes, put through MurmurHash3's
// finalizer fmix64, times the limit, divided by 2^64 and rounded down. This does not change between releases.
func (r Rule) Offset() time.Duration { return r.offset }

// Next returns the first nominal occurrence strictly after t; the zero time means never.
//
// The instants of Pace and PaceFromStart follow from the runs: t is the end, or the start, of the last run, and Next is a
// pace later, but not before From if that was given. Before the first run ask [Rule.First].
func (r Rule) Next(t time.Time) time.Time {
	if r.first.IsZero() || !t.Before(r.end) {
		return time.Time{}
	}
	var n time.Time
	switch {
	case r.set != nil:
		if t.Before(r.first) {
			return r.first
		}
		n = r.set.next(t)
	case r.kind == KindPace || r.kind == KindPaceFromStart:
		if t.Before(time.Time{}) {
			t = time.Time{}
		}
		n = bare(t).Add(r.d)
		if r.pinned && n.Before(r.first) {
			n = r.first
		}
	case t.Before(r.first):
		return r.first
	case r.kind == KindEvery:
		n = gridAfter(bare(t), r.first, r.d)
	}
	if n.After(r.end) {
		return time.Time{}
	}
	return n
}

// Prev returns the last nominal occurrence strictly before t; the zero time means none. Of Pace and PaceFromStart it
// knows the first only, since the others follow from the runs.
func (r Rule) Prev(t time.Time) time.Time {
	switch {
	case r.first.IsZero() || !t.After(r.first):
		return time.Time{}
	case r.set != nil:
		if t.After(r.end) {
			t = r.end.Add(1)
		}
		if p := r.set.prev(t); !p.Before(r.first) {
			return p
		}
		return time.Time{}
	case r.kind != KindEvery:
		return r.first
	}
	if t.After(r.end) {
		return r.end.Add(-phase(r.end, r.first, r.d))
	}
	t = bare(t)
	if p := phase(t, r.first, r.d); p != 0 {
		return t.Add(-p)
	}
	return t.Add(-r.d)
}

// Count returns the number of nominal occurrences after the first instant and not after the second, at most
// math.MaxInt64. Of a union, of a calendar with fractions of a second, and of what leaves something out, it counts one by one and no further than 10,001. For Pace and
// PaceFromStart it is 1 if a run that ended, or started, at after would be followed by one up
// to upTo, else 0.
func (r Rule) Count(after, upTo time.Time) int64 {
	n := r.Next(after)
	if n.IsZero() || n.After(upTo) {
		return 0
	}
	if upTo.After(r.end) {
		upTo = r.end
	}
	switch {
	case r.set != nil:
		return addOne(r.set.count(n, upTo))
	case r.kind != KindEvery:
		return 1
	}
	return addOne(steps(bare(upTo), n, r.d))
}
