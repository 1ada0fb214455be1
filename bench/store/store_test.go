package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/bench/runs"
)

// TestMain lets the test binary be the child that the harness starts, as the program is.
func TestMain(m *testing.M) { runs.TestMain(childVariable, asChild, m.Run) }

// TestQuick runs every line on every engine at a small size and checks that each cell has what its line shows.
func TestQuick(t *testing.T) {
	opts, err := parseFlags([]string{"-quick"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	results, err := measureAll(t.Context(), t.TempDir(), opts, runs.Progress{W: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	rep := report{results: results}
	if problems := rep.problems(); len(problems) > 0 {
		t.Errorf("problems:\n%s", strings.Join(problems, "\n"))
	}
	for _, l := range plan() {
		for _, name := range l.engines {
			checkCell(t, rep.find(l, name), l, name)
		}
	}
}

// fromProc are the figures that only Linux tells.
var fromProc = []string{keyRSS, keyPeak, keyWritten}

// checkCell checks that a cell has every figure of its line, and that the figures can be true.
func checkCell(t *testing.T, r *result, l line, engine string) {
	t.Helper()
	if r == nil || len(r.Samples) != 1 {
		t.Errorf("%s on %s: no sample", l.name, engine)
		return
	}
	v := r.Samples[0]
	for _, f := range l.figures {
		if x, ok := v[f.key]; (!ok || x <= 0) && !slices.Contains(fromProc, f.key) {
			t.Errorf("%s on %s: %s = %v, want more than 0", l.name, engine, f.key, v[f.key])
		}
	}
	if v[keyTasks] != float64(l.quick) {
		t.Errorf("%s on %s: %v tasks, want %d", l.name, engine, v[keyTasks], l.quick)
	}
	if _, ok := v[keyWant]; !ok {
		t.Errorf("%s on %s: nothing was counted", l.name, engine)
	}
	if v[keyP50] > v[keyP99] || v[keyP99] > v[keyMax] || v[keyOpened] > v[keyFire] {
		t.Errorf("%s on %s: figures out of order: %v", l.name, engine, v)
	}
}

func TestRunWritesReport(t *testing.T) {
	dir, path, profiles := t.TempDir(), filepath.Join(t.TempDir(), "docs", "store.md"), t.TempDir()
	args := []string{"-quick", "-rows", "14", "-engines", "duly,bbolt", "-n", "300", "-profiles=" + profiles, "-out", path, "-dir=" + dir}
	var out bytes.Buffer
	if err := run(t.Context(), args, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	first := readText(t, path)
	for _, want := range []string{
		"A quick run", "arguments: -quick -rows 14 -engines duly,bbolt -n 300 -profiles=", "## Machine and settings", "fdatasync of 20 appends",
		"## Targets", "## Row 14: ", "| 14 | 300 | schedules per second | ", "| bbolt | v", "## Observations\n\nNone yet.",
	} {
		if !strings.Contains(first, want) {
			t.Errorf("report lacks %q:\n%s", want, first)
		}
	}
	if strings.Contains(first, "## Row 15") {
		t.Errorf("report has what was not measured:\n%s", first)
	}
	note := "## Observations\n\nThe moon was full.\n"
	if err := os.WriteFile(path, []byte("old\n"+note), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), args, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	if second := readText(t, path); !strings.HasSuffix(second, note) || strings.HasPrefix(second, "old") {
		t.Errorf("a second run wrote:\n%s", second)
	}
	if profile, err := os.Stat(filepath.Join(profiles, "calls-duly-300.pprof")); err != nil || profile.Size() == 0 {
		t.Errorf("profile: %v, %v", profile, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestCut lets the budget end at once: what was reached is reported, and is no problem.
func TestCut(t *testing.T) {
	opts, err := parseFlags([]string{"-quick", "-lines", "batch,fire", "-engines", "sqlite", "-n", "100000000", "-budget", "300ms"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	results, err := measureAll(t.Context(), t.TempDir(), opts, runs.Progress{W: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	rep := report{results: results}
	if problems := rep.problems(); len(problems) > 0 {
		t.Errorf("problems:\n%s", strings.Join(problems, "\n"))
	}
	l, _ := findLine("batch")
	if rows := rep.rowsOf(l); len(rows) == 0 || !strings.Contains(rows[0].theirs, "(cut at ") || rows[0].n != "100 M" {
		t.Errorf("rows = %+v, want a cut", rows)
	}
}

func TestBrokenChildIsAProblem(t *testing.T) {
	b := &bench{root: t.TempDir(), o: options{count: 2, budget: time.Second}}
	l, _ := findLine("calls")
	r := b.cell(l, engineSpec{name: "nobody"})
	if err := b.measure(t.Context(), runs.Progress{W: io.Discard}, "", []*result{r}); err != nil {
		t.Fatal(err)
	}
	if problems := (report{results: []*result{r}}).problems(); r.Problem == "" || len(problems) != 1 {
		t.Errorf("problem %q, problems %q, want one", r.Problem, problems)
	}
}

func TestFlags(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"-rows 13", `row "13": want one of 14, 17, 15, 16, 18, 18b`},
		{"-engines etcd", `engine "etcd": want one of duly, sqlite, bbolt`},
		{"-lines tea", `line "tea": want one of calls, batch, fire, start-clean, start-killed, slow-sync`},
		{"-count 0", "count 0, peer-count 1: want at least 1"},
		{"-n -1", "n -1: want 0 or more"},
		{"-budget 0s", "budget 0s: want more than 0"},
		{"more", `unexpected argument "more"`},
	} {
		if _, err := parseFlags(strings.Fields(tc.args), io.Discard); err == nil || err.Error() != tc.want {
			t.Errorf("%s: error %v, want %s", tc.args, err, tc.want)
		}
	}
	o, err := parseFlags(strings.Fields("-rows 15,17 -n 5"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, l := range plan() {
		if l.in(o) {
			lines = append(lines, l.name)
		}
	}
	if diff := cmp.Diff([]string{"calls", "batch"}, lines); diff != "" {
		t.Errorf("lines of rows 15 and 17 (-want +got):\n%s", diff)
	}
}

// TestEveryRow holds the plan to the targets: rows 14 to 18b, each with a goal that speaks.
func TestEveryRow(t *testing.T) {
	goals := make(map[string]int)
	for _, l := range plan() {
		for _, f := range l.figures {
			if f.goal.text != "" {
				goals[l.rowOf(f)]++
			}
		}
	}
	for _, row := range []string{"14", "15", "16", "17", "18", "18b"} {
		if goals[row] == 0 {
			t.Errorf("row %s has no goal", row)
		}
	}
}

func TestCompare(t *testing.T) {
	l := line{
		row: "14", name: "x", engines: everyEngine,
		figures: []figure{
			{key: "a", title: "A", unit: "us", goal: goal{text: ">= 50", limit: 50, least: true}},
			{row: "17", key: "b", title: "B", goal: goal{text: "<= 3", limit: 3, from: 20}},
		},
	}
	cell := func(engine string, samples ...values) *result {
		e, _ := findEngine(engine)
		return &result{line: l, engine: e, n: 10, Cell: runs.Cell{Samples: samples}}
	}
	rep := report{results: []*result{
		cell(engineDuly, values{"a": 4000, "b": 4}, values{"a": 6000, "b": 4}, values{"a": 5000, "b": 4}),
		cell(engineSQLite, values{"a": 1000, "b": 0, keyTasks: 7}),
		cell(engineBolt),
	}}
	want := []row{
		{"14", "10", "A", "5,000 us [4,000-6,000]", "SQLite, modernc.org/sqlite", "1,000 us (cut at 7)", "5.00x", ">= 50", "met"},
		{"14", "10", "A", "5,000 us [4,000-6,000]", "bbolt", "not measured", "", "", ""},
		{"17", "10", "B", "4", "SQLite, modernc.org/sqlite", "0 (cut at 7)", "", "", ""},
		{"17", "10", "B", "4", "bbolt", "not measured", "", "", ""},
	}
	if diff := cmp.Diff(want, rep.rowsOf(l), cmp.AllowUnexported(row{})); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	for n, met := range map[int]bool{3: true, 4: false} {
		if g := l.figures[1].goal; g.holds(19) || !g.holds(20) || g.met(float64(n)) != met {
			t.Errorf("goal %+v of %d", g, n)
		}
	}
}

func TestItems(t *testing.T) {
	seen := make(map[string]bool)
	for i := range uint64(1000) {
		x := makeItem(i, 1)
		if n := len(x.name) + len(x.payload) + len(itemKind) + len(itemSchedule); n != 235 {
			t.Fatalf("task %d has %d bytes, want 235: %q %q", i, n, x.name, x.payload)
		}
		if bytes.ContainsRune(x.payload, '#') || seen[x.name] || seen[string(x.payload)] {
			t.Fatalf("task %d is like another, or not whole: %q %q", i, x.name, x.payload)
		}
		seen[x.name], seen[string(x.payload)] = true, true
	}
}

// TestSlowFS holds every kind of sync to its wait.
func TestSlowFS(t *testing.T) {
	waits := 0
	fsys := slowFS{FS: vfs.NewMem(), wait: func() { waits++ }}
	f, err := fsys.Create("f", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := fsys.OpenDir("")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.SyncData(), dir.Sync()); err != nil {
		t.Fatal(err)
	}
	if waits != 3 {
		t.Errorf("three syncs waited %d times", waits)
	}
	if err := errors.Join(f.Close(), dir.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := fsys.Open("none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open of a file that is not there: %v", err)
	}
	began := time.Now()
	block(3 * time.Millisecond)
	if took := time.Since(began); took < 3*time.Millisecond {
		t.Errorf("blocked for %v, want 3ms", took)
	}
}

// TestSQLiteSettings holds the peer to what the report says of it: the driver leaves out settings that it does not know.
func TestSQLiteSettings(t *testing.T) {
	eng, err := openSQLite(t.TempDir(), openOptions{callers: 1})
	if err != nil {
		t.Fatal(err)
	}
	s, ok := eng.(*sqlite)
	if !ok {
		t.Fatalf("engine is a %T", eng)
	}
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "cache_size": "-131072", "wal_autocheckpoint": "16384", "page_size": "4096",
	} {
		var got string
		if err := s.write.QueryRowContext(t.Context(), "pragma "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s = %q, %v, want %q", pragma, got, err, want)
		}
	}
	var id, parent, unused int
	var plan string
	const page = `explain query plan select name from task where (due, name) > (1, 'a') and due <= 2 and state = 1 order by due, name limit 3`
	if err := s.read.QueryRowContext(t.Context(), page).Scan(&id, &parent, &unused, &plan); err != nil || !strings.Contains(plan, "INDEX task_due") {
		t.Errorf("plan of a page = %q, %v, want the index", plan, err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
}
