package schedule

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dulyhq/duly/internal/spelling"
)

// Span is a length of time as people write it: months and days of the calendar, which have no length of their own, and time that is
// counted. It is what "in" takes and what instants are moved by. The zero Span is none.
type Span struct { //nolint:recvcheck // only what reads a span changes it
	Months int           // a year is 12
	Days   int           // a week is 7
	Time   time.Duration // hours, minutes, seconds
}

// The most that a span can have: no two instants of a schedule are further apart.
const (
	maxMonths = 12 * 10_000
	maxDays   = 366 * 10_000
)

const (
	spanWant     = `a length such as "1h30m", "2h 30min", "3 days" or P1Y2M3DT4H5M6.7S`
	spanUnitWant = "a unit: years, months, weeks, days, hours, minutes, seconds, ms, us or ns"
	maxSpan      = 200 // bytes
)

// ParseSpan reads a length as Go, systemd.time(7) or ISO 8601 write it:
//
//   - numbers with units, in any order, which are added up: 1h30m, 2h 30min, 1y 12month, 55s500ms, "3 days and 12 hours". Units of one
//     letter are y, M, w, d, h, m and s; M is a month, m a minute. What is less than a day may have a fraction.
//   - PnYnMnWnDTnHnMnS, each once and in this order, with a fraction in the last, after a point or a comma. A sign may stand before the P.
//
// A month and a day are those of the calendar, also where systemd has 30.44 days and 24 hours. A number alone is refused, since it may be
// seconds or anything. Nothing is rounded: what is finer than a nanosecond, or a fraction of a month, is refused. The error is an *[Error].
func ParseSpan(text string) (Span, error) {
	s, m := parseSpan(text)
	if m.want != "" {
		return Span{}, &Error{Field: "span", Value: clip(text), Want: m.want, Pos: m.off + 1}
	}
	return s, nil
}

// parseSpan is ParseSpan.
func parseSpan(text string) (Span, miss) {
	if len(text) > maxSpan {
		return Span{}, miss{"at most " + strconv.Itoa(maxSpan) + " bytes", maxSpan}
	}
	i := 0
	for i < len(text) && isSpace(text[i]) {
		i++
	}
	w := strings.TrimRight(text[i:], " \t")
	var s Span
	var m miss
	if rest := strings.TrimLeft(w, "+-"); strings.HasPrefix(rest, "P") && len(w)-len(rest) <= 1 {
		s, m = parseISOSpan(w)
	} else {
		s, m = parseUnits(w)
	}
	m.off += i
	return s, m
}

// spanUnits are the units of a span by their names: so many months, days or nanoseconds.
var spanUnits = func() map[string]spanUnit {
	all := map[string]spanUnit{}
	add := func(u spanUnit, names ...string) {
		for _, name := range names {
			all[name] = u
		}
	}
	add(spanUnit{months: 12}, "y", "year", "years")
	add(spanUnit{months: 1}, "M", "month", "months")
	add(spanUnit{days: 7}, "w", "week", "weeks")
	add(spanUnit{days: 1}, "d", "day", "days")
	add(spanUnit{ns: uint64(time.Hour)}, "h", "hr", "hrs", "hour", "hours")
	add(spanUnit{ns: uint64(time.Minute)}, "m", "min", "mins", "minute", "minutes")
	add(spanUnit{ns: uint64(time.Second)}, "s", "sec", "secs", "second", "seconds")
	add(spanUnit{ns: uint64(time.Millisecond)}, "ms", "msec", "msecs", "millisecond", "milliseconds")
	add(spanUnit{ns: uint64(time.Microsecond)}, "us", "µs", "μs", "usec", "usecs", "microsecond", "microseconds")
	add(spanUnit{ns: 1}, "ns", "nsec", "nsecs", "nanosecond", "nanoseconds")
	return all
}()

// spanUnit is one of months, days and ns.
type spanUnit struct {
	months, days int
	ns           uint64
}

