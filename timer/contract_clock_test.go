package timer_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/timer"
)

// ctClockEvents are what can happen to the clocks 5 s into a wait, and by how much an instant of the wall clock then comes
// later in time that passes. A suspend is time that passes.
var ctClockEvents = []struct {
	name   string
	happen func(w *ct)
	shift  time.Duration // of instants, in boot time
}{
	{"nothing", func(*ct) {}, 0},
	{"forward", func(w *ct) { w.step(3 * time.Second) }, -3 * time.Second},
	{"back", func(w *ct) { w.step(-time.Hour) }, time.Hour},
	{"back before 1970", func(w *ct) { w.step(-60 * 365 * 24 * time.Hour) }, 60 * 365 * 24 * time.Hour},
	{"forward and back", func(w *ct) { w.step(3 * time.Second); w.step(-3 * time.Second) }, 0},
	{"back and forward", func(w *ct) { w.step(-time.Hour); w.step(time.Hour) }, 0},
	{"back and further forward", func(w *ct) { w.step(-time.Hour); w.step(time.Hour + time.Second) }, -time.Second},
	{"slewed forward", func(w *ct) {
		for range 1000 { // 500 ppm for an instant each
			w.hand.Step(time.Millisecond)
		}
		w.settle()
	}, -time.Second},
	{"slewed back", func(w *ct) {
		for range 1000 {
			w.hand.Step(-time.Millisecond)
		}
		w.settle()
	}, time.Second},
}

// contract: H2. Delays are monotonic, instants follow the wall clock: in all the ways a task can be given them.
func TestContract_H2_DelaysAndInstants(t *testing.T) {
	const due = 20 * time.Second
	for _, ev := range ctClockEvents {
		for _, c := range []struct {
			name    string
			instant bool
			start   func(w *ct)
		}{
			{"timer", false, func(w *ct) { w.AfterFunc(due, func() { w.note("ran") }) }},
			{"timer that was reset", false, func(w *ct) { w.AfterFunc(time.Second, func() { w.note("ran") }).Reset(due) }},
			{"after", false, func(w *ct) { w.put("a", schedule.After(due), w.logs("ran")) }},
			{"after, tracked", false, func(w *ct) { w.put("a", schedule.After(due), w.logs("ran"), timer.Track()) }},
			{"at", true, func(w *ct) { w.put("a", schedule.At(w.wall(due)), w.logs("ran")) }},
			{"at, tracked", true, func(w *ct) { w.put("a", schedule.At(w.wall(due)), w.logs("ran"), timer.Track()) }},
			{"moved to a delay", false, func(w *ct) {
				w.put("a", schedule.At(w.wall(time.Second)), w.logs("ran"))
				_ = w.Move("a", schedule.After(due))
			}},
			{"moved to an instant", true, func(w *ct) {
				w.put("a", schedule.After(time.Second), w.logs("ran"))
				_ = w.Move("a", schedule.At(w.wall(due)))
			}},
			{"every", false, func(w *ct) { w.put("a", schedule.Every(due).Times(1), w.logs("ran")) }},
			{"pace", false, func(w *ct) { w.put("a", schedule.Pace(due).Times(1), w.logs("ran")) }},
			{"pace from start", false, func(w *ct) { w.put("a", schedule.PaceFromStart(due).Times(1), w.logs("ran")) }},
			{"every, aligned", true, func(w *ct) { w.put("a", schedule.Every(due).AlignTo(w.t0).Times(1), w.logs("ran")) }},
			{"every, from", true, func(w *ct) { w.put("a", schedule.Every(time.Hour).From(w.wall(due)).Times(1), w.logs("ran")) }},
			{"pace, from", true, func(w *ct) { w.put("a", schedule.Pace(time.Hour).From(w.wall(due)).Times(1), w.logs("ran")) }},
			{"paused", true, func(w *ct) {
				w.put("a", schedule.At(w.wall(due)), w.logs("ran"))
				_, _ = w.Pause(timer.Named("a"), "")
				_, _ = w.Resume(timer.Named("a"))
			}},
		} {
			t.Run(c.name+"/"+ev.name, func(t *testing.T) {
				ctByHand(t, timer.Options{}, func(_ *testing.T, w *ct) {
					c.start(w)
					w.pass(5 * time.Second)
					ev.happen(w)
					at := due
					if c.instant {
						at += ev.shift
					}
					w.pass(at - 5*time.Second - time.Millisecond)
					w.want()
					w.pass(2 * time.Millisecond)
					w.want(fmt.Sprint(at, " ran"))
					w.pass(100 * 365 * 24 * time.Hour)
					w.want()
				})
			})
		}
	}
}

