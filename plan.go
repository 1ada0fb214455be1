package duly

import (
	"cmp"
	"time"

	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
)

// A step is what has to be done next with a task.
type step struct {
	kind  stepKind
	at    store.Instant // when to look again, by the store's clock: for stepWait, and for a claim that has to wait for other suspects
	lease store.Instant // when the first lease of somebody else's ends, on Clock.Mono; Never if there is none
	claim store.Claim
	edit  store.Edit
	back  store.Settlement
	run   *store.Run // that is claimed again, nil for the next occurrence
	stop  bool       // edit is for an attempt that may be ours: end its context too

	first, caught store.Instant // for the memo, once the claim is granted
}

type stepKind uint8

const (
	stepIdle  stepKind = iota // nothing, until somebody writes or an attempt ends
	stepWait                  // nothing before an instant
	stepClaim                 // an attempt can start
	stepEdit                  // something is passed by, rescued or asked to stop
	stepBack                  // a lease that nobody uses is given back
)

// A memo is what is remembered of a task that the store need not keep: a crash turns what overlapped into what was missed.
type memo struct {
	since  store.Instant // when the last run began, or the first of several without a gap
	busy   store.Instant // when it ended: what came due in between overlapped with it
	caught store.Instant // up to this nominal instant occurrences run one by one, as they were found
	first  store.Instant // the first of those; one before it has still to be folded into it
	found  int64         // of this generation
	buried store.Instant // nobody handled its kind, and this occurrence is dead
	over   store.Instant // and what was due by then is skipped
}

// ran notes that an attempt has ended, and when the first attempt at its run began. While next is one that overlapped with the run
// before there was no gap. If the clock was set back, what came due during earlier runs is not due any more.
func (m *memo) ran(from, to store.Instant, next store.Occurrence) {
	if to < m.busy || from > m.busy && (next.None() || next.Due < m.since || m.busy < next.Due) {
		m.since = from
	}
	m.busy = to
}

// A planner works out steps. It is pure: all it knows is in its fields.
type planner struct {
	t      *store.Task
	p      *policy
	s      schedule.Schedule // of a recurring task
	now    store.Instant
	mono   store.Instant
	m      *memo
	mine   map[attemptID]*attempt // those of this process
	unsure unsure                 // claims of ours of which it is not known whether they were granted
	lease  time.Duration
	owner  string
	crash  crash
	shut   bool          // a run that was lost runs, and others that were must wait
	giveUp bool          // nobody here handles the kind: what is long overdue is dead
	grace  time.Duration // but not yet
}

// plan returns the next step.
func (x *planner) plan() step {
	st := step{at: store.Never, lease: store.Never}
	under, begun := false, store.Never // a run is not settled, and since when
	allow := x.p.Overlap.mode == Allow.mode
	var retry, suspect *store.Run
	for i := range x.t.Runs {
		r := &x.t.Runs[i]
		under, begun = true, min(begun, r.BegunAt)
		switch {
		case r.State == store.Running:
			if a := x.mine[attemptID{r.ID(x.t.Key), r.Fence}]; a != nil && !a.lost {
				continue
			} else if a == nil && x.unsure.has(r.ID(x.t.Key)) && r.Owner == x.owner {
				st.kind, st.back = stepBack, x.giveBack(r)
				return st
			}
			if r.Lease <= x.mono && !x.doubtful(r) {
				st.kind, st.edit = stepEdit, x.rescue(r)
				return st
			}
			if r.Lease <= x.mono {
				st.lease = min(st.lease, x.mono+doubt)
				continue
			}
			st.lease = min(st.lease, r.Lease)
		case x.t.Paused():
		case r.Due > x.now:
			st.at = min(st.at, r.Due)
		case allow && x.shut && r.Lost > 0:
			if suspect == nil || r.For < suspect.For {
				suspect = r
			}
		case retry == nil || r.For < retry.For:
			retry = r
		}
	}
	next := x.t.Next
	if suspect != nil && retry == nil && (x.giveUp || x.t.Ended || next.None() || next.Due > x.now) { // else what need not wait goes first
		st.at = min(st.at, cmp.Or(next.Due, store.Never))
		return x.again(st, suspect)
	}
	switch {
	case x.t.Paused():
	case retry != nil && (allow || x.t.Running() == 0):
		return x.again(st, retry)
	case next.None() || x.t.Ended:
	case next.Due > x.now: // nothing is to be done for it before what is under way has ended
		if !under || allow || x.p.Overlap.mode == CancelOther.mode {
			st.at = min(st.at, next.Due)
		}
	case !x.giveUp && x.strays(&st):
		return st
	case under && !allow:
		switch {
		case x.giveUp: // that is for those to decide who handle it
		case x.p.Overlap.mode == CancelOther.mode:
			return x.cancelOther(st)
		case x.p.Overlap.mode == Skip.mode && x.t.Running() == 0 && x.onGrid() && begun <= next.Due && !x.oneByOne(): // a wait for a retry may be long
			c := choice{planner: x, rule: x.rule(), at: x.now.Time()}
			return c.pass(st, c.count(), time.Time{}, "overlap")
		}
	default:
		return x.start(st)
	}
	if st.at != store.Never {
		st.kind = stepWait
	}
	return st
}