// unitOf finds a unit by its name: as it is, and what has more than two letters in any case.
func unitOf(name string) (spanUnit, bool) {
	if len(name) > 2 {
		name = lower(name)
	}
	u, ok := spanUnits[name]
	return u, ok
}

// unitWant says what would be right in place of a word that is no unit.
func unitWant(name string) string {
	if meant, ok := spelling.Closest(name, []string{"years", "months", "weeks", "days", "hours", "minutes", "seconds"}); ok && len(name) > 3 {
		return spanUnitWant + "; did you mean " + meant + "?"
	}
	return spanUnitWant
}

// lower is a word in lower case, if all of it is ASCII: what only looks like a letter of a word is none.
func lower(word string) string {
	for i := range len(word) {
		if word[i] >= utf8.RuneSelf {
			return word
		}
	}
	return strings.ToLower(word)
}

// parseUnits reads numbers with units behind them.
func parseUnits(w string) (s Span, m miss) {
	i := 0
	if strings.HasPrefix(w, "+") {
		i++
	}
	for first := true; first || i < len(w); first = false {
		if !first {
			i = skipJoint(w, i)
		}
		start := i
		whole, frac, end, m := spanNumber(w, i)
		if m.want != "" {
			return Span{}, m
		}
		for i = end; i < len(w) && isSpace(w[i]); i++ {
		}
		from := i
		for i < len(w) && !isSpace(w[i]) && !strings.ContainsRune("0123456789.,+-", rune(w[i])) {
			i++
		}
		if i == from {
			return Span{}, miss{"a unit behind " + w[start:end] + ": " + w[start:end] + "s are seconds", start}
		}
		u, ok := unitOf(w[from:i])
		if !ok {
			return Span{}, miss{unitWant(w[from:i]), from}
		}
		if m = s.add(u, whole, frac); m.want != "" {
			m.off += start
			return Span{}, m
		}
		for i < len(w) && isSpace(w[i]) {
			i++
		}
	}
	return s, miss{}
}

// skipJoint passes over a comma or an "and" between two parts.
func skipJoint(w string, i int) int {
	for _, joint := range [...]string{",", "and "} {
		if strings.HasPrefix(w[i:], joint) {
			for i += len(joint); i < len(w) && isSpace(w[i]); i++ {
			}
			break
		}
	}
	return i
}

// spanNumber reads 12, 1.5 or .5 at w[i:].
func spanNumber(w string, i int) (whole, frac string, end int, m miss) {
	end = skipDigits(w, i)
	whole = w[i:end]
	if end < len(w) && w[end] == '.' {
		point := end
		end = skipDigits(w, point+1)
		if frac = w[point+1 : end]; frac == "" {
			return "", "", i, miss{"digits after the point", point + 1}
		}
	}
	if whole == "" && frac == "" {
		if i > 0 && i < len(w) && (w[i] == '-' || w[i] == '+') {
			return "", "", i, miss{"one sign, in front of the whole of an ISO 8601 duration, as in -P1DT2H", i}
		}
		return "", "", i, miss{spanWant, i}
	}
	if whole == "" {
		whole = "0"
	}
	return whole, frac, end, miss{}
}

// add adds whole.frac units to s.
func (s *Span) add(u spanUnit, whole, frac string) miss {
	frac = strings.TrimRight(frac, "0")
	if u.ns > 0 {
		ns, m := scale(whole, frac, u.ns)
		switch {
		case m.want != "":
			return m
		case ns > math.MaxInt64-uint64(s.Time):
			return miss{tooLongWant, 0}
		}
		s.Time += time.Duration(ns)
		return miss{}
	}
	n, err := strconv.Atoi(whole)
	if err != nil || n > maxDays {
		return miss{"at most 10000 years", 0}
	}
	if frac != "" {
		return s.addPart(u, whole, frac)
	}
	s.Months += n * u.months
	s.Days += n * u.days
	if s.Months > maxMonths || s.Days > maxDays {
		return miss{"at most 10000 years", 0}
	}
	return miss{}
}

