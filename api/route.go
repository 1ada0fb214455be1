package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/park"
	"github.com/dulyhq/duly/store"
)

// A route is a method at an address. The table of them is what requests are found by, and what /openapi.json is made of.
type route struct {
	method  string
	path    string // "{name}" stands for one segment, percent-encoded
	need    Scope  // "" is none
	what    string // a sentence for /openapi.json
	params  []param
	body    any    // a pointer to the type that is read; nil is none
	media   string // of the body; "" is JSON
	example string // of the body
	answer  any    // what is answered; nil is text
	form    string // of the answer; "" is JSON
	status  []int  // of answers that are no problem; nil is 200
	serve   func(c *call) error

	conditional bool // If-Match, and where there is a sense to it If-None-Match, are heeded

	segments []string
}

// A param is a parameter of a query.
type param struct {
	name string
	what string
	kind paramKind
}

type paramKind uint8

const (
	text paramKind = iota
	number
	boolean
	instant
	integer // as large as a sequence number
)

var namespaceParam = param{"namespace", "the namespace of the name; without it the scheduler's own", text}

// A call is one request.
type call struct {
	*Handler

	w     http.ResponseWriter
	r     *http.Request
	route *route
	d     *duly.Scheduler // of the namespace that was asked for
	q     url.Values
	name  string // in the path

	isLarge bool      // its body is one of few
	until   time.Time // how long it is without others having to wait, by the runtime's clock
}

// find returns the route of a request, and what its path has for "{name}".
func (h *Handler) find(r *http.Request) (*route, []string, error) {
	path, ok := strings.CutPrefix(r.URL.EscapedPath(), h.o.Prefix)
	if !ok || !strings.HasPrefix(path, "/") {
		return nil, nil, &mistake{class: ErrNoRoute, field: "path", value: quote(r.URL.Path), want: "one that begins with " + h.o.Prefix + "/"}
	}
	segments := strings.Split(path[1:], "/")
	var methods []string
	for _, rt := range h.routes {
		args, ok := rt.match(segments)
		switch {
		case !ok:
		case rt.method == r.Method, rt.method == http.MethodGet && r.Method == http.MethodHead:
			return rt, args, nil
		default:
			methods = append(methods, rt.method)
		}
	}
	if len(methods) > 0 {
		return nil, nil, &mistake{
			class: ErrMethod, field: "method", value: quote(r.Method), want: strings.Join(methods, ", "), allow: methods,
		}
	}
	return nil, nil, &mistake{class: ErrNoRoute, field: "path", value: quote(r.URL.Path), want: "one that " + h.o.Prefix + "/openapi.json has"}
}

// match says whether a path, whose segments are percent-encoded, is the route's, and what it has for "{name}".
func (rt *route) match(segments []string) (args []string, ok bool) {
	if len(segments) != len(rt.segments) {
		return nil, false
	}
	for i, s := range rt.segments {
		got, err := url.PathUnescape(segments[i])
		switch {
		case err != nil, s != "{name}" && s != got:
			return nil, false
		case s == "{name}":
			args = append(args, got)
		}
	}
	return args, true
}

// query reads the query, and refuses what the route does not know.
func (c *call) query() error {
	q, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return wrong("query", quote(c.r.URL.RawQuery), "parameters as a=b&c=d, percent-encoded")
	}
	c.q = q
	for name, values := range q {
		i := slices.IndexFunc(c.route.params, func(p param) bool { return p.name == name })
		switch {
		case i < 0:
			return wrong(quoteName(name), "not a parameter", c.route.parameters())
		case len(values) > 1:
			return wrong(name, "there twice", "it once")
		}
		if err := c.route.params[i].check(values[0]); err != nil {
			return err
		}
	}
	return nil
}

// quoteName is a name that is no name as a field has it.
func quoteName(name string) string {
	if name == "" {
		return `""`
	}
	return strings.Trim(quote(name), `"`)
}

func (rt *route) parameters() string {
	if len(rt.params) == 0 {
		return "none"
	}
	names := make([]string, len(rt.params))
	for i, p := range rt.params {
		names[i] = p.name
	}
	return "one of " + strings.Join(names, ", ")
}

func (p param) check(s string) error {
	var err error
	want := ""
	switch p.kind {
	case number, integer:
		_, err = strconv.ParseUint(s, 10, map[paramKind]int{number: 31, integer: 63}[p.kind])
		want = "a whole number, 0 or more"
	case boolean:
		if s != "true" && s != "false" {
			err = strconv.ErrSyntax
		}
		want = "true or false"
	case instant:
		_, err = time.Parse(time.RFC3339, s)
		want = "an instant of RFC 3339, as 2026-12-24T17:00:00Z; a + of its offset is written %2B"
	case text:
	}
	if err != nil {
		return wrong(p.name, quote(s), want)
	}
	return nil
}

// heeded refuses conditions that the route does not heed. On a GET, where a cache may add one, they ask for nothing that matters.
func (c *call) heeded() error {
	if c.route.conditional || c.route.method == http.MethodGet {
		return nil
	}
	for _, name := range [...]string{"If-Match", "If-None-Match"} {
		if got := c.r.Header.Get(name); got != "" {
			return wrong(name, quote(got), "none: this address does not heed it")
		}
	}
	return nil
}

func (c *call) has(name string) bool { return c.q.Has(name) }

// number returns a parameter of 1 or more that query has checked, or what is used in its place.
func (c *call) number(name string, absent, most int) (int, error) {
	if !c.q.Has(name) {
		return absent, nil
	}
	n, err := strconv.Atoi(c.q.Get(name))
	if err != nil || n < 1 || n > most {
		return 0, wrong(name, quote(c.q.Get(name)), "1 to "+strconv.Itoa(most))
	}
	return n, nil
}

