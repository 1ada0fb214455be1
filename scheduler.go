package duly

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
	"github.com/dulyhq/duly/timer"
)

// Options of a scheduler. The zero Options are what most want, but for the Store.
type Options struct {
	// Store keeps the tasks. Nil is one in memory, which ends with the scheduler; any other stays the caller's, who closes it after
	// the scheduler.
	Store store.Store
	// Namespace is that of names in all calls; In gives another. A running scheduler runs the tasks of all.
	Namespace string
	// Workers limits how many attempts run at a time; 0 is 10,000. Where the runtime has a memory limit (GOMEMLIMIT) when New is called,
	// fewer run while their payloads take an eighth of it.
	Workers int
	// Lease is for how long an attempt is this process's own if the process is not heard of; it is renewed at a third. 0 is 30 s; the
	// least is 100 ms.
	Lease time.Duration
	// DrainTimeout is how long Run lets attempts finish when its context has ended, before their own contexts end too. 0 is 30 s.
	DrainTimeout time.Duration
	// Retention is what is kept of what has ended.
	Retention Retention
	// Owner tells schedulers apart in what the store keeps of attempts: no two that run at a time on one store may have the same. "" is
	// the host's name, the process id and a random number.
	Owner string
	// Middleware wraps every handler; the first is outermost.
	Middleware []Middleware
	// OnDead is called when a run is dead, after the store has it so, on a goroutine of its own or the attempt's. It may block.
	OnDead func(ctx context.Context, d Death)
	// Logger receives what nobody else is told: panics, failures of the store. Nil is slog.Default().
	Logger *slog.Logger
	// Clock is read and waited for. It must be the store's if the store is in this process; that of a store elsewhere is followed by
	// it, however it is set. Nil is clock.System(): in a testing/synctest bubble its time.
	Clock clock.Clock
}

// MaxLost is how many attempts at a run may end with their process before the run is dead. What was lost runs one at a time, so that
// a run that ends its process is known by that. But if another ran that had never been lost, it may have been that one as well; then
// the loss makes the run dead only if it is the tenth.
const MaxLost = 3

const mostLost = 10

const (
	defaultWorkers = 10_000
	defaultLease   = 30 * time.Second
	leastLease     = 100 * time.Millisecond
	defaultDrain   = 30 * time.Second
)

// A Death is a run that is dead: what it was, and why.
type Death struct {
	Namespace    string
	Name         string
	Kind         string
	RunID        string
	ScheduledFor time.Time
	Attempts     int
	Reason       string
}

// Scheduler puts, finds and runs tasks. Make one with New; all methods are safe for concurrent use, also from within handlers.
type Scheduler struct {
	core      *core
	namespace string
}

// core is what the views of a scheduler share.
type core struct {
	store     store.Store
	ownsStore bool
	clk       clock.Clock
	eng       *timer.Engine
	opts      Options
	log       *slog.Logger
	policies  policies
	schedules schedules
	tuning    atomic.Pointer[tuning]
	stats     stats
	heldMost  int64  // bytes of the payloads of all that runs, but for one that is larger
	news      signal // told after every write of ours

	mu        sync.Mutex // guards what follows
	closed    bool
	running   *run // nil while Run does not
	minded    bool // it was said that our wall clock is not the store's
	kinds     map[string]*kind
	kindNames []string               // theirs, in the order of Handle
	wrong     error                  // what Handle was told wrong, for Run to return
	writing   map[store.Key]*pending // writes of ours under way
}

