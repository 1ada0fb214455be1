package pebble

import (
	"encoding/binary"
	"slices"

	pdb "github.com/cockroachdb/pebble/v2"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/internal/record"
)

// A writer is the committer's batch in the making. It is what a transition may look at: the tasks as the rows before have left
// them, the sequence, the past.
type writer struct {
	c       *core
	m       store.Moment
	batch   *pdb.Batch
	keys    map[store.Key]entry
	calls   []*call
	events  []store.Event // of this batch, for the past
	deaths  map[store.RunID]*store.Task
	hour    hour // the newest of the history; what this batch adds to it
	hours   []hour
	running int64
	low     store.Instant
	shards  store.Shards
	key     []byte // scratch
	val     []byte
}

func newWriter(c *core) *writer {
	w := &writer{c: c, keys: map[store.Key]entry{}, deaths: map[store.RunID]*store.Task{}}
	w.m.Seq = func() int64 { c.st.seq++; return c.st.seq }
	w.m.Past = w
	w.batch = c.db.NewBatch()
	w.low = store.Never
	if n := len(c.hours); n > 0 {
		w.hour = c.hours[n-1]
	}
	return w
}

// look reads the clock: once for all rows that are worked out together.
func (w *writer) look() {
	now := w.c.s.clock()
	w.m.Now, w.m.Mono = now.Now, now.Mono
	w.c.st.high = max(w.c.st.high, now.Now)
	w.m.High = w.c.st.high
}

func (w *writer) empty() bool { return len(w.calls) == 0 && w.batch.Empty() }
func (w *writer) full() bool  { return w.batch.Len() >= batchMost }

// keysKept is how many keys a batch may have whose map the next one uses again. To go over a map and to clear it takes the time of the
// most that was ever in it: after one batch of thousands of rows every batch of one would pay for them.
const keysKept = 128

// reset makes the writer ready for the next batch, after this one was published.
func (w *writer) reset() {
	if len(w.keys) > keysKept {
		w.keys = map[store.Key]entry{}
	} else {
		clear(w.keys)
	}
	clear(w.deaths)
	clear(w.events)
	w.events, w.hours, w.running = w.events[:0], w.hours[:0], 0
}

// group closes the batch.
func (w *writer) group() *group {
	if !w.batch.Empty() {
		for _, h := range w.hours {
			w.key = hoursKey(w.key[:0], h.hour)
			w.val = appendHour(w.val[:0], h)
			w.set()
		}
		w.c.st.batches++
		w.key, w.val = append(w.key[:0], metaState...), w.c.st.append(w.val[:0])
		w.set()
	}
	g := &group{batch: w.batch, calls: w.calls, low: w.low, shards: w.shards}
	w.batch, w.calls, w.low, w.shards = w.c.db.NewBatch(), nil, store.Never, store.Shards{}
	return g
}

// set and del put the scratch key into the batch. A batch that is not applied refuses nothing.
func (w *writer) set() { _ = w.batch.Set(w.key, w.val, nil) }
func (w *writer) del() { _ = w.batch.Delete(w.key, nil) }

// lookup returns what a name points to, as the rows before have left it.
func (w *writer) lookup(k store.Key) (entry, error) {
	if e, ok := w.keys[k]; ok {
		return e, nil
	}
	w.c.mu.Lock()
	e, ok := w.c.hot[k]
	w.c.mu.Unlock()
	if ok {
		return e, nil
	}
	if !w.c.mayHave(k) {
		return entry{}, nil
	}
	return read(w.c.db, k)
}

// write puts a change into the batch.
func (w *writer) write(k store.Key, old entry, chg *store.Change) {
	if !chg.Write {
		return
	}
	for i := range chg.Events {
		w.event(&chg.Events[i])
	}
	if chg.Dead != nil {
		w.bury(chg.Dead)
	}
	if chg.Redrive != nil {
		w.key = deadKey(w.key[:0], *chg.Redrive)
		w.del()
		w.deaths[*chg.Redrive] = nil
		w.c.st.dead--
	}
	e := entry{t: chg.Task}
	switch {
	case chg.Task == nil:
		w.drop(k, old)
	case old.t != nil && chg.Task.Position() == old.pos && sameBase(old.t, chg.Task):
		e.pos, e.large = old.pos, old.large
		w.overlay(k, &e)
	default:
		w.store(k, old, &e)
		if e.t.Running() > 0 { // by its live key an attempt is found again after a crash
			w.overlay(k, &e)
		}
	}
	w.count(old.t, e.t)
	w.keys[k] = e
}

// overlay writes what claims have changed of a task, beside the task.
func (w *writer) overlay(k store.Key, e *entry) {
	e.overlay = true
	w.key = nameKey(w.key[:0], keyLive, k)
	w.val = record.AppendOverlay(w.val[:0], e.t)
	w.set()
}

// remember keeps a change that only this process needs to know.
func (w *writer) remember(k store.Key, old entry, chg *store.Change) {
	if chg.Write {
		old.t = chg.Task
		w.keys[k] = old
	}
}

// sameBase says whether two states of a task differ in nothing but what the live key holds.
func sameBase(a, b *store.Task) bool {
	return a.Generation == b.Generation && a.PausedAt == b.PausedAt && a.Ended == b.Ended && a.Schedule == b.Schedule &&
		a.AcceptedAt == b.AcceptedAt && a.FirstAt == b.FirstAt && a.Moved == b.Moved
}

// drop takes all of a task out.
func (w *writer) drop(k store.Key, old entry) {
	if old.t == nil {
		return
	}
	w.key = dueKey(w.key[:0], old.pos, k)
	w.del()
	w.key = nameKey(w.key[:0], keyTask, k)
	w.del()
	w.clear(k, old, true)
}

