package timer_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/timer"
)

// contract: C6 and G1 — a tick every 10 ms stays on its grid for a minute, and nothing wakes between ticks.
func TestTick10ms(t *testing.T) {
	const period = 10 * time.Millisecond
	t.Run("virtual", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			e, start := newEngine(t), time.Now()
			n := 0
			put(t, e, "tick", schedule.Every(period), func(ctx context.Context) error {
				n++
				at, _ := timer.TaskFrom(ctx)
				want := start.Add(time.Duration(n) * period)
				if now := time.Now(); !now.Equal(want) || !at.ScheduledFor.Equal(want) {
					t.Errorf("tick %d at %v for %v, want %v", n, now.Sub(start), at.ScheduledFor.Sub(start), want.Sub(start))
				}
				return nil
			})
			sleep(time.Minute)
			same(t, "ticks in a minute", n, 6000)
			same(t, "wake-ups", e.Stats().Wakeups, uint64(6000))
		})
	})
	t.Run("real", func(t *testing.T) { // on a busy machine ticks may be folded into others, but none is early or off the grid
		const runs = 30
		e := newEngine(t)
		attempts := make(chan timer.Attempt, runs)
		put(t, e, "tick", schedule.Every(period), func(ctx context.Context) error {
			if at, _ := timer.TaskFrom(ctx); at.Number <= runs {
				attempts <- at
			}
			return nil
		})
		var grid time.Time
		for i := range runs {
			at := recv(t, attempts, fmt.Sprintf("tick %d", i+1))
			if i == 0 {
				grid = at.ScheduledFor
			}
			// A delay's instants are told by the wall clock, which is slewed and read apart: not to the nanosecond the grid.
			d := at.ScheduledFor.Sub(grid).Round(time.Millisecond)
			if d%period != 0 || d/period < time.Duration(i) {
				t.Errorf("tick %d is for %v after the first: off the grid of %v, or twice", i+1, d, period)
			}
		}
	})
}

// contract: C1 — never early; how late, benchmarks tell.
func TestOneOffAccuracy(t *testing.T) {
	t.Run("virtual", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			e := newEngine(t)
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			rnd := rand.New(rand.NewPCG(seed, 0))
			var ran atomic.Int32
			for i := range 1000 {
				d := time.Duration(rnd.Int64N(int64(time.Second)))
				due := time.Now().Add(d)
				check := func() {
					ran.Add(1)
					if late := time.Since(due); late != 0 {
						t.Errorf("delay %v: late by %v", d, late)
					}
				}
				switch i % 3 {
				case 0:
					e.AfterFunc(d, check)
				case 1:
					put(t, e, strconv.Itoa(i), schedule.After(d), timer.Plain(check))
				default:
					put(t, e, strconv.Itoa(i), schedule.At(due), timer.Plain(check))
				}
			}
			sleep(time.Second)
			same(t, "ran", ran.Load(), int32(1000))
			same(t, "greatest lateness", e.Stats().Lateness.Max, time.Duration(0))
		})
	})
	t.Run("real", func(t *testing.T) {
		e := newEngine(t)
		var wg sync.WaitGroup
		for range 1000 {
			d := time.Duration(rand.Int64N(int64(200 * time.Millisecond)))
			start := time.Now()
			wg.Add(1)
			e.AfterFunc(d, func() {
				if got := time.Since(start); got < d {
					t.Errorf("delay %v: ran after %v", d, got)
				}
				wg.Done()
			})
		}
		done := make(chan struct{})
		go func() {
			wg.Wait()
			close(done)
		}()
		recv(t, done, "end of 1000 runs")
		st := e.Stats()
		same(t, "starts, early ones", []uint64{st.Fires, st.Early}, []uint64{1000, 0})
	})
}

