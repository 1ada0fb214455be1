package api

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/target"
)

// The limits of a page.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

var taskRoutes = []route{
	{
		method: http.MethodGet, path: "/v1/tasks", need: Read, what: "List tasks, in the order of their names.", answer: &TaskPage{},
		params: []param{
			{"prefix", "only names that begin with this", text},
			{"kind", "only this kind", text},
			{"tag", "only what has this tag", text},
			{"state", "pending, running or dead; without it the first two. Dead lists dead runs, each as a task with that run alone", text},
			{"paused", "true: only what is paused", boolean},
			{"due_from", "only what is due then or later", instant},
			{"due_until", "only what is due then or earlier", instant},
			{"cursor", "of the page before", text},
			{"limit", "how many at most, 1 to 1000; 100. A page also ends with the task with whose payload those on it have 4 MiB", number},
			{"all_namespaces", "true: of all namespaces", boolean},
		},
		serve: (*call).list,
	},
	{
		method: http.MethodPost, path: "/v1/tasks", need: Write, what: "Create a task. The name must be free; without one, one is made up.",
		body: &Spec{}, answer: &Entry{}, status: []int{http.StatusCreated}, serve: (*call).post,
		example: `{"name": "tea", "command": {"args": ["notify-send", "tea"]}, "in": "5m"}`,
	},
	{
		method: http.MethodGet, path: "/v1/tasks/{name}", need: Read, what: "Get a task. Its ETag is its generation.",
		answer: &Task{}, serve: (*call).get,
	},
	{
		method: http.MethodPut, path: "/v1/tasks/{name}", need: Write,
		what: "Create a task, or replace the one of this name. If-None-Match: * asks for a free name, If-Match for a generation.",
		body: &Spec{}, answer: &Entry{}, status: []int{http.StatusOK, http.StatusCreated}, conditional: true, serve: (*call).put,
		example: `{"http": {"url": "https://example.com/hook", "body": "{}"}, "cron": "0 9 * * mon-fri", "zone": "Europe/Berlin", "timeout": "10s"}`,
	},
	{
		method: http.MethodPatch, path: "/v1/tasks/{name}", need: Write,
		what: "Give a task another instant, another payload, or both, in one write. If-Match asks for a generation.",
		body: &Change{}, answer: &Entry{}, conditional: true, serve: (*call).patch,
		example: `{"at": "2026-12-24T17:00:00Z"}`,
	},
	{
		method: http.MethodDelete, path: "/v1/tasks/{name}", need: Write,
		what:   "Cancel a task: nothing of it that has not begun will. The answer says what was found, and is no error.",
		params: []param{{"running", "stop: ask what runs to stop, too", text}}, answer: &Cancelled{}, serve: (*call).cancel,
	},
}

// list answers GET /v1/tasks.
func (c *call) list() error {
	limit, err := c.number("limit", defaultLimit, maxLimit)
	if err != nil {
		return err
	}
	q := duly.Query{
		AllNamespaces: c.boolean("all_namespaces"), Prefix: c.q.Get("prefix"), Kind: c.q.Get("kind"), Tag: c.q.Get("tag"),
		Paused: c.boolean("paused"), DueFrom: c.instant("due_from"), DueUntil: c.instant("due_until"), Cursor: c.q.Get("cursor"), Limit: limit,
	}
	if q.State, err = stateOf(c.q.Get("state")); err != nil {
		return err
	}
	tasks, cursor, err := c.d.ListPage(c.r.Context(), q)
	if e, ok := errors.AsType[*store.Error](err); ok && e.Field == "after" {
		return wrong("cursor", quote(q.Cursor), "that of the page before")
	}
	if err != nil {
		return err
	}
	page := TaskPage{Tasks: make([]Task, len(tasks)), Cursor: cursor}
	for i, t := range tasks {
		page.Tasks[i] = c.task(t)
	}
	return c.json(http.StatusOK, &page)
}

func stateOf(s string) (duly.State, error) {
	for _, state := range [...]duly.State{duly.Pending, duly.Active, duly.Dead} {
		if s == state.String() {
			return state, nil
		}
	}
	if s != "" {
		return 0, wrong("state", quote(s), "pending, running or dead")
	}
	return 0, nil
}

// get answers GET /v1/tasks/{name}.
func (c *call) get() error {
	t, err := c.d.Get(c.r.Context(), c.name)
	if err != nil {
		return err
	}
	c.tag(t.Generation)
	v := c.task(t)
	return c.json(http.StatusOK, &v)
}

// tag says which generation is answered.
func (c *call) tag(generation int64) {
	if generation != 0 {
		c.w.Header().Set("ETag", `"`+strconv.FormatInt(generation, 10)+`"`)
	}
}

// ifMatch returns the generation that the request is for, 0 for any.
func (c *call) ifMatch() (int64, error) {
	values := c.r.Header.Values("If-Match")
	if len(values) == 0 {
		return 0, nil
	}
	got := strings.Join(values, ", ")
	if n := len(got) - 1; n > 1 && got[0] == '"' && got[n] == '"' {
		if g, err := strconv.ParseInt(got[1:n], 10, 64); err == nil && g > 0 {
			return g, nil
		}
	}
	return 0, wrong("If-Match", quote(got), `one ETag of this task, such as "42"`)
}

