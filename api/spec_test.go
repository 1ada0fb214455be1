package api_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/target"
)

// A Spec that can't be right, and the field that is at fault.
var badSpecs = []struct{ spec, field string }{
	{``, "body"},
	{` `, "body"},
	{`[]`, "body"},
	{`7`, "body"},
	{`null`, "body"},
	{`"in 5m"`, "body"},
	{`{`, "body"},
	{`{"kind": "k"} {}`, "body"},
	{`{"kind": "k", "in": "1s",}`, "body"},
	{"{\"kind\": \"\xff\", \"in\": \"1s\"}", "body"},
	{`{}`, "command"},
	{`{"in": "1s"}`, "command"},
	{`{"kind": null, "in": "1s"}`, "command"},

	// what is not a field, at any depth
	{`{"kind": "k", "in": "1s", "delay": 1}`, "delay"},
	{`{"kind": "k", "in": "1s", "Kind": "k"}`, "Kind"},
	{`{"kind": "k", "in": "1s", "": 1}`, `""`},
	{`{"kind": "k", "in": "1s", "Policy": {}}`, "Policy"},
	{`{"kind": "k", "in": "1s", "policy": {"attempts": 1}}`, "policy"},
	{`{"command": {"args": ["x"], "cwd": "/"}, "in": "1s"}`, "command.cwd"},
	{`{"command": {"args": ["x"], "Grace": "1s"}, "in": "1s"}`, "command.Grace"},
	{`{"http": {"url": "https://x.example", "headers": {}}, "in": "1s"}`, "http.headers"},
	{`{"kind": "k", "kind": "k", "in": "1s"}`, "kind"},
	{`{"command": {"args": ["x"], "args": ["rm"]}, "in": "1s"}`, "command.args"},
	{`{"command": {"args": ["x"], "env": {"A": "1", "B": "2", "A": "3"}}, "in": "1s"}`, "command.env.A"},
	{`{"http": {"url": "https://x.example", "header": {"X": "1", "\u0058": "2"}}, "in": "1s"}`, "http.header.X"},
	{`{"kind": "k", "in": "1s", "` + strings.Repeat("x", 100) + `": 1}`, strings.Repeat("x", 60) + "..."},

	// of another type
	{`{"kind": 1, "in": "1s"}`, "kind"},
	{`{"kind": "k", "in": "1s", "tags": "a"}`, "tags"},
	{`{"kind": "k", "in": "1s", "tags": [1]}`, "tags"},
	{`{"kind": "k", "in": "1s", "priority": "high"}`, "priority"},
	{`{"kind": "k", "in": "1s", "priority": 1.5}`, "priority"},
	{`{"kind": "k", "in": "1s", "attempts": 1e3}`, "attempts"},
	{`{"kind": "k", "in": "1s", "attempts": 99999999999999999999}`, "attempts"},
	{`{"kind": "k", "in": "1s", "at_most_once": "yes"}`, "at_most_once"},
	{`{"command": "true", "in": "1s"}`, "command"},
	{`{"command": {"args": "true"}, "in": "1s"}`, "command.args"},
	{`{"command": {"args": ["x"], "env": {"A": 1}}, "in": "1s"}`, "command.env"},
	{`{"command": {"args": ["x"], "later_codes": ["75"]}, "in": "1s"}`, "command.later_codes"},

	// what
	{`{"command": {"args": ["x"]}, "http": {"url": "https://x.example"}, "in": "1s"}`, "http"},
	{`{"command": {"args": ["x"]}, "kind": "k", "in": "1s"}`, "kind"},
	{`{"command": {"args": ["x"]}, "payload": 1, "in": "1s"}`, "payload"},
	{`{"payload": 1, "in": "1s"}`, "kind"},
	{`{"kind": "command", "payload": {"args": ["x"]}, "in": "1s"}`, "kind"},
	{`{"kind": "http", "payload": {}, "in": "1s"}`, "kind"},
	{`{"kind": "..", "in": "1s"}`, "kind"},
	{`{"kind": "k\ud800", "in": "1s"}`, "kind"},
	{`{"kind": "k", "in": "1s", "a\r\nb\u202e": 1}`, `a\r\nb\u202e`},
	{`{"kind": "k", "in": "1s", "tags": ["a", "\\\udc00\ud800"]}`, "tags"},
	{`{"command": {"args": ["x"], "env": {"A\ud83d\u0041": "1"}}, "in": "1s"}`, "command.env"},
	{`{"kind": "k", "in": "1s", "payload": ` + nested(1001) + `}`, "payload"},
	{`{"kind": "k", "in": "1s", "payload": ` + nested(9990) + `}`, "payload"},
	{`{"kind": "` + strings.Repeat("k", 256) + `", "in": "1s"}`, "kind"},

	// when
	{`{"kind": "k"}`, "schedule"},
	{`{"kind": "k", "in": null}`, "schedule"},
	{`{"kind": "k", "in": "1s", "every": "1s"}`, "every"},
	{`{"kind": "k", "schedule": "in 1s", "cron": "* * * * *"}`, "cron"},
	{`{"kind": "k", "in": "-1s"}`, "in"},
	{`{"kind": "k", "in": "-PT1S"}`, "in"},
	{`{"kind": "k", "schedule": "in -1s"}`, "schedule"},
	{`{"kind": "k", "schedule": "in -5m jitter 1m"}`, "schedule"},
	{`{"kind": "k", "every": "0s"}`, "every"},
	{`{"kind": "k", "every": "-1s"}`, "every"},
	{`{"kind": "k", "schedule": ""}`, "schedule"},
	{`{"kind": "k", "schedule": "every day"}`, "schedule"},
	{`{"kind": "k", "schedule": "every 1h", "zone": "Europe/Nowhere"}`, "zone"},
	{`{"kind": "k", "cron": "61 * * * *"}`, "cron"},
	{`{"kind": "k", "cron": "0 0 30 2 *"}`, "cron"},
	{`{"kind": "k", "cron": "0 9 * * *", "zone": "Europe/Nowhere"}`, "zone"},
	{`{"kind": "k", "cron": "0 9 * * *", "zone": "Local"}`, "zone"},
	{`{"kind": "k", "calendar": "Fri..Mon 9:00"}`, "calendar"},
	{`{"kind": "k", "calendar": "*-2-30"}`, "calendar"},
	{`{"kind": "k", "calendar": "9:00", "cron": "0 9 * * *"}`, "calendar"},
	{`{"kind": "k", "calendar": "9:00", "zone": "Local"}`, "zone"},
	{`{"kind": "k", "in": "1h", "zone": "Europe/Berlin"}`, "zone"},
	{`{"kind": "k", "at": "tomorrow"}`, "at"},
	{`{"kind": "k", "at": "2026-12-24"}`, "at"},
	{`{"kind": "k", "at": "2026-12-24T17:00:00"}`, "at"},
	{`{"kind": "k", "at": 1800000000}`, "at"},
	{`{"kind": "k", "at": "2026-12-24[Europe/Berlin]"}`, "at"},
	{`{"kind": "k", "at": "03/04 9:00"}`, "at"},
	{`{"kind": "k", "at": "tomorrow 17:00 jitter 1m"}`, "at"},
	{`{"kind": "k", "at": "2026-12-24T17:00:00Z jitter 1m"}`, "at"},
	{`{"kind": "k", "at": "tomorrow 17:00", "zone": "Local"}`, "zone"},
	{`{"kind": "k", "at": "2026-12-24T17:00:00Z", "zone": "Local"}`, "zone"},
	{`{"kind": "k", "in": "1 month"}`, "in"},
	{`{"kind": "k", "in": "5m jitter 1m"}`, "in"},
	{`{"kind": "k", "in": ""}`, "in"},

	// how
	{`{"kind": "k", "in": "1s", "conflict": "merge"}`, "conflict"},
	{`{"kind": "k", "in": "1s", "conflict": ""}`, "conflict"},
	{`{"kind": "k", "in": "1s", "debounce_max": "1s"}`, "debounce_max"},
	{`{"kind": "k", "in": "1s", "conflict": "debounce", "debounce_max": "-1s"}`, "debounce_max"},
	{`{"kind": "k", "in": "1s", "overlap": "maybe"}`, "overlap"},
	{`{"kind": "k", "in": "1s", "overlap": "buffer-many:0"}`, "overlap"},
	{`{"kind": "k", "in": "1s", "catch_up": "all"}`, "catch_up"},
	{`{"kind": "k", "in": "1s", "key": ""}`, "key"},
	{`{"kind": "k", "in": "1s", "key": "a", "key_limit": 0}`, "key_limit"},
	{`{"kind": "k", "in": "1s", "key_limit": 1}`, "key_limit"},
	{`{"kind": "k", "in": "1s", "attempts": -1}`, "attempts"},
	{`{"kind": "k", "in": "1s", "backoff": "1h", "max_backoff": "1m"}`, "max_backoff"},
	{`{"kind": "k", "in": "1s", "timeout": "0s"}`, "timeout"},
	{`{"kind": "k", "in": "1s", "window": "-1s"}`, "window"},
	{`{"kind": "k", "every": "1s", "start_within": "1s"}`, "start_within"},
	{`{"kind": "k", "in": "1s", "priority": 3000000000}`, "priority"},
	{`{"kind": "k", "in": "1s", "tags": [""]}`, "tags"},
	{`{"kind": "k", "in": "1s", "name": "another"}`, "name"},

	// of the daemon's kinds
	{`{"command": {}, "in": "1s"}`, "command.args"},
	{`{"command": {"args": ["x"], "shell": "x"}, "in": "1s"}`, "command.shell"},
	{`{"command": {"args": ["x"], "dir": "here"}, "in": "1s"}`, "command.dir"},
	{`{"http": {}, "in": "1s"}`, "http.url"},
	{`{"http": {"url": "ftp://x.example"}, "in": "1s"}`, "http.url"},
}

