package schedule

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	tests := []struct {
		text string
		want Schedule
		// canonical text; empty: as it was read
		canonical string
	}{
		{"in 5m", After(5 * time.Minute), ""},
		{"in 0s", After(0), ""},
		{"in 0", After(0), "in 0s"},
		{"in -1.5s", After(-1500 * time.Millisecond), ""},
		{"in 2562047h47m16.854775807s", After(longest), ""},
		{"in -2562047h47m16.854775808s", After(shortest), ""},
		{"in 9223372036854775807ns", After(longest), "in 2562047h47m16.854775807s"},
		{"in 1ns", After(1), ""},
		{"in 1.5µs", After(1500), ""},
		{"in 1.5us", After(1500), "in 1.5µs"},
		{"in 1.5μs", After(1500), "in 1.5µs"},
		{"in 1h0m5s", After(time.Hour + 5*time.Second), ""},
		{"in 1h5s", After(time.Hour + 5*time.Second), "in 1h0m5s"},
		{"in 90m", After(90 * time.Minute), "in 1h30m"},
		{"in 1.5h", After(90 * time.Minute), "in 1h30m"},
		{"in 1.50000000000000000000000h", After(90 * time.Minute), "in 1h30m"},
		{"in 0.00000000000025h", After(0), "-"},
		{"in 0.0000000000025h", After(9), "in 9ns"},
		{"in 10m", After(10 * time.Minute), ""},
		{"in 100h", After(100 * time.Hour), ""},
		{"at 2026-12-24T17:00:00Z", At(noon.Add(5 * time.Hour)), ""},
		{"at 2026-12-24T17:00Z", At(noon.Add(5 * time.Hour)), "at 2026-12-24T17:00:00Z"},
		{"at 2026-12-24T18:00:00+01:00", At(noon.Add(5 * time.Hour)), "at 2026-12-24T17:00:00Z"},
		{"at 2026-12-24T11:30-05:30", At(noon.Add(5 * time.Hour)), "at 2026-12-24T17:00:00Z"},
		{"at 2026-12-24T17:00:00.25Z", At(noon.Add(5*time.Hour + 250*time.Millisecond)), ""},
		{"at 2027-01-01", At(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)), "at 2027-01-01T00:00:00Z"},
		{"at 9999-12-31T23:59:59.999999999Z", At(theEnd), ""},
		{"at 0001-01-01T00:00:00.000000001Z", At(year1), ""},
		{"every 1h30m", Every(90 * time.Minute), ""},
		{"pace 10s", Pace(10 * time.Second), ""},
		{"pace-from-start 10s", PaceFromStart(10 * time.Second), ""},
		{" \tevery   15m\tjitter 30s ", Every(15 * time.Minute).Jitter(30 * time.Second), "every 15m jitter 30s"},
		{
			"every 15m jitter 30s until 2027-01-01", Every(15 * time.Minute).Jitter(30 * time.Second).Until(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)),
			"every 15m until 2027-01-01T00:00:00Z jitter 30s",
		},
		{
			"every 1h align 2000-01-01 jitter 1m times 007 until 2027-01-01 from 2026-12-24T12:00Z",
			Every(time.Hour).From(noon).Until(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)).Times(7).Jitter(time.Minute).AlignTo(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)),
			"every 1h from 2026-12-24T12:00:00Z until 2027-01-01T00:00:00Z times 7 jitter 1m align 2000-01-01T00:00:00Z",
		},
		{"in +5m", After(5 * time.Minute), "in 5m"},
		{"in 5m1h", After(65 * time.Minute), "in 1h5m"},
		{"in 2h  30min jitter 1m", After(150 * time.Minute).Jitter(time.Minute), "in 2h30m jitter 1m"},
		{"in 3 days and 2 hours", After(74 * time.Hour), "in 74h"},
		{"in P1DT2H", After(26 * time.Hour), "in 26h"},
		{"in -PT5M", After(-5 * time.Minute), "in -5m"},
		{"every 90 minutes until 2027-01-01", Every(90 * time.Minute).Until(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)), "every 1h30m until 2027-01-01T00:00:00Z"},
		{"every PT1M jitter PT2.5S", Every(time.Minute).Jitter(2500 * time.Millisecond), "every 1m jitter 2.5s"},
		{"every 1h1h", Every(2 * time.Hour), "every 2h"},
		{"(every 1 hour) or (every 5 min)", Union(Every(time.Hour), Every(5*time.Minute)), "(every 1h) or (every 5m)"},
		{"at 2026-12-24T12:00Z jitter 1h", At(noon).Jitter(time.Hour), "at 2026-12-24T12:00:00Z jitter 1h"},
	}
	for _, tt := range tests {
		got, err := Parse(tt.text)
		if tt.canonical == "-" {
			if err == nil {
				t.Errorf("Parse(%q) = %v, want an error", tt.text, got)
			}
			continue
		}
		if err != nil {
			t.Errorf("Parse(%q): %v", tt.text, err)
			continue
		}
		if !got.Equal(tt.want) {
			t.Errorf("Parse(%q) = %v, want %v", tt.text, got, tt.want)
		}
		canonical := tt.canonical
		if canonical == "" {
			canonical = tt.text
		}
		if got.String() != canonical || tt.want.String() != canonical {
			t.Errorf("Parse(%q) prints %q, what was wanted prints %q, want %q", tt.text, got, tt.want, canonical)
		}
	}
}

