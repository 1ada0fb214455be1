package when

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func load(t testing.TB, zone string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

// wednesday is an afternoon in Berlin.
const wednesday = "2026-12-02T15:04:05+01:00"

func TestRead(t *testing.T) {
	tests := []struct {
		now, text string
		want      string // RFC 3339, or why not, and the readings
	}{
		// A time of day alone is the next one.
		{"", "17:00", "2026-12-02T17:00:00+01:00"},
		{"", "15:04", "2026-12-03T15:04:00+01:00"},
		{"", "15:05", "2026-12-02T15:05:00+01:00"},
		{"", "17:00:30", "2026-12-02T17:00:30+01:00"},
		{"", "09:00", "2026-12-03T09:00:00+01:00"},
		{"", "00:30", "2026-12-03T00:30:00+01:00"},
		{"", "0:30", "2026-12-03T00:30:00+01:00"},
		{"", "13:00", "2026-12-03T13:00:00+01:00"},
		{"", "24:00", "2026-12-03T00:00:00+01:00"},
		{"", "5pm", "2026-12-02T17:00:00+01:00"},
		{"", "5 PM", "2026-12-02T17:00:00+01:00"},
		{"", "5:30 p.m.", "2026-12-02T17:30:00+01:00"},
		{"", "12am", "2026-12-03T00:00:00+01:00"},
		{"", "12pm", "2026-12-03T12:00:00+01:00"},
		{"", "noon", "2026-12-03T12:00:00+01:00"},
		{"", "midnight", "2026-12-03T00:00:00+01:00"},
		{"", "at 17:00", "2026-12-02T17:00:00+01:00"},
		{"", "now", "2026-12-02T15:04:05+01:00"},
		{"2026-12-02T03:00:00+01:00", "5:00", "2026-12-02T05:00:00+01:00"},

		// Half of the day is not said, and the morning's has passed.
		{"", "5:00", "5:00 has passed today, and may be in the morning or in the afternoon: today 17:00 | tomorrow 05:00"},
		{"", "3:00", "3:00 has passed today, and may be in the morning or in the afternoon: tomorrow 03:00 | tomorrow 15:00"},
		{"", "12:30", "12:30 has passed today, and may be in the morning or in the afternoon: tomorrow 00:30 | tomorrow 12:30"},
		{"", "tomorrow 5:00", "2026-12-03T05:00:00+01:00"},
		{"", "today 5:00", "it has passed: today 17:00 | tomorrow 05:00"},

		// A number alone.
		{"", "1700", "2026-12-02T17:00:00+01:00"},
		{"", "0900", "2026-12-03T09:00:00+01:00"},
		{"", "2360", "2360 is no time of day; want 00:00 to 23:59"},
		{"", "17", "a number alone says neither a time of day nor a date: today 17:00"},
		{"", "5", "a number alone says neither a time of day nor a date: today 17:00 | tomorrow 05:00"},
		{"", "25", `"25" is neither a day nor a time of day; want ` + Examples},

		// Days.
		{"", "tomorrow 17:00", "2026-12-03T17:00:00+01:00"},
		{"", "17:00 tomorrow", "2026-12-03T17:00:00+01:00"},
		{"", "tomorrow at noon", "2026-12-03T12:00:00+01:00"},
		{"", "today 17:00", "2026-12-02T17:00:00+01:00"},
		{"", "today 14:00", "it has passed: tomorrow 14:00"},
		{"", "tomorrow", "the time of day is missing: tomorrow 00:00 | tomorrow 15:04"},
		{"", "today", "the time of day is missing"},
		{"", "tomorrow midnight", "midnight may be the beginning or the end of the day: tomorrow 00:00 | 2026-12-04 00:00"},
		{"", "today midnight", "2026-12-03T00:00:00+01:00"},
		{"", "tomorrow 24:00", "2026-12-04T00:00:00+01:00"},

		// Days of the week.
		{"", "friday 17:00", "2026-12-04T17:00:00+01:00"},
		{"", "Fri 17:00", "2026-12-04T17:00:00+01:00"},
		{"", "monday 9:00", "2026-12-07T09:00:00+01:00"},
		{"", "9:00 on Monday", "2026-12-07T09:00:00+01:00"},
		{"", "next monday 9:00", "2026-12-07T09:00:00+01:00"},
		{"", "next wednesday 9:00", "2026-12-09T09:00:00+01:00"},
		{"", "next friday 9:00", "next may be that of this week or that of the next: 2026-12-04 09:00 | 2026-12-11 09:00"},
		{"", "next sunday 9:00", "next may be that of this week or that of the next: 2026-12-06 09:00 | 2026-12-13 09:00"},
		{"2026-12-06T15:00:00+01:00", "next monday 9:00", "2026-12-07T09:00:00+01:00"},
		{"", "wednesday 17:00", "today is a wednesday: today 17:00 | 2026-12-09 17:00"},
		{"", "wednesday 14:00", "today is a wednesday: 2026-12-09 14:00"},
		{"", "friday", "the time of day is missing: 2026-12-04 00:00 | 2026-12-04 15:04"},
		{"", "next week", "the time of day is missing: 2026-12-09 00:00 | 2026-12-09 15:04"},
		{"", "noon next week", "2026-12-09T12:00:00+01:00"},
		{"", "teatime next month", "2027-01-02T16:00:00+01:00"},
		{"2027-01-31T09:00:00+01:00", "noon next month", "2027-02-28T12:00:00+01:00"},
		{"", "noon next year", "2027-12-02T12:00:00+01:00"},
		{"", "next time", `next is for a weekday, a week, a month or a year, as in "next monday 9:00"`},
		{"", "Thu 2026-12-24 18:00", "2026-12-24T18:00:00+01:00"},
		{"", "18:00 thu 24 dec", "2026-12-24T18:00:00+01:00"},
		{"", "Fri 2026-12-24 18:00", "2026-12-24 is a thursday"},

		// Dates.
		{"", "2026-12-24 18:00", "2026-12-24T18:00:00+01:00"},
		{"", "2026-12-24T18:00", "2026-12-24T18:00:00+01:00"},
		{"", "2026-12-24t18:00:30", "2026-12-24T18:00:30+01:00"},
		{"", "18:00 2026-12-24", "2026-12-24T18:00:00+01:00"},
		{"", "24 dec 18:00", "2026-12-24T18:00:00+01:00"},
		{"", "24th December 18:00", "2026-12-24T18:00:00+01:00"},
		{"", "dec 24, 6pm", "2026-12-24T18:00:00+01:00"},
		{"", "Dec. 24 2027 18:00", "2027-12-24T18:00:00+01:00"},
		{"", "1 dec 18:00", "2027-12-01T18:00:00+01:00"},
		{"", "2 dec 18:00", "2026-12-02T18:00:00+01:00"},
		{"", "2 dec 14:00", "2027-12-02T14:00:00+01:00"},
		{"", "29 feb 9:00", "2028-02-29T09:00:00+01:00"},
		{"", "24.12. 18:00", "2026-12-24T18:00:00+01:00"},
		{"", "3.4. 18:00", "2027-04-03T18:00:00+02:00"},
		{"", "24.12.2027 18:00", "2027-12-24T18:00:00+01:00"},
		{"", "12/24 18:00", "2026-12-24T18:00:00+01:00"},
		{"", "24/12 18:00", "2026-12-24T18:00:00+01:00"},
		{"", "4/4 18:00", "2027-04-04T18:00:00+02:00"},
		{"", "03/04 9:00", "either number may be the month: 2027-03-04 09:00 | 2027-04-03 09:00"},
		{"", "03/04/2028 9:00", "either number may be the month: 2028-03-04 09:00 | 2028-04-03 09:00"},
		{"", "03/04", "the time of day is missing: 2027-03-04 00:00 | 2027-03-04 15:04 | 2027-04-03 00:00 | 2027-04-03 15:04"},
		{"", "03/04/27 9:00", "want a year of four digits"},
		{"", "2026-12-24", "the time of day is missing: 2026-12-24 00:00 | 2026-12-24 15:04"},
		{"", "2025-12-24 18:00", "it has passed: 2026-12-24 18:00"},
		{"", "2027-02-29 18:00", "February 2027 has 28 days"},
		{"", "31 april 18:00", "April has 30 days"},
		{"", "2026-13-01 18:00", "there is no month 13"},

		// Instants.
		{"", "2026-12-24T18:00:00Z", "2026-12-24T19:00:00+01:00"},
		{"", "2026-12-24 18:00+01:00", "2026-12-24T18:00:00+01:00"},
		{"", "2026-12-24T18:00:00.5-05:00", "2026-12-25T00:00:00.5+01:00"},
		{"", "2026-12-24T18:00[America/New_York]", "2026-12-25T00:00:00+01:00"},
		{"", "2026-12-24T18:00[Mars/Base]", "want a zone of the IANA database, such as Europe/Berlin"},
		{"", "2020-12-24T18:00:00Z", "it has passed"},
		{"", "2027-03-14T02:30[America/New_York]", "02:30 does not exist on 2027-03-14: clocks go from 02:00 to 03:00: 2027-03-14T03:00:00-04:00 | 2027-03-14T03:30:00-04:00"},

		// Clocks that are changed.
		{"", "2027-03-28 02:30", "02:30 does not exist on 2027-03-28: clocks go from 02:00 to 03:00: 2027-03-28 03:00 | 2027-03-28 03:30"},
		{"", "2027-10-31 02:30", "02:30 comes twice on 2027-10-31: clocks are put back: 2027-10-31T02:30:00+02:00 | 2027-10-31T02:30:00+01:00"},
		{"2027-03-28T01:00:00+01:00", "02:30", "02:30 does not exist on 2027-03-28: clocks go from 02:00 to 03:00: today 03:00 | today 03:30"},
		{"2027-03-28T04:00:00+02:00", "02:30", "2027-03-29T02:30:00+02:00"},
		{"2027-10-31T01:00:00+02:00", "02:30", "02:30 comes twice on 2027-10-31: clocks are put back: 2027-10-31T02:30:00+02:00 | 2027-10-31T02:30:00+01:00"},
		{"2027-10-31T02:40:00+02:00", "02:30", "2027-10-31T02:30:00+01:00"},
		{"2027-10-31T02:40:00+01:00", "02:30", "2027-11-01T02:30:00+01:00"},

		// What is none.
		{"", "", "it is empty; want " + Examples},
		{"", " , ", `"," is neither a day nor a time of day; want ` + Examples},
		{"", "5m", "that is how long, not when; for once after it: duly in 5m"},
		{"", "in 5m", "that is how long, not when; for once after it: duly in 5m"},
		{"", "25:00", "25:00 is no time of day; want 00:00 to 23:59"},
		{"", "17:60", "17:60 is no time of day; want 00:00 to 23:59"},
		{"", "17pm", "17pm is no time of day; want 00:00 to 23:59"},
		{"", "17:00 18:00", "it has two times of day, 17:00 and 18:00"},
		{"", "today tomorrow 17:00", "it has two days"},
		{"", "17:00 utc", "2026-12-02T18:00:00+01:00"},
		{"", "17:00 America/New_York", "2026-12-02T23:00:00+01:00"},
		{"", "17:00 -0600", "2026-12-03T00:00:00+01:00"},
		{"", "2026-12-24 18:00:30.25 +05:45", "2026-12-24T13:15:30.25+01:00"},
		{"", "17:00 Mars/Base", `"Mars/Base" is no zone of the IANA database, such as Europe/Berlin`},
		{"", "17:00 est", `"est" is no zone here; --zone takes one of the IANA database, and 2026-12-24T18:00:00+01:00 has an offset`},
		{"", "12242026 9:00", "2026-12-24T09:00:00+01:00"},
		{"", "04032027 9:00", "its digits make more than one date: 2027-03-04 09:00 | 2027-04-03 09:00"},
		{"", "9:00 122426", "want a year of four digits"},
		{"", "@1796220246", "2026-12-02T15:04:06+01:00"},
		{"", "@1", "it has passed"},
		{"", "@x", "want the seconds since 1970 behind @, as in @1767225600"},

		// And a length.
		{"", "now + 3 days", "2026-12-05T15:04:05+01:00"},
		{"", "now +1h", "2026-12-02T16:04:05+01:00"},
		{"", "+3h30min", "2026-12-02T18:34:05+01:00"},
		{"", "4pm + 3 days", "2026-12-05T16:00:00+01:00"},
		{"", "noon tomorrow - 1 hour", "2026-12-03T11:00:00+01:00"},
		{"", "noon + 1 day + 1 hour", "2026-12-04T13:00:00+01:00"},
		{"2027-01-31T09:00:00+01:00", "now + 1 month", "2027-02-28T09:00:00+01:00"},
		{"2027-03-27T12:00:00+01:00", "now + 1 day", "2027-03-28T12:00:00+02:00"},
		{"2027-03-27T12:00:00+01:00", "now + 24h", "2027-03-28T13:00:00+02:00"},
		{"2027-03-27T02:30:00+01:00", "now + 1 day", "2027-03-28T03:00:00+02:00"},
		{"", "tomorrow + 1 week", "the time of day is missing: tomorrow 00:00 + P7D | tomorrow 15:04 + P7D"},
		{"", "5 min ago", "it has passed"},
		{"", "-5s", "it has passed"},
		{"", "now + 9999 years", "it is beyond the years 1 to 9999"},
		{"", "yesterday 17:00", "it has passed: tomorrow 17:00"},
		{"", "teatime", "2026-12-02T16:00:00+01:00"},
		{"", "tomorow 17:00", `"tomorow" is neither a day nor a time of day, but "tomorrow" is: tomorrow 17:00`},
		{"", "teatme", `"teatme" is neither a day nor a time of day, but "teatime" is: today 16:00`},
		{"", "Tomorow, 17:00", `"tomorow" is neither a day nor a time of day, but "tomorrow" is: tomorrow 17:00`},
		{"", "tomorow at teatme", `"tomorow" is neither a day nor a time of day, but "tomorrow" is`},
		{"", "next mondy 9:00", `next is not for "mondy", but "monday" is: 2026-12-07 09:00`},
		{"", "tomorow", `"tomorow" is neither a day nor a time of day, but "tomorrow" is`},
		{"", "june", `"june" is neither a day nor a time of day; want ` + Examples},
		{"", "9:00 march", `"march" is neither a day nor a time of day; want ` + Examples},
		{"", "zzzzzzz", `"zzzzzzz" is neither a day nor a time of day; want ` + Examples},

		// What is read with care: texts that were read wrong, or not at all.
		{"", "\u023a\u023a\u023a\u023a\u023a ago", "it has U+023A at byte 1; want letters, digits and signs of ASCII, and blanks between words"},
		{"", "in \u023a\u023a\u023a\u023a", "it has U+023A at byte 4; want letters, digits and signs of ASCII, and blanks between words"},
		{"", "Fr\u0130day 9:00", "it has U+0130 at byte 3; want letters, digits and signs of ASCII, and blanks between words"},
		{"", "tomorrow\u00a017:00", "it has U+00A0 at byte 9; want letters, digits and signs of ASCII, and blanks between words"},
		{"", "tomorrow\n17:00", "it has U+000A at byte 9; want letters, digits and signs of ASCII, and blanks between words"},
		{"", "\u0661\u0667:\u0660\u0660", "it has U+0661 at byte 1; want letters, digits and signs of ASCII, and blanks between words"},
		{"", "\ttomorrow\t17:00\n", "2026-12-03T17:00:00+01:00"},
		{"", "now\t+ 1h", "2026-12-02T16:04:05+01:00"},
		{"", "now + 5\u00b5s", "2026-12-02T15:04:05.000005+01:00"},
		{"", "@253402300799", "10000-01-01T00:59:59+01:00"}, // which is still 9999 in UTC
		{"", "@253402300800", "it is beyond the years 1 to 9999"},
		{"", "@-9223372036854775808", "it is beyond the years 1 to 9999"},
		{"", "9999-12-31 23:59 -12", "it is beyond the years 1 to 9999"},
		{"", "9999-12-31 24:00 UTC", "it is beyond the years 1 to 9999"},
		{"9999-12-31T23:00:00Z", "tomorrow 17:00 UTC", "it is beyond the years 1 to 9999"},
		{"9999-12-31T23:00:00Z", "29 feb 9:00", "it is beyond the years 1 to 9999"},
		{"", "17:00 right/Europe/Berlin", `"right/Europe/Berlin" is no zone of the IANA database, such as Europe/Berlin`},
		{"", "17:00 posix/Europe/Berlin", `"posix/Europe/Berlin" is no zone of the IANA database, such as Europe/Berlin`},
		{"", "2027 dec 24", "2027 may be the year, or 20:27: 2026-12-24 20:27 | 2027-12-24 00:00"},
		{"", "24.12. 2027", "2027 may be the year, or 20:27: 2026-12-24 20:27 | 2027-12-24 00:00"},
		{"", "1800 dec 24", "2026-12-24T18:00:00+01:00"},
		{"", "24.12. 2015", "2026-12-24T20:15:00+01:00"},
		{"", "2027 tomorrow", "2026-12-03T20:27:00+01:00"},
		{"", "dec 24 1800", "the time of day is missing: 2026-12-24 18:00"},
		{"", "dec 24 2027", "the time of day is missing: 2026-12-24 20:27 | 2027-12-24 00:00 | 2027-12-24 15:04"},
		{"", "27-12-28 9:00", "its digits make more than one date: 2027-12-28 09:00 | 2028-12-27 09:00"},
		{"", "27-11-25 9:00", "2027-11-25T09:00:00+01:00"},
		{"", "12-11-27 9:00", "its digits make more than one date: 2027-11-12 09:00"},
		{"", "21th dec 9:00", `"21th" is neither a day nor a time of day; want ` + Examples},
		{"", "22nd dec 9:00", "2026-12-22T09:00:00+01:00"},
		{"", "11th dec 9:00", "2026-12-11T09:00:00+01:00"},
		{"", "Thu 2026-12-24 24:00", "2026-12-25T00:00:00+01:00"},
		{"", "Fri 2026-12-24 24:00", "2026-12-24 is a thursday"},
		{"", "Thu 2026-12-24T23:30Z", "2026-12-25T00:30:00+01:00"},
		{"", "Fri 2026-12-24T23:30:00Z", "2026-12-24 is a thursday"},
		{"", "Thu 2026-12-24T18:00:00-05:00[America/New_York]", "2026-12-25T00:00:00+01:00"},
		{"", "now UTC", "2026-12-02T15:04:05+01:00"},
		{"", "at now", "2026-12-02T15:04:05+01:00"},
		{"", "--P1D", `"--p1d" is neither a day nor a time of day; want ` + Examples},
		{"", "-P1D ago", `"-p1d" is neither a day nor a time of day; want ` + Examples},
		{"", "now - -P1D", `"now" is neither a day nor a time of day; want ` + Examples},
		{"2027-03-28T01:00:00+01:00", "28 mar 02:30", "02:30 does not exist on 2027-03-28: clocks go from 02:00 to 03:00: today 03:00 | today 03:30"},
		{"2027-03-28T01:00:00+01:00", "sunday 02:30", "today is a sunday: today 03:00 | today 03:30 | 2027-04-04 02:30"},
		{"2027-03-28T04:00:00+02:00", "28 mar 02:30", "2028-03-28T02:30:00+02:00"},
		{"2026-09-05T12:00:00-04:00", "tomorrow midnight America/Santiago", "midnight may be the beginning or the end of the day: 2026-09-06T01:00:00-03:00 | 2026-09-07T00:00:00-03:00"},
		{"2026-09-05T12:00:00-04:00", "today midnight America/Santiago", "the clocks skip that midnight: 2026-09-06T01:00:00-03:00"},
		{"", "2027-01-01T00:00:00Z/PT1H", "that is an interval, of which either end may be meant: 2027-01-01 01:00 | 2027-01-01 02:00"},
		{"", "P1M/2027-01-31T00:00:00Z", "that is an interval, of which either end may be meant: 2026-12-31 01:00 | 2027-01-31 01:00"},
		{"", "2027-01-01 09:00/2027-02-01 09:00", "that is an interval, of which either end may be meant: 2027-01-01 09:00 | 2027-02-01 09:00"},
		{"", "2027-01-01T09:00[Europe/Berlin]/P1D", "that is an interval, of which either end may be meant: 2027-01-01 09:00 | 2027-01-02 09:00"},
		{"", "2027-01-01T09:00/whenever", `"09:00/whenever" is neither a day nor a time of day; want ` + Examples},
		{"", "at", `"at" is neither a day nor a time of day; want ` + Examples},
		{"", "\xff", "it is not UTF-8"},
		{"", strings.Repeat("9", 101), "it has 101 bytes, want at most 100"},
	}
	berlin := load(t, "Europe/Berlin")
	for _, tt := range tests {
		if tt.now == "" {
			tt.now = wednesday
		}
		t.Run(tt.now+" "+tt.text, func(t *testing.T) {
			now, err := time.Parse(time.RFC3339, tt.now)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, answer(t, tt.text, now, berlin)); diff != "" {
				t.Errorf("Read(%q) (-want +got):\n%s", tt.text, diff)
			}
		})
	}
}

