package schedule_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/schedule"
)

// contract: I1, I6.
func TestRepeat(t *testing.T) {
	tests := []struct{ text, canonical, want string }{
		{"R5/2026-01-31T00:00:00Z/P1M", "", "2026-01-31T00:00:00Z 2026-02-28T00:00:00Z 2026-03-31T00:00:00Z 2026-04-30T00:00:00Z 2026-05-31T00:00:00Z"},
		{"R3/2024-02-29T12:00Z/P1Y", "", "2024-02-29T12:00:00Z 2025-02-28T12:00:00Z 2026-02-28T12:00:00Z"},
		{"R3/2026-03-28T09:00[Europe/Berlin]/P1D", "", "2026-03-28T08:00:00Z 2026-03-29T07:00:00Z 2026-03-30T07:00:00Z"},
		{"R3/2026-03-28T09:00[Europe/Berlin]/PT24H", "every 24h from 2026-03-28T08:00:00Z until 2026-03-30T08:00:00Z", "2026-03-28T08:00:00Z 2026-03-29T08:00:00Z 2026-03-30T08:00:00Z"},
		{"R1/2026-01-01T00:00:00Z/PT1H", "", "2026-01-01T00:00:00Z"},
		{"R2/2026-01-30T00:00/P1W in Europe/Berlin", "", "2026-01-29T23:00:00Z 2026-02-05T23:00:00Z"},
		{"R3/2026-10-25T02:30[Europe/Berlin]/P1D", "", "2026-10-25T00:30:00Z 2026-10-26T01:30:00Z 2026-10-27T01:30:00Z"},
		{"R3/2026-10-25T02:30+02:00[Europe/Berlin]/P1D", "", "2026-10-25T00:30:00Z 2026-10-26T01:30:00Z 2026-10-27T01:30:00Z"},
		{"R2/2026-10-25T02:30+01:00[Europe/Berlin]/PT1H", "", "2026-10-25T01:30:00Z 2026-10-25T02:30:00Z"},
		{"R3/2026-03-29T02:30[Europe/Berlin]/P1D", "", "2026-03-29T01:30:00Z 2026-03-30T00:30:00Z 2026-03-31T00:30:00Z"}, // 02:30 as soon as there is one
		{"R2/2026-03-28T09:00Z[Europe/Berlin]/P1D", "", "2026-03-28T09:00:00Z 2026-03-29T08:00:00Z"},
		{"R3/2026-01-01T00:00:00Z/2026-01-01T01:00:00Z", "every 1h from 2026-01-01T00:00:00Z until 2026-01-01T02:00:00Z", ""},
		{"R2/2026-01-01T00:00:00+01:00/2026-01-08T00:00:00+01:00", "every 168h from 2025-12-31T23:00:00Z until 2026-01-07T23:00:00Z", ""},
		{"R2/2026-03-28T20:00[Europe/Berlin]/2026-03-29T08:00[Europe/Berlin]", "", "2026-03-28T19:00:00Z 2026-03-29T06:00:00Z"},
		{"R2147483647/2026-01-01T00:00:00Z/PT0.000000001S", "every 1ns from 2026-01-01T00:00:00Z until 2026-01-01T00:00:02.147483646Z", ""},
		{"R2147483647/2026-01-01T00:00:00Z/PT1000H", "every 1000h from 2026-01-01T00:00:00Z until 9999-12-31T23:59:59.999999999Z", ""},
		{"R2/2026-01-01T00:00:00Z/PT1H times 1 jitter 1m", "every 1h from 2026-01-01T00:00:00Z until 2026-01-01T01:00:00Z times 1 jitter 1m", ""},
		{"(R2/2026-01-01T00:00:00Z/PT1H) or (every 1h from 2027-01-01) until 2030-01-01", "", "2026-01-01T00:00:00Z"},
		{"R/2026-01-01T00:00:00Z/PT1H", "every 1h from 2026-01-01T00:00:00Z", ""},
	}
	for _, tt := range tests {
		s, err := schedule.Parse(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		again, err := schedule.Parse(s.String())
		if err != nil || !again.Equal(s) || again.String() != s.String() || tt.canonical != "" && s.String() != tt.canonical {
			t.Errorf("%s: is %v, which reads as %v: %v", tt.text, s, again, err)
		}
		if tt.want == "" {
			continue
		}
		var all []string
		rule := s.Bind("", time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC))
		for at := rule.Next(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)); !at.IsZero() && len(all) < 10; at = rule.Next(at) {
			all = append(all, at.Format(time.RFC3339))
		}
		if got := strings.Join(all, " "); got != tt.want && (tt.text[0] != '(' || !strings.HasPrefix(got, tt.want)) {
			t.Errorf("%s: got %s, want %s", tt.text, got, tt.want)
		}
	}
}

