package duly_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
)

// What a process does that owns nothing, is told nothing, or is refused.

// A node that owns nothing reads nothing, starts nothing and does not ask for the time, whatever it puts and hears.
//
// contract: C6, D1
func TestCluster_ANodeThatOwnsNothing(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a, b := c.join("a", 0, 0, quick), c.join("b", 0, 0, quick)
		c.work(a, b)
		for _, name := range []string{"Due", "Claim", "Get", "Edit", "Renew"} {
			if n := a.count(name); n != 0 {
				t.Errorf("%d calls of %s by who was not told what is its own", n, name)
			}
		}
		c.evenly(b)
		was := a.count("Clock")
		for i := range 100 {
			time.Sleep(time.Minute)
			a.put(fmt.Sprint("in", i), schedule.After(time.Duration(i)*time.Second))
			a.put(fmt.Sprint("in", i), schedule.After(time.Duration(i)*time.Second), duly.Priority(1))
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		for _, name := range []string{"Due", "Claim", "Get", "Edit", "Renew"} {
			if n := a.count(name); n != 0 {
				t.Errorf("%d calls of %s by who owns nothing", n, name)
			}
		}
		if n := a.count("Clock"); n != was {
			t.Errorf("the time was asked for %d times", n-was)
		}
		if x, y := a.stats().Shards, b.stats().Shards; x != 0 || y != 256 {
			t.Errorf("they own %d and %d shards, want none and all", x, y)
		}
		if n := len(c.runs()); n < 100 {
			t.Errorf("%d of 100 ran on the other", n)
		}
		c.wantLate(3 * time.Millisecond)
	})
}

// What is somebody else's, or nobody's, is said to be so, and is in nobody's backlog here.
func TestCluster_WhyNotElsewhere(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a, b := c.join("a", 0, 0, quick), c.join("b", 0, 0, quick)
		c.work(a, b)
		c.divide(func(s int) *node { return []*node{a, b, nil}[s%3] })
		synctest.Wait()
		other := duly.Declare[string](a.d, "other")
		mine, theirs := a.names("mine", 10), b.names("theirs", 10)
		for _, name := range slices.Concat(mine, theirs) {
			if _, err := other.Put(t.Context(), name, "", schedule.After(0)); err != nil {
				t.Fatal(err)
			}
		}
		nobodys := c.names(nil, "nobody", 1)[0]
		a.put(nobodys, schedule.After(0))
		time.Sleep(time.Minute)
		for what, name := range map[string]string{"nobody's": nobodys, "the other's": theirs[0]} {
			if w, text := a.reason(name); w != duly.WhyElsewhere || !strings.HasSuffix(text, ", is not this process's: who runs it is decided elsewhere") {
				t.Errorf("what is %s: %s %q, want elsewhere, by its shard", what, w, text)
			}
		}
		if w := a.why(mine[0]); w != duly.WhyNoHandler {
			t.Errorf("what is ours and not handled: %s, want no_handler", w)
		}
		if x, y := a.stats().Unhandled.Tasks, b.stats().Unhandled.Tasks; x != 10 || y != 10 {
			t.Errorf("%d and %d are unhandled, want 10 each", x, y)
		}
		c.divide(func(s int) *node { return []*node{nil, b, nil}[s%3] })
		synctest.Wait()
		if st := a.stats(); st.Unhandled.Tasks != 0 || st.Near != 0 {
			t.Errorf("%d are unhandled and %d near where nothing is owned", st.Unhandled.Tasks, st.Near)
		}
	})
}

// What others put into their own shards, near or far, is not looked for by who hears of it, or has put it.
//
// contract: C6
func TestCluster_OthersHintsAreNotHeeded(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a, b := c.join("a", 0, 0, quick), c.join("b", 0, 0, quick)
		c.work(a, b)
		c.evenly(a, b)
		names := b.names("x", 100)
		was := a.count("Due")
		for i, name := range names {
			[]*node{a, b}[i%2].put(name, schedule.After(time.Duration(i)*time.Minute))
			time.Sleep(time.Second)
		}
		if n, most := a.count("Due")-was, len(names)/3; n > most {
			t.Errorf("a has read what is due %d times while it heard of others', want at most %d, which it reads anyway", n, most)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if n := len(c.runs()); n != 100 {
			t.Errorf("%d of 100 ran", n)
		}
		c.wantLate(3 * time.Millisecond)
	})
}

