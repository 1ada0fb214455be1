package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"runtime"
	"sync"

	_ "modernc.org/sqlite" // the driver
)

// sqlite has the obvious schema. One goroutine writes: it puts the calls that wait into one transaction, as ours does, with
// prepared statements. The history is appended, without the index by name that ours has.
type sqlite struct {
	db            *sql.DB
	write, read   *sql.Conn
	begin, commit *sql.Stmt
	upsert, take  *sql.Stmt
	end, note     *sql.Stmt
	page          *sql.Stmt
	seq           int64 // generations and fences; the writer's
	jobs          chan job
	writer        sync.WaitGroup
	after         ref
}

type job struct {
	run  func() error
	done chan error
}

var sqliteSchema = []string{
	`create table if not exists task (name text primary key, due integer, gen integer, state integer, fence integer,
		lease integer, owner text, kind text, schedule text, payload blob)`,
	`create index if not exists task_due on task (due)`,
	`create table if not exists history (seq integer primary key, at integer, name text, kind text, gen integer, due integer,
		state integer, fence integer, owner text)`,
}

// sqliteSettings: every commit is synced. The cache is larger than ours, and checkpoints are rarer than by default, so that a page
// that changes often is written back seldom: both in its favour.
const sqliteSettings = "?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=cache_size(-131072)" +
	"&_pragma=wal_autocheckpoint(16384)&_pragma=busy_timeout(10000)"

func openSQLite(dir string, o openOptions) (_ engine, err error) {
	s := &sqlite{jobs: make(chan job, max(o.callers, 1))}
	if s.db, err = sql.Open("sqlite", "file:"+filepath.Join(dir, "sqlite.db")+sqliteSettings); err != nil {
		return nil, err
	}
	ctx := context.Background()
	for _, c := range []**sql.Conn{&s.write, &s.read} {
		if *c, err = s.db.Conn(ctx); err != nil {
			return nil, errors.Join(err, s.db.Close())
		}
	}
	for _, text := range sqliteSchema {
		if _, err := s.write.ExecContext(ctx, text); err != nil {
			return nil, errors.Join(err, s.db.Close())
		}
	}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	s.writer.Go(s.serve)
	return s, nil
}

func (s *sqlite) prepare(ctx context.Context) (err error) {
	for _, p := range []struct {
		to   **sql.Stmt
		on   *sql.Conn
		text string
	}{
		{&s.begin, s.write, `begin immediate`},
		{&s.commit, s.write, `commit`},
		{&s.upsert, s.write, `insert into task (name, due, gen, state, kind, schedule, payload) values (?, ?, ?, 1, ?, ?, ?)
			on conflict (name) do update set due = excluded.due, gen = excluded.gen, state = 1, kind = excluded.kind,
			schedule = excluded.schedule, payload = excluded.payload`},
		{&s.take, s.write, `update task set state = 2, fence = ?, lease = ?, owner = ? where name = ? and gen = ? and state = 1`},
		{&s.end, s.write, `delete from task where name = ? and state = 2 and fence = ?`},
		{&s.note, s.write, `insert into history (at, name, kind, gen, due, state, fence, owner) values (?, ?, ?, ?, ?, 3, ?, ?)`},
		{&s.page, s.read, `select name, due, gen, payload from task where (due, name) > (?, ?) and due <= ? and state = 1
			order by due, name limit ?`},
	} {
		if *p.to, err = p.on.PrepareContext(ctx, p.text); err != nil { //nolint:sqlclosecheck // it is closed with its connection
			return err
		}
	}
	s.seq = nowMicros() // greater than all before it: no process gives out a million a second
	return nil
}

// serve is the writer.
func (s *sqlite) serve() {
	for first := range s.jobs {
		group := []job{first}
		_, err := s.begin.ExecContext(context.Background())
		if err == nil {
			err = first.run()
		}
		for still := 0; err == nil && still < 2 && len(group) < 4*cap(s.jobs); { // those who were just answered come back
			select {
			case next := <-s.jobs:
				group, still = append(group, next), 0
				err = next.run()
			default:
				runtime.Gosched()
				still++
			}
		}
		if err == nil {
			_, err = s.commit.ExecContext(context.Background())
		}
		for _, j := range group {
			j.done <- err
		}
	}
}

func (s *sqlite) do(run func() error) error {
	j := job{run: run, done: make(chan error, 1)}
	s.jobs <- j
	return <-j.done
}

func (s *sqlite) put(items []item) error {
	return s.do(func() error {
		for i := range items {
			x := &items[i]
			s.seq++
			if _, err := s.upsert.ExecContext(context.Background(), x.name, x.due, s.seq, itemKind, itemSchedule, x.payload); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *sqlite) due(until int64, limit int) (refs []ref, err error) {
	if s.after.name == "" {
		s.after.at = math.MinInt64
	}
	rows, err := s.page.QueryContext(context.Background(), s.after.at, s.after.name, until, limit)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var r ref
		if err := rows.Scan(&r.name, &r.at, &r.gen, &r.payload); err != nil {
			return nil, err
		}
		refs = append(refs, r)
	}
	s.after = ref{}
	if n := len(refs); n > 0 {
		s.after = refs[n-1]
	}
	return refs, rows.Err()
}

// one runs a statement that has to find its row.
func one(r ref, stmt *sql.Stmt, args ...any) error {
	res, err := stmt.ExecContext(context.Background(), args...)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return errors.Join(err, fmt.Errorf("%s: gone, replaced, taken or fenced", r.name))
	}
	return nil
}

func (s *sqlite) claim(refs []ref) error {
	return s.do(func() error {
		lease := nowMicros() + itemLease.Microseconds()
		for i := range refs {
			r := &refs[i]
			s.seq++
			r.fence = s.seq
			if err := one(*r, s.take, r.fence, lease, itemOwner, r.name, r.gen); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *sqlite) settle(refs []ref) error {
	return s.do(func() error {
		now := nowMicros()
		for i := range refs {
			r := &refs[i]
			if err := one(*r, s.end, r.name, r.fence); err != nil {
				return err
			}
			if err := one(*r, s.note, now, r.name, itemKind, r.gen, r.at, r.fence, itemOwner); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *sqlite) pending() (n int, err error) {
	err = s.read.QueryRowContext(context.Background(), `select count(*) from task`).Scan(&n)
	return n, err
}

func (s *sqlite) close() error {
	close(s.jobs)
	s.writer.Wait()
	return errors.Join(s.write.Close(), s.read.Close(), s.db.Close())
}
