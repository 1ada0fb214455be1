package schedule

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What is read is printed in the form that systemd-analyze calendar calls normalised, which reads as the same.
func TestCalendar_Canonical(t *testing.T) {
	tests := []struct{ expr, want string }{
		{"Mon..Fri 09:00", "Mon..Fri *-*-* 09:00:00"},
		{"  Mon   *-*-1   9:0  ", "Mon *-*-01 09:00:00"},
		{"MONDAY,tue-Thursday,", "Mon..Thu *-*-* 00:00:00"},
		{"Sun,Sat", "Sat,Sun *-*-* 00:00:00"},
		{"Sun,Sat,Fri,Mon", "Mon,Fri..Sun *-*-* 00:00:00"},
		{"Thu..Thu", "Thu *-*-* 00:00:00"},
		{"Mon..Sun", "*-*-* 00:00:00"},
		{"Mon, 9:00", "Mon *-*-* 09:00:00"},
		{"*-*", "*-*-* 00:00:00"},
		{"*~*", "*-*-* 00:00:00"},
		{"12-24", "*-12-24 00:00:00"},
		{"1-2-3", "2001-02-03 00:00:00"},
		{"70..05-1-1", "1970..2005-01-01 00:00:00"},
		{"0026-1-1", "2026-01-01 00:00:00"},
		{"2/3-*-*", "2002/3-*-* 00:00:00"},
		{"*-5~5,3", "*-05~03,05 00:00:00"},
		{"*-*~07/3", "*-*~07/3 00:00:00"},
		{"*-*~1..8/3", "*-*~01..07/3 00:00:00"},
		{"*:5..10/6", "*-*-* *:05:00"},
		{"*:5..10/1000", "*-*-* *:05:00"},
		{"*:5,5,5", "*-*-* *:05:00"},
		{"*:5..20,5/10,5", "*-*-* *:05,05/10,05..20:00"},
		{"*:5..20/3,5..20/2,5..30", "*-*-* *:05..19/2,05..20/3,05..30:00"},
		{"0000000000005:00", "*-*-* 05:00:00"},
		{"*:*:*", "*-*-* *:*:*"},
		{"*:*:5,0/1", "*-*-* *:*:*"},
		{"*:*:0..59", "*-*-* *:*:00..59"},
		{"0/1:00", "*-*-* 00/1:00:00"}, // pins the hour
		{"09:00:00.123456789", "*-*-* 09:00:00.123457"},
		{"00:00:1.5..4", "*-*-* 00:00:01.500000..03.500000"},
		{"00:00:1.5..4/0.5", "*-*-* 00:00:01.500000..04/0.500000"},
		{"00:00:00/0.5,5", "*-*-* 00:00:00/0.500000,05"},
		{"*:*:0/0.5,0/1", "*-*-* *:*:00/0.500000,00/1"}, // systemd prints *, and means this
		{"*:*:0/0.0000005", "*-*-* *:*:00/0.000001"},
		{"*:*:59.5/0.4", "*-*-* *:*:59.500000/0.400000"},
		{"daily", "*-*-* 00:00:00"},
		{"Weekly", "Mon *-*-* 00:00:00"},
		{"MONTHLY", "*-*-01 00:00:00"},
		{"minutely", "*-*-* *:*:00"},
		{"hourly", "*-*-* *:00:00"},
		{"quarterly", "*-01,04,07,10-01 00:00:00"},
		{"yearly", "*-01-01 00:00:00"},
		{"annually", "*-01-01 00:00:00"},
		{"anually", "*-01-01 00:00:00"},
		{"semiannually", "*-01,07-01 00:00:00"},
		{"semi-annually", "*-01,07-01 00:00:00"},
		{"biannually", "*-01,07-01 00:00:00"},
		{"bi-annually", "*-01,07-01 00:00:00"},
		{"@0", "1970-01-01 00:00:00"},
		{"@007 utc", "1970-01-01 00:00:07"},
		{"Thu @5", "Thu 1970-01-01 00:00:05"},
		{"@7258118399", "2199-12-31 23:59:59"},
		{"weekly Europe/Berlin", "Mon *-*-* 00:00:00 in Europe/Berlin"},
		{"9:00 utc", "*-*-* 09:00:00"},
	}
	for _, tt := range tests {
		s := Calendar(tt.expr)
		if s.Err() != nil || s.Kind() != KindCalendar {
			t.Errorf("Calendar(%q): %v", tt.expr, s.Err())
			continue
		}
		if got := s.String(); got != "calendar "+tt.want {
			t.Errorf("Calendar(%q) = %q, want %q", tt.expr, got, "calendar "+tt.want)
		}
		again, err := Parse(s.String())
		if err != nil || !again.Equal(s) || again.String() != s.String() {
			t.Errorf("Parse(%q) = %q, %v", s, again, err)
		}
		b, err := json.Marshal(s)
		var back Schedule
		if err != nil || json.Unmarshal(b, &back) != nil || !back.Equal(s) {
			t.Errorf("%q: JSON is %s, which reads as %q, %v", s, b, back, err)
		}
	}
}

