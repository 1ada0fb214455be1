package timer_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/timer"
)

// ctNames are names and whether they are allowed.
var ctNames = []struct {
	name string
	ok   bool
}{
	{"a", true},
	{"order-42", true},
	{"...", true},
	{".hidden", true},
	{"a b", true},
	{" ", true},
	{"/", true},
	{strings.Repeat("x", 255), true},
	{"käse 乳酪 🧀", true},
	{strings.Repeat("é", 127), true},
	{"~", true},
	{"\u00a0", true},
	{"", false},
	{".", false},
	{"..", false},
	{strings.Repeat("x", 256), false},
	{strings.Repeat("é", 128), false},
	{"a\nb", false},
	{"\x00", false},
	{"\t", false},
	{"a\x7f", false},
	{"a\u0085", false},
	{"\u009f", false},
	{"\xff", false},
	{"a\xc3", false},
	{"\xed\xa0\x80", false},
	{"\xc0\x80", false},
}

// contract: A7.
func TestContract_A7_Names(t *testing.T) {
	ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
		w.put("there", schedule.After(time.Hour), w.logs("there"))
		for _, c := range ctNames {
			for how, put := range map[string]func() error{
				"plain": func() error { _, err := w.Put(c.name, schedule.After(time.Hour), w.logs("x")); return err },
				"at":    func() error { _, err := w.Put(c.name, schedule.At(w.wall(time.Hour)), w.logs("x")); return err },
				"every": func() error { _, err := w.Put(c.name, schedule.Every(time.Hour), w.logs("x")); return err },
				"runnable": func() error {
					_, err := w.PutRunnable(timer.Func(c.name, w.logs("x")), schedule.After(time.Hour))
					return err
				},
			} {
				before := w.ctBooks()
				err := put()
				if c.ok {
					ctIs(t, fmt.Sprintf("%s %.20q", how, c.name), err, nil)
					_, found := w.Find(c.name)
					ctEqual(t, "found", found, true)
					ctEqual(t, "cancelled", w.Cancel(c.name), timer.Cancelled)
					continue
				}
				ctNamesArgument(t, fmt.Sprintf("%s %.20q", how, c.name), err, "name")
				ctEqual(t, "books", w.ctBooks(), before)
			}
			if !c.ok {
				ctNamesArgument(t, "move", w.Move(c.name, schedule.After(time.Hour)), "name")
				ctEqual(t, "cancel", w.Cancel(c.name), timer.Unknown)
			}
		}
	})
}

// ctStates bring the name "a" into a state at 10 s; where a start is ahead of it, it is due at 40 s unless the name says
// otherwise.
var ctStates = []struct {
	name  string
	opts  timer.Options
	bring func(w *ct)
}{
	{"absent", timer.Options{}, func(*ct) {}},
	{"plain", timer.Options{}, func(w *ct) { w.put("a", schedule.After(40*time.Second), w.logs("old")) }},
	{"tracked", timer.Options{}, func(w *ct) { w.put("a", schedule.After(40*time.Second), w.logs("old"), timer.Track()) }},
	{"paused", timer.Options{}, func(w *ct) {
		w.put("a", schedule.After(40*time.Second), w.logs("old"))
		_, _ = w.Pause(timer.Named("a"), "why")
	}},
	{"ready", timer.Options{Workers: 1}, func(w *ct) {
		w.put("blocker", schedule.After(0), w.takes("blocker", 15*time.Second))
		w.put("a", schedule.After(5*time.Second), w.logs("old"))
	}},
	{"keyed", timer.Options{}, func(w *ct) {
		w.put("blocker", schedule.After(0), w.takes("blocker", 15*time.Second), timer.Key("k", 1))
		w.put("a", schedule.After(5*time.Second), w.logs("old"), timer.Key("k", 1))
	}},
	{"held", timer.Options{}, func(w *ct) {
		w.put("a", schedule.After(0), w.takes("older", 15*time.Second))
		w.pass(time.Second)
		w.put("a", schedule.After(5*time.Second), w.logs("old"))
	}},
	{"running", timer.Options{}, func(w *ct) { w.put("a", schedule.After(0), w.takes("old", 15*time.Second)) }},
	{"recurring", timer.Options{}, func(w *ct) { w.put("a", schedule.Every(40*time.Second).Times(2), w.logs("old")) }},
	{"recurring, runs", timer.Options{}, func(w *ct) {
		w.put("a", schedule.Every(40*time.Second).From(w.wall(0)).Times(2), w.takes("old", 15*time.Second))
	}},
	{"pace, runs", timer.Options{}, func(w *ct) {
		w.put("a", schedule.Pace(25*time.Second).From(w.wall(0)).Times(2), w.takes("old", 15*time.Second))
	}},
	{"last, runs", timer.Options{}, func(w *ct) {
		w.put("a", schedule.Every(time.Second).From(w.wall(0)).Times(1), w.takes("old", 15*time.Second))
	}},
	{"cancelled, runs", timer.Options{}, func(w *ct) {
		w.put("a", schedule.Every(40*time.Second).From(w.wall(0)), w.takes("old", 15*time.Second))
		w.pass(time.Second)
		w.Cancel("a")
	}},
	{"done", timer.Options{}, func(w *ct) { w.put("a", schedule.After(0), w.logs("old"), timer.Track()) }},
	{"dead", timer.Options{}, func(w *ct) {
		w.put("a", schedule.After(0), func(context.Context) error { w.note("old"); return errors.New("no") }, timer.Track())
	}},
	{"cancelled", timer.Options{}, func(w *ct) {
		w.put("a", schedule.After(time.Hour), w.logs("old"))
		w.Cancel("a")
	}},
	{"expired", timer.Options{Workers: 1}, func(w *ct) {
		w.put("blocker", schedule.After(0), w.takes("blocker", 5*time.Second))
		w.put("a", schedule.After(time.Second), w.logs("old"), timer.StartWithin(time.Second))
	}},
}

