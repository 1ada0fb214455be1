package contract

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/zonedb"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/storetest"
)

// changing is the zone whose rules the cases change.
const changing = "Europe/Berlin"

// morning is 09:00 there.
func morning() schedule.Schedule { return schedule.Cron("0 9 * * *").In(changing) }

// rules lets the zone be so many hours ahead of UTC for whoever begins from now on.
func (e *env) rules(hours int) {
	e.Helper()
	e.Cleanup(zonedb.Use(&zonedb.DB{Version: fmt.Sprint("rules ", hours), Load: func(name string) (*time.Location, error) {
		if name != changing {
			return nil, errors.New("it has one zone only")
		}
		return time.FixedZone(name, hours*3600), nil
	}}))
}

// clockTime is the time from the start to a day of March and a time of day, in UTC.
func clockTime(day, hour, minute int) time.Duration {
	return time.Date(2031, time.March, day, hour, minute, 0, 0, time.UTC).Sub(start)
}

// ranFor compares the nominal instants for which a name ran, each of which must have begun when it was due.
func (e *env) ranFor(name string, want ...string) {
	e.Helper()
	var got []string
	for _, s := range e.rec.of(name) {
		got = append(got, s.ScheduledFor.Format("2 15:04"))
		if !s.Started.Equal(s.Due) {
			e.Errorf("%s for %v was due at %v and began at %v", name, s.ScheduledFor, s.Due, s.Started)
		}
	}
	is(e, "runs of "+name, strings.Join(got, ", "), strings.Join(want, ", "))
}

// comes compares when a name is next.
func (e *env) comes(name, want string) {
	e.Helper()
	t := e.find(name)
	if t == nil {
		e.Errorf("there is no task %q", name)
		return
	}
	is(e, "next of "+name, t.Next.For.Time().Format("2 15:04"), want)
}

