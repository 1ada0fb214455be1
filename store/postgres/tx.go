package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"

	"github.com/jackc/pgx/v5"

	"github.com/dulyhq/duly/internal/park"
	"github.com/dulyhq/duly/store"
)

// PutTx implements store.Transactor. The transaction is a pgx.Tx or a *sql.Tx of whatever driver, on the database of this store, and it may be
// read committed or stricter: a stricter one may have to be tried again, as after any statement, because others were faster (SQLSTATE
// 40001). The rows of the tasks stay locked until it ends: a task that another transaction has put or changed is waited for. Others learn
// of the tasks when it commits.
//
// What fails leaves the transaction as it was, but for a ctx that ends while the server works: drivers close the connection then. Close does
// not wait for it, as it is the transaction's connection that is used: what has begun goes on. Whether what was to run once, and is due, has
// run already is asked over a connection of the store's, whatever the transaction sees; after Close that is store.ErrClosed.
func (s *Store) PutTx(ctx context.Context, tx any, puts []store.Put) ([]store.PutResult, error) {
	all, res := rowsOf(puts, putKey, putSize, (*store.Put).Apply)
	return res, s.within(ctx, "put", tx, all)
}

// CancelTx implements store.Transactor, as PutTx.
func (s *Store) CancelTx(ctx context.Context, tx any, cancels []store.Cancel) ([]store.CancelResult, error) {
	all, res := rowsOf(cancels, cancelKey, nil, (*store.Cancel).Apply)
	return res, s.within(ctx, "cancel", tx, all)
}

// SettleTx implements store.Transactor, as PutTx.
func (s *Store) SettleTx(ctx context.Context, tx any, settlements []store.Settlement) ([]store.SettleResult, error) {
	all, res := rowsOf(settlements, settlementKey, nil, (*store.Settlement).Apply)
	return res, s.within(ctx, "settle", tx, all)
}

// within applies rows in somebody else's transaction. What fails is taken back to where it began.
func (s *Store) within(ctx context.Context, op string, tx any, rows []row) error {
	q, err := sessionOf(op, tx)
	if err != nil {
		return err
	}
	if err := s.enter(ctx, op); err != nil {
		return err
	}
	s.leave() // Close does not wait: for a row the transaction may wait for as long as another one takes, and it needs nothing of ours but its memory
	if len(rows) == 0 {
		return nil
	}
	its := q
	q = bound{its, ctx}
	if err := q.do(ctx, append([]stmt{{sql: "savepoint duly"}}, plansAnew...)...); err != nil {
		return failure(op, err)
	}
	raised, ran := false, map[oneOff]bool{}
	for range triesMost {
		if err = s.withinOnce(ctx, q, rows, raised, ran); !errors.Is(err, errStale) && !errors.Is(err, errRaise) {
			break
		}
		again := q.do(ctx, append([]stmt{{sql: "rollback to savepoint duly"}}, plansAnew...)...)
		if errors.Is(err, errRaise) && again == nil {
			again, raised = s.raise(ctx), true
		}
		if again != nil {
			err = again
			break
		}
	}
	if err == nil {
		err = q.do(ctx, stmt{sql: plansAsBefore}, stmt{sql: "release savepoint duly"})
	}
	if err == nil {
		return nil
	}
	ctx, stop := park.Within(context.WithoutCancel(ctx), sendTimeout, errSilent) // one that has ended between two statements leaves the connection alive
	defer stop()
	for _, sql := range []string{"rollback to savepoint duly", "release savepoint duly"} { // one by one: the first has to be over to prepare the second
		if rerr := its.do(ctx, stmt{sql: sql}); rerr != nil {
			err = errors.Join(err, rerr)
			break
		}
	}
	return failure(op, err)
}

// A driver may prepare our statements on a connection of the application's, and the server keep a plan that it has made while a table was
// small, which is to read all of it. So they are planned each time, by the size that tables have then. What the application has set comes
// back with the end of the savepoint.
var plansAnew = []stmt{
	{sql: "select set_config('duly.plan_cache_mode', current_setting('plan_cache_mode'), true)"},
	{sql: "select set_config('plan_cache_mode', 'force_custom_plan', true)"},
}

const plansAsBefore = "select set_config('plan_cache_mode', current_setting('duly.plan_cache_mode'), true)"

// errStale says that a task was put by somebody else meanwhile.
var errStale = errors.New("others put the same task again and again")

func (s *Store) withinOnce(ctx context.Context, q session, rows []row, raised bool, ran map[oneOff]bool) error {
	b := newBatch(ctx, s, q, -1)
	b.rows, b.raised, b.locks, b.ran = rows, raised, true, ran
	if err := b.read(); err != nil {
		return err
	}
	for i := range rows {
		if err := b.apply(&rows[i]); err != nil {
			return err
		}
	}
	if anew, err := b.missed(); err != nil || anew {
		return cmp.Or(err, errStale)
	}
	if b.idle() {
		return nil
	}
	if err := b.flush(false); err != nil {
		return err
	}
	if b.inserted != b.inserts {
		return errStale
	}
	if b.dueBy(b.byNow()); len(b.doubts) == 0 || b.inserts == 0 {
		return nil
	}
	known := len(ran)
	if err := s.ranMeanwhile(ctx, b); err != nil {
		return err
	}
	if len(ran) > known {
		return errStale
	}
	return nil
}

// ranMeanwhile notes one-offs that have run since they were asked for or came due, or since the transaction's snapshot: it is a connection of ours
// that sees that, whatever the transaction sees.
func (s *Store) ranMeanwhile(ctx context.Context, b *batch) error {
	return s.view(ctx, "put", func(q session) error {
		return q.do(ctx, stmt{sql: s.sql("select k.n from " + ranSince), args: b.sinceLooked(), row: func(scan func(dst ...any) error) error {
			var n int64
			if err := scan(&n); err != nil {
				return err
			}
			b.ran[b.doubts[n-1].oneOff] = true
			return nil
		}})
	})
}

func sessionOf(op string, tx any) (session, error) {
	is := fmt.Sprintf("a %T", tx)
	if v := reflect.ValueOf(tx); v.Kind() == reflect.Pointer && v.IsNil() {
		is, tx = fmt.Sprintf("a nil %T", tx), nil
	}
	switch v := tx.(type) {
	case pgx.Tx:
		return piped{v}, nil
	case *sql.Tx:
		return sqlTx{v}, nil
	}
	return nil, &store.Error{Op: op, Field: "tx", Value: is, Want: "a pgx.Tx or a *sql.Tx", Err: store.ErrInvalid}
}
