package timer

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/schedule"
)

// A record is a named task that is more than a due time and a handler: it has options, it recurs, it runs or has run, or
// somebody waits for it. A plain task gets one when it starts, or when first asked for what only a record knows. The
// shard's lock guards it, but for what is set once.
//
// A record's instants are on the timeline of its schedule: the wall clock's, or the engine's count of boot time (origin
// plus boot time), which no clock step moves.
type record struct {
	sh    *shard
	name  string
	fn    Handler
	sched schedule.Schedule // zero for a plain one-off
	rule  schedule.Rule
	set   settings
	tags  []string
	id    uint64 // of the entry
	gen   uint64
	idx   uint32
	token atomic.Uint32 // counts what makes an item in a queue stale; a pool reads it without the shard's lock

	wall    bool  // the timeline
	phase   phase // of the pending occurrence
	paused  bool
	manual  bool // the pending start was asked for by RunNow; occ stays what it is
	buffed  bool // occ came due during a run, or is caught up: it runs as it is
	ended   bool
	dropped bool  // by Drain or Close, while something was pending
	state   State // when ended

	after    time.Time // set for one start: the occurrence up to which all are folded into it
	occ      time.Time // the next occurrence that is not yet handled; zero if there is none, or not yet
	due      int64     // occ plus jitter, ns on the timeline
	offset   time.Duration
	backlog  int   // further occurrences, already due, to be caught up
	folded   int64 // occurrences folded into the next run
	firstPut int64 // boot time of the first Put of a burst (Debounce)

	runs    []*running // under way; also those of a task that this one replaced
	active  int        // runs of this very task under way
	starts  int64
	base    int64 // starts when the schedule was set
	seen    int64 // boot time at which the driver saw that the occurrence is due
	missed  int64
	skipped int64
	err     error // of the last run, or why the task ended
	why     string
	waiter  *keyWaiter
	done    chan struct{} // made when first asked for; closed when the task has ended and none of its runs is under way
}

// phase is where the pending occurrence of a record is.
type phase uint8

const (
	phaseNone   phase = iota // there is none, or (recurring) the end of the run decides
	phaseLinked              // in the wheel
	phaseReady               // due, and in a pool's queue
	phaseHeld                // due, and waiting for the end of a run
	phaseKeyed               // due, and waiting for its key
	phaseParked              // paused
)

func (r *record) recurring() bool { return r.sched.Recurring() }

// onGrid says that the occurrences do not depend on when runs start or end, so that they can be missed.
func (r *record) onGrid() bool {
	k := r.sched.Kind()
	return r.sched.Recurring() && k != schedule.KindPace && k != schedule.KindPaceFromStart
}

// at is a reading on the record's timeline, in ns and as an instant.
func (r *record) at(now clock.Reading) int64 {
	if r.wall {
		return now.Wall
	}
	return now.Boot
}

func (r *record) instant(now clock.Reading) time.Time {
	if r.wall {
		return time.Unix(0, now.Wall).UTC()
	}
	return r.sh.e.bootTime(now.Boot)
}

// nanos is an instant of the timeline in ns.
func (r *record) nanos(t time.Time) int64 {
	if r.wall {
		ns, _ := wallNanos(t)
		return ns
	}
	if d := t.Sub(r.sh.e.origin); d != math.MaxInt64 {
		return max(int64(d), 0)
	}
	return never
}

// dueOf is when an occurrence is due; the zero time is none, and never due.
func (r *record) dueOf(occ time.Time) int64 {
	if occ.IsZero() {
		return never
	}
	return satAdd(r.nanos(occ), int64(r.offset))
}

// shown is an instant of the timeline by the wall clock's present setting.
func (r *record) shown(t time.Time, now clock.Reading) time.Time {
	if r.wall || t.IsZero() {
		return t
	}
	return t.Add(time.Duration(now.Wall - now.Boot - r.sh.e.origin.UnixNano()))
}

