package schedule_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly/schedule"
)

// The oracle of recurrences goes through the table of RFC 5545, page 44, period by period and day by day: it writes all times of a
// period out, limits them by each part, chooses by BYSETPOS and counts. It shares no code and no method with the package.

// A naiveRule is a rule as the oracle reads it.
type naiveRule struct {
	freq                    string
	interval, limit         int
	until                   int64 // reading of the clock; 0: none
	utcUntil                bool
	start                   int64
	parts                   map[string][]int // but for BYDAY
	days                    []naiveDay       // BYDAY
	wkst                    time.Weekday
	pinned                  bool
	hours, minutes, seconds []int

	early                                    bool // begin more than a day before the start, see instants
	weekFromStart, ownWeekOnly, daysTogether bool // liberties of others, see recurLiberties
	positions                                func(list []int, all []int64, size int) []int64
	steps                                    func(n *naiveRule, end int64, give func(c int64) bool)
}

type naiveDay struct {
	n   int // 0: all
	day time.Weekday
}

var naiveDays = strings.Fields("SU MO TU WE TH FR SA")

// readNaiveRule reads a rule that is right, written in the usual way.
func readNaiveRule(text string, start int64) *naiveRule {
	n := &naiveRule{interval: 1, start: start, parts: map[string][]int{}, wkst: time.Monday}
	for part := range strings.SplitSeq(text, ";") {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "FREQ":
			n.freq = value
		case "INTERVAL":
			n.interval = number(value, nil)
		case "COUNT":
			n.limit = number(value, nil)
		case "UNTIL":
			at, err := time.Parse("20060102T150405", strings.TrimSuffix(value, "Z"))
			if err != nil {
				panic(err)
			}
			n.until, n.utcUntil = at.Unix(), strings.HasSuffix(value, "Z")
		case "WKST":
			n.wkst = time.Weekday(slices.Index(naiveDays, value))
		case "BYDAY":
			for item := range strings.SplitSeq(value, ",") {
				d := naiveDay{day: time.Weekday(slices.Index(naiveDays, item[len(item)-2:]))}
				if num := item[:len(item)-2]; num != "" {
					d.n = number(num, nil)
				}
				n.days = append(n.days, d)
			}
		default:
			for item := range strings.SplitSeq(value, ",") {
				n.parts[name] = append(n.parts[name], number(item, nil))
			}
		}
	}
	n.derive()
	return n
}

// derive takes from the start what the rule does not say.
func (n *naiveRule) derive() {
	s := time.Unix(n.start, 0).UTC()
	n.pinned = n.within("DAILY") || n.parts["BYHOUR"] != nil
	chosen := n.days != nil
	for _, name := range []string{"BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYEASTER"} {
		chosen = chosen || n.parts[name] != nil
	}
	switch {
	case chosen:
	case n.freq == "YEARLY":
		if n.parts["BYMONTH"] == nil {
			n.parts["BYMONTH"] = []int{int(s.Month())}
		}
		n.parts["BYMONTHDAY"] = []int{s.Day()}
	case n.freq == "MONTHLY":
		n.parts["BYMONTHDAY"] = []int{s.Day()}
	case n.freq == "WEEKLY":
		n.days = []naiveDay{{0, s.Weekday()}}
	}
	values := func(name, largest string, one, size int) (list []int) {
		switch {
		case n.parts[name] != nil:
			list = slices.Clone(n.parts[name])
			slices.Sort(list)
			return slices.Compact(list)
		case n.within(largest):
			return []int{one}
		}
		for v := range size {
			list = append(list, v)
		}
		return list
	}
	n.hours = values("BYHOUR", "DAILY", s.Hour(), 24)
	n.minutes = values("BYMINUTE", "HOURLY", s.Minute(), 60)
	n.seconds = values("BYSECOND", "MINUTELY", s.Second(), 60)
}

var naiveFreqs = strings.Fields("YEARLY MONTHLY WEEKLY DAILY HOURLY MINUTELY SECONDLY")

