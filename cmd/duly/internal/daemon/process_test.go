//go:build unix

package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/cmd/duly/internal/home"
	"github.com/dulyhq/duly/cmd/duly/internal/logtest"
)

// asDaemon makes this program a daemon in place of its tests.
const asDaemon = "DULY_TEST_DAEMON"

func TestMain(m *testing.M) {
	if os.Getenv(asDaemon) != "" {
		if err := beDaemon(); err != nil {
			fmt.Fprintln(os.Stderr, "duly:", err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func beDaemon() error {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, Signals()...)
	c, err := Load(Given{Getenv: os.Getenv})
	if err != nil {
		return err
	}
	return Run(context.Background(), c, Process{
		Stdout: os.Stdout, Stderr: os.Stderr, Signals: signals, Getenv: os.Getenv, PID: os.Getpid(), Version: "v1",
	})
}

// A child is a daemon that is a process of its own.
type child struct {
	*testing.T

	cmd  *exec.Cmd
	dir  string
	log  logtest.Log
	gone chan error
	over bool // that was received
	c    *client.Client
}

// startChild starts one by a line of the shell, in which "$0" is the program, with variables beside.
func startChild(t *testing.T, dir, line string, files []*os.File, env ...string) *child {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &child{T: t, dir: dir, gone: make(chan error, 1)}
	p.cmd = exec.Command("/bin/sh", "-c", line, self)
	p.cmd.Env = append([]string{
		asDaemon + "=1", "PATH=" + os.Getenv("PATH"), "DULY_DATA=" + filepath.Join(dir, "data"), "DULY_LISTEN=127.0.0.1:0",
		"GORACE=" + os.Getenv("GORACE"), // how long it waits at its end when it looks for races
	}, env...)
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.ExtraFiles = io.Discard, &p.log, files
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.gone <- p.cmd.Wait() }()
	t.Cleanup(func() {
		if !p.over {
			_ = p.cmd.Process.Kill() // it may have ended
			t.Logf("it was not awaited: %v", <-p.gone)
		}
	})
	if p.c, err = client.New(client.Options{Socket: filepath.Join(dir, "data", "duly.sock")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.c.Close)
	return p
}

const plainly = `exec "$0"`

func (p *child) signal(s os.Signal) {
	p.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.Fatal(err)
	}
}

// end waits for the process.
func (p *child) end() error {
	p.Helper()
	select {
	case err := <-p.gone:
		p.over = true
		return err
	case <-time.After(time.Minute):
		p.Fatalf("it does not end:\n%s", p.log.String())
		return nil
	}
}

func TestProcess_KilledAndStartedAgain(t *testing.T) {
	dir := shortDir(t)
	p := startChild(t, dir, plainly, nil)
	p.log.Has(t, "msg=ready")
	if _, err := p.c.Put(t.Context(), "tea", api.Spec{Command: sh("touch " + dir + "/tea"), In: in(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.c.Put(t.Context(), "now", api.Spec{Command: sh("touch " + dir + "/now; while [ -e " + dir + " ]; do sleep 0.1; done"), In: in(0), Policy: api.Policy{Attempts: 3}}); err != nil {
		t.Fatal(err)
	}
	until(t, dir+"/now")
	p.signal(syscall.SIGKILL)
	if err := p.end(); err == nil {
		t.Error("it ended well")
	}
	if err := os.Remove(dir + "/now"); err != nil {
		t.Fatal(err)
	}
	p = startChild(t, dir, plainly, nil)
	p.log.Has(t, "msg=ready")
	until(t, dir+"/now") // what the kill has cut off
	if err := p.c.RunNow(t.Context(), "tea"); err != nil {
		t.Errorf("run tea: %v", err)
	}
	until(t, dir+"/tea")
	p.signal(syscall.SIGTERM)
	p.log.Has(t, "told to end")
	p.signal(syscall.SIGINT) // what runs would keep it for long
	if err := p.end(); err != nil {
		t.Errorf("%v:\n%s", err, p.log.String())
	}
	entries, err := os.ReadDir(filepath.Join(dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		switch e.Name() {
		case "store", "output", "token", "lock":
		default:
			t.Errorf("%s is left", e.Name())
		}
	}
}

// The umask of whoever starts it is that of commands, too, but not of the daemon's own files.
func TestProcess_Umask(t *testing.T) {
	dir := shortDir(t)
	p := startChild(t, dir, "umask 0; "+plainly, nil)
	p.log.Has(t, "msg=ready")
	info, err := os.Stat(filepath.Join(dir, "data", "duly.sock"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket has mode %v, %v", info.Mode(), err)
	}
	if _, err := p.c.Put(t.Context(), "a", api.Spec{Command: sh("touch " + dir + "/open; touch " + dir + "/done"), In: in(0)}); err != nil {
		t.Fatal(err)
	}
	until(t, dir+"/done")
	if info, err := os.Stat(dir + "/open"); err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("a command's file has mode %v, %v; want 0666 by the umask 0", info.Mode(), err)
	}
	p.signal(syscall.SIGTERM)
	if err := p.end(); err != nil {
		t.Error(err)
	}
}

// Whoever reads the daemon's output may go away.
func TestProcess_OutputIsNotRead(t *testing.T) {
	dir := shortDir(t)
	p := startChild(t, dir, `"$0" 2>&1 | head -c 1 >/dev/null; touch `+dir+`/over`, nil)
	for p.c.Ready(t.Context()) != nil {
		if _, err := os.Stat(dir + "/over"); err == nil {
			t.Fatal("it has ended")
		}
	}
	var s api.Stats
	var err error
	if s, err = p.c.Stats(t.Context()); err != nil || s.Version != "v1" {
		t.Errorf("stats: %+v, %v", s, err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "data", "store", "OWNER")); err != nil {
		t.Error(err)
	} else {
		var pid int
		if _, err := fmt.Sscan(string(b), &pid); err != nil {
			t.Fatal(err)
		}
		for range 3 { // each reload writes to the log
			if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.c.Ready(t.Context()); err != nil {
			t.Errorf("after it has written: %v", err)
		}
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.end(); err != nil {
		t.Error(err)
	}
}

// TestProcess_Systemd is systemd: it listens in the daemon's stead, is told how it is, and wants to hear that it lives.
func TestProcess_Systemd(t *testing.T) {
	dir := shortDir(t)
	told, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer told.Close() //nolint:errcheck // it has nothing to lose
	socket, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "by-systemd"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var files []*os.File
	for _, l := range []interface{ File() (*os.File, error) }{socket, tcp} {
		f, err := l.File()
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	// The sockets listen before there is a daemon: who comes early waits, and is not turned away.
	c, err := client.New(client.Options{Socket: socket.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	early := make(chan error, 1)
	go func() { early <- c.Ready(t.Context()) }()
	p := startChild(t, dir, `LISTEN_PID=$$ WATCHDOG_PID=$$ exec "$0"`, files, "DULY_LISTEN=", "LISTEN_FDS=2", "LISTEN_FDNAMES=duly:duly",
		"WATCHDOG_USEC=50000", "NOTIFY_SOCKET="+filepath.Join(dir, "notify"))
	heard := func(want ...string) string {
		t.Helper()
		b := make([]byte, 4096)
		for {
			if err := told.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			n, err := told.Read(b)
			if err != nil {
				t.Fatalf("systemd is not told %q: %v\n%s", want, err, p.log.String())
			}
			for _, w := range want {
				if bytes.Contains(b[:n], []byte(w)) {
					return string(b[:n])
				}
			}
		}
	}
	heard("READY=1")
	if err := <-early; err != nil {
		t.Errorf("who came early: %v", err)
	}
	heard("WATCHDOG=1")
	if _, err := os.Lstat(filepath.Join(dir, "data", "duly.sock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("beside the socket that was handed over there is one of its own: %v", err)
	}
	token, err := os.ReadFile(home.Token(filepath.Join(dir, "data")))
	if err != nil {
		t.Fatal(err)
	}
	for auth, want := range map[string]int{"": 401, "Bearer " + strings.TrimSpace(string(token)): 200} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+tcp.Addr().String()+"/v1/tasks", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", auth)
		if got, answer := do(t, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, req); got != want {
			t.Errorf("over systemd's TCP with %d characters of authorization: %d %s, want %d", len(auth), got, answer, want)
		}
	}
	p.signal(syscall.SIGHUP)
	if got := heard("RELOADING=1"); monotonic() != "" && !strings.Contains(got, "\nMONOTONIC_USEC=") {
		t.Errorf("a reload is told as %q", got)
	}
	heard("READY=1")
	p.signal(syscall.SIGTERM)
	heard("STOPPING=1")
	if err := p.end(); err != nil {
		t.Errorf("%v\n%s", err, p.log.String())
	}
	if _, err := os.Lstat(socket.Addr().String()); err != nil {
		t.Errorf("systemd's socket was taken away: %v", err)
	}
	if err := errors.Join(socket.Close(), tcp.Close(), files[0].Close(), files[1].Close()); err != nil {
		t.Error(err)
	}
}

// A socket of the init system's that other machines reach is no way around TLS.
func TestProcess_HandedOverBeyondLoopback(t *testing.T) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4zero})
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	dir := shortDir(t)
	p := startChild(t, dir, `LISTEN_PID=$$ exec "$0"`, []*os.File{f}, "LISTEN_FDS=1")
	if err := p.end(); err == nil {
		t.Error("it runs")
	}
	if got := p.log.String(); !strings.Contains(got, "the init system's socket") || !strings.Contains(got, "--insecure") {
		t.Errorf("it says %q", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "data")); err == nil {
		t.Error("the data directory is left behind")
	}
	if err := errors.Join(l.Close(), f.Close()); err != nil {
		t.Error(err)
	}
}

// However it is made to end, the daemon leaves no command behind that its successor would start beside.
func TestProcess_LeavesNoCommandBehind(t *testing.T) {
	dir := shortDir(t)
	p := startChild(t, dir, plainly, nil, "DULY_DRAIN_TIMEOUT=24h")
	p.log.Has(t, "msg=ready")
	deaf := sh("trap '' TERM; echo $$ > " + dir + "/part; mv " + dir + "/part " + dir + "/pid; while [ -e " + dir + " ]; do sleep 0.1; done")
	deaf.Grace = api.Duration(time.Hour)
	if _, err := p.c.Put(t.Context(), "deaf", api.Spec{Command: deaf, In: in(0)}); err != nil {
		t.Fatal(err)
	}
	until(t, dir+"/pid")
	for _, heard := range []string{"told to end", "told again to end"} {
		p.signal(syscall.SIGTERM)
		p.log.Has(t, heard)
	}
	p.signal(syscall.SIGTERM)
	if err := p.end(); err == nil {
		t.Errorf("it was cut off, and ended well:\n%s", p.log.String())
	}
	b, err := os.ReadFile(dir + "/pid")
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(string(b), &pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the command runs on: %v", err)
	}
}
