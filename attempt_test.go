package duly_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// What a handler returns says in words what it asks for, holds the error it was made of, and middleware tells a Snooze from the others.
func TestOutcome_Errors(t *testing.T) {
	oops := errors.New("oops")
	for _, tt := range []struct {
		err    error
		want   string
		in     time.Duration
		snooze bool
	}{
		{duly.Permanent(oops), "oops", 0, false},
		{duly.RetryAfter(time.Minute, oops), "oops", 0, false},
		{duly.RetryAfter(time.Minute, nil), "failed", 0, false},
		{duly.Permanent(nil), "failed", 0, false},
		{duly.Snooze(time.Minute), "snoozed for 1m0s", time.Minute, true},
		{fmt.Errorf("later: %w", duly.Snooze(time.Second)), "later: snoozed for 1s", time.Second, true},
		{oops, "oops", 0, false},
	} {
		d, ok := duly.Snoozed(tt.err)
		if tt.err.Error() != tt.want || d != tt.in || ok != tt.snooze {
			t.Errorf("%q, snoozed for %v: %t; want %q, %v: %t", tt.err, d, ok, tt.want, tt.in, tt.snooze)
		}
		if want := tt.want == "oops"; errors.Is(tt.err, oops) != want {
			t.Errorf("%v is the error it was made of: %t, want %t", tt.err, !want, want)
		}
	}
	if _, ok := duly.Snoozed(nil); ok {
		t.Error("no error is a Snooze")
	}
}

