package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/postgres"
)

// A txn is an application's transaction, on a connection of its own.
type txn struct {
	t        *testing.T
	tx       any
	exec     func(ctx context.Context, sql string) error
	commit   func(ctx context.Context) error
	rollback func(ctx context.Context) error
}

// A way is how an application comes to a transaction.
type way struct {
	name  string
	begin func(t *testing.T, url string, level string) *txn
}

// levels are the isolation levels, by the name that SQL has for them; "" is read committed.
var levels = map[string]sql.IsolationLevel{"": sql.LevelDefault, "repeatable read": sql.LevelRepeatableRead, "serializable": sql.LevelSerializable}

var ways = []way{
	{"pgx", viaPgx(pgx.QueryExecModeCacheStatement)},
	{"pgx without prepared statements", viaPgx(pgx.QueryExecModeExec)},
	{"pgx, simple protocol", viaPgx(pgx.QueryExecModeSimpleProtocol)},
	{"sql", viaSQL(pgx.QueryExecModeCacheStatement)},
	{"sql, simple protocol", viaSQL(pgx.QueryExecModeSimpleProtocol)},
}

// both are the two kinds of transactions there are.
var both = []way{ways[0], ways[3]}

func eachWay(t *testing.T, ways []way, f func(t *testing.T, w way)) {
	t.Helper()
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) { f(t, w) })
	}
}

func config(t *testing.T, url string, mode pgx.QueryExecMode) *pgx.ConnConfig {
	t.Helper()
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	cfg.DefaultQueryExecMode = mode
	return cfg
}

func viaPgx(mode pgx.QueryExecMode) func(t *testing.T, url, level string) *txn {
	return func(t *testing.T, url, level string) *txn {
		t.Helper()
		conn, err := pgx.ConnectConfig(t.Context(), config(t, url, mode))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
		tx, err := conn.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.TxIsoLevel(level)})
		if err != nil {
			t.Fatal(err)
		}
		exec := func(ctx context.Context, sql string) error {
			_, err := tx.Exec(ctx, sql)
			return err
		}
		return &txn{t: t, tx: tx, exec: exec, commit: tx.Commit, rollback: tx.Rollback}
	}
}

func viaSQL(mode pgx.QueryExecMode) func(t *testing.T, url, level string) *txn {
	return func(t *testing.T, url, level string) *txn {
		t.Helper()
		db := stdlib.OpenDB(*config(t, url, mode))
		t.Cleanup(func() { _ = db.Close() })
		tx, err := db.BeginTx(context.WithoutCancel(t.Context()), &sql.TxOptions{Isolation: levels[level]})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = tx.Rollback() }) // mostly it has ended
		exec := func(ctx context.Context, sql string) error {
			_, err := tx.ExecContext(ctx, sql)
			return err
		}
		return &txn{
			t: t, tx: tx, exec: exec,
			commit:   func(context.Context) error { return tx.Commit() },
			rollback: func(context.Context) error { return tx.Rollback() },
		}
	}
}

// end ends the transaction.
func (x *txn) end(commit bool) {
	x.t.Helper()
	end := x.rollback
	if commit {
		end = x.commit
	}
	if err := end(x.t.Context()); err != nil {
		x.t.Fatalf("end of the transaction (commit: %v): %v", commit, err)
	}
}

// lives fails the test if the transaction can't go on.
func (x *txn) lives(after string) {
	x.t.Helper()
	if err := x.exec(x.t.Context(), "select 1"); err != nil {
		x.t.Errorf("after %s the transaction is lost: %v", after, err)
	}
}

// put puts in the transaction, which must succeed.
func (x *txn) put(s *postgres.Store, p store.Put) store.PutResult {
	x.t.Helper()
	res, err := s.PutTx(x.t.Context(), x.tx, []store.Put{p})
	if err != nil || len(res) != 1 || res[0].Err != nil {
		x.t.Fatalf("PutTx %s: %+v, error %v", p.Key, res, err)
	}
	return res[0]
}

// A desk is a store that two processes share.
type desk struct {
	*testing.T
	url, schema string
	s, other    *postgres.Store
	admin       *pgx.Conn
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	return newDeskAt(t, nil)
}

