package duly_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
)

// Who has its key's turn but waits for its kind holds nobody of its key up whose kind has room.
//
// contract: C3
func TestKey_TurnOfWhoWaitsForItsKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := duly.New()
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		var mu sync.Mutex
		var ran []string
		handler := func(ctx context.Context, a *duly.Attempt[time.Duration]) error {
			mu.Lock()
			ran = append(ran, time.Since(begun).String()+" "+a.Name)
			mu.Unlock()
			return takes(a.Payload)(ctx, nil)
		}
		narrow := duly.Handle(s, "narrow", handler, duly.Limit(1))
		wide := duly.Handle(s, "wide", handler)
		ended := make(chan error)
		go func() { ended <- s.Run(t.Context()) }()
		for _, p := range []struct {
			kind     *duly.Kind[time.Duration]
			name     string
			at, long time.Duration
			opts     []duly.PutOption
		}{
			{narrow, "fills its kind", 0, time.Minute, nil},
			{wide, "has the key", 0, 10 * time.Second, []duly.PutOption{duly.Key("k", 1)}},
			{narrow, "waits for both", time.Second, time.Second, []duly.PutOption{duly.Key("k", 1)}},
			{wide, "waits for the key", 2 * time.Second, 5 * time.Second, []duly.PutOption{duly.Key("k", 1)}},
			{wide, "comes later", 3 * time.Second, time.Second, []duly.PutOption{duly.Key("k", 1)}},
		} {
			if _, err := p.kind.Put(t.Context(), p.name, p.long, schedule.After(p.at), p.opts...); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if err := errors.Join(s.Drain(t.Context()), <-ended); err != nil {
			t.Error(err)
		}
		slices.Sort(ran[:2])
		if want := []string{"0s fills its kind", "0s has the key", "10s waits for the key", "15s comes later", "1m0s waits for both"}; !slices.Equal(ran, want) {
			t.Errorf("ran %q, want %q", ran, want)
		}
	})
}

// What waits for its kind's rate is told when there is a token, and nothing of the past once there is one.
func TestWhyNot_Rate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slow = 3500 * time.Millisecond
		st := &slowClaims{Store: memory.New(memory.Options{})}
		s, err := duly.New(duly.Options{Store: st})
		if err != nil {
			t.Fatal(err)
		}
		k := duly.Handle(s, "k", func(context.Context, *duly.Attempt[string]) error { return nil }, duly.Rate(0.5, 1))
		ended := make(chan error)
		go func() { ended <- s.Run(t.Context()) }()
		begun := time.Now()
		for i, name := range []string{"first", "second", "third"} {
			if _, err := k.Put(t.Context(), name, "", schedule.After(0), duly.Priority(-i)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		why := func(code duly.WhyCode, until time.Time) {
			t.Helper()
			w, err := s.WhyNot(t.Context(), "third")
			if err != nil || w.Code != code || !w.Until.Equal(until) {
				t.Errorf("after %v: %s until %v, %v; want %s until %v", time.Since(begun), w.Code, w.Until, err, code, until)
			}
		}
		why(duly.WhyKindLimit, begun.Add(2*time.Second))
		time.Sleep(1250 * time.Millisecond)
		why(duly.WhyKindLimit, begun.Add(2*time.Second))
		st.mu.Lock()
		st.by = slow // the claim of the second, at 2s: until it is answered nobody looks whether there is a token for the third
		st.mu.Unlock()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		why(duly.WhyKindLimit, begun.Add(4*time.Second))
		time.Sleep(time.Second)
		synctest.Wait()
		why(duly.WhyKindLimit, time.Time{})
		time.Sleep(time.Minute)
		synctest.Wait()
		why(duly.WhyDone, time.Time{})
		if err := errors.Join(s.Drain(t.Context()), <-ended, st.Close()); err != nil {
			t.Error(err)
		}
	})
}

// slowClaims is a store that takes long to grant claims.
type slowClaims struct {
	*memory.Store

	mu sync.Mutex
	by time.Duration
}

func (s *slowClaims) Claim(ctx context.Context, claims []store.Claim) ([]store.ClaimResult, error) {
	res, err := s.Store.Claim(ctx, claims)
	s.mu.Lock()
	by := s.by
	s.mu.Unlock()
	time.Sleep(by)
	return res, err
}

// A retry that is just as late as it may be after the first attempt comes, and one that is later does not: the run is dead then.
func TestRetry_MaxElapsed(t *testing.T) {
	for in, want := range map[time.Duration][]time.Duration{
		10 * time.Second:                    {0, 10 * time.Second, 20 * time.Second},
		10*time.Second + 1*time.Microsecond: {0, 10*time.Second + 1*time.Microsecond},
	} {
		t.Run(in.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var tried []time.Duration
				begun := time.Now()
				b := newBench(t, func(context.Context, *duly.Attempt[string]) error {
					tried = append(tried, time.Since(begun))
					return duly.RetryAfter(in, errors.New("not now"))
				})
				if _, err := b.kind.Put(t.Context(), "a", "", schedule.After(0), duly.Retry(duly.RetryPolicy{MaxElapsed: 20 * time.Second})); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				if !slices.Equal(tried, want) {
					t.Errorf("tried after %v, want %v", tried, want)
				}
				if st, err := b.Stats(t.Context()); err != nil || st.Store.Dead != 1 {
					t.Errorf("%d are dead, %v; want 1", st.Store.Dead, err)
				}
			})
		})
	}
}

