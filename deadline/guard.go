package deadline

import (
	"context"
	"errors"
	"math"
	"os"
	"sync"
	"time"

	"github.com/dulyhq/duly/internal/park"
	"github.com/dulyhq/duly/timer"
)

// All times are the engine's Elapsed. never does not come.
const never = time.Duration(math.MaxInt64)

// past is a deadline that has passed, also in a synctest bubble.
var past = time.Unix(1, 0)

const (
	probes     = 8 // how often a blocked write is looked at in the time of its shortest limit
	leastProbe = time.Millisecond
)

// A guard keeps the limits of one stream. Its lock is held while deadlines of the underlying stream are set, so that a
// poke and its taking back cannot change places; never while that reads, writes or is closed.
type guard struct {
	engine  *timer.Engine
	ctx     context.Context //nolint:containedctx // the stream's, for its whole life
	stopCtx func() bool
	close   func() error // ends operations of a stream that has no deadlines
	goneErr error        // what is said of one that was closed meanwhile

	mu          sync.Mutex
	read, write side
	idle        time.Duration
	total       time.Duration
	totalAt     time.Duration // never if there is none
	rate        rate
	moved       time.Duration // when a byte was last known to move
	expiry      timer.Expiry
	armed       time.Duration // what expiry is set to; never if it is not
	cause       error         // of the end of ctx
	broken      error         // why the engine cannot be asked
	over        *Error        // the reason why the stream was closed by its limit
	closed      bool          // Close was called
	gone        bool          // and has closed the stream
}

// A side is one direction of a stream.
type side struct {
	op        string
	limit     Limit
	set       func(time.Time) error // nil: only Close ends an operation
	resumable bool                  // a write that a deadline interrupts says how far it came, and can be continued
	timeout   time.Duration
	user      time.Time // the deadline that the user set

	inside      *op           // the one under way on the stream
	first, last *op           // those who wait for their turn
	began       time.Duration // when the last operation began
	slot        op            // the one inside, if it came when nobody was there: it costs no allocation
	moved       time.Duration // when a byte last moved here
	seen        time.Duration // a write's: until when it is known what moved
	poked       bool          // past is set on the stream, for the one inside
	why         *Error        // of the poke, if it was for a limit

	got   int64         // bytes of the rate's account
	spent time.Duration // time of the account, until mark
	mark  time.Duration // from when on time of the account is not in spent; has a meaning while waiting
}

func (g *guard) init(cfg *config) {
	g.engine = cfg.engine
	switch {
	case g.engine != nil:
	case park.Bubbled(): // nothing may cross the bubble's edge
		g.engine = timer.New(timer.Options{Name: "deadline", Workers: 1})
	default:
		g.engine = park.Default()
	}
	g.read.op, g.read.limit, g.read.timeout = "read", LimitRead, cfg.read
	g.write.op, g.write.limit, g.write.timeout = "write", LimitWrite, cfg.write
	g.idle, g.rate, g.armed = cfg.idle, cfg.rate, never
	g.setTotalLocked(cfg.total)
	if cfg.ctx != nil {
		g.ctx = cfg.ctx
		g.stopCtx = context.AfterFunc(cfg.ctx, func() {
			cause := context.Cause(cfg.ctx)
			g.change(func() { g.cause = cause })
		})
	}
}

func configure(opts []Option) *config {
	c := &config{}
	for _, o := range opts {
		o(c)
	}
	return c
}

// after adds and knows never.
func after(t, d time.Duration) time.Duration {
	if t > never-d {
		return never
	}
	return t + d
}

func (g *guard) setTotalLocked(d time.Duration) {
	g.total, g.totalAt = max(d, 0), never
	if d > 0 {
		g.totalAt = after(g.engine.Elapsed(), d)
	}
}

// change changes limits under the lock and lets those who wait feel it.
func (g *guard) change(f func()) {
	g.mu.Lock()
	f()
	closing := g.sweepLocked()
	g.mu.Unlock()
	g.finish(closing)
}

// refusedLocked says what ends an operation whether or not it has waited.
func (g *guard) refusedLocked(s *side, o *op, now time.Duration) *Error {
	switch {
	case g.over != nil:
		return g.over
	case g.cause != nil:
		return &Error{Op: s.op, Limit: LimitContext, Err: g.cause}
	case o.cause != nil:
		return &Error{Op: s.op, Limit: LimitContext, Err: o.cause}
	case g.broken != nil:
		return &Error{Op: s.op, Limit: LimitEngine, Err: g.broken}
	case now >= g.totalAt:
		return &Error{Op: s.op, Limit: LimitTotal, After: g.total}
	}
	return nil
}

