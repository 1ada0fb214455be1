package postgres

import "time"

// A sample is one comparison of this process's wall clock with the server's.
type sample struct {
	boot   int64         // when, in nanoseconds of boot time
	offset time.Duration // how much the process's clock is ahead
	within time.Duration // how far off that may be: half of the round trip
}

// sampled makes a sample of an exchange: what boot time and the wall clock were before and after it, and what the server said meanwhile.
// It is none if the wall clock was set meanwhile.
func sampled(bootBefore, bootAfter int64, before, after time.Time, server int64) (sample, bool) {
	trip := time.Duration(bootAfter - bootBefore)
	passed := time.Duration(after.UnixNano() - before.UnixNano())
	if d := passed - trip; d > mostStep || d < -mostStep {
		return sample{}, false
	}
	at := before.UnixMicro() - server
	return sample{boot: bootAfter, offset: time.Duration(at)*time.Microsecond + trip/2, within: trip / 2}, true
}

const (
	mostStep    = 50 * time.Millisecond // the two clocks may differ by so much over one exchange without one having been set
	offsetFor   = time.Minute           // a sample is of use for so long
	mostDrift   = 30 * time.Millisecond // what clocks drift apart in that time, at 500 ppm
	mostSamples = 300
)

// An offset is what is known of how far this process's clock is from the server's. Of the samples of the last minute the one with the
// shortest round trip is the best.
type offset struct {
	samples []sample // those that nothing younger is as good as, the best first
}

// add takes a sample in. One that contradicts the best says that a clock has been set, and is where the measuring begins anew.
func (o *offset) add(s sample) (set bool) {
	if best, ok := o.best(); ok {
		if d := s.offset - best.offset; d > s.within+best.within+mostDrift || -d > s.within+best.within+mostDrift {
			o.samples, set = o.samples[:0], true
		}
	}
	for n := len(o.samples); n > 0 && (o.samples[n-1].within >= s.within); n-- {
		o.samples = o.samples[:n-1]
	}
	o.samples = append(o.samples, s)
	old := 0
	for s.boot-o.samples[old].boot > int64(offsetFor) || len(o.samples)-old > mostSamples {
		old++
	}
	o.samples = append(o.samples[:0], o.samples[old:]...)
	return set
}

// best returns the best sample; ok is false if there is none.
func (o *offset) best() (s sample, ok bool) {
	if len(o.samples) == 0 {
		return s, false
	}
	return o.samples[0], true
}

// stands says whether a node stands down by what is known: it begins to when its clock is surely further off than may be, and ends when it
// is not any more.
func (o *offset) stands(down bool) bool {
	s, ok := o.best()
	if !ok {
		return down
	}
	off := s.offset.Abs()
	if down {
		return off > mostSkew*time.Microsecond
	}
	return off-s.within > mostSkew*time.Microsecond
}

// told is what others are told, in microseconds: beyond what may be if and only if the node stands down.
func (o *offset) told(down bool) int64 {
	s, _ := o.best()
	us := s.offset.Microseconds()
	switch {
	case !down:
		return min(max(us, -mostSkew), mostSkew)
	case us >= 0:
		return max(us, mostSkew+1)
	default:
		return min(us, -mostSkew-1)
	}
}
