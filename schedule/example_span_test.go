package schedule_test

import (
	"fmt"
	"time"

	"github.com/dulyhq/duly/schedule"
)

// A length is read as Go, systemd or ISO 8601 write it, and printed as ISO 8601 does.
func ExampleParseSpan() {
	for _, text := range []string{"1h30m", "2h 30min", "3 days and 12 hours", "P1Y2M3DT4H5M6.7S", "7"} {
		s, err := schedule.ParseSpan(text)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(s)
	}
	// Output:
	// PT1H30M
	// PT2H30M
	// P3DT12H
	// P1Y2M3DT4H5M6.7S
	// schedule: at byte 1: span "7": want a unit behind 7: 7s are seconds
}

// Months are those of the calendar: the day is the last one of a month that has no such day.
func ExampleSpan_From() {
	start := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for _, text := range []string{"1 month", "2 months", "-P1M", "30 days"} {
		s, err := schedule.ParseSpan(text)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(s.From(start).Format(time.RFC3339))
	}
	// Output:
	// 2026-02-28T12:00:00Z
	// 2026-03-31T12:00:00Z
	// 2025-12-31T12:00:00Z
	// 2026-03-02T12:00:00Z
}

// A repeating interval of ISO 8601 is a schedule; its months are clamped, too.
func ExampleParse_repeatingInterval() {
	s, err := schedule.Parse("R3/2026-01-31T09:00[Europe/Berlin]/P1M")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s)
	for o := range s.Bind("", time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)).Preview(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) {
		fmt.Println(o.At.UTC().Format(time.RFC3339))
	}
	// Output:
	// rrule FREQ=MONTHLY;COUNT=3;BYMONTHDAY=28,29,30,31;BYSETPOS=-1 DTSTART:20260131T090000 in Europe/Berlin
	// 2026-01-31T08:00:00Z
	// 2026-02-28T08:00:00Z
	// 2026-03-31T07:00:00Z
}
