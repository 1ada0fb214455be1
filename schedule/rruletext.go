package schedule

import (
	"fmt"
	"math/bits"
	"strconv"
)

// appendText appends the canonical form: the rules, and the lines DTSTART, RDATE, EXRULE and EXDATE, separated by a blank.
func (k *ical) appendText(b []byte) []byte {
	begin := len(b)
	next := func(word string) {
		if len(b) > begin {
			b = append(b, ' ')
		}
		b = append(b, word...)
	}
	for _, rule := range k.rules {
		next("")
		b = rule.appendText(b)
	}
	dates := func(name string, list []stamp) {
		for i, s := range list {
			switch {
			case i > 0 && s.zone == list[i-1].zone:
				b = append(b, ',')
			case s.kind == dateStamp:
				next(name + ";VALUE=DATE:")
			case s.zone != nil:
				next(name + ";TZID=" + s.zone.name + ":")
			default:
				next(name + ":")
			}
			b = s.appendText(b)
		}
	}
	if k.start.kind != noStamp {
		dates("DTSTART", []stamp{k.start})
	}
	dates("RDATE", k.rdates)
	for _, rule := range k.exrules {
		next("EXRULE:")
		b = rule.appendText(b)
	}
	dates("EXDATE", k.exdates)
	return b
}

// zoneName is that of a zone of its own, or empty.
func (s stamp) zoneName() string {
	if s.zone == nil {
		return ""
	}
	return s.zone.name
}

// appendText appends a date or a time as iCalendar writes it.
func (s stamp) appendText(b []byte) []byte {
	day, second := s.at.split()
	d := dateOf(day)
	b = fmt.Appendf(b, "%04d%02d%02d", d.year, d.month, d.day)
	if s.kind == dateStamp {
		return b
	}
	b = fmt.Appendf(b, "T%02d%02d%02d", second/3600, second/60%60, second%60)
	if s.kind == utcStamp {
		b = append(b, 'Z')
	}
	return b
}

// appendText appends the rule with its parts in a fixed order, lists sorted and without what means nothing.
func (k *recurrence) appendText(b []byte) []byte {
	b = append(append(b, "FREQ="...), freqNames[k.freq]...)
	if k.until.kind != noStamp {
		b = k.until.appendText(append(b, ";UNTIL="...))
	}
	if k.limit > 0 {
		b = strconv.AppendInt(append(b, ";COUNT="...), k.limit, 10)
	}
	if k.interval > 1 {
		b = strconv.AppendInt(append(b, ";INTERVAL="...), k.interval, 10)
	}
	b = appendList(b, "BYMONTH", numbersOf(k.month, 0))
	b = appendList(b, "BYWEEKNO", numbersOf(k.week, k.weekEnd))
	b = appendList(b, "BYYEARDAY", k.yearDayList())
	b = appendList(b, "BYMONTHDAY", numbersOf(k.dom, k.domEnd))
	b = k.appendByDay(b)
	b = appendList(b, "BYEASTER", k.easter)
	b = appendList(b, "BYHOUR", numbersOf(k.hour, 0))
	b = appendList(b, "BYMINUTE", numbersOf(k.minute, 0))
	b = appendList(b, "BYSECOND", numbersOf(k.second, 0))
	b = appendList(b, "BYSETPOS", k.setpos)
	if k.wkst != 1 {
		b = append(append(b, ";WKST="...), weekNames[k.wkst]...)
	}
	return b
}

func appendList(b []byte, name string, list []int) []byte {
	for i, n := range list {
		if i == 0 {
			b = append(append(append(b, ';'), name...), '=')
		} else {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(n), 10)
	}
	return b
}

// numbersOf are the values of a set, and those counted from the end, the last first.
func numbersOf(set, end uint64) (list []int) {
	for ; set != 0; set &= set - 1 {
		list = append(list, bits.TrailingZeros64(set))
	}
	for ; end != 0; end &= end - 1 {
		list = append(list, -bits.TrailingZeros64(end))
	}
	return list
}

func (k *recurrence) yearDayList() (list []int) {
	for n := 1; n <= 366; n++ {
		if k.yearDay.has(n) {
			list = append(list, n)
		}
	}
	for n := 1; n <= 366; n++ {
		if k.yearDayEnd.has(n) {
			list = append(list, -n)
		}
	}
	return list
}

// appendByDay appends BYDAY, from Monday on.
func (k *recurrence) appendByDay(b []byte) []byte {
	first := true
	add := func(n, day int) {
		if first {
			b = append(b, ";BYDAY="...)
		} else {
			b = append(b, ',')
		}
		if first = false; n != 0 {
			b = strconv.AppendInt(b, int64(n), 10)
		}
		b = append(b, weekNames[day]...)
	}
	for i := range 7 {
		day := (i + 1) % 7
		if k.dow>>day&1 == 1 {
			add(0, day)
		}
		for _, n := range numbersOf(k.nth[day], k.nthEnd[day]) {
			add(n, day)
		}
	}
	return b
}
