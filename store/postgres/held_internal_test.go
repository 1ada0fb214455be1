package postgres

import (
	"testing"
	"time"

	"github.com/dulyhq/duly/internal/pgtest"
	"github.com/dulyhq/duly/store"
)

// A server that has lost its last commits may give the number of a transaction out again, and the place of a row: what a process remembers to
// have written there is another's row then, and is not written to.
//
// contract: D3
func TestSettle_WhereTheServerHasLostCommits(t *testing.T) {
	s, err := Open(t.Context(), pgtest.Shared(t).Database(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }() // a second time is none
	a, b := store.Key{Name: "a"}, store.Key{Name: "b"}
	past := store.On(store.Occurrence{For: store.At(time.Now().Add(-time.Minute))})
	puts := []store.Put{{Key: a, When: past, Spec: store.Spec{Kind: "k"}}, {Key: b, When: past, Spec: store.Spec{Kind: "k"}}}
	put, err := s.Put(t.Context(), puts)
	if err != nil {
		t.Fatal(err)
	}
	run := store.RunID{Key: a, Generation: put[0].Task.Generation, For: put[0].Task.Next.For}
	claimed, err := s.Claim(t.Context(), []store.Claim{{RunID: run, Lease: time.Hour, Owner: "me"}})
	if err != nil || claimed[0].Err != nil {
		t.Fatal(claimed, err)
	}
	// The claim is lost, another process has claimed b where a was, and numbers are raised.
	var x heldRow
	if err := s.pool.QueryRow(t.Context(), "select ctid::text, xmin::text from duly.task where name = 'b'").Scan(&x.ctid, &x.xmin); err != nil {
		t.Fatal(err)
	}
	x.t = s.held.rows[a].t
	if x.t == nil {
		t.Fatal("what was claimed is not remembered")
	}
	s.held.rows[a] = x
	if _, err := s.pool.Exec(t.Context(), "update duly.raised set at = at + interval '1 minute'"); err != nil {
		t.Fatal(err)
	}
	set, err := s.Settle(t.Context(), []store.Settlement{{RunID: run, Fence: claimed[0].Fence, Verb: store.VerbSettle, State: store.Done}})
	if err != nil || set[0].Err != nil {
		t.Errorf("Settle: %+v, error %v", set, err)
	}
	got, err := s.Get(t.Context(), []store.Key{a, b})
	if err != nil || got[0] != nil || got[1] == nil || got[1].Generation != put[1].Task.Generation {
		t.Errorf("there is %+v, error %v; want b alone, as it was put", got, err)
	}
}
