package schedule

import (
	"math"
	"math/bits"
	"sync"
)

// recur is a recurrence from a start on: which readings of a wall clock match. Days, weeks, months and years without a match are
// skipped by arithmetic. It is never changed once made.
type recur struct {
	recurrence // nothing in it is left to the start any more

	begin, last civil // no match before the one, nor after the other
	period      int64 // the number of a period that counts; every interval-th does
	clock       dayClock
	reach       uint64 // the days of the week on which a time of day can be in phase
	months      int64  // where so many months in a row have no match, there is none before or after them
	byDays      bool   // not every week or day counts
	byPeriod    bool   // BYSETPOS chooses among the times of several days
	never       bool

	once  sync.Once
	sizes []int32 // how many times each day of a cycle has, made when first needed; nil where the cycle is long
}

// maxSizes is how long a cycle may be of which the number of times is kept for each day.
const maxSizes = 512

const lastReading = civil(lastSecond + zeroSecond) // 9999-12-31T23:59:59

// bind makes the rule that a recurrence is from a start on. The start is a match, too, if it matches and is included. Of a rule that
// does not pin the hour the clock may show a reading before the start after it, where it is put back: where such a rule begins and
// ends is said in instants, by recurSet, and here it is as long as may be.
func (k *recurrence) bind(start stamp, included bool, work *effort) *recur {
	start.at = max(start.at, firstDay*daySeconds)
	r := &recur{recurrence: *k, begin: start.at, last: lastReading, reach: 127}
	if !included {
		r.begin++
	}
	r.settle(start)
	r.byDays = r.interval > 1 && (r.freq == weekly || r.freq == daily)
	work.add(4 * len(r.easter))
	r.dropMonths()
	day, second := start.at.split()
	r.period = r.periodOf(day)
	r.clock = dayClock{daytime: r.daytime, unit: daySeconds, step: 1, work: work}
	if r.freq > daily {
		r.clock.unit = [...]int64{3600, 60, 1}[r.freq-hourly]
		r.clock.step = r.interval
		r.clock.origin = day*r.clock.units() + int64(second)/r.clock.unit
	}
	if r.setpos != nil {
		r.choose()
	}
	r.never = r.never || r.month == 0 || !r.clock.prepare()
	if r.freq > daily && !r.never {
		r.reach = r.clock.weekdays()
		r.never = r.reach == 0
	}
	r.months = r.cycleMonths()
	if !r.pinned {
		r.begin = max(start.at-near, firstDay*daySeconds)
		return r
	}
	if r.until.kind == localStamp || r.until.kind == dateStamp {
		r.last = min(r.last, r.until.at)
	}
	if r.limit > 0 && !r.never {
		r.last = r.nthMatch(r.begin, r.limit)
	}
	return r
}

// dropMonths leaves out the months that BYYEARDAY never chooses a day of, so that they are not looked at.
func (r *recur) dropMonths() {
	if r.easter != nil {
		r.dropMonthsOfEaster()
		return
	} else if !r.byYearDay() {
		return
	}
	for m := 1; m <= 12; m++ {
		var days uint64
		for _, year := range [...]int{2000, 2001} { // a leap year and another
			before := int(dayOf(date{year, m, 1}) - dayOf(date{year, 1, 1}))
			days |= r.daysOfYear(year, before) & (1<<(monthLength(year, m)+1) - 2)
		}
		if days == 0 {
			r.month &^= 1 << m
		}
	}
}

// dropMonthsOfEaster is dropMonths for BYEASTER. Easter Sunday is from 22 March to 25 April.
func (r *recur) dropMonthsOfEaster() {
	const earliest, latest = 31 + 28 + 22, 31 + 29 + 31 + 25 // days of the year
	var months uint64
	for _, after := range r.easter {
		for day := earliest + after; day <= latest+after; day++ {
			for _, year := range [...]int{2000, 2001} {
				if d := dateOf(dayOf(date{year, 1, 1}) + int64(day) - 1); d.year == year {
					months |= 1 << d.month
				}
			}
		}
	}
	r.month &= months
}

func (r *recur) pinsHour() bool { return r.pinned }

