package store

import (
	"bytes"
	"slices"
	"strconv"
)

// MaxRuns is how many runs of a task may be there at once before no extra ones are taken, and no dead ones redriven.
const MaxRuns = 1000

// Apply edits.
func (x *Edit) Apply(t *Task, m *Moment) (Change, EditResult) {
	if err := x.Check(); err != nil {
		return Change{}, EditResult{Err: err}
	}
	c, err := x.apply(t, m)
	if err != nil {
		return Change{}, EditResult{Err: x.wrap(err)}
	}
	if !c.Write {
		return Change{}, EditResult{Task: t}
	}
	res := EditResult{Task: c.Task}
	if x.Verb == VerbRescue || x.Verb == VerbBury {
		res.State = c.Events[0].To
	}
	return c, res
}

func (x *Edit) wrap(err error) error {
	if e, ok := err.(*Error); ok { //nolint:errorlint // one of ours as it is
		return e
	}
	return &Error{Op: x.Verb.String(), Key: x.Key, Err: err}
}

func (x *Edit) invalid(field, value, want string) error {
	return &Error{Op: x.Verb.String(), Key: x.Key, Field: field, Value: value, Want: want, Err: ErrInvalid}
}

func (x *Edit) apply(t *Task, m *Moment) (Change, error) {
	if x.IfGeneration != 0 && (!live(t) || t.Generation != x.IfGeneration) {
		return Change{}, ErrCondition
	}
	switch x.Verb {
	case VerbRedrive:
		return x.redrive(t, m)
	case VerbRescue, VerbStop:
		if t == nil {
			return Change{}, x.absent(m)
		}
		if x.Verb == VerbRescue {
			return x.rescue(t, m)
		}
		return x.stop(t, m)
	default:
	}
	if !live(t) && (t == nil || x.Verb != VerbBury) {
		return Change{}, x.absent(m)
	}
	switch x.Verb {
	case VerbMove:
		return x.move(t, m)
	case VerbPause, VerbResume:
		return x.pause(t, m)
	case VerbRun:
		if !t.Recurring {
			return x.move(t, m)
		}
		return x.extra(t, m)
	case VerbSkip:
		return x.skip(t, m)
	case VerbAlign:
		return x.align(t, m)
	default: // VerbBury: Check lets no other through
		return x.bury(t, m)
	}
}

// absent says why there is no task: it has ended, or was never there.
func (x *Edit) absent(m *Moment) error {
	if m.Past == nil {
		return ErrNotFound
	}
	switch was, err := m.Past.Finished(x.Key); {
	case err != nil:
		return err
	case was:
		return ErrFinished
	}
	return ErrNotFound
}

// soon is When, or now.
func (x *Edit) soon(now Instant) Occurrence {
	if x.When.None() {
		return Occurrence{For: now, Due: now}
	}
	return x.When.Resolve(now)
}

func (x *Edit) move(t *Task, m *Moment) (Change, error) {
	payload := t.Payload
	if x.Verb == VerbMove && x.Payload != nil && !bytes.Equal(x.Payload, t.Payload) {
		payload = bytes.Clone(x.Payload)
	}
	if x.Verb == VerbMove && x.When.None() {
		return x.amend(t, m)
	}
	old, waits := t.pending()
	if !waits || t.Recurring && t.Next.None() {
		return Change{}, ErrRunning
	}
	next := x.soon(m.Now)
	if next == t.Next && (x.Schedule == "" || x.Schedule == t.Schedule) && bytes.Equal(payload, t.Payload) {
		return Change{}, nil
	}
	var c Change
	e := c.occurrence(t, old, x.Verb, Pending, m.Now, cut(x.Reason))
	if x.Verb == VerbRun {
		e.Verb = VerbMove
	}
	n := t.clone()
	if t.Next.None() { // the run that waits is what is moved
		i := t.waits()
		n.Runs = slices.Delete(n.Runs, i, i+1)
	}
	n.Next, n.Moved, n.Generation, n.Payload = next, t.Recurring, m.Seq(), payload // a payload that stays is not copied, so that a store need not write it again
	if x.Schedule != "" {
		n.Schedule = x.Schedule
	}
	c.becomes(n)
	return c, nil
}

