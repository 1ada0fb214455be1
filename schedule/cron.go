package schedule

import (
	"math/bits"
	"time"
)

// cron is a cron expression, read: which seconds of a wall clock match. The sets hold a bit for each value. It is never
// changed once made.
type cron struct {
	second, minute, hour uint64
	dom                  uint64 // days of the month, 1 to 31
	month                uint64 // 1 to 12
	dow                  uint64 // days of the week, 0 (Sunday) to 6

	lastDay        uint64      // bit n: the n-th day before the month's last (L, L-n)
	lastWeekday    uint64      // bit n: the weekday nearest to it (LW, L-nW)
	nearestWeekday uint64      // bit n: the weekday nearest to day n (nW)
	nth            [7]uint8    // for each day of the week, bit n: the n-th of the month (d#n); bit 0: the last (dL)
	years          []yearRange // sorted by lo; none means all
	hashed         []hashItem  // what H stands for is put into the sets when the task's name is known

	stars fieldSet // the fields that begin with * or ?
	field int      // how many fields there were: 5, 6 with seconds, 7 with years, too
	and   bool     // both kinds of days must match where both are restricted
}

// field names a field of a cron expression.
type field uint8

const (
	fieldSecond field = iota
	fieldMinute
	fieldHour
	fieldDom
	fieldMonth
	fieldDow
	fieldYear
)

type fieldSet uint8

func (s fieldSet) has(f field) bool { return s>>f&1 == 1 }

// A yearRange is every step-th year from lo to hi.
type yearRange struct{ lo, hi, step int }

// A hashItem is H in a field: one value in lo to hi, or with a step, every step-th from a start in the first step.
type hashItem struct {
	field        field
	lo, hi, step int // step 0: one value
}

// resolve puts what H means for a task into the sets. A month that leaves the rule without any date, such as February for the
// 31st, makes way for the next one that does not.
func (k *cron) resolve(name string) *cron {
	if len(k.hashed) == 0 {
		return k
	}
	r := k.resolveFrom(name, 0)
	for shift := 1; shift < 12 && r.noDate(); shift++ {
		r = k.resolveFrom(name, shift)
	}
	return r
}

func (k *cron) resolveFrom(name string, shift int) *cron {
	r := *k
	r.hashed = nil
	for _, h := range k.hashed {
		set := r.set(h.field)
		// The field's number is part of what is hashed, so that the minute says nothing of the hour.
		key := string(rune('0'+h.field)) + name
		width := h.hi - h.lo + 1
		if h.step > 0 {
			width = min(width, h.step)
		}
		at := spreadInt(key, width)
		if h.field == fieldMonth {
			at = (at + shift) % width
		}
		at += h.lo
		*set |= 1 << at
		for v := at + h.step; h.step > 0 && v <= h.hi; v += h.step {
			*set |= 1 << v
		}
	}
	return &r
}

func (k *cron) set(f field) *uint64 {
	switch f {
	case fieldSecond:
		return &k.second
	case fieldMinute:
		return &k.minute
	case fieldHour:
		return &k.hour
	case fieldDom:
		return &k.dom
	case fieldMonth:
		return &k.month
	default:
		return &k.dow
	}
}

// pinsHour says whether the rule names hours; one that does not is matched against every real minute (contract I4).
func (k *cron) pinsHour() bool { return !k.stars.has(fieldHour) }

// restricts say whether the day fields choose (contract I5).
func (k *cron) restrictsDom() bool { return !k.stars.has(fieldDom) }
func (k *cron) restrictsDow() bool { return !k.stars.has(fieldDow) }

// grain is how long a match lasts: what an expression without seconds names is a minute.
func (k *cron) grain() time.Duration {
	if k.field == 5 {
		return time.Minute
	}
	return time.Second
}

// empty says that nothing matches in all time, whatever H stands for: that is known when the task's name is.
func (k *cron) empty() bool {
	most := *k
	for _, h := range k.hashed {
		for v := h.lo; v <= h.hi; v++ {
			*most.set(h.field) |= 1 << v
		}
	}
	return most.noDate()
}

