package duly

import (
	"context"
	"time"

	"github.com/dulyhq/duly/store"
)

// scanLocked says which part of the store is to be read next, if any.
func (r *run) scanLocked(l *look, now store.Instant) {
	w := &r.window
	if r.ownsNoneLocked() { // what is gained is read from the beginning
		r.hinted, r.lookAt, r.reading = store.Never, store.Never, false
		clear(r.behind)
		return
	}
	until := now.Add(ahead)
	for g := range r.behind {
		if w.crowded() {
			break // they are read when there is room, or few are left
		}
		delete(r.behind, g)
		if g.first() {
			continue
		}
		l.gate = g
		l.scan = r.queryLocked(store.DueQuery{After: g.low, Until: until, Limit: pageMost})
		g.low, g.reading = store.Cursor{}, true
		return
	}
	if r.lookAt <= now {
		w.pull(r.lookFrom)
		r.lookAt = store.Never
	}
	if r.hinted != store.Never && (r.c.eng.Elapsed() >= r.resting || r.strangeLocked(r.hinted)) {
		w.pull(r.hinted)
		r.hinted, r.reading = store.Never, true
	}
	if w.after.At < now.Add(ahead/2) && w.room() > windowMost/4 {
		l.scan = r.queryLocked(store.DueQuery{After: w.after, Until: until, Limit: min(pageMost, w.room())})
		return
	}
	if r.reading {
		r.reading, r.resting, r.cost = false, r.c.eng.Elapsed()+min(restRatio*r.cost, restMost), 0
	}
}

// strangeLocked says that nothing known is due as early as a hint says, so that somebody else wrote it.
func (r *run) strangeLocked(at store.Instant) bool {
	e := r.window.waiting.top()
	return len(r.c.writing) == 0 && r.window.first.len() == 0 && r.window.ready.len() == 0 && (e == nil || e.wait > at)
}

// hint notes that something may be due that is not known.
func (r *run) hint(h store.Hint) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	if !r.concernsLocked(&h.Shards) {
		return
	}
	if h.At == store.Over && r.own != nil { // another process may have ended: what was found out about those before says nothing of it
		r.crash.wide = false
		r.gains++
		r.untuned = true // or the store's clock was set, or is another one
	}
	if h.At > r.c.now().Add(ahead) {
		r.window.pull(h.At)
		return
	}
	r.hinted = min(r.hinted, h.At)
}

// fetch reads tasks of which it is not known what they are.
func (r *run) fetch(ctx context.Context, keys []store.Key) error {
	r.c.mu.Lock()
	r.fetching = map[store.Key]struct{}{}
	for _, k := range keys {
		delete(r.refetch, k)
		r.fetching[k] = struct{}{}
	}
	r.c.mu.Unlock()
	ts, err := r.c.store.Get(ctx, keys)
	r.c.mu.Lock()
	for i, k := range keys {
		switch _, still := r.fetching[k]; {
		case err != nil, !still:
			r.refetch[k] = struct{}{}
		case r.c.writing[k] != nil:
			r.c.writing[k].dirty = true
		default:
			r.setLocked(k, ts[i])
		}
	}
	r.fetching = nil
	r.c.mu.Unlock()
	if err != nil {
		return r.failed(err, "read tasks")
	}
	r.worked("read tasks")
	return nil
}

// What looking into hints costs is bounded: when one was looked into there is a rest of restRatio times as long as it took, but no more
// than restMost, because a scan during which the machine was suspended took no work.
const (
	restRatio = 50
	restMost  = 5 * time.Second
)

// scan reads a page of what is due soon.
func (r *run) scan(ctx context.Context, l *look) error {
	c := r.c
	w := &r.window
	c.mu.Lock()
	w.begin()
	c.mu.Unlock()
	begun := c.eng.Elapsed()
	page, err := c.store.Due(ctx, *l.scan)
	c.mu.Lock()
	defer c.mu.Unlock()
	defer w.end()
	if l.gate != nil {
		l.gate.reading = false
	}
	if err != nil {
		if l.gate != nil {
			l.gate.low = l.scan.After
			r.behind[l.gate] = struct{}{}
		}
		return r.failedLocked(err, "read what is due")
	}
	r.workedLocked("read what is due")
	if l.gate == nil {
		r.moveLocked(&page, l.scan.Until)
	}
	for _, t := range page.Tasks {
		r.seeLocked(t, l.gate)
	}
	if w.pulled.At != 0 && behind(w.after, w.pulled) {
		w.after = w.pulled
	}
	if g := l.gate; g != nil {
		if page.More {
			if g.low = page.Cursor; g.free() {
				r.behind[g] = struct{}{}
			}
		}
		r.tidyLocked(g.key)
	}
	if r.reading {
		r.cost += c.eng.Elapsed() - begun
	}
	return nil
}

// seeLocked notes a task that a scan has read. One for a gate looks for tasks that have to pass it.
func (r *run) seeLocked(t *store.Task, g *gate) {
	w := &r.window
	_, touched := w.touched[t.Key]
	switch {
	case touched:
	case r.c.writing[t.Key] != nil:
		r.c.writing[t.Key].dirty = true
	case g == nil:
		r.setLocked(t.Key, t)
	case w.entries[t.Key] == nil && r.wantsLocked(t, g):
		e := &entry{}
		e.know(t)
		w.entries[t.Key] = e
		r.placeLocked(e)
	}
}

// moveLocked moves the window's end to where a page ends, which has what is due until an instant. Where shards are divided it goes no further
// than that: what others put that is due later they need not tell, because it is read when its time is near.
func (r *run) moveLocked(page *store.DuePage, until store.Instant) {
	w := &r.window
	if !r.crash.surveyed {
		for _, t := range page.Tasks {
			r.surveyLocked(t)
		}
		r.crash.surveyed = !page.More && w.pulled.At != store.Over // else shards were gained meanwhile
	}
	switch {
	case page.More:
		w.after = page.Cursor
	case r.own != nil && r.c.tuning.Load().far: // a store in this process tells of all that is written
		w.after = store.Cursor{At: min(page.Next, until)}
	case page.Next == store.Never:
		w.after = store.Cursor{At: store.Never}
	default:
		w.after = store.Cursor{At: page.Next}
	}
}

// wantsLocked says whether a task would have to pass a gate.
func (r *run) wantsLocked(t *store.Task, g *gate) bool {
	if g == &r.suspects {
		for i := range t.Runs {
			if t.Runs[i].Lost > 0 && t.Runs[i].State == store.Pending {
				return true
			}
		}
		return false
	}
	if g == &r.bytes {
		return heavy(t) > 0
	}
	if k := r.c.kinds[t.Kind]; k != nil && &k.gate == g {
		return true
	}
	return t.LimitKey != "" && r.keys[t.LimitKey] == g
}

// unresolved notes where something stands that nobody here handles, and when it is to be looked at.
func (r *run) unresolved(pos, at store.Instant) {
	if r.lookAt == store.Never || pos < r.lookFrom {
		r.lookFrom = pos
	}
	r.lookAt = min(r.lookAt, at)
}

// handledLocked looks again at tasks of a kind that somebody handles from now on.
func (r *run) handledLocked(*kind) {
	if r.lookAt != store.Never {
		r.window.pull(r.lookFrom)
		r.lookAt = store.Never
		r.poke()
	}
}
