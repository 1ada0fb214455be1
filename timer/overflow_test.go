package timer

import (
	"fmt"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/schedule"
)

// Four ways to start now times four ways to wait for ever, as OpenJDK's DelayOverflow pairs them, in both orders: what is
// to start now does, and what is to wait for ever neither starts nor comes before anything.
// contract: A4
func TestDelayOverflow16(t *testing.T) {
	type way struct {
		what string
		add  func(e *Engine, name string, f func()) error
	}
	put := func(what string, s func() schedule.Schedule) way {
		return way{what, func(e *Engine, name string, f func()) error {
			_, err := e.Put(name, s(), Plain(f))
			return err
		}}
	}
	const forever = time.Duration(math.MaxInt64)
	now := []way{
		{"AfterFunc(MinInt64)", func(e *Engine, _ string, f func()) error { return e.AfterFunc(math.MinInt64, f).Err() }},
		put("After(0)", func() schedule.Schedule { return schedule.After(0) }),
		put("At(now)", func() schedule.Schedule { return schedule.At(time.Now()) }),
		put("Every(MaxInt64) from now", func() schedule.Schedule { return schedule.Every(forever).From(time.Now()) }),
	}
	never := []way{
		{"AfterFunc(MaxInt64)", func(e *Engine, _ string, f func()) error { return e.AfterFunc(forever, f).Err() }},
		put("After(MaxInt64)", func() schedule.Schedule { return schedule.After(forever) }),
		put("At(year 9999)", func() schedule.Schedule {
			return schedule.At(time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC))
		}),
		put("Pace(MaxInt64)", func() schedule.Schedule { return schedule.Pace(forever) }),
	}
	for _, n := range now {
		for _, x := range never {
			for _, first := range []way{n, x} {
				t.Run(fmt.Sprintf("%s, %s, first %s", n.what, x.what, first.what), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						e := New()
						start := time.Now()
						var ran []time.Duration
						adds := []func() error{
							func() error { return n.add(e, "now", func() { ran = append(ran, time.Since(start)) }) },
							func() error {
								return x.add(e, "never", func() { t.Errorf("%s has come after %v", x.what, time.Since(start)) })
							},
						}
						if first.what == x.what {
							adds[0], adds[1] = adds[1], adds[0]
						}
						for _, add := range adds {
							if err := add(); err != nil {
								t.Fatal(err)
							}
						}
						time.Sleep(24 * time.Hour)
						synctest.Wait()
						if len(ran) != 1 || ran[0] != 0 {
							t.Errorf("%s ran after %v, want once and at once", n.what, ran)
						}
						e.AfterFunc(100*365*24*time.Hour, func() {})
						due, ok := e.NextDue()
						if want := time.Now().AddDate(0, 0, 100*365); !ok || !due.Equal(want) {
							t.Errorf("the next is due at %v, want %v, before %s", due, want, x.what)
						}
						patientClose(t, e)
					})
				})
			}
		}
	}
}

// What is reset or moved over the end of time waits for ever, and comes back.
func TestDelayOverflow_ResetAndMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New()
		var ran atomic.Int32 // the two run beside each other
		timer := e.AfterFunc(time.Hour, func() { ran.Add(1) })
		task := mustPut(t, e, "x", afterHour, func() { ran.Add(1) })
		time.Sleep(time.Minute)
		if !timer.Reset(math.MaxInt64) {
			t.Error("Reset of a pending timer is false")
		}
		if err := task.Move(schedule.After(math.MaxInt64)); err != nil {
			t.Error(err)
		}
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if due, ok := e.NextDue(); ran.Load() != 0 || ok {
			t.Errorf("%d ran, the next is due at %v", ran.Load(), due)
		}
		if !timer.Reset(time.Second) {
			t.Error("Reset of a pending timer is false")
		}
		if err := task.Move(schedule.After(time.Second)); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if ran.Load() != 2 {
			t.Errorf("%d ran, want 2", ran.Load())
		}
		patientClose(t, e)
	})
}

func TestSatAdd(t *testing.T) {
	const last = math.MaxInt64
	for _, c := range []struct{ t, d, want int64 }{
		{0, 0, 0},
		{1, 2, 3},
		{last, 0, last},
		{last, 1, last},
		{1, last, last},
		{last, last, last},
		{last - 1, 1, last},
		{5, -5, 0},
		{5, -6, 0},
		{0, math.MinInt64, 0},
		{last, math.MinInt64, 0},
		{last, -1, last - 1},
		{last, -last, 0},
	} {
		if got := satAdd(c.t, c.d); got != c.want {
			t.Errorf("satAdd(%d, %d) is %d, want %d", c.t, c.d, got, c.want)
		}
	}
}
