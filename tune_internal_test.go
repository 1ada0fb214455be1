package duly

import (
	"context"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
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

// looked is a store whose next looks at its clock take so long, and fail if that is less than nothing; Clock.Mono says which it is.
type looked struct {
	*memory.Store

	takes []time.Duration
	looks int
}

func (s *looked) Clock(context.Context) (store.Clock, error) {
	d := s.takes[s.looks]
	s.looks++
	if d < 0 {
		time.Sleep(-d)
		return store.Clock{}, store.ErrBroken
	}
	time.Sleep(d)
	return store.Clock{Now: store.At(time.Now()), Mono: store.Instant(s.looks)}, nil
}

// The store's clocks are looked at until a look takes no longer than a millisecond, four times at most; what is used is the look that took the
// least, the first of them. Where one fails that is what was seen before it; the first that does is an error.
func TestSight_OfSeveralLooks(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct {
		what  string
		takes []time.Duration
		used  int // which of them, from 1
		looks int
	}{
		{"a millisecond", []time.Duration{ms}, 1, 1},
		{"and a bit", []time.Duration{ms + 1, ms}, 2, 2},
		{"none is quick", []time.Duration{5 * ms, 3 * ms, 4 * ms, 3*ms + 1}, 2, 4},
		{"the last is the best", []time.Duration{5 * ms, 4 * ms, 3 * ms, 2 * ms}, 4, 4},
		{"two are as quick", []time.Duration{5 * ms, 3 * ms, 3 * ms, 4 * ms}, 2, 4},
		{"the second fails", []time.Duration{5 * ms, -1}, 1, 2},
		{"and the third", []time.Duration{5 * ms, 3 * ms, -9 * ms}, 2, 3},
		{"the first fails", []time.Duration{-9 * ms}, 0, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			st := &looked{Store: memory.New(memory.Options{})}
			s, err := New(Options{Store: st})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			st.takes = tt.takes
			began := s.core.eng.Elapsed()
			got, err := s.core.sight(t.Context())
			if st.looks != tt.looks || (err != nil) != (tt.used == 0) {
				t.Errorf("%s: %d looks, %v; want %d", tt.what, st.looks, err, tt.looks)
			}
			want := sight{}
			if tt.used > 0 {
				for _, d := range tt.takes[:tt.used-1] {
					began += d
				}
				want.clk = store.Clock{Now: got.clk.Now, Mono: store.Instant(tt.used)}
				want.took, want.elapsed = tt.takes[tt.used-1], began+tt.takes[tt.used-1]
				want.after = s.core.clk.Read().Wall/1000 - int64((s.core.eng.Elapsed()-want.elapsed)/time.Microsecond)
				want.before = want.after - int64(want.took/time.Microsecond)
			}
			if got.before, got.after = got.before-want.before, got.after-want.after; got.before/2 != 0 || got.after/2 != 0 { // they are rounded
				t.Errorf("%s: our clock was %d and %d µs later than that", tt.what, got.before, got.after)
			}
			if got.before, got.after, want.before, want.after = 0, 0, 0, 0; got != want {
				t.Errorf("%s: %+v, want %+v", tt.what, got, want)
			}
			if err := s.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if err := st.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A look at the clock that fails because nothing starts any more is no failure of the store; any other is, and is made up for.
func TestRun_Relook(t *testing.T) {
	for _, tt := range []struct {
		what                    string
		resigned, fails         bool
		errors                  uint64
		untuned, failing, woken bool
	}{
		{"it does not fail", false, false, 0, false, false, true},
		{"it fails", false, true, 1, true, true, true},
		{"it fails as nothing starts any more", true, true, 0, false, false, true},
	} {
		inRun(t, func(t *testing.T, r *run, _ *surveyed) {
			st := &looked{Store: memory.New(memory.Options{}), takes: []time.Duration{0}}
			if tt.fails {
				st.takes[0] = -1
			}
			r.c.store = st
			r.looking = true
			if tt.resigned {
				r.resign()
			}
			r.relook()
			got := fmt.Sprint(r.c.stats.storeErrors.Load(), r.untuned, r.failing == "read the clock", len(r.wake) > 0, r.looking, r.gone)
			if want := fmt.Sprint(tt.errors, tt.untuned, tt.failing, tt.woken, false, nil); got != want {
				t.Errorf("%s: %s, want %s", tt.what, got, want)
			}
			if err := st.Close(); err != nil {
				t.Error(err)
			}
		})
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
