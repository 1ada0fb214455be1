package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/internal/pgtest"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/postgres"
	"github.com/dulyhq/duly/store/storetest"
)

// quiet are options with a schema of the test's own, which is gone after it.
func quiet(t *testing.T) postgres.Options {
	t.Helper()
	o := postgres.Options{Schema: fmt.Sprintf("t%d", schemas.Add(1)), Logger: slog.New(slog.DiscardHandler)}
	t.Cleanup(func() { drop(t, database(t), o.Schema) })
	return o
}

// admin returns a connection that may do anything.
func admin(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func exec(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func opened(t *testing.T, url string, o postgres.Options) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestOpen_RefusesNonsense(t *testing.T) {
	for _, c := range []struct {
		o     postgres.Options
		field string
	}{
		{postgres.Options{Schema: "Duly"}, "schema"},
		{postgres.Options{Schema: "1duly"}, "schema"},
		{postgres.Options{Schema: `d"; drop schema x`}, "schema"},
		{postgres.Options{Schema: strings.Repeat("x", 59)}, "schema"},
		{postgres.Options{Schema: "pg_duly"}, "schema"},
		{postgres.Options{Writers: -1}, "writers"},
		{postgres.Options{Writers: 33}, "writers"},
	} {
		_, err := postgres.Open(t.Context(), "host=/nowhere", c.o)
		var se *store.Error
		if !errors.As(err, &se) || !errors.Is(err, store.ErrInvalid) || se.Field != c.field || se.Want == "" {
			t.Errorf("%+v: %v; want that %s is invalid, and what would be right", c.o, err, c.field)
		}
	}
	if _, err := postgres.Open(t.Context(), "postgres://%%", postgres.Options{}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("no URL: %v; want ErrInvalid", err)
	}
	if _, err := postgres.Open(t.Context(), "host=/nowhere user=x", postgres.Options{}); !errors.Is(err, store.ErrBroken) {
		t.Errorf("no server: %v; want ErrBroken", err)
	}
}

// TestOpen_KeepsThePasswordToItself: errors are logged.
func TestOpen_KeepsThePasswordToItself(t *testing.T) {
	for _, url := range []string{
		"postgres://me:hush1234@127.0.0.1:1/x", "host=127.0.0.1 port=1 user=me password=hush1234", "postgres://me:hush1234@127.0.0.1:x/", "host=127.0.0.1 password=hush1234 port=x",
	} {
		_, err := postgres.Open(t.Context(), url, postgres.Options{})
		if err == nil || strings.Contains(err.Error(), "hush1234") {
			t.Errorf("%v", err)
		}
	}
}

// TestOpen_MakesTheSchema: whoever has a database needs no other step, and who comes second finds it made. Many may come at once.
func TestOpen_MakesTheSchema(t *testing.T) {
	o := quiet(t)
	url := database(t)
	if m, err := postgres.Status(t.Context(), url, o); err != nil || m.Version != 0 || m.Wanted == 0 {
		t.Fatalf("before: %+v, %v; want version 0", m, err)
	}
	errs := make(chan error)
	for range 4 {
		go func() {
			s, err := postgres.Open(t.Context(), url, o)
			if err == nil {
				err = s.Close()
			}
			errs <- err
		}()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	m, err := postgres.Status(t.Context(), url, o)
	if err != nil || m.Version != m.Wanted {
		t.Errorf("after: %+v, %v; want the version of this program", m, err)
	}
	before, after, err := postgres.Migrate(t.Context(), url, o)
	if err != nil || before != m || after != m {
		t.Errorf("Migrate again: %+v to %+v, %v; want that nothing changes", before, after, err)
	}
}

// TestOpen_AnySchema: whatever name is taken is one under which all works.
func TestOpen_AnySchema(t *testing.T) {
	url := database(t)
	for _, schema := range []string{"user", "select", "_", "x9_", strings.Repeat("x", 58)} {
		t.Cleanup(func() { drop(t, url, schema) })
		s := opened(t, url, postgres.Options{Schema: schema, Logger: slog.New(slog.DiscardHandler)})
		put(t, s, due("a", "", 0)) // others are told
		page, err := s.Due(t.Context(), store.DueQuery{Until: store.Never, Limit: 10})
		if err != nil || len(page.Tasks) != 1 {
			t.Errorf("schema %q: %d tasks are due, %v; want the one that was put", schema, len(page.Tasks), err)
		}
		if res, err := s.Cancel(t.Context(), []store.Cancel{{Key: store.Key{Name: "a"}}}); err != nil || res[0].Outcome != store.CancelCancelled {
			t.Errorf("schema %q: cancel: %+v, %v", schema, res, err)
		}
		if m, err := postgres.Status(t.Context(), url, postgres.Options{Schema: schema}); err != nil || !m.Fits() {
			t.Errorf("schema %q: %+v, %v", schema, m, err)
		}
	}
}

// TestOpen_RefusesOtherVersions: a program must not work on tables that it does not know.
func TestOpen_RefusesOtherVersions(t *testing.T) {
	url := database(t)
	conn := admin(t, url)
	for _, c := range []struct {
		name, change string
		want         string // "" is that it opens
	}{
		{"newer and compatible", "insert into %s.migration values (1000, 1)", ""},
		{"newer", "insert into %s.migration values (1000, 1000)", "newer version"},
		{"older", "update %s.migration set version = -1", "migrate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := quiet(t)
			if _, _, err := postgres.Migrate(t.Context(), url, o); err != nil {
				t.Fatal(err)
			}
			exec(t, conn, fmt.Sprintf(c.change, o.Schema))
			s, err := postgres.Open(t.Context(), url, o)
			if s != nil {
				_ = s.Close()
			}
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, store.ErrFormat) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Open: %v; want ErrFormat, and that it says %q", err, c.want)
			}
		})
	}
}

