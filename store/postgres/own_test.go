package postgres_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/internal/pgtest"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/postgres"
)

func TestOwn_Alone(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	p := c.open("one", c.url)
	if !p.s.Owns(7, "k") || p.s.Alone(7, "k") {
		t.Error("before Own a store does not own all, or knows itself to be alone")
	}
	p.own()
	c.until("all is one's", func() bool { return p.has() == 256 })
	if !p.s.Owns(7, "k") || !p.s.Alone(7, "k") {
		t.Error("what was told is not owned")
	}
	if got := c.ask("select count(*)::text from duly.shard s join duly.node n on n.id = s.owner where n.name = 'one' and n.locked"); got != "256" {
		t.Errorf("the server has %s shards as its own, want 256", got)
	}
	h := p.s.Health()
	if h.Node != "one" || !h.Connected || h.Shards != postgres.Every() || h.StandsDown != "" || len(h.Nodes) != 1 || !h.Nodes[0].Live || h.Epoch == 0 {
		t.Errorf("health is %+v", h)
	}
	if err := p.ends(); err != nil {
		t.Errorf("Own returns %v, want nil", err)
	}
	if p.has() != 0 || p.s.Owns(7, "k") || p.s.Alone(7, "k") {
		t.Error("when it has ended something is owned")
	}
	if got := c.ask("select (select count(*) from duly.node) || ' ' || (select count(*) from duly.shard where owner is not null)"); got != "0 0" {
		t.Errorf("it leaves nodes and shards: %s", got)
	}
	if h := p.s.Health(); h.Node != "" || h.Nodes != nil {
		t.Errorf("afterwards health is %+v", h)
	}
	p.own() // again
	c.until("all is one's again", func() bool { return p.has() == 256 })
}

// Several divide the shards; who comes takes only what others have been told that they have lost, who leaves is followed.
func TestOwn_Divides(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	a := c.join("a", c.url)
	c.until("all is a's", func() bool { return a.has() == 256 })
	b, d := c.join("b", c.url), c.join("d", c.url)
	c.until("they share", func() bool {
		return a.has()+b.has()+d.has() == 256 && min(a.has(), b.has(), d.has()) > 40
	})
	if h := b.s.Health(); len(h.Nodes) != 3 {
		t.Errorf("b knows of %d nodes, want 3", len(h.Nodes))
	}
	kept := a.share.Shards
	if err := b.ends(); err != nil {
		t.Error(err)
	}
	c.until("a and d share", func() bool { return a.has()+d.has() == 256 })
	if c.mu.Lock(); count(kept) != 0 && !overlap(kept, a.share.Shards) {
		t.Error("a has lost what was its own")
	}
	c.mu.Unlock()
	if a.s.Gone("b", time.Now()) || d.s.Gone("b", time.Now()) {
		t.Error("who has left in good order is taken to be gone: what it still runs would be taken from it")
	}
}

// What is meant for another is given up after our side has been told, however long that takes.
func TestOwn_TellsBeforeItGives(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	a := c.open("a", c.url)
	a.slow = make(chan struct{})
	a.own()
	a.beats(3)
	b := c.join("b", c.url)
	b.beats(3)
	a.beats(3)
	if got := c.ask(owners); got != "a 256" {
		t.Errorf("the server has %q; want all to be a's, which knows of nothing yet", got)
	}
	close(a.slow)
	c.until("they share", share(a, b))
}

// contract: C6
//
// A node that has nothing to do asks for little: one statement for a heartbeat.
func TestOwn_Idle(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	way := newWire(t, c.url)
	a := c.join("a", way.url)
	_, stop := a.s.Hints()
	defer stop()
	c.until("all is a's", func() bool { return a.has() == 256 })
	a.beats(5)
	before := way.asked.Load()
	const beats = 20
	a.beats(beats)
	if n := way.asked.Load() - before; n < beats/2 || n > beats+beats/2 { // not each beat need have been seen
		t.Errorf("over %d heartbeats it asked the server %d times, want once for each", beats, n)
	}
}

