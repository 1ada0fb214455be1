package schedule

import (
	"cmp"
	"slices"
	"time"
)

// calendar is a calendar event expression of systemd.time(7), read. What it says is kept as it is said, since that is its
// normalised form; what it means is a cron expression, both of whose day fields must match, but for fractions of a second.
// It is never changed once made.
type calendar struct {
	parts   [fieldYear + 1][]part // nil: every value; those of the second are in microseconds, and there is one at least
	fromEnd bool                  // the days are counted from the end of the month, the last is 1
	epoch   bool                  // it was said as @N, which is an instant whatever the zone is

	rule      cron   // the seconds in which something matches
	fractions []part // those of the second, if whole seconds do not say all
}

// A part is an item of a list: the value lo, or a value every step from it on, up to hi or as far as the field goes.
type part struct{ lo, hi, step int }

const (
	open   = -1 // the hi of a part that goes as far as the field does
	micros = 1_000_000

	maxParts   = 241  // items in a list, as many as systemd takes
	maxSeconds = 2147 // in a step, as many
)

// calendarFields says what the fields of a calendar event expression hold, by field.
var calendarFields = [...]struct {
	name   string
	lo, hi int
	want   string
}{
	fieldSecond: {"second", 0, 60*micros - 1, "0 to 59.999999"},
	fieldMinute: {"minute", 0, 59, "0 to 59"},
	fieldHour:   {"hour", 0, 23, "0 to 23"},
	fieldDom:    {"day", 1, 31, "1 to 31"},
	fieldMonth:  {"month", 1, 12, "1 to 12"},
	fieldDow:    {"weekday", 0, 6, "Mon to Sun or Monday to Sunday"},
	fieldYear:   {"year", minYear, maxCalendarYear, "1970 to 2199, or 0 to 69 for those from 2000 and 70 to 99 for those from 1970"},
}

// maxCalendarYear is the last year that an expression may name. One that names none goes on after it.
const maxCalendarYear = 2199

// everySecond is what * means for the seconds, which have no other way to say it.
var everySecond = part{0, open, micros}

// last returns the last value of a part in a field that goes up to limit.
func (p part) last(limit int) int {
	switch {
	case p.step == 0:
		return p.lo
	case p.hi != open:
		limit = p.hi
	}
	return limit - (limit-p.lo)%p.step
}

// settle brings an expression that was read into normalised form and works out what it means.
func (k *calendar) settle() {
	for f := range k.parts {
		slices.SortFunc(k.parts[f], func(a, b part) int {
			return cmp.Or(cmp.Compare(a.lo, b.lo), cmp.Compare(a.end(), b.end()), cmp.Compare(a.step, b.step))
		})
		k.parts[f] = slices.Compact(k.parts[f])
	}
	seconds := k.parts[fieldSecond]
	if slices.ContainsFunc(seconds, part.isFraction) {
		k.fractions = seconds
	} else if slices.Contains(seconds, everySecond) {
		k.parts[fieldSecond] = []part{everySecond}
	}
	if k.parts[fieldDom] == nil {
		k.fromEnd = false
	}
	r := &k.rule
	r.field, r.and = 6, true
	for f := fieldMinute; f <= fieldMonth; f++ {
		r.put(f, k.parts[f])
	}
	for at := range 60 {
		if firstWithin(seconds, at*micros) >= 0 {
			r.second |= 1 << at
		}
	}
	if k.fromEnd {
		r.dom, r.lastDay = 0, lastDays(k.parts[fieldDom])
	}
	if r.dow == span(0, 6) {
		r.stars |= 1 << fieldDow
	}
	for _, p := range k.parts[fieldYear] {
		r.years = append(r.years, yearRange{p.lo, p.last(lastYear), max(p.step, 1)})
	}
	r.years = normalYears(r.years)
}

// end is what a list is sorted by where two parts begin with the same value: ranges come last.
func (p part) end() int {
	if p.step == 0 {
		return open
	}
	return p.hi
}

// lastDays is the set of days before the last that are meant by days from the end of a month, of which a repetition goes down.
func lastDays(parts []part) (set uint64) {
	for _, p := range parts {
		if p.hi == open {
			p.lo, p.hi = (p.lo-1)%p.step+1, p.lo
		}
		set |= every(p.lo, p.hi, max(p.step, 1))
	}
	return set >> 1
}

// isFraction says whether a part of the seconds has values within a second.
func (p part) isFraction() bool { return p.lo%micros != 0 || p.step%micros != 0 }

// put sets the values of a field.
func (k *cron) put(f field, parts []part) {
	spec := &calendarFields[f]
	if parts == nil {
		k.stars |= 1 << f
		*k.set(f) = span(spec.lo, spec.hi)
	}
	for _, p := range parts {
		*k.set(f) |= every(p.lo, p.last(spec.hi), max(p.step, 1))
	}
}

// grain is how long an occurrence lasts that is left out of another schedule. Seconds are 0 if nobody says anything of them, so
// what is at the full minute is a minute.
func (k *calendar) grain() time.Duration {
	switch {
	case k.fractions != nil:
		return 1
	case k.rule.second == 1:
		return time.Minute
	}
	return time.Second
}

// firstWithin returns the first of the parts' values that is not before at, in microseconds of a minute, and within its second; -1
// for none.
func firstWithin(parts []part, at int) int {
	end, best := at-at%micros+micros, -1
	for _, p := range parts {
		v := p.lo
		if v < at && p.step > 0 {
			v += (at - v + p.step - 1) / p.step * p.step
		}
		if v >= at && v < end && v <= p.last(60*micros-1) && (best < 0 || v < best) {
			best = v
		}
	}
	return best
}

// lastWithin returns the last of the parts' values that is not after at, and within its second; -1 for none.
func lastWithin(parts []part, at int) int {
	start, best := at-at%micros, -1
	for _, p := range parts {
		v := min(p.last(60*micros-1), at)
		if v < p.lo {
			continue
		}
		if p.step > 0 {
			v -= (v - p.lo) % p.step
		}
		if v >= start && v > best {
			best = v
		}
	}
	return best
}
