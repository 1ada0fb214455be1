package schedule

import (
	"strings"
	"testing"
	"time"
)

func mustSchedule(t *testing.T, text string) Schedule {
	t.Helper()
	s, err := Parse(text)
	if err == nil {
		err = s.Err()
	}
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s
}

func instantOf(t *testing.T, text string) time.Time {
	t.Helper()
	at, m := parseInstant(text)
	if m.want != "" {
		t.Fatalf("%s: %s", text, m.want)
	}
	return at
}

// Unions and exceptions, forwards, backwards, counted, and as a preview tells them.
func TestSet(t *testing.T) {
	for _, tt := range []struct{ name, rule, from, want string }{
		{"union", "(cron 0 9 * * mon-fri) or (cron 0 12 * * sat)", "2026-01-01", "01-01T09:00 01-02T09:00 01-03T12:00 01-05T09:00"},
		{"union of zones", "(cron 0 9 * * * in Europe/Berlin) or (cron 0 9 * * * in Asia/Tokyo)", "2026-01-01", "01-01T08:00 01-02T00:00 01-02T08:00"},
		{"at the same instant", "(cron 0 9 * * *) or (cron 0 */9 * * *)", "2026-01-01T01:00Z", "01-01T09:00 01-01T18:00 01-02T00:00 01-02T09:00"},
		{"with a grid", "(every 8h align 2026-01-01) or (cron 0 9 * * *)", "2026-01-01T01:00Z", "01-01T08:00 01-01T09:00 01-01T16:00 01-02T00:00"},
		{"with an instant", "(at 2026-01-01T10:30Z) or (cron 0 9 * * *)", "2026-01-01", "01-01T09:00 01-01T10:30 01-02T09:00"},
		{"members with bounds", "(cron 0 9 * * * until 2026-01-02T09:00Z) or (cron 0 10 * * * from 2026-01-02)", "2026-01-01", "01-01T09:00 01-02T09:00 01-02T10:00 01-03T10:00"},
		{"except a day", "cron 0 9 * * mon-fri except (cron * * 25 12 *)", "2026-12-24", "12-24T09:00 12-28T09:00"},
		{"except a day in the zone of the whole", "cron 0 0 * * * in Europe/Berlin except (cron * * 25 12 *)", "2026-12-24", "12-25T23:00 12-26T23:00"},
		{"half hours", "cron * * * * * * except (cron * 0-29 * * * *)", "2026-01-01", "01-01T00:30 01-01T00:30:01"},
		{"half hours by minutes", "cron * * * * * * except (cron 0-29 * * * *)", "2026-01-01T00:59:59Z", "01-01T01:30 01-01T01:30:01"},
		{"except a day in its zone", "cron 0 23 * * * in UTC except (cron * * 25 12 * in Europe/Berlin)", "2026-12-24", "12-25T23:00 12-26T23:00"},
		{"except an instant", "cron 0 9 * * * except (at 2026-01-02T09:00Z)", "2026-01-01", "01-01T09:00 01-03T09:00"},
		{"an instant excepts nothing beside it", "cron 0 9 * * * except (at 2026-01-02T09:00:01Z)", "2026-01-01", "01-01T09:00 01-02T09:00"},
		{"seconds in a minute left out", "cron 30 0 9 * * * except (cron 0 9 2 1 *)", "2026-01-01", "01-01T09:00:30 01-03T09:00:30"},
		{"seconds name seconds", "cron 30 0 9 * * * except (cron 0 0 9 2 1 *)", "2026-01-01", "01-01T09:00:30 01-02T09:00:30"},
		{"nights", "every 4h align 2026-01-01 except (cron * 0-7 * * *)", "2026-01-01", "01-01T08:00 01-01T12:00 01-01T16:00 01-01T20:00 01-02T08:00"},
		{"several", "cron 0 9 * * * except (cron * * 2 1 *) except (cron * * 3 1 *)", "2026-01-01", "01-01T09:00 01-04T09:00"},
		{"a union", "cron 0 9 * * * except ((cron * * 2 1 *) or (at 2026-01-03T09:00Z))", "2026-01-01", "01-01T09:00 01-04T09:00"},
		{"a day of seconds", "cron * * * * * * except (cron * * 2 1 *)", "2026-01-01T23:59:58Z", "01-01T23:59:59 01-03T00:00 01-03T00:00:01"},
		{"what is excepted has exceptions", "cron 0 9 * * * except (cron * * 1-30 * * except (cron * * 3 * *))", "2026-01-01", "01-03T09:00 01-31T09:00 02-03T09:00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			from := instantOf(t, tt.from)
			r := mustSchedule(t, tt.rule).Bind("x", from)
			want := strings.Fields(tt.want)
			var got []string
			var all []time.Time
			for at := from; len(all) < len(want); {
				at = r.Next(at)
				all = append(all, at)
				got = append(got, strings.TrimSuffix(at.Format("01-02T15:04:05"), ":00"))
			}
			if g, w := strings.Join(got, " "), strings.Join(want, " "); g != w {
				t.Errorf("%s:\n got %s\nwant %s", tt.rule, g, w)
			}
			for i := len(all) - 1; i > 0; i-- {
				if p := r.Prev(all[i]); !p.Equal(all[i-1]) {
					t.Errorf("before %v: %v, want %v", all[i], p, all[i-1])
				}
			}
			if n := r.Count(from, all[len(all)-1]); n != int64(len(all)) {
				t.Errorf("%d counted, want %d", n, len(all))
			}
			i := 0
			for o := range r.Preview(from.Add(1)) {
				if o.Marks.Has(MarkExcluded) {
					continue
				}
				if !o.At.Equal(all[i]) {
					t.Errorf("preview tells %v, want %v", o.At, all[i])
				}
				if i++; i == len(all) {
					break
				}
			}
		})
	}
}

