package schedule

import (
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	repeatWant   = "a repeating interval such as R5/2026-01-31T09:00:00Z/P1M or R/2026-01-31T09:00[Europe/Berlin]/P1D"
	repeatTimes  = "a number from 1 on behind the R, or none for without end"
	repeatPeriod = "a period of years, months, weeks and days, or one of hours, minutes and seconds"
	repeatStart  = "whole seconds, as the calendar has them"
	repeatZone   = "a zone, since a day or a month is that of a calendar: Z, or [Europe/Berlin] in place of the offset"
)

// isRepeat says whether a word begins a repeating interval of ISO 8601: R/ or R5/.
func isRepeat(w string) bool {
	return len(w) > 1 && w[0] == 'R' && w[skipDigits(w, 1):] != "" && w[skipDigits(w, 1)] == '/'
}

// repeat makes a schedule of a repeating interval: Rn/start/period, of n occurrences, the first at the start. One of hours, minutes and
// seconds is a grid from there; one of the calendar is a recurrence, on the last day of a month that has no such day.
func repeat(w string) (Schedule, miss) {
	slash := skipDigits(w, 1)
	n, err := strconv.Atoi(w[1:slash])
	if slash > 1 && (err != nil || n < 1) {
		return Schedule{}, miss{repeatTimes, 1}
	}
	from, period, ok := cutPeriod(w[slash+1:])
	if !ok || from == "" {
		return Schedule{}, miss{repeatWant, slash + 1}
	}
	at := len(w) - len(period)
	if from[0] == 'P' {
		return Schedule{}, miss{"the start and a period: whether it happens at the ends or the starts of what is before an end is not said", slash + 1}
	}
	if !strings.HasPrefix(period, "P") {
		return Schedule{}, miss{"a period in place of the end, such as P1M or PT744H: a month may be either", at}
	}
	span, m := parseISOSpan(period)
	if m.want != "" {
		m.off += at
		return Schedule{}, m
	}
	calendar := span.Months > 0 || span.Days > 0
	if calendar == (span.Time > 0) {
		return Schedule{}, miss{repeatPeriod, at}
	}
	if calendar {
		s, m := repeatByCalendar(from, span, n)
		m.off += slash + 1
		return s, m
	}
	start, m := parseInstant(from)
	if m.want != "" {
		m.off += slash + 1
		return Schedule{}, m
	}
	s := Every(span.Time).From(start)
	if n == 0 || s.broken() {
		return s, miss{}
	}
	// The last one is the first from the end of the time of a count on, which may be beyond all time.
	last := lastInstant()
	if steps(last, start, span.Time) >= int64(n-1) {
		last = start
		for left := n - 1; left > 0; {
			some := min(left, max(1, int(math.MaxInt64/int64(span.Time))))
			last, left = last.Add(span.Time*time.Duration(some)), left-some
		}
	}
	return s.Until(last), miss{}
}

// cutPeriod splits at the last slash that is not within brackets, where zones have slashes.
func cutPeriod(text string) (start, period string, ok bool) {
	i := strings.LastIndexByte(text, '/')
	if i < 0 || strings.LastIndexByte(text, ']') > i {
		return "", "", false
	}
	return text[:i], text[i+1:], true
}

// repeatByCalendar makes the recurrence.
func repeatByCalendar(from string, span Span, n int) (Schedule, miss) {
	start, end, m := parseCivil(from)
	zone := ""
	switch {
	case m.want != "":
		return Schedule{}, m
	case start.Nanosecond() != 0:
		return Schedule{}, miss{repeatStart, end}
	case end == len(from):
	case from[end:] == "Z":
		zone = "UTC"
	case strings.HasSuffix(from, "]"):
		at, m := parseInstant(from)
		if m.want != "" {
			return Schedule{}, m
		}
		zone = from[strings.IndexByte(from, '[')+1 : len(from)-1]
		if z, m := loadZone(zone); m.want == "" {
			y, mo, d := at.In(z.loc).Date()
			h, mi, s := at.In(z.loc).Clock()
			start = time.Date(y, mo, d, h, mi, s, 0, time.UTC)
		}
	default:
		return Schedule{}, miss{repeatZone, end}
	}
	rule := "FREQ=DAILY;INTERVAL=" + strconv.Itoa(span.Days)
	if span.Months > 0 {
		if span.Days > 0 {
			return Schedule{}, miss{"months or days, not both: which comes first makes a difference", len(from) + 1}
		}
		rule = "FREQ=MONTHLY;INTERVAL=" + strconv.Itoa(span.Months)
		if day := start.Day(); day > 28 { // the last of these that the month has
			days := []string{"28", "29", "30", "31"}[:day-27]
			rule += ";BYMONTHDAY=" + strings.Join(days, ",") + ";BYSETPOS=-1"
		}
	}
	if n > 0 {
		rule += ";COUNT=" + strconv.Itoa(n)
	}
	s := RRule("DTSTART:" + start.Format("20060102T150405") + " RRULE:" + rule)
	if zone != "" {
		s = s.In(zone)
	}
	return s, miss{}
}
