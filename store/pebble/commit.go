package pebble

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	pdb "github.com/cockroachdb/pebble/v2"

	"github.com/dulyhq/duly/store"
)

// batchMost is how many bytes a batch takes before it is closed. Rows of a call that is larger go into the next.
const batchMost = 4 << 20

// A call is a method's, handed to the committer.
type call struct {
	rows  int
	apply func(w *writer, i int) // works out row i and writes down its answer
	next  int                    // rows that are worked out
	taken atomic.Int32           // who has it: see below
	err   error                  // of the whole call; written before done
	done  chan struct{}
	gone  bool // the caller has stopped waiting; under buildMu
	split bool // an earlier batch holds its first rows
}

const (
	callWaits int32 = iota
	callTaken
	callWithdrawn
)

// A group is what one batch holds.
type group struct {
	batch  *pdb.Batch
	calls  []*call // those whose last row is in it
	n      uint64  // number of the batch
	low    store.Instant
	shards store.Shards
}

// do hands rows in and waits for the answer.
func (c *core) do(ctx context.Context, op string, rows int, apply func(w *writer, i int)) error {
	x, _ := c.free.Get().(*call)
	if x == nil {
		x = &call{done: make(chan struct{}, 1)}
	}
	x.rows, x.apply, x.next, x.err, x.gone, x.split = rows, apply, 0, nil, false, false
	x.taken.Store(callWaits)
	c.qmu.Lock()
	if c.ending {
		c.qmu.Unlock()
		return c.ended(op)
	}
	c.queue = append(c.queue, x)
	if c.away > 0 {
		if c.away--; c.away == 0 {
			c.back.Set()
		}
	}
	if len(c.queue) == 1 {
		c.wake.Signal()
	}
	c.qmu.Unlock()
	select {
	case <-x.done:
	case <-ctx.Done():
		if x.taken.CompareAndSwap(callWaits, callWithdrawn) {
			return &store.Error{Op: op, Err: context.Cause(ctx)}
		}
		c.buildMu.Lock() // from here on nobody looks at the rows any more
		x.gone = true
		c.buildMu.Unlock()
		select {
		case <-x.done:
		default:
			return store.Unknown(op, ctx)
		}
	}
	err := x.err
	x.apply = nil
	c.free.Put(x)
	if err != nil {
		return &store.Error{Op: op, Err: err}
	}
	return nil
}

func (c *core) ended(op string) error {
	err := c.failed()
	if err == nil {
		err = store.ErrClosed
	}
	return &store.Error{Op: op, Err: err}
}

func (x *call) answer(err error) {
	x.err = err
	x.done <- struct{}{}
}

// refuse answers a call whose last rows were not handed to the database.
func (x *call) refuse(err error) {
	if x.split {
		err = fmt.Errorf("%w: %w", err, store.ErrUnknown)
	}
	x.answer(err)
}

// commit is the committer: it builds batches out of calls, and has one synced after the other. While one is, it builds the next.
func (c *core) commit() {
	w := newWriter(c)
	var rest []*call // taken, and not worked out to the end
	for {
		var idle, ending bool
		rest, idle, ending = c.take(w, rest)
		if err := c.failed(); err != nil {
			c.abandon(w, rest, err)
			break
		}
		rest = c.build(w, rest)
		if !w.empty() && idle {
			if c.s.o.Durability == Sync {
				rest = c.gather(w, rest)
			}
			c.write(w)
			continue
		}
		if ending && w.empty() && len(rest) == 0 {
			break
		}
	}
	close(c.syncs)
}

// take waits for something to do, and puts it behind rest. Idle says that no sync is under way.
func (c *core) take(w *writer, rest []*call) (_ []*call, idle, ending bool) {
	c.qmu.Lock()
	defer c.qmu.Unlock()
	for {
		free := !c.inflight
		work := len(c.queue) > 0 || len(rest) > 0
		if work && (free || !w.full()) || free && !w.empty() || c.ending && free {
			break
		}
		c.wake.Wait()
	}
	if !w.full() || !c.inflight {
		rest = c.takeLocked(rest)
	}
	return rest, !c.inflight, c.ending
}

func (c *core) takeLocked(rest []*call) []*call {
	rest = append(rest, c.queue...)
	clear(c.queue)
	c.queue = c.queue[:0]
	return rest
}

// build works rows out until all are, or the batch is full.
func (c *core) build(w *writer, calls []*call) []*call {
	c.buildMu.Lock()
	defer c.buildMu.Unlock()
	w.look()
	for i, x := range calls {
		if x.next == 0 && !x.taken.CompareAndSwap(callWaits, callTaken) {
			continue // withdrawn
		}
		for x.next < x.rows && !x.gone {
			if w.full() {
				x.split = x.next > 0
				return calls[i:]
			}
			x.apply(w, x.next)
			x.next++
		}
		if !x.gone {
			w.calls = append(w.calls, x)
		}
	}
	return calls[:0]
}

// slowSync is from when on a sync is so slow that it is worth a wait to let more calls share the next.
const slowSync = 500 * time.Microsecond

// gather lets those who were just answered come back with their next call, so that one sync serves them all: with two groups in turn
// each would wait for two. It gives way until nobody comes; after a slow sync it also waits until as many have come as were
// answered, for an eighth of what that took.
func (c *core) gather(w *writer, rest []*call) []*call {
	rest = c.drain(w, rest)
	c.qmu.Lock()
	took := c.took
	c.qmu.Unlock()
	if took >= slowSync && !w.full() {
		_ = c.back.WaitFor(took / 8) // whether they are back or not, it goes on
		rest = c.drain(w, rest)
	}
	return rest
}