// A preview tells what is left out, and counts only what runs.
func TestSet_PreviewMarks(t *testing.T) {
	from := instantOf(t, "2026-12-23")
	var got []string
	for o := range mustSchedule(t, "cron 0 9 * * mon-fri except (cron * * 25 12 *) times 3").Bind("x", from).Preview(from) {
		got = append(got, o.At.Format("02 ")+o.Marks.String())
	}
	if g, w := strings.Join(got, "; "), "23 ; 24 ; 25 excluded; 28 "; g != w {
		t.Errorf("got %s, want %s", g, w)
	}
	got = nil
	for o := range mustSchedule(t, "cron 30 2 * * * in Europe/Berlin fold both times 5").Bind("x", from).Preview(instantOf(t, "2027-03-27")) {
		got = append(got, o.Marks.String())
	}
	if len(got) != 0 {
		t.Errorf("%q told after the last of five", got)
	}
	for rule, want := range map[string]string{
		"cron 30 2 28 3 * in Europe/Berlin":              "gap-moved",
		"cron 30 2 31 10 * in Europe/Berlin":             "",
		"cron 30 2 31 10 * in Europe/Berlin fold second": "fold-second",
		"cron 30 2 28 3 * in Europe/Berlin jitter 1h":    "gap-moved,jittered",
	} {
		for o := range mustSchedule(t, rule).Bind("x", instantOf(t, "2027-01-01")).Preview(instantOf(t, "2027-01-01")) {
			if o.Marks.String() != want {
				t.Errorf("%s: %q, want %q", rule, o.Marks, want)
			}
			break
		}
	}
}

