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
	repeatAgain  = "the first of the times that the clocks show twice, which is what comes on other days: without an offset"
	repeatEnd    = "an end that is later than the start, by at most 292 years"
	repeatCount  = "at most 2147483647"
)

// isRepeat says whether a word begins a repeating interval of ISO 8601: R/ or R5/.
func isRepeat(w string) bool {
	return len(w) > 1 && w[0] == 'R' && w[skipDigits(w, 1):] != "" && w[skipDigits(w, 1)] == '/'
}

// repeat makes a schedule of a repeating interval: Rn/start/period, of n occurrences, the first at the start. One of hours, minutes and
// seconds is a grid from there; one of the calendar is a recurrence, on the last day of a month that has no such day. Rn/start/end is one
// where the time between them can be taken in one way only.
func repeat(w string, work *effort) (Schedule, miss) {
	slash := skipDigits(w, 1)
	n, _ := strconv.ParseInt(w[1:slash], 10, 64) // of too many digits the largest there is
	switch {
	case slash > 1 && n < 1:
		return Schedule{}, miss{repeatTimes, 1}
	case n > math.MaxInt32:
		return Schedule{}, miss{repeatCount, 1}
	}
	from, period, ok := cutPeriod(w[slash+1:])
	if !ok || from == "" {
		return Schedule{}, miss{repeatWant, slash + 1}
	}
	at := len(w) - len(period)
	var span Span
	var m miss
	switch {
	case from[0] == 'P':
		return Schedule{}, miss{endWant(w[:slash+1], from, period, n), slash + 1}
	case strings.TrimLeft(period, "+-") != period:
		return Schedule{}, miss{"a period without a sign", at}
	case strings.HasPrefix(period, "P"):
		span, m = parseISOSpan(period)
	default:
		span, m = between(from, period)
	}
	if m.want != "" {
		m.off += at
		return Schedule{}, m
	}
	calendar := span.Months > 0 || span.Days > 0
	if calendar == (span.Time > 0) {
		return Schedule{}, miss{repeatPeriod, at}
	}
	if calendar {
		s, m := repeatByCalendar(from, span, n, work)
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
	if steps(last, start, span.Time) >= n-1 {
		last = start
		for left := n - 1; left > 0; {
			some := min(left, math.MaxInt64/int64(span.Time))
			last, left = last.Add(span.Time*time.Duration(some)), left-some
		}
	}
	return s.Until(last), miss{}
}

// cutPeriod splits at the last slash that is not within brackets, where zones have slashes.
func cutPeriod(text string) (start, period string, ok bool) {
	i := strings.LastIndexByte(text, '/')
	if end := strings.LastIndexByte(text, ']'); end > i { // an end has a zone of its own
		i = strings.LastIndexByte(text[:strings.LastIndexByte(text, '[')+1], '/')
	}
	if i < 0 {
		return "", "", false
	}
	return text[:i], text[i+1:], true
}

// between returns the time from a start to an end, where that is the same by the calendar and by the clock; else the miss says both.
func between(from, until string) (Span, miss) {
	start, m := parseInstant(from)
	if m.want != "" {
		m.off -= len(from) + 1 // it is in the start
		return Span{}, m
	}
	end, m := parseInstant(until)
	if m.want != "" {
		return Span{}, m
	}
	d := end.Sub(start)
	if d <= 0 || d == math.MaxInt64 {
		return Span{}, miss{repeatEnd, 0}
	}
	civil, at, _ := parseCivil(from)
	loc, byDays := time.FixedZone("", int(civil.Sub(start)/time.Second)), at == len(from)
	if i := strings.IndexByte(from, '['); i >= 0 {
		if z, m := loadZone(from[i+1 : len(from)-1]); m.want == "" && z != utc {
			loc, byDays = z.loc, true
		}
	}
	fixed := Span{Time: d}
	if start = start.In(loc); byDays {
		for days := max(1, int(d/(24*time.Hour))-1); time.Duration(days) <= d/(24*time.Hour)+1; days++ {
			if by := (Span{Days: days}); by.From(start).Equal(end) {
				return Span{}, miss{"a period in place of the end: " + monthsBetween(start, end) + by.String() + " or " + fixed.String(), 0}
			}
		}
	}
	if by := monthsBetween(start, end); by != "" {
		return Span{}, miss{"a period in place of the end: " + strings.TrimSuffix(by, ", ") + " or " + fixed.String(), 0}
	}
	return fixed, miss{}
}

// monthsBetween is the number of months from a start to an end as a period, with a comma behind it; empty if they are not whole.
func monthsBetween(start, end time.Time) string {
	y, m, _ := start.Date()
	ey, em, _ := end.In(start.Location()).Date()
	by := Span{Months: (ey-y)*12 + int(em-m)}
	if by.From(start).Equal(end) {
		return by.String() + ", "
	}
	return ""
}

// endWant says what would be right in place of Rn/period/end, which does not say whether it happens at the ends of the intervals or at their
// starts: the same with a start, where one can be told.
func endWant(head, period, end string, n int64) string {
	const want = "the start and then the period, since a period and an end do not say whether it happens at the ends or at the starts"
	span, wrong := parseISOSpan(period)
	civil, at, m := parseCivil(end)
	if wrong.want != "" || m.want != "" || span.Time != 0 && strings.Contains(end, "[") || span.Months != 0 && civil.Day() > 28 {
		return want
	}
	if n == 0 {
		return want + ": " + head + "START/" + period + " until " + end
	}
	back := func(times int64) string {
		if times > maxDays || int64(span.Days)*times > maxDays || int64(span.Months)*times > maxMonths || span.Time != 0 && times > math.MaxInt64/int64(span.Time) {
			return ""
		}
		by := Span{Months: -int(times) * span.Months, Days: -int(times) * span.Days, Time: -time.Duration(times) * span.Time}
		start := by.From(civil)
		if start.IsZero() {
			return ""
		}
		return head + start.Format("2006-01-02T15:04:05.999999999") + end[at:] + "/" + period
	}
	ends, starts := back(n-1), back(n)
	if ends == "" || starts == "" {
		return want
	}
	return want + ": " + ends + " or " + starts
}

// intervalWant says what would be right in place of an interval that does not repeat, which is no instant; empty if the word is none.
func intervalWant(w string) string {
	from, until, _ := cutPeriod(w)
	if from == "" || until == "" || isRepeat(w) {
		return ""
	}
	start, noStart := parseInstant(from)
	end, noEnd := parseInstant(until)
	_, noSpan := parseISOSpan(until)
	switch {
	case noStart.want == "" && noEnd.want == "" && end.After(start):
		return `"at ` + from + `" for its start, "at ` + until + `" for its end, or what recurs between them: "every 1h from ` + from + " until " + until + `"`
	case noStart.want == "" && until[0] == 'P' && noSpan.want == "":
		return `"at ` + from + `" for its start, or R/` + w + " for again and again"
	case noEnd.want == "" && from[0] == 'P':
		return `"at ` + until + `", the end alone`
	}
	return ""
}

// repeatByCalendar makes the recurrence.
func repeatByCalendar(from string, span Span, n int64, work *effort) (Schedule, miss) {
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
		i := strings.IndexByte(from, '[')
		zone = from[i+1 : len(from)-1]
		z, m := loadZone(zone)
		if m.want != "" {
			return Schedule{}, m
		}
		if i > end { // an offset: the clocks there may show another time, or this one twice
			_, offset := at.In(z.loc).Zone()
			start = at.Add(time.Duration(offset) * time.Second)
			if !resolve(start, z).Equal(at) {
				return Schedule{}, miss{repeatAgain, end}
			}
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
		rule += ";COUNT=" + strconv.FormatInt(n, 10)
	}
	s := readRRule("DTSTART:"+start.Format("20060102T150405")+" RRULE:"+rule, work)
	if zone != "" {
		s = s.In(zone)
	}
	return s, miss{}
}
