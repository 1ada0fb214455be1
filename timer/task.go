package timer

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/schedule"
)

// Task is the handle of a task that was put. It is a value: copies are the same task. It stands for what one Put made,
// not for the name: when another Put has replaced the task, its handle says so and touches the new one no more. The zero
// Task is one that has ended. All methods are safe from several goroutines.
type Task struct {
	sh   *shard
	rec  *record // nil for a plain task
	name string
	id   uint64
	idx  uint32
}

// State is where a task is in its life.
type State uint8

const (
	// StateUnknown is no task's state.
	StateUnknown State = iota
	// StatePending is that of a task that has a start ahead of it, or waits for a worker, for its key or for Resume.
	StatePending
	// StateRunning is that of a task that has a run under way.
	StateRunning
	// StateDone is that of a task that has ended: its last run returned nil, or it recurred to its schedule's end.
	StateDone
	// StateDead is that of a task that failed and will not be tried again.
	StateDead
	// StateCancelled is that of a task that was cancelled, replaced, or dropped by Drain or Close; Err says which.
	StateCancelled
	// StateExpired is that of a task that could not start within its StartWithin.
	StateExpired
	// StateFinished is that of a task without options (see Track) that has ended; how, is not kept.
	StateFinished
)

func (s State) String() string {
	names := [...]string{"unknown", "pending", "running", "done", "dead", "cancelled", "expired", "finished"}
	if int(s) < len(names) {
		return names[s]
	}
	return "State(" + strconv.Itoa(int(s)) + ")"
}

// CancelResult says what a Cancel found. Losing the race against the start is not an error.
type CancelResult uint8

const (
	// Unknown means that no task has the name.
	Unknown CancelResult = iota
	// Cancelled means that the task will never start, or never again, and that no run of it is under way.
	Cancelled
	// CancelledStillRuns means that a recurring task will never start again, and that its run under way goes on.
	CancelledStillRuns
	// Running means that the cancel was ignored, because the task had started.
	Running
	// Finished means that the task of the handle had ended, or was replaced.
	Finished
)

func (c CancelResult) String() string {
	names := [...]string{"unknown", "cancelled", "cancelled, still runs", "running", "finished"}
	if int(c) < len(names) {
		return names[c]
	}
	return "CancelResult(" + strconv.Itoa(int(c)) + ")"
}

// Prevented says whether the cancel prevented a start: Cancelled or CancelledStillRuns.
func (c CancelResult) Prevented() bool { return c == Cancelled || c == CancelledStillRuns }

func (r *record) handle() Task {
	return Task{sh: r.sh, rec: r, name: r.name, id: r.id, idx: r.idx}
}

// Name returns the task's name.
func (t Task) Name() string { return t.name }

// findLocked returns the task's entry while it is there.
func (t Task) findLocked() *entry {
	if en := t.sh.slab.get(t.idx); en != nil && en.id() == t.id && !en.dead() {
		return en
	}
	return nil
}

// index is findLocked for those who want the index.
func (t Task) index() uint32 {
	if t.findLocked() == nil {
		return nilIdx
	}
	return t.idx
}

// recordLocked returns the task's record, one that is made now if need be, or nil if a plain task has ended.
func (t Task) recordLocked() *record {
	switch {
	case t.rec != nil:
		return t.rec
	case t.findLocked() == nil:
		return t.replacedLocked()
	default:
		return t.sh.recordLocked(t.idx)
	}
}

// replacedLocked returns the record of a plain task that lost its name to another while a run of it is under way, or nil.
func (t Task) replacedLocked() *record {
	for run := t.sh.runs.head; run != nil; run = run.next {
		if run.rec.id == t.id && run.rec.idx == t.idx {
			return run.rec
		}
	}
	return nil
}

// look calls f with the task's record under the shard's lock, and with nil if a plain task has ended.
func (t Task) look(f func(*record)) {
	if t.sh == nil {
		f(nil)
		return
	}
	t.sh.mu.Lock()
	defer t.sh.mu.Unlock()
	f(t.recordLocked())
}

// Cancel keeps the task from starting. Cancelled: it will never run, as its handler has not been called and will not be.
// Running: the cancel came too late and changes nothing; the handler may be running, and may go on after Cancel has
// returned. A recurring task ends: CancelledStillRuns if a run of it is under way, which goes on. Finished: it had ended.
func (t Task) Cancel() CancelResult { return t.cancel("") }