// newDeskAt makes one whose time is that of a clock, nil for the server's.
func newDeskAt(t *testing.T, clk clock.Clock) *desk {
	t.Helper()
	o := quiet(t)
	o.Clock = clk
	url := database(t)
	return &desk{T: t, url: url, schema: o.Schema, s: opened(t, url, o), other: opened(t, url, o), admin: admin(t, url)}
}

// due is a put of a task that is due so long from now.
func due(name, payload string, d time.Duration) store.Put {
	p := plainPut(name)
	p.Payload, p.When = []byte(payload), store.On(store.Occurrence{For: store.At(time.Now().Add(d))})
	return p
}

func put(t *testing.T, s *postgres.Store, p store.Put) store.PutResult {
	t.Helper()
	res, err := s.Put(t.Context(), []store.Put{p})
	if err != nil || res[0].Err != nil {
		t.Fatalf("Put %s: %+v, error %v", p.Key, res, err)
	}
	return res[0]
}

func get(t *testing.T, s *postgres.Store, name string) *store.Task {
	t.Helper()
	ts, err := s.Get(t.Context(), []store.Key{{Name: name}})
	if err != nil {
		t.Fatal(err)
	}
	return ts[0]
}

// claim claims the next occurrence of a task.
func claim(t *testing.T, s *postgres.Store, task *store.Task) store.ClaimResult {
	t.Helper()
	id := store.RunID{Key: task.Key, Generation: task.Generation, For: task.Next.For}
	res, err := s.Claim(t.Context(), []store.Claim{{RunID: id, Lease: time.Hour, Owner: "me"}})
	if err != nil || res[0].Err != nil {
		t.Fatalf("Claim: %+v, error %v", res, err)
	}
	return res[0]
}

// movesOf returns what the history says of a name, in short.
func movesOf(t *testing.T, s *postgres.Store, name string) string {
	t.Helper()
	events, err := s.History(t.Context(), store.HistoryQuery{Key: store.Key{Name: name}})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for i := range events {
		all = append(all, events[i].From.String()+">"+events[i].To.String()+" "+events[i].Verb.String())
	}
	return strings.Join(all, ", ")
}

// A picture is all that a store shows.
type picture struct {
	Tasks  []*store.Task
	Stats  store.Stats
	Events []store.Event
}

func (d *desk) look() (p picture) {
	d.Helper()
	page, err := d.other.List(d.Context(), store.Query{AllNamespaces: true})
	if err == nil {
		p.Tasks = page.Tasks
		p.Stats, err = d.other.Stats(d.Context())
	}
	if err == nil {
		p.Events, err = d.other.History(d.Context(), store.HistoryQuery{Newest: true})
	}
	if err != nil {
		d.Fatal(err)
	}
	return p
}

// waits returns when n statements wait for others' transactions. It fails the test when done has something before.
func (d *desk) waits(n int, done <-chan error) {
	d.Helper()
	ctx, cancel := context.WithTimeout(d.Context(), patience)
	defer cancel()
	for {
		if _, err := d.admin.Exec(ctx, "select pg_sleep(0.01)"); err != nil {
			d.Fatalf("waited in vain for %d statements to wait: %v", n, err)
		}
		var is int
		err := d.admin.QueryRow(ctx, `select count(distinct a.pid) from pg_stat_activity a join pg_locks l on l.pid = a.pid and not l.granted
where a.datname = current_database() and a.wait_event_type = 'Lock'`).Scan(&is)
		if err != nil {
			d.Fatal(err)
		}
		select {
		case err := <-done:
			d.Fatalf("it has not waited, error %v", err)
		default:
		}
		if is >= n {
			return
		}
	}
}

// waitsAlone returns when n calls of a store wait for others' transactions, and no writer waits with them any more.
func (d *desk) waitsAlone(s *postgres.Store, n int) {
	d.Helper()
	ctx, cancel := context.WithTimeout(d.Context(), patience)
	defer cancel()
	for s.Waiting() < n {
		if _, err := d.admin.Exec(ctx, "select pg_sleep(0.01)"); err != nil {
			d.Fatalf("waited in vain for %d calls to wait: %v", n, err)
		}
	}
}

// codeOf is the server's name of what went wrong, "" if it was not the server.
func codeOf(err error) string {
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pe.Code
	}
	return ""
}
