package duly

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/dulyhq/duly/store"
)

// shareOf is what a node has: these shards, of every kind.
func shareOf(shards ...uint8) *store.Share {
	s := &store.Share{}
	for _, shard := range shards {
		s.Shards.Add(shard)
	}
	return s
}

// nameIn is a name in a shard, the n-th.
func nameIn(shard uint8, n int) store.Key {
	for i := 0; ; i++ {
		if k := (store.Key{Name: strconv.Itoa(i)}); k.Shard() == shard {
			if n == 0 {
				return k
			}
			n--
		}
	}
}

// keepLocked has the window keep tasks, whatever their time.
func (r *run) keepLocked(tasks ...*store.Task) {
	r.window.begin()
	for _, t := range tasks {
		r.setLocked(t.Key, t)
	}
	r.window.end()
}

// handles has a kind handled.
func (r *run) handles(t *testing.T, kind string) *kind {
	t.Helper()
	if err := r.c.handle(kind, func(context.Context, *AttemptInfo) error { return nil }, &kindSettings{}); err != nil {
		t.Fatal(err)
	}
	return r.c.kinds[kind]
}

// TestRun_Shards: how many shards are ours, and which hints concern us. What names no shard is said of all.
func TestRun_Shards(t *testing.T) {
	kinds := store.Share{Kinds: map[string]store.Shards{"k": shareOf(64).Shards}}
	for _, tt := range []struct {
		what     string
		own      *store.Share
		shards   int
		concerns string // y or n of hints about the shards 0, 63, 64, 255, about all four, and about none
	}{
		{"not divided", nil, 256, "yyyyyy"},
		{"none", shareOf(), 0, "nnnnny"},
		{"the first", shareOf(0), 1, "ynnnyy"},
		{"the last", shareOf(255), 1, "nnnyyy"},
		{"of several words", shareOf(1, 62, 63, 64, 200), 5, "nyynyy"},
		{"of one kind", &kinds, 0, "nnynyy"},
	} {
		inRun(t, func(t *testing.T, r *run, _ *surveyed) {
			r.own = nil
			if tt.own != nil {
				r.own, r.where = tt.own, tt.own.All()
			}
			if n := r.shardsLocked(); n != tt.shards {
				t.Errorf("%s: %d shards, want %d", tt.what, n, tt.shards)
			}
			var got []byte
			for _, shards := range [][]uint8{{0}, {63}, {64}, {255}, {0, 63, 64, 255}, {}} {
				if r.concernsLocked(&shareOf(shards...).Shards) {
					got = append(got, 'y')
				} else {
					got = append(got, 'n')
				}
			}
			if string(got) != tt.concerns {
				t.Errorf("%s: hints concern us: %s, want %s", tt.what, got, tt.concerns)
			}
			if none := tt.what == "none"; r.ownsNoneLocked() != none {
				t.Errorf("%s: nothing is ours is %t", tt.what, !none)
			}
		})
	}
}

// TestTenure: what is told counts in the order of its epochs, and from when it is told for the first time until Own has returned.
//
// contract: D1
func TestTenure(t *testing.T) {
	inRun(t, func(t *testing.T, r *run, _ *surveyed) {
		want := func(what string, shards ...uint8) {
			t.Helper()
			if r.own.Shards != shareOf(shards...).Shards || r.own.Kinds != nil {
				t.Errorf("%s: ours is %v, want the shards %v", what, r.own, shards)
			}
		}
		tell := func(n *tenure, epoch int64, shards ...uint8) {
			s := shareOf(shards...)
			s.Epoch = epoch
			n.owned(*s)
		}
		first, second := &tenure{r: r}, &tenure{r: r}
		want("at first")
		tell(first, -1, 1)
		want("told for the first time", 1)
		tell(first, 5, 1, 2)
		want("told again", 1, 2)
		tell(first, 4, 3)
		want("told out of order", 1, 2)
		tell(first, 5, 3)
		want("told what has changed since, in the same epoch", 3)
		first.end()
		want("when Own has returned")
		tell(first, 6, 1)
		want("told after that")
		tell(second, 1, 1)
		want("another tenure, whatever the first was told", 1)
	})
}

