package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// The rules of row 13 that are no cron expressions: recurrences of iCalendar and calendar lines of systemd.

var frequencies = []string{"YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY"}

// begunBefore is how long before the instant asked from a recurrence begins at most: a package that goes through all occurrences from the
// start on has some thousands to go through.
var begunBefore = map[string]time.Duration{
	"YEARLY": 20 * 365 * 24 * time.Hour, "MONTHLY": 5 * 365 * 24 * time.Hour, "WEEKLY": 3 * 365 * 24 * time.Hour, "DAILY": 2 * 365 * 24 * time.Hour,
	"HOURLY": 60 * 24 * time.Hour, "MINUTELY": 24 * time.Hour, "SECONDLY": time.Hour,
}

var rareRecurrences = []string{
	"FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "FREQ=MONTHLY;BYMONTHDAY=29;BYMONTH=2;BYDAY=MO", "FREQ=YEARLY;BYWEEKNO=53;BYDAY=MO;INTERVAL=3",
	"FREQ=DAILY;INTERVAL=140;BYDAY=MO", "FREQ=HOURLY;INTERVAL=23;BYHOUR=1;BYMONTHDAY=31;BYDAY=SU", "FREQ=MINUTELY;INTERVAL=1441;BYHOUR=5;BYMINUTE=5",
	"FREQ=SECONDLY;INTERVAL=7;BYMONTH=2;BYMONTHDAY=29", "FREQ=WEEKLY;INTERVAL=20;BYMONTH=2;BYDAY=MO", "FREQ=YEARLY;BYYEARDAY=366;BYDAY=SU",
	"FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", "FREQ=DAILY;BYHOUR=2;BYMINUTE=30", "FREQ=SECONDLY;INTERVAL=1000003;BYHOUR=0",
}

// recurrence makes up a rule, and the reading of the clock at which it begins.
func recurrence(r *rand.Rand, rare bool, c *scheduleCase) {
	if rare {
		c.expr, c.start = rareRecurrences[r.IntN(len(rareRecurrences))], time.Unix(r.Int64N(366*86400), 0).UTC().Truncate(time.Minute)
		return
	}
	freq := frequencies[r.IntN(len(frequencies))]
	parts := []string{"FREQ=" + freq}
	add := func(of int, format string, arg func() any) {
		if r.IntN(of) == 0 {
			parts = append(parts, fmt.Sprintf(format, arg()))
		}
	}
	list := func(lo, hi int) func() any {
		return func() any {
			items := make([]string, 1+r.IntN(3))
			for i := range items {
				items[i] = strconv.Itoa(lo + i*((hi-lo)/3) + r.IntN((hi-lo)/3))
			}
			return strings.Join(items, ",")
		}
	}
	add(3, "INTERVAL=%d", func() any { return 2 + r.IntN(4) })
	add(4, "BYMONTH=%s", list(1, 12))
	if freq != "WEEKLY" {
		add(4, "BYMONTHDAY=%s", list(1, 31))
	}
	add(3, "BYDAY=%s", func() any {
		days := []string{"MO", "TU,TH", "SA,SU", "MO,TU,WE,TH,FR"}
		if freq == "YEARLY" || freq == "MONTHLY" {
			days = append(days, "1MO", "-1FR", "2TU,4TH")
		}
		return days[r.IntN(len(days))]
	})
	add(3, "BYHOUR=%s", list(0, 23))
	add(3, "BYMINUTE=%s", list(0, 59))
	if len(parts) > 1 && !strings.HasPrefix(parts[len(parts)-1], "INTERVAL") {
		add(6, "BYSETPOS=%s", func() any { return []string{"1", "-1", "1,2"}[r.IntN(3)] })
	}
	c.expr = strings.Join(parts, ";")
	c.start = c.from.Add(-time.Duration(r.Int64N(int64(begunBefore[freq])))).Truncate(time.Minute)
}

// calendarLine makes up a calendar line of systemd.
func calendarLine(r *rand.Rand) string {
	field := func(lo, hi int) string {
		a := lo + r.IntN(hi-lo+1)
		switch r.IntN(7) {
		case 0, 1, 2:
			return "*"
		case 3:
			return fmt.Sprintf("%d/%d", lo, 1+r.IntN((hi-lo)/2))
		case 4:
			if b := lo + r.IntN(hi-lo+1); a != b {
				return fmt.Sprintf("%d..%d", min(a, b), max(a, b))
			}
		case 5:
			return fmt.Sprintf("%d,%d", a, lo+r.IntN(hi-lo+1))
		}
		return strconv.Itoa(a)
	}
	line := []string{"", "", "Mon ", "Mon..Fri ", "Sat,Sun ", "Wed,Fri..Sun "}[r.IntN(6)]
	day := "-" + field(1, 28)
	if r.IntN(4) == 0 {
		day = []string{"~01", "~03", "~07/1", "-31", "-29"}[r.IntN(5)]
	}
	second := []string{"00", "00", "0/15", "30", "0/20"}[r.IntN(5)]
	return line + "*-" + field(1, 12) + day + " " + field(0, 23) + ":" + field(0, 59) + ":" + second
}