// The zones' rules are those of the zone database of the machine; the transitions here are long past or long decreed.
//
// contract: A6, I2, I3.
func TestParseZone(t *testing.T) {
	if _, err := time.LoadLocation("Europe/Berlin"); err != nil {
		t.Skipf("no time zone database on this machine: %v", err)
	}
	tests := []struct{ text, want string }{
		{"2026-12-24T18:00[Europe/Berlin]", "2026-12-24T17:00:00Z"},
		{"2026-12-24T18:00:00.5[Europe/Berlin]", "2026-12-24T17:00:00.5Z"},
		{"2026-12-24T18:00:00+01:00[Europe/Berlin]", "2026-12-24T17:00:00Z"},
		{"2026-12-24T17:00:00Z[Europe/Berlin]", "2026-12-24T17:00:00Z"},
		{"2026-12-24T17:00-00:00[Europe/Berlin]", "2026-12-24T17:00:00Z"},
		{"2026-12-24T17:00[UTC]", "2026-12-24T17:00:00Z"},
		{"2026-12-24[Europe/Berlin]", "2026-12-23T23:00:00Z"},
		{"2026-12-24[Asia/Tokyo]", "2026-12-23T15:00:00Z"},
		{"2024-03-31T01:59:59[Europe/Berlin]", "2024-03-31T00:59:59Z"},
		{"2024-03-31T02:00[Europe/Berlin]", "2024-03-31T01:00:00Z"},        // gap: its end
		{"2024-03-31T02:59:59.999[Europe/Berlin]", "2024-03-31T01:00:00Z"}, // gap: its end
		{"2024-03-31T03:00[Europe/Berlin]", "2024-03-31T01:00:00Z"},        // after it
		{"2024-10-27T02:30[Europe/Berlin]", "2024-10-27T00:30:00Z"},        // fold: the first
		{"2024-10-27T02:30+01:00[Europe/Berlin]", "2024-10-27T01:30:00Z"},  // fold: the second, said by its offset
		{"2024-10-27T03:00[Europe/Berlin]", "2024-10-27T02:00:00Z"},        // after it
		{"2024-10-06T02:15[Australia/Lord_Howe]", "2024-10-05T15:30:00Z"},  // gap of half an hour
		{"2024-04-07T01:45[Australia/Lord_Howe]", "2024-04-06T14:45:00Z"},  // fold of half an hour
		{"2011-12-30T12:00[Pacific/Apia]", "2011-12-30T10:00:00Z"},         // the day that was not
		{"2011-12-31T00:00[Pacific/Apia]", "2011-12-30T10:00:00Z"},         // the one after
		{"2023-09-03[America/Santiago]", "2023-09-03T04:00:00Z"},           // no midnight
		{"2024-11-03T01:30[America/New_York]", "2024-11-03T05:30:00Z"},     // west of UTC
		{"2024-03-10T02:30[America/New_York]", "2024-03-10T07:00:00Z"},     // west of UTC
		{"1900-01-01T12:00[Europe/Amsterdam]", ""},                         // local mean time: only that it does not fail
		{"9999-12-31T23:00[Asia/Tokyo]", "9999-12-31T14:00:00Z"},           // the last year
		{"2500-07-01T12:00[Europe/Berlin]", "2500-07-01T10:00:00Z"},        // beyond the table of transitions
		{"1800-07-01T12:00:00[Etc/GMT+5]", "1800-07-01T17:00:00Z"},         // before it
		{"2024-10-27T02:30+02:00[Europe/Berlin]", "2024-10-27T00:30:00Z"},  // fold: the first, said by its offset
		{"2024-03-31T02:30+01:00[Europe/Berlin]", "!want the offset"},      // a gap has no offset
		{"2026-12-24T18:00:00+02:00[Europe/Berlin]", "!+01:00, or none"},   // contradiction
		{"2026-12-24T18:00[Local]", "!a zone of the IANA database"},        // another on each machine
		{"2026-12-24T18:00[localtime]", "!a zone of the IANA database"},    // the same
		{"2026-12-24T18:00[]", "!a zone of the IANA database"},
		{"2026-12-24T18:00[Mars/Olympus]", "!a zone of the IANA database"},
		{"2026-12-24T18:00[../../etc/passwd]", "!a zone of the IANA databas"},
		{"2026-12-24T18:00[/etc/localtime]", "!a zone of the IANA database"},
		{"2026-12-24T18:00[Europe/Berlin", "!an instant such as"},
		{"2026-12-24T18:00[Europe/Berlin]x", "!an instant such as"},
		{"9999-12-31T23:00[America/New_York]", "!before the year 10000"},
	}
	for _, tt := range tests {
		s, err := Parse("at " + tt.text)
		if want, bad := strings.CutPrefix(tt.want, "!"); bad {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, %v, want an error with %q", tt.text, s, err, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
		} else if got := s.String(); tt.want != "" && got != "at "+tt.want {
			t.Errorf("%s: got %s, want at %s", tt.text, got, tt.want)
		}
	}
}

