package contract

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
)

var recurCases = []Case{
	{
		"Modes", "G1", "a schedule drifts, or runs twice as often as it should",
		func(e *env) {
			// Runs of 4 and 14 seconds, and then of none.
			for _, c := range []struct {
				s   schedule.Schedule
				ran string
			}{
				{schedule.Every(10 * time.Second), "10s 20s 40s 50s"},
				{schedule.Pace(10 * time.Second), "10s 24s 48s 58s"},
				{schedule.PaceFromStart(10 * time.Second), "10s 20s 34s 44s 54s"},
			} {
				name := c.s.String()
				e.handle(name, e.takes(4*time.Second, 14*time.Second, 0))
				if _, err := e.tryWith(e.kinds[name], name, "", c.s); err != nil {
					e.Fatal(err)
				}
			}
			e.work()
			e.pass(59 * time.Second)
			for name, want := range map[string]string{"every 10s": "10s 20s 40s 50s", "pace 10s": "10s 24s 48s 58s", "pace-from-start 10s": "10s 20s 34s 44s 54s"} {
				var at []string
				for _, s := range e.rec.of(name) {
					at = append(at, s.at.String())
				}
				is(e, name, strings.Join(at, " "), want)
			}
		},
	},
	{
		"FirstInstantAndGrid", "G1", "the first run comes at once, or the phase is another after each restart",
		func(e *env) {
			every := schedule.Every(time.Minute)
			e.work()
			e.pass(7 * time.Second)
			want := map[string][]string{}
			for name, c := range map[string]struct {
				s   schedule.Schedule
				ran []string
			}{
				"after one period":    {every, []string{"1m7s for 1m7s", "2m7s for 2m7s", "3m7s for 3m7s"}},
				"aligned":             {every.AlignTo(at(0)), []string{"1m0s for 1m0s", "2m0s for 2m0s", "3m0s for 3m0s"}},
				"aligned to the past": {every.AlignTo(at(-1000*time.Hour + 30*time.Second)), []string{"30s for 30s", "1m30s for 1m30s", "2m30s for 2m30s", "3m30s for 3m30s"}},
				"from":                {every.From(at(20 * time.Second)), []string{"20s for 20s", "1m20s for 1m20s", "2m20s for 2m20s", "3m20s for 3m20s"}},
				"from the past":       {every.From(at(-10 * time.Minute)), []string{"7s for 0s missed 10", "1m0s for 1m0s", "2m0s for 2m0s", "3m0s for 3m0s"}},
				"from and aligned":    {every.From(at(61 * time.Second)).AlignTo(at(0)), []string{"2m0s for 2m0s", "3m0s for 3m0s"}},
				"until":               {every.Until(at(2 * time.Minute)), []string{"1m7s for 1m7s"}},
				"times":               {every.Times(2), []string{"1m7s for 1m7s", "2m7s for 2m7s"}},
				"pace from":           {schedule.Pace(time.Minute).From(at(20 * time.Second)), []string{"20s for 20s", "1m20s for 1m20s", "2m20s for 2m20s", "3m20s for 3m20s"}},
				"pace":                {schedule.Pace(time.Minute), []string{"1m7s for 1m7s", "2m7s for 2m7s", "3m7s for 3m7s"}},
				"pace, twice":         {schedule.Pace(time.Minute).Times(2), []string{"1m7s for 1m7s", "2m7s for 2m7s"}},
				"pace from start":     {schedule.PaceFromStart(time.Minute).Times(1), []string{"1m7s for 1m7s"}},
			} {
				e.put(name, c.s)
				want[name] = c.ran
			}
			e.until(210 * time.Second)
			for name, ran := range want {
				e.wantRan(name, ran...)
			}
			for _, name := range []string{"until", "times", "pace, twice", "pace from start"} {
				e.gone(name, duly.ErrFinished)
			}
		},
	},
	{
		"InPhaseForEver", "G1", "rounding adds up, and after a week the report is a minute late",
		func(e *env) {
			e.put("a", schedule.Every(333_333_333))
			period := time.Duration(e.many(420)) * time.Second
			e.put("b", schedule.Every(period))
			e.work()
			e.pass(100 * 333_333_333)
			e.down(time.Hour)
			e.pass(6 * 333_333_333)
			all := e.rec.of("a")
			last := all[len(all)-1]
			if n := last.ScheduledFor.Sub(start); n%333_333_333 > time.Microsecond && 333_333_333-n%333_333_333 > time.Microsecond {
				e.Errorf("a ran for %v, which is off its grid", n)
			}
			e.pass(period)
			b := e.rec.of("b")
			is(e, "b's last", b[len(b)-1].ScheduledFor.Sub(start)%period, 0)
		},
	},
	{
		"PaceSurvivesFailuresAndCrashes", "G1 F3 D5", "a fixed delay ends for good when a run of it is dead or its process dies",
		func(e *env) {
			var fail atomic.Bool
			fail.Store(true)
			e.mail(func(ctx context.Context, _ *duly.Attempt[[]byte]) error {
				if fail.Load() {
					return duly.Permanent(errOops)
				}
				return e.sleep(ctx, 5*time.Second)
			})
			e.put("a", schedule.Pace(10*time.Second))
			e.work()
			e.pass(12 * time.Second) // dead at 10 s, so that 20 s is next
			fail.Store(false)
			e.pass(10 * time.Second) // runs since 20 s
			e.kill()                 // at 22 s; lost, and tried again to 27 s
			e.until(45 * time.Second)
			e.wantRan("a", "10s for 10s", "20s for 20s", "22s for 20s #2", "37s for 37s")
		},
	},
	{
		"TimesCountsStarts", "G5", "a task that was to run three times runs more often when it fails, or less when it is late",
		func(e *env) {
			e.mail(func(_ context.Context, a *duly.Attempt[[]byte]) error {
				if a.Number == 1 {
					return duly.RetryAfter(time.Second, errOops)
				}
				return nil
			})
			e.put("a", schedule.Every(10*time.Second).Times(3))
			e.put("p", schedule.Pace(10*time.Second).Times(3))
			e.put("s", schedule.PaceFromStart(10*time.Second).Times(3))
			e.work()
			e.pass(15 * time.Second)
			e.down(20 * time.Second)
			e.pass(time.Minute)
			e.wantRan("a", "10s for 10s", "11s for 10s #2", "35s for 30s missed 1", "36s for 30s #2 missed 1", "40s for 40s", "41s for 40s #2")
			e.wantRan("p", "10s for 10s", "11s for 10s #2", "35s for 21s", "36s for 21s #2", "46s for 46s", "47s for 46s #2")
			e.wantRan("s", "10s for 10s", "11s for 10s #2", "35s for 20s", "36s for 20s #2", "45s for 45s", "46s for 45s #2")
			for _, name := range []string{"a", "p", "s"} {
				e.gone(name, duly.ErrFinished)
			}
		},
	},
	{
		"AnIdleYear", "G1 C6", "a task of once a month is late or forgotten because the window of what is near never reached it",
		func(e *env) {
			e.noHistory = true // it is kept for a week
			e.put("yearly", schedule.Cron("0 0 1 1 *"))
			e.put("monthly", schedule.Cron("0 0 1 * *"))
			e.put("once", once(200*24*time.Hour))
			e.work()
			e.pass(366 * 24 * time.Hour)
			is(e, "yearly", len(e.rec.of("yearly")), 1)
			is(e, "monthly", len(e.rec.of("monthly")), 12)
			for _, s := range e.rec.of("") {
				is(e, "lateness of "+s.Name, s.Started.Sub(s.Due), 0)
			}
		},
	},
}