// oneByOne says that the next occurrence is one of those that were found to run one by one.
func (x *planner) oneByOne() bool {
	return x.m.found == x.t.Generation && x.m.first <= x.t.Next.For && x.t.Next.For <= x.m.caught
}

// strays plans to record the next occurrence anew, if it is not where the schedule has it now.
func (x *planner) strays(st *step) bool {
	a, is := strayed(x.t, x.s)
	if is {
		st.kind, st.edit = stepEdit, realign(x.t, a)
	}
	return is
}

// onGrid says that the occurrences do not depend on the runs.
func (x *planner) onGrid() bool {
	k := x.s.Kind()
	return x.t.Recurring && k != schedule.KindPace && k != schedule.KindPaceFromStart
}

// unresolved is for how long a task waits for somebody who handles its kind.
const unresolved = 14 * 24 * time.Hour

// comeback is for how long at least nobody has been seen to handle what is dead by that, where others may, and are being started anew perhaps.
const comeback = 10 * time.Minute

// hopeless is when something of a task is dead that is due and that nobody handles. What was put when it was long due has its time, too.
func hopeless(t *store.Task, due store.Instant) store.Instant {
	return max(due, t.AcceptedAt).Add(unresolved)
}

func (x *planner) hopeless(due store.Instant) store.Instant {
	return max(hopeless(x.t, due), x.now.Add(x.grace))
}

func (x *planner) id(at store.Instant) store.RunID {
	return store.RunID{Key: x.t.Key, Generation: x.t.Generation, For: at}
}

// rescue takes a run from a process that is gone.
func (x *planner) rescue(r *store.Run) store.Edit {
	e := store.Edit{
		Verb: store.VerbRescue, Key: x.t.Key, Generation: r.Generation, For: r.For, Fence: r.Fence, State: store.Pending, Reason: "lost",
		When: store.In(0, 0), Next: x.fixedDelay(r), End: x.p.StopOnError,
	}
	switch lost := r.Lost + 1; {
	case x.p.AtMostOnce, lost >= mostLost, lost >= MaxLost && (!x.crash.fresh || !x.left(r)):
		e.State = store.Dead
	}
	return e
}

// giveBack gives a lease back that was granted without our hearing of it, so that no handler has begun.
func (x *planner) giveBack(r *store.Run) store.Settlement {
	return store.Settlement{
		RunID: r.ID(x.t.Key), Fence: r.Fence, Verb: store.VerbRelease, When: store.In(0, 0), Next: x.fixedDelay(r), Reason: "the answer to the claim was lost",
	}
}

// A crash is what is known of the end of the process before this one.
type crash struct {
	surveyed bool // all that ran then was seen, in our shards
	fresh    bool // a run was among it that had never been lost: it may be to blame as well
	divided  bool // what ran then may be in the shards of several processes by now
	wide     bool // all shards were looked at for it
}

// known says that it is known whether such a run was among it.
func (c *crash) known() bool { return c.fresh || c.wide || c.surveyed && !c.divided }

// doubt is how long to wait, in microseconds, before it is looked again whether all was seen.
const doubt = 100_000

