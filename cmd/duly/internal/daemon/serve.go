package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// limits are how slow and how large a client over TCP may be.
type limits struct {
	header    time.Duration // for the whole header of a request, and for a handshake
	idle      time.Duration // between requests
	patience  time.Duration // for a client that does nothing, in all of a request; then it must be as fast as
	rate      int64         // bytes a second
	maxHeader int
	conns     int
}

var usualLimits = limits{
	header: 10 * time.Second, idle: 2 * time.Minute, patience: 30 * time.Second, rate: 4 << 10, maxHeader: 32 << 10, conns: 1024,
}

type atomicFlag struct{ b atomic.Bool }

// set reports whether it was not set before.
func (f *atomicFlag) set() bool { return !f.b.Swap(true) }

// A server answers at one port.
type server struct {
	http.Server

	port   *port
	places *places // of connections over TCP
	health *health
}

// newServer returns the server of a port. streams ends when answers that have no end of their own are to end.
func newServer(streams context.Context, p *port, h http.Handler, g *guard, l limits, log *slog.Logger) *server {
	s := &server{port: p}
	s.Handler = logPanics(h, log)
	if p.socket {
		s.Handler = withProfiles(s.Handler)
	} else {
		s.Handler = &paced{next: s.Handler, limits: l}
	}
	s.Handler = endRequests(streams, s.Handler, g)
	s.ReadHeaderTimeout, s.IdleTimeout, s.MaxHeaderBytes = l.header, l.idle, l.maxHeader
	s.ConnContext, s.ConnState = withConn, answered
	// Over HTTP/2 a deadline of a request does not end the write to the connection that it waits for: slow readers would stay.
	s.Protocols = new(http.Protocols)
	s.Protocols.SetHTTP1(true)
	s.DisableGeneralOptionsHandler = true                          // "OPTIONS *" would be answered past the handler, and its body waited for without a limit
	s.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug) // what strangers can bring about must not fill the log
	return s
}

// logPanics logs a panic, of which the server itself would tell only those who read all that strangers can bring about.
func logPanics(next http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { //nolint:contextcheck // it is the request's
			v := recover()
			if v == nil {
				return
			}
			if v != http.ErrAbortHandler { //nolint:errorlint // a value that was thrown, not an error that was returned
				log.ErrorContext(r.Context(), "a request panicked", "method", r.Method, "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
			}
			panic(http.ErrAbortHandler)
		}()
		next.ServeHTTP(w, r)
	})
}

// endRequests ends the contexts of requests: of those whose answer has no end of its own when streams ends, and of each when whoever asked
// may not any more, with the reason as the cause. The guard is nil where everybody may.
func endRequests(streams context.Context, next http.Handler, g *guard) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
		if isStream(r) {
			defer context.AfterFunc(streams, func() { cancel(nil) })()
		}
		if g != nil {
			var stop func()
			ctx, stop = g.follow(ctx, r, cancel)
			defer stop()
		}
		next.ServeHTTP(w, r.WithContext(ctx)) //nolint:contextcheck // it is of the request's
	})
}

// withProfiles adds the profiles of the process, which are for its owner alone.
func withProfiles(next http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.URL.Path) >= len("/debug/") && r.URL.Path[:len("/debug/")] == "/debug/" {
			mux.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r) // not by way of the mux, which would clean the path of what is in a name
	})
}

// paced cuts clients off that are too slow. Only the time that is spent waiting for the client counts, so that neither a store that
// takes long nor a stream on which there is no news cuts anybody off.
type paced struct {
	next   http.Handler
	limits limits
}

func (p *paced) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := connOf(r.Context())
	if c != nil {
		c.begin(isStream(r))
	}
	if len(r.TransferEncoding) > 0 {
		// It may have had a length as well, by which a proxy before us takes what follows for its body: that must not be a request here.
		w.Header().Set("Connection", "close")
	}
	rc := http.NewResponseController(w)
	out := &pacedWriter{ResponseWriter: w, rc: rc, budget: budget{limits: &p.limits}}
	var in *pacedBody
	if r.Body != nil && r.Body != http.NoBody {
		in = &pacedBody{ReadCloser: r.Body, ctx: r.Context(), conn: c, rc: rc, length: r.ContentLength, budget: budget{limits: &p.limits}}
		r.Body = in
		out.in = in
		in.kept = r.Header.Get("Expect") != "" && r.ProtoAtLeast(1, 1)                   // until it is read: the server asks for it then, and does without else
		defer context.AfterFunc(in.ctx, func() { _ = rc.SetReadDeadline(time.Now()) })() //nolint:contextcheck // it is the request's; a connection that has no deadlines is gone
	}
	out.allow()    // also for what the server writes itself, such as "100 Continue"
	defer func() { // also if what answers panics
		if in != nil {
			in.leave(out.duplex)
		}
		out.allow() // to write what is left in its buffer
	}()
	if r.Method == http.MethodGet || r.Method == http.MethodHead { // nobody reads it: what it has to wait for it holds nothing meanwhile
		if out.heed(); out.heeded && !in.ended {
			w.Header().Set("Connection", "close")
			http.Error(out, "The request's body has not come.", http.StatusRequestTimeout)
			return
		}
	}
	p.next.ServeHTTP(out, r)
}

