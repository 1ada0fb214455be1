package storetest

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/dulyhq/duly/store"
)

var historyCases = []Case{
	{"HistoryTellsEveryMove", "K2", "nobody can find out what became of a task", historyTellsEveryMove},
	{"HistoryOutlivesTheTask", "K2", "the history of a task goes with it", historyOutlivesTheTask},
	{"HistoryOfOneTask", "HistoryQuery", "entries of other tasks, or of another namespace's", historyOfOneTask},
	{"HistoryPages", "HistoryQuery.After", "whoever follows the history misses entries", historyPages},
	{"HistoryFromAnywhere", "HistoryQuery.After", "a bound that no entry has shows all of the history, or breaks it", historyFromAnywhere},
	{"HistoryNewest", "HistoryQuery.Newest", "an overview shows the oldest instead of the newest", historyNewest},
	{"HistorySince", "HistoryQuery.Since", "an overview of an hour shows another hour", historySince},
	{"RefusedLeavesNoEntry", "Store", "the history tells of what has never happened", refusedLeavesNoEntry},
}

var trimCases = []Case{
	{"TrimByAge", "K2", "the history grows for ever, or is lost too early", trimByAge},
	{"TrimBehindTheFuture", "K2", "a clock that was wrong for a moment keeps the history for years", trimBehindTheFuture},
	{"TrimWhileTheClockIsBehind", "K2", "a clock that was wrong for a moment loses the history of today", trimWhileTheClockIsBehind},
	{"TrimByCount", "K2", "the history grows for ever, or its newest entries are lost", trimByCount},
	{"TrimDead", "Retention.DeadFrom", "dead runs are kept for ever, or lost too early", trimDead},
	{"TrimNothing", "Retention", "a retention that asks for nothing deletes", trimNothing},
	{"TrimLeavesTasksAlone", "Store.Trim", "a task that waits for a year is forgotten with its history", trimLeavesTasksAlone},
}

// life takes a task through most of what can happen to one.
func (e *env) life(name string) {
	e.Helper()
	t := e.put(every(name, at(e.now())))
	c := e.claim(folded(t, e.now(), 0, e.later(time.Second)))
	e.settle(again2(c), store.Pending)
	e.advance(time.Second)
	c = e.claim(store.Claim{RunID: c.RunID, Lease: lease})
	e.settle(ended(c, store.Dead), store.Dead)
	e.edited(redrive(c.RunID))
	c = e.claim(store.Claim{RunID: c.RunID, Lease: lease})
	e.advance(lease)
	e.edited(rescue(c, store.Pending))
	c = e.claim(store.Claim{RunID: c.RunID, Lease: lease})
	e.settle(ended(c, store.Done), store.Done)
	t = e.must(name)
	e.edited(store.Edit{Verb: store.VerbSkip, Key: t.Key, For: t.Next.For, State: store.Skipped, When: at(e.now())})
	e.edited(store.Edit{Verb: store.VerbPause, Key: t.Key})
	e.edited(store.Edit{Verb: store.VerbResume, Key: t.Key})
	t = e.edited(store.Edit{Verb: store.VerbMove, Key: t.Key, When: at(e.now() - 1)})
	c = e.claim(folded(t, e.now(), 3, e.later(time.Second)))
	e.cancel(store.Cancel{Key: t.Key})
	e.settle(ended(c, store.Cancelled), store.Cancelled)
}

// lifeMoves is the history of a life.
var lifeMoves = []string{
	"running>pending retry", "running>dead settle", "dead>pending redrive", "running>pending rescue", "running>done settle", "pending>skipped skip",
	"pending>pending pause", "pending>pending resume", "pending>pending move", "pending>skipped claim", "pending>cancelled cancel",
	"running>running cancel", "running>cancelled settle",
}

func historyTellsEveryMove(e *env) {
	e.life("a")
	e.wantMoves("a", lifeMoves...)
	last := e.history("a")[0].At
	for _, v := range e.history("a") {
		if v.At < last || v.At > e.now() {
			e.Errorf("history: %s at %v after one at %v, and now is %v", showEvent(&v), v.At, last, e.now())
		}
		last = v.At
	}
}

func historyOutlivesTheTask(e *env) {
	e.life("a")
	before := allEvents(e, e.s)
	e.each(func(when string) {
		after := allEvents(e, e.s)
		if !equal(before, after) {
			e.Errorf("history %s: %d entries, before there were %d, or they differ", when, len(after), len(before))
		}
	})
	e.life("a")
	e.wantMoves("a", append(append([]string{}, lifeMoves...), lifeMoves...)...)
}

