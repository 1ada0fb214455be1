package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/target"
)

var noon = time.Date(2026, 12, 2, 12, 0, 0, 0, time.UTC)

// task is the task of a name, as the API has it.
func (s *served) task(name string) api.Task {
	s.Helper()
	c, err := client.New(client.Options{Socket: s.socket})
	if err != nil {
		s.Fatal(err)
	}
	defer c.Close()
	task, err := c.Get(s.Context(), name)
	if err != nil {
		s.Fatal(err)
	}
	return task
}

// TestCLI_In5m: the line that the README begins with puts a task that is due after five minutes, says when that is and how to cancel it,
// and the task runs then and not before.
//
// requirement: F18.
func TestCLI_In5m(t *testing.T) {
	clk := clock.NewManual(noon)
	s := serve(t, clk)
	done := filepath.Join(t.TempDir(), "done")
	s.program("notify-send", `echo "$@" >`+done)
	line := strings.TrimSuffix(s.ok("in", "5m", "--", "notify-send", "tea"), "\n")
	fields := strings.Split(line, "\t")
	if len(fields) != 4 || !strings.HasPrefix(fields[0], "notify-send-") || fields[3] != "duly cancel "+fields[0] {
		t.Fatalf("printed %q, want the name, when it is due, that it is new, and how to cancel it", line)
	}
	if want := "2026-12-02T12:05:00Z"; fields[1] != want || fields[2] != "created" {
		t.Errorf("it is %s, due at %s, want created, and %s", fields[2], fields[1], want)
	}
	task := s.task(fields[0])
	want := &target.Command{Args: []string{"notify-send", "tea"}, Dir: task.Command.Dir, Env: map[string]string{
		"PATH": s.dir, "HOME": "/home/u", "LANG": "C.UTF-8", "TZ": "UTC",
	}}
	if diff := cmp.Diff(want, task.Command); diff != "" {
		t.Errorf("the command (-want +got):\n%s", diff)
	}
	if dir, err := os.Getwd(); err != nil || task.Command.Dir != dir {
		t.Errorf("it runs in %q, want %q, where it was put", task.Command.Dir, dir)
	}
	if err := clk.Run(t.Context(), 5*time.Minute-time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(done); err == nil {
		t.Error("it has run before it was due")
	}
	c, err := client.New(client.Options{Socket: s.socket})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ended := make(chan api.Event, 1)
	go func() {
		e, err := c.Await(t.Context(), fields[0], task.Generation)
		if err != nil {
			t.Errorf("Await: %v", err)
		}
		ended <- e
	}()
	if err := clk.Run(t.Context(), time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if e := <-ended; e.To != "done" {
		t.Fatalf("it ended as %s: %s", e.To, e.Reason)
	}
	if text, err := os.ReadFile(done); err != nil || string(text) != "tea\n" {
		t.Errorf("it was run with %q, %v, want tea", text, err)
	}
}

// TestCLI_Put holds each way to put a task to what the API then has.
func TestCLI_Put(t *testing.T) {
	s := serve(t, clock.NewManual(noon))
	s.program("x", "true")
	body := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(body, []byte("from a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		args string
		want func(*api.Task) (got, want any)
	}{
		{"in", "in 90 minutes --name n -- x", func(k *api.Task) (any, any) { return k.DueAt, noon.Add(90 * time.Minute) }},
		{"at", "at tomorrow 9:30 --name n -- x", func(k *api.Task) (any, any) { return k.DueAt, time.Date(2026, 12, 3, 9, 30, 0, 0, time.UTC) }},
		{"at in a zone", "at 17:00 --zone Europe/Berlin --name n -- x", func(k *api.Task) (any, any) { return k.DueAt, noon.Add(4 * time.Hour) }},
		{"every", "every 15m jitter 30s until 2027-01-01 --name n -- x", func(k *api.Task) (any, any) { return k.Schedule, "every 15m until 2027-01-01T00:00:00Z jitter 30s" }},
		{"every, in words", "every 2 hours --name n -- x", func(k *api.Task) (any, any) { return k.Schedule, "every 2h" }},
		{"cron", "cron @daily --name n -- x", func(k *api.Task) (any, any) { return k.Schedule, "cron 0 0 * * *" }},
		{"cron in a zone", "cron 0|9|*|*|mon-fri --zone Europe/Berlin --name n -- x", func(k *api.Task) (any, any) { return k.Schedule, "cron 0 9 * * mon-fri in Europe/Berlin" }},
		{"put", "put n --schedule in|1h -- x", func(k *api.Task) (any, any) { return k.DueAt, noon.Add(time.Hour) }},
		{"put a recurrence", "put n --schedule rrule|FREQ=MONTHLY;BYDAY=-1FR --zone Asia/Tokyo -- x", func(k *api.Task) (any, any) { return k.Schedule, "rrule FREQ=MONTHLY;BYDAY=-1FR in Asia/Tokyo" }},
		{"put in a zone", "put n --schedule 0|3|*|*|* --zone Asia/Tokyo -- x", func(k *api.Task) (any, any) { return k.Schedule, "cron 0 3 * * * in Asia/Tokyo" }},
		{"shell", "in 1h --name n --shell date|>>log", func(k *api.Task) (any, any) { return k.Command.Shell, "date >>log" }},
		{"post", "in 1h --name n --post https://example.com/hook --header A:|b --body {}", func(k *api.Task) (any, any) {
			return k.HTTP, &target.Callback{URL: "https://example.com/hook", Header: map[string]string{"A": "b"}, Body: "{}"}
		}},
		{"post a file", "in 1h --name n --post https://example.com/hook --method put --body @" + body, func(k *api.Task) (any, any) {
			return k.HTTP, &target.Callback{URL: "https://example.com/hook", Method: "PUT", Body: "from a file"}
		}},
		{"environment", "in 1h --name n --env SECRET --env A=1 -- x", func(k *api.Task) (any, any) { return k.Command.Env["A"], "1" }},
		{"stdin", "in 1h --name n --stdin -- x", func(k *api.Task) (any, any) { return k.Command.Stdin, "from here\n" }},
		{"dir", "in 1h --name n --dir / -- x", func(k *api.Task) (any, any) { return k.Command.Dir, "/" }},
		{"kill after, later codes", "in 1h --name n --kill-after 1m --later-code 3 --later-code 4 -- x", func(k *api.Task) (any, any) {
			return []any{k.Command.Grace, k.Command.LaterCodes}, []any{target.Duration(time.Minute), []int{3, 4}}
		}},
		{"retry", "in 1h --name n --retry 2 --backoff 5s -- x", func(k *api.Task) (any, any) {
			return []any{k.Policy.Attempts, k.Policy.Backoff}, []any{3, target.Duration(5 * time.Second)}
		}},
		{"policies", "every 1h --name n --timeout 1m --overlap buffer-many:3 --catch-up all:5 --window 10m --stop-on-error -- x", func(k *api.Task) (any, any) {
			p := k.Policy
			return []any{p.Timeout, p.Overlap, p.CatchUp, p.Window, p.StopOnError},
				[]any{target.Duration(time.Minute), "buffer-many:3", "all:5", target.Duration(10 * time.Minute), true}
		}},
		{"start within", "in 1h --name n --start-within 10m --at-most-once -- x", func(k *api.Task) (any, any) {
			return []any{k.Policy.StartWithin, k.Policy.AtMostOnce}, []any{target.Duration(10 * time.Minute), true}
		}},
		{"keys and tags", "in 1h --name n --key disk --key-limit 2 --tag a --tag b --priority 5 -- x", func(k *api.Task) (any, any) {
			return []any{k.Key, k.Policy.KeyLimit, k.Tags, k.Priority}, []any{"disk", 2, []string{"a", "b"}, 5}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args := strings.Split(tt.args, " ")
			for i := range args {
				args[i] = strings.ReplaceAll(args[i], "|", " ")
			}
			s := *s
			s.T = t
			s.ok(args...)
			task := s.task("n")
			got, want := tt.want(&task)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if _, err := s.d.Cancel(t.Context(), "n"); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestCLI_PutAgain: what becomes of a name that is taken.
func TestCLI_PutAgain(t *testing.T) {
	s := serve(t, clock.NewManual(noon))
	s.program("x", "true")
	outcome := func(args ...string) string { return strings.Split(s.ok(args...), "\t")[2] }
	steps := []struct{ args, want string }{
		{"in 1h --name n -- x", "created"},
		{"at 2026-12-24T18:00:00Z --name n -- x", "replaced"},
		{"at 2026-12-24T18:00:00Z --name n -- x", "unchanged"},
		{"in 1h --name n --on-conflict keep -- x", "kept"},
	}
	for _, step := range steps {
		if got := outcome(strings.Fields(step.args)...); got != step.want {
			t.Errorf("duly %s: %s, want %s", step.args, got, step.want)
		}
	}
	_, stderr, status := s.run("in", "1h", "--name", "n", "--on-conflict", "fail", "--", "x")
	if status != exitConflict || !strings.Contains(stderr, "exists") {
		t.Errorf("status %d, %q, want %d and that the name is taken", status, stderr, exitConflict)
	}
}

// TestCLI_Move: by how long and to when, and what can't be moved.
func TestCLI_Move(t *testing.T) {
	s := serve(t, clock.NewManual(noon))
	s.program("x", "true")
	s.ok("in", "1h", "--name", "n", "--", "x")
	for _, step := range []struct {
		args string
		want time.Time
	}{{"move n 5m", noon.Add(5 * time.Minute)}, {"move n tomorrow 9:00", noon.Add(21 * time.Hour)}, {"move n 17:00 --zone Europe/Berlin", noon.Add(4 * time.Hour)}} {
		if got := s.ok(strings.Fields(step.args)...); got != "n\t"+step.want.Format(time.RFC3339)+"\n" {
			t.Errorf("duly %s: %q, want %v", step.args, got, step.want)
		}
	}
	for _, step := range []struct {
		args   string
		status int
		stderr string
	}{
		{"move gone 5m", exitNotFound, "gone"},
		{"move n 5m --if-generation 99", exitConflict, "condition"},
		{"move n", exitUsage, "hint: duly move tea 5m"},
		{"move n 5:00", exitUsage, "duly move n 'tomorrow 05:00'"},
		{"move n 5 months", exitUsage, "months differ in length"},
		{"run gone", exitNotFound, "gone"},
	} {
		_, stderr, status := s.run(strings.Fields(step.args)...)
		if status != step.status || !strings.Contains(stderr, step.stderr) {
			t.Errorf("duly %s: status %d, %q, want %d, and %q", step.args, status, stderr, step.status, step.stderr)
		}
	}
}

// TestCLI_Wait: what is waited for is seen, and its status is the command line's own.
func TestCLI_Wait(t *testing.T) {
	s := serve(t, clock.System())
	s.program("good", "echo out; echo err >&2")
	s.program("bad", "echo broken >&2; exit 7")
	s.program("twice", `echo "attempt $DULY_ATTEMPT"; test "$DULY_ATTEMPT" = 2`)
	tests := []struct {
		args           string
		status         int
		stdout, stderr string
	}{
		{"in 0s --name n --wait -- good", exitOK, "out\n", "err\nn: done, "},
		{"in 0s --name n --wait -- bad", 7, "", "broken\nn: dead (exit status 7: broken), "},
		{"in 0s --name n --retry 1 --backoff 1ms --wait -- twice", exitOK, "attempt 1\nattempt 2\n", "n: done, "},
		{"in 0s --name n --wait --shell kill|-9|$$", 128 + 9, "", "n: dead (ended by the signal"},
		{"every 1h --name n -- good", exitOK, "n\t", ""},
		{"run n --wait", exitOK, "out\n", "err\nn: done, "},
		{"put n --schedule in|0s --wait --on-conflict fail -- good", exitConflict, "", "exists"},
		{"in 0s --name m --wait -o jsonl -- good", exitOK, `{"name":"m","outcome":"created",`, "m: done"},
	}
	for _, tt := range tests {
		args := strings.Fields(tt.args)
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "|", " ")
		}
		stdout, stderr, status := s.run(args...)
		if status != tt.status || !strings.HasPrefix(stdout, tt.stdout) || !strings.Contains(stderr, tt.stderr) {
			t.Errorf("duly %s: status %d, %q, %q, want %d, %q, %q", tt.args, status, stdout, stderr, tt.status, tt.stdout, tt.stderr)
		}
	}
}

// TestCLI_JSON: -o gives the wire objects.
func TestCLI_JSON(t *testing.T) {
	s := serve(t, clock.NewManual(noon))
	s.program("x", "true")
	for _, args := range []string{"in 1h --name n -o json -- x", "in 1h --name n -o jsonl -- x", "move n 2h -o jsonl"} {
		var e api.Entry
		out := s.ok(strings.Fields(args)...)
		if err := json.Unmarshal([]byte(out), &e); err != nil || e.Name != "n" || e.Generation == 0 {
			t.Errorf("duly %s: %s, %v", args, out, err)
		}
		if strings.Count(out, "\n") > 1 != strings.Contains(args, "json ") {
			t.Errorf("duly %s: %q", args, out)
		}
	}
}
