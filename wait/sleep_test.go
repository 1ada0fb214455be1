package wait_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/internal/park/parktest"
	"github.com/dulyhq/duly/timer"
	"github.com/dulyhq/duly/wait"
)

var errEnough = errors.New("enough")

// requirement: F01.
func TestSleep(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		s := wait.Sleeper{Engine: v.Engine}
		for _, d := range []time.Duration{math.MinInt64, -1, 0} {
			if err := s.Sleep(t.Context(), d); err != nil || !v.Now().Equal(v.Start) {
				t.Errorf("%v: %v, at %v", d, err, v.Now())
			}
		}
		for _, d := range []time.Duration{1, time.Microsecond, time.Second, 100 * 24 * time.Hour} {
			begun := v.Now()
			err := call(func() error { return s.Sleep(t.Context(), d) })
			synctest.Wait() // it sleeps
			v.Pass(d - 1)
			if err, ok := returned(err); ok {
				t.Errorf("%v: early: %v", d, err)
			}
			v.Pass(1)
			if err, ok := returned(err); !ok || err != nil || !v.Now().Equal(begun.Add(d)) {
				t.Errorf("%v: returned %t, %v, after %v", d, ok, err, v.Now().Sub(begun))
			}
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		short, long := make(chan error, 1), make(chan error, 1)
		go func() { short <- s.Sleep(ctx, time.Minute) }()
		go func() { long <- s.Sleep(ctx, wait.Forever) }()
		v.Pass(time.Second)
		cancel(errEnough)
		for _, c := range []chan error{short, long} {
			if err := <-c; !errors.Is(err, errEnough) {
				t.Errorf("cancelled: %v", err)
			}
		}
		for _, d := range []time.Duration{-1, 0, time.Hour} {
			if err := s.Sleep(ctx, d); !errors.Is(err, errEnough) {
				t.Errorf("%v with a context that has ended: %v", d, err)
			}
		}
	})
}

// A context's cause is told from the end of the sleep, even if it is the package's own ErrTimeout, and a deadline of the
// context is its error.
func TestSleep_Causes(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		s := wait.Sleeper{Engine: v.Engine}
		ctx, cancel := context.WithCancelCause(t.Context())
		err := call(func() error { return s.Sleep(ctx, time.Hour) })
		v.Pass(time.Minute)
		cancel(wait.ErrTimeout)
		if err := <-err; !errors.Is(err, wait.ErrTimeout) {
			t.Errorf("got %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := wait.Sleep(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

// requirement: F23.
func TestSleepUnitsAndUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		for _, d := range []time.Duration{5 * time.Minute, 30 * time.Second, 250 * time.Millisecond, 7} {
			begun := time.Now()
			if err := wait.Sleep(t.Context(), d); err != nil || time.Since(begun) != d {
				t.Errorf("%v: %v after %v", d, err, time.Since(begun))
			}
		}
		noon := start.Add(24 * time.Hour)
		if err := wait.SleepUntil(t.Context(), noon); err != nil || !time.Now().Equal(noon) {
			t.Errorf("until %v: %v at %v", noon, err, time.Now())
		}
	})
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		s := wait.Sleeper{Engine: v.Engine}
		for _, past := range []time.Time{{}, time.Unix(0, 0), v.Start.Add(-1), v.Start} {
			err := call(func() error { return s.SleepUntil(t.Context(), past) })
			v.Pass(0)
			if err, ok := returned(err); !ok || err != nil || !v.Now().Equal(v.Start) {
				t.Errorf("until %v: returned %t, %v", past, ok, err)
			}
		}
		at := v.Start.Add(90 * time.Minute).In(time.FixedZone("elsewhere", 3600))
		err := call(func() error { return s.SleepUntil(t.Context(), at) })
		v.Pass(90*time.Minute - 1)
		if err, ok := returned(err); ok {
			t.Errorf("early: %v", err)
		}
		v.Pass(1)
		if err, ok := returned(err); !ok || err != nil {
			t.Errorf("returned %t, %v", ok, err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		err = call(func() error { return s.SleepUntil(ctx, at.AddDate(1, 0, 0)) })
		never := call(func() error { return s.SleepUntil(ctx, time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC)) })
		v.Pass(time.Hour)
		cancel(errEnough)
		for _, c := range []<-chan error{err, never} {
			if err := <-c; !errors.Is(err, errEnough) {
				t.Errorf("cancelled: %v", err)
			}
		}
		if err := s.SleepUntil(ctx, v.Start); !errors.Is(err, errEnough) {
			t.Errorf("with a context that has ended: %v", err)
		}
	})
}

