package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/schedule"
)

// A Condition lets a write succeed only if it holds; otherwise that is duly.ErrCondition.
type Condition func(*request) error

// IfAbsent lets a put succeed only if the name has no task.
func IfAbsent() Condition {
	return func(r *request) error {
		r.header = http.Header{"If-None-Match": {"*"}}
		return nil
	}
}

// IfGeneration lets a write succeed only if the name's task is of this generation.
func IfGeneration(g int64) Condition {
	return func(r *request) error {
		if g <= 0 {
			return &duly.Error{Op: r.op, Field: "generation", Value: strconv.FormatInt(g, 10), Want: "one that a task has had: more than 0", Err: duly.ErrInvalid}
		}
		r.header = http.Header{"If-Match": {strconv.Quote(strconv.FormatInt(g, 10))}}
		return nil
	}
}

// Put accepts a task under a name, replacing the one of that name unless the spec's Conflict says otherwise. After nil it is durable.
// Putting what is there already changes nothing. The spec's Name must be empty, or name.
func (c *Client) Put(ctx context.Context, name string, s api.Spec, conds ...Condition) (api.Entry, error) {
	r, err := about("put", http.MethodPut, name, "")
	if err != nil {
		return api.Entry{}, err
	}
	if s.Name != "" && s.Name != name {
		return api.Entry{}, &duly.Error{Op: r.op, Field: "spec's name", Value: strconv.Quote(s.Name), Want: "none, or " + strconv.Quote(name), Err: duly.ErrInvalid}
	}
	s.Name = "" // it is in the path
	return c.write(ctx, r, &s, conds)
}

// Create accepts a task under its spec's Name, or under one that is made up. It is duly.ErrExists if the name has a task.
func (c *Client) Create(ctx context.Context, s api.Spec) (api.Entry, error) {
	return c.write(ctx, &request{op: "create", name: s.Name, method: http.MethodPost, path: "/v1/tasks", writes: true}, &s, nil)
}

// Move gives a task another instant, by a schedule that fires once: schedule.After, which counts from when the daemon has it, or
// schedule.At. Of a recurring task it moves the next occurrence. It is duly.ErrRunning once the task has started, duly.ErrFinished or
// duly.ErrNotFound if there is none.
func (c *Client) Move(ctx context.Context, name string, to schedule.Schedule, conds ...Condition) (api.Entry, error) {
	if err := to.Err(); err != nil {
		return api.Entry{}, fmt.Errorf("move %q: %w: %w", name, duly.ErrInvalid, err)
	}
	return c.patch(ctx, "move", name, &api.Change{Schedule: to.String()}, conds)
}

// Patch gives the next occurrence of a task another instant, or another payload, or both.
func (c *Client) Patch(ctx context.Context, name string, change api.Change, conds ...Condition) (api.Entry, error) {
	return c.patch(ctx, "change", name, &change, conds)
}

func (c *Client) patch(ctx context.Context, op, name string, change *api.Change, conds []Condition) (api.Entry, error) {
	r, err := about(op, http.MethodPatch, name, "")
	if err != nil {
		return api.Entry{}, err
	}
	return c.write(ctx, r, change, conds)
}

func (c *Client) write(ctx context.Context, r *request, body any, conds []Condition) (e api.Entry, err error) {
	for _, cond := range conds {
		if err := cond(r); err != nil {
			return api.Entry{}, err
		}
	}
	if err := r.json(body); err != nil {
		return api.Entry{}, err
	}
	err = c.call(ctx, r, &e)
	return e, err
}

// Get returns a task. It is duly.ErrFinished if there is none any more, duly.ErrNotFound if the history does not know the name either.
func (c *Client) Get(ctx context.Context, name string) (t api.Task, err error) {
	r, err := about("get", http.MethodGet, name, "")
	if err != nil {
		return t, err
	}
	err = c.call(ctx, r, &t)
	return t, err
}