// ctPolicies are what a Put at 10 s of a task due at 30 s may ask for.
var ctPolicies = []struct {
	name string
	opt  func(gen uint64) timer.Option
}{
	{"Replace", func(uint64) timer.Option { return timer.OnConflict(timer.Replace) }},
	{"Keep", func(uint64) timer.Option { return timer.OnConflict(timer.Keep) }},
	{"Fail", func(uint64) timer.Option { return timer.OnConflict(timer.Fail) }},
	{"KeepTime", func(uint64) timer.Option { return timer.OnConflict(timer.KeepTime) }},
	{"Earliest", func(uint64) timer.Option { return timer.OnConflict(timer.EarliestDue) }},
	{"Debounce", func(uint64) timer.Option { return timer.OnConflict(timer.Debounce(25 * time.Second)) }},
	{"IfAbsent", func(uint64) timer.Option { return timer.IfAbsent() }},
	{"IfPending", func(uint64) timer.Option { return timer.IfPending() }},
	{"IfGen", timer.IfGeneration},
	{"IfGen+1", func(gen uint64) timer.Option { return timer.IfGeneration(gen + 1) }},
}

// ctConflicts says what comes of it: what starts after the Put, or the error. A paused name is resumed at 50 s.
const ctConflicts = `
                | Replace | Keep        | Fail               | KeepTime    | Earliest | Debounce | IfAbsent           | IfPending | IfGen | IfGen+1          |
absent          | 30new   | 30new       | 30new              | 30new       | 30new    | 30new    | 30new              | cond      | cond  | cond             |
plain           | 30new   | 40old       | exists 40old       | 40new       | 30new    | 30new    | exists 40old       | 30new     | 30new | cond 40old       |
tracked         | 30new   | 40old       | exists 40old       | 40new       | 30new    | 25new    | exists 40old       | 30new     | 30new | cond 40old       |
paused          | 50new   | 50old       | exists 50old       | 50new       | 50new    | 50new    | exists 50old       | 50new     | 50new | cond 50old       |
ready           | 30new   | 15old       | exists 15old       | 15new       | 15new    | 30new    | exists 15old       | 30new     | 30new | cond 15old       |
keyed           | 30new   | 15old       | exists 15old       | 10new       | 10new    | 25new    | exists 15old       | 30new     | 30new | cond 15old       |
held            | 30new   | 15old       | exists 15old       | 15new       | 15new    | 26new    | exists 15old       | 30new     | 30new | cond 15old       |
running         | 30new   | -           | exists             | 30new       | 30new    | 30new    | exists             | cond      | 30new | cond             |
recurring       | 30new   | 40old 80old | exists 40old 80old | 40new 80new | 30new    | 25new    | exists 40old 80old | 30new     | 30new | cond 40old 80old |
recurring, runs | 30new   | 40old       | exists 40old       | 40new       | 30new    | 25new    | exists 40old       | 30new     | 30new | cond 40old       |
pace, runs      | 30new   | 40old       | exists 40old       | 40new       | 30new    | 25new    | exists 40old       | 30new     | 30new | cond 40old       |
last, runs      | 30new   | -           | exists             | 30new       | 30new    | 30new    | exists             | cond      | 30new | cond             |
cancelled, runs | 30new   | 30new       | 30new              | 30new       | 30new    | 30new    | 30new              | cond      | cond  | cond             |
done            | 30new   | 30new       | 30new              | 30new       | 30new    | 30new    | 30new              | cond      | cond  | cond             |
dead            | 30new   | 30new       | 30new              | 30new       | 30new    | 30new    | 30new              | cond      | cond  | cond             |
cancelled       | 30new   | 30new       | 30new              | 30new       | 30new    | 30new    | 30new              | cond      | cond  | cond             |
expired         | 30new   | 30new       | 30new              | 30new       | 30new    | 30new    | 30new              | cond      | cond  | cond             |
`

