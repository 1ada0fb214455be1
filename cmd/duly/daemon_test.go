package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
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

// TestDaemon_CBAD: what is put in the order A, B, C, D begins in the order in which it is due, C, B, A, D, and never before, whether it is
// put by the API or by commands; and where the daemon was killed before any was due, each runs all the same.
//
// requirement: D16.
func TestDaemon_CBAD(t *testing.T) {
	for _, tt := range []struct {
		name             string
		commands, killed bool
	}{{"api", false, false}, {"commands", true, false}, {"killed", false, true}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := &cbad{dir: dataDir(t), file: filepath.Join(t.TempDir(), "notes"), commands: tt.commands}
			b.served = serve(t, b.dir)
			for unit := 400 * time.Millisecond; !b.put(t, unit); unit *= 2 {
				if unit > 10*time.Second {
					t.Fatalf("to put four tasks takes more than %v", unit)
				}
			}
			if tt.killed {
				b.kill(t)
				b.served = serve(t, b.dir)
			}
			order := b.run(t)
			if !tt.killed && order != "CBAD" {
				t.Errorf("they began in the order %s, want CBAD", order)
			}
			got := noted(t, b.file)
			if !tt.killed && len(got) != 4 {
				t.Errorf("%d have run, want 4", len(got))
			}
			if got = slices.Compact(slices.Sorted(slices.Values(got))); !slices.Equal(got, []string{"A", "B", "C", "D"}) {
				t.Errorf("what has run noted %q, want each of A, B, C and D", got)
			}
			b.term(t)
		})
	}
}

