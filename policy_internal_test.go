package duly

import (
	"fmt"
	"testing"
	"time"
)

// How long the wait after a failure may be doubles from the first on, to the most, which is a bound also where it is not twice what was before;
// and it is never less than a millisecond. It is drawn from all that is less.
func TestPolicy_Backoff(t *testing.T) {
	for _, tt := range []struct {
		what string
		p    policy
		n    int // attempts that failed
		most time.Duration
	}{
		{"as it is", policy{}, 1, time.Second},
		{"as it is, later", policy{}, 4, 8 * time.Second},
		{"as it is, the last before the most", policy{}, 12, 2048 * time.Second},
		{"as it is, the most", policy{}, 13, time.Hour},
		{"and from then on", policy{}, 1_000_000, time.Hour},
		{"of its own", policy{Backoff: period(3 * time.Second)}, 3, 12 * time.Second},
		{"longer than what is the most by default", policy{Backoff: period(5 * time.Hour)}, 9, 5 * time.Hour},
		{"with a most of its own", policy{Backoff: period(3 * time.Second), MaxBackoff: period(10 * time.Second)}, 2, 6 * time.Second},
		{"and to that", policy{Backoff: period(3 * time.Second), MaxBackoff: period(10 * time.Second)}, 3, 10 * time.Second},
		{"a half of the most", policy{Backoff: period(5 * time.Second), MaxBackoff: period(10 * time.Second)}, 2, 10 * time.Second},
		{"a most for what begins by itself", policy{MaxBackoff: period(1500 * time.Millisecond)}, 2, 1500 * time.Millisecond},
		{"a most that is less than the first", policy{Backoff: period(time.Minute), MaxBackoff: period(time.Second)}, 1, time.Second},
		{"the longest there is", policy{Backoff: period(1 << 62), MaxBackoff: period(1<<63 - 1)}, 5, 1<<63 - 1},
		{"a nanosecond", policy{Backoff: 1, MaxBackoff: 1}, 3, 0},
		{"less than nothing, by who has written that", policy{Backoff: -1, MaxBackoff: -1}, 3, 0},
	} {
		var high time.Duration
		low := time.Duration(1<<63 - 1)
		for range 400 { // that none of them is in the upper sixth, or in the lower one, is a matter of 1 to 10^31
			d := tt.p.backoff(tt.n)
			low, high = min(low, d), max(high, d)
		}
		if tt.most == 0 {
			if low != time.Millisecond || high != time.Millisecond {
				t.Errorf("%s: from %v to %v, want a millisecond", tt.what, low, high)
			}
			continue
		}
		if sixth := tt.most / 6; low < time.Millisecond || low > sixth || high < tt.most-sixth || high >= tt.most {
			t.Errorf("%s, after %d: from %v to %v, want it from nearly nothing to nearly %v", tt.what, tt.n, low, high, tt.most)
		}
	}
}

// How often a run is tried is 10 times unless it says otherwise, and of what is to start at most once that alone.
func TestPolicy_Attempts(t *testing.T) {
	for _, tt := range []struct {
		p    policy
		want int
	}{
		{policy{}, 10},
		{policy{Attempts: 1}, 1},
		{policy{Attempts: 3}, 3},
		{policy{AtMostOnce: true}, 1},
		{policy{AtMostOnce: true, Attempts: 3}, 1},
	} {
		if got := tt.p.attempts(); got != tt.want {
			t.Errorf("%+v: %d attempts, want %d", tt.p, got, tt.want)
		}
	}
}

// What was read of policies is remembered, but no more of them than there is room for, however many there are; and each is read as it is
// written. What can't be read is the default, and is not remembered.
func TestPolicies_Of(t *testing.T) {
	var c policies
	if p, err := c.of(nil); err != nil || *p != (policy{}) || len(c.read) != 0 {
		t.Errorf("%+v, %v, %d remembered; want the default, and none", p, err, len(c.read))
	}
	for _, bad := range []string{"{", `{"attempts":"x"}`, `{"overlap":"sometimes"}`} {
		if p, err := c.of([]byte(bad)); err == nil || *p != (policy{}) || len(c.read) != 0 {
			t.Errorf("%s: %+v, %v, %d remembered; want an error, the default, and none", bad, p, err, len(c.read))
		}
	}
	most := 0
	for i := range 3 * policiesMost {
		text := fmt.Appendf(nil, `{"attempts":%d}`, i+1)
		p, err := c.of(text)
		if err != nil || *p != (policy{Attempts: i + 1}) {
			t.Fatalf("%s: %+v, %v", text, p, err)
		}
		if again, err := c.of(text); again != p || err != nil {
			t.Fatalf("%s is read again: %v", text, err)
		}
		most = max(most, len(c.read))
	}
	if most != policiesMost {
		t.Errorf("%d are remembered, want %d at most", most, policiesMost)
	}
}
