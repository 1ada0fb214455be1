// Package scrape is for asking a scheduler for its counters on behalf of somebody who must not be held up: a scrape of Prometheus, a
// reader of OpenTelemetry, which give everything up if one of those they ask takes too long. It exports nothing itself. Its central
// type is [Asker].
package scrape

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/wait"
)

// DefaultTimeout is that of an Asker that is given none.
const DefaultTimeout = 5 * time.Second

// An Asker asks one scheduler. All methods are safe for concurrent use; the fields are set before.
type Asker struct {
	Stats   func(context.Context) (duly.Stats, error)
	Timeout time.Duration // 0 or less is DefaultTimeout
	Logger  *slog.Logger  // told when the store begins to fail, and when it answers again; nil is slog.Default()

	mu       sync.Mutex
	asked    *question // the last one; one at a time is under way, however many ask
	failing  bool
	failures uint64
}

// An Answer is what is known of a scheduler. Stats.Kinds is nil if that is nothing at all.
type Answer struct {
	duly.Stats
	Up       bool   // the store has answered
	Failures uint64 // answers of this Asker that are not Up, this one included
}

// A question is one call of Stats. Its store may never answer.
type question struct {
	answer *wait.Future[duly.Stats]
	cancel context.CancelFunc
}

// Ask asks, or joins those who do, and returns within the timeout and a tenth of it: after the timeout the call is cancelled, and the
// tenth is for what it can tell then.
func (a *Asker) Ask() Answer {
	timeout := a.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	q := a.question()
	st, err := q.answer.GetFor(timeout)
	if errors.Is(err, wait.ErrTimeout) {
		q.cancel()
		st, err = q.answer.GetFor(timeout / 10)
	}
	return a.note(st, err)
}

// question returns the call that is under way, or begins one. A store that never answers thus holds one goroutine, not one per scrape.
func (a *Asker) question() *question {
	a.mu.Lock()
	defer a.mu.Unlock()
	if q := a.asked; q != nil {
		if _, answered, _ := q.answer.TryGet(); !answered {
			return q
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	a.asked = &question{cancel: cancel, answer: wait.Go(ctx, func(ctx context.Context) (duly.Stats, error) {
		defer cancel()
		return a.Stats(ctx)
	})}
	return a.asked
}

// note counts, and logs a change between working and failing.
func (a *Asker) note(st duly.Stats, err error) Answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	log := a.Logger
	if log == nil {
		log = slog.Default()
	}
	switch {
	case err != nil && !a.failing:
		log.Warn("the store does not answer who asks for counters", "error", err)
	case err == nil && a.failing:
		log.Info("the store answers again who asks for counters")
	}
	a.failing = err != nil
	if a.failing {
		a.failures++
	}
	return Answer{Stats: st, Up: err == nil, Failures: a.failures}
}