// contract: B1, B3, B4.
func TestContract_B1_EveryPolicyInEveryState(t *testing.T) {
	rows := strings.Split(strings.TrimSpace(ctConflicts), "\n")
	if len(rows) != len(ctStates)+1 {
		t.Fatalf("%d rows for %d states", len(rows)-1, len(ctStates))
	}
	for i, st := range ctStates {
		cells := strings.Split(rows[i+1], "|")
		ctEqual(t, "row", strings.TrimSpace(cells[0]), st.name)
		for j, p := range ctPolicies {
			t.Run(st.name+"/"+p.name, func(t *testing.T) {
				ctBubble(t, st.opts, func(t *testing.T, w *ct) {
					st.bring(w)
					ctEqual(t, "came of it", ctConflict(t, w, p.opt), strings.TrimSpace(cells[j+1]))
				})
			})
		}
	}
}

// ctConflict puts at 10 s and tells what came of it.
func ctConflict(t *testing.T, w *ct, opt func(uint64) timer.Option) string {
	w.pass(time.Until(w.t0.Add(10 * time.Second)))
	w.told()
	var gen uint64
	if task, ok := w.Find("a"); ok {
		gen = task.Generation()
	}
	before := w.ctBooks()
	task, err := w.Put("a", schedule.After(20*time.Second), w.logs("new"), timer.Track(), opt(gen))
	var cells []string
	switch {
	case errors.Is(err, timer.ErrExists):
		cells = append(cells, "exists")
	case errors.Is(err, timer.ErrCondition):
		cells = append(cells, "cond")
	default:
		ctIs(t, "put", err, nil)
		ctEqual(t, "a generation is never used twice", task.Generation() >= gen, true)
	}
	if err != nil {
		ctEqual(t, "books after a refusal", w.ctBooks(), before)
	}
	w.pass(40 * time.Second)
	_, err = w.Resume(timer.AllTasks())
	ctIs(t, "resume", err, nil)
	w.pass(40 * time.Second)
	for _, line := range w.told() {
		at, name, _ := strings.Cut(line, " ")
		d, err := time.ParseDuration(at)
		ctIs(t, "time", err, nil)
		cells = append(cells, fmt.Sprintf("%.0f%s", d.Seconds(), name))
	}
	return cmp.Or(strings.Join(cells, " "), "-")
}

// contract: B1. EarliestDue, with a new task that is never, later, at the same time, or has an old one that is never.
func TestContract_B1_EarliestComparesWhatComesFirst(t *testing.T) {
	never := schedule.Every(time.Second).Until(ctStart)
	for _, c := range []struct {
		name     string
		old, new schedule.Schedule
		ran      []string
	}{
		{"later", schedule.After(time.Minute), schedule.After(time.Hour), []string{"1m0s new"}},
		{"same", schedule.At(ctStart.Add(time.Minute)), schedule.After(time.Minute), []string{"1m0s new"}},
		{"sooner", schedule.After(time.Minute), schedule.At(ctStart.Add(time.Second)), []string{"1s new"}},
		{"never", schedule.After(time.Minute), never, []string{"1m0s new"}},
		{"old never", never, schedule.After(time.Minute), []string{"1m0s new"}},
		{"longest delay", schedule.After(time.Minute), schedule.After(1<<63 - 1), []string{"1m0s new"}},
		{"old longest delay", schedule.After(1<<63 - 1), schedule.After(time.Minute), []string{"1m0s new"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctByHand(t, timer.Options{}, func(_ *testing.T, w *ct) {
				w.put("a", c.old, w.logs("old"))
				w.put("a", c.new, w.logs("new"), timer.OnConflict(timer.EarliestDue), timer.Track())
				w.pass(2 * time.Hour)
				w.want(c.ran...)
			})
		})
	}
}

