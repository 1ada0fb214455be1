package timer

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Every duration lies in its bucket, and a bucket is at most a quarter wide of what it holds.
func TestHistogram_Buckets(t *testing.T) {
	last := int64(-1)
	for i := range histBuckets {
		end := bucketEnd(i)
		if end <= last {
			t.Fatalf("bucket %d ends at %d, the one before it at %d", i, end, last)
		}
		for _, d := range []int64{last + 1, last + (end-last)/2, end} {
			if d > last && bucketOf(d) != i {
				t.Errorf("%d is in bucket %d, want %d, which holds %d to %d", d, bucketOf(d), i, last+1, end)
			}
		}
		if width := end - last; last+1 > 0 && float64(width) > float64(last+1)/4+1 {
			t.Errorf("bucket %d, from %d to %d, is wider than a quarter", i, last+1, end)
		}
		last = end
	}
	if last != math.MaxInt64 {
		t.Errorf("the last bucket ends at %d, want %d", last, int64(math.MaxInt64))
	}
	if got := bucketOf(-1); got != 0 {
		t.Errorf("a negative duration is in bucket %d, want 0", got)
	}
}

// Quantiles are never too low and at most a quarter too high; count, sum and maximum are exact.
func TestHistogram_QuantilesAgreeWithSortedSamples(t *testing.T) {
	checkRapid(t, 300, 30, func(t *rapid.T) {
		sample := rapid.Custom(func(t *rapid.T) int64 {
			return rapid.Int64Range(0, 1<<rapid.IntRange(0, 55).Draw(t, "bits")).Draw(t, "ns")
		})
		samples := rapid.SliceOfN(sample, 0, 200).Draw(t, "samples")
		var h histogram
		var sum, most int64
		for _, d := range samples {
			h.add(d)
			sum, most = sum+d, max(most, d)
		}
		var got Histogram
		h.addTo(&got)
		if got.Count != uint64(len(samples)) || got.Sum != time.Duration(sum) || got.Max != time.Duration(most) {
			t.Fatalf("count %d, sum %d, max %d, want %d, %d, %d", got.Count, got.Sum, got.Max, len(samples), sum, most)
		}
		slices.Sort(samples)
		for _, q := range []float64{-1, 0, 0.001, 0.5, 0.9, 0.99, 1, 2} {
			want := int64(0)
			if n := len(samples); n > 0 {
				want = samples[max(1, int(math.Ceil(min(max(q, 0), 1)*float64(n))))-1]
			}
			if at := int64(got.Quantile(q)); at < want || float64(at) > float64(want)*1.25 {
				t.Fatalf("quantile %v is %d, want %d to %d", q, at, want, want+want/4)
			}
		}
	})
}

func TestStats_FiredCountsEarlyAndParts(t *testing.T) {
	var s fireStats
	s.fired(100, 130, 180)
	s.fired(100, 100, 99) // what must never be
	if got, want := s.fires.Load(), uint64(2); got != want {
		t.Errorf("fires is %d, want %d", got, want)
	}
	if got, want := s.early.Load(), uint64(1); got != want {
		t.Errorf("early is %d, want %d", got, want)
	}
	for _, part := range []struct {
		what string
		h    *histogram
		want time.Duration
	}{{"lateness", &s.lateness, 80}, {"wake", &s.wakeLate, 30}, {"slot", &s.slotLate, 50}} {
		var got Histogram
		if part.h.addTo(&got); got.Max != part.want {
			t.Errorf("the longest %s is %d ns, want %d", part.what, got.Max, part.want)
		}
	}
}
