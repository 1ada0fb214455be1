package target_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/target"
)

// onDisk opens a copy of a directory of outputs, as another process would find it after a kill.
func onDisk(t *testing.T, dir string) *target.Outputs {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	o, _ := opened(t, to, target.OutputOptions{})
	return o
}

// wantAttempt compares the first attempt at a task and what it printed; nil is that there is none.
func wantAttempt(t *testing.T, when string, o *target.Outputs, want *target.Attempt, lines ...string) {
	t.Helper()
	all := []target.Attempt{}
	if want != nil {
		all = append(all, *want)
	}
	if diff := cmp.Diff(all, list(t, o, "tea", 0)); diff != "" {
		t.Errorf("%s (-want +got)\n%s", when, diff)
	}
	if want == nil {
		return
	}
	if diff := cmp.Diff(lines, printed(t, o, "tea", 1)); diff != "" {
		t.Errorf("%s (-want +got)\n%s", when, diff)
	}
}

// tea is what is kept of the first attempt at it while it runs.
func tea(size int) target.Attempt {
	return target.Attempt{
		Namespace: "ns", Name: "tea", Kind: "command", RunID: "ns/tea@1@5", Number: 1, Fence: 1, ScheduledFor: epoch,
		Due: epoch.Add(time.Second), Started: epoch.Add(time.Minute), Bytes: int64(size), Running: true,
	}
}

// killed is what is left of it when its process is gone: nobody knows how much it printed.
func killed() *target.Attempt {
	a := tea(0)
	a.Running = false
	return &a
}

// ended is that it has ended by now.
func ended(a target.Attempt, m *clock.Manual) *target.Attempt {
	a.Running, a.Outcome, a.Ended = false, target.OutcomeDone, time.Unix(0, m.Now().Wall).UTC()
	return &a
}

// A held attempt is seen while it runs as any other, and is in the files as a whole when it has ended.
func TestHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "output")
		o, m := opened(t, dir, target.OutputOptions{})
		r := o.BeginHeld(info("tea", 1), 1000)
		write(t, r.Stdout(), "water\n")
		write(t, r.Stderr(), "hot\n")
		m.Advance(100 * time.Millisecond)
		write(t, r.Stdout(), "tea\n")
		lines := []string{"stdout water\n", "stderr hot\n", "stdout tea\n"}
		runs := tea(14)
		wantAttempt(t, "while it runs", o, &runs, lines...)
		wantAttempt(t, "on the disk while it runs", onDisk(t, dir), nil)
		r.End(target.OutcomeDone, "")
		wantAttempt(t, "when it has ended", o, ended(runs, m), lines...)
		wantAttempt(t, "on the disk when it has ended", onDisk(t, dir), ended(runs, m), lines...)
		if o.Memory() != 0 || o.Live() != 0 || o.Held() != 0 {
			t.Errorf("%d bytes, %d attempts, %d held are still there", o.Memory(), o.Live(), o.Held())
		}
	})
}

// What takes longer than a second is on the disk then, and what it prints from then on at once.
func TestHeld_NotForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "output")
		o, m := opened(t, dir, target.OutputOptions{})
		r := o.BeginHeld(info("tea", 1), 1000)
		write(t, r.Stdout(), "water\n")
		time.Sleep(time.Second)
		synctest.Wait()
		wantAttempt(t, "after a second", onDisk(t, dir), killed(), "stdout water\n")
		if o.Held() != 0 {
			t.Errorf("%d are held", o.Held())
		}
		write(t, r.Stdout(), "tea\n")
		wantAttempt(t, "at once", onDisk(t, dir), killed(), "stdout water\n", "stdout tea\n")
		r.End(target.OutcomeDone, "")
		wantAttempt(t, "when it has ended", o, ended(tea(10), m), "stdout water\n", "stdout tea\n")

		next := o.BeginHeld(info("tea", 2), 1000) // it is looked for those that come later, too
		time.Sleep(time.Second)
		synctest.Wait()
		if all := list(t, onDisk(t, dir), "tea", 0); len(all) != 2 {
			t.Errorf("of two attempts %d are on the disk", len(all))
		}
		next.End(target.OutcomeDone, "")
	})
}

