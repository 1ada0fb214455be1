package timer

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"sync"
	"time"

	"github.com/dulyhq/duly/clock"
)

// running is a run under way: what the handler gets as its context. Channels and parents are made only for a handler that
// asks for them.
type running struct {
	rec        *record
	fn         Handler
	number     int64
	missed     int64
	scheduled  time.Time
	due        time.Time
	started    time.Time
	deadline   time.Time
	expires    int64  // the deadline in boot time
	timeout    uint32 // index of the entry that waits for the deadline, or nilIdx
	key        *keyWaiter
	prev, next *running // in the shard's list

	mu    sync.Mutex
	inner context.Context //nolint:containedctx // this is a context; inner is made when its Done is asked for
	stop  context.CancelCauseFunc
	cause error
	over  bool
	done  chan struct{} // made when first asked for; closed when the run has ended
}

// Attempt says which task a handler runs for, and when it was to start.
type Attempt struct {
	// Task is the handle of the task.
	Task Task
	// Name is the task's name.
	Name string
	// ScheduledFor is the nominal instant, Due that instant with jitter, Started when the run began: by the wall clock as it
	// was set when the run began. Started is never before Due.
	ScheduledFor, Due, Started time.Time
	// Number counts the starts of the task from 1. Attempt counts the attempts on this run; in process it is 1.
	Number  int64
	Attempt int
	// Missed is how many earlier or later occurrences were folded into this one.
	Missed int64
}

type attemptKey struct{}

// TaskFrom returns what a handler runs for, given its context or one derived from it. It is false for any other context.
func TaskFrom(ctx context.Context) (Attempt, bool) {
	run, ok := ctx.Value(attemptKey{}).(*running)
	if !ok {
		return Attempt{}, false
	}
	return Attempt{
		Task: run.rec.handle(), Name: run.rec.name, ScheduledFor: run.scheduled, Due: run.due, Started: run.started,
		Number: run.number, Attempt: 1, Missed: run.missed,
	}, true
}

// runFrom returns the run whose context it is, or from which it is derived.
func runFrom(ctx context.Context) *running {
	run, _ := ctx.Value(attemptKey{}).(*running)
	return run
}

func (r *running) Deadline() (time.Time, bool) { return r.deadline, !r.deadline.IsZero() }

// context returns the standard library's context inside this one, which carries the cancellation. Values that are not
// ours are looked up in it, so that context.Cause and derived contexts find it without a goroutine.
func (r *running) context() context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inner == nil {
		r.inner, r.stop = context.WithCancelCause(context.Background())
		if r.cause != nil {
			r.stop(r.cause)
		}
	}
	return r.inner
}

func (r *running) Done() <-chan struct{} { return r.context().Done() }

func (r *running) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.cause == nil:
		return nil
	case errors.Is(r.cause, ErrTimeout):
		return context.DeadlineExceeded
	default:
		return context.Canceled
	}
}

func (r *running) Value(key any) any {
	if _, ok := key.(attemptKey); ok {
		return r
	}
	return r.context().Value(key)
}

// cancel ends the context; the first cause stays.
func (r *running) cancel(cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cause != nil {
		return
	}
	r.cause = cause
	if r.stop != nil {
		r.stop(cause)
	}
}

// stopped says whether somebody has asked the run to stop; a timeout is not somebody.
func (r *running) stopped() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cause != nil && !errors.Is(r.cause, ErrTimeout)
}

// ended returns a channel that is closed when the run has ended.
func (r *running) ended() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done == nil {
		r.done = make(chan struct{})
		if r.over {
			close(r.done)
		}
	}
	return r.done
}

// end tells those who wait for the run, and ends its context for those who go on using it.
func (r *running) end() {
	r.cancel(context.Canceled)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	if r.done != nil {
		close(r.done)
	}
}

var errTimedOut = fmt.Errorf("%w: %w", ErrTimeout, context.DeadlineExceeded)

// setTimeoutLocked has the driver end the run's context at its deadline.
func (r *running) setTimeoutLocked(now clock.Reading) {
	sh := r.rec.sh
	idx, en := sh.newLocked(sh.newID())
	en.what = r
	sh.linkLocked(idx, en, r.expires, false, now.Boot)
	r.timeout = idx
}

// runList links the runs that are under way in a shard.
type runList struct {
	head *running
	n    int
}