// within says that the rule's periods are at least as long.
func (n *naiveRule) within(freq string) bool {
	return slices.Index(naiveFreqs, n.freq) <= slices.Index(naiveFreqs, freq)
}

// has says that a part is not there, or names a value, or what it is from the end.
func (n *naiveRule) has(name string, value, fromEnd int) bool {
	list, there := n.parts[name]
	return !there || slices.Contains(list, value) || slices.Contains(list, fromEnd)
}

const noEnd = -1 << 30 // where values do not count from the end

// matchesDay limits a day by each part.
func (n *naiveRule) matchesDay(d time.Time) bool {
	monthEnd := time.Date(d.Year(), d.Month()+1, 0, 0, 0, 0, 0, time.UTC)
	yearEnd := time.Date(d.Year(), 12, 31, 0, 0, 0, 0, time.UTC)
	if !n.has("BYMONTH", int(d.Month()), noEnd) ||
		!n.has("BYMONTHDAY", d.Day(), d.Day()-monthEnd.Day()-1) ||
		!n.has("BYYEARDAY", d.YearDay(), d.YearDay()-yearEnd.YearDay()-1) {
		return false
	}
	if n.parts["BYWEEKNO"] != nil {
		year, week, last := n.week(d)
		end := week - last - 1
		if of := n.yearOfPeriod(d); n.ownWeekOnly && year > of {
			end = noEnd
		} else if n.ownWeekOnly && year < of {
			week, end = n.miscounted(of), -1
			if slices.Contains(n.parts["BYWEEKNO"], -1) {
				week = end
			}
		}
		if !n.has("BYWEEKNO", week, end) {
			return false
		}
	}
	if list := n.parts["BYEASTER"]; list != nil && !slices.Contains(list, d.YearDay()-easterOf(d.Year()).YearDay()) {
		return false
	}
	if n.days == nil {
		return true
	}
	if n.daysTogether {
		all, each := n.only(func(d naiveDay) bool { return d.n == 0 }), n.only(func(d naiveDay) bool { return d.n != 0 })
		if all.days != nil && each.days != nil {
			return all.matchesDay(d) && each.matchesDay(d)
		}
	}
	return slices.ContainsFunc(n.days, func(want naiveDay) bool {
		if want.day != d.Weekday() {
			return false
		}
		if want.n == 0 {
			return true
		}
		same := func(o time.Time) bool {
			if n.freq == "YEARLY" && n.parts["BYMONTH"] == nil {
				return o.Year() == d.Year()
			}
			return o.Year() == d.Year() && o.Month() == d.Month()
		}
		step, at := -7, 0
		if want.n < 0 {
			step = 7
		}
		for o := d; same(o); o = o.AddDate(0, 0, step) {
			at++
		}
		return at == max(want.n, -want.n)
	})
}

// only is the rule with some of its BYDAY.
func (n *naiveRule) only(some func(naiveDay) bool) *naiveRule {
	m := *n
	m.days, m.daysTogether = nil, false
	for _, d := range n.days {
		if some(d) {
			m.days = append(m.days, d)
		}
	}
	return &m
}

// week gives the year that a day's week belongs to, that in which most of its days are, its number, and how many that year has.
func (n *naiveRule) week(d time.Time) (year, week, last int) {
	of := func(d time.Time) (int, int) {
		for d.Weekday() != n.wkst {
			d = d.AddDate(0, 0, -1)
		}
		d = d.AddDate(0, 0, 3)
		return d.Year(), (d.YearDay()-1)/7 + 1
	}
	year, week = of(d)
	for day := 20; day <= 31; day++ {
		if y, w := of(time.Date(year, 12, day, 0, 0, 0, 0, time.UTC)); y == year {
			last = max(last, w)
		}
	}
	return year, week, last
}

// yearOfPeriod is the year by which dateutil numbers the week of a day: for WEEKLY that in which the week begins.
func (n *naiveRule) yearOfPeriod(d time.Time) int {
	if n.freq != "WEEKLY" {
		return d.Year()
	}
	first := d
	for first.Weekday() != n.wkst {
		first = first.AddDate(0, 0, -1)
	}
	if s := time.Unix(n.start, 0).UTC(); n.weekFromStart && first.Before(s) && s.Year() == d.Year() {
		return d.Year()
	}
	return first.Year()
}

