package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/internal/pgtest"
	"github.com/dulyhq/duly/target"
	"github.com/dulyhq/duly/wait"
)

// nodes waits until a daemon sees a number of daemons that live and have shards, all of which are somebody's.
func (d *served) nodes(t *testing.T, want int) *api.StoreState {
	t.Helper()
	for {
		s, err := d.Stats(t.Context())
		if err == nil && s.Store != nil {
			live, shards := 0, 0
			for _, n := range s.Store.Nodes {
				if n.State == "live" && n.Shards > 0 {
					live++
				}
				shards += n.Shards
			}
			if live == want && shards == 256 {
				return s.Store
			}
		}
		select {
		case <-d.ended:
			t.Fatalf("the daemon ended: %v\n%s", d.cmd.ProcessState, d.said())
		default:
		}
		if wait.Sleep(t.Context(), 20*time.Millisecond) != nil {
			t.Fatalf("there are not %d daemons that share the work: %+v, %v\n%s", want, s.Store, err, d.said())
		}
	}
}

// Two daemons on one database: whatever is done to a task by one of them, the other shows, and each occurrence runs once. When one is
// killed, what was put by it runs on the other.
//
// contract: C4, D1, E3
func TestPostgres_TwoDaemons(t *testing.T) {
	url := pgtest.Shared(t).Database(t)
	file := filepath.Join(t.TempDir(), "notes")
	a, b := serve(t, dataDir(t), "--store", url), serve(t, dataDir(t), "--store", url)
	a.nodes(t, 2)
	st := b.nodes(t, 2)
	if st.Kind != "postgres" || st.Schema != "duly" || st.Version != 1 || st.Server == "" || !st.Connected || st.Shards == 0 || st.Shards == 256 {
		t.Errorf("where tasks are: %+v", st)
	}

	// Runs: each once, wherever it was put.
	entries := map[string]api.Entry{}
	var want []string
	for i := range 40 {
		name := fmt.Sprintf("run-%02d", i)
		entries[name] = []*served{a, b}[i%2].in(t, name, time.Duration(i)*20*time.Millisecond, "note", file, name)
		want = append(want, name)
	}
	for _, name := range want {
		b.end(t, name, entries[name].Generation, "done")
	}
	got := noted(t, file)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ran (-want +got):\n%s", diff)
	}
	owners := map[string]bool{}
	for _, name := range want {
		owners[b.lastOf(t, name).Owner] = true
	}
	if len(owners) != 2 {
		t.Errorf("they ran in %v, want some in each of two daemons", owners)
	}

	// Commands, against either.
	a.run(t, "in", "1h", "--name", "tea", "--", "true")
	if out := b.run(t, "ls"); !strings.HasPrefix(out, "tea\t") {
		t.Errorf("duly ls: %q", out)
	}
	if out := b.run(t, "show", "tea", "-o", "jsonl"); !strings.Contains(out, `"name":"tea"`) {
		t.Errorf("duly show: %q", out)
	}
	for _, d := range []*served{a, b} {
		if out := d.run(t, "why", "tea"); !strings.Contains(out, "due") {
			t.Errorf("duly why: %q", out)
		}
	}
	heard := make(chan error, 1)
	go func() { heard <- a.hears(t.Context(), "tea", "cancelled") }()
	if out := b.run(t, "cancel", "tea"); !strings.Contains(out, "cancelled") {
		t.Errorf("duly cancel: %q", out)
	}
	if err := <-heard; err != nil {
		t.Errorf("the other daemon's events: %v", err)
	}
	if out := a.run(t, "ls"); out != "" {
		t.Errorf("duly ls, after the cancel: %q", out)
	}

	// kill -9: what was put by it, and was its own to start, runs on the other.
	for i := range 20 {
		name := fmt.Sprintf("moved-%02d", i)
		entries[name] = a.in(t, name, 3*time.Second+time.Duration(i)*10*time.Millisecond, "note", file, name)
	}
	a.kill(t)
	for i := range 20 {
		name := fmt.Sprintf("moved-%02d", i)
		b.end(t, name, entries[name].Generation, "done")
	}
	if got := noted(t, file); len(got) != 60 {
		t.Errorf("%d have run, want 60: %q", len(got), got)
	}
	if st := b.nodes(t, 1); st.Shards != 256 {
		t.Errorf("the one that is left has %d shards", st.Shards)
	}
	b.term(t)
}