// contract: C6 — ten thousand of everything that waits wake nobody until the first is due.
func TestNoPollingAnyPrimitive(t *testing.T) {
	n := timer.Rounds(10_000)
	e, m := newManual(t, timer.Options{})
	soon, late := schedule.After(time.Hour), schedule.At(epoch.Add(time.Hour))
	for name, arm := range map[string]func(name string){
		"func":    func(string) { e.AfterFunc(time.Hour, func() {}) },
		"delay":   func(name string) { put(t, e, name, soon, nothing) },
		"instant": func(name string) { put(t, e, name, late, nothing) },
		"every":   func(name string) { put(t, e, name, schedule.Every(time.Hour), nothing) },
		"pace":    func(name string) { put(t, e, name, schedule.Pace(time.Hour), nothing) },
		"tracked": func(name string) { put(t, e, name, soon, nothing, timer.Track(), timer.Tags("a tag")) },
	} {
		for i := range n {
			arm(fmt.Sprintf("%s %d", name, i))
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	var waiters sync.WaitGroup
	for i := range 100 {
		task, ok := e.Find(fmt.Sprintf("tracked %d", i))
		if !ok {
			t.Fatalf("task %d is not found", i)
		}
		waiters.Go(func() {
			if err := task.Wait(ctx); !errors.Is(err, enough) {
				t.Errorf("Wait: %v, want %v", err, enough)
			}
		})
	}
	if paused, err := e.Pause(timer.Prefix("pace"), "test"); paused != n || err != nil {
		t.Fatalf("Pause: %d, %v", paused, err)
	}
	run(t, m, time.Hour-time.Second)
	st := e.Stats()
	same(t, "pending", st.Pending, 6*n)
	same(t, "wake-ups, starts and running", []uint64{st.Wakeups, st.Fires, uint64(st.Running)}, []uint64{0, 0, 0})
	boot, wall := m.Armed()
	same(t, "armed", []time.Duration{time.Duration(boot), time.Duration(wall - epoch.UnixNano())},
		[]time.Duration{time.Hour, time.Hour})
	cancel(enough)
	waiters.Wait()
	same(t, "wake-ups after the waiters left", e.Stats().Wakeups, uint64(0))
}

// contract: C2 — lateness is measured, whole and in its parts: until the driver saw the task, and until a worker was free.
func TestLatenessHistogram(t *testing.T) {
	check := func(t *testing.T, what string, h timer.Histogram, count uint64, sum, greatest time.Duration) {
		t.Helper()
		same(t, what+": count, sum, max", []int64{int64(h.Count), int64(h.Sum), int64(h.Max)},
			[]int64{int64(count), int64(sum), int64(greatest)})
	}
	t.Run("slot", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			e := newEngine(t, timer.Options{Workers: 1})
			check(t, "new", e.Stats().Lateness, 0, 0, 0)
			for _, name := range []string{"a", "b", "c"} { // each takes 100 ms, and the others wait for it
				put(t, e, name, schedule.After(time.Second), timer.Plain(func() { time.Sleep(100 * time.Millisecond) }))
			}
			sleep(time.Minute)
			st := e.Stats()
			check(t, "lateness", st.Lateness, 3, 300*time.Millisecond, 200*time.Millisecond)
			check(t, "wake", st.Wake, 3, 0, 0)
			check(t, "slot", st.Slot, 3, 300*time.Millisecond, 200*time.Millisecond)
			if q := st.Lateness.Quantile(0.5); q < 100*time.Millisecond || q > 125*time.Millisecond {
				t.Errorf("median lateness is %v, want 100 ms, and at most a quarter more", q)
			}
			same(t, "quantile 0", st.Lateness.Quantile(0), time.Duration(0))
			same(t, "quantile 1", st.Lateness.Quantile(1), 200*time.Millisecond)
		})
	})
	t.Run("wake", func(t *testing.T) {
		e, m := newManual(t, timer.Options{})
		ran := make(chan struct{}, 1)
		task := put(t, e, "a", schedule.After(time.Second), timer.Plain(func() { ran <- struct{}{} }), timer.Track())
		if err := m.Suspend(time.Second + 8*time.Millisecond).Wait(patient(t)); err != nil {
			t.Fatal(err)
		}
		recv(t, ran, "run")
		if err := task.Wait(patient(t)); err != nil {
			t.Fatal(err)
		}
		st := e.Stats()
		check(t, "lateness", st.Lateness, 1, 8*time.Millisecond, 8*time.Millisecond)
		check(t, "wake", st.Wake, 1, 8*time.Millisecond, 8*time.Millisecond)
		check(t, "slot", st.Slot, 1, 0, 0)
	})
}

