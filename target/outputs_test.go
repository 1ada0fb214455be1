package target_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/target"
)

var epoch = time.Date(2027, 3, 4, 5, 6, 7, 0, time.UTC)

// info is what a handler sees of attempt n at a task.
func info(name string, n int) *duly.AttemptInfo {
	return &duly.AttemptInfo{
		Namespace: "ns", Name: name, Kind: target.KindCommand, RunID: "ns/" + name + "@1@5", Fence: int64(n), Number: n,
		ScheduledFor: epoch, Due: epoch.Add(time.Second), Started: epoch.Add(time.Duration(n) * time.Minute),
	}
}

// opened opens outputs for a test that owns the time.
func opened(t *testing.T, dir string, o target.OutputOptions) (*target.Outputs, *clock.Manual) {
	t.Helper()
	m := clock.NewManual(epoch)
	o.Clock = m
	x, err := target.OpenOutputs(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	return x, m
}

// printed returns the output of an attempt as a line for each chunk: its stream, what was left out before it, its text.
func printed(t *testing.T, o *target.Outputs, name string, n int) (lines []string) {
	t.Helper()
	for c, err := range o.Chunks(t.Context(), "ns", name, info(name, n).RunID, n, false) {
		if err != nil {
			t.Errorf("chunks of %q, %d: %v", name, n, err)
			break
		}
		s := c.Stream
		if c.Omitted > 0 {
			s += fmt.Sprintf(" (%d left out)", c.Omitted)
		}
		lines = append(lines, s+" "+string(c.Data))
	}
	return lines
}

func list(t *testing.T, o *target.Outputs, name string, limit int) []target.Attempt {
	t.Helper()
	all, err := o.Attempts(t.Context(), "ns", name, limit)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// only returns what is kept of the only attempt at a task, and what it printed.
func only(ctx context.Context, t *testing.T, o *target.Outputs, a *duly.AttemptInfo) (target.Attempt, string) {
	t.Helper()
	all, err := o.Attempts(ctx, a.Namespace, a.Name, 0)
	if err != nil || len(all) != 1 {
		t.Fatalf("%+v, %v", all, err)
	}
	var b strings.Builder
	for c, err := range o.Chunks(ctx, a.Namespace, a.Name, a.RunID, a.Number, false) {
		if err != nil {
			t.Fatal(err)
		}
		b.Write(c.Data)
	}
	return all[0], b.String()
}

func write(t *testing.T, w interface{ Write([]byte) (int, error) }, s string) {
	t.Helper()
	if n, err := w.Write([]byte(s)); n != len(s) || err != nil {
		t.Errorf("wrote %d of %d, %v", n, len(s), err)
	}
}

func TestOutputs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "output")
	o, m := opened(t, dir, target.OutputOptions{})
	r := o.Begin(info("tea", 1), 1000)
	write(t, r.Stdout(), "water\n")
	write(t, r.Stderr(), "hot\n")
	m.Advance(time.Second)
	write(t, r.Stdout(), "tea\n")
	want := tea(14)
	if diff := cmp.Diff([]target.Attempt{want}, list(t, o, "tea", 0)); diff != "" {
		t.Errorf("while it runs (-want +got)\n%s", diff)
	}
	lines := []string{"stdout water\n", "stderr hot\n", "stdout tea\n"}
	if diff := cmp.Diff(lines, printed(t, o, "tea", 1)); diff != "" {
		t.Errorf("while it runs (-want +got)\n%s", diff)
	}
	r.End(target.OutcomeFailed, "no milk")
	want.Ended, want.Outcome, want.Reason, want.Running = epoch.Add(time.Second), target.OutcomeFailed, "no milk", false
	again := func(when string, o *target.Outputs) {
		t.Helper()
		if diff := cmp.Diff([]target.Attempt{want}, list(t, o, "tea", 0)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", when, diff)
		}
		if diff := cmp.Diff(lines, printed(t, o, "tea", 1)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", when, diff)
		}
		if all := list(t, o, "coffee", 0); len(all) != 0 {
			t.Errorf("%s: %v", when, all)
		}
	}
	again("when it has ended", o)
	if o.Memory() != 0 || o.Live() != 0 {
		t.Errorf("%d bytes, %d attempts are still there", o.Memory(), o.Live())
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	o, _ = opened(t, dir, target.OutputOptions{})
	again("when it was opened again", o)
	wantPrivate(t, dir)
}

// Attempts at one task that run at the same time keep their outputs apart.
func TestAttemptsTogether(t *testing.T) {
	o, _ := opened(t, t.TempDir(), target.OutputOptions{})
	one, two := o.Begin(info("tea", 1), 1000), o.Begin(info("tea", 2), 1000)
	write(t, one.Stdout(), "one\n")
	write(t, two.Stdout(), "two\n")
	write(t, one.Stdout(), "one\n")
	two.End(target.OutcomeDone, "")
	one.End(target.OutcomeDone, "")
	for n, want := range map[int][]string{1: {"stdout one\n", "stdout one\n"}, 2: {"stdout two\n"}} {
		if diff := cmp.Diff(want, printed(t, o, "tea", n)); diff != "" {
			t.Errorf("%d (-want +got)\n%s", n, diff)
		}
	}
}

// wantPrivate checks that nobody but the owner may read what is there.
func wantPrivate(t *testing.T, dir string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		return
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f.Name(), info.Mode(), err)
		}
	}
}

