package store

import (
	"math"
	"time"
)

// An Instant is a point of the store's time: microseconds since 1970-01-01T00:00:00Z. The zero Instant means not set, so the
// instant 1970-01-01T00:00:00Z itself is kept a microsecond late.
type Instant int64

// Never is after every instant. An occurrence that is due then is never due.
const Never Instant = math.MaxInt64

// Over is before every instant: the end of a lease whose holder is known to be gone.
const Over Instant = math.MinInt64

var (
	lastSecond  = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()
	lastInstant = Instant(lastSecond*1e6 + 999_999)
)

// At returns the instant t, rounded up to the microsecond: nothing is made early by it. The zero time is the zero Instant, and
// what is after the year 9999 is Never.
func At(t time.Time) Instant {
	switch s := t.Unix(); {
	case t.IsZero():
		return 0
	case s > lastSecond:
		return Never
	case s < -lastSecond:
		return Instant(-lastSecond * 1e6)
	default:
		i := Instant(s*1e6 + (int64(t.Nanosecond())+999)/1e3)
		switch {
		case i == 0:
			return 1
		case i > lastInstant:
			return Never
		}
		return i
	}
}

// Time returns the instant as a time in UTC: the zero time for the zero Instant, and for Never.
func (i Instant) Time() time.Time {
	if i == 0 || i == Never || i == Over {
		return time.Time{}
	}
	return time.UnixMicro(int64(i)).UTC()
}

// Add returns the instant d later, rounded up to the microsecond. What overflows, or is after the year 9999, is Never. Never and
// Over stay what they are.
func (i Instant) Add(d time.Duration) Instant {
	if i == Never || i == Over {
		return i
	}
	us := int64(d / time.Microsecond)
	if d > 0 && d%time.Microsecond > 0 {
		us++
	}
	sum := int64(i) + us
	switch {
	case us > 0 && (sum < int64(i) || sum > int64(lastInstant)):
		return Never
	case us < 0 && sum > int64(i):
		return -lastInstant
	case sum == 0:
		return 1
	}
	return Instant(sum)
}

// Sub returns how much later i is than j. What does not fit into a Duration is the longest one.
func (i Instant) Sub(j Instant) time.Duration {
	us := int64(i) - int64(j)
	switch {
	case (i > j) != (us > 0) && i != j, us > math.MaxInt64/1000, us < math.MinInt64/1000:
		if i > j {
			return math.MaxInt64
		}
		return math.MinInt64
	}
	return time.Duration(us) * time.Microsecond
}

// String returns the instant in RFC 3339 with microseconds, "never", or "-" if it is not set.
func (i Instant) String() string {
	switch i {
	case 0:
		return "-"
	case Never:
		return "never"
	case Over:
		return "over"
	}
	return i.Time().Format("2006-01-02T15:04:05.999999Z07:00")
}

// An Occurrence is one nominal instant of a schedule, and when it is due: that and its jitter. The zero Occurrence is none.
type Occurrence struct{ For, Due Instant }

// None says whether there is no occurrence.
func (o Occurrence) None() bool { return o == Occurrence{} }

// When says when something is to happen: on an occurrence, or after a delay that the store's clock resolves when it accepts the
// write. The zero When says nothing.
type When struct {
	on       Occurrence
	in       time.Duration
	jitter   time.Duration
	relative bool
}

// On is an occurrence that the caller has worked out. An instant in the past means at once. If Due is not set it is For.
func On(o Occurrence) When {
	if o.Due == 0 {
		o.Due = o.For
	}
	return When{on: o}
}

// In is a delay from when the store accepts the write. One that is not positive means at once. The jitter comes on top of it.
func In(d, jitter time.Duration) When {
	return When{in: max(d, 0), jitter: max(jitter, 0), relative: true}
}

// Relative returns the delay and the jitter of an In; ok is false if the When is none.
func (w When) Relative() (d, jitter time.Duration, ok bool) { return w.in, w.jitter, w.relative }

// None says whether the When says nothing.
func (w When) None() bool { return w == When{} }

// Resolve returns the occurrence, where now is the store's clock.
func (w When) Resolve(now Instant) Occurrence {
	if !w.relative {
		return w.on
	}
	at := now.Add(w.in)
	return Occurrence{For: at, Due: at.Add(w.jitter)}
}
