package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/dulyhq/duly/store"
)

// A row is one of a call: what it does to its task.
type row struct {
	key   store.Key
	apply func(t *store.Task, m *store.Moment) store.Change // it writes the answer down, each time that it is called
	size  int                                               // bytes of its payload
}

// A call is a method's, handed to the writers.
type call struct {
	op    string
	rows  []row
	taken atomic.Int32
	err   error // of the whole call; written before done
	done  chan struct{}

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
	mu    sync.Mutex
	calls []*call
	over  bool
	wake  chan struct{} // holds one: there is something to do
	ended chan struct{} // closed by close
	alone chan struct{} // holds one for each call that waits alone
}

func (q *queue) init() {
	q.wake, q.ended, q.alone = make(chan struct{}, 1), make(chan struct{}), make(chan struct{}, mostAlone)
}

// A batch is bounded, so that its transaction is short. A call that is larger is one by itself.
const (
	batchRows  = 1000
	batchBytes = 4 << 20
)

// add hands a call in.
func (q *queue) add(c *call) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.over {
		return false
	}
	q.calls = append(q.calls, c)
	q.poke()
	return true
}

func (q *queue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take returns as many calls as make a batch, none if the queue is closed and empty.
func (q *queue) take() (calls []*call) {
	for {
		q.mu.Lock()
		calls = q.takeLocked()
		if len(q.calls) > 0 {
			q.poke() // another writer
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

func (q *queue) takeLocked() (calls []*call) {
	rows, size, n := 0, 0, 0
	for _, c := range q.calls {
		bytes := 0
		for i := range c.rows {
			bytes += c.rows[i].size
		}
		if len(calls) > 0 && (rows+len(c.rows) > batchRows || size+bytes > batchBytes) {
			break
		}
		n++
		if !c.taken.CompareAndSwap(callWaits, callTaken) {
			continue // withdrawn
		}
		calls = append(calls, c)
		rows, size = rows+len(c.rows), size+bytes
	}
	rest := copy(q.calls, q.calls[n:])
	clear(q.calls[rest:])
	q.calls = q.calls[:rest]
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

func (c *call) answer(err error) {
	c.err = err
	close(c.done)
}

// A call of more rows, or of more bytes, takes several transactions.
const (
	callRows  = 5000
	callBytes = 32 << 20
)

// write is what every batch of rows does: it hands them in and waits for the answer.
func (s *Store) write(ctx context.Context, op string, rows []row) error {
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
		err := s.hand(ctx, op, rows[:n])
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
func (s *Store) hand(ctx context.Context, op string, rows []row) error {
	c := &call{op: op, rows: rows, done: make(chan struct{})}
	if !s.queue.add(c) {
		return &store.Error{Op: op, Err: store.ErrClosed}
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		if c.taken.CompareAndSwap(callWaits, callWithdrawn) {
			return &store.Error{Op: op, Err: context.Cause(ctx)}
		}
		c.mu.Lock()
		c.gone = true
		c.mu.Unlock()
		select {
		case <-c.done:
		default:
			return store.Unknown(op, ctx)
		}
	}
	if c.err != nil {
		return failure(op, c.err)
	}
	return nil
}

// written makes the rows of a call of what its method was handed, and answers each in its place.
func written[X, R any](
	ctx context.Context, s *Store, op string, rows []X, key func(x *X) store.Key, size func(x *X) int,
	apply func(x *X, t *store.Task, m *store.Moment) (store.Change, R),
) ([]R, error) {
	all, res := rowsOf(rows, key, size, apply)
	if err := s.write(ctx, op, all); err != nil {
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
