// Package dulytest is for testing programs that schedule tasks with package duly: a test owns the time, has everything run that is due by
// an instant, and asks what is scheduled. What runs takes the way that it takes in production, claim, attempt and settlement, on a
// real store.
//
// The central type is [Scheduler], made by [New] on a store in memory, or by [On] for a scheduler that the program under test has made
// itself. [Scheduled], [RequireScheduled] and [RequireNone] work with any scheduler.
//
// # Time
//
// In a testing/synctest bubble time is the bubble's. Handlers may wait for it, and what happens between two instants of interest happens
// when it should. Outside of one, New gives the scheduler and its store a clock that is moved by hand, [Scheduler.Clock]. There a
// handler that waits for time to pass never returns, its Timeout included: such a test belongs in a bubble.
package dulytest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/internal/park"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
)

// A Scheduler is one whose time is the test's. Nothing of a scheduler made by New runs but within RunDue and RunFor, unless the program
// under test calls Run. Its methods are for one goroutine at a time, those of the duly.Scheduler for any number.
type Scheduler struct {
	*duly.Scheduler
	// Clock is what the scheduler and its store read. It is nil where they read a bubble's time.
	Clock *clock.Manual
}

// New returns a scheduler with the Options given, at most one, and closes it when the test ends. Without a Store it is on one in memory.
// A Store of the test's own needs, outside of a bubble, its *clock.Manual as the Clock; it is the test's to close, before or after. A
// Clock that is not set is the bubble's, or one moved by hand that begins where a bubble does, at midnight UTC of the first of January
// 2000. Without a Logger what is logged goes to the test's output.
func New(t testing.TB, opts ...duly.Options) *Scheduler {
	t.Helper()
	var o duly.Options
	switch len(opts) {
	case 0:
	case 1:
		o = opts[0]
	default:
		t.Fatalf("dulytest: %d Options, want at most one", len(opts))
	}
	d := &Scheduler{}
	switch c := o.Clock.(type) {
	case *clock.Manual:
		d.Clock = c
	case nil:
		if park.Bubbled() {
			break
		}
		if o.Store != nil {
			t.Fatal("dulytest: a Store without its Clock; want the *clock.Manual that the store reads, or a testing/synctest bubble")
		}
		d.Clock = clock.NewManual(time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC))
		o.Clock = d.Clock
	default:
		t.Fatalf("dulytest: the Clock is a %T, want a *clock.Manual, or nil", c)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{ReplaceAttr: timeless}))
	}
	var own *memory.Store
	if o.Store == nil {
		own = memory.New(memory.Options{Clock: o.Clock})
		o.Store = own
	}
	s, err := duly.New(o)
	if err != nil {
		t.Fatalf("dulytest: %v", err)
	}
	d.Scheduler = s
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil { //nolint:usetesting // the test's context has ended by then
			t.Errorf("dulytest: close the scheduler: %v", err)
		}
		if own != nil {
			_ = own.Close() // it returns nil
		}
	})
	return d
}

// timeless leaves the time out of what is logged: it would be another's than the test's.
func timeless(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// On returns a Scheduler for one that was made elsewhere, on whatever store, in the testing/synctest bubble that the test runs in. The
// program may run it already or not. Closing it and its store is whose it was before.
func On(t testing.TB, s *duly.Scheduler) *Scheduler {
	t.Helper()
	if !park.Bubbled() {
		t.Fatal("dulytest: On outside of a testing/synctest bubble, where nothing owns the scheduler's time; want a bubble, or New")
	}
	return &Scheduler{Scheduler: s}
}

// Now returns the time by the store's clock.
func (d *Scheduler) Now(t testing.TB) time.Time {
	t.Helper()
	now, err := d.now(t.Context())
	if err != nil {
		t.Fatalf("dulytest: read the store's clock: %v", err)
	}
	return now.Time()
}

func (d *Scheduler) now(ctx context.Context) (store.Instant, error) {
	c, err := d.Store().Clock(ctx)
	return c.Now, err
}
