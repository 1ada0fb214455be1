package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/store"
)

// Who asks for the counters of a store that hangs is told so.
func TestStats_OfAStoreThatHangs(t *testing.T) {
	bubble(t, api.Options{}, func(t *testing.T, e *env) {
		e.st.silent = true
		begun := time.Now()
		a := e.do("GET", "/v1/stats", "").want(http.StatusServiceUnavailable)
		if took := time.Since(begun); took != 5*time.Second || !strings.Contains(a.body, "the store has not answered within 5s") {
			t.Errorf("after %v: %s", took, a.body)
		}
	})
}

// The API's half of requirement F13: how late attempts began is measured, and published for each kind.
func TestLatenessHistogram(t *testing.T) {
	bubble(t, api.Options{Version: "1.2.3"}, func(t *testing.T, e *env) {
		duly.Handle(e.d, "slow", func(ctx context.Context, a *duly.Attempt[[]byte]) error { time.Sleep(time.Second); return nil }, duly.Limit(1))
		e.work(func(context.Context, *duly.Attempt[[]byte]) error { return duly.Permanent(errors.New("no")) })
		for _, name := range []string{"a", "b", "c", "d"} {
			e.do("PUT", "/v1/tasks/"+name, `{"kind": "done", "in": "1s"}`).want(http.StatusCreated)
			e.do("PUT", "/v1/tasks/slow-"+name, `{"kind": "slow", "in": "1s"}`).want(http.StatusCreated)
		}
		e.do("PUT", "/v1/tasks/bad", `{"kind": "mail", "in": "1s"}`).want(http.StatusCreated)
		e.do("PUT", "/v1/tasks/far", `{"kind": "done", "in": "8h"}`).want(http.StatusCreated)
		e.pass(time.Minute)
		body := e.do("GET", "/v1/stats", "").want(http.StatusOK)
		s := read[api.Stats](body)
		is(t, "version", s.Version, "1.2.3")
		is(t, "pending", s.Pending, 1)
		is(t, "running", s.Running, 0)
		is(t, "dead", s.Dead, 1)
		is(t, "history", s.History, 9)
		done, slow, mail := s.Kinds["done"], s.Kinds["slow"], s.Kinds["mail"]
		is(t, "started", [3]uint64{done.Started, slow.Started, mail.Started}, [3]uint64{4, 4, 1})
		is(t, "succeeded", [3]uint64{done.Succeeded, slow.Succeeded, mail.Dead}, [3]uint64{4, 4, 1})
		is(t, "early", done.Early+slow.Early+mail.Early, 0)
		// The slow ones go one by one: 0, 1, 2 and 3 s late. A quantile is up to twice too long, and never too short.
		for _, c := range []struct {
			what        string
			got         api.Duration
			least, most time.Duration
		}{
			{"p50 of those that are on time", done.Late50, 0, time.Millisecond},
			{"p99 of those that are on time", done.Late99, 0, time.Millisecond},
			{"p50 of those that wait", slow.Late50, time.Second, 4 * time.Second},
			{"p99 of those that wait", slow.Late99, 3 * time.Second, 6 * time.Second},
		} {
			if d := time.Duration(c.got); d < c.least || d > c.most {
				t.Errorf("%s: %v, want %v to %v", c.what, d, c.least, c.most)
			}
		}
		if !strings.Contains(body.body, `"lateness_p99":"`) {
			t.Errorf("no durations in %s", body.body)
		}
		worst := time.Duration(0)
		for _, ev := range read[api.EventPage](e.do("GET", "/v1/history", "")).Events {
			if ev.Lateness == nil || *ev.Lateness < 0 {
				t.Errorf("lateness of %s: %v", ev.Name, ev.Lateness)
				continue
			}
			worst = max(worst, time.Duration(*ev.Lateness))
		}
		if worst < 3*time.Second || worst > 3*time.Second+time.Millisecond {
			t.Errorf("the latest is %v late, want 3s", worst)
		}
	})
}