// contract: A6. Every mistake is shown where it is, beside what would be right.
func TestParseErrors(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", `at byte 1: schedule: want "in 5m", "at 2026`},
		{"  ", `at byte 3: schedule: want "in 5m"`},
		{"in", `at byte 3: in: want a duration such as`},
		{"in x", `at byte 4: in "x": want a duration`},
		{"in 5", `at byte 5: in "5": want a unit: h, m, s, ms, us or ns`},
		{"in -", `at byte 4: in "-": want a duration`},
		{"in --5m", `at byte 5: in "--5m": want a duration`},
		{"in 5.h", `at byte 6: in "5.h": want digits after the point`},
		{"in 5m5", `at byte 7: in "5m5": want a unit`},
		{"in 5M", `at byte 4: in "5M": want hours, since months differ in length; by the calendar it is "at now + 5 months"`},
		{"every P1M", `at byte 7: every "P1M": want hours, since months differ in length; by the calendar it is R/START/P1M`},
		{"every P2D", `at byte 7: every "P2D": want hours, since days and weeks belong to calendars: 48h`},
		{"in 2h 30", `at byte 7: in "2h 30": want a unit behind 30: 30s are seconds`},
		{"in P1H", `at byte 6: in "P1H": want Y, M, W and D`},
		{"in 1m2.5.5s", `want a unit`},
		{"every 1d", `at byte 8: every "1d": want hours, since days and weeks belong to calendars: 24h`},
		{"every 2w", `want hours, since days and weeks belong to calendars: 336h`},
		{"every 99999999999999999999d", `belong to calendars: 24h a day`},
		{"every 1h1d", `: 24h`},
		{"every 1.5d", `at byte 10: every "1.5d": want hours, since days and weeks belong to calendars: 24h a day`},
		{"every 2 days", `: 48h`},
		{"in 0.5ns", `at byte 6: in "0.5ns": want whole nanoseconds`},
		{"in 2562047h47m16.854775808s", `at byte 15: in "2562047h47m16.854775808s": want at most 2562047h47m16.854775807s`},
		{"in -2562047h47m16.854775809s", `want at most 2562047h`},
		{"in 99999999999999999999ns", `want at most 2562047h`},
		{"in 18446744073709551615.9us", `want at most 2562047h`},
		{"in 18446744073709551615.9ns", `want whole nanoseconds`},
		{"in 18446744073.709551616s", `want at most 2562047h`}, // 2^64 ns
		{"in 18446744073.709551615999s", `want whole nanoseconds`},
		{"in 5m times 3", `at byte 13: times "3": want it on a recurring schedule only`},
		{"in 5m soon", `at byte 7: schedule "soon": want the end or "jitter D"`},
		{"every 5m soon", `at byte 10: schedule "soon": want the end or "from T"`},
		{"every 5m from", `at byte 14: from: want an instant such as`},
		{"every 5m times", `at byte 15: times: want a whole number`},
		{"every 5m times -3", `at byte 16: times "-3": want a whole number`},
		{"every 5m times 3x", `at byte 17: times "3x": want a whole number`},
		{"every 5m times 0", `at byte 16: times "0": want at least 1`},
		{"every 5m times 99999999999999999999", `want at most `},
		{"every 5m times 3 times 3", `at byte 18: times: want it once only`},
		{"every 5m jitter 5m", `at byte 17: jitter "5m": want less than the period 5m`},
		{"every 0s", `at byte 7: every "0s": want a period longer than 0`},
		{"pace -5s", `at byte 6: pace "-5s": want a period longer than 0`},
		{"every 1h from 2027-01-01 until 2026-01-01", `at byte 32: until "2026-01-01T00:00:00Z": want it to leave an occurrence`},
		{"pace 5m align 2027-01-01", `at byte 15: align "2027-01-01T00:00:00Z": want it on "every" only`},
		{"at", `at byte 3: at: want an instant such as`},
		{"at 17:00", `at byte 4: at "17:00": want an instant`},
		{"at 2026-12", `at byte 11: at "2026-12": want an instant`},
		{"at 2026-1-1", `at byte 9: at "2026-1-1": want an instant`},
		{"at 26-12-24", `at byte 4: at "26-12-24": want an instant`},
		{"at +2026-12-24", `want an instant`},
		{"at 12026-12-24", `want an instant`},
		{"at 2026-13-01", `at byte 9: at "2026-13-01": want a month from 01 to 12`},
		{"at 2026-02-29", `at byte 12: at "2026-02-29": want a day that the month has`},
		{"at 2026-02-32", `at byte 12: at "2026-02-32": want a day from 01 to 31`},
		{"at 2026-02-28T24:00Z", `want an hour from 00 to 23`},
		{"at 2026-02-28T23:60Z", `want a minute from 00 to 59`},
		{"at 2026-02-28T23:59:60Z", `want a second from 00 to 59`},
		{"at 2026-02-28T23Z", `want an instant`},
		{"at 2026-02-28T23:59", `at byte 20: at "2026-02-28T23:59": want an offset or a zone`},
		{"at 2026-02-28T23:59x", `want an offset or a zone`},
		{"at 2026-02-28T23:59+1", `want an offset such as +01:00`},
		{"at 2026-02-28T23:59+0100", `want an offset such as +01:00`},
		{"at 2026-02-28T23:59+01:0", `want an offset such as +01:00`},
		{"at 2026-02-28T23:59+24:00", `want an offset from -23:59 to +23:59`},
		{"at 2026-02-28T23:59:59.Z", `want 1 to 9 digits`},
		{"at 2026-02-28T23:59:59.0000000001Z", `want 1 to 9 digits`},
		{"at 2026-02-28T23:59:59,5Z", `want an offset or a zone`},
		{"at 2026-02-28t23:59:59Z", `want an instant`},
		{"at 2026-02-28T23:59Zx", `want an instant`},
		{"at 2026-02-28Z", `want an instant`},
		{"at 0000-02-28", `want an instant after`},
		{"at 0001-01-01", `want an instant after`},
		{"at 9999-12-31T23:59-01:00", `before the year 10000`},
		{"at ２０２６-01-01", `want an instant`}, // full-width digits
		{"in ５m", `want a duration`},
		{"every\u00a05m", `want "in 5m"`}, // no-break space
		{"every\n5m", `want "in 5m"`},
		{"Every 5m", `at byte 1: schedule "Every": want lower case: "every"`},
		{"5m", `at byte 1: schedule "5m": want "in 5m" for once or "every 5m" for again and again`},
		{"2027-01-01", `at byte 1: schedule "2027-01-01": want "at 2027-01-01"`},
		{"after 5m", `at byte 1: schedule "after": want "in 5m"`},
		// Words that are no form: what is accepted is said, nothing is promised.
		{"on mondays", `at byte 11: on "mondays": want a time of day, as in "on mondays at 9:00"`},
		{"whenever", `at byte 1: schedule "whenever": want "in 5m", "at 2026-12-24T17:00:00Z", "every 1h30m"`},
		{"Mon..Fri 09:00", `at byte 1: schedule "Mon..Fri": want "calendar Mon..Fri 09:00"`},
		{"09:00", `at byte 1: schedule "09:00": want "in 5m"`}, // once, or every day
		{"tomorrow", `schedule "tomorrow": want "in 5m"`},
		{"at tomorrow 17:00", `at byte 4: at "tomorrow": want an instant such as`},
		{"invalid schedule: x", `schedule "invalid": want`},
		{strings.Repeat(" ", 4096) + "in 5m", `at byte 4097: schedule`},
		{"in " + strings.Repeat("9", 4000), `99...": want`},
		{"in \xff\xfe", `in "\xff\xfe": want`},
		{"in \x00", `in "\x00": want`},
	}
	for _, tt := range tests {
		s, err := Parse(tt.text)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("Parse(%.60q) = %v, %v, want an *Error", tt.text, s, err)
			continue
		}
		if !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Parse(%.60q):\n got %v\nwant %v", tt.text, err, tt.want)
		}
		if e.Pos < 1 || e.Pos > len(tt.text)+1 {
			t.Errorf("Parse(%.60q): position %d is outside", tt.text, e.Pos)
		}
		if len(err.Error()) > 300 {
			t.Errorf("Parse(%.60q): a message of %d bytes", tt.text, len(err.Error()))
		}
		if diff := cmp.Diff(err.Error(), errText(s.Err())); diff != "" {
			t.Errorf("Parse(%.60q): the schedule carries another error: -want +got\n%s", tt.text, diff)
		}
	}
	if _, err := Parse("in 5m" + strings.Repeat(" ", 4091)); err != nil {
		t.Errorf("4096 bytes: %v", err)
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestJSON(t *testing.T) {
	type doc struct {
		When Schedule `json:"when"`
		Else Schedule `json:"else,omitzero"`
	}
	in := doc{When: Every(time.Hour).Jitter(time.Minute).From(noon)}
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(b), `{"when":"every 1h from 2026-12-24T12:00:00Z jitter 1m"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	var out doc
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(in, out); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if err := json.Unmarshal([]byte(`{"when":"every 1d"}`), &out); err == nil || !out.When.Equal(in.When) {
		t.Errorf("a refused text: error %v, value %v, want an error and the value kept", err, out.When)
	}
	if _, err := json.Marshal(doc{}); err == nil {
		t.Error("the zero Schedule was marshalled")
	}
}

// aSchedule draws valid schedules of all shapes.
func aSchedule() *rapid.Generator[Schedule] {
	return rapid.Custom(func(t *rapid.T) Schedule {
		d := aPeriod().Draw(t, "d")
		var s Schedule
		switch rapid.SampledFrom([]Kind{KindAfter, KindAt, KindEvery, KindPace, KindPaceFromStart}).Draw(t, "kind") {
		case KindAfter:
			s = After(time.Duration(rapid.Int64().Draw(t, "delay")))
		case KindAt:
			s = At(anInstant().Draw(t, "at"))
		case KindEvery:
			s = Every(d)
		case KindPace:
			s = Pace(d)
		default:
			s = PaceFromStart(d)
		}
		for _, add := range []func() Schedule{
			func() Schedule { return s.From(anInstant().Draw(t, "from")) },
			func() Schedule { return s.Until(anInstant().Draw(t, "until")) },
			func() Schedule { return s.Times(rapid.IntMin(1).Draw(t, "times")) },
			func() Schedule { return s.Jitter(aPeriod().Draw(t, "jitter")) },
			func() Schedule { return s.AlignTo(anInstant().Draw(t, "align")) },
		} {
			if rapid.Bool().Draw(t, "add") {
				if v := add(); v.Err() == nil {
					s = v
				}
			}
		}
		return s
	})
}

func TestTextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := aSchedule().Draw(t, "s")
		got, err := Parse(s.String())
		if err != nil {
			t.Fatalf("Parse(%q): %v", s, err)
		}
		if !got.Equal(s) || got.String() != s.String() {
			t.Fatalf("%q came back as %q", s, got)
		}
		a, b := got.Bind("order-42", noon), s.Bind("order-42", noon)
		if at := anInstant().Draw(t, "at"); !a.First().Equal(b.First()) || !a.Next(at).Equal(b.Next(at)) || a.Offset() != b.Offset() {
			t.Fatalf("%q came back as another rule", s)
		}
	})
}

// Durations must come back exactly, and agree with time.ParseDuration wherever that does not round.
func TestDurationRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64().Draw(t, "d"))
		text := durationText(d)
		got, m := parseDuration(text)
		if m.want != "" || got != d {
			t.Fatalf("%q: got %v, %+v, want %v", text, got, m, d)
		}
		if std, err := time.ParseDuration(text); err != nil || std != d {
			t.Fatalf("%q: time.ParseDuration gives %v, %v", text, std, err)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"in 5m", "at 2026-12-24T18:00:00.123456789+01:00[Europe/Berlin]", "every 1h30m from 2026-01-01 until 2027-01-01 times 3 jitter 30s align 2000-01-01",
		"pace 10s", "pace-from-start 1.5us", "every 1d", "in -2562047h47m16.854775808s", "at 0001-01-01T00:00[Asia/Tokyo]", "", "\xff",
		"cron * * * * *", "cron TZ=Asia/Tokyo H(0-29)/10,5 22-2/2 l-3,15w,lw jan,6 mon#2,fril in UTC", "cron @daily gap skip fold both days and",
		"cron 0 0 30 2 *", "cron 59 */2 1 1 1 2 1999-2040/3,2100", "(cron 0 9 * * 1-5 in Europe/Berlin)or(every 1h)or((at 2026-01-01))until 2030-01-01",
		"every 1h except (cron * 0-5 * * *) except (at 2026-01-01) times 3", "((((()))))", "(cron h(0-29 * * * *) or (cron * * * * *", "0 9 * * 1-5", "@every 5m",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Pos < 1 || e.Pos > len(text)+1 || e.Want == "" || s.Err() == nil {
				t.Fatalf("Parse(%q) = %v, %#v", text, s, err)
			}
			return
		}
		if s.Err() != nil && !s.Never() {
			t.Fatalf("Parse(%q) gave an invalid schedule: %v", text, s.Err())
		}
		if words := s.Words(); words == "" || strings.Contains(words, "  ") || strings.Contains(words, " ,") {
			t.Fatalf("Parse(%q) says %q", text, words)
		}
		s.Warnings()
		canonical := s.String()
		again, err := Parse(canonical)
		if err != nil || !again.Equal(s) || again.String() != canonical {
			t.Fatalf("Parse(%q) prints %q, which reads as %v, %v", text, canonical, again, err)
		}
	})
}