// Cancel ends a task: of what has not begun nothing will, a wait for a retry included, and the failure of what runs is not retried. The
// Outcome says what was found: cancelled, running, finished or unknown, none of which is an error.
func (c *Client) Cancel(ctx context.Context, name string) (api.Cancelled, error) {
	return c.cancel(ctx, name, "")
}

// CancelRunning is Cancel, and asks what runs to stop. It does not wait.
func (c *Client) CancelRunning(ctx context.Context, name string) (api.Cancelled, error) {
	return c.cancel(ctx, name, "stop")
}

func (c *Client) cancel(ctx context.Context, name, running string) (x api.Cancelled, err error) {
	r, err := about("cancel", http.MethodDelete, name, "")
	if err != nil {
		return x, err
	}
	r.set("running", running)
	err = c.call(ctx, r, &x)
	return x, err
}

// RunNow starts a task now: a one-off is moved, a recurring one gets an extra run beside its schedule.
func (c *Client) RunNow(ctx context.Context, name string) error {
	r, err := about("run", http.MethodPost, name, "/run")
	if err != nil {
		return err
	}
	return c.call(ctx, r, nil)
}

// WhyNot tells why a task does not run now. Of what has ended it tells how.
func (c *Client) WhyNot(ctx context.Context, name string) (w api.Why, err error) {
	r, err := about("why", http.MethodGet, name, "/why")
	if err != nil {
		return w, err
	}
	err = c.call(ctx, r, &w)
	return w, err
}

// PauseTask lets nothing of a task begin until it is resumed, and returns 1, or 0 if it was paused already. Why is shown to whoever asks.
func (c *Client) PauseTask(ctx context.Context, name, why string) (int, error) {
	return c.steer(ctx, "pause", name, &api.Pause{Why: why})
}

// ResumeTask lets a task begin again, and returns 1, or 0 if it was not paused.
func (c *Client) ResumeTask(ctx context.Context, name string) (int, error) {
	return c.steer(ctx, "resume", name, nil)
}

// RedriveTask has the dead runs of a name tried again, with all their attempts, and returns how many.
func (c *Client) RedriveTask(ctx context.Context, name string) (int, error) {
	return c.steer(ctx, "redrive", name, nil)
}

func (c *Client) steer(ctx context.Context, op, name string, body any) (int, error) {
	r, err := about(op, http.MethodPost, name, "/"+op)
	if err == nil && body != nil {
		err = r.json(body)
	}
	if err != nil {
		return 0, err
	}
	var n api.Count
	err = c.call(ctx, r, &n)
	return n.Count, err
}

// Pause lets nothing of the tasks selected begin until they are resumed, and returns how many it has paused.
func (c *Client) Pause(ctx context.Context, sel api.Selection) (int, error) {
	return c.selected(ctx, "pause", &sel)
}

// Resume lets the tasks selected begin again, and returns how many were paused.
func (c *Client) Resume(ctx context.Context, sel api.Selection) (int, error) {
	return c.selected(ctx, "resume", &sel)
}

// Redrive has the dead runs selected tried again, with all their attempts, and returns how many.
func (c *Client) Redrive(ctx context.Context, sel api.Selection) (int, error) {
	return c.selected(ctx, "redrive", &sel)
}

func (c *Client) selected(ctx context.Context, op string, sel *api.Selection) (int, error) {
	r := &request{op: op, method: http.MethodPost, path: "/v1/" + op, writes: true}
	if err := r.json(sel); err != nil {
		return 0, err
	}
	var n api.Count
	err := c.call(ctx, r, &n)
	return n.Count, err
}

// A Query selects tasks by what all its fields ask. The zero Query selects all of the client's namespace.
type Query struct {
	AllNamespaces bool
	Prefix        string // of the name
	Kind          string
	Tag           string
	State         string // pending, running or dead; empty is both of the first two
	Paused        bool   // only those that are
	DueFrom       time.Time
	DueUntil      time.Time
	Cursor        string // where the page before has ended
	Limit         int    // of a page; 0 is what the daemon thinks right
}

