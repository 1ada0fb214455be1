package schedule

import (
	"cmp"
	"fmt"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestWords(t *testing.T) {
	tests := []struct{ text, want string }{
		{"cron 0 9 * * mon-fri in Europe/Berlin", "at 09:00, Monday to Friday, in Europe/Berlin"},
		{"cron */15 * * * *", "every 15 minutes, in UTC"},
		{"cron * * * * *", "every minute, in UTC"},
		{"cron * * * * * *", "every second, in UTC"},
		{"cron */10 * * * * *", "every 10 seconds, in UTC"},
		{"cron 0 * * * *", "every hour at minute 0, in UTC"},
		{"cron 0 */2 * * *", "every 2 hours at minute 0, in UTC"},
		{"cron 5,50 */2 * * *", "every 2 hours at minutes 5 and 50, in UTC"},
		{"cron 30 3 1 * *", "at 03:30 on day 1 of the month, in UTC"},
		{"cron 0 0 * * 5L", "at 00:00 on the last Friday of the month, in UTC"},
		{"cron 0 0 * 1,6 5L", "at 00:00 on the last Friday of January and June, in UTC"},
		{"cron */7 9-17 * * *", "at every 7th minute from 0 to 56 of hours 9 to 17 every day, in UTC"},
		{"cron */15 9-17 * * *", "every 15 minutes during hours 9 to 17, in UTC"},
		{"cron */15 3 * * *", "every 15 minutes during hour 3, in UTC"},
		{"cron 0,30 3 * * *", "at 03:00 and 03:30 every day, in UTC"},
		{"cron 0,20,50 3 * * *", "at 03:00, 03:20 and 03:50 every day, in UTC"},
		{"cron 15 8-18 * * sat,sun", "every hour from 08:15 to 18:15 on Saturday and Sunday, in UTC"},
		{"cron 0 9-17/2 * * *", "every 2 hours from 09:00 to 17:00, in UTC"},
		{"cron 1,2,3,10,20,30,40 22-2 * * *", "at minutes 1 to 3, 10, 20, 30 and 40 of hours 0 to 2, 22 and 23 every day, in UTC"},
		{"cron 30 0 12 * * *", "at 12:00:30 every day, in UTC"},
		{"cron 59 59 23 * * *", "at 23:59:59 every day, in UTC"},
		{"cron 30 * * * * *", "at second 30 of every minute, in UTC"},
		{"cron 30 5 * * * *", "at second 30 of minute 5 of every hour, in UTC"},
		{"cron */5 30 3 * * *", "every 5 seconds during minute 30 of hour 3, in UTC"},
		{"cron 0 0 12 1 1 * 2027", "at 12:00 on day 1 of January, in 2027, in UTC"},
		{"cron 0 0 12 * * * 2027-2030,2050/5", "at 12:00 every day, in 2027 to 2030 and every 5th year from 2050 on, in UTC"},
		{"cron 0 9 * 12 *", "at 09:00 every day, in December, in UTC"},
		{"cron */5 * * nov-feb *", "every 5 minutes, in January, February, November and December, in UTC"},
		{"cron 0 9 * 12 fri-tue", "at 09:00 on Monday, Tuesday and Friday to Sunday, in December, in UTC"},
		{"cron 0 9 13 * fri", "at 09:00 on day 13 of the month or on Friday, in UTC"},
		{"cron 0 9 13 * fri days and", "at 09:00 on day 13 of the month, only where that is Friday, in UTC"},
		{"cron 0 9 */2 * 1,5L", "at 09:00 on every 2nd day from 1 to 31 of the month, only where that is Monday or the last Friday of the month, in UTC"},
		{"cron 0 9 1-31 * mon", "at 09:00 every day, in UTC"},
		{"cron 0 9 1-31 * mon days and", "at 09:00 on Monday, in UTC"},
		{"cron 0 9 13 * *", "at 09:00 on day 13 of the month, in UTC"},
		{"cron 0 9 */3 * *", "at 09:00 on every 3rd day from 1 to 31 of the month, in UTC"},
		{"cron 0 0 1,lw,l-3,15w * *", "at 00:00 on day 1, on the 3rd day before the last, on the last day from Monday to Friday and on the day from Monday to Friday nearest to day 15 of the month, in UTC"},
		{"cron 0 0 l,l-1w * *", "at 00:00 on the last day and on the day from Monday to Friday nearest to the 1st day before the last of the month, in UTC"},
		{"cron 0 0 * 1,6 mon#2,fri,tue#5", "at 00:00 on Friday, the 2nd Monday of the month and the 5th Tuesday of the month, in January and June, in UTC"},
		{"cron H 9 * * *", "at a minute that follows from the task's name, of hour 9, every day, in UTC"},
		{"cron H h * * *", "at a minute that follows from the task's name, of an hour that follows from the task's name, every day, in UTC"},
		{"cron H(0-29)/10,45 * * * *", "every hour at minute 45, and every 10th minute from 0 to 29, counted from one up to 9 that follows from the task's name, in UTC"},
		{"cron 0 0 H,5 2 *", "at 00:00 on day 5, and a day from 1 to 28 that follows from the task's name, of February, in UTC"},
		{"cron 0 0 H h H(1-5)", "at 00:00 on a day from 1 to 28 that follows from the task's name, of the month or on a day of the week from Monday to Friday that follows from the task's name, in a month that follows from the task's name, in UTC"},
		{"cron 30 2 * * * in Europe/Berlin gap skip fold both", "at 02:30 every day, in Europe/Berlin, left out where clocks are put forward over it, both times where clocks are put back over it"},
		{"cron 30 2 * * * in Europe/Berlin gap shift fold second", "at 02:30 every day, in Europe/Berlin, as much later as clocks are put forward over it, the second time where clocks are put back over it"},
		{"cron 30 * * * * in Europe/Berlin gap skip fold both", "every hour at minute 30, in Europe/Berlin"}, // does not pin the hour
		{"cron 0 0 30 2 *", "at 00:00 on day 30 of February, in UTC"},
		{
			"cron 0 9 * * mon-fri except (cron * * 25 12 *) except (at 2026-05-01) from 2026-01-01 until 2030-01-01 times 5 jitter 1m",
			"at 09:00, Monday to Friday, in UTC, not before 2026-01-01T00:00:00Z, except (on day 25 of December, in UTC), except (once, at 2026-05-01T00:00:00Z), " +
				"until 2030-01-01T00:00:00Z, 5 starts at most, delayed by a fixed time of less than 1 minute that follows from the task's name",
		},
		{"cron 0 * * * * except (cron * * * * sat,sun)", "every hour at minute 0, in UTC, except (on Saturday and Sunday, in UTC)"},
		{"cron 0 * * * * except (cron * * * * * * 2027)", "every hour at minute 0, in UTC, except (in 2027, in UTC)"},
		{"cron 0 * * * * except (cron 30 * * * *)", "every hour at minute 0, in UTC, except (every hour at minute 30, in UTC)"},
		{"(cron 0 9 * * 1-5 in Europe/Berlin) or (cron 0 12 * * sat)", "at 09:00, Monday to Friday, in Europe/Berlin; or at 12:00 on Saturday, in UTC"},
		{"(cron 0 9 * * 1-5) or (every 1h) until 2027-01-01", "(at 09:00, Monday to Friday, in UTC) or (every hour, counted from when it is accepted), until 2027-01-01T00:00:00Z"},
		{"(cron 0 9 * * 1-5) or (every 1h until 2027-01-01)", "(at 09:00, Monday to Friday, in UTC) or (every hour, counted from when it is accepted, until 2027-01-01T00:00:00Z)"},
		{"every 1h", "every hour, counted from when it is accepted"},
		{"every 1h30m times 1", "every 1 hour 30 minutes, counted from when it is accepted, 1 start at most"},
		{"every 1.25s from 2026-01-01", "every 1 second 250ms, first at 2026-01-01T00:00:00Z"},
		{"every 1m align 2000-01-01", "every minute, in phase with 2000-01-01T00:00:00Z"},
		{"every 1m align 2000-01-01 from 2026-01-01", "every minute, in phase with 2000-01-01T00:00:00Z, not before 2026-01-01T00:00:00Z"},
		{"every 1h from 2026-01-01 except (cron * 0-5 * * *)", "every hour, counted from 2026-01-01T00:00:00Z, except (every minute during hours 0 to 5, in UTC)"},
		{"pace 10s", "10 seconds after the end of each run, first 10 seconds after it is accepted"},
		{"pace-from-start 1h from 2026-01-01", "1 hour after the start of each run, first at 2026-01-01T00:00:00Z"},
		{"in 36h", "once, 36 hours after it is accepted"},
		{"in -5m", "once, as soon as it is accepted"},
		{"at 2026-12-24T17:00:00Z", "once, at 2026-12-24T17:00:00Z"},
	}
	for _, tt := range tests {
		s, err := Parse(tt.text)
		if err != nil {
			t.Errorf("Parse(%q): %v", tt.text, err)
			continue
		}
		if got := s.Words(); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.text, got, tt.want)
		}
	}
	if got := Cron("x").Words(); got != "" {
		t.Errorf("words of a schedule that is none: %q", got)
	}
}