// amend gives a task another payload, and leaves its instants and what waits for a retry as they are.
func (x *Edit) amend(t *Task, m *Moment) (c Change, err error) {
	old, waits := t.pending()
	switch {
	case !waits && !t.Recurring:
		return c, ErrRunning
	case bytes.Equal(x.Payload, t.Payload):
		return c, nil
	}
	c.occurrence(t, old, VerbMove, Pending, m.Now, cut(x.Reason))
	n := t.clone()
	n.Generation, n.Payload = m.Seq(), bytes.Clone(x.Payload)
	c.becomes(n)
	return c, nil
}

func (x *Edit) pause(t *Task, m *Moment) (c Change, err error) {
	if t.Paused() == (x.Verb == VerbPause) {
		return c, nil
	}
	n := t.clone()
	c.occurrence(t, t.Next, x.Verb, Pending, m.Now, cut(x.Reason))
	if x.Verb == VerbPause {
		n.PausedAt, n.PausedWhy = m.Now, cut(x.Reason)
	} else {
		n.PausedAt, n.PausedWhy = 0, ""
		if err := x.catchUp(&c, n, m.Now); err != nil {
			return Change{}, err
		}
	}
	n.Generation = m.Seq()
	c.becomes(n)
	return c, nil
}

// catchUp sets the occurrence that a task goes on with after a pause. One whose next occurrence is not known, because the last one
// runs or waits for a retry, goes on as it would have.
func (x *Edit) catchUp(c *Change, n *Task, now Instant) error {
	if x.When.None() || n.Next.None() {
		return nil
	}
	old := n.Next
	n.comes(x.When.Resolve(now))
	if x.Missed == 0 {
		return nil
	}
	through := max(x.Through, old.For)
	if n.Next.For <= through {
		return x.invalid("when", n.Next.For.String(), "an occurrence after "+through.String())
	}
	n.Last = max(n.Last, through)
	c.occurrence(n, old, VerbResume, Skipped, now, "paused").Missed = x.Missed
	return nil
}

// extra makes a run beside the schedule. It has a generation of its own, because its nominal instant may be one that the schedule has
// had or will have.
func (x *Edit) extra(t *Task, m *Moment) (c Change, err error) {
	if err := x.room(t); err != nil {
		return c, err
	}
	o := x.soon(m.Now)
	n := t.clone()
	r := Run{Generation: m.Seq(), For: o.For, Due: o.Due, State: Pending, Extra: true, Reason: cut(x.Reason)}
	n.Runs = append(n.Runs, r)
	e := c.occurrence(t, o, VerbRun, Pending, m.Now, r.Reason)
	e.From, e.Generation = None, r.Generation
	c.becomes(n)
	return c, nil
}

// room refuses one more run of a task that has MaxRuns: each is written with all others, whatever happens to one of them.
func (x *Edit) room(t *Task) error {
	if len(t.Runs) >= MaxRuns {
		return x.invalid("runs", strconv.Itoa(len(t.Runs)), "fewer than "+strconv.Itoa(MaxRuns)+" at once")
	}
	return nil
}

func (x *Edit) skip(t *Task, m *Moment) (c Change, err error) {
	if t.Next.None() || t.Next.For != x.For || x.Generation != 0 && x.Generation != t.Generation {
		return c, ErrChanged
	}
	through := max(x.Through, x.For)
	next := x.When.Resolve(m.Now)
	if !next.None() && next.For <= through {
		return c, x.invalid("when", next.For.String(), "an occurrence after "+through.String())
	}
	c.occurrence(t, t.Next, VerbSkip, x.State, m.Now, cut(x.Reason)).Missed = max(x.Missed, 1)
	n := t.clone()
	n.comes(next)
	n.Last = max(t.Last, through)
	c.becomes(n)
	return c, nil
}

// align sets the next occurrence to where the schedule has it now. It is the same declaration as before, so it keeps its generation.
func (x *Edit) align(t *Task, m *Moment) (c Change, err error) {
	if !t.Recurring || t.Moved || t.Next.None() || t.Next.For != x.For || t.Generation != x.Generation {
		return c, ErrChanged
	}
	next, last := x.When.Resolve(m.Now), max(t.Last, x.Through)
	switch {
	case next.For <= last:
		return c, x.invalid("when", next.For.String(), "an occurrence after "+last.String())
	case next == t.Next:
		return c, nil
	}
	c.occurrence(t, t.Next, VerbAlign, Pending, m.Now, cut(x.Reason))
	n := t.clone()
	n.comes(next)
	n.Last = last
	c.becomes(n)
	return c, nil
}

