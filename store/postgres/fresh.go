package postgres

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dulyhq/duly/internal/park"
	"github.com/dulyhq/duly/store"
)

// Most puts are of names that are free. They take one statement instead of two round trips: the task is made as if nothing were there, by the
// server's clock as it is known here, and inserted if that is so. A row that meets another goes the long way.
//
// What is known of the clock is never behind it, so that a delay is not made shorter, and the statement inserts nothing if it is far
// ahead or behind by then, because one of the clocks was set.

// A tick is what is known of the server's clock between two questions: by this process's boot clock, the least that it can't be behind.
type tick struct {
	mu    sync.Mutex
	ahead int64 // the server's microseconds less ours, at most
	since int64 // boot time since which it is known; 0: it is not
}

const (
	tickFor  = 10_000_000_000 // ns of boot time: then it is asked again
	drifting = 2000           // one of the clocks gains on the other a unit in so many at most: 500 ppm
	tickMost = 1_000_000      // us that a batch may be under way until it is inserted
	tickOff  = 100_000        // us by which what is known may be ahead
)

// now returns the server's clock, or a little more.
func (k *tick) now(boot int64) (store.Instant, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.since == 0 || boot-k.since > tickFor {
		return 0, false
	}
	return store.Instant(boot/1000 + 1 + k.aged(boot)), true
}

// aged is by how much the server can be ahead by now.
func (k *tick) aged(boot int64) int64 { return k.ahead + max(boot-k.since, 0)/(1000*drifting) }

// set takes in an answer to what was sent at an instant of boot time, and received at another. It tells the more the shorter it was under
// way. What shows that the server is further ahead than was known says that its clock was set.
func (k *tick) set(sent, received int64, server store.Instant) {
	k.mu.Lock()
	defer k.mu.Unlock()
	most, least := int64(server)-sent/1000, int64(server)-received/1000-1
	if aged := k.aged(sent); k.since == 0 || sent-k.since > tickFor || most <= aged || least > aged {
		k.ahead, k.since = most, max(sent, 1)
	}
}

// forget says that a clock was set.
func (k *tick) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.since = 0
}

// high is the latest time that the clock has shown to any writer, as far as it is known here. Only a clock that was set back makes it
// matter, so that what other processes have seen is read once a second. With it is read how far the history goes.
type high struct {
	mu   sync.Mutex
	at   store.Instant
	read int64 // boot time; 0: not yet
	last int64 // of the numbers of entries, when it was read
}

const highFor = 1_000_000_000 // ns

// stale says whether it is to be read, by whoever asks.
func (h *high) stale(boot int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.read == 0 || boot-h.read >= highFor
}

// raise takes a time in, and returns the latest.
func (h *high) raise(at store.Instant) store.Instant {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = max(h.at, at)
	return h.at
}

// reread says what was read at an instant of boot time.
func (h *high) reread(at store.Instant, last, boot int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at, boot = max(h.at, at), max(boot, 1)
	if boot > h.read {
		h.read, h.last = boot, last
	}
}

// entry is a number up to which the history went a moment ago.
func (h *high) entry() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// isFresh says whether a put may be made as if nothing were there: it is right, and asks nothing of what is.
func isFresh(p *store.Put) bool { return p.IfGeneration == 0 && !p.IfPending && p.Check() == nil }

// insertFresh inserts tasks where there are none. It inserts nothing at all if the clock is not what it was taken to be, or the numbers
// have to be raised first.
const insertFresh = `with t as materialized (select case when $12::bigint = 0 then 0 else ` + serverNow + ` end as now, exists (select from duly.raised) as raised),
i as (insert into duly.task (ns, name, shard, due, generation, kind, tags, paused, running, attempt, body, payload)
  select k.ns, k.name, k.shard, k.due, nextval('duly.number'), k.kind, string_to_array(nullif(k.tags, ''), e'\x1f'), false, 0, 0, k.body, k.payload
  from unnest($1::text[], $2::text[], $3::int2[], $4::int8[], $5::text[], $6::text[], $7::bytea[], $8::bytea[])
  k(ns, name, shard, due, kind, tags, body, payload), t where t.raised and t.now between $12::bigint - $13::bigint and $12::bigint + $14::bigint
  on conflict do nothing returning ns, name, generation),
x as (select count(*) as n, array_agg(generation) as numbers from i),
c as (update duly.counter set tasks = tasks + x.n + ` + countsInTime + `, high = greatest(high, $9::bigint) from x where lane = $10::int)
select ` + serverNow + `, t.raised, x.n, x.numbers,
case when x.n < $11::bigint then (select array_agg(ns || e'\x1f' || name) from i) end,
case when $15::text <> '' then pg_notify($16::text, $15::text)::text || ` + forCommit + ` end from t, x`

