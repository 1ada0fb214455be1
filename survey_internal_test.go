package duly

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
)

// A surveyed is a store that is divided, says what is due and what there was as a test has it, and notes how it is asked.
type surveyed struct {
	*memory.Store

	due     func(q *store.DueQuery) (store.DuePage, error)
	history func(q *store.HistoryQuery) ([]store.Event, error)
	dues    []store.DueQuery
	pasts   []store.HistoryQuery
	gets    int
}

func (s *surveyed) Own(ctx context.Context, _ string, _ func() []string, _ func(store.Share)) error {
	<-ctx.Done()
	return ctx.Err()
}

func (s *surveyed) Get(ctx context.Context, keys []store.Key) ([]*store.Task, error) {
	s.gets++
	return s.Store.Get(ctx, keys)
}

func (s *surveyed) Due(_ context.Context, q store.DueQuery) (store.DuePage, error) {
	s.dues = append(s.dues, q)
	if s.due == nil {
		return store.DuePage{Next: store.Never}, nil
	}
	return s.due(&q)
}

func (s *surveyed) History(_ context.Context, q store.HistoryQuery) ([]store.Event, error) {
	s.pasts = append(s.pasts, q)
	if s.history == nil {
		return nil, nil
	}
	return s.history(&q)
}

// inRun runs a test in a bubble with a run that nothing runs, on a store that is divided.
func inRun(t *testing.T, f func(t *testing.T, r *run, st *surveyed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		st := &surveyed{Store: memory.New(memory.Options{})}
		s, err := New(Options{Store: st, Owner: "me", Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		r := s.core.newRun(t.Context())
		f(t, r, st)
		r.hooks.Wait()
		r.resign()
		r.hangUp()
		r.disarm()
		if err := errors.Join(s.Close(t.Context()), st.Close()); err != nil {
			t.Error(err)
		}
	})
}

// lostTask is a task with a run of its name's for the instant 1.
func lostTask(name string, r *store.Run) *store.Task {
	r.For = 1
	return &store.Task{Key: store.Key{Name: name}, Spec: store.Spec{Kind: "k"}, Runs: []store.Run{*r}}
}

func lostID(name string) store.RunID { return store.RunID{Key: store.Key{Name: name}, For: 1} }

// TestRun_Doubt: doubted is a run whose process is gone and that would be dead by that, and no other.
//
// contract: D5
func TestRun_Doubt(t *testing.T) {
	inRun(t, func(t *testing.T, r *run, _ *surveyed) {
		mono := r.c.mono()
		gone := store.Run{State: store.Running, Owner: "other", Lost: MaxLost - 1, Lease: mono}
		with := func(f func(rn *store.Run)) store.Run {
			rn := gone
			f(&rn)
			return rn
		}
		for _, tt := range []struct {
			what string
			run  store.Run
			want bool
		}{
			{"gone", gone, true},
			{"known to be gone", with(func(rn *store.Run) { rn.Lease, rn.Owner = store.Over, "me" }), true},
			{"lost once less", with(func(rn *store.Run) { rn.Lost-- }), false},
			{"lost once more", with(func(rn *store.Run) { rn.Lost++ }), true},
			{"a lease that lasts", with(func(rn *store.Run) { rn.Lease++ }), false},
			{"a wait for a retry", with(func(rn *store.Run) { rn.State = store.Pending }), false},
			{"a lease of ours that has ended by itself", with(func(rn *store.Run) { rn.Owner = "me" }), false},
		} {
			first, second := with(func(rn *store.Run) { rn.Lost = 0 }), tt.run
			first.For, second.For = 1, 2
			task := &store.Task{Key: store.Key{Name: "a"}, Spec: store.Spec{Kind: "k"}, Runs: []store.Run{first, second}}
			clear(r.doubts)
			r.doubtLocked(&planner{t: task, p: &policy{}, mono: mono, owner: "me", crash: r.crash})
			_, is := r.doubts[store.RunID{Key: task.Key, For: 2}]
			if is != tt.want || len(r.doubts) != map[bool]int{true: 1}[is] {
				t.Errorf("%s: doubted %v, want %t", tt.what, r.doubts, tt.want)
			}
		}
		clear(r.doubts)
		for i := range doubtsMost + 1 {
			rn := gone
			r.doubtLocked(&planner{t: lostTask(strconv.Itoa(i), &rn), p: &policy{}, mono: mono, owner: "me", crash: r.crash})
		}
		if len(r.doubts) != doubtsMost {
			t.Errorf("%d are doubted at a time, want %d", len(r.doubts), doubtsMost)
		}
	})
}

// TestCore_RanBeside: another ran beside what was lost if its process has a lease that is over on anything, or is in the history as having
// lost it, not before the run in question had begun. Both are read to the end, page by page, within bounds.
//
// contract: D5
func TestCore_RanBeside(t *testing.T) {
	doubts := map[store.RunID]store.Run{
		lostID("a"): {Owner: "x", StartedAt: 2000}, lostID("b"): {Owner: "x", StartedAt: 3000}, lostID("c"): {Owner: "y", StartedAt: 5000},
	}
	for i := range 20 { // of which any may be met first
		doubts[lostID(fmt.Sprint("a", i))] = store.Run{Owner: "x", StartedAt: store.Instant(2001 + i)}
	}
	over := func(name, owner string) *store.Task {
		return lostTask(name, &store.Run{State: store.Running, Owner: owner, Lease: store.Over})
	}
	due := func(tasks ...*store.Task) func(*store.DueQuery) (store.DuePage, error) {
		return func(*store.DueQuery) (store.DuePage, error) { return store.DuePage{Tasks: tasks}, nil }
	}
	event := func(at store.Instant, name, owner string) store.Event {
		return store.Event{Seq: int64(at), At: at, Key: store.Key{Name: name}, For: 1, Verb: store.VerbRescue, Owner: owner}
	}
	past := func(evs ...store.Event) func(*store.HistoryQuery) ([]store.Event, error) {
		return func(*store.HistoryQuery) ([]store.Event, error) { return evs, nil }
	}
	settled := event(9000, "d", "x")
	settled.Verb = store.VerbSettle
	later := event(9000, "a", "x")
	later.Generation = 1
	next := event(9000, "a", "x")
	next.For = 2
	noise := func(newest, n int) (evs []store.Event) {
		for i := range n {
			evs = append(evs, event(store.Instant(newest-i), "d", "z"))
		}
		return evs
	}
	broken := errors.New("broken")
	for _, tt := range []struct {
		what    string
		due     func(*store.DueQuery) (store.DuePage, error)
		history func(*store.HistoryQuery) ([]store.Event, error)
		want    string
	}{
		{"nothing", nil, nil, "false after 1 and 1"},
		{"a lease that is over", due(over("d", "x")), nil, "true after 1 and 0"},
		{"of the other process", due(over("d", "y")), nil, "true after 1 and 0"},
		{"of a third one", due(over("d", "z")), nil, "false after 1 and 1"},
		{"of those in question themselves", due(over("a", "x"), over("b", "x"), over("c", "y")), nil, "false after 1 and 1"},
		{"after those", due(over("a", "x"), over("d", "z"), over("d", "x")), nil, "true after 1 and 0"},
		{"another run of the same name", due(&store.Task{Key: store.Key{Name: "a"}, Runs: []store.Run{
			{For: 1, State: store.Running, Owner: "x"}, {For: 2, State: store.Running, Owner: "x", Lease: store.Over},
		}}), nil, "true after 1 and 0"},
		{"a lease that is over now", due(lostTask("d", &store.Run{State: store.Running, Owner: "x", Lease: 1_000_000})), nil, "true after 1 and 0"},
		{"a lease that lasts", due(lostTask("d", &store.Run{State: store.Running, Owner: "x", Lease: 1_000_001})), nil, "false after 1 and 1"},
		{"what waits for a retry", due(lostTask("d", &store.Run{State: store.Pending, Owner: "x", Lease: store.Over})), nil, "false after 1 and 1"},
		{"on the second page", func(q *store.DueQuery) (store.DuePage, error) {
			if q.After.At == 7 {
				return store.DuePage{Tasks: []*store.Task{over("d", "x")}}, nil
			}
			return store.DuePage{Tasks: []*store.Task{over("a", "x")}, More: true, Cursor: store.Cursor{At: 7}}, nil
		}, nil, "true after 2 and 0"},
		{"on the last page of so many", func(q *store.DueQuery) (store.DuePage, error) {
			return store.DuePage{More: q.After.At < wideMost-1, Cursor: store.Cursor{At: q.After.At + 1}}, nil
		}, nil, "false after 100 and 1"},
		{"more than is read", func(q *store.DueQuery) (store.DuePage, error) {
			return store.DuePage{More: true, Cursor: store.Cursor{At: q.After.At + 1}}, nil
		}, nil, "true after 100 and 0"},
		{"the store fails", func(*store.DueQuery) (store.DuePage, error) { return store.DuePage{}, broken }, nil, "false after 1 and 0, broken"},
		{"it was lost since the first began", nil, past(event(2000, "d", "x")), "true after 1 and 1"},
		{"and before", nil, past(event(1999, "d", "x")), "false after 1 and 1"},
		{"of the other process", nil, past(event(5000, "d", "y")), "true after 1 and 1"},
		{"and before", nil, past(event(4999, "d", "y")), "false after 1 and 1"},
		{"of a third one", nil, past(event(9000, "d", "z")), "false after 1 and 1"},
		{"of those in question themselves", nil, past(event(9000, "a", "x"), event(8000, "b", "x"), event(7000, "c", "y")), "false after 1 and 1"},
		{"after those", nil, past(event(9000, "a", "x"), event(8000, "d", "z"), event(7000, "d", "x")), "true after 1 and 1"},
		{"of another generation", nil, past(later), "true after 1 and 1"},
		{"another run of the same name", nil, past(next), "true after 1 and 1"},
		{"it has ended otherwise", nil, past(settled), "false after 1 and 1"},
		{"on the second page", nil, func(q *store.HistoryQuery) ([]store.Event, error) {
			if q.Before == 8001 {
				return []store.Event{event(8000, "d", "x")}, nil
			}
			return noise(9000, pastMost), nil
		}, "true after 1 and 2"},
		{"a full page, and the end of it is as old as the oldest", nil, func(q *store.HistoryQuery) ([]store.Event, error) {
			if q.Before == 2000 {
				return nil, nil
			}
			return noise(2999, pastMost), nil
		}, "false after 1 and 2"},
		{"and older", nil, past(noise(2998, pastMost)...), "false after 1 and 1"},
		{"a page that is not full is the last", nil, past(noise(9000, pastMost-1)...), "false after 1 and 1"},
		{"more than is read", nil, past(noise(9000, pastMost)...), "true after 1 and 100"},
		{"the history fails", nil, func(*store.HistoryQuery) ([]store.Event, error) { return nil, broken }, "false after 1 and 1, broken"},
	} {
		inRun(t, func(t *testing.T, r *run, st *surveyed) {
			st.due, st.history = tt.due, tt.history
			time.Sleep(time.Second - time.Duration(r.c.mono())*time.Microsecond)
			is, err := r.c.ranBeside(t.Context(), doubts)
			got := fmt.Sprintf("%t after %d and %d", is, len(st.dues), len(st.pasts))
			if err != nil {
				got += ", " + err.Error()
			}
			if got != tt.want {
				t.Errorf("%s: %s pages, want %s", tt.what, got, tt.want)
			}
			if q := st.dues[0]; q.After != (store.Cursor{}) || q.Until != r.c.now() || q.Limit != pageMost || q.Shards != nil || q.Kinds != nil {
				t.Errorf("%s: asked for what is due by %+v, want all of now", tt.what, q)
			}
			if len(st.pasts) > 0 && st.pasts[0] != (store.HistoryQuery{Newest: true, Limit: pastMost}) {
				t.Errorf("%s: asked for the history by %+v, want the newest", tt.what, st.pasts[0])
			}
		})
	}
}

// TestRun_Widen: what is found out about others that ran decides what is dead, unless shards were gained meanwhile: then it is looked again.
// While it is looked, and when it is known, it is not looked.
//
// contract: D5
func TestRun_Widen(t *testing.T) {
	gone := store.Run{State: store.Running, Owner: "x", Lease: store.Over}
	for _, tt := range []struct {
		what          string
		due           func(r *run) (store.DuePage, error)
		none          bool
		crash, want   crash
		looks, doubts int
		failing       string
		gone          error
	}{
		{what: "nothing is doubted", none: true, crash: crash{divided: true}, want: crash{divided: true}},
		{
			what: "another ran", due: func(*run) (store.DuePage, error) {
				return store.DuePage{Tasks: []*store.Task{lostTask("d", &gone)}}, nil
			},
			crash: crash{divided: true}, want: crash{divided: true, wide: true, fresh: true}, looks: 1,
		},
		{what: "none ran", crash: crash{divided: true}, want: crash{divided: true, wide: true}, looks: 1},
		{what: "a page of ours that is not seen yet", crash: crash{}, want: crash{wide: true}, looks: 1},
		{what: "it is known that another ran", crash: crash{divided: true, fresh: true}, want: crash{divided: true, fresh: true}, doubts: 1},
		{what: "it is known that none ran", crash: crash{divided: true, wide: true}, want: crash{divided: true, wide: true}, doubts: 1},
		{what: "all was seen in our own shards, of several", crash: crash{divided: true, surveyed: true}, want: crash{divided: true, surveyed: true, wide: true}, looks: 1},
		{what: "that another ran is seen meanwhile", due: func(r *run) (store.DuePage, error) {
			r.crash.fresh = true
			return store.DuePage{}, nil
		}, crash: crash{divided: true}, want: crash{divided: true, wide: true, fresh: true}, looks: 1},
		{what: "shards are gained meanwhile", due: func(r *run) (store.DuePage, error) {
			r.gains++
			return store.DuePage{}, nil
		}, crash: crash{divided: true}, want: crash{divided: true}, looks: 1},
		{what: "others are doubted meanwhile", due: func(r *run) (store.DuePage, error) {
			r.doubts[lostID("b")] = gone
			return store.DuePage{}, nil
		}, crash: crash{divided: true}, want: crash{divided: true, wide: true}, looks: 1},
		{
			what: "the store fails", due: func(*run) (store.DuePage, error) { return store.DuePage{}, store.ErrBroken },
			crash: crash{divided: true}, want: crash{divided: true}, looks: 1, failing: "look for what was lost",
		},
		{
			what: "the store is closed", due: func(*run) (store.DuePage, error) { return store.DuePage{}, store.ErrClosed },
			crash: crash{divided: true}, want: crash{divided: true}, looks: 1, gone: store.ErrClosed,
		},
		{what: "it was closed before", due: func(r *run) (store.DuePage, error) {
			r.gone = errors.ErrUnsupported
			return store.DuePage{}, store.ErrClosed
		}, crash: crash{divided: true}, want: crash{divided: true}, looks: 1, gone: errors.ErrUnsupported},
		{what: "nothing is to start any more", due: func(r *run) (store.DuePage, error) {
			r.resign()
			return store.DuePage{}, store.ErrBroken
		}, crash: crash{divided: true}, want: crash{divided: true}, looks: 1},
	} {
		inRun(t, func(t *testing.T, r *run, st *surveyed) {
			looked := make(chan struct{})
			st.due = func(*store.DueQuery) (store.DuePage, error) {
				<-looked
				r.c.mu.Lock()
				defer r.c.mu.Unlock()
				if tt.due == nil {
					return store.DuePage{}, nil
				}
				return tt.due(r)
			}
			look := func() {
				r.c.mu.Lock()
				r.widenLocked()
				r.c.mu.Unlock()
				synctest.Wait()
			}
			r.crash = tt.crash
			if !tt.none {
				r.doubts[lostID("a")] = gone
			}
			look()
			asked := len(st.dues)
			if tt.looks > 0 {
				if len(r.doubts) > 0 {
					t.Errorf("%s: %v are doubted while it is looked for others", tt.what, r.doubts)
				}
				r.doubts[lostID("a")] = gone
				look()
				delete(r.doubts, lostID("a"))
			}
			if asked != tt.looks || len(st.dues) != tt.looks {
				t.Errorf("%s: it was looked %d times, and %d while it is looked; want %d", tt.what, asked, len(st.dues)-asked, tt.looks)
			}
			if len(r.wake) > 0 {
				t.Errorf("%s: the loop is woken before anything is known", tt.what)
			}
			close(looked)
			synctest.Wait()
			if r.crash != tt.want || len(r.doubts) != tt.doubts || r.failing != tt.failing || !errors.Is(r.gone, tt.gone) || r.widening {
				t.Errorf("%s: %+v, doubted %v, failing %q, gone %v, looking %t; want %+v, %d doubted, %q, %v", tt.what,
					r.crash, slices.Collect(maps.Keys(r.doubts)), r.failing, r.gone, r.widening, tt.want, tt.doubts, tt.failing, tt.gone)
			}
			if len(r.wake) != tt.looks {
				t.Errorf("%s: the loop is woken %d times, want %d", tt.what, len(r.wake), tt.looks)
			}
		})
	}
}

// TestRun_WidenWorksAgain: it is said that the store works again when what it failed at is done.
func TestRun_WidenWorksAgain(t *testing.T) {
	inRun(t, func(t *testing.T, r *run, _ *surveyed) {
		r.c.mu.Lock()
		if err := r.failedLocked(store.ErrBroken, "look for what was lost"); err != nil {
			t.Error(err)
		}
		r.doubts[lostID("a")] = store.Run{Owner: "x"}
		r.widenLocked()
		r.c.mu.Unlock()
		synctest.Wait()
		if r.failing != "" || r.backoff != 0 {
			t.Errorf("it fails to %q, and rests for %v", r.failing, r.backoff)
		}
	})
}