// contract: D1
//
// A heartbeat that has waited for somebody who took the lease away does not bring it back.
func TestOwn_TakenMeanwhile(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	b := c.join("b", c.url)
	c.until("all is b's", func() bool { return b.has() == 256 })
	conn, err := pgx.Connect(t.Context(), c.url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), `begin;
insert into duly.node (name, session, since, seen_at, lease_at, locked, offset_us) values ('x', 1, 0, 1, 9e18, false, 0);
update duly.node set lease_at = 0 where name = 'b';
update duly.shard set owner = (select id from duly.node where name = 'x'), epoch = epoch + 1`); err != nil {
		t.Fatal(err)
	}
	c.becomes("b's heartbeat waits", func() bool {
		return c.ask("select count(*)::text from pg_stat_activity where application_name = 'duly node b' and wait_event_type = 'Lock' and datname = current_database()") != "0"
	})
	if _, err := conn.Exec(t.Context(), "commit"); err != nil {
		t.Fatal(err)
	}
	c.becomes("b knows that its lease had ended", func() bool { return strings.Contains(b.log.String(), "its lease had ended at the server") })
	c.until("all is b's: x has not stirred, whatever its lease says", func() bool { return b.has() == 256 })
}

// contract: D1
//
// A process that dies loses its lock. Others take over what it owned, and the leases of what it ran are over at once.
func TestOwn_Killed(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	way := newWire(t, c.url)
	a, b := c.join("a", c.url), c.join("b", way.url)
	c.until("they share", share(a, b))
	hints, stop := a.s.Hints()
	defer stop()
	c.becomes("a listens", func() bool { return a.s.Health().Listening })
	heard(t, hints)
	before := time.Now()
	c.mu.Lock()
	b.lax = true // it is dead
	c.mu.Unlock()
	way.sever()
	c.until("all is a's", func() bool { return a.has() == 256 })
	c.becomes("b is known to be gone", func() bool { return a.s.Gone("b", before) })
	if a.s.Gone("b", time.Now().Add(time.Hour)) || a.s.Gone("a", before) || a.s.Gone("nobody", before) {
		t.Error("more is gone than was started before b died")
	}
	c.becomes("a is told to look at everything", func() bool {
		select {
		case h := <-hints:
			return h.At == store.Over && h.Shards == postgres.Every()
		default:
			return false
		}
	})
	if got := c.ask(nodes); got != "a lives, b gone" {
		t.Errorf("nodes are %q", got)
	}
	for _, n := range a.s.Health().Nodes {
		if n.Name == "b" && (n.Live || !n.Gone || n.Owned != 0) {
			t.Errorf("b's health is %+v", n)
		}
	}
	// It was not dead, but its way to the server: it comes back, and its runs are its own again.
	way.mend()
	c.mu.Lock()
	b.lax = false
	c.mu.Unlock()
	c.until("they share again", share(a, b))
	c.becomes("b is not gone", func() bool { return !a.s.Gone("b", before) })
}

// contract: D1
//
// The second bug of the prototype: after a restart of the server all locks are gone, and who is back first must not take that for the
// death of the others.
func TestOwn_YoungSessionTakesNoLockForDeath(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Options{})
	c := crowdOn(t, server.URL("postgres"))
	way := newWire(t, c.url)
	boot := clock.NewManual(time.Now())
	a := c.open("a", c.url)
	a.s.SetBoot(boot) // its session is as old as the test says
	a.own()
	b := c.join("b", way.url)
	c.until("they share", share(a, b))
	c.mu.Lock()
	b.lax = true
	c.mu.Unlock()
	c.exec("checkpoint") // or the server would forget that b has its lock
	way.sever()          // b does not come back before the test lets it
	if err := server.Restart(pgtest.Immediate); err != nil {
		t.Fatal(err)
	}
	c.until("a has what was b's, whose lease has run out", func() bool { return a.has() == 256 })
	a.beats(4)
	if got := c.ask(nodes); a.s.Gone("b", time.Now()) || got != "a lives, b lives" {
		t.Errorf("nodes are %q: a young session has taken a missing lock for a death", got)
	}
	if err := boot.Run(t.Context(), 2*time.Second); err != nil { // old enough
		t.Fatal(err)
	}
	c.becomes("b is known to be gone", func() bool { return c.ask(nodes) == "a lives, b gone" })
	c.mu.Lock()
	b.lax = false
	c.mu.Unlock()
	way.mend()
	c.until("they share again", share(a, b))
}

