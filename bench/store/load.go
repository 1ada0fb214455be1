package main

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dulyhq/duly/bench/figures"
	"github.com/dulyhq/duly/bench/runs"
)

// A load is callers that schedule tasks in a closed loop: each calls again when it is answered.
type load struct {
	eng     engine
	callers int
	batch   int
	to      int64              // tasks
	end     time.Time          // zero: none
	stop    *atomic.Bool       // nil: none
	wait    func()             // before a call; nil: nothing
	make    func(i int64) item // task i

	next atomic.Int64
	done atomic.Int64
}

// A loaded is what a load came to.
type loaded struct {
	tasks int
	spent spent
	calls []time.Duration // sorted
}

// run calls until all tasks are put, or the end has come, or somebody says stop.
func (l *load) run() loaded {
	took := make([][]time.Duration, l.callers)
	var wg sync.WaitGroup
	before := readCost()
	for w := range l.callers {
		wg.Go(func() { took[w] = l.call() })
	}
	wg.Wait()
	r := loaded{tasks: int(l.done.Load()), spent: readCost().since(before)}
	for _, t := range took {
		r.calls = append(r.calls, t...)
	}
	slices.Sort(r.calls)
	return r
}

// call is one caller.
func (l *load) call() (took []time.Duration) {
	items := make([]item, 0, l.batch)
	for begun := time.Now(); l.end.IsZero() || begun.Before(l.end); begun = time.Now() {
		if l.stop != nil && l.stop.Load() {
			return took
		}
		if l.wait != nil {
			l.wait()
		}
		to := l.next.Add(int64(l.batch))
		items = items[:0]
		for i := to - int64(l.batch); i < min(to, l.to); i++ {
			items = append(items, l.make(i))
		}
		if len(items) == 0 {
			return took
		}
		began := time.Now()
		runs.Must("put", l.eng.put(items))
		took = append(took, time.Since(began))
		l.done.Add(int64(len(items)))
	}
	return took
}

// values gives the rate, the cost and what callers waited.
func (r loaded) values() values {
	n := float64(max(r.tasks, 1))
	return values{
		keyTasks: float64(r.tasks), keyRate: n / r.spent.wall.Seconds(), keyCPU: float64(r.spent.cpu.Nanoseconds()) / 1e3 / n,
		keyP50: ms(figures.Quantile(r.calls, 0.5)), keyP99: ms(figures.Quantile(r.calls, 0.99)), keyMax: ms(figures.Quantile(r.calls, 1)),
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

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

// Deadlines that pend are spread over the hour that begins in a day: nothing of them comes true while a run lasts.
const (
	farAhead  = 24 * time.Hour
	spreadFor = time.Hour
)

func farItem(base int64) func(i int64) item {
	base += farAhead.Microseconds()
	return func(i int64) item { return makeItem(uint64(i), base+spreadAt(i)) }
}

func spreadAt(i int64) int64 { return int64(mix(uint64(i)^1<<63) % uint64(spreadFor.Microseconds())) }
