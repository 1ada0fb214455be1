package store_test

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dulyhq/duly/store"
)

// TestKey_Shard pins the shards of some keys: stores on disk and clusters depend on them for ever.
func TestKey_Shard(t *testing.T) {
	for _, c := range []struct {
		k    store.Key
		want uint8
	}{
		{store.Key{}, shard("\x00")},
		{store.Key{Name: "a"}, shard("\x00a")},
		{store.Key{Namespace: "a"}, shard("a\x00")},
		{store.Key{Namespace: "shop", Name: "order-42"}, shard("shop\x00order-42")},
		{store.Key{Namespace: "", Name: "Grüße"}, shard("\x00Grüße")},
		{store.Key{Name: "a"}, 90},
		{store.Key{Namespace: "shop", Name: "order-42"}, 170},
	} {
		if got := c.k.Shard(); got != c.want {
			t.Errorf("shard of %q is %d, want %d", c.k, got, c.want)
		}
	}
}

// shard is the 32-bit FNV-1a hash as its authors describe it, by hand: http://www.isthe.com/chongo/tech/comp/fnv/.
func shard(s string) uint8 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return uint8(h & 0xff)
}

func TestKey_order(t *testing.T) {
	keys := []store.Key{{}, {Name: "a"}, {Name: "b"}, {Namespace: "a"}, {Namespace: "a", Name: "a"}, {Namespace: "b"}}
	var text []string
	for i, k := range keys {
		text = append(text, k.String())
		for j, o := range keys {
			if got, want := k.Compare(o), sign(i-j); got != want {
				t.Errorf("%q compared with %q is %d, want %d", k, o, got, want)
			}
		}
	}
	if d := cmp.Diff([]string{"", "a", "b", "a/", "a/a", "b/"}, text); d != "" {
		t.Errorf("strings (-want +got):\n%s", d)
	}
}

func TestRunID_order(t *testing.T) {
	ids := []store.RunID{
		{Key: store.Key{Name: "a"}, Generation: 1, For: -1},
		{Key: store.Key{Name: "a"}, Generation: 1, For: 2},
		{Key: store.Key{Name: "a"}, Generation: 2, For: 1},
		{Key: store.Key{Name: "b"}, Generation: 1, For: 1},
	}
	for i, k := range ids {
		for j, o := range ids {
			if got, want := k.Compare(o), sign(i-j); got != want {
				t.Errorf("%v compared with %v is %d, want %d", k, o, got, want)
			}
		}
	}
	if got, want := ids[0].String(), "a@1@-1"; got != want {
		t.Errorf("String is %q, want %q", got, want)
	}
}

func sign(n int) int { return min(max(n, -1), 1) }

// TestIdentityOf pins an identity, which histories on disk hold, and tells specs apart that run into each other when written in a row.
func TestIdentityOf(t *testing.T) {
	s := store.Spec{
		Kind: "mail", Schedule: "at", Policy: []byte{1}, Payload: []byte("hello"), LimitKey: "l", Tags: []string{"a", "b"}, Priority: -1,
	}
	id := store.IdentityOf(&s, epoch)
	if got := hex.EncodeToString(id[:]); got != "660215c15fa89cdc0bdac992e4b9722d" {
		t.Errorf("identity %s, want 660215c15fa89cdc0bdac992e4b9722d", got)
	}
	seen := map[store.Identity]int{}
	for i, s := range []store.Spec{
		{},
		{Kind: "a"},
		{Schedule: "a"},
		{Policy: []byte("a")},
		{Payload: []byte("a")},
		{LimitKey: "a"},
		{Tags: []string{"a"}},
		{Priority: 1},
		{Priority: -1},
		{Kind: "ab"},
		{Kind: "a", Schedule: "b"},
		{Tags: []string{"ab"}},
		{Tags: []string{"a", "b"}},
		{Tags: []string{""}},
		{Tags: []string{"", ""}},
		{LimitKey: "a", Tags: []string{"a"}},
		{Tags: []string{"\x00\x00\x00\x00\x00\x00\x00\x01"}},
	} {
		for _, at := range []store.Instant{epoch, epoch + 1} {
			id := store.IdentityOf(&s, at)
			if other, ok := seen[id]; ok {
				t.Errorf("specs %d and %d have one identity", other, i)
			}
			seen[id] = i
		}
	}
}

// TestSpec_Equal changes one field after the other.
func TestSpec_Equal(t *testing.T) {
	base := store.Spec{Kind: "k", Schedule: "s", Policy: []byte("p"), Payload: []byte("l"), LimitKey: "k", Tags: []string{"t"}, Priority: 1, Recurring: true}
	same := base
	same.Policy, same.Payload, same.Tags = slices.Clone(base.Policy), slices.Clone(base.Payload), slices.Clone(base.Tags)
	if !base.Equal(&same) {
		t.Error("a spec is not equal to its copy")
	}
	if empty := (store.Spec{Payload: []byte{}, Tags: []string{}}); !empty.Equal(&store.Spec{}) {
		t.Error("a spec with empty slices is not equal to one without")
	}
	for field, change := range map[string]func(s *store.Spec){
		"kind": func(s *store.Spec) { s.Kind = "" }, "schedule": func(s *store.Spec) { s.Schedule = "" }, "policy": func(s *store.Spec) { s.Policy = nil },
		"payload": func(s *store.Spec) { s.Payload = []byte("m") }, "limit key": func(s *store.Spec) { s.LimitKey = "" }, "tags": func(s *store.Spec) { s.Tags = nil },
		"priority": func(s *store.Spec) { s.Priority = 0 }, "recurring": func(s *store.Spec) { s.Recurring = false },
	} {
		other := base
		change(&other)
		if base.Equal(&other) {
			t.Errorf("specs with another %s are equal", field)
		}
	}
}

