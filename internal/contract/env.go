package contract

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/storetest"
)

// env is what a case works with: a store that can go wrong, a scheduler on it that runs, a clock, and a record of all attempts.
type env struct {
	testing.TB
	ctx  context.Context //nolint:containedctx // the test's own, as in testing.TB
	o    *Options
	clk  *clock.Manual
	home storetest.Home
	opts duly.Options // of the schedulers to come

	raw   store.Store       // what is kept
	store *storetest.Faulty // what the scheduler sees of it
	d     *duly.Scheduler
	works chan error                                // Run's, nil while it does not
	kinds map[string]*duly.Kind[[]byte]             // of the present scheduler
	tells map[string]func(d *duly.Scheduler) handle // how to make them again for the next one
	log   *logged

	ended       bool
	rec         record
	deaths      []duly.Death                                  // under rec.mu
	noHistory   bool                                          // the case forgets history
	grids       map[store.Key]map[store.Instant]schedule.Rule // what was put that recurs, by when it was accepted
	strange     map[store.Key]bool                            // names whose grid is not to be walked
	overlapping map[string]bool                               // names that may overlap themselves
}

type handle = *duly.Kind[[]byte]

// kind is what tasks are of unless the case says otherwise.
const kind = "mail"

func newEnv(t *testing.T, o *Options) *env {
	t.Helper()
	e := &env{
		TB: t, ctx: t.Context(), o: o, clk: clock.NewManual(start), log: new(logged), tells: map[string]func(*duly.Scheduler) handle{},
		grids: map[store.Key]map[store.Instant]schedule.Rule{}, strange: map[store.Key]bool{}, overlapping: map[string]bool{},
	}
	e.opts = duly.Options{Owner: "me", Logger: slog.New(slog.NewTextHandler(e.log, nil))}
	e.rec.e, e.rec.named = e, map[string][]*seen{}
	e.home = o.New(t, e.clk)
	e.open()
	return e
}

// open opens the store.
func (e *env) open() {
	e.Helper()
	s, err := e.home.Open()
	if err != nil {
		e.Fatalf("Home.Open: %v", err)
	}
	e.raw = s
	e.boot()
}

// boot makes a scheduler that does not run yet, on the store that is open.
func (e *env) boot() {
	e.Helper()
	e.store = storetest.NewFaulty(e.raw)
	e.d = e.another(e.store, e.opts)
	e.kinds = map[string]*duly.Kind[[]byte]{}
	for name, tell := range e.tells {
		e.kinds[name] = tell(e.d)
	}
}

// with makes the scheduler anew, with other options.
func (e *env) with(change func(o *duly.Options)) {
	e.Helper()
	e.rest()
	change(&e.opts)
	e.boot()
}

// another makes a scheduler whose attempts are recorded, as of another process.
func (e *env) another(s store.Store, o duly.Options) *duly.Scheduler {
	e.Helper()
	o.Store = s
	if o.Clock == nil {
		o.Clock = e.clk
	}
	o.Middleware = append(slices.Clone(o.Middleware), e.rec.middleware)
	d, err := duly.New(o)
	if err != nil {
		e.Fatalf("New: %v", err)
	}
	return d
}

// handle says how a kind is run, by the present scheduler and those after it.
func (e *env) handle(name string, h func(ctx context.Context, a *duly.Attempt[[]byte]) error, opts ...duly.KindOption) *duly.Kind[[]byte] {
	e.tells[name] = func(d *duly.Scheduler) handle { return duly.Handle(d, name, h, opts...) }
	e.kinds[name] = e.tells[name](e.d)
	return e.kinds[name]
}

// next says how the usual kind is run by the schedulers to come.
func (e *env) next(h func(ctx context.Context, a *duly.Attempt[[]byte]) error) {
	e.tells[kind] = func(d *duly.Scheduler) handle { return duly.Handle(d, kind, h) }
}

// mail handles the kind that tasks are of.
func (e *env) mail(h func(ctx context.Context, a *duly.Attempt[[]byte]) error, opts ...duly.KindOption) {
	e.handle(kind, h, opts...)
}

