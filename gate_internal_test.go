package duly

import (
	"math"
	"math/rand/v2"
	"strconv"
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

// waiter is an entry of a task that is due at an instant.
func waiter(due store.Instant, priority int32) *entry {
	return &entry{task: &store.Task{
		Key: store.Key{Name: strconv.FormatInt(int64(due), 10)}, Generation: int64(due), Spec: store.Spec{Priority: priority}, Next: store.Occurrence{For: due, Due: due},
	}}
}

// waits has an entry in the window wait at a gate.
func (r *run) waits(e *entry, g *gate, stays bool) {
	r.window.entries[e.task.Key] = e
	r.gateLocked(e, g, stays)
}

// TestCrowded_Gate: as many wait at a gate in memory as may, and where many wait at all gates together it is one at each.
func TestCrowded_Gate(t *testing.T) {
	for _, tt := range []struct {
		here, all int
		want      bool
	}{
		{0, 0, false},
		{0, windowMost, false},
		{1, 1, false},
		{1, windowMost / 2, false},
		{1, windowMost/2 + 1, true},
		{gateMost - 1, gateMost - 1, false},
		{gateMost - 1, windowMost / 2, false},
		{gateMost - 1, windowMost/2 + 1, true},
		{gateMost, gateMost, true},
		{gateMost + 1, gateMost + 1, true},
	} {
		r, g := &run{}, &gate{waiting: byGate()}
		r.window.gated = tt.all
		for i := range tt.here {
			g.waiting.put(waiter(store.Instant(i+1), 0))
		}
		if got := r.crowdedLocked(g); got != tt.want {
			t.Errorf("%d wait here, and %d in all: %v, want %v", tt.here, tt.all, got, tt.want)
		}
	}
}

// TestGate_Last: the last of those that wait is the one that starts last, but for those that are in memory for something else.
func TestGate_Last(t *testing.T) {
	stays := []func(e *entry){func(e *entry) { e.live = 1 }, func(e *entry) { e.timed = 1 }, func(e *entry) { e.leased = 1 }, func(e *entry) { e.early = 1 }, func(e *entry) { e.queued = 1 }}
	for seed := range uint64(50) {
		x := rand.New(rand.NewPCG(seed, 1))
		g := &gate{waiting: byGate()}
		var want *entry
		for range x.IntN(30) {
			e := waiter(store.Instant(1+x.IntN(1000)), int32(x.IntN(3)))
			if i := x.IntN(2 * len(stays)); i < len(stays) {
				stays[i](e)
			} else if want == nil || before(want, e) {
				want = e
			}
			g.waiting.put(e)
		}
		if got := g.last(); got != want {
			t.Fatalf("seed %d: the last of %d is %+v, want %+v", seed, g.waiting.len(), got, want)
		}
	}
}

// TestGate_Memory: in whichever order they come, those wait in memory who are first, and where the others stand is remembered.
func TestGate_Memory(t *testing.T) {
	for _, tt := range []struct {
		name         string
		n, elsewhere int // how many wait at other gates
		most         int
	}{
		{"few", gateMost, 0, gateMost},
		{"one more", gateMost + 1, 0, gateMost},
		{"many", 3 * gateMost, 0, gateMost},
		{"many elsewhere", 20, windowMost/2 + 1, 1},
		{"as many elsewhere as do not matter", 20, windowMost/2 - 20, 20},
	} {
		for seed := range uint64(20) {
			r := (&core{}).newRun(t.Context())
			g := &gate{}
			r.window.gated = tt.elsewhere
			for _, i := range rand.New(rand.NewPCG(seed, 2)).Perm(tt.n) {
				r.waits(waiter(store.Instant(i+1), 0), g, false)
			}
			low := store.Cursor{}
			if tt.n > tt.most {
				low.At = store.Instant(tt.most + 1)
			}
			if g.waiting.len() != tt.most || r.window.gated != tt.elsewhere+tt.most || len(r.window.entries) != tt.most || g.low != low {
				t.Errorf("%s: %d of %d wait in memory, %d are counted, and the window has %d; the first of the others is at %d; want %d, and %d",
					tt.name, g.waiting.len(), tt.n, r.window.gated-tt.elsewhere, len(r.window.entries), g.low.At, tt.most, low.At)
			}
			for i := range tt.most {
				e := g.waiting.pop()
				if e.task.Next.Due != store.Instant(i+1) || e.gate != g || r.window.entries[e.task.Key] != e {
					t.Fatalf("%s: %d. is %s, which waits here: %v, and is in the window: %v", tt.name, i+1, e.task.Name, e.gate == g, r.window.entries[e.task.Key] == e)
				}
			}
			r.resign()
			r.hangUp()
		}
	}
}

// TestGate_Stays: what is in memory all the same waits there, however many do, and wherever it stands; so does what matters more than who
// has to be read. It takes the place of one that need not.
func TestGate_Stays(t *testing.T) {
	const n = gateMost
	for _, tt := range []struct {
		name    string
		e       *entry
		live    int
		stays   bool
		near    bool // it is in memory
		dropped bool // the last is not any more
	}{
		{"later", waiter(n+50, 0), 0, false, false, false},
		{"later, beside an attempt", waiter(n+50, 0), 1, false, true, false},
		{"later, and has to stay", waiter(n+50, 0), 0, true, true, false},
		{"later, and matters", waiter(n+50, 1), 0, false, true, true},
		{"sooner", waiter(-5, 0), 0, false, true, true},
		{"sooner, and does not matter", waiter(-5, -1), 0, false, false, false},
		{"sooner, beside an attempt", waiter(-5, 0), 1, false, true, false},
	} {
		r := (&core{}).newRun(t.Context())
		g := &gate{}
		for i := range n {
			r.waits(waiter(store.Instant(i+1), 0), g, false)
		}
		last := g.last()
		tt.e.live = tt.live
		r.waits(tt.e, g, tt.stays)
		want := n
		if tt.near && !tt.dropped {
			want++
		}
		near, there := tt.e.gate == g && r.window.entries[tt.e.task.Key] == tt.e, last.gate == g && r.window.entries[last.task.Key] == last
		if near != tt.near || there == tt.dropped || g.waiting.len() != want || r.window.gated != want {
			t.Errorf("%s: in memory: %v, and the last: %v; %d wait and %d are counted; want %v, %v, and %d",
				tt.name, near, there, g.waiting.len(), r.window.gated, tt.near, !tt.dropped, want)
		}
		var low store.Instant
		switch {
		case !tt.near:
			low = tt.e.task.Next.Due
		case tt.dropped:
			low = n
		}
		if g.low.At != low {
			t.Errorf("%s: the first that has to be read is at %d, want %d", tt.name, g.low.At, low)
		}
		r.resign()
		r.hangUp()
	}
}

// TestGate_BehindOthers: who comes after others that have to be read has to be, too, while anybody waits in memory who will have them read.
func TestGate_BehindOthers(t *testing.T) {
	for _, tt := range []struct {
		name       string
		waits, due store.Instant // of the one who waits in memory, 0 is none; and of who comes
		priority   int32
		near       bool
		low        store.Instant
	}{
		{"nobody waits in memory", 0, 60, 0, true, 50},
		{"before them", 10, 40, 0, true, 50},
		{"after them", 10, 60, 0, false, 50},
		{"with the first of them", 10, 50, 0, false, 50}, // of those of one instant nobody knows which has to be read
		{"after them, and matters", 10, 60, 1, true, 50},
		{"before them all", 100, 40, 0, true, 50},
	} {
		r := (&core{}).newRun(t.Context())
		g := &gate{low: store.Cursor{At: 50}}
		if tt.waits != 0 {
			r.gateLocked(&entry{task: waiter(tt.waits, 0).task, live: 1}, g, false)
		}
		e := waiter(tt.due, tt.priority)
		if tt.waits != 0 { // who need not be in memory either
			r.gateLocked(waiter(tt.waits+1, 0), g, true)
		}
		r.waits(e, g, false)
		if near := e.gate == g; near != tt.near || g.low.At != tt.low {
			t.Errorf("%s: in memory: %v, and others are to be read from %d; want %v, and %d", tt.name, near, g.low.At, tt.near, tt.low)
		}
		r.resign()
		r.hangUp()
	}
}

// TestGate_First: those who wait in memory come first if one of them stands before all that have to be read, or came when it did and need not
// stay.
func TestGate_First(t *testing.T) {
	at := func(due store.Instant, leads bool, live int) *entry {
		e := waiter(due, 0)
		e.leads, e.live = leads, live
		return e
	}
	for _, tt := range []struct {
		name  string
		low   store.Instant
		waits []*entry
		want  bool
	}{
		{"nobody", 50, nil, false},
		{"nobody, and none to read", 0, nil, false},
		{"none to read", 0, []*entry{at(60, false, 0)}, true},
		{"one before", 50, []*entry{at(60, false, 0), at(49, false, 0)}, true},
		{"one before, that stays", 50, []*entry{at(60, false, 0), at(49, false, 1)}, true},
		{"all after", 50, []*entry{at(60, false, 0), at(51, false, 0)}, false},
		{"all after, and one came before they were put away", 50, []*entry{at(60, true, 0), at(51, false, 0)}, true},
		{"all after, and that one stays", 50, []*entry{at(60, true, 1), at(51, false, 0)}, false},
	} {
		g := &gate{waiting: byGate(), low: store.Cursor{At: tt.low}}
		for _, e := range tt.waits {
			g.waiting.put(e)
		}
		if got := g.first(); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestGate_Admits: as many as are let try again have a turn, in order, and those who are not in memory are to be read.
func TestGate_Admits(t *testing.T) {
	for _, tt := range []struct {
		waits, n, admitted int
		low                store.Instant
	}{{3, 0, 0, 0}, {3, 1, 1, 0}, {3, 2, 2, 7}, {3, 9, 3, 0}, {0, 5, 0, 9}, {0, 1, 0, 0}} {
		r := (&core{}).newRun(t.Context())
		g := &gate{}
		for i := range tt.waits {
			r.waits(waiter(store.Instant(i+1), 0), g, false)
		}
		g.low.At = tt.low
		r.admitLocked(g, tt.n)
		if left := tt.waits - tt.admitted; g.waiting.len() != left || r.window.gated != left || r.window.ready.len() != tt.admitted {
			t.Errorf("%+v: %d wait, %d are counted, %d are to be looked at", tt, g.waiting.len(), r.window.gated, r.window.ready.len())
		}
		for i := range tt.admitted {
			if e := r.window.ready.pop(); e.task.Next.Due != store.Instant(i+1) || e.turn != g || e.gate != nil {
				t.Errorf("%+v: %d. is %s with the turn %p and at the gate %p", tt, i+1, e.task.Name, e.turn, e.gate)
			}
		}
		if _, reads := r.behind[g]; reads != (tt.low != 0) {
			t.Errorf("%+v: others are to be read: %v", tt, reads)
		}
		r.resign()
		r.hangUp()
	}
}

// TestYield: a turn that was not used goes to the next who waits, but for bytes: who has them is looked at when it is picked.
func TestYield(t *testing.T) {
	r := (&core{}).newRun(t.Context())
	defer r.hangUp()
	defer r.resign()
	g := &gate{}
	for i := range 2 {
		r.waits(waiter(store.Instant(i+1), 0), g, false)
		r.waits(waiter(store.Instant(i+5), 0), &r.bytes, false)
	}
	r.yieldLocked(nil)
	r.yieldLocked(&r.bytes)
	if n := r.window.ready.len(); n != 0 || r.bytes.waiting.len() != 2 {
		t.Errorf("%d have a turn, and %d wait for bytes; want none, and 2", n, r.bytes.waiting.len())
	}
	r.yieldLocked(g)
	if e := r.window.ready.top(); e == nil || e.turn != g || e.task.Next.Due != 1 || r.window.ready.len() != 1 {
		t.Errorf("the turn has %+v, want the first who waits", e)
	}
}

// TestTidy: the gate of a key is kept while somebody has passed it or waits for it, in memory or not, or while it is read for it.
func TestTidy(t *testing.T) {
	for _, tt := range []struct {
		what string
		g    gate
		want bool
	}{
		{"nobody", gate{limit: 1}, false},
		{"one has passed", gate{limit: 1, running: 1}, true},
		{"one waits who has to be read", gate{limit: 1, low: store.Cursor{At: 1}}, true},
		{"it is read", gate{limit: 1, reading: true}, true},
		{"one waits", gate{limit: 1, waiting: byGate()}, true},
	} {
		if tt.what == "one waits" {
			tt.g.waiting.put(waiter(1, 0))
		}
		r := &run{keys: map[string]*gate{"x": &tt.g}}
		r.tidyLocked("y")
		r.tidyLocked("x")
		if kept := r.keys["x"] != nil; kept != tt.want {
			t.Errorf("%s: it is kept: %v", tt.what, kept)
		}
	}
}
