package duly_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
)

// contested is a store in which somebody else writes just before an edit does, and which refuses rows when it is told to.
type contested struct {
	*memory.Store

	before  func(x *store.Edit) // called before an edit, which it may be about
	refuses map[string]error    // by name
	refused store.Instant       // the instant of runs beside the schedule that there is no room for
	fails   map[string]error    // calls of Get and of List, by which
	lists   int
}

func (s *contested) Get(ctx context.Context, keys []store.Key) ([]*store.Task, error) {
	if err := s.fails["Get"]; err != nil {
		return nil, err
	}
	return s.Store.Get(ctx, keys)
}

func (s *contested) List(ctx context.Context, q store.Query) (store.Page, error) {
	s.lists++
	if err := s.fails["List "+strconv.Itoa(s.lists)]; err != nil {
		return store.Page{}, err
	}
	return s.Store.List(ctx, q)
}

// refusal is the error of an edit, if there is to be one.
func (s *contested) refusal(x *store.Edit) error {
	if s.refused != 0 && x.When.Resolve(0).For == s.refused {
		return store.ErrInvalid
	}
	return s.refuses[x.Name]
}

func (s *contested) Edit(ctx context.Context, xs []store.Edit) ([]store.EditResult, error) {
	if s.before != nil {
		s.before(&xs[0])
	}
	var pass []store.Edit
	for i := range xs {
		if s.refusal(&xs[i]) == nil {
			pass = append(pass, xs[i])
		}
	}
	some, err := s.Store.Edit(ctx, pass)
	if err != nil {
		return nil, err
	}
	all := make([]store.EditResult, len(xs))
	for i := range xs {
		if all[i].Err = s.refusal(&xs[i]); all[i].Err == nil {
			all[i], some = some[0], some[1:]
		}
	}
	return all, nil
}

// times lets what is done before edits be done before the first n of them alone.
func (s *contested) times(n int, do func(x *store.Edit)) {
	s.before = func(x *store.Edit) {
		if n--; n >= 0 {
			do(x)
		}
	}
}

// newContested returns a scheduler that does not run, on a store with tasks.
func newContested(t *testing.T, tasks map[string]schedule.Schedule) (*duly.Scheduler, *contested) {
	t.Helper()
	st := &contested{Store: memory.New(memory.Options{}), refuses: map[string]error{}, fails: map[string]error{}}
	s, err := duly.New(duly.Options{Store: st})
	if err != nil {
		t.Fatal(err)
	}
	k := duly.Declare[string](s, "k")
	for name, when := range tasks {
		if _, err := k.Put(t.Context(), name, "", when); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := errors.Join(s.Close(context.Background()), st.Close()); err != nil { //nolint:usetesting // the test's own has ended
			t.Error(err)
		}
	})
	return s, st
}

// What somebody else has changed meanwhile is edited as it is since, however often that happens, until the caller has no more time.
func TestEdit_OfWhatOthersEdit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, st := newContested(t, map[string]schedule.Schedule{"a": schedule.Every(time.Hour), "b": schedule.Every(time.Hour)})
		begun := time.Now()
		other := func(x *store.Edit) { // another payload, and with it another generation
			b := fmt.Appendf(nil, `"%d"`, x.IfGeneration)
			if _, err := st.Store.Edit(t.Context(), []store.Edit{{Verb: store.VerbMove, Key: x.Key, Payload: b}}); err != nil {
				t.Error(err)
			}
		}
		st.times(3, other)
		e, err := s.Move(t.Context(), "a", schedule.After(time.Minute))
		if want := begun.Add(time.Minute); err != nil || !e.Due.Equal(want) || e.Outcome != duly.Replaced || e.Name != "a" || e.Err != nil {
			t.Errorf("Move: %+v, %v; want it due at %v", e, err, want)
		}
		x, err := s.Get(t.Context(), "a")
		if err != nil || !x.Due.Equal(e.Due) || x.Generation != e.Generation {
			t.Errorf("Get: %+v, %v; want it as Move has returned it, %+v", x, err, e)
		}
		st.times(2, other)
		if n, err := s.Pause(t.Context(), duly.Query{}, ""); n != 2 || err != nil {
			t.Errorf("Pause: %d, %v; want 2", n, err)
		}
		st.times(2, func(x *store.Edit) { // that one is paused no more: it is not counted, because it was not resumed here
			if _, err := st.Store.Edit(t.Context(), []store.Edit{{Verb: store.VerbResume, Key: x.Key}}); err != nil {
				t.Error(err)
			}
		})
		if n, err := s.Resume(t.Context(), duly.Query{Names: []string{"a"}}); n != 0 || err != nil {
			t.Errorf("Resume of what somebody else has resumed: %d, %v; want 0", n, err)
		}
		st.times(1, func(x *store.Edit) {
			if _, err := st.Cancel(t.Context(), []store.Cancel{{Key: x.Key}}); err != nil {
				t.Error(err)
			}
		})
		if n, err := s.Pause(t.Context(), duly.Query{}, ""); n != 0 || err != nil {
			t.Errorf("Pause of what somebody else has cancelled: %d, %v; want 0", n, err)
		}
		ctx, stop := context.WithCancelCause(t.Context())
		enough := errors.New("enough")
		st.times(5, func(x *store.Edit) { other(x); stop(enough) })
		if err := s.RunNow(ctx, "b"); !errors.Is(err, enough) {
			t.Errorf("RunNow, while it was changed and the context ended: %v, want %v", err, enough)
		}
	})
}

