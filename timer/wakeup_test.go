package timer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/schedule"
)

// earlier are the ways in which an earlier deadline arrives. Each is given an engine with a timer far ahead and a task
// "far" far ahead, and lets f run after d.
var earlier = map[string]func(e *Engine, far Timer, now clock.Reading, d time.Duration, f func()) error{
	"AfterFunc": func(e *Engine, _ Timer, _ clock.Reading, d time.Duration, f func()) error {
		return e.AfterFunc(d, f).Err()
	},
	"Put After": func(e *Engine, _ Timer, _ clock.Reading, d time.Duration, f func()) error {
		_, err := e.Put("soon", schedule.After(d), Plain(f))
		return err
	},
	"Put At": func(e *Engine, _ Timer, now clock.Reading, d time.Duration, f func()) error {
		_, err := e.Put("soon", schedule.At(time.Unix(0, now.Wall).Add(d)), Plain(f))
		return err
	},
	"Put Every": func(e *Engine, _ Timer, _ clock.Reading, d time.Duration, f func()) error {
		_, err := e.Put("soon", schedule.Every(d).Times(1), Plain(f))
		return err
	},
	"Put in place": func(e *Engine, _ Timer, _ clock.Reading, d time.Duration, f func()) error {
		_, err := e.Put("far", schedule.After(d), Plain(f))
		return err
	},
	"Move": func(e *Engine, _ Timer, now clock.Reading, d time.Duration, f func()) error {
		if _, err := e.Put("far", afterHour, Plain(f)); err != nil {
			return err
		}
		return e.Move("far", schedule.At(time.Unix(0, now.Wall).Add(d)))
	},
	"Reset": func(_ *Engine, far Timer, _ clock.Reading, d time.Duration, _ func()) error {
		far.Reset(d) // its func is the same f
		return nil
	},
}

// fallAsleep wakes the driver of an engine on a manual clock and holds every call that it, a worker or the arrival makes
// to the clock, to let them go on one after the other in a random order. At a random moment an earlier deadline arrives.
func fallAsleep(t *testing.T, seed uint64, arrive func(*Engine, Timer, clock.Reading, time.Duration, func()) error) {
	t.Helper()
	const first, soon = 10 * time.Millisecond, 5 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), stormPatience)
	defer cancel()
	rng := rand.New(rand.NewPCG(seed, 0))
	m := clock.NewManual(time.Unix(1_770_000_000, 0))
	e := New(Options{Clock: m, Workers: int(seed % 3)})
	fired := make(chan int64, 10)
	f := func() { fired <- m.Now().Boot }
	far := e.AfterFunc(time.Hour, f)
	if _, err := e.Put("far", afterHour, Plain(func() {})); err != nil {
		t.Fatal(err)
	}
	e.AfterFunc(first, func() {})

	trap := m.Trap()
	holds := make(chan *clock.Held)
	var helpers sync.WaitGroup
	helpers.Go(func() {
		for {
			h, err := trap.Wait(ctx)
			if err != nil {
				return
			}
			select {
			case holds <- h:
			case <-ctx.Done():
				return
			}
		}
	})
	move := m.Advance(first)
	now := m.Now()
	slept, arrived := make(chan error, 1), make(chan error, 1)
	helpers.Go(func() { slept <- move.Wait(ctx) })
	var held []*clock.Held
	when, begun, awake := rng.IntN(8), false, true
	for n := 0; awake || !begun || len(arrived) == 0; n++ {
		if n >= when && !begun || !awake && !begun {
			begun = true
			helpers.Go(func() { arrived <- arrive(e, far, now, soon, f) })
		}
		for gap := true; gap; { // until nobody comes any more: the others are held, done, or wait for one who is held
			select {
			case h := <-holds:
				held = append(held, h)
			case err := <-slept:
				if awake = false; err != nil {
					t.Fatal(err)
				}
			case <-time.After(100 * time.Microsecond):
				gap = false
			}
		}
		if len(held) > 0 {
			i := rng.IntN(len(held))
			if err := held[i].Release(ctx); err != nil {
				t.Fatal(err)
			}
			held = append(held[:i], held[i+1:]...)
		}
	}
	trap.Close()
	if err := <-arrived; err != nil {
		t.Fatal(err)
	}
	boot, wall := m.Armed()
	if at := min(boot, satAdd(wall, now.Boot-now.Wall)); at > int64(first+soon) {
		t.Errorf("seed %d: asleep until %v, but something is due at %v", seed, time.Duration(at), first+soon)
	}
	if err := m.Run(ctx, soon); err != nil {
		t.Fatal(err)
	}
	select {
	case at := <-fired:
		if at != int64(first+soon) {
			t.Errorf("seed %d: it ran at %v, want %v", seed, time.Duration(at), first+soon)
		}
	case <-ctx.Done():
		t.Errorf("seed %d: it did not run", seed)
	}
	patientClose(t, e)
	cancel()
	helpers.Wait()
}

