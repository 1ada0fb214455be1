package timer_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/timer"
)

// contract: C1, and invariant 1: once, when due, not before and not again.
func TestDeferred_RunsExactlyOnceAtDeadline(t *testing.T) {
	const d = 5 * time.Second
	for name, arm := range map[string]func(*testing.T, *timer.Engine, *journal){
		"AfterFunc": func(_ *testing.T, e *timer.Engine, j *journal) { e.AfterFunc(d, func() { j.note("ran") }) },
		"Put After": func(t *testing.T, e *timer.Engine, j *journal) { after(t, e, j, "ran", d) },
		"Put At": func(t *testing.T, e *timer.Engine, j *journal) {
			put(t, e, "ran", schedule.At(time.Now().Add(d)), j.handler("ran"))
		},
		"with Track": func(t *testing.T, e *timer.Engine, j *journal) { after(t, e, j, "ran", d, timer.Track()) },
		"one worker": func(t *testing.T, _ *timer.Engine, j *journal) {
			after(t, newEngine(t, timer.Options{Workers: 1}), j, "ran", d)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, j := newEngine(t), newJournal()
				arm(t, e, j)
				sleep(d - time.Millisecond)
				j.want(t)
				sleep(time.Millisecond - 1)
				j.want(t)
				sleep(1)
				j.want(t, "ran@5s")
				sleep(time.Hour)
				j.want(t, "ran@5s")
			})
		})
	}
}

// stamp is a task as an object.
type stamp struct {
	name string
	j    *journal
}

func (s *stamp) Name() string { return s.name }
func (s *stamp) Run(ctx context.Context) error {
	at, _ := timer.TaskFrom(ctx)
	s.j.note(at.Name)
	return nil
}

func TestRunnableHasNameAndRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, j := newEngine(t), newJournal()
		in := schedule.After(time.Second)
		for _, r := range []timer.Runnable{
			&stamp{"object", j},
			timer.Func("func", j.handler("func")),
			timer.Func("plain", timer.Plain(func() { j.note("plain") })),
		} {
			task, err := e.PutRunnable(r, in)
			if err != nil || task.Name() != r.Name() {
				t.Errorf("PutRunnable %q: task %q, error %v", r.Name(), task.Name(), err)
			}
		}
		var typedNil *stamp
		var nilHandler timer.Handler
		for what, r := range map[string]timer.Runnable{
			"nil": nil, "typed nil": typedNil, "empty name": &stamp{"", j}, "func without name": timer.Func("", nothing),
			"func of nil": timer.Func("n", nil), "func of a typed nil": timer.Func("n", nilHandler),
			"func of plain nil": timer.Func("n", timer.Plain(nil)),
		} {
			_, err := e.PutRunnable(r, in)
			wantErr(t, what, err, timer.ErrInvalid)
		}
		_, err := e.Put("n", in, nil)
		wantErr(t, "Put of a nil handler", err, timer.ErrInvalid)
		_, err = e.Put("", in, nothing)
		wantErr(t, "Put of an empty name", err, timer.ErrInvalid)
		same(t, "pending", e.Stats().Pending, 3)
		sleep(time.Second)
		got := j.read()
		slices.Sort(got)
		same(t, "journal", got, []string{"func@1s", "object@1s", "plain@1s"})
	})
}

func TestStartByNameAtAbsoluteTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, j := newEngine(t), newJournal()
		at := time.Now().Add(2 * time.Second)
		put(t, e, "a", schedule.At(at), j.handler("a"))
		task, ok := e.Find("a")
		if !ok || !task.Next().Equal(at) || task.State() != timer.StatePending {
			t.Fatalf("Find: %v, next %v, %v; want true, %v, pending", ok, task.Next(), task.State(), at)
		}
		sleep(2*time.Second - 1)
		j.want(t)
		sleep(1)
		j.want(t, "a@2s")
		if _, ok := e.Find("a"); ok {
			t.Error("the name is still taken after the run")
		}
	})
}