// Of several edits those that are refused are told, and the others done and counted. One that somebody else has done before is none.
func TestEdit_SomeAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hourly := schedule.Every(time.Hour)
		s, st := newContested(t, map[string]schedule.Schedule{"a": hourly, "b": hourly, "c": hourly})
		refused := errors.New("not this one")
		st.refuses["b"] = refused
		if n, err := s.Pause(t.Context(), duly.Query{}, ""); n != 1 || !errors.Is(err, refused) {
			t.Errorf("Pause of three, whose second is refused: %d, %v; want 1, %v", n, err, refused)
		}
		if err := s.RunNow(t.Context(), "b"); !errors.Is(err, refused) {
			t.Errorf("RunNow: %v, want %v", err, refused)
		}
		if n, err := s.Backfill(t.Context(), "b", time.Now().Add(-2*time.Hour), time.Now()); n != 0 || !errors.Is(err, refused) {
			t.Errorf("Backfill: %d, %v; want 0, %v", n, err, refused)
		}
		delete(st.refuses, "b")
		if n, err := s.Backfill(t.Context(), "b", time.Now().Add(-999*time.Hour), time.Now()); n != 999 || err != nil {
			t.Errorf("Backfill: %d, %v; want 999", n, err)
		}
		n, err := s.Backfill(t.Context(), "b", time.Now().Add(-1003*time.Hour), time.Now().Add(-999*time.Hour))
		if n != 1 || !errors.Is(err, duly.ErrInvalid) {
			t.Errorf("Backfill of four with room for one: %d, %v; want 1, ErrInvalid", n, err)
		}
	})
}

// A backfill makes all runs that it can, whichever are refused, and counts them.
func TestBackfill_SomeAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		s, st := newContested(t, map[string]schedule.Schedule{"a": schedule.Every(time.Hour)})
		for i, refused := range []time.Duration{-4 * time.Hour, -3 * time.Hour, -time.Hour} {
			st.refused = store.At(begun.Add(refused))
			n, err := s.Backfill(t.Context(), "a", begun.Add(-4*time.Hour), begun)
			if n != 3 || !errors.Is(err, duly.ErrInvalid) {
				t.Errorf("Backfill of four, of which that of %v is refused: %d, %v; want 3, ErrInvalid", refused, n, err)
			}
			if x, err := s.Get(t.Context(), "a"); err != nil || len(x.Runs) != 3*(i+1) {
				t.Errorf("%+v, %v; want %d runs", x, err, 3*(i+1))
			}
		}
	})
}

// Who is told of an error is told, too, how many were edited before it, wherever it comes from.
func TestEdit_FailsInTheMiddle(t *testing.T) {
	const tasks, page = 250, 100
	all := map[string]schedule.Schedule{}
	for i := range tasks {
		all[fmt.Sprintf("%03d", i)] = schedule.After(time.Hour)
	}
	for what, tt := range map[string]struct {
		fails string
		want  int
		err   error
	}{
		"the next page can't be read":                 {"List 2", page, store.ErrBroken},
		"the last one can't":                          {"List 3", 2 * page, store.ErrBroken},
		"what others have changed can't be read anew": {"Get", 7, store.ErrBroken},
		"nothing": {"", tasks, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, st := newContested(t, all)
			if tt.fails != "" {
				st.fails[tt.fails] = store.ErrBroken
			}
			st.before = func(x *store.Edit) {
				if x.Name != "007" {
					return
				}
				st.before = nil
				if _, err := st.Store.Edit(t.Context(), []store.Edit{{Verb: store.VerbMove, Key: x.Key, Payload: []byte("1")}}); err != nil {
					t.Error(err)
				}
			}
			st.lists = 0
			if n, err := s.Pause(t.Context(), duly.Query{}, ""); n != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("%s: Pause: %d, %v; want %d, %v", what, n, err, tt.want, tt.err)
			}
			clear(st.fails)
			paused := 0
			for _, err := range s.List(t.Context(), duly.Query{Paused: true}) {
				if err != nil {
					t.Fatal(err)
				}
				paused++
			}
			if paused != tt.want {
				t.Errorf("%s: %d are paused, want %d", what, paused, tt.want)
			}
		})
	}
}

