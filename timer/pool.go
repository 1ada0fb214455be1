package timer

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// An item is something due, on its way from the driver to a worker: the func of an unnamed timer, which has left the
// engine, or a reference to a task, which is claimed by the worker that takes it.
type item struct {
	f     func()
	sh    *shard
	rec   *record // nil for a plain task
	gen   uint64  // the task's generation
	due   int64   // boot time
	at    int64   // boot time at which the driver saw it
	token uint32  // the record's; 0 for a plain task
	idx   uint32
	prio  int
	key   *keyWaiter // set if the task's key was granted to it
}

// stale says that the task was cancelled, moved or replaced since. An item that carries a key's grant must be taken all the
// same, to give the grant back.
func (it *item) stale() bool {
	return it.rec != nil && it.key == nil && it.rec.token.Load() != it.token
}

// stallTime is how long work may wait while no worker is idle before the pool grows.
const stallTime = time.Millisecond

// A pool runs what is due on goroutines that are reused. It starts workers up to the number of processors as work comes;
// beyond that it grows only when work has waited for stallTime, which means that workers are blocked in handlers. Idle
// workers wait while anything is pending, and leave when nothing is. The pool's lock is a leaf: nothing else is locked
// under it.
type pool struct {
	run     func(*worker, item)
	cells   []fireStats // each worker counts in one of them
	pending func() bool // whether the engine has anything to wait for
	limit   int         // of workers; 0 is none
	procs   int

	mu      sync.Mutex
	queue   queue
	idle    []*worker
	workers []*worker
	dog     *time.Timer // the watch over waiting work; armed says whether it will come
	armed   bool
	closing bool
	gone    chan struct{} // closed when closing and the last worker has left

	idlers atomic.Int32 // len(idle), to be read without the lock
}

type worker struct {
	p     *pool
	cell  *fireStats
	wake  chan struct{}
	place int    // in p.workers
	runs  uint64 // started
	seen  uint64 // runs, when the watch began
	busy  bool
}

func newPool(limit int, run func(*worker, item), pending func() bool, cells []fireStats) *pool {
	procs := runtime.GOMAXPROCS(0)
	if limit > 0 {
		procs = min(procs, limit)
	}
	return &pool{run: run, pending: pending, cells: cells, limit: limit, procs: procs, gone: make(chan struct{})}
}

// submit hands over what is due, in order.
func (p *pool) submit(items []item) {
	if len(items) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range items {
		p.queue.push(items[i])
	}
	p.queue.prune()
	for n := min(p.queue.len(), p.procs); n > 0; n-- {
		if !p.wakeOneLocked() && (len(p.workers) >= p.procs || !p.growLocked()) {
			break
		}
	}
	p.watchLocked()
}

func (p *pool) wakeOneLocked() bool {
	n := len(p.idle)
	if n == 0 {
		return false
	}
	w := p.idle[n-1]
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	p.idlers.Store(int32(n - 1))
	w.wake <- struct{}{}
	return true
}

func (p *pool) growLocked() bool {
	if p.limit > 0 && len(p.workers) >= p.limit {
		return false
	}
	w := &worker{p: p, wake: make(chan struct{}, 1), place: len(p.workers)}
	w.cell = &p.cells[w.place%len(p.cells)]
	p.workers = append(p.workers, w)
	go w.loop()
	return true
}

// watchLocked has the queue looked at after stallTime, if anything waits and the pool could grow.
func (p *pool) watchLocked() {
	if p.armed || p.queue.len() == 0 || p.limit > 0 && len(p.workers) >= p.limit {
		return
	}
	p.armed = true
	for _, w := range p.workers {
		w.seen = w.runs
	}
	if p.dog == nil {
		p.dog = time.AfterFunc(stallTime, p.look)
		return
	}
	p.dog.Reset(stallTime)
}

// look grows the pool for work that waits behind blocked handlers. A worker that has been in the same run since the watch
// began is stuck. If all are, they are joined by twice as many: whoever blocks many handlers at once gets many goroutines
// within milliseconds, as time.AfterFunc would have given. If some are, only as many come as there are processors for
// those that are not. Workers that were started or woken and have not got to run yet are help enough: there the machine
// is behind, not the pool.
func (p *pool) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed = false
	waiting := p.queue.len()
	if waiting == 0 {
		return
	}
	stuck, busy := 0, 0
	for _, w := range p.workers {
		if w.busy {
			busy++
			if w.seen == w.runs {
				stuck++
			}
		}
	}
	grow := 0
	switch coming := len(p.workers) - len(p.idle) - busy; {
	case coming > 0:
	case stuck == busy:
		grow = max(p.procs, 2*stuck)
	default:
		grow = p.procs - (busy - stuck)
	}
	for range min(grow, waiting) {
		if !p.wakeOneLocked() && !p.growLocked() {
			break
		}
	}
	p.watchLocked()
}

