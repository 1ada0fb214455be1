package timer

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/schedule"
)

// Info is what is known of a task at a moment. Instants are by the wall clock as it was set then.
type Info struct {
	Name         string
	State        State
	Generation   uint64
	Schedule     schedule.Schedule // for a plain one-off, its instant
	ScheduledFor time.Time         // the next occurrence; zero if there is none, or none yet
	Due          time.Time         // that occurrence with jitter
	Paused       bool
	Reason       string // why it was paused or cancelled
	Running      int    // runs under way
	Runs         int64  // starts
	Missed       int64  // occurrences folded into others
	Skipped      int64  // occurrences dropped
	Tags         []string
	Priority     int
	Key          string
	Err          error // of the last run, or why it ended
}

func (r *record) infoLocked(now clock.Reading) Info {
	info := Info{
		Name: r.name, State: r.stateLocked(), Generation: r.gen, Schedule: r.sched, Paused: r.paused, Reason: r.why,
		Running: r.active, Runs: r.starts, Missed: r.missed, Skipped: r.skipped,
		Tags: slices.Clone(r.tags), Priority: r.set.priority, Key: r.set.key, Err: r.err,
	}
	if !r.ended && !r.occ.IsZero() && (r.phase != phaseNone || !r.exhausted()) {
		info.ScheduledFor = r.shown(r.occ, now)
		info.Due = info.ScheduledFor.Add(r.offset)
	}
	if info.Schedule == (schedule.Schedule{}) {
		info.Schedule = schedule.At(info.ScheduledFor)
	}
	return info
}

// infoLocked describes a named entry.
func infoLocked(en *entry, now clock.Reading) Info {
	if r, ok := en.what.(*record); ok {
		return r.infoLocked(now)
	}
	ev := plainEvent(en, EventScheduled, now, "")
	return Info{
		Name: en.name, State: StatePending, Generation: en.generation(), Schedule: schedule.At(ev.Due),
		ScheduledFor: ev.Due, Due: ev.Due,
	}
}

// Selector says which tasks are meant. The zero value selects none.
type Selector struct {
	kind selectorKind
	text string
}

type selectorKind uint8

const (
	selectNone selectorKind = iota
	selectName
	selectPrefix
	selectTag
	selectAll
)

// Named selects the task of that name.
func Named(name string) Selector { return Selector{selectName, name} }

// Prefix selects the tasks whose names begin with the prefix.
func Prefix(prefix string) Selector { return Selector{selectPrefix, prefix} }

// Tagged selects the tasks that have the tag.
func Tagged(tag string) Selector { return Selector{selectTag, tag} }

// AllTasks selects every named task.
func AllTasks() Selector { return Selector{selectAll, ""} }

func (s Selector) String() string {
	switch s.kind {
	case selectName:
		return fmt.Sprintf("name %q", s.text)
	case selectPrefix:
		return fmt.Sprintf("prefix %q", s.text)
	case selectTag:
		return fmt.Sprintf("tag %q", s.text)
	case selectAll:
		return "all"
	default:
		return "none"
	}
}

func (s Selector) matches(en *entry) bool {
	switch s.kind {
	case selectPrefix:
		return strings.HasPrefix(en.name, s.text)
	case selectTag:
		r, ok := en.what.(*record)
		return ok && slices.Contains(r.tags, s.text)
	default:
		return s.kind == selectAll
	}
}

// each calls f under its shard's lock for every task that is selected and has not ended. After each chunk of the slab it
// unlocks the shard, lets the driver know and calls between, which may end the walk: a task that is put or ends meanwhile
// may be seen or not. f may end the task it is called for.
func (e *Engine) each(s Selector, f func(*shard, uint32, *entry), between func() bool) {
	e.walk(s, func(sh *shard, idx uint32, en *entry) {
		if r, ok := en.what.(*record); !ok || !r.ended {
			f(sh, idx, en)
		}
	}, between)
}

