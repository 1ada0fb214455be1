package when

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dulyhq/duly/schedule"
)

// instants are all instants at which the clocks of a zone show a time: one as a rule, none where they are put forward over it, two where
// they are put back.
func instants(year, month, day, hour, minute, sec int, loc *time.Location) []time.Time {
	shown := time.Date(year, time.Month(month), day, hour, minute, sec, 0, time.UTC)
	var all []time.Time
	// A zone's clocks are not changed twice within two days, so the offsets on either side of any change are among these.
	for _, near := range []time.Duration{-24 * time.Hour, 0, 24 * time.Hour} {
		_, offset := shown.Add(near).In(loc).Zone()
		t := shown.Add(-time.Duration(offset) * time.Second).In(loc)
		if _, there := t.Zone(); there == offset && !slices.ContainsFunc(all, t.Equal) {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, time.Time.Compare)
	return all
}

// A date is one day of the calendar.
type date struct {
	year  int
	month time.Month
	day   int
}

func (r *reader) date(days int) date {
	y, m, d := addDays(r.now.In(r.loc), days)
	return date{y, m, d}
}

func (d date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.year, d.month, d.day) }

// at are the instants at the text's time of day, and so many hours later, on a date.
func (r *reader) at(d date, hours int) []time.Time {
	at := instants(d.year, int(d.month), d.day, r.clock.hour+hours, r.clock.min, r.clock.sec, r.loc)
	for i := range at {
		at[i] = at[i].Add(time.Duration(r.clock.nsec))
	}
	return at
}

// ahead are those of at that are after now, or all if the past may be named.
func (r *reader) ahead(d date, hours int) []time.Time {
	if r.past && r.saysDate() {
		return r.at(d, hours)
	}
	return slices.DeleteFunc(r.at(d, hours), func(t time.Time) bool { return !t.After(r.now) })
}

// saysDate says whether the text names one date, whenever it is read or as seen from today.
func (r *reader) saysDate() bool { return r.day.form == dated || r.day.form == relative }

// resolve returns the instant that was read.
func (r *reader) resolve() (time.Time, error) {
	if !r.exact.IsZero() {
		return r.exact, nil
	}
	dates, why := r.dates()
	if !r.clock.said {
		return time.Time{}, r.timeless(dates)
	}
	if r.clock.midnight {
		return r.midnight(dates, why)
	}
	if r.day.form == noDay {
		return r.nextClock()
	}
	if why != "" {
		var at []time.Time
		for _, d := range dates {
			at = append(at, r.near(d, 0)...)
		}
		if e := r.fail(why, at...); len(e.Readings) > 0 {
			return time.Time{}, e
		}
		return time.Time{}, r.fail(why + ", and that has passed")
	}
	return r.on(dates[0])
}

// dates are the days that the text may mean, with the reason if there are several.
func (r *reader) dates() (all []date, why string) {
	today := r.now.In(r.loc).Weekday()
	switch d := r.day; d.form {
	case noDay:
		return []date{r.date(0)}, ""
	case relative:
		return []date{r.date(d.days)}, ""
	case weekday:
		days := int(d.weekday-today+7) % 7
		if days == 0 {
			return []date{r.date(0), r.date(7)}, "today is a " + strings.ToLower(today.String())
		}
		return []date{r.date(days)}, ""
	case nextWeekday:
		days := int(d.weekday-today+7) % 7
		if days == 0 {
			return []date{r.date(7)}, ""
		}
		// A week begins on monday. A day that comes in this one already is as much the next as that of the next week.
		if sinceMonday := int(today+6) % 7; sinceMonday+days < 7 {
			return []date{r.date(days), r.date(days + 7)}, "next may be that of this week or that of the next"
		}
		return []date{r.date(days)}, ""
	case monthsOn:
		y, m, day := r.now.In(r.loc).Date()
		y, m, day = schedule.Span{Months: d.month}.From(time.Date(y, m, day, 12, 0, 0, 0, time.UTC)).Date()
		return []date{{y, m, day}}, ""
	case severalDates:
		return d.dates, "its digits make more than one date"
	case dated:
		return []date{{d.year, time.Month(d.month), d.date}}, ""
	case yearly:
		return []date{r.comes(d.month, d.date)}, ""
	case twoDates:
		all = []date{{d.year, time.Month(d.month), d.date}, {d.year, time.Month(d.date), d.month}}
		if d.year == 0 {
			all = []date{r.comes(d.month, d.date), r.comes(d.date, d.month)}
		}
		return all, "either number may be the month"
	}
	return nil, ""
}

// comes is the next such day, of this year or a later one. One that is today is meant if its time is still ahead.
func (r *reader) comes(month, day int) date {
	now := r.now.In(r.loc)
	for year := now.Year(); ; year++ {
		d := date{year, time.Month(month), day}
		// At most eight years lie between two 29 Februaries.
		if _, m, _ := time.Date(year, d.month, day, 12, 0, 0, 0, time.UTC).Date(); m != d.month {
			continue
		}
		if d != r.date(0) && time.Date(year, d.month, day, 12, 0, 0, 0, r.loc).After(now) || d == r.date(0) && (!r.clock.said || r.clock.midnight || r.comesYet(d)) {
			return d
		}
	}
}

