package postgres

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/dulyhq/duly/store"
)

// A batch is what one transaction does to tasks: it reads the rows that are named, applies the transitions, and writes what has changed.
type batch struct {
	ctx     context.Context //nolint:containedctx // of its statements, some of which the transitions ask for
	s       *Store
	q       session
	counter int32 // the row of counters that is this writer's; less than 0: a new row, in a transaction that is somebody else's
	raised  bool  // numbers are raised, although the transaction may not see it
	age     int64 // of the server, as serverAge has it
	boot    int64 // when it began to read
	last    int64 // of the numbers of entries, before the clock was read
	locks   bool  // rows are locked when they are read; else it is seen when they are written whether they are still the same
	passing bool  // and those that somebody else's transaction holds are passed by
	parts   bool  // it can be divided
	anew    bool  // a task that was not there when the rows were locked is there
	rows    []row

	cells   map[store.Key]*cell
	order   []*cell // by key, so that rows are locked in the same order by all
	updated []*cell // those that were there and stay
	places  string  // of these, where each stands then, and who wrote it
	m       store.Moment
	numbers []int64
	err     error // of a question to the history: the transaction is of no use after it
	call    *call // of the rows that are worked out, whose mutex is held

	events            []store.Event
	deaths            map[store.RunID]*store.Task // nil: redriven
	inserts, inserted int64
	past              map[store.Key][]store.Identity
	ran               map[oneOff]bool // by what others have committed, whether the transaction sees it or not
	doubts            []doubt         // one-offs that have not run, as far as the transaction has seen
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
	recalled bool  // what the history knows of it was read
	more     bool  // but for older entries
	newest   int64 // of its entries
	barred   bool  // somebody else's transaction holds it, and it was not read
	told     bool  // somebody has to look at it although its place is the same
}

// A oneOff is what a put of a task with one occurrence is known by.
type oneOff struct {
	store.Key
	store.Identity
}

// A doubt is a one-off that may have run since the transaction has looked.
type doubt struct {
	oneOff
	after int64         // the last entry that was looked at
	at    store.Instant // when it is due, which was still to come; Over: it was due already, and was asked for
}

// counts are changes of the counters.
type counts struct{ tasks, paused, running, dead, history int64 }

func newBatch(ctx context.Context, s *Store, q session, counter int32) *batch {
	return &batch{ctx: ctx, s: s, q: q, counter: counter, hint: store.Hint{At: store.Never}, far: store.Hint{At: store.Never}, near: store.Hint{At: store.Never}}
}

// readRows looks the rows up one after the other, in their order, lockRows locks them, and passRows those that nobody holds. Which are there
// is read behind that: a row that was waited for, and whose transaction has put another in its place, is found by neither of the last two.
const (
	findRows = `select t.ctid::text, t.xmin::text, k.n, t.generation, t.body, t.payload
from unnest($1::text[], $2::text[]) with ordinality k(ns, name, n)
cross join lateral (select ctid, xmin, generation, body, payload from duly.task t where t.ns = k.ns and t.name = k.name`
	readRows = findRows + ` offset 0) t`
	lockRows = findRows + ` for update) t`
	passRows = findRows + ` for update skip locked) t`

	thereRows = `select k.n from unnest($1::text[], $2::text[]) with ordinality k(ns, name, n)
cross join lateral (select from duly.task t where t.ns = k.ns and t.name = k.name offset 0) t`
)

// look is what a transition may look at, read after the rows: a number that is drawn now is greater than any that they have. What is due later than
// the clock says then has no entry yet that says it is done.
const look = `select ` + lastEntry + `, ` + serverNow + `, ` + serverAge + `, case when $2::bool then (select max(high) from duly.counter) else 0 end,
(select coalesce(string_agg(n::text, ','), '') from (select nextval('duly.number') n from generate_series(1, $1)) x)`

// lastEntry is the last number that an entry of the history was given.
const lastEntry = `(select case when is_called then last_value else 0 end from duly.history_seq)`

// serverAge is when numbers were raised after the server may have lost its last commits, 0 if they have to be: what was written before then may
// stand elsewhere, and what stands there may be another's, by a transaction of the same number.
const serverAge = `coalesce((select floor(extract(epoch from max(at)) * 1000000)::bigint from duly.raised), 0)`

// gather makes the cells of the rows.
func (b *batch) gather() {
	b.cells, b.order = make(map[store.Key]*cell, len(b.rows)), b.order[:0]
	for i := range b.rows {
		k := b.rows[i].key
		if b.cells[k] == nil {
			c := &cell{key: k}
			b.cells[k] = c
			b.order = append(b.order, c)
		}
	}
	slices.SortFunc(b.order, func(x, y *cell) int { return x.key.Compare(y.key) })
}

