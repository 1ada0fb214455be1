package postgres

import (
	"context"
	"fmt"
	"math"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/internal/record"
)

// entriesEnd returns the greatest number below which no entry can appear any more: entries are numbered before their transactions
// commit, so that a reader who goes on from the last it knows would miss those of a transaction that takes longer. Each writer holds a
// lock that says what the last number was when it began; what they are, and then what is there, is read after the last number.
func (s *Store) entriesEnd(ctx context.Context, q session) (end int64, err error) {
	err = q.do(ctx, stmt{sql: s.sql("select last_value from duly.history_seq"), row: func(scan func(dst ...any) error) error { return scan(&end) }})
	if err != nil {
		return 0, err
	}
	last := end
	err = q.do(ctx, stmt{
		sql: `select objid::bigint from pg_locks where locktype = 'advisory' and classid = $1::bigint::oid and objsubid = 2
and database = (select oid from pg_database where datname = current_database())`,
		args: []any{int64(s.entriesClass())},
		row: func(scan func(dst ...any) error) error {
			var low int64
			if err := scan(&low); err != nil {
				return err
			}
			// The lock has the last 31 bits of a number that is not greater, or that of a writer who has begun since: its entries are after last.
			if behind := (last - low) & math.MaxInt32; behind <= math.MaxInt32/2 {
				end = min(end, last-behind)
			}
			return nil
		},
	})
	return end, err
}

// History implements store.Store. Where it goes on from an entry, or tells of all tasks, it ends before the first entry of a transaction that
// is under way, so that none is passed by, by whoever goes on from what it tells.
func (s *Store) History(ctx context.Context, q store.HistoryQuery) (events []store.Event, err error) {
	limit := pageOf(q.Limit, 100)
	if plainText(q.Namespace) != q.Namespace || plainText(q.Name) != q.Name {
		return nil, nil
	}
	err = s.survey(ctx, "history", func(x session) error {
		var c clause
		if q.After > 0 || q.Key == (store.Key{}) {
			end, err := s.entriesEnd(ctx, x)
			if err != nil {
				return err
			}
			c.and("seq > " + c.arg(q.After) + "::bigint and seq <= " + c.arg(end) + "::bigint")
		}
		if q.Before > 0 {
			c.and("seq < " + c.arg(q.Before) + "::bigint")
		}
		if q.Key != (store.Key{}) {
			c.and("key = " + c.arg(hashOf(q.Key)) + "::bigint and ns = " + c.arg(q.Namespace) + " and name = " + c.arg(q.Name))
		}
		if q.Since != 0 {
			c.and("at >= " + c.arg(int64(q.Since)) + "::bigint")
		}
		order := "asc"
		if q.Newest {
			order = "desc"
		}
		return x.do(ctx, stmt{
			sql:  s.sql("select seq, body from duly.history" + c.String() + " order by seq " + order + " limit " + c.arg(int64(limit)) + "::bigint"),
			args: c.args,
			row: func(scan func(dst ...any) error) error {
				var seq int64
				var body []byte
				if err := scan(&seq, &body); err != nil {
					return err
				}
				d := record.NewDecoder(body)
				var e store.Event
				d.Event(&e)
				if err := d.End(); err != nil {
					return fmt.Errorf("entry %d of the history: %w", seq, err)
				}
				e.Seq = seq
				events = append(events, e)
				return nil
			},
		})
	})
	if err != nil {
		return nil, err
	}
	return events, nil
}

// trimMost is how many entries a transaction of Trim forgets at most.
const trimMost = 10_000

// Trim implements store.Store. While another process trims it forgets nothing.
func (s *Store) Trim(ctx context.Context, r store.Retention) (n int64, err error) {
	x := trimming{r: &r, added: "(0,0)"}
	for x.added != "" {
		mine, err := s.trims(ctx, func(q session) error { return x.addUp(ctx, s, q) })
		if err != nil || !mine {
			return 0, err
		}
	}
	for {
		gone, more, err := s.trim(ctx, &x)
		n += gone
		if err != nil || !more {
			return n, err
		}
	}
}

// A trimming goes through the history from the oldest entry on, a page in each transaction.
type trimming struct {
	r     *store.Retention
	after int64  // what is behind this entry was not looked at
	past  bool   // nothing behind it is to be forgotten because of its age
	added string // where what has been added up of others' counts ends, "" if that is all
}

// trimPage forgets what is too old on a page, and tells how much that was, how much there is on the page, where it ends, and whether something on it
// is from the time to come.
const trimPage = `with p as materialized (select seq, at from duly.history where seq > $1 order by seq limit $2),
d as (delete from duly.history where seq = any(array(select seq from p where at < $3)) returning seq)
select (select count(*) from d), count(*), coalesce(max(seq), $1), coalesce(max(at), 0) > case when $4::bigint = 0 then ` + serverNow + ` else $4::bigint end from p`