// A cbad are four tasks of a daemon.
type cbad struct {
	*served

	dir, file string
	commands  bool // they are put by
	entries   map[string]api.Entry
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

// order returns the names in the order of an instant of each.
func (b *cbad) order(at func(name string) time.Time) string {
	names := slices.SortedFunc(maps.Keys(b.entries), func(x, y string) int { return at(x).Compare(at(y)) })
	return strings.Join(names, "")
}

// run waits until all have run, and returns the order in which they began.
func (b *cbad) run(t *testing.T) string {
	t.Helper()
	began := map[string]time.Time{}
	for name, e := range b.entries {
		ev := b.end(t, name, e.Generation, "done")
		if began[name] = ev.StartedAt; ev.StartedAt.Before(e.DueAt) {
			t.Errorf("%s began at %v, and was due at %v", name, ev.StartedAt, e.DueAt)
		}
	}
	return b.order(func(name string) time.Time { return began[name] })
}

// TestDaemon_Notebook: a task that is due later is cancelled, one that is due sooner prints.
//
// requirement: E16.
func TestDaemon_Notebook(t *testing.T) {
	d := serve(t, dataDir(t))
	for name, by := range map[string]struct {
		put    func(name string, after time.Duration, args ...string) api.Entry
		cancel func(name string)
		print  func(name string) string
	}{
		"api": {
			put: func(name string, after time.Duration, args ...string) api.Entry { return d.in(t, name, after, args...) },
			cancel: func(name string) {
				if _, err := d.Cancel(t.Context(), name); err != nil {
					t.Fatal(err)
				}
			},
			print: func(name string) string { return d.printed(t, name) },
		},
		"commands": {
			put: func(name string, after time.Duration, args ...string) api.Entry {
				return d.entry(t, append([]string{"in", after.String(), "--name", name, "--"}, args...)...)
			},
			cancel: func(name string) { d.run(t, "cancel", name) },
			print:  func(name string) string { return d.run(t, "logs", name) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "notes")
			var five, two api.Entry
			for unit := 100 * time.Millisecond; ; unit *= 2 {
				five = by.put("five", 5*unit, "note", file, "five")
				two = by.put("two", 2*unit, "note", file, "two")
				by.cancel("five")
				ev, err := d.Await(t.Context(), "five", five.Generation)
				if err != nil {
					t.Fatal(err)
				}
				if d.end(t, "two", two.Generation, "done"); ev.To == "cancelled" {
					break
				}
				if unit > 10*time.Second {
					t.Fatalf("what is cancelled at once has run after %v", 5*unit)
				}
				if err := os.Remove(file); err != nil { // it was too late to cancel it: anew, and slower
					t.Fatal(err)
				}
			}
			if got := by.print("two"); !strings.Contains(got, "two\n") {
				t.Errorf("it printed %q", got)
			}
			last, err := d.Put(t.Context(), "last", api.Spec{At: five.DueAt.Add(100 * time.Millisecond), Command: command(t, "note", file, "last")})
			if err != nil {
				t.Fatal(err)
			}
			d.end(t, "last", last.Generation, "done")
			if diff := cmp.Diff([]string{"two", "last"}, noted(t, file)); diff != "" {
				t.Errorf("ran (-want +got):\n%s", diff)
			}
		})
	}
	d.term(t)
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

// TestDaemon_Restart: kill -9 loses nothing of what was acknowledged, neither what is due much later nor what comes due meanwhile.
//
// requirement: P34.
func TestDaemon_Restart(t *testing.T) {
	dir := dataDir(t)
	file := filepath.Join(t.TempDir(), "notes")
	d := serve(t, dir)
	args := []string{"note", file, "as it was put"}
	soon := d.in(t, "soon", 300*time.Millisecond, args...)
	args[2] = "as it was changed later"
	var want []string
	for i := range 50 {
		name := fmt.Sprintf("later-%02d", i)
		d.in(t, name, time.Hour, "note", file, name)
		want = append(want, name)
	}
	d.kill(t)
	time.Sleep(time.Until(soon.DueAt)) // what comes due while nobody is there
	d = serve(t, dir)
	d.end(t, "soon", soon.Generation, "done")
	var got []string
	for task, err := range d.List(t.Context(), client.Query{Prefix: "later-", Limit: 20}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, task.Name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tasks (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"as it was put"}, noted(t, file)); diff != "" {
		t.Errorf("ran (-want +got):\n%s", diff)
	}
	d.term(t)
}

// TestDaemon_ArgumentsBound: what a task is to do is what it was when it was put: its arguments, and of a command line its directory and
// its environment.
//
// requirement: P34.
func TestDaemon_ArgumentsBound(t *testing.T) {
	d := serve(t, dataDir(t))
	file := filepath.Join(t.TempDir(), "notes")
	first := d.in(t, "first", 300*time.Millisecond, "note", file, "1")
	second := d.in(t, "second", 200*time.Millisecond, "note", file, "2")
	t.Setenv("FRUIT", "apple")
	third := d.entry(t, "in", "100ms", "--name", "third", "--env", "FRUIT", "--shell", "printf %s \"$FRUIT\"")
	t.Setenv("FRUIT", "pear")
	d.end(t, "third", third.Generation, "done")
	if got := d.printed(t, "third"); got != "apple" {
		t.Errorf("it printed %q, want what FRUIT was when it was put", got)
	}
	d.end(t, "first", first.Generation, "done")
	d.end(t, "second", second.Generation, "done")
	if diff := cmp.Diff([]string{"2", "1"}, noted(t, file)); diff != "" {
		t.Errorf("ran (-want +got):\n%s", diff)
	}
	d.term(t)
}

// TestDaemon_SIGTERM: nothing new begins, what runs may finish, and the daemon ends with status 0.
//
// requirement: P20.
func TestDaemon_SIGTERM(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no signals to send on this system")
	}
	t.Run("what runs finishes", func(t *testing.T) {
		dir, notes := dataDir(t), t.TempDir()
		file, gate := filepath.Join(notes, "notes"), filepath.Join(notes, "gate")
		d := serve(t, dir)
		runs := d.in(t, "runs", 0, "note", "-until", gate, file, "runs")
		d.begun(t, file, "runs-begun")
		d.in(t, "later", time.Hour, "note", file, "later")
		d.signal(t, syscall.SIGTERM)
		draining(t, d)
		if err := os.WriteFile(gate, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		d.exit(t, 0)
		if diff := cmp.Diff([]string{"runs-begun", "runs"}, noted(t, file)); diff != "" {
			t.Errorf("ran (-want +got):\n%s", diff)
		}
		d = serve(t, dir)
		d.end(t, "runs", runs.Generation, "done")
		if _, err := d.Get(t.Context(), "later"); err != nil {
			t.Errorf("what was to run later: %v", err)
		}
		d.term(t)
	})
	t.Run("not for ever", func(t *testing.T) {
		d, file := stubborn(t, "100ms")
		d.signal(t, syscall.SIGTERM)
		d.exit(t, 0)
		dead(t, file)
	})
	t.Run("a second one forces", func(t *testing.T) {
		d, file := stubborn(t, "1h")
		d.signal(t, syscall.SIGTERM)
		draining(t, d)
		d.signal(t, syscall.SIGTERM)
		d.exit(t, 0)
		dead(t, file)
	})
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

// TestDaemon_OneForADirectory: a second daemon on a directory says that there is one, and does no harm to it.
func TestDaemon_OneForADirectory(t *testing.T) {
	dir := dataDir(t)
	d := serve(t, dir)
	second := launch(t, dir)
	<-second.ended
	if status := second.cmd.ProcessState.ExitCode(); status == 0 || !strings.Contains(second.said(), dir) {
		t.Errorf("the second daemon: status %d\n%s", status, second.said())
	}
	if e := d.in(t, "tea", time.Hour, "true"); e.Outcome != "created" {
		t.Errorf("the first one answers %+v", e)
	}
	d.term(t)
	serve(t, dir).term(t)
}

// TestDaemon_Timeout: a command that does not heed the end of its time is killed.
//
// requirement: P28.
func TestDaemon_Timeout(t *testing.T) {
	d := serve(t, dataDir(t))
	file := filepath.Join(t.TempDir(), "notes")
	for timeout := 200 * time.Millisecond; ; timeout *= 2 {
		now := api.Duration(0)
		spec := command(t, "note", "-never", file, "stubborn")
		spec.Grace = api.Duration(50 * time.Millisecond)
		e, err := d.Put(t.Context(), "stubborn", api.Spec{In: &now, Command: spec, Policy: api.Policy{Timeout: api.Duration(timeout)}})
		if err != nil {
			t.Fatal(err)
		}
		d.end(t, "stubborn", e.Generation, "dead")
		if len(noted(t, file)) > 0 {
			break
		}
		if timeout > 10*time.Second { // else it had not begun yet to be stubborn
			t.Fatalf("it has not begun in %v", timeout)
		}
	}
	as, err := d.Attempts(t.Context(), "stubborn", 1)
	if err != nil || len(as) != 1 || as[0].EndedAt.IsZero() || runtime.GOOS != "windows" && as[0].Signal == "" {
		t.Errorf("attempts: %+v, %v; want one that was killed", as, err)
	}
	dead(t, file)
	d.term(t)
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

// TestDaemon_Durations: lengths of time are exact, to parts of a second, and a bare number is none.
//
// requirement: D02.
// requirement: F15.
func TestDaemon_Durations(t *testing.T) {
	d := serve(t, dataDir(t))
	for _, tt := range []struct {
		in     string
		status int
		after  time.Duration // when it is due, after it was accepted
	}{
		{`"3600.25s"`, http.StatusCreated, time.Hour + 250*time.Millisecond},
		{`"1h0.000001s"`, http.StatusCreated, time.Hour + time.Microsecond},
		{`"PT1H0.5S"`, http.StatusCreated, time.Hour + 500*time.Millisecond},
		{`3600`, http.StatusBadRequest, 0},
		{`"3600"`, http.StatusBadRequest, 0},
		{`3600.25`, http.StatusBadRequest, 0},
	} {
		body := fmt.Sprintf(`{"command":{"args":["true"]},"in":%s}`, tt.in)
		status, answer := d.ask(t, http.MethodPut, "/v1/tasks/tea", body)
		if status != tt.status {
			t.Errorf("in %s: status %d, want %d\n%s", tt.in, status, tt.status, answer)
			continue
		}
		if tt.status != http.StatusCreated {
			if !strings.Contains(answer, `"in"`) {
				t.Errorf("in %s: the answer does not name the field: %s", tt.in, answer)
			}
			continue
		}
		task, err := d.Get(t.Context(), "tea")
		if err != nil {
			t.Fatal(err)
		}
		if got := task.DueAt.Sub(task.AcceptedAt); got != tt.after {
			t.Errorf("in %s: due %v after it was accepted, want %v", tt.in, got, tt.after)
		}
		if _, err := d.Cancel(t.Context(), "tea"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Get(t.Context(), "tea"); !errors.Is(err, duly.ErrFinished) {
		t.Errorf("at last: %v, want ErrFinished", err)
	}
	d.term(t)
}

// TestDaemon_Lateness: how late attempts began is measured, and published.
//
// requirement: F13.
func TestDaemon_Lateness(t *testing.T) {
	d := serve(t, dataDir(t))
	file := filepath.Join(t.TempDir(), "notes")
	e := d.in(t, "tea", 0, "note", file, "tea")
	ev := d.end(t, "tea", e.Generation, "done")
	if ev.Lateness == nil || *ev.Lateness <= 0 {
		t.Errorf("lateness of the event: %v", ev.Lateness)
	}
	s, err := d.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if k := s.Kinds["command"]; k.Started != 1 || k.Succeeded != 1 || k.Early != 0 || k.Late50 <= 0 || k.Late99 < k.Late50 {
		t.Errorf("stats: %+v", k)
	}
	status, metrics := d.ask(t, http.MethodGet, "/metrics", "")
	for _, want := range []string{
		`duly_lateness_seconds_count{kind="command"} 1`,
		`duly_lateness_seconds_bucket{kind="command",le="+Inf"} 1`,
	} {
		if status != http.StatusOK || !strings.Contains(metrics, want) {
			t.Errorf("/metrics: status %d, want %s in\n%s", status, want, metrics)
		}
	}
	d.term(t)
}
