package timer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/timer"
)

// ctTells is a handler that records which occurrence it runs for, by the wall clock as it was set at first, and how many
// others were folded into it.
func (w *ct) ctTells(then func(ctx context.Context) error) timer.Handler {
	return func(ctx context.Context) error {
		a, _ := timer.TaskFrom(ctx)
		text := fmt.Sprint("for ", a.ScheduledFor.Sub(w.t0))
		if a.Missed > 0 {
			text += fmt.Sprint(" missed ", a.Missed)
		}
		w.note(text)
		if then == nil {
			return nil
		}
		return then(ctx)
	}
}

// contract: G1. The three modes, with runs of 4, 14 and 4 seconds, as the package comment of schedule draws them.
func TestContract_G1_Modes(t *testing.T) {
	for _, c := range []struct {
		s   schedule.Schedule
		ran string
	}{
		{schedule.Every(10 * time.Second), "10s 20s 40s 50s"},
		{schedule.Pace(10 * time.Second), "10s 24s 48s 58s"},
		{schedule.PaceFromStart(10 * time.Second), "10s 20s 34s 44s 54s"},
	} {
		t.Run(c.s.String(), func(t *testing.T) {
			ctBubble(t, timer.Options{}, func(t *testing.T, w *ct) {
				n := 0
				w.put("a", c.s, func(context.Context) error {
					w.note("")
					n++
					time.Sleep(map[int]time.Duration{1: 4 * time.Second, 2: 14 * time.Second}[n])
					return nil
				})
				w.pass(59 * time.Second)
				ctEqual(t, "ran", strings.Join(strings.Fields(strings.Join(w.told(), " ")), " "), c.ran)
			})
		})
	}
}

// contract: G1. The grid is anchored where the task was accepted, or at the instant asked for, and does not drift.
func TestContract_G1_TheFirstInstantAndTheGrid(t *testing.T) {
	at := ctStart.Add
	every := schedule.Every(time.Minute)
	for _, c := range []struct {
		name string
		s    schedule.Schedule
		ran  []string
	}{
		{"after one period", every, []string{"1m7s for 1m7s", "2m7s for 2m7s", "3m7s for 3m7s"}},
		{"aligned", every.AlignTo(at(0)), []string{"1m0s for 1m0s", "2m0s for 2m0s", "3m0s for 3m0s"}},
		{"aligned to the past", every.AlignTo(at(-1000*time.Hour + 30*time.Second)), []string{"30s for 30s", "1m30s for 1m30s", "2m30s for 2m30s", "3m30s for 3m30s"}},
		{"from", every.From(at(20 * time.Second)), []string{"20s for 20s", "1m20s for 1m20s", "2m20s for 2m20s", "3m20s for 3m20s"}},
		{"from the past", every.From(at(-10 * time.Minute)), []string{"7s for 0s missed 10", "1m0s for 1m0s", "2m0s for 2m0s", "3m0s for 3m0s"}},
		{"from and aligned", every.From(at(61 * time.Second)).AlignTo(at(0)), []string{"2m0s for 2m0s", "3m0s for 3m0s"}},
		{"until", every.Until(at(2 * time.Minute)), []string{"1m7s for 1m7s"}},
		{"until one of them", every.AlignTo(at(0)).Until(at(2 * time.Minute)), []string{"1m0s for 1m0s", "2m0s for 2m0s"}},
		{"times", every.Times(2), []string{"1m7s for 1m7s", "2m7s for 2m7s"}},
		{"pace from", schedule.Pace(time.Minute).From(at(20 * time.Second)), []string{"20s for 20s", "1m20s for 1m20s", "2m20s for 2m20s", "3m20s for 3m20s"}},
		{"pace", schedule.Pace(time.Minute), []string{"1m7s for 1m7s", "2m7s for 2m7s", "3m7s for 3m7s"}},
		{"pace from start", schedule.PaceFromStart(time.Minute).Times(1), []string{"1m7s for 1m7s"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctByHand(t, timer.Options{}, func(_ *testing.T, w *ct) {
				w.pass(7 * time.Second)
				w.put("a", c.s, w.ctTells(nil))
				w.pass(210*time.Second - 7*time.Second)
				w.want(c.ran...)
			})
		})
	}
	ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) { // 2,000 periods later it is in phase to the nanosecond
		var last time.Duration
		w.put("a", schedule.Every(333_333_333), timer.Plain(func() { last = w.now() }))
		w.pass(2_000 * 333_333_333)
		ctEqual(t, "last", last, 2_000*333_333_333)
	})
}