// contract: G1 and A6 — the first instant and the period are told apart, and without a period it is once.
func TestFirstTimeAndFrequency(t *testing.T) {
	for name, c := range map[string]struct {
		sched func(now time.Time) schedule.Schedule
		want  []string
	}{
		"first and period": {
			func(now time.Time) schedule.Schedule {
				return schedule.Every(10 * time.Second).From(now.Add(3 * time.Second))
			},
			[]string{"1 for 3s@3s", "2 for 13s@13s", "3 for 23s@23s"},
		},
		"first now": {
			func(now time.Time) schedule.Schedule { return schedule.Every(10 * time.Second).From(now) },
			[]string{"1 for 0s@0s", "2 for 10s@10s", "3 for 20s@20s"},
		},
		"first in the past": { // the newest is run at once, for those missed; then the grid goes on
			func(now time.Time) schedule.Schedule {
				return schedule.Every(10 * time.Second).From(now.Add(-25 * time.Second))
			},
			[]string{"1 for -5s missed 2@0s", "2 for 5s@5s", "3 for 15s@15s", "4 for 25s@25s"},
		},
		"no first: after one period": {
			func(time.Time) schedule.Schedule { return schedule.Every(10 * time.Second) },
			[]string{"1 for 10s@10s", "2 for 20s@20s"},
		},
		"no period": {
			func(now time.Time) schedule.Schedule { return schedule.At(now.Add(3 * time.Second)) },
			[]string{"1 for 3s@3s"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, j, start := newEngine(t), newJournal(), time.Now()
				put(t, e, "a", c.sched(start), func(ctx context.Context) error {
					at, _ := timer.TaskFrom(ctx)
					what := fmt.Sprintf("%d for %v", at.Number, at.ScheduledFor.Sub(start))
					if at.Missed > 0 {
						what += fmt.Sprintf(" missed %d", at.Missed)
					}
					j.note(what)
					return nil
				})
				sleep(29 * time.Second)
				j.want(t, c.want...)
			})
		})
	}
	e := newEngine(t)
	for _, d := range []time.Duration{0, -1, -1 << 63} {
		for _, s := range []schedule.Schedule{schedule.Every(d), schedule.Pace(d), schedule.PaceFromStart(d)} {
			_, err := e.Put("a", s, nothing)
			wantErr(t, fmt.Sprintf("period %v", d), err, timer.ErrInvalid)
		}
	}
	same(t, "pending", e.Stats().Pending, 0)
}

// Times and durations are time.Time, time.Duration or a Schedule, never bare numbers. What is a number counts something;
// whoever adds one here says what.
func TestStronglyTyped(t *testing.T) {
	counts := map[string]string{ // what it is -> what it counts
		"schedule.Schedule.Times(n int)":      "starts",
		"timer.All(n int)":                    "occurrences",
		"timer.BufferAll(n int)":              "occurrences",
		"timer.Histogram.Quantile(q float64)": "a share",
		"timer.IfGeneration(g uint64)":        "a generation",
		"timer.Key(k int)":                    "tasks",
		"timer.Priority(p int)":               "a rank",
		"timer.Options.MaxPending int":        "tasks",
		"timer.Options.Workers int":           "goroutines",
		"schedule.Error.Pos int":              "bytes",
		"schedule.Span.Months int":            "months, which no duration is",
		"schedule.Span.Days int":              "days, which no duration is",
		"timer.Attempt.Number int64":          "starts",
		"timer.Attempt.Attempt int":           "attempts",
		"timer.Attempt.Missed int64":          "occurrences",
		"timer.Event.Generation uint64":       "a generation",
		"timer.Event.Missed int64":            "occurrences",
		"timer.Event.Count int64":             "occurrences",
		"timer.Info.Generation uint64":        "a generation",
		"timer.Info.Running int":              "runs",
		"timer.Info.Runs int64":               "starts",
		"timer.Info.Missed int64":             "occurrences",
		"timer.Info.Skipped int64":            "occurrences",
		"timer.Info.Priority int":             "a rank",
		"timer.Stats.Pending int":             "tasks",
		"timer.Stats.Running int":             "runs",
		"timer.Stats.Goroutines int":          "goroutines",
		"timer.Stats.Wakeups uint64":          "wake-ups",
		"timer.Stats.Rearms uint64":           "re-arms",
		"timer.Stats.Fires uint64":            "starts",
		"timer.Stats.Early uint64":            "starts",
		"timer.Stats.Expired uint64":          "deadlines",
		"timer.Stats.Failed uint64":           "runs",
		"timer.Stats.Overran uint64":          "runs",
		"timer.Stats.Skipped uint64":          "occurrences",
		"timer.Stats.Panics uint64":           "panics",
		"timer.Stats.Refused uint64":          "calls",
		"timer.Stats.HooksLost uint64":        "events",
		"timer.Histogram.Count uint64":        "durations",
	}
	var got []string
	for _, dir := range []string{".", "../schedule"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("list %s: %d files, %v", dir, len(files), err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range f.Decls {
				got = append(got, bareNumbers(f.Name.Name, d)...)
			}
		}
	}
	var want []string
	for s := range counts {
		want = append(want, s)
	}
	slices.Sort(got)
	slices.Sort(want)
	same(t, "parameters and fields that are bare numbers", got, want)
}

