package duly

import (
	"container/list"
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

// TestBefore: what is due starts by priority, then by when it is due, then as it was accepted; of no two does each go before the other.
//
// contract: C3
func TestBefore(t *testing.T) {
	of := func(priority int32, due store.Instant, generation int64) *entry {
		return &entry{task: &store.Task{Spec: store.Spec{Priority: priority}, Generation: generation, Next: store.Occurrence{For: due, Due: due}}}
	}
	es := []*entry{of(7, 90, 9), of(1, 10, 5), of(1, 10, 6), of(1, 11, 1), of(0, 10, 1), of(0, 10, 2), of(-1, 1, 1)} // in order
	for i, a := range es {
		for j, b := range es {
			if got := before(a, b); got != (i < j) {
				t.Errorf("the %d. goes before the %d.: %v", i+1, j+1, got)
			}
		}
	}
}

// TestCrowded_Window: those that wait for workers crowd the window where more of them are ready than a page has, and little room is left.
func TestCrowded_Window(t *testing.T) {
	for _, tt := range []struct {
		room, ready int
		want        bool
	}{
		{windowMost, 0, false},
		{0, 0, false},
		{0, pageMost, false},
		{0, pageMost + 1, true},
		{windowMost / 4, pageMost + 1, true},
		{windowMost / 4, pageMost, false},
		{windowMost/4 + 1, pageMost + 1, false},
		{windowMost, pageMost + 1, false},
		{-5, 2 * pageMost, true},
	} {
		var w window
		w.init()
		w.pinned = tt.room - windowMost
		for i := range tt.ready {
			w.ready.put(waiter(store.Instant(i+1), 0))
		}
		if got := w.crowded(); got != tt.want {
			t.Errorf("with room for %d, and %d ready: %v, want %v", tt.room, tt.ready, got, tt.want)
		}
	}
}

// TestTakeOut: what is taken out is in no pile, is counted nowhere, and leaves its turn to the next; a gate that nobody is left for is dropped.
func TestTakeOut(t *testing.T) {
	for _, tt := range []struct {
		what  string
		put   func(r *run, e *entry, g *gate)
		keeps bool // the gate
	}{
		{"nowhere", func(*run, *entry, *gate) {}, true},
		{"in all piles", func(r *run, e *entry, _ *gate) {
			r.window.waiting.put(e)
			r.window.leases.put(e)
			r.window.first.put(e)
			r.window.ready.put(e)
		}, true},
		{"it takes no room", func(r *run, e *entry, _ *gate) { e.kept, r.window.pinned = true, r.window.pinned+1 }, true},
		{"the only one that waits", func(r *run, e *entry, g *gate) { r.waits(e, g, false) }, false},
		{"one that waits beside another", func(r *run, e *entry, g *gate) { r.waits(e, g, false); r.waits(waiter(9, 0), g, false) }, true},
		{"it has a turn, and nobody waits", func(r *run, e *entry, g *gate) {
			r.waits(e, g, false)
			r.admitLocked(g, 1)
		}, false},
		{"it has a turn, and another waits", func(r *run, e *entry, g *gate) {
			r.waits(e, g, false)
			r.waits(waiter(9, 0), g, false)
			r.admitLocked(g, 1)
		}, false}, // that has the turn then
		{"it has a turn, and two wait", func(r *run, e *entry, g *gate) {
			for _, x := range []*entry{e, waiter(8, 0), waiter(9, 0)} {
				r.waits(x, g, false)
			}
			r.admitLocked(g, 1)
		}, true},
		{"it has a turn of a gate that somebody has passed", func(r *run, e *entry, g *gate) {
			r.waits(e, g, false)
			r.admitLocked(g, 1)
			g.running = 1
		}, true},
	} {
		r := (&core{}).newRun(t.Context())
		g := &gate{key: "x", limit: 2}
		r.keys["x"] = g
		e := waiter(1, 0)
		tt.put(r, e, g)
		others, turn := g.waiting.len(), e.turn != nil
		if e.gate != nil {
			others--
		}
		r.takeOutLocked(e)
		if e.timed+e.leased+e.early+e.queued+e.gated != 0 || e.gate != nil || e.turn != nil || e.kept || r.window.pinned != 0 {
			t.Errorf("%s: it is left as %+v, and %d take no room", tt.what, e, r.window.pinned)
		}
		next := r.window.ready.top()
		if handed := next != nil && next.turn == g; handed != (turn && others > 0) {
			t.Errorf("%s: its turn is another's: %v", tt.what, handed)
		} else if handed {
			others--
		}
		if g.waiting.len() != others || r.window.gated != others {
			t.Errorf("%s: %d wait, and %d are counted, want %d", tt.what, g.waiting.len(), r.window.gated, others)
		}
		if kept := r.keys["x"] == g; kept != tt.keeps {
			t.Errorf("%s: the gate is kept: %v", tt.what, kept)
		}
		r.resign()
		r.hangUp()
	}
}

// TestPlan_ClockSetBack: what came due while a run was under way overlapped with it, but not by what a clock has told that was set back since. One
// that is elsewhere may go back by a little when it is known better.
//
// contract: F2
func TestPlan_ClockSetBack(t *testing.T) {
	for _, tt := range []struct {
		far  bool
		busy time.Duration // from now
		want stepKind
	}{
		{false, 0, stepEdit},
		{false, time.Microsecond, stepClaim},
		{false, time.Hour, stepClaim},
		{false, -500 * time.Millisecond, stepEdit},
		{false, -2 * time.Second, stepClaim}, // it was over when it came due
		{true, 0, stepEdit},
		{true, offMost, stepEdit},
		{true, offMost + time.Microsecond, stepClaim},
		{true, time.Hour, stepClaim},
	} {
		inRun(t, func(t *testing.T, r *run, _ *surveyed) {
			r.own = nil
			r.handles(t, "k")
			if tt.far {
				r.c.tuning.Store(&tuning{seen: true, far: true, zero: r.c.now() - store.Instant(r.c.eng.Elapsed()/time.Microsecond)})
			}
			now := r.c.now()
			due := now.Add(-time.Second)
			x := &store.Task{
				Key: store.Key{Name: "a"}, Spec: store.Spec{Kind: "k", Schedule: schedule.Every(10 * time.Minute).String(), Recurring: true}, Generation: 1,
				AcceptedAt: due.Add(-20 * time.Minute), Next: store.Occurrence{For: due, Due: due},
			}
			e := &entry{task: x, memo: memo{since: now.Add(-time.Hour), busy: now.Add(tt.busy)}}
			st := r.planLocked(e, now)
			if st.kind != tt.want || st.kind == stepEdit && st.edit.Reason != "overlap" {
				t.Errorf("far: %v, the last run has ended in %v: step %v, reason %q; want %v", tt.far, tt.busy, st.kind, st.edit.Reason, tt.want)
			}
			if kept := e.memo.busy == now.Add(tt.busy); kept != (tt.busy <= 0 || tt.far && tt.busy <= offMost) {
				t.Errorf("far: %v, the last run has ended in %v: that is remembered: %v", tt.far, tt.busy, kept)
			}
		})
	}
}

// TestReveal: an attempt whose renewals have ceased has lost its lease if its run is still there, and nothing that is known of another says it.
func TestReveal(t *testing.T) {
	for _, tt := range []struct {
		what string
		set  func(e *entry, a *attempt)
		want bool // it is asked to stop
	}{
		{"it has", func(*entry, *attempt) {}, true},
		{"nothing is unclear", func(e *entry, _ *attempt) { e.unclear = false }, false},
		{"its lease is renewed", func(_ *entry, a *attempt) { a.place = list.New().PushBack(a) }, false},
		{"it was known", func(_ *entry, a *attempt) { a.lost = true }, false},
		{"its run has ended", func(e *entry, _ *attempt) { e.task.Runs = nil }, false},
		{"another run of it", func(e *entry, _ *attempt) { e.task.Runs[0].For = 8 }, false},
		{"one of another task", func(_ *entry, a *attempt) { a.e = &entry{} }, false},
	} {
		e := &entry{task: &store.Task{Key: store.Key{Name: "a"}, Runs: []store.Run{{Generation: 3, For: 7, State: store.Running}}}, unclear: true}
		ctx, cancel := context.WithCancelCause(t.Context())
		a := &attempt{id: e.task.Runs[0].ID(e.task.Key), fence: 5, e: e, cancel: cancel}
		r := &run{attempts: map[attemptID]*attempt{{a.id, a.fence}: a}}
		tt.set(e, a)
		known := a.lost
		r.revealLocked(e)
		if got := errors.Is(context.Cause(ctx), ErrLeaseLost); got != tt.want || a.lost != (tt.want || known) || e.unclear {
			t.Errorf("%s: it is asked to stop: %v, want %v; its lease is lost: %v, and that is unclear: %v", tt.what, got, tt.want, a.lost, e.unclear)
		}
		cancel(nil)
	}
}
