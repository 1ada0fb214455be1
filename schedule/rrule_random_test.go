package schedule_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Random rules give what the oracle writes out: forwards, backwards, in number and asked at any instant.
//
// contract: I1, I6.
func TestRandomRecurrencesAgainstOracle(t *testing.T) {
	t.Parallel()
	cases := sampled(1200)
	if everyZone {
		cases = 100_000
	}
	w := ruleWriter{rand.New(rand.NewPCG(9, 5545)), true}
	never, some := 0, 0
	for range cases {
		start := w.start()
		text := w.rule(start)
		s := recurring(text, start)
		n := readNaiveRule(text, start.Unix())
		end := start.AddDate(12, 0, 0).Unix()
		switch n.freq { // the oracle has patience, but not so much
		case "SECONDLY":
			end = start.AddDate(0, 0, 15).Unix()
		case "MINUTELY":
			end = start.AddDate(1, 0, 0).Unix()
		}
		var want []int64
		n.readings(end, func(c int64) bool {
			want = append(want, c)
			return len(want) < 60
		})
		if s.Err() != nil {
			if !s.Never() || len(want) > 0 {
				t.Errorf("%s from %s: %v, the oracle says %v", text, start, s.Err(), texts(want, time.UTC))
			}
			never++
			continue
		}
		some++
		r := s.Bind("", time.Time{})
		if len(want) == 60 {
			end = want[59]
		}
		got := chain(r, start.Unix()-1, end)
		if !slices.Equal(got, want) {
			t.Errorf("%s from %s, -want +got:\n%s", text, start.Format(time.RFC3339), cmp.Diff(texts(want, time.UTC), texts(got, time.UTC)))
			continue
		}
		if back := chainBack(r, start.Unix()-1, end); !slices.Equal(back, want) {
			t.Errorf("%s from %s backwards, -want +got:\n%s", text, start.Format(time.RFC3339), cmp.Diff(texts(want, time.UTC), texts(back, time.UTC)))
			continue
		}
		if c := r.Count(start.Add(-1), time.Unix(end, 0)); c != int64(len(want)) {
			t.Errorf("%s from %s: count %d, want %d", text, start.Format(time.RFC3339), c, len(want))
		}
		for range 5 {
			at := start.Add(time.Duration(w.Int64N(end-start.Unix()+1)) * time.Second)
			i, _ := slices.BinarySearch(want, at.Unix()+1)
			if next := r.Next(at); i < len(want) && next.Unix() != want[i] {
				t.Errorf("%s from %s: Next(%s) = %s, want %s", text, start.Format(time.RFC3339), at, next, time.Unix(want[i], 0).UTC())
			}
			if c := r.Count(at, time.Unix(end, 0)); c != int64(len(want)-i) {
				t.Errorf("%s from %s: Count(%s) = %d, want %d", text, start.Format(time.RFC3339), at, c, len(want)-i)
			}
			if c := r.Count(start.Add(-1), at); c != int64(i) {
				t.Errorf("%s from %s: Count up to %s = %d, want %d", text, start.Format(time.RFC3339), at, c, i)
			}
		}
	}
	t.Logf("%d rules with occurrences, %d without", some, never)
}

// The same in zones, around changes of the clocks, where the start may be, too.
//
// contract: I2, I3, I4.
func TestRecurrencesInZonesAgainstOracle(t *testing.T) {
	t.Parallel()
	w := ruleWriter{rand.New(rand.NewPCG(10, 5545)), false}
	each := sampled(8)
	if everyZone {
		each = 100
	}
	for _, zone := range namedZones {
		t.Run(zone, func(t *testing.T) {
			loc := mustZone(t, zone)
			for _, at := range transitions(loc) {
				if at < 631152000 || w.IntN(4) > 0 {
					continue
				}
				lo, hi := at-3*86400, at+3*86400
				spans := walk(loc, lo-10*86400, hi+5*86400)
				for range each {
					start := time.Unix(at+3600-int64(w.IntN([]int{2, 9 * 24}[w.IntN(2)]*3600)), 0).In(loc)
					start = time.Date(start.Year(), start.Month(), start.Day(), start.Hour(), start.Minute()/15*15, 0, 0, time.UTC)
					text := w.rule(start)
					s := recurring(text, start).In(zone)
					n := readNaiveRule(text, start.Unix())
					if n.freq == "SECONDLY" && w.IntN(10) > 0 {
						continue
					}
					want := n.instants(spans, lo, hi)
					if s.Err() != nil {
						if !s.Never() || len(want) > 0 {
							t.Errorf("%s from %s: %v", text, start, s.Err())
						}
						continue
					}
					if len(want) > 20_000 {
						continue
					}
					r := s.Bind("", time.Time{})
					got := chain(r, lo-1, hi)
					if !slices.Equal(got, want) {
						t.Errorf("%s from %s in %s, -want +got:\n%s", text, start.Format(time.RFC3339), zone, cmp.Diff(texts(want, loc), texts(got, loc)))
						continue
					}
					if back := chainBack(r, lo-1, hi); !slices.Equal(back, want) {
						t.Errorf("%s from %s in %s backwards, -want +got:\n%s", text, start.Format(time.RFC3339), zone, cmp.Diff(texts(want, loc), texts(back, loc)))
					}
					if c := r.Count(time.Unix(lo-1, 0), time.Unix(hi, 0)); c != int64(len(want)) {
						t.Errorf("%s from %s in %s: count %d, want %d", text, start.Format(time.RFC3339), zone, c, len(want))
					}
				}
			}
		})
	}
}
