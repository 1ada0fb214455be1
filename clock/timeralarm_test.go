package clock

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The portable alarm re-reads the wall clock once a minute while it has a wall
// deadline, and only then: the documented exception. contract: C6.
func TestRereadOnceAMinute(t *testing.T) {
	day := int64(24 * time.Hour)
	cases := []struct {
		name                   string
		rereadWall, rereadBoot bool
		boot, wall             int64 // from now
		sleep                  time.Duration
		want                   []time.Duration
	}{
		{"a wall deadline", true, false, Never, day, 150 * time.Second, []time.Duration{time.Minute, 2 * time.Minute}},
		{"a boot deadline", true, false, day, Never, time.Hour, nil},
		{"a boot deadline that runtime timers sleep through", true, true, day, Never, 150 * time.Second, []time.Duration{time.Minute, 2 * time.Minute}},
		{"both", true, false, int64(90 * time.Second), day, 130 * time.Second, []time.Duration{time.Minute, 90 * time.Second}},
		{"a wall deadline within the minute", true, false, Never, int64(30 * time.Second), time.Hour, []time.Duration{30 * time.Second}},
		{"none", true, true, Never, Never, time.Hour, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				clk := System()
				var got []time.Duration
				a := &timerAlarm{
					clock: clk, boot: Never, wall: Never, due: Never, rereadWall: c.rereadWall, rereadBoot: c.rereadBoot,
					w: newWaker(func() { got = append(got, time.Duration(clk.Read().Boot)) }),
				}
				wall := c.wall
				if wall != Never {
					wall += clk.Read().Wall
				}
				a.Set(c.boot, wall)
				time.Sleep(c.sleep)
				synctest.Wait()
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("wakes (-want +got):\n%s", diff)
				}
				a.Close()
			})
		})
	}
}

// steppedClock is a bubble's clock whose wall clock can be stepped.
type steppedClock struct {
	Clock
	off atomic.Int64
}

func (c *steppedClock) Read() Reading {
	r := c.Clock.Read()
	r.Wall += c.off.Load()
	return r
}

// The owner is woken within a minute after a step that nobody announced, and at
// the deadline by the clock as it then is. contract: H2.
func TestUnannouncedStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk := &steppedClock{Clock: System()}
		var woken atomic.Pointer[Reading]
		woken.Store(&Reading{})
		last := func() Reading { synctest.Wait(); return *woken.Load() }
		a := &timerAlarm{
			clock: clk, boot: Never, wall: Never, due: Never, rereadWall: true,
			w: newWaker(func() { r := clk.Read(); woken.Store(&r) }),
		}
		start := clk.Read()
		at := start.Wall + int64(2*time.Hour)
		a.Set(Never, at)
		time.Sleep(10 * time.Minute)
		clk.off.Store(3 * hour)
		time.Sleep(time.Minute)
		if r := last(); r.Wall < at {
			t.Errorf("a minute after the step over the deadline, last woken at %v", time.Duration(r.Boot))
		}
		clk.off.Store(0)
		a.Set(Never, at)
		clk.off.Store(-hour)
		time.Sleep(time.Duration(at - clk.Read().Wall - 1))
		if r := last(); r.Wall >= at {
			t.Errorf("after a step back woken early, at %+v", r)
		}
		time.Sleep(time.Nanosecond)
		if r := last(); r.Wall != at {
			t.Errorf("after a step back last woken at %d, want at %d", r.Wall, at)
		}
		a.Close()
	})
}

func TestUntil(t *testing.T) {
	for _, c := range []struct{ at, now, want int64 }{
		{Never, 0, Never},
		{Never, -Never, Never},
		{10, 3, 7},
		{3, 10, 0},
		{5, 5, 0},
		{-5, -7, 2},
		{Never - 1, 0, Never - 1},
		{Never - 1, -1, Never - 1},
		{Never - 1, -Never, Never - 1},
		{-Never, Never - 1, 0},
		{0, -Never, Never - 1},
	} {
		if got := until(c.at, c.now); got != c.want {
			t.Errorf("until(%d, %d) = %d, want %d", c.at, c.now, got, c.want)
		}
	}
}
