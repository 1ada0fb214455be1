package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dulyhq/duly/bench/figures"
	"github.com/dulyhq/duly/bench/runs"
)

// Row 16: firing.

const (
	firePage    = 256
	fireWorkers = 4
)

func workFire(c *cell) values {
	eng := c.open(openOptions{callers: 64})
	now := nowMicros()
	far := farItem(now)
	hour := time.Hour.Microseconds()
	fill := load{eng: eng, callers: fireWorkers, batch: 1000, to: int64(c.spec.N), end: c.end(1), make: func(i int64) item {
		x := far(i)
		switch i % 3 {
		case 0:
			x.due = now - 2*hour + spreadAt(i)
		case 1:
			x.due = now - hour + spreadAt(i)
		}
		return x
	}}
	filled := fill.run().tasks
	v := values{keyTasks: float64(filled)}

	wrote, _ := figures.WrittenBytes()
	before := readCost()
	alone := fire(eng, now-hour-1, (filled+2)/3, c.end(2), nil)
	spent := readCost().since(before)
	v[keyFires] = float64(alone) / spent.wall.Seconds()
	v[keyFireCPU] = float64(spent.cpu.Nanoseconds()) / 1e3 / float64(max(alone, 1))
	if now, ok := figures.WrittenBytes(); ok {
		v[keyWritten] = float64(now-wrote) / float64(max(alone, 1))
	}

	left := (filled+2)/3 - alone // of the first part, if it was cut
	mixed, put, spent := fireMixed(eng, now, left+(filled+1)/3, c.end(2), func(i int64) item { return far(int64(c.spec.N) + i) })
	v[keyMixedFires] = float64(mixed) / spent.wall.Seconds()
	v[keyMixedPuts] = float64(put.tasks) / put.spent.wall.Seconds()
	v[keyMixedP99] = ms(figures.Quantile(put.calls, 0.99))

	pending, err := eng.pending()
	runs.Must("count", err)
	v[keyPending], v[keyWant] = float64(pending), float64(filled-alone-mixed+put.tasks)
	runs.Must("close", eng.close())
	return v
}

// apart is how far schedules and fires may be from each other when they are mixed.
const apart = 2 * fireWorkers * firePage

// fireMixed fires all that is due until an instant while 64 callers schedule as many tasks: whoever is ahead waits for the other.
func fireMixed(eng engine, until int64, want int, end time.Time, task func(i int64) item) (fired int, put loaded, took spent) {
	var stop atomic.Bool
	var out atomic.Int64 // handed to the workers
	puts := load{eng: eng, callers: 64, batch: 1, to: 1 << 60, stop: &stop, make: task}
	puts.wait = func() {
		for puts.done.Load() > out.Load()+apart && !stop.Load() {
			time.Sleep(pause)
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { put = puts.run() })
	before := readCost()
	fired = fire(eng, until, want, end, func(n int) {
		for out.Load() > puts.done.Load()+apart {
			time.Sleep(pause)
		}
		out.Add(int64(n))
	})
	took = readCost().since(before)
	stop.Store(true)
	wg.Wait()
	return fired, put, took
}

const pause = 50 * time.Microsecond

// fire runs all that is due until an instant, by pages, and gives how many. They must be as many as wanted, unless the end comes
// first; what was read by then is still fired. Before a page is handed out it asks wait, if there is one.
func fire(eng engine, until int64, want int, end time.Time, wait func(n int)) int {
	pages := make(chan []ref, fireWorkers)
	var fired atomic.Int64
	var workers sync.WaitGroup
	for range fireWorkers {
		workers.Go(func() {
			for refs := range pages {
				runs.Must("claim", eng.claim(refs))
				for i := range refs {
					handle(&refs[i])
				}
				runs.Must("settle", eng.settle(refs))
				fired.Add(int64(len(refs)))
			}
		})
	}
	cut := false
	for !cut {
		refs, err := eng.due(until, firePage)
		runs.Must("read what is due", err)
		if len(refs) == 0 {
			break
		}
		if wait != nil {
			wait(len(refs))
		}
		pages <- refs
		cut = !end.IsZero() && time.Now().After(end)
	}
	close(pages)
	workers.Wait()
	if n := int(fired.Load()); !cut && n != want {
		runs.Must("fire", fmt.Errorf("%d fired of %d that are due", n, want))
	}
	return int(fired.Load())
}

// handled keeps the handler from being nothing at all.
var handled atomic.Int64

func handle(r *ref) { handled.Add(int64(len(r.payload))) }
