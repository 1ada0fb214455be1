package proof_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/verdict"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/wait"
)

func long() bool { return os.Getenv("DULY_TEST_LONG") != "" }

// crashes returns how many there are in the ordinary test, in that of CI (make crash), and in the long one.
func crashes(ordinary, ci, whole int) int {
	switch {
	case long():
		return whole
	case os.Getenv("DULY_TEST_CRASHES") != "":
		return ci
	}
	return ordinary
}

// A logbook is what a load is written down in: a file that outlives the process, or the memory of the test.
type logbook interface {
	Append(r verdict.Record) error
}

// A work is the payload: how long the handler takes, and how many attempts of a hundred fail, or are to be asked again.
type work struct {
	Millis  int
	Fails   int
	Snoozes int
}

// A load puts, moves, pauses, resumes and cancels tasks of one scheduler, and runs them. All it does, and all that is answered, is in the logbook; an error
// of the logbook, or an answer that can't be, is a fault of the life, which ends with it.
type load struct {
	book  logbook
	s     *duly.Scheduler
	once  *duly.Kind[work]
	again *duly.Kind[work]
	seed  uint64
	fault func(err error) // called with the first; it may be called again
	first func()          // called by each attempt when it has begun

	serial atomic.Int64
	mu     sync.Mutex
	begun  map[string]int64 // by name, the newest generation that an attempt has begun of
}

const (
	near = 300 * time.Millisecond // within which most one-offs are due
	far  = time.Hour              // after which the others are
)

