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
