package sim_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
)

// The rules G2, G3 and G5 of the contract, read once more. Whenever something is done with the next occurrence of a schedule, all that
// are due are listed, and what was done is compared with what the sentences about its policies let be done with such a list. Nothing
// of how package duly works that out is used. What the rules leave open is open here: what a process remembers of the runs it has
// settled may be lost, with the process or while the task is paused, and turns what overlapped into what was missed; and whoever made
// the call may have decided at any instant of call.seen.

// A listing is what is due of a task.
type listing struct {
	t      *store.Task
	w      *wish
	rule   schedule.Rule
	every  time.Duration
	offset time.Duration
	now    store.Instant
	at     []store.Instant // nominal instants, oldest first
	after  store.Instant   // the one after them; 0 is none
}

// listMost is how many occurrences are listed. What is done with more is not judged here.
const listMost = 2000

// list lists what is due of a recurring task whose next occurrence is due. It returns nil if that is not to be listed.
func (r *recorder) list(t *store.Task, now store.Instant) *listing {
	s := r.scheduleOf(t)
	if k := s.Kind(); k == schedule.KindPace || k == schedule.KindPaceFromStart || t.Next.None() {
		return nil
	}
	rule := s.Bind(t.String(), t.AcceptedAt.Time())
	l := &listing{t: t, w: r.w.wishOf(t), rule: rule, every: s.Period(), offset: rule.Offset(), now: now, at: []store.Instant{t.Next.For}}
	for at := rule.Next(max(t.Next.For, t.Last).Time()); !at.IsZero(); at = rule.Next(at) {
		if at.Add(l.offset).After(now.Time()) {
			l.after = micros(at)
			break
		}
		if l.at = append(l.at, micros(at)); len(l.at) > listMost {
			return nil
		}
	}
	return l
}

// micros is a time, rounded up.
func micros(t time.Time) store.Instant { return store.Instant((t.UnixNano() + 999) / 1000) }

// due is when an occurrence of the list is due.
func (l *listing) due(i int) store.Instant {
	if i == 0 {
		return l.t.Next.Due
	}
	return micros(l.at[i].Time().Add(l.offset))
}

// dueBy is how many are due by an instant.
func (l *listing) dueBy(at store.Instant) int {
	n := 0
	for n < len(l.at) && l.due(n) <= at {
		n++
	}
	return n
}

// behind is the occurrence after the first n.
func (l *listing) behind(n int) store.Instant {
	if n < len(l.at) {
		return l.at[n]
	}
	return l.after
}

// period is that of the schedule, or from the next occurrence to the one after it, or from the one before.
func (l *listing) period() time.Duration {
	if l.every > 0 {
		return l.every
	}
	at := l.t.Next.For.Time()
	if next := l.rule.Next(at); !next.IsZero() {
		return next.Sub(at)
	}
	return at.Sub(l.rule.Prev(at))
}

// A choice is what may be done with a list: its first skip are skipped, or the one at ran runs, which accounts for the first taken.
type choice struct {
	skip       int
	why        string
	ran, taken int
	kept       []store.Instant // and then these, one by one
	doubt      bool            // whoever does it may see it otherwise
}

func (c choice) String() string {
	if c.skip > 0 {
		return fmt.Sprintf("skip %d, %s", c.skip, c.why)
	}
	return fmt.Sprintf("run number %d for %d", c.ran+1, c.taken)
}

// A deed is what was done.
type deed struct {
	ran  store.Instant // 0: they were skipped
	n    int64         // for how many
	next store.Instant // the occurrence that is next
	why  string
}

// A series are occurrences that are to run one by one.
type series struct {
	at    []store.Instant
	by    *process // that found them; nil: perhaps for another reason
	fence int64    // of the claim by which it did
	sure  bool     // it can't have forgotten them
}

// chosen judges what was done with the next occurrence of a task, and those after it, by the claim of a fence.
func (r *recorder) chosen(n *name, old *store.Task, d deed, fence int64) {
	var some []choice
	var right *choice
	for _, now := range r.call.seen {
		l := r.list(old, now)
		if l == nil {
			return
		}
		for _, c := range r.choices(n, l) {
			if !c.is(l, d, r.scheduleOf(old).Limit()) {
				some = append(some, c)
				continue
			}
			switch {
			case right == nil:
				right = &c
			case !slices.Equal(right.kept, c.kept): // it is not known which it was
				if right.doubt = true; len(c.kept) > len(right.kept) {
					right.kept = c.kept
				}
			}
		}
	}
	if right == nil {
		r.w.bad("%v: next was %v of %s, last %v, and %s at %v: ran %v, for %d, next %v, %s; right is one of %v; %s", old.Key, show(old.Next.For),
			old.Schedule, show(old.Last), r.w.wishOf(old).text, r.call.seen, show(d.ran), d.n, show(d.next), d.why, some, n.memory(r.call.p))
		return
	}
	n.series = series{at: right.kept, fence: fence}
	if !right.doubt {
		n.series.by = r.call.p
	}
}