// clear takes out what a task has beside its two keys.
func (w *writer) clear(k store.Key, old entry, payload bool) {
	if old.overlay {
		w.key = nameKey(w.key[:0], keyLive, k)
		w.del()
	}
	if payload && old.large {
		w.key = nameKey(w.key[:0], keyPayload, k)
		w.del()
	}
}

// store writes a task whole, at its place.
func (w *writer) store(k store.Key, old entry, e *entry) {
	e.pos, e.large = e.t.Position(), len(e.t.Payload) >= largePayload
	w.clear(k, old, !e.large)
	if old.t == nil {
		w.c.addName(k)
	} else if old.pos != e.pos {
		w.key = dueKey(w.key[:0], old.pos, k)
		w.del()
	}
	if old.t == nil || old.pos != e.pos {
		w.key, w.val = nameKey(w.key[:0], keyTask, k), appendInstant(w.val[:0], e.pos)
		w.val = binary.BigEndian.AppendUint64(w.val, uint64(e.t.Generation))
		w.set()
		if e.pos != store.Never {
			w.low = min(w.low, e.pos)
			w.shards.Add(k.Shard())
		}
	}
	if e.large && (!old.large || &old.t.Payload[0] != &e.t.Payload[0]) {
		w.key, w.val = nameKey(w.key[:0], keyPayload, k), append(w.val[:0], e.t.Payload...)
		w.set()
	}
	w.key, w.val = dueKey(w.key[:0], e.pos, k), record.AppendTask(w.val[:0], e.t, !e.large)
	w.set()
}

// count keeps the counters.
func (w *writer) count(old, t *store.Task) {
	if old != nil {
		w.c.st.tasks--
		if old.Paused() {
			w.c.st.paused--
		}
		w.running -= int64(old.Running())
	}
	if t != nil {
		w.c.st.tasks++
		if t.Paused() {
			w.c.st.paused++
		}
		w.running += int64(t.Running())
	}
}

// bury keeps a dead run with its task.
func (w *writer) bury(t *store.Task) {
	id := t.Runs[0].ID(t.Key)
	w.key = deadKey(w.key[:0], id)
	w.val = record.AppendDead(w.val[:0], w.m.Now, t)
	w.set()
	w.deaths[id] = t
	w.c.st.dead++
}

// event writes an entry of the history. Its hour never goes back, so that the order of keys is the order of writing, and is not before
// any instant that was due by then, so that whoever looks for what became of a one-off need not look further back.
func (w *writer) event(e *store.Event) {
	st := &w.c.st
	st.eventSeq++
	st.history++
	e.Seq = st.eventSeq
	st.hour = max(st.hour, hourOf(e.At), hourOf(st.high))
	w.key, w.val = historyKey(w.key[:0], st.hour, e.Seq), record.AppendEvent(w.val[:0], e)
	w.set()
	w.key, w.val = indexKey(w.key[:0], st.hour, hashKey(e.Key), e.Seq), w.val[:0]
	w.set()
	if w.hour.hour != st.hour || w.hour.n == 0 {
		w.hour = hour{hour: st.hour, first: e.Seq}
	}
	w.hour.n++
	if n := len(w.hours); n > 0 && w.hours[n-1].hour == w.hour.hour {
		w.hours[n-1] = w.hour
	} else {
		w.hours = append(w.hours, w.hour)
	}
	w.events = append(w.events, *e)
}

// tell brings the table of hours up to date.
func (w *writer) tell(hours []hour) []hour {
	if len(w.hours) == 0 {
		return hours
	}
	hours = slices.Clone(hours) // readers hold the old one
	for _, h := range w.hours {
		if n := len(hours); n > 0 && hours[n-1].hour == h.hour {
			hours[n-1] = h
		} else {
			hours = append(hours, h)
		}
	}
	return hours
}

func hourOf(i store.Instant) uint32 {
	const us = 3_600_000_000
	return uint32(min(max(int64(i)/us, 0), 1<<31))
}

// Ran implements store.Past.
func (w *writer) Ran(k store.Key, id store.Identity, since store.Instant) (ran bool, err error) {
	err = w.past(k, hourOf(since), func(e *store.Event) bool {
		ran = e.Identity == id
		return !ran
	})
	return ran, err
}

// Finished implements store.Past.
func (w *writer) Finished(k store.Key) (was bool, err error) {
	err = w.past(k, 0, func(*store.Event) bool {
		was = true
		return false
	})
	return was, err
}

// past shows the entries of a key, those of this batch first.
func (w *writer) past(k store.Key, from uint32, show func(e *store.Event) bool) error {
	if _, written := w.keys[k]; written { // else none of the entries is its
		for i := range w.events {
			if w.events[i].Key == k && !show(&w.events[i]) {
				return nil
			}
		}
	}
	w.c.mu.Lock()
	hours := w.c.hours
	w.c.mu.Unlock()
	return entriesOf(w.c.db, hours, k, entryRange{from: from}, func(e store.Event) bool { return show(&e) })
}

// Dead implements store.Past.
func (w *writer) Dead(id store.RunID) (*store.Task, error) {
	if t, ok := w.deaths[id]; ok {
		return t, nil
	}
	return readDead(w.c.db, id)
}

func readDead(r pdb.Reader, id store.RunID) (*store.Task, error) {
	var t *store.Task
	_, err := fetch(r, deadKey(nil, id), func(v []byte) (err error) {
		t, err = decodeDead(id.Key, v)
		return err
	})
	return t, err
}
