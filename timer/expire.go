package timer

import "time"

// An Expirer is told that a deadline of [Engine.Expire] has come. It is called once, on the engine's driver and under a lock:
// it must only take note and unblock somebody, and must not block, take long, panic or use the engine, but to read the time. The
// error is nil when the time is up; it is the engine's reason when that was closed, or broke, before.
type Expirer interface{ Expire(err error) }

// Expiry is the handle of a pending deadline. It is a value; the zero Expiry is one that is over.
type Expiry struct {
	sh  *shard
	id  uint64
	idx uint32
}

// Elapsed returns the time since the engine was made, on the timeline of delays: no setting of the clock moves it, and suspend
// counts where the platform has a boot clock. Across a testing/synctest bubble's edge it is negative, and 0 for an engine that
// New has not made.
func (e *Engine) Elapsed() time.Duration {
	if e.clk == nil {
		return 0
	}
	return time.Duration(e.clk.Read().Boot - e.epoch)
}

// Now returns the wall clock as the engine's clock shows it, in UTC and without a monotonic reading; the zero time for an engine
// that New has not made.
func (e *Engine) Now() time.Time {
	if e.clk == nil {
		return time.Time{}
	}
	return time.Unix(0, e.clk.Read().Wall).UTC()
}

// Read returns [Engine.Elapsed] and [Engine.Now] as of one moment. Read apart, they may differ by however long the machine did
// something else between them.
func (e *Engine) Read() (elapsed time.Duration, now time.Time) {
	if e.clk == nil {
		return 0, time.Time{}
	}
	r := e.clk.Read()
	return time.Duration(r.Boot - e.epoch), time.Unix(0, r.Wall).UTC()
}

// Expire tells x when [Engine.Elapsed] reaches at. It is what timeouts are made of: unlike the function of a timer, which
// gets a goroutine, x is told by the driver itself, so that no handler that blocks can hold it up. It allocates nothing. What
// has passed already means at once. On a closed engine, or across a testing/synctest bubble's edge, it returns an error and x
// is not told.
func (e *Engine) Expire(at time.Duration, x Expirer) (Expiry, error) {
	return e.expireAt("Expire", satAdd(e.epoch, int64(max(at, 0))), false, x)
}

// ExpireAt is Expire for an instant, which follows the wall clock, also when that is set. One that is not before the year
// 2262 means never.
func (e *Engine) ExpireAt(t time.Time, x Expirer) (Expiry, error) {
	ns, _ := wallNanos(t)
	return e.expireAt("ExpireAt", ns, true, x)
}

func (e *Engine) expireAt(op string, due int64, wall bool, x Expirer) (Expiry, error) {
	if x == nil {
		return Expiry{}, badArg(op, "", "x", "nil", "an Expirer")
	}
	now, err := e.read()
	if err != nil {
		return Expiry{}, opError(op, "", err)
	}
	sh := e.anyShard()
	sh.mu.Lock()
	if sh.closed {
		sh.mu.Unlock()
		return Expiry{}, opError(op, "", e.life.reason())
	}
	id := sh.newID()
	idx, en := sh.newLocked(id)
	en.what = x
	if wall {
		sh.linkLocked(idx, en, due, true, max(now.Wall, 0))
	} else {
		sh.linkLocked(idx, en, due, false, now.Boot)
	}
	sh.mu.Unlock()
	e.kick(sh)
	return Expiry{sh: sh, id: id, idx: idx}, nil
}

// Stop ends the deadline. It returns true if x was not told and will not be; false if x has been told, or is being told at
// this moment.
func (x Expiry) Stop() bool {
	if x.sh == nil {
		return false
	}
	x.sh.mu.Lock()
	defer x.sh.mu.Unlock()
	en := x.sh.slab.get(x.idx)
	if en == nil || en.id() != x.id || en.dead() {
		return false
	}
	x.sh.dropLocked(x.idx, en)
	return true
}
