package duly_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
)

// moody is a store that grants claims late, or not at all, when it is told to.
type moody struct {
	*memory.Store

	fails atomic.Bool
	by    atomic.Int64
}

func (s *moody) Claim(ctx context.Context, claims []store.Claim) ([]store.ClaimResult, error) {
	if s.fails.Load() {
		return nil, store.ErrBroken
	}
	time.Sleep(time.Duration(s.by.Load()))
	return s.Store.Claim(ctx, claims)
}

// whys are what WhyNot tells of tasks: the code, the text, and until when.
func whys(t *testing.T, s *duly.Scheduler, names ...string) string {
	t.Helper()
	var all strings.Builder
	for _, name := range names {
		w, err := s.WhyNot(t.Context(), name)
		if err != nil {
			t.Errorf("WhyNot %s: %v", name, err)
		}
		until := ""
		if !w.Until.IsZero() {
			until = " until " + w.Until.Format("Jan 2 15:04:05.999999")
		}
		_, gerr := s.Get(t.Context(), name)
		if (w.Task != nil) != (gerr == nil) || w.Task != nil && w.Task.Name != name {
			t.Errorf("WhyNot %s has the task %+v; Get: %v", name, w.Task, gerr)
		}
		fmt.Fprintf(&all, "%s = %s%s: %s\n", name, w.Code, until, w.Text)
	}
	return all.String()
}

