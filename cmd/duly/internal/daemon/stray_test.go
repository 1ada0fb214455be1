//go:build unix

package daemon

import (
	"bufio"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/target"
)

// What a receiver has the standard library say, by bytes that nobody has asked it for, is a line of the daemon's log at the level debug
// like all others: it neither fills the log nor looks like something that the daemon says.
func TestProcess_ReceiversWriteNoLog(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nobody calls any more
	closed := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			closed <- err
			return
		}
		in := bufio.NewReader(c)
		for line := ""; line != "\r\n" && err == nil; {
			line, err = in.ReadString('\n')
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\ntime=2026-11-29T12:00:00Z level=ERROR msg=\"the daemon is owned\"\r\n")
		_, _ = io.Copy(io.Discard, in) // until the daemon has seen it, and hangs up
		closed <- c.Close()
	}()
	dir := shortDir(t)
	p := startChild(t, dir, plainly, nil, "DULY_LOG_LEVEL=debug", "DULY_ALLOW_PRIVATE=true")
	p.log.Has(t, "msg=ready")
	if _, err := p.c.Put(t.Context(), "a", api.Spec{HTTP: &target.Callback{URL: "http://" + l.Addr().String()}, In: in(0)}); err != nil {
		t.Fatal(err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	p.log.Has(t, "Unsolicited response")
	p.signal(syscall.SIGTERM)
	if err := p.end(); err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(p.log.String()) {
		if !strings.HasPrefix(line, "time=") || strings.Contains(line, "owned") != strings.Contains(line, "level=DEBUG msg=\"Unsolicited") {
			t.Errorf("the log says %q", line)
		}
	}
}
