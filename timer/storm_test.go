package timer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dulyhq/duly/schedule"
)

// rounds is how often a storm does something: less often under the race detector, and on a single processor, where those
// who wait for others keep them from running.
func rounds(n int) int {
	if underRace || runtime.GOMAXPROCS(0) == 1 {
		return n / 10
	}
	return n
}

// stormDelay is short: what a storm adds comes due during the storm.
func stormDelay() time.Duration {
	if rand.IntN(8) == 0 {
		return time.Hour
	}
	return time.Duration(rand.IntN(int(3 * time.Millisecond)))
}

// stormPatience is how long a storm waits before it calls something lost. Nothing depends on its length.
const stormPatience = time.Minute

func patientClose(t *testing.T, e *Engine) *Leftover {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stormPatience)
	defer cancel()
	left, err := e.Close(ctx)
	if err != nil {
		t.Errorf("Close: %v", err)
	}
	if s := e.Stats(); s.Early != 0 || s.Running != 0 || s.Goroutines != 0 {
		t.Errorf("after Close: %d were early, %d run, %d workers are left", s.Early, s.Running, s.Goroutines)
	}
	if err := checkQuiet(e); err != nil {
		t.Errorf("after Close: %v", err)
	}
	return left
}

// A stormTask is one accepted Put and how often it ran.
type stormTask struct {
	t    Task
	runs atomic.Int32
}

// A stormTimer is one AfterFunc: how often it was set, stopped, and ran.
type stormTimer struct {
	t               Timer
	set, stop, runs atomic.Int32
}

// storm is what 64 goroutines do to one engine.
type storm struct {
	e                    *Engine
	mu                   sync.Mutex
	tasks                []*stormTask
	timers               []*stormTimer
	added, cancelled     atomic.Int64
	timersSet, timersCut atomic.Int64
	prio                 atomic.Int64 // makes every Put's options its own, so that none is identical to another's
}

func (s *storm) name() string { return fmt.Sprint("task ", rand.IntN(300)) }

func (s *storm) schedule() schedule.Schedule {
	d := stormDelay()
	if rand.IntN(2) == 0 {
		return schedule.After(d)
	}
	return schedule.At(time.Now().Add(d))
}

func (s *storm) put(conflict Conflict) {
	st := &stormTask{}
	fn := Plain(func() { st.runs.Add(1) })
	t, err := s.e.Put(s.name(), s.schedule(), fn, Priority(int(s.prio.Add(1))), OnConflict(conflict))
	if errors.Is(err, ErrExists) {
		return
	} else if err != nil {
		panic(err)
	}
	s.added.Add(1)
	st.t = t
	s.mu.Lock()
	s.tasks = append(s.tasks, st)
	s.mu.Unlock()
}

func (s *storm) cancelled1(r CancelResult) {
	if r == Cancelled {
		s.cancelled.Add(1)
	}
}

func (s *storm) someTask() (*stormTask, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tasks) == 0 {
		return nil, false
	}
	return s.tasks[len(s.tasks)-1-rand.IntN(min(len(s.tasks), 100))], true
}

func (s *storm) someTimer() (*stormTimer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.timers) == 0 {
		return nil, false
	}
	return s.timers[len(s.timers)-1-rand.IntN(min(len(s.timers), 100))], true
}

func (s *storm) after() {
	st := &stormTimer{}
	st.set.Add(1)
	s.timersSet.Add(1)
	st.t = s.e.AfterFunc(stormDelay(), func() { st.runs.Add(1) })
	s.mu.Lock()
	s.timers = append(s.timers, st)
	s.mu.Unlock()
}

// act does one random thing.
func (s *storm) act() {
	switch rand.IntN(12) {
	case 0, 1:
		s.put(Replace)
	case 2:
		s.put(Fail)
	case 3:
		s.cancelled1(s.e.Cancel(s.name()))
	case 4:
		if st, ok := s.someTask(); ok {
			s.cancelled1(st.t.Cancel())
		}
	case 5:
		_ = s.e.Move(s.name(), s.schedule())
	case 6:
		if t, ok := s.e.Find(s.name()); ok {
			_ = t.Info()
		}
	case 7:
		if _, err := s.e.Pause(Named(s.name()), "storm"); err == nil {
			runtime.Gosched()
			_, _ = s.e.Resume(Prefix("task 1"))
		}
	case 8:
		_, _ = s.e.RunNow(Named(s.name()), "storm")
	case 9:
		s.after()
	case 10:
		if st, ok := s.someTimer(); ok && st.t.Stop() {
			st.stop.Add(1)
			s.timersCut.Add(1)
		}
	case 11:
		if st, ok := s.someTimer(); ok && !st.t.Reset(stormDelay()) {
			st.set.Add(1)
			s.timersSet.Add(1)
		}
	}
}

