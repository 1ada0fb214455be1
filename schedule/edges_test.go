package schedule

import (
	"math"
	"strings"
	"testing"
	"time"
)

// TestEdges_Refused: what is refused, at a word that no other test has there.
func TestEdges_Refused(t *testing.T) {
	long := "Europe/" + strings.Repeat("x", 60)
	rule := func(start string) Schedule { return RRule("DTSTART:" + start + "\nRRULE:FREQ=DAILY") }
	for _, tt := range []struct {
		what string
		s    Schedule
		want string
	}{
		{"a weekday's range with two ends, in the older form", Calendar("Mon..Fri- 9:00"), `a range has two ends`},
		{"jitter within a union, however little", Union(Cron("0 9 * * *").Jitter(1), At(instantOf(t, "2026-01-01"))), `times and jitter behind the whole`},
		{"what has occurrences in one century only", Cron("0 9 * * *").Except(mustSchedule(t, "cron * * * * * from 2010-01-01")), `leave an occurrence now and then`},
		{"year 0", rule("00000101T090000"), `DTSTART "00000101T090000": want a date or a time such as`},
		{"month 0", rule("20260001T090000"), `DTSTART "20260001T090000": want a date or a time such as`},
		{"month 13", rule("20261301T090000"), `DTSTART "20261301T090000": want a date or a time such as`},
		{"day 0", rule("20260100T090000"), `DTSTART "20260100T090000": want a date or a time such as`},
		{"day 32", rule("20260132T090000"), `DTSTART "20260132T090000": want a date or a time such as`},
		{"hour 24", rule("20260101T240000"), `DTSTART "20260101T240000": want a date or a time such as`},
		{"minute 60", rule("20260101T096000"), `DTSTART "20260101T096000": want a date or a time such as`},
		{"second 61", rule("20260101T090061"), `DTSTART "20260101T090061": want a date or a time such as`},
		{"the second of the times of a week that has one", RRule("DTSTART:20260101T090000\nRRULE:FREQ=WEEKLY;BYHOUR=9;BYSETPOS=2"), `a date that comes at some time`},
		{"the eighth of the days of a week", RRule("RRULE:FREQ=WEEKLY;BYHOUR=9;BYSETPOS=8"), `a date that comes at some time`},
	} {
		if err := tt.s.Err(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.what, err, tt.want)
		}
	}
	for _, last := range []string{"00010101T000000", "20261231T235959", "20260101T235960"} {
		if err := rule(last).Err(); err != nil {
			t.Errorf("%s: %v", last, err)
		}
	}
	if z := Cron("61 * * * *").Zone(); z != "" {
		t.Errorf("the zone of what is broken is %q", z)
	}
	_, err := Parse("cron 0 9 * * * in " + long)
	if err == nil || !strings.Contains(err.Error(), `in "`+long[:48]+`...": want a zone`) {
		t.Errorf("a long zone that is none: %v", err)
	}
}

// TestRRule_FarCountInYears: a count that ends some cycles of 400 years later.
func TestRRule_FarCountInYears(t *testing.T) {
	for rule, want := range map[string]string{
		"FREQ=YEARLY;COUNT=1000":                           "2999-01-01T09:00:00Z",
		"FREQ=YEARLY;COUNT=400":                            "2399-01-01T09:00:00Z",
		"FREQ=YEARLY;COUNT=401":                            "2400-01-01T09:00:00Z",
		"FREQ=MONTHLY;BYMONTHDAY=29;BYMONTH=2;COUNT=195":   "2800-02-29T09:00:00Z",
		"FREQ=YEARLY;INTERVAL=3;COUNT=900":                 "4697-01-01T09:00:00Z",
		"FREQ=WEEKLY;COUNT=104358":                         "4000-01-15T09:00:00Z",
		"FREQ=DAILY;COUNT=1000000":                         "4737-11-27T09:00:00Z",
		"FREQ=DAILY;BYHOUR=9,21;COUNT=1000001":             "3368-12-14T09:00:00Z",
		"FREQ=DAILY;INTERVAL=2;BYMONTH=1,2,3;COUNT=100000": "4216-01-22T09:00:00Z",
	} {
		start := time.Date(2000, 1, 1, 9, 0, 0, 0, time.UTC)
		s := RRule("DTSTART:20000101T090000Z\nRRULE:" + rule)
		if err := s.Err(); err != nil {
			t.Errorf("%s: %v", rule, err)
			continue
		}
		if got := s.Bind("", start).Prev(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)).Format(time.RFC3339); got != want {
			t.Errorf("the last of %s is %s, want %s", rule, got, want)
		}
	}
}

