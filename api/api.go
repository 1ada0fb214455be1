// Package api is a scheduler over HTTP: a handler that puts, finds and steers its tasks with the words that package duly has for it,
// and the types that its requests and answers are made of.
//
// It is for the daemon, and for applications that want their own tasks to be seen and steered: mount it, with an [Options.Authorize].
// It is not for deciding who may connect, which belongs to whoever listens, and not for running tasks. Its central type is [Handler].
//
// # What is promised
//
//   - A request is carried out whole or refused whole, before anything is changed. Unknown fields and parameters are refused, at any
//     depth, as are numbers for durations.
//   - An error is a [Problem] of RFC 9457. Its slug is stable, it names the field at fault and what would be right, and [ErrorOf] makes
//     it an error again for which errors.Is finds duly's.
//   - What is acknowledged is as durable as the scheduler's store promises.
//   - What looks secret in a command's environment or a callback's headers is not shown.
//
// docs/http-api.md describes the routes, and /openapi.json says the same to programs.
package api

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/target"
)

// A Scope is what a request needs to be allowed.
type Scope string

// The scopes. None contains another: a request that puts a command needs Write and Exec.
const (
	Read  Scope = "read"  // look
	Write Scope = "write" // put, change, cancel and steer tasks
	Exec  Scope = "exec"  // say what command is run

	Backup Scope = "backup" // take a copy of everything, secrets among it
)

// Options of a handler. The zero Options let everybody do everything, but put neither commands nor callbacks.
type Options struct {
	// Prefix is the path under which the handler is mounted, such as "/duly"; "" is the root.
	Prefix string
	// Authorize says whether a request may have a scope. Its error is ErrUnauthenticated, ErrForbidden, or something that wraps one; any
	// other is taken for ErrForbidden and its text is not shown. Nil allows everything. Neither /livez nor /readyz needs a scope; whoever
	// has Read is told more by /readyz where that is 503. Whoever serves may take back what was allowed: a request whose context ends with
	// such an error as the cause is ended with it.
	Authorize func(r *http.Request, need Scope) error
	// Hosts are the names that a request's Host may have, with or without a port, so that a name that somebody else resolves to this
	// address is of no use to a browser. The address itself that a connection of [http.Server] came to is always one. Nil does not look. A
	// browser's requests from other sites are refused in any case.
	Hosts []string
	// Commands lets tasks be put that run a command.
	Commands bool
	// Callbacks lets tasks be put that make an HTTP request.
	Callbacks bool
	// CheckCallback is asked about each callback beside its own check. Nil allows all.
	CheckCallback func(*target.Callback) error
	// Defaults are options of every put of a kind; those of the request come after them. Nil is none.
	Defaults func(kind string) []duly.PutOption
	// Outputs are what attempts have printed. Nil: that is not kept, and asking for it is an error that says so.
	Outputs *target.Outputs
	// Metrics answers /metrics. Nil: there are none.
	Metrics http.Handler
	// Ready says whether /readyz answers 200. Nil asks whether the store answers. Whoever asks may be anybody: the text of an error is shown
	// if it is ErrUnavailable; of any other, only to who has the scope Read, and others are told that the store does not answer.
	Ready func(context.Context) error
	// Problems tells what keeps the process from a part of its work while it is ready, for /readyz and /v1/stats. Whoever asks /readyz may
	// be anybody. Nil: there are none.
	Problems func(context.Context) []HealthProblem
	// Backup writes a copy of where the tasks are as a tar archive, without disturbing who works on them. An error before the first byte
	// is answered as one. Nil: there are no backups, and asking for one is an error that says so.
	Backup func(ctx context.Context, w io.Writer) error
	// Store tells where tasks are kept, for /v1/stats. Nil: that is not told.
	Store func() *StoreState
	// Version is shown by /v1/stats and /openapi.json.
	Version string
	// Logger receives failures that the caller is not told of. Nil is slog.Default().
	Logger *slog.Logger
	// Clock is read and waited for. Nil is clock.System().
	Clock clock.Clock
	// MaxBody is how many bytes a request, or a line of a batch, may have; 0 is 1 MiB, the size of a payload.
	MaxBody int64
	// MaxBatch is how many lines a batch may have; 0 is 1,000,000.
	MaxBatch int
}

// What a body is made into takes several times its room, so that few of those that are large are read at a time; the others wait.
const (
	largeBody = 64 << 10
	largeMost = 4
)

