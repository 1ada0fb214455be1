package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
)

// A recorder takes a case's verdict in the place of the test that runs it.
type recorder struct {
	testing.TB
	ctx context.Context //nolint:containedctx // as in testing.TB

	mu              sync.Mutex
	failed, skipped bool
	said            []string
	cleanups        []func()
}

func (r *recorder) say(s string, failed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, s)
	r.failed = r.failed || failed
}

func (r *recorder) Helper()                  {}
func (r *recorder) Context() context.Context { return r.ctx }
func (r *recorder) Logf(f string, a ...any)  { r.say(fmt.Sprintf(f, a...), false) }
func (r *recorder) Log(a ...any)             { r.say(fmt.Sprint(a...), false) }
func (r *recorder) Error(a ...any)           { r.say(fmt.Sprint(a...), true) }
func (r *recorder) Errorf(f string, a ...any) {
	r.say(fmt.Sprintf(f, a...), true)
}
func (r *recorder) Fatal(a ...any)            { r.Error(a...); runtime.Goexit() }
func (r *recorder) Fatalf(f string, a ...any) { r.Errorf(f, a...); runtime.Goexit() }
func (r *recorder) Fail()                     { r.say("Fail", true) }
func (r *recorder) FailNow()                  { r.Fatal("FailNow") }
func (r *recorder) Skip(a ...any)             { r.Log(a...); r.skipped = true; runtime.Goexit() }
func (r *recorder) Skipf(f string, a ...any)  { r.Skip(fmt.Sprintf(f, a...)) }
func (r *recorder) Cleanup(f func())          { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Failed() bool              { r.mu.Lock(); defer r.mu.Unlock(); return r.failed }

// verdict runs a case and returns what it says of the store; "" is nothing bad.
func verdict(t *testing.T, o *Options, c *Case) string {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	r := &recorder{TB: t, ctx: ctx}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				r.Errorf("panic: %v", p)
			}
		}()
		runCase(r, o, c)
	}()
	<-done
	end()
	for _, f := range slices.Backward(r.cleanups) {
		f()
	}
	if !r.failed {
		return ""
	}
	return strings.Join(r.said, "\n")
}

// A plant is a fault, and the cases that must find it.
type plant struct {
	name string
	want []string
	home func(h *journalHome)
}

// wrapped plants a fault in every store that is opened.
func wrapped(wrap func(j *journal) store.Store) func(h *journalHome) {
	return func(h *journalHome) { h.wrap = wrap }
}

// opened plants a fault in what a store knows when it is opened.
func opened(spoil func(j *journal)) func(h *journalHome) {
	return wrapped(func(j *journal) store.Store { spoil(j); return j })
}

// TestRun_FindsPlantedFaults: a suite that finds nothing proves nothing.
func TestRun_FindsPlantedFaults(t *testing.T) {
	was := patience
	patience = 300
	t.Cleanup(func() { patience = was })
	cases := map[string]*Case{}
	for _, c := range Cases() {
		if cases[c.Name] != nil {
			t.Errorf("two cases are named %s", c.Name)
		}
		if c.Rule == "" || c.Why == "" {
			t.Errorf("%s does not say which rule it is, or why", c.Name)
		}
		cases[c.Name] = &c
	}
	for _, p := range plants(t) {
		t.Run(p.name, func(t *testing.T) {
			o := Options{New: func(_ testing.TB, clk clock.Clock) Home {
				h := &journalHome{clk: clk, file: &memFile{}}
				p.home(h)
				return h
			}}
			for _, name := range p.want {
				c := cases[name]
				if c == nil {
					t.Fatalf("there is no case %s", name)
				}
				said := verdict(t, &o, c)
				switch {
				case said == "":
					t.Errorf("%s does not find it", name)
				case !strings.Contains(said, c.Rule) || !strings.Contains(said, c.Why):
					t.Errorf("%s does not say which rule it is and why:\n%s", name, said)
				}
			}
		})
	}
}

// changed is a Put as a store with a fault makes it. Likewise claimed, cancelled, settled and edited.
type (
	putFunc    func(*store.Put, *store.Task, *store.Moment) (store.Change, store.PutResult)
	cancelFunc func(*store.Cancel, *store.Task, *store.Moment) (store.Change, store.CancelResult)
	claimFunc  func(*store.Claim, *store.Task, *store.Moment) (store.Change, store.ClaimResult)
	settleFunc func(*store.Settlement, *store.Task, *store.Moment) (store.Change, store.SettleResult)
	editFunc   func(*store.Edit, *store.Task, *store.Moment) (store.Change, store.EditResult)
)

