package duly

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
)

// An Outcome says what a cancel found.
type Outcome = store.CancelOutcome

// The outcomes of a cancel.
const (
	Unknown   = store.CancelUnknown   // no task of this name, and none that the history knows
	Cancelled = store.CancelCancelled // it will not begin
	Running   = store.CancelRunning   // it had begun: it may finish, and is not tried again
	Finished  = store.CancelFinished  // it had ended
)

// Cancel ends a task: of what has not begun nothing will, a wait for a retry included, and the failure of what runs is not retried.
// Cancel and the start compete, and exactly one wins; losing is no error. Of a recurring task it ends the schedule and is Cancelled,
// whether a run is under way or not; see Get for that.
func (s *Scheduler) Cancel(ctx context.Context, name string) (Outcome, error) {
	return s.cancel(ctx, name, false)
}

// CancelRunning is Cancel, and asks what runs to stop: its context ends with ErrStopped, at once if it runs here, else at the next
// renewal of its lease, or as soon as the store tells the process in which it runs. It does not wait; [Scheduler.Await] does.
func (s *Scheduler) CancelRunning(ctx context.Context, name string) (Outcome, error) {
	return s.cancel(ctx, name, true)
}

func (s *Scheduler) cancel(ctx context.Context, name string, stop bool) (Outcome, error) {
	res, err := s.core.cancel(ctx, []store.Cancel{{Key: s.key(name), Stop: stop, Reason: "cancelled"}})
	if err != nil {
		return Unknown, err
	}
	return res[0].Outcome, res[0].Err
}

// Await returns when no attempt of a name runs any more, or with the cause of ctx when that ends. Of attempts in other processes it
// hears within a second. ErrClosed is a scheduler's that was closed meanwhile.
func (s *Scheduler) Await(ctx context.Context, name string) error {
	c := s.core
	k := s.key(name)
	for last := false; ; {
		next := c.news.next()
		ts, err := c.store.Get(ctx, []store.Key{k})
		if err != nil {
			return err
		}
		if ts[0] == nil || ts[0].Running() == 0 {
			return nil
		}
		a := newAlarm(c.eng, time.Second)
		select {
		case <-next:
		case <-a.rung:
		case <-ctx.Done():
		}
		a.stop()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case last:
			return ErrClosed
		}
		last = a.closed // what was seen running may have ended with the scheduler
	}
}

// find returns a task, or if it is not there the newest entry that the history has of it. One that has ended is there as long as runs of it
// are left, for who asks for that.
func (s *Scheduler) find(ctx context.Context, k store.Key, ended bool) (*store.Task, []store.Event, error) {
	if err := (&store.Cancel{Key: k}).Check(); err != nil {
		return nil, nil, err
	}
	ts, err := s.core.store.Get(ctx, []store.Key{k})
	if err != nil {
		return nil, nil, err
	}
	if ts[0] != nil && (ended || !ts[0].Ended) {
		return ts[0], nil, nil
	}
	evs, err := s.core.store.History(ctx, store.HistoryQuery{Key: k, Newest: true, Limit: 1})
	return nil, evs, err
}

// look returns a task that must be there, as find does.
func (s *Scheduler) look(ctx context.Context, op, name string, ended bool) (*store.Task, error) {
	k := s.key(name)
	switch t, past, err := s.find(ctx, k, ended); {
	case t != nil || err != nil:
		return t, err
	case len(past) > 0:
		return nil, &store.Error{Op: op, Key: k, Err: ErrFinished}
	}
	return nil, &store.Error{Op: op, Key: k, Err: ErrNotFound}
}

