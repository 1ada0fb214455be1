package api

import (
	"context"
	"errors"
	"math"
	"net/http"
	"unicode/utf8"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/target"
)

var outputRoutes = []route{
	{
		method: http.MethodGet, path: "/v1/tasks/{name}/attempts", need: Read,
		what:   "List what is kept of the attempts at a command or a callback, the newest first.",
		params: []param{{"limit", "how many at most, 1 to 1000; 100", number}}, answer: &AttemptPage{}, serve: (*call).attempts,
	},
	{
		method: http.MethodGet, path: "/v1/tasks/{name}/output", need: Read, answer: &Chunk{}, form: ndjson,
		what: "Tell what an attempt has printed, a line of JSON for each part. Without run_id and attempt it is the newest one.",
		params: []param{
			{"run_id", "of which run; its newest attempt, without attempt", text},
			{"attempt", "of the run: which attempt, from 1", number},
			{"follow", "true: go on until the attempt has ended, as it prints", boolean},
		},
		serve: (*call).output,
	},
}

// outputs are what attempts have printed, if that is kept.
func (c *call) outputs() (*target.Outputs, error) {
	if c.o.Outputs == nil {
		return nil, &mistake{class: ErrNoOutput, why: "this server keeps no output of attempts"}
	}
	return c.o.Outputs, nil
}

// attempts answers GET /v1/tasks/{name}/attempts.
func (c *call) attempts() error {
	limit, err := c.number("limit", defaultLimit, maxLimit)
	if err != nil {
		return err
	}
	out, err := c.outputs()
	if err != nil {
		return err
	}
	kept, err := out.Attempts(c.r.Context(), c.d.Namespace(), c.name, limit)
	if err != nil {
		return err
	}
	if len(kept) == 0 {
		if _, err := c.d.Get(c.r.Context(), c.name); errors.Is(err, duly.ErrNotFound) {
			return err
		}
	}
	page := AttemptPage{Attempts: make([]Attempt, len(kept))}
	for i := range kept {
		page.Attempts[i] = attemptOf(&kept[i])
	}
	return c.json(http.StatusOK, &page)
}

func attemptOf(a *target.Attempt) Attempt {
	return Attempt{
		RunID: a.RunID, Attempt: a.Number, Fence: a.Fence, ScheduledFor: a.ScheduledFor, DueAt: a.Due, StartedAt: a.Started, EndedAt: a.Ended,
		Lateness: lateness(a.Started, a.Due), Running: a.Running, Outcome: a.Outcome, ExitCode: a.ExitCode, Signal: a.Signal, Status: a.Status,
		Reason: a.Reason, Bytes: a.Bytes, Omitted: a.Omitted,
	}
}

// which returns the attempt whose output is asked for, and whether it runs.
func (c *call) which(ctx context.Context, out *target.Outputs) (runID string, attempt int, running bool, err error) {
	runID = c.q.Get("run_id")
	if attempt, err = c.number("attempt", 0, math.MaxInt32); err != nil {
		return "", 0, false, err
	}
	if attempt > 0 && runID == "" {
		return "", 0, false, wrong("run_id", "not given", "the run that the attempt belongs to")
	}
	kept, err := out.Attempts(ctx, c.d.Namespace(), c.name, maxLimit)
	if err != nil {
		return "", 0, false, err
	}
	for i := range kept {
		if a := &kept[i]; (runID == "" || a.RunID == runID) && (attempt == 0 || a.Number == attempt) {
			return a.RunID, a.Number, a.Running, nil
		}
	}
	if attempt > 0 { // an older one
		return runID, attempt, false, nil
	}
	return "", 0, false, &mistake{class: duly.ErrNotFound, why: "no attempt at " + quote(c.name) + " is kept"}
}

// output answers GET /v1/tasks/{name}/output.
func (c *call) output() error {
	out, err := c.outputs()
	if err != nil {
		return err
	}
	runID, attempt, running, err := c.which(c.r.Context(), out)
	if err != nil {
		return err
	}
	s, ctx, cancel := c.stream(ndjson)
	defer cancel()
	follow := c.boolean("follow") && running
	if follow && s.flush() != nil { // the reader learns at once that there is something to wait for
		return nil
	}
	begun := follow
	for chunk, err := range out.Chunks(ctx, c.d.Namespace(), c.name, runID, attempt, follow) {
		switch {
		case err != nil && !begun:
			return err
		case err != nil:
			s.log.DebugContext(ctx, "output was cut off", "name", c.name, "error", err)
			panic(http.ErrAbortHandler) // the reader must not take this for the end
		}
		v := chunkOf(&chunk)
		s.line(&v)
		if follow || s.buf.Len() >= bufferMost {
			if begun = true; s.flush() != nil {
				return nil // whoever read has gone, or is too slow
			}
		}
	}
	_ = s.flush() // as before
	return nil
}

func chunkOf(c *target.Chunk) Chunk {
	v := Chunk{RunID: c.RunID, Attempt: c.Attempt, At: c.At, Stream: c.Stream, Omitted: c.Omitted}
	if utf8.Valid(c.Data) {
		v.Text = string(c.Data)
	} else {
		v.Base64 = c.Data
	}
	return v
}
