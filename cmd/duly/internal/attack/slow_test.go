package attack

import (
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/target"
)

// most is how many connections over TCP the daemon has open at a time.
const most = 1024

// A crowd are many connections of which none does what is expected of it.
type crowd struct {
	f     *fort
	conns []net.Conn
	cut   atomic.Int64 // of these, by the daemon
	wait  sync.WaitGroup
}

func (f *fort) crowd(n int, network, address string) *crowd {
	f.Helper()
	both := 2 * n // both ends are in this process
	if network == "tcp" {
		both = n + most
	}
	if !openFiles(uint64(both + 500)) {
		f.Skipf("this process may not open %d files", both+500)
	}
	m := &crowd{f: f, conns: make([]net.Conn, n)}
	for i := range m.conns {
		var d net.Dialer
		c, err := d.DialContext(f.Context(), network, address)
		if err != nil {
			f.Fatalf("connection %d: %v", i, err)
		}
		m.conns[i] = c
	}
	f.Cleanup(m.leave)
	return m
}

// each says something on each connection.
func (m *crowd) each(say func(i int) string) {
	for i, c := range m.conns {
		if text := say(i); text != "" {
			_, _ = io.WriteString(c, text) // it may be cut
		}
	}
}

// watch counts the connections that the daemon ends, of those that may be read.
func (m *crowd) watch(may func(i int) bool) {
	for i, c := range m.conns {
		if !may(i) {
			continue
		}
		m.wait.Go(func() {
			_, _ = io.Copy(io.Discard, c) // it is cut, or left
			m.cut.Add(1)
		})
	}
}

func (m *crowd) leave() {
	for _, c := range m.conns {
		_ = c.Close() // it may be cut
	}
	m.wait.Wait()
}

// stock is what the process has that must not grow.
func stock() (heap uint64, goroutines int) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, runtime.NumGoroutine()
}

