package deadline

import (
	"context"
	"errors"
	"io"
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

	mu          sync.Mutex
	read, write side
	idle        time.Duration
	total       time.Duration
	totalAt     time.Duration // never if there is none
	rate        rate
	last        time.Duration // when a byte was last known to move
	expiry      timer.Expiry
	armed       time.Duration // what expiry is set to; never if it is not
	broken      error         // why the engine cannot be asked
	over        *Error        // the reason why the stream was closed by its limit
	closed      bool
}

// A side is one direction of a stream.
type side struct {
	op        string
	limit     Limit
	set       func(time.Time) error // nil: only Close ends an operation
	resumable bool                  // a write that a deadline interrupts says how far it came, and can be continued
	timeout   time.Duration
	user      time.Time // the deadline that the user set

	waiting int           // operations under way
	since   time.Duration // from when the one counts that began first
	last    time.Duration // when a byte last moved here
	seen    time.Duration // a write's: until when it is known what moved
	poked   bool          // past is set on the stream
	pokes   uint64
	why     *Error // of the last poke, if it was for a limit

	got   int64         // bytes of the rate's account
	spent time.Duration // time of the account, until mark
	mark  time.Duration // from when on time of the account is not in spent; has a meaning while waiting
}

// An op is one Read or Write.
type op struct {
	ctx     context.Context //nolint:containedctx // of this call
	start   time.Duration
	pokes   uint64
	running bool
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
		g.stopCtx = context.AfterFunc(cfg.ctx, func() { g.look(nil) })
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
	g.armLocked()
	closing := g.pokeBrokenLocked()
	g.mu.Unlock()
	g.finish(closing)
}

// begin starts an operation, or says why it may not start.
func (g *guard) begin(s *side, o *op) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	o.start = g.engine.Elapsed()
	if err := g.refusedLocked(s, o, o.start); err != nil {
		return err
	}
	if s.waiting == 0 {
		s.since, s.seen, s.mark = o.start, o.start, o.start
	}
	s.waiting++
	o.pokes, o.running = s.pokes, true
	g.armLocked()
	if g.broken != nil {
		g.leaveLocked(s, o, o.start)
		return &Error{Op: s.op, Limit: LimitEngine, Err: g.broken}
	}
	return nil
}

// refusedLocked says what ends an operation whether or not it has waited.
func (g *guard) refusedLocked(s *side, o *op, now time.Duration) *Error {
	switch {
	case g.over != nil:
		return g.over
	case g.ctx != nil && g.ctx.Err() != nil:
		return &Error{Op: s.op, Limit: LimitContext, Err: context.Cause(g.ctx)}
	case o.ctx != nil && o.ctx.Err() != nil:
		return &Error{Op: s.op, Limit: LimitContext, Err: context.Cause(o.ctx)}
	case g.broken != nil:
		return &Error{Op: s.op, Limit: LimitEngine, Err: g.broken}
	case now >= g.totalAt:
		return &Error{Op: s.op, Limit: LimitTotal, After: g.total}
	}
	return nil
}

// settle notes what an operation on the underlying stream came to, and whether a rest is to be done. It says whether the operation is to go on; if not,
// with which error it ends.
func (g *guard) settle(s *side, o *op, n int, err error, rest bool) (again bool, _ error) {
	g.mu.Lock()
	now := g.engine.Elapsed()
	s.seen = now
	if n > 0 {
		s.last, g.last = now, now
		if s.got += int64(n); s.got >= g.rate.n {
			s.got, s.spent, s.mark = 0, 0, now
		}
	}
	if again, err = g.judgeLocked(s, o, now, err, rest); !again {
		g.leaveLocked(s, o, now)
	}
	if s.waiting > 0 || g.other(s).waiting > 0 {
		g.armLocked()
	}
	closing := g.pokeBrokenLocked()
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
	case g.closed || !errors.Is(err, os.ErrDeadlineExceeded):
		return false, err
	case o.pokes == s.pokes: // nobody poked
		if _, ok := errors.AsType[*Error](err); ok {
			return false, err // of a stream with limits below this one
		}
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
	// Only a look at how far it is, or the limit was moved meanwhile.
	if s.poked {
		g.restoreLocked(s)
		s.since = o.start
	} else {
		s.since = min(s.since, o.start)
	}
	o.pokes = s.pokes
	return true, nil
}