// Clauses stand behind a calendar as behind a cron expression.
func TestCalendar_Clauses(t *testing.T) {
	const text = "calendar Mon..Fri *-*-* 09:00:00 in Europe/Berlin gap skip fold both except (calendar *-12-25 *:*:00) from 2026-01-01T00:00:00Z until 2030-01-01T00:00:00Z times 7 jitter 10m"
	built := Calendar("mon-fri 9:00").In("Europe/Berlin").DST(GapSkip, FoldBoth).Except(Calendar("*-12-25 *:*")).
		From(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)).Until(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)).Times(7).Jitter(10 * time.Minute)
	if err := built.Err(); err != nil || built.String() != text {
		t.Errorf("got %q, %v, want %q", built, err, text)
	}
	s, err := Parse(text)
	if err != nil || !s.Equal(built) || s.Equal(built.In("UTC")) || s.Zone() != "Europe/Berlin" || !s.Recurring() || s.Relative() || !s.Zoned() {
		t.Errorf("Parse: %q, %v", s, err)
	}
	if a, b := Calendar("9:00"), Calendar("9:01"); a.Equal(b) || a.Equal(Cron("0 9 * * *")) || !a.Equal(Calendar("*-*-* 9:0:0")) {
		t.Error("Equal compares something else than what is meant")
	}
	for _, tt := range []struct{ text, want string }{
		{"calendar 9:00 UTC in UTC", `at byte 22: in "UTC": want the zone once: the expression itself says UTC`},
		{"calendar @0 in Europe/Berlin", `at byte 16: in "Europe/Berlin": want the zone once`},
		{"calendar 9:00 days and", `at byte 20: days "and": want it on "cron" only`},
		{"calendar 9:00 align 2026-01-01", `align "2026-01-01T00:00:00Z": want it on "every" only`},
		{"calendar 9:00 soon", `in "soon": want a zone`},
		{"calendar 9:00 in UTC soon", `schedule "soon": want the end or "in ZONE", "gap", "fold", "except (S)"`},
		{"calendar", `at byte 9: calendar: want weekdays, a date`},
		{"calendar in UTC", `at byte 10: calendar: want weekdays, a date`},
		{"calendar 9:00)", `schedule ")": want an opening parenthesis`},
		{"Calendar 9:00", `want lower case: "calendar"`},
	} {
		if _, err := Parse(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Parse(%q): %v, want %s", tt.text, err, tt.want)
		}
	}
	if err := Calendar("@0").In("Europe/Berlin").Err(); err == nil || !strings.Contains(err.Error(), "UTC or none") {
		t.Errorf("an instant takes a zone: %v", err)
	}
	if err := Calendar("@0").In("UTC").Err(); err != nil {
		t.Error(err)
	}
}

