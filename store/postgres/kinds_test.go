package postgres_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/postgres"
)

// named returns names of tasks in shards that a process has, or has not, of its own.
func (p *peer) named(has bool, n int) (names []string) {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	for i := 0; len(names) < n; i++ {
		if i == 100_000 {
			p.c.t.Fatalf("%s owns %d shards: no name is in one that it has: %v", p.name, count(p.share.Shards), has)
		}
		k := store.Key{Name: fmt.Sprint("t", i)}
		if p.share.Shards.Has(k.Shard()) == has {
			names = append(names, k.Name)
		}
	}
	return names
}

func (p *peer) put(name, kind string, d time.Duration) *store.Task {
	p.c.t.Helper()
	x := due(name, "", d)
	x.Kind, x.AnyKind = kind, true
	return put(p.c.t, p.s, x).Task
}

// claims says what a process is answered that claims a task.
func (p *peer) claims(t *store.Task) error {
	p.c.t.Helper()
	id := store.RunID{Key: t.Key, Generation: t.Generation, For: t.Next.For}
	res, err := p.s.Claim(p.c.t.Context(), []store.Claim{{RunID: id, Lease: time.Hour, Owner: p.name}})
	if err != nil {
		p.c.t.Fatal(err)
	}
	return res[0].Err
}

// A kind that the owner of a shard does not handle is one of those that do, wherever there is one, and comes and goes with them.
//
// contract: C5
func TestOwn_Kinds(t *testing.T) {
	t.Parallel()
	for name, pooler := range map[string]bool{"direct": false, "pooler": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCrowd(t)
			c.o.Pooler = pooler
			way := newWire(t, c.url)
			a, b, d := c.join("a", c.url), c.open("b", c.url), c.open("d", way.url)
			c.until("all is a's, whoever may handle it", func() bool { return a.has() == 256 && a.of("x") == 256 })
			b.handles("k", "x")
			b.own()
			c.until("x is b's, the rest is shared", func() bool {
				return a.has()+b.has() == 256 && b.has() > 60 && a.of("x") == 0 && b.of("x") == 256 && a.of("k")+b.of("k") == 256 && a.of("z")+b.of("z") == 256
			})
			mine := a.named(true, 2)
			x, k := a.put(mine[0], "x", 0), a.put(mine[1], "k", 0)
			if err := a.claims(x); !errors.Is(err, store.ErrNotOwner) {
				t.Errorf("a claim of x by the owner of its shard is answered %v, want ErrNotOwner", err)
			}
			if err := b.claims(k); !errors.Is(err, store.ErrNotOwner) {
				t.Errorf("a claim of k by who does not own its shard is answered %v, want ErrNotOwner", err)
			}
			if err := b.claims(x); err != nil {
				t.Errorf("a claim of x by who handles it is answered %v", err)
			}
			if err := a.claims(k); err != nil {
				t.Errorf("a claim of k by the owner is answered %v", err)
			}
			gone := a.put(mine[0], "k", 0)
			a.put(mine[0], "x", time.Hour)
			if err := a.claims(gone); !errors.Is(err, store.ErrChanged) {
				t.Errorf("a claim of what was replaced by another kind is answered %v, want ErrChanged", err)
			}

			d.handles("x")
			d.own()
			c.until("x is b's and d's", func() bool {
				return a.of("x") == 0 && b.of("x")+d.of("x") == 256 && min(b.of("x"), d.of("x")) > 60 && d.of("k") == 0 && a.of("k")+b.of("k") == 256
			})
			c.mu.Lock()
			d.lax = true // it may believe in its lease while the others know that its session has ended
			c.mu.Unlock()
			way.sever()
			c.until("x is b's again, d is lost", func() bool { return b.of("x") == 256 && a.has()+b.has() == 256 && d.of("x") == 0 })
			if err := b.ends(); err != nil {
				t.Error(err)
			}
			c.until("nobody handles x: it is who owns the shards' to wait", func() bool { return a.has() == 256 && a.of("x") == 256 })
			c.mu.Lock()
			d.lax = false
			c.mu.Unlock()
			way.mend()
			c.until("d is back", func() bool { return d.has() > 60 && d.of("x") == 256 && a.of("x") == 0 && a.of("k") == 256 })
			a.handles("k", "x")
			c.until("a handles it, too", func() bool { return a.of("x") == a.has() && a.of("x")+d.of("x") == 256 })
			a.handles("k")
			a.beats(3)
			d.beats(3)
			c.until("and goes on to", func() bool { return a.of("x") == a.has() && a.of("x")+d.of("x") == 256 })
		})
	}
}

// Who stands down handles nothing.
//
// contract: H4
func TestOwn_KindsOfWhoStandsDown(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	a, b := c.open("a", c.url), c.open("b", c.url)
	var ahead atomic.Int64
	b.s.SetWall(func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) })
	b.handles("x")
	a.own()
	b.own()
	c.until("x is b's", func() bool { return b.of("x") == 256 && a.has() > 60 })
	ahead.Store(int64(time.Minute))
	c.until("all is a's", func() bool { return b.of("x") == 0 && a.has() == 256 && a.of("x") == 256 })
	ahead.Store(0)
	c.until("x is b's again", func() bool { return b.of("x") == 256 && a.of("x") == 0 && a.has() > 60 })
}

