package timer_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/timer"
)

// An engine with timers pending, a recurring task and a handler that blocks does not keep the program from its end, and
// making an engine starts no goroutine. The program is a real one, since a test binary ends by os.Exit.
func TestDoesNotBlockExit(t *testing.T) {
	const source = `package main

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/timer"
)

func main() {
	before := runtime.NumGoroutine()
	e := timer.New()
	fmt.Println("goroutines made:", runtime.NumGoroutine()-before)
	started := make(chan struct{})
	e.AfterFunc(time.Hour, func() { panic("never") })
	_, _ = e.Put("later", schedule.After(time.Hour), timer.Plain(func() { panic("never") }))
	_, _ = e.Put("tick", schedule.Every(time.Millisecond), timer.Plain(func() {}))
	_, _ = e.Put("stuck", schedule.After(0), func(ctx context.Context) error {
		close(started)
		<-ctx.Done()
		return nil
	})
	<-started
	fmt.Println("main returns with", e.Stats().Pending, "pending")
}
`
	dir := t.TempDir()
	file, prog := filepath.Join(dir, "main.go"), filepath.Join(dir, "prog.exe")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	// The imports are found in the module of the working directory, which go test makes this package's.
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", prog, file).CombinedOutput(); err != nil {
		t.Fatalf("build the program: %v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, prog).CombinedOutput()
	if err != nil {
		t.Fatalf("run the program: %v (%v)\n%s", err, ctx.Err(), out)
	}
	if diff := cmp.Diff("goroutines made: 0\nmain returns with 3 pending\n", string(out)); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

// contract: K1.
func TestShutdownWaitsForRunning(t *testing.T) {
	t.Run("drain waits and does not interrupt", func(t *testing.T) {
		rows2Bubble(t, timer.Options{}, func(t *testing.T, e *timer.Engine) {
			tr, interrupted := rows2NewTrace(), false
			tr.round = 10 * time.Millisecond // the second may begin a little late where there is but one processor
			rows2Put(t, e, "slow", schedule.After(time.Second), func(ctx context.Context) error {
				time.Sleep(5 * time.Second)
				interrupted = ctx.Err() != nil
				tr.note("slow ended")
				return nil
			})
			e.AfterFunc(time.Second, func() {
				time.Sleep(6 * time.Second)
				tr.note("unnamed ended")
			})
			sleep(2 * time.Second)
			left, err := e.Drain(t.Context())
			tr.note("drained")
			tr.want(t, "slow ended@6s", "drained@7s", "unnamed ended@7s")
			if err != nil || left.Running() != 0 || interrupted {
				t.Errorf("drain: error %v, %d running, interrupted %v, want none of these", err, left.Running(), interrupted)
			}
		})
	})
	t.Run("drain names what still runs when its context ends", func(t *testing.T) {
		rows2Bubble(t, timer.Options{}, func(t *testing.T, e *timer.Engine) {
			gate := make(chan struct{})
			block := func(context.Context) error { <-gate; return nil }
			rows2Put(t, e, "a", schedule.After(0), block)
			rows2Put(t, e, "b", schedule.After(0), block)
			rows2Put(t, e, "c", schedule.After(time.Hour), block)
			sleep(time.Second)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			left, err := e.Drain(ctx)
			rows2Is(t, "drain", err, context.DeadlineExceeded)
			if took := time.Since(start); took != time.Second {
				t.Errorf("drain took %v, want 1s", took)
			}
			got := map[string][]string{"still": rows2Names(left.StillRunning()), "not": rows2Names(left.NotRun())}
			want := map[string][]string{"still": {"a", "b"}, "not": {"c"}}
			if diff := cmp.Diff(want, got); diff != "" || left.Running() != 2 {
				t.Errorf("running %d, want 2; leftover (-want +got):\n%s", left.Running(), diff)
			}
			close(gate)
		})
	})
	t.Run("close asks to stop and waits", func(t *testing.T) {
		rows2Bubble(t, timer.Options{}, func(t *testing.T, e *timer.Engine) {
			tr := rows2NewTrace()
			rows2Put(t, e, "heeds", schedule.After(0), func(ctx context.Context) error {
				<-ctx.Done()
				time.Sleep(time.Second)
				tr.note(context.Cause(ctx).Error())
				return nil
			})
			sleep(time.Second)
			_, err := e.Close(t.Context())
			tr.note("closed")
			rows2Is(t, "close", err, nil)
			tr.want(t, "closed@2s", "engine is closed@2s")
		})
	})
}

func TestJoinTask(t *testing.T) {
	rows2Bubble(t, timer.Options{}, func(t *testing.T, e *timer.Engine) {
		tr := rows2NewTrace()
		var self []error
		slow := rows2Put(t, e, "slow", schedule.After(time.Second), func(ctx context.Context) error {
			a, _ := timer.TaskFrom(ctx)
			time.Sleep(2 * time.Second)
			self = append(self, a.Task.Wait(ctx), e.Wait(ctx, timer.Named("slow")), e.Wait(ctx, timer.AllTasks()))
			_, err := a.Task.CancelWait(ctx)
			self = append(self, err)
			return nil
		})
		last := rows2Put(t, e, "slower", schedule.After(5*time.Second), rows2Nothing)
		join := func(what string, wait func(context.Context) error, limit time.Duration, want error) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			rows2Is(t, what, wait(ctx), want)
			tr.note(what)
		}
		join("slow, too short", slow.Wait, 500*time.Millisecond, context.DeadlineExceeded)
		if s := slow.State(); s != timer.StatePending {
			t.Errorf("a wait that was given up left the task %v, want pending", s)
		}
		join("slow", slow.Wait, time.Hour, nil)
		join("slow, again", slow.Wait, time.Hour, nil)
		join("prefix", func(ctx context.Context) error { return e.Wait(ctx, timer.Prefix("slow")) }, time.Second, context.DeadlineExceeded)
		join("all", func(ctx context.Context) error { return e.Wait(ctx, timer.AllTasks()) }, time.Hour, nil)
		join("slower", last.Wait, time.Hour, nil)
		join("nobody", timer.Task{}.Wait, time.Hour, nil)
		tr.want(t, "slow, too short@500ms", "slow, again@3s", "slow@3s", "prefix@4s", "all@5s", "nobody@5s", "slower@5s")
		for i, err := range self {
			rows2Is(t, fmt.Sprintf("join of oneself %d", i), err, timer.ErrSelfWait)
		}
		if len(self) != 4 {
			t.Errorf("%d joins of oneself, want 4", len(self))
		}
	})
}

// An engine that is dropped without Close still runs what is pending; no finalizer ends it. Close ends it for good.
func TestExplicitLifecycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := rows2NewTrace()
		func() {
			e := timer.New()
			rows2Put(t, e, "named", schedule.After(time.Hour), tr.run(0))
			e.AfterFunc(2*time.Hour, func() { tr.note("unnamed") })
		}()
		for range 3 {
			runtime.GC()
			sleep(time.Minute)
		}
		sleep(3 * time.Hour)
		tr.want(t, "named@1h0m0s", "unnamed@2h0m0s")

		e := timer.New()
		for i := range 100 {
			rows2Put(t, e, strconv.Itoa(i), schedule.Every(time.Minute), tr.run(0))
			e.AfterFunc(time.Hour, func() { tr.note("after Close") })
		}
		rows2Close(t, e)
		sleep(2 * time.Hour)
		tr.want(t)
	})
}

