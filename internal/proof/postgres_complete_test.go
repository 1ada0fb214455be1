package proof_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/pgtest"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/postgres"
)

// An application that completes its attempt in the transaction that writes what it has done has either both or neither.
//
// contract: A2
func TestComplete_IsPartOfTheTransaction(t *testing.T) {
	url := pgtest.Shared(t).Database(t)
	quiet := slog.New(slog.DiscardHandler)
	s, err := postgres.Open(t.Context(), url, postgres.Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), "create table sent (attempt int not null)"); err != nil {
		t.Fatal(err)
	}
	d, err := duly.New(duly.Options{Store: s, Owner: "me", Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	errLost := errors.New("the transaction is rolled back")
	ended := make(chan error, 10)
	mail := duly.Handle(d, "mail", func(ctx context.Context, a *duly.Attempt[string]) error {
		err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { // one attempt at a time
			if _, err := tx.Exec(ctx, "insert into sent values ($1)", a.Number); err != nil {
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
	retry := duly.Retry(duly.RetryPolicy{Attempts: 2, Backoff: time.Millisecond})
	if _, err := mail.Put(t.Context(), "a", "hello", schedule.After(0), retry); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the second attempt: %v", err)
	}
	if err := errors.Join(d.Close(t.Context()), <-works); err != nil {
		t.Error(err)
	}
	events, err := s.History(t.Context(), store.HistoryQuery{Key: store.Key{Name: "a"}})
	if err != nil || len(events) != 2 || events[0].To != store.Pending || events[1].To != store.Done {
		t.Errorf("history %+v, error %v; want one attempt that was tried again, and one that was done", events, err)
	}
	var n, attempt int
	if err := conn.QueryRow(t.Context(), "select count(*), max(attempt) from sent").Scan(&n, &attempt); err != nil {
		t.Fatal(err)
	}
	if n != 1 || attempt != 2 {
		t.Errorf("the application has %d rows, of attempt %d; want one, of the second attempt", n, attempt)
	}
}
