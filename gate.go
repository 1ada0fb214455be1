package duly

import (
	"math"
	"slices"
	"time"

	"github.com/dulyhq/duly/store"
)

// A gate lets a number of attempts run at a time: those of a kind, of a key, or after a crash those that may be to blame for it.
type gate struct {
	key     string // that it is of, if it is
	limit   int    // 0 is none
	running int
	waiting pile
	low     store.Cursor // where the first of those stands that wait and are not in memory; At is 0 if there is none
	reading bool         // they are being read: low does not tell of them meanwhile
}

func (g *gate) free() bool { return g.limit == 0 || g.running < g.limit }

// A bucket is a token bucket, as golang.org/x/time/rate computes it: it holds burst tokens and gets rate a second; what is taken is
// worked out from the time that has passed, so that an idle bucket costs nothing.
type bucket struct {
	rate   float64 // tokens a second; 0 is no limit
	burst  int
	tokens float64
	last   time.Duration // when tokens was worked out
}

func newBucket(rate float64, burst int) bucket {
	return bucket{rate: rate, burst: burst, tokens: float64(burst)}
}

// fill works out how many tokens there are.
func (b *bucket) fill(now time.Duration) {
	if now > b.last { // else an infinite rate has no product with it
		b.tokens = min(float64(b.burst), b.tokens+b.rate*(now-b.last).Seconds())
		b.last = now
	}
}

// has says whether there is a token, and if not when there will be.
func (b *bucket) has(now time.Duration) (bool, time.Duration) {
	if b.rate == 0 {
		return true, 0
	}
	b.fill(now)
	if b.tokens >= 1-1e-9 {
		return true, 0
	}
	wait := (1 - b.tokens) / b.rate * float64(time.Second)
	if wait > float64(math.MaxInt64/2) {
		return false, math.MaxInt64
	}
	return false, now + time.Duration(math.Ceil(wait))
}

func (b *bucket) take() { b.tokens-- }

// give puts a token back that was not used.
func (b *bucket) give() { b.tokens = min(b.tokens+1, float64(b.burst)) }

// rated says that somebody waits for a token of the kind's bucket, and for nothing else.
func (k *kind) rated() bool {
	return k.bucket.rate > 0 && (k.gate.waiting.len() > 0 || k.gate.low.At != 0) && k.gate.free()
}

// gatesOf returns the gates that an attempt has to pass, in order. That of the key is made if it is not there.
func (r *run) gatesOf(t *store.Task, p *policy, suspect bool) (gs [3]*gate) {
	if suspect {
		gs[0] = &r.suspects
	}
	if t.LimitKey != "" {
		g := r.keys[t.LimitKey]
		if g == nil {
			g = &gate{key: t.LimitKey, waiting: byGate()}
			r.keys[t.LimitKey] = g
		}
		g.limit = max(p.KeyLimit, 1)
		gs[1] = g
	}
	if k := r.c.kinds[t.Kind]; k != nil && (k.gate.limit > 0 || k.bucket.rate > 0) {
		gs[2] = &k.gate
	}
	return gs
}

// passLocked takes the gates of an attempt, or leaves the entry waiting at the first that is not free, and returns that. The entry has come
// by a turn, perhaps, and something else of it may come first: at an instant, or when somebody else's lease ends.
func (r *run) passLocked(e *entry, gs [3]*gate, turn *gate, st *step) (shut *gate) {
	leased := st.lease != store.Never
	for i, g := range gs {
		if g == nil {
			continue
		}
		open := g.free()
		if open && i == 2 {
			open, _ = r.c.kinds[e.task.Kind].bucket.has(r.c.eng.Elapsed())
		}
		if !open {
			r.gateLocked(e, g, leased || g == &r.suspects && st.at != store.Never)
			return g
		}
	}
	// Its turn may have come before that of one before it, for which there was room then and is none any more.
	if top := r.bytes.waiting.top(); r.fullLocked(e.size) || e.size > 0 && top != nil && (turn != &r.bytes || before(top, e)) {
		r.gateLocked(e, &r.bytes, leased)
		return &r.bytes
	}
	for _, g := range gs {
		if g != nil {
			g.running++
		}
	}
	if gs[2] != nil {
		r.c.kinds[e.task.Kind].bucket.take()
	}
	return nil
}

// fullLocked says that a payload of so many bytes has to wait for the end of others: those of what runs are held in memory. A small one does
// not, and the first goes whatever its size.
func (r *run) fullLocked(size int64) bool {
	return size > 0 && r.held > 0 && r.held+size > r.c.heldMost
}

