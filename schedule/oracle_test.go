package schedule_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly/schedule"
)

// The oracle answers what a cron expression means by walking: it reads the wall clock of a zone minute by minute, compares each
// reading with the text of the fields, and applies the written policy to readings that are missing or come twice. It shares no
// code and no method with the package: no bit sets, no arithmetic over the calendar, no table of transitions.

// A naive is a cron expression as the oracle reads it.
type naive struct {
	second, minute, hour, month []bool // by value
	year                        []bool // nil: every year
	dom, dow                    string
	and                         bool
	bareStars                   bool // only a star alone does not restrict the days; no rule of ours, but others'
	hourShift                   bool // a gap shifts by an hour, however long it is; the same
	pinned                      bool
	days                        map[int64]bool // what matchesDay found, by day
}

// macros are the expressions that the short forms stand for.
var macros = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
	"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}

// readNaive reads an expression that is right. One that the oracle has no rule for is an error.
func readNaive(expr string, days schedule.Days) (n *naive, err error) {
	defer func() {
		if r := recover(); r != nil {
			n, err = nil, fmt.Errorf("oracle has no rule for %q: %v", expr, r)
		}
	}()
	expr = strings.ToLower(strings.TrimSpace(expr))
	if m, ok := macros[expr]; ok {
		expr = m
	}
	f := strings.Fields(expr)
	if len(f) == 5 {
		f = append([]string{"0"}, f...)
	}
	if len(f) != 6 && len(f) != 7 {
		return nil, fmt.Errorf("oracle reads 5 to 7 fields, not %d", len(f))
	}
	n = &naive{
		second: spell(f[0], 0, 59, nil), minute: spell(f[1], 0, 59, nil), hour: spell(f[2], 0, 23, nil),
		month: spell(f[4], 1, 12, strings.Fields("- jan feb mar apr may jun jul aug sep oct nov dec")),
		dom:   f[3], dow: f[5], and: days == schedule.DaysAnd,
		pinned: !open(f[2]), days: map[int64]bool{},
	}
	if len(f) == 7 && f[6] != "*" && f[6] != "?" {
		n.year = spell(f[6], 1970, 9999, nil)
	}
	for day := 1; day <= 28; day++ { // so that what is wrong shows now
		n.matchesDom(time.Date(2026, 2, day, 0, 0, 0, 0, time.UTC))
		n.matchesDow(time.Date(2026, 2, day, 0, 0, 0, 0, time.UTC))
	}
	return n, nil
}

// open says that a field does not restrict.
func open(field string) bool { return field[0] == '*' || field[0] == '?' }

// spell writes out the values of a field, one by one.
func spell(field string, lo, hi int, names []string) []bool {
	values := make([]bool, max(hi, 7)+1) // 7 is a Sunday
	for item := range strings.SplitSeq(field, ",") {
		base, stepText, stepped := strings.Cut(item, "/")
		step := 1
		if stepped {
			step = number(stepText, nil)
		}
		first, last := lo, hi
		a, b, isRange := strings.Cut(base, "-")
		switch {
		case base == "*" || base == "?":
		case isRange:
			first, last = number(a, names), number(b, names)
		default:
			first = number(base, names)
			if !stepped {
				last = first
			}
		}
		for v, k := first, 0; ; v, k = v+1, k+1 {
			if v > hi && last < first {
				v = lo
			}
			if k%step == 0 {
				values[v] = true
			}
			if v == last {
				break
			}
			if k > 20_000 {
				panic("field " + field)
			}
		}
	}
	return values
}

func number(text string, names []string) int {
	if i := slices.Index(names, text); i >= 0 {
		return i
	}
	v, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return v
}

var dayNames = strings.Fields("sun mon tue wed thu fri sat")

