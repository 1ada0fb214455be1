package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
)

func TestSteer_One(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		var runs atomic.Int32
		e.work(func(context.Context, *duly.Attempt[[]byte]) error { runs.Add(1); return nil })
		post := func(path, body string) *answer { return e.do("POST", "/v1/tasks/"+path, body) }
		count := func(path, body string) int { return read[api.Count](post(path, body).want(http.StatusOK)).Count }
		e.do("PUT", "/v1/tasks/every", `{"kind": "mail", "every": "1h"}`).want(http.StatusCreated)
		if a := post("every/run", "").want(http.StatusAccepted); a.body != "" {
			t.Errorf("run: %q", a.body)
		}
		e.pass(time.Second)
		is(t, "runs", runs.Load(), 1)
		post("every/run", "{}").want(http.StatusAccepted)
		post("every/run", `{"at": "now"}`).want(http.StatusBadRequest).problem("invalid", "at")

		is(t, "paused", count("every/pause", `{"why": "holiday"}`), 1)
		is(t, "paused again", count("every/pause", ``), 0)
		why := read[api.Why](e.do("GET", "/v1/tasks/every/why", "").want(http.StatusOK))
		if why.Code != "paused" || why.Task == nil || why.Task.PausedWhy != "holiday" || why.Task.PausedAt.IsZero() {
			t.Errorf("why: %+v", why)
		}
		post("every/pause", `{"reason": "holiday"}`).want(http.StatusBadRequest).problem("invalid", "reason")
		is(t, "resumed", count("every/resume", ``), 1)
		is(t, "resumed again", count("every/resume", `{}`), 0)
		post("every/resume", `{"why": "back"}`).want(http.StatusBadRequest).problem("invalid", "why")
		is(t, "redriven", count("every/redrive", ``), 0)

		e.do("PUT", "/v1/tasks/once", `{"kind": "done", "in": "0s"}`).want(http.StatusCreated)
		e.pass(time.Second)
		post("once/run", "").want(http.StatusGone).problem("finished", "")
		post("once/pause", "").want(http.StatusGone).problem("finished", "")
		post("once/resume", "").want(http.StatusGone).problem("finished", "")
		is(t, "redriven of what was done", count("once/redrive", ``), 0)
		is(t, "why of what has ended", read[api.Why](e.do("GET", "/v1/tasks/once/why", "")).Code, "done")
		is(t, "why of nothing", read[api.Why](e.do("GET", "/v1/tasks/nobody/why", "")).Code, "unknown")
	})
}

func TestSteer_Redrive(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		var broken atomic.Bool
		broken.Store(true)
		e.work(func(context.Context, *duly.Attempt[[]byte]) error {
			if broken.Load() {
				return errors.New("oops")
			}
			return nil
		})
		for _, name := range []string{"a", "b", "bb", "c"} {
			e.do("PUT", "/v1/tasks/"+name, `{"kind": "mail", "in": "0s", "attempts": 1, "tags": ["`+name[:1]+`"]}`).want(http.StatusCreated)
		}
		e.pass(time.Second)
		dead := func() int { return len(read[api.TaskPage](e.do("GET", "/v1/tasks?state=dead", "")).Tasks) }
		is(t, "dead", dead(), 4)
		broken.Store(false)
		is(t, "one", read[api.Count](e.do("POST", "/v1/tasks/b/redrive", "").want(http.StatusOK)).Count, 1)
		e.pass(time.Second)
		is(t, "dead after it", dead(), 3)
		e.do("PUT", "/v1/tasks/c", `{"kind": "mail", "in": "1h", "priority": 1}`).want(http.StatusCreated)
		e.do("POST", "/v1/tasks/c/redrive", "").want(http.StatusConflict).problem("exists", "")
		is(t, "by tag", read[api.Count](e.do("POST", "/v1/redrive", `{"tag": "b"}`).want(http.StatusOK)).Count, 1)
		is(t, "by name", read[api.Count](e.do("POST", "/v1/redrive", `{"names": ["a", "nobody"]}`).want(http.StatusOK)).Count, 1)
		e.pass(time.Second)
		is(t, "dead at the end", dead(), 1)
	})
}

func TestSteer_Selection(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		for i := range 12 {
			spec := fmt.Sprintf(`{"kind": "k%d", "in": "1h", "tags": ["t%d"]}`, i%2, i%3)
			e.do("PUT", "/v1/tasks/n"+strconv.Itoa(i), spec).want(http.StatusCreated)
			e.do("PUT", "/v1/tasks/n"+strconv.Itoa(i)+"?namespace=other", spec).want(http.StatusCreated)
		}
		for _, c := range []struct {
			selection string
			want      int
		}{
			{`{"kind": "k0", "tag": "t0"}`, 2},
			{`{"prefix": "n1"}`, 3},
			{`{"names": ["n2", "n3", "n3", "nobody"]}`, 2},
			{`{"names": ["n2", "n3"], "kind": "k1"}`, 1},
			{`{"all": true}`, 12},
			{`{"kind": "none"}`, 0},
		} {
			got := read[api.Count](e.do("POST", "/v1/pause", c.selection).want(http.StatusOK))
			is(t, "paused by "+c.selection, got.Count, c.want)
			got = read[api.Count](e.do("POST", "/v1/resume", c.selection).want(http.StatusOK))
			is(t, "resumed by "+c.selection, got.Count, c.want)
		}
		for selection, field := range map[string]string{
			``: "body", `{}`: "names", `{"names": []}`: "names", `{"all": false}`: "names", `{"all": true, "kind": "k0"}`: "all", `{"why": "x"}`: "names", `{"name": "n1"}`: "name",
			`{"all": "yes"}`: "all", `{"names": "n1"}`: "names",
		} {
			for _, verb := range []string{"pause", "resume", "redrive"} {
				e.do("POST", "/v1/"+verb, selection, "Content-Type: application/json").want(http.StatusBadRequest).problem("invalid", field)
			}
		}
		e.do("POST", "/v1/pause", `{"prefix": "n1", "why": "holiday"}`).want(http.StatusOK)
		e.do("POST", "/v1/resume", `{"prefix": "n1", "why": "holiday"}`).want(http.StatusBadRequest).problem("invalid", "why")
		is(t, "why", read[api.Task](e.do("GET", "/v1/tasks/n1", "")).PausedWhy, "holiday")
		is(t, "another namespace", read[api.Task](e.do("GET", "/v1/tasks/n1?namespace=other", "")).PausedWhy, "")
	})
}
