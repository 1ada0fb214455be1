package duly

import (
	"math"
	"testing"
	"time"

	"github.com/dulyhq/duly/store"
)

// TestGatesOf: what is suspect and has a key passes the gate of suspects, then that of its key, then its kind's; none takes another's place.
func TestGatesOf(t *testing.T) {
	k := &kind{}
	k.gate.limit = 3
	r := &run{c: &core{kinds: map[string]*kind{"limited": k, "free": {}}}, keys: map[string]*gate{}}
	for _, tt := range []struct {
		what, kind, key string
		suspect         bool
	}{
		{"nothing", "free", "", false},
		{"unknown", "?", "", false},
		{"a kind", "limited", "", false},
		{"a key", "free", "k", false},
		{"suspect", "free", "", true},
		{"suspect, with a key", "free", "k", true},
		{"all", "limited", "k", true},
	} {
		gs := r.gatesOf(&store.Task{Spec: store.Spec{Kind: tt.kind, LimitKey: tt.key}}, &policy{KeyLimit: 2}, tt.suspect)
		var want [3]*gate
		if tt.suspect {
			want[0] = &r.suspects
		}
		if tt.key != "" {
			if want[1] = r.keys[tt.key]; want[1] == nil || want[1].limit != 2 {
				t.Errorf("%s: the key's gate is %+v, want one with the limit 2", tt.what, want[1])
			}
		}
		if tt.kind == "limited" {
			want[2] = &k.gate
		}
		if gs != want {
			t.Errorf("%s: gates %v, want %v", tt.what, gs, want)
		}
	}
	gs := r.gatesOf(&store.Task{Spec: store.Spec{LimitKey: "unlimited"}}, &policy{}, false)
	if gs[1] == nil || gs[1].limit != 1 {
		t.Errorf("a key without a limit: %+v, want one at a time", gs[1])
	}
}

// TestPoke_Lease: the loop, asleep until something else, is woken for a lease of another process's that ends before.
func TestPoke_Lease(t *testing.T) {
	r := (&core{}).newRun(t.Context())
	defer r.hangUp()
	defer r.resign()
	r.armedAt, r.armedLease = 10, 20
	r.window.after.At = store.Never
	for _, tt := range []struct {
		lease store.Instant
		want  int
	}{{30, 0}, {20, 0}, {19, 1}} {
		e := &entry{lease: tt.lease}
		r.window.leases.put(e)
		r.pokeLocked()
		if len(r.wake) != tt.want {
			t.Errorf("a lease that ends at %d: woken %d times, want %d", tt.lease, len(r.wake), tt.want)
		}
		r.window.leases.drop(e)
	}
}

// TestBucket: a bucket begins full, holds burst tokens and no more, gets rate a second, and tells to the nanosecond when there is the next
// token, rounded up.
func TestBucket(t *testing.T) {
	const never = time.Duration(math.MaxInt64)
	type look struct {
		at   time.Duration
		do   string // before it is looked
		want time.Duration
	}
	const ms = time.Millisecond
	for _, tt := range []struct {
		name  string
		rate  float64
		burst int
		looks []look // want is 0 where there is a token
	}{
		{"no limit", 0, 0, []look{{0, "", 0}, {0, "take", 0}, {5, "take", 0}, {9, "give", 0}, {9, "take", 0}}},
		{"two a second, three at once", 2, 3, []look{
			{0, "", 0},
			{0, "take", 0},
			{0, "take", 0},
			{0, "take", 500 * ms}, // not even when nothing has passed
			{250 * ms, "", 500 * ms},
			{375 * ms, "", 500 * ms},
			{500 * ms, "", 0},
			{500 * ms, "take", 1000 * ms},
			{750 * ms, "give", 0},
			{750 * ms, "take", 1000 * ms}, // what was not used is there again
			{1250 * ms, "", 0},
			{1250 * ms, "take", 1500 * ms},
			{time.Hour, "", 0},
			{time.Hour, "take", 0},
			{time.Hour, "take", 0},
			{time.Hour, "take", time.Hour + 500*ms}, // three, however long the pause
			{2 * time.Hour, "give", 0},
			{2 * time.Hour, "take", 0},
			{2 * time.Hour, "take", 0},
			{2 * time.Hour, "take", 2*time.Hour + 500*ms}, // also if one is given back
		}},
		{"it begins full, whenever it is looked at first", 0.5, 1, []look{
			{10 * time.Second, "", 0}, {10 * time.Second, "take", 12 * time.Second}, {11 * time.Second, "", 12 * time.Second}, {12 * time.Second, "", 0},
		}},
		{"thirds", 3, 1, []look{
			{0, "take", 333_333_334}, {333_333_333, "", 0}, // what is missing is less than what is told apart
			{333_333_333, "take", 666_666_667}, {500 * ms, "", 666_666_667}, {666_666_664, "", 666_666_667}, {666_666_667, "", 0},
		}},
		{"one in a hundred years", 1 / (100 * 365 * 24 * 3600.), 1, []look{{0, "take", 100 * 365 * 24 * time.Hour}}},
		{"one in a million years", 1 / (1e6 * 365 * 24 * 3600), 1, []look{{0, "take", never}, {time.Hour, "", never}}},
		{"any number, once any time has passed", math.Inf(1), 3, []look{
			{0, "", 0}, {0, "take", 0}, {0, "take", 0}, {1, "take", 0}, {1, "take", 0}, {2, "take", 0},
		}},
	} {
		b := newBucket(tt.rate, tt.burst)
		for i, l := range tt.looks {
			switch l.do {
			case "take":
				b.take()
			case "give":
				b.give()
			}
			ok, at := b.has(l.at)
			if ok != (l.want == 0) || at != l.want {
				t.Errorf("%s: look %d, at %v: %v, %v; want %v", tt.name, i, l.at, ok, at, l.want)
			}
		}
	}
}
