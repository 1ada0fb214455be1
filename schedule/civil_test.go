package schedule

import (
	"math/bits"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestCivil_AgreesWithTime(t *testing.T) {
	check := func(t *testing.T, day int64) {
		t.Helper()
		want := time.Unix(day*daySeconds, 0).UTC()
		d := dateOf(day)
		if y, m, dd := want.Date(); d != (date{y, int(m), dd}) {
			t.Fatalf("day %d is %v, want %v", day, d, want)
		}
		if got := dayOf(d); got != day {
			t.Fatalf("%v is day %d, want %d", d, got, day)
		}
		if got := weekday(day); got != int(want.Weekday()) {
			t.Fatalf("%v is weekday %d, want %v", d, got, want.Weekday())
		}
		if end := time.Date(d.year, time.Month(d.month)+1, 0, 0, 0, 0, 0, time.UTC).Day(); monthLength(d.year, d.month) != end {
			t.Fatalf("%v: month of %d days, want %d", d, monthLength(d.year, d.month), end)
		}
	}
	for day := int64(-1000 * 366); day < 1000*366; day++ {
		check(t, day)
	}
	first, last := dayOf(date{firstYear, 1, 1}), dayOf(date{lastYear, 12, 31})
	for _, day := range []int64{first, first + 1, last - 1, last} {
		check(t, day)
	}
}

func TestCivil_SplitIsInverse(t *testing.T) {
	for _, c := range []civil{0, 1, -1, daySeconds, daySeconds - 1, -daySeconds, -daySeconds - 1} {
		day, second := c.split()
		if second < 0 || second >= daySeconds || makeCivil(day, second) != c {
			t.Errorf("%d is second %d of day %d", c, second, day)
		}
	}
}

func TestBits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set, n := rapid.Uint64().Draw(t, "set"), rapid.IntRange(0, 63).Draw(t, "n")
		low, high, count := -1, -1, 0
		for i := range 64 {
			if set>>i&1 == 0 {
				continue
			}
			if i >= n && low < 0 {
				low = i
			}
			if i <= n {
				high = i
			}
			if i < n {
				count++
			}
		}
		if got := from(set, n); got != low {
			t.Fatalf("from %b, %d: %d, want %d", set, n, got, low)
		}
		if got := upTo(set, n); got != high {
			t.Fatalf("upTo %b, %d: %d, want %d", set, n, got, high)
		}
		if got := below(set, n); got != count {
			t.Fatalf("below %b, %d: %d, want %d", set, n, got, count)
		}
	})
	if from(1, 64) != -1 || upTo(1, -1) != -1 || bits.OnesCount64(0) != below(0, 64) {
		t.Error("beyond the ends")
	}
}

// A cron expression drawn at random: next, prev and count against each second of a few days, and each day of some years.
func TestCronSets_AgreeWithStepping(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := drawCron(t)
		start := makeCivil(dayOf(date{rapid.IntRange(1999, 2030).Draw(t, "year"), rapid.IntRange(1, 12).Draw(t, "month"), rapid.IntRange(1, 28).Draw(t, "day")}),
			rapid.IntRange(0, daySeconds-1).Draw(t, "second"))
		end := start + civil(rapid.SampledFrom([]int{1, 100, 5000, 2 * daySeconds}).Draw(t, "length"))
		n := int64(0)
		first, last := civil(-1), civil(-1)
		for c := start; c < end; c++ {
			if steppedMatch(k, c) {
				n++
				last = c
				if first < 0 {
					first = c
				}
			}
		}
		if got := k.count(start, end); got != n {
			t.Fatalf("%d matches counted, want %d", got, n)
		}
		if got, ok := k.next(start); n > 0 && (!ok || got != first) || n == 0 && ok && got < end {
			t.Fatalf("next is %d (%v), want %d", got, ok, first)
		}
		if got, ok := k.prev(end - 1); n > 0 && (!ok || got != last) || n == 0 && ok && got >= start {
			t.Fatalf("prev is %d (%v), want %d", got, ok, last)
		}
	})
}

