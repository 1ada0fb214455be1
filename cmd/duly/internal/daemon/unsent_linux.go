package daemon

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// mostUnsent is how much the kernel keeps for a client beside what is on its way.
const mostUnsent = 64 << 10

// limitUnsent lets the kernel say that there is room as often as a client takes something. Otherwise it takes megabytes in advance, and
// says so when a third of them is free again: who takes an answer slowly would seem to take nothing for that long.
func limitUnsent(c net.Conn) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return // it is gone
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, mostUnsent) // it works without, as said above
	})
}