// contract: H2. Suspended time counts: what came due meanwhile runs on waking up, once.
func TestContract_H2_SuspendCounts(t *testing.T) {
	ctByHand(t, timer.Options{Workers: 1}, func(_ *testing.T, w *ct) {
		w.put("delay", schedule.After(20*time.Second), w.logs("delay"))
		w.put("instant", schedule.At(w.wall(21*time.Second)), w.logs("instant"))
		w.put("every", schedule.Every(22*time.Second).Times(1), w.logs("every"))
		w.put("later", schedule.After(time.Hour+time.Second), w.logs("later"))
		w.suspend(time.Hour)
		w.want("1h0m0s delay", "1h0m0s instant", "1h0m0s every")
		w.pass(time.Minute)
		w.want("1h0m1s later")
	})
}

// contract: H2. A suspend during which the wall clock is set as well.
func TestContract_H2_SuspendAndStep(t *testing.T) {
	ctByHand(t, timer.Options{}, func(_ *testing.T, w *ct) {
		w.put("delay", schedule.After(20*time.Second), w.logs("delay"))
		w.put("instant", schedule.At(w.wall(40*time.Second)), w.logs("instant"))
		w.settle()
		w.hand.Suspend(30 * time.Second)
		w.hand.Step(-25 * time.Second)
		w.settle()
		w.want("30s delay")
		w.pass(35*time.Second - time.Millisecond)
		w.want()
		w.pass(time.Millisecond)
		w.want("1m5s instant")
	})
}

// contract: H3. Invariant 9. Steps back across an occurrence: never twice, and none is lost. The grid's instants are those
// of the wall clock.
func TestContract_H3_BackAcrossOccurrences(t *testing.T) {
	for _, c := range []struct {
		name string
		opts []timer.Option
	}{
		{"latest", nil},
		{"earliest", []timer.Option{timer.CatchUp(timer.Earliest)}},
		{"all", []timer.Option{timer.CatchUp(timer.All(5))}},
		{"none", []timer.Option{timer.CatchUp(timer.None)}},
		{"allow", []timer.Option{timer.Overlap(timer.Allow)}},
		{"buffer", []timer.Option{timer.Overlap(timer.BufferAll(3))}},
		{"cancel other", []timer.Option{timer.Overlap(timer.CancelOther)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctByHand(t, timer.Options{}, func(_ *testing.T, w *ct) {
				w.put("a", schedule.Every(10*time.Second).AlignTo(w.t0), w.ctTells(nil), c.opts...)
				w.pass(25 * time.Second)
				w.want("10s for 10s", "20s for 20s")
				w.step(-18 * time.Second) // the wall clock shows 7 s
				w.pass(22*time.Second + 5*time.Millisecond)
				w.want() // 10 and 20 have been
				w.pass(time.Second)
				w.want("48s for 30s")
				w.step(-time.Hour)
				w.step(time.Hour)
				w.pass(10 * time.Second)
				w.want("58s for 40s")
			})
		})
	}
}

// contract: H3. A step forward makes what was passed late, and the policies for that decide, as after a suspend.
func TestContract_H3_ForwardIsLate(t *testing.T) {
	for _, c := range []struct {
		name string
		opts []timer.Option
		ran  []string
	}{
		{"latest", nil, []string{"12s for 50s missed 3"}},
		{"earliest", []timer.Option{timer.CatchUp(timer.Earliest)}, []string{"12s for 20s missed 3"}},
		{"all", []timer.Option{timer.CatchUp(timer.All(2))}, []string{"12s for 40s missed 2", "12s for 50s"}},
		{"none", []timer.Option{timer.CatchUp(timer.None), timer.Grace(time.Second)}, nil},
		{"beyond the window", []timer.Option{timer.Window(time.Second)}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctByHand(t, timer.Options{}, func(_ *testing.T, w *ct) {
				w.put("a", schedule.Every(10*time.Second).AlignTo(w.t0), w.ctTells(nil), c.opts...)
				w.pass(12 * time.Second)
				w.want("10s for 10s")
				w.step(43 * time.Second) // 12 s become 55 s
				w.want(c.ran...)
				w.pass(5 * time.Second)
				w.want("17s for 1m0s")
			})
		})
	}
	ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) { // one-offs: late, or expired
		w.put("late", schedule.At(w.wall(time.Minute)), w.logs("late"))
		expires := w.put("expires", schedule.At(w.wall(time.Minute)), w.logs("expires"), timer.StartWithin(time.Minute))
		w.step(time.Hour)
		w.want("0s late")
		ctEqual(t, "state", expires.State(), timer.StateExpired)
	})
}