// left says of a run whose lease is over that its process may have ended: it is known to, or it is another one, which might have prolonged
// the lease. One that ended while nobody was there to see it has left leases that end by themselves.
func (x *planner) left(r *store.Run) bool {
	return r.Lease == store.Over || x.crash.divided && r.Owner != x.owner
}

// doubtful says that a run would be dead now, unless one that is not seen yet may have ended its process.
func (x *planner) doubtful(r *store.Run) bool {
	return x.left(r) && !x.crash.known() && !x.p.AtMostOnce && r.Lost+1 >= MaxLost
}

// again tries a run again.
func (x *planner) again(st step, r *store.Run) step {
	if x.giveUp {
		if at := x.hopeless(r.Due); x.now < at {
			st.kind, st.at = stepWait, at
			return st
		}
		st.kind, st.edit = stepEdit, x.bury(r.ID(x.t.Key))
		return st
	}
	st.kind, st.run = stepClaim, r
	st.claim = store.Claim{RunID: r.ID(x.t.Key), Lease: x.lease, Overlap: x.p.Overlap.mode == Allow.mode, FirstStart: x.p.AtMostOnce, Owner: x.owner}
	return st
}

func (x *planner) bury(id store.RunID) store.Edit {
	e := store.Edit{
		Verb: store.VerbBury, Key: x.t.Key, Generation: id.Generation, For: id.For,
		Reason: "nobody has handled the kind " + x.t.Kind + " for 14 days", Next: x.fixedDelay(x.t.Run(id.Generation, id.For)), End: x.p.StopOnError,
	}
	if x.t.Recurring && x.t.Next.For == id.For && x.t.Generation == id.Generation {
		at := id.For
		if !x.onGrid() { // what counts from runs counts from now: there was none
			at = max(at, x.now)
		}
		e.When = store.On(x.nextAfter(at))
	}
	return e
}

// cancelOther asks what is under way to stop.
func (x *planner) cancelOther(st step) step {
	for i := range x.t.Runs {
		if r := &x.t.Runs[i]; !r.Stop {
			st.kind, st.stop = stepEdit, true
			st.edit = store.Edit{Verb: store.VerbStop, Key: x.t.Key, Generation: r.Generation, For: r.For, Reason: "the next occurrence takes over"}
			return st
		}
	}
	return st
}

func (x *planner) rule() schedule.Rule { return x.s.Bind(x.t.String(), x.t.AcceptedAt.Time()) }

// exhausted says that no further occurrence may start after one more has.
func (x *planner) exhausted(more int64) bool {
	n := x.s.Limit()
	return n > 0 && x.t.Starts+more >= int64(n)
}

func (x *planner) nextAfter(at store.Instant) store.Occurrence {
	r := x.rule()
	return occurrence(r, r.Next(max(at, x.t.Last).Time()))
}

// fixedDelay is the next occurrence of a schedule that counts from the end of a run, should that run end now; a nil run is the one that
// is next.
func (x *planner) fixedDelay(r *store.Run) store.When {
	return fixedDelay(x.t, x.s, x.now, r != nil && r.Extra)
}

// An extra run is beside the schedule, which may have ended: what was cancelled does not go on because a dead run of it is redriven.
func fixedDelay(t *store.Task, s schedule.Schedule, now store.Instant, extra bool) store.When {
	if extra || s.Kind() != schedule.KindPace || !t.Next.None() {
		return store.When{}
	}
	if n := s.Limit(); n > 0 && t.Starts >= int64(n) {
		return store.When{}
	}
	r := s.Bind(t.String(), t.AcceptedAt.Time())
	n := r.Next(now.Time())
	if n.Sub(now.Time()) == s.Period() {
		return store.In(s.Period(), r.Offset())
	}
	return store.On(occurrence(r, n))
}

