package postgres

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/internal/record"
)

// flush writes what has changed, and commits.
func (b *batch) flush(commit bool) error {
	stmts, changes, made := b.tasks()
	var last rewrite // of the changes, to be one statement with what comes last
	if n := len(changes) - 1; b.counter >= 0 && n >= 0 && len(made) == 0 {
		changes, last = changes[:n], changes[n]
	}
	for i := range changes {
		stmts = append(stmts, b.changing(alone[changes[i].sql], &changes[i], changes[i].args))
	}
	stmts = append(stmts, made...) // behind the changes: who locks what is there does so before
	if len(made) > 0 && b.counter >= 0 {
		if b.dueBy(b.m.Now.Add(sendTimeout)); len(b.doubts) > 0 { // it takes no longer
			stmts = append(stmts, stmt{sql: b.s.sql(noneSince), args: b.sinceLooked()})
		}
	}
	stmts = append(stmts, b.dead()...)
	if b.counter >= 0 {
		stmts = append(stmts, b.folded(&last))
	} else {
		stmts = append(stmts, b.apart()...)
	}
	if b.far.At != store.Never {
		stmts = append(stmts, b.telling(b.far))
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

	// changeTasks, replaceTasks and deleteTasks tell where the rows stand then, in their order, and who wrote them.
	changeTasks = `update duly.task t
set due = k.due, generation = k.generation, paused = k.paused, running = k.running, attempt = k.attempt, body = k.body
from unnest($1::text[]::tid[], $2::text[]::xid[], $3::int8[], $4::int8[], $5::int8[], $6::bool[], $7::int4[], $8::int4[], $9::bytea[])
k(at, by, was, due, generation, paused, running, attempt, body)` + asRead

	replaceTasks = `update duly.task t
set due = k.due, generation = k.generation, paused = k.paused, running = k.running, attempt = k.attempt, body = k.body,
kind = k.kind, tags = string_to_array(nullif(k.tags, ''), e'\x1f'), payload = k.payload
from unnest($1::text[]::tid[], $2::text[]::xid[], $3::int8[], $4::int8[], $5::int8[], $6::bool[], $7::int4[], $8::int4[], $9::bytea[], $10::text[], $11::text[],
$12::bytea[])
k(at, by, was, due, generation, paused, running, attempt, body, kind, tags, payload)` + asRead

	deleteTasks = `delete from duly.task t using unnest($1::text[]::tid[], $2::text[]::xid[], $3::int8[]) k(at, by, was)` + asRead

	// asRead are rows that are still as they were read: what stands in a place may be another by now. Who wrote it does not tell alone, since one
	// transaction writes many, and all of them move when somebody writes the table anew (VACUUM FULL); no two tasks have one generation.
	asRead = ` where t.ctid = k.at and t.xmin = k.by and t.generation = k.was returning t.ctid, t.xmin`

	// changed tells where they stand and fails if some are missing, by the last of its arguments, which is how many there are. There is no
	// other way to fail than a value that can't be had, of which people read in the server's log.
	changed = `case when x.n = $1::bigint then x.n else ('duly: tasks have changed since they were read, they are read again: ' || x.n)::bigint end, x.places`
	counted = `(select count(*) as n, coalesce(string_agg(ctid::text || xmin::text, ' '), '') as places from w) x`

	// noneSince fails if one-offs have run since they were asked for: to insert a task may have taken a while.
	noneSince = `select case when count(*) = 0 then 0 else ('duly: tasks have run since they were looked for, they are looked for again: ' || count(*))::bigint end from ` + ranSince

	// lockSame locks them in the order of their names, if more than one statement is to write them: so they are by all who lock any.
	lockSame = `select from unnest($1::text[]::tid[], $2::text[]::xid[], $3::int8[]) k(at, by, was)
cross join lateral (select from duly.task t where t.ctid = k.at and t.xmin = k.by and t.generation = k.was for update) t`
)

// A rewrite changes rows that are there.
type rewrite struct {
	sql  string // changeTasks, replaceTasks or deleteTasks; "": none
	args []any
	rows int
}

// alone are the statements that make changes, and folds those that make one, or none, write entries of the history if there are any, and
// count: what is one statement costs less than three.
var alone, folds = func() (alone map[string]string, folds map[[2]string]string) {
	alone, folds = map[string]string{}, map[[2]string]string{}
	for _, c := range []string{"", changeTasks, replaceTasks, deleteTasks} {
		if c != "" {
			alone[c] = "with w as (" + c + ") select " + behind(changed, c) + " from " + counted
		}
		for _, e := range []string{"", lockedEntries} {
			with, from, told := "with ", "", "$1::bigint, ''" // there are none
			if c != "" {
				with, from, told = with+"w as ("+c+"), ", " from "+counted, changed
			}
			if e != "" {
				with += behind(e, c) + ", "
			}
			with = strings.TrimSuffix(strings.TrimSuffix(with, ", "), "with ")
			folds[[2]string{c, e}] = with + behind(" update duly.counter c set "+addCounters+from+" where c.lane = $1 returning "+behind(told, addCounters), c, e)
		}
	}
	return alone, folds
}()

var argument = regexp.MustCompile(`\$(\d+)`)

// behind numbers arguments so that they come behind those of others.
func behind(sql string, others ...string) string {
	n := 0
	for _, o := range others {
		most := 0
		for _, m := range argument.FindAllStringSubmatch(o, -1) {
			k, _ := strconv.Atoi(m[1])
			most = max(most, k)
		}
		n += most
	}
	return argument.ReplaceAllStringFunc(sql, func(a string) string {
		k, _ := strconv.Atoi(a[1:])
		return "$" + strconv.Itoa(k+n)
	})
}

// changing is a statement that makes a change, behind whose arguments comes how many rows it has to find.
func (b *batch) changing(sql string, c *rewrite, args []any) stmt {
	places := new(string)
	if c.sql == changeTasks {
		places = &b.places
	}
	return stmt{sql: b.s.sql(sql), args: append(args, int64(c.rows)), row: func(scan func(dst ...any) error) error { return scan(new(int64), places) }}
}

// tasks are what writes tasks: the statements before the changes, the changes, and those that make tasks.
func (b *batch) tasks() (before []stmt, changes []rewrite, made []stmt) {
	none := columns{most: len(b.order)}
	ins, upd, rep, del, all := none, none, none, none, none
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
			b.doubt(t)
		case same(t.Payload, c.old.Payload) && t.Kind == c.old.Kind && slices.Equal(t.Tags, c.old.Tags):
			upd.add(c)
			b.updated = append(b.updated, c)
		default:
			rep.add(c)
		}
	}
	if x := &all; !b.locks && max(len(upd.ctid), len(rep.ctid), len(del.ctid)) < len(x.ctid) {
		before = append(before, stmt{sql: b.s.sql(lockSame), args: []any{x.ctid, x.xmin, x.was}})
	}
	if x := &upd; len(x.ctid) > 0 {
		args := []any{x.ctid, x.xmin, x.was, x.due, x.generation, x.paused, x.running, x.attempt, x.body}
		changes = append(changes, rewrite{changeTasks, args, len(x.ctid)})
	}
	if x := &rep; len(x.ctid) > 0 {
		args := []any{x.ctid, x.xmin, x.was, x.due, x.generation, x.paused, x.running, x.attempt, x.body, x.kind, x.tags, x.payload}
		changes = append(changes, rewrite{replaceTasks, args, len(x.ctid)})
	}
	if x := &del; len(x.ctid) > 0 {
		changes = append(changes, rewrite{deleteTasks, []any{x.ctid, x.xmin, x.was}, len(x.ctid)})
	}
	if x := &ins; len(x.ns) > 0 {
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
		made = append(made, s)
	}
	return before, changes, made
}