// settles waits until there are no more goroutines than there were, and no more memory than there was and a little.
func (f *fort) settles(heap uint64, goroutines int, more uint64) {
	f.Helper()
	for late := time.After(hung); ; {
		h, g := stock()
		if h <= heap+more && g <= goroutines+10 {
			f.Logf("heap %d KiB, before %d KiB; goroutines %d, before %d", h>>10, heap>>10, g, goroutines)
			return
		}
		select {
		case <-late:
			f.Errorf("heap %d KiB, before %d KiB; goroutines %d, before %d", h>>10, heap>>10, g, goroutines)
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// answers checks that others are answered: who was there before, if somebody was, and those who come, over TCP and on the socket.
func (f *fort) answers(old *talk, rounds int) {
	f.Helper()
	asks := "GET /v1/stats HTTP/1.1\r\nHost: localhost\r\n" + f.bearer() + "\r\n\r\n"
	owner := f.owner()
	for range rounds {
		if old != nil {
			if a := old.ask(asks); a.status != 200 {
				f.Errorf("who was there before: %d %s", a.status, a.body)
			}
		}
		if a := f.ask("GET", "/v1/stats", ""); a.status != 200 {
			f.Errorf("who comes: %d %s", a.status, a.body)
		}
		if a := f.one("", "GET /livez HTTP/1.1", "Host: localhost"); a.status != 200 {
			f.Errorf("a probe: %d %s", a.status, a.body)
		}
		if _, err := owner.Stats(f.Context()); err != nil {
			f.Errorf("on the socket: %v", err)
		}
	}
}

// Thousands of connections that are as slow as they can be, in every place in which one can be slow, keep nobody from being answered.
func TestSlowConnections(t *testing.T) {
	n := most + 176
	if long {
		n = 5000
	}
	f := serve(t, "", "log_level=info")
	old := f.talk()
	old.ask("GET /v1/stats HTTP/1.1\r\nHost: localhost\r\n" + f.bearer() + "\r\n\r\n")
	heap, goroutines := stock()
	m := f.crowd(n, "tcp", f.address)
	head := "POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	slow := []string{
		"",                                    // it never says anything
		"GET /v1/tasks HTTP/1.1\r\nHost: loc", // it never ends its header
		head + "Authorization: Bearer wrong\r\nContent-Length: 100000\r\n\r\n{",                // it never sends its body
		head + "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"a",                                   // nor its chunk
		head + "Expect: 100-continue\r\nContent-Length: 100\r\n\r\n",                           // nor what it asked for leave to send
		strings.Repeat("GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n", 20),            // it never reads
		"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n",                                       // it stays
		"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n",                 // it asks what no handler answers
		"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer wrong\r\n\r\nGET", // it wants a stream
	}
	m.watch(func(i int) bool { return i%len(slow) != 5 })
	m.each(func(i int) string { return slow[i%len(slow)] })
	done, stop := context.WithCancel(t.Context())
	drips := make(chan struct{})
	go func() { // byte by byte
		defer close(drips)
		pace := time.NewTicker(20 * time.Millisecond)
		defer pace.Stop()
		for i := 0; done.Err() == nil; i++ {
			m.each(func(j int) string { return map[bool]string{true: string("X-Slow: y"[i%9])}[j%len(slow) == 1] })
			<-pace.C
		}
	}()
	f.answers(old, 3)
	heap2, goroutines2 := stock()
	if limit := goroutines + n + 4*most + 200; goroutines2 > limit {
		t.Errorf("%d goroutines, want at most %d", goroutines2, limit)
	}
	if grown := int64(heap2) - int64(heap); grown > 160<<20 {
		t.Errorf("the heap has grown by %d KiB", grown>>10)
	}
	t.Logf("%d connections, of which %d were cut: heap %d KiB, before %d KiB; goroutines %d", n, m.cut.Load(), heap2>>10, heap>>10, goroutines2)
	if long {
		for late := time.After(hung); m.cut.Load() < int64(n*8/10); { // those that only stay do so for two minutes
			select {
			case <-late:
				t.Fatalf("%d of %d connections were cut", m.cut.Load(), n)
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	stop()
	m.leave()
	<-drips
	f.answers(old, 1)
	f.settles(heap, goroutines, 16<<20)
}

// Readers of the event stream that never read take neither the tasks' time nor, beyond what each may have, memory.
func TestEventReaders(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			n := map[string]int{"tcp": most + 76, "unix": 400}[network]
			tasks := 100
			if long {
				n, tasks = map[string]int{"tcp": 10_000, "unix": 9000}[network], 2000 // of the socket this process has both ends
			}
			token := strings.Repeat("r", 30)
			f := serve(t, "tokens:\n- {name: reader, scopes: [read], sha256: "+sum(token)+"}\n", "log_level=info", "durability=memory")
			address := map[string]string{"tcp": f.address, "unix": f.d.Socket()}[network]
			heap, goroutines := stock()
			m := f.crowd(n, network, address)
			m.each(func(int) string {
				return "GET /v1/events?after=0 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + token + "\r\n\r\n"
			})
			f.answers(nil, 2)
			late := f.runs(tasks)
			heap2, goroutines2 := stock()
			f.answers(nil, 2)
			served := n
			if network == "tcp" {
				served = most
			}
			if grown, limit := int64(heap2)-int64(heap), int64(served)*(128<<10)+32<<20; grown > limit {
				t.Errorf("the heap has grown by %d KiB, want at most %d KiB", grown>>10, limit>>10)
			}
			t.Logf("%d readers: heap %d KiB, before %d KiB; goroutines %d; the tasks began late by %v (p50), %v (p99)",
				n, heap2>>10, heap>>10, goroutines2, late.Late50, late.Late99)
			m.leave()
			f.settles(heap, goroutines, 48<<20)
		})
	}
}

// runs has tasks run to their ends, and returns how late they began.
func (f *fort) runs(tasks int) api.KindStats {
	f.Helper()
	c := f.owner()
	now := api.Duration(0)
	var last api.Entry
	for i := range tasks {
		e, err := c.Put(f.Context(), fmt.Sprint("task-", i), api.Spec{Command: &target.Command{Args: []string{"true"}}, In: &now})
		if err != nil {
			f.Fatal(err)
		}
		last = e
	}
	if _, err := c.Await(f.Context(), last.Name, last.Generation); err != nil {
		f.Fatal(err)
	}
	for late := time.After(hung); ; {
		s, err := c.Stats(f.Context())
		if err != nil {
			f.Fatal(err)
		}
		if k := s.Kinds[target.KindCommand]; k.Succeeded == uint64(tasks) {
			return k
		}
		select {
		case <-late:
			f.Fatalf("not all have run: %+v", s)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
