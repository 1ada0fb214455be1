package duly

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/timer"
)

// A run is Run at work: one goroutine, the loop, decides what to start and writes claims; one settles, one renews leases; and
// each attempt has its own. All of it but the channels is guarded by core.mu.
type run struct {
	c    *core
	wake chan struct{} // tells the loop to look

	window   window
	keys     map[string]*gate
	suspects gate
	bytes    gate // of large payloads: what does not fit beside those of what runs waits here
	crash    crash
	gains    int                       // how often we have gained shards
	gained   time.Duration             // and when last, by eng.Elapsed
	doubts   map[store.RunID]store.Run // that would be dead, if nothing else had run in their process
	widening bool                      // it is looked for that
	behind   map[*gate]struct{}        // those that have to be read again
	refetch  map[store.Key]struct{}    // tasks of which it is not known what they are
	fetching map[store.Key]struct{}    // of these, those that are being read and no write of ours has ended for since
	inUse    int                       // workers
	held     int64                     // bytes of the large payloads of what runs
	attempts map[attemptID]*attempt
	unsure   unsure
	draining bool
	stopping bool            // what runs was asked to stop: what is granted by now is given back
	over     bool            // the loop has ended: nothing starts any more
	ended    chan struct{}   // closed when the loop has ended and no attempt is left
	calls    context.Context //nolint:containedctx // of the loop's calls to the store: one that hangs does not keep Run from ending
	hangUp   context.CancelFunc
	term     context.Context //nolint:containedctx // for as long as something may start: of taking part in dividing the shards
	resign   context.CancelFunc
	tuned    chan struct{} // closed when the store's clock was looked at
	limit    timer.Timer   // to how long a call may take once draining
	own      *store.Share  // ours; nil is all, of a store that is not divided
	where    store.Shards  // of these, in which anything is
	refused  bool          // something was refused because it is not ours, and we were not told of what is since
	untuned  bool          // the store's clock is to be looked at
	looking  bool          // it is
	gone     error         // the store is closed
	lookAt   store.Instant // the earliest at which something unresolved is to be dead
	lookFrom store.Instant // where the first unresolved one stands
	strange  strangers     // the unresolved ones, as far as they are remembered

	hinted     store.Instant // the earliest instant of hints that were not looked into; Never is none
	reading    bool          // the window was pulled back to look into a hint, and has not caught up
	cost       time.Duration // what that has taken so far
	resting    time.Duration // until then, by eng.Elapsed, no hint is looked into: what they cost is bounded
	listenAt   time.Duration // by eng.Elapsed: when hints are listened to again
	failing    string        // what the store fails to do, "" for nothing
	backoff    time.Duration
	notUntil   time.Duration // by eng.Elapsed: the store fails
	armed      [2]timer.Expiry
	armedAt    store.Instant // what the first is set to
	armedLease store.Instant // and the second for, if that is for a lease

	planner planner // of planLocked, which has no room of its own for it
	picks   []pick  // of the loop: room for those of the next look

	settler settler
	renewer renewer
	hooks   sync.WaitGroup
	given   chan struct{} // closed when nobody waits for attempts any more
	giveUp  sync.Once
}

type attemptID struct {
	store.RunID
	fence int64
}

// Expire is called when the loop has something to do.
func (r *run) Expire(error) { r.poke() }

func (r *run) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (c *core) newRun(ctx context.Context) *run {
	r := &run{
		c: c, wake: make(chan struct{}, 1), keys: map[string]*gate{}, suspects: gate{limit: 1}, behind: map[*gate]struct{}{},
		given: make(chan struct{}), tuned: make(chan struct{}), refetch: map[store.Key]struct{}{}, attempts: map[attemptID]*attempt{}, unsure: unsure{}, strange: strangers{}, ended: make(chan struct{}), lookAt: store.Never, hinted: store.Never, armedAt: store.Never, armedLease: store.Never, listenAt: math.MaxInt64,
	}
	r.calls, r.hangUp = context.WithCancel(context.WithoutCancel(ctx))
	r.term, r.resign = context.WithCancel(context.WithoutCancel(ctx))
	if _, divided := c.store.(store.Owner); divided {
		r.own, r.crash.divided, r.doubts = &store.Share{}, true, map[store.RunID]store.Run{}
	}
	r.window.init()
	r.settler.init(r)
	r.renewer.init(r)
	return r
}

// Run works until ctx ends or the scheduler is drained or closed: it starts what is due, renews leases, writes outcomes, rescues what a
// crash left behind. Then it starts nothing more and lets what runs finish, for Options.DrainTimeout if ctx has ended, after which it
// asks the attempts to stop and waits for a tenth of that. It returns nil when nothing runs any more; an *[UnfinishedError] if something
// does all the same; ErrActive if the scheduler runs already, ErrClosed if it is closed; and the store's error if that was closed.
//
// Where a store divides its shards among processes, each that runs starts what is in its own, and of kinds that it handles, and the owner of
// a shard does not, what falls to it. What the processes handle may differ, and become more while they run: see [Handle].
func (s *Scheduler) Run(ctx context.Context) error {
	c := s.core
	r := c.newRun(ctx)
	c.mu.Lock()
	var err error
	switch {
	case c.closed:
		err = ErrClosed
	case c.running != nil:
		err = ErrActive
	case c.wrong != nil:
		err = c.wrong
	}
	if err != nil {
		c.mu.Unlock()
		r.hangUp()
		r.resign()
		return err
	}
	c.running = r
	for _, k := range c.kinds { // of an earlier Run nothing is left but the tokens
		k.gate = gate{limit: k.gate.limit}
	}
	c.mu.Unlock()
	return r.work(ctx)
}