// addPart adds a number of days, weeks, months or years that has a fraction: whole months or days, and of a day what is left is time.
func (s *Span) addPart(u spanUnit, whole, frac string) miss {
	if u.months > 0 {
		n, m := scale(whole, frac, uint64(u.months))
		if m.want != "" {
			return miss{"whole months: a part of a month has no length", len(whole) + 1}
		}
		return s.add(spanUnit{months: 1}, strconv.FormatUint(n, 10), "")
	}
	ns, m := scale(whole, frac, uint64(u.days)*uint64(24*time.Hour))
	if m.want != "" {
		return m
	}
	const day = uint64(24 * time.Hour)
	if m := s.add(spanUnit{days: 1}, strconv.FormatUint(ns/day, 10), ""); m.want != "" {
		return m
	}
	return s.add(spanUnit{ns: 1}, strconv.FormatUint(ns%day, 10), "")
}

// isoParts are the designators of an ISO 8601 duration, in order. After the T, M is a minute.
var isoParts = [...]struct {
	letter byte
	clock  bool
	unit   spanUnit
}{
	{'Y', false, spanUnit{months: 12}},
	{'M', false, spanUnit{months: 1}},
	{'W', false, spanUnit{days: 7}},
	{'D', false, spanUnit{days: 1}},
	{'H', true, spanUnit{ns: uint64(time.Hour)}},
	{'M', true, spanUnit{ns: uint64(time.Minute)}},
	{'S', true, spanUnit{ns: uint64(time.Second)}},
}

const (
	isoWant      = "an ISO 8601 duration such as P1Y2M3DT4H5M6.7S, PT5M or P2W"
	isoOrderWant = "Y, M, W and D, and behind a T H, M and S, each once and in this order"
)

// parseISOSpan reads an ISO 8601 duration with at most one sign before its P. The word is not empty.
func parseISOSpan(w string) (s Span, m miss) {
	i := strings.IndexByte(w, 'P') + 1
	negative := w[0] == '-'
	clock, fraction, next, some := false, false, 0, false
	for i < len(w) {
		if w[i] == 'T' && !clock {
			clock, some = true, false // something must follow
			i++
			continue
		}
		start := i
		whole, frac, end := isoNumber(w, i)
		switch {
		case whole == "" && (w[i] == '-' || w[i] == '+'):
			return Span{}, miss{"one sign for the whole, before the P, as in -P1DT2H", i}
		case whole == "" || end == len(w):
			return Span{}, miss{isoWant, i}
		case fraction:
			return Span{}, miss{"a fraction in the last part only", start}
		}
		k := next
		for k < len(isoParts) && (isoParts[k].letter != w[end] || isoParts[k].clock != clock) {
			k++
		}
		if k == len(isoParts) {
			return Span{}, miss{isoOrderWant, end}
		}
		if m := s.add(isoParts[k].unit, whole, frac); m.want != "" {
			m.off += start
			return Span{}, m
		}
		i, next, some, fraction = end+1, k+1, true, frac != ""
	}
	if !some {
		return Span{}, miss{isoWant, i}
	}
	if negative {
		s = s.negative()
	}
	return s, miss{}
}

// isoNumber is a number that begins with a digit, with a point or a comma in it. It is empty if it does not end in a digit.
func isoNumber(w string, i int) (whole, frac string, end int) {
	end = skipDigits(w, i)
	whole = w[i:end]
	if whole != "" && end < len(w) && (w[end] == '.' || w[end] == ',') {
		point := end
		end = skipDigits(w, point+1)
		if frac = w[point+1 : end]; frac == "" {
			return "", "", point
		}
	}
	return whole, frac, end
}

func (s Span) negative() Span { return Span{Months: -s.Months, Days: -s.Days, Time: -s.Time} }