// A spoiled journal makes its changes in its own way where it has one.
type spoiled struct {
	*journal
	put    putFunc
	cancel cancelFunc
	claim  claimFunc
	settle settleFunc
	edit   editFunc
}

func (s *spoiled) Put(ctx context.Context, rows []store.Put) ([]store.PutResult, error) {
	if s.put == nil {
		return s.journal.Put(ctx, rows)
	}
	return write(ctx, s.journal, "put", rows, func(p *store.Put) store.Key { return p.Key }, s.put)
}

func (s *spoiled) Cancel(ctx context.Context, rows []store.Cancel) ([]store.CancelResult, error) {
	if s.cancel == nil {
		return s.journal.Cancel(ctx, rows)
	}
	return write(ctx, s.journal, "cancel", rows, func(x *store.Cancel) store.Key { return x.Key }, s.cancel)
}

func (s *spoiled) Claim(ctx context.Context, rows []store.Claim) ([]store.ClaimResult, error) {
	if s.claim == nil {
		return s.journal.Claim(ctx, rows)
	}
	return write(ctx, s.journal, "claim", rows, func(x *store.Claim) store.Key { return x.Key }, s.claim)
}

func (s *spoiled) Settle(ctx context.Context, rows []store.Settlement) ([]store.SettleResult, error) {
	if s.settle == nil {
		return s.journal.Settle(ctx, rows)
	}
	return write(ctx, s.journal, "settle", rows, func(x *store.Settlement) store.Key { return x.Key }, s.settle)
}

func (s *spoiled) Edit(ctx context.Context, rows []store.Edit) ([]store.EditResult, error) {
	if s.edit == nil {
		return s.journal.Edit(ctx, rows)
	}
	return write(ctx, s.journal, "edit", rows, func(x *store.Edit) store.Key { return x.Key }, s.edit)
}

// puts, cancels, claims, settles and edits plant a fault in one kind of write.
func puts(f func(j *journal) putFunc) func(h *journalHome) {
	return wrapped(func(j *journal) store.Store { return &spoiled{journal: j, put: f(j)} })
}

func cancels(f cancelFunc) func(h *journalHome) {
	return wrapped(func(j *journal) store.Store { return &spoiled{journal: j, cancel: f} })
}

func claims(f claimFunc) func(h *journalHome) {
	return wrapped(func(j *journal) store.Store { return &spoiled{journal: j, claim: f} })
}

func settles(f settleFunc) func(h *journalHome) {
	return wrapped(func(j *journal) store.Store { return &spoiled{journal: j, settle: f} })
}

func edits(f editFunc) func(h *journalHome) {
	return wrapped(func(j *journal) store.Store { return &spoiled{journal: j, edit: f} })
}

// shifted is a moment by a clock that is wrong.
func shifted(m *store.Moment, d time.Duration) *store.Moment {
	n := *m
	n.Now = n.Now.Add(d)
	return &n
}

// altered is a task with something else in it.
func altered(t *store.Task, with func(t *store.Task)) *store.Task {
	if t == nil {
		return nil
	}
	n := *t
	n.Runs = slices.Clone(t.Runs)
	with(&n)
	return &n
}

// plants returns all faults.
func plants(t *testing.T) []plant {
	t.Helper()
	return slices.Concat(writePlants(), cancelPlants(), claimPlants(), settlePlants(), durablePlants(t), readPlants())
}

