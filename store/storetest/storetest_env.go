package storetest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
)

// env is what a case works with: a store, its clock, and calls that fail the test where the whole call fails.
type env struct {
	testing.TB
	ctx  context.Context //nolint:containedctx // the test's own, as in testing.TB
	o    *Options
	clk  *clock.Manual
	home Home
	s    store.Store // nil when the case has closed it for good
}

// lease is what claims ask for unless the case says otherwise.
const lease = 30 * time.Second

// kind is what tasks are of unless the case says otherwise.
const kind = "mail"

func (e *env) open() {
	e.Helper()
	s, err := e.home.Open()
	if err != nil {
		e.Fatalf("Home.Open: %v", err)
	}
	e.s = s
}

// reopen closes the store and opens it again. One that forgets is killed instead.
func (e *env) reopen() {
	e.Helper()
	if e.o.Forgets {
		e.kill()
		return
	}
	if err := e.s.Close(); err != nil {
		e.Fatalf("Close: %v", err)
	}
	e.open()
}

// kill lets the process die, and opens the store anew.
func (e *env) kill() {
	e.Helper()
	e.home.Kill()
	e.open()
}

// each reopens, then kills, and runs check before the first, between and after.
func (e *env) each(check func(when string)) {
	e.Helper()
	check("as it is")
	e.reopen()
	check("after it was closed and opened")
	e.kill()
	check("after its process died")
}

// clock returns the store's time.
func (e *env) clock() store.Clock {
	e.Helper()
	c, err := e.s.Clock(e.ctx)
	if err != nil {
		e.Fatalf("Clock: %v", err)
	}
	return c
}

// clkInstant returns what the clock that is moved by hand shows: for other goroutines than the test's own.
func (e *env) clkInstant() store.Instant { return store.Instant(e.clk.Now().Wall / 1e3) }

func (e *env) now() store.Instant { e.Helper(); return e.clock().Now }

// later returns the instant d from now.
func (e *env) later(d time.Duration) store.Instant { e.Helper(); return e.now().Add(d) }

// advance lets time pass.
func (e *env) advance(d time.Duration) {
	e.Helper()
	if err := e.clk.Run(e.ctx, d); err != nil {
		e.Fatalf("advance the clock: %v", err)
	}
}

// until lets time pass until the store's clock has reached an instant.
func (e *env) until(at store.Instant) {
	e.Helper()
	if d := at.Sub(e.now()); d > 0 {
		e.advance(d + e.o.Coarse)
	}
}

// step sets the wall clock.
func (e *env) step(d time.Duration) {
	e.Helper()
	move := e.clk.Step(d)
	if err := move.Wait(e.ctx); err != nil {
		e.Fatalf("step the clock: %v", err)
	}
}

// key returns the key of a name that may hold its namespace: "ns/name".
func key(name string) store.Key {
	if ns, n, ok := strings.Cut(name, "/"); ok {
		return store.Key{Namespace: ns, Name: n}
	}
	return store.Key{Name: name}
}

// at is the When of an instant that is due without jitter.
func at(i store.Instant) store.When { return store.On(store.Occurrence{For: i}) }

// occ is an occurrence without jitter.
func occ(i store.Instant) store.Occurrence { return store.Occurrence{For: i, Due: i} }

// once declares a one-off.
func once(name string, when store.When) store.Put {
	return store.Put{Key: key(name), When: when, Spec: store.Spec{Kind: kind, Schedule: "at " + name, Payload: []byte("p")}}
}

// every declares a recurring task.
func every(name string, when store.When) store.Put {
	p := once(name, when)
	p.Schedule, p.Recurring = "every "+name, true
	return p
}

// next is the claim of a task's next occurrence, with then after it if it is not 0.
func next(t *store.Task, then store.Instant) store.Claim {
	c := store.Claim{RunID: store.RunID{Key: t.Key, Generation: t.Generation, For: t.Next.For}, Lease: lease, Owner: "me"}
	if then != 0 {
		c.Next = occ(then)
	}
	return c
}

// retry is the claim of the next attempt at a run.
func retry(t *store.Task, r *store.Run) store.Claim {
	return store.Claim{RunID: r.ID(t.Key), Lease: lease, Owner: "me"}
}

// ended is the settlement of an attempt for good.
func ended(c store.ClaimResult, as store.State) store.Settlement {
	return store.Settlement{RunID: c.RunID, Fence: c.Fence, Verb: store.VerbSettle, State: as}
}

// again is the settlement of an attempt that is to be followed by another.
func again(c store.ClaimResult, verb store.Verb, when store.When) store.Settlement {
	return store.Settlement{RunID: c.RunID, Fence: c.Fence, Verb: verb, When: when}
}

func (e *env) puts(puts ...store.Put) []store.PutResult {
	e.Helper()
	res, err := e.s.Put(e.ctx, puts)
	answered(e, "Put", len(puts), len(res), err)
	return res
}

// put puts one that must be taken.
func (e *env) put(p store.Put) *store.Task {
	e.Helper()
	r := e.puts(p)[0]
	if r.Err != nil || r.Task == nil {
		e.Fatalf("Put %s: outcome %v, task %v, error %v; want it taken", p.Key, r.Outcome, r.Task, r.Err)
	}
	return r.Task
}

