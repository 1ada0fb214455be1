package schedule_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/schedule"
)

// The calendar oracle answers what a calendar event expression means by walking minutes, as the oracle for cron does. It reads the
// normal order "weekdays date hour:minute:second" alone, and compares each value of the wall clock with the text of the lists by
// counting along each item. It shares no code and no method with the package.
type naiveCalendar struct {
	weekdays                       string // empty: all
	year, month, dom, hour, minute string
	fromEnd                        bool
	micros                         []int64 // of a minute, sorted
	minutes, hours                 []bool
	pinned                         bool
	days                           map[int64]bool
}

var weekdayNames = strings.Fields("mon tue wed thu fri sat sun")

func readNaiveCalendar(expr string) *naiveCalendar {
	n := &naiveCalendar{year: "*", month: "*", dom: "*", days: map[int64]bool{}}
	clock := "0:0:0"
	for word := range strings.FieldsSeq(strings.ToLower(expr)) {
		switch {
		case word[0] >= 'a':
			n.weekdays = word
		case strings.Contains(word, ":"):
			clock = word
		default:
			n.fromEnd = strings.Contains(word, "~")
			f := strings.FieldsFunc(word, func(r rune) bool { return r == '-' || r == '~' })
			n.month, n.dom = f[len(f)-2], f[len(f)-1]
			if len(f) == 3 {
				n.year = f[0]
			}
		}
	}
	f := append(strings.Split(clock, ":"), "0")
	n.hour, n.minute, n.pinned = f[0], f[1], f[0] != "*"
	for v := range 60 {
		n.hours = append(n.hours, v < 24 && inList(f[0], v, 23, 1, strconv.Atoi))
		n.minutes = append(n.minutes, inList(f[1], v, 59, 1, strconv.Atoi))
	}
	n.micros = spellMicros(f[2])
	return n
}

// inList says whether v is in a list of values, ranges and repetitions of a field that ends with last.
func inList(list string, v, last, by int, read func(string) (int, error)) bool {
	number := func(text string) int {
		n, err := read(text)
		if err != nil {
			panic(err)
		}
		return n
	}
	for item := range strings.SplitSeq(list, ",") {
		base, stepText, stepped := strings.Cut(item, "/")
		a, b, ranged := strings.Cut(base, "..")
		if base == "*" {
			return true
		}
		lo, hi, step := number(a), number(a), by
		if ranged {
			hi = number(b)
		}
		if stepped {
			step, _ = strconv.Atoi(stepText)
			if !ranged {
				hi = last
			}
		}
		if by < 0 && stepped && !ranged { // from the end of the month: down to the last day, 1
			for x := lo; x >= 1; x -= step {
				if x == v {
					return true
				}
			}
			continue
		}
		for x := lo; x <= hi; x += max(step, 1) {
			if x == v {
				return true
			}
		}
	}
	return false
}

