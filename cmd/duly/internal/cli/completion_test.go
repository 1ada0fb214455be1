package cli

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestComplete_Deaf: a daemon that takes a call and never answers it costs no more than the time that a completion has, and no word.
// Without that limit this test would not end.
func TestComplete_Deaf(t *testing.T) {
	dir, err := os.MkdirTemp("", "duly") //nolint:usetesting // that of a test is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	}()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", filepath.Join(dir, "duly.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // nobody is told
	stdout, stderr, status := runIn(t, dir, "__complete", "show", "")
	if status != exitOK || stdout != ":4\n" || strings.Count(stderr, "\n") != 1 {
		t.Errorf("status %d, standard output %q, standard error %q", status, stdout, stderr)
	}
}

// runIn runs a command for a daemon whose directory this is.
func runIn(t *testing.T, data string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	w := &world{T: t, dir: data}
	return w.run(args...)
}

// TestComplete_Names offers what could go on as typed, once, and not what was given already.
func TestComplete_Names(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"tea", "team", "a b"} {
		w.put(name, later("echo", name))
	}
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"show", ""}, "a b\techo 'a b'\ntea\techo tea\nteam\techo team\n:4\n"},
		{[]string{"show", "te"}, "tea\techo tea\nteam\techo team\n:4\n"},
		{[]string{"show", "tea", ""}, ":4\n"},
		{[]string{"cancel", "tea", "te"}, "team\techo team\n:4\n"},
		{[]string{"redrive", ""}, ":4\n"},
		{[]string{"stats", ""}, ":4\n"},
		{[]string{"ls", "--kind", ""}, "command\nhttp\n:4\n"},
	}
	for _, tt := range tests {
		stdout, _, status := w.run(append([]string{"__complete"}, tt.args...)...)
		if status != exitOK || stdout != tt.want {
			t.Errorf("completing %q: status %d, %q, want %q", tt.args, status, stdout, tt.want)
		}
	}
}

// TestComplete_Bash asks bash, without what a system may have for it.
func TestComplete_Bash(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash here")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.put("tea", later("echo", "tea"))
	w.put("tea:time", later("echo", "time"))
	bin := filepath.Join(w.dir, "bin")
	if err := errors.Join(os.Mkdir(bin, 0o700), os.Symlink(self, filepath.Join(bin, "duly"))); err != nil {
		t.Fatal(err)
	}
	const script = `source <(duly completion bash); COMP_WORDS=(duly show t) COMP_CWORD=2 COMP_LINE="duly show t" COMP_POINT=11
		__start_duly 2>/dev/null; printf '%s|' "${COMPREPLY[@]%% *}"`
	cmd := exec.CommandContext(t.Context(), bash, "--norc", "--noprofile", "-c", script)
	cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "DULY_DATA=" + w.dir, "DULY_TEST_COMMAND=1"}
	got, err := cmd.CombinedOutput()
	if want := "tea|tea:time|"; err != nil || string(got) != want {
		t.Errorf("bash completes %q, %v, want %q", got, err, want)
	}
}
