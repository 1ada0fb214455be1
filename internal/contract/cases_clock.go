package contract

import (
	"context"
	"strings"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/schedule"
)

// skewed is the clock of a machine whose wall clock is wrong.
type skewed struct {
	clock.Clock
	by time.Duration
}

func (s skewed) Read() clock.Reading {
	r := s.Clock.Read()
	r.Wall += int64(s.by)
	return r
}

func (s skewed) NewAlarm(wake func()) clock.Alarm { return skewedAlarm{s.Clock.NewAlarm(wake), s.by} }

type skewedAlarm struct {
	clock.Alarm
	by time.Duration
}

func (a skewedAlarm) Set(boot, wall int64) {
	if wall != clock.Never {
		wall -= int64(a.by)
	}
	a.Alarm.Set(boot, wall)
}

var clockCases = []Case{
	{
		"TheStoresClockDecides", "H1 C1", "a worker whose clock is fast runs tasks early, and one whose clock is slow runs them late",
		func(e *env) {
			for name, by := range map[string]time.Duration{"fast": 5 * time.Minute, "slow": -5 * time.Minute} {
				e.with(func(o *duly.Options) { o.Clock = skewed{e.clk, by} })
				e.work()
				at := e.since() + 10*time.Second
				e.put(name+" at", once(at))
				e.put(name+" after", schedule.After(10*time.Second))
				e.put(name+" every", schedule.Every(10*time.Second).Times(2))
				e.pass(30 * time.Second)
				for _, s := range e.rec.of("") {
					if late := s.Started.Sub(s.Due); strings.HasPrefix(s.Name, name) && late > 10*time.Millisecond {
						e.Errorf("%s began %v late", s.Name, late)
					}
				}
			}
			is(e, "attempts", len(e.rec.of("")), 8)
		},
	},
	{
		"ClockForward", "H3 H2", "when the clock is set forward what was passed is lost, or runs many times",
		func(e *env) {
			e.put("once", once(10*time.Minute))
			e.put("within", once(10*time.Minute), duly.StartWithin(time.Minute))
			e.put("every", schedule.Every(time.Minute))
			e.put("all", schedule.Every(20*time.Minute), duly.CatchUp(duly.All(9)), duly.Window(2*time.Hour))
			e.put("pace", schedule.Pace(30*time.Minute))
			e.work()
			e.pass(90 * time.Second)
			e.step(time.Hour)
			e.pass(time.Minute)
			e.wantRan("once", "1h1m30s for 10m0s")
			e.wantRan("within")
			e.wantWhy("within", duly.WhyExpired)
			e.wantRan("every", "1m0s for 1m0s", "1h1m30s for 1h1m0s missed 59", "1h2m0s for 1h2m0s")
			e.wantRan("all", "1h1m30s for 20m0s", "1h1m30s for 40m0s", "1h1m30s for 1h0m0s")
			e.wantRan("pace", "1h1m30s for 30m0s")
		},
	},
	{
		"ClockBack", "H3 H2", "when the clock is set back what ran already runs again",
		func(e *env) {
			e.put("every", schedule.Every(10*time.Second))
			e.put("cron", schedule.Cron("* * * * *"))
			e.put("ran", once(20*time.Second))
			e.put("to come", once(90*time.Second))
			e.work()
			e.pass(65 * time.Second)
			n := len(e.rec.of("every"))
			is(e, "runs", n, 6)
			e.step(-50 * time.Second) // 15 s
			e.pass(54 * time.Second)  // 69 s
			is(e, "runs of what ran already", len(e.rec.of("every")), n)
			is(e, "runs of ran", len(e.rec.of("ran")), 1)
			e.pass(22 * time.Second) // 91 s
			is(e, "runs once the clock is past that", len(e.rec.of("every")), n+3)
			e.wantRan("to come", "1m30s for 1m30s")
			e.wantRan("cron", "33.464103s for 33.464103s")
			e.kill()
			e.step(-40 * time.Second)
			e.pass(40 * time.Second)
			is(e, "after a crash and another step", len(e.rec.of("every")), n+3)
		},
	},
	{
		"ClockBackAndForth", "H3", "a clock that is set back and forth repeats or loses an occurrence",
		func(e *env) {
			e.put("every", schedule.Every(7*time.Second), duly.CatchUp(duly.All(1000)), duly.Window(time.Hour))
			e.work()
			for i, d := range []int{-3, 40, -20, 1, -1, 100, -130, 30, 0, -5} {
				e.step(time.Duration(d) * time.Second)
				e.pass(time.Duration(5+i) * time.Second)
				if i == 5 {
					e.kill()
				}
			}
			e.pass(5 * time.Minute)
			all := e.rec.of("every")
			for i := range all {
				is(e, "occurrence", all[i].ScheduledFor.Sub(start), time.Duration(i+1)*7*time.Second)
			}
		},
	},
	{
		"LeasesAreMonotonic", "H3 D2", "setting the clock makes a run lose its lease, or keep it for ever",
		func(e *env) {
			e.mail(e.takes(time.Minute))
			e.work()
			e.put("a", schedule.After(0))
			e.pass(5 * time.Second)
			e.step(24 * time.Hour)
			e.pass(5 * time.Second)
			e.step(-48 * time.Hour)
			e.pass(50 * time.Second)
			is(e, "attempts", len(e.rec.of("a")), 1)
			e.wantMoves("a", "running>done settle")
			e.put("b", schedule.After(0))
			e.kill()
			e.step(-time.Hour)
			e.pass(2 * time.Minute)
			e.wantMoves("b", "running>pending rescue", "running>done settle")
		},
	},
	{
		"Suspend", "H2 H3", "a laptop that was closed overnight forgets what was due",
		func(e *env) {
			e.mail(e.takes(time.Second))
			e.put("once", once(10*time.Minute))
			e.put("delay", schedule.After(10*time.Minute))
			e.put("every", schedule.Every(time.Minute))
			e.work()
			e.pass(90 * time.Second)
			e.clk.Suspend(8 * time.Hour)
			e.pass(time.Minute)
			e.wantRan("once", "8h1m30s for 10m0s")
			e.wantRan("delay", "8h1m30s for 10m0s")
			e.wantRan("every", "1m0s for 1m0s", "8h1m30s for 8h1m0s missed 479", "8h2m0s for 8h2m0s")
		},
	},
	{
		"SuspendedInARun", "H2 D2", "a run that slept with its machine is lost, or runs twice at once",
		func(e *env) {
			e.mail(func(_ context.Context, a *duly.Attempt[[]byte]) error {
				if a.Number > 1 {
					return nil
				}
				return e.sleep(context.Background(), 90*time.Minute)
			})
			e.work()
			e.put("a", schedule.After(0))
			e.pass(5 * time.Second)
			e.clk.Suspend(time.Hour)
			e.pass(2 * time.Hour) // it is renewed at once, or lost and tried again
			moves := e.moves("a")
			is(e, "end of it", moves[len(moves)-1], "running>done settle")
			is(e, "running", e.stats().Running, 0)
		},
	},
}

