package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
)

// Every class of errors, both ways.
var classes = []struct {
	slug   string
	status int
	err    error   // what ErrorOf gives
	from   []error // what is shown as it
}{
	{"unauthenticated", 401, api.ErrUnauthenticated, nil},
	{"forbidden", 403, api.ErrForbidden, nil},
	{"host", 421, api.ErrHost, nil},
	{"origin", 403, api.ErrOrigin, nil},
	{"kind-off", 403, api.ErrKindOff, nil},
	{"no-route", 404, api.ErrNoRoute, nil},
	{"method", 405, api.ErrMethod, nil},
	{"media-type", 415, api.ErrMediaType, nil},
	{"too-large", 413, api.ErrTooLarge, nil},
	{"no-output", 404, api.ErrNoOutput, nil},
	{"no-backup", 404, api.ErrNoBackup, nil},
	{"unknown", 504, duly.ErrUnknown, []error{fmt.Errorf("%w: %w", duly.ErrUnknown, context.Canceled)}},
	{"no-space", 507, duly.ErrNoSpace, nil},
	{
		"unavailable", 503, api.ErrUnavailable,
		[]error{duly.ErrClosed, store.ErrClosed, store.ErrReadOnly, store.ErrBroken, store.ErrCorrupt, store.ErrNotOwner, context.Canceled, context.DeadlineExceeded},
	},
	{"exists", 409, duly.ErrExists, nil},
	{"kind-mismatch", 409, duly.ErrKindMismatch, nil},
	{"condition", 412, duly.ErrCondition, nil},
	{"not-found", 404, duly.ErrNotFound, nil},
	{"running", 409, duly.ErrRunning, nil},
	{"finished", 410, duly.ErrFinished, nil},
	{"invalid", 400, duly.ErrInvalid, nil},
	{"internal", 500, api.ErrInternal, []error{errors.New("something else"), &duly.PanicError{Value: "x"}}},
}

func TestProblem_ClassesBothWays(t *testing.T) {
	for _, c := range classes {
		for _, err := range append([]error{c.err, &store.Error{Op: "put", Key: store.Key{Name: "a"}, Err: c.err}}, c.from...) {
			p := api.ProblemOf(err)
			if p.Slug != c.slug || p.Status != c.status || p.Type != api.ProblemBase+c.slug || p.Title == "" {
				t.Errorf("%v: %+v, want the slug %s and the status %d", err, p, c.slug, c.status)
			}
			b, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			var read api.Problem
			if err := json.Unmarshal(b, &read); err != nil {
				t.Fatal(err)
			}
			back := api.ErrorOf(&read)
			for _, other := range classes {
				if got := errors.Is(back, other.err); got != (other.slug == c.slug) {
					t.Errorf("%s, sent and read: is %v: %t", c.slug, other.err, got)
				}
			}
		}
	}
	if api.ErrorOf(nil) != nil {
		t.Error("an error of nothing")
	}
}

func TestProblem_KeepsTheField(t *testing.T) {
	p := api.ProblemOf(fmt.Errorf("line 3: %w", &duly.Error{Op: "put", Field: "timeout", Value: "-1s", Want: "more than 0", Err: duly.ErrInvalid}))
	e, ok := errors.AsType[*api.Error](api.ErrorOf(p))
	if !ok || e.Problem.Field != "timeout" || e.Problem.Value != "-1s" || e.Problem.Want != "more than 0" {
		t.Errorf("%+v", p)
	}
	is(t, "text", e.Error(), "line 3: store: put: timeout is -1s, want more than 0")
	unknown := &api.Error{Problem: api.Problem{Status: 599, Slug: "of another version"}}
	is(t, "text of one without any", unknown.Error(), "status 599")
	is(t, "what it is", errors.Unwrap(unknown), nil)
	is(t, "text of one with a title", (&api.Error{Problem: api.Problem{Title: "Gone"}}).Error(), "Gone")
}

// What nobody foresaw may hold anything: it is for the log.
func TestProblem_InternalTellsNothing(t *testing.T) {
	if p := api.ProblemOf(errors.New("the password is swordfish")); strings.Contains(fmt.Sprint(*p), "swordfish") {
		t.Errorf("%+v", p)
	}
}

// docs/problems.md describes each slug, with its status, and no other.
func TestProblem_IsDescribed(t *testing.T) {
	text, err := os.ReadFile("../docs/problems.md")
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, m := range regexp.MustCompile(`(?m)^## ([a-z-]+)\n\nStatus (\d+)\.`).FindAllStringSubmatch(string(text), -1) {
		got = append(got, m[1]+" "+m[2])
	}
	for _, c := range classes {
		want = append(want, fmt.Sprintf("%s %d", c.slug, c.status))
	}
	slices.Sort(got)
	slices.Sort(want)
	is(t, "slugs of docs/problems.md", got, want)
}