// matchesDom compares a day with the field for the day of the month.
func (n *naive) matchesDom(day time.Time) bool {
	length := day.AddDate(0, 1, -day.Day()).Day()
	for item := range strings.SplitSeq(n.dom, ",") {
		rest, last := strings.CutPrefix(item, "l")
		rest, near := strings.CutSuffix(rest, "w")
		if !last && !near {
			if spell(item, 1, 31, nil)[day.Day()] {
				return true
			}
			continue
		}
		want := length
		switch {
		case last && rest != "":
			want -= number(strings.TrimPrefix(rest, "-"), nil)
		case !last:
			want = number(rest, nil)
		}
		if want < 1 || want > length {
			continue
		}
		if !near && want == day.Day() || near && nearest(day, want, length) == day.Day() {
			return true
		}
	}
	return false
}

// nearest tries the days around the wanted one, closest first, within the month.
func nearest(day time.Time, want, length int) int {
	for _, d := range []int{0, -1, 1, -2, 2} {
		c := want + d
		if c < 1 || c > length {
			continue
		}
		if w := day.AddDate(0, 0, c-day.Day()).Weekday(); w != time.Saturday && w != time.Sunday {
			return c
		}
	}
	panic("no weekday")
}

// matchesDow compares a day with the field for the day of the week.
func (n *naive) matchesDow(day time.Time) bool {
	for item := range strings.SplitSeq(n.dow, ",") {
		if name, nth, ok := strings.Cut(item, "#"); ok {
			if number(name, dayNames)%7 == int(day.Weekday()) && (day.Day()-1)/7+1 == number(nth, nil) {
				return true
			}
			continue
		}
		if name, ok := strings.CutSuffix(item, "l"); ok {
			if number(name, dayNames)%7 == int(day.Weekday()) && day.AddDate(0, 0, 7).Month() != day.Month() {
				return true
			}
			continue
		}
		hi := 6
		if base, _, _ := strings.Cut(item, "/"); strings.HasSuffix(base, "-7") {
			hi = 7
		}
		for v, in := range spell(strings.Replace(item, "7-", "0-", 1), 0, hi, dayNames) {
			if in && v%7 == int(day.Weekday()) {
				return true
			}
		}
	}
	return false
}

func (n *naive) matchesDay(day time.Time) bool {
	if !n.month[day.Month()] || n.year != nil && (day.Year() >= len(n.year) || !n.year[day.Year()]) {
		return false
	}
	unrestricted := func(field string) bool { return open(field) && (!n.bareStars || len(field) == 1) }
	if n.and || unrestricted(n.dom) || unrestricted(n.dow) {
		return n.matchesDom(day) && n.matchesDow(day)
	}
	return n.matchesDom(day) || n.matchesDow(day)
}

// A spell of time during which a zone's offset stays the same; in Unix seconds, end excluded.
type span struct{ start, end, offset int64 }

// walk reads the offset of a zone minute by minute, and second by second where it changes.
func walk(loc *time.Location, from, to int64) []span {
	read := func(t int64) int64 {
		_, offset := time.Unix(t, 0).In(loc).Zone()
		return int64(offset)
	}
	spans := []span{{start: from, offset: read(from)}}
	for t := from; t < to; t += 60 {
		if read(t+60) == spans[len(spans)-1].offset {
			continue
		}
		for s := t + 1; s <= t+60; s++ {
			if o := read(s); o != spans[len(spans)-1].offset {
				spans[len(spans)-1].end = s
				spans = append(spans, span{start: s, offset: o})
			}
		}
	}
	spans[len(spans)-1].end = to
	return spans
}

// shows says whether the wall clock reads c during s.
func (s span) shows(c int64) bool { return s.start+s.offset <= c && c < s.end+s.offset }

// matches says whether a reading of the wall clock matches.
func (n *naive) matches(c int64) bool {
	at := time.Unix(c, 0).UTC()
	return n.second[at.Second()] && n.minute[at.Minute()] && n.hour[at.Hour()] && n.matchesDayOf(c)
}

