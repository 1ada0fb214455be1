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
func RRule(text string) Schedule {
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
	s.more.never = s.neverRecurs()
	if len(p.k.exrules) > 0 && !s.more.never {
		s = s.affordable("EXRULE", string(p.k.exrules[0].appendText(nil)))
	}
	return s
}

// startless says that the phase of the rules comes from the instant of acceptance.
func (s Schedule) startless() bool {
	return s.kind == KindRRule && s.more.ical.start.kind == noStamp && s.more.from.IsZero() && len(s.more.ical.rules)+len(s.more.ical.exrules) > 0
}

// neverRecurs says that there is no occurrence in all time. Where the start is not known it asks whether there is one for any.
func (s Schedule) neverRecurs() bool {
	k := s.more.ical
	if len(k.rdates) > 0 {
		return false
	}
	if s.startless() {
		return !slices.ContainsFunc(k.rules, (*recurrence).possible)
	}
	b := &set{}
	s.more.bindRecurrences(b, time.Time{})
	return b.base(time.Time{}, true).IsZero()
}

// possible says whether some day and time match, whatever the start.
func (k *recurrence) possible() bool {
	most := *k
	most.interval, most.limit, most.until = 1, 0, stamp{}
	r := most.bind(stamp{makeCivil(dayOf(date{2000, 1, 1}), 0), localStamp}, true)
	_, ok := r.next(r.begin)
	return ok
}

// startOf returns the start of the rules of a task that was accepted at an instant, and whether it may be an occurrence.
func (m *more) startOf(z *zone, accepted time.Time) (start stamp, included bool) {
	k := m.ical
	switch {
	case k.start.kind != noStamp:
		return k.start, true
	case !m.from.IsZero():
		accepted, included = m.from, m.from.Nanosecond() == 0
	}
	second := accepted.Unix()
	return stamp{civil(second + z.at(second).offset), localStamp}, included
}

// bindRecurrences makes the rules of a task that was accepted at an instant, and what they leave out.
func (m *more) bindRecurrences(b *set, accepted time.Time) {
	k, z := m.ical, cmp.Or(m.zone, utc).ready()
	start, included := m.startOf(z, accepted)
	in := func(k *recurrence) (*zoned, time.Time) {
		until := lastInstant()
		if k.until.kind == utcStamp {
			until = time.Unix(int64(k.until.at), 0).UTC()
		}
		return &zoned{rule: k.bind(start, included), zone: z, gap: m.gapOr(), fold: cmp.Or(m.fold, FoldFirst)}, until
	}
	if len(k.rules) == 1 && len(k.rdates) == 0 {
		b.zoned, b.until = in(k.rules[0])
	} else {
		for _, rule := range k.rules {
			zoned, until := in(rule)
			b.rules = append(b.rules, (&set{zoned: zoned, until: until}).rule())
		}
		if len(k.rdates) > 0 {
			b.rules = append(b.rules, (&set{dates: z.instants(k.rdates)}).rule())
		}
	}
	for _, rule := range k.exrules {
		zoned, until := in(rule)
		b.except = append(b.except, exception{rule: (&set{zoned: zoned, until: until}).rule(), grain: 1})
	}
	if len(k.exdates) > 0 {
		b.except = append(b.except, exception{rule: (&set{dates: z.instants(k.exdates)}).rule(), grain: 1})
	}
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

// instants resolves dates in a zone, in order.
func (z *zone) instants(list []stamp) []int64 {
	all := make([]int64, len(list))
	for i, s := range list {
		if all[i] = int64(s.at); s.kind != utcStamp {
			all[i] = z.instant(s.at)
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
