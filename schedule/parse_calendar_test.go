package schedule

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var (
	berlin  = Cron("0 9 * * mon-fri").In("Europe/Berlin")
	holiday = Cron("* * 25 12 *").In("Europe/Berlin")
	year27  = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
)

// contract: A6, I1 to I5.
func TestParseCalendar(t *testing.T) {
	const weekdays = "cron 0 9 * * mon-fri in Europe/Berlin"
	tests := []struct {
		text string
		want Schedule
		// canonical text; empty: as it was read
		canonical string
	}{
		{"cron 0 9 * * mon-fri", Cron("0 9 * * mon-fri"), ""},
		{weekdays, berlin, ""},
		{"\tcron  0\t9 * *  MON-FRI   in  Europe/Berlin ", berlin, weekdays},
		{"cron 0 9 * * 1-5 in UTC", Cron("0 9 * * 1-5"), "cron 0 9 * * mon-fri"},
		{"cron 0 9 * * 1-5 in Etc/UTC", Cron("0 9 * * 1-5").In("Etc/UTC"), "cron 0 9 * * mon-fri in Etc/UTC"},
		{"cron TZ=Europe/Berlin 0 9 * * mon-fri", berlin, weekdays},
		{"cron CRON_TZ=Europe/Berlin 0 9 * * mon-fri gap skip", berlin.DST(GapSkip, 0), weekdays + " gap skip"},
		{"cron @daily in Europe/Berlin", Cron("@daily").In("Europe/Berlin"), "cron 0 0 * * * in Europe/Berlin"},
		{"cron @Hourly until 2027-01-01", Cron("0 * * * *").Until(year27), "cron 0 * * * * until 2027-01-01T00:00:00Z"},
		{"cron @every 5m times 3", Every(5 * time.Minute).Times(3), "every 5m times 3"},
		{"cron H(0-29) H * * *", Cron("h(0-29) h * * *"), "cron h(0-29) h * * *"},
		{"cron 15 30 9 l * * 2027", Cron("15 30 9 L * * 2027"), ""},
		{"cron 30 2 * * * fold both in Europe/Berlin gap shift", Cron("30 2 * * *").In("Europe/Berlin").DST(GapShift, FoldBoth), "cron 30 2 * * * in Europe/Berlin gap shift fold both"},
		{"cron 30 2 * * * gap skip fold second", Cron("30 2 * * *").DST(GapSkip, FoldSecond), ""},
		{"cron 30 2 * * * gap after fold first days or", Cron("30 2 * * *"), "cron 30 2 * * *"},
		{"cron 0 9 13 * fri days and", Cron("0 9 13 * fri").Days(DaysAnd), ""},
		{"cron 0 9 13 * fri days or", Cron("0 9 13 * fri"), "cron 0 9 13 * fri"},
		{"cron 0 0 30 2 *", Cron("0 0 30 2 *"), ""}, // never: well formed, for whoever accepts it to refuse
		{weekdays + " except (cron * * 25 12 * in Europe/Berlin)", berlin.Except(holiday), ""},
		{
			weekdays + " times 7 except(cron * * 25 12 * in Europe/Berlin) jitter 1m except ( at 2027-05-01 ) until 2028-01-01 from 2027-01-01",
			berlin.Except(holiday).Except(At(time.Date(2027, 5, 1, 0, 0, 0, 0, time.UTC))).From(year27).Until(year27.AddDate(1, 0, 0)).Times(7).Jitter(time.Minute),
			weekdays + " except (cron * * 25 12 * in Europe/Berlin) except (at 2027-05-01T00:00:00Z) from 2027-01-01T00:00:00Z until 2028-01-01T00:00:00Z times 7 jitter 1m",
		},
		{"every 1h except (cron * 0-5 * * *)", Every(time.Hour).Except(Cron("* 0-5 * * *")), ""},
		{"(every 1h)", Union(Every(time.Hour)), ""},
		{"(" + weekdays + ") or (cron 0 12 * * sat)", Union(berlin, Cron("0 12 * * sat")), ""},
		{"( " + weekdays + ")or(cron 0 12 * * sat )or(cron H(0-29) 9 * * *)times 3", Union(berlin, Cron("0 12 * * sat"), Cron("H(0-29) 9 * * *")).Times(3), "(" + weekdays + ") or (cron 0 12 * * sat) or (cron h(0-29) 9 * * *) times 3"},
		{
			"((every 1h until 2027-01-01) or (at 2027-06-01)) or (cron @daily) except ((at 2027-02-01) or (cron * * 25 12 *)) until 2028-01-01",
			Union(Union(Every(time.Hour).Until(year27), At(year27.AddDate(0, 5, 0))), Cron("@daily")).Except(Union(At(year27.AddDate(0, 1, 0)), Cron("* * 25 12 *"))).Until(year27.AddDate(1, 0, 0)),
			"((every 1h until 2027-01-01T00:00:00Z) or (at 2027-06-01T00:00:00Z)) or (cron 0 0 * * *) except ((at 2027-02-01T00:00:00Z) or (cron * * 25 12 *)) until 2028-01-01T00:00:00Z",
		},
		{"((((cron 0 9 * * *))))", Union(Union(Union(Union(Cron("0 9 * * *"))))), ""},
	}
	for _, tt := range tests {
		got, err := Parse(tt.text)
		if err != nil {
			t.Errorf("Parse(%q): %v", tt.text, err)
			continue
		}
		canonical := tt.canonical
		if canonical == "" {
			canonical = tt.text
		}
		if diff := cmp.Diff([]string{canonical, canonical}, []string{got.String(), tt.want.String()}); diff != "" || !got.Equal(tt.want) {
			t.Errorf("Parse(%q): text read, text of what was wanted (equal: %t): -want +got\n%s", tt.text, got.Equal(tt.want), diff)
		}
		if b, err := got.MarshalText(); err != nil || string(b) != canonical {
			t.Errorf("MarshalText() = %q, %v, want %q", b, err, canonical)
		}
	}
}

