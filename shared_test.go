package duly_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
)

// A cluster is a store in memory that several nodes share, whose shards a table divides among them, and what the nodes did. The store's
// clock is the bubble's; each node has one of its own.
type cluster struct {
	*testing.T
	mem  *memory.Store
	trip atomic.Int64 // how long it takes to ask for the time

	mu    sync.Mutex
	nodes []*node
	owner [256]*node
	epoch int64
	ran   []ran
	log   bytes.Buffer
}

// ran is one attempt.
type ran struct {
	duly.AttemptInfo
	on    string
	at    time.Time // by the store's clock
	ended time.Time
	cut   bool  // its node died before it had ended
	cause error // of its context's end
	err   error
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{T: t, mem: memory.New(memory.Options{})}
	c.trip.Store(int64(300 * time.Microsecond))
	return c
}

// Write implements io.Writer, for what is logged.
func (c *cluster) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log.Write(p)
}

func (c *cluster) logged(s string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Count(c.log.String(), s)
}

// A node is a process, as the store sees it: calls go through it, and fail once it is dead.
type node struct {
	*memory.Store
	c    *cluster
	name string
	clk  *skewed
	d    *duly.Scheduler
	kind *duly.Kind[string]

	works  chan error
	deaf   bool            // no hint of others' writes reaches it
	narrow bool            // its pages are of one task, whosever that is
	ears   store.Listeners // of what it hears of
	dead   bool            // under cluster.mu, as what follows
	away   bool            // the store does not answer it
	unseen bool            // nobody saw it die: its leases end by themselves
	owned  func(store.Share)
	kinds  func() []string
	handle map[string]bool // what it has said to handle, as of when the shards were divided
	share  store.Share     // what it was told last
	calls  map[string]int
	breaks map[string]int // how many of the next calls of a method fail
	fails  error          // of Own
	drop   chan struct{}  // ends Own with an error
	torn   func()         // called when the next claims were granted, whose answer is lost then
}

// work lets nodes run.
func (c *cluster) work(nodes ...*node) {
	c.Helper()
	for _, n := range nodes {
		n.works = make(chan error, 1)
		go func() { n.works <- n.d.Run(context.WithoutCancel(c.Context())) }()
		synctest.Wait()
	}
}