// nested is JSON so many arrays and objects deep.
func nested(deep int) string {
	return strings.Repeat(`{"a":[`, deep/2) + strings.Repeat("[", deep%2) + strings.Repeat("]", deep%2) + strings.Repeat("]}", deep/2)
}

// What a payload may be as deep as, the tasks around it can be listed with, by readers that have a limit.
func TestSpec_Deep(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		for i, payload := range []string{nested(1000), `"` + strings.Repeat("[", 2000) + `"`, `["\"", "` + strings.Repeat(`[\\{`, 800) + `"]`} {
			e.do("PUT", "/v1/tasks/a", fmt.Sprintf(`{"kind": "k", "in": "%dh", "payload": %s}`, i+1, payload))
			page := read[api.TaskPage](e.do("GET", "/v1/tasks", "").want(http.StatusOK))
			is(t, "tasks", len(page.Tasks), 1)
			is(t, "payload", string(page.Tasks[0].Payload), strings.ReplaceAll(payload, ", ", ","))
		}
		e.do("PATCH", "/v1/tasks/a", `{"payload": `+nested(1001)+`}`).want(http.StatusBadRequest).problem("invalid", "payload")
	})
}

// A body is what its type says, and not packed.
func TestSpec_Packed(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		const spec = `{"kind": "k", "in": "1h"}`
		for _, coding := range []string{"gzip", "br", "identity, gzip"} {
			e.do("PUT", "/v1/tasks/a", spec, "Content-Type: application/json", "Content-Encoding: "+coding).
				want(http.StatusUnsupportedMediaType).problem("media-type", "Content-Encoding")
		}
		e.do("PUT", "/v1/tasks/a", spec, "Content-Type: application/json", "Content-Encoding: identity").want(http.StatusCreated)
	})
}

