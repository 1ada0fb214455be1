//go:build unix

package cli

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/cmd/duly/internal/logtest"
)

// A tty is a terminal of 100 columns and 24 lines, on which a command runs.
type tty struct {
	*testing.T

	f    *os.File
	cmd  *exec.Cmd
	out  *logtest.Log
	read chan struct{} // closed when all was read
}

// environ is what a command of the world needs to know, GORACE among it: how long it waits at its end when it looks for races.
func (w *world) environ() []string {
	return []string{"DULY_TEST_COMMAND=1", "DULY_DATA=" + w.dir, "TZ=UTC", "GORACE=" + os.Getenv("GORACE")}
}

// tty starts a command of the world on a terminal. More variables go before the terminal's own.
func (w *world) tty(environ []string, args ...string) *tty {
	w.Helper()
	exe, err := os.Executable()
	if err != nil {
		w.Fatal(err)
	}
	cmd := exec.CommandContext(w.Context(), exe, args...)
	cmd.Env = append(append(w.environ(), "TERM=xterm-256color"), environ...)
	f, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 100})
	if err != nil {
		w.Fatal(err)
	}
	y := &tty{T: w.T, f: f, cmd: cmd, out: new(logtest.Log), read: make(chan struct{})}
	go func() {
		defer close(y.read)
		_, _ = io.Copy(y.out, f) // it ends with an error of the terminal when nobody has it open any more
	}()
	w.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill() // the test has failed
			_ = cmd.Wait()
		}
		<-y.read
		_ = f.Close()
	})
	return y
}

// typed types.
func (y *tty) typed(text string) {
	y.Helper()
	if _, err := io.WriteString(y.f, text); err != nil {
		y.Fatal(err)
	}
}

// status waits until the command has ended, and returns its status.
func (y *tty) status() int {
	y.Helper()
	err := y.cmd.Wait()
	<-y.read
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		y.Fatal(err)
	}
	return y.cmd.ProcessState.ExitCode()
}

// TestTTY_Watch looks at a live list while tasks are put, paused, run and cancelled.
func TestTTY_Watch(t *testing.T) {
	w := newWorld(t)
	w.put("tea", later("true"))
	w.put("other", later("true"))
	y := w.tty(nil, "ls", "-w", "te")
	y.out.Has(t, enterScreen)
	y.out.Has(t, "tea")
	w.ok("pause", "tea", "--why", "wait")
	y.out.Has(t, "paused")
	w.put("team", later("sleep", "1"))
	y.out.Has(t, "team")
	w.ok("cancel", "tea")
	y.out.Has(t, "cancelled")
	y.typed("\x03")
	if status := y.status(); status != exitOK {
		t.Errorf("Ctrl-C: status %d, want %d", status, exitOK)
	}
	text := y.out.String()
	_, last, left := strings.Cut(text, leaveScreen)
	if !left || strings.Count(text, enterScreen) != 1 {
		t.Fatalf("the other screen is not entered once and left once: %q", text)
	}
	if !strings.Contains(last, "team") || strings.Contains(text, "other") {
		t.Errorf("the last picture is not left on the screen, or another task is in it: %q", text)
	}
	for line := range strings.Lines(stripStyles(last)) {
		if columns(strings.TrimRight(line, "\r\n")) > 100 {
			t.Errorf("a line is wider than the terminal: %q", line)
		}
	}
}

// stripStyles takes the styles out of what a terminal got.
func stripStyles(text string) string {
	var b strings.Builder
	for text != "" {
		before, rest, ok := strings.Cut(text, "\x1b[")
		b.WriteString(before)
		if !ok {
			break
		}
		_, text, _ = strings.Cut(rest, "m")
	}
	return b.String()
}

// TestTTY_WatchLoss loses the daemon while a list is live: the picture says so, and goes on with what is there afterwards.
func TestTTY_WatchLoss(t *testing.T) {
	w := newWorld(t)
	w.put("tea", later("true"))
	y := w.tty(nil, "ls", "-w")
	y.out.Has(t, "tea")
	w.hangUp()
	y.out.Has(t, "does not answer")
	w.serve()
	w.put("coffee", later("true"))
	y.out.Has(t, "coffee")
	y.typed("\x03")
	if status := y.status(); status != exitOK {
		t.Errorf("Ctrl-C: status %d, want %d", status, exitOK)
	}
}