const (
	defaultMaxBody  = 1 << 20
	defaultMaxBatch = 1_000_000
)

// A Handler answers for a scheduler. Its methods are safe for concurrent use.
type Handler struct {
	d      *duly.Scheduler
	o      Options
	clk    clock.Clock
	log    *slog.Logger
	routes []*route
	cross  *http.CrossOriginProtection
	large  chan struct{} // has one for each large body that is in memory
	closed chan struct{}
	once   sync.Once
	told   [toldMost]atomic.Pointer[told] // by their seqs
}

// New returns a handler for a scheduler, which it neither runs nor closes.
//
// Over HTTP/1 the connection of a batch is closed with its answer: of a body that is cut off when that has begun, net/http may take what still
// comes for the next request. A server that sees to that itself keeps the connection; its http.ResponseWriter says so by a method
// LeavesNothing().
func New(d *duly.Scheduler, o Options) *Handler {
	o.Prefix = strings.TrimRight(o.Prefix, "/")
	if o.MaxBody <= 0 {
		o.MaxBody = defaultMaxBody
	}
	if o.MaxBatch <= 0 {
		o.MaxBatch = defaultMaxBatch
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	h := &Handler{d: d, o: o, clk: o.Clock, log: o.Logger, cross: http.NewCrossOriginProtection(), large: make(chan struct{}, largeMost), closed: make(chan struct{})}
	h.routes = h.table()
	return h
}

// Close ends what goes on for as long as somebody listens: events, and output that is followed. A server that is shut down waits for
// these otherwise; give this to its RegisterOnShutdown. Other requests are still answered. Close may be called again.
func (h *Handler) Close() { h.once.Do(func() { close(h.closed) }) }

func (h *Handler) now() time.Time { return time.Unix(0, h.clk.Read().Wall).UTC() }

// ServeHTTP answers a request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	if err := h.serve(w, r); err != nil {
		if back := takenBack(r.Context()); back != nil && errors.Is(err, context.Canceled) && !errors.Is(err, duly.ErrUnknown) {
			err = back
		}
		h.refuse(w, r, err)
	}
}

// takenBack says why a request that was allowed is not any more, nil if it is.
func takenBack(ctx context.Context) error {
	if err := context.Cause(ctx); errors.Is(err, ErrUnauthenticated) || errors.Is(err, ErrForbidden) {
		return err
	}
	return nil
}

// serve answers a request, or returns why not, and then nothing of an answer has been written.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request) error {
	if err := h.site(r); err != nil {
		return err
	}
	rt, args, err := h.find(r)
	if err != nil {
		return err
	}
	c := &call{Handler: h, w: w, r: r, route: rt}
	defer c.lessen()
	if rt.need != "" {
		if err := c.allow(rt.need); err != nil {
			return err
		}
	}
	if err := c.query(); err != nil {
		return err
	}
	if err := c.heeded(); err != nil {
		return err
	}
	if len(args) > 0 {
		c.name = args[0]
	}
	if err := c.space(); err != nil {
		return err
	}
	return rt.serve(c)
}

// site refuses what a browser was talked into by another site.
func (h *Handler) site(r *http.Request) error {
	if h.o.Hosts != nil && !h.hosts(r) {
		// which names those are is not for strangers
		return &mistake{class: ErrHost, field: "Host", value: quote(r.Host), want: "localhost, the address that is connected to, or a name that the daemon was given for its own"}
	}
	if err := h.cross.Check(r); err != nil {
		return &mistake{class: ErrOrigin, field: "Origin", value: quote(r.Header.Get("Origin")), want: "a request from this site, or from no browser"}
	}
	return nil
}

// hosts says whether the Host of a request is one of ours: a name, or the very address that the connection came to, which no name stands for.
func (h *Handler) hosts(r *http.Request) bool {
	host := r.Host
	bare := host
	if name, _, err := net.SplitHostPort(host); err == nil {
		bare = name
	}
	bare = strings.Trim(bare, "[]")
	for _, name := range h.o.Hosts {
		if strings.EqualFold(name, host) || strings.EqualFold(strings.Trim(name, "[]"), bare) {
			return true
		}
	}
	to, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && strings.EqualFold(to.IP.String(), bare)
}

// allow asks whether the request may have a scope.
func (h *Handler) allow(r *http.Request, need Scope) error {
	if h.o.Authorize == nil {
		return nil
	}
	return authorization(h.o.Authorize(r, need), need)
}
