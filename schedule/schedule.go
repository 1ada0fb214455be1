package schedule

import (
	"cmp"
	"slices"
	"strconv"
	"time"
)

// Kind says which rule a Schedule follows.
type Kind uint8

// The kinds. The zero Kind is that of the zero Schedule, which is invalid.
const (
	KindAfter         Kind = 1 + iota // once, a delay after it is accepted
	KindAt                            // once, at an instant
	KindEvery                         // fixed rate, on a grid
	KindPace                          // fixed delay from the end of one run to the start of the next
	KindPaceFromStart                 // fixed delay from the start of one run to the start of the next
	KindCron                          // a cron expression, read from the wall clock of a zone
	KindUnion                         // whenever one of several schedules fires
	KindCalendar                      // a calendar event expression of systemd, read from the wall clock of a zone
	KindRRule                         // a recurrence of iCalendar, read from the wall clock of a zone
)

// String returns the word that the kind's text form begins with, "union" for a union, whose form begins with a parenthesis,
// and "invalid" for the zero Kind.
func (k Kind) String() string {
	switch k {
	case 0:
		return "invalid"
	case KindAfter:
		return "in"
	case KindAt:
		return "at"
	case KindEvery:
		return "every"
	case KindPace:
		return "pace"
	case KindPaceFromStart:
		return "pace-from-start"
	case KindCron:
		return "cron"
	case KindUnion:
		return "union"
	case KindCalendar:
		return "calendar"
	case KindRRule:
		return "rrule"
	}
	return "Kind(" + strconv.Itoa(int(k)) + ")"
}

// civil says whether a schedule of this kind goes by the wall clock of a zone by itself, other than by its members.
func (k Kind) civil() bool { return k == KindCron || k == KindCalendar || k == KindRRule }

// Schedule says when a task is due: once or again and again, with bounds. It is a value of 48 bytes, is never changed
// once made and may be used from several goroutines. A mistake made on the way is carried along, reported by
// [Schedule.Err], and by whatever accepts the schedule; the first mistake wins. The zero Schedule is invalid.
//
// Compare with [Schedule.Equal], not with ==.
type Schedule struct {
	kind Kind
	d    time.Duration // delay or period
	at   time.Time     // KindAt; UTC, no monotonic reading
	more *more         // what few schedules need; shared between copies, so it is replaced and never written to
}

// more is kept out of Schedule so that the plain path moves six words and allocates nothing. A kind with a larger rule of
// its own keeps it here, too.
type more struct {
	from, until, align time.Time // zero: none; UTC, no monotonic reading
	times              int       // 0: no limit
	jitter             time.Duration
	err                *Error

	cron     *cron
	calendar *calendar
	ical     *ical
	never    bool    // the expression has no match in all time
	work     *effort // while recurrences are read; nil once they are
	zone     *zone   // nil: none was given, which is UTC
	gap      Gap
	fold     Fold
	members  []Schedule
	except   []Schedule
}

// After is once, d after the schedule is accepted. d <= 0 means at once; a d that leads beyond the year 9999 means never.
func After(d time.Duration) Schedule { return Schedule{kind: KindAfter, d: d} }

// At is once, at the instant t. Its zone makes no difference and its monotonic reading is dropped. An instant in the past
// means at once. The zero time.Time and instants beyond the year 9999 are errors.
func At(t time.Time) Schedule {
	s := Schedule{kind: KindAt, at: bare(t)}
	if !inRange(t) {
		return s.fail("at", timeValue(t), instantWant)
	}
	return s
}

// Every fires at a fixed rate, on a grid of instants d apart, however long the runs take. The grid is anchored where the
// schedule is accepted and fires first after one period; [Schedule.From] and [Schedule.AlignTo] say otherwise. d must be
// positive.
func Every(d time.Duration) Schedule { return recurring(KindEvery, d) }

// Pace waits d from the end of one run to the start of the next. It fires first after one d, or at [Schedule.From]. d must
// be positive.
func Pace(d time.Duration) Schedule { return recurring(KindPace, d) }

// PaceFromStart waits d from the start of one run to the start of the next, as the fixed delay of java.util.Timer does: a
// run that takes longer than d is followed by the next at once, and a late start moves all later ones. It fires first
// after one d, or at [Schedule.From]. d must be positive.
func PaceFromStart(d time.Duration) Schedule { return recurring(KindPaceFromStart, d) }

func recurring(k Kind, d time.Duration) Schedule {
	s := Schedule{kind: k, d: d}
	if d <= 0 {
		return s.fail(k.String(), durationText(d), "a period longer than 0")
	}
	return s
}