// How an attempt ended decides what follows: another attempt at its time, the next occurrence, or none, and the history has the reason.
func TestAttempt_WhatFollows(t *testing.T) {
	oops := errors.New("oops")
	for _, tt := range []struct {
		what string
		when schedule.Schedule
		opts []duly.PutOption
		err  func(n int) error
		want []string
	}{
		{"once more than it may", schedule.After(0), []duly.PutOption{duly.Retry(duly.RetryPolicy{Attempts: 3})}, func(int) error { return duly.RetryAfter(time.Minute, oops) }, []string{
			"0s retry running>pending #1 oops", "1m0s retry running>pending #2 oops", "2m0s settle running>dead #3 oops",
		}},
		{"what is snoozed does not count", schedule.After(0), []duly.PutOption{duly.Retry(duly.RetryPolicy{Attempts: 1})}, func(n int) error {
			if n < 3 {
				return duly.Snooze(time.Minute)
			}
			return oops
		}, []string{
			"0s snooze running>pending #1 snoozed for 1m0s", "1m0s snooze running>pending #2 snoozed for 1m0s", "2m0s settle running>dead #3 oops",
		}},
		{"ten by default", schedule.After(0), nil, func(n int) error {
			if n < 10 {
				return duly.RetryAfter(0, oops)
			}
			return duly.RetryAfter(time.Minute, oops)
		}, []string{
			"0s retry running>pending #1 oops", "0s retry running>pending #2 oops", "0s retry running>pending #3 oops", "0s retry running>pending #4 oops", "0s retry running>pending #5 oops",
			"0s retry running>pending #6 oops", "0s retry running>pending #7 oops", "0s retry running>pending #8 oops", "0s retry running>pending #9 oops", "0s settle running>dead #10 oops",
		}},
		{"at most once", schedule.After(0), []duly.PutOption{duly.AtMostOnce(), duly.Retry(duly.RetryPolicy{Attempts: 5})}, func(int) error { return oops }, []string{"0s settle running>dead #1 oops"}},
		{"for good", schedule.After(0), nil, func(int) error { return duly.Permanent(oops) }, []string{"0s settle running>dead #1 oops"}},
		{"without words", schedule.After(0), nil, func(int) error { return duly.Permanent(errors.New("")) }, []string{"0s settle running>dead #1 *duly.outcome"}},
		{"goes on", schedule.Every(time.Minute).Times(2), nil, func(int) error { return duly.Permanent(oops) }, []string{"1m0s settle running>dead #1 oops", "2m0s settle running>dead #1 oops"}},
		{"stops", schedule.Every(time.Minute).Times(2), []duly.PutOption{duly.OnError(duly.Stop)}, func(int) error { return duly.Permanent(oops) }, []string{
			"1m0s settle running>dead #1 oops", "1m0s settle pending>cancelled #0 ended by an attempt",
		}},
		{"no longer than it may take", schedule.After(0), []duly.PutOption{duly.Retry(duly.RetryPolicy{MaxElapsed: 90 * time.Second})}, func(int) error { return duly.RetryAfter(time.Minute, oops) }, []string{
			"0s retry running>pending #1 oops", "1m0s settle running>dead #2 oops",
		}},
		{"by a policy that can't be read", schedule.Schedule{}, nil, func(int) error { return duly.RetryAfter(time.Minute, oops) }, []string{"0s retry running>pending #1 oops", "1m0s retry running>pending #2 oops"}}, // the default
	} {
		t.Run(tt.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				st := memory.New(memory.Options{})
				s, err := duly.New(duly.Options{Store: st})
				if err != nil {
					t.Fatal(err)
				}
				n := 0
				k := duly.Handle(s, "k", func(context.Context, *duly.Attempt[string]) error { n++; return tt.err(n) })
				if tt.when == (schedule.Schedule{}) {
					_, err = st.Put(t.Context(), []store.Put{{Key: store.Key{Name: "a"}, Spec: store.Spec{Kind: "k", Schedule: "in 0s", Policy: []byte("as ever"), Payload: []byte(`""`)}, When: store.In(0, 0)}})
				} else {
					_, err = k.Put(t.Context(), "a", "", tt.when, tt.opts...)
				}
				if err != nil {
					t.Fatal(err)
				}
				ended := make(chan error)
				go func() { ended <- s.Run(t.Context()) }()
				time.Sleep(time.Hour)
				synctest.Wait()
				evs, err := s.History(t.Context(), duly.HistoryQuery{Name: "a"})
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, e := range evs[:min(len(evs), max(len(tt.want), 2))] {
					got = append(got, fmt.Sprintf("%v %s %v>%v #%d %s", e.At.Sub(begun), e.Verb, e.From, e.To, e.Attempt, e.Reason))
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("the history (-want +got):\n%s", diff)
				}
				if err := errors.Join(s.Close(t.Context()), <-ended, st.Close()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// Between attempts passes a random part of a backoff that doubles from its first to its most, and at least a millisecond; a given one is
// kept to also where it is out of the ordinary.
func TestRetry_Backoff(t *testing.T) {
	for _, tt := range []struct {
		policy duly.RetryPolicy
		most   []time.Duration // between the attempts
	}{
		{duly.RetryPolicy{Attempts: 6}, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second}},
		{duly.RetryPolicy{Attempts: 5, Backoff: time.Minute, MaxBackoff: 3 * time.Minute}, []time.Duration{time.Minute, 2 * time.Minute, 3 * time.Minute, 3 * time.Minute}},
		{duly.RetryPolicy{Attempts: 4, Backoff: 40 * time.Minute}, []time.Duration{40 * time.Minute, time.Hour, time.Hour}},
		{duly.RetryPolicy{Attempts: 4, Backoff: 3 * time.Hour}, []time.Duration{3 * time.Hour, 3 * time.Hour, 3 * time.Hour}},
		{duly.RetryPolicy{Attempts: 3, Backoff: 1}, []time.Duration{time.Millisecond, time.Millisecond}},
	} {
		longest := make([]time.Duration, len(tt.most))
		for range 60 { // the longest of so many is beyond half of what it may be, but for once in 10^18
			synctest.Test(t, func(t *testing.T) {
				var at []time.Time
				b := newBench(t, func(context.Context, *duly.Attempt[string]) error {
					at = append(at, time.Now())
					return errors.New("no")
				})
				if _, err := b.kind.Put(t.Context(), "a", "", schedule.After(0), duly.Retry(tt.policy)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(24 * time.Hour)
				synctest.Wait()
				if len(at) != len(tt.most)+1 {
					t.Fatalf("%d attempts, want %d", len(at), len(tt.most)+1)
				}
				for i := range longest {
					d := at[i+1].Sub(at[i])
					if d < time.Millisecond || d > tt.most[i] {
						t.Errorf("%v before attempt %d, want a millisecond to %v", d, i+2, tt.most[i])
					}
					longest[i] = max(longest[i], d)
				}
			})
		}
		for i, d := range longest {
			if d <= tt.most[i]/2 {
				t.Errorf("at most %v before attempt %d, want more than half of %v", d, i+2, tt.most[i])
			}
		}
	}
}

// refusing is a store whose transactions can be refused, whole or a row.
type refusing struct {
	inTransactions

	mu         sync.Mutex
	whole, row error
}

// refuse says what is refused from now on.
func (s *refusing) refuse(whole, row error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.whole, s.row = whole, row
}

func (s *refusing) refused() (whole, row error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.whole, s.row
}

func (s *refusing) PutTx(ctx context.Context, _ any, xs []store.Put) ([]store.PutResult, error) {
	whole, row := s.refused()
	switch {
	case whole != nil:
		return nil, whole
	case row != nil:
		return []store.PutResult{{Err: row}}, nil //nolint:nilerr // it is told in the row
	}
	return s.Put(ctx, xs)
}

func (s *refusing) SettleTx(ctx context.Context, tx any, xs []store.Settlement) ([]store.SettleResult, error) {
	whole, row := s.refused()
	switch {
	case whole != nil:
		return nil, whole
	case row != nil:
		return []store.SettleResult{{Err: row}}, nil //nolint:nilerr // it is told in the row
	}
	return s.inTransactions.SettleTx(ctx, tx, xs)
}

// A put in a transaction tells what became of it, as Put does. What the store refuses within it, whole or for the task, is told, and the run
// of a handler that could not complete it is tried again.
func TestPutTx_Complete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		st := &refusing{inTransactions: newInTransactions()}
		s, err := duly.New(duly.Options{Store: st})
		if err != nil {
			t.Fatal(err)
		}
		whole, row := errors.New("the transaction has failed"), errors.New("somebody else has it")
		var told []error // under the lock of what refuses
		k := duly.Handle(s, "k", func(ctx context.Context, a *duly.Attempt[string]) error {
			x := new(transaction)
			err := a.Complete(ctx, x)
			st.mu.Lock()
			told = append(told, err)
			st.mu.Unlock()
			if err == nil {
				return st.commit(ctx, x)
			}
			return duly.RetryAfter(time.Second, nil)
		})
		st.refuse(whole, nil)
		if e, err := k.PutTx(t.Context(), nil, "a", "", schedule.After(0)); !errors.Is(err, whole) || e != (duly.Entry{}) {
			t.Errorf("PutTx: %+v, %v; want %v", e, err, whole)
		}
		st.refuse(nil, row)
		if e, err := k.PutTx(t.Context(), nil, "a", "", schedule.After(0)); !errors.Is(err, row) || e.Name != "a" || e.Generation != 0 {
			t.Errorf("PutTx: %+v, %v; want %v", e, err, row)
		}
		st.refuse(nil, nil)
		if e, err := k.PutTx(t.Context(), nil, "a", "", schedule.After(0), nil); !errors.Is(err, duly.ErrInvalid) || e != (duly.Entry{}) {
			t.Errorf("PutTx: %+v, %v; want ErrInvalid", e, err)
		}
		e, err := k.PutTx(t.Context(), nil, "a", "", schedule.After(0))
		if want := (duly.Entry{Name: "a", Outcome: duly.Created, Generation: e.Generation, ScheduledFor: begun.UTC(), Due: begun.UTC()}); err != nil || e != want || e.Generation == 0 {
			t.Errorf("PutTx: %+v, %v; want %+v", e, err, want)
		}
		st.refuse(whole, nil)
		ended := make(chan error)
		go func() { ended <- s.Run(t.Context()) }()
		synctest.Wait()
		st.refuse(nil, row)
		time.Sleep(time.Second)
		synctest.Wait()
		st.refuse(nil, nil)
		time.Sleep(time.Second)
		synctest.Wait()
		if want := []error{whole, row, nil}; !slices.Equal(told, want) {
			t.Errorf("Complete: %v, want %v", told, want)
		}
		if got, want := counted(t, s), (duly.KindStats{Started: 3, Succeeded: 1, Failed: 2}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		if err := errors.Join(s.Close(t.Context()), <-ended, st.Close()); err != nil {
			t.Error(err)
		}
	})
}
