package schedule

import (
	"math"
	"math/bits"
	"time"
)

// The instants that a schedule knows: after the zero time.Time, which means never, up to the end of the year 9999.
// They span more nanoseconds than 64 bits count, and time.Time.Sub saturates after 292 years. So differences are taken
// here, in 128 bits, and nowhere else.

// lastSecond is the last second of the year 9999, counted from the zero time.Time.
const lastSecond = 253402300799 - zeroSecond

// zeroSecond is the Unix time of the zero time.Time.
const zeroSecond = -62135596800

const (
	instantWant = "an instant after 0001-01-01T00:00:00Z and before the year 10000"
	nsPerSecond = uint64(time.Second)
)

// lastInstant is the end of time; what would lie after it is never.
func lastInstant() time.Time { return time.Unix(zeroSecond+lastSecond, 999_999_999).UTC() }

// inRange reports whether t is an instant that a schedule can name.
func inRange(t time.Time) bool {
	return uint64(t.Unix()-zeroSecond) <= lastSecond && !t.IsZero()
}

// bare is t without its zone and, as UTC promises, its monotonic reading, so that equal instants are equal values.
func bare(t time.Time) time.Time { return t.UTC() }

// since returns t - from in nanoseconds as hi*2^64 + lo. It asks for from <= t, both within the known instants.
func since(t, from time.Time) (hi, lo uint64) {
	s, ns := t.Unix()-from.Unix(), int64(t.Nanosecond())-int64(from.Nanosecond())
	if ns < 0 {
		s, ns = s-1, ns+int64(nsPerSecond)
	}
	hi, lo = bits.Mul64(uint64(s), nsPerSecond)
	lo, carry := bits.Add64(lo, uint64(ns), 0)
	return hi + carry, lo
}

// phase returns how far t lies past the last point of the grid anchor + k*step, k any integer: at least 0, less than step.
func phase(t, anchor time.Time, step time.Duration) time.Duration {
	if t.Before(anchor) {
		hi, lo := since(anchor, t)
		if r := bits.Rem64(hi, lo, uint64(step)); r != 0 {
			return step - time.Duration(r)
		}
		return 0
	}
	hi, lo := since(t, anchor)
	return time.Duration(bits.Rem64(hi, lo, uint64(step)))
}

// gridAfter is the first point of the grid strictly after t. It may lie beyond lastInstant, but does not wrap.
func gridAfter(t, anchor time.Time, step time.Duration) time.Time {
	return t.Add(step - phase(t, anchor, step))
}

// gridFrom is the first point of the grid not before t.
func gridFrom(t, anchor time.Time, step time.Duration) time.Time {
	if p := phase(t, anchor, step); p != 0 {
		return t.Add(step - p)
	}
	return t
}

// steps is the number of whole steps between from and t, saturating. It asks for from <= t.
func steps(t, from time.Time, step time.Duration) int64 {
	hi, lo := since(t, from)
	if hi >= uint64(step) { // the quotient has more than 64 bits
		return math.MaxInt64
	}
	q, _ := bits.Div64(hi, lo, uint64(step))
	return int64(min(q, math.MaxInt64))
}