// What has been cancelled, and of which only a run is left, is neither paused nor resumed, and is no error.
func TestEdit_OfWhatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(ctx context.Context, a *duly.Attempt[string]) error { return takes(time.Hour)(ctx, a) })
		for _, name := range []string{"a", "b"} {
			if _, err := b.kind.Put(t.Context(), name, "", schedule.Every(time.Minute)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(90 * time.Second)
		synctest.Wait()
		if o, err := b.Cancel(t.Context(), "a"); o != duly.Cancelled || err != nil {
			t.Fatal(o, err)
		}
		both := duly.Query{Names: []string{"a", "b"}}
		for _, q := range []duly.Query{{}, both} {
			if n, err := b.Pause(t.Context(), q, ""); n != 1 || err != nil {
				t.Errorf("Pause: %d, %v; want the one that goes on", n, err)
			}
			if n, err := b.Resume(t.Context(), q); n != 1 || err != nil {
				t.Errorf("Resume: %d, %v; want the one that goes on", n, err)
			}
		}
	})
}

// Of many that are refused the first ten are told of, and how many more there are.
func TestRedrive_ManyAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := memory.New(memory.Options{})
		s, err := duly.New(duly.Options{Store: st})
		if err != nil {
			t.Fatal(err)
		}
		k := duly.Handle(s, "k", func(context.Context, *duly.Attempt[string]) error { return duly.Permanent(errors.New("no")) })
		ended := make(chan error)
		go func() { ended <- s.Run(t.Context()) }()
		for _, at := range []schedule.Schedule{schedule.After(0), schedule.After(time.Hour)} { // the second takes the names of the dead
			for i := range 13 {
				if _, err := k.Put(t.Context(), strconv.Itoa(i), "", at); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
		}
		n, err := s.Redrive(t.Context(), duly.Query{})
		if err == nil || n != 0 || strings.Count(err.Error(), "\n") != 10 || !strings.HasSuffix(err.Error(), "\nand 3 more are refused") || !errors.Is(err, duly.ErrExists) {
			t.Errorf("Redrive of 13 whose names others have: %d, %v", n, err)
		}
		if err := errors.Join(s.Close(t.Context()), <-ended, st.Close()); err != nil {
			t.Error(err)
		}
	})
}

