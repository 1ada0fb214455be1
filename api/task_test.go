package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/target"
)

func TestPut(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		const spec = `{"kind": "mail", "payload": {"to": [1, 2]}, "in": "1m30s", "tags": ["b", "a"], "key": "smtp", "timeout": "PT10S", "attempts": 3}`
		a := e.do("PUT", "/v1/tasks/tea", spec).want(http.StatusCreated)
		now := time.Now().UTC()
		got := read[api.Entry](a)
		is(t, "entry", *got, api.Entry{
			Name: "tea", Outcome: "created", Generation: got.Generation, ScheduledFor: now.Add(90 * time.Second), DueAt: now.Add(90 * time.Second),
		})
		is(t, "ETag", a.header.Get("ETag"), strconv.Quote(strconv.FormatInt(got.Generation, 10)))
		again := read[api.Entry](e.do("PUT", "/v1/tasks/tea", spec).want(http.StatusOK))
		is(t, "outcome of the same again", again.Outcome, "unchanged")
		is(t, "generation of the same again", again.Generation, got.Generation)

		task := read[api.Task](e.do("GET", "/v1/tasks/tea", "").want(http.StatusOK))
		is(t, "task", *task, api.Task{
			Name: "tea", Kind: "mail", State: "pending", Schedule: "in 1m30s", Words: task.Words, Generation: got.Generation,
			AcceptedAt: now, ScheduledFor: now.Add(90 * time.Second), DueAt: now.Add(90 * time.Second), Runs: []api.Run{},
			Payload: []byte(`{"to":[1,2]}`), Key: "smtp", Tags: []string{"a", "b"},
			Policy: api.Policy{Attempts: 3, Timeout: api.Duration(10 * time.Second), KeyLimit: 1},
		})
	})
}