// TestRRule_WordsOfSeconds: seconds are told where there are any, and times of day as a list while they are few.
func TestRRule_WordsOfSeconds(t *testing.T) {
	for rule, want := range map[string]string{
		"RRULE:FREQ=DAILY;BYHOUR=9,10;BYMINUTE=0,30;BYSECOND=0,30": "every day, at seconds 0 and 30 of minutes 0 and 30 of hours 9 and 10, counted from 2026-01-01 09:00:07 UTC, in UTC",
		"RRULE:FREQ=DAILY;BYHOUR=9,10,11;BYMINUTE=0;BYSECOND=0,30": "every day, at 09:00:00, 09:00:30, 10:00:00, 10:00:30, 11:00:00 and 11:00:30, counted from 2026-01-01 09:00:07 UTC, in UTC",
		"RRULE:FREQ=DAILY;BYHOUR=9,10;BYMINUTE=0,30":               "every day, at 09:00, 09:30, 10:00 and 10:30, counted from 2026-01-01 09:00:07 UTC, in UTC",
		"RRULE:FREQ=DAILY\nEXDATE:20260103T090007Z":                "every day, counted from 2026-01-01 09:00:07 UTC, but not at 2026-01-03 09:00:07 UTC, in UTC",
		"RRULE:FREQ=DAILY\nEXDATE:20260103T090000Z":                "every day, counted from 2026-01-01 09:00:07 UTC, but not at 2026-01-03 09:00 UTC, in UTC",
	} {
		s := RRule("DTSTART:20260101T090007Z\n" + rule)
		if got := s.Words(); got != want {
			t.Errorf("%s: %q, want %q", rule, got, want)
		}
	}
}

// TestCalendar_NothingBeforeTheFirst: before the only occurrence there is none, whatever second is asked about.
func TestCalendar_NothingBeforeTheFirst(t *testing.T) {
	s := Calendar("2026-01-01 00:00:00.5")
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	for _, at := range []time.Time{time.Unix(0, 0), time.Unix(0, 600_000_000), time.Unix(1, 0), time.Date(2026, 1, 1, 0, 0, 0, 500_000_000, time.UTC)} {
		if got := s.Bind("", time.Unix(-100, 0)).Prev(at); !got.IsZero() {
			t.Errorf("before %v: %v", at, got)
		}
	}
}

