package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dulyhq/duly/bench/engines"
	"github.com/dulyhq/duly/bench/figures"
	"github.com/dulyhq/duly/bench/runs"
)

// workBacklog measures how fast what is due already is worked off.
func workBacklog(c *cell) values {
	n := c.spec.N
	eng := c.open()
	base := time.Now().Add(-time.Hour)
	fill(eng, n, func(i int) engines.Task {
		return engines.Task{ID: uint64(i), Due: base.Add(time.Duration(engines.Shuffled(i, n)) * time.Millisecond)}
	})
	b := engines.NewBeginnings(n)
	before := figures.ReadCost()
	runs.Must("run", eng.Run(b.Note))
	patience := time.NewTimer(c.spec.Budget + time.Duration(n)*time.Millisecond)
	defer patience.Stop()
	select {
	case <-b.All:
	case <-patience.C:
	}
	runs.Must("wait for the outcomes", waitDone(eng))
	spent := figures.ReadCost().Since(before)
	v := countsOf(b, n)
	v[keyRate] = v[keyRan] / spent.Wall.Seconds()
	v[keyCPU] = figures.Micros(spent.CPU) / float64(n)
	runs.Must("close", eng.Close())
	return v
}

// waitDone waits until no task is left.
func waitDone(eng engine) error {
	const patience, pause = 30 * time.Second, 5 * time.Millisecond
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

const callers = 64

// workPut measures how fast callers put who each wait for their answer.
func workPut(c *cell) values {
	n := c.spec.N
	eng, err := newDuly(c.spec.Where)
	runs.Must("open", err)
	runs.Must("run", eng.Run(func(uint64) { runs.Must("run", errors.New("a task began a day early")) }))
	base := time.Now().Add(24 * time.Hour)
	var next atomic.Int64
	took := make([][]time.Duration, callers)
	var wg sync.WaitGroup
	before := figures.ReadCost()
	for w := range callers {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				began := time.Now()
				runs.Must("put", eng.PutOne(context.Background(), engines.Task{ID: uint64(i), Due: base.Add(time.Duration(engines.Shuffled(int(i), n)) * time.Millisecond)}))
				took[w] = append(took[w], time.Since(began))
			}
		})
	}
	wg.Wait()
	spent := figures.ReadCost().Since(before)
	calls := slices.Concat(took...)
	slices.Sort(calls)
	left, err := eng.Left(context.Background())
	runs.Must("count", err)
	runs.Must("close", eng.Close())
	return values{
		keyRate: float64(n) / spent.Wall.Seconds(), keyCPU: figures.Micros(spent.CPU) / float64(n),
		keyCall50: figures.Millis(figures.Quantile(calls, 0.5)), keyCall99: figures.Millis(figures.Quantile(calls, 0.99)),
		keyWant: float64(n), keyLeft: float64(n - left),
	}
}
