package timer

// later is what a shard puts off: linking entries that are new, and unlinking entries that were dropped. Both touch other
// entries, which in a large slab are in cold memory; done a batch at a time those accesses overlap, where one at a time
// each would be waited for at the next unlock. An entry that is dropped while it waits to be linked never touches the
// wheel at all. Whoever looks at the wheels settles first.
//
// What is put off is bounded: laterSize entries of either kind. A dropped entry gives up its name and its function at
// once; only its 56 bytes wait. When nothing but dropped entries is left they are freed too.
type later struct {
	fresh []uint32 // to be linked, in order; nilIdx where the entry has left
	dead  []uint32 // to be unlinked and freed, unless revived
	gone  int      // dead entries, each counted once
	boot  int64    // a recent time, for a wheel that is empty
	wall  int64
}

const laterSize = 64

// putOffLocked lets a new entry be linked later.
func (sh *shard) putOffLocked(idx uint32, en *entry) {
	if len(sh.later.fresh) == laterSize {
		sh.settleLocked()
	}
	en.next = uint32(len(sh.later.fresh))
	sh.later.fresh = append(sh.later.fresh, idx)
}

// recallLocked takes back an entry that was to be linked.
func (sh *shard) recallLocked(en *entry) {
	f := sh.later.fresh
	f[en.next] = nilIdx
	en.next = nilIdx
	n := len(f)
	for n > 0 && f[n-1] == nilIdx {
		n--
	}
	sh.later.fresh = f[:n]
}

// buryLocked lets an entry that is in a wheel be unlinked and freed later.
func (sh *shard) buryLocked(idx uint32, en *entry) {
	en.name, en.what = "", nil
	en.tag |= flagDead
	sh.later.gone++
	if sh.later.dead = append(sh.later.dead, idx); len(sh.later.dead) == laterSize || sh.later.gone == sh.slab.live {
		sh.buryAllLocked()
	}
}

// settleLocked does what was put off.
func (sh *shard) settleLocked() {
	if len(sh.later.dead) > 0 {
		sh.buryAllLocked()
	}
	for _, idx := range sh.later.fresh {
		if idx == nilIdx {
			continue
		}
		en := sh.slab.at(idx)
		en.clearFlag(flagFresh)
		en.next = nilIdx
		if en.onWall() {
			sh.wallWheel().add(&sh.slab, idx, sh.later.wall)
		} else {
			sh.boot.add(&sh.slab, idx, sh.later.boot)
		}
	}
	sh.later.fresh = sh.later.fresh[:0]
}

// buryAllLocked first unlinks all and then frees them: unlinking touches neighbours, which may be dead too.
func (sh *shard) buryAllLocked() {
	dead := sh.later.dead
	for _, idx := range dead {
		if en := sh.slab.get(idx); en != nil && en.dead() && en.linked() { // one that was revived and died again is here twice
			en.clearFlag(flagLinked)
			sh.wheelOf(en).remove(&sh.slab, idx)
		}
	}
	sh.later.dead, sh.later.gone = dead[:0], 0
	for _, idx := range dead {
		if en := sh.slab.get(idx); en != nil && en.dead() { // one that was revived may even be gone, with its chunk
			sh.slab.free(idx)
			if sh.slab.live == 0 {
				return
			}
		}
	}
}

func (sh *shard) wheelOf(en *entry) *wheel {
	if en.onWall() {
		return sh.wall
	}
	return &sh.boot
}
