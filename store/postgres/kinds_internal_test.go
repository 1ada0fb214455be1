package postgres

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dulyhq/duly/store"
)

// A town is nodes that all see the same of each other, and the kinds that they handle.
type town struct {
	v      view
	w      watch
	kinds  []string
	states map[int32]string
}

func drawTown(t *rapid.T) *town {
	w := &town{w: watch{}, states: map[int32]string{}}
	for i := range rapid.IntRange(1, 4).Draw(t, "kinds") {
		w.kinds = append(w.kinds, fmt.Sprint("kind", i))
	}
	for i := range rapid.IntRange(1, 6).Draw(t, "nodes") {
		w.add(t, int32(i+1), rapid.SampledFrom([]string{"live", "live", "live", "stands down", "lapsed", "gone"}).Draw(t, "state"))
	}
	owners := make([]int32, 0, len(w.v.members)+1)
	for _, m := range w.v.members {
		owners = append(owners, m.id)
	}
	owners = append(owners, 0)
	seed := int32(rapid.IntRange(0, 1<<20).Draw(t, "seed"))
	for shard := range w.v.owners {
		w.v.owners[shard] = owners[weight(uint8(shard), seed)%uint64(len(owners))]
	}
	return w
}

func (w *town) add(t *rapid.T, id int32, state string) {
	m := member{id: id, kinds: rapid.SliceOfDistinct(rapid.SampledFrom(w.kinds), rapid.ID).Draw(t, "handles")}
	if state == "stands down" {
		m.offset = mostSkew + 1
	}
	w.v.members = append(w.v.members, m)
	w.states[id] = state
	w.w[id] = &sight{lapsed: state == "lapsed" || state == "gone", gone: state == "gone"}
}

// acts says whether a node beats.
func (w *town) acts(id int32) bool { return w.states[id] == "live" || w.states[id] == "stands down" }

// turns lets each node have its turn, and says whether anything has changed.
func (w *town) turns() (changed bool) {
	for _, m := range w.v.members {
		if !w.acts(m.id) {
			continue
		}
		p, _ := planned(&w.v, w.w, m.id, m.standsDown())
		changed = changed || !p.empty()
		for _, id := range append(slices.Clone(p.lapsed), p.gone...) {
			for shard, owner := range w.v.owners {
				if owner == id {
					w.v.owners[shard] = 0
				}
			}
		}
		for i := range w.v.members {
			if slices.Contains(p.gone, w.v.members[i].id) {
				w.v.members[i].goneAt = 1
			}
		}
		for _, shard := range p.take {
			if w.v.owners[shard] == 0 {
				w.v.owners[shard] = m.id
			}
		}
		for _, shard := range p.give {
			w.v.owners[shard] = 0
		}
	}
	return changed
}

// settle gives every node turns until nothing is left to be done.
func (w *town) settle(t *rapid.T) {
	for range 2*len(w.v.members) + 2 {
		if !w.turns() {
			return
		}
	}
	t.Fatal("the nodes give and take without an end")
}

// shares are what the nodes that act take for their own.
func (w *town) shares() map[int32]*store.Share {
	all := map[int32]*store.Share{}
	for _, m := range w.v.members {
		if !w.acts(m.id) {
			continue
		}
		p, live := planned(&w.v, w.w, m.id, m.standsDown())
		mine, _ := w.v.ownedBy(m.id)
		share := store.Share{Shards: without(mine, setOf(p.give))}
		share.Kinds = w.v.kindsOf(m.id, share.Shards, live)
		all[m.id] = &share
	}
	return all
}

// holders are who takes tasks of a kind in a shard for its own.
func holders(all map[int32]*store.Share, shard uint8, kind string) (ids []int32) {
	for id, share := range all {
		if share.Has(shard, kind) {
			ids = append(ids, id)
		}
	}
	return ids
}

// able are the nodes that are to own something and handle a kind.
func (w *town) able() map[string][]int32 {
	ids := map[string][]int32{}
	for _, m := range w.v.members {
		if _, live := planned(&w.v, w.w, m.id, m.standsDown()); w.acts(m.id) && slices.Contains(live, m.id) {
			for _, kind := range m.kinds {
				ids[kind] = append(ids[kind], m.id)
			}
		}
	}
	return ids
}