// contract: E4 — in process, a name that has finished is Unknown; the handle knows better.
func TestCancelByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, j := newEngine(t), newJournal()
		after(t, e, j, "a", time.Second)
		after(t, e, j, "b", time.Second, timer.Track())
		bystander := after(t, e, j, "c", time.Second)
		same(t, "unknown name", e.Cancel("nobody"), timer.Unknown)
		same(t, "pending", e.Stats().Pending, 3)
		for _, name := range []string{"a", "b"} {
			same(t, "pending name", e.Cancel(name), timer.Cancelled)
			same(t, "the same again", e.Cancel(name), timer.Unknown)
			if _, ok := e.Find(name); ok {
				t.Errorf("%q is found after its cancel", name)
			}
		}
		same(t, "the bystander", bystander.State(), timer.StatePending)
		sleep(time.Hour)
		j.want(t, "c@1s")
		same(t, "a name that has run", e.Cancel("c"), timer.Unknown)
		same(t, "the handle of a task that has run", bystander.Cancel(), timer.Finished)
	})
}

// contract: E1 — a cancel that comes after the start changes nothing, not the run's context either.
func TestCancelIgnoredOnceStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		gate := make(chan struct{})
		var inside error
		task := put(t, e, "a", schedule.After(time.Second), func(ctx context.Context) error {
			<-gate
			inside = ctx.Err()
			return nil
		}, timer.Track())
		sleep(time.Second)
		same(t, "state", task.State(), timer.StateRunning)
		same(t, "by name", e.Cancel("a"), timer.Running)
		same(t, "by handle", task.Cancel(), timer.Running)
		sleep(time.Second)
		close(gate)
		synctest.Wait()
		if inside != nil {
			t.Errorf("the cancel ended the run's context: %v", inside)
		}
		same(t, "state after the run", task.State(), timer.StateDone)
		same(t, "error after the run", task.Err(), nil)
		same(t, "by handle, after the run", task.Cancel(), timer.Finished)
		same(t, "by name, after the run", e.Cancel("a"), timer.Unknown)
	})
}

// contract: C3 — with one worker the order is exact: by due, then first in, first out. Delays and instants are kept apart in
// the engine; their order must not show that, nor where in the wheel an entry came to lie.
func TestOrderByTimeThenFIFO(t *testing.T) {
	for name, at := range map[string]func(i int, d time.Duration) schedule.Schedule{
		"delays":   func(_ int, d time.Duration) schedule.Schedule { return schedule.After(d) },
		"instants": func(_ int, d time.Duration) schedule.Schedule { return schedule.At(time.Now().Add(d)) },
		"both": func(i int, d time.Duration) schedule.Schedule {
			if i%2 == 0 {
				return schedule.At(time.Now().Add(d))
			}
			return schedule.After(d)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { checkOrder(t, at) })
		})
	}
}

func checkOrder(t *testing.T, at func(int, time.Duration) schedule.Schedule) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	e, j := newEngine(t, timer.Options{Workers: 1}), newJournal()
	type added struct {
		due  time.Time
		name string
	}
	var all []added
	for round := range 20 { // between rounds time passes, so that equal instants are put from near and far
		for i := range 100 {
			n := round*100 + i
			// Near and far, with many ties: instants are the same grid in every round.
			grid := []time.Duration{time.Nanosecond, time.Millisecond, time.Second, time.Minute}[rnd.IntN(4)]
			due := time.Now().Truncate(time.Minute).Add(time.Minute + time.Duration(rnd.IntN(5))*grid)
			name := fmt.Sprintf("%04d", n)
			put(t, e, name, at(n, time.Until(due)), func(context.Context) error {
				j.add(name)
				return nil
			}, timer.Priority(0))
			all = append(all, added{due, name})
		}
		sleep(7 * time.Second)
	}
	sleep(time.Hour)
	slices.SortStableFunc(all, func(a, b added) int { return cmp.Compare(a.due.UnixNano(), b.due.UnixNano()) })
	want := make([]string, len(all))
	for i := range all {
		want[i] = all[i].name
	}
	same(t, "order", j.read(), want)
}

