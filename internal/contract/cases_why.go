package contract

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store/storetest"
)

// The remaining codes are in the cases of what brings them about: suspect, no handler, workers, key and kind limit, expired.
var whyCases = []Case{
	{
		"WhyNot", "C5 D6 J2 K2", "nobody can find out why a task does not run",
		func(e *env) {
			e.mail(func(ctx context.Context, a *duly.Attempt[[]byte]) error {
				switch a.Name {
				case "dead":
					return duly.Permanent(errOops)
				case "retries":
					return duly.RetryAfter(time.Minute, errOops)
				case "runs", "overlaps":
					return e.sleep(ctx, time.Hour)
				}
				return nil
			})
			e.put("not at work", schedule.After(0))
			w := e.wantWhy("not at work", duly.WhyNotAtWork)
			if w.Task == nil || w.Task.Name != "not at work" {
				e.Errorf("Task is %v, want the task", w.Task)
			}
			e.work()
			e.wantWhy("not at work", duly.WhyDone)
			for _, name := range []string{"dead", "retries", "runs"} {
				e.put(name, schedule.After(0))
			}
			e.put("overlaps", schedule.Every(time.Second), duly.Overlap(duly.BufferOne))
			e.put("not due", once(time.Hour))
			e.put("paused", once(time.Hour))
			e.put("cancelled", once(time.Hour))
			e.put("never", schedule.Every(time.Hour).Until(at(time.Second)))
			e.cancel("cancelled")
			_, err := e.d.Pause(e.ctx, duly.Query{Names: []string{"paused"}}, "the bank is closed")
			e.wantErr("Pause", err, nil)
			e.pass(3 * time.Second)
			for name, c := range map[string]struct {
				code  duly.WhyCode
				text  string
				until time.Duration
			}{
				"dead": {duly.WhyDead, "oops", 0}, "retries": {duly.WhyRetry, "oops", time.Minute}, "runs": {duly.WhyRunning, "me", 0},
				"overlaps": {duly.WhyOverlap, "buffer", 0}, "not due": {duly.WhyNotDue, "in 59m57s", time.Hour},
				"paused": {duly.WhyPaused, "the bank is closed", 0}, "cancelled": {duly.WhyCancelled, "cancelled", 0},
				"never": {duly.WhyNever, "until", 0}, "nobody": {duly.WhyUnknown, "nobody", 0},
			} {
				w := e.wantWhy(name, c.code)
				if !strings.Contains(w.Text, c.text) {
					e.Errorf("WhyNot %s: %q, want %q in it", name, w.Text, c.text)
				}
				if c.until != 0 {
					is(e, "until, of "+name, w.Until.Sub(start), c.until)
				}
			}
			e.store.Plant(storetest.Fault{Kind: storetest.Fail, Method: "Claim", Always: true})
			e.put("store", schedule.After(0))
			e.wantWhy("store", duly.WhyStore)
			e.store.Heal()
			e.pass(time.Minute)
			e.wantWhy("store", duly.WhyDone)
			e.cancelBy("overlaps", e.d.CancelRunning)
			e.cancel("retries")
			e.wantWhy("retries", duly.WhyCancelled)
		},
	},
	{
		"WhyExplainsNothingAway", "K2", "a task that was replaced while it ran is said to be what it was",
		func(e *env) {
			e.mail(e.takes(time.Minute, 0))
			e.work()
			e.put("a", schedule.After(0))
			e.putWith("a", "new", once(10*time.Second))
			e.pass(time.Second)
			e.wantWhy("a", duly.WhyRunning)
			e.pass(10 * time.Second)
			e.wantWhy("a", duly.WhyOverlap)
			e.pass(time.Minute)
			e.wantWhy("a", duly.WhyDone)
		},
	},
}

