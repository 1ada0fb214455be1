package crontab

import (
	"slices"
	"time"

	"github.com/dulyhq/duly/schedule"
)

// remark warns of what a line may not be meant to do.
func (r *reader) remark(e *Entry, w *when) {
	s := e.Schedule
	if len(w.fields) > 1 {
		days, week := w.fields[dayOfMonth], w.fields[dayOfWeek]
		if !starred(days.text) && !starred(week.text) {
			r.warn(days.at, "day of month %s and day of week %s are both restricted: it runs on days that match either, here as with cron",
				quote(days.text), quote(week.text))
			s = s.Days(schedule.DaysAnd) // of the rest: its warnings are the same, but for that one
		}
	}
	if !s.Never() {
		for _, text := range s.Warnings() {
			r.warn(w.at, "%s", text)
		}
	}
	if len(w.fields) > 1 && !starred(e.hour) {
		r.daylight(e, w)
	}
}

func starred(field string) bool { return field[0] == '*' || field[0] == '?' }

// Changes are when the clocks of a zone are changed within a year.
type changes struct {
	loc             *time.Location
	forward, behind []change
}

type change struct {
	at time.Time
	by time.Duration // not negative
}

func (r *reader) changesOf(zone string) *changes {
	c := r.changes[zone]
	if c != nil {
		return c
	}
	c = &changes{}
	r.changes[zone] = c
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return c // a schedule in it would have been refused
	}
	c.loc = loc
	until := r.o.Now.AddDate(1, 0, 0)
	for t := r.o.Now; ; {
		_, end := t.In(loc).ZoneBounds()
		if end.IsZero() || end.After(until) {
			return c
		}
		_, before := end.Add(-1).In(loc).Zone()
		_, after := end.In(loc).Zone()
		switch by := time.Duration(after-before) * time.Second; {
		case by > 0:
			c.forward = append(c.forward, change{end, by})
		case by < 0:
			c.behind = append(c.behind, change{end, -by})
		}
		t = end
	}
}

// daylight warns of a line that names its hours, and one of them is skipped or repeated within a year.
func (r *reader) daylight(e *Entry, w *when) {
	c := r.changesOf(e.zone)
	rule := e.Schedule.Bind(base(e, ""), r.o.Now)
	gap, fold := "", "" // what cron does otherwise, for which such a line has no fixed time
	if w.fields[minute].text[0] == '*' {
		gap, fold = "; cron leaves it out, since the minutes begin with *", "; cron runs it both times, since the minutes begin with *"
	}
	clock := func(t time.Time) string { return t.In(c.loc).Format("15:04 -07:00") }
	day := func(t time.Time) string { return t.In(c.loc).Format(time.DateOnly) }
	at := func(from time.Time) (o schedule.Occurrence) {
		for o = range rule.Preview(from) {
			break
		}
		return o
	}
	if i := slices.IndexFunc(c.forward, func(x change) bool {
		o := at(x.at)
		return o.At.Equal(x.at) && o.Marks.Has(schedule.MarkGap)
	}); i >= 0 {
		t := c.forward[i].at
		r.warn(w.fields[hour].at, "on %s the clocks of %s skip a time that is named: it runs once behind the gap then, at %s%s", day(t), e.zone, clock(t), gap)
	}
	if i := slices.IndexFunc(c.behind, func(x change) bool {
		o := at(x.at.Add(-x.by))
		return !o.At.IsZero() && o.At.Before(x.at)
	}); i >= 0 {
		t := c.behind[i].at
		first := at(t.Add(-c.behind[i].by)).At
		r.warn(w.fields[hour].at, "on %s the clocks of %s repeat a time that is named: it runs the first time, at %s, and not the second%s",
			day(t), e.zone, clock(first), fold)
	}
}
