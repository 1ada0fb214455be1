package clock

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestManualReads(t *testing.T) {
	m := NewManual(start)
	wall := start.UnixNano()
	steps := []struct {
		name string
		do   func()
		want Reading
	}{
		{"at first", func() {}, Reading{0, wall}},
		{"advance", func() { m.Advance(time.Hour) }, Reading{hour, wall + hour}},
		{"advance by nothing", func() { m.Advance(0) }, Reading{hour, wall + hour}},
		{"step back", func() { m.Step(-3 * time.Hour) }, Reading{hour, wall - 2*hour}},
		{"step forward", func() { m.Step(2 * time.Hour) }, Reading{hour, wall}},
		{"suspend", func() { m.Suspend(time.Hour) }, Reading{2 * hour, wall + hour}},
		{"step back to the beginning", func() { m.Step(math.MinInt64); m.Step(math.MinInt64) }, Reading{2 * hour, -Never}},
		{"step to the end", func() { m.Step(math.MaxInt64); m.Step(math.MaxInt64) }, Reading{2 * hour, Never - 1}},
		{"no further", func() { m.Advance(2 * time.Hour) }, Reading{2 * hour, Never - 1}},
		{"back again", func() { m.Step(-24 * time.Hour) }, Reading{2 * hour, Never - 1 - 24*hour}},
		{"as far as the wall clock goes", func() { m.Advance(math.MaxInt64) }, Reading{26 * hour, Never - 1}},
	}
	for _, s := range steps {
		s.do()
		if diff := cmp.Diff(s.want, m.Read()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", s.name, diff)
		}
	}
}

// At the end of time nothing is left to do: an engine whose deadlines saturate
// does not keep Run busy.
func TestManualEndOfTime(t *testing.T) {
	m := NewManual(start)
	a := m.NewAlarm(func() {})
	defer a.Close()
	a.Set(Never-1, Never-1)
	if err := m.Run(patient(t), math.MaxInt64); err != nil {
		t.Fatal(err)
	}
	if boot, wall := m.Armed(); boot != Never-1 || wall != Never {
		t.Errorf("armed for (%d, %d), want the wall deadline reached and the boot deadline not", boot, wall)
	}
	if move := m.Advance(time.Hour); move.Moved != 0 || move.Left != 0 {
		t.Errorf("moved %v beyond the end, %v left", move.Moved, move.Left)
	}
}

func TestManualRefusesToGoBack(t *testing.T) {
	m := NewManual(start)
	for name, f := range map[string]func(){
		"Advance": func() { m.Advance(-1) },
		"Suspend": func() { m.Suspend(-1) },
		"Run":     func() { _ = m.Run(t.Context(), -1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s(-1) did not panic", name)
				}
			}()
			f()
		}()
	}
	if got := m.Now().Boot; got != 0 {
		t.Errorf("Boot is %d after refusals", got)
	}
}

