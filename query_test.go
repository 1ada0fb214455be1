package duly_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
		var both [2]*duly.Scheduler
		for i := range both {
			s, err := duly.New(duly.Options{Store: st})
			if err != nil {
				t.Fatal(err)
			}
			both[i] = s
		}
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
