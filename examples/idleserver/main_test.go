package main

import (
	"bytes"
	"net"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// The bubble owns the program's time, and would not end if the program left a goroutine behind. Sockets do not live in a
// bubble: connections in memory take their place.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &memory{conns: make(chan net.Conn), closed: make(chan struct{})}
		var out bytes.Buffer
		if err := run(l, l.dial, &out); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("output (-want +got):\n%s", diff)
		}
	})
}

const want = `the lively client got 10 answers
server: deadline: read: no byte in either direction for 500ms (limit: idle)
the silent client got "goodbye\n"
`

// memory is a listener whose connections are pipes.
type memory struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (m *memory) dial() (net.Conn, error) {
	client, server := net.Pipe()
	m.conns <- server
	return client, nil
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error {
	close(m.closed)
	return nil
}

func (m *memory) Addr() net.Addr { return nil }
