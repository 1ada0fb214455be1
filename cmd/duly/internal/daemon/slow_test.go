package daemon

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/api"
)

// hasty are limits that a test need not wait long for.
var hasty = limits{
	header: 200 * time.Millisecond, idle: 200 * time.Millisecond, patience: 200 * time.Millisecond, rate: 1 << 30, maxHeader: 8 << 10, conns: 4,
}

func (f *fixture) dial() net.Conn {
	f.Helper()
	return f.dialPort(0)
}

// dialPort is dial where there are several ports.
func (f *fixture) dialPort(i int) net.Conn {
	f.Helper()
	var d net.Dialer
	c, err := d.DialContext(f.Context(), "tcp", f.d.Addrs()[i].String())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = c.Close() })
	return c
}

// cut waits until the daemon has closed a connection, and returns what it said before.
func cut(t *testing.T, c net.Conn) string {
	t.Helper()
	b, err := io.ReadAll(c)
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		t.Fatal("the connection is open still")
	}
	return string(b)
}

// Each of these clients would hold a connection for ever. That the test ends says that none does.
func TestSlowClientsAreCut(t *testing.T) {
	f := serveIn(t, shortDir(t), hasty, "")
	auth := f.bearer() + "\r\n"
	head := "POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\n" + auth + "Content-Type: application/json\r\n"
	for name, send := range map[string]string{
		"that says nothing":           "",
		"that stops in its header":    "GET /v1/tasks HTTP/1.1\r\nHost: loc",
		"that stops in its body":      head + "Content-Length: 1000\r\n\r\n{\"in\":",
		"that stops in a chunk":       head + "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"in\"\r\n",
		"whose body nobody reads":     strings.Replace(head, auth, "", 1) + "Content-Length: 1000\r\n\r\n{\"in\":",
		"that keeps the connection":   "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"that stops in a batch":       strings.Replace(head, "/v1/tasks", "/v1/tasks:batch", 1) + "Content-Length: 99999\r\n\r\n{\"name\":\"a\",",
		"that waits to be encouraged": head + "Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := f.dial()
			if _, err := io.WriteString(c, send); err != nil {
				t.Fatal(err)
			}
			cut(t, c)
		})
	}
}

// What comes of a body that was given up is not the next request: a proxy that still sends it takes it for the body.
func TestSlowBodiesAreNoRequests(t *testing.T) {
	f := serveIn(t, shortDir(t), hasty, "")
	c := f.dial()
	head := "POST /v1/tasks:batch HTTP/1.1\r\nHost: localhost\r\n" + f.bearer() + "\r\nContent-Type: application/x-ndjson\r\nContent-Length: 10000\r\n\r\n"
	if _, err := io.WriteString(c, head+`{"name": "a",`); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil || !strings.Contains(string(b), "cut off") {
		t.Fatalf("%s, %v", b, err)
	}
	_, _ = io.WriteString(c, lastQuestion) // it may be closed by then
	if res, err := http.ReadResponse(r, nil); err == nil {
		t.Errorf("what follows is answered with %s", res.Status)
		_ = res.Body.Close()
	}
}

