package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dulyhq/duly/bench/figures"
)

const (
	putBatch = 1000
	putters  = 4
)

// fill puts all tasks, in batches, from some callers.
func fill(eng engine, n int, of func(i int) task) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range putters {
		wg.Go(func() {
			for {
				from := int(next.Add(putBatch)) - putBatch
				if from >= n {
					return
				}
				batch := newBatch(from, min(from+putBatch, n), of)
				must("put", eng.put(context.Background(), batch))
			}
		})
	}
	wg.Wait()
}

func newBatch(from, to int, of func(i int) task) []task {
	batch := make([]task, 0, to-from)
	for i := from; i < to; i++ {
		batch = append(batch, of(i))
	}
	return batch
}

// beginnings is what the handlers note: when each task began first, and how often.
type beginnings struct {
	at   []atomic.Int64 // nanoseconds since 1970, by number; 0 is not yet
	ran  atomic.Int64   // attempts
	once atomic.Int64   // tasks
	all  chan struct{}  // closed when every task has begun
}

func newBeginnings(n int) *beginnings {
	return &beginnings{at: make([]atomic.Int64, n), all: make(chan struct{})}
}

func (b *beginnings) note(id uint64) {
	now := time.Now().UnixNano()
	b.ran.Add(1)
	if b.at[id].CompareAndSwap(0, now) && int(b.once.Add(1)) == len(b.at) {
		close(b.all)
	}
}

// counts gives the figures for the checks.
func (b *beginnings) counts() values {
	ran, once := b.ran.Load(), b.once.Load()
	return values{keyRan: float64(ran), keyTwice: float64(ran - once), keyWant: float64(len(b.at)), keyLeft: float64(int64(len(b.at)) - once)}
}

// workLate measures how late tasks begin that come due evenly.
func workLate(c *cell) values {
	n := c.spec.N
	gap := time.Second / time.Duration(c.line.rate)
	eng := c.open()
	b := newBeginnings(n)
	must("run", eng.run(b.note))
	lead := c.line.lead
	if c.spec.Quick {
		lead /= 4
	}
	first := time.Now().Add(lead).Truncate(time.Millisecond)
	due := func(id int) time.Time { return first.Add(time.Duration(id) * gap) }
	fill(eng, n, func(i int) task { id := shuffled(i, n); return task{id: uint64(id), due: due(id)} })
	must("put in time", inTime(first))
	before := readCost()
	patience := time.NewTimer(time.Until(due(n)) + c.spec.Budget)
	defer patience.Stop()
	select {
	case <-b.all:
	case <-patience.C:
	}
	spent := readCost().since(before)
	v := b.counts()
	v[keyCPU] = micros(spent.cpu) / float64(n)
	late := make([]time.Duration, 0, n)
	early := 0
	for id := range n {
		if at := b.at[id].Load(); at != 0 {
			d := time.Unix(0, at).Sub(due(id))
			if d < 0 {
				early++
			}
			late = append(late, d)
		}
	}
	slices.Sort(late)
	v[keyEarly] = float64(early)
	v[keyP50], v[keyP99] = ms(figures.Quantile(late, 0.5)), ms(figures.Quantile(late, 0.99))
	v[keyP999], v[keyMax] = ms(figures.Quantile(late, 0.999)), ms(figures.Quantile(late, 1))
	must("close", eng.close())
	return v
}

// shuffled walks over 0 to n-1 in an order that is not theirs.
func shuffled(i, n int) int {
	const prime = 982_451_653 // no divisor of what is smaller
	return int(uint64(i) * prime % uint64(n))
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// inTime says whether there is time left before the first task is due.
func inTime(first time.Time) error {
	if left := time.Until(first); left < 0 {
		return fmt.Errorf("the last put came %v after the first task was due", -left)
	}
	return nil
}
