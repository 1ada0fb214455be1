package pgtest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Keeper returns a connection string to a database of the shared server, by a keeper of sessions: one whose client has taken leave is
// reset, by DISCARD ALL, and kept for the next that begins with the same parameters, of this test or another, as by a pooler that hands
// out whole sessions. To start the process behind a new one is most of what a short test on a server takes. A client that ends without
// taking leave, in a transaction, before it was answered, or after a statement of its was cancelled takes its session with it.
//
// A kept session is one of the server's: a test that counts them, or looks for what remains of one, uses URL. The keeper ends with the test,
// whose clients have ended then. Of a server that is not the shared one, or is that of DULY_TEST_POSTGRES, it is URL.
func (s *Server) Keeper(t testing.TB, database string) string {
	t.Helper()
	if !s.shared {
		return s.URL(database)
	}
	dir, err := makeDir()
	if err != nil {
		t.Fatalf("make a directory for a keeper of sessions: %v", err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	k := &keeper{socket: s.Socket(), kept: &s.kept, open: map[net.Conn]bool{}, cancelled: map[string]bool{}}
	if k.listener, err = net.Listen("unix", filepath.Join(dir, filepath.Base(s.Socket()))); err != nil {
		t.Fatalf("start a keeper of sessions: %v", err)
	}
	k.running.Go(k.accept)
	t.Cleanup(k.end)
	return address(dir, database)
}

type keeper struct {
	socket   string
	listener net.Listener
	kept     *sessions
	running  sync.WaitGroup

	mu        sync.Mutex // guards what follows
	ended     bool
	open      map[net.Conn]bool // to clients that are served
	cancelled map[string]bool   // the keys of sessions that were told to cancel
}

func (k *keeper) accept() {
	for {
		client, err := k.listener.Accept()
		if err != nil {
			return // it is closed
		}
		k.opened(client)
		k.running.Go(func() {
			k.serve(client)
			k.closed(client)
			_ = client.Close() // when its session has ended or is as new, for which a client may wait
		})
	}
}

// lastWords is how long the clients of a keeper that ends may take for what they have said already: most have just left.
const lastWords = time.Second

func (k *keeper) opened(conn net.Conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.open[conn] = true
	if k.ended {
		_ = conn.SetDeadline(time.Now().Add(lastWords))
	}
}

func (k *keeper) closed(conn net.Conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.open, conn)
}

func (k *keeper) end() {
	k.mu.Lock()
	k.ended = true
	for conn := range k.open {
		_ = conn.SetDeadline(time.Now().Add(lastWords))
	}
	k.mu.Unlock()
	_ = k.listener.Close()
	k.running.Wait()
}

// What a client may ask in place of a version of the protocol.
const (
	askCancel = 80877102
	askTLS    = 80877103
	askGSS    = 80877104
)

func (k *keeper) serve(client net.Conn) {
	first, code, err := packet(client)
	for err == nil && (code == askTLS || code == askGSS) {
		if _, err = client.Write([]byte{'N'}); err == nil {
			first, code, err = packet(client)
		}
	}
	switch {
	case err != nil:
	case code == askCancel:
		k.cancel(first)
	default:
		c, err := k.session(client, first)
		if err != nil {
			return // the client sees its connection end
		}
		if _, err := client.Write(c.greeting); err == nil && c.pass(client) && !k.mayBeCancelled(c) && c.does("DISCARD ALL") == nil {
			k.kept.put(c)
		} else {
			c.hangUp()
		}
	}
}

// packet reads what a client begins with.
func packet(client net.Conn) (all []byte, code uint32, err error) {
	const most = 10_000
	all = make([]byte, 8, most)
	if _, err := io.ReadFull(client, all); err != nil {
		return nil, 0, err
	}
	size := binary.BigEndian.Uint32(all)
	if size < 8 || size > most {
		return nil, 0, fmt.Errorf("a beginning of %d bytes is none", size)
	}
	all = all[:size]
	_, err = io.ReadFull(client, all[8:])
	return all, binary.BigEndian.Uint32(all[4:]), err
}

// parameters are the version of the protocol and what else a client begins with, in order: drivers name them in any.
func parameters(first []byte) string {
	pairs := []string{string(first[4:8])}
	for pair := range slices.Chunk(strings.Split(string(first[8:]), "\x00"), 2) {
		pairs = append(pairs, strings.Join(pair, "="))
	}
	slices.Sort(pairs[1:])
	return strings.Join(pairs, "\x00")
}

// cancel hands on what cancels a statement.
func (k *keeper) cancel(first []byte) {
	k.mu.Lock()
	k.cancelled[string(first[8:])] = true
	k.mu.Unlock()
	conn, err := net.Dial("unix", k.socket)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write(first); err == nil {
		_, _ = io.Copy(io.Discard, conn) // until it was heard
	}
}

// mayBeCancelled says whether somebody has asked to cancel what the session does, which may come late.
func (k *keeper) mayBeCancelled(c *session) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.cancelled[c.key]
}

