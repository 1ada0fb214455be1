package duly

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
)

// A schedule in a zone is kept by its words: civil time and zone. The next occurrence that a task has on record was worked out from them
// by the rules that the zone had then. Where these have changed since, it is recorded anew before anything is made of it: when it is
// due, and for all tasks when a scheduler begins to run that has other rules than the one before it, because what has become
// earlier would be found too late. What somebody moved stays where it is. contract: I1.

// strayed says whether the next occurrence of a task is not where its schedule has it now, and where that is. What a grid yields follows from the last occurrence that is accounted for, or if there is none from when it was accepted.
//
//	daily at 09:00, in UTC; the rules turn out to have been others:
//
//	last run at 08:00, next 08:00 +1d, should have been 07:00, so next is 07:00 +1d
//	last run at 08:00, next 08:00 +1d, should have been 09:00, so next is 09:00 +1d, and not 09:00 today, which has run at 08:00
func strayed(t *store.Task, s schedule.Schedule) (a astray, is bool) {
	if t.Moved || t.Next.None() || t.Ended || !t.Recurring || !s.Zoned() || s.Kind() == schedule.KindPace || s.Kind() == schedule.KindPaceFromStart {
		return a, false
	}
	r := s.Bind(t.String(), t.AcceptedAt.Time())
	if t.Last == 0 {
		a.to = occurrence(r, r.First())
		return a, a.to.For != t.Next.For && (!a.to.None() || t.Next.For != store.Never)
	}
	last := t.Last.Time()
	if a.to = occurrence(r, r.Next(last)); a.to.For == t.Next.For {
		return a, false
	}
	if onGrid(r, last) {
		return a, true
	}
	by := shift(r, t.Next.For.Time())
	if by > 0 && onGrid(r, last.Add(by)) {
		a.to, a.last = occurrence(r, r.Next(last.Add(by))), store.At(last.Add(by))
	}
	return a, by != 0 && a.to.For != t.Next.For // what is on the grid, after one that was not, was put there since
}

// astray is where a next occurrence is that has strayed: none if there is none any more. Last is where the last one would have been that
// ran by the old rules, if that is later than it ran.
type astray struct {
	to   store.Occurrence
	last store.Instant
}

// shift is by how much the rules have moved what was at an instant: to the nearest occurrence there is now.
func shift(r schedule.Rule, at time.Time) time.Duration {
	before, after := r.Prev(at.Add(1)), r.Next(at.Add(-1))
	switch {
	case after.IsZero() && before.IsZero():
		return 0
	case after.IsZero(), !before.IsZero() && at.Sub(before) < after.Sub(at):
		return before.Sub(at)
	}
	return after.Sub(at)
}

func onGrid(r schedule.Rule, at time.Time) bool { return r.Next(at.Add(-1)).Equal(at) }

// realign is the edit that records it anew.
func realign(t *store.Task, a astray) store.Edit {
	x := store.Edit{
		Verb: store.VerbAlign, Key: t.Key, Generation: t.Generation, For: t.Next.For, When: store.On(a.to), Through: a.last, Reason: "the rules of its zone have changed",
	}
	if a.to.None() { // its end comes before it now
		x.Verb, x.State, x.When, x.Through = store.VerbSkip, store.Skipped, store.When{}, 0
	}
	return x
}

// zonesNote is the note that says by which rules all next occurrences are on record.
const zonesNote = "zones"

// alignAll records anew what has strayed, if it is not known that nothing has, until that is done or ctx ends.
func (c *core) alignAll(ctx context.Context) {
	rules := schedule.TZData()
	for wait := shortDeaf; ; wait = min(2*wait, longDeaf) {
		err := c.alignTo(ctx, rules)
		if err == nil || ctx.Err() != nil || errors.Is(err, store.ErrClosed) || errors.Is(err, ErrClosed) {
			return
		}
		c.log.Warn("it could not be seen whether the rules of zones have changed, it is tried again", "error", err)
		if c.nap(ctx, wait) != nil {
			return
		}
	}
}

// nap waits, unless ctx ends or the engine is closed.
func (c *core) nap(ctx context.Context, d time.Duration) error {
	a := newAlarm(c.eng, d)
	if a.closed {
		return ErrClosed
	}
	select {
	case <-a.rung:
		return nil
	case <-ctx.Done():
		a.stop()
		return context.Cause(ctx)
	}
}

func (c *core) alignTo(ctx context.Context, rules string) error {
	notes, kept := c.store.(store.Noter)
	if kept {
		switch was, err := notes.Note(ctx, zonesNote); {
		case errors.Is(err, store.ErrInvalid): // a wrapper around a store that keeps none
			kept = false
		case err != nil:
			return err
		case was == rules && !strings.HasPrefix(rules, "of unknown version"):
			return nil
		}
	}
	n, err := c.alignEach(ctx)
	if err != nil {
		return err
	}
	if n > 0 {
		c.log.Info("the rules of zones have changed, next occurrences are recorded anew", "tasks", n, "rules", rules)
	}
	if kept {
		return notes.SetNote(ctx, zonesNote, rules)
	}
	return nil
}

// alignRest is how long there is a rest between two pages, as a multiple of what the one before took: there may be millions of tasks, and
// others come due meanwhile.
const alignRest = 3

// alignEach goes through all tasks, in the order of what is due, which a store reads in one sweep. Those that are put or claimed meanwhile
// are worked out by the new rules already. One that somebody's transaction holds is an error in the end: all is to be gone through again.
func (c *core) alignEach(ctx context.Context) (n int, err error) {
	var held error
	for q := (store.DueQuery{Until: store.Never, Limit: pageMost}); ; {
		begun := c.eng.Elapsed()
		page, err := c.store.Due(ctx, q)
		if err != nil {
			return n, err
		}
		var edits []store.Edit
		for _, t := range page.Tasks {
			if !t.Recurring {
				continue
			}
			s, err := c.schedules.of(t.Schedule)
			if err != nil { // whoever looks at it when it is due says so
				continue
			}
			if a, is := strayed(t, s); is {
				edits = append(edits, realign(t, a))
			}
		}
		if len(edits) > 0 {
			res, err := c.edit(ctx, edits)
			if err != nil {
				return n, err
			}
			for i := range res {
				switch {
				case res[i].Err == nil: // else it is not what it was, and was worked out anew for that
					n++
				case errors.Is(res[i].Err, store.ErrBusy):
					held = res[i].Err
				}
			}
		}
		if !page.More {
			return n, held
		}
		q.After = page.Cursor
		if err := c.nap(ctx, alignRest*(c.eng.Elapsed()-begun)); err != nil {
			return n, err
		}
	}
}
