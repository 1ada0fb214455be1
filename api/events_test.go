package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/api"
)

// pipes is a listener whose connections are pipes, so that a server lives in a bubble.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// A served is an env behind a server.
type served struct {
	*env

	srv    *http.Server
	client *http.Client
}

// serve puts a server before the handler.
func (e *env) serve() *served {
	e.Helper()
	p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	tr := &http.Transport{DialContext: p.dial}
	s := &served{env: e, srv: &http.Server{Handler: e.h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}, client: &http.Client{Transport: tr}}
	s.srv.RegisterOnShutdown(e.h.Close)
	ended := make(chan error, 1)
	go func() { ended <- s.srv.Serve(p) }()
	e.Cleanup(func() {
		_ = s.srv.Close() // it may have been shut down
		tr.CloseIdleConnections()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			e.Errorf("Serve: %v", err)
		}
	})
	return s
}

// A listener reads events.
type listener struct {
	*testing.T

	in     *bufio.Scanner
	cancel context.CancelFunc
	last   string // the id
	beats  int
}

// listen asks for events.
func (s *served) listen(query string, headers ...string) *listener {
	s.Helper()
	ctx, cancel := context.WithCancel(s.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://duly/v1/events"+query, nil)
	if err != nil {
		s.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	res, err := s.client.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = res.Body.Close() }) // nothing more is wanted of it
	if ct := res.Header.Get("Content-Type"); res.StatusCode != http.StatusOK || ct != "text/event-stream" {
		s.Fatalf("status %d, Content-Type %q", res.StatusCode, ct)
	}
	return &listener{T: s.T, in: bufio.NewScanner(res.Body), cancel: cancel}
}

// next returns the next event, nil at the end.
func (l *listener) next() *api.Event {
	l.Helper()
	var data, kind string
	for l.in.Scan() {
		switch line := l.in.Text(); {
		case line == ": beat":
			l.beats++
		case strings.HasPrefix(line, "id: "):
			l.last = line[4:]
		case strings.HasPrefix(line, "event: "):
			kind = line[7:]
		case strings.HasPrefix(line, "data: "):
			data = line[6:]
		case line == "" && data != "":
			var ev api.Event
			if err := json.Unmarshal([]byte(data), &ev); err != nil {
				l.Fatalf("%v in %s", err, data)
			}
			if kind != "task" || strconv.FormatInt(ev.Seq, 10) != l.last {
				l.Errorf("event %q with the id %s: %s", kind, l.last, data)
			}
			return &ev
		case line == "", line == "retry: 1000":
		default:
			l.Errorf("line %q", line)
		}
	}
	return nil
}

func (l *listener) close() { l.cancel() }

func TestEvents_Live(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		e.work(nil)
		e.do("PUT", "/v1/tasks/before", `{"kind": "done", "in": "0s"}`).want(http.StatusCreated)
		e.pass(time.Second)
		s := e.serve()
		live, named, old, spaced := s.listen(""), s.listen("?name=b&after=now"), s.listen("?after=0"), s.listen("?namespace=ns")
		for _, path := range []string{"a", "b", "a?namespace=ns"} {
			e.do("PUT", "/v1/tasks/"+path, `{"kind": "done", "in": "1s"}`).want(http.StatusCreated)
			e.pass(2 * time.Second)
		}
		want := func(what string, l *listener, names ...string) {
			t.Helper()
			for _, name := range names {
				if ev := l.next(); ev == nil || ev.Namespace+"/"+ev.Name != name || ev.To != "done" || ev.Lateness == nil {
					t.Errorf("%s: %+v, want %s done", what, ev, name)
				}
			}
			l.close()
		}
		want("live", live, "/a", "/b", "ns/a")
		want("by name", named, "/b")
		want("from the beginning", old, "/before", "/a", "/b", "ns/a")
		want("by namespace", spaced, "ns/a")
		for _, bad := range []string{"after=x", "after=-1", "after=1.5", "after=99999999999999999999"} {
			e.do("GET", "/v1/events?"+bad, "").want(http.StatusBadRequest).problem("invalid", "after")
		}
		e.do("GET", "/v1/events", "", "Last-Event-ID: now").want(http.StatusBadRequest).problem("invalid", "Last-Event-ID")
		e.raw("HEAD", "/v1/events", "").want(http.StatusOK)
	})
}

// Whoever comes back with the last id that it has seen misses nothing and is told nothing twice, however often it is cut off, and also
// if that happens before the first event.
func TestEvents_Resume(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		e.work(nil)
		s := e.serve()
		const n = 400
		l := s.listen("") // from now on
		for l.last == "" && l.in.Scan() {
			if id, ok := strings.CutPrefix(l.in.Text(), "id: "); ok {
				l.last = id
			}
		}
		l.close()
		var wg sync.WaitGroup
		for p := range 4 {
			wg.Go(func() {
				for i := range n / 4 {
					a := e.raw("PUT", fmt.Sprintf("/v1/tasks/n%d-%d", p, i), `{"kind": "done", "in": "0s"}`)
					if a.status != http.StatusCreated {
						t.Errorf("%d: %s", a.status, a.body)
					}
					time.Sleep(time.Duration(i%7) * time.Millisecond)
				}
			})
		}
		seen := map[string]int{}
		last, after := l.last, int64(0)
		for cut := 0; len(seen) < n; cut++ {
			l := s.listen("?after=now", "Last-Event-ID: "+last) // the header is the newer of the two
			for range cut % 11 {
				ev := l.next()
				if ev == nil {
					t.Fatal("the stream has ended")
				}
				seen[ev.Name]++
				if ev.Seq <= after {
					t.Fatalf("entry %d after %d", ev.Seq, after)
				}
				last, after = l.last, ev.Seq
				if len(seen) == n {
					break
				}
			}
			l.close()
		}
		wg.Wait()
		for name, times := range seen {
			if times != 1 {
				t.Errorf("%s was told %d times", name, times)
			}
		}
	})
}