// plainClock is the portable way to wake, whatever the platform: one timer of the runtime, set again and again.
type plainClock struct{ start time.Time }

func (c plainClock) Read() clock.Reading {
	now := time.Now()
	return clock.Reading{Boot: int64(now.Sub(c.start)), Wall: now.UnixNano()}
}

func (c plainClock) NewAlarm(wake func()) clock.Alarm {
	a := &plainAlarm{clock: c, wake: wake}
	a.ended.L = &a.mu
	return a
}

type plainAlarm struct {
	clock plainClock
	wake  func()

	mu                   sync.Mutex
	ended                sync.Cond
	timer                *time.Timer
	waking, more, closed bool
}

func (a *plainAlarm) Set(boot, wall int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	if a.timer != nil {
		a.timer.Stop()
	}
	if boot == never && wall == never {
		return
	}
	now := a.clock.Read()
	a.timer = time.AfterFunc(time.Duration(max(0, min(boot-now.Boot, wall-now.Wall))), a.ring)
}

func (a *plainAlarm) ring() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.more = true; a.waking {
		return
	}
	a.waking = true
	for a.more && !a.closed {
		a.more = false
		a.mu.Unlock()
		a.wake()
		a.mu.Lock()
	}
	a.waking = false
	a.ended.Broadcast()
}

func (a *plainAlarm) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	if a.timer != nil {
		a.timer.Stop()
	}
	for a.waking {
		a.ended.Wait()
	}
}

// raceToSleep lets deadlines arrive around the moment at which the driver has worked and falls asleep, and waits for each.
// Only a wake-up that is lost makes it fail: it then waits for what is an hour ahead, or for nothing.
func raceToSleep(t *testing.T, c clock.Clock, n int, pause func()) {
	t.Helper()
	e := New(Options{Clock: c})
	fired := make(chan struct{}, 1)
	f := func() { fired <- struct{}{} }
	for i := range n {
		var far Timer
		if i%2 == 0 { // or there is nothing at all to sleep for
			far = e.AfterFunc(time.Hour, f)
		}
		e.AfterFunc(time.Duration(rand.IntN(100_000)), func() {})
		pause()
		d := time.Duration(rand.IntN(50_000))
		switch i % 3 {
		case 0:
			e.AfterFunc(d, f)
		case 1:
			if _, err := e.Put("soon", schedule.At(time.Now().Add(d)), Plain(f)); err != nil {
				t.Fatal(err)
			}
		case 2:
			e.AfterFunc(2*time.Hour, f).Reset(d)
		}
		select {
		case <-fired:
		case <-time.After(stormPatience):
			t.Fatalf("round %d: a wake-up was lost", i)
		}
		far.Stop()
	}
	patientClose(t, e)
}

