package sim_test

import (
	"slices"
	"strings"
	"time"

	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
)

func (r *recorder) put(n *name, p *store.Put, res *store.PutResult) (*store.Task, bool) {
	if res.Err != nil {
		r.w.log("put %v: %v", p.Key, res.Err)
		return nil, false
	}
	id, _, _ := strings.Cut(string(p.Payload), " ")
	r.w.log("put %v %s: %v, %s", p.Key, id, res.Outcome, showTask(res.Task))
	if res.Outcome != store.Created && res.Outcome != store.Replaced {
		return nil, false
	}
	if n.line != nil && !n.line.begun && n.line.over == "" {
		n.line.over = "replaced"
	}
	n.line = &line{id: id, key: p.Key, recurring: p.Recurring, moved: map[store.Instant]bool{}}
	if p.OnConflict == store.KeepTime || p.OnConflict == store.Earliest || p.OnConflict == store.Debounce {
		n.line.moved[res.Task.Next.For] = true
	}
	r.puts[res.Task.Generation] = id
	r.lines = append(r.lines, n.line)
	n.series = series{}
	n.mayForget()
	r.accepted(n.line, p, res.Task)
	return res.Task, true
}

// accepted judges the first occurrence: nothing is due before it was to be (contract C1), and nothing a microsecond after.
func (r *recorder) accepted(l *line, p *store.Put, t *store.Task) {
	s := r.scheduleOf(t)
	if len(l.moved) > 0 || t.Next.For == store.Never {
		return
	}
	base := t.AcceptedAt.Time()
	if s.Kind() == schedule.KindAfter { // the store's clock is read in whole microseconds
		base = r.wall().Time()
	}
	rule := s.Bind(t.String(), base)
	if first := micros(rule.First()); t.Next.For != first || t.Next.Due != micros(first.Time().Add(rule.Offset())) {
		r.w.bad("put %v of %s at %v: next is %v due %v, want %v and %v more", p.Key, t.Schedule, show(r.wall()), show(t.Next.For), show(t.Next.Due),
			rule.First(), rule.Offset())
	}
}

func (r *recorder) cancel(n *name, x *store.Cancel, res *store.CancelResult) (*store.Task, bool) {
	r.w.log("cancel %v: %v %v", x.Key, res.Outcome, res.Err)
	if r.call.told != nil {
		*r.call.told = res.Outcome
	}
	if res.Err != nil || res.Outcome != store.CancelCancelled && res.Outcome != store.CancelRunning {
		return nil, false
	}
	r.cancelled(n.task, x, res)
	n.barred = r.greatest
	n.mayForget()
	if n.line != nil {
		n.line.over = "cancelled"
	}
	return res.Task, true
}

// cancelled judges the answer: of a claim and a cancel one has won (contract E1).
func (r *recorder) cancelled(old *store.Task, x *store.Cancel, res *store.CancelResult) {
	runs := false // what the cancel was for
	for i := range old.Runs {
		rn := &old.Runs[i]
		runs = runs || rn.State == store.Running && !rn.Final
	}
	won := old.Recurring || !old.Next.None() || !runs
	if old.Ended {
		won = old.Running() == 0
	}
	if got := res.Outcome == store.CancelCancelled; got != won {
		r.w.bad("cancel %v is answered %v: %s", x.Key, res.Outcome, showTask(old))
	}
}