// When another server takes the place of one that has died, all that were there are there again, by the same connection string.
func TestOwn_Promotion(t *testing.T) {
	t.Parallel()
	primary := pgtest.Start(t, pgtest.Options{})
	standby := primary.Standby(t, pgtest.StandbyOptions{Synchronous: true})
	cfg, err := pgx.ParseConfig(primary.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	dirs := filepath.Dir(primary.Socket()) + "," + filepath.Dir(standby.Socket())
	c := crowdOn(t, fmt.Sprintf("host=%s port=5432,5432 user=%s dbname=postgres sslmode=disable target_session_attrs=read-write", dirs, cfg.User))
	a, b := c.join("a", c.url), c.join("b", c.url)
	c.until("they share", share(a, b))
	if err := primary.Kill(); err != nil {
		t.Fatal(err)
	}
	c.until("neither may own anything", func() bool { return a.has()+b.has() == 0 })
	if err := standby.Promote(); err != nil {
		t.Fatal(err)
	}
	c.until("they share again", share(a, b))
	if got := c.ask("select count(*)::text from duly.node where since = 0"); got != "2" {
		t.Errorf("%s nodes are who they were, want 2", got)
	}
}

// contract: D1
//
// The fourth bug of the prototype: a node whose lease has lapsed reads who owns what before it goes on. Its way to the server is silent,
// and then delivers what was sent long ago.
func TestOwn_LapsedLeaseIsReadAgain(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	way := newWire(t, c.url)
	a, b := c.join("a", c.url), c.join("b", way.url)
	c.until("they share", share(a, b))
	before := time.Now()
	way.hush(true)
	c.until("b knows that it may own nothing", func() bool { return b.has() == 0 })
	if b.s.Owns(0, "k") || b.s.Owns(255, "k") || b.s.Health().Shards != (store.Shards{}) {
		t.Error("b owns something, but was told that it does not")
	}
	c.until("all is a's", func() bool { return a.has() == 256 })
	if got := c.ask(nodes); a.s.Gone("b", before) || got != "a lives, b lives" {
		t.Errorf("nodes are %q: b's lock is held, so that nobody can know that its process is gone", got)
	}
	way.mend()
	c.until("they share again", share(a, b))
	if got := b.log.String(); !strings.Contains(got, "node owns nothing for now") || !strings.Contains(got, "node has its connection again") {
		t.Errorf("b's log does not say what has happened:\n%s", got)
	}
}

// A session that the server still believes to live has the lock. It is ended by the next one of the same process.
func TestOwn_OldSessionIsEnded(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	way := newWire(t, c.url)
	a := c.join("a", way.url)
	c.until("all is a's", func() bool { return a.has() == 256 })
	const holder = `select coalesce(min(pid), 0)::text from pg_locks l, duly.node n where locktype = 'advisory' and objid = n.id::oid and objsubid = 2
and granted and n.locked and database = (select oid from pg_database where datname = current_database())`
	old := c.ask(holder)
	way.hush(false) // what is connected; others get through
	c.becomes("another session has the lock", func() bool { pid := c.ask(holder); return pid != "0" && pid != old })
	c.until("all is a's", func() bool { return a.has() == 256 })
	if got := c.ask("select count(*)::text from pg_stat_activity where pid = " + old); got != "0" {
		t.Error("the old session lives")
	}
}

// A session that is ended is followed by another, with the lock.
func TestOwn_Terminated(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	a := c.join("a", c.url)
	b := c.join("b", c.url)
	c.until("they share", share(a, b))
	const session = "select coalesce(min(pid), 0)::text from pg_stat_activity where application_name = 'duly node a' and datname = current_database()"
	old := c.ask(session)
	c.ask("select pg_terminate_backend($1::int)::text", old)
	c.becomes("a has a session", func() bool { pid := c.ask(session); return pid != "0" && pid != old })
	c.until("they share", share(a, b))
	if got := c.ask("select count(*)::text from duly.node where locked and since = 0"); got != "2" {
		t.Errorf("%s nodes have their locks and are who they were, want 2", got)
	}
}

// Of two processes with one name the second waits while the first lives. What the first ran is lost when it is dead.
func TestOwn_OneName(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	way := newWire(t, c.url)
	first := c.join("same", way.url)
	c.until("all is the first's", func() bool { return first.has() == 256 })
	second := c.join("same", c.url)
	watcher := c.join("watcher", c.url)
	c.becomes("the second says that it waits", func() bool { return strings.Contains(second.log.String(), "waiting until it ends") })
	c.until("the first and the watcher share", func() bool { return first.has()+watcher.has() == 256 && watcher.has() > 60 })
	before := time.Now()
	c.mu.Lock()
	first.lax = true
	if second.calls != 0 {
		t.Error("the second was told something")
	}
	c.mu.Unlock()
	way.sever()
	c.until("the second and the watcher share", func() bool { return second.has()+watcher.has() == 256 && second.has() > 60 })
	c.becomes("what the first ran is lost", func() bool { return watcher.s.Gone("same", before) && second.s.Gone("same", before) })
	if watcher.s.Gone("same", time.Now().Add(time.Hour)) {
		t.Error("what the second starts is lost as well")
	}
	if n := strings.Count(second.log.String(), "waiting until it ends"); n != 1 {
		t.Errorf("it says %d times that it waits, want once", n)
	}
}

// contract: H4
//
// A node whose clock is more than a second off owns nothing, says so, and takes part again when it is right.
func TestOwn_StandsDown(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	var ahead atomic.Int64
	a, b := c.join("a", c.url), c.open("b", c.url)
	b.s.SetWall(func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) })
	b.own()
	for range 2 { // a step in either direction
		c.until("they share", share(a, b))
		ahead.Store(int64(-30 * time.Second))
		c.until("all is a's", func() bool { return a.has() == 256 && b.has() == 0 })
		c.becomes("health tells of it", func() bool {
			h := b.s.Health()
			return h.StandsDown != "" && h.Offset < -20*time.Second && len(h.Nodes) == 2 && h.Nodes[1].StandsDown && h.Nodes[1].Live
		})
		ahead.Store(0)
	}
	c.until("they share again", share(a, b))
	if log := b.log.String(); !strings.Contains(log, "stands down") || !strings.Contains(log, "takes part again") {
		t.Errorf("b's log does not say that it stood down:\n%s", log)
	}
	if a.s.Health().StandsDown != "" {
		t.Error("a stands down")
	}
}