func TestHealth(t *testing.T) {
	var ready error
	var problems []api.HealthProblem
	o := api.Options{
		Authorize: func(_ *http.Request, need api.Scope) error { return api.ErrUnauthenticated },
		Ready:     func(context.Context) error { return ready },
		Problems:  func(context.Context) []api.HealthProblem { return problems },
		Metrics:   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up 1\n") }),
	}
	bubble(t, o, func(t *testing.T, e *env) {
		is(t, "/livez", e.do("GET", "/livez", "").want(http.StatusOK).body, "ok\n")
		is(t, "/readyz", e.do("GET", "/readyz", "").want(http.StatusOK).body, `{"status":"ok","problems":[]}`+"\n")
		for _, path := range []string{"/livez", "/readyz"} {
			is(t, "HEAD "+path, e.do("HEAD", path, "").want(http.StatusOK).body, "")
		}
		problems = []api.HealthProblem{{Slug: "no-space", Detail: "12 MiB are left", Since: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)}}
		const shown = `[{"slug":"no-space","detail":"12 MiB are left","since":"2026-11-29T12:00:00Z"}]`
		is(t, "/readyz", e.do("GET", "/readyz", "").want(http.StatusOK).body, `{"status":"degraded","problems":`+shown+"}\n")
		for _, c := range []struct {
			err  error
			want string
		}{
			{errors.New("open /srv/duly/store/000012.log: input/output error"), "not ready: the store does not answer"},
			{fmt.Errorf("write /srv/duly/store/000012.log: %w", store.ErrNoSpace), "not ready: no space is left where the tasks are"},
			{errors.New("the database postgres://duly@db.example.com/tasks does not answer: dial 10.0.0.7"), "not ready: the store does not answer"},
			{fmt.Errorf("%w: it is ending", api.ErrUnavailable), "the scheduler can't answer now: it is ending"},
		} {
			ready = c.err
			p := e.do("GET", "/readyz", "").want(http.StatusServiceUnavailable).problem("unavailable", "")
			is(t, "detail to a stranger", p.Detail, c.want)
		}
		e.do("GET", "/livez", "").want(http.StatusOK)
		e.do("GET", "/metrics", "").want(http.StatusUnauthorized).problem("unauthenticated", "")
		e.do("GET", "/openapi.json", "").want(http.StatusOK)
	})
	o.Authorize = nil
	bubble(t, o, func(t *testing.T, e *env) {
		ready = errors.New("the disk is gone")
		p := e.do("GET", "/readyz", "").want(http.StatusServiceUnavailable).problem("unavailable", "")
		is(t, "detail to who may read", p.Detail, "not ready: the disk is gone")
		is(t, "metrics", e.raw("GET", "/metrics", "").want(http.StatusOK).body, "up 1\n")
		is(t, "problems of /v1/stats", read[api.Stats](e.do("GET", "/v1/stats", "").want(http.StatusOK)).Problems[0], problems[0])
	})
	bubble(t, api.Options{}, func(t *testing.T, e *env) {
		e.do("GET", "/readyz", "").want(http.StatusOK)
		e.fails(errors.New("oops"))
		e.do("GET", "/readyz", "").want(http.StatusServiceUnavailable)
	})
}

