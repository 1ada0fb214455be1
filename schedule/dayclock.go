package schedule

import (
	"math/bits"
	"slices"
)

// dayClock says at which times of a day a recurrence matches. Those of hours, minutes and seconds with an interval are not the
// same every day: of the units of time, counted from 1970, every step-th is in phase.
type dayClock struct {
	daytime
	unit    int64  // in seconds; a day where the interval does not choose times of day
	step    int64  // at least 1
	origin  int64  // a unit that is in phase
	list    []int  // what BYSETPOS chooses, in seconds of the unit: an hour or a day; nil: it does not
	pattern uint64 // the multiples of step below 64
	same    int    // how many times every day has, -1 if they differ

	cycle int64 // after so many days the same units are in phase again
	work  *effort
	days  []int64 // where only few units are ever in phase: the days of a cycle on which one is, sorted; otherwise nil
}

// fewDays is how many days of a cycle are kept, and how long a cycle must be that they are worth it.
const fewDays = 64

// prepare works out what does not depend on the day, and leaves out what can never be in phase. It is false if nothing is left.
func (k *dayClock) prepare() bool {
	k.pattern = every(0, 63, int(min(k.step, 64)))
	switch k.unit {
	case 3600:
		k.hour = k.inPhase(k.hour, 24)
	case 60:
		k.minute = k.inPhase(k.minute, 60)
	case 1:
		k.second = k.inPhase(k.second, 60)
	}
	k.same = -1
	if k.size() == 0 || k.list != nil && len(k.list) == 0 {
		return false
	}
	if k.cycle = k.step / gcd(k.step, k.units()); k.cycle == 1 {
		k.same = k.before(0, daySeconds)
	}
	if k.cycle > fewDays {
		k.days = k.rareDays()
	}
	return k.same != 0
}

// rareDays returns the days of a cycle on which a unit that the sets name is in phase, or nil if they are many. Such a day d has
// d*units + unit = origin modulo step, of which both sides are divisible by what the step has in common with the day.
func (k *dayClock) rareDays() (days []int64) {
	common := k.step / k.cycle
	always := *k
	always.step = common
	inverse := inverse(k.units()/common, k.cycle)
	for at := always.from(0, 0); at >= 0; {
		u := int64(at) / k.unit
		if len(days) == fewDays {
			return nil
		}
		days = append(days, floorMod(floorMod((k.origin-u)/common, k.cycle)*inverse, k.cycle))
		if u++; u == k.units() {
			break
		}
		at = always.from(0, int(u*k.unit))
	}
	slices.Sort(days)
	return days
}

// inverse returns the number that makes 1 with a, modulo n; they have no divisor in common.
func inverse(a, n int64) int64 {
	r, next, x, y := n, floorMod(a, n), int64(0), int64(1)
	for next != 0 {
		q := r / next
		r, next, x, y = next, r-q*next, y, x-q*y
	}
	return floorMod(x, n)
}

// inPhase returns the values of a field of so many that are in phase at some time.
func (k *dayClock) inPhase(set uint64, size int64) uint64 {
	g := gcd(k.step, size)
	return set & (every(0, 63, int(g)) << floorMod(k.origin, g))
}

// units is how many there are in a day.
func (k *dayClock) units() int64 { return daySeconds / k.unit }

// phase returns the first unit of a day that is in phase, which may be one of a later day.
func (k *dayClock) phase(day int64) int64 { return floorMod(k.origin-day*k.units(), k.step) }

// uniform says that every time of day in the set matches, on every day.
func (k *dayClock) uniform() bool { return k.step == 1 && k.list == nil }

// weekdays returns the days of the week on which a time of day can be in phase.
func (k *dayClock) weekdays() (set uint64) {
	week := *k
	week.step = gcd(k.step, 7*k.units())
	for day := range int64(7) {
		if week.from(day, 0) >= 0 {
			set |= 1 << weekday(day)
		}
	}
	return set
}

// dayFrom returns the first day that is not before the one given and has a unit in phase, and dayUpTo the last one not after it.
func (k *dayClock) dayFrom(day int64) int64 {
	if k.days != nil {
		i, _ := slices.BinarySearch(k.days, floorMod(day, k.cycle))
		if i == len(k.days) {
			return day - floorMod(day, k.cycle) + k.cycle + k.days[0]
		}
		return day - floorMod(day, k.cycle) + k.days[i]
	}
	return floorDiv(day*k.units()+k.phase(day), k.units())
}