// What takes no worker waits for none: occurrences that a run has overlapped are passed by as soon as it ends.
func TestWorkers_SkippingTakesNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := duly.New(duly.Options{Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		k := duly.Handle(s, "k", func(ctx context.Context, a *duly.Attempt[time.Duration]) error { return takes(a.Payload)(ctx, nil) })
		ended := make(chan error)
		go func() { ended <- s.Run(t.Context()) }()
		if _, err := k.Put(t.Context(), "overlaps", 25*time.Second, schedule.Every(10*time.Second), duly.Overlap(duly.Skip)); err != nil {
			t.Fatal(err)
		}
		for i, name := range []string{"long", "waits"} {
			if _, err := k.Put(t.Context(), name, time.Hour, schedule.After(12*time.Second), duly.Priority(2-i)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(37 * time.Second) // it has run from 10 to 35, and what waits stands before its next occurrence
		synctest.Wait()
		st, err := s.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n := st.Kinds["k"]; n.Skipped != 2 || n.Started != 2 {
			t.Errorf("%d occurrences are skipped and %d attempts started, want 2 and 2", n.Skipped, n.Started)
		}
		if err := errors.Join(s.Close(t.Context()), <-ended); err != nil {
			t.Error(err)
		}
	})
}

// Who has its kind's turn but waits for its key, or has none to use because it is just being cancelled, holds nobody of its kind up: not where
// a number of them may run, and not where so many may start in a time.
//
// contract: C3, J2
func TestKind_TurnOfWhoCannotUseIt(t *testing.T) {
	for _, tt := range []struct {
		name   string
		opt    duly.KindOption
		cancel bool
		want   []string
	}{
		{"limit", duly.Limit(1), false, []string{"0s fills its kind", "2s has the key", "10s waits for its kind", "1h0m2s waits for both"}},
		{"limit, cancelled", duly.Limit(1), true, []string{"0s fills its kind", "2s has the key", "10s waits for its kind"}},
		{"rate", duly.Rate(0.1, 1), false, []string{"0s fills its kind", "2s has the key", "10s waits for its kind", "1h0m2s waits for both"}},
		{"rate, cancelled", duly.Rate(0.1, 1), true, []string{"0s fills its kind", "2s has the key", "10s waits for its kind"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := &slowCancels{memory.New(memory.Options{})}
				s, err := duly.New(duly.Options{Store: st})
				if err != nil {
					t.Fatal(err)
				}
				begun := time.Now()
				var mu sync.Mutex
				var ran []string
				handler := func(ctx context.Context, a *duly.Attempt[time.Duration]) error {
					mu.Lock()
					ran = append(ran, time.Since(begun).String()+" "+a.Name)
					mu.Unlock()
					return takes(a.Payload)(ctx, nil)
				}
				narrow, wide := duly.Handle(s, "narrow", handler, tt.opt), duly.Handle(s, "wide", handler)
				ended := make(chan error)
				go func() { ended <- s.Run(t.Context()) }()
				for _, p := range []struct {
					kind     *duly.Kind[time.Duration]
					name     string
					at, long time.Duration
					opts     []duly.PutOption
				}{
					{narrow, "fills its kind", 0, 10 * time.Second, nil},
					{narrow, "waits for both", time.Second, time.Second, []duly.PutOption{duly.Key("k", 1)}},
					{wide, "has the key", 2 * time.Second, time.Hour, []duly.PutOption{duly.Key("k", 1)}},
					{narrow, "waits for its kind", 3 * time.Second, time.Second, nil},
				} {
					if _, err := p.kind.Put(t.Context(), p.name, p.long, schedule.After(p.at), p.opts...); err != nil {
						t.Fatal(err)
					}
				}
				if tt.cancel {
					time.Sleep(9500 * time.Millisecond)
					if out, err := s.Cancel(t.Context(), "waits for both"); out != duly.Cancelled || err != nil {
						t.Errorf("Cancel: %v, %v; want that it never runs", out, err)
					}
				}
				time.Sleep(2 * time.Hour)
				synctest.Wait()
				if err := errors.Join(s.Drain(t.Context()), <-ended, st.Close()); err != nil {
					t.Error(err)
				}
				if !slices.Equal(ran, tt.want) {
					t.Errorf("ran %q, want %q", ran, tt.want)
				}
			})
		})
	}
}

// slowCancels is a store that takes a second to cancel.
type slowCancels struct{ *memory.Store }

func (s *slowCancels) Cancel(ctx context.Context, xs []store.Cancel) ([]store.CancelResult, error) {
	time.Sleep(time.Second)
	return s.Store.Cancel(ctx, xs)
}

// A handler that returns when its Run has long given up waiting for it, and another Run works, ends in peace: also if more of its task waits for
// its kind.
//
// contract: K1
func TestRun_HandlerOutlivesItsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := memory.New(memory.Options{})
		s, err := duly.New(duly.Options{Store: st, DrainTimeout: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		hang := make(chan struct{})
		var mu sync.Mutex
		n := 0
		k := duly.Handle(s, "k", func(context.Context, *duly.Attempt[string]) error {
			mu.Lock()
			n++
			first := n == 1
			mu.Unlock()
			if first {
				<-hang
			}
			return nil
		}, duly.Limit(1))
		if _, err := k.Put(t.Context(), "x", "", schedule.Every(time.Minute), duly.Overlap(duly.Allow)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		time.Sleep(150 * time.Second) // the second occurrence waits at the gate
		cancel()
		if err := <-ended; !errors.As(err, new(*duly.UnfinishedError)) {
			t.Errorf("Run: %v, want that something still runs", err)
		}
		go func() { ended <- s.Run(t.Context()) }()
		time.Sleep(150 * time.Second)
		close(hang)
		time.Sleep(150 * time.Second)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if n < 4 {
			t.Errorf("%d attempts, want more after the one that hung", n)
		}
		if err := errors.Join(s.Invariants(), s.Close(t.Context()), <-ended, st.Close()); err != nil {
			t.Error(err)
		}
	})
}