func (e *env) cancel(x store.Cancel) store.CancelResult {
	e.Helper()
	res, err := e.s.Cancel(e.ctx, []store.Cancel{x})
	answered(e, "Cancel", 1, len(res), err)
	return res[0]
}

func (e *env) edit(x store.Edit) store.EditResult {
	e.Helper()
	res, err := e.s.Edit(e.ctx, []store.Edit{x})
	answered(e, "Edit", 1, len(res), err)
	return res[0]
}

// edited edits, which must be taken.
func (e *env) edited(x store.Edit) *store.Task {
	e.Helper()
	r := e.edit(x)
	if r.Err != nil {
		e.Fatalf("Edit %v %s: %v; want it taken", x.Verb, x.Key, r.Err)
	}
	return r.Task
}

func (e *env) tryClaim(x store.Claim) store.ClaimResult {
	e.Helper()
	res, err := e.s.Claim(e.ctx, []store.Claim{x})
	answered(e, "Claim", 1, len(res), err)
	return res[0]
}

// claim claims, which must succeed.
func (e *env) claim(x store.Claim) store.ClaimResult {
	e.Helper()
	r := e.tryClaim(x)
	if r.Err != nil || r.Task == nil {
		e.Fatalf("Claim %s at %v: task %v, error %v; want it claimed", x.RunID, e.now(), r.Task, r.Err)
	}
	return r
}

func (e *env) renew(x store.Renewal) store.RenewResult {
	e.Helper()
	res, err := e.s.Renew(e.ctx, []store.Renewal{x})
	answered(e, "Renew", 1, len(res), err)
	return res[0]
}

func (e *env) trySettle(x store.Settlement) store.SettleResult {
	e.Helper()
	res, err := e.s.Settle(e.ctx, []store.Settlement{x})
	answered(e, "Settle", 1, len(res), err)
	return res[0]
}

// settle settles, which must succeed and leave the run in a state.
func (e *env) settle(x store.Settlement, want store.State) store.SettleResult {
	e.Helper()
	r := e.trySettle(x)
	if r.Err != nil || r.State != want {
		e.Fatalf("Settle %s with %v: state %v, error %v; want %v", x.RunID, x.Verb, r.State, r.Err, want)
	}
	return r
}

// answered fails the test unless a call was answered row by row.
func answered(e *env, op string, rows, got int, err error) {
	e.Helper()
	if err != nil || got != rows {
		e.Fatalf("%s of %d rows: %d answers, error %v; want one for each row", op, rows, got, err)
	}
}

// get returns a task, nil if there is none.
func (e *env) get(name string) *store.Task {
	e.Helper()
	ts, err := e.s.Get(e.ctx, []store.Key{key(name)})
	answered(e, "Get", 1, len(ts), err)
	return ts[0]
}

// must returns a task that must be there.
func (e *env) must(name string) *store.Task {
	e.Helper()
	t := e.get(name)
	if t == nil {
		e.Fatalf("Get %q: no task; want one", name)
	}
	return t
}

// due returns what stands up to and with an instant, by position.
func (e *env) due(until store.Instant) []*store.Task {
	e.Helper()
	return allDue(e, e.s, until)
}

// history returns the entries of a name, oldest first.
func (e *env) history(name string) []store.Event {
	e.Helper()
	return allHistory(e, e.s, store.HistoryQuery{Key: key(name)})
}

// moves returns what the history says of a name, in short: "pending>cancelled cancel".
func (e *env) moves(name string) []string {
	e.Helper()
	var all []string
	for _, v := range e.history(name) {
		all = append(all, v.From.String()+">"+v.To.String()+" "+v.Verb.String())
	}
	return all
}

// wantMoves compares a name's history with what it should say.
func (e *env) wantMoves(name string, want ...string) {
	e.Helper()
	if got := e.moves(name); !equal(got, want) {
		e.Errorf("history of %q: %q, want %q", name, got, want)
	}
}

// wantErr holds an error to the sentinel that it must wrap, and to naming field if that is not "".
func (e *env) wantErr(what string, err, want error, field string) {
	e.Helper()
	if !errors.Is(err, want) {
		e.Errorf("%s: error %v, want %v", what, err, want)
		return
	}
	if field == "" {
		return
	}
	var se *store.Error
	switch {
	case !errors.As(err, &se):
		e.Errorf("%s: error %v, want a *store.Error that names %s", what, err, field)
	case se.Field != field || se.Value == "" || se.Want == "":
		e.Errorf("%s: error %v: field %q, value %q, want %q; want the field %q with its value and what would be right", what, err, se.Field, se.Value, se.Want, field)
	}
}

// is fails the test where got is not what it should be.
func is[T comparable](e *env, what string, got, want T) {
	e.Helper()
	if got != want {
		e.Errorf("%s: %v, want %v", what, got, want)
	}
}

func equal[T comparable](a, b []T) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// names returns the names of tasks, in their order.
func names(ts []*store.Task) []string {
	all := make([]string, len(ts))
	for i, t := range ts {
		all[i] = t.String()
	}
	return all
}

// wantNames compares the order of tasks.
func (e *env) wantNames(what string, got []*store.Task, want ...string) {
	e.Helper()
	if n := names(got); !equal(n, want) {
		e.Errorf("%s: %q, want %q", what, n, want)
	}
}
