package schedule

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
)

// ts reads an instant, in UTC, or the zero time for "never".
func ts(t *testing.T, s string) time.Time {
	t.Helper()
	if s == "never" {
		return time.Time{}
	}
	v, m := parseInstant(s)
	if m.want != "" {
		t.Fatalf("instant %q: want %s", s, m.want)
	}
	return v
}

const (
	longest  = time.Duration(math.MaxInt64)
	shortest = time.Duration(math.MinInt64)
)

var (
	noon    = time.Date(2026, 12, 24, 12, 0, 0, 0, time.UTC)
	year1   = time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC)
	theEnd  = time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC)
	tooLate = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	tooSoon = time.Date(0, 12, 31, 23, 59, 59, 0, time.UTC)
)

// contract: I1.
func TestSchedule_Zoned(t *testing.T) {
	const berlin = "Europe/Berlin"
	for _, c := range []struct {
		name string
		s    Schedule
		want bool
	}{
		{"zero", Schedule{}, false},
		{"every", Every(time.Hour).From(noon), false},
		{"at", AtLocal("2031-03-14T18:00", berlin), false},
		{"cron", Cron("0 3 * * *"), false},
		{"cron in UTC", Cron("0 3 * * *").In("UTC"), false},
		{"cron in a zone", Cron("0 3 * * *").In(berlin).Jitter(time.Hour).Times(3), true},
		{"union", Union(Cron("0 3 * * *"), Every(time.Hour)), false},
		{"union with one in a zone", Union(Every(time.Hour), Cron("0 3 * * *").In(berlin)), true},
		{"union with a union", Union(Every(time.Hour), Union(Cron("0 4 * * *"), Cron("0 3 * * *").In(berlin))), true},
		{"left out in a zone", Every(time.Hour).Except(Cron("0 3 * * *").In(berlin)), true},
		{"a date in a zone", RRule("RDATE;TZID=Europe/Berlin:20260301T090000"), true},
		{"dates in UTC", RRule("RDATE:20260301T090000 RDATE;TZID=UTC:20260302T090000"), false},
		{"left out in UTC", Every(time.Hour).Except(Cron("0 3 * * *")), false},
		{"left out in the schedule's zone", Cron("0 * * * *").In(berlin).Except(Cron("0 3 * * *")), true},
	} {
		if err := c.s.Err(); err != nil && c.name != "zero" {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := c.s.Zoned(); got != c.want {
			t.Errorf("%s: %t, want %t", c.name, got, c.want)
		}
	}
}

// contract: A4, A6.
func TestErr(t *testing.T) {
	tests := []struct {
		name        string
		s           Schedule
		field, want string // of the error; no field: valid
	}{
		{"after", After(time.Second), "", ""},
		{"after nothing", After(0), "", ""},
		{"after a negative delay", After(-1), "", ""},
		{"after the least", After(shortest), "", ""},
		{"after the longest", After(longest), "", ""},
		{"at", At(noon), "", ""},
		{"at the first instant", At(year1), "", ""},
		{"at the last instant", At(theEnd), "", ""},
		{"at the zero time", At(time.Time{}), "at", "an instant after"},
		{"at year 10000", At(tooLate), "at", "before the year 10000"},
		{"at year 0", At(tooSoon), "at", "an instant after"},
		{"at the end of time.Time", At(time.Unix(math.MaxInt64, 0)), "at", "an instant after"},
		{"at the beginning of time.Time", At(time.Unix(math.MinInt64, 0)), "at", "an instant after"},
		{"every", Every(1), "", ""},
		{"every, longest", Every(longest), "", ""},
		{"every 0", Every(0), "every", "longer than 0"},
		{"every -1", Every(-1), "every", "longer than 0"},
		{"every, least", Every(shortest), "every", "longer than 0"},
		{"pace 0", Pace(0), "pace", "longer than 0"},
		{"pace least", Pace(shortest), "pace", "longer than 0"},
		{"pace-from-start 0", PaceFromStart(0), "pace-from-start", "longer than 0"},
		{"from zero", Every(1).From(time.Time{}), "from", "an instant after"},
		{"until year 10000", Pace(1).Until(tooLate), "until", "an instant after"},
		{"align year 0", Every(1).AlignTo(tooSoon), "align", "an instant after"},
		{"from on after", After(1).From(noon), "from", "\"in\" fires once"},
		{"until on at", At(noon).Until(noon), "until", "\"at\" fires once"},
		{"times on after", After(1).Times(2), "times", "\"in\" fires once"},
		{"align on pace", Pace(1).AlignTo(noon), "align", "\"pace\" has no grid"},
		{"align on at", At(noon).AlignTo(noon), "align", "\"at\" has no grid"},
		{"times 0", Every(1).Times(0), "times", "at least 1"},
		{"times -1", Every(1).Times(math.MinInt), "times", "at least 1"},
		{"times 1", Every(1).Times(1), "", ""},
		{"jitter 0", Every(1).Jitter(0), "jitter", "longer than 0"},
		{"jitter negative", After(1).Jitter(shortest), "jitter", "longer than 0"},
		{"jitter of the period", Every(time.Minute).Jitter(time.Minute), "jitter", "less than the period 1m"},
		{"jitter of less than the period", Every(time.Minute).Jitter(time.Minute - 1), "", ""},
		{"jitter on after", After(1).Jitter(longest), "", ""},
		{"jitter on pace may exceed it", Pace(1).Jitter(longest), "", ""},
		{"until before from", Every(1).From(noon).Until(noon.Add(-1)), "until", "to leave an occurrence"},
		{"from after until", Pace(1).Until(noon).From(noon.Add(1)), "from", "to leave an occurrence"},
		{"until at from", Every(1).From(noon).Until(noon), "", ""},
		{"grid leaves nothing", Every(time.Hour).AlignTo(noon).From(noon.Add(1)).Until(noon.Add(time.Hour - 1)), "until", "to leave"},
		{"grid leaves one", Every(time.Hour).AlignTo(noon).From(noon.Add(1)).Until(noon.Add(time.Hour)), "", ""},
		{"grid leaves nothing before the end", Every(longest).AlignTo(theEnd.Add(-1)).From(theEnd), "from", "to leave"},
		{"the last value of a bound holds", Every(1).From(noon.Add(2)).From(noon).Until(noon.Add(1)), "", ""},
		{"the first mistake wins", Every(0).Times(0).From(time.Time{}).Jitter(-1), "every", "longer than 0"},
		{"a mistake stays", Every(1).Times(0).Times(1), "times", "at least 1"},
		{"zero", Schedule{}, "schedule", "not the zero Schedule"},
		{"zero with bounds", Schedule{}.From(noon).Until(noon).AlignTo(noon).Times(0).Jitter(0), "schedule", "not the zero"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.s.Err()
			if tt.field == "" {
				if err != nil {
					t.Fatalf("Err() = %v, want nil", err)
				}
				return
			}
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("Err() = %v, want an *Error", err)
			}
			if e.Field != tt.field || !strings.Contains(e.Want, tt.want) {
				t.Errorf("Err() = %v, want field %q, want %q", err, tt.field, tt.want)
			}
			if r := tt.s.Bind("x", noon); !r.First().IsZero() || !r.Next(noon).IsZero() || !r.Prev(theEnd).IsZero() {
				t.Errorf("Bind of an invalid schedule has an occurrence: %+v", r)
			}
			if got := tt.s.String(); !strings.HasPrefix(got, "invalid ") {
				t.Errorf("String() = %q, want it marked as invalid", got)
			}
			if _, err := tt.s.MarshalText(); err == nil {
				t.Errorf("MarshalText() of an invalid schedule: no error")
			}
			if d, ok := tt.s.PlainAfter(); ok {
				t.Errorf("PlainAfter() = %v, true", d)
			}
			if at, ok := tt.s.PlainAt(); ok {
				t.Errorf("PlainAt() = %v, true", at)
			}
		})
	}
}

