package storetest

import (
	"fmt"
	"strings"

	"github.com/dulyhq/duly/store"
)

// show returns a task in one line, without its payload.
func show(t *store.Task) string {
	if t == nil {
		return "no task"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s kind=%s generation=%d accepted=%v", t.Key, t.Kind, t.Generation, t.AcceptedAt)
	if !t.Next.None() {
		fmt.Fprintf(&b, " next=%s", showOccurrence(t.Next))
	}
	if t.Moved {
		b.WriteString(" moved")
	}
	if t.Last != 0 {
		fmt.Fprintf(&b, " last=%v", t.Last)
	}
	if t.Starts != 0 {
		fmt.Fprintf(&b, " starts=%d", t.Starts)
	}
	if t.Paused() {
		fmt.Fprintf(&b, " paused=%v %q", t.PausedAt, t.PausedWhy)
	}
	if t.Ended {
		b.WriteString(" ended")
	}
	for i := range t.Runs {
		r := &t.Runs[i]
		fmt.Fprintf(&b, " [%v of %d for %v due %v attempt=%d fence=%d", r.State, r.Generation, r.For, r.Due, r.Attempt, r.Fence)
		for _, flag := range []struct {
			is   bool
			name string
		}{{r.Final, "final"}, {r.Stop, "stop"}, {r.Extra, "extra"}} {
			if flag.is {
				b.WriteString(" " + flag.name)
			}
		}
		if r.Lost > 0 || r.Snoozed > 0 || r.Missed > 0 {
			fmt.Fprintf(&b, " lost=%d snoozed=%d missed=%d", r.Lost, r.Snoozed, r.Missed)
		}
		if r.Reason != "" {
			fmt.Fprintf(&b, " %.40q", r.Reason)
		}
		b.WriteString("]")
	}
	return b.String()
}

// showOccurrence returns an occurrence, with its due if that is another instant.
func showOccurrence(o store.Occurrence) string {
	if o.Due == o.For {
		return o.For.String()
	}
	return o.For.String() + " due " + o.Due.String()
}

// showEvent returns an entry of the history in one line.
func showEvent(v *store.Event) string {
	s := fmt.Sprintf("%d: at %v %s kind=%s generation=%d for %s: %v>%v by %v accepted=%v", v.Seq, v.At, v.Key, v.Kind, v.Generation,
		showOccurrence(store.Occurrence{For: v.For, Due: v.Due}), v.From, v.To, v.Verb, v.AcceptedAt)
	if v.Attempt > 0 {
		s += fmt.Sprintf(" attempt=%d fence=%d started=%v by %q", v.Attempt, v.Fence, v.StartedAt, v.Owner)
	}
	if v.Missed > 0 {
		s += fmt.Sprintf(" missed=%d", v.Missed)
	}
	if v.Reason != "" {
		s += fmt.Sprintf(" %.40q", v.Reason)
	}
	if v.Identity != (store.Identity{}) {
		s += fmt.Sprintf(" identity=%x", v.Identity[:4])
	}
	return s
}
