package duly

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/timer"
)

// look is what the loop does in one round.
type look struct {
	picks   []pick
	keys    []store.Key // to read
	scan    *store.DueQuery
	gate    *gate // that the scan is for; nil: it moves the window's end
	pending bool  // something is left to do at once
}

// A pick is an entry that something is to be written for.
type pick struct {
	e     *entry
	st    step
	gates [3]*gate
	size  int64 // the entry's
	seen  store.Instant
}

// loop looks for work and does it, until nothing is to start any more.
func (r *run) loop(ctx context.Context) error {
	ear := r.listen()
	defer func() { ear.stop() }()
	for err := r.c.tune(ctx); err != nil; err = r.c.tune(ctx) {
		if gone := r.failed(err, "read the clock"); gone != nil {
			return gone
		}
		if !r.rest() {
			return nil
		}
	}
	r.worked("read the clock")
	close(r.tuned)
	for {
		select {
		case h, ok := <-ear.hints:
			if ok {
				r.hint(h)
				break
			}
			if err := r.deaf(ctx, &ear); err != nil {
				return err
			}
		default:
		}
		if r.c.eng.Elapsed() >= r.listenAt {
			r.listenAgain(&ear)
		}
		if err := r.retune(); err != nil {
			return err
		}
		l, done := r.look()
		if done {
			return nil
		}
		if err := r.do(ctx, &l); err != nil {
			return err
		}
		if l.pending {
			continue
		}
		select {
		case <-r.wake:
		case h, ok := <-ear.hints:
			if ok {
				r.hint(h)
			} else if err := r.deaf(ctx, &ear); err != nil {
				return err
			}
		}
	}
}

// rest waits out the backoff after a failure, and says whether to go on.
func (r *run) rest() bool {
	for {
		r.c.mu.Lock()
		until, draining := r.notUntil, r.draining
		r.c.mu.Unlock()
		if draining {
			return false
		}
		now := r.c.eng.Elapsed()
		if now >= until {
			return true
		}
		a := newAlarm(r.c.eng, until-now)
		select {
		case <-a.rung:
		case <-r.wake:
		}
		a.stop()
	}
}

// look finds out what is to do, and sets the alarms if that is nothing.
func (r *run) look() (l look, done bool) {
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.draining {
		return l, true
	}
	if c.eng.Elapsed() < r.notUntil {
		r.armLocked()
		return l, false
	}
	now := c.now()
	r.wakeDueLocked(now)
	r.picks = r.pickLocked(r.picks[:0], now)
	l.picks = r.picks
	for k := range r.refetch {
		l.keys = append(l.keys, k)
		if len(l.keys) == pageMost {
			break
		}
	}
	r.scanLocked(&l, now)
	r.widenLocked()
	l.pending = len(l.picks) > 0 || len(l.keys) > 0 || l.scan != nil
	if !l.pending {
		r.armLocked()
	}
	return l, false
}

// wakeDueLocked moves what has come due to where it is looked at.
func (r *run) wakeDueLocked(now store.Instant) {
	w := &r.window
	for e := w.waiting.top(); e != nil && e.wait <= now; e = w.waiting.top() {
		w.waiting.drop(e)
		if e.seen == 0 {
			e.seen = now
		}
		if len(e.task.Runs) > 0 {
			w.first.put(e)
		} else {
			w.ready.put(e)
		}
	}
	mono := r.c.mono()
	for e := w.leases.top(); e != nil && e.lease <= mono; e = w.leases.top() {
		w.leases.drop(e)
		w.first.put(e)
	}
	el := r.c.eng.Elapsed()
	for _, k := range r.c.kinds {
		if k.rated() {
			if ok, _ := k.bucket.has(el); ok {
				r.admitLocked(&k.gate, max(int(k.bucket.tokens), 1))
			}
		}
	}
}

const picksMost = 256

