package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/cmd/duly/internal/home"
	"github.com/dulyhq/duly/target"
)

// run types a command for a daemon, which must succeed, and returns what it prints.
func (d *served) run(t *testing.T, args ...string) string {
	t.Helper()
	cmd := program(t.Context(), t, d.dir, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("duly %q: %v\n%s%s", args, err, out, stderr.String())
	}
	return string(out)
}

// entry puts a task by a command, and returns what the daemon has answered.
func (d *served) entry(t *testing.T, args ...string) (e api.Entry) {
	t.Helper()
	out := d.run(t, append([]string{args[0], "-o", "json"}, args[1:]...)...)
	if err := json.Unmarshal([]byte(out), &e); err != nil {
		t.Fatalf("duly %q: %v\n%s", args, err, out)
	}
	return e
}

// in puts a command that is to run in a while, and fails the test if it is refused.
func (d *served) in(t *testing.T, name string, after time.Duration, args ...string) api.Entry {
	t.Helper()
	in := api.Duration(after)
	e, err := d.Put(t.Context(), name, api.Spec{In: &in, Command: command(t, args...)})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// command is one that finds the tests' programs.
func command(t *testing.T, args ...string) *target.Command {
	t.Helper()
	return &target.Command{Args: args, Env: map[string]string{"PATH": path(t), "SYSTEMROOT": os.Getenv("SYSTEMROOT")}}
}

// end waits for the end of a task, which must be in a state, and returns its event.
func (d *served) end(t *testing.T, name string, generation int64, state string) api.Event {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	go func() {
		select {
		case <-d.ended:
			cancel(errors.New("the daemon has ended"))
		case <-ctx.Done():
		}
	}()
	ev, err := d.Await(ctx, name, generation)
	if err != nil {
		t.Fatalf("await %s: %v\n%s", name, err, d.said())
	}
	if ev.To != state {
		t.Fatalf("%s is %s, want %s: %s\n%s", name, ev.To, state, ev.Reason, d.said())
	}
	return ev
}

// noted returns the texts that are in a file, in their order. None may have been noted before it was due.
func noted(t *testing.T, file string) (texts []string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		var due, now int64
		if _, err := fmt.Sscan(line, &due, &now); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		text := strings.TrimSuffix(strings.SplitN(line, " ", 3)[2], "\n")
		if now < due {
			t.Errorf("%q began %d µs before it was due", text, due-now)
		}
		texts = append(texts, text)
	}
	return texts
}

// begun waits until a text is noted.
func (d *served) begun(t *testing.T, file, text string) {
	t.Helper()
	for !slices.Contains(noted(t, file), text) {
		select {
		case <-d.ended:
			t.Fatalf("the daemon ended: %v\n%s", d.cmd.ProcessState, d.said())
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		default:
			time.Sleep(5 * time.Millisecond) // other processes write it
		}
	}
}

// put puts them, as if a unit were a second, and says whether that was done before the first could be due before its turn.
func (b *cbad) put(t *testing.T, unit time.Duration) bool {
	t.Helper()
	b.entries = map[string]api.Entry{}
	for i, after := range []time.Duration{3 * unit, 2 * unit, unit, 7 * unit} {
		name := string(rune('A' + i))
		args := []string{"note", b.file, name}
		if b.commands {
			b.entries[name] = b.entry(t, append([]string{"in", after.String(), "--name", name, "--"}, args...)...)
		} else {
			b.entries[name] = b.in(t, name, after, args...)
		}
	}
	if b.order(func(name string) time.Time { return b.entries[name].DueAt }) == "CBAD" && time.Now().Before(b.entries["C"].DueAt) {
		return true
	}
	for name := range b.entries { // they took too long: anew, and slower
		if _, err := b.CancelRunning(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	b.term(t)
	if err := os.RemoveAll(b.file); err != nil {
		t.Fatal(err)
	}
	b.served = serve(t, b.dir)
	return false
}

// printed returns what the newest attempt at a task has printed.
func (d *served) printed(t *testing.T, name string) string {
	t.Helper()
	var text strings.Builder
	for chunk, err := range d.Output(t.Context(), name, "", 0, true) {
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString(chunk.Text)
	}
	return text.String()
}

// stubborn returns a daemon in which a command runs that does not end, and the file of its notes.
func stubborn(t *testing.T, drain string) (d *served, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "notes")
	d = serve(t, dataDir(t), "--drain-timeout", drain)
	spec := command(t, "note", "-never", file, "stubborn")
	spec.Grace = api.Duration(100 * time.Millisecond)
	put(t, d, "stubborn", spec)
	d.begun(t, file, "stubborn-begun")
	return d, file
}

// dead checks that the process is gone that has noted itself beside a file.
func dead(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file + ".pid")
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(b))
	if err != nil {
		t.Fatal(err)
	}
	p, err := os.FindProcess(pid)
	if err == nil && p.Signal(syscall.Signal(0)) == nil {
		t.Errorf("the command, process %d, is still there", pid)
		_ = p.Kill() // or it would stay
	}
}

// put puts a command that is to run at once.
func put(t *testing.T, d *served, name string, c *target.Command) api.Entry {
	t.Helper()
	now := api.Duration(0)
	e, err := d.Put(t.Context(), name, api.Spec{In: &now, Command: c})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// draining waits until the daemon has heard that it is to end: it is not ready any more, or does not listen.
func draining(t *testing.T, d *served) {
	t.Helper()
	for d.Ready(t.Context()) == nil {
		time.Sleep(5 * time.Millisecond) // a signal is not answered
	}
	select {
	case <-d.ended:
		t.Fatalf("the daemon ended: %v\n%s", d.cmd.ProcessState, d.said())
	default:
	}
}

// ask sends the daemon a request as any program does, and returns the answer.
func (d *served) ask(t *testing.T, method, path, body string) (status int, answer string) {
	t.Helper()
	socket, err := home.Socket(d.dir)
	if err != nil {
		t.Fatal(err)
	}
	plain := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	defer plain.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://localhost"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := plain.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}
