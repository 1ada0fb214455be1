package schedule

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// The first mistake is the one that is told, whatever is asked of the schedule after it.
//
// contract: A6.
func TestSchedule_KeepsItsFirstMistake(t *testing.T) {
	fine := Cron("0 9 * * *")
	after := map[string]func(s Schedule) Schedule{
		"From":    func(s Schedule) Schedule { return s.From(noon) },
		"Until":   func(s Schedule) Schedule { return s.Until(noon) },
		"Times":   func(s Schedule) Schedule { return s.Times(3) },
		"Jitter":  func(s Schedule) Schedule { return s.Jitter(time.Second) },
		"AlignTo": func(s Schedule) Schedule { return s.AlignTo(noon) },
		"In":      func(s Schedule) Schedule { return s.In("Europe/Berlin") },
		"In none": func(s Schedule) Schedule { return s.In("Mars/Olympus") },
		"DST":     func(s Schedule) Schedule { return s.DST(GapSkip, FoldBoth) },
		"DST not": func(s Schedule) Schedule { return s.DST(77, FoldBoth) },
		"Days":    func(s Schedule) Schedule { return s.Days(DaysAnd) },
		"Days 77": func(s Schedule) Schedule { return s.Days(77) },
		"Except":  func(s Schedule) Schedule { return s.Except(Cron("0 9 24 12 *")) },
	}
	for text, s := range map[string]Schedule{
		`minute "61": want 0 to 59`:                             Cron("61 * * * *"),
		`hour "25": want 0 to 23`:                               Calendar("25:00"),
		`FREQ: want it in every rule, as in FREQ=DAILY`:         RRule("BYDAY=MO"),
		`every "0s": want a period longer than 0`:               Every(0),
		`union "0 members": want 1 to 64`:                       Union(),
		`in "Mars/Olympus": want a zone of the IANA database`:   fine.In("Mars/Olympus"),
		`days "or": want it on "cron" only`:                     Every(time.Hour).Days(DaysOr),
		`days "Days(77)": want "or" or "and"`:                   fine.Days(77),
		`gap "Gap(77)": want "after", "skip" or "shift"`:        fine.DST(77, FoldFirst),
		`fold "Fold(77)": want "first", "second" or "both"`:     fine.DST(GapSkip, 77),
		`gap "skip": want it on "cron", "calendar" and "rrule"`: Every(time.Hour).DST(GapSkip, 0),
		`except "in": want it on "every", "cron", "calendar"`:   After(time.Hour).Except(fine),
	} {
		was := s.Err()
		if was == nil || !strings.Contains(was.Error(), text) {
			t.Errorf("%v, want %s", was, text)
			continue
		}
		for name, f := range after {
			if got := f(s).Err(); got == nil || !strings.Contains(got.Error(), text) {
				t.Errorf("%s of what is refused for %q: %v", name, was, got)
			}
		}
		var e *Error
		if !errors.As(was, &e) {
			t.Fatalf("%T", was)
		}
		what := strings.TrimSpace(e.Field + " " + e.Value)
		if got, want := Union(fine, s, Cron("99 * * * *")).Err(), `union "`+what+`": want a schedule that is right in itself: `+e.Want; got == nil || !strings.HasSuffix(got.Error(), want) {
			t.Errorf("a union with it: %v, want %s", got, want)
		}
		if got, want := Every(time.Hour).Except(s).Err(), `except "`+what+`": want a schedule that is right in itself: `+e.Want; got == nil || !strings.HasSuffix(got.Error(), want) {
			t.Errorf("an exception of it: %v, want %s", got, want)
		}
		if s.Zone() != "" || s.Words() != "" && !strings.HasPrefix(s.Words(), "invalid") || s.Warnings() != nil || s.Recurring() && s.Kind() == 0 {
			t.Errorf("of what is refused for %q: zone %q, words %q, warnings %q", was, s.Zone(), s.Words(), s.Warnings())
		}
	}
}