// conditions returns what the request's headers ask of the task that is there.
func (c *call) conditions() (all []duly.PutOption, err error) {
	if none := c.r.Header.Values("If-None-Match"); len(none) > 0 {
		if got := strings.Join(none, ", "); got != "*" {
			return nil, wrong("If-None-Match", quote(got), "*")
		}
		all = append(all, duly.IfAbsent())
	}
	switch g, err := c.ifMatch(); {
	case err != nil:
		return nil, err
	case g != 0:
		all = append(all, duly.IfGeneration(g))
	}
	return all, nil
}

// put answers PUT /v1/tasks/{name}.
func (c *call) put() error {
	ifs, err := c.conditions()
	if err != nil {
		return err
	}
	var s Spec
	given, err := c.read(&s, false)
	if err != nil {
		return err
	}
	if slices.Contains(given, "name") && s.Name != c.name {
		return wrong("name", quote(s.Name), quote(c.name)+", as in the path, or none")
	}
	if err := c.exec(s.Command); err != nil {
		return err
	}
	d, err := c.understand(&s, given)
	if err != nil {
		return err
	}
	d.options = append(d.options, ifs...)
	e, err := c.declare(d).Put(c.r.Context(), c.name, d.payload, d.when, d.options...)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if e.Outcome == duly.Created {
		status = http.StatusCreated
	}
	return c.entry(status, &e)
}

func (c *call) declare(d *declared) *duly.Kind[[]byte] { return duly.Declare[[]byte](c.d, d.kind) }

// exec asks whether the request may say what command is run, if it does.
func (c *call) exec(cmd *target.Command) error {
	if cmd == nil {
		return nil
	}
	return c.allow(Exec)
}

// post answers POST /v1/tasks.
func (c *call) post() error {
	var s Spec
	given, err := c.read(&s, false)
	if err != nil {
		return err
	}
	if s.Conflict != "" && s.Conflict != "fail" {
		return wrong("conflict", quote(s.Conflict), "fail, or none: POST takes a name that is free, PUT any")
	}
	if err := c.exec(s.Command); err != nil {
		return err
	}
	d, err := c.understand(&s, given)
	if err != nil {
		return err
	}
	d.options = append(d.options, duly.OnConflict(duly.Fail))
	for {
		name := d.name
		if name == "" {
			name = madeUp()
		}
		e, err := c.declare(d).Put(c.r.Context(), name, d.payload, d.when, d.options...)
		if d.name == "" && (errors.Is(err, duly.ErrExists) || errors.Is(err, duly.ErrKindMismatch)) {
			continue
		}
		if err != nil {
			return err
		}
		c.w.Header().Set("Location", c.address(name))
		return c.entry(http.StatusCreated, &e)
	}
}

// madeUp returns a name that nobody has, as good as certainly: 60 bits that are random.
func madeUp() string { return strings.ToLower(rand.Text()[:12]) }

// address is where a name's task is found.
func (c *call) address(name string) string {
	s := c.o.Prefix + "/v1/tasks/" + url.PathEscape(name)
	if ns := c.q.Get("namespace"); ns != "" {
		s += "?namespace=" + url.QueryEscape(ns)
	}
	return s
}

// entry answers a put or a move.
func (c *call) entry(status int, e *duly.Entry) error {
	c.tag(e.Generation)
	v := entryOf(e)
	return c.json(status, &v)
}

// patch answers PATCH /v1/tasks/{name}.
func (c *call) patch() error {
	if got := c.r.Header.Get("If-None-Match"); got != "" {
		return wrong("If-None-Match", quote(got), "none: what is changed must be there")
	}
	g, err := c.ifMatch()
	if err != nil {
		return err
	}
	var ch Change
	given, err := c.read(&ch, false)
	if err != nil {
		return err
	}
	if err := c.exec(ch.Command); err != nil {
		return err
	}
	change := duly.Change{IfGeneration: g}
	if change.To, err = ch.to(given, c.now()); err != nil {
		return err
	}
	if change.Kind, change.Payload, err = c.other(&ch); err != nil {
		return err
	}
	if len(given) == 0 || len(given) == 1 && given[0] == "zone" {
		return wrong("body", "{}", "schedule, in or at; command, http or payload; or one of each")
	}
	if ch.Payload != nil { // whatever its kind is, it must not be one whose payload has a field of its own
		t, err := c.d.Get(c.r.Context(), c.name)
		if err != nil {
			return err
		}
		if t.Kind == target.KindCommand || t.Kind == target.KindHTTP {
			return wrong("payload", shown(ch.Payload), "the field "+t.Kind+", because that is the task's kind")
		}
		change.Kind = t.Kind
	}
	e, err := c.d.Change(c.r.Context(), c.name, change)
	if err != nil {
		return err
	}
	v := entryOf(&e)
	v.Outcome = ""
	c.tag(e.Generation)
	return c.json(http.StatusOK, &v)
}

