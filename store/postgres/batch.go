package postgres

import (
	"context"
	"errors"
	"slices"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/internal/record"
)

// A batch is what one transaction does to tasks: it reads the rows that are named, applies the transitions, and writes what has changed.
type batch struct {
	ctx     context.Context //nolint:containedctx // of its statements, some of which the transitions ask for
	s       *Store
	q       session
	counter int32 // the row of counters that is this writer's; less than 0: a new row, in a transaction that is somebody else's
	raised  bool  // numbers are raised, although the transaction may not see it
	locks   bool  // rows are locked when they are read; else it is seen when they are written whether they are still the same
	parts   bool  // it can be divided
	rows    []row

	cells   map[store.Key]*cell
	order   []*cell // by key, so that rows are locked in the same order by all
	m       store.Moment
	numbers []int64
	err     error // of a question to the history: the transaction is of no use after it

	events            []store.Event
	deaths            map[store.RunID]*store.Task // nil: redriven
	inserts, inserted int64
	past              map[store.Key][]store.Identity
	changed           counts
	hint              store.Hint
	far               store.Hint // what others have to be told
	near              store.Hint // what they need not be told, as long as its shards are ours
}

// A cell is a task of the batch.
type cell struct {
	key      store.Key
	ctid     string      // where it stands, "" if it was not there
	xmin     string      // the transaction that wrote it
	old, now *store.Task // nil: none
	touched  bool
	told     bool // somebody has to look at it although its place is the same
}

// counts are changes of the counters.
type counts struct{ tasks, paused, running, dead, history int64 }

func newBatch(ctx context.Context, s *Store, q session, counter int32) *batch {
	return &batch{ctx: ctx, s: s, q: q, counter: counter, hint: store.Hint{At: store.Never}, far: store.Hint{At: store.Never}, near: store.Hint{At: store.Never}}
}

// readRows looks the rows up one after the other, in their order, and lockRows locks them.
const (
	findRows = `select t.ctid::text, t.xmin::text, k.n, t.generation, t.body, t.payload
from unnest($1::text[], $2::text[]) with ordinality k(ns, name, n)
cross join lateral (select ctid, xmin, generation, body, payload from duly.task t where t.ns = k.ns and t.name = k.name`
	readRows = findRows + ` offset 0) t`
	lockRows = findRows + ` for update) t`
)

// look is what a transition may look at, read after the rows: a number that is drawn now is greater than any that they have.
const look = `select ` + serverNow + `, exists (select from duly.raised), case when $2::bool then (select max(high) from duly.counter) else 0 end,
(select coalesce(string_agg(n::text, ','), '') from (select nextval('duly.number') n from generate_series(1, $1)) x)`

// read reads the tasks that the rows name, behind other statements.
func (b *batch) read(before ...stmt) error {
	b.cells = make(map[store.Key]*cell, len(b.rows))
	for i := range b.rows {
		k := b.rows[i].key
		if b.cells[k] == nil {
			c := &cell{key: k}
			b.cells[k] = c
			b.order = append(b.order, c)
		}
	}
	slices.SortFunc(b.order, func(x, y *cell) int { return x.key.Compare(y.key) })
	ns, names := make([]string, len(b.order)), make([]string, len(b.order))
	for i, c := range b.order {
		ns[i], names[i] = plainText(c.key.Namespace), plainText(c.key.Name)
	}
	var raised bool
	var numbers string
	boot := b.s.nodes.clk.Read().Boot
	stale := b.s.high.stale(boot)
	rows := readRows
	if b.locks {
		rows = lockRows
	}
	stmts := append(slices.Clip(before),
		stmt{sql: b.s.sql(rows), args: []any{ns, names}, row: b.found},
		stmt{sql: b.s.sql(look), args: []any{len(b.rows) + spare, stale}, row: func(scan func(dst ...any) error) error {
			return scan(&b.m.Now, &raised, &b.m.High, &numbers)
		}},
	)
	if err := b.q.do(b.ctx, stmts...); err != nil {
		return err
	}
	if !raised && !b.raised {
		return errRaise
	}
	b.m.Mono = b.m.Now
	if b.s.o.Clock != nil {
		c := b.s.ownClock()
		b.m.Now, b.m.Mono = c.Now, c.Mono
	}
	if !stale {
		boot = 0
	}
	b.m.High = b.s.high.raise(max(b.m.High, b.m.Now), boot)
	b.m.Seq, b.m.Past = b.seq, b
	return b.draw(numbers)
}

