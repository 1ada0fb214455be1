package timer_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/timer"
)

// contract: C1. It also is the seed's "later": a function, once, a fixed delay from now.
func TestRegisterCallbackAfterDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, j := newEngine(t), newJournal()
		h := e.AfterFunc(3*time.Second, func() { j.note("func") })
		if h.Err() != nil {
			t.Fatal(h.Err())
		}
		task := after(t, e, j, "task", 4*time.Second)
		same(t, "state", task.State(), timer.StatePending)
		sleep(3*time.Second - 1)
		j.want(t)
		sleep(1)
		j.want(t, "func@3s")
		same(t, "Stop of a timer that fired", h.Stop(), false)
		sleep(time.Hour)
		j.want(t, "func@3s", "task@4s")
		same(t, "state", task.State(), timer.StateFinished)
		stopped := e.AfterFunc(time.Second, func() { j.note("stopped") })
		same(t, "Stop of a pending timer", stopped.Stop(), true)
		same(t, "Stop again", stopped.Stop(), false)
		sleep(time.Hour)
		j.want(t, "func@3s", "task@4s")
	})
}

// contract: C1 — to the nanosecond, whatever the width of the wheel's slots.
func TestSecondsFractionalExact(t *testing.T) {
	delays := []time.Duration{
		1, 999, time.Microsecond, tick - 1, tick, tick + 1, 1500 * time.Microsecond, 250 * time.Millisecond,
		time.Second - 1, time.Second, time.Second + 1, 1001 * time.Millisecond, 90*time.Second + 5, 24*time.Hour + 7,
	}
	synctest.Test(t, func(t *testing.T) {
		for _, d := range delays {
			e, j := newEngine(t), newJournal()
			after(t, e, j, "after", d)
			put(t, e, "at", schedule.At(time.Now().Add(d)), j.handler("at"))
			e.AfterFunc(d, func() { j.note("func") })
			sleep(2 * d)
			got := j.read()
			slices.Sort(got)
			same(t, fmt.Sprintf("delay %v", d), got, []string{
				fmt.Sprintf("after@%v", d), fmt.Sprintf("at@%v", d), fmt.Sprintf("func@%v", d),
			})
		}
	})
}

// contract: C6 — the driver wakes for what is due, on either clock; one that has nothing to do does not wake at all.
func TestNoBusyWait(t *testing.T) {
	t.Run("manual clock", func(t *testing.T) {
		e, m := newManual(t, timer.Options{})
		run(t, m, 24*time.Hour)
		same(t, "wake-ups with nothing pending", e.Stats().Wakeups, uint64(0))
		done := make(chan struct{})
		put(t, e, "a", schedule.After(3*time.Second), timer.Plain(func() { close(done) }))
		run(t, m, 3*time.Second-1)
		same(t, "wake-ups before it is due", e.Stats().Wakeups, uint64(0))
		run(t, m, 1)
		recv(t, done, "run")
		same(t, "wake-ups when it is due", e.Stats().Wakeups, uint64(1))
		run(t, m, 24*time.Hour)
		if n := e.Stats().Wakeups; n > 2 {
			t.Errorf("%d wake-ups after one task and a day with none; want at most 2", n)
		}
	})
	t.Run("real clock", func(t *testing.T) {
		e := newEngine(t)
		put(t, e, "head", schedule.After(time.Hour), nothing)
		put(t, e, "instant", schedule.At(time.Now().Add(time.Hour)), nothing)
		<-time.After(300 * time.Millisecond) // a driver that polls would be seen here
		if n := e.Stats().Wakeups; n > 1 {   // one, should somebody set the machine's clock just now
			t.Errorf("%d wake-ups with an hour to go", n)
		}
	})
}

