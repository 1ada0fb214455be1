package pgtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ask queries a server that has to answer.
func ask(t *testing.T, s *Server, sql string) []string {
	t.Helper()
	rows, err := s.Query("", sql)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// hold opens a session in which a statement runs that does not end, and returns it when it does.
func hold(t *testing.T, s *Server) *session {
	t.Helper()
	c, err := connect(s.Socket(), "postgres", time.Now().Add(patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	if _, err := c.query("CREATE TABLE IF NOT EXISTS held (n int); BEGIN; LOCK held"); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestStart(t *testing.T) {
	a := Start(t, Options{Conf: map[string]string{"work_mem": "3MB", "cluster_name": `it's a \`}})
	b := Start(t, Options{Durable: true})
	for s, want := range map[*Server][]string{a: {"3MB", `it's a \`, "off"}, b: {"4MB", "", "on"}} {
		got := ask(t, s, "SELECT current_setting(n) FROM unnest('{work_mem,cluster_name,fsync}'::text[]) n")
		if !slices.Equal(got, want) {
			t.Errorf("settings %q, want %q", got, want)
		}
	}
	ask(t, a, "CREATE TABLE t (n int)")
	if got := ask(t, b, "SELECT to_regclass('t')"); !slices.Equal(got, []string{""}) {
		t.Errorf("two servers have one table: %q", got)
	}
	if err := a.Start(); err == nil {
		t.Error("started twice")
	}
}

func TestStart_Versions(t *testing.T) {
	needServer(t)
	for _, v := range Versions() {
		s := Start(t, Options{Version: v.Major})
		if got := ask(t, s, "SELECT current_setting('server_version_num')::int / 10000"); !slices.Equal(got, []string{strconv.Itoa(v.Major)}) {
			t.Errorf("%v: it is version %q", v, got)
		}
	}
}

func TestStart_Refuses(t *testing.T) {
	needServer(t)
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Version: 3}, "Options.Version: 3 is not on this machine"},
		{Options{Conf: map[string]string{"work mem": "1"}}, `"work mem" is no name`},
		{Options{Conf: map[string]string{"work_mem": "1\nfsync=off"}}, "work_mem: the value"},
		{Options{Conf: map[string]string{"work_mem": "much"}}, `invalid value for parameter "work_mem"`}, // the server's own words
	} {
		s, err := newServer(c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.o, err, c.want)
		}
		if s != nil {
			t.Error("a server beside the error")
		}
		if _, behind, ok := strings.Cut(fmt.Sprint(err), "the log in "); ok { // this one had got that far
			dir, _, _ := strings.Cut(behind, ":")
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("%s is left of a server that did not start: %v", dir, err)
			}
		}
	}
}

func TestServer_StopAndStart(t *testing.T) {
	s := Start(t, Options{})
	ask(t, s, "CREATE TABLE t (n int)")
	for _, mode := range []Mode{Fast, Smart, Immediate} {
		ask(t, s, "INSERT INTO t VALUES (1)")
		if mode != Smart {
			hold(t, s)
		}
		if err := s.Stop(mode); err != nil {
			t.Fatal(err)
		}
		if s.Up() {
			t.Errorf("%s: it is up", mode)
		}
		if _, err := s.Query("", "SELECT 1"); err == nil {
			t.Errorf("%s: it answers", mode)
		}
		if err := errors.Join(s.Stop(mode), s.Kill()); err == nil {
			t.Errorf("%s: stopped twice", mode)
		}
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Restart(Immediate); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, s, "SELECT count(*) FROM t"); !slices.Equal(got, []string{"3"}) {
		t.Errorf("%q rows, want 3", got)
	}
	if err := s.Stop(Mode(7)); err == nil || !strings.Contains(err.Error(), "Mode(7)") {
		t.Errorf("Stop(7): %v", err)
	}
}

func TestServer_Kill(t *testing.T) {
	s := Start(t, Options{Durable: true})
	ask(t, s, "CREATE TABLE t (n int)")
	for range 3 {
		ask(t, s, "INSERT INTO t VALUES (1)")
		c := hold(t, s)
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.query("SELECT 1"); err == nil {
			t.Error("a process of the server is left")
		}
		if s.Up() {
			t.Error("it is up")
		}
		if err := s.Restart(Fast); err != nil {
			t.Fatal(err)
		}
	}
	if got := ask(t, s, "SELECT count(*) FROM t"); !slices.Equal(got, []string{"3"}) {
		t.Errorf("%q rows, want 3", got)
	}
	if !strings.Contains(s.Log(), "was not properly shut down") {
		t.Errorf("the log tells of no recovery:\n%s", s.Log())
	}
	if err := s.Kill(); err != nil { // the end of the test has to cope with that
		t.Fatal(err)
	}
}

// A server that ends by itself is noticed.
func TestServer_EndsByItself(t *testing.T) {
	s := Start(t, Options{})
	if err := s.running.signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if !s.running.ended(patience) {
		t.Fatal("it goes on")
	}
	if s.Up() {
		t.Error("it is up")
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Query("", "SELECT 1"); err != nil {
		t.Error(err)
	}
}

func TestServer_Conf(t *testing.T) {
	s := Start(t, Options{Conf: map[string]string{"work_mem": "3MB"}})
	if err := s.Conf("work_mem", "5MB"); err != nil {
		t.Fatal(err)
	}
	if err := s.Conf("cluster_name", "it's"); err != nil { // which takes a restart
		t.Fatal(err)
	}
	if err := s.Restart(Fast); err != nil {
		t.Fatal(err)
	}
	got := ask(t, s, "SELECT current_setting(n) FROM unnest('{work_mem,cluster_name}'::text[]) n")
	if want := []string{"5MB", "it's"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for _, c := range [][3]string{
		{"no_such", "1", "unrecognized configuration parameter"},
		{"work_mem", "much", "invalid value"},
		{"work_mem; DROP TABLE t", "1", "is no name of a setting"},
		{"work_mem", "\n", "control character"},
	} {
		if err := s.Conf(c[0], c[1]); err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("Conf(%q, %q): %v, want %q", c[0], c[1], err, c[2])
		}
	}
	if err := s.Stop(Fast); err != nil {
		t.Fatal(err)
	}
	if err := s.Conf("work_mem", "5MB"); err == nil || !strings.Contains(err.Error(), "down") {
		t.Errorf("Conf while it is down: %v", err)
	}
}

// What was committed while a synchronous standby followed is there when that is promoted, though its primary was killed.
func TestServer_Standby(t *testing.T) {
	s := Start(t, Options{})
	ask(t, s, "CREATE TABLE t (n int)")
	idle := s.Standby(t, StandbyOptions{})
	f := s.Standby(t, StandbyOptions{Synchronous: true, Conf: map[string]string{"work_mem": "3MB"}})
	if got := ask(t, f, "SHOW work_mem"); !slices.Equal(got, []string{"3MB"}) {
		t.Errorf("a standby's own setting: %q", got)
	}
	if _, err := f.Query("", "INSERT INTO t VALUES (1)"); err == nil {
		t.Error("a standby takes writes")
	}
	if err := f.Restart(Immediate); err != nil { // it catches up again
		t.Fatal(err)
	}
	ask(t, s, "INSERT INTO t VALUES (1)")
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := f.Promote(); err != nil {
		t.Fatal(err)
	}
	ask(t, f, "INSERT INTO t VALUES (2)")
	if got := ask(t, f, "SELECT n FROM t ORDER BY n"); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("rows %q", got)
	}
	if err := f.Promote(); err == nil {
		t.Error("promoted twice")
	}
	if got := ask(t, idle, "SELECT pg_is_in_recovery()"); !slices.Equal(got, []string{"t"}) {
		t.Errorf("the other standby: %q", got)
	}
	if _, err := s.follower(StandbyOptions{}); err == nil {
		t.Error("a standby of a server that is down")
	}
}

func TestShared(t *testing.T) {
	t.Setenv(envServer, "") // one of ours, whoever set it
	s := Shared(t)
	if Shared(t) != s {
		t.Error("two servers")
	}
	var urls []string
	for range 2 {
		t.Run("", func(t *testing.T) { urls = append(urls, s.Database(t)) })
	}
	if urls[0] == urls[1] {
		t.Error("two tests have one database")
	}
	if got := ask(t, s, "SELECT datname FROM pg_database WHERE datname LIKE 'duly%'"); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
	for name, err := range map[string]error{
		"Start": s.Start(), "Stop": s.Stop(Fast), "Kill": s.Kill(), "Restart": s.Restart(Fast), "Conf": s.Conf("work_mem", "1MB"),
		"Promote": s.Promote(),
	} {
		if err == nil || !strings.Contains(err.Error(), "share it") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !s.Up() {
		t.Error("it is down")
	}
}

// A server that isn't ours, of which only a connection string is known.
func TestShared_Foreign(t *testing.T) {
	if _, err := exec.LookPath("psql"); err != nil {
		t.Skipf("SKIPPED, NOT TESTED: %v", err)
	}
	own := Start(t, Options{})
	s, err := foreign(own.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("database", func(t *testing.T) {
		url := s.Database(t)
		name := ask(t, own, "SELECT datname FROM pg_database WHERE datname LIKE 'duly%'")
		if len(name) != 1 || url != own.URL(name[0]) {
			t.Errorf("%q for the databases %q", url, name)
		}
		got, err := s.Query(name[0], "SELECT n FROM generate_series(1, 2) n")
		if err != nil || !slices.Equal(got, []string{"1", "2"}) {
			t.Errorf("%q, %v", got, err)
		}
	})
	if got := ask(t, own, "SELECT datname FROM pg_database WHERE datname LIKE 'duly%'"); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
	if _, err := s.Query("", "SELECT nothing"); err == nil || !strings.Contains(err.Error(), `column "nothing" does not exist`) {
		t.Errorf("a wrong statement: %v", err)
	}
	if err := s.Kill(); err == nil || !strings.Contains(err.Error(), envServer) {
		t.Errorf("Kill: %v", err)
	}
	if s.Log() != "" || s.Socket() != "" || !s.Up() {
		t.Errorf("log %q, socket %q, up %t", s.Log(), s.Socket(), s.Up())
	}
}