// miscounted is how many weeks dateutil takes the year before one to have. Where fewer than four days of that year come before its
// first whole week, it goes by the length of the wrong year.
func (n *naiveRule) miscounted(year int) int {
	before := func(year int) int { // the days before the first that begins a week
		return (int(n.wkst-time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC).Weekday()) + 7) % 7
	}
	if before(year-1) >= 4 {
		_, _, last := n.week(time.Date(year-1, 6, 1, 0, 0, 0, 0, time.UTC))
		return last
	}
	days := time.Date(year, 12, 31, 0, 0, 0, 0, time.UTC).YearDay()
	return 52 + (days-before(year))%7/4
}

// easterOf is Easter Sunday by the rule of Gauss, with its exceptions.
func easterOf(year int) time.Time {
	k := year / 100
	m := (15 + (3*k+3)/4 - (8*k+13)/25) % 30
	s := (2 - (3*k+3)/4) % 7
	a := year % 19
	d := (19*a + m) % 30
	r := (d + a/11) / 29
	og := 21 + d - r
	sz := 7 - ((year+year/4+s)%7+7)%7
	oe := 7 - ((og-sz)%7+7)%7
	return time.Date(year, 3, og+oe, 0, 0, 0, 0, time.UTC)
}

// readings yields the readings that match up to an end, in order, until told to stop.
func (n *naiveRule) readings(end int64, yield func(c int64) bool) {
	count := 0
	give := func(c int64) bool {
		if c > end || n.until != 0 && !n.utcUntil && c > n.until {
			return false
		}
		if c < n.start && !n.early {
			return true
		}
		count++
		if n.limit > 0 && count > n.limit {
			return false
		}
		return yield(c)
	}
	s := time.Unix(n.start, 0).UTC()
	day := time.Date(s.Year(), s.Month(), s.Day(), 0, 0, 0, 0, time.UTC)
	for period := 0; ; period++ {
		var first, last time.Time
		k := period * n.interval
		switch n.freq {
		case "YEARLY":
			first = time.Date(s.Year()+k, 1, 1, 0, 0, 0, 0, time.UTC)
			last = first.AddDate(1, 0, 0)
		case "MONTHLY":
			first = time.Date(s.Year(), s.Month()+time.Month(k), 1, 0, 0, 0, 0, time.UTC)
			last = first.AddDate(0, 1, 0)
		case "WEEKLY":
			for first = day; first.Weekday() != n.wkst; {
				first = first.AddDate(0, 0, -1)
			}
			first = first.AddDate(0, 0, 7*k)
			if last = first.AddDate(0, 0, 7); n.weekFromStart && period == 0 {
				first = day
			}
		case "DAILY":
			first = day.AddDate(0, 0, k)
			last = first.AddDate(0, 0, 1)
		default:
			if n.steps != nil {
				n.steps(n, end, give)
			} else {
				n.unitsOfDays(day, end, give)
			}
			return
		}
		if first.Unix() > end || first.Year() > 9999 {
			return
		}
		var all []int64
		for d := first; d.Before(last); d = d.AddDate(0, 0, 1) {
			if n.matchesDay(d) {
				all = append(all, n.times(d.Unix(), n.hours, n.minutes)...)
			}
		}
		for _, c := range n.choose(all, len(n.hours)*len(n.minutes)*len(n.seconds)) {
			if !give(c) {
				return
			}
		}
	}
}

// times writes out the times of a day.
func (n *naiveRule) times(day int64, hours, minutes []int) (all []int64) {
	for _, h := range hours {
		for _, m := range minutes {
			for _, s := range n.seconds {
				all = append(all, day+int64(h)*3600+int64(m)*60+int64(s))
			}
		}
	}
	return all
}