func TestRepeatRefused(t *testing.T) {
	for text, want := range map[string]string{
		"R0/2026-01-01T00:00:00Z/PT1H":                                      "at byte 2: R ",
		"R5/P1M/2026-06-01T00:00:00Z":                                       "at byte 4: R \"R5/P1M/2026-06-01T00:00:00Z\": want the start and then the period, since a period and an end do not say whether it happens at the ends or at the starts: R5/2026-02-01T00:00:00Z/P1M or R5/2026-01-01T00:00:00Z/P1M",
		"R5/P1D/2026-06-05T09:00[Europe/Berlin]":                            "at the starts: R5/2026-06-01T09:00:00[Europe/Berlin]/P1D or R5/2026-05-31T09:00:00[Europe/Berlin]/P1D",
		"R5/PT1H/2026-06-05T09:00+02:00":                                    "at the starts: R5/2026-06-05T05:00:00+02:00/PT1H or R5/2026-06-05T04:00:00+02:00/PT1H",
		"R/P1D/2026-06-05T09:00:00Z":                                        "at the starts: R/START/P1D until 2026-06-05T09:00:00Z",
		"R5/P1M/2026-03-31T00:00:00Z":                                       "whether it happens at the ends or at the starts",
		"R2147483647/P9999Y/2026-03-01T00:00:00Z":                           "whether it happens at the ends or at the starts",
		"R/2026-01-01T00:00:00Z/2026-02-01T00:00:00Z":                       "at byte 24: R \"R/2026-01-01T00:00:00Z/2026-02-01T00:00:00Z\": want a period in place of the end: P1M or PT744H",
		"R/2026-01-31T00:00:00+01:00/2026-02-28T00:00+01:00":                "want a period in place of the end: P1M or PT672H",
		"R/2026-02-01T09:00[Europe/Berlin]/2026-03-01T09:00[Europe/Berlin]": "want a period in place of the end: P1M, P28D or PT672H",
		"R/2026-03-28T09:00[Europe/Berlin]/2026-03-29T09:00[Europe/Berlin]": "want a period in place of the end: P1D or PT23H",
		"R/2026-01-01/2026-01-08":                                           "want a period in place of the end: P7D or PT168H",
		"R/2026-01-01T00:00:00Z/2026-01-01T00:00:00Z":                       "want an end that is later than the start",
		"R/0001-01-02T00:00:00Z/9999-01-01T00:00:00Z":                       "want an end that is later than the start, by at most 292 years",
		"R/2026-13-01T00:00:00Z/2026-01-01T00:00:00Z":                       "at byte 8: R",
		"R/2026-01-01T00:00:00Z/2026-13-01T00:00:00Z":                       "at byte 29: R",
		"R/2026-10-25T02:30+01:00[Europe/Berlin]/P1D":                       "at byte 19: R \"R/2026-10-25T02:30+01:00[Europe/Berlin]/P1D\": want the first of the times that the clocks show twice",
		"R2/2026-01-01T00:00:00Z/PT1H until 2027-01-01":                     "at byte 30: until: want none: the interval says its bounds itself, every 1h from",
		"R2/2026-01-01T00:00:00Z/PT1H from 2027-01-01":                      "from: want none",
		"R2/2026-01-01T00:00:00Z/PT1H align 2027-01-01":                     "align: want none",
		"2026-01-01T00:00:00Z/2026-02-01T00:00:00Z":                         "want \"at 2026-01-01T00:00:00Z\" for its start, \"at 2026-02-01T00:00:00Z\" for its end, or what recurs between them: \"every 1h from 2026-01-01T00:00:00Z until 2026-02-01T00:00:00Z\"",
		"2026-01-01T00:00:00Z/PT1H":                                         "want \"at 2026-01-01T00:00:00Z\" for its start, or R/2026-01-01T00:00:00Z/PT1H for again and again",
		"at 2026-01-01T00:00[Europe/Berlin]/PT1H":                           "want \"at 2026-01-01T00:00[Europe/Berlin]\" for its start",
		"PT1H/2026-01-01T00:00:00Z":                                         "want \"at 2026-01-01T00:00:00Z\", the end alone",
		"R/2026-01-01T00:00:00Z/P1DT1H":                                     "want a period of years, months, weeks and days, or one of hours",
		"R/2026-01-01T00:00:00Z/P1M1D":                                      "want months or days, not both",
		"R/2026-01-01T00:00:00+01:00/P1D":                                   "at byte 22: R \"R/2026-01-01T00:00:00+01:00/P1D\": want a zone",
		"R/2026-01-01T00:00:00.5Z/P1D":                                      "want whole seconds",
		"R/2026-13-01T00:00:00Z/P1D":                                        "want a month from 01 to 12",
		"R/2026-01-01T00:00[Mars/Base]/P1D":                                 "want a zone of the IANA database",
		"R/2026-01-01T00:00:00Z/-P1D":                                       "want a period without a sign",
		"R/2026-01-01T00:00:00Z/P1X":                                        "want Y, M, W and D",
		"R/PT1H":                                                            "want a repeating interval",
		"R99999999999999999999/2026-01-01T00:00:00Z/PT1H":                   "want at most 2147483647",
	} {
		s, err := schedule.Parse(text)
		if err == nil {
			t.Errorf("%s: accepted as %v", text, s)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

func FuzzWords(f *testing.F) {
	for _, text := range []string{
		"R5/2026-01-31T00:00:00Z/P1M", "R/2026-01-31T00:00[Europe/Berlin]/P1D", "R99/0001-01-02T00:00:00Z/PT0.000000001S", "R9223372036854775807/2026-01-01/PT1S",
		"every weekday at 9", "on the 1st and last at 6:30", "every mon, tue and wed to fri at 5pm and 11:30am", "every day at 9 , , and", "on", "every \xff", "every 31st of the month at 0",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := schedule.Parse(text)
		if err != nil {
			e, ok := err.(*schedule.Error) //nolint:errorlint // it is never wrapped
			if !ok || e.Pos < 1 || e.Pos > len(text)+1 || e.Want == "" {
				t.Errorf("%q: %#v", text, err)
			}
			return
		}
		again, err := schedule.Parse(s.String())
		if err != nil || !again.Equal(s) || again.String() != s.String() {
			t.Errorf("%q is %v, which reads as %v: %v", text, s, again, err)
		}
	})
}