// What prints more than is held is written while it runs, and a reader who has begun before goes on where he was.
func TestHeld_MuchIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "output")
		o, _ := opened(t, dir, target.OutputOptions{})
		r := o.BeginHeld(info("tea", 1), 100_000)
		var got strings.Builder
		done := make(chan struct{})
		parts := []string{"0123", strings.Repeat("a", 4000), strings.Repeat("b", 200), strings.Repeat("c", 10_000)}
		want := strings.Join(parts, "")
		write(t, r.Stdout(), parts[0])
		go func() {
			defer close(done)
			for c, err := range o.Chunks(t.Context(), "ns", "tea", info("tea", 1).RunID, 1, true) {
				if err != nil || c.Omitted != 0 {
					t.Errorf("%d left out, %v", c.Omitted, err)
				}
				got.Write(c.Data)
			}
		}()
		synctest.Wait()
		printed := len(parts[0])
		for _, s := range parts[1:] {
			write(t, r.Stdout(), s)
			printed += len(s)
			synctest.Wait()
			if got.String() != want[:printed] {
				t.Errorf("the reader has %d bytes of %d", got.Len(), printed)
			}
		}
		wantAttempt(t, "while it runs", onDisk(t, dir), killed(), "stdout "+want[:4004], "stdout "+want[4004:4204], "stdout "+want[4204:])
		r.End(target.OutcomeDone, "")
		<-done
		if all := list(t, o, "tea", 0); len(all) != 1 || all[0].Bytes != int64(len(want)) || all[0].Omitted != 0 || all[0].Outcome != target.OutcomeDone {
			t.Errorf("%+v", all)
		}
	})
}

// Outputs that are closed write what is held; what runs on goes on without.
func TestHeld_Close(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "output")
		o, _ := opened(t, dir, target.OutputOptions{})
		r := o.BeginHeld(info("tea", 1), 1000)
		write(t, r.Stdout(), "water\n")
		if err := o.Close(); err != nil {
			t.Error(err)
		}
		write(t, r.Stdout(), "tea\n")
		r.End(target.OutcomeDone, "")
		o.BeginHeld(info("tea", 2), 1000).End(target.OutcomeDone, "")
		wantAttempt(t, "afterwards", onDisk(t, dir), killed(), "stdout water\n")
	})
}

// The newest of attempts that overlap are those that began last, whichever is written first.
func TestHeld_NewestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, m := opened(t, filepath.Join(t.TempDir(), "output"), target.OutputOptions{})
		m.Advance(time.Minute)
		o.BeginHeld(info("tea", 1), 1000).End(target.OutcomeDone, "")
		var all []target.Recording
		for n := 2; n <= 5; n++ {
			m.Advance(time.Minute)
			all = append(all, o.BeginHeld(info("tea", n), 1000))
		}
		for _, r := range slices.Backward(all) {
			r.End(target.OutcomeDone, "")
		}
		for limit := 1; limit <= 5; limit++ {
			for i, a := range list(t, o, "tea", limit) {
				if a.Number != 5-i {
					t.Errorf("of %d attempts number %d is attempt %d", limit, i, a.Number)
				}
			}
		}
	})
}

// Where nothing can be written, an attempt is seen while it runs, and the logger is told once.
func TestHeld_CannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		o, m := opened(t, filepath.Join(t.TempDir(), "output"), target.OutputOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		o.BeginHeld(info("first", 1), 1000).End(target.OutcomeDone, "")
		mend, err := o.Break()
		if err != nil {
			t.Fatal(err)
		}
		short := o.BeginHeld(info("short", 1), 1000)
		write(t, short.Stdout(), "lost\n")
		short.End(target.OutcomeDone, "")
		if all := list(t, o, "short", 0); len(all) != 0 {
			t.Errorf("%+v", all)
		}
		r := o.BeginHeld(info("tea", 1), 1000)
		write(t, r.Stdout(), "water\n")
		time.Sleep(time.Second)
		synctest.Wait()
		runs := tea(6)
		wantAttempt(t, "while it runs", o, &runs, "stdout water\n")
		if err := mend(); err != nil {
			t.Fatal(err)
		}
		r.End(target.OutcomeDone, "")
		wantAttempt(t, "when it has ended", o, ended(runs, m), "stdout water\n")
		if s := log.String(); strings.Count(s, "cannot be kept") != 1 || strings.Count(s, "kept again") != 1 {
			t.Errorf("the log says %s", s)
		}
	})
}

// After a write that fails an attempt is not lost as a whole, where the next one does not.
func TestHeld_OneWriteFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, m := opened(t, filepath.Join(t.TempDir(), "output"), target.OutputOptions{Logger: slog.New(slog.DiscardHandler)})
		o.BeginHeld(info("first", 1), 1000).End(target.OutcomeDone, "")
		mend, err := o.Break()
		if err != nil {
			t.Fatal(err)
		}
		if err := mend(); err != nil {
			t.Fatal(err)
		}
		r := o.BeginHeld(info("tea", 1), 1000)
		write(t, r.Stdout(), "water\n")
		r.End(target.OutcomeDone, "")
		wantAttempt(t, "when it has ended", o, ended(tea(6), m), "stdout water\n")
		if err := o.Failing(); err != nil || o.Memory() != 0 || o.Held() != 0 {
			t.Errorf("%v, %d bytes, %d held", err, o.Memory(), o.Held())
		}
	})
}