// workFresh is the writer of fresh puts.
func (w *writer) workFresh() {
	for {
		calls := w.s.fresh.take()
		if len(calls) == 0 {
			return
		}
		err := w.s.insert(w.counter, calls)
		w.s.fresh.finish()
		for _, c := range calls {
			c.answer(err)
		}
	}
}

// A sprout is a task that is to be inserted, and whose it is.
type sprout struct {
	c     *call
	row   int
	t     *store.Task
	doubt *doubt // nil: it can't have run
}

// insert inserts what it can of calls, and notes for each which rows have to go the long way. An error is ErrUnknown.
func (s *Store) insert(counter int32, calls []*call) error {
	ctx, stop := park.Within(s.life, sendTimeout, errSilent)
	defer stop()
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		leaveAll(calls) // those who go the long way say why
		return nil
	}
	defer conn.Release()
	m, err := s.moment(ctx, piped{conn})
	if err != nil {
		leaveAll(calls)
		return nil
	}
	sprouts := sprouting(calls, &m)
	if len(sprouts) == 0 {
		return nil
	}
	return s.insertOn(ctx, conn, counter, &m, sprouts)
}

// A freshMoment is one for fresh puts. They are inserted one after the other, for as long as a call may take: what is due by the end of that, which is
// its High, may have been run by others before its name is inserted, and is looked up behind the insert.
type freshMoment struct {
	store.Moment
	due  store.Instant // what is due by then may have run already
	last int64         // of what is due later the history has nothing up to this entry
}

// moment is what is known of the time, and asks for what is not.
func (s *Store) moment(ctx context.Context, q session) (m freshMoment, err error) {
	m.Seq = func() int64 { return 0 }
	boot := s.nodes.clk.Read().Boot
	now, known := s.tick.now(boot)
	known = known || s.o.Clock != nil
	if !known || s.high.stale(boot) {
		var server, high store.Instant
		var last int64
		err := q.do(ctx, stmt{
			sql: s.sql("select " + lastEntry + ", " + serverNow + ", max(high) from duly.counter"),
			row: func(scan func(dst ...any) error) error { return scan(&last, &server, &high) },
		})
		if err != nil {
			return m, err
		}
		received := s.nodes.clk.Read().Boot
		s.tick.set(boot, received, server)
		s.high.reread(high, last, boot)
		if !known {
			now = server + store.Instant((received-boot)/1000+1)
		}
	}
	m.last = s.high.entry() // before Options.Clock is read; the server's is held to tickMost behind it
	m.Now, m.Mono, m.due = now, now, now+tickMost
	if s.o.Clock != nil {
		c := s.ownClock()
		m.Now, m.Mono, m.due = c.Now, c.Mono, c.Now
	}
	m.due = max(m.due, s.high.raise(m.Now))
	m.High = max(m.due, m.Now.Add(sendTimeout))
	return m, nil
}

// sprouting makes tasks of rows, sorted by key, as all who write sort them. Of rows of one key only the first is made: the others follow.
func sprouting(calls []*call, m *freshMoment) (sprouts []sprout) {
	seen := map[store.Key]bool{}
	for _, c := range calls {
		c.mu.Lock()
		for i := range c.rows {
			r := &c.rows[i]
			if c.gone {
				break
			}
			asked := asks{last: m.last}
			m.Past = &asked
			chg := store.Change{}
			if !seen[r.key] {
				chg = r.apply(nil, &m.Moment)
			}
			seen[r.key] = true
			if chg.Task == nil || len(chg.Events) > 0 || asked.of != nil && asked.of.at <= m.due {
				c.redo = append(c.redo, i)
				continue
			}
			sprouts = append(sprouts, sprout{c, i, chg.Task, asked.of})
		}
		c.mu.Unlock()
	}
	slices.SortFunc(sprouts, func(a, b sprout) int { return a.t.Compare(b.t.Key) })
	return sprouts
}