// G2. What comes due during a run, drawn as time lines: period 10 s, first run from 10 to 45.
var overlapCases = []Case{
	{
		"Overlap", "G2", "a slow run is lapped, or what was missed is lost or run too often",
		func(e *env) {
			for _, c := range []struct {
				p   duly.OverlapPolicy
				ran []string
			}{
				{duly.Skip, []string{"10s for 10s", "50s for 50s", "1m0s for 1m0s", "1m10s for 1m10s"}},
				{duly.BufferOne, []string{"10s for 10s", "45s for 40s missed 2", "50s for 50s", "1m0s for 1m0s", "1m10s for 1m10s"}},
				{duly.BufferAll(9), []string{"10s for 10s", "45s for 20s", "45s for 30s", "45s for 40s", "50s for 50s", "1m0s for 1m0s", "1m10s for 1m10s"}},
				{duly.BufferAll(2), []string{"10s for 10s", "45s for 30s", "45s for 40s", "50s for 50s", "1m0s for 1m0s", "1m10s for 1m10s"}},
				{duly.Allow, []string{"10s for 10s", "20s for 20s", "30s for 30s", "40s for 40s", "50s for 50s", "1m0s for 1m0s", "1m10s for 1m10s"}},
			} {
				name := c.p.String()
				e.overlapping[name] = c.p == duly.Allow
				e.handle(name, e.takes(35*time.Second, 0))
				if _, err := e.tryWith(e.kinds[name], name, "", schedule.Every(10*time.Second), duly.Overlap(c.p)); err != nil {
					e.Fatal(err)
				}
				defer e.wantRan(name, c.ran...)
			}
			e.work()
			e.pass(75 * time.Second)
		},
	},
	{
		"BufferIsEmptiedInOrder", "G2 C3", "what is buffered runs beside each other or backwards when the buffered runs take long too",
		func(e *env) {
			e.handle("slow", e.takes(12*time.Second))
			if _, err := e.tryWith(e.kinds["slow"], "a", "", schedule.Every(10*time.Second).Times(5), duly.Overlap(duly.BufferAll(100))); err != nil {
				e.Fatal(err)
			}
			e.work()
			e.pass(100 * time.Second)
			e.wantRan("a", "10s for 10s", "22s for 20s", "34s for 30s", "46s for 40s", "58s for 50s")
			e.gone("a", duly.ErrFinished)
		},
	},
	{
		"CancelOther", "G2 E3", "the newest run waits behind one that is out of date, or starts beside it",
		func(e *env) {
			e.mail(func(ctx context.Context, _ *duly.Attempt[[]byte]) error {
				if err := e.sleep(ctx, 25*time.Second); err == nil {
					return nil
				}
				_ = e.sleep(context.Background(), 2*time.Second) // to tidy up
				return context.Cause(ctx)
			})
			e.put("a", schedule.Every(10*time.Second), duly.Overlap(duly.CancelOther))
			e.work()
			e.pass(35 * time.Second)
			e.wantRan("a", "10s for 10s", "22s for 20s", "32s for 30s")
			for _, s := range e.rec.of("a")[:2] {
				e.wantErr("cause of "+s.RunID, s.cause, duly.ErrStopped)
			}
			e.cancel("a")
			e.pass(30 * time.Second)
			is(e, "runs after the cancel", len(e.rec.of("a")), 3)
		},
	},
	{
		"CancelOtherGivesUpARetry", "G2 F2", "a run that only waits for its retry holds up the one that replaces it",
		func(e *env) {
			e.mail(func(_ context.Context, a *duly.Attempt[[]byte]) error {
				if a.ScheduledFor.Equal(at(10 * time.Second)) {
					return duly.RetryAfter(time.Hour, errOops)
				}
				return nil
			})
			e.put("a", schedule.Every(10*time.Second), duly.Overlap(duly.CancelOther))
			e.work()
			e.pass(25 * time.Second)
			e.wantRan("a", "10s for 10s", "20s for 20s")
			e.wantMoves("a", "running>pending retry", "pending>cancelled stop", "running>done settle")
		},
	},
	{
		"RetryMeetsNextOccurrence", "F2 G2", "retries of one occurrence and the occurrences after it get in each other's way",
		func(e *env) {
			for _, c := range []struct {
				p   duly.OverlapPolicy
				ran []string
			}{ // the first fails at 10 and at 15, and succeeds at 45
				{duly.Skip, []string{"10s for 10s", "15s for 10s #2", "45s for 10s #3", "50s for 50s"}},
				{duly.BufferOne, []string{"10s for 10s", "15s for 10s #2", "45s for 10s #3", "45s for 40s missed 2", "50s for 50s"}},
				{duly.BufferAll(9), []string{"10s for 10s", "15s for 10s #2", "45s for 10s #3", "45s for 20s", "45s for 30s", "45s for 40s", "50s for 50s"}},
				{duly.Allow, []string{"10s for 10s", "15s for 10s #2", "20s for 20s", "30s for 30s", "40s for 40s", "45s for 10s #3", "50s for 50s"}},
			} {
				name := c.p.String()
				e.overlapping[name] = c.p == duly.Allow
				e.handle(name, func(_ context.Context, a *duly.Attempt[[]byte]) error {
					switch {
					case !a.ScheduledFor.Equal(at(10*time.Second)) || a.Number == 3:
						return nil
					case a.Number == 2:
						return duly.RetryAfter(30*time.Second, errOops)
					}
					return duly.RetryAfter(5*time.Second, errOops)
				})
				if _, err := e.tryWith(e.kinds[name], name, "", schedule.Every(10*time.Second), duly.Overlap(c.p)); err != nil {
					e.Fatal(err)
				}
				defer func() {
					e.wantRan(name, c.ran...)
					all := e.rec.of(name)
					is(e, name+": run id of the second attempt", all[1].RunID, all[0].RunID)
					if all[1].Fence <= all[0].Fence {
						e.Errorf("%s: fence %d after %d", name, all[1].Fence, all[0].Fence)
					}
				}()
			}
			e.work()
			e.pass(55 * time.Second)
		},
	},
	{
		"AllowOverlapsItself", "G2", "a task that may overlap itself is serialised, or its runs share a run id",
		func(e *env) {
			e.overlapping["a"] = true
			e.mail(e.takes(25 * time.Second))
			e.put("a", schedule.Every(10*time.Second).Times(4), duly.Overlap(duly.Allow))
			e.work()
			e.pass(41 * time.Second)
			e.wantRan("a", "10s for 10s", "20s for 20s", "30s for 30s", "40s for 40s")
			is(e, "runs under way", len(e.get("a").Runs), 3)
			e.kill()
			e.pass(2 * time.Minute) // what was lost runs one by one
			ids := map[string]int{}
			for _, s := range e.rec.of("a") {
				ids[s.RunID]++
			}
			is(e, "runs", len(ids), 4)
			is(e, "attempts", len(e.rec.of("a")), 7)
			e.gone("a", duly.ErrFinished)
		},
	},
}

