package runs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/bench/runs"
)

const variable = "DULY_RUNS_TEST_CHILD"

func TestMain(m *testing.M) { runs.TestMain(variable, answer, m.Run) }

// answer is the child: it answers what it was given, once more.
func answer(spec string) int {
	if spec == `"break"` {
		return 3
	}
	var v runs.Values
	runs.Must("read spec", json.Unmarshal([]byte(spec), &v))
	v["more"]++
	runs.Must("answer", json.NewEncoder(os.Stdout).Encode(v))
	return 0
}

func TestChild(t *testing.T) {
	v, err := runs.Child(t.Context(), variable, runs.Values{"more": 4}, time.Minute)
	if err != nil || v["more"] != 5 {
		t.Errorf("values %v, %v, want more = 5", v, err)
	}
	if v, err := runs.Child(t.Context(), variable, "break", time.Minute); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("values %v, error %v, want exit status 3", v, err)
	}
	if _, err := runs.Child(t.Context(), variable, func() {}, time.Minute); err == nil {
		t.Error("a func was handed to a child")
	}
}

// TestLine: cells take turns, each as often as it is to, one with a problem or without what it needs no longer.
func TestLine(t *testing.T) {
	cell := func(name string, count int) *runs.Cell { return &runs.Cell{Engine: name, Count: count} }
	group := []*runs.Cell{cell("ours", 3), cell("broken", 3), cell("peer", 2), cell("absent", 2)}
	var order, out strings.Builder
	take := func(_ context.Context, c *runs.Cell, last bool) (runs.Values, error) {
		order.WriteString(c.Engine[:1])
		if last {
			order.WriteString("!")
		}
		switch c.Engine {
		case "broken":
			return nil, errors.New("no tea")
		case "absent":
			c.Absent = "no server"
		}
		return runs.Values{"n": float64(len(c.Samples))}, nil
	}
	self := func(c *runs.Cell) *runs.Cell { return c }
	if err := runs.Line(t.Context(), runs.Progress{W: &out}, "tea n=3", group, self, take); err != nil {
		t.Fatal(err)
	}
	if got, want := order.String(), "obpaop!o!"; got != want {
		t.Errorf("order %q, want %q", got, want)
	}
	for i, want := range []int{3, 0, 2, 0} {
		if got := len(group[i].Samples); got != want {
			t.Errorf("%s has %d samples, want %d", group[i].Engine, got, want)
		}
	}
	if group[1].Problem != "no tea" || !strings.HasPrefix(out.String(), "tea n=3: ours broken (no tea) peer absent (no server: NOT MEASURED) ours peer ours ") {
		t.Errorf("problem %q, progress %q", group[1].Problem, out.String())
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := runs.Line(ctx, runs.Progress{W: &out}, "", []*runs.Cell{cell("ours", 1)}, self, take); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v when the context has ended", err)
	}
}

func TestEnd(t *testing.T) {
	var printed bytes.Buffer
	wrote := ""
	write := func(path string) error { wrote = path; return nil }
	err := runs.End(&printed, "tables", "report.md", write, []string{"one lost", "one early"})
	if err == nil || err.Error() != "check results: one lost; one early" || wrote != "report.md" || printed.String() != "tables" {
		t.Errorf("error %v, wrote %q, printed %q", err, wrote, printed.String())
	}
	if err := runs.End(&printed, "", "", nil, nil); err != nil {
		t.Error(err)
	}
}

func TestRun_Text(t *testing.T) {
	r := runs.Run{Program: "tea", Args: []string{"-n", "3", "-out", "x"}, Quick: true, Started: time.Unix(1_800_000_000, 0), Took: 90*time.Second + 1}
	want := "# Tea\n\n**A quick run: it checks the harness; the figures mean nothing.**\n\n" +
		"Written by `make bench-tea` (module `bench`, program `tea`, arguments: -n 3) on 2027-01-15 08:00 UTC in 1m30s. The next run replaces it.\n\n"
	if got := r.Head("Tea", "bench-tea"); got != want {
		t.Errorf("head\n%swant\n%s", got, want)
	}
	r.Mount = "ext4"
	said := r.Settings([]string{"cups", "7"}).Markdown()
	for _, want := range []string{"| CPU | ", "| Go | ", "| file system | ext4 |", "| cups | 7 |"} {
		if !strings.Contains(said, want) {
			t.Errorf("settings lack %q:\n%s", want, said)
		}
	}
}
