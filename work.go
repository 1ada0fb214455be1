package duly

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/timer"
)

// pending counts the writes of ours under way for a key.
type pending struct {
	n     int
	dirty bool // there were several at once: which came last is not known
}

// beginLocked notes that a key is being written.
func (c *core) beginLocked(k store.Key) {
	p := c.writing[k]
	if p == nil {
		p = &pending{}
		c.writing[k] = p
	}
	p.dirty = p.n > 0
	p.n++
}

// endLocked notes what a write has left; known is false if that is not known.
func (c *core) endLocked(k store.Key, t *store.Task, known bool) {
	p := c.writing[k]
	p.n--
	p.dirty = p.dirty || !known
	r := c.running
	if r != nil {
		r.window.touch(k)
		delete(r.fetching, k) // what is being read may be older
	}
	if p.n > 0 {
		return
	}
	delete(c.writing, k)
	switch {
	case r == nil:
	case p.dirty:
		if r.own == nil || r.where.Has(k.Shard()) || r.window.entries[k] != nil {
			r.refetch[k] = struct{}{}
		}
	default:
		r.setLocked(k, t)
	}
}

// left is what a row's answer says that the name points to now; known is false if it says nothing.
type left struct {
	task  *store.Task
	known bool
}

// writes makes a call that writes rows, and notes what it has left of the tasks.
func writes[Row, Result any](
	ctx context.Context, c *core, rows []Row, key func(*Row) store.Key,
	do func(context.Context, []Row) ([]Result, error), after func(*Row, *Result) left,
) ([]Result, error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, ErrClosed
	}
	for i := range rows {
		c.beginLocked(key(&rows[i]))
	}
	c.mu.Unlock()
	res, err := do(ctx, rows)
	c.mu.Lock()
	for i := range rows {
		var l left
		if err == nil {
			l = after(&rows[i], &res[i])
		}
		c.endLocked(key(&rows[i]), l.task, l.known)
	}
	if c.running != nil {
		c.running.pokeLocked()
	}
	c.mu.Unlock()
	c.news.tell()
	return res, err
}

func (c *core) put(ctx context.Context, puts []store.Put) ([]store.PutResult, error) {
	return writes(ctx, c, puts, func(p *store.Put) store.Key { return p.Key }, c.store.Put,
		func(_ *store.Put, r *store.PutResult) left { return left{r.Task, r.Task != nil} })
}

func (c *core) cancel(ctx context.Context, xs []store.Cancel) ([]store.CancelResult, error) {
	return writes(ctx, c, xs, func(x *store.Cancel) store.Key { return x.Key }, c.store.Cancel,
		func(_ *store.Cancel, r *store.CancelResult) left { return left{r.Task, r.Err == nil} })
}

func (c *core) edit(ctx context.Context, xs []store.Edit) ([]store.EditResult, error) {
	return writes(ctx, c, xs, func(x *store.Edit) store.Key { return x.Key }, c.store.Edit,
		func(_ *store.Edit, r *store.EditResult) left { return left{r.Task, r.Err == nil} })
}

// An attempt is one of ours that runs.
type attempt struct {
	id     store.RunID
	fence  int64
	info   *AttemptInfo
	policy *policy
	task   *store.Task
	begun  store.Instant // when the run's first attempt was claimed
	e      *entry
	size   int64
	gates  [3]*gate
	h      HandlerFunc

	ctx     context.Context //nolint:containedctx // the handler's, which ends with this attempt
	cancel  context.CancelCauseFunc
	inTx    atomic.Bool
	sent    time.Duration // before the claim or the last renewal was sent, by eng.Elapsed
	lost    bool          // its lease is over, as far as is known here; under core.mu, as what follows
	place   *list.Element // in the renewer's line
	watched bool          // expiry is set
	timeout timer.Timer
	expiry  timer.Timer // of the lease, for those that are renewed
}

