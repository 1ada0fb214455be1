package postgres

import (
	"fmt"
	"maps"
	"slices"

	"github.com/dulyhq/duly/store"
)

// What ownership rests on. A node stops the margin before its lease could end, counted from before the heartbeat was sent that prolonged
// it last, so that a node that can't be sure is one that does nothing.
const (
	leaseFor  = 2_000_000 // microseconds
	marginOf  = 200_000
	mostSkew  = 1_000_000 // a node whose clock is further off stands down
	twiceSeen = 2         // a lock is missing when it is twice in a row without a heartbeat: a session that breaks is followed by another at once
)

// A member is a row of the table of nodes, as one heartbeat has seen it.
type member struct {
	id      int32
	name    string
	session int64
	since   int64
	seenAt  int64
	leaseAt int64
	offset  int64
	goneAt  int64 // 0: not
	locked  bool  // it said that it holds its lock
	held    bool  // it is held
	kinds   []string
	number  int64 // of its last change of kinds
}

// standsDown says that the node itself owns nothing, because its clock is wrong.
func (m *member) standsDown() bool { return m.offset > mostSkew || m.offset < -mostSkew }

// lostBefore is the instant such that what the node started before it has nobody any more who works on it; 0 is none. One that has joined at an
// instant that is still to come did so before the server's clock was set back: what it starts by the new time is not lost.
func (m *member) lostBefore(now int64) store.Instant {
	since := m.since
	if since > now {
		since = 0
	}
	return store.Instant(max(since, m.goneAt))
}

// A view is what one heartbeat has seen.
type view struct {
	now      int64 // by the server's clock
	extended bool  // our lease goes on; else it had ended, or somebody has our name
	epoch    int64
	owners   [shards]int32 // 0: nobody
	members  []member
}

// shards is how many there are, for ever.
const shards = 256

// ownedBy returns the shards of a node.
func (v *view) ownedBy(id int32) (set store.Shards, n int) {
	for shard, owner := range v.owners {
		if owner == id {
			set.Add(uint8(shard))
			n++
		}
	}
	return set, n
}

// A watch remembers of the other nodes what one look does not tell.
type watch map[int32]*sight

type sight struct {
	session, seenAt int64
	since           int64 // boot time of the look from which on the row is as it is now
	missing         int   // in how many looks in a row its lock was missing
	lapsed, gone    bool
}

// look takes a view in, seen at boot time in nanoseconds, and says of each other node whether it has lapsed, which costs its shards, and
// whether its process is gone, which ends the leases of what it runs. Locks say nothing to a session that is young: they are all gone
// when a server has been restarted, or another one has taken its place, until their holders are back.
func (w watch) look(v *view, me int32, boot int64, young bool) {
	for id := range w {
		if !slices.ContainsFunc(v.members, func(m member) bool { return m.id == id }) {
			delete(w, id)
		}
	}
	for i := range v.members {
		m := &v.members[i]
		if m.id == me {
			continue
		}
		g := w[m.id]
		if g == nil || g.session != m.session || g.seenAt != m.seenAt { // it has beaten: it lived
			g = &sight{session: m.session, seenAt: m.seenAt, since: boot}
			w[m.id] = g
		}
		if m.locked && !m.held && !young {
			g.missing++
		} else {
			g.missing = 0
		}
		g.gone = m.goneAt != 0 || g.missing >= twiceSeen
		// The server's clock may be set back; a row that stays as it is tells the same.
		g.lapsed = m.leaseAt <= v.now || boot-g.since >= leaseFor*1000
	}
}

// A plan is what a node changes of ownership. Lapsed nodes are named with their last heartbeats, those that are gone with their sessions:
// it is off if they have moved.
type plan struct {
	lapsed     []int32
	lapsedSeen []int64
	gone       []int32
	goneOf     []int64
	give, take []int16
}

func (p *plan) empty() bool {
	return len(p.lapsed) == 0 && len(p.gone) == 0 && len(p.give) == 0 && len(p.take) == 0
}