func TestSpec_Refused(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		for _, c := range badSpecs {
			a := e.do("PUT", "/v1/tasks/a", c.spec, "Content-Type: application/json")
			if a.want(http.StatusBadRequest).problem("invalid", c.field).Value == "" && c.field != "" {
				t.Errorf("%s: %s has no value", c.spec, a.body)
			}
		}
		page := read[api.TaskPage](e.do("GET", "/v1/tasks", "").want(http.StatusOK))
		is(t, "tasks after all these", len(page.Tasks), 0)
	})
}

// The API's half of requirement F15: a length of time says its unit and an instant its zone, everywhere.
func TestStronglyTyped(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		base := map[string]string{
			"in": `{"kind": "k"%s}`, "every": `{"kind": "k"%s}`, "grace": `{"kind": "k", "every": "1h"%s}`,
			"command.grace": `{"command": {"args": ["x"]%s}, "in": "1s"}`,
		}
		for _, field := range []string{
			"in", "every", "debounce_max", "backoff", "max_backoff", "max_elapsed", "window", "grace", "start_within", "timeout", "command.grace",
		} {
			spec := base[field]
			if spec == "" {
				spec = `{"kind": "k", "in": "1s", "conflict": "debounce"%s}`
			}
			name := field[strings.LastIndex(field, ".")+1:]
			put := func(value string) *answer {
				return e.do("PUT", "/v1/tasks/"+field, fmt.Sprintf(spec, `, "`+name+`": `+value))
			}
			for _, value := range []string{`5`, `0`, `1.5`, `-1`, `"5"`, `""`, `"1y"`, `"P1Y"`, `"P1M"`, `"PT"`, `"P"`, `true`, `{}`, `["1s"]`, `"10000000h"`} {
				put(value).want(http.StatusBadRequest).problem("invalid", field)
			}
			right := []string{`"45m"`, `"44m60s"`, `"PT44M60S"`, `"PT45M"`, `"P0DT45M"`, `"0.75h"`}
			spans := []string{`"0"`, `"5 minutes"`, `"1d"`, `"1h 30m"`, `" 1h"`}
			if field == "in" { // it is read as duly in reads it
				right, spans = append(right, spans...), nil
			}
			for _, value := range spans {
				put(value).want(http.StatusBadRequest).problem("invalid", field)
			}
			for _, value := range right {
				if a := put(value); a.status >= 300 {
					t.Errorf("%s: %s: %s", field, value, a.body)
				}
			}
		}
		for _, value := range []string{`1800000000`, `"1800000000"`, `"2030-01-01 00:00:00"`, `"2030-01-01T00:00"`, `"17:00"`} {
			e.do("PUT", "/v1/tasks/a", `{"kind": "k", "at": `+value+`}`).problem("invalid", "at")
			e.do("PATCH", "/v1/tasks/in", `{"at": `+value+`}`).problem("invalid", "at")
		}
		e.do("PATCH", "/v1/tasks/in", `{"in": 300}`).problem("invalid", "in")
		e.do("PATCH", "/v1/tasks/in", `{"in": "-5m"}`).problem("invalid", "in")
		for field, value := range map[string]string{"due_from": "1800000000", "due_until": "2030-01-01", "limit": "1s"} {
			e.do("GET", "/v1/tasks?"+field+"="+value, "").problem("invalid", field)
		}
		task := read[api.Task](e.do("GET", "/v1/tasks/timeout", "").want(http.StatusOK))
		is(t, "timeout", task.Policy.Timeout, api.Duration(45*time.Minute))
	})
}

