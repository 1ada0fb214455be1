package schedule

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"time"
)

// Warnings tells, in sentences, what is right in form and may not be what was meant: day fields of which either matches,
// steps that do not divide their cycle, days that some months lack, a minute field that was left to *, exceptions in another
// zone, and a rule that never matches. It is nil where there is nothing to say; their order does not change. They may be
// worded better, and become more, in any release.
func (s Schedule) Warnings() []string {
	if s.broken() {
		return nil
	}
	w := warner{}
	w.schedule(s, false)
	return w.list
}

// warner collects warnings, each once.
type warner struct{ list []string }

func (w *warner) add(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(w.list, text) {
		w.list = append(w.list, text)
	}
}

// schedule warns of s, which may be what another leaves out.
func (w *warner) schedule(s Schedule, exception bool) {
	switch s.kind {
	case KindCron:
		w.cron(s, exception)
	case KindCalendar:
		w.calendar(s, exception)
	case KindRRule:
		w.rrule(s)
	default: // nothing to warn of by itself
	}
	if s.more == nil {
		return
	}
	for _, m := range s.more.members {
		w.schedule(m, exception)
	}
	for _, m := range s.more.except {
		w.schedule(m, true)
	}
}

// cron warns of a cron expression. Of one that is left out it matters less how often it matches.
func (w *warner) cron(s Schedule, exception bool) {
	k := s.more.cron
	texts := k.fieldTexts()
	if s.Never() {
		w.add("%q never matches: no year has such a day", "cron "+string(k.appendText(nil)))
	}
	if k.restrictsDom() && k.restrictsDow() && !k.and {
		w.add("day of month %s and day of week %s are both restricted, and a day that matches either counts: "+
			"add \"days and\" for days that match both", texts[fieldDom], texts[fieldDow])
	}
	if s.Never() {
		return
	}
	if !exception {
		w.everyMinute(k, texts)
		for f := fieldSecond; f <= fieldDow; f++ {
			w.unevenStep(k, f, texts[f])
		}
	}
	w.shortMonths(k)
}

// fieldTexts are the canonical texts of the fields.
func (k *cron) fieldTexts() (texts [fieldYear + 1]string) {
	f := fieldMinute
	if k.field > 5 {
		f = fieldSecond
	}
	for text := range strings.FieldsSeq(string(k.appendText(nil))) {
		texts[f] = text
		f++
	}
	return texts
}

// everyMinute warns where the smallest unit was left to * though a larger one is chosen. Hours side by side, as in 9-17, may
// well be meant so.
func (w *warner) everyMinute(k *cron, texts [fieldYear + 1]string) {
	hours := k.pinsHour() && k.hour&(k.hour>>1) == 0
	times, suggest := 60, texts
	switch {
	case k.field > 5 && k.full(fieldSecond) && k.full(fieldMinute) && hours:
		times, suggest[fieldSecond], suggest[fieldMinute] = 3600, "0", "0"
	case k.full(fieldMinute) && hours && bits.OnesCount64(k.second) == 1:
		suggest[fieldMinute] = "0"
	case k.field > 5 && k.full(fieldSecond) && bits.OnesCount64(k.minute) == 1:
		suggest[fieldSecond] = "0"
		w.add("it runs %d times in each minute that it names: did you mean %q?", times, joinFields(suggest))
		return
	default:
		return
	}
	w.add("it runs %d times in each hour that it names: did you mean %q?", times, joinFields(suggest))
}

func joinFields(texts [fieldYear + 1]string) string {
	list := slices.DeleteFunc(texts[:], func(t string) bool { return t == "" })
	return "cron " + strings.Join(list, " ")
}

// unevenStep warns of a step that the field's cycle is no multiple of, since each cycle begins anew.
func (w *warner) unevenStep(k *cron, f field, text string) {
	const (
		each  = "%s %s is counted anew each %s: "
		short = each + "the last interval is %s, not %d"
	)
	first, step, n := progression(*k.set(f))
	unit, lo := unitNames[f], cronFields[f].lo
	first -= lo
	last := first + (n-1)*step
	switch {
	case step < 2, first >= step, last+step < unit.cycle, k.named(f):
		return
	case !k.stars.has(f) && n < 4:
		return // a list of values
	}
	period := [...]string{"minute", "hour", "day", "month", "year", "week"}[f]
	if f == fieldDom {
		w.add(each+"the last interval depends on how long the month is", unit.one, text, period)
		return
	}
	if rest := unit.cycle - last + first; rest != step {
		name := unit.one
		if f == fieldDow {
			name = "day"
		}
		w.add(short, unit.one, text, period, count(rest, name), step)
	}
}

// shortMonths warns of days that some of the months lack, unless they go on from the 28th and so mean the end of the month.
func (w *warner) shortMonths(k *cron) {
	if k.restrictsDom() {
		for day := 29; day <= 31; day++ {
			toTheEnd := k.dom>>28 | ^uint64(0)<<(day-27) // bits for 28 to day
			if k.dom>>day&1 == 1 && ^toTheEnd != 0 || k.nearestWeekday>>day&1 == 1 {
				w.lacking(k, fmt.Sprintf("day %d", day), day)
			}
		}
		for n := 28; n <= 30; n++ {
			if (k.lastDay|k.lastWeekday)>>n&1 == 1 {
				w.lacking(k, beforeLast(n), n+1)
			}
		}
	}
	for d := range 7 {
		if k.nth[d]>>5&1 == 1 && k.dow>>d&1 == 0 {
			w.add("the 5th %s is in some months only: the others are left out, unlike with \"%sl\", the last one",
				time.Weekday(d), dayNames[d])
		}
	}
}

// lacking warns of the months that are shorter than a number of days.
func (w *warner) lacking(k *cron, what string, days int) {
	var months []string
	for m := from(k.month, 1); m > 0; m = from(k.month, m+1) {
		if monthLength(2000, m) < days {
			months = append(months, time.Month(m).String())
		}
	}
	if k.month>>2&1 == 1 && days == 29 {
		months = append(months, "February but in leap years")
	}
	if len(months) > 0 {
		w.add("%s is not in every month: it is left out in %s", what, enumerate(months, "and"))
	}
}
