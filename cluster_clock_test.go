package duly_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/schedule"
)

// What the clocks of processes do to what they run of one store, whose clock is another.

// A local wall clock that is set by half a minute, either way, makes nothing early and nothing late.
//
// contract: C1, H1
func TestCluster_LocalClockSteps(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a, b := c.join("a", 0, 0, quick), c.join("b", 0, 0, quick)
		c.work(a, b)
		c.evenly(a, b)
		for i := range 40 {
			a.put(fmt.Sprint("every", i), schedule.Every(time.Duration(i+1)*time.Second))
		}
		for i := range 60 {
			time.Sleep(9*time.Second + 300*time.Millisecond)
			a.clk.step([]time.Duration{30, -30, -30, 30}[i%4] * time.Second)
			a.put(fmt.Sprint("in", i), schedule.After(5*time.Second))
			a.put(fmt.Sprint("at", i), schedule.At(time.Now().Add(7*time.Second)))
		}
		c.wantLate(3 * time.Millisecond)
		for i := range 59 {
			if len(c.of(fmt.Sprint("in", i))) != 1 || len(c.of(fmt.Sprint("at", i))) != 1 {
				t.Errorf("%d: what was put after a step did not run once", i)
			}
		}
		if n := len(c.of("every9")); n != 55 {
			t.Errorf("every 10s ran %d times, want 55", n)
		}
	})
}

// Clocks that drift by 100 millionths, either way, make nothing late by more than they drift between two looks at the store's.
//
// contract: C1, H1
func TestCluster_Drift(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a, b := c.join("fast", 0, 100, quick), c.join("slow", 0, -100, quick)
		c.work(a, b)
		c.evenly(a, b)
		for i := range 20 {
			a.put(fmt.Sprint("every", i), schedule.Every(time.Minute+time.Duration(i)*7*time.Second))
		}
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		c.wantLate(4 * time.Millisecond)
		if n := len(c.of("every0")); n != 24*60-1 && n != 24*60 {
			t.Errorf("it ran %d times in a day, want 1440", n)
		}
		if n := a.count("Clock"); n < 24*360 || n > 24*360*3/2 {
			t.Errorf("the store's clock was looked at %d times in a day, want once in ten seconds", n)
		}
	})
}

// A wall clock that is more than a second from the store's is said to be so, once, and shown, and its setting is seen.
//
// contract: H4
func TestCluster_OffsetIsSaid(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a := c.join("a", -5*time.Second, 0, quick)
		c.work(a)
		c.evenly(a)
		time.Sleep(time.Hour)
		offset := func(want time.Duration) {
			t.Helper()
			st := a.stats()
			if (st.ClockOffset-want).Abs() > st.Uncertainty || st.Uncertainty <= 0 || st.Uncertainty > 10*time.Millisecond {
				t.Errorf("the store is %v ahead, give or take %v, want %v", st.ClockOffset, st.Uncertainty, want)
			}
		}
		offset(5 * time.Second)
		if n := c.logged("wall clock is not the store's"); n != 1 {
			t.Errorf("it was said %d times, want once", n)
		}
		a.clk.step(5*time.Second + 100*time.Millisecond)
		offset(-100 * time.Millisecond)
		time.Sleep(time.Hour)
		if n := c.logged("the store's again"); n != 1 {
			t.Errorf("that it is right was said %d times, want once", n)
		}
	})
}

// A look at the store's clock that takes long is worth less than the one before, and makes nothing late.
//
// contract: C1, H1
func TestCluster_ASlowLook(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a := c.join("a", 0, 0, quick)
		c.work(a)
		c.evenly(a)
		a.put("every", schedule.Every(time.Second))
		time.Sleep(5*time.Second + 100*time.Millisecond)
		c.trip = time.Second // a look is four of them
		time.Sleep(time.Minute)
		synctest.Wait()
		c.trip = 300 * time.Microsecond
		c.wantLate(3 * time.Millisecond)
		if n := len(c.of("every")); n != 65 {
			t.Errorf("it ran %d times, want 65", n)
		}
	})
}