func TestSpec_When(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		now := time.Now().UTC() // the bubble's midnight
		for _, c := range []struct {
			when, schedule string
			next           time.Duration
		}{
			{`"in": "90s"`, "in 1m30s", 90 * time.Second},
			{`"in": "0s"`, "in 0s", 0},
			{`"at": "2000-01-01T01:00:00+01:00"`, "at 2000-01-01T00:00:00Z", 0},
			{`"at": "1999-01-01T00:00:00Z"`, "at 1999-01-01T00:00:00Z", -365 * 24 * time.Hour},
			{`"every": "PT15M"`, "every 15m", 15 * time.Minute},
			{`"cron": "0 9 * * *"`, "cron 0 9 * * *", 9 * time.Hour},
			{`"in": "3 days"`, "in 72h", 72 * time.Hour},
			{`"in": "2 hours and 30 minutes"`, "in 2h30m", 2*time.Hour + 30*time.Minute},
			{`"at": "tomorrow 17:00"`, "at 2000-01-02T17:00:00Z", 41 * time.Hour},
			{`"at": "tomorrow 17:00", "zone": "Asia/Tokyo"`, "at 2000-01-02T08:00:00Z", 32 * time.Hour},
			{`"at": "2000-01-02T17:00:00", "zone": "Asia/Tokyo"`, "at 2000-01-02T08:00:00Z", 32 * time.Hour},
			{`"at": "now + 3 days"`, "at 2000-01-04T00:00:00Z", 72 * time.Hour},
			{`"cron": "0 9 * * *", "zone": "Europe/Berlin"`, "cron 0 9 * * * in Europe/Berlin", 8 * time.Hour},
			{`"calendar": "Mon..Fri 09:00"`, "calendar Mon..Fri *-*-* 09:00:00", (2*24 + 9) * time.Hour},
			{`"calendar": "09:00", "zone": "Europe/Berlin"`, "calendar *-*-* 09:00:00 in Europe/Berlin", 8 * time.Hour},
			{`"schedule": "every 1h from 2000-01-01T12:00Z times 3"`, "every 1h from 2000-01-01T12:00:00Z times 3", 12 * time.Hour},
			{`"schedule": "rrule FREQ=DAILY;BYHOUR=9;BYMINUTE=0;BYSECOND=0", "zone": "Asia/Tokyo"`, "rrule FREQ=DAILY;BYHOUR=9;BYMINUTE=0;BYSECOND=0 in Asia/Tokyo", 24 * time.Hour},
			{`"schedule": "cron 0 9 * * *", "zone": "Asia/Tokyo"`, "cron 0 9 * * * in Asia/Tokyo", 24 * time.Hour},
		} {
			name := url.PathEscape(c.when)
			got := read[api.Entry](e.do("PUT", "/v1/tasks/"+name, `{"kind": "k", `+c.when+`}`).want(http.StatusCreated))
			is(t, c.when, got.ScheduledFor.Sub(now), c.next)
			task := read[api.Task](e.do("GET", "/v1/tasks/"+name, "").want(http.StatusOK))
			is(t, "schedule of "+c.when, task.Schedule, c.schedule)
		}
	})
}