// spare is how many numbers are drawn beside one for each row, because a row that is redriven takes two.
const spare = 2

func (b *batch) draw(numbers string) (err error) {
	b.numbers, err = parseNumbers(b.numbers[:0], numbers)
	return err
}

// seq returns the next number. There are enough for all rows to take one, and more are drawn if they do not suffice.
func (b *batch) seq() int64 {
	if len(b.numbers) == 0 && b.err == nil {
		var numbers string
		b.err = b.q.do(b.ctx, stmt{
			sql:  b.s.sql("select string_agg(n::text, ',') from (select nextval('duly.number') n from generate_series(1, $1)) x"),
			args: []any{len(b.rows)}, row: func(scan func(dst ...any) error) error { return scan(&numbers) },
		})
		if b.err == nil {
			b.err = b.draw(numbers)
		}
	}
	if b.err != nil {
		return 0
	}
	n := b.numbers[0]
	b.numbers = b.numbers[1:]
	return n
}

// found notes a task that is there.
func (b *batch) found(scan func(dst ...any) error) error {
	var ctid, xmin string
	var n, generation int64
	var body, payload []byte
	if err := scan(&ctid, &xmin, &n, &generation, &body, &payload); err != nil {
		return err
	}
	c := b.order[n-1]
	t, err := b.s.decode(c.key, body, payload)
	if err != nil {
		return err
	}
	t.Generation = generation
	c.ctid, c.xmin, c.old, c.now = ctid, xmin, t, t
	return nil
}

// errParts says that a task is made and then changed by another call. Its generation is drawn when it is inserted, and who has put it must
// be told the one that it has, so that the batch has to be divided.
var errParts = errors.New("a task is made and changed at once")

// apply works a row out.
func (b *batch) apply(r *row) error {
	c := b.cells[r.key]
	chg := r.apply(c.now, &b.m)
	if b.err != nil || !chg.Write {
		return b.err
	}
	if made := c.old == nil && c.now != nil; made && b.parts && chg.Task != nil && chg.Task.Generation == c.now.Generation {
		return errParts
	}
	if chg.Redrive != nil {
		b.dies(*chg.Redrive, nil)
	}
	if chg.Dead != nil {
		b.dies(chg.Dead.Runs[0].ID(chg.Dead.Key), chg.Dead)
	}
	b.events = append(b.events, chg.Events...)
	for i := range chg.Events {
		c.told = c.told || chg.Events[i].To == store.Running
	}
	c.now, c.touched = chg.Task, true
	return nil
}

func (b *batch) dies(id store.RunID, t *store.Task) {
	if b.deaths == nil {
		b.deaths = map[store.RunID]*store.Task{}
	}
	if t != nil {
		b.changed.dead++
	} else {
		b.changed.dead--
	}
	b.deaths[id] = t
}

// idle says that nothing is to be written.
func (b *batch) idle() bool {
	return len(b.events) == 0 && !slices.ContainsFunc(b.order, func(c *cell) bool { return c.touched && (c.old != nil || c.now != nil) })
}

// flush writes what has changed, and commits.
func (b *batch) flush(commit bool) error {
	var stmts []stmt
	stmts = append(stmts, b.tasks()...)
	stmts = append(stmts, b.dead()...)
	stmts = append(stmts, b.history()...)
	stmts = append(stmts, b.counters()...)
	if b.far.At != store.Never {
		stmts = append(stmts, stmt{sql: "select pg_notify($1, $2)", args: []any{b.s.channel(), formatHint(b.sender(), b.far)}})
	}
	if commit {
		stmts = append(stmts, stmt{sql: "commit"})
	}
	return b.q.do(b.ctx, stmts...)
}

