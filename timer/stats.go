package timer

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// stats are the engine's counters.
type stats struct {
	wakeups, rearms, overran, failed, skipped, panics, refusals, hooksLost, expired atomic.Uint64

	cells []fireStats
}

// fireStats count starts. Workers count in cells of their own, so that they do not fight for a cache line.
type fireStats struct {
	fires, early atomic.Uint64

	lateness, wakeLate, slotLate histogram
	_                            [64]byte
}

const maxCells = 8

// fired counts a start: when it was due, when the driver saw that, and when it began, in boot time.
func (s *fireStats) fired(due, seen, started int64) {
	s.fires.Add(1)
	if started < due {
		s.early.Add(1)
	}
	s.lateness.add(started - due)
	s.wakeLate.add(seen - due)
	s.slotLate.add(started - seen)
}

// Stats are counts since the engine was made, but for Pending and Running, which are as of now.
type Stats struct {
	Name       string
	Pending    int    // timers and tasks that have not started; a recurring task counts while it recurs
	Running    int    // handlers under way
	Goroutines int    // workers, busy or idle
	Wakeups    uint64 // how often the driver woke
	Rearms     uint64 // how often something earlier made it set its alarm again
	Fires      uint64 // starts
	Expired    uint64 // deadlines of Expire that came
	Early      uint64 // starts before the due time: 0, or the engine is broken
	Overran    uint64 // runs that ended later than their Timeout
	Failed     uint64 // runs that ended with an error, a panic or a runtime.Goexit
	Skipped    uint64 // occurrences that were dropped
	Panics     uint64 // panics and runtime.Goexits, unnamed timers' too
	Refused    uint64 // calls of AfterFunc that scheduled nothing
	HooksLost  uint64 // events that hooks were not told

	Lateness Histogram // start less due: what a user waits beyond the due time
	Wake     Histogram // of this, until the driver saw that the task was due
	Slot     Histogram // of this, until a worker, and the task's key, were free
}

// Stats returns the engine's counts. It locks one shard after the other, so that they need not be of one moment.
func (e *Engine) Stats() Stats {
	s := Stats{
		Name:    e.opts.Name,
		Wakeups: e.wakeups.Load(), Rearms: e.rearms.Load(),
		Overran: e.overran.Load(), Failed: e.failed.Load(), Skipped: e.skipped.Load(), Panics: e.panics.Load(), Refused: e.refusals.Load(),
		HooksLost: e.hooksLost.Load(), Expired: e.expired.Load(),
	}
	for i := range e.cells {
		c := &e.cells[i]
		s.Fires += c.fires.Load()
		s.Early += c.early.Load()
		c.lateness.addTo(&s.Lateness)
		c.wakeLate.addTo(&s.Wake)
		c.slotLate.addTo(&s.Slot)
	}
	for i := range e.shards {
		s.Pending += e.shards[i].pending()
	}
	workers, busy := e.timers.count()
	if e.tasks != e.timers {
		w, b := e.tasks.count()
		workers, busy = workers+w, busy+b
	}
	s.Goroutines, s.Running = workers, busy
	return s
}

// pending counts entries but for those that only stand for runs under way.
func (sh *shard) pending() int {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	n := sh.slab.live - sh.later.gone
	seen := make(map[uint32]bool)
	for run := sh.runs.head; run != nil; run = run.next {
		if run.timeout != nilIdx {
			n--
		}
		idx := run.rec.idx
		if seen[idx] {
			continue
		}
		seen[idx] = true
		if en := sh.slab.get(idx); en != nil {
			if r, ok := en.what.(*record); ok && (r.ended || r.endsWithRun()) && len(r.runs) > 0 {
				n--
			}
		}
	}
	return n
}

func (p *pool) count() (workers, busy int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.workers {
		if w.busy {
			busy++
		}
	}
	return len(p.workers), busy
}

// histogram counts durations in buckets that are at most a quarter wide of what they hold: two bits below the highest.
type histogram struct {
	buckets [histBuckets]atomic.Uint64
	sum     atomic.Int64
	max     atomic.Int64
}

const histBuckets = 4 * 62

func bucketOf(d int64) int {
	if d < 4 {
		return int(max(d, 0))
	}
	top := bits.Len64(uint64(d)) - 1
	return 4*(top-1) + int(d>>(top-2)&3)
}

// bucketEnd is the largest duration that a bucket holds.
func bucketEnd(i int) int64 {
	if i < 4 {
		return int64(i)
	}
	top := i/4 + 1
	if top >= 62 && i%4 == 3 {
		return math.MaxInt64
	}
	return int64(i%4+5)<<(top-2) - 1
}

func (h *histogram) add(d int64) {
	h.buckets[bucketOf(d)].Add(1)
	h.sum.Add(d)
	for {
		old := h.max.Load()
		if d <= old || h.max.CompareAndSwap(old, d) {
			return
		}
	}
}

func (h *histogram) addTo(out *Histogram) {
	out.Sum += time.Duration(h.sum.Load())
	out.Max = max(out.Max, time.Duration(h.max.Load()))
	for i := range h.buckets {
		n := h.buckets[i].Load()
		out.counts[i] += n
		out.Count += n
	}
}

// Histogram is a distribution of durations, kept without samples: any quantile is at most a quarter too high, never too
// low. The zero value is empty.
type Histogram struct {
	Count    uint64
	Sum, Max time.Duration

	counts [histBuckets]uint64
}

// Quantile returns a duration that at least the share q of all did not exceed: at most a quarter above the true one. It
// is 0 for an empty histogram; q is cut to 0..1.
func (h Histogram) Quantile(q float64) time.Duration {
	if h.Count == 0 {
		return 0
	}
	want := max(1, uint64(math.Ceil(min(max(q, 0), 1)*float64(h.Count))))
	for i, n := range h.counts {
		if n >= want {
			return min(time.Duration(bucketEnd(i)), h.Max)
		}
		want -= n
	}
	return h.Max
}