// choose applies BYSETPOS to the times of a period, of which each day has so many.
func (n *naiveRule) choose(all []int64, size int) []int64 {
	list := n.parts["BYSETPOS"]
	if list == nil {
		return all
	}
	var chosen []int64
	if n.positions != nil {
		return n.positions(list, all, size)
	}
	for i, c := range all {
		if slices.Contains(list, i+1) || slices.Contains(list, i-len(all)) {
			chosen = append(chosen, c)
		}
	}
	return chosen
}

// unitsOfDays goes through the hours, minutes or seconds of days that match.
func (n *naiveRule) unitsOfDays(day time.Time, end int64, give func(c int64) bool) {
	unit := map[string]int64{"HOURLY": 3600, "MINUTELY": 60, "SECONDLY": 1}[n.freq]
	step := unit * int64(n.interval)
	at := n.start - n.start%unit
	if n.start%unit < 0 {
		at -= unit
	}
	if n.early {
		at -= 2 * 86400 / step * step
		day = day.AddDate(0, 0, -2)
	}
	var in [3][60]bool
	for i, list := range [][]int{n.hours, n.minutes, n.seconds} {
		for _, v := range list {
			in[i][v] = true
		}
	}
	for ; day.Unix() <= end; day = day.AddDate(0, 0, 1) {
		matches := n.matchesDay(day)
		if !matches {
			if behind := day.Unix() + 86400 - at; behind > 0 {
				at += (behind + step - 1) / step * step
			}
			continue
		}
		for ; at < day.Unix()+86400; at += step {
			var all []int64
			of := int(at - day.Unix())
			hour, minute, second := of/3600, of/60%60, of%60
			switch {
			case !in[0][hour], unit < 3600 && !in[1][minute], unit < 60 && !in[2][second]:
			case unit == 3600:
				all = n.times(day.Unix(), []int{hour}, n.minutes)
			case unit == 60:
				all = n.times(day.Unix(), []int{hour}, []int{minute})
			default:
				all = []int64{at}
			}
			for _, c := range n.choose(all, len(all)) {
				if !give(c) {
					return
				}
			}
		}
	}
}

// instants gives the instants from lo to hi, both included, at which the clock of a zone, of which spans tells the offsets from more
// than a day before the start to more than a day after hi, shows one of the readings, as RFC 5545 has it where clocks are changed. Where
// the hour is not pinned these are all that the clock really shows from the start on, which are counted, too, and up to the end.
func (n *naiveRule) instants(spans []span, lo, hi int64) (all []int64) {
	if !n.pinned {
		open := *n
		open.early, open.limit, open.until = true, 0, 0
		from, end := n.instant(spans, n.start), hi
		if n.until != 0 && !n.utcUntil {
			end = min(end, n.instant(spans, n.until))
		} else if n.utcUntil {
			end = min(end, n.until)
		}
		open.readings(hi+2*86400, func(c int64) bool {
			for _, s := range spans {
				if at := c - s.offset; s.shows(c) && at >= from && at <= end {
					all = append(all, at)
				}
			}
			return true
		})
		slices.Sort(all)
		if n.limit > 0 {
			all = all[:min(len(all), n.limit)]
		}
		return slices.DeleteFunc(all, func(at int64) bool { return at < lo })
	}
	n.readings(hi+2*86400, func(c int64) bool {
		all = append(all, n.instant(spans, c))
		return true
	})
	slices.Sort(all)
	all = slices.Compact(all)
	return slices.DeleteFunc(all, func(at int64) bool { return at < lo || at > hi || n.utcUntil && at > n.until })
}

// instant is the first at which the clock shows a reading, or where it never does what it would show had it not been put forward.
func (n *naiveRule) instant(spans []span, c int64) int64 {
	for _, s := range spans {
		if s.shows(c) {
			return c - s.offset
		}
	}
	for i, s := range spans[1:] {
		if c < s.start+s.offset {
			return c - spans[i].offset
		}
	}
	return c - spans[len(spans)-1].offset
}