// String returns the span as ISO 8601 writes it: P1Y2M3DT4H5M6.7S. Parts that point both ways have a sign each, which ISO 8601-2 has and
// [ParseSpan], which makes no such span, does not read. That of the zero Span is PT0S.
func (s Span) String() string {
	sign := ""
	if s.Months <= 0 && s.Days <= 0 && s.Time <= 0 && s != (Span{}) {
		sign, s = "-", Span{Months: -s.Months, Days: -s.Days, Time: s.Time}
	} else {
		s.Time = -s.Time
	}
	b := []byte(sign + "P")
	part := func(n int, letter byte) {
		if n != 0 {
			b = append(strconv.AppendInt(b, int64(n), 10), letter)
		}
	}
	part(s.Months/12, 'Y')
	part(s.Months%12, 'M')
	part(s.Days, 'D')
	if s.Time == 0 {
		if s.Months == 0 && s.Days == 0 {
			b = append(b, "T0S"...)
		}
		return string(b)
	}
	// Time is kept below zero here, where its smallest value has room, too.
	b = append(b, 'T')
	part(-int(s.Time/time.Hour), 'H')
	part(-int(s.Time%time.Hour/time.Minute), 'M')
	rest := s.Time % time.Minute
	if rest == 0 {
		return string(b)
	}
	if rest > 0 {
		b = append(b, '-')
	} else {
		rest = -rest
	}
	b = strconv.AppendInt(b, int64(rest/time.Second), 10)
	if ns := rest % time.Second; ns != 0 {
		b = append(b, strings.TrimRight("."+strconv.Itoa(int(time.Second + ns))[1:], "0")...)
	}
	return string(append(b, 'S'))
}

// Fixed returns the length of a span that is the same whenever it begins, with 24 hours to a day; false if it has months, or is longer than
// a [time.Duration] can be.
func (s Span) Fixed() (time.Duration, bool) {
	const day = 24 * time.Hour
	if days := int64(s.Days); s.Months != 0 || days > math.MaxInt64/int64(day) || days < math.MinInt64/int64(day) {
		return 0, false
	}
	d := time.Duration(s.Days) * day
	if sum := d + s.Time; (sum < d) == (s.Time < 0) {
		return sum, true
	}
	return 0, false
}

// From returns the instant that is the span after t, or before t if the span is negative, by the clocks of t's zone. First the months are
// counted, and the day is the last of its month where that has no such day: 31 January and one month is 28 or 29 February. Then the days,
// at the same time of day: where that is skipped by clocks put forward it is the first instant after the gap, where it comes twice the
// first of both. Then the time, as it really passes. Beyond the years 1 to 9999 it is the zero time.
func (s Span) From(t time.Time) time.Time {
	if s.Months != 0 || s.Days != 0 {
		if !inRange(t) {
			return time.Time{}
		}
		_, offset := t.Zone()
		c, ok := s.move(civil(t.Unix() + int64(offset)))
		if !ok {
			return time.Time{}
		}
		ns := time.Duration(t.Nanosecond())
		if at := shownAt(c, t.Location()); len(at) > 0 {
			t = at[0].Add(ns)
		} else if t = gapEnd(c, t.Location()); t.IsZero() {
			return t
		}
	}
	end := t.Add(s.Time)
	if !inRange(end) || end.Before(t) != (s.Time < 0) {
		return time.Time{}
	}
	return end
}

// move moves a reading by the months and the days; not ok beyond the years 1 to 9999.
func (s Span) move(c civil) (civil, bool) {
	day, second := c.split()
	d := dateOf(day)
	months := d.year*12 + d.month - 1 + s.Months
	if months < 12 || months >= 12*10_000 {
		return 0, false
	}
	d.year, d.month = months/12, months%12+1
	d.day = min(d.day, monthLength(d.year, d.month))
	day = dayOf(d) + int64(s.Days)
	if y := dateOf(day).year; y < firstYear || y > lastYear {
		return 0, false
	}
	return makeCivil(day, second), true
}
