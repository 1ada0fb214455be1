package duly_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
)

// What becomes of tasks whose kinds not all of the processes handle.

// declares puts tasks of a kind that a node need not handle.
func (n *node) declares(kind string, names []string, s schedule.Schedule, opts ...duly.PutOption) {
	n.c.Helper()
	k := duly.Declare[string](n.d, kind)
	for _, name := range names {
		if _, err := k.Put(n.c.Context(), name, "", s, opts...); err != nil {
			n.c.Fatal(err)
		}
	}
}

// waited puts tasks as they are that were put long ago and were due at once.
func (n *node) waited(kind string, names []string, since time.Time) {
	n.c.Helper()
	at, puts := store.At(since), make([]store.Put, 0, len(names))
	for _, name := range names {
		puts = append(puts, store.Put{
			Key: store.Key{Name: name}, Spec: store.Spec{Kind: kind, Schedule: schedule.At(since).String(), Payload: []byte(`""`)},
			When: store.On(store.Occurrence{For: at, Due: at}), AcceptedAt: at,
		})
	}
	res, err := n.Put(n.c.Context(), puts)
	for i := range res {
		err = errors.Join(err, res[i].Err)
	}
	if err != nil {
		n.c.Fatal(err)
	}
}

// wantOn fails the test unless each of these ran so often, and on these nodes only, and began no later than so long after an instant and its
// being due.
func (c *cluster) wantOn(names []string, times int, after time.Time, most time.Duration, nodes ...*node) {
	c.Helper()
	for _, name := range names {
		rs := c.of(name)
		if len(rs) != times {
			c.Errorf("%s ran %d times, want %d", name, len(rs), times)
		}
		for _, r := range rs {
			due := r.Due
			if due.Before(after) {
				due = after
			}
			if !slices.ContainsFunc(nodes, func(n *node) bool { return n.name == r.on }) || r.at.Sub(due) > most {
				c.Errorf("%s ran on %s, %v late; want it on %d others, at most %v late", name, r.on, r.at.Sub(due), len(nodes), most)
			}
		}
	}
}

// Only the process that was deployed last handles a kind: it runs what the others' shards have of it, what is overdue at once, and from then
// on in time.
//
// contract: C2, C5
func TestCluster_RollingDeploy(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a, b := c.join("a", 0, 0, quick), c.join("b", 0, 0, quick)
		c.work(a, b)
		c.evenly(a, b)
		early := slices.Concat(a.names("early", 10), b.names("early", 10))
		a.declares("x", early, schedule.After(time.Second))
		time.Sleep(time.Minute)
		if w := a.why(early[0]); w != duly.WhyNoHandler {
			t.Errorf("what nobody handles: %s, want no_handler", w)
		}
		if x, y := a.stats().Unhandled.Tasks, b.stats().Unhandled.Tasks; x != 10 || y != 10 {
			t.Errorf("%d and %d are unhandled, want 10 each", x, y)
		}
		if n := len(c.runs()); n != 0 {
			t.Fatalf("%d have run that nobody handles", n)
		}
		d := c.join("d", 0, 0, quick)
		d.handles("x", quick)
		c.work(d)
		came := time.Now()
		c.beat() // it has no shard yet
		time.Sleep(10 * time.Millisecond)
		c.wantOn(early, 1, came, 3*time.Millisecond, d)
		if x, y := a.stats().Unhandled.Tasks, b.stats().Unhandled.Tasks; x+y != 0 {
			t.Errorf("%d and %d are unhandled still, want none", x, y)
		}
		later, every := slices.Concat(a.names("later", 10), b.names("later", 10)), a.names("every", 3)
		a.declares("x", later[:10], schedule.After(5*time.Second))
		b.declares("x", later[10:], schedule.After(time.Hour))
		a.declares("x", every, schedule.Every(time.Second).Times(10))
		c.evenly(a, b, d)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		c.wantOn(later, 1, came, 3*time.Millisecond, d)
		c.wantOn(every, 10, came, 3*time.Millisecond, d)
		for _, n := range []*node{a, b, d} {
			if n.count("Claim refused") != 0 || n.stats().Overdue.Tasks != 0 {
				t.Errorf("%s: %d claims refused, %d overdue, want none", n.name, n.count("Claim refused"), n.stats().Overdue.Tasks)
			}
		}
		if n := a.count("Claim") + b.count("Claim"); n != 0 {
			t.Errorf("%d claims by those who do not handle it", n)
		}
	})
}

