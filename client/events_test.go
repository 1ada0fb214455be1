package client_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
)

// A tape is a server of events 1 to last, which breaks the connection in the middle of an event after each few of them.
type tape struct {
	last, few int
	mu        sync.Mutex
	asked     []string // Last-Event-ID of each connection
}

func (p *tape) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get("Last-Event-ID")
	p.mu.Lock()
	p.asked = append(p.asked, id)
	p.mu.Unlock()
	from, err := strconv.Atoi(id)
	if err != nil {
		from = p.last / 2 // from now on
	}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	say(w, "retry: 1\nid: %d\n\n", from)
	for n := from + 1; n <= p.last && n <= from+p.few; n++ {
		say(w, "id: %d\nevent: task\ndata: {\"seq\":%d,\ndata:\"name\":\"tea\"}\n\n:\n\n", n, n)
	}
	if from+p.few < p.last {
		say(w, "id: %d\nevent: task\ndata: {\"seq\":%d", from+p.few+1, from+p.few+1)
	}
	_ = http.NewResponseController(w).Flush()
	if from+p.few >= p.last {
		<-r.Context().Done()
	}
	panic(http.ErrAbortHandler)
}

// collect takes n events.
func collect(t *testing.T, c *client.Client, after int64, n int) []int64 {
	t.Helper()
	var got []int64
	for e, err := range c.Events(t.Context(), after, "") {
		if err != nil {
			t.Fatalf("after %v: %v", got, err)
		}
		if got = append(got, e.Seq); len(got) == n {
			break
		}
	}
	return got
}

// TestEvents_GoOn: a connection that breaks, also in the middle of an event, loses none and yields none twice.
func TestEvents_GoOn(t *testing.T) {
	p := &tape{last: 10, few: 4}
	srv := httptest.NewServer(p)
	t.Cleanup(srv.Close)
	var mu sync.Mutex
	lost := 0
	c := open(t, client.Options{URL: srv.URL, Lost: func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if lost++; err == nil {
			t.Error("Lost without an error")
		}
	}})
	if diff := cmp.Diff([]int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, collect(t, c, 0, 10)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	p.mu.Lock()
	if diff := cmp.Diff([]string{"0", "4", "8"}, p.asked); diff != "" {
		t.Errorf("asked for what comes after (-want +got):\n%s", diff)
	}
	p.mu.Unlock()
	mu.Lock()
	if lost != 2 {
		t.Errorf("Lost was called %d times, want 2", lost)
	}
	mu.Unlock()
	if diff := cmp.Diff([]int64{6, 7, 8, 9, 10}, collect(t, c, client.FromNow, 5)); diff != "" {
		t.Errorf("events from now (-want +got):\n%s", diff)
	}
}

// TestEvents_DaemonStartsAnew: between two lives of the daemon there is nobody, or somebody who says that he is not ready; then it goes on.
func TestEvents_DaemonStartsAnew(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	serve := func(h http.Handler) *httptest.Server {
		l, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		srv := httptest.NewUnstartedServer(h)
		_ = srv.Listener.Close()
		srv.Listener = l
		srv.Start()
		return srv
	}
	steps := make(chan error)
	c := open(t, client.Options{Socket: socket, Lost: func(err error) { steps <- err }})
	got := make(chan int64)
	ctx, cancel := context.WithCancelCause(t.Context())
	over := make(chan error, 1)
	srv := serve(&tape{last: 1, few: 4})
	go func() {
		for e, err := range c.Events(ctx, 0, "") {
			if err != nil {
				over <- err
				return
			}
			got <- e.Seq
		}
	}()
	if seq := <-got; seq != 1 {
		t.Fatalf("event %d, want 1", seq)
	}
	srv.CloseClientConnections()
	srv.Close()
	for err := range steps { // first the break, and then nobody is there
		if _, ok := errors.AsType[*client.UnreachableError](err); ok {
			break
		}
	}
	srv = serve(problem(http.StatusServiceUnavailable, "unavailable"))
	for err := range steps {
		if errors.Is(err, api.ErrUnavailable) {
			break
		}
	}
	srv.Close()
	srv = serve(&tape{last: 3, few: 4})
	defer srv.Close()
	for want := int64(2); want <= 3; {
		select {
		case seq := <-got:
			if seq != want {
				t.Fatalf("event %d, want %d", seq, want)
			}
			want++
		case <-steps: //nolint:errcheck // that nobody was there a moment ago
		}
	}
	cause := errors.New("enough")
	cancel(cause)
	if err := <-over; !errors.Is(err, cause) {
		t.Errorf("the last that is yielded is %v, want the cause", err)
	}
}

// TestEvents_Refused: a daemon that refuses is not asked again.
func TestEvents_Refused(t *testing.T) {
	for _, tt := range []struct {
		answer http.HandlerFunc
		want   string
	}{
		{problem(http.StatusUnauthorized, "unauthenticated"), "unauthenticated"},
		{problem(http.StatusServiceUnavailable, "unavailable"), "unavailable"}, // at the beginning it is news
		{func(w http.ResponseWriter, _ *http.Request) { say(w, "hello") }, "not a stream of events"},
		{func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			say(w, "data: tea\n\n")
		}, "invalid character"},
	} {
		c := answering(t, tt.answer)
		n := 0
		for _, err := range c.Events(t.Context(), 0, "") {
			if n++; err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		}
		if n != 1 {
			t.Errorf("%q: %d were yielded, want the error alone", tt.want, n)
		}
	}
}
