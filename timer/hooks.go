package timer

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/dulyhq/duly/clock"
)

// Hooks are told what happens to named tasks, each by a func that may be nil. They are called one after the other, in the
// order in which things happened, on a goroutine of their own: a slow hook delays other hooks and nothing else. A hook
// that falls behind by more than 65,536 events loses the newest, which Stats counts. A hook that panics is logged. Hooks
// must not call Drain or Close, which wait for them.
type Hooks struct {
	Scheduled func(Event) // accepted by Put or Move
	Started   func(Event)
	Finished  func(Event) // a run returned nil
	Failed    func(Event) // a run returned an error, panicked or called runtime.Goexit
	Skipped   func(Event) // occurrences were dropped: Count says how many, Reason why
	Cancelled func(Event) // cancelled, replaced or dropped by Close
}

// EventKind says what happened.
type EventKind uint8

// The kinds of events, one for each hook.
const (
	EventScheduled EventKind = iota
	EventStarted
	EventFinished
	EventFailed
	EventSkipped
	EventCancelled
)

func (k EventKind) String() string {
	return [...]string{"scheduled", "started", "finished", "failed", "skipped", "cancelled"}[k]
}

// Event is what a hook is told. Instants are by the wall clock as it was set at the event.
type Event struct {
	Kind         EventKind
	Name         string
	Generation   uint64
	At           time.Time // when it happened
	ScheduledFor time.Time // the occurrence it is about, if any; zero if none lies ahead
	Due          time.Time
	Missed       int64 // occurrences folded into the run
	Count        int64 // occurrences skipped
	Reason       string
	Err          error
}

const maxEvents = 1 << 16

// hookQueue calls the hooks on a goroutine that exists while there is something to tell. Its lock is a leaf.
type hookQueue struct {
	e     *Engine
	hooks [6]func(Event)
	any   bool

	mu      sync.Mutex
	queue   []Event
	running bool
	closed  bool
	dropped atomic.Bool
	idle    chan struct{} // closed when closed and the goroutine has ended
}

func (q *hookQueue) init(h Hooks, e *Engine) {
	q.e = e
	q.hooks = [6]func(Event){h.Scheduled, h.Started, h.Finished, h.Failed, h.Skipped, h.Cancelled}
	for _, f := range q.hooks {
		q.any = q.any || f != nil
	}
	q.idle = make(chan struct{})
}

func (q *hookQueue) on(k EventKind) bool { return q.hooks[k] != nil }

func (q *hookQueue) add(ev Event) {
	if q.hooks[ev.Kind] == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
	case len(q.queue) >= maxEvents:
		q.e.hooksLost.Add(1)
	default:
		q.queue = append(q.queue, ev)
		if !q.running {
			q.running = true
			go q.loop(nil)
		}
	}
}

// loop tells the batch and what is queued then. A hook that calls runtime.Goexit takes the goroutine with it; another goes
// on with what is left.
func (q *hookQueue) loop(batch []Event) {
	ended := false
	defer func() {
		if !ended {
			go q.loop(batch)
		}
	}()
	for more := true; more; batch, more = q.next() {
		for len(batch) > 0 && !q.dropped.Load() {
			ev := batch[0]
			batch = batch[1:]
			q.e.shielded("hook "+ev.Kind.String(), func() { q.hooks[ev.Kind](ev) })
		}
	}
	ended = true
}

// next returns what was queued meanwhile. If that is nothing, the goroutine is to end.
func (q *hookQueue) next() (batch []Event, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) > 0 {
		batch, q.queue = q.queue, nil
		return batch, true
	}
	q.running = false
	if q.closed {
		close(q.idle)
	}
	return nil, false
}

// close takes no more events; the channel is closed when those that were taken have been told.
func (q *hookQueue) close() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.closed = true
		if !q.running {
			close(q.idle)
		}
	}
	return q.idle
}

// abandon is close for those who wait no longer: what has not been told is not told.
func (q *hookQueue) abandon() {
	q.close()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queue = nil
	q.dropped.Store(true)
}

// eventLocked describes the record as of now.
func (r *record) eventLocked(k EventKind, now clock.Reading, reason string, n int64) Event {
	if !r.sh.e.hooks.on(k) {
		return Event{Kind: k}
	}
	ev := Event{
		Kind: k, Name: r.name, Generation: r.gen, At: time.Unix(0, now.Wall).UTC(), Reason: reason, Count: n,
	}
	if !r.occ.IsZero() {
		ev.ScheduledFor = r.shown(r.occ, now)
		ev.Due = ev.ScheduledFor.Add(r.offset)
	}
	return ev
}
