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
// No deadline can fall between a goroutine's last look and its end: a goroutine
// that finds its line unset marks it as not served before it lets go of mu, and
// whoever sets a line under mu starts a goroutine if nobody serves it. Unsetting
// a line lets its timer expire at once, which sends the blocked goroutine home.
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
	left := false
	defer func() {
		if !left { // a wake has ended the goroutine
			a.leave(l, true)
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
		if a.answer(l, stepped, strikes >= strikeLimit || fatal(err)) {
			a.w.fire(nil)
		}
		if left = a.leave(l, false); left {
			return
		}
	}
}

// leave marks the line as not served any more if nothing is set on it, in the
// same breath. If the goroutine must end in any case another takes over.
func (a *fdAlarm) leave(l *fdLine, must bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if l.at == Never || a.closed || a.fallback != nil {
		l.served = false
		return true
	}
	if must {
		a.w.busy.Go(func() { a.serve(l) })
	}
	return false
}

// fatal reports whether a read's error will come again: not after a signal, a
// step, or an answer that told nothing.
func fatal(err error) bool {
	return err != nil && !errors.Is(err, syscall.ECANCELED) &&
		!errors.Is(err, syscall.EINTR) && !errors.Is(err, syscall.EAGAIN)
}

// answer decides whether what a read returned is a reason to wake the owner.
func (a *fdAlarm) answer(l *fdLine, stepped, broken bool) (wake bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.closed || a.fallback != nil || l.at == Never:
		return false
	case broken:
		a.fallBackLocked()
		return false
	case a.reachedLocked(l):
		l.at = Never
		return true
	}
	// A step may have disarmed the timer, an expiry for an earlier deadline has.
	a.armLocked(l)
	return stepped
}

// reachedLocked asks the clock, not the timer: an expiry may have been meant
// for a deadline that Set has replaced since.
func (a *fdAlarm) reachedLocked(l *fdLine) bool {
	r := a.clock.Read()
	if l.wall {
		return l.at <= r.Wall
	}
	if l.at > r.Boot {
		// If the expiry was meant for this deadline, then the kernel's boot clock
		// is ahead of ours: a suspend was overlooked.
		r = a.clock.resync(true)
	}
	return l.at <= r.Boot
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
