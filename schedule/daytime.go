package schedule

import "math/bits"

// daytime is a set of times of day: every second that matches of every minute that matches of every hour that does. The sets
// hold a bit for each value.
type daytime struct{ second, minute, hour uint64 }

// size is how many times of day there are.
func (k *daytime) size() int {
	return bits.OnesCount64(k.hour) * bits.OnesCount64(k.minute) * bits.OnesCount64(k.second)
}

// timeFrom returns the first second of a day that matches and is not before the one given, or -1.
func (k *daytime) timeFrom(second int) int {
	h, m, s := second/3600, second/60%60, second%60
	if k.hour>>h&1 == 1 {
		if k.minute>>m&1 == 1 {
			if at := from(k.second, s); at >= 0 {
				return h*3600 + m*60 + at
			}
		}
		if at := from(k.minute, m+1); at >= 0 {
			return h*3600 + at*60 + from(k.second, 0)
		}
	}
	if at := from(k.hour, h+1); at >= 0 {
		return at*3600 + from(k.minute, 0)*60 + from(k.second, 0)
	}
	return -1
}

// timeUpTo returns the last second of a day that matches and is not after the one given, or -1.
func (k *daytime) timeUpTo(second int) int {
	h, m, s := second/3600, second/60%60, second%60
	if k.hour>>h&1 == 1 {
		if k.minute>>m&1 == 1 {
			if at := upTo(k.second, s); at >= 0 {
				return h*3600 + m*60 + at
			}
		}
		if at := upTo(k.minute, m-1); at >= 0 {
			return h*3600 + at*60 + upTo(k.second, 59)
		}
	}
	if at := upTo(k.hour, h-1); at >= 0 {
		return at*3600 + upTo(k.minute, 59)*60 + upTo(k.second, 59)
	}
	return -1
}

// timesBefore counts those before a second of the day.
func (k *daytime) timesBefore(second int) int {
	h, m, s := second/3600, second/60%60, second%60
	minutes, seconds := bits.OnesCount64(k.minute), bits.OnesCount64(k.second)
	n := below(k.hour, h) * minutes * seconds
	if k.hour>>h&1 == 1 {
		n += below(k.minute, m) * seconds
		if k.minute>>m&1 == 1 {
			n += below(k.second, s)
		}
	}
	return n
}

// nth returns the time of day that n others are before; there are more than n.
func (k *daytime) nth(n int) int {
	seconds := bits.OnesCount64(k.second)
	perHour := bits.OnesCount64(k.minute) * seconds
	return nthBit(k.hour, n/perHour)*3600 + nthBit(k.minute, n%perHour/seconds)*60 + nthBit(k.second, n%seconds)
}

// nthBit returns the bit of a set that n others are below; there are more than n.
func nthBit(set uint64, n int) int {
	for range n {
		set &= set - 1
	}
	return bits.TrailingZeros64(set)
}
