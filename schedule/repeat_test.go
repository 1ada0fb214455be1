package schedule_test

import (
	"errors"
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

// What is wrong with an interval is told where it is, and what would be right instead is told whole, where it can be.
func TestRepeat_Mistakes(t *testing.T) {
	short := strings.NewReplacer(
		"want the start and then the period, since a period and an end do not say whether it happens at the ends or at the starts", "ENDS",
		`want "in 5m", "at 2026-12-24T17:00:00Z", "every 1h30m", "pace 10s", "pace-from-start 10s", "cron 0 9 * * mon-fri", `+
			`"calendar Mon..Fri 09:00", "rrule FREQ=MONTHLY;BYDAY=-1FR" or "(S) or (S)"`, "ALL")
	for text, want := range map[string]string{ // without the value
		"R5/P1D/2026-06-05":                                                  "at byte 4: R: ENDS: R5/2026-06-01T00:00:00/P1D or R5/2026-05-31T00:00:00/P1D",
		"R5/P1M/2026-06-28":                                                  "at byte 4: R: ENDS: R5/2026-02-28T00:00:00/P1M or R5/2026-01-28T00:00:00/P1M",
		"R5/P1M/2026-06-29":                                                  "at byte 4: R: ENDS",
		"R5/P1D/2026-06-29":                                                  "at byte 4: R: ENDS: R5/2026-06-25T00:00:00/P1D or R5/2026-06-24T00:00:00/P1D",
		"R5/P1D/2026-06-30T09:00":                                            "at byte 4: R: ENDS: R5/2026-06-26T09:00:00/P1D or R5/2026-06-25T09:00:00/P1D",
		"R5/PT1H/2026-06-05T09:00[Europe/Berlin]":                            "at byte 4: R: ENDS",
		"R5/P1D/2026-06-05T09:00[Europe/Berlin]":                             "at byte 4: R: ENDS: R5/2026-06-01T09:00:00[Europe/Berlin]/P1D or R5/2026-05-31T09:00:00[Europe/Berlin]/P1D",
		"R5/P1W/2026-06-05T09:00Z":                                           "at byte 4: R: ENDS: R5/2026-05-08T09:00:00Z/P1W or R5/2026-05-01T09:00:00Z/P1W",
		"R1/P1D/2026-06-05T09:00:05Z":                                        "at byte 4: R: ENDS: R1/2026-06-05T09:00:05Z/P1D or R1/2026-06-04T09:00:05Z/P1D",
		"R2/P1Y/2026-06-05T09:00Z":                                           "at byte 4: R: ENDS: R2/2025-06-05T09:00:00Z/P1Y or R2/2024-06-05T09:00:00Z/P1Y",
		"R5/PT0.5S/2026-06-05T09:00:00Z":                                     "at byte 4: R: ENDS: R5/2026-06-05T08:59:58Z/PT0.5S or R5/2026-06-05T08:59:57.5Z/PT0.5S",
		"R5/P1X/2026-06-05T09:00:00Z":                                        "at byte 4: R: ENDS",
		"R5/P1D/2026-13-05T09:00:00Z":                                        "at byte 4: R: ENDS",
		"R/P1X/2026-06-05T09:00:00Z":                                         "at byte 3: R: ENDS",
		"R3660000/P1D/9999-06-05T09:00:00Z":                                  "at byte 10: R: ENDS",
		"R3660001/P1D/9999-06-05T09:00:00Z":                                  "at byte 10: R: ENDS",
		"R3660002/PT1S/2026-06-05T09:00:00Z":                                 "at byte 10: R: ENDS",
		"R3000000/P2D/2026-06-05T09:00:00Z":                                  "at byte 10: R: ENDS",
		"R120001/P1M/2026-06-05T09:00:00Z":                                   "at byte 9: R: ENDS",
		"R2026/P1Y/2026-06-05T09:00:00Z":                                     "at byte 7: R: ENDS",
		"R2025/P1Y/2026-06-05T09:00:00Z":                                     "at byte 7: R: ENDS: R2025/0002-06-05T09:00:00Z/P1Y or R2025/0001-06-05T09:00:00Z/P1Y",
		"R2027/P1Y/2026-06-05T09:00:00Z":                                     "at byte 7: R: ENDS",
		"R3/PT2562047H/2026-06-05T09:00:00Z":                                 "at byte 4: R: ENDS",
		"R4/PT2562047H/2026-06-05T09:00:00Z":                                 "at byte 4: R: ENDS",
		"R5/PT2562047H/2026-06-05T09:00:00Z":                                 "at byte 4: R: ENDS",
		"R2/P10000Y/2026-06-05T09:00:00Z":                                    "at byte 4: R: ENDS",
		"R2/P10001Y/2026-06-05T09:00:00Z":                                    "at byte 4: R: ENDS",
		"R24325/P1M/2026-02-05T09:00:00Z":                                    "at byte 8: R: ENDS",
		"R2/PT2562047H47M16.854775807S/2026-06-05T09:00:00Z":                 "at byte 4: R: ENDS",
		"R9/PT2562047H47M16.854775807S/2026-06-05T09:00:00Z":                 "at byte 4: R: ENDS",
		"R3/P1D/2026-06-05T09:00+02:00":                                      "at byte 4: R: ENDS: R3/2026-06-03T09:00:00+02:00/P1D or R3/2026-06-02T09:00:00+02:00/P1D",
		"R/P1D/2026-06-05":                                                   "at byte 3: R: ENDS: R/START/P1D until 2026-06-05",
		"R3660000/PT1S/2026-06-05T09:00:00Z":                                 "at byte 10: R: ENDS: R3660000/2026-04-24T00:20:01Z/PT1S or R3660000/2026-04-24T00:20:00Z/PT1S",
		"R3660001/PT1S/2026-06-05T09:00:00Z":                                 "at byte 10: R: ENDS",
		"R1/PT2562047H47M16.854775807S/2026-06-05T09:00:00Z":                 "at byte 4: R: ENDS: R1/2026-06-05T09:00:00Z/PT2562047H47M16.854775807S or R1/1734-02-24T09:12:43.145224193Z/PT2562047H47M16.854775807S",
		"R2/PT2562047H/2026-06-05T09:00:00Z":                                 "at byte 4: R: ENDS",
		"R2/PT1H/2026-06-05T09:00:00.25Z":                                    "at byte 4: R: ENDS: R2/2026-06-05T08:00:00.25Z/PT1H or R2/2026-06-05T07:00:00.25Z/PT1H",
		"R5/P1M/2026-06-29T00:00:00.5Z":                                      "at byte 4: R: ENDS",
		"R/P1D/2026-06-30[Europe/Berlin]":                                    "at byte 3: R: ENDS: R/START/P1D until 2026-06-30[Europe/Berlin]",
		"R/PT1H/2026-06-30T09:00[Europe/Berlin]":                             "at byte 3: R: ENDS",
		"R3/2026-01-31/P1DT1H":                                               "at byte 15: R: want a period of years, months, weeks and days, or one of hours, minutes and seconds",
		"R3/2026-01-31/P1M1D":                                                "at byte 15: R: want months or days, not both: which comes first makes a difference",
		"R3/2026-01-31T00:00Z/P1M1D":                                         "at byte 22: R: want months or days, not both: which comes first makes a difference",
		"R3/2026-01-01T00:00:00.5Z/P1D":                                      "at byte 25: R: want whole seconds, as the calendar has them",
		"R3/2026-01-31T00:00:00Z/PT0S":                                       "at byte 25: R: want a period of years, months, weeks and days, or one of hours, minutes and seconds",
		"R3/2026-01-31T00:00:00Z/P0D":                                        "at byte 25: R: want a period of years, months, weeks and days, or one of hours, minutes and seconds",
		"R3/2026-01-31T00:00:00Z/+P1D":                                       "at byte 25: R: want a period without a sign",
		"R3/2026-01-31T00:00:00Z/-PT1H":                                      "at byte 25: R: want a period without a sign",
		"R3//P1D":                                                            "at byte 4: R: want a repeating interval such as R5/2026-01-31T09:00:00Z/P1M or R/2026-01-31T09:00[Europe/Berlin]/P1D",
		"R3/2026-01-31T00:00:00Z/":                                           "at byte 25: R: want an instant such as 2026-12-24T17:00:00Z, 2026-12-24T18:00[Europe/Berlin] or 2027-01-01",
		"R3/2026-01-31T00:00:00Z":                                            "at byte 4: R: want a repeating interval such as R5/2026-01-31T09:00:00Z/P1M or R/2026-01-31T09:00[Europe/Berlin]/P1D",
		"R3/":                                                                "at byte 4: R: want a repeating interval such as R5/2026-01-31T09:00:00Z/P1M or R/2026-01-31T09:00[Europe/Berlin]/P1D",
		"R/":                                                                 "at byte 3: R: want a repeating interval such as R5/2026-01-31T09:00:00Z/P1M or R/2026-01-31T09:00[Europe/Berlin]/P1D",
		"R":                                                                  "at byte 1: schedule: ALL",
		"R-1/2026-01-31/P1D":                                                 "at byte 1: schedule: ALL",
		"R00/2026-01-31T00:00Z/P1D":                                          "at byte 2: R: want a number from 1 on behind the R, or none for without end",
		"R2147483648/2026-01-31T00:00Z/P1D":                                  "at byte 2: R: want at most 2147483647",
		"R3/2026-01-31T00:00[Mars/Base]/PT1H":                                "at byte 21: R: want a zone of the IANA database, such as Europe/Berlin",
		"R3/2026-01-31T00:00+01:00[Mars/Base]/P1D":                           "at byte 27: R: want a zone of the IANA database, such as Europe/Berlin",
		"R3/2026-01-31T00:00:00/PT1H":                                        "at byte 23: R: want an offset or a zone after the time of day: Z, +01:00 or [Europe/Berlin]",
		"R3/2026-01-31T00:00:00/2026-02-01T00:00:00Z":                        "at byte 23: R: want an offset or a zone after the time of day: Z, +01:00 or [Europe/Berlin]",
		"R3/2026-01-31T00:00:00Z/2026-02-01T00:00:00":                        "at byte 44: R: want an offset or a zone after the time of day: Z, +01:00 or [Europe/Berlin]",
		"R3/2026-02-01T00:00:00Z/2026-01-31T00:00:00Z":                       "at byte 25: R: want an end that is later than the start, by at most 292 years",
		"R3/1800-01-01T00:00:00Z/2092-04-10T23:47:16.854775807Z":             "at byte 25: R: want an end that is later than the start, by at most 292 years",
		"R3/1800-01-01T00:00:00Z/2092-04-11T00:00:00Z":                       "at byte 25: R: want an end that is later than the start, by at most 292 years",
		"R3/2026-02-01T00:00[Europe/Berlin]/2026-02-02T00:00[Europe/Berlin]": "at byte 36: R: want a period in place of the end: P1D or PT24H",
		"R3/2026-02-01T00:00[UTC]/2026-03-01T00:00[UTC]":                     "at byte 26: R: want a period in place of the end: P1M or PT672H",
		"R3/2026-02-01/2026-02-02":                                           "at byte 15: R: want a period in place of the end: P1D or PT24H",
		"R3/2026-02-01/2026-03-01":                                           "at byte 15: R: want a period in place of the end: P1M, P28D or PT672H",
		"R3/2026-01-31T00:00+01:00/2026-02-28T00:00+01:00":                   "at byte 27: R: want a period in place of the end: P1M or PT672H",
		"R3/2026-01-30T00:00+01:00/2026-02-28T00:00+01:00":                   "at byte 27: R: want a period in place of the end: P1M or PT696H",
		"R3/2026-02-28T00:00+01:00/2026-01-30T00:00+01:00":                   "at byte 27: R: want an end that is later than the start, by at most 292 years",
		"R3/2026-10-24T12:00[Europe/Berlin]/2026-10-25T12:00[Europe/Berlin]": "at byte 36: R: want a period in place of the end: P1D or PT25H",
		"R3/2026-03-01T12:00[Europe/Berlin]/2026-04-01T12:00[Europe/Berlin]": "at byte 36: R: want a period in place of the end: P1M, P31D or PT743H",
		"R3/2026-05-05T00:00Z/2027-05-05T00:00Z":                             "at byte 22: R: want a period in place of the end: P1Y or PT8760H",
		"R3/2026-05-31T00:00Z/2026-06-30T00:00Z":                             "at byte 22: R: want a period in place of the end: P1M or PT720H",
		"2026-01-01T00:00Z/2026-01-01T00:00Z":                                "at byte 1: schedule: ALL",
		"2026-01-01T00:00Z/2025-01-01T00:00Z":                                "at byte 1: schedule: ALL",
		"2026-01-01T00:00Z/P1D":                                              `at byte 1: schedule: want "at 2026-01-01T00:00Z" for its start, or R/2026-01-01T00:00Z/P1D for again and again`,
		"2026-01-01T00:00Z/-P1D":                                             "at byte 1: schedule: ALL",
		"2026-01-01T00:00Z/P":                                                "at byte 1: schedule: ALL",
		"2026-01-01T00:00Z/X":                                                "at byte 1: schedule: ALL",
		"2026-01-01T00:00/P1D":                                               "at byte 1: schedule: ALL",
		"P1D/2026-01-01T00:00Z":                                              `at byte 1: schedule: want "at 2026-01-01T00:00Z", the end alone`,
		"P/2026-01-01T00:00Z":                                                `at byte 1: schedule: want "at 2026-01-01T00:00Z", the end alone`,
		"X/2026-01-01T00:00Z":                                                "at byte 1: schedule: ALL",
		"P1D/P1D":                                                            "at byte 1: schedule: ALL",
		"/P1D":                                                               "at byte 1: schedule: ALL",
		"P1D/":                                                               "at byte 1: schedule: ALL",
		"2026-01-01T00:00/2026-01-02T00:00":                                  "at byte 1: schedule: ALL",
		"2026-01-01T00:00[Europe/Berlin]/2026-01-02T00:00[Europe/Berlin]":    `at byte 1: schedule: want "at 2026-01-01T00:00[Europe/Berlin]" for its start, "at 2026-01-02T00:00[Europe/Berlin]" for its end, or what recurs between them: "every 1h from 2026-01-01T00:00[Europe/Berlin] until 2026-01-02T00:00[Europe/Berlin]"`,
	} {
		_, err := schedule.Parse(text)
		var e *schedule.Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v", text, err)
			continue
		}
		e.Value = ""
		if got := short.Replace(strings.TrimPrefix(e.Error(), "schedule: ")); got != want {
			t.Errorf("%s:\n got %s\nwant %s", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"R2147483647/2026-01-31T00:00Z/PT2562047H":                           "every 2562047h from 2026-01-31T00:00:00Z until 9999-12-31T23:59:59.999999999Z",
		"R2/2026-01-31T00:00Z/PT0.000000001S":                                "every 1ns from 2026-01-31T00:00:00Z until 2026-01-31T00:00:00.000000001Z",
		"R4/9999-12-31T23:00Z/PT1H":                                          "every 1h from 9999-12-31T23:00:00Z until 9999-12-31T23:59:59.999999999Z",
		"R2/9999-12-31T22:59:59Z/PT1H":                                       "every 1h from 9999-12-31T22:59:59Z until 9999-12-31T23:59:59Z",
		"R/2026-01-31T00:00Z/P1D":                                            "rrule FREQ=DAILY DTSTART:20260131T000000",
		"R/2026-01-31T00:00Z/P1M":                                            "rrule FREQ=MONTHLY;BYMONTHDAY=28,29,30,31;BYSETPOS=-1 DTSTART:20260131T000000",
		"R/2026-01-28T00:00Z/P1M":                                            "rrule FREQ=MONTHLY DTSTART:20260128T000000",
		"R/2026-01-29T00:00Z/P1M":                                            "rrule FREQ=MONTHLY;BYMONTHDAY=28,29;BYSETPOS=-1 DTSTART:20260129T000000",
		"R/2026-01-30T00:00Z/P1M":                                            "rrule FREQ=MONTHLY;BYMONTHDAY=28,29,30;BYSETPOS=-1 DTSTART:20260130T000000",
		"R2/2026-01-31T00:00Z/P400Y":                                         "rrule FREQ=MONTHLY;COUNT=2;INTERVAL=4800;BYMONTHDAY=28,29,30,31;BYSETPOS=-1 DTSTART:20260131T000000",
		"R3/2026-01-31/P1M":                                                  "rrule FREQ=MONTHLY;COUNT=3;BYMONTHDAY=28,29,30,31;BYSETPOS=-1 DTSTART:20260131T000000",
		"R01/2026-01-31T00:00Z/P1D":                                          "rrule FREQ=DAILY;COUNT=1 DTSTART:20260131T000000",
		"R2147483647/2026-01-31T00:00Z/P1D":                                  "rrule FREQ=DAILY;COUNT=2147483647 DTSTART:20260131T000000",
		"R3/2026-02-01T00:00:00Z/2026-02-01T00:00:00.000000001Z":             "every 1ns from 2026-02-01T00:00:00Z until 2026-02-01T00:00:00.000000002Z",
		"R3/2026-02-01T00:00[UTC]/2026-02-02T00:00[UTC]":                     "every 24h from 2026-02-01T00:00:00Z until 2026-02-03T00:00:00Z",
		"R3/2026-02-01T00:00Z/2026-02-02T00:00Z":                             "every 24h from 2026-02-01T00:00:00Z until 2026-02-03T00:00:00Z",
		"R3/2026-02-01/2026-02-01T12:00Z":                                    "every 12h from 2026-02-01T00:00:00Z until 2026-02-02T00:00:00Z",
		"R3/2026-03-28T12:00[Europe/Berlin]/2026-03-29T13:00[Europe/Berlin]": "every 24h from 2026-03-28T11:00:00Z until 2026-03-30T11:00:00Z",
		"R3/2026-03-28T23:30[Europe/Berlin]/2026-03-29T00:30[Europe/Berlin]": "every 1h from 2026-03-28T22:30:00Z until 2026-03-29T00:30:00Z",
		"R3/2026-05-05T00:00Z/2026-06-05T01:00Z":                             "every 745h from 2026-05-05T00:00:00Z until 2026-07-06T02:00:00Z",
	} {
		if s, err := schedule.Parse(text); err != nil || s.String() != want {
			t.Errorf("%s is %v, %v; want %s", text, s, err, want)
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
