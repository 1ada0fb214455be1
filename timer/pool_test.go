package timer

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/dulyhq/duly/schedule"
)

// poolFixture is a pool of two processors whose items run their func, in a bubble.
type poolFixture struct {
	*pool
	waiting atomic.Bool // something is pending
	most    int         // workers, at the start of any item
	start   time.Time
}

func newPoolFixture(limit int) *poolFixture {
	x := &poolFixture{start: time.Now()}
	x.waiting.Store(true)
	run := func(_ *worker, it item) {
		x.mu.Lock()
		x.most = max(x.most, len(x.workers))
		x.mu.Unlock()
		it.f()
	}
	x.pool = newPool(limit, run, x.waiting.Load, make([]fireStats, 1))
	x.procs = 2
	if limit > 0 {
		x.procs = min(x.procs, limit)
	}
	return x
}

// do submits n items that run f.
func (x *poolFixture) do(n int, f func()) {
	items := make([]item, n)
	for i := range items {
		items[i].f = f
	}
	x.submit(items)
}

func (x *poolFixture) since() time.Duration { return time.Since(x.start) }

// letPass lets the bubble's time pass, and then everything that this brought about.
func letPass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// end lets all workers go and waits for them.
func (x *poolFixture) end(t *testing.T) {
	t.Helper()
	<-x.close()
	synctest.Wait()
	if workers, busy := x.count(); workers != 0 || busy != 0 {
		t.Errorf("%d workers, %d of them busy, are left after close", workers, busy)
	}
}

// Handlers that have been blocked for long hold up what comes due after them by stallTime and no more.
func TestPool_BlockedHandlersDelayOthersByStallTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newPoolFixture(0)
		block := make(chan struct{})
		x.do(2, func() { <-block })
		letPass(time.Second)
		for range 5 {
			at := time.Now()
			var waited time.Duration
			x.do(1, func() { waited = time.Since(at) })
			letPass(time.Second)
			if waited > stallTime {
				t.Errorf("work waited %v behind blocked handlers, want %v", waited, stallTime)
			}
		}
		if x.most > 3 {
			t.Errorf("the pool grew to %d workers for one item at a time, want 3", x.most)
		}
		close(block)
		x.end(t)
	})
}

// Handlers that begin to block at the very instant at which others come due: whether they block shows after stallTime.
func TestPool_HandlersThatBeginToBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newPoolFixture(0)
		block := make(chan struct{})
		var waited time.Duration
		x.submit([]item{
			{f: func() { <-block }},
			{f: func() { <-block }},
			{f: func() { waited = x.since() }},
		})
		letPass(time.Second)
		if waited == 0 || waited > 2*stallTime {
			t.Errorf("work waited %v behind handlers that began to block, want at most %v", waited, 2*stallTime)
		}
		close(block)
		x.end(t)
	})
}

// A thousand handlers that block at once, each for the others, all get a goroutine, as time.AfterFunc would give them.
func TestPool_ManyBlockingAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newPoolFixture(0)
		const n = 1000
		var started atomic.Int64
		block := make(chan struct{})
		x.do(n, func() {
			if started.Add(1) == n {
				close(block)
			}
			<-block
		})
		<-block
		if took := x.since(); took > 20*stallTime {
			t.Errorf("the last of %d blocking handlers began after %v, want at most %v", n, took, 20*stallTime)
		}
		synctest.Wait()
		if workers, _ := x.count(); workers > x.procs {
			t.Errorf("%d workers stay when all handlers have returned, want at most %d", workers, x.procs)
		}
		x.end(t)
	})
}

// Work that keeps the workers busy but never blocks them for long gets no more of them than there are processors.
func TestPool_DoesNotGrowForCPUBoundWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newPoolFixture(0)
		x.do(10_000, func() { time.Sleep(stallTime / 10) })
		letPass(10 * time.Second)
		if x.most > x.procs {
			t.Errorf("the pool grew to %d workers for work that does not block, want %d", x.most, x.procs)
		}
		x.end(t)
	})
}

// One blocked handler is replaced once, however long the others have work to do.
func TestPool_ReplacesAStuckWorkerOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newPoolFixture(0)
		block := make(chan struct{})
		x.do(1, func() { <-block })
		x.do(10_000, func() { time.Sleep(stallTime / 10) })
		letPass(10 * time.Second)
		if want := x.procs + 1; x.most != want {
			t.Errorf("the pool grew to %d workers, one of them blocked, want %d", x.most, want)
		}
		close(block)
		x.end(t)
	})
}