// linkLocked lets the record's occurrence come due.
func (r *record) linkLocked(now clock.Reading) {
	r.token.Add(1)
	if !r.manual {
		r.due = r.dueOf(r.occ)
	}
	if r.paused && !r.manual {
		r.phase = phaseParked
		return
	}
	r.linkAsDueLocked(now)
}

func (r *record) linkAsDueLocked(now clock.Reading) {
	r.phase = phaseLinked
	r.sh.linkLocked(r.idx, r.sh.slab.at(r.idx), r.due, r.wall, max(r.at(now), 0))
}

// unlinkLocked takes the pending occurrence out of wherever it is.
func (r *record) unlinkLocked() {
	r.token.Add(1)
	r.sh.unlinkLocked(r.idx, r.sh.slab.at(r.idx))
	if r.waiter != nil {
		r.sh.e.leaveKey(r.waiter)
		r.waiter = nil
	}
	r.phase = phaseNone
}

// dueLocked takes note that the occurrence is due, and says whether it may be handed to a worker now.
func (r *record) dueLocked() bool {
	if len(r.runs) > 0 && r.set.overlap != Allow {
		if r.set.overlap == CancelOther {
			for _, run := range r.runs {
				run.cancel(ErrOverlapped)
			}
		}
		r.phase = phaseHeld
		return false
	}
	r.phase = phaseReady
	return true
}

// readyLocked hands the pending occurrence to the workers.
func (r *record) readyLocked(now clock.Reading, granted *keyWaiter) {
	r.token.Add(1)
	r.phase = phaseReady
	due := r.due
	if r.wall {
		due = satAdd(due, now.Boot-now.Wall)
	}
	it := item{sh: r.sh, rec: r, idx: r.idx, gen: r.gen, token: r.token.Load(), prio: r.set.priority, due: due, at: r.seen, key: granted}
	r.sh.e.tasks.submit([]item{it})
}

// dueCount is how many occurrences, from occ on, are due by now.
func (r *record) dueCount(at time.Time) int64 {
	limit := at.Add(-r.offset)
	switch {
	case r.occ.IsZero() || r.occ.After(limit):
		return 0
	case !r.onGrid():
		return 1
	default:
		return max(1, satAdd(r.rule.Count(r.occ, limit), 1))
	}
}

// newest is the newest occurrence that is due, given that one is.
func (r *record) newest(at time.Time) time.Time {
	if t := r.rule.Prev(at.Add(-r.offset).Add(1)); r.onGrid() && t.After(r.occ) {
		return t
	}
	return r.occ
}

// keepNewest moves occ forward so that n of the count that are due remain.
func (r *record) keepNewest(at time.Time, count int64, n int) (dropped int64) {
	if count <= int64(n) {
		return 0
	}
	t := r.newest(at)
	for range n - 1 {
		t = r.rule.Prev(t)
	}
	r.occ = t
	return count - int64(n)
}

// planLocked decides, when a worker has come for the occurrence, which one is to run: the place where missed ones are
// dealt with. It costs the same whatever their number. False means none; the record has gone on.
//
//	period 10, woken at 57, occ 10:   10   20   30   40   50 57
//	Latest                                                1     run 50, missed 4
//	Earliest                          1                         run 10, missed 4 (the oldest within the window)
//	All(3)                                      1    2    3     run 30 (missed 2), 40, 50
//	None, grace 5                                               skipped 5
//	None, grace 10                                        1     run 50, skipped 4
func (r *record) planLocked(now clock.Reading) bool {
	switch late := r.at(now) - r.due; {
	case r.manual:
		return true
	case late < 0: // the clock was set back between the wake-up and now
		r.linkLocked(now)
		return false
	case r.set.startWithin > 0 && late > int64(r.set.startWithin) && !r.recurring():
		r.endLocked(StateExpired, nil, now)
		return false
	case r.buffed || !r.onGrid():
		return true
	}
	at := r.instant(now)
	count, newest := r.dueCount(at), r.newest(at)
	limit := r.window()
	if r.set.catchUp == None {
		limit = r.grace()
	}
	if at.Sub(newest.Add(r.offset)) > limit {
		r.goOnAfterLocked(newest, count, now, "missed")
		return false
	}
	switch r.set.catchUp.kind() {
	case Latest:
		r.occ, r.folded = newest, r.folded+count-1
	case None:
		r.occ = newest
		r.skipLocked(count-1, now, "missed")
	case Earliest:
		count = r.dropOlder(at, count, now)
		r.folded += count - 1
		r.after = newest
	case catchUpAll:
		count = r.dropOlder(at, count, now)
		n := r.set.catchUp.size()
		r.folded += r.keepNewest(at, count, n)
		r.backlog = int(min(count, int64(n))) - 1
	}
	r.due = r.dueOf(r.occ)
	return true
}