// periodOf returns the number of the period that a day lies in. Periods within a day are left to the clock.
func (r *recur) periodOf(day int64) int64 {
	switch r.freq {
	case yearly:
		return int64(dateOf(day).year)
	case monthly:
		return monthOf(day)
	case weekly:
		return floorDiv(day-int64(r.wkst+3), 7) // 1970-01-01 was a Thursday
	case daily:
		return day
	default:
		return 0
	}
}

// periodStart returns the first day of a period.
func (r *recur) periodStart(period int64) int64 {
	switch r.freq {
	case yearly:
		return dayOf(date{int(period), 1, 1})
	case monthly:
		return monthStart(period)
	case weekly:
		return period*7 + int64(r.wkst+3)
	default:
		return period
	}
}

// A month has a number, too: 12 for each year, and those before it in its own.
func monthOf(day int64) int64 {
	d := dateOf(day)
	return int64(d.year)*12 + int64(d.month) - 1
}

func monthStart(month int64) int64 { return dayOf(date{int(month / 12), int(month%12) + 1, 1}) }

// cycleMonths is after how many months the days of the calendar and the periods that count come together again. Times within a
// day may take far longer, which nobody waits for: after 400 years the search ends.
func (r *recur) cycleMonths() int64 {
	const years, all = 400, (lastYear + 1) * 12
	n := int64(1)
	switch r.freq {
	case yearly:
		n = r.interval / gcd(r.interval, years)
	case monthly:
		n = r.interval / gcd(r.interval, years*12)
	case weekly:
		n = r.interval / gcd(r.interval, 146097/7)
	case daily:
		n = r.interval / gcd(r.interval, 146097)
	default: // see above
	}
	if r.easter != nil || n > all/years/12 {
		return all
	}
	return n*years*12 + 1
}

// A page of the calendar is what matches in a month: bits 1 to 31 for its days.
type page struct {
	first, end int64 // its first day, and that of the next
	days       uint64
}

// load reads a month by its number.
func (r *recur) load(number int64) page {
	year, m := int(number/12), int(number%12)+1
	w := page{first: monthStart(number)}
	w.end = w.first + int64(monthLength(year, m))
	switch {
	case r.freq == yearly && floorMod(int64(year)-r.period, r.interval) != 0:
		return w
	case r.freq == monthly && floorMod(number-r.period, r.interval) != 0:
		return w
	case r.month>>m&1 == 0:
		return w
	}
	r.clock.work.add(1 + len(r.easter)/32)
	w.days = r.monthDays(year, m)
	if w.days == 0 {
		return w
	}
	if r.reach != 127 {
		w.days &= r.reachable(weekday(w.first))
	}
	if r.byDays {
		var days uint64
		for day := r.dayInPhase(w.first); day < w.end; day = r.dayInPhase(day + 1) {
			days |= 1 << (day - w.first + 1)
		}
		w.days &= days
	}
	return w
}

// reachable are the days of a month that are in reach, where its first day is the weekday given.
func (r *recur) reachable(first int) (days uint64) {
	for d := range 7 {
		if r.reach>>d&1 == 1 {
			days |= daysOf(d, first)
		}
	}
	return days
}

// dayInPhase returns the first day not before the one given that lies in a week, or is a day, that counts.
func (r *recur) dayInPhase(day int64) int64 {
	if !r.byDays {
		return day
	}
	p := r.periodOf(day)
	if ahead := floorMod(r.period-p, r.interval); ahead > 0 {
		return r.periodStart(p + ahead)
	}
	return day
}

func (r *recur) dayInPhaseUpTo(day int64) int64 {
	if !r.byDays {
		return day
	}
	p := r.periodOf(day)
	if back := floorMod(p-r.period, r.interval); back > 0 {
		return r.periodStart(p-back+1) - 1
	}
	return day
}

// monthFrom returns the first month not before the one given that BYMONTH names and that counts, if months or years do.
func (r *recur) monthFrom(number int64) int64 {
	if r.freq == monthly {
		for range 12 { // then BYMONTH's months come again, or never do
			number += floorMod(r.period-number, r.interval)
			if r.month>>(number%12+1)&1 == 1 {
				return number
			}
			number++
		}
		return afterMonths
	}
	year, m := number/12, int(number%12)+1
	if r.freq == yearly {
		if ahead := floorMod(r.period-year, r.interval); ahead > 0 {
			year, m = year+ahead, 1
		}
	}
	if m = from(r.month, m); m < 0 {
		year, m = year+1, from(r.month, 1)
	}
	return year*12 + int64(m) - 1
}

