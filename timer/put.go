package timer

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/schedule"
)

// Put schedules a task under a name: to run fn when s says. If a task of the name is pending or recurs, the new one
// replaces it, unless OnConflict says otherwise; a run of it that is under way goes on, and the new task waits for its
// end. Putting what is there already, the same schedule and options, changes nothing but the handler.
//
// The name is 1 to 255 bytes of UTF-8 without control characters, and neither . nor .. ; the engine keeps the string
// while the task is pending. A one-off without options, schedule.After or schedule.At, allocates nothing.
//
// Put never waits and never calls fn itself. An error, always an *Error, means that nothing was changed.
func (e *Engine) Put(name string, s schedule.Schedule, fn Handler, opts ...Option) (Task, error) {
	if len(opts) == 0 && fn != nil {
		if d, ok := s.PlainAfter(); ok && d < farDelay {
			if t, done, err := e.putPlain(name, int64(max(d, 0)), false, fn); done {
				return t, err
			}
		} else if t, ok := s.PlainAt(); ok {
			if ns, exact := wallNanos(t); exact {
				if t, done, err := e.putPlain(name, ns, true, fn); done {
					return t, err
				}
			}
		}
	}
	return e.putRecord(name, s, fn, opts)
}

// farDelay is a delay from which on the clocks' range might not hold the instant. It is never reached, but has to be told.
const farDelay = 1 << 62

// Runnable is a task as an object.
type Runnable interface {
	// Name is the task's name, asked for once, by PutRunnable.
	Name() string
	Run(ctx context.Context) error
}

// PutRunnable is Put for an object that knows its name.
func (e *Engine) PutRunnable(r Runnable, s schedule.Schedule, opts ...Option) (Task, error) {
	if f, ok := r.(*namedFunc); isNil(r) || ok && f.fn == nil {
		return Task{}, badArg("put", "", "runnable", "nil", "a task")
	}
	return e.Put(r.Name(), s, r.Run, opts...)
}

// putPlain is Put for a one-off without options; due is a delay or an instant. Whatever it finds under the name that is
// not as plain is left to putRecord; then it is not done.
func (e *Engine) putPlain(name string, due int64, wall bool, fn Handler) (t Task, done bool, err error) {
	if err := checkName("put", name); err != nil {
		return t, true, err
	}
	now, err := e.read()
	if err != nil {
		return t, true, opError("put", name, err)
	}
	at := now.Wall
	if !wall {
		at, due = now.Boot, satAdd(now.Boot, due)
	}
	sh, hash := e.shardOf(name)
	sh.mu.Lock()
	if sh.closed {
		sh.mu.Unlock()
		return t, true, opError("put", name, e.life.reason())
	}
	idx := sh.names.find(hash, name, &sh.slab)
	if idx == nilIdx {
		if !e.admit() {
			sh.mu.Unlock()
			return t, true, e.full(name)
		}
		var en *entry
		idx, en = sh.newLocked(sh.newID())
		en.name = name
		sh.names.add(hash, idx)
	}
	en := sh.slab.at(idx)
	if _, plain := en.what.(Handler); !plain && en.what != nil {
		sh.mu.Unlock()
		return t, false, nil
	}
	if en.what != nil {
		if en.linked() && en.due == due && en.onWall() == wall { // identical
			en.what = fn
			t = Task{sh: sh, name: name, id: en.id(), idx: idx}
			sh.mu.Unlock()
			return t, true, nil
		}
		if e.hooks.on(EventCancelled) {
			e.hooks.add(plainEvent(en, EventCancelled, now, "replaced"))
		}
		sh.unlinkLocked(idx, en)
		en.tag = makeTag(sh.newID())
	}
	en.what = fn
	sh.linkLocked(idx, en, due, wall, max(at, 0))
	t = Task{sh: sh, name: name, id: en.id(), idx: idx}
	if e.hooks.on(EventScheduled) {
		e.hooks.add(plainEvent(en, EventScheduled, now, ""))
	}
	sh.mu.Unlock()
	e.kick(sh)
	return t, true, nil
}

// admit counts one more named task, if there may be one.
func (e *Engine) admit() bool {
	if e.opts.MaxPending <= 0 {
		return true
	}
	if e.named.Add(1) > int64(e.opts.MaxPending) {
		e.named.Add(-1)
		return false
	}
	return true
}

func (e *Engine) full(name string) error {
	return opError("put", name, fmt.Errorf("%w: MaxPending is %d", ErrFull, e.opts.MaxPending))
}