// work lets the scheduler run, after it has handled mail with what succeeds at once if the case has said nothing.
func (e *env) work() {
	e.Helper()
	if e.kinds[kind] == nil {
		e.mail(func(context.Context, *duly.Attempt[[]byte]) error { return nil })
	}
	e.works = make(chan error, 1)
	go func(d *duly.Scheduler, works chan error) { works <- d.Run(context.WithoutCancel(e.ctx)) }(e.d, e.works)
	synctest.Wait()
}

// rest ends the scheduler, and with it what runs.
func (e *env) rest() {
	e.Helper()
	synctest.Wait()
	if err := e.shut(e.d.Close); err != nil {
		e.Errorf("Close: %v", err)
	}
	if e.works == nil {
		return
	}
	if err := <-e.works; err != nil {
		e.Errorf("Run: %v", err)
	}
	e.works = nil
}

// shut calls Close or Drain, and lets the time pass that handlers need.
func (e *env) shut(how func(context.Context) error) error {
	e.Helper()
	got := make(chan error, 1)
	go func() { got <- how(e.ctx) }()
	for range 10 {
		synctest.Wait()
		select {
		case err := <-got:
			return err
		default:
		}
		e.pass(10 * time.Second)
	}
	synctest.Wait()
	select {
	case err := <-got:
		return err
	default:
	}
	e.Fatalf("it has not returned in %v; what still runs: %v", 100*time.Second, e.rec.running())
	return nil
}

// down ends the scheduler and the store in good order, lets time pass, and has another work on what is kept.
func (e *env) down(d time.Duration) {
	e.Helper()
	e.rest()
	if e.o.Forgets {
		e.home.Kill()
	} else if err := e.raw.Close(); err != nil {
		e.Errorf("Close of the store: %v", err)
	}
	e.pass(d)
	e.open()
	e.work()
}

// die is the death of the process, with all that runs in it, and of what it cannot do any more nothing is seen.
func (e *env) die() {
	e.Helper()
	synctest.Wait()
	e.store.Plant(storetest.Fault{Kind: storetest.Fail, Always: true, Err: store.ErrClosed})
	e.rec.die()
	e.home.Kill()
	if err := e.shut(e.d.Close); err != nil {
		e.Errorf("Close of what is dead: %v", err)
	}
	if e.works != nil {
		e.Logf("Run of what is dead: %v", <-e.works) // mostly that the store is closed
		e.works = nil
	}
}

// kill lets the process die and another one work at once.
func (e *env) kill() {
	e.Helper()
	e.die()
	e.open()
	e.work()
}

// giveUp ends what runs, if the case was left before its end.
func (e *env) giveUp() {
	if e.ended {
		return
	}
	e.store.Heal()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = e.d.Close(ctx) // it has failed already
	e.pass(100 * time.Hour)
}

// end is the end of a case.
func (e *env) end() {
	e.Helper()
	defer func() { e.ended = true }()
	e.store.Heal()
	if e.works != nil {
		e.pass(0)
		e.progress()
	}
	e.rest()
	storetest.Invariants(e, e.raw)
	e.invariants()
	if err := e.raw.Close(); err != nil {
		e.Errorf("Close of the store: %v", err)
	}
}

// pass lets time pass: all that is to be done on the way is done at its instant.
func (e *env) pass(d time.Duration) {
	e.Helper()
	for left := d; ; {
		synctest.Wait()
		m := e.clk.Advance(left)
		synctest.Wait()
		if left = m.Left; left == 0 && m.Woken == 0 {
			return
		}
	}
}

// until lets time pass until an instant, as long after the start.
func (e *env) until(at time.Duration) { e.Helper(); e.pass(at - e.since()) }

// step sets the wall clock by d.
func (e *env) step(d time.Duration) {
	e.Helper()
	synctest.Wait()
	e.clk.Step(d)
	synctest.Wait()
	e.pass(0)
}

