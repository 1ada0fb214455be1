package client

import (
	"context"
	"iter"
	"net/http"

	"github.com/dulyhq/duly/api"
)

// Attempts returns what is kept of the newest attempts of a task of the daemon's own kinds, the newest first. A limit of 0 is what the
// daemon thinks right.
func (c *Client) Attempts(ctx context.Context, name string, limit int) ([]api.Attempt, error) {
	r, err := about("attempts", http.MethodGet, name, "/attempts")
	if err != nil {
		return nil, err
	}
	r.setInt("limit", int64(limit))
	var p api.AttemptPage
	err = c.call(ctx, r, &p)
	return p.Attempts, err
}

// Output yields what an attempt has printed: of a run, by the id that an attempt or a task's run tells, an attempt of 0 being its newest
// one; or with neither the newest of all. To follow is to go on until the attempt has ended. It is duly.ErrNotFound if none is kept. A connection that breaks is an error: what was kept can be asked for again.
func (c *Client) Output(ctx context.Context, name, runID string, attempt int, follow bool) iter.Seq2[api.Chunk, error] {
	return func(yield func(api.Chunk, error) bool) {
		r, err := about("output", http.MethodGet, name, "/output")
		if err != nil {
			yield(api.Chunk{}, err)
			return
		}
		r.set("run_id", runID)
		r.setInt("attempt", int64(attempt))
		r.setBool("follow", follow)
		res, _, err := c.send(ctx, r)
		if err != nil {
			yield(api.Chunk{}, err)
			return
		}
		defer func() { _ = res.Body.Close() }()
		for chunk, err := range lines[api.Chunk](res.Body) {
			if err != nil {
				yield(api.Chunk{}, r.lost(ctx, err))
				return
			}
			if !yield(chunk, nil) {
				return
			}
		}
	}
}
