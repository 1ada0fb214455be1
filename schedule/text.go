package schedule

import (
	"strconv"
	"strings"
	"time"
)

// String returns the canonical text of s, which [Parse] reads back as an equal schedule. An invalid schedule gives its
// mistake, in a form that does not parse.
func (s Schedule) String() string {
	if err := s.Err(); err != nil {
		return "invalid " + err.Error()
	}
	b := append(make([]byte, 0, 64), s.kind.String()...)
	b = append(b, ' ')
	if s.kind == KindAt {
		b = appendTime(b, s.at)
	} else {
		b = append(b, durationText(s.d)...)
	}
	m := s.more
	if m == nil {
		return string(b)
	}
	b = appendInstant(b, " from ", m.from)
	b = appendInstant(b, " until ", m.until)
	if m.times > 0 {
		b = strconv.AppendInt(append(b, " times "...), int64(m.times), 10)
	}
	if m.jitter > 0 {
		b = append(append(b, " jitter "...), durationText(m.jitter)...)
	}
	return string(appendInstant(b, " align ", m.align))
}

// MarshalText returns the canonical text, so that a Schedule is a string in JSON. An invalid schedule is an error.
func (s Schedule) MarshalText() ([]byte, error) {
	if err := s.Err(); err != nil {
		return nil, err
	}
	return []byte(s.String()), nil
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
