package postgres

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dulyhq/duly/store"
)

// lockNodes is held by whoever changes who owns what. It is taken, and given back, within one round trip: a process that stands still can't
// keep it from others.
const lockNodes int32 = 0

// connect opens a connection beside the pool, and tells the server under which name, and to notice soon when this process's machine is gone.
func (s *Store) connect(ctx context.Context, name string) (*pgx.Conn, error) {
	cfg := s.cfg.Copy()
	cfg.RuntimeParams["application_name"] = name
	if !s.o.Pooler {
		cfg.RuntimeParams["tcp_keepalives_idle"] = "5"
		cfg.RuntimeParams["tcp_keepalives_interval"] = "1"
		cfg.RuntimeParams["tcp_keepalives_count"] = "4"
	}
	ctx, stop := context.WithTimeout(ctx, connectTime)
	defer stop()
	return pgx.ConnectConfig(ctx, cfg)
}

// dial opens the node's connection. Its clock is compared before anything else.
func (n *node) dial(ctx context.Context) error {
	conn, err := n.s.connect(ctx, "duly node "+n.name)
	if err != nil {
		return err
	}
	n.conn, n.connected, n.holds = conn, n.boot(), false
	return n.ask(context.WithoutCancel(ctx), func(now *int64) []stmt {
		return []stmt{{sql: "select " + serverNow, row: func(scan func(dst ...any) error) error { return scan(now) }}}
	})
}

// ask sends statements of which the last tells the server's time, all at once, so that they are one transaction, and compares the clocks.
func (n *node) ask(ctx context.Context, stmts func(now *int64) []stmt) error {
	ctx, stop := context.WithTimeout(ctx, beatTime)
	defer stop()
	x := &n.s.nodes
	var now int64
	before, wall := x.clk.Read().Boot, x.wall()
	if err := (piped{n.conn}).do(ctx, stmts(&now)...); err != nil {
		return err
	}
	wallAfter, after := x.wall(), x.clk.Read().Boot
	if s, ok := sampled(before, after, wall, wallAfter, now); ok && n.offset.add(s) {
		n.s.hints.Tell(store.Hint{At: store.Over, Shards: every()}) // other tasks may be due by the server's clock than by what was known of it
	}
	return nil
}

// locked are the statements before a change of who owns what.
func (n *node) locked(then ...stmt) []stmt {
	return append([]stmt{
		{sql: "select set_config('lock_timeout', $1, true)", args: []any{millis(beatTime / 2)}},
		{sql: "select pg_advisory_xact_lock($1::int, $2::int)", args: []any{n.s.class(), lockNodes}},
	}, then...)
}

// nodeLocks are the ids of nodes whose locks are held, where $1 is the class.
const nodeLocks = `select objid::bigint as id from pg_locks where locktype = 'advisory' and classid = $1::bigint::oid and objsubid = 2 and granted
and database = (select oid from pg_database where datname = current_database())`

const (
	// joinNode takes a name that is free: nobody has it, or who had it is gone, has lapsed, or is this session. What its last holder ran is
	// lost, so that since is now; of a name that nobody had it is not known, and since is 0.
	joinNode = `with t as materialized (select ` + serverNow + ` as now),
locks as materialized (` + nodeLocks + `),
old as materialized (select seen_at from duly.node where name = $2::text),
j as (insert into duly.node as n (name, session, since, seen_at, lease_at, locked, offset_us, kinds)
  select $2::text, $3::bigint, 0, t.now, t.now + $4::bigint, false, $5::bigint, $7::text[] from t
  on conflict (name) do update set session = excluded.session, since = case when n.session = excluded.session then n.since else excluded.seen_at end,
  seen_at = excluded.seen_at, lease_at = excluded.lease_at, locked = false, offset_us = excluded.offset_us, gone_at = null,
  kinds = excluded.kinds, kinds_number = n.kinds_number + 1
  where n.session = excluded.session or n.gone_at is not null or
  (n.lease_at <= excluded.seen_at or n.seen_at = $6::bigint) and n.id not in (select id from locks)
  returning id)
select coalesce((select id from j), 0), coalesce((select seen_at from old), 0), t.now from t`

	// joinShards gives what was this name's, and is still, an epoch of its own.
	joinShards = `update duly.shard set epoch = (select max(epoch) + 1 from duly.shard)
where owner = (select id from duly.node where name = $1::text and session = $2::bigint)`
)

