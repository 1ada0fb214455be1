package main

import (
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/dulyhq/duly/bench/figures"
)

// Row 9: whether a crowd of timers that expires at one instant is felt by those who put others.

const (
	keyPutP50 = "put_p50_us"
	keyPutP99 = "put_p99_us"
	keyPutMax = "put_max_us"
	keyFelt   = "felt_p99_us"
	keyPuts   = "puts"
	keyTook   = "took_ms"

	producers = 2
	callEvery = 10 * time.Microsecond
)

func producerLines() []line {
	const size = 100 * thousand
	common := line{
		row: 9, sizes: []int{size}, quick: []int{5 * thousand}, fresh: true, fires: true,
		engines: []string{engineDuly, engineAfterFunc, engineMap},
		setup: func(c *cell) {
			c.start()
			c.pending = c.spec.N
		},
	}
	puts := common
	puts.name, puts.title = "producers", "two producers put while 100,000 timers expire at one instant"
	puts.note = "Each producer puts far tasks one after the other; counted are the puts begun between that instant and the " +
		"last of the 100,000 callbacks. Such a loop counts a stall once, however long; the p99 with stalls counts it for everybody " +
		"who would have called meanwhile, one every 10 us, waits for a core included. time.AfterFunc is unnamed."
	puts.figures = []figure{
		{key: keyPutP50, title: "put p50", unit: "us", digits: 2},
		{
			key: keyPutP99, title: "put p99", unit: "us", digits: 2,
			goals: []goal{{size: size, limit: 1000, text: "< 1 ms"}},
		},
		{key: keyFelt, title: "put p99 with stalls", unit: "us", digits: 1},
		{key: keyPutMax, title: "put max", unit: "us", digits: 1},
		{key: keyPuts, title: "puts counted"},
		{key: keyTook, title: "until the last callback", unit: "ms", digits: 1},
	}
	puts.sample = func(c *cell) values { return sampleProducers(c, producers) }

	alone := common
	alone.name, alone.title = "crowd", "100,000 timers expire at one instant, nobody else at work"
	alone.figures = append(latenessFigures(),
		figure{key: keyCPUFire, title: "CPU from the last put on", unit: "s", digits: 3},
		figure{key: keyPeak, title: "most goroutines"},
	)
	alone.sample = func(c *cell) values { return sampleProducers(c, 0) }
	return []line{puts, alone}
}

func sampleProducers(c *cell, producers int) values {
	r := newRecorder(c.spec.N)
	put := c.crowdPut(producers)
	tasks := r.tasks()
	took := make([][]int64, producers)
	for p := range took {
		took[p] = make([]int64, 0, c.producerNames())
	}
	runtime.GC()

	opens := r.now() + int64(100*time.Millisecond) + int64(c.spec.N)*int64(4*time.Microsecond)
	for i, t := range tasks {
		put(i, r.arm(i, opens), t)
	}
	before := readCost()
	time.Sleep(time.Duration(opens-r.now()) - 20*time.Millisecond)
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() { took[p] = c.produce(r, p, opens, put, took[p]) })
	}
	r.wait(time.Minute)
	v := r.values()
	v[keyCPUFire] = readCost().since(before).cpu.Seconds()
	wg.Wait()
	v[keyTook] = float64(r.last.Load()-opens) / 1e6
	sorted := slices.Sorted(slices.Values(slices.Concat(took...)))
	v[keyPuts] = float64(len(sorted))
	for key, q := range map[string]float64{keyPutP50: 0.5, keyPutP99: 0.99, keyPutMax: 1} {
		v[key] = float64(figures.Quantile(sorted, q)) / 1e3
	}
	v[keyFelt] = float64(figures.Quantile(withStalls(sorted), 0.99)) / 1e3
	return v
}

// withStalls adds to sorted durations those of calls that a long one held back, had one come every callEvery.
func withStalls(took []int64) []int64 {
	all := slices.Clone(took)
	for _, d := range took {
		for d -= int64(callEvery); d > 0; d -= int64(callEvery) {
			all = append(all, d)
		}
	}
	slices.Sort(all)
	return all
}

// producerNames is how many names a producer has; it begins again when they are used up.
func (c *cell) producerNames() int {
	if c.spec.Quick {
		return 20 * thousand
	}
	return 500 * thousand
}

// crowdPut gives what arms timer i of the crowd, and beyond it those of the producers.
func (c *cell) crowdPut(producers int) func(i int, d time.Duration, t task) {
	n := c.spec.N + producers*c.producerNames()
	if c.named == nil {
		c.slots.Grow(n)
		return c.slots.Arm
	}
	c.names = makeNames(n)
	return func(i int, d time.Duration, t task) { c.named.Put(c.names.at(i), d, t) }
}

// produce puts one far task after the other until the crowd has fired, and keeps how long each put took from opens on.
func (c *cell) produce(r *recorder, p int, opens int64, put func(int, time.Duration, task), took []int64) []int64 {
	names := c.producerNames()
	first := c.spec.N + p*names
	for k := 0; ; k++ {
		if k%64 == 0 {
			select {
			case <-r.all:
				return took
			default:
			}
		}
		begin := r.now()
		put(first+k%names, farDelay(uint64(k)), c.count)
		if begin >= opens && len(took) < cap(took) {
			took = append(took, r.now()-begin)
		}
	}
}
