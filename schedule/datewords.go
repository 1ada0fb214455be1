package schedule

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// dateWords say which days match, with what separates them from the words before. Where all do it is said only if those are
// times of a day.
func (k *cron) dateWords(ofDay bool) string {
	dom, dow := k.domWords(), k.dowWords("and")
	or := k.restrictsDom() && k.restrictsDow() && !k.and
	if or && (dom == "" || dow == "") {
		dom, dow = "", "" // either is every day
	}
	months := k.monthWords()
	ofMonth, ofOne, inMonths := " of the month", " of the month", ""
	if months != "" {
		ofMonth, inMonths = " of "+months, ", in "+months
	}
	if k.named(fieldDom) {
		ofMonth, ofOne = ","+ofMonth, ","+ofOne
	}
	var w string
	switch {
	case dom != "" && dow == "":
		w = " on " + dom + ofMonth
	case dom == "" && dow != "" && k.onlyNth():
		w = " on " + strings.ReplaceAll(dow, " of the month", "") + ofMonth
	case dom == "" && dow != "" && k.oneRun():
		w = ", " + dow + inMonths
	case dom == "" && dow != "":
		w = " on " + dow + inMonths
	case dom != "" && or:
		w = " on " + dom + ofOne + " or on " + dow + inMonths
	case dom != "":
		w = " on " + dom + ofOne + ", only where that is " + k.dowWords("or") + inMonths
	case ofDay:
		w = " every day" + inMonths
	default:
		w = inMonths
	}
	return w + yearWords(k.years)
}

// domWords name the days of the month, and are empty if all match.
func (k *cron) domWords() string {
	if k.full(fieldDom) {
		return ""
	}
	var list []string
	if k.dom != 0 || k.named(fieldDom) {
		list = append(list, k.values(fieldDom))
	}
	last := k.lastDay
	if n := bits.TrailingZeros64(^last); n > 1 {
		list = append(list, "the last "+strconv.Itoa(n)+" days")
		last &^= span(0, n-1)
	}
	for set := last; set != 0; set &= set - 1 {
		list = append(list, beforeLast(bits.TrailingZeros64(set)))
	}
	for set := k.lastWeekday; set != 0; set &= set - 1 {
		n := bits.TrailingZeros64(set)
		if n == 0 {
			list = append(list, "the last day from Monday to Friday")
			continue
		}
		list = append(list, "the day from Monday to Friday nearest to "+beforeLast(n))
	}
	for set := k.nearestWeekday; set != 0; set &= set - 1 {
		list = append(list, "the day from Monday to Friday nearest to day "+strconv.Itoa(bits.TrailingZeros64(set)))
	}
	for i := range list[1:] {
		list[i+1] = "on " + list[i+1]
	}
	return enumerate(list, "and")
}

// beforeLast names the n-th day before the last.
func beforeLast(n int) string {
	if n == 0 {
		return "the last day"
	}
	return "the " + ordinal(n) + " day before the last"
}

// dowWords name the days of the week, Monday first, and are empty if all match.
func (k *cron) dowWords(and string) string {
	if k.full(fieldDow) {
		return ""
	}
	list := runs(k.mondayFirst(), func(d int) string { return time.Weekday((d + 1) % 7).String() })
	for i := range 7 {
		d := (i + 1) % 7
		for n := range 6 {
			if k.nth[d]>>n&1 == 0 {
				continue
			}
			which := "the last "
			if n > 0 {
				which = "the " + ordinal(n) + " "
			}
			list = append(list, which+time.Weekday(d).String()+" of the month")
		}
	}
	name := func(d int) string { return time.Weekday(d).String() }
	return enumerate(append(list, k.namedValues(fieldDow, name)...), and)
}

// mondayFirst is the set of the days of the week with Monday as bit 0 and Sunday as bit 6.
func (k *cron) mondayFirst() uint64 { return k.dow>>1 | k.dow&1<<6 }

// onlyNth says that all days of the week are those of a place in the month.
func (k *cron) onlyNth() bool { return k.dow == 0 && !k.named(fieldDow) }

// oneRun says that the days of the week are three or more in a row and nothing else.
func (k *cron) oneRun() bool {
	_, step, n := progression(k.mondayFirst())
	return step == 1 && n > 2 && !k.named(fieldDow) && k.nth == [7]uint8{}
}

// monthWords name the months, and are empty if all match.
func (k *cron) monthWords() string {
	if k.full(fieldMonth) {
		return ""
	}
	name := func(m int) string { return time.Month(m).String() }
	return enumerate(append(runs(k.month, name), k.namedValues(fieldMonth, name)...), "and")
}

// yearWords name the years, with what separates them from the words before.
func yearWords(years []yearRange) string {
	var list []string
	for _, r := range years {
		switch {
		case r.hi == r.lo:
			list = append(list, strconv.Itoa(r.lo))
		case r.step == 1 && r.hi == lastYear:
			list = append(list, fmt.Sprintf("all years from %d on", r.lo))
		case r.hi+r.step > lastYear:
			list = append(list, fmt.Sprintf("every %s year from %d on", ordinal(r.step), r.lo))
		case r.step == 1:
			list = append(list, fmt.Sprintf("%d to %d", r.lo, r.hi))
		default:
			list = append(list, fmt.Sprintf("every %s year from %d to %d", ordinal(r.step), r.lo, r.hi))
		}
	}
	if len(list) == 0 {
		return ""
	}
	return ", in " + enumerate(list, "and")
}
