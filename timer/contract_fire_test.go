package timer_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/timer"
)

// contract: C1. Invariant 2: to the nanosecond, for delays that straddle every level of the wheel and its ticks, on both
// timelines.
func TestContract_C1_NeverEarly(t *testing.T) {
	const tick = 1 << 16
	var delays []time.Duration
	for _, base := range []int64{1, tick, 64 * tick, 64 * 64 * tick, 64 * 64 * 64 * tick, int64(time.Millisecond), int64(time.Hour)} {
		for _, d := range []int64{base - 1, base, base + 1, 3*base - 1, 3*base + 1, 63*base + 1} {
			delays = append(delays, time.Duration(d))
		}
	}
	slices.Sort(delays)
	delays = slices.Compact(delays)
	for _, kind := range []string{"timer", "delay", "instant", "tracked", "every"} {
		for _, workers := range []int{0, 1} {
			t.Run(fmt.Sprint(kind, " ", workers), func(t *testing.T) {
				ctByHand(t, timer.Options{Workers: workers}, func(t *testing.T, w *ct) {
					w.pass(12_345_678) // not on a boundary
					base := w.now()
					var mu sync.Mutex
					got := make(map[time.Duration]time.Duration)
					for _, d := range delays {
						f := func() {
							mu.Lock()
							defer mu.Unlock()
							got[d] = w.now() - base
						}
						name := d.String()
						switch kind {
						case "timer":
							w.AfterFunc(d, f)
						case "delay":
							w.put(name, schedule.After(d), timer.Plain(f))
						case "instant":
							w.put(name, schedule.At(w.wall(base+d)), timer.Plain(f))
						case "tracked":
							w.put(name, schedule.After(d), timer.Plain(f), timer.Track())
						case "every": // from the instant after the one before it
							w.put(name, schedule.Every(d+1).From(w.wall(base+d)).Times(1), timer.Plain(f))
						}
					}
					w.pass(100 * time.Hour)
					mu.Lock()
					defer mu.Unlock()
					for _, d := range delays {
						// A clock moved by hand stands still at every deadline: late is as wrong as early.
						if at, ok := got[d]; !ok || at != d {
							t.Errorf("due after %d, started after %d (%v)", d, at, ok)
						}
					}
				})
			})
		}
	}
}

// contract: C1. On the machine's clock, with 2,000 random delays of up to 50 ms.
func TestContract_C1_NeverEarlyOnTheRealClock(t *testing.T) {
	e := timer.New()
	var group sync.WaitGroup
	for i := range 2000 {
		group.Add(1)
		d := time.Duration(rand.Int64N(int64(50 * time.Millisecond)))
		at := time.Now()
		check := func() {
			if took := time.Since(at); took < d {
				t.Errorf("due after %v, started after %v", d, took)
			}
			group.Done()
		}
		switch i % 3 {
		case 0:
			e.AfterFunc(d, check)
		case 1:
			if _, err := e.Put(strconv.Itoa(i), schedule.After(d), timer.Plain(check)); err != nil {
				t.Fatal(err)
			}
		case 2:
			if _, err := e.Put(strconv.Itoa(i), schedule.Every(d+1).Times(1), timer.Plain(check)); err != nil {
				t.Fatal(err)
			}
		}
	}
	group.Wait()
	_, err := e.Close(t.Context())
	ctIs(t, "close", err, nil)
	ctEqual(t, "early", e.Stats().Early, 0)
	ctEqual(t, "fires", e.Stats().Fires, 2000)
}

