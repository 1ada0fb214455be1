package clock

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeMachine stands in for the kernel's clocks. Boot time starts an hour
// before monotonic time, as on a machine that was suspended before.
type fakeMachine struct {
	mu         sync.Mutex
	wall, mono int64
	boot       int64
	spikes     []int64 // preemption between the halves of the next readings
	slowBoots  []int64 // how long reading boot time takes, the next times
	bootErr    error
	bootReads  int
}

func newFakeMachine() *fakeMachine {
	return &fakeMachine{wall: 1_800_000_000e9, mono: 5e9, boot: 3605e9}
}

func (m *fakeMachine) clock() *systemClock {
	return newSystemClock(sources{now: m.now, bootTime: m.bootTime}, nil)
}

func (m *fakeMachine) now() instant {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.passLocked(50)
	wall := m.wall
	if len(m.spikes) > 0 {
		m.passLocked(m.spikes[0])
		m.spikes = m.spikes[1:]
	}
	return instant{wall: wall, mono: m.mono}
}

func (m *fakeMachine) bootTime() (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bootReads++
	took := int64(200)
	if len(m.slowBoots) > 0 {
		took += m.slowBoots[0]
		m.slowBoots = m.slowBoots[1:]
	}
	m.passLocked(took / 2)
	boot := m.boot
	m.passLocked(took - took/2)
	return boot, m.bootErr
}

func (m *fakeMachine) passLocked(d int64) {
	m.wall, m.mono, m.boot = m.wall+d, m.mono+d, m.boot+d
}

func (m *fakeMachine) pass(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.passLocked(int64(d))
}

// suspend passes wall and boot time only.
func (m *fakeMachine) suspend(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wall, m.boot = m.wall+int64(d), m.boot+int64(d)
}

func (m *fakeMachine) step(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wall += int64(d)
}

func (m *fakeMachine) set(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

func TestReadOnASimulatedMachine(t *testing.T) {
	const blur = 10 * time.Microsecond // more than the simulated calls take
	cases := []struct {
		name       string
		do         func(m *fakeMachine)
		boot, wall time.Duration // how far a reading must have moved
		bootReads  int           // system calls that this may cost
	}{
		{"time passes", func(m *fakeMachine) { m.pass(time.Hour) }, time.Hour, time.Hour, 0},
		{"step forward", func(m *fakeMachine) { m.step(time.Hour) }, 0, time.Hour, 1},
		{"step back", func(m *fakeMachine) { m.step(-time.Hour) }, 0, -time.Hour, 1},
		{"slew", func(m *fakeMachine) { m.pass(time.Second); m.step(90 * time.Microsecond) }, time.Second, time.Second + 90*time.Microsecond, 0},
		{"suspend", func(m *fakeMachine) { m.suspend(time.Hour) }, time.Hour, time.Hour, 1},
		{"shortest suspend", func(m *fakeMachine) { m.suspend(1001 * time.Microsecond) }, 1001 * time.Microsecond, 1001 * time.Microsecond, 1},
		{"suspend and step back", func(m *fakeMachine) { m.suspend(time.Hour); m.step(-2 * time.Hour) }, time.Hour, -time.Hour, 1},
		{"preempted between the halves", func(m *fakeMachine) { m.set(func() { m.spikes = []int64{int64(time.Second)} }) }, time.Second, time.Second, 0},
		{"preempted twice", func(m *fakeMachine) { m.set(func() { m.spikes = []int64{1e6, 1e6} }) }, 2 * time.Millisecond, 2 * time.Millisecond, 1},
		{"suspend, and a slow look at boot time", func(m *fakeMachine) {
			m.suspend(time.Hour)
			m.set(func() { m.slowBoots = []int64{1e6} })
		}, time.Hour + time.Millisecond, time.Hour + time.Millisecond, 2},
		{"suspend, and only slow looks", func(m *fakeMachine) {
			m.suspend(time.Hour)
			m.set(func() { m.slowBoots = []int64{1e6, 1e6, 1e6, 1e6, 1e6, 1e6} })
		}, time.Hour + 6*time.Millisecond, time.Hour + 6*time.Millisecond, 7},
		{"step, and boot time refused", func(m *fakeMachine) {
			m.step(time.Hour)
			m.set(func() { m.bootErr = errors.New("refused") })
		}, 0, time.Hour, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := newFakeMachine()
			clk := m.clock()
			before := clk.Read()
			reads := m.bootReads
			c.do(m)
			clk.Read()
			clk.Read()
			after := clk.Read() // by the third at the latest it has settled
			near := func(what string, got int64, want time.Duration) {
				t.Helper()
				if d := time.Duration(got) - want; d < 0 || d > blur {
					t.Errorf("%s moved by %v, want %v", what, time.Duration(got), want)
				}
			}
			near("Boot", after.Boot-before.Boot, c.boot)
			near("Wall", after.Wall-before.Wall, c.wall)
			if got := m.bootReads - reads; got > c.bootReads {
				t.Errorf("read boot time %d times, want at most %d", got, c.bootReads)
			}
			m.set(func() { m.bootErr, reads = nil, m.bootReads })
			for range 100 {
				clk.Read()
			}
			if got := m.bootReads - reads; got != 0 {
				t.Errorf("goes on reading boot time: %d of 100 readings", got)
			}
		})
	}
}