// contract: C6 — what the alarm is set to is the earliest due time itself, and it is set again only when that changes.
func TestSleepsUntilHead(t *testing.T) {
	e, m := newManual(t, timer.Options{})
	armed := func() time.Duration {
		boot, _ := m.Armed()
		return time.Duration(boot)
	}
	ran := make(chan string, 8)
	note := func(name string) timer.Handler { return timer.Plain(func() { ran <- name }) }
	put(t, e, "10m", schedule.After(10*time.Minute), note("10m"))
	same(t, "first", armed(), 10*time.Minute)
	put(t, e, "11m", schedule.After(11*time.Minute), note("11m"))
	same(t, "later", armed(), 10*time.Minute)
	put(t, e, "3m", schedule.After(3*time.Minute+7), note("3m"))
	same(t, "earlier", armed(), 3*time.Minute+7)
	if err := e.Move("10m", schedule.After(2*time.Minute)); err != nil {
		t.Fatal(err)
	}
	same(t, "moved to the front", armed(), 2*time.Minute)
	same(t, "re-arms", e.Stats().Rearms, uint64(3))
	run(t, m, 2*time.Minute)
	same(t, "ran", recv(t, ran, "run"), "10m")
	same(t, "second", armed(), 3*time.Minute+7)
	run(t, m, time.Minute+7)
	same(t, "ran", recv(t, ran, "run"), "3m")
	same(t, "last", armed(), 11*time.Minute)
	run(t, m, 8*time.Minute)
	same(t, "ran", recv(t, ran, "run"), "11m")
	same(t, "re-arms", e.Stats().Rearms, uint64(3))
	same(t, "wake-ups", e.Stats().Wakeups, uint64(3))
}

func TestManyProducers(t *testing.T) {
	const producers = 16
	each := timer.Rounds(10_000)
	e := newEngine(t)
	ran := make([]atomic.Int32, producers*each)
	var wg, all sync.WaitGroup
	all.Add(len(ran))
	for p := range producers {
		wg.Go(func() {
			for i := range each {
				n := p*each + i
				d := time.Duration(n%50) * 100 * time.Microsecond
				f := func() {
					ran[n].Add(1)
					all.Done()
				}
				switch n % 3 {
				case 0:
					e.AfterFunc(d, f)
				case 1:
					put(t, e, strconv.Itoa(n), schedule.After(d), timer.Plain(f))
				default:
					put(t, e, strconv.Itoa(n), schedule.At(time.Now().Add(d)), timer.Plain(f))
				}
			}
		})
	}
	wg.Wait()
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	recv(t, done, "end of all runs")
	if _, err := e.Drain(patient(t)); err != nil {
		t.Fatal(err)
	}
	for n := range ran {
		if r := ran[n].Load(); r != 1 {
			t.Fatalf("task %d ran %d times", n, r)
		}
	}
	st := e.Stats()
	same(t, "starts, and starts that were early", []uint64{st.Fires, st.Early}, []uint64{uint64(len(ran)), 0})
}

// contract: C6 — an earlier arrival wakes a driver that sleeps for a later one.
func TestEarlierAddWakes(t *testing.T) {
	for name, sched := range map[string]func(time.Duration) schedule.Schedule{
		"delay":   schedule.After,
		"instant": func(d time.Duration) schedule.Schedule { return schedule.At(time.Now().Add(d)) },
	} {
		t.Run(name+", virtual", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, j := newEngine(t), newJournal()
				put(t, e, "head", sched(30*time.Second), j.handler("head"))
				sleep(time.Second)
				go func() { put(t, e, "earlier", sched(50*time.Millisecond), j.handler("earlier")) }()
				sleep(time.Minute)
				j.want(t, "earlier@1.05s", "head@30s")
			})
		})
		t.Run(name+", real", func(t *testing.T) {
			e := newEngine(t)
			put(t, e, "head", sched(time.Hour), nothing)
			<-time.After(20 * time.Millisecond) // the driver sleeps
			ran := make(chan time.Duration, 1)
			go func() {
				start := time.Now()
				if name == "instant" {
					start = start.Round(0) // an instant goes by the wall clock
				}
				put(t, e, "earlier", sched(50*time.Millisecond), timer.Plain(func() { ran <- time.Since(start) }))
			}()
			if d := recv(t, ran, "run of the earlier task"); d < 50*time.Millisecond {
				t.Errorf("ran after %v, before it was due", d)
			}
		})
	}
}

