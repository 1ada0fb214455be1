package pgtest

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	superuser = "duly"
	port      = "5432" // a part of the socket's name, nothing else
)

// Options of a server. The zero value is for ordinary tests.
type Options struct {
	// Version is the major version, one of Versions; 0 is the one that PATH leads to, or else the newest.
	Version int

	// Durable has the server sync what it writes, as a real one does. Otherwise it syncs nothing and is faster; what a kill leaves
	// is whole then too, because the system has all that was written, but a commit takes less time than it really would.
	Durable bool

	// Conf are settings, with the values as text, without quotes: "max_connections": "200". They win over this package's, which
	// are about fsync, sockets and where shared memory is, and lose to Conf, the method.
	Conf map[string]string
}

// A Mode is how a server is told to stop. The zero value is Fast.
type Mode int

// The ways to stop a server.
const (
	Fast      Mode = iota // ends the connections and writes a checkpoint
	Smart                 // waits until the last client has gone, and takes no new ones
	Immediate             // ends its processes and recovers at the next start, as after a crash
)

// String returns the word for m that PostgreSQL has.
func (m Mode) String() string {
	if m < Fast || m > Immediate {
		return fmt.Sprintf("Mode(%d)", int(m))
	}
	return [...]string{"fast", "smart", "immediate"}[m]
}

// A Server is a PostgreSQL server of this process, or the one that DULY_TEST_POSTGRES names. Its methods are safe for several
// goroutines; those that start, stop and set take turns.
type Server struct {
	version Version
	dir     string // with data, log and the socket
	foreign string // the connection string of a server that isn't ours
	shared  bool

	mu          sync.Mutex
	running     *program // nil while it is down
	standbys    int      // how many have followed it
	synchronous []string // the names of those that it waits for

	kept sessions // of a shared one
}

// Start starts a server, which is stopped and removed when the test has ended. It skips the test, or fails it with CI=true, where
// the machine has none; it fails it where the server does not start.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := newServer(o)
	if err != nil {
		give(t, err)
	}
	s.endWith(t)
	return s
}

// give ends a test that gets no server.
func give(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, errNoServer) && (os.Getenv("CI") != "true" || !possible) {
		t.Skipf("SKIPPED, NOT TESTED: %v", err)
		return
	}
	t.Fatal(err)
}

// endWith has the server end with a test, which shows the log if it has failed.
func (s *Server) endWith(t testing.TB) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of the log of the server in %s:\n%s", s.dir, s.Log())
		}
		if err := s.remove(); err != nil {
			t.Error(err)
		}
	})
}