// drain works out what comes until nothing does any more.
func (c *core) drain(w *writer, rest []*call) []*call {
	for still := 0; still < 2 && !w.full() && len(rest) == 0; {
		runtime.Gosched()
		c.qmu.Lock()
		rest = c.takeLocked(rest)
		c.qmu.Unlock()
		if len(rest) == 0 {
			still++
			continue
		}
		still = 0
		rest = c.build(w, rest)
	}
	return rest
}

// write hands the batch to the database and publishes what is in it; the syncer answers.
func (c *core) write(w *writer) {
	g := w.group()
	if g.batch.Empty() { // answers that change nothing, or nothing that is stored
		c.publish(w, g)
		c.settle(g, nil, false)
		return
	}
	if err := c.apply(g); err != nil {
		err = c.fail(err)
		c.settle(g, fmt.Errorf("%w: %w", err, store.ErrUnknown), true)
		return
	}
	c.publish(w, g)
	c.refill()
	if c.s.o.Durability != Sync {
		c.settle(g, nil, true)
		return
	}
	c.qmu.Lock()
	c.inflight = true
	c.qmu.Unlock()
	c.syncs <- g
}

// apply writes a batch to the log and makes it readable: who reads from now on waits until it is synced. A panic underneath is an error.
func (c *core) apply(g *group) (err error) {
	c.mu.Lock()
	c.handed = c.st.batches
	c.mu.Unlock()
	defer func() {
		if v := recover(); v != nil {
			err = caught(v)
		}
	}()
	if c.s.o.Durability == Sync {
		err = c.db.ApplyNoSyncWait(g.batch, pdb.Sync)
	} else {
		err = c.db.Apply(g.batch, pdb.NoSync)
	}
	if err == nil {
		err = c.failed()
	}
	return err
}

// publish makes what a batch has written known to readers and to those who scan.
func (c *core) publish(w *writer, g *group) {
	c.mu.Lock()
	defer c.mu.Unlock()
	horizon := w.m.Now + near
	for k, e := range w.keys {
		_, known := c.hot[k]
		switch {
		case e.t == nil:
			c.forget(k)
		case e.overlay, known, e.pos <= horizon:
			c.keep(k, e)
		}
		if e.t != nil {
			c.floor = min(c.floor, e.pos)
		}
		for sc := range c.scans {
			sc.dirty[k] = struct{}{}
			if e.t != nil {
				sc.low = min(sc.low, e.pos)
			}
		}
	}
	c.cool()
	c.stats, c.running = c.st, c.running+w.running
	g.n = c.stats.batches
	c.hours = w.tell(c.hours)
	w.reset()
}

// cool forgets tasks if too many are remembered, or too large ones. Which ones does not matter: it only costs a read.
func (c *core) cool() {
	if len(c.hot) <= hotMost && c.warm <= warmMost {
		return
	}
	n := len(c.hot) - hotMost*7/8
	for k, e := range c.hot {
		if n <= 0 && c.warm <= warmMost*7/8 {
			return
		}
		if !e.overlay {
			c.forget(k)
		}
		n--
	}
}

// sync is the syncer: it waits for syncs, in order, and answers.
func (c *core) sync() {
	defer close(c.done)
	for g := range c.syncs {
		begun := c.s.o.Clock.Read().Boot
		err := c.wait(g)
		took := time.Duration(c.s.o.Clock.Read().Boot - begun)
		if err != nil {
			err = fmt.Errorf("%w: %w", c.fail(err), store.ErrUnknown)
		} else {
			c.durable(g.n)
		}
		c.qmu.Lock()
		if c.away = len(g.calls); c.away > 0 {
			c.back.Clear()
		}
		c.qmu.Unlock()
		c.settle(g, err, true)
		c.qmu.Lock()
		c.inflight, c.took = false, took
		c.wake.Signal()
		c.qmu.Unlock()
	}
}

func (c *core) wait(g *group) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = caught(v)
		}
	}()
	if err := g.batch.SyncWait(); err != nil {
		return err
	}
	return c.failed() // what was told of the sync may not be true
}

// settle answers the calls of a group.
func (c *core) settle(g *group, err error, written bool) {
	if err == nil {
		if written {
			c.syncedTo(g.n)
		}
		c.s.hints.Tell(store.Hint{Shards: g.shards, At: g.low})
	}
	for _, x := range g.calls {
		x.answer(err)
	}
	if err == nil {
		_ = g.batch.Close() // it was applied: there is nothing left to fail
	}
}

// abandon answers everything that was not handed to the database, and lets nothing else in.
func (c *core) abandon(w *writer, rest []*call, err error) {
	for _, x := range w.calls {
		x.refuse(err)
	}
	for _, x := range rest {
		if x.taken.Load() == callTaken || x.taken.CompareAndSwap(callWaits, callTaken) {
			x.refuse(err)
		}
	}
	c.qmu.Lock()
	c.ending = true
	queue := c.queue
	c.queue = nil
	c.qmu.Unlock()
	for _, x := range queue {
		if x.taken.CompareAndSwap(callWaits, callTaken) {
			x.answer(err)
		}
	}
}