// Advance stops at each deadline and says what is left.
func TestAdvanceStopsAtDeadlines(t *testing.T) {
	ctx := patient(t)
	m := NewManual(start)
	var woken [3]atomic.Int32
	var alarms [3]Alarm
	for i := range alarms {
		alarms[i] = m.NewAlarm(func() { woken[i].Add(1) })
		defer alarms[i].Close()
	}
	alarms[0].Set(2*hour, Never)
	alarms[1].Set(hour, start.UnixNano()+3*hour)
	alarms[2].Set(Never, start.UnixNano()+2*hour)
	type state struct {
		Moved, Left time.Duration
		Woken       int
		Wakes       [3]int32
	}
	steps := []struct {
		d    time.Duration
		want state
	}{
		{30 * time.Minute, state{Moved: 30 * time.Minute}},
		{10 * time.Hour, state{30 * time.Minute, 9*time.Hour + 30*time.Minute, 1, [3]int32{0, 1, 0}}},
		{time.Hour, state{time.Hour, 0, 2, [3]int32{1, 1, 1}}},
		{0, state{Wakes: [3]int32{1, 1, 1}}},
		{10 * time.Hour, state{time.Hour, 9 * time.Hour, 1, [3]int32{1, 2, 1}}},
		{9 * time.Hour, state{Moved: 9 * time.Hour, Wakes: [3]int32{1, 2, 1}}},
	}
	for i, s := range steps {
		move := m.Advance(s.d)
		if err := move.Wait(ctx); err != nil {
			t.Fatal(err)
		}
		got := state{Moved: move.Moved, Left: move.Left, Woken: move.Woken}
		for i := range woken {
			got.Wakes[i] = woken[i].Load()
		}
		if diff := cmp.Diff(s.want, got); diff != "" {
			t.Errorf("step %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestRunStopsAtEveryDeadline(t *testing.T) {
	m := NewManual(start)
	var got []time.Duration
	var a Alarm
	a = m.NewAlarm(func() {
		now := m.Read().Boot
		got = append(got, time.Duration(now))
		a.Set(now+int64(time.Minute), Never)
	})
	defer a.Close()
	a.Set(int64(time.Minute), Never)
	if err := m.Run(patient(t), 3*time.Minute); err != nil {
		t.Fatal(err)
	}
	want := []time.Duration{time.Minute, 2 * time.Minute, 3 * time.Minute}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("woken at (-want +got):\n%s", diff)
	}
	if now := m.Now().Boot; now != int64(3*time.Minute) {
		t.Errorf("Boot is %v, want 3m", time.Duration(now))
	}
}

func TestStepWakesWallDeadlines(t *testing.T) {
	ctx := patient(t)
	wall := start.UnixNano()
	cases := []struct {
		name       string
		boot, wall int64
		move       func(m *Manual) *Move
		woken      int
		armed      [2]int64 // afterwards
	}{
		{"forward, not reached", Never, wall + 5*hour, func(m *Manual) *Move { return m.Step(time.Hour) }, 1, [2]int64{Never, wall + 5*hour}},
		{"forward, over it", Never, wall + 5*hour, func(m *Manual) *Move { return m.Step(5 * time.Hour) }, 1, [2]int64{Never, Never}},
		{"back", Never, wall + 5*hour, func(m *Manual) *Move { return m.Step(-time.Hour) }, 1, [2]int64{Never, wall + 5*hour}},
		{"boot deadlines do not care", hour, Never, func(m *Manual) *Move { return m.Step(5 * time.Hour) }, 0, [2]int64{hour, Never}},
		{"suspend, over a boot deadline", hour, Never, func(m *Manual) *Move { return m.Suspend(5 * time.Hour) }, 1, [2]int64{Never, Never}},
		{"suspend, not to a boot deadline", 6 * hour, Never, func(m *Manual) *Move { return m.Suspend(5 * time.Hour) }, 0, [2]int64{6 * hour, Never}},
		{"suspend moves the wall clock", 6 * hour, wall + 6*hour, func(m *Manual) *Move { return m.Suspend(5 * time.Hour) }, 1, [2]int64{6 * hour, wall + 6*hour}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := NewManual(start)
			var woken atomic.Int32
			a := m.NewAlarm(func() { woken.Add(1) })
			defer a.Close()
			a.Set(c.boot, c.wall)
			move := c.move(m)
			if err := move.Wait(ctx); err != nil {
				t.Fatal(err)
			}
			if move.Woken != c.woken || int(woken.Load()) != c.woken {
				t.Errorf("woken %d, says %d, want %d", woken.Load(), move.Woken, c.woken)
			}
			boot, wall := m.Armed()
			if diff := cmp.Diff(c.armed, [2]int64{boot, wall}); diff != "" {
				t.Errorf("armed (-want +got):\n%s", diff)
			}
		})
	}
}

// The second of a fake clock's two races: time moved on while a wake still ran.
func TestMoveWaitsForTheWake(t *testing.T) {
	m := NewManual(start)
	end := make(chan struct{})
	returned := false
	a := m.NewAlarm(func() { <-end; returned = true })
	defer a.Close()
	a.Set(hour, Never)
	move := m.Advance(time.Hour)
	gone, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("gave up")
	cancel(reason)
	if err := move.Wait(gone); !errors.Is(err, reason) {
		t.Errorf("Wait with an ended context: %v", err)
	}
	if err := m.Idle(gone); !errors.Is(err, reason) {
		t.Errorf("Idle with an ended context: %v", err)
	}
	if err := m.Run(gone, time.Hour); !errors.Is(err, reason) {
		t.Errorf("Run with an ended context: %v", err)
	}
	go close(end)
	if err := move.Wait(patient(t)); err != nil || !returned {
		t.Errorf("Wait: %v; the wake has returned: %v", err, returned)
	}
}

// A deadline reached while the wake runs gets a call of its own, and the move
// waits for that one.
func TestMoveWaitsForItsOwnWake(t *testing.T) {
	m := NewManual(start)
	turn := make(chan struct{})
	var woken atomic.Int32
	a := m.NewAlarm(func() { <-turn; woken.Add(1) })
	defer a.Close()
	a.Set(hour, Never)
	first := m.Advance(time.Hour)
	a.Set(2*hour, Never)
	second := m.Advance(time.Hour)
	go func() { turn <- struct{}{}; turn <- struct{}{} }()
	for _, move := range []*Move{second, first} {
		if err := move.Wait(patient(t)); err != nil {
			t.Fatal(err)
		}
	}
	if got := woken.Load(); got != 2 {
		t.Errorf("woken %d times, want 2", got)
	}
}

// A move whose alarm is closed instead of woken does not hang.
func TestMoveAndClose(t *testing.T) {
	m := NewManual(start)
	end := make(chan struct{})
	a := m.NewAlarm(func() { <-end })
	a.Set(hour, Never)
	first := m.Advance(time.Hour)
	a.Set(2*hour, Never)
	second := m.Advance(time.Hour)
	go close(end)
	a.Close()
	for _, move := range []*Move{first, second} {
		if err := move.Wait(patient(t)); err != nil {
			t.Error(err)
		}
	}
	if boot, wall := m.Armed(); boot != Never || wall != Never {
		t.Errorf("armed for (%d, %d) after Close", boot, wall)
	}
}

func TestWaitArmed(t *testing.T) {
	ctx := patient(t)
	m := NewManual(start)
	a, b := m.NewAlarm(func() {}), m.NewAlarm(func() {})
	defer a.Close()
	defer b.Close()
	go func() {
		a.Set(hour, Never)
		b.Set(Never, 1)
		b.Set(5*hour, Never)
	}()
	for _, at := range []int64{hour, 5 * hour} {
		if err := m.WaitArmed(ctx, func(boot, _ int64) bool { return boot == at }); err != nil {
			t.Fatal(err)
		}
	}
	want := []Setting{
		{Alarm: 0, At: m.Now(), Boot: hour, Wall: Never},
		{Alarm: 1, At: m.Now(), Boot: Never, Wall: 1},
		{Alarm: 1, At: m.Now(), Boot: 5 * hour, Wall: Never},
	}
	if diff := cmp.Diff(want, m.TakeSets()); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if got := m.TakeSets(); got != nil {
		t.Errorf("settings taken twice: %v", got)
	}
	if err := m.Idle(ctx); err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if err := m.WaitArmed(gone, func(boot, _ int64) bool { return boot == 7 }); !errors.Is(err, context.Canceled) {
		t.Errorf("WaitArmed with an ended context: %v", err)
	}
}

// The first of a fake clock's two races: time moved before the alarm was set.
func TestTrapHoldsSet(t *testing.T) {
	ctx := patient(t)
	m := NewManual(start)
	woken := make(chan Reading, 1)
	a := m.NewAlarm(func() { woken <- m.Read() })
	defer a.Close()
	trap := m.Trap(CallSet)
	defer trap.Close()
	go a.Set(hour, Never)
	held, err := trap.Wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if held.Call != CallSet || held.Alarm != 0 || held.Boot != hour || held.Wall != Never {
		t.Errorf("held %s of alarm %d (%d, %d)", held.Call, held.Alarm, held.Boot, held.Wall)
	}
	if move := m.Advance(3 * time.Hour); move.Woken != 0 {
		t.Error("woken by a call that was held")
	}
	if err := held.Release(ctx); err != nil {
		t.Fatal(err)
	}
	if got := <-woken; got.Boot != 3*hour {
		t.Errorf("woken at %v, want 3h", time.Duration(got.Boot))
	}
	if err := held.Release(ctx); err != nil {
		t.Error(err)
	}
}

func TestTrapHoldsEveryCall(t *testing.T) {
	ctx := patient(t)
	m := NewManual(start)
	trap, second := m.Trap(), m.Trap(CallNewAlarm)
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.Read()
		a := m.NewAlarm(func() {})
		a.Set(1, 2)
		a.Close()
		m.Read()
		m.Read()
	}()
	for _, want := range []Call{CallRead, CallNewAlarm, CallSet} {
		held, err := trap.Wait(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if held.Call != want {
			t.Errorf("held %s, want %s", held.Call, want)
		}
		if want == CallNewAlarm { // which the second trap holds next
			gone, cancel := context.WithCancel(ctx)
			cancel()
			if err := held.Release(gone); !errors.Is(err, context.Canceled) {
				t.Errorf("Release while another trap holds: %v", err)
			}
			if held, err = second.Wait(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if err := held.Release(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := trap.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	second.Close()
	trap.Close() // lets go the Read that is held, and the next one
	trap.Close()
	<-done
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := trap.Wait(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait with an ended context: %v", err)
	}
}