// end ends the nodes in good order, and holds what they did to what is always true.
func (c *cluster) end() {
	c.Helper()
	synctest.Wait()
	c.mu.Lock()
	nodes := slices.Clone(c.nodes)
	c.mu.Unlock()
	for _, n := range nodes {
		if err := n.d.Invariants(); err != nil && !n.dead {
			c.Errorf("of %s: %v", n.name, err)
		}
	}
	for _, n := range nodes {
		n.leave()
	}
	if err := c.mem.Close(); err != nil {
		c.Error(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	held := map[string]*ran{}
	for i := range c.ran {
		r := &c.ran[i]
		if r.at.Before(r.Due) {
			c.Errorf("invariant 2: %s began %v early", r.RunID, r.Due.Sub(r.at))
		}
		if was := held[r.Name]; was != nil && (was.ended.IsZero() || was.ended.After(r.at)) && !errors.Is(was.cause, duly.ErrLeaseLost) && !was.cut {
			c.Errorf("invariant 3: attempt %d of %s on %s began while %s had its lease on %s", r.Number, r.RunID, r.on, was.RunID, was.on)
		}
		if was := held[r.Name]; was != nil && was.Fence >= r.Fence {
			c.Errorf("invariant 4: fence %d of %s after %d", r.Fence, r.RunID, was.Fence)
		}
		held[r.Name] = r
	}
}

// named returns a node by its name, with the mutex held; one that has left is not dead.
func (c *cluster) named(name string) *node {
	for _, n := range c.nodes {
		if n.name == name {
			return n
		}
	}
	return &node{}
}

// leave ends a node in good order.
func (n *node) leave() {
	n.c.Helper()
	if n.works == nil {
		return
	}
	if err := n.d.Close(n.c.Context()); err != nil {
		n.c.Errorf("Close of %s: %v", n.name, err)
	}
	if err := <-n.works; err != nil && !n.dead {
		n.c.Errorf("Run of %s: %v", n.name, err)
	}
	n.works = nil
}

// kill ends a node as kill -9 does: nothing that it does from now on reaches the store, and all that it leased is over. Its shards are
// nobody's until they are divided anew.
func (c *cluster) kill(n *node) {
	c.Helper()
	synctest.Wait()
	c.mu.Lock()
	n.dead, n.owned = true, nil
	for i := range c.ran {
		r := &c.ran[i]
		r.cut = r.cut || r.on == n.name && r.ended.IsZero()
	}
	for s, o := range c.owner {
		if o == n {
			c.owner[s] = nil
		}
	}
	c.mu.Unlock()
	n.ears.Close()
	page, err := c.mem.List(c.Context(), store.Query{State: store.Running, Limit: 10_000})
	if err != nil {
		c.Fatal(err)
	}
	for _, t := range page.Tasks {
		for i := range t.Runs {
			if r := &t.Runs[i]; r.Owner == n.name && r.State == store.Running {
				_, _ = c.mem.Renew(c.Context(), []store.Renewal{{RunID: r.ID(t.Key), Fence: r.Fence, Lease: 1}})
			}
		}
	}
}

// count returns how often a node has called a method.
func (n *node) count(method string) int {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	return n.calls[method]
}

// breakNext lets the next calls of a method fail.
func (n *node) breakNext(method string, calls int) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	n.breaks = map[string]int{method: calls}
}

// enter counts a call. A dead node's is not made.
func (n *node) enter(method string) error {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	n.calls[method]++
	switch {
	case n.dead:
		return store.ErrClosed
	case n.away:
		return store.ErrBroken
	case n.breaks[method] > 0:
		n.breaks[method]--
		return store.ErrBroken
	}
	return nil
}

// Clock implements store.Store.
func (n *node) Clock(ctx context.Context) (clk store.Clock, err error) {
	if err := n.enter("Clock"); err != nil {
		return clk, err
	}
	way := time.Duration(n.c.trip.Load()) / 2
	time.Sleep(way)
	clk, err = n.c.mem.Clock(ctx)
	time.Sleep(way)
	clk.Uncertainty = 1
	return clk, err
}

// Cancel implements store.Store. That an attempt is asked to stop is told.
func (n *node) Cancel(ctx context.Context, xs []store.Cancel) ([]store.CancelResult, error) {
	if err := n.enter("Cancel"); err != nil {
		return nil, err
	}
	res, err := n.c.mem.Cancel(ctx, xs)
	for i := range res {
		if t := res[i].Task; t != nil && xs[i].Stop && t.Running() > 0 {
			h := store.Hint{At: t.Position()}
			h.Shards.Add(t.Shard())
			n.c.tell(h)
		}
	}
	return res, err
}

// tell tells all nodes.
func (c *cluster) tell(h store.Hint) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nodes {
		n.ears.Tell(h)
	}
}

// Hints implements store.Hinter.
func (n *node) Hints() (hints <-chan store.Hint, stop func()) {
	heard, deafen := n.ears.Hints()
	if n.deaf {
		return heard, deafen
	}
	from, end := n.c.mem.Hints()
	go func() {
		for h := range from {
			n.ears.Tell(h)
		}
	}()
	return heard, func() { end(); deafen() }
}

// over shows what dead nodes have leased as theirs no more.
func (c *cluster) over(tasks []*store.Task) []*store.Task {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := slices.Clone(tasks)
	gone := func(r *store.Run) bool {
		n := c.named(r.Owner)
		return r.State == store.Running && n.dead && !n.unseen
	}
	for i, t := range out {
		if t == nil || !slices.ContainsFunc(t.Runs, func(r store.Run) bool { return gone(&r) }) {
			continue
		}
		n := *t
		n.Runs = slices.Clone(t.Runs)
		for j := range n.Runs {
			if r := &n.Runs[j]; gone(r) {
				r.Lease = store.Over
			}
		}
		out[i] = &n
	}
	return out
}

// Due implements store.Store.
func (n *node) Due(ctx context.Context, q store.DueQuery) (store.DuePage, error) {
	method := "Due"
	switch {
	case q.Shards == nil && q.Until == store.Never:
		method = "Due ever" // by whoever looks whether rules of zones have changed
	case q.Shards == nil:
		method = "Due of all"
	}
	if err := n.enter(method); err != nil {
		return store.DuePage{}, err
	}
	all := q
	if n.narrow && q.Shards != nil {
		all.Shards, all.Kinds, all.Limit = nil, nil, 1
	}
	page, err := n.c.mem.Due(ctx, all)
	page.Tasks = slices.DeleteFunc(n.c.over(page.Tasks), func(t *store.Task) bool { return !q.Has(t.Shard(), t.Kind) })
	return page, err
}