// plainEvent describes a plain task.
func plainEvent(en *entry, k EventKind, now clock.Reading, reason string) Event {
	ev := Event{Kind: k, Name: en.name, Generation: en.generation(), At: time.Unix(0, now.Wall).UTC(), Reason: reason}
	ev.Due = wallOf(en.due, now)
	if en.onWall() {
		ev.Due = time.Unix(0, en.due).UTC()
	}
	ev.ScheduledFor = ev.Due
	return ev
}

// putRecord is Put for everything else.
func (e *Engine) putRecord(name string, s schedule.Schedule, fn Handler, opts []Option) (Task, error) {
	o, err := checkPut(name, s, fn, opts)
	if err != nil {
		return Task{}, err
	}
	now, err := e.read()
	if err != nil {
		return Task{}, opError("put", name, err)
	}
	sh, hash := e.shardOf(name)
	t, err := sh.putRecord(hash, name, s, fn, o, now)
	if err != nil {
		return Task{}, err
	}
	e.kick(sh)
	return t, nil
}

func checkPut(name string, s schedule.Schedule, fn Handler, opts []Option) (*options, error) {
	if err := checkName("put", name); err != nil {
		return nil, err
	}
	if fn == nil {
		return nil, badArg("put", name, "handler", "nil", "a function")
	}
	if err := s.Err(); err != nil {
		return nil, badSchedule("put", name, err)
	}
	o := &options{}
	for i, opt := range opts {
		if opt == nil {
			return nil, badArg("put", name, fmt.Sprintf("option %d", i+1), "nil", "an Option")
		}
		opt(o)
	}
	if o.err == nil && o.conflict.kind() == debounce && s.Recurring() {
		o.fail("Debounce's schedule", s.String(), "a one-off")
	}
	if o.err == nil && o.startWithin > 0 && s.Recurring() {
		o.fail("StartWithin's schedule", s.String(), "a one-off; for a recurring task see Window")
	}
	if o.err != nil {
		o.err.Op, o.err.Name = "put", name
		return nil, o.err
	}
	return o, nil
}

func (sh *shard) putRecord(hash uint32, name string, s schedule.Schedule, fn Handler, o *options, now clock.Reading) (Task, error) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.e
	if sh.closed {
		return Task{}, opError("put", name, e.life.reason())
	}
	idx := sh.names.find(hash, name, &sh.slab)
	var old *record
	if idx != nilIdx {
		old = sh.recordLocked(idx)
	}
	r := &record{sh: sh, name: name, fn: fn, set: o.settings, tags: o.tags, firstPut: now.Boot}
	r.bindLocked(s, now)
	if old != nil && !old.ended {
		if t, done, err := old.conflictLocked(r, o, now); done || err != nil {
			return t, err
		}
	} else if o.hasIfGen || o.ifPending {
		return Task{}, opError("put", name, fmt.Errorf("%w: no task of this name is pending", ErrCondition))
	}
	if o.conflict.kind() == debounce {
		r.limitLocked(o.conflict.wait(), now)
	}
	if old == nil {
		if !e.admit() {
			return Task{}, e.full(name)
		}
		var en *entry
		idx, en = sh.newLocked(sh.newID())
		en.name = name
		sh.names.add(hash, idx)
	} else {
		sh.slab.at(idx).what = r // the entry is the new task's: the end of the old one does not free it
		old.replaceLocked(r, now)
	}
	en := sh.slab.at(idx)
	if old != nil {
		en.tag = makeTag(sh.newID())
	}
	en.what = r
	r.idx, r.id, r.gen = idx, en.id(), en.generation()
	r.linkLocked(now)
	e.hooks.add(r.eventLocked(EventScheduled, now, "", 0))
	return r.handle(), nil
}

// bindLocked sets the schedule as of now.
func (r *record) bindLocked(s schedule.Schedule, now clock.Reading) {
	r.sched, r.wall = s, !s.Relative()
	r.rule = s.Bind(r.name, r.instant(now))
	r.offset = r.rule.Offset()
	r.occ = r.rule.First()
	r.due = r.dueOf(r.occ)
	r.base, r.backlog, r.buffed, r.after = r.starts, 0, false, time.Time{}
}

