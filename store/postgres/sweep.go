package postgres

import (
	"context"
	"time"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/wait"
)

const (
	sweepEvery = 30 * time.Second
	sweepSoon  = 2 * time.Second // where nobody listens
	overdue    = 2 * time.Second
	mostSwept  = 10_000 // a sweep looks at no more
)

// sweepDue finds what is overdue, ours and not running: how much, what is newest among it, and where it begins. The clock is asked once: an index
// is not looked through by what may be another value for each row.
const (
	sweepDue = `select count(*), coalesce(max(generation), 0), coalesce(min(due), 0) from (
select generation, due from duly.task where due <= (select ` + serverNow + ` - $1::bigint) and running = 0 and not paused and shard >= 0`
	sweepOrder = ` order by due limit $2::bigint) x`
)

// sweepNodes forgets nodes that have been dead for a day, and those that are known by their lease only after an hour.
const sweepNodes = `delete from duly.node where lease_at < ` + serverNow + ` and seen_at < ` + serverNow + ` - case when locked then 86400000000 else 3600000000 end`

// A sweep is a rare look for what nobody has been told of, because a hint was lost.
type sweep struct{ found, newest int64 }

// sweeps looks every 30 seconds, or where nobody listens every two, because what others have put that has been due for longer than that is
// found by nothing else. What it finds that the last look has not found was late by that; it is counted, and told.
func (n *node) sweeps(ctx context.Context) {
	var last sweep
	failed, every := false, sweepEvery
	if n.s.o.Pooler {
		every = sweepSoon
	}
	for wait.Sleep(ctx, every) == nil {
		err := last.look(ctx, n.s)
		if err != nil && !failed && ctx.Err() == nil {
			n.s.o.Logger.Warn("overdue tasks could not be looked for", "node", n.name, "error", err)
		}
		failed = err != nil
	}
}

// look finds what is overdue, and tells of it if there is more than the last time.
func (w *sweep) look(ctx context.Context, s *Store) error {
	g := s.nodes.grant.Load()
	if g == nil || g.share.All() == (store.Shards{}) {
		return nil
	}
	where, args := within(&g.share.Shards, g.share.Kinds, 3)
	var found, newest, first int64
	err := s.view(ctx, "sweep", func(q session) error {
		return q.do(ctx,
			stmt{sql: s.sql(sweepNodes)},
			stmt{
				sql: s.sql(sweepDue + where + sweepOrder), args: append([]any{overdue.Microseconds(), int64(mostSwept)}, args...),
				row: func(scan func(dst ...any) error) error { return scan(&found, &newest, &first) },
			},
		)
	})
	if err != nil {
		return err
	}
	late := max(found-w.found, 0)
	if newest > w.newest {
		late = max(late, 1)
	}
	w.found, w.newest = found, max(w.newest, newest)
	if late > 0 {
		s.hints.Tell(store.Hint{At: store.Instant(first), Shards: g.share.All()})
	}
	s.nodes.swept(late)
	return nil
}

func (x *nodes) swept(late int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.health.Sweeps++
	x.health.Swept += late
}
