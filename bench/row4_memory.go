package main

import (
	"runtime"
	"runtime/debug"
	"time"
)

// Row 4: what a pending timer weighs, and what an operation allocates.

const (
	keyBytes     = "bytes"
	keyResident  = "rss_bytes"
	keyPutAllocs = "put_allocs"
	keyMoveAlloc = "rearm_allocs"
	keyCanAllocs = "cancel_allocs"
)

func memoryLines() []line {
	weight := []figure{
		{
			key: keyBytes, title: "heap and stacks per pending timer", unit: "B", digits: 1,
			goals: []goal{{limit: 72, text: "<= 72 B"}},
		},
		{key: keyResident, title: "resident set per pending timer", unit: "B", digits: 1},
	}
	none := func(text string) []goal { return []goal{{limit: 0.01, text: text}} }
	return []line{
		{
			row: 4, name: "memory", title: "bytes per pending named timer",
			note: "After a collection, less what was there before the first put. Names are made before and not counted. " +
				"time.AfterFunc is unnamed; the 8 bytes of the pointer that its user must keep are counted. The resident set " +
				"holds the heap's slack as well.",
			engines: []string{engineDuly, engineAfterFunc, engineMap, engineGocron, engineQuartz, engineCron},
			sizes:   []int{million, 10 * million}, heavy: []int{10 * thousand}, quick: []int{2000},
			maxRuns: 2, fresh: true, figures: weight,
			setup:  func(c *cell) { weigh(c, true) },
			sample: func(c *cell) values { return c.state.(values) },
		},
		{
			row: 4, name: "memory-handles", title: "bytes per pending unnamed timer, with its handle",
			engines: []string{engineDuly, engineAfterFunc},
			sizes:   []int{million}, quick: []int{2000},
			maxRuns: 2, fresh: true,
			figures: []figure{{key: keyBytes, title: weight[0].title, unit: "B", digits: 1}, weight[1]},
			setup:   func(c *cell) { weigh(c, false) },
			sample:  func(c *cell) values { return c.state.(values) },
		},
		{
			row: 4, name: "allocs", title: "allocations per operation, named",
			note: "Heap objects per operation over 100,000 operations (1,000 for the heavy peers) with 10,000 others pending; " +
				"a first round, not counted, lets tables grow. Less than one in a hundred operations is 0: a chunk for many timers is no " +
				"allocation of one.",
			engines: []string{engineDuly, engineAfterFunc, engineMap, engineGocron, engineQuartz, engineCron},
			sizes:   []int{10 * thousand}, heavy: []int{10 * thousand}, quick: []int{500},
			maxRuns: 3,
			figures: []figure{
				{key: keyPutAllocs, title: "put", unit: "allocs", digits: 3, goals: none("0")},
				{key: keyMoveAlloc, title: "re-arm", unit: "allocs", digits: 3, goals: none("0")},
				{key: keyCanAllocs, title: "cancel", unit: "allocs", digits: 3, goals: none("0")},
			},
			setup: setupAllocs, sample: sampleAllocs,
		},
	}
}

// weigh fills the cell and leaves its weight as the state.
func weigh(c *cell, byName bool) {
	if byName && c.named != nil {
		c.names = makeNames(c.spec.N + hotNames)
	}
	before, residentBefore := settledMemory()
	if c.names.block != "" {
		c.fill(func(i int) { c.named.Put(c.names.at(i), farDelay(uint64(i)), c.count) })
	} else {
		c.fillSlots()
	}
	after, residentAfter := settledMemory()
	n := float64(max(c.pending, 1))
	c.state = values{
		keyBytes:    float64(after-before) / n,
		keyResident: float64(residentAfter-residentBefore) / n,
		keyPending:  float64(c.pending),
	}
	runtime.KeepAlive(c)
}

// settledMemory gives the bytes in use on the heap and in stacks, and the resident set, once the garbage is gone.
func settledMemory() (inUse, resident int64) {
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse), residentBytes()
}

func setupAllocs(c *cell) {
	ops := 100 * thousand
	if e, _ := findEngine(c.spec.Engine); e.heavy {
		ops = thousand
	}
	if c.spec.Quick {
		ops = 100
	}
	c.state = ops
	if c.named != nil {
		c.names = makeNames(c.spec.N + ops)
		c.fill(func(i int) { c.named.Put(c.names.at(i), farDelay(uint64(i)), c.count) })
	} else {
		c.slots.Grow(c.spec.N + ops)
		c.fill(func(i int) { c.slots.Arm(i, farDelay(uint64(i)), c.count) })
	}
	sampleAllocs(c)
}

func sampleAllocs(c *cell) values {
	ops := c.state.(int)
	put := func(i int, d time.Duration) { c.named.Put(c.names.at(i), d, c.count) }
	move := func(i int, d time.Duration) { c.named.Rearm(c.names.at(i), d, c.count) }
	cancel := func(i int) { c.named.Cancel(c.names.at(i)) }
	if c.named == nil {
		put = func(i int, d time.Duration) { c.slots.Arm(i, d, c.count) }
		move = func(i int, d time.Duration) { c.slots.Reset(i, d) }
		cancel = func(i int) { c.slots.Stop(i) }
	}
	over := func(op func(i int)) float64 {
		before := mallocs()
		for i := range ops {
			op(c.spec.N + i)
		}
		return float64(mallocs()-before) / float64(ops)
	}
	return values{
		keyPutAllocs: over(func(i int) { put(i, farDelay(uint64(i))) }),
		keyMoveAlloc: over(func(i int) { move(i, farDelay(uint64(i+1))) }),
		keyCanAllocs: over(cancel),
	}
}

func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}
