package dulytest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/internal/park"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/wait"
)

// Ran is an attempt that has begun and ended.
type Ran struct {
	Namespace    string
	Name         string
	Kind         string
	ScheduledFor time.Time // the nominal instant
	Number       int       // of the attempt at the run, from 1
	Missed       int       // occurrences that were folded into the run
	Started      time.Time
	Ended        time.Time
	// State is what the run has become: Done; Pending, if it is to be tried again or was snoozed; Dead or StateCancelled.
	State duly.State
	// Err is the text of the error that the handler returned, as the history keeps it; "" if it returned nil.
	Err string
}

// String returns the attempt as a line: reminder "ada" for 2000-01-04T00:00:00Z, attempt 1: done.
func (r Ran) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s for %s, attempt %d: %s", r.Kind, strconv.Quote(r.Name), r.ScheduledFor.Format(time.RFC3339Nano), r.Number, r.State)
	if r.Err != "" {
		b.WriteString(", " + r.Err)
	}
	return b.String()
}

// RunFor is RunDue for what is due within d from now.
func (d *Scheduler) RunFor(t testing.TB, dur time.Duration) []Ran {
	t.Helper()
	return d.RunDue(t, d.Now(t).Add(dur))
}

// RunDue lets time pass until an instant, and everything start that comes due on the way or is due already, retries and what handlers put
// meanwhile included. When all of it has ended it returns the attempts, in the order in which they began. The clock stands at until then,
// or later if handlers took a bubble's time to end. An instant that has passed lets what is due run and moves no clock.
//
// It runs the scheduler for as long as that takes, if nobody does already. What does not end is the test's failure.
func (d *Scheduler) RunDue(t testing.TB, until time.Time) []Ran {
	t.Helper()
	x := &driver{d: d, until: store.At(until)}
	if err := x.drive(t.Context()); err != nil {
		t.Fatalf("dulytest: run what is due by %s: %v", until.UTC().Format(time.RFC3339Nano), err)
	}
	return x.all()
}

// A driver moves time, from one instant at which something is to be done to the next, and looks what has come of it.
type driver struct {
	d      *Scheduler
	until  store.Instant
	ended  chan error // what Run returns
	over   bool       // it has been read
	others bool       // somebody else runs the scheduler
	seq    int64      // of the last entry of the history that was read
	events []duly.Event
}

func (x *driver) drive(ctx context.Context) error {
	newest, err := x.d.History(ctx, duly.HistoryQuery{Newest: true, Limit: 1})
	if err != nil {
		return err
	}
	if len(newest) > 0 {
		x.seq = newest[0].Seq
	}
	life, stop := context.WithCancel(ctx)
	defer stop()
	x.ended = make(chan error, 1)
	go func() { x.ended <- x.d.Run(life) }()
	err = x.pass(ctx)
	switch {
	case err != nil:
	case x.others:
		err = x.await(ctx)
	default:
		err = x.standing(ctx)
	}
	stop()
	if err != nil { // Run ends by itself, or when the scheduler is closed
		return err
	}
	if !x.over {
		if err := <-x.ended; err != nil {
			return err
		}
	}
	return x.collect(ctx)
}

// pass lets time pass.
func (x *driver) pass(ctx context.Context) error {
	for {
		next, err := x.settle(ctx)
		if err != nil {
			return err
		}
		if err := x.collect(ctx); err != nil {
			return err
		}
		now, err := x.d.now(ctx)
		if err != nil || now >= x.until {
			return err
		}
		if err := x.advance(ctx, min(next, x.until)); err != nil {
			return err
		}
	}
}

// advance lets time pass up to an instant, or by a clock moved by hand up to the first alarm on the way.
func (x *driver) advance(ctx context.Context, to store.Instant) error {
	c := x.d.Clock
	if c == nil {
		return wait.SleepUntil(ctx, to.Time())
	}
	left := to.Time().Sub(time.Unix(0, c.Now().Wall))
	m := c.Advance(max(left, 0))
	if m.Moved == 0 && m.Woken == 0 && left > 0 {
		return fmt.Errorf("the clock can't be moved to %s: %s is where it ends", to.Time(), time.Unix(0, clock.Never-1).UTC())
	}
	return m.Wait(ctx)
}

// pause is how long is waited, really, before it is looked again whether all has ended.
const pause = 100 * time.Microsecond

// settle waits until nothing happens any more without the passing of time, and returns when something is to happen next.
func (x *driver) settle(ctx context.Context) (next store.Instant, err error) {
	before := store.Over // what the look before has found; one alone may have seen a task just before, and its limits just after, it started
	for {
		if park.Bubbled() {
			synctest.Wait()
		}
		if err := x.listen(); err != nil {
			return 0, err
		}
		busy, next, err := x.look(ctx)
		switch {
		case err != nil, park.Bubbled(), len(busy) == 0 && next == before && (next > x.until || x.armed() <= next):
			return next, err
		case len(busy) == 0 && next != before:
			before = next
			continue
		case len(busy) == 0: // the scheduler has not set its alarm yet
		case x.armed() <= x.reading().Add(tick):
			if err := x.d.Clock.Advance(tick).Wait(ctx); err != nil {
				return 0, err
			}
		}
		if err := wait.Sleep(ctx, pause); err != nil {
			return 0, fmt.Errorf("%s: %w", strings.Join(busy, "; "), err)
		}
	}
}