// What has just as much as there may be of something is taken, and of one more it is said how much there may be.
//
// contract: A6.
func TestSchedule_Limits(t *testing.T) {
	members := func(n int) []Schedule { return slices.Repeat([]Schedule{Cron("0 9 * * *")}, n) }
	except := func(n int) Schedule {
		s := Cron("* * * * *")
		for i := range n {
			s = s.Except(At(noon.Add(time.Duration(i) * time.Hour)))
		}
		return s
	}
	years := func(n int) Schedule { // each second one, so that none join
		var list []string
		for i := range n {
			list = append(list, time.Date(1970+2*i, 1, 1, 0, 0, 0, 0, time.UTC).Format("2006"))
		}
		return Cron("0 0 9 * * * " + strings.Join(list, ","))
	}
	padded := func(n int) string { return "*-*-* 09:00" + strings.Repeat(" ", n-len("*-*-* 09:00")) }
	for _, tt := range []struct {
		name string
		s    Schedule
		want string
	}{
		{"1 member", Union(members(1)...), ""},
		{"64 members", Union(members(64)...), ""},
		{"65 members", Union(members(65)...), `schedule: union "65 members": want 1 to 64`},
		{"64 exceptions", except(64), ""},
		{"65 exceptions", except(65), `schedule: except "` + At(noon.Add(64*time.Hour)).String() + `": want at most 64 of them`},
		{"64 years", years(64), ""},
		{"65 years", years(65), `at byte 13: year "1970,1972,1974,1976,1978,1980,1982,1984,1986,198...": want at most 64 years and ranges of years, not 65`},
		{"241 items", Calendar("*:" + strings.Repeat("5,", 240) + "5"), ""},
		{"242 items", Calendar("*:" + strings.Repeat("5,", 241) + "5"), `at byte 3: minute "` + strings.Repeat("5,", 24) + `...": want at most 241 items`},
		{"a cron expression of 4096 bytes", Cron("0 9 * * *" + strings.Repeat(" ", 4087)), ""},
		{"a cron expression of 4097 bytes", Cron("0 9 * * *" + strings.Repeat(" ", 4088)), `at byte 4097: cron "0 9 * * *                                       ...": want at most 4096 bytes, not 4097`},
		{"a calendar line of 4096 bytes", Calendar(padded(4096)), ""},
		{"a calendar line of 4097 bytes", Calendar(padded(4097)), `at byte 4097: calendar "*-*-* 09:00                                     ...": want at most 4096 bytes, not 4097`},
	} {
		err := tt.s.Err()
		switch {
		case tt.want == "" && err != nil, tt.want != "" && err == nil:
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		case err != nil && !strings.HasSuffix(err.Error(), tt.want):
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		case err == nil:
			if at := tt.s.Bind("", noon).Next(time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC)); at.IsZero() {
				t.Errorf("%s: it never fires", tt.name)
			}
		}
		var e *Error
		if err != nil && !errors.As(err, &e) {
			t.Errorf("%s: %T", tt.name, err)
		}
	}
	if next, last := years(64).Bind("", noon).Next(time.Date(2030, 12, 31, 10, 0, 0, 0, time.UTC)), years(64).Bind("", noon).Prev(lastInstant()); next.Year() != 2032 || last.Year() != 2096 {
		t.Errorf("64 years: after 2030 %v, the last %v", next, last)
	}
}

