package schedule

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const calendarWant = `weekdays, a date, a time or several of them, as in "Mon..Fri 09:00" or "*-*-01 08:30 Europe/Berlin"`

// epochWant says which zone @N may have.
const epochWant = "UTC or none: @N is an instant"

// foreign is a mistake where the text holds what is not ASCII, or white space other than spaces.
func (p *calendarParser) foreign() *Error {
	for i, r := range p.text {
		switch plain := plainRune(r); {
		case r == '\t':
			return piece{p.text[i : i+1], i}.fail("calendar", 0, "spaces, not U+0009 (tab)")
		case r == ' ' || '!' <= r && r <= '~':
		case r == utf8.RuneError && !strings.HasPrefix(p.text[i:], string(utf8.RuneError)):
			return piece{p.text[i : i+1], i}.fail("calendar", 0, "ASCII, not the byte 0x"+strconv.FormatUint(uint64(p.text[i]), 16))
		case plain != 0:
			return piece{string(r), i}.fail("calendar", 0, strconv.Quote(string(plain))+" in ASCII, not "+runeName(r))
		default:
			return piece{string(r), i}.fail("calendar", 0, "ASCII, not "+runeName(r))
		}
	}
	return nil
}

// isWeekdays says whether a word is a list of weekdays.
func (p *calendarParser) isWeekdays(word string) bool {
	return (&calendarParser{text: word}).weekdays(piece{word, 0}) == nil
}

// weekdayHint says what would be right in place of what is no weekday, at which rest begins.
func (p *calendarParser) weekdayHint(rest string) string {
	want := calendarFields[fieldDow].want
	if c := rest[0]; c == ',' || c == '.' || c == '-' {
		return "a weekday before the " + strconv.Quote(rest[:1])
	}
	if _, m := loadZone(strings.ToUpper(rest)); m.want == "" {
		return "a time before the zone, as in 09:00 " + strings.ToUpper(rest)
	}
	_, end := weekdayAt(rest, 0)
	word := strings.ToLower(rest[:end])
	var names []string
	for _, s := range shorthands[:8] {
		if s.name == word || s.name == rest {
			return strconv.Quote(s.name) + " alone, or with a zone behind it"
		}
		names = append(names, s.name)
	}
	if slices.Contains(dayNames, word[:min(len(word), 3)]) {
		return strconv.Quote(calendarNames[slices.Index(dayNames, word[:3])][:3])
	}
	if slices.Contains(monthNames, word[:min(len(word), 3)]) {
		return want + "; months are numbers, as in *-12-24"
	}
	for _, n := range calendarNames {
		names = append(names, strings.ToLower(n[:3]), strings.ToLower(n))
	}
	return cmp.Or(suggest(word, names), want)
}

// afterWeekdayHint says what would be right behind a weekday in place of rest.
func (p *calendarParser) afterWeekdayHint(rest string) string {
	switch {
	case strings.HasPrefix(rest, "..") || rest[0] == '-':
		return `a comma or a space: a range has two ends, as in Mon..Fri`
	case rest[0] == '.':
		return `".." for a range, as in Mon..Fri`
	case rest[0] == '#' || rest[0] == '/':
		return `a date for that: the second Monday is "Mon *-*-08..14", the last one "Mon *-*~07/1"`
	}
	return "a comma, \"..\" or a space behind the weekday"
}

// aroundHint says how to write a range of weekdays that goes around the end of the week.
func aroundHint(d, last int) string {
	const sunday = 0
	around := calendarNames[d][:3] + ".." + calendarNames[sunday][:3]
	if d == sunday {
		around = calendarNames[sunday][:3]
	}
	rest := "Mon.." + calendarNames[last][:3]
	if mondayFirst(last) == 0 {
		rest = "Mon"
	}
	return "a range from Monday to Sunday: " + strconv.Quote(around+","+rest)
}

// wordHint says what would be right in place of a word that is no date, and has no colon.
func (p *calendarParser) wordHint(word string) string {
	if n := smallInt(word); skipDigits(word, 0) == len(word) && n < 24 {
		return strconv.Quote(word+":00") + ` for a time, or a date such as "*-*-` + word + `"`
	}
	return `a date such as "*-*-01" or a time such as "09:00"`
}

// clockHint is wordHint behind a date.
func (p *calendarParser) clockHint(word string) string {
	if n := smallInt(word); skipDigits(word, 0) == len(word) && n < 24 {
		return strconv.Quote(word + ":00")
	}
	return `a time such as "09:00"`
}

// extraHint says what would be right in place of a word that there is no room for.
func (p *calendarParser) extraHint(word string) string {
	switch c := word[0]; {
	case c == '+' || c == '-':
		return "a zone by its name, such as Europe/Berlin: an offset is none"
	case strings.Contains(word, ":"):
		return `one time, with lists in it: "9,17:30"`
	}
	return "weekdays, a date, a time and a zone, in this order"
}

