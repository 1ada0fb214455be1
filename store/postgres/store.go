package postgres

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dulyhq/duly/internal/park"
	"github.com/dulyhq/duly/store"
)

// Store is a store in a database. It implements store.Store, store.Transactor, store.Hinter, store.Owner and store.Noter.
type Store struct {
	o      Options
	cfg    *pgx.ConnConfig
	pool   *pgxpool.Pool
	sender int64 // tells our notifications from those of others
	hints  store.Listeners

	life    context.Context //nolint:containedctx // it ends with Close
	end     context.CancelFunc
	running sync.WaitGroup // goroutines of ours

	queue   queue
	fresh   queue // puts of names that may be free
	tick    tick
	high    high
	held    held
	barred  barred
	readers chan struct{} // holds one for each call that reads: they leave the writers their connections
	lookers chan struct{} // holds one for each of those that may read much: they leave one to what is due, and to what is asked of names
	again   chan struct{} // holds one: of those that have met a lock on a table one reads at a time, so that they leave the others theirs
	nodes   nodes
	ears    ears

	mu      sync.Mutex
	closed  bool
	using   int           // calls under way
	unused  chan struct{} // closed when there are none any more, once closed
	closing sync.Once
}

var (
	_ store.Store      = (*Store)(nil)
	_ store.Transactor = (*Store)(nil)
	_ store.Hinter     = (*Store)(nil)
	_ store.Owner      = (*Store)(nil)
	_ store.Noter      = (*Store)(nil)
)

// Open opens the store that a connection string leads to: a URL or key=value, as psql takes it. A database in which there is none yet
// gets one, if the role may create it. Open fails with store.ErrFormat if what is there is of another version, and Migrate is what to do.
//
// The server may go away and come back while the store is open: calls fail meanwhile, and whatever waits for hints goes on afterwards.
func Open(ctx context.Context, url string, o Options) (*Store, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	cfg, err := o.config(url)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, failure("open", err)
	}
	s := &Store{o: o, cfg: cfg.ConnConfig, pool: pool, sender: rand.Int64(), unused: make(chan struct{})}
	readers, alone := shareOut(int(cfg.MaxConns))
	s.readers, s.lookers, s.again = make(chan struct{}, readers), make(chan struct{}, max(readers-1, 1)), make(chan struct{}, 1)
	if err := s.prepare(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	s.life, s.end = context.WithCancel(context.WithoutCancel(ctx))
	s.queue.init(batchLeast, alone)
	s.fresh.init(batchLeast, 0)
	s.held.rows, s.barred.seen, s.barred.alone = map[store.Key]heldRow{}, map[store.Key]int64{}, map[store.Key]int64{}
	s.nodes.init(o.Wall)
	first := rand.IntN(counters)
	for i := range o.Writers {
		w, f := &writer{s: s, counter: int32((first + 2*i) % counters)}, &writer{s: s, counter: int32((first + 2*i + 1) % counters)}
		s.running.Go(w.work)
		s.running.Go(f.workFresh)
	}
	return s, nil
}

// What a connection of the pool is told. A process that stands still in the middle of a transaction must not keep others from its rows
// for long; and a row that somebody else's transaction holds must not keep a whole batch.
const (
	lockTimeout = 100 * time.Millisecond
	idleTimeout = 2 * time.Second
	sendTimeout = 20 * time.Second // from when on a server that is silent is taken to be gone
	mostReaders = 4
)

// onePlan has the server keep the plan of each statement, which costs more to make than to follow. A plan that was made while a table was
// small reads all of it when it has grown, so that only the one is left to choose that is right for any size: row by row, by an index or
// by where it stands, in the order in which the rows are named.
var onePlan = map[string]string{
	"plan_cache_mode":   "force_generic_plan",
	"enable_seqscan":    "off",
	"enable_bitmapscan": "off",
	"enable_hashjoin":   "off",
	"enable_mergejoin":  "off",
	"enable_sort":       "off", // the order is an index's
	"jit":               "off", // what is off and without an alternative counts as if it took hours
}