// G3. Period 10, stopped from 12 s on.
var missedCases = []Case{
	{
		"CatchUp", "G3", "after a night without power a report runs a thousand times, or not at all",
		func(e *env) {
			with := func(p duly.CatchUpPolicy, more ...duly.PutOption) []duly.PutOption {
				return append(more, duly.CatchUp(p))
			}
			window := duly.Window(25 * time.Second)
			for name, c := range map[string]struct {
				opts []duly.PutOption
				ran  []string
			}{
				"latest":               {with(duly.Latest), []string{"57s for 50s missed 3"}},
				"oldest":               {with(duly.Oldest), []string{"57s for 20s missed 3"}},
				"oldest, window":       {with(duly.Oldest, window), []string{"57s for 40s missed 1"}},
				"all":                  {with(duly.All(9)), []string{"57s for 20s", "57s for 30s", "57s for 40s", "57s for 50s"}},
				"all, two":             {with(duly.All(2)), []string{"57s for 40s missed 2", "57s for 50s"}},
				"all, window":          {with(duly.All(9), window), []string{"57s for 40s", "57s for 50s"}},
				"all, window, one":     {with(duly.All(1), window), []string{"57s for 50s missed 1"}},
				"latest, small window": {with(duly.Latest, duly.Window(5*time.Second)), nil},
				"none":                 {with(duly.None), []string{"57s for 50s"}},
				"none, small grace":    {with(duly.None, duly.Grace(5*time.Second)), nil},
				"none, grace":          {with(duly.None, duly.Grace(8*time.Second)), []string{"57s for 50s"}},
			} {
				e.put(name, schedule.Every(10*time.Second), c.opts...)
				defer e.wantRan(name, append(append([]string{"10s for 10s"}, c.ran...), "1m0s for 1m0s")...)
			}
			e.work()
			e.pass(12 * time.Second)
			e.down(45 * time.Second)
			e.pass(4 * time.Second)
		},
	},
	{
		"TheDefaultWindow", "G3", "a report of last week is sent today because nothing says how late is too late",
		func(e *env) {
			for name, c := range map[string]struct {
				s    schedule.Schedule
				runs int
			}{
				"second, in time":  {schedule.Every(time.Second).From(at(10 * time.Hour)).Until(at(10*time.Hour + time.Second)), 1},
				"second, too late": {schedule.Every(time.Second).From(at(9 * time.Hour)).Until(at(9*time.Hour + time.Second)), 0},
				"day, in time":     {schedule.Every(24 * time.Hour).From(at(time.Hour)).Until(at(2 * time.Hour)), 1},
			} {
				e.put(name, c.s)
				defer func() { is(e, name, len(e.rec.of(name)), c.runs) }()
			}
			e.put("week, in time", schedule.Every(7*24*time.Hour).From(at(-14*time.Hour+time.Minute)))
			e.put("week, too late", schedule.Every(7*24*time.Hour).From(at(-14*time.Hour+time.Minute-time.Microsecond)))
			e.down(10*time.Hour + time.Minute)
			e.wantRan("week, in time", "10h1m0s for -13h59m0s")
			e.wantRan("week, too late")
		},
	},
	{
		"WeeksAreTooLateAfterADay", "G3", "what is due once a week is sent three days late",
		func(e *env) {
			e.put("a", schedule.Every(7*24*time.Hour))
			e.rest()
			e.down(7*24*time.Hour + 24*time.Hour + time.Second)
			e.wantRan("a")
			e.wantMoves("a", "pending>skipped skip")
			e.pass(7 * 24 * time.Hour)
			e.wantRan("a", fmt.Sprintf("%v for %v", 14*24*time.Hour, 14*24*time.Hour))
		},
	},
	{
		"AMillionMissed", "G3", "a store that was closed for a year takes minutes to open",
		func(e *env) {
			const n = 1_000_000
			e.put("latest", schedule.Every(time.Second))
			e.put("oldest", schedule.Every(time.Second), duly.CatchUp(duly.Oldest))
			e.put("all", schedule.Every(time.Second), duly.CatchUp(duly.All(3)))
			e.put("none", schedule.Every(time.Second), duly.CatchUp(duly.None), duly.Grace(time.Millisecond))
			e.put("skip", schedule.Every(time.Second), duly.Window(time.Nanosecond))
			for name, pre := range map[string]int{"latest": 1, "oldest": 1, "all": 3} {
				defer func() {
					all := e.rec.of(name)
					is(e, name+" runs", len(all), pre)
					var folded int64
					for _, s := range all {
						folded += s.Missed
					}
					evs := e.moves(name)
					if len(evs) > pre+3 {
						e.Errorf("%s: %d entries in the history for a million occurrences, want no more than a few: %q", name, len(evs), evs)
					}
				}()
			}
			e.rest()
			e.down(n*time.Second + 500*time.Millisecond)
			is(e, "latest missed", e.rec.of("latest")[0].Missed, n-1)
			is(e, "all missed", e.rec.of("all")[0].Missed+e.skipped("all"), n-3)
			is(e, "oldest missed", e.rec.of("oldest")[0].Missed+e.skipped("oldest"), n-1)
			is(e, "skipped", e.skipped("skip"), n)
			is(e, "none", e.skipped("none"), n)
			if c := e.store.Calls("Claim") + e.store.Calls("Edit") + e.store.Calls("Settle"); c > 40 {
				e.Errorf("%d writing calls for five tasks", c)
			}
		},
	},
	{
		"MissedWhileARunWasLost", "F2 G2", "what came due while a run was not settled runs after it, though the policy says skip",
		func(e *env) {
			e.mail(e.takes(35*time.Second, 0))
			e.put("a", schedule.Every(10*time.Second))
			e.work()
			e.pass(15 * time.Second)
			e.die()
			e.pass(17 * time.Second) // 32 s
			e.open()
			e.work()
			e.pass(10 * time.Second)
			e.wantRan("a", "10s for 10s", "32s for 10s #2", "40s for 40s")
		},
	},
	{
		"TimesWhenMissed", "G3 G5", "the last run of a limited schedule is lost because it was folded",
		func(e *env) {
			e.put("latest", schedule.Every(10*time.Second).Times(2))
			e.put("all", schedule.Every(10*time.Second).Times(2), duly.CatchUp(duly.All(9)))
			e.put("until", schedule.Every(10*time.Second).Until(at(31*time.Second)))
			e.rest()
			e.down(57 * time.Second)
			e.pass(10 * time.Second)
			e.wantRan("latest", "57s for 50s missed 4", "1m0s for 1m0s")
			e.wantRan("all", "57s for 10s", "57s for 20s")
			e.wantRan("until", "57s for 30s missed 2")
			for _, name := range []string{"latest", "all", "until"} {
				e.gone(name, duly.ErrFinished)
			}
		},
	},
	{
		"StartWithin", "G4", "a reminder is dropped because it is late, or a stale one is sent after all",
		func(e *env) {
			e.put("late", once(10*time.Second))
			e.put("in time", once(10*time.Second), duly.StartWithin(time.Hour))
			e.put("expired", once(10*time.Second), duly.StartWithin(time.Hour-time.Microsecond))
			e.put("delay", schedule.After(10*time.Second), duly.StartWithin(time.Minute))
			e.rest()
			e.down(10*time.Second + time.Hour)
			e.wantRan("late", "1h0m10s for 10s")
			e.wantRan("in time", "1h0m10s for 10s")
			e.wantRan("expired")
			e.wantRan("delay")
			e.wantMoves("expired", "pending>expired skip")
			e.wantWhy("delay", duly.WhyExpired)
			e.gone("expired", duly.ErrFinished)
			is(e, "expired, as counted", e.stats().Expired, 2)
			e.putWith("expired", "again", schedule.After(0)) // B3
			is(e, "runs of it when it was put again", len(e.rec.of("expired")), 1)
			_, err := e.try("bad", schedule.Every(time.Second), duly.StartWithin(time.Second))
			e.wantInvalid("StartWithin of what recurs", err, "start within")
		},
	},
	{
		"StartWithinIsForTheStart", "G4 F2", "a retry is refused because the start was to be earlier, or a task waits for a place and starts too late",
		func(e *env) {
			e.with(func(o *duly.Options) { o.Workers = 1 })
			e.mail(func(ctx context.Context, a *duly.Attempt[[]byte]) error {
				if a.Name == "retried" && a.Number == 1 {
					return duly.RetryAfter(time.Minute, errOops)
				}
				if a.Name == "blocks" {
					return e.sleep(ctx, 10*time.Second)
				}
				return nil
			})
			e.work()
			e.put("retried", schedule.After(0), duly.StartWithin(time.Second))
			e.put("blocks", once(5*time.Second))
			e.put("waits", once(6*time.Second), duly.StartWithin(5*time.Second))
			e.put("waits longer", once(6*time.Second), duly.StartWithin(10*time.Second))
			e.pass(2 * time.Minute)
			e.wantRan("retried", "0s for 0s", "1m0s for 0s #2")
			e.wantRan("waits")
			e.wantWhy("waits", duly.WhyExpired)
			e.wantRan("waits longer", "15s for 6s")
		},
	},
	{
		"YearsLate", "G4", "a one-off is forgotten after a long time",
		func(e *env) {
			e.noHistory = true
			e.put("a", schedule.After(time.Hour))
			e.rest()
			e.down(50 * 365 * 24 * time.Hour)
			is(e, "runs", len(e.rec.of("a")), 1)
		},
	},
}

// skipped is how many occurrences of a name were passed by and not folded.
func (e *env) skipped(name string) (n int64) {
	e.Helper()
	for _, v := range e.events() {
		if v.Name == name && v.To == duly.Skipped && v.Reason != "folded" {
			n += max(v.Missed, 1)
		}
	}
	return n
}
