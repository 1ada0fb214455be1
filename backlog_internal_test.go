package duly

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/dulyhq/duly/store"
)

// TestDueOf: since when something of a task is due that has not begun: its next occurrence, or the first of the runs that wait.
func TestDueOf(t *testing.T) {
	next := store.Occurrence{For: 5, Due: 10}
	runs := func(rs ...store.Run) []store.Run { return rs }
	waits := func(due store.Instant) store.Run { return store.Run{State: store.Pending, Due: due} }
	for _, tt := range []struct {
		what  string
		task  store.Task
		now   store.Instant
		since store.Instant
		ok    bool
	}{
		{"nothing", store.Task{}, 99, store.Never, false},
		{"due now", store.Task{Next: next}, 10, 10, true},
		{"not yet", store.Task{Next: next}, 9, 10, false},
		{"paused", store.Task{Next: next, Runs: runs(waits(3)), PausedAt: 1}, 99, store.Never, false},
		{"ended", store.Task{Next: next, Ended: true}, 99, store.Never, false},
		{"ended, and a run of it waits", store.Task{Next: next, Ended: true, Runs: runs(waits(20))}, 99, 20, true},
		{"a run before the next", store.Task{Next: next, Runs: runs(waits(3))}, 99, 3, true},
		{"a run after the next", store.Task{Next: next, Runs: runs(waits(20))}, 99, 10, true},
		{"the first of several runs", store.Task{Runs: runs(waits(20), waits(15), waits(17))}, 99, 15, true},
		{"an attempt that runs", store.Task{Next: next, Runs: runs(store.Run{State: store.Running, Due: 3}, waits(4))}, 99, 4, true},
	} {
		if since, ok := dueOf(&tt.task, tt.now); since != tt.since || ok != tt.ok {
			t.Errorf("%s: since %d, %t; want %d, %t", tt.what, since, ok, tt.since, tt.ok)
		}
	}
}

// TestRun_Overdue: counted is what was seen to be due, or comes to be seen, and has not begun. What waits behind others and is not in memory is
// told of by its age alone.
func TestRun_Overdue(t *testing.T) {
	inRun(t, func(t *testing.T, r *run, _ *surveyed) {
		k := r.handles(t, "k")
		const now = store.Instant(100_000_000)
		task := &store.Task{Next: store.Occurrence{For: 1, Due: 90_000_000}}
		for _, tt := range []struct {
			what string
			e    entry
			want Backlog
		}{
			{"it was seen", entry{task: task, seen: 95_000_000}, Backlog{1, 10 * time.Second}},
			{"it was not", entry{task: task}, Backlog{}},
			{"its time has come", entry{task: task, timed: 1, wait: now}, Backlog{1, 10 * time.Second}},
			{"its time is to come", entry{task: task, timed: 1, wait: now + 1}, Backlog{}},
			{"it was seen, and is put off", entry{task: task, seen: 95_000_000, timed: 1, wait: now + 1}, Backlog{1, 10 * time.Second}},
			{"nothing of it is due", entry{task: &store.Task{}, seen: 95_000_000}, Backlog{}},
		} {
			r.window.entries[store.Key{Name: "a"}] = &tt.e
			if got := r.overdueLocked(now); got != tt.want {
				t.Errorf("%s: %+v, want %+v", tt.what, got, tt.want)
			}
		}
		r.window.entries = map[store.Key]*entry{}
		for i, due := range []store.Instant{60_000_000, 95_000_000, 30_000_000, 80_000_000} {
			r.window.entries[store.Key{Name: strconv.Itoa(i)}] = &entry{seen: 1, task: &store.Task{Next: store.Occurrence{For: 1, Due: due}}}
		}
		for i := range 12 { // of which any may be met first
			r.window.entries[store.Key{Name: fmt.Sprint("not seen", i)}] = &entry{task: task}
		}
		if got := r.overdueLocked(now); got != (Backlog{4, 70 * time.Second}) {
			t.Errorf("four: %+v, want 4 for 70s", got)
		}
		clear(r.window.entries)
		r.keys["key"] = &gate{}
		for what, g := range map[string]*gate{"key": r.keys["key"], "kind": &k.gate, "suspects": &r.suspects} {
			for low, want := range map[store.Instant]time.Duration{0: 0, 40_000_000: time.Minute, now: 0, now + 1: 0, store.Over: 1<<63 - 1} {
				g.low.At = low
				if got := r.overdueLocked(now); got != (Backlog{Oldest: want}) {
					t.Errorf("who waits for the %s stands at %d: %+v, want %v", what, low, got, want)
				}
			}
			g.low.At = 0
		}
	})
}