func (o *Options) config(url string) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, &store.Error{Op: "open", Err: fmt.Errorf("%w: %w", store.ErrInvalid, err)}
	}
	c := cfg.ConnConfig
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 5 * time.Second
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "duly"
	}
	if o.Pooler {
		c.DefaultQueryExecMode = pgx.QueryExecModeExec
	} else {
		c.RuntimeParams["idle_in_transaction_session_timeout"] = millis(idleTimeout)
		c.RuntimeParams["lock_timeout"] = millis(lockTimeout)
		maps.Copy(c.RuntimeParams, onePlan)
	}
	if !strings.Contains(url, "pool_max_conns") {
		cfg.MaxConns = int32(2*o.Writers + mostReaders + mostAlone)
	}
	return cfg, nil
}

// shareOut says how many connections of a pool may read at a time, and how many may wait for rows: of one that is smaller than usual not all,
// so that there is one for the others.
func shareOut(conns int) (readers, alone int) {
	return min(max(conns/3, 1), mostReaders), min(max(conns/3, 1), mostAlone)
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// sql puts the name of the schema into a statement, which says duly.
func (s *Store) sql(text string) string { return inSchema(text, s.o.Schema) }

func inSchema(text, schema string) string {
	if schema == defaultSchema {
		return text
	}
	return strings.ReplaceAll(text, "duly.", quoted(schema)+".") // it may be a word of SQL
}

// The second half of advisory locks of class that stand for one thing each; those above 0 are the ids of nodes.
const (
	lockRaise  int32 = -1
	lockTrim   int32 = -2
	lockSchema int32 = -3
)

// class is the first half of the advisory locks that belong to a schema, and entriesClass that of those which writers of the history hold.
func (s *Store) class() int32        { return classOf("duly/" + s.o.Schema) }
func (s *Store) entriesClass() int32 { return classOf("duly/" + s.o.Schema + "/history") }

func classOf(what string) int32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(what)) // hash.Hash never returns an error
	return int32(h.Sum32() & 0x7fffffff)
}

// channel is what others listen to.
func (s *Store) channel() string { return "duly_" + s.o.Schema }

// enter begins a call, leave ends it: Close waits for those under way.
func (s *Store) enter(ctx context.Context, op string) error {
	if ctx.Err() != nil {
		return &store.Error{Op: op, Err: context.Cause(ctx)}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return &store.Error{Op: op, Err: store.ErrClosed}
	}
	s.using++
	return nil
}

func (s *Store) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.using--; s.using == 0 && s.closed {
		close(s.unused)
	}
}

func (s *Store) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// Close implements store.Store. Calls under way are answered first; one that waits for a transaction of somebody else's by store.ErrClosed:
// nothing of it was written. One in somebody's transaction is not waited for.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.mu.Lock()
		s.closed = true
		if s.using == 0 {
			close(s.unused)
		}
		s.mu.Unlock()
		s.hints.Close()
		<-s.unused
		s.stop()
	})
	return nil
}

// stop ends what works for the store, whoever waits for it.
func (s *Store) stop() {
	s.end()
	s.queue.close()
	s.fresh.close()
	s.running.Wait()
	s.pool.Close()
}

// failure says what has become of a call, by what the server or the way to it has answered: nothing was written.
func failure(op string, err error) error {
	if se, ok := errors.AsType[*store.Error](err); ok {
		return se
	}
	why := store.ErrBroken
	switch c := code(err); {
	case errors.Is(err, store.ErrCorrupt), errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrUnknown), errors.Is(err, store.ErrNotOwner):
		return &store.Error{Op: op, Err: err}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &store.Error{Op: op, Err: err}
	case c == codeReadOnly:
		why = store.ErrReadOnly
	case c == codeDiskFull:
		why = store.ErrNoSpace
	case c == codeUndefinedTable, c == codeInvalidSchema:
		return &store.Error{Op: op, Err: fmt.Errorf("%w: %w", store.ErrFormat, err)}
	}
	return &store.Error{Op: op, Err: fmt.Errorf("%w: %w", why, err)}
}

