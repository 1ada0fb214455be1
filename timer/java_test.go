package timer_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/timer"
)

var errRows2 = errors.New("the test's error")

func rows2Discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// contract: C1.
func TestScheduleDelay(t *testing.T) {
	rows2Bubble(t, timer.Options{Workers: 1}, func(t *testing.T, e *timer.Engine) { // with one shard all share a wheel
		delays := []time.Duration{
			math.MinInt64, -time.Second, 0, 1, time.Microsecond, 65_535, 65_536, 65_537, time.Millisecond, 1500 * time.Millisecond,
			5 * time.Second, 30 * time.Minute, 48 * time.Hour, 10*365*24*time.Hour + 1,
		}
		start := time.Now()
		got, unnamed := make([]time.Duration, len(delays)), make([]time.Duration, len(delays))
		for i, d := range delays {
			rows2Put(t, e, strconv.Itoa(i), schedule.After(d), func(context.Context) error {
				got[i] = time.Since(start)
				return nil
			})
			e.AfterFunc(d, func() { unnamed[i] = time.Since(start) })
		}
		sleep(11 * 365 * 24 * time.Hour)
		want := slices.Clone(delays)
		want[0], want[1] = 0, 0
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("times of start (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want, unnamed); diff != "" {
			t.Errorf("times of start of unnamed timers (-want +got):\n%s", diff)
		}
	})
}

// contract: A6.
func TestScheduleDate(t *testing.T) {
	rows2Bubble(t, timer.Options{}, func(t *testing.T, e *timer.Engine) {
		tr := rows2NewTrace()
		berlin := time.FixedZone("CEST", 2*3600)
		for name, at := range map[string]time.Time{
			"1900": time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC), "1970": time.Unix(0, 1), "past": tr.start.Add(-time.Nanosecond), "now": tr.start,
			"soon": tr.start.Add(time.Nanosecond), "zone": tr.start.Add(time.Hour).In(berlin), "far": tr.start.AddDate(30, 0, 0),
			"2300": time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC), "9999": time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		} {
			rows2Put(t, e, name, schedule.At(at), func(ctx context.Context) error {
				a, _ := timer.TaskFrom(ctx)
				if !a.ScheduledFor.Equal(at) && at.Year() > 1969 || a.Started.Before(a.Due) {
					t.Errorf("%s: scheduled for %v, due %v, started %v", name, a.ScheduledFor, a.Due, a.Started)
				}
				tr.note(name)
				return nil
			})
		}
		sleep(0)
		tr.want(t, "1900@0s", "1970@0s", "now@0s", "past@0s")
		sleep(100 * 365 * 24 * time.Hour)
		far := tr.start.AddDate(30, 0, 0).Sub(tr.start).String()
		tr.want(t, "soon@1ns", "zone@1h0m0s", "far@"+far)
		if diff := cmp.Diff([]string{"2300", "9999"}, rows2Names(e.Tasks(timer.AllTasks()))); diff != "" {
			t.Errorf("still pending (-want +got):\n%s", diff)
		}
	})
}

func TestSchedulerName(t *testing.T) {
	var log bytes.Buffer
	var reported atomic.Value
	o := timer.Options{Name: "night shift", Logger: slog.New(slog.NewTextHandler(&log, nil))}
	rows2Bubble(t, o, func(t *testing.T, e *timer.Engine) {
		e.AfterFunc(0, func() { panic("logged") })
		e.AfterFunc(0, nil)
		sleep(0)
		if got := []string{e.Name(), e.Stats().Name}; got[0] != o.Name || got[1] != o.Name {
			t.Errorf("names: got %q, want %q", got, o.Name)
		}
		if n := strings.Count(log.String(), `engine="night shift"`); n != 2 {
			t.Errorf("%d of 2 log lines name the engine:\n%s", n, log.String())
		}
	})
	o.OnPanic = func(p timer.Panic) { reported.Store(p.Engine) }
	rows2Bubble(t, o, func(t *testing.T, e *timer.Engine) {
		e.AfterFunc(0, func() { panic("reported") })
		sleep(0)
		if got := reported.Load(); got != o.Name {
			t.Errorf("the panic's engine: got %v, want %v", got, o.Name)
		}
	})
}