// What systemd refuses is refused, and the mistake says where, what, and what would be right.
func TestCalendar_Refused(t *testing.T) {
	tests := []struct {
		expr, field, value string
		pos                int
		want               string
	}{
		{"", "calendar", "", 1, "weekdays, a date, a time"},
		{"   ", "calendar", "   ", 1, "weekdays, a date, a time"},
		{"utc", "weekday", "utc", 1, "a time before the zone, as in 09:00 UTC"},
		{"9", "calendar", "9", 1, `"9:00" for a time, or a date such as "*-*-9"`},
		{"*", "calendar", "*", 1, `a date such as "*-*-01" or a time`},
		{"*-*-* 9", "calendar", "9", 7, `"9:00"`},
		{"*-*-* *", "calendar", "*", 7, `a time such as "09:00"`},
		{"*-*-*-*", "calendar", "*-*-*-*", 6, "year-month-day or month-day"},
		{"*-*-1-7", "calendar", "*-*-1-7", 6, `".." for a range of days, as in *-*-1..7`},
		{"2026~3~1", "calendar", "2026~3~1", 7, "nothing but the day behind the ~"},
		{"2026~3-1", "calendar", "2026~3-1", 7, "nothing but the day behind the ~"},
		{"*-~1", "month", "", 3, "1 to 12, or * for all"},
		{"Mon 9:00 10:00", "calendar", "10:00", 10, `one time, with lists in it: "9,17:30"`},
		{"9:00 +01:00", "calendar", "+01:00", 6, "a zone by its name"},
		{"9:00 2026-01-01", "calendar", "2026-01-01", 6, "weekdays, a date, a time and a zone, in this order"},
		{"9:00 Mon", "weekday", "Mon", 6, "it first"},
		{"9:00  UTC", "in", "UTC", 7, "one space before the zone"},
		{"9:00 Europe/Berln", "in", "Europe/Berln", 6, "did you mean Europe/Berlin?"},
		{"9:00 Local", "in", "Local", 6, "not the machine's own"},
		{"daily 9:00", "weekday", "daily", 1, `"daily" alone`},
		{"dayly", "weekday", "dayly", 1, `"daily"`},
		{"Fri..Mon", "weekday", "Fri..Mon", 6, `a range from Monday to Sunday: "Fri..Sun,Mon"`},
		{"Sun..Tue", "weekday", "Sun..Tue", 6, `a range from Monday to Sunday: "Sun,Mon..Tue"`},
		{"Mon..", "weekday", "Mon..", 6, "a weekday to end the range"},
		{"Mon..Wed..Fri", "weekday", "Mon..Wed..Fri", 9, "a range has two ends"},
		{"Mon.Fri", "weekday", "Mon.Fri", 4, `".." for a range`},
		{"Mon#2", "weekday", "Mon#2", 4, `the second Monday is "Mon *-*-08..14"`},
		{"Mon,,Tue", "weekday", "Mon,,Tue", 5, `a weekday before the ","`},
		{"Mo", "weekday", "Mo", 1, `"monthly" or "mon" or "monday"`},
		{"Montag", "weekday", "Montag", 1, `"Mon"`},
		{"Tues", "weekday", "Tues", 1, `"Tue"`},
		{"dec-24", "weekday", "dec-24", 1, "months are numbers, as in *-12-24"},
		{"*/5:00", "hour", "*/5", 1, `"0/5"`},
		{"*-*-*/2", "day", "*/2", 5, `"1/2"`},
		{"5,*:00", "hour", "*", 3, "* alone, or numbers"},
		{"24:00", "hour", "24", 1, "0 to 23; midnight is 00:00"},
		{"9:60", "minute", "60", 3, "0 to 59; the full one is 0"},
		{"9:00:60", "second", "60", 6, "0 to 59.999999"},
		{"9-17:00", "hour", "9-17", 2, `".." for a range, as in 9..17`},
		{"22..2:00", "hour", "22..2", 5, `two ranges: "22..23,0..2"`},
		{"*-*~7..1", "day", "7..1", 8, "a value not before 7"},
		{"2026..2020-1-1", "year", "2026..2020", 7, "a value not before 2026"},
		{"2200-1-1", "year", "2200", 1, "1970 to 2199"},
		{"1969-1-1", "year", "1969", 1, "1970 to 2199"},
		{"*-*~29", "day", "29", 5, "1 to 28 behind the ~"},
		{"*-*-L", "day", "L", 5, `"~01" for the month's last day`},
		{"*-dec-24", "month", "dec", 3, `"12": months are numbers`},
		{"*-*-?", "day", "?", 5, `"*"`},
		{"*:5/55", "minute", "5/55", 5, "a step that leads to another value: 1 to 54"},
		{"*:59/1", "minute", "59/1", 6, "no step: nothing comes after 59"},
		{"*-*~5/5", "day", "5/5", 7, "1 to 4"},
		{"*:5/0", "minute", "5/0", 5, "a step longer than 0"},
		{"*:5/", "minute", "5/", 5, `a number after "5/"`},
		{"*:5/5/5", "minute", "5/5/5", 6, `one "/" only`},
		{"*:5/5..9", "minute", "5/5..9", 6, "the range before the step"},
		{"*:5..6..7", "minute", "5..6..7", 7, `one ".." only`},
		{"*:..5", "minute", "..5", 3, `a number before the ".."`},
		{"*:5,", "minute", "5,", 5, "no comma"},
		{"+1:00", "hour", "+1", 1, "without a sign"},
		{"1.5:00", "hour", "1.5", 2, "whole numbers"},
		{"2026-1-1T9:00", "hour", "2026-1-1T9", 1, "a space between date and time"},
		{"9:00pm", "minute", "00pm", 5, "without am and pm"},
		{"9:00:00Z", "second", "00Z", 8, "a space and the name of a zone"},
		{"9:00:00:00", "calendar", "9:00:00:00", 8, "hour:minute:second"},
		{"9:0:0.", "second", "0.", 7, "digits after the point"},
		{"9:0:1..1", "second", "1..1", 8, "a range of a second at least"},
		{"*:*:0/0.0000001", "second", "0/0.0000001", 7, "a step longer than 0"},
		{"00:00:59.9999995", "second", "59.9999995", 7, "0 to 59.999999"},
		{"00:00:5..9/4853", "second", "5..9/4853", 12, "0 to 59.999999"},
		{"@", "calendar", "@", 2, "a number of seconds"},
		{"@1.5", "calendar", "@1.5", 3, "a number of seconds"},
		{"@7258118400", "calendar", "@7258118400", 1, "up to the year 2199"},
		{"@5 9:00", "calendar", "9:00", 4, "nothing behind @N"},
		{"@5 Europe/Berlin", "in", "Europe/Berlin", 4, "UTC or none"},
		{"9:00\t", "calendar", "\t", 5, "spaces, not U+0009 (tab)"},
		{"9:00\n", "calendar", "\n", 5, "ASCII, not U+000A (line feed)"},
		{"９:00", "calendar", "９", 1, `"9" in ASCII`},
		{"9:0\xff", "calendar", "\xff", 4, "ASCII, not the byte 0xff"},
		{"Mon–Fri", "calendar", "–", 4, `"-" in ASCII`},
		{"0 9 * * mon-fri", "calendar", "0 9 * * mon-fri", 1, `"cron 0 9 * * mon-fri"`},
		{"*:" + strings.Repeat("5,", 241) + "5", "minute", strings.Repeat("5,", 24) + "...", 3, "at most 241 items"},
		{strings.Repeat("9", 5000), "calendar", strings.Repeat("9", 48) + "...", 4097, "at most 4096 bytes, not 5000"},
	}
	for _, tt := range tests {
		var e *Error
		if err := Calendar(tt.expr).Err(); !errors.As(err, &e) {
			t.Errorf("Calendar(%.60q) is accepted as %v", tt.expr, Calendar(tt.expr))
			continue
		}
		if e.Field != tt.field || e.Value != tt.value || e.Pos != tt.pos || !strings.Contains(e.Want, tt.want) {
			t.Errorf("Calendar(%.60q):\n got %d %s %q: %s\nwant %d %s %q: %s", tt.expr, e.Pos, e.Field, e.Value, e.Want, tt.pos, tt.field, tt.value, tt.want)
		}
	}
}

