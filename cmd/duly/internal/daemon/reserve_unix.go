//go:build unix

package daemon

import (
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// descriptorLimit is how many descriptors the process may have, 0 for any number.
func descriptorLimit() uint64 {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil || l.Cur > 1<<40 {
		return 0
	}
	return uint64(l.Cur) //nolint:unconvert // it is signed on some systems
}

// spares is how many connections are taken when no descriptor is left.
const spares = 4

// A reserving listener notices when descriptors run out. That of the socket has some put by, so that its owner is answered then.
type reserving struct {
	net.Listener

	h *health

	mu   sync.Mutex
	put  []*os.File // by, to be given up for a connection
	lent int
}

func newReserving(l net.Listener, h *health, puts bool) net.Listener {
	s := &reserving{Listener: l, h: h}
	if _, ok := l.(syscall.Conn); ok && puts {
		s.lent = spares
		for range spares {
			s.restore()
		}
	}
	return s
}

// restore puts a descriptor by, in place of one that was lent.
func (s *reserving) restore() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.lent > 0 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			return // when the next is given back
		}
		s.put = append(s.put, f)
		s.lent--
	}
}

// lend gives a descriptor up.
func (s *reserving) lend() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.put)
	if n == 0 {
		return false
	}
	_ = s.put[n-1].Close() // nothing was written to it
	s.put = s.put[:n-1]
	s.lent++
	return true
}

// Accept takes the next connection. Whoever calls it waits a little after an error and calls it again.
func (s *reserving) Accept() (net.Conn, error) {
	conn, err := s.Listener.Accept()
	if err == nil || !outOfDescriptors(err) {
		return conn, err
	}
	s.h.note(noDescriptors, "a connection could not be taken: "+cause(err))
	if !s.waits() || !s.lend() {
		return nil, err
	}
	if conn, err = s.Listener.Accept(); err != nil {
		s.restore()
		return nil, err
	}
	return &reservedConn{Conn: conn, of: s}, nil
}

// waits says whether somebody wants to be let in: what is given up otherwise goes to somebody else.
func (s *reserving) waits() (yes bool) {
	l, ok := s.Listener.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := l.SyscallConn()
	if err != nil {
		return false
	}
	_ = raw.Control(func(fd uintptr) {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(p, 0)
		yes = n > 0 && err == nil
	})
	return yes
}

// Close closes the listener and gives up what was put by.
func (s *reserving) Close() error {
	s.mu.Lock()
	for _, f := range s.put {
		_ = f.Close() // nothing was written to it
	}
	s.put, s.lent = nil, 0
	s.mu.Unlock()
	return s.Listener.Close()
}

// A reservedConn has a descriptor that was put by.
type reservedConn struct {
	net.Conn

	of     *reserving
	closed atomicFlag
}

func (c *reservedConn) Close() error {
	err := c.Conn.Close()
	if c.closed.set() {
		c.of.restore()
	}
	return err
}