func (k *dayClock) dayUpTo(day int64) int64 {
	if k.days != nil {
		i, _ := slices.BinarySearch(k.days, floorMod(day, k.cycle)+1)
		if i == 0 {
			return day - floorMod(day, k.cycle) - k.cycle + k.days[len(k.days)-1]
		}
		return day - floorMod(day, k.cycle) + k.days[i-1]
	}
	last := (day+1)*k.units() - 1
	return floorDiv(last-floorMod(last-k.origin, k.step), k.units())
}

// from returns the first second of a day that matches and is not before the one given, or -1.
func (k *dayClock) from(day int64, second int) int {
	if k.uniform() {
		return k.timeFrom(second)
	}
	phase, units := k.phase(day), k.units()
	u := int64(second) / k.unit
	if floorMod(u-phase, k.step) == 0 && k.unitFrom(u) == u {
		if at := k.withinFrom(second - int(u*k.unit)); at >= 0 {
			return int(u*k.unit) + at
		}
	}
	for u++; ; {
		if u = k.unitFrom(u); u < 0 {
			return -1
		}
		ahead := floorMod(phase-u, k.step)
		if u += ahead; u >= units {
			return -1
		}
		if ahead == 0 {
			return int(u*k.unit) + k.withinFrom(0)
		}
	}
}

// upTo returns the last second of a day that matches and is not after the one given, or -1.
func (k *dayClock) upTo(day int64, second int) int {
	if k.uniform() {
		return k.timeUpTo(second)
	}
	phase := k.phase(day)
	u := int64(second) / k.unit
	if floorMod(u-phase, k.step) == 0 && k.unitFrom(u) == u {
		if at := k.withinUpTo(second - int(u*k.unit)); at >= 0 {
			return int(u*k.unit) + at
		}
	}
	for u--; u >= 0; {
		if u = k.unitUpTo(u); u < 0 {
			return -1
		}
		back := floorMod(u-phase, k.step)
		if back == 0 {
			return int(u*k.unit) + k.withinUpTo(int(k.unit)-1)
		}
		u -= back
	}
	return -1
}

// unitFrom returns the first unit of a day that the sets name and is not before the one given, in phase or not; or -1.
func (k *dayClock) unitFrom(u int64) int64 {
	switch k.unit {
	case 3600:
		return int64(from(k.hour, int(u)))
	case 60:
		t := daytime{1, k.minute, k.hour}
		return floorDiv(int64(t.timeFrom(int(u)*60)), 60)
	case 1:
		return int64(k.timeFrom(int(u)))
	}
	return -min(u, 1) // the day
}

func (k *dayClock) unitUpTo(u int64) int64 {
	switch k.unit {
	case 3600:
		return int64(upTo(k.hour, int(u)))
	case 60:
		t := daytime{1, k.minute, k.hour}
		return floorDiv(int64(t.timeUpTo(int(u)*60)), 60)
	case 1:
		return int64(k.timeUpTo(int(u)))
	}
	return 0
}

// withinFrom returns the first second of a unit that matches and is not before the one given, or -1.
func (k *dayClock) withinFrom(second int) int {
	switch {
	case k.list != nil:
		if i, _ := slices.BinarySearch(k.list, second); i < len(k.list) {
			return k.list[i]
		}
		return -1
	case k.unit == 3600:
		t := daytime{k.second, k.minute, 1}
		return t.timeFrom(second)
	case k.unit == 60:
		return from(k.second, second)
	}
	return 0
}

func (k *dayClock) withinUpTo(second int) int {
	switch {
	case k.list != nil:
		if i, _ := slices.BinarySearch(k.list, second+1); i > 0 {
			return k.list[i-1]
		}
		return -1
	case k.unit == 3600:
		t := daytime{k.second, k.minute, 1}
		return t.timeUpTo(second)
	case k.unit == 60:
		return upTo(k.second, second)
	}
	return 0
}

// withinBefore counts the seconds of a unit that match and are before the one given.
func (k *dayClock) withinBefore(second int) int {
	switch {
	case k.list != nil:
		i, _ := slices.BinarySearch(k.list, second)
		return i
	case k.unit == 3600:
		t := daytime{k.second, k.minute, 1}
		return t.timesBefore(second)
	case k.unit == 60:
		return below(k.second, min(second, 60))
	}
	return min(second, 1)
}

