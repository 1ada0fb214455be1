package duly

import (
	"context"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dulyhq/duly/store"
)

// Lateness is how late an attempt began, in its three parts. None is negative.
type Lateness struct {
	Wake  time.Duration // from when it was due until the scheduler saw that
	Slot  time.Duration // from then until a worker was free, and its key and kind
	Claim time.Duration // from then until the store had granted the lease
}

// Total returns the sum of the parts.
func (l Lateness) Total() time.Duration { return l.Wake + l.Slot + l.Claim }

// A Histogram counts durations. Bucket i holds those of less than 2^i microseconds that the bucket before does not hold; the last one
// holds the rest.
type Histogram struct { //nolint:recvcheck // it is counted in place, and read as a copy
	Count   uint64
	Sum     time.Duration
	Buckets [HistogramBuckets]uint64
}

// HistogramBuckets is how many buckets a Histogram has: the last but one ends at 19 hours.
const HistogramBuckets = 38

// Bound returns the end of bucket i.
func (h Histogram) Bound(i int) time.Duration { return time.Microsecond << i }

func (h *Histogram) add(d time.Duration) {
	d = max(d, 0)
	h.Count++
	h.Sum += d
	h.Buckets[min(bits.Len64(uint64(d/time.Microsecond)), HistogramBuckets-1)]++
}

// Quantile returns the end of the bucket that the q-th part of what was counted lies in, 0 if nothing was. It is up to twice too long.
func (h Histogram) Quantile(q float64) time.Duration {
	want := uint64(q * float64(h.Count))
	var n uint64
	for i, b := range h.Buckets {
		if n += b; n > want || n == h.Count && n > 0 {
			return h.Bound(i)
		}
	}
	return 0
}

// KindStats are counted since the scheduler was made, for a kind.
type KindStats struct {
	Started   uint64 // attempts
	Succeeded uint64 // runs that are done
	Failed    uint64 // attempts that are to be followed by another
	Snoozed   uint64
	Dead      uint64 // runs
	Cancelled uint64 // runs that were asked to stop, or not to be tried again, and have ended
	Lost      uint64 // leases of dead or hanging processes that were found here to be over
	Fenced    uint64 // attempts whose outcome came after their lease was lost
	Skipped   uint64 // occurrences that were passed by
	Expired   uint64
	Early     uint64 // attempts that began before they were due: 0
	Running   int64  // attempts, now

	Wake, Slot, Claim, Total Histogram // lateness, by its parts and in all
}

// Stats are what a scheduler has counted since it was made, and what it knows of its store. Shards, Near, Overdue and Unhandled are 0
// while Run does not run. Kinds holds every kind that is handled, and those that are declared or were met, up to 1,000; "(other kinds)" are the rest.
type Stats struct {
	Kinds       map[string]KindStats
	StoreErrors uint64        // calls of the running scheduler that the store failed
	Shards      int           // how many of the store's 256 are this process's to run; all, if the store is not divided among processes
	Near        int           // tasks in memory
	Overdue     Backlog       // what waits for a worker, its key, its kind or the store; at least, of more than fit into memory
	Unhandled   Backlog       // what waits for somebody who handles its kind, as last seen here; of more than 16,384 so many
	Store       store.Stats   // as the store counts them
	ClockOffset time.Duration // how far the store's clock is ahead of this process's wall clock
	Uncertainty time.Duration // how far that may be off; 0 of a store in this process
}

// stats count. They have a lock of their own, which is a leaf.
type stats struct {
	storeErrors atomic.Uint64
	mu          sync.Mutex
	kinds       map[string]*KindStats
}

// Whoever may put tasks names kinds: beyond mostKinds those that nobody handles are counted together.
const (
	mostKinds  = 1000
	otherKinds = "(other kinds)"
)

// know makes sure that there are numbers of a kind, though they are 0.
func (s *stats) know(kind string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kinds[kind] == nil {
		s.kinds[kind] = &KindStats{}
	}
}

// declared is know, as long as there are not too many.
func (s *stats) declared(kind string) { s.count(kind, func(*KindStats) {}) }

func (s *stats) init() { s.kinds = map[string]*KindStats{} }

func (s *stats) count(kind string, f func(k *KindStats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kinds[kind]
	if k == nil && len(s.kinds) >= mostKinds {
		kind = otherKinds
		k = s.kinds[kind]
	}
	if k == nil {
		k = &KindStats{}
		s.kinds[kind] = k
	}
	f(k)
}

func (s *stats) started(kind string, l Lateness) {
	s.count(kind, func(k *KindStats) {
		k.Started++
		k.Running++
		if l.Total() < 0 {
			k.Early++
		}
		k.Wake.add(l.Wake)
		k.Slot.add(l.Slot)
		k.Claim.add(l.Claim)
		k.Total.add(l.Total())
	})
}

func (s *stats) ended(kind string, verb store.Verb, state store.State) {
	s.count(kind, func(k *KindStats) {
		k.Running--
		switch {
		case state == store.Done:
			k.Succeeded++
		case state == store.Dead:
			k.Dead++
		case state == store.Cancelled:
			k.Cancelled++
		case verb == store.VerbSnooze:
			k.Snoozed++
		default:
			k.Failed++
		}
	})
}

func (s *stats) fenced(kind string) {
	s.count(kind, func(k *KindStats) {
		k.Running--
		k.Fenced++
	})
}

func (s *stats) edited(kind string, e *store.Edit, became store.State) {
	s.count(kind, func(k *KindStats) {
		switch {
		case e.Verb == store.VerbSkip && e.State == store.Expired:
			k.Expired++
		case e.Verb == store.VerbSkip:
			k.Skipped += uint64(max(e.Missed, 1))
		case e.Verb == store.VerbRescue:
			k.Lost++
		}
		if became == store.Dead {
			k.Dead++
		}
		if became == store.Cancelled { // it was lost, and not to be tried again
			k.Cancelled++
		}
	})
}

// Stats returns counters. The store is asked for its own; with an error they are missing, and what this process has counted is there all
// the same.
func (s *Scheduler) Stats(ctx context.Context) (Stats, error) {
	c := s.core
	all := Stats{
		Kinds: map[string]KindStats{}, StoreErrors: c.stats.storeErrors.Load(),
	}
	all.ClockOffset, all.Uncertainty = c.offset()
	err := c.recheck(ctx)
	c.mu.Lock()
	if r := c.running; r != nil {
		now := c.now()
		all.Shards, all.Near, all.Overdue = r.shardsLocked(), len(r.window.entries), r.overdueLocked(now)
		for _, s := range r.strange {
			all.Unhandled.add(s.since, now)
		}
	}
	c.mu.Unlock()
	c.stats.mu.Lock()
	for name, k := range c.stats.kinds {
		all.Kinds[name] = *k
	}
	c.stats.mu.Unlock()
	if err != nil {
		return all, err
	}
	st, err := c.store.Stats(ctx)
	if err != nil {
		return all, err
	}
	if err = c.fresh(ctx); err == nil && !c.tuning.Load().far {
		_, err = c.store.Clock(ctx) // whoever asks whether the store works wants to know of this, too
	}
	if err != nil {
		return all, err
	}
	all.Store = st
	all.ClockOffset, all.Uncertainty = c.offset()
	return all, nil
}
