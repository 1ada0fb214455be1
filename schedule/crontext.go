package schedule

import (
	"cmp"
	"math/bits"
	"slices"
	"strconv"
)

// normalise brings what means the same into the same form, so that it has one text: without what is said twice.
func (k *cron) normalise() {
	for _, h := range k.hashed {
		if h.lo == h.hi {
			*k.set(h.field) |= 1 << h.lo
		}
	}
	for d := range k.nth {
		const all = 1<<1 | 1<<2 | 1<<3 | 1<<4 | 1<<5
		if k.nth[d]&all == all {
			k.dow |= 1 << d
		}
		if k.dow>>d&1 == 1 {
			k.nth[d] = 0
		}
	}
	if k.dom == span(1, 31) {
		k.lastDay, k.lastWeekday, k.nearestWeekday = 0, 0, 0
	}
	k.hashed = slices.DeleteFunc(k.hashed, func(h hashItem) bool { return span(h.lo, h.hi)&^*k.set(h.field) == 0 })
	slices.SortFunc(k.hashed, func(a, b hashItem) int {
		return cmp.Or(cmp.Compare(a.field, b.field), cmp.Compare(a.lo, b.lo), cmp.Compare(a.hi, b.hi), cmp.Compare(a.step, b.step))
	})
	if k.hashed = slices.Compact(k.hashed); len(k.hashed) == 0 {
		k.hashed = nil
	}
}

// span is the set of the values from lo to hi.
func span(lo, hi int) uint64 { return 1<<(hi+1) - 1<<lo }

// every is the set of every step-th value from lo to hi.
func every(lo, hi, step int) (set uint64) {
	for v := lo; v <= hi; v += step {
		set |= 1 << v
	}
	return set
}

// fewYears is how many years a progression with gaps has at most to be written year by year.
const fewYears = 3

// normalYears brings the items of a year field into one form: runs, joined where they touch, and progressions with gaps, none
// of which lies within another, sorted. A field that is one progression in all becomes that, and one that holds all years
// nothing. There may remain ways to write the same years, with overlapping progressions, that are not told to be the same.
func normalYears(items []yearRange) []yearRange {
	var plain, all yearSet
	var steps []yearRange
	for _, r := range items {
		if r.lo < minYear {
			return nil
		}
		r.hi -= (r.hi - r.lo) % r.step
		all.add(r)
		if r.step == 1 || (r.hi-r.lo)/r.step < fewYears {
			plain.add(r)
		} else {
			steps = append(steps, r)
		}
	}
	if r, ok := all.progression(); ok {
		return []yearRange{r}
	}
	steps = slices.DeleteFunc(steps, plain.holds)
	slices.SortFunc(steps, compareYears)
	steps = slices.Compact(steps)
	years := slices.DeleteFunc(slices.Clone(steps), func(r yearRange) bool {
		return slices.ContainsFunc(steps, func(o yearRange) bool { return o != r && o.holds(r) })
	})
	var stepped yearSet
	for _, r := range years {
		stepped.add(r)
	}
	for _, r := range plain.runs() {
		if !stepped.holds(r) {
			years = append(years, r)
		}
	}
	slices.SortFunc(years, compareYears)
	return years
}

// yearItems returns how many items the years have in canonical form.
func yearItems(years []yearRange) (n int) {
	for _, r := range years {
		n++
		if r.isPair() {
			n++
		}
	}
	return n
}

// isPair says whether r is two years without a gap, which are written one by one.
func (r yearRange) isPair() bool { return r.step == 1 && r.hi == r.lo+1 }

func compareYears(a, b yearRange) int {
	return cmp.Or(cmp.Compare(a.lo, b.lo), cmp.Compare(a.hi, b.hi), cmp.Compare(a.step, b.step))
}

// holds says whether all years of o are in r.
func (r yearRange) holds(o yearRange) bool {
	return r.lo <= o.lo && o.hi <= r.hi && o.step%r.step == 0 && (o.lo-r.lo)%r.step == 0
}

// yearSet holds years that a field may name.
type yearSet [lastYear - minYear + 1]bool

func (s *yearSet) add(r yearRange) {
	for y := r.lo; y <= r.hi; y += r.step {
		s[y-minYear] = true
	}
}

func (s *yearSet) holds(r yearRange) bool {
	for y := r.lo; y <= r.hi; y += r.step {
		if !s[y-minYear] {
			return false
		}
	}
	return true
}

// runs returns the years without a gap between them.
func (s *yearSet) runs() (runs []yearRange) {
	for i := 0; i < len(s); i++ {
		if !s[i] {
			continue
		}
		lo := i
		for i+1 < len(s) && s[i+1] {
			i++
		}
		runs = append(runs, yearRange{lo + minYear, i + minYear, 1})
	}
	return runs
}

// progression returns the years as one range, with gaps or without, if that is what they are.
func (s *yearSet) progression() (r yearRange, ok bool) {
	n := 0
	for i, in := range s {
		if !in {
			continue
		}
		year := i + minYear
		switch n++; {
		case n == 1:
			r = yearRange{year, year, 1}
			continue
		case n == 2:
			r.step = year - r.lo
		case year-r.hi != r.step:
			return r, false
		}
		r.hi = year
	}
	return r, n == 1 || r.step == 1 || n > fewYears
}

