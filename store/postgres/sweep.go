package postgres

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/wait"
)

const (
	sweepEvery = 30 * time.Second
	sweepSoon  = 2 * time.Second // where nobody listens, and where a sweep has not seen all yet
	overdue    = 2 * time.Second
	mostSwept  = 10_000  // a look of a sweep is at no more
	mostKnown  = 1 << 20 // a sweep remembers no more
)

// sweepDue looks at what is overdue behind a place, whosever it is: which tasks of it are ours and do not run, where these stand, and where the look
// ends if there may be more. The clock is asked once: an index is not looked through by what may be another value for each row.
const (
	sweepDue = `with u as materialized (select least($1::bigint, ` + serverNow + ` - $2::bigint) as until)
select (select until from u), coalesce(array_agg(generation) filter (where ours), '{}'), coalesce(array_agg(due) filter (where ours), '{}'),
max(due) filter (where n = $6::bigint), max(ns) filter (where n = $6::bigint), max(name) filter (where n = $6::bigint)
from (select ns, name, generation, due, row_number() over (order by due, ns, name) n, running = 0 and not paused`
	sweepOrder = ` ours from (select ns, name, generation, due, shard, kind, running, paused from duly.task
where (due, ns, name) > ($3::bigint, $4::text, $5::text) and due <= (select until from u) and shard >= 0 order by due, ns, name limit $6::bigint) p) p`
)

// sweepNodes forgets nodes that have been dead for a day, and those that are known by their lease only after an hour.
const sweepNodes = `delete from duly.node where lease_at < ` + serverNow + ` and seen_at < ` + serverNow + ` - case when locked then 86400000000 else 3600000000 end`

// A sweep looks for what nobody has been told of, because a hint was lost. It goes through all that was overdue when it began, in as many looks as
// that takes, and remembers of it what is ours until the next one has ended: 16 bytes for each task. What is too much to be remembered it tells of
// each time, which is less than once in three minutes.
type sweep struct {
	known  []overdueTask // what the last one has found, in order
	found  []overdueTask
	beyond store.Instant // 0, or where what is not remembered begins
	until  store.Instant
	after  store.Cursor // where the next look begins; the zero Cursor is that of another sweep
}

type overdueTask struct{ generation, due int64 }

func (x overdueTask) compare(y overdueTask) int {
	return cmp.Or(cmp.Compare(x.due, y.due), cmp.Compare(x.generation, y.generation))
}

// take takes in what a look has found.
func (w *sweep) take(generations, dues []int64) {
	n := min(mostKnown-len(w.found), len(dues))
	for i, due := range dues[:n] {
		w.found = append(w.found, overdueTask{generations[i], due})
	}
	if n < len(dues) && w.beyond == 0 {
		w.beyond = store.Instant(slices.Min(dues[n:]))
	}
}

// end ends a sweep, and returns how much of what it has found was late by that, as much as it is more, but one at least if some of it is new; and
// since when something is to be told of.
func (w *sweep) end() (late int64, since store.Instant) {
	slices.SortFunc(w.found, overdueTask.compare)
	late, since = max(int64(len(w.found)-len(w.known)), 0), store.Never
	known := w.known
	for _, x := range w.found {
		for len(known) > 0 && known[0].compare(x) < 0 {
			known = known[1:]
		}
		if len(known) == 0 || known[0] != x {
			late, since = max(late, 1), store.Instant(x.due)
			break
		}
	}
	if w.beyond != 0 {
		since = min(since, w.beyond)
	}
	w.known, w.found, w.beyond, w.after = w.found, nil, 0, store.Cursor{}
	return late, since
}

// sweeps looks every 30 seconds, or where nobody listens every two, because what others have put that has been due for longer than that is
// found by nothing else. What it finds that the last sweep has not found was late by that; it is counted, and told.
func (n *node) sweeps(ctx context.Context) {
	var last sweep
	failed, every := false, sweepEvery
	if n.s.o.Pooler {
		every = sweepSoon
	}
	for pause := every; wait.Sleep(ctx, pause) == nil; {
		err := last.look(ctx, n.s)
		if err != nil && !failed && ctx.Err() == nil {
			n.s.o.Logger.Warn("overdue tasks could not be looked for", "node", n.name, "error", err)
		}
		failed = err != nil
		if pause = every; last.after != (store.Cursor{}) {
			pause = sweepSoon
		}
	}
}

// look looks at what is overdue behind where the last look has ended, and if that is the rest of it, tells of what is new.
func (w *sweep) look(ctx context.Context, s *Store) error {
	g := s.nodes.grant.Load()
	if g == nil || g.share.All() == (store.Shards{}) {
		return nil
	}
	where, args := within(&g.share.Shards, g.share.Kinds, 7)
	after, until := w.after, w.until
	if after == (store.Cursor{}) {
		after.At, until = store.Over, store.Never
	}
	var generations, dues []int64
	var end *int64
	var ns, name *string
	err := s.view(ctx, "sweep", func(q session) error {
		return q.do(ctx,
			stmt{sql: s.sql(sweepNodes)},
			stmt{
				sql:  s.sql(sweepDue + where + sweepOrder),
				args: append([]any{int64(until), overdue.Microseconds(), int64(after.At), after.Namespace, after.Name, int64(mostSwept)}, args...),
				row:  func(scan func(dst ...any) error) error { return scan(&w.until, &generations, &dues, &end, &ns, &name) },
			},
		)
	})
	if err != nil {
		return err
	}
	w.take(generations, dues)
	if end != nil {
		w.after = store.Cursor{At: store.Instant(*end), Key: store.Key{Namespace: *ns, Name: *name}}
		return nil
	}
	late, since := w.end()
	if since != store.Never {
		s.hints.Tell(store.Hint{At: since, Shards: g.share.All()})
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
