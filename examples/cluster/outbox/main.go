// An outbox in the business's own transaction: a letter is sent if and only if its order was committed. Two processes send; one of them is
// killed in the middle, and the other goes on with what it had begun.
//
//	go run ./examples/cluster/outbox -db postgres://localhost/postgres
//
// It works in a schema of its own, which is gone when it has ended.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store/postgres"
)

func main() {
	db := flag.String("db", os.Getenv("DATABASE_URL"), "the connection string of a PostgreSQL `database`")
	works := flag.Bool("work", false, "send letters until interrupted: this program starts itself so, twice")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	switch {
	case *db == "":
		err = errors.New("say which database: -db postgres://localhost/postgres")
	case *works:
		err = work(ctx, *db)
	default:
		err = sell(ctx, *db, os.Stdout)
	}
	if err != nil {
		log.Fatal(err) //nolint:gocritic // nothing is left to be undone
	}
}

const schema = "duly_outbox"

// A letter is what is to be sent.
type letter struct{ Order int }

// open opens the tasks, and tells a scheduler how letters are sent.
func open(ctx context.Context, db string, pool *pgxpool.Pool) (*postgres.Store, *duly.Scheduler, *duly.Kind[letter], error) {
	st, err := postgres.Open(ctx, db, postgres.Options{Schema: schema})
	if err != nil {
		return nil, nil, nil, err
	}
	d, err := duly.New(duly.Options{Store: st, Workers: 1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, nil, nil, err
	}
	return st, d, duly.Handle(d, "letter", func(ctx context.Context, a *duly.Attempt[letter]) error {
		tx, err := pool.Begin(ctx)
		if err != nil {
			return err
		}
		defer tx.Rollback(ctx) //nolint:errcheck // after the commit it does nothing
		if _, err := tx.Exec(ctx, "insert into duly_outbox.sent (number, process) values ($1, $2)", a.Payload.Order, os.Getpid()); err != nil {
			return err
		}
		if err := a.Complete(ctx, tx); err != nil { // the letter is sent and the task done, or neither
			return err
		}
		time.Sleep(20 * time.Millisecond) // the stamp
		return tx.Commit(ctx)
	}), nil
}

// work sends letters.
func work(ctx context.Context, db string) error {
	pool, err := pgxpool.New(ctx, db)
	if err != nil {
		return err
	}
	defer pool.Close()
	st, d, _, err := open(ctx, db, pool)
	if err != nil {
		return err
	}
	defer st.Close() //nolint:errcheck // what was written is committed
	return d.Run(ctx)
}

const orders = 60

// sell takes orders, while two processes send letters.
func sell(ctx context.Context, db string, w io.Writer) (err error) {
	out := log.New(w, "", 0)
	pool, err := pgxpool.New(ctx, db)
	if err != nil {
		return err
	}
	defer pool.Close()
	st, _, letters, err := open(ctx, db, pool)
	if err != nil {
		return err
	}
	defer st.Close() //nolint:errcheck // what was written is committed
	defer func() {
		_, derr := pool.Exec(context.WithoutCancel(ctx), "drop schema duly_outbox cascade")
		err = errors.Join(err, derr)
	}()
	_, err = pool.Exec(ctx, `create table duly_outbox.orders (number int primary key);
create table duly_outbox.sent (number int primary key references duly_outbox.orders, process int not null)`)
	if err != nil {
		return err
	}
	var workers [2]*exec.Cmd
	for i := range workers {
		if workers[i], err = start(db); err != nil {
			return err
		}
		defer workers[i].Wait()         //nolint:errcheck // it was killed
		defer workers[i].Process.Kill() //nolint:errcheck // or it has ended
	}

	for n := range orders {
		if err := order(ctx, pool, letters, n, n%10 == 9); err != nil {
			return err
		}
	}
	out.Printf("%d orders taken, every tenth of them was rolled back", orders)
	first := workers[0].Process.Pid
	if err := until(ctx, pool, "select count(*) >= 5 from duly_outbox.sent where process = $1", first); err != nil {
		return err
	}
	if err := workers[0].Process.Kill(); err != nil {
		return err
	}
	out.Print("one of the two processes is killed")
	if err := until(ctx, pool, "select count(*) = $1 from duly_outbox.sent", orders-orders/10); err != nil {
		return err
	}
	return report(ctx, pool, out)
}

func start(db string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "-work") //nolint:noctx // it is this program, and is killed below
	cmd.Env = append(os.Environ(), "DATABASE_URL="+db)
	cmd.Stderr = os.Stderr
	return cmd, cmd.Start()
}

// order takes an order: the business's row and the letter, in one transaction.
func order(ctx context.Context, pool *pgxpool.Pool, letters *duly.Kind[letter], number int, refused bool) error {
	tx, err := pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx) //nolint:errcheck // after the commit it does nothing
	if _, err := tx.Exec(ctx, "insert into duly_outbox.orders (number) values ($1)", number); err != nil {
		return err
	}
	if _, err := letters.PutTx(ctx, tx, fmt.Sprintf("order-%d", number), letter{number}, schedule.After(0)); err != nil {
		return err
	}
	if refused { // the card was: there is no order, and no letter
		return tx.Rollback(ctx)
	}
	return tx.Commit(ctx)
}

// until asks until the answer is yes.
func until(ctx context.Context, pool *pgxpool.Pool, question string, arg any) error {
	for {
		var yes bool
		if err := pool.QueryRow(ctx, question, arg).Scan(&yes); err != nil || yes {
			return err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func report(ctx context.Context, pool *pgxpool.Pool, out *log.Logger) error {
	rows, err := pool.Query(ctx, "select count(*) from duly_outbox.sent group by process order by 1")
	if err != nil {
		return err
	}
	counts, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return err
	}
	sent := 0
	for _, n := range counts {
		sent += n
	}
	out.Printf("%d letters sent, each once, by %d processes", sent, len(counts))
	return nil
}
