package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/dulyhq/duly/bench/engines"
	"github.com/dulyhq/duly/bench/figures"
	"github.com/dulyhq/duly/bench/runs"
)

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
	if left := time.Until(first); left < 0 && !c.spec.Quick {
		runs.Must("put in time", fmt.Errorf("the last put came %v after the first task was due", -left))
	}
	before := c.meter()
	await(b, due(n).Add(c.spec.Budget))
	v := c.meter().since(before, n)
	delete(v, keyRate)
	maps.Copy(v, latenessOf(b, n, due))
	runs.Must("close", eng.Close())
	return v
}

// await waits until all have begun, or until an instant.
func await(b *engines.Beginnings, end time.Time) {
	patience := time.NewTimer(time.Until(end))
	defer patience.Stop()
	select {
	case <-b.All:
	case <-patience.C:
	}
}

// latenessOf gives the figures of how late n tasks began.
func latenessOf(b *engines.Beginnings, n int, due func(id int) time.Time) values {
	v := countsOf(b, n)
	late, early := b.Late(due)
	slices.Sort(late)
	v[keyEarly] = float64(early)
	for key, q := range map[string]float64{keyP50: 0.5, keyP99: 0.99, keyP999: 0.999, keyMax: 1} {
		v[key] = figures.Millis(figures.Quantile(late, q))
	}
	return v
}

// Of the line hint: one task is due each hintGap, and is put hintAhead before, by a process that has hintStart to connect.
const (
	hintGap   = 50 * time.Millisecond
	hintAhead = time.Second
	hintStart = 3 * time.Second
	hintLate  = 100 * time.Millisecond // a put that ends so much later has made its task's lateness itself
)

func hintDue(base time.Time, id int) time.Time { return base.Add(time.Duration(id) * hintGap) }

// workHint measures how late tasks begin that another process puts a second before they are due.
func workHint(c *cell) values {
	n, eng := c.spec.N, c.open()
	b := engines.NewBeginnings(n)
	runs.Must("run", eng.Run(b.Note))
	base := time.Now().Add(hintStart + hintAhead).Truncate(time.Millisecond)
	spec := c.spec
	spec.Base = base.UnixNano()
	put, err := runs.Child(context.Background(), childVariable, spec, time.Until(hintDue(base, n).Add(c.spec.Budget)))
	runs.Must("put by another process", err)
	await(b, hintDue(base, n).Add(c.spec.Budget))
	v := latenessOf(b, n, func(id int) time.Time { return hintDue(base, id) })
	v[keyRushed] = put[keyRushed]
	runs.Must("close", eng.Close())
	return v
}

// putAhead is the other process.
func putAhead(c *cell) values {
	base := time.Unix(0, c.spec.Base)
	eng := c.open()
	rushed := 0
	for id := range c.spec.N {
		due := hintDue(base, id)
		time.Sleep(time.Until(due.Add(-hintAhead)))
		runs.Must("put", eng.PutOne(context.Background(), engines.Task{ID: uint64(id), Due: due}))
		if time.Until(due) < hintAhead-hintLate {
			rushed++
		}
	}
	runs.Must("close", eng.Close())
	return values{keyRushed: float64(rushed)}
}
