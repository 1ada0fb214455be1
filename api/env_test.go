package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
)

// An env is a scheduler on the memory store with a handler before it, in a bubble whose time is the test's.
type env struct {
	*testing.T

	st *failing
	d  *duly.Scheduler
	h  *api.Handler
}

// described is /openapi.json, as the first env has it that needs it: but for the prefix it is the same for all.
var described document

// bubble runs a test in an env. What the options leave open allows all.
func bubble(t *testing.T, o api.Options, test func(t *testing.T, e *env)) {
	synctest.Test(t, func(t *testing.T) { test(t, newEnv(t, o)) })
}

func newEnv(t *testing.T, o api.Options) *env {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	if o.Logger == nil {
		o.Logger = quiet
	}
	st := &failing{Store: memory.New(memory.Options{})}
	d, err := duly.New(duly.Options{Store: st, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	e := &env{T: t, st: st, d: d, h: api.New(d, o)}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Errorf("Close of the store: %v", err)
		}
	})
	t.Cleanup(func() {
		if err := d.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return e
}

// failing is a store that can fail.
type failing struct {
	*memory.Store

	err    error // of what these tests make fail
	silent bool  // it does not tell its counters
}

// fails lets the store fail from now on.
func (e *env) fails(err error) { e.st.err = err }

func (f *failing) Put(ctx context.Context, puts []store.Put) ([]store.PutResult, error) {
	if f.err != nil {
		return nil, f.err
	}
	return f.Store.Put(ctx, puts)
}

func (f *failing) Clock(ctx context.Context) (store.Clock, error) {
	if f.err != nil {
		return store.Clock{}, f.err
	}
	return f.Store.Clock(ctx)
}

func (f *failing) Stats(ctx context.Context) (store.Stats, error) {
	if f.silent {
		<-ctx.Done()
		return store.Stats{}, &store.Error{Op: "stats", Err: context.Cause(ctx)}
	}
	if f.err != nil {
		return store.Stats{}, f.err
	}
	return f.Store.Stats(ctx)
}

// all are options that let the daemon's kinds be put.
var all = api.Options{Commands: true, Callbacks: true}

// work lets the scheduler run until the test ends, with a kind "mail" whose handler is given, and one "done" that succeeds.
func (e *env) work(mail func(ctx context.Context, a *duly.Attempt[[]byte]) error) {
	e.Helper()
	duly.Handle(e.d, "done", func(context.Context, *duly.Attempt[[]byte]) error { return nil })
	if mail != nil {
		duly.Handle(e.d, "mail", mail)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(e.Context()))
	ended := make(chan error, 1)
	go func() { ended <- e.d.Run(ctx) }()
	e.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			e.Errorf("Run: %v", err)
		}
	})
	synctest.Wait()
}

// pass lets time pass.
func (e *env) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// An answer is what came back.
type answer struct {
	*testing.T

	what   string
	status int
	header http.Header
	body   string
}

// do asks, and holds the answer to what /openapi.json says of it. Headers are "Name: value".
func (e *env) do(method, path, body string, headers ...string) *answer {
	e.Helper()
	if described.dict == nil {
		described = documentOf(e.T, e)
	}
	a := e.raw(method, path, body, headers...)
	if u, err := url.Parse(path); err == nil && method != http.MethodHead {
		a.documented(described, method, u.EscapedPath())
	}
	return a
}

// raw asks.
func (e *env) raw(method, path, body string, headers ...string) *answer {
	e.Helper()
	r := httptest.NewRequestWithContext(e.Context(), method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
		if name == "Host" {
			r.Host = value
		}
	}
	w := httptest.NewRecorder()
	e.h.ServeHTTP(w, r)
	res := w.Result()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		e.Fatal(err)
	}
	return &answer{T: e.T, what: method + " " + path, status: res.StatusCode, header: res.Header, body: string(b)}
}

// want holds an answer to its status.
func (a *answer) want(status int) *answer {
	a.Helper()
	if a.status != status {
		a.Fatalf("%s: status %d, want %d: %s", a.what, a.status, status, a.body)
	}
	return a
}

// problem holds an answer to a problem: its slug and the field that it names. What would be right must be said where a field is.
func (a *answer) problem(slug, field string) *api.Problem {
	a.Helper()
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		a.Fatalf("%s: status %d, Content-Type %q, want a problem: %s", a.what, a.status, got, a.body)
	}
	p := read[api.Problem](a)
	if p.Slug != slug || p.Field != field || p.Status != a.status || p.Type != api.ProblemBase+slug || p.Title == "" || p.Detail == "" {
		a.Errorf("%s: %s; want the slug %s and the field %q", a.what, a.body, slug, field)
	}
	if field != "" && p.Want == "" {
		a.Errorf("%s: %s; want what would be right", a.what, a.body)
	}
	if strings.Contains(p.Detail, "\n") {
		a.Errorf("%s: detail %q is more than a line", a.what, p.Detail)
	}
	return p
}

// read reads an answer strictly.
func read[T any](a *answer) *T {
	a.Helper()
	v := new(T)
	dec := json.NewDecoder(strings.NewReader(a.body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		a.Fatalf("%s: %v in %s", a.what, err, a.body)
	}
	return v
}

// is compares.
func is[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