func TestThirtyThenFiveMinutes(t *testing.T) {
	e, m := newManual(t, timer.Options{})
	var armed []time.Duration
	look := func() {
		boot, _ := m.Armed()
		armed = append(armed, time.Duration(boot))
	}
	ran := make(chan time.Duration, 2)
	note := timer.Plain(func() { ran <- time.Duration(m.Now().Boot) })
	put(t, e, "thirty", schedule.After(30*time.Minute), note)
	look()
	put(t, e, "five", schedule.After(5*time.Minute), note)
	look()
	run(t, m, 5*time.Minute)
	same(t, "first run", recv(t, ran, "run"), 5*time.Minute)
	look()
	same(t, "armed", armed, []time.Duration{30 * time.Minute, 5 * time.Minute, 30 * time.Minute})
	run(t, m, 25*time.Minute-1)
	same(t, "runs in between", len(ran), 0)
	run(t, m, 1)
	same(t, "second run", recv(t, ran, "run"), 30*time.Minute)
}

// contract: C6 — with nothing pending there is no goroutine and no timer, at first as well as later, and yet the next task
// is taken.
func TestEmptyWaitsForever(t *testing.T) {
	e, m := newManual(t, timer.Options{})
	ran := make(chan struct{}, 1)
	idle := func(what string) {
		t.Helper()
		before := e.Stats().Wakeups
		run(t, m, time.Hour)
		boot, wall := m.Armed()
		same(t, what+": armed", []int64{boot, wall}, []int64{clock.Never, clock.Never})
		// The alarm may have been left as it was for a moment: one wake-up, for nothing.
		if st := e.Stats(); st.Pending != 0 || st.Wakeups > before+1 {
			t.Errorf("%s: %d pending, %d wake-ups in an hour", what, st.Pending, st.Wakeups-before)
		}
	}
	idle("new")
	same(t, "wake-ups of a new engine", e.Stats().Wakeups, uint64(0))
	for i := range 3 {
		task := put(t, e, "a", schedule.After(time.Second), timer.Plain(func() { ran <- struct{}{} }), timer.Track())
		run(t, m, time.Second)
		recv(t, ran, fmt.Sprintf("run %d", i))
		if err := task.Wait(patient(t)); err != nil {
			t.Fatal(err)
		}
		idle("after a run")
		put(t, e, "b", schedule.At(epoch.AddDate(1, 0, 0)), nothing)
		same(t, "cancel", e.Cancel("b"), timer.Cancelled)
		idle("after a cancel")
	}
	synctest.Test(t, func(t *testing.T) { // where it can be seen that workers leave
		e, j := newEngine(t), newJournal()
		sleep(time.Hour)
		after(t, e, j, "a", time.Second)
		sleep(2 * time.Second)
		j.want(t, "a@1h0m1s")
		same(t, "workers", e.Stats().Goroutines, 0)
	})
}

// The last task may be cancelled while the call that put it is about to set the alarm, or while a worker, its run ended, is
// about to wait for more: neither may be left behind.
func TestEmptyWaitsForever_Races(t *testing.T) {
	t.Run("alarm", func(t *testing.T) {
		e, m := newManual(t, timer.Options{})
		for i := range timer.Rounds(100_000) {
			var wg sync.WaitGroup
			wg.Go(func() {
				for e.Cancel("b") != timer.Cancelled {
				}
			})
			put(t, e, "b", schedule.At(epoch.AddDate(1, 0, 0)), nothing)
			wg.Wait()
			if _, wall := m.Armed(); wall != clock.Never {
				t.Fatalf("round %d: the alarm is set for %d with nothing pending", i, wall)
			}
		}
	})
	t.Run("worker", func(t *testing.T) {
		e := newEngine(t, timer.Options{Clock: clock.NewManual(epoch)})
		var ended atomic.Int64
		for i := range timer.Rounds(10_000) {
			last := e.AfterFunc(time.Hour, func() {})
			put(t, e, "a", schedule.After(time.Hour), timer.Plain(func() { ended.Add(1) }))
			if n, err := e.RunNow(timer.Named("a"), ""); n != 1 || err != nil {
				t.Fatalf("RunNow: %d, %v", n, err)
			}
			for start := time.Now(); int(ended.Load()) != i+1; runtime.Gosched() { // quicker than a wake-up
				if time.Since(start) > patience {
					t.Fatalf("round %d: ran %d times", i, ended.Load())
				}
			}
			for range i % 2000 {
				_ = ended.Load()
			}
			last.Stop()
			for start := time.Now(); e.Stats().Goroutines != 0; runtime.Gosched() {
				if time.Since(start) > patience {
					t.Fatalf("round %d: %d workers with nothing pending", i, e.Stats().Goroutines)
				}
			}
		}
	})
}

