package schedule

import (
	"slices"
	"strconv"
	"strings"
)

// maxInterval is the largest INTERVAL and COUNT.
const maxInterval = 1<<31 - 1

// weekNames are the days of the week in BYDAY and WKST.
var weekNames = [...]string{"SU", "MO", "TU", "WE", "TH", "FR", "SA"}

// A recurPart is a part of a rule that holds a list of numbers.
type recurPart struct {
	name   string
	lo, hi int
	end    bool // may be negative, from the end
	want   string
}

var recurParts = [...]recurPart{
	{"BYSECOND", 0, 60, false, "0 to 59"},
	{"BYMINUTE", 0, 59, false, "0 to 59"},
	{"BYHOUR", 0, 23, false, "0 to 23"},
	{"BYMONTHDAY", 1, 31, true, "1 to 31, or -1 to -31 from the end of the month"},
	{"BYYEARDAY", 1, 366, true, "1 to 366, or -1 to -366 from the end of the year"},
	{"BYWEEKNO", 1, 53, true, "1 to 53, or -1 to -53 from the end of the year"},
	{"BYMONTH", 1, 12, false, "1 to 12"},
	{"BYEASTER", 0, 366, true, "days from Easter Sunday, -366 to 366"},
	{"BYSETPOS", 1, 366, true, "1 to 366, or -1 to -366 from the end"},
}

// partNames are all parts, for hints.
var partNames = []string{
	"FREQ", "UNTIL", "COUNT", "INTERVAL", "BYSECOND", "BYMINUTE", "BYHOUR", "BYDAY", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYMONTH",
	"BYEASTER", "BYSETPOS", "WKST",
}

// rule reads an RRULE or EXRULE. A semicolon at its end is seen in the wild, and does no harm.
func (p *icalParser) rule(w word, except bool) *Error {
	k := &recurrence{interval: 1, wkst: 1}
	seen := map[string]word{}
	rest, more := word{strings.TrimSuffix(w.text, ";"), w.at}, true
	for more {
		var part word
		part, rest, more = rest.cut(';')
		name, value, ok := part.cut('=')
		upper := strings.ToUpper(name.text)
		switch _, again := seen[upper]; {
		case part.text == "":
			return p.fail("rrule", part, "a part such as FREQ=DAILY between semicolons")
		case !ok:
			return p.fail("rrule", part, "a part such as FREQ=DAILY")
		case again:
			return p.fail(upper, name, "it once only")
		}
		seen[upper] = value
		if err := p.part(k, name, upper, value); err != nil {
			return err
		}
	}
	if err := p.fits(k, w, seen); err != nil {
		return err
	}
	if except {
		p.k.exrules = append(p.k.exrules, k)
	} else {
		p.k.rules = append(p.k.rules, k)
	}
	return nil
}

// part reads one part of a rule.
func (p *icalParser) part(k *recurrence, name word, upper string, value word) *Error {
	switch upper {
	case "FREQ":
		i := slices.Index(freqNames[1:], strings.ToUpper(value.text))
		if i < 0 {
			return p.fail(upper, value, strings.Join(freqNames[1:len(freqNames)-1], ", ")+" or SECONDLY")
		}
		k.freq = freq(i + 1)
		return nil
	case "INTERVAL", "COUNT":
		n := number(value.text)
		if n < 1 || n > maxInterval {
			return p.fail(upper, value, "a whole number from 1 to "+strconv.Itoa(maxInterval))
		}
		if upper == "COUNT" {
			k.limit = int64(n)
		} else {
			k.interval = int64(n)
		}
		return nil
	case "UNTIL":
		s, ok := parseStamp(value.text)
		if !ok {
			return p.fail(upper, value, dateWant)
		}
		k.until = s
		p.untils = append(p.untils, value)
		return nil
	case "WKST":
		if k.wkst = slices.Index(weekNames[:], strings.ToUpper(value.text)); k.wkst < 0 {
			return p.fail(upper, value, "MO, TU, WE, TH, FR, SA or SU")
		}
		return nil
	case "BYDAY":
		return p.list(upper, value, func(w word) *Error { return p.byDay(k, w) })
	}
	for _, part := range recurParts {
		if part.name == upper {
			return p.list(upper, value, func(w word) *Error { return p.number(k, part, w) })
		}
	}
	want := strings.Join(partNames, ", ")
	if upper == "BYWEEKDAY" {
		want = "BYDAY"
	} else if s := suggest(upper, partNames); s != "" {
		want = s
	}
	return p.fail("rrule", name, want)
}