// contract: C2. Lateness is told whole and in its parts: the wake-up, and the wait for a worker or a key.
func TestContract_C2_LatenessInParts(t *testing.T) {
	type parts struct{ Lateness, Wake, Slot time.Duration }
	for _, c := range []struct {
		name string
		opts timer.Options
		do   func(w *ct)
		want parts
	}{
		{"on time", timer.Options{}, func(w *ct) {
			w.put("a", schedule.After(time.Second), w.logs("a"))
			w.pass(time.Minute)
		}, parts{}},
		{"suspended", timer.Options{}, func(w *ct) {
			w.put("a", schedule.After(time.Second), w.logs("a"))
			w.suspend(11 * time.Second)
		}, parts{10 * time.Second, 10 * time.Second, 0}},
		{"no worker", timer.Options{Workers: 1}, func(w *ct) {
			gate := make(chan struct{})
			w.put("blocker", schedule.After(0), w.waits("blocker", gate))
			w.put("a", schedule.After(time.Second), w.logs("a"))
			w.pass(31 * time.Second)
			close(gate)
			w.settle()
		}, parts{30 * time.Second, 0, 30 * time.Second}},
		{"no key", timer.Options{}, func(w *ct) {
			gate := make(chan struct{})
			w.put("blocker", schedule.After(0), w.waits("blocker", gate), timer.Key("k", 1))
			w.put("a", schedule.At(w.wall(time.Second)), w.logs("a"), timer.Key("k", 1))
			w.pass(31 * time.Second)
			close(gate)
			w.settle()
		}, parts{30 * time.Second, 0, 30 * time.Second}},
		{"suspended, then no worker", timer.Options{Workers: 1}, func(w *ct) {
			gate := make(chan struct{})
			w.put("blocker", schedule.After(0), w.waits("blocker", gate))
			w.put("a", schedule.After(time.Second), w.logs("a"))
			w.suspend(11 * time.Second)
			w.pass(20 * time.Second)
			close(gate)
			w.settle()
		}, parts{30 * time.Second, 10 * time.Second, 20 * time.Second}},
		{"its own run", timer.Options{}, func(w *ct) {
			gate := make(chan struct{})
			w.put("a", schedule.Every(10*time.Second).Times(2), w.waits("a", gate), timer.Overlap(timer.BufferOne))
			w.pass(25 * time.Second)
			close(gate)
			w.settle()
		}, parts{5 * time.Second, 0, 5 * time.Second}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctByHand(t, c.opts, func(t *testing.T, w *ct) {
				c.do(w)
				s := w.Stats()
				ctEqual(t, "sums", parts{s.Lateness.Sum, s.Wake.Sum, s.Slot.Sum}, c.want)
				ctEqual(t, "count", s.Lateness.Count, s.Fires)
			})
		})
	}
}

// contract: C3. With one worker the order is exact: by due, then first in, first out; delays, instants, recurring tasks
// and tasks that were moved alike.
func TestContract_C3_OrderIsExactWithOneWorker(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 3))
		ctByHand(t, timer.Options{Workers: 1}, func(t *testing.T, w *ct) {
			type planned struct {
				due  time.Duration
				seq  int
				name string
			}
			var plan []planned
			for i := range 300 {
				due := time.Duration(rng.IntN(40)) * time.Millisecond
				name := fmt.Sprint("t", i)
				fn := w.logs(name)
				switch rng.IntN(4) {
				case 0:
					w.put(name, schedule.After(due), fn)
				case 1:
					w.put(name, schedule.After(due), fn, timer.Track())
				case 2:
					w.put(name, schedule.After(time.Hour), fn)
					ctIs(t, "move", w.Move(name, schedule.After(due)), nil)
				case 3:
					w.put(name, schedule.Every(due+1).Times(1), fn)
					due++
				}
				plan = append(plan, planned{due, i, name})
			}
			w.suspend(time.Second) // all are due at once
			slices.SortFunc(plan, func(a, b planned) int {
				if a.due != b.due {
					return int(a.due - b.due)
				}
				return a.seq - b.seq
			})
			var want, got []string
			for _, p := range plan {
				want = append(want, p.name)
			}
			for _, line := range w.told() {
				got = append(got, strings.Fields(line)[1])
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("seed %d (-want +got):\n%s", seed, diff)
			}
		})
	}
}

