// Package memory is the reference store: all of package store's contract but durability, in one mutex and a few maps. It is what the
// other stores are compared with, and what tests of programs run on. What it keeps ends with the process.
//
// Its central type is [Store]. A write costs the square root of what is pending at worst, a page what is on it: but a page of some
// shards, where one process has them all anyway, costs what the others have between. It starts no goroutine and opens no file.
package memory

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
)

// Options of a store. The zero Options are right for most.
type Options struct {
	Clock clock.Clock // the store's time; nil is clock.System()
}

var (
	_ store.Store  = (*Store)(nil)
	_ store.Hinter = (*Store)(nil)
)

// A Store is a store.Store and a store.Hinter. All methods are safe for concurrent use.
type Store struct {
	clk   clock.Clock
	lives atomic.Int64 // rises with every Restart and with Close

	mu      sync.Mutex
	closed  bool
	boot    int64         // Reading.Boot when the process, so to speak, began
	high    store.Instant // the greatest Clock.Now there was
	seq     int64
	tasks   map[store.Key]*cell
	places  *sorted[place]
	names   *sorted[*cell]
	dead    map[store.RunID]*corpse
	deadIDs *sorted[store.RunID]
	history history
	running int64
	paused  int64
	hints   *store.Listeners
	notes   map[string]string
}

// A cell is where a name's task is kept: the indexes hold the cell, so that they need not change with every write.
type cell struct {
	key   store.Key // beside the task's, so that a search touches fewer lines of memory
	task  *store.Task
	at    store.Instant // its position
	shard uint8
}

// A place is an entry of the index by position.
type place struct {
	at store.Instant
	c  *cell
}

func (p place) compare(o place) int {
	switch {
	case p.at < o.at:
		return -1
	case p.at > o.at:
		return 1
	}
	return p.c.compare(o.c)
}

func (c *cell) compare(o *cell) int { return c.key.Compare(o.key) }

// A corpse is a dead run, with its task.
type corpse struct {
	task *store.Task
	at   store.Instant // when it died
}

// New returns an empty store.
func New(o Options) *Store {
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	return &Store{
		clk: o.Clock, boot: o.Clock.Read().Boot,
		tasks: map[store.Key]*cell{}, places: newSorted(place.compare), names: newSorted((*cell).compare),
		notes: map[string]string{}, dead: map[store.RunID]*corpse{}, deadIDs: newSorted(store.RunID.Compare),
		history: history{byKey: map[store.Key][]*store.Event{}}, hints: new(store.Listeners),
	}
}

// Restart does to the store what the death of its process and a new one would do to a durable store: calls under way fail with
// ErrClosed and have written nothing, or are answered; hint channels are closed; every lease is store.Over, and Clock.Mono begins anew.
// What was acknowledged stays. To a closed store it does nothing.
func (s *Store) Restart() {
	s.lives.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.hints.Close()
	s.hints = new(store.Listeners)
	s.boot = s.clk.Read().Boot
	for _, c := range s.tasks {
		if c.task.Running() == 0 {
			continue
		}
		t := *c.task // what was handed out is not changed
		t.Runs = append([]store.Run(nil), t.Runs...)
		for i := range t.Runs {
			if t.Runs[i].State == store.Running {
				t.Runs[i].Lease = store.Over
			}
		}
		c.task = &t
	}
}

// Close ends the store and forgets what is in it. It returns nil.
func (s *Store) Close() error {
	s.lives.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.hints.Close()
	s.tasks, s.places, s.names, s.dead, s.deadIDs, s.notes, s.history = nil, nil, nil, nil, nil, nil, history{}
	return nil
}

// enter begins a call. It holds the mutex unless it returns an error.
func (s *Store) enter(ctx context.Context, op string) error {
	lives := s.lives.Load()
	if ctx.Err() != nil {
		return &store.Error{Op: op, Err: context.Cause(ctx)}
	}
	s.mu.Lock()
	if s.closed || s.lives.Load() != lives {
		s.mu.Unlock()
		return &store.Error{Op: op, Err: store.ErrClosed}
	}
	return nil
}

// nowLocked is rounded down, because a deadline within the microsecond is not reached before its end.
func (s *Store) nowLocked() store.Clock {
	r := s.clk.Read()
	now := store.Instant(micros(r.Wall))
	if now == 0 { // is not set
		now = -1
	}
	s.high = max(s.high, now)
	return store.Clock{Now: now, Mono: store.Instant(micros(r.Boot - s.boot))}
}

// micros returns nanoseconds in microseconds, rounded down also before 1970.
func micros(ns int64) int64 {
	us := ns / 1000
	if ns%1000 < 0 {
		us--
	}
	return us
}

func (s *Store) nextLocked() int64 {
	s.seq++
	return s.seq
}

// write applies rows to the tasks that they name, each to what the rows before it have left.
func write[Row, Result any](
	ctx context.Context, s *Store, op string, rows []Row,
	key func(*Row) store.Key, apply func(*Row, *store.Task, *store.Moment) (store.Change, Result),
) ([]Result, error) {
	if err := s.enter(ctx, op); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	now := s.nowLocked()
	m := store.Moment{Now: now.Now, Mono: now.Mono, High: s.high, Seq: s.nextLocked, Past: (*past)(s)}
	hint := store.Hint{At: store.Never}
	results := make([]Result, len(rows))
	for i := range rows {
		k := key(&rows[i])
		var t *store.Task
		if c := s.tasks[k]; c != nil {
			t = c.task
		}
		var c store.Change
		if c, results[i] = apply(&rows[i], t, &m); c.Write {
			s.takeLocked(k, &c, now.Now, &hint)
		}
	}
	s.hints.Tell(hint)
	return results, nil
}

// takeLocked makes a change so.
func (s *Store) takeLocked(k store.Key, c *store.Change, now store.Instant, hint *store.Hint) {
	if c.Redrive != nil {
		delete(s.dead, *c.Redrive)
		s.deadIDs.remove(*c.Redrive)
	}
	if c.Dead != nil {
		id := c.Dead.Runs[0].ID(c.Dead.Key)
		s.dead[id] = &corpse{c.Dead, now}
		s.deadIDs.insert(id)
	}
	s.setLocked(k, c.Task, hint)
	for i := range c.Events {
		c.Events[i].Seq = s.nextLocked()
		s.history.add(&c.Events[i])
	}
}

// setLocked has a name point to a task, or to nothing.
func (s *Store) setLocked(k store.Key, t *store.Task, hint *store.Hint) {
	c := s.tasks[k]
	if c != nil {
		s.countLocked(c.task, -1)
	}
	if t == nil {
		if c != nil {
			delete(s.tasks, k)
			s.places.remove(place{c.at, c})
			s.names.remove(c)
		}
		return
	}
	s.countLocked(t, 1)
	at := t.Position()
	switch {
	case c == nil:
		c = &cell{key: k, task: t, at: at, shard: k.Shard()}
		s.tasks[k] = c
		s.names.insert(c)
		s.places.insert(place{at, c})
	case c.at == at && c.task.Kind == t.Kind:
		c.task = t
		return
	case c.at == at: // it may be for another node
		c.task = t
	default:
		s.places.remove(place{c.at, c})
		c.task, c.at = t, at
		s.places.insert(place{at, c})
	}
	if at != store.Never {
		hint.At = min(hint.At, at)
		hint.Shards.Add(c.shard)
	}
}

func (s *Store) countLocked(t *store.Task, n int64) {
	s.running += n * int64(t.Running())
	if t.Paused() {
		s.paused += n
	}
}
