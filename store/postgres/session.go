package postgres

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dulyhq/duly/internal/park"
)

// A stmt is one statement, and what is done with what it gives.
type stmt struct {
	sql  string
	args []any
	row  func(scan func(dst ...any) error) error // for each row; nil: there are none
	rows *int64                                  // how many it has changed or given, if anybody wants to know
}

// A session sends statements. They take effect one after the other; the first that fails ends it.
type session interface {
	do(ctx context.Context, stmts ...stmt) error
}

// A piped session sends all statements at once: they cost one round trip.
type piped struct {
	c interface {
		SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
	}
}

func (p piped) do(ctx context.Context, stmts ...stmt) (err error) {
	var b pgx.Batch
	for i := range stmts {
		b.Queue(stmts[i].sql, stmts[i].args...)
	}
	res := p.c.SendBatch(ctx, &b)
	for i := range stmts {
		if err = one(res, &stmts[i]); err != nil {
			break
		}
	}
	if cerr := res.Close(); err == nil {
		err = cerr
	}
	return err
}

// one takes the answer to one statement.
func one(res pgx.BatchResults, s *stmt) error {
	rows, err := res.Query()
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if s.row == nil {
			continue
		}
		if err := s.row(rows.Scan); err != nil {
			return err
		}
	}
	rows.Close()
	if s.rows != nil {
		*s.rows = rows.CommandTag().RowsAffected()
	}
	return rows.Err()
}

// A patient session reads, and asks again where a table is locked for longer than connections of the pool are told to wait, which is said for the sake of
// those who write: it is being changed, or shortened by a vacuum. Meanwhile others may read what is not locked.
type patient struct {
	s    *Store
	ctx  context.Context //nolint:containedctx // of its statements
	lend lender
}

const lockPatience = sendTimeout / 2

var errLocked = fmt.Errorf("a table has been locked for %v", lockPatience)

func (p patient) do(_ context.Context, stmts ...stmt) (err error) {
	heard := false
	asked := slices.Clone(stmts)
	for i := range asked {
		if row := stmts[i].row; row != nil {
			asked[i].row = func(scan func(dst ...any) error) error {
				heard = true
				return row(scan)
			}
		}
	}
	ask := func(q session) error { return q.do(p.ctx, asked...) }
	if err = p.lend(p.ctx, ask); heard || code(err) != codeLockNotAvailable { //nolint:contextcheck // it is the session's
		return err
	}
	turn, stop := park.Within(p.ctx, lockPatience, errLocked)
	defer stop()
	for {
		select {
		case p.s.again <- struct{}{}:
		case <-turn.Done():
			return fmt.Errorf("%w: %w", errLocked, err)
		}
		err = p.lend(p.ctx, ask) //nolint:contextcheck // it is the session's
		<-p.s.again
		switch {
		case heard || code(err) != codeLockNotAvailable:
			return err
		case turn.Err() != nil:
			return fmt.Errorf("%w: %w", errLocked, err)
		}
	}
}

// A sqlTx is a session in a transaction of database/sql, whatever its driver: arrays are handed over as text. Each statement costs a round
// trip, but those that have no arguments, and of which nothing is asked, are sent as one: drivers hand over such a text as it is.
type sqlTx struct{ tx *sql.Tx }

func (x sqlTx) do(ctx context.Context, stmts ...stmt) error {
	for i := 0; i < len(stmts); i++ {
		s := stmts[i]
		for s.plain() && i+1 < len(stmts) && stmts[i+1].plain() {
			i++
			s.sql += "; " + stmts[i].sql
		}
		if err := x.one(ctx, &s); err != nil {
			return err
		}
	}
	return nil
}

// plain says that it is its text, and no more.
func (s *stmt) plain() bool { return len(s.args) == 0 && s.row == nil && s.rows == nil }

func (x sqlTx) one(ctx context.Context, s *stmt) error {
	args := make([]any, len(s.args))
	for i, a := range s.args {
		args[i] = plain(a)
	}
	if s.row == nil {
		res, err := x.tx.ExecContext(ctx, s.sql, args...)
		if err == nil && s.rows != nil {
			*s.rows, err = res.RowsAffected()
		}
		return err
	}
	rows, err := x.tx.QueryContext(ctx, s.sql, args...)
	if err != nil {
		return err
	}
	n := int64(0)
	for err == nil && rows.Next() {
		n++
		err = s.row(rows.Scan)
	}
	err = errors.Join(err, rows.Close(), rows.Err()) //nolint:sqlclosecheck // what it says counts
	if s.rows != nil {
		*s.rows = n
	}
	return err
}

// plain returns an argument as any driver takes it.
func plain(a any) any {
	switch v := a.(type) {
	case []string:
		return array(v, func(b *strings.Builder, s string) {
			b.WriteByte('"')
			for i := range len(s) {
				if s[i] == '"' || s[i] == '\\' {
					b.WriteByte('\\')
				}
				b.WriteByte(s[i])
			}
			b.WriteByte('"')
		})
	case [][]byte:
		return array(v, func(b *strings.Builder, s []byte) {
			if s == nil {
				b.WriteString("NULL")
				return
			}
			b.WriteString(`"\\x`)
			b.WriteString(hex.EncodeToString(s))
			b.WriteByte('"')
		})
	case []int64:
		return array(v, func(b *strings.Builder, n int64) { b.WriteString(strconv.FormatInt(n, 10)) })
	case []int32:
		return array(v, func(b *strings.Builder, n int32) { b.WriteString(strconv.FormatInt(int64(n), 10)) })
	case []int16:
		return array(v, func(b *strings.Builder, n int16) { b.WriteString(strconv.FormatInt(int64(n), 10)) })
	case []bool:
		return array(v, func(b *strings.Builder, is bool) { b.WriteString(strconv.FormatBool(is)) })
	}
	return a
}

func array[T any](all []T, one func(b *strings.Builder, v T)) string {
	var b strings.Builder
	b.WriteByte('{')
	for i := range all {
		if i > 0 {
			b.WriteByte(',')
		}
		one(&b, all[i])
	}
	b.WriteByte('}')
	return b.String()
}

// The classes of what a server answers. https://www.postgresql.org/docs/current/errcodes-appendix.html
const (
	codeLockNotAvailable = "55P03"
	codeDeadlock         = "40P01"
	codeSerialization    = "40001"
	codeUnique           = "23505"
	codeNoNumber         = "22P02" // rows are not as they were read
	codeReadOnly         = "25006"
	codeUndefinedTable   = "42P01"
	codeInvalidSchema    = "3F000"
	codeNoPrivilege      = "42501"
	codeDiskFull         = "53100"
	codeIdle             = "25P03" // the session stood still in a transaction for too long
)

// code returns the class of a refusal, "" for what is none.
func code(err error) string {
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pe.Code
	}
	var se interface{ SQLState() string } // of other drivers
	if errors.As(err, &se) {
		return se.SQLState()
	}
	return ""
}

// refused says that the server has answered with an error and is there to go on: nothing of the transaction will be written.
func refused(err error) bool {
	pe, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pe.SeverityUnlocalized == "ERROR"
}

// again says that the same transaction may succeed if it is tried again.
func again(err error) bool {
	switch code(err) {
	case codeDeadlock, codeSerialization, codeUnique, codeNoNumber, codeIdle:
		return true
	}
	return false
}