// Dead runs are tried again but for those whose name another task has by now: of these the caller is told, and the others are counted.
func TestRedrive_SomeAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &contested{Store: memory.New(memory.Options{})}
		s, err := duly.New(duly.Options{Store: st})
		if err != nil {
			t.Fatal(err)
		}
		fail := true
		k := duly.Handle(s, "k", func(context.Context, *duly.Attempt[string]) error {
			if fail {
				return duly.Permanent(errors.New("no"))
			}
			return nil
		})
		ended := make(chan error)
		go func() { ended <- s.Run(t.Context()) }()
		for _, name := range []string{"a", "b", "c", "d"} {
			if _, err := k.Put(t.Context(), name, "", schedule.After(0)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		fail = false
		for _, name := range []string{"a", "c"} {
			if _, err := k.Put(t.Context(), name, "other", schedule.After(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		st.before = func(x *store.Edit) {
			if x.Name == "d" && x.Verb == store.VerbRedrive {
				st.before = nil
				if n, err := s.Redrive(t.Context(), duly.Query{Prefix: "d"}); n != 1 || err != nil {
					t.Errorf("Redrive of d: %d, %v; want 1", n, err)
				}
			}
		}
		n, err := s.Redrive(t.Context(), duly.Query{})
		if want := "store: redrive \"a\": a task of this name exists\nstore: redrive \"c\": a task of this name exists"; n != 1 || err == nil || err.Error() != want {
			t.Errorf("Redrive: %d, %v; want 1, and\n%s", n, err, want)
		}
		synctest.Wait()
		var left []string
		for x, err := range s.List(t.Context(), duly.Query{State: duly.Dead}) {
			if err != nil {
				t.Fatal(err)
			}
			left = append(left, x.Name)
		}
		if want := []string{"a", "c"}; !slices.Equal(left, want) {
			t.Errorf("dead are %q, want %q", left, want)
		}
		if err := errors.Join(s.Close(t.Context()), <-ended, st.Close()); err != nil {
			t.Error(err)
		}
	})
}

// CancelRunning stops what runs of the name at once, beside each other as well, and nothing else; Await returns as soon as it has ended.
//
// contract: E3
func TestCancelRunning_AtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		var mu sync.Mutex
		var stopped []string
		b := newBench(t, func(ctx context.Context, a *duly.Attempt[string]) error {
			err := takes(7*time.Minute)(ctx, a)
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				stopped = append(stopped, fmt.Sprintf("%s after %v: %v", a.Name, time.Since(begun), err))
			}
			return err
		})
		if _, err := b.kind.Put(t.Context(), "a", "", schedule.Every(time.Minute), duly.Overlap(duly.Allow)); err != nil {
			t.Fatal(err)
		}
		if _, err := b.kind.Put(t.Context(), "b", "", schedule.After(90*time.Second)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2*time.Minute + 1500*time.Millisecond) // no lease is about to be renewed
		awaited := make(chan error, 1)
		go func() { awaited <- b.Await(t.Context(), "a") }()
		synctest.Wait()
		if got, err := b.CancelRunning(t.Context(), "a"); got != duly.Cancelled || err != nil {
			t.Errorf("CancelRunning: %v, %v; want %v", got, err, duly.Cancelled)
		}
		synctest.Wait()
		if err := <-awaited; err != nil || time.Since(begun) != 2*time.Minute+1500*time.Millisecond {
			t.Errorf("Await: %v after %v, want nil at once", err, time.Since(begun))
		}
		line := "a after 2m1.5s: the attempt is asked to stop"
		if want := []string{line, line}; !slices.Equal(stopped, want) {
			t.Errorf("stopped %q, want %q", stopped, want)
		}
		if got, err := b.CancelRunning(t.Context(), "b"); got != duly.Running || err != nil {
			t.Errorf("CancelRunning: %v, %v; want %v", got, err, duly.Running)
		}
		for name, want := range map[string]duly.Outcome{"b": duly.Finished, "nobody": duly.Unknown} {
			synctest.Wait()
			if got, err := b.CancelRunning(t.Context(), name); got != want || err != nil {
				t.Errorf("CancelRunning of %s: %v, %v; want %v", name, got, err, want)
			}
		}
	})
}

// Await hears of an attempt in another process within a second of its end, and returns with the cause of its context when that ends.
func TestAwait_Elsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := memory.New(memory.Options{})
		both := twoOn(t, st)
		k := duly.Handle(both[0], "k", func(ctx context.Context, a *duly.Attempt[string]) error { return takes(10*time.Second)(ctx, a) })
		ended := make(chan error)
		go func() { ended <- both[0].Run(t.Context()) }()
		begun := time.Now()
		if _, err := k.Put(t.Context(), "a", "", schedule.After(0)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond)
		ctx, stop := context.WithCancelCause(t.Context())
		enough := errors.New("waited enough")
		time.AfterFunc(4*time.Second, func() { stop(enough) })
		if err := both[1].Await(ctx, "a"); !errors.Is(err, enough) || time.Since(begun) != 4500*time.Millisecond {
			t.Errorf("Await until a context ends: %v after %v, want %v after 4.5s", err, time.Since(begun), enough)
		}
		if err := both[1].Await(t.Context(), "a"); err != nil || time.Since(begun) != 10500*time.Millisecond {
			t.Errorf("Await: %v after %v, want nil after 10.5s", err, time.Since(begun))
		}
		if err := errors.Join(both[0].Close(t.Context()), <-ended, both[1].Close(t.Context()), st.Close()); err != nil {
			t.Error(err)
		}
	})
}

