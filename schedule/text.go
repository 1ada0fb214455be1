package schedule

import (
	"strconv"
	"strings"
	"time"
)

// String returns the canonical text of s, which [Parse] reads back as an equal schedule. An invalid schedule gives its
// mistake, in a form that does not parse; one that has no occurrence in all time is well formed and has its text.
func (s Schedule) String() string {
	if s.broken() {
		return "invalid " + s.Err().Error()
	}
	return string(s.appendText(make([]byte, 0, 64)))
}

// MarshalText returns the canonical text, so that a Schedule is a string in JSON. An invalid schedule is an error; one that
// has no occurrence in all time is not, so that it can be shown.
func (s Schedule) MarshalText() ([]byte, error) {
	if s.broken() {
		return nil, s.Err()
	}
	return s.appendText(make([]byte, 0, 64)), nil
}

// appendText appends the form of s, and its clauses in canonical order.
func (s Schedule) appendText(b []byte) []byte { return s.appendPart(b, false) }

// appendPart is appendText of what may be left out of another schedule: then UTC is said where it was, because without it the
// other's zone would count.
func (s Schedule) appendPart(b []byte, exception bool) []byte {
	switch s.kind {
	case KindAt:
		b = appendTime(append(b, "at "...), s.at)
	case KindCron:
		b = s.more.cron.appendText(append(b, "cron "...))
		b = s.more.appendCivil(b, exception)
	case KindCalendar:
		b = s.more.calendar.appendText(append(b, "calendar "...))
		b = s.more.appendCivil(b, exception)
	case KindRRule:
		b = s.more.ical.appendText(append(b, "rrule "...))
		b = s.more.appendCivil(b, exception)
	case KindUnion:
		for i, m := range s.more.members {
			if i > 0 {
				b = append(b, " or "...)
			}
			b = append(m.appendPart(append(b, '('), exception), ')')
		}
	default:
		b = append(append(b, s.kind.String()...), ' ')
		b = append(b, durationText(s.d)...)
	}
	if s.more == nil {
		return b
	}
	return s.more.appendClauses(b)
}

// appendCivil appends how the wall clock is read, as far as it is not the default.
func (m *more) appendCivil(b []byte, exception bool) []byte {
	if m.zone != nil && (m.zone != utc || exception) && (m.ical == nil || m.ical.start.kind != utcStamp) {
		b = append(append(b, " in "...), m.zone.name...)
	}
	if m.gap != 0 && m.gap != (&more{ical: m.ical}).gapOr() {
		b = append(append(b, " gap "...), m.gap.String()...)
	}
	if m.fold > FoldFirst {
		b = append(append(b, " fold "...), m.fold.String()...)
	}
	if m.cron != nil && m.cron.and {
		b = append(b, " days and"...)
	}
	return b
}

// appendClauses appends the clauses that every kind has.
func (m *more) appendClauses(b []byte) []byte {
	for _, other := range m.except {
		b = append(other.appendPart(append(b, " except ("...), true), ')')
	}
	b = appendInstant(b, " from ", m.from)
	b = appendInstant(b, " until ", m.until)
	if m.times > 0 {
		b = strconv.AppendInt(append(b, " times "...), int64(m.times), 10)
	}
	if m.jitter > 0 {
		b = append(append(b, " jitter "...), durationText(m.jitter)...)
	}
	return appendInstant(b, " align ", m.align)
}

func appendInstant(b []byte, word string, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	return appendTime(append(b, word...), t)
}

func appendTime(b []byte, t time.Time) []byte { return t.UTC().AppendFormat(b, time.RFC3339Nano) }

// timeValue is an instant as an error shows it, within range or not.
func timeValue(t time.Time) string { return string(appendTime(nil, t)) }

// durationText is time.Duration's text without the zeros at its end: 1h30m, not 1h30m0s.
func durationText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}
