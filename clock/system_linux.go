package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

func newSystem() Clock {
	return newSystemClock(sources{now: time.Now, bootTime: readBootTime}, newTimerAlarm)
}

func readBootTime() (int64, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0, err
	}
	return ts.Nano(), nil
}
