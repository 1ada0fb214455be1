package pebble

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/dulyhq/duly/store"
)

// A batch can be read as soon as the database has it, before the committer makes it known and long before it is synced. Whoever reads then
// waits for its sync.
func TestApply_ReadersWait(t *testing.T) {
	s, _ := openInternal(t, vfs.NewMem())
	putAt(t, s, "before", store.At(internalStart.Add(time.Hour)), "")
	c := s.core
	cause := errors.New("it waits")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err := c.settled(ctx, "get"); err != nil {
		t.Errorf("with all synced: %v", err)
	}

	w := newWriter(c) // the test is the committer, which has nothing to do
	w.look()
	p := store.Put{Key: store.Key{Name: "new"}, Spec: store.Spec{Kind: "remind"}, When: store.In(time.Hour, 0)}
	chg, res := p.Apply(nil, &w.m)
	if res.Err != nil {
		t.Fatal(res.Err)
	}
	w.write(p.Key, entry{}, &chg)
	g := w.group()
	if err := c.apply(g); err != nil {
		t.Fatal(err)
	}
	if e, err := read(c.db, p.Key); err != nil || e.t == nil {
		t.Fatalf("the task is not there to be read: %v", err)
	}
	if err := c.settled(ctx, "get"); !errors.Is(err, cause) {
		t.Errorf("before it is made known: %v, want that the reader waits", err)
	}
	c.publish(w, g)
	if err := c.settled(ctx, "get"); !errors.Is(err, cause) {
		t.Errorf("before it is synced: %v, want that the reader waits", err)
	}
	if err := c.wait(g); err != nil {
		t.Fatal(err)
	}
	c.settle(g, nil, true)
	if err := c.settled(ctx, "get"); err != nil {
		t.Errorf("when it is synced: %v", err)
	}
}
