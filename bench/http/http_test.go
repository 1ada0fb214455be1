package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/bench/runs"
)

// TestMain lets the test binary be the child that the harness starts, as the program is.
func TestMain(m *testing.M) {
	runs.TestMain(childVariable, asChild, func() int {
		code := m.Run()
		if built.dir != "" {
			runs.Must("remove the daemon", os.RemoveAll(built.dir))
		}
		return code
	})
}

// built is the daemon that all tests use.
var built struct {
	once sync.Once
	dir  string
	path string
	err  error
}

// daemonPath builds the daemon once.
func daemonPath(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "duly-"); built.err == nil { //nolint:usetesting // it outlives the test that is first
			built.path, built.err = buildDaemon(context.Background(), built.dir) //nolint:usetesting // as above
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
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

// TestQuick runs every line at a small size and checks that each cell has what its line shows.
func TestQuick(t *testing.T) {
	t.Parallel()
	o, err := parseFlags([]string{"-quick", "-daemon", daemonPath(t)}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	b, err := newBench(t.Context(), shortDir(t), o)
	if err != nil {
		t.Fatal(err)
	}
	results, err := b.measureAll(t.Context(), runs.Progress{W: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	rep := report{results: results, opts: o, Run: runs.Run{Quick: true}}
	if problems := rep.problems(); len(problems) > 0 {
		t.Errorf("problems:\n%s", strings.Join(problems, "\n"))
	}
	for _, l := range plan() {
		for _, name := range l.engines {
			checkCell(t, rep.find(l.name, name))
		}
	}
	text := rep.text()
	for _, want := range []string{
		"A quick run", "make bench-http", "## Targets", "## Single puts from 64 connections", "| figure | the library, 500 tasks | package client, 500 tasks | ratio |",
		"| early | 0 | 0 | met |", "| lost | 0 | 0 | met |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("report lacks %q:\n%s", want, text)
		}
	}
}

// checkCell checks that a cell has the figures of its line that every system tells.
func checkCell(t *testing.T, r *result) {
	t.Helper()
	if r == nil || len(r.Samples) != 1 {
		t.Errorf("%+v, want one sample", r)
		return
	}
	v := r.Samples[0]
	for _, f := range r.line.figures {
		switch f.key {
		case keyRate, keyCall50, keyCall99, keyAll, keySettled, keyAPI99, keyPut99, keyGet99, keyList99, keyAPICalls, keyConns, keyRoutines:
			if v[f.key] <= 0 && (r.line.name != "batch" || f.key == keyRate) {
				t.Errorf("%s on %s: %s = %v, want more than 0", r.line.name, r.engine, f.key, v[f.key])
			}
		}
	}
	if v[keyWant] != float64(r.line.quick) || v[keyLeft] != 0 || v[keyAPI50] > v[keyAPI99] || v[keyAPI99] > v[keyAPIMax] {
		t.Errorf("%s on %s: %v", r.line.name, r.engine, v)
	}
}

// TestSoak keeps a daemon under the whole load for a moment: nothing is lost or early, and no call fails.
func TestSoak(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "soak.md")
	var out bytes.Buffer
	err := run(t.Context(), []string{"-quick", "-soak", "2s", "-rate", "40", "-daemon", daemonPath(t), "-dir", shortDir(t), "-out", path}, &out, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"make soak", "| callbacks lost | 0 | met |", "| goroutines |", "| calls that failed | 0 | met |", "## Observations"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("report lacks %q:\n%s", want, text)
		}
	}
}

// TestRules holds the judgement to what it must find.
func TestRules(t *testing.T) {
	samples := func(of func(i int) float64) []sample {
		all := make([]sample, 90)
		for i := range all {
			all[i] = sample{goroutines: of(i), open: 10, heap: 10}
		}
		return all
	}
	for name, x := range map[string]struct {
		of   func(i int) float64
		flat bool
	}{
		"level":                    {func(int) float64 { return 100 }, true},
		"filling at the beginning": {func(i int) float64 { return min(float64(10*i), 300) }, true},
		"a peak":                   {func(i int) float64 { return 100 + 1000*float64(i/89) }, true},
		"falling":                  {func(i int) float64 { return 1000 - float64(i) }, true},
		"a leak":                   {func(i int) float64 { return 100 + 2*float64(i) }, false},
	} {
		s := &soak{samples: samples(x.of)}
		if got := rules[0].flat(s.samples); got != x.flat {
			t.Errorf("%s: flat = %v, want %v", name, got, x.flat)
		}
		want := 0
		if !x.flat {
			want = 1
		}
		if got := s.problems(); len(got) != want {
			t.Errorf("%s: problems %q, want %d", name, got, want)
		}
	}
	s := &soak{samples: samples(func(int) float64 { return 1 }), before: sample{goroutines: 10}, after: sample{goroutines: 10 + atRest + 1}, warnings: 1}
	if got := s.problems(); len(got) != 2 {
		t.Errorf("a daemon that does not come to rest, with a warning: %q", got)
	}
}

// TestLook holds the comparison of what came with what was asked for to each fault that was planted.
func TestLook(t *testing.T) {
	base := time.Unix(1_000_000, 0).UTC()
	l := load{
		asked: []asked{
			{pathOK, base, 1},
			{pathOK, base, 1},   // lost
			{pathOK, base, 1},   // early
			{pathOK, base, 1},   // twice
			{pathOK, base, 0},   // cancelled, and comes
			{pathFail, base, 2}, // comes once
			{pathOK, base, -1},  // unknown
		},
		ended: base.Add(10 * time.Second),
	}
	at := base.UnixNano()
	r := sinkReport{First: []int64{at, 0, at - 1, at, at, at, 0}, Times: []int64{1, 0, 1, 2, 1, 1, 0}, Every: map[string]map[string]int64{}, Again: 1}
	for k := range recurring {
		came := map[string]int64{}
		for i := range 6 {
			due := base.Add(time.Duration(i) * recurEvery)
			when := due.UnixNano()
			switch {
			case k == 0 && i == 3: // one is lost
				continue
			case k == 1 && i == 2:
				when-- // one is early
			case k == 2 && i > 2: // one stops
				continue
			}
			came[due.Format(time.RFC3339Nano)] = when
		}
		r.Every[strconv.Itoa(k)] = came
	}
	got := map[string]int{}
	for _, f := range l.compare(r) {
		got[f.what] = f.n
	}
	want := map[string]int{
		"callbacks lost": 3, "callbacks early": 2, "callbacks that came too often": 2, "callbacks that were cancelled and came": 1, "recurring tasks that stopped recurring": 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

func TestSink(t *testing.T) {
	s := newServer(3)
	read := func(text string) ([2]string, string) {
		path, scheduled, err := readRequest(bufio.NewReader(strings.NewReader(text)))
		if err != nil {
			t.Fatal(err)
		}
		return path, scheduled
	}
	path, _ := read("POST /fail/2 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
	for _, want := range [][]byte{answerFail, answerOK} {
		if answer, ok := s.take(path, "", 5); !ok || !bytes.Equal(answer, want) {
			t.Errorf("answer %q, want %q", answer, want)
		}
	}
	path, scheduled := read("POST /every/7 HTTP/1.1\r\nDuly-Scheduled-For: 2027-01-01T00:00:00Z\r\n\r\n")
	for range 2 {
		s.take(path, scheduled, 9)
	}
	if _, ok := s.take([2]string{pathHang, "0"}, "", 6); ok {
		t.Error("what is to hang is answered")
	}
	s.take([2]string{pathOK, "3"}, "", 1)
	want := sinkReport{
		First: []int64{6, 0, 5}, Times: []int64{1, 0, 2}, Seen: 2, Strange: 1, Again: 1, Every: map[string]map[string]int64{"7": {"2027-01-01T00:00:00Z": 9}},
	}
	text, err := json.Marshal(s.report(true))
	if err != nil {
		t.Fatal(err)
	}
	var got sinkReport
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

func TestProblems(t *testing.T) {
	l, _ := findLine("burst")
	rep := report{results: []*result{{line: l, engine: engineClient, n: 9, Cell: runs.Cell{Samples: []values{
		{keyWant: 9, keyLeft: 1, keyTwice: 2, keyEarly: 3, keyAll: 9}, {keyWant: 9, keyAll: 11},
	}}}}}
	want := []string{"burst on client: of 9 tasks 1 are missing, 2 came twice, 3 early"}
	if diff := cmp.Diff(want, rep.problems()); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if row := "| burst | 9 | from the first instant to the last arrival | 10.00 s [9.00-11.00] | <= 10 s | missed |"; !strings.Contains(rep.summary(), row) {
		t.Errorf("the worst sample does not count:\n%s", rep.summary())
	}
}

func TestFlags(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"-lines tea", `line "tea": want one of put, batch, burst`},
		{"-count 0", "count 0: want at least 1"},
		{"-n -1", "n -1: want 0 or more"},
		{"-soak 1s", "soak 1s: want at least 2s"},
		{"-rate 0", "rate 0: want 1 to 1000"},
		{"more", `unexpected argument "more"`},
	} {
		if _, err := parseFlags(strings.Fields(tc.args), io.Discard); err == nil || err.Error() != tc.want {
			t.Errorf("%s: error %v, want %s", tc.args, err, tc.want)
		}
	}
}

// TestBrokenChildIsAProblem has a line that no child knows.
func TestBrokenChildIsAProblem(t *testing.T) {
	b, err := newBench(t.Context(), t.TempDir(), options{count: 2, daemon: "none"})
	if err != nil {
		t.Fatal(err)
	}
	r := &result{Cell: runs.Cell{Engine: engineClient, Count: 2}, line: line{name: "tea"}, engine: engineClient, n: 1}
	if err := b.measure(t.Context(), runs.Progress{W: io.Discard}, "", []*result{r}); err != nil {
		t.Fatal(err)
	}
	if problems := (report{results: []*result{r}}).problems(); r.Problem == "" || len(problems) != 1 {
		t.Errorf("problem %q, problems %q, want one", r.Problem, problems)
	}
}
