package timer_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/timer"
)

// rows2Occurrence writes for which ms since the trace began a run was scheduled, and how many were folded into it.
func (tr *rows2Trace) rows2Occurrence(a timer.Attempt) string {
	s := strconv.FormatInt(a.ScheduledFor.Sub(tr.start).Milliseconds(), 10)
	if a.Missed > 0 {
		s += "+" + strconv.FormatInt(a.Missed, 10)
	}
	return s
}

// occurrences is a handler that notes the occurrence and takes as long as the durations say, one for each run; later runs
// take the last.
func (tr *rows2Trace) occurrences(take ...time.Duration) timer.Handler {
	return func(ctx context.Context) error {
		a, _ := timer.TaskFrom(ctx)
		tr.note(tr.rows2Occurrence(a))
		time.Sleep(take[min(int(a.Number), len(take))-1])
		return nil
	}
}

// rows2Manual runs f in a bubble with an engine on a clock that is moved by hand: the clock for the time, the bubble to
// know when everything has settled. Both show the same at first.
func rows2Manual(t *testing.T, o timer.Options, f func(*testing.T, *timer.Engine, *clock.Manual)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := clock.NewManual(epoch)
		o.Clock = m
		e := timer.New(o)
		defer rows2Close(t, e)
		f(t, e, m)
	})
}

func rows2ManualTrace(m *clock.Manual) *rows2Trace {
	return &rows2Trace{start: epoch, since: func() time.Duration { return time.Duration(m.Now().Boot) }}
}

// rows2Advance moves the clock by d, stopping for every deadline on the way until everything has settled.
func rows2Advance(t *testing.T, m *clock.Manual, d time.Duration) {
	t.Helper()
	for range 100_000 {
		move := m.Advance(d)
		synctest.Wait()
		if d = move.Left; d == 0 {
			return
		}
	}
	t.Fatalf("the clock still had %v to go after 100,000 deadlines", d)
}

func TestScheduleDelayPeriod(t *testing.T) {
	rows2Bubble(t, timer.Options{}, func(t *testing.T, e *timer.Engine) {
		tr := rows2NewTrace()
		s := func(d, p time.Duration) schedule.Schedule { return schedule.Every(p).From(tr.start.Add(d)) }
		rows2Put(t, e, "a", s(5*time.Second, 10*time.Second), tr.run(0))
		rows2Put(t, e, "b", s(0, 15*time.Second).Times(2), tr.run(0))
		rows2Put(t, e, "c", s(7*time.Second, time.Hour), tr.run(0))
		rows2Put(t, e, "d", schedule.Every(12*time.Second), tr.run(0)) // without a first instant: after one period
		sleep(30 * time.Second)
		tr.want(t, "b@0s", "a@5s", "c@7s", "d@12s", "a@15s", "b@15s", "d@24s", "a@25s")
	})
}

// contract: G1.
func TestScheduleFirstPeriod(t *testing.T) {
	rows2Bubble(t, timer.Options{}, func(t *testing.T, e *timer.Engine) {
		tr := rows2NewTrace()
		rows2Put(t, e, "ahead", schedule.Every(10*time.Second).From(tr.start.Add(25*time.Second)), tr.run(0))
		rows2Put(t, e, "past", schedule.Every(20*time.Second).From(tr.start.Add(-5*time.Second)), tr.run(0))
		rows2Put(t, e, "until", schedule.Every(10*time.Second).From(tr.start).Until(tr.start.Add(20*time.Second)), tr.run(0))
		rows2Put(t, e, "aligned", schedule.Every(time.Minute).AlignTo(tr.start.Add(-20*time.Second)), tr.run(0))
		sleep(50 * time.Second)
		tr.want(t, "past@0s", "until@0s", "until@10s", "past@15s", "until@20s", "ahead@25s", "ahead@35s", "past@35s", "aligned@40s", "ahead@45s")
		if _, ok := e.Find("until"); ok {
			t.Error("a schedule that has ended still has its name")
		}
	})
}

