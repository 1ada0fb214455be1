package timer

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
)

// A shard is a part of the engine with a lock of its own: the entries whose names hash to it, their wheels and their name
// table. Lock order: a shard, then any of the leaves (pool, hooks, keys, the arming lock); never two shards.
type shard struct {
	mu       sync.Mutex
	closed   bool
	e        *Engine
	slab     slab
	names    names
	boot     wheel  // delays
	wall     *wheel // instants; made on first use
	lastID   uint64
	revived  map[uint64]uint32 // unnamed timers that were reset after their entry had gone: identity -> index
	runs     runList
	later    later
	buf      []uint32
	items    []item
	nextBoot atomic.Int64 // when the driver must look at this shard; may be too early, never too late
	nextWall atomic.Int64
	_        [128]byte // keeps neighbours off this pair of cache lines
}

func (sh *shard) init(e *Engine, i, n int) {
	sh.e = e
	sh.slab.init()
	// Spread the boundaries of all levels up to some 18 minutes evenly over the shards, so that they do not cascade at
	// the same time: the bits of i, reversed, are the high bits of the phase.
	if n > 1 {
		phase := bits.Reverse64(uint64(i)) >> (64 - 40)
		sh.boot.phase = phase | phase>>12 | phase>>24
	}
	sh.nextBoot.Store(never)
	sh.nextWall.Store(never)
}

func (sh *shard) wallWheel() *wheel {
	if sh.wall == nil {
		sh.wall = &wheel{phase: sh.boot.phase}
	}
	return sh.wall
}

func (sh *shard) newID() uint64 {
	sh.lastID++
	return sh.lastID
}

// newLocked takes an entry, not yet linked.
func (sh *shard) newLocked(id uint64) (uint32, *entry) {
	idx := sh.slab.alloc()
	sh.wasEmptyLocked()
	en := sh.slab.at(idx)
	en.tag = makeTag(id)
	return idx, en
}

func (sh *shard) wasEmptyLocked() {
	if sh.slab.live == 1 {
		sh.e.live.Add(1)
	}
}

// linkLocked puts an entry into its wheel, or lets it be put there later, and publishes when the driver must look. The caller calls kick when it has
// unlocked the shard.
func (sh *shard) linkLocked(idx uint32, en *entry, due int64, wall bool, now int64) {
	sh.putOffLocked(idx, en)
	en.due = due
	if wall {
		en.tag |= flagLinked | flagFresh | flagWall
		sh.later.wall = now
		if due < sh.nextWall.Load() {
			sh.nextWall.Store(due)
		}
		return
	}
	en.tag = en.tag&^flagWall | flagLinked | flagFresh
	sh.later.boot = now
	if due < sh.nextBoot.Load() {
		sh.nextBoot.Store(due)
	}
}

func (sh *shard) unlinkLocked(idx uint32, en *entry) {
	if !en.linked() {
		return
	}
	en.clearFlag(flagLinked)
	if en.fresh() {
		en.clearFlag(flagFresh)
		sh.recallLocked(en)
		return
	}
	sh.wheelOf(en).remove(&sh.slab, idx)
}

// dropLocked forgets an entry altogether.
func (sh *shard) dropLocked(idx uint32, en *entry) {
	hash := uint32(0)
	if en.name != "" {
		hash = uint32(maphash.String(sh.e.seed, en.name) >> 32)
	}
	sh.dropHashedLocked(idx, en, hash)
}

// dropHashedLocked is dropLocked for those who have the hash of the entry's name.
func (sh *shard) dropHashedLocked(idx uint32, en *entry, hash uint32) {
	if en.name != "" {
		sh.names.remove(hash, idx)
		if sh.e.opts.MaxPending > 0 {
			sh.e.named.Add(-1)
		}
	} else if sh.revived != nil {
		delete(sh.revived, en.id())
		if len(sh.revived) == 0 {
			sh.revived = nil
		}
	}
	if en.linked() && !en.fresh() {
		sh.buryLocked(idx, en)
	} else {
		sh.unlinkLocked(idx, en)
		sh.slab.free(idx)
		if sh.later.gone > 0 && sh.later.gone == sh.slab.live {
			sh.buryAllLocked()
		}
	}
	if sh.slab.live == 0 {
		sh.emptiedLocked()
	}
}

