package cli

import (
	"strings"
	"testing"
)

// TestDoctor prints a line for each check, and what to do about it; what does not work is its status.
func TestDoctor(t *testing.T) {
	w := newWorld(t)
	stdout, stderr, status := w.run("doctor")
	if status != exitOK || stderr != "" || !strings.Contains(stdout, "ok\tdaemon\tanswers at "+w.socket()+"\t\n") {
		t.Errorf("doctor: status %d, standard error %q:\n%s", status, stderr, stdout)
	}
	if !strings.Contains(stdout, "ok\tlate tasks\tnone\t\nok\tdead runs\tnone\t\n") {
		t.Errorf("doctor says nothing of the tasks:\n%s", stdout)
	}
	if stdout, stderr, status = w.run("doctor", "--ready"); status != exitOK || stderr != "" || stdout != "ok\tdaemon\tanswers at "+w.socket()+"\t\n" {
		t.Errorf("doctor --ready: status %d, standard error %q:\n%s", status, stderr, stdout)
	}
	w.put("bad", now("exit 3"))
	w.run("logs", "-f", "bad")
	if stdout, _, _ = w.run("doctor"); !strings.Contains(stdout, "warn\tdead runs\t1 has failed for good\tduly ls --state dead") {
		t.Errorf("doctor says nothing of a dead run:\n%s", stdout)
	}
	w.hangUp()
	stdout, stderr, status = w.run("doctor")
	if status != exitFailed || stderr != "" || !strings.Contains(stdout, "fail\tdaemon\t") || !strings.Contains(stdout, "duly serve starts one") {
		t.Errorf("doctor without a daemon: status %d, standard error %q:\n%s", status, stderr, stdout)
	}
	if stdout, stderr, status = w.run("doctor", "--ready"); status != exitFailed || stderr != "" || !strings.HasPrefix(stdout, "fail\tdaemon\t") || strings.Count(stdout, "\n") != 1 {
		t.Errorf("doctor --ready without a daemon: status %d, standard error %q:\n%s", status, stderr, stdout)
	}
	stdout, _, _ = w.run("doctor", "-o", "jsonl")
	if !strings.HasPrefix(stdout, `{"name":"data directory","verdict":"ok","text":"`) {
		t.Errorf("doctor -o jsonl: %s", stdout)
	}
}