// TestRun_Own: what comes of it that other shards are ours. Gained ones are read from the beginning, and of a crash it is not known any more
// what else ran, unless a run that it has left is still to be rescued.
//
// contract: D1, D5
func TestRun_Own(t *testing.T) {
	kept := crash{surveyed: true, fresh: true, divided: true, wide: true}
	left := store.Run{For: 1, State: store.Running, Owner: "x", Lease: store.Over}
	with := func(f func(rn *store.Run)) *store.Run {
		rn := left
		f(&rn)
		return &rn
	}
	for _, tt := range []struct {
		what        string
		own         *store.Share // 1 and 2 before
		run         *store.Run   // in shard 1, beside one that has begun here
		was, crash  crash
		gains       int
		read, noted bool // all is read from the beginning; that something has changed is noted
	}{
		{what: "the same", own: shareOf(1, 2), was: kept, crash: kept},
		{what: "less", own: shareOf(1), was: kept, crash: kept, noted: true},
		{what: "less of a kind", own: &store.Share{Shards: shareOf(1, 2).Shards, Kinds: map[string]store.Shards{"o": shareOf(2).Shards}}, was: kept, crash: kept, noted: true},
		{what: "more", own: shareOf(1, 2, 3), was: kept, crash: crash{divided: true}, gains: 1, read: true, noted: true},
		{what: "more of a kind", own: &store.Share{Shards: shareOf(1, 2).Shards, Kinds: map[string]store.Shards{"o": shareOf(1, 2, 3).Shards}}, was: kept, crash: crash{divided: true}, gains: 1, read: true, noted: true},
		{what: "others", own: shareOf(1, 3), was: kept, crash: crash{divided: true}, gains: 1, read: true, noted: true},
		{what: "more, and not all was seen", own: shareOf(1, 2, 3), was: crash{fresh: true, divided: true}, crash: crash{fresh: true, divided: true}, gains: 1, read: true, noted: true},
		{what: "more, and nothing was seen", own: shareOf(1, 2, 3), was: crash{divided: true}, crash: crash{divided: true}, gains: 1, read: true, noted: true},
		{what: "more, and something is still to be rescued", own: shareOf(1, 2, 3), run: &left, was: kept, crash: crash{fresh: true, divided: true}, gains: 1, read: true, noted: true},
		{what: "and is not to be", own: shareOf(1, 2, 3), run: with(func(rn *store.Run) { rn.State = store.Pending }), was: kept, crash: crash{divided: true}, gains: 1, read: true, noted: true},
		{what: "and has a lease", own: shareOf(1, 2, 3), run: with(func(rn *store.Run) { rn.Lease = 60_000_000 }), was: kept, crash: crash{divided: true}, gains: 1, read: true, noted: true},
		{what: "and none was new", own: shareOf(1, 2, 3), run: &left, was: crash{surveyed: true, divided: true}, crash: crash{divided: true}, gains: 1, read: true, noted: true},
	} {
		inRun(t, func(t *testing.T, r *run, _ *surveyed) {
			time.Sleep(time.Minute)
			r.handles(t, "k")
			r.ownLocked(shareOf(1, 2))
			if tt.run != nil {
				task := &store.Task{Key: nameIn(1, 0), Spec: store.Spec{Kind: "k"}, Runs: []store.Run{{State: store.Running, Lease: 60_000_000}, *tt.run}}
				other := &store.Task{Key: nameIn(2, 0), Spec: store.Spec{Kind: "k"}, Next: store.Occurrence{For: 1, Due: 1}}
				r.keepLocked(task, other)
			}
			r.crash, r.window.after, r.untuned, r.gains, r.gained = tt.was, store.Cursor{At: 7}, false, 0, 0
			r.doubts[lostID("a")] = left
			select {
			case <-r.wake:
			default:
			}
			r.ownLocked(tt.own)
			got := fmt.Sprint(r.gains, r.window.after.At == store.Over, r.untuned, len(r.wake) > 0, len(r.doubts) == 0, r.gained == r.c.eng.Elapsed(), r.own == tt.own)
			want := fmt.Sprint(tt.gains, tt.read, tt.noted, tt.noted, tt.read, tt.read, tt.noted)
			if got != want || r.crash != tt.crash {
				t.Errorf("%s: %s, %+v; want %s, %+v", tt.what, got, r.crash, want, tt.crash)
			}
		})
	}
}

// TestRun_OwnAgain: what was refused because it is not ours is tried again, without a rest, as soon as it is told what is, also if that is the
// same. What rests for another reason rests on.
func TestRun_OwnAgain(t *testing.T) {
	inRun(t, func(t *testing.T, r *run, _ *surveyed) {
		r.handles(t, "k")
		r.ownLocked(shareOf(1, 2))
		r.keepLocked(&store.Task{Key: nameIn(1, 0), Spec: store.Spec{Kind: "k"}, Next: store.Occurrence{For: 1, Due: 1}},
			&store.Task{Key: nameIn(2, 0), Spec: store.Spec{Kind: "k"}, Next: store.Occurrence{For: 1, Due: 1}})
		refused, rests := r.window.entries[nameIn(1, 0)], r.window.entries[nameIn(2, 0)]
		for i, rest := range []int{250, 500, 1000, 2000, 2000} {
			r.refusedShardLocked(refused)
			if want := r.c.now().Add(time.Duration(rest) * time.Millisecond); refused.not != want || refused.nos != i+1 {
				t.Errorf("refused %d times: put off until %v, want %v", refused.nos, refused.not, want)
			}
		}
		rests.not, rests.nos = refused.not, 3
		r.placeLocked(refused)
		r.placeLocked(rests)
		behind := store.Cursor{At: 7, Key: nameIn(2, 1)}
		r.suspects.low = behind
		r.ownLocked(shareOf(1, 2))
		if refused.not != 0 || refused.nos != 0 || refused.refused || refused.queued == 0 || refused.timed != 0 {
			t.Errorf("what was refused: %+v, want that it is tried at once", refused)
		}
		if rests.not == 0 || rests.nos != 3 || rests.timed == 0 {
			t.Errorf("what rests: %+v, want that it does", rests)
		}
		if r.suspects.low != behind {
			t.Error("nothing is lost, and who waits is to be read again")
		}
		if r.refused {
			t.Error("something is still said to be refused")
		}
	})
}