// read reads the tasks that the rows name, behind other statements.
func (b *batch) read(before ...stmt) error {
	b.gather()
	ns, names := make([]string, len(b.order)), make([]string, len(b.order))
	for i, c := range b.order {
		ns[i], names[i] = plainText(c.key.Namespace), plainText(c.key.Name)
	}
	var numbers string
	b.boot = b.s.nodes.clk.Read().Boot
	boot := b.boot
	stale := b.s.high.stale(boot)
	rows := readRows
	switch {
	case b.passing:
		rows = passRows
	case b.locks:
		rows = lockRows
	}
	stmts := append(slices.Clip(before), stmt{sql: b.s.sql(rows), args: []any{ns, names}, row: b.found})
	if b.locks && b.counter >= 0 {
		stmts = append(stmts, stmt{sql: b.s.sql(thereRows), args: []any{ns, names}, row: b.there})
	}
	stmts = append(stmts,
		stmt{sql: b.s.sql(look), args: []any{len(b.rows) + spare, stale}, row: func(scan func(dst ...any) error) error {
			return scan(&b.last, &b.m.Now, &b.age, &b.m.High, &numbers)
		}},
	)
	if err := b.q.do(b.ctx, stmts...); err != nil {
		return err
	}
	if b.anew {
		return errReread
	}
	if b.age == 0 && !b.raised {
		return errRaise
	}
	b.m.Mono = b.m.Now
	if b.s.o.Clock != nil {
		c := b.s.ownClock()
		b.m.Now, b.m.Mono = c.Now, c.Mono
	}
	if stale {
		b.s.high.reread(b.m.High, b.last, boot)
	}
	b.m.High = b.s.high.raise(b.m.Now)
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

// there notes a task that is there. One that was not found is somebody else's to change, or was put anew while its row was waited for.
func (b *batch) there(scan func(dst ...any) error) error {
	var n int64
	if err := scan(&n); err != nil {
		return err
	}
	if b.order[n-1].old == nil {
		b.order[n-1].barred, b.anew = b.passing, !b.passing
	}
	return nil
}

// missed says whether a task that was not found is there: it was put anew by the transaction that its row was waited for. Of one that is
// to be inserted that is seen then.
func (b *batch) missed() (is bool, err error) {
	var ns, names []string
	for _, c := range b.order {
		if c.old == nil && c.now == nil {
			ns, names = append(ns, plainText(c.key.Namespace)), append(names, plainText(c.key.Name))
		}
	}
	if len(ns) == 0 {
		return false, nil
	}
	err = b.q.do(b.ctx, stmt{sql: b.s.sql(thereRows), args: []any{ns, names}, row: func(scan func(dst ...any) error) error {
		is = true
		return scan(new(int64))
	}})
	return is, err
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

// Ran implements store.Past.
func (b *batch) Ran(k store.Key, id store.Identity, since store.Instant) (ran bool, err error) {
	if slices.ContainsFunc(b.events, func(e store.Event) bool { return e.Key == k && e.To == store.Done && e.Identity == id }) {
		return true, nil
	}
	if err := b.recall(k); err != nil {
		return false, err
	}
	ran = b.ran[oneOff{k, id}] || slices.Contains(b.past[k], id)
	if !ran && b.cells[k].more {
		ran, err = b.ranBefore(k, id, since)
	}
	if !ran && err == nil {
		b.doubts = append(b.doubts, doubt{oneOff{k, id}, b.cells[k].newest, store.Over})
	}
	return ran, err
}

// ranSince are those one-offs that have run since the transaction has looked. By then their names are inserted: none runs any more until the
// transaction ends.
const ranSince = `unnest($1::int8[], $2::text[], $3::text[], $4::bytea[], $5::int8[]) with ordinality k(key, ns, name, identity, seq, n)
cross join lateral (select from duly.history h where h.key = k.key and h.seq > k.seq and h.ns = k.ns and h.name = k.name and h.identity = k.identity limit 1) h`

// doubt notes a task that is to be inserted, if it is a one-off that is due later: that may be past when it is inserted, and it may have run then.
func (b *batch) doubt(t *store.Task) {
	if at := t.Next.For; !t.Recurring && !t.Next.None() && at > max(b.m.Now, b.m.High) {
		b.doubts = append(b.doubts, doubt{oneOff{t.Key, store.IdentityOf(&t.Spec, at)}, b.last, at})
	}
}

// dueBy leaves no doubts but of what is due by an instant.
func (b *batch) dueBy(at store.Instant) {
	b.doubts = slices.DeleteFunc(b.doubts, func(d doubt) bool { return d.at > at })
}

// byNow is the clock, or a little more.
func (b *batch) byNow() store.Instant {
	if b.s.o.Clock != nil {
		return b.s.ownClock().Now
	}
	return b.m.Now.Add(time.Duration(b.s.nodes.clk.Read().Boot-b.boot) + time.Second)
}

// sinceLooked are the arguments of ranSince.
func (b *batch) sinceLooked() []any {
	n := len(b.doubts)
	keys, ns, names, ids, seqs := make([]int64, n), make([]string, n), make([]string, n), make([][]byte, n), make([]int64, n)
	for i := range b.doubts {
		x := &b.doubts[i]
		keys[i], ns[i], names[i], ids[i], seqs[i] = hashOf(x.Key), plainText(x.Namespace), plainText(x.Name), x.Identity[:], x.after
	}
	return []any{keys, ns, names, ids, seqs}
}

// ranBefore goes through what the history knows of a name that has ended often, from the newest entry on, until none of a page is since an
// instant any more.
func (b *batch) ranBefore(k store.Key, id store.Identity, since store.Instant) (ran bool, err error) {
	for before, n := int64(math.MaxInt64), int64(lookMost); n == lookMost && !ran && b.err == nil; {
		var newest store.Instant
		b.err = b.ask(stmt{
			sql: b.s.sql(`select count(*), coalesce(min(seq), 0), coalesce(max(at), 0), coalesce(bool_or(identity = $6), false) from (
select seq, at, identity from duly.history where key = $1 and ns = $2 and name = $3 and seq < $4 order by seq desc limit $5::bigint) h`),
			args: []any{hashOf(k), plainText(k.Namespace), plainText(k.Name), before, int64(lookMost), id[:]},
			row:  func(scan func(dst ...any) error) error { return scan(&n, &before, &newest, &ran) },
		})
		if newest < since {
			break
		}
	}
	return ran, b.err
}

// Finished implements store.Past.
func (b *batch) Finished(k store.Key) (bool, error) {
	if slices.ContainsFunc(b.events, func(e store.Event) bool { return e.Key == k }) {
		return true, nil
	}
	if err := b.recall(k); err != nil {
		return false, err
	}
	_, known := b.past[k]
	return known, nil
}

// recallMost is how many entries of a name are read at once, the newest: few have more of them.
const recallMost = 100

// recall reads what the history knows of a name, and, with the first question, of all names of the batch that were free: one that has become free
// in the batch is read when it is asked for. Of what ends in the batch its own entries tell.
func (b *batch) recall(k store.Key) error {
	if b.cells[k].recalled || b.err != nil {
		return b.err
	}
	if b.past == nil {
		b.past = map[store.Key][]store.Identity{}
	}
	var keys []int64
	var ns, names []string
	var free []*cell
	for _, c := range b.order {
		if !c.recalled && (c.key == k || c.old == nil || c.old.Ended) {
			c.recalled = true
			keys = append(keys, hashOf(c.key))
			free, ns, names = append(free, c), append(ns, plainText(c.key.Namespace)), append(names, plainText(c.key.Name))
		}
	}
	read := make([]int, len(free))
	b.err = b.ask(stmt{
		sql: b.s.sql(`select k.n, h.seq, h.identity from unnest($1::int8[], $2::text[], $3::text[]) with ordinality k(key, ns, name, n)
cross join lateral (select seq, identity from duly.history h where h.key = k.key and h.ns = k.ns and h.name = k.name order by h.seq desc limit $4::bigint) h`),
		args: []any{keys, ns, names, int64(recallMost)},
		row: func(scan func(dst ...any) error) error {
			var n, seq int64
			var id []byte
			if err := scan(&n, &seq, &id); err != nil {
				return err
			}
			c := free[n-1]
			c.newest = max(c.newest, seq)
			read[n-1]++
			c.more = read[n-1] == recallMost
			ids := b.past[c.key]
			if len(id) == len(store.Identity{}) {
				ids = append(ids, store.Identity(id))
			}
			b.past[c.key] = ids
			return nil
		},
	})
	return b.err
}

// ask asks the server in the midst of a call. Who has made it may stop waiting meanwhile, and is not made to wait for the answer.
func (b *batch) ask(s stmt) error {
	c := b.call
	if c == nil {
		return b.q.do(b.ctx, s)
	}
	c.mu.Unlock()
	err := b.q.do(b.ctx, s)
	c.mu.Lock()
	if err == nil && c.gone {
		err = errReread // the batch is made without it
	}
	return err
}

// Dead implements store.Past.
func (b *batch) Dead(id store.RunID) (t *store.Task, err error) {
	if t, known := b.deaths[id]; known {
		return t, nil
	}
	if !b.locks && b.err == nil {
		b.err = errReread // its row is locked behind those of tasks
	}
	if b.err != nil {
		return nil, b.err
	}
	b.err = b.ask(stmt{
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
