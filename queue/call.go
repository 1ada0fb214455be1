package queue

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dulyhq/duly/internal/park"
	"github.com/dulyhq/duly/timer"
)

// A Call is a question with an answer: clients call, and block until a server has replied to just their request. Any number
// of goroutines may be clients, and servers. The zero Call is ready for use.
//
// Requests are received in the order in which they came. A client that gives up takes its request back if nobody has received
// it; else its reply comes too late and is dropped, of which [Request.Reply] tells the server.
//
// A server must not call itself while it works on a request: nobody might be left to answer. The request's context,
// [Request.Context], tells Call.Call where it comes from: used, or handed on, for all that the server calls, it makes such a
// call fail with ErrSelfCall instead of blocking for ever, also if it goes through other servers, and even if another
// goroutine would serve it. That holds until the server has replied, also if the client does not wait any more; a context that
// keeps the values of one that has ended, as that of context.WithoutCancel does, is as good as any other then. With another
// context, and by CallFor, which has none, the call is made, and only its timeout ends it.
type Call[Req, Rep any] struct {
	// Engine is where timeouts are deadlines; nil is a default engine, shared by all.
	Engine *timer.Engine

	mu      sync.Mutex
	servers park.List // blocked in Receive
	waiting park.List // clients whose request nobody has received
	served  park.List // clients whose request is worked on
	closed  bool
}

// A Request is what a server has received. The server replies once; its methods are safe from several goroutines.
type Request[Req, Rep any] struct {
	// Req is what the client sent.
	Req Req

	call   *Call[Req, Rep]
	parent context.Context //nolint:containedctx // the client's, for the server; nil is none

	// The call's lock guards the rest.
	w      *park.Waiter // the client, as long as it waits
	rep    Rep
	err    error
	ctx    context.Context //nolint:containedctx // made when it is asked for
	cancel context.CancelCauseFunc
	status *status // what ctx knows
	over   error   // why nobody waits any more

	replied bool // in time or not
}

// serving is the key under which the context of a call's request keeps its status.
type serving struct{ call any }

// status is what a context knows of its request: not the request, which would be kept as long as the context.
type status struct{ replied atomic.Bool }

// Call sends req and returns the server's reply. It blocks until then, or until ctx ends and it fails with its cause. It fails
// with ErrClosed if the call is closed, before or meanwhile, and with what the server replied as its error.
func (c *Call[Req, Rep]) Call(ctx context.Context, req Req) (none Rep, err error) {
	if ctx != nil && ctx.Err() == nil {
		if s, has := ctx.Value(serving{c}).(*status); has && !s.replied.Load() {
			return none, ErrSelfCall
		}
	}
	return c.send(park.Until(ctx), &Request[Req, Rep]{Req: req, call: c, parent: ctx})
}

// CallFor is Call with a timeout: after d it fails with ErrTimeout. With a d of zero or less it always does, since no reply is
// there yet, and sends nothing.
func (c *Call[Req, Rep]) CallFor(d time.Duration, req Req) (Rep, error) {
	if d <= 0 {
		return c.refuse()
	}
	return c.send(park.For(d), &Request[Req, Rep]{Req: req, call: c})
}

// refuse is the answer to a call that has no time.
func (c *Call[Req, Rep]) refuse() (none Rep, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return none, ErrClosed
	}
	return none, ErrTimeout
}

func (c *Call[Req, Rep]) send(l park.Limit, r *Request[Req, Rep]) (none Rep, err error) {
	if err = l.Err(); err != nil {
		return none, err
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return none, ErrClosed
	}
	w := park.New()
	w.Value, r.w = r, w
	if c.hand(r) {
		c.served.Push(w)
	} else {
		c.waiting.Push(w)
	}
	c.mu.Unlock()
	if err = w.Wait(c.Engine, &l); err != nil {
		c.abandon(r, w, err)
	}
	w.Value = nil
	w.Release()
	if err != nil {
		return none, err
	}
	return r.rep, r.err
}

// hand gives a request to a server that waits for one.
func (c *Call[Req, Rep]) hand(r *Request[Req, Rep]) bool {
	for s := c.servers.Front(); s != nil; s = c.servers.Front() {
		slotOf[*Request[Req, Rep]](s).v = r
		if s.Grant() {
			return true
		}
	}
	return false
}

// abandon takes a request back from which the client has turned away.
func (c *Call[Req, Rep]) abandon(r *Request[Req, Rep], w *park.Waiter, err error) {
	c.mu.Lock()
	c.waiting.Remove(w)
	c.served.Remove(w)
	cancel := r.end(err)
	c.mu.Unlock()
	cancel(err)
}

// end notes that nobody waits for the reply any more. What it returns is to be called with the reason, without the lock.
func (r *Request[Req, Rep]) end(why error) context.CancelCauseFunc {
	if r.w != nil {
		r.w, r.over = nil, why
	}
	if r.cancel == nil {
		return func(error) {}
	}
	return r.cancel
}

// Receive returns the oldest request, and blocks while there is none and ctx lets it. It fails with the cause of a context that
// has ended, or with ErrClosed.
func (c *Call[Req, Rep]) Receive(ctx context.Context) (*Request[Req, Rep], error) {
	return c.receive(park.Until(ctx))
}

// ReceiveFor is Receive with a timeout: after d it fails with ErrTimeout. With a d of zero or less it does not block.
func (c *Call[Req, Rep]) ReceiveFor(d time.Duration) (*Request[Req, Rep], error) {
	return c.receive(park.For(d))
}

