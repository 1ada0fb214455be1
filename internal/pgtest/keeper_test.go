package pgtest

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// kept connects to a database by a keeper.
func kept(t *testing.T, address string) *session {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	c, err := connect(filepath.Join(u.Query().Get("host"), ".s.PGSQL."+port), strings.TrimPrefix(u.Path, "/"), time.Now().Add(patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.conn.Close() })
	return c
}

// rows runs a statement that has to succeed.
func (s *session) rows(t *testing.T, sql string) []string {
	t.Helper()
	all, err := s.query(sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return all
}

// leave takes leave, and returns when the keeper has done with the session.
func (s *session) leave(t *testing.T) {
	t.Helper()
	if _, err := s.conn.Write(appendMessage(nil, 'X', nil)); err != nil {
		t.Fatal(err)
	}
	if kind, _, err := s.message(); err == nil {
		t.Errorf("a client that has left hears %q", kind)
	}
}

const whichBackend = "SELECT pg_backend_pid()"

// What a client leaves is as new, and goes to the next that begins alike, of this test or another.
func TestKeeper_GivesAgain(t *testing.T) {
	s := Shared(t)
	marks := []string{
		"SELECT current_setting('work_mem')",
		"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
		"SELECT count(*) FROM pg_listening_channels()",
		"SELECT count(*) FROM pg_prepared_statements",
		"SELECT to_regclass('pg_temp.mine')",
	}
	var fresh []string
	c := kept(t, s.URL("postgres"))
	for _, ask := range marks {
		fresh = append(fresh, c.rows(t, ask)[0])
	}
	var backend []string
	for range 3 {
		t.Run("", func(t *testing.T) {
			address := s.Keeper(t, "postgres")
			for range 2 {
				c := kept(t, address)
				if got := c.rows(t, whichBackend); backend != nil && !slices.Equal(got, backend) {
					t.Errorf("it is session %s, want %s once more", got, backend)
				} else {
					backend = got
				}
				for i, ask := range marks {
					if got := c.rows(t, ask)[0]; got != fresh[i] {
						t.Errorf("%s: %q, and %q of a new session", ask, got, fresh[i])
					}
				}
				c.rows(t, "SET work_mem = '1MB'; SELECT pg_advisory_lock(7); LISTEN news; PREPARE p AS SELECT 1; CREATE TEMP TABLE mine (n int)")
				c.leave(t)
			}
		})
	}
	c.close()
}

// A session that may not be as new when it is reset goes with its client; the next has one of its own.
func TestKeeper_KeepsNoneInDoubt(t *testing.T) {
	s := Shared(t)
	for name, part := range map[string]func(t *testing.T, c *session){
		"without leave":    func(_ *testing.T, c *session) { _ = c.conn.Close() },
		"in a transaction": func(t *testing.T, c *session) { t.Helper(); c.rows(t, "BEGIN"); c.leave(t) },
		"before the answer": func(t *testing.T, c *session) {
			t.Helper()
			said := appendMessage(appendMessage(nil, 'Q', []byte("SELECT pg_sleep(1)\x00")), 'X', nil)
			if _, err := c.conn.Write(said); err != nil {
				t.Fatal(err)
			}
			if kind, _, err := c.message(); err == nil {
				t.Errorf("a client that has left hears %q", kind)
			}
		},
		"before it asked for all": func(t *testing.T, c *session) {
			t.Helper()
			if _, err := c.conn.Write(appendMessage(nil, 'P', []byte("\x00SELECT 1\x00\x00\x00"))); err != nil { // a Parse without its Sync
				t.Fatal(err)
			}
			c.leave(t)
		},
		"cancelled": func(t *testing.T, c *session) {
			t.Helper()
			cancel, err := net.Dial("unix", c.conn.RemoteAddr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = cancel.Close() }()
			packet := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(8+len(c.key))), askCancel)
			if _, err := cancel.Write(append(packet, c.key...)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, cancel); err != nil { // until it was heard
				t.Fatal(err)
			}
			c.leave(t)
		},
		"terminated while it is kept": func(t *testing.T, c *session) {
			t.Helper()
			backend := c.rows(t, whichBackend)[0]
			c.leave(t)
			other := kept(t, s.URL("postgres"))
			if got := other.rows(t, "SELECT pg_terminate_backend("+backend+")"); !slices.Equal(got, []string{"t"}) {
				t.Fatalf("terminate %s: %q", backend, got)
			}
			for len(other.rows(t, "SELECT pg_sleep(0.01) FROM pg_stat_activity WHERE pid = "+backend)) > 0 {
			}
			other.close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			address := s.Keeper(t, "postgres")
			c := kept(t, address)
			was := c.rows(t, whichBackend)
			part(t, c)
			if is := kept(t, address).rows(t, whichBackend); len(is) != 1 || slices.Equal(is, was) {
				t.Errorf("session %s is given, and %s was in doubt", is, was)
			}
		})
	}
}