// Backfill makes runs for what a schedule has had from one instant up to another: for a grid also before the task was accepted, each in its
// place, and none of them counts as a start of the schedule or moves it.
func TestBackfill_Instants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now() // midnight
		hour := func(h float64) time.Time { return begun.Add(time.Duration(h * float64(time.Hour))) }
		s, _ := newContested(t, map[string]schedule.Schedule{
			"every": schedule.Every(time.Hour), "aligned": schedule.Every(time.Hour).AlignTo(hour(0.5)), "cron": schedule.Cron("0 */2 * * *"),
			"jittered": schedule.Every(time.Hour).Jitter(30 * time.Minute), "ends": schedule.Every(time.Hour).Until(hour(2)), "none": schedule.Cron("0 0 1 7 *"),
			"from": schedule.Every(time.Hour).From(hour(0.25)), "had ended": schedule.Every(time.Hour).Until(hour(0.5)),
			"every other": schedule.RRule("FREQ=HOURLY;INTERVAL=2"), "every third": schedule.RRule("DTSTART:19991231T220000Z\nRRULE:FREQ=HOURLY;INTERVAL=3"),
			"both": schedule.Union(schedule.Every(time.Hour), schedule.Cron("30 * * * *")),
		})
		time.Sleep(30 * time.Minute)
		for _, tt := range []struct {
			name     string
			from, to float64
			want     []string
		}{
			{"every", -2, 0, []string{"-2h0m0s", "-1h0m0s"}},
			{"every", -1.5, 2, []string{"-1h0m0s", "0s", "1h0m0s"}},
			{"every", 0, 0.5, []string{"0s"}},
			{"every", 0.5, 3.25, []string{"1h0m0s", "2h0m0s", "3h0m0s"}},
			{"every", 3, 3, nil},
			{"aligned", -1, 1, []string{"-30m0s", "30m0s"}},
			{"cron", -4, 0, []string{"-4h0m0s", "-2h0m0s"}},
			{"cron", -4, 0.001, []string{"-4h0m0s", "-2h0m0s", "0s"}},
			{"jittered", -1, 1, []string{"-1h0m0s", "0s"}},
			{"ends", -1, 5, []string{"-1h0m0s", "0s", "1h0m0s", "2h0m0s"}},
			{"none", -24, 24, nil},
			{"from", -1, 2, []string{"15m0s", "1h15m0s"}},
			{"had ended", -1, 2, []string{"-1h0m0s", "0s"}},
			{"every other", -3.5, 3, []string{"2h0m0s"}},
			{"every other", 1, 5, []string{"2h0m0s", "4h0m0s"}},
			{"every third", -3, 3, []string{"-2h0m0s", "1h0m0s"}},
			{"every third", 2, 5, []string{"4h0m0s"}},
			{"both", -2, 1.25, []string{"30m0s", "1h0m0s"}},
		} {
			x, err := s.Get(t.Context(), tt.name)
			if err != nil {
				t.Fatal(err)
			}
			n, err := s.Backfill(t.Context(), tt.name, hour(tt.from), hour(tt.to))
			if n != len(tt.want) || err != nil {
				t.Errorf("%s from %v to %v: %d, %v; want %d", tt.name, tt.from, tt.to, n, err, len(tt.want))
			}
			y, err := s.Get(t.Context(), tt.name)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range y.Runs[len(x.Runs):] {
				if !r.Due.Equal(r.ScheduledFor) || !r.Extra || r.State != duly.Pending || r.Reason != "backfill" {
					t.Errorf("%s from %v to %v: %+v, want an extra run that waits and is due when it was", tt.name, tt.from, tt.to, r)
				}
				got = append(got, r.ScheduledFor.Sub(begun).String())
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%s from %v to %v: runs for %q, want %q", tt.name, tt.from, tt.to, got, tt.want)
			}
			if !y.ScheduledFor.Equal(x.ScheduledFor) || y.Starts != 0 {
				t.Errorf("%s has %d starts and goes on at %v, want 0 and %v", tt.name, y.Starts, y.ScheduledFor, x.ScheduledFor)
			}
		}
	})
}