// contract: E1 and C6 — a cancelled task never runs, and is gone at once, not when it would have been due.
func TestCancelledNeverRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 2000
		e := newEngine(t)
		ran := make([]atomic.Int32, n)
		want := make([]int32, n)
		perm := rand.Perm(n)
		for i := range n {
			put(t, e, strconv.Itoa(i), schedule.After(time.Duration(1+i%7)*time.Second), timer.Plain(func() { ran[i].Add(1) }))
			want[i] = 1
		}
		for k, i := range perm[:n/3] {
			if c := e.Cancel(strconv.Itoa(i)); c != timer.Cancelled {
				t.Fatalf("Cancel: %v", c)
			}
			want[i] = 0
			if got := e.Stats().Pending; got != n-k-1 {
				t.Fatalf("%d pending after %d of %d were cancelled", got, k+1, n)
			}
		}
		sleep(time.Minute)
		got := make([]int32, n)
		for i := range ran {
			got[i] = ran[i].Load()
		}
		same(t, "runs", got, want)
		same(t, "pending", e.Stats().Pending, 0)
	})
}

// contract: C6 — only what comes due sooner than everything else moves the alarm.
func TestRearmOnlyWhenHeadChanges(t *testing.T) {
	for name, sched := range map[string]func(time.Duration) schedule.Schedule{
		"delays":   schedule.After,
		"instants": func(d time.Duration) schedule.Schedule { return schedule.At(epoch.Add(d)) },
	} {
		t.Run(name, func(t *testing.T) {
			e, m := newManual(t, timer.Options{})
			m.TakeSets()
			head := time.Duration(clock.Never)
			heads := uint64(0)
			rnd := rand.New(rand.NewPCG(3, 4))
			for i := range 500 {
				d := time.Hour + time.Duration(rnd.Int64N(int64(time.Hour)))
				if i == 0 {
					d = 90 * time.Minute
				}
				if d < head {
					head, heads = d, heads+1
				}
				put(t, e, strconv.Itoa(i), sched(d), nothing)
				if got := e.Stats().Rearms; got != heads {
					t.Fatalf("%d re-arms after %d adds that became the head", got, heads)
				}
			}
			boot, wall := m.Armed()
			if name == "instants" {
				boot = wall - epoch.UnixNano()
			}
			same(t, "armed", time.Duration(boot), head)
			same(t, "calls of Set", len(m.TakeSets()), int(heads))
			if heads < 3 {
				t.Fatalf("only %d heads: the test tests nothing", heads)
			}
		})
	}
}

// contract: C6 and K1 — no goroutine where nothing is pending, the same few for one task as for 100,000, and none after the
// end.
func TestDispatcherLifecycle(t *testing.T) {
	before := goleak.IgnoreCurrent()
	e := timer.New()
	if err := goleak.Find(before); err != nil {
		t.Errorf("an engine with nothing pending: %v", err)
	}
	put(t, e, "first", schedule.After(time.Hour), nothing)
	few := e.Stats().Goroutines
	one := goleak.IgnoreCurrent()
	for i := range 100_000 {
		put(t, e, strconv.Itoa(i), schedule.After(time.Hour), nothing)
	}
	if err := goleak.Find(one); err != nil {
		t.Errorf("more goroutines for 100,000 tasks than for one: %v", err)
	}
	same(t, "workers", e.Stats().Goroutines, few)
	left, err := e.Close(patient(t))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for range left.NotRun() {
		n++
	}
	same(t, "left over", n, 100_001)
	if err := goleak.Find(before); err != nil {
		t.Errorf("after Close: %v", err)
	}
	empty := timer.New()
	closeEngine(t, empty)
	if err := goleak.Find(before); err != nil {
		t.Errorf("after Close with nothing pending: %v", err)
	}
}

// contract: A6 — an instant in the past, and a delay that is not positive, mean at once.
func TestPastAndNowRunImmediately(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, j := newEngine(t), newJournal()
		now := time.Now()
		put(t, e, "past", schedule.At(now.Add(-time.Hour)), j.handler("past"))
		put(t, e, "long past", schedule.At(time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC)), j.handler("long past"))
		put(t, e, "now", schedule.At(now), j.handler("now"))
		after(t, e, j, "zero", 0)
		after(t, e, j, "negative", -time.Hour)
		after(t, e, j, "most negative", -1<<63)
		e.AfterFunc(0, func() { j.note("func") })
		e.AfterFunc(-1<<63, func() { j.note("func") })
		synctest.Wait() // no time passes
		got := j.read()
		slices.Sort(got)
		same(t, "journal", got, []string{
			"func@0s", "func@0s", "long past@0s", "most negative@0s", "negative@0s", "now@0s", "past@0s", "zero@0s",
		})

		var ran atomic.Int32
		for i := range 1000 {
			put(t, e, strconv.Itoa(i), schedule.After(time.Second), timer.Plain(func() { ran.Add(1) }))
		}
		sleep(time.Second - 1)
		same(t, "ran before they were due", ran.Load(), int32(0))
		sleep(1 + tick)
		same(t, "ran when due", ran.Load(), int32(1000))
	})
}

