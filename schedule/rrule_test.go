package schedule_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/schedule"
)

// occurrencesOf lists the first n occurrences of a task that was accepted at an instant, as the zone's clock shows them.
func occurrencesOf(t *testing.T, s schedule.Schedule, accepted string, n int) (list []string) {
	t.Helper()
	if err := s.Err(); err != nil {
		t.Fatalf("%v", err)
	}
	loc := mustZone(t, s.Zone())
	r := s.Bind("x", mustTime(t, accepted))
	for at := r.First(); !at.IsZero() && len(list) < n; at = r.Next(at) {
		list = append(list, at.In(loc).Format("2006-01-02 15:04:05 -07"))
	}
	return list
}

// Texts, what they print as, and the first occurrences of what was accepted on 1 January 2026, at 12:30:15 and a half in UTC.
func TestRRule(t *testing.T) {
	const accepted = "2026-01-01T12:30:15.5Z"
	for _, tt := range []struct{ text, canonical, want string }{
		// The start is the instant of acceptance, which is no occurrence itself.
		{"rrule FREQ=DAILY", "", "2026-01-02 12:30:15 +00, 2026-01-03 12:30:15 +00"},
		{"rrule FREQ=MONTHLY;BYDAY=-1FR", "", "2026-01-30 12:30:15 +00, 2026-02-27 12:30:15 +00"},
		{"rrule FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=9;BYMINUTE=0;BYSECOND=0 in Europe/Berlin", "", "2026-01-30 09:00:00 +01, 2026-02-27 09:00:00 +01"},
		{"rrule FREQ=HOURLY;INTERVAL=6;COUNT=2", "rrule FREQ=HOURLY;COUNT=2;INTERVAL=6", "2026-01-01 18:30:15 +00, 2026-01-02 00:30:15 +00"},
		{"rrule FREQ=SECONDLY", "", "2026-01-01 12:30:16 +00, 2026-01-01 12:30:17 +00"},
		// The start is what from says, which is an occurrence if it matches.
		{"rrule FREQ=MONTHLY;COUNT=2 from 2026-01-31T08:00:00Z", "", "2026-01-31 08:00:00 +00, 2026-03-31 08:00:00 +00"},
		{"rrule FREQ=DAILY in Europe/Berlin from 2026-03-28T09:00[Europe/Berlin]", "rrule FREQ=DAILY in Europe/Berlin from 2026-03-28T08:00:00Z", "2026-03-28 09:00:00 +01, 2026-03-29 09:00:00 +02"},
		// The start is DTSTART; what was before acceptance is not made up for, but counts.
		{"rrule DTSTART:20251230T090000 RRULE:FREQ=DAILY;COUNT=4", "rrule FREQ=DAILY;COUNT=4 DTSTART:20251230T090000", "2026-01-02 09:00:00 +00"},
		{"rrule DTSTART;TZID=Europe/Berlin:20251230T090000 RRULE:FREQ=DAILY", "rrule FREQ=DAILY DTSTART:20251230T090000 in Europe/Berlin", "2026-01-02 09:00:00 +01, 2026-01-03 09:00:00 +01"},
		{"rrule FREQ=DAILY DTSTART:20251230T090000 from 2026-01-01T09:00Z", "rrule FREQ=DAILY DTSTART:20251230T090000 from 2026-01-01T09:00:00Z", "2026-01-01 09:00:00 +00, 2026-01-02 09:00:00 +00"},
		{"rrule FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=SU DTSTART:20260106T090000Z", "rrule FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=SU DTSTART:20260106T090000Z", "2026-01-06 09:00:00 +00, 2026-01-18 09:00:00 +00, 2026-01-20 09:00:00 +00"},
		// A date is its midnight, and parts for the time of day mean nothing.
		{"rrule FREQ=DAILY;BYHOUR=9 DTSTART;VALUE=DATE:20260201 in Asia/Tokyo", "", "2026-02-01 00:00:00 +09, 2026-02-02 00:00:00 +09"},
		{"rrule FREQ=DAILY;UNTIL=20260202 DTSTART:20260201", "rrule FREQ=DAILY;UNTIL=20260202 DTSTART;VALUE=DATE:20260201", "2026-02-01 00:00:00 +00, 2026-02-02 00:00:00 +00"},
		// UNTIL is included, in UTC or by the zone's clock.
		{"rrule FREQ=DAILY;UNTIL=20260203T080000Z DTSTART;TZID=Europe/Berlin:20260202T090000", "rrule FREQ=DAILY;UNTIL=20260203T080000Z DTSTART:20260202T090000 in Europe/Berlin", "2026-02-02 09:00:00 +01, 2026-02-03 09:00:00 +01"},
		{"rrule FREQ=DAILY;UNTIL=20260203T075959Z DTSTART:20260202T090000 in Europe/Berlin", "", "2026-02-02 09:00:00 +01"},
		{"rrule FREQ=DAILY;UNTIL=20260203T090000 DTSTART:20260202T090000 in Europe/Berlin", "", "2026-02-02 09:00:00 +01, 2026-02-03 09:00:00 +01"},
		// Several rules, dates, and what they leave out: COUNT counts what is left out.
		{
			"rrule DTSTART:20260201T090000 RRULE:FREQ=DAILY;COUNT=3 RRULE:FREQ=DAILY;BYHOUR=18;COUNT=2 RDATE:20260301T070000 EXDATE:20260202T090000",
			"rrule FREQ=DAILY;COUNT=3 FREQ=DAILY;COUNT=2;BYHOUR=18 DTSTART:20260201T090000 RDATE:20260301T070000 EXDATE:20260202T090000",
			"2026-02-01 09:00:00 +00, 2026-02-01 18:00:00 +00, 2026-02-02 18:00:00 +00, 2026-02-03 09:00:00 +00, 2026-03-01 07:00:00 +00",
		},
		{
			"rrule FREQ=DAILY;COUNT=8 EXRULE:FREQ=WEEKLY;BYDAY=SA,SU DTSTART:20260102T090000", "rrule FREQ=DAILY;COUNT=8 DTSTART:20260102T090000 EXRULE:FREQ=WEEKLY;BYDAY=SA,SU",
			"2026-01-02 09:00:00 +00, 2026-01-05 09:00:00 +00, 2026-01-06 09:00:00 +00, 2026-01-07 09:00:00 +00, 2026-01-08 09:00:00 +00, 2026-01-09 09:00:00 +00",
		},
		{
			"rrule DTSTART;TZID=Europe/Berlin:20260201T090000 RRULE:FREQ=DAILY;COUNT=3 EXDATE;TZID=America/New_York:20260202T030000 RDATE:20260205T000000Z",
			"rrule FREQ=DAILY;COUNT=3 DTSTART:20260201T090000 RDATE:20260205T000000Z EXDATE;TZID=America/New_York:20260202T030000 in Europe/Berlin",
			"2026-02-01 09:00:00 +01, 2026-02-03 09:00:00 +01, 2026-02-05 01:00:00 +01",
		},
		// Each date keeps its zone, whose clock it is read from.
		{
			"rrule RDATE;TZID=Asia/Tokyo:20260303T000000 RDATE;TZID=UTC:20260304T000000 RDATE;TZID=America/New_York:20260308T023000,20260101T090000 RDATE:20260101T150000 in Europe/Berlin",
			"rrule RDATE:20260101T150000 RDATE;TZID=America/New_York:20260101T090000,20260308T023000 RDATE;TZID=Asia/Tokyo:20260303T000000 RDATE:20260304T000000Z in Europe/Berlin",
			"2026-01-01 15:00:00 +01, 2026-03-02 16:00:00 +01, 2026-03-04 01:00:00 +01, 2026-03-08 08:30:00 +01",
		},
		{"rrule RDATE:20260301T070000,20260201T070000", "rrule RDATE:20260201T070000,20260301T070000", "2026-02-01 07:00:00 +00, 2026-03-01 07:00:00 +00"},
		{"rrule FREQ=DAILY;BYHOUR=9;BYMINUTE=0;BYSECOND=0 except (cron * * * * sat,sun)", "rrule FREQ=DAILY;BYHOUR=9;BYMINUTE=0;BYSECOND=0 except (cron * * * * sun,sat)", "2026-01-02 09:00:00 +00, 2026-01-05 09:00:00 +00"},
		{"(rrule FREQ=YEARLY;BYEASTER=1 DTSTART:20260101T090000) or (cron 0 7 1 5 *)", "", "2026-04-06 09:00:00 +00, 2026-05-01 07:00:00 +00"},
		{"cron 0 9 * * mon except (rrule FREQ=MONTHLY;BYDAY=1MO DTSTART:20260101T090000)", "", "2026-01-12 09:00:00 +00, 2026-01-19 09:00:00 +00"},
		// As written elsewhere: in lower case, with a semicolon at the end, doubled, in any order, with a plus sign.
		{"rrule freq=weekly;byday=mo,fr,mo;", "rrule FREQ=WEEKLY;BYDAY=MO,FR", "2026-01-02 12:30:15 +00, 2026-01-05 12:30:15 +00"},
		{"rrule BYMONTHDAY=+15,-1;FREQ=MONTHLY", "rrule FREQ=MONTHLY;BYMONTHDAY=15,-1", "2026-01-15 12:30:15 +00, 2026-01-31 12:30:15 +00"},
		{"rrule FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1,1 until 2026-02-01 times 9 jitter 1m", "rrule FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1,1 until 2026-02-01T00:00:00Z times 9 jitter 1m", "2026-01-30 12:30:15 +00"},
	} {
		s, err := schedule.Parse(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if tt.canonical == "" {
			tt.canonical = tt.text
		}
		if got := s.String(); got != tt.canonical {
			t.Errorf("%s prints as\n%s, want\n%s", tt.text, got, tt.canonical)
		}
		want := strings.Split(tt.want, ", ")
		again, err := schedule.Parse(s.String())
		if err != nil || !again.Equal(s) {
			t.Errorf("%s: its text %s is %v, %v", tt.text, s, again, err)
		}
		for _, s := range []schedule.Schedule{s, again} {
			if diff := cmp.Diff(want, firstOf(t, s, accepted, len(want))); diff != "" {
				t.Errorf("%s, -want +got:\n%s", tt.text, diff)
			}
		}
		text, err := json.Marshal(s)
		var back schedule.Schedule
		if err != nil || json.Unmarshal(text, &back) != nil || !back.Equal(s) {
			t.Errorf("%s: in JSON %s, %v", tt.text, text, err)
		}
	}
}

// firstOf is occurrencesOf, where a union is shown in UTC.
func firstOf(t *testing.T, s schedule.Schedule, accepted string, n int) (list []string) {
	t.Helper()
	if s.Zone() != "" {
		return occurrencesOf(t, s, accepted, n)
	}
	r := s.Bind("x", mustTime(t, accepted))
	for at := r.First(); !at.IsZero() && len(list) < n; at = r.Next(at) {
		list = append(list, at.Format("2006-01-02 15:04:05 -07"))
	}
	return list
}

// The lines of iCalendar, with line breaks of either kind and folded anywhere.
func TestRRule_Lines(t *testing.T) {
	for _, text := range []string{
		"DTSTART;TZID=Europe/Berlin:20260130T090000\nRRULE:FREQ=MONTHLY;BYDAY=-1FR\nEXDATE;TZID=Europe/Berlin:20260227T090000\n",
		"EXDATE;TZID=Europe/Berlin:20260227T090000\r\nrrule:freq=monthly;byday=-1fr\r\n\r\ndtstart;value=date-time;tzid=\"Europe/Berlin\":20260130T090000",
		"DTSTART;TZID=Europe/\r\n Berlin:20260130T0900\r\n\t00\r\nRRULE:FREQ=MON\n THLY;BYDAY=-1FR\nEXDATE:20260227T080000Z",
	} {
		got := occurrencesOf(t, schedule.RRule(text), "2026-01-01T00:00:00Z", 2)
		if diff := cmp.Diff([]string{"2026-01-30 09:00:00 +01", "2026-03-27 09:00:00 +01"}, got); diff != "" {
			t.Errorf("%q, -want +got:\n%s", text, diff)
		}
	}
}

// A time in a gap is later by its length, and one that comes twice is the first, as RFC 5545, 3.3.5, says; the policies can be chosen.
//
// contract: I2, I3, I4.
func TestRRule_ClocksChanged(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"rrule FREQ=DAILY DTSTART:20260328T023000 in Europe/Berlin", "2026-03-28 02:30:00 +01, 2026-03-29 03:30:00 +02, 2026-03-30 02:30:00 +02"},
		{"rrule FREQ=DAILY DTSTART:20260329T023000 in Europe/Berlin", "2026-03-29 03:30:00 +02, 2026-03-30 02:30:00 +02"},
		{"rrule FREQ=DAILY DTSTART:20260328T023000 in Europe/Berlin gap skip", "2026-03-28 02:30:00 +01, 2026-03-30 02:30:00 +02"},
		{"rrule FREQ=DAILY DTSTART:20260328T023000 in Europe/Berlin gap after", "2026-03-28 02:30:00 +01, 2026-03-29 03:00:00 +02"},
		{"rrule FREQ=DAILY DTSTART:20261024T023000 in Europe/Berlin", "2026-10-24 02:30:00 +02, 2026-10-25 02:30:00 +02, 2026-10-26 02:30:00 +01"},
		{"rrule FREQ=DAILY DTSTART:20261024T023000 in Europe/Berlin fold both", "2026-10-24 02:30:00 +02, 2026-10-25 02:30:00 +02, 2026-10-25 02:30:00 +01"},
		{"rrule FREQ=DAILY DTSTART:20260329T010000 RDATE:20260329T023000,20261025T023000 in Europe/Berlin", "2026-03-29 01:00:00 +01, 2026-03-29 03:30:00 +02"},
		{"rrule RDATE:20260329T023000,20261025T023000 in Europe/Berlin", "2026-03-29 03:30:00 +02, 2026-10-25 02:30:00 +02"},
		{"rrule FREQ=MINUTELY;INTERVAL=30 DTSTART:20261025T020000 in Europe/Berlin", "2026-10-25 02:00:00 +02, 2026-10-25 02:30:00 +02, 2026-10-25 02:00:00 +01, 2026-10-25 02:30:00 +01, 2026-10-25 03:00:00 +01"},
		{"rrule FREQ=HOURLY;INTERVAL=2 DTSTART:20260329T000000 in Europe/Berlin", "2026-03-29 00:00:00 +01, 2026-03-29 04:00:00 +02"},
		{"rrule FREQ=MINUTELY;INTERVAL=30;BYHOUR=2 DTSTART:20261025T020000 in Europe/Berlin", "2026-10-25 02:00:00 +02, 2026-10-25 02:30:00 +02, 2026-10-26 02:00:00 +01"},
	} {
		s, err := schedule.Parse(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if s.String() != tt.text {
			t.Errorf("%s prints as %s", tt.text, s)
		}
		want := strings.Split(tt.want, ", ")
		if diff := cmp.Diff(want, occurrencesOf(t, s, "2026-01-01T00:00:00Z", len(want))); diff != "" {
			t.Errorf("%s, -want +got:\n%s", tt.text, diff)
		}
	}
}