// A process that takes part again, although it could not say that it left, is the one that it was: what it still runs is not lost, and it does
// not wait for itself.
func TestOwn_Again(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	way := newWire(t, c.url)
	a := c.join("a", way.url)
	c.until("all is a's", func() bool { return a.has() == 256 })
	way.sever()
	if err := a.ends(); err != nil {
		t.Error(err)
	}
	if got := c.ask(nodes); got != "a lives" {
		t.Errorf("nodes are %q, want a's to be there still", got)
	}
	way.mend()
	a.own()
	c.until("all is a's again", func() bool { return a.has() == 256 })
	if got := c.ask("select since::text from duly.node where name = 'a'"); got != "0" || a.s.Gone("a", time.Now().Add(-time.Hour)) {
		t.Errorf("what a began before %s is lost, want nothing to be", got)
	}
	if strings.Contains(a.log.String(), "another process takes part") {
		t.Error("it has waited for itself")
	}
}

// A process that has joined while the server's clock was ahead lives, and what it starts is not lost, when that was set back.
//
// contract: D1, H3
func TestOwn_JoinedBeforeTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	a, b := c.join("a", c.url), c.join("b", c.url)
	c.until("all is shared", func() bool { return a.has() > 0 && b.has() > 0 && a.has()+b.has() == 256 })
	c.exec("update duly.node set since = seen_at + 3600000000 where name = 'a'")
	b.beats(2)
	if b.s.Gone("a", time.Now()) {
		t.Error("what it starts now is lost")
	}
	c.becomes("it is not known any more since when it is there", func() bool { return c.ask("select since::text from duly.node where name = 'a'") == "0" })
	c.exec("update duly.node set since = seen_at - 60000000 where name = 'a'")
	b.beats(2)
	if b.s.Gone("a", time.Now()) || !b.s.Gone("a", time.Now().Add(-time.Hour)) {
		t.Error("want what was started before a minute ago to be lost, and nothing else")
	}
}

