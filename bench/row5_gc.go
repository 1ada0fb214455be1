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
		"All names lie in one block, so that the figure is the engine's and not the names'."
	named.engines = []string{engineDuly, engineAfterFunc, engineMap, engineEmpty}
	named.figures = figures(target)
	named.setup = func(c *cell) {
		setupHot(c)
		runtime.GC()
	}

	handles := common
	handles.name, handles.title = "gc-handles", "one garbage collection with N unnamed timers pending"
	handles.engines = []string{engineDuly, engineAfterFunc}
	handles.figures = figures(target)
	handles.setup = func(c *cell) {
		c.fillSlots()
		runtime.GC()
	}
	return []line{named, handles}
}
