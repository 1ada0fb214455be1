package timer

// names is the shard's table from a name's hash to the index of its entry: open addressing with linear probing, deletion
// by shifting back, and the hash beside the index, so that neither probing nor growing touches an entry. It grows by
// half, so that a name costs 10 to 15 bytes. The source of both techniques is Knuth, The Art of Computer Programming,
// volume 3, 6.4 (algorithms L and R); the reduction of the hash by multiplication is Lemire's (2019,
// doi:10.1145/3230636).
type names struct {
	slots []uint64 // hash<<32 | index+1; zero is empty
	count int
}

const minNames = 16

func (t *names) home(hash uint32) int {
	return int(uint64(hash) * uint64(len(t.slots)) >> 32)
}

// find returns the index whose entry has the name, or nilIdx.
func (t *names) find(hash uint32, name string, s *slab) uint32 {
	if t.count == 0 {
		return nilIdx
	}
	for i := t.home(hash); t.slots[i] != 0; {
		if v := t.slots[i]; uint32(v>>32) == hash {
			if idx := uint32(v) - 1; s.at(idx).name == name {
				return idx
			}
		}
		if i++; i == len(t.slots) {
			i = 0
		}
	}
	return nilIdx
}

// add records a name that is not there.
func (t *names) add(hash uint32, idx uint32) {
	if (t.count+1)*5 > len(t.slots)*4 {
		t.resize(max(minNames, len(t.slots)+len(t.slots)/2))
	}
	t.place(uint64(hash)<<32 | uint64(idx+1))
	t.count++
}

func (t *names) place(v uint64) {
	i := t.home(uint32(v >> 32))
	for t.slots[i] != 0 {
		if i++; i == len(t.slots) {
			i = 0
		}
	}
	t.slots[i] = v
}

// remove forgets the name whose entry is idx.
func (t *names) remove(hash uint32, idx uint32) {
	want := uint64(hash)<<32 | uint64(idx+1)
	i := t.home(hash)
	for t.slots[i] != want {
		if i++; i == len(t.slots) {
			i = 0
		}
	}
	for j := i; ; {
		if j++; j == len(t.slots) {
			j = 0
		}
		v := t.slots[j]
		if v == 0 {
			break
		}
		// v may move back to i unless its home lies cyclically in (i, j].
		if h := t.home(uint32(v >> 32)); i <= j && (h <= i || h > j) || i > j && h <= i && h > j {
			t.slots[i] = v
			i = j
		}
	}
	t.slots[i] = 0
	t.count--
	switch {
	case t.count == 0 && len(t.slots) > minNames:
		t.slots = nil
	case len(t.slots) > minNames && t.count*4 < len(t.slots):
		t.resize(max(minNames, len(t.slots)/2))
	}
}

func (t *names) resize(n int) {
	old := t.slots
	t.slots = make([]uint64, n)
	for _, v := range old {
		if v != 0 {
			t.place(v)
		}
	}
}
