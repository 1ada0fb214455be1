package storetest

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
)

// modelBudget is for how long Model looks by default.
const modelBudget = 2 * time.Second

// Model does random things to a store and compares every answer, and every task, with what a plain map says: batches over a few names
// that are prefixes of each other, under every policy and condition, while time passes, the wall clock is stepped and the process
// dies. What it finds is made small and printed with its seed.
//
// It looks for about two seconds, or for as long as the flags of rapid say, such as -rapid.checks, if one of them is given.
func Model(t *testing.T, o Options) {
	t.Helper()
	if reason := o.Skip["Model"]; reason != "" {
		t.Skip("left out: " + reason)
	}
	checkModel(t, t, &o, modelBudget)
}

// checkModel is Model, whose outcome is told to found; t is for what the homes need.
func checkModel(t testing.TB, found rapid.TB, o *Options, budget time.Duration) {
	t.Helper()
	given := false
	flag.VisitAll(func(f *flag.Flag) {
		given = given || strings.HasPrefix(f.Name, "rapid.") && f.Value.String() != f.DefValue
	})
	begun := time.Now() // the real time: how long to look is no part of what is looked at
	failed := false
	for more := true; more && !failed; more = !given && time.Since(begun) < budget {
		rapid.Check(quietTB{found}, func(rt *rapid.T) {
			if !given && !failed && time.Since(begun) > budget {
				return // but when something was found it has to be made small
			}
			done := false
			defer func() { failed = failed || !done }()
			modelRun(t, rt, o)
			done = true
		})
	}
}

// quietTB says nothing as long as all is well.
type quietTB struct{ rapid.TB }

func (t quietTB) Logf(f string, args ...any) {
	if t.Failed() {
		t.Helper()
		t.TB.Logf(f, args...)
	}
}

// rapidTB is a testing.TB whose failures are the property's.
type rapidTB struct {
	testing.TB
	rt      *rapid.T
	cleanup []func()
}

func (t *rapidTB) Helper()                      {}
func (t *rapidTB) Errorf(f string, args ...any) { t.rt.Fatalf(f, args...) }
func (t *rapidTB) Fatalf(f string, args ...any) { t.rt.Fatalf(f, args...) }
func (t *rapidTB) Error(args ...any)            { t.rt.Fatal(args...) }
func (t *rapidTB) Fatal(args ...any)            { t.rt.Fatal(args...) }
func (t *rapidTB) Fail()                        { t.rt.FailNow() }
func (t *rapidTB) FailNow()                     { t.rt.FailNow() }
func (t *rapidTB) Failed() bool                 { return t.rt.Failed() }
func (t *rapidTB) Log(args ...any)              { t.rt.Log(args...) }
func (t *rapidTB) Logf(f string, args ...any)   { t.rt.Logf(f, args...) }
func (t *rapidTB) Cleanup(f func())             { t.cleanup = append(t.cleanup, f) }