// A claim that the store refuses because of its shard is no failure of the store: it is put off, tried now and then, and at once when
// it is told whose the shard is.
func TestCluster_ClaimsThatAreNotOurs(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a := c.join("a", 0, 0, quick)
		c.work(a)
		c.evenly(a)
		c.mu.Lock()
		all := c.owner
		c.owner = [256]*node{} // and a is not told
		c.mu.Unlock()
		a.put("x", schedule.After(0))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := a.count("Claim"); n < 3 || n > 12 {
			t.Errorf("%d claims in ten seconds, want now and then", n)
		}
		if a.count("Get") > 0 || a.stats().StoreErrors > 0 || len(c.runs()) > 0 {
			t.Errorf("%d reads, %d errors of the store, %d runs, want none", a.count("Get"), a.stats().StoreErrors, len(c.runs()))
		}
		c.mu.Lock()
		c.owner = all
		own := a.owned
		c.mu.Unlock()
		said := time.Now()
		full := store.Share{}
		for s := range 256 {
			full.Shards.Add(uint8(s))
		}
		own(full) // too old
		synctest.Wait()
		if len(c.runs()) > 0 {
			t.Error("what was told out of order counts")
		}
		full.Epoch = 1
		own(full)
		synctest.Wait()
		time.Sleep(time.Second)
		if rs := c.of("x"); len(rs) != 1 || rs[0].at.Sub(said) > 5*time.Millisecond {
			t.Errorf("it ran %+v, want at once", rs)
		}
	})
}

// Own that fails is called again, after a pause, and said once. Meanwhile nothing is owned.
func TestCluster_OwnFails(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a := c.join("a", 0, 0, quick)
		a.fails = errors.New("no connection")
		c.work(a)
		a.put("x", schedule.After(0))
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := c.logged(`level=ERROR msg="no shards of the store are this process's for now, nothing new starts" owner=a error="no connection"`); n != 1 {
			t.Errorf("it was said %d times, want once", n)
		}
		c.mu.Lock()
		a.fails = nil
		c.mu.Unlock()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		c.evenly(a)
		if len(c.of("x")) != 1 {
			t.Error("it does not run once something is owned")
		}

		c.mu.Lock()
		a.fails = errors.New("no connection")
		c.mu.Unlock()
		a.drop <- struct{}{}
		synctest.Wait()
		was := a.count("Claim")
		a.put("y", schedule.After(0))
		time.Sleep(time.Hour)
		synctest.Wait()
		if a.count("Claim") != was || a.stats().Shards != 0 {
			t.Errorf("%d claims while Own has ended, and %d shards are owned", a.count("Claim")-was, a.stats().Shards)
		}
		if n := c.logged("the connection is broken"); n != 1 {
			t.Errorf("that it has ended was said %d times, want once", n)
		}
		c.mu.Lock()
		a.fails = nil
		c.mu.Unlock()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		c.evenly(a)
		if len(c.of("y")) != 1 {
			t.Error("it does not run once something is owned again")
		}
	})
}

// Own is called again after a tenth of a second, and then after twice as long each time, up to five seconds. Who has taken part for a minute
// begins with a tenth of a second again. Once nothing is to start any more it is not called, and nothing waits for that. What is told after
// Own has returned does not count.
func TestCluster_OwnIsCalledAgain(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a := c.join("a", 0, 0, quick)
		a.fails = errors.New("no connection")
		c.work(a)
		calls := 1
		after := func(what string, d time.Duration) {
			t.Helper()
			for _, more := range []int{0, 1} {
				time.Sleep([]time.Duration{d - 1, 1}[more])
				synctest.Wait()
				if n := a.count("Own"); n != calls+more {
					t.Errorf("%s: Own was called %d times after %v and %d ns, want %d", what, n, d-1, more, calls+more)
				}
			}
			calls++
		}
		for _, d := range []int{100, 200, 400, 800, 1600, 3200, 5000, 5000} {
			after("no connection", time.Duration(d)*time.Millisecond)
		}
		set := func(err error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			a.fails = err
		}
		set(nil)
		after("a connection", 5*time.Second)
		time.Sleep(time.Minute - 1)
		a.drop <- struct{}{}
		after("it is broken after nearly a minute", 5*time.Second)
		c.evenly(a)
		c.mu.Lock()
		told := a.owned
		c.mu.Unlock()
		time.Sleep(time.Minute - 10*time.Millisecond)
		if n := a.stats().Shards; n != 256 {
			t.Errorf("%d shards are owned, want all", n)
		}
		set(errors.New("no connection"))
		a.drop <- struct{}{}
		synctest.Wait()
		full := store.Share{Epoch: 100}
		for s := range 256 {
			full.Shards.Add(uint8(s))
		}
		told(full)
		if n := a.stats().Shards; n != 0 {
			t.Errorf("%d shards are owned by what was told after the end, want none", n)
		}
		after("it is broken after a minute", 100*time.Millisecond)
		after("no connection", 200*time.Millisecond)
		if n := c.logged("no shards of the store are this process's for now"); n != 2 {
			t.Errorf("that nothing is owned was said %d times, want at first and when it was told of some and they are gone", n)
		}
		begun := time.Now()
		a.leave()
		if d := time.Since(begun); d != 0 || a.count("Own") != calls {
			t.Errorf("the end took %v, and Own was called %d times, want at once and %d", d, a.count("Own"), calls)
		}
	})
}

