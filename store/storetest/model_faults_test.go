package storetest

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
)

// modelFaults are journals with a fault each, which Model must find.
var modelFaults = map[string]func(j *journal) store.Store{
	"claims a second early":                         func(j *journal) store.Store { return &modelFault{journal: j, early: time.Second} },
	"lets a name overlap":                           func(j *journal) store.Store { return &modelFault{journal: j, overlap: true} },
	"takes any fence":                               func(j *journal) store.Store { return &modelFault{journal: j, anyFence: true} },
	"loses every cancel":                            func(j *journal) store.Store { return &modelFault{journal: j, cancelLost: true} },
	"counts generations anew when a name is free":   func(j *journal) store.Store { return &modelFault{journal: j, tombs: true} },
	"joins namespace and name":                      func(j *journal) store.Store { return &modelFault{journal: j, joins: true} },
	"answers rows in one key's order":               func(j *journal) store.Store { return &modelFault{journal: j, reversed: true} },
	"retries what was replaced":                     func(j *journal) store.Store { return &modelFault{journal: j, retries: true} },
	"takes a wall clock for leases":                 func(j *journal) store.Store { return &modelFault{journal: j, wallLease: true} },
	"forgets that it is paused when it is replaced": func(j *journal) store.Store { return &modelFault{journal: j, unpauses: true} },
}

type modelFault struct {
	*journal
	early                                                                               time.Duration
	overlap, anyFence, cancelLost, tombs, joins, reversed, retries, wallLease, unpauses bool
}

func (s *modelFault) Put(ctx context.Context, puts []store.Put) ([]store.PutResult, error) {
	if s.reversed {
		puts = slices.Clone(puts)
		slices.Reverse(puts)
	}
	return write(ctx, s.journal, "put", puts, func(p *store.Put) store.Key { return p.Key }, func(p *store.Put, t *store.Task, m *store.Moment) (store.Change, store.PutResult) {
		n := *m
		if s.tombs && t == nil {
			n.Seq = func() int64 { return 1 }
		}
		c, r := p.Apply(t, &n)
		if s.unpauses && c.Task != nil && t != nil {
			c.Task.PausedAt = 0
		}
		return c, r
	})
}

func (s *modelFault) Get(ctx context.Context, keys []store.Key) ([]*store.Task, error) {
	if !s.joins {
		return s.journal.Get(ctx, keys)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ts := make([]*store.Task, len(keys))
	for i, k := range keys {
		for _, o := range slices.SortedFunc(maps.Keys(s.tasks), store.Key.Compare) {
			if o.Namespace+o.Name == k.Namespace+k.Name {
				ts[i] = s.tasks[o]
			}
		}
	}
	return ts, nil
}

func (s *modelFault) Cancel(ctx context.Context, cancels []store.Cancel) ([]store.CancelResult, error) {
	return write(ctx, s.journal, "cancel", cancels, func(x *store.Cancel) store.Key { return x.Key }, func(x *store.Cancel, t *store.Task, m *store.Moment) (store.Change, store.CancelResult) {
		c, r := x.Apply(t, m)
		if s.cancelLost {
			c = store.Change{}
		}
		return c, r
	})
}

func (s *modelFault) Claim(ctx context.Context, claims []store.Claim) ([]store.ClaimResult, error) {
	return write(ctx, s.journal, "claim", claims, func(x *store.Claim) store.Key { return x.Key }, func(x *store.Claim, t *store.Task, m *store.Moment) (store.Change, store.ClaimResult) {
		n := *m
		n.Now = m.Now.Add(s.early)
		if s.wallLease {
			n.Mono = m.Now
		}
		y := *x // rows are the caller's
		y.Overlap = x.Overlap || s.overlap
		c, r := y.Apply(t, &n)
		if r.Err == nil {
			r.At = m.Now
		}
		return c, r
	})
}

func (s *modelFault) Settle(ctx context.Context, settlements []store.Settlement) ([]store.SettleResult, error) {
	return write(ctx, s.journal, "settle", settlements, func(x *store.Settlement) store.Key { return x.Key }, func(x *store.Settlement, t *store.Task, m *store.Moment) (store.Change, store.SettleResult) {
		y := *x
		if t != nil && t.Run(x.Generation, x.For) != nil {
			r := t.Run(x.Generation, x.For)
			if s.anyFence {
				y.Fence = r.Fence
			}
			if s.retries && r.Final {
				c := *t
				c.Runs = slices.Clone(t.Runs)
				c.Run(x.Generation, x.For).Final = false
				t = &c
			}
		}
		return y.Apply(t, m)
	})
}

func (s *modelFault) Edit(ctx context.Context, edits []store.Edit) ([]store.EditResult, error) {
	return write(ctx, s.journal, "edit", edits, func(x *store.Edit) store.Key { return x.Key }, func(x *store.Edit, t *store.Task, m *store.Moment) (store.Change, store.EditResult) {
		n := *m
		if s.wallLease {
			n.Mono = m.Now
		}
		return x.Apply(t, &n)
	})
}

// TestModel_FindsPlantedFaults: and the journal without one is green, as TestModel_Journal shows.
func TestModel_FindsPlantedFaults(t *testing.T) {
	for _, f := range []struct{ name, value string }{{"rapid.checks", "3000"}, {"rapid.nofailfile", "true"}, {"rapid.shrinktime", "100ms"}} {
		old := flag.Lookup(f.name).Value.String()
		if err := flag.Set(f.name, f.value); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = flag.Set(f.name, old) })
	}
	for name, fault := range modelFaults {
		t.Run(name, func(t *testing.T) {
			o := Options{New: func(_ testing.TB, clk clock.Clock) Home { return &journalHome{clk: clk, file: &memFile{}, wrap: fault} }}
			if found := caughtBy(t, &o); found == "" {
				t.Error("the model has not found it")
			} else {
				t.Log(strings.SplitN(found, "\n", 2)[0])
			}
		})
	}
	t.Run("forgets the last line of a crash", func(t *testing.T) {
		o := Options{New: func(_ testing.TB, clk clock.Clock) Home {
			return &forgetfulHome{journalHome{clk: clk, file: &memFile{}}}
		}}
		if found := caughtBy(t, &o); found == "" {
			t.Error("the model has not found it")
		}
	})
}

