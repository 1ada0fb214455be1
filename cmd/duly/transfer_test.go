package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/internal/pgtest"
	"github.com/dulyhq/duly/schedule"
)

// typed runs a command with its standard input, and returns what it prints and its status.
func typed(t *testing.T, stdin string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := program(t.Context(), t, dataDir(t), args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// well is typed of a command that succeeds.
func well(t *testing.T, stdin string, args ...string) (stdout, stderr string) {
	t.Helper()
	stdout, stderr, status := typed(t, stdin, args...)
	if status != 0 {
		t.Fatalf("duly %q: status %d\n%s%s", args, status, stdout, stderr)
	}
	return stdout, stderr
}

// filled returns a directory in which a daemon was given tasks with every kind of schedule, and has ended.
func filled(t *testing.T, file string) string {
	t.Helper()
	d := serve(t, dataDir(t))
	d.fill(t, file)
	d.term(t)
	return d.dir
}

// fill gives a daemon tasks with every kind of schedule, of which none is due soon.
func (d *served) fill(t *testing.T, file string) {
	t.Helper()
	note := command(t, "note", file, "ran")
	note.Env["SECRET_TOKEN"] = "correct-horse"
	for name, text := range map[string]string{
		"in": "in 5h", "at": "at 2031-01-01T00:00:00Z", "every": "every 1h jitter 1m", "times": "every 1h times 3", "cron": "cron 0 9 * * mon-fri in Europe/Berlin",
		"pace": "pace 1h", "start": "pace-from-start 1h", "union": "(every 1h) or (cron 0 0 1 * * in Asia/Tokyo)",
	} {
		if _, err := d.Put(t.Context(), name, api.Spec{Schedule: text, Command: note, Tags: []string{"t"}, Priority: 3}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.In("shop").Put(t.Context(), "in", api.Spec{Schedule: "in 5h", Command: note, Key: "k"}); err != nil {
		t.Fatal(err)
	}
	in, at, every := api.Duration(0), time.Now().Add(3*time.Hour), api.Duration(time.Hour)
	if _, err := d.Move(t.Context(), "cron", schedule.At(at)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Pause(t.Context(), api.Selection{Names: []string{"times", "every"}, Why: "lunch"}); err != nil {
		t.Fatal(err)
	}
	failing := command(t, "note", filepath.Join(d.dir, "no", "such", "directory"), "fails")
	_, err := d.Put(t.Context(), "retries", api.Spec{In: &in, Command: failing, Policy: api.Policy{Attempts: 3, Backoff: every, MaxBackoff: every}})
	if err != nil {
		t.Fatal(err)
	}
	waits := func(task api.Task) bool { return task.State == "pending" && len(task.Runs) > 0 } // not before its first attempt, nor while that runs
	for !waits(d.task(t, "retries")) {
		time.Sleep(5 * time.Millisecond) // the attempt's end is not told by a state
	}
}

func (d *served) task(t *testing.T, name string) api.Task {
	t.Helper()
	task, err := d.Get(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// From a directory into a database and from there into another directory tasks are the same, to the last byte of their export; daemons on
// either end know them, and an import that is done again changes nothing.
func TestTransfer_Round(t *testing.T) {
	url := pgtest.Shared(t).Database(t)
	file := filepath.Join(t.TempDir(), "notes")
	dir := filled(t, file)
	first, said := well(t, "", "export", "--data", dir)
	if strings.Count(first, "\n") != 10 || said != "10 tasks exported\n" {
		t.Fatalf("exported %s%s", said, first)
	}
	for _, want := range []string{`"paused_why":"lunch"`, `"moved":true`, `"namespace":"shop"`, "correct-horse", `"schedule":"every 1h times 3"`} {
		if !strings.Contains(first, want) {
			t.Errorf("the export does not say %s:\n%s", want, first)
		}
	}
	for _, want := range []string{"10 tasks imported, 0 replaced, 0 there already, 0 kept, 0 refused\n", "0 tasks imported, 0 replaced, 10 there already, 0 kept, 0 refused\n"} {
		if out, _ := well(t, first, "import", "--store", url); out != want {
			t.Errorf("imported: %q, want %q", out, want)
		}
	}
	second, _ := well(t, "", "export", "--store", url)
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("what was in the directory, and is in the database (-first +second):\n%s", diff)
	}
	other := dataDir(t)
	if out, _ := well(t, second, "import", "--data", other, "-o", "jsonl"); out != `{"imported":10,"replaced":0,"unchanged":0,"kept":0,"refused":0}`+"\n" {
		t.Errorf("imported: %s", out)
	}
	third, _ := well(t, "", "export", "--data", other)
	if diff := cmp.Diff(first, third); diff != "" {
		t.Errorf("what was in one directory, and is in the other (-first +third):\n%s", diff)
	}
	part, _ := well(t, "", "export", "--data", other, "--namespace", "shop", "--prefix", "i", "--tag", "", "--kind", "command")
	if strings.Count(part, "\n") != 1 {
		t.Errorf("a part: %s", part)
	}

	// Daemons on the three show the same, and go on: what is run at once runs with what it needs.
	var lists []string
	for _, args := range [][]string{{dir}, {dataDir(t), "--store", url}, {other}} {
		d := serve(t, args[0], args[1:]...)
		var list strings.Builder
		for task, err := range d.List(t.Context(), client.Query{AllNamespaces: true}) {
			if err != nil {
				t.Fatal(err)
			}
			list.WriteString(task.Namespace + "/" + task.Name + " " + task.DueAt.String() + " " + task.Schedule + " " + task.PausedWhy + "\n")
		}
		lists = append(lists, list.String())
		if args[0] != dir {
			if err := d.RunNow(t.Context(), "at"); err != nil {
				t.Fatal(err)
			}
			for len(noted(t, file)) < len(lists)-1 {
				time.Sleep(5 * time.Millisecond) // another process writes it
			}
		}
		d.term(t)
	}
	// A run that waits for a retry is told as such where it was, and as what is next where it was moved to.
	where := strings.NewReplacer("0001-01-01 00:00:00 +0000 UTC", "")
	for i, list := range lists[1:] {
		var want, got []string
		for l := range strings.Lines(where.Replace(lists[0])) {
			if !strings.HasPrefix(l, "/retries ") {
				want = append(want, l)
			}
		}
		for l := range strings.Lines(list) {
			if !strings.HasPrefix(l, "/retries ") {
				got = append(got, l)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("what the daemons list, where tasks were and in place %d (-was +moved):\n%s", i+1, diff)
		}
	}
}

// What stands in the way is said, with what to do.
func TestTransfer_Refuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "notes")
	dir := dataDir(t)
	d := serve(t, dir)
	d.in(t, "tea", time.Hour, "note", file, "tea")
	for _, tt := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"export"}, 5, "no daemon answers"},
		{[]string{"import"}, 2, "--data DIR, whose daemon has ended, or --store postgres://user@host/database"},
		{[]string{"export", "--data", dir, "--store", "postgres://h/d"}, 2, "say two places"},
		{[]string{"import", "--data", dir}, 1, "end it first"},
		{[]string{"export", "--data", dir + "-other"}, 1, "there are no tasks in the data directory"},
		{[]string{"export", "--store", "postgres://u:" + secret + "@/d?host=" + t.TempDir()}, 1, "can't be used: is the server up"},
		{[]string{"import", "--data", dir, "--on-conflict", "maybe"}, 2, "want fail, keep or replace"},
		{[]string{"import", "--data", dir, "now"}, 2, "takes no argument"},
	} {
		out, stderr, status := typed(t, "", tt.args...)
		if status != tt.status || out != "" || !strings.Contains(stderr, tt.want) || strings.Contains(stderr, secret) {
			t.Errorf("duly %q: %d %q %q, want %d and %q", tt.args, status, out, stderr, tt.status, tt.want)
		}
	}
	if _, err := os.Stat(dir + "-other"); err == nil {
		t.Error("an export has made a directory")
	}
	d.term(t)

	lines, _ := well(t, "", "export", "--data", dir)
	changed := strings.Replace(lines, `"schedule":"in 1h"`, `"schedule":"in 2h"`, 1)
	for _, tt := range []struct {
		stdin    string
		conflict string
		status   int
		out, err string
	}{
		{changed, "fail", 4, "0 tasks imported, 0 replaced, 0 there already, 0 kept, 1 refused\n", "line 1: tea: a task of this name exists\n"},
		{"nothing\n" + changed, "fail", 1, "0 tasks imported, 0 replaced, 0 there already, 0 kept, 2 refused\n", "line 1: want an object"},
		{changed, "keep", 0, "0 tasks imported, 0 replaced, 0 there already, 1 kept, 0 refused\n", ""},
		{changed, "replace", 0, "0 tasks imported, 1 replaced, 0 there already, 0 kept, 0 refused\n", ""},
	} {
		out, stderr, status := typed(t, tt.stdin, "import", "--data", dir, "--on-conflict", tt.conflict)
		if status != tt.status || out != tt.out || !strings.HasPrefix(stderr, tt.err) || tt.err == "" && stderr != "" {
			t.Errorf("import %s: %d %q %q, want %d %q %q", tt.conflict, status, out, stderr, tt.status, tt.out, tt.err)
		}
	}
}

// A daemon that was killed leaves attempts that run: they stay behind, and that is said.
func TestTransfer_WhatRuns(t *testing.T) {
	file := filepath.Join(t.TempDir(), "notes")
	dir := dataDir(t)
	d := serve(t, dir)
	d.in(t, "later", time.Hour, "note", file, "later")
	put(t, d, "runs", command(t, "note", "-never", file, "runs"))
	d.begun(t, file, "runs-begun")
	d.kill(t)
	out, stderr, status := typed(t, "", "export", "--data", dir)
	if status != 1 || strings.Count(out, "\n") != 1 || !strings.Contains(out, `"name":"later"`) ||
		!strings.Contains(stderr, "runs: 1 attempts run\n") || !strings.Contains(stderr, "1 task exported; 2 things stay behind") {
		t.Errorf("%d %s%s", status, out, stderr)
	}
	d = serve(t, dir)
	if _, err := d.CancelRunning(context.WithoutCancel(t.Context()), "runs"); err != nil {
		t.Error(err)
	}
	d.term(t)
}

// However an export is made to end, it leaves no copy of the tasks behind.
func TestTransfer_LeavesNoCopy(t *testing.T) {
	dir := dataDir(t)
	d := serve(t, dir)
	in := api.Duration(time.Hour)
	for i := range 4 { // more than a pipe takes whose other end nobody reads
		payload := `"` + strings.Repeat("x", 100<<10) + `"`
		if _, err := d.Put(t.Context(), fmt.Sprint("big-", i), api.Spec{Kind: "note", Payload: []byte(payload), In: &in}); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name   string
		end    func(p *os.Process, out io.ReadCloser) error
		status int
	}{
		{"SIGTERM", func(p *os.Process, _ io.ReadCloser) error { return p.Signal(syscall.SIGTERM) }, 130},
		{"SIGHUP", func(p *os.Process, _ io.ReadCloser) error { return p.Signal(syscall.SIGHUP) }, 130},
		{"nobody reads on", func(_ *os.Process, out io.ReadCloser) error { return out.Close() }, 1},
	} {
		if tt.name == "SIGHUP" && signal.Ignored(syscall.SIGHUP) {
			t.Log("SIGHUP is ignored here, as under nohup, and so by what is started: its end by that is not looked at")
			continue
		}
		temp := t.TempDir()
		cmd := program(t.Context(), t, dir, "export")
		cmd.Env = append(cmd.Env, "TMPDIR="+temp)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		var said bytes.Buffer
		cmd.Stderr = &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if entries, err := os.ReadDir(temp); err != nil || len(entries) == 0 {
			t.Fatalf("%s: there is no copy to be left behind, %v", tt.name, err)
		}
		if err := tt.end(cmd.Process, out); err != nil {
			t.Fatal(err)
		}
		for entries := []os.DirEntry{nil}; len(entries) > 0; {
			time.Sleep(5 * time.Millisecond) // another process removes it, before anybody reads on
			if entries, err = os.ReadDir(temp); err != nil {
				t.Fatal(err)
			}
		}
		_, _ = io.Copy(io.Discard, out) // it may be closed
		_ = cmd.Wait()                  // the status is looked at
		if got := cmd.ProcessState.ExitCode(); got != tt.status || said.Len() > 0 {
			t.Errorf("%s: %v, want status %d; it says %q", tt.name, cmd.ProcessState, tt.status, said.String())
		}
		if entries, err := os.ReadDir(temp); err != nil || len(entries) > 0 {
			t.Errorf("%s: %d entries are left in the end, %v", tt.name, len(entries), err)
		}
	}
	d.term(t)
}
