package clusterproof_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/verdict"
	"github.com/dulyhq/duly/schedule"
)

// clocksFarOff has two of three nodes be half a minute off: they stand down, and what is due is run by the third at its time.
func clocksFarOff(t *testing.T, url string) {
	f := newFleet(t, url, orders{Producers: brief(3, 8)})
	f.start("a")
	f.start("b", func(o *orders) { o.Ahead = 30 * time.Second })
	f.start("c", func(o *orders) { o.Ahead = -30 * time.Second })
	f.row.faults = 2
	f.shared(1)
	for _, p := range f.nodes {
		p.tell("produce")
	}
	f.rest(brief(1500*time.Millisecond, 30*time.Second))
	if got := f.shares(); !slices.Equal(got, []int{256, 0, 0}) {
		t.Errorf("the nodes look after %v shards, want 256, and none where the clock is wrong", got)
	}
	for i, r := range f.finish() {
		if r.Op == verdict.Begin && r.Node != "a" {
			t.Fatalf("record %d: a node that stands down begins an attempt: %v", i, r)
		}
	}
}

// clocksNearlyRight has two of three nodes be half a second off, which they take into account.
func clocksNearlyRight(t *testing.T, url string) {
	f := newFleet(t, url, orders{Producers: brief(3, 8)})
	f.start("a")
	f.start("b", func(o *orders) { o.Ahead = 500 * time.Millisecond })
	f.start("c", func(o *orders) { o.Ahead = -500 * time.Millisecond })
	f.row.faults = 2
	f.shared(3)
	for _, p := range f.nodes {
		p.begin()
	}
	f.rest(brief(1500*time.Millisecond, 30*time.Second))
	f.finish()
}

// cancelRunning asks attempts to stop from a process that does not run them.
func cancelRunning(t *testing.T, url string) {
	f := newFleet(t, url, orders{})
	f.startAll("a", "b")
	n := brief(8, 100)
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("long-%03d", i)
		f.own.ask(names[i])
		e, err := f.own.once.Put(t.Context(), names[i], work{Forever: true}, schedule.After(0))
		if err != nil {
			t.Fatal(err)
		}
		f.own.accepted(&e, false)
	}
	asked := map[string]int64{}
	for _, name := range names {
		f.await(patience/3, func() string {
			switch task, err := f.s.Get(t.Context(), name); {
			case err != nil:
				return err.Error()
			case len(task.Runs) != 1 || task.Runs[0].State != duly.Active:
				return name + " does not run"
			}
			return ""
		})
		asked[name] = now()
		f.own.ask(name)
		found, err := f.s.CancelRunning(t.Context(), name)
		if err != nil || found != duly.Running {
			t.Errorf("cancel %s, which runs: %v, %v", name, found, err)
		}
		f.own.answered(name)
		f.row.faults++
	}
	for _, name := range names {
		ctx, stop := context.WithTimeout(t.Context(), patience/3)
		err := f.s.Await(ctx, name)
		stop()
		if err != nil {
			t.Errorf("await the end of %s: %v", name, err)
		}
	}
	stopped := map[string]int{}
	var took []time.Duration
	for _, r := range f.records() {
		if r.Op == verdict.End && r.Error == duly.ErrStopped.Error() {
			stopped[r.Node]++
			took = append(took, time.Duration(r.At-asked[r.Name])*time.Microsecond)
		}
	}
	f.row.note = "attempts had ended after " + spread(took)
	f.finish()
	if stopped["a"]+stopped["b"] != n || stopped["a"] == 0 || stopped["b"] == 0 {
		t.Errorf("attempts were stopped in %v, want %d in all, and some in both", stopped, n)
	}
}

// sameSchedules has two nodes declare the same schedules when they start, at the same time.
func sameSchedules(t *testing.T, url string) {
	f := newFleet(t, url, orders{Declares: 10})
	f.startAll("a", "b")
	f.rest(brief(1500*time.Millisecond, 20*time.Second))
	f.start("c") // declares them, too, long after
	f.shared(3)
	f.rest(500 * time.Millisecond)
	gens, puts := map[string]int64{}, 0
	for _, r := range f.finish() {
		if r.Op != verdict.Put {
			continue
		}
		puts++
		if was := gens[r.Name]; was != 0 && was != r.Generation {
			t.Errorf("%s is of generation %d for one node and %d for another", r.Name, was, r.Generation)
		}
		gens[r.Name] = r.Generation
	}
	if want := 3 * f.base.Declares; puts != want {
		t.Errorf("%d declarations, want %d", puts, want)
	}
}
