package schedule_test

import (
	"fmt"
	"time"

	"github.com/dulyhq/duly/schedule"
)

// Every working day at nine in Berlin, which is an hour earlier in UTC from the end of March on.
func ExampleCron() {
	r := schedule.Cron("0 9 * * mon-fri").In("Europe/Berlin").Bind("report", time.Time{})
	at := time.Date(2026, 3, 27, 12, 0, 0, 0, time.UTC)
	for range 2 {
		at = r.Next(at)
		fmt.Println(at)
	}
	fmt.Println(r.Prev(at))
	// Output:
	// 2026-03-30 07:00:00 +0000 UTC
	// 2026-03-31 07:00:00 +0000 UTC
	// 2026-03-30 07:00:00 +0000 UTC
}

// The last Monday of May, as a timer of systemd says it.
func ExampleCalendar() {
	s := schedule.Calendar("Mon *-05~07/1 8:00 Europe/Berlin")
	fmt.Println(s)
	fmt.Println(s.Bind("", time.Time{}).Next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)))
	// Output:
	// calendar Mon *-05~07/1 08:00:00 in Europe/Berlin
	// 2026-05-25 06:00:00 +0000 UTC
}

// The last Friday of every month, but for one.
func ExampleRRule() {
	s := schedule.RRule("DTSTART;TZID=Europe/Berlin:20260130T090000\nRRULE:FREQ=MONTHLY;BYDAY=-1FR\nEXDATE;TZID=Europe/Berlin:20260227T090000")
	fmt.Println(s)
	fmt.Println(s.Bind("", time.Time{}).Next(time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)))
	// Output:
	// rrule FREQ=MONTHLY;BYDAY=-1FR DTSTART:20260130T090000 EXDATE:20260227T090000 in Europe/Berlin
	// 2026-03-27 08:00:00 +0000 UTC
}

// Half past two does not exist on the last Sunday of March, and comes twice on that of October.
func ExampleSchedule_DST() {
	berlin, _ := time.LoadLocation("Europe/Berlin")
	s := schedule.Cron("30 2 29 3 *").In("Europe/Berlin")
	for _, s := range []schedule.Schedule{s, s.DST(schedule.GapSkip, schedule.FoldFirst), s.DST(schedule.GapShift, schedule.FoldFirst)} {
		at := s.Bind("", time.Time{}).Next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
		fmt.Println(s, "->", at.In(berlin).Format(time.RFC3339))
	}
	// Output:
	// cron 30 2 29 3 * in Europe/Berlin -> 2026-03-29T03:00:00+02:00
	// cron 30 2 29 3 * in Europe/Berlin gap skip -> 2027-03-29T02:30:00+02:00
	// cron 30 2 29 3 * in Europe/Berlin gap shift -> 2026-03-29T03:30:00+02:00
}

// Holidays are another schedule. A preview tells what they leave out.
func ExampleSchedule_Except() {
	s := schedule.Cron("0 9 * * mon-fri").Except(schedule.Cron("* * 25 12 *"))
	from := time.Date(2026, 12, 24, 0, 0, 0, 0, time.UTC)
	n := 0
	for o := range s.Bind("report", from).Preview(from) {
		fmt.Printf("%s %q\n", o.At.Format("Mon 2 Jan 15:04"), o.Marks)
		if n++; n == 3 {
			break
		}
	}
	// Output:
	// Thu 24 Dec 09:00 ""
	// Fri 25 Dec 09:00 "excluded"
	// Mon 28 Dec 09:00 ""
}

// A union fires when any of its members does.
func ExampleUnion() {
	s := schedule.Union(schedule.Cron("0 9 * * mon-fri"), schedule.Cron("0 12 * * sat")).Until(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	fmt.Println(s)
	fmt.Println(s.Words())
	// Output:
	// (cron 0 9 * * mon-fri) or (cron 0 12 * * sat) until 2030-01-01T00:00:00Z
	// (at 09:00, Monday to Friday, in UTC) or (at 12:00 on Saturday, in UTC), until 2030-01-01T00:00:00Z
}

// What a rule means, in words, and what is odd about it.
func ExampleSchedule_Warnings() {
	s := schedule.Cron("*/7 9 13 * fri")
	fmt.Println(s.Words())
	for _, w := range s.Warnings() {
		fmt.Println("-", w)
	}
	// Output:
	// at every 7th minute from 0 to 56 of hour 9 on day 13 of the month or on Friday, in UTC
	// - day of month 13 and day of week fri are both restricted, and a day that matches either counts: add "days and" for days that match both
	// - minute */7 is counted anew each hour: the last interval is 4 minutes, not 7
}