func writePlants() []plant {
	return []plant{
		{"a put is lost", []string{"PutIsKept"}, puts(func(*journal) putFunc {
			return func(p *store.Put, t *store.Task, m *store.Moment) (store.Change, store.PutResult) {
				_, r := p.Apply(t, m)
				return store.Change{}, r
			}
		})},
		{"an identical put resets", []string{"IdenticalPutIsNoOp", "IdenticalOneOff", "PutAgainstPut"}, puts(func(*journal) putFunc {
			return func(p *store.Put, t *store.Task, m *store.Moment) (store.Change, store.PutResult) {
				if c, r := p.Apply(t, m); r.Outcome != store.Unchanged {
					return c, r
				}
				return p.Apply(nil, m)
			}
		})},
		{"a delay is resolved by the caller", []string{"DelayIsResolvedByTheStore"}, puts(func(j *journal) putFunc {
			opened := j.now().Now
			return func(p *store.Put, t *store.Task, m *store.Moment) (store.Change, store.PutResult) {
				q := *p
				q.When = store.On(p.When.Resolve(opened))
				return q.Apply(t, m)
			}
		})},
		{"the dead block their name", []string{"EndedNamesAreFree", "DeadNeverBlocks"}, puts(func(j *journal) putFunc {
			return func(p *store.Put, t *store.Task, m *store.Moment) (store.Change, store.PutResult) {
				for id := range j.dead {
					if id.Key == p.Key {
						return store.Change{}, store.PutResult{Err: store.ErrExists}
					}
				}
				return p.Apply(t, m)
			}
		})},
		{"the caller's payload is kept without a copy", []string{"CallerMayReuseItsSlices"}, puts(func(*journal) putFunc {
			return func(p *store.Put, t *store.Task, m *store.Moment) (store.Change, store.PutResult) {
				c, r := p.Apply(t, m)
				if c.Task != nil {
					c.Task.Payload = p.Payload
				}
				return c, r
			}
		})},
		{"a one-off that ran runs again", []string{"OneOffRunsOnce"}, puts(func(*journal) putFunc {
			return func(p *store.Put, t *store.Task, m *store.Moment) (store.Change, store.PutResult) {
				n := *m
				n.Past = nil
				return p.Apply(t, &n)
			}
		})},
		{"a replacement forgets the attempt that runs", []string{"ReplaceWhileItRuns", "PutAgainstClaim"}, puts(func(*journal) putFunc {
			return func(p *store.Put, t *store.Task, m *store.Moment) (store.Change, store.PutResult) {
				return p.Apply(altered(t, func(t *store.Task) { t.Runs = nil }), m)
			}
		})},
		{"one bad row fails the call", []string{"RowsAreAnsweredInPlace", "NamesAreChecked"}, wrapped(func(j *journal) store.Store { return &strict{journal: j} })},
		{"rows take effect from the last to the first", []string{"PutsInOneBatch"}, wrapped(func(j *journal) store.Store { return &reversed{journal: j} })},
		{"tasks are changed in place", []string{"TakenAnswersStayTrue"}, edits(func(x *store.Edit, t *store.Task, m *store.Moment) (store.Change, store.EditResult) {
			c, r := x.Apply(t, m)
			if t != nil && c.Task != nil {
				*t = *c.Task
			}
			return c, r
		})},
		{"nobody looks at IfGeneration", []string{"IfGeneration", "CompareAndSwap"}, puts(func(*journal) putFunc {
			return func(p *store.Put, t *store.Task, m *store.Moment) (store.Change, store.PutResult) {
				q := *p
				q.IfGeneration = 0
				return q.Apply(t, m)
			}
		})},
	}
}

func cancelPlants() []plant {
	return []plant{
		{"a cancel is lost", []string{"CancelledNeverBegins", "CancelAgainstClaim"}, cancels(func(x *store.Cancel, t *store.Task, m *store.Moment) (store.Change, store.CancelResult) {
			_, r := x.Apply(t, m)
			return store.Change{}, r
		})},
		{"every name is one that has ended", []string{"CancelOfNothing"}, cancels(func(x *store.Cancel, t *store.Task, m *store.Moment) (store.Change, store.CancelResult) {
			c, r := x.Apply(t, m)
			if r.Outcome == store.CancelUnknown && r.Err == nil {
				r.Outcome = store.CancelFinished
			}
			return c, r
		})},
		{"a cancel ends the attempt that runs", []string{"CancelWhileItRuns", "CancelledRunKeepsItsName"}, cancels(func(x *store.Cancel, t *store.Task, m *store.Moment) (store.Change, store.CancelResult) {
			c, r := x.Apply(t, m)
			c.Task = nil
			return c, r
		})},
		{"a retry comes after a cancel", []string{"CancelMeansNoRetry", "ReplacedAttemptIsNotRetried"}, settles(func(x *store.Settlement, t *store.Task, m *store.Moment) (store.Change, store.SettleResult) {
			return x.Apply(altered(t, func(t *store.Task) {
				for i := range t.Runs {
					t.Runs[i].Final = false
				}
			}), m)
		})},
		{"cancel looks first and writes later", []string{"CancelAgainstClaim"}, wrapped(func(j *journal) store.Store { return &hasty{journal: j} })},
	}
}

