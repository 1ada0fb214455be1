package schedule

import (
	"fmt"
	"hash/fnv"
	"math"
	"testing"
	"time"
)

// contract: J1. These values are a promise to running clusters; a change here is a breaking change.
func TestJitterIsPinned(t *testing.T) {
	tests := []struct {
		name  string
		limit time.Duration
		want  time.Duration
	}{
		{"", time.Second, 936_769_448},
		{"a", time.Second, 510_294_517},
		{"b", time.Second, 431_262_167},
		{"a", 1, 0},
		{"order-42", time.Minute, 33_346_553_689},
		{"Überweisung", time.Hour, 2_121_311_615_233},
		{"order-42", math.MaxInt64, 5_126_127_847_116_517_826},
	}
	for _, tt := range tests {
		if got := After(1).Jitter(tt.limit).Bind(tt.name, noon).Offset(); got != tt.want {
			t.Errorf("offset of %q within %v = %d, want %d", tt.name, tt.limit, got, tt.want)
		}
	}
	if got := Every(1).Bind("a", noon).Offset(); got != 0 {
		t.Errorf("without jitter the offset is %v", got)
	}
}

// contract: J1. The rule is the same at any acceptance and for every form: a preview elsewhere equals reality here.
func TestJitterFollowsTheNameAlone(t *testing.T) {
	want := After(1).Jitter(time.Minute).Bind("order-42", noon).Offset()
	for _, s := range []Schedule{
		At(noon).Jitter(time.Minute), Every(time.Hour).Jitter(time.Minute), Pace(time.Hour).Times(3).Jitter(time.Minute),
	} {
		if got := s.Bind("order-42", theEnd).Offset(); got != want {
			t.Errorf("%v: offset %v, want %v", s, got, want)
		}
	}
}

// Names that differ in a digit must spread evenly: a chi-square over 64 slots, whose 99.99 % bound for 63 degrees of
// freedom is 113. The names are fixed, so the outcome is, too.
func TestJitterSpreads(t *testing.T) {
	const names, slots = 64_000, 64
	var seen [slots]int
	for i := range names {
		seen[spread(fmt.Sprintf("task-%d", i), slots)]++
	}
	chi := 0.0
	for _, n := range seen {
		chi += float64((n-names/slots)*(n-names/slots)) / (names / slots)
	}
	if chi > 113 {
		t.Errorf("chi-square = %.1f over %d slots, want at most 113: %v", chi, slots, seen)
	}
}

// The first half of the hash is the standard library's FNV-1a.
func TestJitterHashesWithFNV(t *testing.T) {
	for _, name := range []string{"", "a", "order-42", "Überweisung", "\x00\xff"} {
		f := fnv.New64a()
		_, _ = f.Write([]byte(name))
		h := f.Sum64()
		h = (h ^ h>>33) * 0xff51afd7ed558ccd
		h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
		h ^= h >> 33
		if got, want := spread(name, 1<<62), time.Duration(h>>2); got != want {
			t.Errorf("spread(%q) = %d, want %d", name, got, want)
		}
	}
}
