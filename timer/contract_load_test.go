package timer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/timer"
)

// contract: J1. Jitter is a hash of the name: the preview of a schedule is what happens, in every engine, whenever.
func TestContract_J1_PreviewIsReality(t *testing.T) {
	offsets := make(map[time.Duration]bool)
	for i := range 20 {
		name := fmt.Sprint("task-", i)
		s := schedule.Every(time.Minute).AlignTo(ctStart).Jitter(50 * time.Second).Times(5)
		var want []string
		for occ := range s.Bind(name, ctStart).Preview(ctStart) {
			want = append(want, fmt.Sprint(occ.At.Sub(ctStart), " due ", occ.Due.Sub(ctStart)))
			offsets[occ.Due.Sub(occ.At)] = true
		}
		for range 2 { // two engines
			ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
				var got []string
				task := w.put(name, s, func(ctx context.Context) error {
					a, _ := timer.TaskFrom(ctx)
					got = append(got, fmt.Sprint(a.ScheduledFor.Sub(ctStart), " due ", a.Due.Sub(ctStart)))
					if !a.Started.Equal(a.Due) {
						t.Errorf("due %v, started %v", a.Due, a.Started)
					}
					return nil
				})
				ctEqual(t, "told beforehand", task.Info().Due.Sub(task.Info().ScheduledFor), s.Bind(name, ctStart).Offset())
				w.pass(time.Hour)
				ctEqual(t, "happened", got, want)
			})
		}
	}
	if len(offsets) < 15 {
		t.Errorf("20 names have %d offsets", len(offsets))
	}
}

// contract: J1. One-offs too, and all modes.
func TestContract_J1_JitterInAllModes(t *testing.T) {
	for _, s := range []schedule.Schedule{
		schedule.After(time.Minute), schedule.At(ctStart.Add(time.Minute)), schedule.Every(time.Minute),
		schedule.Pace(time.Minute), schedule.PaceFromStart(time.Minute),
	} {
		s = s.Jitter(30 * time.Second)
		ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
			offset := s.Bind("a", ctStart).Offset()
			task := w.put("a", s, w.logs("a"))
			ctEqual(t, "due", task.Info().Due, ctStart.Add(time.Minute+offset))
			w.pass(time.Minute + offset - 1)
			w.want()
			w.pass(1)
			ctEqual(t, s.String(), len(w.told()), 1)
		})
	}
}

// contract: J2. At most k tasks of a key run at a time, in the order in which they came due, whatever Workers allows; those
// that wait hold no worker.
func TestContract_J2_KeysOneToK(t *testing.T) {
	for k := 1; k <= 4; k++ {
		for _, workers := range []int{0, 1, 2, 6} {
			t.Run(fmt.Sprintf("k %d workers %d", k, workers), func(t *testing.T) {
				ctBubble(t, timer.Options{Workers: workers}, func(t *testing.T, w *ct) {
					var mu sync.Mutex
					inside, most := 0, 0
					var order []int
					for i := range 24 {
						w.put(strconv.Itoa(i), schedule.After(time.Duration(i)*time.Millisecond), func(context.Context) error {
							mu.Lock()
							order = append(order, i)
							inside++
							most = max(most, inside)
							mu.Unlock()
							time.Sleep(10 * time.Second)
							mu.Lock()
							inside--
							mu.Unlock()
							return nil
						}, timer.Key("k", k))
					}
					w.pass(time.Second)
					read := func(n *int) int {
						mu.Lock()
						defer mu.Unlock()
						return *n
					}
					free := k
					if workers > 0 {
						free = min(k, workers)
					}
					ctEqual(t, "running", read(&inside), free)
					if workers == 0 || workers > k {
						w.put("other", schedule.After(0), w.logs("other"))
						w.pass(time.Second)
						w.want("1s other")
					}
					w.pass(time.Hour)
					ctEqual(t, "most at a time", read(&most), free)
					ctEqual(t, "ran", len(order), 24)
					if k == 1 {
						ctEqual(t, "in order", slices.IsSorted(order), true)
					}
				})
			})
		}
	}
}

// contract: J2. Each task's own limit holds for its start, and nobody overtakes one that waits.
func TestContract_J2_DifferentLimitsOfOneKey(t *testing.T) {
	ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
		gates := map[string]chan struct{}{}
		start := func(name string, k int) {
			gates[name] = make(chan struct{})
			w.put(name, schedule.After(0), w.waits(name, gates[name]), timer.Key("k", k))
			w.settle()
		}
		start("first of two", 2)
		start("alone", 1)
		start("second of two", 2)
		start("third of three", 3)
		w.want("0s first of two")
		close(gates["first of two"])
		w.settle()
		got := w.told()
		slices.Sort(got)
		ctEqual(t, "go together", got, []string{"0s alone", "0s second of two", "0s third of three"})
		for _, name := range []string{"alone", "second of two", "third of three"} {
			close(gates[name])
		}
	})
}

