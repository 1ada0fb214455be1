package duly_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/zonedb"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
)

// notedStore keeps notes, and fails to read them for a while.
type notedStore struct {
	*memory.Store

	mu    sync.Mutex
	fails int
	asked []time.Time
	late  int // calls by whoever has been asked to end
	notes map[string]string
}

func (s *notedStore) Note(ctx context.Context, name string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, time.Now())
	if ctx.Err() != nil {
		s.late++
	}
	if s.fails != 0 {
		s.fails--
		return "", store.ErrBroken
	}
	return s.notes[name], nil
}

func (s *notedStore) SetNote(_ context.Context, name, text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes[name] = text
	return nil
}

// Whether the rules of zones have changed is looked at until the store has answered, at most a minute apart, and no longer than Run runs.
func TestRun_ZonesOfAStoreThatFails(t *testing.T) {
	for _, tt := range []struct {
		what         string
		fails        int
		after        time.Duration
		asked, noted int
	}{
		{"works", 0, time.Hour, 1, 1},
		{"fails for a while", 8, time.Hour, 9, 1}, // after 1, 3, 7, 15, 31, 63, 123 and 183 s
		{"fails, and Run ends meanwhile", -1, 100 * time.Second, 7, 0},
	} {
		t.Run(tt.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := &notedStore{Store: memory.New(memory.Options{}), fails: tt.fails, notes: map[string]string{}}
				var log bytes.Buffer
				s, err := duly.New(duly.Options{Store: st, Logger: slog.New(slog.NewTextHandler(&log, nil))})
				if err != nil {
					t.Fatal(err)
				}
				begun := time.Now()
				ended := make(chan error)
				go func() { ended <- s.Run(t.Context()) }()
				time.Sleep(tt.after)
				synctest.Wait()
				if err := errors.Join(s.Drain(t.Context()), <-ended, st.Close()); err != nil {
					t.Error(err)
				}
				for i := range st.asked[1:] {
					if d := st.asked[i+1].Sub(st.asked[i]); d != min(time.Second<<i, time.Minute) {
						t.Errorf("asked again after %v for the %dth time", d, i+1)
					}
				}
				if len(st.asked) != tt.asked || len(st.notes) != tt.noted || st.late != 0 {
					t.Errorf("asked %d times, %d of them by who has ended, %d notes; want %d, 0 and %d", len(st.asked), st.late, len(st.notes), tt.asked, tt.noted)
				}
				if n := strings.Count(log.String(), "level=WARN"); n != tt.asked-tt.noted {
					t.Errorf("warned %d times since %v, want %d:\n%s", n, begun, tt.asked-tt.noted, &log)
				}
			})
		})
	}
}

// What was paused, and is to come by newer rules although by the old ones it has passed, is not missed: whoever resumes it knows better,
// also where nothing runs.
//
// contract: I1
func TestResume_ByNewRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		rules := func(hours int) { // by which Berlin is ahead of UTC
			t.Cleanup(zonedb.Use(&zonedb.DB{Version: fmt.Sprint("rules ", hours), Load: func(name string) (*time.Location, error) {
				return time.FixedZone(name, hours*3600), nil
			}}))
		}
		st := memory.New(memory.Options{})
		daily := schedule.Cron("0 9 * * *")
		var log bytes.Buffer
		open := func() (*duly.Scheduler, *duly.Kind[string]) {
			s, err := duly.New(duly.Options{Store: st, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			return s, duly.Declare[string](s, "k")
		}
		next := func(s *duly.Scheduler, want time.Duration) {
			t.Helper()
			x, err := s.Get(t.Context(), "daily")
			if err != nil {
				t.Fatal(err)
			}
			if got := x.Due.Sub(begun); got != want {
				t.Errorf("the next one is due after %v, want %v", got, want)
			}
		}
		rules(2)
		old, k := open()
		if _, err := k.Put(t.Context(), "daily", "", daily.In("Europe/Berlin")); err != nil {
			t.Fatal(err)
		}
		if _, err := old.Pause(t.Context(), duly.Query{}, ""); err != nil {
			t.Fatal(err)
		}
		next(old, 7*time.Hour)
		time.Sleep(7*time.Hour + 30*time.Minute)
		rules(1)
		s, _ := open()
		if n, err := s.Resume(t.Context(), duly.Query{}); n != 1 || err != nil {
			t.Fatalf("Resume: %d, %v", n, err)
		}
		next(s, 8*time.Hour)
		evs, err := s.History(t.Context(), duly.HistoryQuery{Name: "daily", Newest: true, Limit: 1})
		if err != nil || len(evs) != 1 || evs[0].Verb != "resume" || evs[0].Missed != 0 {
			t.Errorf("the history ends with %+v, %v; want a resume, with nothing missed", evs, err)
		}
		if log.Len() != 0 {
			t.Errorf("logged %s", &log)
		}
		rules(0) // and whoever runs says what it has recorded anew
		newest, _ := open()
		ended := make(chan error)
		go func() { ended <- newest.Run(t.Context()) }()
		synctest.Wait()
		next(newest, 9*time.Hour)
		if want := "the rules of zones have changed"; strings.Count(log.String(), want) != 1 || !strings.Contains(log.String(), "tasks=1") {
			t.Errorf("logged %s, want once, that %s of one task", &log, want)
		}
		if err := errors.Join(newest.Close(t.Context()), <-ended); err != nil {
			t.Error(err)
		}
		if err := errors.Join(old.Close(t.Context()), s.Close(t.Context()), st.Close()); err != nil {
			t.Error(err)
		}
	})
}

