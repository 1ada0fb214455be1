package engines

import (
	"encoding/binary"
	"time"
)

// A Task is one to put: its number, of which all the rest is made, and its instant.
type Task struct {
	ID  uint64
	Due time.Time
}

// Payload gives the 235 bytes less name, kind and schedule that a user keeps: the number, and text.
func (t Task) Payload() []byte {
	p := make([]byte, 8, 201)
	binary.LittleEndian.PutUint64(p, t.ID)
	for seed := t.ID; len(p) < cap(p); {
		seed = mix(seed)
		p = hexOf(p, seed, min(16, cap(p)-len(p)))
	}
	return p
}

// Name gives the task's name: in no order.
func (t Task) Name() string { return string(hexOf([]byte("order-"), mix(t.ID), 16)) }

// IDOf gives the number that a payload begins with.
func IDOf(payload []byte) uint64 { return binary.LittleEndian.Uint64(payload) }

// hexOf appends digits of x.
func hexOf(p []byte, x uint64, digits int) []byte {
	for range digits {
		p = append(p, "0123456789abcdef"[x>>60])
		x <<= 4
	}
	return p
}

// mix scrambles a counter (the finaliser of SplitMix64, Steele et al., OOPSLA 2014): a random stream without state.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Shuffled walks over 0 to n-1 in an order that is not theirs.
func Shuffled(i, n int) int {
	const prime = 982_451_653 // no divisor of what is smaller
	return int(uint64(i) * prime % uint64(n))
}