// tick is by how much a task may be late when very many are due together: the width of the wheel's finest slots.
const tick = 65_536 * time.Nanosecond

func TestAddBeforeAndAfterStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, j := newEngine(t, timer.Options{Held: true, Workers: 1}), newJournal()
		after(t, e, j, "a", 3*time.Second)
		after(t, e, j, "b", time.Second)
		e.AfterFunc(4*time.Second, func() { j.note("func") })
		sleep(2 * time.Second)
		j.want(t) // held
		if err := e.Start(); err != nil {
			t.Fatal(err)
		}
		wantErr(t, "second Start", e.Start(), timer.ErrAlreadyStarted)
		after(t, e, j, "c", 3*time.Second)
		sleep(time.Hour)
		j.want(t, "b@2s", "a@3s", "func@4s", "c@5s")
		running := newEngine(t)
		wantErr(t, "Start of an engine that was not held", running.Start(), timer.ErrAlreadyStarted)
	})
}

// contract: K1 — Drain and Close wait for runs under way and for nothing else, however far off the head is.
func TestStopJoinsPromptly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			held  bool
			start func(*timer.Engine, *journal)
			stop  func(*timer.Engine) (*timer.Leftover, error)
			want  []string
		}{
			"a head one hour away": {
				start: func(e *timer.Engine, j *journal) { after(t, e, j, "far", time.Hour) },
				stop:  func(e *timer.Engine) (*timer.Leftover, error) { return e.Drain(t.Context()) },
				want:  []string{"not run: far", "stopped@1s"},
			},
			"a run under way": {
				start: func(e *timer.Engine, j *journal) {
					put(t, e, "busy", schedule.After(0), func(context.Context) error {
						time.Sleep(4 * time.Second)
						j.note("busy ended")
						return nil
					})
				},
				stop: func(e *timer.Engine) (*timer.Leftover, error) { return e.Drain(t.Context()) },
				want: []string{"busy ended@4s", "stopped@4s"},
			},
			"a run that heeds its context": {
				start: func(e *timer.Engine, j *journal) {
					put(t, e, "busy", schedule.After(0), func(ctx context.Context) error {
						<-ctx.Done()
						j.note(fmt.Sprintf("busy told %q", context.Cause(ctx)))
						return nil
					})
				},
				stop: func(e *timer.Engine) (*timer.Leftover, error) { return e.Close(t.Context()) },
				want: []string{`busy told "engine is closed"@1s`, "stopped@1s"},
			},
			"stop before start": {
				held:  true,
				start: func(e *timer.Engine, j *journal) { after(t, e, j, "held", 0) },
				stop:  func(e *timer.Engine) (*timer.Leftover, error) { return e.Close(t.Context()) },
				want:  []string{"not run: held", "stopped@1s"},
			},
			"nothing pending": {
				start: func(*timer.Engine, *journal) {},
				stop:  func(e *timer.Engine) (*timer.Leftover, error) { return e.Close(t.Context()) },
				want:  []string{"stopped@1s"},
			},
		} {
			e, j := timer.New(timer.Options{Held: c.held}), newJournal()
			c.start(e, j)
			sleep(time.Second)
			left, err := c.stop(e)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			for info := range left.NotRun() {
				j.add("not run: " + info.Name)
			}
			j.note("stopped")
			same(t, name, j.read(), c.want)
			again, err := e.Close(t.Context())
			if err != nil {
				t.Errorf("%s: Close again: %v", name, err)
			}
			for info := range again.NotRun() {
				t.Errorf("%s: Close again gives %q", name, info.Name)
			}
			sleep(2 * time.Hour)
			if got := len(j.read()); got != len(c.want) {
				t.Errorf("%s: after the end: %q", name, j.read()[len(c.want):])
			}
		}
	})
}