// comesYet says whether the text's time of day is still ahead on a date, or is in a gap that is.
func (r *reader) comesYet(d date) bool {
	return len(r.ahead(d, 0)) > 0 || len(r.at(d, 0)) == 0 && len(r.shifted(d, 0)) > 0
}

// near are the instants of at, or what comes near them where the clocks skip the time.
func (r *reader) near(d date, hours int) []time.Time {
	if at := r.at(d, hours); len(at) > 0 {
		return at
	}
	return r.shifted(d, hours)
}

// timeless is the error for a day without a time of day.
func (r *reader) timeless(dates []date) error {
	now := r.now.In(r.loc)
	var at []time.Time
	for _, d := range dates {
		at = append(at, r.at(d, 0)...) // its beginning
		at = append(at, instants(d.year, int(d.month), d.day, now.Hour(), now.Minute(), 0, r.loc)...)
	}
	if hour, minute := r.day.year/100, r.day.year%100; r.day.loose && hour < 24 && minute < 60 {
		r.clock = clock{said: true, hour: hour, min: minute} // dec 24 1800, which is as good a time as a year
		at = append(at, r.at(r.comes(r.day.month, r.day.date), 0)...)
	}
	return r.fail("the time of day is missing", at...)
}

// midnight resolves the word: alone it is the next one; of a day it may be the beginning or the end.
func (r *reader) midnight(dates []date, why string) (time.Time, error) {
	var at []time.Time
	for _, d := range dates {
		if r.day.form == noDay {
			at = append(append(at, r.at(d, 0)...), r.at(d, 24)...)
			return r.single(r.date(1), slices.DeleteFunc(at, func(t time.Time) bool { return !t.After(r.now) }))
		}
		at = append(append(at, r.near(d, 0)...), r.near(d, 24)...)
	}
	if why == "" {
		why = r.clock.written + " may be the beginning or the end of the day"
	}
	e := r.fail(why, at...)
	switch len(e.Readings) {
	case 0:
		return time.Time{}, r.fail("it has passed")
	case 1:
		at := e.Readings[0].At
		if h, m, s := at.In(r.loc).Clock(); h == 0 && m == 0 && s == 0 {
			return at, nil
		}
		return time.Time{}, r.fail("the clocks skip that midnight", at)
	}
	return time.Time{}, e
}

// nextClock resolves a time of day alone.
func (r *reader) nextClock() (time.Time, error) {
	today, tomorrow := r.date(0), r.date(1)
	if r.comesYet(today) {
		return r.single(today, r.ahead(today, 0))
	}
	if !r.clock.halved {
		return r.single(tomorrow, r.at(tomorrow, 0))
	}
	other := 12
	if r.clock.hour == 12 {
		other = -12
	}
	at := append(r.at(tomorrow, 0), r.ahead(today, other)...)
	if len(r.ahead(today, other)) == 0 {
		at = append(at, r.at(tomorrow, other)...)
	}
	return time.Time{}, r.fail(r.clock.written+" has passed today, and may be in the morning or in the afternoon", at...)
}

// on resolves the time of day on one date.
func (r *reader) on(d date) (time.Time, error) {
	at := r.at(d, 0)
	if len(at) > 0 && len(r.ahead(d, 0)) == 0 || len(at) == 0 && len(r.shifted(d, 0)) == 0 {
		var later []time.Time
		switch r.day.form {
		case relative:
			later = r.at(r.date(1), 0)
			if r.clock.halved && r.clock.hour < 12 {
				later = append(later, r.at(d, 12)...)
			}
		case dated:
			later = r.at(r.comes(int(d.month), d.day), 0)
		default:
		}
		return time.Time{}, r.fail("it has passed", later...)
	}
	return r.single(d, r.ahead(d, 0))
}

// shifted are, for a time that the clocks skip, the instant at which they do and the one that is as much later as the time is; none if
// that has passed.
func (r *reader) shifted(d date, hours int) []time.Time {
	shown := time.Date(d.year, d.month, d.day, r.clock.hour+hours, r.clock.min, r.clock.sec, 0, time.UTC)
	_, before := shown.Add(-24 * time.Hour).In(r.loc).Zone()
	late := shown.Add(-time.Duration(before) * time.Second).In(r.loc)
	change, _ := late.ZoneBounds()
	if change.IsZero() || !change.After(r.now) && !r.past {
		return nil
	}
	return []time.Time{change, late}
}

// single returns the one instant at a time on a date, of those that are ahead, or says why there is none or more than one.
func (r *reader) single(d date, at []time.Time) (time.Time, error) {
	switch len(at) {
	case 1:
		return at[0], nil
	case 0:
		shifted := r.shifted(d, 0)
		if len(shifted) == 0 {
			return time.Time{}, r.fail("it has passed")
		}
		_, before := shifted[0].Add(-1).In(r.loc).Zone()
		old := shifted[0].In(time.FixedZone("", before))
		return time.Time{}, r.fail(fmt.Sprintf("%s does not exist on %s: clocks go from %s to %s",
			r.clock.written, d, old.Format("15:04"), shifted[0].In(r.loc).Format("15:04")), shifted...)
	}
	return time.Time{}, r.fail(fmt.Sprintf("%s comes twice on %s: clocks are put back", r.clock.written, d), at...)
}
