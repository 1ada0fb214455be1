package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/deadline"
	"github.com/dulyhq/duly/wait"
)

// A HistoryQuery asks for entries of the history.
type HistoryQuery struct {
	Name   string // "" is all tasks: of the client's namespace, or if it has none of all
	After  int64  // only entries of a greater Seq
	Before int64  // only entries of a lesser Seq; 0 is no bound
	Newest bool   // the newest first
	Since  time.Time
	Limit  int // 0 is what the daemon thinks right
}

// History returns what became of tasks, the oldest first unless asked otherwise.
func (c *Client) History(ctx context.Context, q HistoryQuery) ([]api.Event, error) {
	r := &request{op: "history", method: http.MethodGet, path: "/v1/history"}
	if q.Name != "" {
		var err error
		if r, err = about(r.op, http.MethodGet, q.Name, "/history"); err != nil {
			return nil, err
		}
	}
	r.setInt("after", q.After)
	r.setInt("before", q.Before)
	r.setBool("newest", q.Newest)
	r.setTime("since", q.Since)
	r.setInt("limit", int64(q.Limit))
	var p api.EventPage
	err := c.call(ctx, r, &p)
	return p.Events, err
}

// Seq returns the Seq of the newest entry of the history, of whatever task, 0 if there is none: what is asked for after it is what is
// written from now on.
func (c *Client) Seq(ctx context.Context) (int64, error) {
	evs, err := c.In("").History(ctx, HistoryQuery{Newest: true, Limit: 1})
	if err != nil || len(evs) == 0 {
		return 0, err
	}
	return evs[0].Seq, nil
}

// FromNow has Events begin with what is written once it is connected.
const FromNow int64 = -1

// Events yields the entries of the history after one, by its Seq, as they are written, until ctx ends, whose cause is the last thing it
// yields. 0 begins at the oldest that is kept. A name limits them to tasks of that name, and the client's namespace, if it has one, to
// those of that. When the connection breaks it goes on behind the last entry that it has yielded, as often as it must; a daemon that is
// not there at the beginning, or that refuses, is an error that ends it.
func (c *Client) Events(ctx context.Context, after int64, name string) iter.Seq2[api.Event, error] {
	return func(yield func(api.Event, error) bool) {
		f := &feed{c: c, name: name, after: after}
		for f.follow(ctx, yield) {
			pause := wait.Sleeper{Engine: c.o.Engine}
			if pause.Sleep(ctx, f.pause()) != nil {
				yield(api.Event{}, context.Cause(ctx))
				return
			}
		}
	}
}

const (
	quiet    = 45 * time.Second // three of the daemon's heartbeats
	shortest = 100 * time.Millisecond
	longest  = 5 * time.Second
)

// A feed is what Events knows from one connection to the next.
type feed struct {
	c      *Client
	name   string
	after  int64 // what has been yielded, or FromNow
	opened bool  // there was a connection
	failed int   // since the last entry
}

// pause is how long to wait before the next connection.
func (f *feed) pause() time.Duration {
	d := shortest << min(f.failed, 10)
	f.failed++
	return min(d, longest)
}

// follow yields what comes over one connection, and says whether to make another.
func (f *feed) follow(ctx context.Context, yield func(api.Event, error) bool) bool {
	r := &request{op: "events", method: http.MethodGet, path: "/v1/events", header: http.Header{"Accept": {"text/event-stream"}}}
	r.set("name", f.name)
	if f.after >= 0 {
		r.header["Last-Event-Id"] = []string{strconv.FormatInt(f.after, 10)}
	}
	res, sent, err := f.c.send(ctx, r)
	if err == nil {
		f.opened = true
		var over bool
		if err, over = f.read(res, yield); over {
			return false
		}
		sent, err = true, fmt.Errorf("%s: %w", r.label(), err)
	}
	bad, odd := errors.AsType[*answerError](err)
	switch {
	case ctx.Err() != nil:
		yield(api.Event{}, context.Cause(ctx))
		return false
	case !f.opened && !sent, !sent && !passing(err), odd && bad.status == 0:
		yield(api.Event{}, err)
		return false
	}
	if f.c.o.Lost != nil {
		f.c.o.Lost(err)
	}
	return true
}

