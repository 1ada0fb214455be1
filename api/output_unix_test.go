//go:build unix

package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/target"
)

// commands is an env on the real clock that runs commands, behind a server: they are processes, which no bubble holds.
func commands(t *testing.T) (*env, *httptest.Server) {
	t.Helper()
	out, err := target.OpenOutputs(t.TempDir(), target.OutputOptions{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	o := all
	o.Outputs = out
	e := newEnv(t, o)
	duly.Handle(e.d, target.KindCommand, target.Commands(target.CommandOptions{Outputs: out, Logger: slog.New(slog.DiscardHandler)}))
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- e.d.Run(ctx) }()
	srv := httptest.NewServer(e.h)
	t.Cleanup(func() {
		e.h.Close()
		srv.Close()
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
		if err := out.Close(); err != nil {
			t.Errorf("Close of the outputs: %v", err)
		}
	})
	return e, srv
}

// run puts a shell line that is due now.
func (e *env) run(name, line string) {
	e.Helper()
	spec, err := json.Marshal(dict{"command": dict{"shell": line}, "in": "0s", "attempts": 1})
	if err != nil {
		e.Fatal(err)
	}
	e.do("PUT", "/v1/tasks/"+name, string(spec)).want(http.StatusCreated)
}

// ended waits until the history tells of n entries of a name.
func (e *env) ended(name string, n int) {
	e.Helper()
	for _, err := range e.d.Events(e.Context(), 0) {
		if err != nil {
			e.Fatal(err)
		}
		if got := read[api.EventPage](e.do("GET", "/v1/history", "")).Events; len(got) >= n && got[len(got)-1].Name == name {
			return
		}
	}
}

func chunks(t *testing.T, body io.Reader) (all []api.Chunk) {
	t.Helper()
	in := bufio.NewScanner(body)
	for in.Scan() {
		var c api.Chunk
		if err := json.Unmarshal(in.Bytes(), &c); err != nil {
			t.Fatalf("%v in %s", err, in.Text())
		}
		all = append(all, c)
	}
	return all
}

func TestOutput(t *testing.T) {
	e, _ := commands(t)
	e.run("fails", `echo hello; echo oops >&2; exit 3`)
	e.ended("fails", 1)
	page := read[api.AttemptPage](e.do("GET", "/v1/tasks/fails/attempts", "").want(http.StatusOK))
	if len(page.Attempts) != 1 {
		t.Fatalf("%+v", page)
	}
	a := page.Attempts[0]
	if a.ExitCode == nil || *a.ExitCode != 3 || a.Outcome != "failed" || a.Running || a.Bytes != 11 || a.Attempt != 1 || a.Fence == 0 || a.EndedAt.IsZero() || a.Lateness < 0 {
		t.Errorf("%+v", a)
	}
	printed := map[string]string{}
	for _, c := range chunks(t, strings.NewReader(e.do("GET", "/v1/tasks/fails/output", "").want(http.StatusOK).body)) {
		printed[c.Stream] += c.Text
		if c.RunID != a.RunID || c.Attempt != 1 || c.At.IsZero() {
			t.Errorf("%+v", c)
		}
	}
	is(t, "printed", printed, map[string]string{"stdout": "hello\n", "stderr": "oops\n"})
	one := "/v1/tasks/fails/output?run_id=" + url.QueryEscape(a.RunID)
	if body := e.do("GET", one+"&attempt=1&follow=true", "").want(http.StatusOK).body; !strings.Contains(body, "hello") {
		t.Errorf("%s", body)
	}
	e.do("GET", one+"&attempt=2", "").want(http.StatusNotFound).problem("not-found", "")
	e.do("GET", one+"&attempt=0", "").want(http.StatusBadRequest).problem("invalid", "attempt")
	e.do("GET", "/v1/tasks/fails/output?attempt=1", "").want(http.StatusBadRequest).problem("invalid", "run_id")
	e.do("GET", "/v1/tasks/fails/output?run_id=x", "").want(http.StatusNotFound).problem("not-found", "")
	e.do("GET", "/v1/tasks/nobody/output", "").want(http.StatusNotFound).problem("not-found", "")
	e.do("GET", "/v1/tasks/nobody/attempts", "").want(http.StatusNotFound).problem("not-found", "")
	e.do("GET", "/v1/tasks/fails/attempts?limit=0", "").want(http.StatusBadRequest).problem("invalid", "limit")
	e.do("PUT", "/v1/tasks/later", `{"kind": "k", "in": "1h"}`).want(http.StatusCreated)
	is(t, "attempts at what has not run", len(read[api.AttemptPage](e.do("GET", "/v1/tasks/later/attempts", "").want(http.StatusOK)).Attempts), 0)

	e.run("bytes", `printf '\377\376'`)
	e.ended("bytes", 2)
	got := chunks(t, strings.NewReader(e.do("GET", "/v1/tasks/bytes/output", "").want(http.StatusOK).body))
	if len(got) != 1 || string(got[0].Base64) != "\xff\xfe" || got[0].Text != "" {
		t.Errorf("%+v", got)
	}
}

// follow asks for output as it is printed.
func follow(t *testing.T, srv *httptest.Server, name string) *bufio.Reader {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+"/v1/tasks/"+name+"/output?follow=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := srv.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() }) // nothing more is wanted of it
	if res.StatusCode != http.StatusOK {
		t.Fatalf("status %d", res.StatusCode)
	}
	return bufio.NewReader(res.Body)
}

// A gate is where a command waits until it is opened.
type gate struct {
	*testing.T

	there, on string // FIFOs
}

func newGate(t *testing.T) gate {
	t.Helper()
	dir := t.TempDir()
	g := gate{t, filepath.Join(dir, "there"), filepath.Join(dir, "go")}
	for _, path := range []string{g.there, g.on} {
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// line is what the command does: say that it is there, and wait.
func (g gate) line() string { return "echo > '" + g.there + "'; read x < '" + g.on + "'" }

// wait returns when the command is there.
func (g gate) wait() {
	g.Helper()
	if _, err := os.ReadFile(g.there); err != nil {
		g.Fatal(err)
	}
}

// open lets the command go on.
func (g gate) open() {
	g.Helper()
	if err := os.WriteFile(g.on, []byte("\n"), 0o600); err != nil {
		g.Fatal(err)
	}
}

// Output that is followed comes as it is printed, and ends with the attempt.
func TestOutput_Follow(t *testing.T) {
	e, srv := commands(t)
	g := newGate(t)
	e.run("waits", `echo one; `+g.line()+`; echo two`)
	g.wait()
	in := follow(t, srv, "waits")
	first, err := in.ReadString('\n')
	if err != nil || !strings.Contains(first, `"text":"one\n"`) {
		t.Fatalf("%v: %s", err, first)
	}
	is(t, "running", read[api.AttemptPage](e.do("GET", "/v1/tasks/waits/attempts", "")).Attempts[0].Running, true)
	g.open()
	rest := chunks(t, in)
	if len(rest) != 1 || rest[0].Text != "two\n" {
		t.Errorf("%+v", rest)
	}
}

// When the handler is closed, output that is followed is cut off in a way that nobody takes for its end.
func TestOutput_FollowIsCutOff(t *testing.T) {
	e, srv := commands(t)
	g := newGate(t)
	e.run("waits", `echo one; `+g.line())
	g.wait()
	in := follow(t, srv, "waits")
	if first, err := in.ReadString('\n'); err != nil {
		t.Fatalf("%v: %s", err, first)
	}
	e.h.Close()
	if _, err := io.ReadAll(in); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("after Close: %v, want that the body is cut off", err)
	}
	g.open()
	e.ended("waits", 1)
}
