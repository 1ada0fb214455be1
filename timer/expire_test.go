package timer_test

import (
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/timer"
)

// expirer notes what it was told.
type expirer struct {
	told atomic.Int32
	err  error
	at   time.Duration
	e    func() time.Duration
}

func (x *expirer) Expire(err error) {
	if x.e != nil {
		x.at = x.e()
	}
	x.err = err
	x.told.Add(1)
}

func TestExpire_TellsOnceAndNeverEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := timer.New()
		begun := e.Elapsed()
		for _, d := range []time.Duration{-1, 0, 1, time.Millisecond, time.Hour, 100 * 24 * time.Hour} {
			x := &expirer{}
			start := time.Now()
			x.e = func() time.Duration { return time.Since(start) }
			h, err := e.Expire(e.Elapsed()+d, x)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(d + time.Second)
			if x.told.Load() != 1 || x.err != nil || x.at != max(d, 0) {
				t.Errorf("after %v: told %d times, at %v, %v", d, x.told.Load(), x.at, x.err)
			}
			if h.Stop() {
				t.Errorf("after %v: stopped what was told", d)
			}
		}
		if e.Elapsed() <= begun {
			t.Error("no time has passed")
		}
		if s := e.Stats(); s.Expired != 6 || s.Fires != 0 || s.Pending != 0 {
			t.Errorf("expired %d, fires %d, pending %d", s.Expired, s.Fires, s.Pending)
		}
		closed(t, e)
	})
}

func closed(t *testing.T, e *timer.Engine) {
	t.Helper()
	if _, err := e.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestExpire_StopAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := timer.New()
		stopped, pending := &expirer{}, &expirer{}
		h, err := e.Expire(time.Hour, stopped)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = e.Expire(math.MaxInt64, pending); err != nil {
			t.Fatal(err)
		}
		if !h.Stop() || h.Stop() || (timer.Expiry{}).Stop() {
			t.Error("Stop is true once")
		}
		time.Sleep(2 * time.Hour)
		if stopped.told.Load() != 0 || pending.told.Load() != 0 {
			t.Error("told before its time, or after Stop")
		}
		closed(t, e)
		if pending.told.Load() != 1 || !errors.Is(pending.err, timer.ErrClosed) {
			t.Errorf("when the engine was closed, told %d times: %v", pending.told.Load(), pending.err)
		}
		late := &expirer{}
		if _, err := e.Expire(0, late); !errors.Is(err, timer.ErrClosed) || late.told.Load() != 0 {
			t.Errorf("on a closed engine: %v, told %d times", err, late.told.Load())
		}
		if _, err := e.Expire(0, nil); !errors.Is(err, timer.ErrInvalid) {
			t.Errorf("nil: %v", err)
		}
	})
}

// Handlers that block, even all that may run at a time, hold up no deadline.
func TestExpire_NoHandlerHoldsItUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := timer.New(timer.Options{Workers: 1})
		gate := make(chan struct{})
		for range 10 {
			e.AfterFunc(0, func() { <-gate })
		}
		time.Sleep(time.Second)
		x := &expirer{}
		start := time.Now()
		x.e = func() time.Duration { return time.Since(start) }
		if _, err := e.Expire(e.Elapsed()+time.Millisecond, x); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if x.told.Load() != 1 || x.at != time.Millisecond {
			t.Errorf("told %d times, at %v", x.told.Load(), x.at)
		}
		close(gate)
		closed(t, e)
	})
}

// Suspend counts, and across a bubble's edge nothing is armed.
func TestExpire_ClockAndBubble(t *testing.T) {
	hand := clock.NewManual(ctStart)
	e := timer.New(timer.Options{Clock: hand})
	x := &expirer{}
	if _, err := e.Expire(time.Hour, x); err != nil {
		t.Fatal(err)
	}
	hand.Step(-48 * time.Hour)
	hand.Suspend(time.Hour)
	for x.told.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	if e.Elapsed() != time.Hour {
		t.Errorf("elapsed %v", e.Elapsed())
	}
	if elapsed, now := e.Read(); elapsed != time.Hour || !now.Equal(ctStart.Add(-47*time.Hour)) {
		t.Errorf("read %v and %v", elapsed, now)
	}
	closed(t, e)
	outside := timer.New()
	defer closed(t, outside)
	synctest.Test(t, func(t *testing.T) {
		if _, err := outside.Expire(0, &expirer{}); !errors.Is(err, timer.ErrBubble) {
			t.Errorf("inside of a bubble: %v", err)
		}
	})
}

// Stop and the deadline race: x is told exactly if Stop says that it did not stop it.
func TestExpire_StopRacesTheDeadline(t *testing.T) {
	e := timer.New()
	defer closed(t, e)
	const rounds = 2000
	stops := 0
	for i := range rounds {
		x := &expirer{}
		h, err := e.Expire(e.Elapsed()+time.Duration(i%100)*time.Microsecond, x)
		if err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			for x.told.Load() == 0 && i%100 < 10 {
				time.Sleep(10 * time.Microsecond)
			}
		}
		if h.Stop() {
			if stops++; x.told.Load() != 0 {
				t.Fatal("stopped, and told")
			}
			continue
		}
		for x.told.Load() == 0 {
			time.Sleep(10 * time.Microsecond)
		}
	}
	if stops == 0 || stops == rounds {
		t.Errorf("%d of %d were stopped: no race", stops, rounds)
	}
}

func TestExpire_AllocatesNothing(t *testing.T) {
	e := timer.New()
	defer closed(t, e)
	x := &expirer{}
	if n := testing.AllocsPerRun(1000, func() {
		h, err := e.Expire(time.Hour, x)
		if err != nil || !h.Stop() {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// ExpireAt follows the wall clock, also when that is set.
func TestExpireAt_FollowsTheWallClock(t *testing.T) {
	ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
		tell := func(at time.Time) *expirer {
			x := &expirer{}
			if _, err := w.ExpireAt(at, x); err != nil {
				t.Fatal(err)
			}
			return x
		}
		past, soon, hour, year := tell(w.wall(-time.Hour)), tell(w.wall(time.Minute)), tell(w.wall(time.Hour)), tell(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))
		w.settle()
		ctEqual(t, "past", past.told.Load(), 1)
		w.step(-30 * time.Second)
		w.pass(time.Minute)
		ctEqual(t, "a minute after a step back", soon.told.Load(), 0)
		w.pass(30 * time.Second)
		ctEqual(t, "when the clock shows it", soon.told.Load(), 1)
		w.step(time.Hour)
		ctEqual(t, "after a step over it", hour.told.Load(), 1)
		w.pass(100 * 365 * 24 * time.Hour)
		ctEqual(t, "year 9999", year.told.Load(), 0)
	})
}