// list reads the items of a list.
func (p *icalParser) list(name string, value word, read func(word) *Error) *Error {
	for more := true; more; {
		var item word
		item, value, more = value.cut(',')
		if item.text == "" {
			return p.fail(name, item, "a value before and after each comma")
		}
		if err := read(item); err != nil {
			return err
		}
	}
	return nil
}

// signed reads a number that may have a sign; it is 0, false if there is anything else.
func signed(text string) (n int, ok bool) {
	digits := strings.TrimLeft(text, "+-")
	if n = number(digits); len(text)-len(digits) > 1 || n < 0 {
		return 0, false
	}
	if text[0] == '-' {
		n = -n
	}
	return n, true
}

// number reads an item of a list of numbers.
func (p *icalParser) number(k *recurrence, part recurPart, w word) *Error {
	n, ok := signed(w.text)
	if !ok || n > part.hi || n < part.lo && (n > -part.lo || n < -part.hi) || !part.end && !isDigit(w.text[0]) {
		return p.fail(part.name, w, part.want)
	}
	switch part.name {
	case "BYSECOND":
		k.second |= 1 << min(n, 59) // RFC 5545 takes the leap second 60 for 59 where there are none
	case "BYMINUTE":
		k.minute |= 1 << n
	case "BYHOUR":
		k.hour |= 1 << n
	case "BYMONTH":
		k.month |= 1 << n
	case "BYMONTHDAY":
		addTo(&k.dom, &k.domEnd, n)
	case "BYWEEKNO":
		addTo(&k.week, &k.weekEnd, n)
	case "BYYEARDAY":
		if n < 0 {
			k.yearDayEnd.add(-n)
		} else {
			k.yearDay.add(n)
		}
	case "BYEASTER":
		k.easter = insert(k.easter, n)
	case "BYSETPOS":
		k.setpos = insert(k.setpos, n)
	}
	return nil
}

// addTo adds to the set of those counted from the beginning, or from the end.
func addTo(set, end *uint64, n int) {
	if n < 0 {
		*end |= 1 << -n
	} else {
		*set |= 1 << n
	}
}

// insert adds to a sorted list.
func insert(list []int, n int) []int {
	if i, there := slices.BinarySearch(list, n); !there {
		list = slices.Insert(list, i, n)
	}
	return list
}

// byDay reads an item of BYDAY.
func (p *icalParser) byDay(k *recurrence, w word) *Error {
	const want = "days such as MO, 1MO for the first Monday or -1FR for the last Friday"
	upper := strings.ToUpper(w.text)
	day := slices.Index(weekNames[:], upper[max(len(upper)-2, 0):])
	if day < 0 {
		return p.fail("BYDAY", w, want)
	}
	text := upper[:len(upper)-2]
	if text == "" {
		k.dow |= 1 << day
		return nil
	}
	n, ok := signed(text)
	if !ok || n == 0 || n > 53 || n < -53 {
		return p.fail("BYDAY", w, want)
	}
	addTo(&k.nth[day], &k.nthEnd[day], n)
	return nil
}

// fits checks what the parts of a rule have to do with each other.
func (p *icalParser) fits(k *recurrence, w word, seen map[string]word) *Error {
	by := false
	for name := range seen {
		by = by || strings.HasPrefix(name, "BY") && name != "BYSETPOS"
	}
	switch {
	case k.freq == 0:
		return p.fail("FREQ", word{"", w.at}, "it in every rule, as in FREQ=DAILY")
	case k.limit > 0 && k.until.kind != noStamp:
		return p.fail("UNTIL", seen["UNTIL"], "either COUNT or UNTIL, not both")
	case k.numbered() && k.freq != yearly && k.freq != monthly:
		return p.fail("BYDAY", seen["BYDAY"], "numbers in BYDAY only with FREQ=MONTHLY or FREQ=YEARLY")
	case k.numbered() && k.week|k.weekEnd != 0:
		return p.fail("BYDAY", seen["BYDAY"], "no numbers in BYDAY beside BYWEEKNO")
	case k.setpos != nil && !by:
		return p.fail("BYSETPOS", seen["BYSETPOS"], "another part that begins with BY, from which it chooses")
	}
	for d := range 7 { // all of a day's numbers are within the day
		if k.dow>>d&1 == 1 {
			k.nth[d], k.nthEnd[d] = 0, 0
		}
	}
	return nil
}
