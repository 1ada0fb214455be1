package main

import (
	"bufio"
	"context"
	"errors"
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dulyhq/duly/bench/engines"
	"github.com/dulyhq/duly/bench/figures"
	"github.com/dulyhq/duly/bench/runs"
	"github.com/dulyhq/duly/store"
)

// workIdle counts what a node asks the server that has nothing to do.
func workIdle(c *cell) values {
	n, eng := c.spec.N, c.open()
	fill(eng, n, spread(n, time.Now().Add(day)))
	warm, length := 12*time.Second, 30*time.Second
	if c.spec.Quick {
		warm, length = 500*time.Millisecond, 2*time.Second
	}
	runs.Must("run", eng.Run(func(uint64) { runs.Must("run", errors.New("a task began a day early")) }))
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, c.spec.Server+" dbname=postgres") // what asks here is not counted there
	runs.Must("connect", err)
	time.Sleep(warm)
	first, before := c.counted(ctx, conn), c.meter()
	time.Sleep(length)
	last, after := c.counted(ctx, conn), c.meter()
	spent := after.client.Since(before.client)
	runs.Must("hang up", conn.Close(ctx))
	percent := func(d time.Duration) float64 { return 100 * d.Seconds() / spent.Wall.Seconds() }
	return there(eng, values{
		keyStmts: float64(last.stmts-first.stmts) / spent.Wall.Seconds(), keyXacts: float64(last.xacts-first.xacts) / spent.Wall.Seconds(),
		keyIdle: percent(spent.CPU), keyServes: percent(after.server - before.server),
	}, n)
}

// asked is how often the server was asked something in the sample's database.
type asked struct{ stmts, xacts int64 }

// executed is in the log, once for each statement that was executed.
var executed = regexp.MustCompile(`LOG:  duration: [0-9.]+ ms  (execute|statement)`)

func (c *cell) counted(ctx context.Context, conn *pgx.Conn) (a asked) {
	runs.Must("count transactions", conn.QueryRow(ctx, "select xact_commit + xact_rollback from pg_stat_database where datname = $1", c.spec.Database).Scan(&a.xacts))
	f, err := os.Open(c.spec.Log)
	runs.Must("read the server's log", err)
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		if executed.Match(lines.Bytes()) {
			a.stmts++
		}
	}
	runs.Must("read the server's log", errors.Join(lines.Err(), f.Close()))
	return a
}

// Of the line snapshot: tasks that are not dead, and over how long they come due.
const (
	liveTasks = 4000
	liveFor   = 8 * time.Second
	liveJobs  = 20_000
	fetchJobs = 100
)

// workSnapshot measures how long a node takes to read what is due soon, while the server has to keep rows that are dead.
func workSnapshot(c *cell) values {
	conn, err := pgx.Connect(context.Background(), c.spec.address())
	runs.Must("connect", err)
	var v values
	if c.eng.name == engineDuly {
		v = c.fetchDuly(conn)
	} else {
		v = c.fetchRiver(conn)
	}
	runs.Must("hang up", conn.Close(context.Background()))
	return v
}

// hold begins a transaction that sees the database as it is now, and stays open.
func hold(conn *pgx.Conn) {
	ctx := context.Background()
	for _, sql := range []string{"begin isolation level repeatable read", "select count(*) from pg_class"} {
		_, err := conn.Exec(ctx, sql)
		runs.Must("hold a snapshot", err)
	}
}

func (c *cell) fetchDuly(conn *pgx.Conn) values {
	ctx := context.Background()
	st, eng, err := openDuly(c.spec.address())
	runs.Must("open", err)
	hold(conn)
	n := c.spec.N
	dead := spread(n, time.Now().Add(-day))
	fill(eng, n, dead)
	runs.Must("finish", engines.Batches(n, putters, dead, func(tasks []engines.Task) error { return eng.Finish(ctx, tasks) }))
	from := time.Now().Add(time.Hour)
	fill(eng, liveTasks, func(i int) engines.Task {
		return engines.Task{ID: uint64(n + i), Due: from.Add(time.Duration(engines.Shuffled(i, liveTasks)) * liveFor / liveTasks)}
	})
	const page = 512
	at := store.Instant(from.UnixMicro())
	near, all := 1000, 20
	if c.spec.Quick {
		near, all = 20, 2
	}
	v := values{}
	read := timed(near, func(i int) {
		after := at.Add(time.Duration(i%4) * time.Second)
		p, err := st.Due(ctx, store.DueQuery{After: store.Cursor{At: after}, Until: after.Add(liveFor / 2), Limit: page})
		runs.Must("read what is due soon", err)
		if len(p.Tasks) != page {
			runs.Must("read what is due soon", errors.New("tasks are missing"))
		}
	})
	v[keyFetch50], v[keyFetch99] = figures.Millis(figures.Quantile(read, 0.5)), figures.Millis(figures.Quantile(read, 0.99))
	read = timed(all, func(int) {
		p, err := st.Due(ctx, store.DueQuery{Until: at.Add(liveFor), Limit: page})
		runs.Must("read from the beginning", err)
		if len(p.Tasks) != page {
			runs.Must("read from the beginning", errors.New("tasks are missing"))
		}
	})
	v[keyAll50] = figures.Millis(figures.Quantile(read, 0.5))
	return there(eng, v, liveTasks)
}

func (c *cell) fetchRiver(conn *pgx.Conn) values {
	ctx := context.Background()
	r, err := engines.OpenRiver(c.spec.address(), engines.RiverOptions{})
	runs.Must("open", err)
	hold(conn)
	n := c.spec.N
	past := time.Now().Add(-day)
	fill(r, n, spread(n, past))
	runs.Must("finish", r.Finish(ctx))
	jobs, times := liveJobs, liveJobs/fetchJobs
	if c.spec.Quick {
		jobs, times = 10*fetchJobs, 10
	}
	fill(r, jobs, func(i int) engines.Task { return engines.Task{ID: uint64(n + i), Due: past.Add(time.Hour)} })
	read := timed(times, func(int) {
		got, err := r.Fetch(ctx, fetchJobs)
		runs.Must("fetch", err)
		if got != fetchJobs {
			runs.Must("fetch", errors.New("jobs are missing"))
		}
	})
	v := values{keyFetch50: figures.Millis(figures.Quantile(read, 0.5)), keyFetch99: figures.Millis(figures.Quantile(read, 0.99))}
	return there(r, v, jobs)
}

// timed does something so many times and returns how long each took, sorted.
func timed(times int, do func(i int)) []time.Duration {
	took := make([]time.Duration, times)
	for i := range took {
		began := time.Now()
		do(i)
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	return took
}