// What never happens is well formed, and nothing accepts it; what is over is accepted.
func TestCalendar_Never(t *testing.T) {
	for _, expr := range []string{"*-2-30", "*-2,4-31", "2026-02-29", "Mon 2026-01-01", "*-*-31..31 9:00 UTC"} {
		s := Calendar(expr)
		if want := !strings.Contains(expr, "31..31"); s.Never() != want || (s.Err() != nil) != want || (len(s.Warnings()) > 0 && strings.Contains(s.Warnings()[0], "never")) != want {
			t.Errorf("%q: never %v, %v, %q", expr, s.Never(), s.Err(), s.Warnings())
		}
	}
	if s := Calendar("2003-03-05"); s.Err() != nil || !s.Bind("", time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)).First().IsZero() {
		t.Errorf("what is over: %v", s.Err())
	}
}

// occurrences shows the first n instants after from.
func occurrences(t *testing.T, text, from string, n int) (all []string) {
	t.Helper()
	s, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse(time.RFC3339Nano, from)
	if err != nil {
		t.Fatal(err)
	}
	loc, err := time.LoadLocation(s.Zone())
	if err != nil {
		t.Fatal(err)
	}
	r := s.Bind("", time.Time{})
	for at = r.Next(at); !at.IsZero() && len(all) < n; at = r.Next(at) {
		if p := r.Next(r.Prev(at)); !p.Equal(at) {
			t.Errorf("%s: Next(Prev(%v)) = %v", text, at, p)
		}
		all = append(all, at.In(loc).Format("01-02T15:04:05.999999Z07"))
	}
	return all
}

