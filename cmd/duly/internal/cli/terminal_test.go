//go:build !windows

package cli

import (
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/dulyhq/duly/clock"
)

// terminal is a run of the command on a terminal of so many columns, with what is typed, and what is seen there.
func (s *served) terminal(columns uint16, typed string, env []string, args ...string) (seen string, status int) {
	s.Helper()
	screen, tty, err := pty.Open()
	if err != nil {
		s.Skip("no terminal can be made here: ", err)
	}
	if err := pty.Setsize(screen, &pty.Winsize{Rows: 24, Cols: columns}); err != nil {
		s.Fatal(err)
	}
	read := make(chan string)
	go func() {
		b, err := io.ReadAll(screen)
		if err != nil && !errors.Is(err, syscall.EIO) { // which is how the end of a terminal is told
			s.Errorf("read the terminal: %v", err)
		}
		read <- string(b)
	}()
	if _, err := io.WriteString(screen, typed); err != nil {
		s.Fatal(err)
	}
	status = Run(Process{
		Args: args, Stdin: tty, Stdout: tty, Stderr: tty, Now: s.now, Local: time.UTC,
		Environ: append([]string{"DULY_SOCKET=" + s.socket, "PATH=" + s.dir, "TZ=UTC", "TERM=xterm"}, env...),
	})
	if err := tty.Close(); err != nil {
		s.Fatal(err)
	}
	seen = <-read
	if err := screen.Close(); err != nil {
		s.Fatal(err)
	}
	return strings.ReplaceAll(seen, "\r\n", "\n"), status
}

// TestTerminal: what a person sees where a script would get fields.
func TestTerminal(t *testing.T) {
	s := serve(t, clock.NewManual(noon))
	s.program("x", "true")
	tests := []struct {
		env  []string
		args string
		want string
	}{
		{nil, "in 5m --name tea -- x", "\x1b[1mtea\x1b[0m runs in 5m, at 12:05\x1b[2m  (to cancel it: duly cancel tea)\x1b[0m\n"},
		{[]string{"NO_COLOR=1"}, "in 5m --name tea -- x", "tea runs in 5m, at 12:05, as before  (to cancel it: duly cancel tea)\n"},
		{[]string{"TERM=dumb"}, "at 2026-12-24T18:00:00Z --name tea -- x", "tea runs in 22d 6h, at Thu 24 Dec 18:00, in place of what was there  (to cancel it: duly cancel tea)\n"},
		{[]string{"NO_COLOR=1"}, "at 2026-12-24T18:00:00Z --name tea -- x", "tea runs in 22d 6h, at Thu 24 Dec 18:00, as before  (to cancel it: duly cancel tea)\n"},
		{[]string{"NO_COLOR=1"}, "in 1h --name tea --on-conflict keep -- x", "tea is kept as it was: in 22d 6h, at Thu 24 Dec 18:00\n"},
		{[]string{"NO_COLOR=1"}, "every 1h --name sync -- x", "sync runs every hour; first in 1h, at 13:00  (to cancel it: duly cancel sync)\n"},
		{
			[]string{"NO_COLOR=1"},
			"cron @daily --zone Europe/Berlin --name night -- x",
			"night runs at 00:00 every day, in Europe/Berlin; first in 11h, at 23:00  (to cancel it: duly cancel night)\n",
		},
		{[]string{"NO_COLOR=1"}, "in 5m --name=-odd -- x", "-odd runs in 5m, at 12:05  (to cancel it: duly cancel -- -odd)\n"},
		{[]string{"NO_COLOR=1"}, "move tea 5m", "tea is moved: it runs in 5m, at 12:05\n"},
		{[]string{"NO_COLOR=1"}, "run sync", "sync runs now  (what it prints: duly logs sync)\n"},
		{nil, "in 5m --name tea -o jsonl -- x", `{"name":"tea","outcome":"unchanged"`},
	}
	for _, tt := range tests {
		seen, status := s.terminal(200, "", tt.env, strings.Fields(tt.args)...)
		if !strings.HasPrefix(seen, tt.want) || status != exitOK {
			t.Errorf("duly %s: status %d, seen\n%q, want\n%q", tt.args, status, seen, tt.want)
		}
	}
}

// TestTerminal_Confirm: what hits many is asked for where somebody can answer, and needs a word where nobody can.
func TestTerminal_Confirm(t *testing.T) {
	for typed, want := range map[string]bool{"y\n": true, "YES\n": true, "n\n": false, "\n": false, "what\n": false, "\x04": false} {
		screen, tty, err := pty.Open()
		if err != nil {
			t.Skip("no terminal can be made here: ", err)
		}
		if _, err := io.WriteString(screen, typed); err != nil {
			t.Fatal(err)
		}
		err = newSession(Process{Stdin: tty, Stderr: tty, Now: time.Now}).confirm("this pauses 12 tasks", false)
		if (err == nil) != want {
			t.Errorf("%q: %v, want it to be done: %t", typed, err, want)
		}
		if err := errors.Join(tty.Close(), screen.Close()); err != nil {
			t.Fatal(err)
		}
	}
	nobody := newSession(Process{Stdin: strings.NewReader("y\n"), Stderr: io.Discard, Now: time.Now})
	if err := nobody.confirm("this pauses 12 tasks", true); err != nil {
		t.Errorf("with --yes: %v", err)
	}
	if _, status := nobody.explain(nobody.confirm("this pauses 12 tasks", false)); status != exitUsage {
		t.Errorf("without: status %d, want %d", status, exitUsage)
	}
}

// TestTerminal_Width: a line of a table ends where the terminal does.
func TestTerminal_Width(t *testing.T) {
	screen, tty, err := pty.Open()
	if err != nil {
		t.Skip("no terminal can be made here: ", err)
	}
	if err := pty.Setsize(screen, &pty.Winsize{Rows: 24, Cols: 10}); err != nil {
		t.Fatal(err)
	}
	p := newSession(Process{Stdout: tty, Now: time.Now}).printer()
	if !p.terminal || p.width != 10 {
		t.Errorf("terminal %t, %d columns, want true, 10", p.terminal, p.width)
	}
	if err := errors.Join(tty.Close(), screen.Close()); err != nil {
		t.Fatal(err)
	}
}