func TestNextAndPeriod(t *testing.T) {
	rows2Bubble(t, timer.Options{}, func(t *testing.T, e *timer.Engine) {
		start := time.Now()
		var scheduled []string
		handler := func(ctx context.Context) error {
			a, _ := timer.TaskFrom(ctx)
			scheduled = append(scheduled, a.ScheduledFor.Sub(start).String())
			time.Sleep(2 * time.Second)
			return nil
		}
		every := rows2Put(t, e, "every", schedule.Every(10*time.Second), handler)
		pace := rows2Put(t, e, "pace", schedule.Pace(25*time.Second), func(context.Context) error { time.Sleep(2 * time.Second); return nil })
		once := rows2Put(t, e, "once", schedule.At(start.Add(time.Hour)), rows2Nothing)
		check := func(now string, want ...string) {
			t.Helper()
			got := []string{}
			for _, task := range []timer.Task{every, pace, once} {
				next := "never"
				if n := task.Next(); !n.IsZero() {
					next = n.Sub(start).String()
				}
				got = append(got, next+"/"+task.Period().String())
			}
			due := "never"
			if d, ok := e.NextDue(); ok {
				due = d.Sub(start).String()
			}
			got = append(got, due)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("at %s: next and period of each, next due (-want +got):\n%s", now, diff)
			}
		}
		check("0s", "10s/10s", "25s/25s", "1h0m0s/0s", "10s")
		sleep(15 * time.Second)
		check("15s", "20s/10s", "25s/25s", "1h0m0s/0s", "20s")
		sleep(11 * time.Second)
		check("26s", "30s/10s", "never/25s", "1h0m0s/0s", "30s") // the pace counts from the end of the run under way
		sleep(2 * time.Second)
		check("28s", "30s/10s", "52s/25s", "1h0m0s/0s", "30s")
		every.Cancel()
		rows2Is(t, "move", once.Move(schedule.After(time.Second)), nil)
		rows2Is(t, "move", pace.Move(schedule.Every(time.Minute)), nil)
		check("28s, moved", "never/10s", "1m28s/1m0s", "29s/0s", "29s")
		if diff := cmp.Diff([]string{"10s", "20s"}, scheduled); diff != "" {
			t.Errorf("scheduled for (-want +got):\n%s", diff)
		}
		sleep(time.Second)
		pace.Cancel()
		check("29s", "never/10s", "never/1m0s", "never/0s", "never")
	})
}

// The four answers to a run that outlasts its period: 100 ms, the first run takes 350. contract: G1.
func TestFixedRateVsDelay(t *testing.T) {
	const period = 100 * time.Millisecond
	tests := []struct {
		name string
		s    schedule.Schedule
		opts []timer.Option
		want []string
	}{
		{
			"scheduleAtFixedRate", schedule.Every(period),
			[]timer.Option{timer.Overlap(timer.BufferAll(10))},
			[]string{"0@0s", "100@350ms", "200@350ms", "300@350ms", "400@400ms", "500@500ms"},
		},
		{"java.util.Timer's fixed delay, from the start", schedule.PaceFromStart(period), nil, []string{"0@0s", "100@350ms", "450@450ms", "550@550ms"}},
		{"fixed delay, from the end", schedule.Pace(period), nil, []string{"0@0s", "450@450ms", "550@550ms"}},
		{
			"grid, one for those missed", schedule.Every(period),
			[]timer.Option{timer.Overlap(timer.BufferOne)},
			[]string{"0@0s", "300+2@350ms", "400@400ms", "500@500ms"},
		},
		{"grid, overlaps skipped", schedule.Every(period), nil, []string{"0@0s", "400@400ms", "500@500ms"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			rows2Bubble(t, timer.Options{}, func(t *testing.T, e *timer.Engine) {
				tr := rows2NewTrace()
				rows2Put(t, e, "task", test.s.From(tr.start), tr.occurrences(350*time.Millisecond, 0), test.opts...)
				sleep(590 * time.Millisecond)
				tr.want(t, test.want...)
			})
		})
	}
}

