package schedule

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"
)

// unitNames are the fields as a sentence calls them, and how many values each has.
var unitNames = [...]struct {
	one, many string
	cycle     int
}{
	fieldSecond: {"second", "seconds", 60},
	fieldMinute: {"minute", "minutes", 60},
	fieldHour:   {"hour", "hours", 24},
	fieldDom:    {"day", "days", 31},
	fieldMonth:  {"month", "months", 12},
	fieldDow:    {"day of the week", "days of the week", 7},
}

// words says which readings match: time of day, then date.
func (k *cron) words() string {
	t := k.timeWords()
	d := k.dateWords(strings.HasPrefix(t, "at ") && !k.full(fieldHour))
	if strings.HasPrefix(d, " ") && (k.named(fieldMinute) || k.named(fieldHour)) {
		t += ","
	}
	return t + d
}

// full says that every value of a field matches.
func (k *cron) full(f field) bool {
	lo := cronFields[f].lo
	return *k.set(f)>>lo == 1<<unitNames[f].cycle-1
}

// named says whether values of a field follow from the task's name.
func (k *cron) named(f field) bool {
	return slices.ContainsFunc(k.hashed, func(h hashItem) bool { return h.field == f })
}

// progression returns the first of the n values of set and how far they are apart, if all are equally far; 0 if not, or if
// there are fewer than two.
func progression(set uint64) (first, step, n int) {
	n = bits.OnesCount64(set)
	if n < 2 {
		return 0, 0, n
	}
	first = bits.TrailingZeros64(set)
	step = bits.TrailingZeros64(set>>(first+1)) + 1
	if set != every(first, bits.Len64(set)-1, step) {
		return 0, 0, n
	}
	return first, step, n
}

// each is "every 15 minutes" where a field's matches are that far apart, from one cycle to the next, too, and begin with it.
func (k *cron) each(f field) string {
	switch first, step, n := progression(*k.set(f)); {
	case k.full(f):
		return "every " + unitNames[f].one
	case first == 0 && n*step == unitNames[f].cycle && !k.named(f):
		return "every " + count(step, unitNames[f].one)
	}
	return ""
}

// values names the values of a field: minute 5; hours 9 to 17; every 2nd minute from 1 to 59.
func (k *cron) values(f field) string {
	var list []string
	set := *k.set(f)
	switch first, step, n := progression(set); {
	case n == 0:
	case step > 1 && n > 5:
		list = append(list, fmt.Sprintf("every %s %s from %d to %d", ordinal(step), unitNames[f].one, first, first+(n-1)*step))
	case n == 1:
		list = append(list, unitNames[f].one+" "+enumerate(runs(set, strconv.Itoa), ""))
	default:
		list = append(list, unitNames[f].many+" "+enumerate(runs(set, strconv.Itoa), "and"))
	}
	return strings.Join(append(list, k.namedValues(f, strconv.Itoa)...), ", and ")
}

// namedValues say what H stands for in a field.
func (k *cron) namedValues(f field, name func(int) string) (list []string) {
	one, spec := unitNames[f].one, cronFields[f]
	for _, h := range k.hashed {
		switch {
		case h.field != f:
		case h.step > 0:
			last := h.lo + min(h.step, h.hi-h.lo+1) - 1
			list = append(list, fmt.Sprintf("every %s %s from %s to %s, counted from one up to %s that follows from the task's name",
				ordinal(h.step), one, name(h.lo), name(h.hi), name(last)))
		case h.lo == spec.lo && h.hi == spec.hi:
			list = append(list, indefinite(one)+" that follows from the task's name")
		default:
			list = append(list, fmt.Sprintf("%s from %s to %s that follows from the task's name", indefinite(one), name(h.lo), name(h.hi)))
		}
	}
	return list
}

func indefinite(noun string) string {
	if noun[0] == 'h' { // hour
		return "an " + noun
	}
	return "a " + noun
}

// runs lists the values of a set, three or more in a row as a range.
func runs(set uint64, name func(int) string) (list []string) {
	for v := from(set, 0); v >= 0; {
		last := v
		for set>>(last+1)&1 == 1 {
			last++
		}
		if last > v+1 {
			list = append(list, name(v)+" to "+name(last))
			v = last
		} else {
			list = append(list, name(v))
		}
		v = from(set, v+1)
	}
	return list
}

// timeWords say which times of day match. What is a phrase of "every" goes on and on; what begins with "at" is each day's.
func (k *cron) timeWords() string {
	if t := k.timeList(2); t != "" {
		return "at " + t
	}
	if k.second != 1 || k.named(fieldSecond) {
		if t := k.timeList(6); t != "" && !k.full(fieldMinute) {
			return "at " + t
		}
		return k.secondWords()
	}
	return k.minuteWords()
}

// timeList lists the times of day if they are few, and known.
func (k *cron) timeList(limit int) string {
	n := bits.OnesCount64(k.second) * bits.OnesCount64(k.minute) * bits.OnesCount64(k.hour)
	if n > limit || k.named(fieldSecond) || k.named(fieldMinute) || k.named(fieldHour) {
		return ""
	}
	var list []string
	for at := k.timeFrom(0); at >= 0; at = k.timeFrom(at + 1) {
		t := clockText(at/3600, at/60%60)
		if k.second != 1 {
			t += fmt.Sprintf(":%02d", at%60)
		}
		list = append(list, t)
	}
	return enumerate(list, "and")
}

func clockText(hour, minute int) string { return fmt.Sprintf("%02d:%02d", hour, minute) }

// minuteWords are timeWords where a match is at the full minute.
func (k *cron) minuteWords() string {
	hours, step, n := progression(k.hour)
	each := k.each(fieldMinute)
	oneMinute := bits.OnesCount64(k.minute) == 1 && !k.named(fieldMinute)
	switch {
	case each != "" && k.full(fieldHour):
		return each
	case each != "":
		return each + " during " + k.values(fieldHour)
	case k.each(fieldHour) != "":
		return k.each(fieldHour) + " at " + k.values(fieldMinute)
	case oneMinute && step > 0 && !k.named(fieldHour): // three or more, as two are told as times
		minute := bits.TrailingZeros64(k.minute)
		return "every " + eachWords(time.Duration(step)*time.Hour) + " from " + clockText(hours, minute) + " to " +
			clockText(hours+(n-1)*step, minute)
	}
	if t := k.timeList(6); t != "" {
		return "at " + t
	}
	if k.named(fieldMinute) {
		return "at " + k.values(fieldMinute) + ", of " + k.values(fieldHour)
	}
	return "at " + k.values(fieldMinute) + " of " + k.values(fieldHour)
}

// secondWords are timeWords where a match is at some seconds of a minute.
func (k *cron) secondWords() string {
	if w := k.each(fieldSecond); w != "" {
		return w + k.withinWords(true)
	}
	return "at " + k.values(fieldSecond) + k.withinWords(false)
}

// withinWords say in which minutes and hours the seconds are that stand before them; on says that these are a phrase of "every".
func (k *cron) withinWords(on bool) (w string) {
	during := func(f field, on bool) string {
		if on {
			return " during " + k.values(f)
		}
		return " of " + k.values(f)
	}
	switch {
	case !k.full(fieldMinute):
		w += during(fieldMinute, on)
	case !on:
		w += " of every minute"
	}
	switch {
	case !k.full(fieldHour):
		w += during(fieldHour, on && k.full(fieldMinute))
	case !k.full(fieldMinute):
		w += " of every hour"
	}
	return w
}