// appendText appends the fields in canonical form, from which an equal expression is read.
func (k *cron) appendText(b []byte) []byte {
	if k.field > 5 {
		b = append(k.appendField(b, fieldSecond), ' ')
	}
	b = append(k.appendField(b, fieldMinute), ' ')
	b = append(k.appendField(b, fieldHour), ' ')
	b = append(k.appendField(b, fieldDom), ' ')
	b = append(k.appendField(b, fieldMonth), ' ')
	b = k.appendField(b, fieldDow)
	if k.field > 6 {
		b = k.appendYears(append(b, ' '))
	}
	return b
}

// appendField appends a field other than the year.
func (k *cron) appendField(b []byte, f field) []byte {
	l := list{b: b, start: len(b), field: f}
	set := *k.set(f)
	if k.stars.has(f) {
		set = l.star(set)
	}
	l.set(set)
	if f == fieldDom {
		l.days("", k.nearestWeekday, "w")
		l.last(k.lastDay, "")
		l.last(k.lastWeekday, "w")
	}
	if f == fieldDow {
		for d, which := range k.nth {
			l.nth(d, which)
		}
	}
	for _, h := range k.hashed {
		if h.field == f {
			l.hash(h)
		}
	}
	return l.b
}

// list writes the items of a field.
type list struct {
	b     []byte
	start int // where the field begins
	field field
}

// next begins an item.
func (l *list) next() {
	if len(l.b) > l.start {
		l.b = append(l.b, ',')
	}
}

func (l *list) int(n int) { l.b = strconv.AppendInt(l.b, int64(n), 10) }

// value appends a value: weekdays by name.
func (l *list) value(v int) {
	if l.field == fieldDow {
		l.b = append(l.b, dayNames[v]...)
		return
	}
	l.int(v)
}

// item appends a value, a range of values, or every step-th of it.
func (l *list) item(lo, hi, step int) {
	l.next()
	l.value(lo)
	if hi > lo {
		l.b = append(l.b, '-')
		l.value(hi)
	}
	if step > 1 {
		l.step(step)
	}
}

func (l *list) step(n int) {
	l.b = append(l.b, '/')
	l.int(n)
}

// star appends * with the least step that fits, and returns what of the set it leaves. A set that was read from * has one.
func (l *list) star(set uint64) (rest uint64) {
	spec := &cronFields[l.field]
	for step := 1; step <= spec.maxStep; step++ {
		part := every(spec.lo, spec.hi, step)
		if part&^set != 0 {
			continue
		}
		l.b = append(l.b, '*')
		if step > 1 {
			l.step(step)
		}
		return set &^ part
	}
	return set
}

// set appends values: a progression of at least four as one item, otherwise runs of at least three as ranges.
func (l *list) set(set uint64) {
	if bits.OnesCount64(set) > 3 {
		lo, hi := bits.TrailingZeros64(set), bits.Len64(set)-1
		step := bits.TrailingZeros64(set&(set-1)) - lo
		if step > 1 && set == every(lo, hi, step) {
			l.item(lo, hi, step)
			return
		}
	}
	for set != 0 {
		lo := bits.TrailingZeros64(set)
		n := bits.TrailingZeros64(^(set >> lo))
		if n > 2 {
			l.item(lo, lo+n-1, 1)
		} else {
			l.item(lo, lo, 1)
			n = 1
		}
		set &^= span(lo, lo+n-1)
	}
}

// days appends a number for each value of a set, with something before and behind.
func (l *list) days(before string, set uint64, behind string) {
	for ; set != 0; set &= set - 1 {
		l.next()
		l.b = append(l.b, before...)
		l.int(bits.TrailingZeros64(set))
		l.b = append(l.b, behind...)
	}
}

// last appends l for 0 and l-n for the others.
func (l *list) last(set uint64, behind string) {
	if set&1 == 1 {
		l.next()
		l.b = append(append(l.b, 'l'), behind...)
	}
	l.days("l-", set&^1, behind)
}

// nth appends which of a month's weekdays d are meant.
func (l *list) nth(d int, which uint8) {
	for n := 1; n <= 5; n++ {
		if which>>n&1 == 1 {
			l.next()
			l.b = append(append(l.b, dayNames[d]...), '#', byte('0'+n))
		}
	}
	if which&1 == 1 {
		l.next()
		l.b = append(append(l.b, dayNames[d]...), 'l')
	}
}

func (l *list) hash(h hashItem) {
	l.next()
	l.b = append(l.b, 'h')
	spec := &cronFields[h.field]
	last := spec.hi
	if h.field == fieldDom {
		last = maxHashDay
	}
	if h.lo != spec.lo || h.hi != last {
		l.b = append(l.b, '(')
		l.value(h.lo)
		l.b = append(l.b, '-')
		l.value(h.hi)
		l.b = append(l.b, ')')
	}
	if h.step > 0 {
		l.step(h.step)
	}
}

// appendYears appends the year field.
func (k *cron) appendYears(b []byte) []byte {
	if len(k.years) == 0 {
		return append(b, '*')
	}
	l := list{b: b, start: len(b), field: fieldYear}
	for _, r := range k.years {
		switch open := r.step > 1 && r.hi+r.step > lastYear; {
		case open && r.lo == minYear:
			l.next()
			l.b = append(l.b, '*')
			l.step(r.step)
		case open:
			l.item(r.lo, r.lo, r.step)
		case r.isPair():
			l.item(r.lo, r.lo, 1)
			l.item(r.hi, r.hi, 1)
		default:
			l.item(r.lo, r.hi, r.step)
		}
	}
	return l.b
}
