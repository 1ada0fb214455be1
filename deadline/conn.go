package deadline

import (
	"context"
	"errors"
	"net"
	"reflect"
	"time"
)

// Conn is a net.Conn with limits. Make one with [NewConn]. All methods are safe from several goroutines, also while a Read
// and a Write block. Of several Reads at a time, or several Writes, one goes on and the others wait for it, first come, first
// served; each has the limits of its own beginning and ends with its own context, and no Write comes between the bytes of
// another.
//
// What the underlying connection can do beside net.Conn, but for CloseRead and CloseWrite, is hidden: what went around the
// Conn would not be counted. NetConn gives it to those who know what they do.
type Conn struct {
	c net.Conn
	g guard
}

var _ net.Conn = (*Conn)(nil)

// NewConn returns c with limits. From then on c must be used through the Conn alone, and deadlines that were set on
// it before are forgotten. A c whose deadlines cannot be set is closed when a limit is reached. A Conn that
// is not closed stays in the engine until its limit would have come, and no longer.
func NewConn(c net.Conn, opts ...Option) *Conn {
	x := &Conn{c: c}
	x.g.close, x.g.goneErr = c.Close, net.ErrClosed
	x.g.read.set, x.g.write.set = c.SetReadDeadline, c.SetWriteDeadline
	x.g.write.resumable = resumable(c)
	_, _ = c.SetReadDeadline(time.Time{}), c.SetWriteDeadline(time.Time{}) // where there are none there is nothing to forget
	x.g.init(configure(opts))
	return x
}

// resumable says whether a write that a deadline interrupts returns how far it came and can be continued. It is so for what
// the standard library makes of system calls and for net.Pipe; of others nothing is known, and TLS is broken by it.
func resumable(x any) bool {
	if c, ok := x.(*Conn); ok {
		return c.g.write.resumable
	}
	t := reflect.TypeOf(x)
	if t == nil || t.Kind() != reflect.Pointer {
		return false
	}
	path := t.Elem().PkgPath()
	return path == "net" || path == "os"
}

// Read reads as net.Conn's does, and ends with an *[Error] when a limit is reached. What can be read without waiting is
// read, whatever the limits, but for Total and the context.
func (c *Conn) Read(p []byte) (int, error) {
	return c.g.doRead(c.c, nil, p)
}

// Write writes as net.Conn's does, and ends with an *[Error] when a limit is reached. It returns how much was written.
func (c *Conn) Write(p []byte) (int, error) {
	return c.g.doWrite(c.c, nil, p)
}

// ReadContext is Read that also ends with ctx, with its cause in an *[Error]. If ctx has ended nothing is read. A
// nil ctx is context.Background().
func (c *Conn) ReadContext(ctx context.Context, p []byte) (int, error) {
	return c.g.readContext(ctx, c.c, p)
}

// WriteContext is Write that also ends with ctx, with its cause in an *[Error]. If ctx has ended nothing is written.
// A nil ctx is context.Background().
func (c *Conn) WriteContext(ctx context.Context, p []byte) (int, error) {
	return c.g.writeContext(ctx, c.c, p)
}

// SetIdle changes the limit of [Idle], also of operations that wait, counting from the last byte: one that has waited for
// longer ends at once. 0 is no limit.
func (c *Conn) SetIdle(d time.Duration) { c.g.change(func() { c.g.idle = max(d, 0) }) }

// SetReadTimeout changes the limit of [ReadTimeout], also of a Read that waits, counting from its beginning. 0 is no limit.
func (c *Conn) SetReadTimeout(d time.Duration) { c.g.setTimeout(&c.g.read, d) }

// SetWriteTimeout changes the limit of [WriteTimeout], also of a Write that waits, counting from its last byte. 0 is no limit.
func (c *Conn) SetWriteTimeout(d time.Duration) { c.g.setTimeout(&c.g.write, d) }

// SetTotal lets everything end when d has passed from now, instead of when [Total] or an earlier SetTotal said. 0 is no limit.
func (c *Conn) SetTotal(d time.Duration) { c.g.setTotal(d) }

// SetMinRate changes the rate of [MinRate] and begins a new account. If n or per is 0 there is no limit.
func (c *Conn) SetMinRate(n int64, per time.Duration) { c.g.setRate(n, per) }

// SetDeadline sets the deadline of both directions as net.Conn's does. The limits stay; whatever comes first ends an
// operation.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.g.setDeadline(&c.g.read, t), c.g.setDeadline(&c.g.write, t))
}

// SetReadDeadline sets the deadline of reads as net.Conn's does, beside the limits.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.g.setDeadline(&c.g.read, t) }

// SetWriteDeadline sets the deadline of writes as net.Conn's does, beside the limits.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.g.setDeadline(&c.g.write, t) }

// Close closes the connection. Operations that wait end with net.ErrClosed.
func (c *Conn) Close() error { return c.g.shut() }

// LocalAddr returns the local address.
func (c *Conn) LocalAddr() net.Addr { return c.c.LocalAddr() }

// RemoteAddr returns the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.c.RemoteAddr() }

// NetConn returns the underlying connection. Deadlines that are set there are taken for the Conn's own, or lost.
func (c *Conn) NetConn() net.Conn { return c.c }

// CloseRead shuts down the reading side, if the underlying connection can do that; otherwise it is errors.ErrUnsupported.
func (c *Conn) CloseRead() error {
	if x, ok := c.c.(interface{ CloseRead() error }); ok {
		return x.CloseRead()
	}
	return errors.ErrUnsupported
}

// CloseWrite shuts down the writing side, if the underlying connection can do that; otherwise it is errors.ErrUnsupported.
func (c *Conn) CloseWrite() error {
	if x, ok := c.c.(interface{ CloseWrite() error }); ok {
		return x.CloseWrite()
	}
	return errors.ErrUnsupported
}

func (g *guard) setTimeout(s *side, d time.Duration) {
	g.change(func() { s.timeout = max(d, 0) })
}

func (g *guard) setTotal(d time.Duration) {
	g.change(func() { g.setTotalLocked(d) })
}

func (g *guard) setRate(n int64, per time.Duration) {
	g.change(func() {
		now := g.engine.Elapsed()
		g.rate = makeRate(n, per)
		for _, s := range [...]*side{&g.read, &g.write} {
			s.got, s.spent, s.mark = 0, 0, now
		}
	})
}

// NewListener returns a listener whose connections have limits: each that it accepts is what NewConn makes of it.
func NewListener(l net.Listener, opts ...Option) net.Listener { return &listener{l, opts} }

type listener struct {
	net.Listener

	opts []Option
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return NewConn(c, l.opts...), nil
}
