package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dulyhq/duly/api"
)

const ndjson = "Content-Type: application/x-ndjson"

// entries reads the lines of an answer.
func (a *answer) entries() (all []api.Entry) {
	a.Helper()
	is(a.T, "Content-Type", a.header.Get("Content-Type"), "application/x-ndjson")
	for line := range strings.Lines(a.body) {
		var v api.Entry
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			a.Fatalf("%v in %s", err, line)
		}
		all = append(all, v)
	}
	return all
}

// Ten thousand lines, some of which can't be right: each has its answer in its place, and what is right is there.
func TestBatch_TenThousand(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		const n = 10_000
		var body strings.Builder
		bad := map[int]string{}
		for i := range n {
			line := fmt.Sprintf(`{"name": "n%05d", "kind": "k%d", "in": "1h", "payload": %d}`, i, i%3, i)
			switch i % 97 {
			case 1:
				line, bad[i] = `{"name": "n", "kind": "k", "in": 5}`, "in"
			case 2:
				line, bad[i] = `{"name": "n", "kind": "k", "in": "1h", "timeout": "0s"}`, "timeout"
			case 3:
				line, bad[i] = `not JSON`, "body"
			case 4:
				line, bad[i] = `{"name": "..", "kind": "k", "in": "1h"}`, "name"
			case 5:
				line, bad[i] = `{"name": "n", "kind": "k", "in": "1h", "nme": 1}`, "nme"
			}
			body.WriteString(line + "\n")
			if i%1000 == 0 {
				body.WriteString("\r\n \n")
			}
		}
		got := e.do("POST", "/v1/tasks:batch", body.String(), ndjson).want(http.StatusOK).entries()
		if len(got) != n {
			t.Fatalf("%d answers, want %d", len(got), n)
		}
		for i, v := range got {
			switch field, wrong := bad[i]; {
			case wrong && (v.Error == nil || v.Error.Slug != "invalid" || v.Error.Field != field || v.Error.Want == ""):
				t.Fatalf("line %d: %+v, want a problem with %s", i, v, field)
			case !wrong && (v.Error != nil || v.Outcome != "created" || v.Name != fmt.Sprintf("n%05d", i) || v.Generation == 0):
				t.Fatalf("line %d: %+v", i, v)
			}
		}
		stats := read[api.Stats](e.do("GET", "/v1/stats", ""))
		is(t, "pending", stats.Pending, int64(n-len(bad)))
	})
}

func TestBatch_Lines(t *testing.T) {
	var asked atomic.Int32
	o := api.Options{Commands: true, MaxBody: 200, MaxBatch: 9, Authorize: func(_ *http.Request, need api.Scope) error {
		if need == api.Exec {
			asked.Add(1)
			return api.ErrForbidden
		}
		return nil
	}}
	bubble(t, o, func(t *testing.T, e *env) {
		batch := func(body string) []api.Entry {
			t.Helper()
			return e.do("POST", "/v1/tasks:batch", body, ndjson).want(http.StatusOK).entries()
		}
		slug := func(v api.Entry) string {
			if v.Error == nil {
				return v.Outcome
			}
			return v.Error.Slug
		}
		is(t, "of nothing", len(e.raw("POST", "/v1/tasks:batch", "\n\n", ndjson).want(http.StatusOK).entries()), 0)
		got := batch(`{"name": "a", "kind": "k", "in": "1h"}
{"name": "a", "kind": "k", "in": "1h"}
{"name": "a", "kind": "other", "in": "1h"}
{"name": "a", "kind": "other", "in": "2h", "any_kind": true}
{"name": "a", "kind": "k", "in": "3h", "conflict": "fail", "any_kind": true}
{"command": {"args": ["x"]}, "in": "1h"}
{"command": {"args": ["x"]}, "in": "1h"}
{"kind": "k", "in": "1h", "payload": "` + strings.Repeat("x", 200) + `"}
{"kind": "k", "in": "1h"}`)
		var slugs []string
		for _, v := range got {
			slugs = append(slugs, slug(v))
		}
		is(t, "answers", slugs, []string{"created", "unchanged", "kind-mismatch", "replaced", "exists", "forbidden", "forbidden", "too-large", "created"})
		is(t, "asked for the scope exec", asked.Load(), 1)
		if len(got[8].Name) < 8 || got[7].Error.Field != "line" || !strings.HasPrefix(got[7].Error.Detail, "line 8: ") {
			t.Errorf("%+v", got)
		}
		got = batch(strings.Repeat(`{"kind": "k", "in": "1h"}`+"\n", 12))
		if len(got) != 10 || got[8].Outcome != "created" || slug(got[9]) != "too-large" || got[9].Error.Want != "at most 9 lines" {
			t.Errorf("12 lines of at most 9: %+v", got)
		}
		e.do("POST", "/v1/tasks:batch", `{}`, "Content-Type: application/json").want(http.StatusUnsupportedMediaType).problem("media-type", "Content-Type")
		e.do("POST", "/v1/tasks:batch", `{}`, ndjson, `If-Match: "1"`).want(http.StatusBadRequest).problem("invalid", "If-Match")
	})
}