// Of two daemons on one database one tells of what has died in either; and when it has ended, the other one does. What the first had told
// last may be told again then, under the same id.
func TestPostgres_OneTells(t *testing.T) {
	url := pgtest.Shared(t).Database(t)
	type told struct{ id, name string }
	got := make(chan told, 100)
	sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var n struct{ ID, What, Name string }
		if err := json.NewDecoder(r.Body).Decode(&n); err != nil || n.What != "dead" || n.ID != r.Header.Get("Webhook-Id") {
			t.Errorf("told %+v, %v, with the id %q", n, err, r.Header.Get("Webhook-Id"))
		}
		got <- told{n.ID, n.Name}
	}))
	defer sink.Close()
	settings := []string{"--store", url, "--notify-url", sink.URL}
	ids := map[string]string{}
	dies := func(d *served, again bool, names ...string) {
		t.Helper()
		for _, name := range names {
			if _, err := d.Put(t.Context(), name, api.Spec{Command: &target.Command{Shell: "exit 3"}, In: new(api.Duration)}); err != nil {
				t.Fatal(err)
			}
		}
		for want := len(ids) + len(names); len(ids) < want; {
			n := <-got
			switch was, known := ids[n.name]; {
			case known && was != n.id:
				t.Errorf("%s is told as %s and as %s", n.name, was, n.id)
			case known && !again:
				t.Errorf("%s is told again, by another one", n.name)
			case !known && !slices.Contains(names, n.name):
				t.Errorf("told of %s, want only %v", n.name, names)
			}
			ids[n.name] = n.id
		}
	}
	a := serve(t, dataDir(t), settings...)
	dies(a, false, "first") // so that it is this one that tells
	b := serve(t, dataDir(t), settings...)
	a.nodes(t, 2)
	b.nodes(t, 2)
	var names []string
	for i := range 12 { // in shards of either
		names = append(names, fmt.Sprintf("of-both-%d", i))
	}
	dies(b, false, names...)
	a.term(t)
	dies(b, true, "of-the-other")
	b.term(t)
}

// lastOf returns the newest entry of a task's history.
func (d *served) lastOf(t *testing.T, name string) api.Event {
	t.Helper()
	all, err := d.History(t.Context(), client.HistoryQuery{Name: name, Newest: true, Limit: 1})
	if err != nil || len(all) != 1 {
		t.Fatalf("history of %s: %v, %v", name, all, err)
	}
	return all[0]
}

// hears waits until a task has come into a state, by the events that a daemon tells.
func (d *served) hears(ctx context.Context, name, state string) error {
	for e, err := range d.Events(ctx, 0, name) {
		if err != nil {
			return err
		}
		if e.To == state {
			return nil
		}
	}
	return errors.New("the events have ended")
}

// secret is the password of the tests' connection strings. The server trusts everybody on its socket.
const secret = "correct-horse-battery"

// withSecret is a connection string with a password.
func withSecret(url string) string { return strings.Replace(url, "@", ":"+secret+"@", 1) }

