package target

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/internal/park"
	"github.com/dulyhq/duly/timer"
)

const (
	// DefaultTimeout is the timeout of callbacks by [Defaults].
	DefaultTimeout = 30 * time.Second
	// DefaultLongest is CallbackOptions.Longest if that is 0.
	DefaultLongest = 15 * time.Minute

	maxRetryAfter    = 24 * time.Hour
	maxAnswerHeader  = 64 << 10
	handshakeTimeout = 10 * time.Second
	idleTimeout      = 30 * time.Second

	// perHost is how many connections a host has at most, all of which are kept for the next callbacks. More than are kept must not be
	// made: each that is closed takes a port of this machine for a minute more, and a burst of callbacks would use them up.
	perHost = 1000
	// keptAtMost is how many connections are kept that nobody uses, to all hosts.
	keptAtMost = 2 * perHost
	// readAtOnce is how much of an answer is read at a time.
	readAtOnce = 8 << 10
)

// CallbackOptions are those of [Callbacks]. The zero value signs nothing, keeps no answers and calls only the public internet.
type CallbackOptions struct {
	// Outputs keep the answers. Nil keeps nothing.
	Outputs *Outputs
	// Secrets returns the keys to sign with by Standard Webhooks, as [ParseSecret] reads them; more than one while one replaces another.
	// It is asked for every attempt. Nil, or none, signs nothing.
	Secrets func() [][]byte
	// Allow says which addresses may be connected to.
	Allow Addresses
	// Proxy says through which proxy a request goes, as that of [http.Transport] does. Nil is none, whatever the environment says. It
	// is the proxy that connects then: Allow holds for addresses in the URL, not for what a name stands for.
	Proxy func(*http.Request) (*url.URL, error)
	// Resolver looks up hosts. Nil is the system's.
	Resolver *net.Resolver
	// UserAgent is the header; empty is "duly".
	UserAgent string
	// Longest is how long an attempt takes at most, also at a task without a timeout. 0 is DefaultLongest.
	Longest time.Duration
	// Engine keeps the time for that. Nil is a default engine, shared by all.
	Engine *timer.Engine
	// Clock says what time it is, for signatures and for dates in answers. Nil is the system's.
	Clock clock.Clock
	// Scarce, if not nil, is told of each attempt how the machine is: with the error where it had no descriptor or memory left to connect
	// with, and with nil where there was an answer.
	Scarce func(error)
}

// noProxy says so little because what went wrong may repeat the proxy's address, with its password.
const noProxy = "the proxy for it can't be found: is its address right?"

var errTooLong = errors.New("no whole answer within the time that a callback may take")

// Callbacks returns the handler of tasks of KindHTTP.
//
// Each attempt has the headers Idempotency-Key and Webhook-Id, which are the run's id and the same for all attempts at it;
// Webhook-Timestamp and, where there is a secret, Webhook-Signature, by Standard Webhooks; Duly-Run-Id, Duly-Name, Duly-Namespace if
// there is one, Duly-Attempt, Duly-Fence and Duly-Scheduled-For, in RFC 3339. Names and ids in them are percent-encoded. Signed are
// Webhook-Id, Webhook-Timestamp and the body, and nothing else.
//
// A status of 2xx is done. 429 and 503 with a Retry-After are tried again then, or in a day if that is sooner; after 410 there is no
// other attempt. Every other one is a failure, and so is a redirect, which is not followed. The attempt ends with its context, and its
// answer is read only as far as it is kept.
//
// To one host there are at most 1,000 connections at a time, which are kept for the next callbacks; who finds them all taken waits, within
// its timeout.
//
// What gets none of them until then, and what this machine has no descriptor or memory left for, is put off, for a minute first and twice as
// long each time, up to an hour, and does not count as an attempt: the receiver has not seen anything of it.
//
// Every address is checked when it is connected to, not when its name is looked up, so that it does not matter what the name stands for
// at another moment.
func Callbacks(o CallbackOptions) func(context.Context, *duly.Attempt[Callback]) error {
	return callbacks(o, perHost)
}

func callbacks(o CallbackOptions, perHost int) func(context.Context, *duly.Attempt[Callback]) error {
	if o.Engine == nil {
		o.Engine = park.Default()
	}
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	if o.Longest <= 0 {
		o.Longest = DefaultLongest
	}
	if o.UserAgent == "" {
		o.UserAgent = "duly"
	}
	c := caller{o: &o, perHost: perHost, direct: o.transport(true, perHost, nil)}
	if o.Proxy != nil {
		c.proxied = o.transport(false, perHost, func(r *http.Request) (*url.URL, error) {
			u, _ := r.Context().Value(proxyKey{}).(*url.URL)
			return u, nil
		})
	}
	return c.handle
}

