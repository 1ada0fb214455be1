package duly

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
)

// TestLight: a payload of up to a kilobyte is kept in memory with its task, and a larger one is not: the claim brings it.
func TestLight(t *testing.T) {
	for _, size := range []int{0, 1, payloadMost, payloadMost + 1, 1 << 20} {
		x := &store.Task{Key: store.Key{Name: "x"}, Spec: store.Spec{Payload: make([]byte, size)}, Generation: 7}
		n := light(x)
		want := size
		if size > payloadMost {
			want = 0
		}
		if len(n.Payload) != want || len(x.Payload) != size || n.Name != "x" || n.Generation != 7 {
			t.Errorf("of %d bytes %d are kept of %s, and %d are left in what was read; want %d", size, len(n.Payload), n.Name, len(x.Payload), want)
		}
	}
}

// TestPull: the window ends before what it is pulled to, and never after what it was pulled to before; a scan that is under way finds out the
// earliest that it was pulled to meanwhile, and nothing of before it.
func TestPull(t *testing.T) {
	at := func(i store.Instant, name string) store.Cursor {
		return store.Cursor{At: i, Key: store.Key{Name: name}}
	}
	var w window
	w.init()
	if w.after != at(store.Over, "") || w.room() != windowMost {
		t.Fatalf("a window that is empty ends at %v and has room for %d", w.after, w.room())
	}
	w.after = at(50, "b")
	for _, tt := range []struct {
		scan          bool // one begins before
		to            store.Instant
		after, pulled store.Cursor
	}{
		{false, 60, at(50, "b"), store.Cursor{}},
		{false, 51, at(50, "b"), store.Cursor{}},
		{false, 50, at(50, ""), store.Cursor{}}, // there may be more at that instant, before b
		{false, 49, at(49, ""), store.Cursor{}},
		{true, 60, at(49, ""), at(60, "")}, // the scan may reach as far
		{false, 70, at(49, ""), at(60, "")},
		{false, 55, at(49, ""), at(55, "")},
		{false, 20, at(20, ""), at(20, "")},
		{false, 30, at(20, ""), at(20, "")},
		{true, 40, at(20, ""), at(40, "")},
		{false, store.Over, at(store.Over, ""), at(store.Over, "")},
	} {
		if tt.scan {
			w.begin()
			if len(w.touched) != 0 || w.pulled != (store.Cursor{}) {
				t.Errorf("a scan begins with %v touched, and pulled to %v", w.touched, w.pulled)
			}
		}
		w.touch(store.Key{Name: "x"})
		if w.pull(tt.to); w.after != tt.after || w.pulled != tt.pulled || len(w.touched) == 1 != w.scanning {
			t.Errorf("pulled to %d it ends at %+v, and the scan's is %+v with %v touched; want %+v and %+v", tt.to, w.after, w.pulled, w.touched, tt.after, tt.pulled)
		}
	}
	if w.end(); w.scanning || w.touched != nil {
		t.Error("the scan has not ended")
	}
	w.touch(store.Key{Name: "x"})
	if w.touched != nil {
		t.Errorf("%v touched while nothing is scanned", w.touched)
	}
	if a, b := at(1, "b"), at(1, "a"); !behind(a, b) || behind(b, a) || behind(a, a) || behind(at(1, "z"), at(2, "a")) || !behind(at(2, "a"), at(1, "z")) {
		t.Error("what is behind is not by instant, then key")
	}
}

// TestRated: a token is waited for where somebody waits at a kind that has a rate, and room.
func TestRated(t *testing.T) {
	for _, tt := range []struct {
		rate                    float64
		waiting, limit, running int
		want                    bool
	}{
		{0, 1, 0, 0, false}, {0.5, 1, 0, 0, true}, {2, 2, 0, 9, true}, {2, 0, 0, 0, false}, {2, 1, 3, 2, true}, {2, 1, 3, 3, false}, {0, 1, 3, 2, false}, {0, 0, 3, 0, false},
	} {
		k := &kind{bucket: newBucket(tt.rate, 1), gate: gate{limit: tt.limit, running: tt.running, waiting: byGate()}}
		for range tt.waiting {
			k.gate.waiting.put(&entry{task: &store.Task{}})
		}
		if got := k.rated(); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
		if tt.waiting > 0 { // and nobody in memory
			k.gate.waiting, k.gate.low = byGate(), store.Cursor{At: 1}
			if got := k.rated(); got != tt.want {
				t.Errorf("%+v, and who waits is not in memory: %v", tt, got)
			}
		}
	}
}

