package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/timer"
)

// open returns a client that is closed with the test, and waits by an engine that is.
func open(t *testing.T, o client.Options) *client.Client {
	t.Helper()
	e := timer.New()
	t.Cleanup(func() { _, _ = e.Close(context.WithoutCancel(t.Context())) })
	o.Engine = e
	c, err := client.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// answering returns a client of a server that answers as h says.
func answering(t *testing.T, h http.HandlerFunc) *client.Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return open(t, client.Options{URL: srv.URL})
}

// say writes an answer. Whoever asked may have gone.
func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

// cut ends the connection of a request without an answer.
func cut(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_ = conn.Close()
}

func TestNew_Refuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    client.Options
		want string
	}{
		{"nothing", client.Options{}, "a path, or a URL"},
		{"both", client.Options{Socket: "/s", URL: "http://h"}, "none where there is a socket"},
		{"no scheme", client.Options{URL: "localhost:4280"}, "http://HOST:PORT"},
		{"another scheme", client.Options{URL: "ftp://h"}, "http://HOST:PORT"},
		{"no host", client.Options{URL: "http:///v1"}, "http://HOST:PORT"},
		{"a port and no host", client.Options{URL: "http://:80"}, "http://HOST:PORT"},
		{"a query", client.Options{URL: "http://h/?a=b"}, "http://HOST:PORT"},
		{"a password", client.Options{URL: "http://me:secret@h"}, "give a token"},
		{"no URL", client.Options{URL: "http://h\x7f:secret"}, "http://HOST:PORT"},
		{"a token of two lines", client.Options{URL: "http://h", Token: "secret\r\nX: y"}, "printable ASCII"},
	} {
		_, err := client.New(tt.o)
		if !errors.Is(err, duly.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want ErrInvalid with %q", tt.name, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error shows a secret: %v", tt.name, err)
		}
	}
}

func TestClient_RefusesNames(t *testing.T) {
	var asked atomic.Int64
	c := answering(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	for _, name := range []string{"", ".", ".."} {
		_, err := c.Put(t.Context(), name, api.Spec{})
		if e, ok := errors.AsType[*duly.Error](err); !ok || e.Field != "name" || !errors.Is(err, duly.ErrInvalid) {
			t.Errorf("put %q: %v, want ErrInvalid about the name", name, err)
		}
	}
	if _, err := c.Put(t.Context(), "tea", api.Spec{Name: "milk"}); !errors.Is(err, duly.ErrInvalid) {
		t.Errorf("put with two names: %v, want ErrInvalid", err)
	}
	if _, err := c.Put(t.Context(), "tea", api.Spec{}, client.IfGeneration(0)); !errors.Is(err, duly.ErrInvalid) {
		t.Errorf("put if generation 0: %v, want ErrInvalid", err)
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("%d requests went out, want none", n)
	}
}

// TestClient_Unreachable: nobody there is an error of its own, and says that nothing was sent.
func TestClient_Unreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "duly.sock")
	for _, tt := range []struct {
		o                client.Options
		network, address string
	}{
		{client.Options{Socket: socket}, "unix", socket},
		{client.Options{URL: "http://" + free}, "tcp", free},
	} {
		c := open(t, tt.o)
		_, perr := c.Put(t.Context(), "tea", api.Spec{})
		_, gerr := c.Get(t.Context(), "tea")
		var eerr error
		for _, err := range c.Events(t.Context(), 0, "") {
			eerr = err
		}
		for _, err := range []error{perr, gerr, eerr} {
			e, ok := errors.AsType[*client.UnreachableError](err)
			if !ok || e.Network != tt.network || e.Address != tt.address || errors.Is(err, duly.ErrUnknown) {
				t.Errorf("%s: %v, want an UnreachableError", tt.address, err)
			}
		}
	}
}

// TestClient_LostAnswer: a write whose answer does not come may have taken place, and is not sent twice; what reads is.
func TestClient_LostAnswer(t *testing.T) {
	var writes, reads atomic.Int64
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Method != http.MethodGet {
			writes.Add(1)
			cut(w)
			return
		}
		if reads.Add(1) < 3 {
			cut(w)
			return
		}
		say(w, `{"name":"tea","runs":[]}`)
	})
	if _, err := c.Put(t.Context(), "tea", api.Spec{}); !errors.Is(err, duly.ErrUnknown) {
		t.Errorf("put: %v, want ErrUnknown", err)
	}
	if n := writes.Load(); n != 1 {
		t.Errorf("the put was sent %d times, want once", n)
	}
	if got, err := c.Get(t.Context(), "tea"); err != nil || got.Name != "tea" {
		t.Errorf("get: %v, %v, want tea", got, err)
	}
	if n := reads.Load(); n != 3 {
		t.Errorf("the get was sent %d times, want 3", n)
	}
	c.Close() // a connection that was kept would be worth one more
	reads.Store(-10)
	if _, err := c.Get(t.Context(), "tea"); err == nil || errors.Is(err, duly.ErrUnknown) {
		t.Errorf("get: %v, want an error that is not ErrUnknown", err)
	}
	if n := reads.Load(); n != -7 {
		t.Errorf("the get was sent %d times, want 3", n+10)
	}
}