// What leaves (nearly) nothing is refused when it is made, for finding what is left would cost too much.
//
// contract: A6, I6.
func TestExcept_RefusesWhatLeavesNothing(t *testing.T) {
	for _, text := range []string{
		"cron 0 9 * * * except (cron 0 9 * * *)",
		"every 24h align 2026-01-01T03:00Z except (cron * 0-6 * * *)",
		"cron * * * * * except (cron * * * * *)",
		"cron 0 9 * * * except (cron 0 0 9 * * * 2000-2060)",
	} {
		if s, err := Parse(text); err == nil {
			t.Errorf("%s is accepted; next is %v", text, s.Bind("", time.Unix(0, 0)).First())
		} else if want := "leave an occurrence"; !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// An exception without a zone goes by that of the whole, one with a zone keeps it, UTC included, also through its text.
func TestExcept_Zone(t *testing.T) {
	for _, tt := range []struct{ rule, canonical, want string }{
		{"cron 30 0 * * * in Europe/Berlin except (cron * * 25 12 *)", "", "12-23 12-25 12-26"},
		{"cron 30 0 * * * in Europe/Berlin except (cron * * 25 12 * in UTC)", "", "12-23 12-24 12-26"},
		{"cron 30 0 * * * in Europe/Berlin except ((cron * * 25 12 *) or (at 2026-12-26T23:30Z))", "cron 30 0 * * * in Europe/Berlin except ((cron * * 25 12 *) or (at 2026-12-26T23:30:00Z))", "12-23 12-25 12-27"},
		{"cron 30 0 * * * in UTC except (cron * * 25 12 * in UTC)", "cron 30 0 * * * except (cron * * 25 12 * in UTC)", "12-24 12-26 12-27"},
	} {
		s := mustSchedule(t, tt.rule)
		if tt.canonical == "" {
			tt.canonical = tt.rule
		}
		if got := s.String(); got != tt.canonical {
			t.Errorf("%s prints as %s", tt.rule, got)
		}
		for _, s := range []Schedule{s, mustSchedule(t, s.String())} {
			from := instantOf(t, "2026-12-23T12:00Z")
			r := s.Bind("x", from)
			var got []string
			for at := r.First(); len(got) < 3; at = r.Next(at) {
				got = append(got, at.Format("01-02"))
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("%s: %v, want %s", s, got, tt.want)
			}
		}
	}
	a, b := mustSchedule(t, "cron 30 0 * * * in Europe/Berlin except (cron * * 25 12 *)"), mustSchedule(t, "cron 30 0 * * * in Europe/Berlin except (cron * * 25 12 * in UTC)")
	if a.Equal(b) {
		t.Error("exceptions in different zones are equal")
	}
	if _, err := Parse("cron 0 9 * * * except ((every 2h))"); err == nil {
		t.Error("what counts from its acceptance can be left out")
	}
}

// However long a stretch in a row is that is left out, and where in a day or an hour it begins and ends, what is behind it is found at once,
// and what is before it, and nothing within it that is not left out is passed over.
//
// contract: I6.
func TestExcept_Stretches(t *testing.T) {
	for _, tt := range []struct{ rule, last, next string }{ // the last before the stretch, and the first behind it
		{"cron * * * * * * except (cron * * 1-20 * *)", "2026-03-31T23:59:59Z", "2026-04-21T00:00:00Z"},
		{"cron * * * * * * except (cron * * * 1-20 * *)", "2026-03-31T23:59:59Z", "2026-04-21T00:00:00Z"},
		{"cron * * * * * * in Europe/Berlin except (cron * * 20-31 3 *)", "2026-03-19T22:59:59Z", "2026-03-31T22:00:00Z"},
		{"cron * * * * * * in Europe/Berlin except (cron * * 20-31 10 *)", "2026-10-19T21:59:59Z", "2026-10-31T23:00:00Z"},
		{"cron * * * * * * in Europe/Berlin except (cron * * 29 3 *)", "2026-03-28T22:59:59Z", "2026-03-29T22:00:00Z"},
		{"cron * * * * * * in Europe/Berlin except (cron * * 25 10 *)", "2026-10-24T21:59:59Z", "2026-10-25T23:00:00Z"},
		{"cron * * * * * * except (cron * 0-11 1-20 * *) except (cron * 12-23 1-20 * *)", "2026-03-31T23:59:59Z", "2026-04-21T00:00:00Z"},
		{"cron * * * * * * except (cron 0-29 * 1-20 * *) except (cron 30-59 * 1-20 * *)", "2026-03-31T23:59:59Z", "2026-04-21T00:00:00Z"},
		{"cron * * * * * * except (cron * * 1 * * except (cron 30 12 * * *))", "2026-03-31T23:59:59Z", "2026-04-01T12:30:00Z"},
		{"cron * * * * * * except (cron * * 1 * * except (cron 30 12 * * *))", "2026-04-01T12:30:59Z", "2026-04-02T00:00:00Z"},
		{"cron * * * * * * except (cron 10-20 9 * * *)", "2026-04-01T09:09:59Z", "2026-04-01T09:21:00Z"},
		{"cron * * * * * * except (cron 0-20 9 * * *)", "2026-04-01T08:59:59Z", "2026-04-01T09:21:00Z"},
		{"cron * * * * * * except (cron 40-59 9 * * *)", "2026-04-01T09:39:59Z", "2026-04-01T10:00:00Z"},
		{"cron * * * * * * except (cron 5,7 9 * * *)", "2026-04-01T09:04:59Z", "2026-04-01T09:06:00Z"},
		{"cron * * * * * * except (cron 5,7 9 * * *)", "2026-04-01T09:06:59Z", "2026-04-01T09:08:00Z"},
		{"cron * * * * * * except (cron * 10-20 9 * * *)", "2026-04-01T09:09:59Z", "2026-04-01T09:21:00Z"},
		{"cron * * * * * * except (cron 10-20 30 9 * * *)", "2026-04-01T09:30:09Z", "2026-04-01T09:30:21Z"},
		{"cron * * * * * * except (cron * * 1 * * from 2026-04-01T09:17:30Z)", "2026-04-01T09:17:59Z", "2026-04-02T00:00:00Z"},
		{"cron * * * * * * except (cron * * 1 * * until 2026-04-01T09:17:30Z)", "2026-03-31T23:59:59Z", "2026-04-01T09:18:00Z"},
		{"every 1ms align 2026-01-01 except (cron 0-29 * * * * *)", "2026-03-31T23:59:59.999Z", "2026-04-01T00:00:30Z"},
		{"every 1ms align 2026-01-01 except (cron 0-29 * * * *)", "2026-03-31T23:59:59.999Z", "2026-04-01T00:30:00Z"},
		{"every 250ms align 2026-01-01 except (calendar *-*-* *:0..29:0.5/1)", "2026-04-01T00:00:00.25Z", "2026-04-01T00:00:00.75Z"},
		{"every 250ms align 2026-01-01 except (calendar *-*-* *:0..29)", "2026-03-31T23:59:59.75Z", "2026-04-01T00:30:00Z"},
		{"every 250ms align 2026-01-01 except (calendar *-*-* *:*:0..29)", "2026-03-31T23:59:59.75Z", "2026-04-01T00:00:30Z"},
		{"every 1ns align 2026-01-01 except (at 2026-04-01T00:00:00.000000002Z)", "2026-04-01T00:00:00.000000001Z", "2026-04-01T00:00:00.000000003Z"},
		{"every 1h align 2026-01-01 except (cron 0 5 * * *)", "2026-04-01T04:00:00Z", "2026-04-01T06:00:00Z"},
		{"cron 0 * * * * except (rrule FREQ=DAILY DTSTART:20260101T050000)", "2026-04-01T04:00:00Z", "2026-04-01T06:00:00Z"},
		{"cron 0 * * * * except (rrule RDATE:20260401T050000)", "2026-04-01T04:00:00Z", "2026-04-01T06:00:00Z"},
		{"rrule FREQ=HOURLY DTSTART:20260101T000000 EXDATE:20260401T050000,20260401T060000", "2026-04-01T04:00:00Z", "2026-04-01T07:00:00Z"},
	} {
		r := mustSchedule(t, tt.rule).Bind("x", instantOf(t, "2026-01-01"))
		last, next := instantOf(t, tt.last), instantOf(t, tt.next)
		if got := r.Next(last.Add(-1)); !got.Equal(last) {
			t.Errorf("%s: before the stretch %v, want %v", tt.rule, got, last)
		}
		for _, from := range []time.Time{last, last.Add(next.Sub(last) / 2), next.Add(-1)} {
			if got := r.Next(from); !got.Equal(next) {
				t.Errorf("%s: after %v %v, want %v", tt.rule, from, got, next)
			}
		}
		for _, from := range []time.Time{next, last.Add((next.Sub(last) + 1) / 2), last.Add(1)} {
			if got := r.Prev(from); !got.Equal(last) {
				t.Errorf("%s: before %v %v, want %v", tt.rule, from, got, last)
			}
		}
		if got := r.Count(last.Add(-1), next); got != 2 {
			t.Errorf("%s: %d from %v to %v, want 2", tt.rule, got, last, next)
		}
		if got := r.Spacing(last); got != next.Sub(last) {
			t.Errorf("%s: %v from %v on, want %v", tt.rule, got, last, next.Sub(last))
		}
	}
	if got := mustSchedule(t, "every 1h until 2026-01-01T02:00Z").Bind("x", instantOf(t, "2026-01-01")).Spacing(instantOf(t, "2026-01-01T02:00Z")); got != 0 {
		t.Errorf("%v behind the last", got)
	}
}

// How many occurrences in a row may be left out until a search ends: fewer the more there is to ask, and recurrences cost more; but each
// date that is left out may be one of them.
func TestSet_Patience(t *testing.T) {
	for text, want := range map[string]int{
		"cron 0 9 * * *":                                                                           1,
		"cron 0 9 * * * except (cron * * 1 * *)":                                                   10_000,
		"cron 0 9 * * * except (cron * * 1 * *) except (at 2026-01-01)":                            5000,
		"cron 0 9 * * * except ((cron * * 1 * *) or (cron * * 2 * *) or (at 2026-01-01))":          3333,
		"cron 0 9 * * * except (rrule FREQ=YEARLY DTSTART:20260101T090000)":                        2000,
		"cron 0 9 * * * except (rrule FREQ=YEARLY DTSTART:20260101T090000) except (at 2026-01-01)": 1000,
		"rrule FREQ=DAILY DTSTART:20260101T090000":                                                 1,
		"rrule FREQ=DAILY DTSTART:20260101T090000 EXRULE:FREQ=YEARLY":                              2000,
		"rrule FREQ=DAILY DTSTART:20260101T090000 EXRULE:FREQ=YEARLY EXRULE:FREQ=MONTHLY":          1000,
		"rrule FREQ=DAILY DTSTART:20260101T090000 EXDATE:20260102T090000":                          2001,
		"rrule FREQ=DAILY DTSTART:20260101T090000 EXDATE:20260102T090000,20260103T090000":          2002,
		"rrule FREQ=DAILY DTSTART:20260101T090000 EXDATE:20260102T090000 EXRULE:FREQ=YEARLY":       2001,
		"rrule FREQ=DAILY DTSTART:20260101T090000 EXDATE:20260102T090000 except (at 2026-01-04)":   2001,
	} {
		if got := mustSchedule(t, text).bindSet("", noon).patience(); got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}

// A preview of a union tells of each member what is special about it, and begins where it is asked to.
func TestSet_PreviewOfUnions(t *testing.T) {
	for _, tt := range []struct{ rule, accepted, from, want string }{
		{"(cron 30 2 * * * in Europe/Berlin) or (cron 0 1 29 * *)", "2026-03-01", "2026-03-28T12:00Z", "29T01:00 gap-moved; 30T00:30 ; 31T00:30 "},
		{"(cron 30 2 * * * in Europe/Berlin) or (cron 0 3 * * *)", "2026-03-01", "2026-03-28T12:00Z", "29T01:00 gap-moved; 29T03:00 ; 30T00:30 "},
		{"(cron 30 2 * * * in Europe/Berlin fold second) or (cron 0 3 * * *)", "2026-03-01", "2026-10-24T12:00Z", "25T01:30 fold-second; 25T03:00 ; 26T01:30 "},
		{"(every 6h align 2026-01-01) or (cron 0 3 * * *) except (at 2026-03-02T06:00Z) times 4 jitter 1m", "2026-03-01T20:00Z", "2026-03-01", "02T00:00 jittered; 02T03:00 jittered; 02T06:00 jittered,excluded; 02T12:00 jittered; 02T18:00 jittered"},
		{"(every 6h align 2026-01-01) or (cron 0 3 * * *) except (at 2026-03-02T06:00Z) times 4", "2026-03-01T20:00Z", "2026-03-02T06:00Z", "02T06:00 excluded; 02T12:00 ; 02T18:00 "},
		{"(every 6h align 2026-01-01) or (cron 0 3 * * *) except (at 2026-03-02T06:00Z) times 4", "2026-03-01T20:00Z", "2026-03-02T18:00:01Z", ""},
		{"cron 0 9 * * * until 2026-03-03T09:00Z", "2026-03-02T09:00Z", "2026-03-01", "03T09:00 "},
		{"cron 0 9 * * * except (cron * * 2 3 *) until 2026-03-03T09:00Z", "2026-03-01T09:00Z", "2026-03-01T09:00:01Z", "02T09:00 excluded; 03T09:00 "},
		{"cron 0 9 * * * except (cron * * 2 3 *) until 2026-03-03T09:00Z", "2026-03-01T09:00Z", "2026-03-01T09:00Z", "02T09:00 excluded; 03T09:00 "},
		{"cron 0 9 * * * except (cron * * 2 3 *) until 2026-03-03T09:00Z", "2026-03-01T09:00Z", "2020-03-01T09:00Z", "02T09:00 excluded; 03T09:00 "},
		{"cron 0 9 * * * except (cron * * 2 3 *) until 2026-03-03T09:00Z", "2026-03-02T09:00Z", "2026-03-02T10:00Z", "03T09:00 "},
		{"cron 0 9 * * * times 2 from 2026-03-01T09:00Z", "2026-03-05", "2026-03-01", "01T09:00 ; 02T09:00 "},
	} {
		var got []string
		for o := range mustSchedule(t, tt.rule).Bind("x", instantOf(t, tt.accepted)).Preview(instantOf(t, tt.from)) {
			got = append(got, o.At.Format("02T15:04 ")+o.Marks.String())
			if !strings.Contains(tt.rule, "times") && len(got) > strings.Count(tt.want, ";") && !strings.Contains(tt.rule, "until") {
				break
			}
		}
		if g := strings.Join(got, "; "); g != tt.want {
			t.Errorf("%s from %s:\n got %s\nwant %s", tt.rule, tt.from, g, tt.want)
		}
	}
}
