package timer

import (
	"time"

	"github.com/dulyhq/duly/clock"
)

// Timer is the handle of an unnamed timer, with the contract of a [time.Timer] made by [time.AfterFunc]. It is a value:
// copies are the same timer, and all may be used from several goroutines. The zero Timer is one that has been stopped
// and cannot be reset.
type Timer struct {
	sh  *shard
	f   func()
	id  uint64
	idx uint32
	err error
}

// AfterFunc waits for d to pass and then calls f on a goroutine of its own, never on the caller's. A d that is not
// positive means at once. It allocates nothing. If f is nil, the engine is closed or was made on the other side of a
// testing/synctest bubble's edge, nothing is scheduled; the Timer's Err tells, and so does the log.
func (e *Engine) AfterFunc(d time.Duration, f func()) Timer {
	if f == nil {
		return e.refused(badArg("AfterFunc", "", "f", "nil", "a function"))
	}
	now, err := e.read()
	if err != nil {
		return e.refused(opError("AfterFunc", "", err))
	}
	sh := e.anyShard()
	sh.mu.Lock()
	if sh.closed {
		sh.mu.Unlock()
		return e.refused(opError("AfterFunc", "", e.life.reason()))
	}
	id := sh.newID()
	idx, en := sh.newLocked(id)
	en.what = f
	sh.linkLocked(idx, en, satAdd(now.Boot, int64(max(d, 0))), false, now.Boot)
	sh.mu.Unlock()
	e.kick(sh)
	return Timer{sh: sh, f: f, id: id, idx: idx}
}

func (e *Engine) refused(err error) Timer {
	e.refusals.Add(1)
	e.log.Error("timer refused", "engine", e.opts.Name, "error", err)
	return Timer{err: err}
}

// Err says why AfterFunc did not schedule the timer; it is nil for one that it did.
func (t Timer) Err() error { return t.err }

// Stop prevents the timer from firing. It returns true if the call stops the timer, so that f will not be called; false
// if the timer has fired, which means that f has been started or is about to be, or has been stopped. Stop does not wait
// for f to return.
func (t Timer) Stop() bool {
	if t.sh == nil {
		return false
	}
	t.sh.mu.Lock()
	defer t.sh.mu.Unlock()
	idx, en := t.findLocked()
	if en == nil {
		return false
	}
	t.sh.dropLocked(idx, en)
	return true
}

// Reset changes the timer to fire after d from now, whether or not it has fired or been stopped before. It returns true
// if the timer was pending, false if it had fired or been stopped. If it had fired, f runs once more, possibly while the
// first call has not returned. On a closed engine Reset does nothing and returns false.
func (t Timer) Reset(d time.Duration) bool {
	if t.sh == nil {
		return false
	}
	e := t.sh.e
	now, err := e.read()
	if err != nil {
		return false
	}
	due := satAdd(now.Boot, int64(max(d, 0)))
	pending := t.reset(due, now)
	e.kick(t.sh)
	return pending
}

func (t Timer) reset(due int64, now clock.Reading) bool {
	sh := t.sh
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.closed {
		return false
	}
	idx, en := t.findLocked()
	if en != nil {
		if due >= en.due && sh.e.mask != 0 {
			en.due = due // the wheel looks again when the old time comes
			return true
		}
		sh.unlinkLocked(idx, en)
		sh.linkLocked(idx, en, due, false, now.Boot)
		return true
	}
	idx = t.reviveLocked()
	en = sh.slab.at(idx)
	en.tag, en.what = makeTag(t.id), t.f
	sh.linkLocked(idx, en, due, false, now.Boot)
	return false
}

// findLocked returns the timer's entry if it is pending: the one that it was given, or the one that a Reset after its end
// found for it.
func (t Timer) findLocked() (uint32, *entry) {
	if en := t.sh.slab.get(t.idx); en != nil && en.id() == t.id && !en.dead() {
		return t.idx, en
	}
	if idx, ok := t.sh.revived[t.id]; ok {
		return idx, t.sh.slab.at(idx)
	}
	return nilIdx, nil
}

// reviveLocked takes an entry for a timer whose own was given back: the same one if it is free, so that the handle finds
// it; otherwise another, to which the shard remembers the way.
func (t Timer) reviveLocked() uint32 {
	sh := t.sh
	if en := sh.slab.get(t.idx); en != nil && en.id() == t.id { // dead, and in the wheel still
		sh.later.gone--
		en.clearFlag(flagDead)
		sh.unlinkLocked(t.idx, en)
		return t.idx
	}
	if sh.slab.allocAt(t.idx) {
		sh.wasEmptyLocked()
		return t.idx
	}
	idx, _ := sh.newLocked(t.id)
	if sh.revived == nil {
		sh.revived = make(map[uint64]uint32)
	}
	sh.revived[t.id] = idx
	return idx
}
