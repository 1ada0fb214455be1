package pebble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	pdb "github.com/cockroachdb/pebble/v2"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/internal/record"
	"github.com/dulyhq/duly/wait"
)

// An entry is a task as the last batch left it.
type entry struct {
	t       *store.Task   // nil: there is none
	pos     store.Instant // where the due key stands: the task's position
	overlay bool          // claims have changed it: there is a live key
	large   bool          // its payload is under a key of its own
}

// hotMost is how many tasks are remembered because they were read lately or are nearly due, and warmMost how many bytes their payloads may
// have. Those with an overlay come on top.
const (
	hotMost  = 1 << 16
	warmMost = 32 << 20
)

// near is how far ahead of its position a task is worth remembering when it is written.
const near = 10_000_000 // microseconds

// A core is one opening of the directory: what is open, and what is known of it. It ends when storage fails, and another takes its
// place.
type core struct {
	s     *Store
	db    *pdb.DB
	fuse  *fuse         // what is between it and the directory
	since store.Instant // when it was opened, on Clock.Mono

	st      state // the committer's
	filter  atomic.Pointer[filter]
	filling atomic.Pointer[filter] // a newer one that a builder fills
	stop    chan struct{}          // ends the builder and the ticker
	moved   chan struct{}          // more is synced than the mark says
	marked  uint64                 // batches that have to be there
	helpers sync.WaitGroup

	qmu      sync.Mutex
	wake     *sync.Cond // of the committer
	queue    []*call
	inflight bool          // a sync is under way
	took     time.Duration // the last sync
	away     int           // callers that it answered, and that have not come back
	back     wait.Event    // set when none is away
	ending   bool
	buildMu  sync.Mutex // held while rows are worked out
	syncs    chan *group
	done     chan struct{} // closed when the committer and the syncer have ended
	free     sync.Pool     // of calls

	use    sync.RWMutex // held by who reads, and to close
	closed bool

	mu      sync.Mutex
	hot     map[store.Key]entry
	warm    int // bytes of the payloads in it, but for those of tasks with an overlay
	scans   map[*scan]struct{}
	floor   store.Instant // no task stands before it
	hours   []hour        // of the history, in order
	stats   state         // as of the last batch that was made known
	handed  uint64        // batches, as stats counts them, with the one that is being applied: readers may see it before it is made known
	running int64
	synced  uint64 // batches, those of earlier openings too, as stats counts them
	waiters []waiter
	failure error         // why the core has ended
	broken  chan struct{} // closed when it has
}

type waiter struct {
	n    uint64
	done chan struct{}
}

// An hour of the history.
type hour struct {
	hour  uint32
	first int64 // seq
	n     int64 // entries
}

// A scan is a read of many tasks from a snapshot. What is written meanwhile is noted in it, so that nothing old is taken for new.
type scan struct {
	dirty map[store.Key]struct{}
	low   store.Instant // the lowest position written
}

// keep remembers a task, and forget forgets it. The core's lock is held.
func (c *core) keep(k store.Key, e entry) {
	c.forget(k)
	c.hot[k] = e
	c.warm += e.warmth()
}

func (c *core) forget(k store.Key) {
	if e, ok := c.hot[k]; ok {
		delete(c.hot, k)
		c.warm -= e.warmth()
	}
}

// warmth is how many bytes of a payload it takes to remember a task. That of a task with an overlay is held by whoever runs it anyway.
func (e *entry) warmth() int {
	if e.overlay {
		return 0
	}
	return len(e.t.Payload)
}

func (c *core) begin() *scan {
	sc := &scan{dirty: map[store.Key]struct{}{}, low: store.Never}
	c.mu.Lock()
	c.scans[sc] = struct{}{}
	c.mu.Unlock()
	return sc
}

func (c *core) finish(sc *scan) {
	c.mu.Lock()
	delete(c.scans, sc)
	c.mu.Unlock()
}

// published returns the number of batches that were applied.
func (c *core) published() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats.batches
}

// settled waits until what readers may have seen is synced.
func (c *core) settled(ctx context.Context, op string) error {
	c.mu.Lock()
	switch {
	case c.failure != nil:
		err := c.failure
		c.mu.Unlock()
		return &store.Error{Op: op, Err: err}
	case c.synced >= c.handed:
		c.mu.Unlock()
		return nil
	}
	w := waiter{n: c.handed, done: make(chan struct{})}
	c.waiters = append(c.waiters, w)
	c.mu.Unlock()
	select {
	case <-w.done:
	case <-ctx.Done():
		return &store.Error{Op: op, Err: context.Cause(ctx)}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.synced < w.n {
		return &store.Error{Op: op, Err: c.failure}
	}
	return nil
}

// syncedTo notes that n batches are synced, and lets readers go.
func (c *core) syncedTo(n uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.synced = n
	rest := c.waiters[:0]
	for _, w := range c.waiters {
		if w.n <= n {
			close(w.done)
		} else {
			rest = append(rest, w)
		}
	}
	clear(c.waiters[len(rest):])
	c.waiters = rest
}

// fail ends the core: nothing is written by it any more, and the store opens another. It returns what failed first. The database may
// call it whatever it holds: nothing is waited for.
func (c *core) fail(err error) error {
	c.mu.Lock()
	first := c.failure == nil
	if first {
		c.failure = blame(err)
		for _, w := range c.waiters {
			close(w.done)
		}
		c.waiters = nil
	}
	err = c.failure
	c.mu.Unlock()
	if !first {
		return err
	}
	c.fuse.blow(err)
	close(c.broken)
	c.qmu.Lock()
	c.ending = true
	c.wake.Signal()
	c.qmu.Unlock()
	c.s.heal(c)
	return err
}

func (c *core) failed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failure
}

