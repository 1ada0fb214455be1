package sim_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
)

// A process is a scheduler at work, and what it can do until it dies.
type process struct {
	w     *world
	owner string
	s     *duly.Scheduler
	kinds map[string]*duly.Kind[[]byte]
	rare  bool // handles the rare kind
	idle  bool // only puts
	dead  chan struct{}
	ran   chan struct{} // closed when Run has returned
	err   error         // of Run
	stop  context.CancelFunc

	closing atomic.Bool

	mu      sync.Mutex // guards what follows
	paused  chan struct{}
	running map[string]int    // handlers, by "key k", "kind k" and ""
	begun   map[string]uint64 // by kind
	done    uint64            // settlements that were answered so
	unclear bool              // it is not known what the process has heard

	looked   []store.Instant // what the wall clock showed at the last look of its loop
	lookedAt int64           // boot time, when the last call after that was answered
	sentAt   int64           // boot time, when its last claims were sent
}

// gone says that nothing of the process's can be relied on any more: it is dead, or was closed.
func (p *process) gone() bool { return p.isDead() || p.closing.Load() }

func (p *process) isDead() bool {
	select {
	case <-p.dead:
		return true
	default:
		return false
	}
}

// hold waits while the process is paused.
func (p *process) hold() {
	for {
		p.mu.Lock()
		ch := p.paused
		p.mu.Unlock()
		if ch == nil {
			return
		}
		<-ch
	}
}

func (p *process) isPaused() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.paused != nil
}

func (p *process) pause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.paused == nil {
		p.paused = make(chan struct{})
	}
}

func (p *process) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.paused != nil {
		close(p.paused)
		p.paused = nil
	}
}

// Read implements clock.Clock.
func (p *process) Read() clock.Reading { return p.w.clk.Now() }

// NewAlarm implements clock.Clock: a paused process is not woken.
func (p *process) NewAlarm(wake func()) clock.Alarm {
	return p.w.clk.NewAlarm(func() {
		p.hold()
		wake()
	})
}

// start makes a process and has it work.
func (w *world) start() *process {
	p := w.prepare(false)
	ctx, stop := context.WithCancel(w.ctx)
	p.stop = stop
	w.log("%s begins, rare %t", p.owner, p.rare)
	go func() {
		defer close(p.ran)
		p.err = p.s.Run(ctx)
		w.log("%s: Run has returned %v", p.owner, p.err)
	}()
	return p
}

// prepare makes a process.
func (w *world) prepare(idle bool) *process {
	p := &process{
		w: w, idle: idle, owner: fmt.Sprintf("p%d", len(w.procs)+1), kinds: map[string]*duly.Kind[[]byte]{}, dead: make(chan struct{}), ran: make(chan struct{}),
		running: map[string]int{}, begun: map[string]uint64{},
	}
	d := newDice(w.seed, "process", p.owner)
	p.rare = w.healthy() || d.one(2)
	h := &handle{p: p, w: w, next: w.front}
	s, err := duly.New(duly.Options{
		Store: h, Clock: p, Lease: w.lease, Workers: w.workers, DrainTimeout: w.drain, Owner: p.owner,
		Retention: duly.Retention{History: -1, Dead: -1}, Logger: slog.New(&logged{p}),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	p.s = s
	for kind, opts := range map[string][]duly.KindOption{"plain": nil, "limited": {duly.Limit(kindLimit)}, "rated": {duly.Rate(2, 3)}} {
		p.kinds[kind] = duly.Handle(s, kind, p.handle, opts...)
	}
	if p.rare {
		p.kinds["rare"] = duly.Handle(s, "rare", p.handle)
	} else {
		p.kinds["rare"] = duly.Declare[[]byte](s, "rare")
	}
	w.mu.Lock()
	w.procs = append(w.procs, p)
	w.mu.Unlock()
	return p
}

func (w *world) processOf(owner string) *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.procs {
		if p.owner == owner {
			return p
		}
	}
	return nil
}

// settled notes what the process has heard of its settlements.
func (p *process) settled(rows []store.Settlement, res []store.SettleResult, err error) {
	r := p.w.rec
	r.mu.Lock()
	for i := range res {
		if res[i].Err == nil && rows[i].Verb != store.VerbRelease {
			r.nameOf(rows[i].Key).remembers(p, res[i].At)
		}
	}
	r.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if errors.Is(err, store.ErrUnknown) {
		p.unclear = true
	}
	for i := range res {
		if res[i].Err == nil && res[i].State == store.Done {
			p.done++
		}
	}
}

// logged puts what a scheduler logs into the world's log.
type logged struct{ p *process }

func (l *logged) Enabled(context.Context, slog.Level) bool { return true }
func (l *logged) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logged) WithGroup(string) slog.Handler            { return l }

func (l *logged) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&b, " %s=%s", a.Key, firstLine(a.Value.String()))
		return true
	})
	l.p.w.log("%s says: %s%s", l.p.owner, r.Message, b.String())
	return nil
}

