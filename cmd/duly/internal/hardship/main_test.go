//go:build linux

package hardship

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/target"
	"github.com/dulyhq/duly/wait"
)

// long says whether tests may take minutes.
var long = os.Getenv("DULY_TEST_LONG") != ""

// built is where the program is.
var built string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "hardship")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err == nil {
		built, err = build(dir)
	}
	status := 1
	if err == nil {
		status = m.Run()
	} else {
		fmt.Fprintln(os.Stderr, err)
	}
	_ = os.RemoveAll(dir) // what is left is temporary
	os.Exit(status)
}

// build makes the program, as a test build, whose clock can be set; as long as nobody does it is like any other.
func build(dir string) (string, error) {
	path := filepath.Join(dir, "duly")
	cmd := exec.CommandContext(context.Background(), "go", "build", "-tags", "clockstep", "-ldflags", "-s -w", "-o", path, "../..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is released: with cgo, memory is used that no limit of the runtime counts
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
}

// A served is a daemon that runs as a process.
type served struct {
	*client.Client

	t     *testing.T
	cmd   *exec.Cmd
	dir   string // its data are in data
	ended chan struct{}

	mu  sync.Mutex
	out bytes.Buffer
}

// Write takes what the process prints.
func (d *served) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.out.Write(p)
}

func (d *served) said() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.out.String()
}

// tempDir returns a directory whose path is short enough for a socket.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hard") //nolint:usetesting // that of a test is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// A start says how a daemon is started.
type start struct {
	dir   string   // "": a new one
	shell string   // what the shell does before it becomes the daemon, such as "ulimit -n 64;"
	args  []string // beside serve
	env   []string
	user  *syscall.Credential // nil: the test's
}

// serve starts a daemon, and waits until it is ready.
func serve(t *testing.T, s start) *served {
	t.Helper()
	if s.dir == "" {
		s.dir = tempDir(t)
	}
	d := &served{t: t, dir: s.dir, ended: make(chan struct{})}
	d.Client = d.dial()
	d.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), "/bin/sh", append([]string{"-c", s.shell + ` exec "$0" serve "$@"`, built}, s.args...)...)
	d.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "DULY_DATA=" + d.data(), "DULY_LISTEN=none"}, s.env...)
	d.cmd.Stdout, d.cmd.Stderr = d, d
	if s.user != nil {
		d.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.user}
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = d.cmd.Wait() // what it says is in ProcessState
		close(d.ended)
	}()
	t.Cleanup(func() {
		_ = d.cmd.Process.Signal(syscall.SIGTERM) // so that it takes its commands along; it may be over
		_ = d.cmd.Process.Signal(syscall.SIGINT)
		limit, stop := context.WithTimeout(context.WithoutCancel(t.Context()), 20*time.Second)
		defer stop()
		select {
		case <-d.ended:
		case <-limit.Done():
			_ = d.cmd.Process.Kill()
			<-d.ended
		}
		if t.Failed() {
			t.Logf("the daemon said:\n%s", d.said())
		}
	})
	d.until("it is ready", func() error { return d.Ready(t.Context()) })
	return d
}

func (d *served) data() string { return filepath.Join(d.dir, "data") }

// dial returns a client that has no connection yet.
func (d *served) dial() *client.Client {
	d.t.Helper()
	c, err := client.New(client.Options{Socket: filepath.Join(d.data(), "duly.sock")})
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(c.Close)
	return c
}

// until asks again and again until there is no error, and never whether the daemon has ended: it must not.
func (d *served) until(what string, ask func() error) {
	d.t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-d.ended:
			d.t.Fatalf("waiting until %s: the daemon has ended: %v\n%s", what, d.cmd.ProcessState, d.said())
		default:
		}
		if time.Now().After(end) || wait.Sleep(d.t.Context(), 10*time.Millisecond) != nil {
			d.t.Fatalf("it is never so that %s: %v", what, err)
		}
	}
}

// lives fails the test if the daemon has ended.
func (d *served) lives() {
	d.t.Helper()
	select {
	case <-d.ended:
		d.t.Fatalf("the daemon has ended: %v\n%s", d.cmd.ProcessState, d.said())
	default:
	}
}

