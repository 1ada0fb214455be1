package store

import (
	"slices"
	"time"
)

// Apply claims.
func (x *Claim) Apply(t *Task, m *Moment) (Change, ClaimResult) {
	if err := x.Check(); err != nil {
		return Change{}, ClaimResult{Err: err}
	}
	if t == nil {
		return Change{}, ClaimResult{Err: ErrChanged}
	}
	if r := t.Run(x.Generation, x.For); r != nil {
		return x.again(t, r, m)
	}
	as := x.As
	if as.None() {
		as = t.Next
	}
	switch {
	case t.Ended || t.Generation != x.Generation || t.Next.None() || t.Next.For != x.For, t.Run(t.Generation, as.For) != nil:
		return Change{}, ClaimResult{Err: ErrChanged}
	case !t.Recurring && !x.Next.None():
		return Change{}, ClaimResult{Err: x.invalid("next", x.Next.For.String(), "none for a one-off")}
	}
	if err := x.ready(t, max(as.Due, t.Next.Due), m.Now); err != nil {
		return Change{}, ClaimResult{Err: err}
	}
	var c Change
	if x.Missed > 0 {
		c.occurrence(t, t.Next, VerbClaim, Skipped, m.Now, "folded").Missed = x.Missed
	}
	n := t.clone()
	n.Runs = append(n.Runs, Run{Generation: t.Generation, For: as.For, Due: as.Due, Missed: x.Missed, BegunAt: m.Now})
	n.comes(x.Next)
	n.Last, n.Starts = max(t.Last, as.For, x.Through), t.Starts+1
	res := x.begin(&c, n, &n.Runs[len(n.Runs)-1], m)
	return c, res
}

// again claims the next attempt at a run.
func (x *Claim) again(t *Task, r *Run, m *Moment) (Change, ClaimResult) {
	if r.State != Pending {
		return Change{}, ClaimResult{Err: ErrChanged}
	}
	if err := x.ready(t, r.Due, m.Now); err != nil {
		return Change{}, ClaimResult{Err: err}
	}
	n := t.clone()
	r = n.Run(x.Generation, x.For)
	if r.BegunAt == 0 {
		r.BegunAt = m.Now
	}
	var c Change
	res := x.begin(&c, n, r, m)
	return c, res
}

// ready returns why something that is due at an instant can't be claimed now.
func (x *Claim) ready(t *Task, due, now Instant) error {
	switch {
	case t.Paused():
		return ErrPaused
	case due > now:
		return ErrNotDue
	case !x.Overlap && t.Running() > 0:
		return ErrBusy
	case x.NotAfter != 0 && now > x.NotAfter:
		return ErrTooLate
	}
	return nil
}

func (x *Claim) begin(c *Change, n *Task, r *Run, m *Moment) ClaimResult {
	r.State, r.Owner, r.StartedAt = Running, x.Owner, m.Now
	r.Attempt++
	r.Fence, r.Lease = m.Seq(), m.Mono.Add(x.Lease)
	c.Write, c.Task = true, n
	return ClaimResult{Task: n, RunID: r.ID(n.Key), Fence: r.Fence, At: m.Now}
}

// held returns the run of an attempt that has the fence, or nil.
func held(t *Task, id RunID, fence int64) *Run {
	if t == nil {
		return nil
	}
	if r := t.Run(id.Generation, id.For); r != nil && r.State == Running && r.Fence == fence {
		return r
	}
	return nil
}

// Apply renews.
func (x *Renewal) Apply(t *Task, m *Moment) (Change, RenewResult) {
	if err := x.Check(); err != nil {
		return Change{}, RenewResult{Err: err}
	}
	if held(t, x.RunID, x.Fence) == nil {
		return Change{}, RenewResult{Err: ErrFenced}
	}
	n := t.clone()
	r := n.Run(x.Generation, x.For)
	r.Lease = m.Mono.Add(x.Lease)
	return Change{Write: true, Task: n}, RenewResult{Stop: r.Stop}
}

// Apply settles.
func (x *Settlement) Apply(t *Task, m *Moment) (Change, SettleResult) {
	if err := x.Check(); err != nil {
		return Change{}, SettleResult{Err: err}
	}
	if held(t, x.RunID, x.Fence) == nil {
		return Change{}, SettleResult{Err: ErrFenced}
	}
	n := t.clone()
	r := n.Run(x.Generation, x.For)
	to := x.becomes(r)
	why := cut(x.Reason)
	var c Change
	e := c.run(t, r, x.Verb, to, m.Now, why)
	if to == Cancelled {
		e.Verb = VerbSettle
	}
	if to == Done && !n.Recurring && (!r.Final || r.Generation == n.Generation) { // else the spec may be another's
		e.Identity = IdentityOf(&n.Spec, r.For)
	}
	final := r.Final
	if to == Pending {
		r.wait(x.When.Resolve(m.Now).Due, why)
		if x.Verb != VerbRetry {
			r.Snoozed++
		}
	} else {
		c.end(n, r, to, why)
	}
	if !final && !n.Ended {
		x.schedule(&c, n, to, m.Now)
	}
	c.becomes(n)
	return c, SettleResult{State: to, Task: c.Task, At: m.Now}
}

// becomes returns the state that the attempt leaves the run in.
func (x *Settlement) becomes(r *Run) State {
	switch {
	case x.Verb == VerbSettle && x.State == Done:
		return Done
	case r.last():
		return Cancelled
	case x.Verb == VerbSettle:
		return x.State
	}
	return Pending
}

// schedule sets the next occurrence of a fixed delay, or ends the schedule.
func (x *Settlement) schedule(c *Change, n *Task, to State, now Instant) {
	switch {
	case x.End:
		if !n.Next.None() {
			c.occurrence(n, n.Next, VerbSettle, Cancelled, now, "ended by an attempt")
		}
		n.comes(Occurrence{})
	case to != Pending && n.Next.None() && n.Recurring && !x.Next.None():
		n.follow(x.Next, now)
	}
}

// follow sets the next occurrence of a fixed delay. Its nominal instant is after all before it, also when the clock was set back.
func (t *Task) follow(next When, now Instant) {
	t.comes(next.Resolve(now))
	if t.Next.For <= t.Last {
		t.Next.For = t.Last.Add(time.Microsecond)
	}
}

// wait puts a run back to wait for its next attempt.
func (r *Run) wait(due Instant, why string) {
	r.State, r.Due, r.Lease, r.Reason = Pending, due, 0, why
}

// last says whether no attempt comes after the one that runs.
func (r *Run) last() bool { return r.Final || r.Stop }

// end takes a run out of its task, and keeps it if it is dead.
func (c *Change) end(n *Task, r *Run, to State, why string) {
	if to == Dead {
		d := n.clone()
		dead := *r
		dead.State, dead.Lease, dead.Reason = Dead, 0, why
		d.comes(Occurrence{})
		d.Runs = []Run{dead}
		c.Dead = d
	}
	i := slices.IndexFunc(n.Runs, func(o Run) bool { return o.Generation == r.Generation && o.For == r.For })
	n.Runs = slices.Delete(n.Runs, i, i+1)
}
