package sim_test

import (
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/store"
)

const (
	maxLost  = 3  // so many losses make a run dead, but while another may be to blame
	mostLost = 10 // so many whatever ran beside it
)

// rescue judges the taking of a run from its holder.
func (r *recorder) rescue(old *store.Task, x *store.Edit) {
	a := r.attempts[x.Fence]
	if a == nil {
		r.w.bad("%v fence %d is rescued and was never claimed", x.Key, x.Fence)
		return
	}
	a.rescued = true
	r.runOf(a.id).lost++
	r.budget(old, x, old.Run(x.Generation, x.For))
	switch {
	case a.p == r.call.p && a.ctx != nil && a.ctx.Err() == nil:
		r.w.bad("%v fence %d is rescued from %s by itself, and its handler goes on", a.id, a.fence, a.p.owner)
	case !a.p.gone() && r.w.troubleUntil() < a.claimed:
		r.w.bad("%v fence %d is rescued from %s, which is well: handler ended %t", a.id, a.fence, a.p.owner, a.ended)
	}
}

// budget judges what becomes of a run that was lost (contract D5): from maxLost on it is dead, but while there is another that may
// have ended the process.
func (r *recorder) budget(old *store.Task, x *store.Edit, run *store.Run) {
	lost, want := int(run.Lost)+1, store.Pending
	switch w := r.w.wishOf(old); {
	case run.Final: // no attempt comes after it, whatever is asked for by whom has not heard of that yet
		return
	case w.once, lost >= mostLost, lost >= maxLost && (run.Lease != store.Over || !r.fresh):
		want = store.Dead
	}
	if x.State != want {
		r.w.bad("%v for %v is %v after it was lost %d times, want %v; fresh %t, %s", x.Key, show(x.For), x.State, lost, want, r.fresh, r.w.wishOf(old).text)
	}
}

// crashed notes whether what ran when the process of an embedded store died had all been lost before.
func (r *recorder) crashed() {
	r.fresh = false
	for _, n := range r.names {
		if n.task == nil {
			continue
		}
		for i := range n.task.Runs {
			if rn := &n.task.Runs[i]; rn.State == store.Running && rn.Lost == 0 {
				r.fresh = true
			}
		}
	}
}

func (r *recorder) settle(n *name, x *store.Settlement, res *store.SettleResult) (*store.Task, bool) {
	a := r.attempts[x.Fence]
	if res.Err != nil {
		r.w.log("settle %v fence %d: %v", x.Key, x.Fence, res.Err)
		return nil, false
	}
	r.w.log("settle %v fence %d, %v %v %s: %v, %s", x.Key, x.Fence, x.Verb, x.State, firstLine(x.Reason), res.State, showTask(res.Task))
	rn := r.runOf(a.id)
	if a.waits > 0 && res.State == store.Pending && (x.Verb == store.VerbRetry || a.outcome == "snoozed" && x.When != store.In(0, 0)) {
		if run := res.Task.Run(x.Generation, x.For); run.Due != micros(res.At.Time().Add(a.waits)) {
			r.w.bad("%v fence %d asked to wait for %v at %v and is due at %v", a.id, a.fence, a.waits, show(res.At), show(run.Due))
		}
	}
	if a.settled || a.rescued {
		r.w.bad("%v fence %d is settled and was settled or rescued before", a.id, a.fence)
	}
	a.settled = true
	if x.Verb == store.VerbRelease {
		if a.begun || a.answered || r.call.p != a.p {
			r.w.bad("%v fence %d is given back by %s, and %s knows of it: begun %t", a.id, a.fence, r.call.p.owner, a.p.owner, a.begun)
		}
		rn.released++
		return res.Task, true
	}
	r.ended(n, a, rn, x, res)
	if x.End {
		n.line.over = "ended by an attempt"
	}
	outcome := "failed"
	switch {
	case x.Verb == store.VerbSettle && x.State == store.Done:
		outcome = "done"
	case x.Verb == store.VerbSnooze:
		outcome = "snoozed"
		rn.snoozed++
	}
	if !a.ended || a.outcome != outcome {
		r.w.bad("%v fence %d is settled as %s, the handler has ended %t and said %q", a.id, a.fence, outcome, a.ended, a.outcome)
	}
	if res.State != store.Pending {
		rn.ended = res.State
	}
	return res.Task, true
}

// ended judges what becomes of a run whose attempt has ended, by the wish that it was claimed with.
func (r *recorder) ended(n *name, a *attempt, rn *runOf, x *store.Settlement, res *store.SettleResult) {
	old, w := n.task, a.wish
	run := old.Run(x.Generation, x.For)
	counted := rn.claims - rn.lost - rn.snoozed - rn.released
	switch {
	case run.Final || run.Stop:
	case res.State == store.Dead && !a.permanent && !w.once && counted < w.attempts:
		r.w.bad("%v fence %d is dead after %d attempts that count, want %d: %s", a.id, a.fence, counted, w.attempts, firstLine(x.Reason))
	case res.State == store.Dead && w.stopOnError && res.Task != nil && !res.Task.Next.None():
		r.w.bad("%v is dead, and the schedule was to end then: %s", a.id, showTask(res.Task))
	case w.overlap == "cancel other" && !old.Ended && !old.Paused() && !old.Next.None() && a.wishIsOf(old) && r.wall().Sub(max(old.Next.Due, run.StartedAt)) > 5*time.Millisecond &&
		r.w.troubleUntil() < a.claimed && !a.p.gone() && !r.w.shared:
		r.w.bad("%v fence %d ran on beside an occurrence that was to take over at %v", a.id, a.fence, show(old.Next.Due))
	}
}

// toldToStop judges an attempt whose lease was over when another of its name began.
func (r *recorder) toldToStop(o, next *attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !o.ended && o.ctx.Err() == nil && !o.p.gone() && !o.p.isPaused() {
		r.w.bad("%v fence %d began while the handler of fence %d went on and was not told to stop", next.id, next.fence, o.fence)
	}
}

// begin notes that a handler was called, and judges it.
func (r *recorder) begin(p *process, a *attempt, info *duly.AttemptInfo) {
	switch {
	case a.begun:
		r.w.bad("%v fence %d begins twice", a.id, a.fence)
	case a.p != p:
		r.w.bad("%v fence %d was claimed by %s and begins at %s", a.id, a.fence, a.p.owner, p.owner)
	}
	a.begun, a.begunAt = true, r.w.now()
	if got, want := [...]any{info.ScheduledFor, info.Due, info.Number, info.Lost, info.Missed, info.Extra}, [...]any{
		a.run.For.Time(), a.run.Due.Time(), int(a.run.Attempt), int(a.run.Lost), a.run.Missed, a.run.Extra,
	}; a.p == p && got != want {
		r.w.bad("%v fence %d is told %v, want %v", a.id, a.fence, got, want)
	}
	if info.Started.Before(info.Due) {
		r.w.bad("%v fence %d: started %v, due %v", a.id, a.fence, info.Started, info.Due)
	}
	for _, o := range r.attempts {
		if o.id.Key == a.id.Key && o != a && o.p == p && o.begun && !o.ended && !a.wish.allow() && !o.wish.allow() && o.ctx.Err() == nil {
			r.w.in(time.Millisecond, func() { r.toldToStop(o, a) }) // after a suspend all wakes at once, in any order
		}
	}
}
