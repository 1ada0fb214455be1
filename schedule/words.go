package schedule

import (
	"strconv"
	"strings"
	"time"
)

// Words says the rule in an English sentence without a full stop, such as "at 09:00, Monday to Friday, in Europe/Berlin". It
// tells all clauses that are not the default; where no smooth phrase fits it lists values. That of an invalid schedule is
// empty. It is for people to read and may be worded better in any release.
func (s Schedule) Words() string {
	if s.broken() {
		return ""
	}
	var w string
	switch s.kind {
	case KindAfter:
		w = "once, " + durationWords(s.d) + " after it is accepted"
		if s.d <= 0 {
			w = "once, as soon as it is accepted"
		}
	case KindAt:
		w = "once, at " + timeValue(s.at)
	case KindEvery:
		w = "every " + eachWords(s.d)
	case KindPace:
		w = durationWords(s.d) + " after the end of each run"
	case KindPaceFromStart:
		w = durationWords(s.d) + " after the start of each run"
	case KindCron:
		w = s.more.cron.words() + s.more.civilWords()
	case KindCalendar:
		w = s.more.calendar.words() + s.more.civilWords()
	case KindRRule:
		w = s.more.ical.words() + s.more.civilWords()
	case KindUnion:
		w = s.memberWords()
	}
	return w + s.boundWords()
}

// memberWords joins the members of a union. They stand in parentheses where it could be unclear what belongs to which.
func (s Schedule) memberWords() string {
	plain := s.more.bare()
	for _, m := range s.more.members {
		plain = plain && m.kind != KindUnion && (m.more == nil || m.more.bare())
	}
	var list []string
	for _, m := range s.more.members {
		if w := m.Words(); plain {
			list = append(list, w)
		} else {
			list = append(list, "("+w+")")
		}
	}
	if plain {
		return strings.Join(list, "; or ")
	}
	return strings.Join(list, " or ")
}

// bare says that there are no clauses but those of the wall clock.
func (m *more) bare() bool {
	return len(m.except) == 0 && m.from.IsZero() && m.until.IsZero() && m.align.IsZero() && m.times == 0 && m.jitter == 0
}

// civilWords say which wall clock it is, and what becomes of times that it does not show once.
func (m *more) civilWords() string {
	w := ", in UTC"
	if m.zone != nil {
		w = ", in " + m.zone.name
	}
	if !m.pinsHour() {
		return w // matched against every minute that the clock really shows
	}
	switch m.gap {
	case GapAfter:
		if m.ical != nil {
			w += ", at the end of the gap where clocks are put forward over it"
		}
	case GapSkip:
		w += ", left out where clocks are put forward over it"
	case GapShift:
		if m.ical == nil {
			w += ", as much later as clocks are put forward over it"
		}
	default: // the first instant after it
	}
	switch m.fold {
	case FoldSecond:
		w += ", the second time where clocks are put back over it"
	case FoldBoth:
		w += ", both times where clocks are put back over it"
	default: // the first time
	}
	return w
}

// pinsHour says whether an expression names hours.
func (m *more) pinsHour() bool {
	switch {
	case m.calendar != nil:
		return m.calendar.rule.pinsHour()
	case m.ical != nil:
		return m.ical.pinsHour()
	}
	return m.cron.pinsHour()
}

// boundWords are the clauses that every kind has.
func (s Schedule) boundWords() (w string) {
	m := s.more
	if m == nil {
		m = &more{}
	}
	if !m.align.IsZero() {
		w += ", in phase with " + timeValue(m.align)
	}
	switch {
	case !m.from.IsZero() && s.kind >= KindCron, !m.from.IsZero() && !m.align.IsZero():
		w += ", not before " + timeValue(m.from)
	case !m.from.IsZero() && len(m.except) > 0:
		w += ", counted from " + timeValue(m.from)
	case !m.from.IsZero():
		w += ", first at " + timeValue(m.from)
	case s.kind == KindEvery && m.align.IsZero():
		w += ", counted from when it is accepted"
	case s.kind == KindPace || s.kind == KindPaceFromStart:
		w += ", first " + durationWords(s.d) + " after it is accepted"
	}
	var except strings.Builder
	for _, other := range m.except {
		except.WriteString(", except (" + other.inZone(m.zone).exceptionWords() + ")")
	}
	w += except.String()
	if !m.until.IsZero() {
		w += ", until " + timeValue(m.until)
	}
	if m.times > 0 {
		w += ", " + count(m.times, "start") + " at most"
	}
	if m.jitter > 0 {
		w += ", delayed by a fixed time of less than " + durationWords(m.jitter) + " that follows from the task's name"
	}
	return w
}

// exceptionWords are Words, but where whole days are meant, not their minutes.
func (s Schedule) exceptionWords() string {
	var k *cron
	switch {
	case s.kind == KindCron && s.more.cron.wholeDays():
		k = s.more.cron
	case s.kind == KindCalendar && s.more.calendar.wholeDays():
		k = &s.more.calendar.rule
	default:
		return s.Words()
	}
	w := strings.TrimPrefix(k.dateWords(false), ",")
	if w == "" {
		w = "every day"
	}
	return strings.TrimSpace(w) + s.more.civilWords() + s.boundWords()
}

// wholeDays says that every instant of a day that matches lies in a match.
func (k *cron) wholeDays() bool {
	return (k.field == 5 || k.full(fieldSecond)) && k.full(fieldMinute) && k.full(fieldHour)
}

func (k *calendar) wholeDays() bool {
	r := &k.rule
	return k.fractions == nil && (r.second == 1 || r.full(fieldSecond)) && r.full(fieldMinute) && r.full(fieldHour)
}

// durationWords spells a duration out: 1 hour 30 minutes.
func durationWords(d time.Duration) string {
	var parts []string
	for _, u := range []struct {
		one  time.Duration
		name string
	}{{time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if n := d / u.one; n > 0 {
			parts = append(parts, count(int(n), u.name))
			d %= u.one
		}
	}
	if d > 0 {
		parts = append(parts, durationText(d)) // 250ms
	}
	return strings.Join(parts, " ")
}

// eachWords are durationWords behind "every": hour, not 1 hour.
func eachWords(d time.Duration) string {
	switch d {
	case time.Hour:
		return "hour"
	case time.Minute:
		return "minute"
	case time.Second:
		return "second"
	default:
		return durationWords(d)
	}
}

func count(n int, name string) string {
	if n == 1 {
		return "1 " + name
	}
	return strconv.Itoa(n) + " " + name + "s"
}

// ordinal is 1st, 2nd, 3rd, 4th.
func ordinal(n int) string {
	suffix := "th"
	if n/10%10 != 1 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return strconv.Itoa(n) + suffix
}

// enumerate joins a list: a, b and c.
func enumerate(list []string, and string) string {
	switch n := len(list); n {
	case 0:
		return ""
	case 1:
		return list[0]
	default:
		return strings.Join(list[:n-1], ", ") + " " + and + " " + list[n-1]
	}
}
