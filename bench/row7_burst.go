package main

import (
	"runtime"
	"slices"
	"time"
)

// Row 7: a million timers within two seconds, on two cores.

const (
	keyCPUTotal = "cpu_s"
	keyCPUAdd   = "cpu_add_s"
	keyCPUFire  = "cpu_fire_s"

	burstWorkers = 8
)

func burstLines() []line {
	const size = million
	figures := append(
		latenessFigures(goal{size: size, limit: 1.5, text: "p99 <= 1.5 ms"}),
		figure{
			key: keyCPUTotal, title: "CPU, adding and firing", unit: "s", digits: 3,
			goals: []goal{{size: size, peer: engineAfterFunc, limit: 0.5, text: "<= 0.5x AfterFunc"}},
		},
		figure{key: keyCPUAdd, title: "CPU until the last was added", unit: "s", digits: 3},
		figure{key: keyCPUFire, title: "CPU after that", unit: "s", digits: 3},
	)
	peak := figure{key: keyPeak, title: "most goroutines"}
	capped := peak
	capped.goals = []goal{{limit: burstWorkers + 1, text: "no more than the 8 workers and a driver"}}
	common := line{
		row: 7, sizes: []int{size}, quick: []int{5 * thousand}, fresh: true, fires: true,
		engines: []string{engineDuly, engineAfterFunc},
		setup: func(c *cell) {
			c.start()
			c.pending = c.spec.N
		},
	}
	ahead := common
	ahead.name, ahead.title = "burst", "1 M timers, added ahead, due at random within 2 s"
	ahead.note = "Adding ends before the first is due. Goroutines are counted above those before the first timer, " +
		"by every 256th callback."
	ahead.figures = slices.Concat(figures, []figure{peak})
	ahead.sample = func(c *cell) values { return sampleBurst(c, false, true) }

	now := common
	now.name, now.title = "burst-now", "1 M timers with delays random within 2 s, added while they fire"
	now.figures = ahead.figures
	now.sample = func(c *cell) values { return sampleBurst(c, false, false) }

	named := common
	named.name, named.title = "burst-named", "1 M named timers, added ahead, due at random within 2 s"
	named.note = "duly with 8 workers; the map's callbacks take their names out of it."
	named.engines = []string{engineDuly, engineMap}
	named.workers = burstWorkers
	named.figures = slices.Concat(figures, []figure{capped})
	for i, f := range named.figures {
		if f.key == keyCPUTotal {
			named.figures[i].goals = []goal{{size: size, peer: engineMap, limit: 0.5, text: "<= 0.5x map"}}
		}
	}
	named.sample = func(c *cell) values { return sampleBurst(c, true, true) }
	return []line{ahead, now, named}
}

func sampleBurst(c *cell, byName, ahead bool) values {
	window, perTimer := 2*time.Second, 4*time.Microsecond
	if c.spec.Quick {
		window = 100 * time.Millisecond
	}
	r := newRecorder(c.spec.N)
	tasks := r.tasks()
	put := c.slotOrName(byName)
	lead := 50*time.Millisecond + time.Duration(c.spec.N)*perTimer
	runtime.GC()

	before := readCost()
	opens := r.now() + int64(lead)
	for i, t := range tasks {
		due := opens + int64(mix(uint64(i))%uint64(window))
		if !ahead {
			due += r.now() - opens
		}
		put(i, r.arm(i, due), t)
	}
	added := readCost()
	r.wait(time.Minute)
	done := readCost()

	v := r.values()
	v[keyCPUAdd] = added.since(before).cpu.Seconds()
	v[keyCPUFire] = done.since(added).cpu.Seconds()
	v[keyCPUTotal] = done.since(before).cpu.Seconds()
	return v
}

// slotOrName gives what arms timer i, by name or in a slot made for it.
func (c *cell) slotOrName(byName bool) func(i int, d time.Duration, t task) {
	if byName {
		c.names = makeNames(c.spec.N)
		return func(i int, d time.Duration, t task) { c.named.Put(c.names.at(i), d, t) }
	}
	c.slots.Grow(c.spec.N)
	return c.slots.Arm
}