// Over the same view no task has two nodes, and when everything has its owner each has one: who owns the shard, or one that handles the kind
// where the owner does not. Who comes or goes moves what has become its own, or was, and no more.
//
// contract: C5
func TestKindsHaveOneNode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawTown(t)
		each := func(check func(shard uint8, kind string, have []int32)) {
			all := w.shares()
			for shard := range shards {
				for _, kind := range append(w.kinds, "nobody's") {
					check(uint8(shard), kind, holders(all, uint8(shard), kind))
				}
			}
		}
		each(func(shard uint8, kind string, have []int32) {
			if len(have) > 1 {
				t.Fatalf("%v have %s in shard %d", have, kind, shard)
			}
		})
		w.settle(t)
		acting := slices.ContainsFunc(w.v.members, func(m member) bool { return w.acts(m.id) })
		if !acting {
			return
		}
		type place struct {
			shard uint8
			kind  string
		}
		one := func() map[place]int32 {
			of, ables := map[place]int32{}, w.able()
			each(func(shard uint8, kind string, have []int32) {
				if len(have) != 1 {
					t.Fatalf("%v have %s in shard %d, which is node %d's; want one", have, kind, shard, w.v.owners[shard])
				}
				of[place{shard, kind}] = have[0]
				switch owner, able := w.v.owners[shard], ables[kind]; {
				case len(able) > 0 && !slices.Contains(able, have[0]):
					t.Fatalf("node %d has %s in shard %d, want one of %v, which handle it", have[0], kind, shard, able)
				case have[0] != owner && (len(able) == 0 || slices.Contains(able, owner)):
					t.Fatalf("node %d has %s in shard %d, want its owner %d", have[0], kind, shard, owner)
				}
			})
			return of
		}
		before, owners := one(), w.v.owners
		i := rapid.IntRange(0, len(w.v.members)).Draw(t, "who comes or goes")
		var moved int32
		if i == len(w.v.members) {
			moved = int32(i + 1)
			w.add(t, moved, "live")
		} else if moved = w.v.members[i].id; w.acts(moved) {
			w.states[moved], w.w[moved] = "gone", &sight{lapsed: true, gone: true}
		} else {
			return
		}
		if !slices.ContainsFunc(w.v.members, func(m member) bool { return w.states[m.id] == "live" }) || w.states[moved] == "live" && w.only(moved) {
			return // then those count that stand down, or do not any more
		}
		w.settle(t)
		for at, now := range one() {
			if was := before[at]; now != was && now != moved && was != moved && owners[at.shard] == w.v.owners[at.shard] {
				t.Fatalf("%s in shard %d has moved from node %d to node %d by node %d", at.kind, at.shard, was, now, moved)
			}
		}
	})
}

// only says that no other node is live.
func (w *town) only(id int32) bool {
	return !slices.ContainsFunc(w.v.members, func(m member) bool { return m.id != id && w.states[m.id] == "live" })
}

// Where all handle the same, which is usual, nothing is said of kinds; and neither is of one that nobody handles.
func TestKindsAreNotNamedWhereAllHandleThem(t *testing.T) {
	v := view{members: []member{{id: 1, kinds: []string{"a", "b"}}, {id: 2, kinds: []string{"b", "a"}}, {id: 3, kinds: []string{"c"}}}}
	for shard := range v.owners {
		v.owners[shard] = meant(uint8(shard), []int32{1, 2})
	}
	mine, _ := v.ownedBy(1)
	if kinds := v.kindsOf(1, mine, []int32{1, 2}); kinds != nil {
		t.Errorf("kinds are %v, want none: the third is not live", kinds)
	}
	kinds := v.kindsOf(1, mine, []int32{1, 2, 3})
	if got, said := kinds["c"]; len(kinds) != 1 || !said || got != (store.Shards{}) {
		t.Errorf("kinds are %v, want c to be in no shard of ours: the third handles it", kinds)
	}
	if got := v.kindsOf(3, store.Shards{}, []int32{1, 2, 3}); len(got) != 1 || got["c"] != every() {
		t.Errorf("kinds are %v, want c to be in all", got)
	}
	v.members[0].kinds = []string{"a", "a"}
	if kinds := v.kindsOf(2, without(every(), mine), []int32{1, 2}); len(kinds) != 1 || kinds["b"] != every() {
		t.Errorf("kinds are %v, want b in all", kinds)
	}
}

