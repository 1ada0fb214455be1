package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dulyhq/duly/internal/park"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/wait"
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
		if calls = w.s.apart(calls); len(calls) == 0 {
			w.s.queue.finish()
			continue
		}
		wait, how := lockTimeout, asFound
		if w.s.barred.any(calls, w.s.nodes.clk.Read().Boot) {
			wait, how = lockTimeout/10, passBy
		}
		w.write(calls, wait, how)
		w.s.queue.finish()
	}
}

// write writes a batch and answers its calls. If somebody else's transaction holds a row for long, it is written without those who need that
// row: they are told so, or wait for it elsewhere. Where that is a name which is not there yet, as far as others see, the batch is divided
// until those who need it are alone. That a row is held is known by then: it is waited for less.
func (w *writer) write(calls []*call, wait time.Duration, how manner) {
	err := w.s.tryAgain(w.s.life, wait, w.counter, calls, how)
	switch {
	case errors.Is(err, errParts):
		w.write(calls[:len(calls)/2], wait, how)
		w.write(calls[len(calls)/2:], wait, how)
		return
	case code(err) != codeLockNotAvailable:
	case how != passBy:
		w.write(calls, lockTimeout/10, passBy)
		return
	case len(calls) > 1:
		w.write(calls[:len(calls)/2], wait, how)
		w.write(calls[len(calls)/2:], wait, how)
		return
	default:
		w.s.barred.waited(calls[0], true, w.s.nodes.clk.Read().Boot)
		w.s.waitAlone(calls[0])
		return
	}
	for _, c := range calls {
		if err == nil && c.left {
			w.s.waitAlone(c)
			continue
		}
		c.answer(err)
	}
}

// A manner is how a batch comes to its rows.
type manner int

const (
	asFound manner = iota // they are read, and it is seen when they are written whether they are still the same
	locked                // they are locked when they are read
	passBy                // so are those that nobody holds, and the others are passed by
)

// errBarred is the answer to a row that is not waited for.
var errBarred = barredError{}

type barredError struct{}

func (barredError) Error() string { return "somebody else's transaction holds the task" }

// Is says that it is store.ErrBusy.
func (barredError) Is(err error) bool { return err == store.ErrBusy }

// barred are tasks that somebody else's transaction was seen to hold: who meets one of them again does not wait to see it.
type barred struct {
	mu    sync.Mutex
	seen  map[store.Key]int64 // when, in boot time
	alone map[store.Key]int64 // when a call that needs no other has waited for it in vain, be it there or about to be
}

const barredFor = 5_000_000_000 // ns

// any says whether a call needs one of them.
func (x *barred) any(calls []*call, boot int64) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.seen) == 0 {
		return false
	}
	for _, c := range calls {
		for i := range c.rows {
			if at, was := x.seen[c.rows[i].key]; was && boot-at < barredFor {
				return true
			}
		}
	}
	return false
}

// holds says whether one of some rows was seen to be held, also one that is about to be there.
func (x *barred) holds(rows []row, boot int64) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.seen)+len(x.alone) == 0 {
		return false
	}
	return slices.ContainsFunc(rows, func(r row) bool {
		at, was := x.seen[r.key]
		return was && boot-at < barredFor || x.waitedLocked(r.key, boot)
	})
}

func (x *barred) waitedLocked(k store.Key, boot int64) bool {
	at, was := x.alone[k]
	return was && boot-at < barredFor
}

// waits says whether a call needs a row that another has waited for in vain, and has to wait itself.
func (x *barred) waits(c *call, boot int64) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.alone) == 0 || slices.ContainsFunc(c.rows, func(r row) bool { return r.busy != nil }) {
		return false
	}
	return slices.ContainsFunc(c.rows, func(r row) bool { return x.waitedLocked(r.key, boot) })
}

// waited notes whether a call of one row has waited for it in vain.
func (x *barred) waited(c *call, vain bool, boot int64) {
	if len(c.rows) != 1 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	maps.DeleteFunc(x.alone, func(k store.Key, at int64) bool { return k == c.rows[0].key || boot-at >= barredFor })
	if vain {
		x.alone[c.rows[0].key] = boot
	}
}

// apart has calls wait by themselves that need a row which another has waited for in vain, and returns the others. It costs a call nothing
// whose row is free again: it tries at once.
func (s *Store) apart(calls []*call) []*call {
	boot := s.nodes.clk.Read().Boot
	return slices.DeleteFunc(calls, func(c *call) bool {
		waits := s.barred.waits(c, boot)
		if waits {
			s.waitAlone(c)
		}
		return waits
	})
}