// columns are those of rows to be written.
type columns struct {
	most             int    // rows, as far as is known
	bodies           []byte // one behind the other
	ctid, xmin       []string
	ns, name         []string
	shard            []int16
	was              []int64 // the generation of the row that is there
	due, generation  []int64
	kind, tags       []string
	paused           []bool
	running, attempt []int32
	body, payload    [][]byte
}

// push adds to a column, for which there is room as for all that may come.
func push[T any](x *columns, to *[]T, v T) {
	if *to == nil {
		*to = make([]T, 0, x.most)
	}
	*to = append(*to, v)
}

// at adds where a row stands.
func (x *columns) at(c *cell) {
	push(x, &x.ctid, c.ctid)
	push(x, &x.xmin, c.xmin)
	was := int64(0)
	if c.old != nil {
		was = c.old.Generation
	}
	push(x, &x.was, was)
}

func (x *columns) add(c *cell) {
	t := c.now
	x.at(c)
	push(x, &x.ns, t.Namespace)
	push(x, &x.name, t.Name)
	push(x, &x.shard, int16(t.Shard()))
	push(x, &x.due, int64(t.Position()))
	push(x, &x.generation, t.Generation)
	push(x, &x.kind, t.Kind)
	push(x, &x.tags, tagsOf(t))
	push(x, &x.paused, t.Paused())
	push(x, &x.running, int32(t.Running()))
	push(x, &x.attempt, attemptOf(t))
	push(x, &x.payload, payloadOf(t))
	n := len(x.bodies)
	x.bodies = appendTask(x.bodies, t)
	push(x, &x.body, x.bodies[n:len(x.bodies):len(x.bodies)])
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
	if at == store.Never || c.old != nil && c.old.Position() == at && c.old.Kind == t.Kind && !c.told && !comesSooner(c.old, t) {
		return
	}
	b.hint.At = min(b.hint.At, at)
	b.hint.Shards.Add(t.Shard())
	h, within := &b.far, readAhead
	switch {
	case b.counter < 0:
		within = readAheadTx
	case b.s.alone(t.Shard(), t.Kind):
		h = &b.near
	}
	if at <= b.m.Now.Add(within) {
		h.At = min(h.At, at)
		h.Shards.Add(t.Shard())
	}
}

