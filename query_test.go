package duly_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
)

// What Simulate foresees is what runs then: of all sorts of schedules, of what has failed or was put off and waits for its next attempt,
// of what is paused, and of what was missed while nothing ran.
func TestSimulate_ForeseesWhatRuns(t *testing.T) {
	const ahead = time.Minute
	for what, down := range map[string]time.Duration{"running": 0, "after a break": 40 * time.Second} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				var mu sync.Mutex
				var ran []string
				st := memory.New(memory.Options{})
				start := func() (*duly.Scheduler, *duly.Kind[string], func()) {
					s, err := duly.New(duly.Options{Store: st})
					if err != nil {
						t.Fatal(err)
					}
					k := duly.Handle(s, "k", func(_ context.Context, a *duly.Attempt[string]) error {
						mu.Lock()
						ran = append(ran, foreseen(begun, a.Name, a.ScheduledFor, time.Now()))
						mu.Unlock()
						switch {
						case a.Name == "fails" && a.Number == 1:
							return duly.RetryAfter(33*time.Second, errors.New("not yet"))
						case a.Name == "snoozes" && time.Since(begun) < time.Second:
							return duly.Snooze(37 * time.Second)
						}
						return nil
					})
					ended := make(chan error)
					go func() { ended <- s.Run(t.Context()) }()
					return s, k, func() {
						if err := errors.Join(s.Drain(t.Context()), <-ended); err != nil {
							t.Error(err)
						}
					}
				}
				s, k, stop := start()
				for name, when := range map[string]schedule.Schedule{
					"every": schedule.Every(7 * time.Second), "cron": schedule.Cron("* * * * *"), "thrice": schedule.Every(5 * time.Second).Times(3),
					"jittered": schedule.Every(20 * time.Second).Jitter(10 * time.Second), "pace": schedule.Pace(9 * time.Second),
					"paced by starts": schedule.PaceFromStart(11 * time.Second), "once": schedule.After(45 * time.Second), "far": schedule.After(time.Hour),
					"fails": schedule.After(0), "snoozes": schedule.After(0), "paused": schedule.Every(3 * time.Second),
				} {
					if _, err := k.Put(t.Context(), name, "", when); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := s.Pause(t.Context(), duly.Query{Names: []string{"paused"}}, ""); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2500 * time.Millisecond)
				synctest.Wait()
				if down > 0 {
					stop()
				}
				from := time.Now().Add(down)
				var want []string
				var last time.Time
				for f, err := range s.Simulate(t.Context(), from, from.Add(ahead)) {
					if err != nil {
						t.Fatal(err)
					}
					if f.Due.Before(last) || f.Kind != "k" {
						t.Errorf("%+v comes after what is due at %v", f, last)
					}
					last = f.Due
					want = append(want, foreseen(begun, f.Name, f.ScheduledFor, f.Due))
				}
				mu.Lock()
				ran = nil
				mu.Unlock()
				time.Sleep(down)
				if down > 0 {
					_, _, stop = start()
				}
				time.Sleep(ahead - time.Microsecond) // what is due at the end itself is not asked for
				synctest.Wait()
				stop()
				slices.Sort(want)
				slices.Sort(ran)
				if diff := cmp.Diff(want, ran); diff != "" {
					t.Errorf("what ran differs from what was foreseen (-foreseen +ran):\n%s", diff)
				}
			})
		})
	}
}

// What somebody has moved later is foreseen where it was moved to, and nothing is before that, from whenever one looks.
func TestSimulate_MovedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := duly.New(duly.Options{Store: memory.New(memory.Options{})})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := s.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}()
		k := duly.Handle(s, "k", func(context.Context, *duly.Attempt[string]) error { return nil })
		begun := time.Now()
		if _, err := k.Put(t.Context(), "hourly", "", schedule.Every(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Move(t.Context(), "hourly", schedule.After(10*time.Hour)); err != nil {
			t.Fatal(err)
		}
		for from := range 12 {
			var got []string
			for f, err := range s.Simulate(t.Context(), begun.Add(time.Duration(from)*time.Hour+time.Minute), begun.Add(13*time.Hour)) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, f.Due.Sub(begun).String())
			}
			want := "10h0m0s 11h0m0s 12h0m0s"
			switch from {
			case 10:
				want = "10h1m0s 11h0m0s 12h0m0s" // it has not run
			case 11:
				want = "11h1m0s 12h0m0s"
			}
			if g := strings.Join(got, " "); g != want {
				t.Errorf("from %d h: %s, want %s", from, g, want)
			}
		}
	})
}