// conflict says what becomes of a task that somebody else has put meanwhile: in a transaction of ours everything is made anew, one that is
// somebody else's must not fail by it.
func (b *batch) conflict() string {
	if b.counter < 0 {
		return " on conflict do nothing"
	}
	return ""
}

// sender is 0 in somebody else's transaction: it is known here that it commits no earlier than others hear of it.
func (b *batch) sender() int64 {
	if b.counter < 0 {
		return 0
	}
	return b.s.sender
}

const (
	insertTasks = `insert into duly.task (ns, name, shard, due, generation, kind, tags, paused, running, attempt, body, payload)
select k.ns, k.name, k.shard, k.due, nextval('duly.number'), k.kind, string_to_array(nullif(k.tags, ''), e'\x1f'), k.paused, k.running, k.attempt, k.body, k.payload
from unnest($1::text[], $2::text[], $3::int2[], $4::int8[], $5::text[], $6::text[], $7::bool[], $8::int4[], $9::int4[], $10::bytea[], $11::bytea[])
k(ns, name, shard, due, kind, tags, paused, running, attempt, body, payload)`

	// These write rows that are as they were read, and fail if one is not: its place alone may be another's by now.
	updateTasks = `with w as (update duly.task t
set due = k.due, generation = k.generation, paused = k.paused, running = k.running, attempt = k.attempt, body = k.body
from unnest($1::text[]::tid[], $2::text[]::xid[], $4::int8[], $5::int8[], $6::bool[], $7::int4[], $8::int4[], $9::bytea[])
k(at, by, due, generation, paused, running, attempt, body)` + asRead

	replaceTasks = `with w as (update duly.task t
set due = k.due, generation = k.generation, paused = k.paused, running = k.running, attempt = k.attempt, body = k.body,
kind = k.kind, tags = string_to_array(nullif(k.tags, ''), e'\x1f'), payload = k.payload
from unnest($1::text[]::tid[], $2::text[]::xid[], $4::int8[], $5::int8[], $6::bool[], $7::int4[], $8::int4[], $9::bytea[], $10::text[], $11::text[], $12::bytea[])
k(at, by, due, generation, paused, running, attempt, body, kind, tags, payload)` + asRead

	deleteTasks = `with w as (delete from duly.task t using unnest($1::text[]::tid[], $2::text[]::xid[]) k(at, by)` + asRead

	asRead = ` where t.ctid = k.at and t.xmin = k.by returning 1)
select $3::bigint / (count(*) = $3::bigint)::int from w`

	// lockSame locks them in the order of their names, if more than one statement is to write them: so they are by all who lock any.
	lockSame = `select from unnest($1::text[]::tid[], $2::text[]::xid[]) k(at, by)
cross join lateral (select from duly.task t where t.ctid = k.at and t.xmin = k.by for update) t`
)