func newLoad(st store.Store, book logbook, seed uint64, fault func(error)) (*load, error) {
	s, err := duly.New(duly.Options{Store: st, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	l := &load{book: book, s: s, seed: seed, fault: fault, first: func() {}, begun: map[string]int64{}}
	retry := duly.Defaults(duly.Retry(duly.RetryPolicy{Attempts: 1000, Backoff: 5 * time.Millisecond, MaxBackoff: 50 * time.Millisecond}))
	l.once = duly.Handle(s, "once", l.handle, retry)
	l.again = duly.Handle(s, "again", l.handle, retry)
	return l, nil
}

// handle is the handler of all tasks.
func (l *load) handle(ctx context.Context, a *duly.Attempt[work]) error {
	r := verdict.Record{
		Op: verdict.Begin, At: time.Now().UnixMicro(), Due: a.Due.UnixMicro(), Fence: a.Fence, Serial: l.serial.Add(1),
		Run: verdict.Run{Name: a.Name, Generation: a.Generation, ScheduledFor: a.ScheduledFor.UnixMicro()},
	}
	l.note(r)
	l.first()
	l.mu.Lock()
	l.begun[a.Name] = max(l.begun[a.Name], a.Generation)
	l.mu.Unlock()
	err := wait.Sleep(ctx, time.Duration(a.Payload.Millis)*time.Millisecond)
	if err == nil && rand.IntN(100) < a.Payload.Fails {
		err = errors.New("not this time")
	} else if err == nil && rand.IntN(100) < a.Payload.Snoozes {
		err = duly.Snooze(time.Duration(rand.Int64N(int64(50 * time.Millisecond))))
	}
	r.Op, r.At, r.Completed = verdict.End, time.Now().UnixMicro(), err == nil
	if err != nil {
		r.Error = err.Error()
	}
	l.note(r)
	return err
}

func (l *load) note(r verdict.Record) {
	if r.At == 0 {
		r.At = time.Now().UnixMicro()
	}
	if err := l.book.Append(r); err != nil {
		l.fault(err)
	}
}

// follow notes what the history tells of from now on: what it has shown must hold for ever.
func (l *load) follow(ctx context.Context) {
	var after int64
	newest, err := l.s.History(ctx, duly.HistoryQuery{Newest: true, Limit: 1})
	if err == nil && len(newest) > 0 {
		after = newest[0].Seq
	}
	for e, err := range l.s.Events(ctx, after) {
		if err != nil {
			if ctx.Err() == nil {
				l.fault(fmt.Errorf("follow the history: %w", err))
			}
			return
		}
		l.settled(&e)
	}
}

// settled notes that a run is done, as of when the store has written that.
func (l *load) settled(e *duly.Event) {
	if e.To != duly.Done {
		return
	}
	l.note(verdict.Record{
		Op: verdict.Settled, At: e.At.UnixMicro(),
		Run: verdict.Run{Name: e.Name, Generation: e.Generation, ScheduledFor: e.ScheduledFor.UnixMicro()},
	})
}

// recount notes all that the history knows to be done.
func (l *load) recount(ctx context.Context) error {
	for after := int64(0); ; {
		evs, err := l.s.History(ctx, duly.HistoryQuery{After: after, Limit: 1000})
		if err != nil || len(evs) == 0 {
			return err
		}
		for i := range evs {
			l.settled(&evs[i])
			after = evs[i].Seq
		}
	}
}

// A producer has names of its own, so that what it is told is all that can be known of them.
type producer struct {
	l    *load
	rng  *rand.Rand
	once []string
	lone []string         // of those that are run at most once
	more []string         // recurring ones
	gen  map[string]int64 // of the task that a name points to, or of its run; 0 if there is none
}

// single says whether a name is one whose tasks are run at most once.
func single(name string) bool { return strings.HasPrefix(name, "single-") }

// produce lets n producers work until ctx ends, and returns when all have ended.
func (l *load) produce(ctx context.Context, n int) {
	var all sync.WaitGroup
	for i := range n {
		p := &producer{l: l, rng: rand.New(rand.NewPCG(l.seed, uint64(i))), gen: map[string]int64{}}
		for j := range 4 {
			p.once = append(p.once, fmt.Sprintf("once-%02d-%d", i, j))
		}
		p.lone = []string{fmt.Sprintf("single-%02d", i)}
		p.more = []string{fmt.Sprintf("again-%02d", i)}
		all.Go(func() {
			if err := p.work(ctx); err != nil && ctx.Err() == nil {
				l.fault(err)
			}
		})
	}
	all.Wait()
}

func (p *producer) work(ctx context.Context) error {
	for _, names := range [3][]string{p.once, p.lone, p.more} {
		for _, name := range names {
			t, err := p.l.s.Get(ctx, name)
			switch {
			case err == nil && !t.Ended:
				p.gen[name] = t.Generation
			case err != nil && !errors.Is(err, duly.ErrNotFound) && !errors.Is(err, duly.ErrFinished):
				return err
			}
		}
	}
	for {
		if err := wait.Sleep(ctx, time.Duration(p.rng.IntN(20_000))*time.Microsecond); err != nil {
			return nil //nolint:nilerr // it is told to end
		}
		if err := p.step(context.WithoutCancel(ctx)); err != nil {
			return err
		}
	}
}

// step does something to one of the names.
func (p *producer) step(ctx context.Context) error {
	if p.rng.IntN(8) == 0 {
		name := p.more[p.rng.IntN(len(p.more))]
		switch n := p.rng.IntN(12); {
		case p.gen[name] == 0 || n < 2:
			return p.put(ctx, p.l.again, name, schedule.Every(time.Duration(50+p.rng.IntN(950))*time.Millisecond))
		case n == 2:
			return p.cancel(ctx, name)
		case n == 3:
			return p.runNow(ctx, name)
		case n == 4:
			return p.pause(ctx, name)
		case n < 7:
			return p.resume(ctx, name)
		}
		return nil
	}
	soon := schedule.After(time.Duration(p.rng.Int64N(int64(near))))
	if p.rng.IntN(8) == 0 {
		name := p.lone[p.rng.IntN(len(p.lone))]
		if p.rng.IntN(4) == 0 {
			return p.cancel(ctx, name)
		}
		return p.put(ctx, p.l.once, name, soon, duly.AtMostOnce())
	}
	name := p.once[p.rng.IntN(len(p.once))]
	switch n := p.rng.IntN(24); {
	case n < 9:
		return p.put(ctx, p.l.once, name, soon)
	case n < 11:
		return p.putMany(ctx, soon)
	case n < 14:
		return p.put(ctx, p.l.once, name, schedule.After(far+time.Duration(p.rng.Int64N(int64(far)))))
	case n < 17:
		return p.cancel(ctx, name)
	case n < 18:
		return p.runNow(ctx, name)
	case n < 19:
		return p.pause(ctx, name)
	case n < 21:
		return p.resume(ctx, name)
	}
	return p.move(ctx, name, soon)
}

func (p *producer) task(name string) work {
	w := work{Millis: p.rng.IntN(10), Fails: 20 * p.rng.IntN(2)}
	if p.rng.IntN(30) == 0 {
		w.Millis = 100
	}
	if !single(name) { // a snooze is another attempt
		w.Snoozes = 10 * p.rng.IntN(2)
	}
	return w
}

func (p *producer) put(ctx context.Context, k *duly.Kind[work], name string, s schedule.Schedule, opts ...duly.PutOption) error {
	p.l.note(verdict.Record{Op: verdict.Asked, Run: verdict.Run{Name: name}})
	e, err := k.Put(ctx, name, p.task(name), s, opts...)
	switch {
	case errors.Is(err, duly.ErrUnknown), errors.Is(err, duly.ErrClosed):
		return err // it has no answer
	case err != nil:
		return fmt.Errorf("put %q: %w", name, err)
	}
	p.accepted(&e, s.Recurring())
	return nil
}

// accepted notes what was put.
func (p *producer) accepted(e *duly.Entry, recurring bool) {
	p.gen[e.Name] = e.Generation
	r := verdict.Record{Op: verdict.Put, Run: verdict.Run{Name: e.Name, Generation: e.Generation}, Recurring: recurring}
	if !r.Recurring {
		r.ScheduledFor, r.Due = e.ScheduledFor.UnixMicro(), e.Due.UnixMicro()
	}
	p.l.note(r)
}

// putMany puts all one-offs with one call.
func (p *producer) putMany(ctx context.Context, s schedule.Schedule) error {
	for _, name := range p.once {
		p.l.note(verdict.Record{Op: verdict.Asked, Run: verdict.Run{Name: name}})
	}
	entries, err := p.l.once.PutMany(ctx, func(yield func(duly.Item[work]) bool) {
		for _, name := range p.once {
			if !yield(duly.Item[work]{Name: name, Payload: p.task(name), Schedule: s}) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	for i := range entries {
		if err := entries[i].Err; err != nil {
			return fmt.Errorf("put %q: %w", entries[i].Name, err)
		}
		p.accepted(&entries[i], false)
	}
	return nil
}

func (p *producer) cancel(ctx context.Context, name string) error {
	p.l.note(verdict.Record{Op: verdict.Asked, Run: verdict.Run{Name: name}})
	found, err := p.l.s.Cancel(ctx, name)
	if err != nil {
		return fmt.Errorf("cancel %q: %w", name, err)
	}
	r := verdict.Record{Op: verdict.Answered, Run: verdict.Run{Name: name}}
	if found == duly.Running && p.gen[name] != 0 {
		r.Op, r.Generation = verdict.TooLate, p.gen[name]
	}
	if found == duly.Cancelled {
		if p.gen[name] == 0 {
			return fmt.Errorf("cancel %q: %v, and there was no task", name, found)
		}
		r.Op, r.Generation = verdict.Cancelled, p.gen[name]
	}
	p.gen[name] = 0
	p.l.note(r)
	return nil
}

func (p *producer) move(ctx context.Context, name string, to schedule.Schedule) error {
	p.l.note(verdict.Record{Op: verdict.Asked, Run: verdict.Run{Name: name}})
	e, err := p.l.s.Move(ctx, name, to)
	r := verdict.Record{Op: verdict.Answered, Run: verdict.Run{Name: name}}
	switch {
	case err == nil:
		r.Op, r.Generation, r.Next, r.ScheduledFor, r.Due = verdict.Moved, p.gen[name], e.Generation, e.ScheduledFor.UnixMicro(), e.Due.UnixMicro()
		p.gen[name] = e.Generation
	case errors.Is(err, duly.ErrRunning), errors.Is(err, duly.ErrFinished), errors.Is(err, duly.ErrNotFound):
	default:
		return fmt.Errorf("move %q: %w", name, err)
	}
	p.l.note(r)
	return nil
}