// leftMost is how much of a body is read that a handler has left: what the server reads, too.
const leftMost = 256 << 10

// A budget is how long a client may still keep us waiting in one direction of a request.
type budget struct {
	limits *limits
	waited time.Duration
	bytes  int64
}

// left is how long the next call may take.
func (b *budget) left() time.Duration {
	earned := time.Duration(b.bytes/b.limits.rate) * time.Second
	return min(b.limits.patience, b.limits.patience+earned-b.waited)
}

// spend notes a call that has been made.
func (b *budget) spend(start time.Time, n int) {
	b.waited += time.Since(start)
	b.bytes += int64(n)
}

type pacedBody struct {
	io.ReadCloser

	ctx    context.Context //nolint:containedctx // the request's: nothing is read after its end
	conn   *cappedConn     // nil: it is not counted
	rc     *http.ResponseController
	length int64 // below 0 for one in chunks
	ended  bool  // there is no more of it
	kept   bool  // its sender waits until it is asked for it
	budget budget
}

// giveUp has nothing read from the connection any more: if the answer has begun, the server would read on, and take what still comes of the body for
// the next request.
func (b *pacedBody) giveUp() {
	if b.conn != nil {
		b.conn.deaf.set()
	}
}

// rest reads what is left.
func (b *pacedBody) rest() {
	if !b.ended {
		_, _ = io.CopyN(io.Discard, b, leftMost)
	}
	if !b.ended {
		b.giveUp()
	}
}

// leave deals with what a handler has left. The server reads that, and heeds how it ends if the answer has not begun; where it has, as with a duplex
// request, it is read here.
func (b *pacedBody) leave(duplex bool) {
	if duplex {
		b.rest()
	}
	left := b.budget.left()
	if b.ctx.Err() != nil || duplex && !b.ended {
		b.giveUp()
		left = 0
	}
	_ = b.rc.SetReadDeadline(time.Now().Add(left))
}

func (b *pacedBody) Read(p []byte) (int, error) {
	b.kept = false
	start := time.Now()
	if err := b.rc.SetReadDeadline(start.Add(b.budget.left())); err != nil {
		return 0, err
	}
	n, err := 0, context.Cause(b.ctx) // the deadline that its end has set may have been the one before
	if err == nil {
		n, err = b.ReadCloser.Read(p)
	}
	b.budget.spend(start, n)
	if err != nil && !errors.Is(err, io.EOF) {
		b.giveUp()
		return n, err
	}
	b.ended = b.ended || err != nil
	// It must not stay: the server reads on, to see whether the client is still there.
	if derr := b.rc.SetReadDeadline(time.Time{}); err == nil {
		err = derr
	}
	return n, err
}

type pacedWriter struct {
	http.ResponseWriter

	rc     *http.ResponseController
	in     *pacedBody // nil: there is none
	heeded bool       // what is left of it was read
	duplex bool       // the body is read on while the answer is written
	budget budget
}

// heed reads what is left of the body before the answer begins, where the server would do so, without a limit to how long it takes. Of what is
// in chunks, or too much, it reads nothing before, and then closes the connection.
func (w *pacedWriter) heed() {
	if w.in == nil || w.heeded || w.duplex || w.in.kept || w.in.length < 0 || w.in.length-w.in.budget.bytes >= leftMost {
		return
	}
	w.heeded = true
	w.in.rest()
}

// EnableFullDuplex is what [http.ResponseController.EnableFullDuplex] calls.
func (w *pacedWriter) EnableFullDuplex() error {
	w.duplex = true
	return w.rc.EnableFullDuplex()
}

// allow sets the deadline of the next write. One that stays set harms nobody: it is set anew before each.
func (w *pacedWriter) allow() time.Time {
	start := time.Now()
	_ = w.rc.SetWriteDeadline(start.Add(w.budget.left())) // a connection that has none is gone
	return start
}

// piece is how much is written at a time: a write has one deadline, and one of a whole page would be cut off however steadily it is taken.
const piece = 16 << 10

func (w *pacedWriter) Write(p []byte) (written int, err error) {
	w.heed()
	for {
		start := w.allow()
		n, err := w.ResponseWriter.Write(p[:min(piece, len(p))])
		w.budget.spend(start, n)
		written += n
		if p = p[n:]; err != nil || len(p) == 0 {
			return written, err
		}
	}
}

// FlushError is what [http.ResponseController.Flush] calls.
func (w *pacedWriter) FlushError() error {
	w.heed()
	start := w.allow()
	err := w.rc.Flush()
	w.budget.spend(start, 0)
	return err
}

// LeavesNothing says that what is left of a body is never taken for a request here: see [api.New].
func (w *pacedWriter) LeavesNothing() {}

// Unwrap lets an [http.ResponseController] find what is below.
func (w *pacedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// serve answers until the server is shut down or closed.
func (s *server) serve() error {
	var err error
	noticed := newReserving(s.port.Listener, s.health, s.port.socket)
	switch l := newCapped(noticed, s.places); {
	case s.port.socket:
		err = s.Serve(noticed)
	case s.port.secure:
		err = s.ServeTLS(l, "", "")
	default:
		err = s.Serve(l)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve on %v: %w", s.port, err)
}