// tasks are the statements that write tasks.
func (b *batch) tasks() (stmts []stmt) {
	var ins, upd, rep, del, all columns
	var created []*store.Task
	for _, c := range b.order {
		if !c.touched {
			continue
		}
		b.count(c)
		if c.old != nil {
			all.at(c)
		}
		switch t := c.now; {
		case t == nil && c.old != nil:
			del.at(c)
		case t == nil:
		case c.old == nil:
			ins.add(c)
			created = append(created, t)
		case same(t.Payload, c.old.Payload) && t.Kind == c.old.Kind && slices.Equal(t.Tags, c.old.Tags):
			upd.add(c)
		default:
			rep.add(c)
		}
	}
	if x := &all; !b.locks && max(len(upd.ctid), len(rep.ctid), len(del.ctid)) < len(x.ctid) {
		stmts = append(stmts, stmt{sql: b.s.sql(lockSame), args: []any{x.ctid, x.xmin}})
	}
	if x := &upd; len(x.ctid) > 0 {
		stmts = append(stmts, stmt{sql: b.s.sql(updateTasks), args: []any{
			x.ctid, x.xmin, int64(len(x.ctid)), x.due, x.generation, x.paused, x.running, x.attempt, x.body,
		}})
	}
	if x := &rep; len(x.ctid) > 0 {
		stmts = append(stmts, stmt{sql: b.s.sql(replaceTasks), args: []any{
			x.ctid, x.xmin, int64(len(x.ctid)), x.due, x.generation, x.paused, x.running, x.attempt, x.body, x.kind, x.tags, x.payload,
		}})
	}
	if x := &del; len(x.ctid) > 0 {
		stmts = append(stmts, stmt{sql: b.s.sql(deleteTasks), args: []any{x.ctid, x.xmin, int64(len(x.ctid))}})
	}
	if x := &ins; len(x.ns) > 0 { // behind the others: who locks what is there does so before
		n := 0
		s := stmt{sql: b.s.sql(insertTasks + b.conflict()), args: []any{
			x.ns, x.name, x.shard, x.due, x.kind, x.tags, x.paused, x.running, x.attempt, x.body, x.payload,
		}}
		s.sql += " returning generation"
		s.row = func(scan func(dst ...any) error) error { // in the order of the rows
			n++
			return scan(&created[n-1].Generation)
		}
		s.rows = &b.inserted
		b.inserts = int64(len(created))
		stmts = append(stmts, s)
	}
	return stmts
}

// columns are those of rows to be written.
type columns struct {
	ctid, xmin       []string
	ns, name         []string
	shard            []int16
	due, generation  []int64
	kind, tags       []string
	paused           []bool
	running, attempt []int32
	body, payload    [][]byte
}

// at adds where a row stands.
func (x *columns) at(c *cell) { x.ctid, x.xmin = append(x.ctid, c.ctid), append(x.xmin, c.xmin) }

func (x *columns) add(c *cell) {
	t := c.now
	x.at(c)
	x.ns, x.name = append(x.ns, t.Namespace), append(x.name, t.Name)
	x.shard, x.due, x.generation = append(x.shard, int16(t.Shard())), append(x.due, int64(t.Position())), append(x.generation, t.Generation)
	x.kind, x.tags, x.paused = append(x.kind, t.Kind), append(x.tags, tagsOf(t)), append(x.paused, t.Paused())
	x.running, x.attempt = append(x.running, int32(t.Running())), append(x.attempt, attemptOf(t))
	x.body, x.payload = append(x.body, appendTask(nil, t)), append(x.payload, payloadOf(t))
}

func payloadOf(t *store.Task) []byte {
	if len(t.Payload) == 0 {
		return nil
	}
	return t.Payload
}

// count keeps the counters, and notes what has to be told.
func (b *batch) count(c *cell) {
	for i, t := range [2]*store.Task{c.old, c.now} {
		if t == nil {
			continue
		}
		n := int64(2*i - 1)
		b.changed.tasks += n
		b.changed.running += n * int64(t.Running())
		if t.Paused() {
			b.changed.paused += n
		}
	}
	t := c.now
	if t == nil {
		return
	}
	at := t.Position()
	if at == store.Never || c.old != nil && c.old.Position() == at && !c.told {
		return
	}
	b.hint.At = min(b.hint.At, at)
	b.hint.Shards.Add(t.Shard())
	h, within := &b.far, readAhead
	switch {
	case b.counter < 0:
		within = readAheadTx
	case b.s.alone(t.Shard()):
		h = &b.near
	}
	if at <= b.m.Now.Add(within) {
		h.At = min(h.At, at)
		h.Shards.Add(t.Shard())
	}
}

// tellLate tells others, once the commit is answered, of what was not told them because it is in shards of ours, if some are not any more:
// whose they are now may have read them before the commit.
func (b *batch) tellLate(ctx context.Context, q session) {
	if b.near.At != store.Never && !b.s.aloneIn(&b.near.Shards) {
		_ = q.do(ctx, stmt{sql: "select pg_notify($1, $2)", args: []any{b.s.channel(), formatHint(b.sender(), b.near)}}) // else a sweep finds it
	}
}