// TestTTY_Confirm asks before it cancels what flags select.
func TestTTY_Confirm(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"a1", "a2", "a3", "a4", "a5", "a6", "a7", "b"} {
		w.put(name, later("true"))
	}
	const question = "this cancels 7 tasks: a1, a2, a3, a4, a5 and 2 more. Go on? [y/N] "
	for _, answer := range []string{"n\n", "\n", "\x04", "yess\n"} {
		y := w.tty(nil, "cancel", "--prefix", "a")
		y.out.Has(t, question)
		y.typed(answer)
		if status := y.status(); status != exitFailed || !strings.Contains(y.out.String(), "nothing was done") {
			t.Errorf("answer %q: status %d, want %d; %q", answer, status, exitFailed, y.out)
		}
	}
	if n := strings.Count(w.ok("ls"), "\n"); n != 8 {
		t.Errorf("%d tasks are left after a no, want 8", n)
	}
	y := w.tty(nil, "cancel", "--prefix", "a")
	y.out.Has(t, question)
	y.typed("y\n")
	if status := y.status(); status != exitOK {
		t.Errorf("yes: status %d, want %d", status, exitOK)
	}
	if got := w.ok("ls"); !strings.HasPrefix(got, "b\t") || strings.Count(got, "\n") != 1 {
		t.Errorf("after a yes there is left: %s", got)
	}
}

// TestTTY_Colours: a terminal gets colours, unless NO_COLOR or a dumb terminal says no. What tasks hold reaches it as text alone.
func TestTTY_Colours(t *testing.T) {
	w := newWorld(t)
	const evil = "\x1b]0;owned\x07\x1b[31mred\u202e"
	w.put("tea", later("echo", evil))
	w.ok("pause", "tea", "--why", evil)
	for _, tt := range []struct {
		environ []string
		colour  bool
	}{{nil, true}, {[]string{"NO_COLOR=1"}, false}, {[]string{"TERM=dumb"}, false}} {
		for _, args := range [][]string{{"ls"}, {"show", "tea"}, {"why", "tea"}, {"history"}, {"ls", "-o", "json"}} {
			y := w.tty(tt.environ, args...)
			if status := y.status(); status != exitOK {
				t.Errorf("duly %q: status %d", args, status)
			}
			text := y.out.String()
			if args[0] == "ls" && len(args) == 1 && strings.Contains(text, "\x1b[33mpaused\x1b[0m") != tt.colour {
				t.Errorf("duly %q with %q: colours are not %t: %q", args, tt.environ, tt.colour, text)
			}
			text = stripStyles(text)
			if strings.ContainsAny(text, "\x1b\x07\u202e") {
				t.Errorf("duly %q with %q: the terminal gets what a task holds: %q", args, tt.environ, text)
			}
		}
	}
}

// TestTTY_Answer: what a receiver answers is another machine's, and a terminal obeys none of it; elsewhere, and of a command, it is as it was.
func TestTTY_Answer(t *testing.T) {
	w := newWorld(t)
	const evil = "one\ttwo\r\nthree \x1b]52;c;b3duZWQ=\x07\x1b[2J\u202e\x9b1m\n"
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, evil) }))
	defer s.Close()
	w.ok("in", "0s", "--name", "hook", "--post", s.URL)
	w.put("told", now(`printf '\033[1mbold\n'`))
	for _, name := range []string{"hook", "told"} {
		if _, stderr, status := w.run("logs", "-f", name); status != exitOK {
			t.Fatalf("%s: %d, %s", name, status, stderr)
		}
	}
	if got := w.ok("logs", "hook"); got != evil {
		t.Errorf("elsewhere it is %q", got)
	}
	y := w.tty(nil, "logs", "hook")
	if status := y.status(); status != exitOK || y.out.String() != "one\ttwo\r\nthree \\x1b]52;c;b3duZWQ=\\x07\\x1b[2J\\u202e\\x9b1m\r\n" {
		t.Errorf("a terminal gets %q, status %d", y.out.String(), status)
	}
	y = w.tty(nil, "logs", "told")
	if status := y.status(); status != exitOK || y.out.String() != "\x1b[1mbold\r\n" {
		t.Errorf("of a command a terminal gets %q, status %d", y.out.String(), status)
	}
}