// TryReceive returns the oldest request, if there is one.
func (c *Call[Req, Rep]) TryReceive() (*Request[Req, Rep], bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.next()
	return r, r != nil
}

// next is the oldest request whose client waits, now being served; or nil.
func (c *Call[Req, Rep]) next() *Request[Req, Rep] {
	w := c.waiting.Front()
	if w == nil {
		return nil
	}
	c.waiting.Remove(w)
	c.served.Push(w)
	return w.Value.(*Request[Req, Rep]) //nolint:forcetypeassert // the list holds nothing else
}

func (c *Call[Req, Rep]) receive(l park.Limit) (*Request[Req, Rep], error) {
	if err := l.Err(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	if r := c.next(); r != nil {
		c.mu.Unlock()
		return r, nil
	}
	if c.closed {
		c.mu.Unlock()
		return nil, ErrClosed
	}
	if l.Spent() {
		c.mu.Unlock()
		return nil, ErrTimeout
	}
	w, s := park.New(), &slot[*Request[Req, Rep]]{}
	w.Value = s
	c.servers.Push(w)
	c.mu.Unlock()
	err := w.Wait(c.Engine, &l)
	if err != nil {
		c.mu.Lock()
		c.servers.Remove(w)
		c.mu.Unlock()
	}
	w.Value = nil
	w.Release()
	if err != nil {
		return nil, err
	}
	return s.v, s.err
}

// Reply answers the request, with rep and err as Call returns them. It is true if the client gets it, false if it comes too
// late: the client has given up, the call was closed, or there was a reply before.
func (r *Request[Req, Rep]) Reply(rep Rep, err error) bool {
	r.call.mu.Lock()
	r.replied = true
	if r.status != nil {
		r.status.replied.Store(true)
	}
	if r.w == nil {
		r.call.mu.Unlock()
		return false
	}
	r.rep, r.err = rep, err
	if !r.w.Grant() { // the client has just given up, and will say so
		r.call.mu.Unlock()
		return false
	}
	cancel := r.end(context.Canceled)
	r.call.mu.Unlock()
	cancel(context.Canceled)
	return true
}

// Context returns the client's context, or context.Background() for CallFor, marked as belonging to this request: what the
// server calls with it cannot come back to wait for the server itself. It ends, with the reason as its cause, when the client
// gives up; and when the request was replied to.
func (r *Request[Req, Rep]) Context() context.Context {
	r.call.mu.Lock()
	ctx := r.ctx
	r.call.mu.Unlock()
	if ctx != nil {
		return ctx
	}
	parent := r.parent
	if parent == nil {
		parent = context.Background()
	}
	s := &status{}
	mine, cancel := context.WithCancelCause(context.WithValue(parent, serving{r.call}, s)) // the parent may be a user's code
	ctx, over := r.keep(mine, cancel, s)
	switch {
	case ctx != mine:
		cancel(nil)
	case over != nil:
		cancel(over)
	}
	return ctx
}

// keep makes ctx the request's context, unless it has one, and returns which it is and why it should have ended.
func (r *Request[Req, Rep]) keep(ctx context.Context, cancel context.CancelCauseFunc, s *status) (context.Context, error) {
	r.call.mu.Lock()
	defer r.call.mu.Unlock()
	if r.ctx == nil {
		r.ctx, r.cancel, r.status = ctx, cancel, s
		s.replied.Store(r.replied)
	}
	return r.ctx, r.over
}

// Serve receives requests and replies with what fn returns for them, one after the other, until ctx ends, and returns its cause,
// or until the call is closed, and returns ErrClosed. fn is given the request's context. If it panics or calls runtime.Goexit,
// the client is answered with ErrNoReply, and the panic goes on.
func (c *Call[Req, Rep]) Serve(ctx context.Context, fn func(ctx context.Context, req Req) (Rep, error)) error {
	for {
		r, err := c.Receive(ctx)
		if err != nil {
			return err
		}
		r.serve(fn) //nolint:contextcheck // it passes on the client's
	}
}

func (r *Request[Req, Rep]) serve(fn func(ctx context.Context, req Req) (Rep, error)) {
	var rep Rep
	err := ErrNoReply
	defer func() { r.Reply(rep, err) }()
	rep, err = fn(r.Context(), r.Req)
}

// Waiting returns how many clients wait for their request to be received, how many for the reply to a request that was, and
// how many servers wait for a request.
func (c *Call[Req, Rep]) Waiting() (clients, served, servers int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting.Len(), c.served.Len(), c.servers.Len()
}

// Close ends the call: it answers all clients, and the servers that wait for requests, with ErrClosed. What is being worked
// on will find its reply dropped. A second Close does nothing.
func (c *Call[Req, Rep]) Close() {
	for _, cancel := range c.close() {
		cancel(ErrClosed)
	}
}

func (c *Call[Req, Rep]) close() (cancels []context.CancelCauseFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, list := range []*park.List{&c.waiting, &c.served} {
		release(list, func(w *park.Waiter) {
			r := w.Value.(*Request[Req, Rep]) //nolint:forcetypeassert // the lists hold nothing else
			r.err = ErrClosed
			cancels = append(cancels, r.end(ErrClosed))
		})
	}
	release(&c.servers, func(w *park.Waiter) { slotOf[*Request[Req, Rep]](w).err = ErrClosed })
	return cancels
}