// is says whether the choice is what was done.
func (c choice) is(l *listing, d deed, limit int) bool {
	if c.skip > 0 {
		return d.ran == 0 && d.n == int64(c.skip) && d.next == l.behind(c.skip) && d.why == c.why
	}
	next := l.behind(c.taken)
	if limit > 0 && l.t.Starts+1 >= int64(limit) {
		next = 0
	}
	return d.ran == l.at[c.ran] && d.n == int64(c.taken) && d.next == next
}

// choices are all that may be done with what is due.
func (r *recorder) choices(n *name, l *listing) (some []choice) {
	if l.t.Next.Due > l.now {
		return nil
	}
	m := n.minds[r.call.p]
	if i := slices.Index(n.series.at, l.at[0]); i >= 0 { // it is one of those that run one by one
		some = append(some, choice{taken: 1, kept: n.series.at[i+1:], doubt: n.series.by != r.call.p})
		if n.series.sure && n.series.by == r.call.p {
			return some
		}
	}
	if l.w.overlap == "skip" && l.t.Running() == 0 && len(l.t.Runs) > 0 && n.allCovered(l, len(l.at)) { // while a retry is waited for
		some = append(some, choice{skip: len(l.at), why: "overlap"})
	}
	k := l.dueBy(m.until) // came due while an earlier one was under way
	if k == 0 || l.w.overlap == "allow" || l.w.overlap == "cancel other" {
		return append(some, l.missed()...)
	}
	if n.allWaited(l, k) {
		some = append(some, l.overlapped(k))
	}
	// Before it was put it was not due; and a process puts out of its mind what it does not handle yet.
	if l.t.Kind == "rare" || l.due(0) <= l.t.AcceptedAt || !n.knows(r.call.p, l.due(0)) || !n.allCovered(l, k) {
		some = append(some, l.missed()...)
	}
	return some
}

// overlapped is what becomes of the first k, which came due while an earlier one was under way (contract G2).
func (l *listing) overlapped(k int) choice {
	switch {
	case l.w.overlap == "buffer one": // one for all, the newest
		return choice{ran: k - 1, taken: k}
	case l.w.overlap == "buffer" && k > l.w.buffer: // the newest are kept
		return choice{skip: k - l.w.buffer, why: "the buffer is full"}
	case l.w.overlap == "buffer":
		return choice{taken: 1, kept: l.at[1:k]}
	}
	return choice{skip: k, why: "overlap"}
}

// missed is what becomes of occurrences that nobody was there to run (contract G3).
func (l *listing) missed() []choice {
	n := len(l.at)
	window, grace := l.w.window, l.w.grace
	if window == 0 {
		window = min(max(l.period(), time.Minute), 24*time.Hour)
	}
	if grace == 0 {
		grace = min(l.period(), time.Minute)
	}
	young := func(i int, limit time.Duration) bool { return l.now.Sub(l.due(i)) <= limit }
	old := 0 // are outside the window
	for old < n && !young(old, window) {
		old++
	}
	newest := choice{ran: n - 1, taken: n}
	all := choice{skip: n, why: "missed"}
	switch {
	case l.w.catchUp == "none" && !young(n-1, grace):
		return []choice{all}
	case l.w.catchUp == "none" && n > 1: // all but the newest are over
		return []choice{{skip: n - 1, why: "missed"}}
	case l.w.catchUp == "none", n == 1 && old == 0:
		return []choice{newest}
	case old == n:
		return []choice{all}
	case l.w.catchUp == "latest":
		return []choice{newest}
	case old > 0:
		return []choice{{skip: old, why: "missed"}}
	case l.w.catchUp == "oldest":
		return []choice{{ran: 0, taken: n}}
	}
	first := max(n-l.w.all, 0)
	return []choice{{ran: first, taken: first + 1, kept: l.at[first+1:]}}
}

// A mind is what a process remembers of a name.
type mind struct {
	until store.Instant // a run was under way
	sure  bool          // it can't have forgotten that
}

// A span is when runs of a name were under way, by the wall clock.
type span struct {
	from, to store.Instant // to is Never while they are
	waited   store.Instant // what came due from then on may have waited with one that overlapped before, and is not settled yet
	begun    store.Instant // from is when that was decided
	by       *process      // that has settled the last run
	loose    bool          // the clock was set back meanwhile, or there were several: it is not quite known what came due
}

// covered says whether something came due while runs of the name were under way.
func (n *name) covered(due store.Instant) bool {
	return slices.ContainsFunc(n.spans, func(s span) bool { return s.from <= due && due <= s.to })
}

