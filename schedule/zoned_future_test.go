package schedule

import (
	"testing"
	"time"
)

// Beyond the tables of the zones, to their rules for ever: each stretch is as the offsets of its seconds say, and the next one
// begins where it ends.
func TestZoned_StretchesOfTheFuture(t *testing.T) {
	for _, name := range []string{
		"Europe/Berlin", "America/New_York", "Africa/Cairo", "Australia/Lord_Howe", "America/Santiago", "Europe/Dublin",
		"Africa/Casablanca", "Asia/Tokyo", "Antarctica/Troll", "Asia/Gaza", "Pacific/Norfolk", "Antarctica/McMurdo", "Asia/Tehran",
	} {
		z, m := loadZone(name)
		if m.want != "" {
			t.Fatal(m.want)
		}
		z.ready()
		at := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
		end := time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
		seams := 0
		for at < end {
			s := z.at(at)
			if s.offset != z.offset(at) || s.start != noStart && s.start > at || s.end <= at {
				t.Fatalf("%s at %v: %+v", name, time.Unix(at, 0).UTC(), s)
			}
			if s.end == noEnd {
				break
			}
			if seams++; z.offset(s.end) == s.offset || z.offset(s.end-1) != s.offset {
				t.Fatalf("%s: no seam at %v", name, time.Unix(s.end, 0).UTC())
			}
			for second := at; second < s.end; second += 11 * daySeconds { // every stretch looks the same from all of its seconds
				if got := z.at(second); got != s && (got.start != s.start || got.end != s.end) {
					t.Fatalf("%s at %v: %+v, want %+v", name, time.Unix(second, 0).UTC(), got, s)
				}
			}
			at = s.end
		}
		if name != "Asia/Tokyo" && name != "Africa/Casablanca" && name != "Asia/Tehran" && seams < 1900 {
			t.Errorf("%s: %d seams in 3,000 years", name, seams)
		}
	}
}

// What the last day of a leap year, beyond the tables, must not stop.
func TestZoned_LeapYearsOfTheFuture(t *testing.T) {
	r := mustSchedule(t, "cron 0 6 1 * * * 2049 in Europe/Berlin").Bind("x", time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	if got, want := r.First(), time.Date(2049, 1, 1, 0, 6, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("first %v, want %v", got, want)
	}
	from := time.Date(1966, 1, 1, 0, 0, 0, 0, time.UTC)
	if got := mustSchedule(t, "cron 30 2 29 2 * in Africa/Cairo").Bind("x", time.Time{}).Count(from, from.AddDate(200, 0, 0)); got != 49 {
		t.Errorf("%d leap days, want 49", got)
	}
}

func TestResolve_TheLastDayOfAFutureLeapYear(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"2040-12-31T12:00[Africa/Cairo]", "2040-12-31T10:00:00Z"},
		{"2048-12-31T23:30[Europe/Berlin]", "2048-12-31T22:30:00Z"},
		{"2049-03-28T02:30[Europe/Berlin]", "2049-03-28T01:00:00Z"},
	} {
		if got := instantOf(t, tt.text).Format(time.RFC3339); got != tt.want {
			t.Errorf("%s is %s, want %s", tt.text, got, tt.want)
		}
	}
}

// Where the offset changes is found to the second, however far from it the search begins and ends.
func TestZone_SeamWithin(t *testing.T) {
	z, m := loadZone("Europe/Berlin")
	if m.want != "" {
		t.Fatal(m.want)
	}
	for _, text := range []string{"2026-03-29T01:00Z", "2026-10-25T01:00Z", "1893-03-31T23:06:32Z", "2049-03-28T01:00Z"} {
		seam := instantOf(t, text).Unix()
		for _, before := range []int64{1, 2, 3, 60, 3599, daySeconds} {
			for _, after := range []int64{0, 1, 2, 59, 3600, daySeconds} {
				if got := z.seamWithin(seam-before, seam+after); got != seam {
					t.Errorf("from %d seconds before %s to %d after it: %v", before, text, after, time.Unix(got, 0).UTC())
				}
			}
		}
	}
}
