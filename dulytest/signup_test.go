package dulytest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/dulytest"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store/memory"
)

// A service is what a user might test: who signs up is reminded after three days, unless they confirm first.
type service struct {
	remind *duly.Kind[string]
	sched  *duly.Scheduler
	mails  []string
	fails  int // how many mails are not delivered
}

func newService(s *duly.Scheduler) *service {
	v := &service{sched: s}
	v.remind = duly.Handle(s, "reminder", v.mail)
	return v
}

func (v *service) mail(_ context.Context, a *duly.Attempt[string]) error {
	if v.fails > 0 {
		v.fails--
		return duly.RetryAfter(time.Hour, errors.New("mailbox full"))
	}
	v.mails = append(v.mails, a.Payload)
	return nil
}

func (v *service) signUp(ctx context.Context, name string) error {
	_, err := v.remind.Put(ctx, "reminder/"+name, name+"@example.org", schedule.After(72*time.Hour))
	return err
}

func (v *service) confirm(ctx context.Context, name string) error {
	_, err := v.sched.Cancel(ctx, "reminder/"+name)
	return err
}

var start = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

// venues runs a check by a clock moved by hand, in a bubble, and in a bubble on a scheduler that somebody else made, run by the
// check or by somebody else.
func venues(t *testing.T, check func(t *testing.T, d *dulytest.Scheduler)) {
	t.Run("by hand", func(t *testing.T) { check(t, dulytest.New(t)) })
	t.Run("in a bubble", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { check(t, dulytest.New(t)) })
	})
	t.Run("a user's in a bubble", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { check(t, users(t)) })
	})
	t.Run("a user's that runs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := users(t)
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- d.Run(ctx) }()
			synctest.Wait()
			check(t, d)
			stop()
			if err := <-ended; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	})
}

// users is a scheduler that a user's program has made on a store of its own.
func users(t *testing.T) *dulytest.Scheduler {
	t.Helper()
	st := memory.New(memory.Options{})
	s, err := duly.New(duly.Options{Store: st})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.Close(context.WithoutCancel(t.Context())), st.Close()); err != nil {
			t.Error(err)
		}
	})
	return dulytest.On(t, s)
}

