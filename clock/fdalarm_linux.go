package clock

import (
	"errors"
	"sync"
	"syscall"
)

// kernel opens timerfds; tests put a fake in its place.
type kernel interface {
	// open returns a timerfd, not set, on the wall clock or else on boot time.
	open(wall bool) (timerfd, error)
}

// timerfd is what the alarm asks of timerfd_create(2)'s descriptors.
type timerfd interface {
	// settime arms the timer for an absolute time > 0 on its clock, in
	// nanoseconds, forgets an expiry that was not read, and on the wall clock asks
	// to be told of steps. ECANCELED says that it is armed and that the wall
	// clock was stepped before that.
	settime(at int64) error
	// Read blocks until the timer expires and then yields eight bytes, or
	// ECANCELED if the wall clock was stepped.
	Read(p []byte) (int, error)
	// Close makes a blocked Read return.
	Close() error
}

// strikeLimit is how many answers in a row may make no sense before the alarm
// gives up on timerfds.
const strikeLimit = 8

// fdAlarm is an alarm on two timerfds, each with one goroutine that is there
// only while something is set on it.
//
// Every decision is taken under mu: a goroutine that finds its line unset marks
// it as no longer served before it lets go of mu, and whoever sets a line under
// mu starts a goroutine if nobody serves it. So no deadline can fall between a
// goroutine's last look and its end. Unsetting a line lets its timer expire at
// once, which is what sends the blocked goroutine home.
type fdAlarm struct {
	clock  *systemClock
	w      *waker
	kernel kernel

	mu         sync.Mutex
	boot, wall fdLine
	fallback   *timerAlarm // not nil: the timerfds are gone
	closed     bool
}

// fdLine is one timeline of an fdAlarm.
type fdLine struct {
	wall   bool
	at     int64 // deadline on the line; Never: not set
	fd     timerfd
	served bool // a goroutine is in serve
}

func newFDAlarm(c *systemClock, w *waker, k kernel) *fdAlarm {
	return &fdAlarm{clock: c, w: w, kernel: k, boot: fdLine{at: Never}, wall: fdLine{wall: true, at: Never}}
}

// Set implements Alarm. What has not changed costs no system call.
func (a *fdAlarm) Set(boot, wall int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || (a.fallback == nil && boot == a.boot.at && wall == a.wall.at) {
		return
	}
	a.clock.here()
	if a.fallback == nil {
		a.setLocked(&a.boot, boot)
	}
	if a.fallback == nil {
		a.setLocked(&a.wall, wall)
	}
	if a.fallback != nil {
		a.fallback.Set(boot, wall)
	}
}

// setLocked sets one line, or falls back.
func (a *fdAlarm) setLocked(l *fdLine, at int64) {
	if at == l.at {
		return
	}
	l.at = at
	if l.fd == nil {
		fd, err := a.kernel.open(l.wall)
		if err != nil {
			a.fallBackLocked()
			return
		}
		l.fd = fd
	}
	if at == Never {
		if l.served {
			if _, err := a.settimeLocked(l, 1); err != nil {
				a.fallBackLocked()
			}
		}
		return
	}
	if !a.armLocked(l) {
		return
	}
	if !l.served {
		l.served = true
		a.w.busy.Go(func() { a.serve(l) })
	}
}

// armLocked makes the timer agree with the line's deadline. It reports false if
// the alarm has fallen back instead.
func (a *fdAlarm) armLocked(l *fdLine) bool {
	at := l.at
	if !l.wall {
		at = saturatingAdd(a.clock.bootBase, max(at, 0))
	}
	stepped, err := a.settimeLocked(l, max(at, 1))
	if stepped {
		a.w.fireAway(nil)
	}
	if err != nil {
		a.fallBackLocked()
		return false
	}
	return true
}

