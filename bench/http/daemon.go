package main

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
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/dulyhq/duly/bench/figures"
	"github.com/dulyhq/duly/bench/runs"
	"github.com/dulyhq/duly/client"
)

// A daemon is a duly that runs.
type daemon struct {
	cmd   *exec.Cmd
	data  string
	url   string
	token string
	log   string // the file that it logs to
	ended chan struct{}
	err   error // how it has ended

	profiles *http.Client // on its socket
}

// startDaemon starts duly with a data directory below dir, and returns when it listens.
func startDaemon(path, dir string, args ...string) (*daemon, error) {
	d := &daemon{data: filepath.Join(dir, "data"), log: filepath.Join(dir, "log"), ended: make(chan struct{})}
	log, err := os.Create(d.log)
	if err != nil {
		return nil, fmt.Errorf("start duly: %w", err)
	}
	said := &banner{found: make(chan string, 1)}
	d.cmd = exec.Command(path, append([]string{"serve", "--data", d.data, "--listen", "127.0.0.1:0", "--log-level", "warn"}, args...)...) //nolint:noctx // it is ended by a signal
	d.cmd.Stdout, d.cmd.Stderr = said, log
	d.cmd.Env = append(withoutSettings(os.Environ()), "DULY_CONFIG=")
	if err := d.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start duly: %w", err), log.Close())
	}
	go func() {
		d.err = errors.Join(d.cmd.Wait(), log.Close())
		close(d.ended)
	}()
	patience := time.NewTimer(time.Minute)
	defer patience.Stop()
	select {
	case d.url = <-said.found:
	case <-d.ended:
		return nil, fmt.Errorf("start duly: %w: %s", d.err, d.said())
	case <-patience.C:
		return nil, errors.Join(fmt.Errorf("start duly: it does not listen: %s", d.said()), d.kill())
	}
	token, err := os.ReadFile(filepath.Join(d.data, "token"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start duly: %w", err), d.kill())
	}
	d.token = strings.TrimSpace(string(token))
	socket := filepath.Join(d.data, "duly.sock")
	d.profiles = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
		MaxIdleConnsPerHost: 1,
	}}
	return d, nil
}

// withoutSettings is the environment without what sets a daemon.
func withoutSettings(env []string) (kept []string) {
	for _, e := range env {
		if !strings.HasPrefix(e, "DULY_") {
			kept = append(kept, e)
		}
	}
	return kept
}

// A banner finds where the daemon listens in what it prints.
type banner struct {
	mu    sync.Mutex
	text  []byte
	found chan string // nil once it was found
}

var listens = regexp.MustCompile(`duly serves on [^\n]*(http://[^\s]+)`)

// Write implements io.Writer.
func (b *banner) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.found != nil {
		b.text = append(b.text, p...)
		if i := bytes.LastIndexByte(b.text, '\n'); i >= 0 {
			if m := listens.FindSubmatch(b.text[:i]); m != nil {
				b.found <- string(m[1])
				b.found = nil
			}
		}
	}
	return len(p), nil
}

// said is the end of the log.
func (d *daemon) said() string {
	const most = 2000
	text, err := os.ReadFile(d.log)
	if err != nil {
		return err.Error()
	}
	said := strings.TrimSpace(string(text))
	return said[max(len(said)-most, 0):]
}

// warnings counts the lines of the log, which is kept for warnings and errors.
func (d *daemon) warnings() int {
	text, err := os.ReadFile(d.log)
	if err != nil {
		return -1
	}
	return bytes.Count(text, []byte("\n"))
}

// stop asks the daemon to end, and waits for it. That it cuts something off is an error.
func (d *daemon) stop() error {
	d.profiles.CloseIdleConnections()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop duly: %w", err)
	}
	patience := time.NewTimer(time.Minute)
	defer patience.Stop()
	select {
	case <-d.ended:
		if d.err != nil {
			return fmt.Errorf("stop duly: %w: %s", d.err, d.said())
		}
		return nil
	case <-patience.C:
		return errors.Join(errors.New("stop duly: it does not end: "+d.said()), d.kill())
	}
}

// kill ends the daemon if it still runs.
func (d *daemon) kill() error {
	select {
	case <-d.ended:
		return nil
	default:
	}
	err := d.cmd.Process.Kill()
	<-d.ended
	return err
}

func (d *daemon) pid() int { return d.cmd.Process.Pid }

// client returns one with a token over TCP.
func (d *daemon) client() *client.Client {
	c, err := client.New(client.Options{URL: d.url, Token: d.token})
	runs.Must("make a client", err)
	return c
}

// cpu is what the daemon has used.
func (d *daemon) cpu() time.Duration {
	used, _ := figures.TreeCPU(d.pid())
	return used
}

// resident is the most that the daemon has had in memory.
func (d *daemon) resident() float64 {
	_, most, _ := figures.Resident(d.pid())
	return mib(most)
}

// openFiles counts the daemon's descriptors, 0 where the system does not tell.
func (d *daemon) openFiles() int {
	f, err := os.Open("/proc/" + strconv.Itoa(d.pid()) + "/fd")
	if err != nil {
		return 0
	}
	defer f.Close() //nolint:errcheck // it was only read
	names, _ := f.Readdirnames(-1)
	return len(names)
}

// profile asks on the socket for a page of /debug/pprof/.
func (d *daemon) profile(ctx context.Context, page string) (text []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://duly/debug/pprof/"+page, http.NoBody)
	if err != nil {
		return nil, err
	}
	res, err := d.profiles.Do(req)
	if err != nil {
		return nil, fmt.Errorf("read the profile: %w", err)
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	if text, err = io.ReadAll(res.Body); err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("read the profile: status %d: %s", res.StatusCode, text)
	}
	return text, err
}

var (
	routines  = regexp.MustCompile(`<td>(\d+)</td><td><a href='goroutine\?`)
	heapInUse = regexp.MustCompile(`(?m)^# HeapInuse = (\d+)`)
)

// number finds a number in a page.
func (d *daemon) number(ctx context.Context, page string, in *regexp.Regexp) (int64, error) {
	text, err := d.profile(ctx, page)
	if err != nil {
		return 0, err
	}
	m := in.FindSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("the page %s has no %v", page, in)
	}
	return strconv.ParseInt(string(m[1]), 10, 64)
}

// goroutines counts them. The page of all profiles says how many there are without looking at each.
func (d *daemon) goroutines(ctx context.Context) (int64, error) {
	return d.number(ctx, "", routines)
}

// heap is what of the heap is in use when garbage was collected.
func (d *daemon) heap(ctx context.Context) (int64, error) {
	return d.number(ctx, "heap?gc=1&debug=1", heapInUse)
}
