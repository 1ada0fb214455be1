package duly

import (
	"math/bits"
	"time"

	"github.com/dulyhq/duly/store"
)

// Where a store divides its shards among processes (store.Owner), a run looks at and starts only what is its own, of each kind in some
// shards, and until it is told of any it does nothing. What it loses it forgets, but for attempts of its own that are under way: they keep their leases, and their
// outcomes are written by their fences, whoever owns the shard by then. What it gains it reads from the very beginning, as after a
// restart, because others may have left anything there.

// A tenure is one call of Own. What it tells after its end, or out of order, does not count.
type tenure struct {
	r         *run
	told      bool
	over      bool
	epoch     int64
	beginning time.Duration // by eng.Elapsed
}

// Between two calls of Own that have ended by themselves.
const (
	shortUnowned = 100 * time.Millisecond
	longUnowned  = 5 * time.Second
)

// share takes part in dividing the store's shards among processes, for as long as something may start.
func (r *run) share() {
	c := r.c
	o, divided := c.store.(store.Owner)
	if !divided {
		return
	}
	pause, logged := shortUnowned, false
	for {
		t := &tenure{r: r, beginning: c.eng.Elapsed()}
		err := o.Own(r.term, c.opts.Owner, c.handled, t.owned)
		t.end()
		if r.term.Err() != nil {
			return
		}
		if c.eng.Elapsed()-t.beginning >= longDeaf {
			pause = shortUnowned
		}
		if t.told || !logged {
			logged = true
			c.log.Error("no shards of the store are this process's for now, nothing new starts", "owner", c.opts.Owner, "error", err)
		}
		a := newAlarm(c.eng, pause)
		select {
		case <-a.rung:
		case <-r.term.Done():
			a.stop()
			return
		}
		pause = min(2*pause, longUnowned)
	}
}

// handled are the kinds that are handled here.
func (c *core) handled() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kindNames
}

// owned is told what is ours from now on.
func (t *tenure) owned(share store.Share) {
	t.r.c.mu.Lock()
	defer t.r.c.mu.Unlock()
	if t.over || t.told && share.Epoch < t.epoch {
		return
	}
	t.told, t.epoch = true, share.Epoch
	t.r.ownLocked(&share)
}

func (t *tenure) end() {
	t.r.c.mu.Lock()
	defer t.r.c.mu.Unlock()
	t.over = true
	t.r.ownLocked(&store.Share{})
}

// ownsLocked says whether a task is ours.
func (r *run) ownsLocked(t *store.Task) bool { return r.own.Has(t.Shard(), t.Kind) }

// ownsNoneLocked says that nothing is ours.
func (r *run) ownsNoneLocked() bool { return r.own != nil && r.where == store.Shards{} }

// queryLocked asks for what is ours.
func (r *run) queryLocked(q store.DueQuery) *store.DueQuery {
	if r.own != nil {
		q.Shards, q.Kinds = &r.own.Shards, r.own.Kinds
	}
	return &q
}

// shardsLocked is how many shards are ours.
func (r *run) shardsLocked() (n int) {
	if r.own == nil {
		return 64 * len(store.Shards{})
	}
	for _, some := range r.own.Shards {
		n += bits.OnesCount64(some)
	}
	return n
}

// concernsLocked says whether something is said of shards in which anything is ours. What names none is said of all.
func (r *run) concernsLocked(shards *store.Shards) bool {
	if r.own == nil || *shards == (store.Shards{}) {
		return true
	}
	for i := range shards {
		if shards[i]&r.where[i] != 0 {
			return true
		}
	}
	return false
}

// ownLocked notes what is ours from now on.
func (r *run) ownLocked(own *store.Share) {
	lost, gained := r.own.Beyond(own), own.Beyond(r.own)
	if lost == (store.Shards{}) && gained == (store.Shards{}) && !r.refused {
		return
	}
	r.own, r.where, r.refused, r.untuned = own, own.All(), false, true
	left := false // what the end of a process has left and nobody has dealt with
	for _, e := range r.window.entries {
		left = left || r.leftLocked(e)
		switch {
		case !r.ownsLocked(e.task):
			r.placeLocked(e) // nowhere, unless an attempt of ours is under way, and then in no pile
		case e.refused:
			e.refused, e.not, e.nos = false, 0, 0
			r.placeLocked(e)
		}
	}
	if lost != (store.Shards{}) {
		r.loseLocked()
	}
	if gained != (store.Shards{}) {
		r.window.pull(store.Over)
		r.crash = crash{divided: true, fresh: r.crash.fresh && (left || !r.crash.surveyed)}
		r.gains++
		r.gained = r.c.eng.Elapsed()
		clear(r.doubts)
	}
	r.poke()
}

// loseLocked forgets what is remembered together of tasks that are not ours any more.
func (r *run) loseLocked() {
	for k, s := range r.strange {
		if !r.own.Has(k.Shard(), s.kind) {
			delete(r.strange, k)
		}
	}
	for key, g := range r.keys {
		r.rereadLocked(g)
		r.tidyLocked(key)
	}
	for _, k := range r.c.kinds {
		r.rereadLocked(&k.gate)
	}
	r.rereadLocked(&r.suspects)
	r.rereadLocked(&r.bytes)
}

// rereadLocked has the window read again who waits for a gate and is not in memory: the first of them may be somebody else's now.
func (r *run) rereadLocked(g *gate) {
	if g.low.At != 0 {
		r.window.pull(g.low.At)
		g.low = store.Cursor{}
		delete(r.behind, g)
	}
}

// leftLocked says that a run of a task was left by a process that is gone, and was not rescued yet.
func (r *run) leftLocked(e *entry) bool {
	for i := range e.task.Runs {
		if rn := &e.task.Runs[i]; rn.State == store.Running && rn.Lease == store.Over {
			return true
		}
	}
	return false
}

// How long a task is put off that is somebody else's by the store, and ours by what we were told: whoever is right, we are told
// soon, and tried again is whatever we are not told of.
const refusedRest = 250 * time.Millisecond

// refusedShardLocked puts a task off until we are told again of what is ours.
func (r *run) refusedShardLocked(e *entry) {
	e.not = r.c.now().Add(refusedRest << min(e.nos, 3))
	e.nos++
	e.refused, r.refused = true, true
}

// heedLocked asks attempts of ours to stop that somebody has asked to, in another process perhaps (contract E3).
func (r *run) heedLocked(e *entry) {
	for i := range e.task.Runs {
		rn := &e.task.Runs[i]
		if !rn.Stop || rn.State != store.Running {
			continue
		}
		if a := r.attempts[attemptID{rn.ID(e.task.Key), rn.Fence}]; a != nil {
			a.cancel(ErrStopped)
		}
	}
}
