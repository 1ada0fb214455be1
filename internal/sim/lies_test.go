package sim_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/storetest"
)

// What a store can do wrong, in the eyes of the processes: no scheduler could get over it, so that a world in which nobody notices would
// notice nothing else.
const (
	lieSettle = "drops a settlement"
	lieClaim  = "answers a claim twice"
	lieFence  = "hands out a stale fence"
	lieCancel = "forgets a cancel"
	liePut    = "forgets a put"
	lieEarly  = "is early"
	lieRenew  = "forgets renewals"
	lieHide   = "hides a task"
	lieNext   = "leaves an occurrence out"
)

var lies = []string{lieSettle, lieClaim, lieFence, lieCancel, liePut, lieEarly, lieRenew, lieHide, lieNext}

// liesMost is in how many worlds a lie has to be found.
const liesMost = 25

// TestSim_Lies runs worlds on stores that lie, until that is found.
func TestSim_Lies(t *testing.T) {
	for _, lie := range lies {
		t.Run(strings.ReplaceAll(lie, " ", "_"), func(t *testing.T) {
			for seed := range uint64(liesMost) {
				p := draw(seed + 1)
				p.lie = lie
				var w *world
				synctest.Test(t, func(t *testing.T) {
					w = newWorld(t, p)
					w.live()
					if err := w.rec.Close(); err != nil {
						t.Error(err)
					}
				})
				if len(w.wrong) > 0 {
					t.Logf("found with seed %d: %s", p.seed, w.wrong[0])
					return
				}
			}
			t.Errorf("not found in %d worlds", liesMost)
		})
	}
}

// A liar is a store that does one thing wrong.
type liar struct {
	*storetest.Faulty
	lie string

	mu      sync.Mutex // guards what follows
	n       int        // calls or rows that it could have lied about
	granted map[store.Key]store.ClaimResult
	fence   int64 // of the last claim that was granted
}

// now says whether to lie, once in every n times.
func (l *liar) now(n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n++
	return l.n%n == 0
}

// without passes on the rows but those it chooses, and answers these itself.
func without[Row, Result any](
	ctx context.Context, rows []Row, do func(context.Context, []Row) ([]Result, error), drop func(*Row) bool, answer func(*Row) Result,
) ([]Result, error) {
	var some []Row
	own := make([]*Result, len(rows))
	for i := range rows {
		if drop(&rows[i]) {
			own[i] = new(answer(&rows[i]))
		} else {
			some = append(some, rows[i])
		}
	}
	var res []Result
	if len(some) > 0 {
		var err error
		if res, err = do(ctx, some); err != nil {
			return nil, err
		}
	}
	for i, r := range own {
		if r != nil {
			res = slices.Insert(res, i, *r)
		}
	}
	return res, nil
}

// Settle implements store.Store.
func (l *liar) Settle(ctx context.Context, rows []store.Settlement) ([]store.SettleResult, error) {
	return without(ctx, rows, l.Faulty.Settle, func(*store.Settlement) bool { return l.lie == lieSettle && l.now(5) },
		func(x *store.Settlement) store.SettleResult { return store.SettleResult{State: x.State} })
}

// Put implements store.Store.
func (l *liar) Put(ctx context.Context, rows []store.Put) ([]store.PutResult, error) {
	return without(ctx, rows, l.Faulty.Put, func(*store.Put) bool { return l.lie == liePut && l.now(5) },
		func(x *store.Put) store.PutResult {
			return store.PutResult{Outcome: store.Created, Task: &store.Task{Key: x.Key, Spec: x.Spec, Generation: 1 << 40, Next: store.Occurrence{For: store.Never, Due: store.Never}}}
		})
}

// Cancel implements store.Store.
func (l *liar) Cancel(ctx context.Context, rows []store.Cancel) ([]store.CancelResult, error) {
	return without(ctx, rows, l.Faulty.Cancel, func(*store.Cancel) bool { return l.lie == lieCancel && l.now(2) },
		func(*store.Cancel) store.CancelResult { return store.CancelResult{Outcome: store.CancelCancelled} })
}

// Renew implements store.Store.
func (l *liar) Renew(ctx context.Context, rows []store.Renewal) ([]store.RenewResult, error) {
	return without(ctx, rows, l.Faulty.Renew, func(*store.Renewal) bool { return l.lie == lieRenew },
		func(*store.Renewal) store.RenewResult { return store.RenewResult{} })
}

// Due implements store.Store.
func (l *liar) Due(ctx context.Context, q store.DueQuery) (store.DuePage, error) {
	page, err := l.Faulty.Due(ctx, q)
	if l.lie == lieHide {
		page.Tasks = slices.DeleteFunc(page.Tasks, func(t *store.Task) bool { return t.Name == "n1" })
	}
	return page, err
}

// Claim implements store.Store.
func (l *liar) Claim(ctx context.Context, rows []store.Claim) ([]store.ClaimResult, error) {
	if l.lie == lieNext {
		rows = slices.Clone(rows)
		for i := range rows {
			if x := &rows[i]; !x.Next.None() && l.now(5) {
				x.Next = store.Occurrence{For: x.Next.For.Add(time.Second), Due: x.Next.Due.Add(time.Second)}
			}
		}
	}
	res, err := l.Faulty.Claim(ctx, rows)
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range res {
		k := rows[i].Key
		switch before, ok := l.granted[k]; {
		case res[i].Err != nil && ok && l.lie == lieClaim:
			res[i] = before
		case res[i].Err != nil:
		case l.lie == lieFence && l.fence != 0:
			res[i].Fence, l.fence = l.fence, res[i].Fence
		default:
			l.fence = res[i].Fence
			if l.granted == nil {
				l.granted = map[store.Key]store.ClaimResult{}
			}
			l.granted[k] = res[i]
		}
	}
	return res, err
}

// fast is a clock whose wall clock is ahead of the world's.
type fast struct{ *clock.Manual }

// Read implements clock.Clock.
func (f fast) Read() clock.Reading {
	r := f.Manual.Read()
	r.Wall += int64(time.Second)
	return r
}