func (r *recorder) edit(n *name, x *store.Edit, res *store.EditResult) (*store.Task, bool) {
	old := n.task
	r.w.log("%v %v for %v fence %d, %s: %v, %s", x.Verb, x.Key, show(x.For), x.Fence, x.Reason, res.Err, showTask(res.Task))
	if res.Err != nil {
		return nil, false
	}
	l := n.line
	switch x.Verb {
	case store.VerbMove, store.VerbRun, store.VerbPause, store.VerbResume:
		n.mayForget()
		n.freed = r.wall()
	default:
	}
	switch x.Verb {
	case store.VerbMove, store.VerbRun:
		if l != nil && res.Task != nil && (x.Verb == store.VerbMove || !old.Recurring) {
			l.moved[res.Task.Next.For] = true
			l.begun = l.begun && old.Recurring
			for i := range old.Runs {
				if id := old.Runs[i].ID(x.Key); res.Task.Run(id.Generation, id.For) == nil {
					r.runOf(id).moved = true
				}
			}
		}
	case store.VerbSkip:
		if x.State == store.Expired {
			l.over = "expired"
			break
		}
		if x.For != old.Next.For || x.For <= l.high && !l.moved[x.For] {
			r.w.bad("%v for %v is skipped, next was %v, and all to %v are accounted for", x.Key, show(x.For), show(old.Next.For), show(l.high))
		}
		r.passed(old, x.For, x.Through, x.When, x.Missed, "skipped, "+x.Reason)
		if !strings.HasPrefix(x.Reason, "nobody handles") {
			r.chosen(n, old, deed{n: max(x.Missed, 1), next: x.When.Resolve(0).For, why: x.Reason}, 0)
		}
		l.high = max(l.high, x.For, x.Through)
		l.skipped = true
	case store.VerbResume:
		r.resumed(old, x, res.Task)
		if x.Missed > 0 && old.Recurring && res.Task.Next.For != old.Next.For {
			r.passed(old, old.Next.For, x.Through, x.When, x.Missed, "passed by a pause")
			l.high = max(l.high, x.Through)
			l.skipped = true
		}
	case store.VerbRescue:
		r.rescue(old, x)
	case store.VerbStop:
		if w := r.w.wishOf(old); x.Generation == old.Generation && !old.Ended && (w.overlap != "cancel other" || old.Next.None() || old.Next.Due > slices.Max(r.call.seen)) {
			r.w.bad("%v for %v is asked to stop, and no occurrence takes over: %s; %s", x.Key, show(x.For), w.text, showTask(old))
		}
	case store.VerbBury:
		if old.Run(x.Generation, x.For) == nil {
			l.over = "buried"
			l.high = max(l.high, x.For)
		}
	case store.VerbRedrive:
		id := store.RunID{Key: x.Key, Generation: x.Generation, For: x.For}
		*r.runOf(id) = runOf{redriven: true}
	default:
	}
	return res.Task, true
}

// passed holds what is skipped, from one nominal instant through another, to the schedule: as many as it says, and none that
// are left out.
func (r *recorder) passed(t *store.Task, from, through store.Instant, next store.When, n int64, how string) {
	if through == 0 {
		through = from
	}
	to := through + 1
	if !next.None() {
		to = next.Resolve(0).For
	}
	r.grid(t, from, to, max(n, 1), how)
}

// gridMost is how many instants are counted one by one.
const gridMost = 3000

// grid compares how many nominal instants there are from one up to but not with another, and how many were accounted for.
func (r *recorder) grid(t *store.Task, from, to store.Instant, n int64, how string) {
	s := r.scheduleOf(t)
	if k := s.Kind(); k == schedule.KindPace || k == schedule.KindPaceFromStart || n > gridMost {
		return
	}
	rule := s.Bind(t.String(), t.AcceptedAt.Time())
	have := int64(1)
	for x := rule.Next(max(from, t.Last).Time()); !x.IsZero() && store.At(x) < to && have <= gridMost; x = rule.Next(x) {
		have++
	}
	if have != n {
		r.w.bad("%v: %d occurrences from %v up to %v, but %d are accounted for (%s)", t.Key, have, show(from), show(to), n, how)
	}
}