// transport returns one that connects to allowed addresses only, or, by way of a proxy, to any. There is no client around it, which would
// follow redirects.
func (o *CallbackOptions) transport(guard bool, perHost int, proxy func(*http.Request) (*url.URL, error)) *http.Transport {
	d := &net.Dialer{Resolver: o.Resolver}
	if guard {
		d.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error { return o.Allow.dialed(address) }
	}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if w, ok := ctx.Value(waitKey{}).(*atomic.Bool); ok {
			w.Store(false)
		}
		return d.DialContext(ctx, network, address)
	}
	return &http.Transport{
		Proxy: proxy, DialContext: dial, ForceAttemptHTTP2: true, DisableCompression: true,
		TLSHandshakeTimeout: handshakeTimeout, IdleConnTimeout: idleTimeout,
		MaxConnsPerHost: perHost, MaxIdleConnsPerHost: perHost, MaxIdleConns: keptAtMost, MaxResponseHeaderBytes: maxAnswerHeader,
	}
}

// dialed says whether an address with a port, which is being connected to, is allowed.
func (p Addresses) dialed(address string) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if why := p.Refuse(a.Addr()); why != "" {
		return &AddressError{Address: a.Addr(), Why: why}
	}
	return nil
}

// proxyKey is where a request has the proxy that was found for it.
type proxyKey struct{}

// waitKey is where a request has whether it still waits until it may connect.
type waitKey struct{}

// A caller makes the requests of all attempts.
type caller struct {
	o               *CallbackOptions
	perHost         int
	direct, proxied *http.Transport
}

// A callbackRun is one attempt at a callback.
type callbackRun struct {
	ending

	a     *duly.AttemptInfo
	c     *Callback
	out   *recording
	limit int64

	signature string // that was sent
}

func (x *caller) handle(ctx context.Context, a *duly.Attempt[Callback]) error {
	c := &a.Payload
	if err := x.o.Allow.Check(c); err != nil {
		return duly.Permanent(err)
	}
	r := callbackRun{a: a.AttemptInfo, c: c, limit: c.OutputLimit}
	if r.limit == 0 {
		r.limit = DefaultCallbackOutput
	}
	r.out = x.o.Outputs.begin(a.AttemptInfo, 2*r.limit, true) // all of it is a beginning
	err := x.call(ctx, &r)
	r.out.end(&r.ending)
	return err
}

// call makes the request.
func (x *caller) call(ctx context.Context, r *callbackRun) error {
	if t := r.a.Timeout; t <= 0 || t > x.o.Longest {
		limited, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		limit := x.o.Engine.AfterFunc(x.o.Longest, func() { cancel(errTooLong) })
		defer limit.Stop()
		ctx = limited
	}
	var waits atomic.Bool
	waits.Store(true)
	ctx = httptrace.WithClientTrace(context.WithValue(ctx, waitKey{}, &waits), &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { waits.Store(false) },
	})
	now := time.Unix(0, x.o.Clock.Read().Wall)
	req, err := x.request(ctx, r, now)
	if err != nil {
		return r.broken(ctx, err)
	}
	by := x.direct
	if x.proxied != nil {
		proxy, err := x.o.Proxy(req)
		if err != nil {
			return r.broken(ctx, &failure{noProxy, err})
		}
		if proxy != nil {
			if !isASCII(req.URL.Host) { // what it would be written as could be an address that Allow has not seen
				return r.broken(ctx, invalid("url", quote(redactURL(r.c.URL)), "a host in ASCII, as xn--..., for a request by way of a proxy"))
			}
			by = x.proxied
			req = req.WithContext(context.WithValue(ctx, proxyKey{}, proxy))
		}
	}
	resp, err := by.RoundTrip(req)
	if err != nil {
		switch cause := context.Cause(ctx); {
		case cause == nil && undialed(err):
			return r.later(x.o.Scarce, err)
		case waits.Load() && (errors.Is(cause, duly.ErrTimeout) || errors.Is(cause, errTooLong)):
			return r.later(nil, fmt.Errorf("all %d connections to the host were taken by other callbacks until the time for this one was over", x.perHost))
		case waits.Load() && errors.Is(cause, duly.ErrClosing): // and so nothing was attempted
			r.unsent(cause)
			return duly.Snooze(0) // who goes on begins with it
		}
		return r.broken(ctx, err)
	}
	if x.o.Scarce != nil {
		x.o.Scarce(nil)
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	if err := r.read(resp); err != nil {
		r.status = resp.StatusCode
		return r.broken(ctx, fmt.Errorf("read the answer, whose status is %d: %w", resp.StatusCode, err))
	}
	return r.answered(resp, time.Unix(0, x.o.Clock.Read().Wall))
}

// ownHeaders is how many headers a request has at most that are not the callback's.
const ownHeaders = 11