func historyOfOneTask(e *env) {
	for _, name := range []string{"a", "aa", "n/a", "b", "a"} {
		e.put(once(name, at(e.later(time.Hour))))
		e.cancel(store.Cancel{Key: key(name)})
	}
	for name, want := range map[string]int{"a": 2, "aa": 1, "n/a": 1, "b": 1, "n/aa": 0, "x": 0} {
		all := e.history(name)
		is(e, "entries of "+name, len(all), want)
		for _, v := range all {
			is(e, "key", v.Key, key(name))
		}
	}
	is(e, "entries of all", len(allEvents(e, e.s)), 5)
}

// ends makes n entries in the history, each of another task and a step later than the one before.
func (e *env) ends(n int, step time.Duration) {
	e.Helper()
	for i := range n {
		e.put(once(fmt.Sprintf("e%d", i), at(e.later(time.Hour))))
		e.cancel(store.Cancel{Key: key(fmt.Sprintf("e%d", i))})
		e.advance(step)
	}
}

func historyPages(e *env) {
	for i := range 130 {
		e.put(once("a", at(e.later(time.Duration(i)*time.Second))))
	}
	e.put(once("b", at(e.now())))
	e.put(once("b", at(e.now()+1)))
	p, err := e.s.History(e.ctx, store.HistoryQuery{Key: key("a")})
	if err != nil || len(p) != 100 {
		e.Fatalf("a page that nobody bounded: %d, error %v; want 100", len(p), err)
	}
	for _, limit := range []int{1, 50, 128, 129, 130} {
		got := allHistory(e, e.s, store.HistoryQuery{Key: key("a"), Limit: limit})
		is(e, fmt.Sprintf("entries in pages of %d", limit), len(got), 129)
		all := allHistory(e, e.s, store.HistoryQuery{Limit: limit})
		is(e, fmt.Sprintf("entries of all in pages of %d", limit), len(all), 130)
	}
	p, err = e.s.History(e.ctx, store.HistoryQuery{Key: key("a"), After: 1 << 60})
	if err != nil || len(p) != 0 {
		e.Errorf("entries after the last: %d, error %v", len(p), err)
	}
}

func historyFromAnywhere(e *env) {
	e.ends(7, time.Second)
	e.put(once("e3", at(e.later(time.Hour))))
	e.cancel(store.Cancel{Key: key("e3")})
	all := allEvents(e, e.s)
	last := all[len(all)-1].Seq
	e.each(func(when string) {
		for _, after := range []int64{math.MinInt64, -1, 0, last - 1, last, last + 1, math.MaxInt64 - 1, math.MaxInt64} {
			for _, before := range []int64{0, 1, last, last + 1, math.MaxInt64} {
				for _, k := range []store.Key{{}, key("e3")} {
					q := store.HistoryQuery{Key: k, After: after, Before: before}
					var want []int64
					for i := range all {
						if v := &all[i]; v.Seq > after && (before == 0 || v.Seq < before) && (k == (store.Key{}) || v.Key == k) {
							want = append(want, v.Seq)
						}
					}
					for range 2 {
						var got []int64
						p, err := e.s.History(e.ctx, q)
						for i := range p {
							got = append(got, p[i].Seq)
						}
						if err != nil || !equal(got, want) {
							e.Errorf("of %q after %d before %d %s: entries %v, error %v; want %v", k.Name, after, before, when, got, err, want)
						}
						slices.Reverse(want)
						q.Newest = true
					}
				}
			}
		}
	})
}

func historyNewest(e *env) {
	e.ends(7, time.Second)
	e.each(func(when string) {
		p, err := e.s.History(e.ctx, store.HistoryQuery{Newest: true, Limit: 3})
		if err != nil || len(p) != 3 {
			e.Fatalf("the newest three %s: %d, error %v", when, len(p), err)
		}
		for i, v := range p {
			is(e, "newest "+when, v.Name, fmt.Sprintf("e%d", 6-i))
		}
		for _, q := range []store.HistoryQuery{{Newest: true}, {Key: key("e3"), Newest: true}} {
			older := q
			older.Before = p[2].Seq
			all, err := e.s.History(e.ctx, q)
			rest, err2 := e.s.History(e.ctx, older)
			if err != nil || err2 != nil || len(rest) == 0 || !equal(rest, all[len(all)-len(rest):]) || rest[0].Seq >= older.Before {
				e.Errorf("entries before %d %s: %d, errors %v and %v; want the older ones, newest first", older.Before, when, len(rest), err, err2)
			}
		}
	})
	e.put(once("e3", at(e.later(time.Hour))))
	e.cancel(store.Cancel{Key: key("e3"), Reason: "again"})
	p, err := e.s.History(e.ctx, store.HistoryQuery{Key: key("e3"), Newest: true, Limit: 1})
	if err != nil || len(p) != 1 || p[0].Reason != "again" {
		e.Errorf("the newest of one task: %d entries, error %v; want the second", len(p), err)
	}
}