// since is how long after the start it is, by the wall clock.
func (e *env) since() time.Duration { return time.Duration(e.clk.Now().Wall - start.UnixNano()) }

// at is the instant so long after the start.
func at(d time.Duration) time.Time { return start.Add(d) }

// once is a schedule of that instant.
func once(d time.Duration) schedule.Schedule { return schedule.At(at(d)) }

// sleep passes time within a handler.
func (e *env) sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	rang := make(chan struct{}, 1)
	a := e.clk.NewAlarm(func() {
		select {
		case rang <- struct{}{}:
		default:
		}
	})
	defer a.Close()
	a.Set(e.clk.Now().Boot+int64(d), clock.Never)
	select {
	case <-rang:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// takes is a handler that takes so long each time, the last one for all that come after.
func (e *env) takes(ds ...time.Duration) func(ctx context.Context, a *duly.Attempt[[]byte]) error {
	var mu sync.Mutex
	n := 0
	return func(ctx context.Context, _ *duly.Attempt[[]byte]) error {
		mu.Lock()
		d := ds[min(n, len(ds)-1)]
		n++
		mu.Unlock()
		return e.sleep(ctx, d)
	}
}

var errOops = errors.New("oops")

// many is n, or as many as do on a store whose calls take longer, or under the race detector, with which everything does.
func (e *env) many(n int) int {
	switch {
	case e.o.Shared:
		return n / 10
	case UnderRace:
		return n / 5
	}
	return n
}

// fails is a handler that fails the first n times.
func fails(n int) func(ctx context.Context, a *duly.Attempt[[]byte]) error {
	var mu sync.Mutex
	return func(context.Context, *duly.Attempt[[]byte]) error {
		mu.Lock()
		defer mu.Unlock()
		if n--; n >= 0 {
			return errOops
		}
		return nil
	}
}

// try puts a task of the usual kind.
func (e *env) try(name string, s schedule.Schedule, opts ...duly.PutOption) (duly.Entry, error) {
	e.Helper()
	return e.tryWith(e.of(kind), name, "", s, opts...)
}

// of returns a kind, declared if nobody handles it.
func (e *env) of(name string) *duly.Kind[[]byte] {
	if k := e.kinds[name]; k != nil {
		return k
	}
	return duly.Declare[[]byte](e.d, name)
}

func (e *env) tryWith(k *duly.Kind[[]byte], name, payload string, s schedule.Schedule, opts ...duly.PutOption) (duly.Entry, error) {
	e.Helper()
	entry, err := k.Put(e.ctx, name, []byte(payload), s, opts...)
	if err == nil {
		e.noteGrid(store.Key{Namespace: entry.Namespace, Name: name}, s)
	}
	synctest.Wait()
	return entry, err
}

// put puts a task of the usual kind, which must be taken.
func (e *env) put(name string, s schedule.Schedule, opts ...duly.PutOption) duly.Entry {
	e.Helper()
	return e.putWith(name, "", s, opts...)
}

func (e *env) putWith(name, payload string, s schedule.Schedule, opts ...duly.PutOption) duly.Entry {
	e.Helper()
	entry, err := e.tryWith(e.of(kind), name, payload, s, opts...)
	if err != nil {
		e.Fatalf("Put %q: %v", name, err)
	}
	return entry
}

// cancel cancels, and notes what will not begin any more.
func (e *env) cancel(name string) duly.Outcome {
	e.Helper()
	return e.cancelBy(name, e.d.Cancel)
}

func (e *env) cancelBy(name string, by func(context.Context, string) (duly.Outcome, error)) duly.Outcome {
	e.Helper()
	t := e.find(name)
	out, err := by(e.ctx, name)
	if err != nil {
		e.Fatalf("Cancel %q: %v", name, err)
	}
	if out == duly.Cancelled && t != nil {
		e.rec.cancelled(name, t.Generation)
	}
	synctest.Wait()
	return out
}

// find returns what the store has of a name, nil if nothing.
func (e *env) find(name string) *store.Task {
	e.Helper()
	ts, err := e.raw.Get(e.ctx, []store.Key{{Name: name}})
	if err != nil {
		e.Fatalf("Get %q from the store: %v", name, err)
	}
	return ts[0]
}

// get returns a task that must be there.
func (e *env) get(name string) *duly.Task {
	e.Helper()
	t, err := e.d.Get(e.ctx, name)
	if err != nil {
		e.Fatalf("Get %q: %v", name, err)
	}
	return t
}

// gone fails the test if a name has a task.
func (e *env) gone(name string, want error) {
	e.Helper()
	_, err := e.d.Get(e.ctx, name)
	e.wantErr("Get "+name, err, want)
}

// moves returns what the history says of a name, in short: "running>done settle".
func (e *env) moves(name string) []string {
	e.Helper()
	evs, err := e.d.History(e.ctx, duly.HistoryQuery{Name: name, Limit: 1000})
	if err != nil {
		e.Fatalf("History of %q: %v", name, err)
	}
	var all []string
	for i := range evs {
		v := &evs[i]
		all = append(all, v.From.String()+">"+v.To.String()+" "+v.Verb)
	}
	return all
}

// wantMoves compares a name's history with what it should say.
func (e *env) wantMoves(name string, want ...string) {
	e.Helper()
	if diff := cmp.Diff(want, e.moves(name)); diff != "" {
		e.Errorf("history of %q (-want +got):\n%s", name, diff)
	}
}

// wantRan compares the attempts at a name with what they should be, each as [record.ran] shows it.
func (e *env) wantRan(name string, want ...string) {
	e.Helper()
	synctest.Wait()
	if diff := cmp.Diff(want, e.rec.ran(name)); diff != "" {
		e.Errorf("attempts at %q (-want +got):\n%s", name, diff)
	}
}

func (e *env) wantErr(what string, err, want error) {
	e.Helper()
	if !errors.Is(err, want) {
		e.Errorf("%s: error %v, want %v", what, err, want)
	}
}

// wantInvalid holds an error to naming the field, its value and what would be right.
func (e *env) wantInvalid(what string, err error, field string) {
	e.Helper()
	e.wantErr(what, err, duly.ErrInvalid)
	var de *duly.Error
	var se *schedule.Error
	switch {
	case errors.As(err, &de) && de.Field != "":
		if de.Field != field || de.Want == "" {
			e.Errorf("%s: error %v names %q, want %q and what would be right", what, err, de.Field, field)
		}
	case errors.As(err, &se):
		if se.Field != field || se.Want == "" {
			e.Errorf("%s: error %v names %q, want %q and what would be right", what, err, se.Field, field)
		}
	default:
		e.Errorf("%s: error %v names no field, want %q", what, err, field)
	}
}

// wantSame compares texts, in any order.
func wantSame(e *env, what string, got, want []string) {
	e.Helper()
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if diff := cmp.Diff(want, got); diff != "" {
		e.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// is fails the test where got is not what it should be.
func is[T comparable](e *env, what string, got, want T) {
	e.Helper()
	if got != want {
		e.Errorf("%s: %v, want %v", what, got, want)
	}
}

// wantWhy compares the reason for which a task does not run.
func (e *env) wantWhy(name string, want duly.WhyCode) duly.Why {
	e.Helper()
	w, err := e.d.WhyNot(e.ctx, name)
	if err != nil {
		e.Fatalf("WhyNot %q: %v", name, err)
	}
	if w.Code != want || w.Text == "" {
		e.Errorf("WhyNot %q: %s (%q), want %s and a sentence", name, w.Code, w.Text, want)
	}
	return w
}

// stats returns what was counted of the usual kind.
func (e *env) stats() duly.KindStats {
	e.Helper()
	s, err := e.d.Stats(e.ctx)
	if err != nil {
		e.Fatalf("Stats: %v", err)
	}
	return s.Kinds[kind]
}

// logged is what was logged.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) has(s string) bool { return l.count(s) > 0 }

func (l *logged) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), s)
}