// What the owner of a shard does not handle is said to be elsewhere, and is not in its backlog, also when whoever has it is behind.
//
// contract: C5, K2
func TestCluster_WhyNotOfAnotherKind(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a, b := c.join("a", 0, 0, quick), c.idle("b", 0, 0)
		hold := make(chan struct{})
		b.handles("x", func(context.Context, *duly.Attempt[string]) error { <-hold; return nil }, duly.Limit(1))
		c.work(a, b)
		c.evenly(a)
		names := a.names("x", 3)
		long := time.Now().Add(-20 * 24 * time.Hour)
		a.waited("x", names, long)
		a.waited("z", []string{"nobody's"}, long)
		time.Sleep(time.Hour)
		synctest.Wait()
		codes := map[duly.WhyCode]int{}
		for _, name := range names {
			codes[b.why(name)]++
			if w, text := a.reason(name); w != duly.WhyRunning && (w != duly.WhyElsewhere || !strings.HasSuffix(text, ", and its kind, x, is handled by another process: that has it")) {
				t.Errorf("by the owner: %s %q, want elsewhere, by its kind", w, text)
			}
		}
		if codes[duly.WhyRunning] != 1 || codes[duly.WhyKindLimit] != 2 {
			t.Errorf("by who has it: %v, want one that runs and two that wait for their kind", codes)
		}
		if w := a.why("nobody's"); w != duly.WhyDead {
			t.Errorf("what nobody has handled for 14 days: %s, want dead", w)
		}
		if x, y := a.stats(), b.stats(); x.Unhandled.Tasks != 0 || x.Overdue.Tasks != 0 || y.Overdue.Tasks != 2 {
			t.Errorf("%+v and %+v are behind, want two by who has them", x, y)
		}
		close(hold)
		synctest.Wait()
		c.wantOn(names, 1, time.Now(), 0, b)
	})
}

// The only process that handles a kind dies in the middle of a run, in shards of one that does not. Another that handles it goes on; and if there is none
// it waits, as lost once more, for one to come back.
//
// contract: C4, C5, D5
func TestCluster_TheOnlyHandlerDies(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a, b, d := c.join("a", 0, 0, quick), c.idle("b", 0, 0), c.idle("d", 0, 0)
		b.handles("x", takes(time.Hour))
		c.work(a, b)
		c.evenly(a)
		names, later := a.names("x", 4), a.names("later", 4)
		a.declares("x", names, schedule.After(0))
		a.declares("x", later, schedule.After(time.Minute))
		time.Sleep(time.Second)
		c.wantOn(names, 1, time.Now(), 0, b)
		c.kill(b)
		d.handles("x", takes(time.Hour))
		c.work(d)
		c.beat()
		time.Sleep(time.Second)
		for _, name := range names {
			if rs := c.of(name); len(rs) == 0 || rs[0].on != "b" || len(rs) == 2 && (rs[1].on != "d" || rs[1].Lost != 1) {
				t.Errorf("attempts at %s: %+v, want one on b, and then one on d", name, rs)
			}
		}
		if n := len(c.runs()); n != 5 { // what is suspect goes one at a time
			t.Errorf("%d attempts, want 5", n)
		}
		c.kill(d)
		c.beat()
		time.Sleep(2 * time.Minute)
		if n := a.stats().Kinds["x"].Dead; n != 0 || len(c.runs()) != 5 {
			t.Errorf("%d are dead, and there were %d attempts; want none, and 5", n, len(c.runs()))
		}
		if w := a.why(later[0]); w != duly.WhyNoHandler {
			t.Errorf("while nobody handles it: %s, want no_handler", w)
		}
		e := c.idle("e", 0, 0)
		e.handles("x", quick)
		c.work(e)
		back := time.Now()
		c.beat()
		time.Sleep(time.Second)
		synctest.Wait()
		c.wantOn(later, 1, back, 5*time.Millisecond, e)
		for _, name := range names {
			if rs := c.of(name); rs[len(rs)-1].on != "e" || rs[len(rs)-1].err != nil {
				t.Errorf("attempts at %s: %+v, want the last on e", name, rs)
			}
		}
	})
}

