package pebble

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	pdb "github.com/cockroachdb/pebble/v2"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/internal/record"
)

// An entryRange bounds a look into the history. The zero entryRange is all of it, oldest first.
type entryRange struct {
	from   uint32 // hour
	after  int64  // seq
	before int64  // seq; 0 is no bound
	newest bool
}

// hourAt returns the hour that holds an entry.
func hourAt(hours []hour, seq int64) (uint32, bool) {
	i, found := slices.BinarySearchFunc(hours, seq, func(h hour, seq int64) int {
		switch {
		case h.first < seq:
			return -1
		case h.first > seq:
			return 1
		}
		return 0
	})
	if !found {
		i--
	}
	if i < 0 {
		return 0, false
	}
	return hours[i].hour, true
}

// entriesOf shows the entries of one key until show says no.
func entriesOf(r pdb.Reader, hours []hour, k store.Key, at entryRange, show func(e store.Event) bool) error {
	if len(hours) == 0 {
		return nil
	}
	hash := hashKey(k)
	first, last := max(hours[0].hour, at.from)/24, hours[len(hours)-1].hour/24
	if h, ok := hourAt(hours, at.after); ok && at.after > 0 {
		first = max(first, h/24)
	}
	for n := range last + 1 - min(first, last+1) {
		day := first + n
		if at.newest {
			day = last - n
		}
		more, err := dayOf(r, hours, k, hash, day, at, show)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

func dayOf(r pdb.Reader, hours []hour, k store.Key, hash uint64, day uint32, at entryRange, show func(e store.Event) bool) (more bool, err error) {
	end := at.before
	if end == 0 {
		end = math.MaxInt64
	}
	lower, upper := indexKey(nil, day*24, hash, at.after+1), indexKey(nil, day*24, hash, max(end, at.after+1))
	more = true
	err = each(r, &pdb.IterOptions{LowerBound: lower, UpperBound: upper}, at.newest, func(it *pdb.Iterator) (bool, error) {
		seq := int64(binary.BigEndian.Uint64(it.Key()[13:]))
		h, found := hourAt(hours, seq)
		if !found || h < at.from {
			return true, nil // trimmed, or before what is asked for
		}
		e, found, err := entryAt(r, h, seq)
		if err == nil && found && e.Key == k {
			more = show(e)
		}
		return more, err
	})
	return more, err
}

func entryAt(r pdb.Reader, h uint32, seq int64) (e store.Event, found bool, err error) {
	found, err = fetch(r, historyKey(nil, h, seq), func(v []byte) (err error) {
		e, err = parseEntry(v, seq)
		return err
	})
	return e, found, err // it may not be there: the index outlives what it points to
}

func parseEntry(v []byte, seq int64) (store.Event, error) {
	e, err := decodeEvent(v, seq)
	if err != nil {
		err = fmt.Errorf("entry %d of the history: %w", seq, err)
	}
	return e, err
}

// entries shows all entries until show says no.
func entries(r pdb.Reader, hours []hour, at entryRange, show func(e store.Event) bool) error {
	lower := historyKey(nil, at.from, 0)
	if at.after > 0 {
		if h, ok := hourAt(hours, at.after+1); ok && h >= at.from {
			lower = historyKey(nil, h, at.after+1)
		}
	}
	upper := []byte{keyHistory + 1}
	if at.before > 0 {
		h, ok := hourAt(hours, at.before)
		if !ok {
			return nil // older than the oldest
		}
		if upper = historyKey(nil, h, at.before); string(upper) < string(lower) {
			return nil
		}
	}
	return each(r, &pdb.IterOptions{LowerBound: lower, UpperBound: upper}, at.newest, func(it *pdb.Iterator) (bool, error) {
		seq := int64(binary.BigEndian.Uint64(it.Key()[5:]))
		if seq <= at.after {
			return true, nil
		}
		e, err := parseEntry(it.Value(), seq)
		return err == nil && show(e), err
	})
}

// History implements store.Store.
func (s *Store) History(ctx context.Context, q store.HistoryQuery) (events []store.Event, err error) {
	limit := q.Limit
	if limit <= 0 {
		limit = 100
	}
	err = s.view(ctx, "history", func(c *core) error {
		c.mu.Lock()
		hours := c.hours
		c.mu.Unlock()
		at := entryRange{after: min(max(q.After, 0), math.MaxInt64-1), before: q.Before, newest: q.Newest}
		if q.Since > 0 {
			at.from = hourOf(q.Since)
		}
		show := func(e store.Event) bool {
			if e.At >= q.Since || q.Since == 0 {
				events = append(events, e)
			}
			return len(events) < limit && ctx.Err() == nil
		}
		return c.snapshot(func(snap *pdb.Snapshot) error {
			if q.Key == (store.Key{}) {
				return entries(snap, hours, at, show)
			}
			return entriesOf(snap, hours, q.Key, at, show)
		})
	})
	return events, err
}

// Trim implements store.Store. What it forgets of the history are whole hours, then the first entries of the oldest one, and then
// single entries if they are too many. It does a part at a time, between which others write.
func (s *Store) Trim(ctx context.Context, r store.Retention) (n int64, err error) {
	for t := (trimming{began: s.clock()}); err == nil; {
		var some int64
		var failed error
		err = s.do(ctx, "trim", 1, func(w *writer, _ int) { some, failed = w.trim(r, &t) })
		if n += some; err == nil && failed != nil {
			err = &store.Error{Op: "trim", Err: failed}
		}
		if !t.more {
			break
		}
	}
	return n, err
}

// A trimming is how far one Trim has come.
type trimming struct {
	began store.Clock
	done  int64  // what the oldest hour has before this seq was looked at
	dead  []byte // the key of the last dead run that was looked at
	more  bool   // not all was looked at
}

// steady says that the clock was not set since the trimming began: what is of the future, or old, is so by the same clock for all of it.
func (t *trimming) steady(now store.Clock) bool {
	moved := now.Now.Sub(t.began.Now) - now.Mono.Sub(t.began.Mono)
	return moved.Abs() < time.Second
}

func (w *writer) trim(r store.Retention, t *trimming) (n int64, err error) {
	t.more = false
	w.c.mu.Lock()
	hours := w.tell(slices.Clone(w.c.hours))
	w.c.mu.Unlock()
	dead, err := w.deadBefore(r.DeadFrom, t)
	if err != nil {
		return 0, err
	}
	whole, old := 0, int64(0)
	for r.HistoryFrom != 0 && whole < len(hours) && hours[whole].hour < hourOf(r.HistoryFrom) {
		whole++
	}
	if whole < len(hours) && r.HistoryFrom > 0 {
		if old, err = w.before(hours[whole], r.HistoryFrom, t); err != nil {
			return 0, err
		}
	}
	// Now nothing can fail any more, so that it is written whole.
	for _, h := range hours[:whole] {
		n += h.n
		w.forget(h.hour)
	}
	kept := hours[whole:]
	if old > 0 {
		kept = w.cut(kept, old)
		n += old
	}
	for r.MaxHistory > 0 && len(kept) > 0 && w.c.st.history-n > r.MaxHistory {
		over := w.c.st.history - n - r.MaxHistory
		if over < kept[0].n {
			kept = w.cut(kept, over)
			n += over
			break
		}
		n += kept[0].n
		w.forget(kept[0].hour)
		kept = kept[1:]
	}
	if n > 0 {
		w.trimmed(hours, kept, n)
	}
	for _, w.key = range dead {
		w.del()
		if id, ok := parseDeadKey(w.key); ok {
			w.deaths[id] = nil
		}
	}
	w.c.st.dead -= int64(len(dead))
	return n + int64(len(dead)), nil
}

// cut takes the first entries of the oldest hour out. All seqs of an hour are consecutive.
func (w *writer) cut(kept []hour, n int64) []hour {
	if n == kept[0].n {
		w.forget(kept[0].hour)
		return kept[1:]
	}
	h := hour{hour: kept[0].hour, first: kept[0].first + n, n: kept[0].n - n}
	_ = w.batch.DeleteRange(historyKey(nil, h.hour, 0), historyKey(nil, h.hour, h.first), nil) // not applied yet: refuses nothing
	w.key, w.val = hoursKey(w.key[:0], h.hour), appendHour(w.val[:0], h)
	w.set()
	kept = slices.Clone(kept)
	kept[0] = h
	return kept
}

// beforeMost is how many entries of an hour that is not over, and how many dead runs, are looked at while others wait. Tests make it smaller.
var beforeMost = 10_000

// before counts the first entries of an hour that are older than an instant: an hour lasts for long if the clock was set back in it.
// What was written when the clock was ahead, and then set back, is as old as what follows it.
func (w *writer) before(h hour, from store.Instant, t *trimming) (n int64, err error) {
	now := w.c.s.clock()
	if !t.steady(now) {
		return 0, nil
	}
	seq, left := max(h.first, t.done), beforeMost
	o := &pdb.IterOptions{LowerBound: historyKey(nil, h.hour, seq), UpperBound: historyKey(nil, h.hour+1, 0)}
	err = each(w.c.db, o, false, func(it *pdb.Iterator) (bool, error) {
		e, err := decodeEvent(it.Value(), 0)
		if err != nil || e.At >= from && e.At <= now.Now {
			return false, err
		}
		seq++ // all seqs of an hour are consecutive
		if left--; e.At < from {
			n = seq - h.first
		}
		return left > 0, nil
	})
	t.done, t.more = seq, t.more || left == 0
	return n, err
}

// forget takes an hour out.
func (w *writer) forget(h uint32) {
	_ = w.batch.DeleteRange(historyKey(nil, h, 0), historyKey(nil, h+1, 0), nil) // not applied yet: refuses nothing
	w.key = hoursKey(w.key[:0], h)
	w.del()
}

// trimmed brings what is known of the history in line with what is left of it.
func (w *writer) trimmed(hours, kept []hour, n int64) {
	w.c.st.history -= n
	day := hours[len(hours)-1].hour/24 + 1
	if len(kept) > 0 {
		day = kept[0].hour / 24
	}
	_ = w.batch.DeleteRange([]byte{keyIndex}, indexKey(nil, day*24, 0, 0)[:5], nil) // not applied yet: refuses nothing
	w.c.mu.Lock()
	w.c.hours = slices.Clone(kept)
	w.c.mu.Unlock()
	w.hours, w.hour = w.hours[:0], hour{}
	if len(kept) > 0 {
		w.hour = kept[len(kept)-1]
		w.hours = append(w.hours, w.hour)
	}
	w.events = w.events[:0]
}

// deadBefore returns the keys of the runs that died before an instant. It looks at some more of them, behind those looked at already, but
// at no more bytes than a batch has: a dead run has its payload.
func (w *writer) deadBefore(from store.Instant, t *trimming) (gone [][]byte, err error) {
	if from == 0 {
		return nil, nil
	}
	left, bytes := beforeMost, 0
	o := kindOf(keyDead)
	if t.dead != nil {
		o.LowerBound = append(slices.Clone(t.dead), 0)
	}
	err = each(w.c.db, o, false, func(it *pdb.Iterator) (bool, error) {
		if t.more = left == 0 || bytes >= batchMost; t.more {
			return false, nil
		}
		left--
		bytes += len(it.Value())
		t.dead = append(t.dead[:0], it.Key()...)
		d := record.NewDecoder(it.Value())
		id, ok := parseDeadKey(it.Key())
		d.Version()
		old := d.Instant() < from && d.Err() == nil && ok        // what can't be read is left to who reads it
		if t, seen := w.deaths[id]; old && (!seen || t != nil) { // else this batch has taken it out
			gone = append(gone, slices.Clone(it.Key()))
		}
		return true, nil
	})
	return gone, err
}
