package postgres_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dulyhq/duly/internal/pgtest"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/postgres"
)

// patience is how long tests wait for what has to happen. Nothing is said by it about how soon it should.
const patience = 2 * time.Minute

// A crowd is the processes of a test: some stores on one database, and what each believes to own.
type crowd struct {
	t   *testing.T
	url string
	o   postgres.Options

	mu    sync.Mutex
	moved chan struct{} // closed and made anew by each change
	peers []*peer
	twice []string // what two have owned at once
}

// A peer is one process.
type peer struct {
	c      *crowd
	name   string
	s      *postgres.Store
	cancel context.CancelFunc
	done   chan error
	log    lines

	kinds []string    // under c.mu: what it handles
	share store.Share // under c.mu
	calls int         // under c.mu
	lax   bool        // under c.mu: it is known to be wrong about what it owns

	slow chan struct{} // if there is one, being told takes until it is closed
}

func newCrowd(t *testing.T) *crowd {
	t.Helper()
	return crowdOn(t, pgtest.Shared(t).Database(t))
}

func crowdOn(t *testing.T, url string) *crowd {
	t.Helper()
	c := &crowd{t: t, url: url, moved: make(chan struct{})}
	t.Cleanup(func() {
		for _, p := range c.peers {
			p.cancel()
			if p.done != nil {
				if err := <-p.done; err != nil {
					t.Errorf("Own of %s: %v", p.name, err)
				}
			}
			if err := p.s.Close(); err != nil {
				t.Error(err)
			}
		}
		for _, what := range c.twice {
			t.Error(what)
		}
	})
	return c
}

// open opens a store of a process that does not take part yet.
func (c *crowd) open(name, url string) *peer {
	c.t.Helper()
	p := &peer{c: c, name: name, cancel: func() {}, kinds: []string{"k"}}
	o := c.o
	o.Logger = slog.New(slog.NewTextHandler(&p.log, nil))
	s, err := postgres.Open(c.t.Context(), url, o)
	if err != nil {
		c.t.Fatal(err)
	}
	p.s = s
	c.mu.Lock()
	c.peers = append(c.peers, p)
	c.mu.Unlock()
	return p
}

// join has a process take part.
func (c *crowd) join(name, url string) *peer {
	c.t.Helper()
	p := c.open(name, url)
	p.own()
	return p
}

func (p *peer) own() {
	ctx, cancel := context.WithCancel(p.c.t.Context())
	p.cancel, p.done = cancel, make(chan error, 1)
	go func() { p.done <- p.s.Own(ctx, p.name, p.handled, p.owned) }()
}

// handles has a process handle other kinds, of which others hear with its next heartbeat.
func (p *peer) handles(kinds ...string) {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	p.kinds = kinds
}

func (p *peer) handled() []string {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	return p.kinds
}

// owned notes what a process is told. Nobody may believe to own a shard that another one does.
func (p *peer) owned(share store.Share) {
	c := p.c
	if p.slow != nil {
		<-p.slow
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if share.Epoch <= p.share.Epoch {
		c.twice = append(c.twice, "an epoch has not risen for "+p.name)
	}
	p.share = share
	p.calls++
	for _, o := range c.peers {
		if o != p && !o.lax && !p.lax && overlap(o.share.Shards, share.Shards) {
			c.twice = append(c.twice, o.name+" and "+p.name+" own the same")
		}
	}
	close(c.moved)
	c.moved = make(chan struct{})
}

// share says that two processes have all shards between them, and neither of them few.
func share(a, b *peer) func() bool {
	return func() bool { return a.has()+b.has() == 256 && min(a.has(), b.has()) > 60 }
}

func overlap(a, b store.Shards) bool {
	for i := range a {
		if a[i]&b[i] != 0 {
			return true
		}
	}
	return false
}

func count(set store.Shards) (n int) {
	for shard := range 256 {
		if set.Has(uint8(shard)) {
			n++
		}
	}
	return n
}

// until waits for what is owned to be as wanted.
func (c *crowd) until(what string, is func() bool) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	for {
		c.mu.Lock()
		ok, moved := is(), c.moved
		c.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-moved:
		case <-ctx.Done():
			for _, p := range c.peers {
				c.t.Logf("%s owns %d, %+v; log:\n%s", p.name, count(p.share.Shards), p.s.Health(), p.log.String())
			}
			c.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// has returns how many shards a process owns; the crowd is locked.
func (p *peer) has() int { return count(p.share.Shards) }

// of returns in how many shards tasks of a kind are a process's; the crowd is locked.
func (p *peer) of(kind string) int { return count(p.share.Of(kind)) }

// beats waits until a process has beaten so many times.
func (p *peer) beats(n int) {
	p.c.t.Helper()
	seen := p.s.Health().SeenAt
	p.c.becomes("it beats", func() bool {
		if at := p.s.Health().SeenAt; at != seen {
			seen = at
			n--
		}
		return n <= 0
	})
}

// ends takes a process out, and returns what Own says.
func (p *peer) ends() error {
	p.cancel()
	err := <-p.done
	p.done = nil
	return err
}

// lines is a log.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// ask asks the server, past all wires.
func (c *crowd) ask(sql string, args ...any) (answer string) {
	c.t.Helper()
	conn, err := pgx.Connect(c.t.Context(), c.url)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = conn.Close(c.t.Context()) }()
	if err := conn.QueryRow(c.t.Context(), sql, args...).Scan(&answer); err != nil {
		c.t.Fatalf("%s: %v", sql, err)
	}
	return answer
}

// becomes asks until something is true.
func (c *crowd) becomes(what string, is func() bool) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			for _, p := range c.peers {
				c.t.Logf("%s: %+v; log:\n%s", p.name, p.s.Health(), p.log.String())
			}
			c.t.Fatalf("waited in vain: %s", what)
		}
	}
}

const nodes = "select coalesce(string_agg(name || case when gone_at is null then ' lives' else ' gone' end, ', ' order by name), '') from duly.node"

const owners = `select coalesce(string_agg(x, ', ' order by x), '') from
(select coalesce(n.name, 'nobody') || ' ' || count(*) as x from duly.shard s left join duly.node n on n.id = s.owner group by n.name) y`

// exec tells the server, past all wires.
func (c *crowd) exec(sql string) {
	c.t.Helper()
	ctx := context.WithoutCancel(c.t.Context()) // also when the test is cleaned up
	conn, err := pgx.Connect(ctx, c.url)
	if err != nil {
		c.t.Error(err)
		return
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, sql); err != nil {
		c.t.Errorf("%s: %v", sql, err)
	}
}

// role is a role of this test's own: its database has a name that no other has.
func (c *crowd) role() string {
	cfg, err := pgx.ParseConfig(c.url)
	if err != nil {
		c.t.Fatal(err)
	}
	return cfg.Database + "_role"
}

// as returns a connection string for somebody who has nothing but the rights of a role.
func (c *crowd) as(role string) string {
	if strings.Contains(c.url, "://") {
		return c.url + "&options=-c%20role%3D" + role
	}
	return c.url + " options='-c role=" + role + "'"
}