// contract: G2. What comes due during a run, drawn as time lines: period 10 s, first run from 10 to 45.
func TestContract_G2_Overlap(t *testing.T) {
	for _, c := range []struct {
		name string
		p    timer.OverlapPolicy
		ran  []string
		info string // runs, missed, skipped at 75 s
	}{
		{"skip", timer.Skip, []string{"10s for 10s", "50s for 50s", "1m0s for 1m0s", "1m10s for 1m10s"}, "4 0 3"},
		{"buffer one", timer.BufferOne, []string{"10s for 10s", "45s for 40s missed 2", "50s for 50s", "1m0s for 1m0s", "1m10s for 1m10s"}, "5 2 0"},
		{"buffer all", timer.BufferAll(9), []string{"10s for 10s", "45s for 20s", "45s for 30s", "45s for 40s", "50s for 50s", "1m0s for 1m0s", "1m10s for 1m10s"}, "7 0 0"},
		{"buffer two", timer.BufferAll(2), []string{"10s for 10s", "45s for 30s", "45s for 40s", "50s for 50s", "1m0s for 1m0s", "1m10s for 1m10s"}, "6 0 1"},
		{"allow", timer.Allow, []string{"10s for 10s", "20s for 20s", "30s for 30s", "40s for 40s", "50s for 50s", "1m0s for 1m0s", "1m10s for 1m10s"}, "7 0 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctBubble(t, timer.Options{}, func(t *testing.T, w *ct) {
				var runs atomic.Int32
				task := w.put("a", schedule.Every(10*time.Second), w.ctTells(func(context.Context) error {
					if runs.Add(1) == 1 {
						time.Sleep(35 * time.Second)
					}
					return nil
				}), timer.Overlap(c.p))
				w.pass(75 * time.Second)
				w.want(c.ran...)
				i := task.Info()
				ctEqual(t, "runs, missed, skipped", fmt.Sprint(i.Runs, i.Missed, i.Skipped), c.info)
			})
		})
	}
}

// contract: G2. CancelOther asks the run under way to stop and starts when it has ended.
func TestContract_G2_CancelOther(t *testing.T) {
	ctBubble(t, timer.Options{}, func(_ *testing.T, w *ct) {
		w.put("a", schedule.Every(10*time.Second).Times(3), w.ctTells(func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				if errors.Is(context.Cause(ctx), timer.ErrOverlapped) {
					w.note("asked")
				}
				time.Sleep(3 * time.Second) // it takes its time
			case <-time.After(time.Minute):
			}
			return nil
		}), timer.Overlap(timer.CancelOther))
		w.pass(5 * time.Minute)
		w.want("10s for 10s", "20s asked", "23s for 20s", "30s asked", "33s for 30s")
	})
	ctBubble(t, timer.Options{}, func(t *testing.T, w *ct) { // a run that ignores it is waited for, and overlaps nothing
		task := w.put("a", schedule.Every(10*time.Second), w.takes("ran", 25*time.Second), timer.Overlap(timer.CancelOther))
		w.pass(99 * time.Second)
		for i, line := range w.told() {
			at, _, _ := strings.Cut(line, " ")
			ctEqual(t, "start", at, (10*time.Second + time.Duration(i)*25*time.Second).String())
		}
		ctEqual(t, "at a time", task.Info().Running, 1)
	})
}

