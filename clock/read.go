package clock

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// driftTolerance is how far the wall and the monotonic half of a time.Now
	// may move against each other before boot time is asked for.
	driftTolerance = int64(100 * time.Microsecond)
	// leastSuspend is the shortest suspend that is believed.
	leastSuspend = int64(time.Millisecond)
	// narrow is how long reading boot time may take between its two brackets
	// before it is tried again.
	narrow       = int64(20 * time.Microsecond)
	bracketTries = 4
)

// sources are the raw clocks behind a systemClock, replaced in tests.
type sources struct {
	now func() time.Time
	// bootTime reads the clock that counts suspend, in nanoseconds. It is nil
	// where the platform has none.
	bootTime func() (int64, error)
}

// systemClock reads the machine's clocks.
//
// Boot is the monotonic time since base plus the time spent in suspend since
// then (timeline.suspended), which changes only under mu and only grows. A
// reading takes the time first and loads the timeline afterwards, so a reading
// that begins after another has ended has no smaller monotonic part and no
// smaller suspended part: Boot never goes back.
//
// Both base and suspended are rounded so that Boot is never behind the kernel's
// boot clock: when a timerfd rings, its deadline has come by Boot as well.
type systemClock struct {
	sources
	base     time.Time
	bootBase int64 // what bootTime said at base, or a little later
	line     atomic.Pointer[timeline]
	mu       sync.Mutex // serialises resync
	alarm    func(c *systemClock, w *waker) Alarm
}

// timeline is immutable: drift is wall minus monotonic time when it was last
// compared with boot time, suspended the time spent in suspend since base.
type timeline struct {
	drift, suspended int64
}

func newSystemClock(src sources, alarm func(*systemClock, *waker) Alarm) *systemClock {
	c := &systemClock{sources: src, alarm: alarm}
	best := Never
	for range bracketTries {
		t1, b, t2, err := c.bracket()
		if err != nil {
			c.bootTime, c.base = nil, t1
			break
		}
		if width := int64(t2.Sub(t1)); width < best {
			best, c.base, c.bootBase = width, t1, b
		}
		if best <= narrow {
			break
		}
	}
	c.line.Store(&timeline{drift: c.base.UnixNano()})
	return c
}

// bracket reads boot time between two readings of the other clocks.
func (c *systemClock) bracket() (before time.Time, boot int64, after time.Time, err error) {
	before = c.now()
	if c.bootTime == nil {
		return before, 0, before, nil
	}
	boot, err = c.bootTime()
	return before, boot, c.now(), err
}

// Read implements Clock.
func (c *systemClock) Read() Reading {
	t := c.now()
	if !hasMono(t) {
		return Reading{Boot: -1, Wall: t.UnixNano()}
	}
	wall, mono := t.UnixNano(), int64(t.Sub(c.base))
	line := c.line.Load()
	if off := wall - mono - line.drift; (off > driftTolerance || off < -driftTolerance) && c.bootTime != nil {
		return c.resync(false)
	}
	return Reading{Boot: mono + line.suspended, Wall: wall}
}

// resync looks again because wall and monotonic time have moved against each
// other, and asks for boot time if that was not just a preemption between the
// two halves of one reading. With force it asks in any case, and believes any
// suspend that the bracket proves.
func (c *systemClock) resync(force bool) Reading {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.line.Load()
	least := leastSuspend
	if force {
		least = 1
	}
	for range bracketTries {
		t := c.now()
		wall, mono := t.UnixNano(), int64(t.Sub(c.base))
		drift := wall - mono
		if off := drift - old.drift; !force && off <= driftTolerance && off >= -driftTolerance {
			return Reading{Boot: mono + old.suspended, Wall: wall}
		}
		if c.bootTime == nil {
			break
		}
		t1, boot, t2, err := c.bracket()
		if err != nil {
			break
		}
		// Suspended lies between these two; a suspend between t1 and t2 does
		// not widen them, since monotonic time stands still meanwhile.
		low := boot - c.bootBase - int64(t2.Sub(c.base))
		high := boot - c.bootBase - int64(t1.Sub(c.base))
		next := &timeline{drift: t1.UnixNano() - int64(t1.Sub(c.base)), suspended: old.suspended}
		switch {
		case low-old.suspended >= least:
			if high-low > narrow {
				// It is certain that there was a suspend, not how long: keep the
				// old drift, so that the next reading measures again.
				next.drift, next.suspended = old.drift, low
				c.line.Store(next)
				old = next
				continue
			}
			next.suspended = high
		case high-low > narrow && high-old.suspended >= least:
			continue // too blurred to tell
		}
		c.line.Store(next)
		return Reading{Boot: int64(t2.Sub(c.base)) + next.suspended, Wall: t2.UnixNano()}
	}
	t := c.now()
	return Reading{Boot: int64(t.Sub(c.base)) + c.line.Load().suspended, Wall: t.UnixNano()}
}

// NewAlarm implements Clock.
func (c *systemClock) NewAlarm(wake func()) Alarm {
	return c.alarm(c, newWaker(wake))
}

// here panics on the other side of a bubble's edge.
func (c *systemClock) here() {
	if !hasMono(c.now()) {
		panic(edgePanic)
	}
}

// bubble is the clock inside a testing/synctest bubble, where all timelines are
// one: nothing suspends it and nothing steps it.
type bubble struct {
	base time.Time
}

// Read implements Clock.
func (b *bubble) Read() Reading {
	t := time.Now()
	if hasMono(t) {
		return Reading{Boot: -1, Wall: t.UnixNano()}
	}
	return Reading{Boot: int64(t.Sub(b.base)), Wall: t.UnixNano()}
}

// NewAlarm implements Clock.
func (b *bubble) NewAlarm(wake func()) Alarm {
	return &timerAlarm{clock: b, w: newWaker(wake), boot: Never, wall: Never, due: Never}
}
