package main

import "runtime"

// Row 5: what the pending timers cost the garbage collector, and so the rest of the program.

const (
	keyGCCPU  = "gc_cpu_ms"
	keyGCWall = "gc_wall_ms"
)

func gcLines() []line {
	figures := func(goals ...goal) []figure {
		return []figure{
			{key: keyGCCPU, title: "CPU of one collection", unit: "ms", digits: 1, goals: goals},
			{key: keyGCWall, title: "wall of one collection", unit: "ms", digits: 1},
		}
	}
	target := goal{size: 10 * million, peer: engineAfterFunc, limit: 0.35, text: "<= 0.35x AfterFunc"}
	common := line{
		row: 5, sizes: []int{million, 10 * million}, quick: []int{2000},
		sample: func(*cell) values {
			before := readCost()
			runtime.GC()
			s := readCost().since(before)
			return values{keyGCCPU: ms(s.cpu), keyGCWall: ms(s.wall)}
		},
	}
	named := common
	named.name, named.title = "gc", "one garbage collection with N named timers pending"
	named.note = "CPU time of the whole process over one runtime.GC(), the collector's idle workers included. " +
		"Timers were made in another order than that of the harness's table, as after hours of traffic. " +
		"All names lie in one block, so that the figure is the engine's and not the names'."
	named.engines = []string{engineDuly, engineAfterFunc, engineMap, engineEmpty}
	named.figures = figures(target)
	named.setup = func(c *cell) { fillScattered(c, c.named != nil) }

	handles := common
	handles.name, handles.title = "gc-handles", "one garbage collection with N unnamed timers pending"
	handles.note = "As above, the handles included that the user of unnamed timers keeps."
	handles.engines = []string{engineDuly, engineAfterFunc}
	handles.figures = figures(target)
	handles.setup = func(c *cell) { fillScattered(c, false) }

	fresh := handles
	fresh.name, fresh.title = "gc-fresh", "one garbage collection with N unnamed timers pending, made in order"
	fresh.note = "As above with all timers made one after the other in the order of the table, which spares the collector " +
		"most of its cache misses. Orientation."
	fresh.sizes = []int{10 * million}
	fresh.figures = figures()
	fresh.setup = func(c *cell) {
		c.fillSlots()
		runtime.GC()
	}
	return []line{named, handles, fresh}
}

// fillScattered fills the cell in the order of a walk and lets the first collection, which has more to do, pass.
func fillScattered(c *cell, byName bool) {
	w := newWalk(c.spec.N)
	if byName {
		c.names = makeNames(c.spec.N + hotNames)
	} else {
		c.slots.Grow(c.spec.N + hotNames)
	}
	c.fill(func(i int) {
		place, _ := w.step()
		if byName {
			c.named.Put(c.names.at(place), farDelay(uint64(i)), c.count)
		} else {
			c.slots.Arm(place, farDelay(uint64(i)), c.count)
		}
	})
	runtime.GC()
}
