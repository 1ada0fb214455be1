package timer

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/schedule"
)

// What the mutation check found that no test looked at.

// TestElapsed_BeginsWithTheEngineOnAnOldClock: a clock that several engines share, or that a test has moved before, has counted long when an
// engine is made. Its delays and deadlines count from there all the same.
func TestElapsed_BeginsWithTheEngineOnAnOldClock(t *testing.T) {
	m := clock.NewManual(time.Unix(1_770_000_000, 0))
	if err := m.Run(edgeCtx(t), time.Hour); err != nil {
		t.Fatal(err)
	}
	e := New(Options{Clock: m})
	defer patientClose(t, e)
	if d := e.Elapsed(); d != 0 {
		t.Errorf("at once %v have elapsed", d)
	}
	x := &counted{}
	if _, err := e.Expire(time.Minute, x); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{0, 1} {
		if err := m.Run(edgeCtx(t), time.Minute-time.Duration(1-want)); err != nil {
			t.Fatal(err)
		}
		if x.n != want {
			t.Errorf("after %v it was told %d times, want %d", e.Elapsed(), x.n, want)
		}
		if want == 0 {
			if d, _ := e.Read(); d != time.Minute-1 {
				t.Errorf("Read: %v have elapsed, want a nanosecond less than a minute", d)
			}
		}
	}
}

// counted counts how often it is told. The clock's Run returns when the driver is back, so that it needs no lock.
type counted struct{ n int }

func (c *counted) Expire(error) { c.n++ }

// TestPace_EndsWithARunBeyondUntil: a task that rests between its runs has no occurrence of which it would be known in advance that it is the
// last: that it was shows when its run ends too late for another. It has then ended, and its name is free.
func TestPace_EndsWithARunBeyondUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New()
		defer patientClose(t, e)
		task := edgePut(t, e, "sweep", schedule.Pace(time.Minute).Until(time.Now().Add(10*time.Minute)), func(context.Context) error {
			time.Sleep(4 * time.Minute)
			return nil
		})
		time.Sleep(time.Hour)
		if info := task.Info(); info.State != StateDone || !info.ScheduledFor.IsZero() || info.Runs < 2 {
			t.Errorf("the task is %v after %d runs, and next due at %v; want it done", info.State, info.Runs, info.ScheduledFor)
		}
		if _, ok := e.Find("sweep"); ok {
			t.Error("the name is still taken")
		}
		if n := e.Stats().Pending; n != 0 {
			t.Errorf("%d are pending, want none", n)
		}
	})
}

// TestCancelRunning_OfAReplacedTask: the runs of a task and of the one that has replaced it are under way together. Each handle asks its own to
// stop and no other.
// contract: E3
func TestCancelRunning_OfAReplacedTask(t *testing.T) {
	for name, second := range map[string]bool{"the old one's": false, "the new one's": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := New()
				defer patientClose(t, e)
				var tasks [2]Task
				var stopped [2]bool
				for i := range tasks {
					tasks[i] = edgePut(t, e, "tea", schedule.After(time.Second), func(ctx context.Context) error {
						select {
						case <-ctx.Done():
							stopped[i] = true
						case <-time.After(time.Hour):
						}
						return nil
					}, Overlap(Allow))
					time.Sleep(2 * time.Second)
					synctest.Wait()
				}
				asked := 0
				if second {
					asked = 1
				}
				if n := tasks[asked].CancelRunning(); n != 1 {
					t.Errorf("%d runs were asked to stop, want 1", n)
				}
				synctest.Wait()
				var want [2]bool
				if want[asked] = true; stopped != want {
					t.Errorf("stopped are %v, want %v", stopped, want)
				}
				time.Sleep(2 * time.Hour)
			})
		})
	}
}

// TestCancelWait_OfTheZeroTask: the zero Task is one that has ended, for whoever waits, too.
func TestCancelWait_OfTheZeroTask(t *testing.T) {
	var task Task
	if c, err := task.CancelWait(t.Context()); c != Finished || err != nil {
		t.Errorf("CancelWait: %v, %v; want finished and no error", c, err)
	}
}

// TestChange_WhileTheEngineCloses: who changes a task while Close has told its shard, but not yet all of them, is told that the engine is closed:
// not that there is no such task, nor that nothing was to be done.
func TestChange_WhileTheEngineCloses(t *testing.T) {
	e := New()
	last := &e.shards[len(e.shards)-1]
	name := "a"
	for sh, _ := e.shardOf(name); sh == last; sh, _ = e.shardOf(name) {
		name += "a"
	}
	task := edgePut(t, e, name, schedule.After(time.Hour), nothingToDo)
	last.mu.Lock() // Close gets no farther
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		patientClose(t, e)
	}()
	for told := false; !told; runtime.Gosched() {
		task.sh.mu.Lock()
		told = task.sh.closed
		task.sh.mu.Unlock()
	}
	changes := map[string]func(Selector) (int, error){
		"pause":   func(s Selector) (int, error) { return e.Pause(s, "stocktaking") },
		"resume":  e.Resume,
		"run now": func(s Selector) (int, error) { return e.RunNow(s, "by hand") },
	}
	for what, change := range changes {
		if n, err := change(Named(name)); n != 0 || !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %d changed, %v; want none, and ErrClosed", what, n, err)
		}
	}
	last.mu.Unlock()
	<-closed
}