// start plans what to do with the next occurrence, which is due.
func (x *planner) start(st step) step {
	if x.giveUp {
		return x.abandon(st)
	}
	st.kind = stepClaim
	st.claim = store.Claim{
		RunID: x.id(x.t.Next.For), Lease: x.lease, Overlap: x.p.Overlap.mode == Allow.mode, FirstStart: x.p.AtMostOnce, Owner: x.owner,
	}
	if !x.t.Recurring {
		if w := time.Duration(x.p.StartWithin); w > 0 {
			st.claim.NotAfter = x.t.Next.Due.Add(w)
			if x.now > st.claim.NotAfter {
				st.kind = stepEdit
				st.edit = store.Edit{
					Verb: store.VerbSkip, Key: x.t.Key, Generation: x.t.Generation, For: x.t.Next.For, State: store.Expired, Reason: "not started within " + w.String(),
				}
			}
		}
		return st
	}
	c := choice{planner: x, rule: x.rule(), at: x.now.Time()}
	return c.choose(st)
}

// abandon is for a task that nobody here can run: after a time its occurrence is dead, and what came due meanwhile is skipped.
func (x *planner) abandon(st step) step {
	next := x.t.Next
	if x.m.buried < next.For && next.Due <= x.m.over && x.onGrid() {
		c := choice{planner: x, rule: x.rule(), at: x.m.over.Time()}
		return c.pass(st, c.count(), time.Time{}, "nobody handles the kind "+x.t.Kind)
	}
	if at := x.hopeless(next.Due); x.now < at {
		st.kind, st.at = stepWait, at
		return st
	}
	x.m.buried, x.m.over = next.For, x.now
	st.kind, st.edit = stepEdit, x.bury(x.id(next.For))
	return st
}

// A choice is made among the occurrences of a recurring task that are due.
type choice struct {
	*planner
	rule schedule.Rule
	at   time.Time // those due by then
}

// choose decides which occurrence is to run: the place where missed and overlapping ones are dealt with. It costs the same
// whatever their number, but for All and BufferAll, which step back as often as they keep.
//
//	period 10, claimed at 57, next 10:   10   20   30   40   50 57
//	Latest                                                   1     run 50, missed 4
//	Oldest                               1                         run 10, missed 4 (the oldest within the window)
//	All(3)                                         1    2    3     run 30 (missed 2), 40, 50
//	None, grace 5                                                  skipped 5
//	None, grace 10                                           1     run 50, skipped 4
//
//	period 10, a run from 0 to 35:       10   20   30 35   40   50
//	Skip                                                   1    2
//	BufferOne                                         1    2    3     at 35, for 30
//	BufferAll(2)                                      12   3    4     at 35, for 20 and 30
func (x *choice) choose(st step) step {
	next := x.t.Next
	switch k := x.s.Kind(); {
	case k == schedule.KindPace:
		return st
	case k == schedule.KindPaceFromStart:
		if !x.exhausted(1) {
			st.claim.Next = occurrence(x.rule, x.rule.Next(x.now.Time()))
		}
		return st
	case x.oneByOne():
		st.first, st.caught = x.m.first, x.m.caught
		return x.run(st, next, 0, next.For)
	case x.m.since <= next.Due && next.Due <= x.m.busy:
		x.at = x.m.busy.Time()
		switch mode := x.p.Overlap.mode; mode {
		case BufferOne.mode:
			newest := x.newest()
			return x.run(st, occurrence(x.rule, newest), x.count()-1, store.At(newest))
		case bufferAll.mode:
			if n, most := x.count(), int64(x.p.Overlap.most); n > most {
				return x.pass(st, n-most, x.back(int(most)), "the buffer is full")
			}
			st.first, st.caught = next.For, store.At(x.newest())
			return x.run(st, next, 0, next.For)
		case Skip.mode:
			return x.pass(st, x.count(), time.Time{}, "overlap")
		default:
			x.at = x.now.Time()
		}
	}
	return x.catchUp(st)
}

// known is the newest nominal instant that is accounted for once the next one is: that, or if it was moved to before it the last one
// that was recorded, because nothing up to that comes again (contract H3).
func (x *planner) known() time.Time { return max(x.t.Next.For, x.t.Last).Time() }

// count is how many occurrences are due, from the next one on.
func (x *choice) count() int64 {
	n := x.rule.Count(x.known(), x.at.Add(-x.rule.Offset()))
	return max(n+1, n)
}

