package store_test

import (
	"testing"

	"github.com/dulyhq/duly/store"
)

func TestListeners(t *testing.T) {
	var l store.Listeners
	l.Tell(store.Hint{At: 1}) // nobody listens
	a, stopA := l.Hints()
	b, stopB := l.Hints()
	var one, two store.Shards
	one.Add(1)
	two.Add(200)
	l.Tell(store.Hint{Shards: one, At: 9})
	l.Tell(store.Hint{Shards: two, At: 5})
	l.Tell(store.Hint{Shards: two, At: store.Never}) // tells nobody
	got := <-a
	if got.At != 5 || !got.Shards.Has(1) || !got.Shards.Has(200) || got.Shards.Has(2) {
		t.Errorf("merged: %+v", got)
	}
	stopA()
	stopA()
	if _, ok := <-a; ok {
		t.Error("a hint after stop")
	}
	l.Close()
	if h, ok := <-b; !ok || h.At != 5 {
		t.Errorf("what was not taken yet: %+v, %v", h, ok)
	}
	if _, ok := <-b; ok {
		t.Error("open after Close")
	}
	stopB()
	late, stop := l.Hints()
	if _, ok := <-late; ok {
		t.Error("open when asked for after Close")
	}
	stop()
	l.Close()
	l.Tell(store.Hint{At: 1})
}
