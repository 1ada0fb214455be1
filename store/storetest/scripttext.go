package storetest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly/store"
)

// refusals are the errors that a script shows, by their own words.
var refusals = []error{
	store.ErrInvalid, store.ErrExists, store.ErrKindMismatch, store.ErrCondition, store.ErrNotFound, store.ErrRunning,
	store.ErrFinished, store.ErrChanged, store.ErrNotDue, store.ErrBusy, store.ErrPaused, store.ErrTooLate, store.ErrFenced,
	store.ErrClosed,
}

// refusal shows what an error is, and of an invalid argument which one: not the whole message, which stores may word themselves.
func refusal(err error) string {
	for _, r := range refusals {
		if !errors.Is(err, r) {
			continue
		}
		var e *store.Error
		if errors.Is(r, store.ErrInvalid) && errors.As(err, &e) {
			return r.Error() + ": " + e.Field
		}
		return r.Error()
	}
	return "unexpected: " + err.Error()
}

// instantText shows an instant as what has passed since the script began, or in RFC 3339 if that is a year or more.
func instantText(i store.Instant) string {
	if i == 0 || i == store.Never || i == store.Over {
		return i.String()
	}
	d := i.Sub(store.At(scriptStart))
	if d > 365*24*time.Hour || d < -365*24*time.Hour {
		return i.String()
	}
	return durationText(d)
}

func durationText(d time.Duration) string {
	if d < 0 {
		return "-" + durationText(-d)
	}
	var s string
	if days := d / (24 * time.Hour); days > 0 {
		s, d = strconv.Itoa(int(days))+"d", d%(24*time.Hour)
		if d == 0 {
			return s
		}
	}
	t := d.String()
	if strings.HasSuffix(t, "m0s") {
		t = strings.TrimSuffix(t, "0s")
	}
	if strings.HasSuffix(t, "h0m") {
		t = strings.TrimSuffix(t, "0m")
	}
	return s + t
}

// keyText shows a key as a line writes it.
func keyText(k store.Key) string {
	s := k.String()
	if q := strconv.Quote(s); s == "" || strings.Contains(s, " ") || q != `"`+s+`"` {
		return q
	}
	return s
}

func occurrenceText(o store.Occurrence) string {
	if o.Due == o.For {
		return instantText(o.For)
	}
	return instantText(o.For) + " due " + instantText(o.Due)
}

// task shows a task and, below it, its runs.
func (x *script) task(before string, t *store.Task) []string {
	return x.lines(before, t, "")
}

func (x *script) lines(before string, t *store.Task, more string) []string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s %s %s%s", before, keyText(t.Key), x.gens.label(t.Key, t.Generation), t.Kind, more)
	if t.Recurring && t.Starts > 0 {
		fmt.Fprintf(&b, " starts %d last %s", t.Starts, instantText(t.Last))
	}
	if t.Paused() {
		fmt.Fprintf(&b, " paused at %s%s", instantText(t.PausedAt), why(t.PausedWhy))
	}
	switch {
	case t.Ended:
		b.WriteString(" ended")
	case !t.Next.None():
		b.WriteString(" next " + occurrenceText(t.Next))
	}
	out := []string{b.String()}
	for i := range t.Runs {
		out = append(out, "  "+x.run(t, &t.Runs[i]))
	}
	return out
}

// details shows a task with what it was declared to be.
func (x *script) details(t *store.Task) []string {
	var b strings.Builder
	fmt.Fprintf(&b, " accepted %s", instantText(t.AcceptedAt))
	for _, f := range []struct{ name, value string }{
		{"schedule", t.Schedule},
		{"policy", string(t.Policy)},
		{"payload", string(t.Payload)},
		{"limit", t.LimitKey},
		{"tags", strings.Join(t.Tags, ",")},
	} {
		if f.value != "" {
			fmt.Fprintf(&b, " %s=%q", f.name, f.value)
		}
	}
	if t.Priority != 0 {
		fmt.Fprintf(&b, " priority=%d", t.Priority)
	}
	return x.lines("", t, b.String())
}

