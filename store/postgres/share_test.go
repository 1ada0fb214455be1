package postgres

import (
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/store"
)

// Rendezvous hashing moves no shard but those of the node that comes or goes, and divides them evenly enough.
func TestMeantMovesOnlyWhatItMust(t *testing.T) {
	live := []int32{1, 2, 3, 17, 40_000}
	var before [shards]int32
	count := map[int32]int{}
	for shard := range shards {
		before[shard] = meant(uint8(shard), live)
		count[before[shard]]++
	}
	for _, id := range live {
		if n := count[id]; n < shards/len(live)/2 || n > shards/len(live)*2 {
			t.Errorf("node %d has %d of %d shards among %d nodes", id, n, shards, len(live))
		}
	}
	for i, gone := range live {
		rest := slices.Delete(slices.Clone(live), i, i+1)
		for shard := range shards {
			after := meant(uint8(shard), rest)
			if before[shard] == gone && after == gone || before[shard] != gone && after != before[shard] {
				t.Errorf("shard %d moves from %d to %d when node %d leaves", shard, before[shard], after, gone)
			}
		}
	}
	if got := meant(7, nil); got != 0 {
		t.Errorf("without nodes a shard is meant for %d, want 0", got)
	}
}

// What a node says of the others, one line for each look: at is boot time in milliseconds.
func TestWatch(t *testing.T) {
	type look struct {
		at           int64
		m            member
		young        bool
		lapsed, gone bool
	}
	row := func(change func(m *member)) member {
		m := member{id: 2, session: 9, seenAt: 10_000_000, leaseAt: 12_000_000, locked: true, held: true}
		if change != nil {
			change(&m)
		}
		return m
	}
	const now = 11_000_000
	unlocked := row(func(m *member) { m.held = false })
	for name, looks := range map[string][]look{
		"alive": {{at: 0, m: row(nil)}, {at: 250, m: row(nil)}},
		"its lease has ended, its lock is held: frozen": {
			{at: 0, m: row(func(m *member) { m.leaseAt = now }), lapsed: true},
			{at: 250, m: row(func(m *member) { m.leaseAt = now }), lapsed: true},
		},
		"its lock is missing twice in a row": {{at: 0, m: unlocked}, {at: 250, m: unlocked, gone: true}},
		"its lock was back in between":       {{at: 0, m: unlocked}, {at: 250, m: row(nil)}, {at: 500, m: unlocked}},
		"it has beaten since, by another session, whose lock is missing again": {
			{at: 0, m: unlocked},
			{at: 250, m: row(func(m *member) { m.held = false; m.seenAt += 200_000 })},
			{at: 500, m: row(func(m *member) { m.held = false; m.seenAt += 200_000 }), gone: true},
		},
		"another session has its name": {
			{at: 0, m: unlocked},
			{at: 250, m: row(func(m *member) { m.held = false; m.session++ })},
		},
		"it never had a lock: a pooler": {
			{at: 0, m: row(func(m *member) { m.locked, m.held = false, false })},
			{at: 250, m: row(func(m *member) { m.locked, m.held = false, false })},
		},
		"our session is young": { // contract: D1
			{at: 0, m: unlocked, young: true}, {at: 250, m: unlocked, young: true}, {at: 500, m: unlocked}, {at: 750, m: unlocked, gone: true},
		},
		"the server's clock was set back: it does not stir for a lease": {
			{at: 0, m: row(func(m *member) { m.leaseAt = now * 2 })},
			{at: 1900, m: row(func(m *member) { m.leaseAt = now * 2 })},
			{at: 2000, m: row(func(m *member) { m.leaseAt = now * 2 }), lapsed: true},
		},
		"it was found to be gone": {{at: 0, m: row(func(m *member) { m.goneAt = now; m.leaseAt = 0 }), lapsed: true, gone: true}},
	} {
		t.Run(name, func(t *testing.T) {
			w := watch{}
			for i, l := range looks {
				w.look(&view{now: now, members: []member{{id: 1}, l.m}}, 1, l.at*1_000_000, l.young)
				if g := w[2]; g.lapsed != l.lapsed || g.gone != l.gone {
					t.Errorf("look %d: lapsed %v, gone %v; want %v, %v", i, g.lapsed, g.gone, l.lapsed, l.gone)
				}
			}
			if w[1] != nil {
				t.Error("a node watches itself")
			}
			w.look(&view{now: now, members: []member{{id: 1}}}, 1, 3_000_000_000, false)
			if len(w) != 0 {
				t.Error("a node that has left is remembered")
			}
		})
	}
}

