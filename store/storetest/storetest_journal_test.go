package storetest

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
)

// This file is the example of docs/writing-a-store.md: a whole store in one file of JSON lines. The document shows it piece by piece, and
// a test compares the two.

// doc: keep

// A journal keeps all tasks in memory, and in a file what it takes to have them again: one line for each call that wrote.
type journal struct {
	clk clock.Clock

	mu     sync.Mutex // held over a call, its write and its sync: nothing is shown that a crash could take back
	file   file
	broken error         // why nothing can be relied on any more, or store.ErrClosed
	seq    int64         // the last generation, fence or number of an entry that was given out
	high   store.Instant // the latest that the clock was when something was written
	tasks  map[store.Key]*store.Task
	dead   map[store.RunID]deadRun
	events []store.Event
}

// A deadRun is kept beside the tasks until it is redriven or trimmed.
type deadRun struct {
	task *store.Task
	at   store.Instant // when it died
}

// file is what a journal asks of an *os.File.
type file interface {
	io.ReadWriteCloser
	Sync() error
}

// A line is what one call has written.
type line struct {
	Seq  int64
	High store.Instant
	Rows []row            `json:",omitempty"`
	Trim *store.Retention `json:",omitempty"`
}

// A row is a store.Change with its key.
type row struct {
	Key     store.Key
	Task    *store.Task   // what the name points to now; nil: nothing
	Dead    *store.Task   `json:",omitempty"`
	Redrive *store.RunID  `json:",omitempty"`
	Events  []store.Event `json:",omitempty"`
}

// doc: end

// doc: open

func openJournal(f file, clk clock.Clock) (*journal, error) {
	j := &journal{clk: clk, file: f, tasks: map[store.Key]*store.Task{}, dead: map[store.RunID]deadRun{}}
	for r := bufio.NewReader(f); ; {
		b, err := r.ReadBytes('\n')
		switch {
		case errors.Is(err, io.EOF): // what follows the last line was being written in the crash: it was never acknowledged
			j.endLeases()
			return j, nil
		case err != nil:
			return nil, fmt.Errorf("read journal: %w", err)
		}
		var l line
		if err := json.Unmarshal(b, &l); err != nil {
			return nil, fmt.Errorf("read journal: %w: %w", store.ErrCorrupt, err)
		}
		j.replay(&l)
	}
}

// endLeases: whoever held one was in the process that is gone, because nobody else can open the file.
func (j *journal) endLeases() {
	for _, t := range j.tasks { // nobody else has seen these tasks yet, so they may be changed
		for i := range t.Runs {
			if t.Runs[i].State == store.Running {
				t.Runs[i].Lease = store.Over
			}
		}
	}
}

// replay takes a line into memory.
func (j *journal) replay(l *line) {
	j.seq, j.high = max(j.seq, l.Seq), max(j.high, l.High)
	for i := range l.Rows {
		j.take(&l.Rows[i])
	}
	if l.Trim != nil {
		j.trim(l.Trim)
	}
}

// take makes a row true.
func (j *journal) take(r *row) {
	if r.Task != nil {
		j.tasks[r.Key] = r.Task
	} else {
		delete(j.tasks, r.Key)
	}
	if r.Redrive != nil {
		delete(j.dead, *r.Redrive)
	}
	if r.Dead != nil {
		j.dead[r.Dead.Runs[0].ID(r.Key)] = deadRun{r.Dead, r.Events[len(r.Events)-1].At}
	}
	j.events = append(j.events, r.Events...)
}

// doc: end

// doc: write

// enter begins a call: it holds the lock unless it returns an error.
func (j *journal) enter(ctx context.Context, op string) error {
	if ctx.Err() != nil {
		return &store.Error{Op: op, Err: context.Cause(ctx)}
	}
	j.mu.Lock()
	if j.broken != nil {
		defer j.mu.Unlock()
		return &store.Error{Op: op, Err: j.broken}
	}
	return nil
}