// A daemon whose server goes away stays, answers what it can, says of the rest that it can't be done now, and goes on when the server is
// back. The password is in nothing that it prints.
func TestPostgres_ServerAway(t *testing.T) {
	s := pgtest.Start(t, pgtest.Options{})
	t.Setenv("DULY_STORE", withSecret(s.URL("postgres")))
	file := filepath.Join(t.TempDir(), "notes")
	dir := dataDir(t)
	d := serve(t, dir)
	d.nodes(t, 1)
	before := d.in(t, "before", time.Hour, "note", file, "before")
	soon := d.in(t, "soon", 2*time.Second, "note", file, "soon")
	var printed strings.Builder
	printed.WriteString(d.run(t, "doctor"))
	printed.WriteString(d.run(t, "stats"))
	if !strings.Contains(printed.String(), "PostgreSQL") || !strings.Contains(printed.String(), "256 shards of 256") {
		t.Errorf("duly doctor and duly stats do not say where the tasks are:\n%s", printed.String())
	}
	if err := s.Stop(pgtest.Immediate); err != nil {
		t.Fatal(err)
	}
	for d.Ready(t.Context()) == nil {
		time.Sleep(5 * time.Millisecond) // a server that ends is not told of
	}
	status, answer := d.ask(t, http.MethodGet, "/livez", "")
	if status != http.StatusOK {
		t.Errorf("it lives: %d %s", status, answer)
	}
	for _, path := range []string{"/readyz", "/v1/tasks", "/v1/stats"} {
		status, answer := d.ask(t, http.MethodGet, path, "")
		if status != http.StatusServiceUnavailable || !strings.Contains(answer, `"slug":"unavailable"`) {
			t.Errorf("%s: %d %s", path, status, answer)
		}
		printed.WriteString(answer)
	}
	if status, answer := d.ask(t, http.MethodPut, "/v1/tasks/x", `{"in": "1h", "command": {"args": ["true"]}}`); status != http.StatusServiceUnavailable {
		t.Errorf("a put: %d %s", status, answer)
	}
	out, err := program(t.Context(), t, dir, "doctor").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "does not answer") || !strings.Contains(string(out), "goes on by itself") {
		t.Errorf("duly doctor: %v\n%s", err, out)
	}
	printed.Write(out)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	d.ready(t)
	d.end(t, "soon", soon.Generation, "done")
	after := d.in(t, "after", 0, "note", file, "after")
	d.end(t, "after", after.Generation, "done")
	if task, err := d.Get(t.Context(), "before"); err != nil || task.Generation != before.Generation {
		t.Errorf("what was put before: %+v, %v", task, err)
	}
	d.term(t)
	printed.WriteString(d.said())
	for _, part := range []string{secret, "horse"} {
		if strings.Contains(printed.String(), part) {
			t.Errorf("the password is in what was printed:\n%s", printed.String())
		}
	}
	if !strings.Contains(d.said(), "tasks in postgres://") {
		t.Errorf("the banner does not say where the tasks are:\n%s", d.said())
	}
}

// What keeps a daemon from its database is said at once, with what to do, without the password, and nothing is left behind.
func TestPostgres_DoesNotStart(t *testing.T) {
	s := pgtest.Shared(t)
	url := s.Database(t)
	newer := s.Database(t)
	dir := dataDir(t)
	gone := "postgres://duly:" + secret + "@/duly?host=" + filepath.Join(t.TempDir(), "nobody") + "&password=" + secret
	fails := func(want string, args ...string) {
		t.Helper()
		cmd := program(t.Context(), t, dir, append([]string{"serve", "--listen", "none"}, args...)...)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) || strings.Contains(string(out), secret) {
			t.Errorf("duly serve %q: %v, want %q\n%s", args, err, want, out)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("duly serve %q: the directory is left behind", args)
		}
	}
	fails("can't be used: is the server up", "--store", gone)
	fails("want a URL such as postgres://", "--store", "mysql://duly:"+secret+"@h/d")
	fails("small letters", "--store", url, "--schema", "Big")
	fails("want none beside --store: how durable", "--store", url, "--durability", "interval")
	fails("also --store", "--schema", "tasks")
	if out, err := program(t.Context(), t, dir, "migrate", "up", "--store", newer).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := statement(s, newer, "insert into duly.migration (version, compatible) values (99, 99)"); err != nil {
		t.Fatal(err)
	}
	fails("schema duly is of version 99, and this program works on 1: take a newer version", "--store", newer)

	d := serve(t, dir, "--store", url)
	out, err := program(t.Context(), t, dir, "serve", "--listen", "none", "--socket", filepath.Join(filepath.Dir(dir), "other"), "--store", url).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "is in use by another daemon") {
		t.Errorf("a second daemon on the directory: %v\n%s", err, out)
	}
	d.term(t)
}

// statement runs one in a database of a server, by its connection string.
func statement(s *pgtest.Server, url, sql string) error {
	database := url[:strings.LastIndex(url, "?")]
	_, err := s.Query(database[strings.LastIndex(database, "/")+1:], sql)
	return err
}