// A run of 250 ms every 100 ms. contract: G2.
func TestOverlapPolicies(t *testing.T) {
	tests := []struct {
		name    string
		policy  timer.OverlapPolicy
		heeds   bool
		want    string
		skipped int64
		beside  int32
	}{
		{name: "Skip", policy: timer.Skip, want: "100@100ms 400@400ms 700@700ms", skipped: 4, beside: 1},
		{name: "BufferOne", policy: timer.BufferOne, want: "100@100ms 300+1@350ms 600+2@600ms 800+1@850ms", beside: 1},
		{name: "BufferAll", policy: timer.BufferAll(2), want: "100@100ms 200@350ms 500@600ms 700@850ms", skipped: 3, beside: 1},
		{
			name: "CancelOther", policy: timer.CancelOther, heeds: true, beside: 1,
			want: "100@100ms 200@200ms 300@300ms 400@400ms 500@500ms 600@600ms 700@700ms 800@800ms 900@900ms",
		},
		{name: "CancelOther, unheeded", policy: timer.CancelOther, want: "100@100ms 300+1@350ms 600+2@600ms 800+1@850ms", beside: 1},
		{
			name: "Allow", policy: timer.Allow, beside: 3,
			want: "100@100ms 200@200ms 300@300ms 400@400ms 500@500ms 600@600ms 700@700ms 800@800ms 900@900ms",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var told atomic.Int64
			hooks := timer.Hooks{Skipped: func(ev timer.Event) { told.Add(ev.Count) }}
			rows2Bubble(t, timer.Options{Hooks: hooks}, func(t *testing.T, e *timer.Engine) {
				tr := rows2NewTrace()
				tr.round = 10 * time.Millisecond // a third run beside two blocked ones may be 1 ms late
				var running, most atomic.Int32
				task := rows2Put(t, e, "task", schedule.Every(100*time.Millisecond), func(ctx context.Context) error {
					most.Store(max(most.Load(), running.Add(1)))
					defer running.Add(-1)
					a, _ := timer.TaskFrom(ctx)
					tr.note(tr.rows2Occurrence(a))
					var done <-chan struct{}
					if test.heeds {
						done = ctx.Done()
					}
					select {
					case <-time.After(250 * time.Millisecond):
					case <-done:
						if cause := context.Cause(ctx); !errors.Is(cause, timer.ErrOverlapped) && !errors.Is(cause, timer.ErrClosed) {
							t.Errorf("cause: got %v, want %v", cause, timer.ErrOverlapped)
						}
					}
					return nil
				}, timer.Overlap(test.policy))
				sleep(940 * time.Millisecond)
				tr.want(t, strings.Fields(test.want)...)
				got := []int64{task.Info().Skipped, int64(e.Stats().Skipped), told.Load(), int64(most.Load())}
				if diff := cmp.Diff([]int64{test.skipped, test.skipped, test.skipped, int64(test.beside)}, got); diff != "" {
					t.Errorf("skipped by the task, the engine, the hook; most at a time (-want +got):\n%s", diff)
				}
				if most := e.Stats().Lateness.Max; test.policy == timer.Allow && most > time.Millisecond {
					t.Errorf("lateness up to %v, want at most 1ms", most)
				}
			})
		})
	}
}

