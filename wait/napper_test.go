package wait_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/internal/park/parktest"
	"github.com/dulyhq/duly/wait"
)

// requirement: F05.
func TestNapInterrupt(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		n := &wait.Napper{Engine: v.Engine}
		nap := call(func() bool { return n.Nap(time.Hour) })
		v.Pass(time.Minute)
		if _, ok := returned(nap); ok {
			t.Error("it does not sleep")
		}
		if !n.Interrupt() {
			t.Error("Interrupt found nobody asleep")
		}
		synctest.Wait()
		if interrupted, ok := returned(nap); !ok || !interrupted {
			t.Errorf("woke at once: %t, interrupted: %t", ok, interrupted)
		}
		if took := v.Now().Sub(v.Start); took != time.Minute {
			t.Errorf("after %v", took)
		}
	})
	t.Run("real clock", func(t *testing.T) {
		var n wait.Napper
		nap := call(func() bool { return n.Nap(time.Hour) })
		n.Interrupt() // whether it sleeps yet or not
		if !<-nap {
			t.Error("not interrupted")
		}
	})
}

// requirement: F09.
func TestInterruptTargetsOne(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		a, b := &wait.Napper{Engine: v.Engine}, &wait.Napper{Engine: v.Engine}
		napA := call(func() bool { return a.Nap(time.Hour) })
		napB := call(func() bool { return b.Nap(time.Hour) })
		v.Pass(time.Minute)
		a.Interrupt()
		synctest.Wait()
		if interrupted, ok := returned(napA); !ok || !interrupted {
			t.Errorf("a: woke: %t, interrupted: %t", ok, interrupted)
		}
		v.Pass(59*time.Minute - 1)
		if _, ok := returned(napB); ok {
			t.Error("b woke, too")
		}
		v.Pass(1)
		if interrupted, ok := returned(napB); !ok || interrupted {
			t.Errorf("b: woke: %t, interrupted: %t", ok, interrupted)
		}

		// Of one who is awake nothing is interrupted: neither the nap that has ended, nor oneself; it is kept for the next.
		for range 2 {
			if a.Interrupt() {
				t.Error("a was said to sleep")
			}
		}
		if !a.Nap(time.Hour) || a.Nap(0) {
			t.Error("not exactly one interrupt was kept")
		}
	})
}

// Naps on one Napper are interrupted one by one, the longest first.
func TestInterrupt_SeveralNaps(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		const naps = 5
		n := &wait.Napper{Engine: v.Engine}
		ended := make(chan int, naps)
		for i := range naps {
			go func() {
				if n.Nap(wait.Forever) {
					ended <- i
				}
			}()
			synctest.Wait()
		}
		for i := range naps {
			if !n.Interrupt() {
				t.Errorf("nobody sleeps after %d", i)
			}
			synctest.Wait()
			if len(ended) != 1 || <-ended != i {
				t.Errorf("not the one that has slept longest, %d", i)
			}
		}
	})
}

