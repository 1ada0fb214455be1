package hardship

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/target"
)

// With no descriptor left commands and callbacks are put off and no attempt is spent, the owner is still answered, and all of it is done
// when there are some again.
func TestDescriptors(t *testing.T) {
	t.Parallel()
	calls := make(chan string, 100)
	sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { calls <- r.Header.Get("Duly-Name") }))
	defer sink.Close()
	port := freePort(t)
	d := serve(t, start{shell: "ulimit -n 64;", args: []string{"--allow-private", "--listen", port}})
	ctx := t.Context()
	const many = 30
	for i := range many {
		d.put(fmt.Sprintf("held-%d", i), api.Spec{Command: sh("exec sleep 1000"), In: in(0)})
	}
	d.until("all were tried", func() error {
		if n := d.starts("command"); n < many {
			return fmt.Errorf("%w: %d", errNotYet, n)
		}
		return nil
	})
	d.problem("descriptors", true)
	off := ""
	d.until("some are put off", func() error {
		for i := range many {
			task, err := d.Get(ctx, fmt.Sprintf("held-%d", i))
			if err != nil {
				return err
			}
			if len(task.Runs) == 1 && task.Runs[0].State == "pending" && task.Runs[0].Snoozed == 1 {
				off = task.Name
				return nil
			}
		}
		return errNotYet
	})
	for range 6 { // more than were put by, one after the other
		c := d.dial()
		if _, err := c.Health(ctx); err != nil {
			t.Errorf("the owner is not answered: %v", err)
		}
		c.Close()
	}
	for _, c := range flood(t, "tcp", port, 40) { // what a command leaves is too little for one, but not for a callback
		defer c.Close() //nolint:errcheck // nothing was said
	}
	call, calling := "", 0
	d.until("a callback is put off", func() error {
		if call == "" {
			calling++
			call = fmt.Sprintf("call-%d", calling)
			d.put(call, api.Spec{HTTP: &target.Callback{URL: sink.URL}, In: in(0)}) //nolint:contextcheck // it has the test's
		}
		task, err := d.Get(ctx, call)
		switch {
		case errors.Is(err, duly.ErrNotFound), errors.Is(err, duly.ErrFinished):
			call = "" // there was one left
			return fmt.Errorf("%w: %w", errNotYet, err)
		case err != nil:
			return err
		case len(task.Runs) != 1 || task.Runs[0].Snoozed == 0:
			return fmt.Errorf("%w: %+v", errNotYet, task.Runs)
		}
		return nil
	})
	d.idles("without descriptors")
	for i := range many {
		if _, err := d.CancelRunning(ctx, fmt.Sprintf("held-%d", i)); err != nil {
			t.Fatalf("cancel: %v", err)
		}
	}
	d.problem("descriptors", false)
	if err := d.RunNow(ctx, call); err != nil {
		t.Fatal(err)
	}
	for range calling {
		if got := <-calls; got == call {
			break
		}
	}
	d.run("after")
	if err := d.RunNow(ctx, off); !errors.Is(err, duly.ErrFinished) && !errors.Is(err, duly.ErrNotFound) {
		t.Errorf("what was put off and cancelled: %v", err)
	}
}

// freePort is an address that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nobody was served
	return l.Addr().String()
}

// flood opens connections, and says nothing on them.
func flood(t *testing.T, network, address string, most int) (conns []net.Conn) {
	t.Helper()
	dialer := net.Dialer{Timeout: time.Second}
	for range most {
		conn, err := dialer.DialContext(t.Context(), network, address)
		if err != nil {
			break // nobody takes them, and no more can wait
		}
		conns = append(conns, conn)
	}
	return conns
}

// Clients that open connections and say nothing take at most a quarter of the descriptors over TCP. Over the socket, which is the owner's, they
// can take all; the daemon does not spin, and answers again when they are gone.
func TestDescriptors_TakenByClients(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	port := freePort(t)
	d := serve(t, start{dir: dir, shell: "ulimit -n 96;", args: []string{"--listen", port}})
	tcp := flood(t, "tcp", port, 200)
	if len(tcp) < 64 {
		t.Fatalf("only %d connections", len(tcp))
	}
	d.run("beside-tcp")
	d.problem("descriptors", false)
	local := flood(t, "unix", filepath.Join(d.data(), "duly.sock"), 100)
	d.problem("descriptors", true) // over the connection that is there
	d.idles("with too many connections")
	for _, c := range append(tcp, local...) {
		_ = c.Close() // nothing was said
	}
	d.problem("descriptors", false)
	if _, err := d.dial().Health(t.Context()); err != nil {
		t.Errorf("a new connection: %v", err)
	}
	d.run("after")
}