func drawCron(t *rapid.T) *cron {
	set := func(label string, lo, hi int) uint64 {
		all := uint64(1)<<(hi+1) - 1<<lo
		switch rapid.IntRange(0, 3).Draw(t, label+" shape") {
		case 0:
			return all
		case 1:
			return 1 << rapid.IntRange(lo, hi).Draw(t, label)
		}
		if s := rapid.Uint64().Draw(t, label) & all; s != 0 {
			return s
		}
		return 1 << lo
	}
	k := &cron{
		second: set("second", 0, 59), minute: set("minute", 0, 59), hour: set("hour", 0, 23),
		dom: set("dom", 1, 31), month: set("month", 1, 12), dow: set("dow", 0, 6), field: 7,
	}
	k.stars = fieldSet(rapid.SampledFrom([]int{0, 1 << fieldDom, 1 << fieldDow, 1<<fieldDom | 1<<fieldDow}).Draw(t, "stars"))
	k.and = rapid.Bool().Draw(t, "and")
	if rapid.IntRange(0, 3).Draw(t, "special days") == 0 {
		k.dom = rapid.SampledFrom([]uint64{0, k.dom}).Draw(t, "dom with special days")
		k.lastDay = rapid.SampledFrom([]uint64{0, 1, 1 << 3, 1 << 30}).Draw(t, "L")
		k.lastWeekday = rapid.SampledFrom([]uint64{0, 1, 1 << 5}).Draw(t, "LW")
		k.nearestWeekday = rapid.SampledFrom([]uint64{1 << 1, 1 << 15, 1 << 30, 1 << 31}).Draw(t, "W")
		k.nth[rapid.IntRange(0, 6).Draw(t, "nth day")] = uint8(rapid.SampledFrom([]int{0, 1, 2, 8, 32, 33}).Draw(t, "nth"))
	}
	if rapid.IntRange(0, 3).Draw(t, "with years") == 0 {
		k.years = []yearRange{{2001, 2011, rapid.IntRange(1, 3).Draw(t, "year step")}, {2020, 2020, 1}}
	}
	return k
}

// steppedMatch asks the calendar of package time, and reads the rules from crontab(5) and Quartz word by word.
func steppedMatch(k *cron, c civil) bool {
	t := time.Unix(int64(c), 0).UTC()
	if k.second>>t.Second()&1 == 0 || k.minute>>t.Minute()&1 == 0 || k.hour>>t.Hour()&1 == 0 || k.month>>t.Month()&1 == 0 {
		return false
	}
	if len(k.years) > 0 {
		ok := false
		for _, r := range k.years {
			for y := r.lo; y <= r.hi; y += r.step {
				ok = ok || y == t.Year()
			}
		}
		if !ok {
			return false
		}
	}
	nearest := func(d time.Time) int { // the weekday nearest to d within its month
		for _, off := range []int{0, -1, 1, -2, 2} {
			n := d.AddDate(0, 0, off)
			if n.Month() == d.Month() && n.Weekday() != time.Saturday && n.Weekday() != time.Sunday {
				return n.Day()
			}
		}
		panic("a month without weekdays")
	}
	end := time.Date(t.Year(), t.Month()+1, 0, 0, 0, 0, 0, time.UTC)
	dom := k.dom>>t.Day()&1 == 1
	for n := range 31 {
		back := end.AddDate(0, 0, -n)
		at := time.Date(t.Year(), t.Month(), n, 0, 0, 0, 0, time.UTC)
		dom = dom || k.lastDay>>n&1 == 1 && t.Day() == back.Day() && back.Month() == t.Month()
		dom = dom || k.lastWeekday>>n&1 == 1 && back.Month() == t.Month() && t.Day() == nearest(back)
		dom = dom || n > 0 && k.nearestWeekday>>n&1 == 1 && at.Month() == t.Month() && t.Day() == nearest(at)
	}
	if at := time.Date(t.Year(), t.Month(), 31, 0, 0, 0, 0, time.UTC); k.nearestWeekday>>31&1 == 1 && at.Month() == t.Month() {
		dom = dom || t.Day() == nearest(at)
	}
	which := k.nth[t.Weekday()]
	dow := k.dow>>t.Weekday()&1 == 1 || which>>((t.Day()-1)/7+1)&1 == 1 || which&1 == 1 && t.AddDate(0, 0, 7).Month() != t.Month()
	if !k.stars.has(fieldDom) && !k.stars.has(fieldDow) && !k.and {
		return dom || dow
	}
	return dom && dow
}

// Whatever the name, H leaves a rule with dates if there is a way, and stays within its range.
//
// contract: A6, J1.
func TestCronHash_LeavesADate(t *testing.T) {
	for _, tt := range []struct {
		expr   string
		months map[int]bool
	}{
		{"0 0 31 H *", map[int]bool{1: true, 3: true, 5: true, 7: true, 8: true, 10: true, 12: true}},
		{"0 0 30 H(2-3) *", map[int]bool{3: true}},
		{"0 0 31 H(1-6)/2 *", map[int]bool{1: true, 3: true, 5: true}},
	} {
		s := Cron(tt.expr)
		if err := s.Err(); err != nil {
			t.Errorf("%s: %v", tt.expr, err)
			continue
		}
		seen := map[int]bool{}
		for i := range 500 {
			r := s.Bind("task-"+string(rune('a'+i%26))+string(rune('a'+i/26)), time.Unix(0, 0))
			at := r.First()
			for range 12 {
				if at.IsZero() {
					t.Fatalf("%s never fires for task %d", tt.expr, i)
				}
				if !tt.months[int(at.Month())] {
					t.Fatalf("%s fires in %v", tt.expr, at.Month())
				}
				seen[int(at.Month())] = true
				at = r.Next(at)
			}
		}
		if len(seen) != len(tt.months) {
			t.Errorf("%s: months %v, want %v", tt.expr, seen, tt.months)
		}
	}
	if s := Cron("0 0 31 H(4-4),6 *"); s.Err() == nil {
		t.Error("31 April is accepted")
	}
}
