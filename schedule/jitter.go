package schedule

import (
	"math/bits"
	"time"
)

// spread maps a name to an offset in [0, limit), evenly over names. It is a promise: the same on every node, in every
// release and after every restart, so that a preview tells what will be. It must not change, and its test pins values.
//
// The name's bytes go through 64-bit FNV-1a (Fowler, Noll, Vo), whose low bits are good and whose high bits are poor for short
// names; the finalizer of MurmurHash3 (fmix64, Appleby, public domain) spreads them; the hash is then scaled by taking
// the high word of hash*limit, which has no bias that matters and needs no division.
func spread(name string, limit time.Duration) time.Duration {
	if limit <= 0 {
		return 0
	}
	hi, _ := bits.Mul64(hashName(name), uint64(limit))
	return time.Duration(hi)
}

// spreadInt maps a name to a number in [0, n), evenly over names. Like spread it must not change.
func spreadInt(name string, n int) int {
	hi, _ := bits.Mul64(hashName(name), uint64(n))
	return int(hi)
}

func hashName(name string) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 0x100000001b3
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