// session is one that was kept, or a new one. The client is told if the server refuses it.
func (k *keeper) session(client net.Conn, first []byte) (*session, error) {
	how := parameters(first)
	for c := k.kept.take(how); c != nil; c = k.kept.take(how) {
		if c.does("") == nil { // it lives
			return c, nil
		}
		c.hangUp()
	}
	conn, err := net.Dial("unix", k.socket)
	if err != nil {
		return nil, err
	}
	c := &session{conn: conn, in: bufio.NewReader(conn), how: how}
	if err := c.greet(first); err != nil {
		_, _ = client.Write(c.greeting)
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

// greet begins a session with a client's words, and keeps the answer.
func (s *session) greet(first []byte) error {
	return s.within(patience, func() error {
		if _, err := s.conn.Write(first); err != nil {
			return err
		}
		for {
			kind, body, err := s.message()
			if err != nil {
				return err
			}
			s.greeting = appendMessage(s.greeting, kind, body)
			switch kind {
			case 'E':
				return refusal(body)
			case 'K':
				s.key = string(body)
			case 'Z': // ready
				return nil
			}
		}
	})
}

// does has the server do a statement, whose rows do not matter.
func (s *session) does(sql string) error {
	return s.within(patience, func() error {
		_, err := s.query(sql)
		return err
	})
}

// within limits how long something may take that is said and heard. Without an error the next has all the time it needs.
func (s *session) within(d time.Duration, do func() error) error {
	if err := s.conn.SetDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return s.conn.SetDeadline(time.Time{})
}

// hangUp ends a session, and returns when the process behind it has ended: what it was told last may take effect until then.
func (s *session) hangUp() {
	if conn, ok := s.conn.(*net.UnixConn); ok && conn.CloseWrite() == nil && conn.SetDeadline(time.Now().Add(patience)) == nil {
		_, _ = io.Copy(io.Discard, conn)
	}
	_ = s.conn.Close()
}

// pass hands on what client and server say until one of them ends, and says whether the client has taken leave with nothing under way.
func (s *session) pass(client net.Conn) bool {
	past := time.Unix(1, 0)
	var asked, answered atomic.Int64
	over := make(chan error, 1)
	go func() {
		over <- s.answers(client, &answered)
		_ = client.SetReadDeadline(past) // asks ends, wherever it waits
		_ = s.conn.SetWriteDeadline(past)
	}()
	left := s.asks(client, &asked)
	_ = s.conn.SetReadDeadline(past) // answers ends, wherever it waits
	_ = client.SetWriteDeadline(past)
	err := <-over
	return left && errors.Is(err, os.ErrDeadlineExceeded) && asked.Load() == answered.Load()
}

// asks hands on what a client says, counts what is answered with that the server is ready, and tells whether the client took leave with all
// of it asked for.
func (s *session) asks(client net.Conn, asked *atomic.Int64) bool {
	in := bufio.NewReaderSize(client, 1<<14)
	for whole := true; ; {
		head, err := in.Peek(5)
		if err != nil {
			return false
		}
		switch head[0] {
		case 'X': // Terminate
			return whole
		case 'Q', 'S', 'F': // Query, Sync, FunctionCall
			asked.Add(1)
			whole = true
		default: // Sync is to follow
			whole = false
		}
		if _, err := io.CopyN(s.conn, in, 1+int64(binary.BigEndian.Uint32(head[1:]))); err != nil {
			return false
		}
	}
}

// answers hands on what the server says, and counts how often it was ready. Its error is the deadline's where no message was begun.
func (s *session) answers(client net.Conn, answered *atomic.Int64) error {
	out := bufio.NewWriterSize(client, 1<<14)
	for {
		if s.in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
		if _, err := s.in.Peek(1); err != nil {
			return err
		}
		kind, body, err := s.message()
		if err != nil {
			return fmt.Errorf("in a message: %v", err) //nolint:errorlint // it may be the deadline's
		}
		if kind == 'Z' {
			answered.Add(1)
		}
		if _, err := out.Write(appendMessage(nil, kind, body)); err != nil {
			return err
		}
	}
}