// contract: A6. Every mistake is shown where it is, beside what would be right; a mistake within an expression, too.
func TestParseCalendarErrors(t *testing.T) {
	tests := []struct{ text, want string }{
		{"cron 0 25 * * * in UTC", `at byte 8: hour "25": want 0 to 23`},
		{"(every 1h) or (cron 0 25 * * * in UTC)", `at byte 23: hour "25": want 0 to 23`},
		{"every 1h except (cron 0 9 * * fry)", `at byte 31: day of week "fry": want "fri"`},
		{"cron", `at byte 5: cron: want 5 fields`},
		{"cron in UTC", `at byte 6: cron: want 5 fields`},
		{"cron 0 9 * *", `at byte 6: cron "0 9 * *": want 5 fields (minute hour day-of-month month day-of-week), 6 with seconds first or 7 with the year last, not 4`},
		{"cron @never until 2027-01-01", `at byte 6: cron "@never": want`},
		{"cron\u00a00 9 * * *", `at byte 1: schedule "cron\u00a00": want`},
		{"cron 0 9 * * *\u00a0in UTC", `at byte 15: cron "*\u00a0in": want spaces or tabs only, not U+00A0 (no-break space)`},
		{"cron 0 9 * * * in Mars/Olympus", `at byte 19: in "Mars/Olympus": want a zone of the IANA database, such as Europe/Berlin`},
		{"cron TZ=Mars/Olympus 0 9 * * *", `at byte 9: in "Mars/Olympus": want a zone`},
		{"cron 0 9 * * * in", `at byte 18: in: want a zone`},
		{"cron 0 9 * * * in Local", `at byte 19: in "Local": want a zone of the IANA database, such as Europe/Berlin, not the machine's own`},
		{"cron TZ=Europe/Berlin 0 9 * * * in Asia/Tokyo", `at byte 36: in "Asia/Tokyo": want the zone once: the expression itself says Europe/Berlin`},
		{"cron TZ=UTC 0 9 * * * in UTC", `at byte 26: in "UTC": want the zone once: the expression itself says UTC`},
		{"cron @every 5m in UTC", `at byte 19: in "UTC": want it on "cron", "calendar" and "rrule" only: "every" does not go by a wall clock`},
		{"cron 0 9 * * * gap maybe", `at byte 20: gap "maybe": want "after", "skip" or "shift"`},
		{"cron 0 9 * * * fold", `at byte 20: fold: want "first", "second" or "both"`},
		{"cron 0 9 * * * fold default", `at byte 21: fold "default": want "first", "second" or "both"`},
		{"cron 0 9 * * * days xor", `at byte 21: days "xor": want "or" or "and"`},
		{"every 5m gap skip", `at byte 14: gap "skip": want it on "cron", "calendar" and "rrule" only`},
		{"every 5m days and", `at byte 15: days "and": want it on "cron" only`},
		{"(cron 0 9 * * *) in UTC", `at byte 21: in "UTC": want it on "cron", "calendar" and "rrule" only: "union" does not go by a wall clock`},
		{"cron 0 9 * * * gap skip gap skip", `at byte 25: gap: want it once only`},
		{"cron 0 9 * * * align 2027-01-01", `at byte 22: align "2027-01-01T00:00:00Z": want it on "every" only`},
		{"cron 0 9 * * * IN UTC", `at byte 16: schedule "IN": want lower case: "in"`},
		{"cron 0 9 * * * Until 2027-01-01", `at byte 16: schedule "Until": want lower case: "until"`},
		{"cron 0 9 * * * times 3 soon", `at byte 24: schedule "soon": want the end or "in ZONE", "gap"`},
		{"cron 0 9 * * * or cron 0 10 * * *", `at byte 16: schedule "or": want parentheses around each schedule: (S) or (S)`},
		{"every 1h or every 2h", `at byte 10: schedule "or": want parentheses around each schedule: (S) or (S)`},
		{"(every 1h) until 2027-01-01 or (every 2h)", `at byte 29: schedule "or": want it before the clauses of the whole`},
		{"(every 1h) or every 2h", `at byte 15: union "every": want another schedule in parentheses, as in (S) or (S)`},
		{"(every 1h) or", `at byte 14: union: want another schedule in parentheses`},
		{"(every 1h) and (every 2h)", `at byte 12: schedule "and": want the end or "or (S)", "except (S)"`},
		{"(every 1h) (every 2h)", `at byte 12: schedule "(": want the end or "or (S)"`},
		{"()", `at byte 2: schedule: want "in 5m"`},
		{"(", `at byte 1: union "(": want a closing parenthesis for it`},
		{")", `at byte 1: schedule ")": want "in 5m"`},
		{"(every 1h", `at byte 1: union "(": want a closing parenthesis for it`},
		{"(every 1h) or (cron H(0-29) 9 * * *", `at byte 15: union "(": want a closing parenthesis for it`},
		{"every 1h except (at 2027-01-01", `at byte 17: except "(": want a closing parenthesis for it`},
		{"(every 1h))", `at byte 11: schedule ")": want the end or`},
		{"cron 0 9 * * *)", `at byte 15: schedule ")": want an opening parenthesis before it`},
		{"cron H(0-29 9 * * *", `at byte 12: minute "H(0-29": want a ")" after the range`},
		{"(pace 5m)", `at byte 1: union "pace 5m": want "at", "every", "cron", "calendar", "rrule" or a union`},
		{"(every 1h) or (in 5m)", `at byte 15: union "in 5m": want "at", "every", "cron", "calendar", "rrule" or a union`},
		{"(every 1h) or (every 5m times 3)", `at byte 15: union "every 5m times 3": want times and jitter behind the whole`},
		{"every 1h except at 2027-01-01", `at byte 17: except "at": want a schedule in parentheses, such as (cron * * 25 12 *)`},
		{"every 1h except (every 2h)", `at byte 17: except "every 2h": want "at", "cron", "calendar", "rrule" with a DTSTART or a union of these`},
		{"pace 1h except (at 2027-01-01)", `at byte 16: except "pace": want it on "every", "cron", "calendar", "rrule" or a union`},
		{"cron 0 9 * * * except (cron * * * * *)", `at byte 23: except "cron * * * * *": want it to leave an occurrence`},
		{"(((((cron 0 9 * * *)))))", `at byte 5: union "(": want at most 4 unions and exceptions within each other`},
		{strings.Repeat("(", 4000), `at byte 1: union "(": want a closing parenthesis for it`},
		{strings.Repeat("(", 2000) + strings.Repeat(")", 2000), `at byte 5: union "(": want at most 4 unions`},
		{"every 1h except ((((at 2027-01-01) or (((at 2027-01-01)))))", `at byte 17: except "(": want a closing parenthesis for it`},
		{"every 1h except ((((at 2027-01-01)) or (((at 2027-01-01)))))", `at byte 42: union "(": want at most 4 unions`},
		{strings.Repeat("(every 1h) or ", 64) + "(every 1h)", `at byte 894: union "or": want at most 64 schedules`},
		{"0 3 * * *", `at byte 1: schedule "0": want "cron 0 3 * * *"`},
		{"  */5 * * * *", `at byte 3: schedule "*/5": want "cron */5 * * * *"`},
		{"0 9 * * 1-5 in Europe/Berlin", `at byte 1: schedule "0": want "cron 0 9 * * 1-5"`},
		{"0 25 * * *", `at byte 1: schedule "0": want "cron 0 25 * * *"`},
		{"TZ=Asia/Tokyo 0 9 * * *", `at byte 1: schedule "TZ=Asia/Tokyo": want "cron TZ=Asia/Tokyo 0 9 * * *"`},
		{"@daily", `at byte 1: schedule "@daily": want "cron @daily"`},
		{"@every 5m", `at byte 1: schedule "@every": want "every 5m"`},
		{"@reboot", `at byte 1: schedule "@reboot": want a time: only the daemon knows when it starts`},
		{"CRON 0 9 * * *", `at byte 1: schedule "CRON": want lower case: "cron"`},
	}
	for _, tt := range tests {
		s, err := Parse(tt.text)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("Parse(%.60q) = %v, %v, want an *Error", tt.text, s, err)
			continue
		}
		if got := strings.TrimPrefix(err.Error(), "schedule: "); !strings.HasPrefix(got, tt.want) {
			t.Errorf("Parse(%.60q):\n got %v\nwant %v", tt.text, got, tt.want)
		}
		if e.Pos < 1 || e.Pos > len(tt.text)+1 || len(err.Error()) > 300 {
			t.Errorf("Parse(%.60q): position %d, message of %d bytes", tt.text, e.Pos, len(err.Error()))
		}
		if diff := cmp.Diff(err.Error(), errText(s.Err())); diff != "" {
			t.Errorf("Parse(%.60q): the schedule carries another error: -want +got\n%s", tt.text, diff)
		}
	}
}