// An earlier deadline may arrive at every moment of the driver's falling asleep, and wakes it all the same.
// contract: C6
func TestStress_NoLostWakeup(t *testing.T) {
	for how, arrive := range earlier {
		t.Run("held at every call of the clock/"+how, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(rounds(60)) {
				fallAsleep(t, seed, arrive)
			}
		})
	}
	spin := func() {
		for until := time.Now().Add(time.Duration(rand.IntN(400_000))); time.Now().Before(until); {
			runtime.Gosched()
		}
	}
	t.Run("system clock", func(t *testing.T) { raceToSleep(t, clock.System(), rounds(2000), spin) })
	t.Run("portable alarm", func(t *testing.T) { raceToSleep(t, plainClock{time.Now()}, rounds(1000), spin) })
	t.Run("bubble", func(t *testing.T) { synctest.Test(t, wakeInBubble) })
}

// wakeInBubble is raceToSleep where time tells a lost wake-up: what it wakes is late.
func wakeInBubble(t *testing.T) {
	e := New()
	fired := make(chan time.Time, 2)
	f := func() { fired <- time.Now() }
	for i := range rounds(60_000) {
		var far Timer
		if i%2 == 0 {
			far = e.AfterFunc(time.Hour, f)
		}
		first := time.Duration(1 + rand.IntN(100_000))
		e.AfterFunc(first, func() {})
		time.Sleep(first) // the driver and this goroutine wake at the same instant
		for range rand.IntN(40) {
			runtime.Gosched()
		}
		d := time.Duration(rand.IntN(100_000))
		want := time.Now().Add(d)
		if i%3 == 0 {
			if _, err := e.Put(fmt.Sprint("soon ", i), schedule.At(want), Plain(f)); err != nil {
				t.Fatal(err)
			}
		} else {
			e.AfterFunc(d, f)
		}
		if got := <-fired; !got.Equal(want) {
			t.Fatalf("round %d: it ran %v late", i, got.Sub(want))
		}
		far.Stop()
	}
	patientClose(t, e)
}

// TestRearm_NeverLater: an arrival on one timeline leaves the other's alarm as early as it is, although what that was set for has
// gone: a deadline that arrives there at the same moment may have found it set early enough.
func TestRearm_NeverLater(t *testing.T) {
	set := time.Unix(1_770_000_000, 0)
	delay := func(e *Engine, d time.Duration) (Expiry, error) { return e.Expire(e.Elapsed()+d, nobody{}) }
	instant := func(e *Engine, d time.Duration) (Expiry, error) { return e.ExpireAt(set.Add(d), nobody{}) }
	for name, arrive := range map[string][2]func(*Engine, time.Duration) (Expiry, error){
		"instant gone": {instant, delay}, "delay gone": {delay, instant},
	} {
		t.Run(name, func(t *testing.T) {
			m := clock.NewManual(set)
			e := New(Options{Clock: m})
			defer patientClose(t, e)
			now := m.Now()
			alarms := func() [2]int64 {
				boot, wall := m.Armed()
				got := [2]int64{boot - now.Boot, wall - now.Wall}
				if name == "instant gone" {
					slices.Reverse(got[:])
				}
				return got // of what goes, and of what arrives
			}
			var x Expiry
			for i, d := range [2]time.Duration{2 * time.Hour, time.Minute} { // the first stays: an engine with nothing left lets go of its alarm
				var err error
				if x, err = arrive[1-i](e, d); err != nil {
					t.Fatal(err)
				}
			}
			if !x.Stop() {
				t.Fatal("not stopped")
			}
			if _, err := arrive[1](e, time.Hour); err != nil {
				t.Fatal(err)
			}
			if got, want := alarms(), [2]int64{int64(time.Minute), int64(time.Hour)}; got != want {
				t.Errorf("the alarms are set to %v, want %v", got, want)
			}
		})
	}
}