func TestSpec_Policy(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		const policy = `"attempts":5,"backoff":"2s","max_backoff":"10s","max_elapsed":"1h0m0s","overlap":"buffer-many:3","catch_up":"all:7",` +
			`"window":"2h0m0s","grace":"1m0s","timeout":"10s","at_most_once":true,"stop_on_error":true,"resume_missed":true`
		a := e.do("PUT", "/v1/tasks/a", `{"kind":"k","every":"1h","priority":-3,"key":"x","key_limit":2,`+policy+`}`)
		a.want(http.StatusCreated)
		if body := e.do("GET", "/v1/tasks/a", "").body; !strings.Contains(body, strings.Replace(policy, `"at_most_once"`, `"key_limit":2,"at_most_once"`, 1)) {
			t.Errorf("%s\nlacks\n%s", body, policy)
		}
		e.do("PUT", "/v1/tasks/b", `{"kind":"k","in":"1h","start_within":"1m","overlap":"skip","catch_up":"latest"}`).want(http.StatusCreated)
		got := read[api.Task](e.do("GET", "/v1/tasks/b", ""))
		is(t, "policy", got.Policy, api.Policy{StartWithin: api.Duration(time.Minute)})
	})
}

// Options.Defaults come before what the request says.
func TestSpec_Defaults(t *testing.T) {
	o := all
	o.Defaults = func(kind string) []duly.PutOption {
		if kind != target.KindCommand {
			return nil
		}
		return []duly.PutOption{duly.Retry(duly.RetryPolicy{Attempts: 1}), duly.Timeout(time.Hour)}
	}
	bubble(t, o, func(t *testing.T, e *env) {
		for _, c := range []struct {
			spec string
			want api.Policy
		}{
			{`{"command": {"args": ["x"]}, "in": "1h"}`, api.Policy{Attempts: 1, Timeout: api.Duration(time.Hour)}},
			{`{"command": {"args": ["x"]}, "in": "1h", "attempts": 4}`, api.Policy{Attempts: 4, Timeout: api.Duration(time.Hour)}},
			{`{"command": {"args": ["x"]}, "in": "1h", "timeout": "1s"}`, api.Policy{Attempts: 1, Timeout: api.Duration(time.Second)}},
			{`{"http": {"url": "https://x.example"}, "in": "1h", "any_kind": true}`, api.Policy{}},
		} {
			if a := e.do("PUT", "/v1/tasks/a", c.spec); a.status >= 300 {
				t.Errorf("%s: %s", c.spec, a.body)
			}
			is(t, c.spec, read[api.Task](e.do("GET", "/v1/tasks/a", "")).Policy, c.want)
		}
	})
}

