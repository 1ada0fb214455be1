package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dulyhq/duly/internal/park"
	"github.com/dulyhq/duly/store"
)

// counters is how many rows of counters there are: writers that draw the same one wait for each other's commits.
const counters = 64

// A writer writes batches, each in a transaction of two round trips: the first reads the rows that are there, the second writes what the
// transitions have made of them, if they are still the same, and commits. If they are not, it is made anew, and locks them. Several writers
// work at a time.
type writer struct {
	s       *Store
	counter int32
}

func (w *writer) work() {
	for {
		calls := w.s.queue.take()
		if len(calls) == 0 {
			return
		}
		w.write(calls, lockTimeout)
		w.s.queue.finish()
	}
}

// write writes a batch and answers its calls. If somebody else's transaction holds a row for long, the batch is divided until those who
// need that row are alone, and they wait for it elsewhere. That it is held is known by then: its parts wait less.
func (w *writer) write(calls []*call, wait time.Duration) {
	err := w.s.tryAgain(w.s.life, wait, w.counter, calls)
	switch {
	case errors.Is(err, errParts):
		w.write(calls[:len(calls)/2], wait)
		w.write(calls[len(calls)/2:], wait)
		return
	case code(err) != codeLockNotAvailable:
	case len(calls) > 1:
		w.write(calls[:len(calls)/2], lockTimeout/10)
		w.write(calls[len(calls)/2:], lockTimeout/10)
		return
	default:
		w.s.waitAlone(calls[0])
		return
	}
	for _, c := range calls {
		c.answer(err)
	}
}

// mostAlone is how many calls wait at a time for rows that somebody else's transaction holds, and aloneTime for how long until it is the
// turn of others. It is shorter than the server waits until it looks for deadlocks, so that the other transaction is never ended by one.
const (
	mostAlone = 4
	aloneTime = 500 * time.Millisecond
)

// waitAlone writes a call that has to wait, without keeping others. Close does not wait for whoever holds its row.
func (s *Store) waitAlone(c *call) {
	s.running.Go(func() {
		for {
			select {
			case s.queue.alone <- struct{}{}:
			case <-s.life.Done():
				c.answer(store.ErrClosed)
				return
			}
			err := s.tryAgain(s.life, aloneTime, 0, []*call{c})
			<-s.queue.alone
			c.mu.Lock()
			gone := c.gone
			c.mu.Unlock()
			if code(err) == codeLockNotAvailable {
				if !gone && !s.isClosed() {
					continue
				}
				err = store.ErrClosed // unless nobody hears it
			}
			c.answer(err)
			return
		}
	})
}

// triesMost is how often a transaction is made anew because others were faster.
const triesMost = 100

// tryAgain writes calls in a transaction, anew for as long as others get in its way.
func (s *Store) tryAgain(ctx context.Context, wait time.Duration, counter int32, calls []*call) (err error) {
	locks := s.o.Pooler || wait != lockTimeout
	for range triesMost {
		err = s.transact(ctx, wait, counter, calls, locks)
		locks = true
		switch {
		case errors.Is(err, errRaise):
			if rerr := s.raise(ctx); rerr != nil {
				return rerr
			}
		case errors.Is(err, errReread):
		case !again(err):
			return err
		}
	}
	return err
}

// transact writes calls in one transaction. An error means that nothing is written, unless it is ErrUnknown.
func (s *Store) transact(ctx context.Context, wait time.Duration, counter int32, calls []*call, locks bool) (err error) {
	ctx, stop := park.Within(ctx, sendTimeout, errSilent)
	defer stop()
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return causeOf(ctx, err)
	}
	defer conn.Release() // one that is in a transaction is closed
	b := newBatch(ctx, s, piped{conn}, counter)
	b.parts, b.locks = len(calls) > 1, locks
	for _, c := range calls {
		b.rows = append(b.rows, c.rows...)
	}
	if !locks && calls[0].holds() {
		b.gather()
		if age, all := s.held.take(b.order); all {
			return s.settle(b, conn, calls, age)
		}
	}
	before := []stmt{{sql: begin}}
	if s.o.Pooler || wait != lockTimeout {
		before = append(before, limits(wait))
	}
	if err := b.read(before...); err != nil {
		return s.rolledBack(ctx, conn, err)
	}
	for _, c := range calls {
		if err := b.applyCall(c); err != nil {
			return s.rolledBack(ctx, conn, err)
		}
	}
	if b.idle() {
		return s.rolledBack(ctx, conn, nil)
	}
	if err := b.flush(true); err != nil {
		if refused(err) {
			return s.rolledBack(ctx, conn, err)
		}
		return fmt.Errorf("%w: %w", store.ErrUnknown, causeOf(ctx, err))
	}
	b.written(conn)
	return nil
}

// errReread says that the rows have to be read.
var errReread = errors.New("rows were taken to be known that have to be read, or a caller has gone")

// settle writes what has become of rows that are held, by statements that are a transaction because they are sent at once. An answer that
// changes nothing may be that of an old row, so that they are read for it, as they are if they were written to a server of another age.
func (s *Store) settle(b *batch, conn *pgxpool.Conn, calls []*call, age int64) (err error) {
	err = b.q.do(b.ctx, stmt{
		sql: s.sql("select " + serverNow + ", " + serverAge),
		row: func(scan func(dst ...any) error) error { return scan(&b.m.Now, &b.age) },
	})
	if err != nil {
		return causeOf(b.ctx, err)
	}
	if b.age != age {
		return errReread
	}
	b.m.Mono = b.m.Now
	if s.o.Clock != nil {
		c := s.ownClock()
		b.m.Now, b.m.Mono = c.Now, c.Mono
	}
	b.m.High = s.high.raise(b.m.Now, 0)
	b.m.Past, b.m.Seq = b, func() int64 {
		b.err = errReread
		return 0
	}
	for _, c := range calls {
		if err := b.applyCall(c); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(b.order, func(c *cell) bool { return !c.touched }) {
		return errReread
	}
	if err := b.flush(false); err != nil {
		if refused(err) {
			return err
		}
		return fmt.Errorf("%w: %w", store.ErrUnknown, causeOf(b.ctx, err))
	}
	b.written(conn)
	return nil
}

// written tells what was committed.
func (b *batch) written(conn *pgxpool.Conn) {
	s := b.s
	if !s.o.Pooler {
		s.held.keep(b.updated, b.places, b.age)
	}
	s.hints.Tell(b.hint)
	b.tellLate(b.ctx, piped{conn})
}

// applyCall works the rows of a call out, unless its caller has gone.
func (b *batch) applyCall(c *call) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return nil
	}
	b.call = c
	defer func() { b.call = nil }()
	for i := range c.rows {
		if err := b.apply(&c.rows[i]); err != nil {
			return err
		}
	}
	return nil
}

// causeOf is why a statement failed: if its context has ended, the cause of that.
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		if errors.Is(cause, context.Canceled) { // only Close does that, or a kill
			return store.ErrClosed
		}
		return cause
	}
	return err
}

// rolledBack ends a transaction that writes nothing, so that its connection can be used again.
func (s *Store) rolledBack(ctx context.Context, conn *pgxpool.Conn, err error) error {
	rerr := (piped{conn}).do(ctx, stmt{sql: "rollback"})
	if err == nil {
		err = rerr
	}
	return causeOf(ctx, err)
}
