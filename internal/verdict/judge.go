package verdict

import (
	"cmp"
	"math"
	"slices"
)

// A judge looks for the faults of a history.
type judge struct {
	*history
	o     Options
	found Verdicts
}

// blame notes a fault of the run, unless it is excused. Of an attempt it shows begin and end.
func (j *judge) blame(v Verdict, evidence ...any) {
	for _, e := range evidence {
		switch e := e.(type) {
		case *attempt:
			v.Evidence = append(v.Evidence, *e.begin)
			if e.end != nil {
				v.Evidence = append(v.Evidence, *e.end)
			}
		case *Record:
			if e != nil {
				v.Evidence = append(v.Evidence, *e)
			}
		}
	}
	if j.o.Excuse == nil || !j.o.Excuse(v) {
		j.found = append(j.found, v)
	}
}

// records reports the contradictions.
func (j *judge) records() {
	for _, odd := range j.odd {
		v := Verdict{Kind: BadLog, Why: odd.why}
		for _, r := range odd.evidence {
			v.Evidence = append(v.Evidence, *r)
			v.Run = r.Run
		}
		j.blame(v)
	}
}

// subject judges one name.
func (j *judge) subject(s *subject) {
	slices.SortStableFunc(s.attempts, func(a, b *attempt) int {
		// Of those that began together, the one that ended at once may have been over before.
		return cmp.Or(cmp.Compare(a.begin.At, b.begin.At), cmp.Compare(a.until, b.until))
	})
	for _, g := range s.gens {
		j.missed(s, g)
	}
	for _, a := range s.attempts {
		j.begun(s, a)
	}
	j.paused(s)
	for id, u := range s.runs {
		slices.SortStableFunc(u.attempts, func(a, b *attempt) int {
			return cmp.Or(cmp.Compare(a.begin.At, b.begin.At), cmp.Compare(a.until, b.until))
		})
		j.late(s, id, u)
		j.doubled(id, u)
	}
	overlap := j.o.Overlap != nil && j.o.Overlap(s.name)
	if !overlap {
		j.overlapping(s)
	}
	j.fences(s, overlap)
}

// recurring reports whether the generation is not known to be a one-off.
func (j *judge) recurring(s *subject, g *generation) bool {
	switch {
	case j.o.Recurring != nil && j.o.Recurring(s.name):
		return true
	case g.accepted != nil:
		return g.accepted.Recurring
	default:
		return s.recurring
	}
}

func (j *judge) missed(s *subject, g *generation) {
	acc := g.accepted
	if acc == nil || j.recurring(s, g) || acc.Due >= j.o.End || g.cancelled != nil || g.tooLate || g.number < s.newest {
		return // to have been moved is to be superseded
	}
	id := Run{Name: s.name, Generation: g.number, ScheduledFor: acc.ScheduledFor}
	if u := s.runs[id]; u != nil && len(u.attempts) > 0 || acc.ScheduledFor == 0 && g.began != nil {
		return
	}
	for l, n := range s.asked {
		if n > 0 && acc.At <= j.over(l) {
			return // it may have been cancelled, replaced or moved
		}
	}
	v := Verdict{Kind: Missed, Run: id, Why: "no attempt began"}
	if g.began != nil {
		v.Why = "no attempt began, only one scheduled for another instant"
		j.blame(v, acc, g.began)
		return
	}
	j.blame(v, acc)
}

// begun judges that an attempt began when it did.
func (j *judge) begun(s *subject, a *attempt) {
	at, g := a.begin.At, s.gens[a.begin.Generation]
	recurring := j.recurring(s, g)
	due, acc := a.begin.Due, (*Record)(nil)
	if !recurring && g.accepted != nil && g.accepted.Due > due {
		acc = g.accepted
		due = acc.Due
	}
	if at < due {
		j.blame(Verdict{Kind: Early, Run: a.begin.Run, By: micros(at, due), Why: "began before due"}, acc, a)
	}
	if recurring {
		return // its generation may have runs that were under way
	}
	if c := g.cancelled; c != nil && at > c.At {
		j.blame(Verdict{Kind: AfterCancel, Run: a.begin.Run, By: micros(c.At, at), Why: "began after it was cancelled"}, g.accepted, c, a)
	}
	if m := g.moved; m != nil && at > m.At {
		j.blame(Verdict{Kind: AfterMove, Run: a.begin.Run, By: micros(m.At, at), Why: "began after it was moved"}, g.accepted, m, a)
	}
}

