//go:build unix

package daemon

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
)

// firstHanded is the first descriptor that an init system hands over.
const firstHanded = 3

// handedOver returns the sockets that an init system has opened for this process: sd_listen_fds(3).
func handedOver(getenv func(string) string, pid int) (all []net.Listener, err error) {
	if getenv("LISTEN_PID") != strconv.Itoa(pid) {
		return nil, nil
	}
	n, err := strconv.Atoi(getenv("LISTEN_FDS"))
	if err != nil || n < 0 || n > 64 {
		return nil, &ConfigError{Where: "LISTEN_FDS", Value: getenv("LISTEN_FDS"), Want: "a number of sockets, at most 64"}
	}
	for fd := firstHanded; fd < firstHanded+n; fd++ {
		syscall.CloseOnExec(fd)
		f := os.NewFile(uintptr(fd), "LISTEN_FD_"+strconv.Itoa(fd))
		l, lerr := net.FileListener(f)
		if cerr := f.Close(); lerr == nil {
			lerr = cerr
		}
		if lerr != nil {
			for _, l := range all {
				lerr = errors.Join(lerr, l.Close())
			}
			return nil, fmt.Errorf("the init system's socket, descriptor %d: want one that listens, of TCP or unix streams: %w", fd, lerr)
		}
		all = append(all, l)
	}
	return all, nil
}
