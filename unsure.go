package duly

import (
	"context"
	"slices"
	"time"

	"github.com/dulyhq/duly/store"
)

// unsure are the runs that were to be claimed with a call whose answer was lost, by when that was. Such a claim may have been granted,
// and may still be: whoever sees a lease of ours on one of these runs that none of our attempts has knows that no handler has begun
// under it. After the time of a lease they are forgotten, because then the store's own rule frees the run.
type unsure map[store.RunID]time.Duration

func (u unsure) has(id store.RunID) bool {
	_, ok := u[id]
	return ok
}

// forget drops those that are older than a lease.
func (u unsure) forget(now, lease time.Duration) {
	for id, at := range u {
		if now-at > lease {
			delete(u, id)
		}
	}
}

// claimed is the run that the claim of a pick was to make or to go on with.
func (p *pick) claimed() store.RunID {
	id := p.st.claim.RunID
	if as := p.st.claim.As; !as.None() {
		id.For = as.For
	}
	return id
}

// vainLocked says that a task has a lease of ours that is to be given back.
func (r *run) vainLocked(t *store.Task) bool {
	if len(r.unsure) == 0 {
		return false
	}
	return slices.ContainsFunc(t.Runs, func(rn store.Run) bool {
		id := rn.ID(t.Key)
		return rn.State == store.Running && rn.Owner == r.c.opts.Owner && r.unsure.has(id) && r.attempts[attemptID{id, rn.Fence}] == nil
	})
}

// givenBack notes the answers to leases that were given back. One that is fenced was used up by somebody who found it over.
func (r *run) givenBack(picks []pick, res []store.SettleResult, err error) {
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for i := range picks {
		pk := &picks[i]
		if pk.st.kind != stepBack {
			continue
		}
		var x store.SettleResult
		if err == nil {
			x = res[n]
		} else {
			x.Err = err
		}
		n++
		if x.Err != nil && err == nil {
			r.againLocked(pk.e)
		}
		c.endLocked(pk.st.back.Key, x.Task, x.Err == nil)
	}
}

// giveBackAll gives back, once, what is found to be leased in vain when the loop has ended: nobody looks after that.
func (r *run) giveBackAll(ctx context.Context) {
	c := r.c
	c.mu.Lock()
	var keys []store.Key
	for id := range r.unsure {
		keys = append(keys, id.Key)
	}
	c.mu.Unlock()
	if len(keys) == 0 || ctx.Err() != nil {
		return
	}
	tasks, err := c.store.Get(ctx, keys)
	if err != nil {
		return
	}
	var picks []pick
	var backs []store.Settlement
	seen := map[store.Key]bool{}
	c.mu.Lock()
	for _, t := range tasks {
		if t == nil || seen[t.Key] || c.writing[t.Key] != nil {
			continue
		}
		seen[t.Key] = true
		e := &entry{task: t}
		if st := r.planLocked(e, c.now()); st.kind == stepBack {
			c.beginLocked(t.Key)
			picks, backs = append(picks, pick{e: e, st: st}), append(backs, st.back)
		}
	}
	c.mu.Unlock()
	if len(picks) > 0 {
		res, err := c.store.Settle(ctx, backs)
		r.givenBack(picks, res, err)
	}
}
