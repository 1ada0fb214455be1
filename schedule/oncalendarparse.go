package schedule

import (
	"strconv"
	"strings"
)

// Calendar follows a calendar event expression, which systemd.time(7) describes and OnCalendar= of a timer takes, on the wall
// clock of UTC or of the zone that [Schedule.In] or the end of the expression names.
//
// It is a list of weekdays, a date, a time of day and a zone, in this order and none of them required: "Mon..Fri 09:00",
// "*-*-01,15", "Mon *-05~07/1 08:00:00 Europe/Berlin". A date is year-month-day or month-day, with * for every value, lists
// (1,15), ranges (1..7) and repetitions (1/10: 1, 11, 21 and so on); with ~ before the day it counts from the end of the
// month. Seconds may have fractions, of microseconds. Without a date it is every day, without a time midnight, and both the
// weekday and the date must match. minutely, hourly, daily, weekly, monthly, quarterly, semiannually and yearly are short for
// the usual ones; @N is the instant N seconds after 1970. What is refused, and what daylight saving does, is described in
// docs/schedules.md.
//
// An expression that does not read is a mistake, which [Schedule.Err] reports; Pos counts in expr.
func Calendar(expr string) Schedule {
	p := calendarParser{text: expr}
	s, err := p.read()
	if err != nil {
		return Schedule{kind: KindCalendar, more: &more{err: err}}
	}
	return s
}

// shorthands are the words that stand for an expression.
var shorthands = [...]struct{ name, expr string }{
	{"minutely", "*-*-* *:*"},
	{"hourly", "*-*-* *:00"},
	{"daily", "*-*-*"},
	{"weekly", "Mon *-*-*"},
	{"monthly", "*-*-01"},
	{"quarterly", "*-01,04,07,10-01"},
	{"semiannually", "*-01,07-01"},
	{"yearly", "*-01-01"},
	// Other ways to say these, that systemd knows, too.
	{"annually", "*-01-01"},
	{"anually", "*-01-01"},
	{"semi-annually", "*-01,07-01"},
	{"biannually", "*-01,07-01"},
	{"bi-annually", "*-01,07-01"},
}

// calendarNames are the weekdays, the first of which is bit 0 of a cron expression's days of the week.
var calendarNames = [...]string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"}

// calendarParser reads a calendar event expression. Position and value of a mistake are those of an item of a list.
type calendarParser struct {
	text string
	k    calendar

	field field
	item  string // what stands between commas
	at    int    // where the item begins in text
	i     int    // how far it is read
}

// A piece is a word of the text and where it begins.
type piece struct {
	text string
	at   int
}

// fail is a mistake off bytes into a piece.
func (w piece) fail(field string, off int, want string) *Error {
	return &Error{Field: field, Value: clip(w.text), Want: want, Pos: w.at + off + 1}
}

// read reads the whole expression. It takes time linear in the text.
func (p *calendarParser) read() (Schedule, *Error) {
	if n := len(p.text); n > maxText {
		return Schedule{}, piece{p.text, maxText}.fail("calendar", 0, "at most "+strconv.Itoa(maxText)+" bytes, not "+strconv.Itoa(n))
	}
	if err := p.foreign(); err != nil {
		return Schedule{}, err
	}
	words := p.words()
	if len(words) == 0 {
		return Schedule{}, piece{p.text, 0}.fail("calendar", 0, calendarWant)
	}
	start := words[0].at
	words, z, err := p.zone(words)
	if err == nil {
		err = p.expression(words, &z)
	}
	if err != nil {
		if s := Cron(p.text); !s.broken() && s.kind == KindCron {
			err = piece{p.text[start:], start}.fail("calendar", 0, strconv.Quote("cron "+clip(strings.Trim(p.text, " "))))
		}
		return Schedule{}, err
	}
	p.k.settle()
	k := p.k
	return Schedule{kind: KindCalendar, more: &more{calendar: &k, never: k.rule.noDate(), zone: z}}, nil
}

// words takes the text apart at its spaces.
func (p *calendarParser) words() (words []piece) {
	for at := 0; at < len(p.text); {
		end := at
		for end < len(p.text) && p.text[end] != ' ' {
			end++
		}
		if end > at {
			words = append(words, piece{p.text[at:end], at})
		}
		at = end + 1
	}
	return words
}