// to returns the instant that a Change asks for, the zero Schedule if it asks for none.
func (ch *Change) to(given []string, now time.Time) (schedule.Schedule, error) {
	by := slices.DeleteFunc(slices.Clone(given), func(name string) bool { return name != "schedule" && name != "in" && name != "at" })
	if ch.Zone != "" && !slices.ContainsFunc(by, func(name string) bool { return name != "in" }) {
		return schedule.Schedule{}, wrong("zone", quote(ch.Zone), "it beside schedule or at only")
	}
	if len(by) == 0 {
		return schedule.Schedule{}, nil
	}
	s := Spec{Schedule: ch.Schedule, Zone: ch.Zone, said: ch.said}
	sc, err := s.when(by, now)
	if err == nil && sc.Recurring() {
		err = wrong("schedule", quote(ch.Schedule), "one that fires once; to change a recurring schedule put the task again")
	}
	return sc, err
}

// other returns the payload that a Change asks for, nil if it asks for none, and the kind that it is of, as far as it says.
func (h *Handler) other(ch *Change) (kind string, payload []byte, err error) {
	given := 0
	for _, there := range [...]bool{ch.Command != nil, ch.HTTP != nil, ch.Payload != nil} {
		if there {
			given++
		}
	}
	switch {
	case given > 1:
		return "", nil, wrong("payload", "given more than once", "one of command, http and payload")
	case ch.Command != nil:
		payload, err = h.command(ch.Command)
		return target.KindCommand, payload, err
	case ch.HTTP != nil:
		payload, err = h.callback(ch.HTTP)
		return target.KindHTTP, payload, err
	case ch.Payload != nil:
		payload, err = compact(ch.Payload)
	}
	return "", payload, err
}

// cancel answers DELETE /v1/tasks/{name}.
func (c *call) cancel() error {
	do := c.d.Cancel
	switch got := c.q.Get("running"); {
	case got == "stop":
		do = c.d.CancelRunning
	case c.has("running"):
		return wrong("running", quote(got), "stop, or none")
	}
	outcome, err := do(c.r.Context(), c.name)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, &Cancelled{Name: c.name, Outcome: outcome.String()})
}

// entryOf returns what the wire says of an Entry.
func entryOf(e *duly.Entry) Entry {
	v := Entry{Namespace: e.Namespace, Name: e.Name, Generation: e.Generation, ScheduledFor: e.ScheduledFor, DueAt: e.Due}
	if e.Err != nil {
		v.Error = problemOf(e.Err)
		return v
	}
	v.Outcome = strings.ReplaceAll(e.Outcome.String(), " ", "_")
	return v
}

// task returns what the wire says of a task. What of its payload looks secret is not among it.
func (h *Handler) task(t *duly.Task) Task {
	v := Task{
		Namespace: t.Namespace, Name: t.Name, Kind: t.Kind, State: t.State.String(), Schedule: t.Schedule, Recurring: t.Recurring,
		Generation: t.Generation, AcceptedAt: t.AcceptedAt, ScheduledFor: t.ScheduledFor, DueAt: t.Due, Starts: t.Starts, PausedAt: t.PausedAt,
		PausedWhy: t.PausedWhy, Ended: t.Ended, Runs: make([]Run, len(t.Runs)), Key: t.Key, Tags: t.Tags, Priority: t.Priority,
	}
	if s, err := schedule.Parse(t.Schedule); err == nil {
		v.Words = s.Words()
	}
	if t.Policy != "" {
		if err := json.Unmarshal([]byte(t.Policy), &v.Policy); err != nil {
			v.Policy = Policy{} // something else wrote it; it is run by the default one, too
		}
	}
	for i := range t.Runs {
		v.Runs[i] = runOf(&t.Runs[i])
	}
	v.Command, v.HTTP, v.Payload = payloadOf(t.Kind, t.Payload)
	return v
}

func runOf(r *duly.Run) Run {
	return Run{
		ID: r.ID, Generation: r.Generation, ScheduledFor: r.ScheduledFor, DueAt: r.Due, State: r.State.String(), Attempt: r.Attempt, Snoozed: r.Snoozed,
		Lost: r.Lost, Fence: r.Fence, Missed: r.Missed, Owner: r.Owner, BegunAt: r.BegunAt, StartedAt: r.StartedAt, Stopping: r.Stopping,
		Extra: r.Extra, Reason: r.Reason,
	}
}

// payloadOf returns a payload as its kind shows it. Of the kinds that can hold secrets, what can't be read is not shown either.
func payloadOf(kind string, b []byte) (cmd *target.Command, call *target.Callback, raw json.RawMessage) {
	switch kind {
	case target.KindCommand:
		if v := new(target.Command); json.Unmarshal(b, v) == nil {
			shown := v.Redacted()
			return &shown, nil, nil
		}
	case target.KindHTTP:
		if v := new(target.Callback); json.Unmarshal(b, v) == nil {
			shown := v.Redacted()
			return nil, &shown, nil
		}
	default:
		switch {
		case len(b) == 0:
		case json.Valid(b):
			return nil, nil, b
		default:
			return nil, nil, json.RawMessage(strconv.Quote(base64.StdEncoding.EncodeToString(b)))
		}
	}
	return nil, nil, nil
}
