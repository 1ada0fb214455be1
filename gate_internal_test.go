package duly

import (
	"testing"

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
