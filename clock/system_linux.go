package clock

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func linuxSystem(now func() instant, k kernel) Clock {
	return newSystemClock(
		sources{now: now, bootTime: readBootTime},
		func(c *systemClock, w *waker) Alarm {
			if c.bootTime == nil {
				return newTimerAlarm(c, w)
			}
			return newFDAlarm(c, w, k)
		})
}

func readBootTime() (int64, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0, err
	}
	return ts.Nano(), nil
}

// linuxKernel makes timerfds that wait in the runtime's poller.
type linuxKernel struct{}

func (linuxKernel) open(wall bool) (timerfd, error) {
	id := unix.CLOCK_BOOTTIME
	if wall {
		id = unix.CLOCK_REALTIME
	}
	fd, err := unix.TimerfdCreate(id, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create timerfd on clock %d: %w", id, err)
	}
	flags := unix.TFD_TIMER_ABSTIME
	if wall {
		flags |= unix.TFD_TIMER_CANCEL_ON_SET
	}
	return &linuxTimerfd{File: os.NewFile(uintptr(fd), "timerfd"), fd: fd, flags: flags}, nil
}

// linuxTimerfd is a timerfd. The number is kept beside the file because
// File.Fd may take the descriptor away from the poller; the owner never calls
// settime after Close.
type linuxTimerfd struct {
	*os.File
	fd, flags int
}

func (t *linuxTimerfd) settime(at int64) error {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(at)}
	if unsafe.Sizeof(spec.Value.Sec) == 4 && at/int64(time.Second) > math.MaxInt32 {
		return fmt.Errorf("set timerfd to %d ns: %w", at, unix.EOVERFLOW)
	}
	err := unix.TimerfdSettime(t.fd, t.flags, &spec, nil)
	runtime.KeepAlive(t.File) // its finalizer closes fd
	return err
}