// planned works out what is to change: those who are dead lose what they have, a node takes what is meant for it and is free, and gives
// up what is meant for another. Who stands down is meant for nothing, unless all would: then it is the server's clock that is wrong, and
// nothing would be better by it. Live are the nodes that are to own something: none that stands down while there are others.
func planned(v *view, w watch, me int32, down bool) (p plan, live []int32) {
	var off []int32
	free := map[int32]bool{0: true}
	for i := range v.members {
		m := &v.members[i]
		g := w[m.id]
		switch {
		case m.id == me:
			if down {
				off = append(off, m.id)
			} else {
				live = append(live, m.id)
			}
			continue
		case g.gone && m.goneAt == 0:
			p.gone, p.goneOf = append(p.gone, m.id), append(p.goneOf, m.session)
		case g.gone, g.lapsed:
			if _, n := v.ownedBy(m.id); n > 0 {
				p.lapsed, p.lapsedSeen = append(p.lapsed, m.id), append(p.lapsedSeen, m.seenAt)
			}
		case m.standsDown():
			off = append(off, m.id)
		default:
			live = append(live, m.id)
		}
		free[m.id] = g.gone || g.lapsed
	}
	if len(live) == 0 {
		live = off
	}
	for shard, owner := range v.owners {
		switch to := meant(uint8(shard), live); {
		case owner == me && to != me:
			p.give = append(p.give, int16(shard))
		case free[owner] && to == me && to != 0:
			p.take = append(p.take, int16(shard))
		}
	}
	return p, live
}

// kindsOf works out of which kinds a node has other shards than those of its own, which are set. Where the owner of a shard does not handle
// a kind, and others do who are live, it is meant for one of them. While a shard has no owner who is live, nobody has it: that does not last.
func (v *view) kindsOf(me int32, set store.Shards, live []int32) (kinds map[string]store.Shards) {
	handlers := map[string][]int32{}
	for i := range v.members {
		m := &v.members[i]
		if !slices.Contains(live, m.id) {
			continue
		}
		for _, kind := range m.kinds {
			if by := handlers[kind]; len(by) == 0 || by[len(by)-1] != m.id {
				handlers[kind] = append(by, m.id)
			}
		}
	}
	parts := map[string]store.Shards{} // those of nodes that handle the same are worked out once
	for kind, by := range handlers {
		if len(by) == len(live) { // who owns the shard handles it
			continue
		}
		who := fmt.Sprint(by)
		part, known := parts[who]
		if !known {
			part = v.partOf(me, set, live, by)
			parts[who] = part
		}
		if part == set {
			continue
		}
		if kinds == nil {
			kinds = map[string]store.Shards{}
		}
		kinds[kind] = part
	}
	return kinds
}

// A parting is what kindsOf has worked out, and by what: with hundreds of kinds that takes longer than a heartbeat, of which next to none
// tells anything new.
type parting struct {
	owners  [shards]int32
	set     store.Shards
	live    []int32
	numbers map[int32]kindNumber
	kinds   map[string]store.Shards
}

// A kindNumber tells whether the kinds of a node are those of another look: our own become more before the server has a number for them.
type kindNumber struct {
	number int64
	count  int
}

// of returns the same as kindsOf.
func (x *parting) of(v *view, me int32, set store.Shards, live []int32) map[string]store.Shards {
	numbers := make(map[int32]kindNumber, len(v.members))
	for i := range v.members {
		m := &v.members[i]
		numbers[m.id] = kindNumber{m.number, len(m.kinds)}
	}
	if x.numbers == nil || x.owners != v.owners || x.set != set || !slices.Equal(x.live, live) || !maps.Equal(x.numbers, numbers) {
		*x = parting{owners: v.owners, set: set, live: live, numbers: numbers, kinds: v.kindsOf(me, set, live)}
	}
	return x.kinds
}

// partOf returns the shards that a node has of a kind that some handle.
func (v *view) partOf(me int32, set store.Shards, live, by []int32) (part store.Shards) {
	if !slices.Contains(by, me) {
		return part
	}
	for shard, owner := range v.owners {
		s := uint8(shard)
		if own := slices.Contains(by, owner); own && set.Has(s) || !own && slices.Contains(live, owner) && meant(s, by) == me {
			part.Add(s)
		}
	}
	return part
}

// meant returns the node that a shard is meant for, 0 if there is none: the one with the greatest weight, so that a node that comes or
// goes moves no shards but its own. This is rendezvous hashing: D. G. Thaler, C. V. Ravishankar, "Using name-based mappings to increase
// hit rates", IEEE/ACM Transactions on Networking 6 (1998).
func meant(shard uint8, live []int32) (to int32) {
	var most uint64
	for _, id := range live {
		if w := weight(shard, id); to == 0 || w > most || w == most && id < to {
			to, most = id, w
		}
	}
	return to
}

// weight mixes a node and a shard, by the finalizer of splitmix64: G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number
// generators", OOPSLA 2014.
func weight(shard uint8, id int32) uint64 {
	z := (uint64(uint32(id))<<8 | uint64(shard)) * 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// setOf makes a set of a list.
func setOf(list []int16) (set store.Shards) {
	for _, shard := range list {
		set.Add(uint8(shard))
	}
	return set
}

// without returns the shards of a that are not in b.
func without(a, b store.Shards) store.Shards {
	for i := range a {
		a[i] &^= b[i]
	}
	return a
}

// every is the set of all shards.
func every() store.Shards {
	return store.Shards{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}
}
