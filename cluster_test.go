package duly_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
)

// What several processes do with one store that divides its shards among them.

// inCluster runs a test in a bubble.
func inCluster(t *testing.T, f func(t *testing.T, c *cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		f(t, c)
		c.end()
	})
}

func quick(context.Context, *duly.Attempt[string]) error { return nil }

// takes is a handler that takes so long, or as long as its context lasts.
func takes(d time.Duration) func(context.Context, *duly.Attempt[string]) error {
	return func(ctx context.Context, _ *duly.Attempt[string]) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (n *node) put(name string, s schedule.Schedule, opts ...duly.PutOption) {
	n.c.Helper()
	if _, err := n.kind.Put(n.c.Context(), name, "", s, opts...); err != nil {
		n.c.Fatal(err)
	}
}

// much makes so many entries of the history.
func (n *node) much(entries int) {
	n.c.Helper()
	n.put("much", schedule.After(time.Hour))
	for i := range entries {
		if _, err := n.d.Move(n.c.Context(), "much", schedule.After(time.Hour+time.Duration(i))); err != nil {
			n.c.Fatal(err)
		}
	}
}

func (n *node) stats() duly.Stats {
	n.c.Helper()
	st, err := n.d.Stats(n.c.Context())
	if err != nil {
		n.c.Fatal(err)
	}
	return st
}

func (n *node) why(name string) duly.WhyCode {
	n.c.Helper()
	code, _ := n.reason(name)
	return code
}

// reason is why a task does not run, also in words.
func (n *node) reason(name string) (code duly.WhyCode, text string) {
	n.c.Helper()
	w, err := n.d.WhyNot(n.c.Context(), name)
	if err != nil {
		n.c.Fatal(err)
	}
	return w.Code, w.Text
}

// wantLate fails the test if an attempt was later than that.
func (c *cluster) wantLate(most time.Duration) {
	c.Helper()
	if d, on := c.late(); d > most {
		c.Errorf("an attempt on %s was %v late, want at most %v", on, d, most)
	}
}

// of returns the attempts at a name.
func (c *cluster) of(name string) (all []ran) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.ran {
		if c.ran[i].Name == name {
			all = append(all, c.ran[i])
		}
	}
	return all
}

// names returns so many names in shards of a node.
func (n *node) names(prefix string, most int) []string { return n.c.names(n, prefix, most) }

// names returns so many names in shards of a node; nil: in those that are nobody's.
func (c *cluster) names(n *node, prefix string, most int) (all []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := 0; len(all) < most; i++ {
		name := fmt.Sprint(prefix, i)
		if c.owner[store.Key{Name: name}.Shard()] == n {
			all = append(all, name)
		}
	}
	return all
}

// Two processes whose clocks are a minute apart share the work: each occurrence runs once, in time, on the owner of its shard.
//
// contract: C1, C4, D1, H1
func TestCluster_TwoShareTheWork(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a, b := c.join("a", 30*time.Second, 0, quick), c.join("b", -30*time.Second, 0, quick)
		c.work(a, b)
		c.evenly(a, b)
		begun := time.Now()
		for i := range 100 {
			n := []*node{a, b}[i/2%2]
			n.put(fmt.Sprint("in", i), schedule.After(time.Duration(i)*100*time.Millisecond))
			n.put(fmt.Sprint("at", i), schedule.At(begun.Add(time.Duration(i)*300*time.Millisecond)))
			if i < 20 {
				n.put(fmt.Sprint("every", i), schedule.Every(7*time.Second))
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		on := map[string]int{}
		ids := map[string]bool{}
		c.mu.Lock()
		for i := range c.ran {
			r := &c.ran[i]
			on[r.on]++
			ids[r.RunID] = true
			if o := c.owner[store.Key{Name: r.Name}.Shard()]; o.name != r.on {
				t.Errorf("%s ran on %s, whose shard is %s's", r.RunID, r.on, o.name)
			}
		}
		n := len(c.ran)
		c.mu.Unlock()
		if want := 100 + 100 + 20*8; n != want || len(ids) != want {
			t.Errorf("%d attempts at %d runs, want %d", n, len(ids), want)
		}
		if on["a"] < n/4 || on["b"] < n/4 {
			t.Errorf("they ran %v, want about a half each", on)
		}
		c.wantLate(3 * time.Millisecond)
		for _, n := range []*node{a, b} {
			if n.count("Claim refused")+n.count("Due of all") != 0 || n.stats().StoreErrors != 0 {
				t.Errorf("%s: %d claims in shards of the other, %d reads of all shards, %d errors of the store; want none", n.name,
					n.count("Claim refused"), n.count("Due of all"), n.stats().StoreErrors)
			}
		}
	})
}

