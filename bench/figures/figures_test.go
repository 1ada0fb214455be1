package figures

import (
	"testing"
)

func TestQuantile(t *testing.T) {
	sorted := []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	for q, want := range map[float64]int64{0: 1, 0.5: 5, 0.9: 9, 0.99: 10, 1: 10} {
		if got := Quantile(sorted, q); got != want {
			t.Errorf("Quantile(%v) = %d, want %d", q, got, want)
		}
	}
}

func TestSpread(t *testing.T) {
	s, ok := SpreadOf([]map[string]float64{{"a": 3}, {"a": 1}, {"b": 9}, {"a": 2}, {"a": 10}}, "a")
	if want := (Spread{Median: 2.5, Low: 1, High: 10, Samples: 4}); !ok || s != want {
		t.Errorf("spread = %+v, want %+v", s, want)
	}
	if _, ok := SpreadOf[map[string]float64](nil, "a"); ok {
		t.Error("a spread of nothing")
	}
}

func TestNumber(t *testing.T) {
	for x, want := range map[float64]string{0: "0.0", 999.94: "999.9", 1234567.89: "1,234,567.9", -1000: "-1,000.0"} {
		if got := Number(x, 1); got != want {
			t.Errorf("Number(%v) = %q, want %q", x, got, want)
		}
	}
}
