package schedule_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dulyhq/duly/schedule"
)

func TestParseSpan(t *testing.T) {
	const h, m, s = time.Hour, time.Minute, time.Second
	tests := []struct {
		text string
		want schedule.Span
		iso  string
	}{
		{"1h30m", schedule.Span{Time: h + 30*m}, "PT1H30M"},
		{"2h 30min", schedule.Span{Time: 2*h + 30*m}, "PT2H30M"},
		{"1y 12month", schedule.Span{Months: 24}, "P2Y"},
		{"55s500ms", schedule.Span{Time: 55*s + 500*time.Millisecond}, "PT55.5S"},
		{"300ms20s 5day", schedule.Span{Days: 5, Time: 20*s + 300*time.Millisecond}, "P5DT20.3S"},
		{"23 usec", schedule.Span{Time: 23 * time.Microsecond}, "PT0.000023S"},
		{" 5.5s  ", schedule.Span{Time: 5*s + 500*time.Millisecond}, "PT5.5S"},
		{".5 h", schedule.Span{Time: 30 * m}, "PT30M"},
		{"+3.1s", schedule.Span{Time: 3*s + 100*time.Millisecond}, "PT3.1S"},
		{"1M", schedule.Span{Months: 1}, "P1M"},
		{"1m", schedule.Span{Time: m}, "PT1M"},
		{"1 year and 2 months", schedule.Span{Months: 14}, "P1Y2M"},
		{"3 days, 2 hours and 1 minute", schedule.Span{Days: 3, Time: 2*h + m}, "P3DT2H1M"},
		{"2 Weeks", schedule.Span{Days: 14}, "P14D"},
		{"0.5y", schedule.Span{Months: 6}, "P6M"},
		{"1.5 days", schedule.Span{Days: 1, Time: 12 * h}, "P1DT12H"},
		{"1.5w", schedule.Span{Days: 10, Time: 12 * h}, "P10DT12H"},
		{"9223372036854775807ns", schedule.Span{Time: math.MaxInt64}, "PT2562047H47M16.854775807S"},
		{"0s", schedule.Span{}, "PT0S"},
		{"3660000 days", schedule.Span{Days: 3_660_000}, "P3660000D"},
		{"100000.5 days 0.5 d", schedule.Span{Days: 100_000, Time: 24 * h}, "P100000DT24H"},
		{"119999 M and 1 M", schedule.Span{Months: 120_000}, "P10000Y"},
		{"2562047h 47m 16.854775807s", schedule.Span{Time: math.MaxInt64}, "PT2562047H47M16.854775807S"},
		{"1.50000 years", schedule.Span{Months: 18}, "P1Y6M"},
		{"1us 1ms 1ns", schedule.Span{Time: 1_001_001}, "PT0.001001001S"},

		{"P1Y2M3DT4H5M6.7S", schedule.Span{Months: 14, Days: 3, Time: 4*h + 5*m + 6*s + 700*time.Millisecond}, "P1Y2M3DT4H5M6.7S"},
		{"P2W", schedule.Span{Days: 14}, "P14D"},
		{"P1Y1W", schedule.Span{Months: 12, Days: 7}, "P1Y7D"},
		{"PT1,5H", schedule.Span{Time: h + 30*m}, "PT1H30M"},
		{"P1M", schedule.Span{Months: 1}, "P1M"},
		{"PT1M", schedule.Span{Time: m}, "PT1M"},
		{"-P1DT2H", schedule.Span{Days: -1, Time: -2 * h}, "-P1DT2H"},
		{"+PT0S", schedule.Span{}, "PT0S"},
		{"P0.5D", schedule.Span{Time: 12 * h}, "PT12H"},
		{"P10000Y", schedule.Span{Months: 120_000}, "P10000Y"},
	}
	for _, tt := range tests {
		got, err := schedule.ParseSpan(tt.text)
		if err != nil || got != tt.want || got.String() != tt.iso {
			t.Errorf("%q: got %+v, %s, %v; want %+v, %s", tt.text, got, got, err, tt.want, tt.iso)
		}
	}
	for want, s := range map[string]schedule.Span{
		"PT0.000000001S": {Time: 1}, "-PT0.000000001S": {Time: -1}, "P1D": {Days: 1}, "-P1D": {Days: -1}, "P1M": {Months: 1}, "-P11M": {Months: -11}, "P1M-2D": {Months: 1, Days: -2},
		"P-1DT0.000000001S": {Days: -1, Time: 1}, "P-1M1D": {Months: -1, Days: 1}, "P1DT-1H": {Days: 1, Time: -time.Hour}, "-P1Y1DT1H1M1.5S": {Months: -12, Days: -1, Time: -(time.Hour + time.Minute + 1500*time.Millisecond)},
		"PT1M": {Time: time.Minute}, "PT59.999999999S": {Time: time.Minute - 1}, "PT1M0.000000001S": {Time: time.Minute + 1}, "PT59M59S": {Time: time.Hour - time.Second}, "PT1H": {Time: time.Hour}, "P-13MT1S": {},
	} {
		if s == (schedule.Span{}) {
			s, want = schedule.Span{Months: -13, Time: time.Second}, "P-1Y-1MT1S"
		}
		if got := s.String(); got != want {
			t.Errorf("%#v is %s, want %s", s, got, want)
		}
	}
	mixed := schedule.Span{Months: -1, Days: 2, Time: -90*s - 1}
	if got, want := mixed.String(), "P-1M2DT-1M-30.000000001S"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := (schedule.Span{Time: math.MinInt64}).String(), "-PT2562047H47M16.854775808S"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestParseSpanRefused(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", `schedule: at byte 1: span: want a length such as "1h30m", "2h 30min", "3 days" or P1Y2M3DT4H5M6.7S`},
		{"7", `schedule: at byte 1: span "7": want a unit behind 7: 7s are seconds`},
		{"3.1s.2", `schedule: at byte 5: span "3.1s.2": want a unit behind .2: .2s are seconds`},
		{"5.", `schedule: at byte 3: span "5.": want digits after the point`},
		{"3.+1s", `schedule: at byte 3: span "3.+1s": want digits after the point`},
		{"-5s", `schedule: at byte 1: span "-5s": want a length such as "1h30m", "2h 30min", "3 days" or P1Y2M3DT4H5M6.7S`},
		{"1y-2M", `schedule: at byte 3: span "1y-2M": want one sign, in front of the whole of an ISO 8601 duration, as in -P1DT2H`},
		{"1h,", `schedule: at byte 4: span "1h,": want a length such as "1h30m", "2h 30min", "3 days" or P1Y2M3DT4H5M6.7S`},
		{"2 fortnights", `schedule: at byte 3: span "2 fortnights": want a unit: years, months, weeks, days, hours, minutes, seconds, ms, us or ns`},
		{"3 horus", `schedule: at byte 3: span "3 horus": want a unit: years, months, weeks, days, hours, minutes, seconds, ms, us or ns; did you mean hours?`},
		{"2 wee\u212as", "schedule: at byte 3: span \"2 wee\u212as\": want a unit: years, months, weeks, days, hours, minutes, seconds, ms, us or ns; did you mean weeks?"},
		{"2 m\u0130nutes", "schedule: at byte 3: span \"2 m\u0130nutes\": want a unit: years, months, weeks, days, hours, minutes, seconds, ms, us or ns; did you mean minutes?"},
		{"\u0662h", `schedule: at byte 1: span "٢h": want a length such as "1h30m", "2h 30min", "3 days" or P1Y2M3DT4H5M6.7S`},
		{"2\u00a0h", `schedule: at byte 2: span "2\u00a0h": want a unit: years, months, weeks, days, hours, minutes, seconds, ms, us or ns`},
		{"0.1ns", `schedule: at byte 3: span "0.1ns": want whole nanoseconds`},
		{"0.3 months", `schedule: at byte 3: span "0.3 months": want whole months: a part of a month has no length`},
		{"2562048h", `schedule: at byte 1: span "2562048h": want at most 2562047h47m16.854775807s`},
		{"99999999999999999999y", `schedule: at byte 1: span "99999999999999999999y": want at most 10000 years`},
		{"10001 years", `schedule: at byte 1: span "10001 years": want at most 10000 years`},
		{"P", `schedule: at byte 2: span "P": want an ISO 8601 duration such as P1Y2M3DT4H5M6.7S, PT5M or P2W`},
		{"P1DT", `schedule: at byte 5: span "P1DT": want an ISO 8601 duration such as P1Y2M3DT4H5M6.7S, PT5M or P2W`},
		{"P1", `schedule: at byte 2: span "P1": want an ISO 8601 duration such as P1Y2M3DT4H5M6.7S, PT5M or P2W`},
		{"P1H", `schedule: at byte 3: span "P1H": want Y, M, W and D, and behind a T H, M and S, each once and in this order`},
		{"P1D1Y", `schedule: at byte 5: span "P1D1Y": want Y, M, W and D, and behind a T H, M and S, each once and in this order`},
		{"PT1D", `schedule: at byte 4: span "PT1D": want Y, M, W and D, and behind a T H, M and S, each once and in this order`},
		{"P-1D", `schedule: at byte 2: span "P-1D": want one sign for the whole, before the P, as in -P1DT2H`},
		{"P1.5DT1H", `schedule: at byte 7: span "P1.5DT1H": want a fraction in the last part only`},
		{"1h+30m", `schedule: at byte 3: span "1h+30m": want one sign, in front of the whole of an ISO 8601 duration, as in -P1DT2H`},
		{"1h-30m", `schedule: at byte 3: span "1h-30m": want one sign, in front of the whole of an ISO 8601 duration, as in -P1DT2H`},
		{"1h 30", `schedule: at byte 4: span "1h 30": want a unit behind 30: 30s are seconds`},
		{"1h and", `schedule: at byte 4: span "1h and": want a length such as "1h30m", "2h 30min", "3 days" or P1Y2M3DT4H5M6.7S`},
		{"  5 x", `schedule: at byte 5: span "  5 x": want a unit: years, months, weeks, days, hours, minutes, seconds, ms, us or ns`},
		{"3660001 days", `schedule: at byte 1: span "3660001 days": want at most 10000 years`},
		{"3660000 days 1d", `schedule: at byte 14: span "3660000 days 1d": want at most 10000 years`},
		{"120000M 1M", `schedule: at byte 9: span "120000M 1M": want at most 10000 years`},
		{"3660000 weeks", `schedule: at byte 1: span "3660000 weeks": want at most 10000 years`},
		{"2562047h 47m 17s", `schedule: at byte 14: span "2562047h 47m 17s": want at most 2562047h47m16.854775807s`},
		{"1.0000000001 months", `schedule: at byte 3: span "1.0000000001 months": want whole months: a part of a month has no length`},
		{"10000.5 years", `schedule: at byte 1: span "10000.5 years": want at most 10000 years`},
		{"2562047h47m16.854775807s 0.5 d", `schedule: at byte 26: span "2562047h47m16.854775807s 0.5 d": want at most 2562047h47m16.854775807s`},
		{"P10001Y", `schedule: at byte 2: span "P10001Y": want at most 10000 years`},
		{"P1DT0.0000000001S", `schedule: at byte 7: span "P1DT0.0000000001S": want whole nanoseconds`},
		{"P1D+1D", `schedule: at byte 4: span "P1D+1D": want one sign for the whole, before the P, as in -P1DT2H`},
		{"PT1H-5M", `schedule: at byte 5: span "PT1H-5M": want one sign for the whole, before the P, as in -P1DT2H`},
		{"PT1.H", `schedule: at byte 3: span "PT1.H": want an ISO 8601 duration such as P1Y2M3DT4H5M6.7S, PT5M or P2W`},
		{"PT1H1H", `schedule: at byte 6: span "PT1H1H": want Y, M, W and D, and behind a T H, M and S, each once and in this order`},
		{"PTT1H", `schedule: at byte 3: span "PTT1H": want an ISO 8601 duration such as P1Y2M3DT4H5M6.7S, PT5M or P2W`},
		{"-P", `schedule: at byte 3: span "-P": want an ISO 8601 duration such as P1Y2M3DT4H5M6.7S, PT5M or P2W`},
		{"--PT1S", `schedule: at byte 1: span "--PT1S": want a length such as "1h30m", "2h 30min", "3 days" or P1Y2M3DT4H5M6.7S`},
	}
	for _, tt := range tests {
		got, err := schedule.ParseSpan(tt.text)
		if err == nil {
			t.Errorf("%q: accepted as %v", tt.text, got)
		} else if err.Error() != tt.want {
			t.Errorf("%q: got  %v\nwant %s", tt.text, err, tt.want)
		}
	}
}