// TestStrange: a hint is of something that somebody else wrote where nothing is being written by us, nothing is to be looked at, and what is
// waited for is later.
func TestStrange(t *testing.T) {
	r := (&core{writing: map[store.Key]*pending{}}).newRun(t.Context())
	defer r.hangUp()
	defer r.resign()
	e := &entry{task: &store.Task{}, wait: 100}
	w := &r.window
	for _, tt := range []struct {
		what string
		with *pile
		wait store.Instant
		want bool
	}{
		{"nothing", nil, 0, true},
		{"later", &w.waiting, 101, true},
		{"then", &w.waiting, 100, false},
		{"before", &w.waiting, 99, false},
		{"ready", &w.ready, 101, false},
		{"first", &w.first, 101, false},
	} {
		if e.wait = tt.wait; tt.with != nil {
			tt.with.put(e)
		}
		if got := r.strangeLocked(100); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.what, got, tt.want)
		}
		r.c.writing[store.Key{}] = &pending{}
		if r.strangeLocked(100) {
			t.Errorf("%s, while something is being written: it is taken for somebody else's", tt.what)
		}
		delete(r.c.writing, store.Key{})
		if tt.with != nil {
			tt.with.drop(e)
		}
	}
}

// TestSurvey: after a crash what may be to blame is a run that was under way, whose process is known to be gone, and that was never lost before.
func TestSurvey(t *testing.T) {
	for _, tt := range []struct {
		run  store.Run
		want bool
	}{
		{store.Run{State: store.Running, Lease: store.Over}, true},
		{store.Run{State: store.Running, Lease: store.Over, Lost: 1}, false},
		{store.Run{State: store.Running, Lease: 1}, false},
		{store.Run{State: store.Pending, Lease: store.Over}, false},
		{store.Run{State: store.Pending, Lease: store.Over, Lost: 1}, false},
	} {
		r := &run{}
		if r.surveyLocked(&store.Task{Runs: []store.Run{{State: store.Pending}, tt.run}}); r.crash.fresh != tt.want {
			t.Errorf("%+v: %v, want %v", tt.run, r.crash.fresh, tt.want)
		}
		r.crash.fresh = true
		if r.surveyLocked(&store.Task{}); !r.crash.fresh {
			t.Error("what was found is forgotten")
		}
	}
}

// TestSurvey_GainedMeanwhile: a page that was asked for before shards were gained does not show all that ran in them.
func TestSurvey_GainedMeanwhile(t *testing.T) {
	for _, tt := range []struct {
		more bool
		pull store.Instant // while the page was read; 0 is not
		want bool
	}{{false, 0, true}, {true, 0, false}, {false, 7, true}, {false, store.Over, false}} {
		r := (&core{}).newRun(t.Context())
		r.c.tuning.Store(&tuning{})
		r.window.begin()
		if tt.pull != 0 {
			r.window.pull(tt.pull)
		}
		r.moveLocked(&store.DuePage{More: tt.more}, 10)
		if got := r.crash.surveyed; got != tt.want {
			t.Errorf("more: %v, pulled to %d: all was seen: %v, want %v", tt.more, tt.pull, got, tt.want)
		}
		r.resign()
		r.hangUp()
	}
}

// TestScan_When: the loop reads on when the window's end is near and it has room, and sleeps until that is so, no longer and no shorter.
func TestScan_When(t *testing.T) {
	const now, soon = 1_000_000_000, int64(ahead/2) / 1000
	for _, room := range []int{0, 1, windowMost / 4, windowMost/4 + 1, windowMost} {
		for _, end := range []store.Instant{now, now + store.Instant(soon) - 1, now + store.Instant(soon), now + store.Instant(soon) + 1, now + 3*store.Instant(soon), store.Never} {
			r := (&core{}).newRun(t.Context())
			r.window.pinned, r.window.after.At = room-windowMost, end
			var l look
			r.scanLocked(&l, now)
			next := r.nextLocked()
			if reads := l.scan != nil; reads != (next <= now) {
				t.Errorf("with room for %d, and an end in %dus: it reads: %v, and sleeps for %dus", room, end-now, reads, next-now)
			}
			if next > now && next != store.Never { // what it sleeps for
				if r.scanLocked(&l, next-1); l.scan != nil {
					t.Errorf("with room for %d, and an end in %dus, it would have read before", room, end-now)
				}
				if r.scanLocked(&l, next); l.scan == nil {
					t.Errorf("with room for %d, and an end in %dus, it wakes for nothing", room, end-now)
				}
			}
			r.resign()
			r.hangUp()
		}
	}
}

