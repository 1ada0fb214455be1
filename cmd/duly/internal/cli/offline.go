package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"sync"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/cmd/duly/internal/daemon"
	"github.com/dulyhq/duly/cmd/duly/internal/home"
)

// connectToRead is connect for a command that only looks. Where --data says which directory, and no daemon runs in it, the command is
// shown what is there, and nothing of it is changed.
func (s *session) connectToRead() (*client.Client, error) {
	if s.data == "" || s.socket != "" || s.url != "" {
		return s.connect()
	}
	data, err := home.Data(s.data, s.getenv)
	if err != nil {
		return nil, &usageError{what: err.Error()}
	}
	s.wrap = func(next http.RoundTripper) http.RoundTripper {
		x := &stopped{next: next, data: data, found: func() error {
			return s.stderr().linef("no daemon runs in %s: this is how it has left its tasks", data)
		}}
		s.closing = append(s.closing, x.close)
		return x
	}
	defer func() { s.wrap = nil }()
	return s.connect()
}

// atHome says whether the daemon that is meant is that of the directory, and where that is.
func (s *session) atHome() (data string, ok bool) {
	if s.socket != "" || s.url != "" || s.data == "" && (s.getenv("DULY_URL") != "" || s.getenv("DULY_SOCKET") != "") {
		return "", false
	}
	data, err := home.Data(s.data, s.getenv)
	if err != nil {
		return "", false
	}
	_, err = os.Stat(home.Store(data))
	return data, err == nil
}

// stopped answers what is asked of a daemon that does not run.
type stopped struct {
	next  http.RoundTripper // to the daemon
	data  string
	found func() error // is called when it answers for the first time

	mu      sync.Mutex
	handler http.Handler // nil: the daemon is asked
	closing []func() error
}

// RoundTrip asks the daemon, and answers itself if that is not there.
func (x *stopped) RoundTrip(r *http.Request) (*http.Response, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.handler == nil {
		res, err := x.next.RoundTrip(r)
		if gone, ok := errors.AsType[*client.UnreachableError](err); !ok || r.Method != http.MethodGet || errors.Is(gone, fs.ErrPermission) {
			return res, err
		}
		switch oerr := x.open(); {
		case errors.Is(oerr, fs.ErrNotExist):
			return nil, err // there is nothing to be shown
		case oerr != nil:
			return nil, oerr
		}
	}
	a := &whole{head: http.Header{}, status: http.StatusOK}
	x.handler.ServeHTTP(a, r)
	return &http.Response{
		Status: http.StatusText(a.status), StatusCode: a.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.head, Body: io.NopCloser(&a.body), ContentLength: int64(a.body.Len()), Request: r,
	}, nil
}

// CloseIdleConnections lets those to the daemon go.
func (x *stopped) CloseIdleConnections() {
	if c, ok := x.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func (x *stopped) open() error {
	st, err := daemon.OpenStopped(x.data)
	if err != nil {
		return err
	}
	x.closing = append(x.closing, st.Close)
	quiet := slog.New(slog.DiscardHandler)
	d, err := duly.New(duly.Options{Store: st, Logger: quiet})
	if err != nil {
		return err
	}
	x.closing = append(x.closing, func() error { return d.Close(context.Background()) })
	h := api.New(d, api.Options{Version: version(), Logger: quiet, Store: func() *api.StoreState {
		return &api.StoreState{Kind: "directory", At: home.Store(x.data)}
	}})
	x.handler = h
	return x.found()
}

func (x *stopped) close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, end := range slices.Backward(x.closing) {
		_ = end() // it was read, and what was read is shown
	}
	x.closing = nil
}

// A whole is an answer that is kept until it is whole.
type whole struct {
	head   http.Header
	status int
	body   bytes.Buffer
}

func (a *whole) Header() http.Header { return a.head }

func (a *whole) WriteHeader(status int) { a.status = status }

func (a *whole) Write(p []byte) (int, error) { return a.body.Write(p) }
