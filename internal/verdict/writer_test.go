package verdict_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/internal/verdict"
)

const (
	attemptsEach = 100 // of each goroutine
	processes    = 3
)

// writeMany lets goroutines write attempts, and closes the Writer.
func writeMany(w *verdict.Writer, goroutines int) error {
	var wg sync.WaitGroup
	errs := make([]error, goroutines)
	for g := range goroutines {
		wg.Go(func() {
			for i := range int64(attemptsEach) {
				run := verdict.Run{Name: fmt.Sprintf("name of %d", g), Generation: i + 1, ScheduledFor: i}
				a, err := w.Begin(i, run, i, i)
				if err == nil {
					err = a.End(i, errors.New("with\nlines"))
				}
				errs[g] = errors.Join(errs[g], err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errors.Join(errs...), w.Close())
}

// checkMany wants all attempts of an incarnation whole and in the order of each goroutine.
func checkMany(t *testing.T, records []verdict.Record, inc verdict.Incarnation, goroutines int) {
	t.Helper()
	ended := map[string]int64{}
	serials := map[int64]bool{}
	for _, r := range records {
		if r.Incarnation != inc || r.Op == verdict.Start {
			continue
		}
		if want := ended[r.Name] + 1; r.Generation != want {
			t.Fatalf("line %d: generation %d, want %d", r.Line, r.Generation, want)
		}
		if r.Op == verdict.End {
			ended[r.Name]++
			serials[r.Serial] = true
		}
	}
	for g := range goroutines {
		if got := ended[fmt.Sprintf("name of %d", g)]; got != attemptsEach {
			t.Errorf("%v: goroutine %d has %d attempts, want %d", inc, g, got, attemptsEach)
		}
	}
	if len(serials) != goroutines*attemptsEach {
		t.Errorf("%v: %d serials, want %d", inc, len(serials), goroutines*attemptsEach)
	}
}

func logPath(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "log")
}

func open(t *testing.T, path string, o verdict.WriterOptions) *verdict.Writer {
	t.Helper()
	w, err := verdict.OpenWriter(path, o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func read(t *testing.T, path string) (records []verdict.Record, torn int) {
	t.Helper()
	records, torn, err := verdict.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return records, torn
}

func TestWriter_Goroutines(t *testing.T) {
	path := logPath(t)
	if err := writeMany(open(t, path, verdict.WriterOptions{Incarnation: steady}), 8); err != nil {
		t.Fatal(err)
	}
	records, torn := read(t, path)
	checkMany(t, records, steady, 8)
	if want := 1 + 2*8*attemptsEach; len(records) != want || torn != 0 {
		t.Errorf("%d records, %d torn, want %d and none", len(records), torn, want)
	}
}

// TestWriter_Processes lets processes append to one file at the same time, one of them with fsync.
func TestWriter_Processes(t *testing.T) {
	path := logPath(t)
	var (
		cmds []*exec.Cmd
		ins  []io.Closer
	)
	for boot := range processes {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), writerLog+"="+path, writerBoot+"="+strconv.Itoa(boot+1))
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
			t.Fatalf("the process says %q: %v", line, err)
		}
		if boot == processes-1 { // all are open
			for _, in := range append(ins, in) {
				if _, err := in.(io.Writer).Write([]byte{'\n'}); err != nil {
					t.Fatal(err)
				}
			}
		}
		cmds, ins = append(cmds, cmd), append(ins, in)
	}
	for i, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Errorf("process %d: %v", i+1, err)
		}
	}
	records, torn := read(t, path)
	for boot := range int64(processes) {
		checkMany(t, records, verdict.Incarnation{Node: "child", Boot: boot + 1}, 4)
	}
	if want := processes * (1 + 2*4*attemptsEach); len(records) != want || torn != 0 {
		t.Errorf("%d records, %d torn, want %d and none", len(records), torn, want)
	}
}