// contract: B1. A burst runs once, after its last Put, but no later than wait after its first.
func TestContract_B1_DebounceBursts(t *testing.T) {
	ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
		touch := func(s schedule.Schedule) {
			w.put("a", s, w.logs("ran"), timer.OnConflict(timer.Debounce(5*time.Second)))
		}
		for range 3 { // a short burst
			touch(schedule.After(2 * time.Second))
			w.pass(time.Second)
		}
		w.pass(time.Minute - 3*time.Second)
		w.want("4s ran")
		for range 20 { // a burst that does not end runs every five seconds
			touch(schedule.After(2 * time.Second))
			w.pass(time.Second)
		}
		w.pass(time.Minute)
		w.want("1m5s ran", "1m10s ran", "1m15s ran", "1m20s ran")
		base := w.now() // an instant is no exception, nor is jitter, nor a first Put with a longer delay
		touch(schedule.At(w.wall(base + time.Hour)))
		w.pass(time.Second)
		touch(schedule.After(time.Hour).Jitter(3 * time.Second))
		w.pass(time.Minute)
		w.want(fmt.Sprint(base+5*time.Second, " ran"))
	})
}

// contract: B1. A burst that finds a task put without options begins with itself.
func TestContract_B1_DebounceAfterAPlainPut(t *testing.T) {
	ctByHand(t, timer.Options{}, func(_ *testing.T, w *ct) {
		w.pass(time.Hour)
		w.put("a", schedule.After(time.Hour), w.logs("plain"))
		w.pass(time.Minute)
		w.put("a", schedule.After(2*time.Second), w.logs("burst"), timer.OnConflict(timer.Debounce(5*time.Second)))
		w.pass(time.Hour)
		w.want("1h1m2s burst")
	})
}

// contract: B1. The swap is atomic: whoever looks finds the one task or the other, and exactly one of them runs.
func TestContract_B1_ReplaceIsOneSwap(t *testing.T) {
	ctBubble(t, timer.Options{}, func(t *testing.T, w *ct) {
		const rounds, putters = 200, 4
		w.put("a", schedule.After(time.Hour), w.logs("x"), timer.Track())
		var group sync.WaitGroup
		for p := range putters {
			group.Go(func() {
				last := uint64(0)
				for i := range rounds {
					opts := []timer.Option{timer.Track()}[:i%2]
					task, err := w.Put("a", schedule.After(time.Hour+time.Duration(p*rounds+i)), w.logs("x"), opts...)
					if _, found := w.Find("a"); err != nil || !found {
						t.Errorf("put %d: error %v, found %v", i, err, found)
					}
					if g := task.Generation(); g != 0 && g <= last { // 0: replaced already
						t.Errorf("generation %d after %d", g, last)
					} else {
						last = max(g, last)
					}
				}
			})
		}
		group.Wait()
		ctEqual(t, "pending", w.Stats().Pending, 1)
		w.pass(2 * time.Hour)
		ctEqual(t, "runs", len(w.told()), 1)
	})
}

