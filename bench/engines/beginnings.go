package engines

import (
	"sync/atomic"
	"time"
)

// Beginnings is what the handlers note: when each task began first, and how often.
type Beginnings struct {
	All chan struct{} // closed when every task has begun

	at   []atomic.Int64 // nanoseconds since 1970, by number; 0 is not yet
	ran  atomic.Int64   // attempts
	once atomic.Int64   // tasks
}

// NewBeginnings is for n tasks, numbered from 0.
func NewBeginnings(n int) *Beginnings {
	return &Beginnings{at: make([]atomic.Int64, n), All: make(chan struct{})}
}

// Note says that a task begins now.
func (b *Beginnings) Note(id uint64) {
	now := time.Now().UnixNano()
	b.ran.Add(1)
	if b.at[id].CompareAndSwap(0, now) && int(b.once.Add(1)) == len(b.at) {
		close(b.All)
	}
}

// Counts gives how many attempts there were, and how many tasks began.
func (b *Beginnings) Counts() (ran, once int) { return int(b.ran.Load()), int(b.once.Load()) }

// Late gives how late each task began that has begun, in no order, and how many of these were early.
func (b *Beginnings) Late(due func(id int) time.Time) (late []time.Duration, early int) {
	for id := range b.at {
		at := b.at[id].Load()
		if at == 0 {
			continue
		}
		d := time.Unix(0, at).Sub(due(id))
		if d < 0 {
			early++
		}
		late = append(late, d)
	}
	return late, early
}