// What cannot be done is refused before anything is written, and the message says what would be right.
func TestEdit_Refused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newContested(t, map[string]schedule.Schedule{
			"once": schedule.After(time.Hour), "every": schedule.Every(time.Hour), "pace": schedule.Pace(time.Hour), "starts": schedule.PaceFromStart(time.Hour),
			"cancelled": schedule.After(time.Hour),
		})
		if _, err := s.Cancel(t.Context(), "cancelled"); err != nil {
			t.Fatal(err)
		}
		day := time.Now().Add(-24 * time.Hour)
		fill := func(name string, from time.Time) error {
			_, err := s.Backfill(t.Context(), name, from, time.Now())
			return err
		}
		move := func(name string, to schedule.Schedule) error {
			_, err := s.Move(t.Context(), name, to)
			return err
		}
		change := func(name string, c duly.Change) error {
			_, err := s.Change(t.Context(), name, c)
			return err
		}
		soon, payload := schedule.After(time.Minute), []byte("1")
		for _, tt := range []struct {
			err  error
			is   error
			want string
		}{
			{fill("once", day), duly.ErrInvalid, `store: backfill "once": schedule is in 1h, want one that recurs`},
			{fill("pace", day), duly.ErrInvalid, `store: backfill "pace": schedule is pace 1h, want one whose occurrences do not depend on its runs`},
			{fill("starts", day), duly.ErrInvalid, `store: backfill "starts": schedule is pace-from-start 1h, want one whose occurrences do not depend on its runs`},
			{fill("every", time.Now().Add(-1001*time.Hour)), duly.ErrInvalid, `store: backfill "every": occurrences is more than 1000, want a shorter time`},
			{fill("nobody", day), duly.ErrNotFound, `store: backfill "nobody": no task of this name`},
			{fill("cancelled", day), duly.ErrFinished, `store: backfill "cancelled": the task has ended`},
			{fill("", day), duly.ErrInvalid, `store: cancel: name is "", want 1 to 255 bytes of UTF-8 without control characters`},
			{move("once", schedule.Cron("* * * *")), duly.ErrInvalid, `store: move "once": invalid argument: ` + schedule.Cron("* * * *").Err().Error()},
			{move("once", schedule.Every(time.Minute)), duly.ErrInvalid, `store: move "once": schedule is every 1m, want one that fires once; to change a recurring schedule put the task again`},
			{move("nobody", soon), duly.ErrNotFound, `store: move "nobody": no task of this name`},
			{move("cancelled", soon), duly.ErrFinished, `store: move "cancelled": the task has ended`},
			{change("once", duly.Change{}), duly.ErrInvalid, `store: move "once": change is empty, want another instant, another payload, or both`},
			{change("once", duly.Change{To: schedule.Every(time.Minute)}), duly.ErrInvalid, `store: move "once": schedule is every 1m, want one that fires once; to change a recurring schedule put the task again`},
			{change("once", duly.Change{Payload: payload, IfGeneration: 99}), duly.ErrCondition, `store: move "once": the condition does not hold`},
			{change("once", duly.Change{Payload: payload, Kind: "other"}), duly.ErrKindMismatch, `store: move "once": the name belongs to a task of another kind`},
			{change("nobody", duly.Change{Payload: payload}), duly.ErrNotFound, `store: move "nobody": no task of this name`},
			{s.RunNow(t.Context(), "nobody"), duly.ErrNotFound, `store: run "nobody": no task of this name`},
			{s.RunNow(t.Context(), "cancelled"), duly.ErrFinished, `store: run "cancelled": the task has ended`},
		} {
			if !errors.Is(tt.err, tt.is) || tt.err.Error() != tt.want {
				t.Errorf("%v\nwant %v", tt.err, tt.want)
			}
		}
		evs, err := s.History(t.Context(), duly.HistoryQuery{})
		if err != nil || len(evs) != 1 {
			t.Errorf("%+v, %v; want the cancel alone", evs, err)
		}
		if n, err := s.Backfill(t.Context(), "every", time.Now().Add(-1000*time.Hour), time.Now()); n != 1000 || err != nil {
			t.Errorf("Backfill: %d, %v; want 1000", n, err)
		}
	})
}

