//go:build !linux

package clock

func newSystem() Clock {
	return newSystemClock(
		sources{now: runtimeNow()},
		func(c *systemClock, w *waker) Alarm { return newTimerAlarm(c, w) })
}