// A client that asks for much, more than the kernel takes in its stead, and reads nothing is cut off, too: while it is not, there is no
// place for another.
func TestSlowReadersAreCut(t *testing.T) {
	for name, secure := range map[string]bool{"in the clear": false, "over TLS": true} {
		t.Run(name, func(t *testing.T) {
			l := hasty
			l.conns, l.header, l.idle = 1, time.Minute, time.Minute // it is neither slow to ask nor idle, and the owner may pause between two puts
			var settings []string
			over := func(c net.Conn) net.Conn { return c }
			if secure {
				var conf *tls.Config
				settings, conf = withTLS(t)
				over = func(c net.Conn) net.Conn { return tls.Client(c, conf) }
			}
			f := serveIn(t, shortDir(t), l, "", settings...)
			owner := f.socketClient()
			note := strings.Repeat("x", 500<<10)
			for i := range 24 {
				_, err := owner.Put(t.Context(), fmt.Sprint("big-", i), api.Spec{Kind: "note", Payload: []byte(`"` + note + `"`), In: in(time.Hour)})
				if err != nil {
					t.Fatal(err)
				}
			}
			raw := f.dial()
			if err := raw.(*net.TCPConn).SetReadBuffer(4096); err != nil {
				t.Fatal(err)
			}
			slow := over(raw)
			if _, err := io.WriteString(slow, "GET /v1/tasks?limit=1000 HTTP/1.1\r\nHost: localhost\r\n"+f.bearer()+"\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(slow, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			next := over(f.dial())
			if _, err := io.WriteString(next, "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			if got := cut(t, next); !strings.Contains(got, "200 OK") {
				t.Errorf("the next is told %q", got)
			}
		})
	}
}

// A slowReader takes an answer at so many bytes a second.
type slowReader struct {
	http.ResponseWriter

	rate     int
	deadline time.Time
}

func (r *slowReader) SetWriteDeadline(t time.Time) error {
	r.deadline = t
	return nil
}

func (r *slowReader) Write(p []byte) (int, error) {
	takes := time.Duration(len(p)) * time.Second / time.Duration(r.rate)
	if left := time.Until(r.deadline); left < takes {
		time.Sleep(max(left, 0))
		return 0, os.ErrDeadlineExceeded
	}
	time.Sleep(takes)
	return len(p), nil
}

// Who takes a long answer as fast as it has to be gets all of it, however long that takes, also where it is written at once.
func TestSteadyReadersGetAll(t *testing.T) {
	for rate, all := range map[int]bool{8 << 10: true, 5 << 10: true, 2 << 10: false} {
		synctest.Test(t, func(t *testing.T) {
			r := &slowReader{rate: rate}
			w := &pacedWriter{ResponseWriter: r, rc: http.NewResponseController(r), budget: budget{limits: &usualLimits}}
			page := make([]byte, 4<<20+1)
			if n, err := w.Write(page); (err == nil) != all || (n == len(page)) != all {
				t.Errorf("at %d bytes a second: %d of %d are written, %v", rate, n, len(page), err)
			}
		})
	}
}

// withTLS returns the settings of a daemon that serves by TLS, and how a client speaks to it that offers HTTP/2 first, as most do.
func withTLS(t *testing.T) (settings []string, client *tls.Config) {
	t.Helper()
	cert, key := selfSigned(t, t.TempDir(), "localhost")
	pem, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	client = &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	return []string{"tls_cert=" + cert, "tls_key=" + key}, client
}

// Over HTTP/2 a deadline ends a request, and not the connection that its answer waits for: who takes nothing of it would never be cut off.
func TestTLS_NoHTTP2(t *testing.T) {
	settings, conf := withTLS(t)
	f := serve(t, settings...)
	c := tls.Client(f.dial(), conf)
	if _, err := io.WriteString(c, lastQuestion); err != nil {
		t.Fatal(err)
	}
	if got := c.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
		t.Errorf("HTTP/2 is offered, and %q chosen", got)
	}
	if got := cut(t, c); !strings.Contains(got, "HTTP/1.1 200 ") {
		t.Errorf("it is told %q", got)
	}
}

// Waiting for news is not being slow: a stream outlives all of the limits, however short they are.
func TestStreamsAreNotCut(t *testing.T) {
	f := serveIn(t, shortDir(t), hasty, "")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+f.tcp()+"/v1/events?after=now", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+f.token())
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // it is closed from the other side
	// A client that is cut shows that more time than any limit has passed.
	for range 3 {
		c := f.dial()
		if _, err := io.WriteString(c, "GET /v1/tasks HTTP/1.1\r\nHost: loc"); err != nil {
			t.Fatal(err)
		}
		cut(t, c)
	}
	if _, err := f.socketClient().Put(t.Context(), "news", api.Spec{Command: sh("true"), In: in(0)}); err != nil {
		t.Fatal(err)
	}
	for r := bufio.NewReader(res.Body); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("the stream was cut: %v", err)
		}
		if strings.Contains(line, `"news"`) {
			break
		}
	}
	// It ends when the daemon does, and does not keep it from ending.
	f.signals <- endSignals[0]
	if err := f.wait(); err != nil {
		t.Error(err)
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Errorf("the stream was not ended, but cut: %v", err)
	}
}

