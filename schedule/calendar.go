package schedule

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Gap says what becomes of an occurrence whose time of day does not exist, because clocks are put forward over it.
type Gap uint8

// The gap policies. The zero Gap is the default of the schedule's kind: GapAfter for cron and calendars, GapShift for rrule.
const (
	GapAfter Gap = 1 + iota // at the first instant after the gap
	GapSkip                 // not at all
	GapShift                // later by the length of the gap: what the clock would show had it not been put forward
)

// String returns the word of the text form.
func (g Gap) String() string { return wordOf("Gap", int(g), "default", "after", "skip", "shift") }

// Fold says what becomes of an occurrence whose time of day exists twice, because clocks are put back over it.
type Fold uint8

// The fold policies. The zero Fold is the default, FoldFirst.
const (
	FoldFirst  Fold = 1 + iota // the first time
	FoldSecond                 // the second time
	FoldBoth                   // both times
)

// String returns the word of the text form.
func (f Fold) String() string { return wordOf("Fold", int(f), "default", "first", "second", "both") }

// Days says which days match where a cron expression restricts both the day of the month and the day of the week.
type Days uint8

// The ways to join the two day fields. The zero Days is DaysOr.
const (
	DaysOr  Days = iota // days that match either field, as in crontab(5)
	DaysAnd             // days that match both
)

// String returns the word of the text form.
func (d Days) String() string { return wordOf("Days", int(d), "or", "and") }

func wordOf(kind string, n int, words ...string) string {
	if n < len(words) {
		return words[n]
	}
	return kind + "(" + strconv.Itoa(n) + ")"
}

// In reads the schedule's times of day from the wall clock of an IANA zone, such as Europe/Berlin. Without it they are in
// UTC. The zone is looked up in the system's time zone database, or in that of time/tzdata where a program imports it; Local,
// which is another zone on every machine, is refused.
func (s Schedule) In(zone string) Schedule {
	if s = s.civil("in", zone); s.broken() {
		return s
	}
	z, m := loadZone(zone)
	if m.want != "" {
		return s.fail("in", zone, m.want)
	}
	if k := s.more.calendar; k != nil && k.epoch && z != utc {
		return s.fail("in", zone, epochWant)
	}
	if s.kind == KindRRule && s.more.ical.start.kind == utcStamp && z != utc {
		return s.fail("in", zone, "UTC, in which DTSTART is, or a DTSTART without Z")
	}
	n := s.copyMore()
	n.zone = z
	s.more = n
	return s
}

// DST says what becomes of occurrences where clocks are put forward (gap) or back (fold). It is for rules that pin the hour:
// one whose hours begin with * is matched against every real minute.
func (s Schedule) DST(gap Gap, fold Fold) Schedule {
	if s = s.civil("gap", gap.String()); s.broken() {
		return s
	}
	switch {
	case gap > GapShift:
		return s.fail("gap", gap.String(), `"after", "skip" or "shift"`)
	case fold > FoldBoth:
		return s.fail("fold", fold.String(), `"first", "second" or "both"`)
	}
	n := s.copyMore()
	n.gap, n.fold = gap, fold
	s.more = n
	return s
}

// Days says which days a cron expression means that restricts both the day of the month and the day of the week.
func (s Schedule) Days(d Days) Schedule {
	switch {
	case s.broken():
		return s
	case s.kind != KindCron:
		return s.fail("days", d.String(), `it on "cron" only`)
	case d > DaysAnd:
		return s.fail("days", d.String(), `"or" or "and"`)
	}
	n := s.copyMore()
	k := *n.cron
	k.and = d == DaysAnd
	n.cron, n.never = &k, k.empty()
	s.more = n
	return s
}

// civil records the mistake if s does not go by the wall clock of a zone.
func (s Schedule) civil(field, value string) Schedule {
	if s.broken() || s.kind.civil() {
		return s
	}
	return s.fail(field, value, `it on "cron", "calendar" and "rrule" only: "`+s.kind.String()+`" does not go by a wall clock`)
}

// gapOr is the gap policy, or the default of the kind.
func (m *more) gapOr() Gap {
	if m.ical != nil {
		return cmp.Or(m.gap, GapShift)
	}
	return cmp.Or(m.gap, GapAfter)
}

// Zone returns the zone whose wall clock the schedule goes by, "UTC" if none was given, and "" for a kind that goes by none.
func (s Schedule) Zone() string {
	if !s.kind.civil() || s.broken() {
		return ""
	}
	return s.more.zoneName()
}

// Union limits: members of a union and exclusions of a schedule, and how deep they nest.
const (
	maxMembers = 64
	maxDepth   = 4
)

// Union fires when any of the schedules does, and once where several do at the same instant. Each keeps its own zone and
// bounds; jitter and the number of starts belong to the union. A pace cannot be a member, since it depends on runs.
func Union(members ...Schedule) Schedule {
	s := Schedule{kind: KindUnion, more: &more{}}
	if len(members) == 0 || len(members) > maxMembers {
		return s.fail("union", strconv.Itoa(len(members))+" members", "1 to "+strconv.Itoa(maxMembers))
	}
	for _, m := range members {
		if s = s.member("union", m); s.broken() {
			return s
		}
	}
	s.more.members = append([]Schedule(nil), members...)
	return s.shallow("union")
}