// problem waits until the health tells of a problem, or, with stands false, does not any more.
func (d *served) problem(slug string, stands bool) (found api.HealthProblem) {
	d.t.Helper()
	d.until(fmt.Sprintf("problem %s: %v", slug, stands), func() error {
		h, err := d.Health(d.t.Context())
		if err != nil {
			return err
		}
		i := slices.IndexFunc(h.Problems, func(p api.HealthProblem) bool { return p.Slug == slug })
		if (i >= 0) != stands || (len(h.Problems) > 0) != (h.Status == "degraded") {
			return fmt.Errorf("%w: %+v", errNotYet, h)
		}
		if stands {
			found = h.Problems[i]
		}
		return nil
	})
	return found
}

var errNotYet = errors.New("not yet")

// put puts a task that must be taken.
func (d *served) put(name string, s api.Spec) api.Entry {
	d.t.Helper()
	e, err := d.Put(d.t.Context(), name, s)
	if err != nil {
		d.t.Fatalf("put %s: %v", name, err)
	}
	return e
}

// run puts a command that must run well, and waits for its end.
func (d *served) run(name string) {
	d.t.Helper()
	e := d.put(name, api.Spec{Command: sh("true"), In: in(0)})
	ctx, stop := context.WithTimeout(d.t.Context(), 2*time.Minute)
	defer stop()
	if ev, err := d.Await(ctx, name, e.Generation); err != nil || ev.To != "done" {
		d.t.Fatalf("run of %s: %+v, %v", name, ev, err)
	}
}

// starts are how many attempts of a kind have started.
func (d *served) starts(kind string) uint64 {
	d.t.Helper()
	s, err := d.Stats(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	return s.Kinds[kind].Started
}

// began counts how often a task has begun to run, as its history tells, and what runs.
func (d *served) began(name string) (n int) {
	d.t.Helper()
	for after := int64(0); ; {
		events, err := d.History(d.t.Context(), client.HistoryQuery{Name: name, After: after, Limit: 1000})
		if err != nil {
			d.t.Fatal(err)
		}
		if len(events) == 0 {
			break
		}
		for i := range events {
			if !events[i].StartedAt.IsZero() {
				n++
			}
			after = events[i].Seq
		}
	}
	task, err := d.Get(d.t.Context(), name)
	if err != nil {
		return n // it has ended
	}
	for i := range task.Runs {
		if task.Runs[i].State == "running" {
			n++
		}
	}
	return n
}

// status returns a number of /proc/PID/status.
func (d *served) status(key string) int64 {
	d.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		d.t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "\n"+key+":")
	fields := strings.Fields(rest)
	if !ok || len(fields) == 0 {
		d.t.Fatalf("no %s in\n%s", key, b)
	}
	n, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		d.t.Fatal(err)
	}
	return n
}

// cpu is how long the process has computed, in clock ticks of a hundredth of a second.
func (d *served) cpu() int64 {
	d.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.cmd.Process.Pid))
	if err != nil {
		d.t.Fatal(err)
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	user, err1 := strconv.ParseInt(f[11], 10, 64)
	system, err2 := strconv.ParseInt(f[12], 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		d.t.Fatal(err)
	}
	return user + system
}

// idles lets a while go by in which the daemon must not compute all the time, and must not fill its log.
func (d *served) idles(why string) {
	d.t.Helper()
	before, lines, began := d.cpu(), strings.Count(d.said(), "\n"), time.Now()
	if wait.Sleep(d.t.Context(), time.Second) != nil {
		d.t.Fatal("the test is over")
	}
	took := time.Since(began).Seconds()
	if used := float64(d.cpu()-before) / 100; used > took/2 { // a busy machine makes that less, not more
		d.t.Errorf("%s: it computed for %.2f s of %.2f s", why, used, took)
	}
	if n := strings.Count(d.said(), "\n") - lines; n > 100 {
		d.t.Errorf("%s: it logged %d lines", why, n)
	}
}

func sh(line string) *target.Command { return &target.Command{Args: []string{"/bin/sh", "-c", line}} }

func in(d time.Duration) *api.Duration { return (*api.Duration)(&d) }

func is[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
