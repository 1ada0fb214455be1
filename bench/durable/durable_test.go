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

	"github.com/dulyhq/duly/bench/figures"
	"github.com/dulyhq/duly/bench/runs"
	"github.com/dulyhq/duly/bench/servers"
)

// TestMain lets the test binary be the child that the harness starts, as the program is.
func TestMain(m *testing.M) { runs.TestMain(childVariable, asChild, m.Run) }

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

func testBench(t *testing.T, args ...string) *bench {
	t.Helper()
	opts, err := parseFlags(args, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	b, err := newBench(shortDir(t), opts)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestQuick runs every line on every engine whose server is there, at a small size, and checks that each cell has what its line shows.
func TestQuick(t *testing.T) {
	for _, e := range allEngines() {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			if e.server != "" {
				if _, err := servers.Find(e.server); err != nil {
					t.Skipf("%s is %v", e.server, err)
				}
			}
			results, err := testBench(t, "-quick", "-engines", e.name).measureAll(t.Context(), runs.Progress{W: io.Discard})
			if err != nil {
				t.Fatal(err)
			}
			rep := report{results: results}
			if problems := rep.problems(); len(problems) > 0 {
				t.Errorf("problems:\n%s", strings.Join(problems, "\n"))
			}
			for _, l := range plan() {
				if r := rep.find(l, e.name); r != nil {
					checkCell(t, r)
				}
			}
		})
	}
}

// checkCell checks that a cell has every figure of its line, and that the figures can be true.
func checkCell(t *testing.T, r *result) {
	t.Helper()
	if len(r.Samples) != 1 {
		t.Errorf("%s: %d samples", r.line.name, len(r.Samples))
		return
	}
	v := r.Samples[0]
	for _, f := range r.line.figures {
		x, ok := v[f.key]
		early := r.engine.name == engineAsynq || r.engine.name == engineAsynqAlways // it knows whole seconds only
		if !ok || x <= 0 && f.key != keyEarly && f.key != keyCPU && !early {
			t.Errorf("%s: %s = %v, want more than 0", r.line.name, f.key, v[f.key])
		}
	}
	most := 0. // that never began; of a peer that is a figure, as long as some did
	if r.engine.server != "" {
		most = v[keyWant] - 1
	}
	if v[keyWant] != float64(r.line.quick) || v[keyLeft] > most {
		t.Errorf("%s: %v of %v tasks never began, want 0 of %d", r.line.name, v[keyLeft], v[keyWant], r.line.quick)
	}
	if v[keyP50] > v[keyP99] || v[keyP99] > v[keyP999] || v[keyP999] > v[keyMax] {
		t.Errorf("%s: figures out of order: %v", r.line.name, v)
	}
}

