package pebble

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	pdb "github.com/cockroachdb/pebble/v2"

	"github.com/dulyhq/duly/store"
)

// Store is a store in a directory. It implements store.Store, store.Hinter and store.Backuper.
type Store struct {
	dir  string
	o    Options
	lock io.Closer

	mu      sync.Mutex
	core    *core // nil while the directory could not be opened anew
	broken  error // why
	closed  bool
	life    context.Context //nolint:containedctx // it ends with Close
	kill    context.CancelFunc
	hints   store.Listeners
	durable atomic.Uint64 // batches that are synced
	free    int64         // bytes, when last looked at
	looked  store.Instant
	spent   int64 // bytes of payloads since then
	healers sync.WaitGroup
	closing sync.Once
	last    error // of Close
}

var (
	_ store.Store    = (*Store)(nil)
	_ store.Hinter   = (*Store)(nil)
	_ store.Noter    = (*Store)(nil)
	_ store.Backuper = (*Store)(nil)
)

// clock returns the store's time. A reading is rounded down: nothing is due before it is.
func (s *Store) clock() store.Clock {
	r := s.o.Clock.Read()
	floor := func(ns int64) store.Instant {
		us := ns / 1000
		if ns%1000 < 0 {
			us--
		}
		return store.Instant(us)
	}
	return store.Clock{Now: floor(r.Wall), Mono: floor(r.Boot)}
}

// Clock implements store.Store.
func (s *Store) Clock(ctx context.Context) (store.Clock, error) {
	if _, err := s.enter(ctx, "clock"); err != nil {
		return store.Clock{}, err
	}
	return s.clock(), nil
}

// enter returns what is open.
func (s *Store) enter(ctx context.Context, op string) (*core, error) {
	if ctx.Err() != nil {
		return nil, &store.Error{Op: op, Err: context.Cause(ctx)}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, &store.Error{Op: op, Err: store.ErrClosed}
	case s.core == nil:
		return nil, &store.Error{Op: op, Err: s.broken}
	}
	return s.core, nil
}

// do hands rows to the committer.
func (s *Store) do(ctx context.Context, op string, rows int, apply func(w *writer, i int)) error {
	c, err := s.enter(ctx, op)
	if err != nil || rows == 0 {
		return err
	}
	if s.o.ReadOnly {
		return &store.Error{Op: op, Err: fmt.Errorf("%w: %s was opened to be read", store.ErrReadOnly, s.dir)}
	}
	return c.do(ctx, op, rows, apply)
}

// view lets f read, and waits until what it may have seen is synced.
func (s *Store) view(ctx context.Context, op string, f func(c *core) error) error {
	c, err := s.enter(ctx, op)
	if err != nil {
		return err
	}
	if err := c.view(f); err != nil {
		if errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrClosed) {
			return &store.Error{Op: op, Err: err}
		}
		return &store.Error{Op: op, Err: blame(err)}
	}
	if s.o.Durability != Sync {
		return nil
	}
	return c.settled(ctx, op)
}

func (c *core) view(f func(c *core) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = caught(v)
		}
	}()
	c.use.RLock()
	defer c.use.RUnlock()
	if c.closed {
		if err := c.failed(); err != nil {
			return err
		}
		return store.ErrClosed
	}
	return f(c)
}

// snapshot lets f read the database as it is at one moment.
func (c *core) snapshot(f func(snap *pdb.Snapshot) error) (err error) {
	snap := c.db.NewSnapshot()
	defer shut(&err, snap)
	return f(snap)
}

// Put implements store.Store. With too little free space it is refused.
func (s *Store) Put(ctx context.Context, puts []store.Put) ([]store.PutResult, error) {
	size := int64(0)
	for i := range puts {
		size += int64(len(puts[i].Payload))
	}
	if err := s.room("put", size); err != nil {
		return nil, err
	}
	return write(ctx, s, "put", puts, func(x *store.Put) store.Key { return x.Key }, (*store.Put).Apply,
		func(err error) store.PutResult { return store.PutResult{Err: err} }, (*writer).write)
}

// write hands rows in. Fault makes the answer to a row whose task can't be read.
func write[X, R any](
	ctx context.Context, s *Store, op string, rows []X, key func(x *X) store.Key,
	apply func(x *X, t *store.Task, m *store.Moment) (store.Change, R), fault func(err error) R,
	put func(w *writer, k store.Key, old entry, chg *store.Change),
) ([]R, error) {
	res := make([]R, len(rows))
	err := s.do(ctx, op, len(rows), func(w *writer, i int) {
		k := key(&rows[i])
		e, err := w.lookup(k)
		if err != nil {
			res[i] = fault(&store.Error{Op: op, Key: k, Err: err})
			return
		}
		var chg store.Change
		chg, res[i] = apply(&rows[i], e.t, &w.m)
		put(w, k, e, &chg)
	})
	if err != nil {
		return nil, err
	}
	return res, nil
}

