package postgres

import (
	"context"
	"slices"

	"github.com/dulyhq/duly/store"
)

// Put implements store.Store.
func (s *Store) Put(ctx context.Context, puts []store.Put) ([]store.PutResult, error) {
	rows, res := rowsOf(slices.Clone(puts), putKey, putSize, (*store.Put).Apply) // a caller that stops waiting has its own back
	fresh := !s.o.Pooler                                                         // there no limit is set on how long a row is waited for
	for i := range puts {
		fresh = fresh && isFresh(&puts[i])
	}
	fresh = fresh && !s.barred.holds(rows, s.nodes.clk.Read().Boot) // to insert what is held is to wait for it, with all that is inserted beside it
	if err := s.write(ctx, "put", rows, fresh); err != nil {
		return nil, err
	}
	return res, nil
}

func putKey(p *store.Put) store.Key { return p.Key }
func putSize(p *store.Put) int      { return len(p.Payload) }

// Cancel implements store.Store.
func (s *Store) Cancel(ctx context.Context, cancels []store.Cancel) ([]store.CancelResult, error) {
	return written(ctx, s, "cancel", slices.Clone(cancels), cancelKey, nil, (*store.Cancel).Apply, nil)
}

func cancelKey(x *store.Cancel) store.Key { return x.Key }

// Edit implements store.Store. Those that a scheduler makes by itself are answered by store.ErrBusy while somebody else's transaction holds the
// task: it has others to look after, and tries again. The others wait.
func (s *Store) Edit(ctx context.Context, edits []store.Edit) ([]store.EditResult, error) {
	key := func(x *store.Edit) store.Key { return x.Key }
	return written(ctx, s, "edit", slices.Clone(edits), key, func(x *store.Edit) int { return len(x.Payload) }, (*store.Edit).Apply,
		func(x *store.Edit, err error) (store.EditResult, bool) {
			switch x.Verb {
			case store.VerbSkip, store.VerbAlign, store.VerbRescue, store.VerbBury, store.VerbStop:
				return store.EditResult{Err: err}, true
			default:
				return store.EditResult{}, false
			}
		})
}

// Claim implements store.Store. While Own is at work, claims of what is not this process's are refused with store.ErrNotOwner.
// Every claim is committed before it is answered, whether FirstStart or not. One of a task that somebody else's transaction holds is refused
// with store.ErrBusy: what is due beside it does not wait.
func (s *Store) Claim(ctx context.Context, claims []store.Claim) ([]store.ClaimResult, error) {
	key := func(x *store.Claim) store.Key { return x.Key }
	return written(ctx, s, "claim", claims, key, nil, func(x *store.Claim, t *store.Task, m *store.Moment) (store.Change, store.ClaimResult) {
		if !s.mayClaim(x, t) {
			return store.Change{}, store.ClaimResult{Err: store.ErrNotOwner}
		}
		return x.Apply(t, m)
	}, func(_ *store.Claim, err error) (store.ClaimResult, bool) { return store.ClaimResult{Err: err}, true })
}

// mayClaim says whether a claim is this process's to make. One of what is not there any more is answered as such, whose ever it was: the kind
// may be another.
func (s *Store) mayClaim(x *store.Claim, t *store.Task) bool {
	if t == nil || t.Generation != x.Generation && t.Run(x.Generation, x.For) == nil {
		return true
	}
	return s.owns(x.Shard(), t.Kind)
}

// Renew implements store.Store. Of a task that somebody else's transaction holds, the lease is not prolonged, and the answer is store.ErrBusy.
func (s *Store) Renew(ctx context.Context, renewals []store.Renewal) ([]store.RenewResult, error) {
	key := func(x *store.Renewal) store.Key { return x.Key }
	return written(ctx, s, "renew", renewals, key, nil, (*store.Renewal).Apply,
		func(_ *store.Renewal, err error) (store.RenewResult, bool) { return store.RenewResult{Err: err}, true })
}

// Settle implements store.Store. What is the outcome for a task that somebody else's transaction holds is not written, and the answer is
// store.ErrBusy: the fence is as good as before, and it can be settled again.
func (s *Store) Settle(ctx context.Context, settlements []store.Settlement) ([]store.SettleResult, error) {
	return written(ctx, s, "settle", settlements, settlementKey, nil, (*store.Settlement).Apply,
		func(_ *store.Settlement, err error) (store.SettleResult, bool) {
			return store.SettleResult{Err: err}, true
		})
}

func settlementKey(x *store.Settlement) store.Key { return x.Key }

// Stats implements store.Store.
func (s *Store) Stats(ctx context.Context) (n store.Stats, err error) {
	err = s.survey(ctx, "stats", func(q session) error {
		return q.do(ctx, stmt{
			sql: s.sql(`select sum(tasks)::bigint, sum(paused)::bigint, sum(running)::bigint, sum(dead)::bigint, sum(history)::bigint
from (select tasks, paused, running, dead, history from duly.counter union all select * from duly.counter_delta) c`),
			row: func(scan func(dst ...any) error) error {
				return scan(&n.Tasks, &n.Paused, &n.Running, &n.Dead, &n.History)
			},
		})
	})
	return n, err
}

// Note implements store.Noter.
func (s *Store) Note(ctx context.Context, name string) (text string, err error) {
	if err := store.CheckNote(name, ""); err != nil {
		return "", err
	}
	err = s.view(ctx, "note", func(q session) error {
		return q.do(ctx, stmt{sql: s.sql("select text from duly.note where name = $1"), args: []any{name}, row: func(scan func(dst ...any) error) error {
			return scan(&text)
		}})
	})
	return text, err
}

// SetNote implements store.Noter.
func (s *Store) SetNote(ctx context.Context, name, text string) error {
	if err := store.CheckNote(name, text); err != nil {
		return err
	}
	st := stmt{sql: s.sql("insert into duly.note (name, text) values ($1, $2) on conflict (name) do update set text = excluded.text"), args: []any{name, text}}
	if text == "" {
		st = stmt{sql: s.sql("delete from duly.note where name = $1"), args: []any{name}}
	}
	return s.change(ctx, "note", s.lend, func(q session) error { return q.do(ctx, st) })
}