// TestSet_NoRoom: what is put when the window is full, or is due long after, is not in memory: the window ends before it.
func TestSet_NoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New()
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			room int
			in   time.Duration
			near bool
		}{{1, ahead, true}, {0, ahead, false}, {0, 0, false}, {1, ahead + time.Microsecond, false}} {
			r := s.core.newRun(t.Context())
			w := &r.window
			w.after.At, w.pinned = store.Never, tt.room-windowMost
			at := s.core.now().Add(tt.in)
			task := &store.Task{Key: store.Key{Name: "a"}, Spec: store.Spec{Kind: "k"}, Generation: 1, Next: store.Occurrence{For: at, Due: at}}
			r.setLocked(task.Key, task)
			end := store.Never
			if !tt.near {
				end = at
			}
			if near := w.entries[task.Key] != nil; near != tt.near || w.after.At != end {
				t.Errorf("with room for %d, due in %v: in memory: %v, and the window ends at %v; want %v and %v", tt.room, tt.in, near, w.after.At, tt.near, end)
			}
			r.resign()
			r.hangUp()
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestWants: a read for a gate takes the tasks that have to pass it, and no others.
func TestWants(t *testing.T) {
	narrow, wide := &kind{gate: gate{limit: 1}}, &kind{}
	one, two := &gate{}, &gate{}
	r := &run{c: &core{kinds: map[string]*kind{"narrow": narrow, "wide": wide}}, keys: map[string]*gate{"one": one, "two": two}}
	gates := []*gate{&r.suspects, &narrow.gate, one, two}
	for _, tt := range []struct {
		kind, key string
		runs      []store.Run
		want      [4]bool
	}{
		{"wide", "", nil, [4]bool{}},
		{"?", "", nil, [4]bool{}},
		{"narrow", "", nil, [4]bool{false, true}},
		{"narrow", "two", nil, [4]bool{false, true, false, true}},
		{"?", "one", nil, [4]bool{false, false, true}},
		{"wide", "three", nil, [4]bool{}},
		{"wide", "", []store.Run{{State: store.Pending}, {State: store.Pending, Lost: 1}}, [4]bool{true}},
		{"narrow", "one", []store.Run{{State: store.Pending, Lost: 2}}, [4]bool{true, true, true}},
		{"wide", "", []store.Run{{State: store.Pending}, {State: store.Running, Lost: 1}}, [4]bool{}},
	} {
		for i, g := range gates {
			if got := r.wantsLocked(&store.Task{Spec: store.Spec{Kind: tt.kind, LimitKey: tt.key}, Runs: tt.runs}, g); got != tt.want[i] {
				t.Errorf("%s, key %q, runs %v: gate %d: %v, want %v", tt.kind, tt.key, tt.runs, i, got, tt.want[i])
			}
		}
	}
}

// TestHeld: what runs holds no more of large payloads than it may, and one that is larger than that runs alone; small ones go on beside.
func TestHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New()
		if err != nil {
			t.Fatal(err)
		}
		s.core.heldMost = 10_000
		var mu sync.Mutex
		held, most, alone, small, begun := 0, 0, 0, time.Duration(0), time.Now()
		k := Handle(s, "k", func(_ context.Context, a *Attempt[[]byte]) error {
			n := len(a.Raw)
			mu.Lock()
			if n > payloadMost {
				held += n
			} else {
				small = max(small, time.Since(begun))
			}
			if n > 10_000 {
				alone = held
			} else {
				most = max(most, held)
			}
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			if n > payloadMost {
				held -= n
			}
			mu.Unlock()
			return nil
		})
		for i, size := range []int{4_000, 4_000, 4_000, 20_000, 100, 100, 100, 9_000} {
			if _, err := k.Put(t.Context(), strconv.Itoa(i), make([]byte, size), schedule.After(time.Duration(i))); err != nil {
				t.Fatal(err)
			}
		}
		ended := make(chan error)
		go func() { ended <- s.Run(t.Context()) }()
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		if w, err := s.WhyNot(t.Context(), "3"); err != nil || w.Code != WhyWorkers {
			t.Errorf("WhyNot of what is too large beside others: %v, %v; want %s", w, err, WhyWorkers)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		st, err := s.Stats(t.Context())
		if err != nil || st.Kinds["k"].Succeeded != 8 || most != 9_000 || alone != 20_000 {
			t.Errorf("%d have run, up to %d bytes at a time, and the largest beside others: %d; want 8, 9000, 20000: %v", st.Kinds["k"].Succeeded, most, alone, err)
		}
		if small > time.Millisecond {
			t.Errorf("small ones have waited for up to %v behind what is too large", small)
		}
		if err := errors.Join(s.Invariants(), s.Close(t.Context()), <-ended); err != nil {
			t.Error(err)
		}
	})
}