// newest is the newest occurrence that is due.
func (x *choice) newest() time.Time {
	if t := x.rule.Prev(x.at.Add(-x.rule.Offset()).Add(1)); t.After(x.known()) {
		return t
	}
	return x.t.Next.For.Time()
}

// back is the n-th newest occurrence that is due, from 1.
func (x *choice) back(n int) time.Time {
	t := x.newest()
	for range n - 1 {
		t = x.rule.Prev(t)
	}
	return t
}

// run claims an occurrence in which others are folded; what comes next is the one after last.
func (x *choice) run(st step, as store.Occurrence, folded int64, last store.Instant) step {
	if as.For != x.t.Next.For {
		st.claim.As = as
	}
	if last > as.For {
		st.claim.Through = last
	}
	st.claim.Missed = folded
	if !x.exhausted(1) {
		st.claim.Next = x.nextAfter(last)
	}
	return st
}

// pass skips n occurrences, from the next one on, so that to is next; the zero time is the one after what is due.
func (x *choice) pass(st step, n int64, to time.Time, why string) step {
	var through time.Time
	if to.IsZero() {
		through = x.newest()
		to = x.rule.Next(max(store.At(through), x.t.Last).Time())
	} else {
		through = x.rule.Prev(to)
	}
	st.kind = stepEdit
	st.edit = store.Edit{
		Verb: store.VerbSkip, Key: x.t.Key, Generation: x.t.Generation, For: x.t.Next.For, State: store.Skipped,
		Missed: n, Through: store.At(through), When: store.On(occurrence(x.rule, to)), Reason: why,
	}
	return st
}

func (x *choice) catchUp(st step) step {
	count, newest := x.count(), x.newest()
	limit := x.window()
	if x.p.CatchUp.mode == None.mode {
		limit = x.grace()
	}
	due := newest.Add(x.rule.Offset())
	if newest.Equal(x.t.Next.For.Time()) { // one that was moved or kept has an instant of its own
		due = x.t.Next.Due.Time()
	}
	if x.at.Sub(due) > limit {
		return x.pass(st, count, time.Time{}, "missed")
	}
	if count == 1 {
		return x.run(st, x.t.Next, 0, x.t.Next.For)
	}
	oldest := x.rule.Next(x.at.Add(-x.window()).Add(-x.rule.Offset() - 1)) // that may be caught up
	old := int64(0)
	if known := x.known(); oldest.After(known) && x.at.Sub(x.t.Next.Due.Time()) > x.window() { // else that one is, beside the grid
		old = x.rule.Count(known, oldest.Add(-1)) + 1
	}
	switch mode := x.p.CatchUp.mode; {
	case mode == None.mode:
		return x.pass(st, count-1, newest, "missed")
	case mode == Oldest.mode && old > 0, mode == catchUpAll.mode && old > 0:
		return x.pass(st, old, oldest, "missed")
	case mode == Oldest.mode:
		return x.run(st, x.t.Next, count-1, store.At(newest))
	case mode == catchUpAll.mode:
		st.first, st.caught = x.t.Next.For, store.At(newest)
		if n := int64(x.p.CatchUp.most); count > n {
			first := occurrence(x.rule, x.back(int(n)))
			st.first = first.For
			return x.run(st, first, count-n, first.For)
		}
		return x.run(st, x.t.Next, 0, x.t.Next.For)
	}
	return x.run(st, occurrence(x.rule, newest), count-1, store.At(newest))
}

// window is how late an occurrence may be to be caught up (contract G3).
func (x *choice) window() time.Duration {
	if x.p.Window > 0 {
		return time.Duration(x.p.Window)
	}
	return min(max(x.period(), time.Minute), 24*time.Hour)
}

func (x *choice) grace() time.Duration {
	if x.p.Grace > 0 {
		return time.Duration(x.p.Grace)
	}
	return min(x.period(), time.Minute)
}

// period is how far apart occurrences are: a calendar's, which are not always as far, at the present one.
func (x *choice) period() time.Duration {
	if p := x.s.Period(); p > 0 {
		return p
	}
	at := x.t.Next.For.Time()
	if p := x.rule.Spacing(at); p > 0 {
		return p
	}
	return at.Sub(x.rule.Prev(at)) // it is the last
}
