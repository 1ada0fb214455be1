package store

import (
	"bytes"
	"slices"
)

// A Moment is what a transition may look at beside the task.
type Moment struct {
	Now, Mono Instant      // as in Clock
	High      Instant      // the greatest Now there was, if the clock may have been set back; not set: Now
	Seq       func() int64 // the next number of the store's rising sequence
	Past      Past         // what has ended
}

// Past answers what a transition asks, rarely, about what has ended.
type Past interface {
	// Ran says whether the history knows a one-off of this key and identity that was done. Unless the clock was set back that was
	// since its nominal instant.
	Ran(k Key, id Identity, since Instant) (bool, error)
	// Finished says whether the history knows the key.
	Finished(k Key) (bool, error)
	// Dead returns the dead run, with its task, or nil.
	Dead(id RunID) (*Task, error)
}

// A Change is what a transition wants written, all of it or nothing.
type Change struct {
	Write   bool    // false: there is nothing to write
	Task    *Task   // what the name points to from now on; nil: nothing
	Dead    *Task   // a dead run to keep, under Dead.Runs[0]'s id
	Redrive *RunID  // the dead run that is none any more
	Events  []Event // in order; Seq is the store's
}

// becomes completes a change: a task without a next occurrence and without runs is gone.
func (c *Change) becomes(t *Task) {
	c.Write, c.Task = true, t
	if t.Next.None() && len(t.Runs) == 0 {
		c.Task = nil
	}
}

// occurrence notes the end, or the change, of an occurrence that no run has yet.
func (c *Change) occurrence(t *Task, o Occurrence, v Verb, to State, now Instant, why string) *Event {
	c.Events = append(c.Events, Event{
		At: now, Key: t.Key, Kind: t.Kind, Generation: t.Generation, For: o.For, Due: o.Due,
		Verb: v, From: Pending, To: to, AcceptedAt: t.AcceptedAt, Reason: why,
	})
	return &c.Events[len(c.Events)-1]
}

// run notes a move of a run, as it was before.
func (c *Change) run(t *Task, r *Run, v Verb, to State, now Instant, why string) *Event {
	c.Events = append(c.Events, Event{
		At: now, Key: t.Key, Kind: t.Kind, Generation: r.Generation, For: r.For, Due: r.Due,
		Verb: v, From: r.State, To: to, Attempt: r.Attempt, Fence: r.Fence,
		StartedAt: r.StartedAt, Missed: r.Missed, Owner: r.Owner, Reason: why,
	})
	e := &c.Events[len(c.Events)-1]
	if !r.Final || r.Generation == t.Generation {
		e.AcceptedAt = t.AcceptedAt
	}
	return e
}

// live says whether the name counts as taken.
func live(t *Task) bool { return t != nil && !t.Ended }

// pending returns the occurrence of a task that has not begun, or waits for its retry; ok is false if there is none.
func (t *Task) pending() (o Occurrence, ok bool) {
	if !t.Next.None() {
		return t.Next, true
	}
	if i := t.waits(); i >= 0 {
		return Occurrence{For: t.Runs[i].For, Due: t.Runs[i].Due}, true
	}
	return Occurrence{}, false
}

// waits returns the index of the run that waits for its retry, -1 if there is none. A one-off that also runs does not wait: that is
// one with a run that somebody wanted tried again.
func (t *Task) waits() int {
	at := -1
	for i := range t.Runs {
		switch r := &t.Runs[i]; {
		case r.Final || r.Extra:
		case r.State == Pending && at < 0:
			at = i
		case r.State == Running && !t.Recurring:
			return -1
		}
	}
	return at
}

// declares says whether the task is still what its spec declares: an occurrence is to come, or runs; of a one-off that of an instant. What runs
// besides, because somebody wanted it, does not count.
func (t *Task) declares(at Instant) bool {
	if !t.Next.None() {
		return t.Recurring || t.Next.For == at
	}
	return slices.ContainsFunc(t.Runs, func(r Run) bool {
		return !r.Final && !r.Extra && (t.Recurring || !r.Stop && r.For == at)
	})
}

// Apply puts. Where t is what the name points to, nil for nothing.
func (p *Put) Apply(t *Task, m *Moment) (Change, PutResult) {
	if err := p.Check(); err != nil {
		return Change{}, PutResult{Err: err}
	}
	if err := p.refused(t); err != nil {
		return Change{}, PutResult{Err: &Error{Op: "put", Key: p.Key, Err: err}}
	}
	if live(t) && p.OnConflict == Keep {
		return Change{}, PutResult{Outcome: Kept, Task: t}
	}
	next, first := p.instant(t, m.Now)
	if live(t) && t.Equal(&p.Spec) && t.declares(next.For) {
		return Change{}, PutResult{Outcome: Unchanged, Task: t}
	}
	if _, _, relative := p.When.Relative(); !live(t) && !p.Recurring && !relative && m.Past != nil && next.For <= max(m.Now, m.High) {
		switch ran, err := m.Past.Ran(p.Key, IdentityOf(&p.Spec, next.For), next.For); {
		case err != nil:
			return Change{}, PutResult{Err: &Error{Op: "put", Key: p.Key, Err: err}}
		case ran:
			return Change{}, PutResult{Outcome: AlreadyRan}
		}
	}
	return p.accept(t, m, next, first)
}