// ListPage returns a page of tasks. A page may be shorter than the limit, and empty, although there is more: there is as long as it has a
// cursor.
func (c *Client) ListPage(ctx context.Context, q Query) (p api.TaskPage, err error) {
	r := &request{op: "list", method: http.MethodGet, path: "/v1/tasks"}
	r.setBool("all_namespaces", q.AllNamespaces)
	r.set("prefix", q.Prefix)
	r.set("kind", q.Kind)
	r.set("tag", q.Tag)
	r.set("state", q.State)
	r.setBool("paused", q.Paused)
	r.setTime("due_from", q.DueFrom)
	r.setTime("due_until", q.DueUntil)
	r.set("cursor", q.Cursor)
	r.setInt("limit", int64(q.Limit))
	err = c.call(ctx, r, &p)
	return p, err
}

// List yields the tasks selected, in the order of their names. What is written meanwhile may be seen or not.
func (c *Client) List(ctx context.Context, q Query) iter.Seq2[api.Task, error] {
	return func(yield func(api.Task, error) bool) {
		for {
			p, err := c.ListPage(ctx, q)
			if err != nil {
				yield(api.Task{}, err)
				return
			}
			for _, t := range p.Tasks {
				if !yield(t, nil) {
					return
				}
			}
			if p.Cursor == "" {
				return
			}
			q.Cursor = p.Cursor
		}
	}
}

// A PreviewQuery asks when a schedule fires.
type PreviewQuery struct {
	Schedule string // the text form of package schedule; not of PreviewTask
	Zone     string // an IANA zone; not of PreviewTask
	Name     string // whose jitter it is; not of PreviewTask
	From     time.Time
	Until    time.Time
	N        int // how many; 0 is what the daemon thinks right
}

// Preview tells when a schedule would fire.
func (c *Client) Preview(ctx context.Context, q PreviewQuery) (api.Preview, error) {
	r := &request{op: "preview", method: http.MethodGet, path: "/v1/preview"}
	r.set("schedule", q.Schedule)
	r.set("zone", q.Zone)
	r.set("name", q.Name)
	return c.preview(ctx, r, &q)
}

// PreviewTask tells when a task will fire.
func (c *Client) PreviewTask(ctx context.Context, name string, q PreviewQuery) (api.Preview, error) {
	r, err := about("preview", http.MethodGet, name, "/preview")
	if err != nil {
		return api.Preview{}, err
	}
	return c.preview(ctx, r, &q)
}

func (c *Client) preview(ctx context.Context, r *request, q *PreviewQuery) (p api.Preview, err error) {
	r.setTime("from", q.From)
	r.setTime("until", q.Until)
	r.setInt("n", int64(q.N))
	err = c.call(ctx, r, &p)
	return p, err
}

// Simulate tells what will start from one instant up to, but not with, another, if nothing changes meanwhile. A limit of 0 is what the
// daemon thinks right.
func (c *Client) Simulate(ctx context.Context, from, until time.Time, limit int) (s api.Simulation, err error) {
	r := &request{op: "simulate", method: http.MethodGet, path: "/v1/simulate"}
	r.setTime("from", from)
	r.setTime("until", until)
	r.setInt("limit", int64(limit))
	err = c.call(ctx, r, &s)
	return s, err
}

// Stats returns the daemon's counters.
func (c *Client) Stats(ctx context.Context) (s api.Stats, err error) {
	err = c.call(ctx, &request{op: "stats", method: http.MethodGet, path: "/v1/stats"}, &s)
	return s, err
}

// Health returns what keeps the daemon from a part of its work. The error is ErrUnavailable if it is there, and can't do any.
func (c *Client) Health(ctx context.Context) (h api.Health, err error) {
	err = c.call(ctx, &request{op: "health", method: http.MethodGet, path: "/readyz"}, &h)
	return h, err
}

// Ready returns nil if the daemon is there and at work.
func (c *Client) Ready(ctx context.Context) error {
	return c.call(ctx, &request{op: "ready", method: http.MethodGet, path: "/readyz"}, nil)
}
