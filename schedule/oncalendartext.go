package schedule

import "strconv"

// appendText appends the normalised form, which systemd-analyze calendar prints, without a zone.
func (k *calendar) appendText(b []byte) []byte {
	if !k.rule.stars.has(fieldDow) {
		b = append(k.appendWeekdays(b), ' ')
	}
	b = append(k.appendField(b, fieldYear), '-')
	b = k.appendField(b, fieldMonth)
	if k.fromEnd {
		b = append(b, '~')
	} else {
		b = append(b, '-')
	}
	b = append(k.appendField(b, fieldDom), ' ')
	b = append(k.appendField(b, fieldHour), ':')
	b = append(k.appendField(b, fieldMinute), ':')
	return k.appendField(b, fieldSecond)
}

// appendWeekdays appends weekdays from Monday on, three or more in a row as a range.
func (k *calendar) appendWeekdays(b []byte) []byte {
	set := k.rule.mondayFirst()
	for d, first := from(set, 0), true; d >= 0; first = false {
		last := d
		for set>>(last+1)&1 == 1 {
			last++
		}
		if last == d+1 {
			last = d
		}
		if !first {
			b = append(b, ',')
		}
		b = append(b, weekdayName(d)...)
		if last > d {
			b = append(append(b, ".."...), weekdayName(last)...)
		}
		d = from(set, last+1)
	}
	return b
}

// weekdayName is the short name of a weekday counted from Monday.
func weekdayName(d int) string { return calendarNames[(d+1)%7][:3] }

func (k *calendar) appendField(b []byte, f field) []byte {
	parts := k.parts[f]
	if parts == nil || len(parts) == 1 && parts[0] == everySecond {
		return append(b, '*')
	}
	unit := 1
	if f == fieldSecond {
		unit = micros
	}
	for i, p := range parts {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendPadded(b, p.lo, unit, 2)
		if p.hi > p.lo {
			b = appendPadded(append(b, ".."...), p.hi, unit, 2)
		}
		if p.step > 0 && (p.hi == open || p.step != unit) {
			b = appendPadded(append(b, '/'), p.step, unit, 1)
		}
	}
	return b
}

// appendPadded appends a number of units with so many digits at least, and its fraction if there is one.
func appendPadded(b []byte, n, unit, width int) []byte {
	whole := strconv.Itoa(n / unit)
	for i := len(whole); i < width; i++ {
		b = append(b, '0')
	}
	b = append(b, whole...)
	if rest := n % unit; rest > 0 {
		b = append(b, '.')
		b = append(b, strconv.Itoa(micros + rest)[1:]...)
	}
	return b
}
