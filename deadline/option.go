package deadline

import (
	"context"
	"time"

	"github.com/dulyhq/duly/timer"
)

// Option is a limit, or something else that a stream is made with.
type Option func(*config)

type config struct {
	engine      *timer.Engine
	ctx         context.Context //nolint:containedctx // it is the stream's, for its whole life
	idle        time.Duration
	read, write time.Duration
	total       time.Duration
	rate        rate
}

// Idle ends an operation when no byte has moved in either direction for d while it waited. So a server that only
// sends is not idle, though its Read waits for ever. A d that is not positive is no limit, as without the option.
func Idle(d time.Duration) Option { return func(c *config) { c.idle = max(d, 0) } }

// ReadTimeout ends a Read that has waited for d. A d that is not positive is no limit.
//
// A server of net/http always reads, also while a handler works, to notice that the client leaves; there Idle is what is meant.
func ReadTimeout(d time.Duration) Option { return func(c *config) { c.read = max(d, 0) } }

// WriteTimeout ends a Write of which no byte was taken for d; however long it takes in all, as long as the peer
// takes something. A d that is not positive is no limit.
func WriteTimeout(d time.Duration) Option { return func(c *config) { c.write = max(d, 0) } }

// Total ends every operation when d has passed since the stream was made. A d that is not positive is no limit.
func Total(d time.Duration) Option { return func(c *config) { c.total = max(d, 0) } }

// MinRate ends a Read when fewer than n bytes came while reads waited for a time of per in all, and a Write when
// fewer were taken. The time in which nobody waits does not count, and with n bytes a new account begins: what was more is no
// credit. It is what ends a peer that sends one byte now and then. If n or per is not positive, there is no limit.
func MinRate(n int64, per time.Duration) Option { return func(c *config) { c.rate = makeRate(n, per) } }

// WithContext ends every operation when ctx ends, with the context's cause.
func WithContext(ctx context.Context) Option { return func(c *config) { c.ctx = ctx } }

// WithEngine has the limits kept by e, and by its clock. Nil is the default: one engine shared by everything that was
// not given one; in a testing/synctest bubble one of the stream's own.
func WithEngine(e *timer.Engine) Option { return func(c *config) { c.engine = e } }

// rate is so many bytes in so long; the zero rate is none.
type rate struct {
	n   int64
	per time.Duration
}

func makeRate(n int64, per time.Duration) rate {
	if n <= 0 || per <= 0 {
		return rate{}
	}
	return rate{n, per}
}
