package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dulyhq/duly/bench/engines"
	"github.com/dulyhq/duly/bench/figures"
	"github.com/dulyhq/duly/bench/runs"
)

const putters = 4

// fill puts all tasks, in batches, from some callers.
func fill(eng engine, n int, of func(i int) engines.Task) {
	runs.Must("put", engines.Batches(n, putters, of, func(batch []engines.Task) error { return eng.Put(context.Background(), batch) }))
}

// countsOf gives the figures for the checks.
func countsOf(b *engines.Beginnings, n int) values {
	ran, once := b.Counts()
	return values{keyRan: float64(ran), keyTwice: float64(ran - once), keyWant: float64(n), keyLeft: float64(n - once)}
}

// workLate measures how late tasks begin that come due evenly.
func workLate(c *cell) values {
	n := c.spec.N
	gap := time.Second / time.Duration(c.line.rate)
	eng := c.open()
	b := engines.NewBeginnings(n)
	runs.Must("run", eng.Run(b.Note))
	lead := c.line.lead
	if c.spec.Quick {
		lead /= 4
	}
	first := time.Now().Add(lead).Truncate(time.Millisecond)
	due := func(id int) time.Time { return first.Add(time.Duration(id) * gap) }
	fill(eng, n, func(i int) engines.Task {
		id := engines.Shuffled(i, n)
		return engines.Task{ID: uint64(id), Due: due(id)}
	})
	runs.Must("put in time", inTime(first))
	before := figures.ReadCost()
	patience := time.NewTimer(time.Until(due(n)) + c.spec.Budget)
	defer patience.Stop()
	select {
	case <-b.All:
	case <-patience.C:
	}
	spent := figures.ReadCost().Since(before)
	v := countsOf(b, n)
	v[keyCPU] = figures.Micros(spent.CPU) / float64(n)
	late, early := b.Late(due)
	slices.Sort(late)
	v[keyEarly] = float64(early)
	v[keyP50], v[keyP99] = figures.Millis(figures.Quantile(late, 0.5)), figures.Millis(figures.Quantile(late, 0.99))
	v[keyP999], v[keyMax] = figures.Millis(figures.Quantile(late, 0.999)), figures.Millis(figures.Quantile(late, 1))
	runs.Must("close", eng.Close())
	return v
}

// inTime says whether there is time left before the first task is due.
func inTime(first time.Time) error {
	if left := time.Until(first); left < 0 {
		return fmt.Errorf("the last put came %v after the first task was due", -left)
	}
	return nil
}