// comesSooner says whether something of a task may begin earlier than who runs an attempt at it knows. The attempt keeps the task where it stands:
// beside it another run, or the next occurrence, may be due, and what was put or moved may begin where what was there had to wait.
func comesSooner(old, t *store.Task) bool {
	if t.Running() == 0 {
		return false
	}
	at := waits(t)
	return at < waits(old) || at != store.Never && t.Generation != old.Generation
}

// waits is when the first of what has not begun is due.
func waits(t *store.Task) store.Instant {
	at := store.Never
	if t.Paused() {
		return at
	}
	if !t.Next.None() {
		at = t.Next.Due
	}
	for i := range t.Runs {
		if r := &t.Runs[i]; r.State == store.Pending {
			at = min(at, r.Due)
		}
	}
	return at
}

// forCommit has a transaction wait longer for locks from then on. Of those who notify one commits at a time in a database, whosever they are, and of
// those who count in one row, which takes as long as a standby may have to be waited for; it is no task that somebody holds.
const forCommit = "set_config('lock_timeout', '10000', true)"

// countsInTime adds nothing to a count, and is for that of a statement which has written tasks: it is worked out behind them, and before the row of
// counters is waited for.
const countsInTime = "case when " + forCommit + " is null then 1 else 0 end"

// telling tells others when the transaction commits, as the last statement but one.
func (b *batch) telling(h store.Hint) stmt {
	s := stmt{sql: "select pg_notify($1, $2)", args: []any{b.s.channel(), formatHint(b.sender(), h)}}
	if b.counter >= 0 {
		s.sql += ", " + forCommit
	}
	return s
}