// contract: H4
//
// Where all would stand down it is the server's clock that is wrong, which they follow: they take part, and say how far off it is.
func TestOwn_NobodyIsRight(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	var ahead atomic.Int64
	ahead.Store(int64(-30 * time.Second))
	a, b := c.open("a", c.url), c.open("b", c.url)
	for _, p := range []*peer{a, b} {
		p.s.SetWall(func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) })
		p.own()
	}
	shared := func() bool { return a.has()+b.has() == 256 && min(a.has(), b.has()) > 60 }
	c.until("they share", shared)
	c.becomes("they do not stand down, and say what is off", func() bool {
		h := b.s.Health()
		return h.StandsDown == "" && h.Offset < -20*time.Second && len(h.Nodes) == 2 && !h.Nodes[0].StandsDown && !h.Nodes[1].StandsDown
	})
	ahead.Store(0)
	c.becomes("their clocks are right", func() bool { return a.s.Health().Offset.Abs() < time.Second && b.s.Health().Offset.Abs() < time.Second })
	c.until("they share", shared)
}

// With a pooler there are leases only. A process that dies loses its shards when its lease has run out; its runs keep theirs.
func TestOwn_Pooler(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	c.o.Pooler = true
	way := newWire(t, c.url)
	a, b := c.join("a", c.url), c.join("b", way.url)
	c.until("they share", share(a, b))
	if got := c.ask("select (select count(*) from duly.node where locked) || ' ' || (select count(*) from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database()))"); got != "0 0" {
		t.Errorf("locks are said to be held, or are: %s", got)
	}
	hints, stop := a.s.Hints()
	defer stop()
	h := <-hints // nobody listens, so that it looks twice a second at what is due
	if h.At == store.Over {
		h = <-hints
	}
	if h.Shards == (store.Shards{}) || h.At.Time().Before(time.Now().Add(-time.Hour)) {
		t.Errorf("hint is %v, want one of about now", h)
	}
	before := time.Now()
	c.mu.Lock()
	b.lax = true
	c.mu.Unlock()
	way.sever()
	c.until("all is a's", func() bool { return a.has() == 256 })
	if a.s.Gone("b", before) || a.s.Health().Listening {
		t.Error("b is taken to be gone, or somebody listens")
	}
}

// A real pooler keeps nothing that belongs to a session, and the nodes need nothing of it.
func TestOwn_BehindAPooler(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Options{})
	c := crowdOn(t, server.URL("postgres"))
	c.o.Pooler = true
	pooled := server.Pooler(t, "postgres")
	way := newWire(t, pooled)
	a, b := c.join("a", pooled), c.join("b", way.url)
	c.until("they share", share(a, b))
	c.mu.Lock()
	b.lax = true
	c.mu.Unlock()
	way.sever()
	c.until("all is a's", func() bool { return a.has() == 256 })
	c.mu.Lock()
	b.lax = false
	c.mu.Unlock()
	way.mend()
	c.until("they share again", share(a, b))
	if err := b.ends(); err != nil {
		t.Error(err)
	}
	c.until("all is a's, who was left it", func() bool { return a.has() == 256 })
	if got := c.ask(nodes); got != "a lives" {
		t.Errorf("nodes are %q, want a", got)
	}
}

