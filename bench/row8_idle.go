package main

import (
	"runtime"
	"time"
)

// Row 8: what an engine costs that has nothing to do, or nothing to do yet.

const (
	keyPercent    = "cpu_percent"
	keyWakes      = "switches_per_s"
	keyFootprint  = "footprint_kib"
	keyGoroutines = "goroutines"
)

func idleLines() []line {
	return []line{
		{
			row: 8, name: "idle", title: "idle process with 1 M timers far ahead",
			note:    "Share of one core over 10 s without an operation, after a collection.",
			engines: []string{engineDuly, engineAfterFunc, engineMap, engineEmpty},
			sizes:   []int{million}, quick: []int{2000}, maxRuns: 3,
			figures: []figure{
				{
					key: keyPercent, title: "CPU", unit: "%", digits: 4,
					goals: []goal{{size: million, limit: 0.01, text: "<= 0.01 %"}},
				},
				{key: keyWakes, title: "context switches per second", digits: 1},
			},
			setup: setupHot, sample: sampleIdle,
		},
		{
			row: 8, name: "footprint", title: "footprint of an idle engine that has had one task",
			note:    "Heap, stacks and goroutines of each of many engines after one put and one cancel.",
			engines: []string{engineDuly, engineGocron, engineQuartz, engineCron},
			sizes:   []int{64}, heavy: []int{64}, quick: []int{8}, maxRuns: 3, fresh: true,
			figures: []figure{
				{
					key: keyFootprint, title: "memory per engine", unit: "KiB", digits: 1,
					goals: []goal{{limit: 64, text: "<= 64 KiB"}},
				},
				{key: keyGoroutines, title: "goroutines per engine", digits: 1, goals: []goal{{limit: 0, text: "0"}}},
			},
			setup: func(c *cell) { c.pending = c.spec.N }, sample: sampleFootprint,
		},
	}
}

func sampleIdle(c *cell) values {
	pause, settle := 10*time.Second, time.Second
	if c.spec.Quick {
		pause, settle = 100*time.Millisecond, 10*time.Millisecond
	}
	runtime.GC()
	time.Sleep(settle)
	before := readCost()
	time.Sleep(pause)
	s := readCost().since(before)
	return values{
		keyPercent: 100 * s.cpu.Seconds() / s.wall.Seconds(),
		keyWakes:   float64(s.switches) / s.wall.Seconds(),
		keyFired:   float64(c.fired.Load()),
	}
}

func sampleFootprint(c *cell) values {
	spec, _ := findEngine(c.spec.Engine)
	all := make([]engine, c.spec.N)
	before, _ := settledMemory()
	goroutines := runtime.NumGoroutine()
	for i := range all {
		e := spec.create(settings{}).(namer)
		if s, ok := e.(starter); ok {
			s.Start()
		}
		e.Put("tea", time.Hour, c.count)
		e.Cancel("tea")
		all[i] = e
	}
	time.Sleep(50 * time.Millisecond) // what ends by itself has ended
	n := float64(len(all))
	v := values{keyGoroutines: float64(runtime.NumGoroutine()-goroutines) / n}
	after, _ := settledMemory()
	v[keyFootprint] = float64(after-before) / n / 1024
	for _, e := range all {
		e.Close()
	}
	v["fired"] = float64(c.fired.Load())
	return v
}