// paused looks for attempts that were claimed during a pause. Fences and generations are drawn from one rising sequence, so that a
// greater fence is of a later claim.
func (j *judge) paused(s *subject) {
	if len(s.pauses) == 0 {
		return
	}
	slices.SortStableFunc(s.asks, func(a, b *Record) int { return cmp.Compare(a.At, b.At) })
	for _, p := range s.pauses {
		until := int64(math.MaxInt64)
		if i, _ := slices.BinarySearchFunc(s.asks, p.At, func(a *Record, at int64) int { return cmp.Or(cmp.Compare(a.At, at), -1) }); i < len(s.asks) {
			until = s.asks[i].At
		}
		for _, a := range s.attempts {
			if at := a.begin.At; at > p.At && at < until && a.begin.Fence > p.Generation {
				j.blame(Verdict{Kind: WhilePaused, Run: a.begin.Run, By: micros(p.At, at), Why: "was claimed and began while it was paused"}, p, a)
			}
		}
	}
}

func (j *judge) late(s *subject, id Run, u *run) {
	g := s.gens[id.Generation]
	if j.o.Late <= 0 || len(u.attempts) == 0 || j.recurring(s, g) {
		return
	}
	a := u.attempts[0]
	from := a.begin.Due
	if g.accepted != nil {
		from = max(g.accepted.Due, g.accepted.At)
	}
	if j.o.Downtime && a.life.start != nil {
		from = max(from, a.life.start.At)
	}
	if by := micros(from, a.begin.At); by > j.o.Late {
		j.blame(Verdict{Kind: Late, Run: id, By: by, Why: "began late"}, g.accepted, a)
	}
}

func (j *judge) doubled(id Run, u *run) {
	var before *attempt // the last that completed
	in := map[*life]*attempt{}
	for _, a := range u.attempts {
		completed := a.end != nil && a.end.Completed
		again := in[a.life]
		if j.o.Once {
			again = before
		}
		switch {
		case u.settled != nil && a.begin.At > u.settled.At:
			v := Verdict{Kind: Doubled, Run: id, By: micros(u.settled.At, a.begin.At), Why: "began after it was settled"}
			if before != nil {
				j.blame(v, before, u.settled, a)
			} else {
				j.blame(v, u.settled, a)
			}
		case completed && again != nil && j.o.Once:
			j.blame(Verdict{Kind: Doubled, Run: id, Why: "completed twice"}, again, a)
		case completed && again != nil:
			j.blame(Verdict{Kind: Doubled, Run: id, Why: "completed twice in one incarnation"}, again, a)
		}
		if completed {
			before = a
			in[a.life] = a
		}
	}
}

// overlapping compares each attempt with the one, of those that began before it, that lasted longest.
func (j *judge) overlapping(s *subject) {
	var longest *attempt
	for _, a := range s.attempts {
		if longest != nil && a.begin.At < longest.until {
			by := micros(a.begin.At, min(a.until, longest.until))
			j.blame(Verdict{Kind: Overlapping, Run: a.begin.Run, By: by, Why: "began while another ran"}, longest, a)
		}
		if longest == nil || a.until > longest.until {
			longest = a
		}
	}
}

func (j *judge) fences(s *subject, overlap bool) {
	order := slices.Clone(s.attempts)
	slices.SortStableFunc(order, func(a, b *attempt) int {
		byFence := cmp.Compare(a.begin.Fence, b.begin.Fence)
		if overlap {
			return byFence
		}
		return cmp.Or(cmp.Compare(a.begin.At, b.begin.At), byFence)
	})
	var highest *attempt
	for _, a := range order {
		switch {
		case highest == nil || a.begin.Fence > highest.begin.Fence:
			highest = a
		case a.begin.Fence == highest.begin.Fence:
			j.blame(Verdict{Kind: FenceOrder, Run: a.begin.Run, Why: "the fence of another attempt"}, highest, a)
		default:
			j.blame(Verdict{Kind: FenceOrder, Run: a.begin.Run, Why: "a fence below that of an attempt before"}, highest, a)
		}
	}
}
