package pebble

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dulyhq/duly/store"
)

var update = flag.Bool("update", false, "rewrite testdata/format-v1.txt: only before a version is released, or for a new one")

var (
	goldenKey  = store.Key{Namespace: "shop", Name: "order-7"}
	goldenSpec = store.Spec{
		Kind: "remind", Schedule: "every 1h", Policy: []byte{1, 2}, Payload: []byte("hello"), LimitKey: "eu", Tags: []string{"a", "bc"},
		Priority: -3, Recurring: true,
	}
	goldenTask = store.Task{
		Key: goldenKey, Spec: goldenSpec, Generation: 300, AcceptedAt: 1_700_000_000_000_000, FirstAt: 1_600_000_000_000_000,
		Next: store.Occurrence{For: 1_700_003_600_000_000, Due: 1_700_003_600_000_123}, Last: 1_700_000_000_000_000, Starts: 2,
		PausedAt: 1_700_000_000_500_000, PausedWhy: "stocktaking",
		Runs: []store.Run{
			{
				Generation: 300, For: 1_700_000_000_000_000, Due: 1_700_000_000_000_001, State: store.Running, Attempt: 3, Snoozed: 1, Lost: 1,
				Fence: 301, Missed: 4, Owner: "node-1", BegunAt: 1_700_000_000_000_002, StartedAt: 1_700_000_000_000_003, Lease: store.Over,
				Final: true, Stop: true, Reason: "lost",
			},
			{Generation: 302, For: -1, Due: store.Never, State: store.Pending, Extra: true},
		},
	}
	goldenEvent = store.Event{
		Seq: 9, At: 1_700_000_000_000_009, Key: goldenKey, Kind: "remind", Generation: 300, For: 1_700_000_000_000_000, Due: 1_700_000_000_000_001,
		Verb: store.VerbSettle, From: store.Running, To: store.Done, Attempt: 3, Fence: 301, AcceptedAt: 1_700_000_000_000_000,
		StartedAt: 1_700_000_000_000_003, Missed: 4, Owner: "node-1", Reason: "why", Identity: store.Identity{0: 0xaa, 15: 0xbb},
	}
	goldenID = store.RunID{Key: goldenKey, Generation: 300, For: 1_700_000_000_000_000}
)

// golden returns a key and a value of each kind, named.
func golden() string {
	var b strings.Builder
	show := func(name string, key, value []byte) {
		fmt.Fprintf(&b, "# %s\nkey\n%svalue\n%s\n", name, hex.Dump(key), hex.Dump(value))
	}
	plain := store.Task{Key: store.Key{Name: "a"}, Spec: store.Spec{Kind: "k"}, Generation: 1, AcceptedAt: 1, Next: store.Occurrence{For: 2, Due: 2}}
	large := goldenTask
	large.Payload = bytes.Repeat([]byte{7}, largePayload)
	dead := goldenTask
	dead.Runs = []store.Run{{Generation: 300, For: goldenID.For, Due: goldenID.For, State: store.Dead, Attempt: 1, Fence: 301, Reason: "no"}}
	dead.Next = store.Occurrence{}
	short := goldenEvent
	short.Identity = store.Identity{}
	st := state{
		batches: 12, seq: 302, eventSeq: 9, hour: 472_222, high: 1_700_000_000_000_009, tasks: 1, paused: 1, dead: 1, history: 9,
	}
	show("m: format", metaFormat, []byte{0, 0, 0, formatVersion})
	show("m: state", metaState, st.append(nil))
	show("m: a note", noteKey(nil, "zones"), []byte("2026a"))
	place := appendInstant(nil, goldenTask.Position())
	show("t: the place of a task", nameKey(nil, keyTask, goldenKey), append(place, 0, 0, 0, 0, 0, 0, 1, 44))
	show("d: a task with little in it, without a namespace", dueKey(nil, plain.Position(), plain.Key), appendTask(nil, &plain, false))
	show("d: a task with everything", dueKey(nil, goldenTask.Position(), goldenKey), appendTask(nil, &goldenTask, false))
	moved := plain
	moved.Recurring, moved.Moved = true, true
	show("d: a task that was moved", dueKey(nil, moved.Position(), moved.Key), appendTask(nil, &moved, false))
	show("d: a task that never is due", dueKey(nil, store.Never, goldenKey), nil)
	show("d: a task whose payload is kept apart", dueKey(nil, 0, goldenKey), appendTask(nil, &large, false))
	show("p: that payload, its first bytes", nameKey(nil, keyPayload, goldenKey), large.Payload[:16])
	show("r: what claims have changed", nameKey(nil, keyLive, goldenKey), appendOverlay(nil, &goldenTask))
	show("x: a dead run", deadKey(nil, goldenID), appendDead(nil, 1_700_000_000_000_010, &dead))
	show("h: an entry of the history", historyKey(nil, 472_222, 9), appendEvent(nil, &goldenEvent))
	show("h: an entry without an identity", historyKey(nil, 472_222, 9), appendEvent(nil, &short))
	show("i: its place in the index", indexKey(nil, 472_222, hashKey(goldenKey), 9), nil)
	show("c: an hour of the history", hoursKey(nil, 472_222), appendHour(nil, hour{hour: 472_222, first: 3, n: 7}))
	return b.String()
}

