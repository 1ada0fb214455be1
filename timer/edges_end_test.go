package timer

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/schedule"
)

// A claim that finds its shard closed, but not yet said that claims go on, must not drop what it came for.
func TestDrainRunPendingClaimsWhileItCloses(t *testing.T) {
	e := New(Options{Held: true})
	last := &e.shards[len(e.shards)-1]
	name := "a"
	for sh, _ := e.shardOf(name); sh == last; sh, _ = e.shardOf(name) {
		name += "a"
	}
	ran := false
	task := edgePut(t, e, name, schedule.After(0), Plain(func() { ran = true }), Track())
	last.mu.Lock() // Drain gets no farther
	drained := make(chan error)
	go func() {
		_, err := e.Drain(edgeCtx(t), RunPending)
		drained <- err
	}()
	for closed := false; !closed; runtime.Gosched() {
		task.sh.mu.Lock()
		closed = task.sh.closed
		task.sh.mu.Unlock()
	}
	items, _ := e.expireBatch(task.sh, e.clk.Read()) // what the driver and a worker would do now
	for _, it := range items {
		if run := e.claim(&worker{cell: &e.cells[0]}, it); run != nil {
			e.runTask(run)
		}
	}
	last.mu.Unlock()
	if err := <-drained; err != nil {
		t.Errorf("drain: %v", err)
	}
	if !ran {
		t.Error("the task was due and has not run")
	}
}

func TestCloseBesideDrainRunPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New()
		edgePut(t, e, "a", schedule.After(time.Hour), Plain(func() {}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		drained := make(chan error, 1)
		go func() {
			_, err := e.Drain(ctx, RunPending)
			drained <- err
		}()
		synctest.Wait()
		begin := time.Now()
		edgeClose(t, e)
		if err := <-drained; err != nil || time.Since(begin) != 0 {
			t.Errorf("drain: %v after %v, want it to end with Close", err, time.Since(begin))
		}
	})
}

// What is paused when a drain begins can be resumed by nobody: it is left, not waited for.
func TestDrainRunPendingLeavesPausedTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New()
		task := edgePut(t, e, "a", schedule.After(time.Minute), Plain(func() { t.Error("a paused task ran") }))
		if _, err := e.Pause(AllTasks(), "test"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		left, err := e.Drain(ctx, RunPending)
		if err != nil {
			t.Errorf("drain: %v", err)
		}
		var names []string
		for info := range left.NotRun() {
			names = append(names, fmt.Sprint(info.Name, " ", info.State, " ", info.Reason))
		}
		edgeSame(t, "not run", names, []string{"a cancelled test"})
		edgeSame(t, "pending at the end", task.State(), StateFinished)
	})
}

// A drain that has run out of time leaves the timeouts of the runs that go on.
func TestTimeoutAfterDrainGaveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New()
		var cause error
		var took time.Duration
		start := time.Now()
		task := edgePut(t, e, "a", schedule.After(0), func(ctx context.Context) error {
			<-ctx.Done()
			cause, took = context.Cause(ctx), time.Since(start)
			return nil
		}, Timeout(time.Minute))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := e.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("drain: %v, want its context's end", err)
		}
		if ctx, cancel := context.WithTimeout(t.Context(), time.Hour); task.Wait(ctx) != nil {
			t.Error("the run's timeout never came")
			cancel()
		} else {
			cancel()
		}
		edgeClose(t, e)
		if !errors.Is(cause, ErrTimeout) || took != time.Minute {
			t.Errorf("the context ended after %v with %v, want ErrTimeout after 1m", took, cause)
		}
	})
}

func TestDrainThatNeedsNoTimeIgnoresAnEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 { // a select between two that are ready would toss a coin
		if _, err := New().Drain(ctx); err != nil {
			t.Fatalf("drain of an engine that does nothing: %v", err)
		}
	}
}

// contract: K2. Tasks without options have events like all others.
func TestHooksOfPlainTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		note := func(ev Event) { told = append(told, fmt.Sprint(ev.Kind, " ", ev.Name, " ", ev.Reason)) }
		e := New(Options{Hooks: Hooks{Scheduled: note, Cancelled: note}})
		edgePut(t, e, "a", schedule.After(time.Hour), Plain(func() {}))
		edgePut(t, e, "a", schedule.After(2*time.Hour), Plain(func() {}))
		edgeClose(t, e)
		edgeSame(t, "told", told, []string{"scheduled a ", "cancelled a replaced", "scheduled a ", "cancelled a closed"})
	})
}

// The only shard of an engine with one worker takes out a whole burst at once, and keeps no room for another.
func TestBurstLeavesNoBuffers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New(Options{Workers: 1})
		defer edgeClose(t, e)
		for range 20 * batchSize {
			e.AfterFunc(time.Second, func() {})
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		sh := &e.shards[0]
		if n := max(cap(sh.items), cap(sh.buf)); n > 4*batchSize {
			t.Errorf("room for %d entries is kept, want at most %d", n, 4*batchSize)
		}
	})
}

func TestCloseDuringTheRunOfATaskMovedToAOneOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New()
		task, goOn, runs := edgeBlocked(t, e, schedule.Every(time.Minute))
		if err := task.Move(schedule.After(time.Hour)); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { close(goOn) })
		left, err := e.Drain(t.Context())
		if err != nil {
			t.Errorf("drain: %v", err)
		}
		edgeSame(t, "not run", len(slices.Collect(left.NotRun())), 1)
		if s, err := task.State(), task.Err(); s != StateCancelled || !errors.Is(err, ErrClosed) {
			t.Errorf("the task is %v with %v, want cancelled with ErrClosed", s, err)
		}
		edgeSame(t, "runs", *runs, 1)
	})
}

// A timer of an engine outside can be stopped inside a bubble: its alarm, which cannot be touched from there, may ring.
func TestStopAcrossTheEdgeOfABubble(t *testing.T) {
	e := New()
	defer edgeClose(t, e)
	tm := e.AfterFunc(time.Hour, func() {})
	synctest.Test(t, func(t *testing.T) {
		if !tm.Stop() {
			t.Error("stop: false, want true")
		}
	})
	ran := make(chan struct{})
	e.AfterFunc(time.Millisecond, func() { close(ran) })
	select {
	case <-ran:
	case <-edgeCtx(t).Done():
		t.Error("the timer after it never fired")
	}
}

func TestErrOfATaskThatHadFailedBeforeClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New()
		task := edgePut(t, e, "a", schedule.Every(time.Minute), func(context.Context) error { return errors.New("boom") })
		time.Sleep(time.Minute)
		synctest.Wait()
		edgeClose(t, e)
		if s, err := task.State(), task.Err(); s != StateCancelled || !errors.Is(err, ErrClosed) {
			t.Errorf("the task is %v with %v, want cancelled with ErrClosed", s, err)
		}
	})
}
