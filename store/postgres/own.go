package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/wait"
)

// nodes is what a store knows of the processes that share it, and of its own part.
type nodes struct {
	clk    clock.Clock
	wall   func() time.Time // this process's clock, as people see it
	grant  atomic.Pointer[grant]
	linked atomic.Bool                              // the node has its connection: without it, it may be taken for dead before its grant ends
	fates  atomic.Pointer[map[string]store.Instant] // by name of a node: what was started before it has nobody any more

	mu     sync.Mutex
	self   *node // the one that takes part now
	epoch  int64 // the last that was told, by the one before
	health Health
}

func (x *nodes) init(wall func() time.Time) {
	c := clock.System()
	if x.clk, x.wall = c, wall; wall == nil {
		x.wall = func() time.Time { return time.Unix(0, c.Read().Wall) }
	}
}

// A grant is what this process owns, until an instant of boot time. It is replaced whole.
type grant struct {
	share   store.Share
	handles map[string]struct{} // the kinds that others know to be handled here
	until   int64
}

// owns says whether claims of a kind in a shard are this process's to make. They are as long as it has not asked for a part by Own.
func (s *Store) owns(shard uint8, kind string) bool {
	g := s.nodes.grant.Load()
	return g == nil || g.share.Has(shard, kind) && s.nodes.clk.Read().Boot < g.until
}

// alone says whether this process is known to be the one that works on tasks of a kind in a shard, so that nobody else has to be told of
// what comes due. It is where the shard is its own, by a lease, and it handles the kind: what it has because the shard's owner does not may
// be that one's by now.
func (s *Store) alone(shard uint8, kind string) bool {
	g := s.nodes.grant.Load()
	if g == nil || !s.nodes.linked.Load() || !g.share.Shards.Has(shard) {
		return false
	}
	_, handled := g.handles[kind]
	return handled && s.nodes.clk.Read().Boot < g.until
}

// aloneIn says so of all shards of a set, of kinds of which it was so a moment ago: what is handled stays so.
func (s *Store) aloneIn(set *store.Shards) bool {
	g := s.nodes.grant.Load()
	return g != nil && s.nodes.linked.Load() && without(*set, g.share.Shards) == store.Shards{} && s.nodes.clk.Read().Boot < g.until
}

// gone says whether nobody works any more on what a node started at an instant: its process was found to be gone, or another one
// has its name.
func (s *Store) gone(owner string, startedAt store.Instant) bool {
	fates := s.nodes.fates.Load()
	return fates != nil && startedAt < (*fates)[owner]
}

const (
	heartbeat   = 250 * time.Millisecond
	beatTime    = time.Second // how long an answer is waited for before another connection is tried
	connectTime = 2 * time.Second
	leaveTime   = time.Second
	mostTurns   = 3 // changes in one heartbeat
)

// A node is this process's part. Its fields belong to the goroutine of Own, but for those under the mutex of nodes.
type node struct {
	s       *Store
	name    string
	session int64
	teller  *teller
	alarm   clock.Alarm

	conn      *pgx.Conn
	connected int64 // boot time
	id        int32 // 0: not joined
	holds     bool  // the lock of its id
	blocked   int64 // the last heartbeat of the other process that has our name, and
	since     int64 // the boot time since which it is that
	waiting   bool  // it was said that another process has our name

	handled func() []string     // asks which kinds are handled here
	handles map[string]struct{} // those that are made known; it is replaced, not changed
	kinds   []string            // the same, in the order in which they were heard of
	known   bool                // they are, as they are now
	excess  bool                // it was said that there are too many
	others  map[int32]kindList  // what was read of other nodes, by their ids

	watch  watch
	parts  parting
	offset offset
	down   bool         // its clock is wrong, so that it stands down
	aside  bool         // it does: there are others whose clocks are right
	gives  bool         // there are shards to be given up as soon as our side has been told
	fresh  store.Shards // gained by the last heartbeat
	beats  uint64

	share store.Share // under nodes.mu: what is granted
	until int64       // under nodes.mu
	over  bool        // under nodes.mu: nothing is granted any more
}

// A kindList is the kinds of a node, as of a change of them.
type kindList struct {
	number int64
	kinds  []string
}