// join takes the node's name. It is not joined while another process has it.
func (n *node) join(ctx context.Context) (joined bool, err error) {
	var id int32
	var seen int64
	stale := int64(0) // of the other process, if it has not stirred for as long as a lease
	if n.blocked != 0 && n.boot()-n.since >= leaseFor*1000 {
		stale = n.blocked
	}
	err = n.ask(ctx, func(now *int64) []stmt {
		return n.locked(
			stmt{
				sql:  n.s.sql(joinNode),
				args: []any{int64(n.s.class()), n.name, n.session, int64(leaseFor), n.offset.told(n.down), stale, listed(n.kinds)},
				row:  func(scan func(dst ...any) error) error { return scan(&id, &seen, now) },
			},
			stmt{sql: n.s.sql(joinShards), args: []any{n.name, n.session}},
		)
	})
	if err != nil {
		return false, err
	}
	if id == 0 {
		if n.blocked != seen {
			n.blocked, n.since = seen, n.boot()
		}
		if !n.waiting {
			n.s.o.Logger.Warn("another process takes part under this name: waiting until it ends", "node", n.name)
			n.waiting = true
		}
		return false, nil
	}
	n.id, n.holds, n.blocked, n.waiting, n.known = id, false, 0, false, true
	clear(n.watch)
	return true, nil
}

const (
	// holdLock takes the lock of the id, and lets go of one of another id.
	holdLock = "select case when pg_advisory_unlock_all() is null then false else pg_try_advisory_lock($1::int, $2::int) end, " + serverNow

	// freeLock ends a session of ours that still has the lock, because the server has not noticed that its connection is broken.
	freeLock = `select count(pg_terminate_backend(pid)) from pg_locks where locktype = 'advisory' and classid = $1::bigint::oid and objid = $2::int::oid
and objsubid = 2 and granted and pid <> pg_backend_pid() and database = (select oid from pg_database where datname = current_database())
and exists (select from duly.node where id = $2::int and session = $3::bigint)`
)

// hold takes the lock that says that this process lives. If it can't be had yet the node has its lease only.
func (n *node) hold(ctx context.Context) error {
	err := n.ask(ctx, func(now *int64) []stmt {
		return []stmt{{
			sql: holdLock, args: []any{n.s.class(), n.id},
			row: func(scan func(dst ...any) error) error { return scan(&n.holds, now) },
		}}
	})
	if err != nil || n.holds {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, beatTime)
	defer stop()
	err = (piped{n.conn}).do(ctx, stmt{sql: n.s.sql(freeLock), args: []any{int64(n.s.class()), n.id, n.session}})
	if code(err) == codeNoPrivilege {
		return nil // it is of another role: the server will notice
	}
	return err
}

// listed is a list that is not null.
func listed(kinds []string) []string { return append([]string{}, kinds...) }

// heartbeatAll prolongs the lease, unless it has ended, and tells how everything stands, in one row, but for nodes that are long gone: a
// process that dies again and again under a new name each time must not make this slow. Kinds go either way only when they are others than
// before: their number says so. It is not waited for until it is on the disk: a server that loses it has been away for longer than a lease
// is worth.
const heartbeatAll = `with t as materialized (select ` + serverNow + ` as now, set_config('synchronous_commit', 'off', true) as relaxed),
locks as materialized (` + nodeLocks + `),
me as (update duly.node n set seen_at = t.now, lease_at = t.now + $4::bigint, locked = $5::bool, offset_us = $6::bigint,
  since = case when n.since > t.now then 0 else n.since end, kinds = coalesce($7::text[], n.kinds), kinds_number = n.kinds_number + case when $7::text[] is null then 0 else 1 end
  from t where n.id = $2::int and n.session = $3::bigint and n.gone_at is null and n.lease_at > t.now returning n.id)
select exists (select from me), (select max(epoch) from duly.shard), (select array_agg(coalesce(owner, 0) order by shard) from duly.shard),
x.*, t.now from t cross join (select array_agg(n.id), array_agg(name), array_agg(session), array_agg(since), array_agg(seen_at), array_agg(lease_at),
array_agg(offset_us), array_agg(coalesce(gone_at, 0)), array_agg(locked), array_agg(n.id in (select id from locks)),
array_agg(kinds_number), array_agg(case when k.number is distinct from kinds_number then array_to_string(kinds, e'\x1f') end)
from duly.node n left join unnest($8::int[], $9::bigint[]) k(id, number) on k.id = n.id, t
where gone_at is null or gone_at > t.now - 3600000000) x`

// beat sends a heartbeat.
func (n *node) beat(ctx context.Context) (*view, error) {
	v := &view{}
	var owners, ids []int32
	var names []string
	var session, since, seenAt, leaseAt, offset, goneAt []int64
	var locked, held []bool
	var changed []*string
	told := listed(n.kinds)
	if n.known {
		told = nil
	}
	known, numbers := make([]int32, 0, len(n.others)), make([]int64, 0, len(n.others))
	for id, k := range n.others {
		known, numbers = append(known, id), append(numbers, k.number)
	}
	var number []int64
	err := n.ask(ctx, func(now *int64) []stmt {
		return []stmt{{
			sql:  n.s.sql(heartbeatAll),
			args: []any{int64(n.s.class()), n.id, n.session, int64(leaseFor), n.holds, n.offset.told(n.down), told, known, numbers},
			row: func(scan func(dst ...any) error) error {
				err := scan(&v.extended, &v.epoch, &owners, &ids, &names, &session, &since, &seenAt, &leaseAt, &offset, &goneAt, &locked, &held,
					&number, &changed, now)
				v.now = *now
				return err
			},
		}}
	})
	if err != nil {
		return nil, err
	}
	copy(v.owners[:], owners)
	others := make(map[int32]kindList, len(ids))
	for i, id := range ids {
		others[id] = n.others[id]
		if list := changed[i]; list != nil {
			others[id] = kindList{number[i], strings.FieldsFunc(*list, func(r rune) bool { return r == '\x1f' })}
		}
		v.members = append(v.members, member{
			id: id, name: names[i], session: session[i], since: since[i], seenAt: seenAt[i], leaseAt: leaseAt[i],
			offset: offset[i], goneAt: goneAt[i], locked: locked[i], held: held[i], kinds: others[id].kinds, number: others[id].number,
		})
		if id == n.id { // its row was read as it was before
			v.members[i].kinds = n.kinds
		}
	}
	n.others, n.known = others, v.extended
	return v, nil
}

