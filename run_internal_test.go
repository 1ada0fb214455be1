package duly

import (
	"context"
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