func (l *runList) add(r *running) {
	r.next = l.head
	if l.head != nil {
		l.head.prev = r
	}
	l.head = r
	l.n++
}

func (l *runList) remove(r *running) {
	if r.prev != nil {
		r.prev.next = r.next
	} else {
		l.head = r.next
	}
	if r.next != nil {
		r.next.prev = r.prev
	}
	r.prev, r.next = nil, nil
	l.n--
}

// runItem is what a worker does with an item.
func (e *Engine) runItem(w *worker, it item) {
	if it.f != nil {
		if it.sh != nil { // not the engine's own
			w.cell.fired(it.due, it.at, e.clk.Read().Boot)
		}
		e.call(it.f)
		return
	}
	if run := e.claim(w, it); run != nil {
		e.runTask(run)
	}
}

func (e *Engine) call(f func()) {
	returned := false
	defer func() {
		if !returned {
			var err error
			e.caught("", recover(), &err)
		}
	}()
	f()
	returned = true
}

// claim takes a task out of the pending state for a run: here, under the shard's lock, it is decided whether a Cancel, a
// Move, a Put or this start wins.
func (e *Engine) claim(w *worker, it item) *running {
	now := e.clk.Read()
	sh := it.sh
	sh.mu.Lock()
	run, freed := sh.claimLocked(w, it, now)
	sh.mu.Unlock()
	if freed != nil {
		e.grant(e.keys.release(freed.key))
	}
	e.kick(sh)
	return run
}

func (sh *shard) claimLocked(w *worker, it item, now clock.Reading) (run *running, freed *keyWaiter) {
	en := sh.slab.get(it.idx)
	if en == nil || sh.closed && !sh.e.life.runsPending() {
		return nil, it.key
	}
	r, ok := en.what.(*record)
	if !ok {
		if _, plain := en.what.(Handler); !plain || en.linked() || en.generation() != it.gen {
			return nil, it.key
		}
		r = sh.promoteLocked(it.idx, en)
	}
	if r.phase != phaseReady || r.token.Load() != it.token || r.gen != it.gen {
		return nil, it.key
	}
	key := it.key
	if r.set.key != "" && key == nil {
		key = &keyWaiter{rec: r, key: r.set.key, limit: r.set.keyLimit}
		if !sh.e.keys.enter(key) {
			r.phase, r.waiter = phaseKeyed, key
			return nil, nil
		}
	}
	if !r.planLocked(now) {
		return nil, key
	}
	return r.startLocked(w, now, it, key), nil
}

// startLocked begins the run and settles what comes after it.
func (r *record) startLocked(w *worker, now clock.Reading, it item, key *keyWaiter) *running {
	e := r.sh.e
	r.starts++
	r.missed += r.folded
	due := r.due // linked, or set by RunNow
	if r.wall {
		due = satAdd(due, now.Boot-now.Wall)
	}
	if r.manual {
		due = min(due, now.Boot) // the wall clock may have been set back since RunNow
	}
	run := &running{
		rec: r, fn: r.fn, number: r.starts, missed: r.folded, key: key,
		started: time.Unix(0, now.Wall).UTC(), due: wallOf(due, now), timeout: nilIdx,
	}
	run.scheduled = r.shown(r.occ, now)
	if r.manual {
		run.scheduled = run.started
	}
	if d := r.set.timeout; d > 0 {
		run.deadline = run.started.Add(d)
		run.expires = satAdd(now.Boot, int64(d))
		run.setTimeoutLocked(now)
	}
	r.folded = 0
	r.active++
	r.runs = append(r.runs, run)
	r.sh.runs.add(run)
	w.cell.fired(due, max(it.at, due), now.Boot)
	if e.hooks.on(EventStarted) {
		ev := r.eventLocked(EventStarted, now, "", 0)
		ev.ScheduledFor, ev.Due, ev.Missed = run.scheduled, run.due, run.missed
		e.hooks.add(ev)
	}
	r.advanceLocked(now)
	return run
}

// runTask runs the handler, whatever becomes of it, and settles the run.
func (e *Engine) runTask(run *running) {
	returned := false
	var err error
	defer func() { e.settle(run, err) }()
	defer func() {
		if !returned {
			e.caught(run.rec.name, recover(), &err)
		}
	}()
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels("duly_engine", e.opts.Name, "duly_task", run.rec.name)))
	defer pprof.SetGoroutineLabels(context.Background())
	err = run.fn(run)
	returned = true
}

