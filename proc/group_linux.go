package proc

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// handle is the leader's pidfd, which names its group also when the leader is gone; -1 where the kernel has none.
type handle struct {
	fd   int
	file *os.File // that has fd, if the runtime's poller waits for it; nil if not
}

func (h *handle) init(attr *syscall.SysProcAttr) {
	h.fd = -1
	attr.PidFD = &h.fd
}

func (h *handle) release() {
	switch {
	case h.file != nil:
		_ = h.file.Close() // nothing was written to it
	case h.fd >= 0:
		_ = unix.Close(h.fd)
	}
	h.fd, h.file = -1, nil
}

// started puts a pidfd that can be polled in the place of the one that the process was started with: os.Process has a copy of that,
// and waits by it in ways of its own.
func (h *handle) started(pid int) {
	if h.fd < 0 {
		return
	}
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK) // nobody has reaped pid yet
	if err != nil {
		return // a kernel before 5.10, or no descriptor is left
	}
	_ = unix.Close(h.fd)
	h.fd, h.file = fd, os.NewFile(uintptr(fd), "pidfd")
}

// exit returns what waits until the leader has exited, or comes back earlier, where that can't be told without a thread that waits. In
// the runtime's poller any number of processes are waited for without one: a program that has as many threads as its system lets it have
// dies of the next.
func (h *handle) exit() (wait func()) {
	file := h.file
	return func() {
		if file == nil {
			return
		}
		conn, err := file.SyscallConn()
		if err != nil {
			return
		}
		_ = conn.Read(func(fd uintptr) bool { // an error is of a poller that does not know pidfds
			p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			n, err := unix.Poll(p, 0)
			return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
		})
	}
}

// signal signals the group of the process pid; 0 only asks whether there is one.
func (h *handle) signal(pid int, sig syscall.Signal) error {
	if h.fd >= 0 {
		err := unix.PidfdSendSignal(h.fd, sig, nil, unix.PIDFD_SIGNAL_PROCESS_GROUP)
		if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM) {
			return err
		}
		// Linux before 6.9 does not know the flag; some sandboxes do not know the call.
	}
	return syscall.Kill(-pid, sig)
}

// sure says whether the kernel signals the group through the pidfd.
func (h *handle) sure() bool {
	if h.fd < 0 {
		return false
	}
	err := unix.PidfdSendSignal(h.fd, 0, nil, unix.PIDFD_SIGNAL_PROCESS_GROUP)
	return err == nil || errors.Is(err, unix.ESRCH)
}

// alive says whether the group has a process that is no zombie: where nobody reaps orphans, as in many a container, they
// stay in the group.
func (h *handle) alive(pid int) bool {
	if errors.Is(h.signal(pid, 0), syscall.ESRCH) {
		return false
	}
	dir, err := os.Open("/proc")
	if err != nil {
		return true // nobody can say
	}
	defer dir.Close() //nolint:errcheck // it was only read
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return true
	}
	for _, name := range names {
		if name[0] < '1' || name[0] > '9' {
			continue
		}
		if state, pgrp := stat(name); pgrp == pid && state != 'Z' && state != 'X' {
			return true
		}
	}
	return false
}

// stat reads a process's state and group.
func stat(pid string) (state byte, pgrp int) {
	b, err := os.ReadFile("/proc/" + pid + "/stat") //nolint:gosec // pid is an entry of /proc
	if err != nil {
		return 0, 0 // it has ended
	}
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:]) // the name before may contain anything
	if len(f) < 3 || len(f[0]) != 1 {
		return 0, 0
	}
	pgrp, err = strconv.Atoi(string(f[2]))
	if err != nil {
		return 0, 0
	}
	return f[0][0], pgrp
}