// Others are told of what comes due soon unless it is surely for this process: it handles the kind, and the shard is its own.
//
// contract: C6
func TestHints_OfKinds(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	a, b, ear := c.join("a", c.url), c.open("b", c.url), c.open("ear", c.url)
	b.handles("x")
	b.own()
	c.until("x is b's, the rest is shared", func() bool { return b.of("x") == 256 && a.of("x") == 0 && share(a, b)() })
	hints, stop := ear.s.Hints()
	defer stop()
	c.becomes("it is listened", func() bool { return ear.s.Health().Listening })
	heard(t, hints)
	mine, theirs := a.named(true, 4), a.named(false, 3)
	for _, alone := range []struct {
		p    *peer
		name string
		kind string
		want bool
	}{
		{a, mine[0], "k", true},
		{a, mine[0], "x", false},
		{a, mine[0], "z", false},
		{a, theirs[0], "k", false},
		{b, mine[0], "x", false},
		{b, theirs[0], "x", true},
		{b, theirs[0], "k", false},
		{b, theirs[0], "z", false},
	} {
		shard := store.Key{Name: alone.name}.Shard()
		if got := alone.p.s.Alone(shard, alone.kind); got != alone.want {
			t.Errorf("%s is alone with %s in shard %d: %v, want %v", alone.p.name, alone.kind, shard, got, alone.want)
		}
	}
	told := func(what string, task *store.Task) {
		t.Helper()
		want := store.Hint{At: task.Position()}
		want.Shards.Add(task.Shard())
		if got := heard(t, hints); got != want {
			t.Errorf("%s: others hear %v, want %v: what was put before is for who has put it", what, got, want)
		}
	}
	a.put(mine[1], "k", time.Second)
	b.put(theirs[1], "x", time.Second)
	told("x in a shard of a", b.put(mine[2], "x", 4*time.Second))
	told("x in a shard of a, by a", a.put(mine[3], "x", 3*time.Second))
	at := store.On(store.Occurrence{For: store.At(time.Now().Add(2 * time.Second))})
	change := func(kind string) *store.Task {
		t.Helper()
		x := due(mine[0], "", 0)
		x.Kind, x.AnyKind, x.When = kind, true, at
		return put(t, a.s, x).Task
	}
	change("k")
	told("another kind at the same instant", change("x"))
}

// More kinds than are made known to others are no mistake, and are said once.
func TestOwn_TooManyKinds(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	many := make([]string, store.MaxKinds)
	for i := range many {
		many[i] = strings.Repeat("long", 50) + strconv.Itoa(i)
	}
	a, b := c.open("a", c.url), c.open("b", c.url)
	a.handles(append(slices.Clone(many), "excess")...)
	a.own()
	b.own()
	last := many[len(many)-1]
	c.until("a has what only it handles, as far as b knows", func() bool {
		return a.has()+b.has() == 256 && b.has() > 60 && a.of(last) == 256 && b.of(last) == 0 && a.of("excess")+b.of("excess") == 256
	})
	a.beats(3)
	if n := strings.Count(a.log.String(), "more kinds are handled"); n != 1 {
		t.Errorf("it was said %d times, want once", n)
	}
}

// A kind that can't be ends Own.
func TestOwn_AKindThatCantBe(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	a := c.join("a", c.url)
	c.until("all is a's", func() bool { return a.has() == 256 })
	a.handles("k", "..")
	err := <-a.done
	a.done = nil
	if !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), `kind is ".."`) {
		t.Errorf("Own returns %v, want ErrInvalid and the kind", err)
	}
	if a.has() != 0 || c.ask(nodes) != "" {
		t.Errorf("it has %d, and there are nodes: %q", a.has(), c.ask(nodes))
	}
}

// What is next of some kinds is looked for among a bounded number of tasks: of other kinds there may be millions. Whoever goes on from there
// finds it.
func TestDue_LooksForNextAmongSoMany(t *testing.T) {
	d := newDesk(t)
	first := put(t, d.s, due("n", "", time.Hour)).Task.Position()
	exec(t, d.admin, fmt.Sprintf(`insert into %[1]s.task select ns, 'm' || i, shard, due + i, generation, 'others', tags, paused, running, attempt, body, payload
from %[1]s.task, generate_series(1, 25000) i`, d.schema))
	exec(t, d.admin, fmt.Sprintf("update %s.task set kind = 'mine', due = due + 25001 where name = 'n'", d.schema))
	mine := first + 25001
	all := postgres.Every()
	for until, want := range map[store.Instant]store.Instant{
		first: first + 10_000, first + 10_000: first + 20_000, first + 15_001: mine, first + 20_000: mine, mine - 1: mine, mine: store.Never,
	} {
		q := store.DueQuery{After: store.Cursor{At: until}, Until: until, Shards: &all, Kinds: map[string]store.Shards{"others": {}}}
		p, err := d.s.Due(t.Context(), q)
		if err != nil || p.Next != want || p.More {
			t.Errorf("due at %d: next is %d, more %v, error %v; want %d", until-first, p.Next-first, p.More, err, want-first)
		}
		q.Kinds = nil
		if p, err = d.s.Due(t.Context(), q); err != nil || until < mine && p.Next != min(until+1, mine) {
			t.Errorf("due at %d: of all kinds next is %d, error %v; want the one behind", until-first, p.Next-first, err)
		}
	}
}