// run lets the goroutines act until all have done so n times.
func (s *storm) run(n int) {
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range n {
				s.act()
			}
		})
	}
	wg.Wait()
}

// Fired + cancelled + replaced + pending = added, for each kind, whatever 64 goroutines do at a time.
// contract: E1
func TestStress_Conservation(t *testing.T) {
	for _, opts := range []Options{{}, {Workers: 1}, {Workers: 4, MaxPending: 1000}} {
		t.Run(fmt.Sprintf("Workers=%d", opts.Workers), func(t *testing.T) {
			s := &storm{e: New(opts)}
			s.run(rounds(3000))
			if err := checkEngine(s.e); err != nil {
				t.Error(err)
			}
			left := patientClose(t, s.e)
			s.checkTasks(t, left)
			s.checkTimers(t, left)
		})
	}
}

func (s *storm) checkTasks(t *testing.T, left *Leftover) {
	t.Helper()
	var fired, cancelled, replaced, dropped int64
	for _, st := range s.tasks {
		state, err, runs := st.t.State(), st.t.Err(), st.runs.Load()
		switch {
		case state == StateDone && err == nil && runs == 1:
			fired++
		case state == StateCancelled && errors.Is(err, ErrCancelled) && runs == 0:
			cancelled++
		case state == StateCancelled && errors.Is(err, ErrReplaced) && runs == 0:
			replaced++
		case state == StateCancelled && errors.Is(err, ErrClosed) && runs == 0:
			dropped++
		default:
			t.Errorf("a task is %v, %v, and ran %d times", state, err, runs)
		}
	}
	if got, want := fired+cancelled+replaced+dropped, s.added.Load(); got != want {
		t.Errorf("%d ran, %d cancelled, %d replaced, %d dropped: %d, want %d", fired, cancelled, replaced, dropped, got, want)
	}
	if want := s.cancelled.Load(); cancelled != want {
		t.Errorf("%d are cancelled, but %d calls of Cancel said so", cancelled, want)
	}
	notRun := int64(0)
	for range left.NotRun() {
		notRun++
	}
	if notRun != dropped {
		t.Errorf("Close gave back %d tasks, but dropped %d", notRun, dropped)
	}
	if fired == 0 || cancelled == 0 || replaced == 0 || dropped == 0 {
		t.Errorf("%d ran, %d cancelled, %d replaced, %d dropped: the storm was none", fired, cancelled, replaced, dropped)
	}
}

func (s *storm) checkTimers(t *testing.T, left *Leftover) {
	t.Helper()
	var runs int64
	for _, st := range s.timers {
		runs += int64(st.runs.Load())
		if open := st.set.Load() - st.stop.Load() - st.runs.Load(); open != 0 && open != 1 {
			t.Errorf("a timer was set %d times, stopped %d times and ran %d times", st.set.Load(), st.stop.Load(), st.runs.Load())
		}
	}
	stopped, set := s.timersCut.Load(), s.timersSet.Load()
	if got := runs + stopped + int64(left.Timers()); got != set {
		t.Errorf("%d ran, %d stopped, %d dropped: %d, want %d", runs, stopped, left.Timers(), got, set)
	}
	if runs == 0 || stopped == 0 || left.Timers() == 0 {
		t.Errorf("%d ran, %d stopped, %d dropped: the storm was none", runs, stopped, left.Timers())
	}
}