// Each address needs its scope, and is asked for it before anything else.
func TestScopes(t *testing.T) {
	var need []api.Scope
	refuse := map[api.Scope]error{}
	o := all
	o.Authorize = func(_ *http.Request, s api.Scope) error {
		need = append(need, s)
		return refuse[s]
	}
	bubble(t, o, func(t *testing.T, e *env) {
		doc := documentOf(t, e)
		for path, item := range doc.dict["paths"].(dict) {
			for method, op := range item.(dict) {
				want, _ := doc.at(op, "x-scope").(string)
				refuse = map[api.Scope]error{api.Scope(want): api.ErrForbidden}
				need = nil
				a := e.raw(strings.ToUpper(method), strings.ReplaceAll(path, "{name}", "..")+"?nonsense=1", "nonsense")
				if want == "" {
					is(t, method+" "+path, len(need), 0)
					continue
				}
				is(t, method+" "+path, need, []api.Scope{api.Scope(want)})
				if p := a.want(http.StatusForbidden).problem("forbidden", ""); !strings.Contains(p.Detail, want) {
					t.Errorf("%q does not name the scope %s", p.Detail, want)
				}
				if reads := method == "get"; reads != (want == "read" || want == "backup") {
					t.Errorf("%s %s needs %s", method, path, want)
				}
			}
		}
		const command = `{"command": {"args": ["x"]}, "every": "1h"}`
		refuse = map[api.Scope]error{api.Exec: api.ErrForbidden}
		e.do("PUT", "/v1/tasks/a", command).want(http.StatusForbidden).problem("forbidden", "")
		e.do("POST", "/v1/tasks", command).want(http.StatusForbidden).problem("forbidden", "")
		e.do("PUT", "/v1/tasks/a", `{"http": {"url": "https://x.example"}, "every": "1h"}`).want(http.StatusCreated)
		refuse = nil
		need = nil
		e.do("PUT", "/v1/tasks/a", `{"command": {"args": ["x"]}, "every": "1h", "any_kind": true}`).want(http.StatusOK)
		is(t, "scopes of a command", need, []api.Scope{api.Write, api.Exec})
		refuse = map[api.Scope]error{api.Exec: api.ErrForbidden}
		e.do("PATCH", "/v1/tasks/a", `{"command": {"args": ["y"]}}`).want(http.StatusForbidden).problem("forbidden", "")
		e.do("PATCH", "/v1/tasks/a", `{"in": "1h"}`).want(http.StatusOK)
		e.do("POST", "/v1/tasks/a/run", "").want(http.StatusAccepted)
		refuse = map[api.Scope]error{api.Read: api.ErrUnauthenticated, api.Write: errors.New("token swordfish is not known")}
		a := e.do("GET", "/v1/tasks", "").want(http.StatusUnauthorized)
		a.problem("unauthenticated", "")
		if a.header.Get("WWW-Authenticate") == "" {
			t.Error("no WWW-Authenticate")
		}
		if a := e.do("DELETE", "/v1/tasks/a", "").want(http.StatusForbidden); strings.Contains(a.body, "swordfish") {
			t.Errorf("the hook's own error is shown: %s", a.body)
		}
	})
}

func TestHosts(t *testing.T) {
	bubble(t, api.Options{Hosts: []string{"localhost", "127.0.0.1", "[::1]", "duly.example:443"}}, func(t *testing.T, e *env) {
		for _, host := range []string{"localhost", "LOCALHOST:4280", "127.0.0.1:4280", "127.0.0.1", "[::1]:4280", "[::1]", "duly.example:443"} {
			e.do("GET", "/v1/tasks", "", "Host: "+host).want(http.StatusOK)
		}
		for _, host := range []string{"evil.example", "evil.example:4280", "localhost.evil.example", "127.0.0.1.evil.example", "", "duly.example", "x@localhost", "localhost:4280:1"} {
			e.do("GET", "/v1/tasks", "", "Host: "+host).want(http.StatusMisdirectedRequest).problem("host", "Host")
			e.do("GET", "/livez", "", "Host: "+host).want(http.StatusMisdirectedRequest)
		}
	})
}

// The address that a connection came to is the server's, whatever names it has, and no other is.
func TestHosts_OfTheConnection(t *testing.T) {
	bubble(t, api.Options{Hosts: []string{"localhost"}}, func(t *testing.T, e *env) {
		for host, want := range map[string]int{
			"192.0.2.7": 200, "192.0.2.7:4280": 200, "[::ffff:192.0.2.7]:4280": 421, "192.0.2.8": 421, "192.0.2.7.evil.example": 421, "": 421,
		} {
			r := httptest.NewRequestWithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 4280}), http.MethodGet, "/v1/tasks", nil)
			r.Host = host
			w := httptest.NewRecorder()
			if e.h.ServeHTTP(w, r); w.Code != want {
				t.Errorf("Host %q: %d %s, want %d", host, w.Code, w.Body, want)
			}
		}
	})
}

// A browser that was talked into a request by another site does nothing.
func TestOrigin(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		const spec = `{"kind": "k", "in": "1h"}`
		for _, headers := range [][]string{
			{"Sec-Fetch-Site: cross-site"}, {"Sec-Fetch-Site: same-site"}, {"Origin: https://evil.example"}, {"Origin: null"},
		} {
			for _, c := range [][2]string{{"PUT", "/v1/tasks/a"}, {"POST", "/v1/tasks"}, {"DELETE", "/v1/tasks/a"}, {"POST", "/v1/tasks/a/run"}, {"POST", "/v1/tasks:batch"}} {
				e.do(c[0], c[1], spec, headers...).want(http.StatusForbidden).problem("origin", "Origin")
			}
		}
		e.do("PUT", "/v1/tasks/a", spec, "Sec-Fetch-Site: same-origin", "Origin: http://example.com").want(http.StatusCreated)
		e.do("DELETE", "/v1/tasks/a", "", "Sec-Fetch-Site: none").want(http.StatusOK)
	})
}