func (x *Edit) rescue(t *Task, m *Moment) (c Change, err error) {
	if held(t, RunID{t.Key, x.Generation, x.For}, x.Fence) == nil {
		return c, ErrFenced
	}
	n := t.clone()
	r := n.Run(x.Generation, x.For)
	if r.Lease > m.Mono {
		return c, ErrRunning
	}
	to := x.State
	if r.last() {
		to = Cancelled
	}
	why := "lost"
	if x.Reason != "" {
		why = cut(x.Reason)
	}
	c.run(t, r, VerbRescue, to, m.Now, why)
	r.Lost++
	if to == Pending {
		r.wait(x.soon(m.Now).Due, why)
	} else {
		x.end(&c, n, r, to, why, m.Now)
	}
	c.becomes(n)
	return c, nil
}

// end takes a run out of its task, and sets the next occurrence of a fixed delay, or ends the schedule, as the run's settling would have.
func (x *Edit) end(c *Change, n *Task, r *Run, to State, why string, now Instant) {
	final := r.Final
	c.end(n, r, to, why)
	switch {
	case final || n.Ended:
	case x.End && to == Dead:
		if !n.Next.None() {
			c.occurrence(n, n.Next, VerbSettle, Cancelled, now, "ended by a run that is dead")
		}
		n.comes(Occurrence{})
	case n.Recurring && n.Next.None() && !x.Next.None():
		n.follow(x.Next, now)
	}
}

func (x *Edit) stop(t *Task, m *Moment) (c Change, err error) {
	if t.Run(x.Generation, x.For) == nil {
		return c, ErrChanged
	}
	n := t.clone()
	r := n.Run(x.Generation, x.For)
	switch {
	case r.State == Pending:
		c.run(t, r, VerbStop, Cancelled, m.Now, cut(x.Reason))
		x.end(&c, n, r, Cancelled, "", m.Now)
	case r.Stop:
		return c, nil
	default:
		c.run(t, r, VerbStop, Running, m.Now, cut(x.Reason))
		r.Stop = true
	}
	c.becomes(n)
	return c, nil
}

func (x *Edit) bury(t *Task, m *Moment) (c Change, err error) {
	n := t.clone()
	why := cut(x.Reason)
	r := n.Run(x.Generation, x.For)
	switch {
	case r != nil && r.State == Running:
		return c, ErrRunning
	case r == nil && (t.Next.None() || t.Next.For != x.For || t.Generation != x.Generation):
		return c, ErrChanged
	case r == nil:
		n.Runs = append(n.Runs, Run{Generation: t.Generation, For: t.Next.For, Due: t.Next.Due, State: Pending})
		r = &n.Runs[len(n.Runs)-1]
		n.comes(x.When.Resolve(m.Now))
		n.Last = max(t.Last, x.For)
		if !n.Next.None() && n.Next.For <= n.Last {
			return c, x.invalid("when", n.Next.For.String(), "an occurrence after "+n.Last.String())
		}
	}
	c.run(t, r, VerbBury, Dead, m.Now, why)
	x.end(&c, n, r, Dead, why, m.Now)
	c.becomes(n)
	return c, nil
}

func (x *Edit) redrive(t *Task, m *Moment) (c Change, err error) {
	if m.Past == nil {
		return c, ErrNotFound
	}
	id := RunID{x.Key, x.Generation, x.For}
	dead, err := m.Past.Dead(id)
	if err != nil {
		return c, err
	}
	if dead == nil {
		return c, ErrNotFound
	}
	if live(t) && !t.Equal(&dead.Spec) || t != nil && t.Run(id.Generation, id.For) != nil {
		return c, ErrExists
	}
	n := dead.clone()
	n.Generation, n.Ended, n.Runs, n.PausedAt, n.PausedWhy = m.Seq(), false, nil, 0, ""
	if t != nil {
		if err := x.room(t); err != nil {
			return c, err
		}
		n = t.clone()
		if t.Ended { // only attempts that run are left of what was there
			n.Spec, n.Generation, n.AcceptedAt, n.Ended, n.PausedAt, n.PausedWhy = dead.Spec, m.Seq(), dead.AcceptedAt, false, 0, ""
		}
	}
	r := dead.Runs[0]
	c.run(dead, &r, VerbRedrive, Pending, m.Now, cut(x.Reason))
	r.Attempt, r.Snoozed, r.Lost, r.BegunAt, r.Final, r.Stop, r.Extra = 0, 0, 0, 0, false, false, n.Recurring
	r.wait(x.soon(m.Now).Due, r.Reason)
	n.Runs = append(n.Runs, r)
	c.Redrive = &id
	c.becomes(n)
	return c, nil
}