// What is given up, or not taken yet, is nobody's for the moment, of whatever kind: as with the shard itself.
func TestKindsBetweenTwoNodes(t *testing.T) {
	v := view{members: []member{{id: 1, kinds: []string{"a"}}, {id: 2, kinds: []string{"a", "b"}}, {id: 3, kinds: []string{"c"}}}}
	for shard := range v.owners {
		v.owners[shard] = 1
	}
	v.owners[7], v.owners[8] = 0, 9 // free, and of one that is not live
	live := []int32{1, 2, 3}
	mine, _ := v.ownedBy(1)
	given := store.Share{Shards: without(mine, setOf([]int16{5}))}
	given.Kinds = v.kindsOf(1, given.Shards, live)
	all := map[int32]*store.Share{1: &given}
	for id := int32(2); id <= 3; id++ {
		all[id] = &store.Share{Kinds: v.kindsOf(id, store.Shards{}, live)}
	}
	for _, c := range []struct {
		shard uint8
		kind  string
		want  []int32
	}{
		{4, "a", []int32{1}},
		{5, "a", nil},
		{7, "a", nil},
		{8, "a", nil},
		{4, "b", []int32{2}},
		{5, "b", []int32{2}},
		{7, "b", nil},
		{8, "b", nil},
		{4, "d", []int32{1}},
		{5, "d", nil},
	} {
		if got := holders(all, c.shard, c.kind); !slices.Equal(got, c.want) {
			t.Errorf("%v have %s in shard %d, want %v", got, c.kind, c.shard, c.want)
		}
	}
}

// What is worked out of kinds is kept until something changes that it was worked out by, and is the same as if it were not kept.
func TestParting_IsWorkedOutOnce(t *testing.T) {
	v := &view{members: []member{{id: 1, kinds: []string{"a"}, number: 1}, {id: 2, kinds: []string{"b"}, number: 1}, {id: 3, kinds: []string{"b"}}}}
	for shard := range v.owners {
		v.owners[shard] = int32(shard%3) + 1
	}
	live := []int32{1, 2, 3}
	var x parting
	var last uintptr
	same := func(what string, want bool) {
		t.Helper()
		set, _ := v.ownedBy(2)
		got := x.of(v, 2, set, slices.Clone(live))
		if diff := cmp.Diff(v.kindsOf(2, set, live), got); diff != "" {
			t.Errorf("%s: (-worked out anew +got)\n%s", what, diff)
		}
		at := reflect.ValueOf(got).Pointer()
		if (at == last) != want {
			t.Errorf("%s: worked out again: %v, want %v", what, at != last, !want)
		}
		last = at
	}
	same("at first", false)
	same("nothing new", true)
	v = &view{members: slices.Clone(v.members), owners: v.owners}
	same("another look that shows the same", true)
	v.owners[7] = 1
	same("a shard has another owner", false)
	v.members[2].kinds, v.members[2].number = []string{"a"}, 1
	same("other kinds", false)
	v.members[1].kinds = []string{"b", "c"}
	same("more kinds of its own", false)
	live = []int32{1, 2}
	same("a node less", false)
	same("nothing new", true)
}

// What is asked of the server does not grow with the kinds that are handled by the same nodes, but for their names.
func TestWithin_KindsOfTheSamePart(t *testing.T) {
	kinds := map[string]store.Shards{}
	for i := range 900 {
		kinds[fmt.Sprint("kind", i)] = store.Shards{uint64(i % 3)}
	}
	where, args := within(&store.Shards{1}, kinds, 6)
	if len(args) != 3 || len(args[1].([]byte)) != 3*32 || strings.Contains(where, "array_position") {
		t.Errorf("%q with %d arguments, want the shards, three parts of 32 bytes, and where each kind has its", where, len(args))
	}
}