func TestAttemptsNewestFirst(t *testing.T) {
	o, m := opened(t, t.TempDir(), target.OutputOptions{MaxBytes: 1 << 20}) // segments of 128 KiB
	slow := o.Begin(info("tea", 1), 1000)
	for n := 2; n <= 300; n++ {
		for _, name := range []string{"tea", "coffee"} {
			r := o.Begin(info(name, n), 1000)
			write(t, r.Stdout(), fmt.Sprintf("%s %d\n", name, n))
			m.Advance(time.Millisecond)
			r.End(target.OutcomeDone, "")
		}
	}
	slow.End(target.OutcomeDone, "")
	for _, limit := range []int{1, 5, 299, 300, 1000} {
		all := list(t, o, "tea", limit)
		if len(all) != min(limit, 300) {
			t.Errorf("limit %d: %d attempts", limit, len(all))
		}
		for i, a := range all {
			if a.Number != 300-i || a.Name != "tea" || a.Ended.IsZero() || a.Outcome != target.OutcomeDone {
				t.Errorf("limit %d: %d is %+v", limit, i, a)
				break
			}
		}
	}
	if all := list(t, o, "tea", 0); len(all) != 100 {
		t.Errorf("%d attempts by default", len(all))
	}
	for _, n := range []int{2, 150, 300} {
		if diff := cmp.Diff([]string{fmt.Sprintf("stdout tea %d\n", n)}, printed(t, o, "tea", n)); diff != "" {
			t.Errorf("%d (-want +got)\n%s", n, diff)
		}
	}
}

// Over its limit an output is its beginning and its end, also while it runs, and what was left out is counted.
func TestHeadAndTail(t *testing.T) {
	for _, size := range []int{0, 1, 49_999, 50_000, 50_001, 99_999, 100_000, 100_001, 100_007, 1_000_003, 20_000_000} {
		o, _ := opened(t, t.TempDir(), target.OutputOptions{})
		r := o.Begin(info("tea", 1), 100_000)
		all := make([]byte, size)
		for i := range all {
			all[i] = "0123456789abcdefghijklmnopqrstuvwxyz\n"[i%37]
		}
		for part := range slices.Chunk(all, 33_333) {
			write(t, r.Stdout(), string(part))
		}
		check := func(when string) {
			t.Helper()
			var got []byte
			var omitted int64
			for c, err := range o.Chunks(t.Context(), "ns", "tea", "ns/tea@1@5", 1, false) {
				if err != nil {
					t.Fatal(err)
				}
				if c.Omitted > 0 && len(got) != 50_000 {
					t.Errorf("%d, %s: left out after %d bytes", size, when, len(got))
				}
				omitted += c.Omitted
				got = append(got, c.Data...)
			}
			want := all
			if size > 100_000 {
				want = slices.Concat(all[:50_000], all[size-50_000:])
			}
			if !bytes.Equal(got, want) || omitted != int64(size-len(want)) {
				t.Errorf("%d, %s: got %d bytes, %d left out; want %d", size, when, len(got), omitted, len(want))
			}
			if a := list(t, o, "tea", 1)[0]; a.Bytes != int64(size) || a.Omitted != omitted {
				t.Errorf("%d, %s: %+v", size, when, a)
			}
		}
		check("while it runs")
		if m := o.Memory(); m > 60_000 {
			t.Errorf("%d: %d bytes of memory", size, m)
		}
		r.End(target.OutcomeDone, "")
		check("when it has ended")
	}
}