// Months are counted from the start and clamped to its month, days keep the time of day, hours really pass.
//
// contract: I2, I3.
func TestSpanFrom(t *testing.T) {
	tests := []struct{ start, zone, span, want string }{
		{"2026-01-31T12:00:00Z", "UTC", "P1M", "2026-02-28T12:00:00Z"},
		{"2026-01-31T12:00:00Z", "UTC", "P2M", "2026-03-31T12:00:00Z"},
		{"2028-01-31T12:00:00Z", "UTC", "P1M", "2028-02-29T12:00:00Z"},
		{"2028-02-29T12:00:00Z", "UTC", "P1Y", "2029-02-28T12:00:00Z"},
		{"2026-03-31T12:00:00Z", "UTC", "-P1M", "2026-02-28T12:00:00Z"},
		{"2026-01-31T12:00:00Z", "UTC", "P1M1D", "2026-03-01T12:00:00Z"},
		{"2026-03-28T12:00:00+01:00", "Europe/Berlin", "P1D", "2026-03-29T12:00:00+02:00"},
		{"2026-03-28T12:00:00+01:00", "Europe/Berlin", "PT24H", "2026-03-29T13:00:00+02:00"},
		{"2026-03-28T02:30:00+01:00", "Europe/Berlin", "P1D", "2026-03-29T03:00:00+02:00"},    // the gap
		{"2026-10-24T02:30:00+02:00", "Europe/Berlin", "P1D", "2026-10-25T02:30:00+02:00"},    // the fold: the first
		{"2026-10-24T02:30:00+02:00", "Europe/Berlin", "P1DT1H", "2026-10-25T02:30:00+01:00"}, // and an hour on
		{"2026-10-25T02:30:00+01:00", "Europe/Berlin", "PT1H", "2026-10-25T03:30:00+01:00"},   // within the second pass
		{"2011-12-29T12:00:00-10:00", "Pacific/Apia", "P1D", "2011-12-31T00:00:00+14:00"},     // a day that was lost
		{"2026-01-31T12:00:00.5Z", "UTC", "P1MT0.5S", "2026-02-28T12:00:01Z"},
		{"2026-03-28T23:30:00+01:00", "Europe/Berlin", "PT24H", "2026-03-30T00:30:00+02:00"},
		{"9999-12-31T12:00:00Z", "UTC", "P1D", ""},
		{"9999-12-31T12:00:00Z", "UTC", "PT2000000H", ""},
		{"0001-01-02T12:00:00Z", "UTC", "-P1M", ""},
		{"9999-12-31T12:00:00Z", "UTC", "P10000Y", ""},
	}
	for _, tt := range tests {
		span, err := schedule.ParseSpan(tt.span)
		if err != nil {
			t.Fatal(err)
		}
		loc, err := time.LoadLocation(tt.zone)
		if err != nil {
			t.Fatal(err)
		}
		got := span.From(mustTime(t, tt.start).In(loc))
		if tt.want == "" {
			if !got.IsZero() {
				t.Errorf("%s %s: got %v, want none", tt.start, tt.span, got)
			}
		} else if want := mustTime(t, tt.want); !got.Equal(want) {
			t.Errorf("%s %s: got %v, want %v", tt.start, tt.span, got, want)
		}
	}
}

