package schedule

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"
)

// miss is a mistake in a literal: what would be right, and how many bytes into it. No want, no mistake.
type miss struct {
	want string
	off  int
}

// duration reads a length of time that follows the given word: one word, or several such as 2h 30min.
func (p *parser) duration(field string) (time.Duration, *Error) {
	p.skipSpace()
	ahead := *p
	text := ahead.lengths()
	w := p.word()
	d, m := parseDuration(w)
	more := strings.TrimLeft(text[min(len(w), len(text)):], " \t")
	if rest, ok := strings.CutPrefix(more, "and "); ok {
		more = strings.TrimLeft(rest, " \t")
	}
	if m.want == "" && (more == "" || !isDigit(more[0])) {
		return d, nil
	}
	span, wrong := parseSpan(text)
	if wrong.want == "" {
		d, wrong.want = span.length(field)
	}
	switch {
	case wrong.want == "":
		p.next = ahead.next
		return d, nil
	case text == w && !strings.HasPrefix(w, "P") && span.Months == 0:
		wrong = m // which knows a word better
	}
	return 0, p.fail(field, text, wrong.off, wrong.want)
}

// lengths returns the text of a length, up to a clause or the end, and leaves the parser there. "days" is a clause, too, but not behind a
// number.
func (p *parser) lengths() string {
	start, end, number := p.next, p.next, false
	for w := p.token(); w != "" && w != "(" && w != ")"; w = p.token() {
		if slices.Contains(clauses[:], strings.ToLower(w)) && (w != "days" || !number) {
			break
		}
		end, number = p.next, strings.Trim(w, "0123456789.") == ""
	}
	p.next = end
	return p.text[start:end]
}

// length returns how long a span is where the given word asks for a length, or what would be right. A delay counts 24 hours to a day; a
// period does not, since what comes every day is meant to come at the same time of day.
func (s Span) length(field string) (time.Duration, string) {
	d, ok := s.Fixed()
	switch {
	case s.Months != 0 && field == "in":
		return 0, `hours, since months differ in length; by the calendar it is "at now + ` + strconv.Itoa(s.Months) + ` months"`
	case s.Months != 0:
		return 0, "hours, since months differ in length; by the calendar it is R/START/" + s.String()
	case !ok:
		return 0, tooLongWant
	case s.Days != 0 && field != "in":
		return 0, "hours, since days and weeks belong to calendars: " + durationText(d)
	}
	return d, ""
}

// instant reads the next word as an instant that follows the given word.
func (p *parser) instant(field string) (time.Time, *Error) {
	w := p.word()
	t, m := parseInstant(w)
	if m.want != "" {
		if field == "at" {
			m.want = cmp.Or(intervalWant(w), m.want)
		}
		return time.Time{}, p.fail(field, w, m.off, m.want)
	}
	return t, nil
}

// units from the longest to the shortest, which is the order in a duration.
var units = [...]struct {
	name string
	ns   uint64
}{
	{"h", uint64(time.Hour)},
	{"m", uint64(time.Minute)},
	{"s", uint64(time.Second)},
	{"ms", uint64(time.Millisecond)},
	{"µs", uint64(time.Microsecond)}, // micro sign, as time.Duration prints
	{"ns", 1},
}

// parseDuration reads what time.Duration prints: numbers with units, the longest first and each once. Unlike
// time.ParseDuration it takes nothing that it would have to round.
func parseDuration(w string) (time.Duration, miss) {
	if w == "0" {
		return 0, miss{}
	}
	i, negative := 0, strings.HasPrefix(w, "-")
	if negative {
		i++
	}
	if i == len(w) {
		return 0, miss{durationWant, 0}
	}
	limit := uint64(math.MaxInt64)
	if negative {
		limit++
	}
	var sum uint64
	for from := 0; i < len(w); {
		start := i
		i = skipDigits(w, i)
		whole, frac := w[start:i], ""
		if i < len(w) && w[i] == '.' {
			end := skipDigits(w, i+1)
			frac, i = w[i+1:end], end
			if frac == "" {
				return 0, miss{"digits after the point", i}
			}
		}
		if whole == "" {
			return 0, miss{durationWant, start}
		}
		u, end := unitAt(w, i)
		if u < from || u == len(units) {
			return 0, miss{unitHint(w[i:end], w[start:i], u), i}
		}
		ns, m := scale(whole, frac, units[u].ns)
		if m.want != "" {
			m.off += start
			return 0, m
		}
		if ns > limit-sum {
			return 0, miss{tooLongWant, start}
		}
		sum, from, i = sum+ns, u+1, end
	}
	if negative {
		return time.Duration(-sum), miss{}
	}
	return time.Duration(sum), miss{}
}