// What is printed byte by byte on two streams costs no more memory and room than its limit allows for.
func TestPiecesAreBounded(t *testing.T) {
	dir := t.TempDir()
	o, _ := opened(t, dir, target.OutputOptions{})
	r := o.Begin(info("tea", 1), 1<<20)
	for range 30_000 {
		write(t, r.Stdout(), "o")
		write(t, r.Stderr(), "e")
	}
	if m := o.Memory(); m == 0 || m > 1<<20 {
		t.Errorf("%d bytes of memory", m)
	}
	r.End(target.OutcomeDone, "")
	if n := size(t, dir); n > 3<<20 {
		t.Errorf("%d bytes in files", n)
	}
	if a := list(t, o, "tea", 1)[0]; a.Bytes != 60_000 || a.Bytes-a.Omitted < 10_000 {
		t.Errorf("%+v", a)
	}
}

func size(t *testing.T, dir string) (n int64) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if info, err := f.Info(); err == nil {
			n += info.Size()
		}
	}
	return n
}

// The memory for the ends of all outputs has one limit, and is given back.
func TestMemoryIsBounded(t *testing.T) {
	const most = 1 << 20
	o, _ := opened(t, t.TempDir(), target.OutputOptions{MaxMemory: most})
	var all []target.Recording
	for n := 1; n <= 20; n++ {
		r := o.Begin(info("tea", n), 400_000)
		all = append(all, r)
		for range 20 {
			write(t, r.Stdout(), strings.Repeat("x", 40_000))
		}
	}
	if m := o.Memory(); m > most+20*(40_000+64) {
		t.Errorf("%d bytes of memory", m)
	}
	for _, r := range all {
		r.End(target.OutcomeDone, "")
	}
	if m := o.Memory(); m != 0 {
		t.Errorf("%d bytes of memory are not given back", m)
	}
	for _, a := range list(t, o, "tea", 0) {
		if a.Bytes != 800_000 || a.Omitted < 400_000 || a.Omitted >= 600_000 {
			t.Errorf("%+v", a)
		}
	}
}

// A character is not cut by the pipe it comes through, nor by the limit.
func TestCharactersStayWhole(t *testing.T) {
	o, _ := opened(t, t.TempDir(), target.OutputOptions{})
	r := o.Begin(info("tea", 1), 1000)
	text := strings.Repeat("grüße, 世界 🍵\n", 400)
	for part := range slices.Chunk([]byte(text), 7) {
		write(t, r.Stdout(), string(part))
	}
	write(t, r.Stdout(), "\xe4\xb8") // half of one, at the end
	r.End(target.OutcomeDone, "")
	whole := strings.Join(printed(t, o, "tea", 1), "")
	if n := strings.Count(strings.ToValidUTF8(whole, "\x00"), "\x00"); n > 1 || !strings.HasSuffix(whole, "\xe4\xb8") {
		t.Errorf("%d halves in %q", n, whole)
	}
}