// contract: B2. Invariant 3.
func TestContract_B2_TheNewTaskWaitsForTheRunUnderWay(t *testing.T) {
	for _, c := range []struct {
		name string
		opts []timer.Option
		ran  []string
	}{
		{"plain", nil, []string{"0s old", "20s new"}},
		{"tracked", []timer.Option{timer.Track()}, []string{"0s old", "20s new"}},
		{"allowed", []timer.Option{timer.Overlap(timer.Allow)}, []string{"0s old", "5s new"}},
		{"other is asked to stop", []timer.Option{timer.Overlap(timer.CancelOther)}, []string{"0s old", "5s stopped", "5s new"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctBubble(t, timer.Options{}, func(t *testing.T, w *ct) {
				old := w.put("a", schedule.After(0), func(ctx context.Context) error {
					w.note("old")
					select {
					case <-time.After(20 * time.Second):
						return nil
					case <-ctx.Done():
						w.note("stopped")
						return context.Cause(ctx)
					}
				}, timer.Track())
				w.pass(time.Second)
				task := w.put("a", schedule.After(4*time.Second), w.logs("new"), c.opts...)
				w.pass(5 * time.Second)
				if len(c.opts) < 2 && c.ran[1] == "20s new" {
					ctEqual(t, "waits", task.State(), timer.StatePending)
					ctEqual(t, "cancel of the old one", old.Cancel(), timer.Running)
				}
				w.pass(time.Minute)
				w.want(c.ran...)
			})
		})
	}
}

// contract: B2. Replacing does not touch the run under way: it ends as it ends, and its failure changes nothing.
func TestContract_B2_TheRunUnderWayEndsAsItEnds(t *testing.T) {
	boom := errors.New("boom")
	for _, c := range []struct {
		name  string
		err   error
		state timer.State
	}{{"success", nil, timer.StateDone}, {"failure", boom, timer.StateDead}} {
		t.Run(c.name, func(t *testing.T) {
			ctBubble(t, timer.Options{}, func(t *testing.T, w *ct) {
				old := w.put("a", schedule.After(0), func(ctx context.Context) error {
					w.note("old")
					time.Sleep(10 * time.Second)
					if ctx.Err() != nil {
						t.Error("the old run was asked to stop")
					}
					return c.err
				}, timer.Track())
				w.pass(time.Second)
				w.put("a", schedule.After(time.Second), w.logs("new"))
				ctEqual(t, "while it runs", old.State(), timer.StateRunning)
				ctIs(t, "wait", old.Wait(t.Context()), nil)
				ctEqual(t, "state", old.State(), c.state)
				ctEqual(t, "error", old.Err(), c.err)
				ctEqual(t, "cancel", old.Cancel(), timer.Finished)
				w.pass(time.Minute)
				w.want("0s old", "10s new")
			})
		})
	}
}

// contract: B2. One name never overlaps itself, however often it is replaced.
func TestContract_B2_NoOverlapThroughManyReplacements(t *testing.T) {
	ctBubble(t, timer.Options{}, func(t *testing.T, w *ct) {
		var inside, most, runs int
		var mu sync.Mutex
		fn := func(context.Context) error {
			mu.Lock()
			inside++
			runs++
			most = max(most, inside)
			mu.Unlock()
			time.Sleep(30 * time.Millisecond)
			mu.Lock()
			inside--
			mu.Unlock()
			return nil
		}
		schedules := []schedule.Schedule{schedule.After(0), schedule.Every(7 * time.Millisecond), schedule.Pace(time.Millisecond)}
		for i := range 300 {
			w.put("a", schedules[i%3], fn)
			w.pass(time.Duration(i%11) * 3 * time.Millisecond)
		}
		w.Cancel("a")
		w.pass(time.Second)
		ctEqual(t, "at a time", most, 1)
		if runs < 100 {
			t.Errorf("%d runs in all; the test does not test", runs)
		}
	})
}

// contract: B3. Invariant 8. Ended tasks block neither a Put nor the next occurrence, and leave nothing behind.
func TestContract_B3_EndedTasksNeverBlock(t *testing.T) {
	ctByHand(t, timer.Options{MaxPending: 1}, func(t *testing.T, w *ct) {
		last := uint64(0)
		for i, end := range []func() timer.State{
			func() timer.State {
				task := w.put("a", schedule.After(time.Second), w.logs("done"), timer.Track())
				last = ctRises(t, last, task)
				w.pass(time.Second)
				return task.State()
			},
			func() timer.State {
				task := w.put("a", schedule.After(time.Second), func(context.Context) error { panic("x") }, timer.Track())
				last = ctRises(t, last, task)
				w.pass(time.Second)
				return task.State()
			},
			func() timer.State {
				task := w.put("a", schedule.Every(time.Second), w.logs("cancelled"))
				last = ctRises(t, last, task)
				task.Cancel()
				return task.State()
			},
			func() timer.State {
				task := w.put("a", schedule.After(time.Second), w.logs("expired"), timer.StartWithin(time.Second))
				last = ctRises(t, last, task)
				w.suspend(time.Minute)
				return task.State()
			},
		} {
			states := []timer.State{timer.StateDone, timer.StateDead, timer.StateCancelled, timer.StateExpired}
			ctEqual(t, "state", end(), states[i])
			_, found := w.Find("a")
			ctEqual(t, "found", found, false)
			ctEqual(t, "pending", w.Stats().Pending, 0)
		}
	})
	ctByHand(t, timer.Options{}, func(_ *testing.T, w *ct) { // failing does not end a schedule
		w.put("a", schedule.Every(time.Second).Times(3), func(context.Context) error { w.note("ran"); return errors.New("no") })
		w.pass(time.Minute)
		w.want("1s ran", "2s ran", "3s ran")
	})
}