// Format 1 is what it was: stores that were written by it can be read for ever.
func TestFormat_Golden(t *testing.T) {
	const path = "testdata/format-v1.txt"
	got := golden()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("what is written has changed: that is a new format, with a new number (-want +got):\n%s", diff)
	}
}

func TestFormat_HashIsFNV(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := genKey(t)
		h := fnv.New64a()
		_, _ = h.Write([]byte(k.Namespace + "\x00" + k.Name)) // hash.Hash never returns an error
		if got, want := hashKey(k), h.Sum64(); got != want {
			t.Errorf("hashKey(%q, %q) = %x, want %x", k.Namespace, k.Name, got, want)
		}
	})
}

// Generators of everything that is stored: also of what no transition makes.

func genWord(t *rapid.T, least int) string {
	return string(rapid.SliceOfN(rapid.SampledFrom([]byte{0x20, 0x21, '/', '@', 'a', 'b', 'z', 0x7e, 0xc3, 0xff}), least, 6).Draw(t, "word"))
}

func genKey(t *rapid.T) store.Key {
	return store.Key{Namespace: genWord(t, 0), Name: genWord(t, 1)}
}

func genInstant(t *rapid.T) store.Instant {
	return store.Instant(rapid.OneOf(
		rapid.Int64(), rapid.Int64Range(-3, 3), rapid.SampledFrom([]int64{math.MaxInt64, math.MinInt64, 1_700_000_000_000_000}),
	).Draw(t, "instant"))
}

func genBytes(t *rapid.T) []byte {
	n := rapid.SampledFrom([]int{0, 1, 5, largePayload - 1, largePayload, largePayload + 1}).Draw(t, "bytes")
	if n == 0 {
		return nil
	}
	return bytes.Repeat([]byte{rapid.Byte().Draw(t, "byte")}, n)
}

func genRun(t *rapid.T) store.Run {
	r := store.Run{
		Generation: rapid.Int64().Draw(t, "generation"), For: genInstant(t), Due: genInstant(t),
		State:   rapid.SampledFrom([]store.State{store.Pending, store.Running, store.Dead}).Draw(t, "state"),
		Attempt: rapid.Int32().Draw(t, "attempt"), Snoozed: rapid.Int32().Draw(t, "snoozed"), Lost: rapid.Int32().Draw(t, "lost"),
		Fence: rapid.Int64().Draw(t, "fence"), Missed: rapid.Int64().Draw(t, "missed"), Owner: genWord(t, 0),
		BegunAt: genInstant(t), StartedAt: genInstant(t), Reason: genWord(t, 0),
		Final: rapid.Bool().Draw(t, "final"), Stop: rapid.Bool().Draw(t, "stop"), Extra: rapid.Bool().Draw(t, "extra"),
	}
	if r.State == store.Running {
		r.Lease = store.Over // leases end with the process
	}
	return r
}

