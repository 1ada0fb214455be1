package timer

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

// checkSlab walks all chunks, free lists and bitmaps and says what is wrong. Live entries have a tag.
func checkSlab(s *slab) error {
	live, hint := 0, len(s.room)
	for n, c := range s.chunks {
		roomy := s.room[n>>6]>>(n&63)&1 == 1
		if c == nil {
			if !slices.Contains(s.gone, uint32(n)) {
				return fmt.Errorf("chunk %d is not there, nor among the released", n)
			}
			if roomy {
				return fmt.Errorf("chunk %d is not there, but has room", n)
			}
			continue
		}
		if err := checkChunk(s, uint32(n), c); err != nil {
			return fmt.Errorf("chunk %d: %w", n, err)
		}
		live += int(c.live)
		if want := c.live < chunkSize; roomy != want {
			return fmt.Errorf("chunk %d: room is %v with %d live", n, roomy, c.live)
		}
		if roomy {
			hint = min(hint, n>>6)
		}
		if c.live == 0 && int32(n) != s.spare && s.live > 0 {
			return fmt.Errorf("chunk %d is empty, but neither released nor spare", n)
		}
	}
	switch {
	case live != s.live:
		return fmt.Errorf("live is %d, want %d", s.live, live)
	case s.hint > hint:
		return fmt.Errorf("hint is %d, but there is room at %d", s.hint, hint)
	case len(s.gone) != countIf(s.chunks, func(c *chunk) bool { return c == nil }):
		return fmt.Errorf("%d chunks count as released: %v", len(s.gone), s.gone)
	case s.spare >= 0 && (s.chunks[s.spare] == nil || s.chunks[s.spare].live > 0):
		return fmt.Errorf("the spare chunk %d is not an empty one", s.spare)
	}
	return nil
}

func checkChunk(s *slab, n uint32, c *chunk) error {
	live := uint32(0)
	for o := range c.entries {
		if c.entries[o].tag != 0 {
			live++
			if uint32(o) >= c.used {
				return fmt.Errorf("entry %d is live, but only %d were handed out", o, c.used)
			}
		}
	}
	if live != c.live {
		return fmt.Errorf("live is %d, want %d", c.live, live)
	}
	free, prev := uint32(0), uint32(nilIdx)
	for idx := c.free; idx != nilIdx; idx = s.at(idx).next {
		en := s.at(idx)
		switch {
		case idx>>chunkBits != n:
			return fmt.Errorf("the free list leads to %d", idx)
		case en.tag != 0 || en.name != "" || en.what != nil || en.due != 0:
			return fmt.Errorf("entry %d is free, but not empty: %+v", idx, *en)
		case en.prev != prev:
			return fmt.Errorf("free entry %d has %d before it, want %d", idx, en.prev, prev)
		case free > c.used:
			return errors.New("the free list has a ring")
		}
		prev = idx
		free++
	}
	if free+live != c.used {
		return fmt.Errorf("%d free and %d live of %d handed out", free, live, c.used)
	}
	return nil
}

func countIf[T any](all []T, f func(T) bool) (n int) {
	for _, v := range all {
		if f(v) {
			n++
		}
	}
	return n
}