// Get implements store.Store.
func (n *node) Get(ctx context.Context, keys []store.Key) ([]*store.Task, error) {
	if err := n.enter("Get"); err != nil {
		return nil, err
	}
	ts, err := n.c.mem.Get(ctx, keys)
	return n.c.over(ts), err
}

// Settle implements store.Store.
func (n *node) Settle(ctx context.Context, xs []store.Settlement) ([]store.SettleResult, error) {
	if err := n.enter("Settle"); err != nil {
		return nil, err
	}
	return n.c.mem.Settle(ctx, xs)
}

// Renew implements store.Store.
func (n *node) Renew(ctx context.Context, xs []store.Renewal) ([]store.RenewResult, error) {
	if err := n.enter("Renew"); err != nil {
		return nil, err
	}
	return n.c.mem.Renew(ctx, xs)
}

// Edit implements store.Store.
func (n *node) Edit(ctx context.Context, xs []store.Edit) ([]store.EditResult, error) {
	if err := n.enter("Edit"); err != nil {
		return nil, err
	}
	return n.c.mem.Edit(ctx, xs)
}

// A skewed clock is the bubble's, ahead by some time and fast by some millionths. Its wall clock can be set.
type skewed struct {
	clock.Clock
	ppm int64

	mu     sync.Mutex
	ahead  int64
	alarms map[*skewedAlarm]struct{}
}

func newSkewed(ahead time.Duration, ppm int64) *skewed {
	return &skewed{Clock: clock.System(), ppm: ppm, ahead: int64(ahead), alarms: map[*skewedAlarm]struct{}{}}
}

// Read implements clock.Clock.
func (s *skewed) Read() clock.Reading {
	r := s.Clock.Read()
	s.mu.Lock()
	defer s.mu.Unlock()
	drift := r.Boot * s.ppm / 1e6
	return clock.Reading{Boot: r.Boot + drift, Wall: r.Wall + drift + s.ahead}
}

// step sets the wall clock, and tells the alarms.
func (s *skewed) step(by time.Duration) {
	s.mu.Lock()
	s.ahead += int64(by)
	var all []*skewedAlarm
	for a := range s.alarms {
		all = append(all, a)
	}
	s.mu.Unlock()
	for _, a := range all {
		a.Alarm.Set(0, clock.Never) // whoever is woken looks, and sets it again
	}
	synctest.Wait()
}

// NewAlarm implements clock.Clock.
func (s *skewed) NewAlarm(wake func()) clock.Alarm {
	a := &skewedAlarm{Alarm: s.Clock.NewAlarm(wake), s: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alarms[a] = struct{}{}
	return a
}

type skewedAlarm struct {
	clock.Alarm
	s *skewed
}

// Set implements clock.Alarm.
func (a *skewedAlarm) Set(boot, wall int64) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	if boot < math.MaxInt64/1000 {
		boot -= boot * a.s.ppm / (1e6 + a.s.ppm)
	}
	if wall != clock.Never {
		wall -= a.s.ahead + a.s.Clock.Read().Boot*a.s.ppm/1e6
	}
	a.Alarm.Set(boot, wall)
}

// runs returns the attempts there were, each as its name and nominal instant, sorted.
func (c *cluster) runs() (all []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.ran {
		all = append(all, fmt.Sprintf("%s %s", c.ran[i].Name, c.ran[i].ScheduledFor.Format("15:04:05.999")))
	}
	slices.Sort(all)
	return all
}

// late returns the longest that an attempt was late, and on which node.
func (c *cluster) late() (most time.Duration, on string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.ran {
		if d := c.ran[i].at.Sub(c.ran[i].Due); d > most {
			most, on = d, c.ran[i].on
		}
	}
	return most, on
}

// twoOn are two schedulers on one store, as those of two processes are.
func twoOn(t *testing.T, st store.Store) (both [2]*duly.Scheduler) {
	t.Helper()
	for i := range both {
		s, err := duly.New(duly.Options{Store: st})
		if err != nil {
			t.Fatal(err)
		}
		both[i] = s
	}
	return both
}