// A first instant that lies in the past, at a period of 100 ms. Each instant of the grid has run, was skipped or was
// folded into another. contract: G3.
func TestMissedPolicies(t *testing.T) {
	tests := []struct {
		name    string
		first   int // ms
		opts    []timer.Option
		want    string // until 120 ms
		skipped int64
	}{
		{"All", -500, []timer.Option{timer.CatchUp(timer.All(10))}, "-500@0s -400@0s -300@0s -200@0s -100@0s 0@0s 100@100ms", 0},
		{"All, but three", -500, []timer.Option{timer.CatchUp(timer.All(3))}, "-200+3@0s -100@0s 0@0s 100@100ms", 0},
		{"None", -500, []timer.Option{timer.CatchUp(timer.None)}, "0@0s 100@100ms", 5},
		{"default", -500, nil, "0+5@0s 100@100ms", 0},
		{"Latest", -500, []timer.Option{timer.CatchUp(timer.Latest)}, "0+5@0s 100@100ms", 0},
		{"Earliest", -500, []timer.Option{timer.CatchUp(timer.Earliest)}, "-500+5@0s 100@100ms", 0},
		{"None, within the grace", -550, []timer.Option{timer.CatchUp(timer.None)}, "-50@0s 50@50ms", 5},
		{"None, beyond its grace", -550, []timer.Option{timer.CatchUp(timer.None), timer.Grace(10 * time.Millisecond)}, "50@50ms", 6},
		{"Latest, beyond the window", -550, []timer.Option{timer.Window(30 * time.Millisecond)}, "50@50ms", 6},
		{"Earliest, in a window", -550, []timer.Option{timer.CatchUp(timer.Earliest), timer.Window(250 * time.Millisecond)}, "-250+2@0s 50@50ms", 3},
		{"All, in a window", -550, []timer.Option{timer.CatchUp(timer.All(10)), timer.Window(250 * time.Millisecond)}, "-250@0s -150@0s -50@0s 50@50ms", 3},
		{"nothing missed", 0, nil, "0@0s 100@100ms", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			rows2Bubble(t, timer.Options{}, func(t *testing.T, e *timer.Engine) {
				tr := rows2NewTrace()
				first := time.Duration(test.first) * time.Millisecond
				s := schedule.Every(100 * time.Millisecond).From(tr.start.Add(first))
				task := rows2Put(t, e, "task", s, tr.occurrences(0), test.opts...)
				sleep(120 * time.Millisecond)
				tr.want(t, strings.Fields(test.want)...)
				info := task.Info()
				if info.Skipped != test.skipped {
					t.Errorf("skipped %d, want %d", info.Skipped, test.skipped)
				}
				nominal := int64((120*time.Millisecond-first)/(100*time.Millisecond)) + 1
				if sum := info.Runs + info.Missed + info.Skipped; sum != nominal {
					t.Errorf("%d ran, %d were folded and %d skipped: %d together, want %d", info.Runs, info.Missed, info.Skipped, sum, nominal)
				}
			})
		})
	}
	t.Run("twenty years of milliseconds", func(t *testing.T) {
		rows2Bubble(t, timer.Options{}, func(t *testing.T, e *timer.Engine) {
			now := time.Now()
			s := schedule.Every(time.Millisecond).From(now.AddDate(-20, 0, 0))
			n := now.Sub(now.AddDate(-20, 0, 0)).Milliseconds()
			for _, policy := range []timer.CatchUpPolicy{timer.Latest, timer.Earliest, timer.All(3), timer.None} {
				task := rows2Put(t, e, "task", s.Until(now), rows2Nothing, timer.CatchUp(policy))
				synctest.Wait()
				if i := task.Info(); i.Runs+i.Missed+i.Skipped != n+1 || i.Runs == 0 {
					t.Errorf("policy %d: %d ran, %d folded, %d skipped, want %d together", policy, i.Runs, i.Missed, i.Skipped, n+1)
				}
			}
		})
	})
	t.Run("after a suspend", func(t *testing.T) {
		rows2Manual(t, timer.Options{}, func(t *testing.T, e *timer.Engine, m *clock.Manual) {
			tr := rows2ManualTrace(m)
			rows2Put(t, e, "task", schedule.Every(10*time.Second), tr.occurrences(0))
			rows2Advance(t, m, time.Second)
			m.Suspend(56 * time.Second)
			synctest.Wait()
			rows2Advance(t, m, 10*time.Second)
			tr.want(t, "50000+4@57s", "60000@1m0s")
		})
	})
}

