package duly

import (
	"context"

	"github.com/dulyhq/duly/store"
)

// Where shards are divided, those of a process that is gone go to several others, and with them what ran in it: a run that was lost may have
// run beside one that somebody else has by now. So before a run is dead because of that, it is looked for others that its process ran:
// in all shards, those that nobody has rescued yet; and in the history, those that somebody has. In that order none is overlooked.
// It takes any other for one that had never been lost, because those that had are started one at a time.

const (
	doubtsMost = 64   // runs that are doubted at a time; suspects run one at a time in each process
	wideMost   = 100  // pages that are read; if there is more, it is taken for granted that another ran
	pastMost   = 1000 // entries of the history on a page
)

// doubtLocked notes runs that would be dead, if nothing else had run in their process.
func (r *run) doubtLocked(x *planner) {
	for i := range x.t.Runs {
		if rn := &x.t.Runs[i]; rn.State == store.Running && rn.Lease <= x.mono && x.doubtful(rn) && len(r.doubts) < doubtsMost {
			r.doubts[rn.ID(x.t.Key)] = *rn
		}
	}
}

// widenLocked looks for what else ran beside those that are doubted. It does not wait until all of our own shards was seen: a backlog may take
// hours.
func (r *run) widenLocked() {
	if len(r.doubts) == 0 || r.widening || r.crash.known() {
		return
	}
	doubts, gains := r.doubts, r.gains
	r.doubts, r.widening = map[store.RunID]store.Run{}, true
	r.hooks.Go(func() {
		beside, err := r.c.ranBeside(r.term, doubts)
		r.c.mu.Lock()
		defer r.c.mu.Unlock()
		r.widening = false
		switch {
		case err != nil:
			if r.term.Err() == nil && r.gone == nil {
				r.gone = r.failedLocked(err, "look for what was lost")
			}
		case gains == r.gains: // else there may be others that are gone
			r.workedLocked("look for what was lost")
			r.crash.wide, r.crash.fresh = true, r.crash.fresh || beside
			clear(r.doubts)
		}
		r.poke()
	})
}

// ranBeside says whether another run was run by the process of one of those that are doubted, when that ended.
func (c *core) ranBeside(ctx context.Context, doubts map[store.RunID]store.Run) (bool, error) {
	since, oldest := map[string]store.Instant{}, store.Never // by the owner, and of all
	for _, d := range doubts {
		if at, ok := since[d.Owner]; !ok || d.StartedAt < at {
			since[d.Owner] = d.StartedAt
		}
		oldest = min(oldest, d.StartedAt)
	}
	counts := func(id store.RunID, owner string, at store.Instant) bool {
		_, doubted := doubts[id]
		from, gone := since[owner]
		return gone && !doubted && at >= from
	}
	q, mono := store.DueQuery{Until: c.now(), Limit: pageMost}, c.mono()
	for n := 0; ; n++ {
		if n == wideMost {
			return true, nil
		}
		page, err := c.store.Due(ctx, q)
		if err != nil {
			return false, err
		}
		for _, t := range page.Tasks {
			for i := range t.Runs {
				if rn := &t.Runs[i]; rn.State == store.Running && rn.Lease <= mono && counts(rn.ID(t.Key), rn.Owner, store.Never) {
					return true, nil
				}
			}
		}
		if q.After = page.Cursor; !page.More {
			break
		}
	}
	h := store.HistoryQuery{Newest: true, Limit: pastMost}
	for range wideMost {
		evs, err := c.store.History(ctx, h)
		if err != nil {
			return false, err
		}
		for i := range evs {
			if v := &evs[i]; v.Verb == store.VerbRescue && counts(store.RunID{Key: v.Key, Generation: v.Generation, For: v.For}, v.Owner, v.At) {
				return true, nil
			}
		}
		if len(evs) < pastMost || evs[len(evs)-1].At < oldest {
			return false, nil
		}
		h.Before = evs[len(evs)-1].Seq
	}
	return true, nil
}