// TestMigrationSQL_IsWhatMigrateDoes: people apply it by hand, or with tools of their own.
func TestMigrationSQL_IsWhatMigrateDoes(t *testing.T) {
	url, o := database(t), quiet(t)
	conn := admin(t, url)
	m, err := postgres.Status(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	for v := 1; v <= m.Wanted; v++ {
		text, err := postgres.MigrationSQL(v, o.Schema)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text, "duly.") {
			t.Errorf("version %d names the schema duly", v)
		}
		exec(t, conn, "begin;"+text+";commit")
	}
	other := quiet(t)
	if _, _, err := postgres.Migrate(t.Context(), url, other); err != nil {
		t.Fatal(err)
	}
	shape := func(schema string) (lines []string) {
		rows, err := conn.Query(t.Context(), `select table_name || ' ' || column_name || ' ' || data_type || ' ' || coalesce(replace(column_default, $1, ''), '-')
from information_schema.columns where table_schema = $1
union all select tablename || ' ' || replace(indexdef, $1 || '.', '') from pg_indexes where schemaname = $1 order by 1`, schema)
		if err != nil {
			t.Fatal(err)
		}
		lines, err = pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		return lines
	}
	a, b := shape(o.Schema), shape(other.Schema)
	if len(a) < 20 || strings.Join(a, "\n") != strings.Join(b, "\n") {
		t.Errorf("by hand:\n%s\nby Migrate:\n%s", strings.Join(a, "\n"), strings.Join(b, "\n"))
	}
	s := opened(t, url, o)
	if _, err := s.Put(t.Context(), []store.Put{plainPut("a")}); err != nil {
		t.Error(err)
	}
	if _, err := postgres.MigrationSQL(m.Wanted+1, ""); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a version that there is not: %v; want ErrInvalid", err)
	}
}

func plainPut(name string) store.Put {
	return store.Put{Key: store.Key{Name: name}, When: store.In(0, 0), Spec: store.Spec{Kind: "k", Schedule: "in 0s"}}
}

// TestRoles_LeastPrivilege holds what docs/operating-postgres.md says of roles: one that works on tasks needs no more than this, and one
// without it is told what is missing.
func TestRoles_LeastPrivilege(t *testing.T) {
	srv := pgtest.Shared(t)
	o := quiet(t)
	url := database(t)
	conn := admin(t, url)
	role := "worker_" + o.Schema
	exec(t, conn, "create role "+role+" login")
	t.Cleanup(func() {
		conn, err := pgx.Connect(context.WithoutCancel(t.Context()), url)
		if err == nil {
			_, _ = conn.PgConn().Exec(context.WithoutCancel(t.Context()), "drop owned by "+role+"; drop role "+role).ReadAll()
			_ = conn.Close(context.WithoutCancel(t.Context()))
		}
	})
	mine := as(t, srv.URL("postgres"), role)
	if _, err := postgres.Open(t.Context(), mine, o); !errors.Is(err, store.ErrFormat) || !strings.Contains(err.Error(), o.Schema) {
		t.Errorf("no schema and no right to make one: %v; want ErrFormat and its name", err)
	}
	if _, _, err := postgres.Migrate(t.Context(), url, o); err != nil {
		t.Fatal(err)
	}
	if _, err := postgres.Open(t.Context(), mine, o); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("no right to look: %v; want that permission is denied", err)
	}
	exec(t, conn, grants(o.Schema, role))
	s := opened(t, mine, o)
	use(t, s)
}

// grants are the rights of a role that works on tasks, as docs/operating-postgres.md has them.
func grants(schema, role string) string {
	return strings.NewReplacer("duly_worker", role, "schema duly", "schema "+schema).Replace(`grant usage on schema duly to duly_worker;
grant select, insert, update, delete on all tables in schema duly to duly_worker;
grant usage, select, update on all sequences in schema duly to duly_worker;`)
}

