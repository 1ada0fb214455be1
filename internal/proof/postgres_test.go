package proof_test

import (
	"context"
	"encoding/binary"
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/internal/contract"
	"github.com/dulyhq/duly/internal/pgtest"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/postgres"
	"github.com/dulyhq/duly/store/storetest"
)

// A schemaHome is a schema whose stores live in a testing/synctest bubble. A goroutine that waits for a server is not durably blocked there,
// so that nobody may wait for what may never come: nobody listens to what others write, and what tells what others do is left out.
type schemaHome struct {
	t   testing.TB
	url string
	o   postgres.Options
	s   *postgres.Store
}

func (h *schemaHome) Open() (store.Store, error) {
	ctx := context.WithoutCancel(h.t.Context()) // the store is closed by the test, not by the end of its context
	s, err := postgres.Open(ctx, h.url, h.o)
	if err != nil {
		return nil, err
	}
	h.s = s
	return &whole{Store: s, Noter: s}, h.endLeases(ctx)
}

// Kill is the death of the process: the store keeps nothing in it.
func (h *schemaHome) Kill() { _ = h.s.Close() }

// endLeases ends the leases of all attempts, as the heartbeats of processes do with those of one that is gone: by a clock that stands still
// they can't be told from the attempts of the process that has its name now. They are behind what else is in a row, a varint each.
func (h *schemaHome) endLeases(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, h.url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, "select ns, name, running, body from "+h.o.Schema+".task where running > 0")
	if err != nil {
		return err
	}
	var writes pgx.Batch
	var ns, name string
	var running int
	var body []byte
	_, err = pgx.ForEachRow(rows, []any{&ns, &name, &running, &body}, func() error {
		end := len(body)
		for range running {
			for end--; end > 0 && body[end-1] >= 0x80; end-- { // all bytes of a varint but the last
			}
		}
		b := append([]byte(nil), body[:end]...)
		for range running {
			b = binary.AppendVarint(b, int64(store.Over))
		}
		writes.Queue("update "+h.o.Schema+".task set body = $3 where ns = $1 and name = $2", ns, name, b)
		return nil
	})
	if err != nil {
		return err
	}
	return conn.SendBatch(ctx, &writes).Close()
}

// whole is a store that belongs to its process whole: it keeps notes, gives hints of what is written here, and divides nothing.
type whole struct {
	store.Store
	store.Noter
	listeners store.Listeners
}

// Hints implements store.Hinter.
func (w *whole) Hints() (hints <-chan store.Hint, stop func()) { return w.listeners.Hints() }

// Close implements store.Store.
func (w *whole) Close() error {
	w.listeners.Close()
	return w.Store.Close()
}

// told tells where the tasks of an answer stand now. A claim moves none.
func told[R any](w *whole, res []R, err error, task func(r *R) *store.Task) ([]R, error) {
	h := store.Hint{At: store.Never}
	for i := range res {
		if t := task(&res[i]); t != nil {
			h.At = min(h.At, t.Position())
			h.Shards.Add(t.Shard())
		}
	}
	w.listeners.Tell(h)
	return res, err
}

func (w *whole) Put(ctx context.Context, puts []store.Put) ([]store.PutResult, error) {
	res, err := w.Store.Put(ctx, puts)
	return told(w, res, err, func(r *store.PutResult) *store.Task { return r.Task })
}

func (w *whole) Cancel(ctx context.Context, cancels []store.Cancel) ([]store.CancelResult, error) {
	res, err := w.Store.Cancel(ctx, cancels)
	return told(w, res, err, func(r *store.CancelResult) *store.Task { return r.Task })
}

func (w *whole) Edit(ctx context.Context, edits []store.Edit) ([]store.EditResult, error) {
	res, err := w.Store.Edit(ctx, edits)
	return told(w, res, err, func(r *store.EditResult) *store.Task { return r.Task })
}

func (w *whole) Settle(ctx context.Context, settlements []store.Settlement) ([]store.SettleResult, error) {
	res, err := w.Store.Settle(ctx, settlements)
	return told(w, res, err, func(r *store.SettleResult) *store.Task { return r.Task })
}

// TestContract_PostgreSQL holds duly on a PostgreSQL database to the durable contract, each rule by the cases that name it.
//
// contract: A1, A3, A4, A5, A6, A7, B1, B2, B3, B4, C1, C2, C3, C4, C5, C6, D1, D2, D3, D4, D5, D6, E1, E2, E3, E4, E5, F1, F2, F3, G1, G2, G3.
// contract: G4, G5, H1, H2, H3, I1, I2, I3, J1, J2, J3, K1, K2.
func TestContract_PostgreSQL(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Keeper(t, "postgres") // outside of the bubbles
	options := func(schema string) postgres.Options {
		return postgres.Options{Schema: schema, Logger: slog.New(slog.DiscardHandler)}
	}
	schemas := server.Schemas(t, "postgres", func(schema string) error {
		_, _, err := postgres.Migrate(context.WithoutCancel(t.Context()), url, options(schema))
		return err
	})
	contract.Run(t, contract.Options{Shared: true, New: func(t testing.TB, clk clock.Clock) storetest.Home {
		t.Helper()
		h := &schemaHome{t: t, url: url, o: options(schemas.Get(t))}
		h.o.Clock = clk
		t.Cleanup(func() {
			if h.s != nil {
				_ = h.s.Close() // mostly it was closed
			}
		})
		return h
	}})
}