// contract: I2, I3.
func TestAtLocal(t *testing.T) {
	tests := []struct{ civil, zone, want string }{
		{"2026-12-24T18:00", "Europe/Berlin", "at 2026-12-24T17:00:00Z"},
		{"2026-12-24T18:00:01.5", "Europe/Berlin", "at 2026-12-24T17:00:01.5Z"},
		{"2026-12-24", "Asia/Tokyo", "at 2026-12-23T15:00:00Z"},
		{"2026-12-24T18:00", "UTC", "at 2026-12-24T18:00:00Z"},
		{"2024-03-31T02:30", "Europe/Berlin", "at 2024-03-31T01:00:00Z"}, // gap: its end
		{"2024-10-27T02:30", "Europe/Berlin", "at 2024-10-27T00:30:00Z"}, // fold: the first
		{"2011-12-30T12:00", "Pacific/Apia", "at 2011-12-30T10:00:00Z"},  // the day that was not
		{"2026-12-24T18:00Z", "UTC", `invalid schedule: at "2026-12-24T18:00Z": want a date and a time of day without an offset`},
		{"2026-12-24 18:00", "UTC", `invalid schedule: at "2026-12-24 18:00": want a date and a time of day`},
		{"", "UTC", `invalid schedule: at: want a date and a time of day without an offset`},
		{"2026-02-30", "UTC", `invalid schedule: at "2026-02-30": want a day that the month has`},
		{"2026-12-24T18:00", "Mars/Olympus", `invalid schedule: at "Mars/Olympus": want a zone of the IANA database`},
		{"2026-12-24T18:00", "Local", `invalid schedule: at "Local": want a zone of the IANA database`},
		{"2026-12-24T18:00", "", `invalid schedule: at: want a zone of the IANA database`},
		{"9999-12-31T23:00", "America/New_York", `invalid schedule: at "10000-01-01T04:00:00Z": want an instant`},
	}
	for _, tt := range tests {
		s := AtLocal(tt.civil, tt.zone)
		if got := s.String(); !strings.HasPrefix(got, tt.want) || s.Err() == nil && got != tt.want {
			t.Errorf("AtLocal(%q, %q) = %s, want %s", tt.civil, tt.zone, got, tt.want)
		}
	}
}