// settle notes what an operation on the underlying stream came to, and whether a rest is to be done. It says whether the
// operation is to go on; if not, with which error it ends.
func (g *guard) settle(s *side, o *op, n int, err error, rest bool) (again bool, _ error) {
	g.mu.Lock()
	now := g.engine.Elapsed()
	s.seen = now
	if n > 0 {
		s.moved, g.moved = now, now
		if s.got += int64(n); s.got >= g.rate.n {
			s.got, s.spent, s.mark = 0, 0, now
		}
	}
	if again, err = g.judgeLocked(s, o, now, err, rest); !again {
		g.leaveLocked(s, o, now)
	}
	closing := false
	if s.inside != nil || g.other(s).inside != nil {
		g.armLocked()
		if g.broken != nil {
			closing = g.sweepLocked()
		}
	}
	g.mu.Unlock()
	g.finish(closing)
	return again, err
}

// judgeLocked decides whether an operation goes on.
func (g *guard) judgeLocked(s *side, o *op, now time.Duration, err error, rest bool) (again bool, _ error) {
	switch {
	case err == nil:
		return false, nil
	case g.over != nil:
		return false, g.over
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return false, err
	}
	below, ok := errors.AsType[*Error](err) // of a stream with limits below this one
	switch {
	case ok && (below.Limit != LimitDeadline || !s.poked):
		return false, err
	case !s.poked:
		return false, &Error{Op: s.op, Limit: LimitDeadline, Err: err}
	case !rest: // done, and poked too late
		return false, nil
	case s == &g.write && !s.resumable: // what is written is written: no second try
		if s.why != nil {
			return false, s.why
		}
		return false, err
	}
	if v := g.verdictLocked(s, o, now); v != nil {
		return false, v
	}
	if g.closed {
		return false, g.goneErr
	}
	g.restoreLocked(s) // it was only a look at how far it is, or the limit was moved meanwhile
	return true, nil
}

func (g *guard) restoreLocked(s *side) {
	s.poked, s.why = false, nil
	if s.set != nil && !g.closed {
		_ = s.set(s.user) // it could be set before; a stream that was closed meanwhile tells by itself
	}
}

func (g *guard) other(s *side) *side {
	if s == &g.read {
		return &g.write
	}
	return &g.read
}

// The places in what dues returns.
const (
	dueSide = iota
	dueIdle
	dueTotal
	dueRate
	dueCount
)

// dues returns when each limit is reached for an operation, if nothing moves. Who waits for his turn owes no rate.
func (g *guard) dues(s *side, o *op) [dueCount]time.Duration {
	start := o.start
	due := [dueCount]time.Duration{never, never, g.totalAt, never}
	behind := o != s.inside && s.unseen()
	if s.timeout > 0 {
		due[dueSide] = after(max(start, s.moved), s.timeout)
		if behind && s.seen < due[dueSide] {
			due[dueSide] = never // he whom it waits for may have moved: his next look tells
		}
	}
	if g.idle > 0 {
		due[dueIdle] = after(max(start, g.moved), g.idle)
		if x := g.other(s); (behind && s.seen < due[dueIdle]) || (x.unseen() && x.seen < due[dueIdle]) {
			due[dueIdle] = never // the same, and also with the other side
		}
	}
	if g.rate.n > 0 && o == s.inside {
		due[dueRate] = after(s.mark, max(g.rate.per-s.spent, 0))
	}
	return due
}

// unseen says whether bytes may move that are known only at the next look.
func (s *side) unseen() bool { return s.inside != nil && s.resumable }

// verdictLocked says which limit an operation has reached, if any: of several the one that was reached first.
func (g *guard) verdictLocked(s *side, o *op, now time.Duration) *Error {
	if err := g.refusedLocked(s, o, now); err != nil && err.Limit != LimitTotal {
		return err
	}
	first := dueSide
	due := g.dues(s, o)
	for i, at := range due {
		if at < due[first] {
			first = i
		}
	}
	if due[first] > now {
		return nil
	}
	switch first {
	case dueIdle:
		return &Error{Op: s.op, Limit: LimitIdle, After: g.idle}
	case dueTotal:
		return &Error{Op: s.op, Limit: LimitTotal, After: g.total}
	case dueRate:
		s.got, s.spent, s.mark = 0, 0, now // the next one begins a new account
		return &Error{Op: s.op, Limit: LimitRate, After: g.rate.per}
	default:
		return &Error{Op: s.op, Limit: s.limit, After: s.timeout}
	}
}