// write claims and edits what was picked.
func (r *run) write(ctx context.Context, picks []pick) error {
	var claims, firsts []store.Claim
	var edits []store.Edit
	var backs []store.Settlement
	for i := range picks {
		switch st := &picks[i].st; {
		case st.kind == stepEdit:
			edits = append(edits, st.edit)
		case st.kind == stepBack:
			backs = append(backs, st.back)
		case st.claim.FirstStart:
			firsts = append(firsts, st.claim)
		default:
			claims = append(claims, st.claim)
		}
	}
	sent := r.c.eng.Elapsed()
	begun := r.c.now()
	var failure error
	failing := ""
	note := func(doing string, err error) {
		if errors.Is(err, store.ErrUnknown) { // it may have been written, and not be tried again: that others can be claimed is enough
			doing = "claim what is due"
		}
		switch {
		case err == nil || errors.Is(err, store.ErrNotOwner):
			r.worked(doing)
		case failure == nil:
			failing, failure = doing, err
		}
	}
	var refused error
	for _, some := range [2][]store.Claim{claims, firsts} {
		if len(some) == 0 {
			continue
		}
		res, err := r.c.store.Claim(ctx, some)
		refused = cmp.Or(refused, err)
		r.claimed(picks, some[0].FirstStart, res, err, sent, begun) //nolint:contextcheck // attempts outlive the call
	}
	if len(claims)+len(firsts) > 0 {
		note("claim what is due", refused)
	}
	if len(edits) > 0 {
		res, err := r.c.store.Edit(ctx, edits)
		note("write what does not start", err)
		r.edited(picks, res, err) //nolint:contextcheck // hooks outlive the call
	}
	if len(backs) > 0 {
		res, err := r.c.store.Settle(ctx, backs)
		note("give leases back", err)
		r.givenBack(picks, res, err)
	}
	r.c.news.tell()
	if failure != nil {
		return r.failed(failure, failing)
	}
	return nil
}

// claimed notes the answers to claims, and starts attempts.
func (r *run) claimed(picks []pick, firsts bool, res []store.ClaimResult, err error, sent time.Duration, begun store.Instant) {
	c := r.c
	var start []*attempt
	tune := false
	c.mu.Lock()
	r.unsure.forget(sent, c.opts.Lease)
	// What was granted may be somebody else's by now, or is not to start any more: it is as if there were no answer, and is given back.
	late := c.eng.Elapsed() >= sent+r.renewer.safe()
	n := 0
	for i := range picks {
		pk := &picks[i]
		if pk.st.kind != stepClaim || pk.st.claim.FirstStart != firsts {
			continue
		}
		var x store.ClaimResult
		if err == nil {
			x = res[n]
		} else {
			x.Err = err
		}
		if x.Err == nil && (late || r.stopping) {
			x.Err = store.ErrUnknown
		}
		n++
		if x.Err != nil {
			if errors.Is(x.Err, store.ErrUnknown) {
				r.unsure[pk.claimed()] = c.eng.Elapsed()
			}
			if err == nil && !errors.Is(x.Err, store.ErrNotOwner) { // if the call has failed the next waits for the store
				r.againLocked(pk.e)
			}
			tune = r.refusedLocked(pk, x.Err) || tune
			r.untuned = r.untuned || tune
			continue
		}
		start = append(start, r.beginLocked(pk, &x, sent, begun))
	}
	c.mu.Unlock()
	if tune && !c.tuning.Load().far {
		_ = c.tune(r.calls) // the next claim shows whether it helped
	}
	for _, a := range start {
		r.start(a)
	}
}

// refusedLocked deals with a claim that was not granted, and says whether the clocks differ.
func (r *run) refusedLocked(pk *pick, err error) (clock bool) {
	c := r.c
	k := pk.e.task.Key
	r.inUse--
	r.held -= pk.size
	r.leaveLocked(pk.gates, pk.e.task.LimitKey)
	if pk.gates[2] != nil {
		c.kinds[pk.e.task.Kind].bucket.give()
	}
	switch {
	case errors.Is(err, store.ErrNotOwner):
		r.refusedShardLocked(pk.e)
		c.endLocked(k, pk.e.task, true)
		return false
	case errors.Is(err, store.ErrNotDue):
		pk.e.not = max(pk.e.not, c.now()+exact)
		clock = true
	case errors.Is(err, store.ErrInvalid):
		c.log.Error("a claim was refused, it is tried again in a minute", "task", k.String(), "error", err)
		pk.e.not = c.now().Add(time.Minute)
	}
	c.endLocked(k, nil, false)
	return clock
}