// A ruleWriter makes up recurrences.
type ruleWriter struct {
	*rand.Rand
	extras bool // parts that RFC 5545 does not have, or not with that FREQ
}

func (w ruleWriter) list(lo, hi, most int, negative bool) string {
	var items []string
	for range 1 + w.IntN(most) {
		n := lo + w.IntN(hi-lo+1)
		if negative && w.IntN(4) == 0 {
			n = -n
		}
		if item := strconv.Itoa(n); !slices.Contains(items, item) {
			items = append(items, item)
		}
	}
	return strings.Join(items, ",")
}

// rule makes one up; its start is needed for UNTIL.
func (w ruleWriter) rule(start time.Time) string {
	freq := naiveFreqs[w.IntN(len(naiveFreqs))]
	parts := []string{"FREQ=" + freq}
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	chance := func(of int) bool { return w.IntN(of) == 0 }
	switch w.IntN(8) {
	case 0, 1:
		add("INTERVAL=%d", 2+w.IntN(4))
	case 2:
		add("INTERVAL=%d", 2+w.IntN(map[string]int{"YEARLY": 8, "MONTHLY": 30, "WEEKLY": 60, "DAILY": 400, "HOURLY": 800, "MINUTELY": 3000, "SECONDLY": 100_000}[freq]))
	}
	switch w.IntN(6) {
	case 0:
		add("COUNT=%d", 1+w.IntN(40))
	case 1:
		add("UNTIL=%s", start.AddDate(w.IntN(3), w.IntN(12), w.IntN(20)).Format("20060102T150405"))
	}
	by := len(parts)
	if chance(4) {
		add("BYMONTH=%s", w.list(1, 12, 4, false))
	}
	week := false
	if freq == "YEARLY" && chance(5) || w.extras && chance(10) {
		add("BYWEEKNO=%s", w.list(1, 53, 4, true))
		week = true
	}
	if chance(8) && (w.extras || freq == "YEARLY" || freq > "H") && freq != "DAILY" && freq != "MONTHLY" && freq != "WEEKLY" {
		add("BYYEARDAY=%s", w.list(1, 366, 20, true))
	}
	if chance(5) && (w.extras || freq != "WEEKLY") {
		add("BYMONTHDAY=%s", w.list(1, 31, 6, true))
	}
	if chance(3) {
		var days []string
		for range 1 + w.IntN(3) {
			day := naiveDays[w.IntN(7)]
			if (freq == "MONTHLY" || freq == "YEARLY") && !week && chance(2) {
				most := 5
				if freq == "YEARLY" && chance(2) {
					most = 53
				}
				day = w.list(1, most, 1, true) + day
			}
			if !slices.Contains(days, day) {
				days = append(days, day)
			}
		}
		add("BYDAY=%s", strings.Join(days, ","))
	}
	if w.extras && chance(12) {
		add("BYEASTER=%s", w.list(0, 60, 2, true))
	}
	if chance(4) {
		add("BYHOUR=%s", w.list(0, 23, 4, false))
	}
	if chance(4) {
		add("BYMINUTE=%s", w.list(0, 59, 4, false))
	}
	if chance(4) {
		add("BYSECOND=%s", w.list(0, 59, 4, false))
	}
	if len(parts) > by && chance(4) {
		add("BYSETPOS=%s", w.list(1, 5, 3, true))
	}
	if chance(4) {
		add("WKST=%s", naiveDays[w.IntN(7)])
	}
	return strings.Join(parts, ";")
}

// start makes up the start of a rule.
func (w ruleWriter) start() time.Time {
	at := time.Date(1990+w.IntN(40), time.Month(1+w.IntN(12)), 1+w.IntN(31), w.IntN(24), w.IntN(60), w.IntN(60), 0, time.UTC)
	if w.IntN(2) == 0 {
		at = at.Truncate(time.Hour)
	}
	return at
}

// recurring makes the schedule of a rule with a start.
func recurring(rule string, start time.Time) schedule.Schedule {
	return schedule.RRule("DTSTART:" + start.Format("20060102T150405") + "\nRRULE:" + rule)
}
