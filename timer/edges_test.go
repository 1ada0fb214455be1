package timer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/schedule"
)

// These tests hold what reading the engine against the grain found: states that are rare, and moments that are short.

var edgeEpoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// edgeCtx ends when something hangs.
func edgeCtx(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func edgeClose(t *testing.T, e *Engine) {
	t.Helper()
	if _, err := e.Close(edgeCtx(t)); err != nil {
		t.Errorf("close: %v", err)
	}
}

func edgePut(t *testing.T, e *Engine, name string, s schedule.Schedule, fn Handler, opts ...Option) Task {
	t.Helper()
	task, err := e.Put(name, s, fn, opts...)
	if err != nil {
		t.Fatalf("put %q: %v", name, err)
	}
	return task
}

func edgeSame(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// edgeBlocked puts a task whose first run waits for the channel, and lets that run begin.
func edgeBlocked(t *testing.T, e *Engine, s schedule.Schedule, opts ...Option) (task Task, goOn chan struct{}, runs *int) {
	t.Helper()
	goOn, runs = make(chan struct{}), new(int)
	task = edgePut(t, e, "a", s, Plain(func() {
		if *runs++; *runs == 1 {
			<-goOn
		}
	}), opts...)
	time.Sleep(max(s.Period(), 0))
	synctest.Wait()
	if *runs != 1 {
		t.Fatalf("%d runs have begun, want 1", *runs)
	}
	return task, goOn, runs
}

// contract: H2. The wheel of instants takes its time from whoever finds it empty; the driver need not have seen that time.
func TestInstantAfterStepsThatTheDriverMissed(t *testing.T) {
	m := clock.NewManual(edgeEpoch)
	e := New(Options{Clock: m, Workers: 1})
	m.Step(10 * time.Hour) // no instant is pending, so nobody is woken
	edgePut(t, e, "late", schedule.At(edgeEpoch.Add(11*time.Hour)), Plain(func() {}))
	if err := m.Step(-5 * time.Hour).Wait(edgeCtx(t)); err != nil {
		t.Fatal(err)
	}
	ran := make(chan struct{})
	edgePut(t, e, "early", schedule.At(edgeEpoch.Add(5*time.Hour+30*time.Minute)), Plain(func() { close(ran) }))
	if err := m.Run(edgeCtx(t), 31*time.Minute); err != nil {
		t.Fatalf("the driver spins: %v", err)
	}
	select {
	case <-ran:
	case <-edgeCtx(t).Done():
		t.Error("the earlier instant has passed and its task has not run")
	}
	edgeClose(t, e)
}

// The context of a run that has ended has ended too, for those who kept it: Done, Err and Cause agree.
func TestContextOutlivesItsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New()
		defer edgeClose(t, e)
		for _, early := range []bool{true, false} { // Done is asked for during the run, or only afterwards
			var kept context.Context
			edgePut(t, e, "a", schedule.After(0), func(ctx context.Context) error {
				if kept = ctx; early {
					_ = ctx.Done()
				}
				return nil
			})
			synctest.Wait()
			select {
			case <-kept.Done():
			default:
				t.Errorf("early %v: Done is open after the run", early)
			}
			if kept.Err() != context.Canceled || context.Cause(kept) != context.Canceled { //nolint:errorlint // the contract of context
				t.Errorf("early %v: Err is %v and Cause %v, want %v", early, kept.Err(), context.Cause(kept), context.Canceled)
			}
		}
	})
}

func TestOnPanicThatCallsGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New(Options{Logger: slog.New(slog.DiscardHandler), OnPanic: func(Panic) { runtime.Goexit() }})
		task := edgePut(t, e, "a", schedule.After(0), Plain(func() { panic("boom") }), Track())
		e.AfterFunc(0, func() { panic("boom") })
		synctest.Wait()
		var pe *PanicError
		if s, err := task.State(), task.Err(); s != StateDead || !errors.As(err, &pe) || pe.Value != "boom" {
			t.Errorf("the task is %v with %v, want dead with its panic", s, err)
		}
		if _, ok := e.Find("a"); ok {
			t.Error("the name is still taken")
		}
		edgeClose(t, e)
	})
}

func TestHookThatCallsGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		e := New(Options{Logger: slog.New(slog.DiscardHandler), Hooks: Hooks{Scheduled: func(ev Event) {
			told = append(told, ev.Name)
			runtime.Goexit()
		}}})
		for _, name := range []string{"a", "b", "c"} {
			edgePut(t, e, name, schedule.After(time.Hour), Plain(func() {}))
		}
		synctest.Wait()
		edgePut(t, e, "d", schedule.After(time.Hour), Plain(func() {}))
		edgeClose(t, e)
		edgeSame(t, "told", told, []string{"a", "b", "c", "d"})
	})
}