// tick is more than what the engine rounds an alarm up by that is set for an instant which has passed.
const tick = 100 * time.Microsecond

func (x *driver) reading() store.Instant { return store.At(time.Unix(0, x.d.Clock.Now().Wall)) }

// armed is when the next alarm rings by the clock that is moved by hand.
func (x *driver) armed() store.Instant {
	boot, wall := x.d.Clock.Armed()
	now := x.d.Clock.Now()
	if left := boot - now.Boot; boot != clock.Never && now.Wall+left < wall {
		wall = now.Wall + left
	}
	if wall == clock.Never {
		return store.Never
	}
	return store.At(time.Unix(0, wall))
}

// listen hears whether Run has returned.
func (x *driver) listen() error {
	select {
	case err := <-x.ended:
		x.over = true
		if errors.Is(err, duly.ErrActive) {
			x.others = true
			return nil
		}
		if err == nil {
			err = errors.New("the scheduler was closed meanwhile")
		}
		return err
	default:
		return nil
	}
}

// look returns what is under way now, and the next instant at which something is to happen.
func (x *driver) look(ctx context.Context) (busy []string, next store.Instant, err error) {
	now, err := x.d.now(ctx)
	if err != nil {
		return nil, 0, err
	}
	next = store.Never
	q := store.DueQuery{Until: now}
	for {
		page, err := x.d.Store().Due(ctx, q)
		if err != nil {
			return nil, 0, err
		}
		for _, t := range page.Tasks {
			w, err := x.d.In(t.Namespace).WhyNot(ctx, t.Name)
			if err != nil {
				return nil, 0, err
			}
			switch at := store.At(w.Until); {
			case !w.Until.IsZero() && at > now:
				next = min(next, at)
			case w.Code == duly.WhyPaused, w.Code == duly.WhyNever, w.Code == duly.WhyNoHandler:
			default:
				busy = append(busy, fmt.Sprintf("%s: %s", strconv.Quote(t.Name), w.Text))
			}
		}
		if !page.More {
			break
		}
		q.After = page.Cursor
	}
	page, err := x.d.Store().Due(ctx, store.DueQuery{After: store.Cursor{At: now + 1}, Until: x.until, Limit: 1})
	if err == nil && len(page.Tasks) > 0 {
		next = min(next, page.Tasks[0].Position())
	}
	return busy, next, err
}

// standing returns an error if something is under way that a clock moved by hand would have to let end. In a bubble's time it ends when
// Run does.
func (x *driver) standing(ctx context.Context) error {
	if x.d.Clock == nil {
		return nil
	}
	busy, _, err := x.look(ctx)
	if err == nil && len(busy) > 0 {
		err = fmt.Errorf("something is under way and waits, though all else has ended: %s", strings.Join(busy, "; "))
	}
	return err
}

// await lets time pass until the attempts have ended that run now, where the scheduler is run by somebody else.
func (x *driver) await(ctx context.Context) error {
	var running []*duly.Task
	for t, err := range x.d.List(ctx, duly.Query{AllNamespaces: true, State: duly.Active}) {
		if err != nil {
			return err
		}
		running = append(running, t)
	}
	for _, t := range running {
		if err := x.d.In(t.Namespace).Await(ctx, t.Name); err != nil {
			return err
		}
	}
	if len(running) > 0 {
		synctest.Wait()
	}
	return nil
}

// collect reads what is new in the history.
func (x *driver) collect(ctx context.Context) error {
	for {
		evs, err := x.d.History(ctx, duly.HistoryQuery{After: x.seq, Limit: 1000})
		if err != nil || len(evs) == 0 {
			return err
		}
		x.seq = evs[len(evs)-1].Seq
		for i := range evs {
			if endOfAttempt(&evs[i]) {
				x.events = append(x.events, evs[i])
			}
		}
	}
}

func endOfAttempt(e *duly.Event) bool {
	if e.From != duly.Active {
		return false
	}
	switch e.Verb {
	case store.VerbSettle.String(), store.VerbRetry.String(), store.VerbSnooze.String(), store.VerbRelease.String(), store.VerbRescue.String():
		return true
	}
	return false
}

// all returns the attempts, in the order in which they were claimed.
func (x *driver) all() []Ran {
	slices.SortStableFunc(x.events, func(a, b duly.Event) int {
		return cmp.Or(a.StartedAt.Compare(b.StartedAt), cmp.Compare(a.Fence, b.Fence))
	})
	all := make([]Ran, len(x.events))
	for i := range x.events {
		e := &x.events[i]
		all[i] = Ran{
			Namespace: e.Namespace, Name: e.Name, Kind: e.Kind, ScheduledFor: e.ScheduledFor, Number: e.Attempt, Missed: int(e.Missed),
			Started: e.StartedAt, Ended: e.At, State: e.To, Err: e.Reason,
		}
	}
	return all
}