// refused returns why the task that is there keeps the Put out.
func (p *Put) refused(t *Task) error {
	switch {
	case p.IfAbsent && live(t),
		p.IfGeneration != 0 && (!live(t) || t.Generation != p.IfGeneration),
		p.IfPending && (!live(t) || t.Running() > 0):
		return ErrCondition
	case !live(t):
		return nil
	case t.Kind != p.Kind && !p.AnyKind:
		return ErrKindMismatch
	case p.OnConflict == Fail:
		return ErrExists
	}
	return nil
}

// instant returns the occurrence that the Put asks for, by its policy, and when the burst began that it belongs to.
func (p *Put) instant(t *Task, now Instant) (next Occurrence, first Instant) {
	next = p.When.Resolve(now)
	var old Occurrence
	var waits bool
	if live(t) {
		old, waits = t.pending()
	}
	switch p.OnConflict {
	case KeepTime:
		if waits {
			next = old
		}
	case Earliest:
		if waits && old.Due < next.Due {
			next = old
		}
	case Debounce:
		first = now
		if waits && t.FirstAt != 0 {
			first = t.FirstAt
		}
		if latest := first.Add(p.MaxWait); p.MaxWait > 0 && next.Due > latest {
			next = Occurrence{For: min(next.For, latest), Due: latest}
		}
	case Replace, Keep, Fail:
	}
	return next, first
}

// accept makes the new task. Attempts that run stay, without another after them.
func (p *Put) accept(t *Task, m *Moment, next Occurrence, first Instant) (Change, PutResult) {
	n := &Task{
		Key: p.Key, Spec: p.Spec, Generation: m.Seq(), AcceptedAt: p.AcceptedAt, FirstAt: first, Next: next,
	}
	n.Payload, n.Policy, n.Tags = bytes.Clone(p.Payload), bytes.Clone(p.Policy), slices.Clone(p.Tags)
	if n.AcceptedAt == 0 {
		n.AcceptedAt = m.Now
	}
	n.Moved = p.Recurring && next != p.When.Resolve(m.Now)
	var c Change
	outcome := Created
	if t != nil {
		if !t.Ended {
			outcome = Replaced
			n.PausedAt, n.PausedWhy = t.PausedAt, t.PausedWhy
		}
		if !t.Next.None() {
			c.occurrence(t, t.Next, VerbPut, Cancelled, m.Now, "replaced")
		}
		n.Runs = t.leave(&c, VerbPut, m.Now, "replaced", false)
	}
	c.becomes(n)
	return c, PutResult{Outcome: outcome, Task: n}
}

// leave ends the runs that wait, and returns those that run, which have no attempt after this one.
func (t *Task) leave(c *Change, v Verb, now Instant, why string, stop bool) (runs []Run) {
	for i := range t.Runs {
		r := t.Runs[i]
		if r.State == Pending {
			c.run(t, &r, v, Cancelled, now, why)
			continue
		}
		if !r.Final || stop && !r.Stop {
			c.run(t, &r, v, Running, now, why)
		}
		r.Final = true
		r.Stop = r.Stop || stop
		runs = append(runs, r)
	}
	return runs
}

// Apply cancels.
func (x *Cancel) Apply(t *Task, m *Moment) (Change, CancelResult) {
	if err := x.Check(); err != nil {
		return Change{}, CancelResult{Err: err}
	}
	if x.IfGeneration != 0 && (!live(t) || t.Generation != x.IfGeneration) {
		return Change{}, CancelResult{Err: &Error{Op: "cancel", Key: x.Key, Err: ErrCondition}}
	}
	if t == nil {
		return Change{}, x.past(m)
	}
	why := cut(x.Reason)
	var c Change
	outcome := CancelRunning
	if _, waits := t.pending(); waits || t.Recurring && !t.Ended {
		outcome = CancelCancelled
	}
	n := t.clone()
	if !t.Next.None() {
		c.occurrence(t, t.Next, VerbCancel, Cancelled, m.Now, why)
	}
	n.comes(Occurrence{})
	n.Ended = true
	n.Runs = t.leave(&c, VerbCancel, m.Now, why, x.Stop)
	if len(n.Runs) == 0 {
		outcome = CancelCancelled
	}
	if len(c.Events) > 0 || !t.Ended {
		c.becomes(n)
		n = c.Task
	}
	return c, CancelResult{Outcome: outcome, Task: n}
}

func (x *Cancel) past(m *Moment) CancelResult {
	if m.Past == nil {
		return CancelResult{}
	}
	switch was, err := m.Past.Finished(x.Key); {
	case err != nil:
		return CancelResult{Err: &Error{Op: "cancel", Key: x.Key, Err: err}}
	case was:
		return CancelResult{Outcome: CancelFinished}
	}
	return CancelResult{}
}
