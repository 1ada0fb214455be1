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
	behind   map[*gate]struct{}     // those that have to be read again
	refetch  map[store.Key]struct{} // tasks of which it is not known what they are
	fetching map[store.Key]struct{} // of these, those that are being read and were not written since
	inUse    int
	attempts map[attemptID]*attempt
	draining bool
	over     bool            // the loop has ended: nothing starts any more
	ended    chan struct{}   // closed when the loop has ended and no attempt is left
	calls    context.Context //nolint:containedctx // of the loop's calls to the store: one that hangs does not keep Run from ending
	hangUp   context.CancelFunc
	limit    timer.Timer   // to how long a call may take once draining
	lookAt   store.Instant // the earliest at which something unresolved is to be dead
	lookFrom store.Instant // where the first unresolved one stands
	monoOff  store.Instant // Clock.Mono when eng.Elapsed was 0

	hinted   store.Instant // the earliest instant of hints that were not looked into; Never is none
	reading  bool          // the window was pulled back to look into a hint, and has not caught up
	cost     time.Duration // what that has taken so far
	resting  time.Duration // until then, by eng.Elapsed, no hint is looked into: what they cost is bounded
	failing  bool
	backoff  time.Duration
	notUntil time.Duration // by eng.Elapsed: the store fails
	armed    [2]timer.Expiry
	armedAt  store.Instant // what the first is set to

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
		given: make(chan struct{}), refetch: map[store.Key]struct{}{}, attempts: map[attemptID]*attempt{}, ended: make(chan struct{}), lookAt: store.Never, hinted: store.Never, armedAt: store.Never,
	}
	r.calls, r.hangUp = context.WithCancel(context.WithoutCancel(ctx))
	r.window.init()
	r.settler.init(r)
	r.renewer.init(r)
	return r
}

// Run works until ctx ends or the scheduler is drained or closed: it starts what is due, renews leases, writes outcomes, rescues what a
// crash left behind. Then it starts nothing more and lets what runs finish, for Options.DrainTimeout if ctx has ended, after which it
// asks the attempts to stop and waits for a tenth of that. It returns nil when nothing runs any more; an *[UnfinishedError] if something
// does all the same; ErrActive if the scheduler runs already, ErrClosed if it is closed; and the store's error if that was closed.
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
	defer end()
	defer r.hangUp()
	go r.settler.work(life)
	go r.renewer.work(life)
	stop := context.AfterFunc(ctx, func() { r.drain() })
	keeper := c.keep(life)
	err := r.loop(r.calls)
	stop()
	r.drain()
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
	r.hooks.Wait()
	r.disarm()
	c.mu.Lock()
	c.running = nil
	c.mu.Unlock()
	c.news.tell()
	return err
}

func (r *run) listen() (hints <-chan store.Hint, stop func()) {
	if h, ok := r.c.store.(store.Hinter); ok {
		return h.Hints()
	}
	return nil, func() {}
}

// drain lets nothing start any more.
func (r *run) drain() {
	r.c.mu.Lock()
	if !r.draining {
		r.draining = true
		r.limit = r.c.eng.AfterFunc(r.c.opts.DrainTimeout, r.hangUp)
	}
	r.c.mu.Unlock()
	r.poke()
}

// await waits until nothing runs any more.
func (r *run) await(ctx context.Context) error {
	c := r.c
	limit := c.opts.DrainTimeout
	for _, last := range [2]bool{false, true} {
		t := newAlarm(c.eng, limit)
		select {
		case <-r.ended:
			t.stop()
			return nil
		case <-r.given:
			t.stop()
			last = true
		case <-t.rung:
		}
		if last {
			break
		}
		if ctx.Err() == nil { // Drain and Close have contexts of their own
			select {
			case <-r.ended:
				return nil
			case <-r.given:
			}
			break
		}
		r.stopAll(ErrClosing)
		limit = max(limit/10, time.Second)
	}
	r.stopAll(ErrLeaseLost) // it is not renewed any more
	left := r.list()
	if len(left) == 0 {
		return nil
	}
	return &UnfinishedError{Running: left}
}

// stopAll asks what runs to stop.
func (r *run) stopAll(why error) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
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
	rung chan struct{}
	x    timer.Expiry
}

