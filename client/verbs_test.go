package client_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/schedule"
)

// A house is a scheduler that runs, with what it ran.
type house struct {
	d     *duly.Scheduler
	ran   chan string   // names; the handler of "note" waits until it is taken
	loose chan struct{} // closed: nobody waits any more
}

// newHouse returns a scheduler that runs tasks of the kind "note", whose payload is what becomes of them: "fail", "wait" or anything.
func newHouse(t *testing.T) *house {
	t.Helper()
	d, err := duly.New(duly.Options{DrainTimeout: time.Second, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{d: d, ran: make(chan string, 1000), loose: make(chan struct{})}
	duly.Handle(d, "note", func(ctx context.Context, a *duly.Attempt[string]) error {
		h.ran <- a.Name
		switch a.Payload {
		case "fail":
			return duly.Permanent(errors.New("as it was told to"))
		case "wait":
			select {
			case <-h.loose:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("run: %v", err)
		}
		if err := d.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return h
}

// note is a task of the house.
func note(what, when string) api.Spec {
	b, err := json.Marshal(what)
	if err != nil {
		panic(err)
	}
	return api.Spec{Kind: "note", Payload: b, Schedule: when}
}

// ways are how a handler is reached: each returns a client of it.
var ways = map[string]func(*testing.T, http.Handler) *client.Client{
	"tcp": func(t *testing.T, h http.Handler) *client.Client {
		t.Helper()
		srv := httptest.NewServer(h)
		t.Cleanup(srv.Close)
		return open(t, client.Options{URL: srv.URL, Token: "sesame"})
	},
	"tls": func(t *testing.T, h http.Handler) *client.Client {
		t.Helper()
		srv := httptest.NewTLSServer(h)
		t.Cleanup(srv.Close)
		roots := x509.NewCertPool()
		roots.AddCert(srv.Certificate())
		return open(t, client.Options{URL: srv.URL, Token: "sesame", TLS: &tls.Config{RootCAs: roots}})
	},
	"unix": func(t *testing.T, h http.Handler) *client.Client {
		t.Helper()
		socket := filepath.Join(t.TempDir(), "duly.sock")
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		srv := httptest.NewUnstartedServer(h)
		_ = srv.Listener.Close()
		srv.Listener = l
		srv.Start()
		t.Cleanup(srv.Close)
		return open(t, client.Options{Socket: socket, Token: "sesame"})
	},
}

// everyWay runs a test over each way to a handler.
func everyWay(t *testing.T, f func(t *testing.T, h *house, c *client.Client)) {
	t.Helper()
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			handler := api.New(h.d, api.Options{Version: "v9", Authorize: func(r *http.Request, _ api.Scope) error {
				if r.Header.Get("Authorization") != "Bearer sesame" {
					return api.ErrUnauthenticated
				}
				return nil
			}})
			f(t, h, way(t, handler))
		})
	}
}

// A result is what a call returns that should not fail.
type result[T any] struct {
	v   T
	err error
}

func of[T any](v T, err error) result[T] { return result[T]{v, err} }

// must fails the test if there is an error.
func (r result[T]) must(t *testing.T) T {
	t.Helper()
	if r.err != nil {
		t.Fatal(r.err)
	}
	return r.v
}

// TestClient_Life is one task's, over every way: put, looked at, moved, run, looked for in the history.
func TestClient_Life(t *testing.T) {
	everyWay(t, func(t *testing.T, h *house, c *client.Client) {
		ctx := t.Context()
		const name = "team/日本 100%"
		e := of(c.Put(ctx, name, note("any", "in 1h"), client.IfAbsent())).must(t)
		if e.Name != name || e.Outcome != "created" || e.Generation == 0 {
			t.Errorf("put: %+v", e)
		}
		task := of(c.Get(ctx, name)).must(t)
		if task.Name != name || task.Kind != "note" || task.State != "pending" || task.Generation != e.Generation || string(task.Payload) != `"any"` {
			t.Errorf("get: %+v", task)
		}
		if w := of(c.WhyNot(ctx, name)).must(t); w.Code != "not_due" || w.Text == "" {
			t.Errorf("why: %+v", w)
		}
		p := of(c.PreviewTask(ctx, name, client.PreviewQuery{N: 3})).must(t)
		if len(p.Occurrences) != 1 || !p.Occurrences[0].At.Equal(task.DueAt) {
			t.Errorf("preview: %+v, want one at %v", p, task.DueAt)
		}
		sim := of(c.Simulate(ctx, time.Now(), time.Now().Add(2*time.Hour), 10)).must(t)
		if len(sim.Fires) != 1 || sim.Fires[0].Name != name {
			t.Errorf("simulate: %+v", sim)
		}
		moved := of(c.Move(ctx, name, schedule.After(2*time.Hour), client.IfGeneration(e.Generation))).must(t)
		if moved.Generation <= e.Generation || !moved.DueAt.After(e.DueAt) {
			t.Errorf("move: %+v after %+v", moved, e)
		}
		if _, err := c.Patch(ctx, name, api.Change{Payload: json.RawMessage(`"other"`)}, client.IfGeneration(e.Generation)); !errors.Is(err, duly.ErrCondition) {
			t.Errorf("change of a generation that is gone: %v, want ErrCondition", err)
		}
		changed := of(c.Patch(ctx, name, api.Change{Payload: json.RawMessage(`"other"`)})).must(t)
		if !changed.DueAt.Equal(moved.DueAt) {
			t.Errorf("change: due at %v, want as before, %v", changed.DueAt, moved.DueAt)
		}
		ended := make(chan api.Event, 1)
		failed := make(chan error, 1)
		go func() {
			ev, err := c.Await(ctx, name, e.Generation)
			failed <- err
			ended <- ev
		}()
		if err := c.RunNow(ctx, name); err != nil {
			t.Fatal(err)
		}
		if ran := <-h.ran; ran != name {
			t.Errorf("%q ran", ran)
		}
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
		ev := <-ended
		if ev.To != "done" || ev.Name != name || ev.Lateness == nil {
			t.Errorf("await: %+v", ev)
		}
		evs := of(c.History(ctx, client.HistoryQuery{Name: name, Newest: true, Limit: 1})).must(t)
		if diff := cmp.Diff([]api.Event{ev}, evs); diff != "" {
			t.Errorf("history (-awaited +got):\n%s", diff)
		}
		if _, err := c.Get(ctx, name); !errors.Is(err, duly.ErrFinished) {
			t.Errorf("get: %v, want ErrFinished", err)
		}
		if s := of(c.Stats(ctx)).must(t); s.Version != "v9" || s.Kinds["note"].Succeeded != 1 || s.Pending != 0 {
			t.Errorf("stats: %+v", s)
		}
		if err := c.Ready(ctx); err != nil {
			t.Errorf("ready: %v", err)
		}
	})
}

// TestClient_Errors: what the scheduler would have returned is found in what the client returns.
func TestClient_Errors(t *testing.T) {
	everyWay(t, func(t *testing.T, h *house, c *client.Client) {
		ctx := t.Context()
		of(c.Put(ctx, "tea", note("any", "in 1h"))).must(t)
		of(c.Put(ctx, "run", note("wait", "in 0s"))).must(t)
		<-h.ran
		put := func(name string, s api.Spec, conds ...client.Condition) error {
			_, err := c.Put(ctx, name, s, conds...)
			return err
		}
		failing := note("any", "in 1h")
		failing.Conflict = "fail"
		other := note("any", "in 1h")
		other.Kind = "other"
		_, created := c.Create(ctx, api.Spec{Name: "tea", Kind: "note", Payload: json.RawMessage(`1`), Schedule: "in 1h"})
		_, gone := c.Get(ctx, "nobody")
		_, moved := c.Move(ctx, "run", schedule.After(time.Hour))
		_, badMove := c.Move(ctx, "tea", schedule.After(-time.Hour))
		_, badList := c.ListPage(ctx, client.Query{State: "asleep"})
		for _, tt := range []struct {
			name  string
			err   error
			is    error
			field string
		}{
			{"a schedule that is none", put("x", note("any", "evry 5m")), duly.ErrInvalid, "schedule"},
			{"no schedule", put("x", note("any", "")), duly.ErrInvalid, "*"},
			{"a name that is taken", put("tea", note("any", "in 2h"), client.IfAbsent()), duly.ErrCondition, ""},
			{"a generation that is gone", put("tea", note("any", "in 2h"), client.IfGeneration(1<<40)), duly.ErrCondition, ""},
			{"a conflict", put("tea", failing), duly.ErrExists, ""},
			{"another kind", put("tea", other), duly.ErrKindMismatch, ""},
			{"created twice", created, duly.ErrExists, ""},
			{"nobody", gone, duly.ErrNotFound, ""},
			{"nobody to run", c.RunNow(ctx, "nobody"), duly.ErrNotFound, ""},
			{"moved while it runs", moved, duly.ErrRunning, ""},
			{"moved to the past", badMove, duly.ErrInvalid, "*"},
			{"a state that is none", badList, duly.ErrInvalid, "state"},
			{"a control character", put("a\x00b", note("any", "in 1h")), duly.ErrInvalid, "name"},
		} {
			if !errors.Is(tt.err, tt.is) {
				t.Errorf("%s: %v, want %v", tt.name, tt.err, tt.is)
				continue
			}
			if e, ok := errors.AsType[*api.Error](tt.err); ok && tt.field != "*" && e.Problem.Field != tt.field {
				t.Errorf("%s: the field at fault is %q, want %q: %v", tt.name, e.Problem.Field, tt.field, tt.err)
			}
		}
		close(h.loose)
	})
}

// TestClient_Names: a name is the same here and there, whatever a path would make of it.
func TestClient_Names(t *testing.T) {
	everyWay(t, func(t *testing.T, h *house, c *client.Client) {
		ctx := t.Context()
		for _, name := range []string{
			"a/b", "/a", "a/", "//", "a//b", "a/./b", "a/../b", "../..", "...", "a/run", "a/why", "%", "%2F", "%2e%2e", "a%00b", "a?b=c", "a#b", "a;b", "a&b",
			"a b", " ", "+", "~", "*", ":", "a:batch", "@", "a=b", `"`, `\`, "'", "<a>", "日本", "\u202e", "é", "e\u0301", strings.Repeat("日", 85),
		} {
			e := of(c.Put(ctx, name, note("any", "in 1h"))).must(t)
			if e.Name != name {
				t.Errorf("%q was put as %q", name, e.Name)
			}
			if _, err := h.d.Get(ctx, name); err != nil {
				t.Errorf("%q is not there: %v", name, err)
			}
			if got := of(c.Get(ctx, name)).must(t); got.Name != name || got.Generation != e.Generation {
				t.Errorf("get %q: %+v", name, got)
			}
			if w := of(c.WhyNot(ctx, name)).must(t); w.Name != name || w.Code != "not_due" {
				t.Errorf("why %q: %+v", name, w)
			}
			if x := of(c.Cancel(ctx, name)).must(t); x.Name != name || x.Outcome != "cancelled" {
				t.Errorf("cancel %q: %+v", name, x)
			}
			if ev := of(c.Await(ctx, name, e.Generation)).must(t); ev.Name != name || ev.To != "cancelled" {
				t.Errorf("await %q: %+v", name, ev)
			}
		}
	})
}

// TestClient_Token: without the right one nothing is answered.
func TestClient_Token(t *testing.T) {
	h := newHouse(t)
	srv := httptest.NewServer(api.New(h.d, api.Options{Authorize: func(r *http.Request, _ api.Scope) error {
		if r.Header.Get("Authorization") != "Bearer sesame" {
			return api.ErrUnauthenticated
		}
		return nil
	}}))
	t.Cleanup(srv.Close)
	c := open(t, client.Options{URL: srv.URL, Token: "guess"})
	if _, err := c.Put(t.Context(), "tea", note("any", "in 1h")); !errors.Is(err, api.ErrUnauthenticated) || errors.Is(err, duly.ErrUnknown) {
		t.Errorf("put: %v, want ErrUnauthenticated", err)
	}
}

// TestClient_Cancel: the outcomes are answers, not errors.
func TestClient_Cancel(t *testing.T) {
	h := newHouse(t)
	c := ways["unix"](t, api.New(h.d, api.Options{}))
	ctx := t.Context()
	of(c.Put(ctx, "later", note("any", "in 1h"))).must(t)
	for _, name := range []string{"wait", "stop"} {
		of(c.Put(ctx, name, note("wait", "in 0s"))).must(t)
		<-h.ran
	}
	got := map[string]string{}
	for _, name := range []string{"later", "wait", "nobody"} {
		got[name] = of(c.Cancel(ctx, name)).must(t).Outcome
	}
	got["again"] = of(c.Cancel(ctx, "later")).must(t).Outcome
	got["stop"] = of(c.CancelRunning(ctx, "stop")).must(t).Outcome
	want := map[string]string{"later": "cancelled", "wait": "running", "nobody": "unknown", "again": "finished", "stop": "running"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	for e, err := range c.Events(ctx, 0, "stop") { // it is asked to stop, although it waits for what does not come
		if err != nil {
			t.Fatal(err)
		}
		if e.To == "cancelled" {
			break
		}
	}
	close(h.loose)
}

// TestClient_Selections: what is paused does not begin, what is dead can be driven again.
func TestClient_Selections(t *testing.T) {
	h := newHouse(t)
	c := ways["unix"](t, api.New(h.d, api.Options{}))
	ctx := t.Context()
	for _, name := range []string{"a/1", "a/2", "b/1"} {
		of(c.Put(ctx, name, note("any", "in 1h"))).must(t)
	}
	if n := of(c.Pause(ctx, api.Selection{Prefix: "a/", Why: "a change"})).must(t); n != 2 {
		t.Errorf("%d paused, want 2", n)
	}
	var paused []string
	for task, err := range c.List(ctx, client.Query{Paused: true}) {
		if paused = append(paused, of(task, err).must(t).Name); task.PausedWhy != "a change" {
			t.Errorf("%s is paused because of %q", task.Name, task.PausedWhy)
		}
	}
	if diff := cmp.Diff([]string{"a/1", "a/2"}, paused); diff != "" {
		t.Errorf("paused (-want +got):\n%s", diff)
	}
	if n := of(c.Resume(ctx, api.Selection{Names: []string{"a/1"}})).must(t); n != 1 {
		t.Errorf("%d resumed, want 1", n)
	}
	if _, err := c.Pause(ctx, api.Selection{}); !errors.Is(err, duly.ErrInvalid) {
		t.Errorf("a pause of nothing: %v, want ErrInvalid", err)
	}
	e := of(c.Put(ctx, "bad", note("fail", "in 0s"))).must(t)
	if ev := of(c.Await(ctx, "bad", e.Generation)).must(t); ev.To != "dead" || ev.Reason == "" {
		t.Errorf("await: %+v, want dead", ev)
	}
	dead := of(c.ListPage(ctx, client.Query{State: "dead"})).must(t)
	if len(dead.Tasks) != 1 || dead.Tasks[0].Name != "bad" {
		t.Errorf("dead: %+v", dead)
	}
	if n := of(c.Redrive(ctx, api.Selection{All: true})).must(t); n != 1 {
		t.Errorf("%d redriven, want 1", n)
	}
}

// TestClient_List: pages are followed to their end.
func TestClient_List(t *testing.T) {
	h := newHouse(t)
	c := ways["unix"](t, api.New(h.d, api.Options{}))
	ctx := t.Context()
	var want []string
	put := func(yield func(api.Spec) bool) {
		for i := range 1300 {
			s := note("any", "in 1h")
			s.Name = fmt.Sprintf("task-%04d", i)
			want = append(want, s.Name)
			if !yield(s) {
				return
			}
		}
	}
	n := 0
	for e, err := range c.PutMany(ctx, put) {
		if of(e, err).must(t); e.Name != want[n] || e.Outcome != "created" {
			t.Fatalf("entry %d is %+v, want of %s", n, e, want[n])
		}
		n++
	}
	if n != 1300 {
		t.Fatalf("%d entries, want 1300", n)
	}
	var got []string
	for task, err := range c.List(ctx, client.Query{Prefix: "task-", Limit: 400}) {
		got = append(got, of(task, err).must(t).Name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	for task, err := range c.List(ctx, client.Query{}) { // a loop that is left
		if of(task, err).must(t).Name != want[0] {
			t.Errorf("the first is %s", task.Name)
		}
		break
	}
}

// TestClient_PutManyRefused: a line that is refused is an entry with its error, and the others are put.
func TestClient_PutManyRefused(t *testing.T) {
	h := newHouse(t)
	c := ways["tcp"](t, api.New(h.d, api.Options{MaxBody: 1000}))
	good, bad, long, last := note("any", "in 1h"), note("any", "evry 1h"), note(strings.Repeat("long ", 1000), "in 1h"), note("any", "in 2h")
	good.Name, bad.Name, long.Name, last.Name = "good", "bad", "long", "last"
	var got []string
	for e, err := range c.PutMany(t.Context(), slices.Values([]api.Spec{good, bad, long, last})) {
		switch {
		case errors.Is(err, duly.ErrInvalid):
			e.Outcome = "invalid"
		case errors.Is(err, api.ErrTooLarge):
			e.Outcome = "too large"
		case err != nil:
			t.Errorf("%s: %v", e.Name, err)
		}
		got = append(got, e.Name+" "+e.Outcome)
	}
	if diff := cmp.Diff([]string{"good created", "bad invalid", "long too large", "last created"}, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

// TestClient_Namespaces: a view sees its own.
func TestClient_Namespaces(t *testing.T) {
	h := newHouse(t)
	c := ways["unix"](t, api.New(h.d, api.Options{}))
	ctx := t.Context()
	blue := c.In("blue")
	if e := of(blue.Put(ctx, "tea", note("any", "in 1h"))).must(t); e.Namespace != "blue" {
		t.Errorf("put: %+v", e)
	}
	if _, err := c.Get(ctx, "tea"); !errors.Is(err, duly.ErrNotFound) {
		t.Errorf("get without the namespace: %v, want ErrNotFound", err)
	}
	if got := of(blue.Get(ctx, "tea")).must(t); got.Namespace != "blue" {
		t.Errorf("get: %+v", got)
	}
	all := of(c.ListPage(ctx, client.Query{AllNamespaces: true})).must(t)
	if len(all.Tasks) != 1 {
		t.Errorf("list of all: %+v", all)
	}
	if n := of(blue.Pause(ctx, api.Selection{All: true})).must(t); n != 1 {
		t.Errorf("%d paused, want 1", n)
	}
	of(blue.Stats(ctx)).must(t)
	of(blue.Preview(ctx, client.PreviewQuery{Schedule: "every 1h"})).must(t)
	of(blue.Simulate(ctx, time.Now(), time.Now().Add(time.Hour), 0)).must(t)
	of(blue.History(ctx, client.HistoryQuery{})).must(t)
	if err := blue.Ready(ctx); err != nil {
		t.Error(err)
	}
	for e, err := range blue.PutMany(ctx, slices.Values([]api.Spec{func() api.Spec { s := note("any", "in 1h"); s.Name = "milk"; return s }()})) {
		if of(e, err).must(t); e.Namespace != "blue" {
			t.Errorf("put many: %+v", e)
		}
	}
	ended := of(blue.Cancel(ctx, "tea")).must(t)
	for e, err := range blue.Events(ctx, 0, "tea") {
		if of(e, err).must(t); e.To == "cancelled" {
			break
		}
	}
	if ended.Outcome != "cancelled" {
		t.Errorf("cancel: %+v", ended)
	}
}