// dead are the statements for dead runs.
func (b *batch) dead() (stmts []stmt) {
	var ids, kept columns
	var gone []store.RunID
	var at []int64
	for id, t := range b.deaths {
		if t == nil {
			gone = append(gone, id)
			continue
		}
		kept.add(&cell{key: id.Key, now: t})
		kept.generation[len(kept.generation)-1] = id.Generation
		kept.due[len(kept.due)-1] = int64(t.Runs[0].Due)
		at = append(at, int64(id.For))
	}
	if len(gone) > 0 {
		slices.SortFunc(gone, store.RunID.Compare)
		var fors []int64
		for _, id := range gone {
			ids.ns, ids.name, ids.generation = append(ids.ns, id.Namespace), append(ids.name, id.Name), append(ids.generation, id.Generation)
			fors = append(fors, int64(id.For))
		}
		stmts = append(stmts, stmt{sql: b.s.sql(`delete from duly.dead d using unnest($1::text[], $2::text[], $3::int8[], $4::int8[]) k(ns, name, generation, scheduled_for)
where d.ns = k.ns and d.name = k.name and d.generation = k.generation and d.scheduled_for = k.scheduled_for`), args: []any{ids.ns, ids.name, ids.generation, fors}})
	}
	if x := &kept; len(at) > 0 {
		stmts = append(stmts, stmt{sql: b.s.sql(`insert into duly.dead (ns, name, generation, scheduled_for, due, died_at, kind, tags, body, payload)
select k.ns, k.name, k.generation, k.scheduled_for, k.due, $5, k.kind, string_to_array(nullif(k.tags, ''), e'\x1f'), k.body, k.payload
from unnest($1::text[], $2::text[], $3::int8[], $4::int8[], $6::int8[], $7::text[], $8::text[], $9::bytea[], $10::bytea[])
k(ns, name, generation, scheduled_for, due, kind, tags, body, payload)
on conflict (ns, name, generation, scheduled_for) do update
set due = excluded.due, died_at = excluded.died_at, kind = excluded.kind, tags = excluded.tags, body = excluded.body, payload = excluded.payload`), args: []any{
			x.ns, x.name, x.generation, at, int64(b.m.Now), x.due, x.kind, x.tags, x.body, x.payload,
		}})
	}
	return stmts
}

// beginEntries marks that entries are about to be numbered: readers that follow the history go no further than where the oldest
// transaction began that has not ended.
const beginEntries = `select pg_advisory_xact_lock_shared($1, (last_value & 2147483647)::int4) from duly.history_seq`

// onceEntries is that in a transaction of somebody else's, which may go on with many calls: its first lock stands for all, or the locks would
// fill the table of locks of the server.
const onceEntries = `select pg_advisory_xact_lock_shared($1, (last_value & 2147483647)::int4), set_config($2, 'begun', true) from duly.history_seq
where current_setting($2, true) is distinct from 'begun'`

const insertEntries = `insert into duly.history (at, key, ns, name, identity, body)
select k.at, k.key, k.ns, k.name, k.identity, k.body
from unnest($1::int8[], $2::int8[], $3::text[], $4::text[], $5::bytea[], $6::bytea[]) k(at, key, ns, name, identity, body)`

// history are the statements that write entries of the history.
func (b *batch) history() []stmt {
	n := len(b.events)
	if n == 0 {
		return nil
	}
	b.changed.history += int64(n)
	at, key, ns, name := make([]int64, n), make([]int64, n), make([]string, n), make([]string, n)
	id, body := make([][]byte, n), make([][]byte, n)
	for i := range b.events {
		e := &b.events[i]
		at[i], key[i], ns[i], name[i], body[i] = int64(e.At), hashOf(e.Key), e.Namespace, e.Name, record.AppendEvent(nil, e)
		if e.Identity != (store.Identity{}) {
			id[i] = e.Identity[:]
		}
	}
	first := stmt{sql: b.s.sql(beginEntries), args: []any{b.s.entriesClass()}}
	if b.counter < 0 {
		first = stmt{sql: b.s.sql(onceEntries), args: []any{b.s.entriesClass(), "duly.entries_" + b.s.o.Schema}}
	}
	return []stmt{first, {sql: b.s.sql(insertEntries), args: []any{at, key, ns, name, id, body}}}
}

