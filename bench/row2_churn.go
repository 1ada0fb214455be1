package main

import "sync/atomic"

// Row 2: the table of pending tasks as a working set larger than any cache. A random task is cancelled and put again.

func churnLines() []line {
	return []line{{
		row: 2, name: "churn", title: "named churn, cold: cancel a random one, put it again",
		note: "Names are visited in a scattered order, each once a round, so each is cold; the harness alone shows " +
			"what fetching the name costs. time.AfterFunc is Stop of a random timer and a new AfterFunc, without a name.",
		engines: []string{engineDuly, engineAfterFunc, engineMap, engineEmpty},
		sizes:   []int{million, 10 * million}, quick: []int{2000},
		figures: costFigures(
			goal{size: million, peer: engineAfterFunc, limit: 0.9, text: "<= 0.9x AfterFunc"},
			goal{size: 10 * million, peer: engineAfterFunc, limit: 1.2, text: "<= 1.2x AfterFunc"},
			goal{peer: engineMap, limit: 0.5, text: "<= 0.5x map"},
		),
		setup: func(c *cell) {
			setupHot(c)
			c.state = newWalk(c.pending)
		},
		sample: func(c *cell) values {
			var lost atomic.Int64
			fired := c.fired.Load()
			v := c.repeat(c.churnOps(c.state.(*walk), 0, c.named != nil, &lost))
			return c.withLost(v, &lost, fired)
		},
	}}
}

// churnOps gives the operation that cancels and puts again what the walk visits, counted from first.
func (c *cell) churnOps(w *walk, first int, named bool, lost *atomic.Int64) func(n int) {
	if !named {
		return func(n int) {
			for range n {
				i, _ := w.step()
				if !c.slots.Stop(first + i) {
					lost.Add(1)
				}
				c.slots.Arm(first+i, farDelay(w.next), c.count)
			}
		}
	}
	return func(n int) {
		for range n {
			i, _ := w.step()
			name := c.names.at(first + i)
			if !c.named.Cancel(name) {
				lost.Add(1)
			}
			c.named.Put(name, farDelay(w.next), c.count)
		}
	}
}