// settimeLocked is settime, said again after a signal, and after a step of the
// wall clock so as not to depend on what a step leaves armed.
func (a *fdAlarm) settimeLocked(l *fdLine, at int64) (stepped bool, err error) {
	for range strikeLimit {
		switch err = l.fd.settime(at); {
		case errors.Is(err, syscall.ECANCELED):
			stepped = true
		case !errors.Is(err, syscall.EINTR):
			return stepped, err
		}
	}
	return stepped, err
}

// fallBackLocked replaces the timerfds by a timer of the runtime, with the same
// deadlines and the same waker.
func (a *fdAlarm) fallBackLocked() {
	a.fallback = newTimerAlarm(a.clock, a.w)
	a.closeFilesLocked()
	a.fallback.Set(a.boot.at, a.wall.at)
}

func (a *fdAlarm) closeFilesLocked() {
	for _, l := range []*fdLine{&a.boot, &a.wall} {
		if l.fd != nil {
			_ = l.fd.Close() // nothing was written to it; the number is free in any case
		}
	}
}

// serve waits on one line's timerfd until the line is unset.
func (a *fdAlarm) serve(l *fdLine) {
	defer func() { // deferred for a wake that ends the goroutine
		a.mu.Lock()
		defer a.mu.Unlock()
		l.served = false
		if l.at != Never && !a.closed && a.fallback == nil {
			l.served = true
			a.w.busy.Go(func() { a.serve(l) })
		}
	}()
	var count [8]byte
	for strikes := 0; ; {
		n, err := l.fd.Read(count[:])
		stepped := errors.Is(err, syscall.ECANCELED)
		if stepped || (err == nil && n == len(count)) {
			strikes = 0
		} else {
			strikes++
		}
		wake, more := a.answer(l, stepped, strikes >= strikeLimit || fatal(err))
		if wake {
			a.w.fire(nil)
			more = a.isSet(l)
		}
		if !more {
			return
		}
	}
}

// fatal reports whether a read's error will come again: not after a signal, a
// step, or an answer that told nothing.
func fatal(err error) bool {
	return err != nil && !errors.Is(err, syscall.ECANCELED) &&
		!errors.Is(err, syscall.EINTR) && !errors.Is(err, syscall.EAGAIN)
}

// answer decides what a read's return means: whether to wake the owner and, if
// not, whether to read on.
func (a *fdAlarm) answer(l *fdLine, stepped, broken bool) (wake, more bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.closed || a.fallback != nil:
		return false, false
	case broken:
		a.fallBackLocked()
		return false, false
	case l.at == Never:
		return false, false
	}
	reached := a.reachedLocked(l)
	if !reached && !l.wall {
		// Either the expiry was meant for an earlier deadline, or the kernel's
		// boot clock is ahead of ours: a suspend was overlooked.
		a.clock.resync(true)
		reached = a.reachedLocked(l)
	}
	if reached {
		l.at = Never
	} else if !a.armLocked(l) { // a step disarms; so did an expiry meant for an earlier deadline
		return stepped, false
	}
	return reached || stepped, true
}

// reachedLocked asks the clock, not the timer: an expiry may have been meant
// for a deadline that Set has replaced since.
func (a *fdAlarm) reachedLocked(l *fdLine) bool {
	r := a.clock.Read()
	if l.wall {
		return l.at <= r.Wall
	}
	return l.at <= r.Boot
}

func (a *fdAlarm) isSet(l *fdLine) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return l.at != Never && !a.closed && a.fallback == nil
}

// Close implements Alarm.
func (a *fdAlarm) Close() {
	a.mu.Lock()
	if !a.closed {
		func() {
			defer func() {
				if !a.closed {
					a.mu.Unlock()
				}
			}()
			a.clock.here()
			a.closed = true
		}()
		a.boot.at, a.wall.at = Never, Never
		if a.fallback == nil {
			a.closeFilesLocked()
		}
	}
	fallback := a.fallback
	a.mu.Unlock()
	if fallback != nil {
		fallback.Close()
		return
	}
	a.w.close()
}