const tooLongWant = "at most 2562047h47m16.854775807s"

func skipDigits(w string, i int) int {
	for i < len(w) && isDigit(w[i]) {
		i++
	}
	return i
}

// unitAt returns the index of the unit at w[i:], len(units) for none, and where its letters end.
func unitAt(w string, i int) (unit, end int) {
	end = i
	for end < len(w) && !isDigit(w[end]) && w[end] != '.' && w[end] != '-' && w[end] != '+' {
		end++
	}
	name := w[i:end]
	switch name {
	case "us", "μs": // ASCII, and the Greek letter
		name = "µs"
	}
	for unit = range units {
		if units[unit].name == name {
			return unit, end
		}
	}
	return len(units), end
}

// unitHint says what would be right in place of a unit that is none or comes too late.
func unitHint(name, number string, unit int) string {
	hours := 0
	switch name {
	case "d", "day", "days":
		hours = 24
	case "w", "week", "weeks":
		hours = 7 * 24
	}
	switch {
	case unit < len(units):
		return "each unit once and the longest first, as in 1h30m"
	case hours > 0:
		if n, _ := strconv.Atoi(number); n > 0 && n < 100_000 { // 0 for a fraction, and more for what is too large
			return "hours, since days and weeks belong to calendars: " + strconv.Itoa(n*hours) + "h"
		}
		return "hours, since days and weeks belong to calendars: 24h a day"
	}
	return "a unit: h, m, s, ms, us or ns"
}

// scale is whole.frac times unit, exactly or not at all.
func scale(whole, frac string, unit uint64) (uint64, miss) {
	n, err := strconv.ParseUint(whole, 10, 64)
	hi, ns := bits.Mul64(n, unit)
	if err != nil || hi != 0 {
		return 0, miss{tooLongWant, 0}
	}
	frac = strings.TrimRight(frac, "0")
	if frac == "" {
		return ns, miss{}
	}
	finer := miss{"whole nanoseconds", len(whole) + 1}
	if len(frac) > 18 { // 10^18 is the last power of ten in reach, and no unit is divisible so far
		return 0, finer
	}
	f, _ := strconv.ParseUint(frac, 10, 64)
	power := uint64(1)
	for range len(frac) {
		power *= 10
	}
	hi, lo := bits.Mul64(f, unit)
	part, rest := bits.Div64(hi, lo, power) // f < power, so the quotient is less than unit
	if rest != 0 {
		return 0, finer
	}
	ns, carry := bits.Add64(ns, part, 0)
	if carry != 0 {
		return 0, miss{tooLongWant, 0}
	}
	return ns, miss{}
}

const (
	formatWant = "an instant such as 2026-12-24T17:00:00Z, 2026-12-24T18:00[Europe/Berlin] or 2027-01-01"
	offsetWant = "an offset or a zone after the time of day: Z, +01:00 or [Europe/Berlin]"
)

// parseInstant reads RFC 3339, with seconds left out if they are 0; with a zone in brackets behind it, as in RFC 9557, or
// in place of the offset; and a date alone, which is its midnight, in UTC where no zone follows.
func parseInstant(w string) (time.Time, miss) {
	civil, i, m := parseCivil(w)
	if m.want != "" {
		return time.Time{}, m
	}
	at, hasOffset, known := i, false, false
	var offset time.Duration
	if i > len("2006-01-02") {
		offset, i, hasOffset, m = parseOffset(w, i)
		if m.want != "" {
			return time.Time{}, m
		}
		known = hasOffset && w[at] != 'Z' && w[at:i] != "-00:00" // RFC 9557: these two say nothing of local time
	}
	t := civil.Add(-offset)
	if i == len(w) {
		if !hasOffset && i > len("2006-01-02") {
			return time.Time{}, miss{offsetWant, i}
		}
		return t, miss{}
	}
	if w[i] != '[' || w[len(w)-1] != ']' {
		return time.Time{}, miss{formatWant, i}
	}
	name := w[i+1 : len(w)-1]
	zone, m := loadZone(name)
	if m.want != "" {
		m.off = i + 1
		return time.Time{}, m
	}
	if !hasOffset {
		return resolve(civil, zone), miss{}
	}
	if _, have := t.In(zone.loc).Zone(); known && time.Duration(have)*time.Second != offset {
		return time.Time{}, miss{"the offset of " + name + " at that time, " + t.In(zone.loc).Format("-07:00") + ", or none", at}
	}
	return t, miss{}
}