// matchesDayOf is matchesDay for the day of a reading, and remembers it.
func (n *naive) matchesDayOf(c int64) bool {
	d := c - ((c%86400)+86400)%86400
	match, known := n.days[d]
	if !known {
		match = n.matchesDay(time.Unix(d, 0).UTC())
		n.days[d] = match
	}
	return match
}

// readings yields the readings of a wall clock in [from, to) that match, in order.
func (n *naive) readings(from, to int64, yield func(c int64)) {
	for minute := from - ((from%60)+60)%60; minute < to; minute += 60 {
		at := time.Unix(minute, 0).UTC()
		if !n.minute[at.Minute()] || !n.hour[at.Hour()] || !n.matchesDayOf(minute) {
			continue
		}
		for second, in := range n.second {
			if c := minute + int64(second); in && from <= c && c < to {
				yield(c)
			}
		}
	}
}

// occurrences walks the spans and gives every occurrence from lo to hi, both included, in Unix seconds and in order. The spans
// must go on for more than a day on both sides, where a gap or a fold may lie across the edge.
func (n *naive) occurrences(spans []span, lo, hi int64, gap schedule.Gap, fold schedule.Fold) (all []int64) {
	for i, s := range spans {
		n.readings(max(s.start, lo)+s.offset, min(s.end, hi+1)+s.offset, func(c int64) {
			seen := func(s span) bool { return s.shows(c) }
			first, last := !slices.ContainsFunc(spans[:i], seen), !slices.ContainsFunc(spans[i+1:], seen)
			if !n.pinned || fold == schedule.FoldBoth || fold == schedule.FoldFirst && first || fold == schedule.FoldSecond && last {
				all = append(all, c-s.offset)
			}
		})
		if i == 0 || !n.pinned || gap == schedule.GapSkip {
			continue
		}
		before := spans[i-1]
		n.readings(before.end+before.offset, s.start+s.offset, func(c int64) {
			at := s.start
			if gap == schedule.GapShift {
				at = c - before.offset
			}
			if n.hourShift {
				at = max(at, c+3600-s.offset)
			}
			exists := slices.ContainsFunc(spans, func(s span) bool { return s.shows(c) }) // before or after, after all
			if !exists && lo <= at && at <= hi {
				all = append(all, at)
			}
		})
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// horizon is how many days the oracle looks ahead before it says never: longer than from one 29 February on a given weekday
// to the next.
const horizon = 41 * 366

// near gives the first occurrence after t, or the last before it, going day by day; ok is false if there is none within the
// horizon.
func (n *naive) near(t time.Time, loc *time.Location, gap schedule.Gap, fold schedule.Fold, forward bool) (at time.Time, ok bool) {
	const hour, day = 3600, 86400
	within := func(lo, hi int64) (time.Time, bool) {
		all := n.occurrences(walk(loc, lo-26*hour, hi+26*hour), lo, hi, gap, fold)
		if !forward {
			slices.Reverse(all)
		}
		for _, o := range all {
			if u := time.Unix(o, 0).UTC(); forward && u.After(t) || !forward && u.Before(t) {
				return u, true
			}
		}
		return time.Time{}, false
	}
	step, far := int64(day), int64(horizon)
	lo, hi := t.Unix(), t.Unix()+hour
	if !forward {
		step, lo, hi = -day, lo-hour, lo
	}
	if at, ok = within(lo, hi); ok {
		return at, true
	}
	if n.year != nil {
		far *= 10
	}
	start := t.Unix() - t.Unix()%day
	for k := int64(-2); k < far; k++ {
		d := start + k*step
		if !n.matchesDay(time.Unix(d, 0).UTC()) {
			continue
		}
		if at, ok = within(d-14*hour, d+60*hour); ok { // a day begins 14 hours before UTC's at the earliest, and a gap has a day
			return at, true
		}
	}
	return time.Time{}, false
}
