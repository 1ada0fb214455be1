package duly

import (
	"time"

	"github.com/dulyhq/duly/store"
)

// An entry is a task that is kept in memory, because it is due soon, an attempt at it runs, or somebody else's lease on it is watched.
type entry struct {
	task  *store.Task
	size  int64 // bytes of its payload, if they are so many that it is not in memory before it is due
	memo  memo
	wait  store.Instant // when to look at it again, by the store's clock
	lease store.Instant // the same, on Clock.Mono
	seen  store.Instant // when it was found to be due; 0 before
	not   store.Instant // nothing is tried before
	nos   int           // refusals in a row
	live  int           // attempts of ours
	kept  bool          // its next occurrence waits for the retry of an earlier run: it takes no room

	refused bool // it is not ours by the store
	unclear bool // an attempt of ours may not renew its lease: it was completed by its transaction, or has lost it

	timed, leased, queued, early, gated int   // places in the piles
	gate                                *gate // at which it waits
	leads                               bool  // none of those that were put away there is known to come before it
	turn                                *gate // that has let it try again
}

// The piles.
func byTime() pile {
	return pile{less: func(a, b *entry) bool { return a.wait < b.wait }, place: func(e *entry) *int { return &e.timed }}
}

func byLease() pile {
	return pile{less: func(a, b *entry) bool { return a.lease < b.lease }, place: func(e *entry) *int { return &e.leased }}
}

// before is the order in which tasks start that are due: by priority, then due, then accepted (contract C3).
func before(a, b *entry) bool {
	x, y := a.task, b.task
	if x.Priority != y.Priority {
		return x.Priority > y.Priority
	}
	if p, q := x.Position(), y.Position(); p != q {
		return p < q
	}
	return x.Generation < y.Generation
}

func byHaste() pile { return pile{less: before, place: func(e *entry) *int { return &e.early }} }
func byOrder() pile { return pile{less: before, place: func(e *entry) *int { return &e.queued }} }
func byGate() pile  { return pile{less: before, place: func(e *entry) *int { return &e.gated }} }

const (
	ahead       = 8 * time.Second // how far the window reaches into the future
	windowMost  = 16_384          // entries, apart from those with attempts under way
	pageMost    = 512
	gateMost    = 64   // entries that wait at one gate; more are read again when it is their turn
	payloadMost = 1024 // bytes of a payload that are kept in memory before it is due
)

// A window is the part of the store that is in memory: of what stands up to and with the place after, all that is due soon.
type window struct {
	entries map[store.Key]*entry
	waiting pile // for an instant
	leases  pile // for the end of somebody else's lease
	first   pile // to be looked at first, because there may be something to do that takes no worker
	ready   pile // to be looked at
	after   store.Cursor
	pinned  int // entries that take no room: those with attempts under way, and those kept
	gated   int

	scanning bool
	touched  map[store.Key]struct{} // written by us since the scan began
	pulled   store.Cursor           // where after was pulled to meanwhile; At is 0 if it was not
}

func (w *window) init() {
	w.entries = map[store.Key]*entry{}
	w.waiting, w.leases, w.first, w.ready = byTime(), byLease(), byHaste(), byOrder()
	w.after = store.Cursor{At: store.Over}
}

func behind(a, b store.Cursor) bool {
	if a.At != b.At {
		return a.At > b.At
	}
	return a.Compare(b.Key) > 0
}

// pull makes the window end before what stands at an instant.
func (w *window) pull(at store.Instant) {
	to := store.Cursor{At: at}
	if behind(w.after, to) {
		w.after = to
	}
	if w.scanning && (w.pulled.At == 0 || behind(w.pulled, to)) {
		w.pulled = to
	}
}

func (w *window) room() int { return windowMost - (len(w.entries) - w.pinned) }

// crowded says that more are in memory, and only wait for workers, than are to be read for a gate besides.
func (w *window) crowded() bool { return w.room() <= windowMost/4 && w.ready.len() > pageMost }