// edit edits a task as it is when edit has seen it.
func (s *Scheduler) edit(ctx context.Context, op, name string, edit func(t *store.Task) (store.Edit, error)) (*store.Task, error) {
	for {
		t, err := s.look(ctx, op, name, false)
		if err != nil {
			return nil, err
		}
		x, err := edit(t)
		if err != nil {
			return nil, err
		}
		x.Key, x.IfGeneration = t.Key, t.Generation
		res, err := s.core.edit(ctx, []store.Edit{x})
		if err != nil {
			return nil, err
		}
		if !errors.Is(res[0].Err, store.ErrCondition) {
			return res[0].Task, res[0].Err
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
}

// Move gives a task another instant, by a schedule that fires once: After or At. Of a recurring task it moves the next occurrence, and
// the schedule goes on from there. The run begins with all its attempts anew. It is ErrRunning once the task has started, ErrFinished or
// ErrNotFound if there is none.
func (s *Scheduler) Move(ctx context.Context, name string, to schedule.Schedule) (Entry, error) {
	if err := s.once(name, to); err != nil {
		return Entry{}, err
	}
	return s.change(ctx, name, &Change{To: to})
}

// once checks a schedule that something is moved to.
func (s *Scheduler) once(name string, to schedule.Schedule) error {
	if err := to.Err(); err != nil {
		return &store.Error{Op: "move", Key: s.key(name), Err: fmt.Errorf("%w: %w", ErrInvalid, err)}
	}
	if to.Recurring() {
		return invalid("move", s.key(name), "schedule", to.String(), "one that fires once; to change a recurring schedule put the task again")
	}
	return nil
}

// A Change says what of a task is to be another. At least one of To and Payload must be given.
type Change struct {
	To           schedule.Schedule // another instant, as by Move; the zero Schedule leaves instants and attempts as they are
	Payload      []byte            // another payload, as it is stored: attempts from now on get it; nil leaves it as it is
	Kind         string            // only if the task is of this kind, else ErrKindMismatch; "" is any
	IfGeneration int64             // only if the task is of this generation, else ErrCondition; 0 is any
}

// Change changes a task by one write. It is ErrRunning if it is a one-off that has started, ErrFinished or ErrNotFound if there is none.
func (s *Scheduler) Change(ctx context.Context, name string, c Change) (Entry, error) {
	moves := c.To != (schedule.Schedule{})
	if !moves && c.Payload == nil {
		return Entry{}, invalid("move", s.key(name), "change", "empty", "another instant, another payload, or both")
	}
	if moves {
		if err := s.once(name, c.To); err != nil {
			return Entry{}, err
		}
	}
	return s.change(ctx, name, &c)
}

func (s *Scheduler) change(ctx context.Context, name string, ch *Change) (Entry, error) {
	k := s.key(name)
	if err := s.core.fresh(ctx); err != nil { // whether it is to be at once is decided here
		return Entry{}, err
	}
	t, err := s.edit(ctx, "move", name, func(t *store.Task) (store.Edit, error) {
		x := store.Edit{Verb: store.VerbMove, Reason: "moved", Payload: ch.Payload}
		switch {
		case ch.IfGeneration != 0 && t.Generation != ch.IfGeneration:
			return x, &store.Error{Op: "move", Key: k, Err: ErrCondition}
		case ch.Kind != "" && t.Kind != ch.Kind:
			return x, &store.Error{Op: "move", Key: k, Err: ErrKindMismatch}
		case ch.To == (schedule.Schedule{}):
			x.Reason = "changed"
			return x, nil
		}
		x.When, _ = s.core.when(k, ch.To)
		if now := s.core.now(); t.Recurring && x.When.Resolve(now).Due < now { // it is nothing that was missed
			x.When = store.In(0, 0)
		}
		if !t.Recurring {
			x.Schedule = ch.To.String()
		}
		return x, nil
	})
	if err != nil {
		return Entry{}, err
	}
	return entryOf(k, &store.PutResult{Outcome: Replaced, Task: t}), nil
}

// RunNow starts a task now: a one-off is moved, a recurring one gets an extra run beside its schedule.
func (s *Scheduler) RunNow(ctx context.Context, name string) error {
	_, err := s.edit(ctx, "run", name, func(*store.Task) (store.Edit, error) {
		return store.Edit{Verb: store.VerbRun, Reason: "run now"}, nil
	})
	return err
}

// Backfill makes an extra run for each occurrence of a recurring task from one instant up to, but not with, another, and returns how
// many. What counts from when it was accepted ([schedule.Schedule.CountsFromAcceptance]) has none before, but for Every, whose grid goes on there. No more
// than 1,000 of a name can wait at once.
func (s *Scheduler) Backfill(ctx context.Context, name string, from, to time.Time) (int, error) {
	t, err := s.look(ctx, "backfill", name, false)
	if err != nil {
		return 0, err
	}
	if !t.Recurring {
		return 0, invalid("backfill", t.Key, "schedule", t.Schedule, "one that recurs")
	}
	sc, err := s.core.schedules.of(t.Schedule)
	if err != nil {
		return 0, err
	}
	if k := sc.Kind(); k == schedule.KindPace || k == schedule.KindPaceFromStart {
		return 0, invalid("backfill", t.Key, "schedule", t.Schedule, "one whose occurrences do not depend on its runs")
	}
	accepted := t.AcceptedAt.Time()
	r := sc.Bind(t.String(), accepted)
	if !from.After(accepted) {
		if sc.Kind() == schedule.KindEvery { // the grid is the one that it has, also before the acceptance
			grid := r.First()
			if grid.IsZero() {
				grid = accepted
			}
			sc = sc.AlignTo(grid)
		}
		if !sc.CountsFromAcceptance() { // else it begins when it was accepted
			r = sc.Bind(t.String(), from.Add(-1))
		}
	}
	var edits []store.Edit
	for at := r.Next(from.Add(-1)); !at.IsZero() && at.Before(to); at = r.Next(at) {
		if len(edits) >= store.MaxRuns {
			return 0, invalid("backfill", t.Key, "occurrences", "more than 1000", "a shorter time")
		}
		edits = append(edits, store.Edit{
			Verb: store.VerbRun, Key: t.Key, IfGeneration: t.Generation, When: store.On(store.Occurrence{For: store.At(at)}), Reason: "backfill",
		})
	}
	if len(edits) == 0 {
		return 0, nil
	}
	res, err := s.core.edit(ctx, edits) // of none, with an error
	n := 0
	for i := range res {
		if res[i].Err != nil {
			err = errors.Join(err, res[i].Err)
			continue
		}
		n++
	}
	return n, err
}

// Pause lets nothing of the tasks selected begin until they are resumed, and returns how many it has paused; those that are already
// are not counted. Why is shown by Get and WhyNot. Attempts that run go on.
func (s *Scheduler) Pause(ctx context.Context, q Query, why string) (int, error) {
	return s.each(ctx, q, func(t *store.Task) (store.Edit, bool) {
		return store.Edit{Verb: store.VerbPause, Reason: why}, !t.Paused()
	})
}

// Resume lets the tasks selected begin again, and returns how many were paused. Occurrences of recurring tasks that fell while they
// were paused are skipped, unless they were put with ResumeMissed; one-offs that have come due start.
func (s *Scheduler) Resume(ctx context.Context, q Query) (int, error) {
	if err := s.core.fresh(ctx); err != nil { // what is missed is decided here
		return 0, err
	}
	return s.each(ctx, q, func(t *store.Task) (store.Edit, bool) { return s.core.resume(t), t.Paused() })
}

// resume is the edit that resumes a task.
func (c *core) resume(t *store.Task) store.Edit {
	x := store.Edit{Verb: store.VerbResume, Reason: "resumed"}
	p, _ := c.policies.of(t.Policy)
	now := c.now()
	if !t.Recurring || p.ResumeMissed || t.Next.None() || t.Next.Due > now {
		return x
	}
	sc, err := c.schedules.of(t.Schedule)
	if err != nil {
		return x
	}
	if k := sc.Kind(); k == schedule.KindPace || k == schedule.KindPaceFromStart {
		return x
	}
	if a, is := strayed(t, sc); is { // what the old rules had is neither missed nor next
		if a.to.Due > now {
			x.When = store.On(a.to)
			return x
		}
		fresh := *t
		fresh.Next = a.to
		t = &fresh
	}
	ch := choice{planner: &planner{t: t, p: p, s: sc, now: now}, rule: sc.Bind(t.String(), t.AcceptedAt.Time()), at: now.Time()}
	through := ch.newest()
	next := ch.nextAfter(store.At(through))
	if next.None() { // it was the last; it is caught up rather than lost
		return x
	}
	x.When, x.Missed, x.Through = store.On(next), ch.count(), store.At(through)
	return x
}

// each edits the tasks selected, and returns how many it has edited.
func (s *Scheduler) each(ctx context.Context, q Query, edit func(t *store.Task) (store.Edit, bool)) (int, error) {
	n := 0
	for t, err := range s.tasks(ctx, q) {
		if err != nil {
			return n, err
		}
		for t != nil {
			x, want := edit(t)
			if !want || t.Ended {
				break
			}
			x.Key, x.IfGeneration = t.Key, t.Generation
			res, err := s.core.edit(ctx, []store.Edit{x})
			if err != nil {
				return n, err
			}
			if res[0].Err == nil {
				n++
				break
			}
			if !errors.Is(res[0].Err, store.ErrCondition) {
				return n, res[0].Err
			}
			ts, err := s.core.store.Get(ctx, []store.Key{t.Key})
			if err != nil {
				return n, err
			}
			t = ts[0]
		}
	}
	return n, nil
}

const redriveTold = 10

// Redrive has the dead runs selected tried again, with all their attempts, and returns how many. One whose name was given to another
// task stays dead, as does what is beyond the [store.MaxRuns] of a name that can wait at once: the error tells of the first ten.
func (s *Scheduler) Redrive(ctx context.Context, q Query) (int, error) {
	q.State = store.Dead
	n, more := 0, 0
	var refused []error
	for t, err := range s.tasks(ctx, q) {
		if err != nil {
			return n, err
		}
		rn := &t.Runs[0]
		res, err := s.core.edit(ctx, []store.Edit{{Verb: store.VerbRedrive, Key: t.Key, Generation: rn.Generation, For: rn.For, Reason: "redriven"}})
		switch {
		case err != nil:
			return n, err
		case errors.Is(res[0].Err, store.ErrNotFound): // somebody else has
		case res[0].Err != nil:
			if len(refused) == redriveTold {
				more++
				continue
			}
			refused = append(refused, res[0].Err)
		default:
			n++
		}
	}
	if more > 0 {
		refused = append(refused, fmt.Errorf("and %d more are refused", more))
	}
	return n, errors.Join(refused...)
}

// selected says whether a name is one of those of a query.
func (q *Query) selected(name string) bool {
	return len(q.Names) == 0 || slices.Contains(q.Names, name)
}