// zone reads the zone at the end: a word with letters behind another.
func (p *calendarParser) zone(words []piece) ([]piece, *zone, *Error) {
	n := len(words) - 1
	w := words[n]
	if c := w.text[0] | 0x20; n == 0 || c < 'a' || c > 'z' {
		return words, nil, nil
	}
	before := words[n-1]
	name := w.text
	if strings.EqualFold(name, "UTC") {
		name = "UTC"
	}
	z, m := loadZone(name)
	switch {
	case words[0].text[0] == '@' && z != utc:
		return nil, nil, w.fail("in", 0, epochWant)
	case p.isWeekdays(w.text): // which no zone is called
		return nil, nil, w.fail("weekday", 0, "it first, before date and time")
	case m.want != "":
		return nil, nil, w.fail("in", 0, m.want)
	case w.at != before.at+len(before.text)+1:
		return nil, nil, w.fail("in", 0, "one space before the zone, not more")
	}
	return words[:n], z, nil
}

// expression reads what is there beside the zone, which @N sets.
func (p *calendarParser) expression(words []piece, z **zone) *Error {
	for _, s := range shorthands {
		if len(words) == 1 && strings.EqualFold(words[0].text, s.name) {
			words = (&calendarParser{text: s.expr}).words()
			break
		}
	}
	p.k.rule.dow = span(0, 6)
	if isLetter(words[0].text[0]) {
		if err := p.weekdays(words[0]); err != nil {
			return err
		}
		words = words[1:]
	}
	date, clock := piece{text: "*-*-*"}, piece{text: "0:0:0"}
	if len(words) > 0 && words[0].text[0] == '@' {
		*z = utc
		return p.epoch(words)
	}
	if len(words) > 0 && !strings.Contains(words[0].text, ":") {
		date, words = words[0], words[1:]
		if !strings.ContainsAny(date.text, "-~") {
			return date.fail("calendar", 0, p.wordHint(date.text))
		}
	}
	if len(words) > 0 {
		clock, words = words[0], words[1:]
	}
	if len(words) > 0 {
		return words[0].fail("calendar", 0, p.extraHint(words[0].text))
	}
	if err := p.date(date); err != nil {
		return err
	}
	return p.clock(clock)
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// epoch reads @N, the instant N seconds after 1970.
func (p *calendarParser) epoch(words []piece) *Error {
	w := words[0]
	digits := w.text[1:]
	const want = "a number of seconds since 1970 behind the @, up to the year 2199"
	end := skipDigits(digits, 0)
	if end == 0 || end < len(digits) {
		return w.fail("calendar", 1+end, want)
	}
	n, _ := strconv.ParseInt(digits, 10, 64) // of too many digits the largest there is
	if n >= dayOf(date{maxCalendarYear + 1, 1, 1})*daySeconds {
		return w.fail("calendar", 0, want)
	}
	if len(words) > 1 {
		return words[1].fail("calendar", 0, "nothing behind @N, which is an instant")
	}
	p.k.epoch = true
	day, second := civil(n).split()
	d := dateOf(day)
	for f, v := range map[field]int{
		fieldYear: d.year, fieldMonth: d.month, fieldDom: d.day,
		fieldHour: second / 3600, fieldMinute: second / 60 % 60, fieldSecond: second % 60 * micros,
	} {
		p.k.parts[f] = []part{{v, v, 0}}
	}
	return nil
}

// weekdays reads a list of weekdays and ranges of them. A comma may end it.
func (p *calendarParser) weekdays(w piece) *Error {
	var set uint64
	text := w.text
	for i := 0; i < len(text); {
		d, end := weekdayAt(text, i)
		if d < 0 {
			return w.fail("weekday", i, p.weekdayHint(text[i:]))
		}
		last := d
		sign := 0
		switch {
		case strings.HasPrefix(text[end:], ".."):
			sign = 2
		case end < len(text) && text[end] == '-': // an older form
			sign = 1
		}
		if sign > 0 {
			from := end + sign
			if last, end = weekdayAt(text, from); last < 0 {
				return w.fail("weekday", from, "a weekday to end the range, as in Mon..Fri")
			}
			if mondayFirst(last) < mondayFirst(d) {
				return w.fail("weekday", from, aroundHint(d, last))
			}
		}
		for v := mondayFirst(d); v <= mondayFirst(last); v++ {
			set |= 1 << ((v + 1) % 7)
		}
		if i = end; i < len(text) {
			if text[i] != ',' {
				return w.fail("weekday", i, p.afterWeekdayHint(text[i:]))
			}
			i++
		}
	}
	p.k.rule.dow = set
	return nil
}

// weekdayAt reads a weekday's name at text[i:], and returns -1 if there is none.
func weekdayAt(text string, i int) (d, end int) {
	end = i
	for end < len(text) && isLetter(text[end]) {
		end++
	}
	for d, name := range calendarNames {
		if word := text[i:end]; strings.EqualFold(word, name) || strings.EqualFold(word, name[:3]) {
			return d, end
		}
	}
	return -1, end
}

// mondayFirst counts a weekday from Monday, as 0, in place of Sunday.
func mondayFirst(d int) int { return (d + 6) % 7 }

// date reads year-month-day or month-day, the last sign of which may be ~.
func (p *calendarParser) date(w piece) *Error {
	var fields []piece
	from := 0
	for i := 0; i <= len(w.text); i++ {
		if i < len(w.text) && w.text[i] != '-' && w.text[i] != '~' {
			continue
		}
		fields = append(fields, piece{w.text[from:i], w.at + from})
		if p.k.fromEnd {
			if i < len(w.text) {
				return w.fail("calendar", i, "nothing but the day behind the ~")
			}
		}
		p.k.fromEnd = i < len(w.text) && w.text[i] == '~' || i == len(w.text) && p.k.fromEnd
		from = i + 1
	}
	switch len(fields) {
	case 2:
		fields = append([]piece{{text: "*"}}, fields...)
	case 3:
	default:
		return w.fail("calendar", fields[3].at-w.at-1, dashHint(fields[3].text))
	}
	for i, f := range [...]field{fieldYear, fieldMonth, fieldDom} {
		if err := p.list(f, fields[i]); err != nil {
			return err
		}
	}
	return nil
}

// clock reads hour:minute or hour:minute:second.
func (p *calendarParser) clock(w piece) *Error {
	if !strings.Contains(w.text, ":") {
		return w.fail("calendar", 0, p.clockHint(w.text))
	}
	p.k.parts[fieldSecond] = []part{{0, 0, 0}}
	from := 0
	for f := fieldHour; ; f-- {
		end := strings.IndexByte(w.text[from:], ':')
		if end < 0 {
			return p.list(f, piece{w.text[from:], w.at + from})
		}
		if f == fieldSecond {
			return w.fail("calendar", from+end, "hour:minute:second, or hour:minute")
		}
		if err := p.list(f, piece{w.text[from : from+end], w.at + from}); err != nil {
			return err
		}
		from += end + 1
	}
}

// list reads the items of a field.
func (p *calendarParser) list(f field, w piece) *Error {
	p.field, p.k.parts[f] = f, nil
	if w.text == "*" {
		if f == fieldSecond {
			p.k.parts[f] = []part{everySecond}
		}
		return nil
	}
	for from, n := 0, 1; from <= len(w.text); n++ {
		p.item, _, _ = strings.Cut(w.text[from:], ",")
		p.at, p.i = w.at+from, 0
		switch name := calendarFields[f].name; {
		case w.text == "":
			return p.fail(0, calendarFields[f].want+", or * for all")
		case p.item == "":
			return w.fail(name, from, commaHint(from, len(w.text)))
		case n > maxParts:
			return w.fail(name, 0, "at most "+strconv.Itoa(maxParts)+" items")
		}
		v, err := p.part()
		if err != nil {
			return err
		}
		p.k.parts[f] = append(p.k.parts[f], v)
		from += len(p.item) + 1
	}
	return nil
}

// fail is a mistake off bytes into the item.
func (p *calendarParser) fail(off int, want string) *Error {
	return piece{p.item, p.at}.fail(calendarFields[p.field].name, off, want)
}

// part reads a value, a range lo..hi or a repetition lo/step or lo..hi/step, and brings it into normalised form: a range ends
// with its last value, and one that has a single value is that.
func (p *calendarParser) part() (v part, err *Error) {
	limit := p.limit()
	if v.lo, err = p.value(); err != nil {
		return part{}, err
	}
	v.hi = v.lo
	ranged, hiAt, stepAt := p.skip(".."), p.i, 0
	if ranged {
		if v.step = 1; p.field == fieldSecond {
			v.step = micros
		}
		if v.hi, err = p.value(); err != nil {
			return part{}, err
		}
		if v.hi < v.lo {
			return part{}, p.fail(hiAt, p.backwardsHint(p.item[:hiAt-2]))
		}
	}
	if p.skip("/") {
		stepAt = p.i
		if v.step, err = p.number(); err != nil {
			return part{}, err
		}
	}
	switch {
	case p.i < len(p.item):
		return part{}, p.fail(p.i, p.unexpected())
	case stepAt > 0 && v.step == 0:
		return part{}, p.fail(stepAt, "a step longer than 0")
	case ranged && stepAt == 0 && v.lo+v.step > v.hi && p.field == fieldSecond:
		return part{}, p.fail(hiAt, "a range of a second at least, or a step behind it, as in 5..5.5/0.1")
	case !ranged && !p.repeats(v, limit): // a value alone does, at once
		return part{}, p.fail(stepAt, p.stepHint(v, limit))
	case ranged:
		if v.hi -= (v.hi - v.lo) % v.step; v.hi == v.lo {
			v.step = 0
		}
	case stepAt > 0:
		v.hi = open
	}
	return v, nil
}

// repeats says whether a repetition has a second value in its field. From the end of the month it goes down.
func (p *calendarParser) repeats(v part, limit int) bool {
	if p.fromEnd() {
		return v.lo-v.step >= calendarFields[p.field].lo
	}
	return v.lo+v.step <= limit
}

func (p *calendarParser) fromEnd() bool { return p.field == fieldDom && p.k.fromEnd }

// limit is the last value of the field.
func (p *calendarParser) limit() int {
	if p.fromEnd() {
		return 28 // so that every month has it
	}
	return calendarFields[p.field].hi
}

// skip moves over s if that is what comes next.
func (p *calendarParser) skip(s string) bool {
	if !strings.HasPrefix(p.item[p.i:], s) {
		return false
	}
	p.i += len(s)
	return true
}

// value reads a number that the field may hold. Of a year, two digits are enough.
func (p *calendarParser) value() (int, *Error) {
	from := p.i
	n, err := p.number()
	if err != nil {
		return 0, err
	}
	switch {
	case p.field != fieldYear || n >= 100:
	case n < 70:
		n += 2000
	default:
		n += 1900
	}
	if n < calendarFields[p.field].lo || n > p.limit() {
		return 0, p.fail(from, p.rangeHint(n))
	}
	return n, nil
}

// number reads digits; of seconds as microseconds, with a fraction that is rounded to these.
func (p *calendarParser) number() (int, *Error) {
	from := p.i
	p.i = skipDigits(p.item, from)
	if p.i == from {
		return 0, p.fail(from, p.valueHint())
	}
	n := smallInt(p.item[from:p.i])
	if p.field != fieldSecond {
		return n, nil
	}
	if n > maxSeconds {
		return 0, p.fail(from, calendarFields[fieldSecond].want)
	}
	n = min(n, 1000) * micros // more is too much anyway, and 32 bits hold this
	if rest := p.item[p.i:]; !strings.HasPrefix(rest, ".") || strings.HasPrefix(rest, "..") {
		return n, nil
	}
	p.i++
	digits := p.item[p.i:skipDigits(p.item, p.i)]
	if digits == "" {
		return 0, p.fail(p.i, "digits after the point")
	}
	p.i += len(digits)
	const places = 6
	if len(digits) > places && digits[places] >= '5' {
		n++
	}
	return n + smallInt((digits + "000000")[:places]), nil
}
