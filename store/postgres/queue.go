package postgres

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/dulyhq/duly/store"
)

// A row is one of a call: what it does to its task.
type row struct {
	key   store.Key
	apply func(t *store.Task, m *store.Moment) store.Change // it writes the answer down, each time that it is called
	size  int                                               // bytes of its payload
	busy  func()                                            // answers that somebody else's transaction holds the task; nil: that is waited for
}

// A call is a method's, handed to the writers.
type call struct {
	op    string
	rows  []row
	taken atomic.Int32
	err   error // of the whole call; written before done
	done  chan struct{}

	redo []int // of puts that were to be fresh: the rows that are not written yet; written before done
	left bool  // its batch was written without it, because somebody else's transaction holds a task of it; the writer's

	mu   sync.Mutex // held while rows are worked out
	gone bool       // the caller has stopped waiting: what it has handed in is not looked at any more
}

const (
	callWaits int32 = iota
	callTaken
	callWithdrawn
)

// A queue holds the calls that wait for a writer.
type queue struct {
	mu     sync.Mutex
	calls  []*call
	rows   int // of them
	urgent int // of the calls, those that do not wait for others
	busy   int // writers at work
	least  int // rows for another one to begin
	over   bool
	wake   chan struct{} // holds one: there is something to do
	ended  chan struct{} // closed by close
	alone  chan struct{} // holds one for each call that has to wait, while it tries
	stays  chan struct{} // holds one: of these one may stay in the queue of its row

	waiting atomic.Int32 // calls that have to wait
}

func (q *queue) init(least, alone int) {
	q.least = least
	q.wake, q.ended, q.alone, q.stays = make(chan struct{}, 1), make(chan struct{}), make(chan struct{}, alone), make(chan struct{}, 1)
}

// A batch is bounded, so that its transaction is short. A call that is larger is one by itself.
const (
	batchRows  = 1000
	batchBytes = 4 << 20

	// With less to do only one writer works: a smaller batch costs more than it gains to be sent while another is under way. For 16 callers
	// two writers put a third more than one, and cancel half as much again.
	batchLeast = 6
)

// add hands a call in.
func (q *queue) add(c *call) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.over {
		return false
	}
	q.calls = append(q.calls, c)
	q.rows += len(c.rows)
	if c.urgent() {
		q.urgent++
	}
	if q.enoughLocked() {
		q.poke()
	}
	return true
}

// urgent calls are those of whoever runs tasks: they are batches already, and an attempt waits for each.
func (c *call) urgent() bool { return c.op == "claim" || c.holds() }

// holds says that the call is by whoever holds attempts. They are in batches of their own, because their rows are known.
func (c *call) holds() bool { return c.op == "settle" || c.op == "renew" }

// finish says that a writer has written what it has taken.
func (q *queue) finish() {
	q.mu.Lock()
	q.busy--
	q.mu.Unlock()
	q.poke()
}

// gather gives way for a moment to those who were just answered, so that their next calls are in one batch.
func (q *queue) gather() {
	for still, last := 0, -1; still < 2; {
		runtime.Gosched()
		q.mu.Lock()
		n := len(q.calls)
		q.mu.Unlock()
		if n == last {
			still++
		}
		last = n
	}
}

func (q *queue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take returns as many calls as make a batch, none if the queue is closed and empty. Whoever has taken some says finish.
func (q *queue) take() (calls []*call) {
	for {
		q.mu.Lock()
		if q.enoughLocked() {
			q.mu.Unlock()
			q.gather()
			q.mu.Lock()
		}
		if q.enoughLocked() {
			calls = q.takeLocked()
		}
		if len(calls) > 0 {
			q.busy++
			if len(q.calls) > 0 {
				q.poke() // another writer
			}
		}
		over := q.over
		q.mu.Unlock()
		if len(calls) > 0 || over {
			return calls
		}
		select {
		case <-q.wake:
		case <-q.ended:
		}
	}
}

// enoughLocked says that there is enough for a writer to begin, if there is anything.
func (q *queue) enoughLocked() bool {
	return q.busy == 0 || q.urgent > 0 || q.rows >= q.least || q.over
}

func (q *queue) takeLocked() (calls []*call) {
	rows, size := 0, 0
	rest := q.calls[:0]
	for i, c := range q.calls {
		if len(calls) > 0 && c.holds() != calls[0].holds() {
			rest = append(rest, c)
			continue
		}
		bytes := 0
		for i := range c.rows {
			bytes += c.rows[i].size
		}
		if len(calls) > 0 && (rows+len(c.rows) > batchRows || size+bytes > batchBytes) {
			rest = append(rest, q.calls[i:]...)
			break
		}
		q.rows -= len(c.rows)
		if c.urgent() {
			q.urgent--
		}
		if !c.taken.CompareAndSwap(callWaits, callTaken) {
			continue // withdrawn
		}
		calls = append(calls, c)
		rows, size = rows+len(c.rows), size+bytes
	}
	clear(q.calls[len(rest):])
	q.calls = rest
	return calls
}

// close lets nothing else in. What waits is still written.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.over {
		q.over = true
		close(q.ended)
	}
}