// What a process that is killed has leased is rescued by whoever gets its shards, at once, and what comes due in them runs there.
//
// contract: C4, D5
func TestCluster_AKilledNode(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a, b := c.join("a", 0, 0, takes(time.Hour)), c.join("b", 5*time.Second, 0, quick)
		c.work(a, b)
		c.evenly(a, b)
		running, later := a.names("run", 5), a.names("later", 5)
		for _, name := range running {
			b.put(name, schedule.After(time.Second))
		}
		for _, name := range later {
			b.put(name, schedule.After(time.Minute))
		}
		time.Sleep(10 * time.Second)
		c.kill(a)
		time.Sleep(time.Second)
		taken := time.Now()
		c.evenly(b)
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, name := range running {
			rs := c.of(name)
			if len(rs) != 2 || rs[1].on != "b" || rs[1].Lost != 1 || rs[1].at.Sub(taken) > 10*time.Millisecond {
				t.Errorf("attempts at %s: %+v, want a second one on b when it has the shard", name, rs)
			}
		}
		for _, name := range later {
			if rs := c.of(name); len(rs) != 1 || rs[0].on != "b" || rs[0].at.Sub(rs[0].Due) > 3*time.Millisecond {
				t.Errorf("attempts at %s: %+v, want one on b, in time", name, rs)
			}
		}
		if n := b.stats().Kinds["k"].Lost; n != 5 {
			t.Errorf("b has counted %d lost leases, want 5", n)
		}
	})
}

// A task that ends each process it runs in is dead after three, whoever has its shard; what ran beside it is not.
//
// contract: D5
func TestCluster_PoisonThroughKills(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		var nodes []*node
		for i := range 5 {
			nodes = append(nodes, c.join(fmt.Sprint("n", i), 0, 0, func(ctx context.Context, a *duly.Attempt[string]) error {
				if a.Name == "poison" {
					return takes(time.Hour)(ctx, a)
				}
				return takes(10*time.Second)(ctx, a)
			}))
		}
		c.work(nodes...)
		c.evenly(nodes[4]) // another death before, of which nodes[3] sees something that was never lost
		nodes[4].put("early", schedule.After(0))
		time.Sleep(time.Second)
		c.kill(nodes[4])
		c.evenly(nodes[3])
		time.Sleep(time.Minute)
		c.evenly(nodes[0])
		nodes[0].put("poison", schedule.After(0))
		nodes[0].put("beside", schedule.After(6*time.Second))
		for i, n := range nodes[:3] {
			time.Sleep(15 * time.Second)
			if k := len(c.of("poison")); k != i+1 {
				t.Errorf("after %d kills there were %d attempts at what kills, want %d", i, k, i+1)
			}
			c.kill(n)
			c.evenly(nodes[i+1])
		}
		time.Sleep(15 * time.Second)
		rs := c.of("beside")
		if len(rs) != 2 || rs[1].err != nil || rs[1].ended.IsZero() {
			t.Errorf("attempts at what ran beside it: %+v, want a second one that ended well", rs)
		}
		if w := nodes[3].why("poison"); w != duly.WhyDead || len(c.of("poison")) != 3 {
			t.Errorf("what kills is %s, want dead", w)
		}
	})
}