// contract: G2. Overlap speaks of occurrences on a grid; what rests between runs cannot overlap.
func TestContract_G2_PacesNeverOverlap(t *testing.T) {
	for _, p := range []timer.OverlapPolicy{timer.Skip, timer.BufferOne, timer.BufferAll(3), timer.CancelOther} {
		for s, ran := range map[schedule.Kind]string{
			schedule.KindPace: "10s a, 35s a, 1m0s a", schedule.KindPaceFromStart: "10s a, 25s a, 40s a, 55s a, 1m10s a",
		} {
			ctBubble(t, timer.Options{}, func(t *testing.T, w *ct) {
				pace := schedule.Pace(10 * time.Second)
				if s == schedule.KindPaceFromStart {
					pace = schedule.PaceFromStart(10 * time.Second)
				}
				var asked atomic.Bool
				w.put("a", pace, func(ctx context.Context) error {
					w.note("a")
					time.Sleep(15 * time.Second)
					asked.Store(asked.Load() || ctx.Err() != nil)
					return nil
				}, timer.Overlap(p))
				w.pass(75 * time.Second)
				ctEqual(t, fmt.Sprint(s, " ", p), strings.Join(w.told(), ", "), ran)
				ctEqual(t, "asked to stop", asked.Load(), p == timer.CancelOther && s == schedule.KindPaceFromStart)
			})
		}
	}
}

// contract: G3. What was missed in a suspend of 47 s that begins at 10 s, after the first run; period 10 s.
func TestContract_G3_CatchUp(t *testing.T) {
	for _, c := range []struct {
		name string
		opts []timer.Option
		ran  []string
		info string // runs, missed, skipped at 75 s
	}{
		{"default", nil, []string{"57s for 50s missed 3"}, "4 3 0"},
		{"latest", []timer.Option{timer.CatchUp(timer.Latest)}, []string{"57s for 50s missed 3"}, "4 3 0"},
		{"earliest", []timer.Option{timer.CatchUp(timer.Earliest)}, []string{"57s for 20s missed 3"}, "4 3 0"},
		{"earliest within 20 s", []timer.Option{timer.CatchUp(timer.Earliest), timer.Window(20 * time.Second)}, []string{"57s for 40s missed 1"}, "4 1 2"},
		{"earliest within 27 s", []timer.Option{timer.CatchUp(timer.Earliest), timer.Window(27 * time.Second)}, []string{"57s for 30s missed 2"}, "4 2 1"},
		{"latest within 5 s", []timer.Option{timer.Window(5 * time.Second)}, nil, "3 0 4"},
		{"latest within 7 s", []timer.Option{timer.Window(7 * time.Second)}, []string{"57s for 50s missed 3"}, "4 3 0"},
		{"all", []timer.Option{timer.CatchUp(timer.All(9))}, []string{"57s for 20s", "57s for 30s", "57s for 40s", "57s for 50s"}, "7 0 0"},
		{"all of three", []timer.Option{timer.CatchUp(timer.All(3))}, []string{"57s for 30s missed 1", "57s for 40s", "57s for 50s"}, "6 1 0"},
		{"all of one", []timer.Option{timer.CatchUp(timer.All(1))}, []string{"57s for 50s missed 3"}, "4 3 0"},
		{"all within 20 s", []timer.Option{timer.CatchUp(timer.All(9)), timer.Window(20 * time.Second)}, []string{"57s for 40s", "57s for 50s"}, "5 0 2"},
		{"none", []timer.Option{timer.CatchUp(timer.None)}, []string{"57s for 50s"}, "4 0 3"},
		{"none, grace 5 s", []timer.Option{timer.CatchUp(timer.None), timer.Grace(5 * time.Second)}, nil, "3 0 4"},
		{"none, grace 7 s", []timer.Option{timer.CatchUp(timer.None), timer.Grace(7 * time.Second)}, []string{"57s for 50s"}, "4 0 3"},
	} {
		for _, kind := range []string{"delay", "instant"} {
			t.Run(c.name+", "+kind, func(t *testing.T) {
				ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
					s := schedule.Every(10 * time.Second)
					if kind == "instant" {
						s = s.AlignTo(w.t0)
					}
					task := w.put("a", s, w.ctTells(nil), c.opts...)
					w.pass(10 * time.Second)
					w.suspend(47 * time.Second)
					w.pass(18 * time.Second)
					w.want(slices.Concat([]string{"10s for 10s"}, c.ran, []string{"1m0s for 1m0s", "1m10s for 1m10s"})...)
					i := task.Info()
					ctEqual(t, "runs, missed, skipped", fmt.Sprint(i.Runs, i.Missed, i.Skipped), c.info)
				})
			})
		}
	}
}