// changeShards does what a plan says, as far as it still holds: our own lease goes on, those who have lapsed have not stirred, those who are
// gone have no lock. A lease that is taken away is set to its end, so that a heartbeat which waited for this change does not prolong it.
const changeShards = `with t as materialized (select ` + serverNow + ` as now),
me as materialized (select n.id from duly.node n, t where n.id = $2::int and n.session = $3::bigint and n.gone_at is null and n.lease_at > t.now),
lapsed as (update duly.node n set lease_at = 0 from unnest($4::int[], $5::bigint[]) k(id, seen_at), me
  where n.id = k.id and n.seen_at = k.seen_at returning n.id),
gone as (update duly.node n set gone_at = t.now, lease_at = 0 from unnest($6::int[], $7::bigint[]) k(id, session), me, t
  where n.id = k.id and n.session = k.session and n.locked and n.gone_at is null
  and (select count(*) from (` + nodeLocks + `) l where l.id = n.id) = 0 returning n.id),
dead as materialized (select id from lapsed union all select id from gone),
moved as (update duly.shard s set epoch = (select max(epoch) + 1 from duly.shard),
  owner = case when s.shard = any($8::smallint[]) and (s.owner is null or s.owner in (select id from dead)) then me.id end
  from me where s.owner in (select id from dead) or s.owner is null and s.shard = any($8::smallint[]) or s.owner = me.id and s.shard = any($9::smallint[])
  returning s.shard)
select (select count(*) from moved), (select count(*) from gone), t.now from t`

// change does what a plan says.
func (n *node) change(ctx context.Context, p *plan) error {
	var moved, gone int
	err := n.ask(ctx, func(now *int64) []stmt {
		return n.locked(stmt{
			sql: n.s.sql(changeShards),
			args: []any{
				int64(n.s.class()), n.id, n.session, p.lapsed, p.lapsedSeen, p.gone, p.goneOf, p.take, p.give,
			},
			row: func(scan func(dst ...any) error) error { return scan(&moved, &gone, now) },
		})
	})
	if err == nil && gone > 0 {
		n.s.o.Logger.Info("others are gone: what they ran is taken over", "node", n.name, "gone", gone)
	}
	return err
}

// part gives up everything, and the name.
func (n *node) part(ctx context.Context) error {
	return (piped{n.conn}).do(ctx, n.locked(
		stmt{
			sql: n.s.sql(`update duly.shard set owner = null, epoch = (select max(epoch) + 1 from duly.shard)
where owner = (select id from duly.node where id = $1::int and session = $2::bigint)`),
			args: []any{n.id, n.session},
		},
		stmt{sql: n.s.sql(`delete from duly.node where id = $1::int and session = $2::bigint`), args: []any{n.id, n.session}},
	)...)
}

// note writes down for Health what a heartbeat has seen.
func (n *node) note(v *view) {
	h := Health{Node: n.name, Connected: true, Epoch: v.epoch, SeenAt: store.Instant(v.now)}
	if best, ok := n.offset.best(); ok {
		h.Offset, h.Uncertainty = best.offset, best.within
	}
	if n.aside {
		h.StandsDown = "the clock is more than a second from the server's"
	}
	for i := range v.members {
		m := &v.members[i]
		_, owned := v.ownedBy(m.id)
		g := n.watch[m.id]
		if g == nil { // ourselves
			g = &sight{}
		}
		h.Nodes = append(h.Nodes, NodeHealth{
			Name: m.name, Live: !g.lapsed && !g.gone, Gone: g.gone, Owned: owned, SeenAt: store.Instant(m.seenAt),
			Offset: time.Duration(m.offset) * time.Microsecond, StandsDown: m.standsDown() && (n.aside || !n.down),
		})
	}
	slices.SortFunc(h.Nodes, func(a, b NodeHealth) int { return strings.Compare(a.Name, b.Name) })
	x := &n.s.nodes
	x.mu.Lock()
	defer x.mu.Unlock()
	if n.over {
		return
	}
	h.Shards = n.share.Shards
	h.Sweeps, h.Swept = x.health.Sweeps, x.health.Swept
	x.health = h
}
