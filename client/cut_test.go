package client_test

import (
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
)

// A scissor is a listener whose connections end after so many bytes that came in, or went out; a negative number is no end.
type scissor struct {
	net.Listener

	in, out atomic.Int64
}

func (s *scissor) Accept() (net.Conn, error) {
	conn, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &ribbon{Conn: conn, in: s.in.Load(), out: s.out.Load()}, nil
}

// A ribbon is a connection that is cut.
type ribbon struct {
	net.Conn

	in, out int64
}

var errCut = errors.New("cut")

func (r *ribbon) Read(p []byte) (int, error) {
	if r.in < 0 {
		return r.Conn.Read(p)
	}
	if r.in == 0 {
		_ = r.Close() // the cut
		return 0, errCut
	}
	n, err := r.Conn.Read(p[:min(int64(len(p)), r.in)])
	r.in -= int64(n)
	return n, err
}

func (r *ribbon) Write(p []byte) (int, error) {
	if r.out < 0 {
		return r.Conn.Write(p)
	}
	n, err := r.Conn.Write(p[:min(int64(len(p)), r.out)])
	if r.out -= int64(n); err == nil && n < len(p) {
		_ = r.Close() // the cut
		err = errCut
	}
	return n, err
}

// TestClient_CutAnywhere cuts the connection of a write after each few bytes of the request, and of the answer. Without an error it took
// place; with ErrUnknown it may have; it never has with another. What reads gets through all the same, once the connection holds.
func TestClient_CutAnywhere(t *testing.T) {
	h := newHouse(t)
	srv := httptest.NewUnstartedServer(api.New(h.d, api.Options{}))
	s := &scissor{Listener: srv.Listener}
	srv.Listener = s
	srv.Start()
	t.Cleanup(srv.Close)
	c := open(t, client.Options{URL: srv.URL})
	seen := map[string]int{}
	try := func(name string, in, out int64) {
		s.in.Store(in)
		s.out.Store(out)
		c.Close()
		_, err := c.Put(t.Context(), name, note("any", "in 1h"))
		_, lookErr := h.d.Get(t.Context(), name)
		there := lookErr == nil
		switch {
		case err == nil && !there:
			t.Errorf("%s: accepted, and not there", name)
		case err != nil && !errors.Is(err, duly.ErrUnknown) && there:
			t.Errorf("%s: %v, and it is there", name, err)
		}
		seen[fmt.Sprintf("error %t, there %t", err != nil, there)]++
		var many []error
		for _, err := range c.PutMany(t.Context(), slices.Values([]api.Spec{{Name: name + "-a"}, {Name: name + "-b"}})) {
			many = append(many, err)
		}
		if len(many) != 2 || many[0] == nil || many[1] == nil {
			t.Errorf("%s: of two that say nothing %v", name, many)
		}
	}
	for n := int64(0); n < 700; n += 13 {
		try(fmt.Sprintf("in-%d", n), n, -1)
		try(fmt.Sprintf("out-%d", n), -1, n)
	}
	t.Log(seen)
	for _, want := range []string{"error false, there true", "error true, there true", "error true, there false"} {
		if seen[want] == 0 {
			t.Errorf("no cut has led to %s", want)
		}
	}
	s.in.Store(-1)
	s.out.Store(40) // all connections are cut within the answer
	c.Close()
	if _, err := c.Stats(t.Context()); err == nil || errors.Is(err, duly.ErrUnknown) {
		t.Errorf("stats: %v, want an error that is not ErrUnknown", err)
	}
	s.out.Store(-1)
	c.Close()
	if _, err := c.Stats(t.Context()); err != nil {
		t.Errorf("stats: %v", err)
	}
}
