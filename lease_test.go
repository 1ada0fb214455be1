package duly_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
)

// What a heartbeat returns, and when leases are prolonged.

// A heartbeat prolongs the lease as the scheduler does by itself, a third of its time after it was last prolonged, each attempt's apart.
func TestHeartbeat_Prolongs(t *testing.T) {
	var r *rig
	tap(t, duly.Options{}, func(ctx context.Context, a *duly.Attempt[string]) error {
		if a.Name == "beats" {
			_ = takes(5*time.Second)(ctx, a)
			if err := a.Heartbeat(ctx); err != nil {
				t.Error(err)
			}
		}
		return takes(31*time.Second)(ctx, a)
	}, func(t *testing.T, x *rig) {
		r = x
		r.work()
		r.put("beats", schedule.After(0))
		r.at(time.Second)
		r.put("does not", schedule.After(0))
		r.at(40 * time.Second)
		r.wantCalls(t, "Renew", "5s Renew beats", "11s Renew does not", "15s Renew beats", "21s Renew does not", "25s Renew beats", "31s Renew does not", "35s Renew beats")
		r.end()
	})
}

// An attempt is told that its lease is over when it can't be relied on any more: nine tenths of its time after it was last prolonged,
// however often and by whom that was, and not before.
func TestLease_EndsAfterRenewals(t *testing.T) {
	told := map[string]string{}
	var r *rig
	tap(t, duly.Options{}, func(ctx context.Context, a *duly.Attempt[string]) error {
		if a.Number > 1 {
			return nil
		}
		if a.Name == "beats" { // when it has been prolonged once, so that from then on it need not be for a while
			for _, d := range []time.Duration{11 * time.Second, 9 * time.Second, 9 * time.Second, 9 * time.Second} {
				_ = takes(d)(ctx, a)
				if err := a.Heartbeat(ctx); err != nil {
					t.Error(err)
				}
			}
		}
		err := takes(time.Hour)(ctx, a)
		told[a.Name] = fmt.Sprintf("%v: %v", r.since(), context.Cause(ctx))
		return err
	}, func(t *testing.T, x *rig) {
		r = x
		r.work()
		r.put("beats", schedule.After(0))
		r.put("does not", schedule.After(0))
		r.at(59 * time.Second)
		r.fail(store.ErrBroken, "Renew") // what was prolonged last at 58s and at 50s
		r.at(3 * time.Minute)
		if want := map[string]string{"beats": "1m25s: the lease is lost", "does not": "1m17s: the lease is lost"}; !maps.Equal(told, want) {
			t.Errorf("told at %v, want %v", told, want)
		}
		r.fail(nil, "Renew")
		r.end()
	})
}

// A heartbeat tells whether the attempt has its lease, as far as the store says; that it is lost is final, and the store is not asked again.
func TestHeartbeat_Answers(t *testing.T) {
	var r *rig
	var said []string
	tap(t, duly.Options{}, func(ctx context.Context, a *duly.Attempt[string]) error {
		for range 6 {
			_ = takes(2*time.Second)(context.WithoutCancel(ctx), a)
			err := a.Heartbeat(context.WithoutCancel(ctx))
			said = append(said, fmt.Sprint(r.since(), ": ", err, ", lost ", errors.Is(err, duly.ErrLeaseLost), ", fenced ", errors.Is(err, store.ErrFenced), ", ", context.Cause(ctx)))
		}
		return nil
	}, func(t *testing.T, x *rig) {
		r = x
		r.work()
		r.put("a", schedule.After(0))
		r.at(3 * time.Second)
		r.fail(store.ErrBroken, "Renew")
		r.at(5 * time.Second)
		r.fail(nil, "Renew")
		r.refuse("Renew", "a", store.ErrInvalid)
		r.at(7 * time.Second)
		r.refuse("Renew", "a", store.ErrFenced)
		r.at(40 * time.Second)
		same(t, "what heartbeats said", []string{
			"2s: <nil>, lost false, fenced false, <nil>",
			"4s: storage has failed, lost false, fenced false, <nil>",
			"6s: invalid argument, lost false, fenced false, the lease is lost",
			"8s: the lease is lost, lost true, fenced false, the lease is lost",
			"10s: the lease is lost, lost true, fenced false, the lease is lost",
			"12s: the lease is lost, lost true, fenced false, the lease is lost",
		}, said[:min(6, len(said))])
		r.wantCalls(t, "Renew", "2s Renew a", "4s Renew a", "6s Renew a")
		r.end()
	})
}

