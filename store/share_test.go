package store_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/dulyhq/duly/store"
)

func drawShards(t *rapid.T, label string) (s store.Shards) {
	for _, n := range rapid.SliceOfN(rapid.Uint8Range(0, 7), 0, 6).Draw(t, label) {
		s.Add(n * 36)
	}
	return s
}

func drawShare(t *rapid.T) *store.Share {
	s := &store.Share{Shards: drawShards(t, "shards")}
	for _, kind := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{"a", "b", "c"}), rapid.ID).Draw(t, "kinds") {
		if s.Kinds == nil {
			s.Kinds = map[string]store.Shards{}
		}
		s.Kinds[kind] = drawShards(t, "of "+kind)
	}
	return s
}

// Everything that is said of a share follows from which kinds in which shards are in it.
func TestShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, o := drawShare(t), drawShare(t)
		all, beyond := s.All(), s.Beyond(o)
		q := store.DueQuery{Shards: &s.Shards, Kinds: s.Kinds}
		for n := range 256 {
			shard := uint8(n)
			var some, more bool
			for _, kind := range []string{"a", "b", "c", "another"} {
				has, of := s.Has(shard, kind), s.Of(kind)
				if of.Has(shard) != has || q.Has(shard, kind) != has {
					t.Fatalf("%s in shard %d: Has %v, Of %v, DueQuery %v", kind, shard, has, of.Has(shard), q.Has(shard, kind))
				}
				want := s.Shards.Has(shard)
				if set, other := s.Kinds[kind]; other {
					want = set.Has(shard)
				}
				if has != want {
					t.Fatalf("%s in shard %d of %+v: %v, want %v", kind, shard, s, has, want)
				}
				some, more = some || has, more || has && !o.Has(shard, kind)
			}
			if all.Has(shard) != (some || s.Shards.Has(shard)) || beyond.Has(shard) != more {
				t.Fatalf("shard %d of %+v: in All %v, beyond %+v %v; want %v and %v", shard, s, all.Has(shard), o, beyond.Has(shard), some, more)
			}
		}
		if s.Beyond(s) != (store.Shards{}) {
			t.Fatalf("%+v is beyond itself", s)
		}
	})
	var nobody *store.Share
	if !nobody.Has(7, "a") {
		t.Error("a nil share lacks something")
	}
}

func TestCheckKind(t *testing.T) {
	for kind, want := range map[string]string{
		"k": "", "": `store: own: kind is "", want 1 to 255 bytes of UTF-8 without control characters`,
		"a\x1fb": `store: own: kind is "a\x1fb", want 1 to 255 bytes of UTF-8 without control characters`, "..": `store: own: kind is "..", want a name, not a dot`,
	} {
		if err := store.CheckKind(kind); fmt.Sprint(err) != map[bool]string{true: "<nil>", false: want}[want == ""] {
			t.Errorf("%q: %v, want %s", kind, err, want)
		}
	}
}