// From makes t the first instant of a recurring schedule: it fires at t, and then on the grid, or at the pace, that begins
// there. With [Schedule.AlignTo] it fires first at the first instant of the grid not before t. A t in the past is allowed;
// what lies between it and now is missed, and whoever runs the schedule has a policy for that.
func (s Schedule) From(t time.Time) Schedule { return s.startFrom(t, &effort{}) }

// startFrom is From, which counts what it takes.
func (s Schedule) startFrom(t time.Time, work *effort) Schedule {
	if s = s.allow("from", t); s.broken() {
		return s
	}
	m := s.copyMore()
	m.from = bare(t)
	s.more = m
	if s.kind == KindRRule {
		s = s.judged(work)
	}
	return s.nonEmpty("from", t)
}

// Until ends a recurring schedule: no occurrence after t, but one at t itself. It bounds the nominal instant; jitter may
// move the last one past t.
func (s Schedule) Until(t time.Time) Schedule {
	if s = s.allow("until", t); s.broken() {
		return s
	}
	m := s.copyMore()
	m.until = bare(t)
	s.more = m
	return s.nonEmpty("until", t)
}

// AlignTo moves the grid of Every so that t lies on it: t + k*period for every whole k, also before t.
func (s Schedule) AlignTo(t time.Time) Schedule {
	if s.kind != KindEvery {
		return s.fail("align", timeValue(t), "it on \"every\" only: \""+s.kind.String()+"\" has no grid")
	}
	if s = s.allow("align", t); s.broken() {
		return s
	}
	m := s.copyMore()
	m.align = bare(t)
	s.more = m
	return s.nonEmpty("align", t)
}

// Times ends a recurring schedule after n starts. n must be at least 1.
func (s Schedule) Times(n int) Schedule {
	switch {
	case s.broken():
		return s
	case !s.Recurring():
		return s.fail("times", strconv.Itoa(n), onceWant(s.kind))
	case n < 1:
		return s.fail("times", strconv.Itoa(n), "at least 1")
	}
	m := s.copyMore()
	m.times = n
	s.more = m
	return s
}

// Jitter delays every occurrence by the same amount, at least 0 and less than limit, that follows from the task's name
// alone (see [Rule.Offset]): tasks of one period spread out, and each keeps its rhythm. limit must be positive and, for
// Every, shorter than the period, so that an occurrence stays before the next. For cron it may be longer: all occurrences
// are put off by as much.
func (s Schedule) Jitter(limit time.Duration) Schedule {
	switch {
	case s.broken():
		return s
	case limit <= 0:
		return s.fail("jitter", durationText(limit), "longer than 0")
	case s.kind == KindEvery && limit >= s.d:
		return s.fail("jitter", durationText(limit), "less than the period "+durationText(s.d))
	}
	m := s.copyMore()
	m.jitter = limit
	s.more = m
	return s
}

// Zoned says whether the occurrences depend on the rules of a time zone other than UTC: those of AtLocal do not, which is resolved when it
// is made.
func (s Schedule) Zoned() bool {
	m := s.more
	if m == nil {
		return false
	}
	if m.ical != nil && m.ical.zoned() {
		return true
	}
	zoned := func(x Schedule) bool { return x.inZone(m.zone).Zoned() }
	return m.zone != nil && m.zone != utc || slices.ContainsFunc(m.members, zoned) || slices.ContainsFunc(m.except, zoned)
}

// Err returns the first mistake made in building s, as an *[Error], or nil if s is a schedule. That s has no occurrence in
// all time is a mistake, too; see [Schedule.Never].
func (s Schedule) Err() error {
	if s.more != nil && s.more.err != nil {
		return s.more.err
	}
	if s.kind == 0 {
		return &Error{Field: "schedule", Want: "one made by After, At, Every, Cron, Calendar, another function of this package or Parse, not the zero Schedule"}
	}
	if s.Never() {
		return &Error{Field: s.kind.String(), Value: clip(s.String()), Want: "a date that comes at some time: this one never does"}
	}
	return nil
}

// Kind returns the rule that s follows; 0 for the zero Schedule and for one that did not parse.
func (s Schedule) Kind() Kind { return s.kind }

// Recurring reports whether s may fire more than once.
func (s Schedule) Recurring() bool { return s.kind >= KindEvery }

// Relative reports whether s counts from the instant of acceptance alone. In process such a schedule follows the monotonic
// clock; one that names an instant (At, From, Until, AlignTo) or a calendar (Cron, Calendar, RRule, and what Except leaves out) follows the
// wall clock, also when that is stepped.
func (s Schedule) Relative() bool {
	if s.kind == KindAt || s.kind == 0 || s.kind >= KindCron {
		return false
	}
	m := s.more
	return m == nil || m.from.IsZero() && m.until.IsZero() && m.align.IsZero() && len(m.except) == 0
}

