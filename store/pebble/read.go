package pebble

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	pdb "github.com/cockroachdb/pebble/v2"

	"github.com/dulyhq/duly/store"
)

// The most that one call of Due, or of List, looks at.
const (
	dueMost  = 10_000
	listMost = 2_000
)

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, keys []store.Key) ([]*store.Task, error) {
	tasks := make([]*store.Task, len(keys))
	err := s.view(ctx, "get", func(c *core) error {
		for i, k := range keys {
			t, err := c.get(k)
			if err != nil {
				return err
			}
			tasks[i] = t
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return tasks, nil
}

// get returns a task as it is now. What is remembered is asked first: if the task was not there, what the database has is as new as
// that moment.
func (c *core) get(k store.Key) (*store.Task, error) {
	c.mu.Lock()
	e, ok := c.hot[k]
	c.mu.Unlock()
	if ok {
		return e.t, nil
	}
	if !c.mayHave(k) {
		return nil, nil //nolint:nilnil // there is none
	}
	sc := c.begin()
	defer c.finish(sc)
	err := c.snapshot(func(snap *pdb.Snapshot) (err error) {
		e, err = read(snap, k)
		return err
	})
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, dirty := sc.dirty[k]; dirty {
		if now, ok := c.hot[k]; ok { // an attempt may have begun
			return now.t, nil
		}
	}
	return e.t, nil
}

// Due implements store.Store.
func (s *Store) Due(ctx context.Context, q store.DueQuery) (page store.DuePage, err error) {
	limit := q.Limit
	if limit <= 0 {
		limit = 1000
	}
	limit = min(limit, dueMost)
	err = s.view(ctx, "due", func(c *core) (err error) {
		page, err = c.due(&q, limit)
		return err
	})
	return page, err
}

// A found is a task as a scan has met it.
type found struct {
	e     entry
	stale bool
}

func (c *core) due(q *store.DueQuery, limit int) (page store.DuePage, err error) {
	sc := c.begin()
	defer c.finish(sc)
	snap := c.db.NewSnapshot()
	defer shut(&err, snap)
	whole := q.After == (store.Cursor{})
	c.mu.Lock()
	floor := c.floor
	c.mu.Unlock()
	lower := dueKey(nil, floor, store.Key{})
	if !whole {
		if after := append(dueKey(nil, q.After.At, q.After.Key), 0); string(after) > string(lower) {
			lower = after
		}
	}
	list, first, err := walk(snap, lower, q, limit, &page)
	if err != nil {
		return page, err
	}
	c.freshen(sc, list)
	if whole {
		c.raise(sc, first)
	}
	for i := range list {
		f := &list[i]
		if f.stale {
			if f.e.t, err = c.get(f.e.t.Key); err != nil { // as it is now
				return page, err
			}
			if f.e.t == nil || f.e.t.Position() != f.e.pos {
				continue // gone, or at another place
			}
		}
		page.Tasks = append(page.Tasks, f.e.t)
	}
	return page, nil
}

// walk reads a page of places, and completes the page but for its tasks. First is the position of the first that there is.
func walk(snap *pdb.Snapshot, lower []byte, q *store.DueQuery, limit int, page *store.DuePage) (list []found, first store.Instant, err error) {
	first, page.Next = store.Never, store.Never
	bytes := 0
	o := &pdb.IterOptions{LowerBound: lower, UpperBound: []byte{keyDue + 1}}
	err = each(snap, o, false, func(it *pdb.Iterator) (bool, error) {
		key := it.Key()
		if len(key) < 9 {
			return false, store.ErrCorrupt
		}
		pos := parseInstant(key[1:])
		first = min(first, pos)
		if pos > q.Until && q.Shards == nil && len(q.Kinds) == 0 {
			page.Next = pos
			return false, nil
		}
		k, ok := parseKey(key[9:])
		if !ok {
			return false, store.ErrCorrupt
		}
		if len(q.Kinds) == 0 && !q.Shards.Has(k.Shard()) { // else it is the kind that tells
			return true, nil
		}
		e, err := decodeTask(snap, k, pos, it.Value())
		if err != nil {
			return false, err
		}
		if !q.Has(k.Shard(), e.t.Kind) {
			return true, nil
		}
		if pos > q.Until {
			page.Next = pos
			return false, nil
		}
		if page.More = len(list) == limit || bytes >= store.PageBytes; page.More {
			return false, nil
		}
		list = append(list, found{e: e})
		bytes += len(e.t.Payload)
		page.Cursor = store.Cursor{At: pos, Key: k}
		return true, nil
	})
	return list, first, err
}

// freshen takes what is remembered for what was read, notes what was written since, and remembers of the rest what is nearly due.
func (c *core) freshen(sc *scan, list []found) {
	horizon := c.s.clock().Now + near
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range list {
		f := &list[i]
		k := f.e.t.Key
		now, known := c.hot[k]
		_, dirty := sc.dirty[k]
		switch {
		case known && now.pos == f.e.pos:
			f.e = now
		case dirty:
			f.stale = true
		case !known && len(c.hot) < hotMost && c.warm+f.e.warmth() <= warmMost && f.e.pos <= horizon:
			c.keep(k, f.e)
		}
	}
}

// raise notes that nothing stands before the first of a scan from the beginning, but for what was written meanwhile.
func (c *core) raise(sc *scan, first store.Instant) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.floor = max(c.floor, min(first, sc.low))
}

// List implements store.Store.
func (s *Store) List(ctx context.Context, q store.Query) (page store.Page, err error) {
	if err := q.Check(); err != nil {
		return page, err
	}
	after, err := base64.RawURLEncoding.DecodeString(q.After)
	if err != nil {
		return page, &store.Error{Op: "list", Field: "after", Value: q.After, Want: "the cursor of a page", Err: store.ErrInvalid}
	}
	limit := q.Limit
	if limit <= 0 {
		limit = 100
	}
	err = s.view(ctx, "list", func(c *core) error {
		return c.snapshot(func(snap *pdb.Snapshot) (err error) {
			page, err = c.list(snap, &q, after, min(limit, listMost))
			return err
		})
	})
	return page, err
}

// span returns the keys of one kind that a query may select, behind a cursor.
func span(kind byte, q *store.Query, after []byte) *pdb.IterOptions {
	lower, upper := []byte{kind}, []byte{kind + 1}
	if !q.AllNamespaces {
		lower = nameKey(nil, kind, store.Key{Namespace: q.Namespace, Name: q.Prefix})
		upper = slices.Clone(lower)
		for len(upper) > 1 && upper[len(upper)-1] == 0xff {
			upper = upper[:len(upper)-1]
		}
		upper[len(upper)-1]++
	}
	if len(after) > 0 {
		if from := append(append([]byte{kind}, after...), 0); string(from) > string(lower) {
			lower = from
		}
	}
	if string(lower) > string(upper) {
		lower = upper
	}
	return &pdb.IterOptions{LowerBound: lower, UpperBound: upper}
}

// list reads a page of tasks, or of dead runs.
func (c *core) list(snap *pdb.Snapshot, q *store.Query, after []byte, limit int) (page store.Page, err error) {
	kind, load := byte(keyTask), c.listed
	if q.State == store.Dead {
		kind, load = keyDead, listedDead
	}
	looked, bytes, more := 0, 0, false
	err = each(snap, span(kind, q, after), false, func(it *pdb.Iterator) (bool, error) {
		if more = len(page.Tasks) == limit || looked == listMost || bytes >= store.PageBytes; more {
			return false, nil
		}
		page.Cursor = base64.RawURLEncoding.EncodeToString(it.Key()[1:])
		looked++
		t, pos, err := load(it, q.Prefix)
		if err == nil && t != nil && selects(q, t, pos) {
			page.Tasks = append(page.Tasks, t)
			bytes += len(t.Payload)
		}
		return true, err
	})
	if !more {
		page.Cursor = ""
	}
	return page, err
}

// listed returns the task of a name, as it is now, if the name has a prefix.
func (c *core) listed(it *pdb.Iterator, prefix string) (*store.Task, store.Instant, error) {
	k, ok := parseKey(it.Key()[1:])
	if !ok {
		return nil, 0, store.ErrCorrupt
	}
	if !strings.HasPrefix(k.Name, prefix) {
		return nil, 0, nil
	}
	t, err := c.get(k)
	if err != nil || t == nil {
		return nil, 0, err
	}
	return t, t.Position(), nil
}

// listedDead returns a dead run, with its task, if the name has a prefix.
func listedDead(it *pdb.Iterator, prefix string) (*store.Task, store.Instant, error) {
	id, ok := parseDeadKey(it.Key())
	if !ok {
		return nil, 0, store.ErrCorrupt
	}
	if !strings.HasPrefix(id.Name, prefix) {
		return nil, 0, nil
	}
	t, err := decodeDead(id.Key, it.Value())
	if err != nil {
		return nil, 0, err
	}
	return t, t.Runs[0].Due, nil
}

// selects says whether a query asks for a task at a position, where the name is right already.
func selects(q *store.Query, t *store.Task, pos store.Instant) bool {
	switch {
	case q.Kind != "" && t.Kind != q.Kind,
		q.Tag != "" && !slices.Contains(t.Tags, q.Tag),
		q.State != store.None && q.State != store.Dead && t.State() != q.State,
		q.Paused && !t.Paused(),
		q.DueFrom != 0 && pos < q.DueFrom,
		q.DueUntil != 0 && pos > q.DueUntil:
		return false
	}
	return true
}

// mayHave says whether a name may be there, false if it surely is not.
func (c *core) mayHave(k store.Key) bool {
	f := c.filter.Load()
	return f == nil || f.has(hashKey(k))
}

// addName tells the filters of a new name.
func (c *core) addName(k store.Key) {
	h := hashKey(k)
	if f := c.filling.Load(); f != nil {
		f.add(h)
	}
	if f := c.filter.Load(); f != nil {
		f.add(h)
	}
}

// refill, called when all names that were added are in the database, looks whether a new filter is due, and makes a new filter of the names that are there, with room for as many again.
func (c *core) refill() {
	if f := c.filter.Load(); c.filling.Load() != nil || f != nil && f.added.Load() <= f.most+f.most/4 {
		return
	}
	f := newFilter(2 * max(c.st.tasks, 1<<15))
	if !c.filling.CompareAndSwap(nil, f) {
		return // one is being made
	}
	c.helpers.Go(func() {
		defer c.filling.Store(nil)
		if err := c.fill(f); err == nil {
			c.filter.Store(f)
		} else if !errors.Is(err, store.ErrClosed) {
			c.s.o.Logger.Warn("filter over names not made", "dir", c.s.dir, "error", err)
		}
	})
}

// fill adds all names that there are. Those that come meanwhile the committer adds.
func (c *core) fill(f *filter) error {
	n := 0
	return each(c.db, kindOf(keyTask), false, func(it *pdb.Iterator) (bool, error) {
		if k, ok := parseKey(it.Key()[1:]); ok {
			f.add(hashKey(k))
		}
		if n++; n%4096 == 0 {
			select {
			case <-c.stop:
				return false, store.ErrClosed
			default:
			}
		}
		return true, nil
	})
}
