package deadline_test

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dulyhq/duly/deadline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wantLimit checks that err ends op for the limit.
func wantLimit(t *testing.T, err error, op string, limit deadline.Limit) {
	t.Helper()
	e, ok := errors.AsType[*deadline.Error](err)
	if !ok || e.Op != op || e.Limit != limit {
		t.Errorf("got %v, want the %s to end with limit %q", err, op, limit)
		return
	}
	if ne, ok := err.(net.Error); !ok || !ne.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) { //nolint:errorlint // as net/http asks
		t.Errorf("%v is no timeout", err)
	}
}

// pair returns both ends of a connection in memory, closed in the end. It is for bubbles: who sleeps beside the test wakes and
// leaves.
func pair(t *testing.T, opts ...deadline.Option) (*deadline.Conn, net.Conn) {
	t.Helper()
	a, b := net.Pipe()
	c := deadline.NewConn(a, opts...)
	t.Cleanup(func() {
		_, _ = c.Close(), b.Close()
		time.Sleep(time.Hour)
	})
	return c, b
}

// loopback returns both ends of a TCP connection, closed in the end.
func loopback(t *testing.T, opts ...deadline.Option) (*deadline.Conn, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // the end
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := deadline.NewConn(a, opts...)
	t.Cleanup(func() { _, _ = c.Close(), b.Close() })
	return c, b
}

// took runs f and returns how long it took.
func took(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}