// The last occurrence is skipped while a run is under way beside it: the end of that run is the task's.
func TestSkippedLastOccurrenceEndsWithTheRunUnderWay(t *testing.T) {
	m := clock.NewManual(edgeEpoch)
	e := New(Options{Clock: m})
	defer edgeClose(t, e)
	started, goOn := make(chan struct{}, 9), make(chan struct{})
	task := edgePut(t, e, "a", schedule.Every(10*time.Second).Until(edgeEpoch.Add(25*time.Second)), Plain(func() {
		started <- struct{}{}
		<-goOn
	}), Overlap(Allow), CatchUp(None), Grace(time.Second))
	if err := m.Run(edgeCtx(t), 10*time.Second); err != nil {
		t.Fatal(err)
	}
	<-started
	if err := m.Suspend(time.Minute).Wait(edgeCtx(t)); err != nil {
		t.Fatal(err)
	}
	for task.Info().Skipped == 0 {
		runtime.Gosched()
	}
	close(goOn)
	if err := task.Wait(edgeCtx(t)); err != nil || task.State() != StateDone {
		t.Errorf("wait: %v, and the task is %v, want done", err, task.State())
	}
	if _, ok := e.Find("a"); ok {
		t.Error("the name is still taken")
	}
}

func TestResumeOfAPaceAfterItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New()
		defer edgeClose(t, e)
		task := edgePut(t, e, "a", schedule.Pace(time.Minute).Until(time.Now().Add(5*time.Minute)), Plain(func() {}))
		if _, err := e.Pause(AllTasks(), ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if _, err := e.Resume(AllTasks()); err != nil {
			t.Fatal(err)
		}
		edgeSame(t, "state", task.State(), StateDone)
		edgeSame(t, "pending", e.Stats().Pending, 0)
	})
}

func TestRunNowOnAHeldEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New(Options{Held: true})
		defer edgeClose(t, e)
		runs := 0
		edgePut(t, e, "a", schedule.After(time.Hour), Plain(func() { runs++ }))
		if n, err := e.RunNow(AllTasks(), ""); n != 1 || err != nil {
			t.Errorf("run now: %d, %v, want 1", n, err)
		}
		synctest.Wait()
		edgeSame(t, "runs while held", runs, 0)
		if err := e.Start(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		edgeSame(t, "runs when started", runs, 1)
	})
}

func TestTimeoutsAreNotPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New()
		defer edgeClose(t, e)
		_, goOn, _ := edgeBlocked(t, e, schedule.After(0), Timeout(time.Hour))
		edgeSame(t, "pending", e.Stats().Pending, 0)
		close(goOn)
	})
}

// Wait also waits for runs whose task has ended, or was replaced by one that has.
func TestWaitForTheRunOfACancelledTask(t *testing.T) {
	for _, replaced := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			e := New()
			defer edgeClose(t, e)
			_, goOn, _ := edgeBlocked(t, e, schedule.Every(time.Minute))
			if replaced {
				edgePut(t, e, "a", schedule.After(time.Hour), Plain(func() {}))
			}
			e.Cancel("a")
			for _, sel := range []Selector{Named("a"), AllTasks()} {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				if err := e.Wait(ctx, sel); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("replaced %v: wait for %v: %v during the run", replaced, sel, err)
				}
				cancel()
			}
			close(goOn)
			if err := e.Wait(t.Context(), AllTasks()); err != nil {
				t.Errorf("replaced %v: wait: %v", replaced, err)
			}
		})
	}
}

// A run that waits for the task that replaces its own, and waits for its end, would wait for itself.
func TestRunThatWaitsForItsReplacement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New()
		defer edgeClose(t, e)
		var byTask, byName, beside error
		edgePut(t, e, "a", schedule.After(0), func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			next := edgePut(t, e, "a", schedule.After(time.Minute), Plain(func() {}))
			byTask, byName = next.Wait(ctx), e.Wait(ctx, Named("a"))
			next = edgePut(t, e, "a", schedule.After(time.Minute), Plain(func() {}), Overlap(Allow))
			beside = next.Wait(ctx)
			return nil
		})
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if !errors.Is(byTask, ErrSelfWait) || !errors.Is(byName, ErrSelfWait) || beside != nil {
			t.Errorf("wait: %v by handle, %v by name, want ErrSelfWait; %v beside, want nil", byTask, byName, beside)
		}
	})
}

// A pace begins at the end of a run: also one that the task was moved to during the run.
func TestMoveToAPaceDuringARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New()
		defer edgeClose(t, e)
		var starts []time.Duration
		begin := time.Now()
		task := edgePut(t, e, "a", schedule.Every(time.Minute), Plain(func() {
			if starts = append(starts, time.Since(begin)); len(starts) == 1 {
				time.Sleep(10 * time.Minute)
			}
		}))
		time.Sleep(time.Minute + time.Second)
		if err := task.Move(schedule.Pace(time.Minute)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(12*time.Minute - time.Second)
		synctest.Wait()
		edgeSame(t, "starts", starts, []time.Duration{time.Minute, 12 * time.Minute, 13 * time.Minute})
	})
}

func TestCancelledTaskSkipsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New(Options{Hooks: Hooks{Skipped: func(ev Event) { t.Errorf("skipped %d of %q: %s", ev.Count, ev.Name, ev.Reason) }}})
		defer edgeClose(t, e)
		_, goOn, _ := edgeBlocked(t, e, schedule.After(0))
		edgePut(t, e, "a", schedule.Every(time.Minute), Plain(func() {}))
		e.Cancel("a")
		time.Sleep(time.Hour)
		close(goOn)
		synctest.Wait()
		edgeSame(t, "skipped", e.Stats().Skipped, uint64(0))
		edgeSame(t, "pending", e.Stats().Pending, 0)
	})
}

// A run that a task took over and runs beside ends: that is not the end of the task's own run, from which its pace counts.
func TestPaceCountsFromItsOwnRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New()
		defer edgeClose(t, e)
		var starts []time.Duration
		begin := time.Now()
		_, goOn, _ := edgeBlocked(t, e, schedule.After(0))
		edgePut(t, e, "a", schedule.Pace(time.Minute), Plain(func() {
			starts = append(starts, time.Since(begin))
			time.Sleep(10 * time.Minute)
		}), Overlap(Allow))
		time.Sleep(2 * time.Minute)
		close(goOn)
		time.Sleep(11 * time.Minute)
		e.Cancel("a")
		if err := e.Wait(t.Context(), AllTasks()); err != nil {
			t.Error(err)
		}
		edgeSame(t, "starts", starts, []time.Duration{time.Minute, 12 * time.Minute})
	})
}

func TestRunNowOfATaskMovedToAOneOffDuringItsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New()
		defer edgeClose(t, e)
		task, goOn, runs := edgeBlocked(t, e, schedule.Every(time.Minute))
		if err := task.Move(schedule.After(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if n, err := e.RunNow(Named("a"), ""); n != 1 || err != nil {
			t.Errorf("run now: %d, %v, want 1", n, err)
		}
		close(goOn)
		synctest.Wait()
		edgeSame(t, "runs", *runs, 2)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		edgeSame(t, "runs in the end", *runs, 2)
	})
}

// Those who wait for a key leave from anywhere in the line, and the rest keeps its order.
func TestKeyLine(t *testing.T) {
	var kt keyTable
	ws := make([]*keyWaiter, 8)
	for i := range ws {
		ws[i] = &keyWaiter{key: "k", limit: 1}
		edgeSame(t, fmt.Sprint("enter ", i), kt.enter(ws[i]), i == 0)
	}
	for _, i := range []int{4, 1, 7, 4} { // the middle, the head, the tail, and one that has left
		if got := kt.leave(ws[i]); got != nil {
			t.Errorf("leave %d grants the key to %d", i, len(got))
		}
	}
	for _, i := range []int{2, 3, 5, 6} {
		if got := kt.release("k"); len(got) != 1 || got[0] != ws[i] {
			t.Errorf("release does not grant the key to %d", i)
		}
	}
	if got := kt.release("k"); got != nil || len(kt.keys) != 0 {
		t.Errorf("the last release grants %d, and %d keys are kept", len(got), len(kt.keys))
	}
}

// What is put while a held engine starts is seen either by the start or by who puts it. Without the order that makes it so,
// a few thousand rounds lose one.
func TestStartBesideAfterFunc(t *testing.T) {
	var spun atomic.Int64
	for i := range rounds(6000) {
		e := New(Options{Held: true})
		for range len(e.shards) { // so that nothing needs to be allocated in the moment that counts
			e.AfterFunc(time.Hour, func() {})
		}
		var goOn atomic.Bool
		added, ran := make(chan struct{}), make(chan struct{})
		go func() {
			for !goOn.Load() {
				runtime.Gosched()
			}
			e.AfterFunc(0, func() { close(ran) })
			close(added)
		}()
		runtime.Gosched()
		goOn.Store(true)
		for range i % 400 {
			spun.Add(1)
		}
		if err := e.Start(); err != nil {
			t.Fatal(err)
		}
		<-added
		select {
		case <-ran:
		case <-time.After(10 * time.Second):
			t.Fatalf("round %d: the timer never fired", i)
		}
		edgeClose(t, e)
	}
}

