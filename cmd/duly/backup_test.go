package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/cmd/duly/internal/home"
	"github.com/dulyhq/duly/target"
)

// A filler puts tasks as fast as it can, from several connections, and knows which were acknowledged.
type filler struct {
	mu   sync.Mutex
	put  []string
	stop atomic.Bool
	over sync.WaitGroup
}

func (d *served) load(t *testing.T) *filler {
	t.Helper()
	f := &filler{}
	for w := range 4 {
		f.over.Go(func() {
			for i := 0; !f.stop.Load(); i++ {
				name := fmt.Sprintf("load-%d-%d", w, i)
				in := api.Duration(time.Hour)
				if _, err := d.Put(context.WithoutCancel(t.Context()), name, api.Spec{In: &in, HTTP: &target.Callback{URL: "https://example.com/"}}); err != nil {
					t.Errorf("put %s: %v", name, err)
					return
				}
				f.mu.Lock()
				f.put = append(f.put, name)
				f.mu.Unlock()
			}
		})
	}
	return f
}

// acknowledged returns the names that were, when there are at least n.
func (f *filler) acknowledged(t *testing.T, n int) []string {
	t.Helper()
	for {
		f.mu.Lock()
		got := slices.Clip(f.put)
		f.mu.Unlock()
		if len(got) >= n || t.Failed() {
			return got
		}
		time.Sleep(5 * time.Millisecond) // real time: the load has to build up
	}
}

func (f *filler) end() {
	f.stop.Store(true)
	f.over.Wait()
}

// tasksOf returns what duly ls lists, by namespace and name, without who answers.
func tasksOf(t *testing.T, args ...string) map[string]api.Task {
	t.Helper()
	out, _ := well(t, "", append([]string{"ls", "-A", "-o", "jsonl"}, args...)...)
	all := map[string]api.Task{}
	lines := bufio.NewScanner(strings.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var task api.Task
		if err := json.Unmarshal(lines.Bytes(), &task); err != nil {
			t.Fatal(err)
		}
		all[task.Namespace+"/"+task.Name] = task
	}
	return all
}