// hasGone says that the caller has stopped waiting.
func (c *call) hasGone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gone
}

func (c *call) answer(err error) {
	c.err = err
	close(c.done)
}

// A call of more rows, or of more bytes, takes several transactions.
const (
	callRows  = 5000
	callBytes = 32 << 20
)

// write is what every batch of rows does: it hands them in and waits for the answer. Those that may be fresh are tried to be.
func (s *Store) write(ctx context.Context, op string, rows []row, fresh bool) error {
	if err := s.enter(ctx, op); err != nil {
		return err
	}
	defer s.leave()
	for split := false; len(rows) > 0; split = true {
		n, size := 1, rows[0].size
		for n < len(rows) && n < callRows && size+rows[n].size <= callBytes {
			size += rows[n].size
			n++
		}
		err := s.hand(ctx, op, rows[:n], fresh)
		if err != nil && split && !errors.Is(err, store.ErrUnknown) {
			err = &store.Error{Op: op, Err: fmt.Errorf("%w: %w", store.ErrUnknown, err)} // the first rows are written
		}
		if err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// hand hands rows in and waits.
func (s *Store) hand(ctx context.Context, op string, rows []row, fresh bool) error {
	if !fresh {
		_, err := s.handTo(ctx, &s.queue, op, rows)
		return err
	}
	redo, err := s.handTo(ctx, &s.fresh, op, rows)
	if err != nil || len(redo) == 0 {
		return err
	}
	slices.Sort(redo)
	rest := make([]row, len(redo))
	for i, n := range redo {
		rest[i] = rows[n]
	}
	_, err = s.handTo(ctx, &s.queue, op, rest)
	if err != nil && len(rest) < len(rows) && !errors.Is(err, store.ErrUnknown) {
		err = &store.Error{Op: op, Err: fmt.Errorf("%w: %w", store.ErrUnknown, err)} // some rows are written
	}
	return err
}

func (s *Store) handTo(ctx context.Context, q *queue, op string, rows []row) (redo []int, err error) {
	c := &call{op: op, rows: rows, done: make(chan struct{})}
	if !q.add(c) {
		return nil, &store.Error{Op: op, Err: store.ErrClosed}
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		if c.taken.CompareAndSwap(callWaits, callWithdrawn) {
			return nil, &store.Error{Op: op, Err: context.Cause(ctx)}
		}
		c.mu.Lock()
		c.gone = true
		c.mu.Unlock()
		select {
		case <-c.done:
		default:
			return nil, store.Unknown(op, ctx)
		}
	}
	if c.err != nil {
		return nil, failure(op, c.err)
	}
	return c.redo, nil
}

// written makes the rows of a call of what its method was handed, and answers each in its place.
func written[X, R any](
	ctx context.Context, s *Store, op string, rows []X, key func(x *X) store.Key, size func(x *X) int,
	apply func(x *X, t *store.Task, m *store.Moment) (store.Change, R), busy func(x *X, err error) (R, bool),
) ([]R, error) {
	all, res := rowsOf(rows, key, size, apply)
	for i := range all {
		no, brief := res[i], false
		if busy != nil {
			no, brief = busy(&rows[i], &store.Error{Op: op, Key: all[i].key, Err: errBarred})
		}
		if brief {
			all[i].busy = func() { res[i] = no }
		}
	}
	if err := s.write(ctx, op, all, false); err != nil {
		return nil, err
	}
	return res, nil
}

func rowsOf[X, R any](
	rows []X, key func(x *X) store.Key, size func(x *X) int, apply func(x *X, t *store.Task, m *store.Moment) (store.Change, R),
) ([]row, []R) {
	res := make([]R, len(rows))
	all := make([]row, len(rows))
	for i := range rows {
		all[i] = row{key: key(&rows[i]), apply: func(t *store.Task, m *store.Moment) store.Change {
			var c store.Change
			c, res[i] = apply(&rows[i], t, m)
			return c
		}}
		if size != nil {
			all[i].size = size(&rows[i])
		}
	}
	return all, res
}