func TestShards(t *testing.T) {
	var all *store.Shards
	rapid.Check(t, func(t *rapid.T) {
		var s store.Shards
		in := rapid.SliceOf(rapid.Uint8()).Draw(t, "in")
		for _, n := range in {
			s.Add(n)
		}
		for n := range 256 {
			if got, want := s.Has(uint8(n)), slices.Contains(in, uint8(n)); got != want {
				t.Fatalf("shard %d of %v: %t, want %t", n, in, got, want)
			}
			if !all.Has(uint8(n)) {
				t.Fatalf("a nil set lacks shard %d", n)
			}
		}
	})
}

// TestNames holds the words for states, verbs and outcomes to being there, and apart.
func TestNames(t *testing.T) {
	var got []string
	for s := store.None; s <= store.Skipped+1; s++ {
		got = append(got, s.String())
		if back, err := store.ParseState(s.String()); s <= store.Skipped && (back != s || err != nil) {
			t.Errorf("parsed %v as %v, %v", s, back, err)
		}
	}
	for v := store.Verb(0); v <= store.VerbAlign+1; v++ {
		got = append(got, v.String())
	}
	for o := store.PutOutcome(0); o <= store.AlreadyRan+1; o++ {
		got = append(got, o.String())
	}
	for o := store.CancelUnknown; o <= store.CancelFinished+1; o++ {
		got = append(got, o.String())
	}
	want := []string{
		"none", "pending", "running", "done", "dead", "cancelled", "expired", "skipped", "state(8)",
		"verb(0)", "put", "cancel", "claim", "settle", "retry", "snooze", "release", "move", "pause", "resume", "run", "skip", "rescue", "bury", "redrive", "stop", "align", "verb(18)",
		"none", "created", "replaced", "unchanged", "kept", "already ran", "none",
		"unknown", "cancelled", "running", "finished", "none",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("names (-want +got):\n%s", d)
	}
	if _, err := store.ParseState("Done"); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a state that is none: %v", err)
	}
}

func TestUnknown(t *testing.T) {
	cause := errors.New("the user went away")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	err := store.Unknown("put", ctx)
	if !errors.Is(err, store.ErrUnknown) || !errors.Is(err, cause) {
		t.Errorf("%v wraps neither or one; want ErrUnknown and the cause", err)
	}
	if got, want := err.Error(), "store: put: it is not known whether this was written: the user went away"; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
}

// TestError_Error shows an error with all it may hold.
func TestError_Error(t *testing.T) {
	e := &store.Error{Op: "put", Key: theKey, Field: "when", Value: "5", Want: "6", Err: store.ErrClosed}
	if got, want := e.Error(), `store: put "ns/a": when is 5, want 6: store is closed`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := (&store.Error{Op: "put"}).Error(), "store: put"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestRun_apart holds extra runs to ids of their own, which their entries tell.
func TestRun_apart(t *testing.T) {
	w := newWorld(t)
	w.do("put recurring at=0s")
	seen := map[store.RunID]bool{{Key: theKey, Generation: w.task.Generation, For: epoch}: true}
	for range 3 {
		w.do("run at=0s")
		id, e := w.task.Runs[0].ID(theKey), w.events[len(w.events)-1]
		if seen[id] {
			t.Errorf("%v was there before", id)
		}
		seen[id] = true
		if e.Generation != id.Generation || e.For != id.For {
			t.Errorf("%v begins with an entry of %d at %v", id, e.Generation, e.For)
		}
		w.do("claim retry")
		w.do("settle dead")
	}
	if len(w.dead) != 3 {
		t.Errorf("%d dead runs, want 3", len(w.dead))
	}
}

func TestTask_State(t *testing.T) {
	w := newWorld(t)
	w.do("put recurring at=0s")
	if got := w.task.State(); got != store.Pending {
		t.Errorf("a task that waits is %v", got)
	}
	w.do("claim next=10s")
	if got := w.task.State(); got != store.Running || w.task.Running() != 1 {
		t.Errorf("a task that runs is %v, %d attempts", got, w.task.Running())
	}
	if got := w.task.Position(); got != epoch {
		t.Errorf("a task that runs stands at %v, want where it was due", got)
	}
	w.do("pause")
	if got := w.task.Position(); got != epoch {
		t.Errorf("a task that runs and is paused stands at %v, want where its attempt was due", got)
	}
	w.do("retry in=1s")
	if got := w.task.Position(); got != store.Never {
		t.Errorf("a paused task stands at %v, want never", got)
	}
}