// requirement: F10.
func TestNapReturnsInterrupted(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		n := &wait.Napper{Engine: v.Engine}
		expires := call(func() bool { return n.Nap(time.Second) })
		v.Pass(time.Second)
		if interrupted, ok := returned(expires); !ok || interrupted {
			t.Errorf("expired: woke: %t, interrupted: %t", ok, interrupted)
		}
		if n.Interrupt() {
			t.Error("nobody sleeps")
		}
		begun := v.Now()
		if !n.Nap(time.Hour) || !v.Now().Equal(begun) {
			t.Error("an interrupt just before a nap is lost")
		}
		if n.Nap(0) || n.Nap(-1) {
			t.Error("one interrupt was used twice")
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		type result struct {
			interrupted bool
			err         error
		}
		nap := func() result {
			interrupted, err := n.NapContext(ctx, time.Hour)
			return result{interrupted, err}
		}
		c := call(nap)
		v.Pass(time.Minute)
		n.Interrupt()
		if r := <-c; !r.interrupted || r.err != nil {
			t.Errorf("interrupted: %+v", r)
		}
		c = call(nap)
		v.Pass(time.Hour)
		if r := <-c; r.interrupted || r.err != nil {
			t.Errorf("expired: %+v", r)
		}
		c = call(nap)
		v.Pass(time.Minute)
		cancel(errEnough)
		if r := <-c; r.interrupted || !errors.Is(r.err, errEnough) {
			t.Errorf("cancelled: %+v", r)
		}
		n.Interrupt()
		if r := nap(); r.interrupted || !errors.Is(r.err, errEnough) {
			t.Errorf("with a context that has ended: %+v", r)
		}
		if !n.Nap(0) {
			t.Error("a nap that did not begin has used up the interrupt")
		}
	})

	// A nap that expires against an Interrupt at the same instant: one of them wins, and if it is the nap, then the interrupt
	// is kept.
	race := func(t *testing.T, n *wait.Napper, d time.Duration, interrupt func() bool) {
		t.Helper()
		found := make(chan bool, 1)
		go func() { found <- interrupt() }()
		interrupted := n.Nap(d)
		f := <-found
		kept := n.Nap(0)
		if interrupted == kept || f && !interrupted {
			t.Errorf("interrupted: %t, found asleep: %t, kept: %t", interrupted, f, kept)
		}
	}
	t.Run("race in a bubble", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var n wait.Napper
			for range parktest.Rounds(30_000) {
				race(t, &n, time.Millisecond, func() bool {
					time.Sleep(time.Millisecond)
					return n.Interrupt()
				})
			}
		})
	})
	t.Run("race on the real clock", func(t *testing.T) {
		const nappers = 100
		var wg sync.WaitGroup
		for range nappers {
			wg.Go(func() {
				var n wait.Napper
				for range parktest.Rounds(100_000) / nappers {
					pause := time.Duration(rand.IntN(100)) * time.Microsecond
					race(t, &n, 50*time.Microsecond, func() bool {
						_ = wait.Sleep(t.Context(), pause)
						return n.Interrupt()
					})
				}
			})
		}
		wg.Wait()
	})
}

// requirement: F11.
func TestNapUntilAndForever(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		n := &wait.Napper{Engine: v.Engine}
		until := call(func() bool { return n.NapUntil(v.Start.Add(time.Hour)) })
		v.Pass(time.Hour - 1)
		if _, ok := returned(until); ok {
			t.Error("early")
		}
		v.Pass(1)
		if interrupted, ok := returned(until); !ok || interrupted {
			t.Errorf("woke: %t, interrupted: %t", ok, interrupted)
		}
		if n.NapUntil(v.Start) {
			t.Error("until the past: interrupted by nobody")
		}
		until = call(func() bool { return n.NapUntil(v.Start.AddDate(1, 0, 0)) })
		v.Pass(time.Minute)
		n.Interrupt()
		if !<-until {
			t.Error("not interrupted")
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := call(func() error {
			_, err := n.NapUntilContext(ctx, v.Start.AddDate(1, 0, 0))
			return err
		})
		v.Pass(time.Minute)
		cancel(errEnough)
		if err := <-ended; !errors.Is(err, errEnough) {
			t.Errorf("cancelled: %v", err)
		}
		forever := call(func() bool { return n.Nap(wait.Forever) })
		v.Pass(10 * 365 * 24 * time.Hour)
		if _, ok := returned(forever); ok {
			t.Error("ended by itself")
		}
		if v.Engine != nil && v.Engine.Stats().Pending != 0 {
			t.Error("a nap without end has a deadline")
		}
		n.Interrupt()
		if !<-forever {
			t.Error("not interrupted")
		}
	})
}

// Interrupts are neither doubled nor lost: one after the other, each ends exactly one nap, whatever the nap is about to do.
//
// requirement: X41.
func TestInterruptNeverDoubleNorLost(t *testing.T) {
	const nappers = 10
	var wg sync.WaitGroup
	for range nappers {
		var n wait.Napper
		var used atomic.Int64
		total := int64(parktest.Rounds(50_000) / nappers)
		wg.Go(func() { // naps, some of which expire, until all interrupts were used
			for used.Load() < total {
				d := wait.Forever
				if r := rand.IntN(4); r > 0 {
					d = time.Duration(r-1) * 20 * time.Microsecond
				}
				if n.Nap(d) {
					used.Add(1)
				}
			}
		})
		wg.Go(func() {
			for i := range total {
				n.Interrupt()
				for used.Load() == i { // lost, if this never ends
					_ = wait.Sleep(t.Context(), time.Microsecond)
				}
				if got := used.Load(); got != i+1 {
					t.Errorf("%d interrupts have ended %d naps", i+1, got)
					return
				}
			}
		})
	}
	wg.Wait()
}
