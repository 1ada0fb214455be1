package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/wait"
)

const (
	maxAnswer  = 1 << 30 // bytes of an answer that is read as one; a page of 1,000 tasks with payloads of 1 MiB stays below it
	maxProblem = 1 << 20 // of an answer that is an error
	reads      = 3       // how often at most a request that only reads is sent
	betweenTry = 100 * time.Millisecond
)

// A request is one call of the API.
type request struct {
	op     string // of errors
	name   string // the task, if it is about one
	method string
	path   string // below the base
	query  url.Values
	header http.Header
	body   []byte
	form   string // of body: its media type
	writes bool
}

// about returns a request about a task.
func about(op, method, name, below string) (*request, error) {
	if name == "" || name == "." || name == ".." { // of which no path can be made
		return nil, &duly.Error{Op: op, Field: "name", Value: strconv.Quote(name), Want: "a name that is neither empty nor a dot", Err: duly.ErrInvalid}
	}
	return &request{op: op, name: name, method: method, path: "/v1/tasks/" + url.PathEscape(name) + below, writes: method != http.MethodGet}, nil
}

// json gives the request a body.
func (r *request) json(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("%s: encode the request: %w", r.label(), err)
	}
	r.body, r.form = b, "application/json"
	return nil
}

// label names the request in errors.
func (r *request) label() string {
	if r.name == "" {
		return r.op
	}
	return fmt.Sprintf("%s %q", r.op, r.name)
}

// set adds a parameter unless its value is empty.
func (r *request) set(key, value string) {
	if value == "" {
		return
	}
	if r.query == nil {
		r.query = url.Values{}
	}
	r.query.Set(key, value)
}

func (r *request) setTime(key string, t time.Time) {
	if !t.IsZero() {
		r.set(key, t.Format(time.RFC3339Nano))
	}
}

func (r *request) setInt(key string, n int64) {
	if n != 0 {
		r.set(key, strconv.FormatInt(n, 10))
	}
}

func (r *request) setBool(key string, b bool) {
	if b {
		r.set(key, "true")
	}
}

// lost is the error of a request that broke: the answer of a write is unknown.
func (r *request) lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if r.writes {
		return fmt.Errorf("%s: %w: %w", r.label(), duly.ErrUnknown, err)
	}
	return fmt.Errorf("%s: %w", r.label(), err)
}

// call sends a request and reads the answer into v, unless that is nil.
func (c *Client) call(ctx context.Context, r *request, v any) error {
	for n := 1; ; n++ {
		res, sent, err := c.send(ctx, r) //nolint:bodyclose // read does
		if err == nil {
			err = read(res, v)
			if err == nil {
				return nil
			}
			sent, err = true, r.lost(ctx, err)
		}
		if _, bad := errors.AsType[*answerError](err); bad || r.writes || !sent || n == reads || ctx.Err() != nil {
			return err
		}
		if werr := (wait.Sleeper{Engine: c.o.Engine}).Sleep(ctx, betweenTry); werr != nil {
			return err
		}
	}
}

// read reads an answer of success, to its end, so that the connection can be used again.
func read(res *http.Response, v any) error {
	defer func() { _ = res.Body.Close() }() // it has been read
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return err
	case len(b) > maxAnswer:
		return &answerError{why: "it is longer than " + strconv.Itoa(maxAnswer) + " bytes"}
	case v == nil:
		return nil
	}
	if err := json.Unmarshal(b, v); err != nil {
		return &answerError{why: err.Error()}
	}
	return nil
}

// send sends a request once, and returns an answer of success. Sent says, of an error, whether the request may have gone out without
// an answer having come.
func (c *Client) send(ctx context.Context, r *request) (res *http.Response, sent bool, err error) {
	if ctx.Err() != nil {
		return nil, false, fmt.Errorf("%s: %w", r.label(), context.Cause(ctx))
	}
	var out atomic.Bool // a connection was there: from then on something may have gone out
	req, err := c.build(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { out.Store(true) }}), r)
	if err != nil {
		return nil, false, err
	}
	res, err = c.http.Do(req)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err // without the URL
		}
		if out.Load() {
			return nil, true, r.lost(ctx, err)
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, false, fmt.Errorf("%s: %w", r.label(), err)
	}
	if res.StatusCode/100 == 2 {
		return res, false, nil
	}
	err = r.refused(res)
	_ = res.Body.Close() // what matters of it has been read
	return nil, false, err
}

func (c *Client) build(ctx context.Context, r *request) (*http.Request, error) {
	if c.o.Namespace != "" {
		r.set("namespace", c.o.Namespace)
	}
	target := c.base + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.label(), err)
	}
	maps.Copy(req.Header, r.header)
	req.Header.Set("User-Agent", c.o.UserAgent)
	if r.form != "" {
		req.Header.Set("Content-Type", r.form)
	}
	if c.o.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.o.Token)
	}
	return req, nil
}

// problem is the error of a problem. Of a write that failed in a way that this version does not know it may be that it took place.
func (r *request) problem(p *api.Problem) error {
	err := api.ErrorOf(p)
	if known := errors.Unwrap(err); r.writes && p.Status >= http.StatusInternalServerError && (known == nil || errors.Is(known, api.ErrInternal)) {
		return fmt.Errorf("%s: %w: %w", r.label(), duly.ErrUnknown, err)
	}
	return err
}

// An answerError is an answer that is none of this API: of something in between, or of a daemon that is none.
type answerError struct {
	status int // 0: it is one of success
	why    string
}

func (e *answerError) Error() string {
	s := "the answer is not one of duly's API: "
	if e.status != 0 {
		s += "status " + strconv.Itoa(e.status)
		if e.why != "" {
			s += ", "
		}
	}
	return s + e.why
}

// refused is the error of an answer that is none of success. Of a write it may be, from a status of 500 on, that whatever is in between
// has passed it on.
func (r *request) refused(res *http.Response) error {
	b, _ := io.ReadAll(io.LimitReader(res.Body, maxProblem)) // what was cut off is no problem document, which is said then
	var p api.Problem
	if form, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";"); form == "application/problem+json" && json.Unmarshal(b, &p) == nil && p.Slug != "" {
		return r.problem(&p)
	}
	bad := &answerError{status: res.StatusCode}
	if to := res.Header.Get("Location"); res.StatusCode/100 == 3 && to != "" {
		bad.why = "which sends to " + strconv.Quote(to) + " and is not followed"
	}
	if r.writes && res.StatusCode >= http.StatusInternalServerError {
		return fmt.Errorf("%s: %w: %w", r.label(), duly.ErrUnknown, bad)
	}
	return fmt.Errorf("%s: %w", r.label(), bad)
}

// passing says whether an error is one that ends by itself, as when a daemon is started anew.
func passing(err error) bool {
	if _, ok := errors.AsType[*UnreachableError](err); ok || errors.Is(err, api.ErrUnavailable) {
		return true
	}
	bad, ok := errors.AsType[*answerError](err)
	if !ok {
		return false
	}
	switch bad.status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}