// An instant follows the wall clock when that is set, a duration does not.
func TestSleepUntil_FollowsTheWallClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		hand := clock.NewManual(start)
		e := timer.New(timer.Options{Clock: hand})
		defer parktest.CloseEngine(t, e)
		s, n := wait.Sleeper{Engine: e}, &wait.Napper{Engine: e}
		run := func(d time.Duration) {
			synctest.Wait()
			if err := hand.Run(t.Context(), d); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		at := start.Add(time.Hour)
		until := call(func() error { return s.SleepUntil(t.Context(), at) })
		napUntil := call(func() bool { return n.NapUntil(at) })
		lasts := call(func() error { return s.Sleep(t.Context(), time.Hour) })
		synctest.Wait()
		hand.Step(-30 * time.Minute)
		run(time.Hour)
		if err, ok := returned(lasts); !ok || err != nil {
			t.Errorf("a duration, after an hour: returned %t, %v", ok, err)
		}
		if err, ok := returned(until); ok {
			t.Errorf("an instant, half an hour before it: %v", err)
		}
		hand.Step(30*time.Minute - 1)
		run(0)
		if err, ok := returned(until); ok {
			t.Errorf("an instant, 1 ns before it: %v", err)
		}
		hand.Step(time.Hour)
		synctest.Wait()
		if err, ok := returned(until); !ok || err != nil {
			t.Errorf("an instant that the clock was set past: returned %t, %v", ok, err)
		}
		if interrupted, ok := returned(napUntil); !ok || interrupted {
			t.Errorf("a nap until then: returned %t, %t", ok, interrupted)
		}
	})
}