// TestIdle_LetsGoOfAnInstant: an instant that comes and goes while the alarm is about to ring for the last time leaves no alarm behind on the wall
// clock.
func TestIdle_LetsGoOfAnInstant(t *testing.T) {
	set := time.Unix(1_770_000_000, 0)
	m := clock.NewManual(set)
	e := New(Options{Clock: m})
	defer patientClose(t, e)
	if !e.AfterFunc(time.Hour, func() {}).Stop() {
		t.Fatal("the timer was not stopped")
	}
	soon, _ := m.Armed()
	if soon > lingerFor {
		t.Fatalf("the alarm is set to %v, want it to ring soon", time.Duration(soon))
	}
	for range 2 { // the first finds the alarm set for a delay alone, the second as the first has left it
		edgePut(t, e, "tea", schedule.At(set.Add(time.Hour)), nothingToDo)
		if c := e.Cancel("tea"); c != Cancelled {
			t.Fatalf("cancel: %v", c)
		}
		if boot, wall := m.Armed(); boot != soon || wall != clock.Never {
			t.Errorf("the alarms are set to %v and %d, want %v and never", time.Duration(boot), wall, time.Duration(soon))
		}
	}
	if err := m.Run(edgeCtx(t), time.Second); err != nil {
		t.Fatal(err)
	}
	if boot, wall := m.Armed(); boot != clock.Never || wall != clock.Never {
		t.Errorf("a second later the alarms are set to %v and %d, want never", time.Duration(boot), wall)
	}
}

func nothingToDo(context.Context) error { return nil }

// TestKey_WhoLeavesTheLineLetsOthersGo: tasks of one key may have different limits. One that waits keeps those behind it out, and lets them go
// when it is cancelled, although no run has ended.
// contract: J2
func TestKey_WhoLeavesTheLineLetsOthersGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New()
		defer patientClose(t, e)
		for _, name := range []string{"runs", "leaves", "goes"} {
			limit := 2
			if name == "leaves" {
				limit = 1
			}
			edgePut(t, e, name, schedule.After(0), func(context.Context) error {
				time.Sleep(time.Hour)
				return nil
			}, Key("k", limit))
			time.Sleep(time.Second)
		}
		state := func(name string) State {
			synctest.Wait()
			task, _ := e.Find(name)
			return task.State()
		}
		if s := state("goes"); s != StatePending {
			t.Fatalf("behind one that waits it is %v, want pending", s)
		}
		if c := e.Cancel("leaves"); c != Cancelled {
			t.Fatalf("cancel: %v", c)
		}
		if s := state("goes"); s != StateRunning {
			t.Errorf("it is %v, want running", s)
		}
		time.Sleep(2 * time.Hour)
	})
}

// TestInfo_NothingIsDueDuringTheLastRun: with jitter, too.
func TestInfo_NothingIsDueDuringTheLastRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New()
		defer patientClose(t, e)
		for _, s := range []schedule.Schedule{schedule.After(time.Minute).Jitter(time.Minute), schedule.Pace(time.Minute).Jitter(time.Minute)} {
			task := edgePut(t, e, s.String(), s, func(context.Context) error {
				time.Sleep(time.Hour)
				return nil
			})
			time.Sleep(10 * time.Minute)
			if info := task.Info(); info.State != StateRunning || !info.ScheduledFor.IsZero() || !info.Due.IsZero() {
				t.Errorf("%v: it is %v and due at %v for %v, want running and not due", s, info.State, info.Due, info.ScheduledFor)
			}
			task.Cancel()
			time.Sleep(2 * time.Hour)
		}
	})
}

// TestError_WithoutAName: what is no task's does not name one.
func TestError_WithoutAName(t *testing.T) {
	e := New()
	defer patientClose(t, e)
	want := "timer: start: " + ErrAlreadyStarted.Error()
	if err := e.Start(); err == nil || err.Error() != want {
		t.Errorf("Start says %q, want %q", err, want)
	}
}

