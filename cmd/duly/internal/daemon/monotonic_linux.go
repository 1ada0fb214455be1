package daemon

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// monotonic is the assignment by which systemd tells a reload's answers from those before it; "" where the kernel does not say.
func monotonic() string {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return ""
	}
	return "MONOTONIC_USEC=" + strconv.FormatInt(ts.Nano()/1000, 10)
}
