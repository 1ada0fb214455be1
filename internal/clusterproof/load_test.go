package clusterproof_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/verdict"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/wait"
)

// A work is the payload: how long the handler takes, and how many attempts of a hundred fail, or are to be asked again.
type work struct {
	Millis  int
	Fails   int
	Snoozes int
	Forever bool // until it is asked to stop
}

// A load puts, moves and cancels tasks of one scheduler, and runs them. All it does, and all that is answered, is in the logbook; an error of
// the logbook, or an answer that can't be, is a fault of the process, which ends with it.
type load struct {
	book  *verdict.Writer
	s     *duly.Scheduler
	node  string // part of the names that its producers have
	once  *duly.Kind[work]
	again *duly.Kind[work]
	fault func(err error) // called with the first; it may be called again
	first func()          // called by each attempt when it has begun

	serial atomic.Int64
}

const (
	near = 300 * time.Millisecond // within which most one-offs are due
	far  = time.Hour              // after which the others are
)

// newLoad returns a load on a scheduler, which runs its tasks only if it handles them.
func newLoad(s *duly.Scheduler, book *verdict.Writer, node string, handles bool) *load {
	l := &load{book: book, s: s, node: node, first: func() {}, fault: func(err error) { panic(err) }}
	retry := duly.Defaults(duly.Retry(duly.RetryPolicy{Attempts: 1000, Backoff: 5 * time.Millisecond, MaxBackoff: 50 * time.Millisecond}))
	if handles {
		l.once, l.again = duly.Handle(s, "once", l.handle, retry), duly.Handle(s, "again", l.handle, retry)
	} else {
		l.once, l.again = duly.Declare[work](s, "once", retry), duly.Declare[work](s, "again", retry)
	}
	return l
}

// handle is the handler of all tasks.
func (l *load) handle(ctx context.Context, a *duly.Attempt[work]) error {
	r := verdict.Record{
		Op: verdict.Begin, At: now(), Due: a.Due.UnixMicro(), Fence: a.Fence, Serial: l.serial.Add(1),
		Run: verdict.Run{Name: a.Name, Generation: a.Generation, ScheduledFor: a.ScheduledFor.UnixMicro()},
	}
	l.note(r)
	l.first()
	err := l.work(ctx, &a.Payload)
	r.Op, r.At, r.Completed = verdict.End, now(), err == nil
	if err != nil {
		r.Error = err.Error()
	}
	l.note(r)
	return err
}