// conflictLocked decides about a Put on a name that is taken. done says that nothing is left to do but to return t.
func (r *record) conflictLocked(n *record, o *options, now clock.Reading) (t Task, done bool, err error) {
	started := r.endsWithRun()
	switch {
	case o.ifAbsent:
		return t, true, opError("put", r.name, ErrExists)
	case o.hasIfGen && r.gen != o.ifGeneration:
		return t, true, opError("put", r.name, fmt.Errorf("%w: the generation is %d, not %d", ErrCondition, r.gen, o.ifGeneration))
	case o.ifPending && started:
		return t, true, opError("put", r.name, fmt.Errorf("%w: %w", ErrCondition, ErrRunning))
	case r.identical(n) && o.conflict != Fail:
		r.fn = n.fn
		return r.handle(), true, nil
	}
	switch o.conflict.kind() {
	case Replace:
	case Fail:
		return t, true, opError("put", r.name, ErrExists)
	case Keep:
		return r.handle(), true, nil
	case KeepTime:
		if started {
			return t, false, nil
		}
		return r.amendLocked(n, now), true, nil
	case EarliestDue:
		if started || n.soonerLocked(r, now) {
			return t, false, nil
		}
		return r.amendLocked(n, now), true, nil
	case debounce:
		if started {
			return t, false, nil
		}
		if r.firstPut != unknownPut {
			n.firstPut = r.firstPut
		}
	}
	return t, false, nil
}

// soonerLocked says whether the task comes due before another. A task that rests between its runs and runs now does so no
// sooner than it would if the run ended now.
func (r *record) soonerLocked(o *record, now clock.Reading) bool {
	when := func(r *record) time.Time {
		occ := r.occ
		if occ.IsZero() && r.sched.Kind() == schedule.KindPace && len(r.runs) > 0 {
			occ = r.rule.Next(r.instant(now))
		}
		return occ
	}
	mine, others := when(r), when(o)
	switch {
	case mine.IsZero() || others.IsZero(): // never
		return !mine.IsZero()
	default:
		return r.shown(mine, now).Add(r.offset).Before(o.shown(others, now).Add(o.offset))
	}
}

// limitLocked keeps a debounced task from coming due later than wait after the first Put of its burst.
func (r *record) limitLocked(wait time.Duration, now clock.Reading) {
	last := satAdd(r.firstPut, int64(wait))
	if r.wall {
		last = satAdd(last, now.Wall-now.Boot)
	}
	switch {
	case r.dueOf(r.occ) <= last:
	case r.wall:
		r.occ = time.Unix(0, last).UTC().Add(-r.offset)
	default:
		r.occ = r.sh.e.bootTime(last).Add(-r.offset)
	}
}

// unknownPut is firstPut of a task that was put without options, of which that is not kept.
const unknownPut = -1

// identical says whether a Put would change nothing (contract A5).
func (r *record) identical(n *record) bool {
	if r.set != n.set || !slices.Equal(r.tags, n.tags) || r.recurring() != n.recurring() {
		return false
	}
	if !r.recurring() {
		return r.wall == n.wall && r.occ.Equal(n.occ) && r.offset == n.offset
	}
	return r.sched.Equal(n.sched)
}

// amendLocked gives the task another handler and other options and leaves its time as it is.
func (r *record) amendLocked(n *record, now clock.Reading) Task {
	r.fn, r.tags = n.fn, n.tags
	r.set = n.set
	r.changedLocked()
	r.sh.e.hooks.add(r.eventLocked(EventScheduled, now, "amended", 0))
	if r.phase == phaseReady || r.phase == phaseKeyed {
		r.unlinkLocked()
		r.linkLocked(now)
	}
	return r.handle()
}

// changedLocked counts an accepted change.
func (r *record) changedLocked() { r.gen++ }

// replaceLocked ends the task in favour of another, which takes over its name and its runs under way.
func (r *record) replaceLocked(n *record, now clock.Reading) {
	over := r.ended || r.endsWithRun()
	if r.phase != phaseNone {
		r.unlinkLocked()
	}
	n.runs, r.runs = r.runs, nil
	n.paused, n.why = r.paused, r.why
	r.sh.lastID = max(r.sh.lastID, generationID(r.gen))
	if over { // nothing of it is prevented: how it ends, its last run decides
		return
	}
	r.ended, r.state, r.err = true, StateCancelled, ErrReplaced
	r.sh.e.hooks.add(r.eventLocked(EventCancelled, now, "replaced", 0))
	r.closeLocked()
}

// recordLocked returns the record of a named entry, and makes one of a plain task.
func (sh *shard) recordLocked(idx uint32) *record {
	en := sh.slab.at(idx)
	if r, ok := en.what.(*record); ok {
		return r
	}
	return sh.promoteLocked(idx, en)
}

// promoteLocked makes a record of a plain task, which is in the wheel or on its way to a worker.
func (sh *shard) promoteLocked(idx uint32, en *entry) *record {
	fn, _ := en.what.(Handler)
	r := &record{
		sh: sh, name: en.name, fn: fn, id: en.id(), gen: en.generation(), idx: idx,
		wall: en.onWall(), due: en.due, phase: phaseReady, firstPut: unknownPut,
	}
	r.occ = sh.e.bootTime(en.due)
	if r.wall {
		r.occ = time.Unix(0, en.due).UTC()
	}
	if en.linked() {
		r.phase = phaseLinked
	}
	en.what = r
	return r
}