// contract: H2, H3.
func TestClockStep(t *testing.T) {
	const hour = time.Hour
	tests := []struct {
		name string
		step time.Duration // after ten minutes
		want string        // in boot time
	}{
		{"no step", 0, "at15m@15m0s rate@30m0s at45m@45m0s rate@1h0m0s grid@1h0m0s at75m@1h15m0s rate@1h30m0s delay@1h40m0s rate@2h0m0s grid@2h0m0s"},
		// What was passed fires promptly and once, what lies ahead an hour earlier.
		{"an hour forward", hour, "at15m@10m0s at45m@10m0s grid@10m0s at75m@15m0s rate@30m0s grid@1h0m0s rate@1h0m0s rate@1h30m0s delay@1h40m0s grid@2h0m0s rate@2h0m0s"},
		{"an hour back", -hour, "rate@30m0s rate@1h0m0s at15m@1h15m0s rate@1h30m0s delay@1h40m0s at45m@1h45m0s grid@2h0m0s rate@2h0m0s"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			rows2Manual(t, timer.Options{}, func(t *testing.T, e *timer.Engine, m *clock.Manual) {
				tr := rows2ManualTrace(m)
				at := func(minute int) {
					rows2Put(t, e, fmt.Sprintf("at%dm", minute), schedule.At(epoch.Add(time.Duration(minute)*time.Minute)), tr.run(0))
				}
				at(15)
				at(45)
				at(75)
				rows2Put(t, e, "delay", schedule.After(100*time.Minute), tr.run(0))
				rows2Put(t, e, "rate", schedule.Every(30*time.Minute), tr.run(0))
				rows2Put(t, e, "grid", schedule.Every(hour).AlignTo(epoch), tr.run(0))
				rows2Advance(t, m, 10*time.Minute)
				m.Step(test.step)
				synctest.Wait()
				rows2Advance(t, m, 110*time.Minute+time.Second)
				tr.want(t, strings.Fields(test.want)...)
			})
		})
	}
	t.Run("nothing fires again after a step back", func(t *testing.T) {
		rows2Manual(t, timer.Options{}, func(t *testing.T, e *timer.Engine, m *clock.Manual) {
			tr := rows2ManualTrace(m)
			rows2Put(t, e, "at", schedule.At(epoch.Add(20*time.Minute)), tr.run(0))
			rows2Put(t, e, "grid", schedule.Every(10*time.Minute).AlignTo(epoch), tr.run(0))
			rows2Advance(t, m, 35*time.Minute)
			tr.want(t, "grid@10m0s", "at@20m0s", "grid@20m0s", "grid@30m0s")
			for range 3 {
				m.Step(-30 * time.Minute)
				synctest.Wait()
				m.Step(25 * time.Minute)
				synctest.Wait()
			}
			m.Step(-15 * time.Minute) // the wall clock shows 5 minutes; 40 is reached after 35 more
			synctest.Wait()
			rows2Advance(t, m, 40*time.Minute)
			tr.want(t, "grid@1h10m0s")
		})
	})
	t.Run("instants put after a step back", func(t *testing.T) {
		rows2Manual(t, timer.Options{Workers: 1}, func(t *testing.T, e *timer.Engine, m *clock.Manual) {
			tr := rows2ManualTrace(m)
			tr.round = 100 * time.Microsecond // where many are due together, a tick of the wheel may be waited for
			at := func(name string, minute int) {
				rows2Put(t, e, name, schedule.At(epoch.Add(time.Duration(minute)*time.Minute)), tr.run(0))
			}
			rows2Advance(t, m, hour)
			at("late", 120)
			if due, ok := e.NextDue(); !ok || !due.Equal(epoch.Add(2*hour)) { // who asks has the wheel looked at
				t.Errorf("next due %v, want in an hour", due)
			}
			m.Step(-30 * time.Minute)
			synctest.Wait()
			want := []string{"earliest@1h10m0s"}
			for i := range 100 {
				at(fmt.Sprint("early", i), 50)
				want = append(want, fmt.Sprint("early", i, "@1h20m0s"))
			}
			at("earliest", 40)
			rows2Advance(t, m, 2*hour)
			tr.want(t, append(want, "late@2h30m0s")...)
		})
	})
	t.Run("a delay counts the time of a suspend", func(t *testing.T) {
		rows2Manual(t, timer.Options{}, func(t *testing.T, e *timer.Engine, m *clock.Manual) {
			tr := rows2ManualTrace(m)
			rows2Put(t, e, "soon", schedule.After(hour), tr.run(0))
			rows2Put(t, e, "later", schedule.After(3*hour), tr.run(0))
			rows2Advance(t, m, 10*time.Minute)
			m.Suspend(2 * hour)
			synctest.Wait()
			rows2Advance(t, m, hour)
			tr.want(t, "soon@2h10m0s", "later@3h0m0s")
			if got, want := e.Stats().Lateness.Max, 70*time.Minute; got != want {
				t.Errorf("lateness: got %v, want %v", got, want)
			}
		})
	})
}

