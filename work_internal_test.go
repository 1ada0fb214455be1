package duly

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
)

// TestClaimed_Clock: a claim that is refused because it is not due has the store's clock looked at, and one that is refused for something else
// does not keep it from being looked at.
func TestClaimed_Clock(t *testing.T) {
	for _, tt := range []struct {
		what   string
		before bool // it is to be looked at already
		errs   []error
		want   bool
	}{
		{"granted to nobody", false, nil, false},
		{"busy", false, []error{store.ErrBusy}, false},
		{"busy, and it is to be looked at", true, []error{store.ErrBusy}, true},
		{"not due", false, []error{store.ErrNotDue}, true},
		{"not due, then busy", false, []error{store.ErrNotDue, store.ErrBusy}, true},
		{"busy, then not due", false, []error{store.ErrBusy, store.ErrNotDue}, true},
		{"not ours", false, []error{store.ErrNotOwner}, false},
		{"not ours, and it is to be looked at", true, []error{store.ErrNotOwner, store.ErrInvalid}, true},
	} {
		inRun(t, func(t *testing.T, r *run, _ *surveyed) {
			r.own, r.untuned = nil, tt.before
			var picks []pick
			var res []store.ClaimResult
			for i, err := range tt.errs {
				e := waiter(store.Instant(i+1), 0)
				r.c.beginLocked(e.task.Key)
				r.inUse++
				picks, res = append(picks, pick{e: e, st: step{kind: stepClaim}}), append(res, store.ClaimResult{Err: err})
			}
			r.claimed(picks, false, res, nil, r.c.eng.Elapsed(), r.c.now())
			if r.untuned != tt.want || r.inUse != 0 || len(r.c.writing) != 0 {
				t.Errorf("%s: the clock is to be looked at: %v, want %v; %d workers are taken, and %d writes are under way", tt.what, r.untuned, tt.want, r.inUse, len(r.c.writing))
			}
		})
	}
}

// Who waits for the end of what a process that is gone was running hears of that when its lease is found to be over, and not a second later.
func TestAwait_HearsOfWhatWasLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := memory.New(memory.Options{})
		r := newHeldRig(t, Options{Store: st})
		r.put(r.handle("k"), "1s a", 0, 0, AtMostOnce())
		crashed(t, st, "1s a", store.Occurrence{}, 2500*time.Millisecond)
		r.work()
		if err := r.s.Await(t.Context(), "1s a"); err != nil {
			t.Error(err)
		}
		if d := time.Since(r.begun); d != 2500*time.Millisecond {
			t.Errorf("it was heard of after %v, want 2.5s", d)
		}
		synctest.Wait()
		r.end()
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestAfter: the next occurrence of what counts from the end of a run counts from now; others have theirs already.
func TestAfter(t *testing.T) {
	inRun(t, func(t *testing.T, r *run, _ *surveyed) {
		now := r.c.now()
		pace := schedule.Pace(time.Minute).String()
		for _, tt := range []struct {
			what      string
			recurring bool
			text      string
			next      store.Occurrence
			extra     bool
			want      store.When
		}{
			{"a one-off", false, "", store.Occurrence{}, false, store.When{}},
			{"it counts", true, pace, store.Occurrence{}, false, store.In(time.Minute, 0)},
			{"an extra run", true, pace, store.Occurrence{}, true, store.When{}},
			{"it is put", true, pace, store.Occurrence{For: now, Due: now}, false, store.When{}},
			{"a grid", true, schedule.Every(time.Minute).String(), store.Occurrence{}, false, store.When{}},
			{"it can't be read", true, "?", store.Occurrence{}, false, store.When{}},
		} {
			a := &attempt{task: &store.Task{Key: store.Key{Name: "a"}, Spec: store.Spec{Recurring: tt.recurring, Schedule: tt.text}, Next: tt.next}, info: &AttemptInfo{Extra: tt.extra}}
			if got := r.c.after(a); got != tt.want {
				t.Errorf("%s: %v, want %v", tt.what, got, tt.want)
			}
		}
	})
}

// TestHasCompleted: a run that is gone was completed by its attempt, unless that had lost its lease before: then the history says by whom it was,
// and it is asked for nothing else.
func TestHasCompleted(t *testing.T) {
	failed := errors.New("no")
	for _, tt := range []struct {
		what        string
		there, lost bool
		history     []store.Event
		err         error
		want        bool
		asks        int // how often the history is read
	}{
		{"it is there", true, false, nil, nil, false, 0},
		{"it is there, and the lease is lost", true, true, nil, nil, false, 0},
		{"it is gone", false, false, nil, nil, true, 0},
		{"it is gone, and the lease was lost before", false, true, []store.Event{{Generation: 1, For: 7, To: store.Done, Fence: 5}}, nil, true, 1},
		{"another has completed it", false, true, []store.Event{{Generation: 1, For: 7, To: store.Done, Fence: 6}}, nil, false, 1},
		{"it has failed since", false, true, []store.Event{{Generation: 1, For: 7, To: store.Dead, Fence: 5}, {Generation: 1, For: 7, To: store.Done, Fence: 5}}, nil, false, 1},
		{
			"others have ended since", false, true,
			[]store.Event{{Generation: 1, For: 8, To: store.Dead, Fence: 9}, {Generation: 2, For: 7, To: store.Dead, Fence: 8}, {Generation: 1, For: 7, To: store.Done, Fence: 5}},
			nil, true, 1,
		},
		{"nothing is known of it", false, true, nil, nil, true, 1},
		{"the history can't be read", false, true, nil, failed, false, 1},
	} {
		inRun(t, func(t *testing.T, r *run, st *surveyed) {
			r.own = nil
			st.history = func(*store.HistoryQuery) ([]store.Event, error) { return tt.history, tt.err }
			id := store.RunID{Key: store.Key{Name: "a"}, Generation: 1, For: 7}
			if tt.there {
				due := store.Occurrence{For: 7, Due: 7}
				res, err := st.Put(t.Context(), []store.Put{{Key: id.Key, Spec: store.Spec{Kind: "k"}, When: store.On(due)}})
				if err != nil || res[0].Err != nil {
					t.Fatal(err, res)
				}
				crashed(t, st, "a", store.Occurrence{}, time.Minute)
				id.Generation = res[0].Task.Generation
			}
			a := &attempt{id: id, fence: 5, e: &entry{task: &store.Task{Key: id.Key}}, lost: tt.lost}
			done, err := r.hasCompleted(a)
			if done != tt.want || !errors.Is(err, tt.err) || len(st.pasts) != tt.asks || len(r.c.writing) != 0 {
				t.Errorf("%s: %v, %v; the history was read %d times, and %d writes are under way; want %v, %v, and %d", tt.what, done, err, len(st.pasts), len(r.c.writing), tt.want, tt.err, tt.asks)
			}
			if ran := a.e.memo.busy != 0; ran != tt.want {
				t.Errorf("%s: that it ran is noted: %v", tt.what, ran)
			}
		})
	}
}