func genTask(t *rapid.T) *store.Task {
	n := &store.Task{
		Key: genKey(t),
		Spec: store.Spec{
			Kind: genWord(t, 0), Schedule: genWord(t, 0), Policy: genBytes(t), Payload: genBytes(t), LimitKey: genWord(t, 0),
			Priority: rapid.Int32().Draw(t, "priority"), Recurring: rapid.Bool().Draw(t, "recurring"),
		},
		Generation: rapid.Int64().Draw(t, "generation"), AcceptedAt: genInstant(t), FirstAt: genInstant(t),
		Next: store.Occurrence{For: genInstant(t), Due: genInstant(t)}, Last: genInstant(t), Starts: rapid.Int64().Draw(t, "starts"),
		Ended: rapid.Bool().Draw(t, "ended"), Moved: rapid.Bool().Draw(t, "moved"),
	}
	if n.PausedAt = genInstant(t); n.PausedAt != 0 {
		n.PausedWhy = genWord(t, 0)
	}
	for range rapid.IntRange(0, store.MaxTags).Draw(t, "tags") {
		n.Tags = append(n.Tags, genWord(t, 0))
	}
	for range rapid.IntRange(0, 4).Draw(t, "runs") {
		n.Runs = append(n.Runs, genRun(t))
	}
	return n
}

func genEvent(t *rapid.T) store.Event {
	e := store.Event{
		Seq: rapid.Int64().Draw(t, "seq"), At: genInstant(t), Key: genKey(t), Kind: genWord(t, 0), Generation: rapid.Int64().Draw(t, "generation"),
		For: genInstant(t), Due: genInstant(t), Verb: store.Verb(rapid.Byte().Draw(t, "verb")), From: store.State(rapid.Byte().Draw(t, "from")),
		To: store.State(rapid.Byte().Draw(t, "to")), Attempt: rapid.Int32().Draw(t, "attempt"), Fence: rapid.Int64().Draw(t, "fence"),
		AcceptedAt: genInstant(t), StartedAt: genInstant(t), Missed: rapid.Int64().Draw(t, "missed"), Owner: genWord(t, 0), Reason: genWord(t, 0),
	}
	if rapid.Bool().Draw(t, "identity") {
		copy(e.Identity[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
	}
	return e
}

// whole demands that a value is taken apart to what it was made of, and that no part of it, nor it with anything behind it, is taken
// for a value.
func whole(t *rapid.T, value []byte, decode func(b []byte) (any, error), want any) {
	t.Helper()
	got, err := decode(value)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	if _, err := decode(append(slices.Clone(value), 0)); !errors.Is(err, store.ErrCorrupt) {
		t.Fatalf("with a byte behind it: %v, want ErrCorrupt", err)
	}
	n := rapid.IntRange(0, len(value)-1).Draw(t, "cut")
	if _, err := decode(value[:n:n]); !errors.Is(err, store.ErrCorrupt) {
		t.Fatalf("%d of its %d bytes: %v, want ErrCorrupt", n, len(value), err)
	}
	other := slices.Clone(value)
	other[0]++
	if _, err := decode(other); !errors.Is(err, store.ErrCorrupt) {
		t.Fatalf("of another version: %v, want ErrCorrupt", err)
	}
}

func TestFormat_TaskRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		task := genTask(t)
		inline := rapid.Bool().Draw(t, "inline")
		want := *task
		large := !inline && len(task.Payload) >= largePayload
		if large {
			want.Payload = nil
		}
		whole(t, appendTask(nil, task, inline), func(b []byte) (any, error) {
			got := &store.Task{Key: task.Key}
			d := decoder{b: b}
			if apart := d.task(got); d.err == nil && apart != large {
				t.Errorf("payload apart: %v, want %v", apart, large)
			}
			return got, d.end()
		}, &want)
	})
}

func TestFormat_OverlayRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		task := genTask(t)
		whole(t, appendOverlay(nil, task), func(b []byte) (any, error) {
			d := decoder{b: b}
			got := *task
			got.Next, got.Last, got.Starts, got.Runs = store.Occurrence{}, 0, 0, nil
			got.Generation = d.overlay(&got)
			return &got, d.end()
		}, task)
	})
}

