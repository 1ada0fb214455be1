package postgres

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/store"
)

// Changes are told in order, each by itself, and epochs rise whatever the server says.
func TestTeller(t *testing.T) {
	one, two := setOf([]int16{1}), setOf([]int16{1, 2})
	of := func(set store.Shards, epoch int64) store.Share { return store.Share{Shards: set, Epoch: epoch} }
	kind := func(set, k store.Shards, epoch int64) store.Share {
		return store.Share{Shards: set, Kinds: map[string]store.Shards{"k": k}, Epoch: epoch}
	}
	for name, c := range map[string]struct{ push, want []store.Share }{
		"in order": {push: []store.Share{of(one, 5), of(two, 7)}, want: []store.Share{of(one, 5), of(two, 7)}},
		"the same": {push: []store.Share{of(one, 5), of(one, 6), of(two, 7)}, want: []store.Share{of(one, 5), of(two, 7)}},
		"lost and had again": {
			push: []store.Share{of(one, 5), of(store.Shards{}, 0), of(one, 5)},
			want: []store.Share{of(one, 5), of(store.Shards{}, 6), of(one, 7)},
		},
		"nothing, from the beginning": {push: []store.Share{of(store.Shards{}, 3)}},
		"a kind": {
			push: []store.Share{kind(one, two, 5), kind(one, two, 5), kind(one, store.Shards{}, 5), of(one, 5)},
			want: []store.Share{kind(one, two, 5), kind(one, store.Shards{}, 6), of(one, 7)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tl := newTeller(0)
			for _, p := range c.push {
				tl.push(p)
			}
			tl.close()
			tl.push(of(two, 100)) // it is too late
			var got []store.Share
			tl.tell(func(share store.Share) { got = append(got, share) })
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// However long owned takes, what waits is bounded, and what is lost by that is one moment at which nothing was owned.
func TestTellerIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tl := newTeller(0)
		var got []store.Share
		hold := make(chan struct{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			tl.tell(func(share store.Share) {
				<-hold
				got = append(got, share)
			})
		}()
		var last store.Shards
		for i := range 100 {
			last = setOf([]int16{int16(i)})
			tl.push(store.Share{Shards: last})
			synctest.Wait()
			if n := len(tl.changes); n > mostChanges+1 {
				t.Fatalf("%d changes wait, want at most %d", n, mostChanges+1)
			}
		}
		if !tl.behind() {
			t.Error("the teller is not behind, want it to be")
		}
		close(hold)
		synctest.Wait()
		if tl.behind() {
			t.Error("the teller is behind, want it to have told all")
		}
		if !tl.told.Nap(time.Hour) {
			t.Error("nobody says that all has been told")
		}
		tl.close()
		<-done
		epoch, none := int64(0), 0
		for _, c := range got {
			if c.Epoch <= epoch {
				t.Errorf("epoch %d after %d", c.Epoch, epoch)
			}
			if epoch = c.Epoch; c.Shards == (store.Shards{}) {
				none++
			}
		}
		if none == 0 || got[len(got)-1].Shards != last {
			t.Errorf("told %d times that nothing is owned and at last %x; want it told, and %x", none, got[len(got)-1].Shards, last)
		}
	})
}

func TestBackoff(t *testing.T) {
	var b backoff
	var got []int64
	for range 8 {
		got = append(got, b.next().Milliseconds())
	}
	if diff := cmp.Diff([]int64{0, 50, 100, 200, 400, 800, 1000, 1000}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for range 100 {
		b.next()
	}
	if d := b.next().Milliseconds(); d != 1000 {
		t.Errorf("after many tries it waits %d ms, want 1000", d)
	}
	if b.reset(); b.next() != 0 {
		t.Error("after a success it waits, want the next try at once")
	}
}