// rows2BrokenClock is a clock whose reading fails on the driver's goroutine, for some times.
type rows2BrokenClock struct {
	clock.Clock
	driver atomic.Value // its goroutine
	fail   atomic.Int32
	how    func()
}

func (c *rows2BrokenClock) NewAlarm(wake func()) clock.Alarm {
	return c.Clock.NewAlarm(func() {
		c.driver.Store(rows2Goroutine())
		wake()
	})
}

func (c *rows2BrokenClock) Read() clock.Reading {
	if c.fail.Load() > 0 && c.driver.Load() == rows2Goroutine() {
		c.fail.Add(-1)
		c.how()
	}
	return c.Clock.Read()
}

// The driver is not user code, so it fails only if the engine, or its clock, is broken: then it tries again, and at last
// refuses what is new, says why, and gives back what is pending.
func TestDispatcherDeathIsVisible(t *testing.T) {
	tests := []struct {
		name   string
		fail   int32
		how    func()
		broken bool
		cause  string
	}{
		{"panics once", 1, func() { panic("boom") }, false, ""},
		{"panics always", math.MaxInt32, func() { panic("boom") }, true, "boom"},
		{"exits", 1, runtime.Goexit, true, "Goexit"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				c := &rows2BrokenClock{Clock: clock.System(), how: test.how}
				e := timer.New(timer.Options{Clock: c, Logger: slog.New(slog.NewTextHandler(&log, nil))})
				tr := rows2NewTrace()
				rows2Put(t, e, "first", schedule.After(time.Second), tr.run(0))
				rows2Put(t, e, "second", schedule.After(time.Hour), tr.run(0))
				c.fail.Store(test.fail)
				sleep(2 * time.Second)
				c.fail.Store(0)
				if !strings.Contains(log.String(), test.cause) || log.Len() == 0 {
					t.Errorf("the log does not tell the cause %q:\n%s", test.cause, log.String())
				}
				_, err := e.Put("third", schedule.After(time.Second), tr.run(0))
				sleep(2 * time.Hour)
				left, closeErr := e.Close(t.Context())
				rows2Is(t, "close", closeErr, nil)
				if !test.broken {
					rows2Is(t, "put", err, nil)
					rows2Is(t, "Err", e.Err(), nil)
					tr.want(t, "first@1s", "third@3s", "second@1h0m0s")
					return
				}
				rows2Is(t, "Err", e.Err(), timer.ErrBroken)
				rows2Is(t, "put", err, timer.ErrBroken)
				rows2Is(t, "AfterFunc", e.AfterFunc(0, func() {}).Err(), timer.ErrBroken)
				if err == nil || !strings.Contains(err.Error(), test.cause) {
					t.Errorf("put's error %v lacks the cause %q", err, test.cause)
				}
				if diff := cmp.Diff([]string{"first", "second"}, rows2Names(left.NotRun())); diff != "" {
					t.Errorf("given back (-want +got):\n%s", diff)
				}
				tr.want(t)
			})
		})
	}
}