// New makes a scheduler. It starts nothing: Run does. Several Options are a mistake.
func New(opts ...Options) (*Scheduler, error) {
	var o Options
	switch {
	case len(opts) > 1:
		return nil, invalid("new", store.Key{}, "options", strconv.Itoa(len(opts)), "at most one Options")
	case len(opts) == 1:
		o = opts[0]
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	c := &core{
		store: o.Store, clk: o.Clock, opts: o, log: o.Logger, kinds: map[string]*kind{}, writing: map[store.Key]*pending{},
		heldMost: debug.SetMemoryLimit(-1) / 8,
	}
	if c.store == nil {
		c.store, c.ownsStore = memory.New(memory.Options{Clock: c.clk}), true
	}
	c.tuning.Store(&tuning{})
	c.news.init()
	c.stats.init()
	c.eng = timer.New(timer.Options{Name: "duly", Clock: c.clk, Logger: c.log})
	return &Scheduler{core: c, namespace: o.Namespace}, nil
}

func (o *Options) check() error {
	bad := func(field, value, want string) error { return invalid("new", store.Key{}, field, value, want) }
	switch {
	case o.Workers < 0:
		return bad("workers", strconv.Itoa(o.Workers), "at least 1, or 0 for 10000")
	case o.Lease != 0 && o.Lease < leastLease:
		return bad("lease", o.Lease.String(), "at least 100ms, or 0 for 30s")
	case o.DrainTimeout < 0:
		return bad("drain timeout", o.DrainTimeout.String(), "more than 0, or 0 for 30s")
	case len(o.Owner) > store.MaxName:
		return bad("owner", strconv.Itoa(len(o.Owner))+" bytes", "at most 255")
	}
	if err := o.Retention.check(); err != nil {
		return err
	}
	if o.Namespace != "" {
		probe := store.Cancel{Key: store.Key{Namespace: o.Namespace, Name: "n"}}
		if err := probe.Check(); err != nil {
			return bad("namespace", strconv.Quote(o.Namespace), "1 to 255 bytes of UTF-8 without control characters, not . or ..")
		}
	}
	if o.Workers == 0 {
		o.Workers = defaultWorkers
	}
	if o.Lease == 0 {
		o.Lease = defaultLease
	}
	if o.DrainTimeout == 0 {
		o.DrainTimeout = defaultDrain
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	if o.Owner == "" {
		host, _ := os.Hostname() // what tells processes apart comes after it
		o.Owner = fmt.Sprintf("%.200s:%d:%08x", host, os.Getpid(), rand.Uint32())
	}
	return nil
}

// In returns the scheduler for names of another namespace.
func (s *Scheduler) In(namespace string) *Scheduler {
	return &Scheduler{core: s.core, namespace: namespace}
}

// Namespace returns the namespace of names in all calls.
func (s *Scheduler) Namespace() string { return s.namespace }

func (s *Scheduler) key(name string) store.Key { return store.Key{Namespace: s.namespace, Name: name} }

// Store returns the store that the scheduler works on.
func (s *Scheduler) Store() store.Store { return s.core.store }

// Close ends the scheduler: Run returns, what runs is asked to stop, and when nothing runs any more, or ctx ends, Close returns; in the
// latter case with an *[UnfinishedError] that names what still runs. Tasks that have not started stay in the store. A store that New made
// is closed too. Close may be called again.
func (s *Scheduler) Close(ctx context.Context) error { return s.core.close(ctx, true) }

// Drain is Close, but lets what runs finish.
func (s *Scheduler) Drain(ctx context.Context) error { return s.core.close(ctx, false) }

// UnfinishedError is the error of Run, Drain and Close when attempts still run: their handlers did not return in time. They go on without
// their leases being renewed, and another attempt follows.
type UnfinishedError struct{ Running []AttemptInfo }

// Error returns the message: one line.
func (u *UnfinishedError) Error() string {
	s := fmt.Sprintf("duly: %d attempts still run", len(u.Running))
	for i := range u.Running {
		if i == 3 {
			return s + ", ..."
		}
		sep := ", "
		if i == 0 {
			sep = ": "
		}
		s += sep + strconv.Quote(u.Running[i].Name)
	}
	return s
}

// A kind is what is known here of how tasks of a kind are run.
type kind struct {
	name    string
	handler HandlerFunc
	gate    gate
	bucket  bucket
}

// kindError says what is wrong with the name of a kind.
func kindError(name string) error {
	probe := store.Put{Key: store.Key{Name: "n"}, Spec: store.Spec{Kind: name}, When: store.In(0, 0)}
	if probe.Check() != nil {
		return invalid("handle", store.Key{}, "kind", strconv.Quote(name), "1 to 255 bytes of UTF-8 without control characters, not . or ..")
	}
	return nil
}

func (c *core) handle(name string, h HandlerFunc, set *kindSettings) error {
	if err := kindError(name); err != nil {
		return err
	}
	for _, list := range [2][]Middleware{set.middleware, c.opts.Middleware} {
		for _, m := range slices.Backward(list) {
			h = m(h)
		}
	}
	k := &kind{name: name, handler: h, gate: gate{limit: set.limit}, bucket: newBucket(set.rate, set.burst)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kinds[name] != nil {
		return invalid("handle", store.Key{}, "kind", strconv.Quote(name), "a kind that is not handled yet")
	}
	if _, shared := c.store.(store.Owner); shared && len(c.kinds) == store.MaxKinds {
		return invalid("handle", store.Key{}, "kind", strconv.Quote(name), fmt.Sprintf("one of the %d that a process may handle on a store that several share", store.MaxKinds))
	}
	c.kinds[name] = k
	c.kindNames = append(c.kindNames, name) // whoever has read it looks no further than its end
	c.stats.know(name)
	if c.running != nil {
		c.running.handledLocked(k)
	}
	return nil
}

func (c *core) mistake(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong = errors.Join(c.wrong, err)
}

// declared completes a Put.
func (c *core) declared(ctx context.Context, p *put, s schedule.Schedule) (store.Put, error) {
	if p.err != nil {
		return store.Put{}, p.err
	}
	if err := s.Err(); err != nil {
		return store.Put{}, &store.Error{Op: "put", Key: p.Key, Err: fmt.Errorf("%w: %w", ErrInvalid, err)}
	}
	if p.StartWithin > 0 && s.Recurring() {
		return store.Put{}, invalid("put", p.Key, "start within", time.Duration(p.StartWithin).String(), "it on a one-off only; a recurring task has Window")
	}
	var err error
	if p.Policy, err = p.encode(); err != nil {
		return store.Put{}, &store.Error{Op: "put", Key: p.Key, Err: err}
	}
	if s.Recurring() { // its first occurrence is worked out here
		if err := c.fresh(ctx); err != nil {
			return store.Put{}, err
		}
	}
	p.Schedule, p.Recurring = s.String(), s.Recurring()
	p.When, p.AcceptedAt = c.when(p.Key, s)
	return p.Put, nil
}

// when is the first occurrence of a schedule, and of a recurring one the instant from which it counts.
func (c *core) when(k store.Key, s schedule.Schedule) (store.When, store.Instant) {
	if s.Kind() == schedule.KindAfter {
		base := time.Unix(0, 0)
		r := s.Bind(k.String(), base)
		return store.In(r.First().Sub(base), r.Offset()), 0
	}
	accepted := c.now()
	r := s.Bind(k.String(), accepted.Time())
	o := occurrence(r, r.First())
	if o.None() {
		o = store.Occurrence{For: store.Never, Due: store.Never}
	}
	if !s.Recurring() {
		accepted = 0
	}
	return store.On(o), accepted
}

// occurrence is a nominal instant and its jitter; none for the zero time.
func occurrence(r schedule.Rule, t time.Time) store.Occurrence {
	if t.IsZero() {
		return store.Occurrence{}
	}
	at := store.At(t)
	return store.Occurrence{For: at, Due: at.Add(r.Offset())}
}

// schedules remembers those that were parsed lately.
type schedules struct {
	mu     sync.Mutex
	parsed map[string]schedule.Schedule
}

const schedulesMost = 4096

func (c *schedules) of(text string) (schedule.Schedule, error) {
	c.mu.Lock()
	s, ok := c.parsed[text]
	c.mu.Unlock()
	if ok {
		return s, nil
	}
	s, err := schedule.Parse(text)
	if err != nil {
		return s, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.parsed == nil || len(c.parsed) >= schedulesMost {
		c.parsed = map[string]schedule.Schedule{}
	}
	c.parsed[text] = s
	return s, nil
}

func stack() string { return string(debug.Stack()) }

// A signal tells any number of waiters that something has happened.
type signal struct {
	mu sync.Mutex
	ch chan struct{}
}

func (s *signal) init() { s.ch = make(chan struct{}) }

// next returns a channel that is closed by the next tell.
func (s *signal) next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ch
}

func (s *signal) tell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.ch)
	s.ch = make(chan struct{})
}
