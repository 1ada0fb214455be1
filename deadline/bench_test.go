package deadline_test

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/dulyhq/duly/deadline"
)

// zeros is a connection that costs nothing: what is measured is the Conn.
type zeros struct{ net.Conn }

func (zeros) Read(p []byte) (int, error)       { return len(p), nil }
func (zeros) Write(p []byte) (int, error)      { return len(p), nil }
func (zeros) Close() error                     { return nil }
func (zeros) SetReadDeadline(time.Time) error  { return nil }
func (zeros) SetWriteDeadline(time.Time) error { return nil }

// BenchmarkConnRead tells what a Read costs beside the connection's own, and what moving the deadline for each would cost.
func BenchmarkConnRead(b *testing.B) {
	buf := make([]byte, 64)
	read := func(b *testing.B, r io.ReadCloser) {
		defer r.Close() //nolint:errcheck // the end
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.Read(buf); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("of nothing, no limit", func(b *testing.B) { read(b, deadline.NewConn(zeros{})) })
	b.Run("of nothing, Idle", func(b *testing.B) { read(b, deadline.NewConn(zeros{}, deadline.Idle(time.Minute))) })
	b.Run("of nothing, all limits", func(b *testing.B) {
		read(b, deadline.NewConn(zeros{}, deadline.Idle(time.Minute), deadline.ReadTimeout(time.Minute), deadline.WriteTimeout(time.Minute), deadline.Total(time.Hour), deadline.MinRate(1, time.Minute)))
	})
	tcp := func(b *testing.B, wrap func(net.Conn) io.ReadCloser) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		defer l.Close() //nolint:errcheck // the end
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close() //nolint:errcheck // the end
		s, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close() //nolint:errcheck // the end
		r := wrap(c)
		defer r.Close() //nolint:errcheck // the end
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Write(buf); err != nil {
				b.Fatal(err)
			}
			if _, err := r.Read(buf); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("of a socket and a Write, plain", func(b *testing.B) { tcp(b, func(c net.Conn) io.ReadCloser { return c }) })
	b.Run("of a socket and a Write, Idle", func(b *testing.B) {
		tcp(b, func(c net.Conn) io.ReadCloser { return deadline.NewConn(c, deadline.Idle(time.Minute)) })
	})
	b.Run("of a socket and a Write, SetReadDeadline each", func(b *testing.B) { tcp(b, func(c net.Conn) io.ReadCloser { return moved{c} }) })
}

type moved struct{ net.Conn }

func (m moved) Read(p []byte) (int, error) {
	if err := m.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		return 0, err
	}
	return m.Conn.Read(p)
}

func TestRead_AllocatesNothing(t *testing.T) {
	c := deadline.NewConn(zeros{}, deadline.Idle(time.Minute))
	defer c.Close() //nolint:errcheck // the end
	buf := make([]byte, 64)
	if n := testing.AllocsPerRun(1000, func() { _, _ = c.Read(buf) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if n := testing.AllocsPerRun(1000, func() { _, _ = c.Write(buf) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