// A boot alarm that rings is never told that it is too early: Boot is not
// behind the kernel's clock.
func TestBootIsNotBehindTheKernel(t *testing.T) {
	m := newFakeMachine()
	slow := []int64{15_000} // within what is taken for sharp
	m.slowBoots = slow
	clk := m.clock()
	check := func(when string) {
		t.Helper()
		clk.Read() // notices what there is to notice
		kernel := m.boot - clk.bootBase
		if got := clk.Read().Boot; got < kernel || got > kernel+int64(time.Millisecond) {
			t.Errorf("%s: Boot is %d, the kernel's %d", when, got, kernel)
		}
	}
	check("at first")
	m.suspend(time.Minute)
	m.slowBoots = slow
	check("after a suspend")
	m.suspend(time.Hour)
	m.step(-time.Hour) // hides the suspend from the drift
	m.slowBoots = slow
	clk.resync(true) // what an alarm does that rings too early
	check("after a hidden suspend")
}

func TestReadWithoutBootTime(t *testing.T) {
	for name, bootTime := range map[string]func() (int64, error){
		"none":    nil,
		"refused": func() (int64, error) { return 0, errors.New("refused") },
	} {
		m := newFakeMachine()
		clk := newSystemClock(sources{now: m.now, bootTime: bootTime}, nil)
		m.step(time.Hour)
		m.pass(time.Second)
		if got := time.Duration(clk.Read().Boot).Round(time.Millisecond); got != time.Second {
			t.Errorf("%s: Boot is %v, want 1s", name, got)
		}
		if got := time.Duration(clk.resync(true).Boot).Round(time.Millisecond); got != time.Second {
			t.Errorf("%s: after resync Boot is %v, want 1s", name, got)
		}
	}
}

// contract: H2.
func TestBootNeverGoesBack(t *testing.T) {
	m := newFakeMachine()
	clk := m.clock()
	start, mono := clk.Read().Boot, m.mono // before others read, which takes time too
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		last int64
		stop = make(chan struct{})
	)
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				mu.Lock()
				floor := last
				mu.Unlock()
				got := clk.Read().Boot
				if got < floor {
					t.Errorf("Boot went back from %d to %d", floor, got)
					return
				}
				mu.Lock()
				last = max(last, got)
				mu.Unlock()
			}
		})
	}
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	suspended := time.Duration(0)
	for range 3000 {
		d := time.Duration(r.Int64N(int64(10 * time.Second)))
		switch r.IntN(6) {
		case 0:
			m.suspend(d)
			suspended += d
		case 1:
			m.step(d)
		case 2:
			m.step(-d)
		case 3:
			m.step(d % 150_000) // a slew
		case 4:
			m.set(func() { m.spikes = append(m.spikes, int64(d)%1e6, int64(d)%1e5) })
		case 5:
			m.set(func() { m.slowBoots = append(m.slowBoots, int64(d)%1e6) })
		}
	}
	close(stop)
	wg.Wait()
	m.set(func() { m.spikes, m.slowBoots = nil, nil })
	m.step(time.Hour) // so that nothing of the drift is left as it was
	got := clk.Read().Boot - start
	want := m.mono - mono + int64(suspended)
	if d := time.Duration(want - got); d > time.Millisecond || d < -time.Millisecond {
		t.Errorf("Boot moved by %v, want %v", time.Duration(got), time.Duration(want))
	}
}