// TestCancel_LeavesNothingToBeSeen: of a task that is cancelled nothing is listed and nothing is due any more, also where its entry is still in
// the wheel.
func TestCancel_LeavesNothingToBeSeen(t *testing.T) {
	m := clock.NewManual(time.Unix(1_770_000_000, 0))
	e := New(Options{Clock: m, Workers: 1})
	defer patientClose(t, e)
	names := func() (all []string) {
		for info := range e.Tasks(AllTasks()) {
			all = append(all, info.Name)
		}
		slices.Sort(all)
		return all
	}
	edgePut(t, e, "soon", schedule.After(time.Minute), nothingToDo)
	edgePut(t, e, "tomorrow", schedule.After(24*time.Hour), nothingToDo)
	timed := edgePut(t, e, "now", schedule.After(0), func(ctx context.Context) error {
		<-ctx.Done()
		return nil
	}, Timeout(time.Second))
	if err := m.Run(edgeCtx(t), time.Nanosecond); err != nil {
		t.Fatal(err)
	}
	for timed.State() != StateRunning { // its timeout comes first in the wheel, and is nothing that anybody waits for
		runtime.Gosched()
	}
	if at, ok := e.NextDue(); !ok || at.Sub(e.origin) != time.Minute {
		t.Errorf("the next is due at %v, want in a minute", at)
	}
	if c := e.Cancel("soon"); c != Cancelled {
		t.Fatalf("cancel: %v", c)
	}
	if got, want := names(), []string{"now", "tomorrow"}; !slices.Equal(got, want) {
		t.Errorf("listed are %v, want %v", got, want)
	}
	if at, ok := e.NextDue(); !ok || at.Sub(e.origin) != 24*time.Hour {
		t.Errorf("the next is due at %v, want in a day", at)
	}
	timed.CancelRunning()
}

// TestClose_ListsWhatIsBehindAGap: many tasks in the middle of those that were put are gone when the engine is closed, and with them the memory
// that they were in. What was put after them is listed all the same.
func TestClose_ListsWhatIsBehindAGap(t *testing.T) {
	e := New(Options{Workers: 1})
	var tasks []Task
	for i := range 5 * chunkSize {
		tasks = append(tasks, edgePut(t, e, strconv.Itoa(i), schedule.After(time.Hour), nothingToDo))
	}
	for _, task := range tasks[chunkSize : 4*chunkSize] {
		task.Cancel()
	}
	left, err := e.Close(edgeCtx(t))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for range left.NotRun() {
		n++
	}
	if n != 2*chunkSize {
		t.Errorf("%d are listed, want %d", n, 2*chunkSize)
	}
}

// TestOverlap_TheLastRunsEndOneByOne: a task whose last two runs are under way together has not ended with the first of them.
func TestOverlap_TheLastRunsEndOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New()
		defer patientClose(t, e)
		task := edgePut(t, e, "tea", schedule.Every(time.Minute).Times(2), func(context.Context) error {
			time.Sleep(90 * time.Second)
			return nil
		}, Overlap(Allow))
		time.Sleep(3 * time.Minute) // the second has begun a minute after the first
		if info := task.Info(); info.Runs != 2 || info.Running != 1 {
			t.Fatalf("it runs %d times, and has started %d times; want the second run alone", info.Running, info.Runs)
		}
		if _, ok := e.Find("tea"); !ok || task.State() != StateRunning {
			t.Errorf("found: %v, %v; want it running", ok, task.State())
		}
		if c := task.Cancel(); c != Running {
			t.Errorf("cancel: %v, want running", c)
		}
		time.Sleep(time.Minute)
		if s := task.State(); s != StateDone {
			t.Errorf("in the end it is %v, want done", s)
		}
	})
}

// TestRest_PausesAfterWork: a driver that has found something due, and took a while for it, does not get up again for what comes due soon after,
// but pauses for some times as long, and finds it late by no more than a tick.
func TestRest_PausesAfterWork(t *testing.T) {
	c := &slowClock{Manual: clock.NewManual(time.Unix(1_770_000_000, 0))}
	e := New(Options{Clock: c})
	defer patientClose(t, e)
	e.testPass = func() { c.each.Store(int64(time.Microsecond)) }
	var ran atomic.Int32
	const first, second = time.Millisecond, time.Millisecond + 5*time.Microsecond
	e.AfterFunc(first, func() { ran.Add(1) })
	e.AfterFunc(second, func() { ran.Add(1) })
	if err := c.Run(edgeCtx(t), first); err != nil {
		t.Fatal(err)
	}
	if boot, _ := c.Armed(); boot < int64(first+8*time.Microsecond) || boot > int64(second)+1<<tickShift {
		t.Errorf("the driver sleeps until %v, want some microseconds later than the next is due, at %v", time.Duration(boot), second)
	}
	if err := c.Run(edgeCtx(t), time.Second); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(stormPatience); ran.Load() < 2; runtime.Gosched() {
		if time.Now().After(until) {
			t.Fatalf("%d of 2 have run", ran.Load())
		}
	}
}

// slowClock is a manual clock on which looking at it takes time, once each is set.
type slowClock struct {
	*clock.Manual
	each, spent atomic.Int64
}

func (c *slowClock) Read() clock.Reading {
	r := c.Manual.Read()
	spent := c.spent.Add(c.each.Load())
	return clock.Reading{Boot: r.Boot + spent, Wall: r.Wall + spent}
}
