package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dulyhq/duly/bench/figures"
)

// workBacklog measures how fast what is due already is worked off.
func workBacklog(c *cell) values {
	n := c.spec.N
	eng := c.open()
	base := time.Now().Add(-time.Hour)
	fill(eng, n, func(i int) task {
		return task{id: uint64(i), due: base.Add(time.Duration(shuffled(i, n)) * time.Millisecond)}
	})
	b := newBeginnings(n)
	before := readCost()
	must("run", eng.run(b.note))
	patience := time.NewTimer(c.spec.Budget + time.Duration(n)*time.Millisecond)
	defer patience.Stop()
	select {
	case <-b.all:
	case <-patience.C:
	}
	must("wait for the outcomes", waitDone(eng))
	spent := readCost().since(before)
	v := b.counts()
	v[keyRate] = float64(b.ran.Load()) / spent.wall.Seconds()
	v[keyCPU] = micros(spent.cpu) / float64(n)
	must("close", eng.close())
	return v
}

// waitDone waits until no task is left.
func waitDone(eng engine) error {
	const patience, pause = 30 * time.Second, 5 * time.Millisecond
	for end := time.Now().Add(patience); ; time.Sleep(pause) {
		switch left, err := eng.left(context.Background()); {
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
	must("open", err)
	must("run", eng.run(func(uint64) { must("run", errors.New("a task began a day early")) }))
	base := time.Now().Add(24 * time.Hour)
	var next atomic.Int64
	took := make([][]time.Duration, callers)
	var wg sync.WaitGroup
	before := readCost()
	for w := range callers {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				began := time.Now()
				must("put", eng.putOne(context.Background(), task{id: uint64(i), due: base.Add(time.Duration(shuffled(int(i), n)) * time.Millisecond)}))
				took[w] = append(took[w], time.Since(began))
			}
		})
	}
	wg.Wait()
	spent := readCost().since(before)
	calls := slices.Concat(took...)
	slices.Sort(calls)
	left, err := eng.left(context.Background())
	must("count", err)
	must("close", eng.close())
	return values{
		keyRate: float64(n) / spent.wall.Seconds(), keyCPU: micros(spent.cpu) / float64(n),
		keyCall50: ms(figures.Quantile(calls, 0.5)), keyCall99: ms(figures.Quantile(calls, 0.99)),
		keyWant: float64(n), keyLeft: float64(n - left),
	}
}

// cost is what the process had used at an instant.
type cost struct {
	at  time.Time
	cpu time.Duration
}

func readCost() cost { return cost{at: time.Now(), cpu: figures.ProcessCPU()} }

func (c cost) since(b cost) spent { return spent{wall: c.at.Sub(b.at), cpu: c.cpu - b.cpu} }

// spent is what the process used between two instants.
type spent struct {
	wall, cpu time.Duration
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
