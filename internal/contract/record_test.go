package contract

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
	"github.com/dulyhq/duly/store/storetest"
)

// told is a test that notes its failures instead of failing.
type told struct {
	*testing.T
	all []string
}

func (t *told) Errorf(format string, args ...any) {
	t.all = append(t.all, fmt.Sprintf(format, args...))
}
func (t *told) Error(args ...any) { t.all = append(t.all, fmt.Sprint(args...)) }
func (t *told) Helper()           {}

// place is a home in memory.
type place struct{ s *memory.Store }

func (p place) Open() (store.Store, error) { return p.s, nil }
func (p place) Kill()                      { p.s.Restart() }

// TestInvariants_SeeWhatIsWrong plants a breach of each invariant into the record of a case that had none.
func TestInvariants_SeeWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		name  string
		plant func(e *env)
		want  string // "" is that all is well
	}{
		{"none", func(*env) {}, ""},
		{"early", func(e *env) { e.rec.all[0].Started = e.rec.all[0].Due.Add(-1) }, "invariant 2"},
		{"due before its nominal instant", func(e *env) { e.rec.all[0].Due = e.rec.all[0].ScheduledFor.Add(-1) }, "invariant 2"},
		{"two leases", func(e *env) { e.rec.all[0].over = e.rec.all[1].began + 1 }, "invariant 3"},
		{"a lease that never ends", func(e *env) { e.rec.all[0].over = 0 }, "invariant 3"},
		{"the same fence", func(e *env) { e.rec.all[1].Fence = e.rec.all[0].Fence }, "invariant 4"},
		{"a lesser fence", func(e *env) { e.rec.all[0].Fence, e.rec.all[1].Fence = e.rec.all[1].Fence, e.rec.all[0].Fence }, "invariant 4"},
		{"after the cancel", func(e *env) { e.rec.cancel = append(e.rec.cancel, cancelled{"a", 1 << 60, 0}) }, "invariant 5"},
		{"an attempt that nobody wrote", func(e *env) { e.rec.all[2].Fence += 1000 }, "ended 0 times"},
		{"an occurrence that is unknown", func(e *env) {
			for accepted := range e.grids[store.Key{Name: "a"}] {
				r := schedule.Every(5*time.Second).Bind("a", accepted.Time())
				e.grids[store.Key{Name: "a"}][accepted] = r
			}
		}, "invariant 6"},
		{"an occurrence that is not on the grid", func(e *env) {
			for accepted := range e.grids[store.Key{Name: "a"}] {
				r := schedule.Every(20*time.Second).Bind("a", accepted.Time())
				e.grids[store.Key{Name: "a"}][accepted] = r
			}
		}, "invariant 6"},
		{"what could start and does not", func(e *env) {
			e.store.Plant(storetest.Fault{Kind: storetest.Hang, Method: "Claim", Always: true})
			e.put("stuck", schedule.After(0))
			e.progress()
		}, "invariant 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEnv(t, &Options{Forgets: true, New: func(_ testing.TB, clk clock.Clock) storetest.Home {
					return place{memory.New(memory.Options{Clock: clk})}
				}})
				defer e.giveUp()
				e.put("a", schedule.Every(10*time.Second))
				e.work()
				e.pass(25 * time.Second)
				e.down(30 * time.Second)
				e.pass(10 * time.Second)
				notes := &told{T: t}
				e.TB = notes
				c.plant(e)
				e.invariants()
				e.TB = t
				got := strings.Join(notes.all, "\n")
				if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
					t.Errorf("the invariants say %q, want %q in it", got, c.want)
				}
			})
		})
	}
}

// TestRan_ShowsWhatCounts: what wantRan compares must tell attempts apart.
func TestRan_ShowsWhatCounts(t *testing.T) {
	r := &record{named: map[string][]*seen{}}
	for _, s := range []*seen{
		{AttemptInfo: duly.AttemptInfo{Name: "a", Number: 1, ScheduledFor: at(time.Second)}, at: 2 * time.Second},
		{AttemptInfo: duly.AttemptInfo{Name: "a", Number: 2, ScheduledFor: at(time.Second), Missed: 3, Extra: true}, at: 5 * time.Second, err: errors.New("x")},
	} {
		r.all = append(r.all, s)
		r.named["a"] = append(r.named["a"], s)
	}
	if got, want := strings.Join(r.ran("a"), ", "), "2s for 1s, 5s for 1s #2 missed 3 extra"; got != want {
		t.Errorf("ran: %q, want %q", got, want)
	}
}
