package postgres_test

import (
	"context"
	"fmt"
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

// home is a schema of its own in a database that tests share.
type home struct {
	t   testing.TB
	url string
	o   postgres.Options
	s   *postgres.Store
}

func newHome(t testing.TB, clk clock.Clock) storetest.Home {
	t.Helper()
	h := &home{t: t, url: database(t), o: postgres.Options{
		Schema: fmt.Sprintf("t%d", schemas.Add(1)), Clock: clk, Logger: slog.New(slog.DiscardHandler),
	}}
	t.Cleanup(func() {
		h.end()
		drop(t, h.url, h.o.Schema)
	})
	return h
}

// database returns a connection string to the database that the tests of this process share.
func database(t testing.TB) string {
	t.Helper()
	return pgtest.Shared(t).URL("postgres")
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

func options() storetest.Options { return storetest.Options{New: newHome, Shared: true} }

func TestContract(t *testing.T) { storetest.Run(t, options()) }

func TestScripts(t *testing.T) { storetest.Scripts(t, options()) }

func TestModel(t *testing.T) { storetest.Model(t, options()) }

func TestHistories(t *testing.T) { storetest.Histories(t, options()) }