// Two processes handle a kind and own nothing of it by its shard: they share it, and each runs once.
//
// contract: C5, D1, D6
func TestCluster_TwoHandlersThatAreNotTheOwner(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a, b, d := c.idle("a", 0, 0), c.idle("b", 0, 0), c.idle("d", 0, 0)
		var most, now [2]atomic.Int64
		for i, n := range []*node{b, d} {
			n.handles("x", func(ctx context.Context, at *duly.Attempt[string]) error {
				most[i].Store(max(most[i].Load(), now[i].Add(1)))
				defer now[i].Add(-1)
				return takes(10*time.Millisecond)(ctx, at)
			}, duly.Limit(2))
		}
		c.work(a, b, d)
		c.evenly(a) // which handles nothing, and swallows nothing
		names := a.names("x", 200)
		for i, n := range []*node{a, b, d} {
			n.declares("x", names[i*66:i*66+66], schedule.After(time.Duration(i)*time.Second))
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		on := map[string]int{}
		c.mu.Lock()
		for i := range c.ran {
			on[c.ran[i].on]++
		}
		c.mu.Unlock()
		c.wantOn(names[:198], 1, time.Now(), 0, b, d)
		if on["b"] < 40 || on["d"] < 40 {
			t.Errorf("they ran %v, want about a half each", on)
		}
		if x, y := most[0].Load(), most[1].Load(); x != 2 || y != 2 {
			t.Errorf("%d and %d ran at a time, want the limit of each, 2", x, y)
		}
		for _, name := range []string{"Due", "Claim", "Edit"} {
			if n := a.count(name); name != "Due" && n != 0 {
				t.Errorf("%d calls of %s by who handles nothing", n, name)
			}
		}
		if n := b.count("Claim refused") + d.count("Claim refused"); n != 0 {
			t.Errorf("%d claims were refused, want none", n)
		}
	})
}

// A kind that is handled from now on, while the scheduler runs, is known to others with the next heartbeat.
//
// contract: C5
func TestCluster_HandledWhileItRuns(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a, b := c.join("a", 0, 0, quick), c.idle("b", 0, 0)
		c.work(a, b)
		c.evenly(a)
		first, second := a.names("first", 3), a.names("second", 3)
		a.declares("x", first, schedule.After(0))
		a.declares("y", second, schedule.After(0))
		time.Sleep(time.Minute)
		begun := time.Now()
		b.handles("x", quick)
		a.handles("y", quick)
		synctest.Wait()
		time.Sleep(10 * time.Millisecond)
		c.wantOn(first, 0, begun, 0)
		c.wantOn(second, 1, begun, 3*time.Millisecond, a) // they are in its own shards
		heard := time.Now()
		c.beat()
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		c.wantOn(first, 1, heard, 3*time.Millisecond, b)
		a.handles("x", quick)
		c.beat()
		third := a.names("third", 3)
		b.declares("x", third, schedule.After(time.Second))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		c.wantOn(third, 1, heard, 3*time.Millisecond, a)
	})
}