func TestHeadersAndBodiesAreLimited(t *testing.T) {
	l := usualLimits
	l.maxHeader = 8 << 10
	f := serveIn(t, shortDir(t), l, "")
	long := f.dial()
	_, _ = io.WriteString(long, "GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Long: "+strings.Repeat("x", 64<<10)+"\r\n\r\n") // it may be closed by then
	if got := cut(t, long); strings.Contains(got, " 200 ") {
		t.Errorf("a long header: %q", got)
	}
	body := `{"in":"1h","kind":"note","payload":"` + strings.Repeat("x", 1<<20) + `"}`
	if status, answer := f.ask("POST", "/v1/tasks", body, f.bearer()); status != http.StatusRequestEntityTooLarge || slug(answer) != "too-large" {
		t.Errorf("a long body: %d %.200s", status, answer)
	}
	if status, _ := f.ask("GET", "/livez", ""); status != 200 {
		t.Errorf("afterwards: %d", status)
	}
}

// hold makes a request that goes on until its body comes, and returns when it is known who asks.
func (f *fixture) hold() net.Conn {
	f.Helper()
	c := f.dial()
	head := "POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\n" + f.bearer() + "\r\nContent-Type: application/json\r\n"
	if _, err := io.WriteString(c, head+"Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n"); err != nil {
		f.Fatal(err)
	}
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, "100") {
		f.Fatalf("%q, %v", line, err)
	}
	return c
}

const lastQuestion = "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