func TestOutputsAgeAndSize(t *testing.T) {
	dir := t.TempDir()
	o, m := opened(t, dir, target.OutputOptions{MaxAge: 24 * time.Hour, MaxBytes: 1 << 20})
	old := o.Begin(info("old", 1), 1000)
	write(t, old.Stdout(), "old\n")
	old.End(target.OutcomeDone, "")
	m.Advance(23 * time.Hour)
	if len(list(t, o, "old", 0)) != 1 {
		t.Error("too early")
	}
	m.Advance(2 * time.Hour)
	if all := list(t, o, "old", 0); len(all) != 0 {
		t.Errorf("after a day: %+v", all)
	}
	if n := size(t, dir); n != 0 {
		t.Errorf("after a day there are %d bytes", n)
	}
	for n := 1; n <= 200; n++ {
		r := o.Begin(info("tea", n), 1<<20)
		write(t, r.Stdout(), strings.Repeat("x", 30_000))
		r.End(target.OutcomeDone, "")
		if n := size(t, dir); n > 1<<20 {
			t.Fatalf("there are %d bytes", n)
		}
	}
	if n := size(t, dir); n < 3<<18 {
		t.Errorf("there are only %d bytes", n)
	}
	all := list(t, o, "tea", 1000)
	if len(all) < 20 || len(all) > 36 || all[0].Number != 200 {
		t.Errorf("%d attempts, the first %+v", len(all), all[0])
	}
	for c, err := range o.Chunks(t.Context(), "ns", "tea", info("tea", 1).RunID, 1, false) {
		if !errors.Is(err, duly.ErrNotFound) {
			t.Errorf("%+v, %v", c, err)
		}
	}
}