// as returns a connection string with another user.
func as(t *testing.T, url, role string) string {
	t.Helper()
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(url, cfg.User, role, 1)
}

// use does a bit of everything.
func use(t *testing.T, s *postgres.Store) {
	t.Helper()
	ctx := t.Context()
	res, err := s.Put(ctx, []store.Put{plainPut("a"), plainPut("b"), plainPut("c")})
	if err != nil {
		t.Fatal(err)
	}
	claims, err := s.Claim(ctx, []store.Claim{
		{RunID: store.RunID{Key: res[0].Task.Key, Generation: res[0].Task.Generation, For: res[0].Task.Next.For}, Lease: 1e9},
		{RunID: store.RunID{Key: res[1].Task.Key, Generation: res[1].Task.Generation, For: res[1].Task.Next.For}, Lease: 1e9},
	})
	if err != nil || claims[0].Err != nil || claims[1].Err != nil {
		t.Fatal(err, claims)
	}
	dead := store.Settlement{RunID: claims[0].RunID, Fence: claims[0].Fence, Verb: store.VerbSettle, State: store.Dead}
	done := store.Settlement{RunID: claims[1].RunID, Fence: claims[1].Fence, Verb: store.VerbSettle, State: store.Done}
	if set, err := s.Settle(ctx, []store.Settlement{dead, done}); err != nil || set[0].Err != nil || set[1].Err != nil {
		t.Fatal(err, set)
	}
	if _, err := s.Edit(ctx, []store.Edit{{Verb: store.VerbPause, Key: store.Key{Name: "c"}}}); err != nil {
		t.Error(err)
	}
	if err := s.SetNote(ctx, "n", "text"); err != nil {
		t.Error(err)
	}
	if n, err := s.Stats(ctx); err != nil || n != (store.Stats{Tasks: 1, Paused: 1, Dead: 1, History: 3}) {
		t.Errorf("Stats: %+v, %v", n, err)
	}
	if evs, err := s.History(ctx, store.HistoryQuery{}); err != nil || len(evs) != 3 {
		t.Errorf("History: %v, %v; want three entries", evs, err)
	}
	if _, err := s.Trim(ctx, store.Retention{MaxHistory: 1, DeadFrom: store.Never}); err != nil {
		t.Error(err)
	}
	if _, err := s.Clock(ctx); err != nil {
		t.Error(err)
	}
}

// TestPooler_Works: behind a pooler nothing of a session may be used, for the next transaction may be on another connection.
func TestPooler_Works(t *testing.T) {
	o := quiet(t)
	o.Pooler = true
	url, made := pgtest.Shared(t).Pooler(t, "postgres"), homes(t)
	use(t, opened(t, url, o))
	storetest.Scripts(t, storetest.Options{Shared: true, New: func(t testing.TB, clk clock.Clock) storetest.Home {
		t.Helper()
		h := made(t, clk)
		h.url, h.o.Pooler = url, true
		return h
	}})
}

// TestMigrate_AsTheOwner: who owns the schema need not be able to make one.
func TestMigrate_AsTheOwner(t *testing.T) {
	o, url := quiet(t), database(t)
	conn := admin(t, url)
	role := "owner_" + o.Schema
	exec(t, conn, "create role "+role+" login; create schema "+o.Schema+" authorization "+role)
	t.Cleanup(func() {
		conn, err := pgx.Connect(context.WithoutCancel(t.Context()), url)
		if err == nil {
			_, _ = conn.PgConn().Exec(context.WithoutCancel(t.Context()), "drop owned by "+role+" cascade; drop role "+role).ReadAll()
			_ = conn.Close(context.WithoutCancel(t.Context()))
		}
	})
	if _, after, err := postgres.Migrate(t.Context(), as(t, url, role), o); err != nil || after.Version != postgres.Wanted {
		t.Fatalf("Migrate: %+v, error %v", after, err)
	}
	use(t, opened(t, as(t, url, role), o))
}

// TestOpen_WhateverTheLevel: a database may have another isolation level than the usual by default.
func TestOpen_WhateverTheLevel(t *testing.T) {
	o, url := quiet(t), database(t)
	s := opened(t, url+"&default_transaction_isolation=serializable", o)
	exec(t, admin(t, url), strings.ReplaceAll(`create function x.usual() returns trigger language plpgsql as $$ begin
	if current_setting('transaction_isolation') <> 'read committed' then raise exception 'the level is %', current_setting('transaction_isolation'); end if;
	return new; end $$;
create trigger usual before insert or update on x.task for each row execute function x.usual();
create trigger usual before insert or update on x.raised for each row execute function x.usual();
truncate x.raised`, "x.", o.Schema+"."))
	use(t, s)
}
