package timer

import (
	"math"
	"math/bits"
)

// A wheel orders the entries of one timeline by due time: a hierarchical timing wheel (Varghese and Lauck, SOSP 1987,
// scheme 7) of eight levels with 64 slots each. The lowest level's slots are a tick of 65,536 ns wide and every level's
// slots are 64 times as wide as those of the level below. An entry sits on the level of the highest digit (base 64) in
// which its tick differs from the wheel's own, so that
//
//   - the lowest level that is occupied holds the earliest entry, in its lowest occupied slot, which one bitmap tells;
//   - entries with the same due time always share a slot, and each slot is a queue: they leave first in, first out;
//   - nothing happens between one entry and the next: the wheel jumps, it never ticks.
//
// The tick bounds nothing but how finely slots are sorted: an entry leaves at its due time to the nanosecond.
//
// An entry's due time may be raised in place; the wheel notices when the entry's old slot comes (lazy re-arming). The
// wheel has no clock, no lock and no goroutine.
type wheel struct {
	elapsed  uint64 // the tick up to which everything has left
	phase    uint64 // shifts this wheel's slot boundaries against those of other shards
	count    int
	halfway  int // the level of a slot of which one part was moved down; 0 if there is none
	occupied [wheelLevels]uint64
	levels   [wheelLevels]*[64]slot // made on first use
}

// A slot is a queue of entries. The first one's prev and the last one's next hold slotMark and the slot's place.
type slot struct{ head, tail uint32 }

const (
	tickShift   = 16
	wheelLevels = 8
	slotMark    = 1 << 31
	scanLimit   = 64 // a slot with no more entries than this is searched for its exact earliest due time
	never       = math.MaxInt64
)

func (w *wheel) tick(due int64) uint64 { return (uint64(due) + w.phase) >> tickShift }

// timeOf is the first instant of a tick.
func (w *wheel) timeOf(tick uint64) int64 {
	t := tick << tickShift
	if t <= w.phase {
		return 0
	}
	return int64(min(t-w.phase, never))
}

// add queues an entry by its due time. An empty wheel first jumps to the time given.
func (w *wheel) add(s *slab, idx uint32, now int64) {
	if w.count == 0 {
		w.elapsed = w.tick(now)
	}
	w.count++
	w.place(s, idx)
}

func (w *wheel) place(s *slab, idx uint32) {
	en := s.at(idx)
	t := max(w.tick(en.due), w.elapsed)
	lvl := 0
	if x := t ^ w.elapsed; x != 0 {
		lvl = (63 - bits.LeadingZeros64(x)) / 6
	}
	n := uint32(t>>(6*lvl)) & 63
	slots := w.levels[lvl]
	if slots == nil {
		slots = new([64]slot)
		w.levels[lvl] = slots
	}
	q := &slots[n]
	mark := slotMark | uint32(lvl)<<6 | n
	if bit := uint64(1) << n; w.occupied[lvl]&bit == 0 {
		w.occupied[lvl] |= bit
		q.head, q.tail = idx, idx
		en.prev, en.next = mark, mark
		return
	}
	s.at(q.tail).next = idx
	en.prev, en.next = q.tail, mark
	q.tail = idx
}

// remove takes an entry out.
func (w *wheel) remove(s *slab, idx uint32) {
	w.count--
	w.unlink(s, idx)
}

func (w *wheel) unlink(s *slab, idx uint32) {
	en := s.at(idx)
	next, prev := en.next, en.prev
	en.next, en.prev = nilIdx, nilIdx
	switch {
	case prev&slotMark != 0 && next&slotMark != 0:
		w.occupied[prev>>6&7] &^= 1 << (prev & 63)
	case prev&slotMark != 0:
		w.levels[prev>>6&7][prev&63].head = next
		s.at(next).prev = prev
	case next&slotMark != 0:
		w.levels[next>>6&7][next&63].tail = prev
		s.at(prev).next = next
	default:
		s.at(next).prev = prev
		s.at(prev).next = next
	}
}