func TestPlainExpiry(t *testing.T) {
	for _, d := range []time.Duration{time.Millisecond, time.Second, time.Hour, 5 * 365 * 24 * time.Hour} {
		e, m := newManual(t, timer.Options{})
		ran := make(chan time.Duration, 2)
		put(t, e, "a", schedule.After(d), timer.Plain(func() { ran <- time.Duration(m.Now().Boot) }))
		run(t, m, d)
		same(t, "ran at", recv(t, ran, "run"), d)
		st := e.Stats()
		same(t, fmt.Sprintf("wake-ups and starts for %v", d), []uint64{st.Wakeups, st.Fires}, []uint64{1, 1})
	}
}

// contract: C1 — a wake-up is no permission to run what is not due.
func TestNotifyDoesNotFireEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, j := newEngine(t), newJournal()
		after(t, e, j, "head", 2*time.Second)
		sleep(time.Second)
		after(t, e, j, "later", 4*time.Second)
		after(t, e, j, "sooner", 500*time.Millisecond)
		e.AfterFunc(100*time.Millisecond, func() { j.note("func") })
		same(t, "cancel", e.Cancel("nobody"), timer.Unknown)
		after(t, e, j, "cancelled", 10*time.Millisecond)
		same(t, "cancel", e.Cancel("cancelled"), timer.Cancelled)
		if err := e.Move("later", schedule.After(5*time.Second)); err != nil {
			t.Fatal(err)
		}
		sleep(time.Minute)
		j.want(t, "func@1.1s", "sooner@1.5s", "head@2s", "later@6s")
	})
}

// fickle is a task that no == can compare, and whose name does not stay what it was.
type fickle struct {
	names []string
	asked *int
	run   map[string]func()
}

func (f fickle) Name() string {
	*f.asked++
	return f.names[min(*f.asked, len(f.names))-1]
}

func (f fickle) Run(context.Context) error {
	f.run[f.names[0]]()
	return nil
}

func TestOnlyTimesCompared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, j := newEngine(t, timer.Options{Workers: 1}), newJournal()
		at := schedule.At(time.Now().Add(time.Second))
		var want []string
		for i := range 100 {
			name, asked := fmt.Sprintf("n%02d", i), 0
			f := fickle{[]string{name, "renamed"}, &asked, map[string]func(){name: func() { j.add(name) }}}
			opts := []timer.Option{timer.Tags("t"), timer.Priority(0)}[:i%3]
			task, err := e.PutRunnable(f, at, opts...)
			if err != nil || task.Name() != name {
				t.Fatalf("PutRunnable: name %q, error %v; want %q", task.Name(), err, name)
			}
			same(t, "how often the name was asked for", asked, 1)
			want = append(want, name)
		}
		names := want
		want = slices.Clone(want)
		names[0] = "changed by its owner"
		sleep(2 * time.Second)
		j.want(t, want...)
	})
}

func TestLateExecutorRunsOverdue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, j := newEngine(t, timer.Options{Held: true, Workers: 1}), newJournal()
		put(t, e, "past", schedule.At(time.Now().Add(-time.Second)), j.handler("past"))
		after(t, e, j, "second", time.Second)
		after(t, e, j, "zero", 0)
		after(t, e, j, "negative", -time.Second)
		after(t, e, j, "third", 3*time.Second)
		sleep(2 * time.Second)
		j.want(t)
		if err := e.Start(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // no time passes
		j.want(t, "past@2s", "zero@2s", "negative@2s", "second@2s")
		sleep(time.Hour)
		same(t, "the one that was not overdue", j.read()[4:], []string{"third@3s"})
	})
}

