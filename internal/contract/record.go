package contract

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/store"
)

// A record is of all attempts that began, in the order in which they did.
type record struct {
	e *env

	mu     sync.Mutex
	n      int // moments that were noted
	all    []*seen
	named  map[string][]*seen
	cancel []cancelled
}

// seen is one attempt as its handler's surroundings saw it.
type seen struct {
	duly.AttemptInfo
	at    time.Duration // when it began, after the start, by the wall clock
	began int           // which moment that was
	over  int           // from then on it has no lease any more; 0 if it has
	ended bool
	dead  bool // its process died
	until time.Duration
	err   error
	cause error // of its context's end
}

type cancelled struct {
	name       string
	generation int64
	moment     int
}

// middleware records.
func (r *record) middleware(next duly.HandlerFunc) duly.HandlerFunc {
	return func(ctx context.Context, a *duly.AttemptInfo) (err error) {
		r.mu.Lock()
		r.n++
		s := &seen{AttemptInfo: *a, at: r.e.since(), began: r.n}
		r.all = append(r.all, s)
		r.named[s.Name] = append(r.named[s.Name], s)
		r.mu.Unlock()
		stop := context.AfterFunc(ctx, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			s.cause = context.Cause(ctx)
			if errors.Is(s.cause, duly.ErrLeaseLost) && s.over == 0 {
				r.n++
				s.over = r.n
			}
		})
		defer stop()
		err = duly.ErrGoexit
		defer func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.n++
			s.ended, s.err, s.until = true, err, r.e.since()
			s.cause = context.Cause(ctx)
			if s.over == 0 {
				s.over = r.n
			}
		}()
		return next(ctx, a)
	}
}

// die notes that the process is dead, and all leases of it are over.
func (r *record) die() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	for _, s := range r.all {
		if s.over == 0 {
			s.over, s.dead = r.n, true
		}
	}
}

func (r *record) cancelled(name string, generation int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	r.cancel = append(r.cancel, cancelled{name, generation, r.n})
}

// of returns the attempts at a name, all if it is empty.
func (r *record) of(name string) (all []seen) {
	r.mu.Lock()
	defer r.mu.Unlock()
	from := r.all
	if name != "" {
		from = r.named[name]
	}
	for _, s := range from {
		all = append(all, *s)
	}
	return all
}

// ran shows the attempts at a name: "10s for 10s", when each began and its nominal instant, with its number if it is not the first, how
// many occurrences were folded into it, and whether it was asked for beside the schedule.
func (r *record) ran(name string) (all []string) {
	for _, s := range r.of(name) {
		text := fmt.Sprintf("%v for %v", s.at, s.ScheduledFor.Sub(start))
		if s.Number > 1 {
			text += fmt.Sprintf(" #%d", s.Number)
		}
		if s.Missed > 0 {
			text += fmt.Sprintf(" missed %d", s.Missed)
		}
		if s.Extra {
			text += " extra"
		}
		all = append(all, text)
	}
	return all
}

// running returns the run ids of attempts that have not ended.
func (r *record) running() (all []string) {
	for _, s := range r.of("") {
		if !s.ended {
			all = append(all, s.RunID)
		}
	}
	return all
}

// order returns the names in the order in which their attempts began.
func (r *record) order() (all []string) {
	for _, s := range r.of("") {
		all = append(all, s.Name)
	}
	return all
}

// invariants hold the record to what is always true of attempts, and to what the store tells of them.
func (e *env) invariants() {
	e.Helper()
	all := e.rec.of("")
	e.neverEarly(all)
	e.oneLeaseEach(all)
	e.fencesRise(all)
	e.nothingAfterCancelled(all)
	events := e.events()
	if !e.noHistory {
		e.eachOnRecord(all, events)
		e.gridsAreWhole(all, events)
	}
}

// neverEarly is invariant 2.
func (e *env) neverEarly(all []seen) {
	e.Helper()
	for i := range all {
		if s := &all[i]; s.Started.Before(s.Due) || s.Due.Before(s.ScheduledFor) && s.Number == 1 {
			e.Errorf("invariant 2: attempt %d of %s began at %v, due at %v, for %v", s.Number, s.RunID, s.Started, s.Due, s.ScheduledFor)
		}
	}
}

