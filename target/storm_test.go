package target_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/dulyhq/duly/target"
)

// Attempts that print, readers that list, read and follow, and a directory that is too small for them all at the same time: what is read
// is of the attempt that was asked for, in its order, whole but for what was left out, which is counted.
func TestOutputsStorm(t *testing.T) {
	dir := t.TempDir()
	o, _ := opened(t, dir, target.OutputOptions{MaxBytes: 1 << 20})
	const tasks, each = 8, 10
	line := func(task, attempt, i int) string {
		return fmt.Sprintf("%d %d %05d %s\n", task, attempt, i, strings.Repeat("x", 100))
	}
	var writers, readers sync.WaitGroup
	over := make(chan struct{})
	for task := range tasks {
		name := fmt.Sprintf("task-%d", task)
		writers.Go(func() {
			for n := 1; n <= each; n++ {
				r := o.Begin(info(name, n), 20_000)
				for i := range 300 {
					w := r.Stdout()
					if i%3 == 0 {
						w = r.Stderr()
					}
					write(t, w, line(task, n, i))
				}
				r.End(target.OutcomeDone, "")
			}
		})
		readers.Go(func() {
			for {
				all, err := o.Attempts(t.Context(), "ns", name, 5)
				if err != nil {
					t.Error(err)
				}
				for _, a := range all {
					readWhole(t, o, &a, func(i int) string { return line(task, a.Number, i) })
				}
				select {
				case <-over:
					return
				default:
				}
			}
		})
	}
	writers.Wait()
	close(over)
	readers.Wait()
	if n := size(t, dir); n > 1<<20 {
		t.Errorf("%d bytes", n)
	}
	if o.Memory() != 0 || o.Live() != 0 {
		t.Errorf("%d bytes of memory, %d attempts are left", o.Memory(), o.Live())
	}
}

// readWhole follows an attempt and holds what it printed to its lines. All of them have one length.
func readWhole(t *testing.T, o *target.Outputs, a *target.Attempt, line func(i int) string) {
	t.Helper()
	var whole strings.Builder
	for i := range 300 {
		whole.WriteString(line(i))
	}
	off := int64(0)
	for c, err := range o.Chunks(t.Context(), "ns", a.Name, a.RunID, a.Number, true) {
		if err != nil {
			if off > 0 || !strings.Contains(err.Error(), "no such attempt") { // deleted before it was read
				t.Error(err)
			}
			return
		}
		off += c.Omitted
		if end := off + int64(len(c.Data)); end > int64(whole.Len()) || whole.String()[off:end] != string(c.Data) {
			t.Errorf("%s, %d at %d: %.40q", a.Name, a.Number, off, c.Data)
			return
		}
		off += int64(len(c.Data))
	}
	if off != int64(whole.Len()) {
		t.Errorf("%s, %d: %d bytes, want %d", a.Name, a.Number, off, whole.Len())
	}
}