// contract: C3. A task that is moved, paused and resumed, or put anew while it waits in the queue goes to its new place.
func TestContract_C3_ItemsInTheQueueMayBeStale(t *testing.T) {
	for name, change := range map[string]func(w *ct){
		"moved":  func(w *ct) { _ = w.Move("first", schedule.After(10*time.Second)) },
		"put":    func(w *ct) { w.put("first", schedule.After(10*time.Second), w.logs("first")) },
		"paused": func(w *ct) { _, _ = w.Pause(timer.Named("first"), ""); _, _ = w.Resume(timer.Named("first")) },
		"again": func(w *ct) {
			_ = w.Move("first", schedule.After(time.Hour))
			_ = w.Move("first", schedule.After(10*time.Second))
		},
	} {
		for _, opts := range [][]timer.Option{nil, {timer.Track()}} {
			t.Run(name, func(t *testing.T) {
				ctByHand(t, timer.Options{Workers: 1}, func(t *testing.T, w *ct) {
					gate := make(chan struct{})
					w.put("blocker", schedule.After(0), w.waits("blocker", gate))
					w.put("first", schedule.After(time.Second), w.logs("first"), opts...)
					w.put("second", schedule.After(2*time.Second), w.logs("second"))
					w.pass(5 * time.Second)
					change(w)
					w.pass(15 * time.Second)
					close(gate)
					w.settle()
					w.want("0s blocker", "20s second", "20s first")
				})
			})
		}
	}
}

// contract: C3. Unnamed timers and named tasks keep one order, too, as long as no worker is missing.
func TestContract_C3_OrderOnBothTimelines(t *testing.T) {
	ctByHand(t, timer.Options{Workers: 1}, func(_ *testing.T, w *ct) {
		for i := 9; i >= 0; i-- {
			at := time.Duration(i+1) * time.Second
			if i%2 == 0 {
				w.put(strconv.Itoa(i), schedule.At(w.wall(at)), w.logs(strconv.Itoa(i)))
			} else {
				w.put(strconv.Itoa(i), schedule.After(at), w.logs(strconv.Itoa(i)))
			}
		}
		w.suspend(time.Minute)
		w.want("1m0s 0", "1m0s 1", "1m0s 2", "1m0s 3", "1m0s 4", "1m0s 5", "1m0s 6", "1m0s 7", "1m0s 8", "1m0s 9")
	})
}

// contract: C3. Among those that wait for a worker the priority comes first, then due, then the order accepted.
func TestContract_C3_PriorityAmongThoseThatWait(t *testing.T) {
	ctByHand(t, timer.Options{Workers: 1}, func(_ *testing.T, w *ct) {
		gate := make(chan struct{})
		w.put("blocker", schedule.After(0), w.waits("blocker", gate))
		w.pass(time.Second)
		w.put("low", schedule.After(time.Second), w.logs("low"), timer.Priority(-5))
		w.put("late", schedule.After(3*time.Second), w.logs("late"))
		w.put("first", schedule.After(2*time.Second), w.logs("first"))
		w.put("second", schedule.After(2*time.Second), w.logs("second"))
		w.put("high", schedule.After(4*time.Second), w.logs("high"), timer.Priority(7))
		w.put("highest", schedule.After(5*time.Second), w.logs("highest"), timer.Priority(1<<30))
		w.put("lowest", schedule.After(time.Second), w.logs("lowest"), timer.Priority(-1<<30))
		w.pass(time.Minute)
		w.want("0s blocker")
		close(gate)
		w.settle()
		w.want("1m1s highest", "1m1s high", "1m1s first", "1m1s second", "1m1s late", "1m1s low", "1m1s lowest")
	})
}

