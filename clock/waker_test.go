package clock

import (
	"runtime"
	"testing"
)

// After a Close from within a wake no call begins, though one was owed.
func TestWakerOwesNothingAfterClose(t *testing.T) {
	calls := 0
	var w *waker
	done := make(chan struct{})
	w = newWaker(func() {
		calls++
		w.fire(done)
		w.close()
	})
	w.fireAway(nil)
	<-done // answered all the same
	w.busy.Wait()
	w.fire(nil)
	if calls != 1 {
		t.Errorf("woken %d times, want 1", calls)
	}
}

// A wake that ends its goroutine, as a test's FailNow does, takes nothing with
// it.
func TestWakerSurvivesGoexit(t *testing.T) {
	for _, k := range kinds() {
		if k.bubble {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			woken := make(chan struct{}, 10)
			first := true
			clk := k.clock()
			var a Alarm
			a = clk.NewAlarm(func() {
				woken <- struct{}{}
				if first {
					first = false
					a.Set(0, Never)
					runtime.Goexit()
				}
			})
			a.Set(0, Never)
			<-woken
			<-woken
			a.Close()
		})
	}
}

func TestInsideWakeLooksThroughDeepStacks(t *testing.T) {
	var deep func(n int) bool
	deep = func(n int) bool {
		if n == 0 {
			return insideWake()
		}
		return deep(n - 1)
	}
	for _, n := range []int{0, 10, 61, 62, 63, 64, 65, 1000} {
		if deep(n) {
			t.Errorf("depth %d: inside a wake that there is not", n)
		}
		inside := false
		callWake(func() { inside = deep(n) })
		if !inside {
			t.Errorf("depth %d: not inside the wake", n)
		}
	}
}