// take returns the next item; it waits for one while the engine has anything pending. False ends the worker.
func (p *pool) take(w *worker) (item, bool) {
	p.mu.Lock()
	for {
		if it, ok := p.queue.pop(); ok {
			w.runs++
			w.busy = true
			p.mu.Unlock()
			return it, true
		}
		w.busy = false
		p.idlers.Store(int32(len(p.idle) + 1)) // before pending is asked; release looks at the two in the other order
		if p.closing || !p.pending() || len(p.idle) >= p.procs {
			p.idlers.Store(int32(len(p.idle)))
			p.removeLocked(w)
			p.mu.Unlock()
			return item{}, false
		}
		p.idle = append(p.idle, w)
		p.mu.Unlock()
		<-w.wake
		p.mu.Lock()
	}
}

func (p *pool) removeLocked(w *worker) {
	last := len(p.workers) - 1
	p.workers[w.place] = p.workers[last]
	p.workers[w.place].place = w.place
	p.workers[last] = nil
	p.workers = p.workers[:last]
	if last == 0 {
		p.workers = nil
	}
	p.goneLocked()
}

func (p *pool) goneLocked() {
	if p.closing && len(p.workers) == 0 && p.queue.len() == 0 {
		if p.dog != nil {
			p.dog.Stop()
		}
		select {
		case <-p.gone:
		default:
			close(p.gone)
		}
	}
}

// loop is a worker's life. A handler that calls runtime.Goexit takes the goroutine with it; another takes its place.
func (w *worker) loop() {
	ended := false
	defer func() {
		if !ended {
			w.p.mu.Lock()
			w.wake = make(chan struct{}, 1)
			go w.loop()
			w.p.mu.Unlock()
		}
	}()
	for {
		it, ok := w.p.take(w)
		if !ok {
			ended = true
			return
		}
		w.p.run(w, it)
	}
}

// release lets idle workers go; the engine calls it when nothing is pending any more.
func (p *pool) release() {
	if p.idlers.Load() == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.wakeOneLocked() {
	}
}

// close lets all workers go once the queue is empty. The channel is closed when they have.
func (p *pool) close() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closing = true
	for p.wakeOneLocked() {
	}
	p.goneLocked()
	return p.gone
}

// abandon drops what no worker has taken, and says how many unnamed timers' functions were among it: for those who wait no
// longer and have said that nothing more starts. Tasks that are dropped here are pending in their shards.
func (p *pool) abandon() (timers int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		it, ok := p.queue.pop()
		if !ok {
			break
		}
		if it.f != nil && it.sh != nil {
			timers++
		}
	}
	if p.dog != nil {
		p.dog.Stop()
		p.armed = false
	}
	p.goneLocked()
	return timers
}

// A queue holds items by priority, and first in, first out within one.
type queue struct {
	fifos  []fifo // by falling priority; nearly always there is one
	size   int
	pruned int // size when stale items were dropped last
}

const pruneSize = 1024

// prune drops stale items when the queue has doubled since it last did: tasks that are put and replaced over and over behind
// workers that are blocked for long must not fill the memory.
func (q *queue) prune() {
	if q.size < max(pruneSize, 2*q.pruned) {
		q.pruned = min(q.pruned, q.size)
		return
	}
	for i := range q.fifos {
		f := &q.fifos[i]
		q.size -= f.n
		for range f.n {
			if it := f.pop(); !it.stale() {
				f.push(it)
			}
		}
		q.size += f.n
	}
	q.pruned = q.size
}

func (q *queue) len() int { return q.size }

func (q *queue) push(it item) {
	i, ok := slices.BinarySearchFunc(q.fifos, it.prio, func(f fifo, prio int) int {
		switch {
		case f.prio > prio:
			return -1
		case f.prio < prio:
			return 1
		}
		return 0
	})
	if !ok {
		q.fifos = slices.Insert(q.fifos, i, fifo{prio: it.prio})
	}
	q.fifos[i].push(it)
	q.size++
}

func (q *queue) pop() (item, bool) {
	if q.size == 0 {
		return item{}, false
	}
	q.size--
	for i := 0; ; i++ {
		if f := &q.fifos[i]; f.n > 0 {
			it := f.pop()
			if f.n == 0 && (len(q.fifos) > 1 || len(f.ring) > 1024) {
				q.fifos = slices.Delete(q.fifos, i, i+1)
			}
			return it, true
		}
	}
}

// A fifo is a ring that doubles.
type fifo struct {
	prio    int
	ring    []item
	head, n int
}

func (f *fifo) push(it item) {
	if f.n == len(f.ring) {
		grown := make([]item, max(8, 2*f.n))
		k := copy(grown, f.ring[f.head:])
		copy(grown[k:], f.ring[:f.head])
		f.ring, f.head = grown, 0
	}
	f.ring[(f.head+f.n)&(len(f.ring)-1)] = it
	f.n++
}

func (f *fifo) pop() item {
	it := f.ring[f.head]
	f.ring[f.head] = item{}
	f.head = (f.head + 1) & (len(f.ring) - 1)
	f.n--
	return it
}