// parseCivil reads a date and, behind T, a time of day, and returns them as if they were UTC.
func parseCivil(w string) (t time.Time, end int, m miss) {
	if w == "" {
		return time.Time{}, 0, miss{formatWant, 0}
	}
	var v [6]int // year, month, day, hour, minute, second
	parts := [6]struct {
		before byte
		digits int
		lo, hi int
		want   string
	}{
		{0, 4, 0, 9999, formatWant},
		{'-', 2, 1, 12, "a month from 01 to 12"},
		{'-', 2, 1, 31, "a day from 01 to 31"},
		{'T', 2, 0, 23, "an hour from 00 to 23"},
		{':', 2, 0, 59, "a minute from 00 to 59"},
		{':', 2, 0, 59, "a second from 00 to 59"},
	}
	i, n := 0, 0
	for ; n < len(parts); n++ {
		part := parts[n]
		if part.before != 0 {
			if i >= len(w) || w[i] != part.before {
				break
			}
			i++
		}
		end := skipDigits(w, i)
		x, err := strconv.Atoi(w[i:end])
		if end-i != part.digits || err != nil {
			return time.Time{}, 0, miss{formatWant, i}
		}
		if x < part.lo || x > part.hi {
			return time.Time{}, 0, miss{part.want, i}
		}
		v[n], i = x, end
	}
	if n < 3 || n == 4 { // no date, or an hour without minutes
		return time.Time{}, 0, miss{formatWant, i}
	}
	ns := 0
	if n == len(parts) && i < len(w) && w[i] == '.' {
		end := skipDigits(w, i+1)
		frac := w[i+1 : end]
		if len(frac) < 1 || len(frac) > 9 {
			return time.Time{}, 0, miss{"1 to 9 digits after the point", i + 1}
		}
		ns, _ = strconv.Atoi((frac + "00000000")[:9])
		i = end
	}
	t = time.Date(v[0], time.Month(v[1]), v[2], v[3], v[4], v[5], ns, time.UTC)
	if t.Day() != v[2] {
		return time.Time{}, 0, miss{"a day that the month has", len("2006-01-")}
	}
	return t, i, miss{}
}

// parseOffset reads Z or +01:00 at w[i:], if there is one.
func parseOffset(w string, i int) (offset time.Duration, end int, ok bool, m miss) {
	if i >= len(w) || w[i] == '[' {
		return 0, i, false, miss{}
	}
	if w[i] == 'Z' {
		return 0, i + 1, true, miss{}
	}
	if w[i] != '+' && w[i] != '-' {
		return 0, 0, false, miss{offsetWant, i}
	}
	h, colon := skipDigits(w, i+1), i+3
	if h != colon || colon >= len(w) || w[colon] != ':' || skipDigits(w, colon+1) != colon+3 {
		return 0, 0, false, miss{"an offset such as +01:00", i}
	}
	hours, _ := strconv.Atoi(w[i+1 : colon])
	minutes, _ := strconv.Atoi(w[colon+1 : colon+3])
	if hours > 23 || minutes > 59 {
		return 0, 0, false, miss{"an offset from -23:59 to +23:59", i}
	}
	offset = time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if w[i] == '-' {
		offset = -offset
	}
	return offset, colon + 3, true, miss{}
}

// resolve finds the instant at which clocks in the zone show what civil shows in UTC. Where they show it twice it is the
// first; where they never do, it is the first instant after the gap (contract I2, I3).
func resolve(civil time.Time, z *zone) time.Time {
	// No zone is a day or more from UTC, so the search begins before every instant in question, and takes the stretches
	// of constant offset one by one, the earliest first.
	z.ready()
	reading, ns := civil.Unix(), int64(civil.Nanosecond())
	for second := reading - daySeconds; ; {
		s := z.at(second)
		at := reading - s.offset
		switch {
		case at < s.start:
			return time.Unix(s.start, 0).UTC()
		case at < s.end:
			return time.Unix(at, ns).UTC()
		}
		second = s.end
	}
}
