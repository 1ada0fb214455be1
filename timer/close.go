package timer

import (
	"cmp"
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
	drained chan struct{} // closed when, under RunPending, nothing is pending any more, or nothing will be claimed
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

// stopLocked lets nothing be claimed any more, and nobody wait for what is pending.
func (l *lifecycle) stopLocked() {
	l.state.Store(lifeStopped)
	l.drainedLocked()
}

func (l *lifecycle) drainedLocked() {
	select {
	case <-l.drained:
	default:
		close(l.drained)
	}
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

// fault reports n more failures of the driver in a row, or with nil that it works; after too many the engine is broken.
func (e *Engine) fault(err error, n int) (broken bool) {
	l := &e.life
	if err == nil {
		l.mu.Lock()
		l.faults = 0
		l.mu.Unlock()
		return false
	}
	e.log.Error("timer engine failed", "engine", e.opts.Name, "error", err)
	l.mu.Lock()
	l.faults += n
	if broken = l.faults >= maxFaults; broken {
		l.err = err
		l.stopLocked()
	}
	l.mu.Unlock()
	if broken {
		e.refuse()
		e.tellExpirers()
	}
	return broken
}

// tellExpirers tells who waits for a deadline that a broken engine does not keep.
func (e *Engine) tellExpirers() {
	reason := e.life.reason()
	for i := range e.shards {
		sh := &e.shards[i]
		sh.mu.Lock()
		for c := range uint32(len(sh.slab.chunks)) {
			for o := range uint32(chunkSize) {
				idx := c<<chunkBits | o
				en := sh.slab.get(idx)
				if en == nil || en.dead() {
					continue
				}
				if x, ok := en.what.(Expirer); ok {
					sh.dropLocked(idx, en)
					x.Expire(reason)
				}
			}
		}
		sh.mu.Unlock()
	}
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
// and returned. If ctx ends first, also while RunPending waits, Drain returns its cause, and the Leftover says what still
// runs; nothing else starts any more, but a hook that is being called may go on, too. Called by a handler with its context,
// Drain does not wait, which would be for itself, and returns ErrSelfWait. An unnamed timer's function, OnPanic and a hook
// have no such context: called by them, Drain waits for itself until ctx ends.
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
	left := &Leftover{}
	if _, err := e.read(); err != nil {
		return left, opError(op, "", err)
	}
	self := runFrom(ctx)
	if self != nil && self.rec.sh.e != e {
		self = nil
	}
	var cut error
	if len(opts) > 0 && opts[0] == RunPending && self == nil {
		cut = e.runOut(ctx, left)
	}
	e.refuse()
	e.life.mu.Lock()
	e.life.stopLocked()
	e.life.mu.Unlock()
	e.handing.Lock() // what is due is then either still in a shard or already in a pool, which the join waits for
	e.collect(left)
	e.handing.Unlock()
	if stop {
		e.stopRuns()
	}
	err := e.join(ctx, self, stop)
	if err != nil {
		left.timers += e.timers.abandon()
		if e.tasks != e.timers {
			e.tasks.abandon()
		}
	}
	left.stillRunning(e)
	switch {
	case err == nil && cut == nil:
		return left, nil
	case left.Running() == 0:
		return left, opError(op, "", cmp.Or(err, cut))
	default:
		return left, opError(op, "", fmt.Errorf("%d runs are still under way: %w", left.Running(), cmp.Or(err, cut)))
	}
}

// runOut waits until all one-offs have run. Recurring tasks end here, and so do paused ones, which nothing can resume any
// more. That claims go on is said before the shards are closed: the worker that finds its shard closed between the two
// would drop what it came for.
func (e *Engine) runOut(ctx context.Context, left *Leftover) error {
	l := &e.life
	l.mu.Lock()
	state := l.state.Load()
	if state <= lifeRunning {
		l.state.Store(lifeRunningOut)
	}
	l.mu.Unlock()
	if state > lifeRunningOut {
		return nil
	}
	e.refuse()
	now := e.clk.Read()
	e.each(AllTasks(), func(_ *shard, _ uint32, en *entry) {
		r, ok := en.what.(*record)
		if !ok || r.endsWithRun() {
			return
		}
		if r.recurring() || r.phase == phaseParked || r.phase == phaseHeld && r.paused && !r.manual {
			info := r.infoLocked(now)
			info.State = StateCancelled
			left.infos = append(left.infos, info)
			r.endLocked(StateCancelled, ErrClosed, now)
		}
	}, nil)
	if state == lifeHeld {
		e.wakeUp()
	}
	e.ranOut()
	return waitFor(ctx, l.drained)
}

// ranOut tells runOut that nothing is pending any more, if that is so.
func (e *Engine) ranOut() {
	if !e.life.runsPending() || e.live.Load() != 0 {
		return
	}
	e.life.mu.Lock()
	defer e.life.mu.Unlock()
	e.life.drainedLocked()
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
	sh.settleLocked()
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
			case Handler:
				if sh.e.hooks.on(EventCancelled) {
					sh.e.hooks.add(plainEvent(&c.entries[o], EventCancelled, left.now, "closed"))
				}
			case Expirer:
				what.Expire(sh.e.life.reason())
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
	r.token.Add(1)
	if r.waiter != nil {
		r.sh.e.leaveKey(r.waiter)
		r.waiter = nil
	}
	if r.endsWithRun() { // the run under way was the last; it decides
		return
	}
	r.dropped = true
	r.phase, r.ended, r.state, r.err = phaseNone, true, StateCancelled, ErrClosed
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

// join waits until no worker is left and the hooks have been told, and ends the driver; stop says that runs were asked to.
func (e *Engine) join(ctx context.Context, self *running, stop bool) error {
	waits := []<-chan struct{}{e.timers.close(), e.tasks.close()}
	err := error(nil)
	if self != nil {
		err = ErrSelfWait
	}
	for i := 0; i < len(waits) && err == nil; i++ {
		if err = waitFor(ctx, waits[i]); err == nil && i == 1 {
			waits = append(waits, e.hooks.close())
		}
	}
	if err != nil {
		e.hooks.abandon()
	}
	if err == nil || stop || e.live.Load() == 0 { // else the alarm is still there for the timeouts of runs under way
		e.alarm.Close()
	}
	return err
}

// waitFor waits until c is closed, or ctx ends, whose cause it then returns. What is over already is not waited for.
func waitFor(ctx context.Context, c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	default:
	}
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
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