// contract: G3. Of schedules whose occurrences are counted no further than to some ten thousand, more may be too old to be caught up:
// those within the window are caught up all the same.
func TestContract_G3_MoreTooOldThanAreCounted(t *testing.T) {
	for name, c := range map[string]struct {
		k   timer.CatchUpPolicy
		ran []string
	}{
		"earliest": {timer.Earliest, []string{"6h0m0.5s for 5h59m56s missed 4", "6h0m1s for 6h0m1s"}},
		"all":      {timer.All(3), []string{"6h0m0.5s for 5h59m58s missed 2", "6h0m0.5s for 5h59m59s", "6h0m0.5s for 6h0m0s", "6h0m1s for 6h0m1s"}},
	} {
		t.Run(name, func(t *testing.T) {
			ctByHand(t, timer.Options{}, func(_ *testing.T, w *ct) {
				s := schedule.Union(schedule.Every(time.Second).From(ctStart.Add(time.Second)))
				w.put("a", s, w.ctTells(nil), timer.CatchUp(c.k), timer.Window(5*time.Second))
				w.suspend(6*time.Hour + 500*time.Millisecond)
				w.pass(600 * time.Millisecond)
				w.want(c.ran...)
			})
		})
	}
}

// contract: G3. The default window is one period, but at least a minute and at most a day.
func TestContract_G3_TheDefaultWindow(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		period, late time.Duration
		ran          bool
	}{
		{time.Second, 500 * time.Millisecond, true},
		{time.Hour, time.Hour - 1, true},
		{10 * day, day, true},
		{10 * day, day + 1, false},
		{time.Minute, time.Minute - 1, true},
	} {
		ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
			w.put("a", schedule.Every(c.period).Times(1), w.logs("a"))
			w.suspend(c.period + c.late)
			ctEqual(t, fmt.Sprint(c.period, " ", c.late), len(w.told()) == 1, c.ran)
		})
	}
	ctByHand(t, timer.Options{}, func(_ *testing.T, w *ct) { // a minute back, though the period is 20 s
		w.put("a", schedule.Every(20*time.Second).Times(1), w.ctTells(nil), timer.CatchUp(timer.Earliest))
		w.suspend(10 * time.Minute)
		w.want("10m0s for 9m0s missed 3")
	})
}

// contract: G3. The cost does not grow with the number missed: 10 years of a microsecond's grid.
func TestContract_G3_CatchUpCostsTheSame(t *testing.T) {
	const years = 10 * 365 * 24 * time.Hour
	for _, p := range []timer.CatchUpPolicy{timer.Latest, timer.Earliest, timer.All(3), timer.None} {
		ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
			task := w.put("a", schedule.Every(time.Microsecond), w.logs("a"), timer.CatchUp(p), timer.Overlap(timer.BufferOne))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			w.suspend(years)
			_, err := w.Pause(timer.AllTasks(), "seen enough")
			runtime.ReadMemStats(&after)
			ctIs(t, "pause", err, nil)
			i := task.Info()
			if n := i.Runs + i.Missed + i.Skipped; n < int64(years/time.Microsecond) {
				t.Errorf("policy %d: %d occurrences are accounted for, want %d", p, n, years/time.Microsecond)
			}
			if i.Runs == 0 || i.Runs > 5 || after.Mallocs-before.Mallocs > 5000 {
				t.Errorf("policy %d: %d runs, %d allocations", p, i.Runs, after.Mallocs-before.Mallocs)
			}
		})
	}
}

// contract: G4.
func TestContract_G4_OneOffsHaveNoWindow(t *testing.T) {
	for _, c := range []struct {
		name  string
		opts  []timer.Option
		late  time.Duration
		state timer.State
	}{
		{"years late", []timer.Option{timer.Track()}, 5 * 365 * 24 * time.Hour, timer.StateDone},
		{"window is for those that recur", []timer.Option{timer.Window(time.Second)}, time.Hour, timer.StateDone},
		{"in time", []timer.Option{timer.StartWithin(time.Hour)}, time.Hour, timer.StateDone},
		{"too late", []timer.Option{timer.StartWithin(time.Hour)}, time.Hour + 1, timer.StateExpired},
	} {
		for kind, s := range map[string]schedule.Schedule{
			"delay": schedule.After(time.Second), "instant": schedule.At(ctStart.Add(time.Second)),
		} {
			t.Run(c.name+", "+kind, func(t *testing.T) {
				ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
					task := w.put("a", s, w.logs("ran"), c.opts...)
					w.suspend(time.Second + c.late)
					ctEqual(t, "state", task.State(), c.state)
					ctEqual(t, "runs", int64(len(w.told())), task.Runs())
					ctEqual(t, "waits no more", task.Wait(t.Context()), error(nil))
				})
			})
		}
	}
}