// Cancel implements store.Store.
func (s *Store) Cancel(ctx context.Context, cancels []store.Cancel) ([]store.CancelResult, error) {
	return write(ctx, s, "cancel", cancels, func(x *store.Cancel) store.Key { return x.Key }, (*store.Cancel).Apply,
		func(err error) store.CancelResult { return store.CancelResult{Err: err} }, (*writer).write)
}

// Edit implements store.Store.
func (s *Store) Edit(ctx context.Context, edits []store.Edit) ([]store.EditResult, error) {
	return write(ctx, s, "edit", edits, func(x *store.Edit) store.Key { return x.Key }, (*store.Edit).Apply,
		func(err error) store.EditResult { return store.EditResult{Err: err} }, (*writer).write)
}

// Claim implements store.Store. Every claim is synced, whether FirstStart or not.
func (s *Store) Claim(ctx context.Context, claims []store.Claim) ([]store.ClaimResult, error) {
	return write(ctx, s, "claim", claims, func(x *store.Claim) store.Key { return x.Key }, (*store.Claim).Apply,
		func(err error) store.ClaimResult { return store.ClaimResult{Err: err} }, (*writer).write)
}

// Renew implements store.Store. Leases are kept in memory: they end with the process.
func (s *Store) Renew(ctx context.Context, renewals []store.Renewal) ([]store.RenewResult, error) {
	return write(ctx, s, "renew", renewals, func(x *store.Renewal) store.Key { return x.Key }, (*store.Renewal).Apply,
		func(err error) store.RenewResult { return store.RenewResult{Err: err} }, (*writer).remember)
}

// Settle implements store.Store.
func (s *Store) Settle(ctx context.Context, settlements []store.Settlement) ([]store.SettleResult, error) {
	return write(ctx, s, "settle", settlements, func(x *store.Settlement) store.Key { return x.Key }, (*store.Settlement).Apply,
		func(err error) store.SettleResult { return store.SettleResult{Err: err} }, (*writer).write)
}

// Stats implements store.Store.
func (s *Store) Stats(ctx context.Context) (st store.Stats, err error) {
	err = s.view(ctx, "stats", func(c *core) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		st = store.Stats{Tasks: c.stats.tasks, Paused: c.stats.paused, Dead: c.stats.dead, History: c.stats.history, Running: c.running}
		return nil
	})
	return st, err
}

// Note implements store.Noter.
func (s *Store) Note(ctx context.Context, name string) (text string, err error) {
	if err := store.CheckNote(name, ""); err != nil {
		return "", err
	}
	err = s.view(ctx, "note", func(c *core) error {
		_, err := fetch(c.db, noteKey(nil, name), func(v []byte) error {
			text = string(v)
			return nil
		})
		return err
	})
	return text, err
}

// SetNote implements store.Noter.
func (s *Store) SetNote(ctx context.Context, name, text string) error {
	if err := store.CheckNote(name, text); err != nil {
		return err
	}
	return s.do(ctx, "note", 1, func(w *writer, _ int) {
		w.key, w.val = noteKey(w.key[:0], name), append(w.val[:0], text...)
		if text == "" {
			w.del()
			return
		}
		w.set()
	})
}

// Hints implements store.Hinter. It tells of every write that gives a task a place, this process's included.
func (s *Store) Hints() (hints <-chan store.Hint, stop func()) { return s.hints.Hints() }

// room says whether there is enough free space for new work of some bytes. It looks ten times a second, and more often only if much
// is handed in.
func (s *Store) room(op string, size int64) error {
	if s.o.MinFree < 0 {
		return nil
	}
	now := s.clock().Mono
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spent += size
	if s.looked == 0 || s.spent > s.o.MinFree/8 || now-s.looked > 100_000 || now < s.looked {
		u, err := s.o.FS.GetDiskUsage(s.dir)
		if err != nil {
			return nil // a file system that does not say how full it is limits nothing
		}
		s.spent = 0
		s.free, s.looked = int64(min(u.AvailBytes, 1<<62)), max(now, 1)
	}
	if s.free < s.o.MinFree {
		return &store.Error{
			Op: op, Field: "free space", Value: mib(s.free), Want: "at least " + mib(s.o.MinFree) + " on the disk of " + s.dir, Err: store.ErrNoSpace,
		}
	}
	return nil
}

var healEvery = time.Second // tests can't wait so long
