package api

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/park"
)

var stateRoutes = []route{
	{method: http.MethodGet, path: "/v1/stats", need: Read, what: "Tell the counters, and how late attempts began.", answer: &Stats{}, serve: (*call).stats},
	{method: http.MethodGet, path: "/openapi.json", what: "Describe this.", answer: map[string]any{}, serve: (*call).openapi},
	{method: http.MethodGet, path: "/livez", what: "Answer that the process lives.", form: "text/plain", serve: (*call).live},
	{method: http.MethodGet, path: "/readyz", what: "Answer whether requests can be carried out, and what is wrong beside that.", answer: &Health{}, serve: (*call).ready},
	{method: http.MethodGet, path: "/metrics", need: Read, what: "Tell the counters in the text form of Prometheus.", form: "text/plain", serve: (*call).metrics},
}

// answering is how long the store may take for the counters. Whoever asks for them wants to know whether it hangs.
const answering = 5 * time.Second

// stats answers GET /v1/stats.
func (c *call) stats() error {
	ctx, stop := park.Within(c.r.Context(), answering, fmt.Errorf("%w: the store has not answered within %v", ErrUnavailable, answering))
	defer stop()
	s, err := c.d.Stats(ctx)
	if err != nil {
		return err
	}
	v := statsOf(&s)
	v.Version, v.Problems = c.o.Version, c.problems(c.r.Context())
	if c.o.Store != nil {
		v.Store = c.o.Store()
	}
	return c.json(http.StatusOK, &v)
}

func statsOf(s *duly.Stats) Stats {
	v := Stats{
		Pending: max(s.Store.Tasks-s.Store.Running, 0), Running: s.Store.Running, Dead: s.Store.Dead, History: s.Store.History, Near: s.Near,
		StoreErrors: s.StoreErrors, Kinds: map[string]KindStats{},
	}
	for name, k := range s.Kinds {
		v.Kinds[name] = KindStats{
			Started: k.Started, Succeeded: k.Succeeded, Failed: k.Failed, Snoozed: k.Snoozed, Dead: k.Dead, Cancelled: k.Cancelled, Lost: k.Lost,
			Fenced: k.Fenced, Skipped: k.Skipped, Expired: k.Expired, Early: k.Early, Running: k.Running,
			Late50: Duration(k.Total.Quantile(0.5)), Late99: Duration(k.Total.Quantile(0.99)),
		}
	}
	return v
}

// live answers GET /livez.
func (c *call) live() error {
	c.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if c.r.Method != http.MethodHead {
		_, _ = io.WriteString(c.w, "ok\n") // whoever does not take it has gone
	}
	return nil
}

// metrics answers GET /metrics.
func (c *call) metrics() error {
	if c.o.Metrics == nil {
		return &mistake{class: ErrNoRoute, field: "path", value: quote(c.r.URL.Path), want: "another: there are no metrics here"}
	}
	c.o.Metrics.ServeHTTP(c.w, c.r)
	return nil
}