// Of a start and of the cancels that race with it, exactly one wins.
// contract: E1
func TestCancelVsFire_ExactlyOneWins(t *testing.T) {
	type contest struct{ runs, wins atomic.Int32 }
	kinds := map[string]func(e *Engine, i int, d time.Duration, f func()) func() bool{
		"Timer.Stop": func(e *Engine, _ int, d time.Duration, f func()) func() bool {
			return e.AfterFunc(d, f).Stop
		},
		"Engine.Cancel": func(e *Engine, i int, d time.Duration, f func()) func() bool {
			name := strconv.Itoa(i)
			if _, err := e.Put(name, schedule.After(d), Plain(f)); err != nil {
				panic(err)
			}
			return func() bool { return e.Cancel(name) == Cancelled }
		},
		"Task.Cancel": func(e *Engine, i int, d time.Duration, f func()) func() bool {
			task, err := e.Put(strconv.Itoa(i), schedule.At(time.Now().Add(d)), Plain(f), Track())
			if err != nil {
				panic(err)
			}
			return func() bool { return task.Cancel() == Cancelled }
		},
	}
	const batch = 2000
	for kind, put := range kinds {
		t.Run(kind, func(t *testing.T) {
			e := New()
			all := make([]contest, rounds(350_000)/batch*batch)
			for from := 0; from < len(all); from += batch {
				var decided sync.WaitGroup
				cancels := make([]func() bool, batch)
				for i := range cancels {
					c := &all[from+i]
					decided.Add(1)
					cancel := put(e, from+i, time.Duration(rand.IntN(int(2*time.Millisecond))), func() {
						c.runs.Add(1)
						decided.Done()
					})
					cancels[i] = func() bool {
						won := cancel()
						if won {
							c.wins.Add(1)
							decided.Done()
						}
						return won
					}
				}
				race := func(order func(int) int) {
					for i := range cancels {
						if cancel := cancels[order(i)]; cancel() && cancel() { //nolint:staticcheck // the second call is the test
							t.Error("a second cancel won too")
						}
					}
				}
				decided.Go(func() { race(func(i int) int { return batch - 1 - i }) })
				race(func(i int) int { return i })
				decided.Wait() // hangs where nobody wins
			}
			patientClose(t, e)
			runs := 0
			for i := range all {
				r, w := all[i].runs.Load(), all[i].wins.Load()
				if r+w != 1 {
					t.Fatalf("round %d: it ran %d times and %d cancels won", i, r, w)
				}
				runs += int(r)
			}
			low := len(all) / 100
			if runtime.GOMAXPROCS(0) == 1 {
				low = 0 // on a single processor they only meet where one is preempted
			}
			if runs < low || runs > len(all)-low {
				t.Errorf("%d of %d ran: they did not race", runs, len(all))
			}
		})
	}
}

// Adding, cancelling, replacing and firing, with keys, timeouts and limits, gives back everything once: an entry, a place
// under a key, a run's timeout, a count of MaxPending. What is given back twice breaks a list, a count or a limit.
func TestNoDoubleRelease(t *testing.T) {
	e := New(Options{MaxPending: 200, OnPanic: func(Panic) {}})
	var inside [3]atomic.Int64
	const places = 2
	fail := errors.New("fail")
	handler := func(k int) Handler {
		return func(ctx context.Context) error {
			if n := inside[k].Add(1); n > places {
				t.Errorf("%d run under key %d at a time, want at most %d", n, k, places)
			}
			defer inside[k].Add(-1)
			switch rand.IntN(6) {
			case 0:
				<-ctx.Done() // its timeout
			case 1:
				runtime.Goexit()
			case 2:
				panic(fail)
			case 3:
				return fail
			}
			return nil
		}
	}
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range rounds(10_000) {
				name, k := strconv.Itoa(rand.IntN(250)), rand.IntN(len(inside))
				switch rand.IntN(8) {
				case 0, 1, 2:
					opts := []Option{Key(fmt.Sprint("key ", k), places), Timeout(time.Duration(1 + rand.IntN(int(time.Millisecond))))}
					_, err := e.Put(name, schedule.After(stormDelay()), handler(k), opts...)
					if err != nil && !errors.Is(err, ErrFull) {
						t.Errorf("Put: %v", err)
					}
				case 3:
					_, err := e.Put(name, schedule.Every(time.Millisecond).Times(3), handler(k), Key(fmt.Sprint("key ", k), places), Timeout(time.Millisecond))
					if err != nil && !errors.Is(err, ErrFull) {
						t.Errorf("Put: %v", err)
					}
				case 4, 5:
					e.Cancel(name)
				case 6:
					if task, ok := e.Find(name); ok {
						task.CancelRunning()
					}
				case 7:
					_ = e.Move(name, schedule.After(stormDelay()))
				}
			}
		})
	}
	stop := make(chan struct{})
	var checks sync.WaitGroup
	checks.Go(func() {
		for done := false; !done; {
			select {
			case <-stop:
				done = true
			default:
			}
			if err := checkEngine(e); err != nil {
				t.Error(err)
				done = true
			}
		}
	})
	wg.Wait()
	close(stop)
	checks.Wait()
	for info := range e.Tasks(AllTasks()) {
		e.Cancel(info.Name)
	}
	ctx, cancel := context.WithTimeout(t.Context(), stormPatience)
	defer cancel()
	if err := e.Wait(ctx, AllTasks()); err != nil {
		t.Errorf("Wait: %v", err)
	}
	if n := e.named.Load(); n != 0 {
		t.Errorf("%d names count against MaxPending, want 0", n)
	}
	patientClose(t, e)
}