// handle is the handler of all kinds.
func (p *process) handle(ctx context.Context, at *duly.Attempt[[]byte]) error {
	w := p.w
	p.hold()
	a := p.enter(ctx, at)
	outcome := "failed" // a panic's and a Goexit's
	defer func() { p.leave(a, at, outcome) }()
	err := p.act(ctx, at)
	cause := context.Cause(ctx)
	if errors.Is(cause, duly.ErrLeaseLost) && !p.gone() && !p.isPaused() && w.troubleUntil() < a.claimed {
		w.bad("%v fence %d has lost its lease, and nothing was amiss", a.id, a.fence)
	}
	if limit := time.Duration(w.now() - a.begunAt); a.wish.timeout > 0 && limit > a.wish.timeout+time.Millisecond && ctx.Err() == nil && !p.gone() && w.troubleUntil() < a.claimed {
		w.bad("%v fence %d has run for %v, and was to be stopped after %v", a.id, a.fence, limit, a.wish.timeout)
	}
	cause = nil
	if err != nil && ctx.Err() != nil {
		cause = context.Cause(ctx)
	}
	switch {
	case err == nil:
		outcome = "done"
	case errors.Is(err, errSnooze):
		outcome = "snoozed"
	case a.wish.once: // whatever it has stopped for: it is not to begin again
	case errors.Is(err, duly.ErrClosing), errors.Is(cause, duly.ErrClosing) && errors.Is(err, context.Canceled):
		outcome = "snoozed"
	}
	w.log("%s: the handler of %v fence %d ends: %v %v", p.owner, a.id, a.fence, err, cause)
	return err
}

// enter notes that a handler was called.
func (p *process) enter(ctx context.Context, at *duly.Attempt[[]byte]) *attempt {
	r := p.w.rec
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.attempts[at.Fence]
	if a == nil {
		p.w.bad("%s fence %d begins and was not claimed", at.Name, at.Fence)
		a = &attempt{p: p, wish: &wish{}}
	}
	p.w.log("%s: the handler of %v fence %d begins, attempt %d", p.owner, a.id, a.fence, at.Number)
	a.ctx = ctx
	r.begin(p, a, at.AttemptInfo)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begun[at.Kind]++
	if p.isDead() {
		return a
	}
	wish := p.w.wishBy(string(at.Payload))
	for _, x := range []struct {
		of   string
		most int
	}{{"", p.w.workers}, {"key " + wish.key, limits[wish.key]}, {"kind " + at.Kind, map[string]int{"limited": kindLimit}[at.Kind]}} {
		p.running[x.of]++
		if n := p.running[x.of]; x.most > 0 && n > x.most {
			p.w.bad("%s: %d of %q run, at most %d may", p.owner, n, x.of, x.most)
		}
	}
	return a
}

// leave notes that a handler has ended.
func (p *process) leave(a *attempt, at *duly.Attempt[[]byte], outcome string) {
	r := p.w.rec
	r.mu.Lock()
	a.ended, a.endedAt, a.outcome = true, p.w.now(), outcome
	r.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, of := range []string{"", "key " + p.w.wishBy(string(at.Payload)).key, "kind " + at.Kind} {
		p.running[of]--
	}
}

var (
	errFailed = errors.New("failed as drawn")
	errSnooze = errors.New("a snooze")
)

// noteOf notes something of an attempt.
func (p *process) noteOf(at *duly.Attempt[[]byte], what func(a *attempt)) {
	r := p.w.rec
	r.mu.Lock()
	defer r.mu.Unlock()
	if a := r.attempts[at.Fence]; a != nil {
		what(a)
	}
}

// act is what a handler does.
func (p *process) act(ctx context.Context, at *duly.Attempt[[]byte]) error {
	w := p.w
	if w.healthy() || p.isDead() {
		return nil
	}
	d := newDice(w.seed, "handler", at.Name, at.ScheduledFor.UnixNano(), int64(at.Number))
	if w.calm || d.one(2) {
		w.sleep(d.span(0, pick(d, 0, 100*time.Millisecond, 3*time.Second)), ctx.Done(), p.dead, w.healed)
		p.hold()
		return nil
	}
	long := d.span(0, pick(d, 2*time.Second, 2*w.lease))
	switch d.IntN(12) {
	case 0, 1:
		w.hit("error")
		w.sleep(long/4, ctx.Done(), p.dead, w.healed)
		in := d.fine(0, 5*time.Second)
		p.noteOf(at, func(a *attempt) { a.waits = in })
		return duly.RetryAfter(in, errFailed)
	case 2:
		w.hit("error")
		return errFailed
	case 3:
		w.hit("permanent")
		p.noteOf(at, func(a *attempt) { a.permanent = true })
		return duly.Permanent(errFailed)
	case 4:
		w.hit("panic")
		panic("as drawn")
	case 5:
		w.hit("goexit")
		runtime.Goexit()
	case 6:
		w.hit("snooze")
		in := d.fine(0, 10*time.Second)
		p.noteOf(at, func(a *attempt) { a.waits = in })
		return errors.Join(duly.Snooze(in), errSnooze)
	case 7:
		w.hit("hanging handler")
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.dead:
		case <-w.healed:
		}
	case 8:
		w.hit("deaf handler")
		w.sleep(long, p.dead, w.healed)
		p.hold()
		return pick(d, nil, errFailed)
	case 9:
		w.sleep(long/3, ctx.Done(), p.dead, w.healed)
		if err := at.Heartbeat(ctx); err != nil {
			return err
		}
	case 10: // a handler that has its own name put again
		w.putAs(p, d, at.Name)
	default:
		w.sleep(long, ctx.Done(), p.dead, w.healed)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}