// contract: G5. What falls while a task is paused is skipped, unless asked for; a one-off runs late.
func TestContract_G5_PausedOccurrences(t *testing.T) {
	for _, c := range []struct {
		name string
		s    schedule.Schedule
		opts []timer.Option
		ran  []string
	}{
		{"every", schedule.Every(10 * time.Second), nil, []string{"10s for 10s", "50s for 50s", "1m0s for 1m0s"}},
		{"aligned", schedule.Every(10 * time.Second).AlignTo(ctStart), nil, []string{"10s for 10s", "50s for 50s", "1m0s for 1m0s"}},
		{"resume missed", schedule.Every(10 * time.Second), []timer.Option{timer.ResumeMissed()}, []string{"10s for 10s", "45s for 40s missed 2", "50s for 50s", "1m0s for 1m0s"}},
		{"resume all", schedule.Every(10 * time.Second), []timer.Option{timer.ResumeMissed(), timer.CatchUp(timer.All(2))}, []string{"10s for 10s", "45s for 30s missed 1", "45s for 40s", "50s for 50s", "1m0s for 1m0s"}},
		{"pace", schedule.Pace(10 * time.Second), nil, []string{"10s for 10s", "55s for 55s"}},
		{"one-off", schedule.After(20 * time.Second), nil, []string{"45s for 20s"}},
		{"one-off ahead", schedule.After(60 * time.Second), nil, []string{"1m0s for 1m0s"}},
		{"until in the pause", schedule.Every(10 * time.Second).Until(ctStart.Add(30 * time.Second)), nil, []string{"10s for 10s"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
				task := w.put("a", c.s, w.ctTells(nil), c.opts...)
				w.pass(15 * time.Second)
				n, err := w.Pause(timer.Named("a"), "lunch")
				ctIs(t, "pause", err, nil)
				ctEqual(t, "paused", n, 1)
				ctEqual(t, "reason", task.Info().Reason, "lunch")
				w.pass(30 * time.Second)
				n, err = w.Resume(timer.Named("a"))
				ctIs(t, "resume", err, nil)
				ctEqual(t, "resumed", n, 1)
				w.pass(16 * time.Second)
				w.want(c.ran...)
			})
		})
	}
}

// contract: G5. What comes due during a run and a pause at once was missed by the pause: it is caught up if that is asked
// for, else skipped.
func TestContract_G5_PausedDuringARun(t *testing.T) {
	for _, c := range []struct {
		name string
		opts []timer.Option
		ran  []string
	}{
		{"default", nil, []string{"10s for 10s", "1m0s for 1m0s"}},
		{"buffer", []timer.Option{timer.Overlap(timer.BufferAll(9))}, []string{"10s for 10s", "1m0s for 1m0s"}},
		{"resume missed", []timer.Option{timer.ResumeMissed()}, []string{"10s for 10s", "55s for 50s missed 3", "1m0s for 1m0s"}},
		{"resume missed, buffer", []timer.Option{timer.ResumeMissed(), timer.Overlap(timer.BufferOne)}, []string{"10s for 10s", "55s for 50s missed 3", "1m0s for 1m0s"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctBubble(t, timer.Options{}, func(t *testing.T, w *ct) {
				n := 0
				w.put("a", schedule.Every(10*time.Second), w.ctTells(func(context.Context) error {
					if n++; n == 1 {
						time.Sleep(35 * time.Second)
					}
					return nil
				}), c.opts...)
				w.pass(15 * time.Second)
				_, err := w.Pause(timer.AllTasks(), "")
				ctIs(t, "pause", err, nil)
				w.pass(40 * time.Second)
				_, err = w.Resume(timer.AllTasks())
				ctIs(t, "resume", err, nil)
				w.pass(9 * time.Second)
				w.want(c.ran...)
			})
		})
	}
}