// Who is lost for the third time is not dead if its process ran another as well, though that is in a shard which somebody else has by then.
//
// contract: D5
func TestCluster_ALossBesideAnothers(t *testing.T) {
	for _, beside := range []string{"another's", "another's, much else since", "nobody's", "seen by nobody", "nothing"} {
		t.Run("beside="+beside, func(t *testing.T) {
			inCluster(t, func(t *testing.T, c *cluster) {
				var nodes []*node
				for i := range 5 {
					nodes = append(nodes, c.join(fmt.Sprint("n", i), 0, 0, takes(time.Hour)))
				}
				c.work(nodes...)
				c.evenly(nodes[3], nodes[4])
				twice, other := nodes[4].names("twice", 1)[0], nodes[3].names("other", 1)[0]
				c.evenly(nodes[0])
				nodes[0].put(twice, schedule.After(0))
				for i := range 2 {
					time.Sleep(time.Minute)
					c.kill(nodes[i])
					c.evenly(nodes[i+1])
				}
				if beside != "nothing" {
					nodes[2].put(other, schedule.After(0))
				}
				time.Sleep(time.Minute)
				c.mu.Lock()
				nodes[2].unseen = beside == "seen by nobody"
				c.mu.Unlock()
				c.kill(nodes[2])
				nodes[4].breakNext("Due of all", 1) // what is not found out at once is at the next try
				if beside == "nobody's" {
					c.evenly(nil, nodes[4])
				} else {
					c.evenly(nodes[3], nil)
					time.Sleep(time.Second) // what ran beside it is rescued, and runs again
					if beside == "another's, much else since" {
						nodes[3].much(1200)
					}
					c.evenly(nodes[3], nodes[4])
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				want, attempts := duly.WhyRunning, 4
				if beside == "nothing" {
					want, attempts = duly.WhyDead, 3
				}
				if w, n := nodes[3].why(twice), len(c.of(twice)); w != want || n != attempts {
					t.Errorf("it is %s after %d attempts, want %s after %d", w, n, want, attempts)
				}
			})
		})
	}
}

// Whether a third loss is the last is found out also while more is due than is kept in memory.
//
// contract: D5
func TestCluster_AThirdLossInABacklog(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		const workers, window = 10_000, 16_384
		var nodes []*node
		for i := range 4 {
			nodes = append(nodes, c.join(fmt.Sprint("n", i), 0, 0, takes(time.Hour)))
		}
		c.work(nodes...)
		nodes[0].put("kills", schedule.After(0))
		c.evenly(nodes[0])
		for i, n := range nodes[:3] {
			time.Sleep(time.Minute)
			if i == 2 {
				for j := range workers + window {
					n.put(fmt.Sprint("later", j), schedule.After(time.Minute))
				}
			}
			c.kill(n)
			time.Sleep(2 * time.Minute)
			c.evenly(nodes[i+1])
		}
		time.Sleep(time.Second)
		if w := nodes[3].why("kills"); w != duly.WhyDead {
			t.Errorf("what was lost three times is %s, want dead", w)
		}
	})
}

// Shards that move while attempts run do no harm: the attempts go on and end well, and what comes after them runs on the new owner.
//
// contract: D1, D3, G1
func TestCluster_ShardsMoveWhileAttemptsRun(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a, b := c.join("a", 0, 0, takes(20*time.Second)), c.join("b", 0, 0, takes(20*time.Second))
		c.work(a, b)
		c.evenly(a, b)
		begun := time.Now()
		for i := range 20 {
			a.put(fmt.Sprint("once", i), schedule.After(time.Duration(i)*3*time.Second))
			b.put(fmt.Sprint("pace", i), schedule.Pace(10*time.Second))
			b.put(fmt.Sprint("every", i), schedule.Every(50*time.Second))
		}
		for i := range 120 {
			time.Sleep(5 * time.Second)
			if i%2 == 0 {
				c.evenly(b, a)
			} else {
				c.evenly(a, b)
			}
		}
		synctest.Wait()
		for _, n := range []*node{a, b} {
			if k := n.count("Claim refused"); k > 20 { // those that were under way when it lost the shard
				t.Errorf("%s has made %d claims in shards of the other", n.name, k)
			}
			if k := n.stats().Kinds["k"]; k.Lost+k.Fenced+k.Failed+k.Dead != 0 {
				t.Errorf("%s has counted %d lost, %d fenced, %d failed, %d dead, want none", n.name, k.Lost, k.Fenced, k.Failed, k.Dead)
			}
		}
		for i := range 20 {
			if rs := c.of(fmt.Sprint("once", i)); len(rs) != 1 || rs[0].err != nil {
				t.Errorf("attempts at once%d: %+v, want one", i, rs)
			}
			for j, r := range c.of(fmt.Sprint("pace", i)) { // 10 s after the end of the one before
				if want := begun.Add(10*time.Second + time.Duration(j)*30*time.Second); r.at.Sub(want) > 100*time.Millisecond || r.at.Before(want) {
					t.Fatalf("attempt %d at pace%d began %v after the beginning, want %v", j+1, i, r.at.Sub(begun), want.Sub(begun))
				}
			}
			if n := len(c.of(fmt.Sprint("every", i))); n != 12 {
				t.Errorf("%d attempts at every%d, want 12", n, i)
			}
		}
	})
}