// write is what every batch does: apply each row to the task as the rows before have left it, write all changes as one line, and
// answer when that line is safe.
func write[Row, Result any](
	ctx context.Context, j *journal, op string, rows []Row,
	key func(*Row) store.Key, apply func(*Row, *store.Task, *store.Moment) (store.Change, Result),
) ([]Result, error) {
	if err := j.enter(ctx, op); err != nil {
		return nil, err
	}
	defer j.mu.Unlock()
	m := j.moment()
	var l line
	last := map[store.Key]int{}
	results := make([]Result, len(rows))
	for i := range rows {
		k := key(&rows[i])
		var c store.Change
		if c, results[i] = apply(&rows[i], j.tasks[k], m); !c.Write {
			continue
		}
		for n := range c.Events {
			c.Events[n].Seq = m.Seq()
		}
		r := row{Key: k, Task: c.Task, Dead: c.Dead, Redrive: c.Redrive, Events: c.Events}
		j.take(&r)
		if n, ok := last[k]; ok {
			l.Rows[n].Task = nil // the last row of a key says what it is in the end
		}
		last[k] = len(l.Rows)
		l.Rows = append(l.Rows, r)
	}
	if len(l.Rows) == 0 {
		return results, nil
	}
	return results, j.sync(op, &l)
}

// sync makes a line durable. If that fails nobody knows what the file holds, and what is in memory must not be shown: the store is
// of no use until it is opened again.
func (j *journal) sync(op string, l *line) error {
	l.Seq, l.High = j.seq, j.high
	b, err := json.Marshal(l)
	if err == nil {
		_, err = j.file.Write(append(b, '\n'))
	}
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		j.broken = fmt.Errorf("%w: %w", store.ErrBroken, err)
		return &store.Error{Op: op, Err: fmt.Errorf("%w: %w", store.ErrUnknown, err)}
	}
	return nil
}

// moment is what a transition may look at.
func (j *journal) moment() *store.Moment {
	now := j.now()
	j.high = max(j.high, now.Now)
	return &store.Moment{Now: now.Now, Mono: now.Mono, High: j.high, Past: (*past)(j), Seq: func() int64 { j.seq++; return j.seq }}
}

// now is rounded down, so that nothing is due before its time.
func (j *journal) now() store.Clock {
	r := j.clk.Read()
	return store.Clock{Now: store.Instant(r.Wall / 1e3), Mono: store.Instant(r.Boot / 1e3)}
}

// doc: end

// doc: calls

func (j *journal) Put(ctx context.Context, puts []store.Put) ([]store.PutResult, error) {
	return write(ctx, j, "put", puts, func(p *store.Put) store.Key { return p.Key }, (*store.Put).Apply)
}

func (j *journal) Cancel(ctx context.Context, cancels []store.Cancel) ([]store.CancelResult, error) {
	return write(ctx, j, "cancel", cancels, func(x *store.Cancel) store.Key { return x.Key }, (*store.Cancel).Apply)
}

func (j *journal) Edit(ctx context.Context, edits []store.Edit) ([]store.EditResult, error) {
	return write(ctx, j, "edit", edits, func(x *store.Edit) store.Key { return x.Key }, (*store.Edit).Apply)
}

func (j *journal) Claim(ctx context.Context, claims []store.Claim) ([]store.ClaimResult, error) {
	return write(ctx, j, "claim", claims, func(x *store.Claim) store.Key { return x.Key }, (*store.Claim).Apply)
}

func (j *journal) Renew(ctx context.Context, renewals []store.Renewal) ([]store.RenewResult, error) {
	return write(ctx, j, "renew", renewals, func(x *store.Renewal) store.Key { return x.Key }, (*store.Renewal).Apply)
}

func (j *journal) Settle(ctx context.Context, settlements []store.Settlement) ([]store.SettleResult, error) {
	return write(ctx, j, "settle", settlements, func(x *store.Settlement) store.Key { return x.Key }, (*store.Settlement).Apply)
}

// doc: end

// doc: past

// past answers what transitions ask of the journal's history; the lock is held.
type past journal