// knows says whether it did and a process must know that: it has settled the last of the runs, and nothing is on the edge. It remembers
// one stretch of runs: what another process has done between two of its own may be a gap to it.
func (n *name) knows(p *process, due store.Instant) bool {
	for i := len(n.spans) - 1; i >= 0 && n.minds[p].sure; i-- {
		if s := n.spans[i]; s.by == p {
			return s.begun < due && due < s.to && !s.loose
		}
	}
	return false
}

// allCovered says whether the first k all came due so.
func (n *name) allCovered(l *listing, k int) bool {
	for i := range k {
		if !n.covered(l.due(i)) {
			return false
		}
	}
	return true
}

// allWaited says whether the first k all came due so, or may have waited with one that did.
func (n *name) allWaited(l *listing, k int) bool {
	for i := range k {
		due := l.due(i)
		if !slices.ContainsFunc(n.spans, func(s span) bool { return min(s.from, s.waited) <= due && due <= s.to }) {
			return false
		}
	}
	return true
}

// spansMost is how many spans are remembered.
const spansMost = 16

// span notes when runs are under way. The rows are those of the call.
func (r *recorder) span(n *name, t *store.Task, rows any) {
	now := r.wall()
	_, claims := rows.([]store.Claim)
	was, is := n.task != nil && len(n.task.Runs) > 0, t != nil && len(t.Runs) > 0
	switch {
	case is && !was:
		from := now
		if claims { // what is due from when that was decided comes due during the run
			from = slices.Min(r.call.seen)
			if k := len(n.spans); k > 0 && n.covered(n.task.Next.Due) { // one that overlapped was not settled until now
				from = min(from, n.spans[k-1].to)
			}
		}
		waited := from
		for _, s := range n.spans {
			if claims && s.from <= t.Next.Due && t.Next.Due <= s.to {
				waited = min(waited, s.to)
			}
		}
		if n.spans = append(n.spans, span{from: from, to: store.Never, waited: waited, begun: now}); len(n.spans) > spansMost {
			n.spans = n.spans[1:]
		}
	case is && claims && t.Starts == n.task.Starts: // an attempt that is not the first of an occurrence
		n.spans[len(n.spans)-1].loose = true
	case was && !is:
		s := &n.spans[len(n.spans)-1]
		s.to, n.top = max(now, n.top), 0
		if _, settles := rows.([]store.Settlement); settles {
			s.by = r.call.p
		}
	}
}

// stepBack sets the wall clock back, and notes what it showed before: until then came due what did during a run, and what comes due
// when it shows the same again does not. Nothing that the jump wakes is recorded before that.
func (r *recorder) stepBack(by time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.wall()
	r.w.clk.Step(-by)
	for _, n := range r.names {
		n.mayForget()
		clear(n.minds)
		k := len(n.spans)
		if k > 0 && n.spans[k-1].to == store.Never {
			n.top = max(n.top, was)
			k--
			n.spans[k].from, n.spans[k].loose = min(n.spans[k].from, r.wall()), true
		}
		n.spans = slices.Delete(n.spans, 0, k)
	}
}

// remembers notes that a process knows when an attempt of a name has ended.
func (n *name) remembers(p *process, at store.Instant) {
	if n.minds == nil {
		n.minds = map[*process]mind{}
	}
	n.minds[p] = mind{until: max(n.minds[p].until, at), sure: true}
}

// mayForget notes that processes may have put the name out of their minds.
func (n *name) mayForget() {
	n.series.sure = false
	for p, m := range n.minds {
		n.minds[p] = mind{until: m.until}
	}
}

// memory shows what is known.
func (n *name) memory(p *process) string {
	var b strings.Builder
	fmt.Fprintf(&b, "one by one %v sure %t; remembered until %v sure %t; under way", n.series.at, n.series.sure, show(n.minds[p].until), n.minds[p].sure)
	for _, s := range n.spans {
		fmt.Fprintf(&b, " [%v, %v]", show(s.from), show(s.to))
	}
	return b.String()
}

// resumed judges what a resume does with what fell into the pause (contract G5).
func (r *recorder) resumed(old *store.Task, x *store.Edit, now *store.Task) {
	if !old.Paused() || !old.Recurring {
		return
	}
	var l *listing
	for _, at := range r.call.seen {
		if l = r.list(old, at); l == nil {
			return
		}
		passed := !l.w.resumeMissed && old.Next.Due <= at && l.after != 0 // the last one is not lost
		switch {
		case !passed && x.Missed == 0 && now.Next == old.Next:
			return
		case passed && x.Missed == int64(len(l.at)) && now.Next.For == l.after && x.Through == l.at[len(l.at)-1]:
			return
		}
	}
	r.w.bad("%v is resumed: missed %d through %v, next %v; %d were due, before %v, %s", old.Key, x.Missed, show(x.Through), show(now.Next.For),
		len(l.at), show(l.after), l.w.text)
}
