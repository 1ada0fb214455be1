package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/dulyhq/duly/store"
)

// Health is whether all of the work is done: what /readyz answers with, if any is.
type Health struct {
	Status   string          `json:"status"`   // ok; degraded, if there are problems
	Problems []HealthProblem `json:"problems"` // never null
}

// A HealthProblem keeps the server from a part of its work, or makes that other than one would think.
type HealthProblem struct {
	Slug   string    `json:"slug"`   // such as no-space; docs/daemon.md says what there is
	Detail string    `json:"detail"` // one line, that shows nothing which the caller may not know
	Since  time.Time `json:"since"`
}

// problems asks what is wrong.
func (c *call) problems(ctx context.Context) []HealthProblem {
	if c.o.Problems == nil {
		return []HealthProblem{}
	}
	return append([]HealthProblem{}, c.o.Problems(ctx)...)
}

// ready answers GET /readyz.
func (c *call) ready() error {
	ready := c.o.Ready
	if ready == nil {
		ready = func(ctx context.Context) error {
			_, err := c.d.Store().Clock(ctx)
			return err
		}
	}
	if err := ready(c.r.Context()); err != nil {
		return c.unready(err)
	}
	h := Health{Status: "ok", Problems: c.problems(c.r.Context())}
	if len(h.Problems) > 0 {
		h.Status = "degraded"
	}
	return c.json(http.StatusOK, &h)
}

// unready says why not. Whoever asks may be anybody, and an error of the store has the names of files, or of a database and its users, in it.
func (c *call) unready(err error) error {
	if errors.Is(err, ErrUnavailable) {
		return err
	}
	why := "the store does not answer"
	if errors.Is(err, store.ErrNoSpace) {
		why = "no space is left where the tasks are"
	}
	if c.allow(Read) == nil {
		why = err.Error()
	}
	c.log.DebugContext(c.r.Context(), "not ready", "error", err)
	return &mistake{class: ErrUnavailable, why: "not ready: " + why}
}