// againLocked puts off what is refused again and again: what was read of it since ought to have helped.
func (r *run) againLocked(e *entry) {
	if e.nos++; e.nos > 1 {
		e.not = max(e.not, r.c.now().Add(time.Millisecond<<min(e.nos, 10)))
	}
}

// beginLocked makes the attempt of a claim that was granted.
func (r *run) beginLocked(pk *pick, x *store.ClaimResult, sent time.Duration, begun store.Instant) *attempt {
	c := r.c
	t := x.Task
	rn := t.Run(x.RunID.Generation, x.RunID.For)
	p, _ := c.policies.of(t.Policy)
	a := &attempt{id: x.RunID, fence: x.Fence, policy: p, task: t, begun: rn.BegunAt, e: pk.e, size: pk.size, gates: pk.gates, h: c.kinds[t.Kind].handler, sent: sent}
	a.info = &AttemptInfo{
		Namespace: t.Namespace, Name: t.Name, Kind: t.Kind, Generation: rn.Generation, RunID: x.RunID.String(), Fence: x.Fence,
		Number: int(rn.Attempt), Failed: int(rn.Attempt - rn.Snoozed - rn.Lost - 1), Lost: int(rn.Lost),
		ScheduledFor: rn.For.Time(), Due: rn.Due.Time(), Started: x.At.Time(), Missed: rn.Missed, Extra: rn.Extra, AtMostOnce: p.AtMostOnce,
		Timeout: time.Duration(p.Timeout), Raw: t.Payload, Tags: t.Tags, Priority: int(t.Priority), c: c, a: a,
	}
	a.ctx, a.cancel = context.WithCancelCause(context.Background())
	seen := max(pk.seen, rn.Due) // something else of the task may have been due before
	c.stats.started(t.Kind, Lateness{
		Wake: seen.Sub(rn.Due), Slot: begun.Sub(seen), Claim: x.At.Sub(begun),
	})
	r.attempts[attemptID{a.id, a.fence}] = a
	if pk.e.live++; pk.e.live == 1 {
		r.window.pinned++
	}
	pk.e.seen, pk.e.nos, pk.e.not = 0, 0, 0
	if m := &pk.e.memo; pk.st.run == nil {
		m.first, m.caught, m.found = pk.st.first, pk.st.caught, rn.Generation
	}
	r.renewer.addLocked(a) // before what it runs for is looked at: what the renewer does not know has lost its lease
	c.endLocked(t.Key, t, true)
	return a
}

// edited notes the answers to edits.
func (r *run) edited(picks []pick, res []store.EditResult, err error) {
	c := r.c
	var deaths []Death
	c.mu.Lock()
	n := 0
	for i := range picks {
		pk := &picks[i]
		if pk.st.kind != stepEdit {
			continue
		}
		var x store.EditResult
		if err == nil {
			x = res[n]
		} else {
			x.Err = err
		}
		n++
		ed := &pk.st.edit
		if x.Err != nil {
			if errors.Is(x.Err, store.ErrInvalid) {
				c.log.Error("an edit was refused, it is tried again in a minute", "task", ed.String(), "verb", ed.Verb.String(), "error", x.Err)
				pk.e.not = c.now().Add(time.Minute)
			}
			if err == nil {
				r.againLocked(pk.e)
			}
			c.endLocked(ed.Key, nil, false)
			continue
		}
		pk.e.nos, pk.e.not = 0, 0
		if pk.st.stop {
			r.stopLocked(store.RunID{Key: ed.Key, Generation: ed.Generation, For: ed.For})
		}
		if x.State == store.Dead {
			deaths = append(deaths, deathOf(pk.e.task, ed))
		}
		c.stats.edited(pk.e.task.Kind, ed, x.State)
		c.endLocked(ed.Key, x.Task, true)
	}
	c.mu.Unlock()
	for _, d := range deaths {
		c.died(&d)
		if c.opts.OnDead != nil {
			r.hooks.Go(func() { c.hook(d) })
		}
	}
}