// migrate types duly migrate, and returns what it prints and its status.
func migrate(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := program(t.Context(), t, dataDir(t), append([]string{"migrate"}, args...)...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), errs.String(), cmd.ProcessState.ExitCode()
}

func TestPostgres_Migrate(t *testing.T) {
	s := pgtest.Shared(t)
	url := s.Database(t)
	status := func(want int, args ...string) (st map[string]any) {
		t.Helper()
		out, stderr, got := migrate(t, append([]string{"status", "-o", "jsonl", "--store", withSecret(url)}, args...)...)
		if got != want {
			t.Fatalf("status %d, want %d: %s%s", got, want, out, stderr)
		}
		if err := json.Unmarshal([]byte(out), &st); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out+stderr, secret) {
			t.Errorf("the password is shown: %s%s", out, stderr)
		}
		delete(st, "store")
		delete(st, "server")
		return st
	}
	none := map[string]any{"schema": "tasks", "version": 0.0, "compatible": 0.0, "wanted": 1.0, "fits": false}
	if diff := cmp.Diff(none, status(1, "--schema", "tasks")); diff != "" {
		t.Error(diff)
	}
	for _, want := range []string{"made, of version 1\n", "it was of version 1 already\n"} {
		if out, stderr, got := migrate(t, "up", "--store", url, "--schema", "tasks"); got != 0 || !strings.HasSuffix(out, want) {
			t.Errorf("up: %d %q, want %q; %s", got, out, want, stderr)
		}
	}
	there := map[string]any{"schema": "tasks", "version": 1.0, "compatible": 1.0, "wanted": 1.0, "fits": true}
	if diff := cmp.Diff(there, status(0, "--schema", "tasks")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(none["version"], status(1)["version"]); diff != "" {
		t.Errorf("the schema duly, where there is another: %s", diff)
	}

	// What sql prints is what up does.
	out, stderr, got := migrate(t, "sql", "--schema", "byhand")
	if got != 0 || !strings.HasPrefix(out, "begin;\n") || strings.Contains(out, "duly.") {
		t.Fatalf("sql: %d %s\n%s", got, stderr, out)
	}
	if err := statement(s, url, out); err != nil {
		t.Fatal(err)
	}
	there["schema"] = "byhand"
	if diff := cmp.Diff(there, status(0, "--schema", "byhand")); diff != "" {
		t.Error(diff)
	}
	d := serve(t, dataDir(t), "--store", url, "--schema", "byhand")
	d.end(t, "x", d.in(t, "x", 0, "note", filepath.Join(t.TempDir(), "notes"), "x").Generation, "done")
	d.term(t)
}

// What needs no server of duly migrate: what it refuses, and its statements.
func TestMigrate_Refuses(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "takes one word: up, status or sql"},
		{[]string{"upp"}, "did you mean up?"},
		{[]string{"up"}, "duly migrate up --store"},
		{[]string{"up", "--store", "mysql://u:" + secret + "@h/d"}, "--store: want a URL such as postgres://"},
		{[]string{"up", "--store", "postgres://h/d", "--from", "1", "--schema", "A"}, `--schema "A": want small letters`},
		{[]string{"status", "--store", "postgres://h/d", "--from", "2"}, "--from is of sql"},
		{[]string{"sql", "--from", "9"}, "--from 9: want 1 to 1"},
		{[]string{"sql", "--from", "0"}, "--from 0: want 1 to 1"},
	} {
		out, stderr, status := migrate(t, tt.args...)
		if status != 2 || out != "" || !strings.Contains(stderr, tt.want) || strings.Contains(stderr, secret) {
			t.Errorf("duly migrate %q: %d %q %q, want %q", tt.args, status, out, stderr, tt.want)
		}
	}
	out, _, status := migrate(t, "sql", "-o", "jsonl")
	var m map[string]any
	if err := json.Unmarshal([]byte(out), &m); err != nil || status != 0 || m["version"] != 1.0 || !strings.Contains(m["sql"].(string), "create table duly.task") {
		t.Errorf("duly migrate sql -o jsonl: %d %v %s", status, err, out)
	}
}