// fitsLocked says that the first of those that wait for bytes fits by now, or has to be read.
func (r *run) fitsLocked() bool {
	if e := r.bytes.waiting.top(); e != nil {
		return !r.fullLocked(e.size)
	}
	return r.bytes.low.At != 0
}

// gateLocked lets an entry wait at a gate. If too many do, the last of them is read again when it is its turn, unless it has to stay. So is
// who comes after others that are: else those would wait for as long as others come.
func (r *run) gateLocked(e *entry, g *gate, stays bool) {
	if g.waiting.place == nil {
		g.waiting = byGate()
	}
	full := r.crowdedLocked(g)
	e.leads = !g.behind(e)
	if full || g.waiting.len() > 0 && !e.leads {
		last := g.last()
		e.leads = e.leads || last != nil && last.leads && before(e, last)
		switch {
		case e.live > 0 || stays:
		case last == nil || !before(e, last):
			r.putAwayLocked(e, g)
			return
		case full:
			g.waiting.drop(last)
			last.gate = nil
			r.window.gated--
			r.putAwayLocked(last, g)
		}
	}
	e.gate = g
	g.waiting.put(e)
	r.window.gated++
}

// crowdedLocked says that no more are to wait in memory at a gate. Those that have to stay there do not count: who stands before them is not
// to be put away for them.
func (r *run) crowdedLocked(g *gate) bool {
	most := gateMost
	if r.window.gated > windowMost/2 {
		most = 1
	}
	n := g.waiting.len()
	if n < most {
		return false
	}
	for _, e := range g.waiting.es {
		if e.stays() {
			n--
		}
	}
	return n >= most
}

// stays says of an entry that waits at a gate that it has to stay in memory: it waits for something else as well, or runs.
func (e *entry) stays() bool {
	return e.live > 0 || e.timed > 0 || e.leased > 0 || e.early > 0 || e.queued > 0
}

// behind says of an entry that others wait that stand before it and are not in memory.
func (g *gate) behind(e *entry) bool {
	return g.low.At != 0 && behind(store.Cursor{At: e.task.Position(), Key: e.task.Key}, g.low)
}

// last is the last of those that wait in memory, and for nothing else, and need not stay there.
func (g *gate) last() (last *entry) {
	for _, e := range g.waiting.es {
		if !e.stays() && (last == nil || before(last, e)) {
			last = e
		}
	}
	return last
}

// putAwayLocked forgets an entry until it is read again for a gate.
func (r *run) putAwayLocked(e *entry, g *gate) {
	if low := (store.Cursor{At: e.task.Position()}); g.low.At == 0 || behind(g.low, low) {
		g.low = low
	}
	delete(r.window.entries, e.task.Key)
}

// first says that who waits for a gate in memory comes first, and not only such as came after others that have to be read. Who was let in
// before the last of those that came first does as well, wherever it stands: else all were read again for each that starts.
func (g *gate) first() bool {
	return slices.ContainsFunc(g.waiting.es, func(e *entry) bool { return e.leads && !e.stays() || !g.behind(e) })
}

// admitLocked lets up to n of those who wait try again. Each has a turn then.
func (r *run) admitLocked(g *gate, n int) {
	for ; n > 0 && g.waiting.len() > 0; n-- {
		e := g.waiting.pop()
		e.gate, e.turn = nil, g
		r.window.gated--
		r.window.ready.put(e)
	}
	if g.low.At != 0 {
		r.behind[g] = struct{}{} // they are read if nobody waits by then who is in memory
	}
}

// yieldLocked hands a turn on that was not used: who waits behind may find its own way free. Who has bytes is looked at with each pick: a smaller
// one behind the first is not to overtake it.
func (r *run) yieldLocked(turn *gate) {
	if turn != nil && turn != &r.bytes {
		r.admitLocked(turn, 1)
	}
}

// leaveLocked gives gates back.
func (r *run) leaveLocked(gs [3]*gate, key string) {
	for _, g := range gs {
		if g == nil {
			continue
		}
		g.running--
		if g.free() {
			r.admitLocked(g, max(g.limit-g.running, 1))
		}
	}
	r.tidyLocked(key)
}

// tidyLocked drops the gate of a key if nobody has passed it or waits for it.
func (r *run) tidyLocked(key string) {
	if g := r.keys[key]; g != nil && g.running == 0 && g.waiting.len() == 0 && g.low.At == 0 && !g.reading {
		delete(r.keys, key)
	}
}