func (r *recorder) claim(n *name, x *store.Claim, res *store.ClaimResult) (*store.Task, bool) {
	if res.Err != nil {
		r.w.log("claim %v for %v by %s: %v", x.Key, show(x.For), x.Owner, res.Err)
		return nil, false
	}
	old, t, l := n.task, res.Task, n.line
	run := t.Run(res.RunID.Generation, res.RunID.For)
	r.w.log("claim %v for %v missed %d by %s: %s", x.Key, show(run.For), x.Missed, x.Owner, showTask(t))
	wish := r.w.wishOf(t)
	a := &attempt{
		id: res.RunID, fence: res.Fence, p: r.w.processOf(x.Owner), kind: t.Kind, wish: wish, generation: t.Generation, claimed: r.w.now(), run: *run,
	}
	r.attempts[a.fence] = a
	rn := r.runOf(a.id)
	rn.claims++
	if wall := r.w.clk.Now().Wall / 1000; int64(run.Due) > wall || res.At < run.Due {
		r.w.bad("%v is claimed early: due %v, at %v", a.id, show(run.Due), show(res.At))
	}
	if a.fence <= n.fence {
		r.w.bad("%v has fence %d after %d", a.id, a.fence, n.fence)
	}
	n.fence = a.fence
	if x.Lease != r.w.lease {
		r.w.bad("%v is claimed for %v, want %v", a.id, x.Lease, r.w.lease)
	}
	if t.Running() > 1 && !wish.allow() {
		r.w.bad("%v overlaps: %s", a.id, showTask(t))
	}
	if run.Generation <= n.barred && !rn.redriven {
		r.w.bad("%v begins after it was cancelled", a.id)
	}
	if counted := int(run.Attempt - run.Snoozed - run.Lost); counted > wish.attempts || wish.once && run.Attempt-run.Snoozed > 1 {
		r.w.bad("%v has attempt %d (%d snoozed, %d lost): attempts %d, at most once %t", a.id, run.Attempt, run.Snoozed, run.Lost, wish.attempts, wish.once)
	}
	if w := wish.within; w > 0 && !t.Recurring && rn.claims == 1 && !rn.redriven && res.At > run.Due.Add(w) {
		r.w.bad("%v was due at %v and is claimed at %v, not within %v", a.id, show(run.Due), show(res.At), w)
	}
	if run.Lost >= mostLost { // from maxLost on only beside what had never been lost
		r.w.bad("%v begins after it was lost %d times", a.id, run.Lost)
	}
	if wish.times > 0 && t.Starts > int64(wish.times) {
		r.w.bad("%v: %d starts of %d", a.id, t.Starts, wish.times)
	}
	l.begun = true
	if old.Run(x.Generation, x.For) == nil {
		r.begins(n, old, t, x, run)
	}
	return t, true
}

// begins judges the first attempt at an occurrence.
func (r *recorder) begins(n *name, old, t *store.Task, x *store.Claim, run *store.Run) {
	l := n.line
	offGrid := t.Recurring && len(l.moved) > 0 // an instant that was kept or moved to may be due after the one that follows it
	if quiet := r.w.quietSince(); !offGrid && quiet > 0 && !run.Extra && int64(run.Due) > quiet && x.Missed == 0 && !r.w.held(t) {
		if late := run.StartedAt.Sub(max(run.Due, n.freed)); len(t.Runs) == 1 && late > 5*time.Millisecond && int64(old.AcceptedAt) < int64(run.Due) {
			r.w.bad("%v began %v late, and nothing was amiss", run.ID(t.Key), late)
		}
	}
	if !t.Recurring {
		return
	}
	// From where a start was moved to a pace goes on, also if the clock was set back and that is before what has begun.
	if paced := r.scheduleOf(old).Kind() == schedule.KindPaceFromStart && len(l.moved) > 0; run.For <= l.high && !l.moved[run.For] && !paced {
		r.w.bad("%v begins after %v", run.ID(t.Key), show(l.high))
	}
	l.high = max(l.high, run.For)
	r.chosen(n, old, deed{ran: run.For, n: 1 + x.Missed, next: t.Next.For}, run.Fence)
	s := r.scheduleOf(t)
	if s.Limit() > 0 && t.Starts >= int64(s.Limit()) {
		return
	}
	to := t.Next.For
	if t.Next.None() {
		to = store.Never
	}
	if k := s.Kind(); k != schedule.KindPace && k != schedule.KindPaceFromStart {
		rule := s.Bind(t.String(), t.AcceptedAt.Time())
		if store.At(rule.Next(run.For.Time().Add(-1))) != run.For && !l.moved[run.For] {
			r.w.bad("%v is not on the grid of %s", run.ID(t.Key), t.Schedule)
		}
	}
	r.grid(old, old.Next.For, to, 1+x.Missed, "claimed")
}