// walk is each that also visits tasks that have ended but for runs under way.
func (e *Engine) walk(s Selector, visit func(*shard, uint32, *entry), between func() bool) {
	_, err := e.read()
	rest := func(sh *shard) bool {
		if err == nil { // from a bubble's other side the alarm is not to be touched, and nothing can have been changed
			e.kick(sh)
		}
		return between == nil || between()
	}
	if s.kind == selectName {
		sh, hash := e.shardOf(s.text)
		sh.mu.Lock()
		if idx := sh.names.find(hash, s.text, &sh.slab); idx != nilIdx {
			visit(sh, idx, sh.slab.at(idx))
		}
		sh.mu.Unlock()
		rest(sh)
		return
	}
	for i := range e.shards {
		sh := &e.shards[i]
		for c, more := uint32(0), true; more; c++ {
			sh.mu.Lock()
			for o := range uint32(chunkSize) {
				en := sh.slab.get(c<<chunkBits | o)
				if en == nil {
					break
				}
				if en.name != "" && s.matches(en) {
					visit(sh, c<<chunkBits|o, en)
				}
			}
			more = int(c)+1 < len(sh.slab.chunks)
			sh.mu.Unlock()
			if !rest(sh) {
				return
			}
		}
	}
}

// Tasks lists the tasks that are selected and have not ended, in no order. It does not stop the engine: a task that is
// put or ends while the listing goes on may be listed or not, but none is listed twice under one name and generation.
func (e *Engine) Tasks(s Selector) iter.Seq[Info] {
	return func(yield func(Info) bool) {
		now := e.clk.Read()
		var batch []Info
		flush := func() bool {
			for i := range batch {
				if !yield(batch[i]) {
					return false
				}
			}
			batch = batch[:0]
			return true
		}
		e.each(s, func(_ *shard, _ uint32, en *entry) { batch = append(batch, infoLocked(en, now)) }, flush)
	}
}

// NextDue returns when the next timer or task is due, by the wall clock as it is set now; false if none is.
func (e *Engine) NextDue() (time.Time, bool) {
	now := e.clk.Read()
	best := int64(never)
	for i := range e.shards {
		sh := &e.shards[i]
		sh.mu.Lock()
		sh.settleLocked()
		best = min(best, sh.earliestLocked())
		if sh.wall != nil {
			if w := sh.wall.earliest(&sh.slab); w != never {
				best = min(best, satAdd(w, now.Boot-now.Wall))
			}
		}
		sh.mu.Unlock()
	}
	if best == never {
		return time.Time{}, false
	}
	return wallOf(best, now), true
}

// earliestLocked is the exact due time of the earliest delay, or never. The timeouts of runs under way are in the same
// wheel and are nothing that a user waits for; only if one of them comes first are all entries looked at.
func (sh *shard) earliestLocked() int64 {
	best := sh.boot.earliest(&sh.slab)
	for run := sh.runs.head; run != nil; run = run.next {
		if run.timeout != nilIdx && run.expires == best {
			return sh.searchLocked()
		}
	}
	return best
}

func (sh *shard) searchLocked() int64 {
	best := int64(never)
	for _, c := range sh.slab.chunks {
		if c == nil {
			continue
		}
		for o := range c.used {
			en := &c.entries[o]
			if _, timeout := en.what.(*running); !timeout && en.what != nil && en.linked() && !en.onWall() {
				best = min(best, en.due)
			}
		}
	}
	return best
}

// earliest is the exact due time of the earliest entry, or never. It looks at every entry of one slot, and puts those that
// were re-armed into their place.
func (w *wheel) earliest(s *slab) int64 {
	for {
		lvl, n, start, ok := w.first()
		if !ok {
			return never
		}
		end := start + 1<<(6*lvl) // exclusive
		best := int64(never)
		for idx := w.levels[lvl][n].head; idx&slotMark == 0; {
			en := s.at(idx)
			following := en.next
			if w.tick(en.due) >= end || lvl > 0 && start <= w.elapsed {
				w.unlink(s, idx)
				w.place(s, idx)
			} else {
				best = min(best, en.due)
			}
			idx = following
		}
		if w.occupied[lvl]&(1<<n) != 0 {
			return best
		}
	}
}

