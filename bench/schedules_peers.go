package main

import (
	"time"

	"github.com/adhocore/gronx"
	netresearch "github.com/netresearch/go-cron"
	"github.com/robfig/cron/v3"
	"github.com/teambition/rrule-go"

	"github.com/dulyhq/duly/schedule"
)

// A schedulePeer is a package whose Next is measured. read gives the question as a function, parsed where the package parses
// beforehand, or nil where it refuses the rule.
type schedulePeer struct {
	name, title, module string
	sets                []string
	share               int // of the cases of a set: one in so many, since some are slow
	read                func(c scheduleCase, loc *time.Location) func(time.Time) time.Time
}

func schedulePeers() []schedulePeer {
	return []schedulePeer{
		{
			name: "duly", title: "duly", sets: []string{"common", "all", "hard", "rrule", "rrule-rare", "calendar"}, share: 1,
			read: func(c scheduleCase, _ *time.Location) func(time.Time) time.Time {
				s, err := schedule.Parse(c.text())
				if err != nil {
					return nil
				}
				return s.Bind("task", time.Time{}).Next
			},
		},
		{
			name: "robfig", title: "robfig/cron", module: "github.com/robfig/cron/v3", sets: []string{"common", "hard"}, share: 4,
			read: func(c scheduleCase, _ *time.Location) func(time.Time) time.Time {
				s, err := cron.ParseStandard("CRON_TZ=" + c.zone + " " + c.expr)
				if err != nil {
					return nil
				}
				return s.Next
			},
		},
		{
			name: "netresearch", title: "netresearch/go-cron", module: "github.com/netresearch/go-cron", sets: []string{"common", "hard"}, share: 4,
			read: func(c scheduleCase, _ *time.Location) func(time.Time) time.Time {
				s, err := netresearch.ParseStandard("CRON_TZ=" + c.zone + " " + c.expr)
				if err != nil {
					return nil
				}
				return s.Next
			},
		},
		{
			name: "gronx", title: "adhocore/gronx, which parses at each call", module: "github.com/adhocore/gronx", sets: []string{"common", "hard"}, share: 4,
			read: func(c scheduleCase, _ *time.Location) func(time.Time) time.Time {
				if !gronx.IsValid(c.expr) {
					return nil
				}
				return func(t time.Time) time.Time {
					next, err := gronx.NextTickAfter(c.expr, t, false)
					if err != nil {
						return time.Time{}
					}
					return next
				}
			},
		},
		{
			name: "teambition", title: "teambition/rrule-go, which begins at the start at each call", module: "github.com/teambition/rrule-go",
			sets: []string{"rrule", "rrule-rare"}, share: 4,
			read: func(c scheduleCase, loc *time.Location) func(time.Time) time.Time {
				option, err := rrule.StrToROptionInLocation(c.expr, loc)
				if err != nil {
					return nil
				}
				s := c.start
				option.Dtstart = time.Date(s.Year(), s.Month(), s.Day(), s.Hour(), s.Minute(), s.Second(), 0, loc)
				rule, err := rrule.NewRRule(*option)
				if err != nil {
					return nil
				}
				return func(t time.Time) time.Time { return rule.After(t, false) }
			},
		},
	}
}

func schedulePackage(name string) schedulePeer {
	for _, p := range schedulePeers() {
		if p.name == name {
			return p
		}
	}
	return schedulePeer{read: func(scheduleCase, *time.Location) func(time.Time) time.Time { return nil }}
}