// contract: C3. Per name by scheduled_for: also those that are caught up, or buffered, or run beside each other. Of those that run
// beside each other all are started in this order, but only with one worker does the first to start come first.
func TestContract_C3_PerNameByScheduledFor(t *testing.T) {
	for name, tt := range map[string]struct {
		workers int
		opts    []timer.Option
	}{
		"caught up":                {0, []timer.Option{timer.CatchUp(timer.All(100))}},
		"buffered":                 {0, []timer.Option{timer.Overlap(timer.BufferAll(100))}},
		"allowed, with one worker": {1, []timer.Option{timer.Overlap(timer.Allow), timer.CatchUp(timer.All(100))}},
	} {
		t.Run(name, func(t *testing.T) {
			ctByHand(t, timer.Options{Workers: tt.workers}, func(t *testing.T, w *ct) {
				var mu sync.Mutex
				var got []time.Time
				w.put("a", schedule.Every(time.Second).Times(40), func(ctx context.Context) error {
					a, _ := timer.TaskFrom(ctx)
					mu.Lock()
					got = append(got, a.ScheduledFor)
					mu.Unlock()
					return nil
				}, tt.opts...)
				w.pass(5 * time.Second)
				w.suspend(20 * time.Second)
				w.pass(time.Minute)
				ctEqual(t, "runs", len(got), 40)
				ctEqual(t, "in order", slices.IsSortedFunc(got, time.Time.Compare), true)
			})
		})
	}
}

// contract: C6. Wake-ups are for what is due, and for nothing else: an idle engine is not woken at all.
func TestContract_C6_NoPolling(t *testing.T) {
	ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
		const year = 365 * 24 * time.Hour
		wakeups := func() uint64 { return w.Stats().Wakeups }
		w.pass(year)
		ctEqual(t, "wake-ups of an engine never used", wakeups(), 0)
		w.put("far", schedule.After(3*year), w.logs("far"))
		w.put("far instant", schedule.At(w.wall(5*year)), w.logs("far instant"))
		w.pass(year)
		ctEqual(t, "wake-ups for what is far away", wakeups(), 0)
		for i := range 100 {
			w.put(strconv.Itoa(i), schedule.After(time.Hour), w.logs("x"))
		}
		w.pass(time.Minute)
		ctEqual(t, "wake-ups before they are due", wakeups(), 0)
		w.pass(time.Hour)
		if n := wakeups(); n < 1 || n > 2 {
			t.Errorf("%d wake-ups for 100 tasks at one instant", n)
		}
		before := wakeups()
		w.pass(10 * year)
		if n := wakeups() - before; n > 8 { // two tasks, and the alarm let go of
			t.Errorf("%d wake-ups for two tasks", n)
		}
		boot, wall := w.hand.Armed()
		ctEqual(t, "alarm of an engine with nothing pending", []int64{boot, wall}, []int64{clock.Never, clock.Never})
		ctEqual(t, "workers of an engine with nothing pending", w.Stats().Goroutines, 0)
	})
}

// contract: C6. A task that cannot run yet costs no wake-ups while it waits.
func TestContract_C6_WaitingIsNotPolling(t *testing.T) {
	for name, wait := range map[string]func(w *ct, gate chan struct{}){
		"for a worker": func(w *ct, _ chan struct{}) { w.put("a", schedule.After(time.Second), w.logs("a")) },
		"for a key": func(w *ct, _ chan struct{}) {
			w.put("a", schedule.After(time.Second), w.logs("a"), timer.Key("k", 1))
		},
		"for resume": func(w *ct, _ chan struct{}) {
			w.put("a", schedule.Every(time.Second), w.logs("a"))
			_, _ = w.Pause(timer.Named("a"), "")
		},
		"for the run of its name": func(w *ct, _ chan struct{}) { w.put("blocker", schedule.After(time.Second), w.logs("a")) },
	} {
		t.Run(name, func(t *testing.T) {
			ctByHand(t, timer.Options{Workers: 1}, func(t *testing.T, w *ct) {
				gate := make(chan struct{})
				w.put("blocker", schedule.After(0), w.waits("blocker", gate), timer.Key("k", 1))
				w.settle()
				wait(w, gate)
				w.pass(2 * time.Second)
				before := w.Stats().Wakeups
				w.pass(1000 * time.Hour)
				ctEqual(t, "wake-ups", w.Stats().Wakeups-before, 0)
				close(gate)
			})
		})
	}
}