// PlainAfter returns the delay, and true if s is an After without jitter and mistake.
func (s Schedule) PlainAfter() (time.Duration, bool) {
	return s.d, s.kind == KindAfter && s.more == nil
}

// PlainAt returns the instant, in UTC, and true if s is an At without jitter and mistake.
func (s Schedule) PlainAt() (time.Time, bool) { return s.at, s.kind == KindAt && s.more == nil }

// Period returns the period of Every, Pace and PaceFromStart, and 0 for others: a calendar has none.
func (s Schedule) Period() time.Duration {
	if !s.Recurring() {
		return 0
	}
	return s.d
}

// Limit returns the number of starts that [Schedule.Times] allows; 0 means no limit.
func (s Schedule) Limit() int {
	if s.more == nil {
		return 0
	}
	return s.more.times
}

// Equal reports whether s and o are the same rule: the same canonical text. Two invalid schedules are equal if the mistake
// is the same.
func (s Schedule) Equal(o Schedule) bool {
	if s.kind != o.kind || s.d != o.d || !s.at.Equal(o.at) {
		return false
	}
	a, b := s.more, o.more
	if a == b {
		return true
	}
	if a == nil {
		a = &more{}
	}
	if b == nil {
		b = &more{}
	}
	if a.err != nil || b.err != nil {
		return a.err != nil && b.err != nil && *a.err == *b.err
	}
	return a.from.Equal(b.from) && a.until.Equal(b.until) && a.align.Equal(b.align) && a.times == b.times && a.jitter == b.jitter &&
		a.sameCalendar(b)
}

// sameCalendar reports whether two schedules of one kind mean the same times of day, and leave out the same.
func (m *more) sameCalendar(o *more) bool {
	if m.zoneName() != o.zoneName() || (m.cron == nil) != (o.cron == nil) || (m.calendar == nil) != (o.calendar == nil) || (m.ical == nil) != (o.ical == nil) {
		return false
	}
	if m.gapOr() != o.gapOr() || cmp.Or(m.fold, FoldFirst) != cmp.Or(o.fold, FoldFirst) {
		return false
	}
	if m.ical != o.ical && string(m.ical.appendText(nil)) != string(o.ical.appendText(nil)) {
		return false
	}
	if m.cron != o.cron && m.cron != nil && (m.cron.and != o.cron.and || string(m.cron.appendText(nil)) != string(o.cron.appendText(nil))) {
		return false
	}
	if m.calendar != o.calendar && string(m.calendar.appendText(nil)) != string(o.calendar.appendText(nil)) {
		return false
	}
	same := func(a, b Schedule) bool { return string(a.appendPart(nil, true)) == string(b.appendPart(nil, true)) }
	return slices.EqualFunc(m.members, o.members, Schedule.Equal) && slices.EqualFunc(m.except, o.except, same)
}

func (m *more) zoneName() string { return cmp.Or(m.zone, utc).name }

// copyMore returns a more of s's own, to be written to.
func (s Schedule) copyMore() *more {
	m := new(more)
	if s.more != nil {
		*m = *s.more
	}
	return m
}

// fail records a mistake, unless there is one already.
func (s Schedule) fail(field, value, want string) Schedule {
	if s.broken() {
		return s
	}
	m := s.copyMore()
	m.err = &Error{Field: field, Value: value, Want: want}
	s.more = m
	return s
}

// broken reports whether a mistake was made already.
func (s Schedule) broken() bool { return s.kind == 0 || s.more != nil && s.more.err != nil }

// allow records the mistake if s cannot have the bound t.
func (s Schedule) allow(field string, t time.Time) Schedule {
	switch {
	case s.broken():
		return s
	case !s.Recurring():
		return s.fail(field, timeValue(t), onceWant(s.kind))
	case !inRange(t):
		return s.fail(field, timeValue(t), instantWant)
	}
	return s
}

// nonEmpty records a mistake if the bounds, the last of which was t, leave nothing whenever s is accepted.
func (s Schedule) nonEmpty(field string, t time.Time) Schedule {
	if s.more.from.IsZero() {
		return s
	}
	first, last := s.more.from, lastInstant()
	if s.kind == KindEvery {
		first = s.firstFrom()
	}
	if !s.more.until.IsZero() {
		last = s.more.until
	}
	if first.After(last) {
		return s.fail(field, timeValue(t), "it to leave an occurrence: the first is at "+timeValue(first)+
			", the end at "+timeValue(last))
	}
	return s
}

// firstFrom is the first instant of a schedule that has From, whenever it is accepted.
func (s Schedule) firstFrom() time.Time {
	if s.more.align.IsZero() {
		return s.more.from
	}
	return gridFrom(s.more.from, s.more.align, s.d)
}

func onceWant(k Kind) string {
	return "it on a recurring schedule only: \"" + k.String() + "\" fires once"
}
