package daemon

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
)

// Places are for so many connections at a time, of all ports together. When all are taken, who comes next is given that of a connection
// that can be spared: of one on which nobody has shown a token yet, else of one on which nothing is asked, else of a stream, whose
// reader comes back with what it has seen last; of these the oldest. So whoever has no token keeps nobody out who has one, however slow
// they are and however many. If none can be spared, who comes next waits.
type places struct {
	most int
	free chan struct{} // has room for one: there may be a place

	mu                       sync.Mutex
	open                     int
	epoch                    int       // how often tokens were taken back
	strangers, idle, streams list.List // of those that can be spared, each in one of them, the oldest first
}

// newPlaces returns so many places, but no more than a quarter of the descriptors: strangers must not take those that the store, commands and
// callbacks need.
func newPlaces(most int) *places {
	if limit := descriptorLimit(); limit > 0 {
		most = min(most, int(min(max(limit/4, 1), 1<<20)))
	}
	return &places{most: most, free: make(chan struct{}, 1)}
}

// A capped listener has a place for each of its connections.
type capped struct {
	net.Listener
	*places

	done chan struct{}
}

func newCapped(l net.Listener, p *places) *capped {
	return &capped{Listener: l, places: p, done: make(chan struct{})}
}

func (c *capped) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	limitUnsent(conn)
	for !c.admit() {
		select {
		case <-c.free:
		case <-c.done:
			_ = conn.Close() // nothing was said
			return nil, net.ErrClosed
		}
	}
	c.again() // who waits at another port may not have been told
	cc := &cappedConn{Conn: conn, of: c.places}
	cc.change(func() {})
	return cc, nil
}

// admit takes a place, if need be that of another connection, and reports whether there was one.
func (p *places) admit() bool {
	for {
		p.mu.Lock()
		if p.open < p.most {
			p.open++
			p.mu.Unlock()
			return true
		}
		var spared *cappedConn
		for _, l := range [...]*list.List{&p.strangers, &p.idle, &p.streams} {
			if e := l.Front(); e != nil {
				spared, _ = e.Value.(*cappedConn)
				break
			}
		}
		p.mu.Unlock()
		if spared == nil {
			return false
		}
		_ = spared.Close() // who is cut off sees it
	}
}

// again says that a place may be free, or a connection can be spared.
func (p *places) again() {
	select {
	case p.free <- struct{}{}:
	default:
	}
}

func (c *capped) Close() error {
	err := c.Listener.Close()
	select {
	case <-c.done:
	default:
		close(c.done)
	}
	return err
}

// A cappedConn gives its place back when it is closed, once.
type cappedConn struct {
	net.Conn

	of     *places
	closed atomicFlag
	deaf   atomicFlag // nothing more is read

	// The lock is of.mu.
	known  bool // somebody has shown a token
	epoch  int  // when that was
	asked  bool // a request is being answered
	stream bool // its answer has no end of its own
	gone   bool
	in     *list.List // nil: it can't be spared
	at     *list.Element
}

func (c *cappedConn) Read(p []byte) (int, error) {
	if c.deaf.b.Load() {
		return 0, net.ErrClosed
	}
	return c.Conn.Read(p)
}

func (c *cappedConn) Close() error {
	err := c.Conn.Close()
	if c.closed.set() {
		c.change(func() {
			c.gone = true
			c.of.open--
		})
		c.of.again()
	}
	return err
}

// CloseWrite is called by the server where it does not read what it is sent to its end, so that whoever sends it hears why, and not that the
// connection was reset.
func (c *cappedConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}

// change changes what is known of a connection, and with it whether it can be spared.
func (c *cappedConn) change(what func()) {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	what()
	c.sortLocked()
}

func (c *cappedConn) sortLocked() {
	var in *list.List
	switch {
	case c.gone:
	case !c.known || c.epoch != c.of.epoch:
		in = &c.of.strangers
	case !c.asked:
		in = &c.of.idle
	case c.stream:
		in = &c.of.streams
	}
	if in == c.in {
		return
	}
	if c.in != nil {
		c.in.Remove(c.at)
	}
	if c.in, c.at = in, nil; in != nil {
		c.at = in.PushBack(c)
		c.of.again()
	}
}

// forget has the tokens that were shown so far count for nothing, because some of them may. What is being asked counts until it is answered.
func (p *places) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.epoch++
	for e := p.idle.Front(); e != nil; e = p.idle.Front() {
		c, _ := e.Value.(*cappedConn)
		c.sortLocked()
	}
}

// begin notes a request.
func (c *cappedConn) begin(stream bool) { c.change(func() { c.asked, c.stream = true, stream }) }

// answered is an [http.Server.ConnState]: it notes that a request was answered. That its handler has returned does not say so, because the
// end of what it has written is sent after that, for as long as the client takes.
func answered(conn net.Conn, state http.ConnState) {
	if c := counted(conn); c != nil && state == http.StateIdle {
		c.change(func() { c.asked, c.stream = false, false })
	}
}

// counted returns what a connection is as one that is counted, nil if it is not.
func counted(conn net.Conn) *cappedConn {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	c, _ := conn.(*cappedConn)
	return c
}

type connKey struct{}

// withConn is an [http.Server.ConnContext]: it lets handlers find the connection.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, counted(c))
}

// connOf returns the connection of a request, nil if it is not counted.
func connOf(ctx context.Context) *cappedConn {
	c, _ := ctx.Value(connKey{}).(*cappedConn)
	return c
}

// vouching returns what notes that a token was shown on the connection of a request: one that counts since before the call.
func vouching(ctx context.Context) (vouch func()) {
	c := connOf(ctx)
	if c == nil {
		return func() {}
	}
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	epoch := c.of.epoch
	return func() { c.change(func() { c.known, c.epoch = true, epoch }) }
}
