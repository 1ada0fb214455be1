package deadline_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dulyhq/duly/deadline"
)

// openFiles returns how many files this process has open, and -1 where nobody can say.
func openFiles() int {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return -1
	}
	return len(names)
}

// warm makes what the first timeout makes and is there ever after: the default engine's alarm, the runtime's poller.
func warm(t *testing.T) {
	t.Helper()
	t.Run("first of all", func(t *testing.T) {
		c, _ := loopback(t, deadline.Idle(time.Millisecond))
		_, err := c.Read(make([]byte, 1))
		wantLimit(t, err, "read", deadline.LimitIdle)
	})
}

// atMost waits until what f counts is not more than n: others close in their own time.
func atMost(t *testing.T, what string, n int, f func() int) {
	t.Helper()
	var got int
	for range 1000 {
		if got = f(); got <= n {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d %s are left, there were %d before", got, what, n)
}

// A server and a client of net/http with many connections that are kept alive, all with limits on both sides, plain and below
// TLS: no limit hits a request that moves, and when all is closed, nothing is left.
func TestReal_ManyConnections(t *testing.T) {
	const conns, rounds = 60, 4
	warm(t)
	for name, secure := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			files, routines := openFiles(), runtime.NumGoroutine()
			limits := []deadline.Option{
				deadline.Idle(20 * time.Second), deadline.MinRate(1, 20*time.Second), deadline.WriteTimeout(20 * time.Second),
			}
			var accepted atomic.Int32
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				_, _ = w.Write(b)
			}))
			srv.Listener = deadline.NewListener(srv.Listener, limits...)
			srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
				if s == http.StateNew {
					accepted.Add(1)
				}
			}
			if secure {
				srv.StartTLS()
			} else {
				srv.Start()
			}
			tr := srv.Client().Transport.(*http.Transport) //nolint:forcetypeassert // httptest's
			tr.MaxIdleConnsPerHost, tr.MaxIdleConns, tr.MaxConnsPerHost = conns, conns, conns
			tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := new(net.Dialer).DialContext(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				return deadline.NewConn(c, limits...), nil
			}
			body := strings.Repeat("0123456789abcdef", 4<<10)
			var all sync.WaitGroup
			for range conns {
				all.Go(func() {
					for range rounds {
						res, err := srv.Client().Post(srv.URL, "text/plain", strings.NewReader(body))
						if err != nil {
							t.Error(err)
							return
						}
						b, err := io.ReadAll(res.Body)
						_ = res.Body.Close()
						if err != nil || string(b) != body {
							t.Errorf("%d bytes of %d came back: %v", len(b), len(body), err)
						}
					}
				})
			}
			all.Wait()
			// On a busy machine a transport gives up some that are slow to be ready for the next request.
			if n := accepted.Load(); n >= 2*conns {
				t.Errorf("%d connections for %d requests of %d clients: they are not kept alive", n, rounds*conns, conns)
			}
			tr.CloseIdleConnections()
			srv.Close()
			atMost(t, "goroutines", routines, runtime.NumGoroutine)
			atMost(t, "files", files, openFiles)
		})
	}
}

// Requests that the client gives up, and connections that their limit ends, leave nothing either.
func TestReal_GivenUp(t *testing.T) {
	const clients = 40
	warm(t)
	files, routines := openFiles(), runtime.NumGoroutine()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "begun")
		w.(http.Flusher).Flush() //nolint:forcetypeassert // net/http's
		<-r.Context().Done()
	}))
	srv.Listener = deadline.NewListener(srv.Listener, deadline.Idle(20*time.Second))
	srv.Start()
	tr := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return deadline.NewConn(c, deadline.ReadTimeout(100*time.Millisecond)), nil
	}}
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i%2 == 0 {
				time.AfterFunc(time.Duration(i)*time.Millisecond, cancel)
			}
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, http.NoBody)
			if err != nil {
				t.Error(err)
				return
			}
			res, err := tr.RoundTrip(req)
			if err == nil {
				_, err = io.ReadAll(res.Body)
				_ = res.Body.Close()
			}
			if !errors.Is(err, context.Canceled) && !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
	}
	all.Wait()
	tr.CloseIdleConnections()
	srv.Close()
	atMost(t, "goroutines", routines, runtime.NumGoroutine)
	atMost(t, "files", files, openFiles)
}

// Half of a connection that was closed says so to the other end; the other half goes on, with its limits.
func TestReal_HalfClosed(t *testing.T) {
	c, peer := loopback(t, deadline.Idle(20*time.Second))
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(peer); len(b) != 0 || err != nil {
		t.Errorf("the peer got %q, %v", b, err)
	}
	if _, err := c.Write([]byte("x")); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a Write on the closed half: %v", err)
	}
	if _, err := peer.Write([]byte("still here")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	if n, err := c.Read(b); string(b[:n]) != "still here" || err != nil {
		t.Errorf("%q, %v", b[:n], err)
	}
	c.SetIdle(30 * time.Millisecond)
	_, err := c.Read(b)
	wantLimit(t, err, "read", deadline.LimitIdle)
	c.SetIdle(20 * time.Second)
	if err := c.CloseRead(); err != nil {
		t.Error(err)
	}
	if _, err := c.Read(b); err != io.EOF { //nolint:errorlint // as it is
		t.Errorf("a Read on the closed half: %v", err)
	}
}
