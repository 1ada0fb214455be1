package clock

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Manual is a clock that moves only by hand, for tests that cannot live in a
// testing/synctest bubble. All methods are safe for use by several goroutines.
//
// A clock moved by hand has two races of its own. Time may be moved before the
// code under test has set its alarm: [Manual.WaitArmed] waits for that, and a
// [Trap] holds the call. And time may be moved on while the code that an alarm
// woke still runs: [Manual.Advance] stops at every deadline and returns a
// [Move] whose Wait returns after the wake has. [Manual.Run] does both again
// and again.
//
// Times saturate one nanosecond short of Never, which is in the year 2262.
type Manual struct {
	mu         sync.Mutex
	boot, wall int64
	alarms     []*manualAlarm // open ones, in the order they were made
	made       int            // alarms ever made
	sets       []Setting
	traps      []*Trap
	waking     int           // goroutines in fire
	changed    chan struct{} // closed and replaced when alarms or waking change
}

// NewManual returns a clock whose Boot is 0 and whose wall clock shows start,
// which must lie between the years 1678 and 2262.
func NewManual(start time.Time) *Manual {
	return &Manual{wall: start.UnixNano(), changed: make(chan struct{})}
}

// Setting is one call of an alarm's Set.
type Setting struct {
	Alarm      int     // the alarm's number, counted from 0 in the order of NewAlarm
	At         Reading // when it was called
	Boot, Wall int64   // its arguments
}

// Move is what came of moving a Manual clock.
type Move struct {
	// Moved is how far Boot moved, Left what remains of what was asked for
	// because a deadline came first.
	Moved, Left time.Duration
	// Woken is the number of alarms that were woken.
	Woken int

	done []chan struct{}
}

// Wait returns when every wake that the move caused has returned, or with the
// context's cause when ctx ends first.
func (m *Move) Wait(ctx context.Context) error {
	for _, c := range m.done {
		select {
		case <-c:
		case <-ctx.Done():
			return fmt.Errorf("wait for wake: %w", context.Cause(ctx))
		}
	}
	return nil
}

// Read implements Clock.
func (m *Manual) Read() Reading {
	defer m.enter(CallRead, -1, 0, 0)()
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.readLocked()
}

// Now returns the reading without being held by a trap.
func (m *Manual) Now() Reading {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.readLocked()
}

func (m *Manual) readLocked() Reading { return Reading{Boot: m.boot, Wall: m.wall} }

// NewAlarm implements Clock.
func (m *Manual) NewAlarm(wake func()) Alarm {
	w := newWaker(wake)
	defer m.enter(CallNewAlarm, -1, 0, 0)()
	m.mu.Lock()
	defer m.mu.Unlock()
	a := &manualAlarm{clock: m, w: w, id: m.made, boot: Never, wall: Never}
	m.made++
	m.alarms = append(m.alarms, a)
	return a
}

// Advance moves boot time and the wall clock forward by d, but stops where the
// first deadline is reached, wakes the alarms that are due there and leaves the
// rest of d to the next call. It does not wait for the wakes: Move.Wait does.
// It panics if d is negative.
func (m *Manual) Advance(d time.Duration) *Move {
	m.mu.Lock()
	defer m.mu.Unlock()
	mustNotBeNegative("Advance", d)
	step := m.roomLocked(int64(d))
	for _, a := range m.alarms {
		step = min(step, until(a.boot, m.boot), until(a.wall, m.wall))
	}
	m.boot += step
	m.wall += step
	move := &Move{Moved: time.Duration(step), Left: d - time.Duration(step)}
	m.wakeLocked(move, false)
	if move.Woken == 0 {
		move.Left = 0 // time ends here
	}
	return move
}

// Run moves time forward by d in as many steps as there are deadlines on the
// way, each time waiting until nothing is waking any more. It returns the
// context's cause if ctx ends first, as it must when an alarm's owner sets a
// past deadline on every wake.
func (m *Manual) Run(ctx context.Context, d time.Duration) error {
	mustNotBeNegative("Run", d)
	for left := d; ; {
		if err := m.Idle(ctx); err != nil {
			return err
		}
		move := m.Advance(left)
		left = move.Left
		if left == 0 && move.Woken == 0 {
			return nil
		}
		if err := move.Wait(ctx); err != nil {
			return err
		}
	}
}

// Step steps the wall clock by d, forward or, if d is negative, back. Boot time
// stands still. Every alarm with a wall deadline is woken, reached or not, as
// on a platform that announces steps.
func (m *Manual) Step(d time.Duration) *Move {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case d > 0:
		m.wall = saturatingAdd(m.wall, int64(d))
	case m.wall < -Never-int64(d):
		m.wall = -Never
	default:
		m.wall += int64(d)
	}
	move := &Move{}
	m.wakeLocked(move, true)
	return move
}