// spellMicros writes out the seconds of a minute in microseconds.
func spellMicros(list string) (all []int64) {
	if list == "*" {
		list = "0/1"
	}
	number := func(text string) int64 {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			panic(err)
		}
		return int64(f*1e6 + 0.5)
	}
	for item := range strings.SplitSeq(list, ",") {
		base, stepText, stepped := strings.Cut(item, "/")
		a, b, ranged := strings.Cut(base, "..")
		lo, hi, step := number(a), number(a), int64(1e6)
		if ranged {
			hi = number(b)
		}
		if stepped {
			step = number(stepText)
			if !ranged {
				hi = 59_999_999
			}
		}
		for x := lo; x <= hi; x += step {
			all = append(all, x)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// twoDigits reads a year.
func twoDigits(text string) (int, error) {
	y, err := strconv.Atoi(text)
	if len(text) <= 2 && y < 70 {
		y += 2000
	} else if len(text) <= 2 {
		y += 1900
	}
	return y, err
}

func (n *naiveCalendar) matchesDay(day time.Time) bool {
	if n.weekdays != "" {
		name := strings.ToLower(day.Weekday().String()[:3])
		found := false
		for item := range strings.SplitSeq(strings.TrimSuffix(n.weekdays, ","), ",") {
			a, b, ranged := strings.Cut(strings.Replace(item, "-", "..", 1), "..")
			if !ranged {
				b = a
			}
			at := slices.Index(weekdayNames, name)
			found = found || slices.Index(weekdayNames, a[:3]) <= at && at <= slices.Index(weekdayNames, b[:3])
		}
		if !found {
			return false
		}
	}
	length := day.AddDate(0, 1, -day.Day()).Day()
	d, by := day.Day(), 1
	if n.fromEnd {
		d, by = length-d+1, -1
	}
	return inList(n.year, day.Year(), 9999, 1, twoDigits) && inList(n.month, int(day.Month()), 12, 1, strconv.Atoi) &&
		inList(n.dom, d, 31, by, strconv.Atoi)
}

func (n *naiveCalendar) matchesDayOf(c int64) bool {
	d := c - ((c%86400)+86400)%86400
	match, known := n.days[d]
	if !known {
		match = n.matchesDay(time.Unix(d, 0).UTC())
		n.days[d] = match
	}
	return match
}

// readings yields the readings in [from, to), all in microseconds, that match.
func (n *naiveCalendar) readings(from, to int64, yield func(c int64)) {
	const minute = 60_000_000
	for m := from - ((from%minute)+minute)%minute; m < to; m += minute {
		at := time.Unix(m/1_000_000, 0).UTC()
		if !n.minutes[at.Minute()] || !n.hours[at.Hour()] || !n.matchesDayOf(m/1_000_000) {
			continue
		}
		for _, micro := range n.micros {
			if c := m + micro; from <= c && c < to {
				yield(c)
			}
		}
	}
}

// occurrences gives every occurrence from lo to hi, both in Unix seconds and with all of the last one, in microseconds and in order.
func (n *naiveCalendar) occurrences(spans []span, lo, hi int64, gap schedule.Gap, fold schedule.Fold) (all []int64) {
	const second = 1_000_000
	for i, s := range spans {
		n.readings((max(s.start, lo)+s.offset)*second, (min(s.end, hi+1)+s.offset)*second, func(c int64) {
			seen := func(s span) bool { return s.shows(c / second) }
			first, last := !slices.ContainsFunc(spans[:i], seen), !slices.ContainsFunc(spans[i+1:], seen)
			if !n.pinned || fold == schedule.FoldBoth || fold == schedule.FoldFirst && first || fold == schedule.FoldSecond && last {
				all = append(all, c-s.offset*second)
			}
		})
		if i == 0 || !n.pinned || gap == schedule.GapSkip {
			continue
		}
		before := spans[i-1]
		n.readings((before.end+before.offset)*second, (s.start+s.offset)*second, func(c int64) {
			at := s.start * second
			if gap == schedule.GapShift {
				at = c - before.offset*second
			}
			exists := slices.ContainsFunc(spans, func(s span) bool { return s.shows(c / second) })
			if !exists && lo*second <= at && at < (hi+1)*second {
				all = append(all, at)
			}
		})
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// near gives the first occurrence after t, or the last before it; ok is false if there is none within the horizon.
func (n *naiveCalendar) near(t time.Time, loc *time.Location, gap schedule.Gap, fold schedule.Fold, forward bool) (at time.Time, ok bool) {
	const hour, day = 3600, 86400
	within := func(lo, hi int64) (time.Time, bool) {
		all := n.occurrences(walk(loc, lo-26*hour, hi+26*hour), lo, hi, gap, fold)
		if !forward {
			slices.Reverse(all)
		}
		for _, o := range all {
			if u := time.UnixMicro(o).UTC(); forward && u.After(t) || !forward && u.Before(t) {
				return u, true
			}
		}
		return time.Time{}, false
	}
	step, lo, hi := int64(day), t.Unix(), t.Unix()+hour
	if !forward {
		step, lo, hi = -day, lo-hour, lo
	}
	if at, ok = within(lo, hi); ok {
		return at, true
	}
	start := t.Unix() - ((t.Unix()%day)+day)%day
	for k := int64(-2); k < horizon; k++ {
		d := start + k*step
		if n.matchesDay(time.Unix(d, 0).UTC()) {
			if at, ok = within(d-14*hour, d+60*hour); ok {
				return at, true
			}
		}
	}
	return time.Time{}, false
}

// A calendarWriter makes up calendar event expressions, all of which are right.
type calendarWriter struct{ writer }

func (w calendarWriter) calendar() string {
	var words []string
	if w.chance(3) {
		words = append(words, w.weekdayList())
	}
	if !w.chance(3) {
		words = append(words, w.date())
	}
	if len(words) == 0 || !w.chance(6) {
		words = append(words, w.time())
	}
	return strings.Join(words, strings.Repeat(" ", 1+w.IntN(8)/7))
}

func (w calendarWriter) weekdayList() string {
	items := make([]string, w.between(1, 3))
	for i := range items {
		a := w.IntN(7)
		name := func(d int) string {
			n := []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}[d]
			if w.chance(2) {
				n = n[:3]
			}
			if w.chance(4) {
				n = strings.ToLower(n)
			}
			return n
		}
		items[i] = name(a)
		if w.chance(2) {
			items[i] += []string{"..", "-"}[w.IntN(5)/4] + name(w.between(a, 6))
		}
	}
	list := strings.Join(items, ",")
	if w.chance(20) {
		list += ","
	}
	return list
}

func (w calendarWriter) date() string {
	month := "*"
	if w.chance(3) {
		month = w.items(1, 12, 2)
	}
	day := "-*"
	switch w.IntN(4) {
	case 0:
	case 1:
		day = "~" + w.lastItems()
	default:
		day = "-" + w.items(1, 31, 2)
	}
	switch w.IntN(8) {
	case 0, 1:
		return month + day
	case 2:
		return w.items(1970, 2110, 4) + "-" + month + day
	case 3:
		return fmt.Sprintf("%02d-%s%s", w.IntN(100), month, day)
	}
	return "*-" + month + day
}

// items makes up a list, with so many digits at least half of the time.
func (w calendarWriter) items(lo, hi, digits int) string {
	n := 1
	if w.chance(3) {
		n = w.between(2, 4)
	}
	items := make([]string, n)
	number := func(v int) string {
		if w.chance(2) {
			return fmt.Sprintf("%0*d", digits, v)
		}
		return strconv.Itoa(v)
	}
	for i := range items {
		a := w.between(lo, hi)
		b := w.between(a, hi)
		switch k := w.IntN(6); {
		case k == 3 && a == b: // of seconds that is no range
			items[i] = number(a)
		case k == 3:
			items[i] = number(a) + ".." + number(b)
		case k == 4:
			items[i] = fmt.Sprintf("%s..%s/%d", number(a), number(b), w.between(1, hi-lo))
		case k == 5 && a < hi:
			items[i] = fmt.Sprintf("%s/%d", number(a), w.between(1, hi-a))
		default:
			items[i] = number(a)
		}
	}
	return strings.Join(items, ",")
}

// lastItems is items for days from the end of a month, whose repetitions go down.
func (w calendarWriter) lastItems() string {
	n := w.between(1, 3)
	items := make([]string, n)
	for i := range items {
		a := w.between(1, 28)
		switch k := w.IntN(6); {
		case k == 3:
			items[i] = fmt.Sprintf("%d..%02d", a, w.between(a, 28))
		case k == 4:
			items[i] = fmt.Sprintf("%d..%02d/%d", a, w.between(a, 28), w.between(1, 27))
		case k == 5 && a > 1:
			items[i] = fmt.Sprintf("%02d/%d", a, w.between(1, a-1))
		default:
			items[i] = fmt.Sprintf("%02d", a)
		}
	}
	return strings.Join(items, ",")
}

func (w calendarWriter) time() string {
	part := func(hi int) string {
		if w.chance(3) {
			return "*"
		}
		return w.items(0, hi, 2)
	}
	clock := part(23) + ":" + part(59)
	switch w.IntN(4) {
	case 0:
		return clock + ":" + part(59)
	case 1:
		return clock + ":" + w.fractions()
	}
	return clock
}

// fractions makes up seconds with fractions, of which a minute has no more than some hundred.
func (w calendarWriter) fractions() string {
	items := make([]string, w.between(1, 3))
	for i := range items {
		a := w.IntN(58)
		frac := []string{"", ".5", ".25", ".000001", ".999999", ".1234564"}[w.IntN(6)]
		switch w.IntN(5) {
		case 0:
			items[i] = fmt.Sprintf("%d%s/%d.%d", a, frac, w.IntN(2), w.between(3, 9))
		case 1:
			items[i] = fmt.Sprintf("%d%s..%d.%02d/0.%d", a, frac, a+1, w.IntN(100), w.between(2, 9))
		case 2:
			items[i] = fmt.Sprintf("%d%s..%d%s", a, frac, w.between(a+1, 59), frac)
		default:
			items[i] = fmt.Sprintf("%d%s", a, frac)
		}
	}
	return strings.Join(items, ",")
}

// mutate makes something else of an expression, that is mostly wrong.
func (w calendarWriter) mutate(expr string) string {
	const signs = "0123456789*,./~-: @+MonTueUTCdaily"
	for range w.between(1, 3) {
		i := w.IntN(len(expr) + 1)
		switch w.IntN(3) {
		case 0:
			expr = expr[:i] + signs[w.IntN(len(signs)):][:1] + expr[i:]
		case 1:
			expr = expr[:i] + expr[min(i+1, len(expr)):]
		default:
			j := w.IntN(len(expr) + 1)
			expr = expr[:min(i, j)] + expr[max(i, j):]
		}
	}
	return expr
}

// question makes up an expression: mostly a right one, some with a zone, some that are mutated.
func (w calendarWriter) question() string {
	expr := w.calendar()
	switch w.IntN(20) {
	case 0:
		expr = []string{
			"minutely", "hourly", "Daily", "weekly", "monthly", "quarterly", "semiannually", "yearly", "annually", "anually", "bi-annually",
			"@" + strconv.FormatInt(w.Int64N(8_000_000_000), 10),
		}[w.IntN(12)]
	case 1:
		expr += " " + namedZones[w.IntN(len(namedZones))]
	case 2:
		expr += []string{" UTC", " utc"}[w.IntN(2)]
	case 3, 4, 5:
		expr = w.mutate(expr)
	}
	return expr
}

// Random calendar event expressions, with all forms of lists and with fractions of seconds, by random policies in random zones: Next
// and Prev are what the oracle finds by walking, and the canonical text means the same.
//
// contract: I1, I2, I3, I4, I6.
func TestRandomCalendarsAgainstOracle(t *testing.T) {
	t.Parallel()
	cases := sampled(600)
	if everyZone {
		cases = 60_000
	}
	const seed = 7 // printed below
	w := calendarWriter{fullWriter(rand.New(rand.NewPCG(seed, seed)))}
	nevers, fractions := 0, 0
	changes := map[string][]int64{"UTC": nil}
	for _, zone := range namedZones {
		changes[zone] = transitions(mustZone(t, zone))
	}
	for range cases {
		expr, zone, p := w.calendar(), namedZones[w.IntN(len(namedZones))], policies[w.IntN(len(policies))]
		if w.chance(3) {
			zone = "UTC"
		}
		s := schedule.Calendar(expr).In(zone).DST(p.gap, p.fold)
		what := fmt.Sprintf("%s in %s %v", expr, zone, p)
		if s.Err() != nil && !s.Never() {
			t.Errorf("%s: %v", what, s.Err())
			continue
		}
		again, err := schedule.Parse(s.String())
		if err != nil || !again.Equal(s) || again.String() != s.String() {
			t.Errorf("%s prints as %q, which reads as %q: %v", what, s, again, err)
		}
		if strings.Contains(expr, ".") {
			fractions++
		}
		n, loc, from := readNaiveCalendar(expr), mustZone(t, zone), w.instant(changes[zone])
		r := again.Bind("", time.Time{})
		next, found := n.near(from, loc, p.gap, p.fold, true)
		if !found {
			nevers++
		}
		if got := r.Next(from); !got.Equal(next) && (found || !got.IsZero() && got.Sub(from) < horizon*24*time.Hour) {
			t.Errorf("%s: next after %v is %v, the oracle says %v", what, from, got.In(loc), next.In(loc))
		}
		prev, found := n.near(from, loc, p.gap, p.fold, false)
		if got := r.Prev(from); !got.Equal(prev) && (found || !got.IsZero() && from.Sub(got) < horizon*24*time.Hour) {
			t.Errorf("%s: last before %v is %v, the oracle says %v", what, from, got.In(loc), prev.In(loc))
		}
		if s.Never() && (found || !next.IsZero()) {
			t.Errorf("%s: is never, the oracle says %v and %v", what, prev, next)
		}
	}
	t.Logf("%d cases, %d with a range or a fraction, %d without a next one; seed %d", cases, fractions, nevers, seed)
}