// Ran does not need the instant since when it would have run: it spares a larger store a part of its history.
func (p *past) Ran(k store.Key, id store.Identity, _ store.Instant) (bool, error) {
	return slices.ContainsFunc(p.events, func(v store.Event) bool { return v.Key == k && v.To == store.Done && v.Identity == id }), nil
}

func (p *past) Finished(k store.Key) (bool, error) {
	return slices.ContainsFunc(p.events, func(v store.Event) bool { return v.Key == k }), nil
}

func (p *past) Dead(id store.RunID) (*store.Task, error) { return p.dead[id].task, nil }

// doc: end

// doc: read

func (j *journal) Get(ctx context.Context, keys []store.Key) ([]*store.Task, error) {
	if err := j.enter(ctx, "get"); err != nil {
		return nil, err
	}
	defer j.mu.Unlock()
	ts := make([]*store.Task, len(keys))
	for i, k := range keys {
		ts[i] = j.tasks[k]
	}
	return ts, nil
}

// Due sorts all tasks for every page. A store for more than a few thousand keeps them sorted.
func (j *journal) Due(ctx context.Context, q store.DueQuery) (store.DuePage, error) {
	if err := j.enter(ctx, "due"); err != nil {
		return store.DuePage{}, err
	}
	defer j.mu.Unlock()
	var ts []*store.Task
	for _, t := range j.tasks {
		at := cmp.Or(cmp.Compare(t.Position(), q.After.At), t.Compare(q.After.Key))
		if q.Has(t.Shard(), t.Kind) && (q.After == (store.Cursor{}) || at > 0) {
			ts = append(ts, t)
		}
	}
	slices.SortFunc(ts, func(a, b *store.Task) int {
		return cmp.Or(cmp.Compare(a.Position(), b.Position()), a.Compare(b.Key))
	})
	limit := q.Limit
	if limit == 0 {
		limit = 1000
	}
	bytes := 0
	for i, t := range ts {
		switch {
		case t.Position() > q.Until:
			return store.DuePage{Tasks: ts[:i], Next: t.Position()}, nil
		case i == limit || bytes >= store.PageBytes:
			last := ts[i-1]
			return store.DuePage{Tasks: ts[:i], More: true, Cursor: store.Cursor{At: last.Position(), Key: last.Key}}, nil
		}
		bytes += len(t.Payload)
	}
	return store.DuePage{Tasks: ts, Next: store.Never}, nil
}

// doc: end

// doc: list

func (j *journal) List(ctx context.Context, q store.Query) (store.Page, error) {
	if err := j.enter(ctx, "list"); err != nil {
		return store.Page{}, err
	}
	defer j.mu.Unlock()
	after, err := parseCursor(q.After)
	if err != nil {
		return store.Page{}, err
	}
	var ids []store.RunID // of a task that is not dead: its key
	all := map[store.RunID]*store.Task{}
	add := func(id store.RunID, t *store.Task) {
		if (q.After == "" || id.Compare(after) > 0) && selects(&q, t) {
			ids, all[id] = append(ids, id), t
		}
	}
	if q.State == store.Dead {
		for id, d := range j.dead {
			add(id, d.task)
		}
	} else {
		for k, t := range j.tasks {
			add(store.RunID{Key: k}, t)
		}
	}
	slices.SortFunc(ids, store.RunID.Compare)
	limit := q.Limit
	if limit == 0 {
		limit = 100
	}
	var p store.Page
	bytes := 0
	for i, id := range ids {
		if i == limit || bytes >= store.PageBytes {
			p.Cursor = cursor(ids[i-1])
			break
		}
		p.Tasks = append(p.Tasks, all[id])
		bytes += len(all[id].Payload)
	}
	return p, nil
}

func selects(q *store.Query, t *store.Task) bool {
	due := t.Position()
	if q.State == store.Dead {
		due = t.Runs[0].Due
	}
	return (q.AllNamespaces || t.Namespace == q.Namespace) && strings.HasPrefix(t.Name, q.Prefix) &&
		(q.Kind == "" || t.Kind == q.Kind) && (q.Tag == "" || slices.Contains(t.Tags, q.Tag)) &&
		(q.State == store.None || q.State == store.Dead || t.State() == q.State) && (!q.Paused || t.Paused()) &&
		(q.DueFrom == 0 || due >= q.DueFrom) && (q.DueUntil == 0 || due <= q.DueUntil)
}

