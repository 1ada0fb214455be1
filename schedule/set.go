package schedule

import (
	"cmp"
	"math/bits"
	"slices"
	"time"
)

// A set is what the rule of a calendar consists of: one expression or recurrence in its zone, or dates, or rules of which each adds its
// occurrences, less what other rules leave out. It is never changed once made.
type set struct {
	zoned  *zoned
	dates  []int64   // in seconds since 1970, sorted
	from   time.Time // of zoned, by the second; zero: none
	until  time.Time // of zoned; zero: none
	rules  []Rule
	except []exception
	recurs bool // there are recurrences
}

// An exception leaves out what lies in an occurrence of its rule: at it, or less than grain after it.
type exception struct {
	rule  Rule
	grain time.Duration
}

// maxLeftOut bounds how many questions are asked to find an occurrence that is not left out: occurrences times exceptions.
// See affordable.
const maxLeftOut = 10_000

func (b *set) patience() int {
	if len(b.except) == 0 {
		return 1
	}
	most := maxLeftOut
	if b.recurs {
		most /= 5 // since they cost more
	}
	n, dates := 0, 0
	for i := range b.except {
		if e := b.except[i].rule.set; e != nil && e.dates != nil {
			dates += len(e.dates) // that many may be left out in a row, and each is found at once
		} else {
			n++
		}
	}
	return most/max(n, 1) + dates
}

// stalls says whether a search gives up that begins where an exception does. It asks each of the last ones ever farther from an
// instant, since what a rule leaves out it leaves out again and again.
func (b *set) stalls(from time.Time) bool {
	const most, farthest = 8, 400 * 24 * time.Hour
	for i := range b.except[max(len(b.except)-most, 0):] {
		e := &b.except[len(b.except)-1-i]
		at := from
		for step := time.Second; step < farthest; step *= 4 {
			if at = e.rule.Next(at.Add(step)); at.IsZero() {
				break
			}
			if _, gaveUp := b.search(at.Add(-1)); gaveUp {
				return true
			}
		}
	}
	return false
}

// maxCounted bounds how many occurrences are counted one by one.
const maxCounted = 10_000

// bindSet makes the set of s, or nil for a schedule that needs none.
func (s Schedule) bindSet(name string, accepted time.Time) *set {
	m := s.more
	if s.kind < KindCron && (m == nil || len(m.except) == 0) {
		return nil
	}
	b := &set{}
	switch s.kind {
	case KindCron, KindCalendar:
		b.zoned = m.zoned(name)
	case KindRRule:
		m.bindRecurrences(b, accepted)
	case KindUnion:
		for _, member := range m.members {
			b.rules = append(b.rules, member.Bind(name, accepted))
		}
	default:
		inner := *m
		inner.except = nil
		s.more = &inner
		b.rules = []Rule{s.Bind(name, accepted)}
	}
	for _, other := range m.except {
		b.except = append(b.except, other.inZone(m.zone).exceptions(name)...)
	}
	for _, e := range b.except {
		b.recurs = b.recurs || e.rule.kind == KindRRule
	}
	return b
}

// inZone reads what has no zone of its own in the one given, if there is one.
func (s Schedule) inZone(z *zone) Schedule {
	if z == nil || s.more == nil {
		return s
	}
	n := s.copyMore()
	if s.kind.civil() && n.zone == nil {
		n.zone = z
	}
	n.members = slices.Clone(n.members)
	for i, m := range n.members {
		n.members[i] = m.inZone(z)
	}
	s.more = n
	return s
}

// zoned makes the rule that an expression is for a task.
func (m *more) zoned(name string) *zoned {
	z := &zoned{zone: cmp.Or(m.zone, utc).ready(), gap: cmp.Or(m.gap, GapAfter), fold: cmp.Or(m.fold, FoldFirst)}
	if m.calendar != nil {
		z.rule, z.fractions = &m.calendar.rule, m.calendar.fractions
	} else {
		z.rule = m.cron.resolve(name)
	}
	return z
}

// exceptions are what s leaves out of another schedule. What leaves out counts from the beginning of time, whenever the task
// was accepted.
func (s Schedule) exceptions(name string) (all []exception) {
	if s.kind == KindUnion && len(s.more.except) == 0 && s.more.from.IsZero() && s.more.until.IsZero() {
		for _, m := range s.more.members {
			all = append(all, m.exceptions(name)...)
		}
		return all
	}
	e := exception{rule: s.Bind(name, time.Time{}), grain: 1}
	switch s.kind {
	case KindCron:
		e.grain = s.more.cron.grain()
	case KindCalendar:
		e.grain = s.more.calendar.grain()
	default: // an instant
	}
	return append(all, e)
}

// leftOut says whether an occurrence is left out.
func (b *set) leftOut(at time.Time) bool {
	for i := range b.except {
		e := &b.except[i]
		if p := e.rule.Prev(at.Add(1)); !p.IsZero() && at.Sub(p) < e.grain {
			return true
		}
	}
	return false
}