func newAlarm(e *timer.Engine, d time.Duration) *alarm {
	a := &alarm{rung: make(chan struct{})}
	at := e.Elapsed() + d
	if at < 0 {
		at = math.MaxInt64
	}
	var err error
	if a.x, err = e.Expire(at, a); err != nil {
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
	if _, cerr := c.eng.Close(ctx); err == nil && cerr != nil && !errors.Is(cerr, timer.ErrClosed) {
		err = cerr
	}
	if c.ownsStore {
		err = errors.Join(err, c.store.Close())
	}
	return err
}

// mono is the store's Clock.Mono, as far as it is known here.
func (r *run) mono() store.Instant {
	return r.monoOff + store.Instant(r.c.eng.Elapsed()/time.Microsecond)
}

// look is what the loop does in one round.
type look struct {
	picks   []pick
	keys    []store.Key // to read
	scan    *store.DueQuery
	gate    *gate // that the scan is for; nil: it moves the window's end
	pending bool  // something is left to do at once
}

// A pick is an entry that something is to be written for.
type pick struct {
	e     *entry
	st    step
	gates [3]*gate
	seen  store.Instant
}

// loop looks for work and does it, until nothing is to start any more.
func (r *run) loop(ctx context.Context) error {
	hints, stop := r.listen()
	defer func() { stop() }()
	for err := r.tune(ctx); err != nil; err = r.tune(ctx) {
		if gone := r.failed(err, "read the clock"); gone != nil {
			return gone
		}
		if !r.rest(ctx) {
			return nil
		}
	}
	r.worked()
	for {
		select {
		case h, ok := <-hints:
			if ok {
				r.hint(h)
			}
		default:
		}
		l, done := r.look()
		if done {
			return nil
		}
		if err := r.do(ctx, &l); err != nil {
			return err
		}
		if l.pending {
			continue
		}
		select {
		case <-r.wake:
		case h, ok := <-hints:
			if ok {
				r.hint(h)
				continue
			}
			if err := r.tune(ctx); errors.Is(err, store.ErrClosed) {
				return err
			}
			stop()
			hints, stop = r.listen()
			r.hint(store.Hint{At: store.Over})
		}
	}
}

// tune looks at the store's clocks.
func (r *run) tune(ctx context.Context) error {
	mono, err := r.c.tune(ctx)
	if err != nil {
		return err
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	r.monoOff = mono - store.Instant(r.c.eng.Elapsed()/time.Microsecond)
	return nil
}

// rest waits out the backoff after a failure, and says whether to go on.
func (r *run) rest(ctx context.Context) bool {
	for {
		r.c.mu.Lock()
		until, draining := r.notUntil, r.draining
		r.c.mu.Unlock()
		if draining || ctx.Err() != nil {
			return false
		}
		now := r.c.eng.Elapsed()
		if now >= until {
			return true
		}
		a := newAlarm(r.c.eng, until-now)
		select {
		case <-a.rung:
		case <-r.wake:
		}
		a.stop()
	}
}

// hint notes that something may be due that is not known.
func (r *run) hint(h store.Hint) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	if h.At > r.c.now().Add(ahead) {
		r.window.pull(h.At)
		return
	}
	r.hinted = min(r.hinted, h.At)
}

// look finds out what is to do, and sets the alarms if that is nothing.
func (r *run) look() (l look, done bool) {
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.draining {
		return l, true
	}
	if c.eng.Elapsed() < r.notUntil {
		r.armLocked()
		return l, false
	}
	now := c.now()
	r.wakeDueLocked(now)
	l.picks = r.pickLocked(now)
	for k := range r.refetch {
		l.keys = append(l.keys, k)
		if len(l.keys) == pageMost {
			break
		}
	}
	r.scanLocked(&l, now)
	l.pending = len(l.picks) > 0 || len(l.keys) > 0 || l.scan != nil
	if !l.pending {
		r.armLocked()
	}
	return l, false
}

// wakeDueLocked moves what has come due to where it is looked at.
func (r *run) wakeDueLocked(now store.Instant) {
	w := &r.window
	for e := w.waiting.top(); e != nil && e.wait <= now; e = w.waiting.top() {
		w.waiting.drop(e)
		if e.seen == 0 {
			e.seen = now
		}
		w.ready.put(e)
	}
	mono := r.mono()
	for e := w.leases.top(); e != nil && e.lease <= mono; e = w.leases.top() {
		w.leases.drop(e)
		w.ready.put(e)
	}
	el := r.c.eng.Elapsed()
	for _, k := range r.c.kinds {
		if k.bucket.rate > 0 && k.gate.waiting.len() > 0 && k.gate.free() {
			if ok, _ := k.bucket.has(el); ok {
				r.admitLocked(&k.gate, max(int(k.bucket.tokens), 1))
			}
		}
	}
}

const picksMost = 256

// pickLocked takes what can be written for now.
func (r *run) pickLocked(now store.Instant) []pick {
	var picks []pick
	w := &r.window
	for len(picks) < picksMost {
		e := w.ready.top()
		if e == nil {
			break
		}
		if e.busy || r.c.writing[e.task.Key] != nil {
			r.takeOutLocked(e)
			continue
		}
		st := r.planLocked(e, now)
		if st.kind != stepClaim && st.kind != stepEdit {
			r.placeLocked(e)
			continue
		}
		pk := pick{e: e, st: st, seen: e.seen}
		if st.kind == stepClaim {
			if r.inUse >= r.c.opts.Workers {
				break
			}
			p, _ := r.c.policies.of(e.task.Policy)
			pk.gates = r.gatesOf(e.task, p, st.run != nil && st.run.Lost > 0)
			r.takeOutLocked(e)
			if !r.passLocked(e, pk.gates) {
				r.tidyLocked(e.task.LimitKey)
				continue
			}
			r.inUse++
		}
		r.takeOutLocked(e)
		e.busy = true
		r.c.beginLocked(e.task.Key)
		picks = append(picks, pk)
	}
	return picks
}

// scanLocked says which part of the store is to be read next, if any.
func (r *run) scanLocked(l *look, now store.Instant) {
	w := &r.window
	until := now.Add(ahead)
	for g := range r.behind {
		delete(r.behind, g)
		if g.low.At == 0 || g.waiting.len() > 0 {
			continue
		}
		l.gate = g
		l.scan = &store.DueQuery{After: g.low, Until: until, Limit: pageMost}
		g.low = store.Cursor{}
		return
	}
	if r.lookAt <= now {
		w.pull(r.lookFrom)
		r.lookAt = store.Never
	}
	if r.hinted != store.Never && (r.c.eng.Elapsed() >= r.resting || r.strangeLocked(r.hinted)) {
		w.pull(r.hinted)
		r.hinted, r.reading = store.Never, true
	}
	if w.after.At < now.Add(ahead/2) && w.room() > windowMost/4 {
		l.scan = &store.DueQuery{After: w.after, Until: until, Limit: min(pageMost, w.room())}
		return
	}
	if r.reading {
		r.reading, r.resting, r.cost = false, r.c.eng.Elapsed()+restRatio*r.cost, 0
	}
}

// strangeLocked says that nothing known is due as early as a hint says, so that somebody else wrote it.
func (r *run) strangeLocked(at store.Instant) bool {
	e := r.window.waiting.top()
	return len(r.c.writing) == 0 && r.window.ready.len() == 0 && (e == nil || e.wait > at)
}

// nextLocked is when the loop has to look again, by the store's clock.
func (r *run) nextLocked() store.Instant {
	w := &r.window
	wall := r.lookAt
	if e := w.waiting.top(); e != nil {
		wall = min(wall, e.wait)
	}
	if w.after.At != store.Never && w.room() > windowMost/4 {
		wall = min(wall, w.after.At.Add(-ahead/2)+1)
	}
	return wall
}

// pokeLocked wakes the loop if what was just noted is for it.
func (r *run) pokeLocked() {
	if r.window.ready.len() > 0 || len(r.refetch) > 0 || len(r.behind) > 0 || r.hinted != store.Never || r.nextLocked() < r.armedAt {
		r.poke()
	}
}

// armLocked sets the alarms for what is next.
func (r *run) armLocked() {
	r.disarm()
	wall, boot := store.Never, time.Duration(math.MaxInt64)
	if el := r.c.eng.Elapsed(); el < r.notUntil {
		boot = r.notUntil
	} else {
		wall = r.nextLocked()
		if e := r.window.leases.top(); e != nil && e.lease != store.Never {
			boot = time.Duration(e.lease-r.monoOff) * time.Microsecond
		}
		for _, k := range r.c.kinds {
			if k.bucket.rate > 0 && k.gate.waiting.len() > 0 && k.gate.free() {
				if ok, at := k.bucket.has(el); !ok {
					boot = min(boot, at)
				}
			}
		}
		if r.hinted != store.Never {
			boot = min(boot, r.resting)
		}
	}
	r.armedAt = wall
	if wall != store.Never { // a closed engine: the loop is being ended
		r.armed[0], _ = r.c.eng.ExpireAt((wall - store.Instant(r.c.offset.Load())).Time(), r)
	}
	if boot != math.MaxInt64 {
		r.armed[1], _ = r.c.eng.Expire(boot, r)
	}
}

func (r *run) disarm() {
	for i := range r.armed {
		r.armed[i].Stop()
		r.armed[i] = timer.Expiry{}
	}
}

// do reads and writes what a look has found.
func (r *run) do(ctx context.Context, l *look) error {
	if len(l.picks) > 0 {
		if err := r.write(ctx, l.picks); err != nil {
			return err
		}
	}
	if len(l.keys) > 0 {
		if err := r.fetch(ctx, l.keys); err != nil {
			return err
		}
	}
	if l.scan != nil {
		return r.scan(ctx, l)
	}
	return nil
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
	if !r.failing {
		r.c.log.Error("the store fails, nothing new starts", "doing", doing, "error", err)
	}
	r.failing = true
	r.backoff = min(max(2*r.backoff, 10*time.Millisecond), 2*time.Second)
	r.notUntil = r.c.eng.Elapsed() + r.backoff
	r.c.stats.storeErrors.Add(1)
	return nil
}

func (r *run) worked() {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	r.workedLocked()
}

func (r *run) workedLocked() {
	if r.failing {
		r.c.log.Info("the store works again")
	}
	r.failing, r.backoff = false, 0
}

// fetch reads tasks of which it is not known what they are.
func (r *run) fetch(ctx context.Context, keys []store.Key) error {
	r.c.mu.Lock()
	r.fetching = map[store.Key]struct{}{}
	for _, k := range keys {
		delete(r.refetch, k)
		r.fetching[k] = struct{}{}
	}
	r.c.mu.Unlock()
	ts, err := r.c.store.Get(ctx, keys)
	r.c.mu.Lock()
	for i, k := range keys {
		switch _, still := r.fetching[k]; {
		case err != nil, !still:
			r.refetch[k] = struct{}{}
		case r.c.writing[k] != nil:
			r.c.writing[k].dirty = true
		default:
			r.setLocked(k, ts[i])
		}
	}
	r.fetching = nil
	r.c.mu.Unlock()
	if err != nil {
		return r.failed(err, "read tasks")
	}
	r.worked()
	return nil
}

// restRatio bounds what looking into hints costs: when one was looked into there is a rest of this many times as long as it took.
const restRatio = 50

// scan reads a page of what is due soon.
func (r *run) scan(ctx context.Context, l *look) error {
	c := r.c
	w := &r.window
	c.mu.Lock()
	w.begin()
	c.mu.Unlock()
	begun := c.eng.Elapsed()
	page, err := c.store.Due(ctx, *l.scan)
	c.mu.Lock()
	defer c.mu.Unlock()
	defer w.end()
	if err != nil {
		if l.gate != nil {
			l.gate.low = l.scan.After
			r.behind[l.gate] = struct{}{}
		}
		return r.failedLocked(err, "read what is due")
	}
	r.workedLocked()
	if l.gate == nil {
		r.moveLocked(&page)
	}
	for _, t := range page.Tasks {
		r.seeLocked(t, l.gate)
	}
	if w.pulled.At != 0 && behind(w.after, w.pulled) {
		w.after = w.pulled
	}
	if g := l.gate; g != nil && page.More && (g.low.At == 0 || behind(g.low, page.Cursor)) {
		if g.low = page.Cursor; g.free() && g.waiting.len() == 0 {
			r.behind[g] = struct{}{}
		}
	}
	if r.reading {
		r.cost += c.eng.Elapsed() - begun
	}
	return nil
}

// seeLocked notes a task that a scan has read. One for a gate looks for tasks that have to pass it.
func (r *run) seeLocked(t *store.Task, g *gate) {
	w := &r.window
	_, touched := w.touched[t.Key]
	switch {
	case touched:
	case r.c.writing[t.Key] != nil:
		r.c.writing[t.Key].dirty = true
	case g == nil:
		r.setLocked(t.Key, t)
	case w.entries[t.Key] == nil && r.wantsLocked(t, g):
		e := &entry{task: light(t)}
		w.entries[t.Key] = e
		r.placeLocked(e)
	}
}

// moveLocked moves the window's end to where a page ends.
func (r *run) moveLocked(page *store.DuePage) {
	w := &r.window
	switch {
	case page.More:
		w.after = page.Cursor
	case page.Next == store.Never:
		w.after = store.Cursor{At: store.Never}
	default:
		w.after = store.Cursor{At: page.Next}
	}
}

// wantsLocked says whether a task would have to pass a gate.
func (r *run) wantsLocked(t *store.Task, g *gate) bool {
	if g == &r.suspects {
		for i := range t.Runs {
			if t.Runs[i].Lost > 0 && t.Runs[i].State == store.Pending {
				return true
			}
		}
		return false
	}
	if k := r.c.kinds[t.Kind]; k != nil && &k.gate == g {
		return true
	}
	return t.LimitKey != "" && r.keys[t.LimitKey] == g
}

// unresolved notes where something stands that nobody here handles, and when it is to be looked at.
func (r *run) unresolved(pos, at store.Instant) {
	if r.lookAt == store.Never || pos < r.lookFrom {
		r.lookFrom = pos
	}
	r.lookAt = min(r.lookAt, at)
}

// handledLocked looks again at tasks of a kind that somebody handles from now on.
func (r *run) handledLocked(*kind) {
	if r.lookAt != store.Never {
		r.window.pull(r.lookFrom)
		r.lookAt = store.Never
		r.poke()
	}
}
