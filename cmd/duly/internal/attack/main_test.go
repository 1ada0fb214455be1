// Package attack attacks a daemon as `duly serve` makes it, over its TCP port and its socket, with bytes that no well-behaved client sends.
//
// It is not for what a daemon does for those who mean well, which is package daemon's to test, and not for what goes out of it. It has
// tests alone; docs/security.md names them beside the attack that each tries. With DULY_TEST_LONG=1, as `make attack` sets it, they try
// more of the same.
package attack

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/cmd/duly/internal/daemon"
	"github.com/dulyhq/duly/cmd/duly/internal/home"
	"github.com/dulyhq/duly/cmd/duly/internal/logtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hung is when a test gives up on an answer: nothing here takes a hundredth of it.
const hung = 2 * time.Minute

var long = os.Getenv("DULY_TEST_LONG") != ""

// A fort is a daemon that is attacked.
type fort struct {
	*testing.T

	d       *daemon.Daemon
	data    string
	address string
	log     logtest.Log
	signals chan os.Signal
}

// serve starts a daemon on a port that is free, with a configuration file and with settings "key=value".
func serve(t *testing.T, yaml string, settings ...string) *fort {
	t.Helper()
	dir, err := os.MkdirTemp("", "a") //nolint:usetesting // that of a test is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	f := &fort{T: t, data: filepath.Join(dir, "data"), signals: make(chan os.Signal, 8)}
	flags := map[string][]string{"listen": {"127.0.0.1:0"}, "log_level": {"debug"}}
	for _, s := range settings {
		key, value, _ := strings.Cut(s, "=")
		flags[key] = []string{value}
	}
	g := daemon.Given{Data: f.data, Flags: flags, Getenv: func(string) string { return "" }}
	if yaml != "" {
		g.Config = write(t, filepath.Join(dir, "duly.yaml"), yaml)
	}
	c, err := daemon.Load(g)
	if err != nil {
		t.Fatal(err)
	}
	if f.d, err = daemon.Open(t.Context(), c, daemon.Process{Stdout: io.Discard, Stderr: &f.log, Signals: f.signals, PID: os.Getpid()}); err != nil {
		t.Fatal(err)
	}
	f.address = f.d.Addrs()[0].String()
	f.run()
	return f
}

// run runs the daemon until the test ends, and then looks for what must not have happened.
func (f *fort) run() {
	ctx, stop := context.WithCancel(context.WithoutCancel(f.Context()))
	ended := make(chan error, 1)
	go func() { ended <- f.d.Run(ctx) }()
	f.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			f.Errorf("Run: %v", err)
		}
		for line := range strings.SplitSeq(f.log.String(), "\n") {
			if strings.Contains(line, "panic") || strings.Contains(line, "level=ERROR") {
				f.Errorf("the log says %s", line)
			}
		}
	})
	f.log.Has(f.T, "msg=ready")
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// token is the daemon's own.
func (f *fort) token() string {
	f.Helper()
	b, err := os.ReadFile(home.Token(f.data))
	if err != nil {
		f.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func (f *fort) bearer() string { return "Authorization: Bearer " + f.token() }

// owner is a client on the socket.
func (f *fort) owner() *client.Client {
	f.Helper()
	c, err := client.New(client.Options{Socket: f.d.Socket()})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(c.Close)
	return c
}

func (f *fort) dial() net.Conn {
	f.Helper()
	var d net.Dialer
	c, err := d.DialContext(f.Context(), "tcp", f.address)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(hung)); err != nil {
		f.Fatal(err)
	}
	return c
}

// An answer is what was said to one request.
type answer struct {
	status int
	header http.Header
	body   string
}

// slug is that of the problem that it tells, "" if it tells none.
func (a *answer) slug() string { return a.problem().Slug }

func (a *answer) problem() (p api.Problem) {
	if a.header.Get("Content-Type") != "application/problem+json" || json.Unmarshal([]byte(a.body), &p) != nil {
		return api.Problem{}
	}
	return p
}

// readAnswer reads the next answer of a connection to a request of some method; nil if there is none.
func readAnswer(r *bufio.Reader, method string) (*answer, error) {
	res, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(res.Body)
	return &answer{res.StatusCode, res.Header, string(b)}, errors.Join(err, res.Body.Close())
}

// last is a request after which the connection is closed.
const last = "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

// send sends bytes on a connection of their own, and returns all answers that come until the daemon closes it.
func (f *fort) send(text string) (all []*answer) {
	f.Helper()
	c := f.dial()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.WriteString(c, text) // it may be closed before it has heard everything
	}()
	for r := bufio.NewReader(c); ; {
		a, err := readAnswer(r, http.MethodGet)
		if err != nil {
			if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
				f.Fatalf("no answer, and no end, to %.300q", text)
			}
			_ = c.Close()
			<-sent
			return all
		}
		all = append(all, a)
	}
}

// one sends a request, with the head's lines and a body, and returns the answer to it.
func (f *fort) one(body string, head ...string) *answer {
	f.Helper()
	if body != "" && !slices.ContainsFunc(head, func(h string) bool { return strings.HasPrefix(h, "Transfer-Encoding") }) {
		head = append(head, "Content-Length: "+itoa(len(body)))
	}
	all := f.send(strings.Join(head, "\r\n") + "\r\nConnection: close\r\n\r\n" + body)
	if len(all) != 1 {
		f.Fatalf("%d answers to %.300q, want one", len(all), head)
	}
	return all[0]
}

// ask makes a request as somebody who may do everything.
func (f *fort) ask(method, path, body string, more ...string) *answer {
	f.Helper()
	head := append([]string{method + " " + path + " HTTP/1.1", "Host: localhost", f.bearer()}, more...)
	if body != "" && !slices.ContainsFunc(head, func(h string) bool { return strings.HasPrefix(h, "Content-Type") }) {
		head = append(head, "Content-Type: application/json")
	}
	return f.one(body, head...)
}

// lives checks that the daemon still answers.
func (f *fort) lives() {
	f.Helper()
	if a := f.ask("GET", "/v1/stats", ""); a.status != http.StatusOK {
		f.Errorf("afterwards: %d %s", a.status, a.body)
	}
}

// quoted is text as JSON.
func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string has JSON
	}
	return string(b)
}