func (t Task) cancel(why string) CancelResult {
	if t.sh == nil {
		return Finished
	}
	now := t.sh.e.clk.Read()
	t.sh.mu.Lock()
	defer t.sh.mu.Unlock()
	if t.findLocked() == nil {
		if r := t.recordLocked(); r != nil && r.active > 0 && !r.ended {
			return Running // replaced while it ran for the last time
		}
		return Finished
	}
	return t.sh.cancelLocked(t.idx, now, why, Finished)
}

// Cancel cancels by name; see Task.Cancel. A name that no task has, not or no more, is Unknown.
func (e *Engine) Cancel(name string) CancelResult {
	sh, hash := e.shardOf(name)
	var now clock.Reading
	if e.hooks.any {
		now = e.clk.Read()
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	idx := sh.names.find(hash, name, &sh.slab)
	if idx == nilIdx {
		return Unknown
	}
	if en := sh.slab.at(idx); !e.hooks.any {
		if _, plain := en.what.(Handler); plain {
			sh.dropHashedLocked(idx, en, hash)
			return Cancelled
		}
	}
	return sh.cancelLocked(idx, now, "", Unknown)
}

func (sh *shard) cancelLocked(idx uint32, now clock.Reading, why string, absent CancelResult) CancelResult {
	en := sh.slab.at(idx)
	r, ok := en.what.(*record)
	switch {
	case !ok:
		if sh.e.hooks.on(EventCancelled) {
			sh.e.hooks.add(plainEvent(en, EventCancelled, now, why))
		}
		sh.dropLocked(idx, en)
		return Cancelled
	case r.ended:
		return absent
	case r.endsWithRun():
		return Running
	}
	r.why = why
	active := r.active
	r.endLocked(StateCancelled, ErrCancelled, now)
	if active > 0 {
		return CancelledStillRuns
	}
	return Cancelled
}

// CancelWait cancels and then waits until no run of the task is under way, or ctx ends, whose cause it then returns. From
// inside a run of the task it cancels and returns ErrSelfWait.
func (t Task) CancelWait(ctx context.Context) (CancelResult, error) {
	if err := t.here(); err != nil {
		return Unknown, err
	}
	c := t.Cancel()
	return c, t.waitRuns(ctx)
}

// here says whether the caller is on the engine's side of a synctest bubble's edge; nobody is woken across it.
func (t Task) here() error {
	if t.sh == nil {
		return nil
	}
	if _, err := t.sh.e.read(); err != nil {
		return opError("wait", t.name, err)
	}
	return nil
}

// waitRuns waits for the runs under way.
func (t Task) waitRuns(ctx context.Context) error {
	if t.sh == nil {
		return nil
	}
	return t.await(ctx, func(run *running) bool { return run.rec.id == t.id && run.rec.idx == t.idx })
}

// waitHeld waits for the runs that hold the name of a task that has ended: its own and those that it took over.
func (t Task) waitHeld(ctx context.Context) error {
	return t.await(ctx, func(run *running) bool { return slices.Contains(t.rec.runs, run) })
}

// await waits for those runs of the shard that are meant.
func (t Task) await(ctx context.Context, meant func(*running) bool) error {
	self := runFrom(ctx)
	var waits []<-chan struct{}
	t.sh.mu.Lock()
	for run := t.sh.runs.head; run != nil; run = run.next {
		if meant(run) {
			if run == self {
				t.sh.mu.Unlock()
				return opError("wait", t.name, ErrSelfWait)
			}
			waits = append(waits, run.ended())
		}
	}
	t.sh.mu.Unlock()
	for _, c := range waits {
		select {
		case <-c:
		case <-ctx.Done():
			return opError("wait", t.name, context.Cause(ctx))
		}
	}
	return nil
}

// CancelRunning asks the runs of the task that are under way to stop, by ending their contexts with ErrCancelled, and says
// how many they are. The task's schedule goes on; whether a run heeds its context is up to the handler. To wait for the
// end see Wait and CancelWait.
func (t Task) CancelRunning() int {
	if t.sh == nil {
		return 0
	}
	t.sh.mu.Lock()
	defer t.sh.mu.Unlock()
	n := 0
	for run := t.sh.runs.head; run != nil; run = run.next {
		if run.rec.id == t.id && run.rec.idx == t.idx {
			run.cancel(ErrCancelled)
			n++
		}
	}
	return n
}

// Move gives the task another schedule, in place; see Engine.Move. A task that has ended returns ErrFinished.
func (t Task) Move(s schedule.Schedule) error {
	if t.sh == nil {
		return opError("move", t.name, ErrFinished)
	}
	return t.sh.move(t.name, s, t.index, ErrFinished)
}

// Done returns a channel that is closed when the task has ended and no run of it is under way. Every call returns the
// same channel while the task lives.
func (t Task) Done() <-chan struct{} {
	var c chan struct{}
	t.look(func(r *record) { c = doneLocked(r) })
	return c
}

func doneLocked(r *record) chan struct{} {
	if r == nil {
		c := make(chan struct{})
		close(c)
		return c
	}
	if r.done == nil {
		r.done = make(chan struct{})
		if r.ended && r.active == 0 {
			close(r.done)
		}
	}
	return r.done
}

// Wait waits until the task has ended and no run of it is under way, or ctx ends, whose cause it then returns. A task that
// recurs without limit ends when it is cancelled. From inside a run of the task, or of one that it replaced and whose end
// it waits for, it returns ErrSelfWait. How the task ended, State and Err tell.
func (t Task) Wait(ctx context.Context) error {
	if run := runFrom(ctx); run != nil && run.rec.sh == t.sh && (run.rec.id == t.id || t.heldUpBy(run)) {
		return opError("wait", t.name, ErrSelfWait)
	}
	if err := t.here(); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return opError("wait", t.name, context.Cause(ctx))
	default:
	}
	select {
	case <-t.Done():
		return nil
	case <-ctx.Done():
		return opError("wait", t.name, context.Cause(ctx))
	}
}