// What a handler refers to can be collected once its task has ended, even while somebody keeps the task's handle.
func TestNoObsoleteReferences(t *testing.T) {
	type payload struct{ b [1 << 10]byte }
	held := []any{}
	arm := func(e *timer.Engine, end func(*timer.Engine, timer.Handler) any) weak.Pointer[payload] {
		p := &payload{}
		held = append(held, end(e, func(context.Context) error {
			if p.b[0]++; p.b[1] != 0 {
				return nil
			}
			return errRows2
		}))
		return weak.Make(p)
	}
	put := func(s schedule.Schedule, then func(*timer.Engine, timer.Task), opts ...timer.Option) func(*timer.Engine, timer.Handler) any {
		return func(e *timer.Engine, fn timer.Handler) any {
			task := rows2Put(t, e, "task", s, fn, opts...)
			then(e, task)
			return task
		}
	}
	nothing := func(*timer.Engine, timer.Task) {}
	cancel := func(_ *timer.Engine, task timer.Task) { task.Cancel() }
	replace := func(e *timer.Engine, _ timer.Task) {
		rows2Put(t, e, "task", schedule.After(time.Hour), rows2Nothing)
		e.Cancel("task")
	}
	far, now := schedule.After(time.Hour), schedule.After(0)
	tests := []struct {
		name  string
		end   func(*timer.Engine, timer.Handler) any
		close bool
	}{
		{"plain, cancelled", put(far, cancel), false},
		{"plain, replaced", put(far, replace), false},
		{"plain, run", put(now, nothing), false},
		{"tracked, cancelled", put(far, cancel, timer.Track()), false},
		{"tracked, replaced", put(far, replace, timer.Track()), false},
		{"tracked, run", put(now, nothing, timer.Track()), false},
		{"recurring, cancelled", put(schedule.Every(time.Minute), cancel), false},
		{"recurring, ended", put(schedule.Every(time.Second).Times(1), nothing), false},
		{"recurring, stopped by its error", put(schedule.Every(time.Second), nothing, timer.OnError(timer.Stop)), false},
		{"timer, stopped", func(e *timer.Engine, fn timer.Handler) any {
			return e.AfterFunc(time.Hour, func() { _ = fn(t.Context()) }).Stop()
		}, false},
		{"timer, fired", func(e *timer.Engine, fn timer.Handler) any {
			return e.AfterFunc(0, func() { _ = fn(t.Context()) }).Err()
		}, false},
		{"plain, closed", put(far, nothing), true},
		{"tracked, closed", put(far, nothing, timer.Track()), true},
		{"recurring, closed", put(schedule.Every(time.Minute), nothing), true},
		{"timer, closed", func(e *timer.Engine, fn timer.Handler) any {
			return e.AfterFunc(time.Hour, func() { _ = fn(t.Context()) }).Err()
		}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			rows2Bubble(t, timer.Options{Logger: rows2Discard()}, func(t *testing.T, e *timer.Engine) {
				p := arm(e, test.end)
				other := e.AfterFunc(2*time.Hour, func() {}) // the engine has something to keep
				sleep(2 * time.Second)
				if test.close {
					runtime.GC()
					if p.Value() == nil {
						t.Error("collected while the task was pending")
					}
					rows2Close(t, e)
				}
				runtime.GC()
				runtime.GC()
				if p.Value() != nil {
					t.Error("what the handler refers to is still referred to")
				}
				other.Stop()
			})
		})
	}
	runtime.KeepAlive(held)
}