// A task that is replaced by one of another kind becomes another process's, in either direction, also at the same instant.
//
// contract: A7, B1, C5
func TestCluster_ReplacedByAnotherKind(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a, b := c.join("a", 0, 0, quick), c.idle("b", 0, 0)
		b.handles("x", quick)
		c.work(a, b)
		c.evenly(a)
		due := time.Now().Add(5 * time.Second)
		toX, toK, far := a.names("tox", 2), a.names("tok", 2), a.names("far", 2)
		a.declares("k", toX, schedule.At(due))
		a.declares("x", toK, schedule.At(due))
		a.declares("x", far, schedule.At(due.Add(time.Hour)))
		time.Sleep(time.Second) // both have seen theirs
		for i, n := range []*node{a, b} {
			n.declares("x", toX[i:i+1], schedule.At(due), duly.AnyKind())
			n.declares("k", toK[i:i+1], schedule.At(due), duly.AnyKind())
			n.declares("k", far[i:i+1], schedule.At(due.Add(time.Second)), duly.AnyKind())
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		c.wantOn(toX, 1, due, 3*time.Millisecond, b)
		c.wantOn(slices.Concat(toK, far), 1, due, 3*time.Millisecond, a)
		if st := b.stats(); st.Near != 0 || st.Overdue.Tasks != 0 {
			t.Errorf("%d are near and %d overdue where nothing is left", st.Near, st.Overdue.Tasks)
		}
	})
}

// What nobody handles is dead after 14 days, once, whoever has come and gone meanwhile.
//
// contract: C5
func TestCluster_NobodyHandlesIt(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a, b := c.join("a", 0, 0, quick), c.join("b", 0, 0, quick)
		c.work(a, b)
		c.evenly(a, b)
		names := slices.Concat(a.names("z", 3), b.names("z", 3))
		a.waited("z", names, time.Now().Add(-14*24*time.Hour+time.Hour))
		time.Sleep(30 * time.Minute)
		c.evenly(b, a)
		time.Sleep(29 * time.Minute)
		if n := a.stats().Store.Tasks; n != 6 {
			t.Errorf("%d are there before the time, want 6", n)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		for _, name := range names {
			evs, err := c.mem.History(t.Context(), store.HistoryQuery{Key: store.Key{Name: name}})
			if err != nil || len(evs) != 1 || evs[0].Verb != store.VerbBury || evs[0].To != store.Dead {
				t.Errorf("the history of %s is %+v, %v; want one death", name, evs, err)
			}
		}
		d := c.idle("d", 0, 0)
		d.handles("z", quick)
		c.work(d)
		c.beat()
		time.Sleep(time.Minute)
		c.wantOn(names, 0, time.Now(), 0)
		back := time.Now()
		if n, err := a.d.Redrive(t.Context(), duly.Query{Prefix: "z"}); n != len(names) || err != nil {
			t.Errorf("%d were redriven, %v", n, err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		c.wantOn(names, 1, back, 3*time.Millisecond, d)
	})
}

// When what nobody handles is dead is said before: two weeks after it could have run, which is not before it was put, and not in the ten minutes
// after a process has come or gone.
//
// contract: C5
func TestCluster_WhyNotUntilItIsDead(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a, b := c.join("a", 0, 0, quick), c.join("b", 0, 0, quick)
		c.work(a, b)
		c.evenly(a, b)
		begun := time.Now()
		soon, late := a.names("soon", 1)[0], a.names("late", 1)[0]
		a.waited("z", []string{soon}, begun.Add(-20*24*time.Hour))
		a.declares("z", []string{late}, schedule.At(begun.Add(-20*24*time.Hour)))
		time.Sleep(5 * time.Minute)
		c.evenly(a)
		came := time.Now()
		for name, want := range map[string]time.Time{soon: came.Add(10 * time.Minute), late: begun.Add(14 * 24 * time.Hour)} {
			w, err := a.d.WhyNot(t.Context(), name)
			if d := w.Until.Sub(want).Abs(); err != nil || w.Code != duly.WhyNoHandler || d > 20*time.Millisecond {
				t.Errorf("of %s: %s until %v, error %v; want no_handler until %v", name, w.Code, w.Until, err, want)
			}
		}
		time.Sleep(10*time.Minute - 50*time.Millisecond)
		if w := a.why(soon); w != duly.WhyNoHandler {
			t.Errorf("before that time: %s, want no_handler", w)
		}
		time.Sleep(100 * time.Millisecond)
		if x, y := a.why(soon), a.why(late); x != duly.WhyDead || y != duly.WhyNoHandler {
			t.Errorf("after that time: %s and %s, want dead and no_handler", x, y)
		}
	})
}

