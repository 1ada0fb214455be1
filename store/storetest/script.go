package storetest

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
)

//go:embed testdata/*.txt
var scriptFiles embed.FS

// scriptStart is what a script's clock shows at first. Scripts write instants as what has passed since then.
var scriptStart = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// Scripts runs the timeline scripts of this package on a store, each as a subtest with its file's name.
//
// A script is a text in which lines at the margin say what happens, and the indented lines below say what the store answers:
//
//	put tea in 5m kind=mail
//	  created tea g1 mail next 5m
//	claim tea
//	  refused tea: not due yet
//	advance 5m
//	claim tea
//	  claimed tea for 5m attempt 1 fence f1
//
// Instants are written as what has passed since the script began. The generations of a name are numbered g1, g2 and so on in the
// order they were seen, and its fences f1, f2, because stores may choose the numbers; one that does not rise is told as such.
// Lines that begin with # are comments. Rows of one call are separated by semicolons. [ScriptDir] tells the words.
func Scripts(t *testing.T, o Options) {
	t.Helper()
	runScripts(t, o, scriptFiles, "testdata", nil)
}

// ScriptDir runs the scripts of a directory, its files *.txt. With rewrite it writes into them what the store answers, to be
// reviewed as a difference, instead of comparing; lines that are no script still fail the test.
//
// Of time: advance D, clock +D (the wall clock is stepped, forward or back), kill (the process dies and another opens the store),
// restart (closed and opened), close. Of tasks, where T is an instant and D a duration such as 1d12h or 250ms:
//
//	put NAME in D | at T [jitter D] [kind=K] [payload=P] [schedule=S] [recurring] [keep | fail | keep-time | earliest | debounce]
//	    [max-wait D] [if-gen=G] [if-absent] [if-pending] [any-kind] [tags=A,B] [limit=L] [priority=N] [accepted T]
//	claim NAME [gen=G] [for T] [as T] [missed=N] [next T] [lease D] [not-after T] [overlap] [first-start] [owner=W]
//	renew NAME [fence=F] [lease D]
//	settle NAME done | dead | cancelled [fence=F] [next T] [again D] [end] [why=R]
//	retry | snooze | release NAME in D | at T [fence=F] [why=R]
//	cancel NAME [if-gen=G] [stop] [why=R]
//	move NAME in D | at T [schedule=S], pause NAME, resume NAME [next T] [missed=N] [through T], run NAME [in D | at T],
//	skip NAME [for T] [expired] [through T] [missed=N] [next T], rescue NAME [dead] [fence=F] [in D | at T]
//	    [again D], bury NAME [gen=G] [for T] [next T] [again D], stop NAME [gen=G] [for T] [again D], redrive NAME [gen=G] [for T] [in D | at T],
//	    all of them with [if-gen=G] [why=R]
//	get NAME..., list [state=S] [kind=K] [tag=T] [ns=N] [all] [prefix=P] [paused] [from T] [until T] [limit=N],
//	due [until T] [limit=N], history [NAME] [newest] [since T] [limit=N], trim [history T] [max=N] [dead T], stats
//
// What is left out of claim, settle and the like is what a caller would take: the run that waits, or the next occurrence; the
// last lease; the attempt that runs.
func ScriptDir(t *testing.T, o Options, dir string, rewrite bool) {
	t.Helper()
	write := func(name, text string) error { return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644) }
	if !rewrite {
		write = nil
	}
	runScripts(t, o, os.DirFS(dir), ".", write)
}