func historySince(e *env) {
	from := e.now()
	e.ends(6, time.Minute)
	since := from.Add(3 * time.Minute)
	for _, q := range []store.HistoryQuery{{Since: since}, {Since: since, Newest: true}} {
		p, err := e.s.History(e.ctx, q)
		if err != nil || len(p) != 3 {
			e.Errorf("entries since %v (newest %v): %d, error %v; want 3", since, q.Newest, len(p), err)
		}
		for _, v := range p {
			if v.At < since {
				e.Errorf("entries since %v: one of %v", since, v.At)
			}
		}
	}
	p, err := e.s.History(e.ctx, store.HistoryQuery{Key: key("e1"), Since: since})
	if err != nil || len(p) != 0 {
		e.Errorf("entries of e1 since %v: %d, error %v; want none", since, len(p), err)
	}
}

func refusedLeavesNoEntry(e *env) {
	t := e.put(once("a", at(e.later(time.Hour))))
	p := once("a", at(e.now()))
	p.OnConflict = store.Fail
	e.puts(p, store.Put{})
	e.tryClaim(next(t, 0))
	e.cancel(store.Cancel{Key: t.Key, IfGeneration: 1 << 40})
	e.edit(store.Edit{Verb: store.VerbMove, Key: t.Key})
	e.trySettle(store.Settlement{RunID: store.RunID{Key: t.Key, Generation: t.Generation, For: t.Next.For}, Fence: 1, Verb: store.VerbSettle, State: store.Done})
	if all := allEvents(e, e.s); len(all) != 0 {
		e.Errorf("history: %d entries, want none: %s", len(all), showEvent(&all[0]))
	}
}

// trimmed trims, and holds the answer to the counters.
func (e *env) trimmed(r store.Retention) (history, dead int64) {
	e.Helper()
	before := counted(e, e.s)
	n := e.trim(r)
	after := counted(e, e.s)
	is(e, "tasks", after.Tasks, before.Tasks)
	is(e, "what Trim says it forgot", n, before.History+before.Dead-after.History-after.Dead)
	is(e, "entries there are", int64(len(allEvents(e, e.s))), after.History)
	return after.History, after.Dead
}

func trimByAge(e *env) {
	from := e.now()
	e.ends(48, time.Hour)
	cut := from.Add(24 * time.Hour)
	left, _ := e.trimmed(store.Retention{HistoryFrom: cut})
	if left < 24 || left > 26 {
		e.Errorf("entries left: %d, want the 24 of the second day, or few more", left)
	}
	e.each(func(when string) {
		newer := 0
		for _, v := range allEvents(e, e.s) {
			if v.At >= cut {
				newer++
			}
		}
		is(e, "entries of the second day "+when, newer, 24)
		is(e, "entries of what is forgotten "+when, len(e.history("e1")), 0)
		is(e, "cancel of what is forgotten "+when, e.cancel(store.Cancel{Key: key("e1")}).Outcome, store.CancelUnknown)
		is(e, "cancel of what is not "+when, e.cancel(store.Cancel{Key: key("e40")}).Outcome, store.CancelFinished)
	})
	n, _ := e.trimmed(store.Retention{HistoryFrom: store.Never})
	if n > 2 {
		e.Errorf("entries left when nothing is to be kept: %d", n)
	}
}