// What another process puts whose time is far off is found when its time is near, without a hint: others need not tell of it.
//
// contract: C2, C6
func TestCluster_FarOff(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a, b := c.join("a", 0, 0, quick), c.join("b", 0, 0, quick)
		a.deaf = true
		c.work(a, b)
		c.evenly(a)
		time.Sleep(time.Minute)
		a.put("beyond", schedule.After(2*time.Hour)) // by this one knows when to look
		was := a.count("Due")
		for _, d := range []time.Duration{13 * time.Second, 20 * time.Second, time.Minute, time.Hour} {
			b.put(d.String(), schedule.After(d))
		}
		time.Sleep(time.Hour + time.Second)
		synctest.Wait()
		if n := len(c.runs()); n != 4 {
			t.Errorf("%d of 4 ran", n)
		}
		c.wantLate(3 * time.Millisecond)
		if n, most := a.count("Due")-was, int(time.Hour/(3*time.Second)); n > most {
			t.Errorf("it was read %d times in an hour, want at most %d", n, most)
		}
	})
}

// A page on which nothing is ours is not the end: what stands behind what is others' runs in time, and each of them is passed by once.
//
// contract: C6
func TestCluster_ReadsOnBehindEmptyPages(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a, b := c.join("a", 0, 0, quick), c.join("b", 0, 0, quick)
		a.narrow = true
		c.work(a)
		c.evenly(a, nil)
		for _, name := range c.names(nil, "x", 50) {
			b.put(name, schedule.After(0))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		was := a.count("Due")
		for _, name := range a.names("y", 5) {
			b.put(name, schedule.After(time.Second))
		}
		a.ears.Tell(store.Hint{At: store.Over})
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(c.runs()); n != 5 {
			t.Errorf("%d of 5 ran", n)
		}
		c.wantLate(3 * time.Millisecond)
		if n, most := a.count("Due")-was, 2*(50+5)+int(time.Minute/(3*time.Second)); n > most {
			t.Errorf("it was read %d times, want at most %d", n, most)
		}
	})
}

// A hint for the beginning has all shards of ours read again: what no hint told of is found by it.
//
// contract: C6
func TestCluster_ASweepFindsWhatWasNotTold(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a, b := c.join("a", 0, 0, quick), c.join("b", 0, 0, quick)
		a.deaf = true
		c.work(a, b)
		c.evenly(a)
		for i := range 5 {
			b.put(fmt.Sprint("x", i), schedule.After(time.Duration(i)*time.Second))
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := len(c.runs()); n != 0 {
			t.Errorf("%d ran without a hint", n)
		}
		was := a.count("Clock")
		b.ears.Tell(store.Hint{At: store.Over}) // to whom nothing is
		a.ears.Tell(store.Hint{At: store.Over})
		synctest.Wait()
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		if n := len(c.runs()); n != 5 {
			t.Errorf("%d of 5 ran after the sweep", n)
		}
		if a.count("Clock") == was {
			t.Error("the store's clock was not read again, which may have been set")
		}
	})
}

// What a write has left of a task is read by who owns it, and by nobody else.
func TestCluster_ReadsItsOwn(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a, b := c.join("a", 0, 0, quick), c.join("b", 0, 0, quick)
		c.work(a, b)
		c.evenly(a, b)
		for _, tt := range []struct {
			of    *node
			names []string
		}{{b, b.names("x", 9)}, {a, a.names("x", 9)}} {
			for _, name := range tt.names {
				a.put(name, schedule.After(time.Hour))
			}
			had := a.count("Get")
			a.breakNext("Cancel", len(tt.names))
			for _, name := range tt.names {
				if _, err := a.d.Cancel(t.Context(), name); !errors.Is(err, store.ErrBroken) {
					t.Errorf("Cancel of %s: %v", name, err)
				}
			}
			synctest.Wait()
			if n := a.count("Get") - had; n > 0 != (tt.of == a) {
				t.Errorf("a has read %d times what it may have cancelled of %s", n, tt.of.name)
			}
		}
	})
}