// TestClient_HalfAnAnswer: of a write whose answer is cut in its middle it is not known what it would have said.
func TestClient_HalfAnAnswer(t *testing.T) {
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Length", "100")
		say(w, `{"name":"tea",`)
	})
	if _, err := c.Cancel(t.Context(), "tea"); !errors.Is(err, duly.ErrUnknown) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cancel: %v, want ErrUnknown and io.ErrUnexpectedEOF", err)
	}
	if _, err := c.WhyNot(t.Context(), "tea"); errors.Is(err, duly.ErrUnknown) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("why: %v, want io.ErrUnexpectedEOF alone", err)
	}
}

// TestClient_ContextEnds: before a write has gone out its context's end says that nothing was written; afterwards that nobody knows.
func TestClient_ContextEnds(t *testing.T) {
	cause := errors.New("the user has gone")
	arrived := make(chan struct{})
	c := answering(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() { <-arrived; cancel(cause) }()
	if _, err := c.Put(ctx, "tea", api.Spec{}); !errors.Is(err, duly.ErrUnknown) || !errors.Is(err, cause) {
		t.Errorf("put: %v, want ErrUnknown and the cause", err)
	}
	if _, err := c.Put(ctx, "tea", api.Spec{}); errors.Is(err, duly.ErrUnknown) || !errors.Is(err, cause) {
		t.Errorf("put after the end: %v, want the cause alone", err)
	}
}

// TestClient_OddAnswers: what comes from something else than the API is said to, and is not taken for what it is not.
func TestClient_OddAnswers(t *testing.T) {
	for _, tt := range []struct {
		name    string
		answer  http.HandlerFunc
		want    string
		unknown bool // of a write
	}{
		{"a page", func(w http.ResponseWriter, _ *http.Request) { say(w, "<html>") }, "invalid character", true},
		{"nothing", func(http.ResponseWriter, *http.Request) {}, "unexpected end of JSON", true},
		{"a gateway", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, "status 502", true},
		{"another page", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusNotFound) }, "status 404", false},
		{"elsewhere", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://example.invalid/")
			w.WriteHeader(http.StatusTemporaryRedirect)
		}, `sends to "http://example.invalid/"`, false},
		{"a problem without end", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.Copy(w, io.LimitReader(endless{}, 2<<20))
		}, "status 400", false},
		{"a failure that nobody foresaw", problem(http.StatusInternalServerError, "internal"), "internal", true},
		{"a failure of later versions", problem(http.StatusInternalServerError, "meteor"), "meteor", true},
		{"a refusal of later versions", problem(http.StatusConflict, "full-moon"), "full-moon", false},
	} {
		c := answering(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			tt.answer(w, r)
		})
		_, err := c.Put(t.Context(), "tea", api.Spec{})
		if err == nil || !strings.Contains(err.Error(), tt.want) || errors.Is(err, duly.ErrUnknown) != tt.unknown {
			t.Errorf("%s: put: %v, want %q, ErrUnknown %t", tt.name, err, tt.want, tt.unknown)
		}
		_, err = c.Get(t.Context(), "tea")
		if err == nil || !strings.Contains(err.Error(), tt.want) || errors.Is(err, duly.ErrUnknown) {
			t.Errorf("%s: get: %v, want %q and not ErrUnknown", tt.name, err, tt.want)
		}
	}
}

// problem answers with a problem whose detail is its slug.
func problem(status int, slug string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		say(w, `{"status":%d,"slug":%q,"detail":%q}`, status, slug, slug)
	}
}

type endless struct{}

var blanks = strings.Repeat(" ", 32<<10)

func (endless) Read(p []byte) (int, error) { return copy(p, blanks), nil }

// TestClient_TokenStays: a daemon that sends elsewhere does not get the token there.
func TestClient_TokenStays(t *testing.T) {
	var asked atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(other.Close)
	var token, agent atomic.Value
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token.Store(r.Header.Get("Authorization"))
		agent.Store(r.Header.Get("User-Agent"))
		http.Redirect(w, r, other.URL, http.StatusFound)
	}))
	t.Cleanup(srv.Close)
	c := open(t, client.Options{URL: srv.URL + "/", Token: "sesame", UserAgent: "duly/1"})
	if _, err := c.Stats(t.Context()); err == nil {
		t.Error("stats: no error")
	}
	if token.Load() != "Bearer sesame" || agent.Load() != "duly/1" {
		t.Errorf("sent %q, %q", token.Load(), agent.Load())
	}
	if asked.Load() != 0 {
		t.Error("the client went where it was sent")
	}
}

// TestClient_LinesAreLimited: a line of an answer that has no end is not gathered.
func TestClient_LinesAreLimited(t *testing.T) {
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/events") {
			w.Header().Set("Content-Type", "text/event-stream")
			say(w, "data: ")
		}
		_, _ = io.Copy(w, io.LimitReader(endless{}, 16<<20))
	})
	var oerr, eerr error
	for _, err := range c.Output(t.Context(), "tea", "", 0, false) {
		oerr = err
	}
	for _, err := range c.Events(t.Context(), 0, "") {
		eerr = err
	}
	for _, err := range []error{oerr, eerr} {
		if err == nil || !strings.Contains(err.Error(), "longer than") {
			t.Errorf("%v, want one that says how long a line may be", err)
		}
	}
}