// begin notes the start of a scan, and end its end: those touched meanwhile are known better than the scan does.
func (w *window) begin() {
	w.scanning, w.touched, w.pulled = true, map[store.Key]struct{}{}, store.Cursor{}
}

func (w *window) end() { w.scanning, w.touched = false, nil }

func (w *window) touch(k store.Key) {
	if w.scanning {
		w.touched[k] = struct{}{}
	}
}

// watch has an entry looked at when a lease ends that is somebody else's.
func (w *window) watch(e *entry, lease store.Instant) {
	if lease != store.Never {
		e.lease = lease
		w.leases.put(e)
	}
}

// know notes what the entry's task is.
func (e *entry) know(t *store.Task) {
	if t == e.task {
		return
	}
	e.task, e.size = light(t), heavy(t)
}

// heavy is how many bytes a large payload has, 0 for a small one.
func heavy(t *store.Task) int64 {
	if n := len(t.Payload); n > payloadMost {
		return int64(n)
	}
	return 0
}

// light returns the task without a large payload: that comes with the claim.
func light(t *store.Task) *store.Task {
	if len(t.Payload) <= payloadMost {
		return t
	}
	n := *t
	n.Payload = nil
	return &n
}

// surveyLocked looks for what ran when the process before this one ended.
func (r *run) surveyLocked(t *store.Task) {
	for i := range t.Runs {
		if rn := &t.Runs[i]; rn.State == store.Running && rn.Lease == store.Over && rn.Lost == 0 {
			r.crash.fresh = true
		}
	}
}

// setLocked notes what a name points to now.
func (r *run) setLocked(k store.Key, t *store.Task) {
	w := &r.window
	delete(r.strange, k)
	e := w.entries[k]
	if t == nil {
		if e != nil {
			e.task = &store.Task{Key: k, Ended: true}
			r.placeLocked(e)
		}
		return
	}
	if e == nil {
		pos := t.Position()
		switch {
		case r.vainLocked(t): // whosever it is by now: nobody else may touch it before the lease ends
		case !r.ownsLocked(t):
			return
		case pos == store.Never || !w.scanning && behind(store.Cursor{At: pos, Key: k}, w.after):
			return // while a scan is under way it is noted here: that will pass it by, because it was touched
		case pos > r.c.now().Add(ahead) || w.room() <= 0:
			w.pull(pos)
			return
		}
		e = &entry{}
		w.entries[k] = e
	}
	e.know(t)
	if e.live > 0 {
		r.heedLocked(e)
		r.revealLocked(e)
	}
	r.placeLocked(e)
}

// placeLocked puts an entry where it belongs by what is known of it.
func (r *run) placeLocked(e *entry) { r.placeAtLocked(e, r.c.now()) }

func (r *run) placeAtLocked(e *entry, now store.Instant) {
	w := &r.window
	r.takeOutLocked(e)
	if r.c.writing[e.task.Key] != nil {
		return // it is placed when the write has ended
	}
	st := r.planLocked(e, now)
	w.watch(e, st.lease)
	switch st.kind {
	case stepClaim, stepEdit, stepBack:
		if e.not > now {
			e.wait = e.not
			w.waiting.put(e)
			return
		}
		if e.seen == 0 {
			e.seen = now
		}
		if st.kind == stepClaim {
			w.ready.put(e)
		} else {
			w.first.put(e)
		}
	case stepWait:
		e.seen = 0
		if st.at > now.Add(ahead) && e.live == 0 && st.lease == store.Never && r.forgetLocked(e, now, st.at) {
			return
		}
		e.wait = max(st.at, e.not)
		w.waiting.put(e)
	case stepIdle:
		e.seen = 0
		if e.live == 0 && st.lease == store.Never {
			delete(w.entries, e.task.Key)
		}
	}
}