// A change gives a task what it names, and leaves the rest as it was; the history tells which it was. Of a recurring task it moves the next
// occurrence alone, and if that is to have been before now it is now.
func TestChange_WhatBecomesOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		s, _ := newContested(t, map[string]schedule.Schedule{"once": schedule.After(time.Hour), "every": schedule.Every(time.Hour)})
		time.Sleep(time.Minute)
		told := func(name string) string {
			t.Helper()
			x, err := s.Get(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			evs, err := s.History(t.Context(), duly.HistoryQuery{Name: name, Newest: true, Limit: 1})
			if err != nil || len(evs) != 1 {
				t.Fatalf("%+v, %v", evs, err)
			}
			return fmt.Sprintf("%s with %s for %v due %v; %s %s", x.Schedule, x.Payload, x.ScheduledFor.Sub(begun), x.Due.Sub(begun), evs[0].Verb, evs[0].Reason)
		}
		at := func(d time.Duration) schedule.Schedule { return schedule.At(begun.Add(d)) }
		for _, tt := range []struct {
			name string
			c    duly.Change
			want string
		}{
			{"once", duly.Change{Payload: []byte("1")}, "in 1h with 1 for 1h0m0s due 1h0m0s; move changed"},
			{"once", duly.Change{To: schedule.After(2 * time.Minute)}, "in 2m with 1 for 3m0s due 3m0s; move moved"},
			{"once", duly.Change{To: at(30 * time.Second), Payload: []byte("2"), Kind: "k"}, "at 2000-01-01T00:00:30Z with 2 for 30s due 30s; move moved"},
			{"every", duly.Change{To: at(2 * time.Minute)}, `every 1h with "" for 2m0s due 2m0s; move moved`},
			{"every", duly.Change{To: at(time.Minute)}, `every 1h with "" for 1m0s due 1m0s; move moved`},
			{"every", duly.Change{To: at(59 * time.Second), Payload: []byte("3")}, `every 1h with 3 for 1m0s due 1m0s; move moved`},
			{"every", duly.Change{To: schedule.After(10 * time.Second), Payload: []byte("3")}, `every 1h with 3 for 1m10s due 1m10s; move moved`},
		} {
			x, err := s.Get(t.Context(), tt.name)
			if err != nil {
				t.Fatal(err)
			}
			tt.c.IfGeneration = x.Generation
			if _, err := s.Change(t.Context(), tt.name, tt.c); err != nil {
				t.Errorf("%s: %v", tt.want, err)
			}
			if diff := cmp.Diff(tt.want, told(tt.name)); diff != "" {
				t.Errorf("%s has become (-want +got):\n%s", tt.name, diff)
			}
		}
	})
}

// What fell while a task was paused is passed by when it is resumed, and recorded as skipped; what comes next is what the schedule has after
// that. What only a run can tell, what is not due, and the last occurrence of all are left where they are.
//
// contract: G5
func TestResume_WhatComesNext(t *testing.T) {
	for _, tt := range []struct {
		what string
		when schedule.Schedule
		opts []duly.PutOption
		at   time.Duration
		want string
	}{
		{"before it is due", schedule.Every(time.Hour), nil, time.Hour - time.Microsecond, "next 1h0m0s; resume"},
		{"as it is due", schedule.Every(time.Hour), nil, time.Hour, "next 2h0m0s; resume, 1 skipped: paused"},
		{"later", schedule.Every(time.Hour), nil, 3*time.Hour + 30*time.Minute, "next 4h0m0s; resume, 3 skipped: paused"},
		{"as the third is due", schedule.Every(time.Hour), nil, 3 * time.Hour, "next 4h0m0s; resume, 3 skipped: paused"},
		{"just before the third is due", schedule.Every(time.Hour), nil, 3*time.Hour - time.Microsecond, "next 3h0m0s; resume, 2 skipped: paused"},
		{"a calendar", schedule.Cron("*/20 * * * *"), nil, 50 * time.Minute, "next 1h0m0s; resume, 2 skipped: paused"},
		{"caught up if asked", schedule.Every(time.Hour), []duly.PutOption{duly.ResumeMissed()}, 3 * time.Hour, "next 1h0m0s; resume"},
		{"a one-off", schedule.After(time.Hour), nil, 3 * time.Hour, "next 1h0m0s; resume"},
		{"a pace", schedule.Pace(time.Hour), nil, 3 * time.Hour, "next 1h0m0s; resume"},
		{"a pace by starts", schedule.PaceFromStart(time.Hour), nil, 3 * time.Hour, "next 1h0m0s; resume"},
		{"the last has passed", schedule.Every(time.Hour).Until(time.Date(2000, 1, 1, 2, 0, 0, 0, time.UTC)), nil, 3 * time.Hour, "next 1h0m0s; resume"},
		{"one is left", schedule.Every(time.Hour).Until(time.Date(2000, 1, 1, 4, 0, 0, 0, time.UTC)), nil, 3 * time.Hour, "next 4h0m0s; resume, 3 skipped: paused"},
		{"none at all", schedule.Every(time.Hour).Until(time.Date(2000, 1, 1, 0, 30, 0, 0, time.UTC)), nil, 3 * time.Hour, "next never; resume"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				s, _ := newContested(t, nil)
				k := duly.Declare[string](s, "k")
				if _, err := k.Put(t.Context(), "a", "", tt.when, tt.opts...); err != nil {
					t.Fatal(err)
				}
				if n, err := s.Pause(t.Context(), duly.Query{}, "for a rest"); n != 1 || err != nil {
					t.Fatalf("Pause: %d, %v; want 1", n, err)
				}
				time.Sleep(tt.at)
				if n, err := s.Resume(t.Context(), duly.Query{}); n != 1 || err != nil {
					t.Fatalf("Resume: %d, %v; want 1", n, err)
				}
				if got := whatNext(t, s, begun); got != tt.want {
					t.Errorf("%q, want %q", got, tt.want)
				}
			})
		})
	}
}