// What is printed reads as the same span, and a span goes on in the direction of its sign.
func TestSpanRoundTrip(t *testing.T) {
	zones := []string{"UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/Santiago", "Pacific/Apia"}
	rapid.Check(t, func(t *rapid.T) {
		s := schedule.Span{
			Months: rapid.IntRange(0, 12*400).Draw(t, "months"),
			Days:   rapid.IntRange(0, 40_000).Draw(t, "days"),
			Time:   time.Duration(rapid.Int64Min(0).Draw(t, "time")),
		}
		if rapid.Bool().Draw(t, "negative") {
			s = schedule.Span{Months: -s.Months, Days: -s.Days, Time: -s.Time}
		}
		again, err := schedule.ParseSpan(s.String())
		if err != nil || again != s {
			t.Fatalf("%+v prints as %s, which reads as %+v: %v", s, s, again, err)
		}
		loc, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		start := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "second"), 0).In(loc)
		end := s.From(start)
		forward := s.Months > 0 || s.Days > 0 || s.Time > 0
		if end.IsZero() {
			return
		}
		if forward && end.Before(start) || !forward && s != (schedule.Span{}) && s.Months+s.Days < -1 && end.After(start) {
			t.Fatalf("%v %v: got %v", start, s, end)
		}
		if d, ok := s.Fixed(); ok && s.Days == 0 && end.Sub(start) != d && d.Hours() < 2e6 && d.Hours() > -2e6 {
			t.Fatalf("%v %v: got %v, want %v later", start, s, end, d)
		}
	})
}

