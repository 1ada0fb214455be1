package clusterproof_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dulyhq/duly/internal/verdict"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/wait"
)

// churn does something again and again for a time, with a pause of up to twice that long in between, and returns how often it has.
func (f *fleet) churn(lasting, pause time.Duration, do func(conn *pgx.Conn) (int, error)) (n int) {
	f.t.Helper()
	conn, err := f.connect(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(f.t.Context())) }() // it was only read
	w := window{from: now()}
	for end := time.Now().Add(lasting); time.Now().Before(end); {
		done, err := do(conn)
		if err != nil {
			f.t.Fatal(err)
		}
		n += done
		f.rest(time.Duration(rand.Int64N(int64(2 * pause))))
	}
	w.to = now()
	f.windows = append(f.windows, w)
	return n
}

// terminated ends connections, whatever they are doing.
func terminated(t *testing.T, url string) {
	f := newFleet(t, url, orders{Producers: brief(3, 8)})
	for _, p := range f.startAll("a", "b", "c") {
		p.begin()
	}
	f.row.faults = f.churn(brief(3*time.Second, time.Minute), 50*time.Millisecond, func(conn *pgx.Conn) (n int, err error) {
		return n, conn.QueryRow(t.Context(), `select count(pg_terminate_backend(pid)) from (select pid from pg_stat_activity
where datname = current_database() and application_name like 'duly%' order by random() limit 1) x`).Scan(&n)
	})
	f.shared(3)
	f.rest(300 * time.Millisecond)
	f.finish()
}

// lostListener has no node keep a connection by which it hears of what others put, while others put.
func lostListener(t *testing.T, url string) {
	f := newFleet(t, url, orders{})
	f.startAll("a", "b")
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() { f.own.produce(ctx, 8, f.base.Seed) })
	f.row.faults = f.churn(brief(3*time.Second, 2*time.Minute), 30*time.Millisecond, func(conn *pgx.Conn) (n int, err error) {
		return n, conn.QueryRow(t.Context(), `select count(pg_terminate_backend(pid)) from pg_stat_activity
where datname = current_database() and application_name = 'duly listen'`).Scan(&n)
	})
	stop()
	all.Wait()
	f.windows = nil // no attempt was anybody's who lost his connection
	f.measures = f.punctual
	if f.row.faults == 0 {
		t.Error("nobody listened")
	}
	f.finish()
}

// lostHints has nobody hear of what another process puts: what it sends is lost on the way.
func lostHints(t *testing.T, url string) {
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	_, err = conn.Exec(t.Context(), `create schema deaf; create function deaf.pg_notify(text, text) returns text language sql as 'select null::text'`)
	if err := errors.Join(err, conn.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	f := newFleet(t, url+"&search_path=deaf,pg_catalog", orders{URL: url})
	f.startAll("a", "b")
	f.row.faults = 50
	f.measures = f.punctual
	if err := f.own.putMany(t.Context(), "unheard", f.row.faults, work{}, time.Second); err != nil {
		t.Fatal(err)
	}
	f.finish()
}

// punctual notes how long after it was due, and known to be accepted, the first attempt at each one-off began, and holds that to the sweep that
// comes every 30 seconds for what nobody was told of.
func (f *fleet) punctual(records []verdict.Record) {
	f.t.Helper()
	type generation struct {
		name string
		gen  int64
	}
	from, late := map[generation]int64{}, map[generation]time.Duration{}
	for i := range records {
		switch r := &records[i]; {
		case r.Op == verdict.Put && !r.Recurring:
			from[generation{r.Name, r.Generation}] = max(r.Due, r.At)
		case r.Op == verdict.Moved:
			from[generation{r.Name, r.Next}] = max(r.Due, r.At)
		default:
		}
	}
	for i := range records {
		r := &records[i]
		g := generation{r.Name, r.Generation}
		if r.Op != verdict.Begin || from[g] == 0 {
			continue
		}
		by := time.Duration(max(r.At-from[g], 0)) * time.Microsecond
		if was, ok := late[g]; !ok || by < was {
			late[g] = by
		}
	}
	all := slices.Collect(maps.Values(late))
	f.row.note = "one-offs began late by " + spread(all)
	if worst := quantile(all, 100); worst > 30*time.Second+patience/4 {
		f.t.Errorf("one-offs began late by %s", spread(all))
	}
}

// heldSnapshot has a transaction that sees the past keep the server from removing what was deleted, while tasks come and go.
func heldSnapshot(t *testing.T, url string) {
	f := newFleet(t, url, orders{NoSync: true})
	f.startAll("a", "b")
	conn, err := f.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }() // its transaction has written nothing
	if _, err := conn.Exec(t.Context(), "begin isolation level repeatable read; select count(*) from duly.task"); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	var near, whole []time.Duration
	all.Go(func() {
		if err := f.fetch(ctx, &near, &whole); err != nil {
			t.Error(err)
		}
	})
	f.row.faults = 1
	const rounds = 5
	each := brief(500, 20_000)
	for range rounds {
		f.all(fmt.Sprintf("bulk %d", each))
	}
	f.all("quiet")
	end := now()
	f.heal()
	stop()
	all.Wait()
	dead := f.count("select n_dead_tup from pg_stat_user_tables where schemaname = 'duly' and relname = 'task'")
	f.row.note = fmt.Sprintf("fetches of the near window %s, of all from the beginning %s, at the end over %d dead rows", spread(near), spread(whole), dead)
	if p99 := quantile(near, 99); p99 > brief(patience/4, 5*time.Second) { // a busy machine is slow at anything
		t.Errorf("what is due soon is read in %v at p99", p99)
	}
	f.drain()
	f.judge(end)
}

// fetch reads what is due as owners do, again and again until ctx ends: what is due soon, and all from the beginning.
func (f *fleet) fetch(ctx context.Context, near, whole *[]time.Duration) error {
	for i := 0; ; i++ {
		at := store.Instant(now())
		q := store.DueQuery{After: store.Cursor{At: at - 2_000_000}, Until: at + 1_500_000}
		to := near
		if i%2 == 1 {
			q.After, to = store.Cursor{At: store.Over}, whole
		}
		from := time.Now()
		_, err := f.st.Due(ctx, q)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // it is told to end
		case err != nil:
			return err
		}
		*to = append(*to, time.Since(from))
		if err := wait.Sleep(ctx, 20*time.Millisecond); err != nil {
			return nil //nolint:nilerr // it is told to end
		}
	}
}

// spread tells of times: the median, p99 and the worst.
func spread(all []time.Duration) string {
	if len(all) == 0 {
		return "none"
	}
	ms := func(percent int) string {
		return fmt.Sprintf("%.1f ms", float64(quantile(all, percent))/float64(time.Millisecond))
	}
	return fmt.Sprintf("p50 %s, p99 %s, worst %s", ms(50), ms(99), ms(100))
}

// quantile returns the time that so many percent do not exceed, 0 of none.
func quantile(all []time.Duration, percent int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(all))
	return s[min(len(s)*percent/100, len(s)-1)]
}