// TestEdges_EndsOfTime: readings of the year 0 and of 10000 count for nothing, though zones have some within the years 1 to 9999 of UTC; and
// what comes before an instant, after it and how often on either side of it is the same thing.
func TestEdges_EndsOfTime(t *testing.T) {
	for _, tt := range []around{
		{"cron 0 20 * * * in America/New_York", "0001-01-01T00:00:00.000000001Z", "never", "0001-01-02T00:56:02Z", 0, 3652058},
		{"cron 0 20 * * * in America/New_York", "0001-01-01T02:00:00Z", "never", "0001-01-02T00:56:02Z", 0, 3652058},
		{"cron 0 20 * * * in America/New_York", "0001-01-02T02:00:00Z", "0001-01-02T00:56:02Z", "0001-01-03T00:56:02Z", 1, 3652057},
		{"cron 0 20 31 12 * in America/New_York", "0001-06-01T02:00:00Z", "never", "0002-01-01T00:56:02Z", 0, 9998},
		{"cron 0 0 * * * in Asia/Tokyo", "0001-01-01T02:00:00Z", "never", "0001-01-01T14:41:01Z", 0, 3652058},
		{"cron 0 0 * * *", "0001-01-01T12:00:00Z", "never", "0001-01-02T00:00:00Z", 0, 3652058},
		{"cron 0 0 * * *", "0001-01-02T00:00:00Z", "never", "0001-01-03T00:00:00Z", 1, 3652057},
		{"cron 0 0 * * *", "0001-03-01T00:00:00Z", "0001-02-28T00:00:00Z", "0001-03-02T00:00:00Z", 59, 3651999},
		{"cron 0 0 1 1 *", "0001-03-01T00:00:00Z", "never", "0002-01-01T00:00:00Z", 0, 9998},
		{"cron 0 0 1 6 *", "0001-03-01T00:00:00Z", "never", "0001-06-01T00:00:00Z", 0, 9999},
		{"cron 0 0 31 12 *", "0002-01-01T00:00:00Z", "0001-12-31T00:00:00Z", "0002-12-31T00:00:00Z", 1, 9998},
		{"cron 0 0 * * * in Asia/Tokyo", "9999-12-31T00:00:00Z", "9999-12-30T15:00:00Z", "never", 3652058, 0},
		{"cron 0 8 * * * in Asia/Tokyo", "9999-12-31T00:00:00Z", "9999-12-30T23:00:00Z", "never", 3652058, 0},
		{"cron 0 10 * * * in Asia/Tokyo", "9999-12-31T00:00:00Z", "9999-12-30T01:00:00Z", "9999-12-31T01:00:00Z", 3652058, 1},
		{"cron 0 0 * * * in Asia/Tokyo", "9999-12-31T23:59:59Z", "9999-12-30T15:00:00Z", "never", 3652058, 0},
		{"cron 0 18 * * * in America/New_York", "9999-12-31T22:00:00Z", "9999-12-30T23:00:00Z", "9999-12-31T23:00:00Z", 3652058, 1},
		{"cron 0 20 * * * in America/New_York", "9999-12-31T23:00:00Z", "9999-12-31T01:00:00Z", "never", 3652058, 0},
		{"cron 59 23 * * *", "9999-12-31T00:00:00Z", "9999-12-30T23:59:00Z", "9999-12-31T23:59:00Z", 3652058, 1},
		{"cron 0 0 1 * *", "9999-12-15T00:00:00Z", "9999-12-01T00:00:00Z", "never", 119987, 0},
		{"cron 0 0 1 1 *", "9999-12-15T00:00:00Z", "9999-01-01T00:00:00Z", "never", 9998, 0},
		{"cron 0 0 0 1 1 * 1970", "1969-06-01T00:00:00Z", "never", "1970-01-01T00:00:00Z", 0, 1},
		{"cron 0 0 0 1 1 * 1970,1972", "1971-06-01T00:00:00Z", "1970-01-01T00:00:00Z", "1972-01-01T00:00:00Z", 1, 1},
		{"cron 59 59 23 31 12 * 9999", "9999-06-01T00:00:00Z", "never", "9999-12-31T23:59:59Z", 0, 1},
		{"cron 59 59 23 31 12 * 9998,9999", "9999-06-01T00:00:00Z", "9998-12-31T23:59:59Z", "9999-12-31T23:59:59Z", 1, 1},
		{"calendar 0:0:0.5", "0001-01-01T00:00:00.25Z", "never", "0001-01-01T00:00:00.5Z", 0, 10001},
		{"calendar 0:0:0.5", "0001-01-01T00:00:00.75Z", "0001-01-01T00:00:00.5Z", "0001-01-02T00:00:00.5Z", 1, 10001},
		{"calendar 23:59:59.5", "9999-12-31T23:59:59.25Z", "9999-12-30T23:59:59.5Z", "9999-12-31T23:59:59.5Z", 10001, 1},
		{"calendar 23:59:59.5", "9999-12-31T23:59:59.75Z", "9999-12-31T23:59:59.5Z", "never", 10001, 0},
	} {
		tt.check(t)
	}
}