// contract: J2. A place under a key is given back however the one who holds it, or waits for it, ends.
func TestContract_J2_NoPlaceIsLost(t *testing.T) {
	key := timer.Key("k", 1)
	for name, do := range map[string]func(t *testing.T, w *ct, gate chan struct{}){
		"the holder panics": func(_ *testing.T, w *ct, _ chan struct{}) {
			w.put("x", schedule.After(0), func(context.Context) error { panic("x") }, key)
		},
		"the first in line is cancelled": func(t *testing.T, w *ct, gate chan struct{}) {
			w.put("holder", schedule.After(0), w.waits("holder", gate), key)
			w.settle()
			w.put("x", schedule.After(0), w.logs("x"), key)
			w.settle()
			ctEqual(t, "cancel", w.Cancel("x"), timer.Cancelled)
		},
		"the first in line is replaced": func(_ *testing.T, w *ct, gate chan struct{}) {
			w.put("holder", schedule.After(0), w.waits("holder", gate), key)
			w.settle()
			w.put("x", schedule.After(0), w.logs("x"), key)
			w.settle()
			w.put("x", schedule.After(time.Hour), w.logs("x"))
		},
		"the first in line is paused": func(_ *testing.T, w *ct, gate chan struct{}) {
			w.put("holder", schedule.After(0), w.waits("holder", gate), key)
			w.settle()
			w.put("x", schedule.After(0), w.logs("x"), key)
			w.settle()
			_, _ = w.Pause(timer.Named("x"), "")
		},
		"the first in line is moved": func(t *testing.T, w *ct, gate chan struct{}) {
			w.put("holder", schedule.After(0), w.waits("holder", gate), key)
			w.settle()
			w.put("x", schedule.After(0), w.logs("x"), key)
			w.settle()
			ctIs(t, "move", w.Move("x", schedule.After(time.Hour)), nil)
		},
		"the first in line expires": func(_ *testing.T, w *ct, gate chan struct{}) {
			w.put("holder", schedule.After(0), w.waits("holder", gate), key)
			w.settle()
			w.put("x", schedule.After(0), w.logs("x"), key, timer.StartWithin(time.Second))
			w.pass(time.Minute)
		},
		"the first in line is skipped": func(_ *testing.T, w *ct, gate chan struct{}) {
			w.put("holder", schedule.After(0), w.waits("holder", gate), key)
			w.settle()
			w.put("x", schedule.Every(10*time.Second), w.logs("x"), key, timer.CatchUp(timer.None), timer.Grace(time.Second))
			w.pass(15 * time.Second)
		},
		"the holder is replaced": func(_ *testing.T, w *ct, gate chan struct{}) {
			w.put("holder", schedule.After(0), w.waits("holder", gate), key)
			w.settle()
			w.put("holder", schedule.After(time.Hour), w.logs("holder"), key)
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
				gate := make(chan struct{})
				do(t, w, gate)
				w.put("last", schedule.After(0), w.logs("last"), key)
				w.settle()
				close(gate)
				w.settle()
				if got := strings.Join(w.told(), ", "); !strings.Contains(got, "last") || strings.Contains(got, " x") {
					t.Errorf("ran %s", got)
				}
				ctEqual(t, "running", w.Stats().Running, 0)
			})
		})
	}
}