// first finds the slot that holds the earliest entry: its level, its number and its first tick.
func (w *wheel) first() (lvl int, n uint32, start uint64, ok bool) {
	if lvl = w.halfway; lvl > 0 {
		// The rest of this slot may come before what was moved down. No other slot holds the wheel's own tick above level 0.
		if n = uint32(w.elapsed>>(6*lvl)) & 63; w.occupied[lvl]>>n&1 == 1 {
			return lvl, n, w.elapsed >> (6 * lvl) << (6 * lvl), true
		}
		w.halfway = 0
	}
	for lvl = range w.occupied {
		if occ := w.occupied[lvl]; occ != 0 {
			n = uint32(bits.TrailingZeros64(occ))
			start = w.elapsed>>(6*(lvl+1))<<(6*(lvl+1)) | uint64(n)<<(6*lvl)
			return lvl, n, start, true
		}
	}
	return 0, 0, 0, false
}

// expire takes out entries that are due by now, appends them to out in the order of their slots, and says whether it
// stopped at the limit with more to do. One call looks at no more than limit entries; where more than that share the tick
// that has begun, those that are due may wait for its end.
func (w *wheel) expire(s *slab, now int64, limit int, out []uint32) (due []uint32, more bool) {
	target, work, waiting := w.tick(now), 0, 0
	for {
		lvl, n, start, ok := w.first()
		if !ok || start > target {
			w.elapsed = max(w.elapsed, target)
			return out, false
		}
		w.elapsed = max(w.elapsed, start)
		for idx := w.levels[lvl][n].head; idx&slotMark == 0; {
			en := s.at(idx)
			next := en.next
			switch {
			case lvl == 0 && en.due <= now:
				w.remove(s, idx)
				out = append(out, idx)
			case lvl > 0 || w.tick(en.due) > start:
				w.unlink(s, idx)
				w.place(s, idx)
			default:
				waiting++
			}
			idx = next
			if work++; work >= limit {
				w.halfway = lvl
				return out, work > waiting
			}
		}
		if lvl == 0 && start == target && w.occupied[0]&(1<<n) != 0 {
			return out, false // the rest of this tick lies ahead
		}
	}
}

// next returns a time by which expire must be called, or never: the exact due time of the earliest entry where its slot
// is short, else the time by which that slot must be looked at. It puts entries that were re-armed into their place.
func (w *wheel) next(s *slab) int64 {
	for {
		lvl, n, start, ok := w.first()
		if !ok {
			return never
		}
		if lvl > 0 && start <= w.elapsed {
			return w.timeOf(start) // it is being moved down
		}
		end := start + 1<<(6*lvl) // exclusive
		best, seen := int64(never), 0
		for idx := w.levels[lvl][n].head; idx&slotMark == 0; {
			en := s.at(idx)
			following := en.next
			if w.tick(en.due) >= end {
				w.unlink(s, idx)
				w.place(s, idx)
			} else {
				best = min(best, en.due)
			}
			idx = following
			if seen++; seen > scanLimit {
				if lvl > 0 {
					return w.timeOf(start)
				}
				return w.timeOf(end)
			}
		}
		if w.occupied[lvl]&(1<<n) != 0 {
			return best
		}
	}
}

// rewind puts all entries into place again as of an earlier time: for a clock that was set back.
func (w *wheel) rewind(s *slab, now int64) {
	all := make([]uint32, 0, w.count)
	for lvl := range w.levels {
		for occ := w.occupied[lvl]; occ != 0; occ &= occ - 1 {
			for idx := w.levels[lvl][bits.TrailingZeros64(occ)].head; idx&slotMark == 0; idx = s.at(idx).next {
				all = append(all, idx)
			}
		}
		w.occupied[lvl] = 0
	}
	w.elapsed = w.tick(now)
	for _, idx := range all {
		w.place(s, idx)
	}
}