// contract: G2, G3. Allow runs at once beside others, also what is caught up: a long run holds nothing up.
func TestAllowCatchesUpBesideARun(t *testing.T) {
	m := clock.NewManual(edgeEpoch)
	e := New(Options{Clock: m})
	defer edgeClose(t, e)
	started, goOn := make(chan Attempt, 9), make(chan struct{})
	edgePut(t, e, "a", schedule.Every(10*time.Second), func(ctx context.Context) error {
		a, _ := TaskFrom(ctx)
		started <- a
		<-goOn
		return nil
	}, Overlap(Allow), CatchUp(All(3)))
	if err := m.Suspend(45 * time.Second).Wait(edgeCtx(t)); err != nil {
		t.Fatal(err)
	}
	next := func() string {
		select {
		case a := <-started:
			return fmt.Sprint(a.ScheduledFor.Sub(edgeEpoch), " missed ", a.Missed)
		case <-edgeCtx(t).Done():
			t.Fatal("no run begins beside those under way")
			return ""
		}
	}
	got := []string{next(), next(), next()}
	slices.Sort(got) // they begin in order, but tell of it as they like
	edgeSame(t, "caught up", got, []string{"20s missed 1", "30s missed 0", "40s missed 0"})
	if err := m.WaitArmed(edgeCtx(t), func(boot, _ int64) bool { return boot == int64(50*time.Second) }); err != nil {
		t.Fatal(err)
	}
	if err := m.Run(edgeCtx(t), 5*time.Second); err != nil {
		t.Fatal(err)
	}
	edgeSame(t, "on time", next(), "50s missed 0")
	close(goOn)
}

// contract: G2, G3. While CancelOther catches up, an occurrence that comes due still asks the run under way to stop: one
// that goes on until it is asked does not hold up the schedule for ever. One that ends by itself is followed at once.
func TestCancelOtherCatchesUp(t *testing.T) {
	for _, waits := range []bool{true, false} {
		m := clock.NewManual(edgeEpoch)
		e := New(Options{Clock: m})
		started, cause := make(chan string, 9), make(chan error, 9)
		edgePut(t, e, "a", schedule.Every(10*time.Second), func(ctx context.Context) error {
			a, _ := TaskFrom(ctx)
			started <- fmt.Sprint(a.ScheduledFor.Sub(edgeEpoch), " at ", a.Started.Sub(edgeEpoch), " missed ", a.Missed)
			if waits {
				<-ctx.Done()
			}
			cause <- context.Cause(ctx)
			return nil
		}, Overlap(CancelOther), CatchUp(All(3)))
		if err := m.Suspend(45 * time.Second).Wait(edgeCtx(t)); err != nil {
			t.Fatal(err)
		}
		want := []string{"20s at 45s missed 1", "30s at 45s missed 0", "40s at 45s missed 0", "50s at 50s missed 0"}
		if waits {
			want = []string{"20s at 45s missed 1", "30s at 50s missed 0", "40s at 1m0s missed 0", "50s at 1m10s missed 0"}
		}
		for i := range want {
			select {
			case got := <-started:
				edgeSame(t, fmt.Sprint("start ", i), got, want[i])
			case <-edgeCtx(t).Done():
				t.Fatalf("run %d does not begin", i)
			}
			if waits || i == 2 {
				next := m.Now().Boot/int64(10*time.Second)*int64(10*time.Second) + int64(10*time.Second)
				if err := m.WaitArmed(edgeCtx(t), func(boot, _ int64) bool { return boot == next }); err != nil {
					t.Fatal(err)
				}
				if err := m.Run(edgeCtx(t), time.Duration(next-m.Now().Boot)); err != nil {
					t.Fatal(err)
				}
			}
			if err := <-cause; waits != (err != nil) {
				t.Errorf("run %d ended with %v", i, err)
			}
		}
		edgeClose(t, e)
	}
}

// contract: C1, H3. RunNow asks for now, which a clock that is set back before a worker is free does not make the future.
func TestRunNowBeforeTheClockIsSetBack(t *testing.T) {
	m := clock.NewManual(edgeEpoch)
	e := New(Options{Clock: m, Workers: 1})
	busy, goOn := make(chan struct{}), make(chan struct{})
	edgePut(t, e, "first", schedule.After(0), Plain(func() {
		close(busy)
		<-goOn
	}))
	<-busy
	attempts := make(chan Attempt, 1)
	edgePut(t, e, "a", schedule.Every(time.Hour).AlignTo(edgeEpoch), func(ctx context.Context) error {
		a, _ := TaskFrom(ctx)
		attempts <- a
		return nil
	})
	if _, err := e.RunNow(Named("a"), ""); err != nil {
		t.Fatal(err)
	}
	if err := m.Step(-time.Minute).Wait(edgeCtx(t)); err != nil {
		t.Fatal(err)
	}
	close(goOn)
	if a := <-attempts; a.Started.Before(a.Due) {
		t.Errorf("started at %v, before it was due at %v", a.Started, a.Due)
	}
	edgeClose(t, e)
	edgeSame(t, "early", e.Stats().Early, uint64(0))
}