// TestTTY_Wide has a list cut at the width of the terminal, and said what is not in it.
func TestTTY_Wide(t *testing.T) {
	w := newWorld(t)
	w.put("tea", later("echo", strings.Repeat("word ", 50)))
	y := w.tty([]string{"NO_COLOR=1"}, "ls")
	if status := y.status(); status != exitOK {
		t.Errorf("status %d", status)
	}
	text := y.out.String()
	if !strings.HasPrefix(text, "NAME  KIND ") || !strings.Contains(text, "…") {
		t.Errorf("list: %q", text)
	}
	for line := range strings.Lines(text) {
		if columns(strings.TrimRight(line, "\r\n")) > 100 {
			t.Errorf("a line is wider than the terminal: %q", line)
		}
	}
	w.put("bad", api.Spec{Command: now("exit 3").Command, In: now("").In})
	y = w.tty(nil, "logs", "-f", "bad")
	if status := y.status(); status != exitOK {
		t.Errorf("logs -f: status %d: %s", status, y.out)
	}
	y = w.tty([]string{"NO_COLOR=1"}, "ls", "--state", "dead")
	if status := y.status(); status != exitOK || !strings.Contains(y.out.String(), "exit status 3") {
		t.Errorf("ls --state dead: status %d: %s", status, y.out)
	}
	y = w.tty([]string{"NO_COLOR=1"}, "ls")
	if status := y.status(); status != exitOK || !strings.Contains(y.out.String(), "1 run is dead: duly ls --state dead") {
		t.Errorf("ls: status %d: %s", status, y.out)
	}
}

// piped starts a command of the world as a process whose output is a pipe, and returns what it writes, and what ends it as Ctrl-C does.
func (w *world) piped(args ...string) (out *logtest.Log, end func() int) {
	w.Helper()
	exe, err := os.Executable()
	if err != nil {
		w.Fatal(err)
	}
	out = new(logtest.Log)
	cmd := exec.CommandContext(w.Context(), exe, args...)
	cmd.Env = w.environ()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill() // the test has failed
			_ = cmd.Wait()
		}
	})
	return out, func() int {
		w.Helper()
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			w.Fatal(err)
		}
		if exit := (*exec.ExitError)(nil); !errors.As(cmd.Wait(), &exit) {
			return 0
		}
		return cmd.ProcessState.ExitCode()
	}
}

// TestEvents goes on where it was after the daemon was gone, and loses nothing of what was meanwhile.
func TestEvents(t *testing.T) {
	w := newWorld(t)
	w.put("tea", later("true"))
	w.ok("pause", "tea", "--why", "before")
	out, end := w.piped("events", "-f", "--after", "0", "tea")
	out.Has(t, "before")
	w.hangUp()
	if err := errors.Join(second(w.d.Resume(t.Context(), duly.Query{})), second(w.d.Pause(t.Context(), duly.Query{}, "meanwhile"))); err != nil {
		t.Fatal(err)
	}
	w.serve()
	w.ok("resume", "tea")
	w.ok("cancel", "tea")
	out.Has(t, "cancelled")
	if status := end(); status != exitOK {
		t.Errorf("Ctrl-C: status %d, want %d", status, exitOK)
	}
	var verbs []string
	for line := range strings.Lines(out.String()) {
		if fields := strings.Split(line, "\t"); len(fields) > 3 {
			verbs = append(verbs, fields[3])
		}
	}
	if diff := cmp.Diff([]string{"pause", "resume", "pause", "resume", "cancel"}, verbs); diff != "" {
		t.Errorf("entries (-want +got):\n%s\n%s", diff, out)
	}
}

func second[T any](_ T, err error) error { return err }

// TestWatch_Piped prints a line for each task that has changed.
func TestWatch_Piped(t *testing.T) {
	w := newWorld(t)
	w.put("tea", later("true"))
	out, end := w.piped("ls", "-w", "-o", "jsonl")
	out.Has(t, `"name":"tea"`)
	w.ok("pause", "tea", "--why", "wait")
	out.Has(t, `"paused_why":"wait"`)
	w.ok("cancel", "tea")
	out.Has(t, `"state":"cancelled"`)
	if status := end(); status != exitOK {
		t.Errorf("Ctrl-C: status %d, want %d", status, exitOK)
	}
	if n := strings.Count(out.String(), "\n"); n != 3 {
		t.Errorf("%d lines, want 3:\n%s", n, out)
	}
}