// oneLeaseEach is invariant 3: before the next attempt at a name begins, the one before is over.
func (e *env) oneLeaseEach(all []seen) {
	e.Helper()
	last := map[string]*seen{}
	for i := range all {
		s := &all[i]
		k := s.Namespace + "/" + s.Name
		if was := last[k]; was != nil && (was.over == 0 || was.over > s.began) && !e.overlapping[s.Name] {
			e.Errorf("invariant 3: attempt %d of %s began while attempt %d of %s had its lease", s.Number, s.RunID, was.Number, was.RunID)
		}
		last[k] = s
	}
}

// fencesRise is invariant 4. Where a name overlaps itself, attempts that are claimed at once begin in no order.
func (e *env) fencesRise(all []seen) {
	e.Helper()
	fences := map[string][]int64{}
	for i := range all {
		s := &all[i]
		k := s.Namespace + "/" + s.Name
		before := fences[k]
		switch {
		case slices.Contains(before, s.Fence):
			e.Errorf("invariant 4: two attempts at %s have fence %d", k, s.Fence)
		case !e.overlapping[s.Name] && len(before) > 0 && before[len(before)-1] > s.Fence:
			e.Errorf("invariant 4: fence %d of %s after %d", s.Fence, s.RunID, before[len(before)-1])
		}
		fences[k] = append(before, s.Fence)
	}
}

// nothingAfterCancelled is invariant 5.
func (e *env) nothingAfterCancelled(all []seen) {
	e.Helper()
	for _, c := range e.rec.cancel {
		for i := range all {
			if s := &all[i]; s.Name == c.name && s.Generation <= c.generation && s.began > c.moment {
				e.Errorf("invariant 5: %s began after generation %d was cancelled", s.RunID, c.generation)
			}
		}
	}
}

// events returns the whole history.
func (e *env) events() (all []store.Event) {
	e.Helper()
	q := store.HistoryQuery{Limit: 1000}
	for {
		page, err := e.raw.History(e.ctx, q)
		if err != nil {
			e.Fatalf("History: %v", err)
		}
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
		q.After = page[len(page)-1].Seq
	}
}

// eachOnRecord looks for each attempt that has ended in the history: there it ended once.
func (e *env) eachOnRecord(all []seen, events []store.Event) {
	e.Helper()
	type lease struct {
		store.Key
		fence int64
	}
	ends := map[lease]int{}
	for i := range events {
		if v := &events[i]; v.From == store.Running && v.To != store.Running {
			ends[lease{v.Key, v.Fence}]++
		}
	}
	for i := range all {
		s := &all[i]
		k := store.Key{Namespace: s.Namespace, Name: s.Name}
		n := ends[lease{k, s.Fence}]
		if n == 1 || n == 0 && s.dead && e.holds(k, s.Fence) {
			continue
		}
		e.Errorf("attempt %d of %s with fence %d ended %d times by the history, want once", s.Number, s.RunID, s.Fence, n)
	}
}

// holds says whether a run is still held under a fence: the process died and nobody came after it.
func (e *env) holds(k store.Key, fence int64) bool {
	ts, err := e.raw.Get(e.ctx, []store.Key{k})
	if err != nil || ts[0] == nil {
		return false
	}
	return slices.ContainsFunc(ts[0].Runs, func(r store.Run) bool { return r.State == store.Running && r.Fence == fence })
}

// progress is invariants 1 and 8 of a scheduler that is at work and at rest: what could start has started.
func (e *env) progress() {
	e.Helper()
	for t, err := range e.d.List(e.ctx, duly.Query{AllNamespaces: true}) {
		if err != nil {
			e.Fatalf("List: %v", err)
		}
		w, err := e.d.In(t.Namespace).WhyNot(e.ctx, t.Name)
		if err != nil {
			e.Errorf("WhyNot %q: %v", t.Name, err)
		}
		if w.Code == duly.WhyStarting {
			e.Errorf("invariant 1: %q could start and does not: %s", t.Name, w.Text)
		}
	}
}
