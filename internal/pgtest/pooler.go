package pgtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// poolers are where systems keep pgbouncer that PATH does not lead to.
var poolers = []string{"/usr/sbin/pgbouncer", "/opt/homebrew/bin/pgbouncer", "/usr/local/bin/pgbouncer"}

var pgbouncer = sync.OnceValue(func() string {
	for _, name := range append([]string{"pgbouncer"}, poolers...) {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
})

var errNoPooler = errors.New("no transaction pooler: install pgbouncer (Debian: apt-get install pgbouncer)")

// poolerPort has as many digits as a server's, for the length of the socket's name.
const poolerPort = "6432"

// Pooler starts a pgbouncer before the server, which hands out its connections for one transaction at a time, and returns the connection
// string to a database by it. It ends with the test. As Start, it skips or fails the test where the machine has none.
func (s *Server) Pooler(t testing.TB, database string) string {
	t.Helper()
	path := pgbouncer()
	switch {
	case s.foreign != "":
		t.Skip("SKIPPED, NOT TESTED: a pooler is put before servers of our own only")
	case path != "" && possible:
	case os.Getenv("CI") == "true" && possible:
		t.Fatal(errNoPooler)
	default:
		t.Skipf("SKIPPED, NOT TESTED: %v", errNoPooler)
	}
	dir, err := s.pooler(t, path)
	if err != nil {
		t.Fatalf("start pgbouncer: %v", err)
	}
	return fmt.Sprintf("host=%s port=%s user=%s dbname=%s", quoteDSN(dir), poolerPort, superuser, quoteDSN(database))
}

// pooler starts one in a directory of its own, which it returns.
func (s *Server) pooler(t testing.TB, path string) (dir string, err error) {
	t.Helper()
	if dir, err = makeDir(); err != nil {
		return "", err
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	conf := fmt.Sprintf(`[databases]
* = host=%s port=%s user=%s
[pgbouncer]
listen_addr =
listen_port = %s
unix_socket_dir = %s
auth_type = any
pool_mode = transaction
max_client_conn = 500
default_pool_size = 10
`, s.dir, port, superuser, poolerPort, dir)
	ini := filepath.Join(dir, "pgbouncer.ini")
	if err := os.WriteFile(ini, []byte(conf), 0o644); err != nil { // another user reads it
		return "", err
	}
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	p, err := launch(dir, log, path, ini)
	if err != nil {
		return "", err
	}
	t.Cleanup(func() {
		if err := p.kill(); err != nil {
			t.Error(err)
		}
	})
	socket := filepath.Join(dir, ".s.PGSQL."+poolerPort)
	for end := time.Now().Add(patience); ; {
		c, err := connect(socket, "postgres", time.Now().Add(patience))
		if err == nil {
			c.close()
			return dir, nil
		}
		if p.ended(pause) || time.Now().After(end) {
			said, _ := os.ReadFile(filepath.Join(dir, "log")) // it adds to what is told
			return "", fmt.Errorf("%w: %s", err, said)
		}
	}
}
