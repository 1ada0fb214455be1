package duly_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
)

// What goes before what.

// A run that is tried again waits for its turn like what begins: what has a higher priority and comes due with it goes first.
//
// contract: C3
func TestOrder_RetryIsNoPriority(t *testing.T) {
	tap(t, duly.Options{Workers: 1}, func(ctx context.Context, a *duly.Attempt[string]) error {
		if a.Name == "again" && a.Number == 1 {
			return duly.RetryAfter(10*time.Second, errors.New("no"))
		}
		return takes(time.Second)(ctx, a)
	}, func(t *testing.T, r *rig) {
		r.work()
		r.put("again", schedule.After(0))
		r.put("low", schedule.After(10*time.Second), duly.Priority(-1))
		r.put("high", schedule.After(10*time.Second), duly.Priority(1))
		r.at(time.Minute)
		r.wantRan("0s again #1", "0s again #1: no", "10s high #1", "11s again #2", "12s low #1")
		r.end()
	})
}

// Occurrences that are caught up one after another are so to the last, also if one of them takes long, because it is tried again, and those
// after it could not be caught up any more.
//
// contract: F2, G3
func TestCatchUp_BesideARetry(t *testing.T) {
	var minutes []time.Duration
	var r *rig
	tap(t, duly.Options{}, func(_ context.Context, a *duly.Attempt[string]) error {
		minutes = append(minutes, a.ScheduledFor.Sub(r.begun))
		if a.Number == 1 && len(minutes) == 1 {
			return duly.RetryAfter(2*time.Minute, errors.New("no"))
		}
		return nil
	}, func(t *testing.T, x *rig) {
		r = x
		r.put("a", schedule.Every(time.Minute), duly.CatchUp(duly.All(10)), duly.Window(3*time.Minute))
		r.at(3*time.Minute + 30*time.Second)
		r.work()
		r.at(6*time.Minute + 30*time.Second)
		if want := []time.Duration{time.Minute, time.Minute, 2 * time.Minute, 3 * time.Minute, 6 * time.Minute}; !slices.Equal(minutes, want) {
			t.Errorf("attempts at the occurrences of %v, want %v; what has become of them: %q", minutes, want, r.events("a"))
		}
		r.end()
	})
}

// An attempt whose place the next occurrence takes hears of that as soon as it is written, whatever else is being written of its task.
func TestCancelOther_IsHeardAtOnce(t *testing.T) {
	var r *rig
	var stopped []time.Duration
	tap(t, duly.Options{}, func(ctx context.Context, a *duly.Attempt[string]) error {
		err := takes(time.Hour)(ctx, a)
		if errors.Is(err, duly.ErrStopped) {
			stopped = append(stopped, r.since())
		}
		return err
	}, func(t *testing.T, x *rig) {
		r = x
		r.work()
		r.put("a", schedule.Every(10*time.Second).Times(2), duly.Overlap(duly.CancelOther))
		slow := func(by time.Duration) func(func() error) error {
			return func(call func() error) error {
				time.Sleep(by)
				return call()
			}
		}
		r.on("Edit", slow(time.Second))
		r.on("Put", slow(10*time.Second))
		r.at(20*time.Second + 500*time.Millisecond)
		put := make(chan error, 1)
		go func() {
			_, err := r.kind.Put(t.Context(), "a", "", schedule.Every(time.Minute), duly.OnConflict(duly.Fail))
			put <- err
		}()
		r.at(35 * time.Second)
		if err := <-put; !errors.Is(err, duly.ErrExists) {
			t.Errorf("Put: %v", err)
		}
		if want := []time.Duration{21 * time.Second}; !slices.Equal(stopped, want) {
			t.Errorf("asked to stop at %v, want %v", stopped, want)
		}
		r.end()
	})
}

// noHints is a store that tells nobody of writes.
type noHints struct{ store.Store }

// Of two writes of one task that are under way at once the answers may come in any order: what counts is what the store has.
func TestPut_AnswersOutOfOrder(t *testing.T) {
	tap(t, duly.Options{}, quick, func(t *testing.T, r *rig) {
		var began time.Duration
		d, err := duly.New(duly.Options{Store: noHints{r.tapped}})
		if err != nil {
			t.Fatal(err)
		}
		k := duly.Handle(d, "other", func(context.Context, *duly.Attempt[string]) error {
			began = r.since()
			return nil
		})
		ended := make(chan error)
		go func() { ended <- d.Run(t.Context()) }()
		r.at(time.Second)
		r.on("Put", func(call func() error) error {
			r.on("Put", nil)
			err := call()
			time.Sleep(2 * time.Second)
			return err
		})
		answered := make(chan error, 1)
		go func() {
			_, err := k.Put(t.Context(), "a", "", schedule.After(6*time.Second))
			answered <- err
		}()
		r.at(2 * time.Second)
		if _, err := k.Put(t.Context(), "a", "", schedule.After(3*time.Second)); err != nil {
			t.Error(err)
		}
		r.at(time.Minute)
		if began != 5*time.Second {
			t.Errorf("it began after %v, want 5s, as the second Put has it", began)
		}
		if err := errors.Join(<-answered, d.Close(t.Context()), <-ended, r.Close()); err != nil {
			t.Error(err)
		}
	})
}

// Who handles a kind from now on begins with what has waited for that longest, whenever it was put.
func TestHandle_BeginsWithTheOldest(t *testing.T) {
	tap(t, duly.Options{}, quick, func(t *testing.T, r *rig) {
		r.work()
		k := duly.Declare[string](r.d, "later")
		for name, at := range map[string]time.Duration{"a": 5 * time.Second, "b": 10 * time.Second} {
			if _, err := k.Put(t.Context(), name, "", schedule.After(at)); err != nil {
				t.Fatal(err)
			}
		}
		r.at(20 * time.Second)
		if _, err := k.Put(t.Context(), "oldest", "", schedule.At(r.begun.Add(time.Second))); err != nil {
			t.Fatal(err)
		}
		r.at(30 * time.Second)
		var began []string
		duly.Handle(r.d, "later", func(_ context.Context, a *duly.Attempt[string]) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			began = append(began, r.since().String()+" "+a.Name)
			return nil
		})
		r.at(time.Minute)
		slices.Sort(began)
		same(t, "attempts", []string{"30s a", "30s b", "30s oldest"}, began)
		r.end()
	})
}

// A store that reads no tasks, and then does, is said to fail and to work again.
func TestRun_ReadsFail(t *testing.T) {
	tap(t, duly.Options{}, quick, func(t *testing.T, r *rig) {
		r.work()
		r.refuse("Claim", "a", store.ErrBusy)
		r.fail(store.ErrBroken, "Get")
		r.put("a", schedule.After(time.Second))
		r.at(2 * time.Second)
		r.refuse("Claim", "a", nil)
		r.fail(nil, "Get")
		r.at(10 * time.Second)
		r.wantRan("2.27s a #1")
		r.wantLogged(t, `1s level=ERROR msg="the store fails, nothing new starts" doing="read tasks" error="storage has failed"`, `2.27s level=INFO msg="the store works again"`)
		r.end()
	})
}
