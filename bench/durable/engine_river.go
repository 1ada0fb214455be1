package main

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// riverWorkers is how many jobs River may work at a time: the one setting that it has no default for.
const riverWorkers = 100

// riverEngine is River with its defaults.
type riverEngine struct {
	pool   *pgxpool.Pool
	client *river.Client[pgx.Tx]
	worker *riverWorker
}

type riverArgs struct {
	ID   uint64 `json:"id"`
	Text string `json:"text"`
}

// Kind implements river.JobArgs.
func (riverArgs) Kind() string { return "remind" }

type riverWorker struct {
	river.WorkerDefaults[riverArgs]

	begun func(id uint64)
}

// Work implements river.Worker.
func (w *riverWorker) Work(_ context.Context, job *river.Job[riverArgs]) error {
	w.begun(job.Args.ID)
	return nil
}

func openRiver(address string) (engine, error) {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, address)
	if err != nil {
		return nil, err
	}
	driver := riverpgxv5.New(pool)
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: log})
	if err != nil {
		return nil, err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return nil, err
	}
	r := &riverEngine{pool: pool, worker: &riverWorker{}}
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, r.worker); err != nil {
		return nil, err
	}
	r.client, err = river.NewClient(driver, &river.Config{
		Logger: log, Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: riverWorkers}}, Workers: workers,
	})
	return r, err
}

// put uses COPY.
func (r *riverEngine) put(ctx context.Context, tasks []task) error {
	params := make([]river.InsertManyParams, len(tasks))
	for i, t := range tasks {
		params[i] = river.InsertManyParams{
			Args: riverArgs{ID: t.id, Text: string(t.payload()[8:])}, InsertOpts: &river.InsertOpts{ScheduledAt: t.due},
		}
	}
	_, err := r.client.InsertManyFast(ctx, params)
	return err
}

func (r *riverEngine) run(begun func(id uint64)) error {
	r.worker.begun = begun
	return r.client.Start(context.Background())
}

func (r *riverEngine) left(ctx context.Context) (n int, err error) {
	err = r.pool.QueryRow(ctx, "select count(*) from river_job where finalized_at is null").Scan(&n)
	return n, err
}

func (r *riverEngine) close() error {
	defer r.pool.Close()
	return errors.Join(r.client.Stop(context.Background()))
}
