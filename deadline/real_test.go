package deadline_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/deadline"
)

// The tests in this file use sockets and the real clock. Their limits are far from what they must tell apart: a machine may be
// busy for a while.

func TestReal_Writes(t *testing.T) {
	const size = 8 << 20 // more than the kernel holds for a connection
	t.Run("a peer that stalls", func(t *testing.T) {
		const d = 300 * time.Millisecond
		c, _ := loopback(t, deadline.WriteTimeout(d))
		var n int
		got := took(func() {
			var err error
			n, err = c.Write(make([]byte, 4*size))
			wantLimit(t, err, "write", deadline.LimitWrite)
		})
		if n == 0 || n == 4*size || got < d {
			t.Errorf("%d bytes in %v", n, got)
		}
	})
	t.Run("a peer that is slow", func(t *testing.T) {
		const d = 5 * time.Second
		c, peer := loopback(t, deadline.WriteTimeout(d), deadline.Idle(d))
		sum := make(chan int64)
		go func() {
			var n int64
			for buf := make([]byte, 64<<10); ; time.Sleep(4 * time.Millisecond) {
				k, err := peer.Read(buf)
				n += int64(k)
				if err != nil {
					sum <- n
					return
				}
			}
		}()
		n, err := c.Write(make([]byte, size))
		if n != size || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
		_ = c.Close()
		if got := <-sum; got != size {
			t.Errorf("%d bytes came", got)
		}
	})
	// The looks at how far a write is must neither lose nor double a byte.
	t.Run("the bytes", func(t *testing.T) {
		c, peer := loopback(t, deadline.WriteTimeout(10*time.Second))
		c.SetMinRate(1, 8*time.Millisecond) // a look every millisecond
		in := make([]byte, size)
		for i := range in {
			in[i] = byte(i>>8 ^ i)
		}
		errs := make(chan error, 1)
		go func() {
			defer c.Close() //nolint:errcheck // the bytes tell
			for len(in) > 0 {
				n, err := c.Write(in)
				in = in[n:]
				if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
		buf, at := make([]byte, 100_000), 0
		for {
			n, err := peer.Read(buf)
			for _, b := range buf[:n] {
				if want := byte(at>>8 ^ at); b != want {
					t.Fatalf("byte %d is %d, want %d", at, b, want)
				}
				at++
			}
			if err != nil {
				break
			}
			if at%7 == 0 {
				time.Sleep(3 * time.Millisecond)
			}
		}
		if err := <-errs; err != nil || at != size {
			t.Errorf("%d bytes of %d came: %v", at, size, err)
		}
	})
}

// Limits below TLS: the looks at a write in progress do not break its records.
func TestReal_TLS(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(w, r.Body)
		_, _ = fmt.Fprintf(w, "%d", n)
	}))
	srv.Listener = deadline.NewListener(srv.Listener, deadline.Idle(20*time.Second), deadline.MinRate(1, 20*time.Second))
	srv.StartTLS()
	defer srv.Close()
	tr := srv.Client().Transport.(*http.Transport) //nolint:forcetypeassert // httptest's
	defer tr.CloseIdleConnections()
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return deadline.NewConn(c, deadline.WriteTimeout(20*time.Second), deadline.MinRate(1, 8*time.Millisecond*1000)), nil
	}
	for range 3 {
		res, err := srv.Client().Post(srv.URL, "text/plain", strings.NewReader(strings.Repeat("x", 1<<20)))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || !strings.HasSuffix(string(b), "x1048576") {
			t.Errorf("%d bytes, %v", len(b), err)
		}
	}
	// Above TLS a Write counts as a whole, and is not continued.
	raw, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := deadline.NewConn(tls.Client(raw, &tls.Config{InsecureSkipVerify: true}), deadline.ReadTimeout(50*time.Millisecond), deadline.WriteTimeout(20*time.Second))
	defer c.Close() //nolint:errcheck // the end
	c.SetReadTimeout(20 * time.Second)
	if _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1000)
	if n, err := c.Read(buf); err != nil || !strings.HasPrefix(string(buf[:n]), "HTTP/1.1 200 OK") {
		t.Errorf("%q, %v", buf[:n], err)
	}
	c.SetReadTimeout(50 * time.Millisecond)
	_, err = c.Read(buf)
	wantLimit(t, err, "read", deadline.LimitRead)
}

// A server of net/http whose connections have limits, and a client whose have.
func TestReal_HTTP(t *testing.T) {
	const idle = 1500 * time.Millisecond
	states := make(chan http.ConnState, 100)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow": // alive for longer than the limit: a byte now and then
			for range 7 {
				_, _ = io.WriteString(w, ".")
				w.(http.Flusher).Flush() //nolint:forcetypeassert // net/http's
				select {
				case <-r.Context().Done():
					return
				case <-time.After(idle / 5):
				}
			}
		case "/stalls":
			_, _ = io.WriteString(w, "begun")
			w.(http.Flusher).Flush() //nolint:forcetypeassert // net/http's
			<-r.Context().Done()     // as soon as the client has given up
		default:
			_, _ = io.Copy(w, r.Body)
		}
	}))
	srv.Listener = deadline.NewListener(srv.Listener, deadline.Idle(idle))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) { states <- s }
	srv.Start()
	defer srv.Close()

	var clientIdle time.Duration
	tr := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return deadline.NewConn(c, deadline.Idle(clientIdle)), nil
	}}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	get := func(path string) (string, error) {
		res, err := client.Get(srv.URL + path)
		if err != nil {
			return "", err
		}
		defer res.Body.Close() //nolint:errcheck // it was read
		b, err := io.ReadAll(res.Body)
		return string(b), err
	}
	for range 3 { // on one connection
		res, err := client.Post(srv.URL+"/echo", "text/plain", strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if string(b) != "hello" || err != nil {
			t.Errorf("%q, %v", b, err)
		}
	}
	if b, err := get("/slow"); b != "......." || err != nil {
		t.Errorf("slow but alive: %q, %v", b, err)
	}

	tr.CloseIdleConnections()
	clientIdle = 200 * time.Millisecond
	b, err := get("/stalls")
	wantLimit(t, err, "read", deadline.LimitIdle)
	if b != "begun" {
		t.Errorf("before it stalled came %q", b)
	}

	// A client that connects and says nothing.
	for len(states) > 0 {
		<-states
	}
	var c net.Conn
	got := took(func() { // from before the server can begin to count
		if c, err = net.Dial("tcp", srv.Listener.Addr().String()); err == nil {
			_, err = io.ReadAll(c)
		}
	})
	if c != nil {
		defer c.Close() //nolint:errcheck // the end
	}
	if err != nil || got < idle {
		t.Errorf("the server closed after %v: %v", got, err)
	}
	for s := range states {
		if s == http.StateClosed {
			break
		}
	}
}
