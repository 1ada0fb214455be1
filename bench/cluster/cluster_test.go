package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/bench/runs"
	"github.com/dulyhq/duly/bench/servers"
)

// TestMain lets the test binary be the child that the harness starts, as the program is.
func TestMain(m *testing.M) { runs.TestMain(childVariable, asChild, m.Run) }

// needServer skips a test where there is no server, which in CI is a failure.
func needServer(t *testing.T) {
	t.Helper()
	_, err := servers.Find(servers.Postgres)
	switch {
	case err == nil:
	case os.Getenv("CI") != "":
		t.Fatalf("%s is %v", servers.Postgres, err)
	default:
		t.Skipf("%s is %v: NOTHING IS CHECKED", servers.Postgres, err)
	}
}

// shortDir is a directory whose name leaves room for that of a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "duly-") //nolint:usetesting // the name of a test's own is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestQuick runs every line on every engine at a small size, checks that each cell has what its line shows, and that the report says it.
func TestQuick(t *testing.T) {
	needServer(t)
	dir, path := shortDir(t), filepath.Join(t.TempDir(), "docs", "cluster.md")
	var out bytes.Buffer
	opts, err := parseFlags([]string{"-quick"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	results, err := measure(t.Context(), filepath.Join(dir, "s"), opts, runs.Progress{W: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	rep := report{results: results}
	if problems := rep.problems(); len(problems) > 0 {
		t.Errorf("problems:\n%s", strings.Join(problems, "\n"))
	}
	for _, l := range plan() {
		for _, name := range l.engines {
			r := rep.find(l, name)
			if r == nil {
				t.Fatalf("%s on %s was not measured", l.name, name)
			}
			checkCell(t, r)
		}
	}
	// The same by the command, for one line.
	args := []string{"-quick", "-lines", "put-16", "-out", path, "-dir=" + dir}
	if err := run(t.Context(), args, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"A quick run", "make bench-cluster", "arguments: -quick -lines put-16 -dir=", "## Machine and settings", "fdatasync of 20 appends", "## Targets",
		"| put-16 | puts per second | ", " | >= 5x | ", "## 16 callers put, one task a call", "| River | v", "postgres (PostgreSQL) ", "## Observations\n\nNone yet.",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("report lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "256 callers") || !strings.Contains(out.String(), "put-16: 16 callers put") {
		t.Errorf("report has what was not measured, or the output lacks what was:\n%s\n%s", text, &out)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 { // the directory of the first server
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// checkCell checks that a cell has every figure of its line, and that the figures can be true.
func checkCell(t *testing.T, r *result) {
	t.Helper()
	at := r.line.name + " on " + r.engine.name
	if len(r.Samples) != 1 {
		t.Errorf("%s: %d samples", at, len(r.Samples))
		return
	}
	v := r.Samples[0]
	for _, f := range r.line.figures {
		x, ok := v[f.key]
		switch f.key {
		case keyEarly, keyRushed, keyClient, keyServer, keyIdle, keyServes: // may be 0, of a small run or where the system does not tell
			if !ok || x < 0 {
				t.Errorf("%s: %s = %v, %v, want 0 or more", at, f.key, x, ok)
			}
		case keyAll50: // River has no such thing
			if (x > 0) != (r.engine.name == engineDuly) {
				t.Errorf("%s: %s = %v", at, f.key, x)
			}
		default:
			if x <= 0 {
				t.Errorf("%s: %s = %v, want more than 0", at, f.key, x)
			}
		}
	}
	most := 0. // that never began; of a peer that is a figure, as long as some did
	if r.engine.name != engineDuly {
		most = v[keyWant] - 1
	}
	if v[keyWant] <= 0 || v[keyLeft] > most {
		t.Errorf("%s: %v of %v tasks never began", at, v[keyLeft], v[keyWant])
	}
	if v[keyP50] > v[keyP99] || v[keyP99] > v[keyP999] || v[keyP999] > v[keyMax] || v[keyCall50] > v[keyCall99] || v[keyFetch50] > v[keyFetch99] {
		t.Errorf("%s: figures out of order: %v", at, v)
	}
}

func TestBrokenChildIsAProblem(t *testing.T) {
	needServer(t)
	dir := shortDir(t)
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	opts, err := parseFlags([]string{"-quick", "-lines", "put-16", "-engines", "duly", "-profiles", filepath.Join(dir, "nowhere")}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	results, err := measure(t.Context(), filepath.Join(dir, "s"), opts, runs.Progress{W: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if problems := (report{results: results}).problems(); len(results) != 1 || results[0].Problem == "" || len(problems) != 1 {
		t.Errorf("results %v, problems %q, want one", results, problems)
	}
}

func TestProblems(t *testing.T) {
	cell := func(line, engine string, v values) *result {
		l, errLine := findLine(line)
		e, errEngine := findEngine(engine)
		if errLine != nil || errEngine != nil {
			t.Fatal(errLine, errEngine)
		}
		r := &result{line: l, engine: e}
		if v != nil {
			r.Samples = []values{v}
		}
		return r
	}
	rep := report{results: []*result{
		cell("late-500", engineDuly, values{keyWant: 9, keyLeft: 1, keyTwice: 2, keyEarly: 3}),
		cell("late-500", engineRiver, values{keyWant: 9, keyLeft: 1, keyTwice: 2, keyEarly: 3}),
		cell("idle", engineRiver, nil),
	}}
	want := []string{
		"late-500 on duly: of 9 tasks 1 never began or are not as they should be, 2 began twice, 3 early",
		"idle on river: no sample",
	}
	if diff := cmp.Diff(want, rep.problems()); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if _, err := findLine("tea"); err == nil {
		t.Error("a line of tea")
	}
	if _, err := findEngine("steam"); err == nil {
		t.Error("an engine of steam")
	}
}

func TestFlags(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"-engines etcd", `engine "etcd": want one of duly, river, river-tuned, river-unique`},
		{"-lines tea", `line "tea": want one of put-16, put-256, bulk, work, cancel, late-500, late-5k, hint, idle, snapshot`},
		{"-count 0", "count 0, peer-count 1: want at least 1"},
		{"-budget 0s", "budget 0s: want more than 0"},
		{"more", `unexpected argument "more"`},
	} {
		if _, err := parseFlags(strings.Fields(tc.args), io.Discard); err == nil || err.Error() != tc.want {
			t.Errorf("%s: error %v, want %s", tc.args, err, tc.want)
		}
	}
	put, err := findLine("put-16")
	if err != nil {
		t.Fatal(err)
	}
	late, err := findLine("late-5k")
	if err != nil {
		t.Fatal(err)
	}
	if put.sizeFor(options{}, engineDuly) != put.tasks || put.sizeFor(options{}, engineRiver) != put.theirs || put.sizeFor(options{quick: true}, engineRiver) != put.quick {
		t.Errorf("sizes of %s are not its own", put.name)
	}
	if got := late.sizeFor(options{}, engineTuned); got != 50_000 {
		t.Errorf("%s has %d tasks, want 50,000", late.name, got)
	}
}

func TestCompare(t *testing.T) {
	l := line{
		name: "x", engines: []string{engineDuly, engineRiver, engineTuned},
		figures: []figure{
			{key: "a", title: "A", unit: "ms", most: &goal{"<= 5", 5}},
			{key: "b", title: "B", ratios: map[string]float64{engineTuned: 3}},
			{key: "c", title: "C"},
		},
	}
	cell := func(engine string, n int, samples ...values) *result {
		e, err := findEngine(engine)
		if err != nil {
			t.Fatal(err)
		}
		return &result{line: l, engine: e, n: n, Cell: runs.Cell{Samples: samples}}
	}
	rep := report{results: []*result{
		cell(engineDuly, 10, values{"a": 4, "b": 20}, values{"a": 6, "b": 21}, values{"a": 5, "b": 22}),
		cell(engineRiver, 10, values{"a": 1000, "b": 6, keyLeft: 7}),
		cell(engineTuned, 5, values{"b": 7}),
	}}
	want := []row{
		{"A", "10", "5 ms [4-6]", "River", "1,000 ms (7 never began)", "0.0050x", "<= 5", "met"},
		{"A", "10, 5", "5 ms [4-6]", "River, tuned", "not measured", "", "", ""},
		{"B", "10", "21 [20-22]", "River", "6 (7 never began)", "3.50x", "", ""},
		{"B", "10, 5", "21 [20-22]", "River, tuned", "7", "3.00x", ">= 3x", "met"},
		{"C", "10", "not measured", "River", "not measured", "", "", ""},
		{"C", "10, 5", "not measured", "River, tuned", "not measured", "", "", ""},
	}
	if diff := cmp.Diff(want, rep.rowsOf(l), cmp.AllowUnexported(row{})); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	alone := report{results: rep.results[:1]}.rowsOf(l)
	if len(alone) != 3 || alone[0] != (row{what: "A", n: "10", ours: "5 ms [4-6]", target: "<= 5", verdict: "met"}) {
		t.Errorf("alone: %+v", alone)
	}
}
