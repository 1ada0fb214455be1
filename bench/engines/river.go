package engines

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// RiverOptions are the settings of River's. The zero ones are its defaults, with as many workers as it has no default for.
type RiverOptions struct {
	Workers     int           // jobs at a time; 0 is 100
	Cooldown    time.Duration // between two fetches
	Poll        time.Duration // between fetches that nothing asked for
	Connections int           // of the pool; 0 is pgxpool's default
	Unique      bool          // jobs are unique by their arguments
}

// River is River on PostgreSQL.
type River struct {
	pool   *pgxpool.Pool
	driver *riverpgxv5.Driver
	client *river.Client[pgx.Tx]
	worker *riverWorker
	unique bool
	jobs   []int64 // River's number of each task, by the task's
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

// OpenRiver connects to a server, and makes River's tables if they are not there.
func OpenRiver(address string, o RiverOptions) (*River, error) {
	ctx := context.Background()
	cfg, err := pgxpool.ParseConfig(address)
	if err != nil {
		return nil, err
	}
	if o.Connections > 0 {
		cfg.MaxConns = int32(o.Connections)
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	r := &River{pool: pool, driver: riverpgxv5.New(pool), worker: &riverWorker{}, unique: o.Unique}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	migrator, err := rivermigrate.New(r.driver, &rivermigrate.Config{Logger: log})
	if err == nil {
		_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	}
	workers := river.NewWorkers()
	if err == nil {
		err = river.AddWorkerSafely(workers, r.worker)
	}
	if err == nil {
		r.client, err = river.NewClient(r.driver, &river.Config{
			Logger: log, Workers: workers, FetchCooldown: o.Cooldown, FetchPollInterval: o.Poll,
			Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: cmp.Or(o.Workers, 100)}},
		})
	}
	if err != nil {
		pool.Close()
		return nil, err
	}
	return r, nil
}

// job has no instant if that is past: one that has is looked at by River's scheduler first, which others need not wait for.
func (r *River) job(t Task) (riverArgs, *river.InsertOpts) {
	o := &river.InsertOpts{}
	if t.Due.After(time.Now()) {
		o.ScheduledAt = t.Due
	}
	if r.unique {
		o.UniqueOpts.ByArgs = true
	}
	return riverArgs{ID: t.ID, Text: string(t.Payload()[8:])}, o
}

// Put inserts by COPY, or, where jobs are unique, by InsertMany.
func (r *River) Put(ctx context.Context, tasks []Task) (err error) {
	params := make([]river.InsertManyParams, len(tasks))
	for i, t := range tasks {
		params[i].Args, params[i].InsertOpts = r.job(t)
	}
	if r.unique {
		_, err = r.client.InsertMany(ctx, params)
		return err
	}
	_, err = r.client.InsertManyFast(ctx, params)
	return err
}

// PutOne inserts as a request does.
func (r *River) PutOne(ctx context.Context, t Task) error {
	args, opts := r.job(t)
	_, err := r.client.Insert(ctx, args, opts)
	return err
}

// Number reads River's numbers of n tasks, because a job is cancelled by its number.
func (r *River) Number(ctx context.Context, n int) error {
	r.jobs = make([]int64, n)
	rows, err := r.pool.Query(ctx, "select id, (args->>'id')::bigint from river_job")
	if err != nil {
		return err
	}
	var job, id int64
	_, err = pgx.ForEachRow(rows, []any{&job, &id}, func() error {
		if id < 0 || id >= int64(n) {
			return fmt.Errorf("job %d is of task %d, want one of %d", job, id, n)
		}
		r.jobs[id] = job
		return nil
	})
	return err
}

// CancelOne cancels a task by the number that Number has read.
func (r *River) CancelOne(ctx context.Context, t Task) error {
	job, err := r.client.JobCancel(ctx, r.jobs[t.ID])
	if err == nil && job.FinalizedAt == nil {
		err = fmt.Errorf("cancel job %d: it is %s", job.ID, job.State)
	}
	return err
}

// Finish makes all that is there look as if it had been worked, by one statement.
func (r *River) Finish(ctx context.Context) error {
	_, err := r.pool.Exec(ctx, "update river_job set state = 'completed', finalized_at = now()")
	return err
}

// Fetch claims up to most jobs, as a producer does, and returns how many.
func (r *River) Fetch(ctx context.Context, most int) (int, error) {
	res, err := r.driver.GetExecutor().JobGetAvailable(ctx, &riverdriver.JobGetAvailableParams{
		ClientID: "bench", MaxAttemptedBy: 100, MaxToLock: most, Queue: river.QueueDefault,
	})
	if err != nil {
		return 0, err
	}
	return len(res.Jobs), nil
}

// Run starts what is due, from now on, and returns. It calls begun first of all in every attempt.
func (r *River) Run(begun func(id uint64)) error {
	r.worker.begun = begun
	return r.client.Start(context.Background())
}

// Left counts the tasks that have not been done.
func (r *River) Left(ctx context.Context) (n int, err error) {
	err = r.pool.QueryRow(ctx, "select count(*) from river_job where finalized_at is null").Scan(&n)
	return n, err
}

// Close ends it when no attempt runs any more.
func (r *River) Close() error {
	defer r.pool.Close()
	return r.client.Stop(context.Background())
}
