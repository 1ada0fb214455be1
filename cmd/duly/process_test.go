package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/cmd/duly/internal/home"
	"github.com/dulyhq/duly/wait"
)

// dataDir returns a directory for a daemon whose path is short enough for a socket.
func dataDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "duly") //nolint:usetesting // that of a test is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return filepath.Join(dir, "data")
}

// programs makes the programs that the tests start, once, and returns their directory. The program duly is this one, as TestMain has put
// it into the PATH, but where the race detector is built in: with it a command takes a second to start, and a daemon can't keep up.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "duly-programs")
	if err != nil {
		return "", err
	}
	made = dir
	all := []string{"./testdata/note"}
	if raceEnabled {
		all = append(all, ".")
	}
	for _, p := range all { // into a directory go build puts each under its own name
		if out, err := exec.CommandContext(context.Background(), "go", "build", "-ldflags=-w", "-o", dir+string(filepath.Separator), p).CombinedOutput(); err != nil {
			return dir, fmt.Errorf("go build %s: %w\n%s", p, err, out)
		}
	}
	return dir, nil
})

// made is the programs' directory once it is there.
var made string

// A tidy is all tests, after which the programs are removed.
type tidy struct{ *testing.M }

// Run implements testscript.TestingM.
func (m tidy) Run() int {
	status := m.M.Run()
	if made != "" {
		_ = os.RemoveAll(made) // what is left is temporary
	}
	return status
}

// path is the PATH by which the tests' programs are found.
func path(t *testing.T) string {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	return dir + string(os.PathListSeparator) + os.Getenv("PATH")
}

// program returns a run of the program duly, to be started, for the daemon of a directory.
func program(ctx context.Context, t *testing.T, data string, args ...string) *exec.Cmd {
	t.Helper()
	env := append(os.Environ(), "PATH="+path(t), "DULY_DATA="+data)
	name := "duly"
	if raceEnabled {
		dir, _ := programs() // path has looked
		name = filepath.Join(dir, name)
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = env
	return cmd
}

// A served is a daemon as a user starts it: a process of its own.
type served struct {
	*client.Client

	cmd   *exec.Cmd
	dir   string
	ended chan struct{} // closed when it is over

	mu  sync.Mutex
	out bytes.Buffer
}

// Write takes what the process prints.
func (d *served) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.out.Write(p)
}

// said returns what the process has printed.
func (d *served) said() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.out.String()
}

// launch starts a daemon on a directory, and does not wait for anything.
func launch(t *testing.T, dir string, args ...string) *served {
	t.Helper()
	socket, err := home.Socket(dir)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(client.Options{Socket: socket})
	if err != nil {
		t.Fatal(err)
	}
	d := &served{Client: c, dir: dir, ended: make(chan struct{})}
	d.cmd = program(context.WithoutCancel(t.Context()), t, dir, append([]string{"serve"}, args...)...)
	d.cmd.Env = append(d.cmd.Env, "DULY_LISTEN=none")
	d.cmd.Stdout, d.cmd.Stderr = d, d
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = d.cmd.Wait() // what it says is in ProcessState
		close(d.ended)
	}()
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill() // it may be over
		<-d.ended
		c.Close()
	})
	return d
}

// serve starts a daemon and waits until it is ready.
func serve(t *testing.T, dir string, args ...string) *served {
	t.Helper()
	d := launch(t, dir, args...)
	d.ready(t)
	return d
}

// ready waits until the daemon is ready.
func (d *served) ready(t *testing.T) {
	t.Helper()
	for {
		err := d.Ready(t.Context())
		if err == nil {
			return
		}
		select {
		case <-d.ended:
			t.Fatalf("the daemon: %v\n%s", d.cmd.ProcessState, d.said())
		default:
		}
		if wait.Sleep(t.Context(), 10*time.Millisecond) != nil {
			t.Fatalf("the daemon is not ready: %v\n%s", err, d.said())
		}
	}
}

// kill ends the process as kill -9 does. It must not have ended by itself.
func (d *served) kill(t *testing.T) {
	t.Helper()
	if err := d.cmd.Process.Kill(); err != nil {
		t.Fatalf("kill: %v; %v\n%s", err, d.cmd.ProcessState, d.said())
	}
	<-d.ended
	d.Close()
}

// signal sends the process a signal.
func (d *served) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := d.cmd.Process.Signal(s); err != nil {
		t.Fatalf("signal: %v; %v\n%s", err, d.cmd.ProcessState, d.said())
	}
}

// exit waits for the end of the process, which must be with a status.
func (d *served) exit(t *testing.T, status int) {
	t.Helper()
	<-d.ended
	if got := d.cmd.ProcessState.ExitCode(); got != status {
		t.Fatalf("the daemon ended with status %d, want %d\n%s", got, status, d.said())
	}
}

// term asks the daemon to end, and waits until it has, well. Where a process can't be asked it is killed.
func (d *served) term(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		d.kill(t)
		return
	}
	d.signal(t, syscall.SIGTERM)
	d.exit(t, 0)
}