// monthUpTo is monthFrom backwards.
func (r *recur) monthUpTo(number int64) int64 {
	if r.freq == monthly {
		for range 12 {
			number -= floorMod(number-r.period, r.interval)
			if number < firstMonth || r.month>>(number%12+1)&1 == 1 {
				return number
			}
			number--
		}
		return firstMonth - 1
	}
	year, m := number/12, int(number%12)+1
	if r.freq == yearly {
		if back := floorMod(year-r.period, r.interval); back > 0 {
			year, m = year-back, 12
		}
	}
	if m = upTo(r.month, m); m < 1 {
		year, m = year-1, upTo(r.month, 12)
	}
	return year*12 + int64(m) - 1
}

const (
	firstMonth  = firstYear * 12
	afterMonths = (lastYear + 1) * 12
)

// dayFrom returns the first day that matches and is not before the one given, if it lies in a month before the one given. w is the
// page that was looked at last.
func (r *recur) dayFrom(w *page, day, limit int64) (int64, bool) {
	for {
		if w.first <= day && day < w.end {
			if at := from(w.days, int(day-w.first)+1); at > 0 {
				return w.first + int64(at) - 1, true
			}
			day = w.end
		}
		day = r.dayInPhase(day)
		number := monthOf(day)
		next := r.monthFrom(number)
		if next >= limit || r.clock.work.over() {
			return 0, false
		}
		*w = r.load(next)
		day = max(day, w.first)
	}
}

// dayUpTo is dayFrom backwards, to months not before the one given.
func (r *recur) dayUpTo(w *page, day, limit int64) (int64, bool) {
	for {
		if w.first <= day && day < w.end {
			if at := upTo(w.days, int(day-w.first)+1); at > 0 {
				return w.first + int64(at) - 1, true
			}
			day = w.first - 1
		}
		day = r.dayInPhaseUpTo(day)
		next := r.monthUpTo(monthOf(day)) // which may be before all time, and so before the limit
		if next < limit || r.clock.work.over() {
			return 0, false
		}
		*w = r.load(next)
		day = min(day, w.end-1)
	}
}

const firstDay = zeroSecond / daySeconds // 0001-01-01

// next returns the first match that is not before c.
func (r *recur) next(c civil) (civil, bool) {
	if c = max(c, r.begin); c > r.last || r.never {
		return 0, false
	}
	if r.byPeriod {
		return r.nextChosen(c)
	}
	day, second := c.split()
	last, _ := r.last.split()
	limit := min(monthOf(day)+r.months, afterMonths)
	var w page
	for {
		at, ok := r.dayFrom(&w, day, limit)
		if !ok || at > last {
			return 0, false
		}
		if at != day {
			second = 0
		}
		if t := r.clock.from(at, second); t >= 0 {
			c = makeCivil(at, t)
			return c, c <= r.last
		}
		day, second = r.clock.dayFrom(at+1), 0
	}
}

// prev returns the last match that is not after c.
func (r *recur) prev(c civil) (civil, bool) {
	if c = min(c, r.last); r.never {
		return 0, false
	}
	if r.byPeriod {
		return r.prevChosen(c)
	}
	day, second := c.split()
	begin, _ := r.begin.split()
	limit := max(monthOf(day)-r.months+1, monthOf(begin))
	var w page
	for {
		at, ok := r.dayUpTo(&w, day, limit)
		if !ok {
			return 0, false
		}
		if at != day {
			second = daySeconds - 1
		}
		if t := r.clock.upTo(at, second); t >= 0 {
			c = makeCivil(at, t)
			return c, c >= r.begin
		}
		day, second = r.clock.dayUpTo(at-1), daySeconds-1
	}
}

