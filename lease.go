package duly

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/timer"
)

// A renewer prolongs leases, at a third of their time. What it does not manage to prolong is lost a tenth of the lease before its end,
// counted on the clock that counts suspend, from before the claim was sent.
type renewer struct {
	r    *run
	wake chan struct{}
	done chan struct{}
	line *list.List // of attempts, by when they were claimed or renewed; under core.mu
	x    timer.Expiry
}

func (n *renewer) init(r *run) {
	n.r, n.wake, n.done, n.line = r, make(chan struct{}, 1), make(chan struct{}), list.New()
}

// Expire implements timer.Expirer.
func (n *renewer) Expire(error) {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

func (n *renewer) every() time.Duration { return n.r.c.opts.Lease / 3 }

// safe is for how long after it was asked for a lease can be relied on.
func (n *renewer) safe() time.Duration { return n.r.c.opts.Lease - n.r.c.opts.Lease/10 }

func (n *renewer) addLocked(a *attempt) {
	a.place = n.line.PushBack(a)
	if n.line.Len() == 1 {
		n.armLocked()
	}
}

func (n *renewer) armLocked() {
	n.x.Stop()
	if head := n.line.Front(); head != nil {
		n.x, _ = n.r.c.eng.Expire(head.Value.(*attempt).sent+n.every(), n) // a closed engine: nothing runs any more
	}
}

func (n *renewer) dropLocked(a *attempt) {
	if a.place != nil {
		n.line.Remove(a.place)
		a.place = nil
	}
	a.expiry.Stop()
}

func (n *renewer) stop() {
	n.r.c.mu.Lock()
	n.x.Stop()
	n.r.c.mu.Unlock()
	n.Expire(nil)
	<-n.done
}

func (n *renewer) work(ctx context.Context) {
	defer close(n.done)
	c := n.r.c
	for {
		<-n.wake
		if ctx.Err() != nil {
			return
		}
		c.mu.Lock()
		now := c.eng.Elapsed()
		var due []*attempt
		for el := n.line.Front(); el != nil && el.Value.(*attempt).sent+n.every() <= now; el = el.Next() {
			a := el.Value.(*attempt)
			n.watchLocked(a, now)
			due = append(due, a)
		}
		c.mu.Unlock()
		ok := len(due) == 0 || n.renew(ctx, due, now)
		c.mu.Lock()
		if ok {
			n.armLocked()
		} else {
			n.x, _ = c.eng.Expire(c.eng.Elapsed()+c.opts.Lease/20, n)
		}
		c.mu.Unlock()
	}
}

// watchLocked has an attempt told when its lease can't be relied on any more, which is later whenever it was prolonged.
func (n *renewer) watchLocked(a *attempt, now time.Duration) {
	if a.watched {
		return
	}
	a.watched = true
	a.expiry = n.r.c.eng.AfterFunc(a.sent+n.safe()-now, func() {
		n.r.c.mu.Lock()
		defer n.r.c.mu.Unlock()
		if n.r.c.eng.Elapsed() >= a.sent+n.safe() {
			n.lostLocked(a)
		}
	})
}

// lostLocked takes the lease to be over.
func (n *renewer) lostLocked(a *attempt) {
	if a.lost || a.place == nil {
		return
	}
	n.line.Remove(a.place)
	a.place, a.lost = nil, true
	a.cancel(ErrLeaseLost)
	n.r.refetch[a.id.Key] = struct{}{} // the lease's end is watched from now on
	n.r.pokeLocked()
}

// renew prolongs leases, and says whether that was done: the store may fail, or somebody else's transaction hold a task.
func (n *renewer) renew(ctx context.Context, due []*attempt, sent time.Duration) bool {
	c := n.r.c
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	limit := c.eng.AfterFunc(n.every(), cancel)
	defer limit.Stop()
	rows := make([]store.Renewal, len(due))
	for i, a := range due {
		rows[i] = store.Renewal{RunID: a.id, Fence: a.fence, Lease: c.opts.Lease}
	}
	res, err := c.store.Renew(ctx, rows)
	if err != nil {
		c.log.Warn("leases could not be renewed", "attempts", len(due), "error", err)
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	all := true
	for i, a := range due {
		n.renewedLocked(a, &res[i], sent)
		all = all && !errors.Is(res[i].Err, store.ErrBusy)
	}
	return all
}

func (n *renewer) renewedLocked(a *attempt, res *store.RenewResult, sent time.Duration) {
	if a.place == nil {
		return // it has ended, or is lost
	}
	if errors.Is(res.Err, store.ErrBusy) {
		return // it is asked for again
	}
	if errors.Is(res.Err, store.ErrFenced) && a.inTx.Load() {
		n.dropLocked(a)
		a.e.unclear = true
		n.r.refetch[a.id.Key] = struct{}{}
		n.r.pokeLocked()
		return
	}
	if res.Err != nil {
		n.lostLocked(a)
		return
	}
	a.sent = sent
	n.line.MoveToBack(a.place)
	if a.watched {
		a.expiry.Reset(max(a.sent+n.safe()-n.r.c.eng.Elapsed(), 0))
	}
	if res.Stop {
		a.cancel(ErrStopped)
	}
}

func (c *core) heartbeat(ctx context.Context, a *attempt) error {
	c.mu.Lock()
	r := c.running
	lost := a.lost || r == nil
	c.mu.Unlock()
	if lost {
		return ErrLeaseLost
	}
	sent := c.eng.Elapsed()
	res, err := c.store.Renew(ctx, []store.Renewal{{RunID: a.id, Fence: a.fence, Lease: c.opts.Lease}})
	if err != nil {
		return err
	}
	c.mu.Lock()
	r.renewer.renewedLocked(a, &res[0], sent)
	c.mu.Unlock()
	switch {
	case errors.Is(res[0].Err, store.ErrBusy) && a.inTx.Load(): // its own transaction holds the task, and goes on when this returns
		return nil
	case errors.Is(res[0].Err, store.ErrBusy): // while a transaction holds the task
		if err := c.nap(ctx, busyRest); err != nil {
			return err
		}
		return c.heartbeat(ctx, a)
	case errors.Is(res[0].Err, store.ErrFenced):
		return fmt.Errorf("%w: %w", ErrLeaseLost, res[0].Err)
	case res[0].Stop:
		return ErrStopped
	}
	return res[0].Err
}

// Retention is what is kept of what has ended. The zero Retention keeps the history of 7 days, whatever its size, and dead runs for 90.
type Retention struct {
	History    time.Duration // entries younger than this; 0 is 7 days, less than 0 is for ever
	MaxHistory int64         // and of them at most so many, the newest; 0 is no limit
	Dead       time.Duration // dead runs that died within this; 0 is 90 days, less than 0 is for ever
}

func (k *Retention) check() error {
	if k.MaxHistory < 0 {
		return invalid("new", store.Key{}, "max history", strconv.FormatInt(k.MaxHistory, 10), "0 or more")
	}
	if k.History == 0 {
		k.History = 7 * 24 * time.Hour
	}
	if k.Dead == 0 {
		k.Dead = 90 * 24 * time.Hour
	}
	return nil
}

// every is how often it is looked whether there is something to forget: what is forgotten is at most so much too old.
func (k *Retention) every() time.Duration {
	d := time.Duration(math.MaxInt64)
	for _, age := range [2]time.Duration{k.History, k.Dead} {
		if age > 0 {
			d = min(d, age)
		}
	}
	if k.MaxHistory > 0 {
		d = min(d, time.Hour)
	}
	return min(max(d/24, time.Minute), 24*time.Hour)
}

// keep forgets what the retention does not keep, until ctx ends. It begins when the store's clock is known. Where several processes do
// so on one store, what is kept is what all of them keep.
func (c *core) keep(ctx context.Context, tuned <-chan struct{}) (done <-chan struct{}) {
	ch := make(chan struct{})
	k := c.opts.Retention
	go func() {
		defer close(ch)
		select {
		case <-tuned:
		case <-ctx.Done():
			return
		}
		for {
			now := c.now()
			r := store.Retention{MaxHistory: k.MaxHistory}
			if k.History > 0 {
				r.HistoryFrom = now.Add(-k.History)
			}
			if k.Dead > 0 {
				r.DeadFrom = now.Add(-k.Dead)
			}
			if _, err := c.store.Trim(ctx, r); err != nil && ctx.Err() == nil { // also where all is kept: a store may have something of its own to do
				c.log.Warn("the history could not be trimmed", "error", err)
			}
			a := newAlarm(c.eng, k.every())
			if a.closed { // given up, while a call to the store has not returned
				<-ctx.Done()
				return
			}
			select {
			case <-a.rung:
			case <-ctx.Done():
				a.stop()
				return
			}
		}
	}()
	return ch
}