func (l *load) work(ctx context.Context, w *work) error {
	if w.Forever {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	err := wait.Sleep(ctx, time.Duration(w.Millis)*time.Millisecond)
	switch {
	case err != nil:
		return err
	case rand.IntN(100) < w.Fails:
		return errors.New("not this time")
	case rand.IntN(100) < w.Snoozes:
		return duly.Snooze(time.Duration(rand.Int64N(int64(50 * time.Millisecond))))
	}
	return nil
}

func (l *load) note(r verdict.Record) {
	if r.At == 0 {
		r.At = now()
	}
	if err := l.book.Append(r); err != nil {
		l.fault(err)
	}
}

// accepted notes what was put.
func (l *load) accepted(e *duly.Entry, recurring bool) {
	r := verdict.Record{Op: verdict.Put, Run: verdict.Run{Name: e.Name, Generation: e.Generation}, Recurring: recurring}
	if !r.Recurring {
		r.ScheduledFor, r.Due = e.ScheduledFor.UnixMicro(), e.Due.UnixMicro()
	}
	l.note(r)
}

// putMany puts n tasks of a prefix that are all due at once, or spread over a time.
func (l *load) putMany(ctx context.Context, prefix string, n int, w work, over time.Duration) error {
	const chunk = 500
	for from := 0; from < n; from += chunk {
		to := min(from+chunk, n)
		for i := from; i < to; i++ {
			l.ask(fmt.Sprintf("%s-%06d", prefix, i))
		}
		entries, err := l.once.PutMany(ctx, func(yield func(duly.Item[work]) bool) {
			for i := from; i < to; i++ {
				in := time.Duration(0)
				if over > 0 {
					in = time.Duration(rand.Int64N(int64(over)))
				}
				if !yield(duly.Item[work]{Name: fmt.Sprintf("%s-%06d", prefix, i), Payload: w, Schedule: schedule.After(in)}) {
					return
				}
			}
		})
		if err != nil {
			return fmt.Errorf("put %s: %w", prefix, err)
		}
		for i := range entries {
			if entries[i].Err != nil {
				return fmt.Errorf("put %q: %w", entries[i].Name, entries[i].Err)
			}
			l.accepted(&entries[i], false)
		}
	}
	return nil
}

// steady puts n tasks that run for so long that something breaks meanwhile, and returns when most of them run. What is lost of them runs one
// at a time afterwards.
func (f *fleet) steady(round, n int, lasting time.Duration) {
	f.t.Helper()
	if err := f.own.putMany(f.t.Context(), fmt.Sprintf("steady-%02d", round), n, work{Millis: int(lasting.Milliseconds())}, 0); err != nil {
		f.t.Fatal(err)
	}
	f.await(patience, func() string {
		if run := f.count("select count(*) from duly.task where name like 'steady-%' and running > 0"); run <= n/2 {
			return fmt.Sprintf("%d of the %d that were put run", run, n)
		}
		return ""
	})
}

// calm waits until what was steady has ended, so that nothing is lost again and again, which would make it dead.
func (f *fleet) calm() {
	f.t.Helper()
	f.await(patience, func() string {
		if n := f.count("select count(*) from duly.task where name like 'steady-%'"); n > 0 {
			return fmt.Sprintf("%d of what was steady have not ended", n)
		}
		return ""
	})
}

// A producer has names of its own, so that what it is told is all that can be known of them.
type producer struct {
	l    *load
	rng  *rand.Rand
	once []string
	more []string         // recurring ones
	gen  map[string]int64 // of the task that a name points to, or of its run; 0 if there is none
}

// produce lets n producers work until ctx ends, and returns when all have ended.
func (l *load) produce(ctx context.Context, n int, seed uint64) {
	var all sync.WaitGroup
	for i := range n {
		p := &producer{l: l, rng: rand.New(rand.NewPCG(seed, uint64(i))), gen: map[string]int64{}}
		for j := range 4 {
			p.once = append(p.once, fmt.Sprintf("once-%s-%02d-%d", l.node, i, j))
		}
		p.more = []string{fmt.Sprintf("again-%s-%02d", l.node, i)}
		all.Go(func() {
			if err := p.work(ctx); err != nil {
				l.fault(err)
			}
		})
	}
	all.Wait()
}

func (p *producer) work(ctx context.Context) error {
	lasting := context.WithoutCancel(ctx)
	for _, names := range [2][]string{p.once, p.more} {
		for _, name := range names {
			if err := p.find(lasting, name); err != nil {
				return err
			}
		}
	}
	for {
		if err := wait.Sleep(ctx, time.Duration(p.rng.IntN(40_000))*time.Microsecond); err != nil {
			return nil //nolint:nilerr // it is told to end
		}
		if err := p.step(lasting); err != nil {
			return err
		}
	}
}

// find learns what an earlier life has left of a name.
func (p *producer) find(ctx context.Context, name string) error {
	for {
		t, err := p.l.s.Get(ctx, name)
		switch {
		case err == nil && !t.Ended:
			p.gen[name] = t.Generation
			return nil
		case err == nil, errors.Is(err, duly.ErrNotFound), errors.Is(err, duly.ErrFinished):
			return nil
		case !away(err):
			return fmt.Errorf("look at %q: %w", name, err)
		}
		if err := wait.Sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// away says that a call has failed because the server was not there, or takes no writes: nothing was written.
func away(err error) bool {
	return errors.Is(err, store.ErrBroken) || errors.Is(err, store.ErrReadOnly)
}

// step does something to one of the names.
func (p *producer) step(ctx context.Context) error {
	if p.rng.IntN(8) == 0 {
		name := p.more[p.rng.IntN(len(p.more))]
		switch n := p.rng.IntN(12); {
		case p.gen[name] == 0 || n < 2:
			return p.put(ctx, name)
		case n == 2:
			return p.cancel(ctx, name)
		}
		return nil
	}
	name := p.once[p.rng.IntN(len(p.once))]
	switch n := p.rng.IntN(20); {
	case n < 12:
		return p.put(ctx, name)
	case n < 15:
		return p.cancel(ctx, name)
	}
	return p.move(ctx, name)
}

// declaration returns what is put under a name: most one-offs are due soon, the others after the test.
func (p *producer) declaration(name string) (*duly.Kind[work], work, schedule.Schedule) {
	w := work{Millis: p.rng.IntN(10), Fails: 20 * p.rng.IntN(2), Snoozes: 10 * p.rng.IntN(2)}
	if p.rng.IntN(30) == 0 {
		w.Millis = 100
	}
	switch {
	case name == p.more[0]:
		return p.l.again, w, schedule.Every(time.Duration(100+p.rng.IntN(400)) * time.Millisecond)
	case p.rng.IntN(4) == 0:
		return p.l.once, w, schedule.After(far + time.Duration(p.rng.Int64N(int64(far))))
	}
	return p.l.once, w, p.soon()
}

func (p *producer) soon() schedule.Schedule {
	return schedule.After(time.Duration(p.rng.Int64N(int64(near))))
}

// ask notes that something is asked for.
func (l *load) ask(name string) {
	l.note(verdict.Record{Op: verdict.Asked, Run: verdict.Run{Name: name}})
}

// answered notes that it was answered, and has changed nothing that is to be known.
func (l *load) answered(name string) {
	l.note(verdict.Record{Op: verdict.Answered, Run: verdict.Run{Name: name}})
}

// tryPut puts a name once. Where it is not known whether it was put, doubt is true, and nothing is noted.
func (p *producer) tryPut(ctx context.Context, name string) (put, doubt bool, err error) {
	p.l.ask(name)
	k, w, s := p.declaration(name)
	e, err := k.Put(ctx, name, w, s)
	switch {
	case err == nil:
		p.gen[name] = e.Generation
		p.l.accepted(&e, s.Recurring())
		return true, false, nil
	case errors.Is(err, duly.ErrUnknown):
		return false, true, nil
	case away(err):
		p.l.answered(name)
		return false, false, nil
	}
	return false, false, fmt.Errorf("put %q: %w", name, err)
}

func (p *producer) put(ctx context.Context, name string) error {
	_, doubt, err := p.tryPut(ctx, name)
	if doubt {
		return p.settle(ctx, name)
	}
	return err
}

// settle ends a doubt: the name is put until that is known to have taken place. Whatever was asked for before is over then.
func (p *producer) settle(ctx context.Context, name string) error {
	for doubts := 1; ; {
		if err := wait.Sleep(ctx, time.Duration(20+p.rng.IntN(30))*time.Millisecond); err != nil {
			return err
		}
		put, doubt, err := p.tryPut(ctx, name)
		if err != nil {
			return err
		}
		if doubt {
			doubts++
		}
		if !put {
			continue
		}
		for range doubts {
			p.l.answered(name)
		}
		return nil
	}
}

func (p *producer) cancel(ctx context.Context, name string) error {
	p.l.ask(name)
	found, err := p.l.s.Cancel(ctx, name)
	switch {
	case errors.Is(err, duly.ErrUnknown):
		return p.settle(ctx, name)
	case err != nil && !away(err):
		return fmt.Errorf("cancel %q: %w", name, err)
	case err != nil:
		p.l.answered(name)
		return nil //nolint:nilerr // the server was not there
	case found == duly.Cancelled && p.gen[name] == 0:
		return fmt.Errorf("cancel %q: %v, and there was no task", name, found)
	case found == duly.Cancelled:
		p.l.note(verdict.Record{Op: verdict.Cancelled, Run: verdict.Run{Name: name, Generation: p.gen[name]}})
	case found == duly.Running && p.gen[name] != 0:
		p.l.note(verdict.Record{Op: verdict.TooLate, Run: verdict.Run{Name: name, Generation: p.gen[name]}})
	default:
		p.l.answered(name)
	}
	p.gen[name] = 0
	return nil
}

func (p *producer) move(ctx context.Context, name string) error {
	p.l.ask(name)
	e, err := p.l.s.Move(ctx, name, p.soon())
	switch {
	case errors.Is(err, duly.ErrUnknown):
		return p.settle(ctx, name)
	case away(err), errors.Is(err, duly.ErrRunning), errors.Is(err, duly.ErrFinished), errors.Is(err, duly.ErrNotFound):
		p.l.answered(name)
		return nil
	case err != nil:
		return fmt.Errorf("move %q: %w", name, err)
	}
	p.l.note(verdict.Record{
		Op: verdict.Moved, Next: e.Generation, Due: e.Due.UnixMicro(),
		Run: verdict.Run{Name: name, Generation: p.gen[name], ScheduledFor: e.ScheduledFor.UnixMicro()},
	})
	p.gen[name] = e.Generation
	return nil
}