// note notes what a batch has seen.
func (x *barred) note(cells []*cell, boot int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	maps.DeleteFunc(x.seen, func(_ store.Key, at int64) bool { return boot-at >= barredFor })
	for _, c := range cells {
		if c.barred {
			x.seen[c.key] = boot
		} else {
			delete(x.seen, c.key)
		}
	}
}

// mostAlone is how many calls try at a time to come to rows that somebody else's transaction holds. Those that wait try so often that all
// together do so some 500 times a second, each between twenty and two times.
const (
	mostAlone = 4
	restEach  = 2 * time.Millisecond
	restLeast = 50 * time.Millisecond
	restMost  = 500 * time.Millisecond
)

// stayTime is how long a call stays in the queue of a row until another may. It is shorter than the server waits until it looks for
// deadlocks, so that the other transaction is never ended by one.
const stayTime = 500 * time.Millisecond

// waitAlone writes a call that has to wait, without keeping others: it tries, and rests, while it holds nothing, until its rows are free. One
// of one row holds no other while it waits; where there is room for that, one such call at a time stays in the queue of its row, so that a
// row which transactions hand on from one to the next is not out of its reach. Close does not wait for whoever holds a row, nor does a call
// whose caller has gone take a turn.
func (s *Store) waitAlone(c *call) {
	stays := len(c.rows) == 1 && c.rows[0].busy == nil && cap(s.queue.alone) > 1
	s.running.Go(func() {
		waiting := s.queue.waiting.Add(1)
		defer func() { s.queue.waiting.Add(-1) }()
		for {
			select {
			case s.queue.alone <- struct{}{}:
			case <-s.life.Done():
				c.answer(store.ErrClosed)
				return
			}
			if c.hasGone() || s.isClosed() {
				<-s.queue.alone
				c.answer(store.ErrClosed) // unless nobody hears it
				return
			}
			err := s.tryAlone(c, stays)
			<-s.queue.alone
			s.barred.waited(c, code(err) == codeLockNotAvailable, s.nodes.clk.Read().Boot)
			if err == nil && !c.left || err != nil && code(err) != codeLockNotAvailable {
				c.answer(err)
				return
			}
			_ = wait.Sleep(s.life, min(max(time.Duration(waiting)*restEach, restLeast), restMost))
			waiting = s.queue.waiting.Load()
		}
	})
}

// tryAlone tries to write a call that waits. One that may stay in the queue of its row does so if no other does.
func (s *Store) tryAlone(c *call, stays bool) error {
	counter := rand.Int32N(counters) // another each time: what all share is held by one commit after the other, of whatever process
	if stays {
		select {
		case s.queue.stays <- struct{}{}:
			defer func() { <-s.queue.stays }()
			return s.tryAgain(s.life, stayTime, counter, []*call{c}, locked)
		default:
		}
	}
	return s.tryAgain(s.life, lockTimeout/10, counter, []*call{c}, passBy)
}

// triesMost is how often a transaction is made anew because others were faster.
const triesMost = 100

// tryAgain writes calls in a transaction, anew for as long as others get in its way.
func (s *Store) tryAgain(ctx context.Context, wait time.Duration, counter int32, calls []*call, how manner) (err error) {
	if s.o.Pooler {
		how = max(how, locked)
	}
	for range triesMost {
		err = s.transact(ctx, wait, counter, calls, how)
		how = max(how, locked)
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
func (s *Store) transact(ctx context.Context, wait time.Duration, counter int32, calls []*call, how manner) (err error) {
	ctx, stop := park.Within(ctx, sendTimeout, errSilent)
	defer stop()
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return causeOf(ctx, err)
	}
	defer conn.Release() // one that is in a transaction is closed
	b := newBatch(ctx, s, piped{conn}, counter)
	b.parts, b.locks, b.passing = len(calls) > 1, how != asFound, how == passBy
	for _, c := range calls {
		b.rows = append(b.rows, c.rows...)
	}
	if !b.locks && calls[0].holds() {
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
	if b.locks {
		s.barred.note(b.order, s.nodes.clk.Read().Boot)
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
	b.m.High = s.high.raise(b.m.Now)
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

// applyCall works the rows of a call out, unless its caller has gone, or has to wait for one that somebody else's transaction holds.
func (b *batch) applyCall(c *call) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return nil
	}
	c.left = slices.ContainsFunc(c.rows, func(r row) bool { return r.busy == nil && b.cells[r.key].barred })
	if c.left {
		return nil
	}
	b.call = c
	defer func() { b.call = nil }()
	for i := range c.rows {
		if r := &c.rows[i]; b.cells[r.key].barred {
			r.busy()
			continue
		}
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