// contract: H3. A step forward over occurrences and back again: they have been decided about.
func TestContract_H3_ForwardAndBackNeverRepeats(t *testing.T) {
	ctByHand(t, timer.Options{}, func(_ *testing.T, w *ct) {
		w.put("a", schedule.Every(10*time.Second).AlignTo(w.t0), w.ctTells(nil))
		w.put("once", schedule.At(w.wall(30*time.Second)), w.logs("once"))
		w.pass(5 * time.Second)
		w.step(40 * time.Second)
		got := w.told()
		slices.Sort(got)
		ctEqual(w.t, "ran", got, []string{"5s for 40s missed 3", "5s once"})
		w.step(-40 * time.Second)
		w.pass(44 * time.Second) // to 49 s
		w.want()
		w.pass(time.Second)
		w.want("50s for 50s")
	})
}

// contract: H3. The clock is set back while tasks wait in the ready queue: those that are not due any more wait again,
// and delays do not.
func TestContract_H3_StepWhileInTheReadyQueue(t *testing.T) {
	ctByHand(t, timer.Options{Workers: 1}, func(_ *testing.T, w *ct) {
		gate := make(chan struct{})
		w.put("blocker", schedule.After(0), w.waits("blocker", gate))
		w.pass(time.Second)
		w.put("at", schedule.At(w.wall(10*time.Second)), w.logs("at"))
		w.put("at, tracked", schedule.At(w.wall(11*time.Second)), w.logs("at, tracked"), timer.Track())
		w.put("aligned", schedule.Every(12*time.Second).AlignTo(w.t0).Times(1), w.ctTells(nil))
		w.put("after", schedule.After(12*time.Second), w.logs("after"))
		w.put("every", schedule.Every(13*time.Second).Times(1), w.logs("every"))
		w.pass(19 * time.Second) // all of them are in the queue
		w.want("0s blocker")
		w.step(-15 * time.Second) // the wall clock shows 5 s
		close(gate)
		w.settle()
		w.want("20s after", "20s every")
		w.pass(time.Minute)
		w.want("25s at", "26s at, tracked", "27s for 12s")
	})
}

// contract: H3. The same for those that wait for a key, or for the end of their own name's run.
func TestContract_H3_StepWhileWaitingForAKeyOrARun(t *testing.T) {
	ctByHand(t, timer.Options{}, func(_ *testing.T, w *ct) {
		gate := make(chan struct{})
		w.put("blocker", schedule.After(0), w.waits("blocker", gate), timer.Key("k", 1))
		w.settle()
		w.put("keyed", schedule.At(w.wall(10*time.Second)), w.logs("keyed"), timer.Key("k", 1))
		w.put("free", schedule.After(10*time.Second), w.logs("free"), timer.Key("k", 1))
		w.put("blocker", schedule.At(w.wall(12*time.Second)), w.logs("held"))
		w.pass(20 * time.Second)
		w.step(-15 * time.Second)
		close(gate)
		w.settle()
		w.want("0s blocker", "20s free")
		w.pass(time.Minute)
		w.want("25s keyed", "27s held")
	})
}

// contract: H3. A step forward while tasks wait in the ready queue: occurrences that it passes are folded in.
func TestContract_H3_ForwardWhileInTheReadyQueue(t *testing.T) {
	ctByHand(t, timer.Options{Workers: 1}, func(_ *testing.T, w *ct) {
		gate := make(chan struct{})
		w.put("blocker", schedule.After(0), w.waits("blocker", gate))
		w.put("a", schedule.Every(10*time.Second).AlignTo(w.t0), w.ctTells(nil))
		w.pass(15 * time.Second)
		w.step(20 * time.Second) // 35 s
		close(gate)
		w.settle()
		w.want("0s blocker", "15s for 30s missed 2")
		w.pass(5 * time.Second)
		w.want("20s for 40s")
	})
}