// view lets f read, and has it wait for locks on tables. Each question has a connection of its own.
func (s *Store) view(ctx context.Context, op string, f func(q session) error) error {
	return s.limited(ctx, op, func(ctx context.Context) error { return f(patient{s, ctx, s.lend}) })
}

// survey is a view of what may be much.
func (s *Store) survey(ctx context.Context, op string, f func(q session) error) error {
	return s.limited(ctx, op, func(ctx context.Context) error { return f(patient{s, ctx, s.lendLong}) })
}

// use lets f have a connection that is lent.
func (s *Store) use(ctx context.Context, op string, lend lender, f func(q session) error) error {
	return s.limited(ctx, op, func(ctx context.Context) error { return lend(ctx, f) })
}

// A lender is lend or lendLong.
type lender func(ctx context.Context, f func(q session) error) error

// limited lets f work for as long as a server may be silent. A context that ends meanwhile is what the caller is told.
func (s *Store) limited(ctx context.Context, op string, f func(ctx context.Context) error) error {
	if err := s.enter(ctx, op); err != nil {
		return err
	}
	defer s.leave()
	ctx, stop := park.Within(ctx, sendTimeout, errSilent)
	defer stop()
	err := f(ctx)
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrUnknown) {
		err = cause
	}
	return failure(op, err)
}

// lendLong lets f have a connection for what may be much.
func (s *Store) lendLong(ctx context.Context, f func(q session) error) error {
	return among(ctx, s.lookers, func() error { return s.lend(ctx, f) })
}

// lend lets f have a connection of those that read.
func (s *Store) lend(ctx context.Context, f func(q session) error) error {
	return among(ctx, s.readers, func() error {
		conn, err := s.pool.Acquire(ctx)
		if err != nil {
			return err
		}
		defer conn.Release()
		return f(bound{piped{conn}, ctx})
	})
}

// among does something when there is a place for it, of as many as places has room for.
func among(ctx context.Context, places chan struct{}, do func() error) error {
	select {
	case places <- struct{}{}:
		defer func() { <-places }()
		return do()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

var errSilent = errors.New("the server does not answer")

// bound is a session whose statements have one context.
type bound struct {
	session
	ctx context.Context //nolint:containedctx // that is what it is for
}

func (b bound) do(_ context.Context, stmts ...stmt) error {
	return b.session.do(b.ctx, stmts...) //nolint:contextcheck // it is made of the one that it takes the place of
}

// Clock implements store.Store. The wall clock is the server's. Leases are counted on it as well: a server has no other that its
// sessions share.
func (s *Store) Clock(ctx context.Context) (c store.Clock, err error) {
	if s.o.Clock != nil {
		if err := s.enter(ctx, "clock"); err != nil {
			return c, err
		}
		defer s.leave()
		return s.ownClock(), nil
	}
	sent := s.nodes.clk.Read().Boot
	err = s.view(ctx, "clock", func(q session) error {
		return q.do(ctx, stmt{sql: "select " + serverNow, row: func(scan func(dst ...any) error) error { return scan(&c.Now) }})
	})
	if err != nil {
		return c, err
	}
	received := s.nodes.clk.Read().Boot
	s.tick.set(sent, received, c.Now)
	c.Mono, c.Uncertainty = c.Now, max(store.Instant((received-sent)/1000), 1)
	return c, nil
}

// serverNow is the server's clock, in microseconds, rounded down.
const serverNow = "floor(extract(epoch from clock_timestamp()) * 1000000)::bigint"

// ownClock reads Options.Clock. It is rounded down, so that nothing is due before its time.
func (s *Store) ownClock() store.Clock {
	r := s.o.Clock.Read()
	floor := func(ns int64) store.Instant {
		us := ns / 1000
		if ns%1000 < 0 {
			us--
		}
		return store.Instant(us)
	}
	c := store.Clock{Now: floor(r.Wall), Mono: floor(r.Boot)}
	if c.Now == 0 { // is not set
		c.Now = -1
	}
	return c
}
