package schedule

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"time"
)

// RRule is a recurrence of iCalendar (RFC 5545): a rule such as FREQ=MONTHLY;BYDAY=-1FR, or the lines DTSTART, RRULE, RDATE, EXRULE
// and EXDATE, each any number of times but for DTSTART, separated by line breaks or all of them by blanks. Its occurrences are
// those of any RRULE and RDATE, less those of all EXRULE and EXDATE.
//
// Its times are read from the wall clock of the zone that TZID in DTSTART says, or [Schedule.In]. The start, from which
// intervals and COUNT are counted and which supplies what the rule leaves open, is DTSTART, or else what [Schedule.From] says, or
// else the instant of acceptance; the start is an occurrence only if it matches the rule, and the instant of acceptance is none.
// What lies before acceptance is not made up for, unless From says so. A time that does not exist is later by the length of the
// gap, and one that exists twice is the first, unless [Schedule.DST] says otherwise; rules by the hour, minute or second without
// BYHOUR are matched against every real minute.
func RRule(text string) Schedule { return readRRule(text, &effort{}) }

// readRRule is RRule, which counts what it takes.
func readRRule(text string, work *effort) Schedule {
	s := Schedule{kind: KindRRule, more: &more{}}
	p := icalParser{}
	if len(text) > maxText {
		return s.fail("rrule", clip(text), "at most "+strconv.Itoa(maxText)+" bytes, not "+strconv.Itoa(len(text)))
	}
	if err := p.block(text); err != nil {
		s.more.err = err
		return s
	}
	s.more.ical, s.more.zone = p.k, p.zone
	if s = s.shallow("rrule"); s.broken() {
		return s
	}
	return s.judged(work)
}

// judged works out whether s, whose more is its own, has an occurrence in all time, and records the mistake if that, or finding the next
// one, takes too long.
func (s Schedule) judged(work *effort) Schedule {
	k := s.more.ical
	s.more.work = work
	s.more.never = s.neverRecurs()
	if len(k.exrules) > 0 && !s.more.never {
		s = s.affordable("EXRULE", string(k.exrules[0].appendText(nil)))
	}
	if s.more.work = nil; work.over() {
		s.more.err = &Error{Field: "rrule", Value: clip(string(k.appendText(nil))), Want: effortWant}
	}
	return s
}

// zoned says that dates are in zones of their own.
func (k *ical) zoned() bool {
	in := func(s stamp) bool { return s.zone != nil }
	return slices.ContainsFunc(k.rdates, in) || slices.ContainsFunc(k.exdates, in)
}

// startless says that the phase of the rules comes from the instant of acceptance.
func (s Schedule) startless() bool {
	return s.kind == KindRRule && s.more.ical.start.kind == noStamp && s.more.from.IsZero() && len(s.more.ical.rules)+len(s.more.ical.exrules) > 0
}

// neverRecurs says that there is no occurrence in all time. Where the start is not known it asks whether there is one for any. A zone, which
// may be told later, moves a start against an UNTIL in UTC, so that nothing is said of the two unless the start is in UTC.
func (s Schedule) neverRecurs() bool {
	k, startless := s.more.ical, s.startless()
	var accepted time.Time
	if startless {
		accepted = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // any, to know what it takes
	}
	b := &set{}
	s.more.bindRecurrences(b, accepted)
	switch {
	case len(k.rdates) > 0:
		return false
	case startless:
		return !slices.ContainsFunc(k.rules, func(rule *recurrence) bool { return rule.possible(s.more.work) })
	}
	first := b.base(time.Time{}, true)
	return first.IsZero() || k.start.kind == utcStamp && !b.until.IsZero() && first.After(b.until)
}

// possible says whether some day and time match, whatever the start.
func (k *recurrence) possible(work *effort) bool {
	most := *k
	most.interval, most.limit, most.until = 1, 0, stamp{}
	r := most.bind(stamp{at: makeCivil(dayOf(date{2000, 1, 1}), 0), kind: localStamp}, true, work)
	_, ok := r.next(r.begin)
	return ok
}

// A recurStart is the start of the rules of a task.
type recurStart struct {
	stamp
	included bool  // it may be an occurrence
	instant  int64 // the second at which the clock shows it
}

// startOf returns the start of the rules of a task that was accepted at an instant.
func (m *more) startOf(z *zone, accepted time.Time) recurStart {
	k := m.ical
	switch {
	case k.start.kind != noStamp:
		return recurStart{k.start, true, z.instant(k.start.at)}
	case !m.from.IsZero():
		accepted = m.from
	}
	second := accepted.Unix()
	included := !m.from.IsZero() && accepted.Nanosecond() == 0
	return recurStart{stamp{at: civil(second + z.at(second).offset), kind: localStamp}, included, second}
}

