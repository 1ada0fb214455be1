package main

import (
	"sync/atomic"
	"time"
)

// Row 3: unnamed timers through their handles, where the peer is time.AfterFunc at its own trade.

func handleLines() []line {
	common := line{
		row: 3, engines: []string{engineDuly, engineAfterFunc, engineEmpty},
		sizes: []int{million}, quick: []int{2000}, figures: costFigures(),
	}
	churn := common
	churn.name, churn.title = "handle-churn", "churn by handle, cold: Stop a random one, AfterFunc anew"
	churn.figures = costFigures(goal{size: million, peer: engineAfterFunc, limit: 0.7, text: "<= 0.7x AfterFunc"})
	churn.setup = func(c *cell) {
		c.fillSlots()
		c.state = newWalk(c.pending)
	}
	churn.sample = sampleHandleChurn

	parallel := churn
	parallel.name, parallel.title = "handle-parallel", "churn by handle, cold, two goroutines"
	parallel.note = "Each goroutine has half of the timers; the figure is per operation of either."
	parallel.figures = costFigures()
	parallel.setup = func(c *cell) {
		c.fillSlots()
		half := c.pending / 2
		c.state = [2]*walk{newWalk(half), newWalk(half)}
	}
	parallel.sample = sampleHandleParallel

	later := common
	later.name, later.title = "reset-later", "Reset of a random one to later, cold"
	later.setup = churn.setup
	later.sample = func(c *cell) values {
		return sampleReset(c, func(i int, round uint64) time.Duration {
			return farDelay(uint64(i)) + time.Duration(round+1)*resetStep
		})
	}

	earlier := common
	earlier.name, earlier.title = "reset-earlier", "Reset of a random one to earlier, cold"
	earlier.note = "Each round of the walk moves every timer by 15 s, so it is later or earlier than itself."
	earlier.setup = func(c *cell) {
		c.slots.Grow(c.spec.N)
		c.fill(func(i int) { c.slots.Arm(i, farDelay(uint64(i))+resetRounds*resetStep, c.count) })
		c.state = newWalk(c.pending)
	}
	earlier.sample = func(c *cell) values {
		return sampleReset(c, func(i int, round uint64) time.Duration {
			left := max(resetRounds-1-int(round), 0)
			return farDelay(uint64(i)) + time.Duration(left)*resetStep
		})
	}
	return []line{churn, parallel, later, earlier}
}

const (
	resetStep   = 15 * time.Second // more than passes between two visits of a timer
	resetRounds = 2400
)

func sampleHandleChurn(c *cell) values {
	var lost atomic.Int64
	fired := c.fired.Load()
	v := c.repeat(c.churnOps(c.state.(*walk), 0, false, &lost))
	return c.withLost(v, &lost, fired)
}

func sampleHandleParallel(c *cell) values {
	var lost atomic.Int64
	fired := c.fired.Load()
	var ops [2]func(int)
	for w, half := range c.state.([2]*walk) {
		ops[w] = c.churnOps(half, w*c.pending/2, false, &lost)
	}
	v := c.repeatParallel(len(ops), func(w, n int) { ops[w](n) })
	return c.withLost(v, &lost, fired)
}

func sampleReset(c *cell, delay func(i int, round uint64) time.Duration) values {
	var lost atomic.Int64
	fired := c.fired.Load()
	w := c.state.(*walk)
	v := c.repeat(func(n int) {
		for range n {
			i, round := w.step()
			if !c.slots.Reset(i, delay(i, round)) {
				lost.Add(1)
			}
		}
	})
	return c.withLost(v, &lost, fired)
}
