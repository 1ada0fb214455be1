package schedule

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"
)

// words say the rules, the start, the dates and what is left out.
func (k *ical) words() string {
	var list []string
	for _, rule := range k.rules {
		list = append(list, rule.words())
	}
	if len(k.rdates) > 0 {
		list = append(list, "at "+stampWords(k.rdates))
	}
	w := strings.Join(list, "; or ")
	if k.start.kind != noStamp && len(k.rules)+len(k.exrules) > 0 {
		w += ", counted from " + stampWords([]stamp{k.start})
	}
	list = nil
	for _, rule := range k.exrules {
		list = append(list, "("+rule.words()+")")
	}
	if len(k.exdates) > 0 {
		list = append(list, "at "+stampWords(k.exdates))
	}
	if len(list) > 0 {
		w += ", but not " + strings.Join(list, " nor ")
	}
	return w
}

// pinsHour says whether a rule goes by times of day, which clocks may skip or show twice.
func (k *ical) pinsHour() bool {
	pins := func(k *recurrence) bool { return k.freq < hourly || k.hour != 0 }
	return len(k.rules) == 0 || slices.ContainsFunc(k.rules, pins)
}

// stampWords name dates, or how many there are.
func stampWords(list []stamp) string {
	const most = 4
	var texts []string
	for _, s := range list[:min(len(list), most)] {
		day, second := s.at.split()
		d := dateOf(day)
		text := fmt.Sprintf("%04d-%02d-%02d", d.year, d.month, d.day)
		if s.kind != dateStamp {
			text += " " + clockText(second/3600, second/60%60)
			if second%60 > 0 {
				text += fmt.Sprintf(":%02d", second%60)
			}
		}
		if s.kind == utcStamp {
			text += " UTC"
		} else if s.zone != nil {
			text += " " + s.zone.name
		}
		texts = append(texts, text)
	}
	if n := len(list) - most; n > 0 {
		texts = append(texts, count(n, "more time"))
	}
	return enumerate(texts, "and")
}

var periodNames = [...]string{yearly: "year", monthly: "month", weekly: "week", daily: "day", hourly: "hour", minutely: "minute", secondly: "second"}

// words say which days and times match.
func (k *recurrence) words() string {
	w := "every " + periodNames[k.freq]
	if k.interval > 1 {
		w = "every " + count(int(k.interval), periodNames[k.freq])
	}
	w += k.dayWords() + k.clockWords()
	if k.setpos != nil {
		var list []string
		for _, n := range k.setpos {
			list = append(list, "the "+place(n))
		}
		w += ", of these only " + enumerate(list, "and") + " of each " + periodNames[k.freq]
	}
	if k.wkst != 1 && (k.freq == weekly && (k.interval > 1 || k.setpos != nil) || k.week|k.weekEnd != 0) {
		w += ", weeks beginning on " + time.Weekday(k.wkst).String()
	}
	if k.limit > 0 {
		w += ", " + count(int(k.limit), "time") + " in all"
	}
	if k.until.kind != noStamp {
		w += ", until " + stampWords([]stamp{k.until})
	}
	return w
}

// place is 1st, 2nd, last, 2nd to last.
func place(n int) string {
	switch {
	case n == -1:
		return "last"
	case n < 0:
		return ordinal(-n) + " to last"
	}
	return ordinal(n)
}

func (k *recurrence) dayWords() (w string) {
	var days []string
	if k.dom != 0 {
		name := "day "
		if k.dom&(k.dom-1) != 0 {
			name = "days "
		}
		days = append(days, name+enumerate(runs(k.dom, strconv.Itoa), "and"))
	}
	for _, n := range numbersOf(0, k.domEnd) {
		days = append(days, "the "+place(n)+" day of the month")
	}
	if len(days) > 0 {
		w += " on " + enumerate(days, "and")
	}
	if list := k.weekdayWords(); len(list) > 0 && w == "" {
		w += " on " + enumerate(list, "and")
	} else if len(list) > 0 {
		w += ", only where that is " + enumerate(list, "or")
	}
	days = nil
	for _, n := range k.yearDayList() {
		if n > 0 {
			days = append(days, "the "+place(n))
		} else {
			days = append(days, "the "+place(n)+" day")
		}
	}
	if len(days) > 6 {
		days = []string{count(len(days), "day")}
	}
	if len(days) > 0 {
		w += " on " + enumerate(days, "and") + " of the year"
	}
	days = nil
	for _, n := range k.easter {
		switch {
		case n == 0:
			days = append(days, "Easter Sunday")
		case n < 0:
			days = append(days, count(-n, "day")+" before Easter Sunday")
		default:
			days = append(days, count(n, "day")+" after Easter Sunday")
		}
	}
	if len(days) > 0 {
		w += " on " + enumerate(days, "and")
	}
	days = nil
	if k.week != 0 {
		days = append(days, "week "+enumerate(runs(k.week, strconv.Itoa), "and"))
	}
	for _, n := range numbersOf(0, k.weekEnd) {
		days = append(days, "the "+place(n)+" week")
	}
	if len(days) > 0 {
		w += " in " + enumerate(days, "and") + " of the year"
	}
	if k.month != 0 {
		w += " in " + enumerate(runs(k.month, func(m int) string { return time.Month(m).String() }), "and")
	}
	return w
}