// contract: C6. An earlier arrival is a wake-up, at whatever moment it comes; a later one is none.
func TestContract_C6_OnlyAnEarlierArrivalRearms(t *testing.T) {
	ctByHand(t, timer.Options{Workers: 1}, func(t *testing.T, w *ct) {
		w.hand.TakeSets()
		for i := range 50 { // each later than the one before
			w.put(strconv.Itoa(i), schedule.After(time.Duration(i+1)*time.Hour), w.logs("x"))
		}
		ctEqual(t, "settings of the alarm", len(w.hand.TakeSets()), 1)
		for i := range 50 { // each earlier than the one before
			w.put(fmt.Sprint("early", i), schedule.After(time.Duration(50-i)*time.Minute), w.logs("x"))
		}
		ctEqual(t, "settings of the alarm", len(w.hand.TakeSets()), 50)
		for i := range 50 {
			w.Cancel(strconv.Itoa(i))
		}
		ctEqual(t, "settings for cancels", len(w.hand.TakeSets()), 0)
	})
}

// Invariant 1: what was accepted and not cancelled, replaced or expired starts, in a storm of random operations.
func TestContract_Invariant1_WhatWasAcceptedStarts(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 1))
		ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
			var mu sync.Mutex
			ran := make(map[string]int)
			want := make(map[string]int)
			live := make(map[string]bool)
			for i := range 400 {
				name := fmt.Sprint("t", rng.IntN(30))
				switch rng.IntN(8) {
				case 0:
					if w.Cancel(name) == timer.Cancelled {
						delete(live, name)
					}
				case 1:
					_ = w.Move(name, schedule.After(time.Duration(rng.IntN(5000))*time.Millisecond))
				case 2:
					_, _ = w.Pause(timer.Named(name), "")
				case 3:
					_, _ = w.Resume(timer.Named(name))
				case 4:
					w.pass(time.Duration(rng.IntN(300)) * time.Millisecond)
				default:
					mark := fmt.Sprint(name, "/", i)
					var opts []timer.Option
					if rng.IntN(2) == 0 {
						opts = append(opts, timer.Key("k", 2))
					}
					s := schedule.After(time.Duration(rng.IntN(5000)) * time.Millisecond)
					if rng.IntN(3) == 0 {
						s = schedule.At(w.wall(w.now() + time.Duration(rng.IntN(5000))*time.Millisecond))
					}
					w.put(name, s, func(context.Context) error {
						mu.Lock()
						defer mu.Unlock()
						ran[mark]++
						return nil
					}, opts...)
					live[name] = true
					want[name] = i
				}
			}
			if _, err := w.Resume(timer.AllTasks()); err != nil {
				t.Fatal(err)
			}
			w.pass(time.Minute)
			for name := range live {
				if mark := fmt.Sprint(name, "/", want[name]); ran[mark] != 1 {
					t.Errorf("seed %d: %s ran %d times", seed, mark, ran[mark])
				}
			}
			for mark, n := range ran {
				if n != 1 {
					t.Errorf("seed %d: %s ran %d times", seed, mark, n)
				}
			}
			ctEqual(t, "pending", w.Stats().Pending, 0)
		})
	}
}

