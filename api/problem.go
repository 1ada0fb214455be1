package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/target"
)

// What can go wrong here, beside what duly's errors say.
var (
	ErrUnauthenticated = errors.New("it is not known who asks")
	ErrForbidden       = errors.New("this is not allowed to whoever asks")
	ErrHost            = errors.New("the request is for another host")
	ErrOrigin          = errors.New("the request comes from another site")
	ErrKindOff         = errors.New("tasks of this kind are not switched on")
	ErrNoRoute         = errors.New("there is nothing at this address")
	ErrMethod          = errors.New("the address does not take this method")
	ErrMediaType       = errors.New("the body is of another type")
	ErrTooLarge        = errors.New("the request is too large")
	ErrNoOutput        = errors.New("what attempts print is not kept here")
	ErrNoBackup        = errors.New("there are no backups of these tasks here")
	ErrUnavailable     = errors.New("the scheduler can't answer now")
	ErrInternal        = errors.New("the server failed")
)

// ProblemBase is what the type of every problem begins with; the slug follows it.
const ProblemBase = "https://github.com/dulyhq/duly/blob/main/docs/problems.md#"

// A class is a kind of error, as the wire has it.
type class struct {
	slug   string
	status int
	title  string
	err    error   // what ErrorOf gives
	also   []error // what is shown as the same
}

// classes are all errors, both ways: the first one that an error is, is its class. docs/problems.md describes them.
var classes = []class{
	{"unknown", http.StatusGatewayTimeout, "It is not known whether this was written", duly.ErrUnknown, nil}, // whatever else it is
	{"unauthenticated", http.StatusUnauthorized, "It is not known who asks", ErrUnauthenticated, nil},
	{"forbidden", http.StatusForbidden, "Not allowed", ErrForbidden, nil},
	{"host", http.StatusMisdirectedRequest, "Another host", ErrHost, nil},
	{"origin", http.StatusForbidden, "Another site", ErrOrigin, nil},
	{"kind-off", http.StatusForbidden, "Tasks of this kind are not switched on", ErrKindOff, nil},
	{"no-route", http.StatusNotFound, "Nothing at this address", ErrNoRoute, nil},
	{"method", http.StatusMethodNotAllowed, "Another method", ErrMethod, nil},
	{"media-type", http.StatusUnsupportedMediaType, "Another type of body", ErrMediaType, nil},
	{"too-large", http.StatusRequestEntityTooLarge, "Too large", ErrTooLarge, nil},
	{"no-output", http.StatusNotFound, "Output is not kept", ErrNoOutput, nil},
	{"no-backup", http.StatusNotFound, "There are no backups here", ErrNoBackup, nil},
	{"no-space", http.StatusInsufficientStorage, "Too little space is left", duly.ErrNoSpace, nil},
	{
		"unavailable", http.StatusServiceUnavailable, "The scheduler can't answer now", ErrUnavailable,
		[]error{
			duly.ErrClosed, store.ErrClosed, store.ErrReadOnly, store.ErrBroken, store.ErrCorrupt, store.ErrNotOwner,
			context.Canceled, context.DeadlineExceeded,
		},
	},
	{"exists", http.StatusConflict, "A task of this name exists", duly.ErrExists, nil},
	{"kind-mismatch", http.StatusConflict, "The name belongs to a task of another kind", duly.ErrKindMismatch, nil},
	{"condition", http.StatusPreconditionFailed, "The condition does not hold", duly.ErrCondition, nil},
	{"not-found", http.StatusNotFound, "No task of this name", duly.ErrNotFound, nil},
	{"running", http.StatusConflict, "The task has started", duly.ErrRunning, nil},
	{"finished", http.StatusGone, "The task has ended", duly.ErrFinished, nil},
	{"invalid", http.StatusBadRequest, "A value is wrong", duly.ErrInvalid, nil},
	{"internal", http.StatusInternalServerError, "The server failed", ErrInternal, nil},
}

// classOf returns the class of an error; of one that nobody foresaw it is internal.
func classOf(err error) *class {
	for i := range classes {
		if c := &classes[i]; c.is(err) {
			return c
		}
	}
	return &classes[len(classes)-1]
}