func TestFormat_DeadRoundTrip(t *testing.T) {
	type dead struct {
		At   store.Instant
		Task *store.Task
	}
	rapid.Check(t, func(t *rapid.T) {
		task, at := genTask(t), genInstant(t)
		task.Runs = []store.Run{genRun(t)}
		whole(t, appendDead(nil, at, task), func(b []byte) (any, error) {
			at, got, err := decodeDead(task.Key, b)
			return dead{at, got}, err
		}, dead{at, task})
		id := task.Runs[0].ID(task.Key)
		if got, ok := parseDeadKey(deadKey(nil, id)); !ok || got != id {
			t.Errorf("key of %v: %v, %v", id, got, ok)
		}
	})
}

func TestFormat_EventRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := genEvent(t)
		b := appendEvent(nil, &e)
		got, err := decodeEvent(b, e.Seq)
		if diff := cmp.Diff(e, got); err != nil || diff != "" {
			t.Fatalf("%v (-want +got):\n%s", err, diff)
		}
		if n := rapid.IntRange(0, len(b)-1).Draw(t, "cut"); n != len(b)-len(e.Identity) || e.Identity == (store.Identity{}) {
			if _, err := decodeEvent(b[:n:n], 1); !errors.Is(err, store.ErrCorrupt) {
				t.Fatalf("%d of its %d bytes: %v, want ErrCorrupt", n, len(b), err)
			}
		}
		if _, err := decodeEvent(append(b, 0), 1); !errors.Is(err, store.ErrCorrupt) {
			t.Fatalf("with a byte behind it: %v, want ErrCorrupt", err)
		}
	})
}

func TestFormat_StateRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := func() int64 { return rapid.Int64().Draw(t, "n") }
		s := state{
			batches: rapid.Uint64().Draw(t, "batches"), seq: n(), eventSeq: n(), hour: rapid.Uint32().Draw(t, "hour"), high: genInstant(t),
			tasks: n(), paused: n(), dead: n(), history: n(),
		}
		var got state
		if err := got.decode(s.append(nil)); err != nil || got != s {
			t.Errorf("%+v becomes %+v, %v", s, got, err)
		}
		if err := got.decode(append(s.append(nil), 0)); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("with a byte behind it: %v, want ErrCorrupt", err)
		}
		h := hour{hour: s.hour, first: n(), n: n()}
		if got, err := decodeHour(hoursKey(nil, h.hour), appendHour(nil, h)); err != nil || got != h {
			t.Errorf("%+v becomes %+v, %v", h, got, err)
		}
	})
}

// Keys are ordered as what they are made of: due keys by instant and then by name, dead runs by their id, the history by its numbers.
func TestFormat_Order(t *testing.T) {
	sign := func(n int) int { return min(1, max(-1, n)) }
	rapid.Check(t, func(t *rapid.T) {
		a, b := genKey(t), genKey(t)
		if got, want := bytes.Compare(nameKey(nil, keyTask, a), nameKey(nil, keyTask, b)), sign(a.Compare(b)); got != want {
			t.Errorf("names %q and %q: %d, want %d", a, b, got, want)
		}
		i, j := genInstant(t), genInstant(t)
		want := sign(a.Compare(b))
		if i != j {
			want = map[bool]int{true: -1, false: 1}[i < j]
		}
		if got := bytes.Compare(dueKey(nil, i, a), dueKey(nil, j, b)); got != want {
			t.Errorf("due %d %q and %d %q: %d, want %d", i, a, j, b, got, want)
		}
		g, h := rapid.Int64Min(0).Draw(t, "g"), rapid.Int64Min(0).Draw(t, "h")
		x, y := store.RunID{Key: a, Generation: g, For: i}, store.RunID{Key: b, Generation: h, For: j}
		if got, want := bytes.Compare(deadKey(nil, x), deadKey(nil, y)), sign(x.Compare(y)); got != want {
			t.Errorf("dead %v and %v: %d, want %d", x, y, got, want)
		}
		if got, want := bytes.Compare(historyKey(nil, 7, g), historyKey(nil, 7, h)), sign(store.RunID{Generation: g}.Compare(store.RunID{Generation: h})); got != want {
			t.Errorf("entries %d and %d: %d, want %d", g, h, got, want)
		}
		if k, ok := parseKey(nameKey(nil, keyTask, a)[1:]); !ok || k != a {
			t.Errorf("key %q becomes %q, %v", a, k, ok)
		}
		if got := parseInstant(appendInstant(nil, i)); got != i {
			t.Errorf("instant %d becomes %d", i, got)
		}
	})
}

