package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/internal/verdict"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/target"
	"github.com/dulyhq/duly/wait"
)

const (
	near = 300 * time.Millisecond // within which most one-offs are due
	far  = time.Hour              // after which the others are
)

// A crowd are the clients of a daemon that is killed, over and over: each puts, moves, runs and cancels tasks of its own names, so that
// what it is told is all that can be known of them, and writes it down.
type crowd struct {
	book *book
	c    *client.Client
	url  string // what a task calls
	all  []*producer
}

// A producer is one client.
type producer struct {
	*crowd

	rng  *rand.Rand
	once []string
	more []string         // recurring ones
	gen  map[string]int64 // of the task that a name points to, 0 if there is none
}

func newCrowd(b *book, c *client.Client, url string, seed uint64, n int) *crowd {
	w := &crowd{book: b, c: c, url: url}
	for i := range n {
		p := &producer{crowd: w, rng: rand.New(rand.NewPCG(seed, uint64(i))), gen: map[string]int64{}}
		for j := range 4 {
			p.once = append(p.once, fmt.Sprintf("once-%02d-%d", i, j))
		}
		p.more = []string{fmt.Sprintf("again-%02d", i)}
		w.all = append(w.all, p)
	}
	return w
}

// work lets all of them work until the daemon is gone or ctx ends, and returns what was not to be expected.
func (w *crowd) work(ctx context.Context) error {
	var all sync.WaitGroup
	errs := make([]error, len(w.all))
	for i, p := range w.all {
		all.Go(func() { errs[i] = p.work(ctx) })
	}
	all.Wait()
	return errors.Join(errs...)
}

var errImpossible = errors.New("this can't be the answer")

// gone says whether an error is that of a daemon that is killed: nobody is there, or an answer did not come.
func gone(err error) bool {
	_, answered := errors.AsType[*api.Error](err)
	return !answered && !errors.Is(err, errImpossible)
}

// work does one thing after the other until the daemon is gone.
func (p *producer) work(ctx context.Context) error {
	for _, names := range [2][]string{p.once, p.more} {
		for _, name := range names {
			if err := p.look(ctx, name); err != nil {
				return unlessGone(err)
			}
		}
	}
	for {
		if err := wait.Sleep(ctx, time.Duration(p.rng.IntN(20_000))*time.Microsecond); err != nil {
			return nil //nolint:nilerr // it is told to end
		}
		if err := p.step(context.WithoutCancel(ctx)); err != nil {
			return unlessGone(err)
		}
	}
}

func unlessGone(err error) error {
	if gone(err) {
		return nil
	}
	return err
}

// look learns what a name points to.
func (p *producer) look(ctx context.Context, name string) error {
	p.gen[name] = 0
	t, err := p.c.Get(ctx, name)
	switch {
	case err == nil && !t.Ended:
		p.gen[name] = t.Generation
	case err != nil && !errors.Is(err, duly.ErrNotFound) && !errors.Is(err, duly.ErrFinished):
		return err
	}
	return nil
}

// step does something to one of the names.
func (p *producer) step(ctx context.Context) error {
	if p.rng.IntN(8) == 0 {
		name := p.more[p.rng.IntN(len(p.more))]
		switch n := p.rng.IntN(10); {
		case p.gen[name] == 0 || n < 2:
			return p.put(ctx, name, schedule.Every(time.Duration(50+p.rng.IntN(950))*time.Millisecond))
		case n == 2:
			return p.cancel(ctx, name)
		case n == 3:
			return p.run(ctx, name)
		}
		return nil
	}
	name := p.once[p.rng.IntN(len(p.once))]
	soon := schedule.After(time.Duration(p.rng.Int64N(int64(near))))
	switch n := p.rng.IntN(20); {
	case n < 10:
		return p.put(ctx, name, soon)
	case n < 13:
		return p.put(ctx, name, schedule.After(far+time.Duration(p.rng.Int64N(int64(far)))))
	case n < 16:
		return p.cancel(ctx, name)
	}
	return p.move(ctx, name, soon)
}

// ask notes that something is asked for, and answer what the answer was. Without an answer it stays in doubt.
func (p *producer) ask(name string) {
	p.book.note(verdict.Record{Op: verdict.Asked, Run: verdict.Run{Name: name}})
}

func (p *producer) answer(err error, r verdict.Record) {
	if !errors.Is(err, duly.ErrUnknown) {
		p.book.note(r)
	}
}

func (p *producer) put(ctx context.Context, name string, s schedule.Schedule) error {
	spec := api.Spec{
		HTTP: &target.Callback{URL: p.url, Body: fmt.Sprintf("%d %d", p.rng.IntN(10), 20*p.rng.IntN(2))}, Schedule: s.String(),
		Policy: api.Policy{Attempts: 1000, Backoff: api.Duration(5 * time.Millisecond), MaxBackoff: api.Duration(50 * time.Millisecond)},
	}
	p.ask(name)
	e, err := p.c.Put(ctx, name, spec)
	if err != nil {
		p.answer(err, verdict.Record{Op: verdict.Answered, Run: verdict.Run{Name: name}})
		return fmt.Errorf("put %q: %w", name, err)
	}
	p.gen[name] = e.Generation
	r := verdict.Record{Op: verdict.Put, Run: verdict.Run{Name: name, Generation: e.Generation}, Recurring: s.Recurring()}
	if !r.Recurring {
		r.ScheduledFor, r.Due = e.ScheduledFor.UnixMicro(), e.DueAt.UnixMicro()
	}
	p.book.note(r)
	return nil
}

func (p *producer) cancel(ctx context.Context, name string) error {
	p.ask(name)
	x, err := p.c.Cancel(ctx, name)
	r := verdict.Record{Op: verdict.Answered, Run: verdict.Run{Name: name}}
	if err == nil && x.Outcome == "running" && p.gen[name] != 0 {
		r.Op, r.Generation = verdict.TooLate, p.gen[name]
	}
	if err == nil && x.Outcome == "cancelled" {
		if p.gen[name] == 0 {
			return fmt.Errorf("cancel %q: cancelled, and there was no task: %w", name, errImpossible)
		}
		r.Op, r.Generation = verdict.Cancelled, p.gen[name]
	}
	p.answer(err, r)
	if err != nil {
		return fmt.Errorf("cancel %q: %w", name, err)
	}
	p.gen[name] = 0
	return nil
}

// run makes an extra run of a recurring task.
func (p *producer) run(ctx context.Context, name string) error {
	p.ask(name)
	err := p.c.RunNow(ctx, name)
	p.answer(err, verdict.Record{Op: verdict.Answered, Run: verdict.Run{Name: name}})
	if err != nil {
		return fmt.Errorf("run %q: %w", name, err)
	}
	return nil
}

func (p *producer) move(ctx context.Context, name string, to schedule.Schedule) error {
	p.ask(name)
	e, err := p.c.Move(ctx, name, to)
	r := verdict.Record{Op: verdict.Answered, Run: verdict.Run{Name: name}}
	if err == nil {
		r.Op, r.Generation, r.Next, r.ScheduledFor, r.Due = verdict.Moved, p.gen[name], e.Generation, e.ScheduledFor.UnixMicro(), e.DueAt.UnixMicro()
		p.gen[name] = e.Generation
	}
	p.answer(err, r)
	if err != nil && !errors.Is(err, duly.ErrRunning) && !errors.Is(err, duly.ErrFinished) && !errors.Is(err, duly.ErrNotFound) {
		return fmt.Errorf("move %q: %w", name, err)
	}
	return nil
}
