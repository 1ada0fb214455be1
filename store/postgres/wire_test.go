package postgres_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A wire is the way from one process to the server, which can be cut and can fall silent.
type wire struct {
	url    string
	listen net.Listener
	to     [2]string // network and address of the server

	mu     sync.Mutex
	cond   sync.Cond
	closed bool
	severs bool // nobody gets through, and nobody stays connected
	silent bool // what is sent is kept back
	pairs  map[*pair]struct{}
	all    sync.WaitGroup

	asked atomic.Int64 // how often clients have asked for an answer: once for each statement, or batch of them
}

// A pair is one connection, from its client and on to the server.
type pair struct {
	client, server net.Conn
	silent         bool
}

// newWire returns a way to the server of a connection string; its own leads through it.
func newWire(t *testing.T, url string) *wire {
	t.Helper()
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "wire") //nolint:usetesting // the path of a socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, ".s.PGSQL.5432"))
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{listen: l, pairs: map[*pair]struct{}{}}
	w.cond.L = &w.mu
	w.to[0], w.to[1] = pgconn.NetworkAddress(cfg.Host, cfg.Port)
	w.url = fmt.Sprintf("host=%s port=5432 user=%s dbname=%s sslmode=disable", dir, cfg.User, cfg.Database)
	if cfg.Password != "" {
		w.url += " password='" + cfg.Password + "'"
	}
	w.all.Go(w.accept)
	t.Cleanup(w.close)
	return w
}

func (w *wire) accept() {
	for {
		client, err := w.listen.Accept()
		if err != nil {
			return
		}
		w.all.Go(func() { w.forward(client) })
	}
}

func (w *wire) forward(client net.Conn) {
	defer func() { _ = client.Close() }()
	var d net.Dialer
	server, err := d.DialContext(context.Background(), w.to[0], w.to[1])
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	p := &pair{client: client, server: server}
	w.mu.Lock()
	if w.closed || w.severs {
		w.mu.Unlock()
		return
	}
	p.silent = w.silent
	w.pairs[p] = struct{}{}
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		delete(w.pairs, p)
		w.mu.Unlock()
	}()
	var both sync.WaitGroup
	both.Go(func() { w.copy(p, server, client, &questions{n: &w.asked}) })
	both.Go(func() { w.copy(p, client, server, io.Discard) })
	both.Wait()
}

// copy hands on what one side sends, and its end. Somebody else sees it, too.
func (w *wire) copy(p *pair, to, from net.Conn, also io.Writer) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		w.mu.Lock()
		for p.silent && !w.closed {
			w.cond.Wait()
		}
		w.mu.Unlock()
		if n > 0 {
			_, _ = also.Write(buf[:n])
			if _, werr := to.Write(buf[:n]); werr != nil {
				err = errors.Join(err, werr)
			}
		}
		if err != nil {
			_ = to.Close()
			_ = from.Close()
			return
		}
	}
}

// sever breaks all connections and lets no other through, until mend.
func (w *wire) sever() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.severs = true
	for p := range w.pairs {
		_ = p.client.Close()
		_ = p.server.Close()
	}
}

// hush keeps back what is sent, without closing anything, until mend. Connections that are opened later are hushed as well, if all is set.
func (w *wire) hush(all bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.silent = all
	for p := range w.pairs {
		p.silent = true
	}
}

func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.severs, w.silent = false, false
	for p := range w.pairs {
		p.silent = false
	}
	w.cond.Broadcast()
}

func (w *wire) close() {
	_ = w.listen.Close()
	w.sever()
	w.mu.Lock()
	w.closed = true
	w.cond.Broadcast()
	w.mu.Unlock()
	w.all.Wait()
}

// questions counts the messages of a client that ask for an answer: Sync and Query. The first message of a connection has no type, all
// others have one byte before their length.
type questions struct {
	n     *atomic.Int64
	begun bool
	head  []byte // of the next message, as far as it was read
	skip  int    // bytes of a message that are still to come
}

func (q *questions) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		if q.skip > 0 {
			n := min(q.skip, len(rest))
			q.skip, rest = q.skip-n, rest[n:]
			continue
		}
		q.head, rest = append(q.head, rest[0]), rest[1:]
		kind := 0
		if q.begun {
			kind = 1
		}
		if len(q.head) < kind+4 {
			continue
		}
		if kind == 1 && (q.head[0] == 'S' || q.head[0] == 'Q') {
			q.n.Add(1)
		}
		q.skip = int(binary.BigEndian.Uint32(q.head[kind:])) - 4
		q.begun, q.head = true, q.head[:0]
	}
	return len(b), nil
}