// contract: J2. Random tasks of three keys: no limit is passed, no wait is for ever.
func TestContract_J2_KeyStorm(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 2))
		ctBubble(t, timer.Options{Workers: int(seed % 5)}, func(t *testing.T, w *ct) {
			var mu sync.Mutex
			inside := make(map[int]int)
			for i := range 200 {
				k := 1 + rng.IntN(3)
				name := fmt.Sprint("t", rng.IntN(40))
				hold := time.Duration(rng.IntN(30)) * time.Millisecond
				switch rng.IntN(6) {
				case 0:
					w.Cancel(name)
				case 1:
					_, _ = w.Pause(timer.Named(name), "")
				case 2:
					_, _ = w.Resume(timer.Named(name))
				default:
					s := schedule.After(time.Duration(rng.IntN(100)) * time.Millisecond)
					if rng.IntN(4) == 0 {
						s = schedule.Every(time.Duration(1+rng.IntN(50)) * time.Millisecond).Times(5)
					}
					w.put(name, s, func(context.Context) error {
						mu.Lock()
						inside[k]++
						if inside[k] > k {
							t.Errorf("seed %d: %d run under the key of %d", seed, inside[k], k)
						}
						mu.Unlock()
						time.Sleep(hold)
						mu.Lock()
						inside[k]--
						mu.Unlock()
						return nil
					}, timer.Key(fmt.Sprint("key", k), k), timer.Priority(rng.IntN(2)))
				}
				if i%10 == 0 {
					w.pass(time.Duration(rng.IntN(50)) * time.Millisecond)
				}
			}
			_, err := w.Resume(timer.AllTasks())
			ctIs(t, "resume", err, nil)
			w.pass(time.Hour)
			ctEqual(t, "pending", w.Stats().Pending, 0)
		})
	}
}

// contract: J2. Workers limits named tasks, and named tasks only.
func TestContract_J2_WorkersLimitNamedTasks(t *testing.T) {
	for _, workers := range []int{1, 2, 3, 7} {
		ctBubble(t, timer.Options{Workers: workers}, func(t *testing.T, w *ct) {
			gate := make(chan struct{})
			for i := range 20 {
				w.put(strconv.Itoa(i), schedule.After(0), w.waits("task", gate))
			}
			for range 20 {
				w.AfterFunc(0, func() { w.note("timer"); <-gate })
			}
			w.pass(time.Second)
			got := strings.Join(w.told(), ",")
			ctEqual(t, "tasks", strings.Count(got, "task"), workers)
			ctEqual(t, "timers", strings.Count(got, "timer"), 20)
			close(gate)
			w.pass(time.Second)
			ctEqual(t, "in the end", len(w.told()), 20-workers)
		})
	}
}

// contract: J3. MaxPending is told by a typed error, and what was accepted is never dropped.
func TestContract_J3_MaxPending(t *testing.T) {
	ctByHand(t, timer.Options{Workers: 1, MaxPending: 3}, func(t *testing.T, w *ct) {
		w.put("plain", schedule.After(time.Minute), w.logs("plain"))
		w.put("tracked", schedule.After(2*time.Minute), w.logs("tracked"), timer.Track())
		w.put("every", schedule.Every(3*time.Minute).Times(2), w.logs("every"))
		full := func() {
			t.Helper()
			before := w.ctBooks()
			for _, opts := range [][]timer.Option{nil, {timer.Track()}, {timer.IfAbsent()}, {timer.OnConflict(timer.Keep)}} {
				_, err := w.Put("one more", schedule.After(0), w.logs("one more"), opts...)
				ctIs(t, "put", err, timer.ErrFull)
			}
			_, err := w.PutRunnable(timer.Func("one more", w.logs("one more")), schedule.Every(time.Second))
			ctIs(t, "put", err, timer.ErrFull)
			ctEqual(t, "books", w.ctBooks(), before)
		}
		full()
		w.put("plain", schedule.After(30*time.Second), w.logs("plain")) // what is there may be replaced and moved
		w.put("tracked", schedule.After(31*time.Second), w.logs("tracked"), timer.Track())
		ctIs(t, "move", w.Move("every", schedule.Every(2*time.Minute).Times(2)), nil)
		w.AfterFunc(time.Hour, func() {}) // timers without a name do not count
		full()
		w.pass(30 * time.Second)
		w.put("next", schedule.After(time.Second), w.logs("next"))
		full()
		ctEqual(t, "cancel", w.Cancel("every"), timer.Cancelled)
		w.put("every", schedule.Every(time.Minute).Times(1), w.logs("every"))
		full()
		w.pass(time.Hour)
		w.want("30s plain", "31s tracked", "31s next", "1m30s every")
		for i := range 3 {
			w.put(strconv.Itoa(i), schedule.After(time.Hour), w.logs("x"))
		}
		full()
	})
}