func TestReadRealClock(t *testing.T) {
	before := time.Now()
	clk := System()
	r := clk.Read()
	after := time.Now()
	if r.Foreign() || r.Boot < 0 || r.Boot > int64(after.Sub(before))+int64(time.Second) {
		t.Errorf("first reading is %+v", r)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var last int64
	for range 4 {
		wg.Go(func() {
			for range 20_000 {
				mu.Lock()
				floor := last
				mu.Unlock()
				got := clk.Read().Boot
				mu.Lock()
				last = max(last, got)
				mu.Unlock()
				if got < floor {
					t.Errorf("Boot went back from %d to %d", floor, got)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestReadAllocatesNothing(t *testing.T) {
	clk := System()
	if n := testing.AllocsPerRun(1000, func() { clk.Read() }); n != 0 {
		t.Errorf("a reading allocates %v times", n)
	}
	synctest.Test(t, func(t *testing.T) {
		clk := System()
		if n := testing.AllocsPerRun(1000, func() { clk.Read() }); n != 0 {
			t.Errorf("a reading in a bubble allocates %v times", n)
		}
	})
}

func TestForeignReadings(t *testing.T) {
	outside := System()
	var inside Clock
	synctest.Test(t, func(t *testing.T) {
		if r := outside.Read(); !r.Foreign() {
			t.Errorf("a clock from outside reads %+v inside a bubble", r)
		}
		time.Sleep(50 * 365 * 24 * time.Hour) // past the clock's own base
		if r := outside.Read(); !r.Foreign() {
			t.Errorf("a clock from outside reads %+v inside a bubble in 2050", r)
		}
		inside = System()
		time.Sleep(time.Hour)
		if r, want := inside.Read(), int64(time.Hour); r.Foreign() || r.Boot != want || r.Wall != time.Now().UnixNano() {
			t.Errorf("a clock from inside reads %+v after an hour", r)
		}
	})
	if r := inside.Read(); !r.Foreign() {
		t.Errorf("a clock from inside a bubble reads %+v outside", r)
	}
	if r := outside.Read(); r.Foreign() {
		t.Errorf("a clock from outside reads %+v outside", r)
	}
}

// An alarm that crosses the edge would be fatal to the process (a bubble's
// timer) or stop the bubble's time (a goroutine): it panics first, and can
// still be used on its own side.
func TestAlarmsDoNotCrossTheEdge(t *testing.T) {
	wantPanic := func(t *testing.T, what string, f func()) {
		t.Helper()
		defer func() {
			if got := recover(); got != edgePanic {
				t.Errorf("%s: panicked with %v, want %q", what, got, edgePanic)
			}
		}()
		f()
	}
	for _, k := range kinds() {
		if k.bubble || k.pass != nil {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			woken := make(chan struct{}, 10)
			a := k.clock().NewAlarm(func() { woken <- struct{}{} })
			defer a.Close()
			a.Set(int64(time.Hour), Never)
			synctest.Test(t, func(t *testing.T) {
				wantPanic(t, "Set inside", func() { a.Set(0, 0) })
				wantPanic(t, "Close inside", a.Close)
			})
			a.Set(0, Never)
			<-woken
		})
	}
	t.Run("bubble", func(t *testing.T) {
		try, tried := make(chan Alarm), make(chan struct{})
		go func() {
			defer close(tried)
			a := <-try
			wantPanic(t, "Set outside", func() { a.Set(0, 0) })
			wantPanic(t, "Close outside", a.Close)
		}()
		synctest.Test(t, func(t *testing.T) {
			a := System().NewAlarm(func() {})
			a.Set(int64(time.Hour), Never)
			try <- a
			<-tried
			a.Close()
		})
	})
}

// A bubble's clock cannot be stepped, so nothing looks at it once a minute, and
// virtual years cost nothing. contract: C6.
func TestBubbleSleepsThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk := System()
		wakes := 0
		a := clk.NewAlarm(func() { wakes++ })
		year := 365 * 24 * time.Hour
		a.Set(Never, clk.Read().Wall+int64(100*year))
		time.Sleep(100 * year)
		synctest.Wait()
		if wakes != 1 {
			t.Errorf("woken %d times in a hundred years, want 1", wakes)
		}
		a.Close()
	})
}
