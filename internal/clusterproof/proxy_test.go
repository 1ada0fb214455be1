package clusterproof_test

import (
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

// A proxy stands between a process and the server, and can stop forwarding without closing anything, as a network does.
type proxy struct {
	l      net.Listener
	socket string
	all    sync.WaitGroup

	mu     sync.Mutex
	open   chan struct{} // closed while it forwards
	closed bool
	conns  map[net.Conn]struct{}
}

// newProxy returns a proxy to the server of a connection string, and the connection string that leads through it.
func newProxy(t *testing.T, dsn string) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	p := &proxy{socket: filepath.Join(q.Get("host"), ".s.PGSQL."+q.Get("port")), open: make(chan struct{}), conns: map[net.Conn]struct{}{}}
	close(p.open)
	if p.l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	p.all.Go(p.accept)
	t.Cleanup(p.close)
	q.Set("host", "127.0.0.1")
	q.Set("port", strconv.Itoa(p.l.Addr().(*net.TCPAddr).Port))
	u.RawQuery = q.Encode()
	return p, u.String()
}

func (p *proxy) accept() {
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		p.all.Go(func() { p.serve(c) })
	}
}

// serve forwards what comes on a connection, both ways, until either side has closed it.
func (p *proxy) serve(c net.Conn) {
	defer c.Close() //nolint:errcheck // it is of no use any more
	p.pass()
	s, err := net.Dial("unix", p.socket)
	if err != nil {
		return
	}
	defer s.Close() //nolint:errcheck // it is of no use any more
	if !p.keep(c, s) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.forward(s, c) })
	p.forward(c, s)
	both.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	delete(p.conns, s)
}

// keep remembers connections, so that close can close them.
func (p *proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		p.conns[c] = struct{}{}
	}
	return !p.closed
}

// forward hands on what one side sends, and its end.
func (p *proxy) forward(to, from net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.pass()
		if n > 0 {
			if _, werr := to.Write(buf[:n]); werr != nil {
				err = werr
			}
		}
		if err != nil {
			_ = to.Close() // the other direction ends with it
			_ = from.Close()
			return
		}
	}
}

// pass waits while nothing is forwarded.
func (p *proxy) pass() {
	p.mu.Lock()
	open := p.open
	p.mu.Unlock()
	<-open
}

// hold stops forwarding.
func (p *proxy) hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = make(chan struct{})
}

// release forwards again, also what came meanwhile.
func (p *proxy) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.open)
}

// close ends all.
func (p *proxy) close() {
	_ = p.l.Close()
	p.mu.Lock()
	p.closed = true
	select {
	case <-p.open:
	default:
		close(p.open)
	}
	for c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.all.Wait()
}