// What was leased with a claim whose answer is lost is given back, also if its shard is another's by then, and so begins there at once and
// not when the lease ends; of what else is in that shard nothing is done.
//
// contract: D3, D5
func TestCluster_ALostAnswerAndALostShard(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a, b := c.join("a", 0, 0, quick), c.join("b", 0, 0, quick)
		c.work(a, b)
		c.evenly(a)
		a.put("later", schedule.After(10*time.Second))
		a.put("at once", schedule.After(5*time.Second))
		c.mu.Lock()
		a.torn = func() { c.divide(func(int) *node { return b }) }
		c.mu.Unlock()
		time.Sleep(20 * time.Second)
		synctest.Wait()
		for _, name := range []string{"at once", "later"} {
			if rs := c.of(name); len(rs) != 1 || rs[0].on != "b" || rs[0].Lost != 0 || rs[0].at.Sub(rs[0].ScheduledFor) > 100*time.Millisecond {
				t.Errorf("%s ran %+v, want once, on b, at once", name, rs)
			}
		}
		if n := a.count("Claim refused"); n != 0 {
			t.Errorf("a has made %d claims in shards of the other", n)
		}
	})
}

// So it is with a claim that was to catch up: of the newest occurrence, in which the others are folded.
//
// contract: D3, D5
func TestCluster_ALostAnswerToACatchUp(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a := c.join("a", 0, 0, quick)
		a.put("every", schedule.Every(10*time.Second))
		time.Sleep(35 * time.Second)
		c.mu.Lock()
		a.torn = func() {}
		c.mu.Unlock()
		c.work(a)
		c.evenly(a)
		back := time.Now()
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if rs := c.of("every"); len(rs) != 1 || rs[0].Lost != 0 || rs[0].Missed != 2 || rs[0].at.Sub(back) > 100*time.Millisecond {
			t.Errorf("it ran %+v, want once, at once, for the newest of three", rs)
		}
	})
}

// So it is beside a claim that is answered: of what must not start twice, which is claimed by a call of its own.
//
// contract: D3, D5
func TestCluster_ALostAnswerBesideAnother(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a := c.join("a", 0, 0, quick)
		c.work(a)
		c.evenly(a)
		a.put("x", schedule.After(5*time.Second))
		a.put("first", schedule.After(5*time.Second), duly.AtMostOnce())
		c.mu.Lock()
		a.torn = func() {}
		c.mu.Unlock()
		time.Sleep(6 * time.Second)
		synctest.Wait()
		for _, name := range []string{"x", "first"} {
			if rs := c.of(name); len(rs) != 1 || rs[0].Lost != 0 || rs[0].at.Sub(rs[0].ScheduledFor) > 100*time.Millisecond {
				t.Errorf("%s ran %+v, want once, at once", name, rs)
			}
		}
	})
}

// So it is where the store can't be asked until its shard is another's, as when the server fails over.
//
// contract: D3, D5
func TestCluster_ALostAnswerAndAnOutage(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a, b := c.join("a", 0, 0, quick), c.join("b", 0, 0, quick)
		c.work(a, b)
		c.evenly(a)
		a.put("x", schedule.After(5*time.Second))
		c.mu.Lock()
		a.torn = func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			a.away = true
		}
		c.mu.Unlock()
		time.Sleep(6 * time.Second)
		c.divide(func(int) *node { return b })
		synctest.Wait()
		c.mu.Lock()
		a.away = false
		c.mu.Unlock()
		back := time.Now()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if rs := c.of("x"); len(rs) != 1 || rs[0].on != "b" || rs[0].Lost != 0 || rs[0].at.Sub(back) > 3*time.Second {
			t.Errorf("it ran %+v, want once, on b, as soon as the store is tried again, at %v", rs, back)
		}
		if st := a.stats(); st.Near != 0 {
			t.Errorf("%d tasks are near by who owns nothing", st.Near)
		}
	})
}

