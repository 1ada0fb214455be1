package target_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/target"
)

// written returns the files of outputs in which some attempts have printed, by their names; with sealed, an index is among them.
func written(tb testing.TB, sealed bool) map[string][]byte {
	tb.Helper()
	dir := tb.TempDir()
	o, err := target.OpenOutputs(dir, target.OutputOptions{Clock: clock.NewManual(epoch), MaxBytes: 1 << 20})
	if err != nil {
		tb.Fatal(err)
	}
	for n := 1; n <= 3; n++ {
		r := o.Begin(info("tea", n), 20)
		_, _ = r.Stdout().Write([]byte("water\n")) // never fails
		_, _ = r.Stderr().Write([]byte("too hot for this limit\n"))
		if n < 3 {
			r.End(target.OutcomeDone, "")
		}
	}
	if sealed {
		for range 5 {
			r := o.Begin(info("coffee", 1), 100_000)
			_, _ = r.Stdout().Write(make([]byte, 40_000))
			r.End(target.OutcomeDone, "")
		}
	}
	files := map[string][]byte{}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		tb.Fatal(err)
	}
	for _, name := range names {
		if files[filepath.Base(name)], err = os.ReadFile(name); err != nil {
			tb.Fatal(err)
		}
	}
	if err := o.Close(); err != nil {
		tb.Fatal(err)
	}
	return files
}