// Previews mark what a change of the clocks moves, and what is left out.
func TestRRule_Preview(t *testing.T) {
	s, err := schedule.Parse("rrule FREQ=DAILY DTSTART:20260328T023000 EXDATE:20260330T023000 in Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for o := range s.Bind("x", mustTime(t, "2026-01-01T00:00:00Z")).Preview(mustTime(t, "2026-03-01T00:00:00Z")) {
		if got = append(got, o.At.Format("01-02T15:04Z")+" "+o.Marks.String()); len(got) == 4 {
			break
		}
	}
	if diff := cmp.Diff([]string{"03-28T01:30Z ", "03-29T01:30Z gap-moved", "03-30T00:30Z excluded", "03-31T00:30Z "}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// What RFC 5545 forbids is refused, with the place and what would be right.
func TestRRule_Refuses(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"INTERVAL=2", `at byte 1: FREQ: want it in every rule`},
		{"FREQ=FORTNIGHTLY", `at byte 6: FREQ "FORTNIGHTLY": want YEARLY, MONTHLY`},
		{"FREQ=DAILY;INTERVAL=0", `at byte 21: INTERVAL "0": want a whole number from 1 to 2147483647`},
		{"FREQ=DAILY;INTERVAL=99999999999", `INTERVAL "99999999999": want a whole number from 1`},
		{"FREQ=DAILY;COUNT=0", `COUNT "0": want a whole number from 1`},
		{"FREQ=DAILY;COUNT=-3", `COUNT "-3": want`},
		{"FREQ=DAILY;COUNT=3;UNTIL=20260101T000000Z", `at byte 26: UNTIL "20260101T000000Z": want either COUNT or UNTIL`},
		{"FREQ=DAILY;FREQ=DAILY", `at byte 12: FREQ "FREQ": want it once only`},
		{"FREQ=DAILY;BYMONTHDAYS=1", `at byte 12: rrule "BYMONTHDAYS": want "BYMONTHDAY"`},
		{"FREQ=DAILY;BYWEEKDAY=MO", `want BYDAY`},
		{"FREQ=DAILY;X=1", `rrule "X": want FREQ, UNTIL, COUNT`},
		{"FREQ=DAILY;;COUNT=3", `want a part such as FREQ=DAILY`},
		{"FREQ=DAILY;COUNT", `at byte 12: rrule "COUNT": want a part such as`},
		{"FREQ=WEEKLY;BYDAY=1MO", `at byte 19: BYDAY "1MO": want numbers in BYDAY only with FREQ=MONTHLY or FREQ=YEARLY`},
		{"FREQ=YEARLY;BYWEEKNO=20;BYDAY=1MO", `BYDAY "1MO": want no numbers in BYDAY beside BYWEEKNO`},
		{"FREQ=MONTHLY;BYDAY=MON", `BYDAY "MON": want days such as MO`},
		{"FREQ=MONTHLY;BYDAY=0MO", `BYDAY "0MO": want days such as MO`},
		{"FREQ=MONTHLY;BYDAY=54MO", `BYDAY "54MO"`},
		{"FREQ=MONTHLY;BYDAY=MO,,TU", `at byte 23: BYDAY: want a value before and after each comma`},
		{"DTSTART;TZID:20260101T090000 RRULE:FREQ=DAILY", `at byte 13: TZID: want a zone of the IANA database, such as Europe/Berlin`},
		{"DTSTART;VALUE:20260101T090000 RRULE:FREQ=DAILY", `at byte 14: VALUE: want DATE or DATE-TIME`},
		{"DTSTART:2026 RRULE:FREQ=DAILY", `at byte 9: DTSTART "2026": want a date or a time such as`},
		{"DTSTART: RRULE:FREQ=DAILY", `at byte 9: DTSTART: want a date or a time such as`},
		{"DTSTART:2026013 RRULE:FREQ=DAILY", `DTSTART "2026013": want a date`},
		{"DTSTART:202601300 RRULE:FREQ=DAILY", `DTSTART "202601300": want a date`},
		{"DTSTART:20260130Z RRULE:FREQ=DAILY", `DTSTART "20260130Z": want a date`},
		{"DTSTART:20260130X090000 RRULE:FREQ=DAILY", `DTSTART "20260130X090000": want a date`},
		{"DTSTART:20260130T0900 RRULE:FREQ=DAILY", `DTSTART "20260130T0900": want a date`},
		{"DTSTART:20260130T09000x RRULE:FREQ=DAILY", `DTSTART "20260130T09000x": want a date`},
		{"DTSTART:20260130T0x0000 RRULE:FREQ=DAILY", `DTSTART "20260130T0x0000": want a date`},
		{"DTSTART:20260130T090x00 RRULE:FREQ=DAILY", `DTSTART "20260130T090x00": want a date`},
		{"FREQ=YEARLY;BYDAY=54MO", `BYDAY "54MO"`},
		{"FREQ=YEARLY;BYDAY=-54MO", `BYDAY "-54MO"`},
		{"FREQ=YEARLY;BYDAY=O", `BYDAY "O"`},
		{"FREQ=YEARLY;BYDAY=+-1MO", `BYDAY "+-1MO"`},
		{"FREQ=YEARLY;BYWEEKNO=0", `BYWEEKNO "0": want 1 to 53, or -1 to -53 from the end of the year`},
		{"FREQ=YEARLY;BYWEEKNO=-54", `BYWEEKNO "-54"`},
		{"FREQ=YEARLY;BYYEARDAY=0", `BYYEARDAY "0": want 1 to 366, or -1 to -366 from the end of the year`},
		{"FREQ=YEARLY;BYYEARDAY=-367", `BYYEARDAY "-367"`},
		{"FREQ=YEARLY;BYEASTER=367", `BYEASTER "367": want days from Easter Sunday, -366 to 366`},
		{"FREQ=YEARLY;BYEASTER=-367", `BYEASTER "-367"`},
		{"FREQ=DAILY;BYHOUR=1;BYSETPOS=367", `BYSETPOS "367": want 1 to 366, or -1 to -366 from the end`},
		{"FREQ=DAILY;INTERVAL=2147483648", `INTERVAL "2147483648": want a whole number from 1 to 2147483647`},
		{"FREQ=DAILY;COUNT=", `at byte 18: COUNT: want a whole number from 1 to 2147483647`},
		{"FREQ=", `at byte 6: FREQ: want YEARLY, MONTHLY, WEEKLY, DAILY, HOURLY, MINUTELY or SECONDLY`},
		{strings.Repeat("RRULE:FREQ=DAILY\n", 65), `at byte 1: rrule "65 rules": want at most 64`},
		{"FREQ=DAILY;BYHOUR=24", `at byte 19: BYHOUR "24": want 0 to 23`},
		{"FREQ=DAILY;BYHOUR=+5", `BYHOUR "+5": want 0 to 23`},
		{"FREQ=DAILY;BYMONTHDAY=0", `BYMONTHDAY "0": want 1 to 31`},
		{"FREQ=DAILY;BYMONTHDAY=-32", `BYMONTHDAY "-32"`},
		{"FREQ=DAILY;BYMONTHDAY=--1", `BYMONTHDAY "--1"`},
		{"FREQ=YEARLY;BYYEARDAY=367", `BYYEARDAY "367"`},
		{"FREQ=YEARLY;BYWEEKNO=54", `BYWEEKNO "54"`},
		{"FREQ=DAILY;BYSETPOS=1", `at byte 21: BYSETPOS "1": want another part that begins with BY`},
		{"FREQ=DAILY;BYHOUR=1;BYSETPOS=0", `BYSETPOS "0"`},
		{"FREQ=DAILY;WKST=MON", `WKST "MON": want MO, TU`},
		{"FREQ=DAILY;UNTIL=2026-01-01", `UNTIL "2026-01-01": want a date or a time such as 20260130`},
		{"FREQ=DAILY;UNTIL=20260230", `UNTIL "20260230"`},
		{"FREQ=DAILY;UNTIL=20260101", `at byte 18: UNTIL "20260101": want a time, as the start has one: 20260101T235959 for that day and all of it`},
		{"DTSTART:20260101 RRULE:FREQ=DAILY;UNTIL=20260101T000000", `UNTIL "20260101T000000": want a date, as DTSTART is one: 20260101`},
		{"DTSTART;TZID=America/New_York:19970902T090000\nRRULE:FREQ=YEARLY;UNTIL=19990101T000000", `at byte 71: UNTIL "19990101T000000": want a time in UTC, as DTSTART has a TZID: 19990101T050000Z`},
		{"DTSTART:19970902T090000Z RRULE:FREQ=YEARLY;UNTIL=19990101T000000", `want a time in UTC, as DTSTART is: 19990101T000000Z`},
		{"DTSTART:20260101T250000 RRULE:FREQ=DAILY", `at byte 9: DTSTART "20260101T250000": want a date or a time`},
		{"DTSTART:20260101T090000 DTSTART:20270101T090000 RRULE:FREQ=DAILY", `at byte 25: DTSTART "DTSTART": want it once only`},
		{"DTSTART;TZID=Europe/Berln:20260101T090000 RRULE:FREQ=DAILY", `at byte 14: TZID "Europe/Berln": want a zone of the IANA database: did you mean Europe/Berlin?`},
		{"DTSTART;TZID=Europe/Berlin:20260101T090000Z RRULE:FREQ=DAILY", `want a time without Z, or no TZID`},
		{"DTSTART;VALUE=DATE:20260101T090000 RRULE:FREQ=DAILY", `want a date such as 20260130, since VALUE=DATE says so`},
		{"DTSTART;VALUE=PERIOD:20260101T090000 RRULE:FREQ=DAILY", `VALUE "PERIOD": want DATE or DATE-TIME`},
		{"DTSTART;X=Y:20260101T090000 RRULE:FREQ=DAILY", `rrule "X=Y": want the parameters TZID and VALUE only`},
		{"DTSTART:20260101T090000 RRULE:FREQ=DAILY RDATE:20260101T090000/PT1H", `RDATE "20260101T090000/PT1H": want a time without an end`},
		{"DTSTART:20260101T090000 RRULE:FREQ=DAILY EXDATE:20260101", `at byte 49: EXDATE "20260101": want a time, as DTSTART has one`},
		{"DTSTART:20260101 RRULE:FREQ=DAILY EXDATE:20260101T000000", `EXDATE "20260101T000000": want a date, as DTSTART is one`},
		{"RRULE;X=1:FREQ=DAILY", `RRULE "X=1": want no parameters`},
		{"SUMMARY:tea RRULE:FREQ=DAILY", `at byte 1: rrule "SUMMARY": want the lines DTSTART, RRULE`},
		{"DTSTART:20260101T090000", `rrule: want a rule such as FREQ=WEEKLY;BYDAY=MO`},
		{"EXRULE:FREQ=DAILY", `want a rule such as`},
		{"", `want a rule such as`},
		{"daily", `at byte 1: rrule "daily": want a rule such as`},
		{"RRULE:FREQ=DAILY\nDTSTART:2026 0101", `at byte 30: rrule " 0101": want no blanks within a line`},
		{"FREQ=DAILY EXRULE:FREQ=DAILY", `EXRULE "FREQ=DAILY": want it to leave an occurrence now and then`},
		{"FREQ=SECONDLY EXRULE:FREQ=SECONDLY;BYHOUR=3", `EXRULE "FREQ=SECONDLY;BYHOUR=3": want it to leave out no more than a few thousand occurrences in a row`},
		{"FREQ=MINUTELY EXRULE:FREQ=MINUTELY;BYMONTH=7;BYDAY=SA,SU", `want it to leave out no more than a few thousand occurrences in a row`},
		{"RRULE:FREQ=DAILY;\r\n BYHOUR=25", `at byte 28: BYHOUR "25"`},
		{"FREQ=DAILY;BYYEARDAY=" + strings.Repeat("1,", 3000) + "1", `want at most 4096 bytes`},
	} {
		s := schedule.RRule(tt.text)
		if s.Err() == nil || !strings.Contains(s.Err().Error(), tt.want) {
			t.Errorf("%q: %v, want %s", tt.text, s.Err(), tt.want)
		}
		if s.Kind() == schedule.KindRRule && !s.Bind("x", time.Time{}).First().IsZero() {
			t.Errorf("%q: has an occurrence", tt.text)
		}
	}
	for _, tt := range []struct{ text, want string }{
		{"rrule FREQ=DAILY;COUNT=0 in Asia/Tokyo", `at byte 24: COUNT "0"`},
		{"rrule FREQ=DAILY days and", `days "and": want it on "cron" only`},
		{"rrule DTSTART;TZID=Asia/Tokyo:20260101T090000 FREQ=DAILY in UTC", `in "UTC": want the zone once: the expression itself says Asia/Tokyo`},
		{"cron 0 9 * * * except (rrule FREQ=DAILY)", `"rrule" with a DTSTART`},
		{"rrule FREQ=DAILY tomorrow", `rrule "tomorrow": want a rule such as`},
		{"RRULE FREQ=DAILY", `lower case: "rrule"`},
		{"rrule FREQ=DAILY align 2026-01-01", `"rrule" has no grid`},
	} {
		if _, err := schedule.Parse(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.text, err, tt.want)
		}
	}
	if err := schedule.RRule("DTSTART:20260101T090000Z RRULE:FREQ=DAILY").In("Asia/Tokyo").Err(); err == nil || !strings.Contains(err.Error(), "UTC, in which DTSTART is") {
		t.Errorf("a start in UTC in another zone: %v", err)
	}
}