// Fractions of a second, and what a change of the clocks does to them.
//
// contract: I2, I3, I4.
func TestCalendar_Fractions(t *testing.T) {
	tests := []struct {
		text, from string
		want       []string
	}{
		{"calendar *:*:0.5", "2026-01-01T00:00:00Z", []string{"01-01T00:00:00.5Z", "01-01T00:01:00.5Z"}},
		{"calendar *:*:0.5", "2026-01-01T00:00:00.499999999Z", []string{"01-01T00:00:00.5Z", "01-01T00:01:00.5Z"}},
		{"calendar *:*:0.5", "2026-01-01T00:00:00.5Z", []string{"01-01T00:01:00.5Z", "01-01T00:02:00.5Z"}},
		{"calendar *:*:0/0.25,0.1", "2026-01-01T00:00:59.7Z", []string{"01-01T00:00:59.75Z", "01-01T00:01:00Z", "01-01T00:01:00.1Z", "01-01T00:01:00.25Z"}},
		{"calendar 23:59:59.999999", "2026-01-01T00:00:00Z", []string{"01-01T23:59:59.999999Z", "01-02T23:59:59.999999Z"}},
		{"calendar *:*:0/0.000001", "2026-01-01T00:00:59.999998Z", []string{"01-01T00:00:59.999999Z", "01-01T00:01:00Z", "01-01T00:01:00.000001Z"}},
		{"calendar 09:11:23.42/1.77", "2026-01-01T09:11:58Z", []string{"01-01T09:11:58.82Z", "01-02T09:11:23.42Z"}},
		{"calendar 2:30:0.5 Europe/Berlin", "2026-03-28T12:00:00Z", []string{"03-29T03:00:00+02", "03-30T02:30:00.5+02"}},
		{"calendar 2..3:0:0.5 Europe/Berlin", "2026-03-28T12:00:00Z", []string{"03-29T03:00:00+02", "03-29T03:00:00.5+02", "03-30T02:00:00.5+02"}},
		{"calendar 2..3:0:0,0.5 Europe/Berlin", "2026-03-28T12:00:00Z", []string{"03-29T03:00:00+02", "03-29T03:00:00.5+02", "03-30T02:00:00+02"}},
		{"calendar 2:30:0.5 Europe/Berlin gap shift", "2026-03-28T12:00:00Z", []string{"03-29T03:30:00.5+02", "03-30T02:30:00.5+02"}},
		{"calendar 2:30:0.5 Europe/Berlin gap skip", "2026-03-28T12:00:00Z", []string{"03-30T02:30:00.5+02"}},
		{"calendar 2:30:0.5,0.75 Europe/Berlin fold both", "2026-10-24T12:00:00Z", []string{
			"10-25T02:30:00.5+02", "10-25T02:30:00.75+02", "10-25T02:30:00.5+01", "10-25T02:30:00.75+01", "10-26T02:30:00.5+01",
		}},
		{"calendar *:*:57.5,58.6 America/New_York", "1883-11-18T16:59:59.7Z", []string{"11-18T12:00:57.5-05", "11-18T12:00:58.6-05"}}, // put back within the minute
		{"calendar *:30:0.5 Europe/Berlin", "2026-10-25T00:00:00Z", []string{"10-25T02:30:00.5+02", "10-25T02:30:00.5+01", "10-25T03:30:00.5+01"}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, occurrences(t, tt.text, tt.from, len(tt.want))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.text, diff)
		}
	}
}

