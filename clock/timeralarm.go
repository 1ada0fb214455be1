package clock

import (
	"sync"
	"time"
)

// rereadEvery is the longest sleep of an alarm that nobody tells about a step
// of the wall clock.
const rereadEvery = int64(time.Minute)

// timerAlarm is an alarm on one timer of the runtime. It holds no goroutine
// while it waits.
type timerAlarm struct {
	clock Clock
	w     *waker
	// rereadWall and rereadBoot limit the sleep to rereadEvery while a deadline
	// on that timeline is set.
	rereadWall, rereadBoot bool

	mu         sync.Mutex
	timer      *time.Timer
	boot, wall int64 // Never: not set
	due        int64 // what Boot will be when timer expires; Never: not armed
	closed     bool
}

// Set implements Alarm.
func (a *timerAlarm) Set(boot, wall int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || (boot == a.boot && wall == a.wall) {
		return
	}
	r := a.clock.Read()
	if r.Foreign() {
		panic(edgePanic)
	}
	a.boot, a.wall = boot, wall
	a.armLocked(r)
}

// armLocked makes the timer agree with the deadlines. Each expiry under way is
// counted in busy: one more for a timer that was not armed, one less for one
// that is stopped in time.
func (a *timerAlarm) armLocked(r Reading) {
	sleep := min(until(a.boot, r.Boot), until(a.wall, r.Wall))
	if (a.rereadWall && a.wall != Never) || (a.rereadBoot && a.boot != Never) {
		sleep = min(sleep, rereadEvery)
	}
	if sleep == Never {
		a.stopLocked()
		return
	}
	a.due = saturatingAdd(r.Boot, sleep)
	switch a.timer {
	case nil:
		a.w.busy.Add(1)
		a.timer = time.AfterFunc(time.Duration(sleep), a.expire)
	default:
		// Counted before Reset: the new expiry may end before Reset returns.
		a.w.busy.Add(1)
		if a.timer.Reset(time.Duration(sleep)) {
			a.w.busy.Done()
		}
	}
}

func (a *timerAlarm) stopLocked() {
	a.due = Never
	if a.timer != nil && a.timer.Stop() {
		a.w.busy.Done()
	}
}

// expire runs on the timer's goroutine.
func (a *timerAlarm) expire() {
	defer a.w.busy.Done()
	a.mu.Lock()
	r := a.clock.Read()
	if a.closed {
		a.mu.Unlock()
		return
	}
	if r.Boot < a.due {
		// Set moved the timer while this expiry was under way. To arm it once
		// more does no harm, and nothing depends on how timers round.
		a.armLocked(r)
		a.mu.Unlock()
		return
	}
	if a.boot <= r.Boot {
		a.boot = Never
	}
	if a.wall <= r.Wall {
		a.wall = Never
	}
	a.armLocked(r)
	a.mu.Unlock()
	a.w.fire(nil)
}

// Close implements Alarm.
func (a *timerAlarm) Close() {
	a.mu.Lock()
	if !a.closed {
		if a.clock.Read().Foreign() {
			a.mu.Unlock()
			panic(edgePanic)
		}
		a.closed, a.boot, a.wall = true, Never, Never
		a.stopLocked()
	}
	a.mu.Unlock()
	a.w.close()
}

// until is how long it is from now to at, 0 if that has passed.
func until(at, now int64) int64 {
	switch {
	case at == Never:
		return Never
	case at <= now:
		return 0
	case now < 0 && at >= Never+now:
		return Never - 1 // three centuries, in which the owner may be woken too early
	}
	return at - now
}

// saturatingAdd adds d >= 0 to t and stops one short of Never.
func saturatingAdd(t, d int64) int64 {
	if t > Never-1-d {
		return Never - 1
	}
	return t + d
}

// newTimerAlarm makes the portable alarm of the system clock.
func newTimerAlarm(c *systemClock, w *waker) *timerAlarm {
	return &timerAlarm{
		clock: c, w: w, boot: Never, wall: Never, due: Never,
		rereadWall: true, rereadBoot: c.bootTime != nil,
	}
}