// What comes to mind of other tools is answered with the words of this one.
func TestCalendar_HintsAtTheEndOfAnItem(t *testing.T) {
	for text, want := range map[string]string{
		"5-:00":              `hour "5-": want 0 to 23`,
		"9-17:00":            `hour "9-17": want ".." for a range, as in 9..17`,
		"09:00:00z":          `second "00z": want a space and the name of a zone, as in 09:00 Europe/Berlin`,
		"09:00:00Z":          `second "00Z": want a space and the name of a zone`,
		"09:00:00+02":        `second "00+02": want a space and the name of a zone`,
		"09:00z":             `minute "00z": want 0 to 59`,
		"09:00a":             `minute "00a": want hours from 0 to 23, without am and pm`,
		"09:00pm":            `minute "00pm": want hours from 0 to 23, without am and pm`,
		"09:00:00PM":         `second "00PM": want hours from 0 to 23, without am and pm`,
		"9pm:00":             `hour "9pm": want 0 to 23`,
		"10/2/3:00":          `hour "10/2/3": want one "/" only`,
		"10/2..20:00":        `hour "10/2..20": want the range before the step, as in 10..20/5`,
		"10..12..14:00":      `hour "10..12..14": want one ".." only`,
		"9.5:00":             `hour "9.5": want whole numbers: only seconds have fractions`,
		"2026-01-01T09:00":   `want a space between date and time`,
		"*-jan-1":            `month "jan": want "1": months are numbers`,
		"*-*-L":              `day "L": want "~01" for the month's last day, as in *-*~01`,
		"*-*-..5":            `day "..5": want a number before the ".."`,
		"/5:00":              `hour "/5": want a number before the "/"`,
		"*:0/0":              `minute "0/0": want a step longer than 0`,
		"*:*:5..5.5":         `second "5..5.5": want a range of a second at least, or a step behind it, as in 5..5.5/0.1`,
		"*:*:5..5.5/0.1":     "",
		"*:*:5..6":           "",
		"*:*/5":              `minute "*/5": want "0/5"`,
		"*:1/5":              "",
		"Mon 9:70 Mars/Face": `in "Mars/Face": want a zone of the IANA database`,
	} {
		err := Calendar(text).Err()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// A mistake in a calendar line without its word is shown at its place, whatever stands behind the line.
func TestParse_MistakesOfCalendarLines(t *testing.T) {
	for text, want := range map[string]string{
		"Mon 9:70":                     `at byte 7: minute "70": want 0 to 59; and "calendar" before the whole`,
		"Mon 9:70 Europe/Berlin":       `at byte 7: minute "70": want 0 to 59; and "calendar" before the whole`,
		"Mon 9:70 UTC":                 `at byte 7: minute "70": want 0 to 59; and "calendar" before the whole`,
		"*-*-* 9:70 Europe/Berlin":     `at byte 9: minute "70": want 0 to 59; and "calendar" before the whole`,
		"*:70":                         `at byte 3: minute "70": want 0 to 59; and "calendar" before the whole`,
		"Mon *-*-* 09:00 Europe/Berln": `want "in 5m"`,
		"Mon 9:70 CET":                 `want "in 5m"`,
		"Mond 9:70":                    `want "in 5m"`,
		"Mon":                          `want "calendar Mon"`,
		"-5m":                          `at byte 1: schedule "-5m": want "in -5m" for once or "every -5m" for again and again`,
		"+5m":                          `at byte 1: schedule "+5m": want "in +5m" for once or "every +5m" for again and again`,
		"0":                            `want "in 5m"`,
		"5m foo":                       `want`,
	} {
		_, err := Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// The day on which weeks begin is told where anything depends on it, and only there.
func TestRRule_WordsOfTheWeeksBeginning(t *testing.T) {
	for text, want := range map[string]bool{
		"FREQ=WEEKLY;BYDAY=TU;WKST=SU":                          false,
		"FREQ=WEEKLY;INTERVAL=2;BYDAY=TU;WKST=SU":               true,
		"FREQ=WEEKLY;BYDAY=TU,SU;BYSETPOS=1;WKST=SU":            true,
		"FREQ=WEEKLY;INTERVAL=2;BYDAY=TU;WKST=MO":               false,
		"FREQ=DAILY;INTERVAL=2;WKST=SU":                         false,
		"FREQ=MONTHLY;BYDAY=TU,SU;BYSETPOS=1;WKST=SU":           false,
		"FREQ=YEARLY;BYWEEKNO=20;BYDAY=TU;WKST=SU":              true,
		"FREQ=YEARLY;BYWEEKNO=-1;BYDAY=TU;WKST=SU":              true,
		"FREQ=YEARLY;INTERVAL=2;BYMONTH=1;BYMONTHDAY=1;WKST=SU": false,
	} {
		s := RRule(text)
		if s.Err() != nil {
			t.Errorf("%s: %v", text, s.Err())
		} else if got := strings.Contains(s.Words(), "weeks beginning on Sunday"); got != want {
			t.Errorf("%s: %s", text, s.Words())
		}
	}
}

// A day of the week that is named as a whole makes what is named of it by number of no account.
func TestRRule_ADayAndItsNumbers(t *testing.T) {
	for text, same := range map[string]string{
		"FREQ=MONTHLY;BYDAY=MO,1MO":         "FREQ=MONTHLY;BYDAY=MO",
		"FREQ=MONTHLY;BYDAY=1MO,MO,-1MO":    "FREQ=MONTHLY;BYDAY=MO",
		"FREQ=MONTHLY;BYDAY=2SU,SU,1TU":     "FREQ=MONTHLY;BYDAY=SU,1TU",
		"FREQ=YEARLY;BYDAY=20SA,SA,-53SA":   "FREQ=YEARLY;BYDAY=SA",
		"FREQ=MONTHLY;BYDAY=1MO,2MO,-1TU":   "FREQ=MONTHLY;BYDAY=2MO,1MO,-1TU",
		"FREQ=MONTHLY;BYDAY=1FR,FR;COUNT=3": "FREQ=MONTHLY;BYDAY=FR;COUNT=3",
	} {
		a, b := RRule(text), RRule(same)
		if a.Err() != nil || b.Err() != nil || a.Words() != b.Words() || !a.Equal(b) || a.String() != b.String() {
			t.Errorf("%s is %s (%s), %v; want %s (%s), %v", text, a, a.Words(), a.Err(), b, b.Words(), b.Err())
		}
	}
}

// What is left out by a recurrence in UTC needs no word of its zone.
func TestExcept_TextOfZones(t *testing.T) {
	for text, want := range map[string]string{
		"cron 0 9 * * * in Asia/Tokyo except (rrule FREQ=DAILY;INTERVAL=2 DTSTART:20260101T000000Z)": "",
		"cron 0 9 * * * in Asia/Tokyo except (cron * * 1 * * in UTC)":                                "",
		"cron 0 9 * * * in Asia/Tokyo except (cron * * 1 * *)":                                       "",
		"cron 0 9 * * * except (cron * * 1 * * in UTC)":                                              "",
		"cron 0 9 * * * in UTC": "cron 0 9 * * *",
	} {
		s := mustSchedule(t, text)
		if want == "" {
			want = text
		}
		if got := s.String(); got != want || !mustSchedule(t, got).Equal(s) {
			t.Errorf("%s is written %s", text, got)
		}
	}
}

// Beyond the year 9999 there is nothing, also where the days of a span would lead back.
func TestSpan_FromAtTheEnd(t *testing.T) {
	at := func(text string) time.Time { return instantOf(t, text) }
	for _, tt := range []struct {
		from time.Time
		s    Span
		want time.Time
	}{
		{at("9999-11-30"), Span{Months: 1}, at("9999-12-30")},
		{at("9999-12-15"), Span{Months: 1}, time.Time{}},
		{at("9999-12-15"), Span{Months: 1, Days: -40}, time.Time{}},
		{at("9999-12-30"), Span{Days: 1}, at("9999-12-31")},
		{at("9999-12-31"), Span{Days: 1}, time.Time{}},
		{at("0001-02-01"), Span{Months: -1, Days: 1}, at("0001-01-02")},
		{at("0001-02-01"), Span{Months: -2}, time.Time{}},
		{at("0001-01-15"), Span{Months: -1, Days: 40}, time.Time{}},
		{at("2024-01-31"), Span{Months: 1}, at("2024-02-29")},
		{at("2024-01-31"), Span{Months: 13}, at("2025-02-28")},
		{at("2024-01-31"), Span{Months: -2}, at("2023-11-30")},
		{at("2024-12-31"), Span{Months: 12}, at("2025-12-31")},
	} {
		if got := tt.s.From(tt.from); !got.Equal(tt.want) {
			t.Errorf("%v and %v is %v, want %v", tt.from, tt.s, got, tt.want)
		}
	}
}

// Parts of days in a year or a month that a rule does not name count for nothing.
func TestCron_CountsPartsOfDays(t *testing.T) {
	for _, tt := range []struct {
		rule, after, upTo string
		want              int64
	}{
		{"cron 0 0 9 * * * 2026", "2025-05-05T00:00Z", "2025-05-05T12:00Z", 0},
		{"cron 0 0 9 * * * 2026", "2027-05-05T00:00Z", "2027-05-05T12:00Z", 0},
		{"cron 0 0 9 * * * 2026", "2026-05-05T00:00Z", "2026-05-05T12:00Z", 1},
		{"cron 0 0 9 * * * 2026", "2025-12-31T08:00Z", "2026-01-01T09:00Z", 1},
		{"cron 0 0 9 * * * 2026", "2026-12-31T08:00Z", "2027-01-01T10:00Z", 1},
		{"cron 0 9 * 6 *", "2026-05-31T08:00Z", "2026-06-01T08:59Z", 0},
		{"cron 0 9 * 6 *", "2026-05-31T08:00Z", "2026-07-01T12:00Z", 30},
		{"cron 0 9 1 * *", "2026-05-31T08:00Z", "2026-06-01T09:00Z", 1},
		{"cron 0 9 1 * *", "2026-06-01T09:00Z", "2026-06-30T12:00Z", 0},
		{"cron 0 9,10 * * *", "2026-06-01T09:00Z", "2026-06-01T10:00Z", 1},
		{"cron 0 9,10 * * *", "2026-06-01T08:59Z", "2026-06-02T09:59Z", 3},
	} {
		from, to := instantOf(t, tt.after), instantOf(t, tt.upTo)
		if got := mustSchedule(t, tt.rule).Bind("", from).Count(from, to); got != tt.want {
			t.Errorf("%s after %s up to %s: %d, want %d", tt.rule, tt.after, tt.upTo, got, tt.want)
		}
	}
}

// All parts of a recurrence are in its text, and in the order of it.
func TestRRule_TextHasAllParts(t *testing.T) {
	for text, want := range map[string]string{
		"FREQ=YEARLY;UNTIL=20300101T000000Z;INTERVAL=2;BYMONTH=3,1;BYYEARDAY=-1,60,1;BYMONTHDAY=31,-1,1;BYDAY=TU,MO;BYHOUR=9,8;BYMINUTE=30,0;BYSECOND=5,0;BYSETPOS=2,-1,1;WKST=SU": "rrule FREQ=YEARLY;UNTIL=20300101T000000Z;INTERVAL=2;" +
			"BYMONTH=1,3;BYYEARDAY=1,60,-1;BYMONTHDAY=1,31,-1;BYDAY=MO,TU;BYHOUR=8,9;BYMINUTE=0,30;BYSECOND=0,5;BYSETPOS=-1,1,2;WKST=SU",
		"FREQ=YEARLY;BYWEEKNO=16,15;BYEASTER=1,-2;COUNT=3": "rrule FREQ=YEARLY;COUNT=3;BYWEEKNO=15,16;BYEASTER=-2,1",
		"FREQ=YEARLY;BYYEARDAY=1":                          "rrule FREQ=YEARLY;BYYEARDAY=1",
		"FREQ=MONTHLY;BYDAY=-1FR,1MO":                      "rrule FREQ=MONTHLY;BYDAY=1MO,-1FR",
	} {
		s := RRule(text)
		if got := s.String(); got != want {
			t.Errorf("%s:\n got %s\nwant %s", text, got, want)
		}
		if !mustSchedule(t, s.String()).Equal(s) {
			t.Errorf("%s is another when read again", text)
		}
	}
}

// What begins like a number of a part and is none is no number.
func TestRRule_NumbersOfParts(t *testing.T) {
	for _, part := range []string{"BYHOUR", "BYMINUTE", "BYSECOND", "BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYSETPOS", "BYEASTER", "BYWEEKNO"} {
		for _, n := range []string{"1x", "x", "-x", "--1", "+-1", "1.5", " 1", "1e1", "0x1", "٣", "99999999999999999999"} {
			if s := RRule("FREQ=YEARLY;BYDAY=MO;" + part + "=" + n); s.Err() == nil {
				t.Errorf("%s=%s is taken for %v", part, n, s)
			}
		}
	}
	for n, want := range map[string]bool{"-1": false, "+1": false, "0": true, "01": true, "23": true, "24": false} {
		if err := RRule("FREQ=DAILY;BYHOUR=" + n).Err(); (err == nil) != want {
			t.Errorf("BYHOUR=%s: %v", n, err)
		}
	}
	for n, want := range map[string]bool{"-1": false, "+1": false, "0": false, "1": true, "12": true, "13": false} {
		if err := RRule("FREQ=DAILY;BYMONTH=" + n).Err(); (err == nil) != want {
			t.Errorf("BYMONTH=%s: %v", n, err)
		}
	}
	for n, want := range map[string]bool{"-1": true, "+1": true, "0": false, "31": true, "-31": true, "32": false, "-32": false} {
		if err := RRule("FREQ=DAILY;BYMONTHDAY=" + n).Err(); (err == nil) != want {
			t.Errorf("BYMONTHDAY=%s: %v", n, err)
		}
	}
}

// Easter as the tables have it: the years in which the exceptions of the rule apply, the earliest and the latest, and others.
func TestEaster(t *testing.T) {
	for _, want := range []string{
		"1609-04-19", "1818-03-22", "1886-04-25", "1943-04-25", "1954-04-18", "1981-04-19", "2000-04-23", "2008-03-23", "2024-03-31", "2025-04-20",
		"2026-04-05", "2027-03-28", "2038-04-25", "2049-04-18", "2076-04-19", "2100-03-28", "2106-04-18", "2133-04-19", "2285-03-22", "2299-04-16",
	} {
		at := instantOf(t, want)
		if got := time.Date(at.Year(), 1, easter(at.Year()), 0, 0, 0, 0, time.UTC); !got.Equal(at) {
			t.Errorf("Easter of %d is on %v, want %s", at.Year(), got.Format("2 January"), want)
		}
	}
}

// How spans and instants end that are just too long, too late or too fine.
func TestLiterals_JustBeyond(t *testing.T) {
	for text, want := range map[string]string{
		"at 2026-02-28T23:59+01:59": "",
		"at 2026-02-28T23:59+01:60": `want an offset from -23:59 to +23:59`,
		"at 2026-02-28T23:59-23:59": "",
		"at 2026-02-28T23:59-24:00": `want an offset from -23:59 to +23:59`,
		"at 2026-02-28T23:59+1:30":  `at byte 20: at "2026-02-28T23:59+1:30": want an offset such as +01:00`,
		"R3/2026-13-01/PT1H":        `at byte 9: R "R3/2026-13-01/PT1H": want a month from 01 to 12`,
		"R3/2026-01-31/PT1H":        "",
	} {
		_, err := Parse(text)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if _, err := ParseSpan(strings.Repeat(" ", maxSpan-2) + "5s"); err != nil {
		t.Errorf("%d bytes: %v", maxSpan, err)
	}
	if _, err := ParseSpan(strings.Repeat(" ", maxSpan-1) + "5s"); err == nil || !strings.Contains(err.Error(), "want at most 200 bytes") {
		t.Errorf("%d bytes: %v", maxSpan+1, err)
	}
	for _, tt := range []struct {
		s    Span
		want time.Duration
		ok   bool
	}{
		{Span{Days: 1, Time: time.Hour}, 25 * time.Hour, true},
		{Span{Days: 106_751, Time: longest - 106_751*24*time.Hour}, longest, true},
		{Span{Days: 106_751, Time: longest - 106_751*24*time.Hour + 1}, 0, false},
		{Span{Days: -106_751, Time: shortest + 106_751*24*time.Hour}, shortest, true},
		{Span{Days: -106_751, Time: shortest + 106_751*24*time.Hour - 1}, 0, false},
		{Span{Days: 106_752}, 0, false},
		{Span{Days: -106_752}, 0, false},
		{Span{Months: 1}, 0, false},
	} {
		if d, ok := tt.s.Fixed(); d != tt.want || ok != tt.ok {
			t.Errorf("%v is %v, %t long, want %v, %t", tt.s, d, ok, tt.want, tt.ok)
		}
	}
}

// An interval whose period is months long over the turn of a year is told in months.
func TestRepeat_EndsAYearLater(t *testing.T) {
	for text, want := range map[string]string{
		"R3/2025-11-15T00:00Z/2026-02-15T00:00Z":                             "P3M",
		"R3/2024-02-29T00:00Z/2025-03-29T00:00Z":                             "P1Y1M",
		"R3/2025-12-01T00:00[Europe/Berlin]/2026-01-01T00:00[Europe/Berlin]": "P1M, P31D or PT744H",
		"R3/2026-03-28T20:00[Europe/Berlin]/2026-03-29T20:00[Europe/Berlin]": "P1D or PT23H",
		"R3/2026-03-28T20:00[Europe/Berlin]/2026-03-30T20:00[Europe/Berlin]": "P2D or PT47H",
	} {
		_, err := Parse(text)
		if err == nil || !strings.Contains(err.Error(), "want a period in place of the end: "+want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// A mistake is shown where it is, also in the later fields of a time and in lines that were joined.
func TestMistakes_Places(t *testing.T) {
	for text, want := range map[string]string{
		"calendar *-*-* 09:70:00": `at byte 19: minute "70"`,
		"calendar *-*-* 09:00:70": `at byte 22: second "70"`,
		"calendar *-*-* 25:00:00": `at byte 16: hour "25"`,
		"calendar 09:00:00x":      `second "00x": want 0 to 59`,
		"calendar 2026-13-01":     `at byte 15: month "13"`,
		"cron 0 9 * * 2026":       `day of week "2026": want 0 to 7`,
		"cron 0 0 9 * * 2026":     `; a year is the last of 7 fields, seconds first`,
		"cron 0 0 9 * * 1969":     `day of week "1969": want 0 to 7`,
		"cron 0 0 9 * * 10000":    `day of week "10000": want 0 to 7`,
		"every month at 9":        `at byte 13`,
		"on year at 9":            `want "day", "weekday"`,
	} {
		_, err := Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	for text, want := range map[string]string{
		"RRULE:FREQ=DAILY;\r\n BYHOUR=24\r\n ;COUNT=3":             `at byte 28: BYHOUR "24"`,
		"RRULE:FREQ=DAILY;BYHOUR=24;\r\n COUNT=3":                  `at byte 25: BYHOUR "24"`,
		"RRULE:FREQ=DA\r\n ILY;BYHO\r\n UR=9;CO\r\n UNT=x":         `at byte 42: COUNT "x"`,
		"RRULE:FREQ=DAILY;BYHOUR=\r\n 24":                          `at byte 28: BYHOUR "24"`,
		"\nRRULE:FREQ=DAILY;BYHO\n UR=24":                          `at byte 28: BYHOUR "24"`,
		"RRULE:FREQ=DAILY;BYHOUR=2\n 4;COUNT=3":                    `at byte 25: BYHOUR "24"`,
		"DTSTART:20260101T090000\r\nRRULE:FREQ=DAILY;COUNT=0":      `at byte 49: COUNT "0"`,
		"DTSTART:20260101T090000\r\nRRULE:FREQ=DAILY;CO\r\n UNT=0": `at byte 52: COUNT "0"`,
	} {
		if err := RRule(text).Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// What words say of single values and of several.
func TestWords_OneAndSeveral(t *testing.T) {
	for text, want := range map[string]string{
		"rrule FREQ=HOURLY;BYMINUTE=5":        "every hour, at minute 5, in UTC",
		"rrule FREQ=HOURLY;BYMINUTE=0":        "every hour, at minute 0, in UTC",
		"rrule FREQ=HOURLY;BYMINUTE=5,6,7,20": "every hour, at minutes 5 to 7 and 20, in UTC",
		"rrule FREQ=MONTHLY;BYMONTHDAY=1":     "every month on day 1, in UTC",
		"rrule FREQ=MONTHLY;BYMONTHDAY=1,2":   "every month on days 1 and 2, in UTC",
		"calendar 9:00:00.5":                  "at 09:00:00.5 every day, in UTC",
		"calendar 9:00:10.5":                  "at 09:00:10.5 every day, in UTC",
		"calendar 9,10:00:00.5":               "at second 0.5 of minute 0 of hours 9 and 10 every day, in UTC",
	} {
		if got := mustSchedule(t, text).Words(); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// What differs in how it reads a clock that is changed is not equal.
func TestEqual_OfClocksThatAreChanged(t *testing.T) {
	c := Cron("30 2 * * *").In("Europe/Berlin")
	all := []Schedule{c, c.DST(GapSkip, FoldFirst), c.DST(GapShift, FoldFirst), c.DST(GapAfter, FoldSecond), c.DST(GapAfter, FoldBoth), c.In("Europe/Paris"), Cron("30 2 * * *")}
	for i := range all {
		for j := range all {
			if got := all[i].Equal(all[j]); got != (i == j) {
				t.Errorf("%v and %v are equal: %t", all[i], all[j], got)
			}
		}
	}
	if !c.Equal(c.DST(GapAfter, FoldFirst)) {
		t.Error("the defaults, given, make another schedule")
	}
}

// The hour that comes twice ends with its last second.
func TestPreview_MarksAtTheEndOfAFold(t *testing.T) {
	from := instantOf(t, "2026-10-24")
	for rule, want := range map[string]string{
		"cron 0 0 3 25 10 * in Europe/Berlin":               "",
		"cron 59 59 2 25 10 * in Europe/Berlin fold second": "fold-second",
		"cron 0 0 2 25 10 * in Europe/Berlin fold second":   "fold-second",
		"cron 0 0 2 25 10 * in Europe/Berlin":               "",
		"cron 59 59 1 25 10 * in Europe/Berlin":             "",
	} {
		for o := range mustSchedule(t, rule).Bind("x", from).Preview(from) {
			if o.Marks.String() != want {
				t.Errorf("%s: at %v %q, want %q", rule, o.At, o.Marks, want)
			}
			break
		}
	}
}

// What leaves out all that there is for decades, anywhere in a century, is refused; what leaves out some years is not.
func TestExcept_WhatGoesOnForDecades(t *testing.T) {
	const (
		now  = "it to leave an occurrence now and then"
		rows = "it to leave out no more than a few thousand occurrences in a row"
	)
	for _, tt := range []struct{ clauses, want string }{
		{"from 2010-01-01", now},
		{"from 2035-01-01", now},
		{"from 2060-01-01", now},
		{"from 2085-01-01", now},
		{"from 2099-06-01", now},
		{"from 2101-01-02", rows},
		{"until 2010-01-01", ""},
		{"until 2030-01-01", now},
		{"from 2000-01-01T09:00Z until 2003-01-01", ""},
		{"from 2024-12-31T12:00Z until 2060-01-01", now},
		{"from 2025-01-01T12:00Z until 2060-01-01", rows},
		{"from 2050-01-01 until 2080-01-01", now},
	} {
		other := mustSchedule(t, "cron * * * * * "+tt.clauses)
		want := ""
		if tt.want != "" {
			want = `schedule: except "` + other.String() + `": want ` + tt.want
		}
		if got := errText(Cron("0 9 * * *").Except(other).Err()); got != want {
			t.Errorf("%s: %s, want %s", tt.clauses, got, want)
		}
	}
}

// Unions and exceptions nest in each other to a depth, on each side of which it is said so.
func TestUnion_Depth(t *testing.T) {
	const want = "at most 4 unions and exceptions within each other"
	for n, s := 1, Union(Cron("0 9 1 * *")); n <= 6; n++ {
		beside := Cron("0 9 * * *").Except(s) // one deeper
		for _, tt := range []struct {
			s     Schedule
			depth int
		}{{s, n}, {beside, n + 1}, {Union(At(noon), s, At(noon)), n + 1}, {Union(beside, At(noon)), n + 2}, {Every(time.Hour).Except(At(noon)).Except(s), n + 1}} {
			got := errText(tt.s.Err())
			if ok := tt.depth <= 4; ok != (got == "") || !ok && !strings.HasSuffix(got, want) {
				t.Errorf("%d within each other: %v: %s", tt.depth, tt.s, got)
			}
		}
		s = Union(s)
	}
}

// What is of no kind is part of nothing, and what has no occurrence in all time has none together, either.
func TestUnion_OfNothing(t *testing.T) {
	never, daily := Cron("0 0 30 2 *"), Cron("0 9 * * *")
	const want = "want a date that comes at some time: this one never does"
	for _, tt := range []struct {
		s     Schedule
		never bool
		err   string
	}{
		{Union(Schedule{}), false, "schedule: union: want a schedule, not the zero one"},
		{Union(daily, Schedule{}), false, "schedule: union: want a schedule, not the zero one"},
		{Every(time.Hour).Except(Schedule{}), false, "schedule: except: want a schedule, not the zero one"},
		{Schedule{}, false, "schedule: schedule: want one made by After, At, Every, Cron, Calendar, another function of this package or Parse, not the zero Schedule"}, //nolint:dupword // package and field
		{never, true, `schedule: cron "cron 0 0 30 2 *": ` + want},
		{Union(never), true, `schedule: union "(cron 0 0 30 2 *)": ` + want},
		{Union(never, Union(never)), true, `schedule: union "(cron 0 0 30 2 *) or ((cron 0 0 30 2 *))": ` + want},
		{Union(never, daily), false, ""},
		{Union(daily, never), false, ""},
		{Union(never, Every(time.Hour)), false, ""},
		{Union(never, At(noon)), false, ""},
		{never.Except(daily), true, `schedule: cron "cron 0 0 30 2 * except (cron 0 9 * * *)": ` + want},
		{Union(never).Except(daily), true, `schedule: union "(cron 0 0 30 2 *) except (cron 0 9 * * *)": ` + want},
		{daily.Except(never), false, ""},
		{daily.From(year27.AddDate(23, 0, 0)).Except(mustSchedule(t, "cron * * * * * until 2040-01-01")), false, ""},
		{Every(time.Hour), false, ""},
		{Cron("0 0 30 2 mon").Days(DaysAnd), true, `schedule: cron "cron 0 0 30 2 mon days and": ` + want},
		{Cron("0 0 30 2 mon").Days(DaysAnd).Days(DaysOr), false, ""},
	} {
		if got := errText(tt.s.Err()); tt.s.Never() != tt.never || got != tt.err {
			t.Errorf("%v: never %t, %s; want %t, %s", tt.s, tt.s.Never(), got, tt.never, tt.err)
		}
	}
}

// What stands for no policy is shown as a number.
func TestPolicies_Words(t *testing.T) {
	var got []string
	for n := range 5 {
		got = append(got, Gap(n).String(), Fold(n).String(), Days(n).String())
	}
	if got, want := strings.Join(got, " "), "default default or after first and skip second Days(2) shift both Days(3) Gap(4) Fold(4) Days(4)"; got != want { //nolint:dupword // of two policies
		t.Errorf("got %s, want %s", got, want)
	}
	for _, tt := range []struct{ got, want string }{
		{errText(Cron("0 9 * * *").DST(GapShift+1, 0).Err()), `schedule: gap "Gap(4)": want "after", "skip" or "shift"`},
		{errText(Cron("0 9 * * *").DST(0, FoldBoth+1).Err()), `schedule: fold "Fold(4)": want "first", "second" or "both"`},
		{errText(Cron("0 9 * * *").Days(DaysAnd + 1).Err()), `schedule: days "Days(2)": want "or" or "and"`},
		{errText(Cron("0 9 * * *").DST(GapShift, FoldBoth).Days(DaysAnd).Err()), ""},
	} {
		if tt.got != tt.want {
			t.Errorf("got %s, want %s", tt.got, tt.want)
		}
	}
}

// What is not due at the same times is not equal, whichever part makes the difference.
func TestSchedule_EqualLooksAtAllParts(t *testing.T) {
	all := []Schedule{
		Cron("0 9 1 * mon"), Cron("0 10 1 * mon"), Cron("0 9 1 * mon").Days(DaysAnd), Cron("0 9 1 * mon").In("Europe/Berlin"),
		Cron("0 9 1 * mon").In("Europe/Berlin").DST(GapSkip, FoldFirst), Cron("0 9 1 * mon").In("Europe/Berlin").DST(GapAfter, FoldBoth),
		Cron("0 9 1 * mon").Except(At(noon)), Cron("0 9 1 * mon").Jitter(time.Second), Cron("0 9 1 * mon").Times(3),
		Cron("0 9 1 * mon").From(noon), Cron("0 9 1 * mon").Until(noon),
		Calendar("09:00"), Calendar("10:00"), RRule("FREQ=DAILY"), RRule("FREQ=WEEKLY"), Every(time.Hour), Every(time.Minute), Every(time.Hour).AlignTo(noon),
		Union(Cron("0 9 * * *"), Calendar("10:00")), Union(Cron("0 9 * * *"), Calendar("11:00")),
	}
	for i, a := range all {
		if a.Err() != nil {
			t.Fatal(a.Err())
		}
		for j, b := range all {
			if a.Equal(b) != (i == j) {
				t.Errorf("%s equals %s: %t", a, b, i != j)
			}
		}
	}
}

// A COUNT ends with the one it says, also where the next is a second later.
func TestRRule_CountOfNeighbours(t *testing.T) {
	for n := int64(1); n <= 7; n++ {
		for _, rule := range []string{
			"FREQ=MINUTELY;BYSECOND=0,1,2", "FREQ=MINUTELY;BYSECOND=0,1,2;BYSETPOS=1,2,3", "FREQ=SECONDLY",
			"FREQ=MONTHLY;BYMONTHDAY=1;BYSECOND=0,1,2,3,4,5,6,7;BYSETPOS=1,2,3,4,5,6,7",
		} {
			s := RRule("DTSTART:20260101T090000Z\nRRULE:" + rule + ";COUNT=" + string(rune('0'+n)))
			if s.Err() != nil {
				t.Fatal(s.Err())
			}
			if got := s.Bind("", time.Time{}).Count(instantOf(t, "2025-12-31"), instantOf(t, "2026-01-02")); got != n {
				t.Errorf("%s fires %d times, want %d", s, got, n)
			}
		}
	}
}