// TempDir is gone after one run of the property: the test's own would keep the files of all.
func (t *rapidTB) TempDir() string {
	dir, err := os.MkdirTemp("", "model")
	if err != nil {
		t.rt.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (t *rapidTB) end() {
	for _, f := range slices.Backward(t.cleanup) {
		f()
	}
}

// modelRun is one run of the property.
func modelRun(t testing.TB, rt *rapid.T, o *Options) {
	t.Helper()
	tb := &rapidTB{TB: t, rt: rt}
	defer tb.end()
	clk := clock.NewManual(start)
	e := &env{TB: tb, ctx: t.Context(), o: o, clk: clk, home: o.New(tb, clk)}
	e.open()
	defer func() { _ = e.s.Close() }()
	m := &modelWalk{env: e, rt: rt, plain: newPlain()}
	rt.Repeat(map[string]func(*rapid.T){
		"":        func(rt *rapid.T) { m.rt = rt; m.compare() },
		"put":     m.step(m.puts),
		"put 2":   m.step(m.puts),
		"cancel":  m.step(m.cancels),
		"claim":   m.step(m.claims),
		"claim 2": m.step(m.claims),
		"claim 3": m.step(m.claims),
		"settle":  m.step(m.settles),
		"settle2": m.step(m.settles),
		"renew":   m.step(m.renews),
		"edit":    m.step(m.edits),
		"edit 2":  m.step(m.edits),
		"time":    m.step(m.times),
		"restart": m.step(m.restarts),
		"trim":    m.step(m.trims),
	})
	Invariants(tb, e.s)
}

// modelKeys are few, so that they meet, and such that a store that mixes them up is noticed.
var modelKeys = []store.Key{
	{Name: "a"}, {Name: "ab"}, {Namespace: "a", Name: "b"}, {Namespace: "a", Name: "bé c"}, {Namespace: "ab", Name: "b"},
}

// A modelWalk does random things to the store and to the plain map.
type modelWalk struct {
	*env
	rt     *rapid.T
	plain  *plain
	leases []scriptLease // all that were ever taken
	put    []store.Put   // all that were ever put
	back   bool          // the clock was set back, so that a history kept from an instant may have gaps
	ids    []store.RunID // all occurrences that were ever seen
}

func (m *modelWalk) step(do func()) func(*rapid.T) {
	return func(rt *rapid.T) {
		m.rt = rt
		for range rapid.IntRange(1, 3).Draw(rt, "times") {
			c := m.clock()
			m.plain.now, m.plain.mono = c.Now, store.Instant(m.clk.Now().Boot/1000)
			m.plain.high = max(m.plain.high, c.Now)
			do()
		}
	}
}

// compare holds all tasks of the store to the plain map's.
func (m *modelWalk) compare() {
	ts, err := m.s.Get(m.ctx, modelKeys)
	if err != nil || len(ts) != len(modelKeys) {
		m.Fatalf("Get: %d answers, error %v", len(ts), err)
	}
	dead := allListed(m.env, m.s, store.Query{AllNamespaces: true, State: store.Dead})
	if want := m.plain.deadIDs(); len(dead) != len(want) {
		m.Fatalf("there are %d dead runs, want %d: %v", len(dead), len(want), want)
	}
	for i, k := range modelKeys {
		want := m.plain.tasks[k].task(k)
		if got := sorted(ts[i]); show(got) != show(want) || got != nil && !got.Equal(&want.Spec) {
			m.Fatalf("%s:\nis   %s\nwant %s", k, show(got), show(want))
		}
		m.see(ts[i])
	}
	m.compareDue()
}

// compareDue holds what is due, and what comes next, to the plain map.
func (m *modelWalk) compareDue() {
	now := m.now()
	page, err := m.s.Due(m.ctx, store.DueQuery{Until: now})
	if err != nil || page.More {
		m.Fatalf("Due: more %t, error %v", page.More, err)
	}
	want, next := m.plain.due(now)
	got := make([]store.Key, len(page.Tasks))
	for i, t := range page.Tasks {
		got[i] = t.Key
	}
	if !slices.Equal(got, want) || page.Next != next {
		m.Fatalf("due at %v: %v, then %v; want %v, then %v", now, got, page.Next, want, next)
	}
}

// see keeps the ids of what can be claimed, to be tried now and when it is too late.
func (m *modelWalk) see(t *store.Task) {
	if t == nil {
		return
	}
	ids := make([]store.RunID, 0, 4)
	if !t.Next.None() {
		ids = append(ids, store.RunID{Key: t.Key, Generation: t.Generation, For: t.Next.For})
	}
	for i := range t.Runs {
		ids = append(ids, t.Runs[i].ID(t.Key))
	}
	for _, id := range ids {
		m.ids = slices.DeleteFunc(m.ids, func(o store.RunID) bool { return o == id })
	}
	m.ids = append(m.ids, ids...) // the newest are last
}

// sorted returns the task with its runs in an order of their own: stores may keep them in any.
func sorted(t *store.Task) *store.Task {
	if t == nil {
		return nil
	}
	c := *t
	c.Runs = slices.Clone(t.Runs)
	slices.SortFunc(c.Runs, func(a, b store.Run) int { return a.ID(t.Key).Compare(b.ID(t.Key)) })
	for i := range c.Runs {
		c.Runs[i].Reason = ""
	}
	c.PausedWhy = ""
	return &c
}

// judge fails where the plain map does not agree with an answer.
func (m *modelWalk) judge(row any, err error) {
	if err != nil {
		m.Fatalf("%#v at %v: %v", row, m.plain.now, err)
	}
}

// The draws.

func draw[T any](m *modelWalk, label string, of ...T) T {
	return rapid.SampledFrom(of).Draw(m.rt, label)
}

// seldom is true once in n times.
func (m *modelWalk) seldom(label string, n int) bool {
	return rapid.IntRange(1, n).Draw(m.rt, label) == n
}

func (m *modelWalk) key() store.Key { return draw(m, "key", modelKeys...) }

// some draws the rows of a batch, at least one.
func some[T any](m *modelWalk, one func() T) []T {
	rows := []T{one()}
	for m.seldom("more", 3) && len(rows) < 4 {
		rows = append(rows, one())
	}
	return rows
}

// when draws an instant from the past to an hour from now, as a delay or as it is.
func (m *modelWalk) when() store.When {
	d := draw(m, "in", 0, time.Second, time.Minute, time.Hour)
	jitter := draw(m, "jitter", 0, 0, time.Second)
	if draw(m, "relative", true, false) {
		return store.In(d, jitter)
	}
	at := m.grid(d)
	return store.On(store.Occurrence{For: at, Due: at.Add(jitter)})
}

// grid returns an instant near now + d that is drawn again later.
func (m *modelWalk) grid(d time.Duration) store.Instant {
	at := m.plain.now.Add(d)
	return at - at%store.Instant(time.Minute/time.Microsecond) + 1
}

// id draws an occurrence that was seen, mostly one of the newest.
func (m *modelWalk) id() store.RunID {
	if len(m.ids) == 0 || m.seldom("unknown", 30) {
		return store.RunID{Key: m.key(), Generation: 1, For: m.plain.now}
	}
	return m.ids[max(0, len(m.ids)-1-rapid.IntRange(0, 12).Draw(m.rt, "id"))]
}

// lease draws one that was taken, mostly of the newest.
func (m *modelWalk) lease() scriptLease {
	if len(m.leases) == 0 {
		return scriptLease{m.id(), 1}
	}
	l := m.leases[max(0, len(m.leases)-1-rapid.IntRange(0, 5).Draw(m.rt, "lease"))]
	if m.seldom("stale", 8) {
		l.fence--
	}
	return l
}

// wrong says what is wrong with a row's answer.
func wrong(format string, args ...any) error { return fmt.Errorf(format, args...) }
