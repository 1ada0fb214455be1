package timer_test

import (
	"context"
	"log/slog"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/timer"
)

// Who waits for a deadline of an engine that breaks is told at once, with the reason; and without a Logger of its own the engine tells the
// default one.
func TestExpire_BrokenEngineTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines recorder
		before := slog.Default()
		slog.SetDefault(slog.New(&lines))
		defer slog.SetDefault(before)
		c := &rows2BrokenClock{Clock: clock.System(), how: func() { panic("boom") }}
		e := timer.New(timer.Options{Clock: c})
		near, far := &expirer{}, &expirer{}
		for _, x := range []struct {
			in time.Duration
			x  *expirer
		}{{time.Second, near}, {time.Hour, far}} {
			if _, err := e.Expire(e.Elapsed()+x.in, x.x); err != nil {
				t.Fatal(err)
			}
		}
		stopped, err := e.Expire(e.Elapsed()+time.Hour, &expirer{})
		if err != nil {
			t.Fatal(err)
		}
		e.AfterFunc(time.Minute, func() { t.Error("a broken engine ran a function") })
		rows2Put(t, e, "tea", schedule.After(time.Hour), func(context.Context) error { return nil })
		c.fail.Store(math.MaxInt32)
		time.Sleep(2 * time.Second)
		c.fail.Store(0)
		for name, x := range map[string]*expirer{"near": near, "far": far} {
			if n := x.told.Load(); n != 1 {
				t.Errorf("%s was told %d times, want once", name, n)
				continue
			}
			rows2Is(t, name, x.err, timer.ErrBroken)
		}
		if stopped.Stop() {
			t.Error("a deadline that was told could be stopped")
		}
		if n, err := e.Pause(timer.AllTasks(), "too late"); n != 0 || err == nil {
			t.Errorf("a broken engine paused %d tasks: %v", n, err)
		}
		if lines.count() == 0 {
			t.Error("the default logger was told nothing")
		}
		time.Sleep(time.Hour)
		left, err := e.Close(t.Context())
		if err != nil {
			t.Error(err)
		}
		if names := rows2Names(left.NotRun()); len(names) != 1 || names[0] != "tea" {
			t.Errorf("left are %q, want tea", names)
		}
		if near.told.Load() != 1 || far.told.Load() != 1 {
			t.Error("told again when it was closed")
		}
	})
}

// Elapsed counts from when the engine was made, however long the machine has been up.
func TestElapsed_BeginsWithTheEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Hour)
		e := timer.New()
		if d := e.Elapsed(); d != 0 {
			t.Errorf("at once: %v", d)
		}
		time.Sleep(time.Minute)
		if d := e.Elapsed(); d != time.Minute {
			t.Errorf("after a minute: %v", d)
		}
		closed(t, e)
	})
}

// recorder counts records.
type recorder struct{ n atomic.Int32 }

func (r *recorder) Enabled(context.Context, slog.Level) bool  { return true }
func (r *recorder) Handle(context.Context, slog.Record) error { r.n.Add(1); return nil }
func (r *recorder) WithAttrs([]slog.Attr) slog.Handler        { return r }
func (r *recorder) WithGroup(string) slog.Handler             { return r }
func (r *recorder) count() int                                { return int(r.n.Load()) }

// TestPut_PlainAllocatesNothing: a one-off without options is an entry and no more, after a delay as at an instant.
func TestPut_PlainAllocatesNothing(t *testing.T) {
	e := timer.New()
	defer closed(t, e)
	fn := func(context.Context) error { return nil }
	for _, s := range []schedule.Schedule{schedule.After(time.Hour), schedule.At(time.Now().Add(time.Hour))} {
		if n := testing.AllocsPerRun(1000, func() {
			if _, err := e.Put("tea", s, fn); err != nil {
				t.Fatal(err)
			}
			if r := e.Cancel("tea"); r != timer.Cancelled {
				t.Fatal(r)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", s, n)
		}
	}
}