// contract: H3. Pause and resume with steps between them.
func TestContract_H3_PauseAcrossSteps(t *testing.T) {
	for _, c := range []struct {
		name string
		s    func(w *ct) schedule.Schedule
		step time.Duration
		ran  []string
	}{
		{"forward, aligned", ctAligned, 30 * time.Second, []string{"10s for 10s", "20s for 50s"}},
		{"back, aligned", ctAligned, -15 * time.Second, []string{"10s for 10s", "35s for 20s", "45s for 30s"}},
		{"forward, relative", ctRelative, 30 * time.Second, []string{"10s for 10s", "20s for 50s", "30s for 1m0s", "40s for 1m10s"}},
		{"back, relative", ctRelative, -15 * time.Second, []string{"10s for 10s", "20s for 5s", "30s for 15s", "40s for 25s"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
				w.put("a", c.s(w), w.ctTells(nil))
				w.pass(15 * time.Second)
				_, err := w.Pause(timer.Named("a"), "")
				ctIs(t, "pause", err, nil)
				w.step(c.step)
				_, err = w.Resume(timer.Named("a"))
				ctIs(t, "resume", err, nil)
				w.pass(5 * time.Second)
				if c.step < 0 || c.name == "forward, relative" {
					w.pass(26 * time.Second)
				}
				w.want(c.ran...)
			})
		})
	}
	ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) { // a one-off: an instant that was passed runs on resume
		w.put("at", schedule.At(w.wall(time.Minute)), w.logs("at"))
		_, err := w.Pause(timer.AllTasks(), "")
		ctIs(t, "pause", err, nil)
		w.step(time.Hour)
		w.want()
		_, err = w.Resume(timer.AllTasks())
		ctIs(t, "resume", err, nil)
		w.settle()
		w.want("0s at")
	})
	ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) { // and one that was passed and is ahead again waits
		w.put("at", schedule.At(w.wall(time.Minute)), w.logs("at"))
		_, err := w.Pause(timer.AllTasks(), "")
		ctIs(t, "pause", err, nil)
		w.step(time.Hour)
		w.step(-time.Hour)
		_, err = w.Resume(timer.AllTasks())
		ctIs(t, "resume", err, nil)
		w.pass(time.Minute - 1)
		w.want()
		w.pass(1)
		w.want("1m0s at")
	})
}

func ctAligned(w *ct) schedule.Schedule  { return schedule.Every(10 * time.Second).AlignTo(w.t0) }
func ctRelative(_ *ct) schedule.Schedule { return schedule.Every(10 * time.Second) }

// contract: H3. A pace that was given a first instant rests by the wall clock; one that was not, does not notice steps.
func TestContract_H3_PacesAndSteps(t *testing.T) {
	ctByHand(t, timer.Options{Workers: 1}, func(_ *testing.T, w *ct) {
		w.put("wall", schedule.Pace(10*time.Second).From(w.wall(10*time.Second)), w.logs("wall"))
		w.put("relative", schedule.Pace(11*time.Second), w.logs("relative"))
		w.pass(12 * time.Second)
		w.want("10s wall", "11s relative")
		w.step(-5 * time.Second)
		w.pass(14 * time.Second)
		w.want("22s relative", "25s wall")
	})
}

// contract: C1, H2. NextDue and Next are by the wall clock as it is set now, on both timelines.
func TestContract_H2_WhatIsShownFollowsSteps(t *testing.T) {
	ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
		delay := w.put("delay", schedule.After(time.Minute), w.logs("x"))
		every := w.put("every", schedule.Every(time.Minute), w.logs("x"))
		instant := w.put("instant", schedule.At(w.wall(2*time.Minute)), w.logs("x"))
		for _, step := range []time.Duration{0, time.Hour - time.Minute, -2 * time.Hour} {
			w.hand.Step(step)
			if step > 0 { // do not let the instant run
				w.hand.Step(-step)
				continue
			}
			ctEqual(t, "delay", delay.Next(), w.wall(time.Minute+step))
			ctEqual(t, "every", every.Next(), w.wall(time.Minute+step))
			ctEqual(t, "instant", instant.Next(), w.wall(2*time.Minute))
			next, ok := w.NextDue()
			ctEqual(t, "next due", next, w.wall(time.Minute+step))
			ctEqual(t, "any", ok, true)
		}
	})
}

// contract: H2. What a handler is told is by the wall clock as it was set when its run began; it is never early by that.
func TestContract_H2_AttemptsAreToldByTheClockOfTheirStart(t *testing.T) {
	ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
		var got timer.Attempt
		w.put("a", schedule.After(time.Minute).Jitter(time.Second), func(ctx context.Context) error {
			got, _ = timer.TaskFrom(ctx)
			return nil
		})
		w.pass(time.Second)
		w.step(-time.Hour)
		w.suspend(2 * time.Minute)
		jitter := schedule.After(time.Minute).Jitter(time.Second).Bind("a", w.t0).Offset()
		ctEqual(t, "scheduled for", got.ScheduledFor, w.wall(time.Minute-time.Hour))
		ctEqual(t, "due", got.Due, w.wall(time.Minute-time.Hour+jitter))
		ctEqual(t, "started", got.Started, w.wall(121*time.Second-time.Hour))
	})
}