// answer is what Read gives, as a line; it checks that each reading is read back.
func answer(t *testing.T, text string, now time.Time, loc *time.Location) string {
	t.Helper()
	got, err := Read(text, now, loc)
	if err == nil {
		return got.In(loc).Format(time.RFC3339Nano)
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("Read(%q): %v, want an *Error", text, err)
	}
	var offers []string
	for _, r := range e.Readings {
		offers = append(offers, r.Text)
		back, err := Read(r.Text, now, loc)
		if err != nil || !back.Equal(r.At) {
			t.Errorf("Read(%q) offers %q for %v, which is read as %v, %v", text, r.Text, r.At, back, err)
		}
	}
	if offers == nil {
		return e.Why
	}
	return e.Why + ": " + strings.Join(offers, " | ")
}

// TestError_Line: the error is one line that offers what would be accepted.
func TestError_Line(t *testing.T) {
	now, err := time.Parse(time.RFC3339, wednesday)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Read("03/04 9:00", now, load(t, "Europe/Berlin"))
	const want = `"03/04 9:00": either number may be the month; want "2027-03-04 09:00" or "2027-04-03 09:00"`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// FuzzRead: no text panics or hangs; what is read is ahead, and what is offered is ahead and read back as what it is offered for.
func FuzzRead(f *testing.F) {
	for _, text := range []string{
		"17:00", "5:00", "tomorrow 17:00", "next friday 9:00", "03/04 9:00", "24 dec 18:00", "24.12. noon", "monday midnight",
		"2026-12-24T18:00[Europe/Berlin]", "29 feb 02:30", "2027-10-31 02:30", "24:00", "1700", "next", "at",
	} {
		f.Add(text, int64(1796220245), uint8(0))
	}
	zones := []string{"Europe/Berlin", "UTC", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Beirut", "Pacific/Apia", "America/Scoresbysund"}
	locs := make([]*time.Location, len(zones))
	for i, zone := range zones {
		locs[i] = load(f, zone)
	}
	f.Fuzz(func(t *testing.T, text string, sec int64, zone uint8) {
		const century = 100 * 365 * 24 * 60 * 60
		now, loc := time.Unix((sec%century+century)%century, 0), locs[int(zone)%len(locs)]
		got, err := Read(text, now, loc)
		if err == nil {
			if got.Before(now) || got.Equal(now) && !strings.Contains(strings.ToLower(text), "now") || !inRange(got) {
				t.Errorf("Read(%q) at %v: %v, which is not ahead", text, now.In(loc), got.In(loc))
			}
			if passed, err := ReadAny(text, now, loc); err != nil || !passed.Equal(got) {
				t.Errorf("%q at %v: Read says %v, ReadAny %v, %v", text, now.In(loc), got.In(loc), passed.In(loc), err)
			}
			return
		}
		e, ok := errors.AsType[*Error](err)
		if !ok {
			t.Fatalf("Read(%q): %v, want an *Error", text, err)
		}
		for i, r := range e.Readings {
			back, err := Read(r.Text, now, loc)
			if err != nil || !back.Equal(r.At) || !r.At.After(now) || i > 0 && !r.At.After(e.Readings[i-1].At) {
				t.Errorf("Read(%q) at %v offers %q for %v, which is read as %v, %v", text, now.In(loc), r.Text, r.At.In(loc), back.In(loc), err)
			}
		}
	})
}

// TestReadAny: what has passed may be named, where the text says which instant it is.
func TestReadAny(t *testing.T) {
	berlin := load(t, "Europe/Berlin")
	now, err := time.Parse(time.RFC3339, wednesday)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"11 min ago":             "2026-12-02T14:53:05+01:00",
		"-5s":                    "2026-12-02T15:04:00+01:00",
		"yesterday 17:00":        "2026-12-01T17:00:00+01:00",
		"today 14:00":            "2026-12-02T14:00:00+01:00",
		"2020-12-24 18:00":       "2020-12-24T18:00:00+01:00",
		"2020-12-24T18:00:00Z":   "2020-12-24T19:00:00+01:00",
		"Thu 70-1-1 0:00:01 UTC": "1970-01-01T01:00:01+01:00",
		"@1":                     "1970-01-01T01:00:01+01:00",
		"14:00":                  "2026-12-03T14:00:00+01:00",
	} {
		got, err := ReadAny(text, now, berlin)
		if err != nil || got.In(berlin).Format(time.RFC3339) != want {
			t.Errorf("%q: got %v, %v; want %s", text, got.In(berlin), err, want)
		}
	}
}

// TestSchedule: an instant as people write it is stored as the instant that it is.
func TestSchedule(t *testing.T) {
	berlin := load(t, "Europe/Berlin")
	now, err := time.Parse(time.RFC3339, wednesday)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"at tomorrow 17:00":               "at 2026-12-03T16:00:00Z",
		"at now + 3 days jitter 1m":       "at 2026-12-05T14:04:05Z jitter 1m",
		"at 2026-12-24T18:00[Asia/Tokyo]": "at 2026-12-24T09:00:00Z",
		"every weekday at 9":              "cron 0 9 * * mon-fri",
		"at tomorrow":                     `"tomorrow": the time of day is missing; want "tomorrow 00:00" or "tomorrow 15:04"`,
		"at noon jitter 0s":               `schedule: at byte 32: jitter "0s": want longer than 0`,
		"evry 5m":                         "",
	} {
		got, err := Schedule(text, now, berlin)
		switch {
		case want == "" && err == nil, err != nil && want != "" && err.Error() != want, err == nil && got.String() != want:
			t.Errorf("%q: got %v, %v; want %s", text, got, err, want)
		}
	}
}