// TestRun_Lose: of what is not ours any more nothing is kept in mind; who waits for a key, a kind, bytes or behind what was lost, and is not in memory,
// is read again, because the first of them may be somebody else's.
func TestRun_Lose(t *testing.T) {
	for _, of := range []string{"key", "kind", "suspects", "bytes"} {
		inRun(t, func(t *testing.T, r *run, _ *surveyed) {
			k := r.handles(t, "k")
			r.ownLocked(shareOf(1, 2))
			r.keys["waits"] = &gate{waiting: byGate()}
			g := map[string]*gate{"key": r.keys["waits"], "kind": &k.gate, "suspects": &r.suspects, "bytes": &r.bytes}[of]
			g.low = store.Cursor{At: 7, Key: nameIn(2, 0)}
			r.behind[g] = struct{}{}
			r.window.after = store.Cursor{At: 9}
			r.ownLocked(shareOf(1))
			if g.low != (store.Cursor{}) || r.window.after != (store.Cursor{At: 7}) || len(r.behind) > 0 {
				t.Errorf("%s: who waits is at %v, the window ends at %v, %d are to be read; want none, 7, and none", of, g.low, r.window.after, len(r.behind))
			}
		})
	}
	inRun(t, func(t *testing.T, r *run, _ *surveyed) {
		r.handles(t, "k")
		both := shareOf(1, 2)
		both.Kinds = map[string]store.Shards{"j": shareOf(1, 2, 3).Shards}
		r.ownLocked(both)
		for shard := range uint8(3) {
			for i, kind := range []string{"i", "j"} {
				r.strange[nameIn(shard+1, i)] = stranger{kind: kind}
			}
		}
		r.keepLocked(&store.Task{Key: nameIn(1, 2), Spec: store.Spec{Kind: "k"}, Next: store.Occurrence{For: 1, Due: 1}},
			&store.Task{Key: nameIn(2, 2), Spec: store.Spec{Kind: "k"}, Next: store.Occurrence{For: 1, Due: 1}})
		r.keys["free"], r.keys["taken"] = &gate{waiting: byGate()}, &gate{waiting: byGate(), running: 1}
		less := shareOf(1)
		less.Kinds = map[string]store.Shards{"j": shareOf(1, 2).Shards}
		r.ownLocked(less)
		var got []string
		for _, shard := range []uint8{1, 2, 3} {
			for i := range 2 {
				if s, is := r.strange[nameIn(shard, i)]; is {
					got = append(got, fmt.Sprint(shard, s.kind))
				}
			}
		}
		if want := []string{"1i", "1j", "2j"}; !slices.Equal(got, want) {
			t.Errorf("strangers are %v, want %v", got, want)
		}
		if keys := slices.Collect(maps.Keys(r.keys)); !slices.Equal(keys, []string{"taken"}) {
			t.Errorf("keys are %v, want the one that is taken", keys)
		}
		if len(r.window.entries) != 1 || r.window.entries[nameIn(1, 2)] == nil {
			t.Errorf("%d tasks are in memory, want the one that is ours", len(r.window.entries))
		}
	})
}

// TestRun_Heed: asked to stop are the attempts whose runs are, and no others.
//
// contract: E3
func TestRun_Heed(t *testing.T) {
	inRun(t, func(t *testing.T, r *run, _ *surveyed) {
		key := store.Key{Name: "a"}
		e := &entry{task: &store.Task{Key: key}}
		var ctxs []context.Context
		for i, rn := range []store.Run{
			{State: store.Running},
			{State: store.Running, Stop: true},
			{State: store.Pending, Stop: true},
			{State: store.Running, Stop: true, Fence: 100}, // by another process
			{State: store.Running, Stop: true},
		} {
			rn.For = store.Instant(i + 1)
			ctx, cancel := context.WithCancelCause(t.Context())
			ctxs = append(ctxs, ctx)
			r.attempts[attemptID{rn.ID(key), 0}] = &attempt{cancel: cancel}
			e.task.Runs = append(e.task.Runs, rn)
		}
		r.heedLocked(e)
		for i, want := range []bool{false, true, false, false, true} {
			if got := errors.Is(context.Cause(ctxs[i]), ErrStopped); got != want {
				t.Errorf("attempt %d is asked to stop: %t, want %t", i+1, got, want)
			}
		}
	})
}
