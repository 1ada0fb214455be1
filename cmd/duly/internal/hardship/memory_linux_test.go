package hardship

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dulyhq/duly/api"
)

const mib = 1 << 20

// metrics asks on the socket for the counters.
func (d *served) metrics(ctx context.Context) string {
	d.t.Helper()
	carrier := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "unix", filepath.Join(d.data(), "duly.sock"))
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/metrics", nil)
	if err != nil {
		d.t.Fatal(err)
	}
	res, err := carrier.RoundTrip(req)
	if err != nil {
		d.t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil || res.StatusCode != http.StatusOK {
		d.t.Fatalf("metrics: %s, %v", res.Status, err)
	}
	return string(b)
}

// memoryGroup makes a control group of some memory, and returns what a shell does to enter it.
func memoryGroup(t *testing.T, most int) (enter string) {
	t.Helper()
	cgroups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Logf("no control group: %v; the limit is GOMEMLIMIT's alone", err)
		return ""
	}
	for line := range strings.Lines(string(cgroups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		root, file := "/sys/fs/cgroup", "memory.max"
		if len(parts) != 3 || parts[1] != "" && parts[1] != "memory" {
			continue
		}
		if parts[1] == "memory" {
			root, file = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
		}
		dir := filepath.Join(root, parts[2], fmt.Sprintf("duly-hardship-%d", os.Getpid()))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Logf("no control group: %v", err)
			continue
		}
		t.Cleanup(func() { _ = os.Remove(dir) }) // it stays if something has survived, which the test says
		if err := os.WriteFile(filepath.Join(dir, file), []byte(strconv.Itoa(most)), 0o600); err != nil {
			t.Logf("no control group: %v", err)
			continue
		}
		return "echo $$ > " + filepath.Join(dir, "cgroup.procs") + " &&"
	}
	t.Log("the limit is GOMEMLIMIT's alone: a control group takes root, or to own one")
	return ""
}

// In 256 MiB the daemon has many tasks, large bodies from many clients at a time, large outputs and many who listen to events.
func TestMemory(t *testing.T) {
	t.Parallel()
	tasks, readers, rounds := 5000, 100, 1
	if long {
		tasks, readers, rounds = 1_000_000, 1000, 4
	} else {
		t.Logf("PARTLY SKIPPED: %d tasks and %d readers; DULY_TEST_LONG=1 takes a million and a thousand", tasks, readers)
	}
	const most = 256 * mib
	s := start{args: []string{"--min-free", "1MiB"}}
	if long { // what a group reads and writes is in its memory, too, so that it takes its time
		s.shell = memoryGroup(t, most)
	}
	if s.shell == "" {
		s.env = []string{fmt.Sprint("GOMEMLIMIT=", most/10*9)}
	}
	d := serve(t, s)
	if s.shell != "" {
		d.until("it has said that it knows of its limit", func() error {
			if !strings.Contains(d.said(), "memory is limited by the control group") {
				return errNotYet
			}
			return nil
		})
	}
	ctx := t.Context()
	started := d.status("VmRSS")

	seq := func(yield func(api.Spec) bool) {
		for i := range tasks {
			if !yield(api.Spec{Name: fmt.Sprintf("t-%07d", i), Command: sh("true"), In: in(time.Hour + time.Duration(i)*time.Millisecond)}) {
				return
			}
		}
	}
	n := 0
	for e, err := range d.PutMany(ctx, iter.Seq[api.Spec](seq)) {
		if err != nil || e.Error != nil {
			t.Fatalf("entry %d: %+v, %v", n, e.Error, err)
		}
		n++
	}
	is(t, "tasks", n, tasks)
	filled := d.status("VmHWM")

	listening, hangUp := context.WithCancel(ctx)
	var listeners sync.WaitGroup
	for range readers {
		conn, err := net.Dial("unix", filepath.Join(d.data(), "duly.sock"))
		if err != nil {
			t.Fatal(err)
		}
		listeners.Go(func() {
			defer conn.Close() //nolint:errcheck // it was only read
			defer context.AfterFunc(listening, func() { _ = conn.Close() })()
			_, _ = fmt.Fprint(conn, "GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
			for lines := bufio.NewReader(conn); ; {
				if _, err := lines.ReadSlice('\n'); err != nil && listening.Err() != nil {
					return
				} else if err != nil {
					t.Errorf("a reader of events: %v", err)
					return
				}
			}
		})
	}
	heard := d.status("VmHWM")

	large := strings.Repeat("x", 900<<10)
	var clients sync.WaitGroup
	for i := range 64 {
		clients.Go(func() {
			c := d.dial()
			for j := range rounds {
				name := fmt.Sprintf("large-%d", (i+j)%64)
				cmd := sh("cat >/dev/null")
				cmd.Stdin = large
				if _, err := c.Put(ctx, name, api.Spec{Command: cmd, In: in(time.Hour)}); err != nil {
					t.Errorf("put %s: %v", name, err)
				}
			}
		})
	}
	clients.Wait()
	put := d.status("VmHWM")

	for i := range 4 {
		cmd := sh("head -c 20000000 /dev/zero | tr '\\0' x")
		cmd.OutputLimit = 8 * mib
		d.put(fmt.Sprintf("printer-%d", i), api.Spec{Command: cmd, In: in(0)})
	}
	d.until("all has been printed", func() error {
		s, err := d.Stats(ctx)
		if k := s.Kinds["command"]; err != nil || k.Succeeded < 4 {
			return fmt.Errorf("%w: %+v, %w", errNotYet, k, err)
		}
		return nil
	})
	if metrics := d.metrics(ctx); !strings.Contains(metrics, "\nduly_") {
		t.Errorf("the metrics are %.300q", metrics)
	}
	hangUp()
	listeners.Wait()
	d.run("after")
	peak := d.status("VmHWM")
	t.Logf("at the start %d kB; at most %d kB with %d tasks, %d with %d readers, %d with 64 clients, %d in all; now %d", started, filled, tasks, heard, readers, put, peak, d.status("VmRSS"))
	if peak >= most/1024 {
		t.Errorf("it had %d kB, want less than %d", peak, most/1024)
	}
}
