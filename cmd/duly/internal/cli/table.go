package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly/schedule"
)

// table is the answer for eyes. Distances are from now, or from the instant that was asked for.
func (a *answer) table(asked bool) string {
	w := &strings.Builder{}
	fmt.Fprintln(w, a.Canonical)
	if a.Words != "" {
		fmt.Fprintln(w, a.Words)
	}
	fmt.Fprintf(w, "zone %s (zone data %s)\n", a.Zone, schedule.TZData())
	if asked {
		fmt.Fprintf(w, "distances from %s\n", a.local(a.from))
	}
	fmt.Fprintln(w)
	var rows [][]string
	before := a.from
	for _, o := range a.list {
		row := a.row(o)
		if note := a.shift(before, o.Due); row[len(row)-1] == "" {
			row[len(row)-1] = note
		}
		rows = append(rows, row)
		before = o.Due
	}
	align(w, rows)
	switch {
	case a.Never:
		fmt.Fprintf(w, "  never: there is none after %s\n", a.local(a.from))
	case len(rows) == 0:
		fmt.Fprintln(w, "  none in this time; there are later ones")
	case a.ended:
		fmt.Fprintln(w, "  then never again")
	}
	for _, text := range a.Warnings {
		fmt.Fprintf(w, "warning: %s\n", text)
	}
	return w.String()
}

// row is one line of the table: weekday, date, time of day, offset, the zone's abbreviation, distance, marks in words.
func (a *answer) row(o schedule.Occurrence) []string {
	t := o.Due.In(a.loc)
	clock := t.Format("15:04:05")
	if t.Nanosecond() != 0 {
		clock = t.Format("15:04:05.000")
	}
	abbreviation, offset := t.Zone()
	if strings.ContainsAny(abbreviation[:min(1, len(abbreviation))], "+-") {
		abbreviation = "" // a zone without one is named by its offset
	}
	return []string{t.Format("Mon"), t.Format("2006-01-02"), clock, offsetText(offset), abbreviation, away(a.from, o.Due), a.marks(o)}
}

// offsetText is an offset from UTC, with seconds where it has some.
func offsetText(seconds int) string {
	sign := '+'
	if seconds < 0 {
		sign, seconds = '-', -seconds
	}
	text := fmt.Sprintf("%c%02d:%02d", sign, seconds/3600, seconds/60%60)
	if seconds%60 != 0 {
		text += fmt.Sprintf(":%02d", seconds%60)
	}
	return text
}

// marks says in words what is special about an occurrence.
func (a *answer) marks(o schedule.Occurrence) string {
	var words []string
	if o.Marks.Has(schedule.MarkGap) {
		words = append(words, "moved"+a.change(o.At, ": clocks go from %s to %s"))
	}
	if o.Marks.Has(schedule.MarkFold) {
		words = append(words, "second time"+a.change(o.At, ": clocks went back from %s to %s"))
	}
	if o.Marks.Has(schedule.MarkJitter) {
		words = append(words, "jitter "+spanText(o.Due.Sub(o.At)))
	}
	if o.Marks.Has(schedule.MarkExcluded) {
		words = append(words, "left out, does not run")
	}
	return strings.Join(words, "; ")
}

// change says what the clocks of the zone did when they were last changed before t. It is empty where they were not, as in
// another zone than the schedule's.
func (a *answer) change(t time.Time, format string) string {
	start, _ := t.In(a.loc).ZoneBounds()
	if start.IsZero() || t.Sub(start) > 24*time.Hour {
		return ""
	}
	_, before := start.Add(-1).In(a.loc).Zone()
	layout := "15:04"
	old := start.In(time.FixedZone("", before))
	if old.Second() != 0 || start.In(a.loc).Second() != 0 {
		layout = "15:04:05"
	}
	if old.YearDay() != start.In(a.loc).YearDay() {
		layout = "2006-01-02 " + layout
	}
	return fmt.Sprintf(format, old.Format(layout), start.In(a.loc).Format(layout))
}

// shift says how the clocks of the zone were changed from one instant to the next; empty if they show the same offset.
func (a *answer) shift(from, to time.Time) string {
	_, before := from.In(a.loc).Zone()
	_, after := to.In(a.loc).Zone()
	switch d := time.Duration(after-before) * time.Second; {
	case d > 0:
		return "clocks were put forward by " + spanText(d)
	case d < 0:
		return "clocks were put back by " + spanText(-d)
	}
	return ""
}

// away is the distance from one instant to a later one, in its two largest units.
func away(from, to time.Time) string {
	if years := to.Year() - from.Year(); years > 2 {
		if from.AddDate(years, 0, 0).After(to) {
			years--
		}
		days := int(to.Sub(from.AddDate(years, 0, 0)).Hours() / 24)
		return "in " + joinUnits(strconv.Itoa(years)+"y", days, "d")
	}
	d := to.Sub(from)
	if d == 0 {
		return "at once"
	}
	return "in " + spanText(d)
}

// spanText is a duration in its two largest units, rounded down.
func spanText(d time.Duration) string {
	day := 24 * time.Hour
	switch {
	case d >= day:
		return joinUnits(strconv.Itoa(int(d/day))+"d", int(d%day/time.Hour), "h")
	case d >= time.Hour:
		return joinUnits(strconv.Itoa(int(d/time.Hour))+"h", int(d%time.Hour/time.Minute), "m")
	case d >= time.Minute:
		return joinUnits(strconv.Itoa(int(d/time.Minute))+"m", int(d%time.Minute/time.Second), "s")
	case d >= time.Second:
		return strconv.Itoa(int(d/time.Second)) + "s"
	case d >= time.Millisecond:
		return d.Truncate(time.Millisecond).String()
	}
	return d.String()
}

func joinUnits(large string, small int, unit string) string {
	if small == 0 {
		return large
	}
	return large + " " + strconv.Itoa(small) + unit
}

// align prints rows in columns as wide as their widest cell; a column that is empty in all rows takes no room.
func align(w *strings.Builder, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell)) // all ASCII
		}
	}
	for _, row := range rows {
		gap := 0 // blanks that are due before the next cell, so that none end a line
		for i, cell := range row {
			if widths[i] == 0 {
				continue
			}
			if gap += 2; cell != "" {
				fmt.Fprintf(w, "%*s%s", gap, "", cell)
				gap = 0
			}
			gap += widths[i] - len(cell)
		}
		w.WriteByte('\n')
	}
}