// Who uses all connections over TCP, of which all ports have as many together, keeps neither the owner out nor others for ever.
func TestConnectionsAreCapped(t *testing.T) {
	l := usualLimits
	l.conns = 2
	f := serveIn(t, shortDir(t), l, "", "listen=127.0.0.1:0,127.0.0.1:0")
	for port := range 2 { // one after the other: of two strangers who wait, one would have to make room for the other
		held := []net.Conn{f.hold(), f.hold()}
		more := f.dialPort(port)
		if _, err := io.WriteString(more, lastQuestion); err != nil {
			t.Fatal(err)
		}
		if err := f.socketClient().Ready(t.Context()); err != nil {
			t.Errorf("on the socket: %v", err)
		}
		if err := more.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if n, err := more.Read(make([]byte, 1)); err == nil {
			t.Errorf("one more at port %d is served beside two others, %d", port, n)
		}
		if err := more.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		for _, c := range held {
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if got := cut(t, more); !strings.Contains(got, "200") {
			t.Errorf("one more at port %d is told %q", port, got)
		}
	}
}

// Whoever has shown no token makes room for who comes next, and does not cost one its place who has shown one.
func TestConnections_StrangersMakeRoom(t *testing.T) {
	l := usualLimits
	l.conns = 3
	f := serveIn(t, shortDir(t), l, "")
	known := f.dial()
	answers := bufio.NewReader(known)
	ask := func() {
		t.Helper()
		if _, err := io.WriteString(known, "GET /v1/stats HTTP/1.1\r\nHost: localhost\r\n"+f.bearer()+"\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, res.Body)
		if err = errors.Join(err, res.Body.Close()); err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s, %v", res.Status, err)
		}
	}
	ask()
	strangers := make([]net.Conn, 10)
	for i := range strangers {
		strangers[i] = f.dial()
		if _, err := io.WriteString(strangers[i], "GET /v1/tasks HTTP/1.1\r\nHost: loc"); err != nil {
			t.Fatal(err)
		}
	}
	next := f.dial()
	if _, err := io.WriteString(next, lastQuestion); err != nil {
		t.Fatal(err)
	}
	if got := cut(t, next); !strings.Contains(got, " 200 ") {
		t.Errorf("who comes next is told %q", got)
	}
	cut(t, strangers[0])
	ask()
}

// Where nobody can be told from those who have a token, who asks nothing makes room, and then the oldest of the streams.
func TestConnections_StreamsMakeRoom(t *testing.T) {
	l := usualLimits
	l.conns = 2
	f := serveIn(t, shortDir(t), l, "")
	follow := func() net.Conn {
		t.Helper()
		c := f.dial()
		if _, err := io.WriteString(c, "GET /v1/events HTTP/1.1\r\nHost: localhost\r\n"+f.bearer()+"\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, " 200 ") {
			t.Fatalf("%q, %v", line, err)
		}
		return c
	}
	first := follow()
	f.hold()
	next := f.dial()
	if _, err := io.WriteString(next, lastQuestion); err != nil {
		t.Fatal(err)
	}
	if got := cut(t, next); !strings.Contains(got, " 200 ") {
		t.Errorf("who comes next is told %q", got)
	}
	cut(t, first)
}

// What the server would answer by itself is not a way past the limits.
func TestOptionsOfTheServer(t *testing.T) {
	f := serveIn(t, shortDir(t), hasty, "")
	c := f.dial()
	if _, err := io.WriteString(c, "OPTIONS * HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	if got := cut(t, c); strings.Contains(got, " 200 ") { // it is told nothing if it does not send the rest in time
		t.Errorf("it is told %q", got)
	}
}

// A panic is an error that the log shows, not a matter of those who look at what strangers do.
func TestPanicsAreLogged(t *testing.T) {
	var log strings.Builder
	h := logPanics(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a fault") }), slog.New(slog.NewTextHandler(&log, nil)))
	defer func() {
		if v := recover(); v != http.ErrAbortHandler { //nolint:errorlint // the value itself
			t.Errorf("the server is told %v", v)
		}
		if got := log.String(); !strings.Contains(got, "level=ERROR") || !strings.Contains(got, "a fault") || !strings.Contains(got, "slow_test.go") {
			t.Errorf("the log says %s", got)
		}
	}()
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/livez", nil))
}

// Only what the API answers with a stream is one, whatever the name of a task looks like.
func TestStreams_ByPath(t *testing.T) {
	for _, tt := range []struct {
		method, target string
		want           bool
	}{
		{"GET", "/v1/events", true},
		{"GET", "/v1/events?after=now", true},
		{"GET", "/v1/%65vents", true},
		{"GET", "/v1/tasks/a/output?follow=true", true},
		{"GET", "/v1/tasks/a%2Fb/output?follow=true", true},
		{"GET", "/v1/tasks/a/output", false},
		{"GET", "/v1/tasks/a/output?follow=false", false},
		{"GET", "/v1/tasks/a%2Fv1%2Fevents", false},
		{"PUT", "/v1/tasks/a%2Fv1%2Fevents", false},
		{"PUT", "/v1/tasks/a?follow=true", false},
		{"GET", "/v1/stats?follow=true", false},
		{"GET", "/v1/tasks/events", false},
		{"GET", "/metrics", false},
	} {
		r := httptest.NewRequestWithContext(t.Context(), tt.method, tt.target, nil)
		if got := isStream(r); got != tt.want {
			t.Errorf("%s %s is a stream: %v", tt.method, tt.target, got)
		}
	}
}

// A pipes listener hands out what is sent to it.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (p pipes) Close() error {
	close(p)
	return nil
}

func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// Who is sent the end of an answer, which the server does when the handler has returned, is being answered still.
func TestConnections_AnsweredToTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := pipes(make(chan net.Conn))
		next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			vouching(r.Context())()
			_, _ = io.WriteString(w, "all of it\n")
		})
		s := newServer(t.Context(), &port{Listener: l}, next, nil, usualLimits, slog.New(slog.DiscardHandler))
		served := make(chan error, 1)
		go func() { served <- s.Serve(newCapped(l, newPlaces(1))) }()
		ask := func() net.Conn {
			ours, theirs := net.Pipe()
			l <- theirs
			go func() { _, _ = io.WriteString(ours, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") }() // whether it is read, the answer says
			synctest.Wait()
			return ours
		}
		for _, c := range []net.Conn{ask(), ask()} { // the second waits for the place of the first, which has not taken its answer yet
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Errorf("no answer: %v", err)
				continue
			}
			b, err := io.ReadAll(res.Body)
			if err = errors.Join(err, res.Body.Close()); string(b) != "all of it\n" || err != nil {
				t.Errorf("%q, %v", b, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

// What still comes of a body that the handler has not read to its end when its request was ended, or in time, is not taken for a request, also if the
// answer had begun.
func TestBody_LeftIsNoRequest(t *testing.T) {
	for name, ends := range map[string]bool{"the request is ended": true, "the rest is not sent in time": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &guard{}
				l := pipes(make(chan net.Conn))
				var asked []string
				next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					vouching(r.Context())()
					if asked = append(asked, r.Method); r.Method == http.MethodGet {
						return
					}
					rc := http.NewResponseController(w)
					if err := errors.Join(rc.EnableFullDuplex(), rc.Flush()); err != nil {
						t.Error(err)
					}
					if ends {
						<-r.Context().Done()
					}
				})
				s := newServer(t.Context(), &port{Listener: l}, next, g, usualLimits, slog.New(slog.DiscardHandler))
				served := make(chan error, 1)
				go func() { served <- s.Serve(newCapped(l, newPlaces(9))) }()
				ours, theirs := net.Pipe()
				l <- theirs
				go func() { _, _ = io.Copy(io.Discard, ours) }()
				_, err := io.WriteString(ours, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{")
				if err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if ends {
					g.mu.Lock()
					for a := range g.granted {
						a.end(api.ErrUnauthenticated)
					}
					g.mu.Unlock()
				} else {
					time.Sleep(usualLimits.patience + time.Second)
				}
				synctest.Wait()
				_, _ = io.WriteString(ours, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") // it may be closed by then
				synctest.Wait()
				if len(asked) != 1 {
					t.Errorf("asked for %q, want the first alone", asked)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				if err := <-served; !errors.Is(err, http.ErrServerClosed) {
					t.Error(err)
				}
			})
		})
	}
}

// piped serves a handler to the other end of a pipe.
func piped(t *testing.T, next http.HandlerFunc) net.Conn {
	t.Helper()
	l := pipes(make(chan net.Conn))
	s := newServer(t.Context(), &port{Listener: l}, next, nil, usualLimits, slog.New(slog.DiscardHandler))
	served := make(chan error, 1)
	go func() { served <- s.Serve(newCapped(l, newPlaces(9))) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	ours, theirs := net.Pipe()
	l <- theirs
	return ours
}

// A body that nobody reads, and that does not come, is not waited for longer than one that is read.
func TestBody_NobodyReadsIt(t *testing.T) {
	const length = "Content-Length: 10\r\n"
	for _, tt := range []struct {
		method, header string
		answer         int
		want           time.Duration
		status         int
	}{
		{"GET", length, 5000, usualLimits.patience, http.StatusRequestTimeout},
		{"GET", length, 10, usualLimits.patience, http.StatusRequestTimeout},
		{"POST", length, 5000, usualLimits.patience, http.StatusOK},
		{"POST", length, 10, usualLimits.patience, http.StatusOK},
		{"POST", "Expect: 100-continue\r\n" + length, 5000, 0, http.StatusOK}, // it does not come before it is asked for
		{"GET", "Expect: 100-continue\r\n" + length, 5000, 0, http.StatusOK},
		// The server does not wait for these before it answers.
		{"GET", "Transfer-Encoding: chunked\r\n", 5000, 0, http.StatusOK},
		{"POST", "Transfer-Encoding: chunked\r\n", 5000, 0, http.StatusOK},
		{"POST", "Content-Length: 300000\r\n", 5000, 0, http.StatusOK},
	} {
		t.Run(fmt.Sprintf("%s %d %.18s", tt.method, tt.answer, tt.header), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := piped(t, func(w http.ResponseWriter, r *http.Request) {
					vouching(r.Context())()
					_, _ = w.Write(make([]byte, tt.answer))
				})
				begun := time.Now()
				if _, err := io.WriteString(c, tt.method+" / HTTP/1.1\r\nHost: localhost\r\n"+tt.header+"\r\n"); err != nil {
					t.Fatal(err)
				}
				r := bufio.NewReader(c)
				res, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(res.Body)
				if err = errors.Join(err, res.Body.Close()); err != nil || res.StatusCode != tt.status || tt.status == http.StatusOK && len(got) != tt.answer || !res.Close {
					t.Errorf("%s, %d bytes, the connection is kept %t, %v", res.Status, len(got), !res.Close, err)
				}
				if took := time.Since(begun); took != tt.want {
					t.Errorf("the answer has taken %v, want %v", took, tt.want)
				}
				if _, err := io.Copy(io.Discard, r); err != nil {
					t.Error(err)
				}
				if took := time.Since(begun).Truncate(time.Second); took > usualLimits.patience {
					t.Errorf("the connection is closed after %v", took)
				}
			})
		})
	}
}