// aCronText draws cron expressions of all that fields can hold, right in form and often in meaning, too.
func aCronText() *rapid.Generator[string] {
	pick := func(items ...string) *rapid.Generator[string] { return rapid.SampledFrom(items) }
	second := pick("0", "*", "*/10", "30", "5-50/9", "h")
	minute := pick("0", "*", "*/15", "*/7", "?", "5,10,12-40", "50-10/4", "h", "h(0-29)/10,45", "*/20,7")
	hour := pick("9", "*", "*/2", "22-2", "1-23/2", "h(9-17)", "0,3,5")
	dom := pick("*", "*", "?", "*/2", "13", "l", "lw,15", "l-3,2w", "28-31", "h")
	month := pick("*", "*", "2", "JAN,jul", "nov-feb", "*/5", "h")
	dow := pick("*", "*", "?", "mon-fri", "FRI-tue", "7", "5L,tue#2", "*/2", "h(1-5)")
	year := pick("*", "2026-2040", "*/4", "2026,2030-2050/5")
	return rapid.Custom(func(t *rapid.T) string {
		text := strings.Join([]string{minute.Draw(t, "minute"), hour.Draw(t, "hour"), dom.Draw(t, "dom"), month.Draw(t, "month"), dow.Draw(t, "dow")}, " ")
		if fields := rapid.IntRange(5, 7).Draw(t, "fields"); fields > 5 {
			text = second.Draw(t, "second") + " " + text
			if fields > 6 {
				text += " " + year.Draw(t, "year")
			}
		}
		return text
	})
}

