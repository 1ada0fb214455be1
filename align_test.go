package duly_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly"
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