// TestRun_Strangers: tasks that nobody here handles are noted while they are due, up to a bound, and forgotten when they are found to be gone,
// handled, another's, or not due any more. What is there still is not.
func TestRun_Strangers(t *testing.T) {
	inRun(t, func(t *testing.T, r *run, st *surveyed) {
		time.Sleep(time.Minute)
		if err := r.c.recheck(t.Context()); err != nil {
			t.Errorf("while Run does not run: %v", err)
		}
		r.c.running = r
		r.handles(t, "k")
		r.ownLocked(shareOf(1))
		if err := r.c.recheck(t.Context()); err != nil || st.gets != 0 {
			t.Errorf("the store was asked %d times for none, error %v", st.gets, err)
		}
		r.strange[nameIn(1, 9)] = stranger{kind: "j"}
		if err := r.c.recheck(t.Context()); err != nil || len(r.strange) != 0 {
			t.Errorf("%d are left of one that is gone, error %v", len(r.strange), err)
		}
		now := r.c.now()
		put := func(k store.Key, kind string, due store.Instant) {
			t.Helper()
			x := store.Put{Key: k, Spec: store.Spec{Kind: kind}, When: store.On(store.Occurrence{For: due})}
			if res, err := st.Put(t.Context(), []store.Put{x}); err != nil || res[0].Err != nil {
				t.Fatal(err, res)
			}
		}
		is := func(n int) store.Key { return nameIn(1, n) }
		put(is(0), "j", now-1_000_000)
		put(is(1), "j", now)
		put(is(2), "j", now+1)
		put(is(3), "k", now)
		put(nameIn(2, 0), "j", now)
		for _, k := range []store.Key{is(0), is(1), is(2), is(3), is(4), nameIn(2, 0)} {
			r.strange[k] = stranger{since: now - 1, kind: "j"}
		}
		if err := r.c.recheck(t.Context()); err != nil {
			t.Error(err)
		}
		if len(r.strange) != 2 || r.strange[is(0)] == (stranger{}) || r.strange[is(1)] == (stranger{}) {
			t.Errorf("strangers are %v, want the two that are due, ours and not handled", slices.Collect(maps.Keys(r.strange)))
		}

		clear(r.strange)
		for i := range 30 * recheckMost {
			r.strange[store.Key{Name: fmt.Sprint("gone", i)}] = stranger{since: now - store.Instant(i)}
		}
		for range 5 {
			was, oldest := len(r.strange), store.Key{}
			for k, s := range r.strange {
				if oldest.Name == "" || s.since < r.strange[oldest].since {
					oldest = k
				}
			}
			if err := r.c.recheck(t.Context()); err != nil {
				t.Error(err)
			}
			if n := was - len(r.strange); n != recheckMost && n != recheckMost+1 { // the oldest may be among the others
				t.Errorf("%d are forgotten, want %d and the oldest", n, recheckMost)
			}
			if _, is := r.strange[oldest]; is {
				t.Error("the oldest was not looked at")
			}
		}

		clear(r.strange)
		due := &store.Task{Key: is(0), Spec: store.Spec{Kind: "j"}, Next: store.Occurrence{For: now, Due: now}}
		r.strange.add(due, now-1)
		if len(r.strange) != 0 {
			t.Error("what is not due is noted")
		}
		r.strange.add(due, now)
		if len(r.strange) != 1 || r.strange[is(0)] != (stranger{since: now, kind: "j"}) {
			t.Errorf("noted is %v, want what is due, since now", r.strange)
		}
		for i := range windowMost {
			due.Key = store.Key{Name: fmt.Sprint("many", i)}
			r.strange.add(due, now)
		}
		if len(r.strange) != windowMost {
			t.Errorf("%d are noted, want %d", len(r.strange), windowMost)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
		if err := r.c.recheck(t.Context()); !errors.Is(err, store.ErrClosed) {
			t.Errorf("the store is closed: %v", err)
		}
		r.c.running = nil
	})
}
