package postgres

import (
	"maps"
	"sync"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/wait"
)

// A teller calls owned, with one change after the other, from one goroutine. Two changes are not made one: who has lost shards and has them
// again must know, because others may have worked on them.
type teller struct {
	told wait.Napper // interrupted when all that was pushed has been told

	mu      sync.Mutex
	wake    sync.Cond
	changes []store.Share
	last    store.Share // what was pushed last
	epoch   int64
	calls   bool // owned is being called
	over    bool
}

// mostChanges wait to be told. If there are more, what is lost by them is one change, and what is owned then is another.
const mostChanges = 8

func newTeller(epoch int64) *teller {
	t := &teller{epoch: epoch}
	t.wake.L = &t.mu
	return t
}

// push has owned called if the share is another. Epochs rise, also where the server knows of no change.
func (t *teller) push(share store.Share) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if share.Shards == t.last.Shards && maps.Equal(share.Kinds, t.last.Kinds) || t.over {
		return
	}
	t.last = share
	if len(t.changes) >= mostChanges {
		t.epoch++
		t.changes = append(t.changes[:0], store.Share{Epoch: t.epoch})
	}
	t.epoch = max(t.epoch+1, share.Epoch)
	share.Epoch = t.epoch
	t.changes = append(t.changes, share)
	t.wake.Signal()
}

// behind says whether there is something that has not been told yet.
func (t *teller) behind() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.calls || len(t.changes) > 0
}

// tell is the goroutine that calls. It ends when the teller is closed and all has been told.
func (t *teller) tell(owned func(store.Share)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		for len(t.changes) == 0 && !t.over {
			t.wake.Wait()
		}
		if len(t.changes) == 0 {
			return
		}
		c := t.changes[0]
		t.changes = t.changes[1:]
		t.calls = true
		t.mu.Unlock()
		owned(c)
		t.mu.Lock()
		t.calls = false
		if len(t.changes) == 0 {
			t.told.Interrupt()
		}
	}
}

// close lets nothing else in.
func (t *teller) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	t.wake.Signal()
}
