package duly_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
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
			a.clk.step([]time.Duration{30 * time.Second, -30 * time.Second, -30 * time.Second, 30 * time.Second}[i%4])
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
		c.trip.Store(int64(time.Second)) // a look is four of them
		time.Sleep(time.Minute)
		synctest.Wait()
		c.trip.Store(int64(300 * time.Microsecond))
		c.wantLate(3 * time.Millisecond)
		if n := len(c.of("every")); n != 65 {
			t.Errorf("it ran %d times, want 65", n)
		}
	})
}

// Who could not look at the store's clock for longer than it can be relied on looks as soon as the store answers again, and runs what has come
// due meanwhile.
//
// contract: C1, H1
func TestCluster_ALookAfterAnOutage(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a := c.join("a", 0, 0, quick)
		c.work(a)
		c.evenly(a)
		a.put("every", schedule.Every(time.Second), duly.CatchUp(duly.All(100)))
		time.Sleep(5500 * time.Millisecond) // no attempt is under way: one whose end the store was not told of would overlap with what comes next
		away := func(is bool) (looks int) {
			c.mu.Lock()
			a.away = is
			c.mu.Unlock()
			return a.count("Clock")
		}
		before := away(true)
		time.Sleep(40 * time.Second)
		during := away(false)
		time.Sleep(3 * time.Second) // what it waits at most until it asks again, and a bit
		synctest.Wait()
		if n := a.count("Clock") - during; n == 0 {
			t.Error("the store's clock has not been looked at again")
		}
		if n := during - before; n > 40 {
			t.Errorf("the store's clock was asked for %d times in 40 s of an outage", n)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := len(c.of("every")); n != 58 {
			t.Errorf("it ran %d times in 58.5 s, want 58", n)
		}
	})
}

// A store that does all but tell the time is asked for that again and again, with a rest in between, and the scheduler says that it fails.
func TestCluster_OnlyTheClockFails(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a := c.join("a", 0, 0, quick)
		c.work(a)
		c.evenly(a)
		a.put("every", schedule.Every(time.Second), duly.CatchUp(duly.All(100)))
		time.Sleep(5 * time.Second)
		before := a.count("Clock")
		a.breakNext("Clock", 1000)
		time.Sleep(40 * time.Second)
		if n := a.count("Clock") - before; n == 0 || n > 40 || c.logged("the store fails") == 0 {
			t.Errorf("the store's clock was asked for %d times in 40 s in which it failed, and that was said %d times", n, c.logged("the store fails"))
		}
		a.breakNext("Clock", 0)
		time.Sleep(15 * time.Second)
		synctest.Wait()
		if n := len(c.of("every")); n < 58 || a.stats().StoreErrors == 0 {
			t.Errorf("it ran %d times in 60 s, with %d errors of the store; want each of them, and some", n, a.stats().StoreErrors)
		}
	})
}

// blinking is a store elsewhere whose clock takes a few looks, of which all but the first fail.
type blinking struct {
	*memory.Store

	seen time.Time // when the last look began that was answered
}

func (s *blinking) Clock(ctx context.Context) (clk store.Clock, err error) {
	if time.Since(s.seen) < time.Second {
		return clk, store.ErrBroken
	}
	s.seen = time.Now()
	time.Sleep(3 * time.Millisecond)
	clk, err = s.Store.Clock(ctx)
	clk.Uncertainty = 1
	return clk, err
}

// What one look at the store's clock has shown is used, although those that were to show it better fail.
//
// contract: H1
func TestRun_OnlyTheFirstLookIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &blinking{Store: memory.New(memory.Options{})}
		s, err := duly.New(duly.Options{Store: st})
		if err != nil {
			t.Fatal(err)
		}
		ran := 0
		k := duly.Handle(s, "k", func(context.Context, *duly.Attempt[string]) error { ran++; return nil })
		ended := make(chan error)
		go func() { ended <- s.Run(t.Context()) }()
		time.Sleep(2 * time.Second)
		if _, err := k.Put(t.Context(), "a", "", schedule.Every(time.Minute)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10*time.Minute + 30*time.Second)
		synctest.Wait()
		if all, err := s.Stats(t.Context()); err != nil || all.StoreErrors != 0 || ran != 10 {
			t.Errorf("it ran %d times, with %d errors of the store, %v; want 10 and none", ran, all.StoreErrors, err)
		}
		if err := errors.Join(s.Close(t.Context()), <-ended, st.Close()); err != nil {
			t.Error(err)
		}
	})
}

// What a process with a wrong clock works out for others, without running anything itself, is right by the store's: what is missed, what is
// past, where a grid begins.
//
// contract: A3, H1
func TestCluster_WhoOnlyPutsHasAWrongClock(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a, b, early := c.join("a", 0, 0, quick), c.join("b", time.Hour, 0, quick), c.join("c", -time.Hour, 0, quick)
		c.work(a)
		c.evenly(a)
		begun := time.Now()
		a.put("resumed", schedule.Every(10*time.Minute))
		a.put("moved", schedule.Every(10*time.Minute))
		if _, err := b.d.Pause(t.Context(), duly.Query{Names: []string{"resumed"}}, ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		if n, err := b.d.Resume(t.Context(), duly.Query{Names: []string{"resumed"}}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		other := c.join("d", time.Hour, 0, quick)
		if _, err := other.d.Move(t.Context(), "moved", schedule.At(begun.Add(7*time.Minute))); err != nil {
			t.Fatal(err)
		}
		if w := c.join("e", time.Hour, 0, quick).why("moved"); w != duly.WhyNotDue {
			t.Errorf("what is to come is %s, want not_due", w)
		}
		early.put("grid", schedule.Every(10*time.Minute))
		time.Sleep(6 * time.Minute)
		synctest.Wait()
		for name, want := range map[string]time.Duration{"resumed": 10 * time.Minute, "moved": 7 * time.Minute} {
			if rs := c.of(name); len(rs) == 0 || rs[0].ScheduledFor.Sub(begun).Round(time.Second) != want {
				t.Errorf("%s ran %d times, want at %v", name, len(rs), want)
			}
		}
		time.Sleep(5 * time.Minute)
		if rs := c.of("grid"); len(rs) != 1 || rs[0].ScheduledFor.Sub(begun).Round(time.Second) != 15*time.Minute {
			t.Errorf("the grid ran %d times, want once, 10m after it was put", len(rs))
		}
		for _, n := range []*node{b, early, other} {
			if err := n.d.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}

// A process whose clock is a month ahead forgets nothing by it.
//
// contract: H1, K2
func TestCluster_NothingIsTrimmedByALocalClock(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a := c.join("a", 0, 0, quick)
		c.work(a)
		c.evenly(a)
		a.put("x", schedule.After(0))
		time.Sleep(time.Hour)
		c.work(c.join("b", 30*24*time.Hour, 0, quick))
		time.Sleep(24 * time.Hour)
		if n := a.stats().Store.History; n != 1 {
			t.Errorf("%d entries of the history are left, want 1", n)
		}
	})
}