// contract: G5. Times counts starts: those of RunNow too, and not what was skipped.
func TestContract_G5_TimesCountsStarts(t *testing.T) {
	ctBubble(t, timer.Options{}, func(t *testing.T, w *ct) {
		task := w.put("a", schedule.Every(10*time.Second).Times(4), w.takes("a", 12*time.Second))
		w.pass(35 * time.Second) // from 10 to 22, from 30 to 42
		_, err := w.Pause(timer.AllTasks(), "")
		ctIs(t, "pause", err, nil)
		w.pass(30 * time.Second)
		_, err = w.RunNow(timer.Named("a"), "test")
		ctIs(t, "run now", err, nil)
		w.pass(20 * time.Second)
		_, err = w.Resume(timer.AllTasks())
		ctIs(t, "resume", err, nil)
		w.pass(time.Hour)
		w.want("10s a", "30s a", "1m5s a", "1m30s a")
		ctEqual(t, "state", task.State(), timer.StateDone)
		ctEqual(t, "runs", task.Runs(), 4)
	})
}

// Invariant 6: each nominal instant ran, was skipped, or was folded into another: exactly one of them. Random passing,
// suspends, pauses and long runs, under all policies.
func TestContract_Invariant6_EveryOccurrenceIsAccountedFor(t *testing.T) {
	overlaps := []timer.OverlapPolicy{timer.Skip, timer.BufferOne, timer.BufferAll(3), timer.CancelOther, timer.Allow}
	catchUps := []timer.CatchUpPolicy{timer.Latest, timer.Earliest, timer.None, timer.All(3)}
	for seed := range uint64(120) {
		rng := rand.New(rand.NewPCG(seed, 6))
		overlap, catchUp := overlaps[seed%5], catchUps[seed/5%4]
		ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
			const period = 100 * time.Millisecond
			s := schedule.Every(period)
			opts := []timer.Option{timer.Overlap(overlap), timer.CatchUp(catchUp)}
			if rng.IntN(2) == 0 {
				s = s.AlignTo(w.t0)
			}
			if rng.IntN(2) == 0 {
				opts = append(opts, timer.Window(2*period+period/2), timer.Grace(period/2))
			}
			if rng.IntN(2) == 0 {
				opts = append(opts, timer.ResumeMissed())
			}
			var mu sync.Mutex
			gate := make(chan struct{})
			close(gate)
			open := true
			seen := make(map[time.Time]bool)
			task := w.put("a", s, func(ctx context.Context) error {
				a, _ := timer.TaskFrom(ctx)
				mu.Lock()
				if seen[a.ScheduledFor] {
					t.Errorf("seed %d: %v ran twice", seed, a.ScheduledFor)
				}
				seen[a.ScheduledFor] = true
				g := gate
				mu.Unlock()
				<-g
				return nil
			}, opts...)
			toggle := func() {
				mu.Lock()
				defer mu.Unlock()
				if open = !open; open {
					close(gate)
				} else {
					gate = make(chan struct{})
				}
			}
			for range 60 {
				switch rng.IntN(6) {
				case 0:
					w.suspend(time.Duration(rng.IntN(9)) * period / 2)
				case 1:
					toggle()
				case 2:
					_, _ = w.Pause(timer.AllTasks(), "")
				case 3:
					_, _ = w.Resume(timer.AllTasks())
				default:
					w.pass(time.Duration(rng.IntN(5)) * period / 2)
				}
			}
			if !open {
				toggle()
			}
			_, _ = w.Resume(timer.AllTasks())
			w.pass(period + period/4) // so that there is a run for what was folded into the next one
			i := task.Info()
			if got, want := i.Runs+i.Missed+i.Skipped, int64(w.now()/period); got != want {
				t.Errorf("seed %d, overlap %d, catch-up %d: %d ran + %d folded + %d skipped = %d, want %d",
					seed, overlap, catchUp, i.Runs, i.Missed, i.Skipped, got, want)
			}
		})
	}
}