var lookCases = []Case{
	{
		"List", "A7", "a task is not found by what is known of it, or a page is missing",
		func(e *env) {
			e.mail(e.takes(time.Hour))
			e.handle("other", e.takes(0))
			e.work()
			for i := range 250 {
				e.put(fmt.Sprintf("a%03d", i), once(time.Duration(i+1)*time.Minute), duly.Tags([]string{"even", "odd"}[i%2]))
			}
			_, err := e.tryWith(e.kinds["other"], "b", "", once(time.Hour))
			e.wantErr("Put", err, nil)
			_, err = e.kinds[kind].In("ns").Put(e.ctx, "a000", nil, once(time.Hour))
			e.wantErr("Put", err, nil)
			e.put("runs", schedule.After(0))
			_, err = e.d.Pause(e.ctx, duly.Query{Names: []string{"a001"}}, "")
			e.wantErr("Pause", err, nil)
			for what, c := range map[string]struct {
				q duly.Query
				n int
			}{
				"all": {duly.Query{}, 252}, "of all name spaces": {duly.Query{AllNamespaces: true}, 253}, "by prefix": {duly.Query{Prefix: "a1"}, 100},
				"by tag": {duly.Query{Tag: "odd"}, 125}, "by kind": {duly.Query{Kind: "other"}, 1}, "running": {duly.Query{State: duly.Active}, 1},
				"pending": {duly.Query{State: duly.Pending}, 251}, "paused": {duly.Query{Paused: true}, 1},
				"due until": {duly.Query{DueUntil: at(10 * time.Minute), Prefix: "a"}, 9}, "due from": {duly.Query{DueFrom: at(241 * time.Minute)}, 10 + 1},
				"by name": {duly.Query{Names: []string{"b", "a003", "a003", "x"}}, 2}, "by name and tag": {duly.Query{Names: []string{"a002", "a003"}, Tag: "odd"}, 1},
			} {
				var names []string
				for t, err := range e.d.List(e.ctx, c.q) {
					if err != nil {
						e.Fatalf("List %s: %v", what, err)
					}
					names = append(names, t.Namespace+"/"+t.Name)
				}
				is(e, what, len(names), c.n)
				if !slices.IsSorted(names) {
					e.Errorf("%s: %q is not in the order of names", what, names)
				}
			}
			seen := 0
			q := duly.Query{Limit: 100}
			for {
				page, cursor, err := e.d.ListPage(e.ctx, q)
				if err != nil {
					e.Fatalf("ListPage: %v", err)
				}
				seen += len(page)
				if q.Cursor = cursor; cursor == "" {
					break
				}
			}
			is(e, "on all pages", seen, 252)
			for _, err := range e.d.List(e.ctx, duly.Query{}) {
				e.wantErr("List", err, nil)
				break // it can be left
			}
			for _, name := range []string{"runs"} {
				e.cancelBy(name, e.d.CancelRunning)
			}
			_, err = e.d.Pause(e.ctx, duly.Query{}, "to come to an end")
			e.wantErr("Pause", err, nil)
		},
	},
	{
		"SimulateIsWhatHappens", "J1 G1", "the preview of a week shows other runs than the week brings",
		func(e *env) {
			e.mail(e.takes(0))
			e.put("every", schedule.Every(17*time.Minute).Jitter(5*time.Minute))
			e.put("times", schedule.Every(time.Minute).Times(3))
			e.put("cron", schedule.Cron("0 */3 * * *").In("Europe/Berlin"))
			e.put("until", schedule.Every(30*time.Minute).Until(at(2*time.Hour)))
			e.put("once", once(90*time.Minute))
			e.put("far", once(90*time.Hour))
			e.put("paused", schedule.Every(time.Minute))
			e.put("pace", schedule.Pace(37*time.Minute))
			e.put("start", schedule.PaceFromStart(41*time.Minute))
			_, err := e.d.Pause(e.ctx, duly.Query{Names: []string{"paused"}}, "")
			e.wantErr("Pause", err, nil)
			_, err = e.kinds[kind].In("ns").Put(e.ctx, "other", nil, once(time.Hour))
			e.wantErr("Put", err, nil)
			e.work()
			var want []string
			last := time.Time{}
			for f, err := range e.d.Simulate(e.ctx, at(0), at(12*time.Hour)) {
				if err != nil {
					e.Fatalf("Simulate: %v", err)
				}
				if f.Due.Before(last) {
					e.Errorf("Simulate: %v after %v", f.Due, last)
				}
				last = f.Due
				want = append(want, fmt.Sprint(f.Namespace, "/", f.Name, " ", f.ScheduledFor.Sub(start), " ", f.Due.Sub(start)))
			}
			is(e, "attempts by Simulate", len(e.rec.of("")), 0)
			e.pass(12*time.Hour - time.Microsecond)
			var got []string
			for _, s := range e.rec.of("") {
				got = append(got, fmt.Sprint(s.Namespace, "/", s.Name, " ", s.ScheduledFor.Sub(start), " ", s.Started.Sub(start)))
			}
			wantSame(e, "what ran, and what Simulate foresaw", got, want)
			if len(got) < 70 {
				e.Errorf("%d attempts, want more", len(got))
			}
			n := 0
			for _, err := range e.d.Simulate(e.ctx, at(12*time.Hour), at(24*time.Hour)) {
				e.wantErr("Simulate", err, nil)
				if n++; n == 5 {
					break // it can be left
				}
			}
			is(e, "foreseen", n, 5)
		},
	},
	{
		"SimulateFoldsWhatIsMissed", "J1 G3", "the preview of a store that was closed shows a thousand runs at once",
		func(e *env) {
			e.put("every", schedule.Every(time.Minute))
			e.put("once", once(time.Minute))
			e.rest()
			e.pass(10*time.Hour + time.Second)
			e.boot()
			var got []string
			for f, err := range e.d.Simulate(e.ctx, at(e.since()), at(e.since()+2*time.Minute)) {
				e.wantErr("Simulate", err, nil)
				got = append(got, fmt.Sprint(f.Name, " ", f.ScheduledFor.Sub(start), " ", f.Due.Sub(start)))
			}
			wantSame(e, "foreseen", got, []string{"once 1m0s 10h0m1s", "every 10h0m0s 10h0m1s", "every 10h1m0s 10h1m0s", "every 10h2m0s 10h2m0s"})
			e.work()
			e.pass(2 * time.Minute)
			e.wantRan("every", "10h0m1s for 10h0m0s missed 599", "10h1m0s for 10h1m0s", "10h2m0s for 10h2m0s")
		},
	},
}
