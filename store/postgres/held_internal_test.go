package postgres

import (
	"errors"
	"testing"
	"time"

	"github.com/dulyhq/duly/internal/pgtest"
	"github.com/dulyhq/duly/store"
)

// A server that has lost its last commits may give the number of a transaction out again, and the place of a row: what stands there is what another
// process has made of the task then, and it is not taken for what this one remembers to have written.
//
// contract: D3
func TestSettle_WhereTheServerHasLostCommits(t *testing.T) {
	url := pgtest.Shared(t).Database(t)
	open := func() *Store {
		s, err := Open(t.Context(), url, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s, other := open(), open()
	defer func() { _ = s.Close() }() // a second time is none
	defer func() { _ = other.Close() }()
	key := store.Key{Name: "a"}
	past := store.On(store.Occurrence{For: store.At(time.Now().Add(-time.Minute))})
	put, err := s.Put(t.Context(), []store.Put{{Key: key, When: past, Spec: store.Spec{Kind: "k"}}})
	if err != nil {
		t.Fatal(err)
	}
	run := store.RunID{Key: key, Generation: put[0].Task.Generation, For: put[0].Task.Next.For}
	claim := func(s *Store) int64 {
		res, err := s.Claim(t.Context(), []store.Claim{{RunID: run, Lease: time.Hour, Owner: "me"}})
		if err != nil || res[0].Err != nil {
			t.Fatal(res, err)
		}
		return res[0].Fence
	}
	exec := func(sql string) {
		if _, err := s.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec("create table was as select * from duly.task")
	old := claim(s)
	// The claim is lost, another process claims, by the same transaction and in the same place, and numbers are raised.
	exec("update duly.task t set running = w.running, attempt = w.attempt, body = w.body from was w")
	claim(other)
	x := s.held.rows[key]
	if x.t == nil {
		t.Fatal("what was claimed is not remembered")
	}
	if err := s.pool.QueryRow(t.Context(), "select ctid::text, xmin::text from duly.task").Scan(&x.ctid, &x.xmin); err != nil {
		t.Fatal(err)
	}
	s.held.rows[key] = x
	exec("update duly.raised set at = at + interval '1 minute'")
	set, err := s.Settle(t.Context(), []store.Settlement{{RunID: run, Fence: old, Verb: store.VerbSettle, State: store.Done}})
	if err != nil || !errors.Is(set[0].Err, store.ErrFenced) {
		t.Errorf("Settle by the fence that was lost: %+v, error %v, want ErrFenced", set, err)
	}
	if got, err := s.Get(t.Context(), []store.Key{key}); err != nil || got[0] == nil || got[0].Running() != 1 {
		t.Errorf("there is %+v, error %v; want the attempt of the other", got, err)
	}
}