// What fell while a task was paused is told by the rules that its zone has when it is resumed, to the microsecond, and so is what comes next. What
// they leave nothing of stays for who runs it to record.
//
// contract: G5 I1
func TestResume_ByTheRulesOfThen(t *testing.T) {
	daily := func() schedule.Schedule { return schedule.Cron("0 9 * * *").In("Europe/Berlin") } // it has the rules of when it is made
	ends := time.Date(2000, 1, 1, 7, 30, 0, 0, time.UTC)
	for _, tt := range []struct {
		what     string
		when     func() schedule.Schedule
		opts     []duly.PutOption
		was, now int // by how many hours Berlin is ahead of UTC
		at       time.Duration
		want     string
	}{
		{"before it is due by either", daily, nil, 2, 1, 6 * time.Hour, "next 7h0m0s; resume"}, // it is recorded anew when it is due
		{"before it is due by the new ones", daily, nil, 2, 1, 8*time.Hour - time.Microsecond, "next 8h0m0s; resume"},
		{"as it is due by the new ones", daily, nil, 2, 1, 8 * time.Hour, "next 32h0m0s; resume, 1 skipped: paused"},
		{"as the second is", daily, nil, 2, 1, 32 * time.Hour, "next 56h0m0s; resume, 2 skipped: paused"},
		{"and just before", daily, nil, 2, 1, 32*time.Hour - time.Microsecond, "next 32h0m0s; resume, 1 skipped: paused"},
		{"caught up if asked", daily, []duly.PutOption{duly.ResumeMissed()}, 2, 1, 32 * time.Hour, "next 7h0m0s; resume"},
		{"they have become earlier", daily, nil, 1, 2, 8 * time.Hour, "next 31h0m0s; resume, 1 skipped: paused"},
		{"and it has not come by the old ones", daily, nil, 1, 2, 7*time.Hour + 30*time.Minute, "next 8h0m0s; resume"},
		{"none is left", func() schedule.Schedule { return daily().Until(ends) }, nil, 2, 1, 10 * time.Hour, "next 7h0m0s; resume"},
		{"nothing has changed", daily, nil, 2, 2, 10 * time.Hour, "next 31h0m0s; resume, 1 skipped: paused"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rules := func(hours int) {
					t.Cleanup(zonedb.Use(&zonedb.DB{Version: fmt.Sprint("rules ", hours), Load: func(name string) (*time.Location, error) {
						return time.FixedZone(name, hours*3600), nil
					}}))
				}
				begun := time.Now()
				st := memory.New(memory.Options{})
				both := twoOn(t, st)
				rules(tt.was)
				if _, err := duly.Declare[string](both[0], "k").Put(t.Context(), "a", "", tt.when(), tt.opts...); err != nil {
					t.Fatal(err)
				}
				if n, err := both[0].Pause(t.Context(), duly.Query{}, "for a rest"); n != 1 || err != nil {
					t.Fatalf("Pause: %d, %v; want 1", n, err)
				}
				time.Sleep(tt.at)
				rules(tt.now)
				if n, err := both[1].Resume(t.Context(), duly.Query{}); n != 1 || err != nil {
					t.Fatalf("Resume: %d, %v; want 1", n, err)
				}
				if got := whatNext(t, both[1], begun); got != tt.want {
					t.Errorf("%q, want %q", got, tt.want)
				}
				if err := errors.Join(both[0].Close(t.Context()), both[1].Close(t.Context()), st.Close()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