// heldUpBy says whether the task cannot start before the end of a run that it took over.
func (t Task) heldUpBy(run *running) bool {
	t.sh.mu.Lock()
	defer t.sh.mu.Unlock()
	r := t.rec
	return r != nil && !r.ended && r.set.overlap != Allow && slices.Contains(r.runs, run)
}

// State returns the task's state.
func (t Task) State() State {
	if t.sh == nil {
		return StateFinished
	}
	t.sh.mu.Lock()
	defer t.sh.mu.Unlock()
	if t.rec != nil {
		return t.rec.stateLocked()
	}
	if en := t.findLocked(); en != nil {
		if r, ok := en.what.(*record); ok {
			return r.stateLocked()
		}
		return StatePending
	}
	if r := t.replacedLocked(); r != nil {
		return r.stateLocked()
	}
	return StateFinished
}

func (r *record) stateLocked() State {
	switch {
	case r.active > 0:
		return StateRunning
	case r.ended:
		return r.state
	default:
		return StatePending
	}
}

// Err returns the error of the task's last run, or why the task ended: ErrCancelled, ErrReplaced, ErrClosed. It is nil for
// a task without options (see Track) that has ended.
func (t Task) Err() error {
	var err error
	t.look(func(r *record) {
		if r != nil {
			err = r.err
		}
	})
	return err
}

// Runs returns how often the task has started.
func (t Task) Runs() int64 { return t.Info().Runs }

// Next returns the next occurrence for which the task will start, by the wall clock as it is set now; zero if there is
// none, or none yet because it depends on when the run under way ends.
func (t Task) Next() time.Time { return t.Info().ScheduledFor }

// Period returns the schedule's period; 0 for a one-off.
func (t Task) Period() time.Duration { return t.Info().Schedule.Period() }

// Generation returns a number that rises with every accepted change of the name's task; 0 if a plain task has ended.
func (t Task) Generation() uint64 { return t.Info().Generation }

// Info returns what is known of the task. Of a task without options that has ended that is its name and StateFinished.
func (t Task) Info() Info {
	info := Info{Name: t.name, State: StateFinished}
	if t.sh == nil {
		return info
	}
	now := t.sh.e.clk.Read()
	t.sh.mu.Lock()
	defer t.sh.mu.Unlock()
	if t.rec != nil {
		return t.rec.infoLocked(now)
	}
	if en := t.findLocked(); en != nil {
		return infoLocked(en, now)
	}
	if r := t.replacedLocked(); r != nil {
		return r.infoLocked(now)
	}
	return info
}

// Find returns the task that has the name.
func (e *Engine) Find(name string) (Task, bool) {
	sh, hash := e.shardOf(name)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	idx := sh.names.find(hash, name, &sh.slab)
	if idx == nilIdx {
		return Task{}, false
	}
	en := sh.slab.at(idx)
	if r, ok := en.what.(*record); ok {
		return r.handle(), !r.ended
	}
	return Task{sh: sh, name: en.name, id: en.id(), idx: idx}, true
}
