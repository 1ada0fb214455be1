package duly

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dulyhq/duly/store"
)

// AttemptInfo is one attempt at a run, as its handler sees it. Its methods are safe for concurrent use, while the handler has not
// returned.
type AttemptInfo struct {
	Namespace  string
	Name       string
	Kind       string
	Generation int64
	RunID      string // the same for all attempts at the run
	Fence      int64  // rises with every attempt of the name: whatever the handler writes to can refuse a lesser one
	Number     int    // of the attempt, from 1; what was snoozed or lost counts
	Failed     int    // attempts at the run that have failed before
	Lost       int    // attempts at the run that ended with their lease, most often because the process died

	ScheduledFor time.Time // the nominal instant
	Due          time.Time // of this attempt: the nominal instant and its jitter, or when the retry was to be
	Started      time.Time // when it was claimed, by the store's clock
	Missed       int64     // occurrences that were folded into this one
	Extra        bool      // asked for by RunNow or Backfill, not by the schedule
	AtMostOnce   bool      // no other attempt comes after it, unless it is snoozed

	Timeout time.Duration // after which the attempt's context ends; 0 is never

	Raw      []byte // the payload as it is stored; not to be changed
	Tags     []string
	Priority int

	c *core
	a *attempt
}

// An Attempt is one attempt at a run of a task whose payload is a T.
type Attempt[T any] struct {
	*AttemptInfo
	Payload T
}

// A HandlerFunc runs one attempt. It is what middleware wraps.
type HandlerFunc func(ctx context.Context, a *AttemptInfo) error

// A Middleware returns a handler that does something around next.
type Middleware func(next HandlerFunc) HandlerFunc

// Heartbeat prolongs the lease now, and returns nil if the attempt still has it. The scheduler does that by itself; a handler asks
// when it wants to know before a step that must not be done twice. ErrLeaseLost means that another attempt may run already.
// Between Complete and the end of its transaction nothing is prolonged.
func (a *AttemptInfo) Heartbeat(ctx context.Context) error { return a.c.heartbeat(ctx, a.a) }

// Complete settles the run as done within the caller's transaction, so that the run is done if and only if the transaction commits.
// The handler returns nil after the commit. It is ErrNoTx if the store has no transactions.
func (a *AttemptInfo) Complete(ctx context.Context, tx any) error {
	x, ok := a.c.store.(store.Transactor)
	if !ok {
		return ErrNoTx
	}
	s := a.c.settlement(a.a, nil)
	res, err := x.SettleTx(ctx, tx, []store.Settlement{s})
	if err != nil {
		return err
	}
	if res[0].Err == nil {
		a.a.inTx.Store(true)
	}
	return res[0].Err
}

// outcome is what a handler asks for by the error that it returns.
type outcome struct {
	verb store.Verb // VerbSettle: for good; VerbRetry; VerbSnooze
	in   time.Duration
	set  bool // in was given
	err  error
}

func (o *outcome) Error() string {
	switch {
	case o.err != nil:
		return o.err.Error()
	case o.verb == store.VerbSnooze:
		return "snoozed for " + o.in.String()
	}
	return "failed"
}

func (o *outcome) Unwrap() error { return o.err }

// Permanent makes an error of a handler one after which there is no other attempt: the run is dead.
func Permanent(err error) error { return &outcome{verb: store.VerbSettle, err: err} }

// RetryAfter makes an error of a handler one after which the next attempt comes in d, if the run has one left.
func RetryAfter(d time.Duration, err error) error {
	return &outcome{verb: store.VerbRetry, in: d, set: true, err: err}
}

// Snooze is returned by a handler that wants to be asked again in d. The attempt does not count, whatever it did.
func Snooze(d time.Duration) error { return &outcome{verb: store.VerbSnooze, in: d, set: true} }

// Snoozed says whether an error of a handler is a Snooze, wrapped or not, and for how long: middleware tells it from a failure by that.
func Snoozed(err error) (d time.Duration, ok bool) {
	var o *outcome
	if !errors.As(err, &o) || o.verb != store.VerbSnooze {
		return 0, false
	}
	return o.in, true
}

// settlement is how an attempt that ended with err is to be written.
func (c *core) settlement(a *attempt, err error) store.Settlement {
	s := store.Settlement{RunID: a.id, Fence: a.fence, Verb: store.VerbSettle, State: store.Done, Next: c.after(a)}
	if err == nil {
		return s
	}
	p := a.policy
	s.Reason = reason(err)
	var o *outcome
	if !errors.As(err, &o) {
		o = &outcome{verb: store.VerbRetry}
	}
	failed := a.info.Failed + 1
	dead := false
	switch {
	case o.verb == store.VerbSnooze:
		s.Verb, s.State, s.When = store.VerbSnooze, store.None, store.In(o.in, 0)
		return s
	case o.verb == store.VerbSettle, failed >= p.attempts():
		dead = true
	}
	in := o.in
	if !o.set {
		in = p.backoff(failed)
	}
	if p.MaxElapsed > 0 && c.now().Add(in).Sub(a.begun) > time.Duration(p.MaxElapsed) {
		dead = true
	}
	if dead {
		s.State = store.Dead
		s.End = p.StopOnError
		return s
	}
	s.Verb, s.State, s.When = store.VerbRetry, store.None, store.In(in, 0)
	return s
}

// reason is what the history keeps of an error.
func reason(err error) string {
	if s := err.Error(); s != "" {
		return s
	}
	return fmt.Sprintf("%T", err)
}