// dropOlder skips those of the occurrences that are due that are too old to be caught up, and says how many are left.
func (r *record) dropOlder(at time.Time, count int64, now clock.Reading) int64 {
	before := at.Add(-r.window()).Add(-r.offset - 1) // one by one: the sum of two durations may be none
	if r.occ.After(before) {
		return count
	}
	r.skipLocked(satAdd(r.rule.Count(r.occ, before), 1), now, "missed")
	r.occ = r.rule.Next(before)
	return r.dueCount(at) // not a difference: some schedules are counted no further than to some ten thousand
}

// window is how late an occurrence may be to be caught up (contract G3).
func (r *record) window() time.Duration {
	if r.set.window > 0 {
		return r.set.window
	}
	return min(max(r.period(), time.Minute), 24*time.Hour)
}

// period is how far apart occurrences are: a calendar's, which are not always as far, at the present one.
func (r *record) period() time.Duration {
	if p := r.sched.Period(); p > 0 {
		return p
	}
	if p := r.rule.Spacing(r.occ); p > 0 {
		return p
	}
	return r.occ.Sub(r.rule.Prev(r.occ)) // it is the last
}

func (r *record) grace() time.Duration {
	if r.set.grace > 0 {
		return r.set.grace
	}
	return min(r.period(), time.Minute)
}

// goOnAfterLocked skips n occurrences, the last of which is given, and lets the next one come due.
func (r *record) goOnAfterLocked(last time.Time, n int64, now clock.Reading, reason string) {
	r.skipLocked(n, now, reason)
	r.goOnAtLocked(r.rule.Next(last), now)
}

// goOnAtLocked lets the occurrence given come due. If there is none, the task ends, with the last of its runs under way.
func (r *record) goOnAtLocked(occ time.Time, now clock.Reading) {
	if r.occ = occ; !occ.IsZero() {
		r.linkLocked(now)
		return
	}
	if r.phase = phaseNone; r.active == 0 {
		r.endLocked(StateDone, nil, now)
	}
}

func (r *record) skipLocked(n int64, now clock.Reading, reason string) {
	if n == 0 {
		return
	}
	r.skipped += n
	r.sh.e.skipped.Add(uint64(n))
	r.sh.e.hooks.add(r.eventLocked(EventSkipped, now, reason, n))
}

// advanceLocked moves on from the occurrence that now starts: the occurrence after it is settled here, but for Pace,
// where the end of the run decides.
func (r *record) advanceLocked(now clock.Reading) {
	r.phase = phaseNone
	switch last := r.occ; {
	case r.manual && r.recurring() && !r.exhausted(): // the occurrence is still to come
	case r.exhausted() || !r.recurring() || r.sched.Kind() == schedule.KindPace:
		r.occ = time.Time{}
	case r.sched.Kind() == schedule.KindPaceFromStart:
		r.occ = r.rule.Next(r.instant(now))
	default:
		if r.after.After(last) {
			last = r.after
		}
		r.occ = r.rule.Next(last)
	}
	manual := r.manual
	r.manual, r.buffed, r.after = false, false, time.Time{}
	switch k := r.set.overlap; {
	case r.occ.IsZero() || k != Allow && k != CancelOther:
	case r.backlog == 0:
		r.linkLocked(now)
	case k == Allow: // what is to be caught up starts beside the others; after a manual start it is counted anew
		if !manual {
			r.backlog--
			r.buffed = true
		}
		r.linkLocked(now)
	default: // what is to be caught up waits for the end of the run, but an occurrence that is still to come asks for it
		if next := r.rule.Next(r.instant(now).Add(-r.offset)); !next.IsZero() && !r.paused {
			r.due = r.dueOf(next)
			r.linkAsDueLocked(now)
		}
	}
}

