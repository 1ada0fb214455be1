package dulytest_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/dulytest"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
)

// A failing test notes how it was ended, and ends nobody else's.
type failing struct {
	testing.TB
	said string
}

func (f *failing) Helper() {}

func (f *failing) Fatal(args ...any) {
	f.said = fmt.Sprint(args...)
	runtime.Goexit()
}

func (f *failing) Fatalf(format string, args ...any) {
	f.said = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// said is what a test is told that does something wrong; "" if it is not ended.
func said(t *testing.T, wrong func(t *failing)) string {
	t.Helper()
	f := &failing{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		wrong(f)
	}()
	<-done
	return f.said
}

func nothing(context.Context, *duly.Attempt[int]) error { return nil }

// TestRequire: an assertion that does not hold says why, and what is scheduled instead.
func TestRequire(t *testing.T) {
	d := dulytest.New(t)
	k := duly.Handle(d.Scheduler, "greet", nothing)
	bad := duly.Handle(d.Scheduler, "bad", func(context.Context, *duly.Attempt[int]) error { return duly.Permanent(errors.New("no such user")) })
	again := duly.Handle(d.Scheduler, "again", func(context.Context, *duly.Attempt[int]) error {
		return duly.RetryAfter(2*time.Hour, errors.New("busy"))
	})
	put := func(k *duly.Kind[int], name string, s schedule.Schedule) {
		t.Helper()
		if _, err := k.Put(t.Context(), name, 0, s); err != nil {
			t.Fatal(err)
		}
	}
	put(k, "done", schedule.After(time.Minute))
	put(bad, "dead", schedule.After(time.Minute))
	put(again, "again", schedule.After(time.Minute))
	d.RunFor(t, time.Minute)
	put(k, "daily", schedule.Every(24*time.Hour).Times(2))
	put(k, "once", schedule.At(start.Add(time.Hour)))
	put(k, "held", schedule.After(time.Hour))
	put(k, "off", schedule.After(time.Hour))
	if _, err := d.Pause(t.Context(), duly.Query{Names: []string{"held"}}, "by hand"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Cancel(t.Context(), "off"); err != nil {
		t.Fatal(err)
	}
	const listed = `
scheduled are:
	greet "once", at 2000-01-01T01:00:00Z: it is due at 2000-01-01T01:00:00Z, in 59m0s
	again "again", in 1m: attempt 1 ended with "busy"; the next one is due at 2000-01-01T02:01:00Z
	greet "daily", every 24h times 2: it is due at 2000-01-02T00:01:00Z, in 24h0m0s`
	names := func(ts []*duly.Task) (names []string) {
		for _, t := range ts {
			names = append(names, t.Name)
		}
		return names
	}
	if diff := cmp.Diff([]string{"once", "again", "daily"}, names(dulytest.Scheduled(t, d.Scheduler, duly.Query{}))); diff != "" {
		t.Errorf("scheduled (-want +got):\n%s", diff)
	}
	tests := []struct {
		name string
		do   func(t *failing)
		want string
	}{
		{"as it is", func(t *failing) {
			dulytest.RequireScheduled(t, d.Scheduler, "once", start.Add(time.Hour))
			dulytest.RequireScheduled(t, d.Scheduler, "once")
			dulytest.RequireScheduled(t, d.Scheduler, "again", start.Add(121*time.Minute))
			dulytest.RequireScheduled(t, d.Scheduler, "daily", start.Add(1441*time.Minute), start.Add(2881*time.Minute))
			dulytest.RequireNone(t, d.Scheduler, duly.Query{Prefix: "h"})
		}, ""},
		{
			"another time", func(t *failing) { dulytest.RequireScheduled(t, d.Scheduler, "once", start.Add(2*time.Hour)) },
			`dulytest: "once" is scheduled for 2000-01-01T01:00:00Z, want 2000-01-01T02:00:00Z: it is due at 2000-01-01T01:00:00Z, in 59m0s` + listed,
		},
		{"too few", func(t *failing) {
			dulytest.RequireScheduled(t, d.Scheduler, "daily", start.Add(1441*time.Minute), start.Add(2881*time.Minute), start.Add(4321*time.Minute))
		}, `dulytest: "daily" is scheduled for 2000-01-02T00:01:00Z, 2000-01-03T00:01:00Z, want 2000-01-02T00:01:00Z, 2000-01-03T00:01:00Z, ` +
			`2000-01-04T00:01:00Z: it is due at 2000-01-02T00:01:00Z, in 24h0m0s` + listed},
		{
			"done", func(t *failing) { dulytest.RequireScheduled(t, d.Scheduler, "done") },
			`dulytest: "done" is not scheduled: it is done: attempt 1 ended at 2000-01-01T00:01:00Z` + listed,
		},
		{
			"dead", func(t *failing) { dulytest.RequireScheduled(t, d.Scheduler, "dead") },
			`dulytest: "dead" is not scheduled: it is dead since 2000-01-01T00:01:00Z, after attempt 1: no such user` + listed,
		},
		{
			"paused", func(t *failing) { dulytest.RequireScheduled(t, d.Scheduler, "held") },
			`dulytest: "held" is not scheduled: it is paused since 2000-01-01T00:01:00Z: by hand` + listed,
		},
		{
			"cancelled", func(t *failing) { dulytest.RequireScheduled(t, d.Scheduler, "off") },
			`dulytest: "off" is not scheduled: it was cancelled at 2000-01-01T00:01:00Z: cancelled` + listed,
		},
		{
			"never put", func(t *failing) { dulytest.RequireScheduled(t, d.In("other"), "never") },
			"dulytest: \"never\" is not scheduled: there is no task \"never\", and the history does not know the name\nnothing is scheduled",
		},
		{
			"some", func(t *failing) { dulytest.RequireNone(t, d.Scheduler, duly.Query{Kind: "greet"}) },
			`dulytest: 2 tasks are scheduled, want none
	greet "once", at 2000-01-01T01:00:00Z: it is due at 2000-01-01T01:00:00Z, in 59m0s
	greet "daily", every 24h times 2: it is due at 2000-01-02T00:01:00Z, in 24h0m0s`,
		},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, said(t, tt.do)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// A failing test's listing does not grow with the store.
func TestRequire_Many(t *testing.T) {
	d := dulytest.New(t)
	k := duly.Handle(d.Scheduler, "greet", nothing)
	for i := range 25 {
		if _, err := k.Put(t.Context(), fmt.Sprintf("n%02d", i), 0, schedule.After(time.Duration(i+1)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	got := said(t, func(t *failing) { dulytest.RequireScheduled(t, d.Scheduler, "absent") })
	if !strings.HasSuffix(got, "\n\tand 5 more") || strings.Count(got, "\n") != 22 {
		t.Errorf("it says:\n%s", got)
	}
}

func TestNew_Wrong(t *testing.T) {
	st := memory.New(memory.Options{})
	defer st.Close() //nolint:errcheck // it returns nil
	for _, tt := range []struct {
		name string
		do   func(t *failing)
		want string
	}{
		{"two Options", func(t *failing) { dulytest.New(t, duly.Options{}, duly.Options{}) }, "2 Options, want at most one"},
		{"a store without its clock", func(t *failing) { dulytest.New(t, duly.Options{Store: st}) }, "a Store without its Clock"},
		{"a clock that nobody moves", func(t *failing) { dulytest.New(t, duly.Options{Clock: clock.System()}) }, "want a *clock.Manual"},
		{"wrong Options", func(t *failing) { dulytest.New(t, duly.Options{Workers: -1}) }, "workers"},
		{"On outside of a bubble", func(t *failing) { dulytest.On(t, &duly.Scheduler{}) }, "outside of a testing/synctest bubble"},
	} {
		if got := said(t, tt.do); !strings.Contains(got, tt.want) {
			t.Errorf("%s: it says %q, want %q in it", tt.name, got, tt.want)
		}
	}
}

// What Handle was told wrong is the test's failure.
func TestRunDue_Mistakes(t *testing.T) {
	d := dulytest.New(t)
	duly.Handle(d.Scheduler, "greet", nothing)
	duly.Handle(d.Scheduler, "greet", nothing)
	if got, want := said(t, func(t *failing) { d.RunFor(t, time.Hour) }), "a kind that is not handled yet"; !strings.Contains(got, want) {
		t.Errorf("it says %q, want %q in it", got, want)
	}
}

// So is a handler that waits for what does not come; one that waits for the clock that is moved by hand is let go by it.
func TestRunDue_HandlersThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dulytest.New(t, duly.Options{Clock: clock.NewManual(start)})
		k := duly.Handle(d.Scheduler, "hang", func(ctx context.Context, _ *duly.Attempt[int]) error {
			<-ctx.Done()
			return context.Cause(ctx)
		})
		if _, err := k.Put(t.Context(), "limited", 0, schedule.After(time.Minute), duly.Timeout(time.Second), duly.Retry(duly.RetryPolicy{Attempts: 1})); err != nil {
			t.Fatal(err)
		}
		if ran := d.RunFor(t, 2*time.Minute); len(ran) != 1 || ran[0].State != duly.Dead || ran[0].Ended != start.Add(61*time.Second) {
			t.Errorf("ran %+v, want one that is dead after a second", ran)
		}
		if _, err := k.Put(t.Context(), "hung", 0, schedule.After(time.Minute)); err != nil {
			t.Fatal(err)
		}
		got := said(t, func(t *failing) { d.RunFor(t, 2*time.Minute) })
		if want := `something is under way and waits, though all else has ended: "hung": attempt 1 runs since`; !strings.Contains(got, want) {
			t.Errorf("it says %q, want %q in it", got, want)
		}
	})
}

// A hasty store is one during whose first call the machine sleeps.
type hasty struct {
	*memory.Store
	clock *clock.Manual
	slept bool
}

func (h *hasty) Clock(ctx context.Context) (store.Clock, error) {
	c, err := h.Store.Clock(ctx)
	if !h.slept {
		h.slept = true
		h.clock.Suspend(time.Hour)
	}
	return c, err
}

// That the machine slept while the scheduler looked at the store's clock makes nothing late.
//
// contract: H1.
func TestRunDue_SuspendedWhileTheClockIsRead(t *testing.T) {
	c := clock.NewManual(start)
	st := memory.New(memory.Options{Clock: c})
	defer st.Close() //nolint:errcheck // it returns nil
	s, err := duly.New(duly.Options{Store: &hasty{Store: st, clock: c}, Clock: c})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context()) //nolint:errcheck // the test is about something else
	k := duly.Handle(s, "beat", nothing)
	e, err := k.Put(t.Context(), "beat", 0, schedule.Every(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := e.ScheduledFor, start.Add(61*time.Minute); !got.Equal(want) {
		t.Errorf("the first one is at %v, want %v", got, want)
	}
}

// A clock and a store of the test's own are moved by RunDue, too, and nothing is closed that is not New's.
func TestNew_OnAStore(t *testing.T) {
	c := clock.NewManual(start)
	st := memory.New(memory.Options{Clock: c})
	defer st.Close() //nolint:errcheck // it returns nil
	o := duly.Options{Store: st, Clock: c}
	t.Run("before", func(t *testing.T) {
		d := dulytest.New(t, o)
		if _, err := duly.Declare[int](d.Scheduler, "greet").Put(t.Context(), "later", 0, schedule.After(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if ran := d.RunFor(t, 2*time.Hour); len(ran) > 0 {
			t.Errorf("ran %v, without a handler", ran)
		}
	})
	st.Restart()
	d := dulytest.New(t, o)
	duly.Handle(d.Scheduler, "greet", nothing)
	if ran := d.RunFor(t, 0); len(ran) != 1 || ran[0].Started != start.Add(2*time.Hour) {
		t.Errorf("ran %v, want the one that is late", ran)
	}
}