// What each clause and each part of a rule adds to the words, and how the text of it is written.
func TestWords_OfEachClause(t *testing.T) {
	for _, tt := range []struct{ text, words, canonical string }{
		{"rrule FREQ=YEARLY;BYDAY=20MO,-1SU,TU", "every year on the 20th Monday of the year, Tuesday and the last Sunday of the year, in UTC", "rrule FREQ=YEARLY;BYDAY=20MO,TU,-1SU"},
		{"rrule FREQ=YEARLY;BYMONTH=3,4,5,9;BYDAY=1MO,-2TU", "every year on the 1st Monday and the 2nd to last Tuesday in March to May and September, in UTC", ""},
		{"rrule FREQ=MONTHLY;BYDAY=11MO,12MO,13MO", "every month on the 11th Monday, the 12th Monday and the 13th Monday, in UTC", ""},
		{"rrule FREQ=YEARLY;BYYEARDAY=1,2,3,11,21", "every year on the 1st, the 2nd, the 3rd, the 11th and the 21st of the year, in UTC", ""},
		{"rrule FREQ=YEARLY;BYYEARDAY=12,13,101,111,112,122", "every year on the 12th, the 13th, the 101st, the 111th, the 112th and the 122nd of the year, in UTC", ""},
		{"rrule FREQ=YEARLY;BYYEARDAY=1,2,3,4,5,6,-366", "every year on 7 days of the year, in UTC", ""},
		{"rrule FREQ=YEARLY;BYYEARDAY=-1,-2,-11,-366,366", "every year on the 366th, the last day, the 2nd to last day, the 11th to last day and the 366th to last day of the year, in UTC", "rrule FREQ=YEARLY;BYYEARDAY=366,-1,-2,-11,-366"},
		{"rrule FREQ=MONTHLY;BYMONTHDAY=-1,-2,-3", "every month on the last day of the month, the 2nd to last day of the month and the 3rd to last day of the month, in UTC", ""},
		{"rrule FREQ=MONTHLY;BYMONTHDAY=1,2,3,5,-3;BYDAY=MO,TU", "every month on days 1 to 3 and 5 and the 3rd to last day of the month, only where that is Monday or Tuesday, in UTC", ""},
		{"rrule FREQ=YEARLY;BYWEEKNO=1,2,3,53,-1,-3", "every year in week 1 to 3 and 53, the last week and the 3rd to last week of the year, in UTC", ""},
		{"rrule FREQ=YEARLY;BYEASTER=-1", "every year on 1 day before Easter Sunday, in UTC", ""},
		{"rrule FREQ=YEARLY;BYEASTER=-2,0,1,39", "every year on 2 days before Easter Sunday, Easter Sunday, 1 day after Easter Sunday and 39 days after Easter Sunday, in UTC", ""},
		{"rrule FREQ=HOURLY;INTERVAL=2;BYMINUTE=5;BYSECOND=7", "every 2 hours, at second 7 of minute 5, in UTC", ""},
		{"rrule FREQ=SECONDLY;INTERVAL=90;BYHOUR=3", "every 90 seconds, at hour 3, in UTC", ""},
		{"rrule FREQ=MINUTELY;BYHOUR=3,4;BYMINUTE=0", "every minute, at 03:00 and 04:00, in UTC", ""},
		{"rrule FREQ=DAILY;BYMINUTE=30", "every day, at minute 30, in UTC", ""},
		{"rrule FREQ=DAILY;BYHOUR=9,10;BYMINUTE=0,1,2,3", "every day, at minutes 0 to 3 of hours 9 and 10, in UTC", ""},
		{"rrule FREQ=DAILY;BYHOUR=9,10;BYMINUTE=0,1,2", "every day, at 09:00, 09:01, 09:02, 10:00, 10:01 and 10:02, in UTC", ""},
		{"rrule FREQ=DAILY;BYSECOND=5,6", "every day, at seconds 5 and 6, in UTC", ""},
		{"rrule FREQ=WEEKLY;INTERVAL=2;WKST=SA", "every 2 weeks, weeks beginning on Saturday, in UTC", ""},
		{"rrule FREQ=WEEKLY;BYDAY=MO;COUNT=1", "every week on Monday, 1 time in all, in UTC", "rrule FREQ=WEEKLY;COUNT=1;BYDAY=MO"},
		{"rrule FREQ=WEEKLY;BYDAY=MO,FR;BYSETPOS=2,-1", "every week on Monday and Friday, of these only the last and the 2nd of each week, in UTC", "rrule FREQ=WEEKLY;BYDAY=MO,FR;BYSETPOS=-1,2"},
		{"rrule FREQ=DAILY;BYHOUR=9,17;BYSETPOS=-2,1", "every day, at hours 9 and 17, of these only the 2nd to last and the 1st of each day, in UTC", ""},
		{"rrule FREQ=DAILY DTSTART;VALUE=DATE:20260101", "every day, counted from 2026-01-01, in UTC", ""},
		{"rrule FREQ=DAILY;UNTIL=20270101T000005Z DTSTART:20260101T000000Z", "every day, until 2027-01-01 00:00:05 UTC, counted from 2026-01-01 00:00 UTC, in UTC", ""},
		{"rrule RDATE:20260101T090000,20260102T090000,20260103T090000,20260104T090000", "at 2026-01-01 09:00, 2026-01-02 09:00, 2026-01-03 09:00 and 2026-01-04 09:00, in UTC", ""},
		{"rrule RDATE:20260101T090000,20260102T090000,20260103T090000,20260104T090000,20260105T090000", "at 2026-01-01 09:00, 2026-01-02 09:00, 2026-01-03 09:00, 2026-01-04 09:00 and 1 more time, in UTC", ""},
		{"rrule RDATE:20260101T090000,20260102T090000,20260103T090000,20260104T090000,20260105T090000,20260106T093015Z", "at 2026-01-01 09:00, 2026-01-02 09:00, 2026-01-03 09:00, 2026-01-04 09:00 and 2 more times, in UTC", ""},
		{"rrule RDATE;TZID=Asia/Tokyo:20260101T090000 DTSTART:20250101T090000", "at 2026-01-01 09:00 Asia/Tokyo, in UTC", "rrule DTSTART:20250101T090000 RDATE;TZID=Asia/Tokyo:20260101T090000"},
		{"rrule FREQ=DAILY FREQ=WEEKLY DTSTART:20260101T090000 EXRULE:FREQ=MONTHLY EXRULE:FREQ=YEARLY EXDATE:20260105T090000,20260106T090000", "every day; or every week, counted from 2026-01-01 09:00, but not (every month) nor (every year) nor at 2026-01-05 09:00 and 2026-01-06 09:00, in UTC", ""},
		{"rrule FREQ=HOURLY FREQ=DAILY;BYHOUR=3 gap skip in Europe/Berlin", "every hour; or every day, at hour 3, in Europe/Berlin, left out where clocks are put forward over it", "rrule FREQ=HOURLY FREQ=DAILY;BYHOUR=3 in Europe/Berlin gap skip"},
		{"rrule FREQ=HOURLY in Europe/Berlin gap skip", "every hour, in Europe/Berlin", ""},
		{"rrule RDATE:20260101T090000 in Europe/Berlin gap skip fold second", "at 2026-01-01 09:00, in Europe/Berlin, left out where clocks are put forward over it, the second time where clocks are put back over it", ""},
		{"rrule FREQ=HOURLY;BYHOUR=2 in Europe/Berlin gap shift fold both", "every hour, at hour 2, in Europe/Berlin, both times where clocks are put back over it", "rrule FREQ=HOURLY;BYHOUR=2 in Europe/Berlin fold both"},
		{"rrule FREQ=DAILY in Europe/Berlin gap after fold first", "every day, in Europe/Berlin, at the end of the gap where clocks are put forward over it", "rrule FREQ=DAILY in Europe/Berlin gap after"},
		{"(every 1h align 2026-01-01) or (cron 0 9 * * *)", "(every hour, in phase with 2026-01-01T00:00:00Z) or (at 09:00 every day, in UTC)", "(every 1h align 2026-01-01T00:00:00Z) or (cron 0 9 * * *)"},
		{"((cron 0 8 * * *) or (cron 0 9 * * *)) or (cron 0 10 * * *)", "(at 08:00 every day, in UTC; or at 09:00 every day, in UTC) or (at 10:00 every day, in UTC)", ""},
		{"(cron 0 9 * * *) or (cron 0 10 * * *) jitter 1m", "(at 09:00 every day, in UTC) or (at 10:00 every day, in UTC), delayed by a fixed time of less than 1 minute that follows from the task's name", ""},
		{"(cron 0 9 * * *) or (cron 0 10 * * *) from 2026-01-01", "(at 09:00 every day, in UTC) or (at 10:00 every day, in UTC), not before 2026-01-01T00:00:00Z", "(cron 0 9 * * *) or (cron 0 10 * * *) from 2026-01-01T00:00:00Z"},
		{"(cron 0 9 * * *) or (cron 0 10 * * *) times 2", "(at 09:00 every day, in UTC) or (at 10:00 every day, in UTC), 2 starts at most", ""},
		{"(cron 0 9 * * *) or (cron 0 10 * * *) until 2030-01-01", "(at 09:00 every day, in UTC) or (at 10:00 every day, in UTC), until 2030-01-01T00:00:00Z", "(cron 0 9 * * *) or (cron 0 10 * * *) until 2030-01-01T00:00:00Z"},
		{"(cron 0 9 * * *) or (cron 0 10 * * *) except (at 2026-01-01T09:00Z)", "(at 09:00 every day, in UTC) or (at 10:00 every day, in UTC), except (once, at 2026-01-01T09:00:00Z)", "(cron 0 9 * * *) or (cron 0 10 * * *) except (at 2026-01-01T09:00:00Z)"},
		{"(every 1h from 2026-01-01) or (cron 0 9 * * *)", "(every hour, first at 2026-01-01T00:00:00Z) or (at 09:00 every day, in UTC)", "(every 1h from 2026-01-01T00:00:00Z) or (cron 0 9 * * *)"},
		{"(cron 0 9 * * * except (at 2026-01-01T09:00Z)) or (every 1m)", "(at 09:00 every day, in UTC, except (once, at 2026-01-01T09:00:00Z)) or (every minute, counted from when it is accepted)", "(cron 0 9 * * * except (at 2026-01-01T09:00:00Z)) or (every 1m)"},
		{"cron 0 9 * * * except (cron * * * * * from 2026-01-01 until 2026-02-01)", "at 09:00 every day, in UTC, except (every day, in UTC, not before 2026-01-01T00:00:00Z, until 2026-02-01T00:00:00Z)", "cron 0 9 * * * except (cron * * * * * from 2026-01-01T00:00:00Z until 2026-02-01T00:00:00Z)"},
		{"cron 0 9 * * * except (calendar *-*-25)", "at 09:00 every day, in UTC, except (at 00:00 on day 25 of the month, in UTC)", "cron 0 9 * * * except (calendar *-*-25 00:00:00)"},
		{"cron 0 9 * * * except (calendar *-12-25 *:*)", "at 09:00 every day, in UTC, except (on day 25 of December, in UTC)", "cron 0 9 * * * except (calendar *-12-25 *:*:00)"},
		{"cron 0 9 * * * except (calendar *-12-25 *:*:*)", "at 09:00 every day, in UTC, except (on day 25 of December, in UTC)", ""},
		{"cron 0 9 * * * except (calendar *-12-25 *:*:30)", "at 09:00 every day, in UTC, except (at second 30 of every minute on day 25 of December, in UTC)", ""},
		{"cron 0 9 * * * except (calendar *-12-25 *:0)", "at 09:00 every day, in UTC, except (every hour at minute 0 on day 25 of December, in UTC)", "cron 0 9 * * * except (calendar *-12-25 *:00:00)"},
		{"cron 0 9 * * * except (calendar *-12-25 9:*)", "at 09:00 every day, in UTC, except (every minute during hour 9 on day 25 of December, in UTC)", "cron 0 9 * * * except (calendar *-12-25 09:*:00)"},
		{"cron 0 9 * * * except (calendar *-12-25 *:*:0.5)", "at 09:00 every day, in UTC, except (at second 0.5 of every minute on day 25 of December, in UTC)", "cron 0 9 * * * except (calendar *-12-25 *:*:00.500000)"},
		{"cron 0 9 * * * except (cron * * * 25 12 *)", "at 09:00 every day, in UTC, except (on day 25 of December, in UTC)", ""},
		{"cron 0 9 * * * except (cron 0 * * 25 12 *)", "at 09:00 every day, in UTC, except (every minute on day 25 of December, in UTC)", ""},
		{"cron 0 9 * * * except (cron * 9 25 12 *)", "at 09:00 every day, in UTC, except (every minute during hour 9 on day 25 of December, in UTC)", ""},
		{"cron 0 9 * * * in Europe/Berlin except (cron * * 25 12 * in Asia/Tokyo) except (rrule FREQ=YEARLY DTSTART:20260101T090000)", "at 09:00 every day, in Europe/Berlin, except (on day 25 of December, in Asia/Tokyo), except (every year, counted from 2026-01-01 09:00, in Europe/Berlin)", ""},
		{"every 1h1m1s", "every 1 hour 1 minute 1 second, counted from when it is accepted", ""},
		{"every 2h", "every 2 hours, counted from when it is accepted", ""},
		{"every 1m", "every minute, counted from when it is accepted", ""},
		{"every 1s", "every second, counted from when it is accepted", ""},
		{"every 2s", "every 2 seconds, counted from when it is accepted", ""},
		{"every 1ms", "every 1ms, counted from when it is accepted", ""},
		{"every 61m", "every 1 hour 1 minute, counted from when it is accepted", "every 1h1m"},
		{"pace 1h from 2026-01-01T00:00Z until 2027-01-01 times 1 jitter 90s", "1 hour after the end of each run, first at 2026-01-01T00:00:00Z, until 2027-01-01T00:00:00Z, 1 start at most, delayed by a fixed time of less than 1 minute 30 seconds that follows from the task's name", "pace 1h from 2026-01-01T00:00:00Z until 2027-01-01T00:00:00Z times 1 jitter 1m30s"},
		{"pace-from-start 1m", "1 minute after the start of each run, first 1 minute after it is accepted", ""},
		{"every 1h align 2026-01-01 from 2026-01-01 until 2027-01-01", "every hour, in phase with 2026-01-01T00:00:00Z, not before 2026-01-01T00:00:00Z, until 2027-01-01T00:00:00Z", "every 1h from 2026-01-01T00:00:00Z until 2027-01-01T00:00:00Z align 2026-01-01T00:00:00Z"},
		{"every 1h from 2026-01-01", "every hour, first at 2026-01-01T00:00:00Z", "every 1h from 2026-01-01T00:00:00Z"},
		{"in 0", "once, as soon as it is accepted", "in 0s"},
		{"in 1ns", "once, 1ns after it is accepted", ""},
		{"in 1h0m0.5s", "once, 1 hour 500ms after it is accepted", ""},
		{"at 2026-01-01T00:00:00.5Z", "once, at 2026-01-01T00:00:00.5Z", ""},
		{"calendar Mon *-*-* 9:00", "at 09:00 on Monday, in UTC", "calendar Mon *-*-* 09:00:00"},
		{"every 1h from 2026-01-01 align 2026-01-01 except (at 2027-01-01)", "every hour, in phase with 2026-01-01T00:00:00Z, not before 2026-01-01T00:00:00Z, except (once, at 2027-01-01T00:00:00Z)", "every 1h except (at 2027-01-01T00:00:00Z) from 2026-01-01T00:00:00Z align 2026-01-01T00:00:00Z"},
	} {
		s, err := Parse(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if got := s.Words(); got != tt.words {
			t.Errorf("%s:\n got %s\nwant %s", tt.text, got, tt.words)
		}
		if got := s.String(); got != cmp.Or(tt.canonical, tt.text) {
			t.Errorf("%s is written %s", tt.text, got)
		}
	}
}

// What sounds the same must be the same: expressions that differ in when they match have different words. Zones aside, since
// whether a rule pins the hour is not told.
func TestWordsTellApart(t *testing.T) {
	seen := map[string][2]string{} // by words: what matches, and the expression
	var times, dates []string
	for _, m := range []string{"0", "*", "30", "*/15", "*/7", "5/15", "0,30", "0-10", "1-59/2", "0,1,2,30-59/3", "*/40", "*/20,7", "0,2,4,6,8,10,14", "0-10/2"} {
		for _, h := range []string{"*", "9", "*/2", "*/5", "9-17", "9-17/2", "0,12", "0,12,23", "1-23/2", "22-2", "0,2,6", "0,2,4,6,10", "0-4/2"} {
			times = append(times, m+" "+h)
			for _, s := range []string{"*", "30", "*/10", "0,30", "1-59/7"} {
				times = append(times, s+" "+m+" "+h)
			}
		}
	}
	for _, dom := range []string{"*", "1-31", "1", "1,15", "*/2", "10-20", "l", "lw", "l-3", "15w", "l-2w,1"} {
		for _, month := range []string{"*", "2", "1-3", "*/5"} {
			for _, dow := range []string{"*", "0-6", "mon", "mon-fri", "sun,sat", "fri-tue", "*/2", "fril", "mon#2", "mon,fril", "mon,tue,thu", "mon-wed"} {
				dates = append(dates, dom+" "+month+" "+dow)
			}
		}
	}
	tell := func(text, what string) {
		words := Cron(text).Words()
		if had, ok := seen[words]; ok && had[0] != what {
			t.Errorf("%q and %q are not the same, and both are %q", text, had[1], words)
		}
		seen[words] = [2]string{what, text}
	}
	for _, text := range times {
		k := Cron(text + " * * *").more.cron
		tell(text+" * * *", fmt.Sprint(k.second, k.minute, k.hour))
	}
	for _, text := range dates {
		r, at := Cron("0 0 "+text).Bind("", year27), year27
		var b strings.Builder
		for range 400 {
			at = r.Next(at)
			fmt.Fprint(&b, at.Unix(), " ")
		}
		tell("0 0 "+text, b.String())
	}
	if len(seen) < 500 {
		t.Errorf("%d phrases only", len(seen))
	}
}

// Where H is, words hold whatever the name; and nothing that can be drawn breaks their form.
func TestWordsForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := aCalendar(1, false).Draw(t, "s")
		w := s.Words()
		for _, bad := range []string{"  ", " ,", ",,", "on ,", "of ,", "()", "%!"} {
			if strings.Contains(w, bad) {
				t.Fatalf("%s: %q in %q", s, bad, w)
			}
		}
		if strings.HasPrefix(w, " ") || strings.HasPrefix(w, ",") || strings.HasSuffix(w, " ") || strings.HasSuffix(w, ".") {
			t.Fatalf("%s: %q", s, w)
		}
	})
}

