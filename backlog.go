package duly

import (
	"context"
	"time"

	"github.com/dulyhq/duly/store"
)

// A Backlog is how many tasks are due and have not begun, and for how long the oldest of them has been due.
type Backlog struct {
	Tasks  int
	Oldest time.Duration
}

func (b *Backlog) add(due, now store.Instant) {
	b.Tasks++
	b.Oldest = max(b.Oldest, now.Sub(due))
}

// dueOf is since when something of a task is due that has not begun; ok is false if nothing is.
func dueOf(t *store.Task, now store.Instant) (since store.Instant, ok bool) {
	since = store.Never
	if t.Paused() {
		return since, false
	}
	if !t.Next.None() && !t.Ended {
		since = t.Next.Due
	}
	for i := range t.Runs {
		if r := &t.Runs[i]; r.State == store.Pending {
			since = min(since, r.Due)
		}
	}
	return since, since <= now
}

// overdueLocked tells of what is due, could begin by its own policies, and waits: for the loop, for a worker, its key, its kind, or the
// store. It looks at what is in memory, which is bounded; what waits for a place and is not in memory stands behind it, or where its
// gate says.
func (r *run) overdueLocked(now store.Instant) (b Backlog) {
	for _, e := range r.window.entries {
		if e.seen == 0 && (e.timed == 0 || e.wait > now) {
			continue
		}
		if since, ok := dueOf(e.task, now); ok {
			b.add(since, now)
		}
	}
	old := func(g *gate) {
		if low := g.low.At; low != 0 {
			b.Oldest = max(b.Oldest, now.Sub(low))
		}
	}
	for _, g := range r.keys {
		old(g)
	}
	for _, k := range r.c.kinds {
		old(&k.gate)
	}
	old(&r.suspects)
	old(&r.bytes)
	return b
}

// strangers are tasks that are due and ours, and that nobody here handles, as far as they were seen: the window forgets them.
type strangers map[store.Key]stranger

type stranger struct {
	since store.Instant // it is due
	kind  string
}

func (s strangers) add(t *store.Task, now store.Instant) {
	if since, ok := dueOf(t, now); ok && len(s) < windowMost {
		s[t.Key] = stranger{since, t.Kind}
	}
}

// recheckMost is how many strangers are looked at each time that they are counted: another process may have run them, of which nobody
// hears here.
const recheckMost = 64

// recheck forgets some of the strangers that are none any more, the oldest among those looked at.
func (c *core) recheck(ctx context.Context) error {
	c.mu.Lock()
	r := c.running
	if r == nil || len(r.strange) == 0 {
		c.mu.Unlock()
		return nil
	}
	var keys []store.Key
	var oldest store.Key
	first := store.Never
	for k, s := range r.strange {
		if len(keys) < recheckMost {
			keys = append(keys, k)
		}
		if s.since < first {
			oldest, first = k, s.since
		}
	}
	c.mu.Unlock()
	keys = append(keys, oldest)
	ts, err := c.store.Get(ctx, keys)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	for i, k := range keys {
		t := ts[i]
		if t == nil || c.kinds[t.Kind] != nil || !r.ownsLocked(t) {
			delete(r.strange, k)
		} else if _, ok := dueOf(t, now); !ok {
			delete(r.strange, k)
		}
	}
	return nil
}