// bindRecurrences makes the rules of a task that was accepted at an instant, and what they leave out.
func (m *more) bindRecurrences(b *set, accepted time.Time) {
	k, z := m.ical, cmp.Or(m.zone, utc).ready()
	start := m.startOf(z, accepted)
	if len(k.rules) == 1 && len(k.rdates) == 0 {
		*b = *m.recurSet(k.rules[0], z, start)
	} else {
		for _, rule := range k.rules {
			if m.work.over() {
				return
			}
			b.rules = append(b.rules, m.recurSet(rule, z, start).rule())
		}
		if len(k.rdates) > 0 {
			b.rules = append(b.rules, (&set{dates: z.instants(k.rdates, m.work)}).rule())
		}
	}
	for _, rule := range k.exrules {
		if m.work.over() {
			return
		}
		b.except = append(b.except, exception{rule: m.recurSet(rule, z, start).rule(), grain: 1})
	}
	if len(k.exdates) > 0 {
		b.except = append(b.except, exception{rule: (&set{dates: z.instants(k.exdates, m.work)}).rule(), grain: 1})
	}
}

// recurSet makes a rule from a start on. A rule that pins the hour is a list of readings, which are then looked for on the clock, and
// its start, UNTIL and COUNT are among the readings. One that does not goes by real time, and so do these: after a start in the first
// pass of a fold comes all of the second.
func (m *more) recurSet(k *recurrence, z *zone, start recurStart) *set {
	r := k.bind(start.stamp, start.included, m.work)
	b := &set{zoned: &zoned{rule: r, zone: z, gap: m.gapOr(), fold: cmp.Or(m.fold, FoldFirst)}, until: lastInstant()}
	until := k.until.kind == utcStamp
	end := int64(k.until.at)
	if !r.pinned {
		first := start.instant
		if !start.included {
			first++
		}
		b.from = time.Unix(first, 0).UTC()
		if k.until.kind == localStamp {
			until, end = true, z.instant(k.until.at)
		}
		if k.limit > 0 && !r.never {
			if at, ok := b.zoned.nth(r, first, k.limit); ok {
				until, end = true, at
			}
		}
	}
	if until {
		if b.until = time.Unix(end, 0).UTC(); b.until.IsZero() {
			b.until = b.until.Add(-1) // the zero time is no end
		}
	}
	return b
}

// nth returns the n-th second from one on at which the clock shows a match of r, if it is not too far to count: see nthMatch.
func (z *zoned) nth(r *recur, lo, n int64) (int64, bool) {
	end := lo + cycleSeconds
	if n > r.clock.mostOfDays(cycleSeconds/daySeconds+1) {
		return 0, false
	}
	for lo < end && !r.clock.work.over() {
		s := z.zone.at(lo)
		first := civil(lo + s.offset)
		if s.end != noEnd {
			if many := r.count(first, civil(s.end+s.offset)); n > many {
				n, lo = n-many, s.end
				continue
			}
		}
		c := r.nthMatch(first, n)
		return int64(c) - s.offset, c < lastReading
	}
	return 0, false
}

// rule makes a rule of what is in a set, from its first occurrence on.
func (b *set) rule() Rule {
	r := Rule{kind: KindRRule, set: b, end: lastInstant()}
	if !b.until.IsZero() {
		r.end = b.until
	}
	if r.first = b.next(time.Time{}); r.first.After(r.end) {
		r.first = time.Time{}
	}
	return r
}

// instants resolves dates in a zone, or in zones of their own, in order.
func (z *zone) instants(list []stamp, work *effort) []int64 {
	all := make([]int64, 0, len(list))
	for i, s := range list {
		switch {
		case s.kind == utcStamp:
			all = append(all, int64(s.at))
		case s.zone == nil:
			all = append(all, z.instant(s.at))
		default:
			if i == 0 || s.zone != list[i-1].zone {
				work.add(zoneEffort)
			}
			if work.over() {
				return all
			}
			all = append(all, s.zone.ready().instant(s.at))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// dateFrom returns the first of some instants strictly after t, or the last strictly before it; the zero time is none.
func dateFrom(dates []int64, t time.Time, forward bool) time.Time {
	second := t.Unix()
	if forward {
		i, _ := slices.BinarySearch(dates, second+1)
		if i == len(dates) {
			return time.Time{}
		}
		return instant(dates[i], 0)
	}
	if t.Nanosecond() > 0 && second < math.MaxInt64 {
		second++
	}
	i, _ := slices.BinarySearch(dates, second)
	if i == 0 {
		return time.Time{}
	}
	return instant(dates[i-1], 0)
}