// gap returns the ends of a stretch around at, which is left out, in which everything is, as far as is known at no cost.
func (b *set) gap(at time.Time) (start, end time.Time) {
	start, end = at, at.Add(1)
	for i := range b.except {
		e := &b.except[i]
		p := e.rule.Prev(at.Add(1))
		if p.IsZero() || at.Sub(p) >= e.grain {
			continue
		}
		s, u := e.solid(p)
		if s.Before(start) {
			start = s
		}
		if u.After(end) {
			end = u
		}
	}
	return start, end
}

// solid returns the ends of a stretch around one of the exception's occurrences in which it goes on without a break: the
// minutes of an hour in a row, the hour, or the day.
func (e *exception) solid(at time.Time) (start, end time.Time) {
	if e.rule.set == nil || e.rule.set.zoned == nil || len(e.rule.set.except) > 0 {
		return at, at.Add(e.grain)
	}
	const minutes, hours = 1<<60 - 1, 1<<24 - 1
	z := e.rule.set.zoned
	k, ok := z.rule.(*cron)
	if !ok || z.fractions != nil || k.second != minutes && e.grain != time.Minute {
		return at, at.Add(e.grain)
	}
	s := z.zone.at(at.Unix())
	day, second := civil(at.Unix() + s.offset).split()
	hour, minute := second/3600, second/60%60
	first, last := hour*60+runStart(k.minute, minute), hour*60+runEnd(k.minute, minute)
	if k.minute == minutes && k.hour == hours && !k.pinsHour() { // one that pins it may leave a fold's second hour
		first, last = 0, 24*60
	}
	from, until := int64(makeCivil(day, first*60))-s.offset, int64(makeCivil(day, last*60))-s.offset
	if s.start != noStart {
		from = max(from, s.start)
	}
	if s.end != noEnd {
		until = min(until, s.end)
	}
	if start = time.Unix(from, 0).UTC(); start.Before(e.rule.first) {
		start = e.rule.first
	}
	if end = time.Unix(until, 0).UTC(); end.After(e.rule.end) {
		end = at.Add(e.grain)
	}
	return start, end
}

// runStart and runEnd are the ends of the run of bits around n in a set of sixty.
func runStart(set uint64, n int) int { return bits.Len64(^set & (1<<n - 1)) }

func runEnd(set uint64, n int) int { return n + bits.TrailingZeros64(^(set >> n)) }

// base is next or prev without what is left out.
func (b *set) base(t time.Time, forward bool) (best time.Time) {
	if b.zoned != nil {
		if !forward {
			if best = b.zoned.prev(t); best.Before(b.from) {
				return time.Time{}
			}
			return best
		}
		if t.Before(b.from) {
			t = b.from.Add(-1)
		}
		return b.zoned.next(t)
	}
	if b.dates != nil {
		return dateFrom(b.dates, t, forward)
	}
	for i := range b.rules {
		r := &b.rules[i]
		if forward {
			if n := r.Next(t); !n.IsZero() && (best.IsZero() || n.Before(best)) {
				best = n
			}
		} else if p := r.Prev(t); p.After(best) {
			best = p
		}
	}
	return best
}

// next returns the first occurrence strictly after t; the zero time is never.
func (b *set) next(t time.Time) time.Time {
	n, _ := b.search(t)
	return n
}

// search is next, and says whether it found all that it looked at left out and gave up.
func (b *set) search(t time.Time) (n time.Time, gaveUp bool) {
	n = b.base(t, true)
	for range b.patience() {
		if n.IsZero() || !b.leftOut(n) {
			return n, false
		}
		_, end := b.gap(n)
		n = b.base(end.Add(-1), true)
	}
	return time.Time{}, true
}

// prev returns the last occurrence strictly before t; the zero time is none.
func (b *set) prev(t time.Time) time.Time {
	p := b.base(t, false)
	for range b.patience() {
		if p.IsZero() || !b.leftOut(p) {
			return p
		}
		start, _ := b.gap(p)
		p = b.base(start, false)
	}
	return time.Time{}
}

// count returns the number of occurrences after the first instant and not after the second. One expression is counted by
// arithmetic; a union, fractions of a second, or what leaves something out, one by one up to maxCounted.
func (b *set) count(after, upTo time.Time) (n int64) {
	if b.zoned != nil && b.zoned.fractions == nil && len(b.except) == 0 {
		return b.zoned.count(after, upTo)
	}
	for at := b.next(after); !at.IsZero() && !at.After(upTo) && n < maxCounted; at = b.next(at) {
		n++
	}
	return n
}

// marks tells what is special about an occurrence.
func (b *set) marks(at time.Time) (m Marks) {
	if b.zoned != nil {
		m = b.zoned.marks(at)
	}
	for i := range b.rules {
		if r := &b.rules[i]; r.set != nil && r.Prev(at.Add(1)).Equal(at) {
			m |= r.set.marks(at)
		}
	}
	if b.leftOut(at) {
		m |= MarkExcluded
	}
	return m
}