// readAll opens a directory with these files and reads all that is in it; none of it may fail, whatever the files are. Then it writes,
// and reads that.
func readAll(t *testing.T, files map[string][]byte) (attempts, chunks int) {
	t.Helper()
	dir := t.TempDir()
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o, err := target.OpenOutputs(dir, target.OutputOptions{Clock: clock.NewManual(epoch), MaxBytes: 1 << 20, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tea", "coffee"} {
		all, err := o.Attempts(t.Context(), "ns", name, 0)
		if err != nil {
			t.Errorf("attempts: %v", err)
		}
		attempts += len(all)
		for _, a := range all {
			for c, err := range o.Chunks(t.Context(), "ns", name, a.RunID, a.Number, true) {
				if err != nil || c.Omitted < 0 || c.Stream == "" && len(c.Data) > 0 {
					t.Errorf("chunks: %+v, %v", c, err)
				}
				chunks++
			}
		}
	}
	r := o.Begin(info("new", 1), 1000)
	write(t, r.Stdout(), "written\n")
	r.End(target.OutcomeDone, "")
	if got := printed(t, o, "new", 1); len(got) != 1 || got[0] != "stdout written\n" {
		t.Errorf("what was written is %q", got)
	}
	if err := o.Close(); err != nil {
		t.Error(err)
	}
	return attempts, chunks
}

func TestReadFiles(t *testing.T) {
	for sealed, want := range map[bool][2]int{false: {3, 8}, true: {8, 8 + 10}} {
		files := written(t, sealed)
		if len(files) != map[bool]int{false: 1, true: 3}[sealed] {
			t.Errorf("sealed %t: %d files", sealed, len(files))
		}
		if a, c := readAll(t, files); a != want[0] || c != want[1] {
			t.Errorf("sealed %t: %d attempts, %d chunks; want %v", sealed, a, c, want)
		}
	}
}

// An index that is missing, damaged or of another file is made again.
func TestIndexIsMadeAgain(t *testing.T) {
	files := written(t, true)
	want, chunks := readAll(t, files)
	const name = "0000000000000001.idx"
	whole := files[name]
	if len(whole) == 0 {
		t.Fatal("no index")
	}
	for what, b := range map[string][]byte{"empty": {}, "half": whole[:len(whole)/2], "zero": make([]byte, len(whole)), "longer": append(slices.Clone(whole), 0)} {
		files[name] = b
		if a, c := readAll(t, files); a != want || c != chunks {
			t.Errorf("%s: %d attempts, %d chunks; want %d, %d", what, a, c, want, chunks)
		}
	}
	for i := range whole {
		files[name] = slices.Clone(whole)
		files[name][i] ^= 1
		if a, c := readAll(t, files); a != want || c != chunks {
			t.Errorf("byte %d: %d attempts, %d chunks; want %d, %d", i, a, c, want, chunks)
		}
	}
	delete(files, name)
	files["0000000000000009.idx"], files["0000000000000009.idx.new"] = whole, whole // without a log
	if a, c := readAll(t, files); a != want || c != chunks {
		t.Errorf("missing: %d attempts, %d chunks; want %d, %d", a, c, want, chunks)
	}
}

// A file that another version, or somebody else, has written is left alone.
func TestForeignFilesStay(t *testing.T) {
	dir := t.TempDir()
	names := []string{"0000000000000007.log", "notes.txt", "7.log", "0000000000000000.log", "000000000000000A.log"}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("dulyout9 and so on"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o, _ := opened(t, dir, target.OutputOptions{Logger: slog.New(slog.DiscardHandler)})
	r := o.Begin(info("tea", 1), 1000)
	write(t, r.Stdout(), "x")
	r.End(target.OutcomeDone, "")
	if got := printed(t, o, "tea", 1); len(got) != 1 {
		t.Errorf("%q", got)
	}
	for _, name := range names {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != "dulyout9 and so on" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}

// summed puts right the checksums of a log and of its index, so that it is what is in them that is wrong.
func summed(log, idx []byte) {
	le, table := binary.LittleEndian, crc32.MakeTable(crc32.Castagnoli)
	for off := 8; off+8 <= len(log); {
		body := log[off+8:]
		n := int(le.Uint32(log[off:])) % (len(body) + 1)
		le.PutUint32(log[off:], uint32(n))
		if n > 0 {
			body[0] %= 3
		}
		le.PutUint32(log[off+4:], crc32.Checksum(body[:n], table))
		off += 8 + n
	}
	const head, entry = 40, 12
	if len(idx) >= head {
		le.PutUint32(idx[12:], uint32((len(idx)-head)/entry))
		le.PutUint64(idx[32:], uint64(len(log)))
		le.PutUint32(idx[8:], crc32.Checksum(idx[12:], table))
	}
}

// FuzzOutputsFile lets a log and an index be anything, also with checksums that are right.
func FuzzOutputsFile(f *testing.F) {
	for _, sealed := range []bool{false, true} {
		files := written(f, sealed)
		log := files["0000000000000001.log"]
		f.Add(log[:min(len(log), 4000)], files["0000000000000001.idx"])
	}
	f.Add([]byte("dulyout1"), []byte("dulyidx1"))
	f.Fuzz(func(t *testing.T, log, idx []byte) {
		readAll(t, map[string][]byte{"0000000000000001.log": log, "0000000000000001.idx": idx})
		log, idx = slices.Clone(log), slices.Clone(idx)
		summed(log, idx)
		readAll(t, map[string][]byte{"0000000000000001.log": log, "0000000000000001.idx": idx, "0000000000000002.log": log})
	})
}

// killedVar has the test's own program be the process that is killed.
const killedVar = "DULY_TARGET_KILLED"

// TestKilled is a real kill -9 of a process that writes: what it said it had written is there, and what comes after is whole.
func TestKilled(t *testing.T) {
	if dir := os.Getenv(killedVar); dir != "" {
		writeUntilKilled(t, dir)
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	want := map[int]int{} // lines, by attempt
	cut := map[int]bool{} // those that a kill may have been in
	for range 5 {
		last := 0
		cmd := exec.Command(self, "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), killedVar+"="+dir)
		said, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(said); lines.Scan(); {
			var attempt, line int
			if n, _ := fmt.Sscanf(lines.Text(), "wrote %d %d", &attempt, &line); n != 2 {
				continue
			}
			want[attempt] = max(want[attempt], line) // also what was said while it was being killed
			last = attempt
			if line == 20 && attempt%3 == 2 {
				_ = cmd.Process.Kill()
			}
		}
		_ = cmd.Wait() // killed
		cut[last] = true
	}
	o, err := target.OpenOutputs(dir, target.OutputOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close() //nolint:errcheck // nothing is written
	all := list(t, o, "tea", 1000)
	if len(want) < 10 || len(all) < len(want) {
		t.Errorf("%d attempts, want %d", len(all), len(want))
	}
	for attempt, lines := range want {
		got := strings.Join(printed(t, o, "tea", attempt), "")
		for line := 1; line <= lines; line++ {
			if !strings.Contains(got, fmt.Sprintf("stdout line %d\n", line)) {
				t.Errorf("attempt %d: line %d of %d is lost: %q", attempt, line, lines, got)
				break
			}
		}
	}
	for _, a := range all {
		if (a.Outcome == "") != a.Ended.IsZero() || a.Running || a.Outcome == "" && !cut[a.Number] && want[a.Number] == 20 {
			t.Errorf("%+v", a)
		}
	}
}

// writeUntilKilled writes attempts after those that are there, and says each line that is written. It ends by itself if nobody kills it.
func writeUntilKilled(t *testing.T, dir string) {
	t.Helper()
	o, err := target.OpenOutputs(dir, target.OutputOptions{})
	if err != nil {
		t.Fatal(err)
	}
	first := 1
	if all := list(t, o, "tea", 1); len(all) > 0 {
		first = all[0].Number + 1
	}
	for n := first; n < first+1000; n++ {
		i := info("tea", n)
		i.Started = epoch.AddDate(10, 0, 0) // not too old by the real clock
		r := o.Begin(i, 1000)
		for line := 1; line <= 20; line++ {
			write(t, r.Stdout(), fmt.Sprintf("line %d\n", line))
			if _, err := fmt.Fprintf(os.Stdout, "wrote %d %d\n", n, line); err != nil {
				t.Fatal(err)
			}
		}
		r.End(target.OutcomeDone, "")
	}
	t.Fatal("nobody has killed it")
}

// BenchmarkAttempt is what an attempt costs that prints two lines, with all others at the same time; per second a thousand times
// its time is what keeping the output takes of a core.
func BenchmarkAttempt(b *testing.B) {
	o, err := target.OpenOutputs(b.TempDir(), target.OutputOptions{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r := o.Begin(info("tea", i), 1<<20)
		for _, s := range []string{"one line of output\n", "and another one\n"} {
			if _, err := r.Stdout().Write([]byte(s)); err != nil {
				b.Fatal(err)
			}
		}
		r.End(target.OutcomeDone, "")
	}
	if err := o.Close(); err != nil {
		b.Error(err)
	}
}

func TestNotKeptIsNotFound(t *testing.T) {
	o, _ := opened(t, t.TempDir(), target.OutputOptions{})
	r := o.Begin(info("tea", 1), 1000)
	r.End(target.OutcomeDone, "")
	for _, x := range []struct {
		namespace, name, run string
		attempt              int
	}{{"ns", "tea", "ns/tea@1@5", 2}, {"ns", "tea", "ns/tea@1@6", 1}, {"", "tea", "ns/tea@1@5", 1}, {"ns", "coffee", "ns/tea@1@5", 1}} {
		for c, err := range o.Chunks(t.Context(), x.namespace, x.name, x.run, x.attempt, true) {
			if !errors.Is(err, duly.ErrNotFound) {
				t.Errorf("%+v: %+v, %v", x, c, err)
			}
		}
	}
}