func (sh *shard) emptiedLocked() {
	if cap(sh.buf) > 4*batchSize {
		sh.buf, sh.items = nil, nil
	}
	if sh.slab.chunks == nil {
		sh.boot.levels, sh.wall = [wheelLevels]*[64]slot{}, nil
	}
	sh.nextBoot.Store(never)
	sh.nextWall.Store(never)
	if sh.e.live.Add(-1) == 0 {
		sh.e.idle()
	}
}

// idle lets go of what waits for nothing: idle workers now, and the alarm, with its goroutine, within lingerFor. A
// caller that adds and removes a single timer in turn thus finds the alarm set early enough and pays for no system call.
func (e *Engine) idle() {
	e.ranOut()
	idlers := e.timers.idlers.Load() != 0 || e.tasks.idlers.Load() != 0
	if idlers && !e.clk.Read().Foreign() { // nobody is woken from a bubble's other side: that would be fatal
		e.timers.release()
		if e.tasks != e.timers {
			e.tasks.release()
		}
	}
	armed, wall := e.armedBoot.Load(), e.armedWall.Load()
	if armed == awake || armed == e.linger.Load() && wall == never {
		return
	}
	e.armMu.Lock()
	defer e.armMu.Unlock()
	e.lingerLocked()
}

// lingerLocked lets an alarm that waits for nothing any more ring soon, for the last time.
func (e *Engine) lingerLocked() {
	now := e.clk.Read()
	armed := e.armedBoot.Load()
	if armed == awake || e.live.Load() != 0 || now.Foreign() { // the alarm is not to be touched from a bubble's other side
		return
	}
	if soon := now.Boot + lingerFor; armed > soon || e.armedWall.Load() != never {
		armed = min(armed, soon)
		e.setAlarmLocked(armed, never)
		if boot, wall := e.nexts(); wall != never { // put just now, when the alarm was still set early enough for it
			e.setAlarmLocked(min(boot, armed), wall)
		}
	}
	e.linger.Store(armed)
}

// kick sets the alarm earlier if the shard needs that. Callers hold no shard's lock; they have published when the driver
// must look before they read what the alarm is set to, and the driver does it the other way round: no wake-up is lost.
func (e *Engine) kick(sh *shard) {
	if sh.nextBoot.Load() < e.armedBoot.Load() || sh.nextWall.Load() < e.armedWall.Load() {
		e.rearm()
	}
}

// rearm sets neither timeline's alarm later: whoever has just published a deadline there, and found the alarm set early
// enough for it, counts on that. Where nothing is left to ring for it rings once in vain.
func (e *Engine) rearm() {
	e.armMu.Lock()
	defer e.armMu.Unlock()
	boot, wall := e.armedBoot.Load(), e.armedWall.Load()
	if boot == awake {
		return // the driver, or Start, will look
	}
	if nextBoot, nextWall := e.nexts(); nextBoot < boot || nextWall < wall {
		e.rearms.Add(1)
		e.setAlarmLocked(min(nextBoot, boot), min(nextWall, wall))
		if e.live.Load() == 0 { // idle may have looked just before the alarm was set
			e.lingerLocked()
		}
	}
}

// nexts is when the driver must look at the first of the shards.
func (e *Engine) nexts() (boot, wall int64) {
	boot, wall = never, never
	for i := range e.shards {
		boot = min(boot, e.shards[i].nextBoot.Load())
		wall = min(wall, e.shards[i].nextWall.Load())
	}
	return boot, wall
}

// setAlarmLocked publishes what the alarm is set to, and sets it. If the clock panics, it counts as not set, so that whoever comes next tries again.
func (e *Engine) setAlarmLocked(boot, wall int64) {
	set := false
	defer func() {
		if !set {
			e.armedBoot.Store(never)
			e.armedWall.Store(never)
		}
	}()
	e.armedBoot.Store(boot)
	e.armedWall.Store(wall)
	e.alarm.Set(boot, wall)
	set = true
}
