package postgres_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/internal/pgtest"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/postgres"
	"github.com/dulyhq/duly/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var schemas atomic.Int64

// home is a schema of its own in a database that tests share, as a new one.
type home struct {
	t   testing.TB
	url string
	o   postgres.Options
	s   *postgres.Store
}

// homes returns what makes homes for a test and those below it.
func homes(t testing.TB) func(t testing.TB, clk clock.Clock) *home {
	t.Helper()
	url, quiet := database(t), slog.New(slog.DiscardHandler)
	all := pgtest.Shared(t).Schemas(t, "postgres", func(schema string) error {
		_, _, err := postgres.Migrate(t.Context(), url, postgres.Options{Schema: schema, Logger: quiet})
		return err
	})
	return func(t testing.TB, clk clock.Clock) *home {
		t.Helper()
		h := &home{t: t, url: url, o: postgres.Options{Schema: all.Get(t), Clock: clk, Logger: quiet}}
		t.Cleanup(h.end)
		return h
	}
}

// database returns a connection string to the database that the tests of this process share.
func database(t testing.TB) string {
	t.Helper()
	return pgtest.Shared(t).Keeper(t, "postgres")
}

func drop(t testing.TB, url, schema string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // that has ended when the test is cleaned up
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Logf("schema %s is left: %v", schema, err)
		return
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, "drop schema if exists "+pgx.Identifier{schema}.Sanitize()+" cascade"); err != nil {
		t.Logf("schema %s is left: %v", schema, err)
	}
}

func (h *home) Open() (store.Store, error) {
	s, err := postgres.Open(h.t.Context(), h.url, h.o)
	if err != nil {
		return nil, err
	}
	h.s = s
	return s, nil
}

// Kill is the death of the process: its connections break, and what the server was given stays.
func (h *home) Kill() {
	h.s.Kill()
	h.s = nil
}

func (h *home) end() {
	if h.s != nil {
		_ = h.s.Close() // mostly it was closed
		h.s = nil
	}
}

func options(t *testing.T) storetest.Options {
	t.Helper()
	made := homes(t)
	return storetest.Options{Shared: true, New: func(t testing.TB, clk clock.Clock) storetest.Home {
		t.Helper()
		return made(t, clk)
	}}
}

func TestContract(t *testing.T) { storetest.Run(t, options(t)) }

func TestScripts(t *testing.T) { storetest.Scripts(t, options(t)) }

func TestModel(t *testing.T) { storetest.Model(t, options(t)) }

func TestHistories(t *testing.T) { storetest.Histories(t, options(t)) }