// newServer makes a server and starts it.
func newServer(o Options) (*Server, error) {
	conf, err := confText(o.Conf)
	if err != nil {
		return nil, fmt.Errorf("Options.Conf: %w", err)
	}
	v, err := installed().choose(o.Version)
	if err != nil {
		return nil, err
	}
	s := &Server{version: v}
	err = s.raise(func() error {
		err := seedOf(v).plant(filepath.Join(s.dir, "data"), func() error {
			return s.run("initdb", "-D", "data", "-U", superuser, "--auth=trust", "--no-sync", "--locale=C", "--encoding=UTF8")
		})
		if err != nil {
			return err
		}
		own := "dynamic_shared_memory_type = mmap\n" // so that what a killed server leaves is in its directory
		if !o.Durable {
			own += "fsync = off\n"
		}
		return s.appendConf(own + conf)
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// raise makes the server's directory, has it filled, and starts the server. If any of it fails nothing is left.
func (s *Server) raise(fill func() error) (err error) {
	if s.dir, err = makeDir(); err != nil {
		return fmt.Errorf("make a directory for a server: %w", err)
	}
	if err = fill(); err == nil {
		err = s.Start()
	}
	if err != nil {
		err = errors.Join(err, s.remove())
	}
	return err
}

// makeDir makes a directory that the programs can use and whose sockets have short names: systems take 103 bytes.
func makeDir() (string, error) {
	const longest = len("/dulypg4294967295/.s.PGSQL." + port)
	for _, base := range []string{os.TempDir(), "/tmp"} {
		if len(base)+longest > 103 || !passable(base) {
			continue
		}
		dir, err := os.MkdirTemp(base, "dulypg")
		if err != nil {
			return "", err
		}
		if err := giveAway(dir); err != nil {
			return "", errors.Join(err, os.Remove(dir))
		}
		return dir, nil
	}
	return "", fmt.Errorf("neither %s nor /tmp has a short name and may be entered by every user", os.TempDir())
}

// run runs a program that ends by itself in the server's directory.
func (s *Server) run(program string, args ...string) error {
	p, err := s.launch(program, args...)
	if err != nil {
		return err
	}
	if err := p.finish(patience); err != nil {
		return s.failed("run "+program, err)
	}
	return os.Truncate(s.logPath(), 0) // what it said does not matter any more
}

func (s *Server) launch(name string, args ...string) (p *program, err error) {
	log, err := os.OpenFile(s.logPath(), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	return launch(s.dir, log, filepath.Join(s.version.Bin, name), args...)
}

// appendConf adds settings to those that the data has, after where this server is to listen.
func (s *Server) appendConf(text string) error {
	text = fmt.Sprintf("\nlisten_addresses = ''\nport = %s\nunix_socket_directories = %s\n%s", port, quoteConf(s.dir), text)
	f, err := os.OpenFile(filepath.Join(s.dir, "data", "postgresql.conf"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("write the settings: %w", err)
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write the settings: %w", err)
	}
	return nil
}

// Start starts the server again after Stop or Kill, and returns when it takes connections. It recovers what has to be recovered.
func (s *Server) Start() error {
	if err := s.steered("start"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.startLocked()
}

func (s *Server) startLocked() error {
	if s.upLocked() {
		return errors.New("start server: it runs")
	}
	p, err := s.launch("postgres", "-D", "data")
	if err != nil {
		return err
	}
	s.running = p
	err = s.awaitLocked("start server", func() error {
		c, err := connect(s.Socket(), "postgres", time.Now().Add(patience))
		if err == nil {
			c.close()
		}
		return err
	})
	if err != nil && s.running != nil {
		err = errors.Join(err, s.killLocked())
	}
	return err
}

// awaitLocked asks until there is no error, the server has ended, or patience has.
func (s *Server) awaitLocked(doing string, ask func() error) error {
	for end := time.Now().Add(patience); ; {
		err := ask()
		if err == nil {
			return nil
		}
		if s.running.ended(pause) {
			err = errors.Join(err, errors.New("it has ended"), s.running.reap())
			s.running = nil
			return s.failed(doing, err)
		}
		if time.Now().After(end) {
			return s.failed(doing, fmt.Errorf("not within %s: %w", patience, err))
		}
	}
}

// Stop stops the server and returns when all its processes are gone. An error of a Smart stop that waits for clients longer than
// two minutes leaves it running, without new clients.
func (s *Server) Stop(mode Mode) error {
	signals := map[Mode]os.Signal{Fast: syscall.SIGINT, Smart: syscall.SIGTERM, Immediate: syscall.SIGQUIT}
	if signals[mode] == nil {
		return fmt.Errorf("stop server: %s is none of Fast, Smart, Immediate", mode)
	}
	if err := s.steered("stop"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.upLocked() {
		return errors.New("stop server: it is down")
	}
	if err := s.running.signal(signals[mode]); err != nil {
		return fmt.Errorf("stop server: %w", err)
	}
	if !s.running.ended(patience) {
		return s.failed("stop server", fmt.Errorf("%s: it still runs after %s", mode, patience))
	}
	p := s.running
	s.running = nil
	if err := p.reap(); err != nil && mode != Immediate {
		return s.failed("stop server", err)
	}
	return nil
}

// Kill kills the server with all its processes at once, by SIGKILL, and returns when they are gone.
func (s *Server) Kill() error {
	if err := s.steered("kill"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.upLocked() {
		return errors.New("kill server: it is down")
	}
	return s.killLocked()
}

func (s *Server) killLocked() error {
	p := s.running
	if err := p.kill(); err != nil {
		return s.failed("kill server", err)
	}
	s.running = nil
	return nil
}

// Restart stops the server and starts it again. It starts also one that is down.
func (s *Server) Restart(mode Mode) error {
	if s.Up() || s.foreign != "" {
		if err := s.Stop(mode); err != nil {
			return err
		}
	}
	return s.Start()
}

// Up says whether the server's processes are there, all or some. That of DULY_TEST_POSTGRES is taken to be up.
func (s *Server) Up() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.foreign != "" || s.upLocked()
}

// upLocked notices also that the server has ended by itself.
func (s *Server) upLocked() bool {
	if s.running != nil && s.running.ended(time.Millisecond) {
		_ = s.running.reap() // its log says how
		s.running = nil
	}
	return s.running != nil
}

// steered refuses what would pull the server out from under others.
func (s *Server) steered(verb string) error {
	switch {
	case s.foreign != "":
		return fmt.Errorf("%s server: that of %s isn't ours; use Start, the function", verb, envServer)
	case s.shared:
		return fmt.Errorf("%s server: all tests of this process share it; use Start, the function", verb)
	}
	return nil
}

// Conf sets a setting, from now on and after restarts, and returns when the server has read it. Connections that are open take it
// when they do their next thing; settings that need a restart wait for one.
func (s *Server) Conf(key, value string) error {
	if err := s.steered("set " + key + " of the"); err != nil {
		return err
	}
	if _, err := confText(map[string]string{key: value}); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.confLocked(key, value)
}

func (s *Server) confLocked(key, value string) error {
	doing := fmt.Sprintf("set %s to %q", key, value)
	if !s.upLocked() {
		return errors.New(doing + ": the server is down")
	}
	before, err := s.Query("", "SELECT pg_conf_load_time()")
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if _, err := s.Query("", fmt.Sprintf("ALTER SYSTEM SET %s = '%s'", key, strings.ReplaceAll(value, "'", "''"))); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if err := s.running.signal(syscall.SIGHUP); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return s.awaitLocked(doing, func() error {
		now, err := s.Query("", "SELECT pg_conf_load_time()") // of a new connection: the server's
		if err == nil && slices.Equal(now, before) {
			err = errors.New("the server has not read it")
		}
		return err
	})
}

// confName is what the names of settings look like, those of extensions included.
var confName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$`)

// confText returns settings as lines of a configuration file.
func confText(conf map[string]string) (string, error) {
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(conf)) {
		if !confName.MatchString(key) {
			return "", fmt.Errorf("%q is no name of a setting; it would be letters, digits and underscores", key)
		}
		if strings.ContainsFunc(conf[key], func(r rune) bool { return r < ' ' }) {
			return "", fmt.Errorf("%s: the value %q has a control character", key, conf[key])
		}
		fmt.Fprintf(&text, "%s = %s\n", key, quoteConf(conf[key]))
	}
	return text.String(), nil
}

func quoteConf(value string) string {
	return "'" + strings.NewReplacer("'", "''", `\`, `\\`).Replace(value) + "'"
}

// URL returns the connection string of a database, for pgx and for libpq.
func (s *Server) URL(database string) string {
	if s.foreign != "" {
		return withDatabase(s.foreign, database)
	}
	return address(s.dir, database)
}

// address is the connection string of a database of whoever listens in a directory as a server does.
func address(dir, database string) string {
	u := url.URL{Scheme: "postgres", User: url.User(superuser), Path: "/" + database}
	u.RawQuery = url.Values{"host": {dir}, "port": {port}, "sslmode": {"disable"}}.Encode()
	return u.String()
}

// Socket returns the path of the server's socket, for a proxy before it. The server of DULY_TEST_POSTGRES has "".
func (s *Server) Socket() string {
	if s.foreign != "" {
		return ""
	}
	return filepath.Join(s.dir, ".s.PGSQL."+port)
}

// Query runs statements in a database and returns the first column of each row, a null as "". The database "" is the one that is
// always there. Each call is a connection of its own; what a test does often deserves a driver.
func (s *Server) Query(database, sql string) ([]string, error) {
	if s.foreign != "" {
		return queryByPsql(s.foreign, database, sql)
	}
	if database == "" {
		database = "postgres"
	}
	c, err := connect(s.Socket(), database, time.Now().Add(patience))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", database, err)
	}
	defer c.close()
	rows, err := c.query(sql)
	if err != nil {
		return nil, fmt.Errorf("query %s: %w", database, err)
	}
	return rows, nil
}

// ask is Query for what this package does again and again. A connection costs the server more than most statements, so those to a
// shared server, which nobody stops or takes leave of, are kept.
func (s *Server) ask(database, sql string) ([]string, error) {
	if !s.shared {
		return s.Query(database, sql)
	}
	until := time.Now().Add(patience)
	var err error
	c := s.kept.take(ownSession + database)
	if c != nil {
		err = c.conn.SetDeadline(until)
	} else {
		c, err = connect(s.Socket(), database, until)
	}
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", database, err)
	}
	rows, err := c.query(sql)
	if err != nil {
		c.close() // there may be more to read
		return nil, fmt.Errorf("query %s: %w", database, err)
	}
	s.kept.put(c)
	return rows, nil
}

// Log returns the end of what the server has printed, since it was made. That of DULY_TEST_POSTGRES is not known.
func (s *Server) Log() string { return s.logSince(0) }

func (s *Server) logPath() string { return filepath.Join(s.dir, "log") }

// logSince returns the end of what was printed after an offset.
func (s *Server) logSince(offset int64) string {
	if s.foreign != "" {
		return ""
	}
	const most = 16 << 10
	f, err := os.Open(s.logPath())
	if err != nil {
		return fmt.Sprintf("(no log: %v)", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	if _, err := f.Seek(max(offset, s.logSize()-most), io.SeekStart); err != nil {
		return fmt.Sprintf("(no log: %v)", err)
	}
	text, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return fmt.Sprintf("(no log: %v)", err)
	}
	return string(text)
}

func (s *Server) logSize() int64 {
	info, err := os.Stat(s.logPath())
	if err != nil {
		return 0
	}
	return info.Size()
}

// failed makes an error that shows the log, where we have it.
func (s *Server) failed(doing string, err error) error {
	if s.foreign != "" {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return fmt.Errorf("%s: %w; the end of the log in %s:\n%s", doing, err, s.dir, s.Log())
}

// remove ends the server, and removes what there was of it.
func (s *Server) remove() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.upLocked() {
		if err := s.running.signal(syscall.SIGQUIT); err == nil && s.running.ended(patience) {
			_ = s.running.reap() // nobody reads its data again
			s.running = nil
		} else if err := s.killLocked(); err != nil {
			return err
		}
	}
	dropSegment(filepath.Join(s.dir, "data"))
	return os.RemoveAll(s.dir)
}