// The clock is set forward and back at random while time passes, and suspends: whatever waits for an instant ends as soon as
// the wall clock shows that, or was shown past it, and not before; whatever waits for a time, by elapsed time alone.
func TestWaits_WhileTheClockIsSet(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	type sleeper struct {
		what string
		got  <-chan error
		left func() time.Duration // until it is due
		over bool
	}
	for range parktest.Rounds(100) {
		synctest.Test(t, func(t *testing.T) {
			hand := clock.NewManual(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
			e := timer.New(timer.Options{Clock: hand})
			defer parktest.CloseEngine(t, e)
			m := &wait.Mutex{Engine: e}
			m.Lock()
			s := wait.Sleeper{Engine: e}
			napUntil := func(at time.Time) error {
				interrupted, err := (&wait.Napper{Engine: e}).NapUntilContext(t.Context(), at)
				if interrupted {
					return errors.New("interrupted by nobody")
				}
				return err
			}
			ctx, cancel := context.WithCancel(t.Context())
			var sleepers []*sleeper
			begin := func() {
				d := time.Duration(random.Int64N(int64(6*time.Hour))) - time.Hour
				now := hand.Now()
				at, due := time.Unix(0, now.Wall).Add(d), now.Boot+int64(d)
				instant := func() time.Duration { return time.Duration(at.UnixNano() - hand.Now().Wall) }
				elapsed := func() time.Duration { return time.Duration(due - hand.Now().Boot) }
				sleepers = append(
					sleepers,
					&sleeper{"SleepUntil", call(func() error { return s.SleepUntil(ctx, at) }), instant, false},
					&sleeper{"NapUntil", call(func() error { return napUntil(at) }), instant, false},
					&sleeper{"Sleep", call(func() error { return s.Sleep(ctx, d) }), elapsed, false},
					&sleeper{"LockFor", call(func() error { return m.LockFor(d) }), elapsed, false},
				)
			}
			check := func(did string, by time.Duration) {
				synctest.Wait()
				for _, s := range sleepers {
					err, ok := returned(s.got)
					if ok && s.what == "LockFor" && errors.Is(err, wait.ErrTimeout) {
						err = nil
					}
					if err != nil || !s.over && ok != (s.left() <= 0) {
						t.Fatalf("after %s by %v, %s: returned %t, %v, %v before it is due", did, by, s.what, ok, err, s.left())
					}
					s.over = s.over || ok
				}
			}
			for range 30 {
				begin()
				check("the call", 0)
				by := time.Duration(random.Int64N(int64(time.Hour)))
				switch random.IntN(4) {
				case 0:
					hand.Step(by)
					check("Step", by)
				case 1:
					hand.Step(-by)
					check("Step", -by)
				case 2:
					hand.Suspend(by)
					check("Suspend", by)
				case 3:
					if err := hand.Run(t.Context(), by); err != nil {
						t.Error(err)
					}
					check("Run", by)
				}
			}
			hand.Step(10 * time.Hour)
			check("Step", 10*time.Hour)
			if err := hand.Run(t.Context(), 10*time.Hour); err != nil {
				t.Error(err)
			}
			check("Run", 10*time.Hour)
			for _, s := range sleepers {
				if !s.over {
					t.Errorf("%s did not return", s.what)
				}
			}
			cancel()
		})
	}
}

// requirement: F24.
func TestSleepGeneric(t *testing.T) {
	table := func(t *testing.T, v parktest.Venue) {
		s := wait.Sleeper{Engine: v.Engine}
		for _, d := range []time.Duration{-time.Second, 0, 1, time.Millisecond, 20 * time.Millisecond} {
			for name, sleep := range map[string]func(begun time.Time) error{
				"for a duration":   func(time.Time) error { return s.Sleep(t.Context(), d) },
				"until an instant": func(begun time.Time) error { return s.SleepUntil(t.Context(), begun.Add(d)) },
			} {
				begun := v.Now()
				err := call(func() error { return sleep(begun) })
				v.Pass(max(d, 0))
				if err := <-err; err != nil {
					t.Errorf("%s, %v: %v", name, d, err)
				}
				if took := v.Now().Sub(begun); took < d {
					t.Errorf("%s, %v: early, after %v", name, d, took)
				}
			}
		}
	}
	parktest.Venues(t, table)
	// The wall clock is assumed not to be set back in these milliseconds.
	t.Run("real clock", func(t *testing.T) {
		table(t, parktest.Venue{Now: time.Now, Pass: func(time.Duration) {}})
	})
	t.Run("real clock, engine", func(t *testing.T) {
		e := timer.New()
		defer parktest.CloseEngine(t, e)
		table(t, parktest.Venue{Engine: e, Now: time.Now, Pass: func(time.Duration) {}})
	})
}

// Whoever sleeps by an engine is answered when that is closed.
func TestSleep_EngineCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := timer.New()
		s, n := wait.Sleeper{Engine: e}, &wait.Napper{Engine: e}
		errs := make(chan error, 4)
		go func() { errs <- s.Sleep(t.Context(), time.Hour) }()
		go func() { errs <- s.SleepUntil(t.Context(), time.Now().Add(time.Hour)) }()
		go func() {
			_, err := n.NapContext(t.Context(), time.Hour)
			errs <- err
		}()
		synctest.Wait()
		if _, err := e.Close(t.Context()); err != nil {
			t.Error(err)
		}
		errs <- s.Sleep(t.Context(), time.Hour)
		for range 4 {
			if err := <-errs; !errors.Is(err, timer.ErrClosed) {
				t.Errorf("got %v", err)
			}
		}
		if err := s.Sleep(t.Context(), 0); err != nil {
			t.Errorf("for no time: %v", err)
		}
		if n.Nap(time.Hour) {
			t.Error("interrupted by nobody")
		}
	})
}

// Ten thousand sleepers cost as many deadlines and no other wake-up than one when all are due.
func TestSleep_ManySleepers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const sleepers = 10_000
		hand := clock.NewManual(time.Unix(0, 0))
		e := timer.New(timer.Options{Clock: hand})
		defer parktest.CloseEngine(t, e)
		s := wait.Sleeper{Engine: e}
		var wg sync.WaitGroup
		for range sleepers {
			wg.Go(func() {
				if err := s.Sleep(t.Context(), time.Hour); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		before := e.Stats()
		hand.Advance(time.Hour - 1)
		synctest.Wait()
		if after := e.Stats(); before.Pending != sleepers || after.Pending != sleepers || after.Wakeups != before.Wakeups {
			t.Errorf("%d, then %d asleep; %d wake-ups, want none", before.Pending, after.Pending, after.Wakeups-before.Wakeups)
		}
		hand.Advance(1)
		wg.Wait()
		if n := e.Stats().Wakeups - before.Wakeups; n == 0 || n > 3 {
			t.Errorf("%d wake-ups for one instant", n)
		}
	})
}