// dashHint says what would be right where a date goes on behind its day.
func dashHint(rest string) string {
	if skipDigits(rest, 0) > 0 {
		return `".." for a range of days, as in *-*-1..7`
	}
	return "year-month-day or month-day"
}

// rangeHint says what would be right in place of a number out of range.
func (p *calendarParser) rangeHint(n int) string {
	want := calendarFields[p.field].want
	switch {
	case p.fromEnd():
		return "1 to 28 behind the ~, which every month has; the last day is 1"
	case p.field == fieldHour && n == 24:
		return want + "; midnight is 00:00"
	case p.field == fieldHour && strings.ContainsAny(p.item, "Tt-"):
		return "a space between date and time"
	case p.field == fieldMinute && n == 60, n == 60*micros: // so much is said of seconds only
		return want + "; the full one is 0"
	}
	return want
}

// backwardsHint says how to write a range that goes around the end of its field, and begins with the value lo.
func (p *calendarParser) backwardsHint(lo string) string {
	limit := p.limit()
	if p.field == fieldSecond {
		limit = 59
	}
	if p.field == fieldYear || p.fromEnd() {
		return "a value not before " + lo
	}
	return "a value not before " + lo + `, or two ranges: "` + lo + ".." + strconv.Itoa(limit) + "," +
		strconv.Itoa(calendarFields[p.field].lo) + ".." + p.item[strings.Index(p.item, "..")+2:] + `"`
}

// stepHint says which steps are right from a value on.
func (p *calendarParser) stepHint(v part, limit int) string {
	room := limit - v.lo
	if p.fromEnd() {
		room = v.lo - calendarFields[p.field].lo
	}
	if room <= 0 {
		return "no step: nothing comes after " + p.item[:strings.IndexByte(p.item, '/')]
	}
	if p.field == fieldSecond {
		return "a step that leads to a second before the minute ends: less than " + strconv.Itoa((room+micros)/micros)
	}
	return "a step that leads to another value: 1 to " + strconv.Itoa(room)
}

// valueHint says what would be right where a number should be.
func (p *calendarParser) valueHint() string {
	spec := &calendarFields[p.field]
	rest := p.item[p.i:]
	first := "0"
	if p.field >= fieldDom {
		first = "1"
	}
	switch {
	case rest == "":
		return "a number after " + strconv.Quote(p.item[:p.i])
	case rest[0] == '*' && strings.HasPrefix(rest, "*/") && p.field != fieldYear:
		return strconv.Quote(first + rest[1:])
	case rest[0] == '*':
		return "* alone, or numbers"
	case rest[0] == '?':
		return `"*"`
	case rest[0] == '+':
		return spec.want + ", without a sign"
	case strings.HasPrefix(rest, "..") || rest[0] == '/':
		return "a number before the " + strconv.Quote(strings.TrimRight(rest, "0123456789"))
	case p.field == fieldDom && rest[0]|0x20 == 'l':
		return `"~01" for the month's last day, as in *-*~01`
	case p.field == fieldMonth && len(rest) > 2 && slices.Contains(monthNames, strings.ToLower(rest[:3])):
		return strconv.Quote(strconv.Itoa(1+slices.Index(monthNames, strings.ToLower(rest[:3])))) + ": months are numbers"
	}
	return spec.want
}

// unexpected says what would be right where an item should end and goes on.
func (p *calendarParser) unexpected() string {
	done, rest := p.item[:p.i], p.item[p.i:]
	c := rest[0]
	ranged := strings.HasPrefix(rest, "..") || c == '-' && len(rest) > 1
	switch {
	case c == '/': // a first one has been read
		return `one "/" only`
	case ranged && strings.Contains(done, "/"):
		return `the range before the step, as in 10..20/5`
	case ranged && strings.Contains(done, ".."):
		return `one ".." only`
	case ranged: // by a dash
		return `".." for a range, as in ` + done + ".." + rest[1:]
	case c == '.':
		return "whole numbers: only seconds have fractions"
	case p.field == fieldHour && c|0x20 == 't':
		return "a space between date and time"
	case p.field == fieldSecond && (c|0x20 == 'a' || c|0x20 == 'p'), p.field == fieldMinute && (c|0x20 == 'a' || c|0x20 == 'p'):
		return "hours from 0 to 23, without am and pm"
	case p.field == fieldSecond && (c == '+' || c|0x20 == 'z'):
		return "a space and the name of a zone, as in 09:00 Europe/Berlin"
	}
	return calendarFields[p.field].want
}

// calendarHint says how to write what is a calendar event expression without its word, and is empty for what is none, or may be
// meant in another way: a date and a time of day without anything that recurs in it.
func (p *parser) calendarHint() string {
	ahead := *p
	ahead.next = p.at
	text := strings.TrimSpace(ahead.fields())
	if strings.Trim(text, "0123456789-: ") == "" {
		return ""
	}
	if s := Calendar(text); s.broken() {
		return ""
	}
	return `"calendar ` + clip(text) + `"`
}
