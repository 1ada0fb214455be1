package store_test

import (
	"math"
	"testing"
	"time"

	"github.com/dulyhq/duly/store"
)

// TestStop_endsNoSchedule: End is about a run that dies. One that is stopped leaves its schedule as it is, whatever End says.
func TestStop_endsNoSchedule(t *testing.T) {
	w := newWorld(t)
	for _, op := range []string{"put recurring at=0s", "claim next=10s", "retry in=5s"} {
		w.do(op)
	}
	r := w.task.Runs[0]
	c, res := (&store.Edit{Verb: store.VerbStop, Key: theKey, Generation: r.Generation, For: r.For, End: true}).Apply(w.task, w.moment())
	if res.Err != nil {
		t.Fatal(res.Err)
	}
	w.take(c)
	if got, want := show(w.task), "g1 next 10s last 0s"; got != want {
		t.Errorf("the task is %s, want %s", got, want)
	}
}

// TestInstant_Sub_ends: the differences that just fit into a Duration are told as they are.
func TestInstant_Sub_ends(t *testing.T) {
	const most = store.Instant(math.MaxInt64 / 1000)
	for _, c := range []struct {
		i, j store.Instant
		want time.Duration
	}{
		{most, 0, 9_223_372_036_854_775_000},
		{most + 1, 0, math.MaxInt64},
		{-most, 0, -9_223_372_036_854_775_000},
		{-most - 1, 0, math.MinInt64},
	} {
		if got := c.i.Sub(c.j); got != c.want {
			t.Errorf("%d.Sub(%d) is %d, want %d", c.i, c.j, got, c.want)
		}
	}
}

// TestSettle_followsTheLast: the nominal instant of a fixed delay is after all before it, also at the ends of what an Instant can be.
func TestSettle_followsTheLast(t *testing.T) {
	for last, want := range map[store.Instant]store.Instant{store.Never: store.Never, store.Never - 1: store.Never, -1: 1, 41: 42} {
		task := &store.Task{
			Key: theKey, Spec: store.Spec{Kind: "k", Recurring: true}, Generation: 1, Last: last,
			Runs: []store.Run{{Generation: 1, For: 1, Due: 1, State: store.Running, Fence: 2}},
		}
		x := store.Settlement{RunID: task.Runs[0].ID(theKey), Fence: 2, Verb: store.VerbSettle, State: store.Done, Next: store.In(0, 0)}
		c, res := x.Apply(task, &store.Moment{Now: -5})
		if res.Err != nil || c.Task == nil || c.Task.Next.For != want {
			t.Errorf("after %d: %+v, error %v; want what is next at %d", last, c.Task, res.Err, want)
		}
	}
}
