package wait

import (
	"context"
	"math"
	"time"

	"github.com/dulyhq/duly/internal/park"
	"github.com/dulyhq/duly/timer"
)

// Forever is a time that does not come: a sleep that only its context, or an Interrupt, ends.
const Forever time.Duration = math.MaxInt64

// Sleep blocks for d, and then returns nil. When ctx ends first it returns the context's cause; a context that has ended
// already fails it whatever d is. A d of 0 or less is over at once. Time is counted by the shared engine, or inside of a
// testing/synctest bubble by the bubble: setting the clock does not move it, and suspend counts where the platform can tell.
func Sleep(ctx context.Context, d time.Duration) error { return Sleeper{}.Sleep(ctx, d) }

// SleepUntil blocks until the wall clock shows t or later, and then returns nil. It follows the clock when that is set: forward
// past t, and it ends; back, and it goes on. Only Linux announces that the clock was set; elsewhere it may take a minute to be
// noticed. When ctx ends first it returns the context's cause. A t in the past, the zero time among them,
// is over at once.
func SleepUntil(ctx context.Context, t time.Time) error { return Sleeper{}.SleepUntil(ctx, t) }

// A Sleeper sleeps by an engine: [Sleep] and [SleepUntil] are those of the zero Sleeper. It may be copied, and is safe from
// several goroutines. For a sleep that somebody may cut short there is [Napper].
type Sleeper struct {
	// Engine is whose time is slept by. Nil is one that all share.
	Engine *timer.Engine
}

// Sleep is the function [Sleep] by the sleeper's engine. If that is closed meanwhile, or is already and d is positive, it returns
// an error for which errors.Is finds timer.ErrClosed.
func (s Sleeper) Sleep(ctx context.Context, d time.Duration) error {
	return s.sleep(ctx, lasting(ctx, d))
}

// SleepUntil is the function [SleepUntil] by the sleeper's engine, and fails with that as Sleep does.
func (s Sleeper) SleepUntil(ctx context.Context, t time.Time) error {
	return s.sleep(ctx, park.UntilAt(ctx, t))
}

func (s Sleeper) sleep(ctx context.Context, l park.Limit) error {
	if err := l.Err(); err != nil {
		return err
	}
	if l.Spent() {
		return nil
	}
	w := park.New()
	defer w.Release()
	if err := w.Wait(s.Engine, &l); !slept(ctx, err) {
		return err
	}
	return nil
}

// lasting is the limit of a sleep of d; one for ever arms no deadline.
func lasting(ctx context.Context, d time.Duration) park.Limit {
	if d == Forever {
		return park.Until(ctx)
	}
	return park.UntilFor(ctx, d)
}

// slept tells that a wait has ended because its time was up, and not because of a context whose cause happens to be ErrTimeout.
func slept(ctx context.Context, err error) bool {
	return err == ErrTimeout && (ctx == nil || context.Cause(ctx) != ErrTimeout) //nolint:errorlint // an error that wraps it is a cause
}
