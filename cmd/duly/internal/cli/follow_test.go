package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dulyhq/duly/cmd/duly/internal/logtest"
)

// TestLogs prints each stream of a command to the one of its kind.
func TestLogs(t *testing.T) {
	w := newWorld(t)
	w.put("talk", now("printf 'out\\033[1m\\n'; echo err >&2; exit 0"))
	stdout, stderr, status := w.run("logs", "-f", "talk")
	if status != exitOK || stdout != "out\x1b[1m\n" || stderr != "err\n" {
		t.Errorf("logs -f: status %d, standard output %q, standard error %q", status, stdout, stderr)
	}
	stdout, stderr, status = w.run("logs", "talk")
	if status != exitOK || stdout != "out\x1b[1m\n" || stderr != "err\n" {
		t.Errorf("logs: status %d, standard output %q, standard error %q", status, stdout, stderr)
	}
	if got := w.ok("logs", "--list", "talk"); !strings.Contains(got, "done, exit 0") || strings.Count(got, "\n") != 1 {
		t.Errorf("logs --list: %q", got)
	}
	if got := w.ok("logs", "talk", "-o", "jsonl"); !strings.Contains(got, `"stream":"stdout"`) || strings.Contains(got, "\x1b") {
		t.Errorf("logs -o jsonl: %q", got)
	}
}

// TestLogs_Nothing says why there is nothing.
func TestLogs_Nothing(t *testing.T) {
	w := newWorld(t)
	w.put("tea", later("true"))
	if _, stderr, status := w.run("logs", "tea"); status != exitNotFound || !strings.Contains(stderr, "tea has not run yet; it is due in ") {
		t.Errorf("logs of what has not run: status %d, %q", status, stderr)
	}
	if _, stderr, status := w.run("logs", "nobody"); status != exitNotFound || !strings.Contains(stderr, "nobody") {
		t.Errorf("logs of nobody: status %d, %q", status, stderr)
	}
	if _, stderr, status := w.run("logs", "-f", "nobody"); status != exitNotFound || !strings.Contains(stderr, "nobody") {
		t.Errorf("logs -f of nobody: status %d, %q", status, stderr)
	}
}

// TestLogs_Follow waits for a task that has not run yet, and prints each of its attempts as it comes.
func TestLogs_Follow(t *testing.T) {
	w := newWorld(t)
	spec := later("sh", "-c", `echo attempt $DULY_ATTEMPT; until [ -e "$0/go$DULY_ATTEMPT" ]; do sleep 0.01; done; exit 1`, w.dir)
	spec.Attempts, spec.Backoff = 2, 1
	w.put("tea", spec)
	out := new(logtest.Log)
	p := w.process("logs", "-f", "tea")
	p.Stdout, p.Stderr = out, out
	ended := make(chan int, 1)
	go func() { ended <- Run(p) }()
	s := newSession(w.process())
	c, err := s.connect()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.RunNow(t.Context(), "tea"); err != nil {
		t.Fatal(err)
	}
	for _, attempt := range []string{"1", "2"} {
		out.Has(t, "attempt "+attempt+"\n")
		if err := os.WriteFile(filepath.Join(w.dir, "go"+attempt), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if status := <-ended; status != exitOK {
		t.Errorf("status %d, want %d: %s", status, exitOK, out)
	}
	if got := out.String(); got != "attempt 1\nattempt 2\n" {
		t.Errorf("printed %q", got)
	}
}
