package park

import (
	"errors"
	"testing"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/timer"
)

// A brokenClock has an alarm that panics as often as it says when it is set.
type brokenClock struct {
	*clock.Manual

	panics *int
}

type brokenAlarm struct {
	clock.Alarm

	panics *int
}

func (c brokenClock) NewAlarm(wake func()) clock.Alarm {
	return brokenAlarm{c.Manual.NewAlarm(wake), c.panics}
}

func (a brokenAlarm) Set(boot, wall int64) {
	if *a.panics > 0 {
		*a.panics--
		panic("no alarm")
	}
	a.Alarm.Set(boot, wall)
}

// TestArm_Panic: a waiter whose deadline the engine may know although its clock panicked is not used again: it would be told of a deadline
// that is another's.
func TestArm_Panic(t *testing.T) {
	panics := 0
	e := timer.New(timer.Options{Clock: brokenClock{clock.NewManual(time.Unix(1_770_000_000, 0)), &panics}})
	defer func() {
		if _, err := e.Close(t.Context()); err != nil && !errors.Is(err, timer.ErrClosed) {
			t.Error(err)
		}
	}()
	w, l := &Waiter{wake: make(chan struct{}, 1)}, For(time.Minute)
	panics = 1
	if err := w.arm(e, &l); err == nil || !w.stale {
		t.Errorf("error %v, stale %t, want one, and that it is", err, w.stale)
	}
}
