package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/cmd/duly/internal/home"
	"github.com/dulyhq/duly/wait"
)

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

// TestDaemon_Restart: kill -9 loses nothing of what was acknowledged, neither what is due much later nor what comes due meanwhile.
//
// requirement: P34.
func TestDaemon_Restart(t *testing.T) {
	dir := dataDir(t)
	file := filepath.Join(t.TempDir(), "notes")
	d := serve(t, dir)
	var want []string
	for i := range 50 {
		name := fmt.Sprintf("later-%02d", i)
		d.in(t, name, time.Hour, "note", file, name)
		want = append(want, name)
	}
	args := []string{"note", file, "as it was put"}
	var soon api.Entry
	for after := 300 * time.Millisecond; ; after *= 2 {
		soon = d.in(t, "soon", after, args...)
		if d.kill(t); time.Now().Before(soon.DueAt) {
			break
		}
		d = serve(t, dir) // it may have run before the kill: anew, and slower
		d.end(t, "soon", soon.Generation, "done")
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	args[2] = "as it was changed later"
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

// TestDaemon_Follow: whoever waits for a task, or listens to what becomes of all, does not notice that the daemon was killed and started
// anew, but for the time that takes.
func TestDaemon_Follow(t *testing.T) {
	dir := dataDir(t)
	file := filepath.Join(t.TempDir(), "notes")
	d := serve(t, dir)
	first := d.in(t, "first", 0, "note", file, "first")
	d.end(t, "first", first.Generation, "done")
	second := d.in(t, "second", time.Hour, "note", file, "second")
	awaited, heard := make(chan error, 1), make(chan string, 10)
	go func() {
		for {
			_, err := d.Await(t.Context(), "second", second.Generation)
			if _, late := errors.AsType[*client.UnreachableError](err); !late { // it had not even begun to wait before the kill
				awaited <- err
				return
			}
			_ = wait.Sleep(t.Context(), 10*time.Millisecond) // the next Await says whether the test is over
		}
	}()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		defer close(heard)
		for e, err := range d.Events(ctx, 0, "") {
			if err == nil {
				heard <- e.Name + " " + e.To
			}
		}
	}()
	if got := <-heard; got != "first done" {
		t.Errorf("heard %q, want that the first is done", got)
	}
	d.kill(t)
	again := serve(t, dir)
	if err := again.RunNow(t.Context(), "second"); err != nil {
		t.Fatal(err)
	}
	if err := <-awaited; err != nil {
		t.Errorf("await: %v", err)
	}
	for _, want := range []string{"second pending", "second done"} { // moved to now, and run
		if got := <-heard; got != want {
			t.Errorf("heard %q, want %q", got, want)
		}
	}
	cancel()
	for range heard {
		t.Error("heard more")
	}
	again.term(t)
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
	ran := noted(t, file)
	slices.Sort(ran) // which is first depends on how long it took to put the second
	if diff := cmp.Diff([]string{"1", "2"}, ran); diff != "" {
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

// TestDaemon_TCP: over TCP the same is there for whoever has the token, which lies in the daemon's directory, and nothing for others.
func TestDaemon_TCP(t *testing.T) {
	d := serve(t, dataDir(t), "--listen", "127.0.0.1:0")
	address := ""
	for where := regexp.MustCompile(`127\.0\.0\.1:[1-9]\d*`); address == ""; address = where.FindString(d.said()) {
		pause(t, 5*time.Millisecond) // it answers before it says so
	}
	token, err := os.ReadFile(home.Token(d.dir))
	if err != nil {
		t.Fatal(err)
	}
	over := func(token string) *client.Client {
		c, err := client.New(client.Options{URL: "http://" + address, Token: token})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	mine, nobodys := over(strings.TrimSpace(string(token))), over("guess")
	file := filepath.Join(t.TempDir(), "notes")
	now := api.Duration(0)
	e, err := mine.Put(t.Context(), "tea", api.Spec{In: &now, Command: command(t, "note", file, "tea")})
	if err != nil {
		t.Fatal(err)
	}
	if ev, err := mine.Await(t.Context(), "tea", e.Generation); err != nil || ev.To != "done" {
		t.Errorf("await: %+v, %v", ev, err)
	}
	for _, c := range []*client.Client{nobodys, over("")} {
		_, perr := c.Put(t.Context(), "milk", api.Spec{In: &now, Command: command(t, "note", file, "milk")})
		_, gerr := c.Get(t.Context(), "tea")
		_, cerr := c.Cancel(t.Context(), "tea")
		var eerr error
		for _, eerr = range c.Events(t.Context(), 0, "") {
			break
		}
		for _, err := range []error{perr, gerr, cerr, eerr} {
			if !errors.Is(err, api.ErrUnauthenticated) {
				t.Errorf("without the token: %v, want ErrUnauthenticated", err)
			}
		}
	}
	if strings.Contains(d.said(), strings.TrimSpace(string(token))) {
		t.Error("it prints the token")
	}
	if diff := cmp.Diff([]string{"tea"}, noted(t, file)); diff != "" {
		t.Errorf("ran (-want +got):\n%s", diff)
	}
	d.term(t)
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
