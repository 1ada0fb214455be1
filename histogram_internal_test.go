package duly

import (
	"testing"
	"time"
)

// A duration is counted in the bucket whose end is after it and whose beginning, the end of the one before, is not; a quantile is the end
// of a bucket.
func TestHistogram(t *testing.T) {
	for _, d := range []time.Duration{
		0, time.Nanosecond, time.Microsecond - 1, time.Microsecond, 2*time.Microsecond - 1, 2 * time.Microsecond, 3 * time.Microsecond, 4 * time.Microsecond,
		time.Millisecond, 1024 * time.Microsecond, time.Second, time.Hour, 19 * time.Hour,
	} {
		var h Histogram
		h.add(d)
		for i, n := range h.Buckets {
			begin := time.Duration(0)
			if i > 0 {
				begin = h.Bound(i - 1)
			}
			if want := begin <= d && d < h.Bound(i); n != 0 != want {
				t.Errorf("%v: %d in the bucket from %v to %v", d, n, begin, h.Bound(i))
			}
		}
		if q := h.Quantile(0.5); h.Sum != d || h.Count != 1 || q <= d || q > max(2*d, time.Microsecond) {
			t.Errorf("%v: the sum is %v of %d, the median %v", d, h.Sum, h.Count, q)
		}
	}
	var h Histogram
	if q := h.Quantile(0.5); q != 0 {
		t.Errorf("the median of nothing is %v", q)
	}
	h.add(-time.Second)
	h.add(30 * time.Hour)
	if h.Buckets[0] != 1 || h.Buckets[HistogramBuckets-1] != 1 || h.Sum != 30*time.Hour {
		t.Errorf("less than nothing, and more than the last bucket's beginning: %+v", h)
	}
	h = Histogram{}
	for i := range 100 {
		h.add(time.Duration(i) * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0: time.Microsecond, 0.5: 65536 * time.Microsecond, 0.99: 131072 * time.Microsecond, 1: 131072 * time.Microsecond} {
		if got := h.Quantile(q); got != want {
			t.Errorf("the part %v of 0 to 99 ms is below %v, want %v", q, got, want)
		}
	}
}

// TestStats_Early: an attempt that began before it was due is counted as early, and no other.
func TestStats_Early(t *testing.T) {
	var s stats
	s.init()
	for i, tt := range []struct {
		l     Lateness
		early uint64
	}{{Lateness{}, 0}, {Lateness{Claim: -1}, 1}, {Lateness{Wake: 1, Claim: -1}, 1}, {Lateness{Wake: 1, Slot: 1, Claim: -3}, 2}, {Lateness{Claim: time.Second}, 2}} {
		s.started("k", tt.l)
		if k := s.kinds["k"]; k.Early != tt.early || k.Started != uint64(i+1) {
			t.Errorf("after %+v: %d of %d are early, want %d", tt.l, k.Early, k.Started, tt.early)
		}
	}
}