func TestRunWritesReport(t *testing.T) {
	dir, path := t.TempDir(), filepath.Join(t.TempDir(), "docs", "durable.md")
	args := []string{"-quick", "-lines", "late-500,put", "-engines", "duly", "-out", path, "-dir=" + dir}
	var out bytes.Buffer
	if err := run(t.Context(), args, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	first := readText(t, path)
	for _, want := range []string{
		"A quick run", "make bench-durable", "arguments: -quick -lines late-500,put -engines duly -dir=", "## Machine and settings", "fdatasync of 20 appends",
		"## Targets", "## Row 19: ", "p99 <= 2 ms", "| 100 | early | 0 |", "| River on PostgreSQL | v", "## Observations\n\nNone yet.",
	} {
		if !strings.Contains(first, want) {
			t.Errorf("report lacks %q:\n%s", want, first)
		}
	}
	if strings.Contains(first, "10,000 tasks due a second") {
		t.Errorf("report has what was not measured:\n%s", first)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestReportKeeps holds each of the two runs to its own part of the file.
func TestReportKeeps(t *testing.T) {
	path := filepath.Join(t.TempDir(), "durable.md")
	lines := report{results: []*result{{line: plan()[0], engine: allEngines()[0], Cell: runs.Cell{Samples: []values{{keyP50: 1}}}}}}
	hours := report{hour: &hour{n: 5, rate: 1, spans: []span{{late: delays{n: 1}}}}}
	if err := hours.write(path); err != nil {
		t.Fatal(err)
	}
	if text := readText(t, path); !strings.HasPrefix(text, title) || !strings.Contains(text, "filled with 5 tasks") {
		t.Errorf("the first report is\n%s", text)
	}
	note := "## Observations\n\nThe moon was full.\n"
	if err := os.WriteFile(path, []byte(title+"old lines\n\n"+endurance+"\nold hour\n\n"+note), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := lines.write(path); err != nil {
		t.Fatal(err)
	}
	if text := readText(t, path); strings.Contains(text, "old lines") || !strings.Contains(text, "lateness p50") || !strings.HasSuffix(text, endurance+"\nold hour\n\n"+note) {
		t.Errorf("after the lines the report is\n%s", text)
	}
	if err := hours.write(path); err != nil {
		t.Fatal(err)
	}
	if text := readText(t, path); strings.Contains(text, "old hour") || !strings.Contains(text, "lateness p50 | 1.00 ms") || !strings.HasSuffix(text, note) {
		t.Errorf("after the hour the report is\n%s", text)
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

// TestEndurance runs the hour in half a minute, kill included.
func TestEndurance(t *testing.T) {
	t.Parallel()
	b := testBench(t, "-quick", "-endure", leastEndurance.String(), "-rate", "100", "-n", "1")
	h, err := b.endureAll(t.Context(), runs.Progress{W: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if problems := h.problems(); len(problems) > 0 {
		t.Errorf("problems:\n%s", strings.Join(problems, "\n"))
	}
	near := int((restart.before + restart.after).Seconds()) * 100
	all := h.total.n + h.again.n // the run need not begin where a task is due
	if want := int(leastEndurance.Seconds()) * 100; all < want-1 || all > want || h.again.n < near-1 || h.again.n > near+1 {
		t.Errorf("%d tasks and %d around the restart, want %d in all and %d", h.total.n, h.again.n, want, near)
	}
	if h.put < quickPending || h.left == 0 || len(h.spans) != 6 || h.opened.Before(h.killed) || h.first.Before(h.opened) {
		t.Errorf("hour = %+v", h)
	}
}

// TestHourSees holds the look at the journal to what it must find: each fault that was planted.
func TestHourSees(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j, err := openJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	base := time.Unix(1_000_000, 0)
	spec := &endureSpec{N: 100, Rate: 10, Base: base.UnixNano()}
	for i := range int64(1000) {
		late := time.Millisecond
		switch i {
		case 7: // never begins
			continue
		case 20:
			late = -time.Nanosecond
		case 30, 500: // begin twice
			runs.Must("note", j.note(i, late))
		case 501:
			late = 3 * time.Second
		}
		runs.Must("note", j.note(i, late))
	}
	runs.Must("close", j.close())
	h := &hour{from: base, until: base.Add(100 * time.Second), killed: base.Add(50 * time.Second), put: 1100, left: 100, spans: []span{{}, {from: 90 * time.Second}}}
	if err := h.look(path, spec); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"endurance: 1 tasks were due and never began",
		"endurance: 1 tasks began early",
		"endurance: 1 tasks began more than once, and not around the restart",
		"endurance: 100 tasks are left in the store, want 101",
	}
	if diff := cmp.Diff(want, h.problems()); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if h.twice != 1 || h.again.max != 3*time.Second || h.total.max != time.Millisecond || h.spans[1].late.n != 100 {
		t.Errorf("hour = %+v", h)
	}
	if got := h.caught.Sub(h.killed); got != 3100*time.Millisecond {
		t.Errorf("the last late one began %v after the kill, want 3.1s", got)
	}
}

func TestJournalCells(t *testing.T) {
	j, err := openJournal(filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	for _, late := range []time.Duration{0, 1500 * time.Nanosecond, -time.Nanosecond, -time.Hour, time.Hour} {
		id := int64(late/time.Nanosecond) & 0xff
		runs.Must("note", j.note(id, late))
		runs.Must("note", j.note(id, late+time.Second))
		b, ok := beganOf(j.read(id + 1))
		if want := late.Round(0).Truncate(time.Microsecond); !ok || b.times != 2 || late >= 0 && b.late != want || late < 0 && (b.late >= 0 || b.late > late) {
			t.Errorf("noted %v twice, read %+v, %v", late, b, ok)
		}
		runs.Must("clear", j.write(id+1, 0))
	}
	runs.Must("set put", j.setPut(77))
	if j.put() != 77 || j.read(10_000) != 0 {
		t.Errorf("put = %d, behind the end %d", j.put(), j.read(10_000))
	}
	runs.Must("close", j.close())
}

// TestAbsentServerIsSaid lets a server be one that no machine has.
func TestAbsentServerIsSaid(t *testing.T) {
	b := testBench(t, "-quick")
	var out bytes.Buffer
	r := b.cell(plan()[0], engineSpec{name: engineRiver, title: "N on Nothing", server: "Nothing"})
	if err := b.measure(t.Context(), runs.Progress{W: &out}, "", []*result{r}); err != nil {
		t.Fatal(err)
	}
	rep := report{results: []*result{r}}
	if problems := rep.problems(); len(problems) > 0 || !strings.Contains(out.String(), "not on this machine: Nothing: NOT MEASURED") {
		t.Errorf("problems %q, progress %q", problems, &out)
	}
	if rows := rep.rowsOf(plan()[0]); len(rows) == 0 || rows[0].theirs != "**NOT ON THIS MACHINE**" {
		t.Errorf("rows = %+v", rows)
	}
}

func TestBrokenChildIsAProblem(t *testing.T) {
	b := testBench(t, "-count", "2")
	r := b.cell(plan()[0], engineSpec{name: "nobody"})
	if err := b.measure(t.Context(), runs.Progress{W: io.Discard}, "", []*result{r}); err != nil {
		t.Fatal(err)
	}
	if problems := (report{results: []*result{r}}).problems(); r.Problem == "" || len(problems) != 1 {
		t.Errorf("problem %q, problems %q, want one", r.Problem, problems)
	}
}

func TestProblems(t *testing.T) {
	cell := func(engine string, v values) *result {
		e, _ := findEngine(engine)
		return &result{line: plan()[0], engine: e, Cell: runs.Cell{Samples: []values{v}}}
	}
	rep := report{results: []*result{
		cell(engineDuly, values{keyWant: 9, keyLeft: 1, keyTwice: 2, keyEarly: 3}),
		cell(engineAsynq, values{keyWant: 9, keyLeft: 1, keyTwice: 2, keyEarly: 3}),
	}}
	want := []string{"late-500 on duly: of 9 tasks 1 never began, 2 began twice, 3 early"}
	if diff := cmp.Diff(want, rep.problems()); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestFlags(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"-engines etcd", `engine "etcd": want one of duly, river, asynq, asynq-always`},
		{"-lines tea", `line "tea": want one of late-500, late-10k, backlog, put`},
		{"-count 0", "count 0, peer-count 1: want at least 1"},
		{"-n -1", "n -1: want 0 or more"},
		{"-budget 0s", "budget 0s: want more than 0"},
		{"-endure 1s", "endure 1s: want at least 30s"},
		{"-rate 0", "rate 0: want at least 1"},
		{"more", `unexpected argument "more"`},
	} {
		if _, err := parseFlags(strings.Fields(tc.args), io.Discard); err == nil || err.Error() != tc.want {
			t.Errorf("%s: error %v, want %s", tc.args, err, tc.want)
		}
	}
	o, err := parseFlags([]string{"-n", "5"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	l, _ := findLine("late-10k")
	if l.sizeFor(o) != 5 || l.sizeFor(options{}) != 100_000 || l.sizeFor(options{quick: true}) != 2000 {
		t.Errorf("sizes of %s: %d, %d, %d", l.name, l.sizeFor(o), l.sizeFor(options{}), l.sizeFor(options{quick: true}))
	}
}

func TestCompare(t *testing.T) {
	l := line{
		name: "x", engines: []string{engineDuly, engineRiver, engineAsynq},
		figures: []figure{{key: "a", title: "A", unit: "ms", goal: goal{text: "<= 5", limit: 5}}, {key: keyEarly, title: "early", goal: goal{text: "0"}}},
	}
	cell := func(engine string, samples ...values) *result {
		e, _ := findEngine(engine)
		return &result{line: l, engine: e, n: 10, Cell: runs.Cell{Samples: samples}}
	}
	rep := report{results: []*result{
		cell(engineDuly, values{"a": 4, keyEarly: 0}, values{"a": 6, keyEarly: 1}, values{"a": 5, keyEarly: 1}),
		cell(engineRiver, values{"a": 1000, keyEarly: 0, keyLeft: 7}),
		cell(engineAsynq),
	}}
	want := []row{
		{"10", "A", "5 ms [4-6]", "River on PostgreSQL", "1,000 ms (7 never began)", "0.0050x", "<= 5", "met"},
		{"10", "A", "5 ms [4-6]", "asynq on Redis, everysec", "not measured", "", "", ""},
		{"10", "early", "1 [0-1]", "River on PostgreSQL", "0 (7 never began)", "", "0", "missed"},
		{"10", "early", "1 [0-1]", "asynq on Redis, everysec", "not measured", "", "", ""},
	}
	if diff := cmp.Diff(want, rep.rowsOf(l), cmp.AllowUnexported(row{})); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// TestDelays holds the figures of a set to their order.
func TestDelays(t *testing.T) {
	late := make([]time.Duration, 1000)
	for i := range late {
		late[i] = time.Duration(1000-i) * time.Millisecond
	}
	want := delays{n: 1000, p50: 500 * time.Millisecond, p99: 990 * time.Millisecond, p999: 999 * time.Millisecond, max: time.Second}
	if got := delaysOf(late); got != want {
		t.Errorf("delays = %+v, want %+v", got, want)
	}
	if (figures.Disk{Syncs: 3}).String() == "" {
		t.Error("a disk says nothing")
	}
}
