package timer_test

import (
	"errors"
	"testing"
	"time"

	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/timer"
)

// contract: I1, I2, I3. Calendars run by the wall clock of their zone, over a change of the clocks, in virtual time.
func TestContract_I_CalendarsRun(t *testing.T) {
	for _, c := range []struct {
		name string
		s    schedule.Schedule
		from time.Duration // since noon on 1 March 2026, a Sunday
		pass time.Duration
		want []string
	}{
		{
			"cron", schedule.Cron("0 9 * * mon-fri"), 0, 49 * time.Hour,
			[]string{"21h0m0s for 21h0m0s", "45h0m0s for 45h0m0s"},
		},
		{
			"over a gap", schedule.Cron("30 2 * * *").In("Europe/Berlin"), 27*24*time.Hour - 12*time.Hour, 48 * time.Hour,
			[]string{"637h30m0s for 637h30m0s", "661h0m0s for 661h0m0s"},
		},
		{
			"union, except, times", schedule.Union(schedule.Cron("0 13 * * *"), schedule.Cron("0 14 * * *")).
				Except(schedule.Cron("* * 2 3 *")).Times(3), 0, 240 * time.Hour,
			[]string{"1h0m0s for 1h0m0s", "2h0m0s for 2h0m0s", "49h0m0s for 49h0m0s"},
		},
		{
			"a grid without nights", schedule.Every(4 * time.Hour).AlignTo(ctStart).Except(schedule.Cron("* 0-7 * * *")), 0, 24 * time.Hour,
			[]string{"4h0m0s for 4h0m0s", "8h0m0s for 8h0m0s", "20h0m0s for 20h0m0s", "24h0m0s for 24h0m0s"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctByHand(t, timer.Options{}, func(_ *testing.T, w *ct) {
				w.pass(c.from)
				w.put("a", c.s, w.ctTells(nil))
				w.pass(c.pass)
				w.want(c.want...)
			})
		})
	}
}

// contract: G3. What a calendar missed is folded, caught up or skipped like what a grid missed; the window is the distance
// to the next occurrence.
func TestContract_G3_Calendars(t *testing.T) {
	for _, c := range []struct {
		name string
		s    schedule.Schedule
		opts []timer.Option
		want []string
	}{
		{"latest", schedule.Cron("0 * * * *"), nil, []string{"3h30m0s for 3h0m0s missed 2"}},
		{"all", schedule.Cron("0 * * * *"), []timer.Option{timer.CatchUp(timer.All(2)), timer.Window(3 * time.Hour)}, []string{"3h30m0s for 2h0m0s missed 1", "3h30m0s for 3h0m0s"}},
		{"none", schedule.Cron("0 * * * *"), []timer.Option{timer.CatchUp(timer.None)}, nil},
		{"late within the day", schedule.Cron("0 13 * * *"), nil, []string{"3h30m0s for 1h0m0s"}},
		{"too late for a minute's", schedule.Cron("13 13 * * *").Except(schedule.Cron("* * 2 3 *")), nil, []string{"3h30m0s for 1h13m0s"}},
		{"union", schedule.Union(schedule.Cron("0 13 * * *"), schedule.Cron("30 14 * * *")), nil, []string{"3h30m0s for 2h30m0s missed 1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctByHand(t, timer.Options{}, func(_ *testing.T, w *ct) {
				w.put("a", c.s.Until(w.wall(4*time.Hour-1)), w.ctTells(nil), c.opts...)
				w.suspend(3*time.Hour + 30*time.Minute)
				w.pass(10 * time.Minute)
				w.want(c.want...)
			})
		})
	}
}

// contract: H3, I1. The wall clock decides, also when it is stepped, and nothing recorded fires again.
func TestContract_H3_Calendars(t *testing.T) {
	ctByHand(t, timer.Options{}, func(_ *testing.T, w *ct) {
		w.put("a", schedule.Cron("0 * * * *"), w.ctTells(nil))
		w.pass(90 * time.Minute)
		w.want("1h0m0s for 1h0m0s")
		w.step(-45 * time.Minute) // 12:45 again
		w.pass(30 * time.Minute)  // over 13:00
		w.want()
		w.pass(45 * time.Minute) // 14:00
		w.want("2h45m0s for 2h0m0s")
		w.step(time.Hour)
		w.want("2h45m0s for 3h0m0s")
	})
}

// contract: A6. A calendar that never comes is refused when it is put; what has ended is not.
func TestContract_A6_Calendars(t *testing.T) {
	ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
		for _, s := range []schedule.Schedule{
			schedule.Cron("0 0 30 2 *"), schedule.Cron("0 0 * *"), schedule.Cron("0 0 * * *").In("Mars/Olympus"),
			schedule.Union(schedule.Cron("0 0 30 2 *"), schedule.Cron("0 0 31 4 *")),
		} {
			_, err := w.Put("a", s, w.logs("a"))
			if _, ok := errors.AsType[*schedule.Error](err); !ok {
				t.Errorf("%v: %v, want a *schedule.Error", s, err)
			}
		}
		ended := w.put("ended", schedule.Cron("0 0 0 1 1 * 2020"), w.logs("a"))
		ctEqual(t, "next of what has ended", ended.Next(), time.Time{})
	})
}
