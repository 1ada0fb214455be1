package timer

import "math/bits"

// An entry is one pending timer or task: 56 bytes. Entries refer to each other by index, never by pointer, so a garbage
// collection does not chase the links, and a handle that outlived its entry is told by the identity, not by luck.
type entry struct {
	next, prev uint32 // neighbours in the wheel's slot or in the chunk's free list; see slotMark
	due        int64  // ns on the entry's timeline, never negative
	tag        uint64 // identity, revision and flags; see the constants below
	name       string // empty for unnamed timers
	what       any    // func() of an unnamed timer, Handler of a plain task, *record of any other
}

// The tag of an entry: 43 bits of identity (given once per Put, rising within the shard, never used twice), 17 bits of
// revision (counted by Move) and 4 bits of flags. Identity and revision together are the generation that users see.
const (
	flagWall   = 1 << 0 // the due time is on the wall clock's timeline
	flagLinked = 1 << 1 // the entry is in a wheel, or will be
	flagFresh  = 1 << 2 // the entry is not in the wheel yet
	flagDead   = 1 << 3 // the entry is in the wheel still, and nobody's
	flagBits   = 4
	revBits    = 17
	idBits     = 64 - revBits - flagBits
	maxRev     = 1<<revBits - 1
	flagMask   = 1<<flagBits - 1
)

func makeTag(id uint64) uint64       { return id << (revBits + flagBits) }
func (en *entry) id() uint64         { return en.tag >> (revBits + flagBits) }
func (en *entry) generation() uint64 { return en.tag >> flagBits }
func (en *entry) linked() bool       { return en.tag&flagLinked != 0 }
func (en *entry) dead() bool         { return en.tag&flagDead != 0 }
func (en *entry) fresh() bool        { return en.tag&flagFresh != 0 }
func (en *entry) onWall() bool       { return en.tag&flagWall != 0 }
func (en *entry) clearFlag(f uint64) { en.tag &^= f }
func generationID(gen uint64) uint64 { return gen >> revBits }

const (
	chunkBits  = 10
	chunkSize  = 1 << chunkBits // 1,024 entries of 56 bytes are exactly seven 8 KiB pages
	firstChunk = 16             // the first chunk starts with this many entries and doubles
	smallChunk = 64             // a first chunk of at most this many is kept when the slab is empty
	nilIdx     = 1<<32 - 1
	maxEntries = 1 << 30 // per shard; indexes above carry slotMark
)

type chunk struct {
	entries []entry
	free    uint32 // first of the free list, as an index into the slab; nilIdx if empty
	used    uint32 // entries below this offset have been handed out at least once
	live    uint32
}

func (c *chunk) hasRoom() bool { return c.live < chunkSize }

// A slab hands out entries and takes them back. A chunk that holds no live entry is given back to the garbage
// collector, but for one that is kept against thrashing. Not safe for concurrent use: the shard's lock guards it.
type slab struct {
	chunks []*chunk
	room   []uint64 // a bit for every chunk that exists and has a free entry
	hint   int      // no word of room below this one is non-zero
	gone   []uint32 // chunk numbers that were released and may be made again
	live   int
	spare  int32 // number of the empty chunk that is kept, or -1
}

func (s *slab) init() { s.spare = -1 }

// at returns the entry, which stays where it is until the next alloc.
func (s *slab) at(idx uint32) *entry {
	return &s.chunks[idx>>chunkBits].entries[idx&(chunkSize-1)]
}

// get is at for an index that may be stale; it returns nil where nothing is.
func (s *slab) get(idx uint32) *entry {
	if c := int(idx >> chunkBits); c < len(s.chunks) && s.chunks[c] != nil {
		if o := int(idx & (chunkSize - 1)); o < len(s.chunks[c].entries) {
			return &s.chunks[c].entries[o]
		}
	}
	return nil
}

// alloc returns the index of an entry that is zero but for its links, which are nilIdx.
func (s *slab) alloc() uint32 {
	n := s.roomy()
	c := s.chunks[n]
	if int32(n) == s.spare {
		s.spare = -1
	}
	idx := c.free
	if idx != nilIdx {
		s.unfree(c, idx)
	} else {
		if int(c.used) == len(c.entries) {
			grown := make([]entry, 2*len(c.entries)) // only the first chunk is ever shorter than chunkSize
			copy(grown, c.entries)
			c.entries = grown
		}
		idx = uint32(n)<<chunkBits | c.used
		c.used++
	}
	s.took(n, c)
	en := s.at(idx)
	en.next, en.prev = nilIdx, nilIdx
	return idx
}

// allocAt is alloc for one given index, and says whether that entry was free to take.
func (s *slab) allocAt(idx uint32) bool {
	n := int(idx >> chunkBits)
	if n >= len(s.chunks) || s.chunks[n] == nil {
		return false
	}
	c := s.chunks[n]
	if idx&(chunkSize-1) >= c.used {
		return false
	}
	en := s.at(idx)
	if en.tag != 0 {
		return false
	}
	if int32(n) == s.spare {
		s.spare = -1
	}
	s.unfree(c, idx)
	s.took(n, c)
	en.next, en.prev = nilIdx, nilIdx
	return true
}

func (s *slab) took(n int, c *chunk) {
	c.live++
	s.live++
	if !c.hasRoom() {
		s.room[n>>6] &^= 1 << (n & 63)
	}
}

func (s *slab) unfree(c *chunk, idx uint32) {
	en := s.at(idx)
	if en.prev == nilIdx {
		c.free = en.next
	} else {
		s.at(en.prev).next = en.next
	}
	if en.next != nilIdx {
		s.at(en.next).prev = en.prev
	}
}

// free takes an entry back and forgets all it refers to.
func (s *slab) free(idx uint32) {
	n := int(idx >> chunkBits)
	c := s.chunks[n]
	en := s.at(idx)
	*en = entry{next: c.free, prev: nilIdx}
	if c.free != nilIdx {
		s.at(c.free).prev = idx
	}
	c.free = idx
	c.live--
	s.live--
	s.room[n>>6] |= 1 << (n & 63)
	s.hint = min(s.hint, n>>6)
	switch {
	case s.live == 0:
		s.reset()
	case c.live == 0:
		s.retire(n)
	}
}

// reset releases everything but a small first chunk.
func (s *slab) reset() {
	if len(s.chunks) == 1 && len(s.chunks[0].entries) <= smallChunk {
		return
	}
	*s = slab{spare: -1}
}

func (s *slab) retire(n int) {
	if s.spare < 0 {
		s.spare = int32(n)
		return
	}
	s.chunks[n] = nil
	s.room[n>>6] &^= 1 << (n & 63)
	s.gone = append(s.gone, uint32(n))
}

// roomy returns the number of a chunk with a free entry: the lowest, so that the highest empty out.
func (s *slab) roomy() int {
	for ; s.hint < len(s.room); s.hint++ {
		if w := s.room[s.hint]; w != 0 {
			return s.hint<<6 + bits.TrailingZeros64(w)
		}
	}
	n, size := len(s.chunks), chunkSize
	switch {
	case len(s.gone) > 0:
		n = int(s.gone[len(s.gone)-1])
		s.gone = s.gone[:len(s.gone)-1]
	case n == 0:
		size = firstChunk
		fallthrough
	default:
		s.chunks = append(s.chunks, nil)
		if n>>6 == len(s.room) {
			s.room = append(s.room, 0)
		}
	}
	s.chunks[n] = &chunk{entries: make([]entry, size), free: nilIdx}
	s.room[n>>6] |= 1 << (n & 63)
	s.hint = min(s.hint, n>>6)
	return n
}