func TestProblem_OfRequests(t *testing.T) {
	bubble(t, api.Options{Commands: true, Callbacks: true, MaxBody: 300}, func(t *testing.T, e *env) {
		put := func(spec string) *answer { return e.do("PUT", "/v1/tasks/a", spec) }
		e.do("GET", "/", "").want(404).problem("no-route", "path")
		e.do("GET", "/v2/tasks", "").problem("no-route", "path")
		e.do("GET", "/v1/tasks/a/b", "").problem("no-route", "path")
		a := e.do("POST", "/v1/tasks/a", "").want(405)
		a.problem("method", "method")
		is(t, "Allow", a.header.Get("Allow"), "GET, PUT, PATCH, DELETE")
		e.do("GET", "/metrics", "").want(404).problem("no-route", "path")
		e.do("GET", "/v1/tasks?=x", "").want(400).problem("invalid", `""`)
		e.do("GET", "/v1/tasks/a/attempts", "").problem("no-output", "")
		e.do("GET", "/v1/tasks/a/output", "").problem("no-output", "")
		e.do("GET", "/v1/backup", "").problem("no-backup", "")

		put(`{"kind": "k", "in": "1s", "payload": "`+strings.Repeat("x", 300)+`"}`).want(413).problem("too-large", "body")
		for _, media := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/json; charset=latin1", "/"} {
			e.do("PUT", "/v1/tasks/a", `{"kind": "k", "in": "1s"}`, "Content-Type: "+media).want(415).problem("media-type", "Content-Type")
		}
		e.do("PUT", "/v1/tasks/a", `{"kind": "k", "in": "1h"}`, "Content-Type: Application/JSON; charset=UTF-8").want(201)

		e.do("GET", "/v1/tasks/nobody", "").want(404).problem("not-found", "")
		e.do("PATCH", "/v1/tasks/nobody", `{"in": "1s"}`).problem("not-found", "")
		e.do("POST", "/v1/tasks/nobody/run", "").problem("not-found", "")
		e.do("POST", "/v1/tasks/nobody/pause", "").problem("not-found", "")
		e.do("POST", "/v1/tasks/nobody/resume", "").problem("not-found", "")
		e.do("POST", "/v1/tasks/nobody/redrive", "").problem("not-found", "")
		e.do("GET", "/v1/tasks/nobody/preview", "").problem("not-found", "")
		e.do("GET", "/v1/tasks/nobody/history", "").problem("not-found", "")
		e.do("POST", "/v1/tasks", `{"name": "a", "kind": "k", "in": "1s"}`).want(409).problem("exists", "")
		put(`{"kind": "other", "in": "1s"}`).want(409).problem("kind-mismatch", "")
		put(`{"kind": "other", "in": "1h", "any_kind": true}`).want(200)
		e.do("PUT", "/v1/tasks/a", `{"kind": "other", "in": "1s"}`, "If-None-Match: *").want(412).problem("condition", "")
	})
}

func TestProblem_OfAStoreThatFails(t *testing.T) {
	for _, c := range []struct {
		err  error
		slug string
	}{
		{store.ErrNoSpace, "no-space"},
		{store.ErrBroken, "unavailable"},
		{store.ErrUnknown, "unknown"},
		{errors.New("swordfish"), "internal"},
	} {
		bubble(t, api.Options{}, func(t *testing.T, e *env) {
			e.fails(c.err)
			a := e.do("PUT", "/v1/tasks/a", `{"kind": "k", "in": "1s"}`)
			a.problem(c.slug, "")
			if c.slug == "unavailable" && a.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			e.do("GET", "/v1/stats", "").problem(c.slug, "")
			e.do("GET", "/readyz", "").want(http.StatusServiceUnavailable).problem("unavailable", "")
			line := read[api.Entry](e.do("POST", "/v1/tasks:batch", `{"name": "a", "kind": "k", "in": "1s"}`, "Content-Type: application/x-ndjson").want(200))
			is(t, "slug of a line", line.Error.Slug, c.slug)
		})
	}
}

// A takenStore has taken a put when the caller's context ends, as the committer of store/pebble has.
type takenStore struct {
	*memory.Store

	taken chan struct{}
}

func (s *takenStore) Put(ctx context.Context, puts []store.Put) ([]store.PutResult, error) {
	if _, err := s.Store.Put(context.WithoutCancel(ctx), puts); err != nil {
		return nil, err
	}
	close(s.taken)
	<-ctx.Done()
	return nil, store.Unknown("put", ctx)
}

// Of a write that is under way when the token is taken back it is not known whether it took place, and that is what is told.
func TestTakenBack_Unknown(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	st := &takenStore{Store: memory.New(memory.Options{}), taken: make(chan struct{})}
	d, err := duly.New(duly.Options{Store: st, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(d.Close(context.WithoutCancel(t.Context())), st.Close()); err != nil {
			t.Error(err)
		}
	}()
	h := api.New(d, api.Options{Logger: quiet})
	ctx, end := context.WithCancelCause(t.Context())
	go func() {
		<-st.taken
		end(fmt.Errorf("%w: the token is not one of this daemon's", api.ErrUnauthenticated))
	}()
	r := httptest.NewRequestWithContext(ctx, http.MethodPut, "/v1/tasks/n", strings.NewReader(`{"kind": "k", "in": "1h"}`))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	there, err := st.Get(t.Context(), []store.Key{{Name: "n"}})
	if err != nil || there[0] == nil {
		t.Fatalf("the task is not there: %v", err)
	}
	if w.Code != http.StatusGatewayTimeout || !strings.Contains(w.Body.String(), `"slug":"unknown"`) {
		t.Errorf("the task is there, and its put is answered with %d %s", w.Code, w.Body)
	}
}
