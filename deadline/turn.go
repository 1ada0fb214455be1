package deadline

import (
	"context"
	"io"
	"time"
)

// Of the operations of one direction one at a time is inside, that is on the underlying stream; the others wait in the guard,
// first come, first served. So whoever is poked is the only one who can notice, the deadline can be put back before the next
// one is inside, and nobody comes between the parts of a Write that is interrupted to see how far it is. The streams of
// packages net and os let nobody else in either.

// An op is one Read or Write. The guard's lock guards it.
type op struct {
	start time.Duration
	again bool          // it goes on with what the last one left, and began with that
	cause error         // why the context of this call has ended
	loose bool          // the stream was closed: it is on its own
	turn  chan struct{} // of one that waits: closed when it is inside, or has ended
	next  *op           // who waits behind it
	end   *Error        // why it has ended before it was inside; written before turn is closed
}

// begin starts an operation, or says why it may not start. The op is the caller's, or nil.
func (g *guard) begin(s *side, o *op) (*op, error) {
	if g.ctx != nil && g.ctx.Err() != nil {
		return nil, &Error{Op: s.op, Limit: LimitContext, Err: context.Cause(g.ctx)}
	}
	o, turn, err := g.enter(s, o)
	if err != nil {
		return nil, err
	}
	if turn != nil {
		if <-turn; o.end != nil {
			return nil, o.end
		}
	}
	return o, nil
}

// enter lets an operation in, or has it wait for its turn.
func (g *guard) enter(s *side, o *op) (_ *op, turn chan struct{}, _ error) {
	g.mu.Lock()
	closing := false
	defer func() {
		g.mu.Unlock()
		g.finish(closing)
	}()
	free := s.inside == nil && s.first == nil
	switch {
	case o != nil:
	case free && !g.gone:
		s.slot = op{}
		o = &s.slot
	default:
		o = new(op)
	}
	now := g.engine.Elapsed()
	if o.start = now; o.again {
		o.start = s.began
	}
	s.began = o.start
	if err := g.refusedLocked(s, o, now); err != nil {
		return nil, nil, err
	}
	switch {
	case g.gone:
		o.loose = true
		return o, nil, nil
	case free:
		s.inside, s.seen, s.mark = o, now, now
	default:
		o.turn = make(chan struct{})
		s.pushLocked(o)
	}
	g.armLocked()
	if g.broken != nil {
		err := &Error{Op: s.op, Limit: LimitEngine, Err: g.broken}
		if free {
			g.leaveLocked(s, o, now)
		} else {
			s.removeLocked(o)
		}
		closing = g.sweepLocked() // the others had the engine's entry
		return nil, nil, err
	}
	return o, o.turn, nil
}

// leaveLocked ends the operation inside and lets the next one in, on a stream as the user wants it: no deadline of ours hits
// that.
func (g *guard) leaveLocked(s *side, o *op, now time.Duration) {
	if o != s.inside {
		return
	}
	s.inside = nil
	if s.poked {
		g.restoreLocked(s)
	}
	if s.first != nil && !g.closed { // of one that is being closed, nobody sends behind half a Write
		s.inside = s.popLocked()
		s.seen = now
		close(s.inside.turn)
	}
	if s.inside == nil {
		s.spent += now - s.mark
	}
}

// dismissLocked ends those who have reached a limit while they waited for their turn.
func (g *guard) dismissLocked(s *side, now time.Duration) {
	for o := s.first; o != nil; {
		next := o.next
		if v := g.verdictLocked(s, o, now); v != nil {
			s.removeLocked(o)
			o.end = v
			close(o.turn)
		}
		o = next
	}
}

// releaseLocked lets everybody in who waits.
func (*guard) releaseLocked(s *side) {
	for s.first != nil {
		o := s.popLocked()
		o.loose = true
		close(o.turn)
	}
}

func (s *side) pushLocked(o *op) {
	if s.last == nil {
		s.first = o
	} else {
		s.last.next = o
	}
	s.last = o
}

func (s *side) popLocked() *op {
	o := s.first
	s.removeLocked(o)
	return o
}

// removeLocked takes one out who waits. There are never many, so it looks for him.
func (s *side) removeLocked(o *op) {
	var before *op
	at := &s.first
	for *at != o {
		before = *at
		at = &before.next
	}
	*at = o.next
	if s.last == o {
		s.last = before
	}
	o.next = nil
}

// abandon ends an operation whose stream has panicked.
func (g *guard) abandon(s *side, o *op) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leaveLocked(s, o, g.engine.Elapsed())
	g.armLocked()
}

// forContext returns an op that ends with ctx, nil for one that needs none, and what is to be called in the end. A context is
// asked only where nothing is held.
func (g *guard) forContext(ctx context.Context) (o *op, stop func() bool) {
	if ctx == nil || ctx.Done() == nil {
		return nil, func() bool { return false }
	}
	o = &op{}
	if ctx.Err() != nil {
		o.cause = context.Cause(ctx)
		return o, func() bool { return false }
	}
	return o, context.AfterFunc(ctx, func() {
		cause := context.Cause(ctx)
		g.change(func() { o.cause = cause })
	})
}

func (g *guard) readContext(ctx context.Context, r io.Reader, p []byte) (int, error) {
	o, stop := g.forContext(ctx)
	defer stop()
	return g.doRead(r, o, p)
}

func (g *guard) writeContext(ctx context.Context, w io.Writer, p []byte) (int, error) {
	o, stop := g.forContext(ctx)
	defer stop()
	return g.doWrite(w, o, p)
}

// readOn reads. A Conn below, whose Read was interrupted from above, goes on with it: its limits do not begin anew.
func readOn(r io.Reader, again bool, p []byte) (int, error) {
	if c, ok := r.(*Conn); ok && again {
		return c.g.doRead(c.c, &op{again: true}, p)
	}
	return r.Read(p)
}

// writeOn writes, as readOn reads.
func writeOn(w io.Writer, again bool, p []byte) (int, error) {
	if c, ok := w.(*Conn); ok && again {
		return c.g.doWrite(c.c, &op{again: true}, p)
	}
	return w.Write(p)
}

func (g *guard) doRead(r io.Reader, o *op, p []byte) (int, error) {
	o, err := g.begin(&g.read, o)
	if err != nil {
		return 0, err
	}
	ended := false
	defer func() {
		if !ended {
			g.abandon(&g.read, o)
		}
	}()
	for again := o.again; ; {
		n, err := readOn(r, again, p)
		again, err = g.settle(&g.read, o, n, err, n == 0)
		if !again {
			ended = true
			return n, err
		}
	}
}

func (g *guard) doWrite(w io.Writer, o *op, p []byte) (done int, _ error) {
	o, err := g.begin(&g.write, o)
	if err != nil {
		return 0, err
	}
	ended := false
	defer func() {
		if !ended {
			g.abandon(&g.write, o)
		}
	}()
	for again := o.again; ; {
		n, err := writeOn(w, again, p[done:])
		done += n
		again, err = g.settle(&g.write, o, n, err, done < len(p))
		if !again {
			ended = true
			return done, err
		}
	}
}