func TestOwn_Refuses(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	p := c.join("one", c.url)
	c.until("all is one's", func() bool { return p.has() == 256 })
	owned := func(store.Share) {}
	kinds := func(list ...string) func() []string { return func() []string { return list } }
	for _, bad := range []struct {
		node  string
		kinds func() []string
		owned func(store.Share)
		want  string
	}{
		{"", kinds(), owned, `store: own: node is "", want 1 to 255 bytes of UTF-8 without control characters`},
		{"a\nb", kinds(), owned, `node is "a\nb"`},
		{"\xff", kinds(), owned, `node is "\xff"`},
		{strings.Repeat("x", 256), kinds(), owned, `node is "` + strings.Repeat("x", 40) + `..."`},
		{"two", kinds(), nil, "owned is nil, want a function"},
		{"two", nil, owned, "kinds is nil, want a function"},
		{"two", kinds("k", "a\x00b"), owned, `kind is "a\x00b", want 1 to 255 bytes of UTF-8 without control characters`},
		{"two", kinds(""), owned, `kind is "", want 1 to 255 bytes`},
		{"two", kinds("k"), owned, `node is "two", want one node for a store, and this one takes part as "one"`},
	} {
		err := p.s.Own(t.Context(), bad.node, bad.kinds, bad.owned)
		if !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("Own(%.20q) is %v, want %s", bad.node, err, bad.want)
		}
	}
	c.until("nothing has changed", func() bool { return p.has() == 256 })
}

// Close ends a node's part, and whoever asks for one later is refused.
func TestOwn_Close(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	p := c.join("one", c.url)
	c.until("all is one's", func() bool { return p.has() == 256 })
	if err := p.s.Close(); err != nil {
		t.Error(err)
	}
	if err := p.ends(); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Own returns %v, want ErrClosed", err)
	}
	if got := c.ask("select count(*)::text from duly.node"); p.has() != 0 || got != "0" {
		t.Errorf("it owns %d, and there are %s nodes", p.has(), got)
	}
	if err := p.s.Own(t.Context(), "one", p.handled, p.owned); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Own returns %v, want ErrClosed", err)
	}
}

// What will be the same each time is an error that says what to do.
func TestOwn_Lasting(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	role := c.role()
	c.open("creates the tables", c.url)
	c.exec("create role " + role)
	t.Cleanup(func() { c.exec("drop owned by " + role); c.exec("drop role " + role) })
	c.exec("grant usage on schema duly to " + role)
	c.exec("grant select, insert, update, delete on all tables in schema duly to " + role)
	p, q := c.join("p", c.url), c.open("q", c.as(role))
	c.until("all is p's", func() bool { return p.has() == 256 })

	c.exec("revoke update on duly.node from " + role)
	q.own()
	err := <-q.done
	q.done = nil
	if !errors.Is(err, store.ErrBroken) || !strings.Contains(err.Error(), "grant the role") {
		t.Errorf("without privileges Own returns %v, want ErrBroken and what to do", err)
	}
	c.exec("alter table duly.node rename to knot")
	err = <-p.done
	p.done = nil
	if !errors.Is(err, store.ErrFormat) || !strings.Contains(err.Error(), "run Migrate") || p.has() != 0 {
		t.Errorf("without tables Own returns %v and owns %d, want ErrFormat and what to do", err, p.has())
	}
	c.exec("alter table duly.knot rename to node")
	p.own()
	c.until("all is p's again", func() bool { return p.has() == 256 })
}