// counters are the statements that keep the counters.
func (b *batch) counters() []stmt {
	n := &b.changed
	if b.counter >= 0 {
		return []stmt{{sql: b.s.sql(`update duly.counter set tasks = tasks + $2, paused = paused + $3, running = running + $4, dead = dead + $5,
history = history + $6, high = greatest(high, $7) where lane = $1`), args: []any{b.counter, n.tasks, n.paused, n.running, n.dead, n.history, int64(b.m.Now)}}}
	}
	if *n == (counts{}) {
		return nil
	}
	return []stmt{{
		sql:  b.s.sql(`insert into duly.counter_delta (tasks, paused, running, dead, history) values ($1, $2, $3, $4, $5)`),
		args: []any{n.tasks, n.paused, n.running, n.dead, n.history},
	}}
}

// Ran implements store.Past.
func (b *batch) Ran(k store.Key, id store.Identity, _ store.Instant) (bool, error) {
	if slices.ContainsFunc(b.events, func(e store.Event) bool { return e.Key == k && e.To == store.Done && e.Identity == id }) {
		return true, nil
	}
	if err := b.recall(); err != nil {
		return false, err
	}
	return slices.Contains(b.past[k], id), nil
}

// Finished implements store.Past.
func (b *batch) Finished(k store.Key) (bool, error) {
	if slices.ContainsFunc(b.events, func(e store.Event) bool { return e.Key == k }) {
		return true, nil
	}
	if err := b.recall(); err != nil {
		return false, err
	}
	_, known := b.past[k]
	return known, nil
}

// recall reads what the history knows of all names of the batch that were free, with the first question; of what ends
// in the batch its own entries tell.
func (b *batch) recall() error {
	if b.past != nil || b.err != nil {
		return b.err
	}
	b.past = map[store.Key][]store.Identity{}
	var keys []int64
	var ns, names []string
	var free []*cell
	for _, c := range b.order {
		if c.old == nil || c.old.Ended {
			keys = append(keys, hashOf(c.key))
			free, ns, names = append(free, c), append(ns, plainText(c.key.Namespace)), append(names, plainText(c.key.Name))
		}
	}
	b.err = b.q.do(b.ctx, stmt{
		sql: b.s.sql(`select distinct k.n, h.identity from unnest($1::int8[], $2::text[], $3::text[]) with ordinality k(key, ns, name, n)
cross join lateral (select identity from duly.history h where h.key = k.key and h.ns = k.ns and h.name = k.name) h`),
		args: []any{keys, ns, names},
		row: func(scan func(dst ...any) error) error {
			var n int64
			var id []byte
			if err := scan(&n, &id); err != nil {
				return err
			}
			k := free[n-1].key
			ids := b.past[k]
			if len(id) == len(store.Identity{}) {
				ids = append(ids, store.Identity(id))
			}
			b.past[k] = ids
			return nil
		},
	})
	return b.err
}

// Dead implements store.Past.
func (b *batch) Dead(id store.RunID) (t *store.Task, err error) {
	if t, known := b.deaths[id]; known {
		return t, nil
	}
	if b.err != nil {
		return nil, b.err
	}
	b.err = b.q.do(b.ctx, stmt{
		sql:  b.s.sql(`select body, payload from duly.dead where ns = $1 and name = $2 and generation = $3 and scheduled_for = $4 for update`), // or Trim forgets, and counts, it meanwhile
		args: []any{plainText(id.Namespace), plainText(id.Name), id.Generation, int64(id.For)},
		row: func(scan func(dst ...any) error) error {
			var body, payload []byte
			if err := scan(&body, &payload); err != nil {
				return err
			}
			t, err = b.s.decode(id.Key, body, payload)
			return err
		},
	})
	return t, b.err
}

var errRaise = errors.New("the numbers have to be raised first")