// bareNumbers lists the exported funcs' parameters and structs' fields of a declaration that are of a numeric basic type.
func bareNumbers(pkg string, d ast.Decl) (found []string) {
	list := func(prefix, suffix string, exported bool, fields *ast.FieldList) {
		for _, field := range fields.List {
			of := field.Type
			if v, ok := of.(*ast.Ellipsis); ok {
				of = v.Elt
			}
			id, ok := of.(*ast.Ident)
			if !ok {
				continue
			}
			basic, ok := types.Universe.Lookup(id.Name).(*types.TypeName)
			if !ok {
				continue
			}
			if b, ok := basic.Type().Underlying().(*types.Basic); !ok || b.Info()&types.IsNumeric == 0 {
				continue
			}
			for _, name := range field.Names {
				if !exported || name.IsExported() {
					found = append(found, fmt.Sprintf("%s%s %s%s", prefix, name.Name, id.Name, suffix))
				}
			}
		}
	}
	switch d := d.(type) {
	case *ast.FuncDecl:
		recv := ""
		if d.Recv != nil {
			of := d.Recv.List[0].Type
			if star, ok := of.(*ast.StarExpr); ok {
				of = star.X
			}
			id, ok := of.(*ast.Ident)
			if !ok || !id.IsExported() {
				return nil
			}
			recv = id.Name + "."
		}
		if d.Name.IsExported() {
			list(pkg+"."+recv+d.Name.Name+"(", ")", false, d.Type.Params)
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			if ts, ok := s.(*ast.TypeSpec); ok && ts.Name.IsExported() {
				if st, ok := ts.Type.(*ast.StructType); ok {
					list(pkg+"."+ts.Name.Name+".", "", true, st.Fields)
				}
			}
		}
	}
	return found
}

// contract: E1 and E4 — a task may cancel itself while it runs: a recurring one ends with this run, a one-off has had its
// start.
func TestCancelFromOwnCallback(t *testing.T) {
	t.Run("recurring", func(t *testing.T) {
		for _, s := range []schedule.Schedule{
			schedule.Every(time.Second), schedule.Pace(time.Second), schedule.PaceFromStart(time.Second),
		} {
			for name, opts := range map[string][]timer.Option{
				"skip": nil, "allow": {timer.Overlap(timer.Allow)}, "buffer one": {timer.Overlap(timer.BufferOne)},
			} {
				synctest.Test(t, func(t *testing.T) {
					e, j := newEngine(t), newJournal()
					task := put(t, e, "a", s, func(ctx context.Context) error {
						at, _ := timer.TaskFrom(ctx)
						if at.Number == 3 {
							j.note(at.Task.Cancel().String())
							j.note(at.Task.Cancel().String())
							j.note(e.Cancel("a").String())
							return nil
						}
						j.note("ran")
						return nil
					}, opts...)
					sleep(time.Hour)
					j.want(t, "ran@1s", "ran@2s", "cancelled, still runs@3s", "finished@3s", "unknown@3s")
					same(t, fmt.Sprintf("%v, %s: state", s, name), task.State(), timer.StateCancelled)
					same(t, "pending", e.Stats().Pending, 0)
				})
			}
		}
	})
	t.Run("one-off", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			e, j := newEngine(t), newJournal()
			task := put(t, e, "a", schedule.After(time.Second), func(ctx context.Context) error {
				at, _ := timer.TaskFrom(ctx)
				j.note(at.Task.Cancel().String())
				j.note(e.Cancel("a").String())
				j.note(fmt.Sprint(ctx.Err()))
				return nil
			}, timer.Track())
			var h timer.Timer
			armed := make(chan struct{})
			h = e.AfterFunc(2*time.Second, func() {
				<-armed
				j.note(strconv.FormatBool(h.Stop()))
			})
			close(armed)
			sleep(time.Hour)
			j.want(t, "running@1s", "running@1s", "<nil>@1s", "false@2s")
			same(t, "state", task.State(), timer.StateDone)
		})
	})
}
