package record_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/internal/record"
)

var update = flag.Bool("update", false, "rewrite testdata/values-v1.txt: only before a version is released, or for a new one")

var (
	goldenKey  = store.Key{Namespace: "shop", Name: "order-7"}
	goldenTask = store.Task{
		Key: goldenKey,
		Spec: store.Spec{
			Kind: "remind", Schedule: "every 1h", Policy: []byte{1, 2}, Payload: []byte("hello"), LimitKey: "eu", Tags: []string{"a", "bc"},
			Priority: -3, Recurring: true,
		},
		Generation: 300, AcceptedAt: 1_700_000_000_000_000, FirstAt: 1_600_000_000_000_000,
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
)

// goldenDead returns the task with a dead run alone.
func goldenDead() *store.Task {
	t := goldenTask
	t.Next = store.Occurrence{}
	t.Runs = []store.Run{{
		Generation: 300, For: 1_700_000_000_000_000, Due: 1_700_000_000_000_000, State: store.Dead, Attempt: 1, Fence: 301, Reason: "no",
	}}
	return &t
}

// golden returns a value of each kind, named.
func golden() string {
	var b strings.Builder
	show := func(name string, value []byte) { fmt.Fprintf(&b, "# %s\n%s\n", name, hex.Dump(value)) }
	plain := store.Task{Key: store.Key{Name: "a"}, Spec: store.Spec{Kind: "k"}, Generation: 1, AcceptedAt: 1, Next: store.Occurrence{For: 2, Due: 2}}
	moved, ended, short := plain, plain, goldenEvent
	moved.Recurring, moved.Moved = true, true
	ended.Ended, ended.Next = true, store.Occurrence{}
	short.Identity = store.Identity{}
	show("a task with little in it", record.AppendTask(nil, &plain, true))
	show("a task with everything", record.AppendTask(nil, &goldenTask, true))
	show("a task with everything, its payload apart", record.AppendTask(nil, &goldenTask, false))
	show("a task that was moved", record.AppendTask(nil, &moved, true))
	show("a task that has ended", record.AppendTask(nil, &ended, true))
	show("what claiming changes", record.AppendLive(nil, &goldenTask))
	show("an overlay", record.AppendOverlay(nil, &goldenTask))
	show("a dead run", record.AppendDead(nil, 1_700_000_000_000_010, goldenDead()))
	show("an entry of the history", record.AppendEvent(nil, &goldenEvent))
	show("an entry without an identity", record.AppendEvent(nil, &short))
	return b.String()
}

// Version 1 is what it was: values that were written by it can be read for ever.
func TestGolden(t *testing.T) {
	const path = "testdata/values-v1.txt"
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
		t.Errorf("what is written has changed: that is a new version, with a new number (-want +got):\n%s", diff)
	}
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
	n := rapid.SampledFrom([]int{0, 1, 5, 127, 128, 3000}).Draw(t, "bytes")
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
		r.Lease = store.Over // leases are not in the value
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
func whole(t *rapid.T, value []byte, decode func(d *record.Decoder) any, want any) {
	t.Helper()
	try := func(b []byte) (any, error) {
		d := record.NewDecoder(b)
		got := decode(&d)
		return got, d.End()
	}
	got, err := try(value)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	refused := func(what string, b []byte) {
		t.Helper()
		if _, err := try(b); !errors.Is(err, store.ErrCorrupt) {
			t.Fatalf("%s: %v, want ErrCorrupt", what, err)
		}
	}
	refused("with a byte behind it", append(slices.Clone(value), 0))
	n := rapid.IntRange(0, len(value)-1).Draw(t, "cut")
	if e, ok := want.(*store.Event); !ok || e.Identity == (store.Identity{}) || n != len(value)-len(e.Identity) {
		refused(fmt.Sprintf("%d of its %d bytes", n, len(value)), value[:n:n])
	}
	other := slices.Clone(value)
	other[0]++
	refused("of another version", other)
}

func TestTask_RoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		task := genTask(t)
		payload := rapid.Bool().Draw(t, "payload")
		want := *task
		if !payload {
			want.Payload = nil
		}
		whole(t, record.AppendTask(nil, task, payload), func(d *record.Decoder) any {
			got := &store.Task{Key: task.Key}
			if apart := d.Task(got); d.Err() == nil && apart == payload {
				t.Errorf("payload apart: %v, want %v", apart, !payload)
			}
			return got
		}, &want)
	})
}

// A store keeps behind a task what is its own, such as leases: taking the task off leaves that.
func TestTask_LeavesTheRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		task := genTask(t)
		lease, count, note := rapid.Int64().Draw(t, "lease"), rapid.Uint64().Draw(t, "count"), genBytes(t)
		b := record.AppendTask([]byte("before"), task, true)
		b = binary.AppendUvarint(binary.AppendVarint(b, lease), count)
		b = record.AppendText(record.AppendText(b, note), string(note))
		d := record.NewDecoder(bytes.TrimPrefix(b, []byte("before")))
		got := store.Task{Key: task.Key}
		if apart := d.Task(&got); apart || d.Err() != nil {
			t.Fatalf("apart %v, %v", apart, d.Err())
		}
		if diff := cmp.Diff(task, &got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		if l, c := d.Instant(), d.Uint(); l != store.Instant(lease) || c != count {
			t.Errorf("%d and %d become %d and %d", lease, count, l, c)
		}
		if kept, text := d.Bytes(), d.Text(); !bytes.Equal(kept, note) || text != string(note) {
			t.Errorf("%q becomes %q and %q", note, kept, text)
		}
		if err := d.End(); err != nil {
			t.Error(err)
		}
	})
}

func TestOverlay_RoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		task := genTask(t)
		whole(t, record.AppendOverlay(nil, task), func(d *record.Decoder) any {
			got := *task
			got.Next, got.Last, got.Starts, got.Runs = store.Occurrence{}, 0, 0, []store.Run{{Generation: -1}}
			got.Generation = d.Overlay(&got)
			return &got
		}, task)
	})
}

func TestDead_RoundTrip(t *testing.T) {
	type dead struct {
		At   store.Instant
		Task *store.Task
	}
	rapid.Check(t, func(t *rapid.T) {
		task, at := genTask(t), genInstant(t)
		task.Runs = []store.Run{genRun(t)}
		whole(t, record.AppendDead(nil, at, task), func(d *record.Decoder) any {
			got := &store.Task{Key: task.Key}
			at := d.Dead(got)
			return dead{at, got}
		}, dead{at, task})
	})
}

func TestEvent_RoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := genEvent(t)
		whole(t, record.AppendEvent(nil, &e), func(d *record.Decoder) any {
			got := &store.Event{Seq: e.Seq}
			d.Event(got)
			return got
		}, &e)
	})
}