func TestTaskTimeoutCooperative(t *testing.T) {
	rows2Bubble(t, timer.Options{Workers: 1}, func(t *testing.T, e *timer.Engine) {
		tr := rows2NewTrace()
		heeds := rows2Put(t, e, "heeds", schedule.After(0), func(ctx context.Context) error {
			deadline, ok := ctx.Deadline()
			if want := tr.start.Add(time.Second); !ok || !deadline.Equal(want) {
				t.Errorf("deadline: got %v, %v, want %v", deadline, ok, want)
			}
			<-ctx.Done()
			tr.note(ctx.Err().Error())
			return context.Cause(ctx)
		}, timer.Timeout(time.Second))
		sleep(2 * time.Second)
		tr.want(t, "context deadline exceeded@1s")
		rows2Is(t, "err", heeds.Err(), timer.ErrTimeout)
		rows2Is(t, "err", heeds.Err(), context.DeadlineExceeded)
		if s := heeds.State(); s != timer.StateDead {
			t.Errorf("a task that failed by its timeout is %v, want dead", s)
		}

		var in atomic.Int32
		ignores := rows2Put(t, e, "ignores", schedule.After(0), func(ctx context.Context) error {
			in.Add(1)
			time.Sleep(3 * time.Second)
			rows2Is(t, "cause in a handler that goes on", context.Cause(ctx), timer.ErrTimeout)
			in.Add(-1)
			return nil
		}, timer.Timeout(time.Second))
		rows2Put(t, e, "next", schedule.After(time.Millisecond), func(context.Context) error {
			tr.note(fmt.Sprintf("next beside %d", in.Load()))
			return nil
		})
		sleep(2 * time.Second)
		if info := ignores.Info(); info.State != timer.StateRunning || info.Running != 1 {
			t.Errorf("one second over its time: %v with %d runs, want running with 1", info.State, info.Running)
		}
		sleep(2 * time.Second)
		tr.want(t, "next beside 0@5s") // the slot was not given to another before the handler had returned
		if s := ignores.State(); s != timer.StateDone || ignores.Err() != nil {
			t.Errorf("a handler that succeeded late: %v, %v, want done", s, ignores.Err())
		}
		if n := e.Stats().Overran; n != 1 { // the one that heeds its context ends in time
			t.Errorf("%d runs are said to have ended after their timeout, want 1", n)
		}

		rows2Put(t, e, "quick", schedule.Every(time.Second).Times(2), func(ctx context.Context) error {
			time.Sleep(999 * time.Millisecond)
			rows2Is(t, "a run within its time", context.Cause(ctx), nil)
			return nil
		}, timer.Timeout(time.Second))
		sleep(3 * time.Second)
	})
}