func TestPool_LimitHolds(t *testing.T) {
	for _, limit := range []int{1, 2, 3, 10} {
		synctest.Test(t, func(t *testing.T) {
			x := newPoolFixture(limit)
			var running, most, done atomic.Int64
			x.do(50, func() {
				n := running.Add(1)
				for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
				}
				time.Sleep(time.Second)
				running.Add(-1)
				done.Add(1)
			})
			letPass(time.Minute)
			if got := most.Load(); got != int64(limit) {
				t.Errorf("limit %d: %d ran at a time", limit, got)
			}
			if got := done.Load(); got != 50 {
				t.Errorf("limit %d: %d of 50 ran", limit, got)
			}
			x.end(t)
		})
	}
}

// A handler that calls runtime.Goexit takes its goroutine with it; the worker goes on with another.
func TestPool_GoexitIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newPoolFixture(1)
		var ran int
		x.do(100, func() {
			ran++
			runtime.Goexit()
		})
		synctest.Wait()
		if ran != 100 {
			t.Errorf("%d of 100 ran", ran)
		}
		if workers, busy := x.count(); workers != 1 || busy != 0 {
			t.Errorf("%d workers, %d of them busy, want one idle", workers, busy)
		}
		x.end(t)
	})
}

// Workers wait as long as something is pending, at most one a processor, and leave when nothing is.
func TestPool_ReleasesIdleWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newPoolFixture(0)
		x.do(100, func() { time.Sleep(10 * time.Millisecond) })
		letPass(time.Second)
		if workers, busy := x.count(); workers != x.procs || busy != 0 || x.most <= x.procs {
			t.Errorf("%d of %d workers stay, %d of them busy, want %d idle", workers, x.most, busy, x.procs)
		}
		x.waiting.Store(false)
		x.release()
		synctest.Wait()
		if workers, _ := x.count(); workers != 0 {
			t.Errorf("%d workers stay with nothing pending", workers)
		}
		x.do(10, func() {}) // and none stays behind that work either
		synctest.Wait()
		if workers, _ := x.count(); workers != 0 {
			t.Errorf("%d workers stay with nothing pending, after the last work", workers)
		}
		x.end(t)
	})
}

// What was pending may end at the very moment at which a worker decides to wait for it.
func TestPool_NoWorkerMissesItsRelease(t *testing.T) {
	x := &poolFixture{}
	x.waiting.Store(true)
	asked := make(chan struct{})
	released := make(chan struct{})
	var once atomic.Bool
	pending := func() bool {
		was := x.waiting.Load()
		if once.CompareAndSwap(false, true) {
			close(asked)
			select { // release either sees no idler and returns, or waits for the pool's lock, which this worker holds
			case <-released:
			case <-time.After(100 * time.Millisecond):
			}
		}
		return was
	}
	x.pool = newPool(1, func(_ *worker, it item) { it.f() }, pending, make([]fireStats, 1))
	x.do(1, func() {})
	<-asked
	x.waiting.Store(false)
	x.release()
	close(released)
	for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		if workers, _ := x.count(); workers == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Error("a worker stays with nothing pending")
			break
		}
	}
	<-x.close()
}

// close waits for what runs and for what is in the queue.
func TestPool_CloseRunsTheQueueFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newPoolFixture(1)
		ran := 0
		x.do(5, func() {
			time.Sleep(time.Second)
			ran++
		})
		gone := x.close()
		time.Sleep(4500 * time.Millisecond)
		synctest.Wait()
		select {
		case <-gone:
			t.Errorf("closed while %d of 5 had run", ran)
		default:
		}
		<-gone
		if ran != 5 || x.since() != 5*time.Second {
			t.Errorf("%d of 5 ran in %v, want all in 5s", ran, x.since())
		}
		x.end(t)
	})
}

func TestQueue_AgreesWithSortedSlice(t *testing.T) {
	checkRapid(t, 200, 100, func(t *rapid.T) {
		var (
			q     queue
			model []item
			seq   uint64
		)
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				if q.len() != len(model) {
					t.Fatalf("length is %d, want %d", q.len(), len(model))
				}
			},
			"push": func(t *rapid.T) {
				prio := rapid.OneOf(rapid.Just(0), rapid.IntRange(-3, 3)).Draw(t, "priority")
				for range rapid.SampledFrom([]int{1, 1, 1, 20}).Draw(t, "number") {
					seq++
					it := item{prio: prio, gen: seq}
					q.push(it)
					model = append(model, it)
				}
				slices.SortStableFunc(model, func(a, b item) int { return cmp.Compare(b.prio, a.prio) })
			},
			"pop": func(t *rapid.T) {
				got, ok := q.pop()
				if ok != (len(model) > 0) {
					t.Fatalf("pop says %v with %d items", ok, len(model))
				}
				if ok && (got.gen != model[0].gen || got.prio != model[0].prio) {
					t.Fatalf("pop is number %d of priority %d, want %d of %d", got.gen, got.prio, model[0].gen, model[0].prio)
				}
				model = model[min(1, len(model)):]
			},
		})
	})
}