// read yields the entries of a stream until that breaks, or the loop does, which is over.
func (f *feed) read(res *http.Response, yield func(api.Event, error) bool) (err error, over bool) {
	body, err := deadline.NewReader(res.Body, quiet, deadline.WithEngine(f.c.o.Engine))
	if err != nil {
		_ = res.Body.Close() // nothing of it was read
		return err, false
	}
	defer func() { _ = body.Close() }() // a stream has no end that could be read
	if form := res.Header.Get("Content-Type"); !strings.HasPrefix(form, "text/event-stream") {
		return &answerError{why: "it is of the type " + strconv.Quote(form) + ", not a stream of events"}, false
	}
	for m, err := range messages(body) {
		if err != nil {
			return err, false
		}
		f.failed = 0
		if m.data == nil {
			f.after = max(f.after, m.id) // where it begins
			continue
		}
		var e api.Event
		if err := json.Unmarshal(m.data, &e); err != nil {
			return &answerError{why: err.Error()}, false
		}
		f.after = max(f.after, e.Seq)
		if !yield(e, nil) {
			return nil, true
		}
	}
	return io.ErrUnexpectedEOF, false
}

// Await returns the entry of the history with which a task of a generation, the one that an Entry tells, has ended: done, dead,
// cancelled, expired or skipped; of a recurring task, with which its first occurrence has. It follows a task that is moved, paused or
// resumed meanwhile. A generation of 0 is whatever ends next from now on. As with Events, a daemon that is not there at the beginning is
// an error, and one that goes away later is waited for.
//
// The error is duly.ErrNotFound if there is no such task, and duly.ErrFinished if its end is not in the history, or not any more.
func (c *Client) Await(ctx context.Context, name string, generation int64) (api.Event, error) {
	after, err := c.Seq(ctx)
	if err != nil {
		return api.Event{}, err
	}
	w := awaited{generation: generation}
	if generation == 0 {
		w.seen = after
	}
	for f := (feed{}); ; {
		e, err := c.await(ctx, name, after, &w)
		if err == nil || !passing(err) || ctx.Err() != nil {
			return e, err
		}
		if c.o.Lost != nil {
			c.o.Lost(err)
		}
		if (wait.Sleeper{Engine: c.o.Engine}).Sleep(ctx, f.pause()) != nil {
			return api.Event{}, context.Cause(ctx)
		}
	}
}

// await awaits what comes behind an entry, and what has been missed until then.
func (c *Client) await(ctx context.Context, name string, after int64, w *awaited) (api.Event, error) {
	if w.generation > 0 {
		if e, err := c.lookBack(ctx, name, w); e != nil || err != nil {
			return value(e), err
		}
	}
	t, err := c.Get(ctx, name)
	if errors.Is(err, duly.ErrFinished) { // it may have ended since
		if e, herr := c.lookBack(ctx, name, w); e != nil || herr != nil {
			return value(e), herr
		}
	}
	if err != nil {
		return api.Event{}, err
	}
	for e, err := range c.Events(ctx, after, name) {
		switch {
		case err != nil:
			return api.Event{}, err
		case e.Namespace == t.Namespace && w.is(&e):
			return e, nil
		}
	}
	return api.Event{}, fmt.Errorf("await %q: %w", name, io.ErrUnexpectedEOF) // Events ends with an error
}

func value(e *api.Event) api.Event {
	if e == nil {
		return api.Event{}
	}
	return *e
}

// An awaited is an end that is waited for.
type awaited struct {
	generation int64 // 0 is any
	seen       int64 // the Seq of the last entry that was looked at
	moved      bool  // the task has become one of a later generation
}

// is says whether an entry is that end.
func (w *awaited) is(e *api.Event) bool {
	if e.Seq <= w.seen {
		return false
	}
	w.seen = e.Seq
	switch {
	case w.generation > 0 && e.Generation != w.generation && (!w.moved || e.Generation < w.generation), e.From == "none":
		return false // of another task, or of an extra run
	case e.To == "pending" || e.To == "running":
		w.moved = w.moved || e.Verb == "move" || e.Verb == "pause" || e.Verb == "resume"
		return false
	}
	return true
}

// lookBack looks for an end in what has become of a name, and returns nil if it is not there. A name that the history does not know is
// no error.
func (c *Client) lookBack(ctx context.Context, name string, w *awaited) (*api.Event, error) {
	for {
		evs, err := c.History(ctx, HistoryQuery{Name: name, After: w.seen})
		if len(evs) == 0 || err != nil {
			if errors.Is(err, duly.ErrNotFound) {
				err = nil
			}
			return nil, err
		}
		for i := range evs {
			if w.is(&evs[i]) {
				return &evs[i], nil
			}
		}
	}
}
