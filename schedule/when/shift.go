package when

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly/schedule"
)

// read reads the text: an instant, or one and a length.
func (r *reader) read() (time.Time, error) {
	if err := r.check(); err != nil {
		return time.Time{}, err
	}
	text := trim(r.text)
	base, sign, span, shifted := cutShift(text)
	switch {
	case shifted && base == "":
		return r.move(r.now.In(r.loc), span, sign)
	case shifted:
		b := &reader{text: base, now: r.now, loc: r.loc, past: r.past}
		t, err := b.read()
		if err != nil {
			return time.Time{}, r.moved(err, span, sign)
		}
		return r.move(t.In(b.loc), span, sign)
	case strings.HasPrefix(text, "@"):
		return r.epoch(text[1:])
	}
	if err := r.parse(); err != nil {
		return time.Time{}, err
	}
	t, err := r.resolve()
	if err != nil {
		return time.Time{}, err
	}
	if !inRange(t) {
		return time.Time{}, r.fail(yearsWhy)
	}
	at := r.shown(t)
	if r.clock.hour == 24 {
		at = at.Add(-1) // the day whose end it is
	}
	if r.onWeekday && at.Weekday() != r.weekday {
		return time.Time{}, r.fail(at.Format("2006-01-02") + " is a " + strings.ToLower(at.Weekday().String()))
	}
	return t, nil
}

const yearsWhy = "it is beyond the years 1 to 9999"

// shown is an instant by the clocks that the text goes by.
func (r *reader) shown(t time.Time) time.Time {
	if r.offset != nil {
		return t.In(r.offset)
	}
	return t.In(r.loc)
}

// cutShift splits a text into an instant and a length that is added or subtracted: "now + 3 days", "+3h", "5 min ago". The instant is empty
// for now.
func cutShift(text string) (base string, sign byte, span schedule.Span, ok bool) {
	if end := len(text) - len(" ago"); end > 0 && strings.EqualFold(text[end:], " ago") {
		span, ok := unsigned(text[:end])
		return "", '-', span, ok
	}
	for i := len(text) - 1; i >= 0; i-- {
		if text[i] != '+' && text[i] != '-' || i > 0 && text[i-1] != ' ' && text[i-1] != '\t' {
			continue
		}
		base, length := trim(text[:i]), text[i+1:]
		alone := strings.TrimLeft(length, " \t") != length
		if base == "" && alone {
			return "", 0, span, false
		}
		if span, ok := unsigned(length); ok {
			return base, text[i], span, true
		}
	}
	return "", 0, span, false
}

// unsigned reads a length that has no sign of its own: what two of them mean is for nobody to work out.
func unsigned(length string) (schedule.Span, bool) {
	if length = trim(length); length == "" || length[0] == '+' || length[0] == '-' {
		return schedule.Span{}, false
	}
	span, err := schedule.ParseSpan(length)
	return span, err == nil
}

// move returns the instant that is the span after t, or before it.
func (r *reader) move(t time.Time, span schedule.Span, sign byte) (time.Time, error) {
	if sign == '-' {
		span = schedule.Span{Months: -span.Months, Days: -span.Days, Time: -span.Time}
	}
	end := span.From(t)
	if end.IsZero() {
		return end, r.fail(yearsWhy)
	}
	return end, nil
}

// moved makes the mistake in an instant one of the whole text, whose readings are moved as well.
func (r *reader) moved(err error, span schedule.Span, sign byte) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	moved := &Error{Text: r.text, Why: e.Why}
	for _, reading := range e.Readings {
		text := reading.Text + " " + string(sign) + " " + span.String()
		again := &reader{text: text, now: r.now, loc: r.loc, past: r.past}
		if at, err := again.read(); err == nil && (r.past || at.After(r.now)) {
			moved.insert(Reading{Text: text, At: at})
		}
	}
	return moved
}

// epoch reads the seconds since 1970, with a fraction of nine digits at most.
func (r *reader) epoch(text string) (time.Time, error) {
	whole, frac, pointed := strings.Cut(text, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || whole[0] == '+' || pointed && !digits(frac, 1, 9) {
		return time.Time{}, r.fail("want the seconds since 1970 behind @, as in @1767225600")
	}
	ns, _ := strconv.Atoi((frac + "000000000")[:9])
	if whole[0] == '-' {
		ns = -ns
	}
	t := time.Unix(seconds, int64(ns)).UTC()
	if !inRange(t) {
		return time.Time{}, r.fail(yearsWhy)
	}
	return t, nil
}