// An answer that takes long is not cut off by what was allowed for a body that nobody reads.
func TestBody_StreamsOutliveIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, method := range []string{"GET", "POST"} {
			c := piped(t, func(w http.ResponseWriter, r *http.Request) {
				for range 3 {
					_, _ = io.WriteString(w, "news\n")
					if err := http.NewResponseController(w).Flush(); err != nil {
						t.Errorf("%s: %v", method, err)
					}
					time.Sleep(time.Hour)
				}
				if err := r.Context().Err(); err != nil {
					t.Errorf("%s: %v", method, err)
				}
			})
			if _, err := io.WriteString(c, method+" / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(c); err != nil || strings.Count(string(got), "news") != 3 {
				t.Errorf("%s: %q, %v", method, got, err)
			}
		}
	})
}

// Of the connections on which a token was shown that was taken back since, those are spared first on which nothing is asked.
func TestConnections_ForgetTokens(t *testing.T) {
	p := newPlaces(3)
	conn := func() *cappedConn {
		ours, theirs := net.Pipe()
		t.Cleanup(func() { _ = ours.Close() })
		if !p.admit() {
			t.Fatal("there is no place")
		}
		c := &cappedConn{Conn: theirs, of: p}
		c.change(func() {})
		return c
	}
	show := func(c *cappedConn) { c.change(func() { c.known, c.epoch = true, p.epoch }) }
	idle, asks, again := conn(), conn(), conn()
	for _, c := range []*cappedConn{again, idle, asks} {
		show(c)
	}
	asks.begin(false)
	p.forget()
	show(again)
	conn()
	if !idle.closed.b.Load() || asks.closed.b.Load() || again.closed.b.Load() {
		t.Errorf("closed: %t %t %t, want the first alone", idle.closed.b.Load(), asks.closed.b.Load(), again.closed.b.Load())
	}
	asks.change(func() { asks.asked = false })
	if asks.in != &p.strangers || again.in != &p.idle {
		t.Error("who was answered counts as one that has shown a token")
	}
}

func TestGuard_ReplaceTellsWhatIsTaken(t *testing.T) {
	a, b := credential{name: "a", sum: [32]byte{1}}, credential{name: "b", sum: [32]byte{2}}
	g := &guard{}
	for i, tt := range []struct {
		known []credential
		want  bool
	}{{[]credential{a}, false}, {[]credential{b, a}, false}, {[]credential{b}, true}, {[]credential{b}, false}, {nil, true}} {
		if got := g.replace(tt.known); got != tt.want {
			t.Errorf("step %d: %t, want %t", i, got, tt.want)
		}
	}
}