// Clients that begin otherwise, as for another database, get no session of one another's; one that the server refuses hears why.
func TestKeeper_Begins(t *testing.T) {
	s := Shared(t)
	c := kept(t, s.Keeper(t, "postgres"))
	was := c.rows(t, whichBackend)
	c.leave(t)
	other := kept(t, s.Keeper(t, "template1"))
	if is := other.rows(t, whichBackend); slices.Equal(is, was) {
		t.Errorf("session %s has two databases", is)
	}
	other.close()
	for _, first := range []string{"user\x00a\x00database\x00b\x00\x00", "database\x00b\x00user\x00a\x00\x00"} { // drivers name them in any order
		if got, want := parameters([]byte("12345678"+first)), "5678\x00=\x00database=b\x00user=a"; got != want {
			t.Errorf("parameters %q, want %q", got, want)
		}
	}
	u, err := url.Parse(s.Keeper(t, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = connect(filepath.Join(u.Query().Get("host"), ".s.PGSQL."+port), "nowhere", time.Now().Add(patience))
	if err == nil || !strings.Contains(err.Error(), `database "nowhere" does not exist`) {
		t.Errorf("a database that is not there: %v", err)
	}
}

// A client that is open when the test ends is closed, and whoever asks for a keeper of another server gets that one itself.
func TestKeeper_Ends(t *testing.T) {
	s := Shared(t)
	var c *session
	t.Run("", func(inner *testing.T) { c = kept(t, s.Keeper(inner, "postgres")) })
	if _, err := c.query("SELECT 1"); err == nil {
		t.Error("a client outlives its keeper")
	}
	own := Start(t, Options{})
	if got, want := own.Keeper(t, "postgres"), own.URL("postgres"); got != want {
		t.Errorf("of a server of its own: %s, want %s", got, want)
	}
}

// As many sessions are kept as leave the server room for others, and what was used last is given first.
func TestSessions(t *testing.T) {
	var all sessions
	conns := make([]net.Conn, sessionsMost+3)
	for i := range conns {
		here, there := net.Pipe()
		conns[i] = there
		t.Cleanup(func() { _, _ = here.Close(), there.Close() })
		go func() { _, _ = there.Read(make([]byte, 5)) }() // the leave that it takes
		all.put(&session{conn: here, how: string(rune('a' + i%2))})
	}
	if len(all.free) != sessionsMost {
		t.Errorf("%d are kept, want %d", len(all.free), sessionsMost)
	}
	for i, there := range conns[:3] {
		if _, err := there.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the %dth, which was used first, is open: %v", i, err)
		}
	}
	last := all.free[len(all.free)-1]
	if got := all.take(last.how); got != last {
		t.Errorf("%v is given, want %v, which was used last", got, last)
	}
	if got := all.take("c"); got != nil {
		t.Errorf("%v is given to who begins otherwise", got)
	}
}