// Who handles a kind is being started anew. What is long overdue of it is not dead by that, in the shards of one that does not.
//
// contract: C5
func TestCluster_TheOnlyHandlerIsStartedAnew(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a, b, d := c.join("a", 0, 0, quick), c.idle("b", 0, 0), c.idle("d", 0, 0)
		b.handles("x", takes(time.Hour), duly.Limit(1))
		d.handles("x", quick)
		c.work(a, b)
		c.evenly(a)
		names := a.names("x", 20)
		a.waited("x", names, time.Now().Add(-20*24*time.Hour))
		time.Sleep(time.Minute)
		begun := c.runs()
		b.leave()
		time.Sleep(time.Minute)
		if len(begun) != 1 || a.stats().Kinds["x"].Dead != 0 {
			t.Errorf("%v had begun, and %d are dead, want one and none", begun, a.stats().Kinds["x"].Dead)
		}
		c.work(d)
		c.beat()
		time.Sleep(time.Minute)
		for _, name := range names {
			if rs := c.of(name); len(rs) == 0 || rs[len(rs)-1].on != "d" || rs[len(rs)-1].err != nil {
				t.Errorf("attempts at %s: %+v, want the last on d", name, rs)
			}
		}
	})
}

// A store that does not know yet, or knows already, of what is handled refuses what we take for ours: it is tried again, and is whose the store says
// as soon as we are told.
//
// contract: C5, D1
func TestCluster_ClaimsOfAnotherKind(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a, b := c.join("a", 0, 0, quick), c.idle("b", 0, 0)
		b.handles("x", quick)
		c.work(a, b)
		c.evenly(a)
		c.mu.Lock()
		a.handle = map[string]bool{"k": true, "x": true} // and b is not told
		c.mu.Unlock()
		names := a.names("x", 3)
		a.declares("x", names, schedule.After(0))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := b.count("Claim refused"); n < 3 || n > 12*len(names) {
			t.Errorf("%d claims were refused in ten seconds, want now and then", n)
		}
		c.wantOn(names, 0, time.Now(), 0)
		told := time.Now()
		a.handles("x", quick)
		c.beat()
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		c.wantOn(names, 1, told, 5*time.Millisecond, a)
	})
}

// Processes that handle different kinds come, die and trade shards, and each occurrence of whatever kind runs to its end as long as somebody
// who handles it is there in the end.
//
// contract: C4, C5, D1
func TestCluster_RandomKinds(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			inCluster(t, func(t *testing.T, c *cluster) {
				x := newChaos(c, seed)
				x.kinds = []string{"p", "q", "r"}
				x.play(t)
			})
		})
	}
}

// Processes tell each other which kinds they handle, up to a number. Who handles more is told so at once, and not by tasks that are dead two weeks
// later because the others know of nobody who handles them.
//
// contract: A6, C5
func TestCluster_TooManyKinds(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a := c.idle("a", 0, 0)
		for i := range store.MaxKinds {
			if _, err := a.handles(fmt.Sprint("kind", i), quick).Put(t.Context(), "a", "", schedule.After(0), duly.AnyKind()); err != nil {
				t.Fatal(err)
			}
		}
		_, err := a.handles("more", quick).Put(t.Context(), "a", "", schedule.After(0))
		if !errors.Is(err, duly.ErrInvalid) || !strings.Contains(err.Error(), `kind is "more", want one of the 1000 that`) {
			t.Errorf("Put of a kind too many: %v, want the kind and the limit", err)
		}
		if got := a.d.Run(t.Context()); !errors.Is(got, duly.ErrInvalid) || !strings.Contains(got.Error(), "1000") {
			t.Errorf("Run: %v, want the same", got)
		}
		if err := a.d.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