// Own implements store.Owner: this process takes part under the name of a node, which no two processes should have at once: the second
// waits while the first lives. It does so by a connection of its own, which it opens anew whenever it breaks. What it owns is its own for
// two seconds from its last heartbeat; when these are nearly over without another, owned is told that it owns nothing.
//
// A node whose clock is more than a second from the server's stands down, until it is right again. When ctx ends, owned is told that
// nothing is owned, others may take over at once, and Own returns nil. An error is returned where trying again would be of no use.
func (s *Store) Own(ctx context.Context, name string, kinds func() []string, owned func(store.Share)) error {
	if err := checkNode(name); err != nil {
		return err
	}
	for field, missing := range map[string]bool{"kinds": kinds == nil, "owned": owned == nil} {
		if missing {
			return &store.Error{Op: "own", Field: field, Value: "nil", Want: "a function", Err: store.ErrInvalid}
		}
	}
	// The session is the same as before, so that what still runs is not taken for lost.
	n := &node{s: s, name: name, session: s.sender, watch: watch{}, handled: kinds, others: map[int32]kindList{}}
	if err := n.learn(); err != nil {
		return err
	}
	done := make(chan error, 1)
	if err := s.nodes.enter(n); err != nil {
		return err
	}
	defer s.nodes.exit()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(s.life, stop)() //nolint:contextcheck // Close ends it as well
	if err := s.begin(func() { done <- n.work(ctx, owned) }); err != nil {
		return &store.Error{Op: "own", Err: err}
	}
	err := <-done
	if err == nil && s.life.Err() != nil {
		err = &store.Error{Op: "own", Err: store.ErrClosed}
	}
	return err
}

func checkNode(name string) error {
	const most = 255
	ok := name != "" && len(name) <= most && utf8.ValidString(name)
	for _, r := range name {
		ok = ok && !unicode.IsControl(r)
	}
	if ok {
		return nil
	}
	if len(name) > most {
		name = name[:40] + "..."
	}
	return &store.Error{
		Op: "own", Field: "node", Value: strconv.Quote(name), Want: "1 to 255 bytes of UTF-8 without control characters", Err: store.ErrInvalid,
	}
}

func (x *nodes) enter(n *node) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.self != nil {
		return &store.Error{
			Op: "own", Field: "node", Value: strconv.Quote(n.name), Want: "one node for a store, and this one takes part as " + strconv.Quote(x.self.name), Err: store.ErrInvalid,
		}
	}
	x.self, n.teller = n, newTeller(x.epoch)
	x.health = Health{Node: n.name, Sweeps: x.health.Sweeps, Swept: x.health.Swept}
	x.grant.Store(&grant{})
	return nil
}

func (x *nodes) exit() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.epoch, x.self = x.self.teller.epoch, nil
	x.health = Health{Sweeps: x.health.Sweeps, Swept: x.health.Swept}
}

// work is the life of a node.
func (n *node) work(ctx context.Context, owned func(store.Share)) error {
	n.alarm = n.s.nodes.clk.NewAlarm(n.expire)
	var wg sync.WaitGroup
	wg.Go(func() { n.teller.tell(owned) })
	ctx, end := context.WithCancel(ctx)
	wg.Go(func() { n.sweeps(ctx) })
	wg.Go(func() {
		<-ctx.Done() // not only when the heartbeat that is under way has ended
		n.cease()
		n.teller.close()
	})
	err := n.run(ctx)
	end()
	wg.Wait()
	n.alarm.Close()
	n.quit() //nolint:contextcheck // ctx has ended
	return err
}

// run beats until ctx ends, or there is no use in it.
func (n *node) run(ctx context.Context) error {
	var pause backoff
	lost := false
	for next := n.boot(); ; {
		told, err := n.teller.told.NapContext(ctx, time.Duration(next-n.boot()))
		if err != nil {
			return nil //nolint:nilerr // only ctx ends it
		}
		if told && !n.gives {
			continue
		}
		begun := n.boot()
		err = n.turn(ctx)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // it was on its way out
		case errors.Is(err, store.ErrInvalid):
			return err
		case err == nil:
			if lost {
				n.s.o.Logger.Info("node has its connection again", "node", n.name)
			}
			lost = false
			pause.reset()
			next = begun + int64(heartbeat)
			continue
		case passing(err):
			next = begun + int64(heartbeat)
			continue
		}
		n.hangUp() //nolint:contextcheck // it has a time of its own
		if err := lasting(err, n.s.o.Schema); err != nil {
			return &store.Error{Op: "own", Err: err}
		}
		if !lost {
			n.s.o.Logger.Warn("node has no connection", "node", n.name, "error", err)
		}
		lost = true
		next = n.boot() + int64(pause.next())
	}
}

