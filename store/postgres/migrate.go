package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dulyhq/duly/store"
)

// Migrations are the numbered files that make the schema, for tools that apply such files themselves, such as goose and tern. They name the
// schema duly; MigrationSQL has them for another.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// version is the schema's that this program works on.
const version = 1

// migrateTimeout is how long others that migrate are waited for, and those who use the tables.
const migrateTimeout = time.Minute

// leastServer is the oldest server, as server_version_num.
const leastServer = 130_000

// A Schema is what there is in a database.
type Schema struct {
	Version    int    // 0 is none
	Compatible int    // the oldest version whose programs can work on it
	Wanted     int    // the version of this program
	Server     string // the server's version, as it says it; of Status and Migrate
}

// Wanted is the version of the schema that this program works on.
const Wanted = version

// Fits says whether this program can work on it.
func (m *Schema) Fits() bool { return m.Version >= m.Wanted && m.Compatible <= m.Wanted }

// MigrationSQL returns the statements that make one version of the schema out of the one before, for people to read or to apply by hand: in
// one transaction.
func MigrationSQL(to int, schema string) (string, error) {
	o := Options{Schema: schema}
	if err := o.check(); err != nil {
		return "", err
	}
	names, err := fs.Glob(Migrations, fmt.Sprintf("migrations/%04d_*.sql", to))
	if err != nil || len(names) != 1 {
		return "", &store.Error{Op: "migrate", Field: "version", Value: strconv.Itoa(to), Want: "1 to " + strconv.Itoa(version), Err: store.ErrInvalid}
	}
	text, err := Migrations.ReadFile(names[0])
	return forSchema(string(text), o.Schema), err
}

// forSchema puts the name of the schema into a migration.
func forSchema(text, schema string) string {
	text = strings.ReplaceAll(text, "create schema if not exists duly;", "create schema if not exists "+quoted(schema)+";")
	return inSchema(text, schema)
}

func quoted(schema string) string { return pgx.Identifier{schema}.Sanitize() }

// Migrate brings the schema to this program's version, from whatever older one there is or from none, and returns what it was before and is
// now. Programs of the version before go on working on it, or it says so. Others that migrate at the same time are waited for.
func Migrate(ctx context.Context, url string, o Options) (before, after Schema, err error) {
	if err := o.check(); err != nil {
		return before, after, err
	}
	err = o.connected(ctx, url, func(conn *pgx.Conn) error {
		before, err = o.migrate(ctx, conn)
		if err == nil {
			after, err = o.schema(ctx, conn)
		}
		before.Server = conn.PgConn().ParameterStatus("server_version")
		after.Server = before.Server
		return err
	})
	return before, after, err
}

// Status returns the version of the schema, and changes nothing.
func Status(ctx context.Context, url string, o Options) (m Schema, err error) {
	if err := o.check(); err != nil {
		return m, err
	}
	err = o.connected(ctx, url, func(conn *pgx.Conn) error {
		m, err = o.schema(ctx, conn)
		m.Server = conn.PgConn().ParameterStatus("server_version")
		return err
	})
	return m, err
}

// connected lets f use a connection.
func (o *Options) connected(ctx context.Context, url string, f func(conn *pgx.Conn) error) (err error) {
	cfg, err := o.config(url)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, cfg.ConnConfig)
	if err != nil {
		return failure("migrate", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // what was done is committed
	if err := f(conn); err != nil {
		return failure("migrate", err)
	}
	return nil
}

// schema reads what there is.
func (o *Options) schema(ctx context.Context, conn querier) (m Schema, err error) {
	m.Wanted = version
	err = conn.QueryRow(ctx, inSchema("select coalesce(max(version), 0), coalesce(max(compatible), 0) from duly.migration", o.Schema)).Scan(&m.Version, &m.Compatible)
	if c := code(err); c == codeUndefinedTable || c == codeInvalidSchema {
		return m, nil
	}
	return m, err
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func (o *Options) migrate(ctx context.Context, conn *pgx.Conn) (before Schema, err error) {
	s := &Store{o: *o}
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}) // what is there is read after the lock
	if err != nil {
		return before, err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // after the commit it does nothing
	if _, err := tx.Exec(ctx, "select set_config('lock_timeout', $1, true)", millis(migrateTimeout)); err != nil {
		return before, err
	}
	if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock($1::int, $2::int)", s.class(), lockSchema); err != nil {
		return before, err
	}
	nested, err := tx.Begin(ctx) // a question to a table that is not there ends a transaction
	if err != nil {
		return before, err
	}
	before, err = o.schema(ctx, nested)
	if rerr := nested.Rollback(ctx); err == nil {
		err = rerr
	}
	if err != nil {
		return before, err
	}
	var made bool
	if err := tx.QueryRow(ctx, "select to_regnamespace($1) is not null", quoted(o.Schema)).Scan(&made); err != nil {
		return before, err
	}
	for v := before.Version + 1; v <= version; v++ {
		text, err := MigrationSQL(v, o.Schema)
		if err != nil {
			return before, err
		}
		if made { // the server wants the right to make one before it looks whether there is one
			text = strings.Replace(text, "create schema if not exists "+quoted(o.Schema)+";", "", 1)
		}
		if _, err := conn.PgConn().Exec(ctx, text).ReadAll(); err != nil {
			return before, fmt.Errorf("version %d of schema %s: %w", v, o.Schema, err)
		}
	}
	return before, tx.Commit(ctx)
}

// prepare looks whether the store can work on what is there, and makes the schema if there is none.
func (s *Store) prepare(ctx context.Context) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return failure("open", err)
	}
	defer conn.Release()
	var encoding string
	var server int
	err = conn.QueryRow(ctx, "select current_setting('server_encoding'), current_setting('server_version_num')::int").Scan(&encoding, &server)
	switch {
	case err != nil:
		return failure("open", err)
	case server < leastServer:
		return wrong("server", strconv.Itoa(server/10_000), "PostgreSQL 13 or newer")
	case encoding != "UTF8":
		return wrong("encoding of the database", encoding, "UTF8")
	}
	m, err := s.o.schema(ctx, conn)
	if err == nil && m.Version == 0 {
		if _, err = s.o.migrate(ctx, conn.Conn()); err == nil {
			m, err = s.o.schema(ctx, conn)
		} else if code(err) == codeNoPrivilege {
			return &store.Error{Op: "open", Err: fmt.Errorf("%w: the database has no schema %s and this role may not create it: %w", store.ErrFormat, s.o.Schema, err)}
		}
	}
	switch {
	case err != nil:
		return failure("open", err)
	case m.Fits():
		return nil
	case m.Version < m.Wanted:
		err = errOlder
	default:
		err = errNewer
	}
	return &store.Error{Op: "open", Err: fmt.Errorf("%w: schema %s is of version %d and this program works on %d: %w", store.ErrFormat, s.o.Schema, m.Version, m.Wanted, err)}
}

var (
	errOlder = errors.New("migrate it (postgres.Migrate)")
	errNewer = errors.New("take a newer version of this program")
)

func wrong(field, value, want string) error {
	return &store.Error{Op: "open", Field: field, Value: value, Want: want, Err: store.ErrInvalid}
}