var zoneCases = []Case{
	{
		"GapAndFold", "I1 I2 I3", "in the night in which the clocks change a report is missing, or comes twice",
		func(e *env) {
			const zone = "Europe/Berlin"
			daily := schedule.Cron("30 2 * * *").In(zone)
			for name, s := range map[string]schedule.Schedule{
				"default": daily, "skip": daily.DST(schedule.GapSkip, schedule.FoldFirst), "shift": daily.DST(schedule.GapShift, schedule.FoldSecond),
				"both": daily.DST(schedule.GapAfter, schedule.FoldBoth), "utc": schedule.Cron("30 2 * * *"),
			} {
				e.put(name, s)
			}
			e.noHistory = true
			e.work()
			want := func(name string, days ...string) {
				var got []string
				for _, s := range e.rec.of(name) {
					if d := s.ScheduledFor.Format("Jan 2"); d == "Mar 30" || d == "Oct 26" {
						got = append(got, s.ScheduledFor.Format("Jan 2 15:04"))
					}
				}
				is(e, name, strings.Join(got, ", "), strings.Join(days, ", "))
			}
			e.pass(16 * 24 * time.Hour)
			want("default", "Mar 30 01:00") // 3:00 there, the first instant after the gap
			want("skip")
			want("shift", "Mar 30 01:30")
			want("both", "Mar 30 01:00")
			want("utc", "Mar 30 02:30")
			e.down(200 * 24 * time.Hour)
			e.pass(15 * 24 * time.Hour)
			want("default", "Mar 30 01:00", "Oct 26 00:30")
			want("skip", "Oct 26 00:30")
			want("shift", "Mar 30 01:30", "Oct 26 01:30")
			want("both", "Mar 30 01:00", "Oct 26 00:30", "Oct 26 01:30")
			want("utc", "Mar 30 02:30", "Oct 26 02:30")
		},
	},
	{
		"LocalInstants", "I1 I2", "a civil time is read in the zone of the machine",
		func(e *env) {
			e.work()
			for name, c := range map[string]struct {
				civil, zone string
				want        string
			}{
				"winter": {"2031-03-15T09:00", "Europe/Berlin", "2031-03-15T08:00:00Z"}, "summer": {"2031-07-01T09:00", "Europe/Berlin", "2031-07-01T07:00:00Z"},
				"india": {"2031-03-15T09:00", "Asia/Kolkata", "2031-03-15T03:30:00Z"},
			} {
				entry := e.put(name, schedule.AtLocal(c.civil, c.zone))
				is(e, name, entry.Due.Format(time.RFC3339), c.want)
			}
			e.pass(24 * time.Hour)
			is(e, "runs", len(e.rec.of("")), 2)
		},
	},
}