// contract: A6, A7.
func TestIllegalArguments(t *testing.T) {
	var nilRunnable *rows2Greeter
	day := schedule.After(24 * time.Hour)
	put := func(name string, s schedule.Schedule, opts ...timer.Option) func(*timer.Engine) error {
		return func(e *timer.Engine) error { _, err := e.Put(name, s, rows2Nothing, opts...); return err }
	}
	opt := func(opts ...timer.Option) func(*timer.Engine) error { return put("task", day, opts...) }
	tests := map[string]func(*timer.Engine) error{
		"empty name":              put("", day),
		"name of 256 bytes":       put(strings.Repeat("n", 256), day),
		"name not UTF-8":          put("a\xff", day),
		"name with a control":     put("a\nb", day),
		"name with DEL":           put("a\x7f", day),
		"name with a C1 control":  put("a\u0085", day),
		"dot":                     put(".", day),
		"dots":                    put("..", day),
		"nil handler":             func(e *timer.Engine) error { _, err := e.Put("task", day, nil); return err },
		"nil handler and option":  func(e *timer.Engine) error { _, err := e.Put("task", day, nil, timer.Track()); return err },
		"nil Runnable":            func(e *timer.Engine) error { _, err := e.PutRunnable(nil, day); return err },
		"typed nil Runnable":      func(e *timer.Engine) error { _, err := e.PutRunnable(nilRunnable, day); return err },
		"nil Func":                func(e *timer.Engine) error { _, err := e.PutRunnable(timer.Func("task", nil), day); return err },
		"nil Plain":               func(e *timer.Engine) error { _, err := e.Put("task", day, timer.Plain(nil)); return err },
		"nil AfterFunc":           func(e *timer.Engine) error { return e.AfterFunc(0, nil).Err() },
		"nil option":              opt(nil),
		"zero schedule":           put("task", schedule.Schedule{}),
		"zero instant":            put("task", schedule.At(time.Time{})),
		"year 10000":              put("task", schedule.At(time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC))),
		"period 0":                put("task", schedule.Every(0)),
		"period negative":         put("task", schedule.Every(-time.Second)),
		"pace 0":                  put("task", schedule.Pace(0)),
		"pace from start 0":       put("task", schedule.PaceFromStart(math.MinInt64)),
		"times 0":                 put("task", schedule.Every(time.Second).Times(0)),
		"jitter 0":                put("task", schedule.Every(time.Second).Jitter(0)),
		"jitter over the period":  put("task", schedule.Every(time.Second).Jitter(time.Minute)),
		"empty for all time":      put("task", schedule.Every(time.Hour).From(epoch).Until(epoch.Add(-time.Hour))),
		"moved to no schedule":    func(e *timer.Engine) error { return e.Move("task", schedule.Schedule{}) },
		"moved by handle to none": func(e *timer.Engine) error { task, _ := e.Find("task"); return task.Move(schedule.Every(0)) },
		"moved without a name":    func(e *timer.Engine) error { return e.Move("", day) },
		"conflict":                opt(timer.OnConflict(99)),
		"conflict negative":       opt(timer.OnConflict(-1)),
		"debounce 0":              opt(timer.OnConflict(timer.Debounce(0))),
		"debounce recurring":      put("task", schedule.Every(time.Second), timer.OnConflict(timer.Debounce(time.Second))),
		"overlap":                 opt(timer.Overlap(99)),
		"overlap negative":        opt(timer.Overlap(-1)),
		"buffer 0":                opt(timer.Overlap(timer.BufferAll(0))),
		"buffer too large":        opt(timer.Overlap(timer.BufferAll(10_001))),
		"catch-up":                opt(timer.CatchUp(98)),
		"catch-up negative":       opt(timer.CatchUp(-1)),
		"all of 0":                opt(timer.CatchUp(timer.All(0))),
		"all, too many":           opt(timer.CatchUp(timer.All(math.MaxInt))),
		"on error":                opt(timer.OnError(9)),
		"timeout 0":               opt(timer.Timeout(0)),
		"window negative":         opt(timer.Window(-1)),
		"grace 0":                 opt(timer.Grace(0)),
		"start within 0":          opt(timer.StartWithin(0)),
		"start within, recurring": put("task", schedule.Every(time.Second), timer.StartWithin(time.Second)),
		"key empty":               opt(timer.Key("", 1)),
		"key of 256 bytes":        opt(timer.Key(strings.Repeat("k", 256), 1)),
		"key's k 0":               opt(timer.Key("key", 0)),
		"tag empty":               opt(timer.Tags("a", "")),
		"tag of 256 bytes":        opt(timer.Tags(strings.Repeat("t", 256))),
	}
	for name, call := range tests {
		t.Run(name, func(t *testing.T) {
			rows2Bubble(t, timer.Options{Logger: rows2Discard()}, func(t *testing.T, e *timer.Engine) {
				tr := rows2NewTrace()
				task := rows2Put(t, e, "task", schedule.After(time.Hour), tr.run(0))
				before := task.Generation()
				err := call(e)
				var te *timer.Error
				if !errors.As(err, &te) || !errors.Is(err, timer.ErrInvalid) || te.Op == "" {
					t.Fatalf("got %#v, want a *timer.Error that wraps ErrInvalid", err)
				}
				if len(err.Error()) > 300 {
					t.Errorf("the error is %d bytes long: %q", len(err.Error()), err)
				}
				if s := e.Stats(); s.Pending != 1 || task.Generation() != before {
					t.Errorf("%d pending, generation %d, want 1 and %d as before", s.Pending, task.Generation(), before)
				}
				sleep(25 * time.Hour)
				tr.want(t, "task@1h0m0s")
			})
		})
	}
	t.Run("two Options", func(t *testing.T) {
		defer func() {
			if recover() == nil {
				t.Error("New accepted two Options")
			}
		}()
		timer.New(timer.Options{}, timer.Options{})
	})
}