// tellLate tells others, once the commit is answered, of what was not told them because it is in shards of ours, if some are not any more:
// whose they are now may have read them before the commit.
func (b *batch) tellLate(ctx context.Context, q session) {
	if b.near.At != store.Never && !b.s.aloneIn(&b.near.Shards) {
		_ = q.do(ctx, b.telling(b.near)) // else a sweep finds it
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

// Before entries are numbered it is marked that they are about to be: readers that follow the history go no further than where the oldest
// transaction began that has not ended. A transaction of somebody else's may go on with many calls: the first lock of beginEntries stands for
// all, or they would fill the table of locks of the server.
const beginEntries = `select pg_advisory_xact_lock_shared($1, (last_value & 2147483647)::int4), set_config($2, 'begun', true) from duly.history_seq
where current_setting($2, true) is distinct from 'begun'`

const (
	insertEntries = intoHistory + entryRows

	// lockedEntries are both, to be folded.
	lockedEntries = `l as materialized (select pg_advisory_xact_lock_shared($7::int4, (last_value & 2147483647)::int4) from duly.history_seq), e as (` +
		intoHistory + "l, " + entryRows + ")"

	intoHistory = `insert into duly.history (at, key, ns, name, identity, body)
select k.at, k.key, k.ns, k.name, k.identity, k.body from `
	entryRows = `unnest($1::int8[], $2::int8[], $3::text[], $4::text[], $5::bytea[], $6::bytea[]) k(at, key, ns, name, identity, body)`

	addCounters = `tasks = tasks + $2 + ` + countsInTime + `, paused = paused + $3, running = running + $4, dead = dead + $5, history = history + $6, high = greatest(high, $7)`
)

// entries are the arguments of insertEntries, none if there are no entries.
func (b *batch) entries() []any {
	n := len(b.events)
	if n == 0 {
		return nil
	}
	b.changed.history += int64(n)
	at, key, ns, name := make([]int64, n), make([]int64, n), make([]string, n), make([]string, n)
	id, body := make([][]byte, n), make([][]byte, n)
	var bodies []byte // one behind the other
	for i := range b.events {
		e := &b.events[i]
		at[i], key[i], ns[i], name[i] = int64(e.At), hashOf(e.Key), e.Namespace, e.Name
		begin := len(bodies)
		bodies = record.AppendEvent(bodies, e)
		body[i] = bodies[begin:len(bodies):len(bodies)]
		if e.Identity != (store.Identity{}) {
			id[i] = e.Identity[:]
		}
	}
	return []any{at, key, ns, name, id, body}
}

// folded is the last statement of a transaction of ours. The counters are what it writes last: others wait for their row.
func (b *batch) folded(c *rewrite) stmt {
	what, args := [2]string{c.sql}, c.args
	if entries := b.entries(); entries != nil {
		what[1], args = lockedEntries, append(append(args, entries...), b.s.entriesClass())
	}
	n := &b.changed
	return b.changing(folds[what], c, append(args, b.counter, n.tasks, n.paused, n.running, n.dead, n.history, int64(b.m.Now)))
}

// apart are the statements that write entries and counts in a transaction of somebody else's.
func (b *batch) apart() (stmts []stmt) {
	if entries := b.entries(); entries != nil {
		stmts = append(stmts,
			stmt{sql: b.s.sql(beginEntries), args: []any{b.s.entriesClass(), "duly.entries_" + b.s.o.Schema}},
			stmt{sql: b.s.sql(insertEntries), args: entries})
	}
	n := &b.changed
	if *n == (counts{}) {
		return stmts
	}
	return append(stmts, stmt{
		sql:  b.s.sql(`insert into duly.counter_delta (tasks, paused, running, dead, history) values ($1, $2, $3, $4, $5)`),
		args: []any{n.tasks, n.paused, n.running, n.dead, n.history},
	})
}