// slabProperty runs random operations on a slab beside a map of what it holds.
func slabProperty(t *rapid.T) {
	s := &slab{}
	s.init()
	held := map[uint32]uint64{} // index -> identity
	var freed []uint32
	id := uint64(0)
	take := func(t *rapid.T, idx uint32) {
		if _, ok := held[idx]; ok {
			t.Fatalf("entry %d was handed out twice", idx)
		}
		en := s.at(idx)
		if want := (entry{next: nilIdx, prev: nilIdx}); *en != want {
			t.Fatalf("entry %d is %+v, want %+v", idx, *en, want)
		}
		id++
		en.tag, en.name, en.what, en.due = makeTag(id), "x", id, 1
		held[idx] = id
	}
	drop := func(idx uint32) {
		s.free(idx)
		delete(held, idx)
		freed = append(freed, idx)
	}
	sorted := func() []uint32 {
		all := make([]uint32, 0, len(held))
		for idx := range held {
			all = append(all, idx)
		}
		slices.Sort(all)
		return all
	}
	t.Repeat(map[string]func(*rapid.T){
		"": func(t *rapid.T) {
			if err := checkSlab(s); err != nil {
				t.Fatal(err)
			}
			for idx, id := range held {
				if en := s.get(idx); en == nil || en.id() != id {
					t.Fatalf("entry %d is %+v, want the identity %d", idx, en, id)
				}
			}
			for _, idx := range freed { // a stale index finds nothing, or somebody else's identity
				if en := s.get(idx); en != nil && en.tag != 0 && held[idx] == 0 {
					t.Fatalf("entry %d was given back, but has identity %d", idx, en.id())
				}
			}
			if len(held) == 0 && (len(s.chunks) > 1 || len(s.chunks) == 1 && len(s.chunks[0].entries) > smallChunk) {
				t.Fatalf("the empty slab keeps %d chunks", len(s.chunks))
			}
		},
		"alloc": func(t *rapid.T) {
			for range rapid.SampledFrom([]int{1, 1, 1, 15, 64, 1000, 1024, 3000}).Draw(t, "number") {
				take(t, s.alloc())
			}
		},
		"free one": func(t *rapid.T) {
			all := sorted()
			if len(all) == 0 {
				t.Skip("nothing is there")
			}
			drop(all[rapid.IntRange(0, len(all)-1).Draw(t, "entry")])
		},
		"free a range": func(t *rapid.T) {
			all := sorted()
			from := rapid.IntRange(0, len(all)).Draw(t, "from")
			for _, idx := range all[from:rapid.IntRange(from, len(all)).Draw(t, "to")] {
				drop(idx)
			}
		},
		"free every other": func(*rapid.T) {
			for i, idx := range sorted() {
				if i%2 == 0 {
					drop(idx)
				}
			}
		},
		"take back": func(t *rapid.T) {
			if len(freed) == 0 {
				t.Skip("nothing was given back")
			}
			idx := rapid.SampledFrom(freed).Draw(t, "index")
			_, taken := held[idx]
			en := s.get(idx)
			c := int(idx >> chunkBits)
			there := en != nil && s.chunks[c] != nil && idx&(chunkSize-1) < s.chunks[c].used
			if got, want := s.allocAt(idx), there && !taken; got != want {
				t.Fatalf("allocAt(%d) is %v, want %v", idx, got, want)
			} else if got {
				take(t, idx)
			}
		},
	})
}

func TestSlab_AgreesWithMap(t *testing.T) {
	checkRapid(t, 50, 30, slabProperty)
}

// A chunk with no live entry goes back to the garbage collector, but for one; those in use stay where they are.
func TestSlab_ReleasesEmptyChunks(t *testing.T) {
	s := &slab{}
	s.init()
	const chunks = 10
	var all []uint32
	for range chunks * chunkSize {
		idx := s.alloc()
		s.at(idx).tag = makeTag(1)
		all = append(all, idx)
	}
	there := func() int { return countIf(s.chunks, func(c *chunk) bool { return c != nil }) }
	if got := there(); got != chunks {
		t.Fatalf("%d entries take %d chunks, want %d", len(all), got, chunks)
	}
	for _, idx := range all[chunkSize : 9*chunkSize] {
		s.free(idx)
	}
	if got, want := there(), 3; got != want { // the first, the last and the spare one
		t.Errorf("%d chunks are left, want %d", got, want)
	}
	for range 8 * chunkSize {
		s.at(s.alloc()).tag = makeTag(1)
	}
	if got := len(s.chunks); got != chunks {
		t.Errorf("there are numbers for %d chunks, want %d: released ones are used again", got, chunks)
	}
	if err := checkSlab(s); err != nil {
		t.Error(err)
	}
}

// One entry given back and taken again at a chunk's border must not make and drop a chunk each time.
func TestSlab_DoesNotThrash(t *testing.T) {
	s := &slab{}
	s.init()
	for range chunkSize {
		s.at(s.alloc()).tag = makeTag(1)
	}
	edge := func() {
		idx := s.alloc()
		s.at(idx).tag = makeTag(2)
		s.free(idx)
	}
	edge()
	if n := testing.AllocsPerRun(100, edge); n != 0 {
		t.Errorf("alloc and free at a chunk's border allocate %v times, want 0", n)
	}
}

func TestEntry_Is56Bytes(t *testing.T) {
	if got := unsafe.Sizeof(entry{}); unsafe.Sizeof(uintptr(0)) == 8 && got != 56 {
		t.Errorf("an entry has %d bytes, want 56", got)
	}
}

func TestEntry_TagKeepsItsParts(t *testing.T) {
	const last = 1<<idBits - 1
	for _, id := range []uint64{1, 2, 1 << 42, last} {
		en := entry{tag: makeTag(id)}
		en.tag |= flagLinked | flagWall
		for range 3 {
			en.tag += 1 << flagBits // a revision, as Move counts it
		}
		if got := en.id(); got != id {
			t.Errorf("id is %d, want %d", got, id)
		}
		if got, want := en.generation(), id<<revBits+3; got != want || generationID(got) != id {
			t.Errorf("generation is %d, want %d", got, want)
		}
		if !en.linked() || !en.onWall() {
			t.Errorf("flags of %#x were lost", en.tag)
		}
		if en.clearFlag(flagLinked); en.linked() || !en.onWall() || en.id() != id {
			t.Errorf("clearing one flag changed more: %#x", en.tag)
		}
	}
}