// TestRearm_TwoArrive: of two deadlines that arrive at once, one on each timeline, where an alarm is still set for one that has gone, both
// are waited for.
func TestRearm_TwoArrive(t *testing.T) {
	for range rounds(10_000) {
		m := clock.NewManual(time.Unix(1_770_000_000, 0))
		e := New(Options{Clock: m})
		at := m.Now()
		due := time.Unix(0, at.Wall).Add(time.Second)
		keep, err := e.Expire(3*time.Hour, nobody{})
		if err != nil {
			t.Fatal(err)
		}
		gone, err := e.ExpireAt(due, nobody{})
		if err != nil || !gone.Stop() {
			t.Fatal(err, "or not stopped")
		}
		var begin, both sync.WaitGroup
		begin.Add(2)
		meet := func() { begin.Done(); begin.Wait() }
		both.Go(func() { meet(); _, _ = e.Expire(time.Hour, nobody{}) })
		both.Go(func() { meet(); _, _ = e.ExpireAt(due, nobody{}) })
		both.Wait()
		if boot, wall := m.Armed(); boot > at.Boot+int64(time.Hour) || wall > due.UnixNano() {
			t.Fatalf("the alarms are set to %d and %d, want %d and %d", boot, wall, at.Boot+int64(time.Hour), due.UnixNano())
		}
		keep.Stop()
		patientClose(t, e)
	}
}

// nobody is told of a deadline.
type nobody struct{}

func (nobody) Expire(error) {}

// TestTasks_AcrossTheEdgeSetsNoAlarm: who lists the tasks from the other side of a bubble's edge, just when another has published a deadline and
// not set the alarm yet, does not do it in its stead: there it would be fatal, and the deadline not waited for.
// contract: C6
func TestTasks_AcrossTheEdgeSetsNoAlarm(t *testing.T) {
	e := New()
	defer patientClose(t, e)
	rung := make(chan struct{})
	now := e.clk.Read()
	sh := e.anyShard()
	sh.mu.Lock() // half of AfterFunc
	idx, en := sh.newLocked(sh.newID())
	en.what = func() { close(rung) }
	sh.linkLocked(idx, en, now.Boot, false, now.Boot)
	sh.mu.Unlock()
	synctest.Test(t, func(t *testing.T) {
		defer func() {
			if v := recover(); v != nil {
				t.Errorf("the listing panicked: %v", v)
			}
		}()
		for info := range e.Tasks(AllTasks()) {
			t.Errorf("listed: %v", info.Name)
		}
	})
	e.kick(sh) // the other half
	select {
	case <-rung:
	case <-time.After(stormPatience):
		t.Fatal("a wake-up was lost")
	}
}

// TestRearm_AfterAClockThatPanicked: a clock that fails once to set its alarm, under a caller's hands, is asked again by the next.
func TestRearm_AfterAClockThatPanicked(t *testing.T) {
	m := clock.NewManual(time.Unix(1_770_000_000, 0))
	c := &failingAlarm{Manual: m}
	e := New(Options{Clock: c})
	defer patientClose(t, e)
	fired := make(chan int, 2)
	c.fail = true
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the clock has not panicked")
			}
		}()
		e.AfterFunc(time.Second, func() { fired <- 1 })
	}()
	c.fail = false
	e.AfterFunc(2*time.Second, func() { fired <- 2 })
	if boot, _ := m.Armed(); boot != int64(time.Second) {
		t.Errorf("the alarm is set to %v, want a second", time.Duration(boot))
	}
	if err := m.Run(edgeCtx(t), time.Minute); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		select {
		case <-fired:
		case <-time.After(stormPatience):
			t.Fatalf("%d of 2 have run: a wake-up was lost", i)
		}
	}
}

// failingAlarm is a clock whose alarm panics when it is set, while told to.
type failingAlarm struct {
	*clock.Manual
	fail bool
}

func (c *failingAlarm) NewAlarm(wake func()) clock.Alarm {
	return failing{c.Manual.NewAlarm(wake), c}
}

type failing struct {
	clock.Alarm
	c *failingAlarm
}

func (f failing) Set(boot, wall int64) {
	if f.c.fail {
		panic("no alarm")
	}
	f.Alarm.Set(boot, wall)
}
