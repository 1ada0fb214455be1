package pebble

import (
	"math/bits"
	"sync/atomic"
)

// A filter says of a name that it is surely not there, or that it may be: a Bloom filter in blocks of one cache line (Putze,
// Sanders, Singler: Cache-, Hash- and Space-Efficient Bloom Filters, 2007), twelve bits and eight probes a name, about 1 % wrong
// when full. It forgets nothing, so one with many names that are gone is made anew.
//
// The committer asks and adds; beside it a builder may add what was there before.
type filter struct {
	words []uint64 // blocks of eight
	added atomic.Int64
	most  int64 // for how many it was made
}

func newFilter(names int64) *filter {
	names = max(names, 1<<12)
	blocks := (names*12 + 511) / 512
	return &filter{words: make([]uint64, blocks*8), most: names}
}

// spread mixes the bits of a hash that is not too good (the finalizer of splitmix64: Steele, Lea, Flood, 2014).
func spread(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// block returns the block of a hash, and the bits that choose the probes in it.
func (f *filter) block(h uint64) (at, probes uint64) {
	h = spread(h)
	at, _ = bits.Mul64(h, uint64(len(f.words)/8))
	return at * 8, spread(h)
}

func (f *filter) add(h uint64) {
	at, p := f.block(h)
	for i := range uint64(8) {
		w := &f.words[at+i]
		if bit := uint64(1) << (p & 63); atomic.LoadUint64(w)&bit == 0 {
			atomic.OrUint64(w, bit)
		}
		p >>= 6
	}
	f.added.Add(1)
}

// has says whether the name of a hash may be there.
func (f *filter) has(h uint64) bool {
	at, p := f.block(h)
	for i := range uint64(8) {
		if atomic.LoadUint64(&f.words[at+i])&(1<<(p&63)) == 0 {
			return false
		}
		p >>= 6
	}
	return true
}