func trimBehindTheFuture(e *env) {
	const years = 10 * 365 * 24 * time.Hour
	e.step(years)
	e.ends(12, time.Minute)
	e.step(-years)
	from := e.now()
	e.ends(48, time.Hour)
	left, _ := e.trimmed(store.Retention{HistoryFrom: from}) // nothing that was written since is old
	if left < 48 {
		e.Errorf("entries left: %d, want the 48 of the last days", left)
	}
	left, _ = e.trimmed(store.Retention{HistoryFrom: from.Add(24 * time.Hour)})
	if left < 24 || left > 26+12 {
		e.Errorf("entries left: %d, want the 24 of the second day, or few more, and perhaps the 12 of the future", left)
	}
	e.each(func(when string) {
		last, newer := store.Instant(0), 0
		for _, v := range allEvents(e, e.s) {
			if last = v.At; v.At >= from.Add(24*time.Hour) && v.At < from.Add(48*time.Hour) {
				newer++
			}
		}
		is(e, "entries of the second day "+when, newer, 24)
		is(e, "the newest is of the second day "+when, last < from.Add(48*time.Hour), true)
		is(e, "entries of what is forgotten "+when, len(e.history("e15")), 0)
	})
	if left, _ = e.trimmed(store.Retention{HistoryFrom: from.Add(47 * time.Hour)}); left > 2+12 {
		e.Errorf("entries left: %d, want those of the last hour, and perhaps the 12 of the future", left)
	}
}

func trimWhileTheClockIsBehind(e *env) {
	const years, week = 10 * 365 * 24 * time.Hour, 7 * 24 * time.Hour
	e.ends(5, time.Second)
	e.step(-years)
	e.trim(store.Retention{HistoryFrom: e.later(-week)}) // all there is lies in the future
	e.ends(5, time.Second)
	e.step(years)
	e.trimmed(store.Retention{HistoryFrom: e.later(-week)})
	newer := 0
	for _, v := range allEvents(e, e.s) {
		if v.At >= e.later(-time.Hour) {
			newer++
		}
	}
	is(e, "entries of a moment ago", newer, 5)
}

func trimByCount(e *env) {
	e.ends(48, time.Hour)
	left, _ := e.trimmed(store.Retention{MaxHistory: 12})
	if left < 12 || left > 24 {
		e.Errorf("entries left: %d, want the 12 newest, or a few more", left)
	}
	e.kill()
	p, err := e.s.History(e.ctx, store.HistoryQuery{Newest: true, Limit: 12})
	if err != nil || len(p) != 12 {
		e.Fatalf("the newest 12: %d, error %v", len(p), err)
	}
	for i, v := range p {
		is(e, "newest", v.Name, fmt.Sprintf("e%d", 47-i))
	}
}

func trimDead(e *env) {
	var ids []store.RunID
	for i := range 10 {
		c := e.claim(next(e.put(once(fmt.Sprintf("d%d", i), at(e.now()))), 0))
		e.settle(ended(c, store.Dead), store.Dead)
		ids = append(ids, c.RunID)
		e.advance(time.Hour)
	}
	history, dead := e.trimmed(store.Retention{DeadFrom: e.later(-5 * time.Hour)})
	is(e, "entries of the history", history, 10)
	if dead < 5 || dead > 6 {
		e.Errorf("dead runs left: %d, want the 5 of the last 5 hours, or one more", dead)
	}
	e.kill()
	e.wantErr("redrive of what is forgotten", e.edit(redrive(ids[0])).Err, store.ErrNotFound, "")
	for _, id := range ids[5:] {
		e.edited(redrive(id))
	}
}

func trimNothing(e *env) {
	e.ends(3, time.Hour)
	e.settle(ended(e.claim(next(e.put(once("d", at(e.now()))), 0)), store.Dead), store.Dead)
	e.advance(10_000 * time.Hour)
	history, dead := e.trimmed(store.Retention{})
	is(e, "entries", history, 4)
	is(e, "dead runs", dead, 1)
	history, dead = e.trimmed(store.Retention{MaxHistory: 100, HistoryFrom: 1, DeadFrom: 1})
	is(e, "entries kept by all that is asked", history, 4)
	is(e, "dead runs kept by all that is asked", dead, 1)
}

func trimLeavesTasksAlone(e *env) {
	e.ends(3, time.Hour)
	t := e.put(every("a", at(e.later(10_000*time.Hour))))
	c := e.claim(next(e.put(every("b", at(e.now()))), e.later(time.Hour)))
	e.advance(1000 * time.Hour)
	e.trimmed(store.Retention{HistoryFrom: store.Never, DeadFrom: store.Never, MaxHistory: 1})
	sameTask(e, "before and after", t, e.get("a"))
	e.kill()
	sameTask(e, "before and after it was opened again", t, e.get("a"))
	e.settle(ended(c, store.Done), store.Done)
}