// died logs a death.
func (c *core) died(d *Death) {
	key := store.Key{Namespace: d.Namespace, Name: d.Name}
	c.log.Warn("a run is dead", "task", key.String(), "kind", d.Kind, "attempts", d.Attempts, "reason", d.Reason)
}

// deathOf is what is told of a run that an edit has made dead.
func deathOf(t *store.Task, ed *store.Edit) Death {
	d := Death{
		Namespace: t.Namespace, Name: t.Name, Kind: t.Kind, ScheduledFor: ed.For.Time(), Reason: ed.Reason,
		RunID: store.RunID{Key: t.Key, Generation: ed.Generation, For: ed.For}.String(),
	}
	if rn := t.Run(ed.Generation, ed.For); rn != nil {
		d.Attempts = int(rn.Attempt)
	}
	return d
}

// stopLocked asks those of our attempts at a run that run to stop.
func (r *run) stopLocked(id store.RunID) {
	for k, a := range r.attempts {
		if k.RunID == id {
			a.cancel(ErrStopped)
		}
	}
}

// start runs an attempt on a goroutine of its own.
func (r *run) start(a *attempt) {
	if d := time.Duration(a.policy.Timeout); d > 0 {
		a.timeout = r.c.eng.AfterFunc(d, func() { a.cancel(ErrTimeout) })
	}
	go r.attempt(a)
}

// attempt runs the handler and writes how it ended. Whatever the handler does, its attempt ends here.
func (r *run) attempt(a *attempt) {
	err := ErrGoexit
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: stack()}
		}
		a.timeout.Stop()
		if err != nil && a.ctx.Err() != nil && errors.Is(err, context.Canceled) {
			err = fmt.Errorf("%w: %w", context.Cause(a.ctx), err)
		}
		a.cancel(context.Canceled)
		r.finish(a, err)
	}()
	err = a.h(a.ctx, a.info)
}