// More comes than can be done: lateness is reported and bounded, and so is memory, because what is too much is refused.
// contract: J2, J3.
func TestOverloadBounded(t *testing.T) {
	rows2Bubble(t, timer.Options{Workers: 1, MaxPending: 10}, func(t *testing.T, e *timer.Engine) {
		var accepted, refused, most int
		var ran atomic.Int64
		for i := range 1000 {
			_, err := e.Put(strconv.Itoa(i), schedule.After(0), func(context.Context) error {
				time.Sleep(120 * time.Millisecond)
				ran.Add(1)
				return nil
			})
			switch {
			case err == nil:
				accepted++
			case errors.Is(err, timer.ErrFull):
				refused++
			default:
				t.Fatal(err)
			}
			most = max(most, e.Stats().Pending)
			sleep(100 * time.Millisecond)
		}
		sleep(2 * time.Second)
		s := e.Stats()
		if refused < 100 || refused > 250 || int64(accepted) != ran.Load() || most > 10 {
			t.Errorf("accepted %d, ran %d, refused %d of 1000, most pending %d; want all that were accepted, about 160 refused, at most 10",
				accepted, ran.Load(), refused, most)
		}
		if late := s.Slot.Max; late < 800*time.Millisecond || late > 1200*time.Millisecond || s.Wake.Max != 0 || s.Lateness.Max != late {
			t.Errorf("waited for a slot up to %v of %v, woken up to %v late; want about ten runs of 120ms, all of it for the slot", late, s.Lateness.Max, s.Wake.Max)
		}
	})
	rows2Bubble(t, timer.Options{Workers: 1}, func(t *testing.T, e *timer.Engine) {
		task := rows2Put(t, e, "recurs", schedule.Every(100*time.Millisecond), func(context.Context) error {
			time.Sleep(120 * time.Millisecond)
			return nil
		})
		sleep(100 * time.Second)
		info, s := task.Info(), e.Stats()
		if s.Lateness.Max != 0 || info.Runs != 500 || info.Skipped != 499 || s.Pending != 1 {
			t.Errorf("lateness %v, %d runs, %d skipped, %d pending; want 0s, 500, 499, 1", s.Lateness.Max, info.Runs, info.Skipped, s.Pending)
		}
	})
}

// A task that now and then outlasts its period is back in phase afterwards, however often that happens.
func TestNoLagSpiral(t *testing.T) {
	rows2Bubble(t, timer.Options{}, func(t *testing.T, e *timer.Engine) {
		start, off, last := time.Now(), 0, time.Duration(math.MinInt64)
		rows2Put(t, e, "task", schedule.Every(100*time.Millisecond), func(ctx context.Context) error {
			a, _ := timer.TaskFrom(ctx)
			at := time.Since(start)
			if at%(100*time.Millisecond) != 0 || at <= last || a.Started.Sub(a.Due) != 0 {
				off++
			}
			last = at
			time.Sleep(time.Duration(a.Number%7) * 60 * time.Millisecond)
			return nil
		})
		sleep(1000 * time.Second)
		if s := e.Stats(); off != 0 || s.Lateness.Max != 0 || s.Fires+s.Skipped < 9_990 || s.Skipped < 1000 {
			t.Errorf("%d of %d starts off the grid, lateness up to %v, %d skipped; want none, 0s, all of 10,000 together", off, s.Fires, s.Lateness.Max, s.Skipped)
		}
	})
}

// contract: G1.
func TestNoDrift(t *testing.T) {
	tests := []struct {
		period time.Duration
		n      int
	}{{10 * time.Millisecond, 6000}, {time.Second / 3, 5000}, {24 * time.Hour, 1000}, {time.Nanosecond*999_999_999 + 7*time.Hour, 1000}}
	for _, test := range tests {
		rows2Bubble(t, timer.Options{}, func(t *testing.T, e *timer.Engine) {
			start, starts := time.Now(), []time.Duration{}
			rows2Put(t, e, "task", schedule.Every(test.period).Times(test.n), func(ctx context.Context) error {
				a, _ := timer.TaskFrom(ctx)
				starts = append(starts, time.Since(start))
				time.Sleep(test.period / 10 * time.Duration(a.Number%9))
				return nil
			})
			sleep(test.period * time.Duration(test.n+1))
			if len(starts) != test.n {
				t.Fatalf("every %v: ran %d times, want %d", test.period, len(starts), test.n)
			}
			if i := slices.IndexFunc(starts, func(d time.Duration) bool { return d%test.period != 0 }); i >= 0 || starts[test.n-1] != test.period*time.Duration(test.n) {
				t.Errorf("every %v: start %d at %v, the last at %v", test.period, i, starts[max(i, 0)], starts[test.n-1])
			}
		})
	}
}