// blame says which of the package's errors an error of storage is.
func blame(err error) error {
	for _, known := range []error{store.ErrNoSpace, store.ErrReadOnly, store.ErrCorrupt, store.ErrBroken, store.ErrClosed} {
		if errors.Is(err, known) {
			return err
		}
	}
	switch {
	case full(err):
		return fmt.Errorf("%w: %w", store.ErrNoSpace, err)
	case readOnly(err):
		return fmt.Errorf("%w: %w", store.ErrReadOnly, err)
	case pdb.IsCorruptionError(err):
		return fmt.Errorf("%w; restore a backup: %w", store.ErrCorrupt, oneLineError{err})
	}
	return fmt.Errorf("%w: %w", store.ErrBroken, err)
}

// oneLineError is an error without the lines that the database appends for its makers.
type oneLineError struct{ error }

func (e oneLineError) Error() string {
	s, _, _ := strings.Cut(e.error.Error(), "\n")
	return s
}

func (e oneLineError) Unwrap() error { return e.error }

// shut closes what was read from. Its error counts if there is none yet.
func shut(err *error, c io.Closer) {
	if cerr := c.Close(); *err == nil && cerr != nil {
		*err = blame(cerr)
	}
}

// fetch shows a value, which is not to be kept, and says whether there is one.
func fetch(r pdb.Reader, key []byte, use func(v []byte) error) (found bool, err error) {
	v, closer, err := r.Get(key)
	if errors.Is(err, pdb.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, blame(err)
	}
	defer shut(&err, closer)
	return true, use(v)
}

// each shows keys, the newest first if asked to, until show wants no more.
func each(r pdb.Reader, o *pdb.IterOptions, newest bool, show func(it *pdb.Iterator) (more bool, err error)) (err error) {
	it, err := r.NewIter(o)
	if err != nil {
		return blame(err)
	}
	defer shut(&err, it)
	first, step := it.First, it.Next
	if newest {
		first, step = it.Last, it.Prev
	}
	for ok := first(); ok; ok = step() {
		if more, err := show(it); err != nil || !more {
			return err
		}
	}
	return blameIf(it.Error())
}

// kindOf are the keys of one kind.
func kindOf(kind byte) *pdb.IterOptions {
	return &pdb.IterOptions{LowerBound: []byte{kind}, UpperBound: []byte{kind + 1}}
}

// read returns a task from a reader of the database, without what claims have changed of it.
func read(r pdb.Reader, k store.Key) (e entry, err error) {
	var pos store.Instant
	found, err := fetch(r, nameKey(nil, keyTask, k), func(v []byte) error {
		if len(v) != 16 {
			return fmt.Errorf("%w: the place of task %q", store.ErrCorrupt, k.String())
		}
		pos = parseInstant(v)
		return nil
	})
	if err != nil || !found {
		return entry{}, err
	}
	found, err = fetch(r, dueKey(nil, pos, k), func(v []byte) (err error) {
		e, err = decodeTask(r, k, pos, v)
		return err
	})
	if err == nil && !found {
		err = fmt.Errorf("%w: task %q is not at its place", store.ErrCorrupt, k.String())
	}
	return e, err
}

// decodeTask takes the value of a due key apart, and fetches a payload that is kept apart.
func decodeTask(r pdb.Reader, k store.Key, pos store.Instant, v []byte) (e entry, err error) {
	t := &store.Task{Key: k}
	d := record.NewDecoder(v)
	large := d.Task(t)
	if err := d.End(); err != nil {
		return entry{}, fmt.Errorf("task %q: %w", k.String(), err)
	}
	if large {
		found, err := fetch(r, nameKey(nil, keyPayload, k), func(p []byte) error {
			t.Payload = bytes.Clone(p)
			return nil
		})
		if err == nil && !found {
			err = fmt.Errorf("%w: the payload of task %q is gone", store.ErrCorrupt, k.String())
		}
		if err != nil {
			return entry{}, err
		}
	}
	return entry{t: t, pos: pos, large: large}, nil
}
