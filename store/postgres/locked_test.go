package postgres_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/internal/pgtest"
	"github.com/dulyhq/duly/store"
)

// Whoever reads waits for a table that is being changed, longer than one who writes waits for a row.
func TestRead_WhatIsLocked(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	put(t, d.s, due("n", "", time.Hour))
	ctx := context.WithoutCancel(t.Context())
	reads := map[string]func() error{
		"Get":     func() error { _, err := d.s.Get(ctx, []store.Key{{Name: "n"}}); return err },
		"Due":     func() error { _, err := d.s.Due(ctx, store.DueQuery{Until: store.Never}); return err },
		"List":    func() error { _, err := d.s.List(ctx, store.Query{Kind: "k"}); return err },
		"History": func() error { _, err := d.s.History(ctx, store.HistoryQuery{}); return err },
		"Stats":   func() error { _, err := d.s.Stats(ctx); return err },
		"Note":    func() error { _, err := d.s.Note(ctx, "n"); return err },
	}
	exec(t, d.admin, "begin")
	for _, table := range []string{"task", "history", "counter", "note"} {
		exec(t, d.admin, "lock table "+d.schema+"."+table+" in access exclusive mode")
	}
	type answer struct {
		to  string
		err error
	}
	answers := make(chan answer, len(reads))
	for name, read := range reads {
		go func() { answers <- answer{name, read()} }()
	}
	exec(t, d.admin, "select pg_sleep(0.5)")
	exec(t, d.admin, "commit")
	for range reads {
		if got := <-answers; got.err != nil {
			t.Errorf("%s: %v", got.to, got.err)
		}
	}
}

// Who waits for a table that is locked does not keep others from those that are not, however many wait: what is due is found in time.
func TestRead_BesideWhatIsLocked(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	put(t, d.s, due("n", "", -time.Hour))
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	exec(t, d.admin, "begin")
	exec(t, d.admin, "lock table "+d.schema+".dead in access exclusive mode")
	const many = 8 // twice as many as read at a time
	answers := make(chan error, many)
	for range many {
		go func() {
			_, err := d.s.List(ctx, store.Query{State: store.Dead})
			answers <- err
		}()
	}
	d.waits(1, answers)
	for range 30 {
		if p, err := d.s.Due(t.Context(), store.DueQuery{Until: store.Never}); err != nil || len(p.Tasks) != 1 {
			t.Errorf("Due: %d tasks, error %v", len(p.Tasks), err)
		}
	}
	if n := len(answers); n != 0 {
		t.Errorf("what is due was told when %d of those who wait for the table had given up", n)
	}
	exec(t, d.admin, "commit")
	for range many {
		if err := <-answers; err != nil {
			t.Errorf("List: %v", err)
		}
	}
	cancel()
}

// Who reads much, or waits for it, leaves a connection to those who ask for what is due, also where it keeps its own while it waits: behind a pooler.
func TestRead_BesideWhatIsLong(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	o := quiet(t)
	o.Schema, o.Pooler = d.schema, true
	s := opened(t, d.url, o)
	put(t, d.s, due("n", "", -time.Hour))
	ctx := context.WithoutCancel(t.Context())
	reads := []func() error{
		func() error { _, err := s.List(ctx, store.Query{State: store.Dead}); return err },
		func() error { _, err := s.History(ctx, store.HistoryQuery{}); return err },
		func() error { _, err := s.Stats(ctx); return err },
	}
	adm := admin(t, d.url) // what d looks at stands still in a transaction
	exec(t, adm, "begin")
	for _, table := range []string{"dead", "history", "counter"} {
		exec(t, adm, "lock table "+d.schema+"."+table+" in access exclusive mode")
	}
	trimmed := make(chan error, 1) // it writes, and takes as long
	go func() {
		_, err := s.Trim(ctx, store.Retention{})
		trimmed <- err
	}()
	d.waits(1, trimmed)
	const each = 4 // as many as read at a time
	answers := make(chan error, each*len(reads))
	for _, read := range reads {
		for range each {
			go func() { answers <- read() }()
		}
	}
	d.waits(3, answers)
	if p, err := s.Due(t.Context(), store.DueQuery{Until: store.Never}); err != nil || len(p.Tasks) != 1 {
		t.Errorf("Due: %d tasks, error %v", len(p.Tasks), err)
	}
	if get(t, s, "n") == nil {
		t.Error("Get: there is nothing")
	}
	if len(trimmed) > 0 {
		t.Error("they were answered behind Trim")
	}
	exec(t, adm, "commit")
	if err := <-trimmed; err != nil {
		t.Error(err)
	}
	for range cap(answers) {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
}

// One who notifies commits at a time in a database, of whatever application, and of those writers that count in one row one does, of whatever
// process. Who waits for that waits for no task, and is not made to try again in parts.
func TestWrite_WaitsForACommit(t *testing.T) {
	for name, sql := range map[string]string{
		"notifies": "create table written (); notify other",
		"counts":   "update duly.counter set high = high",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			waitsForACommit(t, sql)
		})
	}
}

// waitsForACommit writes beside a transaction that has done something, and whose commit takes long.
func waitsForACommit(t *testing.T, sql string) {
	t.Helper()
	srv := pgtest.Start(t, pgtest.Options{})
	o := quiet(t)
	s := opened(t, srv.URL("postgres")+"&synchronous_commit=local", o)
	put(t, s, due("old", "", -time.Minute))
	if err := srv.Conf("synchronous_standby_names", "nobody"); err != nil {
		t.Fatal(err)
	}
	slow, adm := admin(t, srv.URL("postgres")), admin(t, srv.URL("postgres"))
	committed := make(chan error, 1)
	go func() { // waits for a standby, and has the lock
		_, err := slow.Exec(context.WithoutCancel(t.Context()), "begin; "+strings.ReplaceAll(sql, "duly.", o.Schema+".")+"; commit")
		committed <- err
	}()
	until := func(what string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		for is := false; !is; {
			if err := adm.QueryRow(ctx, "select exists (select from pg_stat_activity where "+what+"), pg_sleep(0.01)").Scan(&is, nil); err != nil {
				t.Fatalf("waited in vain until %s: %v", what, err)
			}
		}
	}
	until("wait_event = 'SyncRep'")
	done := make(chan error, 2)
	write := func(p store.Put) {
		res, err := s.Put(context.WithoutCancel(t.Context()), []store.Put{p})
		if err == nil {
			err = res[0].Err
		}
		done <- err
	}
	go write(due("new", "", 0))
	go write(due("old", "", 0))
	until("application_name = 'duly' and wait_event_type = 'Lock'")
	exec(t, adm, "set synchronous_commit = local; select pg_sleep(0.5)")
	if err := srv.Conf("synchronous_standby_names", ""); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Errorf("Put: %v", err)
		}
	}
	if err := <-committed; err != nil {
		t.Error(err)
	}
	if n := strings.Count(srv.Log(), "lock timeout"); n != 0 {
		t.Errorf("%d transactions were given up, want none", n)
	}
}