// asks is a past that is asked nothing in earnest.
type asks struct {
	last int64
	of   *doubt
}

// Ran implements store.Past.
func (a *asks) Ran(k store.Key, id store.Identity, due store.Instant) (bool, error) {
	a.of = &doubt{oneOff{k, id}, a.last, due}
	return false, nil
}

// Finished implements store.Past.
func (a *asks) Finished(store.Key) (bool, error) { return false, nil }

// Dead implements store.Past.
func (a *asks) Dead(store.RunID) (*store.Task, error) { return nil, nil } //nolint:nilnil // there is none

func leave(sprouts []sprout) {
	for _, sp := range sprouts {
		sp.c.redo = append(sp.c.redo, sp.row)
	}
}

func leaveAll(calls []*call) {
	for _, c := range calls {
		for i := range c.rows {
			c.redo = append(c.redo, i)
		}
	}
}

// insertOn sends the statement.
func (s *Store) insertOn(ctx context.Context, conn *pgxpool.Conn, counter int32, m *freshMoment, sprouts []sprout) error {
	b := newBatch(ctx, s, nil, counter)
	b.m.Now = m.Now
	x := columns{most: len(sprouts)}
	for _, sp := range sprouts {
		c := &cell{key: sp.t.Key, now: sp.t}
		x.add(c)
		b.count(c)
		if sp.doubt != nil {
			b.doubts = append(b.doubts, *sp.doubt)
		}
	}
	told := ""
	if b.far.At != store.Never {
		told = formatHint(s.sender, b.far)
	}
	now, off, most := int64(m.Now), int64(tickOff), int64(tickMost)
	if s.o.Clock != nil {
		now, off, most = 0, 0, 0
	}
	var server store.Instant
	var raised bool
	var n int64
	var numbers []int64
	var keys []string
	var notified *string
	stmts := []stmt{{
		sql: s.sql(insertFresh), args: []any{
			x.ns, x.name, x.shard, x.due, x.kind, x.tags, x.body, x.payload, int64(m.Now), counter, int64(len(sprouts)), now, off, most, told, s.channel(),
		},
		row: func(scan func(dst ...any) error) error { return scan(&server, &raised, &n, &numbers, &keys, &notified) },
	}}
	if len(b.doubts) > 0 { // else it is a transaction by itself
		stmts = []stmt{{sql: begin}, stmts[0], {sql: s.sql(noneSince), args: b.sinceLooked()}, {sql: "commit"}}
	}
	sent := s.nodes.clk.Read().Boot
	err := piped{conn}.do(ctx, stmts...)
	switch {
	case refused(err): // a row that somebody holds, one that has run meanwhile, or whatever it is: it is seen on the long way
		leave(sprouts)
		if len(stmts) > 1 {
			_ = piped{conn}.do(ctx, stmt{sql: "rollback"}) // a connection that can't is closed
		}
		return nil
	case err != nil:
		return errors.Join(store.ErrUnknown, causeOf(ctx, err))
	}
	if n == 0 && raised && s.o.Clock == nil {
		s.tick.forget()
	}
	s.tick.set(sent, s.nodes.clk.Read().Boot, server)
	if n < int64(len(sprouts)) {
		sprouts = inserted(sprouts, keys)
	}
	for i := range sprouts {
		sprouts[i].t.Generation = numbers[i]
	}
	s.hints.Tell(b.hint)
	b.tellLate(ctx, piped{conn})
	return nil
}

// inserted returns those that were, in their order, and leaves the others.
func inserted(sprouts []sprout, keys []string) []sprout {
	kept := sprouts[:0:0]
	for _, sp := range sprouts {
		if len(kept) < len(keys) && keys[len(kept)] == sp.t.Namespace+"\x1f"+sp.t.Name {
			kept = append(kept, sp)
			continue
		}
		sp.c.redo = append(sp.c.redo, sp.row)
	}
	return kept
}
