package schedule

import (
	"math"
	"time"
)

// zoned is a rule about the wall clock, in a zone: it turns readings into instants. Where the zone's clocks are put forward
// or back it follows the contract's I2 to I4:
//
//   - A rule that pins the hour fires once for a reading that a gap swallows (gap), and for one that a fold repeats as often
//     as asked (fold).
//   - A rule that does not pin it fires whenever the clock really shows a match.
//
// Time is seen as stretches of constant offset, in which readings and instants run side by side; what is special happens at
// the seams. It is never changed once made.
type zoned struct {
	rule      readings
	fractions []part // where in a second that matches; nil: at its beginning
	zone      *zone
	gap       Gap
	fold      Fold
}

// readings say which readings of a wall clock match, and nothing of zones.
type readings interface {
	next(c civil) (civil, bool)   // the first match that is not before c
	prev(c civil) (civil, bool)   // the last match that is not after c
	count(first, end civil) int64 // how many there are from first on and before end
	pinsHour() bool               // says whether hours are named: what names none is matched against every real minute
}

const (
	// near is how far apart in seconds a seam and a reading can be that have to do with each other: more than a day, which the
	// largest shifts were, those over the date line.
	near = 26 * 60 * 60

	// maxSeams bounds how many stretches one search looks at. More than two a year are rare, and after 400 years everything
	// repeats: a rule that has not fired by then never will.
	maxSeams = 1200
)

// seen returns the reading up to which the stretches just before this one have come: what it shows below that is shown for
// the second time.
func (z *zoned) seen(s stretch) civil {
	limit := civil(math.MinInt64)
	for start := s.start; start != noStart && start > s.start-near; {
		p := z.zone.at(start - 1)
		limit = max(limit, civil(start+p.offset))
		start = p.start
	}
	return limit
}

// again returns the reading at which the stretches just after this one begin: what it shows from there is shown again.
func (z *zoned) again(s stretch) civil {
	limit := civil(math.MaxInt64)
	for end := s.end; end != noEnd && end < s.end+near; {
		n := z.zone.at(end)
		limit = min(limit, civil(end+n.offset))
		end = n.end
	}
	return limit
}

// bounds returns the readings of a stretch that count, from the first on and before the second, as far as readings between
// lo and hi are concerned.
func (z *zoned) bounds(s stretch, lo, hi civil) (first, end civil) {
	first, end = math.MinInt64, math.MaxInt64
	if s.start != noStart {
		first = civil(s.start + s.offset)
	}
	if s.end != noEnd {
		end = civil(s.end + s.offset)
	}
	if !z.rule.pinsHour() {
		return first, end
	}
	if z.fold == FoldFirst && s.start != noStart && int64(lo) < s.start+s.offset+near {
		first = max(first, z.seen(s))
	}
	if z.fold == FoldSecond && s.end != noEnd && int64(hi) > s.end+s.offset-near {
		end = min(end, z.again(s))
	}
	return first, end
}

// swallowed returns the readings that the gap at the beginning of a stretch swallows, from the first on and before the
// second; there are none if they are the same, nor if the rule does not care.
func (z *zoned) swallowed(s stretch) (first, end civil) {
	if s.start == noStart || z.gap == GapSkip || !z.rule.pinsHour() {
		return 0, 0
	}
	p := z.zone.at(s.start - 1)
	if p.offset >= s.offset {
		return 0, 0
	}
	return civil(s.start + p.offset), civil(s.start + s.offset)
}

// moved returns the first second that is not before lo, and to which the gap at the beginning of a stretch moves a match.
func (z *zoned) moved(s stretch, lo int64) (int64, bool) {
	if s.start == noStart || lo > s.start+near || z.gap == GapAfter && lo > s.start {
		return 0, false
	}
	first, end := z.swallowed(s)
	if first == end {
		return 0, false
	}
	c, ok := z.rule.next(first + civil(max(0, lo-s.start)))
	switch {
	case !ok || c >= end:
		return 0, false
	case z.gap == GapAfter:
		return s.start, true
	}
	return s.start + int64(c-first), true
}

// movedUpTo returns the last second that is not after hi, and to which the gap at the beginning of a stretch moves a match.
func (z *zoned) movedUpTo(s stretch, hi int64) (int64, bool) {
	if s.start == noStart {
		return 0, false
	}
	first, end := z.swallowed(s)
	if first == end {
		return 0, false
	}
	last := end - 1
	if z.gap == GapShift {
		last = min(last, first+civil(hi-s.start))
	}
	c, ok := z.rule.prev(last)
	switch {
	case !ok || c < first:
		return 0, false
	case z.gap == GapAfter:
		return s.start, true
	}
	return s.start + int64(c-first), true
}

// next returns the first occurrence strictly after t; the zero time is never.
func (z *zoned) next(t time.Time) time.Time {
	if z.fractions != nil {
		return z.nextFraction(t)
	}
	at, ok := z.nextSecond(t.Unix() + 1)
	if !ok {
		return time.Time{}
	}
	return instant(at, 0)
}