// TestWriter_History: what a world writes is read as it was, and judged as it was.
func TestWriter_History(t *testing.T) {
	want := newWorld(1, 100).records
	path := logPath(t)
	w := open(t, path, verdict.WriterOptions{Incarnation: verdict.Incarnation{Node: "test", Boot: 1}, At: dawn, NoSync: true})
	for _, r := range want {
		if err := w.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, _ := read(t, path)
	if len(got) != 1+len(want) || got[0].Op != verdict.Start || got[0].Pid != int64(os.Getpid()) {
		t.Fatalf("%d records, want %d; the first is %v", len(got), 1+len(want), got[0])
	}
	for i, r := range got[1:] {
		if r.Line != i+2 {
			t.Errorf("line %d, want %d", r.Line, i+2)
		}
		if diff := cmp.Diff(want[i].String(), r.String()); diff != "" {
			t.Errorf("line %d (-want +got):\n%s", r.Line, diff)
		}
	}
	if vs := verdict.Check(got, held()); vs != nil {
		t.Errorf("verdicts:\n%v", vs)
	}
}

// TestWriter_TornTail cuts a log at each byte and lets the next incarnation go on.
func TestWriter_TornTail(t *testing.T) {
	path := logPath(t)
	first := open(t, path, verdict.WriterOptions{Incarnation: verdict.Incarnation{Node: "a", Boot: 1}, At: 1, NoSync: true})
	for range 2 {
		if err := first.Append(verdict.Record{Op: verdict.Asked, At: 2, Run: verdict.Run{Name: "tea"}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) + 1 {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		complete := bytes.Count(whole[:n], []byte{'\n'})
		tail := n - bytes.LastIndexByte(whole[:n], '\n') - 1
		wantTorn := min(tail, 1)
		if n < len(whole) && whole[n] == '\n' && tail > 0 { // the record is whole, it lacks the end of its line only
			complete, wantTorn = complete+1, 0
		}
		if records, torn := read(t, path); len(records) != complete || torn != wantTorn {
			t.Fatalf("cut at %d: %d records, %d torn, want %d and %d", n, len(records), torn, complete, wantTorn)
		}
		next := open(t, path, verdict.WriterOptions{Incarnation: verdict.Incarnation{Node: "a", Boot: 2}, At: 3, NoSync: true})
		if err := next.Close(); err != nil {
			t.Fatal(err)
		}
		records, torn := read(t, path)
		if len(records) != complete+1 || torn != wantTorn {
			t.Fatalf("cut at %d and gone on: %d records, %d torn, want %d and %d", n, len(records), torn, complete+1, wantTorn)
		}
		if last := records[complete]; last.Boot != 2 || last.Torn != int64(tail) {
			t.Fatalf("cut at %d: it goes on with %v, want torn=%d", n, last, tail)
		}
	}
}

func TestWriter_Refuses(t *testing.T) {
	path := logPath(t)
	w := open(t, path, verdict.WriterOptions{Incarnation: steady})
	for _, tt := range []struct {
		r    verdict.Record
		want string
	}{
		{r: verdict.Record{}, want: "no such op: Op(0)"},
		{r: verdict.Record{Op: 99}, want: "no such op: Op(99)"},
		{r: verdict.Record{Op: verdict.Put}, want: "put without a name"},
		{r: verdict.Record{Op: verdict.Died, Incarnation: verdict.Incarnation{Boot: -1}}, want: "boot -1"},
		{r: verdict.Record{Op: verdict.Asked, Run: verdict.Run{Name: strings.Repeat("x", 1<<16)}}, want: "a line of"},
	} {
		if err := w.Append(tt.r); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("append %.50v: error %v, want %q", tt.r, err, tt.want)
		}
	}
	a, err := w.Begin(1, verdict.Run{Name: "long"}, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.End(2, errors.New(strings.Repeat("\xff", 1<<16))); err != nil {
		t.Errorf("a long error: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Append(verdict.Record{Op: verdict.Asked, Run: verdict.Run{Name: "x"}}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("append when closed: %v, want %v", err, os.ErrClosed)
	}
	if records, _ := read(t, path); len(records) != 3 || len(records[2].Error) != 4096 {
		t.Errorf("what was refused left a trace: %d records", len(records))
	}
}

func TestOpenWriter_Errors(t *testing.T) {
	if _, err := verdict.OpenWriter(t.TempDir(), verdict.WriterOptions{Incarnation: steady}); err == nil {
		t.Error("opened a directory")
	}
	if _, err := verdict.OpenWriter(logPath(t), verdict.WriterOptions{}); err == nil {
		t.Error("opened for boot 0")
	}
	path := logPath(t)
	if err := os.WriteFile(path, make([]byte, 1<<17), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := verdict.OpenWriter(path, verdict.WriterOptions{Incarnation: steady}); err == nil || !strings.Contains(err.Error(), "no log") {
		t.Errorf("opened what is no log: %v", err)
	}
	if _, _, err := verdict.ReadFile(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("read what is not there: %v", err)
	}
}