// What a node changes. owners[0] and owners[1] are those of a shard that is meant for node 1 and of one that is meant for node 2.
func TestPlanned(t *testing.T) {
	find := func(id int32) uint8 {
		for shard := range shards {
			if meant(uint8(shard), []int32{1, 2}) == id {
				return uint8(shard)
			}
		}
		panic("node " + strconv.Itoa(int(id)) + " has no shard")
	}
	ours, theirs := find(1), find(2)
	for name, c := range map[string]struct {
		owners [2]int32
		other  member
		state  sight
		down   bool
		want   plan
		aside  bool
	}{
		"all is as it should be":    {owners: [2]int32{1, 2}},
		"ours is free":              {owners: [2]int32{0, 2}, want: plan{take: []int16{int16(ours)}}},
		"theirs is free":            {owners: [2]int32{1, 0}},
		"theirs is ours":            {owners: [2]int32{1, 1}, want: plan{give: []int16{int16(theirs)}}},
		"ours is theirs still":      {owners: [2]int32{2, 2}},
		"we stand down":             {owners: [2]int32{1, 2}, down: true, want: plan{give: []int16{int16(ours)}}, aside: true},
		"both would stand down":     {owners: [2]int32{1, 2}, down: true, other: member{offset: mostSkew + 1}},
		"both would, ours is free":  {owners: [2]int32{0, 2}, down: true, other: member{offset: mostSkew + 1}, want: plan{take: []int16{int16(ours)}}},
		"the other stands down":     {owners: [2]int32{1, 0}, other: member{offset: mostSkew + 1}, want: plan{take: []int16{int16(theirs)}}},
		"the other is slow to":      {owners: [2]int32{1, 2}, other: member{offset: -mostSkew - 1}},
		"the other is a second off": {owners: [2]int32{1, 0}, other: member{offset: mostSkew}},
		"the other has lapsed": {
			owners: [2]int32{1, 2}, other: member{seenAt: 5}, state: sight{lapsed: true},
			want: plan{lapsed: []int32{2}, lapsedSeen: []int64{5}, take: []int16{int16(theirs)}},
		},
		"it had nothing": {owners: [2]int32{1, 0}, state: sight{lapsed: true}, want: plan{take: []int16{int16(theirs)}}},
		"the other is gone": {
			owners: [2]int32{1, 2}, other: member{session: 7}, state: sight{gone: true, lapsed: true},
			want: plan{gone: []int32{2}, goneOf: []int64{7}, take: []int16{int16(theirs)}},
		},
		"it was gone, and has nothing": {owners: [2]int32{1, 1}, other: member{goneAt: 3}, state: sight{gone: true, lapsed: true}},
		"it is gone and we would stand down": {
			owners: [2]int32{0, 2}, down: true, other: member{session: 7}, state: sight{gone: true},
			want: plan{gone: []int32{2}, goneOf: []int64{7}, take: []int16{int16(min(ours, theirs)), int16(max(ours, theirs))}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.other.id = 2
			v := view{members: []member{{id: 1}, c.other}}
			for shard := range shards { // those that are not looked at are where they should be
				v.owners[shard] = 9
			}
			v.owners[ours], v.owners[theirs] = c.owners[0], c.owners[1]
			got, live := planned(&v, watch{2: &c.state}, 1, c.down)
			if aside := c.down && !slices.Contains(live, 1); aside != c.aside {
				t.Errorf("it stands down: %v, want %v; %v are live", aside, c.aside, live)
			}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(plan{})); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if got.empty() != cmp.Equal(c.want, plan{}, cmp.AllowUnexported(plan{})) {
				t.Errorf("empty is %v of %+v", got.empty(), got)
			}
		})
	}
}

func TestSets(t *testing.T) {
	a := setOf([]int16{0, 63, 64, 255})
	if got, want := without(a, setOf([]int16{63, 100})), setOf([]int16{0, 64, 255}); got != want {
		t.Errorf("without is %x, want %x", got, want)
	}
	if got := without(every(), every()); got != (store.Shards{}) {
		t.Errorf("everything without everything is %x", got)
	}
}