// learn asks which kinds are handled here. Those that were still are.
func (n *node) learn() error {
	var more []string
	for _, kind := range n.handled() {
		if _, old := n.handles[kind]; old || slices.Contains(more, kind) {
			continue
		}
		if err := store.CheckKind(kind); err != nil {
			return err
		}
		if len(n.kinds)+len(more) == store.MaxKinds {
			if !n.excess {
				n.s.o.Logger.Warn("more kinds are handled than are made known to others: of the rest only what is in shards of this node's own runs here",
					"node", n.name, "most", store.MaxKinds)
			}
			n.excess = true
			break
		}
		more = append(more, kind)
	}
	if len(more) == 0 {
		return nil
	}
	handles := make(map[string]struct{}, len(n.kinds)+len(more))
	n.kinds, n.known = append(n.kinds, more...), false
	for _, kind := range n.kinds {
		handles[kind] = struct{}{}
	}
	n.handles = handles
	return nil
}

func (n *node) boot() int64 { return n.s.nodes.clk.Read().Boot }

// turn is one heartbeat, and what follows from it.
func (n *node) turn(ctx context.Context) error {
	base := context.WithoutCancel(ctx) // what is under way when ctx ends is waited for, so that the connection is there to leave by
	if n.conn == nil {
		if err := n.dial(ctx); err != nil {
			return err
		}
	}
	if err := n.learn(); err != nil {
		return err
	}
	for range mostTurns {
		if n.id == 0 {
			if joined, err := n.join(base); err != nil || !joined {
				return err
			}
		}
		if !n.holds && !n.s.o.Pooler {
			if err := n.hold(base); err != nil {
				return err
			}
		}
		sent := n.boot()
		v, err := n.beat(base)
		if err != nil {
			return err
		}
		if !v.extended { // the lease had ended, or somebody has our name: what was ours may be somebody else's
			n.id = 0
			n.drop("its lease had ended at the server")
			continue
		}
		p := n.adopt(v, sent)
		if p.empty() {
			return nil
		}
		if err := n.change(base, &p); err != nil {
			return err
		}
	}
	return nil
}

// adopt takes in what a heartbeat has seen, sent at an instant of boot time, and returns what there is to change.
func (n *node) adopt(v *view, sent int64) plan {
	young := n.s.o.Pooler || sent-n.connected < leaseFor*1000
	n.watch.look(v, n.id, n.boot(), young)
	n.stand()
	p, live := planned(v, n.watch, n.id, n.down)
	n.aside = n.down && !slices.Contains(live, n.id)
	n.s.nodes.linked.Store(true)
	n.tellFates(v)
	mine, _ := v.ownedBy(n.id)
	share := store.Share{Shards: without(mine, setOf(p.give)), Epoch: v.epoch}
	share.Kinds = n.parts.of(v, n.id, share.Shards, live)
	before := n.grant(share, sent+(leaseFor-marginOf)*1000)
	n.gives = len(p.give) > 0
	if n.gives && n.teller.behind() {
		p.give = nil
	} else {
		n.gives = false
	}
	n.hint(v, &share, &before)
	n.note(v)
	return p
}

// grant says what is owned until an instant of boot time, which is nothing if that has passed, and returns what was owned.
func (n *node) grant(share store.Share, until int64) (before store.Share) {
	x := &n.s.nodes
	x.mu.Lock()
	defer x.mu.Unlock()
	before = n.share
	if n.over {
		return before
	}
	if n.boot() >= until {
		share = store.Share{Epoch: share.Epoch}
	}
	n.setLocked(share, until, n.handles)
	return before
}

func (n *node) setLocked(share store.Share, until int64, handles map[string]struct{}) {
	x := &n.s.nodes
	n.share, n.until = share, until
	x.grant.Store(&grant{share: share, until: until, handles: handles})
	x.health.Shards = share.Shards
	n.teller.push(share)
	n.alarm.Set(until, clock.Never)
}

// expire is called by the alarm: when the lease is nearly over nothing is owned any more, whatever has become of the connection.
func (n *node) expire() {
	n.dropIf("no heartbeat in time", func() bool { return n.boot() >= n.until })
}

// drop owns nothing until another heartbeat has got through.
func (n *node) drop(why string) {
	n.dropIf(why, func() bool { return true })
}

func (n *node) dropIf(why string, is func() bool) {
	x := &n.s.nodes
	x.mu.Lock()
	had := n.share.All() != store.Shards{} && !n.over
	if had = had && is(); had {
		n.setLocked(store.Share{}, clock.Never, nil)
	}
	x.mu.Unlock()
	if had {
		n.s.o.Logger.Warn("node owns nothing for now", "node", n.name, "why", why)
	}
}

