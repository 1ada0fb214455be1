package main

import (
	"runtime"
	"time"
)

// Row 6: how late a timer is when the process has nothing else to do.

func latenessLines() []line {
	target := goal{size: 500, limit: 0.4, text: "p99 <= 0.4 ms"}
	common := line{
		row: 6, sizes: []int{500}, heavy: []int{500}, quick: []int{50}, fires: true,
		setup: func(c *cell) {
			c.start()
			c.pending = c.spec.N
		},
	}
	unnamed := common
	unnamed.name, unnamed.title = "lateness", "lateness of 500 timers over 2.5 s, idle process"
	unnamed.note = "All are armed at once, 5 ms apart. Lateness is counted from an instant read before arming, plus the delay."
	unnamed.engines = []string{engineDuly, engineAfterFunc}
	unnamed.figures = latenessFigures(target)
	unnamed.sample = func(c *cell) values {
		return sampleLateness(c, func(r *recorder) func(i int, d time.Duration, t task) {
			c.slots.Grow(len(r.due))
			return c.slots.Arm
		})
	}
	named := common
	named.name, named.title = "lateness-named", "lateness of 500 named timers over 2.5 s, idle process"
	named.engines = []string{engineDuly, engineMap, engineGocron, engineQuartz, engineCron}
	named.figures = latenessFigures(target)
	named.sample = func(c *cell) values {
		return sampleLateness(c, func(r *recorder) func(i int, d time.Duration, t task) {
			c.names = makeNames(len(r.due))
			return func(i int, d time.Duration, t task) { c.named.Put(c.names.at(i), d, t) }
		})
	}
	return []line{unnamed, named}
}

func sampleLateness(c *cell, prepare func(*recorder) func(i int, d time.Duration, t task)) values {
	r := newRecorder(c.spec.N)
	put := prepare(r)
	tasks := r.tasks()
	runtime.GC()
	// The heavy peers need a moment to add 500; the first deadline comes after it.
	start := r.now() + int64(100*time.Millisecond)
	for i, t := range tasks {
		put(i, r.arm(i, start+int64(i+1)*int64(5*time.Millisecond)), t)
	}
	r.wait(30 * time.Second)
	return r.values()
}