// contract: K1. Whatever moment Close meets, nothing of the user's begins after it has returned: no task, timer, hook,
// panic handler or log line. On the real clock.
func TestNothingAfterShutdown(t *testing.T) {
	rounds := timer.Rounds(2000) // of two engines each
	var late atomic.Int64
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for i := range rounds {
				var closed atomic.Bool
				seen := func() {
					if closed.Load() {
						late.Add(1)
					}
				}
				hook := func(timer.Event) { seen() }
				o := timer.Options{
					Logger: slog.New(slog.NewTextHandler(rows2Writer(seen), nil)),
					Hooks:  timer.Hooks{Scheduled: hook, Started: hook, Finished: hook, Failed: hook, Cancelled: hook},
				}
				if i%2 == 0 {
					o.Workers = 1
				}
				if i%3 == 0 {
					o.OnPanic = func(timer.Panic) { seen() }
				}
				e := timer.New(o)
				d := time.Duration(i%32) * time.Microsecond
				e.AfterFunc(d, seen)
				_, _ = e.Put("plain", schedule.After(d), timer.Plain(seen))
				_, _ = e.Put("tick", schedule.Every(100*time.Microsecond), timer.Plain(seen))
				_, _ = e.Put("panics", schedule.After(d/2), timer.Plain(func() { seen(); panic("of a test") }))
				for range i % 64 {
					runtime.Gosched()
				}
				end := e.Close
				if i%5 == 0 {
					end = e.Drain
				}
				_, err := end(t.Context())
				closed.Store(true)
				if err != nil {
					t.Errorf("round %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
	if n := late.Load(); n != 0 {
		t.Errorf("%d things happened after Close had returned, want none", n)
	}
}

type rows2Writer func()

func (w rows2Writer) Write(p []byte) (int, error) {
	w()
	return len(p), nil
}

// Whatever arms a timer returns before its function begins on another goroutine, even when the caller holds a lock that
// the function takes.
func TestNeverInline(t *testing.T) {
	rows2Bubble(t, timer.Options{Logger: rows2Discard()}, func(t *testing.T, e *timer.Engine) {
		var mu sync.Mutex
		me, ran, inline := rows2Goroutine(), 0, 0
		f := func() {
			if rows2Goroutine() == me {
				inline++ // and would wait for itself below
				return
			}
			mu.Lock()
			defer mu.Unlock()
			ran++
		}
		stopped := e.AfterFunc(time.Hour, f)
		stopped.Stop()
		rows2Put(t, e, "far", schedule.After(time.Hour), timer.Plain(f))
		rows2Put(t, e, "far too", schedule.After(time.Hour), timer.Plain(f))
		arms := []func(){
			func() { e.AfterFunc(0, f) },
			func() { e.AfterFunc(-time.Hour, f) },
			func() { stopped.Reset(0) },
			func() { rows2Put(t, e, "now", schedule.After(0), timer.Plain(f)) },
			func() { rows2Put(t, e, "past", schedule.At(time.Unix(1, 0)), timer.Plain(f)) },
			func() { rows2Put(t, e, "tracked", schedule.After(0), timer.Plain(f), timer.Track()) },
			func() { rows2Is(t, "move", e.Move("far", schedule.After(0)), nil) },
			func() {
				_, err := e.RunNow(timer.Named("far too"), "")
				rows2Is(t, "run now", err, nil)
			},
		}
		for i, arm := range arms {
			mu.Lock()
			arm()
			if ran != i {
				t.Errorf("call %d: the function ran beside the lock's holder", i)
			}
			mu.Unlock()
			synctest.Wait()
			if inline != 0 || ran != i+1 {
				t.Fatalf("call %d: ran %d times, %d of them on the caller's goroutine, want %d and 0", i, ran+inline, inline, i+1)
			}
		}
	})
}

func TestThreadingTimerCancel(t *testing.T) {
	rows2Bubble(t, timer.Options{}, func(t *testing.T, e *timer.Engine) {
		tr := rows2NewTrace()
		cancelled := e.AfterFunc(3*time.Second, func() { tr.note("cancelled") })
		e.AfterFunc(3*time.Second, func() { tr.note("print_msg") })
		sleep(time.Second)
		if first, second := cancelled.Stop(), cancelled.Stop(); !first || second {
			t.Errorf("Stop at 1 s, twice: got %v, %v, want true, false", first, second)
		}
		sleep(9 * time.Second)
		tr.want(t, "print_msg@3s")
	})
}

// A task is started once however often it is put; what restarts is called Reset, Move or Replace, and says what it met.
// contract: A5.
func TestStartOnlyOnce(t *testing.T) {
	rows2Bubble(t, timer.Options{}, func(t *testing.T, e *timer.Engine) {
		tr := rows2NewTrace()
		at := schedule.At(tr.start.Add(3 * time.Second))
		first := rows2Put(t, e, "task", at, tr.run(0))
		if again := rows2Put(t, e, "task", at, tr.run(0)); again.Generation() != first.Generation() {
			t.Errorf("put again: generation %d, want %d as before", again.Generation(), first.Generation())
		}
		kept := rows2Put(t, e, "kept", at, tr.run(0), timer.Track(), timer.Tags("b", "a"))
		if again := rows2Put(t, e, "kept", at, tr.run(0), timer.Tags("a", "b"), timer.Track()); again.Generation() != kept.Generation() {
			t.Errorf("put again: generation %d, want %d as before", again.Generation(), kept.Generation())
		}
		recurs := rows2Put(t, e, "recurs", schedule.Every(time.Hour), tr.run(0))
		sleep(time.Second)
		if again := rows2Put(t, e, "recurs", schedule.Every(time.Hour), tr.run(0)); again.Generation() != recurs.Generation() || !again.Next().Equal(tr.start.Add(time.Hour)) {
			t.Errorf("put again: generation %d, next %v, want %d and an hour after the first Put", again.Generation(), again.Next(), recurs.Generation())
		}
		_, err := e.Put("task", at, tr.run(0), timer.OnConflict(timer.Fail))
		rows2Is(t, "put again with Fail", err, timer.ErrExists)
		_, err = e.Put("task", schedule.After(time.Second), tr.run(0), timer.IfAbsent())
		rows2Is(t, "put again with IfAbsent", err, timer.ErrExists)
		rows2Is(t, "start again", e.Start(), timer.ErrAlreadyStarted)
		sleep(9 * time.Second)
		tr.want(t, "kept@3s", "task@3s")
		rows2Is(t, "move what has run", e.Move("task", schedule.After(time.Second)), timer.ErrUnknown)
		rows2Is(t, "move what has run by its handle", first.Move(schedule.After(time.Second)), timer.ErrFinished)

		once := e.AfterFunc(time.Second, func() { tr.note("timer") })
		resets := []bool{once.Reset(2 * time.Second)} // pending: moved to 12s
		sleep(5 * time.Second)
		resets = append(resets, once.Reset(time.Second)) // has fired: once more, at 16s
		sleep(5 * time.Second)
		once.Reset(time.Hour)
		once.Stop()
		resets = append(resets, once.Reset(time.Second)) // stopped: at 21s
		sleep(5 * time.Second)
		if diff := cmp.Diff([]bool{true, false, false}, resets); diff != "" {
			t.Errorf("Reset said (-want +got):\n%s", diff)
		}
		tr.want(t, "timer@12s", "timer@16s", "timer@21s")
	})
}

// While every handler blocks and every worker is taken, arming, moving and cancelling take no time: the bubble's clock
// would move if one of them waited. What they cost is measured in bench.
func TestArmNeverBlocks(t *testing.T) {
	for _, workers := range []int{0, 1} {
		rows2Bubble(t, timer.Options{Workers: workers}, func(t *testing.T, e *timer.Engine) {
			tr := rows2NewTrace()
			for i := range 100 {
				rows2Put(t, e, fmt.Sprint("blocks", i), schedule.After(0), func(context.Context) error {
					time.Sleep(time.Second)
					return nil
				})
			}
			sleep(500 * time.Millisecond)
			start := time.Now()
			for i := range 1000 {
				name := fmt.Sprint("task", i)
				rows2Put(t, e, name, schedule.After(0), rows2Nothing)
				rows2Is(t, "move", e.Move(name, schedule.After(time.Hour)), nil)
				e.Cancel(name)
				rows2Put(t, e, name, schedule.Every(time.Hour), rows2Nothing)
				e.AfterFunc(0, func() {}).Stop()
			}
			if took := time.Since(start); took != 0 {
				t.Errorf("with %d workers, 5000 calls waited for %v, want 0s", workers, took)
			}
			e.AfterFunc(0, func() { tr.note("armed") })
			sleep(2 * time.Millisecond)
			if got := tr.take(); len(got) != 1 {
				t.Errorf("with %d workers, an unnamed timer beside the blocked: got %q, want one run within 2 ms", workers, got)
			}
			_, err := e.Drain(t.Context())
			rows2Is(t, "drain", err, nil)
		})
	}
}

// What a callback gets is what it was given when it was armed.
func TestArgumentsBound(t *testing.T) {
	rows2Bubble(t, timer.Options{}, func(t *testing.T, e *timer.Engine) {
		tr := rows2NewTrace()
		args := []string{"a", "b", "c"}
		for i, arg := range args {
			e.AfterFunc(time.Duration(i+1)*time.Second, func() { tr.note("timer " + arg) })
		}
		greet := rows2Greeter{name: "greet", tr: tr}
		if _, err := e.PutRunnable(greet, schedule.After(4*time.Second)); err != nil {
			t.Fatal(err)
		}
		rows2Put(t, e, "method", schedule.After(5*time.Second), greet.Run)
		greet.name = "renamed"
		clear(args)
		sleep(10 * time.Second)
		tr.want(t, "timer a@1s", "timer b@2s", "timer c@3s", "greet as greet@4s", "method as greet@5s")
	})
}

type rows2Greeter struct {
	name string
	tr   *rows2Trace
}

func (g rows2Greeter) Name() string { return g.name }

func (g rows2Greeter) Run(ctx context.Context) error {
	a, _ := timer.TaskFrom(ctx)
	g.tr.note(a.Name + " as " + g.name)
	return nil
}

func TestEnumerateNamed(t *testing.T) {
	rows2Bubble(t, timer.Options{Name: "lists"}, func(t *testing.T, e *timer.Engine) {
		start, gate := time.Now(), make(chan struct{})
		profile := ""
		rows2Put(t, e, "Th1", schedule.Every(time.Second), rows2Nothing, timer.Tags("foo", "bar"))
		rows2Put(t, e, "Th2", schedule.After(time.Minute), rows2Nothing)
		rows2Put(t, e, "Th3", schedule.After(time.Second), func(context.Context) error {
			var b bytes.Buffer
			if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
				t.Error(err)
			}
			profile = b.String()
			<-gate
			return nil
		})
		e.AfterFunc(time.Minute, func() {}) // is not named work
		sleep(2500 * time.Millisecond)
		list := func(s timer.Selector) []string {
			got := []string{}
			for i := range e.Tasks(s) {
				next := "never"
				if !i.ScheduledFor.IsZero() {
					next = i.ScheduledFor.Sub(start).String()
				}
				got = append(got, fmt.Sprint(i.Name, " ", i.State, ", next ", next, ", runs ", i.Runs))
			}
			slices.Sort(got)
			return got
		}
		all := []string{"Th1 pending, next 3s, runs 2", "Th2 pending, next 1m0s, runs 0", "Th3 running, next never, runs 1"}
		got := [][]string{list(timer.AllTasks()), list(timer.Named("Th2")), list(timer.Tagged("bar")), list(timer.Prefix("Th")), list(timer.Selector{})}
		if diff := cmp.Diff([][]string{all, all[1:2], all[:1], all, {}}, got); diff != "" {
			t.Errorf("tasks (-want +got):\n%s", diff)
		}
		for _, label := range []string{`"duly_task":"Th3"`, `"duly_engine":"lists"`} {
			if !strings.Contains(profile, label) {
				t.Errorf("the goroutine profile lacks %s", label)
			}
		}
		close(gate)
		sleep(time.Minute)
		if diff := cmp.Diff([]string{"Th1 pending, next 1m3s, runs 62"}, list(timer.AllTasks())); diff != "" {
			t.Errorf("what has ended is not listed (-want +got):\n%s", diff)
		}
	})
}
