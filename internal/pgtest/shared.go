package pgtest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// envServer is the variable that names a server for Shared.
const envServer = "DULY_TEST_POSTGRES"

// shared is the server of this process, started when the first test asks for it.
var shared = sync.OnceValues(func() (*Server, error) {
	if dsn := os.Getenv(envServer); dsn != "" {
		return foreign(dsn)
	}
	s, err := newServer(Options{Conf: map[string]string{"max_connections": "200"}}) // tests run beside one another, and some sessions are kept
	if err != nil {
		return nil, err
	}
	s.shared = true
	return s, nil
})

// Shared returns the server that all tests of this process share. The first call starts it, and it ends with the process. Where the
// environment has DULY_TEST_POSTGRES, a connection string, it is that server, whose user has to be allowed to make databases; it
// is asked by psql then. As Start, it skips or fails the test where there is no server.
//
// Tests work in databases of their own: see Database. The server can't be stopped, killed or set.
func Shared(t testing.TB) *Server {
	t.Helper()
	s, err := shared()
	if err != nil {
		give(t, err)
	}
	return s
}

// foreign is the server at a connection string.
func foreign(dsn string) (*Server, error) {
	if isURL(dsn) {
		if _, err := url.Parse(dsn); err != nil {
			return nil, errors.New(envServer + " is no URL, though it begins as one") // the error would show a password
		}
	} else if !strings.Contains(dsn, "=") {
		return nil, errors.New(envServer + " is neither postgres://user@host/database nor host=… user=… dbname=…")
	}
	return &Server{foreign: dsn}, nil
}

func isURL(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")
}

// quoteDSN returns a value as a connection string of keys and values has it.
func quoteDSN(value string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(value) + "'"
}

// withDatabase returns a connection string with another database.
func withDatabase(dsn, database string) string {
	if !isURL(dsn) {
		return dsn + " dbname=" + quoteDSN(database) // the last one counts
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return dsn // foreign has refused it
	}
	u.Path, u.RawPath = "/"+database, ""
	q := u.Query()
	q.Del("dbname")
	u.RawQuery = q.Encode()
	return u.String()
}

// queryByPsql runs statements at a server that may ask for anything: a password, TLS. Rows are lines.
func queryByPsql(dsn, database, sql string) ([]string, error) {
	path, err := exec.LookPath("psql")
	if err != nil {
		return nil, fmt.Errorf("ask the server of %s: %w; install PostgreSQL's client", envServer, err)
	}
	if database != "" {
		dsn = withDatabase(dsn, database)
	}
	text, err := printed(path, "-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1", "-d", dsn, "-c", sql)
	if err != nil {
		return nil, fmt.Errorf("ask the server of %s: %w", envServer, err)
	}
	text = strings.TrimSuffix(text, "\n")
	if text == "" {
		return nil, nil
	}
	return strings.Split(text, "\n"), nil
}

// Database makes a new, empty database and returns its connection string. It is dropped when the test has ended, with whatever is
// connected to it; a test that has failed shows what the server has logged meanwhile.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := "duly_test_" + strings.ToLower(rand.Text())
	if _, err := s.ask("postgres", "CREATE DATABASE "+name+" TEMPLATE template0"); err != nil {
		t.Fatal(s.failed("make a database", err))
	}
	before := s.logSize()
	t.Cleanup(func() {
		if t.Failed() && s.shared { // one of its own shows the log itself
			t.Logf("the end of what the server has logged since %s had its database:\n%s", t.Name(), s.logSince(before))
		}
		if !s.Up() {
			return // it takes the database with it
		}
		if _, err := s.ask("postgres", "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop the test's database: %v", err)
		}
	})
	return s.URL(name)
}
