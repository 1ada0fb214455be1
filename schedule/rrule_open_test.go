package schedule_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dulyhq/duly/schedule"
)

// Rules that do not pin the hour go by real time: a start in the first pass of a fold leaves out nothing of the second, one in the
// second nothing that comes after it; UNTIL is an instant, and COUNT counts what really comes.
//
// contract: I4.
func TestRRule_StartsWithinAFold(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"rrule FREQ=MINUTELY;INTERVAL=20 DTSTART:20261025T023000 in Europe/Berlin", "02:30:00 +02, 02:50:00 +02, 02:10:00 +01, 02:30:00 +01, 02:50:00 +01, 03:10:00 +01"},
		{"rrule FREQ=HOURLY DTSTART:20261025T023000 in Europe/Berlin", "02:30:00 +02, 02:30:00 +01, 03:30:00 +01"},
		{"rrule FREQ=MINUTELY;INTERVAL=20 in Europe/Berlin from 2026-10-25T00:30:00Z", "02:30:00 +02, 02:50:00 +02, 02:10:00 +01, 02:30:00 +01, 02:50:00 +01, 03:10:00 +01"},
		{"rrule FREQ=MINUTELY;INTERVAL=20 in Europe/Berlin from 2026-10-25T01:30:00Z", "02:30:00 +01, 02:50:00 +01, 03:10:00 +01"},
		{"rrule FREQ=MINUTELY;COUNT=4;INTERVAL=20 DTSTART:20261025T023000 in Europe/Berlin", "02:30:00 +02, 02:50:00 +02, 02:10:00 +01, 02:30:00 +01"},
		{"rrule FREQ=HOURLY;COUNT=3 DTSTART:20261025T013000 in Europe/Berlin", "01:30:00 +02, 02:30:00 +02, 02:30:00 +01"},
		{"rrule FREQ=MINUTELY;UNTIL=20261025T025000;INTERVAL=20 DTSTART:20261025T021000 in Europe/Berlin", "02:10:00 +02, 02:30:00 +02, 02:50:00 +02"},
		{"rrule FREQ=MINUTELY;UNTIL=20261025T011000Z;INTERVAL=20 DTSTART:20261025T021000 in Europe/Berlin", "02:10:00 +02, 02:30:00 +02, 02:50:00 +02, 02:10:00 +01"},
		{"rrule FREQ=MINUTELY;COUNT=3;INTERVAL=30 DTSTART:20260329T013000 in Europe/Berlin", "01:30:00 +01, 03:00:00 +02, 03:30:00 +02"},
		// A start that a gap swallows is later by its length.
		{"rrule FREQ=MINUTELY;INTERVAL=15 DTSTART:20260329T023000 in Europe/Berlin", "03:30:00 +02, 03:45:00 +02"},
		// A rule that pins the hour is a list of readings, each taken once.
		{"rrule FREQ=MINUTELY;COUNT=3;INTERVAL=20;BYHOUR=2 DTSTART:20261025T023000 in Europe/Berlin", "02:30:00 +02, 02:50:00 +02, 02:10:00 +01"},
	} {
		s, err := schedule.Parse(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if s.String() != tt.text {
			t.Errorf("%s prints as %s", tt.text, s)
		}
		want := strings.Split(tt.want, ", ")
		got := occurrencesOf(t, s, "2026-01-01T00:00:00Z", len(want)+1)
		if !strings.Contains(tt.text, "COUNT") && !strings.Contains(tt.text, "UNTIL") {
			got = got[:len(want)]
		}
		for i := range got {
			_, got[i], _ = strings.Cut(got[i], " ")
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, -want +got:\n%s", tt.text, diff)
		}
	}
}

// Wherever a rule by the hour, minute or second begins, near a gap or a fold, its occurrences are one after the other, and asked for at any
// instant Next, Prev and Count say what going through them from the first does.
//
// contract: I4, I6.
func TestRRule_FromAnyInstant(t *testing.T) {
	changes := map[string][]int64{}
	for _, zone := range namedZones {
		changes[zone] = transitions(mustZone(t, zone))
	}
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom(namedZones).Draw(t, "zone")
		seam := rapid.SampledFrom(changes[zone]).Draw(t, "seam")
		begin := time.Unix(seam+60*rapid.Int64Range(-150, 150).Draw(t, "minutes from it"), 0).UTC()
		s, accepted := drawOpen(t, zone, begin)
		r := s.Bind("x", accepted)
		var all []time.Time
		for at := r.First(); !at.IsZero() && at.Before(begin.Add(12*time.Hour)) && len(all) < 1500; at = r.Next(at) {
			if len(all) > 0 && !at.After(all[len(all)-1]) {
				t.Fatalf("%s: %s after %s", s, at, all[len(all)-1])
			}
			all = append(all, at)
		}
		if len(all) == 0 {
			return
		}
		span := int(all[len(all)-1].Sub(all[0]) / time.Second)
		for range 20 {
			at := all[0].Add(time.Duration(rapid.IntRange(-7200, span).Draw(t, "second")) * time.Second)
			i, is := slices.BinarySearchFunc(all, at, time.Time.Compare)
			var prev, next time.Time
			if i > 0 {
				prev = all[i-1]
			}
			after := i
			if is {
				after++
			}
			if after < len(all) {
				next = all[after]
			}
			if got := r.Prev(at); !got.Equal(prev) {
				t.Fatalf("%s: Prev(%s) = %s, want %s", s, at, got, prev)
			}
			if got := r.Next(at); !got.Equal(next) && !next.IsZero() {
				t.Fatalf("%s: Next(%s) = %s, want %s", s, at, got, next)
			}
			if got := r.Count(at, all[len(all)-1]); got != int64(len(all)-after) {
				t.Fatalf("%s: Count(%s) = %d, want %d", s, at, got, len(all)-after)
			}
		}
	})
}

// drawOpen draws a rule by the hour, minute or second that begins at an instant: by the clock's reading there, which may be that of an
// earlier instant, too, by the instant, or when it is accepted.
func drawOpen(t *rapid.T, zone string, begin time.Time) (s schedule.Schedule, accepted time.Time) {
	t.Helper()
	text := rapid.SampledFrom([]string{
		"FREQ=HOURLY", "FREQ=HOURLY;INTERVAL=2", "FREQ=HOURLY;BYMINUTE=10,50", "FREQ=HOURLY;BYMINUTE=0,15,30,45;BYSETPOS=2,-1",
		"FREQ=MINUTELY;INTERVAL=7", "FREQ=MINUTELY;BYSECOND=0,30", "FREQ=MINUTELY;INTERVAL=90", "FREQ=SECONDLY;INTERVAL=77",
		"FREQ=SECONDLY;INTERVAL=45;BYMINUTE=1,29,59",
	}).Draw(t, "rule")
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	switch rapid.IntRange(0, 3).Draw(t, "end") {
	case 0:
		text += fmt.Sprintf(";COUNT=%d", rapid.IntRange(1, 300).Draw(t, "count"))
	case 1:
		text += ";UNTIL=" + begin.Add(time.Duration(rapid.IntRange(0, 300).Draw(t, "until"))*time.Minute).Format("20060102T150405Z")
	}
	how := rapid.IntRange(0, 2).Draw(t, "start")
	if how == 0 {
		text += " DTSTART:" + begin.In(loc).Format("20060102T150405")
	}
	s = schedule.RRule(text).In(zone)
	switch how {
	case 1:
		s = s.From(begin)
	case 2:
		accepted = begin
	}
	return s, accepted
}