// nextSecond returns the first second not before lo in which something happens.
func (z *zoned) nextSecond(lo int64) (int64, bool) {
	for range maxSeams {
		s := z.zone.at(lo)
		at, found := z.moved(s, lo)
		reading := civil(lo + s.offset)
		c, ok := z.rule.next(reading)
		first, end := z.bounds(s, reading, c)
		if ok && c < first {
			c, ok = z.rule.next(first)
		}
		if ok && c < end && (!found || int64(c)-s.offset < at) {
			at, found = int64(c)-s.offset, true
		}
		if found {
			return at, true
		}
		if s.end == noEnd {
			return 0, false
		}
		// Nothing more in this stretch. The next match by the clock says how far nothing can happen.
		after := z.zone.at(s.end)
		if c, ok = z.rule.next(civil(s.end + min(s.offset, after.offset))); !ok {
			return 0, false
		}
		lo = max(s.end, int64(c)-near)
	}
	return 0, false
}

// prev returns the last occurrence strictly before t; the zero time is none.
func (z *zoned) prev(t time.Time) time.Time {
	if z.fractions != nil {
		return z.prevFraction(t)
	}
	hi := t.Unix()
	if t.Nanosecond() == 0 {
		hi--
	}
	at, ok := z.prevSecond(hi)
	if !ok {
		return time.Time{}
	}
	return instant(at, 0)
}

// prevSecond returns the last second not after hi in which something happens.
func (z *zoned) prevSecond(hi int64) (int64, bool) {
	for range maxSeams {
		s := z.zone.at(hi)
		at, found := z.movedUpTo(s, hi)
		reading := civil(hi + s.offset)
		c, ok := z.rule.prev(reading)
		first, end := z.bounds(s, c, reading)
		if ok && c >= end {
			c, ok = z.rule.prev(end - 1)
			first, _ = z.bounds(s, c, reading)
		}
		if ok && c >= first && (!found || int64(c)-s.offset > at) {
			at, found = int64(c)-s.offset, true
		}
		if found {
			return at, true
		}
		if s.start == noStart {
			return 0, false
		}
		before := z.zone.at(s.start - 1)
		if c, ok = z.rule.prev(civil(s.start + max(s.offset, before.offset) - 1)); !ok {
			return 0, false
		}
		hi = min(s.start-1, int64(c)+near)
	}
	return 0, false
}

// count returns the number of occurrences after the first instant and not after the second.
func (z *zoned) count(after, upTo time.Time) (n int64) {
	lo, last := after.Unix()+1, upTo.Unix()
	for lo <= last {
		s := z.zone.at(lo)
		hi := last
		if s.end != noEnd {
			hi = min(hi, s.end-1)
		}
		first, end := z.bounds(s, civil(lo+s.offset), civil(hi+s.offset))
		first, end = max(first, civil(lo+s.offset)), min(end, civil(hi+s.offset+1))
		n += z.rule.count(first, end) + z.countMoved(s, lo, hi)
		if s.end == noEnd {
			break
		}
		// The next match by the clock says how far nothing can happen.
		c, ok := z.rule.next(civil(s.end + min(s.offset, z.zone.at(s.end).offset)))
		if !ok {
			break
		}
		lo = max(s.end, int64(c)-near)
	}
	return n
}

// countMoved counts the seconds from lo to hi to which the gap at the beginning of a stretch moves a match and which no
// match has anyway.
func (z *zoned) countMoved(s stretch, lo, hi int64) (n int64) {
	if at, ok := z.moved(s, lo); !ok || at > hi {
		return 0
	} else if z.gap == GapAfter {
		if z.matches(civil(at + s.offset)) {
			return 0
		}
		return 1
	}
	first, end := z.swallowed(s)
	width := end - first
	first, end = first+civil(lo-s.start), min(end, first+civil(hi-s.start+1))
	step := civil(60) // gaps are whole minutes, and which seconds of a minute match is the same for all that do
	if width%step != 0 {
		step = 1
	}
	for c, ok := z.rule.next(first); ok && c < end; c, ok = z.rule.next(c) {
		block := c - c%step
		if z.rule.count(block+width, block+width+step) == 0 {
			n += z.rule.count(c, min(block+step, end))
		}
		c = block + step
	}
	return n
}

// matches says whether a reading matches.
func (z *zoned) matches(c civil) bool {
	m, ok := z.rule.next(c)
	return ok && m == c
}

// marks tells what is special about an occurrence.
func (z *zoned) marks(at time.Time) (m Marks) {
	second := at.Unix()
	s := z.zone.at(second)
	reading := civil(second + s.offset)
	if s.start == noStart || second > s.start+near {
		return 0
	}
	if !z.matches(reading) || z.fractions != nil && z.fractionOf(reading, at.Nanosecond()/1000, true) != at.Nanosecond()/1000 {
		return MarkGap
	}
	if reading < z.seen(s) {
		return MarkFold
	}
	return 0
}

// instant is a second since 1970, and microseconds of it, as an instant that a schedule knows; the zero time if it is none.
func instant(second int64, micro int) time.Time {
	t := time.Unix(second, int64(micro)*1000).UTC()
	if !inRange(t) {
		return time.Time{}
	}
	return t
}
