package timer

import (
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/dulyhq/duly/clock"
)

// maxFaults is how many passes in a row may fail before the engine counts as broken.
const maxFaults = 3

// wake is the driver: the alarm calls it, never twice at a time. It takes out of the shards what is due, hands it to the
// workers, and sets the alarm again. A panic in here is a fault of the engine itself, or of its clock: it is reported, kept
// for Err, and the pass is tried again; an engine that keeps failing refuses new work, and says why. One whose driver loses
// its goroutine to runtime.Goexit does so at once: nobody is left to try again.
func (e *Engine) wake() {
	e.wakeups.Add(1)
	returned := false
	defer func() {
		if !returned {
			e.fault(fmt.Errorf("%w: runtime.Goexit on the driver's goroutine\n%s", ErrBroken, debug.Stack()), maxFaults)
		}
	}()
	for e.life.drives() {
		err := e.pass()
		if broken := e.fault(err, 1); broken || err == nil {
			break
		}
	}
	returned = true
}

func (e *Engine) pass() (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: %v\n%s", ErrBroken, v, debug.Stack())
		}
	}()
	e.armMu.Lock()
	e.armedBoot.Store(awake)
	e.armedWall.Store(awake)
	e.armMu.Unlock()
	if e.testPass != nil {
		e.testPass()
	}
	for {
		now, fired := e.clk.Read(), false
		back := now.Wall < e.lastWall
		e.lastWall = now.Wall
		for i := range e.shards {
			sh := &e.shards[i]
			if sh.nextBoot.Load() <= now.Boot || sh.nextWall.Load() <= now.Wall || back {
				fired = e.expire(sh, now) || fired
			}
		}
		pause := int64(0)
		if fired {
			end := e.clk.Read()
			pause = min(restFactor*max(end.Boot-now.Boot, 0), 1<<tickShift)
			now = end
		}
		if e.rest(now, pause) {
			return nil
		}
	}
}

// restFactor is how much longer than its last pass the driver sleeps at least, up to a tick.
const restFactor = 8

// rest sets the alarm for what comes next, unless something is due already. It first publishes that the alarm is not set,
// then looks at what the shards have published.
//
// Where one thing after another comes due, a wake-up for each would cost more than their starts. A driver that found
// something due therefore pauses for some times as long as that took it: a tick at most, by which others may be late. In
// virtual time a pass takes no time, and nothing is late.
func (e *Engine) rest(now clock.Reading, pause int64) bool {
	e.armMu.Lock()
	defer e.armMu.Unlock()
	e.armedBoot.Store(never)
	e.armedWall.Store(never)
	boot, wall := e.nexts()
	if pause == 0 && (boot <= now.Boot || wall <= now.Wall) {
		e.armedBoot.Store(awake)
		e.armedWall.Store(awake)
		return false
	}
	if e.live.Load() == 0 {
		boot, wall = never, never
	}
	e.setAlarmLocked(max(boot, satAdd(now.Boot, pause)), max(wall, satAdd(now.Wall, pause)))
	return true
}

// expire hands what is due in a shard to the workers, in batches between which others get the shard's lock.
// It says whether anything was due.
func (e *Engine) expire(sh *shard, now clock.Reading) (fired bool) {
	for {
		n, more := e.handOver(sh, now)
		if fired = fired || n > 0; !more {
			return fired
		}
	}
}

// handOver is one batch of expire. While it is on its way from the shard to the workers, Drain and Close must not find
// both of them empty.
func (e *Engine) handOver(sh *shard, now clock.Reading) (n int, more bool) {
	e.handing.Lock()
	defer e.handing.Unlock()
	items, more := e.expireBatch(sh, now)
	if e.tasks == e.timers {
		e.tasks.submit(items)
	} else {
		isTask := func(it item) bool { return it.f == nil }
		e.timers.submit(slices.DeleteFunc(slices.Clone(items), isTask))
		e.tasks.submit(slices.DeleteFunc(items, func(it item) bool { return !isTask(it) }))
	}
	n = len(items)
	clear(items)
	return n, more
}