func TestEPIDemo_Cancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, j := newEngine(t), newJournal()
		after(t, e, j, "This msg could get cancelled!", 5*time.Second)
		after(t, e, j, "Hello, world!", 2*time.Second)
		same(t, "cancel", e.Cancel("This msg could get cancelled!"), timer.Cancelled)
		sleep(time.Minute)
		j.want(t, "Hello, world!@2s")
	})
}

func TestEPIDemo_NotCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, j := newEngine(t), newJournal()
		after(t, e, j, "This msg could get cancelled!", 5*time.Second)
		after(t, e, j, "Hello, world!", 2*time.Second)
		sleep(time.Minute)
		j.want(t, "Hello, world!@2s", "This msg could get cancelled!@5s")
	})
}

// contract: K1 — what was accepted while Close came is either run or returned, each once; what came later is refused.
func TestAddAfterStopIsError(t *testing.T) {
	for range 10 {
		addDuringClose(t)
	}
	e := timer.New(timer.Options{Logger: slog.New(slog.DiscardHandler)})
	old := put(t, e, "old", schedule.After(time.Hour), nothing)
	fn := e.AfterFunc(time.Hour, func() {})
	closeEngine(t, e)
	_, err := e.Put("n", schedule.After(0), nothing)
	wantErr(t, "Put", err, timer.ErrClosed)
	_, err = e.Put("n", schedule.Every(time.Second), nothing, timer.Track())
	wantErr(t, "Put with options", err, timer.ErrClosed)
	_, err = e.PutRunnable(timer.Func("n", nothing), schedule.After(0))
	wantErr(t, "PutRunnable", err, timer.ErrClosed)
	refused := e.AfterFunc(0, func() { t.Error("ran after Close") })
	wantErr(t, "AfterFunc", refused.Err(), timer.ErrClosed)
	wantErr(t, "Move", e.Move("old", schedule.After(0)), timer.ErrClosed)
	wantErr(t, "Start", e.Start(), timer.ErrClosed)
	_, err = e.RunNow(timer.AllTasks(), "")
	wantErr(t, "RunNow", err, timer.ErrClosed)
	same(t, "Cancel", e.Cancel("old"), timer.Unknown)
	same(t, "Task.Cancel", old.Cancel(), timer.Finished)
	same(t, "Stop", fn.Stop(), false)
	same(t, "Reset", fn.Reset(0), false)
	same(t, "pending", e.Stats().Pending, 0)
}

func addDuringClose(t *testing.T) {
	t.Helper()
	const adders = 4
	e := timer.New()
	var ran sync.Map
	var accepted [adders][]string
	var wg sync.WaitGroup
	started := make(chan struct{}, adders)
	for a := range adders {
		wg.Go(func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("%d/%d", a, i)
				_, err := e.Put(name, schedule.After(time.Duration(i%2)*time.Hour), timer.Plain(func() {
					if _, twice := ran.LoadOrStore(name, true); twice {
						t.Errorf("%s ran twice", name)
					}
				}))
				if err != nil {
					wantErr(t, "Put during Close", err, timer.ErrClosed)
					if i < 100 {
						t.Errorf("Put was refused before Close: %v", err)
					}
					return
				}
				accepted[a] = append(accepted[a], name)
				if i == 100 {
					started <- struct{}{}
				}
			}
		})
	}
	for range adders {
		recv(t, started, "hundred accepted tasks")
	}
	left, err := e.Close(patient(t))
	if err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	for info := range left.NotRun() {
		if _, twice := ran.LoadOrStore(info.Name, true); twice {
			t.Errorf("%s is left over and ran, or is left over twice", info.Name)
		}
	}
	for a, names := range accepted {
		for _, name := range names {
			if _, ok := ran.LoadAndDelete(name); !ok {
				t.Fatalf("%s was accepted (one of %d), did not run and is not left over", name, len(accepted[a]))
			}
		}
	}
	ran.Range(func(name, _ any) bool {
		t.Errorf("%v ran, but was not accepted", name)
		return strings.Contains(name.(string), "/")
	})
}