func (c *call) integer(name string) int64 {
	n, err := strconv.ParseInt(c.q.Get(name), 10, 64)
	if err != nil {
		return 0 // absent: query has checked the others
	}
	return n
}

func (c *call) boolean(name string) bool { return c.q.Get(name) == "true" }

func (c *call) instant(name string) time.Time {
	t, err := time.Parse(time.RFC3339, c.q.Get(name))
	if err != nil {
		return time.Time{} // absent: query has checked the others
	}
	return t.UTC()
}

// space checks the name in the path and its namespace, and chooses the scheduler.
func (c *call) space() error {
	c.d = c.Handler.d
	k := store.Key{Name: "n"}
	if slices.Contains(c.route.segments, "{name}") {
		k.Name = c.name
	}
	if c.q.Get("namespace") != "" {
		k.Namespace = c.q.Get("namespace")
		c.d = c.d.In(k.Namespace)
	}
	err := (&store.Cancel{Key: k}).Check() // of what has a key it has nothing else to check
	if e, ok := errors.AsType[*store.Error](err); ok {
		e.Op = map[string]string{http.MethodGet: "get", http.MethodPut: "put", http.MethodPatch: "change", http.MethodPost: "change", http.MethodDelete: "cancel"}[c.r.Method]
	}
	return err
}

// allow asks whether the request may have a scope.
func (c *call) allow(need Scope) error { return c.Handler.allow(c.r, need) }

// json answers with a value.
func (c *call) json(status int, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return &mistake{class: ErrInternal, why: "write the answer: " + err.Error()}
	}
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(status)
	if c.r.Method != http.MethodHead {
		_, _ = c.w.Write(b.Bytes()) // whoever does not take it has gone
	}
	return nil
}

// read reads the body, which must be a JSON object, and returns which fields it has. With empty allowed there may be none.
func (c *call) read(into any, empty bool) (given []string, err error) {
	var b bytes.Buffer
	body := http.MaxBytesReader(c.w, c.r.Body, c.o.MaxBody)
	// What the header says of the length does not matter: who sends nothing of it has no room yet, and may hold up nobody.
	_, err = b.ReadFrom(io.LimitReader(body, largeBody+1))
	if err == nil && b.Len() > largeBody {
		if err := c.enlarge(); err != nil {
			return nil, err
		}
		_, err = b.ReadFrom(body)
	}
	if err != nil {
		return nil, c.unread(err)
	}
	if b.Len() == 0 && empty {
		return nil, nil
	}
	if err := c.media("application/json"); err != nil {
		return nil, err
	}
	return decode(b.Bytes(), into)
}

// queueing is how long a large body waits for others: that its sender has gone is not seen meanwhile, because nothing is read.
const queueing = 2 * time.Minute

// enlarge waits until another large body may be in memory. The end of the request lets the next one in.
func (c *call) enlarge() error {
	if c.enlarged() {
		return nil
	}
	ctx, stop := park.Within(c.r.Context(), queueing, fmt.Errorf("%w: others have sent large bodies, and still do, after %v", ErrUnavailable, queueing))
	defer stop()
	select {
	case c.large <- struct{}{}:
		c.isLarge, c.until = true, byRuntime(patience)
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// overlong says that it is one of the large ones for longer than others are to wait for it.
func (c *call) overlong() bool { return c.isLarge && byRuntime(0).After(c.until) }

// enlarged does as enlarge if it need not wait, and reports whether it has.
func (c *call) enlarged() bool {
	if !c.isLarge {
		select {
		case c.large <- struct{}{}:
			c.isLarge, c.until = true, byRuntime(patience)
		default:
		}
	}
	return c.isLarge
}

// lessen is the end of what enlarge has begun.
func (c *call) lessen() {
	if c.isLarge {
		<-c.large
		c.isLarge = false
	}
}

// unread says why the body can't be read.
func (c *call) unread(err error) error {
	if back := takenBack(c.r.Context()); back != nil {
		return back
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &mistake{class: ErrTooLarge, field: "body", value: "longer", want: "at most " + strconv.FormatInt(c.o.MaxBody, 10) + " bytes"}
	}
	return wrong("body", "cut off ("+err.Error()+")", "a whole one")
}

// media refuses a body of another type. That of a browser's form would be let in without asking by every browser.
func (c *call) media(wants ...string) error {
	got := c.r.Header.Get("Content-Type")
	kind, params, err := mime.ParseMediaType(got)
	charset := params["charset"]
	if err != nil || !slices.Contains(wants, kind) || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return &mistake{class: ErrMediaType, field: "Content-Type", value: quote(got), want: strings.Join(wants, " or ")}
	}
	if coding := c.r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return &mistake{class: ErrMediaType, field: "Content-Encoding", value: quote(coding), want: "none: bodies are taken as they are, not compressed"}
	}
	return nil
}

// table returns the routes, with their paths taken apart.
func (h *Handler) table() []*route {
	var all []*route
	for _, list := range [...][]route{taskRoutes, batchRoutes, steerRoutes, historyRoutes, outputRoutes, forecastRoutes, stateRoutes, backupRoutes} {
		for i := range list {
			rt := list[i]
			rt.params = append(slices.Clone(rt.params), namespaceParam)
			rt.segments = strings.Split(rt.path[1:], "/")
			all = append(all, &rt)
		}
	}
	return all
}