// leaveLocked ends an operation. The last one out leaves the stream as the user wants it: no deadline of ours hits the next.
func (g *guard) leaveLocked(s *side, o *op, now time.Duration) {
	o.running = false
	s.waiting--
	if s.waiting > 0 {
		return
	}
	s.spent += now - s.mark
	if s.poked {
		g.restoreLocked(s)
	}
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

// dues returns when each limit is reached for an operation that counts from start, if nothing moves.
func (g *guard) dues(s *side, start time.Duration) [dueCount]time.Duration {
	due := [dueCount]time.Duration{never, never, g.totalAt, never}
	if s.timeout > 0 {
		due[dueSide] = after(max(start, s.last), s.timeout)
	}
	if g.idle > 0 {
		due[dueIdle] = after(max(start, g.last), g.idle)
		if o := g.other(s); o.waiting > 0 && o.resumable && o.seen < due[dueIdle] {
			due[dueIdle] = never // the other side may have moved: its next look tells
		}
	}
	if g.rate.n > 0 {
		due[dueRate] = after(s.mark, max(g.rate.per-s.spent, 0))
	}
	return due
}

// verdictLocked says which limit an operation has reached, if any: of several the one that was reached first.
func (g *guard) verdictLocked(s *side, o *op, now time.Duration) *Error {
	if err := g.refusedLocked(s, o, now); err != nil && err.Limit != LimitTotal {
		return err
	}
	first := dueSide
	due := g.dues(s, o.start)
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

// nextLocked returns when a side must be looked at.
func (g *guard) nextLocked(s *side) time.Duration {
	if s.waiting == 0 || s.poked {
		return never // who was poked looks by himself
	}
	due := g.dues(s, s.since)
	return min(due[dueSide], due[dueIdle], due[dueTotal], due[dueRate], g.probeLocked(s))
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

// look ends, by a poke, the operations that have reached a limit or that must be asked. It may come without need.
func (g *guard) look(err error) {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return
	}
	if err != nil {
		g.broken = err
	}
	now := g.engine.Elapsed()
	if now >= g.armed {
		g.armed = never
	}
	closing := false
	for _, s := range [...]*side{&g.read, &g.write} {
		if s.waiting == 0 || s.poked {
			continue
		}
		if v := g.refusedLocked(s, &op{}, now); v != nil || g.nextLocked(s) <= now {
			closing = g.pokeLocked(s, &op{start: s.since}, now) || closing
		}
	}
	g.armLocked()
	closing = g.pokeBrokenLocked() || closing
	g.mu.Unlock()
	g.finish(closing)
}

// pokeBrokenLocked ends who waits when the engine could not be asked: better than a limit that is not kept.
func (g *guard) pokeBrokenLocked() (closing bool) {
	if g.broken == nil || g.closed {
		return false
	}
	for _, s := range [...]*side{&g.read, &g.write} {
		if s.waiting > 0 && !s.poked {
			closing = g.pokeLocked(s, &op{}, 0) || closing
		}
	}
	return closing
}

// pokeLocked lets the operations of a side return. It says whether only closing the stream can do that.
func (g *guard) pokeLocked(s *side, o *op, now time.Duration) (closing bool) {
	s.poked = true
	s.pokes++
	s.why = g.peekLocked(s, o, now)
	if s.set != nil && s.set(past) == nil {
		return false
	}
	if s.why == nil || g.over != nil {
		return false
	}
	g.over = s.why
	return true
}

// peekLocked is the verdict without its consequence for the rate's account, which the operation itself draws.
func (g *guard) peekLocked(s *side, o *op, now time.Duration) *Error {
	got, spent, mark := s.got, s.spent, s.mark
	v := g.verdictLocked(s, o, now)
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

// forContext lets an operation end with ctx. The function that it returns is called in the end.
func (g *guard) forContext(ctx context.Context, s *side, o *op) func() bool {
	o.ctx = ctx
	return context.AfterFunc(ctx, func() {
		g.mu.Lock()
		closing := false
		if o.running && !s.poked && !g.closed {
			closing = g.pokeLocked(s, o, g.engine.Elapsed())
		}
		g.mu.Unlock()
		g.finish(closing)
	})
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

// shut ends the guard and closes the stream.
func (g *guard) shut() error {
	g.mu.Lock()
	g.closed = true
	g.expiry.Stop()
	g.expiry, g.armed = timer.Expiry{}, never
	g.mu.Unlock()
	if g.stopCtx != nil {
		g.stopCtx()
	}
	return g.close()
}

func (g *guard) doRead(r io.Reader, o *op, p []byte) (int, error) {
	if err := g.begin(&g.read, o); err != nil {
		return 0, err
	}
	for {
		n, err := r.Read(p)
		again, err := g.settle(&g.read, o, n, err, n == 0)
		if !again {
			return n, err
		}
	}
}

func (g *guard) doWrite(w io.Writer, o *op, p []byte) (done int, _ error) {
	if err := g.begin(&g.write, o); err != nil {
		return 0, err
	}
	for {
		n, err := w.Write(p[done:])
		done += n
		again, err := g.settle(&g.write, o, n, err, done < len(p))
		if !again {
			return done, err
		}
	}
}