// Whatever bytes a decoder gets, it does not panic, takes no more memory than they are worth, and what it accepts it could have written:
// it reads the same again.
func FuzzDecode(f *testing.F) {
	f.Add(byte(0), appendTask(nil, &goldenTask, false))
	f.Add(byte(1), appendOverlay(nil, &goldenTask))
	f.Add(byte(2), appendEvent(nil, &goldenEvent))
	f.Add(byte(3), (&state{batches: 3, seq: 4}).append(nil))
	f.Add(byte(4), appendDead(nil, 5, &goldenTask))
	f.Add(byte(5), appendHour(nil, hour{first: 1, n: 2}))
	f.Add(byte(6), deadKey(nil, goldenID))
	f.Add(byte(7), dueKey(nil, 3, goldenKey))
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		switch kind % 8 {
		case 0:
			var got, again store.Task
			if d := (&decoder{b: b}); refused(t, func() error { d.task(&got); return d.end() }) {
				return
			}
			d := decoder{b: appendTask(nil, &got, true)}
			d.task(&again)
			same(t, d.end(), got, again)
		case 1:
			var got, again store.Task
			d := &decoder{b: b}
			if refused(t, func() error { got.Generation = d.overlay(&got); return d.end() }) {
				return
			}
			d = &decoder{b: appendOverlay(nil, &got)}
			again.Generation = d.overlay(&again)
			same(t, d.end(), got, again)
		case 2:
			var got store.Event
			if refused(t, func() (err error) { got, err = decodeEvent(b, 1); return err }) {
				return
			}
			again, err := decodeEvent(appendEvent(nil, &got), 1)
			same(t, err, got, again)
		case 3:
			var got, again state
			if refused(t, func() error { return got.decode(b) }) {
				return
			}
			if err := again.decode(got.append(nil)); err != nil || got != again {
				t.Errorf("%+v becomes %+v, %v", got, again, err)
			}
		case 4:
			refused(t, func() error { _, _, err := decodeDead(goldenKey, b); return err })
		case 5:
			refused(t, func() error { _, err := decodeHour(hoursKey(nil, 1), b); return err })
		case 6:
			if id, ok := parseDeadKey(b); ok && !bytes.Equal(deadKey(nil, id)[1:], b[1:]) {
				t.Errorf("%x is taken for the key of %v, which is %x", b, id, deadKey(nil, id))
			}
		case 7:
			if k, ok := parseKey(b); ok && !bytes.Equal(appendKey(nil, k), b) {
				t.Errorf("%x is taken for the key %v", b, k)
			}
		}
	})
}

// refused says whether a decoder refuses, which it has to do with the one error.
func refused(t *testing.T, decode func() error) bool {
	t.Helper()
	err := decode()
	if err != nil && !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("%v, want ErrCorrupt", err)
	}
	return err != nil
}

func same(t *testing.T, err error, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-first +again):\n%s", err, diff)
	}
}

// A value that claims to hold much more than it does costs nothing.
func TestFormat_NoHugeAllocation(t *testing.T) {
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}
	for cut := range len(appendTask(nil, &goldenTask, false)) {
		b := slices.Concat(appendTask(nil, &goldenTask, false)[:cut], huge)
		if n := testing.AllocsPerRun(1, func() {
			var task store.Task
			d := decoder{b: b}
			d.task(&task)
		}); n > 60 {
			t.Errorf("cut at %d: %v allocations", cut, n)
		}
	}
	d := decoder{b: append([]byte{2, 2, 2, 2}, huge...)} // an overlay that begins with four numbers, and then says how many runs there are
	var task store.Task
	if d.live(&task); d.err == nil || cap(task.Runs) > 16 {
		t.Errorf("%d runs have room, %v", cap(task.Runs), d.err)
	}
}
