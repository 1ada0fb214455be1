package cli

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/target"
)

// before lets f see each batch of tasks that the world is sent, counted from 1, before the world does.
func (w *world) before(f func(n int64, r *http.Request)) {
	w.Helper()
	w.hangUp()
	inner := w.handler
	var n atomic.Int64
	w.handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "tasks:batch") {
			f(n.Add(1), r)
		}
		inner.ServeHTTP(rw, r)
	})
	w.serve()
}

// crontab writes a crontab.
func (w *world) crontab(path, text string) string {
	w.Helper()
	path = filepath.Join(w.dir, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		w.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
	return path
}

// outcomes counts what has become of lines.
func outcomes(stdout string) string {
	count := map[string]int{}
	for line := range strings.Lines(stdout) {
		count[strings.Split(line, "\t")[1]]++
	}
	var parts []string
	for outcome, n := range count {
		parts = append(parts, fmt.Sprintf("%d %s", n, outcome))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// TestCrontab_CutOff: an import that breaks between two batches says what it has done, and importing again does the rest and nothing twice,
// also where the answer of what was put is lost.
func TestCrontab_CutOff(t *testing.T) {
	const lines = 1200
	var text strings.Builder
	for i := range lines {
		fmt.Fprintf(&text, "%d %d * * * job %d\n", i%60, i%24, i%700) // five hundred come twice, at other times
	}
	for _, lost := range []string{"the request", "the answer"} {
		t.Run(lost, func(t *testing.T) {
			w := newWorld(t)
			file := w.crontab("tab", text.String())
			inner := w.handler
			var mended atomic.Bool
			w.before(func(n int64, r *http.Request) {
				if mended.Load() || n == 1 {
					return
				}
				if lost == "the answer" {
					inner.ServeHTTP(nowhere{}, r)
				}
				panic(http.ErrAbortHandler)
			})
			stdout, stderr, status := w.run("crontab", "import", "--zone", "UTC", "--prune", file)
			if got := outcomes(stdout); status != exitFailed || got != "1000 created" || !strings.HasPrefix(stderr, "duly: 1000 of 1200 lines are done: line 1001 of the crontab: ") ||
				!strings.HasSuffix(stderr, "\nhint: import it again: that does the rest, and leaves alone what is done\n") {
				t.Fatalf("status %d, %s, standard error %q", status, got, stderr)
			}
			mended.Store(true)
			want := "1000 unchanged, 200 created"
			if lost == "the answer" {
				want = "1200 unchanged"
			}
			if got := outcomes(w.ok("crontab", "import", "--zone", "UTC", "--prune", file)); got != want {
				t.Errorf("again: %s, want %s", got, want)
			}
			if got := outcomes(w.ok("crontab", "import", "--zone", "UTC", "--prune", file)); got != "1200 unchanged" {
				t.Errorf("a third time: %s", got)
			}
			if got := strings.Count(w.ok("ls", "tab-"), "\n"); got != lines {
				t.Errorf("there are %d tasks, want %d", got, lines)
			}
		})
	}
}

// nowhere is where an answer goes that is lost.
type nowhere struct{}

func (nowhere) Header() http.Header         { return http.Header{} }
func (nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (nowhere) WriteHeader(int)             {}

// TestCrontab_TwoAtOnce: of two imports that see nothing of each other until they put, the later one ends as if it had begun when the other was
// over.
func TestCrontab_TwoAtOnce(t *testing.T) {
	w := newWorld(t)
	file := w.crontab("tab", "0 1 * * * a\n0 2 * * * b\n0 2 * * * b 2\n")
	w.before(func(n int64, _ *http.Request) {
		if n > 1 {
			return
		}
		if err := os.WriteFile(file, []byte("0 1 * * * a\n0 3 * * * b\n"), 0o600); err != nil {
			t.Error(err)
		}
		stdout, stderr, status := w.run("crontab", "import", "--zone", "UTC", file) //nolint:contextcheck // it stands for another process
		if got := outcomes(stdout); status != exitOK || got != "2 created" || stderr != "" {
			t.Errorf("the first: status %d, %s, standard error %q", status, got, stderr)
		}
	})
	stdout := w.ok("crontab", "import", "--zone", "UTC", file)
	var got []string
	for line := range strings.Lines(stdout) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		got = append(got, fields[1]+" "+fields[4])
	}
	if want := []string{"unchanged a", "updated b", "created b 2"}; !slices.Equal(got, want) {
		t.Errorf("the second: %q, want %q", got, want)
	}
}

// TestCrontab_OthersName: a name that has a task of something else is left alone, whatever its kind and whoever is faster.
func TestCrontab_OthersName(t *testing.T) {
	w := newWorld(t)
	file := w.crontab("tab", "0 1 * * * a\n0 2 * * * b\n")
	name := strings.Split(w.ok("crontab", "import", "--zone", "UTC", file), "\t")[2]
	w.ok("cancel", "--tag", "crontab:tab", "--yes")
	hour := later().In
	w.put(name, api.Spec{HTTP: &target.Callback{URL: "https://example.org/"}, In: hour, AnyKind: true})
	stdout, stderr, status := w.run("crontab", "import", "--zone", "UTC", file)
	if got := outcomes(stdout); status != exitConflict || got != "1 created, 1 refused" || stderr != "" {
		t.Errorf("status %d, %s, standard error %q", status, got, stderr)
	}
}

// TestCrontab_SameName: two crontabs whose files are called the same are told apart, and neither is taken for the other.
func TestCrontab_SameName(t *testing.T) {
	w := newWorld(t)
	one, two := w.crontab("one/tab", "0 1 * * * a\n"), w.crontab("two/Tab", "0 1 * * * b\n")
	w.ok("crontab", "import", "--zone", "UTC", one)
	stdout, stderr, status := w.run("crontab", "import", "--zone", "UTC", "--prune", two)
	const hint = "hint: --name NAME tells two crontabs apart; --name tab says that this is the same\n"
	if want := "duly: the tasks of the crontab tab were imported from " + one + ": nothing was put\n" + hint; status != exitConflict || stdout != "" || stderr != want {
		t.Errorf("status %d, standard output %q, standard error %q, want %q", status, stdout, stderr, want)
	}
	if got := outcomes(w.ok("crontab", "import", "--zone", "UTC", "--prune", "--name", "other", two)); got != "1 created" {
		t.Errorf("by another name: %s", got)
	}
	if got := outcomes(w.ok("crontab", "import", "--zone", "UTC", "--prune", one)); got != "1 unchanged" {
		t.Errorf("the first again: %s", got)
	}
	// Standard input is a place like any other.
	p, told := w.process("crontab", "import", "--zone", "UTC", "-"), &strings.Builder{}
	p.Stdin, p.Stderr = strings.NewReader("0 1 * * * a\n"), told
	if status := Run(p); status != exitOK {
		t.Errorf("standard input: status %d, standard error %q", status, told)
	}
	_, stderr, status = w.run("crontab", "import", "--zone", "UTC", w.crontab("crontab", "0 1 * * * a\n"))
	if want := " were imported from standard input: nothing was put\n"; status != exitConflict || !strings.Contains(stderr, want) {
		t.Errorf("a file as standard input: status %d, standard error %q, want %q", status, stderr, want)
	}
	// Said to be the same, from wherever, it is.
	moved := w.crontab("three/tab", "0 1 * * * a\n")
	for range 2 {
		if got := outcomes(w.ok("crontab", "import", "--zone", "UTC", "--name", "tab", moved)); got != "1 unchanged" {
			t.Errorf("moved: %s", got)
		}
	}
}

// TestCrontab_LongPath: a path that is no tag is told apart from others all the same.
func TestCrontab_LongPath(t *testing.T) {
	w := newWorld(t)
	long := strings.Repeat("long/", 60)
	one, two := w.crontab(long+"one/tab", "0 1 * * * a\n"), w.crontab(long+"two/tab", "0 1 * * * a\n")
	w.ok("crontab", "import", "--zone", "UTC", one)
	if got := outcomes(w.ok("crontab", "import", "--zone", "UTC", one)); got != "1 unchanged" {
		t.Errorf("again: %s", got)
	}
	if _, stderr, status := w.run("crontab", "import", "--zone", "UTC", two); status != exitConflict || !strings.Contains(stderr, "imported from sha256:") {
		t.Errorf("status %d, standard error %q", status, stderr)
	}
}

// TestCrontab_Missing: a shell and a directory that are not there are told of the line that names them, once, by lint and by import.
func TestCrontab_Missing(t *testing.T) {
	w := newWorld(t)
	file := w.crontab("tab", "HOME=/\nSHELL=/bin/sh\n0 1 * * * a\nSHELL="+w.dir+"/no\n0 2 * * * b\n0 3 * * * c\nHOME="+w.dir+"/tab\nSHELL="+w.dir+"\n0 4 * * * d\n"+
		"HOME="+w.dir+"/tab/x\n")
	want := file + `:4: warning: SHELL "` + w.dir + `/no": there is no such program here: commands fail that run with it` + "\n" +
		file + `:7: warning: HOME "` + w.dir + `/tab": there is no such directory here: commands fail that run with it` + "\n" +
		file + `:8: warning: SHELL "` + w.dir + `": there is no such program here: commands fail that run with it` + "\n"
	if got := w.ok("crontab", "lint", "--zone", "UTC", file); got != want {
		t.Errorf("lint:\n%swant\n%s", got, want)
	}
	stdout, stderr, status := w.run("crontab", "import", "--zone", "UTC", file)
	lines := slices.Sorted(strings.Lines(stderr))
	if got := strings.Join(lines, ""); got != want || status != exitOK || outcomes(stdout) != "4 created" {
		t.Errorf("import: status %d, %s\n%swant\n%s", status, outcomes(stdout), got, want)
	}
}

// TestCrontab_DropIn: of a file in cron.d lint says that cron passes it over by its name.
func TestCrontab_DropIn(t *testing.T) {
	w := newWorld(t)
	file := w.crontab("cron.d/backup.sh", "# no line\n")
	if got, want := w.ok("crontab", "lint", "--system", "--zone", "UTC", file), file+":1: warning: Debian's cron passes over "; !strings.HasPrefix(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := w.ok("crontab", "lint", "--zone", "UTC", file); got != "" {
		t.Errorf("without --system: %q", got)
	}
	_, stderr, status := w.run("crontab", "lint", "--zone", "UTC", filepath.Dir(file))
	if status != exitUsage || !strings.Contains(stderr, "\nhint: one file is one crontab: ") {
		t.Errorf("of a directory: status %d, standard error %q", status, stderr)
	}
}