// Invariant 9: random steps, suspends, pauses and blocked workers neither repeat an occurrence of an aligned grid nor lose
// one: each instant up to the highest the wall clock has shown ran, was folded or was skipped, once.
func TestContract_Invariant9_StepsNeitherRepeatNorLose(t *testing.T) {
	for seed := range uint64(150) {
		rng := rand.New(rand.NewPCG(seed, 9))
		ctByHand(t, timer.Options{Workers: int(seed % 3)}, func(t *testing.T, w *ct) {
			const period = time.Second
			catchUp := []timer.CatchUpPolicy{timer.Latest, timer.Earliest, timer.None, timer.All(3)}[seed%4]
			var mu sync.Mutex
			var got []time.Time
			gate := make(chan struct{})
			task := w.put("a", schedule.Every(period).AlignTo(w.t0), func(ctx context.Context) error {
				a, _ := timer.TaskFrom(ctx)
				mu.Lock()
				defer mu.Unlock()
				if a.Started.Before(a.Due) {
					t.Errorf("seed %d: started %v, due %v", seed, a.Started, a.Due)
				}
				got = append(got, a.ScheduledFor)
				return nil
			}, timer.CatchUp(catchUp), timer.Overlap(timer.BufferOne))
			if rng.IntN(2) == 0 {
				w.put("blocker", schedule.After(5*time.Second), w.waits("blocker", gate))
			}
			var once sync.Map
			for i := range 40 { // one-offs at instants: each exactly once
				name := fmt.Sprint("once", i)
				w.put(name, schedule.At(w.wall(time.Duration(rng.IntN(60_000))*time.Millisecond)), func(context.Context) error {
					if _, twice := once.LoadOrStore(name, true); twice {
						t.Errorf("seed %d: %s ran twice", seed, name)
					}
					return nil
				})
			}
			highest := w.hand.Now().Wall
			for range 50 {
				switch rng.IntN(5) {
				case 0:
					w.step(-time.Duration(rng.Int64N(int64(7 * period))))
				case 1:
					w.step(time.Duration(rng.Int64N(int64(5 * period))))
				case 2:
					w.suspend(time.Duration(rng.Int64N(int64(4 * period))))
				default:
					w.pass(time.Duration(rng.Int64N(int64(3 * period))))
				}
				highest = max(highest, w.hand.Now().Wall)
			}
			close(gate)
			w.settle()
			w.pass(2 * time.Minute) // and beyond the highest
			if again := highest - w.hand.Now().Wall; again > 0 {
				w.pass(time.Duration(again) + period)
			}
			w.pass(time.Unix(0, w.hand.Now().Wall).UTC().Truncate(period).Add(period + period/2).Sub(time.Unix(0, w.hand.Now().Wall)))
			highest = w.hand.Now().Wall
			mu.Lock()
			defer mu.Unlock()
			for i := range got[1:] {
				if !got[i].Before(got[i+1]) {
					t.Errorf("seed %d: %v, then %v", seed, got[i], got[i+1])
				}
			}
			i := task.Info()
			want := int64(time.Unix(0, highest).Sub(w.t0) / period)
			if n := i.Runs + i.Missed + i.Skipped; n != want {
				t.Errorf("seed %d: %d ran + %d folded + %d skipped = %d, want %d", seed, i.Runs, i.Missed, i.Skipped, n, want)
			}
			for i := range 40 {
				if _, ran := once.Load(fmt.Sprint("once", i)); !ran {
					t.Errorf("seed %d: once%d is lost", seed, i)
				}
			}
		})
	}
}

// contract: C6, H2. An engine whose clock announces steps does not look at the wall clock in between; a step is one
// wake-up, and without a pending instant none.
func TestContract_H2_StepsAreEvents(t *testing.T) {
	ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
		w.put("delay", schedule.After(1000*time.Hour), w.logs("delay"))
		before := w.Stats().Wakeups
		w.step(time.Hour)
		w.step(-time.Hour)
		ctEqual(t, "wake-ups with delays alone", w.Stats().Wakeups-before, 0)
		w.put("instant", schedule.At(w.wall(1000*time.Hour)), w.logs("instant"))
		before = w.Stats().Wakeups
		w.step(time.Hour)
		w.step(-time.Hour)
		ctEqual(t, "wake-ups with an instant", w.Stats().Wakeups-before, 2)
		w.pass(999 * time.Hour)
		ctEqual(t, "and until it is due", w.Stats().Wakeups-before, 2)
		ctEqual(t, "ran", strings.Join(w.told(), ""), "")
	})
}
