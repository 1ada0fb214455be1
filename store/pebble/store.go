package pebble

import (
	"context"
	"errors"
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
	hints   map[chan store.Hint]struct{}
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
	return c.do(ctx, op, rows, apply)
}

// view lets f read, and waits until what it may have seen is synced.
func (s *Store) view(ctx context.Context, op string, f func(c *core, snap *pdb.Snapshot) error) error {
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

func (c *core) view(f func(c *core, snap *pdb.Snapshot) error) (err error) {
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
	snap := c.db.NewSnapshot()
	defer func() {
		if cerr := snap.Close(); err == nil && cerr != nil {
			err = blame(cerr)
		}
	}()
	return f(c, snap)
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
	res := make([]store.PutResult, len(puts))
	err := s.do(ctx, "put", len(puts), func(w *writer, i int) {
		e, err := w.lookup(puts[i].Key)
		if err != nil {
			res[i].Err = &store.Error{Op: "put", Key: puts[i].Key, Err: err}
			return
		}
		var chg store.Change
		chg, res[i] = puts[i].Apply(e.t, &w.m)
		w.write(puts[i].Key, e, &chg)
	})
	return answer(res, err)
}

// answer returns results, or the error alone.
func answer[R any](res []R, err error) ([]R, error) {
	if err != nil {
		return nil, err
	}
	return res, nil
}

// Cancel implements store.Store.
func (s *Store) Cancel(ctx context.Context, cancels []store.Cancel) ([]store.CancelResult, error) {
	res := make([]store.CancelResult, len(cancels))
	err := s.do(ctx, "cancel", len(cancels), func(w *writer, i int) {
		e, err := w.lookup(cancels[i].Key)
		if err != nil {
			res[i].Err = &store.Error{Op: "cancel", Key: cancels[i].Key, Err: err}
			return
		}
		var chg store.Change
		chg, res[i] = cancels[i].Apply(e.t, &w.m)
		w.write(cancels[i].Key, e, &chg)
	})
	return answer(res, err)
}

// Edit implements store.Store.
func (s *Store) Edit(ctx context.Context, edits []store.Edit) ([]store.EditResult, error) {
	res := make([]store.EditResult, len(edits))
	err := s.do(ctx, "edit", len(edits), func(w *writer, i int) {
		e, err := w.lookup(edits[i].Key)
		if err != nil {
			res[i].Err = &store.Error{Op: "edit", Key: edits[i].Key, Err: err}
			return
		}
		var chg store.Change
		chg, res[i] = edits[i].Apply(e.t, &w.m)
		w.write(edits[i].Key, e, &chg)
	})
	return answer(res, err)
}

// Claim implements store.Store. Every claim is synced, whether FirstStart or not.
func (s *Store) Claim(ctx context.Context, claims []store.Claim) ([]store.ClaimResult, error) {
	res := make([]store.ClaimResult, len(claims))
	err := s.do(ctx, "claim", len(claims), func(w *writer, i int) {
		e, err := w.lookup(claims[i].Key)
		if err != nil {
			res[i].Err = &store.Error{Op: "claim", Key: claims[i].Key, Err: err}
			return
		}
		var chg store.Change
		chg, res[i] = claims[i].Apply(e.t, &w.m)
		w.write(claims[i].Key, e, &chg)
	})
	return answer(res, err)
}

// Renew implements store.Store. Leases are kept in memory: they end with the process.
func (s *Store) Renew(ctx context.Context, renewals []store.Renewal) ([]store.RenewResult, error) {
	res := make([]store.RenewResult, len(renewals))
	err := s.do(ctx, "renew", len(renewals), func(w *writer, i int) {
		e, err := w.lookup(renewals[i].Key)
		if err != nil {
			res[i].Err = &store.Error{Op: "renew", Key: renewals[i].Key, Err: err}
			return
		}
		var chg store.Change
		chg, res[i] = renewals[i].Apply(e.t, &w.m)
		if chg.Write {
			w.remember(renewals[i].Key, e, chg.Task)
		}
	})
	return answer(res, err)
}

// Settle implements store.Store.
func (s *Store) Settle(ctx context.Context, settlements []store.Settlement) ([]store.SettleResult, error) {
	res := make([]store.SettleResult, len(settlements))
	err := s.do(ctx, "settle", len(settlements), func(w *writer, i int) {
		e, err := w.lookup(settlements[i].Key)
		if err != nil {
			res[i].Err = &store.Error{Op: "settle", Key: settlements[i].Key, Err: err}
			return
		}
		var chg store.Change
		chg, res[i] = settlements[i].Apply(e.t, &w.m)
		w.write(settlements[i].Key, e, &chg)
	})
	return answer(res, err)
}

// Stats implements store.Store.
func (s *Store) Stats(ctx context.Context) (st store.Stats, err error) {
	err = s.view(ctx, "stats", func(c *core, _ *pdb.Snapshot) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		st = store.Stats{Tasks: c.stats.tasks, Paused: c.stats.paused, Dead: c.stats.dead, History: c.stats.history, Running: c.running}
		return nil
	})
	return st, err
}

// Hints implements store.Hinter. It tells of every write that gives a task a place, this process's included.
func (s *Store) Hints() (<-chan store.Hint, func()) {
	h := make(chan store.Hint, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		close(h)
		return h, func() {}
	}
	s.hints[h] = struct{}{}
	return h, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if _, ok := s.hints[h]; ok {
			delete(s.hints, h)
			close(h)
		}
	}
}

// hint tells who listens, merging with what they have not heard yet.
func (s *Store) hint(h store.Hint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ch := range s.hints {
		n := h
		select {
		case old := <-ch:
			n.At = min(n.At, old.At)
			for i := range n.Shards {
				n.Shards[i] |= old.Shards[i]
			}
		default:
		}
		ch <- n // only this function sends, and there is room now
	}
}

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