// contract: A1, A3, C1, E1.
func TestSignUp(t *testing.T) {
	venues(t, func(t *testing.T, d *dulytest.Scheduler) {
		v := newService(d.Scheduler)
		begun := d.Now(t)
		for _, name := range []string{"ada", "bob"} {
			if err := v.signUp(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		dulytest.RequireScheduled(t, d.Scheduler, "reminder/ada", begun.Add(72*time.Hour))
		if ran := d.RunDue(t, begun.Add(72*time.Hour-time.Microsecond)); len(ran) > 0 {
			t.Errorf("ran before it was due: %v", ran)
		}
		if err := v.confirm(t.Context(), "bob"); err != nil {
			t.Fatal(err)
		}
		got := d.RunFor(t, time.Microsecond)
		due := begun.Add(72 * time.Hour)
		want := []dulytest.Ran{{
			Name: "reminder/ada", Kind: "reminder", ScheduledFor: due, Number: 1, Started: due, Ended: due, State: duly.Done,
		}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("ran (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"ada@example.org"}, v.mails); diff != "" {
			t.Errorf("mails (-want +got):\n%s", diff)
		}
		dulytest.RequireNone(t, d.Scheduler, duly.Query{})
		if now := d.Now(t); !now.Equal(due) {
			t.Errorf("it is %v, want %v", now, due)
		}
	})
}

// contract: F1, F2.
func TestRetries(t *testing.T) {
	venues(t, func(t *testing.T, d *dulytest.Scheduler) {
		v := newService(d.Scheduler)
		v.fails = 2
		due := d.Now(t).Add(72 * time.Hour)
		if err := v.signUp(t.Context(), "ada"); err != nil {
			t.Fatal(err)
		}
		ran := d.RunDue(t, due)
		if len(ran) != 1 || ran[0].State != duly.Pending || ran[0].Err != "mailbox full" {
			t.Fatalf("ran %v, want an attempt that failed", ran)
		}
		dulytest.RequireScheduled(t, d.Scheduler, "reminder/ada", due.Add(time.Hour))
		ran = d.RunFor(t, 24*time.Hour)
		var lines []string
		for _, r := range ran {
			lines = append(lines, r.String()+" "+r.Started.Sub(due).String())
		}
		at := due.Format(time.RFC3339)
		if diff := cmp.Diff([]string{
			`reminder "reminder/ada" for ` + at + `, attempt 2: pending, mailbox full 1h0m0s`,
			`reminder "reminder/ada" for ` + at + `, attempt 3: done 2h0m0s`,
		}, lines); diff != "" {
			t.Errorf("ran (-want +got):\n%s", diff)
		}
		if len(v.mails) != 1 {
			t.Errorf("mails: %q, want one", v.mails)
		}
	})
}

// What a handler puts is due on the way, too, and what recurs is run as often as it comes due.
func TestRunDue_EverythingOnTheWay(t *testing.T) {
	venues(t, func(t *testing.T, d *dulytest.Scheduler) {
		begun := d.Now(t)
		var later *duly.Kind[int]
		later = duly.Handle(d.Scheduler, "later", func(ctx context.Context, a *duly.Attempt[int]) error {
			if a.Payload > 0 {
				_, err := later.Put(ctx, "later", a.Payload-1, schedule.After(time.Minute), duly.OnConflict(duly.Replace))
				return err
			}
			return nil
		})
		beat := duly.Handle(d.Scheduler, "beat", func(context.Context, *duly.Attempt[int]) error { return nil })
		if _, err := later.Put(t.Context(), "later", 2, schedule.After(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := beat.Put(t.Context(), "beat", 0, schedule.Every(90*time.Second).Times(4)); err != nil {
			t.Fatal(err)
		}
		dulytest.RequireScheduled(t, d.Scheduler, "beat", begun.Add(90*time.Second), begun.Add(180*time.Second), begun.Add(270*time.Second))
		var got []string
		for _, r := range d.RunFor(t, 10*time.Minute) {
			got = append(got, r.Name+" "+r.Started.Sub(begun).String())
		}
		want := []string{"later 1m0s", "beat 1m30s", "later 2m0s", "later 3m0s", "beat 3m0s", "beat 4m30s", "beat 6m0s"}
		if len(got) == len(want) && got[3] == want[4] { // two that are due at once, whichever was accepted first
			got[3], got[4] = got[4], got[3]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("ran (-want +got):\n%s", diff)
		}
	})
}

// What waits for a place or for a token starts when it has one, and RunDue waits for it.
//
// contract: J2.
func TestRunDue_Limits(t *testing.T) {
	venues(t, func(t *testing.T, d *dulytest.Scheduler) {
		begun := d.Now(t)
		k := duly.Handle(d.Scheduler, "slow", func(context.Context, *duly.Attempt[int]) error { return nil }, duly.Rate(0.5, 1))
		one := duly.Handle(d.Scheduler, "one", func(context.Context, *duly.Attempt[int]) error { return nil }, duly.Limit(1))
		for _, name := range []string{"a", "b", "c"} {
			if _, err := k.Put(t.Context(), name, 0, schedule.After(time.Minute)); err != nil {
				t.Fatal(err)
			}
			if _, err := one.Put(t.Context(), "one/"+name, 0, schedule.After(time.Minute), duly.Key("k", 1)); err != nil {
				t.Fatal(err)
			}
		}
		var got []time.Duration
		n := 0
		for _, r := range d.RunFor(t, 2*time.Minute) {
			if r.Kind == "slow" {
				got = append(got, r.Started.Sub(begun))
				continue
			}
			if n++; r.Started.Sub(begun) != time.Minute {
				t.Errorf("%v started at %v", r, r.Started.Sub(begun))
			}
		}
		if diff := cmp.Diff([]time.Duration{time.Minute, 62 * time.Second, 64 * time.Second}, got); diff != "" {
			t.Errorf("started (-want +got):\n%s", diff)
		}
		if n != 3 {
			t.Errorf("%d of the limited kind ran, want 3", n)
		}
	})
}

// In a bubble a handler may take its time; RunDue returns when it has ended, and what is due after until has not begun.
func TestRunDue_HandlersThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dulytest.New(t)
		begun := d.Now(t)
		k := duly.Handle(d.Scheduler, "slow", func(context.Context, *duly.Attempt[int]) error {
			time.Sleep(10 * time.Second)
			return nil
		})
		for name, at := range map[string]time.Duration{"first": 5 * time.Second, "second": 12 * time.Second} {
			if _, err := k.Put(t.Context(), name, 0, schedule.After(at)); err != nil {
				t.Fatal(err)
			}
		}
		ran := d.RunDue(t, begun.Add(5*time.Second))
		if len(ran) != 1 || ran[0].Name != "first" || ran[0].Ended.Sub(begun) != 15*time.Second {
			t.Errorf("ran %+v, want the first, from 5 to 15 s", ran)
		}
		dulytest.RequireScheduled(t, d.Scheduler, "second")
		if ran := d.RunFor(t, 0); len(ran) != 1 || ran[0].Name != "second" {
			t.Errorf("ran %v, want the second", ran)
		}
	})
}

// An hour that is asked for twice is not run twice, and nothing runs between the two.
func TestRunDue_NothingBetween(t *testing.T) {
	d := dulytest.New(t)
	k := duly.Handle(d.Scheduler, "beat", func(context.Context, *duly.Attempt[int]) error { return nil })
	if _, err := k.Put(t.Context(), "beat", 0, schedule.Every(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if n := len(d.RunDue(t, start.Add(time.Hour))); n != 60 {
		t.Errorf("%d ran in an hour, want 60", n)
	}
	if n := len(d.RunDue(t, start.Add(time.Hour))); n != 0 {
		t.Errorf("%d ran in no time, want none", n)
	}
	if err := d.Clock.Run(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	dulytest.RequireScheduled(t, d.Scheduler, "beat", start.Add(61*time.Minute))
	if ran := d.RunFor(t, 0); len(ran) != 1 || !ran[0].Started.Equal(start.Add(61*time.Minute)) {
		t.Errorf("ran %v, want the 61st", ran)
	}
}