// page forgets what is too old on the next page. Where entries were written while the clock was ahead, others behind them may be older: it goes on
// past what is from the time to come.
func (x *trimming) page(ctx context.Context, s *Store, q session) (gone int64, err error) {
	var now, all, end int64
	var ahead bool
	if s.o.Clock != nil {
		now = int64(s.ownClock().Now)
	}
	err = q.do(ctx, stmt{
		sql:  s.sql(trimPage),
		args: []any{x.after, int64(trimMost), int64(x.r.HistoryFrom), now},
		row:  func(scan func(dst ...any) error) error { return scan(&gone, &all, &end, &ahead) },
	})
	x.after, x.past = end, all < trimMost || gone == 0 && !ahead
	return gone, err
}

// trims lets f trim in a transaction, unless another process does. It is one of those that may take long.
func (s *Store) trims(ctx context.Context, f func(q session) error) (mine bool, err error) {
	err = s.change(ctx, "trim", s.lendLong, func(q session) error {
		err := q.do(ctx, stmt{sql: "select pg_try_advisory_xact_lock($1, $2)", args: []any{s.class(), lockTrim}, row: func(scan func(dst ...any) error) error {
			return scan(&mine)
		}})
		if err != nil || !mine {
			return err
		}
		return f(q)
	})
	return mine, err
}

func (s *Store) trim(ctx context.Context, x *trimming) (n int64, more bool, err error) {
	var history, dead int64
	r := x.r
	mine, err := s.trims(ctx, func(q session) (err error) {
		if r.HistoryFrom != 0 && !x.past {
			if history, err = x.page(ctx, s, q); err != nil {
				return err
			}
			more = !x.past
		}
		if r.DeadFrom != 0 {
			err = q.do(ctx, stmt{
				sql:  s.sql(`delete from duly.dead where died_at < $2 and ctid = any(array(select ctid from duly.dead where died_at < $2 limit $1))`),
				args: []any{int64(trimMost), int64(r.DeadFrom)}, rows: &dead,
			})
			if err != nil {
				return err
			}
		}
		if r.MaxHistory > 0 {
			most, err := s.trimTo(ctx, q, r.MaxHistory, history)
			if err != nil {
				return err
			}
			history += most
			more = more || most >= trimMost
		}
		return q.do(ctx, stmt{
			sql:  s.sql(`update duly.counter set dead = dead - $1, history = history - $2 where lane = $3`),
			args: []any{dead, history, int32(counters - 1)},
		})
	})
	return history + dead, mine && (more || dead >= trimMost), err
}

// trimTo forgets the oldest entries until no more than most are left, where gone have been forgotten that are still counted.
func (s *Store) trimTo(ctx context.Context, q session, most, gone int64) (n int64, err error) {
	var count int64
	err = q.do(ctx, stmt{
		sql: s.sql(`select (select sum(history) from duly.counter)::bigint + coalesce((select sum(history) from duly.counter_delta), 0)::bigint`),
		row: func(scan func(dst ...any) error) error { return scan(&count) },
	})
	over := min(count-gone-most, trimMost)
	if err != nil || over <= 0 {
		return 0, err
	}
	err = q.do(ctx, stmt{sql: s.sql(`delete from duly.history where seq = any(array(select seq from duly.history order by seq limit $1))`), args: []any{over}, rows: &n})
	return n, err
}

// addUp adds a page of what transactions of others have left to the counters.
const addUp = `with p as materialized (select ctid as at from duly.counter_delta where ctid > $1::text::tid limit $2::bigint),
d as (delete from duly.counter_delta where ctid = any(array(select at from p)) returning *),
n as (select coalesce(sum(tasks), 0) tasks, coalesce(sum(paused), 0) paused, coalesce(sum(running), 0) running, coalesce(sum(dead), 0) dead, coalesce(sum(history), 0) history from d)
update duly.counter c set tasks = c.tasks + n.tasks, paused = c.paused + n.paused, running = c.running + n.running, dead = c.dead + n.dead,
history = c.history + n.history from n where lane = $3 returning coalesce((select at::text from p offset $2::bigint - 1), '')`

// addUp adds up the next page of what transactions of others have left.
func (x *trimming) addUp(ctx context.Context, s *Store, q session) error {
	return q.do(ctx, stmt{
		sql:  s.sql(addUp),
		args: []any{x.added, int64(trimMost), int32(counters - 1)},
		row:  func(scan func(dst ...any) error) error { return scan(&x.added) },
	})
}