// contract: A4. The delays of the library's callers, from nonsense to never.
func TestContract_A4_DelaysSaturate(t *testing.T) {
	const century = 100 * 365 * 24 * time.Hour
	for _, c := range []struct {
		d    time.Duration
		when string
	}{
		{math.MinInt64, "0s"},
		{math.MinInt64 + 1, "0s"},
		{-1, "0s"},
		{0, "0s"},
		{1, "5s"},
		{math.MaxInt64, "never"},
		{math.MaxInt64 - 1, "never"},
		{math.MaxInt64 / 2, "never"},
		{2 * century, "never"},
	} {
		for _, kind := range []string{"After", "After, tracked", "After, jitter", "AfterFunc", "Reset", "Move"} {
			t.Run(fmt.Sprintf("%s %d", kind, c.d), func(t *testing.T) {
				ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
					w.pass(time.Nanosecond) // at boot time 0 nothing could overflow
					f := func() { w.note("ran") }
					switch kind {
					case "After":
						w.put("a", schedule.After(c.d), timer.Plain(f))
					case "After, tracked":
						w.put("a", schedule.After(c.d), timer.Plain(f), timer.Track())
					case "After, jitter":
						w.put("a", schedule.After(c.d).Jitter(1), timer.Plain(f))
					case "AfterFunc":
						w.AfterFunc(c.d, f)
					case "Reset":
						w.AfterFunc(time.Hour, f).Reset(c.d)
					case "Move":
						w.put("a", schedule.After(time.Hour), timer.Plain(f))
						ctIs(t, "move", w.Move("a", schedule.After(c.d)), nil)
					}
					w.settle()
					if c.when == "0s" {
						w.want("0s ran")
						return
					}
					w.want()
					if c.when == "never" {
						w.pass(century)
						w.want()
						ctEqual(t, "pending", w.Stats().Pending, 1)
						return
					}
					w.pass(1)
					w.want("0s ran")
				})
			})
		}
	}
}

// contract: A4. A task that is due beyond the clocks' range says when, not when their range ends.
func TestContract_A4_FarInstantsAreShownAsTheyAre(t *testing.T) {
	ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
		last := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
		far := w.t0.Add(math.MaxInt64)
		for name, c := range map[string]struct {
			s    schedule.Schedule
			want time.Time
		}{
			"year 9999":      {schedule.At(last), last},
			"year 2300":      {schedule.At(time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)), time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)},
			"longest delay":  {schedule.After(math.MaxInt64), far},
			"a bit less":     {schedule.After(math.MaxInt64 - 1), far.Add(-1)},
			"146 years":      {schedule.After(1 << 62), w.t0.Add(1 << 62)},
			"longest period": {schedule.Every(math.MaxInt64), far},
			"longest pace":   {schedule.Pace(math.MaxInt64), far},
			"from 9999":      {schedule.Every(time.Hour).From(last), last},
		} {
			task := w.put(name, c.s, w.logs(name))
			ctEqual(t, name, task.Next(), c.want)
			ctEqual(t, name+" listed", task.Info().Due, c.want)
			found, ok := w.Find(name)
			ctEqual(t, name+" found", ok, true)
			ctEqual(t, name+" moved to", []any{w.Move(name, c.s), found.Next()}, []any{error(nil), c.want})
		}
		w.pass(145 * 365 * 24 * time.Hour)
		w.want()
		ctEqual(t, "pending", w.Stats().Pending, 8)
	})
}

