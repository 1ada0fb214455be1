package duly

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
)

// TestQuery_Matches: each field alone decides, on either side of it, as it does when tasks are asked for by their names.
func TestQuery_Matches(t *testing.T) {
	due := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	at := store.At(due)
	task := &store.Task{
		Key: store.Key{Name: "order-42"}, Spec: store.Spec{Kind: "mail", Tags: []string{"a", "b"}},
		Next: store.Occurrence{For: at, Due: at}, PausedAt: 0,
	}
	paused := *task
	paused.PausedAt = 1
	for what, tt := range map[string]struct {
		q    Query
		t    *store.Task
		want bool
	}{
		"nothing asked":           {Query{}, task, true},
		"its prefix":              {Query{Prefix: "order-"}, task, true},
		"its whole name":          {Query{Prefix: "order-42"}, task, true},
		"a longer prefix":         {Query{Prefix: "order-421"}, task, false},
		"another prefix":          {Query{Prefix: "tea"}, task, false},
		"its kind":                {Query{Kind: "mail"}, task, true},
		"another kind":            {Query{Kind: "tea"}, task, false},
		"its second tag":          {Query{Tag: "b"}, task, true},
		"another tag":             {Query{Tag: "c"}, task, false},
		"its state":               {Query{State: Pending}, task, true},
		"another state":           {Query{State: Active}, task, false},
		"paused, and it is":       {Query{Paused: true}, &paused, true},
		"paused, and it is not":   {Query{Paused: true}, task, false},
		"due from its instant on": {Query{DueFrom: due}, task, true},
		"due from before":         {Query{DueFrom: due.Add(-time.Second)}, task, true},
		"due from later on":       {Query{DueFrom: due.Add(time.Microsecond)}, task, false},
		"due until its instant":   {Query{DueUntil: due}, task, true},
		"due until later":         {Query{DueUntil: due.Add(time.Second)}, task, true},
		"due until before":        {Query{DueUntil: due.Add(-time.Microsecond)}, task, false},
		"all at once":             {Query{Prefix: "o", Kind: "mail", Tag: "a", State: Pending, DueFrom: due, DueUntil: due}, task, true},
	} {
		if got := tt.q.matches(tt.t); got != tt.want {
			t.Errorf("%s: %t, want %t", what, got, tt.want)
		}
	}
}

// divided is a store in memory that says that processes share it, and counts how often its history is read.
type divided struct {
	*memory.Store

	reads atomic.Int64
}

func (s *divided) Own(ctx context.Context, _ string, _ func() []string, _ func(store.Share)) error {
	<-ctx.Done()
	return ctx.Err()
}

func (s *divided) History(ctx context.Context, q store.HistoryQuery) ([]store.Event, error) {
	s.reads.Add(1)
	return s.Store.History(ctx, q)
}

// TestEvents_LooksOnceASecond: who follows the history of a store that processes share looks at it once a second, from when it was looked at
// last; there is one alarm for that however much is written, and none when nobody follows it any more.
func TestEvents_LooksOnceASecond(t *testing.T) {
	for _, how := range []string{"by its context", "by who has seen enough", "by the scheduler"} {
		synctest.Test(t, func(t *testing.T) {
			st := &divided{Store: memory.New(memory.Options{})}
			s, err := New(Options{Store: st})
			if err != nil {
				t.Fatal(err)
			}
			k := Declare[string](s, "k")
			if _, err := k.Put(t.Context(), "a", "", schedule.After(24*time.Hour)); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			heard := 0
			ended := make(chan error, 1)
			go func() {
				for _, err := range s.Events(ctx, 0) {
					if err != nil {
						ended <- err
						return
					}
					if heard++; heard == 51 {
						break
					}
				}
				ended <- nil
			}()
			synctest.Wait()
			alarms := func(want int) {
				t.Helper()
				if n := s.core.eng.Stats().Pending; n != want {
					t.Errorf("ended %s: %d alarms are set, want %d", how, n, want)
				}
			}
			time.Sleep(100 * time.Millisecond)
			for range 25 {
				if n, err := s.Pause(t.Context(), Query{}, ""); n != 1 || err != nil {
					t.Fatal(n, err)
				}
				synctest.Wait()
				if n, err := s.Resume(t.Context(), Query{}); n != 1 || err != nil {
					t.Fatal(n, err)
				}
				synctest.Wait()
				alarms(1)
			}
			if heard != 50 {
				t.Errorf("heard of %d entries, want 50", heard)
			}
			reads := st.reads.Load()
			time.Sleep(time.Second - 1)
			synctest.Wait()
			if n := st.reads.Load() - reads; n != 0 {
				t.Errorf("read %d times within a second, want 0", n)
			}
			time.Sleep(9*time.Second + 1)
			synctest.Wait()
			if n := st.reads.Load() - reads; n != 10 {
				t.Errorf("read %d times within 10 s in which nothing was written, want 10", n)
			}
			alarms(1)
			switch how {
			case "by its context":
				if stop(); !errors.Is(<-ended, context.Canceled) {
					t.Error("it does not end with the cause of its context")
				}
				alarms(0)
			case "by who has seen enough":
				if _, err := s.Pause(t.Context(), Query{}, ""); err != nil {
					t.Fatal(err)
				}
				if err := <-ended; err != nil {
					t.Error(err)
				}
				alarms(0)
			}
			if err := s.Close(t.Context()); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			reads = st.reads.Load()
			time.Sleep(time.Minute)
			synctest.Wait()
			if n := st.reads.Load() - reads; n != 0 {
				t.Errorf("ended %s: read %d times by who is closed", how, n)
			}
			stop()
			if err := st.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
