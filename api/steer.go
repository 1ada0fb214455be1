package api

import (
	"errors"
	"net/http"

	"github.com/dulyhq/duly"
)

// A Pause is what may be sent to pause a task.
type Pause struct {
	Why string `json:"why,omitempty"` // the reason, shown to whoever asks
}

// nothing is the body of a request that has nothing to say.
type nothing struct{}

var steerRoutes = []route{
	{
		method: http.MethodPost, path: "/v1/tasks/{name}/run", need: Write,
		what:   "Start a task now: a one-off is moved, a recurring one gets an extra run beside its schedule.",
		status: []int{http.StatusAccepted}, serve: (*call).run,
	},
	{
		method: http.MethodPost, path: "/v1/tasks/{name}/pause", need: Write,
		what: "Let nothing of a task begin until it is resumed. The count is 0 if it was paused already.",
		body: &Pause{}, answer: &Count{}, serve: (*call).pause,
	},
	{
		method: http.MethodPost, path: "/v1/tasks/{name}/resume", need: Write,
		what:   "Let a task begin again. The count is 0 if it was not paused.",
		answer: &Count{}, serve: (*call).resume,
	},
	{
		method: http.MethodPost, path: "/v1/tasks/{name}/redrive", need: Write,
		what:   "Try the dead runs of a name again, with all their attempts.",
		answer: &Count{}, serve: (*call).redrive,
	},
	{
		method: http.MethodPost, path: "/v1/pause", need: Write, what: "Pause the tasks selected.",
		body: &Selection{}, answer: &Count{}, serve: (*call).pauseAll,
	},
	{
		method: http.MethodPost, path: "/v1/resume", need: Write, what: "Resume the tasks selected.",
		body: &Selection{}, answer: &Count{}, serve: (*call).resumeAll,
	},
	{
		method: http.MethodPost, path: "/v1/redrive", need: Write, what: "Try the dead runs selected again, with all their attempts.",
		body: &Selection{}, answer: &Count{}, serve: (*call).redriveAll,
	},
}

// run answers POST /v1/tasks/{name}/run.
func (c *call) run() error {
	if _, err := c.read(&nothing{}, true); err != nil {
		return err
	}
	if err := c.d.RunNow(c.r.Context(), c.name); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusAccepted)
	return nil
}

// pause answers POST /v1/tasks/{name}/pause.
func (c *call) pause() error {
	var p Pause
	if _, err := c.read(&p, true); err != nil {
		return err
	}
	n, err := c.d.Pause(c.r.Context(), c.only(), p.Why)
	return c.counted(n, err, true)
}

// resume answers POST /v1/tasks/{name}/resume.
func (c *call) resume() error {
	if _, err := c.read(&nothing{}, true); err != nil {
		return err
	}
	n, err := c.d.Resume(c.r.Context(), c.only())
	return c.counted(n, err, true)
}

// redrive answers POST /v1/tasks/{name}/redrive.
func (c *call) redrive() error {
	if _, err := c.read(&nothing{}, true); err != nil {
		return err
	}
	n, err := c.d.Redrive(c.r.Context(), c.only())
	return c.counted(n, err, false)
}

// only selects the name in the path. The prefix spares a look at all the others' dead runs.
func (c *call) only() duly.Query { return duly.Query{Names: []string{c.name}, Prefix: c.name} }

// counted answers with how many tasks of a name were changed. If none was it may be that there is no task of the name, or, where it
// must live, that it has ended.
func (c *call) counted(n int, err error, lives bool) error {
	if err == nil && n == 0 {
		var t *duly.Task
		switch t, err = c.d.Get(c.r.Context(), c.name); {
		case err == nil && t.Ended && lives:
			err = &mistake{class: duly.ErrFinished, why: "task " + quote(c.name)}
		case errors.Is(err, duly.ErrFinished) && !lives:
			err = nil
		}
	}
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, &Count{Count: n})
}

// selection reads a Selection.
func (c *call) selection(why bool) (s Selection, q duly.Query, err error) {
	if _, err = c.read(&s, false); err != nil {
		return s, q, err
	}
	narrow := len(s.Names) > 0 || s.Prefix != "" || s.Kind != "" || s.Tag != ""
	switch {
	case !narrow && !s.All:
		return s, q, wrong("names", "not given", `at least one of names, prefix, kind and tag, or "all": true`)
	case narrow && s.All:
		return s, q, wrong("all", "true beside something narrower", "one of the two")
	case s.Why != "" && !why:
		return s, q, wrong("why", quote(s.Why), "it of a pause only")
	}
	return s, duly.Query{Names: s.Names, Prefix: s.Prefix, Kind: s.Kind, Tag: s.Tag}, nil
}

// pauseAll answers POST /v1/pause.
func (c *call) pauseAll() error {
	s, q, err := c.selection(true)
	if err != nil {
		return err
	}
	n, err := c.d.Pause(c.r.Context(), q, s.Why)
	return c.count(n, err)
}

// resumeAll answers POST /v1/resume.
func (c *call) resumeAll() error {
	_, q, err := c.selection(false)
	if err != nil {
		return err
	}
	n, err := c.d.Resume(c.r.Context(), q)
	return c.count(n, err)
}

// redriveAll answers POST /v1/redrive.
func (c *call) redriveAll() error {
	_, q, err := c.selection(false)
	if err != nil {
		return err
	}
	n, err := c.d.Redrive(c.r.Context(), q)
	return c.count(n, err)
}

func (c *call) count(n int, err error) error {
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, &Count{Count: n})
}
