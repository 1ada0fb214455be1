package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/internal/contract"
	"github.com/dulyhq/duly/internal/pgtest"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/postgres"
	"github.com/dulyhq/duly/store/storetest"
)

// A bubbled home is a schema whose stores live in a testing/synctest bubble. A goroutine that waits for a server is not durably blocked there,
// so that nobody may wait for what may never come: nobody listens to what others write, and what tells what others do is left out.
type bubbled struct {
	t   testing.TB
	url string
	o   postgres.Options
	s   *postgres.Store
}

// whole is a store that belongs to its process whole: it gives hints and keeps notes, and divides nothing.
type whole struct {
	store.Store
	store.Noter
	hints func() (<-chan store.Hint, func())
}

// Hints implements store.Hinter.
func (w whole) Hints() (hints <-chan store.Hint, stop func()) { return w.hints() }

// Open opens the store. What ran in the process before it has nobody any more, which the heartbeats of processes tell elsewhere.
func (h *bubbled) Open() (store.Store, error) {
	ctx := context.WithoutCancel(h.t.Context()) // the store is closed by the test, not by the end of its context
	s, err := postgres.Open(ctx, h.url, h.o)
	if err != nil {
		return nil, err
	}
	h.s = s
	return whole{s, s, s.HintsHere}, s.EndLeases(ctx)
}

// Kill is the death of the process: its connections break, and what the server was given stays.
func (h *bubbled) Kill() { h.s.Kill() }

// TestDuly holds duly on this store to the durable contract, each rule by the cases that name it.
//
// contract: A1, A3, A4, A5, A6, A7, B1, B2, B3, B4, C1, C2, C3, C4, C5, C6, D1, D2, D3, D4, D5, D6, E1, E2, E3, E4, E5, F1, F2, F3, G1, G2, G3.
// contract: G4, G5, H1, H2, H3, I1, I2, I3, J1, J2, J3, K1, K2.
func TestDuly(t *testing.T) {
	url := pgtest.Shared(t).Database(t) // outside of the bubbles, and dropped with all schemas in it
	n := 0
	contract.Run(t, contract.Options{Shared: true, New: func(t testing.TB, clk clock.Clock) storetest.Home {
		t.Helper()
		n++
		h := &bubbled{t: t, url: url, o: postgres.Options{
			Schema: fmt.Sprint("case", n), Clock: clk, Logger: slog.New(slog.DiscardHandler),
		}}
		t.Cleanup(func() {
			if h.s != nil {
				_ = h.s.Close() // mostly it was closed
			}
		})
		return h
	}})
}

// An application that completes its attempt in the transaction that writes what it has done has either both or neither.
//
// contract: A2
func TestDuly_CompletesInATransaction(t *testing.T) {
	o := quiet(t)
	url := database(t)
	s := opened(t, url, o)
	exec(t, admin(t, url), "create table "+o.Schema+".sent (run text not null, attempt int not null)")
	d, err := duly.New(duly.Options{Store: s, Owner: "me", Logger: o.Logger})
	if err != nil {
		t.Fatal(err)
	}
	errLost := errors.New("the transaction is rolled back")
	ended := make(chan error, 1)
	mail := duly.Handle(d, "mail", func(ctx context.Context, a *duly.Attempt[string]) error {
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close(ctx) }()
		err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "insert into "+o.Schema+".sent values ($1, $2)", a.RunID, a.Number); err != nil {
				return err
			}
			if err := a.Complete(ctx, tx); err != nil {
				return err
			}
			if a.Number == 1 {
				return errLost
			}
			return nil
		})
		if a.Number > 1 {
			ended <- err
		}
		return err
	})
	works := make(chan error, 1)
	go func() { works <- d.Run(context.WithoutCancel(t.Context())) }()
	if _, err := mail.Put(t.Context(), "a", "hello", schedule.After(0), duly.Retry(duly.RetryPolicy{Attempts: 2, Backoff: time.Millisecond})); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the second attempt: %v", err)
	}
	if err := d.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-works; err != nil {
		t.Error(err)
	}
	if got := movesOf(t, s, "a"); got != "running>pending retry, running>done settle" {
		t.Errorf("the history is %q, want one attempt that was tried again, and one that was done", got)
	}
	var n, attempt int
	conn := admin(t, url)
	if err := conn.QueryRow(t.Context(), "select count(*), max(attempt) from "+o.Schema+".sent").Scan(&n, &attempt); err != nil {
		t.Fatal(err)
	}
	if n != 1 || attempt != 2 {
		t.Errorf("the application has %d rows, of attempt %d; want one, of the second attempt", n, attempt)
	}
}
