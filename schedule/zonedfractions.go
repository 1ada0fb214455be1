package schedule

import "time"

// Within a second the rule of a calendar may match several times, or not at its beginning. Which seconds have a match is for the
// rest of zoned to find; here is where in them.

// nextFraction is next for a rule with fractions of a second.
func (z *zoned) nextFraction(t time.Time) time.Time {
	second := t.Unix()
	at, ok := z.nextSecond(second)
	if ok && at == second {
		if micro := z.fraction(at, t.Nanosecond()/1000+1, true); micro >= 0 {
			return instant(at, micro)
		}
		at, ok = z.nextSecond(second + 1)
	}
	if !ok {
		return time.Time{}
	}
	return instant(at, z.fraction(at, 0, true))
}

// prevFraction is prev for a rule with fractions of a second.
func (z *zoned) prevFraction(t time.Time) time.Time {
	second := t.Unix()
	at, ok := z.prevSecond(second)
	if ok && at == second {
		if n := t.Nanosecond(); n > 0 {
			if micro := z.fraction(at, (n-1)/1000, false); micro >= 0 {
				return instant(at, micro)
			}
		}
		at, ok = z.prevSecond(second - 1)
	}
	if !ok {
		return time.Time{}
	}
	return instant(at, z.fraction(at, micros-1, false))
}

// fraction returns the first match within a second that is not before a microsecond of it, or the last one that is not after it;
// -1 for none, also for the microsecond after the second. The second may show matches, and a gap may move others to it.
func (z *zoned) fraction(second int64, micro int, forward bool) int {
	best := -1
	if micro == micros {
		return best
	}
	consider := func(m int) {
		if m >= 0 && (best < 0 || m < best == forward) {
			best = m
		}
	}
	s := z.zone.at(second)
	reading := civil(second + s.offset)
	if first, end := z.bounds(s, reading, reading); reading >= first && reading < end && z.matches(reading) {
		consider(z.fractionOf(reading, micro, forward))
	}
	if at, ok := z.moved(s, second); !ok || at != second {
		return best
	}
	if z.gap == GapShift {
		first, _ := z.swallowed(s)
		consider(z.fractionOf(first+civil(second-s.start), micro, forward))
	} else if micro == 0 || !forward {
		consider(0)
	}
	return best
}

// fractionOf is fraction for a reading that matches.
func (z *zoned) fractionOf(c civil, micro int, forward bool) int {
	_, second := c.split()
	at := second % 60 * micros
	find := lastWithin
	if forward {
		find = firstWithin
	}
	if v := find(z.fractions, at+micro); v >= 0 {
		return v - at
	}
	return -1
}