func TestErrorText(t *testing.T) {
	err := Every(time.Hour).Jitter(2 * time.Hour).Err()
	if got, want := err.Error(), `schedule: jitter "2h": want less than the period 1h`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAccessors(t *testing.T) {
	type row struct {
		Kind                string
		Recurring, Relative bool
		Period              time.Duration
		Limit               int
		PlainAfter, PlainAt bool
	}
	tests := []struct {
		name string
		s    Schedule
		want row
	}{
		{"zero", Schedule{}, row{Kind: "invalid"}},
		{"after", After(5), row{Kind: "in", Relative: true, PlainAfter: true}},
		{"after jitter", After(5).Jitter(1), row{Kind: "in", Relative: true}},
		{"at", At(noon), row{Kind: "at", PlainAt: true}},
		{"at jitter", At(noon).Jitter(1), row{Kind: "at"}},
		{"every", Every(5), row{Kind: "every", Recurring: true, Relative: true, Period: 5}},
		{"every times jitter", Every(5).Times(3).Jitter(2), row{Kind: "every", Recurring: true, Relative: true, Period: 5, Limit: 3}},
		{"every from", Every(5).From(noon), row{Kind: "every", Recurring: true, Period: 5}},
		{"every until", Every(5).Until(noon), row{Kind: "every", Recurring: true, Period: 5}},
		{"every align", Every(5).AlignTo(noon), row{Kind: "every", Recurring: true, Period: 5}},
		{"pace", Pace(5), row{Kind: "pace", Recurring: true, Relative: true, Period: 5}},
		{"pace-from-start", PaceFromStart(5), row{Kind: "pace-from-start", Recurring: true, Relative: true, Period: 5}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { // contract: H2
			_, plainAfter := tt.s.PlainAfter()
			_, plainAt := tt.s.PlainAt()
			got := row{
				Kind: tt.s.Kind().String(), Recurring: tt.s.Recurring(), Relative: tt.s.Relative(),
				Period: tt.s.Period(), Limit: tt.s.Limit(), PlainAfter: plainAfter, PlainAt: plainAt,
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
	if got := Kind(200).String(); got != "Kind(200)" {
		t.Errorf("Kind(200).String() = %q", got)
	}
}

func TestCountsFromAcceptance(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	every, nights, rule := Every(time.Hour), Cron("0 0 * * *"), RRule("FREQ=DAILY;INTERVAL=2")
	for _, tt := range []struct {
		s    Schedule
		want bool
	}{
		{every, true},
		{every.Until(at), true},
		{every.From(at), false},
		{every.AlignTo(at), false},
		{nights, false},
		{At(at), false},
		{Calendar("daily"), false},
		{rule, true},
		{rule.From(at), false},
		{RRule("DTSTART:20260101T000000Z\nRRULE:FREQ=DAILY"), false},
		{Union(nights, every), true},
		{Union(nights, Union(rule, nights)), true},
		{Union(nights, every.AlignTo(at)), false},
	} {
		if got := tt.s.CountsFromAcceptance(); got != tt.want || tt.s.Err() != nil {
			t.Errorf("%v counts from acceptance: %v, %v; want %v", tt.s, got, tt.s.Err(), tt.want)
		}
	}
}

// contract: A5.
func TestEqual(t *testing.T) {
	berlin := time.FixedZone("CET", 3600)
	all := []Schedule{ // no two of them equal
		{},
		After(1), After(2), At(noon), At(noon.Add(1)), Every(1), Every(2), Pace(1), PaceFromStart(1),
		After(1).Jitter(1), After(1).Jitter(2), Every(1).From(noon), Every(1).Until(noon), Every(1).AlignTo(noon),
		Every(1).Times(1), Every(1).Times(2), Every(0), Every(1).Times(0), At(time.Time{}),
	}
	for i, a := range all {
		for j, b := range all {
			if got := a.Equal(b); got != (i == j) {
				t.Errorf("(%v).Equal(%v) = %v", a, b, got)
			}
		}
	}
	now := time.Now() // has a monotonic reading
	same := [][2]Schedule{
		{At(noon), At(noon.In(berlin))},
		{At(now), At(now.Round(0).UTC())},
		{Every(5).From(noon).Times(2), Every(5).Times(2).From(noon.In(berlin))},
		{Every(5).Times(3).Times(2), Every(5).Times(2)},
		{Every(0), Every(0)},
	}
	for _, p := range same {
		if !p[0].Equal(p[1]) {
			t.Errorf("(%v).Equal(%v) = false", p[0], p[1])
		}
	}
}

// A schedule that was extended in two ways must not share what was written.
func TestChainsDoNotShare(t *testing.T) {
	base := Every(time.Hour).Times(9)
	a, b := base.Jitter(time.Minute), base.Until(noon)
	_, _ = base.Times(0), a.From(time.Time{})
	got := []string{base.String(), a.String(), b.String()}
	want := []string{"every 1h times 9", "every 1h times 9 jitter 1m", "every 1h until 2026-12-24T12:00:00Z times 9"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// contract: A6.
func TestAtIsBare(t *testing.T) {
	now := time.Now()
	at, ok := At(now.In(time.FixedZone("X", 7200))).PlainAt()
	if !ok || at != now.UTC().Round(0) {
		t.Errorf("PlainAt() = %v, %v, want %v bare", at, ok, now)
	}
}

func TestSizeAndAllocations(t *testing.T) {
	if got := unsafe.Sizeof(Schedule{}); got > 48 {
		t.Errorf("a Schedule has %d bytes, want at most 48", got)
	}
	var (
		s  Schedule
		r  Rule
		at time.Time
		n  int64
	)
	when := time.Now()
	grid := Every(time.Hour).AlignTo(year1).Until(theEnd).Jitter(time.Minute)
	pace := Pace(time.Hour).From(noon)
	rule, paced := grid.Bind("x", noon), pace.Bind("x", noon)
	tests := []struct {
		name string
		f    func()
	}{
		{"After", func() { s = After(time.Second) }},
		{"At", func() { s = At(when) }},
		{"Every", func() { s = Every(time.Second) }},
		{"Bind", func() { r = grid.Bind("order-42", when) }},
		{"Next", func() { at = rule.Next(when) }},
		{"Next of a pace", func() { at = paced.Next(when) }},
		{"Prev", func() { at = rule.Prev(when) }},
		{"Count", func() { n = rule.Count(year1, theEnd) }},
		{"Equal", func() { _ = grid.Equal(pace) }},
		{"Err", func() { _ = grid.Err() }},
	}
	for _, tt := range tests {
		if got := testing.AllocsPerRun(100, tt.f); got != 0 {
			t.Errorf("%s allocates %v times, want 0", tt.name, got)
		}
	}
	_, _, _, _ = s, r, at, n
}