func TestSpec_Conflict(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		at := func(after string, more string) *answer {
			return e.do("PUT", "/v1/tasks/a", `{"kind": "k", "in": "`+after+`"`+more+`}`)
		}
		first := read[api.Entry](at("1h", "").want(http.StatusCreated))
		is(t, "keep", read[api.Entry](at("2h", `, "conflict": "keep"`).want(http.StatusOK)).Outcome, "kept")
		at("2h", `, "conflict": "fail"`).want(http.StatusConflict).problem("exists", "")
		got := read[api.Entry](at("2h", `, "conflict": "keep-time", "priority": 1`))
		is(t, "keep-time", got.ScheduledFor, first.ScheduledFor)
		got = read[api.Entry](at("2h", `, "conflict": "earliest", "priority": 2`))
		is(t, "earliest", got.ScheduledFor, first.ScheduledFor)
		got = read[api.Entry](at("90m", `, "conflict": "debounce", "debounce_max": "70m"`))
		is(t, "debounce", got.ScheduledFor, first.ScheduledFor.Add(10*time.Minute))
		got = read[api.Entry](at("2h", `, "conflict": "replace"`))
		is(t, "replace", got.Outcome, "replaced")
	})
}

func TestSpec_KindsOff(t *testing.T) {
	bubble(t, api.Options{}, func(t *testing.T, e *env) {
		p := e.do("PUT", "/v1/tasks/a", `{"command": {"args": ["x"]}, "in": "1s"}`).want(http.StatusForbidden).problem("kind-off", "command")
		if !strings.Contains(p.Want, "duly serve --allow-commands") {
			t.Errorf("%q does not say how to switch it on", p.Want)
		}
		e.do("PUT", "/v1/tasks/a", `{"http": {"url": "https://x.example"}, "in": "1s"}`).want(http.StatusForbidden).problem("kind-off", "http")
		e.do("POST", "/v1/tasks", `{"command": {"args": ["x"]}, "in": "1s"}`).problem("kind-off", "command")
		e.do("PUT", "/v1/tasks/a", `{"kind": "command", "payload": {"args": ["x"]}, "in": "1s"}`).problem("invalid", "kind")
		e.do("PUT", "/v1/tasks/a", `{"kind": "k", "in": "1h"}`).want(http.StatusCreated)
		e.do("PATCH", "/v1/tasks/a", `{"command": {"args": ["x"]}}`).problem("kind-off", "command")
	})
}

func TestSpec_CheckCallback(t *testing.T) {
	o := all
	o.CheckCallback = func(c *target.Callback) error {
		if strings.Contains(c.URL, "intern") {
			return errors.New("inside")
		}
		return &target.Error{Field: "url", Value: c.URL, Want: "one that is allowed"}
	}
	bubble(t, o, func(t *testing.T, e *env) {
		e.do("PUT", "/v1/tasks/a", `{"http": {"url": "https://x.example"}, "in": "1s"}`).problem("invalid", "http.url")
		a := e.do("PUT", "/v1/tasks/a", `{"http": {"url": "https://intern.example"}, "in": "1s"}`)
		if a.status != http.StatusBadRequest || !strings.Contains(a.body, "inside") {
			t.Errorf("%s", a.body)
		}
	})
}