// forgetLocked drops an entry of which nothing is to be done before an instant, and says whether it has. What nobody here handles
// stands long overdue in the store; when to look at it again is remembered for all of them together. What the window would find
// again at once, because its next occurrence waits for the retry of an earlier run, stays.
func (r *run) forgetLocked(e *entry, now, at store.Instant) bool {
	pos := e.task.Position()
	switch {
	case r.c.kinds[e.task.Kind] == nil && pos <= now:
		r.unresolved(pos, at)
		r.strange.add(e.task, now)
	case pos <= now.Add(ahead):
		e.kept = true
		r.window.pinned++
		return false
	default:
		r.window.pull(min(at, pos))
	}
	delete(r.window.entries, e.task.Key)
	return true
}

// takeOutLocked takes an entry out of all piles.
func (r *run) takeOutLocked(e *entry) {
	w := &r.window
	if e.kept {
		e.kept = false
		w.pinned--
	}
	w.waiting.drop(e)
	w.leases.drop(e)
	w.first.drop(e)
	w.ready.drop(e)
	if g := e.gate; g != nil {
		g.waiting.drop(e)
		e.gate = nil
		w.gated--
		r.tidyLocked(g.key)
	}
	if turn := e.turn; turn != nil {
		e.turn = nil
		r.yieldLocked(turn)
		r.tidyLocked(turn.key)
	}
}

// graceLocked is for how long nothing is dead yet because nobody handles it.
func (r *run) graceLocked() time.Duration {
	if r.own == nil {
		return 0
	}
	return max(comeback-(r.c.eng.Elapsed()-r.gained), 0)
}

// revealLocked finds, of attempts that were to be completed in a transaction and may not renew their lease any more, those that have lost it:
// their run is still there.
func (r *run) revealLocked(e *entry) {
	if !e.unclear {
		return
	}
	e.unclear = false
	for _, a := range r.attempts {
		if a.e == e && a.place == nil && !a.lost && runOf(e.task, a.id) != nil {
			a.lost = true
			a.cancel(ErrLeaseLost)
		}
	}
}

// completingLocked says that a handler has completed its run in a transaction and has not returned: what is next is worked out when it has.
func (r *run) completingLocked(e *entry) bool {
	for _, a := range r.attempts {
		if a.e == e && a.inTx.Load() && !a.lost {
			return true
		}
	}
	return false
}

// planLocked works out what is next for an entry.
func (r *run) planLocked(e *entry, now store.Instant) step {
	c := r.c
	t := e.task
	ours := r.ownsLocked(t)
	if !ours && len(r.unsure) == 0 {
		return step{at: store.Never, lease: store.Never}
	}
	p, err := c.policies.of(t.Policy)
	if err != nil {
		c.log.Error("a task's policy is not readable, the default is used", "task", t.String(), "error", err)
	}
	if e.memo.busy > now+c.blurred() { // the clock was set back
		e.memo.since, e.memo.busy = 0, 0
	}
	if len(t.Runs) == 0 && (t.Ended || t.Next.None()) { // as most are of which an attempt has just ended
		return step{at: store.Never, lease: store.Never}
	}
	x := &r.planner
	*x = planner{
		t: t, p: p, now: now, mono: c.mono(), m: &e.memo, mine: r.attempts, unsure: r.unsure, lease: c.opts.Lease, owner: c.opts.Owner,
		giveUp: c.kinds[t.Kind] == nil, crash: r.crash,
		shut: !r.suspects.free(),
	}
	if x.giveUp {
		x.grace = r.graceLocked()
	}
	if t.Recurring {
		if x.s, err = c.schedules.of(t.Schedule); err != nil {
			c.log.Error("a task's schedule is not readable, it does not run", "task", t.String(), "schedule", t.Schedule, "error", err)
			return step{at: store.Never, lease: store.Never}
		}
	}
	st := x.plan()
	if e.live > 0 && p.Overlap.mode != Allow.mode && (st.kind == stepClaim || st.kind == stepEdit && st.edit.Verb == store.VerbSkip) && r.completingLocked(e) {
		return step{at: store.Never, lease: st.lease}
	}
	if r.crash.divided {
		r.doubtLocked(x)
	}
	if !ours && st.kind != stepBack { // it is somebody else's to decide
		return step{at: store.Never, lease: store.Never}
	}
	return st
}