// left shows what is left of a task after a row, if anything is.
func (x *script) left(before string, k store.Key, t *store.Task) []string {
	if t == nil {
		return []string{before + keyText(k) + ": nothing is left"}
	}
	return x.task(before, t)
}

func why(reason string) string {
	if reason == "" {
		return ""
	}
	return " " + strconv.Quote(reason)
}

// run shows a run. A lease is told by what it is worth now.
func (x *script) run(t *store.Task, r *store.Run) string {
	var b strings.Builder
	fmt.Fprintf(&b, "run for %s %s", instantText(r.For), r.State)
	if r.Generation != t.Generation {
		fmt.Fprintf(&b, " of %s", x.gens.label(t.Key, r.Generation))
	}
	if r.State == store.Pending && r.Due != r.For {
		fmt.Fprintf(&b, " due %s", instantText(r.Due))
	}
	if r.Attempt > 0 {
		fmt.Fprintf(&b, " attempt %d", r.Attempt)
	}
	for _, n := range []struct {
		name string
		n    int64
	}{{"snoozed", int64(r.Snoozed)}, {"lost", int64(r.Lost)}, {"missed", r.Missed}} {
		if n.n > 0 {
			fmt.Fprintf(&b, " %s %d", n.name, n.n)
		}
	}
	if r.Fence != 0 && r.State == store.Running {
		fmt.Fprintf(&b, " fence %s", x.fences.label(t.Key, r.Fence))
		if left := r.Lease.Sub(x.clock().Mono); r.Lease != store.Over && left > 0 {
			fmt.Fprintf(&b, " lease %s", durationText(left))
		} else {
			b.WriteString(" lease over")
		}
	}
	if r.Owner != "" {
		b.WriteString(" by " + r.Owner)
	}
	for _, f := range []struct {
		name string
		is   bool
	}{{"final", r.Final}, {"stop", r.Stop}, {"extra", r.Extra}} {
		if f.is {
			b.WriteString(" " + f.name)
		}
	}
	return b.String() + why(r.Reason)
}

// claimed shows the answer to a claim.
func (x *script) claimed(c store.ClaimResult) string {
	var b strings.Builder
	fmt.Fprintf(&b, "claimed %s for %s", keyText(c.RunID.Key), instantText(c.RunID.For))
	r := c.Task.Run(c.RunID.Generation, c.RunID.For)
	if r == nil {
		return b.String() + ": the answer's task has no such run"
	}
	fmt.Fprintf(&b, " attempt %d fence %s", r.Attempt, x.fences.label(c.RunID.Key, c.Fence))
	if r.Missed > 0 {
		fmt.Fprintf(&b, " missed %d", r.Missed)
	}
	if !c.Task.Next.None() {
		b.WriteString(", next " + occurrenceText(c.Task.Next))
	}
	if late := c.At.Sub(r.Due); late > 0 {
		fmt.Fprintf(&b, ", %s late", durationText(late))
	}
	return b.String()
}

// event shows an entry of the history.
func (x *script) event(v *store.Event, named bool) string {
	var b strings.Builder
	b.WriteString(instantText(v.At) + ":")
	if named {
		b.WriteString(" " + keyText(v.Key))
	}
	fmt.Fprintf(&b, " %s %s>%s %s", v.Verb, v.From, v.To, x.gens.label(v.Key, v.Generation))
	if v.For != 0 {
		b.WriteString(" for " + occurrenceText(store.Occurrence{For: v.For, Due: v.Due}))
	}
	if v.Attempt > 0 {
		fmt.Fprintf(&b, " attempt %d fence %s started %s", v.Attempt, x.fences.label(v.Key, v.Fence), instantText(v.StartedAt))
	}
	if v.AcceptedAt != 0 {
		b.WriteString(" accepted " + instantText(v.AcceptedAt))
	}
	if v.Missed > 0 {
		fmt.Fprintf(&b, " missed %d", v.Missed)
	}
	if v.Owner != "" {
		b.WriteString(" by " + v.Owner)
	}
	return b.String() + why(v.Reason)
}
