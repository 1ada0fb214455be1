package duly_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
)

// TestCluster_Random lets nodes come, die, leave and trade shards while their clocks are set and tasks are put, cancelled and run, all
// drawn from a seed, and then lets them come to rest: each occurrence that was put has run to its end or was cancelled, once unless a
// node died with it.
//
// contract: C1, C4, D1, D3, D5, E1, H1
func TestCluster_Random(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			inCluster(t, func(t *testing.T, c *cluster) { newChaos(c, seed).play(t) })
		})
	}
}

// chaos is what a seed does to a cluster.
type chaos struct {
	*cluster
	r       *rand.Rand
	alive   []*node
	made    int
	put     []string        // one-offs
	stopped map[string]bool // those that were cancelled in time
	faults  int
	kinds   []string // besides the one that all handle
}

func newChaos(c *cluster, seed uint64) *chaos {
	return &chaos{cluster: c, r: rand.New(rand.NewPCG(seed, 8))}
}

func (x *chaos) play(t *testing.T) {
	x.stopped = map[string]bool{}
	for range 3 {
		x.arrive()
	}
	x.evenly(x.alive...)
	for i := range 8 {
		x.one().put(fmt.Sprint("every", i), schedule.Every(time.Duration(7+i)*time.Second))
	}
	for range 300 {
		x.step(t)
		time.Sleep(time.Duration(x.r.IntN(3000)) * time.Millisecond)
		synctest.Wait()
		for _, n := range x.alive {
			if err := n.d.Invariants(); err != nil {
				t.Fatalf("of %s: %v", n.name, err)
			}
		}
	}
	if x.kinds != nil {
		x.arrive(x.kinds...)
	}
	x.evenly(x.alive...)
	time.Sleep(2 * time.Minute) // longer than any lease and any run
	synctest.Wait()
	for _, name := range x.put {
		x.judge(t, name)
	}
	for _, n := range x.alive {
		st := n.stats()
		if st.Overdue.Tasks != 0 || st.StoreErrors != 0 {
			t.Errorf("%s is behind by %d tasks and has counted %d errors of the store", n.name, st.Overdue.Tasks, st.StoreErrors)
		}
	}
	for i := range 8 {
		rs := x.of(fmt.Sprint("every", i))
		if d := time.Since(rs[len(rs)-1].at); d > 2*time.Duration(7+i)*time.Second+12*time.Second {
			t.Errorf("every%d ran last %v ago", i, d)
		}
		seen := map[string]int{}
		for _, r := range rs {
			if seen[r.RunID]++; seen[r.RunID] > 1+x.faults {
				t.Errorf("%s ran %d times", r.RunID, seen[r.RunID])
			}
		}
	}
}

func (x *chaos) one() *node { return x.alive[x.r.IntN(len(x.alive))] }

// arrive adds a node whose handlers take up to ten seconds. It handles some kinds besides the one that all do.
func (x *chaos) arrive(kinds ...string) {
	x.made++
	n := x.join(fmt.Sprint("n", x.made), time.Duration(x.r.IntN(60_000)-30_000)*time.Millisecond, int64(x.r.IntN(400)-200), slow)
	for _, kind := range kinds {
		n.handles(kind, slow)
	}
	x.work(n)
	x.alive = append(x.alive, n)
}

func slow(ctx context.Context, a *duly.Attempt[string]) error {
	return takes(time.Duration(a.Fence*7919%10_000)*time.Millisecond)(ctx, a)
}

// some are some of the kinds.
func (x *chaos) some() (kinds []string) {
	for _, kind := range x.kinds {
		if x.r.IntN(3) == 0 {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// step does one thing.
func (x *chaos) step(t *testing.T) {
	switch k := x.r.IntN(20); {
	case k == 0 && len(x.alive) > 1 && x.faults < 5:
		x.faults++
		i := x.r.IntN(len(x.alive))
		n := x.alive[i]
		x.alive = slices.Delete(x.alive, i, i+1)
		x.kill(n)
		x.evenly(x.alive...)
	case k == 1 && len(x.alive) > 1:
		i := x.r.IntN(len(x.alive))
		n := x.alive[i]
		x.alive = slices.Delete(x.alive, i, i+1)
		if err := n.d.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		n.leave()
	case k <= 3 && len(x.alive) < 5:
		x.arrive(x.some()...)
		if x.r.IntN(2) == 0 {
			x.beat()
		}
	case k <= 7: // shards move, some to nobody
		to := append(slices.Clone(x.alive), nil)
		table := make([]*node, 256)
		for s := range table {
			table[s] = to[x.r.IntN(len(to))]
		}
		x.divide(func(s int) *node { return table[s] })
	case k == 8:
		x.one().clk.step(time.Duration(x.r.IntN(60)-30) * time.Second)
	case k == 9 && len(x.put) > 0:
		name := x.put[x.r.IntN(len(x.put))]
		out, err := x.one().d.CancelRunning(t.Context(), name)
		if err != nil {
			t.Error(err)
		}
		if out == duly.Cancelled || out == duly.Running {
			x.stopped[name] = true
		}
	case k <= 11:
		x.tell(store.Hint{At: store.Over})
	default:
		name := fmt.Sprint("once", len(x.put))
		x.put = append(x.put, name)
		s := schedule.After(time.Duration(x.r.IntN(20_000)) * time.Millisecond)
		if i := x.r.IntN(len(x.kinds) + 1); i > 0 {
			x.one().declares(x.kinds[i-1], []string{name}, s)
			return
		}
		x.one().put(name, s)
	}
}

// judge holds the attempts at a one-off to what was done to it.
func (x *chaos) judge(t *testing.T, name string) {
	t.Helper()
	rs := x.of(name)
	good := 0
	for i, r := range rs {
		switch {
		case r.cut:
		case r.err == nil && !r.ended.IsZero():
			good++
		case i == len(rs)-1 && !x.stopped[name]:
			t.Errorf("the last attempt at %s ended with %v", name, r.err)
		}
		if i < len(rs)-1 && !r.cut && !errors.Is(r.cause, duly.ErrClosing) {
			t.Errorf("attempt %d at %s on %s, which has not died, is followed by another: %v", i+1, name, r.on, r.err)
		}
	}
	switch {
	case x.stopped[name]:
	case good != 1:
		t.Errorf("%d attempts at %s ended well, want 1", good, name)
	}
	ts, err := x.mem.Get(t.Context(), []store.Key{{Name: name}})
	if err != nil || ts[0] != nil {
		t.Errorf("%s is still there: %v, %v", name, ts[0], err)
	}
}