// Who listens from different places on is told the same, also where what was told to one is kept in the place of what is told to another.
func TestEvents_Apart(t *testing.T) {
	const n = 1300
	bubble(t, all, func(t *testing.T, e *env) {
		e.work(nil)
		s := e.serve()
		var lines strings.Builder
		for i := range n {
			fmt.Fprintf(&lines, `{"name": "n%d", "kind": "done", "in": "0s"}`+"\n", i)
		}
		e.do("POST", "/v1/tasks:batch", lines.String(), "Content-Type: application/x-ndjson").want(http.StatusOK)
		const apart = 512
		all := make([]*api.Event, n)
		whole := s.listen("?after=0")
		for i := range all {
			if all[i] = whole.next(); all[i] == nil || i > 0 && all[i].Seq <= all[i-1].Seq {
				t.Fatalf("%+v, want a later one", all[i])
			}
		}
		whole.close()
		first, second := s.listen("?after=0"), s.listen(fmt.Sprintf("?after=%d", all[apart-1].Seq))
		for i, want := range all[:n-apart] {
			for _, x := range []struct{ got, want *api.Event }{{first.next(), want}, {second.next(), all[apart+i]}} {
				if x.got == nil || x.got.Seq != x.want.Seq || x.got.Name != x.want.Name {
					t.Fatalf("%+v, want %+v", x.got, x.want)
				}
			}
		}
		first.close()
		second.close()
	})
}

func TestEvents_Beat(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		e.work(nil)
		s := e.serve()
		l := s.listen("")
		e.do("PUT", "/v1/tasks/a", `{"kind": "done", "in": "70s"}`).want(http.StatusCreated)
		if ev := l.next(); ev == nil || ev.Name != "a" {
			t.Errorf("%+v", ev)
		}
		is(t, "comments in 70 s", l.beats, 4)
		l.close()
	})
}

// A reader that takes nothing is cut off, and holds up neither the others nor the scheduler.
func TestEvents_SlowReader(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		e.work(nil)
		s := e.serve()
		slow, quick := s.listen(""), s.listen("")
		var heard atomic.Int64
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for quick.next() != nil {
				heard.Add(1)
			}
		}()
		const n = 2000
		for i := range n {
			e.raw("PUT", "/v1/tasks/n"+strconv.Itoa(i), `{"kind": "done", "in": "0s"}`).want(http.StatusCreated)
		}
		e.pass(time.Second)
		is(t, "heard by the one that reads", heard.Load(), n)
		e.pass(time.Minute)
		told := 0
		for slow.next() != nil {
			told++
		}
		if told >= n {
			t.Errorf("the slow reader was told all %d", told)
		}
		slow.close()
		quick.close()
		<-ended
	})
}

// A server that is shut down does not wait for those who listen.
func TestEvents_Shutdown(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		e.work(nil)
		s := e.serve()
		l := s.listen("")
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if ev := l.next(); ev != nil {
				t.Errorf("%+v", ev)
			}
		}()
		synctest.Wait()
		if err := s.srv.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		<-ended
		l.close()
		e.h.Close()
		e.do("GET", "/v1/stats", "").want(http.StatusOK)
	})
}

// A batch is answered while it is sent, and a sender that stops in the middle is cut off. What was not put by then is said so.
func TestBatch_Streams(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		s := e.serve()
		body, sender := io.Pipe()
		defer func() { _ = sender.Close() }() // the server reads it no more
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://duly/v1/tasks:batch", body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-ndjson")
		line := func(i int) string { return fmt.Sprintf(`{"name": "n%d", "kind": "k", "in": "1h"}`, i) + "\n" }
		sent := make(chan time.Time, 1)
		go func() {
			defer func() { sent <- time.Now() }()
			for i := range 1500 {
				if _, err := io.WriteString(sender, line(i)); err != nil {
					t.Errorf("line %d: %v", i, err)
				}
			}
		}()
		res, err := s.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }() // it was read to its end
		in := bufio.NewScanner(res.Body)
		entry := func() (v api.Entry) {
			t.Helper()
			if !in.Scan() {
				t.Fatalf("no answer: %v", in.Err())
			}
			if err := json.Unmarshal(in.Bytes(), &v); err != nil {
				t.Fatal(err)
			}
			return v
		}
		for i := range 1000 {
			if v := entry(); v.Outcome != "created" || v.Name != "n"+strconv.Itoa(i) {
				t.Fatalf("line %d: %+v", i, v)
			}
		}
		for i := range 500 { // no more comes, and these are refused when the sender's time is up
			if v := entry(); v.Name != "n"+strconv.Itoa(1000+i) || v.Error == nil || v.Error.Slug != "unavailable" {
				t.Fatalf("line %d: %+v", 1000+i, v)
			}
		}
		if v := entry(); v.Error == nil || v.Error.Field != "body" {
			t.Errorf("after the pause: %+v", v)
		}
		is(t, "pause", time.Since(<-sent), 30*time.Second)
		is(t, "pending", read[api.Stats](e.do("GET", "/v1/stats", "")).Pending, 1000)
	})
}