// request returns the request with its headers.
func (x *caller) request(ctx context.Context, r *callbackRun, now time.Time) (*http.Request, error) {
	method := r.c.Method
	if method == "" {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, r.c.URL, strings.NewReader(r.c.Body))
	if err != nil {
		return nil, err
	}
	req.Header = make(http.Header, len(r.c.Header)+ownHeaders)
	if req.URL.RawQuery != "" {
		req.URL.RawQuery = escaped(req.URL.RawQuery)
	}
	for name, v := range r.c.Header {
		req.Header.Set(name, v)
	}
	a, id := r.a, encoded(r.a.RunID)
	values := make([]string, 0, ownHeaders)
	set := func(name, v string) { // a name as the header has it
		values = append(values, v)
		req.Header[name] = slices.Clip(values[len(values)-1:])
	}
	set("User-Agent", x.o.UserAgent)
	set("Idempotency-Key", id)
	set("Duly-Run-Id", id)
	set("Duly-Name", encoded(a.Name))
	if a.Namespace != "" {
		set("Duly-Namespace", encoded(a.Namespace))
	}
	set("Duly-Attempt", strconv.Itoa(a.Number))
	set("Duly-Fence", strconv.FormatInt(a.Fence, 10))
	set("Duly-Scheduled-For", a.ScheduledFor.UTC().Format(time.RFC3339Nano))
	set("Webhook-Id", id)
	set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	if x.o.Secrets != nil {
		if secrets := x.o.Secrets(); len(secrets) > 0 {
			r.signature = signature(secrets, id, now.Unix(), r.c.Body)
			set("Webhook-Signature", r.signature)
		}
	}
	return req, nil
}

// buffers are for answers, most of which are short.
var buffers = sync.Pool{New: func() any { return new([readAtOnce]byte) }}

// read keeps the answer, up to its limit. What is beyond it is not read, and is counted as far as the answer says how much it is.
func (r *callbackRun) read(resp *http.Response) error {
	buf := buffers.Get().(*[readAtOnce]byte)
	defer buffers.Put(buf)
	n, err := io.CopyBuffer(r.out.stream(streamBody), io.LimitReader(resp.Body, r.limit), buf[:])
	if err != nil || n < r.limit {
		return err
	}
	var more [1]byte
	if n, err := io.ReadFull(resp.Body, more[:]); n == 0 {
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
	r.unread = max(resp.ContentLength-n, 1)
	return nil
}

// broken is the end without a whole answer.
func (r *callbackRun) broken(ctx context.Context, err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // it names the URL, in which there may be secrets
	}
	r.outcome = OutcomeFailed
	if ctx.Err() != nil {
		err = context.Cause(ctx)
		if errors.Is(err, duly.ErrClosing) && !r.a.AtMostOnce {
			r.outcome = OutcomeLater
		}
	}
	r.reason = oneLine(r.scrub(err.Error()))
	return &failure{r.reason, err}
}

// scrub returns a text without the callback's secrets, and without its signature, which is one for some minutes.
func (r *callbackRun) scrub(s string) string {
	return newScrubber(append(r.c.secrets(), r.signature)).scrub(s)
}

// undialed says that this machine had no descriptor or memory left to connect with, or to look a name up. Package net says the latter in
// words alone.
func undialed(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Op != "dial" {
		return false
	}
	dns, ok := errors.AsType[*net.DNSError](err)
	return exhausted(err) || ok && (strings.Contains(dns.Err, syscall.EMFILE.Error()) || strings.Contains(dns.Err, syscall.ENFILE.Error()))
}

// later puts off what could not be sent: the receiver has not seen anything of it.
func (r *callbackRun) later(scarce func(error), err error) error {
	if scarce != nil {
		scarce(err)
	}
	r.unsent(err)
	return putOff(r.a)
}

// unsent notes why nothing was sent.
func (r *callbackRun) unsent(err error) {
	r.outcome, r.reason = OutcomeLater, oneLine(r.scrub(err.Error()))
}

// answered says what an answer means.
func (r *callbackRun) answered(resp *http.Response, now time.Time) error {
	r.status = resp.StatusCode
	r.outcome = OutcomeFailed
	reason := "the answer is " + strings.TrimSpace(strconv.Itoa(r.status)+" "+http.StatusText(r.status))
	switch {
	case r.status >= 200 && r.status <= 299:
		r.outcome = OutcomeDone
		return nil
	case r.status >= 300 && r.status <= 399:
		reason += ", and redirects are not followed"
		if to, err := resp.Location(); err == nil {
			reason += ": it is to " + quote(redactURL(to.String()))
		}
	}
	r.reason = oneLine(r.scrub(reason))
	err := &failure{r.reason, nil}
	switch r.status {
	case http.StatusGone:
		r.outcome = OutcomePermanent
		return duly.Permanent(err)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if d := retryAfter(resp.Header.Get("Retry-After"), now); d > 0 {
			return duly.RetryAfter(min(d, maxRetryAfter), err)
		}
	}
	return err
}

// retryAfter returns how long a Retry-After asks to wait: seconds, or until a date. 0 is that it does not say, or not at all.
func retryAfter(v string, now time.Time) time.Duration {
	v = strings.TrimSpace(v)
	if n, err := strconv.ParseUint(v, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(n, uint64(maxRetryAfter/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