// cursor is the run's id with what can't be in a name between its parts.
func cursor(id store.RunID) string {
	return fmt.Sprintf("%s\x00%s\x00%d\x00%d", id.Namespace, id.Name, id.Generation, id.For)
}

func parseCursor(s string) (id store.RunID, err error) {
	if s == "" {
		return id, nil
	}
	invalid := &store.Error{Op: "list", Field: "after", Value: strconv.Quote(s), Want: "the cursor of a page", Err: store.ErrInvalid}
	p := strings.Split(s, "\x00")
	if len(p) != 4 {
		return id, invalid
	}
	id.Namespace, id.Name = p[0], p[1]
	at, err := strconv.ParseInt(p[3], 10, 64)
	if err != nil {
		return id, invalid
	}
	id.For = store.Instant(at)
	if id.Generation, err = strconv.ParseInt(p[2], 10, 64); err != nil {
		return id, invalid
	}
	return id, nil
}

func (j *journal) History(ctx context.Context, q store.HistoryQuery) ([]store.Event, error) {
	if err := j.enter(ctx, "history"); err != nil {
		return nil, err
	}
	defer j.mu.Unlock()
	var found []store.Event
	for i := range j.events {
		v := j.events[i]
		if (q.Key == (store.Key{}) || v.Key == q.Key) && v.Seq > q.After && (q.Before == 0 || v.Seq < q.Before) &&
			(q.Since == 0 || v.At >= q.Since) {
			found = append(found, v)
		}
	}
	if q.Newest {
		slices.Reverse(found)
	}
	limit := q.Limit
	if limit == 0 {
		limit = 100
	}
	return found[:min(limit, len(found))], nil
}

// doc: end

// doc: rest

func (j *journal) Trim(ctx context.Context, r store.Retention) (int64, error) {
	if err := j.enter(ctx, "trim"); err != nil {
		return 0, err
	}
	defer j.mu.Unlock()
	n := j.trim(&r)
	if n == 0 {
		return 0, nil
	}
	return n, j.sync("trim", &line{Trim: &r}) // a longer-lived store would write its file anew now
}

func (j *journal) trim(r *store.Retention) int64 {
	before := len(j.events) + len(j.dead)
	j.events = slices.DeleteFunc(j.events, func(v store.Event) bool { return r.HistoryFrom != 0 && v.At < r.HistoryFrom })
	if more := int64(len(j.events)) - r.MaxHistory; r.MaxHistory > 0 && more > 0 {
		j.events = slices.Delete(j.events, 0, int(more))
	}
	maps.DeleteFunc(j.dead, func(_ store.RunID, d deadRun) bool { return r.DeadFrom != 0 && d.at < r.DeadFrom })
	return int64(before - len(j.events) - len(j.dead))
}

func (j *journal) Clock(ctx context.Context) (store.Clock, error) {
	if err := j.enter(ctx, "clock"); err != nil {
		return store.Clock{}, err
	}
	defer j.mu.Unlock()
	return j.now(), nil
}

// Stats counts what is in memory anyway.
func (j *journal) Stats(ctx context.Context) (store.Stats, error) {
	if err := j.enter(ctx, "stats"); err != nil {
		return store.Stats{}, err
	}
	defer j.mu.Unlock()
	s := store.Stats{Tasks: int64(len(j.tasks)), Dead: int64(len(j.dead)), History: int64(len(j.events))}
	for _, t := range j.tasks {
		s.Running += int64(t.Running())
		if t.Paused() {
			s.Paused++
		}
	}
	return s, nil
}

func (j *journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if errors.Is(j.broken, store.ErrClosed) {
		return nil
	}
	j.broken = store.ErrClosed
	return j.file.Close()
}

// doc: end