// Reading an engine's counts, lists and deadlines needs no agreement with those who change it.
func TestStatsRaceFree(t *testing.T) {
	s := &storm{e: New()}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			var last Stats
			for {
				select {
				case <-stop:
					return
				default:
				}
				now := s.e.Stats()
				if now.Fires < last.Fires || now.Wakeups < last.Wakeups || now.Lateness.Count < last.Lateness.Count {
					t.Errorf("counts went back from %+v to %+v", last, now)
				}
				if most := s.added.Load() + s.timersSet.Load() + 64; now.Pending < 0 || int64(now.Pending) > most {
					t.Errorf("%d are pending, of %d", now.Pending, most)
				}
				if now.Early != 0 || now.Running < 0 || now.Running > now.Goroutines {
					t.Errorf("%d were early, %d run on %d goroutines", now.Early, now.Running, now.Goroutines)
				}
				last = now
				s.e.NextDue()
				for info := range s.e.Tasks(Prefix("task 2")) {
					if info.State == StateUnknown || info.Generation == 0 {
						t.Errorf("listed %+v", info)
					}
				}
				_ = s.e.Err()
			}
		})
	}
	s.run(rounds(2000))
	close(stop)
	readers.Wait()
	patientClose(t, s.e)
}

// One item never runs twice, however many hand it over or take it.
func TestTwoDispatchersOneItem(t *testing.T) {
	t.Run("handed over twice", func(t *testing.T) {
		for _, opts := range [][]Option{nil, {Track()}} {
			e := New(Options{Workers: 4, Held: true}) // this test is the driver
			var runs atomic.Int32
			task, err := e.Put("one", schedule.After(0), Plain(func() { runs.Add(1) }), opts...)
			if err != nil {
				t.Fatal(err)
			}
			sh, now := task.sh, e.clk.Read()
			sh.mu.Lock()
			sh.unlinkLocked(task.idx, sh.slab.at(task.idx))
			items := sh.takeLocked(nil, []uint32{task.idx}, now)
			sh.mu.Unlock()
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() { e.tasks.submit(items) })
			}
			wg.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), stormPatience)
			defer cancel()
			if err := e.Wait(ctx, AllTasks()); err != nil {
				t.Errorf("Wait: %v", err)
			}
			patientClose(t, e) // the pool empties its queue first
			if n := runs.Load(); n != 1 {
				t.Errorf("it ran %d times, want once", n)
			}
		}
	})
	t.Run("taken by many", func(t *testing.T) {
		var runs atomic.Int32
		p := newPool(0, func(_ *worker, it item) { it.f() }, func() bool { return true }, make([]fireStats, 1))
		p.procs = 8
		for range 1000 {
			before := runs.Load()
			p.submit([]item{{f: func() { runs.Add(1) }}})
			for runs.Load() == before {
				runtime.Gosched()
			}
		}
		<-p.close()
		if n := runs.Load(); n != 1000 {
			t.Errorf("1000 items ran %d times", n)
		}
	})
	t.Run("asked for at its due time", func(t *testing.T) {
		e := New()
		const n = 500
		var runs [n]atomic.Int32
		for i := range runs {
			name := strconv.Itoa(i)
			if _, err := e.Put(name, schedule.After(100*time.Microsecond), Plain(func() { runs[i].Add(1) })); err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() { _, _ = e.RunNow(Named(name), "race") })
			}
			wg.Wait()
		}
		ctx, cancel := context.WithTimeout(t.Context(), stormPatience)
		defer cancel()
		if err := e.Wait(ctx, AllTasks()); err != nil {
			t.Errorf("Wait: %v", err)
		}
		patientClose(t, e)
		for i := range runs {
			if got := runs[i].Load(); got != 1 {
				t.Errorf("task %d ran %d times, want once", i, got)
			}
		}
	})
}
