package timer

import (
	"errors"
	"fmt"
	"hash/maphash"
	"testing"
)

// checkEngine walks everything an engine holds, and says what does not fit together: wheels, slabs, name tables, lists of
// runs. It locks one shard after the other.
func checkEngine(e *Engine) error {
	live := int64(0)
	for i := range e.shards {
		sh := &e.shards[i]
		sh.mu.Lock()
		err := checkShard(sh)
		if sh.slab.live > 0 {
			live++
		}
		sh.mu.Unlock()
		if err != nil {
			return fmt.Errorf("shard %d: %w", i, err)
		}
	}
	return nil
}

// checkQuiet is checkEngine for an engine on which nobody works and nothing is under way.
func checkQuiet(e *Engine) error {
	live, named := int64(0), int64(0)
	for i := range e.shards {
		if sh := &e.shards[i]; sh.slab.live > 0 {
			live++
			named += int64(sh.names.count)
		}
		if n := e.shards[i].runs.n; n != 0 || e.shards[i].runs.head != nil {
			return fmt.Errorf("shard %d lists %d runs", i, n)
		}
	}
	if got := e.live.Load(); got != live {
		return fmt.Errorf("live is %d, but %d shards hold entries", got, live)
	}
	if got := e.named.Load(); e.opts.MaxPending > 0 && got != named && !e.life.ended() {
		return fmt.Errorf("named is %d, but there are %d names", got, named)
	}
	e.keys.mu.Lock()
	keys := len(e.keys.keys)
	e.keys.mu.Unlock()
	if keys != 0 {
		return fmt.Errorf("%d keys are held", keys)
	}
	return checkEngine(e)
}

func checkShard(sh *shard) error {
	sh.settleLocked()
	if err := checkSlab(&sh.slab); err != nil {
		return err
	}
	delays, err := wheelEntries(&sh.boot, &sh.slab)
	if err != nil {
		return fmt.Errorf("delays: %w", err)
	}
	instants := map[uint32]bool{}
	if sh.wall != nil {
		if instants, err = wheelEntries(sh.wall, &sh.slab); err != nil {
			return fmt.Errorf("instants: %w", err)
		}
	}
	named := map[uint32]uint32{}
	for n, c := range sh.slab.chunks {
		if c == nil {
			continue
		}
		for o := range c.entries {
			idx, en := uint32(n)<<chunkBits|uint32(o), &c.entries[o]
			if en.tag == 0 {
				continue
			}
			if err := checkEntry(sh, idx, en, delays[idx], instants[idx]); err != nil {
				return fmt.Errorf("entry %d %q: %w", idx, en.name, err)
			}
			if en.name != "" {
				named[idx] = uint32(maphash.String(sh.e.seed, en.name) >> 32)
			}
		}
	}
	if err := checkNames(&sh.names, named); err != nil {
		return fmt.Errorf("names: %w", err)
	}
	for id, idx := range sh.revived {
		if en := sh.slab.get(idx); en == nil || en.id() != id {
			return fmt.Errorf("timer %d is said to be at %d, where %+v is", id, idx, en)
		}
	}
	return checkRuns(sh)
}

func checkEntry(sh *shard, idx uint32, en *entry, delay, instant bool) error {
	if delay && instant || en.linked() != (delay || instant) || en.linked() && en.onWall() != instant {
		return fmt.Errorf("flags say linked %v, wall %v; it is among the delays: %v, among the instants: %v",
			en.linked(), en.onWall(), delay, instant)
	}
	if en.linked() {
		published := sh.nextBoot.Load()
		if instant {
			published = sh.nextWall.Load()
		}
		// A slot that is long, or whose entries were moved, is looked at within the slot's tick.
		if published > satAdd(en.due, 2<<tickShift) {
			return fmt.Errorf("it is due at %d, but the driver would look at %d", en.due, published)
		}
	}
	r, ok := en.what.(*record)
	if !ok {
		return nil
	}
	switch {
	case r.sh != sh || r.idx != idx || r.id != en.id() || r.name != en.name:
		return fmt.Errorf("its record is that of %q at %d, identity %d", r.name, r.idx, r.id)
	case r.phase == phaseLinked && !en.linked() || r.phase != phaseLinked && en.linked():
		return fmt.Errorf("phase %d, but linked is %v", r.phase, en.linked())
	case (r.phase == phaseKeyed) != (r.waiter != nil):
		return fmt.Errorf("phase %d, with waiter %v", r.phase, r.waiter)
	case r.active < 0 || r.ended && len(r.runs) == 0:
		return fmt.Errorf("it has ended, %d runs, %d active", len(r.runs), r.active)
	case r.phase == phaseNone && len(r.runs) == 0:
		return errors.New("it waits for nothing")
	}
	return nil
}

func checkRuns(sh *shard) error {
	n := 0
	var prev *running
	for run := sh.runs.head; run != nil; prev, run = run, run.next {
		n++
		if run.prev != prev {
			return errors.New("the runs' list is broken")
		}
		if run.timeout != nilIdx {
			if en := sh.slab.get(run.timeout); en == nil || en.what != any(run) {
				return fmt.Errorf("the timeout of a run of %q is not its own", run.rec.name)
			}
		}
	}
	if n != sh.runs.n {
		return fmt.Errorf("%d runs are listed, %d counted", n, sh.runs.n)
	}
	return nil
}

// The checker itself must see what is wrong.
func TestCheckEngine_SeesDamage(t *testing.T) {
	damages := map[string]func(*shard, uint32){
		"count of a wheel":      func(sh *shard, _ uint32) { sh.boot.count++ },
		"bit of a slot":         func(sh *shard, _ uint32) { sh.boot.occupied[7] |= 1 },
		"link":                  func(sh *shard, idx uint32) { sh.slab.at(idx).prev = 5 },
		"linked flag":           func(sh *shard, idx uint32) { sh.slab.at(idx).clearFlag(flagLinked) },
		"wall flag":             func(sh *shard, idx uint32) { sh.slab.at(idx).tag |= flagWall },
		"live entries":          func(sh *shard, _ uint32) { sh.slab.live++ },
		"name that is unknown":  func(sh *shard, idx uint32) { sh.slab.at(idx).name = "other" },
		"name in nobody's slot": func(sh *shard, _ uint32) { sh.names.count++ },
		"published wake-up":     func(sh *shard, _ uint32) { sh.nextBoot.Store(never) },
		"freed but linked":      func(sh *shard, idx uint32) { sh.slab.free(idx) },
	}
	for what, damage := range damages {
		t.Run(what, func(t *testing.T) {
			e := New(Options{Held: true, Workers: 1})
			if _, err := e.Put("a", afterHour, Plain(func() {})); err != nil {
				t.Fatal(err)
			}
			if err := checkEngine(e); err != nil {
				t.Fatalf("before: %v", err)
			}
			sh := &e.shards[0]
			sh.mu.Lock()
			idx := uint32(0)
			for sh.slab.at(idx).name != "a" {
				idx++
			}
			damage(sh, idx)
			sh.mu.Unlock()
			if err := checkEngine(e); err == nil {
				t.Error("the checker found nothing")
			}
			e.alarm.Close() // the engine itself cannot be closed any more
		})
	}
}
