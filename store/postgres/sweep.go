package postgres

import (
	"context"
	"slices"
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

// sweepDue finds what is overdue, ours and not running: which tasks, and where they stand. The clock is asked once: an index
// is not looked through by what may be another value for each row.
const (
	sweepDue = `select coalesce(array_agg(generation), '{}'), coalesce(array_agg(due), '{}') from (
select generation, due from duly.task where due <= (select ` + serverNow + ` - $1::bigint) and running = 0 and not paused and shard >= 0`
	sweepOrder = ` order by due limit $2::bigint) x`
)

// sweepNodes forgets nodes that have been dead for a day, and those that are known by their lease only after an hour.
const sweepNodes = `delete from duly.node where lease_at < ` + serverNow + ` and seen_at < ` + serverNow + ` - case when locked then 86400000000 else 3600000000 end`

// A sweep is a rare look for what nobody has been told of, because a hint was lost.
type sweep struct {
	found  map[overdueTask]struct{} // by the last look
	newest int64                    // generation that any has found
}

type overdueTask struct{ generation, due int64 }

// late takes in what a look has found, and returns how much of it was late by that: as much as it is more, but one at least if some of it is new.
func (w *sweep) late(generations, dues []int64) int64 {
	found := make(map[overdueTask]struct{}, len(generations))
	late, newest := max(len(generations)-len(w.found), 0), w.newest
	for i, g := range generations {
		x := overdueTask{g, dues[i]}
		found[x] = struct{}{}
		newest = max(newest, g)
		if _, known := w.found[x]; !known && (len(w.found) < mostSwept || g > w.newest) { // one that has not found all may have left it out
			late = max(late, 1)
		}
	}
	w.found, w.newest = found, newest
	return int64(late)
}

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
	var generations, dues []int64
	err := s.view(ctx, "sweep", func(q session) error {
		return q.do(ctx,
			stmt{sql: s.sql(sweepNodes)},
			stmt{
				sql: s.sql(sweepDue + where + sweepOrder), args: append([]any{overdue.Microseconds(), int64(mostSwept)}, args...),
				row: func(scan func(dst ...any) error) error { return scan(&generations, &dues) },
			},
		)
	})
	if err != nil {
		return err
	}
	late := w.late(generations, dues)
	if late > 0 {
		s.hints.Tell(store.Hint{At: store.Instant(slices.Min(dues)), Shards: g.share.All()})
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
