package main

import (
	"sync/atomic"
	"time"
)

// Row 1: a timeout that hardly ever comes true. A near deadline is put and cancelled at once, while N others pend.

func hotLines() []line {
	target := goal{size: million, peer: engineAfterFunc, limit: 0.25, text: "<= 0.25x AfterFunc"}
	hot := line{
		row: 1, name: "hot", title: "named put + cancel, hot",
		note: "Timeouts under traffic: 1,024 are in flight, 6 to 10 s ahead; one operation cancels the oldest and puts a new " +
			"one. The N others lie behind, spread over an hour. time.AfterFunc is AfterFunc and Stop, without a name.",
		engines: []string{engineDuly, engineAfterFunc, engineMap, engineGocron, engineQuartz, engineCron, engineEmpty},
		sizes:   []int{0, 10 * thousand, million, 10 * million}, heavy: []int{10 * thousand}, quick: []int{500},
		figures: costFigures(target),
		setup:   setupHot,
		sample:  func(c *cell) values { return sampleWindow(c, 1) },
	}

	first := hot
	first.name, first.title = "hot-first", "named put + cancel, hot, earlier than all others"
	first.note = "One operation is a put 10 to 50 ms ahead and its cancellation at once, with nothing before it: every put may " +
		"have to re-arm the sleeper, and a stopped time.AfterFunc leaves its heap at the next operation, its cheapest case."
	first.engines = []string{engineDuly, engineAfterFunc, engineMap, engineEmpty} // the schedulers need minutes for a sample
	first.heavy = nil
	first.sample = sampleFirst

	parallel := hot
	parallel.name, parallel.title = "hot-parallel", "named put + cancel, hot, two goroutines"
	parallel.note = "As the first line from two goroutines, each with names of its own; the figure is per operation of either."
	parallel.engines = []string{engineDuly, engineAfterFunc, engineMap}
	parallel.sizes, parallel.heavy = []int{million}, nil
	parallel.figures = costFigures()
	parallel.sample = func(c *cell) values { return sampleWindow(c, 2) }
	return []line{hot, first, parallel}
}

func setupHot(c *cell) {
	if c.named != nil {
		c.fillNames()
		return
	}
	c.fillSlots()
}

// timeoutDelay outlasts a sample, so that nothing fires.
func timeoutDelay(k uint64) time.Duration {
	return 6*time.Second + time.Duration(mix(k)%uint64(4*time.Second))
}

// windowOps gives the operation under traffic: a timeout is put, and the one that was put size operations ago is cancelled. It
// begins with a full window; done cancels what is left.
func (c *cell) windowOps(first, size int, lost *atomic.Int64) (op func(n int), done func()) {
	base := c.spec.N + first
	put := func(i int, k uint64) { c.named.Put(c.names.at(i), timeoutDelay(k), c.count) }
	cancel := func(i int) bool { return c.named.Cancel(c.names.at(i)) }
	if c.named == nil {
		put = func(i int, k uint64) { c.slots.Arm(i, timeoutDelay(k), c.count) }
		cancel = c.slots.Stop
	}
	k := uint64(0)
	for ; k < uint64(size); k++ {
		put(base+int(k), k)
	}
	op = func(n int) {
		for range n {
			i := base + int(k%uint64(size))
			if !cancel(i) {
				lost.Add(1)
			}
			put(i, k)
			k++
		}
	}
	return op, func() {
		for i := range size {
			cancel(base + i)
		}
	}
}

// firstOps gives the operation that puts the earliest deadline of all and cancels it at once.
func (c *cell) firstOps(lost *atomic.Int64) func(n int) {
	k := uint64(0)
	next := func() (int, time.Duration) {
		k++
		return c.spec.N + int(k%hotNames), time.Duration(10+k%41) * time.Millisecond
	}
	if c.named == nil {
		return func(n int) {
			for range n {
				i, d := next()
				c.slots.Arm(i, d, c.count)
				if !c.slots.Stop(i) {
					lost.Add(1)
				}
			}
		}
	}
	return func(n int) {
		for range n {
			i, d := next()
			name := c.names.at(i)
			c.named.Put(name, d, c.count)
			if !c.named.Cancel(name) {
				lost.Add(1)
			}
		}
	}
}

// sampleWindow measures the traffic of several goroutines, each with an equal share of the hot names.
func sampleWindow(c *cell, workers int) values {
	var lost atomic.Int64
	fired := c.fired.Load()
	ops, ends := make([]func(int), workers), make([]func(), workers)
	share := hotNames / workers
	for w := range workers {
		ops[w], ends[w] = c.windowOps(w*share, share, &lost)
	}
	var v values
	if workers == 1 {
		v = c.repeat(ops[0])
	} else {
		v = c.repeatParallel(workers, func(w, n int) { ops[w](n) })
	}
	for _, end := range ends {
		end()
	}
	return c.withLost(v, &lost, fired)
}

func sampleFirst(c *cell) values {
	var lost atomic.Int64
	fired := c.fired.Load()
	v := c.repeat(c.firstOps(&lost))
	return c.withLost(v, &lost, fired)
}

// withLost adds what was not cancelled in time and what fired; a callback that had begun is given time to count itself.
func (c *cell) withLost(v values, lost *atomic.Int64, firedBefore int64) values {
	for range 100 {
		if c.fired.Load()-firedBefore >= lost.Load() {
			break
		}
		time.Sleep(time.Millisecond)
	}
	v[keyLost] = float64(lost.Load())
	v[keyFired] = float64(c.fired.Load() - firedBefore)
	return v
}