// A heartbeat that finds the lease to be somebody else's says both; one that is asked to stop says that.
func TestHeartbeat_FencedAndStopped(t *testing.T) {
	var fenced, stopped error
	tap(t, duly.Options{}, func(ctx context.Context, a *duly.Attempt[string]) error {
		_ = takes(2*time.Second)(context.WithoutCancel(ctx), a)
		if err := a.Heartbeat(context.WithoutCancel(ctx)); a.Name == "a" {
			fenced = err
		} else {
			stopped = err
		}
		return nil
	}, func(t *testing.T, r *rig) {
		r.work()
		r.put("a", schedule.After(0))
		r.put("b", schedule.After(0))
		r.at(time.Second)
		r.refuse("Renew", "a", store.ErrFenced)
		if _, err := r.d.CancelRunning(t.Context(), "b"); err != nil {
			t.Error(err)
		}
		r.at(3 * time.Second)
		if want := duly.ErrLeaseLost.Error() + ": " + store.ErrFenced.Error(); !errors.Is(fenced, duly.ErrLeaseLost) || !errors.Is(fenced, store.ErrFenced) || fenced.Error() != want {
			t.Errorf("a heartbeat without a lease: %v, want %s", fenced, want)
		}
		if !errors.Is(stopped, duly.ErrStopped) {
			t.Errorf("a heartbeat of who is asked to stop: %v", stopped)
		}
		r.end()
	})
}

// How an attempt ends that does not return, is told by its context, or fails for good: what is kept of it, what is logged, and whom OnDead
// is called with. The context of an attempt has ended when its handler has.
func TestAttempt_Ends(t *testing.T) {
	var r *rig
	var kept func() error // of the context of an attempt
	var died []string
	opts := duly.Options{OnDead: func(_ context.Context, d duly.Death) {
		died = append(died, fmt.Sprintf("%s %s %d %s", d.Name, d.Kind, d.Attempts, d.Reason))
		if d.Name == "cancelled itself" {
			panic("no")
		}
	}}
	tap(t, opts, func(ctx context.Context, a *duly.Attempt[string]) error {
		switch a.Name {
		case "panics":
			panic("oh")
		case "exits":
			runtime.Goexit()
		case "cancelled itself":
			return fmt.Errorf("it: %w", context.Canceled)
		case "takes too long":
			<-ctx.Done()
			return fmt.Errorf("it: %w", ctx.Err())
		case "is well":
			kept = ctx.Err
			return nil
		}
		return errors.New("it fails")
	}, func(t *testing.T, x *rig) {
		r = x
		r.work()
		once := duly.Retry(duly.RetryPolicy{Attempts: 1})
		for i, name := range []string{"panics", "exits", "cancelled itself", "takes too long", "is well", "fails"} {
			r.put(name, schedule.At(r.begun.Add(time.Duration(i+1)*time.Second)), once, duly.Timeout(100*time.Millisecond))
		}
		r.at(10 * time.Second)
		cut := func(lines []string) []string {
			for i := range lines {
				for _, stack := range []string{"\ngoroutine ", `\ngoroutine `, " stack="} {
					lines[i], _, _ = strings.Cut(lines[i], stack)
				}
			}
			return lines
		}
		for name, want := range map[string]string{
			"panics": "running>dead settle panic: oh", "exits": "running>dead settle " + duly.ErrGoexit.Error(),
			"cancelled itself": "running>dead settle it: context canceled", "takes too long": "running>dead settle the task's timeout has passed: it: context canceled",
			"is well": "running>done settle", "fails": "running>dead settle it fails",
		} {
			same(t, name, []string{want}, cut(r.events(name)))
		}
		if kept == nil || kept() == nil {
			t.Error("the context of an attempt that has ended has not")
		}
		same(t, "died", []string{
			"panics k 1 panic: oh", "exits k 1 the handler called runtime.Goexit", "cancelled itself k 1 it: context canceled",
			"takes too long k 1 the task's timeout has passed: it: context canceled", "fails k 1 it fails",
		}, cut(died))
		cut(r.logged)
		r.wantLogged(t,
			`1s level=ERROR msg="a handler did not return" task=panics kind=k error="panic: oh`,
			`1s level=WARN msg="a run is dead" task=panics kind=k attempts=1 reason="panic: oh`,
			`2s level=ERROR msg="a handler did not return" task=exits kind=k error="the handler called runtime.Goexit"`,
			`2s level=WARN msg="a run is dead" task=exits kind=k attempts=1 reason="the handler called runtime.Goexit"`,
			`3s level=WARN msg="a run is dead" task="cancelled itself" kind=k attempts=1 reason="it: context canceled"`,
			`3s level=ERROR msg="OnDead has panicked" task="cancelled itself" panic=no`,
			`4.1s level=WARN msg="a run is dead" task="takes too long" kind=k attempts=1 reason="the task's timeout has passed: it: context canceled"`,
			`6s level=WARN msg="a run is dead" task=fails kind=k attempts=1 reason="it fails"`,
		)
		r.end()
	})
}