// contract: A4. The bounds of recurring schedules at their extremes.
func TestContract_A4_BoundsAtTheirExtremes(t *testing.T) {
	year := func(y int) time.Time { return time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC) }
	every := schedule.Every(time.Minute)
	minute := []string{"1m0s ran", "2m0s ran"}
	for _, c := range []struct {
		name string
		s    schedule.Schedule
		opts []timer.Option
		ran  []string
	}{
		{"from the first year", every.From(year(1).Add(1)), nil, []string{"0s ran", "0s ran", "1m0s ran", "2m0s ran"}},
		{"from 1970", every.From(time.Unix(0, 0)), nil, append([]string{"0s ran"}, minute...)},
		{"from 9999", every.From(year(9999)), nil, nil},
		{"until the first year", every.Until(year(1).Add(1)), nil, nil},
		{"until 1970", every.Until(time.Unix(0, 0)), nil, nil},
		{"until 9999", every.Until(year(9999)), nil, minute},
		{"aligned to the first year", every.AlignTo(year(1).Add(time.Second)), nil, []string{"1s ran", "1m1s ran"}},
		{"aligned to 9999", every.AlignTo(year(9999)), nil, minute},
		{"every nanosecond less than for ever", schedule.Every(math.MaxInt64 - 1), nil, nil},
		{"jitter of for ever", schedule.Pace(time.Minute).Jitter(math.MaxInt64), nil, nil},
		{"endless times", every.Times(math.MaxInt), nil, minute},
		{"endless timeout", every, []timer.Option{timer.Timeout(math.MaxInt64)}, minute},
		{"endless window", every, []timer.Option{timer.Window(math.MaxInt64), timer.CatchUp(timer.Earliest)}, minute},
		{"endless window, all", every, []timer.Option{timer.Window(math.MaxInt64), timer.CatchUp(timer.All(10_000))}, minute},
		{"endless grace", every, []timer.Option{timer.Grace(math.MaxInt64), timer.CatchUp(timer.None)}, minute},
		{"shortest window", every, []timer.Option{timer.Window(1), timer.CatchUp(timer.Earliest)}, minute},
		{"shortest grace", every, []timer.Option{timer.Grace(1), timer.CatchUp(timer.None)}, minute},
		{"endless start deadline", schedule.After(time.Minute), []timer.Option{timer.StartWithin(math.MaxInt64)}, minute[:1]},
		{"shortest start deadline", schedule.After(time.Minute), []timer.Option{timer.StartWithin(1)}, minute[:1]},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctByHand(t, timer.Options{}, func(_ *testing.T, w *ct) {
				w.put("a", c.s, w.logs("ran"), c.opts...)
				w.pass(2*time.Minute + time.Millisecond)
				w.want(c.ran...)
			})
		})
	}
}

// contract: A4. Jitter on top of an endless window reaches no further back than the window.
func TestContract_A4_EndlessWindowWithJitter(t *testing.T) {
	for name, k := range map[string]timer.CatchUpPolicy{"earliest": timer.Earliest, "all": timer.All(10_000)} {
		t.Run(name, func(t *testing.T) {
			ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
				every := schedule.Every(time.Minute).Jitter(10 * time.Second)
				task := w.put("a", every, w.logs("ran"), timer.Window(math.MaxInt64), timer.CatchUp(k))
				first := task.Info().Due.Sub(w.t0)
				if first < time.Minute+2 || first > time.Minute+10*time.Second {
					t.Fatalf("first due after %v", first)
				}
				w.pass(3*time.Minute + 11*time.Second)
				var want []string
				for i := range 3 {
					want = append(want, fmt.Sprint((first+time.Duration(i)*time.Minute).Truncate(5*time.Millisecond), " ran"))
				}
				w.want(want...)
				ctEqual(t, "skipped", task.Info().Skipped, 0)
			})
		})
	}
}

// contract: A4. A debounce without an end of its own is a plain replacement, however far its task is.
func TestContract_A4_DebounceWaitSaturates(t *testing.T) {
	for _, wait := range []time.Duration{math.MaxInt64, math.MaxInt64 - 1} {
		ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
			debounce := timer.OnConflict(timer.Debounce(wait))
			w.put("a", schedule.After(time.Hour), w.logs("ran"), debounce)
			w.pass(time.Minute)
			task := w.put("a", schedule.After(100*365*24*time.Hour), w.logs("ran"), debounce)
			ctEqual(t, "next", task.Next(), w.wall(time.Minute+100*365*24*time.Hour))
			w.pass(50 * 365 * 24 * time.Hour)
			w.want()
		})
	}
}