// The drill: a daemon that works, with tasks of every kind and others that come in all the time, is backed up and then killed with its
// machine. Restored elsewhere there is all that was acknowledged before the backup, as it was; nothing starts before it is due, and what
// recurs keeps its grid. What is exported of it comes out of another place to the byte as it went in.
//
// contract: C1, C3
func TestBackup_Drill(t *testing.T) {
	backups := 2
	if os.Getenv("DULY_TEST_LONG") != "" {
		backups = 40
	}
	file := filepath.Join(t.TempDir(), "notes")
	d := serve(t, dataDir(t))
	d.fill(t, file)
	beat, err := d.Put(t.Context(), "beat", api.Spec{Schedule: "every 700ms", Command: command(t, "note", file, "beat")})
	if err != nil {
		t.Fatal(err)
	}
	d.in(t, "ran", time.Hour, "note", file, "ran-early")
	before := tasksOf(t, "--data", d.dir)
	delete(before, "/beat")
	if len(before) != 11 {
		t.Fatalf("%d tasks are there", len(before))
	}

	// Backups while others write.
	load := d.load(t)
	var backup string
	for i := range backups {
		acked := load.acknowledged(t, 100*(i+1))
		backup = filepath.Join(t.TempDir(), "backup")
		out := d.run(t, "backup", backup)
		there := tasksOf(t, "--data", backup)
		for _, name := range acked {
			if _, ok := there["/"+name]; !ok {
				t.Fatalf("backup %d does not hold %s, which was acknowledged before\n%s", i, name, out)
			}
		}
		for name, want := range before {
			if diff := cmp.Diff(want, there[name]); diff != "" {
				t.Errorf("%s in backup %d (-was +is):\n%s", name, i, diff)
			}
		}
	}
	load.end()
	if err := d.RunNow(t.Context(), "ran"); err != nil { // after the last backup
		t.Fatal(err)
	}
	for len(notes(t, file, "ran-early")) == 0 {
		time.Sleep(5 * time.Millisecond) // another process writes it
	}
	d.kill(t)
	beats := len(notes(t, file, "beat"))

	// Restored elsewhere.
	other := dataDir(t)
	out, _ := well(t, "", "restore", backup, "--data", other)
	there := tasksOf(t, "--data", other)
	for name, want := range before {
		if diff := cmp.Diff(want, there[name]); diff != "" {
			t.Errorf("%s, restored (-was +is):\n%s%s", name, diff, out)
		}
	}
	token, err := os.ReadFile(home.Token(d.dir))
	if err != nil {
		t.Fatal(err)
	}
	private(t, backup, bytes.TrimSpace(token))
	private(t, other, bytes.TrimSpace(token))
	d = serve(t, other)
	for len(notes(t, file, "beat")) < beats+2 {
		time.Sleep(5 * time.Millisecond) // another process writes it
	}
	events, err := d.History(t.Context(), client.HistoryQuery{Newest: true, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, e := range events {
		if e.Lateness != nil && *e.Lateness < 0 {
			t.Errorf("%s started early: %+v", e.Name, e)
		}
		if e.Name == "beat" && e.To == "done" {
			seen++
			if off := e.ScheduledFor.Sub(beat.ScheduledFor) % (700 * time.Millisecond); off != 0 {
				t.Errorf("the beat of %v is %v off its grid, which has %v", e.ScheduledFor, off, beat.ScheduledFor)
			}
		}
	}
	if seen == 0 {
		t.Error("no beat is in the history")
	}
	if got := notes(t, file, "ran-early"); len(got) != 1 {
		t.Errorf("what ran once after the backup, and is due in an hour, ran %d times", len(got))
	}

	// Out of the daemon that runs, out of its directory, and out of another place into which it was put.
	if _, err := d.Cancel(t.Context(), "beat"); err != nil {
		t.Fatal(err)
	}
	first := d.run(t, "export")
	d.term(t)
	third := dataDir(t)
	second, _ := well(t, "", "export", "--data", other)
	well(t, second, "import", "--data", third)
	last, _ := well(t, "", "export", "--data", third)
	if first != second || second != last || strings.Count(first, "\n") < 11+100*backups {
		t.Errorf("exports differ, or are short: %d, %d and %d bytes\n%s", len(first), len(second), len(last), cmp.Diff(second, last))
	}
}

// notes are the notes of a text.
func notes(t *testing.T, file, text string) (found []string) {
	t.Helper()
	for _, n := range noted(t, file) {
		if n == text {
			found = append(found, n)
		}
	}
	return found
}

// private looks for what others can read, and for the token of the daemon that a directory is of.
func private(t *testing.T, dir string, token []byte) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows" { // permissions are others there
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		if e.IsDir() {
			return nil
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, token) {
			t.Errorf("%s holds the daemon's token", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// Over the net a backup is for whoever may have everything: the daemon's own token, or one with the scope. What another program sends in
// place of a backup, or half of one, is none.
func TestBackup_TCP(t *testing.T) {
	config := filepath.Join(t.TempDir(), "duly.yaml")
	var text strings.Builder
	text.WriteString("tokens:\n")
	for _, name := range []string{"read", "write", "exec", "backup"} {
		sum := sha256.Sum256([]byte(strings.Repeat(name, 8)))
		fmt.Fprintf(&text, "- {name: %s, scopes: [%s], sha256: %x}\n", name, name, sum)
	}
	if err := os.WriteFile(config, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	d := serve(t, dataDir(t), "--listen", "127.0.0.1:0", "--config", config)
	d.in(t, "tea", time.Hour, "note", "x", "tea")
	address := ""
	for where := regexp.MustCompile(`127\.0\.0\.1:[1-9]\d*`); address == ""; address = where.FindString(d.said()) {
		time.Sleep(5 * time.Millisecond) // it answers before it says so
	}
	for _, name := range []string{"", "read", "write", "exec", "backup"} {
		t.Setenv("DULY_TOKEN", strings.Repeat(name, 8))
		backup := filepath.Join(t.TempDir(), "backup")
		_, stderr, status := typed(t, "", "backup", backup, "--url", "http://"+address)
		want := 6
		if name == "backup" {
			want = 0
		}
		if status != want {
			t.Errorf("with the scope %q: status %d, want %d: %s", name, status, want, stderr)
		}
		if _, err := os.Stat(backup); (err == nil) != (want == 0) {
			t.Errorf("with the scope %q: the directory is there: %v", name, err)
		}
	}
	out, _ := well(t, "", "export", "--url", "http://"+address)
	if !strings.Contains(out, `"name":"tea"`) {
		t.Errorf("exported: %s", out)
	}
	d.term(t)
}

// What is sent in place of a backup leaves nothing behind.
func TestBackup_NotOne(t *testing.T) {
	whole := func(names ...string) string {
		var b strings.Builder
		w := tar.NewWriter(&b)
		for _, name := range names {
			if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: 4}); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(w, "text"); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for what, answer := range map[string]string{
		"nothing":          "",
		"a text":           strings.Repeat("hello", 300),
		"an empty archive": whole(),
		"outside":          whole("../evil"),
		"deeper":           whole("store/a/b"),
		"above":            whole("store/.."),
		"a root":           whole("/store/x"),
		"twice":            whole("store/x", "store/x"),
		"without an end":   whole("store/x"),
		"no store":         whole("store/COPY", "store/SEAL"),
		"cut":              whole("store/COPY", "store/SEAL")[:700],
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) }))
		dir := t.TempDir()
		backup := filepath.Join(dir, "new", "backup")
		out, stderr, status := typed(t, "", "backup", backup, "--url", s.URL)
		s.Close()
		if status != 1 || out != "" || !strings.HasPrefix(stderr, "duly: ") || strings.Count(stderr, "\n") > 2 {
			t.Errorf("%s: %d %q %q", what, status, out, stderr)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%s: %v is left, %v", what, left, err)
		}
	}
}
