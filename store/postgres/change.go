package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/dulyhq/duly/store"
)

// begin begins a transaction of ours, whatever the level is that the database or the role has by default: each statement has to see what
// others had committed when it got its locks.
const begin = "begin isolation level read committed"

// limits says for how long a transaction waits for a lock, and, where a connection was not told, how long it may stand still.
func limits(wait time.Duration) stmt {
	return stmt{
		sql:  "select set_config('lock_timeout', $1, true), set_config('idle_in_transaction_session_timeout', $2, true)",
		args: []any{millis(wait), millis(idleTimeout)},
	}
}

// change lets f write in a transaction, on a connection that is lent.
func (s *Store) change(ctx context.Context, op string, lend lender, f func(q session) error) error {
	return s.use(ctx, op, lend, func(q session) error {
		if err := q.do(ctx, stmt{sql: begin}, limits(sendTimeout/2)); err != nil {
			return err
		}
		if err := f(q); err != nil {
			_ = q.do(ctx, stmt{sql: "rollback"}) // a connection that can't is closed
			return err
		}
		if err := q.do(ctx, stmt{sql: "commit"}); err != nil {
			if !refused(err) {
				err = fmt.Errorf("%w: %w", store.ErrUnknown, err)
			}
			return err
		}
		return nil
	})
}

// raise makes sure that no number is given out again that was given out by commits which the server has lost: because it does not sync
// them, or because a standby was promoted that had not got them. Nobody draws a number before it is done. Numbers keep above the
// server's clock in microseconds, which runs faster than they do; if it was set back they are raised by what is more than can have been lost.
func (s *Store) raise(ctx context.Context) error {
	return s.change(ctx, "raise numbers", s.lend, func(q session) error {
		return q.do(ctx,
			stmt{sql: "select pg_advisory_xact_lock($1, $2)", args: []any{s.class(), lockRaise}},
			stmt{sql: s.sql(`select setval('duly.number', case when ` + serverNow + ` > last_value then ` + serverNow + ` else last_value + 10000000 end) from duly.number
where not exists (select from duly.raised)`)},
			stmt{sql: s.sql(`select setval('duly.history_seq', last_value + 1000000) from duly.history_seq
where is_called and not exists (select from duly.raised)`)},
			stmt{sql: s.sql(`insert into duly.raised (at) select now() where not exists (select from duly.raised)`)},
		)
	})
}