func FuzzSpan(f *testing.F) {
	for _, text := range []string{"1h30m", "2h 30min", "1y 12month", "P1Y2M3DT4H5M6.7S", "-P1W", "3 days and 2 hours", "7", "P0.5M", "\xff", "1µs", ".5s", "P99999999999999999999Y"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := schedule.ParseSpan(text)
		if err != nil {
			e, ok := err.(*schedule.Error) //nolint:errorlint // it is never wrapped
			if !ok || e.Pos < 1 || e.Pos > len(text)+1 || e.Want == "" || len(err.Error()) > 500 || s != (schedule.Span{}) {
				t.Errorf("%q: %#v, %v", text, err, s)
			}
			return
		}
		again, err := schedule.ParseSpan(s.String())
		if err != nil || again != s {
			t.Errorf("%q is %+v, prints as %s, which reads as %+v: %v", text, s, s, again, err)
		}
	})
}

// A span that a program makes up leads nowhere rather than somewhere wrong.
func TestSpanFrom_OutOfReach(t *testing.T) {
	start := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for _, s := range []schedule.Span{
		{Months: math.MaxInt},
		{Months: math.MinInt},
		{Days: math.MaxInt},
		{Days: math.MinInt},
		{Months: math.MaxInt, Days: math.MinInt},
		{Time: math.MinInt64, Months: -12 * 2000},
		{Days: 1 << 30},
	} {
		if got := s.From(start); !got.IsZero() {
			t.Errorf("%+v: got %v, want none", s, got)
		}
	}
	for _, start := range []time.Time{{}, time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if got := (schedule.Span{Days: 1}).From(start); !got.IsZero() {
			t.Errorf("from %v: got %v, want none", start, got)
		}
	}
}