// contract: J3. Puts from all sides never pass the limit, and the count never drifts.
func TestContract_J3_MaxPendingInAStorm(t *testing.T) {
	ctBubble(t, timer.Options{MaxPending: 10}, func(t *testing.T, w *ct) {
		var group sync.WaitGroup
		for g := range 8 {
			group.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(g), 3))
				for i := range 300 {
					name := fmt.Sprint("t", rng.IntN(40))
					switch rng.IntN(4) {
					case 0:
						w.Cancel(name)
					case 1:
						_, _ = w.Pause(timer.Named(name), "")
					default:
						opts := []timer.Option{timer.Track()}[:i%2]
						_, err := w.Put(name, schedule.After(time.Duration(rng.IntN(3))*time.Millisecond), w.takes("x", time.Millisecond), opts...)
						if err != nil && !errors.Is(err, timer.ErrFull) {
							t.Error(err)
						}
					}
					if i%50 == 0 {
						time.Sleep(time.Millisecond)
					}
				}
			})
		}
		group.Wait()
		_, err := w.Resume(timer.AllTasks())
		ctIs(t, "resume", err, nil)
		w.pass(time.Minute)
		for i := range 10 {
			w.put(fmt.Sprint("last", i), schedule.After(time.Hour), w.logs("x"))
		}
		_, err = w.Put("beyond", schedule.After(0), w.logs("x"))
		ctIs(t, "put", err, timer.ErrFull)
	})
}

// ctSelectors are selectors and what they select of the tasks below.
var ctSelectors = []struct {
	sel   timer.Selector
	names string
	err   error
}{
	{timer.Named("mail/1"), "mail/1", nil},
	{timer.Named("mail"), "", timer.ErrUnknown},
	{timer.Named(""), "", timer.ErrUnknown},
	{timer.Prefix("mail/"), "mail/1 mail/2 mail/3", nil},
	{timer.Prefix("m"), "mail/1 mail/2 mail/3", nil},
	{timer.Prefix("x"), "", nil},
	{timer.Prefix(""), "mail/1 mail/2 mail/3 sync", nil},
	{timer.Tagged("slow"), "mail/2 sync", nil},
	{timer.Tagged("none"), "", nil},
	{timer.AllTasks(), "mail/1 mail/2 mail/3 sync", nil},
	{timer.Selector{}, "", nil},
}

func (w *ct) ctSelectable() {
	w.put("mail/1", schedule.After(time.Minute), w.logs("mail/1"))
	w.put("mail/2", schedule.After(time.Minute), w.logs("mail/2"), timer.Tags("slow", "x"))
	w.put("mail/3", schedule.Every(time.Minute).Times(1), w.logs("mail/3"))
	w.put("sync", schedule.At(w.wall(time.Minute)), w.logs("sync"), timer.Tags("slow"))
}

func ctSorted(lines []string) string {
	names := make([]string, 0, len(lines))
	for _, line := range lines {
		_, name, _ := strings.Cut(line, " ")
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// Every selector with Pause, Resume, RunNow, Tasks and Wait, and the reasons that are given.
func TestContract_Selectors(t *testing.T) {
	for _, c := range ctSelectors {
		count := len(strings.Fields(c.names))
		t.Run(c.sel.String(), func(t *testing.T) {
			ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
				w.ctSelectable()
				var listed []string
				for info := range w.Tasks(c.sel) {
					listed = append(listed, "- "+info.Name)
				}
				ctEqual(t, "listed", ctSorted(listed), c.names)

				n, err := w.Pause(c.sel, "because")
				ctIs(t, "pause", err, c.err)
				ctEqual(t, "paused", n, count)
				n, err = w.Pause(c.sel, "another reason")
				ctIs(t, "pause again", err, c.err)
				ctEqual(t, "paused again", n, 0)
				for info := range w.Tasks(timer.AllTasks()) {
					selected := slices.Contains(strings.Fields(c.names), info.Name)
					ctEqual(t, "paused", info.Paused, selected)
					ctEqual(t, "reason", info.Reason == "another reason", selected)
				}
				w.pass(2 * time.Minute)
				ctEqual(t, "ran in spite of the pause", len(w.told()), 4-count)
				n, err = w.Resume(c.sel)
				if c.err == nil || count > 0 {
					ctIs(t, "resume", err, c.err)
				}
				ctEqual(t, "resumed", n, count)
				w.settle()
				w.told()
				n, err = w.Resume(timer.AllTasks())
				ctIs(t, "resume all", err, nil)
				ctEqual(t, "nothing is left to resume", n, 0)
			})
			var mu sync.Mutex
			var reasons []string
			o := timer.Options{Hooks: timer.Hooks{Scheduled: func(ev timer.Event) {
				mu.Lock()
				defer mu.Unlock()
				if ev.Reason != "" {
					reasons = append(reasons, ev.Name+" "+ev.Reason)
				}
			}}}
			ctByHand(t, o, func(t *testing.T, w *ct) {
				w.ctSelectable()
				_, err := w.Pause(timer.Tagged("slow"), "") // RunNow runs paused ones, too
				ctIs(t, "pause", err, nil)
				n, err := w.RunNow(c.sel, "asked")
				ctIs(t, "run now", err, c.err)
				ctEqual(t, "started", n, count)
				w.settle()
				ctEqual(t, "ran", ctSorted(w.told()), c.names)
				slices.Sort(reasons)
				ctEqual(t, "reasons", len(reasons), count)
				_, err = w.Resume(timer.AllTasks())
				ctIs(t, "resume", err, nil)
				w.pass(time.Hour)
				ctEqual(t, "what had its run has no other", len(w.told()), 4-count)
				ctIs(t, "wait", w.Wait(t.Context(), c.sel), nil)
			})
		})
	}
}