// pickLocked takes what can be written for now, and adds it to picks.
func (r *run) pickLocked(picks []pick, now store.Instant) []pick {
	w := &r.window
	for len(picks) < picksMost {
		if r.fitsLocked() {
			r.admitLocked(&r.bytes, 1)
		}
		e := w.first.top()
		if e == nil {
			e = w.ready.top()
		}
		if e == nil {
			break
		}
		if r.c.writing[e.task.Key] != nil {
			r.takeOutLocked(e)
			continue
		}
		st := r.planLocked(e, now)
		if st.kind == stepIdle || st.kind == stepWait {
			r.placeAtLocked(e, now) // by a later one it might be due, and come back here for ever
			continue
		}
		if st.kind == stepClaim && e.early != 0 { // it waits for its turn
			w.first.drop(e)
			w.watch(e, st.lease)
			if e.gate == nil || e.gate == &r.suspects {
				w.ready.put(e)
			}
			continue
		}
		pk := pick{e: e, st: st, size: e.size, seen: e.seen}
		if st.kind == stepClaim {
			if r.inUse >= r.c.opts.Workers {
				break
			}
			p, _ := r.c.policies.of(e.task.Policy)
			turn := e.turn
			e.turn = nil
			r.takeOutLocked(e)
			pk.gates = r.gatesOf(e.task, p, st.run != nil && st.run.Lost > 0)
			if shut := r.passLocked(e, pk.gates, turn, &st); shut != nil {
				if shut != turn {
					r.yieldLocked(turn)
				}
				r.tidyLocked(e.task.LimitKey)
				if e.gate == shut {
					w.watch(e, st.lease)
				}
				if shut == &r.suspects && st.at != store.Never { // something else of it comes first, perhaps
					e.wait = max(st.at, e.not)
					w.waiting.put(e)
				}
				continue
			}
			if !slices.Contains(pk.gates[:], turn) { // it had a turn for something else of it
				r.yieldLocked(turn)
			}
			r.inUse++
			r.held += pk.size
		}
		r.takeOutLocked(e)
		r.c.beginLocked(e.task.Key)
		picks = append(picks, pk)
	}
	return picks
}

// nextLocked is when the loop has to look again, by the store's clock.
func (r *run) nextLocked() store.Instant {
	w := &r.window
	wall := r.lookAt
	if e := w.waiting.top(); e != nil {
		wall = min(wall, e.wait)
	}
	if w.after.At != store.Never && !r.ownsNoneLocked() && w.room() > windowMost/4 {
		wall = min(wall, w.after.At.Add(-ahead/2)+1)
	}
	return wall
}

// leaseLocked is when the first lease ends that is somebody else's, on Clock.Mono.
func (r *run) leaseLocked() store.Instant {
	if e := r.window.leases.top(); e != nil {
		return e.lease
	}
	return store.Never
}

// pokeLocked wakes the loop if what was just noted is for it.
func (r *run) pokeLocked() {
	if r.window.first.len() > 0 || r.window.ready.len() > 0 || len(r.refetch) > 0 || len(r.behind) > 0 || r.hinted != store.Never ||
		r.fitsLocked() || r.nextLocked() < r.armedAt || r.leaseLocked() < r.armedLease {
		r.poke()
	}
}

// armLocked sets the alarms for what is next.
func (r *run) armLocked() {
	r.disarm()
	wall, lease, boot := store.Never, store.Never, time.Duration(math.MaxInt64)
	t := r.c.tuning.Load()
	if el := r.c.eng.Elapsed(); el < r.notUntil {
		boot = r.notUntil
	} else {
		wall = r.nextLocked()
		if lease = r.leaseLocked(); lease != store.Never {
			boot = lease.Sub(t.mono)
		}
		for _, k := range r.c.kinds {
			if k.rated() {
				if ok, at := k.bucket.has(el); !ok {
					boot = min(boot, at)
				}
			}
		}
		if r.hinted != store.Never {
			boot = min(boot, r.resting)
		}
		boot = min(boot, r.listenAt)
		if t.far && !r.looking && !r.ownsNoneLocked() {
			boot = min(boot, t.looked+tuneEvery)
		}
	}
	r.armedAt, r.armedLease = wall, lease
	switch { // a closed engine: the loop is being ended
	case wall == store.Never:
	case t.far:
		boot = min(boot, wall.Sub(t.zero))
	default:
		r.armed[0], _ = r.c.eng.ExpireAt((wall - t.ahead).Time(), r)
	}
	if boot != math.MaxInt64 {
		r.armed[1], _ = r.c.eng.Expire(boot, r)
	}
}

func (r *run) disarm() {
	for i := range r.armed {
		r.armed[i].Stop()
		r.armed[i] = timer.Expiry{}
	}
}

// do reads and writes what a look has found.
func (r *run) do(ctx context.Context, l *look) error {
	if len(l.picks) > 0 {
		err := r.write(ctx, l.picks)
		clear(l.picks) // what they are of may be large
		if err != nil {
			return err
		}
	}
	if len(l.keys) > 0 {
		if err := r.fetch(ctx, l.keys); err != nil {
			return err
		}
	}
	if l.scan != nil {
		return r.scan(ctx, l)
	}
	return nil
}