// An idle queue keeps neither a burst's memory nor what it carried.
func TestQueue_LetsGoOfBursts(t *testing.T) {
	var q queue
	for range 10_000 {
		q.push(item{f: func() {}})
	}
	for range 10_000 {
		q.pop()
	}
	for _, f := range q.fifos {
		if len(f.ring) > 1024 {
			t.Errorf("an empty queue keeps room for %d items", len(f.ring))
		}
		for i := range f.ring {
			if f.ring[i].f != nil {
				t.Fatal("an empty queue keeps hold of a func")
			}
		}
	}
}

// Tasks that are put, come due and are replaced, over and over, behind a worker that is blocked leave nothing behind.
func TestPool_StaleItemsAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New(Options{Workers: 1})
		gate := make(chan struct{})
		if _, err := e.Put("blocks", schedule.After(0), Plain(func() { <-gate })); err != nil {
			t.Fatal(err)
		}
		var ran []int
		if _, err := e.Put("first", schedule.After(time.Millisecond), Plain(func() { ran = append(ran, -1) })); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		const puts = 5 * pruneSize
		for i := range puts {
			opts := []Option{nil, Track()}[i%2:]
			if opts[0] == nil {
				opts = nil
			}
			if _, err := e.Put("again", schedule.After(0), Plain(func() { ran = append(ran, i) }), opts...); err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // the driver has handed it over
			e.tasks.mu.Lock()
			n := e.tasks.queue.len()
			e.tasks.mu.Unlock()
			if n > pruneSize {
				t.Fatalf("after %d puts %d items wait, want at most %d", i+1, n, pruneSize)
			}
		}
		close(gate)
		if err := e.Wait(t.Context(), AllTasks()); err != nil {
			t.Fatal(err)
		}
		if want := []int{-1, puts - 1}; !slices.Equal(ran, want) {
			t.Errorf("ran %v, want %v", ran, want)
		}
		if _, err := e.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// Whatever the handlers do - nothing, block, sleep, leave by Goexit - each item runs once, whoever holds it.
func TestPool_EveryItemRunsOnce(t *testing.T) {
	checkRapid(t, 100, 30, func(rt *rapid.T) {
		wrong := ""
		synctest.Test(t, func(*testing.T) {
			x := newPoolFixture(rapid.SampledFrom([]int{0, 0, 1, 2, 5}).Draw(rt, "limit"))
			var ran []*atomic.Int32
			for range rapid.IntRange(1, 8).Draw(rt, "bursts") {
				items := make([]item, rapid.SampledFrom([]int{1, 10, 300}).Draw(rt, "size"))
				acts := rapid.SliceOfN(rapid.IntRange(0, 20), 10, 10).Draw(rt, "acts")
				for i := range items {
					runs := new(atomic.Int32)
					ran = append(ran, runs)
					act := acts[i%len(acts)]
					items[i].f = func() {
						runs.Add(1)
						switch act {
						case 0:
							time.Sleep(10 * stallTime)
						case 1:
							time.Sleep(stallTime / 3)
						case 2:
							runtime.Goexit()
						}
					}
				}
				x.submit(items)
				time.Sleep(rapid.SampledFrom([]time.Duration{0, stallTime / 2, 20 * stallTime}).Draw(rt, "pause"))
			}
			<-x.close()
			for i, runs := range ran {
				if n := runs.Load(); n != 1 {
					wrong = fmt.Sprintf("item %d of %d ran %d times", i, len(ran), n)
				}
			}
		})
		if wrong != "" {
			rt.Fatal(wrong)
		}
	})
}

// Timers that no worker has taken are counted when the engine's owner gives up waiting.
func TestPool_AbandonCountsTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newPoolFixture(2)
		x.do(1000, func() {})
		synctest.Wait()
		block := make(chan struct{})
		items := make([]item, 500)
		for i := range items {
			items[i] = item{sh: new(shard), f: func() { <-block }}
		}
		x.submit(items)
		synctest.Wait()
		if got, want := x.abandon(), len(items)-2; got != want {
			t.Errorf("%d timers were abandoned, want %d", got, want)
		}
		close(block)
		x.end(t)
	})
}