// However many dates in a row are left out, what is behind them is found, whatever else is left out, too.
//
// contract: I6.
func TestRRule_ManyDatesLeftOut(t *testing.T) {
	days := make([]string, 190)
	for i := range days {
		days[i] = time.Date(2026, 1, 2+i, 9, 0, 0, 0, time.UTC).Format("20060102T150405")
	}
	text := "FREQ=DAILY DTSTART:20260101T090000 " + strings.Repeat("EXRULE:FREQ=YEARLY;BYMONTH=12 ", 13) + "EXDATE:" + strings.Join(days, ",")
	got := occurrencesOf(t, schedule.RRule(text), "2026-01-01T00:00:00Z", 2)
	if diff := cmp.Diff([]string{"2026-01-01 09:00:00 +00", "2026-07-11 09:00:00 +00"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Easter Sunday is in March or April, and what is so many days from it in months that follow from that: the first and last days that there are.
func TestRRule_MonthsOfEaster(t *testing.T) {
	for text, want := range map[string]string{
		"FREQ=YEARLY;BYEASTER=-81;BYMONTHDAY=1;BYMONTH=1":   "2600-01-01 12:00:00 +00",
		"FREQ=YEARLY;BYEASTER=250;BYMONTHDAY=31;BYMONTH=12": "2038-12-31 12:00:00 +00",
		"FREQ=YEARLY;BYEASTER=0;BYMONTHDAY=22;BYMONTH=3":    "2285-03-22 12:00:00 +00",
		"FREQ=YEARLY;BYEASTER=0;BYMONTHDAY=25;BYMONTH=4":    "2038-04-25 12:00:00 +00",
	} {
		got := occurrencesOf(t, schedule.RRule(text+" DTSTART:20260101T120000"), "2026-01-02T00:00:00Z", 1)
		if diff := cmp.Diff([]string{want}, got); diff != "" {
			t.Errorf("%s, -want +got:\n%s", text, diff)
		}
	}
}

// What is just as large as it may be is taken, and what is written in small letters.
func TestRRule_Takes(t *testing.T) {
	for text, want := range map[string]string{
		strings.Repeat("RRULE:FREQ=DAILY\n", 64):                                   "rrule" + strings.Repeat(" FREQ=DAILY", 64),
		"dtstart:20260101t090000z rrule:freq=daily;until=20270101t000000z;wkst=su": "rrule FREQ=DAILY;UNTIL=20270101T000000Z;WKST=SU DTSTART:20260101T090000Z",
		"FREQ=DAILY;INTERVAL=2147483647;COUNT=2147483647":                          "rrule FREQ=DAILY;COUNT=2147483647;INTERVAL=2147483647",
		"FREQ=YEARLY;BYDAY=53MO,-53TU,20WE,-12TH,11FR":                             "rrule FREQ=YEARLY;BYDAY=53MO,-53TU,20WE,-12TH,11FR",
		"FREQ=YEARLY;BYWEEKNO=53,-53;BYDAY=MO":                                     "rrule FREQ=YEARLY;BYWEEKNO=53,-53;BYDAY=MO",
		"FREQ=YEARLY;BYYEARDAY=366,-366,1,-1":                                      "rrule FREQ=YEARLY;BYYEARDAY=1,366,-1,-366",
		"FREQ=YEARLY;BYEASTER=250,-81,0":                                           "rrule FREQ=YEARLY;BYEASTER=-81,0,250",
		"FREQ=SECONDLY;BYSECOND=60,0;BYSETPOS=1":                                   "rrule FREQ=SECONDLY;BYSECOND=0,59;BYSETPOS=1",
		"FREQ=DAILY;BYHOUR=0,23;BYMINUTE=0,59;BYSETPOS=366,-366,-1":                "rrule FREQ=DAILY;BYHOUR=0,23;BYMINUTE=0,59;BYSETPOS=-366,-1,366",
		"DTSTART:00010101T000000 RRULE:FREQ=DAILY EXDATE:99991231T000000":          "rrule FREQ=DAILY DTSTART:00010101T000000 EXDATE:99991231T000000",
	} {
		s := schedule.RRule(text)
		if got := s.String(); s.Err() != nil || got != want {
			t.Errorf("%s is %s, want %s: %v", text, got, want, s.Err())
		}
	}
	for n, want := range map[int]bool{4096: true, 4097: false} {
		text := "FREQ=DAILY" + strings.Repeat(" ", n-len("FREQ=DAILY"))
		if err := schedule.RRule(text).Err(); (err == nil) != want {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	var dates []string
	for day := 1; day <= 31; day++ {
		dates = append(dates, time.Date(2026, 1, day, 9, 0, 0, 0, time.UTC).Format("20060102T150405"))
	}
	if s := schedule.RRule("RDATE;TZID=Europe/Berlin:" + strings.Join(dates, ",")); s.Err() != nil || len(occurrencesOf(t, s, "2020-01-01T00:00:00Z", 40)) != 31 {
		t.Errorf("dates of one zone: %v", s.Err())
	}
}

// Dates follow each other by the second, and where clocks are changed at their very second each is taken for what the clock shows.
//
// contract: I2, I3.
func TestRRule_Dates(t *testing.T) {
	for text, want := range map[string]string{
		"RDATE:20260101T090000,20260101T090001,20260101T090002":                             "09:00:00 +00 09:00:01 +00 09:00:02 +00",
		"RDATE:20260101T090000Z,20260101T090000Z,20260101T090001Z":                          "09:00:00 +00 09:00:01 +00",
		"RDATE;TZID=Europe/Berlin:20260329T015959,20260329T020000,20260329T025959":          "00:59:59 +00 01:00:00 +00 01:59:59 +00",
		"RDATE;TZID=Europe/Berlin:20260329T030000":                                          "01:00:00 +00",
		"RDATE;TZID=Europe/Berlin:20261025T015959,20261025T020000,20261025T025959":          "23:59:59 +00 00:00:00 +00 00:59:59 +00",
		"RDATE;TZID=Europe/Berlin:20261025T030000":                                          "02:00:00 +00",
		"RDATE;TZID=America/New_York:20260101T090000 RDATE;TZID=Asia/Tokyo:20260101T090000": "00:00:00 +00 14:00:00 +00",
	} {
		s := schedule.RRule(text)
		r := s.Bind("x", mustTime(t, "2020-01-01T00:00:00Z"))
		var got, back []string
		for at := r.First(); !at.IsZero(); at = r.Next(at) {
			got = append(got, at.Format("15:04:05 -07"))
		}
		for at := r.Prev(mustTime(t, "2030-01-01T00:00:00Z")); !at.IsZero(); at = r.Prev(at) {
			back = append(back, at.Format("15:04:05 -07"))
		}
		slices.Reverse(back)
		if strings.Join(got, " ") != want || strings.Join(back, " ") != want {
			t.Errorf("%s: %s, backwards %s, want %s", text, got, back, want)
		}
		if last := r.Prev(mustTime(t, "2030-01-01T00:00:00Z")); !r.Prev(last.Add(1)).Equal(last) || r.Prev(last).Equal(last) || !r.Next(last.Add(-1)).Equal(last) {
			t.Errorf("%s: beside the last %s", text, last)
		}
	}
}

// A count that leads beyond the year 9999, or that is more than 400 years away and would take long to find, is none; one that ends with the
// last day there is, or just within 400 years, is found.
func TestRRule_CountsToTheEnd(t *testing.T) {
	all := "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31"
	for _, tt := range []struct{ start, rule, want string }{
		{"99991201T090000Z", "FREQ=DAILY;COUNT=30", "9999-12-30T09:00:00Z"},
		{"99991201T090000Z", "FREQ=DAILY;COUNT=31", "9999-12-31T09:00:00Z"},
		{"99991201T090000Z", "FREQ=DAILY;COUNT=32", "9999-12-31T09:00:00Z"},
		{"99991201T090000Z", "FREQ=DAILY;BYHOUR=9,21;COUNT=62", "9999-12-31T21:00:00Z"},
		{"99991201T090000Z", "FREQ=DAILY;BYHOUR=9,21;COUNT=63", "9999-12-31T21:00:00Z"},
		{"99991201T090000Z", "FREQ=DAILY;BYMONTHDAY=" + all + ";COUNT=29", "9999-12-29T09:00:00Z"},
		{"99991201T090000Z", "FREQ=DAILY;BYMONTHDAY=" + all + ";COUNT=31", "9999-12-31T09:00:00Z"},
		{"99991201T090000Z", "FREQ=DAILY;BYMONTHDAY=" + all + ";COUNT=32", "9999-12-31T09:00:00Z"},
		{"99991230T000000Z", "FREQ=HOURLY;INTERVAL=7;COUNT=7", "9999-12-31T18:00:00Z"},
		{"99991230T000000Z", "FREQ=HOURLY;INTERVAL=7;COUNT=8", "9999-12-31T18:00:00Z"},
		{"99991230T000000Z", "FREQ=HOURLY;INTERVAL=7;BYDAY=TH,FR;COUNT=6", "9999-12-31T11:00:00Z"},
		{"99991230T000000Z", "FREQ=HOURLY;INTERVAL=7;BYDAY=TH,FR;COUNT=7", "9999-12-31T18:00:00Z"},
		{"99991230T000000Z", "FREQ=HOURLY;INTERVAL=7;BYDAY=TH,FR;COUNT=8", "9999-12-31T18:00:00Z"},
		{"99991203T090000Z", "FREQ=WEEKLY;BYDAY=FR;BYSETPOS=1;COUNT=5", "9999-12-31T09:00:00Z"},
		{"99991203T090000Z", "FREQ=WEEKLY;BYDAY=FR;BYSETPOS=1;COUNT=6", "9999-12-31T09:00:00Z"},
		{"99990131T090000Z", "FREQ=MONTHLY;COUNT=7", "9999-12-31T09:00:00Z"},
		{"99990131T090000Z", "FREQ=MONTHLY;COUNT=8", "9999-12-31T09:00:00Z"},
		{"20260101T090000Z", "FREQ=DAILY;COUNT=2147483647", "9999-12-31T09:00:00Z"},
		{"20260101T090000Z", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;COUNT=2147483647", "9996-02-29T09:00:00Z"},
		{"20260101T090000Z", "FREQ=SECONDLY;INTERVAL=86400;BYHOUR=9;COUNT=2147483647", "9999-12-31T09:00:00Z"},
		{"20000101T090000Z", "FREQ=YEARLY;COUNT=800", "2799-01-01T09:00:00Z"},
		{"20000101T090000Z", "FREQ=YEARLY;COUNT=799", "2798-01-01T09:00:00Z"},
		{"20000101T090000Z", "FREQ=MONTHLY;COUNT=90000", "9499-12-01T09:00:00Z"},
		{"20000101T090000Z", "FREQ=YEARLY;COUNT=8000", "9999-01-01T09:00:00Z"},
		{"20000101T090000Z", "FREQ=YEARLY;COUNT=8001", "9999-01-01T09:00:00Z"},
		{"20000101T090000Z", "FREQ=YEARLY;INTERVAL=2000;COUNT=4", "8000-01-01T09:00:00Z"},
		{"20000101T090000Z", "FREQ=YEARLY;INTERVAL=2000;COUNT=5", "8000-01-01T09:00:00Z"},
		{"20000101T090000Z", "FREQ=YEARLY;INTERVAL=2000;COUNT=3", "6000-01-01T09:00:00Z"},
		{"20000101T090000Z", "FREQ=DAILY;BYHOUR=9,21;COUNT=1000000", "3368-12-13T21:00:00Z"},
		{"20000101T000000Z", "FREQ=HOURLY;INTERVAL=5;COUNT=24000", "2013-09-08T19:00:00Z"},
		{"20000101T000000Z", "FREQ=HOURLY;INTERVAL=5;COUNT=23999", "2013-09-08T14:00:00Z"},
		{"20000101T000000Z", "FREQ=HOURLY;INTERVAL=5;COUNT=24001", "2013-09-09T00:00:00Z"},
		{"20000101T000000Z", "FREQ=HOURLY;INTERVAL=24000;BYMONTHDAY=" + all + ";COUNT=147", "2399-09-26T00:00:00Z"},
		{"20000101T000000Z", "FREQ=HOURLY;INTERVAL=24000;BYMONTHDAY=" + all + ";COUNT=148", "9997-06-05T00:00:00Z"},
		{"20000101T000000Z", "FREQ=HOURLY;INTERVAL=24000;BYHOUR=0;BYMONTHDAY=" + all + ";COUNT=147", "2399-09-26T00:00:00Z"},
		{"20000101T000000Z", "FREQ=HOURLY;INTERVAL=24000;BYHOUR=0;BYMONTHDAY=" + all + ";COUNT=148", "9997-06-05T00:00:00Z"},
		{"20000101T000000Z", "FREQ=HOURLY;INTERVAL=7;BYDAY=MO,TU,WE,TH,FR,SA;COUNT=600000", "9999-12-31T17:00:00Z"},
		{"20000101T000000Z", "FREQ=HOURLY;INTERVAL=7;BYHOUR=0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23;BYDAY=MO,TU,WE,TH,FR,SA;COUNT=600000", "9999-12-31T17:00:00Z"},
		{"20000101T090000Z", "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=1;COUNT=4800", "2399-12-06T09:00:00Z"},
		{"20000101T090000Z", "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=1;COUNT=4801", "9999-12-06T09:00:00Z"},
		{"20000101T090000Z", "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=1;COUNT=20873", "9999-12-06T09:00:00Z"},
		{"20000101T090000Z", "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=1,-1,2;COUNT=5", "2000-02-14T09:00:00Z"},
		{"20000110T090000Z", "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=1,-1,2;COUNT=2", "2000-01-31T09:00:00Z"},
	} {
		s := schedule.RRule("DTSTART:" + tt.start + " RRULE:" + tt.rule)
		r := s.Bind("x", time.Time{})
		last := r.Prev(time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC))
		if got := last.Format(time.RFC3339); got != tt.want || s.Err() != nil {
			t.Errorf("the last of %s from %s is %s, want %s: %v", tt.rule, tt.start, got, tt.want, s.Err())
		}
		if got := r.Next(last); !got.IsZero() {
			t.Errorf("after the last of %s from %s comes %s", tt.rule, tt.start, got)
		}
	}
}

// What comes once in 400 years is found from the one to the other, and several rules are told apart.
func TestRRule_Rare(t *testing.T) {
	for text, want := range map[string]string{
		"DTSTART:20000229T090000 RRULE:FREQ=YEARLY;INTERVAL=400;BYMONTH=2;BYMONTHDAY=29":                               "2000-02-29 09:00 2400-02-29 09:00 2800-02-29 09:00",
		"DTSTART:20000229T090000 RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=TU;BYYEARDAY=60;INTERVAL=100":         "2000-02-29 09:00 2400-02-29 09:00 2800-02-29 09:00",
		"DTSTART:20000229T090000 RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYHOUR=9,10;BYSETPOS=2;INTERVAL=400":        "2000-02-29 10:00 2400-02-29 10:00 2800-02-29 10:00",
		"DTSTART:20260101T000000 RRULE:FREQ=DAILY;BYHOUR=9 RRULE:FREQ=DAILY;BYHOUR=18":                                 "2026-01-01 09:00 2026-01-01 18:00 2026-01-02 09:00",
		"DTSTART:20260101T000000 RRULE:FREQ=DAILY;BYHOUR=9 RRULE:FREQ=DAILY;BYHOUR=9,18 EXRULE:FREQ=DAILY;BYHOUR=9":    "2026-01-01 18:00 2026-01-02 18:00 2026-01-03 18:00",
		"DTSTART:20260101T000000 RRULE:FREQ=DAILY;BYHOUR=9 RDATE:20260101T100000 EXRULE:FREQ=WEEKLY;BYDAY=TH;BYHOUR=9": "2026-01-01 10:00 2026-01-02 09:00 2026-01-03 09:00",
	} {
		r := schedule.RRule(text).Bind("x", time.Time{})
		var got []string
		var all []time.Time
		for at := r.First(); !at.IsZero() && len(all) < 3; at = r.Next(at) {
			got, all = append(got, at.Format("2006-01-02 15:04")), append(all, at)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %s, want %s", text, got, want)
			continue
		}
		for i := range 2 {
			if p := r.Prev(all[i+1]); !p.Equal(all[i]) {
				t.Errorf("%s: before %s %s, want %s", text, all[i+1], p, all[i])
			}
		}
	}
}

// The second time that clocks show an hour counts for nothing where only the first is meant, also where the question ends within it.
func TestRRule_CountEndsWithinAFold(t *testing.T) {
	r := schedule.RRule("DTSTART;TZID=Europe/Berlin:20261020T025000 RRULE:FREQ=DAILY").Bind("x", time.Time{})
	from := mustTime(t, "2026-10-24T12:00:00Z")
	for text, want := range map[string]int64{"2026-10-25T00:49:59Z": 0, "2026-10-25T00:50:00Z": 1, "2026-10-25T01:40:00Z": 1, "2026-10-25T01:55:00Z": 1, "2026-10-25T02:40:00Z": 1, "2026-10-26T01:50:00Z": 2} {
		if got := r.Count(from, mustTime(t, text)); got != want {
			t.Errorf("%d up to %s, want %d", got, text, want)
		}
	}
}

// What is before the first occurrence is none, where clocks were changed between the start and it, also before 1970 and with intervals that
// are longer than time goes back.
func TestRRule_ClocksChangedBeforeTheFirst(t *testing.T) {
	for text, want := range map[string]string{
		"DTSTART;TZID=America/New_York:19500601T090000 RRULE:FREQ=YEARLY;BYMONTH=5;BYMONTHDAY=1":              "1951-05-01T13:00:00Z",
		"DTSTART;TZID=America/New_York:19500601T090000 RRULE:FREQ=YEARLY;BYMONTH=5;BYDAY=MO,TU;BYSETPOS=1":    "1951-05-01T13:00:00Z",
		"DTSTART;TZID=Europe/Berlin:20260101T090000 RRULE:FREQ=MONTHLY;INTERVAL=24318;BYMONTH=7;BYMONTHDAY=1": "4052-07-01T07:00:00Z",
		"DTSTART;TZID=Europe/Berlin:20260101T090000 RRULE:FREQ=MONTHLY;INTERVAL=18;BYMONTH=7;BYMONTHDAY=1":    "2027-07-01T07:00:00Z",
		"DTSTART;TZID=Europe/Berlin:20260101T090000 RRULE:FREQ=YEARLY;INTERVAL=3000;BYMONTH=7;BYMONTHDAY=1":   "2026-07-01T07:00:00Z",
		"DTSTART;TZID=Europe/Berlin:20260801T090000 RRULE:FREQ=YEARLY;INTERVAL=3000;BYMONTH=7;BYMONTHDAY=1":   "5026-07-01T07:00:00Z",
		"DTSTART;TZID=Europe/Berlin:20260102T090000 RRULE:FREQ=DAILY;INTERVAL=1000000;BYHOUR=9":               "2026-01-02T08:00:00Z",
		"DTSTART;TZID=Europe/Berlin:20260102T090000 RRULE:FREQ=DAILY;INTERVAL=1000000;BYMONTH=11,12":          "4763-11-30T08:00:00Z",
		"DTSTART;TZID=Europe/Berlin:20260102T090000 RRULE:FREQ=WEEKLY;INTERVAL=150000;BYDAY=MO":               "4900-10-18T07:00:00Z",
	} {
		s := schedule.RRule(text)
		r := s.Bind("x", time.Time{})
		first := r.First()
		if got := first.Format(time.RFC3339); got != want || s.Err() != nil {
			t.Errorf("the first of %s is %s, want %s: %v", text, got, want, s.Err())
			continue
		}
		for _, later := range []time.Duration{time.Second, time.Hour, 24 * time.Hour} {
			if got := r.Prev(first.Add(later)); !got.Equal(first) {
				t.Errorf("%s: before %s comes %s, want %s", text, first.Add(later), got, first)
			}
		}
		if got := r.Count(first.Add(-1), first.Add(24*time.Hour)); got != 1 {
			t.Errorf("%s: %d on the day from the first on", text, got)
		}
	}
	if got := schedule.RRule("FREQ=YEARLY").In("America/New_York").Bind("x", time.Time{}).First().Format(time.RFC3339); got != "0002-01-01T04:56:02Z" {
		t.Errorf("of what was accepted at the beginning of time the first is %s", got)
	}
}

// What has no occurrence in all time is told, and accepted by nothing.
func TestRRule_Never(t *testing.T) {
	for _, text := range []string{
		"DTSTART:20260301T090000Z RRULE:FREQ=DAILY;UNTIL=20260301T085959Z", "DTSTART:20260301T090000Z RRULE:FREQ=HOURLY;UNTIL=20260301T085959Z",
		"DTSTART:20260301T090000Z RRULE:FREQ=HOURLY;UNTIL=20260301T085959Z EXRULE:FREQ=HOURLY",
		"DTSTART:20260301T090000Z RRULE:FREQ=DAILY;UNTIL=20260301T085959Z RRULE:FREQ=DAILY;UNTIL=20260301T085959Z", //nolint:dupword // two rules
		"DTSTART:00010101T000000Z RRULE:FREQ=HOURLY;COUNT=1", "DTSTART:00010101T000000Z RRULE:FREQ=DAILY;UNTIL=00010101T000000Z", "DTSTART:00010101T000000Z RRULE:FREQ=DAILY;COUNT=1",
		"FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "FREQ=MONTHLY;BYDAY=1MO;BYMONTHDAY=29", "DTSTART:20260301T090000 RRULE:FREQ=YEARLY;INTERVAL=4;BYMONTH=2;BYMONTHDAY=29",
		"DTSTART:20260301T090000 RRULE:FREQ=DAILY;UNTIL=20260301T085959", "DTSTART:20260301T090000 RRULE:FREQ=HOURLY;INTERVAL=2;BYHOUR=2,4",
		"DTSTART:20260301T090000 RRULE:FREQ=DAILY;INTERVAL=7;BYDAY=MO", "DTSTART:20260301T000000 RRULE:FREQ=SECONDLY;INTERVAL=77;BYHOUR=0;BYMINUTE=0;BYSECOND=0;BYDAY=MO",
		"FREQ=SECONDLY;BYSECOND=1;BYSETPOS=2", "DTSTART:20170130T192820 RRULE:FREQ=YEARLY;BYMONTH=4,5;BYEASTER=14;BYSETPOS=3,4,-3",
		"DTSTART:20180425T160000 RRULE:FREQ=YEARLY;COUNT=16;BYEASTER=41;BYSECOND=21;BYSETPOS=-5", "FREQ=MONTHLY;BYDAY=6MO",
	} {
		s := schedule.RRule(text)
		if !s.Never() || s.Err() == nil || len(s.Warnings()) == 0 {
			t.Errorf("%s: never is %v, %v, %v", text, s.Never(), s.Err(), s.Warnings())
		}
		if again, err := schedule.Parse(s.String()); err != nil || !again.Never() {
			t.Errorf("%s: read again as %v, %v", s, again, err)
		}
	}
	weekly := schedule.RRule("FREQ=DAILY;INTERVAL=7;BYDAY=MO")
	if s := weekly.From(mustTime(t, "2026-01-06T09:00:00Z")); !s.Never() || s.Err() == nil {
		t.Errorf("every seventh day from a Tuesday on, if it is a Monday: never is %v, %v", s.Never(), s.Err())
	}
	if s := weekly.From(mustTime(t, "2026-01-06T09:00:00Z")).From(mustTime(t, "2026-01-05T09:00:00Z")); s.Never() || s.Err() != nil {
		t.Errorf("every seventh day from a Monday on, if it is one: never is %v, %v", s.Never(), s.Err())
	}
	for _, text := range []string{ // what has an occurrence for some start, or on a date
		"FREQ=DAILY;INTERVAL=7;BYDAY=MO", "FREQ=DAILY;UNTIL=19990101T000000Z", "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=1", "FREQ=HOURLY;BYHOUR=3", "FREQ=MINUTELY;INTERVAL=60;BYMINUTE=7", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30 RDATE:20260101T090000", "FREQ=MONTHLY;INTERVAL=12;BYMONTH=7",
		"DTSTART:20260301T090000Z RRULE:FREQ=DAILY;UNTIL=20260301T090000Z", "DTSTART;TZID=Asia/Tokyo:20260301T090000 RRULE:FREQ=HOURLY;UNTIL=20260301T000000Z", "DTSTART:20260301T090000 RRULE:FREQ=DAILY;UNTIL=20260301T000000Z", "DTSTART:00010101T000000Z RRULE:FREQ=DAILY;COUNT=2",
	} {
		if s := schedule.RRule(text); s.Never() || s.Err() != nil {
			t.Errorf("%s: never is %v, %v", text, s.Never(), s.Err())
		}
	}
}

func TestRRule_Words(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"rrule FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=9;BYMINUTE=0;BYSECOND=0 in Europe/Berlin", "every month on the last Friday, at 09:00:00, in Europe/Berlin"},
		{"rrule FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE,FR;WKST=SU;COUNT=10 DTSTART:20260105T090000", "every 2 weeks on Monday, Wednesday and Friday, weeks beginning on Sunday, 10 times in all, counted from 2026-01-05 09:00, in UTC"},
		{"rrule FREQ=YEARLY;BYMONTH=1,2,3;BYMONTHDAY=1,-1;UNTIL=20270101T000000Z", "every year on day 1 and the last day of the month in January to March, until 2027-01-01 00:00 UTC, in UTC"},
		{"rrule FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13;BYHOUR=9,17;BYMINUTE=30", "every month on day 13, only where that is Friday, at 09:30 and 17:30, in UTC"},
		{"rrule FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO", "every year on Monday in week 20 of the year, in UTC"},
		{"rrule FREQ=YEARLY;BYYEARDAY=100,-1;BYEASTER=-2,0,1", "every year on the 100th and the last day of the year on 2 days before Easter Sunday, Easter Sunday and 1 day after Easter Sunday, in UTC"},
		{"rrule FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2", "every month on Monday, Tuesday, Wednesday, Thursday and Friday, of these only the 2nd to last of each month, in UTC"},
		{"rrule FREQ=MINUTELY;INTERVAL=15;BYHOUR=9,10,11,12 in Asia/Tokyo gap skip", "every 15 minutes, at hours 9 to 12, in Asia/Tokyo, left out where clocks are put forward over it"},
		{
			"rrule FREQ=DAILY DTSTART;VALUE=DATE:20260101 RDATE;VALUE=DATE:20260201 EXRULE:FREQ=WEEKLY EXDATE;VALUE=DATE:20260102 gap after",
			"every day; or at 2026-02-01, counted from 2026-01-01, but not (every week) nor at 2026-01-02, in UTC, at the end of the gap where clocks are put forward over it",
		},
	} {
		s, err := schedule.Parse(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
		} else if got := s.Words(); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.text, got, tt.want)
		}
	}
}

func TestRRule_Warnings(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"FREQ=MONTHLY;BYMONTHDAY=31", "day 31 is not in every month: it is left out in February, April, June, September and November"},
		{"DTSTART:20260131T090000 RRULE:FREQ=MONTHLY", "day 31 is not in every month"},
		{"DTSTART:20240229T090000 RRULE:FREQ=YEARLY", "day 29 is not in every month: it is left out in February but in leap years"},
		{"FREQ=MONTHLY;BYDAY=5MO", "the 5th Monday is in some months only"},
		{"FREQ=YEARLY;BYWEEKNO=20", "BYWEEKNO without BYDAY is all seven days of the week"},
		{"FREQ=MONTHLY;BYWEEKNO=20;BYDAY=MO", "BYWEEKNO is for FREQ=YEARLY: with MONTHLY it leaves out the days of other weeks"},
		{"DTSTART:20260131 RRULE:FREQ=DAILY;BYHOUR=9", "BYHOUR, BYMINUTE and BYSECOND mean nothing where DTSTART is a date"},
		{"DTSTART:20260131T090000 RRULE:FREQ=WEEKLY;BYDAY=MO", "the start, 2026-01-31 09:00, does not match the rule, so that it is no occurrence"},
	} {
		s := schedule.RRule(tt.text)
		if got := s.Warnings(); s.Err() != nil || len(got) != 1 || !strings.Contains(got[0], tt.want) {
			t.Errorf("%s: %v, %q, want %s", tt.text, s.Err(), got, tt.want)
		}
	}
	if got := schedule.RRule("DTSTART:20260130T090000 RRULE:FREQ=MONTHLY;BYDAY=-1FR;BYMONTHDAY=28,29,30,31,25,26,27").Warnings(); len(got) != 0 {
		t.Errorf("warns of what is right: %q", got)
	}
}
