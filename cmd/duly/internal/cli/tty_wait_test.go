//go:build unix

package cli

import (
	"strings"
	"testing"
)

// TestTTY_Wait: Ctrl-C ends the wait and not the task, and what cancels the task is said.
func TestTTY_Wait(t *testing.T) {
	w := newWorld(t)
	y := w.tty([]string{"PATH=/bin:/usr/bin", "NO_COLOR=1"}, "in", "1h", "--name", "tea", "--wait", "--", "true")
	y.out.Has(t, "tea runs in ") // an hour, or a second less where it took that long to be said
	y.out.Has(t, "Ctrl-C only ends the wait")
	y.typed("\x03")
	if status := y.status(); status != exitInterrupted {
		t.Errorf("Ctrl-C: status %d, want %d", status, exitInterrupted)
	}
	if text := y.out.String(); !strings.Contains(text, "duly: tea goes on without being waited for\r\nhint: to cancel it: ") {
		t.Errorf("it says %q, want that the task goes on, and how to cancel it", text)
	}
	if task := w.ok("ls"); !strings.HasPrefix(task, "tea\t") {
		t.Errorf("what is left is %q, want the task", task)
	}
}

// TestTTY_WaitOutput: what the command prints is seen while it runs, colours and all.
func TestTTY_WaitOutput(t *testing.T) {
	w := newWorld(t)
	fifo := t.TempDir() + "/go"
	y := w.tty([]string{"PATH=/bin:/usr/bin", "NO_COLOR=1"}, "in", "0s", "--name", "job", "--wait", "--shell",
		`mkfifo `+fifo+`; printf '\033[32mgreen\033[0m\n'; read line <`+fifo+`; echo "$line"; exit 3`)
	y.out.Has(t, "\x1b[32mgreen\x1b[0m\r\n")
	w.put("go", now("echo went on >"+fifo))
	y.out.Has(t, "went on\r\n")
	if status := y.status(); status != 3 {
		t.Errorf("status %d, want 3", status)
	}
	y.out.Has(t, "job: dead (exit status 3), ")
}

// TestTTY_WaitLoss: a connection that breaks ends neither the wait nor the task, and that output may be missing is said.
func TestTTY_WaitLoss(t *testing.T) {
	w := newWorld(t)
	fifo := t.TempDir() + "/go"
	y := w.tty([]string{"PATH=/bin:/usr/bin", "NO_COLOR=1"}, "in", "0s", "--name", "job", "--wait", "--shell",
		`mkfifo `+fifo+`; echo began; read line <`+fifo+`; echo "$line"`)
	y.out.Has(t, "began\r\n")
	w.hangUp()
	y.out.Has(t, "the daemon does not answer now; the wait goes on\r\n")
	w.serve()
	w.put("go", now("echo went on >"+fifo))
	y.out.Has(t, "job: done, ")
	if status := y.status(); status != exitOK {
		t.Errorf("status %d, want %d", status, exitOK)
	}
	if text := y.out.String(); !strings.Contains(text, "not all of what it printed was seen here: ") {
		t.Errorf("it says %q, want that output is missing", text)
	}
}