// finish writes how an attempt ended, and gives its place back.
func (r *run) finish(a *attempt, err error) {
	c := r.c
	if _, ok := errors.AsType[*PanicError](err); ok || errors.Is(err, ErrGoexit) {
		c.log.Error("a handler did not return", "task", a.id.Key.String(), "kind", a.info.Kind, "error", err)
	}
	if errors.Is(err, ErrClosing) && !a.policy.AtMostOnce { // it was asked to stop, and did: another process goes on with it
		err = Snooze(0)
	}
	if r.outcome(a, err) {
		d := Death{
			Namespace: a.info.Namespace, Name: a.info.Name, Kind: a.info.Kind, RunID: a.info.RunID, ScheduledFor: a.info.ScheduledFor,
			Attempts: a.info.Number, Reason: reason(err),
		}
		c.died(&d)
		if c.opts.OnDead != nil {
			c.hook(d)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r.endedLocked(a)
}

// hook calls OnDead. A panic of it is logged.
func (c *core) hook(d Death) {
	defer func() {
		if v := recover(); v != nil {
			c.log.Error("OnDead has panicked", "task", d.Name, "panic", fmt.Sprint(v), "stack", stack())
		}
	}()
	c.opts.OnDead(context.Background(), d)
}

// outcome writes how an attempt ended, and says whether its run is dead by that.
func (r *run) outcome(a *attempt, err error) (dead bool) {
	if a.inTx.Load() && err == nil {
		done, gone := r.completed(a)
		if done {
			r.c.stats.ended(a.info.Kind, store.VerbSettle, store.Done)
			return false
		}
		if gone != nil {
			r.c.stats.fenced(a.info.Kind)
			r.c.log.Error("whether an attempt is completed could not be read; if it is not, it will be tried again", "task", a.id.Key.String(), "error", gone)
			return false
		}
		err = errors.New("the transaction that was to complete the run was not committed")
	}
	x := r.c.settlement(a, err)
	res, serr := r.settler.settle(a, x)
	switch {
	case serr != nil:
		r.c.stats.fenced(a.info.Kind)
		r.c.log.Error("how an attempt ended could not be written; it will be tried again", "task", a.id.Key.String(), "error", serr)
	case res.Err != nil:
		r.c.log.Warn("an attempt ended after its lease was lost", "task", a.id.Key.String(), "error", res.Err)
		r.c.stats.fenced(a.info.Kind)
	default:
		r.c.stats.ended(a.info.Kind, x.Verb, res.State)
		return res.State == store.Dead
	}
	return false
}

// completed says whether the transaction that was to complete the run of an attempt was committed, and waits for a store that fails. An
// error says that the store is gone, or the scheduler.
func (r *run) completed(a *attempt) (bool, error) {
	const reading = "read whether an attempt is completed"
	for {
		done, err := r.hasCompleted(a)
		if err == nil {
			r.worked(reading)
			return done, nil
		}
		if gone := r.failed(err, reading); gone != nil {
			return false, gone
		}
		r.c.mu.Lock()
		rest := r.backoff
		r.c.mu.Unlock()
		if gone := r.c.nap(context.Background(), rest); gone != nil {
			return false, err
		}
	}
}

// hasCompleted asks once. What the transaction has left is noted as if the scheduler had written it.
func (r *run) hasCompleted(a *attempt) (done bool, err error) {
	c := r.c
	c.mu.Lock()
	c.beginLocked(a.id.Key)
	lost := a.lost
	c.mu.Unlock()
	var t *store.Task
	ts, err := c.store.Get(context.Background(), []store.Key{a.id.Key})
	if err == nil {
		t = ts[0]
		done = runOf(t, a.id) == nil
	}
	if done && lost {
		done, err = c.doneBy(a)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if done {
		a.e.memo.ran(a.begun, c.now(), nextOf(t))
	}
	c.endLocked(a.id.Key, t, err == nil)
	r.pokeLocked()
	return done, err
}

// doneBy says of a run that is gone, and whose attempt has lost its lease, that this one has completed it all the same, and no other has ended
// it since.
func (c *core) doneBy(a *attempt) (bool, error) {
	evs, err := c.store.History(context.Background(), store.HistoryQuery{Key: a.id.Key, Newest: true})
	for i := range evs {
		if e := &evs[i]; e.Generation == a.id.Generation && e.For == a.id.For {
			return e.To == store.Done && e.Fence == a.fence, nil
		}
	}
	return err == nil, err
}

// nextOf is the next occurrence of a task, if it is there.
func nextOf(t *store.Task) (next store.Occurrence) {
	if t != nil {
		next = t.Next
	}
	return next
}

func runOf(t *store.Task, id store.RunID) *store.Run {
	if t == nil {
		return nil
	}
	return t.Run(id.Generation, id.For)
}

// endedLocked gives the place of an attempt back.
func (r *run) endedLocked(a *attempt) {
	delete(r.attempts, attemptID{a.id, a.fence})
	r.renewer.dropLocked(a)
	e := a.e
	if e.live--; e.live == 0 {
		r.window.pinned--
	}
	r.inUse--
	r.held -= a.size
	if r.c.running == r { // else Run has given up waiting for it, and the gates of kinds are another's
		r.leaveLocked(a.gates, a.task.LimitKey)
		r.placeLocked(e)
	}
	if r.over && len(r.attempts) == 0 {
		close(r.ended)
	}
	r.pokeLocked()
}

// after is the next occurrence of a schedule that counts from the end of a run.
func (c *core) after(a *attempt) store.When {
	if !a.task.Recurring {
		return store.When{}
	}
	s, err := c.schedules.of(a.task.Schedule)
	if err != nil {
		return store.When{}
	}
	return fixedDelay(a.task, s, c.now(), a.info.Extra)
}
