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
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/internal/record"
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
	show("d: a task with little in it, without a namespace", dueKey(nil, plain.Position(), plain.Key), record.AppendTask(nil, &plain, true))
	show("d: a task with everything", dueKey(nil, goldenTask.Position(), goldenKey), record.AppendTask(nil, &goldenTask, true))
	moved := plain
	moved.Recurring, moved.Moved = true, true
	show("d: a task that was moved", dueKey(nil, moved.Position(), moved.Key), record.AppendTask(nil, &moved, true))
	show("d: a task that never is due", dueKey(nil, store.Never, goldenKey), nil)
	show("d: a task whose payload is kept apart", dueKey(nil, 0, goldenKey), record.AppendTask(nil, &large, false))
	show("p: that payload, its first bytes", nameKey(nil, keyPayload, goldenKey), large.Payload[:16])
	show("r: what claims have changed", nameKey(nil, keyLive, goldenKey), record.AppendOverlay(nil, &goldenTask))
	show("x: a dead run", deadKey(nil, goldenID), record.AppendDead(nil, 1_700_000_000_000_010, &dead))
	show("h: an entry of the history", historyKey(nil, 472_222, 9), record.AppendEvent(nil, &goldenEvent))
	show("h: an entry without an identity", historyKey(nil, 472_222, 9), record.AppendEvent(nil, &short))
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

// Generators of what stands in keys: also of what no transition makes.

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
		if id, ok := parseDeadKey(deadKey(nil, x)); !ok || id != x {
			t.Errorf("dead %v becomes %v, %v", x, id, ok)
		}
		if got := parseInstant(appendInstant(nil, i)); got != i {
			t.Errorf("instant %d becomes %d", i, got)
		}
	})
}

// Whatever bytes are taken for a value or a key, nothing panics, and what is accepted could have been written: it reads the same again.
// What package record takes apart is fuzzed there.
func FuzzDecode(f *testing.F) {
	f.Add(byte(0), (&state{batches: 3, seq: 4}).append(nil))
	f.Add(byte(1), appendHour(nil, hour{first: 1, n: 2}))
	f.Add(byte(2), deadKey(nil, goldenID))
	f.Add(byte(3), dueKey(nil, 3, goldenKey))
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		switch kind % 4 {
		case 0:
			var got, again state
			if refused(t, got.decode(b)) {
				return
			}
			if err := again.decode(got.append(nil)); err != nil || got != again {
				t.Errorf("%+v becomes %+v, %v", got, again, err)
			}
		case 1:
			key := hoursKey(nil, 1)
			got, err := decodeHour(key, b)
			if refused(t, err) {
				return
			}
			if again, err := decodeHour(key, appendHour(nil, got)); err != nil || got != again {
				t.Errorf("%+v becomes %+v, %v", got, again, err)
			}
		case 2:
			if id, ok := parseDeadKey(b); ok && !bytes.Equal(deadKey(nil, id)[1:], b[1:]) {
				t.Errorf("%x is taken for the key of %v, which is %x", b, id, deadKey(nil, id))
			}
		case 3:
			if k, ok := parseKey(b); ok && !bytes.Equal(appendKey(nil, k), b) {
				t.Errorf("%x is taken for the key %v", b, k)
			}
		}
	})
}

// refused says whether a decoder refuses, which it has to do with the one error.
func refused(t *testing.T, err error) bool {
	t.Helper()
	if err != nil && !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("%v, want ErrCorrupt", err)
	}
	return err != nil
}
