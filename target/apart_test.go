//go:build unix

package target_test

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/target"
)

// Arguments are what they are: no shell reads them, and nothing takes one that begins like an option for its own.
func TestArgumentsAreNotRead(t *testing.T) {
	need(t, "printf")
	args := []string{"<%s>", "--", "-n", "--help", "a\nb", "c\td", `'`, `"`, `\`, "$HOME", "$(id)", "`id`", ";id", "|id", "&", ">x", "*", "~", "#", "\x1b[2J", "\u202e", " ", ""}
	a, output, err := handled(t.Context(), t, target.Command{Args: append([]string{"printf"}, args...)})
	if want := "<" + strings.Join(args[1:], "><") + ">"; err != nil || output != want {
		t.Errorf("%v, %+v, %q; want %q", err, a, output, want)
	}
}

// A line is a line, also one that begins like an option of the shell's own.
func TestLineIsNoOption(t *testing.T) {
	need(t, "sh")
	for _, line := range []string{"-s", "+s", "-c 'echo read'", "--", "-"} {
		a, output, err := handled(t.Context(), t, target.Command{Shell: line, Stdin: "echo read"})
		if err == nil || a.ExitCode == nil || *a.ExitCode != 127 || strings.Contains(output, "read\n") {
			t.Errorf("%s: %v, %+v, %q; want a program that is not there", line, err, a, output)
		}
	}
}

// A program is not found in the directory of a task because the daemon's PATH has it stand for a ".".
func TestDaemonPathIsAbsolute(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "planted"), []byte("#!/bin/sh\necho planted\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for _, path := range []string{".", "", ":", "./", "../" + filepath.Base(dir), ".:/nowhere", "/nowhere:"} {
		t.Setenv("PATH", path)
		a, output, err := handled(t.Context(), t, target.Command{Args: []string{"planted"}, Dir: dir})
		if err == nil || a.Outcome != target.OutcomePermanent || output != "" {
			t.Errorf("PATH=%s: %v, %+v, %q", path, err, a, output)
		}
	}
	t.Setenv("PATH", dir)
	if _, output, err := handled(t.Context(), t, target.Command{Args: []string{"planted"}, Dir: "/"}); err != nil || output != "planted\n" {
		t.Errorf("%v, %q", err, output)
	}
}

// A command has a session of its own, without a terminal that it could type into, and three descriptors; no signal is ignored or blocked
// that was not before.
func TestCommandIsApart(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED, NOT TESTED: processes are looked at in /proc, which only Linux has in this form")
	}
	need(t, "sh", "cat")
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries { // what whoever runs the tests has left open; the daemon does the same
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "ours"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // nothing was written
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nobody has called
	_, output, err := handled(t.Context(), t, sh(`n=0; while [ $n -lt 1024 ]; do [ -e /proc/$$/fd/$n ] && echo fd $n; n=$((n+1)); done; : 2>&1 >/dev/tty`))
	if err == nil || !strings.HasPrefix(output, "fd 0\nfd 1\nfd 2\n") || strings.Count(output, "fd ") != 3 {
		t.Errorf("it has the descriptors\n%s", output)
	}
	if err == nil || !strings.Contains(output, "/dev/tty") {
		t.Errorf("it can open a terminal: %v", err)
	}
	ours, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, output, err = handled(t.Context(), t, target.Command{Args: []string{"cat", "/proc/self/stat", "/proc/self/status"}})
	if err != nil {
		t.Fatal(err)
	}
	stat := strings.Fields(output) // pid, name, state, parent, group, session, terminal
	if pid, group, session, terminal := stat[0], stat[4], stat[5], stat[6]; group != pid || session != pid || terminal != "0" {
		t.Errorf("process %s is of the group %s and the session %s with the terminal %s", pid, group, session, terminal)
	}
	seen := 0
	for line := range strings.Lines(output) {
		if strings.HasPrefix(line, "SigBlk:") || strings.HasPrefix(line, "SigIgn:") {
			if seen++; !strings.Contains(string(ours), line) {
				t.Errorf("signals: %s, and here\n%s", line, ours)
			}
		}
	}
	if seen != 2 {
		t.Errorf("it says\n%s", output)
	}
}

// What a command prints without end is counted and left out, and takes no memory; what it is does not matter.
func TestOutputBomb(t *testing.T) {
	need(t, "sh", "head")
	a, output, err := handled(t.Context(), t, target.Command{Shell: `while :; do printf '\033[2J\000\377\202x'; done | head -c 4000000; exit 3`, OutputLimit: 10_000})
	if err == nil || a.Bytes != 4_000_000 || a.Bytes-a.Omitted > 10_000 || int64(len(output)) != a.Bytes-a.Omitted || a.Reason != "exit status 3" {
		t.Errorf("%v, %+v, %d bytes", err, a, len(output))
	}
	if a, _, err = handled(t.Context(), t, target.Command{Shell: `head -c 1000000 /dev/zero | tr '\0' '\033' >&2; exit 3`}); err == nil || len(a.Reason) > 600 || strings.Contains(a.Reason, "\x1b") {
		t.Errorf("%v, %q", err, a.Reason)
	}
}

// A byte 0, with which a name would end for the system and go on for duly, is refused wherever it could be.
func TestZeroBytesAreRefused(t *testing.T) {
	for field, c := range map[string]target.Command{
		"args[0]": {Args: []string{"/bin/true\x00x"}}, "args[1]": {Args: []string{"true", "a\x00b"}}, "shell": {Shell: "true\x00; id"}, "dir": {Args: []string{"true"}, Dir: "/tmp\x00/x"},
		"env.A": {Args: []string{"true"}, Env: map[string]string{"A": "b\x00LD_PRELOAD=x"}}, "env": {Args: []string{"true"}, Env: map[string]string{"A\x00B": "c"}},
	} {
		err := target.Commands(target.CommandOptions{})(t.Context(), &duly.Attempt[target.Command]{AttemptInfo: info("tea", 1), Payload: c})
		if err == nil || !strings.Contains(err.Error(), "target: "+field+" is ") {
			t.Errorf("%s: %v", field, err)
		}
	}
}