func foreseen(begun time.Time, name string, scheduled, due time.Time) string {
	return fmt.Sprintf("%010.6f %s for %v", due.Sub(begun).Seconds(), name, scheduled.Sub(begun))
}

// Who follows the history hears at once of what another scheduler writes to the same store that makes something due.
func TestEvents_OfAnotherScheduler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := memory.New(memory.Options{})
		both := twoOn(t, st)
		k := duly.Declare[string](both[0], "k")
		ctx, stop := context.WithCancelCause(t.Context())
		enough := errors.New("heard enough")
		ended := make(chan error, 1)
		var heard []string
		go func() {
			for e, err := range both[1].Events(ctx, 0) {
				if err != nil {
					ended <- err
					return
				}
				heard = append(heard, e.Verb)
			}
		}()
		synctest.Wait()
		began := time.Now()
		if _, err := k.Put(t.Context(), "a", "", schedule.After(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if _, err := both[0].Move(t.Context(), "a", schedule.After(time.Minute)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if want := []string{store.VerbMove.String()}; !slices.Equal(heard, want) || time.Since(began) != 0 {
			t.Errorf("heard of %q, want %q", heard, want)
		}
		stop(enough)
		if err := <-ended; !errors.Is(err, enough) {
			t.Errorf("Events ends with %v, want %v", err, enough)
		}
		for _, s := range both {
			if err := s.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
}

// named is what a query finds, by name, or name and run of what is dead; it ends at the first error.
func named(t *testing.T, s *duly.Scheduler, q duly.Query) (names []string) {
	t.Helper()
	for x, err := range s.List(t.Context(), q) {
		if err != nil {
			t.Fatal(err)
		}
		if q.State == duly.Dead && (len(x.Runs) != 1 || x.Runs[0].State != duly.Dead || x.State != duly.Dead) {
			t.Errorf("%+v, want a dead run alone", x)
		}
		names = append(names, x.Namespace+"/"+x.Name)
	}
	return names
}

// Tasks are found by their names in whatever state, in one namespace or in all, and each once; whoever has seen enough need not see the rest.
func TestList_Names(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStill(t)
		if _, err := w.kind.In("other").Put(t.Context(), "once", "", schedule.After(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if w.Namespace() != "" || w.In("other").Namespace() != "other" {
			t.Errorf("the namespaces are %q and %q", w.Namespace(), w.In("other").Namespace())
		}
		for _, tt := range []struct {
			q    duly.Query
			want []string
		}{
			{duly.Query{Names: []string{"paused 2", "once", "every", "once", "dead 1", "done"}}, []string{"/every", "/once", "/paused 2"}},
			{duly.Query{Names: []string{"once", "every", "paused 1"}, Paused: true}, []string{"/paused 1"}},
			{duly.Query{Names: []string{"once", "dead 2"}, State: duly.Dead}, []string{"/dead 2"}},
			{duly.Query{State: duly.Dead}, []string{"/dead 1", "/dead 2"}},
			{duly.Query{Names: []string{"once", "dead 2"}, AllNamespaces: true}, []string{"/once", "other/once"}},
			{duly.Query{Names: []string{"nobody"}}, nil},
			{duly.Query{Prefix: "paused", Names: []string{"paused 1", "every"}}, []string{"/paused 1"}},
			{duly.Query{DueUntil: w.begun.Add(time.Hour), Kind: "k", State: duly.Pending}, []string{"/every", "/once"}},
		} {
			if got := named(t, w.Scheduler, tt.q); !slices.Equal(got, tt.want) {
				t.Errorf("%+v: %q, want %q", tt.q, got, tt.want)
			}
			tt.q.Limit = 100
			page, cursor, err := w.ListPage(t.Context(), tt.q)
			var got []string
			for _, x := range page {
				got = append(got, x.Namespace+"/"+x.Name)
			}
			if !slices.Equal(got, tt.want) || cursor != "" || err != nil {
				t.Errorf("page of %+v: %q, %q, %v; want %q", tt.q, got, cursor, err, tt.want)
			}
			for range w.List(t.Context(), tt.q) { //nolint:errcheck // it is left at once
				break
			}
		}
		gets := w.store.Calls("Get")
		for x, err := range w.List(t.Context(), duly.Query{Names: []string{"every", "once", "paused 1"}}) {
			if err != nil || x.Name != "every" {
				t.Errorf("%+v, %v; want every", x, err)
			}
			break
		}
		if n := w.store.Calls("Get") - gets; n != 1 {
			t.Errorf("%d calls of Get by who has seen enough, want 1", n)
		}
		var pages []string
		for q := (duly.Query{Limit: 2}); ; {
			page, cursor, err := w.ListPage(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range page {
				pages = append(pages, x.Name)
			}
			pages = append(pages, "")
			if q.Cursor = cursor; cursor == "" {
				break
			}
		}
		if want := []string{"every", "once", "", "paused 1", "paused 2", ""}; !slices.Equal(pages, want) && !slices.Equal(pages, append(want, "")) {
			t.Errorf("pages of %q, want %q", pages, want)
		}
	})
}

// What is told of a task and of its run is what is on record of them, each in its place.
func TestGet_AllOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		s, err := duly.New(duly.Options{Owner: "me", Namespace: "ns"})
		if err != nil {
			t.Fatal(err)
		}
		looked := make(chan struct{})
		k := duly.Handle(s, "k", func(ctx context.Context, a *duly.Attempt[string]) error {
			switch a.Number {
			case 1:
				return duly.Snooze(time.Minute)
			case 2:
				return duly.RetryAfter(2*time.Minute, errors.New("not now"))
			}
			<-looked // it is asked to stop before
			return context.Cause(ctx)
		})
		ended := make(chan error)
		go func() { ended <- s.Run(t.Context()) }()
		e, err := k.Put(t.Context(), "a", "text", schedule.Every(time.Hour), duly.Tags("y", "x"), duly.Priority(7), duly.Key("key", 3))
		if want := (duly.Entry{Namespace: "ns", Name: "a", Outcome: duly.Created, Generation: e.Generation, ScheduledFor: begun.Add(time.Hour).UTC(), Due: begun.Add(time.Hour).UTC()}); err != nil || e != want {
			t.Errorf("%+v, %v; want %+v", e, err, want)
		}
		time.Sleep(time.Hour + 3*time.Minute + time.Second)
		synctest.Wait()
		if n, err := s.Pause(t.Context(), duly.Query{}, "for a rest"); n != 1 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		x, err := s.Get(t.Context(), "a")
		if err != nil || len(x.Runs) != 1 {
			t.Fatalf("%+v, %v", x, err)
		}
		at := func(d time.Duration) time.Time { return begun.Add(d).UTC() }
		want := &duly.Task{
			Namespace: "ns", Name: "a", Kind: "k", Schedule: "every 1h", Recurring: true, State: duly.Active, Generation: x.Generation, AcceptedAt: at(0),
			ScheduledFor: at(2 * time.Hour), Due: at(2 * time.Hour), Starts: 1, PausedAt: at(time.Hour + 3*time.Minute + time.Second), PausedWhy: "for a rest",
			Payload: []byte(`"text"`), Policy: `{"key_limit":3}`, Key: "key", Tags: []string{"x", "y"}, Priority: 7,
			Runs: []duly.Run{{
				ID: fmt.Sprintf("ns/a@%d@%d", e.Generation, at(time.Hour).UnixMicro()), Generation: e.Generation, ScheduledFor: at(time.Hour), Due: at(time.Hour + 3*time.Minute),
				State: duly.Active, Attempt: 3, Snoozed: 1, Fence: x.Runs[0].Fence, Owner: "me", BegunAt: at(time.Hour), StartedAt: at(time.Hour + 3*time.Minute), Reason: "not now",
			}},
		}
		if diff := cmp.Diff(want, x); diff != "" {
			t.Errorf("Get (-want +got):\n%s", diff)
		}
		evs, err := s.History(t.Context(), duly.HistoryQuery{Name: "a"})
		if err != nil || len(evs) != 3 {
			t.Fatalf("%+v, %v", evs, err)
		}
		if diff := cmp.Diff(duly.Event{
			Seq: evs[1].Seq, At: at(time.Hour + time.Minute), Namespace: "ns", Name: "a", Kind: "k", Generation: e.Generation, ScheduledFor: at(time.Hour), Due: at(time.Hour + time.Minute),
			Verb: "retry", From: duly.Active, To: duly.Pending, Attempt: 2, Fence: evs[1].Fence, AcceptedAt: at(0), StartedAt: at(time.Hour + time.Minute), Owner: "me", Reason: "not now",
		}, evs[1]); diff != "" {
			t.Errorf("History (-want +got):\n%s", diff)
		}
		if err := s.RunNow(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.CancelRunning(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if x, err = s.Get(t.Context(), "a"); err != nil || !x.Ended || len(x.Runs) != 1 || !x.Runs[0].Stopping || x.Runs[0].Extra {
			t.Errorf("%+v, %v; want that it has ended, and its run is asked to stop", x, err)
		}
		close(looked)
		if err := errors.Join(s.Close(t.Context()), <-ended); err != nil {
			t.Error(err)
		}
	})
}

// When a task was accepted is told by the store's clock, of one that fires once as well.
func TestPut_AcceptedByTheStoresClock(t *testing.T) {
	now := time.Date(2031, 3, 1, 12, 0, 0, 0, time.UTC)
	st := memory.New(memory.Options{Clock: clock.NewManual(now)})
	s, err := duly.New(duly.Options{Store: st})
	if err != nil {
		t.Fatal(err)
	}
	if s.Store() != store.Store(st) {
		t.Errorf("the store is %v, want the one that was given", s.Store())
	}
	k := duly.Declare[string](s, "k")
	for name, when := range map[string]schedule.Schedule{"after": schedule.After(time.Hour), "at": schedule.At(now.Add(time.Hour))} {
		if _, err := k.Put(t.Context(), name, "", when); err != nil {
			t.Fatal(err)
		}
		if x, err := s.Get(t.Context(), name); err != nil || !x.AcceptedAt.Equal(now) || !x.Due.Equal(now.Add(time.Hour)) {
			t.Errorf("%+v, %v; want it accepted at %v", x, err, now)
		}
	}
	if err := errors.Join(s.Close(t.Context()), st.Close()); err != nil {
		t.Error(err)
	}
}

// Simulate yields from the first instant up to, but not with, the second, what waits for its retry among it unless it is paused; what is due
// before that is due at its beginning, and what has a limit ends there. However many tasks there are, it comes to all.
func TestSimulate_Edges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		b := newBench(t, func(_ context.Context, a *duly.Attempt[string]) error {
			return duly.RetryAfter(map[string]time.Duration{"fails": 30 * time.Minute, "fails, paused": 30 * time.Minute, "fails late": time.Hour}[a.Name], errors.New("no"))
		})
		put := func(name string, when schedule.Schedule) {
			t.Helper()
			if _, err := b.kind.Put(t.Context(), name, "", when); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"fails", "fails, paused", "fails late"} {
			put(name, schedule.After(0))
		}
		synctest.Wait()
		hour := func(h float64) time.Time { return begun.Add(time.Duration(h * float64(time.Hour))) }
		put("before", schedule.At(hour(0.2)))
		put("at the beginning", schedule.At(hour(0.25)))
		put("at the end", schedule.At(hour(1)))
		put("just before", schedule.At(hour(1).Add(-time.Microsecond)))
		put("every", schedule.Every(20*time.Minute))
		put("twice", schedule.Every(10*time.Minute).Times(2))
		put("never", schedule.Every(time.Hour).Until(hour(0.5)))
		put("pace", schedule.Pace(5*time.Minute).Times(3))
		if _, err := b.Pause(t.Context(), duly.Query{Names: []string{"fails, paused"}}, ""); err != nil {
			t.Fatal(err)
		}
		look := func(from, to float64) (got []string) {
			t.Helper()
			for f, err := range b.Simulate(t.Context(), hour(from), hour(to)) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, fmt.Sprintf("%v %s for %v", f.Due.Sub(begun), f.Name, f.ScheduledFor.Sub(begun)))
			}
			return got
		}
		got := look(0.25, 1)
		last := ""
		for i, x := range got { // what is due at once comes in any order
			if at, _, _ := strings.Cut(x, " "); at != last {
				last = at
				n := i
				for n < len(got) && strings.HasPrefix(got[n], at+" ") {
					n++
				}
				slices.Sort(got[i:n])
			}
		}
		want := []string{
			"15m0s at the beginning for 15m0s", "15m0s before for 12m0s", "15m0s pace for 5m0s", "15m0s twice for 10m0s", "20m0s every for 20m0s", "20m0s pace for 20m0s",
			"20m0s twice for 20m0s", "25m0s pace for 25m0s", "30m0s fails for 0s", "40m0s every for 40m0s", "59m59.999999s just before for 59m59.999999s",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Simulate (-want +got):\n%s", diff)
		}
		if got := look(0.3, 0.3); len(got) != 0 {
			t.Errorf("in no time: %q", got)
		}
		if got := look(1, 1.01); !slices.Contains(got, "1h0m0s fails late for 0s") {
			t.Errorf("%q, want the retry after an hour among it", got)
		}
		if _, err := b.kind.PutMany(t.Context(), slices.Values(items(2500, 100*time.Hour))); err != nil {
			t.Fatal(err)
		}
		if got := look(99, 101); len(got) < 2500 {
			t.Errorf("%d are foreseen of 2500", len(got))
		}
	})
}