// exhausted says that the task has started as often as its schedule allows.
func (r *record) exhausted() bool {
	n := r.sched.Limit()
	return n > 0 && r.starts-r.base >= int64(n)
}

// endsWithRun says that nothing more will come when the runs under way have ended.
func (r *record) endsWithRun() bool {
	return r.phase == phaseNone && (r.exhausted() || r.occ.IsZero() && r.sched.Kind() != schedule.KindPace)
}

// resumeLocked goes on when a run has ended: occurrences that came due meanwhile overlapped with it, and the overlap
// policy decides about them.
//
//	period 10, run from 0 to 35:   10   20   30 35   40   50
//	Skip                                             1    2
//	BufferOne                                   1    2    3      at 35, for 30
//	BufferAll(2)                                12   3    4      at 35, for 20 and 30
func (r *record) resumeLocked(now clock.Reading) {
	switch {
	case r.ended:
		return
	case r.phase == phaseHeld && len(r.runs) > 0:
		return
	case r.phase == phaseHeld && r.paused && !r.manual:
		r.phase = phaseParked
		return
	case r.phase == phaseHeld:
		r.readyLocked(now, nil)
		return
	case r.phase == phaseLinked && r.backlog > 0 && !r.buffed && len(r.runs) == 0: // nobody has to ask for the end any more
		r.unlinkLocked()
	case r.phase != phaseNone || r.endsWithRun():
		return
	}
	at := r.instant(now)
	if r.occ.IsZero() { // Pace
		r.occ = r.rule.Next(at)
		if r.occ.IsZero() {
			return
		}
	}
	count := r.dueCount(at)
	switch k := r.set.overlap.kind(); {
	case r.paused || count == 0 || !r.onGrid():
		r.backlog = 0
	case r.backlog > 0:
		r.backlog--
		r.buffed = true
	case k == BufferOne:
		r.folded += r.keepNewest(at, count, 1)
		r.buffed = true
	case k == bufferAll:
		r.skipLocked(r.keepNewest(at, count, r.set.overlap.size()), now, "buffer full")
		r.buffed = true
	case k == Skip:
		r.goOnAfterLocked(r.newest(at), count, now, "overlap")
		return
	}
	r.linkLocked(now)
}

// endLocked ends the task: no run of it will start any more. Its entry stays while runs are under way.
func (r *record) endLocked(s State, err error, now clock.Reading) {
	if r.ended {
		return
	}
	if r.phase != phaseNone {
		r.unlinkLocked()
	}
	r.ended, r.state = true, s
	if err != nil {
		r.err = err
	}
	if s == StateCancelled {
		r.sh.e.hooks.add(r.eventLocked(EventCancelled, now, r.why, 0))
	}
	r.closeLocked()
}

// closeLocked tells those who wait, once the task has ended and its runs too, and gives the entry back.
func (r *record) closeLocked() {
	if !r.ended || r.active > 0 {
		return
	}
	r.fn = nil // a handle may outlive the task; what the handler refers to need not
	if r.done != nil {
		select {
		case <-r.done:
		default:
			close(r.done)
		}
	}
	if len(r.runs) > 0 {
		return
	}
	if en := r.sh.slab.get(r.idx); en != nil && en.what == any(r) {
		r.sh.lastID = max(r.sh.lastID, generationID(r.gen))
		r.sh.dropLocked(r.idx, en)
	}
}