func TestAnswers_AreNotKept(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		for _, path := range []string{"/v1/tasks", "/v1/tasks/nobody", "/openapi.json", "/nowhere"} {
			h := e.do("GET", path, "").header
			is(t, "Cache-Control", h.Get("Cache-Control"), "no-store")
			is(t, "X-Content-Type-Options", h.Get("X-Content-Type-Options"), "nosniff")
		}
		a := e.do("HEAD", "/v1/tasks", "").want(http.StatusOK)
		is(t, "HEAD", a.body, "")
		is(t, "HEAD of nothing", e.do("HEAD", "/v1/tasks/nobody", "").want(http.StatusNotFound).body, "")
	})
}

// A prefix is where the application has mounted the handler, and nothing else is answered.
func TestPrefix(t *testing.T) {
	bubble(t, api.Options{Prefix: "/duly/"}, func(t *testing.T, e *env) {
		e.raw("PUT", "/duly/v1/tasks/a%2Fb", `{"kind": "k", "in": "1h"}`).want(http.StatusCreated)
		e.raw("GET", "/duly/v1/tasks/a%2Fb", "").want(http.StatusOK)
		for _, path := range []string{"/v1/tasks", "/dulyx/v1/tasks", "/duly", "/duly/", "/duly//v1/tasks"} {
			e.raw("GET", path, "").want(http.StatusNotFound).problem("no-route", "path")
		}
	})
}

// Names belong to the scheduler's own namespace where none is given.
func TestNamespaces(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		e.d = e.d.In("app")
		e.h = api.New(e.d, all)
		got := read[api.Entry](e.do("PUT", "/v1/tasks/a", `{"kind": "k", "in": "1h"}`).want(http.StatusCreated))
		is(t, "namespace", got.Namespace, "app")
		e.do("GET", "/v1/tasks/a?namespace=app", "").want(http.StatusOK)
		e.do("GET", "/v1/tasks/a?namespace=other", "").want(http.StatusNotFound)
		is(t, "of all", len(read[api.TaskPage](e.do("GET", "/v1/tasks?all_namespaces=true", "")).Tasks), 1)
	})
}

func FuzzBodies(f *testing.F) {
	for _, c := range badSpecs {
		f.Add(c.spec)
	}
	for _, s := range []string{
		`{"kind": "k", "in": "1s"}`, `{"command": {"args": ["x"], "env": {"A": "b"}, "grace": "1s"}, "every": "1h", "overlap": "buffer-many:3"}`,
		`{"http": {"url": "https://x.example", "header": {"A": "b"}}, "cron": "0 9 * * *", "zone": "Europe/Berlin"}`,
		`{"all": true}`, `{"names": ["a"], "why": "x"}`, `{"at": "2030-01-01T00:00:00Z", "payload": [{}]}`, `{"why": ""}`,
		strings.Repeat(`{"payload":`, 100) + "1" + strings.Repeat("}", 100), `{"payload":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		bubble(t, all, func(t *testing.T, e *env) {
			for _, c := range [][2]string{
				{"PUT", "/v1/tasks/a"}, {"POST", "/v1/tasks"}, {"PATCH", "/v1/tasks/a"}, {"POST", "/v1/pause"}, {"POST", "/v1/tasks/a/pause"}, {"POST", "/v1/redrive"},
			} {
				a := e.do(c[0], c[1], body, "Content-Type: application/json")
				if a.status >= 500 {
					t.Errorf("%s: %d: %s", a.what, a.status, a.body)
				}
				if a.status >= 400 {
					var p api.Problem
					if err := json.Unmarshal([]byte(a.body), &p); err != nil || p.Slug == "" || strings.Contains(p.Detail, "\n") {
						t.Errorf("%s: %v: %s", a.what, err, a.body)
					}
				}
			}
			a := e.do("POST", "/v1/tasks:batch", body, ndjson).want(http.StatusOK)
			lines := 0
			for line := range strings.Lines(body) {
				if strings.TrimSpace(line) != "" {
					lines++
				}
			}
			if got := len(a.entries()); got > lines || got < lines-strings.Count(body, "\u0085") {
				t.Errorf("%d answers to %d lines", got, lines)
			}
		})
	})
}
