package duly

import (
	"context"
	"math"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/schedule"
)

// Run that has ended leaves no timers: neither those of attempts that were in time, nor its own.
//
// contract: K1
func TestRun_LeavesNoTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Options{DrainTimeout: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		k := Handle(s, "k", func(context.Context, *Attempt[string]) error {
			time.Sleep(3 * time.Second)
			return nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		for i := range 9 {
			if _, err := k.Put(t.Context(), strconv.Itoa(i), "", schedule.After(time.Duration(i)*time.Second), Timeout(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(6 * time.Second)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := s.core.eng.Stats().Pending; n != 0 {
			t.Errorf("%d timers are left", n)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestAwait_EndedMeanwhile: where the last attempt ends just when it is no more waited for, none is unfinished.
func TestAwait_EndedMeanwhile(t *testing.T) {
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	r := s.core.newRun(t.Context())
	close(r.given)
	if err := r.await(t.Context()); err != nil {
		t.Errorf("%v, want nothing", err)
	}
	r.resign()
	r.hangUp()
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestAlarm: an alarm rings when its time has come, once; one that is set for longer than time can be told does not ring at all, and one that is
// set when all has ended rings at once.
func TestAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New()
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		rings := func(a *alarm) bool {
			select {
			case <-a.rung:
				return true
			default:
				return false
			}
		}
		soon, late, stopped := newAlarm(s.core.eng, time.Minute), newAlarm(s.core.eng, math.MaxInt64), newAlarm(s.core.eng, time.Minute)
		stopped.stop()
		time.Sleep(time.Minute - 1)
		synctest.Wait()
		if rings(soon) || soon.closed {
			t.Error("one of a minute rings before")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if !rings(soon) || soon.closed {
			t.Error("one of a minute does not ring after it")
		}
		time.Sleep(1000 * time.Hour)
		synctest.Wait()
		if rings(late) || late.closed {
			t.Error("one for ever rings")
		}
		if rings(stopped) {
			t.Error("one that was stopped rings")
		}
		late.stop()
		if n := s.core.eng.Stats().Pending; n != 0 {
			t.Errorf("%d timers are left", n)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if a := newAlarm(s.core.eng, time.Minute); !rings(a) || !a.closed {
			t.Error("one that is set when all has ended does not ring")
		}
	})
}
