package pgtest

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestMajorOf(t *testing.T) {
	for text, want := range map[string]int{
		"postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n": 15,
		"postgres (PostgreSQL) 17beta1\n":                        17,
		"postgres (PostgreSQL) 18devel":                          18,
		"postgres (PostgreSQL) 9.6.24":                           9,
		"postgres (PostgreSQL) 13":                               13,
		"postgres (PostgreSQL) ":                                 0,
		"postgres 15":                                            0,
		"":                                                       0,
	} {
		got, err := majorOf(text)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d, %v, want %d", text, got, err, want)
		}
	}
}

// plant makes a program postgres that says a version, with an initdb beside it.
func plant(t *testing.T, dir, says string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, script := range map[string]string{"postgres": "#!/bin/sh\n" + says + "\n", "initdb": "#!/bin/sh\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "postgres")
}

func TestLook(t *testing.T) {
	if !possible {
		t.Skip("SKIPPED, NOT TESTED: this system has no servers")
	}
	dir := t.TempDir()
	say := func(version string) string { return "echo 'postgres (PostgreSQL) " + version + "'" }
	plant(t, filepath.Join(dir, "9", "bin"), say("9.6.1"))
	plant(t, filepath.Join(dir, "16", "bin"), say("16.2"))
	inPath := plant(t, filepath.Join(dir, "path"), say("14.1"))
	broken := plant(t, filepath.Join(dir, "broken", "bin"), "echo 'no such library' >&2; exit 127")
	link := filepath.Join(dir, "link")
	if err := os.Symlink(inPath, link); err != nil {
		t.Fatal(err)
	}
	patterns := []string{filepath.Join(dir, "*", "bin", "postgres")}

	inv := look(link, patterns)
	var majors []int
	for _, v := range inv.all {
		majors = append(majors, v.Major)
	}
	if fmt.Sprint(majors) != "[9 14 16]" {
		t.Errorf("found %v", majors)
	}
	for _, c := range []struct {
		inv  inventory
		ask  int
		want int
	}{{inv, 0, 14}, {inv, 9, 9}, {inv, 16, 16}, {look("", patterns), 0, 16}} {
		v, err := c.inv.choose(c.ask)
		if err != nil || v.Major != c.want {
			t.Errorf("version %d: %v, %v, want %d", c.ask, v, err, c.want)
		}
	}
	if v, err := inv.choose(14); err != nil || filepath.Base(v.Bin) != "path" {
		t.Errorf("behind a link: %v, %v", v, err)
	}
	if _, err := inv.choose(15); err == nil || errors.Is(err, errNoServer) {
		t.Errorf("a version that isn't there: %v", err)
	}
	if _, err := look("", nil).choose(0); !errors.Is(err, errNoServer) || !strings.Contains(err.Error(), "install PostgreSQL") {
		t.Errorf("nothing there: %v", err)
	}
	if _, err := look(broken, nil).choose(0); !errors.Is(err, errNoServer) || !strings.Contains(err.Error(), "no such library") {
		t.Errorf("one that does not work: %v", err)
	}
}

// A verdict is a test that only notes how it is ended.
type verdict struct {
	testing.TB

	skipped, failed string
}

func (v *verdict) Helper()                       {}
func (v *verdict) Skipf(format string, a ...any) { v.skipped = fmt.Sprintf(format, a...) }
func (v *verdict) Fatal(a ...any)                { v.failed = fmt.Sprint(a...) }

func TestGive(t *testing.T) {
	none := fmt.Errorf("%w: nothing there", errNoServer)
	for _, c := range []struct {
		ci   string
		err  error
		skip bool
	}{
		{"", none, true}, {"false", none, true}, {"true", none, !possible}, {"", errors.New("initdb: no space"), false},
	} {
		t.Setenv("CI", c.ci)
		v := &verdict{TB: t}
		give(v, c.err)
		if (v.skipped != "") != c.skip || (v.failed != "") == c.skip {
			t.Errorf("CI=%q, %v: skipped %q, failed %q", c.ci, c.err, v.skipped, v.failed)
		}
		if !strings.Contains(v.skipped+v.failed, c.err.Error()) {
			t.Errorf("CI=%q: %q says no reason", c.ci, v.skipped+v.failed)
		}
	}
}

func TestWithDatabase(t *testing.T) {
	for _, c := range [][3]string{
		{"postgres://u:p@h:1/x?sslmode=require", "y", "postgres://u:p@h:1/y?sslmode=require"},
		{"postgresql://h?dbname=x&user=u", "y", "postgresql://h/y?user=u"},
		{"host=h dbname=x", "y", "host=h dbname=x dbname='y'"},
		{"host=h", `it's \`, `host=h dbname='it\'s \\'`},
	} {
		s, err := foreign(c[0])
		if err != nil {
			t.Fatal(err)
		}
		if got := s.URL(c[1]); got != c[2] {
			t.Errorf("%q: %q, want %q", c[0], got, c[2])
		}
	}
	for _, dsn := range []string{"postgres://u:secret@h:port/x", "secret"} {
		if _, err := foreign(dsn); err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), envServer) {
			t.Errorf("%q: %v", dsn, err)
		}
	}
}

// workDir makes a directory for programs, which goes with the test.
func workDir(t *testing.T) string {
	t.Helper()
	if !possible {
		t.Skip("SKIPPED, NOT TESTED: this system has no servers")
	}
	dir, err := makeDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // it is in the temporary directory
	return dir
}

// A program that does not end is killed with all that it has started, of which one is its grandchild.
func TestProgram_DoesNotEnd(t *testing.T) {
	dir := workDir(t)
	for _, script := range []string{"sleep 3600", "sleep 3600 & sh -c 'sleep 3600; :' & sleep 3600", "trap '' TERM INT QUIT; sleep 3600; sleep 3600"} {
		p, err := launch(dir, os.Stderr, "/bin/sh", "-c", script)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.finish(100 * time.Millisecond); err == nil || err.Error() != "sh: still runs after 100ms" { // and nothing about what is left
			t.Errorf("%s: %v", script, err)
		}
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() //nolint:errcheck // it goes with the directory
	p, err := launch(dir, log, filepath.Join(dir, "none"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.finish(patience); err == nil || !strings.Contains(err.Error(), "127") {
		t.Errorf("a program that isn't there: %v", err)
	}
}

// That a program has ended is seen also by who has no time left to wait for it.
func TestProgram_HasEnded(t *testing.T) {
	dir := workDir(t)
	p, err := launch(dir, os.Stderr, "/bin/sh", "-c", "exec sleep 3600")
	if err != nil {
		t.Fatal(err)
	}
	if p.ended(0) {
		t.Error("it has ended, before it was told to")
	}
	if err := p.signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if !p.ended(patience) {
		t.Fatal("it goes on")
	}
	if !p.ended(0) {
		t.Error("it had ended, and goes on again")
	}
	_ = p.reap() // that it was killed is no news
}

// What is killed while it starts others leaves none of them.
func TestProgram_KilledWhileItForks(t *testing.T) {
	dir := workDir(t)
	const script = "sh -c 'i=0; while [ $i -lt 100 ]; do sleep 3600 & i=$((i+1)); done; wait' & wait"
	for i := range 8 {
		p, err := launch(dir, os.Stderr, "/bin/sh", "-c", script)
		if err != nil {
			t.Fatal(err)
		}
		after := time.Duration(i) * 3 * time.Millisecond
		if err := p.finish(after); err == nil || err.Error() != "sh: still runs after "+after.String() {
			t.Fatal(err)
		}
	}
}

// Both ways to learn whose child a process is tell the truth; one of them there has to be.
func TestProcesses(t *testing.T) {
	if !possible {
		t.Skip("SKIPPED, NOT TESTED: this system has no servers")
	}
	var errs []error
	for name, all := range map[string]func() (map[int]process, error){"/proc": processesInProc, "ps": processesByPS} {
		got, err := all()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if is, ok := got[os.Getpid()]; !ok || is.parent != os.Getppid() || is.still {
			t.Errorf("%s: of us %+v is told, and our parent is %d", name, is, os.Getppid())
		}
	}
	if len(errs) == 2 {
		t.Error(errors.Join(errs...))
	}
}

// What a server must not say is an error, not a panic, and takes no memory.
func TestSession_Answer(t *testing.T) {
	const ready = "Z\x00\x00\x00\x05I"
	for _, c := range [][2]string{
		{"D\x00\x00\x00\x0c\x00\x01\x00\x00\x00\x02ok" + ready, ""},
		{"D\x00\x00\x00\x0a\x00\x01\xff\xff\xff\xff" + ready, ""},
		{"D\x00\x00\x00\x06\x00\x00" + ready, ""},
		{"D\x00\x00\x00\x0a\x00\x01\x00\x00\x00\x02" + ready, "a row that ends"},
		{"D\x00\x00\x00\x07\x00\x01\x00" + ready, "a row that ends"},
		{"D\x7f\xff\xff\xff", "is none"},
		{"D\x00\x00\x00\x03", "is none"},
		{"D\x00\x00\x01\x00", "EOF"},
		{"", "EOF"},
		{"R\x00\x00\x00\x08\x00\x00\x00\x0a", "password"},
		{"R\x00\x00\x00\x04", "password"},
		{"G\x00\x00\x00\x04", "COPY"},
		{"E\x00\x00\x00\x19SERROR\x00Mno\x00C42\x00Dwhy\x00\x00" + ready, "ERROR: no (SQLSTATE 42): why"},
		{"E\x00\x00\x00\x05\x00" + ready, "SQLSTATE"},
	} {
		near, far := net.Pipe()
		s := &session{conn: near, in: bufio.NewReader(strings.NewReader(c[0]))}
		_, err := s.answer()
		if (err == nil) != (c[1] == "") || err != nil && !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%q: %v, want %q", c[0], err, c[1])
		}
		_ = errors.Join(near.Close(), far.Close())
	}
}