// What is said with "and" is one length, also behind a first part that is one by itself.
func TestSpanWithAnd(t *testing.T) {
	for text, want := range map[string]string{
		"in 1h and 30m": "in 1h30m", "every 1h and 30m jitter 5m": "every 1h30m jitter 5m", "in 3 days and 12 hours": "in 84h", "in 1h, 30m": "in 1h30m",
	} {
		got, err := schedule.Parse(text)
		if err != nil || got.String() != want {
			t.Errorf("%q: got %v, %v; want %s", text, got, err, want)
		}
	}
}

// What lacks its first word, or has a slip in it, is told the mistake and not all that there is.
func TestParse_PointsAtTheMistake(t *testing.T) {
	for text, want := range map[string]string{
		"P1Y2M":                     `schedule: at byte 1: schedule "P1Y2M": want "at now + P1Y2M" for once, or R/START/P1Y2M for again and again`,
		"3 days":                    `schedule: at byte 1: schedule "3": want "in 3 days" for once, or R/START/P3D for again and again`,
		"2h 30min":                  `schedule: at byte 1: schedule "2h": want "in 2h 30min" for once or "every 2h 30min" for again and again`,
		"PT5M":                      `schedule: at byte 1: schedule "PT5M": want "in PT5M" for once or "every PT5M" for again and again`,
		"Mon..Fri 9:70":             `schedule: at byte 12: minute "70": want 0 to 59; and "calendar" before the whole`,
		"Mon..Fri 24:00 UTC":        `schedule: at byte 10: hour "24": want 0 to 23; midnight is 00:00; and "calendar" before the whole`,
		"*-*-32 09:00":              `schedule: at byte 5: day "32": want 1 to 31; and "calendar" before the whole`,
		"2026-13-01":                `schedule: at byte 6: at "2026-13-01": want a month from 01 to 12`,
		"2026-12-24T17:00":          `schedule: at byte 17: at "2026-12-24T17:00": want an offset or a zone after the time of day: Z, +01:00 or [Europe/Berlin]`,
		"every 5m jiter 10s":        `schedule: at byte 10: schedule "jiter": want "jitter"`,
		"every 5m utnil 2027-01-01": `schedule: at byte 10: schedule "utnil": want "until"`,
	} {
		_, err := schedule.Parse(text)
		if err == nil || err.Error() != want {
			t.Errorf("%q: got  %v\nwant %s", text, err, want)
		}
	}
}