func TestWarnings(t *testing.T) {
	const (
		either = `day of month 13 and day of week fri are both restricted, and a day that matches either counts: add "days and" for days that match both`
		day31  = "day 31 is not in every month: it is left out in February, April, June, September and November"
	)
	tests := []struct {
		text string
		want []string
	}{
		{"cron 0 9 * * mon-fri in Europe/Berlin", nil},
		{"cron 30 2 * * * in Europe/Berlin", nil},
		{"every 1h", nil},
		{"in 5m", nil},
		{"cron 0 9 13 * fri", []string{either}},
		{"cron 15 0 9 13 * fri *", []string{either}},
		{"cron 0 9 13 * fri days and", nil},
		{"cron 0 9 */2 * fri days and", []string{"day */2 is counted anew each month: the last interval depends on how long the month is"}},
		{"cron */15 */6 * */3 *", nil},
		{"cron */7 * * * *", []string{"minute */7 is counted anew each hour: the last interval is 4 minutes, not 7"}},
		{"cron */40 * * * *", []string{"minute */40 is counted anew each hour: the last interval is 20 minutes, not 40"}},
		{"cron 0,40 * * * *", nil},
		{"cron 10-50/20 * * * *", nil},
		{"cron 0 9-17/3 * * *", nil},
		{"cron 0 1-23/2 * * *", nil},
		{"cron 3/7 * * * *", []string{"minute 3-59/7 is counted anew each hour: the last interval is 4 minutes, not 7"}},
		{"cron */25 */7 */5 * */5 */3", []string{
			"second */25 is counted anew each minute: the last interval is 10 seconds, not 25",
			"minute */7 is counted anew each hour: the last interval is 4 minutes, not 7",
			"hour */5 is counted anew each day: the last interval is 4 hours, not 5",
			"month */5 is counted anew each year: the last interval is 2 months, not 5",
			"day of the week */3 is counted anew each week: the last interval is 1 day, not 3",
		}},
		{"cron 0 0 31 * *", []string{day31}},
		{"cron 0 0 31W * *", []string{day31}},
		{"cron 0 0 31 jan,mar *", nil},
		{"cron 0 0 28-31 * *", nil}, // the end of the month
		{"cron 0 0 1-31 * *", nil},
		{"cron 0 0 29,30 2,3 *", []string{
			"day 29 is not in every month: it is left out in February but in leap years",
			"day 30 is not in every month: it is left out in February",
		}},
		{"cron 0 0 L-30 * *", []string{"the 30th day before the last is not in every month: it is left out in February, April, June, September and November"}},
		{"cron 0 0 * * fri#5", []string{`the 5th Friday is in some months only: the others are left out, unlike with "fril", the last one`}},
		{"cron * 3 * * *", []string{`it runs 60 times in each hour that it names: did you mean "cron 0 3 * * *"?`}},
		{"cron 0 * 3,12 * * *", []string{`it runs 60 times in each hour that it names: did you mean "cron 0 0 3,12 * * *"?`}},
		{"cron * * 3 * * *", []string{`it runs 3600 times in each hour that it names: did you mean "cron 0 0 3 * * *"?`}},
		{"cron * 30 3 * * *", []string{`it runs 60 times in each minute that it names: did you mean "cron 0 30 3 * * *"?`}},
		{"cron * 9-17 * * *", nil}, // may well be meant so
		{"cron * * 1 * *", nil},
		{"cron 0 0 30 2 *", []string{`"cron 0 0 30 2 *" never matches: no year has such a day`}},
		{"cron 0 9 * * * except (cron * * 25 12 *)", nil},
		{"cron 0 9 * * * except (cron * 9 1 * *)", nil},
		{"cron 0 9 * * * in Asia/Tokyo except (cron * * 25 12 * in Asia/Tokyo)", nil},
		{"every 1h except (cron * * 25 12 * in Asia/Tokyo)", nil},
		{"(cron 0 9 13 * fri) or (cron 0 12 13 * fri) or (cron 0 0 30 2 *)", []string{either, `"cron 0 0 30 2 *" never matches: no year has such a day`}},
	}
	for _, tt := range tests {
		s, err := Parse(tt.text)
		if err != nil {
			t.Errorf("Parse(%q): %v", tt.text, err)
			continue
		}
		if diff := gocmp.Diff(tt.want, s.Warnings()); diff != "" {
			t.Errorf("%s: -want +got\n%s", tt.text, diff)
		}
	}
	if got := Cron("x").Warnings(); got != nil {
		t.Errorf("warnings of a schedule that is none: %q", got)
	}
}

