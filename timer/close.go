package timer

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/dulyhq/duly/clock"
)

// lifecycle is where the engine is: held, running, draining with or without what is pending, closed.
type lifecycle struct {
	mu      sync.Mutex
	state   atomic.Uint32
	faults  int
	err     error         // what broke the engine
	drained chan struct{} // closed when, under RunPending, nothing is pending any more
}

const (
	lifeHeld uint32 = iota
	lifeRunning
	lifeRunningOut // draining; what is pending runs when it is due
	lifeStopped    // nothing is claimed any more
)

func (l *lifecycle) init() { l.drained = make(chan struct{}) }

func (l *lifecycle) start() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch l.state.Load() {
	case lifeHeld:
		l.state.Store(lifeRunning)
		return nil
	case lifeRunning:
		return ErrAlreadyStarted
	default:
		return ErrClosed
	}
}

// drives says whether the driver has work: also when nothing is claimed any more, for the timeouts of runs under way. A
// broken engine's has not.
func (l *lifecycle) drives() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err == nil
}

func (l *lifecycle) runsPending() bool { return l.state.Load() == lifeRunningOut }
func (l *lifecycle) ended() bool       { return l.state.Load() > lifeRunning }

// reason is why the engine takes nothing any more.
func (l *lifecycle) reason() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	return ErrClosed
}

// Err returns what broke the engine, or nil. A broken engine starts nothing and takes nothing any more; its tasks can
// still be listed, and Close returns them.
func (e *Engine) Err() error {
	e.life.mu.Lock()
	defer e.life.mu.Unlock()
	return e.life.err
}

// fault counts failed passes of the driver in a row; after too many of them the engine is broken.
func (e *Engine) fault(err error) (broken bool) {
	l := &e.life
	l.mu.Lock()
	if err == nil {
		l.faults = 0
		l.mu.Unlock()
		return false
	}
	l.faults++
	if broken = l.faults >= maxFaults; broken {
		l.err = err
		l.state.Store(lifeStopped)
	}
	l.mu.Unlock()
	if broken {
		e.refuse()
	}
	return broken
}

// refuse lets no shard take anything any more.
func (e *Engine) refuse() {
	for i := range e.shards {
		sh := &e.shards[i]
		sh.mu.Lock()
		sh.closed = true
		sh.mu.Unlock()
	}
}

// CloseOption changes how Drain and Close treat what is pending.
type CloseOption uint8

// RunPending lets Drain and Close first wait until the pending one-offs and timers have come due, never early, and run.
const RunPending CloseOption = 1

// Drain takes nothing more, starts nothing more and waits until the runs under way have ended; when it returns nil,
// nothing of the user's runs any more, and no goroutine, file or timer of the engine is left. What was pending is dropped
// and returned. If ctx ends first, Drain returns its cause, and the Leftover says what still runs. Called by a handler
// with its context, Drain does not wait, which would be for itself, and returns ErrSelfWait.
//
// Drain and Close may be called again, also at the same time; only one of the calls gets what was pending.
func (e *Engine) Drain(ctx context.Context, opts ...CloseOption) (*Leftover, error) {
	return e.finish(ctx, "drain", opts, false)
}

// Close is Drain that also asks the runs under way to stop: their contexts end with ErrClosed.
func (e *Engine) Close(ctx context.Context, opts ...CloseOption) (*Leftover, error) {
	return e.finish(ctx, "close", opts, true)
}

func (e *Engine) finish(ctx context.Context, op string, opts []CloseOption, stop bool) (*Leftover, error) {
	self := runFrom(ctx)
	if self != nil && self.rec.sh.e != e {
		self = nil
	}
	e.refuse()
	left := &Leftover{}
	if len(opts) > 0 && opts[0] == RunPending && self == nil {
		e.runOut(ctx, left)
	}
	e.life.mu.Lock()
	e.life.state.Store(lifeStopped)
	e.life.mu.Unlock()
	e.handing.Lock() // what is due is then either still in a shard or already in a pool, which the join waits for
	e.collect(left)
	e.handing.Unlock()
	if stop {
		e.stopRuns()
	}
	err := e.join(ctx, self)
	left.stillRunning(e)
	if err != nil {
		return left, opError(op, "", fmt.Errorf("%d runs are still under way: %w", left.Running(), err))
	}
	return left, nil
}

// runOut waits until all one-offs have run. Recurring tasks end here.
func (e *Engine) runOut(ctx context.Context, left *Leftover) {
	l := &e.life
	l.mu.Lock()
	state := l.state.Load()
	if state <= lifeRunning {
		l.state.Store(lifeRunningOut)
	}
	l.mu.Unlock()
	if state > lifeRunningOut {
		return
	}
	now := e.clk.Read()
	e.each(AllTasks(), func(_ *shard, _ uint32, en *entry) {
		if r, ok := en.what.(*record); ok && r.recurring() {
			left.infos = append(left.infos, r.infoLocked(now))
			r.endLocked(StateCancelled, ErrClosed, now)
		}
	}, nil)
	e.armMu.Lock()
	if state == lifeHeld {
		e.setAlarmLocked(e.nexts())
	}
	e.armMu.Unlock()
	e.ranOut()
	select {
	case <-l.drained:
	case <-ctx.Done():
	}
}

// ranOut tells runOut that nothing is pending any more, if that is so.
func (e *Engine) ranOut() {
	if !e.life.runsPending() || e.live.Load() != 0 {
		return
	}
	e.life.mu.Lock()
	defer e.life.mu.Unlock()
	select {
	case <-e.life.drained:
	default:
		close(e.life.drained)
	}
}

