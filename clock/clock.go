// Package clock reads time and waits for it. It knows three timelines: the
// wall clock, which people set and step; monotonic time, which the runtime
// measures; and boot time, which is monotonic and also counts the time that
// the machine was suspended. The central type is [Clock]: one look at all of
// them ([Reading]) and an [Alarm] that wakes its owner at a deadline on
// either.
//
// The package is for engines that keep their own set of timers and need one
// wake-up for the earliest of them. It is not for schedules (when is the next
// Monday?) nor for keeping many timers: one alarm holds one deadline a
// timeline.
//
// # Which clock
//
// [System] chooses by the place where it is called.
//
// Inside a testing/synctest bubble it is made of the bubble's own time: its
// timers are the runtime's, made in the bubble, and nothing of it may cross
// the bubble's edge.
//
// On Linux alarms are timerfds that wait in the runtime's poller: one on
// CLOCK_BOOTTIME and, once a wall deadline was set, one on CLOCK_REALTIME that
// also announces steps of the wall clock (TFD_TIMER_CANCEL_ON_SET). Where the
// kernel refuses a timerfd (no descriptors left, a seccomp filter) the alarm
// falls back to the portable way for the rest of its life.
//
// Elsewhere an alarm is one timer of the runtime. Nothing announces a step of
// the wall clock there, so while a wall deadline is set the alarm wakes its
// owner at least once a minute to look at the wall clock again. Boot time is
// the runtime's monotonic time: whether it counts suspend depends on the
// platform, and a deadline may be late by the length of a suspend. The
// fallback on Linux looks again every minute for boot deadlines as well,
// because boot time counts suspend there and the runtime's timers do not.
//
// [Manual] is a clock moved by hand, for tests that cannot live in a bubble.
//
// # How suspend is noticed
//
// Reading boot time takes a system call, five times the price of [time.Now].
// But time.Now returns a wall and a monotonic reading together, and their
// difference moves only when the wall clock is stepped or the machine was
// suspended. The system clock asks the kernel for boot time only when that
// difference has moved by more than 100 µs since it was last seen, so a
// preemption between the two halves costs a second look, and a plain reading
// no system call. A suspend that an opposite step of the wall clock hides to
// within 100 µs stays unnoticed until a boot alarm rings or the difference moves again.
//
// # What was only simulated
//
// The tests do not set the machine's clock and do not suspend it. Steps,
// slews, suspends and preemption inside time.Now are simulated by replacing
// the functions that the system clock reads; what a timerfd answers to a step
// (ECANCELED from read and from settime), to a signal, to a closed or foreign
// descriptor and to exhaustion is simulated by a fake of the timerfd. Real
// timerfds are tested for waking, for never waking early, for being moved and
// for leaving nothing behind. The portable alarm is tested on Linux. A program
// that is built with the tag clockstep has Step, which does to all system
// clocks what setting the machine's would; no other build has anything of it.
package clock

import (
	"math"
	"time"
)

// Never is the deadline that is not reached on any timeline.
const Never int64 = math.MaxInt64

// Reading is one look at the clocks.
type Reading struct {
	// Boot is nanoseconds since the clock was made, on the timeline that
	// counts suspend: boot time where the platform has it, else monotonic
	// time. It never goes back, also between goroutines. It is negative
	// only in a reading for which Foreign reports true.
	Boot int64
	// Wall is nanoseconds since the Unix epoch. It follows steps of the
	// wall clock in both directions.
	Wall int64
}

// Foreign reports whether the reading was taken on the other side of a
// testing/synctest bubble's edge from where the clock was made. Boot then has
// no meaning, and Wall is that of the side that read.
func (r Reading) Foreign() bool { return r.Boot < 0 }

// Clock reads time and makes alarms. All methods are safe for use by several
// goroutines at once.
type Clock interface {
	// Read looks at the clocks. It costs about as much as time.Now and
	// allocates nothing.
	Read() Reading

	// NewAlarm returns an alarm, not set, that calls wake. Making one
	// starts no goroutine and opens no file. It panics if wake is nil.
	NewAlarm(wake func()) Alarm
}

// Alarm wakes its owner when a deadline is reached: one on the boot timeline
// or one on the wall clock, whichever is first. All methods are safe for use
// by several goroutines at once.
//
// A call of wake is a hint to read the clock: it may be spurious, is never
// lost, and always comes when the wall clock was stepped while a wall deadline
// was set, where the platform tells. Calls of one alarm's wake never overlap;
// deadlines reached during a call lead to one more call after it. wake must
// not panic and may use the alarm, Close included.
type Alarm interface {
	// Set replaces both deadlines: boot in nanoseconds on Reading.Boot's
	// timeline, wall in nanoseconds since the Unix epoch. Never means none
	// on that timeline. A deadline that is already past wakes at once. A
	// deadline that was reached is unset by that; the other one stays.
	//
	// Set never calls wake itself, it lets another goroutine do so. Soon
	// after Set(Never, Never) no goroutine and no armed timer is left. Set
	// panics when it would cross the edge of a synctest bubble: see
	// Reading.Foreign. After Close it does nothing.
	Set(boot, wall int64)

	// Close releases the alarm's files and timers and waits until its
	// goroutines have ended, a call of wake in progress included. Called
	// from within a wake, of this alarm or of another, it does not wait;
	// no further call of wake begins all the same. Close may be called
	// again, and like Set it panics on the other side of a bubble's edge.
	//
	// An alarm that is not set and not reachable any more needs no Close.
	Close()
}

// System returns the clock of the place where it is called, with Boot counting
// from now: inside a testing/synctest bubble the bubble's time, elsewhere the
// machine's. See the package comment for what it is made of.
func System() Clock {
	if t := time.Now(); !hasMono(t) {
		return &bubble{base: t}
	}
	return newSystem()
}

// hasMono tells a reading taken outside of synctest bubbles from one taken
// inside: the runtime gives no monotonic reading there.
func hasMono(t time.Time) bool { return t != t.Round(0) }

const edgePanic = "clock: alarm used across the edge of a synctest bubble: its clock was made on the other side"
