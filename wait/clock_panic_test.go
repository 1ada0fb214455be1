package wait_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/internal/park/parktest"
	"github.com/dulyhq/duly/timer"
	"github.com/dulyhq/duly/wait"
)

// A clock that panics when a call that is in line reads it is an error of the call, and leaves nobody in line.
func TestEngineClockPanics_LeavesNobodyInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &failingClock{Clock: clock.System()}
		e := timer.New(timer.Options{Clock: c})
		defer parktest.CloseEngine(t, e)
		all := kinds(t, e)
		c.driving.Store(true) // every reader is taken for the driver
		c.fails.Store(true)
		for name, k := range all {
			if err := k.waitFor(time.Hour); err == nil || errors.Is(err, wait.ErrTimeout) {
				t.Errorf("%s: %v", name, err)
			}
		}
		c.fails.Store(false)
		c.driving.Store(false)
		for name, k := range all {
			patient := call(func() error { return k.wait(t.Context()) })
			synctest.Wait()
			k.free()
			synctest.Wait()
			if err, ok := returned(patient); !ok || err != nil {
				t.Errorf("%s, freed: returned %t, %v", name, ok, err)
			}
			if what, waiting := k.left(); what != "" || waiting != 0 {
				t.Errorf("%s: %d still there, %s", name, waiting, what)
			}
		}
	})
}
