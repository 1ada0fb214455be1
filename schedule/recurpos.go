package schedule

import (
	"math"
	"math/bits"
	"slices"
)

// BYSETPOS chooses among the times of each period. Within a day these are the same for every period that has any, so that the
// choice is made once. Those of weeks, months and years are numbered as they are asked for: no list of them is made.

// choose makes the choice, or leaves it to each period.
func (r *recur) choose() {
	switch r.freq {
	case daily:
		r.clock.list = chosen(r.setpos, r.daytime, daySeconds)
	case hourly:
		r.clock.list = chosen(r.setpos, daytime{r.second, r.minute, 1}, 3600)
	case minutely:
		var set uint64
		for _, second := range chosen(r.setpos, daytime{r.second, 1, 1}, 60) {
			set |= 1 << second
		}
		r.clock.second = set
	case secondly:
		r.never = !slices.Contains(r.setpos, 1) && !slices.Contains(r.setpos, -1)
	default:
		days := [...]int{yearly: 366, monthly: 31, weekly: 7}[r.freq]
		if r.dow != 0 && r.freq == weekly {
			days = bits.OnesCount64(r.dow)
		}
		_, ok := r.firstPos(days*r.size(), 0)
		r.never, r.byPeriod = !ok, true
	}
}

// chosen are the times within so many seconds whose positions are named, sorted.
func chosen(setpos []int, times daytime, seconds int) []int {
	size := times.timesBefore(seconds)
	list := make([]int, 0, len(setpos))
	for _, pos := range setpos {
		if i := index(pos, size); i >= 0 {
			list = append(list, times.nth(i))
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// index counts a position from 0; it is less than 0 if there is none such among so many.
func index(pos, size int) int {
	switch {
	case pos > size:
		return -1
	case pos < 0:
		return size + pos
	}
	return pos - 1
}

// firstPos returns the first position not before one, counted from 0, that is named, among so many; lastPos the last not after one.
func (r *recur) firstPos(size, least int) (int, bool) {
	best := math.MaxInt
	for _, pos := range r.setpos {
		if i := index(pos, size); i >= least {
			best = min(best, i)
		}
	}
	return best, best < math.MaxInt
}

func (r *recur) lastPos(size, most int) (int, bool) {
	best := -1
	for _, pos := range r.setpos {
		if i := index(pos, size); i <= most {
			best = max(best, i)
		}
	}
	return best, best >= 0
}

// countPos counts the positions in [first, end) that are named, among so many.
func (r *recur) countPos(size, first, end int) (n int64) {
	for _, pos := range r.setpos {
		i := index(pos, size)
		if i < first || i >= end || i < 0 {
			continue
		}
		if _, twice := slices.BinarySearch(r.setpos, i+1); pos < 0 && twice {
			continue
		}
		n++
	}
	return n
}

// A periodSet is what a week, month or year has to choose from.
type periodSet struct {
	pages [12]page
	days  int
	times *daytime
}

func (r *recur) setOf(period int64) (s periodSet) {
	s.times = &r.clock.daytime
	n := 1
	switch r.freq {
	case yearly:
		n = 12
		for i := range s.pages {
			s.pages[i] = r.load(period*12 + int64(i))
		}
	case monthly:
		s.pages[0] = r.load(period)
	default:
		start := r.periodStart(period)
		s.pages[0] = r.load(monthOf(start))
		if s.pages[0].end < start+7 {
			n, s.pages[1] = 2, r.load(monthOf(start+6))
		}
		for i := range s.pages[:n] {
			p := &s.pages[i]
			if at := start - p.first + 1; at > 0 {
				p.days &= 127 << at
			} else {
				p.days &= 127 >> -at
			}
		}
	}
	for i := range s.pages[:n] {
		s.days += bits.OnesCount64(s.pages[i].days)
	}
	return s
}

func (s *periodSet) size() int { return s.days * s.times.size() }

// before counts what is before a reading.
func (s *periodSet) before(c civil) (n int) {
	day, second := c.split()
	size := s.times.size()
	for i := range s.pages {
		switch p := &s.pages[i]; {
		case p.days == 0 || day < p.first:
		case day >= p.end:
			n += bits.OnesCount64(p.days) * size
		default:
			at := int(day - p.first + 1)
			n += below(p.days, at) * size
			if p.days>>at&1 == 1 {
				n += s.times.timesBefore(second)
			}
		}
	}
	return n
}

// at returns the reading at a position, counted from 0; there is one.
func (s *periodSet) at(pos int) civil {
	size := s.times.size()
	day := pos / size
	for i := range s.pages {
		p := &s.pages[i]
		if n := bits.OnesCount64(p.days); day >= n {
			day -= n
			continue
		}
		return makeCivil(p.first+int64(nthBit(p.days, day))-1, s.times.nth(pos%size))
	}
	return lastReading
}

// periodFrom returns the set of the first period with something to choose from on a day that is not before the one given; and the
// day after the period.
func (r *recur) periodFrom(day, limit int64) (s periodSet, after int64, ok bool) {
	var w page
	at, ok := r.dayFrom(&w, day, limit)
	if !ok {
		return s, 0, false
	}
	period := r.periodOf(at)
	return r.setOf(period), r.periodStart(period + 1), true
}

func (r *recur) nextChosen(c civil) (civil, bool) {
	day, _ := c.split()
	limit := min(monthOf(day)+r.months, afterMonths)
	for {
		s, after, ok := r.periodFrom(day, limit)
		if !ok {
			return 0, false
		}
		if pos, ok := r.firstPos(s.size(), s.before(c)); ok {
			at := s.at(pos)
			return at, at <= r.last
		}
		day = after
	}
}

func (r *recur) prevChosen(c civil) (civil, bool) {
	day, _ := c.split()
	begin, _ := r.begin.split()
	limit := max(monthOf(day)-r.months+1, monthOf(begin))
	for {
		var w page
		at, ok := r.dayUpTo(&w, day, limit)
		if !ok {
			return 0, false
		}
		period := r.periodOf(at)
		s := r.setOf(period)
		if pos, ok := r.lastPos(s.size(), s.before(c+1)-1); ok {
			c = s.at(pos)
			return c, c >= r.begin
		}
		day = r.periodStart(period) - 1
	}
}

func (r *recur) countChosen(first, end civil) (n int64) {
	day, _ := first.split()
	last, _ := end.split()
	limit := min(monthOf(last)+1, afterMonths)
	for day <= last {
		s, after, ok := r.periodFrom(day, limit)
		if !ok {
			break
		}
		n += r.countPos(s.size(), s.before(first), s.before(end))
		day = after
	}
	return n
}

// nthChosen is nthMatch. It goes through the periods one by one, for 400 years.
func (r *recur) nthChosen(n int64) civil {
	const weeks = 146097 / 7 // of 400 years, and there are more of them than months
	if n > (weeks+1)*int64(len(r.setpos)) {
		return lastReading
	}
	day, _ := r.begin.split()
	limit := min(monthOf(day)+400*12, afterMonths)
	for {
		s, after, ok := r.periodFrom(day, limit)
		if !ok {
			return lastReading
		}
		first := s.before(r.begin)
		if many := r.countPos(s.size(), first, s.size()); n > many {
			n, day = n-many, after
			continue
		}
		pos, _ := r.firstPos(s.size(), first)
		for ; n > 1; n-- {
			pos, _ = r.firstPos(s.size(), pos+1)
		}
		return s.at(pos)
	}
}
