package main

import (
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/dulyhq/duly/bench/figures"
)

// recorder takes down when each of n timers was due and when it fired. Instants are kept as the time since base.
type recorder struct {
	base  time.Time
	due   []int64 // written before the timer is armed
	late  []int64 // written by the callback
	fired atomic.Int64
	peak  atomic.Int64 // of goroutines
	idle  int64        // goroutines before the first timer
	last  atomic.Int64 // when the last one fired
	all   chan struct{}
}

func newRecorder(n int) *recorder {
	return &recorder{
		base: time.Now(),
		due:  make([]int64, n), late: make([]int64, n),
		idle: int64(runtime.NumGoroutine()),
		all:  make(chan struct{}),
	}
}

func (r *recorder) now() int64 { return int64(time.Since(r.base)) }

// task gives the callback of timer i. Every so many callbacks look at the number of goroutines: asking from outside would need
// a timer of its own.
func (r *recorder) task(i int) task {
	return newTask(func() {
		now := r.now()
		r.late[i] = now - r.due[i]
		if i%256 == 0 {
			raise(&r.peak, int64(runtime.NumGoroutine())-r.idle)
		}
		if int(r.fired.Add(1)) == len(r.late) {
			r.last.Store(now)
			close(r.all)
		}
	})
}

func (r *recorder) tasks() []task {
	all := make([]task, len(r.due))
	for i := range all {
		all[i] = r.task(i)
	}
	return all
}

// arm notes that timer i is due at an instant, and gives the delay until then.
func (r *recorder) arm(i int, due int64) time.Duration {
	r.due[i] = due
	return time.Duration(due - r.now())
}

// wait waits until all have fired, or gives up: then the sample says so by fired and added.
func (r *recorder) wait(patience time.Duration) {
	select {
	case <-r.all:
	case <-time.After(patience):
		r.last.CompareAndSwap(0, r.now())
	}
}

// values gives the lateness of what has fired.
func (r *recorder) values() values {
	v := values{
		keyFired: float64(r.fired.Load()), keyAdded: float64(len(r.due)), keyPeak: float64(r.peak.Load()),
	}
	select {
	case <-r.all:
	default:
		return v // late is still being written
	}
	var early float64
	for _, l := range r.late {
		if l < 0 {
			early++
		}
	}
	v[keyEarly] = early
	slices.Sort(r.late)
	for key, q := range map[string]float64{keyP50: 0.5, keyP99: 0.99, keyMax: 1} {
		v[key] = float64(figures.Quantile(r.late, q)) / 1e6
	}
	return v
}

func raise(to *atomic.Int64, v int64) {
	for old := to.Load(); v > old && !to.CompareAndSwap(old, v); old = to.Load() {
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// latenessFigures are what the lines of firing timers show.
func latenessFigures(p99 ...goal) []figure {
	return []figure{
		{key: keyP50, title: "lateness p50", unit: "ms", digits: 3},
		{key: keyP99, title: "lateness p99", unit: "ms", digits: 3, goals: p99},
		{key: keyMax, title: "lateness max", unit: "ms", digits: 3},
		{key: keyEarly, title: "fired early", goals: []goal{{limit: 0, text: "0"}}},
	}
}