// settle records how a run ended and lets the task go on.
func (e *Engine) settle(run *running, err error) {
	now := e.clk.Read()
	r, sh := run.rec, run.rec.sh
	sh.mu.Lock()
	sh.runs.remove(run)
	if run.timeout != nilIdx {
		sh.dropLocked(run.timeout, sh.slab.at(run.timeout))
	}
	cur := r // the name's present holder, which has the run in its list
	if en := sh.slab.get(r.idx); en != nil {
		if holder, ok := en.what.(*record); ok && slices.Contains(holder.runs, run) {
			cur = holder
		}
	}
	cur.runs = slices.DeleteFunc(cur.runs, func(o *running) bool { return o == run })
	r.active--
	if !run.deadline.IsZero() && now.Boot > run.expires {
		e.overran.Add(1)
	}
	if err != nil || !r.ended {
		r.err = err
	}
	kind := EventFinished
	if err != nil {
		kind = EventFailed
		e.failed.Add(1)
	}
	if e.hooks.on(kind) {
		ev := r.eventLocked(kind, now, "", 0)
		ev.ScheduledFor, ev.Due, ev.Missed, ev.Err = run.scheduled, run.due, run.missed, err
		e.hooks.add(ev)
	}
	r.settledLocked(run, err, now)
	if cur != r {
		if cur.active == 0 { // else its own run decides
			cur.resumeLocked(now)
		}
		cur.closeLocked()
	}
	sh.mu.Unlock()
	run.end()
	if run.key != nil {
		e.grant(e.keys.release(run.key.key))
	}
	e.kick(sh)
}

func (r *record) settledLocked(run *running, err error, now clock.Reading) {
	switch {
	case r.ended:
		r.closeLocked()
	case err != nil && r.recurring() && r.set.onError == Stop:
		r.endLocked(StateDead, err, now)
	case r.endsWithRun():
		if r.active > 0 {
			return
		}
		state := StateDone
		if err != nil && !r.recurring() {
			if state = StateDead; run.stopped() {
				state = StateCancelled
			}
		}
		r.endLocked(state, err, now)
	default:
		r.resumeLocked(now)
		if r.phase == phaseNone && r.active == 0 && !r.ended {
			r.endLocked(StateDone, err, now)
		}
	}
}

// Panic is what OnPanic is told.
type Panic struct {
	Engine string // the engine's name
	Task   string // the task's name; empty for an unnamed timer
	Value  any    // what was passed to panic; nil if the handler called runtime.Goexit
	Goexit bool
	Stack  []byte
}

// PanicError is the error of a run that panicked.
type PanicError struct {
	Value any
	Stack []byte
}

func (p *PanicError) Error() string { return fmt.Sprintf("panic: %v", p.Value) }

// Unwrap returns the panic's value if it is an error.
func (p *PanicError) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// caught makes a panic, or a Goexit if v is nil, the run's error, and then reports it: OnPanic might call Goexit itself. It
// runs on the goroutine that panicked, deferred.
func (e *Engine) caught(task string, v any, err *error) {
	p := Panic{Engine: e.opts.Name, Task: task, Value: v, Goexit: v == nil, Stack: debug.Stack()}
	if *err = ErrGoexit; !p.Goexit {
		*err = &PanicError{Value: v, Stack: p.Stack}
	}
	e.panics.Add(1)
	if e.opts.OnPanic == nil {
		e.log.Error("task panicked", "engine", p.Engine, "task", task, "panic", fmt.Sprint(v), "goexit", p.Goexit, "stack", string(p.Stack))
	} else {
		e.shielded("OnPanic", func() { e.opts.OnPanic(p) })
	}
}

// shielded calls what the user gave to be told of things; that it panics, or calls runtime.Goexit, is logged. A Goexit goes
// on: whoever calls shielded has deferred what must be done all the same.
func (e *Engine) shielded(what string, f func()) {
	returned := false
	defer func() {
		if v := recover(); !returned {
			e.log.Error("callback panicked", "engine", e.opts.Name, "callback", what, "panic", fmt.Sprint(v), "goexit", v == nil, "stack", string(debug.Stack()))
		}
	}()
	f()
	returned = true
}
