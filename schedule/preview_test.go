package schedule

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPreview(t *testing.T) {
	tests := []struct {
		text, from string
		limit      int // of what is taken
		want       []string
	}{
		{"in 5m", accepted, 9, []string{"2026-12-24T12:05Z"}},
		{"in 5m", "2026-12-24T12:05Z", 9, []string{"2026-12-24T12:05Z"}}, // not before from: from itself counts
		{"in 5m", "2026-12-24T12:06Z", 9, nil},
		{"at 2026-12-24T12:05Z", accepted, 9, []string{"2026-12-24T12:05Z"}},
		{"at 2026-12-24T12:05Z", "2026-12-24T12:05Z", 9, []string{"2026-12-24T12:05Z"}},
		{"at 2026-12-24T12:05Z", "2026-12-24T12:06Z", 9, nil},
		{"at 2000-01-01", accepted, 9, nil},
		{"pace 10m until 2026-12-24T12:25Z", "2026-12-24T12:15Z", 9, []string{"2026-12-24T12:20Z"}},
		{"pace 10m from 2026-12-24T12:00Z", "2026-12-24T12:00:00.000000001Z", 1, []string{"2026-12-24T12:10Z"}},
		{"every 1h until 2026-12-24T14:00Z times 3", "2026-12-24T13:30Z", 9, []string{"2026-12-24T14:00Z"}},
		{"cron 0 * * * * times 3", "2026-12-24T14:30Z", 9, []string{"2026-12-24T15:00Z"}},
		{"cron 0 * * * * times 3", "2026-12-24T15:00:01Z", 9, nil},
		{"cron 0 * * * * until 2026-12-24T14:00Z", accepted, 9, []string{"2026-12-24T13:00Z", "2026-12-24T14:00Z"}},
		{"cron 0 * * * *", "9999-12-31T22:30Z", 9, []string{"9999-12-31T23:00Z"}},
		{"every 1h", accepted, 2, []string{"2026-12-24T13:00Z", "2026-12-24T14:00Z"}},
		{"every 1h", "2026-12-24T14:00Z", 2, []string{"2026-12-24T14:00Z", "2026-12-24T15:00Z"}},
		{"every 1h", "2030-01-01T00:30Z", 1, []string{"2030-01-01T01:00Z"}},
		{"every 1h", "9999-12-31T22:30Z", 9, []string{"9999-12-31T23:00Z"}},
		{"every 1h until 2026-12-24T14:00Z", accepted, 9, []string{"2026-12-24T13:00Z", "2026-12-24T14:00Z"}},
		{"every 1h until 2026-12-24T14:00Z", "2026-12-24T14:00:01Z", 9, nil},
		{"every 1h until 2026-12-24T14:10Z", "2026-12-24T14:05Z", 9, nil},
		{"every 1h times 3", accepted, 9, []string{"2026-12-24T13:00Z", "2026-12-24T14:00Z", "2026-12-24T15:00Z"}},
		{"every 1h times 3", "2026-12-24T14:30Z", 9, []string{"2026-12-24T15:00Z"}}, // those before are counted
		{"every 1h times 3", "2026-12-24T15:30Z", 9, nil},
		{"every 1ns times 3 from 0001-01-01T00:00:00.000000001Z", "9999-12-31", 9, nil},
		{"pace 10m", accepted, 2, []string{"2026-12-24T12:10Z", "2026-12-24T12:20Z"}},
		{"pace 10m times 2", "2026-12-24T12:15Z", 9, []string{"2026-12-24T12:20Z"}},
		{"pace-from-start 10m until 2026-12-24T12:25Z", "2026-12-24T12:15Z", 9, []string{"2026-12-24T12:20Z"}},
		{"pace 10m until 2026-12-24T12:25Z", "2026-12-24T12:21Z", 9, nil},
		{"pace 1ns", "9999-12-31T23:59:59.999999999Z", 9, []string{"9999-12-31T23:59:59.999999999Z"}},
	}
	for _, tt := range tests {
		s, err := Parse(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		var got, want []time.Time
		for o := range s.Bind("x", ts(t, accepted)).Preview(ts(t, tt.from)) {
			if o.Due != o.At {
				t.Errorf("%s: due %v, at %v", tt.text, o.Due, o.At)
			}
			if got = append(got, o.At); len(got) == tt.limit {
				break
			}
		}
		for _, w := range tt.want {
			want = append(want, ts(t, w))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s from %s: -want +got\n%s", tt.text, tt.from, diff)
		}
	}
}

// A limit that no preview reaches cuts none short, however large it is.
func TestPreview_LargeLimits(t *testing.T) {
	for _, times := range []int64{1<<31 - 1, 1<<32 - 1, 1 << 32, 1<<32 + 1, math.MaxInt64} {
		if int64(int(times)) != times {
			continue // no int has so many bits here
		}
		for _, s := range []Schedule{Every(time.Hour), Cron("0 * * * *")} {
			n := 0
			for range s.Times(int(times)).Bind("x", noon).Preview(noon) {
				if n++; n == 3 {
					break
				}
			}
			if n != 3 {
				t.Errorf("of %v there are %d", s.Times(int(times)), n)
			}
		}
	}
}

// contract: J1. Jitter shifts a grid as a whole, and stretches a pace, which counts from the run.
func TestPreviewJitter(t *testing.T) {
	grid := Every(time.Hour).Jitter(time.Minute).Bind("order-42", noon)
	pace := Pace(time.Hour).Jitter(time.Minute).Bind("order-42", noon)
	if grid.Offset() == 0 || grid.Offset() != pace.Offset() {
		t.Fatalf("offsets %v and %v", grid.Offset(), pace.Offset())
	}
	n, at := 0, noon
	for o := range grid.Preview(noon) {
		n, at = n+1, at.Add(time.Hour)
		want := Occurrence{At: at, Due: at.Add(grid.Offset()), Marks: MarkJitter}
		if diff := cmp.Diff(want, o); diff != "" {
			t.Errorf("grid: -want +got\n%s", diff)
		}
		if n == 3 {
			break
		}
	}
	n, due := 0, noon
	for o := range pace.Preview(noon) {
		due = due.Add(time.Hour + pace.Offset())
		want := Occurrence{At: due.Add(-pace.Offset()), Due: due, Marks: MarkJitter}
		if diff := cmp.Diff(want, o); diff != "" {
			t.Errorf("pace: -want +got\n%s", diff)
		}
		if n++; n == 3 {
			break
		}
	}
}

// A preview that begins far on must be where one that was stepped there is, also where pace plus jitter wraps.
func TestPreviewSeeks(t *testing.T) {
	for _, s := range []Schedule{
		Every(longest).From(year1), Pace(longest).From(year1), Pace(longest).Jitter(longest).From(year1),
		PaceFromStart(longest - 5).Jitter(3).From(year1).Times(7), Every(longest).From(year1).Times(7).Jitter(longest / 2),
		Pace(longest / 2).Jitter(longest).From(year1).Until(noon),
	} {
		r := s.Bind("order-42", noon)
		var all []Occurrence
		for o := range r.Preview(time.Time{}) {
			all = append(all, o)
		}
		if len(all) == 0 {
			t.Fatalf("%v: no occurrence", s)
		}
		for i, first := range all {
			for _, from := range []time.Time{first.At, first.At.Add(-1)} {
				var got []Occurrence
				for o := range r.Preview(from) {
					got = append(got, o)
				}
				if diff := cmp.Diff(all[i:], got); diff != "" {
					t.Fatalf("%v from %v: -want +got\n%s", s, from, diff)
				}
			}
		}
		last := all[len(all)-1]
		for o := range r.Preview(last.At.Add(1)) {
			t.Errorf("%v: after the last %v there is %v", s, last, o)
		}
	}
	for o := range At(theEnd).Jitter(time.Hour).Bind("order-42", noon).Preview(noon) {
		t.Errorf("an occurrence due after the last instant: %v", o)
	}
	for o := range (Rule{}).Preview(time.Time{}) {
		t.Errorf("the zero rule has %v", o)
	}
	if got := addOne(math.MaxInt64); got != math.MaxInt64 {
		t.Errorf("addOne wraps to %d", got)
	}
}
