package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
)

func TestHistory(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		e.work(func(context.Context, *duly.Attempt[[]byte]) error { return errors.New("no such address") })
		e.do("PUT", "/v1/tasks/a", `{"kind": "mail", "in": "1s", "attempts": 3}`).want(http.StatusCreated)
		e.do("PUT", "/v1/tasks/b?namespace=ns", `{"kind": "done", "every": "1m"}`).want(http.StatusCreated)
		start := time.Now().UTC()
		e.pass(10 * time.Minute)
		history := func(query string) []api.Event {
			t.Helper()
			return read[api.EventPage](e.do("GET", "/v1/"+query, "").want(http.StatusOK)).Events
		}
		got := history("tasks/a/history")
		if len(got) != 3 {
			t.Fatalf("%d entries: %+v", len(got), got)
		}
		first := got[0]
		is(t, "first", first, api.Event{
			Seq: first.Seq, At: first.At, Name: "a", Kind: "mail", Generation: first.Generation, ScheduledFor: start.Add(time.Second), DueAt: start.Add(time.Second),
			Verb: "retry", From: "running", To: "pending", Attempt: 1, Fence: first.Fence, AcceptedAt: start, StartedAt: first.StartedAt,
			Lateness: new(api.Duration), Owner: first.Owner, Reason: "no such address",
		})
		is(t, "last", got[2].To, "dead")
		is(t, "newest first", history("tasks/a/history?newest=true")[0].Seq, got[2].Seq)
		is(t, "after", len(history(fmt.Sprintf("tasks/a/history?after=%d", got[0].Seq))), 2)
		is(t, "before", len(history(fmt.Sprintf("tasks/a/history?before=%d", got[1].Seq))), 1)
		is(t, "limit", len(history("tasks/a/history?limit=1")), 1)
		is(t, "since", len(history("tasks/a/history?since="+got[2].At.Format(time.RFC3339Nano))), 1)
		is(t, "of all", len(history("history")), 13)
		is(t, "of a namespace", len(history("history?namespace=ns")), 10)
		is(t, "of a namespace, limited", len(history("history?namespace=ns&limit=4")), 4)
		is(t, "of the empty namespace, the newest first", len(history("history?namespace=&newest=true")), 3)
		is(t, "of no namespace", len(history("history?namespace=none")), 0)
		is(t, "in another namespace", len(history("tasks/b/history?namespace=ns&limit=1000")), 10)
		e.do("PUT", "/v1/tasks/new", `{"kind": "k", "in": "1h"}`).want(http.StatusCreated)
		is(t, "of what has none yet", len(history("tasks/new/history")), 0)
		e.do("GET", "/v1/tasks/b/history", "").want(http.StatusNotFound).problem("not-found", "")
		for _, query := range []string{"limit=0", "limit=1001", "after=-1", "before=x", "newest=1", "since=yesterday"} {
			for _, path := range []string{"tasks/a/history", "history"} {
				e.do("GET", "/v1/"+path+"?"+query, "").want(http.StatusBadRequest)
			}
		}
	})
}

// What is asked for is found however far away it is.
func TestHistory_Far(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		e.work(nil)
		put := func(namespace, name string, n int) {
			t.Helper()
			var lines strings.Builder
			for i := range n {
				lines.WriteString(fmt.Sprintf(`{"name": "%s%d", "kind": "done", "in": "0s"}`, name, i) + "\n")
			}
			e.raw("POST", "/v1/tasks:batch?namespace="+namespace, lines.String(), ndjson).want(http.StatusOK)
			e.pass(time.Second)
		}
		put("few", "first", 3)
		put("many", "n", 2100)
		put("few", "last", 2)
		names := func(query string) (all []string) {
			t.Helper()
			for _, ev := range read[api.EventPage](e.do("GET", "/v1/history?"+query, "").want(http.StatusOK)).Events {
				all = append(all, ev.Name[:len(ev.Name)-1])
			}
			return all
		}
		is(t, "the oldest first", names("namespace=few"), []string{"first", "first", "first", "last", "last"})
		is(t, "the newest first", names("namespace=few&newest=true"), []string{"last", "last", "first", "first", "first"})
		is(t, "four", names("namespace=few&limit=4"), []string{"first", "first", "first", "last"})
		is(t, "four, the newest first", names("namespace=few&limit=4&newest=true"), []string{"last", "last", "first", "first"})
		is(t, "how many at most", len(names("namespace=many&limit=1000")), 1000)
	})
}