// forgetfulHome acknowledges before it is durable: the last line is lost with the process.
type forgetfulHome struct{ journalHome }

func (h *forgetfulHome) Kill() {
	data := bytes.TrimSuffix(h.file.data, []byte("\n"))
	h.file = &memFile{data: data[:bytes.LastIndexByte(data, '\n')+1]}
}

// caughtTB takes a failure for itself.
type caughtTB struct {
	testing.TB
	said strings.Builder
	bad  bool
}

type caughtFail struct{}

func (t *caughtTB) Logf(string, ...any)          {}
func (t *caughtTB) Log(...any)                   {}
func (t *caughtTB) Errorf(f string, args ...any) { t.bad = true; fmt.Fprintf(&t.said, f+"\n", args...) }
func (t *caughtTB) Error(args ...any)            { t.bad = true; fmt.Fprintln(&t.said, args...) }
func (t *caughtTB) Fatalf(f string, args ...any) { t.Errorf(f, args...); t.FailNow() }
func (t *caughtTB) Fatal(args ...any)            { t.Error(args...); t.FailNow() }
func (t *caughtTB) Fail()                        { t.bad = true }
func (t *caughtTB) FailNow()                     { t.bad = true; panic(caughtFail{}) }
func (t *caughtTB) Failed() bool                 { return t.bad }

// caughtBy returns what the model says of a store, "" if it finds nothing.
func caughtBy(t *testing.T, o *Options) string {
	t.Helper()
	c := &caughtTB{TB: t}
	func() {
		defer func() {
			if r := recover(); r != nil && r != any(caughtFail{}) {
				panic(r)
			}
		}()
		checkModel(t, c, o, time.Minute)
	}()
	return c.said.String()
}

// staleStore answers Get with what it answered before, but for the first and every third time.
type staleStore struct {
	*journal
	gets int
	last map[store.Key]*store.Task
}

func (s *staleStore) Get(ctx context.Context, keys []store.Key) ([]*store.Task, error) {
	ts, err := s.journal.Get(ctx, keys)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, k := range keys {
		old, ok := s.last[k]
		s.last[k] = ts[i]
		if s.gets++; len(keys) == 1 && s.gets%3 != 0 && ok {
			ts[i] = old
		}
	}
	return ts, err
}

// racyStore looks at a task and writes it in two steps, so that two claims can win.
type racyStore struct{ *journal }

func (s *racyStore) Claim(ctx context.Context, claims []store.Claim) ([]store.ClaimResult, error) {
	s.mu.Lock()
	old := s.tasks[claims[0].Key]
	s.mu.Unlock()
	for range 3 {
		runtime.Gosched()
	}
	return write(ctx, s.journal, "claim", claims, func(x *store.Claim) store.Key { return x.Key }, func(x *store.Claim, _ *store.Task, m *store.Moment) (store.Change, store.ClaimResult) {
		return x.Apply(old, m)
	})
}

// TestHistories_FindPlantedFaults: stores that are right for one client, and wrong for several.
func TestHistories_FindPlantedFaults(t *testing.T) {
	for name, fault := range map[string]func(j *journal) store.Store{
		"stale reads":      func(j *journal) store.Store { return &staleStore{journal: j, last: map[store.Key]*store.Task{}} },
		"claims that race": func(j *journal) store.Store { return &racyStore{journal: j} },
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{New: func(_ testing.TB, clk clock.Clock) Home { return &journalHome{clk: clk, file: &memFile{}, wrap: fault} }}
			n, err := checkHistories(t, &o, 20*time.Second)
			if err == nil || !strings.Contains(err.Error(), "not linearizable") {
				t.Errorf("after %d histories: error %v, want one that is not linearizable", n, err)
			}
		})
	}
}
