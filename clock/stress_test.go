package clock

import (
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// No wake-up is lost, whatever moment of falling asleep or waking a Set hits:
// an owner that follows the contract (on a wake it reads the clock, takes what
// is due and sets the next deadline) sees every deadline come, while another
// goroutine sets and unsets. An alarm that loses one hangs here.
func TestNoLostWakeUp(t *testing.T) {
	rounds := 1000
	if testing.Short() {
		rounds = 100
	}
	for _, k := range kinds() {
		if k.bubble || k.pass != nil {
			continue // the first is below, the second does not move by itself
		}
		t.Run(k.name, func(t *testing.T) { loseNoWakeUp(t, k.clock(), rounds) })
	}
	t.Run("bubble", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { loseNoWakeUp(t, System(), rounds) })
	})
}

func loseNoWakeUp(t *testing.T, clk Clock, rounds int) {
	t.Helper()
	var boot, wall atomic.Int64 // what the owner waits for
	var early atomic.Int64
	seen := make(chan struct{}, 1)
	a := clk.NewAlarm(func() {
		r := clk.Read()
		b, w := boot.Load(), wall.Load()
		if r.Boot >= b || r.Wall >= w {
			boot.Store(Never)
			wall.Store(Never)
			seen <- struct{}{}
		} else if b != Never || w != Never {
			early.Add(1)
		}
	})
	defer a.Close()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	boot.Store(Never)
	wall.Store(Never)
	for i := range rounds {
		r := clk.Read()
		d := rnd.Int64N(300_000) - 20_000
		far := int64(time.Hour)
		switch rnd.IntN(6) { // what was set before, and perhaps still is
		case 0:
			a.Set(Never, Never)
		case 1:
			a.Set(r.Boot+far, Never)
		case 2:
			a.Set(Never, r.Wall+far)
		case 3:
			a.Set(r.Boot+rnd.Int64N(50_000), r.Wall+far)
		case 4:
			a.Set(Never, Never)
			runtime.Gosched()
		}
		switch i % 3 {
		case 0:
			boot.Store(r.Boot + d)
			a.Set(r.Boot+d, Never)
		case 1:
			wall.Store(r.Wall + d)
			a.Set(Never, r.Wall+d)
		case 2:
			boot.Store(r.Boot + d)
			wall.Store(r.Wall + d + 10_000)
			a.Set(r.Boot+d, r.Wall+d+10_000)
		}
		select {
		case <-seen:
		case <-time.After(patience):
			t.Fatalf("round %d: no wake for (%d, %d); the clock shows %+v", i, boot.Load(), wall.Load(), clk.Read())
		}
	}
	t.Logf("%d of %d wakes were spurious", early.Load(), rounds)
}

// Setters on several goroutines race with expiry and with Close.
func TestSetRacesClose(t *testing.T) {
	for _, k := range kinds() {
		if k.bubble {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			for range 100 {
				clk := k.clock()
				var closed atomic.Bool
				a := clk.NewAlarm(func() {
					if closed.Load() {
						t.Error("woken after Close")
					}
				})
				done := make(chan struct{})
				for range 2 {
					go func() {
						defer func() { done <- struct{}{} }()
						for i := range int64(20) {
							r := clk.Read()
							a.Set(r.Boot+i%3*1000, Never)
							a.Set(Never, r.Wall+i%5*1000)
							if i%7 == 0 {
								a.Set(Never, Never)
							}
						}
					}()
				}
				runtime.Gosched()
				a.Close()
				closed.Store(true)
				<-done
				<-done
			}
		})
	}
}
