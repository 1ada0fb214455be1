package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/bench/runs"
)

// TestMain lets the test binary be the child that the harness starts, as the program is.
func TestMain(m *testing.M) { runs.TestMain(childVariable, asChild, m.Run) }

// TestQuick runs every line on every engine at a small size and checks that each sample's counts are right.
func TestQuick(t *testing.T) {
	opts, err := parseFlags([]string{"-quick", "-count", "1"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	results, err := measureAll(t.Context(), opts, runs.Progress{W: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if problems := (report{results: results}).problems(); len(problems) > 0 {
		t.Errorf("problems:\n%s", strings.Join(problems, "\n"))
	}
	for _, l := range plan() {
		for _, name := range l.engines {
			e, ok := findEngine(name)
			if !ok {
				t.Errorf("line %s: unknown engine %q", l.name, name)
			}
			if e.create == nil {
				continue
			}
			for _, n := range l.sizesFor(e, opts) {
				checkCell(t, (report{results: results}).find(l, name, n), l, name, n)
			}
		}
	}
}

// checkCell checks that a cell has every figure of its line, and that the figures can be true.
func checkCell(t *testing.T, r *result, l line, engine string, n int) {
	t.Helper()
	if r == nil || len(r.Samples) != 1 {
		t.Errorf("%s on %s with %d: no sample", l.name, engine, n)
		return
	}
	if r.pending != n {
		t.Errorf("%s on %s: %d pending, want %d", l.name, engine, r.pending, n)
	}
	v := r.Samples[0]
	for _, f := range l.figures {
		if _, ok := v[f.key]; !ok {
			t.Errorf("%s on %s: no figure %q in %v", l.name, engine, f.key, v)
		}
	}
	if l.fires && v[keyFired] != float64(n) {
		t.Errorf("%s on %s: %v fired, want %d", l.name, engine, v[keyFired], n)
	}
	if !l.fires && v[keyLost] == 0 && v[keyFired] != 0 {
		t.Errorf("%s on %s: %v fired, want none", l.name, engine, v[keyFired])
	}
	for _, key := range []string{keyOps, keyWall, keyP50, keyMax, keyGCCPU} {
		if x, ok := v[key]; ok && x <= 0 {
			t.Errorf("%s on %s: %s = %v, want more than 0", l.name, engine, key, x)
		}
	}
	if v[keyP50] > v[keyP99] || v[keyP99] > v[keyMax] || v[keyPutP50] > v[keyPutP99] || v[keyPutP99] > v[keyPutMax] {
		t.Errorf("%s on %s: quantiles out of order: %v", l.name, engine, v)
	}
}

func TestRunWritesReport(t *testing.T) {
	path := filepath.Join(t.TempDir(), "docs", "engine.md")
	profiles := t.TempDir()
	args := []string{"-quick", "-lines", "hot,gc", "-engines", "afterfunc,empty", "-profiles=" + profiles, "-out", path}
	var out bytes.Buffer
	if err := run(t.Context(), args, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	first := readText(t, path)
	for _, want := range []string{
		"A quick run", "arguments: -quick -lines hot,gc -engines afterfunc,empty -profiles=", "## Machine and settings", "## Targets", "## Row 1: named put + cancel, hot\n", "## Row 5: ",
		"time.AfterFunc, unnamed", "(the harness alone)", "## Observations\n\nNone yet.",
	} {
		if !strings.Contains(first, want) {
			t.Errorf("report lacks %q:\n%s", want, first)
		}
	}
	if strings.Contains(first, "## Row 2") || strings.Contains(first, "mutex and map | 1") {
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
	if profile, err := os.Stat(filepath.Join(profiles, "hot-afterfunc-500.pprof")); err != nil || profile.Size() == 0 {
		t.Errorf("profile: %v, %v", profile, err)
	}
	if !strings.Contains(out.String(), "row 1, hot: named put + cancel, hot\n") {
		t.Errorf("printed:\n%s", out.String())
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

func TestBrokenChildIsAProblem(t *testing.T) {
	l := hotLines()[0]
	r := &result{line: l, engine: engineSpec{name: "nobody"}, n: 1}
	measureGroup(t.Context(), options{count: 1, budget: time.Second}, []*result{r}, runs.Progress{W: io.Discard})
	if r.Problem == "" || len(r.Samples) != 0 {
		t.Errorf("problem %q and %d samples, want a problem and none", r.Problem, len(r.Samples))
	}
	rep := report{results: []*result{r}}
	if len(rep.problems()) != 1 {
		t.Errorf("problems = %q, want one", rep.problems())
	}
}

func TestFlags(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"-rows 0", `row "0": want a number from 1 to 9`},
		{"-rows 1,x", `row "x": want a number from 1 to 9`},
		{"-engines wheel", `engine "wheel": want one of duly, afterfunc, afterfunc-map, gocron, go-quartz, robfig-cron, empty`},
		{"-lines tea", `line "tea": want one of hot, `},
		{"-count 0", "count 0: want at least 1"},
		{"-sample 5s", "sample 5s: want more than 0 and at most 4s"},
		{"more", `unexpected argument "more"`},
	} {
		_, err := parseFlags(strings.Fields(tc.args), io.Discard)
		if err == nil || !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want %s", tc.args, err, tc.want)
		}
	}
	o, err := parseFlags(strings.Fields("-quick -rows 1,2 -engines duly"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[int]bool{1: true, 2: true}, o.rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if o.count != 2 || o.sample != 5*time.Millisecond || !o.engines["duly"] || o.engines["empty"] {
		t.Errorf("options = %+v", o)
	}
}

// TestEveryRow holds the plan to the targets: rows 1 to 9, each with a goal that speaks.
func TestEveryRow(t *testing.T) {
	goals := make(map[int]int)
	seen := make(map[string]bool)
	for _, l := range plan() {
		if seen[l.name] {
			t.Errorf("line %q twice", l.name)
		}
		seen[l.name] = true
		for _, f := range l.figures {
			for _, g := range f.goals {
				goals[l.row]++
				if g.text == "" {
					t.Errorf("line %s, figure %s: a goal without text", l.name, f.key)
				}
			}
		}
	}
	for row := 1; row <= 9; row++ {
		if goals[row] == 0 {
			t.Errorf("row %d has no goal", row)
		}
	}
}

func TestCompare(t *testing.T) {
	l := line{
		row: 1, name: "x", engines: []string{engineDuly, engineAfterFunc, engineMap, engineEmpty},
		figures: []figure{
			{key: "a", title: "A", unit: "ns", goals: []goal{
				{size: 10, peer: engineAfterFunc, limit: 0.5, text: "<= 0.5x"},
				{peer: engineMap, limit: 0.5, text: "<= 0.5x map"},
			}},
			{key: "b", title: "B", goals: []goal{{limit: 3, text: "<= 3"}}},
		},
	}
	cell := func(engine string, samples ...values) *result {
		e, _ := findEngine(engine)
		return &result{line: l, engine: e, n: 10, pending: 10, Cell: runs.Cell{Samples: samples}}
	}
	rep := report{results: []*result{
		cell(engineDuly, values{"a": 40, "b": 4}, values{"a": 60, "b": 4}, values{"a": 50, "b": 4}),
		cell(engineAfterFunc, values{"a": 1200, "b": 1}, values{"a": 80, "b": 1}),
		cell(engineMap, values{"a": 60, "b": 0}),
		cell(engineEmpty, values{"a": 1}),
	}}
	rep.results[2].pending = 7
	want := []row{
		{"10", "A", "50 ns [40-60]", "time.AfterFunc, unnamed", "640 ns [80-1,200]", "0.08x", "<= 0.5x", "met"},
		{"10", "A", "50 ns [40-60]", "time.AfterFunc, mutex and map", "60 ns (cut at 7)", "0.83x", "<= 0.5x map", "missed"},
		{"10", "A", "50 ns [40-60]", "(the harness alone)", "1 ns", "", "", ""},
		{"10", "B", "4", "time.AfterFunc, unnamed", "1", "4.00x", "<= 3", "missed"},
		{"10", "B", "4", "time.AfterFunc, mutex and map", "0 (cut at 7)", "", "", ""},
	}
	got := rep.rowsOf(l)
	if diff := cmp.Diff(want, got[:min(len(want), len(got))], cmp.AllowUnexported(row{})); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestCheckSample(t *testing.T) {
	for _, tc := range []struct {
		v    values
		want string
	}{
		{values{keyAdded: 5, keyFired: 5, keyEarly: 0}, ""},
		{values{keyAdded: 5, keyFired: 4}, "4 fired of 5 added"},
		{values{keyAdded: 5, keyFired: 5, keyEarly: 1}, "1 fired early"},
		{values{keyLost: 0, keyFired: 0}, ""},
		{values{keyLost: 2, keyFired: 2}, ""},
		{values{keyLost: 0, keyFired: 1}, "0 cancels came too late but 1 fired"},
	} {
		if got := checkSample(tc.v); got != tc.want {
			t.Errorf("checkSample(%v) = %q, want %q", tc.v, got, tc.want)
		}
	}
}

func TestWalk(t *testing.T) {
	for _, n := range []int{1, 2, 3, 64, 1000, 1025} {
		w := newWalk(n)
		for round := range uint64(3) {
			seen := make([]bool, n)
			for range n {
				i, r := w.step()
				if i < 0 || i >= n || seen[i] || r != round {
					t.Fatalf("n = %d: step gives %d in round %d, want an unseen one in round %d", n, i, r, round)
				}
				seen[i] = true
			}
		}
	}
}

func TestNames(t *testing.T) {
	names := makeNames(1001)
	got := []string{names.at(0), names.at(7), names.at(1000)}
	if diff := cmp.Diff([]string{"order/0000000000", "order/0000000007", "order/0000001000"}, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestStalls(t *testing.T) {
	if diff := cmp.Diff([]int64{3, 5_000, 10_000, 15_000, 25_000}, withStalls([]int64{3, 10_000, 25_000})); diff != "" {
		t.Errorf("withStalls (-want +got):\n%s", diff)
	}
}