// What was to run now, but was paused, does so when it is resumed, whenever it was put for before.
func TestResume_WhatWasToRunNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		s, _ := newContested(t, map[string]schedule.Schedule{"a": schedule.After(time.Hour)})
		if n, err := s.Pause(t.Context(), duly.Query{}, "for a rest"); n != 1 || err != nil {
			t.Fatalf("Pause: %d, %v; want 1", n, err)
		}
		time.Sleep(time.Minute)
		if err := s.RunNow(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if n, err := s.Resume(t.Context(), duly.Query{}); n != 1 || err != nil {
			t.Fatalf("Resume: %d, %v; want 1", n, err)
		}
		x, err := s.Get(t.Context(), "a")
		if err != nil || !x.Due.Equal(begun.Add(time.Minute)) {
			t.Errorf("%+v, %v; want it due at %v", x, err, begun.Add(time.Minute))
		}
		evs, err := s.History(t.Context(), duly.HistoryQuery{Name: "a", Newest: true, Limit: 1})
		if err != nil || len(evs) != 1 || evs[0].Verb != "resume" || evs[0].Missed != 0 {
			t.Errorf("the history ends with %+v, %v; want a resume, with nothing missed", evs, err)
		}
	})
}

// whatNext tells when the task a goes on, and what the history has after its pause.
func whatNext(t *testing.T, s *duly.Scheduler, begun time.Time) string {
	t.Helper()
	x, err := s.Get(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	got.WriteString("next ")
	if x.ScheduledFor.IsZero() {
		got.WriteString("never")
	} else {
		got.WriteString(x.ScheduledFor.Sub(begun).String())
	}
	evs, err := s.History(t.Context(), duly.HistoryQuery{Name: "a"})
	if err != nil || evs[0].Verb != "pause" || evs[0].Reason != "for a rest" || evs[1].Reason != "resumed" {
		t.Errorf("%+v, %v; want a pause for a rest, and that it was resumed", evs, err)
	}
	for i, e := range evs[1:] {
		if i == 0 {
			got.WriteString("; " + e.Verb)
		} else {
			fmt.Fprintf(&got, ", %d %v: %s", e.Missed, e.To, e.Reason)
		}
	}
	return got.String()
}

// A task whose schedule cannot be read any more goes on, when it is resumed, with the occurrence that it has.
func TestResume_UnreadableSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		s, st := newContested(t, nil)
		due := store.At(begun.Add(time.Hour))
		res, err := st.Put(t.Context(), []store.Put{{
			Key: store.Key{Name: "a"}, Spec: store.Spec{Kind: "k", Schedule: "whenever it rains", Recurring: true}, When: store.On(store.Occurrence{For: due, Due: due}),
		}})
		if err != nil || res[0].Err != nil {
			t.Fatal(err, res)
		}
		if n, err := s.Pause(t.Context(), duly.Query{}, "for a rest"); n != 1 || err != nil {
			t.Fatalf("Pause: %d, %v; want 1", n, err)
		}
		time.Sleep(2 * time.Hour)
		if n, err := s.Resume(t.Context(), duly.Query{}); n != 1 || err != nil {
			t.Fatalf("Resume: %d, %v; want 1", n, err)
		}
		if got, want := whatNext(t, s, begun), "next 1h0m0s; resume"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if _, err := s.Backfill(t.Context(), "a", begun, begun.Add(time.Hour)); err == nil {
			t.Error("Backfill by a schedule that can't be read is no error")
		}
		for f, err := range s.Simulate(t.Context(), begun, begun.Add(24*time.Hour)) {
			t.Errorf("Simulate foresees %+v, %v of a schedule that can't be read", f, err)
		}
	})
}