// Marks tell what a change of the clocks did, also within a second.
func TestCalendar_Marks(t *testing.T) {
	for _, tt := range []struct{ text, from, want string }{
		{"calendar 2..3:0:0.5 Europe/Berlin", "2026-03-29T00:00:00Z", "gap-moved;;"},
		{"calendar 2:30:0.5 Europe/Berlin gap shift", "2026-03-29T00:00:00Z", "gap-moved;;"},
		{"calendar 2:30:0.5 Europe/Berlin fold both", "2026-10-25T00:00:00Z", ";fold-second;"},
		{"calendar *-*-* 12:00 except (calendar 2026-10-26 *:*)", "2026-10-25T00:00:00Z", ";excluded;"},
		{"every 20s except (calendar *:0/2:20)", "2026-10-25T00:00:00Z", "excluded;;"},
	} {
		s, err := Parse(tt.text)
		if err != nil {
			t.Fatal(err)
		}
		from, _ := time.Parse(time.RFC3339, tt.from)
		var marks []string
		for o := range s.Bind("", from).Preview(from) {
			if marks = append(marks, o.Marks.String()); len(marks) == 3 {
				break
			}
		}
		if got := strings.Join(marks, ";"); got != tt.want {
			t.Errorf("%s: marks %q, want %q", tt.text, got, tt.want)
		}
	}
}

// A calendar whose seconds are 0 leaves out minutes, another one seconds, and one with fractions instants; a union joins it with
// what else there is.
func TestCalendar_WithinOthers(t *testing.T) {
	tests := []struct {
		text, from string
		want       []string
	}{
		{"calendar *:*:0/30 except (calendar *:0/2)", "2026-01-01T00:00:00Z", []string{"01-01T00:01:00Z", "01-01T00:01:30Z", "01-01T00:03:00Z"}},
		{"calendar *:*:0/30 except (calendar *:0/2:30)", "2026-01-01T00:00:00Z", []string{"01-01T00:01:00Z", "01-01T00:01:30Z", "01-01T00:02:00Z"}},
		{"calendar *:*:0/0.5 except (calendar *:*:0.5,1)", "2026-01-01T00:00:00Z", []string{"01-01T00:00:01.5Z", "01-01T00:00:02Z"}},
		{"calendar *:*:0/0.5 except (calendar *:*:0.5)", "2026-01-01T00:00:00Z", []string{"01-01T00:00:01Z", "01-01T00:00:01.5Z"}},
		{"calendar *-12-24..27 9:00 except (calendar *-12-25..26 *:*)", "2026-12-24T00:00:00Z", []string{"12-24T09:00:00Z", "12-27T09:00:00Z"}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, occurrences(t, tt.text, tt.from, len(tt.want))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.text, diff)
		}
	}
	s, err := Parse("(calendar Mon 9:00 Europe/Berlin) or (cron 0 8 * * mon) or (calendar @1767859200)")
	if err != nil || s.String() != "(calendar Mon *-*-* 09:00:00 in Europe/Berlin) or (cron 0 8 * * mon) or (calendar 2026-01-08 08:00:00)" {
		t.Fatalf("%q, %v", s, err)
	}
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var got []string
	for o := range s.Bind("", from).Preview(from) {
		if got = append(got, o.At.Format("01-02T15")); len(got) == 3 {
			break
		}
	}
	if want := []string{"01-05T08", "01-08T08", "01-12T08"}; !slices.Equal(got, want) {
		t.Errorf("a union: got %v, want %v", got, want)
	}
}

// Counting is arithmetic, and with fractions ends at a bound.
func TestCalendar_Count(t *testing.T) {
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		text string
		want int64
	}{
		{"calendar *:*", 365*24*60 + 1},
		{"calendar *-*~01", 12},
		{"calendar *:0:0.5", 365 * 24},
		{"calendar *:*:0/0.000001", 10_001},
	} {
		s, err := Parse(tt.text)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Bind("", from.Add(-1)).Count(from.Add(-1), from.AddDate(1, 0, 0)); got != tt.want {
			t.Errorf("%s: %d in a year, want %d", tt.text, got, tt.want)
		}
	}
}

// The same name gives the same jitter for a calendar as for anything else.
//
// contract: J1.
func TestCalendar_Jitter(t *testing.T) {
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	a, b := Calendar("9:00").Jitter(time.Hour).Bind("report", from), Cron("0 9 * * *").Jitter(time.Hour).Bind("report", from)
	if a.Offset() != b.Offset() || a.Offset() == 0 || !a.First().Equal(b.First()) {
		t.Errorf("%v at %v and %v at %v", a.Offset(), a.First(), b.Offset(), b.First())
	}
}

