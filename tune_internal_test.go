package duly

import (
	"math"
	"testing"
	"time"

	"github.com/dulyhq/duly/store"
)

// What a look at the store's clocks shows. Of a store in this process it is by how much its wall clock differs from ours: not at all, where
// the difference is no more than the time between the two readings, and a bit; of one elsewhere, the earliest that it can be.
func TestSight_Shows(t *testing.T) {
	for _, tt := range []struct {
		what string
		s    sight
		far  bool
		want tuning
	}{
		{"the same clock", sight{clk: store.Clock{Now: 5000, Mono: 70}, before: 5000, after: 5000, elapsed: 40 * time.Microsecond}, false, tuning{mono: 30}},
		{"read long before", sight{clk: store.Clock{Now: 5000, Mono: 70}, before: 4999, after: 90_000, elapsed: 40 * time.Microsecond}, false, tuning{mono: 30}},
		{"ahead by less than a bit", sight{clk: store.Clock{Now: 5999}, before: 5000, after: 5000}, false, tuning{}},
		{"ahead by a bit", sight{clk: store.Clock{Now: 6000}, before: 5000, after: 5000}, false, tuning{ahead: 1000}},
		{"behind by less than a bit", sight{clk: store.Clock{Now: 4001}, before: 5000, after: 5000}, false, tuning{}},
		{"behind by a bit", sight{clk: store.Clock{Now: 4000}, before: 5000, after: 5010}, false, tuning{ahead: -1010}},
		{"elsewhere", sight{clk: store.Clock{Now: 5000, Mono: 70}, after: 9000, elapsed: 40*time.Microsecond + 1}, true, tuning{zero: 4959, mono: 30}},
		{"elsewhere, to the microsecond", sight{clk: store.Clock{Now: 5000, Mono: 70}, elapsed: 40 * time.Microsecond}, true, tuning{zero: 4960, mono: 30}},
		{"that takes long, and is uncertain", sight{clk: store.Clock{Uncertainty: 30}, took: time.Millisecond}, true, tuning{width: 1030 * time.Microsecond}},
	} {
		tt.want.seen, tt.want.far, tt.want.at, tt.want.looked = true, tt.far, tt.s.elapsed, tt.s.elapsed
		if got := *tt.s.shows(tt.far); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.what, got, tt.want)
		}
	}
}

// A look replaces the one before if it is no less exact than that is by now, or if both can't be right.
func TestTuning_Replaces(t *testing.T) {
	was := tuning{far: true, at: time.Second, looked: 9 * time.Second, width: 3 * time.Millisecond, zero: 50_000, mono: 70_000}
	const later = 11 * time.Second // by when it may be off by 2 ms more
	for _, tt := range []struct {
		what string
		now  tuning
		want bool
	}{
		{"as exact as it is by now", tuning{width: 5 * time.Millisecond, zero: 50_000, mono: 70_000}, true},
		{"less exact", tuning{width: 5*time.Millisecond + 1, zero: 50_000, mono: 70_000}, false},
		{"less exact, later by what either may be off", tuning{width: 6 * time.Millisecond, zero: 61_000, mono: 70_000}, false},
		{"less exact, and later than that", tuning{width: 6 * time.Millisecond, zero: 61_001, mono: 70_000}, true},
		{"less exact, and earlier than that", tuning{width: 6 * time.Millisecond, zero: 38_999, mono: 70_000}, true},
		{"less exact, and another machine's", tuning{width: 6 * time.Millisecond, zero: 50_000, mono: 58_999}, true},
	} {
		tt.now.at = later
		if got := tt.now.replaces(&was); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.what, got, tt.want)
		}
	}
	if !(&tuning{width: math.MaxInt64 / 2}).replaces(&tuning{}) {
		t.Error("nothing is better than the first look")
	}
	for now, want := range map[time.Duration]bool{19*time.Second - 1: false, 19 * time.Second: true} {
		if got := was.stale(now); got != want {
			t.Errorf("it is time to look again after %v: %v, want %v", now-was.looked, got, want)
		}
	}
	if near := (tuning{}); near.stale(time.Hour) {
		t.Error("the clock of a store in this process is looked at again")
	}
}

// A lease is given back if it is ours, runs, is one whose claim's answer was lost, and no attempt of ours has it.
func TestVain(t *testing.T) {
	c := &core{}
	c.opts.Owner = "me"
	r := c.newRun(t.Context())
	defer r.hangUp()
	defer r.resign()
	key := store.Key{Name: "a"}
	run := func(f func(*store.Run)) store.Run {
		rn := store.Run{Generation: 1, For: 10, State: store.Running, Owner: "me", Fence: 7}
		f(&rn)
		return rn
	}
	same := func(*store.Run) {}
	is := run(same)
	id := is.ID(key)
	for _, tt := range []struct {
		what   string
		runs   []store.Run
		unsure bool
		ours   int64 // the fence of an attempt of ours
		want   bool
	}{
		{"it is", []store.Run{is}, true, 0, true},
		{"beside another", []store.Run{run(func(rn *store.Run) { rn.For = 5 }), is}, true, 0, true},
		{"an attempt before it is ours", []store.Run{is}, true, 6, true},
		{"an attempt has it", []store.Run{is}, true, 7, false},
		{"nothing is unsure", []store.Run{is}, false, 0, false},
		{"another is unsure", []store.Run{run(func(rn *store.Run) { rn.For = 5 })}, true, 0, false},
		{"it waits", []store.Run{run(func(rn *store.Run) { rn.State = store.Pending })}, true, 0, false},
		{"it is another's", []store.Run{run(func(rn *store.Run) { rn.Owner = "you" })}, true, 0, false},
		{"no run", nil, true, 0, false},
	} {
		clear(r.unsure)
		clear(r.attempts)
		if tt.unsure {
			r.unsure[id] = 0
		}
		if tt.ours != 0 {
			r.attempts[attemptID{id, tt.ours}] = &attempt{}
		}
		if got := r.vainLocked(&store.Task{Key: key, Runs: tt.runs}); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.what, got, tt.want)
		}
	}
	r.unsure[id] = 10
	r.unsure.forget(10+time.Second, time.Second)
	if !r.unsure.has(id) {
		t.Error("it is forgotten after the time of a lease, and not later")
	}
	if r.unsure.forget(11+time.Second, time.Second); r.unsure.has(id) {
		t.Error("it is remembered for longer than a lease lasts")
	}
}