func claimPlants() []plant {
	return []plant{
		{"claims are early", []string{"NeverEarly", "NeverEarlyByLessThanAMicrosecond", "FoldingIsNotEarly"}, claims(func(x *store.Claim, t *store.Task, m *store.Moment) (store.Change, store.ClaimResult) {
			return x.Apply(t, shifted(m, time.Second))
		})},
		{"claims are a microsecond early", []string{"NeverEarlyByLessThanAMicrosecond"}, claims(func(x *store.Claim, t *store.Task, m *store.Moment) (store.Change, store.ClaimResult) {
			return x.Apply(t, shifted(m, time.Microsecond))
		})},
		{"a claim is given twice", []string{"ClaimIsOnce", "ClaimAgainstClaim", "CancelAgainstClaim"}, claims(func(x *store.Claim, t *store.Task, m *store.Moment) (store.Change, store.ClaimResult) {
			c, r := x.Apply(t, m)
			if t != nil && t.Running() == 1 && errors.Is(r.Err, store.ErrChanged) {
				return store.Change{}, store.ClaimResult{Task: t, RunID: t.Runs[0].ID(t.Key), Fence: t.Runs[0].Fence, At: m.Now}
			}
			return c, r
		})},
		{"what runs may overlap", []string{"NoOverlap", "ReplaceWhileItRuns"}, claims(func(x *store.Claim, t *store.Task, m *store.Moment) (store.Change, store.ClaimResult) {
			y := *x
			y.Overlap = true
			return y.Apply(t, m)
		})},
		{"nobody looks at the pause", []string{"PauseStopsClaims"}, claims(func(x *store.Claim, t *store.Task, m *store.Moment) (store.Change, store.ClaimResult) {
			return x.Apply(altered(t, func(t *store.Task) { t.PausedAt = 0 }), m)
		})},
		{"nobody looks at the start deadline", []string{"StartDeadline"}, claims(func(x *store.Claim, t *store.Task, m *store.Moment) (store.Change, store.ClaimResult) {
			y := *x
			y.NotAfter = 0
			return y.Apply(t, m)
		})},
		{"what was folded fires again", []string{"FoldedNeverFires", "FoldingRunsTheLast"}, claims(func(x *store.Claim, t *store.Task, m *store.Moment) (store.Change, store.ClaimResult) {
			c, r := x.Apply(t, m)
			if !x.As.None() && c.Task != nil {
				c.Task.Next = t.Next
			}
			return c, r
		})},
		{"what is next is written by another step", []string{"ClaimRecordsWhatIsNext"}, claims(func(x *store.Claim, t *store.Task, m *store.Moment) (store.Change, store.ClaimResult) {
			y := *x
			y.Next = store.Occurrence{}
			return y.Apply(t, m)
		})},
		{"a fence is the attempt's number", []string{"FencesRise", "ReplaceWhileItRuns"}, claims(func(x *store.Claim, t *store.Task, m *store.Moment) (store.Change, store.ClaimResult) {
			c, r := x.Apply(t, m)
			if r.Err == nil {
				run := c.Task.Run(r.RunID.Generation, r.RunID.For)
				run.Fence = int64(run.Attempt)
				r.Fence = run.Fence
			}
			return c, r
		})},
		{"leases end by the wall clock", []string{"LeasesIgnoreTheWallClock"}, wrapped(func(j *journal) store.Store {
			return &spoiled{
				journal: j,
				claim: func(x *store.Claim, t *store.Task, m *store.Moment) (store.Change, store.ClaimResult) {
					n := *m
					n.Mono = n.Now
					return x.Apply(t, &n)
				},
				edit: func(x *store.Edit, t *store.Task, m *store.Moment) (store.Change, store.EditResult) {
					n := *m
					n.Mono = n.Now
					return x.Apply(t, &n)
				},
			}
		})},
		{"a lease is taken while it lasts", []string{"RescueWaitsForTheLease"}, edits(func(x *store.Edit, t *store.Task, m *store.Moment) (store.Change, store.EditResult) {
			n := *m
			n.Mono = store.Never
			return x.Apply(t, &n)
		})},
	}
}
