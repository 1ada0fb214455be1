package clock

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience ends a test that hangs, no more: no test passes or fails by it on a
// machine that gets anywhere at all.
const patience = 30 * time.Second

const hour = int64(time.Hour)

// kind is one implementation that the suite below holds to Alarm's contract.
type kind struct {
	name  string
	clock func() Clock
	// bubble: the test has to run in a synctest bubble.
	bubble bool
	// pass lets time pass. Nil: it passes by itself.
	pass func(t *testing.T, c Clock, d time.Duration)
}

// kinds returns the implementations that exist on this platform.
func kinds() []kind {
	return append([]kind{
		{name: "portable", clock: func() Clock {
			return newSystemClock(sources{now: runtimeNow()}, func(c *systemClock, w *waker) Alarm { return newTimerAlarm(c, w) })
		}},
		{name: "bubble", bubble: true, clock: System},
		{
			name: "manual", clock: func() Clock { return NewManual(time.Now()) },
			pass: func(t *testing.T, c Clock, d time.Duration) {
				t.Helper()
				if err := c.(*Manual).Run(patient(t), d); err != nil {
					t.Error(err)
				}
			},
		},
	}, platformKinds()...)
}

func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// subject is an alarm under test with a record of its wakes.
type subject struct {
	t     *testing.T
	kind  kind
	clock Clock
	Alarm
	wakes chan Reading
}

func (s *subject) wake() { s.wakes <- s.clock.Read() }

// in returns the deadline on the boot timeline that is d from now.
func (s *subject) in(d time.Duration) int64 { return s.clock.Read().Boot + int64(d) }

// wallIn returns the deadline on the wall clock that is d from now.
func (s *subject) wallIn(d time.Duration) int64 { return s.clock.Read().Wall + int64(d) }

// pass lets d pass on a clock that does not move by itself.
func (s *subject) pass(d time.Duration) {
	s.t.Helper()
	if s.kind.pass != nil {
		s.kind.pass(s.t, s.clock, d)
	}
}

// woken waits for a wake after the deadlines have been reached. Wakes may be
// spurious, so earlier ones are read over.
func (s *subject) woken(boot, wall int64) Reading {
	s.t.Helper()
	for {
		select {
		case r := <-s.wakes:
			if r.Boot >= boot || r.Wall >= wall {
				return r
			}
		case <-time.After(patience):
			s.t.Fatalf("not woken for (%d, %d); the clock shows %+v", boot, wall, s.clock.Read())
		}
	}
}

// quiet fails if a wake has been recorded.
func (s *subject) quiet(when string) {
	s.t.Helper()
	if s.kind.bubble {
		synctest.Wait()
	}
	select {
	case r := <-s.wakes:
		s.t.Errorf("woken %s, at %+v", when, r)
	default:
	}
}

// TestAlarm is the contract suite.
func TestAlarm(t *testing.T) {
	cases := []struct {
		name string // why it is there
		run  func(s *subject)
	}{
		{"boot deadline wakes", func(s *subject) {
			at := s.in(5 * time.Millisecond)
			s.Set(at, Never)
			s.pass(5 * time.Millisecond)
			s.woken(at, Never)
		}},
		{"wall deadline wakes", func(s *subject) {
			at := s.wallIn(5 * time.Millisecond)
			s.Set(Never, at)
			s.pass(5 * time.Millisecond)
			s.woken(Never, at)
		}},
		{"the first of both wakes, the other stays", func(s *subject) {
			boot, wall := s.in(2*time.Millisecond), s.wallIn(20*time.Millisecond)
			s.Set(boot, wall)
			s.pass(2 * time.Millisecond)
			s.woken(boot, Never)
			s.pass(18 * time.Millisecond)
			s.woken(Never, wall)
		}},
		{"past deadlines wake at once", func(s *subject) {
			for _, at := range []int64{0, -1, -Never, math.MinInt64} {
				s.Set(at, Never)
				s.woken(at, Never)
				s.Set(Never, at)
				s.woken(Never, at)
			}
		}},
		{"the same past deadline wakes again when it is set again", func(s *subject) {
			for range 100 {
				s.Set(0, Never)
				s.woken(0, Never)
			}
		}},
		{"moved earlier", func(s *subject) {
			s.Set(s.in(time.Hour), s.wallIn(time.Hour))
			at := s.in(2 * time.Millisecond)
			s.Set(at, Never)
			s.pass(2 * time.Millisecond)
			s.woken(at, Never)
		}},
		{"moved later", func(s *subject) {
			s.Set(s.in(time.Hour), Never)
			s.Set(s.in(2*time.Hour), Never)
			s.pass(time.Hour)
			s.quiet("at the deadline that was replaced")
		}},
		{"unset", func(s *subject) {
			s.Set(s.in(time.Hour), s.wallIn(time.Hour))
			s.Set(Never, Never)
			s.pass(2 * time.Hour)
			s.quiet("though nothing was set")
		}},
		{"far away is not now", func(s *subject) {
			s.Set(Never-1, Never-1)
			s.pass(time.Hour)
			s.quiet("centuries too early")
		}},
		{"set from within wake", func(s *subject) {
			n := 0
			var a Alarm
			done := make(chan struct{})
			a = s.clock.NewAlarm(func() {
				if n++; n == 50 {
					close(done)
				} else if n < 50 {
					a.Set(s.clock.Read().Boot, Never)
				}
			})
			defer a.Close()
			a.Set(0, Never)
			<-done
		}},
		{"closed from within wake", func(s *subject) {
			var a Alarm
			done := make(chan struct{})
			a = s.clock.NewAlarm(func() { a.Close(); a.Set(0, 0); close(done) })
			a.Set(0, Never)
			<-done
			a.Close()
		}},
		{"close waits for the wake", func(s *subject) {
			began, end := make(chan struct{}), make(chan struct{})
			returned := false
			a := s.clock.NewAlarm(func() { close(began); <-end; returned = true })
			a.Set(0, Never)
			<-began
			go close(end)
			a.Close()
			if !returned { // the race detector objects as well if Close did not wait
				s.t.Error("Close returned before the wake")
			}
		}},
		{"set does not wait for the wake", func(s *subject) {
			began, end := make(chan struct{}, 9), make(chan struct{})
			a := s.clock.NewAlarm(func() { began <- struct{}{}; <-end })
			a.Set(0, Never)
			<-began
			a.Set(Never, 0)
			a.Set(0, Never)
			close(end)
			<-began // deadlines that were reached meanwhile lead to one more call
			a.Close()
		}},
		{"closed does nothing, and close may be said again", func(s *subject) {
			s.Set(s.in(time.Hour), Never)
			s.Close()
			s.Close()
			s.Set(0, 0)
			s.pass(2 * time.Hour)
			s.quiet("though closed")
		}},
		{"close of an alarm that was never set", func(s *subject) { s.Close() }},
	}
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) {
					run := func(t *testing.T) {
						s := &subject{t: t, kind: k, clock: k.clock(), wakes: make(chan Reading, 1000)}
						s.Alarm = s.clock.NewAlarm(s.wake)
						c.run(s)
						s.Close()
					}
					if k.bubble {
						synctest.Test(t, run)
					} else {
						run(t)
					}
				})
			}
		})
	}
}

func TestNewAlarmWantsAFunction(t *testing.T) {
	for _, k := range kinds() {
		if k.bubble {
			continue // the same code, and a panic in a bubble ends it
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: NewAlarm(nil) did not panic", k.name)
				}
			}()
			k.clock().NewAlarm(nil)
		}()
	}
}