// Suspend moves boot time and the wall clock forward by d at one go, as if the
// machine had slept: deadlines on the way do not stop it, and are late. Every
// alarm with a wall deadline is woken, because the wall clock has jumped. It
// panics if d is negative.
func (m *Manual) Suspend(d time.Duration) *Move {
	m.mu.Lock()
	defer m.mu.Unlock()
	mustNotBeNegative("Suspend", d)
	step := m.roomLocked(int64(d))
	m.boot += step
	m.wall += step
	move := &Move{Moved: time.Duration(step)}
	m.wakeLocked(move, true)
	return move
}

func mustNotBeNegative(op string, d time.Duration) {
	if d < 0 {
		panic(fmt.Sprintf("clock: Manual.%s by %v: time does not go back; Step moves the wall clock", op, d))
	}
}

// roomLocked is d, or less if a timeline ends before that.
func (m *Manual) roomLocked(d int64) int64 {
	return min(d, Never-1-m.boot, saturatingAdd(m.wall, d)-m.wall)
}

// wakeLocked wakes the alarms that are due and, if the wall clock jumped, those
// with a wall deadline.
func (m *Manual) wakeLocked(move *Move, jumped bool) {
	for _, a := range m.alarms {
		if a.reachedLocked() || (jumped && a.wall != Never) {
			a.unsetReachedLocked()
			done := make(chan struct{})
			move.done = append(move.done, done)
			move.Woken++
			a.fireLocked(done)
		}
	}
}

// Armed returns the earliest deadline that is set on each timeline, over all
// alarms; Never if none is.
func (m *Manual) Armed() (boot, wall int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	boot, wall = Never, Never
	for _, a := range m.alarms {
		boot, wall = min(boot, a.boot), min(wall, a.wall)
	}
	return boot, wall
}

// WaitArmed waits until armed is true of the deadlines of some alarm (Never is
// one that is not set). It returns the context's cause if ctx ends first. armed
// must not call the clock.
func (m *Manual) WaitArmed(ctx context.Context, armed func(boot, wall int64) bool) error {
	return m.wait(ctx, "wait for an alarm to be set", func() bool {
		for _, a := range m.alarms {
			if armed(a.boot, a.wall) {
				return true
			}
		}
		return false
	})
}

// Idle waits until no alarm is waking its owner. It returns the context's cause
// if ctx ends first.
func (m *Manual) Idle(ctx context.Context) error {
	return m.wait(ctx, "wait for wakes to return", func() bool { return m.waking == 0 })
}

func (m *Manual) wait(ctx context.Context, what string, ok func() bool) error {
	for {
		m.mu.Lock()
		is, changed := ok(), m.changed
		m.mu.Unlock()
		if is {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, context.Cause(ctx))
		}
	}
}

func (m *Manual) changedLocked() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// TakeSets returns the calls of Set on all alarms since the last TakeSets, in
// order, whether or not they changed anything.
func (m *Manual) TakeSets() []Setting {
	m.mu.Lock()
	defer m.mu.Unlock()
	sets := m.sets
	m.sets = nil
	return sets
}

// manualAlarm's fields are guarded by its clock's mu.
type manualAlarm struct {
	clock      *Manual
	w          *waker
	id         int
	boot, wall int64
	closed     bool
}

// Set implements Alarm.
func (a *manualAlarm) Set(boot, wall int64) {
	m := a.clock
	defer m.enter(CallSet, a.id, boot, wall)()
	m.mu.Lock()
	defer m.mu.Unlock()
	if a.closed {
		return
	}
	m.sets = append(m.sets, Setting{Alarm: a.id, At: m.readLocked(), Boot: boot, Wall: wall})
	a.boot, a.wall = boot, wall
	if a.reachedLocked() {
		a.unsetReachedLocked()
		a.fireLocked(nil)
	}
	m.changedLocked()
}

func (a *manualAlarm) reachedLocked() bool {
	return a.boot <= a.clock.boot || a.wall <= a.clock.wall
}

func (a *manualAlarm) unsetReachedLocked() {
	if a.boot <= a.clock.boot {
		a.boot = Never
	}
	if a.wall <= a.clock.wall {
		a.wall = Never
	}
}

// fireLocked wakes the owner on another goroutine.
func (a *manualAlarm) fireLocked(done chan struct{}) {
	m := a.clock
	m.waking++
	a.w.busy.Go(func() {
		defer func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.waking--
			m.changedLocked()
		}()
		a.w.fire(done)
	})
}

// Close implements Alarm.
func (a *manualAlarm) Close() {
	m := a.clock
	m.mu.Lock()
	if !a.closed {
		a.closed = true
		for i, b := range m.alarms {
			if b == a {
				m.alarms = append(m.alarms[:i:i], m.alarms[i+1:]...)
			}
		}
		m.changedLocked()
	}
	m.mu.Unlock()
	a.w.close()
}