// What a crash has cut off, at whatever byte, is kept as far as it goes, and what follows it is whole.
func TestHalfWritten(t *testing.T) {
	dir := t.TempDir()
	o, _ := opened(t, dir, target.OutputOptions{})
	r := o.Begin(info("tea", 1), 1000)
	write(t, r.Stdout(), "one\n")
	write(t, r.Stdout(), "two\n")
	r.End(target.OutcomeDone, "")
	files, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	whole, err := os.ReadFile(files[0])
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	seen := map[int]bool{}
	for n := range len(whole) + 1 {
		dir := t.TempDir()
		half := whole[:n]
		if n%2 == 1 {
			half = append(slices.Clone(half), 0, 1, 2, 3) // a block that was not written in its order
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(files[0])), half, 0o600); err != nil {
			t.Fatal(err)
		}
		o, err := target.OpenOutputs(dir, target.OutputOptions{Clock: clock.NewManual(epoch), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(n, err)
		}
		// What is written next must not have an old half behind it, in which there may be what looks like a record.
		if mended, err := os.ReadFile(filepath.Join(dir, filepath.Base(files[0]))); !errors.Is(err, os.ErrNotExist) && n > 8 && !bytes.HasPrefix(whole, mended) { // without a record it goes
			t.Errorf("%d: %v, the half is still there", n, err)
		}
		r := o.Begin(info("coffee", 7), 1000)
		write(t, r.Stdout(), "black\n")
		r.End(target.OutcomeDone, "")
		if got := printed(t, o, "coffee", 7); len(got) != 1 || got[0] != "stdout black\n" {
			t.Fatalf("%d: what follows is %q", n, got)
		}
		if all := list(t, o, "tea", 0); len(all) == 1 {
			lines := printed(t, o, "tea", 1)
			seen[len(lines)] = true
			if all[0].Running || all[0].Ended.IsZero() != (all[0].Outcome == "") || len(lines) > 2 || len(lines) > 0 && lines[0] != "stdout one\n" {
				t.Errorf("%d: %+v, %q", n, all[0], lines)
			}
		} else if len(all) != 0 {
			t.Errorf("%d: %+v", n, all)
		}
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(seen) != 3 {
		t.Errorf("the cuts left %v lines, want each of 0, 1, 2", seen)
	}
}

// An output that can't be written fails nobody; it is told once, and once when it can be written again.
func TestOutputThatCannotBeWritten(t *testing.T) {
	var log bytes.Buffer
	o, _ := opened(t, filepath.Join(t.TempDir(), "output"), target.OutputOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	before := o.Begin(info("tea", 1), 1000)
	write(t, before.Stdout(), "head\n")
	mend, err := o.Break()
	if err != nil {
		t.Fatal(err)
	}
	write(t, before.Stdout(), "in memory\n")
	meanwhile := o.Begin(info("tea", 2), 1000)
	write(t, meanwhile.Stdout(), "seen\n")
	if diff := cmp.Diff([]string{"stdout seen\n"}, printed(t, o, "tea", 2)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	lost := o.Begin(info("tea", 3), 1000)
	lost.End(target.OutcomeDone, "")
	if all := list(t, o, "tea", 0); len(all) != 2 || !all[0].Running || !all[1].Running {
		t.Errorf("%+v", all)
	}
	if err := mend(); err != nil {
		t.Fatal(err)
	}
	write(t, before.Stdout(), "after\n") // in its place behind what is in memory
	before.End(target.OutcomeDone, "")
	meanwhile.End(target.OutcomeDone, "")
	for n, want := range map[int][]string{1: {"stdout head\n", "stdout in memory\nafter\n"}, 2: {"stdout seen\n"}} {
		if diff := cmp.Diff(want, printed(t, o, "tea", n)); diff != "" {
			t.Errorf("%d (-want +got)\n%s", n, diff)
		}
	}
	if s := log.String(); strings.Count(s, "cannot be kept") != 1 || strings.Count(s, "kept again") != 1 || strings.Count(s, "\n") != 2 {
		t.Errorf("the log says %s", s)
	}
}

func TestOutputOptions(t *testing.T) {
	for field, o := range map[string]target.OutputOptions{
		"MaxAge": {MaxAge: -1}, "MaxBytes": {MaxBytes: 1000}, "MaxMemory": {MaxMemory: -1},
	} {
		var e *target.Error
		if _, err := target.OpenOutputs(t.TempDir(), o); !errors.As(err, &e) || e.Field != field || !errors.Is(err, duly.ErrInvalid) {
			t.Errorf("%s: %v", field, err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := target.OpenOutputs(file, target.OutputOptions{}); err == nil {
		t.Error("opened a file")
	}
	var none *target.Outputs
	r := none.Begin(info("tea", 1), 1000)
	write(t, r.Stdout(), "x")
	r.End(target.OutcomeDone, "")
	if all, err := none.Attempts(t.Context(), "", "tea", 1); len(all) != 0 || err != nil {
		t.Error(all, err)
	}
	for _, err := range none.Chunks(t.Context(), "", "tea", "x", 1, true) {
		if !errors.Is(err, duly.ErrNotFound) {
			t.Error(err)
		}
	}
	if err := none.Close(); err != nil {
		t.Error(err)
	}
}

// A stuckClock keeps whoever asks it in the middle of a write, once.
type stuckClock struct {
	*clock.Manual

	outputs  atomic.Pointer[target.Outputs]
	in, goes chan struct{}
}

func (c *stuckClock) Read() clock.Reading {
	if o := c.outputs.Load(); o != nil && o.Writing() && c.outputs.CompareAndSwap(o, nil) {
		close(c.in)
		<-c.goes
	}
	return c.Manual.Read()
}

// That a write hangs is told, and who asks does not wait for it.
func TestOutputs_Hang(t *testing.T) {
	c := &stuckClock{Manual: clock.NewManual(epoch), in: make(chan struct{}), goes: make(chan struct{})}
	o, err := target.OpenOutputs(t.TempDir(), target.OutputOptions{Clock: c, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	r := o.Begin(info("tea", 1), 1000)
	c.outputs.Store(o)
	done := make(chan struct{})
	go func() {
		defer close(done)
		write(t, r.Stdout(), "one\n")
	}()
	<-c.in
	for _, x := range []struct {
		after time.Duration
		want  string
	}{{9 * time.Second, "<nil>"}, {2 * time.Second, "the disk hangs: it has not come back from a write for 11s"}} {
		c.Advance(x.after)
		if got := fmt.Sprint(o.Failing()); got != x.want {
			t.Errorf("%v later: %s, want %s", x.after, got, x.want)
		}
	}
	close(c.goes)
	<-done
	if err := o.Failing(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	r.End(target.OutcomeDone, "")
	if err := o.Close(); err != nil {
		t.Error(err)
	}
}