// Pause keeps the selected tasks from starting until Resume; runs under way go on. It says how many tasks it paused; one
// that is paused already only gets the new reason. A task put under a paused name is paused too. A Named selector that no
// task matches returns ErrUnknown.
func (e *Engine) Pause(s Selector, reason string) (int, error) {
	return e.change("pause", s, func(sh *shard, r *record, _ clock.Reading) bool {
		r.why = reason
		if r.paused {
			return false
		}
		r.paused = true
		if r.phase != phaseNone && r.phase != phaseHeld {
			r.unlinkLocked()
			r.token.Add(1)
			r.phase = phaseParked
		}
		return true
	})
}

// Resume lets the selected tasks start again, and says how many were paused. Occurrences of recurring tasks that fell
// meanwhile are skipped, unless the task has ResumeMissed; a one-off that came due meanwhile starts at once.
func (e *Engine) Resume(s Selector) (int, error) {
	return e.change("resume", s, func(_ *shard, r *record, now clock.Reading) bool {
		if !r.paused {
			return false
		}
		r.paused, r.why = false, ""
		if r.phase != phaseParked {
			return true
		}
		r.phase, r.buffed, r.backlog = phaseNone, false, 0
		at := r.instant(now)
		switch count := r.dueCount(at); {
		case count == 0 || r.set.resumeMissed || !r.recurring():
			r.linkLocked(now)
		case !r.onGrid():
			r.goOnAtLocked(r.rule.Next(at), now)
		default:
			r.goOnAfterLocked(r.newest(at), count, now, "paused")
		}
		return true
	})
}

// RunNow starts the selected tasks at once, also paused ones, and says how many. A one-off thereby has had its run; a
// recurring task keeps its schedule. A task that is running starts as its overlap policy allows: not at all with Skip,
// when the run has ended with the buffering ones. The reason goes to the Scheduled hook.
func (e *Engine) RunNow(s Selector, reason string) (int, error) {
	return e.change("run now", s, func(sh *shard, r *record, now clock.Reading) bool {
		busy := len(r.runs) > 0 && r.set.overlap != Allow
		switch {
		case r.phase == phaseReady || r.phase == phaseKeyed || r.phase == phaseHeld:
			r.manual = r.manual || r.paused
			return true // it is on its way
		case r.endsWithRun():
			return false
		case busy && r.recurring() && r.active > 0 && r.set.overlap == Skip:
			return false
		}
		if r.phase != phaseNone {
			r.unlinkLocked()
		}
		r.manual = true
		r.due, r.seen = r.at(now), now.Boot
		if !r.recurring() {
			r.occ = r.instant(now)
		}
		sh.e.hooks.add(r.eventLocked(EventScheduled, now, reason, 0))
		if sh.e.life.state.Load() == lifeHeld {
			r.linkLocked(now) // for the driver to find when the engine is started
		} else if r.dueLocked() {
			r.readyLocked(now, nil)
		}
		return true
	})
}

// change applies f to the records of the selected tasks and counts for how many it returns true.
func (e *Engine) change(op string, s Selector, f func(*shard, *record, clock.Reading) bool) (int, error) {
	now, err := e.read()
	if err != nil {
		return 0, opError(op, s.text, err)
	}
	n, found := 0, false
	closed := false
	e.each(s, func(sh *shard, idx uint32, _ *entry) {
		if closed = closed || sh.closed; closed {
			return
		}
		found = true
		if f(sh, sh.recordLocked(idx), now) {
			n++
		}
	}, nil)
	switch {
	case closed || e.life.ended():
		return n, opError(op, s.text, e.life.reason())
	case s.kind == selectName && !found:
		return 0, opError(op, s.text, ErrUnknown)
	}
	return n, nil
}

// Wait waits until nothing of what is selected is pending or running, or ctx ends, whose cause it then returns. Tasks that
// are put while it waits are waited for only if they have the name of one that was there.
func (e *Engine) Wait(ctx context.Context, s Selector) error {
	for _, name := range e.names(s) {
		for {
			t, ok := e.Find(name)
			if t.sh == nil {
				break // nobody has the name
			}
			wait := t.Wait
			if !ok {
				wait = t.waitHeld
			}
			if err := wait(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// names lists the tasks that are selected, also those that have ended but for runs under way.
func (e *Engine) names(s Selector) []string {
	var all []string
	e.walk(s, func(_ *shard, _ uint32, en *entry) { all = append(all, en.name) }, nil)
	slices.SortFunc(all, cmp.Compare[string])
	return all
}