// hintless is a store that gives no hints, and counts how often its history is read.
type hintless struct {
	store.Store

	reads atomic.Int64
}

func (s *hintless) History(ctx context.Context, q store.HistoryQuery) ([]store.Event, error) {
	s.reads.Add(1)
	return s.Store.History(ctx, q)
}

// Who follows the history hears of what this scheduler writes, also of a store that gives no hints, and while nothing is written nothing is
// read. It ends with the store.
//
// contract: C6
func TestEvents_Idle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memory.New(memory.Options{})
		st := &hintless{Store: mem}
		s, err := duly.New(duly.Options{Store: st})
		if err != nil {
			t.Fatal(err)
		}
		k := duly.Declare[string](s, "k")
		var heard []int64
		ended := make(chan error, 1)
		go func() {
			for e, err := range s.Events(t.Context(), 0) {
				if err != nil {
					ended <- err
					return
				}
				heard = append(heard, e.Seq)
			}
		}()
		if _, err := k.PutMany(t.Context(), slices.Values(items(250, time.Hour))); err != nil {
			t.Fatal(err)
		}
		if n, err := s.Pause(t.Context(), duly.Query{}, ""); n != 250 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		synctest.Wait()
		if len(heard) != 250 || !slices.IsSorted(heard) {
			t.Errorf("heard of %d entries, want 250 in their order", len(heard))
		}
		reads := st.reads.Load()
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if n := st.reads.Load() - reads; n != 0 {
			t.Errorf("the history was read %d times while nothing was written", n)
		}
		if err := mem.Close(); err != nil {
			t.Error(err)
		}
		if n, err := s.Resume(t.Context(), duly.Query{}); n != 0 || !errors.Is(err, store.ErrClosed) {
			t.Errorf("%d, %v; want ErrClosed", n, err)
		}
		if _, err := s.Cancel(t.Context(), "t1"); !errors.Is(err, store.ErrClosed) {
			t.Errorf("%v, want ErrClosed", err)
		}
		if err := <-ended; !errors.Is(err, store.ErrClosed) {
			t.Errorf("Events ends with %v, want ErrClosed", err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