// Except leaves out the occurrences of s that fall into other: into one of its instants, or where other is a cron expression
// without seconds, or a calendar whose seconds are 0, into one of its minutes. Holidays are whole days, such as
//
//	schedule.Cron("0 9 * * mon-fri").In("Europe/Berlin").Except(schedule.Cron("* * 25 12 *"))
//	schedule.Calendar("Mon..Fri 09:00").In("Europe/Berlin").Except(schedule.Calendar("*-12-25 *:*"))
//
// What has no zone of its own is read in that of s. Given several times, each leaves out more. s must be a rule of its own accord, not a pace, which depends on runs.
func (s Schedule) Except(other Schedule) Schedule {
	switch s.kind {
	case KindEvery, KindCron, KindCalendar, KindRRule, KindUnion:
	default:
		return s.fail("except", s.kind.String(), `it on "every", "cron", "calendar", "rrule" or a union`)
	}
	if s = s.member("except", other); s.broken() {
		return s
	}
	n := s.copyMore()
	if len(n.except) == maxMembers {
		return s.fail("except", other.String(), "at most "+strconv.Itoa(maxMembers)+" of them")
	}
	n.except = append(slices.Clip(n.except), other)
	s.more = n
	if s = s.shallow("except"); s.broken() || s.Never() {
		return s
	}
	return s.affordable("except", other.String())
}

// member records the mistake if m cannot be part of s.
func (s Schedule) member(field string, m Schedule) Schedule {
	switch {
	case m.kind == 0:
		return s.fail(field, "", "a schedule, not the zero one")
	case m.broken():
		e := m.more.err
		return s.fail(field, strings.TrimSpace(e.Field+" "+e.Value), "a schedule that is right in itself: "+e.Want)
	case m.kind != KindAt && m.kind != KindEvery && !m.kind.civil() && m.kind != KindUnion:
		return s.fail(field, m.String(), `"at", "every", "cron", "calendar", "rrule" or a union`)
	case field == "except" && m.hasGrid():
		return s.fail(field, m.String(), `"at", "cron", "calendar", "rrule" with a DTSTART or a union of these`)
	case m.more != nil && (m.more.times > 0 || m.more.jitter > 0):
		return s.fail(field, m.String(), "times and jitter behind the whole, not within")
	}
	return s
}

// hasGrid says that s is, or has as a member, what counts from when it is accepted.
func (s Schedule) hasGrid() bool {
	return s.kind == KindEvery || s.startless() || s.kind == KindUnion && slices.ContainsFunc(s.more.members, Schedule.hasGrid)
}

// CountsFromAcceptance reports whether the instant of acceptance is what the occurrences are counted from, so that there are none before
// it: those of Every without From or AlignTo, of an RRule without a DTSTART or From, and of a union with such a member.
func (s Schedule) CountsFromAcceptance() bool {
	if s.kind == KindEvery {
		return s.more == nil || s.more.from.IsZero() && s.more.align.IsZero()
	}
	return s.startless() || s.kind == KindUnion && slices.ContainsFunc(s.more.members, Schedule.CountsFromAcceptance)
}

// shallow records the mistake if s nests too deeply, or if its text would be too long to be read again.
func (s Schedule) shallow(field string) Schedule {
	if s.depth() > maxDepth {
		return s.fail(field, "", "at most "+strconv.Itoa(maxDepth)+" unions and exceptions within each other")
	}
	const limit = maxText - 256 // the bounds that may follow need room, too
	if n := len(s.String()); n > limit {
		return s.fail(field, "a text of "+strconv.Itoa(n)+" bytes", "at most "+strconv.Itoa(limit)+" bytes")
	}
	return s
}

func (s Schedule) depth() (n int) {
	if s.more == nil {
		return 0
	}
	for _, m := range s.more.members {
		n = max(n, 1+m.depth())
	}
	for _, m := range s.more.except {
		n = max(n, 1+m.depth())
	}
	return n
}

// affordable records the mistake if so much is left out that finding the next occurrence costs too much. It tries a sample of
// instants, since what the rules of a calendar do they do again and again.
func (s Schedule) affordable(field, value string) Schedule {
	var r Rule
	for year := 2100; year >= 2000; year -= 25 {
		from := instant(dayOf(date{year, 1, 1})*daySeconds, 0)
		r = s.Bind("", from)
		if !r.first.IsZero() {
			continue
		}
		if _, gaveUp := r.set.search(from); gaveUp {
			return s.fail(field, value, "it to leave an occurrence now and then")
		}
	}
	if r.set.stalls(r.first) {
		return s.fail(field, value, "it to leave out no more than a few thousand occurrences in a row")
	}
	return s
}

// Never reports whether s is well formed and has no occurrence in all time, such as 30 February. [Schedule.Err] reports it,
// too, so nothing accepts it.
func (s Schedule) Never() bool {
	if s.kind < KindCron || s.broken() {
		return false
	}
	if s.kind.civil() {
		return s.more.never
	}
	for _, m := range s.more.members {
		if !m.Never() {
			return false
		}
	}
	return true
}