// noDate says that no day matches in all time: the calendar repeats after 400 years.
func (k *cron) noDate() bool {
	_, ok := k.next(makeCivil(dayOf(date{firstYear, 1, 1}), 0))
	return !ok
}

// monthDays returns the days of a month that match, bits 1 to 31.
func (k *cron) monthDays(year, month int) uint64 {
	n := monthLength(year, month)
	all := uint64(1)<<(n+1) - 2
	first := weekday(dayOf(date{year, month, 1}))
	dom := k.dom & all
	if k.lastDay|k.lastWeekday|k.nearestWeekday != 0 {
		dom |= k.specialDays(n, first) & all
	}
	var dow uint64
	for d := range 7 {
		days := daysOf(d, first) & all
		if k.dow>>d&1 == 1 {
			dow |= days
		} else if which := k.nth[d]; which != 0 {
			dow |= nthOf(days, which)
		}
	}
	if k.restrictsDom() && k.restrictsDow() && !k.and {
		return dom | dow
	}
	return dom & dow
}

// daysOf returns the days of a month that are the weekday d, where its first day is the weekday first.
func daysOf(d, first int) uint64 {
	const everySeventh = 1<<1 | 1<<8 | 1<<15 | 1<<22 | 1<<29 | 1<<36
	at := d - first
	if at < 0 {
		at += 7
	}
	return everySeventh << at & (1<<32 - 1)
}

// nthOf chooses among the days of one weekday.
func nthOf(days uint64, which uint8) (chosen uint64) {
	if which&1 == 1 {
		chosen = 1 << (bits.Len64(days) - 1)
	}
	for n := 1; days != 0; n++ {
		if which>>n&1 == 1 {
			chosen |= days & -days
		}
		days &= days - 1
	}
	return chosen
}

// specialDays are L, L-n, LW, L-nW and nW in a month of n days that begins with the weekday first.
func (k *cron) specialDays(n, first int) (days uint64) {
	for set := k.lastDay; set != 0; set &= set - 1 {
		if d := n - bits.TrailingZeros64(set); d > 0 {
			days |= 1 << d
		}
	}
	for set := k.lastWeekday; set != 0; set &= set - 1 {
		if d := n - bits.TrailingZeros64(set); d > 0 {
			days |= 1 << nearestWeekday(d, n, first)
		}
	}
	for set := k.nearestWeekday; set != 0; set &= set - 1 {
		if d := bits.TrailingZeros64(set); d <= n {
			days |= 1 << nearestWeekday(d, n, first)
		}
	}
	return days
}

// nearestWeekday is the day from Monday to Friday nearest to d within the month.
func nearestWeekday(d, n, first int) int {
	switch (first + d - 1) % 7 {
	case 0: // Sunday
		if d == n {
			return d - 2
		}
		return d + 1
	case 6:
		if d == 1 {
			return d + 2
		}
		return d - 1
	}
	return d
}

// yearFrom returns the first year that matches and is not before y.
func (k *cron) yearFrom(y int) (int, bool) {
	if len(k.years) == 0 {
		return y, y <= lastYear
	}
	best := lastYear + 1
	for _, r := range k.years {
		at := r.lo
		if y > at {
			at += (y - at + r.step - 1) / r.step * r.step
		}
		if at <= r.hi {
			best = min(best, at)
		}
	}
	return best, best <= lastYear
}

// yearUpTo returns the last year that matches and is not after y.
func (k *cron) yearUpTo(y int) (int, bool) {
	if len(k.years) == 0 {
		return y, y >= firstYear
	}
	best := firstYear - 1
	for _, r := range k.years {
		if at := min(y, r.hi); at >= r.lo {
			best = max(best, at-(at-r.lo)%r.step)
		}
	}
	return best, best >= firstYear
}

// cycle is after how many years the Gregorian calendar repeats, weekdays included.
const cycle = 400

