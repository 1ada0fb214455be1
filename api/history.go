package api

import (
	"errors"
	"net/http"
	"time"

	"github.com/dulyhq/duly"
)

// historyParams are those of a page of the history.
var historyParams = []param{
	{"after", "only entries of a greater seq", integer},
	{"before", "only entries of a lesser seq", integer},
	{"newest", "true: the newest first", boolean},
	{"since", "only entries from then on", instant},
	{"limit", "how many at most, 1 to 1000; 100", number},
}

var historyRoutes = []route{
	{
		method: http.MethodGet, path: "/v1/tasks/{name}/history", need: Read, what: "Tell what became of a task, the oldest first.",
		params: historyParams, answer: &EventPage{}, serve: (*call).history,
	},
	{
		method: http.MethodGet, path: "/v1/history", need: Read, what: "Tell what became of all tasks, the oldest first.",
		params: append([]param{{"namespace", "only of this namespace; without it of all", text}}, historyParams...), answer: &EventPage{},
		serve: (*call).historyOfAll,
	},
	{
		method: http.MethodGet, path: "/v1/tasks/{name}/why", need: Read, what: "Tell why a task does not run now; of one that has ended, how.",
		answer: &Why{}, serve: (*call).why,
	},
	{
		method: http.MethodGet, path: "/v1/events", need: Read, answer: &Event{}, form: "text/event-stream",
		what: "Tell what becomes of tasks as it happens: server-sent events of the type task, whose id is the entry's seq. Last-Event-ID goes on " +
			"behind an entry, without a loss and without telling one twice.",
		params: []param{
			{"namespace", "only of this namespace; without it of all", text},
			{"name", "only of tasks of this name", text},
			{"after", "a seq: begin behind it, 0 with the oldest that is kept; now, or nothing: with what comes", text},
		},
		serve: (*call).events,
	},
}

// pageOf reads the parameters of a page of the history.
func (c *call) pageOf(name string) (duly.HistoryQuery, error) {
	limit, err := c.number("limit", defaultLimit, maxLimit)
	return duly.HistoryQuery{
		Name: name, After: c.integer("after"), Before: c.integer("before"), Newest: c.boolean("newest"), Since: c.instant("since"), Limit: limit,
	}, err
}

// history answers GET /v1/tasks/{name}/history.
func (c *call) history() error {
	q, err := c.pageOf(c.name)
	if err != nil {
		return err
	}
	evs, err := c.d.History(c.r.Context(), q)
	if err != nil {
		return err
	}
	if len(evs) == 0 { // a task that has none yet, or a name that nobody knows
		if _, err := c.d.Get(c.r.Context(), c.name); errors.Is(err, duly.ErrNotFound) {
			return err
		}
	}
	return c.page(evs)
}

// historyOfAll answers GET /v1/history.
func (c *call) historyOfAll() error {
	q, err := c.pageOf("")
	if err != nil {
		return err
	}
	want := q.Limit
	var found []duly.Event
	for q.Limit = maxLimit; len(found) < want; {
		evs, err := c.d.History(c.r.Context(), q)
		if err != nil {
			return err
		}
		for i := range evs {
			if len(found) < want && c.concerns(&evs[i], "") {
				found = append(found, evs[i])
			}
		}
		if len(evs) < q.Limit {
			break
		}
		if last := evs[len(evs)-1].Seq; q.Newest {
			q.Before = last
		} else {
			q.After = last
		}
	}
	return c.page(found)
}

// concerns says whether an entry is of the namespace that was asked for, and of a name, if there is one.
func (c *call) concerns(ev *duly.Event, name string) bool {
	return (!c.has("namespace") || ev.Namespace == c.q.Get("namespace")) && (name == "" || ev.Name == name)
}

func (c *call) page(evs []duly.Event) error {
	page := EventPage{Events: make([]Event, len(evs))}
	for i := range evs {
		page.Events[i] = eventOf(&evs[i])
	}
	return c.json(http.StatusOK, &page)
}

func eventOf(e *duly.Event) Event {
	v := Event{
		Seq: e.Seq, At: e.At, Namespace: e.Namespace, Name: e.Name, Kind: e.Kind, Generation: e.Generation, ScheduledFor: e.ScheduledFor,
		DueAt: e.Due, Verb: e.Verb, From: e.From.String(), To: e.To.String(), Attempt: e.Attempt, Fence: e.Fence, AcceptedAt: e.AcceptedAt,
		StartedAt: e.StartedAt, Missed: e.Missed, Owner: e.Owner, Reason: e.Reason,
	}
	if !e.StartedAt.IsZero() && !e.Due.IsZero() {
		v.Lateness = new(Duration)
		*v.Lateness = lateness(e.StartedAt, e.Due)
	}
	return v
}

func lateness(started, due time.Time) Duration { return Duration(started.Sub(due)) }

// why answers GET /v1/tasks/{name}/why.
func (c *call) why() error {
	w, err := c.d.WhyNot(c.r.Context(), c.name)
	if err != nil {
		return err
	}
	v := Why{Name: c.name, Code: string(w.Code), Text: w.Text, Until: w.Until}
	if w.Task != nil {
		t := c.task(w.Task)
		v.Task = &t
	}
	return c.json(http.StatusOK, &v)
}