// weekdayWords name the days of the week, Monday first.
func (k *recurrence) weekdayWords() (list []string) {
	for i := range 7 {
		d := (i + 1) % 7
		if k.dow>>d&1 == 1 {
			list = append(list, time.Weekday(d).String())
		}
		for _, n := range numbersOf(k.nth[d], k.nthEnd[d]) {
			which := "the " + place(n) + " " + time.Weekday(d).String()
			if k.freq == yearly && k.month == 0 {
				which += " of the year"
			}
			list = append(list, which)
		}
	}
	return list
}

// clockWords say at which times of day, as far as the rule says it.
func (k *recurrence) clockWords() (w string) {
	if k.hour != 0 && k.minute != 0 && k.few() {
		return ", at " + enumerate(k.texts(), "and")
	}
	for _, f := range [...]struct {
		name string
		set  uint64
	}{{"second", k.second}, {"minute", k.minute}, {"hour", k.hour}} {
		if f.set == 0 {
			continue
		}
		if f.set&(f.set-1) != 0 {
			f.name += "s"
		}
		sep := " of "
		if w == "" {
			sep = ", at "
		}
		w += sep + f.name + " " + enumerate(runs(f.set, strconv.Itoa), "and")
	}
	return w
}

// few says that the times of day are so few that they can be listed; seconds may be left open.
func (k *daytime) few() bool {
	return bits.OnesCount64(k.hour)*bits.OnesCount64(k.minute)*max(bits.OnesCount64(k.second), 1) <= 6
}

func (k *daytime) texts() (list []string) {
	times, seconds := *k, k.second != 0
	if !seconds {
		times.second = 1
	}
	for i := range times.size() {
		at := times.nth(i)
		text := clockText(at/3600, at/60%60)
		if seconds {
			text += fmt.Sprintf(":%02d", at%60)
		}
		list = append(list, text)
	}
	return list
}

// rrule warns of a recurrence.
func (w *warner) rrule(s Schedule) {
	k := s.more.ical
	if s.Never() {
		w.add("%q never matches: there is no such day, or none from its start to its end", "rrule "+string(k.appendText(nil)))
		return
	}
	for _, rule := range k.rules {
		w.recurrence(k, rule)
	}
	if k.start.kind == noStamp || len(k.rdates) > 0 || len(k.rules) == 0 {
		return
	}
	starts := func(rule *recurrence) bool {
		c, ok := rule.bind(k.start, true, nil).next(k.start.at)
		return ok && c == k.start.at
	}
	if !slices.ContainsFunc(k.rules, starts) {
		w.add("the start, %s, does not match the rule, so that it is no occurrence", stampWords([]stamp{k.start}))
	}
}

func (w *warner) recurrence(k *ical, rule *recurrence) {
	if k.start.kind == dateStamp && rule.hour|rule.minute|rule.second != 0 {
		w.add("BYHOUR, BYMINUTE and BYSECOND mean nothing where DTSTART is a date")
	}
	if rule.week|rule.weekEnd != 0 {
		if rule.freq != yearly {
			w.add("BYWEEKNO is for FREQ=YEARLY: with %s it leaves out the days of other weeks", freqNames[rule.freq])
		} else if rule.dow == 0 && rule.dom|rule.domEnd == 0 && !rule.byYearDay() && rule.easter == nil {
			w.add("BYWEEKNO without BYDAY is all seven days of the week: add BYDAY=MO, say, for one of them")
		}
	}
	settled := *rule
	if k.start.kind != noStamp || rule.picksDays() {
		settled.settle(k.start)
	}
	months := cron{month: settled.month}
	for day := 29; day <= 31; day++ {
		toTheEnd := settled.dom>>28 | ^uint64(0)<<(day-27) // bits for 28 to day
		if settled.dom>>day&1 == 1 && ^toTheEnd != 0 {
			w.lacking(&months, fmt.Sprintf("day %d", day), day)
		}
		if settled.domEnd>>day&1 == 1 {
			w.lacking(&months, fmt.Sprintf("the %s day", place(-day)), day)
		}
	}
	for d := range 7 {
		if !settled.wholeYear && rule.nth[d]>>5&1 == 1 {
			w.add("the 5th %s is in some months only: the others are left out, unlike with -1%s, the last one", time.Weekday(d), weekNames[d])
		}
	}
}