// work is Run, once the run is the scheduler's.
func (r *run) work(ctx context.Context) error {
	c := r.c
	life, end := context.WithCancel(context.WithoutCancel(ctx)) // of calls to the store
	defer r.hangUp()
	go r.settler.work(life)
	go r.renewer.work(life)
	stop := context.AfterFunc(ctx, func() { r.drain() })
	keeper := c.keep(life, r.tuned)
	shared := make(chan struct{})
	go func() {
		defer close(shared)
		r.share()
	}()
	aligned := make(chan struct{})
	go func() {
		defer close(aligned)
		c.alignAll(life)
	}()
	err := r.loop(r.calls) //nolint:contextcheck // they outlive ctx, for a drain
	stop()
	r.drain()
	r.giveBackAll(r.calls) //nolint:contextcheck // as the loop's
	c.mu.Lock()
	r.limit.Stop()
	if r.over = true; len(r.attempts) == 0 {
		close(r.ended)
	}
	c.mu.Unlock()
	if werr := r.await(ctx); err == nil {
		err = werr
	}
	end()
	r.settler.stop()
	r.renewer.stop()
	<-keeper
	<-shared
	<-aligned
	r.hooks.Wait()
	r.disarm()
	c.mu.Lock()
	c.running = nil
	c.mu.Unlock()
	c.news.tell()
	return err
}

// drain lets nothing start any more.
func (r *run) drain() {
	r.c.mu.Lock()
	if !r.draining {
		r.draining = true
		r.limit = r.c.eng.AfterFunc(r.c.opts.DrainTimeout, r.hangUp)
	}
	r.c.mu.Unlock()
	r.resign()
	r.poke()
}

// await waits until nothing runs any more.
func (r *run) await(ctx context.Context) error {
	r.wait(ctx.Done()) // Drain and Close have contexts of their own
	limit := r.c.opts.DrainTimeout
	for _, why := range [2]error{ErrClosing, ErrLeaseLost} { // in the end nothing is renewed any more
		t := newAlarm(r.c.eng, limit)
		r.wait(t.rung)
		t.stop()
		r.stopAll(why)
		limit = max(limit/10, time.Second)
	}
	left := r.list()
	if len(left) == 0 {
		return nil
	}
	return &UnfinishedError{Running: left}
}

// wait waits until nothing runs any more, or something else, or until nobody waits for it.
func (r *run) wait(other <-chan struct{}) {
	select {
	case <-r.ended:
	case <-r.given:
	case <-other:
	}
}

// stopAll asks what runs to stop.
func (r *run) stopAll(why error) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	r.stopping = true
	for _, a := range r.attempts {
		a.cancel(why)
	}
}

// list returns what runs.
func (r *run) list() (left []AttemptInfo) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	for _, a := range r.attempts {
		left = append(left, *a.info)
	}
	return left
}

// An alarm is a time limit by the scheduler's clock.
type alarm struct {
	closed bool // the engine is: it rings at once, and so would the next one
	rung   chan struct{}
	x      timer.Expiry
}

func newAlarm(e *timer.Engine, d time.Duration) *alarm {
	a := &alarm{rung: make(chan struct{})}
	at := e.Elapsed() + d
	if at < 0 {
		at = math.MaxInt64
	}
	var err error
	if a.x, err = e.Expire(at, a); err != nil {
		a.closed = true
		close(a.rung)
	}
	return a
}

// Expire implements timer.Expirer.
func (a *alarm) Expire(error) { close(a.rung) }

func (a *alarm) stop() { a.x.Stop() }

// close ends the scheduler.
func (c *core) close(ctx context.Context, stop bool) error {
	c.mu.Lock()
	c.closed = true
	r := c.running
	c.mu.Unlock()
	c.news.tell()
	var err error
	for r != nil {
		r.drain()
		if stop {
			r.stopAll(ErrClosing)
		}
		next := c.news.next()
		c.mu.Lock()
		gone := c.running != r
		c.mu.Unlock()
		if gone {
			break
		}
		select {
		case <-next:
			continue
		case <-ctx.Done():
		}
		left := r.list()
		if !stop {
			return &UnfinishedError{Running: left}
		}
		r.giveUp.Do(func() { close(r.given) })
		r.hangUp()
		if len(left) > 0 {
			err = &UnfinishedError{Running: left}
		}
		break
	}
	if _, cerr := c.eng.Close(ctx); err == nil {
		err = cerr
	}
	if c.ownsStore {
		err = errors.Join(err, c.store.Close())
	}
	return err
}

// failed notes that the store has failed. It returns an error if that is for good.
func (r *run) failed(err error, doing string) error {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return r.failedLocked(err, doing)
}

func (r *run) failedLocked(err error, doing string) error {
	if errors.Is(err, store.ErrClosed) {
		return err
	}
	if r.failing == "" {
		r.c.log.Error("the store fails, nothing new starts", "doing", doing, "error", err)
	}
	r.failing = doing
	r.backoff = min(max(2*r.backoff, 10*time.Millisecond), 2*time.Second)
	r.notUntil = r.c.eng.Elapsed() + r.backoff
	r.c.stats.storeErrors.Add(1)
	return nil
}

func (r *run) worked(doing string) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	r.workedLocked(doing)
}

// workedLocked notes that the store works again, if it does what it failed to do: one that can be read may still take no writes.
func (r *run) workedLocked(doing string) {
	if r.failing == "" || r.failing != doing && r.c.eng.Elapsed() < r.notUntil+time.Minute {
		return
	}
	r.c.log.Info("the store works again")
	r.failing, r.backoff = "", 0
}