// nextLocked returns when a side must be looked at: for the one inside, unless he was poked and looks by himself, and for the
// first of those who wait, who comes before the others.
func (g *guard) nextLocked(s *side) time.Duration {
	next := never
	if s.inside != nil && !s.poked {
		next = min(g.firstDue(s, s.inside), g.probeLocked(s))
	}
	if s.first != nil {
		next = min(next, g.firstDue(s, s.first))
	}
	return next
}

func (g *guard) firstDue(s *side, o *op) time.Duration {
	due := g.dues(s, o)
	return min(due[dueSide], due[dueIdle], due[dueTotal], due[dueRate])
}

// probeLocked returns when a blocked write must be asked how far it has come.
func (g *guard) probeLocked(s *side) time.Duration {
	if !s.resumable {
		return never
	}
	d := never
	for _, limit := range [...]time.Duration{s.timeout, g.idle, g.rate.per} {
		if limit > 0 {
			d = min(d, limit)
		}
	}
	if d == never {
		return never
	}
	return after(s.seen, max(d/probes, leastProbe))
}

// armLocked sets the engine's entry, unless it is set and comes in time: one that comes early is set anew then.
func (g *guard) armLocked() {
	at := min(g.nextLocked(&g.read), g.nextLocked(&g.write))
	if at >= g.armed || g.closed || g.broken != nil {
		return
	}
	g.expiry.Stop()
	g.armed = at
	if g.expiry, g.broken = g.engine.Expire(at, g); g.broken != nil {
		g.armed = never
	}
}

// Expire implements timer.Expirer. It is called under a lock of the engine.
func (g *guard) Expire(err error) { go g.look(err) }

// look ends the operations that have reached a limit, and interrupts those that must be asked how far they are. It may come
// without need.
func (g *guard) look(err error) {
	g.mu.Lock()
	if err != nil {
		g.broken = err
	}
	if g.engine.Elapsed() >= g.armed {
		g.armed = never
	}
	closing := g.sweepLocked()
	g.mu.Unlock()
	g.finish(closing)
}

// sweepLocked does that, and sets the engine's entry for what is left. If the engine cannot be asked everything ends: better
// than a limit that is not kept. It says whether the stream must be closed.
func (g *guard) sweepLocked() (closing bool) {
	for ok := true; ok && !g.closed; {
		now := g.engine.Elapsed()
		for _, s := range [...]*side{&g.read, &g.write} {
			if s.inside == nil || s.poked {
				continue
			}
			if v := g.peekLocked(s, now); v != nil || g.probeLocked(s) <= now {
				closing = g.pokeLocked(s, v) || closing
			}
		}
		g.dismissLocked(&g.read, now) // now that it is known whether all of it is over
		g.dismissLocked(&g.write, now)
		whole := g.broken == nil
		g.armLocked()
		ok = whole && g.broken != nil // only now: once more
	}
	return closing
}

// pokeLocked lets the operation inside return, for v or to be asked. It says whether only closing the stream can do that.
func (g *guard) pokeLocked(s *side, v *Error) (closing bool) {
	s.poked, s.why = true, v
	if s.set != nil && s.set(past) == nil {
		return false
	}
	if v == nil || g.over != nil {
		return false
	}
	g.over = v
	return true
}

// peekLocked is the verdict without its consequence for the rate's account, which the operation itself draws.
func (g *guard) peekLocked(s *side, now time.Duration) *Error {
	got, spent, mark := s.got, s.spent, s.mark
	v := g.verdictLocked(s, s.inside, now)
	if s.resumable || s == &g.read {
		s.got, s.spent, s.mark = got, spent, mark
	}
	return v
}

// finish closes what only that can interrupt. Close may block, so no lock is held.
func (g *guard) finish(closing bool) {
	if closing {
		_ = g.close() // the limit is the reason that counts
	}
}

// setDeadline sets the user's own deadline of a side.
func (g *guard) setDeadline(s *side, t time.Time) error {
	if s.set == nil {
		return os.ErrNoDeadline
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	s.user = t
	if s.poked {
		return nil // it is set when the poke is taken back
	}
	return s.set(t)
}

// shut ends the guard and closes the stream. Those who wait for their turn have it then, all at once: the closed stream tells
// them.
func (g *guard) shut() error {
	g.mu.Lock()
	g.closed = true
	g.expiry.Stop()
	g.expiry, g.armed = timer.Expiry{}, never
	g.mu.Unlock()
	if g.stopCtx != nil {
		g.stopCtx()
	}
	err := g.close()
	g.mu.Lock()
	g.gone = true
	g.releaseLocked(&g.read)
	g.releaseLocked(&g.write)
	g.mu.Unlock()
	return err
}