func (c *class) is(err error) bool {
	if errors.Is(err, c.err) {
		return true
	}
	for _, e := range c.also {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// An Error is a problem that was received. errors.Is finds what it says, such as duly.ErrNotFound.
type Error struct{ Problem Problem }

// Error returns the message: one line.
func (e *Error) Error() string {
	p := &e.Problem
	switch {
	case p.Detail != "":
		return p.Detail
	case p.Title != "":
		return p.Title
	}
	return "status " + strconv.Itoa(p.Status)
}

// Unwrap returns the error that the problem stands for.
func (e *Error) Unwrap() error {
	for i := range classes {
		if classes[i].slug == e.Problem.Slug {
			return classes[i].err
		}
	}
	return nil
}

// ErrorOf returns a problem as an error, an *[Error]; nil for nil.
func ErrorOf(p *Problem) error {
	if p == nil {
		return nil
	}
	return &Error{Problem: *p}
}

// A mistake is what is wrong with a request.
type mistake struct {
	class              error
	field, value, want string
	why                string   // beside or in place of a field
	allow              []string // the methods that there are
}

func (m *mistake) Unwrap() error { return m.class }

func (m *mistake) Error() string {
	s := m.why
	if m.field != "" {
		if s != "" {
			s += ": "
		}
		s += m.field
		if m.value != "" {
			s += " is " + m.value
		}
		if m.want != "" {
			s += ", want " + m.want
		}
	}
	if s == "" {
		s = m.class.Error()
	}
	return s
}

// wrong is a value of a request that can't be right.
func wrong(field, value, want string) error {
	return &mistake{class: duly.ErrInvalid, field: field, value: value, want: want}
}

// quote shows a value in an error, shortened.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		return strconv.QuoteToASCII(strings.ToValidUTF8(s[:most], "")) + "... (" + strconv.Itoa(len(s)) + " bytes)"
	}
	return strconv.Quote(s)
}

// problemOf returns an error as the wire has it. Of one that nobody foresaw it tells nothing.
func problemOf(err error) *Problem {
	c := classOf(err)
	p := &Problem{Type: ProblemBase + c.slug, Title: c.title, Status: c.status, Slug: c.slug}
	if c.err == ErrInternal { //nolint:errorlint // which class it is, not what it wraps
		p.Detail = "the server's log says more"
		return p
	}
	p.Detail = strings.ReplaceAll(strings.TrimPrefix(err.Error(), "store: "), "\n", "; ")
	if e, ok := errors.AsType[*mistake](err); ok {
		p.Field, p.Value, p.Want = e.field, e.value, e.want
	} else if e, ok := errors.AsType[*schedule.Error](err); ok {
		p.Field, p.Value, p.Want = e.Field, e.Value, e.Want
	} else if e, ok := errors.AsType[*target.Error](err); ok {
		p.Field, p.Value, p.Want = e.Field, e.Value, e.Want
	} else if e, ok := errors.AsType[*store.Error](err); ok {
		p.Field, p.Value, p.Want = e.Field, e.Value, e.Want
		if name := named[e.Field]; name != "" {
			p.Field = name
		}
	}
	return p
}

// named are the wire's names of arguments that have another one in Go.
var named = map[string]string{
	"debounce": "debounce_max", "max backoff": "max_backoff", "max elapsed": "max_elapsed", "start within": "start_within", "key's k": "key_limit",
	"limit key": "key", "tag": "tags", "BufferAll's n": "overlap", "All's n": "catch_up",
}

// authorization makes an Authorize's answer one that may be shown.
func authorization(err error, need Scope) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrUnauthenticated):
		return fmt.Errorf("%w", err)
	case errors.Is(err, ErrForbidden):
		return fmt.Errorf("%w (the scope %s is needed)", err, need)
	}
	return fmt.Errorf("%w (the scope %s is needed)", ErrForbidden, need)
}

// refuse answers with a problem.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	if p.Status == http.StatusInternalServerError {
		h.log.ErrorContext(r.Context(), "a request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	if m, ok := errors.AsType[*mistake](err); ok && m.allow != nil {
		w.Header().Set("Allow", strings.Join(m.allow, ", "))
	}
	if p.Status == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") == "" {
		w.Header().Set("WWW-Authenticate", `Bearer realm="duly"`)
	}
	if p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	if r.Method == http.MethodHead {
		return
	}
	h.write(w, r, p)
}

// write writes a value as a line of JSON. A caller that has gone is no failure.
func (h *Handler) write(w http.ResponseWriter, r *http.Request, v any) {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil && r.Context().Err() == nil {
		h.log.DebugContext(r.Context(), "an answer was not taken", "path", r.URL.Path, "error", err)
	}
}