// The user-visible order of the deferred callbacks A 3 s, B 2 s, C 1 s and D 7 s, put by four producers.
func TestCBAD(t *testing.T) {
	delays := map[string]int{"A": 3, "B": 2, "C": 1, "D": 7}
	produce := func(t *testing.T, e *timer.Engine, unit time.Duration, note func(string)) {
		var wg sync.WaitGroup
		for name, n := range delays {
			wg.Go(func() {
				put(t, e, name, schedule.After(time.Duration(n)*unit), timer.Plain(func() { note(name) }))
			})
		}
		wg.Wait()
	}
	t.Run("virtual", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			e, j := newEngine(t), newJournal()
			produce(t, e, time.Second, j.note)
			sleep(time.Minute)
			j.want(t, "C@1s", "B@2s", "A@3s", "D@7s")
		})
	})
	t.Run("real", func(t *testing.T) { // with one worker the order holds however busy the machine is
		const unit = 30 * time.Millisecond
		e := newEngine(t, timer.Options{Workers: 1})
		ran := make(chan string, len(delays))
		start := time.Now()
		produce(t, e, unit, func(name string) {
			if d := time.Since(start); d < time.Duration(delays[name])*unit {
				t.Errorf("%s ran after %v, before it was due", name, d)
			}
			ran <- name
		})
		var got []string
		for range delays {
			got = append(got, recv(t, ran, "run"))
		}
		same(t, "order", got, []string{"C", "B", "A", "D"})
	})
}

func TestCallbackGetsItsTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, start := newEngine(t), time.Now()
		type key struct{}
		var got []timer.Attempt
		note := func(ctx context.Context) error {
			at, ok := timer.TaskFrom(ctx)
			derived, cancel := context.WithCancel(context.WithValue(ctx, key{}, 1))
			defer cancel()
			if again, ok2 := timer.TaskFrom(derived); !ok || !ok2 || again.Name != at.Name || again.Number != at.Number {
				t.Errorf("TaskFrom: %v, of a derived context: %v, %v", ok, ok2, again)
			}
			if task, ok := e.Find(at.Name); !ok || task.Generation() != at.Task.Generation() {
				t.Errorf("the task of the attempt is not %q", at.Name)
			}
			at.Task = timer.Task{}
			got = append(got, at)
			return nil
		}
		put(t, e, "once", schedule.At(start.Add(time.Second)), note)
		put(t, e, "grid", schedule.Every(10*time.Second).Times(2), note)
		sleep(time.Minute)
		attempt := func(name string, d time.Duration, n int64) timer.Attempt {
			at := start.Add(d).UTC()
			return timer.Attempt{Name: name, ScheduledFor: at, Due: at, Started: at, Number: n, Attempt: 1}
		}
		want := []timer.Attempt{
			attempt("once", time.Second, 1), attempt("grid", 10*time.Second, 1), attempt("grid", 20*time.Second, 2),
		}
		same(t, "number of runs", len(got), len(want))
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Errorf("run %d: %+v, want %+v", i, got[i], want[i])
			}
		}
		if at, ok := timer.TaskFrom(t.Context()); ok {
			t.Errorf("TaskFrom of a context of no task: %+v", at)
		}
	})
}

// contract: C6 — the dispatcher serves for ever: 20,000 times it runs dry and is woken again.
func TestPerpetualWithGaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cycles := timer.Rounds(20_000)
		e, ran := newEngine(t), 0
		rnd := rand.New(rand.NewPCG(1, 2))
		for i := range cycles {
			d := time.Duration(rnd.Int64N(int64(time.Second)))
			due := time.Now().Add(d)
			f := func() {
				ran++
				if now := time.Now(); !now.Equal(due) {
					t.Errorf("cycle %d ran at %v, want %v", i, now, due)
				}
			}
			switch i % 3 {
			case 0:
				e.AfterFunc(d, f)
			case 1:
				put(t, e, "a", schedule.After(d), timer.Plain(f))
			default:
				put(t, e, "a", schedule.At(due), timer.Plain(f))
			}
			sleep(d + time.Duration(rnd.Int64N(int64(30*time.Millisecond))))
			if ran != i+1 {
				t.Fatalf("%d of %d ran", ran, i+1)
			}
		}
		if st := e.Stats(); st.Pending != 0 || st.Wakeups > uint64(2*cycles) {
			t.Errorf("%d pending, %d wake-ups for %d tasks", st.Pending, st.Wakeups, cycles)
		}
	})
}
