package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dulyhq/duly/bench/engines"
	"github.com/dulyhq/duly/bench/figures"
	"github.com/dulyhq/duly/bench/runs"
)

// spread gives tasks that are due from an instant on, in an order that is not that of their numbers.
func spread(n int, from time.Time) func(i int) engines.Task {
	return func(i int) engines.Task {
		return engines.Task{ID: uint64(i), Due: from.Add(time.Duration(engines.Shuffled(i, n)) * time.Millisecond)}
	}
}

func fill(eng engine, n int, of func(i int) engines.Task) {
	runs.Must("put", engines.Batches(n, putters, of, func(tasks []engines.Task) error { return eng.Put(context.Background(), tasks) }))
}

// calls has the line's callers do n things, each the next when it is answered, and gives the figures.
func (c *cell) calls(n int, do func(i int) error) values {
	var next atomic.Int64
	took := make([][]time.Duration, c.line.callers)
	var wg sync.WaitGroup
	before := c.meter()
	for w := range took {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				began := time.Now()
				runs.Must(c.line.name, do(int(i)))
				took[w] = append(took[w], time.Since(began))
			}
		})
	}
	wg.Wait()
	v := c.meter().since(before, n)
	all := slices.Concat(took...)
	slices.Sort(all)
	v[keyCall50], v[keyCall99] = figures.Millis(figures.Quantile(all, 0.5)), figures.Millis(figures.Quantile(all, 0.99))
	return v
}

// there checks that n tasks are there, and closes the engine.
func there(eng engine, v values, n int) values {
	left, err := eng.Left(context.Background())
	runs.Must("count", err)
	runs.Must("close", eng.Close())
	v[keyWant], v[keyLeft] = float64(n), float64(n-left)
	return v
}

// workPut measures how fast callers put who each wait for their answer.
func workPut(c *cell) values {
	n, eng := c.spec.N, c.open()
	of := spread(n, time.Now().Add(day))
	v := c.calls(n, func(i int) error { return eng.PutOne(context.Background(), of(i)) })
	return there(eng, v, n)
}

// workBulk measures how fast many are put.
func workBulk(c *cell) values {
	n, eng := c.spec.N, c.open()
	before := c.meter()
	fill(eng, n, spread(n, time.Now().Add(day)))
	return there(eng, c.meter().since(before, n), n)
}

// workCancel measures how fast callers cancel who each wait for their answer.
func workCancel(c *cell) values {
	n, eng := c.spec.N, c.open()
	of := spread(n, time.Now().Add(day))
	fill(eng, n, of)
	if r, ok := eng.(*engines.River); ok {
		runs.Must("read the numbers", r.Number(context.Background(), n))
	}
	v := c.calls(n, func(i int) error { return eng.CancelOne(context.Background(), of(i)) })
	there(eng, v, 0)
	v[keyWant] = float64(n)
	v[keyLeft] = -v[keyLeft]
	return v
}

// workBacklog measures how fast what is due already is worked off.
func workBacklog(c *cell) values {
	n, eng := c.spec.N, c.open()
	fill(eng, n, spread(n, time.Now().Add(-day)))
	b := engines.NewBeginnings(n)
	before := c.meter()
	runs.Must("run", eng.Run(b.Note))
	patience := time.NewTimer(c.spec.Budget + time.Duration(n)*time.Millisecond)
	defer patience.Stop()
	select {
	case <-b.All:
	case <-patience.C:
	}
	runs.Must("wait for the outcomes", waitDone(eng))
	v := c.meter().since(before, n)
	maps.Copy(v, countsOf(b, n))
	runs.Must("close", eng.Close())
	return v
}

// countsOf gives the figures for the checks.
func countsOf(b *engines.Beginnings, n int) values {
	ran, once := b.Counts()
	return values{keyRan: float64(ran), keyTwice: float64(ran - once), keyWant: float64(n), keyLeft: float64(n - once)}
}

// waitDone waits until no task is left.
func waitDone(eng engine) error {
	const patience, pause = 30 * time.Second, 20 * time.Millisecond
	for end := time.Now().Add(patience); ; time.Sleep(pause) {
		switch left, err := eng.Left(context.Background()); {
		case err != nil:
			return err
		case left == 0:
			return nil
		case time.Now().After(end):
			return fmt.Errorf("%d tasks are left", left)
		}
	}
}