// WhyNot tells in a sentence why a task does not run, what is in its way, and until when if that is known.
func TestWhyNot_Texts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &moody{Store: memory.New(memory.Options{})}
		s, err := duly.New(duly.Options{Store: st, Owner: "me", Workers: 6, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		handler := func(ctx context.Context, a *duly.Attempt[string]) error {
			switch a.Name {
			case "done":
				return nil
			case "dead":
				return duly.Permanent(errors.New("no such address"))
			case "retries":
				return duly.RetryAfter(90*time.Second, errors.New("not now"))
			case "retries twice":
				time.Sleep(time.Second)
				return duly.RetryAfter(time.Duration(100-10*a.ScheduledFor.Minute())*time.Second, fmt.Errorf("for minute %d", a.ScheduledFor.Minute()))
			}
			return takes(time.Hour)(ctx, a)
		}
		k := duly.Handle(s, "k", handler)
		narrow := duly.Handle(s, "narrow", handler, duly.Limit(1))
		nobody := duly.Declare[string](s, "nobody's")
		put := func(k *duly.Kind[string], name string, when schedule.Schedule, opts ...duly.PutOption) {
			t.Helper()
			if _, err := k.Put(t.Context(), name, "", when, opts...); err != nil {
				t.Fatal(err)
			}
		}
		want := func(want, got string) {
			t.Helper()
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("WhyNot (-want +got):\n%s", diff)
			}
		}
		put(k, "done", schedule.After(0))
		put(nobody, "strange", schedule.After(0))
		want(`done = not_at_work: it is due since 2000-01-01T00:00:00Z, and this scheduler does not run
strange = no_handler until Jan 15 00:00:00: it is due since 2000-01-01T00:00:00Z, and nobody here handles the kind nobody's; after 14 days it is dead
`, whys(t, s, "done", "strange"))
		ended := make(chan error)
		go func() { ended <- s.Run(t.Context()) }()
		put(k, "dead", schedule.After(0))
		put(k, "retries", schedule.After(0))
		put(k, "runs", schedule.After(0))
		put(k, "overlaps", schedule.Every(time.Minute), duly.Overlap(duly.BufferOne))
		put(k, "beside", schedule.Every(time.Minute).Times(2), duly.Overlap(duly.Allow))
		put(k, "later", schedule.After(3*time.Hour+1200*time.Millisecond))
		put(k, "soon", schedule.After(2*time.Minute+34567*time.Microsecond))
		put(k, "paused", schedule.After(0).Jitter(time.Hour))
		put(k, "never", schedule.Every(time.Hour).Until(time.Now().Add(time.Minute)))
		put(k, "never again", schedule.Every(time.Second).Times(1), duly.Timeout(time.Second))
		put(k, "late", schedule.After(time.Hour), duly.StartWithin(time.Minute))
		put(k, "cancelled", schedule.After(time.Hour))
		if _, err := s.Pause(t.Context(), duly.Query{Names: []string{"paused"}}, "the bank is closed"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Cancel(t.Context(), "cancelled"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(80 * time.Second)
		synctest.Wait()
		//nolint:dupword // one line ends as the next one begins
		want(`done = done: it is done: attempt 1 ended at 2000-01-01T00:00:00Z
strange = no_handler until Jan 15 00:00:00: it is due since 2000-01-01T00:00:00Z, and nobody here handles the kind nobody's; after 14 days it is dead
dead = dead: it is dead since 2000-01-01T00:00:00Z, after attempt 1: no such address
retries = retry until Jan 1 00:01:30: attempt 1 ended with "not now"; the next one is due at 2000-01-01T00:01:30Z
runs = running: attempt 1 runs since 2000-01-01T00:00:00Z, the lease is held by me
overlaps = running: attempt 1 runs since 2000-01-01T00:01:00Z, the lease is held by me
beside = running: attempt 1 runs since 2000-01-01T00:01:00Z, the lease is held by me
later = not_due until Jan 1 03:00:01.2: it is due at 2000-01-01T03:00:01.2Z, in 2h58m41s
soon = not_due until Jan 1 00:02:00.034567: it is due at 2000-01-01T00:02:00.034567Z, in 40.035s
paused = paused: it is paused since 2000-01-01T00:00:00Z: the bank is closed
never = never: its schedule, every 1h until 2000-01-01T00:01:00Z, has no occurrence left
cancelled = cancelled: it was cancelled at 2000-01-01T00:00:00Z: cancelled
nobody = unknown: there is no task "nobody", and the history does not know the name
`, whys(t, s, "done", "strange", "dead", "retries", "runs", "overlaps", "beside", "later", "soon", "paused", "never", "cancelled", "nobody"))
		time.Sleep(40 * time.Second) // 2m, at which the second of beside has begun, and that of overlaps has not
		synctest.Wait()
		want(`overlaps = overlap: an earlier run, due at 2000-01-01T00:01:00Z, is not settled; the overlap policy is buffer
beside = running: attempt 1 runs since 2000-01-01T00:01:00Z, the lease is held by me
`, whys(t, s, "overlaps", "beside"))
		for _, name := range []string{"runs", "overlaps", "beside", "retries", "never again", "soon"} {
			if _, err := s.CancelRunning(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		// of several runs that wait the earliest is told; minute 3 fails first, and is to be tried again last but one
		put(k, "retries twice", schedule.Every(time.Minute), duly.Overlap(duly.Allow))
		time.Sleep(2*time.Minute + 2*time.Second) // 4m02: minute 3 waits until 3m01 + 70s, minute 4 until 4m01 + 60s
		synctest.Wait()
		if _, err := s.Move(t.Context(), "retries twice", schedule.After(time.Hour)); err != nil {
			t.Fatal(err)
		}
		want(`retries twice = retry until Jan 1 00:04:11: attempt 1 ended with "for minute 3"; the next one is due at 2000-01-01T00:04:11Z
`, whys(t, s, "retries twice"))
		if _, err := s.Cancel(t.Context(), "retries twice"); err != nil {
			t.Fatal(err)
		}
		// what is due waits for its key, its kind, a worker, the store, or the answer to its claim
		put(k, "of a key", schedule.After(0), duly.Key("the key", 1))
		put(narrow, "of a kind", schedule.After(0))
		synctest.Wait()
		put(k, "waits for the key", schedule.After(0), duly.Key("the key", 1))
		put(narrow, "waits for the kind", schedule.After(0))
		put(narrow, "waits for both", schedule.After(0), duly.Key("the key", 1))
		for i := range 4 {
			put(k, fmt.Sprint("busy ", i), schedule.After(0))
		}
		synctest.Wait()
		put(k, "waits for a worker", schedule.After(0))
		synctest.Wait()
		want(`waits for the key = key_limit: it is due since 2000-01-01T00:04:02Z, and 1 of the key "the key" run, as many as may
waits for the kind = kind_limit: it is due since 2000-01-01T00:04:02Z, and 1 of the kind narrow run, as many as may
waits for both = key_limit: it is due since 2000-01-01T00:04:02Z, and 1 of the key "the key" run, as many as may
waits for a worker = workers: it is due since 2000-01-01T00:04:02Z, and all 6 workers are taken
`, whys(t, s, "waits for the key", "waits for the kind", "waits for both", "waits for a worker"))
		st.by.Store(int64(time.Second))
		if _, err := s.CancelRunning(t.Context(), "busy 0"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want(`busy 0 = cancelled: it was cancelled at 2000-01-01T00:04:02Z: the attempt is asked to stop
waits for a worker = starting: it is due since 2000-01-01T00:04:02Z, and is about to start
`, whys(t, s, "busy 0", "waits for a worker"))
		time.Sleep(2 * time.Second)
		st.fails.Store(true)
		if _, err := s.CancelRunning(t.Context(), "busy 1"); err != nil {
			t.Fatal(err)
		}
		put(k, "waits for the store", schedule.After(0), duly.StartWithin(time.Minute))
		synctest.Wait()
		want(`waits for a worker = running: attempt 1 runs since 2000-01-01T00:04:03Z, the lease is held by me
waits for the store = store: it is due since 2000-01-01T00:04:04Z, and the store fails
`, whys(t, s, "waits for a worker", "waits for the store"))
		time.Sleep(59 * time.Second) // the store is tried again meanwhile
		if _, err := s.Change(t.Context(), "waits for the store", duly.Change{To: schedule.After(time.Minute)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2*time.Minute + time.Second)
		st.fails.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		w, err := s.WhyNot(t.Context(), "waits for the store")
		if err != nil || w.Code != duly.WhyExpired || !strings.HasSuffix(w.Text, "Z: not started within 1m0s") {
			t.Errorf("%+v, %v; want that it has expired", w, err)
		}
		if err := errors.Join(s.Close(t.Context()), <-ended, st.Close()); err != nil {
			t.Error(err)
		}
	})
}