// next returns the first match that is not before c.
func (k *cron) next(c civil) (civil, bool) {
	day, second := c.split()
	d := dateOf(day)
	if d.year < firstYear {
		d, second = date{firstYear, 1, 1}, 0
	}
	year, ok := k.yearFrom(d.year)
	if !ok {
		return 0, false
	}
	if year != d.year {
		d, second = date{year, 1, 1}, 0
	}
	for range cycle + 2 {
		for m := from(k.month, d.month); m >= 0; m = from(k.month, m+1) {
			if m != d.month {
				d.month, d.day, second = m, 1, 0
			}
			days := k.monthDays(d.year, m)
			if days>>d.day&1 == 1 {
				if s := k.timeFrom(second); s >= 0 {
					return makeCivil(dayOf(d), s), true
				}
			}
			if at := from(days, d.day+1); at >= 0 {
				return makeCivil(dayOf(date{d.year, m, at}), k.timeFrom(0)), true
			}
		}
		if year, ok = k.yearFrom(d.year + 1); !ok {
			return 0, false
		}
		d, second = date{year, 1, 1}, 0
	}
	return 0, false
}

// prev returns the last match that is not after c.
func (k *cron) prev(c civil) (civil, bool) {
	const endOfDay = daySeconds - 1
	day, second := c.split()
	d := dateOf(day)
	year, ok := k.yearUpTo(min(d.year, lastYear))
	if !ok {
		return 0, false
	}
	if year != d.year {
		d, second = date{year, 12, 31}, endOfDay
	}
	for range cycle + 2 {
		for m := upTo(k.month, d.month); m > 0; m = upTo(k.month, m-1) {
			if m != d.month {
				d.month, d.day, second = m, 31, endOfDay
			}
			days := k.monthDays(d.year, m)
			if days>>d.day&1 == 1 {
				if s := k.timeUpTo(second); s >= 0 {
					return makeCivil(dayOf(d), s), true
				}
			}
			if at := upTo(days, d.day-1); at > 0 {
				return makeCivil(dayOf(date{d.year, m, at}), k.timeUpTo(endOfDay)), true
			}
		}
		if year, ok = k.yearUpTo(d.year - 1); !ok {
			return 0, false
		}
		d, second = date{year, 12, 31}, endOfDay
	}
	return 0, false
}

// times are the times of day that match.
func (k *cron) times() *daytime { return &daytime{k.second, k.minute, k.hour} }

func (k *cron) timeFrom(second int) int { return k.times().timeFrom(second) }
func (k *cron) timeUpTo(second int) int { return k.times().timeUpTo(second) }

// count returns the number of matches in [first, end).
func (k *cron) count(first, end civil) int64 {
	if end <= first {
		return 0
	}
	fromDay, fromSecond := first.split()
	toDay, toSecond := end.split()
	times := k.times()
	n := k.countDays(fromDay, toDay) * int64(times.size())
	if k.matchesDay(fromDay) {
		n -= int64(times.timesBefore(fromSecond))
	}
	if k.matchesDay(toDay) {
		n += int64(times.timesBefore(toSecond))
	}
	return n
}

func (k *cron) matchesDay(day int64) bool {
	d := dateOf(day)
	if y, ok := k.yearFrom(d.year); !ok || y != d.year || k.month>>d.month&1 == 0 {
		return false
	}
	return k.monthDays(d.year, d.month)>>d.day&1 == 1
}

// countDays counts the days that match in [first, end). It asks for first <= end.
func (k *cron) countDays(first, end int64) (n int64) {
	d, last := dateOf(first), dateOf(end)
	for y, ok := k.yearFrom(d.year); ok && y <= last.year; y, ok = k.yearFrom(y + 1) {
		for m := from(k.month, 1); m >= 0; m = from(k.month, m+1) {
			days := k.monthDays(y, m)
			switch {
			case y == d.year && m < d.month, y == last.year && m > last.month:
				continue
			case y == d.year && m == d.month:
				days = days >> d.day << d.day
			}
			if y == last.year && m == last.month {
				days &= 1<<last.day - 1
			}
			n += int64(bits.OnesCount64(days))
		}
	}
	return n
}