// ctRises checks that a new task's generation is above all earlier ones of its name.
func ctRises(t *testing.T, last uint64, task timer.Task) uint64 {
	t.Helper()
	if g := task.Generation(); g <= last {
		t.Errorf("generation %d after %d", g, last)
	}
	return task.Generation()
}

// contract: B4. Of many that swap the same generation, one wins.
func TestContract_B4_CompareAndSwap(t *testing.T) {
	for _, cond := range []string{"IfGeneration", "IfAbsent"} {
		t.Run(cond, func(t *testing.T) {
			ctBubble(t, timer.Options{}, func(t *testing.T, w *ct) {
				for round := range 50 {
					name := fmt.Sprint("a", round)
					opt := timer.IfAbsent()
					if cond == "IfGeneration" {
						opt = timer.IfGeneration(w.put(name, schedule.After(time.Hour), w.logs("x")).Generation())
					}
					var won atomic.Int32
					var group sync.WaitGroup
					for i := range 8 {
						group.Go(func() {
							_, err := w.Put(name, schedule.After(time.Duration(i+2)*time.Hour), w.logs("x"), opt)
							switch {
							case err == nil:
								won.Add(1)
							case !errors.Is(err, timer.ErrCondition) && !errors.Is(err, timer.ErrExists):
								t.Error(err)
							}
						})
					}
					group.Wait()
					ctEqual(t, "winners", won.Load(), 1)
				}
			})
		})
	}
}

// contract: B4. Every accepted change is a new generation: also Move and a change of the handler alone.
func TestContract_B4_EveryChangeRaisesTheGeneration(t *testing.T) {
	ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
		for _, opts := range [][]timer.Option{nil, {timer.Track()}} {
			task := w.put("a", schedule.After(time.Hour), w.logs("x"), opts...)
			last := ctRises(t, 0, task)
			for range 5 {
				ctIs(t, "move", w.Move("a", schedule.After(time.Hour)), nil)
				last = ctRises(t, last, task)
			}
			task = w.put("a", schedule.After(2*time.Hour), w.logs("x"), timer.OnConflict(timer.KeepTime))
			last = ctRises(t, last, task)
			_, err := w.Put("a", schedule.After(0), w.logs("x"), timer.IfGeneration(last-1))
			ctIs(t, "an old generation", err, timer.ErrCondition)
			_, err = w.Put("a", schedule.After(0), w.logs("x"), timer.IfGeneration(last))
			ctIs(t, "the generation", err, nil)
		}
	})
}

// contract: A6. A number that is no policy is not taken for one that carries a count.
func TestContract_A6_NumbersAreNoPolicies(t *testing.T) {
	e := newEngine(t)
	for n := range 200 {
		for what, opt := range map[string]timer.Option{
			"OnConflict": timer.OnConflict(timer.Conflict(n)),
			"Overlap":    timer.Overlap(timer.OverlapPolicy(n)),
			"CatchUp":    timer.CatchUp(timer.CatchUpPolicy(n)),
		} {
			_, err := e.Put("x", schedule.After(time.Hour), timer.Plain(func() {}), opt)
			last := map[string]int{"OnConflict": int(timer.EarliestDue), "Overlap": int(timer.Allow), "CatchUp": int(timer.None)}[what]
			if known := n <= last; known != (err == nil) {
				t.Errorf("%s(%d): the error is %v", what, n, err)
			}
			e.Cancel("x")
		}
	}
}