var rulesCases = []Case{
	{
		"NewRulesOfAZone", "I1 E5 H3", "a report that was to come at nine comes at eight because the country has given up summer time",
		func(e *env) {
			e.rules(1)
			e.work()
			for _, name := range []string{"daily", "moved", "paused", "kept"} {
				e.put(name, morning())
			}
			e.put("jitter", morning().Jitter(time.Hour))
			e.put("utc", schedule.Cron("0 9 * * *"))
			e.put("every", schedule.Every(24*time.Hour).From(at(clockTime(15, 8, 0))))
			_, err := e.d.Pause(e.ctx, duly.Query{Names: []string{"paused"}}, "for the test")
			e.wantErr("Pause", err, nil)
			e.until(clockTime(15, 12, 0))
			_, err = e.d.Move(e.ctx, "moved", schedule.At(at(clockTime(16, 7, 30))))
			e.wantErr("Move", err, nil)
			_, err = e.tryWith(e.of(kind), "kept", "other", schedule.Cron("0 10 * * *").In(changing), duly.OnConflict(duly.KeepTime))
			e.wantErr("Put", err, nil)
			e.strange[store.Key{Name: "kept"}] = true
			was := e.find("daily")
			e.rules(0)
			e.down(time.Hour)
			is(e, "generation", e.find("daily").Generation, was.Generation)
			for name, next := range map[string]string{
				"daily": "16 09:00", "jitter": "16 09:00", "paused": "15 09:00", "moved": "16 07:30", "kept": "16 08:00", "utc": "16 09:00", "every": "16 08:00",
			} {
				e.comes(name, next)
			}
			e.until(clockTime(17, 12, 0))
			_, err = e.d.Resume(e.ctx, duly.Query{Names: []string{"paused"}})
			e.wantErr("Resume", err, nil)
			e.until(clockTime(18, 12, 0))
			e.ranFor("daily", "15 08:00", "16 09:00", "17 09:00", "18 09:00")
			e.ranFor("jitter", "15 08:00", "16 09:00", "17 09:00", "18 09:00")
			e.ranFor("moved", "15 08:00", "16 07:30", "16 09:00", "17 09:00", "18 09:00")
			e.ranFor("kept", "15 08:00", "16 08:00", "16 10:00", "17 10:00", "18 10:00")
			e.ranFor("paused", "18 09:00")
			e.ranFor("utc", "15 09:00", "16 09:00", "17 09:00", "18 09:00")
			e.ranFor("every", "15 08:00", "16 08:00", "17 08:00", "18 08:00")
			e.wantMoves("daily", "running>done settle", "pending>pending align", "running>done settle", "running>done settle", "running>done settle")
		},
	},
	{
		"EarlierByNewRules", "I1 G3", "what the new rules have earlier is found when the old instant comes, hours late",
		func(e *env) {
			e.rules(1)
			e.work()
			e.put("daily", morning())
			e.put("none", morning(), duly.CatchUp(duly.None))
			e.comes("daily", "15 08:00")
			e.rules(3)
			e.down(time.Hour)
			e.until(clockTime(15, 12, 0))
			e.ranFor("daily", "15 06:00")
			e.rules(5)
			e.down(20 * time.Hour) // until 8:00 on the next day, and 4:00 was missed
			e.pass(time.Hour)
			late := e.rec.of("daily")[1]
			is(e, "the one that was missed", late.ScheduledFor, at(clockTime(16, 4, 0)))
			is(e, "when it began", late.Started, at(clockTime(16, 8, 0)))
			e.until(clockTime(17, 12, 0))
			e.ranFor("none", "15 06:00", "17 04:00")
			is(e, "runs", len(e.rec.of("daily")), 3)
		},
	},
	{
		"RulesThatComeLate", "I1 H3", "what has run by the old rules runs again on the same day by the new ones",
		func(e *env) {
			e.rules(3)
			e.work()
			e.put("daily", morning())
			e.strange[store.Key{Name: "hourly"}] = true // its grid is now this, now that
			e.put("hourly", schedule.Cron("0 9-17 * * *").In(changing))
			e.until(clockTime(15, 6, 20))
			e.rules(2) // nine o'clock was an hour later, as it turns out
			e.down(10 * time.Minute)
			e.until(clockTime(16, 12, 0))
			e.ranFor("daily", "15 06:00", "16 07:00")
			e.rules(3) // and now it is not
			e.down(10 * time.Minute)
			e.until(clockTime(17, 12, 0))
			e.ranFor("daily", "15 06:00", "16 07:00", "17 06:00")
			hourly := e.rec.of("hourly")
			for i, s := range hourly[1:] {
				if !s.ScheduledFor.After(hourly[i].ScheduledFor) {
					e.Errorf("hourly: %v after %v", s.ScheduledFor, hourly[i].ScheduledFor)
				}
			}
		},
	},
	{
		"OldRulesOfAnother", "I1 C1", "a client whose zones are old lets a task run at the wrong time",
		func(e *env) {
			e.rules(0)
			e.work()
			p := store.Put{
				Key: store.Key{Name: "daily"}, Spec: store.Spec{Kind: kind, Schedule: morning().String(), Recurring: true}, AcceptedAt: store.At(start),
				When: store.On(store.Occurrence{For: store.At(at(clockTime(15, 8, 0)))}), // an hour early
			}
			res, err := e.raw.Put(e.ctx, []store.Put{p})
			e.wantErr("Put", errors.Join(err, res[0].Err), nil)
			p.Name, p.When = "ends", store.On(store.Occurrence{For: store.At(at(clockTime(15, 8, 0)))})
			p.Schedule = morning().Until(at(clockTime(15, 8, 30))).String()
			res, err = e.raw.Put(e.ctx, []store.Put{p})
			e.wantErr("Put", errors.Join(err, res[0].Err), nil)
			e.until(clockTime(16, 12, 0))
			e.ranFor("daily", "15 09:00", "16 09:00")
			e.ranFor("ends")
			e.gone("ends", duly.ErrFinished)
		},
	},
	{
		"RulesAreLookedAtOnce", "I1 C6", "each start reads the whole store, or a store that fails once keeps the old instants",
		func(e *env) {
			e.rules(1)
			e.work()
			e.put("daily", morning())
			looked := func(want bool) { // what was found is noted
				e.Helper()
				if n := e.store.Calls("SetNote"); n > 0 != want {
					e.Errorf("all tasks were looked at %d times since the start; at all: want %t", n, want)
				}
			}
			looked(true) // it was not known before
			if e.o.Forgets {
				e.kill()
			} else {
				e.down(time.Hour)
			}
			looked(false)
			for _, method := range []string{"Note", "Due", "Edit", "SetNote"} {
				hours := len(method) // each another
				e.rules(hours)
				e.die()
				e.open()
				e.store.Plant(storetest.Fault{Kind: storetest.Fail, Method: method, N: 1}, storetest.Fault{Kind: storetest.Fail, Method: method, N: 2})
				e.work()
				e.pass(10 * time.Second)
				e.comes("daily", time.Date(2031, time.March, 15, 9-hours, 0, 0, 0, time.UTC).Format("2 15:04"))
			}
			e.kill()
			looked(false)
		},
	},
}
