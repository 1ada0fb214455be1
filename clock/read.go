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

// instant is one look at the runtime's clocks, in nanoseconds: the wall clock
// since the Unix epoch, monotonic time since any fixed moment. It is foreign if
// it was taken in a synctest bubble, where mono has no meaning.
type instant struct {
	wall, mono int64
	foreign    bool
}

func (i instant) drift() int64 { return i.wall - i.mono }

// sources are the raw clocks behind a systemClock; tests put others in their
// place.
type sources struct {
	now func() instant
	// bootTime reads the clock that counts suspend, in nanoseconds. It is nil
	// where the platform has none.
	bootTime func() (int64, error)
}

// runtimeNow returns a source that reads time.Now, made outside of bubbles.
func runtimeNow() func() instant {
	base := time.Now()
	return func() instant {
		t := time.Now()
		return instant{wall: t.UnixNano(), mono: int64(t.Sub(base)), foreign: !hasMono(t)}
	}
}

// systemClock reads the machine's clocks.
//
// Boot is monotonic time plus an offset, which is minus the clock's epoch plus
// the time spent in suspend since then; it changes only under mu and only
// grows. A reading takes the time first and loads the offset afterwards, so a
// reading that begins after another has ended has no smaller monotonic time and
// no smaller offset: Boot never goes back.
//
// Whatever is uncertain is rounded so that Boot is not behind the kernel's boot
// clock: when a timerfd rings, its deadline has come by Boot as well.
type systemClock struct {
	sources
	bootBase int64 // what bootTime said at Boot 0, or a little later
	line     atomic.Pointer[timeline]
	mu       sync.Mutex // serialises resync
	alarm    func(c *systemClock, w *waker) Alarm
}

// timeline is immutable: drift is wall minus monotonic time when that was last
// compared with boot time, offset what to add to monotonic time. If rough, a
// suspend was seen and offset counts only what is certain of it; drift is then
// still the old one, so that whoever reads next measures again.
type timeline struct {
	drift, offset int64
	rough         bool
}

// near reports whether i shows the drift that is known already.
func (l *timeline) near(i instant) bool {
	off := i.drift() - l.drift
	return off <= driftTolerance && off >= -driftTolerance
}

func (l *timeline) reading(i instant) Reading {
	return Reading{Boot: i.mono + l.offset, Wall: i.wall}
}

func newSystemClock(src sources, alarm func(*systemClock, *waker) Alarm) *systemClock {
	c := &systemClock{sources: src, alarm: alarm}
	var epoch instant
	best := Never
	for range bracketTries {
		before, boot, after, err := c.bracket()
		if err != nil || c.bootTime == nil {
			epoch, c.bootTime = before, nil
			break
		}
		if width := after.mono - before.mono; width < best {
			best, epoch, c.bootBase = width, before, boot
		}
		if best <= narrow {
			break
		}
	}
	c.line.Store(&timeline{drift: epoch.drift(), offset: -epoch.mono})
	return c
}

// bracket reads boot time between two looks at the other clocks.
func (c *systemClock) bracket() (before instant, boot int64, after instant, err error) {
	before = c.now()
	if c.bootTime == nil {
		return before, 0, before, nil
	}
	boot, err = c.bootTime()
	return before, boot, c.now(), err
}

// Read implements Clock.
func (c *systemClock) Read() Reading {
	now := c.now()
	if now.foreign {
		return Reading{Boot: -1, Wall: now.wall}
	}
	line := c.line.Load()
	if c.bootTime != nil && !line.near(now) {
		return c.resync(false)
	}
	return line.reading(now)
}

// resync looks again because wall and monotonic time have moved against each
// other, and asks for boot time if that was not just a preemption between the
// two halves of one time.Now. With force it asks in any case, and believes any
// suspend that is proved.
func (c *systemClock) resync(force bool) Reading {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range bracketTries {
		line := c.line.Load()
		least := leastSuspend
		if force || line.rough {
			least = 1
		}
		if now := c.now(); (!force && line.near(now)) || c.bootTime == nil {
			return line.reading(now)
		}
		before, boot, after, err := c.bracket()
		if err != nil { // a sandbox, since it worked in the beginning
			c.line.Store(&timeline{drift: before.drift(), offset: line.offset})
			break
		}
		// The true offset lies between these two. A suspend inside the bracket
		// does not widen it, since monotonic time stands still meanwhile.
		low, high := boot-c.bootBase-after.mono, boot-c.bootBase-before.mono
		next := &timeline{drift: before.drift(), offset: line.offset}
		blurred := high-low > narrow
		switch {
		case blurred && high-line.offset >= least: // how long, if at all, cannot be told
			if low-line.offset >= least {
				c.line.Store(&timeline{drift: line.drift, offset: low, rough: true})
			}
			continue
		case low-line.offset >= least:
			next.offset = high
		}
		c.line.Store(next)
		return next.reading(after)
	}
	return c.line.Load().reading(c.now())
}

// NewAlarm implements Clock.
func (c *systemClock) NewAlarm(wake func()) Alarm {
	return c.alarm(c, newWaker(wake))
}

// here panics on the other side of a bubble's edge.
func (c *systemClock) here() {
	if c.now().foreign {
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