// TestEdges_Grids: a grid goes on in both directions from the instant that it is aligned to, to the nanosecond.
func TestEdges_Grids(t *testing.T) {
	for _, tt := range []around{
		{"every 1h from 2026-01-01 align 2030-01-01", "2026-01-01T00:00:00Z", "never", "2026-01-01T01:00:00Z", 1, 69898631},
		{"every 1h from 2026-01-01 align 2030-01-01T00:20Z", "2026-01-01T00:20:00Z", "never", "2026-01-01T01:20:00Z", 1, 69898631},
		{"every 1h from 2026-01-01 align 2030-01-01T00:20Z", "2026-01-01T00:20:00.000000001Z", "2026-01-01T00:20:00Z", "2026-01-01T01:20:00Z", 1, 69898631},
		{"every 1h from 2026-01-01 align 2030-01-01T00:20Z", "2026-01-01T00:19:59.999999999Z", "never", "2026-01-01T00:20:00Z", 0, 69898632},
		{"every 1h from 2026-01-01 align 2020-01-01T00:20Z", "2026-01-01T00:20:00Z", "never", "2026-01-01T01:20:00Z", 1, 69898631},
		{"every 1h from 2026-01-01 align 2020-01-01T00:20Z", "2026-01-01T00:20:00.000000001Z", "2026-01-01T00:20:00Z", "2026-01-01T01:20:00Z", 1, 69898631},
		{"every 7m from 2026-01-01 align 0001-01-02", "2026-01-01T00:20:00Z", "2026-01-01T00:18:00Z", "2026-01-01T00:25:00Z", 3, 599131128},
		{"every 7m from 2026-01-01 align 9999-12-31", "2026-01-01T00:20:00Z", "2026-01-01T00:19:00Z", "2026-01-01T00:26:00Z", 3, 599131128},
		{"every 7m from 2026-01-01 align 9999-12-31", "2026-01-01T00:00:00Z", "never", "2026-01-01T00:05:00Z", 0, 599131131},
		{"every 1ns from 2026-01-01 except (calendar *:*:0.5)", "2026-01-01T00:00:00.499999999Z", "2026-01-01T00:00:00.499999998Z", "2026-01-01T00:00:00.500000001Z", 10001, 10001},
		{"every 1ns from 2026-01-01 except (calendar *:*:0.5)", "2026-01-01T00:00:00.500000001Z", "2026-01-01T00:00:00.499999999Z", "2026-01-01T00:00:00.500000002Z", 10001, 10001},
		{"every 1ns from 0001-01-02", "2026-01-01T00:00:00Z", "2025-12-31T23:59:59.999999999Z", "2026-01-01T00:00:00.000000001Z", math.MaxInt64, math.MaxInt64},
		{"every 2562047h47m16.854775807s from 0001-01-02", "2026-01-01T00:00:00Z", "1754-08-31T22:43:41.128654842Z", "2046-12-10T22:30:57.983430649Z", 7, 28},
		{"every 2562047h47m16.854775807s from 2026-01-01 align 9999-12-31", "2026-01-01T00:00:00Z", "never", "2108-07-08T05:43:24.921053211Z", 0, 28},
	} {
		tt.check(t)
	}
}

// around is what a rule has on either side of an instant: what comes before it, what after it, and how often.
type around struct {
	rule, at, prev, next string
	before, after        int64
}

func (want around) check(t *testing.T) {
	t.Helper()
	at, r := instantOf(t, want.at), mustSchedule(t, want.rule).Bind("", time.Time{})
	show := func(at time.Time) string {
		if at.IsZero() {
			return "never"
		}
		return timeValue(at)
	}
	if got := (around{want.rule, want.at, show(r.Prev(at)), show(r.Next(at)), r.Count(time.Time{}, at), r.Count(at, lastInstant())}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}