// RunNow in every state of the old task: how many it starts, and what runs from 10 s on.
func TestContract_RunNowInEveryState(t *testing.T) {
	want := map[string]struct {
		n   int
		ran string
	}{
		"absent": {0, ""}, "plain": {1, "10s old"}, "tracked": {1, "10s old"}, "paused": {1, "10s old"},
		"ready": {1, "15s old"}, "keyed": {1, "15s old"}, "held": {1, "15s old"}, "running": {0, ""},
		"recurring": {1, "10s old, 40s old"}, "recurring, runs": {0, "40s old"}, "pace, runs": {0, "40s old"},
		"last, runs": {0, ""}, "cancelled, runs": {0, ""}, "done": {0, ""}, "dead": {0, ""}, "cancelled": {0, ""},
		"expired": {0, ""},
	}
	for _, st := range ctStates {
		t.Run(st.name, func(t *testing.T) {
			ctBubble(t, st.opts, func(t *testing.T, w *ct) {
				st.bring(w)
				w.pass(time.Until(w.t0.Add(10 * time.Second)))
				w.told()
				n, err := w.RunNow(timer.Prefix("a"), "now")
				ctIs(t, "run now", err, nil)
				c, ok := want[st.name]
				ctEqual(t, "row", ok, true)
				ctEqual(t, "started", n, c.n)
				w.pass(5 * time.Minute)
				ctEqual(t, "ran", strings.Join(w.told(), ", "), c.ran)
			})
		})
	}
}

// Pause in every state: nothing starts until Resume, at 50 s; runs under way go on, and a run that ends meanwhile does
// not start what waited for it.
func TestContract_PauseInEveryState(t *testing.T) {
	want := map[string]string{
		"absent": "", "plain": "50s old", "tracked": "50s old", "paused": "50s old", "ready": "50s old", "keyed": "50s old",
		"held": "50s old", "running": "", "recurring": "1m20s old, 2m0s old", "recurring, runs": "1m20s old",
		"pace, runs": "1m15s old", "last, runs": "", "cancelled, runs": "", "done": "", "dead": "", "cancelled": "", "expired": "",
	}
	for _, st := range ctStates {
		t.Run(st.name, func(t *testing.T) {
			ctBubble(t, st.opts, func(t *testing.T, w *ct) {
				st.bring(w)
				w.pass(time.Until(w.t0.Add(10 * time.Second)))
				w.told()
				_, err := w.Pause(timer.Prefix("a"), "now")
				ctIs(t, "pause", err, nil)
				w.pass(40 * time.Second)
				w.want()
				_, err = w.Resume(timer.AllTasks())
				ctIs(t, "resume", err, nil)
				w.pass(5 * time.Minute)
				c, ok := want[st.name]
				ctEqual(t, "row", ok, true)
				ctEqual(t, "ran", strings.Join(w.told(), ", "), c)
			})
		})
	}
}

// A task that waits for the end of its name's run and is paused can still be run by hand.
func TestContract_RunNowOfAPausedTaskThatWaits(t *testing.T) {
	ctBubble(t, timer.Options{}, func(t *testing.T, w *ct) {
		w.put("a", schedule.After(0), w.takes("older", 15*time.Second))
		w.pass(time.Second)
		w.put("a", schedule.After(0), w.logs("newer"))
		w.pass(time.Second)
		_, err := w.Pause(timer.Named("a"), "")
		ctIs(t, "pause", err, nil)
		n, err := w.RunNow(timer.Named("a"), "")
		ctIs(t, "run now", err, nil)
		ctEqual(t, "started", n, 1)
		w.pass(time.Minute)
		w.want("0s older", "15s newer")
		ctEqual(t, "pending", w.Stats().Pending, 0)
	})
}