// A name is any text, percent-encoded in the path.
func TestNames(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		for _, name := range []string{
			"a", "a/b", "/", "//", "a//b/", "%", "%2F", "a b", "a+b", "a?b#c", "…", "日本語", "...", "tasks:batch", "é", "é", "a;b&c=d", `"\`, "x/why", strings.Repeat("x", 255),
		} {
			path := "/v1/tasks/" + url.PathEscape(name)
			got := read[api.Entry](e.do("PUT", path, `{"kind": "k", "in": "1h"}`).want(http.StatusCreated))
			is(t, "name", got.Name, name)
			task := read[api.Task](e.do("GET", path, "").want(http.StatusOK))
			is(t, "name", task.Name, name)
			e.do("GET", path+"/why", "").want(http.StatusOK)
			e.do("GET", path+"/history", "").want(http.StatusOK)
			is(t, "outcome", read[api.Cancelled](e.do("DELETE", path, "")), &api.Cancelled{Name: name, Outcome: "cancelled"})
		}
		for _, name := range []string{".", "..", "%2e", "%2E%2E", "a%00b", "a%0Ab", "%7F", "%FF", strings.Repeat("x", 256), ""} {
			for _, method := range []string{"GET", "PUT", "PATCH", "DELETE"} {
				e.do(method, "/v1/tasks/"+name, `{"kind": "k", "in": "1h"}`).want(http.StatusBadRequest).problem("invalid", "name")
			}
			e.do("POST", "/v1/tasks/"+name+"/run", "").problem("invalid", "name")
		}
		for _, name := range []string{".", "..", "a\\nb", strings.Repeat("x", 256)} {
			e.do("POST", "/v1/tasks", `{"name": "`+name+`", "kind": "k", "in": "1h"}`).want(http.StatusBadRequest).problem("invalid", "name")
		}
		for _, ns := range []string{"..", "a%00", strings.Repeat("x", 256)} {
			e.do("PUT", "/v1/tasks/a?namespace="+ns, `{"kind": "k", "in": "1h"}`).want(http.StatusBadRequest).problem("invalid", "namespace")
			e.do("GET", "/v1/tasks?namespace="+ns, "").want(http.StatusBadRequest).problem("invalid", "namespace")
		}
		is(t, "tasks", len(read[api.TaskPage](e.do("GET", "/v1/tasks", "")).Tasks), 0)
	})
}

func TestPost(t *testing.T) {
	bubble(t, api.Options{Prefix: "/duly"}, func(t *testing.T, e *env) {
		post := func(query, spec string) *answer { return e.raw("POST", "/duly/v1/tasks"+query, spec) }
		a := post("", `{"name": "a/b", "kind": "k", "in": "1h"}`).want(http.StatusCreated)
		is(t, "Location", a.header.Get("Location"), "/duly/v1/tasks/a%2Fb")
		if a.header.Get("ETag") == "" {
			t.Error("no ETag")
		}
		post("", `{"name": "a/b", "kind": "k", "in": "1h"}`).want(http.StatusConflict).problem("exists", "")
		post("", `{"name": "a/b", "kind": "other", "in": "1h"}`).want(http.StatusConflict).problem("kind-mismatch", "")
		post("", `{"name": "a/b", "kind": "k", "in": "1h", "conflict": "replace"}`).want(http.StatusBadRequest).problem("invalid", "conflict")
		names := map[string]bool{}
		for range 100 {
			a := post("?namespace=n", `{"kind": "k", "in": "1h"}`).want(http.StatusCreated)
			got := read[api.Entry](a)
			if names[got.Name] || len(got.Name) < 8 || got.Namespace != "n" {
				t.Errorf("made up: %+v", got)
			}
			names[got.Name] = true
			is(t, "Location", a.header.Get("Location"), "/duly/v1/tasks/"+got.Name+"?namespace=n")
			e.raw("GET", a.header.Get("Location"), "").want(http.StatusOK)
		}
		post("", `{"kind": "k", "in": "1h"}`).want(http.StatusCreated)
		e.raw("POST", "/duly/v1/tasks", `{"name": "x", "kind": "k", "in": "1h"}`, `If-Match: "1"`).want(http.StatusBadRequest).problem("invalid", "If-Match")
		e.raw("DELETE", "/duly/v1/tasks/x", "", `If-Match: "1"`).want(http.StatusBadRequest).problem("invalid", "If-Match")
	})
}

// What a condition does not let through is not changed, and of two that saw the same generation one is too late.
func TestConditions(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		const path = "/v1/tasks/a"
		spec := func(n int) string { return fmt.Sprintf(`{"kind": "k", "in": "1h", "priority": %d}`, n) }
		e.do("PUT", path, spec(0), `If-Match: "1"`).want(http.StatusPreconditionFailed).problem("condition", "")
		first := e.do("PUT", path, spec(1), "If-None-Match: *").want(http.StatusCreated).header.Get("ETag")
		e.do("PUT", path, spec(2), "If-None-Match: *").want(http.StatusPreconditionFailed).problem("condition", "")
		second := e.do("PUT", path, spec(3), "If-Match: "+first).want(http.StatusOK).header.Get("ETag")
		e.do("PUT", path, spec(4), "If-Match: "+first).want(http.StatusPreconditionFailed).problem("condition", "")
		e.do("PATCH", path, `{"payload": 1}`, "If-Match: "+first).want(http.StatusPreconditionFailed).problem("condition", "")
		e.do("PATCH", path, `{"in": "2h"}`, "If-Match: "+first).want(http.StatusPreconditionFailed).problem("condition", "")
		a := e.do("GET", path, "").want(http.StatusOK)
		is(t, "ETag", a.header.Get("ETag"), second)
		is(t, "priority", read[api.Task](a).Priority, 3)
		for _, bad := range []string{"1", "*", `W/"1"`, `"x"`, `"0"`, `"-1"`, `"1", "2"`, `""`, `"99999999999999999999"`} {
			e.do("PUT", path, spec(5), "If-Match: "+bad).want(http.StatusBadRequest).problem("invalid", "If-Match")
			e.do("PATCH", path, `{"in": "2h"}`, "If-Match: "+bad).want(http.StatusBadRequest).problem("invalid", "If-Match")
		}
		e.do("PUT", path, spec(5), `If-None-Match: "1"`).want(http.StatusBadRequest).problem("invalid", "If-None-Match")
		e.do("PATCH", path, `{"in": "2h"}`, `If-None-Match: *`).want(http.StatusBadRequest).problem("invalid", "If-None-Match")
	})
}

// Of many that have seen the same generation exactly one changes it, whichever way they go.
func TestConditions_Race(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		const path = "/v1/tasks/a"
		tag := e.do("PUT", path, `{"kind": "k", "every": "1h"}`).want(http.StatusCreated).header.Get("ETag")
		for round := range 20 {
			var wg sync.WaitGroup
			var mu sync.Mutex
			var won []string
			for i := range 8 {
				wg.Go(func() {
					var a *answer
					switch n := strconv.Itoa(round*8 + i); i % 3 {
					case 0:
						a = e.raw("PUT", path, `{"kind": "k", "every": "1h", "payload": `+n+`}`, "If-Match: "+tag)
					case 1:
						a = e.raw("PATCH", path, `{"payload": `+n+`}`, "If-Match: "+tag)
					default:
						a = e.raw("PATCH", path, `{"in": "`+n+`m", "payload": `+n+`}`, "If-Match: "+tag)
					}
					mu.Lock()
					defer mu.Unlock()
					switch a.status {
					case http.StatusOK:
						won = append(won, a.header.Get("ETag"))
					case http.StatusPreconditionFailed:
					default:
						t.Errorf("%s: %d: %s", a.what, a.status, a.body)
					}
				})
			}
			wg.Wait()
			if len(won) != 1 {
				t.Fatalf("round %d: %d have changed generation %s", round, len(won), tag)
			}
			tag = won[0]
		}
		is(t, "ETag", e.do("GET", path, "").header.Get("ETag"), tag)
	})
}

// Without a condition a change is made to what is there when it is made: of many none is lost.
func TestPatch_Concurrent(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		e.do("PUT", "/v1/tasks/a", `{"kind": "k", "every": "1h"}`).want(http.StatusCreated)
		tags := make(chan string, 64)
		var wg sync.WaitGroup
		for i := range cap(tags) {
			wg.Go(func() {
				a := e.raw("PATCH", "/v1/tasks/a", fmt.Sprintf(`{"payload": %d}`, i))
				if a.status != http.StatusOK {
					t.Errorf("%d: %s", a.status, a.body)
				}
				tags <- a.header.Get("ETag")
			})
		}
		wg.Wait()
		close(tags)
		seen := map[string]bool{}
		for tag := range tags {
			if seen[tag] {
				t.Errorf("generation %s is there twice", tag)
			}
			seen[tag] = true
		}
	})
}

func TestPatch(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		now := time.Now().UTC()
		release := make(chan struct{})
		e.work(func(ctx context.Context, a *duly.Attempt[[]byte]) error {
			if a.Name == "runs" {
				<-release
			}
			return nil
		})
		put := func(name, spec string) { e.do("PUT", "/v1/tasks/"+name, spec).want(http.StatusCreated) }
		patch := func(name, change string) *answer { return e.do("PATCH", "/v1/tasks/"+name, change) }
		put("once", `{"kind": "k", "in": "1h"}`)
		got := read[api.Entry](patch("once", `{"in": "2h"}`).want(http.StatusOK))
		is(t, "entry", *got, api.Entry{Name: "once", Generation: got.Generation, ScheduledFor: now.Add(2 * time.Hour), DueAt: now.Add(2 * time.Hour)})
		got = read[api.Entry](patch("once", `{"at": "2000-01-01T12:00:00Z", "payload": {"a": 1}}`).want(http.StatusOK))
		is(t, "moved to", got.DueAt.Sub(now), 12*time.Hour)
		got = read[api.Entry](patch("once", `{"schedule": "at 2000-01-02T00:00Z"}`).want(http.StatusOK))
		is(t, "moved to", got.DueAt.Sub(now), 24*time.Hour)
		task := read[api.Task](e.do("GET", "/v1/tasks/once", ""))
		is(t, "payload", string(task.Payload), `{"a":1}`)
		is(t, "schedule", task.Schedule, "at 2000-01-02T00:00:00Z")
		for _, change := range []string{`{"at": "tomorrow 17:00", "zone": "Asia/Tokyo"}`, `{"schedule": "at 2000-01-02T17:00", "zone": "Asia/Tokyo"}`} {
			got = read[api.Entry](patch("once", change).want(http.StatusOK))
			is(t, "moved to", got.DueAt.Sub(now), 32*time.Hour)
		}

		put("cmd", `{"command": {"args": ["a"]}, "every": "1h"}`)
		patch("cmd", `{"command": {"args": ["b"], "env": {"API_TOKEN": "swordfish"}}}`).want(http.StatusOK)
		is(t, "command", read[api.Task](e.do("GET", "/v1/tasks/cmd", "")).Command.Args, []string{"b"})
		patch("cmd", `{"http": {"url": "https://x.example"}}`).want(http.StatusConflict).problem("kind-mismatch", "")
		patch("cmd", `{"payload": {"args": ["rm"]}}`).want(http.StatusBadRequest).problem("invalid", "payload")
		patch("once", `{"command": {"args": ["b"]}}`).want(http.StatusConflict).problem("kind-mismatch", "")
		patch("cmd", `{"command": {"args": ["b"], "env": {"API_TOKEN": "[redacted]"}}}`).want(http.StatusBadRequest).problem("invalid", "command.env.API_TOKEN")

		for _, c := range []struct{ change, field string }{
			{`{}`, "body"},
			{``, "body"},
			{`{"every": "1h"}`, "every"},
			{`{"schedule": "every 1h"}`, "schedule"},
			{`{"in": "1h", "at": "2000-01-01T00:00:00Z"}`, "at"},
			{`{"command": {"args": ["b"]}, "payload": 1}`, "payload"},
			{`{"command": {}}`, "command.args"},
			{`{"in": "1h", "kind": "k"}`, "kind"},
			{`{"in": "1h", "zone": "Asia/Tokyo"}`, "zone"},
			{`{"payload": 1, "zone": "Asia/Tokyo"}`, "zone"},
			{`{"at": "tomorrow 17:00", "zone": "Local"}`, "zone"},
			{`{"zone": ""}`, "body"},
		} {
			e.do("PATCH", "/v1/tasks/once", c.change, "Content-Type: application/json").want(http.StatusBadRequest).problem("invalid", c.field)
		}

		put("runs", `{"kind": "mail", "in": "0s"}`)
		put("done", `{"kind": "done", "in": "0s"}`)
		e.pass(time.Second)
		patch("runs", `{"in": "1h"}`).want(http.StatusConflict).problem("running", "")
		patch("runs", `{"payload": 1}`).want(http.StatusConflict).problem("running", "")
		patch("done", `{"in": "1h"}`).want(http.StatusGone).problem("finished", "")
		e.do("GET", "/v1/tasks/done", "").want(http.StatusGone).problem("finished", "")
		close(release)
	})
}

func TestList(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		for i := range 25 {
			spec := fmt.Sprintf(`{"kind": "k%d", "in": "%dh", "tags": ["t%d"]}`, i%2, i+1, i%5)
			e.do("PUT", fmt.Sprintf("/v1/tasks/n%02d", i), spec).want(http.StatusCreated)
		}
		e.do("PUT", "/v1/tasks/other?namespace=ns", `{"kind": "k1", "in": "1h"}`).want(http.StatusCreated)
		e.do("POST", "/v1/tasks/n03/pause", `{"why": "holiday"}`).want(http.StatusOK)
		names := func(query string) []string {
			t.Helper()
			var all []string
			for cursor, pages := "", 0; ; pages++ {
				page := read[api.TaskPage](e.do("GET", "/v1/tasks?"+query+"&cursor="+url.QueryEscape(cursor), "").want(http.StatusOK))
				for _, task := range page.Tasks {
					all = append(all, task.Name)
				}
				if cursor = page.Cursor; cursor == "" || pages > 100 {
					return all
				}
			}
		}
		for query, want := range map[string]int{
			"limit=3": 25, "limit=1000": 25, "limit=25": 25, "limit=1": 25, "kind=k1": 12, "tag=t0&limit=2": 5, "prefix=n1": 10, "prefix=n1&kind=k0&limit=2": 5,
			"paused=true": 1, "paused=false": 25, "state=pending": 25, "state=running": 0, "state=dead": 0, "namespace=ns": 1, "all_namespaces=true&limit=4": 26,
			"namespace=none": 0, "due_until=2000-01-01T05:00:00Z": 4, "due_from=2000-01-01T20:00:00Z&limit=2": 7, // what is paused stands at never
		} {
			got := names(query)
			if len(got) != want || !slices.IsSorted(got[:max(len(got)-1, 0)]) {
				t.Errorf("%s: %d tasks, want %d, in order: %q", query, len(got), want, got)
			}
		}
		for query, field := range map[string]string{
			"limit=0": "limit", "limit=1001": "limit", "limit=-1": "limit", "limit=x": "limit", "limit=": "limit", "limit=1&limit=2": "limit", "state=done": "state",
			"paused=yes": "paused", "due_from=now": "due_from", "Kind=k": "Kind", "%zz": "query", "a;b": "query",
		} {
			e.do("GET", "/v1/tasks?"+query, "").want(http.StatusBadRequest).problem("invalid", field)
		}
		e.do("GET", "/v1/tasks?cursor=nonsense%00", "").want(http.StatusBadRequest).problem("invalid", "cursor")
	})
}

// A page ends where its payloads are too large for one, and goes on behind that.
func TestList_Bytes(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		payload := strings.Repeat("x", 1_000_000)
		for i := range 7 {
			e.raw("PUT", fmt.Sprintf("/v1/tasks/n%d", i), `{"kind": "k", "in": "1h", "payload": "`+payload+`"}`).want(http.StatusCreated)
		}
		first := read[api.TaskPage](e.raw("GET", "/v1/tasks?limit=1000", "").want(http.StatusOK))
		if len(first.Tasks) != 5 || first.Cursor == "" {
			t.Fatalf("%d tasks, the cursor %q; want 5, with which there are 4 MiB, and a cursor", len(first.Tasks), first.Cursor)
		}
		second := read[api.TaskPage](e.raw("GET", "/v1/tasks?limit=1000&cursor="+url.QueryEscape(first.Cursor), "").want(http.StatusOK))
		if len(second.Tasks) != 2 || second.Cursor != "" || second.Tasks[0].Name != "n5" || string(second.Tasks[1].Payload) != `"`+payload+`"` {
			t.Errorf("%d tasks, the cursor %q; want the other two", len(second.Tasks), second.Cursor)
		}
	})
}

func TestList_States(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		release := make(chan struct{})
		e.work(func(ctx context.Context, a *duly.Attempt[[]byte]) error {
			if a.Name == "dead" {
				return duly.Permanent(errors.New("no such address"))
			}
			<-release
			return nil
		})
		e.do("PUT", "/v1/tasks/dead", `{"kind": "mail", "in": "0s"}`).want(http.StatusCreated)
		e.do("PUT", "/v1/tasks/runs", `{"kind": "mail", "in": "0s"}`).want(http.StatusCreated)
		e.pass(time.Second)
		running := read[api.TaskPage](e.do("GET", "/v1/tasks?state=running", "")).Tasks
		if len(running) != 1 || running[0].State != "running" || len(running[0].Runs) != 1 || running[0].Runs[0].Attempt != 1 || running[0].Runs[0].Fence == 0 {
			t.Errorf("running: %+v", running)
		}
		dead := read[api.TaskPage](e.do("GET", "/v1/tasks?state=dead", "")).Tasks
		if len(dead) != 1 || dead[0].State != "dead" || dead[0].Runs[0].Reason != "no such address" {
			t.Errorf("dead: %+v", dead)
		}
		close(release)
	})
}

func TestCancel(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		e.work(func(ctx context.Context, a *duly.Attempt[[]byte]) error {
			<-ctx.Done()
			return context.Cause(ctx)
		})
		e.do("PUT", "/v1/tasks/later", `{"kind": "mail", "in": "1h"}`).want(http.StatusCreated)
		e.do("PUT", "/v1/tasks/runs", `{"kind": "mail", "in": "0s"}`).want(http.StatusCreated)
		e.do("PUT", "/v1/tasks/done", `{"kind": "done", "in": "0s"}`).want(http.StatusCreated)
		e.pass(time.Second)
		for name, want := range map[string]string{"later": "cancelled", "runs": "running", "done": "finished", "nobody": "unknown"} {
			got := read[api.Cancelled](e.do("DELETE", "/v1/tasks/"+name, "").want(http.StatusOK))
			is(t, "outcome", *got, api.Cancelled{Name: name, Outcome: want})
		}
		e.do("DELETE", "/v1/tasks/runs?running=kill", "").want(http.StatusBadRequest).problem("invalid", "running")
		is(t, "still there", read[api.Task](e.do("GET", "/v1/tasks/runs", "").want(http.StatusOK)).Ended, true)
		e.do("DELETE", "/v1/tasks/runs?running=stop", "").want(http.StatusOK)
		e.pass(time.Second)
		e.do("GET", "/v1/tasks/runs", "").want(http.StatusGone)
	})
}

// What looks secret is shown by no answer, wherever a task is shown.
func TestSecretsAreNotShown(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		const secret = "swordfish"
		e.do("PUT", "/v1/tasks/cmd", `{"command": {"args": ["x"], "env": {"DB_PASSWORD": "swordfish", "HOME": "/root"}}, "every": "1h"}`).want(http.StatusCreated)
		e.do("PUT", "/v1/tasks/web", `{"http": {"url": "https://x.example", "header": {"Authorization": "Bearer swordfish"}}, "every": "1h"}`).want(http.StatusCreated)
		for _, name := range []string{"cmd", "web"} {
			for _, path := range []string{"/v1/tasks/" + name, "/v1/tasks", "/v1/tasks/" + name + "/why", "/v1/tasks/" + name + "/history", "/v1/history"} {
				a := e.do("GET", path, "").want(http.StatusOK)
				if strings.Contains(a.body, secret) {
					t.Errorf("%s shows the secret: %s", path, a.body)
				}
			}
			if body := e.do("GET", "/v1/tasks/"+name, "").body; !strings.Contains(body, target.Redaction) {
				t.Errorf("%s", body)
			}
		}
		a := e.do("PUT", "/v1/tasks/x", `{"http": {"url": "https://x.example", "header": {"Authorization": "swordfish\u0000"}}, "in": "1h"}`)
		if a.want(http.StatusBadRequest); strings.Contains(a.body, secret) {
			t.Errorf("an error shows the secret: %s", a.body)
		}
	})
}

// A payload that is no JSON, as a program's own codec may write it, is shown as base64.
func TestPayloads(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		raw := duly.Declare[[]byte](e.d, "raw")
		for name, c := range map[string]struct{ payload, want string }{
			"json": {`{"a":[1,null]}`, `{"a":[1,null]}`}, "text": {"hello", `"aGVsbG8="`}, "none": {"", ``}, "broken": {`{"a"`, `"eyJhIg=="`},
		} {
			if _, err := raw.Put(e.Context(), name, []byte(c.payload), schedule.After(time.Hour)); err != nil {
				t.Fatal(err)
			}
			is(t, name, string(read[api.Task](e.do("GET", "/v1/tasks/"+name, "").want(http.StatusOK)).Payload), c.want)
		}
		cmd := duly.Declare[[]byte](e.d, target.KindCommand)
		if _, err := cmd.Put(e.Context(), "odd", []byte(`"DB_PASSWORD=swordfish"`), schedule.After(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if a := e.do("GET", "/v1/tasks/odd", "").want(http.StatusOK); strings.Contains(a.body, "swordfish") {
			t.Errorf("a command that can't be read is shown: %s", a.body)
		}
		e.do("PUT", "/v1/tasks/null", `{"kind": "k", "in": "1h"}`).want(http.StatusCreated)
		is(t, "none given", string(read[api.Task](e.do("GET", "/v1/tasks/null", "")).Payload), "null")
	})
}

// A name that can't be one is refused in the words of what was asked for.
func TestNames_RefusedByTheirVerb(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		for method, verb := range map[string]string{"GET": "get", "PUT": "put", "DELETE": "cancel"} {
			body := ""
			if method == "PUT" {
				body = `{"in": "5m", "kind": "k"}`
			}
			p := read[api.Problem](e.do(method, "/v1/tasks/a%09b", body).want(http.StatusBadRequest))
			if p.Field != "name" || !strings.HasPrefix(p.Detail, verb+" ") {
				t.Errorf("%s: %+v", method, p)
			}
		}
	})
}