// Move gives the task of the name another schedule, in place: its handler, options and handles stay. It is for tasks that
// are pending or recur; a run under way goes on. A one-off that has started returns ErrRunning, a name that no task has
// ErrUnknown. Moving a plain one-off to another plain instant allocates nothing.
func (e *Engine) Move(name string, s schedule.Schedule) error {
	if err := checkName("move", name); err != nil {
		return err
	}
	sh, hash := e.shardOf(name)
	return sh.move(name, s, func() uint32 { return sh.names.find(hash, name, &sh.slab) }, ErrUnknown)
}

// move changes the schedule of the entry that find returns, or returns the error given.
func (sh *shard) move(name string, s schedule.Schedule, find func() uint32, absent error) error {
	if err := s.Err(); err != nil {
		return badSchedule("move", name, err)
	}
	e := sh.e
	now, err := e.read()
	if err != nil {
		return opError("move", name, err)
	}
	sh.mu.Lock()
	err = sh.moveLocked(s, find, absent, now)
	sh.mu.Unlock()
	if err != nil {
		return opError("move", name, err)
	}
	e.kick(sh)
	return nil
}

func (sh *shard) moveLocked(s schedule.Schedule, find func() uint32, absent error, now clock.Reading) error {
	if sh.closed {
		return sh.e.life.reason()
	}
	idx := find()
	if idx == nilIdx {
		return absent
	}
	en := sh.slab.at(idx)
	if _, plain := en.what.(Handler); plain && sh.movePlainLocked(idx, en, s, now) {
		return nil
	}
	r := sh.recordLocked(idx)
	switch {
	case r.ended:
		return absent
	case r.endsWithRun():
		return ErrRunning
	case r.phase == phaseNone: // a run of a recurring task is under way; its end lets a schedule that recurs begin
		if r.bindLocked(s, now); !r.recurring() {
			r.linkLocked(now)
		} else if s.Kind() == schedule.KindPace {
			r.occ = time.Time{} // a pace after that end
		}
	default:
		r.unlinkLocked()
		r.manual = false
		r.bindLocked(s, now)
		r.linkLocked(now)
	}
	r.changedLocked()
	sh.e.hooks.add(r.eventLocked(EventScheduled, now, "moved", 0))
	return nil
}

// movePlainLocked moves a plain task to another plain instant, as long as its revisions can be counted in the entry.
func (sh *shard) movePlainLocked(idx uint32, en *entry, s schedule.Schedule, now clock.Reading) bool {
	at, due, wall, ok := now.Boot, int64(0), false, false
	if d, after := s.PlainAfter(); after {
		due, ok = satAdd(now.Boot, int64(max(d, 0))), d < farDelay
	} else if t, instant := s.PlainAt(); instant {
		due, ok = wallNanos(t)
		at, wall = max(now.Wall, 0), true
	}
	if !ok || en.generation()&maxRev == maxRev {
		return false
	}
	switch {
	case en.linked() && en.onWall() == wall && due >= en.due && sh.e.mask != 0:
		en.due = due // the wheel looks again when the old time comes
	default:
		sh.unlinkLocked(idx, en)
		sh.linkLocked(idx, en, due, wall, at)
	}
	en.tag += 1 << flagBits
	if sh.e.hooks.on(EventScheduled) {
		sh.e.hooks.add(plainEvent(en, EventScheduled, now, "moved"))
	}
	return true
}

// Func makes a Runnable of a name and a function.
func Func(name string, fn Handler) Runnable { return &namedFunc{name, fn} }

type namedFunc struct {
	name string
	fn   Handler
}

func (f *namedFunc) Name() string                  { return f.name }
func (f *namedFunc) Run(ctx context.Context) error { return f.fn(ctx) }

// Plain makes a Handler of a function that wants no context and cannot fail. Of nil it makes nil, which Put refuses.
func Plain(f func()) Handler {
	if f == nil {
		return nil
	}
	return func(context.Context) error {
		f()
		return nil
	}
}

// isNil says whether an interface holds nothing, or a typed nil.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	switch rv := reflect.ValueOf(v); rv.Kind() {
	case reflect.Pointer, reflect.Func, reflect.Map, reflect.Slice, reflect.Chan, reflect.Interface:
		return rv.IsNil()
	default:
		return false
	}
}