// What is warned of, whole, in each case and just beside it.
func TestWarnings_OfEachKind(t *testing.T) {
	const (
		day29    = "day 29 is not in every month: it is left out in February but in leap years"
		day30    = "day 30 is not in every month: it is left out in February"
		day31    = "day 31 is not in every month: it is left out in February, April, June, September and November"
		allWeek  = "BYWEEKNO without BYDAY is all seven days of the week: add BYDAY=MO, say, for one of them"
		noTimes  = "BYHOUR, BYMINUTE and BYSECOND mean nothing where DTSTART is a date"
		noStart  = "the start, 2026-01-31 09:00, does not match the rule, so that it is no occurrence"
		fifthMon = "the 5th Monday is in some months only: the others are left out, unlike with -1MO, the last one"
	)
	for text, want := range map[string][]string{
		"rrule FREQ=YEARLY;BYWEEKNO=20":                                                           {allWeek},
		"rrule FREQ=YEARLY;BYWEEKNO=-1":                                                           {allWeek},
		"rrule FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO":                                                  nil,
		"rrule FREQ=YEARLY;BYWEEKNO=20;BYMONTHDAY=15":                                             nil,
		"rrule FREQ=YEARLY;BYWEEKNO=20;BYMONTHDAY=-15":                                            nil,
		"rrule FREQ=YEARLY;BYWEEKNO=1;BYYEARDAY=1":                                                nil,
		"rrule FREQ=YEARLY;BYWEEKNO=1;BYYEARDAY=-365":                                             nil,
		"rrule FREQ=YEARLY;BYWEEKNO=16;BYEASTER=0":                                                nil,
		"rrule FREQ=YEARLY;BYWEEKNO=-53,20;BYMONTH=5":                                             {allWeek},
		"rrule FREQ=WEEKLY;BYWEEKNO=-1;BYDAY=MO":                                                  {"BYWEEKNO is for FREQ=YEARLY: with WEEKLY it leaves out the days of other weeks"},
		"rrule FREQ=DAILY;BYWEEKNO=20":                                                            {"BYWEEKNO is for FREQ=YEARLY: with DAILY it leaves out the days of other weeks"},
		"rrule FREQ=MONTHLY;BYMONTHDAY=28":                                                        nil,
		"rrule FREQ=MONTHLY;BYMONTHDAY=29":                                                        {day29},
		"rrule FREQ=MONTHLY;BYMONTHDAY=30":                                                        {day30},
		"rrule FREQ=MONTHLY;BYMONTHDAY=31":                                                        {day31},
		"rrule FREQ=MONTHLY;BYMONTHDAY=28,29":                                                     nil,
		"rrule FREQ=MONTHLY;BYMONTHDAY=28,29,30":                                                  nil,
		"rrule FREQ=MONTHLY;BYMONTHDAY=28,29,30,31":                                               nil,
		"rrule FREQ=MONTHLY;BYMONTHDAY=29,30,31":                                                  {day29, day30, day31},
		"rrule FREQ=MONTHLY;BYMONTHDAY=28,30":                                                     {day30},
		"rrule FREQ=MONTHLY;BYMONTHDAY=28,29,31":                                                  {day31},
		"rrule FREQ=MONTHLY;BYMONTHDAY=28,30,31":                                                  {day30, day31},
		"rrule FREQ=MONTHLY;BYMONTHDAY=-28":                                                       nil,
		"rrule FREQ=MONTHLY;BYMONTHDAY=-29":                                                       {"the 29th to last day is not in every month: it is left out in February but in leap years"},
		"rrule FREQ=MONTHLY;BYMONTHDAY=-30":                                                       {"the 30th to last day is not in every month: it is left out in February"},
		"rrule FREQ=MONTHLY;BYMONTHDAY=-31":                                                       {"the 31st to last day is not in every month: it is left out in February, April, June, September and November"},
		"rrule FREQ=MONTHLY;BYMONTH=1,3,4;BYMONTHDAY=31":                                          {"day 31 is not in every month: it is left out in April"},
		"rrule FREQ=MONTHLY;BYMONTH=1,3;BYMONTHDAY=31":                                            nil,
		"rrule FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=29":                                              {day29},
		"rrule FREQ=MONTHLY;BYMONTH=1;BYMONTHDAY=29,30,31":                                        nil,
		"rrule FREQ=MONTHLY;BYDAY=5MO":                                                            {fifthMon},
		"rrule FREQ=MONTHLY;BYDAY=5MO,5SU,-5TU,4WE":                                               {"the 5th Sunday is in some months only: the others are left out, unlike with -1SU, the last one", fifthMon},
		"rrule FREQ=YEARLY;BYDAY=5MO":                                                             nil,
		"rrule FREQ=YEARLY;BYMONTH=3;BYDAY=5MO":                                                   {fifthMon},
		"rrule FREQ=YEARLY;BYMONTHDAY=31":                                                         {day31},
		"rrule DTSTART:20260131 RRULE:FREQ=DAILY;BYHOUR=9":                                        {noTimes},
		"rrule DTSTART:20260131 RRULE:FREQ=DAILY;BYMINUTE=9":                                      {noTimes},
		"rrule DTSTART:20260131 RRULE:FREQ=DAILY;BYSECOND=9":                                      {noTimes},
		"rrule DTSTART:20260131 RRULE:FREQ=DAILY":                                                 nil,
		"rrule DTSTART:20260131T000000 RRULE:FREQ=DAILY;BYHOUR=0":                                 nil,
		"rrule DTSTART:20260131T090000 RRULE:FREQ=WEEKLY;BYDAY=MO":                                {noStart},
		"rrule DTSTART:20260131T090000 RRULE:FREQ=WEEKLY;BYDAY=MO RRULE:FREQ=WEEKLY;BYDAY=SA":     nil,
		"rrule DTSTART:20260131T090000 RRULE:FREQ=WEEKLY;BYDAY=MO RDATE:20260201T090000":          nil,
		"rrule DTSTART:20260131T090000 RDATE:20260201T090000":                                     nil,
		"rrule DTSTART:20260131T090000Z RRULE:FREQ=WEEKLY;BYDAY=MO":                               {"the start, 2026-01-31 09:00 UTC, does not match the rule, so that it is no occurrence"},
		"rrule DTSTART:20260131 RRULE:FREQ=WEEKLY;BYDAY=MO":                                       {"the start, 2026-01-31, does not match the rule, so that it is no occurrence"},
		"rrule DTSTART:20260131T090000 RRULE:FREQ=WEEKLY;BYDAY=MO EXDATE:20260202T090000":         {noStart},
		"rrule DTSTART:20260131T090000 RRULE:FREQ=DAILY;BYHOUR=10":                                {noStart},
		"rrule DTSTART:20260131T090000 RRULE:FREQ=MINUTELY;BYHOUR=9":                              nil,
		"rrule DTSTART:20260131T090000 RRULE:FREQ=MONTHLY":                                        {day31},
		"rrule DTSTART:20260130T090000 RRULE:FREQ=MONTHLY":                                        {day30},
		"rrule DTSTART:20260129T090000 RRULE:FREQ=MONTHLY":                                        {day29},
		"rrule DTSTART:20260128T090000 RRULE:FREQ=MONTHLY":                                        nil,
		"rrule DTSTART:20240229T090000 RRULE:FREQ=YEARLY":                                         {day29},
		"rrule DTSTART:20260131T090000 RRULE:FREQ=YEARLY":                                         nil,
		"rrule DTSTART:20260131T090000 RRULE:FREQ=YEARLY;BYMONTH=1,4":                             {"day 31 is not in every month: it is left out in April"},
		"rrule FREQ=MONTHLY":                                                                      nil,
		"rrule FREQ=YEARLY":                                                                       nil,
		"rrule FREQ=MONTHLY;BYMONTHDAY=31 RDATE:20260102T090000 RRULE:FREQ=MONTHLY;BYMONTHDAY=31": {day31},
		"rrule FREQ=MONTHLY;BYDAY=1MO;BYMONTHDAY=29":                                              {`"rrule FREQ=MONTHLY;BYMONTHDAY=29;BYDAY=1MO" never matches: there is no such day, or none from its start to its end`},
		"rrule FREQ=MONTHLY;BYMONTHDAY=31 EXDATE:20260131T090000":                                 {day31},
		"cron 6/9 * * * *":                                                                        {"minute 6-51/9 is counted anew each hour: the last interval is 15 minutes, not 9"},
		"cron 6-58/9 * * * *":                                                                     {"minute 6-51/9 is counted anew each hour: the last interval is 15 minutes, not 9"},
		"cron 5/15 * * * *":                                                                       nil,
		"cron 0/50 * * * *":                                                                       nil,
		"cron */31 * * * *":                                                                       {"minute */31 is counted anew each hour: the last interval is 29 minutes, not 31"},
		"cron 0-40/40 * * * *":                                                                    nil,
		"cron 0,20 * * * *":                                                                       nil,
		"cron 1,2,3 * * * *":                                                                      nil,
		"cron 0,13,26,39 * * * *":                                                                 nil,
		"cron 0 0,5,10,15,20 * * *":                                                               {"hour 0-20/5 is counted anew each day: the last interval is 4 hours, not 5"},
		"cron 0 0 1,11,21,31 * *":                                                                 {"day 1-31/10 is counted anew each month: the last interval depends on how long the month is", day31},
		"cron 0 0 */5 * *":                                                                        {"day */5 is counted anew each month: the last interval depends on how long the month is"},
		"cron 0 0 2-31/5 * *":                                                                     {"day 2-27/5 is counted anew each month: the last interval depends on how long the month is"},
		"cron 0 0 1 1,6,11 *":                                                                     nil,
		"cron 0 0 1 */5 *":                                                                        {"month */5 is counted anew each year: the last interval is 2 months, not 5"},
		"cron 0 0 1 2/4 *":                                                                        nil,
		"cron 0 0 * * */2":                                                                        {"day of the week */2 is counted anew each week: the last interval is 1 day, not 2"},
		"cron 0 0 * * 1/3":                                                                        nil,
		"cron 0 0 * * 0,3,6":                                                                      nil,
		"cron */7 */5 * * *":                                                                      {"minute */7 is counted anew each hour: the last interval is 4 minutes, not 7", "hour */5 is counted anew each day: the last interval is 4 hours, not 5"},
		"cron 0 0 0 1 1 * 2026/3":                                                                 nil,
		"cron 0 0 30 * *":                                                                         {day30},
		"cron 0 0 29 2 *":                                                                         {day29},
		"cron 0 0 29 2,4 *":                                                                       {day29},
		"cron 0 0 L-28 * *":                                                                       {"the 28th day before the last is not in every month: it is left out in February but in leap years"},
		"cron 0 0 L-27 * *":                                                                       nil,
		"cron 0 0 L-29 * *":                                                                       {"the 29th day before the last is not in every month: it is left out in February"},
		"cron 0 0 L-29W * *":                                                                      {"the 29th day before the last is not in every month: it is left out in February"},
		"cron 0 0 29W * *":                                                                        {day29},
		"cron 0 0 30W * *":                                                                        {day30},
		"cron 0 0 28W * *":                                                                        nil,
		"cron 0 0 29,30,31 * *":                                                                   {day29, day30, day31},
		"cron 0 0 28,29,30,31 * *":                                                                nil,
		"cron 0 0 28,29 * *":                                                                      nil,
		"cron 0 0 28,30 * *":                                                                      {day30},
		"cron 0 0 31 1 *":                                                                         nil,
		"cron 0 0 31 4,5 *":                                                                       {"day 31 is not in every month: it is left out in April"},
		"cron 0 0 * * mon#5,tue#5":                                                                {`the 5th Monday is in some months only: the others are left out, unlike with "monl", the last one`, `the 5th Tuesday is in some months only: the others are left out, unlike with "tuel", the last one`},
		"cron 0 0 * * mon#5,mon":                                                                  nil,
		"cron 0 0 * * mon#4":                                                                      nil,
		"cron * 3 * * *":                                                                          {`it runs 60 times in each hour that it names: did you mean "cron 0 3 * * *"?`},
		"cron * 3,4 * * *":                                                                        nil,
		"cron * 3,5 * * *":                                                                        {`it runs 60 times in each hour that it names: did you mean "cron 0 3,5 * * *"?`},
		"cron * */2 * * *":                                                                        nil,
		"cron * * * * *":                                                                          nil,
		"cron * 23 * * *":                                                                         {`it runs 60 times in each hour that it names: did you mean "cron 0 23 * * *"?`},
		"cron * 0,23 * * *":                                                                       {`it runs 60 times in each hour that it names: did you mean "cron 0 0,23 * * *"?`},
		"cron * * 3 * * *":                                                                        {`it runs 3600 times in each hour that it names: did you mean "cron 0 0 3 * * *"?`},
		"cron * 0 3 * * *":                                                                        {`it runs 60 times in each minute that it names: did you mean "cron 0 0 3 * * *"?`},
		"cron * 0,1 3 * * *":                                                                      nil,
		"cron * 0 * * * *":                                                                        {`it runs 60 times in each minute that it names: did you mean "cron 0 0 * * * *"?`},
		"cron * 5 3-5 * * *":                                                                      {`it runs 60 times in each minute that it names: did you mean "cron 0 5 3-5 * * *"?`},
		"cron 0 * 3 * * *":                                                                        {`it runs 60 times in each hour that it names: did you mean "cron 0 0 3 * * *"?`},
		"cron 0,30 * 3 * * *":                                                                     nil,
		"cron 30 * 3 * * *":                                                                       {`it runs 60 times in each hour that it names: did you mean "cron 30 0 3 * * *"?`},
		"cron * * 3-5 * * *":                                                                      nil,
		"cron 0 9 * * * except (cron */7 3 * * *)":                                                nil,
		"cron 0 9 * * * except (cron 0 9 31 * *)":                                                 {day31},
		"every 1h except (cron 0 0 13 * fri)":                                                     {`day of month 13 and day of week fri are both restricted, and a day that matches either counts: add "days and" for days that match both`},
		"cron 0 0 30 2 fri":                                                                       {`day of month 30 and day of week fri are both restricted, and a day that matches either counts: add "days and" for days that match both`, day30},
		"(cron 0 0 30 2 *) or (cron */7 * * * *)":                                                 {`"cron 0 0 30 2 *" never matches: no year has such a day`, "minute */7 is counted anew each hour: the last interval is 4 minutes, not 7"},
		"cron H/7 * * * *":                                                                        nil,
		"cron H 3 * * *":                                                                          nil,
		"cron * H * * *":                                                                          {`it runs 60 times in each hour that it names: did you mean "cron 0 h * * *"?`},
	} {
		s, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if diff := gocmp.Diff(want, s.Warnings()); diff != "" {
			t.Errorf("%s: -want +got\n%s", text, diff)
		}
	}
}