func runScripts(t *testing.T, o Options, fsys fs.FS, dir string, write func(name, text string) error) {
	t.Helper()
	names, err := fs.Glob(fsys, path.Join(dir, "*.txt"))
	if err != nil || len(names) == 0 {
		t.Fatalf("scripts: found %d in %s: %v", len(names), dir, err)
	}
	for _, name := range names {
		base := path.Base(name)
		t.Run(strings.TrimSuffix(base, ".txt"), func(t *testing.T) {
			switch reason := o.Skip["Scripts/"+strings.TrimSuffix(base, ".txt")]; {
			case reason != "":
				t.Skip("left out: " + reason)
			case o.Shared && base == "restart-leases.txt":
				t.Skip("left out: leases of a shared store outlast a process")
			}
			text, err := fs.ReadFile(fsys, name)
			if err != nil {
				t.Fatal(err)
			}
			got, err := o.script(t, string(text))
			switch {
			case err != nil:
				t.Fatalf("%s:%v", name, err)
			case write != nil && got != string(text):
				if err := write(base, got); err != nil {
					t.Fatal(err)
				}
				t.Logf("%s is rewritten", base)
			case got != string(text):
				t.Errorf("%s: the store does not answer as the script says (-script +store):\n%s", name, cmp.Diff(string(text), got))
			}
		})
	}
}

// script runs the text and returns it with what the store answers. An error begins with the line's number.
func (o *Options) script(t testing.TB, text string) (string, error) {
	t.Helper()
	clk := clock.NewManual(scriptStart)
	e := &env{TB: t, ctx: t.Context(), o: o, clk: clk, home: o.New(t, clk)}
	e.open()
	x := &script{env: e, gens: newLabels("g"), fences: newLabels("f"), leases: map[store.Key][]scriptLease{}, seen: map[store.Key]*store.Task{}}
	var out strings.Builder
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
			continue // an answer, which the store gives anew
		}
		out.WriteString(line + "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		answer, err := x.line(line)
		if err != nil {
			return "", fmt.Errorf("%d: %s: %w", i+1, line, err)
		}
		for _, a := range answer {
			out.WriteString("  " + a + "\n")
		}
	}
	if !x.closed {
		Invariants(t, x.s)
	}
	if err := x.s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	return out.String(), nil
}

// A script is one that runs.
type script struct {
	*env
	closed       bool
	gens, fences *labels
	leases       map[store.Key][]scriptLease // in the order they were taken
	seen         map[store.Key]*store.Task   // as last claimed from
}

type scriptLease struct {
	id    store.RunID
	fence int64
}

// line runs one line and returns the answer. The error is about the line; what the store refuses is an answer.
func (x *script) line(line string) ([]string, error) {
	verb, rows, err := parseLine(line)
	if err != nil {
		return nil, err
	}
	run, ok := scriptVerbs[verb]
	if !ok {
		return nil, fmt.Errorf("no such verb: %s", verb)
	}
	var bad error
	for i := range rows {
		rows[i].x, rows[i].bad = x, &bad
		if err := rows[i].check(verb); err != nil {
			return nil, err
		}
	}
	if !run.rows && len(rows) > 1 {
		return nil, fmt.Errorf("%s takes no second row", verb)
	}
	answer, err := run.do(x, verb, rows, &bad)
	switch {
	case bad != nil:
		return nil, bad
	case err != nil:
		return []string{"error: " + refusal(err)}, nil
	}
	return answer, nil
}

// labels gives the numbers of a name short names, in the order they are seen.
type labels struct {
	letter string
	of     map[store.Key][]int64
}

func newLabels(letter string) *labels { return &labels{letter: letter, of: map[store.Key][]int64{}} }

// label returns a number's name. A new number that is not greater than those before it says so.
func (l *labels) label(k store.Key, n int64) string {
	if n == 0 {
		return l.letter + "0"
	}
	old := l.of[k]
	for i, o := range old {
		if o == n {
			return fmt.Sprintf("%s%d", l.letter, i+1)
		}
	}
	l.of[k] = append(old, n)
	name := fmt.Sprintf("%s%d", l.letter, len(old)+1)
	for _, o := range old {
		if o > n {
			return name + "(does not rise)"
		}
	}
	return name
}

// number returns the number of a label.
func (l *labels) number(k store.Key, label string) (int64, error) {
	for i, n := range l.of[k] {
		if label == fmt.Sprintf("%s%d", l.letter, i+1) {
			return n, nil
		}
	}
	if label == l.letter+"0" {
		return 0, nil
	}
	return 0, fmt.Errorf("%s has no %s yet", k, label)
}
