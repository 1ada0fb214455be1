package proof_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/verdict"
)

// A pause, a resume and a run now give the task of a name another generation and do not say which: it is looked up, as its producer alone
// writes to it.

// pause pauses what a name points to.
func (p *producer) pause(ctx context.Context, name string) error {
	p.l.note(verdict.Record{Op: verdict.Asked, Run: verdict.Run{Name: name}})
	n, err := p.l.s.Pause(ctx, duly.Query{Names: []string{name}}, "by its producer")
	if err != nil {
		return fmt.Errorf("pause %q: %w", name, err)
	}
	var t *duly.Task
	if n == 1 {
		t, err = p.l.s.Get(ctx, name)
		if err != nil && !errors.Is(err, duly.ErrFinished) && !errors.Is(err, duly.ErrNotFound) { // what ran has ended
			return fmt.Errorf("look at %q: %w", name, err)
		}
	}
	if t != nil && toCome(t) { // else it is the run that can be cancelled
		p.found(t)
	} else {
		p.l.note(verdict.Record{Op: verdict.Answered, Run: verdict.Run{Name: name}})
	}
	if t != nil {
		p.l.note(verdict.Record{Op: verdict.Paused, Run: verdict.Run{Name: name, Generation: t.Generation}})
	}
	return nil
}

// resume lets what a name points to go on.
func (p *producer) resume(ctx context.Context, name string) error {
	p.l.note(verdict.Record{Op: verdict.Asked, Run: verdict.Run{Name: name}})
	n, err := p.l.s.Resume(ctx, duly.Query{Names: []string{name}})
	if err != nil {
		return fmt.Errorf("resume %q: %w", name, err)
	}
	if n == 0 {
		p.l.note(verdict.Record{Op: verdict.Answered, Run: verdict.Run{Name: name}})
		return nil
	}
	return p.learn(ctx, name)
}

// runNow has what a name points to run at once.
func (p *producer) runNow(ctx context.Context, name string) error {
	p.l.note(verdict.Record{Op: verdict.Asked, Run: verdict.Run{Name: name}})
	err := p.l.s.RunNow(ctx, name)
	switch {
	case err == nil:
		return p.learn(ctx, name)
	case errors.Is(err, duly.ErrRunning), errors.Is(err, duly.ErrFinished), errors.Is(err, duly.ErrNotFound):
		p.l.note(verdict.Record{Op: verdict.Answered, Run: verdict.Run{Name: name}})
		return nil
	}
	return fmt.Errorf("run %q: %w", name, err)
}

// learn finds out what a name points to, or pointed to last, and notes that as if it had been put.
func (p *producer) learn(ctx context.Context, name string) error {
	t, err := p.l.s.Get(ctx, name)
	switch {
	case err == nil && toCome(t):
		p.found(t)
	case err == nil:
		last := &t.Runs[len(t.Runs)-1]
		p.known(name, last.Generation, last.ScheduledFor)
	case errors.Is(err, duly.ErrFinished), errors.Is(err, duly.ErrNotFound):
		evs, err := p.l.s.History(ctx, duly.HistoryQuery{Name: name, Newest: true, Limit: 1})
		if err != nil || len(evs) == 0 {
			return fmt.Errorf("the history of %q has %d entries: %w", name, len(evs), err)
		}
		p.known(name, evs[0].Generation, evs[0].ScheduledFor)
	default:
		return fmt.Errorf("look at %q: %w", name, err)
	}
	return nil
}

// toCome says whether an occurrence has not begun yet, whatever may still run of what the name pointed to before.
func toCome(t *duly.Task) bool { return t.Recurring || !t.ScheduledFor.IsZero() }

// found notes a task of which an occurrence is to come.
func (p *producer) found(t *duly.Task) {
	if !t.Recurring {
		p.known(t.Name, t.Generation, t.ScheduledFor)
		return
	}
	p.gen[t.Name] = t.Generation
	p.l.note(verdict.Record{Op: verdict.Put, Run: verdict.Run{Name: t.Name, Generation: t.Generation}, Recurring: true})
}

// known notes a one-off. It is due at its nominal instant: there is no jitter, and when a retry is due is another matter.
func (p *producer) known(name string, gen int64, at time.Time) {
	p.gen[name] = gen
	p.l.note(verdict.Record{
		Op: verdict.Put, Due: at.UnixMicro(), Run: verdict.Run{Name: name, Generation: gen, ScheduledFor: at.UnixMicro()},
	})
}

// resumeAll lets all go on that is paused.
func (l *load) resumeAll(ctx context.Context) error {
	p := &producer{l: l, gen: map[string]int64{}}
	var names []string
	for t, err := range l.s.List(ctx, duly.Query{Paused: true}) {
		if err != nil {
			return err
		}
		names = append(names, t.Name)
	}
	for _, name := range names {
		if err := p.resume(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// twice finds runs that were to be run at most once and were begun more often.
func twice(records []verdict.Record) (faults []string) {
	begun := map[verdict.Run]*verdict.Record{}
	for i := range records {
		r := &records[i]
		if r.Op != verdict.Begin || !single(r.Name) {
			continue
		}
		if was := begun[r.Run]; was != nil {
			faults = append(faults, fmt.Sprintf("%v\n\tbegan once more after %v", r, was))
		}
		begun[r.Run] = r
	}
	return faults
}
