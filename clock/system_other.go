//go:build !linux

package clock

import "time"

func newSystem() Clock {
	return newSystemClock(
		sources{now: time.Now},
		func(c *systemClock, w *waker) Alarm { return newTimerAlarm(c, w) })
}