// cease owns nothing for good.
func (n *node) cease() {
	x := &n.s.nodes
	x.mu.Lock()
	defer x.mu.Unlock()
	n.setLocked(store.Share{}, clock.Never, nil)
	n.over = true
}

// stand notes whether the node stands down, and says so.
func (n *node) stand() {
	down := n.offset.stands(n.down)
	if down == n.down {
		return
	}
	n.down = down
	best, _ := n.offset.best()
	if down {
		n.s.o.Logger.Warn("node stands down while there are others: its clock is more than a second from the server's; set right which is wrong",
			"node", n.name, "offset", best.offset, "uncertainty", best.within)
	} else {
		n.s.o.Logger.Info("node takes part again: its clock is right", "node", n.name, "offset", best.offset)
	}
}

// tellFates notes whose runs have nobody any more. If there are more of them than before everything has to be looked at again.
func (n *node) tellFates(v *view) {
	fates := make(map[string]store.Instant)
	var known map[string]store.Instant
	if p := n.s.nodes.fates.Load(); p != nil {
		known = *p
	}
	more := false
	for i := range v.members {
		m := &v.members[i]
		if at := m.lostBefore(v.now); at != 0 {
			fates[m.name] = at
			more = more || at > known[m.name]
		}
	}
	n.s.nodes.fates.Store(&fates)
	if more {
		n.s.hints.Tell(store.Hint{At: store.Over, Shards: every()})
	}
}

// hint says what is to be looked at again. What was gained by the last heartbeat may have been written to, meanwhile, by a process that
// believed it to be its own and told nobody. Where nobody listens, what is due now is looked at twice a second.
func (n *node) hint(v *view, share, before *store.Share) {
	again, all := n.fresh, share.All()
	n.fresh = share.Beyond(before)
	if again != (store.Shards{}) {
		n.s.hints.Tell(store.Hint{At: store.Over, Shards: again})
	}
	if n.beats++; n.s.o.Pooler && n.beats%2 == 0 && all != (store.Shards{}) {
		n.s.hints.Tell(store.Hint{At: store.Instant(v.now - overdue.Microseconds()), Shards: all})
	}
}

// quit lets others take over at once, if there is a connection to say so.
func (n *node) quit() {
	if n.conn == nil {
		return
	}
	if n.id != 0 {
		ctx, stop := context.WithTimeout(context.Background(), leaveTime)
		_ = n.part(ctx) // else the lease runs out
		stop()
	}
	n.hangUp()
}

func (n *node) hangUp() {
	if n.conn != nil {
		hangUp(n.conn)
	}
	n.conn, n.holds = nil, false
	x := &n.s.nodes
	x.linked.Store(false)
	x.mu.Lock()
	x.health.Connected = false
	x.mu.Unlock()
}

// hangUp closes a connection, and does not wait for a server that does not answer.
func hangUp(conn *pgx.Conn) {
	ctx, stop := context.WithTimeout(context.Background(), leaveTime)
	defer stop()
	_ = conn.Close(ctx) // it is of no use any more, whatever is said
}

// passing says that a statement was refused for a reason that passes by itself.
func passing(err error) bool {
	c := code(err)
	return c == codeLockNotAvailable || c == codeDeadlock || c == codeSerialization
}

// lasting returns what to do about an error that will be the same each time, nil for others.
func lasting(err error, schema string) error {
	switch code(err) {
	case codeUndefinedTable, codeInvalidSchema, codeUndefinedColumn:
		return fmt.Errorf("%w: schema %q has not the tables of this version, run Migrate: %w", store.ErrFormat, schema, err)
	case codeNoPrivilege:
		return fmt.Errorf("%w: grant the role select, insert, update and delete on the tables of schema %q: %w", store.ErrBroken, schema, err)
	case codeBadRole, codeBadPassword, codeNoDatabase:
		return fmt.Errorf("%w: the server refuses the role or the database of the connection string: %w", store.ErrBroken, err)
	}
	return nil
}

const (
	codeUndefinedColumn = "42703"
	codeBadRole         = "28000"
	codeBadPassword     = "28P01"
	codeNoDatabase      = "3D000"
)

// A backoff is how long to wait before a connection is tried again: not at all at first, then twice as long each time, up to a second.
type backoff struct{ tries int }

func (b *backoff) reset() { b.tries = 0 }

func (b *backoff) next() time.Duration {
	const first, most = 50 * time.Millisecond, time.Second
	b.tries++
	if b.tries == 1 {
		return 0
	}
	return min(first<<min(b.tries-2, 10), most)
}

func (b *backoff) sleep(ctx context.Context) error { return wait.Sleep(ctx, b.next()) }
