package sim_test

import (
	"fmt"
	"strings"

	"github.com/dulyhq/duly/store"
)

// show is an instant of the wall clock as the log has it.
func show(i store.Instant) string {
	switch i {
	case 0, store.Never, store.Over:
		return i.String()
	}
	return i.Time().Format("02T15:04:05.000000")
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

// showTask is a task in a line.
func showTask(t *store.Task) string {
	if t == nil {
		return "gone"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "g%d %s", t.Generation, t.Schedule)
	if t.Ended {
		b.WriteString(" ended")
	}
	if t.Paused() {
		b.WriteString(" paused")
	}
	if !t.Next.None() {
		b.WriteString(" next " + show(t.Next.For))
		if t.Next.Due != t.Next.For {
			b.WriteString(" due " + show(t.Next.Due))
		}
	}
	for i := range t.Runs {
		r := &t.Runs[i]
		fmt.Fprintf(&b, "; %v g%d %s #%d", r.State, r.Generation, show(r.For), r.Attempt)
		if r.State == store.Running {
			fmt.Fprintf(&b, " f%d", r.Fence)
		} else {
			b.WriteString(" due " + show(r.Due))
		}
		if r.Lost > 0 {
			fmt.Fprintf(&b, " lost %d", r.Lost)
		}
		for _, f := range []struct {
			name string
			on   bool
		}{{"final", r.Final}, {"stop", r.Stop}, {"extra", r.Extra}} {
			if f.on {
				b.WriteString(" " + f.name)
			}
		}
	}
	return b.String()
}