// count returns the number of matches in [first, end).
func (r *recur) count(first, end civil) (n int64) {
	first, end = max(first, r.begin), min(end, r.last+1)
	if end <= first || r.never {
		return 0
	}
	if r.byPeriod {
		return r.countChosen(first, end)
	}
	fromDay, fromSecond := first.split()
	toDay, toSecond := end.split()
	n, _ = r.countDays(fromDay, toDay, math.MaxInt64)
	if r.matchesDay(fromDay) {
		n -= int64(r.clock.before(fromDay, fromSecond))
	}
	if toSecond > 0 && r.matchesDay(toDay) {
		n += int64(r.clock.before(toDay, toSecond))
	}
	return n
}

func (r *recur) matchesDay(day int64) bool {
	w := r.load(monthOf(day))
	return w.days>>(day-w.first+1)&1 == 1
}

// countDays counts the matches of the days in [first, end), and stops before the day with which they would be enough: that day is
// returned, too, and otherwise the end.
func (r *recur) countDays(first, end, enough int64) (n, day int64) {
	var w page
	limit := min(monthOf(end)+1, afterMonths)
	if r.clock.same < 0 && end-first > r.clock.cycle && r.everyDay() { // cycles of days are alike
		many := r.clock.ofCycle()
		cycles := min((end-first)/r.clock.cycle, (enough-1)/many)
		n, first = cycles*many, first+cycles*r.clock.cycle
	}
	for day = first; ; day++ {
		if r.clock.days != nil {
			day = r.clock.dayFrom(day)
		}
		at, ok := r.dayFrom(&w, day, limit)
		if !ok || at >= end {
			return n, end
		}
		day = at
		if size := int64(r.clock.same); size >= 0 {
			days := w.days >> (day - w.first + 1) << (day - w.first + 1)
			if end < w.end {
				days &= 1<<(end-w.first+1) - 1
			}
			many := int64(bits.OnesCount64(days))
			if n+many*size < enough {
				n, day = n+many*size, w.end-1
				continue
			}
			skip := (enough - n - 1) / size
			return n + skip*size, w.first + int64(nthBit(days, int(skip))) - 1
		}
		more := r.sizeOf(day)
		if n+more >= enough {
			return n, day
		}
		n += more
	}
}

// sizeOf returns how many times a day has.
func (r *recur) sizeOf(day int64) int64 {
	r.clock.work.add(1)
	if r.clock.cycle > maxSizes {
		return int64(r.clock.before(day, daySeconds))
	}
	r.once.Do(func() {
		r.sizes = make([]int32, r.clock.cycle)
		for i := range r.sizes {
			r.sizes[i] = int32(r.clock.before(int64(i), daySeconds))
		}
	})
	return int64(r.sizes[floorMod(day, r.clock.cycle)])
}

// nthMatch returns the match that is the n-th from a reading on, which is not before the beginning; where there are fewer, or it is 400
// years away and the clock or BYSETPOS makes it too many to count, the end of time.
func (r *recur) nthMatch(from civil, n int64) civil {
	if r.byPeriod {
		return r.nthChosen(n)
	}
	first, second := from.split()
	if r.matchesDay(first) {
		n += int64(r.clock.before(first, second))
	}
	last, _ := lastReading.split()
	cycle := (r.months - 1) / (400 * 12) * 146097
	switch size := int64(r.clock.same); {
	case r.everyDay():
		cycle = r.clock.cycle
		if many := r.clock.ofCycle(); n > many {
			skip := (n - 1) / many
			if skip > (last-first)/cycle {
				return lastReading
			}
			n, first = n-skip*many, first+skip*cycle
		}
	case size < 0:
		if last = min(last, first+146097); n > r.clock.mostOfDays(last-first+1) {
			return lastReading
		}
	case r.easter == nil && cycle < last-first:
		many, day := r.countDays(first, first+cycle, n)
		if day == first+cycle {
			if many == 0 || (n-1)/many > (last-first)/cycle {
				return lastReading
			}
			skip := (n - 1) / many
			n, first = n-skip*many, first+skip*cycle
		}
	}
	before, day := r.countDays(first, last+1, n)
	if day > last {
		return lastReading
	}
	return makeCivil(day, r.clock.nth(day, int(n-before-1)))
}

// everyDay says that all days match, as far as the parts that choose days go, and the interval.
func (r *recur) everyDay() bool {
	return r.month == span(1, 12) && r.reach == 127 && !r.picksDays() && (r.freq > daily || r.freq == daily && r.interval == 1)
}