// aCalendar draws cron schedules and unions, with their clauses, that nest up to depth; a member has fewer clauses.
func aCalendar(depth int, member bool) *rapid.Generator[Schedule] {
	return rapid.Custom(func(t *rapid.T) Schedule {
		s := Cron(aCronText().Draw(t, "cron"))
		if depth > 0 && rapid.Bool().Draw(t, "union") {
			s = Union(rapid.SliceOfN(rapid.OneOf(aCalendar(depth-1, true), rapid.Just(At(noon)), rapid.Just(Every(time.Hour))), 1, 3).Draw(t, "members")...)
		}
		for _, add := range []func() Schedule{
			func() Schedule {
				return s.In(rapid.SampledFrom([]string{"UTC", "Europe/Berlin", "Australia/Lord_Howe"}).Draw(t, "zone"))
			},
			func() Schedule {
				return s.DST(rapid.Map(rapid.IntRange(0, 3), func(n int) Gap { return Gap(n) }).Draw(t, "gap"), rapid.Map(rapid.IntRange(0, 3), func(n int) Fold { return Fold(n) }).Draw(t, "fold"))
			},
			func() Schedule { return s.Days(DaysAnd) },
			func() Schedule { return s.Except(holiday) },
			func() Schedule { return s.Except(Union(At(noon), Cron("* * 1 1 *"))) },
			func() Schedule { return s.From(anInstant().Draw(t, "from")) },
			func() Schedule { return s.Until(anInstant().Draw(t, "until")) },
			func() Schedule { return s.Times(rapid.IntMin(1).Draw(t, "times")) },
			func() Schedule { return s.Jitter(aPeriod().Draw(t, "jitter")) },
		} {
			if rapid.Bool().Draw(t, "add") {
				if v := add(); !v.broken() && (!member || v.more.times == 0 && v.more.jitter == 0) {
					s = v
				}
			}
		}
		if s.broken() {
			t.Fatalf("a broken schedule was drawn: %v", s)
		}
		return s
	})
}

func TestCalendarRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := aCalendar(2, false).Draw(t, "s")
		if len(s.String()) > maxText {
			t.Skip("longer than Parse reads")
		}
		got, err := Parse(s.String())
		if err != nil {
			t.Fatalf("Parse(%q): %v", s, err)
		}
		if !got.Equal(s) || got.String() != s.String() || got.Words() != s.Words() {
			t.Fatalf("%q came back as %q", s, got)
		}
		a, b := got.Bind("order-42", noon), s.Bind("order-42", noon)
		if at := anInstant().Draw(t, "at"); !a.Next(at).Equal(b.Next(at)) || !a.Prev(at).Equal(b.Prev(at)) || a.Offset() != b.Offset() {
			t.Fatalf("%q came back as another rule", s)
		}
	})
}