func (e *Engine) expireBatch(sh *shard, now clock.Reading) (items []item, more bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.settleLocked()
	items = sh.items[:0]
	// The wheel is asked, not the driver's last reading: an empty wheel takes its time from whoever adds to it, and the
	// driver may have seen neither the clock set forward before that nor set back after it.
	if w := sh.wall; w != nil && w.count > 0 && w.elapsed > w.tick(max(now.Wall, 0)) {
		w.rewind(&sh.slab, max(now.Wall, 0))
	}
	var moreWall bool
	due, more := sh.boot.expire(&sh.slab, now.Boot, e.limit, sh.buf[:0])
	items = sh.takeLocked(items, due, now)
	delays := len(items)
	if sh.wall != nil {
		w := sh.wall
		due, moreWall = w.expire(&sh.slab, max(now.Wall, 0), e.limit, due[:0])
		items = sh.takeLocked(items, due, now)
		if w == sh.wall {
			sh.nextWall.Store(w.next(&sh.slab))
		}
	} else {
		sh.nextWall.Store(never) // what was published left again before it was linked
	}
	inOrder(items[:delays], items[delays:], items)
	if sh.buf, sh.items = due[:0], items[:0]; cap(items) > 4*batchSize { // all of a burst, from the only shard
		sh.buf, sh.items = nil, nil
	}
	sh.nextBoot.Store(sh.boot.next(&sh.slab))
	return items, more || moreWall
}

// inOrder sorts what left the two wheels by due, and puts it into all, of which both are parts. What is due together keeps
// its wheel's order; between the wheels, what was accepted first goes first.
func inOrder(delays, instants, all []item) {
	for _, part := range [][]item{delays, instants} {
		if !slices.IsSortedFunc(part, byDue) {
			slices.SortStableFunc(part, byDue)
		}
	}
	if len(delays) == 0 || len(instants) == 0 {
		return
	}
	merged := make([]item, 0, len(all))
	for len(delays) > 0 && len(instants) > 0 {
		from := &instants
		if c := byDue(delays[0], instants[0]); c < 0 || c == 0 && delays[0].gen < instants[0].gen {
			from = &delays
		}
		merged = append(merged, (*from)[0])
		*from = (*from)[1:]
	}
	merged = append(append(merged, delays...), instants...)
	copy(all, merged)
}

func byDue(a, b item) int {
	switch {
	case a.due < b.due:
		return -1
	case a.due > b.due:
		return 1
	}
	return 0
}

// takeLocked turns entries that left a wheel into items. Their due times are boot times from here on.
func (sh *shard) takeLocked(items []item, due []uint32, now clock.Reading) []item {
	for _, idx := range due {
		en := sh.slab.at(idx)
		en.clearFlag(flagLinked)
		it := item{sh: sh, idx: idx, gen: en.generation(), due: en.due, at: now.Boot}
		if en.onWall() {
			it.due = satAdd(en.due, now.Boot-now.Wall)
		}
		switch what := en.what.(type) {
		case func():
			it.f = what
			sh.dropLocked(idx, en)
		case Handler:
			if sh.e.tasks != sh.e.timers { // it may wait long for a worker
				it.rec = sh.promoteLocked(idx, en)
				it.rec.seen = it.at
			}
		case *running:
			what.timeout = nilIdx
			what.cancel(errTimedOut)
			sh.dropLocked(idx, en)
			continue
		case Expirer:
			sh.dropLocked(idx, en)
			sh.e.expired.Add(1)
			what.Expire(nil)
			continue
		case *record:
			if what.buffed { // it was due before; what it waited for was the end of a run
				it.at = it.due
			}
			what.seen = it.at
			if !what.dueLocked() {
				continue
			}
			it.rec, it.gen, it.token, it.prio = what, what.gen, what.token.Load(), what.set.priority
		}
		items = append(items, it)
	}
	return items
}