// contract: F3. Neither errors nor panics nor Goexit end a schedule or the engine, and all are told of with their stack.
func TestContract_F3_FailuresAreReportedAndEndNothing(t *testing.T) {
	boom := errors.New("boom")
	fails := []func() error{
		func() error { return boom },
		func() error { panic("paniced") },
		func() error { panic(boom) },
		func() error { panic(nil) }, //nolint:govet // what users do
		func() error { runtime.Goexit(); return nil },
		func() error { var m map[string]int; m["x"] = 1; return nil }, //nolint:govet,staticcheck // what users do
		func() error { return nil },
	}
	var mu sync.Mutex
	var panics []timer.Panic
	var failed []error
	o := timer.Options{
		Name: "e", OnPanic: func(p timer.Panic) { mu.Lock(); panics = append(panics, p); mu.Unlock() },
		Hooks: timer.Hooks{Failed: func(ev timer.Event) { mu.Lock(); failed = append(failed, ev.Err); mu.Unlock() }},
	}
	ctByHand(t, o, func(t *testing.T, w *ct) {
		n := 0
		task := w.put("a", schedule.Every(time.Second).Times(len(fails)), func(context.Context) error {
			n++
			w.note("ran")
			return fails[n-1]()
		})
		w.pass(time.Minute)
		w.want("1s ran", "2s ran", "3s ran", "4s ran", "5s ran", "6s ran", "7s ran")
		ctEqual(t, "state", task.State(), timer.StateDone)
		ctEqual(t, "last error", task.Err(), error(nil))
		s := w.Stats()
		ctEqual(t, "failed, panics", []uint64{s.Failed, s.Panics}, []uint64{6, 5})
		ctEqual(t, "hooks", len(failed), 6)
		var goexits int
		for i, p := range panics {
			if p.Goexit {
				goexits++
			}
			if p.Engine != "e" || p.Task != "a" || !strings.Contains(string(p.Stack), "contract_recur_test.go") {
				t.Errorf("panic %d is told of as %q, %q, %s", i, p.Engine, p.Task, p.Stack)
			}
		}
		ctEqual(t, "told", []int{len(panics), goexits}, []int{5, 1})
		var pe *timer.PanicError
		ctEqual(t, "a panic with an error is that error", errors.As(failed[2], &pe) && errors.Is(failed[2], boom), true)
		ctEqual(t, "Goexit", errors.Is(failed[4], timer.ErrGoexit), true)
	})
}

// contract: F3. A handler of panics that panics itself ends nothing; an unnamed timer's panic is told of as well.
func TestContract_F3_OnPanicMayPanic(t *testing.T) {
	o := timer.Options{OnPanic: func(timer.Panic) { panic("again") }}
	ctByHand(t, o, func(t *testing.T, w *ct) {
		w.AfterFunc(time.Second, func() { panic("x") })
		w.AfterFunc(2*time.Second, func() { runtime.Goexit() })
		w.put("a", schedule.After(3*time.Second), func(context.Context) error { panic("x") })
		w.put("b", schedule.After(4*time.Second), w.logs("b"))
		w.pass(time.Minute)
		w.want("4s b")
		ctEqual(t, "panics", w.Stats().Panics, 3)
	})
}

// contract: F3. OnError: Stop ends the schedule as dead, which blocks nothing.
func TestContract_F3_OnErrorStop(t *testing.T) {
	for name, fail := range map[string]func() error{
		"error": func() error { return errors.New("no") }, "panic": func() error { panic("no") },
		"goexit": func() error { runtime.Goexit(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
				n := 0
				task := w.put("a", schedule.Every(time.Second), func(context.Context) error {
					w.note("ran")
					if n++; n == 2 {
						return fail()
					}
					return nil
				}, timer.OnError(timer.Stop))
				w.pass(time.Minute)
				w.want("1s ran", "2s ran")
				ctEqual(t, "state", task.State(), timer.StateDead)
				if task.Err() == nil {
					t.Error("the error is not kept")
				}
				w.put("a", schedule.After(time.Second), w.logs("next"))
				w.pass(time.Minute)
				w.want("1m1s next")
			})
		})
	}
}

// contract: F3. A one-off that fails is dead, its error is kept, and RunNow of a dead name finds nothing.
func TestContract_F3_DeadIsKept(t *testing.T) {
	boom := errors.New("boom")
	ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
		task := w.put("a", schedule.After(0), func(context.Context) error { return boom }, timer.Track())
		w.pass(time.Second)
		if diff := cmp.Diff([]any{timer.StateDead, true, int64(1)}, []any{task.State(), errors.Is(task.Err(), boom), task.Runs()}); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		_, err := w.RunNow(timer.Named("a"), "")
		ctIs(t, "run now", err, timer.ErrUnknown)
	})
}