func TestCalendar_Words(t *testing.T) {
	tests := []struct{ text, want string }{
		{"calendar Mon..Fri 09:00 Europe/Berlin", "at 09:00, Monday to Friday, in Europe/Berlin"},
		{"calendar daily", "at 00:00 every day, in UTC"},
		{"calendar minutely", "every minute, in UTC"},
		{"calendar *:0/15", "every 15 minutes, in UTC"},
		{"calendar *-*~01 08:30", "at 08:30 on the last day of the month, in UTC"},
		{"calendar *-*~03/1", "at 00:00 on the last 3 days of the month, in UTC"},
		{"calendar Mon *-05~07/1", "at 00:00 on the last 7 days of the month, only where that is Monday, in May, in UTC"},
		{"calendar *-*~02", "at 00:00 on the 1st day before the last of the month, in UTC"},
		{"calendar Sat *-*-1..7 18:00", "at 18:00 on days 1 to 7 of the month, only where that is Saturday, in UTC"},
		{"calendar 2026..2030-01-01", "at 00:00 on day 1 of January, in 2026 to 2030, in UTC"},
		{"calendar 2026/5-01-01", "at 00:00 on day 1 of January, in every 5th year from 2026 on, in UTC"},
		{"calendar 2026/1-01-01", "at 00:00 on day 1 of January, in all years from 2026 on, in UTC"},
		{"calendar *:*:0/10", "every 10 seconds, in UTC"},
		{"calendar 09:00:05.25", "at 09:00:05.25 every day, in UTC"},
		{"calendar Mon 09:00:15.25", "at 09:00:15.25 on Monday, in UTC"},
		{"calendar *:*:0.5", "at second 0.5 of every minute, in UTC"},
		{"calendar *:0:0.5,3", "at seconds 0.5 and 3 of minute 0 of every hour, in UTC"},
		{"calendar 9:0:23.42/1.77", "at seconds every 1.77 from 23.42 on of minute 0 of hour 9 every day, in UTC"},
		{"calendar *:*:1.5..4/0.5,7", "at seconds every 0.5 from 1.5 to 4 and 7 of every minute, in UTC"},
		{"calendar 9:00 except (calendar *-12-25 *:*)", "at 09:00 every day, in UTC, except (on day 25 of December, in UTC)"},
		{"calendar 9:00 Asia/Tokyo except (calendar Sun *:*)", "at 09:00 every day, in Asia/Tokyo, except (on Sunday, in Asia/Tokyo)"},
		{"calendar *:30 Europe/Berlin gap skip", "every hour at minute 30, in Europe/Berlin"},
		{"calendar 2:30 Europe/Berlin gap skip", "at 02:30 every day, in Europe/Berlin, left out where clocks are put forward over it"},
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
}

func TestCalendar_Warnings(t *testing.T) {
	tests := []struct {
		text string
		want []string
	}{
		{"calendar Mon..Fri 9:00", nil},
		{"calendar Mon *-*-13", nil}, // both, and that is what systemd's users expect
		{"calendar *:0/15", nil},
		{"calendar *:0/7", []string{"minute 00/7 is counted anew each hour: the last interval is 4 minutes, not 7"}},
		{"calendar *:*:0/0.7", nil},
		{"calendar *-*-31", []string{"day 31 is not in every month: it is left out in February, April, June, September and November"}},
		{"calendar *-*~28", nil},
		{"calendar *-02-30", []string{`"calendar *-02-30 00:00:00" never matches: no year has such a day`}},
		{"calendar 9:*", []string{`it runs 60 times in each hour that it names: did you mean "calendar *-*-* 09:00:00"?`}},
		{"calendar 9:*:*", []string{`it runs 3600 times in each hour that it names: did you mean "calendar *-*-* 09:00:00"?`}},
		{"calendar *:30:*", []string{`it runs 60 times in each minute that it names: did you mean "calendar *-*-* *:30:00"?`}},
		{"calendar 9..17:*", nil},
		{"calendar 9:00 except (calendar *-12-25)", []string{`"calendar *-12-25 00:00:00" leaves out the minute of midnight: write "calendar *-12-25 *:*:00" for whole days`}},
		{"calendar 9:00 except (calendar *-12-25 *:*)", nil},
	}
	for _, tt := range tests {
		s, err := Parse(tt.text)
		if err != nil {
			t.Errorf("Parse(%q): %v", tt.text, err)
			continue
		}
		if diff := cmp.Diff(tt.want, s.Warnings()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.text, diff)
		}
	}
}
