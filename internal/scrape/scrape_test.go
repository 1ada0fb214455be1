package scrape_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/scrape"
)

// TestMain lets no test leave a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBroken = errors.New("broken")

// in asks, and wants the answer after a time.
func in(t *testing.T, a *scrape.Asker, d time.Duration, want scrape.Answer) {
	t.Helper()
	begun := time.Now()
	if diff := cmp.Diff(want, a.Ask()); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	if got := time.Since(begun); got != d {
		t.Errorf("answered after %s, want %s", got, d)
	}
}

func TestAsk_FailsAndHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, err := duly.Stats{Near: 7}, error(nil)
		var log strings.Builder
		a := &scrape.Asker{
			Stats:  func(context.Context) (duly.Stats, error) { return st, err },
			Logger: slog.New(slog.NewTextHandler(&log, nil)),
		}
		in(t, a, 0, scrape.Answer{Stats: st, Up: true})
		err = errBroken
		in(t, a, 0, scrape.Answer{Stats: st, Failures: 1}) // what the scheduler knows by itself is kept
		in(t, a, 0, scrape.Answer{Stats: st, Failures: 2})
		err = nil
		in(t, a, 0, scrape.Answer{Stats: st, Up: true, Failures: 2})
		if got := strings.Count(log.String(), "\n"); got != 2 {
			t.Errorf("%d lines logged, want one for the failure and one for its end:\n%s", got, log.String())
		}
	})
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// TestAsk_Hangs: who hangs until it is called off can tell what it knows.
func TestAsk_Hangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &scrape.Asker{Timeout: 2 * time.Second, Logger: quiet(), Stats: func(ctx context.Context) (duly.Stats, error) {
			<-ctx.Done()
			time.Sleep(100 * time.Millisecond)
			return duly.Stats{Near: 7}, ctx.Err()
		}}
		in(t, a, 2100*time.Millisecond, scrape.Answer{Stats: duly.Stats{Near: 7}, Failures: 1})
	})
}

// TestAsk_Deaf: who does not even hear that it is called off is asked once, however often somebody wants to know.
func TestAsk_Deaf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		let := make(chan struct{})
		a := &scrape.Asker{Logger: quiet(), Stats: func(context.Context) (duly.Stats, error) {
			calls.Add(1)
			<-let
			return duly.Stats{}, nil
		}}
		in(t, a, 5500*time.Millisecond, scrape.Answer{Failures: 1})
		in(t, a, 5500*time.Millisecond, scrape.Answer{Failures: 2})
		if n := calls.Load(); n != 1 {
			t.Errorf("asked %d times at once, want 1", n)
		}
		close(let)
		synctest.Wait()
		in(t, a, 0, scrape.Answer{Up: true, Failures: 2})
	})
}

func TestAsk_Panics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &scrape.Asker{Logger: quiet(), Stats: func(context.Context) (duly.Stats, error) { panic(errBroken) }}
		in(t, a, 0, scrape.Answer{Failures: 1})
	})
}

// TestAsk_Together: those who ask at the same time share one answer.
func TestAsk_Together(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		a := &scrape.Asker{Logger: quiet(), Stats: func(context.Context) (duly.Stats, error) {
			calls.Add(1)
			time.Sleep(time.Second)
			return duly.Stats{Near: 7}, nil
		}}
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { in(t, a, time.Second, scrape.Answer{Stats: duly.Stats{Near: 7}, Up: true}) })
		}
		all.Wait()
		if n := calls.Load(); n != 1 {
			t.Errorf("asked %d times, want 1", n)
		}
	})
}