// collect takes what is pending out of the shards. Only the timeouts of runs under way stay.
func (e *Engine) collect(left *Leftover) {
	left.now = e.clk.Read()
	for i := range e.shards {
		sh := &e.shards[i]
		sh.mu.Lock()
		left.chunks = append(left.chunks, sh.collectLocked(left)...)
		sh.mu.Unlock()
		e.kick(sh)
	}
}

func (sh *shard) collectLocked(left *Leftover) []*chunk {
	if sh.slab.live == 0 {
		return nil
	}
	timeouts := 0
	for run := sh.runs.head; run != nil; run = run.next {
		if run.timeout != nilIdx {
			timeouts++
		}
	}
	if sh.names.count == 0 && sh.slab.live == timeouts {
		return nil
	}
	chunks := sh.slab.chunks
	sh.slab = slab{}
	sh.slab.init()
	sh.names, sh.revived = names{}, nil
	phase := sh.boot.phase
	sh.boot, sh.wall = wheel{phase: phase}, nil
	sh.nextBoot.Store(never)
	sh.nextWall.Store(never)
	sh.e.live.Add(-1)
	for _, c := range chunks {
		if c == nil {
			continue
		}
		for o := range c.used {
			switch what := c.entries[o].what.(type) {
			case func():
				left.timers++
			case *record:
				what.collectedLocked(left.now)
			}
		}
	}
	for run := sh.runs.head; run != nil; run = run.next {
		if run.timeout != nilIdx {
			run.setTimeoutLocked(left.now)
		}
	}
	return chunks
}

// collectedLocked ends a record whose entry is not the shard's any more.
func (r *record) collectedLocked(now clock.Reading) {
	if r.ended {
		return
	}
	r.token++
	if r.waiter != nil {
		r.sh.e.leaveKey(r.waiter)
		r.waiter = nil
	}
	r.dropped = r.phase != phaseNone || r.recurring() && !r.exhausted()
	r.phase, r.ended, r.state = phaseNone, true, StateCancelled
	if !r.dropped { // the run under way was the last; it decides
		r.ended = false
		return
	}
	if r.err == nil {
		r.err = ErrClosed
	}
	r.sh.e.hooks.add(r.eventLocked(EventCancelled, now, "closed", 0))
	r.closeLocked()
}

func (e *Engine) stopRuns() {
	for i := range e.shards {
		sh := &e.shards[i]
		sh.mu.Lock()
		for run := sh.runs.head; run != nil; run = run.next {
			run.cancel(ErrClosed)
		}
		sh.mu.Unlock()
	}
}

// join waits until no worker is left and the hooks have been told, and ends the driver.
func (e *Engine) join(ctx context.Context, self *running) error {
	waits := []<-chan struct{}{e.timers.close(), e.tasks.close()}
	err := error(nil)
	if self != nil {
		err = ErrSelfWait
	}
	for i := 0; i < len(waits) && err == nil; i++ {
		select {
		case <-waits[i]:
			if i == 1 {
				waits = append(waits, e.hooks.close())
			}
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	if err != nil {
		e.hooks.abandon()
	}
	e.alarm.Close()
	return err
}

// Leftover is what Drain or Close left: what did not run, which is gone, and what still runs.
type Leftover struct {
	now    clock.Reading
	chunks []*chunk
	infos  []Info
	timers int
	runs   []Info
	busy   int
}

// NotRun lists the named tasks that were pending or recurred and will not start any more, in no order.
func (l *Leftover) NotRun() iter.Seq[Info] {
	return func(yield func(Info) bool) {
		for i := range l.infos {
			if !yield(l.infos[i]) {
				return
			}
		}
		for _, c := range l.chunks {
			if c == nil {
				continue
			}
			for o := range c.used {
				if info, ok := leftInfo(&c.entries[o], l.now); ok && !yield(info) {
					return
				}
			}
		}
	}
}

func leftInfo(en *entry, now clock.Reading) (Info, bool) {
	if en.name == "" {
		return Info{}, false
	}
	if r, ok := en.what.(*record); ok {
		r.sh.mu.Lock()
		defer r.sh.mu.Unlock()
		if !r.dropped {
			return Info{}, false
		}
		info := r.infoLocked(now)
		info.State = StateCancelled
		if !r.occ.IsZero() {
			info.ScheduledFor = r.shown(r.occ, now)
			info.Due = info.ScheduledFor.Add(r.offset)
		}
		return info, true
	}
	info := infoLocked(en, now)
	info.State = StateCancelled
	return info, true
}

// Timers is how many unnamed timers were pending.
func (l *Leftover) Timers() int { return l.timers }

// StillRunning lists the runs of named tasks that had not ended when Drain or Close returned.
func (l *Leftover) StillRunning() iter.Seq[Info] {
	return func(yield func(Info) bool) {
		for i := range l.runs {
			if !yield(l.runs[i]) {
				return
			}
		}
	}
}

// Running is how many handlers had not ended when Drain or Close returned, unnamed timers' functions included.
func (l *Leftover) Running() int { return l.busy }

func (l *Leftover) stillRunning(e *Engine) {
	now := e.clk.Read()
	for i := range e.shards {
		sh := &e.shards[i]
		sh.mu.Lock()
		for run := sh.runs.head; run != nil; run = run.next {
			info := run.rec.infoLocked(now)
			info.State = StateRunning
			l.runs = append(l.runs, info)
		}
		sh.mu.Unlock()
	}
	_, l.busy = e.timers.count()
	if e.tasks != e.timers {
		_, n := e.tasks.count()
		l.busy += n
	}
}