// A cancel that finds a run claimed is told that it runs. If the answer to the claim was lost no attempt has begun; it is given back, and
// as nobody wants it any more, none will.
//
// contract: D3, E1
func TestCluster_ACancelBehindALostAnswer(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a := c.join("a", 0, 0, quick)
		c.work(a)
		c.evenly(a)
		a.put("x", schedule.After(5*time.Second))
		var found duly.Outcome
		c.mu.Lock()
		a.torn = func() {
			var err error
			if found, err = a.d.Cancel(t.Context(), "x"); err != nil {
				t.Error(err)
			}
		}
		c.mu.Unlock()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if found != duly.Running {
			t.Errorf("the cancel has found it %v, want %v", found, duly.Running)
		}
		if rs := c.of("x"); len(rs) != 0 {
			t.Errorf("it ran: %+v", rs)
		}
		if x, err := a.d.Get(t.Context(), "x"); err == nil {
			t.Errorf("it is still there 5 s after it was given back: %+v", x)
		}
	})
}

// Of many that wait for their key, most are not in memory. When their shards become another's they are in its backlog, and not in ours.
//
// contract: D6, J2
func TestCluster_WhatWaitsForAKeyMoves(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a, b := c.join("a", 0, 0, takes(time.Hour)), c.join("b", 0, 0, takes(time.Second))
		c.work(a, b)
		c.evenly(a)
		for i := range 300 {
			a.put(fmt.Sprint("x", i), schedule.After(0), duly.Key("key", 1))
		}
		time.Sleep(time.Minute)
		if st := a.stats().Overdue; st.Tasks == 0 || st.Oldest < 59*time.Second {
			t.Errorf("%+v is overdue, want what waits for the key", st)
		}
		name, _, _ := strings.Cut(c.runs()[0], " ")
		runs := store.Key{Name: name}.Shard()
		c.divide(func(s int) *node {
			if s == int(runs) {
				return a
			}
			return b
		})
		time.Sleep(10 * time.Millisecond)
		left := 0 // of the same shard as what runs
		for i := range 300 {
			if (store.Key{Name: fmt.Sprint("x", i)}).Shard() == runs {
				left++
			}
		}
		if st := a.stats().Overdue; st.Tasks != left-1 || left == 1 && st.Oldest != 0 {
			t.Errorf("%+v is overdue where %d wait", st, left-1)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := len(c.runs()); n != 300-left+1 {
			t.Errorf("%d ran, want all %d of the other's and one", n, 300-left)
		}
		if a.count("Due of all")+b.count("Due of all")+a.count("Claim refused") != 0 {
			t.Error("shards of others were read, or something in them was claimed")
		}
	})
}

// CancelRunning reaches an attempt in another process at once, where the store tells of it, and else at its next renewal; Await hears of
// its end within a second.
//
// contract: E3
func TestCluster_CancelRunningElsewhere(t *testing.T) {
	for _, tells := range []bool{true, false} {
		t.Run(fmt.Sprintf("tells=%v", tells), func(t *testing.T) {
			inCluster(t, func(t *testing.T, c *cluster) {
				a, b := c.join("a", 0, 0, quick), c.join("b", 0, 0, takes(time.Hour))
				b.deaf = !tells
				c.work(a, b)
				c.evenly(b)
				b.put("x", schedule.After(0))
				time.Sleep(time.Minute + 7*time.Second)
				asked := time.Now()
				if out, err := a.d.CancelRunning(t.Context(), "x"); out != duly.Running || err != nil {
					t.Fatalf("CancelRunning: %v, %v", out, err)
				}
				if err := a.d.Await(t.Context(), "x"); err != nil {
					t.Fatal(err)
				}
				most := 10 * time.Millisecond
				if !tells {
					most = 10 * time.Second
				}
				r := c.of("x")[0]
				if !errors.Is(r.cause, duly.ErrStopped) || r.ended.Sub(asked) > most {
					t.Errorf("it ended %v after it was asked to, because of %v; want at most %v, and ErrStopped", r.ended.Sub(asked), r.cause, most)
				}
				if d := time.Since(r.ended); d > time.Second {
					t.Errorf("Await heard of that after %v", d)
				}
				if w := a.why("x"); w != duly.WhyCancelled {
					t.Errorf("it is %s, want cancelled", w)
				}
			})
		})
	}
}