// before counts the times of a day that match and are before a second, which may be its end.
func (k *dayClock) before(day int64, second int) int {
	if k.uniform() {
		return k.timesBefore(second)
	}
	phase := k.phase(day)
	u := int64(second) / k.unit
	n := k.unitsBefore(phase, u) * k.withinBefore(int(k.unit))
	if rest := second - int(u*k.unit); rest > 0 && floorMod(u-phase, k.step) == 0 && k.unitFrom(u) == u {
		n += k.withinBefore(rest)
	}
	return n
}

// unitsBefore counts the units of a day that the sets name, are in phase, and are before one of them.
func (k *dayClock) unitsBefore(phase, end int64) (n int) {
	minutes := int64(bits.OnesCount64(k.hour))
	if k.unit == 1 {
		minutes *= int64(bits.OnesCount64(k.minute))
	}
	switch {
	case k.unit == daySeconds:
		return int(end)
	case end <= phase:
		return 0
	case k.all():
		return int((end - phase + k.step - 1) / k.step)
	case k.unit < 3600 && (end-phase)/k.step < minutes:
		k.work.add(int((end - phase) / k.step / 8))
		for u := phase; u < end; u += k.step {
			if k.unitFrom(u) == u {
				n++
			}
		}
		return n
	case k.unit == 3600:
		return bits.OnesCount64(k.hour & k.each(phase) & (1<<end - 1))
	}
	k.work.add(int(minutes / 8))
	for hour := range int64(24) {
		switch {
		case k.hour>>hour&1 == 0:
		case k.unit == 60:
			n += k.countMinute(k.minute, phase, hour*60, end)
		default:
			for minutes := k.minute; minutes != 0; minutes &= minutes - 1 {
				n += k.countMinute(k.second, phase, hour*3600+int64(bits.TrailingZeros64(minutes))*60, end)
			}
		}
	}
	return n
}

// all says that the sets name all units that are in phase.
func (k *dayClock) all() bool {
	const minutes, hours = 1<<60 - 1, 1<<24 - 1
	switch k.unit {
	case 3600:
		return k.hour == k.inPhase(hours, 24)
	case 60:
		return k.hour == hours && k.minute == k.inPhase(minutes, 60)
	default:
		return k.hour == hours && k.minute == minutes && k.second == k.inPhase(minutes, 60)
	}
}

// ofCycle counts the times of a cycle of days. Over it, each unit of a day that may be in phase is so once.
func (k *dayClock) ofCycle() int64 {
	if k.same >= 0 {
		return int64(k.same)
	}
	once := *k
	once.step = k.step / k.cycle
	once.pattern = every(0, 63, int(min(once.step, 64)))
	return int64(once.before(0, daySeconds))
}

// mostOfDays is at least the number of times of so many days.
func (k *dayClock) mostOfDays(days int64) int64 {
	return min(days*k.units()/k.step+1, days*int64(k.size())) * int64(k.withinBefore(int(k.unit)))
}

// countMinute counts the units that a set names among the sixty from first on.
func (k *dayClock) countMinute(set uint64, phase, first, end int64) int {
	if end <= first {
		return 0
	}
	set &= k.each(floorMod(phase-first, k.step))
	if end-first < 60 {
		set &= 1<<(end-first) - 1
	}
	return bits.OnesCount64(set)
}

// each returns every step-th bit from first on.
func (k *dayClock) each(first int64) uint64 {
	if first > 63 {
		return 0
	}
	if k.step > 63 {
		return 1 << first
	}
	return k.pattern << first
}

// nth returns the time of a day that n others are before; there are more than n.
func (k *dayClock) nth(day int64, n int) int {
	if k.uniform() {
		return k.daytime.nth(n)
	}
	lo, hi := 0, daySeconds-1
	for lo < hi { // the last second that no more than n are before
		if middle := (lo + hi + 1) / 2; k.before(day, middle) <= n {
			lo = middle
		} else {
			hi = middle - 1
		}
	}
	return lo
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func floorMod(a, b int64) int64 {
	m := a % b
	if m < 0 {
		m += b
	}
	return m
}
