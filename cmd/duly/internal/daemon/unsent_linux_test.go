package daemon

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// The kernel takes little for a client in advance, so that one who takes an answer slowly is seen to take it.
func TestConnections_LittleIsUnsent(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nobody else comes
	client, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close() //nolint:errcheck // nothing is lost
	if err := client.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	conn, err := newCapped(l, newPlaces(1)).Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // nothing is lost
	if err := conn.SetWriteDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	taken, err := conn.Write(make([]byte, 32<<20))
	if !errors.Is(err, os.ErrDeadlineExceeded) || taken > 8*mostUnsent {
		t.Errorf("of a client that reads nothing the kernel takes %d bytes, %v; want about %d", taken, err, mostUnsent)
	}
}
